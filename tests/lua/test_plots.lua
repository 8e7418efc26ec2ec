-- gcstress: every 20
-- luacheck: globals TestPlots TestHostilePlots
local checks = require "checks"
local lu = require "luaunit"
local plots = require "mascon.plots"
local system = require "mascon.system"

local contents = checks.contents

local program = os.getenv "MASCON" or "build/mascon"

-- Width and height of a PNG from its header (big-endian, bytes 17-24).
local function png_size(path)
  local bytes = contents(path)
  lu.assertEquals(bytes:sub(1, 8), "\137PNG\r\n\26\n")
  return (">I4I4"):unpack(bytes, 17)
end

-- What is printed while f runs.
local function printed(f)
  local kept, real = {}, io.write
  io.write = function(...) kept[#kept + 1] = table.concat { ... } end -- luacheck: ignore
  local ok, e = pcall(f)
  io.write = real -- luacheck: ignore
  if not ok then error(e, 0) end
  return table.concat(kept)
end

local matrix = { { 5, 1 }, { 0, 7 } }
local kinds = {
  lines = { { 3, 2, 1 }, { x = { 1, 3 }, y = { 2, 2.5 }, label = "val", points = true, dashed = true }, title = 'a "quoted" \\ $title' },
  scatter = { x = { 1, 2, 3 }, y = { 1, 2, 1 }, class = { 1, 2, 1 }, classes = { "one", "two_of" }, title = "codes" },
  hist = { { 1, 2, 2, 3, 3, 3, 0 / 0 }, bins = 3, threshold = { 2.5, label = "limit" } },
  box = { { 1, 2, 3, 4, 50 }, { values = { 2, 3, 4 }, label = "second" } },
  panels = { { kind = "lines", { 3, 2, 1 }, title = "critic" }, { kind = "hist", { 1, 2, 2 }, marks = { { 1.5, label = "m" }, 2 } },
    { kind = "heatmap", matrix, annotate = true }, columns = 2, title = "all of `it`" },
  heatmap = { matrix, annotate = true, xlabels = { "cat", "dog" }, ylabels = { "cat", "dog" }, title = "confusion" },
}

local function with(spec, extra)
  local o = {}
  for k, v in pairs(spec) do o[k] = v end
  for k, v in pairs(extra) do o[k] = v end
  return o
end

TestPlots = {}

function TestPlots:setUp()
  self.dir = os.tmpname()
  os.remove(self.dir)
  self.dir = self.dir .. ".d"
  assert(system.mkdir(self.dir))
end

-- The folder must be empty but for the figures: a temporary file left behind makes os.remove of the folder fail.
function TestPlots:tearDown()
  for name in pairs(kinds) do
    os.remove(self.dir .. "/" .. name .. ".png")
    os.remove(self.dir .. "/" .. name .. ".svg")
  end
  lu.assertTrue(os.remove(self.dir))
end

function TestPlots:test_every_kind_as_png()
  for name, spec in pairs(kinds) do
    local path = self.dir .. "/" .. name .. ".png"
    lu.assertEquals(plots[name](with(spec, { file = path, size = { 320, 240 } })), path)
    lu.assertEquals({ png_size(path) }, { 320, 240, 25 })
  end
end

function TestPlots:test_every_kind_as_svg()
  for name, spec in pairs(kinds) do
    local path = self.dir .. "/" .. name .. ".svg"
    plots[name](with(spec, { file = path }))
    local svg = contents(path)
    lu.assertStrContains(svg, "<svg")
    lu.assertStrContains(svg, "</svg>")
  end
  lu.assertStrContains(contents(self.dir .. "/lines.svg"), 'a "quoted" \\ $title')
  lu.assertStrContains(contents(self.dir .. "/scatter.svg"), "two_of")
  lu.assertStrContains(contents(self.dir .. "/hist.svg"), "limit 2.5")
  lu.assertStrContains(contents(self.dir .. "/box.svg"), "second")
  lu.assertStrContains(contents(self.dir .. "/heatmap.svg"), ">7<")
end

-- The figure makes room for a legend that is outside, where nothing is drawn over curves.
function TestPlots:test_a_legend_outside_is_outside()
  local path = self.dir .. "/lines.svg"
  plots.lines { { y = { 1, 2, 7 }, x = { 10, 20, 30 }, label = "a long name" }, legend = "outside right", file = path }
  local function at(text) return tonumber(contents(path):match("translate%(([%d.]+),[%d.]+%)[^\n]*\n%s*<text>%s*" .. text .. "</text>")) end
  lu.assertTrue(at "a long name" > at "30" + 20) -- where the name ends, and where the axis does
end

function TestPlots.test_every_kind_in_the_terminal()
  for name, spec in pairs(kinds) do
    local drawing = printed(function() plots[name](spec) end)
    lu.assertTrue(select(2, drawing:gsub("\n", "")) >= 3, name)
  end
  local heat = printed(function() plots.heatmap(kinds.heatmap) end)
  lu.assertEquals(heat, "confusion\ncat | 5 1\ndog | 0 7\n")
end

function TestPlots.test_things_with_totable_are_numbers()
  local tensor = setmetatable({}, { __index = { totable = function() return { 1, 4, 9 } end } })
  lu.assertStrContains(printed(function() plots.lines { tensor, title = "squares" } end), "squares")
end

function TestPlots:test_the_old_file_stays_when_drawing_fails()
  local path = self.dir .. "/lines.png"
  plots.lines { { 1, 2 }, file = path }
  local before = contents(path)
  lu.assertError(plots.lines, { { 1, 2 }, file = path, legend = "no such place" })
  lu.assertTrue(contents(path) == before)
end

function TestPlots:test_what_cannot_be_drawn_is_said()
  local file, nan = self.dir .. "/lines.png", 0 / 0
  local function no(message, kind, o)
    o.file = file
    checks.fails(message, plots[kind], o)
  end
  no("these data cannot be drawn: expected points whose numbers are finite", "lines", { { nan, nan } })
  no("these data cannot be drawn", "lines", { { -1, -2 }, logy = true })
  no("these data cannot be drawn", "scatter", { x = { nan }, y = { 1 } })
  no("these data cannot be drawn", "heatmap", { { { nan, nan }, { nan, nan } } })
  no("hist: no finite values", "hist", { { nan } })
  no("marks[2]: expected a number or { number, label = ... }, got 'x'", "hist", { { 1, 2 }, marks = { 1, "x" } })
  no("panel 2: plot.hist: no finite values", "panels", { { kind = "lines", { 1, 2 } }, { kind = "hist", { nan } } })
  no("kind: expected lines, scatter, hist, box or heatmap, got 'pie'", "panels", { { kind = "pie", { 1, 2 } } })
  no("panel 1: size is for the whole figure", "panels", { { kind = "lines", { 1, 2 }, size = { 200, 200 } } })
  no("columns: expected a whole number from 1 to 20, got 0", "panels", { { kind = "lines", { 1, 2 } }, columns = 0 })
  no("equal: expected true or false, got 1", "scatter", { x = { 1, 2 }, y = { 1, 2 }, equal = 1 })
  lu.assertNil(system.kind(file))
end

-- One row, one column, one number: matrices too small for gnuplot's images.
function TestPlots:test_small_heat_maps()
  for _, rows in ipairs { { { 1, 2, 3 } }, { { 1 }, { 2 } }, { { 1 } } } do
    plots.heatmap { rows, file = self.dir .. "/heatmap.png" }
    lu.assertEquals(system.kind(self.dir .. "/heatmap.png"), "file")
  end
end

function TestPlots:test_options_of_a_series_are_never_dropped()
  local path = self.dir .. "/lines.svg"
  local function has(draw, spec, ...)
    draw(with(spec, { file = path }))
    local svg = contents(path)
    for _, text in ipairs { ... } do lu.assertTrue(svg:find(text, 1, true) ~= nil, text) end
  end
  has(plots.lines, { 1, 2, 3, label = "mine", dashed = true, colour = "#123456" }, "mine", "dasharray", "rgb( 18,  52,  86)")
  has(plots.lines, { { 1, 2, 3, label = "mine", dashed = true } }, "mine", "dasharray")
  has(plots.lines, { { { 1, 2, 3 }, label = "mine" } }, "mine")
  has(plots.lines, { y = { 1, 2 }, x = { 3, 4 }, label = "mine" }, "mine")
  has(plots.lines, { { 1, 2 }, { 2, 3 }, x = { 7, 9 } }, "> 9<")
  has(plots.hist, { { 1, 2, 3 }, label = "mine" }, "mine")
  has(plots.hist, { 1, 2, 3, label = "mine" }, "mine")
  has(plots.box, { { { 1, 2, 3 }, label = "mine" }, { values = { 2, 4 }, label = "other" } }, "mine", "other")
  lu.assertErrorMsgContains("plot.lines: unknown option 'lable'; did you mean label?", plots.lines, { { y = { 1, 2 }, lable = "x" } })
  lu.assertErrorMsgContains("plot.box: unknown option 'colour'", plots.box, { { { 1, 2 }, colour = "#112233" } })
  lu.assertErrorMsgContains("label belongs into one of the 2 series", plots.lines, { { 1, 2 }, { 2, 3 }, label = "x" })
end

-- A long curve is drawn by the points that can be seen, in a moment: gnuplot took minutes. A lone peak and a gap stay.
function TestPlots:test_long_curves()
  local n, y, file = checks.stress and 10000 or 200000, {}, self.dir .. "/lines.svg"
  for i = 1, n do y[i] = i % 7 end
  y[n * 5 // 8] = 1000
  for i = n * 3 // 4, n * 4 // 5 do y[i] = 0 / 0 end
  lu.assertEquals(plots.lines { y, file = file }, file)
  local svg = contents(file)
  lu.assertTrue(#svg > 20000 and #svg < 400000, #svg) -- all points: 2 MB
  lu.assertStrMatches(svg, ".*>%s*1000%s*<.*") -- the axis goes up to the peak
  plots.hist { { 1, 1 + 2 ^ -52 }, file = self.dir .. "/hist.png" } -- a range that gnuplot takes for none
end

function TestPlots.test_errors_say_what_was_expected()
  lu.assertErrorMsgContains("xrange: expected {low, high}, two numbers, got 2 twice", plots.lines, { { 1, 2 }, xrange = { 2, 2 } })
  lu.assertErrorMsgContains("y[2]: expected a number, got a string", plots.lines, { { 1, "x" } })
  lu.assertErrorMsgContains("x and y differ in length: 2 and 1", plots.lines, { { x = { 1, 2 }, y = { 1 } } })
  lu.assertErrorMsgContains("unknown option 'titel'; did you mean title?", plots.lines, { { 1 }, titel = "x" })
  lu.assertErrorMsgContains("ends in .png or .svg", plots.lines, { { 1 }, file = "x.jpg" })
  lu.assertErrorMsgContains("row 2 has 1 numbers, row 1 has 2", plots.heatmap, { { { 1, 2 }, { 3 } } })
  lu.assertErrorMsgContains("no finite values", plots.hist, { { 0 / 0 } })
  lu.assertErrorMsgContains("nothing to draw", plots.lines, {})
  lu.assertErrorMsgContains("size: expected", plots.lines, { { 1 }, file = "x.png", size = { 1, 1 } })
end

-- ---- hostile texts -----------------------------------------------------------------------------------------------------------------
-- Whatever a text, a number or a name says, gnuplot must not do it: not in a command, not among data, not as a name.

TestHostilePlots = {}

function TestHostilePlots:setUp()
  self.dir = os.tmpname()
  os.remove(self.dir)
  self.dir = self.dir .. ".d"
  assert(system.mkdir(self.dir))
  self.mark = self.dir .. "/mark"
  local touch = "touch " .. self.mark
  self.texts = {
    "`" .. touch .. "`", '"; system("' .. touch .. '"); "', "'; system('" .. touch .. "'); '",
    "a\n!" .. touch .. "\n", "a\r!" .. touch .. "\r",
    "\"\nsystem '" .. touch .. "'\n", "$(" .. touch .. ")", "@evil", "x' `" .. touch .. "` '",
    'x" `' .. touch .. '` "', "\\", "\\\n", "`",
    "MASCON_END\n!" .. touch, "\nMASCON_END\n!" .. touch .. "\n", "EOD\n!" .. touch, "< " .. touch,
    "| " .. touch, "{/:Bold `" .. touch .. "`}",
    "100%", "%d %s %n %", "$text[1]", "#comment", "",
    "a\0b", "\27]0;title\7\27[31m", "\xff\xfe",
    "<b>&amp;</b><script>alert(1)</script>",
    "wörld_x^2 {}", ("long "):rep(2000),
  }
end

function TestHostilePlots:tearDown()
  local executed = system.kind(self.mark)
  checks.remove_folder(self.dir)
  lu.assertNil(executed)
end

-- Every argument that takes a text: those of which a figure has many with all the texts, title and names of axes with `t`.
local function figures(texts, t)
  local n = #texts
  local lines, hists, boxes, row, ones = {}, {}, {}, {}, {}
  for i, text in ipairs(texts) do
    lines[i] = { x = { 1, 2 }, y = { i, 2 }, label = text }
    hists[i] = { values = { i, 2, 2 }, label = text }
    boxes[i] = { { 1, 2, 3, 50, i }, label = text }
    row[i], ones[i] = i, i
  end
  local rows = {}
  for i = 1, n do rows[i] = row end
  local all = { title = t, xlabel = t, ylabel = t }
  return {
    lines = with(lines, all), hist = with(with(hists, { bins = 3, threshold = { 2, label = t } }), all), box = with(boxes, all),
    scatter = with({ x = row, y = row, class = texts }, all), named = with({ x = row, y = row, class = ones, classes = texts }, all),
    heatmap = with({ rows, annotate = true, xlabels = texts, ylabels = texts }, all), one = { x = { 1, 2 }, y = { 1, 2 }, label = t },
  }
end
local function drawer(name) return rawget(plots, name) or plots.scatter end

local function clean(drawing)
  lu.assertNil(drawing:find "[%z\1-\8\11-\31\127]")
  lu.assertTrue(utf8.len(drawing) ~= nil)
  lu.assertNil(drawing:find "<script")
end

function TestHostilePlots:test_texts_are_shown_and_nothing_else()
  local svg_path = self.dir .. "/x.svg"
  for name, spec in pairs(figures(self.texts, self.texts[1])) do
    drawer(name)(with(spec, { file = svg_path }))
    clean(contents(svg_path))
    local drawing = printed(function() drawer(name)(spec) end)
    lu.assertNil(drawing:find "[%z\1-\8\11-\31\127]")
    lu.assertNil(system.kind(self.mark), name)
  end
  for _, t in ipairs(self.texts) do
    plots.hist { { 1, 2, 2 }, bins = 3, threshold = { 2, label = t }, title = t, xlabel = t, ylabel = t, file = svg_path }
    clean(contents(svg_path))
    lu.assertNil(system.kind(self.mark), t)
  end
  for _, t in ipairs { self.texts[1], self.texts[2], self.texts[3], self.texts[4] } do
    printed(function() plots.hist { { 1, 2, 2 }, bins = 3, threshold = { 2, label = t }, title = t, xlabel = t, ylabel = t } end)
    lu.assertNil(system.kind(self.mark), t)
  end
  plots.lines { { 1, 2 }, title = "it's \"so\" `x` 100% \\ a_b^2 {c} @d ä <e>", file = svg_path }
  lu.assertStrContains(contents(svg_path), "it's \"so\" `x` 100% \\ a_b^2 {c} @d ä &lt;e>")
  plots.box { { { 1, 2 }, label = "100% `x` %d" }, file = svg_path }
  lu.assertStrContains(contents(svg_path), "100% `x` %d")
end

function TestHostilePlots:test_pictures_too()
  local texts = { self.texts[1], self.texts[2], self.texts[3], "\xff\27\0`" }
  for name, spec in pairs(figures(texts, texts[4])) do
    local path = self.dir .. "/x.png"
    drawer(name)(with(spec, { file = path, size = { 600, 400 } }))
    lu.assertEquals({ png_size(path) }, { 600, 400, 25 })
  end
end

function TestHostilePlots:test_what_is_no_text_is_refused_or_harmless()
  local path = self.dir .. "/x.svg"
  for _, t in ipairs(self.texts) do
    local function refused(name, spec) lu.assertFalse((pcall(plots[name], with(spec, { file = path }))), name .. ": " .. t) end
    refused("lines", { { 1, 2 }, legend = "top " .. t .. "x" })
    refused("lines", { { { 1, 2 }, y = { 1, 2 }, colour = t } })
    refused("hist", { { values = { 1, 2 }, colour = t } })
    refused("lines", { { 1, t } })
    refused("lines", { { 1, 2 }, xrange = { t, 2 } })
    refused("lines", { { 1, 2 }, yrange = { 0, t } })
    refused("lines", { { 1, 2 }, size = { t, 200 } })
    refused("lines", { { 1, 2 }, size = t })
    refused("hist", { { 1, 2 }, bins = t })
    refused("hist", { { 1, 2 }, threshold = t })
    refused("hist", { { 1, 2 }, threshold = { t } })
    refused("hist", { { 1, 2 }, xrange = { 0, t } })
    refused("scatter", { x = { 1 }, y = { 1 }, pointsize = t })
    refused("scatter", { points = { { 1, t } } })
    refused("heatmap", { matrix, zrange = { t, 1 } })
    refused("heatmap", { { { 1, t } } })
    pcall(plots.heatmap, with({ matrix, annotate = true, format = t }, { file = path }))
    pcall(plots.lines, { { 1, 2 }, file = t }) -- a name without an ending
    lu.assertNil(system.kind(self.mark), t)
  end
  for _, bad in ipairs { 0 / 0, math.huge, -math.huge } do
    for _, spec in ipairs { { "lines", { { 1, bad, 3 } } }, { "lines", { { 1, 2 }, xrange = { bad, 2 } } }, { "hist", { { 1, 2, bad } } },
      { "hist", { { 1, 2 }, threshold = bad } }, { "box", { { 1, 2, bad } } }, { "heatmap", { { { 1, bad } }, annotate = true } },
      { "heatmap", { matrix, zrange = { bad, 1 } } }, { "scatter", { x = { 1, bad }, y = { bad, 2 }, class = { 1, 2 } } },
      { "scatter", { x = { 1 }, y = { 1 }, pointsize = bad } }, { "scatter", { x = { 1 }, y = { 1 }, class = { bad } } } } do
      local ok, message = pcall(plots[spec[1]], with(spec[2], { file = path }))
      lu.assertTrue(ok or tostring(message):find "plot" ~= nil, tostring(message))
    end
  end
end

function TestHostilePlots:test_names_of_files()
  for i, name in ipairs { "`touch mark`", "| touch mark", "< touch mark", "$(touch mark)", "a'b", 'a"b', "-o", "a;touch mark", "a\\",
    "ä", "a\27b",
    "@x", "MASCON_END" } do
    local path = self.dir .. "/" .. name .. (i % 2 == 0 and ".png" or ".svg")
    lu.assertEquals(plots.lines { { 1, 2 }, title = "x", file = path }, path)
    lu.assertTrue(#contents(path) > 500)
    os.remove(path)
  end
  lu.assertErrorMsgContains("\\27[31m", plots.lines, { { 1, 2 }, file = "\27[31m" })
  lu.assertErrorMsgContains("file: expected the name of a file, got a boolean", plots.lines, { { 1, 2 }, file = true })
  lu.assertErrorMsgContains("zero byte", plots.lines, { { 1, 2 }, file = self.dir .. "/a\0.png" })
  lu.assertEquals(system.list(self.dir), {})
end

-- ---- disks and programs ------------------------------------------------------------------------------------------------------------

function TestHostilePlots:test_a_full_disk_keeps_the_old_figure_and_says_so()
  local path = self.dir .. "/x.png"
  plots.lines { { 1, 2 }, file = path }
  local before = contents(path)
  local status, out, err = system.run { "sh", "-c", [[trap '' XFSZ; ulimit -f 1; exec "$0" -e '
    print(pcall(ms.plot.lines, { { 3, 1 }, file = arg[1] }))' "$1"]], program, path }
  lu.assertEquals(status, 0, err)
  lu.assertStrContains(out, path .. ": write failed: File too large; the figure is not written, the old one stays")
  lu.assertTrue(contents(path) == before)
  lu.assertEquals(system.list(self.dir), { "x.png" })
end

function TestHostilePlots:test_a_missing_gnuplot_says_so()
  local status, out, err = system.run { "env", "PATH=" .. self.dir, program, "-e", "print(pcall(ms.plot.lines, { { 3, 1 } }))" }
  lu.assertEquals(status, 0, err)
  lu.assertStrContains(out, "gnuplot is not installed; figures need it: apt install gnuplot-nox")
end

-- A gnuplot that breaks off, or says nothing and succeeds, leaves the old figure too; so does one that is told to start with something.
function TestHostilePlots:test_half_a_picture_is_none()
  local path, fake = self.dir .. "/x.png", self.dir .. "/gnuplot"
  plots.lines { { 1, 2 }, file = path }
  local before = contents(path)
  for _, does in ipairs { "head -c 100 " .. path, "exit 0", "kill -9 $$", "echo no >&2; exit 1" } do
    local f <close> = assert(io.open(fake, "w"))
    f:write("#!/bin/sh\ncat >/dev/null\n", does, "\n")
    f:close()
    system.run { "chmod", "+x", fake }
    local _, out = system.run { "env", "PATH=" .. self.dir .. ":" .. os.getenv "PATH", program, "-e",
      "print(pcall(ms.plot.lines, { { 3, 1 }, file = arg[1] }))", path }
    lu.assertStrContains(out, "false\t")
    lu.assertStrContains(out, "plot: gnuplot")
    lu.assertTrue(contents(path) == before)
  end
end

function TestHostilePlots:test_start_up_files_of_gnuplot_are_not_read()
  local f <close> = assert(io.open(self.dir .. "/.gnuplot", "w"))
  f:write("system 'touch ", self.mark, "'\n")
  f:close()
  local status = system.run { "env", "HOME=" .. self.dir, program, "-e", "ms.plot.lines { { 3, 1 }, file = arg[1] }", self.dir .. "/x.png" }
  lu.assertEquals(status, 0)
end
