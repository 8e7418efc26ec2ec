-- Panels: several figures in one picture.
local gnuplot = require "mascon.gnuplot"
local text = require "mascon.text"

local CELL = { 520, 390 } -- pixels of a panel, unless size says otherwise

-- plot.panels: figures side by side in one picture, each the table that its own function takes, and kind = "lines", "scatter", "hist",
-- "box" or "heatmap". columns: how many in a row (all, up to three); title: above them all; size: of the whole. In the terminal they are
-- drawn one below the other. `drawing(panel)` gives the function of its kind.
local function panels(o, drawing)
  if type(o) ~= "table" then error("plot.panels: expected a table, got a " .. type(o), 0) end
  gnuplot.check_keys("panels", o, { "columns", "title", "size", "file" })
  if #o == 0 then error("plot.panels: nothing to draw: expected figures such as { kind = \"lines\", { 3, 2, 1 } }", 0) end
  local columns = o.columns == nil and math.min(#o, 3) or math.tointeger(o.columns)
  if not columns or columns < 1 or columns > 20 then
    error("plot.panels: columns: expected a whole number from 1 to 20, got " .. text.show(o.columns), 0)
  end
  columns = math.min(columns, #o)
  local rows = (#o + columns - 1) // columns
  local whole = gnuplot.figure({ file = o.file, size = o.size }, { CELL[1] * columns, CELL[2] * rows + (o.title and 40 or 0) })
  local full = o.file and o.size or { CELL[1] * columns, CELL[2] * rows }
  local cell = o.file and { math.max(100, full[1] // columns), math.max(100, full[2] // rows) } or nil
  local list = {}
  for i, panel in ipairs(o) do
    if type(panel) ~= "table" then error(("plot.panels: panel %d: expected a table, got a %s"):format(i, type(panel)), 0) end
    for _, name in ipairs { "file", "size" } do
      if panel[name] ~= nil then error(("plot.panels: panel %d: %s is for the whole figure"):format(i, name), 0) end
    end
    local inner = { file = o.file, size = cell } -- which makes room for what depends on it
    for k, v in pairs(panel) do
      if k ~= "kind" then inner[k] = v end
    end
    local draw = drawing(panel)
    local ok, figure = pcall(draw, inner)
    if not ok then error(("plot.panels: panel %d: %s"):format(i, figure), 0) end
    list[#list + 1] = figure
  end
  if not o.file then
    if o.title then io.write(text.visible(tostring(o.title)), "\n") end
    for _, figure in ipairs(list) do gnuplot.draw(figure, {}) end
    return nil
  end
  return whole:holds(list, rows, columns, o.title)
end

return panels
