-- sweep/rules: the optimizers of ms.sweep, with a number for each copy: sgd, adam and adamw by the formulas of optim/sgd.lua and
-- optim/adam.lua, in operations that a compiled step runs behind the product that makes the gradient.
local ms = require "mascon"
local options = require "mascon.options"
local states = require "mascon.state"
local rules = {}

-- name -> what it may be. per_copy: a list gives each copy its own.
local function from_0(v) return type(v) == "number" and v >= 0 and v < math.huge end
local function below_1(v) return type(v) == "number" and v >= 0 and v < 1 end
rules.settings = {
  lr = { per_copy = true, ok = from_0, words = "a finite number from 0 on" },
  weight_decay = { per_copy = true, ok = from_0, words = "a finite number from 0 on" },
  momentum = { per_copy = true, ok = from_0, words = "a finite number from 0 on" },
  nesterov = { ok = function(v) return type(v) == "boolean" end, words = "true or false" },
  eps = { ok = from_0, words = "a finite number from 0 on" },
  betas = { ok = function(v) return type(v) == "table" and #v == 2 and below_1(v[1]) and below_1(v[2]) end,
    words = "two numbers, 0 <= beta < 1" },
}

local list = {
  sgd = { name = "sgd", defaults = { lr = 1e-3, momentum = 0, weight_decay = 0, nesterov = false } },
  adam = { name = "adam", defaults = { lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8, weight_decay = 0 } },
  adamw = { name = "adamw", defaults = { lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8, weight_decay = 0.01 }, decoupled = true },
}

-- The rule of optim.sgd, optim.adam, optim.adamw, or of their names.
function rules.find(optimizer)
  if optimizer == nil then optimizer = "sgd" end
  for name, rule in pairs(list) do
    if optimizer == name or rawequal(optimizer, ms.optim[name]) then return rule end
  end
  options.raise("sweep: optimizer: expected optim.sgd, optim.adam or optim.adamw, got %s", states.word(optimizer))
end

local function check(name, v)
  local s = rules.settings[name]
  if not s.ok(v) then options.raise("sweep: %s: expected %s, got %s", name, s.words, states.word(v)) end
  return v
end

-- A setting for each of K copies, as a tensor, from a number or a list of K (or a tensor).
local function per_copy(name, v, copies)
  if states.is_tensor(v) then v = v:totable() end
  if type(v) ~= "table" then
    local same = v
    v = {}
    for k = 1, copies do v[k] = same end
  end
  if #v ~= copies then options.raise("sweep: %s: expected a number, or %d of them, one for each copy, got %d", name, copies, #v) end
  for k = 1, copies do check(name, v[k]) end
  return ms.tensor(v)
end

-- The settings of a rule from the options: name -> number (the same for all, fixed), or tensor of K. lr is always one.
function rules.read(rule, o, copies)
  local values = {}
  for name, default in pairs(rule.defaults) do
    local v = o[name]
    if v == nil then v = default end
    if name == "lr" or rules.settings[name].per_copy and type(v) ~= "number" then values[name] = ms.keep(per_copy(name, v, copies))
    else values[name] = check(name, v) end
  end
  for name in pairs(rules.settings) do
    if o[name] ~= nil and rule.defaults[name] == nil then options.raise("sweep: %s has no option %s", rule.name, name) end
  end
  if rule.name == "sgd" and values.nesterov and values.momentum == 0 then
    options.raise "sweep: nesterov: expected a momentum above 0"
  end
  return values
end

function rules.get(values, name)
  local v = values[name]
  return states.is_tensor(v) and v:totable() or v
end

-- s.lr = v: in place, so that recorded steps read it.
function rules.set(values, name, v, copies)
  if not states.is_tensor(values[name]) then
    options.raise("sweep.%s cannot be assigned: it was made with one number for all copies; make it with a list", name)
  end
  values[name]:copy_(per_copy(name, v, copies))
end

-- ---- updates ----------------------------------------------------------------------------------------------------------------------------

local update = {}

-- Sutskever et al. 2013, as PyTorch writes it; the first step's momentum is the gradient, which zeros give.
function update.sgd(p, g, s, o)
  if o.weight_decay then g = g + p * o.weight_decay end
  if o.momentum then
    s.momentum:mul_(o.momentum):add_(g)
    g = o.nesterov and g + s.momentum * o.momentum or s.momentum
  end
  p:sub_(g * o.lr)
end

-- Kingma & Ba, arXiv 1412.6980; decoupled weight decay: Loshchilov & Hutter, arXiv 1711.05101.
local function adam(decoupled)
  return function(p, g, s, o)
    if o.weight_decay and decoupled then p:mul_(1 - o.lr * o.weight_decay)
    elseif o.weight_decay then g = g + p * o.weight_decay end
    s.exp_avg:lerp_(g, 1 - o.betas[1])
    s.exp_avg_sq:mul_(o.betas[2]):add_(g * g * (1 - o.betas[2]))
    p:sub_(s.exp_avg / (s.exp_avg_sq:sqrt() / o.root + o.eps) * o.rate)
  end
end
update.adam, update.adamw = adam(false), adam(true)

-- rules.make(rule, values, params, K) -> state (name -> tensor), function(gradients) that takes one step of all parameters
function rules.make(rule, values, params, copies)
  local state, of = {}, {}
  local names = rule.name == "sgd" and { values.momentum ~= 0 and "momentum" or nil } or { "exp_avg", "exp_avg_sq" }
  for i, p in ipairs(params) do
    of[i] = {}
    for _, name in ipairs(names) do
      of[i][name] = ms.keep(ms.zeros(p.shape, { dtype = p.dtype, device = p.device }))
      state[("%s.%d"):format(name, i)] = of[i][name]
    end
  end
  local count
  if rule.name ~= "sgd" then
    count = ms.keep(ms.zeros({}, { dtype = "f64" }))
    state.step = count
  end
  local f = update[rule.name]
  -- A setting as it goes with a tensor of K x ...: what is per copy with 1 for the other dimensions; nil what is 0.
  local function for_rank(v, p)
    if v == 0 or v == nil then return nil end
    if not states.is_tensor(v) then return v end
    local shape = { copies }
    for d = 2, p:dim() do shape[d] = 1 end
    return v:to(p.dtype):reshape(shape)
  end
  return state, function(gradients)
    local rate, root
    if count then
      count:add_(1)
      root = (1 - values.betas[2] ^ count):sqrt()
      rate = values.lr / (1 - values.betas[1] ^ count):to "f32"
    end
    for i, p in ipairs(params) do
      f(p, gradients[i], of[i], { lr = for_rank(values.lr, p), weight_decay = for_rank(values.weight_decay, p),
        momentum = for_rank(values.momentum, p), nesterov = values.nesterov, betas = values.betas, eps = values.eps,
        rate = rate and for_rank(rate, p), root = root and root:to(p.dtype) })
    end
  end
end

return rules
