-- optim/average: a second model whose weights are a moving average of those of the one that is trained.
local ms = require "mascon"
local core = require "mascon.inside"
local options = require "mascon.options"
local text = require "mascon.text"
local states = require "mascon.state"
local average = {}

local Average = {}
local inside = setmetatable({}, { __mode = "k" })
local function own(self, method)
  return inside[self] or options.raise("optim: %s: expected an average (optim.ema), got %s; with a colon: a:%s()", method,
    states.word(self), method)
end

local names = { "module", "n_averaged", "decay", "update", "copy_to", "state_dict", "load_state_dict" }

local function is_module(v)
  local meta = type(v) == "table" and debug.getmetatable(v)
  return meta and rawget(meta, "is_module")
end

local function decay_of(what, v)
  if type(v) ~= "number" or not (v >= 0 and v <= 1) then
    options.raise("%s: decay: expected a number from 0 to 1, got %s", what, states.word(v))
  end
  return v + 0.0
end

local function new(what, model, decay, use_buffers)
  if not is_module(model) then options.raise("%s: expected a module, got %s", what, states.word(model)) end
  local a = { what = what, model = model, use_buffers = use_buffers, decay = decay, cell = decay and core.cell(decay),
    module = ms.deepcopy(model):requires_grad_(false), n_averaged = ms.keep(ms.zeros({}, { dtype = "f64" })) }
  local self = setmetatable({}, { __name = what, __call = function(_, ...) return a.module(...) end,
    __index = function(_, key)
      local v = Average[key]
      if v == nil and (key == "module" or key == "n_averaged" or key == "decay" and decay) then v = a[key] end
      if v == nil then
        options.raise("%s has no field '%s'%s", what, tostring(key), text.hint(tostring(key), names))
      end
      return v
    end,
    __newindex = function(_, key, value)
      if key ~= "decay" or not decay then options.raise("%s: %s cannot be assigned", what, tostring(key)) end
      value = decay_of(what, value)
      core.cell(a.cell, value, what .. ": decay")
      a.decay = value
    end,
    __tostring = function() return ("%s of %s%s"):format(what, decay and ("decay = %g: "):format(a.decay) or "", tostring(a.module)) end })
  inside[self] = a
  return self
end

-- optim.ema(model, { decay = 0.999, use_buffers = false }) -> an average
-- a:update() after each o:step(), in the compiled step or outside: the first one copies the weights, each further one makes the average
-- decay * average + (1 - decay) * weights. a(x), a.module: the model with the averaged weights. Buffers (running statistics) are copied,
-- with use_buffers averaged. a.decay = 0.9999 is seen by recorded steps. PyTorch: swa_utils.AveragedModel with get_ema_multi_avg_fn(decay).
function average.ema(model, opts, ...)
  options.none("optim.ema", ...)
  local o = options.read("optim.ema", opts, { decay = 0.999, use_buffers = false })
  return new("optim.ema", model, decay_of("optim.ema", o.decay), o.use_buffers)
end

-- optim.averaged_model(model, { use_buffers = false }) -> an average of equal weights: all weights since the first a:update() count alike
-- (stochastic weight averaging; Izmailov et al., arXiv 1803.05407). Otherwise as optim.ema.
function average.averaged_model(model, opts, ...)
  options.none("optim.averaged_model", ...)
  local o = options.read("optim.averaged_model", opts, { use_buffers = false })
  return new("optim.averaged_model", model, nil, o.use_buffers)
end

local function both(a, what, model, kind)
  local mine, theirs = a.module[kind](a.module), model[kind](model)
  if #mine ~= #theirs then
    options.raise("%s: the model has %d %s, the average %d", what, #theirs, kind, #mine)
  end
  for i, t in ipairs(theirs) do
    if not states.same_shape(mine[i], t) then
      options.raise("%s: %s %d is %s in the model, %s in the average", what, kind, i, states.sizes(t), states.sizes(mine[i]))
    end
  end
  return mine, theirs
end

-- a:update(): takes the model's weights into the average.
function Average:update(...)
  local a = own(self, "update")
  local what = a.what .. ": update"
  options.none(what, ...)
  local guard <close> = ms.no_grad()
  local n, decay = a.n_averaged, a.cell
  local weight = decay and 1 - n:clamp(0, 1) * decay or 1 / (n + 1)
  local function take(kind, averaged)
    local mine, theirs = both(a, what, a.model, kind)
    for i, t in ipairs(theirs) do
      if averaged and states.is_float(t) then mine[i]:lerp_(t, weight:to(t.dtype)) else mine[i]:copy_(t) end
    end
  end
  take("parameters", true)
  take("buffers", a.use_buffers)
  n:add_(1)
end

-- a:copy_to(model): copies the averaged weights and buffers into a model of the same kind; without one into that which is averaged.
function Average:copy_to(model, ...)
  local a = own(self, "copy_to")
  local what = a.what .. ": copy_to"
  options.none(what, ...)
  if model == nil then model = a.model end
  if not is_module(model) then options.raise("%s: expected a module, got %s", what, states.word(model)) end
  local guard <close> = ms.no_grad()
  for _, kind in ipairs { "parameters", "buffers" } do
    local mine, theirs = both(a, what, model, kind)
    for i, t in ipairs(theirs) do t:copy_(mine[i]) end
  end
end

-- a:state_dict() -> "n_averaged" and the tensors of a.module, "module.NAME", as PyTorch's
function Average:state_dict(...)
  local a = own(self, "state_dict")
  options.none(a.what .. ": state_dict", ...)
  local out = { n_averaged = a.n_averaged }
  for name, t in pairs(a.module:state_dict()) do out["module." .. name] = t end
  return out
end

-- a:load_state_dict(state) -> a; all or nothing
Average.load_state_dict = states.loader(function(self, state, ...)
  local a = own(self, "load_state_dict")
  local what = a.what .. ": load_state_dict"
  options.none(what, ...)
  states.check_dict(a.what, state)
  local of_module, n = {}, state.n_averaged
  if not n or n:numel() ~= 1 then options.raise("%s: n_averaged: expected a tensor of one element", what) end
  for name, t in pairs(state) do
    local rest = name:match "^module%.(.*)$"
    if rest then of_module[rest] = t
    elseif name ~= "n_averaged" then options.raise("%s: unknown entry '%s': expected n_averaged and module.NAME", what, name) end
  end
  local put = states.prepare_of(a.module)(a.module, of_module)
  local count = ms.tensor(n, { dtype = "f64" })
  return function()
    put()
    ms.no_grad(function() a.n_averaged:copy_(count) end)
  end
end)

return average
