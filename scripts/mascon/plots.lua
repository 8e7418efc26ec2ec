-- plots: figures, drawn by gnuplot (found at run time; data goes to it through a pipe).
--
--   plot.lines   { {y, y, ...}, { x = xs, y = ys, label = "val" }, title = "loss", xlabel = "epoch", file = "loss.png" }
--   plot.scatter { x = xs, y = ys, class = labels, classes = names, file = "codes.png" }
--   plot.hist    { values, bins = 60, threshold = 0.4, file = "losses.png" }
--   plot.box     { { values, label = "MNIST" }, { other, label = "Fashion" }, file = "norms.png" }
--   plot.tiles   { pictures, captions = { "x1", "x2" }, file = "pair.png" }                                  -- tiles.lua
--   plot.heatmap { rows, xlabels = names, ylabels = names, annotate = true, file = "confusion.png" }
--
-- Numbers come as Lua arrays or as anything with :totable() (a tensor). With `file` (.png or .svg) the figure is written there, whole or
-- not at all; without it, it is drawn with characters in the terminal. Options of all: title, xlabel, ylabel, size = {width, height} in
-- pixels, logx, logy, xrange = {low, high}, yrange, legend = false or where ("top left").
local gnuplot = require "mascon.gnuplot"
local text = require "mascon.text"
local colour, num, numbers = gnuplot.colour, gnuplot.num, gnuplot.numbers
local plots = { palette = gnuplot.palette }

-- ---- the figures -----------------------------------------------------------------------------------------------------------------

-- plot.lines: series are arrays (x counts from 1) or { y = ..., x = ..., label = ..., points = true, dashed = true, colour = "#..." }.
local function lines(o)
  gnuplot.check_options("lines", o, { "x", "y", "label", "points", "dashed", "colour" })
  local fig = gnuplot.figure(o, { 800, 500 })
  local curves = {}
  for i, c in ipairs(gnuplot.series("lines", o, "y", { "x", "label", "points", "dashed", "colour" }, "x")) do
    local y = numbers(c.y, "y")
    local x = (c.x or o.x) and numbers(c.x or o.x, "x")
    if x then gnuplot.same_length(x, y, "x and y") end
    local rows = {}
    for j = 1, #y do rows[j] = { x and num(x[j]) or tostring(j), num(y[j]) } end
    if #rows == 0 then rows[1] = { "NaN", "NaN" } end
    fig:block("d" .. i, rows)
    local style
    if o.file then
      local how = (c.points or #y == 1) and "linespoints pointtype 7 pointsize 0.7" or "lines"
      style = ("with %s linewidth 2 linecolor rgb '%s' dashtype %s"):format(how, gnuplot.rgb(c.colour or colour(i)),
        c.dashed and "2" or "1")
    else
      style = "with " .. (#y == 1 and "points" or "lines")
    end
    curves[i] = ("$d%d using 1:2 %s %s"):format(i, style, c.label and "title " .. fig:text(c.label) or "notitle")
  end
  if #curves == 0 then error("plot.lines: nothing to draw: expected arrays of numbers", 0) end
  return fig:finish(o, "plot " .. table.concat(curves, ", \\\n  "))
end

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
      curves[i] = ("$d%d using 1:2 with points pointtype 7 pointsize %.3g linecolor rgb '#30%s' notitle"):format(i, size,
        colour(i):sub(2))
      if name then legend[#legend + 1] = ("NaN with points pointtype 7 pointsize 1.1 linecolor rgb '%s' title %s")
        :format(colour(i), fig:text(name)) end
    else
      local mark = text.visible(tostring(k)):match("^" .. utf8.charpattern)
      curves[i] = ("$d%d using 1:2 with points pointtype %s title %s"):format(i, fig:text(mark ~= "" and mark or "*"), fig:text(name or ""))
    end
  end
  if o.class and #order > 1 and o.legend == nil then
    fig:add("set key outside right top")
    fig:add("unset rmargin")
  end
  return fig:finish(o, "plot " .. table.concat(table.move(legend, 1, #legend, #curves + 1, curves), ", \\\n  "))
end

-- Bin edges for all lists together: `bins` equal ones between the least and the greatest finite value.
local function histogram(lists, bins, range)
  local low, high = math.huge, -math.huge
  for _, list in ipairs(lists) do
    for _, v in ipairs(list) do
      if v == v and v ~= math.huge and v ~= -math.huge then low, high = math.min(low, v), math.max(high, v) end
    end
  end
  if range then
    local a, b = gnuplot.pair(range, "xrange")
    low, high = a or low, b or high
  end
  if not (low <= high) then error("plot.hist: no finite values", 0) end
  if low == high then
    local reach = math.max(0.5, math.abs(low) * 1e-6)
    low, high = low - reach, high + reach
  end
  local width, counts = high / bins - low / bins, {} -- neither end is so far off that the difference is infinite
  for i, list in ipairs(lists) do
    local c = {}
    for b = 1, bins do c[b] = 0 end
    for _, v in ipairs(list) do
      if v >= low and v <= high then
        local b = math.min(bins, (v - low) // width + 1) // 1
        c[math.tointeger(b)] = c[math.tointeger(b)] + 1
      end
    end
    counts[i] = c
  end
  return low, width, counts
end

-- plot.hist: arrays of values, or { values, label = ..., colour = ... }; bins (50); threshold = x draws a line there (a number or
-- { x, label = "..." }).
local function hist(o)
  gnuplot.check_options("hist", o, { "bins", "threshold", "values", "label", "colour" })
  local series, lists = gnuplot.series("hist", o, "values", { "label", "colour" }), {}
  for i, c in ipairs(series) do lists[i] = numbers(c.values, "values") end
  if #lists == 0 then error("plot.hist: nothing to draw: expected an array of numbers", 0) end
  local bins = o.bins or 50
  if not math.tointeger(bins) or bins < 1 or bins > 10000 then error("plot.hist: bins: expected an integer from 1 to 10000", 0) end
  local low, width, counts = histogram(lists, math.tointeger(bins), o.xrange)
  local fig = gnuplot.figure(o, { 800, 450 })
  fig:add("set style fill %s noborder", #lists > 1 and "transparent solid 0.55" or "solid 0.85")
  if not o.xrange then fig:add("set xrange [%s:%s]", num(low - width), num(low + width * (bins + 1))) end
  if o.file and not o.yrange then fig:add("set yrange [%s:*]", o.logy and "0.7" or "0") end
  if not o.ylabel then fig:add("set ylabel 'count'%s", o.file and " textcolor rgb '#222222'" or "") end
  local curves = {}
  for i, c in ipairs(counts) do
    local rows = {}
    for b = 1, #c do
      if c[b] > 0 or not o.logy then rows[#rows + 1] = { num(low + (b - 0.5) * width), num(c[b]), num(width * (o.file and 0.96 or 1)) } end
    end
    fig:block("d" .. i, rows)
    local paint = o.file and ("linecolor rgb '%s'"):format(gnuplot.rgb(series[i].colour or colour(i))) or ""
    local title = series[i].label and "title " .. fig:text(series[i].label) or "notitle"
    curves[i] = ("$d%d using 1:2:3 with boxes %s %s"):format(i, paint, title)
  end
  if o.threshold then
    local at, label = o.threshold, "threshold"
    if type(at) == "table" then at, label = at[1], at.label or label end
    if type(at) ~= "number" or at - at ~= 0 then error("plot.hist: threshold: expected a number or { number, label = ... }", 0) end
    fig:add("set arrow from first %s, graph 0 to first %s, graph 1 nohead front %s", num(at), num(at),
      o.file and "linewidth 1.8 dashtype (9,5) linecolor rgb '#cc3311'" or "")
    curves[#curves + 1] = ("NaN with lines %s title %s"):format(o.file and "linewidth 1.8 dashtype (9,5) linecolor rgb '#cc3311'" or "",
      fig:text(("%s %.4g"):format(label, at)))
  end
  return fig:finish(o, "plot " .. table.concat(curves, ", \\\n  "))
end

-- Quartiles by linear interpolation (as numpy's), whiskers at the last value within 1.5 interquartile ranges, the rest outliers.
local function five_numbers(values)
  local v = {}
  for _, x in ipairs(values) do
    if x == x then v[#v + 1] = x end
  end
  table.sort(v)
  if #v == 0 then error("plot.box: a list without values", 0) end
  local function quantile(q)
    local at = 1 + (#v - 1) * q
    local i = math.floor(at)
    return v[i] + (at - i) * ((v[i + 1] or v[i]) - v[i])
  end
  local q1, q2, q3 = quantile(0.25), quantile(0.5), quantile(0.75)
  local reach, low, high, out = 1.5 * (q3 - q1), q1, q3, {}
  for _, x in ipairs(v) do
    if x < q1 - reach or x > q3 + reach then
      out[#out + 1] = x
    else
      low, high = math.min(low, x), math.max(high, x)
    end
  end
  return { low = low, q1 = q1, q2 = q2, q3 = q3, high = high, out = out }
end

-- At most `most` of the outliers, evenly among the sorted, the outermost among them: a thousand on one spot show no more.
local function thin(list, most)
  if #list <= most then return list end
  local kept = {}
  for i = 0, most - 1 do kept[i + 1] = list[1 + i * (#list - 1) // (most - 1)] end
  return kept
end

-- plot.box: lists of values, each an array or { values, label = ... }.
local function box(o)
  gnuplot.check_options("box", o, { "values", "label" })
  local fig = gnuplot.figure(o, { 640, 500 })
  local boxes, outliers, tics, medians, series = {}, {}, {}, {}, gnuplot.series("box", o, "values", { "label" })
  for i, c in ipairs(series) do
    local b = five_numbers(numbers(c.values, "values"))
    boxes[i] = { tostring(i), num(b.q1), num(b.low), num(b.high), num(b.q3), "0x" .. colour(i):sub(2) }
    medians[i] = { tostring(i), num(b.q2) }
    for _, x in ipairs(thin(b.out, 400)) do outliers[#outliers + 1] = { tostring(i), num(x), "0x60" .. colour(i):sub(2) } end
    tics[i] = ("%s %d"):format(fig:text(c.label or i, true), i)
  end
  if #boxes == 0 then error("plot.box: nothing to draw: expected lists of numbers", 0) end
  fig:block("box", boxes)
  fig:block("median", medians)
  fig:add("set xtics (%s) scale 0", table.concat(tics, ", "))
  fig:add("set xrange [0.4:%s]", num(#boxes + 0.6))
  fig:add("unset key")
  if o.file then
    fig:add("set grid noxtics ytics")
    fig:add("set boxwidth 0.45 absolute")
    fig:add("set style fill solid 0.45 border")
  end
  local parts = {}
  if o.file then
    parts[1] = "$box using 1:2:3:4:5:6 with candlesticks linewidth 1.4 linecolor rgb variable whiskerbars 0.5"
    parts[2] = "$median using ($1-0.225):2:(0.45):(0) with vectors nohead linewidth 2.4 linecolor rgb '#222222'"
  else
    parts[1] = "$box using 1:2:3:4:5 with candlesticks whiskerbars 0.5"
    parts[2] = "$median using ($1-0.2):2:(0.4):(0) with vectors nohead"
  end
  if #outliers > 0 then
    fig:block("out", outliers)
    parts[#parts + 1] = o.file and "$out using 1:2:3 with points pointtype 6 pointsize 0.5 linecolor rgb variable"
      or "$out using 1:2 with points pointtype \"o\""
  end
  return fig:finish(o, "plot " .. table.concat(parts, ", \\\n  "))
end

-- A number by the user's format; %d takes whole floats too.
local function shown_as(format, v)
  return format:format(format:match("%%[%d%-+ #]*[diuxXc]") and math.tointeger(v) or v)
end

-- A heat map in the terminal: the numbers themselves in columns, or two shaded characters a cell.
local function cells_as_text(o, rows, low, high)
  local shades = { "  ", "..", "::", "--", "==", "++", "**", "##", "@@" }
  local out, width, names = {}, 1, 0
  local function name_of(i) return text.visible(tostring(o.ylabels and o.ylabels[i] or "")) end
  for i = 1, #(o.ylabels or {}) do names = math.max(names, #name_of(i)) end
  local function cell(v) return o.format and text.visible(shown_as(o.format, v)) or ("%.4g"):format(v) end
  for _, r in ipairs(rows) do
    for _, v in ipairs(o.annotate and numbers(r, "row") or {}) do width = math.max(width, #cell(v)) end
  end
  for i, r in ipairs(rows) do
    local line = {}
    for j, v in ipairs(numbers(r, "row")) do
      local level = v == v and math.min(8, math.max(0, (v - low) / (high - low) * 9 // 1)) or 0
      line[j] = o.annotate and (" "):rep(width + 1 - #cell(v)) .. cell(v) or shades[math.tointeger(level) + 1]
    end
    local name = name_of(i)
    out[i] = name .. (" "):rep(names - #name) .. " |" .. table.concat(line):match("^(.*%S)%s*$")
  end
  if o.title then table.insert(out, 1, text.visible(tostring(o.title))) end
  io.write(table.concat(out, "\n"), "\n")
end

-- plot.heatmap: rows of numbers, the first row at the top; xlabels and ylabels name columns and rows; annotate = true writes the numbers
-- in, by `format` ("%d" for integers, "%.2g" else).
local function heatmap(o)
  gnuplot.check_options("heatmap", o, { "xlabels", "ylabels", "annotate", "format", "values", "zrange", "bar" })
  local rows = gnuplot.table_of(o.values or o[1])
  if not rows or #rows == 0 then error("plot.heatmap: expected rows of numbers", 0) end
  local data, columns, low, high, integers = {}, nil, math.huge, -math.huge, true
  for i, r in ipairs(rows) do
    local row = numbers(r, ("row %d"):format(i))
    columns = columns or #row
    if #row ~= columns then error(("plot.heatmap: row %d has %d numbers, row 1 has %d"):format(i, #row, columns), 0) end
    for j, v in ipairs(row) do
      if v == v then low, high = math.min(low, v), math.max(high, v) end
      integers = integers and (v ~= v or v == math.floor(v))
      data[#data + 1] = { tostring(j), tostring(i), num(v) }
    end
  end
  if o.zrange then
    local a, b = gnuplot.pair(o.zrange, "zrange")
    low, high = a or low, b or high
  end
  for _, name in ipairs { "xlabels", "ylabels" } do
    if o[name] ~= nil and type(o[name]) ~= "table" then
      error(("plot.heatmap: %s: expected a list of names, got a %s"):format(name, type(o[name])), 0)
    end
  end
  if o.format ~= nil and type(o.format) ~= "string" then
    error("plot.heatmap: format: expected a format such as \"%.2f\", got a " .. type(o.format), 0)
  end
  if low >= high then low, high = low - 0.5, low + 0.5 end
  if not o.file then return cells_as_text(o, rows, low, high) end
  local fig = gnuplot.figure(o, { math.min(1200, 220 + 56 * columns), math.min(1200, 160 + 48 * #rows) })
  fig:block("cells", data)
  fig:add("set xrange [0.5:%g]", columns + 0.5)
  fig:add("set yrange [%g:0.5]", #rows + 0.5)
  fig:add("set cbrange [%s:%s]", num(low), num(high))
  fig:add("set palette defined (0 '#ffffff', 0.25 '#cfe1f2', 0.5 '#87bddc', 0.75 '#3787c0', 1 '#084488')")
  fig:add("unset grid")
  fig:add("set format cb '%s'", "%g")
  fig:add("unset key")
  fig:add("set border 0")
  fig:add("set rmargin %s", o.bar == false and "3" or "9")
  fig:add("set colorbox noborder")
  if o.bar == false then fig:add("unset colorbox") end
  local function tics(axis, labels, n)
    local list = {}
    local step = labels and 1 or math.max(1, n // 12)
    for i = 1, n, step do list[#list + 1] = ("%s %d"):format(fig:text(labels and labels[i] or i, true), i) end
    local long = 0
    for _, l in ipairs(labels or {}) do long = math.max(long, #tostring(l)) end
    local turn = axis == "x" and long > 4 and " rotate by -35" or ""
    fig:add("set %stics (%s) scale 0%s", axis, table.concat(list, ", "), turn)
  end
  tics("x", o.xlabels, columns)
  tics("y", o.ylabels, #rows)
  local parts = { "$cells using 1:2:3 with image" .. (o.annotate and " pixels" or "") }
  if o.annotate then
    local fmt = o.format or (integers and "%d" or "%.2g")
    local labels = {}
    for _, c in ipairs(data) do
      local v = tonumber(c[3])
      local shown = v and v == v and text.visible(shown_as(fmt, v)) or ""
      -- A text among data, which gnuplot takes as it stands up to the next quote.
      if shown:find('["\\]') then error("plot.heatmap: format: expected no quotes and backslashes in it, got " .. text.show(fmt), 0) end
      labels[#labels + 1] = { c[1], c[2], '"' .. shown .. '"', v and v > low + 0.55 * (high - low) and "0xffffff" or "0x222222" }
    end
    fig:block("labels", labels)
    parts[2] = ("$labels using 1:2:3:4 with labels font \",%d\" textcolor rgb variable"):format(columns > 16 and 7 or 10)
  end
  return fig:finish(o, "plot " .. table.concat(parts, ", \\\n  "))
end

-- Errors of a figure stand at the line that asked for it.
for name, draw in pairs { lines = lines, scatter = scatter, hist = hist, box = box, heatmap = heatmap,
  tiles = require "mascon.tiles" } do
  plots[name] = function(o)
    local ok, result = pcall(draw, o)
    if not ok then error(result, 2) end
    return result
  end
end

return require("mascon.names").guard(plots, "ms.plot")
