-- Lines: curves over steps, epochs, thresholds.
local gnuplot = require "mascon.gnuplot"
local text = require "mascon.text"
local colour, num, numbers = gnuplot.colour, gnuplot.num, gnuplot.numbers

-- The points of a long curve that can be seen: of those that follow one another within half a column of pixels the first, the lowest, the
-- highest and the last. (gnuplot's cairo takes minutes for a line of 100,000 points, which crosses itself in every column.)
local function visible(x, y, o, width)
  local low, high = math.huge, -math.huge
  local function at(j)
    local v = x and x[j] or j
    return o.logx and (v > 0 and math.log(v) or 0 / 0) or v
  end
  for j = 1, #y do
    local v = at(j)
    if v - v == 0 then low, high = math.min(low, v), math.max(high, v) end
  end
  local kept, first, column = {}, 1, nil
  local function flush(last)
    local min, max = first, first
    for j = first, last do
      if y[j] < y[min] then min = j end
      if y[j] > y[max] then max = j end
    end
    local want = { first, math.min(min, max), math.max(min, max), last }
    for i, j in ipairs(want) do
      if i == 1 or j ~= want[i - 1] then kept[#kept + 1] = j end
    end
  end
  for j = 1, #y do
    local v = at(j)
    local c = v - v == 0 and y[j] - y[j] == 0 and math.floor((v - low) / (high - low) * 2 * width) or -j -- none: a place of its own
    if c ~= column and j > first then
      flush(j - 1)
      first = j
    end
    column = c
  end
  flush(#y)
  return kept
end

-- The corner of the figure where a legend covers the fewest points: curves are lists of { x =, y = } (x may be nil: counted); names: their
-- labels. Places are shares of the axes' lengths; points between two of a curve count, too.
local CORNERS = { { "top right", 1, 1 }, { "top left", 0, 1 }, { "bottom left", 0, 0 }, { "bottom right", 1, 0 } }
local function corner(curves, names, o, size)
  local low, high = { math.huge, math.huge }, { -math.huge, -math.huge }
  local function scaled(v, log) return not log and v or v > 0 and math.log(v) or 0 / 0 end
  local function place(c, j) return scaled(c.x and c.x[j] or j, o.logx), scaled(c.y[j], o.logy) end
  for _, c in ipairs(curves) do
    for j = 1, #c.y do
      for axis, v in ipairs { place(c, j) } do
        if v - v == 0 then low[axis], high[axis] = math.min(low[axis], v), math.max(high[axis], v) end
      end
    end
  end
  local longest = 0
  for _, name in ipairs(names) do longest = math.max(longest, utf8.len(text.visible(tostring(name)))) end
  local wide, tall = (8 * longest + 60) / (size[1] - 120), (20 * #names + 16) / (size[2] - 110)
  local covered = { 0, 0, 0, 0 }
  for _, c in ipairs(curves) do
    local step = math.max(1, #c.y // 2000)
    local u0, v0
    for j = 1, #c.y, step do
      local u, v = place(c, j)
      u, v = (u - low[1]) / (high[1] - low[1]), (v - low[2]) / (high[2] - low[2])
      for k = 1, u0 and 8 or 1 do
        local s, t = u, v
        if u0 then s, t = u0 + (u - u0) * k / 8, v0 + (v - v0) * k / 8 end
        for i, at in ipairs(CORNERS) do
          if math.abs(s - at[2]) < wide and math.abs(t - at[3]) < tall then covered[i] = covered[i] + 1 end
        end
      end
      u0, v0 = u, v
    end
  end
  local best = 1
  for i = 2, 4 do
    if covered[i] < covered[best] then best = i end
  end
  return CORNERS[best][1], covered[best]
end

-- plot.lines: series are arrays (x counts from 1) or { y = ..., x = ..., label = ..., points = true, dashed = true, colour = "#..." }.
local function lines(o)
  gnuplot.check_options("lines", o, { "x", "y", "label", "points", "dashed", "colour" })
  local fig = gnuplot.figure(o, { 800, 500 })
  local drawn, labels = {}, {}
  local curves, whole, least, most = {}, not o.logx, math.huge, -math.huge
  for i, c in ipairs(gnuplot.series("lines", o, "y", { "x", "label", "points", "dashed", "colour" }, "x")) do
    local y = numbers(c.y, "y")
    local x = (c.x or o.x) and numbers(c.x or o.x, "x")
    if x then gnuplot.same_length(x, y, "x and y") end
    drawn[i], labels[#labels + 1] = { x = x, y = y }, c.label
    local rows, width = {}, type(o.size) == "table" and o.size[1] or 800
    local kept = o.file and not c.points and not o.xrange and #y > 8 * width and visible(x, y, o, width)
    for at = 1, kept and #kept or #y do
      local j = kept and kept[at] or at
      rows[at] = { x and num(x[j]) or tostring(j), num(y[j]) }
    end
    for j = 1, whole and #y or 0 do
      local v = x and x[j] or j
      whole = v == math.floor(v)
      least, most = math.min(least, v), math.max(most, v)
      if not whole then break end
    end
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
  if whole and most - least <= 10 then fig:add("set xtics 1") end -- no half epochs
  if whole and most == least and not o.xrange then fig:add("set xrange [%s:%s]", num(least - 1), num(least + 1)) end
  if #curves == 0 then error("plot.lines: nothing to draw: expected arrays of numbers", 0) end
  if o.file and o.legend == nil and #labels > 0 then
    local size = type(o.size) == "table" and o.size or { 800, 500 }
    local place, covered = corner(drawn, labels, o, size)
    fig:add("set key %s", covered > 40 and "outside right top" or place) -- curves everywhere: beside them
    if covered > 40 then fig:add("set rmargin -1") end
  end
  return fig:plot("plot " .. table.concat(curves, ", \\\n  "))
end

return lines
