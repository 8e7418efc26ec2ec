-- Lines: curves over steps, epochs, thresholds.
local gnuplot = require "mascon.gnuplot"
local colour, num, numbers = gnuplot.colour, gnuplot.num, gnuplot.numbers

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
  return fig:plot("plot " .. table.concat(curves, ", \\\n  "))
end

return lines
