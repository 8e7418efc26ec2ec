-- tiles: pictures side by side, each with a caption (plot.tiles).
local gnuplot = require "mascon.gnuplot"
local text = require "mascon.text"

local BAND, TITLE, EDGE = 18, 30, 6 -- pixels: a line of captions, the title, the margin all around
local NAMES = { "pictures", "captions", "columns", "scale", "padding" }

local function count(o, name, otherwise, least)
  local v = o[name] == nil and otherwise or math.tointeger(o[name])
  if not v or v < least or v > 10000 then
    error(("plot.tiles: %s: expected a whole number from %d on, got %s"):format(name, least, text.show(o[name])), 0)
  end
  return v
end

-- The pixels of one picture as rows of "x y red green blue", its top left corner at (left, top), `scale` pixels to one of its own.
local function pixels(picture, left, top, scale)
  local planes, rows = picture:totable(), {}
  local red, green, blue = planes[1], planes[2] or planes[1], planes[3] or planes[1]
  if #planes == 2 then green, blue = red, red end -- grey and alpha
  for i = 1, #red do
    for j = 1, #red[1] do
      rows[#rows + 1] = { ("%g %g %d %d %d"):format(left + (j - 0.5) * scale, top + (i - 0.5) * scale, red[i][j], green[i][j], blue[i][j]) }
    end
  end
  return rows
end

-- plot.tiles: pictures N x C x H x W or N x H x W (u8, or numbers from 0 to 1), or a list of pictures or batches; captions = texts, one for
-- each (nil and "" are none), above them; columns (all in one row), scale (3), padding between them (4), title, file.
local function tiles(o)
  local ms = require "mascon"
  gnuplot.check_options("tiles", o, NAMES)
  local pictures = o.pictures or o[1]
  if pictures == nil then error("plot.tiles: expected pictures: a tensor, or a list of them", 0) end
  if type(o.file) ~= "string" then error("plot.tiles: file: expected the name of a file, got " .. text.show(o.file), 0) end
  if o.captions ~= nil and type(o.captions) ~= "table" then
    error("plot.tiles: captions: expected a list of texts, got a " .. type(o.captions), 0)
  end
  local list = {}
  for _, part in ipairs(type(pictures) == "table" and pictures or { pictures }) do
    if type(part) ~= "userdata" then error("plot.tiles: expected pictures as tensors, got a " .. type(part), 0) end
    local batch = part:dim() == 4 or part:dim() == 3 and part:size(1) > 4 or part:dim() == 3 and type(pictures) ~= "table"
    for i = 1, batch and #part or 1 do
      list[#list + 1] = ms.image.grid({ batch and part[i] or part }, { padding = 0 })
    end
  end
  if #list == 0 then error("plot.tiles: no pictures", 0) end
  local columns, scale, padding = count(o, "columns", #list, 1), count(o, "scale", 3, 1), count(o, "padding", 4, 0)
  columns = math.min(columns, #list)
  local rows, width, height = (#list + columns - 1) // columns, 0, 0
  for _, p in ipairs(list) do width, height = math.max(width, p:size(3) * scale), math.max(height, p:size(2) * scale) end
  local captions, band = o.captions or {}, o.captions and BAND or 0
  local top = EDGE + (o.title and TITLE or 0)
  local full = { 2 * EDGE + columns * (width + padding) - padding, top + EDGE + rows * (height + band + padding) - padding }
  full = { math.max(full[1], 100), math.max(full[2], 100) }
  local fig = gnuplot.figure({ file = o.file, size = full }, full)
  fig:add("unset border\nunset tics\nunset key\nunset grid")
  fig:add("set lmargin at screen 0\nset rmargin at screen 1\nset tmargin at screen 1\nset bmargin at screen 0")
  fig:add("set xrange [0:%d]\nset yrange [%d:0]", full[1], full[2])
  local function label(s, x, y, size)
    fig:add("set label %s at %g,%g center font \",%d\" textcolor rgb '#111111' front", fig:text(s), x, y, size)
  end
  if o.title then label(o.title, full[1] / 2, EDGE + TITLE / 2 - 2, 13) end
  local parts = {}
  for i, p in ipairs(list) do
    local x = EDGE + (i - 1) % columns * (width + padding)
    local y = top + (i - 1) // columns * (height + band + padding)
    if captions[i] ~= nil and captions[i] ~= "" then label(captions[i], x + width / 2, y + band / 2, 9) end
    fig:block("p" .. i, pixels(p, x, y + band, scale))
    parts[i] = ("$p%d using 1:2:3:4:5 with rgbimage"):format(i)
  end
  return fig:finish(o, "plot " .. table.concat(parts, ", \\\n  "))
end

return tiles
