-- gnuplot: what all figures of mascon.plots share -- numbers in, looks, one run of gnuplot, the file put in its place.
--
-- A figure's commands are made here and hold no text of anybody else's, since gnuplot runs shell commands that it finds in backticks,
-- follows macros, and opens pipes for names that begin with < or |. Texts are lines of a data block, $text, which gnuplot does not read
-- as commands; commands speak of them as $text[3]. Numbers are checked to be numbers, words come from lists, and gnuplot is given no
-- file names at all: the picture comes back through a pipe.
local options = require "mascon.options"
local plain = require "mascon.plain"
local system = require "mascon.system"
local term = require "mascon.term"
local text = require "mascon.text"
local gnuplot = {}

-- ---- data ------------------------------------------------------------------------------------------------------------------------

-- A list, or what stands behind a tensor as lists; nil for anything else.
function gnuplot.table_of(v)
  if type(v) == "table" and (#v > 0 or getmetatable(v) == nil) then return v end
  if type(v) ~= "table" and type(v) ~= "userdata" then return nil end
  local list = plain(v, { whole = true })
  return type(list) == "table" and list or nil
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

-- A number for gnuplot, which reads NaN as a gap; infinities cannot be drawn either.
function gnuplot.num(x, what)
  if type(x) ~= "number" then error(("plot: %s: expected a number, got a %s"):format(what or "value", type(x)), 0) end
  if x ~= x or x == math.huge or x == -math.huge then return "NaN" end
  return math.type(x) == "integer" and ("%d"):format(x) or ("%.9g"):format(x)
end

-- A colour, for a place between quotes.
function gnuplot.rgb(c)
  if type(c) ~= "string" or not (c:match("^#%x%x%x%x%x%x$") or c:match("^#%x%x%x%x%x%x%x%x$")) then
    error(("plot: colour: expected \"#rrggbb\", got %s"):format(text.show(c)), 0)
  end
  return c
end

-- ---- looks -----------------------------------------------------------------------------------------------------------------------

-- Ten colours, found by a search: any two are a CIE distance of 26 apart or more (the first two: 49), as most eyes see them and as those do
-- that lack the red, the green or the blue cones; tests/lua/test_figures.lua computes it.
local palette = { "#1f66b4", "#dc0c4f", "#9c7a00", "#1dcfd6", "#5b2d59", "#ffa073", "#2b4500", "#c2c005", "#9aa8ff", "#ff4997" }
gnuplot.palette = palette

-- Shapes of points: filled circle, square, triangles, diamond, pentagon, then the same shapes open.
local MARKERS = { 7, 5, 9, 11, 13, 15, 6, 4, 8, 12 }

function gnuplot.colour(i) return palette[(i - 1) % #palette + 1] end

-- The shape of class i: beyond ten classes colours come again, with another shape each time.
function gnuplot.marker(i) return MARKERS[(i - 1 + (i - 1) // #palette) % #MARKERS + 1] end

local common = { "title", "caption", "xlabel", "ylabel", "file", "size", "logx", "logy", "xrange", "yrange", "legend", "equal" }

function gnuplot.check_keys(what, t, names)
  local known = {}
  for _, name in ipairs(names) do known[name] = true end
  for k in pairs(t) do
    if type(k) == "string" and not known[k] then
      error(("plot.%s: unknown option %s%s"):format(what, text.show(k), options.hint(k, known)), 0)
    end
  end
end

-- {width, height} in pixels.
local function check_size(size)
  if type(size) ~= "table" then error("plot: size: expected {width, height} in pixels, got a " .. type(size), 0) end
  local w, h = math.tointeger(size[1]), math.tointeger(size[2])
  if not (w and h and w >= 100 and h >= 100 and w <= 10000 and h <= 10000) then
    error("plot: size: expected {width, height} in pixels, 100 to 10000", 0)
  end
  return w, h
end

function gnuplot.check_options(what, o, own)
  if type(o) ~= "table" then error(("plot.%s: expected a table, got a %s"):format(what, type(o)), 0) end
  local last, count = 0, 0
  for k in pairs(o) do
    if math.type(k) == "integer" and k >= 1 then last, count = math.max(last, k), count + 1 end
  end
  if count < last then
    local hole = 1
    while o[hole] ~= nil do hole = hole + 1 end
    error(("plot.%s: entry %d is nil: a hole in the list"):format(what, hole), 0)
  end
  if o.size ~= nil then check_size(o.size) end
  local names = table.move(common, 1, #common, #own + 1, { table.unpack(own) })
  gnuplot.check_keys(what, o, names)
end

-- The series of a figure, each { [data] = numbers, and its options }. A series is an array or a tensor, { [data] = ..., options }, or
-- { numbers, options }; the figure's array part holds several, or is one itself. `names`: a series' options, which may stand among the
-- figure's where there is one series only; `shared` is one that serves all of them.
function gnuplot.series(what, o, data, names, shared)
  local allowed, list = table.move(names, 1, #names, 2, { data }), {}
  local function series(c, given)
    local one = { [data] = c }
    for _, name in ipairs(names) do one[name] = given[name] end
    list[#list + 1] = one
  end
  if type(o[1]) == "number" then
    series(table.move(o, 1, #o, 1, {}), o)
  elseif #o == 0 and o[data] ~= nil then
    series(o[data], o)
  else
    for i = 1, #o do
      local c = o[i]
      if type(c) ~= "table" then
        series(c, #o == 1 and o or {})
      else
        if getmetatable(c) == nil then gnuplot.check_keys(what, c, allowed) end
        local wrapped = c[data] == nil and type(c[1]) ~= "number" and c[1] ~= nil
        series(c[data] or (wrapped and c[1]) or c, c)
        for _, name in ipairs(#o == 1 and names or {}) do
          if list[i][name] == nil then list[i][name] = o[name] end
        end
      end
    end
    for _, name in ipairs(#o > 1 and allowed or {}) do
      if o[name] ~= nil and name ~= shared then
        error(("plot.%s: %s belongs into one of the %d series: { ..., %s = ... }"):format(what, name, #o, name), 0)
      end
    end
  end
  return list
end

local terminals = {
  png = 'pngcairo noenhanced font "DejaVu Sans,%d" fontscale 1 linewidth 1 background "#ffffff" size %d,%d',
  svg = 'svg noenhanced font "DejaVu Sans,%d" linewidth 1 background "#ffffff" dynamic size %d,%d',
}

local places = { left = 1, right = 1, top = 1, bottom = 1, center = 1, inside = 1, outside = 1, above = 1, below = 1, horizontal = 1,
  vertical = 1 }

-- A figure: its commands, its blocks of data, its texts, and at the end the command that plots (fig:plot). fig:add(format, ...) appends a
-- command. A figure of panels holds others.
local Figure = { __name = "mascon.figure" }
Figure.__index = Figure

function Figure:add(fmt, ...) self[#self + 1] = select("#", ...) > 0 and fmt:format(...) or fmt end

-- A text as a gnuplot expression. What a terminal or a file could take for a command of its own is made visible; a line end becomes a
-- space. tic: the text names a place on an axis, where gnuplot looks for formats.
function Figure:text(s, tic)
  s = text.visible((tostring(s):gsub("[\r\n]+", " ")))
  if tic then s = s:gsub("%%", "%%%%") end
  self.texts[#self.texts + 1] = "." .. s -- the dot: no line of the block is the word that ends it
  return ("$text[%d][2:*]"):format(#self.texts)
end

-- A named block of rows, each an array of ready numbers.
function Figure:block(name, rows)
  local lines = { "$" .. name .. " << EOD" }
  for _, r in ipairs(rows) do lines[#lines + 1] = table.concat(r, " ") end
  lines[#lines + 1] = "EOD"
  self:add("%s", table.concat(lines, "\n"))
end

-- The caption, below everything, in lines of the figure's width. In the terminal it comes after the drawing (gnuplot.draw).
function Figure:caption(o)
  if not o.file then return end
  local lines, line, wide = {}, nil, self.width / 7 // 1
  for word in tostring(o.caption):gmatch "%S+" do
    if line and utf8.len(text.visible(line)) + #word >= wide then
      lines[#lines + 1], line = line, nil
    end
    line = line and line .. " " .. word or word
  end
  lines[#lines + 1] = line
  self:add("set bmargin %g", #lines * 1.1 + (o.xlabel and 4.1 or 2.6))
  for i, l in ipairs(lines) do
    self:add("set label %s at screen 0.5, char %g center font ',10' textcolor rgb '#444444'", self:text(l), (#lines - i) * 1.1 + 0.8)
  end
end

local function pair(v, what)
  if type(v) ~= "table" then error(("plot: %s: expected {low, high}, got a %s"):format(what, type(v)), 0) end
  if v[1] ~= nil and v[1] == v[2] then
    error(("plot: %s: expected {low, high}, two numbers, got %s twice"):format(what, text.show(v[1])), 0)
  end
  return v[1] and gnuplot.num(v[1], what), v[2] and gnuplot.num(v[2], what)
end

-- low, high of an option such as zrange: numbers or nil.
function gnuplot.pair(v, what)
  pair(v, what)
  return v[1], v[2]
end

-- A figure with what the options of all figures ask for.
function gnuplot.figure(o, default_size)
  local fig = setmetatable({ texts = {} }, Figure)
  local function add(...) fig:add(...) end
  if o.file then
    if type(o.file) ~= "string" then error(("plot: file: expected the name of a file, got a %s"):format(type(o.file)), 0) end
    local extension = o.file:match("%.(%w+)$")
    extension = extension and extension:lower()
    if not terminals[extension] then
      error(("plot: file %s: expected a name that ends in .png or .svg"):format(text.show(o.file)), 0)
    end
    local w, h = check_size(o.size or default_size)
    fig.extension, fig.width = extension, w
    fig.terminal = "set terminal " .. terminals[extension]:format(11, w, h)
  else
    local columns = math.max(40, math.min(term.columns(1) or 80, 120))
    fig.terminal = ("set terminal dumb noenhanced size %d,%d aspect 1 mono"):format(columns - 1, math.max(16, columns // 4))
  end
  add("set encoding utf8")
  if o.file then
    add("set border 3 linewidth 1 linecolor rgb '#555555'")
    add("set tics nomirror out scale 0.6 textcolor rgb '#333333'")
    add("set grid back linetype 1 linewidth 0.6 linecolor rgb '#e2e2e2'")
    add("set tmargin %s", o.title and "3" or "1.5")
    add("set rmargin 5") -- half of a number of seven digits at the end of the axis
    add("set key top right samplen 2 spacing 1.15 textcolor rgb '#333333' opaque fillcolor rgb '#ffffff' noautotitle")
  else
    add("set tics nomirror")
    add("set key top right noautotitle")
  end
  local ink = o.file and " textcolor rgb '#222222'" or ""
  if o.title then add("set title %s%s", fig:text(o.title), o.file and ' font ",13" textcolor rgb "#111111" offset 0,-0.2' or "") end
  if o.xlabel then add("set xlabel %s%s", fig:text(o.xlabel), ink) end
  if o.ylabel then add("set ylabel %s%s", fig:text(o.ylabel), ink) end
  if o.caption then fig:caption(o) end
  if o.equal ~= nil and type(o.equal) ~= "boolean" then error("plot: equal: expected true or false, got " .. text.show(o.equal), 0) end
  if o.equal then add("set size ratio -1") end
  if o.logx then add("set logscale x") end
  if o.logy then add("set logscale y") end
  for _, axis in ipairs { "x", "y" } do
    local name = axis .. "range"
    if o[name] then
      local low, high = pair(o[name], name)
      add("set %s [%s:%s]", name, low or "*", high or "*")
    end
  end
  if o.legend == false then
    add("unset key")
  elseif o.legend ~= nil then
    for word in (type(o.legend) == "string" and o.legend or "?"):gmatch("%S+") do
      if not places[word] then error("plot: legend: expected false or a place such as \"top left\", got " .. text.show(o.legend), 0) end
    end
    add("set key %s", o.legend)
    if o.legend:find "outside" then add("set rmargin -1") end -- as wide as it needs
    if o.legend:find "above" then add("set tmargin -1") end
  end
  return fig
end

-- ---- drawing -----------------------------------------------------------------------------------------------------------------------

-- The last bytes of a picture that is whole.
local endings = { png = "IEND\xAE\x42\x60\x82", svg = "</svg>" }

-- -d: no start-up files of the user's, which could set anything.
local function run_gnuplot(script)
  local status, output, complaints = system.run({ "gnuplot", "-d", "-" }, script)
  if not status then
    if output:find("No such file", 1, true) then
      error("plot: gnuplot is not installed; figures need it: apt install gnuplot-nox", 0)
    end
    if system.sandboxed() then
      error("plot: figures are drawn by gnuplot, a process of its own, which mascon --sandbox does not allow", 0)
    end
    error("plot: " .. output, 0)
  end
  if status ~= 0 then
    if complaints:find "undefined!" or complaints:find "range is invalid" or complaints:find "axis undefined" then
      error("plot: these data cannot be drawn: expected points whose numbers are finite, below 1e300, and above 0 on an axis with logx or "
        .. "logy, within xrange and yrange", 0)
    end
    error(("plot: gnuplot failed (%d): %s"):format(status, complaints:gsub("%s+$", ""):gsub("^%s+", "")), 0)
  end
  return output
end

-- The command that plots; gives the figure.
function Figure:plot(what)
  self.what = what
  return self
end

-- A figure of panels: figures in rows and columns under a title.
function Figure:holds(figures, rows, columns, title)
  self.panels, self.layout = figures, ("set multiplot layout %d,%d"):format(rows, columns)
  if title then self.layout = self.layout .. " title " .. self:text(title) .. ' font ",14"' end
  return self
end

-- The commands of a figure, its texts before them.
local function commands(figure, last)
  local script = {}
  if #figure.texts > 0 then script = { "$text << MASCON_END", table.concat(figure.texts, "\n"), "MASCON_END" } end
  table.move(figure, 1, #figure, #script + 1, script)
  script[#script + 1] = last
  return table.concat(script, "\n")
end

-- Draw a figure. Returns the file's name, or prints the drawing. A file that is there stays as it was until the new one is on the disk,
-- whole.
function gnuplot.draw(figure, o)
  local script = { figure.terminal, commands(figure, figure.what or figure.layout) }
  for _, panel in ipairs(figure.panels or {}) do script[#script + 1] = "reset\n" .. commands(panel, panel.what) end
  if figure.panels then script[#script + 1] = "unset multiplot" end
  local drawing = run_gnuplot(table.concat(script, "\n") .. "\n")
  if not o.file then
    drawing = drawing:gsub("\f", ""):gsub("[ \t]+\n", "\n"):gsub("^\n+", ""):gsub("\n+$", "\n")
    io.write(drawing)
    if o.caption then io.write(text.visible(tostring(o.caption)), "\n") end
    return nil
  end
  if not drawing:find(endings[figure.extension], -16, true) then error("plot: gnuplot did not finish the picture", 0) end
  local folder = o.file:match("^(.*)/[^/]*$")
  if folder and folder ~= "" then
    local ok, message = system.mkdir(folder)
    if not ok then error("plot: " .. message, 0) end
  end
  local ok, message = system.replace(o.file, drawing)
  if not ok then
    error(("plot: %s; the figure is not written%s"):format(message, system.kind(o.file) == "file" and ", the old one stays" or ""), 0)
  end
  return o.file
end

return gnuplot
