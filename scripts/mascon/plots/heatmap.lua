-- Heatmap: a matrix in colours, with its numbers.
local gnuplot = require "mascon.gnuplot"
local text = require "mascon.text"
local num, numbers = gnuplot.num, gnuplot.numbers

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
  if type(rows[1]) == "number" then error("plot.heatmap: expected rows of numbers in a list: plot.heatmap { { {1, 2}, {3, 4} } }", 0) end
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
  local parts = { "$cells using 1:2:3 with image" .. ((o.annotate or columns < 2 or #rows < 2) and " pixels" or "") }
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
  return fig:plot("plot " .. table.concat(parts, ", \\\n  "))
end

return heatmap
