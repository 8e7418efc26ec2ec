-- 200 steps of experiment 1's two nets against PyTorch (tests/data/steps.json, made by tests/peers/make_steps.py): same weights, same batches,
-- the loss of every step within 1e-4.
-- luacheck: globals TestSteps
local lu = require "luaunit"
local ms = require "mascon"
local json = require "mascon.json"
local nn, optim = ms.nn, ms.optim

local file <close> = assert(io.open("tests/data/steps.json"))
local data = json.decode(file:read "a")
local STEPS, BATCH, BATCHES, SIDE = 200, 64, 8, 28

-- Integer i -> 0 .. 1 - 2^-24, scattered; the same bits as in make_steps.py.
local function fraction(i)
  local x = i * 0x9E3779B97F4A7C15
  x = x ~ (x >> 32)
  x = x * 0xD1342543DE82EF95
  return (x >> 40) / 2 ^ 24
end

local function fill(t, seed, bound)
  local flat = {}
  for i = 0, t:numel() - 1 do flat[i + 1] = (fraction(i + (data.seed + seed) * 1000003) * 2 - 1) * bound end
  ms.no_grad(function() t:copy_(ms.tensor(flat):view(t.shape)) end)
end

local function images()
  local flat = {}
  for n = 0, BATCH * BATCHES - 1 do
    local row, column, radius = 6 + fraction(n * 3) * 16, 6 + fraction(n * 3 + 1) * 16, 3 + fraction(n * 3 + 2) * 6
    for y = 0, SIDE - 1 do
      for x = 0, SIDE - 1 do
        local dy, dx = y - row, x - column
        local v = 1 - (dy * dy + dx * dx) / (radius * radius)
        flat[#flat + 1] = v > 0 and v or 0
      end
    end
  end
  return ms.tensor(flat):view { BATCHES, BATCH, SIDE * SIDE }
end

local function net(k)
  local widths = { 784, 128, 64, 32, k, 32, 64, 128, 784 }
  local layers = {}
  for j = 1, #widths - 1 do
    local linear = nn.linear(widths[j], widths[j + 1])
    local bound = 1 / math.sqrt(widths[j])
    fill(linear.weight, 2 * j - 2, bound)
    fill(linear.bias, 2 * j - 1, bound)
    layers[#layers + 1] = linear
    layers[#layers + 1] = j < #widths - 1 and nn.relu() or nn.sigmoid()
  end
  return nn.sequential(layers)
end

local optimizers = {
  sgd = function(p) return optim.sgd(p, { lr = 1e-3, momentum = 0.9 }) end,
  adam = function(p) return optim.adam(p, { lr = 1e-3 }) end,
}

local function follow(name, k, dtype)
  local model, batches = net(k):to(dtype), images():to(dtype)
  local optimizer = optimizers[name](model:parameters())
  local worst, wanted = { error = 0 }, data.losses[("%s k=%d %s"):format(name, k, dtype)]
  lu.assertEquals(#wanted, STEPS)
  for step = 1, STEPS do
    local scope <close> = ms.scope() -- luacheck: ignore 211
    local x = batches[(step - 1) % BATCHES + 1]
    local loss = (model(x) - x):square():sum() / BATCH
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
    local got, want = loss:item(), wanted[step]
    local error = math.abs(got - want) / want
    if error > worst.error or error ~= error then worst = { error = error, step = step, got = got, want = want } end
  end
  return worst
end

TestSteps = {}
local within = { f32 = 1e-4, f64 = 1e-9 }
for name in pairs(optimizers) do
  for _, k in ipairs { 8, 2 } do
    for dtype, tolerance in pairs(within) do
      TestSteps[("test_%s_k%d_%s"):format(name, k, dtype)] = function()
        local worst = follow(name, k, dtype)
        if worst.error > tolerance or worst.error ~= worst.error then
          lu.fail(("step %d: loss %.9g, PyTorch's %.9g: %.1e apart"):format(worst.step, worst.got, worst.want, worst.error))
        end
      end
    end
  end
end
