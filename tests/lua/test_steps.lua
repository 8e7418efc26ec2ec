-- 200 steps of experiment 1's two nets against PyTorch (tests/data/steps.json, made by tests/peers/make_steps.py): same weights, same
-- batches; the loss of every step within 1e-4 in f32 and within 1e-9 in f64.
-- gcstress: every 400
-- luacheck: globals TestSteps
local lu = require "luaunit"
local ms = require "mascon"
local json = require "mascon.json"
local nn, optim = ms.nn, ms.optim

local file <close> = assert(io.open("tests/data/steps.json"))
local data = json.decode(file:read "a")
local BATCH, BATCHES, SIDE = 64, 8, 28
-- Under sanitizers, which make the kernels many times slower, the beginning must do.
local slow = (os.getenv "SAN" or "") ~= "" or (os.getenv "STRESS" or "") ~= ""
local STEPS = slow and 12 or 200

local fraction = require("formula").fraction

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

-- A run in one dtype.
local Run = {}
Run.__index = Run

local function new_run(name, k, dtype)
  local model = net(k):to(dtype)
  return setmetatable({ model = model, batches = images():to(dtype), optimizer = optimizers[name](model:parameters()), worst = 0,
    wanted = data.losses[("%s k=%d %s"):format(name, k, dtype)], tolerance = dtype == "f32" and 1e-4 or 1e-9 }, Run)
end

-- One step; gives which hidden units were on, per layer.
function Run:step(step)
  local x = self.batches[(step - 1) % BATCHES + 1]
  local h, on = x, {}
  for _, layer in ipairs(self.model:children()) do
    h = layer(h)
    if layer.__name == "relu" then on[#on + 1] = h:detach():gt(0) end
  end
  local loss = (h - x):square():sum() / BATCH
  self.optimizer:zero_grad()
  loss:backward()
  self.optimizer:step()
  local got, want = loss:item(), self.wanted[step]
  local error = math.abs(got - want) / want
  self.worst = math.max(self.worst, error)
  local near = error <= self.tolerance -- false for NaN
  if not near then lu.fail(("step %d: loss %.9g, PyTorch's %.9g: %.1e apart"):format(step, got, want, error)) end
  return on
end

-- Weights and the optimizer's memory from another run.
function Run:take(other)
  local own, from = self.optimizer, other.optimizer
  ms.no_grad(function()
    for i, p in ipairs(own.parameters) do
      local q = from.parameters[i]
      p:copy_(q)
      for key, t in pairs(own.state[p]) do t:copy_(from.state[q][key]) end
    end
  end)
end

local function differ(a, b)
  for i, on in ipairs(a) do
    if on:ne(b[i]):any():item() then return true end
  end
  return false
end

-- Both dtypes side by side. f64 must follow PyTorch's f64 all the way. So must f32, but for this: when some ReLU's input is so near 0 that
-- rounding decides whether it is on, the gradient of a unit that few images reach changes by all it is, and Adam makes full steps of that.
-- Then f32 takes over the weights of f64, whichever side they are on; it happens to a few of the 6 million decisions of a run.
local function follow(name, k)
  local threads = ms.threads()
  ms.threads(1) -- a busy machine takes ten times as long over two
  local single, double, turns = new_run(name, k, "f32"), new_run(name, k, "f64"), 0
  lu.assertEquals({ #single.wanted, #double.wanted }, { 200, 200 })
  for step = 1, STEPS do
    local scope <close> = ms.scope() -- luacheck: ignore 211
    if differ(single:step(step), double:step(step)) then
      turns = turns + 1
      single:take(double)
    end
  end
  ms.threads(threads)
  if os.getenv "STEPS_VERBOSE" then
    local told = "%s k=%d: f32 within %.1e, f64 within %.1e, %d times a ReLU hung on a rounding"
    print(told:format(name, k, single.worst, double.worst, turns))
  end
  lu.assertTrue(turns <= 20, turns .. " steps in which f32 and f64 disagree about a ReLU")
end

TestSteps = {}
for name in pairs(optimizers) do
  for _, k in ipairs { 8, 2 } do
    TestSteps[("test_%s_k%d"):format(name, k)] = function() follow(name, k) end
  end
end
