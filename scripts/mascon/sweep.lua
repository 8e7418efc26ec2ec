-- sweep: K copies of a model trained side by side in one compiled step, each with its own initial weights, learning rate and so on.
--
--   local s = ms.sweep { model = make, seeds = { 1, 2, 3, 4 }, loss = nn.cross_entropy, optimizer = optim.sgd,
--     lr = { 0.1, 0.03, 0.01, 0.003 }, weight_decay = 1e-4 }
--   for epoch = 1, 5 do
--     for x, y in loader do local losses = s:step(x, y) end          -- a tensor of K losses
--     s.lr = { ... }                                                  -- may change: nothing is recorded anew
--   end
--   print(s:accuracy(test):totable())                                 -- K numbers
--   local nets = s:models()                                           -- K ordinary models
--
-- All copies see the same batches. Their parameters lie in one tensor with a leading dimension K; activations are K x features x batch, so
-- that the first layer's products, whose input the copies share, are one product (K outputs) x inputs by inputs x batch. The K losses are
-- added up for the backward pass, which leaves the copies independent of one another: a copy that becomes NaN stays alone. A copy goes the
-- way of the same model trained alone within rounding (sums in another order: 1e-6 of the weights' size in a step), not to the bit; with
-- dropout it draws other masks than alone.
--
-- Layers: linear, flatten, identity, elementwise functions, softmax and log_softmax over features, dropout, batch_norm(1d), layer_norm over
-- the features, and nn.sequential of them. Another one is an error that names it.
local ms = require "mascon"
local core = require "mascon.nn.module"
local options = require "mascon.options"
local rules = require "mascon.sweep.rules"
local layers = require "mascon.sweep.layers"
local states = require "mascon.state"
local text = require "mascon.text"
local any = options.any

local Sweep = {}
local own = setmetatable({}, { __mode = "k" }) -- sweep -> its fields

local function fields(self, method)
  return own[self] or options.raise("sweep: %s: expected a sweep, got %s; with a colon: s:%s(...)", method, states.word(self), method)
end

-- ---- making ----------------------------------------------------------------------------------------------------------------------------

-- K models, the k-th made by make(k) after ms.seed(seeds[k]); the default generator stands where it stood afterwards.
local function make_models(make, seeds)
  local list = {}
  for k, seed in ipairs(seeds) do
    list[k] = ms.with_seed(seed, make, k)
    if not ms.nn.is_module(list[k]) then options.raise("sweep: model: expected a function that gives a module, got %s",
      states.word(list[k])) end
    for j = 1, k - 1 do
      if list[j] == list[k] then options.raise("sweep: model: it gave the same module for copies %d and %d", j, k) end
    end
  end
  return list
end

local function described(m) return ("%s(%s)"):format(m.__name, m.extra and m:extra() or "") end

-- Raise unless all models are made alike: the same layers with the same sizes and settings.
local function check_alike(models)
  local first = {}
  for name, m in models[1]:named_modules() do first[#first + 1] = { name, m } end
  for k = 2, #models do
    local i = 0
    for name, m in models[k]:named_modules() do
      i = i + 1
      local a = first[i]
      if not a or a[1] ~= name or described(a[2]) ~= described(m) then
        options.raise("sweep: the copies must be alike: layer '%s' of copy %d is %s, of copy 1 %s; one sweep for each architecture", name,
          k, described(m), a and described(a[2]) or "not there")
      end
    end
    if i < #first then options.raise("sweep: the copies must be alike: copy %d has no layer '%s'", k, first[i + 1][1]) end
  end
end

-- The tensors of all copies in one with a leading dimension K: stacked[module of copy 1][field], parameters and buffers; and a list of
-- { tensor, field, of = modules by copy }, a shared one once.
local function stack(models)
  local stacked, list, seen = {}, {}, {}
  for _, m in ipairs(models[1]:modules()) do stacked[m] = {} end
  for _, kind in ipairs { "parameter", "buffer" } do
    local places = {}
    for k, m in ipairs(models) do places[k] = core.places(m, kind) end
    for i, first in ipairs(places[1]) do
      local entry = seen[first.tensor]
      if not entry then
        local parts, of = {}, {}
        for k in ipairs(models) do parts[k], of[k] = places[k][i].tensor:detach(), places[k][i].module end
        entry = { tensor = ms.keep(ms.stack(parts)), field = first.key, of = of }
        if kind == "parameter" and first.tensor.requires_grad then entry.tensor:requires_grad_() end
        seen[first.tensor], list[#list + 1] = entry, entry
      end
      stacked[first.module][first.key] = entry.tensor
    end
  end
  return stacked, list
end

local defaults = { model = any, copies = any, seeds = any, optimizer = any, loss = any, compile = true }
for name in pairs(rules.settings) do defaults[name] = any end

local function read(given)
  local o = options.read("sweep", given, defaults)
  if type(o.model) ~= "function" and not ms.nn.is_class(o.model) then
    options.raise("sweep: model: expected a function that makes one (function(k) return nn.sequential { ... } end), got %s",
      states.word(o.model))
  end
  if o.copies ~= nil then o.copies = options.count("sweep", "copies", o.copies) end
  if o.seeds ~= nil and (type(o.seeds) ~= "table" or #o.seeds == 0) then
    options.raise("sweep: seeds: expected a list of whole numbers, got %s", states.word(o.seeds))
  end
  local copies = o.copies or o.seeds and #o.seeds
  for name in pairs(rules.settings) do
    if not copies and type(o[name]) == "table" and name ~= "betas" then copies = #o[name] end
  end
  if not copies or copies < 1 then options.raise "sweep: expected copies = how many, or seeds, or a list of rates" end
  if not o.seeds then
    o.seeds = {}
    for k = 1, copies do o.seeds[k] = k end
  end
  if #o.seeds ~= copies then options.raise("sweep: seeds: expected %d, one for each copy, got %d", copies, #o.seeds) end
  for k, seed in ipairs(o.seeds) do
    if math.type(seed) ~= "integer" then options.raise("sweep: seeds[%d]: expected a whole number, got %s", k, states.word(seed)) end
  end
  if o.loss == nil then options.raise "sweep: loss is missing: expected a function of output and target, as nn.cross_entropy" end
  if type(o.loss) ~= "function" then options.raise("sweep: loss: expected a function, got %s", states.word(o.loss)) end
  return o, copies
end

-- ---- steps -----------------------------------------------------------------------------------------------------------------------------

-- K losses of a batch: out K x N x ..., target N x ... (or the input), the same for all copies.
local function losses_of(t, out, target)
  local K, n = t.copies, out:size(2)
  local shape = { K }
  for d = 1, target:dim() do shape[d + 1] = target:size(d) end
  target = target:unsqueeze(1):expand(shape):flatten(1, 2)
  local each = t.loss(out:flatten(1, 2), target, { reduction = "none" })
  if not states.is_tensor(each) or each:dim() == 0 or #each ~= K * n then
    options.raise("sweep: loss: expected a loss for each sample with { reduction = \"none\" } (third argument), got %s",
      states.is_tensor(each) and states.sizes(each) or states.word(each))
  end
  return each:reshape { K, -1 }:mean(2)
end

local function training_step(t)
  local apply, update, params = t.apply, t.update, t.trained
  return function(x, y)
    local losses = losses_of(t, apply(x, true), y)
    local grads = ms.grad(losses:sum(), params)
    local guard <close> = ms.no_grad() -- luacheck: ignore guard
    update(grads)
    return losses:detach()
  end
end

-- ms.sweep { model =, copies =, seeds = { 1, 2, ... }, loss =, optimizer = optim.sgd, lr =, ... } -> s
-- model: a function that makes one, called as model(k) after ms.seed(seeds[k]); loss: a function of output, target and
-- { reduction = "none" } (nn.cross_entropy, nn.mse, ...), of which the mean over each copy's batch is taken; optimizer: optim.sgd,
-- optim.adam or optim.adamw (or "sgd", ...) with their options lr, weight_decay, momentum, nesterov; betas, eps. A number counts for all
-- copies, a list for each its own (lr, weight_decay, momentum). copies: how many, unless seeds or a list say it. s:step(x, y) -> K losses;
-- s(x) -> K x batch x outputs, without gradients, in evaluation mode; s:losses(x, y), s:accuracy(data); s:models() -> K models with the
-- weights of now; s.lr, s.lr = { ... }; s:state_dict(), s:load_state_dict(state). compile = false runs steps as they are.
local function sweep(given, ...)
  options.none("sweep", ...)
  local o, copies = read(given)
  local t = { copies = copies, loss = o.loss, seeds = o.seeds }
  local rule = rules.find(o.optimizer)
  local values = rules.read(rule, o, copies)
  t.models = make_models(o.model, o.seeds)
  check_alike(t.models)
  t.stacked, t.list = stack(t.models)
  t.trained = {}
  for _, entry in ipairs(t.list) do
    if entry.tensor.requires_grad then t.trained[#t.trained + 1] = entry.tensor end
  end
  if #t.trained == 0 then options.raise "sweep: model: it has no parameters to train" end
  t.apply = layers.compose(t.models[1], t.stacked, copies)
  t.values, t.rule = values, rule
  t.state, t.update = rules.make(rule, values, t.trained, copies)
  t.forward = function(x) return ms.no_grad(t.apply, x, false) end
  t.eval_losses = function(x, y) return ms.no_grad(function() return losses_of(t, t.apply(x, false), y) end) end
  t.train = training_step(t)
  if o.compile then t.forward, t.eval_losses, t.train = ms.compile(t.forward), ms.compile(t.eval_losses), ms.compile(t.train) end
  local self = setmetatable({}, { __name = "mascon.sweep", __len = function() return copies end,
    __call = function(_, x) return t.forward(x) end,
    __tostring = function() return ("sweep of %d copies, %s, of\n%s"):format(copies, rule.name, tostring(t.models[1])) end,
    __index = function(_, key)
      if Sweep[key] then return Sweep[key] end
      if values[key] ~= nil then return rules.get(values, key) end
      if key == "copies" or key == "seeds" then return t[key] end
      local names = text.keys(Sweep)
      for name in pairs(values) do names[#names + 1] = name end
      options.raise("sweep has no field '%s'%s", tostring(key), text.hint(tostring(key), names))
    end,
    __newindex = function(_, key, v)
      if values[key] == nil then options.raise("sweep.%s cannot be assigned%s", tostring(key), text.hint(tostring(key),
        text.keys(values))) end
      rules.set(values, key, v, copies)
    end })
  own[self] = t
  return self
end

-- s:step(x, y): one step of all copies -> tensor of K losses, those before the step. x: batch x ..., y: what loss holds the outputs against
function Sweep:step(x, y, ...)
  local t = fields(self, "step")
  options.none("sweep: step", ...)
  for name, v in pairs { x = x or false, y = y or false } do
    if not states.is_tensor(v) then options.raise("sweep: step: %s: expected a tensor, got %s", name, states.word(v or nil)) end
  end
  return t.train(x, y)
end

-- s:losses(x, y) -> tensor of K losses, in evaluation mode, without gradients
function Sweep:losses(x, y, ...)
  local t = fields(self, "losses")
  options.none("sweep: losses", ...)
  return t.eval_losses(x, y)
end

-- s:accuracy(data) -> tensor of K shares (f32) of samples whose largest output is their label. data: a data set, or a loader (or another
-- iterator) of batches and their labels, one a sample
function Sweep:accuracy(data, ...)
  local t = fields(self, "accuracy")
  options.none("sweep: accuracy", ...)
  local ok, loader = pcall(function() return data.loader end)
  if ok and type(loader) == "function" then data = data:loader { batch = 256 } end
  local meta = debug.getmetatable(data)
  if type(data) ~= "function" and (states.is_tensor(data) or type(data) == "string" or not (meta and meta.__call)) then
    options.raise("sweep: accuracy: expected a data set or a loader, got %s", states.word(data))
  end
  local right, seen = nil, 0
  for x, y in data do
    local scope <close> = ms.scope()
    if y == nil then options.raise "sweep: accuracy: expected batches with labels" end
    if not states.is_tensor(y) or y:dim() ~= 1 or #y ~= #x then
      options.raise("sweep: accuracy: expected %d labels, one a sample, got %s", #x, states.is_tensor(y) and states.sizes(y)
        or states.word(y))
    end
    local hits = t.forward(x):argmax(3):eq(y:unsqueeze(1)):to("i64"):sum(2)
    right, seen = scope:keep(right and right + hits or hits), seen + #x
  end
  if seen == 0 then options.raise "sweep: accuracy: there is no batch" end
  return right:to "f32" / seen
end

-- s:models() -> list of K ordinary models, with copies of the weights as they are now
function Sweep:models(...)
  local t = fields(self, "models")
  options.none("sweep: models", ...)
  local guard <close> = ms.no_grad() -- luacheck: ignore guard
  for _, entry in ipairs(t.list) do
    for k = 1, t.copies do entry.of[k][entry.field]:copy_(entry.tensor[k]) end
  end
  local out = {}
  for k, m in ipairs(t.models) do out[k] = ms.deepcopy(m) end
  return out
end

-- What changes, by name.
local function entries(t)
  local all = {}
  for i, entry in ipairs(t.list) do all[("%d.%s"):format(i, entry.field)] = entry.tensor end
  for name, x in pairs(t.state) do all["state." .. name] = x end
  for name, x in pairs(t.values) do
    if states.is_tensor(x) then all["value." .. name] = x end
  end
  return all
end

-- s:state_dict() -> everything needed to go on, as tensors by name: those that it trains, not copies
function Sweep:state_dict(...)
  options.none("sweep: state_dict", ...)
  return entries(fields(self, "state_dict"))
end

-- s:load_state_dict(state): goes on from there. Nothing has changed when it raises. Gives s.
Sweep.load_state_dict = states.loader(function(self, state, ...)
  local t = fields(self, "load_state_dict")
  options.none("sweep: load_state_dict", ...)
  states.check_dict("sweep", state)
  local places = entries(t)
  for name, x in pairs(state) do
    local place = places[name]
    if not place then
      options.raise("sweep: load_state_dict: unknown entry '%s'%s", name, text.hint(name, text.keys(places)))
    end
    if not states.same_shape(x, place) or x.dtype ~= place.dtype then
      options.raise("sweep: load_state_dict: %s: expected %s, got %s", name, states.sizes(place), states.sizes(x))
    end
  end
  for name in pairs(places) do
    if not state[name] then options.raise("sweep: load_state_dict: missing entry '%s'", name) end
  end
  return function()
    local guard <close> = ms.no_grad() -- luacheck: ignore guard
    for name, place in pairs(places) do place:copy_(state[name]) end
  end
end)

return sweep
