-- Scatter: points in the plane, by class.
local gnuplot = require "mascon.gnuplot"
local text = require "mascon.text"
local colour, num, numbers = gnuplot.colour, gnuplot.num, gnuplot.numbers

-- Classes differ in shape as well as in colour: filled circle, square, triangles, diamond, pentagon, then the same shapes open.
local MARKERS = { 7, 5, 9, 11, 13, 15, 6, 4, 8, 12 }
local function marker(i) return MARKERS[(i - 1) % #MARKERS + 1] end

-- The distinct classes in order, and the points of each.
local function by_class(x, y, class)
  local groups, order = {}, {}
  for i = 1, #x do
    local k = class[i]
    if type(k) ~= "string" and type(k) ~= "number" or k ~= k then
      error(("plot.scatter: class[%d]: expected a number or a text, got %s"):format(i, text.show(k)), 0)
    end
    if not groups[k] then
      groups[k] = {}
      order[#order + 1] = k
    end
    table.insert(groups[k], { num(x[i]), num(y[i]) })
  end
  table.sort(order, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  return groups, order
end

-- plot.scatter: x and y, or points = an N x 2 array; class = N labels (numbers or texts) colours them, classes[label] names them.
local function scatter(o)
  gnuplot.check_options("scatter", o, { "x", "y", "points", "class", "classes", "pointsize", "label" })
  local x, y
  local points = o.points or o[1]
  if points then
    points = gnuplot.table_of(points) or error("plot.scatter: points: expected an N x 2 array", 0)
    x, y = {}, {}
    for i, p in ipairs(points) do
      if type(p) ~= "table" or #p ~= 2 then
        error(("plot.scatter: points[%d]: expected two numbers, got %s"):format(i, type(p) == "table" and #p or text.show(p)), 0)
      end
      x[i], y[i] = p[1], p[2]
    end
  else
    x, y = numbers(o.x, "x"), numbers(o.y, "y")
  end
  gnuplot.same_length(x, y, "x and y")
  if #x == 0 then error("plot.scatter: no points", 0) end
  local fig = gnuplot.figure(o, { 860, 640 })
  local class = {}
  if o.class then
    local list = gnuplot.table_of(o.class) or error("plot.scatter: class: expected an array", 0)
    for i = 1, #list do class[i] = type(list[i]) == "table" and list[i][1] or list[i] end
    gnuplot.same_length(x, class, "points and class")
  else
    for i = 1, #x do class[i] = "" end
  end
  local groups, order = by_class(x, y, class)
  if o.pointsize ~= nil and not (type(o.pointsize) == "number" and o.pointsize > 0 and o.pointsize < 1000) then
    error("plot.scatter: pointsize: expected a number above 0, got " .. text.show(o.pointsize), 0)
  end
  if o.classes ~= nil and type(o.classes) ~= "table" then
    error("plot.scatter: classes: expected the names by class, got a " .. type(o.classes), 0)
  end
  local size = o.pointsize or (#x > 5000 and 0.35 or #x > 800 and 0.55 or 0.8)
  local curves, legend = {}, {}
  for i, k in ipairs(order) do
    fig:block("d" .. i, groups[k])
    local name = o.class and (o.classes and o.classes[k] or k) or o.label
    if o.file then
      curves[i] = ("$d%d using 1:2 with points pointtype %d pointsize %.3g linecolor rgb '#30%s' notitle"):format(i, marker(i),
        size, colour(i):sub(2))
      if name then legend[#legend + 1] = ("NaN with points pointtype %d pointsize 1.1 linecolor rgb '%s' title %s")
        :format(marker(i), colour(i), fig:text(name)) end
    else
      local mark = text.visible(tostring(k)):match("^" .. utf8.charpattern)
      curves[i] = ("$d%d using 1:2 with points pointtype %s title %s"):format(i, fig:text(mark ~= "" and mark or "*"), fig:text(name or ""))
    end
  end
  if o.class and #order > 1 and o.legend == nil then
    fig:add("set key outside right top")
    fig:add("unset rmargin")
  end
  return fig:plot("plot " .. table.concat(table.move(legend, 1, #legend, #curves + 1, curves), ", \\\n  "))
end

return scatter
