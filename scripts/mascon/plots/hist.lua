-- Hist: how values are spread.
local gnuplot = require "mascon.gnuplot"
local text = require "mascon.text"
local colour, num, numbers = gnuplot.colour, gnuplot.num, gnuplot.numbers

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
  if high - low <= math.max(math.abs(low), math.abs(high)) * 1e-12 then -- or so near that gnuplot sees no range
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

local MARKS = { "#cc3311", "#222222", "#009988", "#aa3377" }

-- The lines drawn across a histogram, each { at =, label = }: the threshold, then the marks.
local function marks(o)
  local list = {}
  local function mark(v, name, label)
    local at = v
    if type(v) == "table" then at, label = v[1], v.label or label end
    label = tostring(label)
    if type(at) ~= "number" or at - at ~= 0 then
      error(("plot.hist: %s: expected a number or { number, label = ... }, got %s"):format(name, text.show(at)), 0)
    end
    list[#list + 1] = { at = at, label = label }
  end
  if o.threshold ~= nil then mark(o.threshold, "threshold", "threshold") end
  if o.marks ~= nil and type(o.marks) ~= "table" then error("plot.hist: marks: expected a list, got a " .. type(o.marks), 0) end
  for i, v in ipairs(o.marks or {}) do mark(v, ("marks[%d]"):format(i), "mark") end
  return list
end

-- plot.hist: arrays of values, or { values, label = ..., colour = ... }; bins (50); threshold = x draws a line there (a number or
-- { x, label = "..." }, to which the number is added where it has none); marks = a list of such draws more of them.
local function hist(o)
  gnuplot.check_options("hist", o, { "bins", "threshold", "marks", "values", "label", "colour" })
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
  for i, mark in ipairs(marks(o)) do
    local style = o.file and ("linewidth 1.8 dashtype (9,5) linecolor rgb '%s'"):format(MARKS[(i - 1) % #MARKS + 1]) or ""
    fig:add("set arrow from first %s, graph 0 to first %s, graph 1 nohead front %s", num(mark.at), num(mark.at), style)
    local label = mark.label:find "%d" and mark.label or ("%s %.4g"):format(mark.label, mark.at)
    curves[#curves + 1] = ("NaN with lines %s title %s"):format(style, fig:text(label))
  end
  return fig:plot("plot " .. table.concat(curves, ", \\\n  "))
end

return hist
