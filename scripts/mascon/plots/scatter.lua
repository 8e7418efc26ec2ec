-- Scatter: points in the plane, by class.
local gnuplot = require "mascon.gnuplot"
local text = require "mascon.text"
local colour, num, numbers = gnuplot.colour, gnuplot.num, gnuplot.numbers

local marker = gnuplot.marker
local SIZE = { 860, 640 }
local NAMED = 12 -- classes at most whose names are written among their points, unless asked for

-- The distinct classes in order, and the points of each.
local function by_class(x, y, class)
  local groups, order = {}, {}
  for i = 1, #x do
    local k = class[i]
    if type(k) ~= "string" and type(k) ~= "number" or k ~= k then
      error(("plot.scatter: class[%d]: expected a number or a text, got %s"):format(i, text.show(k)), 0)
    end
    if not groups[k] then
      groups[k] = { at = {} }
      order[#order + 1] = k
    end
    table.insert(groups[k], { num(x[i]), num(y[i]) })
    table.insert(groups[k].at, i)
  end
  table.sort(order, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  return groups, order
end

local function median(values)
  local list, n = table.move(values, 1, #values, 1, {}), #values
  table.sort(list)
  return n > 0 and (list[(n + 1) // 2] + list[n // 2 + 1]) / 2 or 0
end

-- Where the names of classes stand: each at that one of its points which lies nearest to their median, then pushed until no two lie on one
-- another. Places are in pixels, of a plane `wide` x `high`, from the corner of the least x and y.
local function places(boxes, wide, high)
  for _ = 1, 60 do
    local moved = false
    for i, a in ipairs(boxes) do
      for j = i + 1, #boxes do
        local b = boxes[j]
        local dx, dy = (a.wide + b.wide) / 2 - math.abs(a.x - b.x), a.high - math.abs(a.y - b.y)
        if dx > 0 and dy > 0 then -- the shorter way apart
          local across = dx < dy
          local by = (across and dx or dy) / 2 + 0.5
          local key = across and "x" or "y"
          local sign = a[key] < b[key] and -1 or 1
          a[key], b[key], moved = a[key] + sign * by, b[key] - sign * by, true
        end
      end
    end
    for _, a in ipairs(boxes) do
      a.x, a.y = math.min(math.max(a.x, a.wide / 2), wide - a.wide / 2), math.min(math.max(a.y, a.high / 2), high - a.high / 2)
    end
    if not moved then break end
  end
end

-- The least and greatest finite of the values, as the axis has them: logarithms where it is logarithmic.
local function scale_of(values, log, range)
  local function to(v) return not log and v or v > 0 and math.log(v) or 0 / 0 end
  local low, high = math.huge, -math.huge
  for _, v in ipairs(values) do
    local t = to(v)
    if t - t == 0 then low, high = math.min(low, t), math.max(high, t) end
  end
  if range then low, high = range[1] and to(range[1]) or low, range[2] and to(range[2]) or high end
  local length = high - low
  if length == 0 or length - length ~= 0 then length = 1 end
  return function(v) return (to(v) - low) / length end, function(t) return log and math.exp(low + t * length) or low + t * length end
end

-- The names of the classes among their points.
local function names(fig, o, x, y, groups, order, name_of)
  local size = type(o.size) == "table" and o.size or SIZE
  local wide, high = size[1] - 220, size[2] - 130 -- the plane without axes and legend
  local to_x, from_x = scale_of(x, o.logx, o.xrange)
  local to_y, from_y = scale_of(y, o.logy, o.yrange)
  local boxes = {}
  for _, k in ipairs(order) do
    local xs, ys = {}, {}
    for _, at in ipairs(groups[k].at) do
      local u, v = to_x(x[at]), to_y(y[at])
      if u >= 0 and u <= 1 and v >= 0 and v <= 1 then xs[#xs + 1], ys[#ys + 1] = u, v end
    end
    local mx, my, best, bx, by = median(xs), median(ys), math.huge, nil, nil
    for j = 1, #xs do
      local d = (xs[j] - mx) ^ 2 + (ys[j] - my) ^ 2
      if d < best then best, bx, by = d, xs[j], ys[j] end
    end
    if bx then
      local name = text.visible(tostring(name_of(k)))
      if utf8.len(name) > 24 then name = name:sub(1, utf8.offset(name, 23) - 1) .. "…" end
      boxes[#boxes + 1] = { x = bx * wide, y = by * high, wide = 9 * utf8.len(name) + 8, high = 20, name = name }
    end
  end
  places(boxes, wide, high)
  fig:add("set style textbox opaque noborder fillcolor rgb '#40ffffff' margins 0.3,0.3")
  for _, b in ipairs(boxes) do
    fig:add("set label %s at %s,%s center front boxed font ':Bold,12' textcolor rgb '#111111'", fig:text(b.name), num(from_x(b.x / wide)),
      num(from_y(b.y / high)))
  end
end

-- The characters that classes are drawn with in the terminal: the first of each label, or where two have the same, counted.
local COUNTED = "123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
local function characters(order)
  local list, seen, alike = {}, {}, false
  for i, k in ipairs(order) do
    local c = text.visible(tostring(k)):match("^" .. utf8.charpattern)
    list[i] = c ~= "" and c or "*"
    alike, seen[list[i]] = alike or seen[list[i]], true
  end
  for i = 1, alike and #list or 0 do
    local at = (i - 1) % #COUNTED + 1
    list[i] = COUNTED:sub(at, at)
  end
  return list
end

-- plot.scatter: x and y, or points = an N x 2 array; class = N labels (numbers or texts) gives each class a colour
-- and a shape, classes[label] names them. names = true writes the names where most of their points lie (up to 12 classes unless told),
-- false leaves them to the legend. In the terminal a class is drawn with the first character of its label.
local function scatter(o)
  gnuplot.check_options("scatter", o, { "x", "y", "points", "class", "classes", "pointsize", "label", "names" })
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
  local fig = gnuplot.figure(o, SIZE)
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
  if o.names ~= nil and type(o.names) ~= "boolean" then
    error("plot.scatter: names: expected true or false, got " .. text.show(o.names), 0)
  end
  local function name_of(k) return o.classes and o.classes[k] or k end
  local marks = not o.file and characters(order)
  local size = o.pointsize or (#x > 5000 and 0.35 or #x > 800 and 0.55 or 0.8)
  local curves, legend = {}, {}
  for i, k in ipairs(order) do
    fig:block("d" .. i, groups[k])
    local name = o.class and name_of(k) or o.label
    if o.file then
      curves[i] = ("$d%d using 1:2 with points pointtype %d pointsize %.3g linecolor rgb '#30%s' notitle"):format(i, marker(i),
        size, colour(i):sub(2))
      if name then legend[#legend + 1] = ("NaN with points pointtype %d pointsize 1.1 linecolor rgb '%s' title %s")
        :format(marker(i), colour(i), fig:text(name)) end
    else
      curves[i] = ("$d%d using 1:2 with points pointtype %s title %s"):format(i, fig:text(marks[i]), fig:text(name or ""))
    end
  end
  if o.class and o.legend == nil then
    fig:add("set key outside right top")
    fig:add("unset rmargin")
  end
  if o.file and o.class and #order > 1 and (o.names or o.names == nil and #order > 2 and #order <= NAMED) then
    names(fig, o, x, y, groups, order, name_of)
  end
  return fig:plot("plot " .. table.concat(table.move(legend, 1, #legend, #curves + 1, curves), ", \\\n  "))
end

return scatter
