-- optim: optimizers and schedules. An update is one operation over all parameters (rows sgd_, adam_), so a step can be recorded.
-- Formulas and defaults are PyTorch's.
local ms = require "mascon"
local options = require "mascon.options"
local text = require "mascon.text"
local optim = {}

local Optimizer = {}

-- The learning rate lives in a cell, so that a recorded step reads the value a schedule set last: o.lr and o.lr = x work as ever.
local function with_rate(class)
  class.__index = function(self, key)
    if key == "lr" then return rawget(self, "rate") end
    local v = class[key]
    if v == nil then v = Optimizer[key] end
    return v
  end
  class.__newindex = function(self, key, value)
    if key ~= "lr" then return rawset(self, key, value) end
    if type(value) ~= "number" or not (value >= 0) then options.raise("%s: lr: expected 0 or more, got %s", self.what, tostring(value)) end
    rawset(self, "rate", value)
    ms._cell(self.cell, value)
  end
  return class
end

local function new(class, what, parameters, opts, defaults)
  local o = options.read(what, opts, defaults)
  if type(parameters) ~= "table" or #parameters == 0 then options.raise("%s: expected a list of parameters (model:parameters())", what) end
  for i, p in ipairs(parameters) do
    if type(p) ~= "userdata" or not p.requires_grad then options.raise("%s: parameter %d does not require gradients", what, i) end
  end
  if not (o.lr >= 0) then options.raise("%s: lr: expected 0 or more, got %s", what, tostring(o.lr)) end
  o.cell, o.rate, o.lr = ms._cell(o.lr), o.lr, nil
  local self = setmetatable(o, class)
  self.parameters, self.state, self.what = parameters, {}, what
  return self
end

function Optimizer:zero_grad()
  for _, p in ipairs(self.parameters) do p.grad = nil end
end

-- The parameters that have a gradient now, their gradients, and the named states (zeros at first), as one list; and whether
-- all the states are new.
function Optimizer:gather(names)
  local ps, gs, states, fresh = {}, {}, {}, true
  for k in ipairs(names) do states[k] = {} end
  for _, p in ipairs(self.parameters) do
    local g = p.grad
    if g then
      local n, s = #ps + 1, self.state[p]
      if not s then
        s = {}
        for _, name in ipairs(names) do s[name] = ms.keep(ms.zeros_like(p)) end
        self.state[p] = s
      else
        fresh = false
      end
      ps[n], gs[n] = p, g
      for k, name in ipairs(names) do states[k][n] = s[name] end
    end
  end
  local n = #ps
  for i = 1, n do ps[n + i] = gs[i] end
  for k, list in ipairs(states) do
    for i = 1, n do ps[(k + 1) * n + i] = list[i] end
  end
  return ps, n, fresh
end

-- Everything needed to go on: numbers, and tensors by "name.index" of the parameter.
function Optimizer:state_dict()
  local out = {}
  for i, p in ipairs(self.parameters) do
    for name, t in pairs(self.state[p] or {}) do out[("%s.%d"):format(name, i)] = t end
  end
  if self.count then out.step = self.count end
  out.lr = ms.keep(ms.tensor(self.lr, { dtype = "f64" }))
  return out
end

function Optimizer:load_state_dict(state)
  for key, t in pairs(state) do
    local name, i = key:match("^([%a_]+)%.(%d+)$")
    if name then
      local p = self.parameters[math.tointeger(tonumber(i))]
      if not p then options.raise("%s: load_state_dict: '%s' belongs to parameter %s of %d", self.what, key, i, #self.parameters) end
      local expected, got = table.concat(p.shape, " x "), table.concat(t.shape, " x ")
      if expected ~= got then options.raise("%s: load_state_dict: %s: expected %s, got %s", self.what, key, expected, got) end
      self.state[p] = self.state[p] or {}
      self.state[p][name] = ms.keep(ms.tensor(t, { device = p.device }))
    elseif key == "step" then
      self.count = ms.keep(ms.tensor(t))
    elseif key == "lr" then
      self.lr = t:item()
    else
      options.raise("%s: load_state_dict: unknown entry '%s'", self.what, key)
    end
  end
end

-- optim.sgd(parameters, {lr, momentum = 0, dampening = 0, weight_decay = 0, nesterov = false})
local SGD = with_rate {}
function optim.sgd(parameters, opts)
  return new(SGD, "optim.sgd", parameters, opts, { lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0, nesterov = false })
end
function SGD:step()
  local momentum = self.momentum ~= 0
  local list, n, fresh = self:gather(momentum and { "momentum" } or {})
  if n == 0 then return end
  local guard <close> = ms.no_grad()
  ms.sgd_(list, momentum and 3 or 2, self.cell, self.momentum, self.dampening, self.weight_decay, self.nesterov, fresh and momentum)
end

-- optim.adam(parameters, {lr = 1e-3, betas = {0.9, 0.999}, eps = 1e-8, weight_decay = 0}); adamw: decay decoupled, 0.01
local Adam = with_rate {}
local function adam(what, decay, decoupled)
  return function(parameters, opts)
    local self = new(Adam, what, parameters, opts, { lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8, weight_decay = decay })
    for i = 1, 2 do
      local b = self.betas[i]
      if type(b) ~= "number" or b < 0 or b >= 1 then
        options.raise("%s: betas[%d]: expected 0 <= beta < 1, got %s", what, i, tostring(b))
      end
    end
    self.decoupled = decoupled
    self.count = ms.keep(ms.zeros({}, { dtype = "f64", device = parameters[1].device }))
    return self
  end
end
optim.adam = adam("optim.adam", 0, false)
optim.adamw = adam("optim.adamw", 0.01, true)
function Adam:step()
  local list, n = self:gather { "first", "second" }
  if n == 0 then return end
  local guard <close> = ms.no_grad()
  ms.adam_(self.count, list, 4, self.cell, self.betas[1], self.betas[2], self.eps, self.weight_decay, self.decoupled)
end

return setmetatable(optim, { __index = function(_, name)
  options.raise("ms.optim has no '%s'%s", tostring(name), text.hint(tostring(name), text.keys(optim), "optim."))
end })
