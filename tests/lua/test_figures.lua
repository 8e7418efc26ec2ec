-- gcstress: every 20
-- luacheck: globals TestPalette TestFigures
-- Are the colours of figures apart for all eyes? What those see that lack one kind of cones is computed by the matrices of Machado,
-- Oliveira and Fernandes (2009), in linear light; distances are CIE 1976 in Lab, D65.
local checks = require "checks"
local gnuplot = require "mascon.gnuplot"
local lu = require "luaunit"
local plots = require "mascon.plots"

local EYES = {
  all = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } },
  protanopia = { { 0.152286, 1.052583, -0.204868 }, { 0.114503, 0.786281, 0.099216 }, { -0.003882, -0.048116, 1.051998 } },
  deuteranopia = { { 0.367322, 0.860646, -0.227968 }, { 0.280085, 0.672501, 0.047413 }, { -0.011820, 0.042940, 0.968881 } },
  tritanopia = { { 1.255528, -0.076749, -0.178779 }, { -0.078411, 0.930809, 0.147602 }, { 0.004733, 0.691367, 0.303900 } },
}
local XYZ = { { 0.4124564, 0.3575761, 0.1804375 }, { 0.2126729, 0.7151522, 0.0721750 }, { 0.0193339, 0.1191920, 0.9503041 } }
local WHITE = { 0.95047, 1, 1.08883 }

local function times(m, v)
  local out = {}
  for i = 1, 3 do out[i] = m[i][1] * v[1] + m[i][2] * v[2] + m[i][3] * v[3] end
  return out
end

local function lab(colour, eyes)
  local light = {}
  for i = 1, 3 do
    local c = tonumber(colour:sub(2 * i, 2 * i + 1), 16) / 255
    light[i] = c <= 0.04045 and c / 12.92 or ((c + 0.055) / 1.055) ^ 2.4
  end
  light = times(eyes, light)
  for i = 1, 3 do light[i] = math.min(1, math.max(0, light[i])) end
  local f = times(XYZ, light)
  for i = 1, 3 do
    local t = f[i] / WHITE[i]
    f[i] = t > 216 / 24389 and t ^ (1 / 3) or (24389 / 27 * t + 16) / 116
  end
  return { 116 * f[2] - 16, 500 * (f[1] - f[2]), 200 * (f[2] - f[3]) }
end

local function distance(a, b) return math.sqrt((a[1] - b[1]) ^ 2 + (a[2] - b[2]) ^ 2 + (a[3] - b[3]) ^ 2) end

-- The two of the colours that are nearest for anybody.
local function nearest(colours)
  local least, which = math.huge, nil
  for name, eyes in pairs(EYES) do
    for i = 1, #colours do
      for j = i + 1, #colours do
        local d = distance(lab(colours[i], eyes), lab(colours[j], eyes))
        if d < least then least, which = d, ("%s and %s, %s: %.1f"):format(colours[i], colours[j], name, d) end
      end
    end
  end
  return least, which
end

TestPalette = {}

-- The measure itself: distances that are known, and the colours that figures had once, of which two could hardly be told apart.
function TestPalette.test_the_measure()
  lu.assertAlmostEquals(distance(lab("#000000", EYES.all), lab("#ffffff", EYES.all)), 100, 0.01)
  lu.assertAlmostEquals(lab("#ff0000", EYES.all)[2], 80.1, 0.2)
  lu.assertTrue(distance(lab("#ff0000", EYES.protanopia), lab("#008000", EYES.protanopia)) < distance(lab("#ff0000", EYES.all),
    lab("#008000", EYES.all)) / 2)
  local once = { "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee7733", "#004488", "#009988", "#777777" }
  lu.assertAlmostEquals(nearest(once), 5.6, 0.05)
end

function TestPalette.test_colours_are_apart_for_all_eyes()
  lu.assertEquals(#gnuplot.palette, 10)
  local function first(n) return table.move(gnuplot.palette, 1, n, 1, {}) end
  for n, least in pairs { [10] = 26, [2] = 49 } do
    local d, which = nearest(first(n))
    lu.assertTrue(d >= least, ("of the first %d: %s"):format(n, which))
  end
  for _, c in ipairs(gnuplot.palette) do -- on white paper
    lu.assertTrue(distance(lab(c, EYES.all), lab("#ffffff", EYES.all)) > 25, c)
  end
end

-- No two of fifty classes have both colour and shape in common, no two of ten have the same shape.
function TestPalette.test_classes_differ_in_shape_as_well()
  local seen = {}
  for i = 1, 50 do
    local both = gnuplot.colour(i) .. gnuplot.marker(i)
    lu.assertNil(seen[both], i)
    seen[both] = true
    if i <= 10 then
      lu.assertNil(seen[gnuplot.marker(i)])
      seen[gnuplot.marker(i)] = true
    end
  end
end

-- ---- what figures say ------------------------------------------------------------------------------------------------------------------

TestFigures = {}

function TestFigures:setUp() self.dir = checks.temporary_folder() end
function TestFigures:tearDown() checks.remove_folder(self.dir) end

local function with(spec, extra)
  local o = {}
  for k, v in pairs(spec) do o[k] = v end
  for k, v in pairs(extra) do o[k] = v end
  return o
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

-- Names of classes stand among their points as well as in the legend, and not upon one another.
function TestFigures:test_classes_are_named_among_their_points()
  local path = self.dir .. "/scatter.svg"
  local function draw(o)
    plots.scatter(with({ x = { 1, 1, 5, 5, 1, 9 }, y = { 1, 1, 5, 5, 1.01, 9 }, class = { 1, 1, 2, 2, 3, 3 }, file = path,
      classes = { "one", "two", "three" } }, o or {}))
    local at = {}
    for x, y, word in checks.contents(path):gmatch "translate%(([%d.]+),([%d.]+)%)[^\n]*\n%s*<text>%s*(%l+)</text>" do
      at[word] = at[word] or {}
      table.insert(at[word], { tonumber(x), tonumber(y) })
    end
    return at
  end
  local names = {}
  for word, list in pairs(draw()) do -- gnuplot writes a text in a box twice; the legend's is at the right
    lu.assertEquals(#list, 3, word)
    table.sort(list, function(a, b) return a[1] < b[1] end)
    lu.assertTrue(list[1][1] < 600 and list[3][1] > 600, word)
    names[word] = list[1]
  end
  lu.assertTrue(names.two[1] > names.one[1] + 50 and names.two[2] < names.one[2] - 50) -- where its points are
  lu.assertTrue(math.abs(names.one[2] - names.three[2]) >= 15 or math.abs(names.one[1] - names.three[1]) >= 30)
  lu.assertEquals(#draw { names = false }.one, 1)
  lu.assertErrorMsgContains("names: expected true or false, got 3", draw, { names = 3 })
  draw { logx = true, xrange = { 100, 0.5 } } -- an axis that runs the other way
  lu.assertErrorMsgContains("plot.scatter: names", plots.scatter, { x = { 1 }, y = { 1 }, names = {} })
  local drawing = printed(function() plots.scatter { x = { 1, 2 }, y = { 1, 2 }, class = { 1, 10 } } end)
  lu.assertStrContains(drawing, "10   2") -- not 1 for both
end

function TestFigures:test_names_are_texts_and_nothing_else()
  local mark = self.dir .. "/mark"
  local names = { "`touch " .. mark .. "`", "'; system('touch " .. mark .. "'); '", "a\n!touch " .. mark, ("wörd "):rep(50), "\xff\0", "" }
  local at = {}
  for i = 1, #names do at[i] = i end
  for _, o in ipairs { { class = at, classes = names }, { class = names } } do
    local path = plots.scatter(with(o, { x = at, y = at, file = self.dir .. "/names.svg", names = true, caption = names[1] }))
    lu.assertTrue(utf8.len(checks.contents(path)) ~= nil)
  end
  lu.assertNil(require "mascon.system".kind(mark))
  plots.scatter { x = { 1, 0 / 0, 1e300 }, y = { 1, 2, -1e308 }, class = { 1, 2, 3 }, file = self.dir .. "/names.svg" } -- no room for names
end

function TestFigures:test_captions_and_whole_epochs()
  local path = self.dir .. "/lines.svg"
  plots.lines { { 4, 2, 1 }, xlabel = "epoch", caption = ("a word "):rep(40) .. "and the end", file = path }
  local svg = checks.contents(path)
  lu.assertStrContains(svg, "and the end")
  lu.assertNil(svg:find ">%s*1%.5</text>%s*</g>%s*<g[^>]*>%s*<text>%s*2%.5")
  local x = {}
  for n in svg:gmatch "<text>%s*([%d.]+)</text>" do x[n] = true end
  lu.assertTrue(x["1"] and x["2"] and x["3"])
  lu.assertStrContains(printed(function() plots.lines { { 4, 2, 1 }, caption = "said below" } end), "said below\n")
end
