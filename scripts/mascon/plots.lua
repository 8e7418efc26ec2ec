-- plots: figures, drawn by gnuplot (found at run time; data goes to it through a pipe).
--
--   plot.lines   { {y, y, ...}, { x = xs, y = ys, label = "val" }, title = "loss", xlabel = "epoch", file = "loss.png" }
--   plot.scatter { x = xs, y = ys, class = labels, classes = names, file = "codes.png" }
--   plot.hist    { values, bins = 60, threshold = 0.4, file = "losses.png" }
--   plot.box     { { values, label = "MNIST" }, { other, label = "Fashion" }, file = "norms.png" }
--   plot.tiles   { pictures, captions = { "x1", "x2" }, file = "pair.png" }
--   plot.heatmap { rows, xlabels = names, ylabels = names, annotate = true, file = "confusion.png" }
--   plot.panels  { { kind = "lines", critic, title = "critic" }, { kind = "lines", generator, title = "generator" }, file = "loss.png" }
--
-- Numbers come as Lua arrays or as anything with :totable() (a tensor). With `file` (.png or .svg) the figure is written there, whole or
-- not at all; without it, it is drawn with characters in the terminal. Options of all: title, caption (below the figure), xlabel, ylabel,
-- size = {width, height} in pixels, logx, logy, xrange = {low, high}, yrange, legend = false or where ("top left"), equal = true for a
-- unit as long on one axis as on the other.
--
-- One file in plots/ for each kind of figure: a function from its options to a figure (gnuplot.lua), or nothing if it has printed itself.
local gnuplot = require "mascon.gnuplot"
local text = require "mascon.text"
local ms = require "mascon"
local plots = { palette = gnuplot.palette }

local kinds = {}
for _, name in ipairs { "lines", "scatter", "hist", "box", "heatmap", "tiles" } do kinds[name] = require("mascon.plots." .. name) end

function kinds.panels(o)
  return require "mascon.plots.panels"(o, function(panel)
    local draw = kinds[panel.kind]
    if draw == nil or panel.kind == "panels" or panel.kind == "tiles" then
      error(("plot.panels: kind: expected lines, scatter, hist, box or heatmap, got %s"):format(text.show(panel.kind)), 0)
    end
    return draw
  end)
end

local EXAMPLE = { scatter = "x = xs, y = ys", box = "{ values, label = \"a\" }", tiles = "pictures", heatmap = "rows", hist = "values",
  panels = "{ kind = \"lines\", y }" }

-- Errors of a figure stand at the line that asked for it.
for name, draw in pairs(kinds) do
  plots[name] = function(o, ...)
    local more = select("#", ...) > 0
    local ok, result = pcall(function()
      if more or type(o) ~= "table" or getmetatable(o) ~= nil then
        local says = "plot.%s: expected one table, with the options in it: plot.%s { %s, title = \"...\", file = \"a.png\" }, got %s"
        local got = more and "more" or ms.is_tensor(o) and "a tensor" or o == nil and "nothing" or "a " .. type(o)
        error(says:format(name, name, EXAMPLE[name] or "y", got), 0)
      end
      local figure = draw(o)
      return figure and gnuplot.draw(figure, o) or nil
    end)
    if not ok then error(result, 2) end
    if result then return result end -- what is drawn in the terminal gives nothing, so that the prompt prints no nil below it
  end
end

return require("mascon.names").guard(plots, "ms.plot")
