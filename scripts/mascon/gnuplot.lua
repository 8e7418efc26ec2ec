-- gnuplot: what all figures of mascon.plots share -- numbers in, looks, one run of gnuplot, the file put in its place.
local system = require "mascon.system"
local term = require "mascon.term"
local text = require "mascon.text"
local gnuplot = {}

-- ---- data ------------------------------------------------------------------------------------------------------------------------

function gnuplot.table_of(v)
  if type(v) == "table" and #v > 0 or type(v) == "table" and getmetatable(v) == nil then return v end
  local ok, list = pcall(function() return v:totable() end)
  if ok and type(list) == "table" then return list end
  return nil
end

-- An array of numbers, or an error that says which argument is none. Nested arrays of one column are taken as they are meant.
function gnuplot.numbers(v, what)
  local list = gnuplot.table_of(v) or error(("plot: %s: expected an array of numbers, got a %s"):format(what, type(v)), 0)
  local out = {}
  for i = 1, #list do
    local x = list[i]
    if type(x) == "table" and #x == 1 then x = x[1] end
    if type(x) ~= "number" then error(("plot: %s[%d]: expected a number, got a %s"):format(what, i, type(x)), 0) end
    out[i] = x
  end
  return out
end

function gnuplot.same_length(a, b, names)
  if #a ~= #b then error(("plot: %s differ in length: %d and %d"):format(names, #a, #b), 0) end
end

-- gnuplot reads NaN as a gap; infinities cannot be drawn either.
function gnuplot.num(x)
  if x ~= x or x == math.huge or x == -math.huge then return "NaN" end
  return math.type(x) == "integer" and ("%d"):format(x) or ("%.9g"):format(x)
end

-- A text between double quotes, safe for gnuplot: no escapes, no enhanced markup (that is switched off), no line ends.
function gnuplot.quote(s)
  return '"' .. tostring(s):gsub('[\\"]', "\\%0"):gsub("[%c]", " ") .. '"'
end

-- ---- looks -----------------------------------------------------------------------------------------------------------------------

-- Ten colours that stay apart for colour-blind eyes and in print (Paul Tol's "bright" and "vibrant" schemes, mixed).
local palette = { "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee7733", "#004488", "#009988", "#777777" }
gnuplot.palette = palette

function gnuplot.colour(i) return palette[(i - 1) % #palette + 1] end

local common = { "title", "xlabel", "ylabel", "file", "size", "logx", "logy", "xrange", "yrange", "legend" }

function gnuplot.check_options(what, o, own)
  if type(o) ~= "table" then error(("plot.%s: expected a table, got a %s"):format(what, type(o)), 0) end
  local names = table.move(common, 1, #common, #own + 1, { table.unpack(own) })
  for k in pairs(o) do
    if type(k) == "string" then
      local known = false
      for _, name in ipairs(names) do known = known or name == k end
      if not known then error(("plot.%s: unknown option '%s'%s"):format(what, k, text.hint(k, names)), 0) end
    end
  end
end

-- An array part of plain numbers, or one tensor: one series; else a list of series.
function gnuplot.series_list(o)
  if type(o[1]) == "number" then return { table.move(o, 1, #o, 1, {}) } end
  if #o == 0 and (o.y or o.values) then return { o } end
  return table.move(o, 1, #o, 1, {})
end

local terminals = {
  png = 'pngcairo noenhanced font "DejaVu Sans,%d" fontscale 1 linewidth 1 background "#ffffff" size %d,%d',
  svg = 'svg noenhanced font "DejaVu Sans,%d" linewidth 1 background "#ffffff" dynamic size %d,%d',
}

function gnuplot.heading(o, default_size)
  local s = {}
  local function add(fmt, ...) s[#s + 1] = select("#", ...) > 0 and fmt:format(...) or fmt end
  local extension
  if o.file then
    extension = o.file:match("%.(%w+)$")
    extension = extension and extension:lower()
    if not terminals[extension] then
      error(("plot: file '%s': expected a name that ends in .png or .svg"):format(o.file), 0)
    end
    local w, h = default_size[1], default_size[2]
    if o.size then w, h = math.tointeger(o.size[1]), math.tointeger(o.size[2]) end
    if not (w and h and w >= 100 and h >= 100 and w <= 10000 and h <= 10000) then
      error("plot: size: expected {width, height} in pixels, 100 to 10000", 0)
    end
    add("set terminal " .. terminals[extension]:format(11, w, h))
  else
    local columns = math.min(term.columns(1) or 80, 120)
    add("set terminal dumb noenhanced size %d,%d aspect 1 mono", columns - 1, math.max(16, columns // 4))
  end
  add("set encoding utf8")
  if o.file then
    add("set border 3 linewidth 1 linecolor rgb '#555555'")
    add("set tics nomirror out scale 0.6 textcolor rgb '#333333'")
    add("set grid back linetype 1 linewidth 0.6 linecolor rgb '#e2e2e2'")
    add("set tmargin %s", o.title and "3" or "1.5")
    add("set rmargin 3")
    add("set key top right samplen 2 spacing 1.15 textcolor rgb '#333333' opaque fillcolor rgb '#ffffff' noautotitle")
  else
    add("set tics nomirror")
    add("set key top right noautotitle")
  end
  local ink = o.file and " textcolor rgb '#222222'" or ""
  if o.title then add("set title %s%s", gnuplot.quote(o.title), o.file and ' font ",13" textcolor rgb "#111111" offset 0,-0.2' or "") end
  if o.xlabel then add("set xlabel %s%s", gnuplot.quote(o.xlabel), ink) end
  if o.ylabel then add("set ylabel %s%s", gnuplot.quote(o.ylabel), ink) end
  if o.logx then add("set logscale x") end
  if o.logy then add("set logscale y") end
  for _, axis in ipairs { "x", "y" } do
    local r = o[axis .. "range"]
    if r then add("set %srange [%s:%s]", axis, r[1] and gnuplot.num(r[1]) or "*", r[2] and gnuplot.num(r[2]) or "*") end
  end
  if o.legend == false then
    add("unset key")
  elseif type(o.legend) == "string" then
    if not o.legend:match("^[%a ]+$") then error("plot: legend: expected false or a place such as \"top left\"", 0) end
    add("set key %s", o.legend)
  end
  return s, add
end

-- A named block of rows, each an array of ready texts.
function gnuplot.block(add, name, rows)
  local lines = { "$" .. name .. " << EOD" }
  for _, r in ipairs(rows) do lines[#lines + 1] = table.concat(r, " ") end
  lines[#lines + 1] = "EOD"
  add("%s", table.concat(lines, "\n"))
end

local function run_gnuplot(script)
  local status, output = system.run({ "gnuplot", "-" }, script)
  if not status then
    if output:find("No such file", 1, true) then
      error("plot: gnuplot is not installed; figures need it: apt install gnuplot-nox", 0)
    end
    error("plot: " .. output, 0)
  end
  if status ~= 0 then error(("plot: gnuplot failed (%d): %s"):format(status, output:gsub("%s+$", ""):gsub("^%s+", "")), 0) end
  return output
end

-- Run the script; the last command is `what` (plot ...). Returns the file's name, or prints the drawing.
function gnuplot.finish(o, s, what)
  if not o.file then
    s[#s + 1] = what
    local drawing = run_gnuplot(table.concat(s, "\n") .. "\n")
    drawing = drawing:gsub("\f", ""):gsub("[ \t]+\n", "\n"):gsub("^\n+", ""):gsub("\n+$", "\n")
    io.write(drawing)
    return nil
  end
  local folder, name = o.file:match("^(.*/)([^/]*)$")
  if folder then assert(system.mkdir(folder:gsub("(.)/+$", "%1"))) end
  local temporary = ("%s.%s.%d.new"):format(folder or "", name or o.file, system.pid())
  table.insert(s, 2, "set output " .. gnuplot.quote(temporary))
  s[#s + 1] = what
  s[#s + 1] = "unset output"
  local ok, message = pcall(run_gnuplot, table.concat(s, "\n") .. "\n")
  if ok and system.kind(temporary) ~= "file" then ok, message = false, "plot: gnuplot wrote nothing" end
  if ok then ok, message = os.rename(temporary, o.file) end
  if not ok then
    os.remove(temporary)
    error(message, 0)
  end
  return o.file
end

return gnuplot
