-- Box: lists of values side by side.
local gnuplot = require "mascon.gnuplot"
local colour, num, numbers = gnuplot.colour, gnuplot.num, gnuplot.numbers

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
  return fig:plot("plot " .. table.concat(parts, ", \\\n  "))
end

return box
