-- make_stratosphere: winter states of the stratosphere for wgan_anomaly, of the form of the published data, which are not to be had. A
-- state is two fields on the 10 hPa level north of 40 N, seen from above the pole: potential vorticity, high in the polar vortex, and
-- geopotential height, which falls towards its middle. Most are a vortex near the pole, more or less displaced, turned and elongated; a
-- few are sudden warmings: a vortex driven off the pole, or split in two (Charlton and Polvani, J. Climate 2007, tell these two kinds).
-- Written are pv.npy and height.npy (N x size x size, f32, 0..1), mask.npy (size x size, 1 north of 40 N), and, in a file of its own that
-- the experiment reads for scoring only, truth.csv: a line "position,kind" for each warming.
--
--   mascon scripts/make_stratosphere.lua [--states 2000] [--size 256] [--rate 0.04] [--seed 1] [--out runs/stratosphere] [--help]
local ms = require "mascon"
local system = require "mascon.system"

local o = ms.args({
  states = 2000, size = ms.args.choice { "256", "128", "64" }, rate = 0.04, seed = 1, out = "runs/stratosphere", figure = true,
  quick = false,
}, {
  help = "States of the polar stratosphere, a few of them sudden warmings, as .npy files, and the truth beside them",
  order = { "states", "size", "rate", "seed", "out", "figure", "quick" },
  describe = { states = "how many", size = "pixels on a side", rate = "part of the states that are warmings",
    seed = "of all that is random", out = "the folder to write", figure = "also draw some of each kind (states.png)",
    quick = "300 states at most" },
  range = { states = "[16, ]", rate = "(0, 0.5)" },
})
if o.quick then o.states = math.min(o.states, 300) end
local size = math.tointeger(o.size)

-- Polar projection: the pole in the middle, the circle of 40 N touches the sides. x, y: 1 x size x size.
local line = (ms.arange(1, size) - 0.5) * (2 / size) - 1
local x, y = line:reshape { 1, 1, size }, line:reshape { 1, size, 1 }
local mask = (x * x + y * y):le(1):float()[1]

local function column(values) return values:reshape { -1, 1, 1 } end
local function uniform(n, low, high) return column(ms.rand({ n }, low, high)) end

-- Bells, n x size x size: 1 in the middle (at distance `off` from the pole in direction `way`), falling off over `width`, longer by `long`
-- along `turn`, shorter across.
local function bell(off, way, width, long, turn)
  local dx, dy = x - off * way:cos(), y - off * way:sin()
  local along, across = dx * turn:cos() + dy * turn:sin(), dy * turn:cos() - dx * turn:sin()
  return (-(((along / (width * long)) ^ 2 + (across * long / width) ^ 2) ^ 1.5)):exp() -- steeper at its edge than Gauss's
end

-- Smooth noise, n x size x size, whose grains are a `grains`-th of the side.
local function texture(n, grains)
  return ms.randn { n, 1, grains, grains }:interpolate({ size, size }, { mode = "bicubic" })[{ {}, 1 }]
end

-- n states of each kind: vorticity of the vortex, and how deep the height is.
local kinds = {}
local TURN = 2 * math.pi
function kinds.vortex(n) -- near the pole
  local off, way, turn = 0.10 * column(ms.randn { n }):abs(), uniform(n, 0, TURN), uniform(n, 0, TURN)
  local width, long = uniform(n, 0.38, 0.50), 1 + uniform(n, 0, 0.25)
  local strength = uniform(n, 0.85, 1)
  return strength * bell(off, way, width, long, turn), strength * bell(off, way, 1.5 * width, long ^ 0.5, turn)
end
function kinds.displaced(n) -- driven far off the pole, weaker, drawn out
  local off, way, width = uniform(n, 0.40, 0.60), uniform(n, 0, TURN), uniform(n, 0.28, 0.36)
  local long, turn, strength = uniform(n, 1.2, 1.5), way + TURN / 4, uniform(n, 0.65, 0.85) -- along the circle of latitude
  return strength * bell(off, way, width, long, turn), 0.7 * strength * bell(off, way, 1.5 * width, long ^ 0.5, turn)
end
function kinds.split(n) -- two daughters on opposite sides
  local way, near, far = uniform(n, 0, TURN), uniform(n, 0.32, 0.46), uniform(n, 0.32, 0.46)
  local one, two = uniform(n, 0.20, 0.28), uniform(n, 0.20, 0.28)
  local strength = uniform(n, 0.65, 0.9)
  local function both(widths)
    return bell(near, way, widths * one, uniform(n, 1, 1.2), way) + bell(far, way + TURN / 2, widths * two, uniform(n, 1, 1.2), way)
  end
  return strength * both(1):clamp(0, 1), 0.7 * strength * both(1.4):clamp(0, 1)
end

-- n states of a kind: vorticity and height, n x size x size each.
local function states(kind, n)
  local vortex, low = kinds[kind](n)
  local pv = 0.12 + 0.72 * vortex + (0.02 + 0.06 * vortex) * texture(n, size // 16) + 0.015 * texture(n, size // 4)
  local height = 0.85 - 0.65 * low + 0.03 * texture(n, 4) + 0.01 * texture(n, size // 16)
  return pv:clamp(0, 1) * mask, height:clamp(0, 1) * mask
end

ms.seed(o.seed)
local n_warm = math.max(2, math.floor(o.states * o.rate + 0.5))
local order = ms.randperm(o.states)
local truth = {}
for i, position in ipairs(order[{ { 1, n_warm } }]:totable()) do
  truth[#truth + 1] = { position = position, kind = i % 2 == 0 and "split" or "displaced" }
end
table.sort(truth, function(a, b) return a.position < b.position end)
local kind_of = {}
for _, t in ipairs(truth) do kind_of[t.position] = t.kind end

local pv, height = ms.zeros { o.states, size, size }, ms.zeros { o.states, size, size }
local shown = { vortex = {}, displaced = {}, split = {} }
for first in ms.progress(math.ceil(o.states / 50), { label = "states" }) do
  local from, to = (first - 1) * 50 + 1, math.min(first * 50, o.states)
  local places = { vortex = {}, displaced = {}, split = {} }
  for p = from, to do table.insert(places[kind_of[p] or "vortex"], p) end
  for _, kind in ipairs { "vortex", "displaced", "split" } do
    local at = places[kind]
    if #at > 0 then
      local rows = ms.tensor(at, { dtype = "i64" })
      pv[rows], height[rows] = states(kind, #at)
      for _, p in ipairs(at) do table.insert(shown[kind], p) end
    end
  end
end

assert(system.mkdir(o.out))
ms.data.write_npy(o.out .. "/pv.npy", pv)
ms.data.write_npy(o.out .. "/height.npy", height)
ms.data.write_npy(o.out .. "/mask.npy", mask)
local lines = { "position,kind\n" }
for _, t in ipairs(truth) do lines[#lines + 1] = ("%d,%s\n"):format(t.position, t.kind) end
assert(system.replace(o.out .. "/truth.csv", table.concat(lines)))
if o.figure then
  local pictures, rows = {}, {}
  for _, kind in ipairs { "vortex", "displaced", "split" } do
    for _, field in ipairs { { "vorticity", pv }, { "height", height } } do
      rows[#rows + 1] = kind .. ", " .. field[1]
      for k = 1, 8 do
        local p = shown[kind][k]
        pictures[#pictures + 1] = (p and field[2][p] or ms.ones { size, size }):unsqueeze(1)
      end
    end
  end
  ms.plot.tiles { pictures, columns = 8, rows = rows, scale = math.max(1, 96 // size), title = "states of the polar stratosphere",
    file = o.out .. "/states.png" }
end
print(("%s: %d states of %d x %d, %d of them warmings; which: truth.csv"):format(o.out, o.states, size, size, #truth))
