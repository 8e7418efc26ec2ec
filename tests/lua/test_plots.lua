-- luacheck: globals TestPlots
local lu = require "luaunit"
local plots = require "mascon.plots"
local system = require "mascon.system"

local function contents(path)
  local f <close> = assert(io.open(path, "rb"))
  return f:read("a")
end

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

function TestPlots.test_errors_say_what_was_expected()
  lu.assertErrorMsgContains("y[2]: expected a number, got a string", plots.lines, { { 1, "x" } })
  lu.assertErrorMsgContains("x and y differ in length: 2 and 1", plots.lines, { { x = { 1, 2 }, y = { 1 } } })
  lu.assertErrorMsgContains("unknown option 'titel'; did you mean title?", plots.lines, { { 1 }, titel = "x" })
  lu.assertErrorMsgContains("ends in .png or .svg", plots.lines, { { 1 }, file = "x.jpg" })
  lu.assertErrorMsgContains("row 2 has 1 numbers, row 1 has 2", plots.heatmap, { { { 1, 2 }, { 3 } } })
  lu.assertErrorMsgContains("no finite values", plots.hist, { { 0 / 0 } })
  lu.assertErrorMsgContains("nothing to draw", plots.lines, {})
  lu.assertErrorMsgContains("size: expected", plots.lines, { { 1 }, file = "x.png", size = { 1, 1 } })
end
