-- optim: optimizers. An update is one operation over all parameters (rows sgd_, adam_), so a step can be recorded. Formulas, defaults and
-- what is refused are PyTorch's.
--
--   local o = optim.adam(model:parameters(), { lr = 1e-3 })
--   o:zero_grad(); loss:backward(); o:step()
--   o.lr = o.lr / 2                                          -- checked, and seen by steps that are recorded
--   ms.save(file, o:state_dict())   o:load_state_dict(state)
--
-- An optimizer is an empty table; its fields lie in another one (`inside[self]`, its __index), so that each assignment o.x = v calls
-- __newindex, which is `set`. Numbers (lr, momentum, betas,
-- ...) live in cells, which a recorded step reads anew at each replay; what decides which operation runs (momentum or none, nesterov)
-- is part of what chooses a recording.
--
-- State, by parameter: tensors of its shape ("momentum", or "first" and "second" moments) and "step", how many updates it has seen (one
-- f64). They are made at a parameter's first update; step 0 means that there is no state (again).
local ms = require "mascon"
local core = require "mascon.inside"
local options = require "mascon.options"
local text = require "mascon.text"
local names = require "mascon.names"
local states = require "mascon.state"
local moved, is_tensor, sizes = states.moved, states.is_tensor, states.sizes
local optim = {}

-- ---- fields ----------------------------------------------------------------------------------------------------------------------

-- What a number must be: words, and the test (NaN fails all of them).
local at_least_0 = { "a finite number from 0 on", function(x) return x >= 0 and x < math.huge end }
local any_number = { "a finite number", function(x) return x > -math.huge and x < math.huge end }
local beta = { "0 <= beta < 1", function(x) return x >= 0 and x < 1 end }

local function number(what, name, value, rule)
  if type(value) ~= "number" or not rule[2](value) then
    options.raise("%s: %s: expected %s, got %s", what, name, rule[1], states.word(value))
  end
  return value + 0.0
end

-- Other names that people try.
local also = { learning_rate = "lr", rate = "lr", eta = "lr", decay = "weight_decay", l2 = "weight_decay", beta1 = "betas[1]",
  beta2 = "betas[2]", beta = "betas", epsilon = "eps", params = "parameters", param_groups = "parameters" }
local fields = { "lr", "momentum", "dampening", "weight_decay", "nesterov", "betas", "eps", "parameters", "step", "zero_grad", "state_dict",
  "load_state_dict" }

local Optimizer = setmetatable({}, { __index = function(_, key)
  local known = also[key]
  for _, name in ipairs(fields) do
    if name == key then options.raise("optim: an optimizer like this has no field '%s'", key) end
  end
  options.raise("optim: an optimizer like this has no field '%s'%s", tostring(key),
    known and ("; did you mean %s?"):format(known) or text.hint(tostring(key), fields))
end })
local inside = setmetatable({}, { __mode = "k" }) -- optimizer -> its fields
local function own(self, method)
  return inside[self] or options.raise("optim: %s: expected an optimizer, got %s; with a colon: o:%s()", method, states.word(self), method)
end

-- Which recording fits: without momentum there are fewer lists, and nesterov is another formula.
local function choice(o) return (rawget(o, "momentum") or 0) ~= 0, rawget(o, "nesterov") end

-- Check a whole set of hyper-parameters (name -> value, betas a list): gives them as numbers, raises where one is impossible.
local function check(class, what, given)
  local out = {}
  for name, rule in pairs(class.numbers) do out[name] = number(what, name, given[name], rule) end
  if class.has_betas then
    local b = given.betas
    if type(b) ~= "table" then options.raise("%s: betas: expected { beta1, beta2 }, got %s", what, tostring(b)) end
    out.betas = { number(what, "betas[1]", b[1], beta), number(what, "betas[2]", b[2], beta) }
    if b[3] ~= nil then options.raise("%s: betas: expected two numbers, got more", what) end
  end
  if class.has_nesterov then
    if type(given.nesterov) ~= "boolean" then
      options.raise("%s: nesterov: expected true or false, got %s", what, tostring(given.nesterov))
    end
    out.nesterov = given.nesterov
    if out.nesterov and (out.momentum == 0 or out.dampening ~= 0) then
      options.raise("%s: nesterov: expected a momentum above 0 and no dampening, got momentum %g and dampening %g", what, out.momentum,
        out.dampening)
    end
  end
  return out
end

-- Take over checked values: cells (inside a compiled step that raises, and nothing has changed), fields, and the choice of a recording.
-- set: what a script sets, for the message.
local function take(o, values, set)
  local had, nesterov = choice(o)
  local what = set and o.what .. ": " .. set
  for name, v in pairs(values) do
    if o.cell[name] then core.cell(o.cell[name], v, what) end
  end
  for i, v in ipairs(values.betas or {}) do core.cell(o.cell[i], v, what) end
  for name, v in pairs(values) do
    if name == "betas" then o.beta[1], o.beta[2] = v[1], v[2] else o[name] = v end
  end
  local has, now = choice(o)
  if had ~= has then core.mode(o.marks[1], o.what .. ": momentum") end
  if nesterov ~= now then core.mode(o.marks[2], o.what .. ": nesterov") end
end

-- The hyper-parameters as they are, with some changed.
local function with(o, changes)
  local all = {}
  for name in pairs(o.class.numbers) do all[name] = o[name] end
  if o.class.has_betas then all.betas = { o.beta[1], o.beta[2] } end
  if o.class.has_nesterov then all.nesterov = o.nesterov end
  for name, v in pairs(changes) do all[name] = v end
  return check(o.class, o.what, all)
end

-- Every assignment to a field of an optimizer.
local function set(self, key, value)
  local o = inside[self]
  if value == nil then options.raise("%s: %s: expected a value, got nil", o.what, tostring(key)) end
  if o.class.numbers[key] or (key == "betas" and o.class.has_betas) or (key == "nesterov" and o.class.has_nesterov) then
    return take(o, with(o, { [key] = value }), key)
  end
  if rawget(o, key) ~= nil or o.class[key] ~= nil then
    options.raise("%s: %s cannot be assigned; make a new optimizer", o.what, tostring(key))
  end
end

-- o.betas: a list of two behind a door of its own, so that o.betas[1] = x is seen too.
local function betas_of(o)
  return setmetatable({}, { __index = o.beta, __len = function() return 2 end,
    __newindex = function(_, i, value)
      if i ~= 1 and i ~= 2 then options.raise("%s: betas[%s]: there are two, betas[1] and betas[2]", o.what, tostring(i)) end
      local b = { o.beta[1], o.beta[2] }
      b[i] = value
      take(o, with(o, { betas = b }), ("betas[%d]"):format(i))
    end,
    __tostring = function() return ("{ %g, %g }"):format(o.beta[1], o.beta[2]) end })
end

-- ---- making --------------------------------------------------------------------------------------------------------------------------

local function parameter_list(what, parameters)
  local empty = type(parameters) == "table" and next(parameters) == nil and debug.getmetatable(parameters) == nil
  if type(parameters) ~= "table" or empty or debug.getmetatable(parameters) then
    local got = empty and "an empty one" or states.word(parameters)
    options.raise("%s: expected a list of parameters (model:parameters()), got %s", what, got)
  end
  local n, seen, list = #parameters, {}, {}
  for k in pairs(parameters) do
    if math.type(k) ~= "integer" or k < 1 or k > n or parameters[k - 1] == nil and k > 1 then
      options.raise("%s: expected a list of parameters without holes and names, got an entry %s", what, tostring(k))
    end
  end
  for i = 1, n do
    local p = parameters[i]
    if not is_tensor(p) then options.raise("%s: parameter %d: expected a tensor, got %s", what, i, states.word(p)) end
    if p.dtype ~= "f32" and p.dtype ~= "f64" then options.raise("%s: parameter %d: expected f32 or f64, got %s", what, i, sizes(p)) end
    if not p.requires_grad then options.raise("%s: parameter %d does not require gradients", what, i) end
    if not p.is_leaf then
      options.raise("%s: parameter %d is the result of an operation: only leaves (nn.parameter, requires_grad_) can be trained", what, i)
    end
    if seen[p] then options.raise("%s: parameters %d and %d are the same tensor", what, seen[p], i) end
    seen[p], list[i] = i, p
  end
  return list
end

local function new(class, what, parameters, opts, defaults, fixed)
  local given = options.read(what, opts, defaults)
  local values = check(class, what, given)
  local o = setmetatable({ class = class, what = what, parameters = parameter_list(what, parameters), state = {}, cell = {},
    marks = { options.mark(), options.mark() } }, { __index = class })
  for name, v in pairs(fixed) do o[name] = v end
  for name in pairs(class.numbers) do o.cell[name] = core.cell(values[name]) end
  if class.has_betas then
    o.beta, o.cell[1], o.cell[2] = {}, core.cell(values.betas[1]), core.cell(values.betas[2])
    o.betas = betas_of(o)
  end
  if class.has_nesterov then o.nesterov = false end
  take(o, values)
  local self = setmetatable({}, { __index = o, __newindex = set, __name = what, __pairs = function() return next, o end,
    __tostring = function()
      local parts = {}
      for name in pairs(class.numbers) do parts[#parts + 1] = ("%s = %g"):format(name, o[name]) end
      if class.has_betas then parts[#parts + 1] = "betas = " .. tostring(o.betas) end
      if class.has_nesterov then parts[#parts + 1] = "nesterov = " .. tostring(o.nesterov) end
      table.sort(parts)
      return ("%s of %d parameters { %s }"):format(what, #o.parameters, table.concat(parts, ", "))
    end })
  inside[self] = o
  return self
end

-- ---- stepping ------------------------------------------------------------------------------------------------------------------------

-- A module was converted (module:to) and holds other tensors now: take those up; where steps were taken, the state no longer fits.
local function follow(o)
  for i, p in ipairs(o.parameters) do
    local q = moved[p]
    while q and moved[q] do q = moved[q] end
    if q then
      if o.state[p] then
        options.raise("%s: parameter %d was converted by module:to, from %s on %s to %s on %s, after this optimizer had stepped; make a "
          .. "new optimizer, or call :to before the first step", o.what, i, sizes(p), p.device, sizes(q), q.device)
      end
      o.parameters[i] = q
    end
  end
end

-- Forget the gradients of all parameters.
function Optimizer:zero_grad(...)
  local o = own(self, "zero_grad")
  options.none(o.what .. ": zero_grad", ...)
  if next(moved) then follow(o) end
  for _, p in ipairs(o.parameters) do p.grad = nil end
end

-- Zeros for each of the kinds of state in the shape of p, and a step count of 0.
local function new_state(p, kinds)
  local s = {}
  for _, name in ipairs(kinds) do s[name] = ms.keep(ms.zeros(p.shape, { dtype = p.dtype, device = p.device })) end
  s.step = ms.keep(ms.zeros({}, { dtype = "f64", device = p.device }))
  return s
end

-- The parameters that have a gradient now, their gradients, the states of these kinds and the step counts, one list after another; and
-- how many parameters they are. Without kinds: parameters and gradients only.
local function gather(o, kinds)
  if next(moved) then follow(o) end
  local list, gradients, of, n = {}, {}, {}, 0
  for _, p in ipairs(o.parameters) do
    local g = p.grad
    if g then
      n = n + 1
      list[n], gradients[n] = p, g
      if kinds then
        local s = o.state[p]
        if not s then
          s = new_state(p, kinds)
          o.state[p] = s
        end
        of[n] = s
      end
    end
  end
  table.move(gradients, 1, n, n + 1, list)
  if kinds then
    local at = 2 * n
    for _, name in ipairs(kinds) do
      for i = 1, n do list[at + i] = of[i][name] end
      at = at + n
    end
    for i = 1, n do list[at + i] = of[i].step end
  end
  return list, n
end

-- ---- state ---------------------------------------------------------------------------------------------------------------------------

local function scalar(x) return ms.keep(ms.tensor(x, { dtype = "f64" })) end

-- Everything needed to go on, as tensors by name: "momentum.2", "step.2" of the second parameter that has been stepped, and the
-- hyper-parameters ("lr", "weight_decay", ..., "beta1", "beta2", 0 or 1 for what is true or false), f64.
function Optimizer:state_dict(...)
  local o, out = inside[self], {}
  options.none(o.what .. ": state_dict", ...)
  for i, p in ipairs(o.parameters) do
    local s = o.state[p]
    if s and s.step:item() > 0 then
      for name, t in pairs(s) do out[("%s.%d"):format(name, i)] = t end
    end
  end
  for name in pairs(o.class.numbers) do out[name] = scalar(o[name]) end
  if o.class.has_betas then out.beta1, out.beta2 = scalar(o.beta[1]), scalar(o.beta[2]) end
  for _, name in ipairs(o.class.truths) do out[name] = scalar(o[name] and 1 or 0) end
  return out
end

local function value_of(what, name, t)
  if not is_tensor(t) or t:numel() ~= 1 then
    options.raise("%s: load_state_dict: %s: expected a tensor of one element, got %s", what, name, is_tensor(t) and sizes(t) or type(t))
  end
  return t:item()
end

-- The hyper-parameters of a state, checked.
local function hyper_of(o, state, fail)
  local given = {}
  local function get(name)
    local t = state[name]
    if t == nil then fail("missing entry '%s'", name) end
    return value_of(o.what, name, t)
  end
  for _, name in ipairs(o.class.truths) do
    local v = get(name)
    if v ~= 0 and v ~= 1 then fail("%s: expected 0 or 1, got %s", name, tostring(v)) end
    given[name] = v == 1
    if name == "decoupled" and given[name] ~= o.decoupled then
      fail("expected the state of %s, got that of %s", o.what, given[name] and "optim.adamw" or "optim.adam")
    end
  end
  for name in pairs(o.class.numbers) do given[name] = get(name) end
  if o.class.has_betas then given.betas = { get "beta1", get "beta2" } end
  return check(o.class, o.what .. ": load_state_dict", given)
end

-- The entries that a state may have for each parameter, by name -> true; those found, by place -> true; raises for what does not fit.
local function entries_of(o, state, fail)
  local each, found, hyper = { step = true }, {}, { beta1 = o.class.has_betas, beta2 = o.class.has_betas }
  for _, name in ipairs(o.class.states) do each[name] = true end
  for name in pairs(o.class.numbers) do hyper[name] = true end
  for _, name in ipairs(o.class.truths) do hyper[name] = true end
  for key, t in pairs(state) do
    local name, i = key:match "^([%a_]+)%.(%d+)$"
    if name and each[name] then
      i = math.tointeger(tonumber(i))
      local p = o.parameters[i]
      if not p or ("%s.%d"):format(name, i) ~= key then fail("'%s': there are %d parameters, counted from 1", key, #o.parameters) end
      if name == "step" then
        local n = value_of(o.what, key, t)
        if type(n) ~= "number" or n < 1 or n % 1 ~= 0 or n >= 2 ^ 53 then
          fail("%s: expected a whole number from 1 on, got %s", key, tostring(n))
        end
      elseif not states.same_shape(t, p) or not states.is_float(t) then
        fail("%s: expected %s, got %s", key, sizes(p), sizes(t))
      end
      found[i] = true
    elseif not hyper[key] then
      if key == "step" then
        fail "one step count for all parameters: written before each parameter had its own ('step.1', ...); train anew"
      end
      fail("unknown entry '%s': expected %s, step of each parameter (%s.1, ...) and %s", key, table.concat(o.class.states, ", "),
        o.class.states[1], table.concat(text.keys(hyper), ", "))
    end
  end
  for i in pairs(found) do
    for name in pairs(each) do
      if state[("%s.%d"):format(name, i)] == nil then fail("missing entry '%s.%d'", name, i) end
    end
  end
  return each, found
end

-- o:load_state_dict(state) takes over a state_dict, to the last bit: states and hyper-parameters, as PyTorch does (so a script's own lr
-- counts for a new run only; set o.lr after loading to change it). Tensors are copied into those that are there, which recorded steps
-- know; a parameter without state in the dict has none afterwards. Whatever does not fit -- another optimizer's state, a wrong shape, an
-- entry too many or too few -- is an error, and nothing has changed then. Gives o.
local function prepare(self, state, ...)
  local o = inside[self]
  options.none(o.what .. ": load_state_dict", ...)
  local function fail(...) options.raise("%s: load_state_dict: %s", o.what, string.format(...)) end
  states.check_dict(o.what, state)
  if next(moved) then follow(o) end
  local each, found = entries_of(o, state, fail)
  local values = hyper_of(o, state, fail)
  local copies, made = {}, {}
  for i in pairs(found) do
    local p = o.parameters[i]
    local s = o.state[p]
    if not s then
      s = new_state(p, o.class.states)
      made[p] = s
    end
    for name in pairs(each) do
      copies[#copies + 1] = { s[name], ms.tensor(state[("%s.%d"):format(name, i)], { dtype = s[name].dtype, device = p.device }) }
    end
  end
  return function()
    local guard <close> = ms.no_grad()
    for _, c in ipairs(copies) do c[1]:copy_(c[2]) end
    for i, p in ipairs(o.parameters) do
      if made[p] then o.state[p] = made[p] end
      if o.state[p] and not found[i] then
        for _, t in pairs(o.state[p]) do t:fill_(0) end
      end
    end
    take(o, values, "a state")
  end
end
Optimizer.load_state_dict = states.loader(prepare)

-- ---- the optimizers ------------------------------------------------------------------------------------------------------------------

-- An optimizer is a class (a table of the fields below), a function optim.NAME that makes one with `new`, and a method step, which hands
-- the lists of `gather` to the operation that does the update (a row in runtime/ops.def, runtime/ops/optim.c, kernels/cpu/optim.c).
--   states        names of the tensors that are kept for each parameter, in the order in which the operation takes them
--   numbers       hyper-parameters that are numbers -> what each must be; step hands over o.cell[name], which compiled steps read anew
--   truths        hyper-parameters that are true or false, for state_dict
--   has_betas, has_nesterov    whether betas (o.cell[1], o.cell[2]) and nesterov are among its options
local function class(c) return setmetatable(c, { __index = Optimizer }) end

-- optim.sgd(parameters, {lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0, nesterov = false})
local SGD = class { states = { "momentum" }, has_nesterov = true, truths = { "nesterov" },
  has_betas = false, numbers = { lr = at_least_0, momentum = at_least_0, dampening = any_number, weight_decay = at_least_0 } }
function optim.sgd(parameters, opts)
  return new(SGD, "optim.sgd", parameters, opts, { lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0, nesterov = false }, {})
end
function SGD:step(...)
  local o = own(self, "step")
  if (...) ~= nil then options.none(o.what .. ": step", ...) end
  local momentum = o.momentum ~= 0
  local list, n = gather(o, momentum and SGD.states or nil)
  if n == 0 then return end
  local cell, guard <close> = o.cell, ms.no_grad()
  if momentum then core.sgd_(list, 4, cell.lr, cell.momentum, cell.dampening, cell.weight_decay, o.nesterov)
  else core.sgd_(list, 2, cell.lr, 0, 0, cell.weight_decay) end
end

-- optim.adam(parameters, {lr = 1e-3, betas = {0.9, 0.999}, eps = 1e-8, weight_decay = 0}); adamw: decay decoupled, 0.01
local Adam = class { states = { "first", "second" }, has_betas = true, has_nesterov = false, truths = { "decoupled" },
  numbers = { lr = at_least_0, eps = at_least_0, weight_decay = at_least_0 } }
local function adam(what, decay, decoupled)
  return function(parameters, opts)
    return new(Adam, what, parameters, opts, { lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8, weight_decay = decay },
      { decoupled = decoupled })
  end
end
optim.adam = adam("optim.adam", 0, false)
optim.adamw = adam("optim.adamw", 0.01, true)
function Adam:step(...)
  local o = own(self, "step")
  if (...) ~= nil then options.none(o.what .. ": step", ...) end
  local list, n = gather(o, Adam.states)
  if n == 0 then return end
  local cell, guard <close> = o.cell, ms.no_grad()
  core.adam_(list, 5, cell.lr, cell[1], cell[2], cell.eps, cell.weight_decay, o.decoupled)
end

return names.guard(optim, "ms.optim")
