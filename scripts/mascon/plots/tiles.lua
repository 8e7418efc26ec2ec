-- tiles: pictures side by side, each with a caption (plot.tiles).
local gnuplot = require "mascon.gnuplot"
local term = require "mascon.term"
local text = require "mascon.text"

local BAND, TITLE, EDGE = 18, 30, 6 -- pixels: a line of captions, the title, the margin all around
local NAMES = { "pictures", "captions", "rows", "columns", "scale", "padding", "range" }
local SHADES = { [0] = "  ", "..", "::", "--", "==", "++", "**", "##", "@@" }

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

-- What is black and what is white: nil, {low, high}, or for "auto" the least and the greatest value of all the pictures.
local function limits(range, parts)
  if range ~= "auto" then return range end
  local low, high = math.huge, -math.huge
  for _, part in ipairs(parts) do
    if type(part) == "userdata" and part:numel() > 0 then
      low, high = math.min(low, part:min():item()), math.max(high, part:max():item())
    end
  end
  if low - low ~= 0 or high - high ~= 0 then error("plot.tiles: range: \"auto\" needs pictures of finite values", 0) end
  return { low, high > low and high or low + 1 }
end

-- The pictures with characters: two for each pixel, side by side as far as the terminal is wide, large ones thinned out. Dark pixels are
-- blank, as on a dark terminal.
local function as_text(list, o, columns)
  local wide = term.columns(1) or 80
  if o.title then io.write(text.visible(tostring(o.title)), "\n") end
  local fits = math.max(1, math.min(columns, wide // (2 * math.min(list[1]:size(3), 28) + 2)))
  for first = 1, #list, fits do
    local lines, names = {}, {}
    for i = first, math.min(first + fits - 1, #list) do
      local p = list[i]:float():mean(1) / 255
      local step = math.max(1, math.ceil(p:size(2) / 28))
      local rows = p:totable()
      local width, line = 2 * ((#rows[1] + step - 1) // step), 0
      for r = 1, #rows, step do
        line = line + 1
        local cells = {}
        for c = 1, #rows[r], step do cells[#cells + 1] = SHADES[math.tointeger(math.min(8, rows[r][c] * 9 // 1))] end
        lines[line] = (lines[line] or "") .. table.concat(cells) .. "  "
      end
      local name = text.visible(tostring(o.captions and o.captions[i] or "")):sub(1, width)
      names[#names + 1] = name .. (" "):rep(width + 2 - #name)
    end
    local row = o.rows and (first - 1) % columns == 0 and o.rows[(first - 1) // columns + 1]
    if row then io.write(text.visible(tostring(row)), "\n") end
    if o.captions then table.insert(lines, 1, table.concat(names)) end
    for _, line in ipairs(lines) do io.write((line:gsub("%s+$", "")), "\n") end
  end
end

-- plot.tiles: pictures N x C x H x W or N x H x W (u8, or numbers from 0 to 1), or a list of pictures or batches; captions = texts, one for
-- each (nil and "" are none), above them; rows = texts, one for each row, at its left: before and after, say; columns (all in one row),
-- scale (3), padding between them (4), range = "auto" (the least value of all pictures is black, the greatest white) or {low, high} where
-- they are not from 0 to 1, title, file. Without a file they are drawn with characters, in the terminal.
local function tiles(o)
  local ms = require "mascon"
  gnuplot.check_options("tiles", o, NAMES)
  local pictures = o.pictures or o[1]
  if pictures == nil then error("plot.tiles: expected pictures: a tensor, or a list of them", 0) end
  for _, name in ipairs { "captions", "rows" } do
    if o[name] ~= nil and type(o[name]) ~= "table" then
      error(("plot.tiles: %s: expected a list of texts, got a %s"):format(name, type(o[name])), 0)
    end
  end
  local list, parts = {}, type(pictures) == "table" and pictures or { pictures }
  local range = limits(o.range, parts)
  for _, part in ipairs(parts) do
    if type(part) ~= "userdata" then error("plot.tiles: expected pictures as tensors, got a " .. type(part), 0) end
    local batch = part:dim() == 4 or part:dim() == 3 and part:size(1) > 4 or part:dim() == 3 and type(pictures) ~= "table"
    for i = 1, batch and #part or 1 do
      list[#list + 1] = ms.image.grid({ batch and part[i] or part }, { padding = 0, range = range })
    end
  end
  if #list == 0 then error("plot.tiles: no pictures", 0) end
  local columns, scale, padding = count(o, "columns", #list, 1), count(o, "scale", 3, 1), count(o, "padding", 4, 0)
  columns = math.min(columns, #list)
  if not o.file then return as_text(list, o, columns) end
  local rows, width, height = (#list + columns - 1) // columns, 0, 0
  for _, p in ipairs(list) do width, height = math.max(width, p:size(3) * scale), math.max(height, p:size(2) * scale) end
  local captions, band = o.captions or {}, o.captions and BAND or 0
  local top = EDGE + (o.title and TITLE or 0)
  local left = EDGE
  for _, name in ipairs(o.rows or {}) do left = math.max(left, 2 * EDGE + 8 * utf8.len(text.visible(tostring(name)))) end
  local full = { left + EDGE + columns * (width + padding) - padding, top + EDGE + rows * (height + band + padding) - padding }
  full = { math.max(full[1], 100), math.max(full[2], 100) }
  local fig = gnuplot.figure({ file = o.file, size = full }, full)
  fig:add("unset border\nunset tics\nunset key\nunset grid")
  fig:add("set lmargin at screen 0\nset rmargin at screen 1\nset tmargin at screen 1\nset bmargin at screen 0")
  fig:add("set xrange [0:%d]\nset yrange [%d:0]", full[1], full[2])
  local function label(s, x, y, size, where)
    fig:add("set label %s at %g,%g " .. (where or "center") .. " font \",%d\" textcolor rgb '#111111' front", fig:text(s), x, y, size)
  end
  if o.title then label(o.title, full[1] / 2, EDGE + TITLE / 2 - 2, 13) end
  for row, name in ipairs(o.rows or {}) do
    label(name, left - EDGE, top + (row - 1) * (height + band + padding) + band + height / 2, 10, "right")
  end
  local curves = {}
  for i, p in ipairs(list) do
    local x = left + (i - 1) % columns * (width + padding)
    local y = top + (i - 1) // columns * (height + band + padding)
    if captions[i] ~= nil and captions[i] ~= "" then label(captions[i], x + width / 2, y + band / 2, 9) end
    fig:block("p" .. i, pixels(p, x, y + band, scale))
    curves[i] = ("$p%d using 1:2:3:4:5 with rgbimage"):format(i)
  end
  return fig:plot("plot " .. table.concat(curves, ", \\\n  "))
end

return tiles
