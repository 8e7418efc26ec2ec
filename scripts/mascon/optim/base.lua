-- optim/base: what an optimizer is. A class says what it takes, what it remembers of each parameter, and how it changes one:
--
--   local Lion = optim.class "lion"
--   Lion.options = { lr = 1e-4, betas = { 0.9, 0.99 }, weight_decay = 0 }
--   Lion.states = { "exp_avg" }
--   function Lion.update(p, g, s, o) ... end                    -- in operations that change p and s in place
--   local o = Lion(model:parameters(), { lr = 3e-4 })
--
-- The optimizers of the library are written so, too; sgd and adam have a row that updates all parameters at once (`advance`).
--
-- An optimizer is an empty table; its fields lie in another one (`inside[self]`, its __index), so that each assignment o.x = v calls
-- __newindex. A group (o.groups[i]) is the same around a table of settings.lua. Its update may be recorded: numbers are live then, the
-- state lies in tensors that are changed in place, and so does the count of steps, so that a replay is right at each of them.
--
-- State, by parameter: tensors of its shape, zeros at first, and "step", how many updates it has seen (one f64). They are made at a
-- parameter's first update; step 0 means that there is no state (again).
local ms = require "mascon"
local core = require "mascon.inside"
local options = require "mascon.options"
local text = require "mascon.text"
local states = require "mascon.state"
local settings = require "mascon.optim.settings"
local moved, is_tensor, sizes = states.moved, states.is_tensor, states.sizes
local base = {}

-- ---- classes -------------------------------------------------------------------------------------------------------------------------

-- What a class may say (all but options and update may be left out):
--   options     what it is made with: name -> default (a number, a list of numbers, a switch, a word)
--   states      names of the tensors that it keeps of each parameter
--   update      function(p, g, s, o): one step of parameter p with gradient g, which it does not change; s: the state (s.step counts, this
--               step included), o: the settings. Runs without a graph
--   off_at_0    names of numbers that are nil in o while they are 0
--   rules       name -> what an option must be (settings.lua), where it is not what its name usually means
--   check       function(values, what): raises for options that do not go together
--   accepts     function(p, what): raises for a parameter that it cannot train
--   start       name of a state -> function(p, values) that makes it, where it is not zeros of p's shape
--   needs       function(values) -> the states that these settings want (else all)
--   advance     function(o, g): one step of all parameters of a group, in place of update
--   fixed       name -> value: what updates find in o though it is no option
--   step, also_in_state, one_group    lbfgs.lua: a step of its own, state of the optimizer beside that of the parameters
local parts = { options = "table", states = "table", update = "function", off_at_0 = "table", rules = "table", check = "function",
  accepts = "function", start = "table", needs = "function", advance = "function", fixed = "table", step = "function",
  also_in_state = "function", one_group = "boolean" }

local make
local Optimizer = {}

-- What options and states may be, beyond being tables: raises, and nothing has changed.
local check_part = {}
function check_part.options(what, v)
  for name, default in pairs(v) do
    if type(name) ~= "string" or name == "params" or name == "parameters" or name == "groups" or Optimizer[name] then
      options.raise("%s: options: an option cannot be called '%s'", what, tostring(name))
    end
    local kind, fits = type(default), false
    if kind == "table" and not debug.getmetatable(default) then
      fits = #default > 0
      for _, x in pairs(default) do fits = fits and type(x) == "number" end
    end
    if not fits and kind ~= "number" and kind ~= "boolean" and kind ~= "string" then
      options.raise("%s: options: %s: expected a number, a list of numbers, true, false or a word, got %s", what, name,
        states.word(default))
    end
  end
end
function check_part.states(what, v)
  for k, name in pairs(v) do
    if math.type(k) ~= "integer" or type(name) ~= "string" or name == "" or name == "step" then
      options.raise("%s: states: expected a list of names other than 'step', which is there always, got %s", what, states.word(name))
    end
  end
end

-- optim.class(name) -> a class of optimizers, to be filled in and called with parameters and options
-- Its fields: options = { lr = 1e-3, ... }, the defaults; states = { "exp_avg", ... }, zeros of each parameter's shape;
-- update(p, g, s, o), which changes parameter p and its state s by its gradient g under the settings o, with operations that work in
-- place (p:sub_, s.exp_avg:lerp_); s.step is how many updates p has seen, this one included. README.md has an example.
function base.class(name)
  if type(name) ~= "string" or name == "" then options.raise("optim.class: expected a name, got %s", states.word(name)) end
  local class = { name = name, states = {}, rules = {}, off_at_0 = {}, start = {}, off = {} }
  return setmetatable({}, { __name = "optimizer class", __index = class, __call = function(_, ...) return make(class, ...) end,
    __tostring = function() return ("%s { %s }"):format(name, table.concat(text.keys(class.options or {}), ", ")) end,
    __newindex = function(_, key, value)
      local expected = parts[key]
      if not expected then
        options.raise("%s: a class of optimizers has no part '%s'%s", name, tostring(key), text.hint(tostring(key), text.keys(parts)))
      end
      if type(value) ~= expected then options.raise("%s: %s: expected a %s, got %s", name, key, expected, states.word(value)) end
      if check_part[key] then check_part[key](name, value) end
      class[key] = value
      if key == "off_at_0" then
        for _, option in ipairs(value) do class.off[option] = true end
      end
    end })
end

local function count(n, word) return ("%d %s%s"):format(n, word, n == 1 and "" or "s") end

-- ---- fields ----------------------------------------------------------------------------------------------------------------------

base.methods = Optimizer
local inside = setmetatable({}, { __mode = "k" }) -- optimizer -> its fields

-- The fields of an optimizer, or an error that names the method.
local function own(self, method)
  return inside[self] or options.raise("optim: %s: expected an optimizer, got %s; with a colon: o:%s()", method, states.word(self), method)
end
base.own = own
function base.is_optimizer(v) return inside[v] ~= nil end

-- Other names that people try.
local also = { learning_rate = "lr", rate = "lr", eta = "lr", decay = "weight_decay", l2 = "weight_decay", beta1 = "betas[1]",
  beta2 = "betas[2]", beta = "betas", epsilon = "eps", params = "parameters", param_groups = "groups", set_lr = "o.lr = 0.1",
  get_lr = "lr", backward = "loss:backward()", state = "state_dict", defaults = "lr" }

local function unknown(o, key)
  local names = { "parameters", "groups" }
  for name in pairs(Optimizer) do names[#names + 1] = name end
  for name in pairs(o.class.options) do names[#names + 1] = name end
  table.sort(names)
  local known = also[key]
  local hint = known and ("; did you mean %s?"):format(known) or text.hint(tostring(key), names)
  options.raise("%s: there is no field '%s'%s", o.what, tostring(key),
    hint ~= "" and hint or "; there are " .. table.concat(text.keys(o.class.options), ", "))
end

local function same(a, b)
  if type(a) ~= "table" then return a == b end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

-- o.lr: the setting of all groups; where they differ there is no such number.
local function get_field(o, key)
  if key == "parameters" then return { table.unpack(o.all) } end -- a list of the script's own: what it changes there is its own affair
  local first = o.sets[1]
  local v = first.value[key]
  if v == nil then return unknown(o, key) end
  for i = 2, #o.sets do
    if not same(o.sets[i].value[key], v) then
      options.raise("%s: %s differs from group to group: read o.groups[1].%s, ...", o.what, key, key)
    end
  end
  return settings.get(first, key)
end

-- o.lr = x: for all groups.
local function set_field(self, key, value)
  local o = inside[self]
  if value == nil then options.raise("%s: %s: expected a value, got nil", o.what, tostring(key)) end
  if o.class.options[key] == nil then
    if rawget(o, key) == nil and key ~= "parameters" then unknown(o, key) end
    options.raise("%s: %s cannot be assigned; make a new optimizer", o.what, tostring(key))
  end
  local checked = {}
  for i, g in ipairs(o.sets) do checked[i] = settings.with(g, { [key] = value }) end
  for i, g in ipairs(o.sets) do settings.take(g, checked[i], key) end
end

-- o.groups[i]: params (a list) and the settings.
local function group_door(g)
  return setmetatable({}, { __name = g.what .. " group",
    __index = function(_, key)
      if key == "params" then return { table.unpack(g.params) } end
      if g.value[key] == nil then
        options.raise("%s: a group has no field '%s'%s", g.what, tostring(key), text.hint(tostring(key), text.keys(g.value)))
      end
      return settings.get(g, key)
    end,
    __newindex = function(_, key, value)
      if g.class.options[key] == nil then
        options.raise("%s: %s of a group cannot be assigned%s", g.what, tostring(key), text.hint(tostring(key), text.keys(g.value)))
      end
      if value == nil then options.raise("%s: %s: expected a value, got nil", g.what, key) end
      settings.set(g, key, value)
    end,
    __pairs = function()
      local all = { params = { table.unpack(g.params) } }
      for name in pairs(g.value) do all[name] = settings.get(g, name) end
      return next, all
    end,
    __tostring = function() return ("%s %s"):format(count(#g.params, "parameter"), settings.describe(g)) end })
end

-- "lr 0.001, betas { 0.5, 0.6 }": lr, and the settings of a group that are not the class's defaults.
local function changed(class, g)
  local words = {}
  for _, name in ipairs(text.keys(g.value)) do
    local word = name .. (g.value[name] == true and "" or " " .. settings.word(g.value[name]))
    if name == "lr" then table.insert(words, 1, word)
    elseif not same(g.value[name], class.options[name]) then words[#words + 1] = word end
  end
  return table.concat(words, ", ")
end

-- How many updates there were; nil inside a compiled step, where it cannot be read.
local function steps_of(o)
  if core.recording() then return nil end
  local most = 0
  for _, p in ipairs(o.all) do
    local s = rawget(o, "state")[p]
    local t = s and rawget(s, "step")
    if t and t:item() > most then most = t:item() end
  end
  return most
end

-- "adam: lr 0.001, 4 parameters, step 235", and a line for each group where there are several.
local function describe(o)
  local n = steps_of(o)
  local rest = count(#o.all, "parameter") .. (n and (", step %.0f"):format(n) or "")
  local name = o.what:gsub("^optim%.", "")
  if #o.sets == 1 then return ("%s: %s, %s"):format(name, changed(o.class, o.sets[1]), rest) end
  local lines = { ("%s: %s, %s"):format(name, count(#o.sets, "group"), rest) }
  for i, g in ipairs(o.sets) do lines[i + 1] = ("  %d: %s, %s"):format(i, changed(o.class, g), count(#g.params, "parameter")) end
  return table.concat(lines, "\n")
end

-- ---- making --------------------------------------------------------------------------------------------------------------------------

-- A checked copy of a list of parameters; seen: parameter -> words for where it was listed already. Frozen ones are taken, as PyTorch
-- takes them: they get no gradient, so that steps pass them by until requires_grad_() lets them learn.
local function parameter_list(what, class, parameters, seen)
  local empty = type(parameters) == "table" and next(parameters) == nil and debug.getmetatable(parameters) == nil
  if type(parameters) ~= "table" or empty or debug.getmetatable(parameters) then
    local got = empty and "an empty one" or states.word(parameters)
    options.raise("%s: expected a list of parameters (model:parameters()), got %s%s", what, got,
      type(parameters) == "function" and "; call it, with a colon" or "")
  end
  local n, list, here = #parameters, {}, {}
  for k in pairs(parameters) do
    if math.type(k) ~= "integer" or k < 1 or k > n or parameters[k - 1] == nil and k > 1 then
      options.raise("%s: expected a list of parameters without holes and names, got an entry %s; options come behind it: "
        .. "%s(model:parameters(), { lr = 0.1 })", what, tostring(k), class.name)
    end
  end
  for i = 1, n do
    local p = parameters[i]
    if not is_tensor(p) then options.raise("%s: parameter %d: expected a tensor, got %s", what, i, states.word(p)) end
    if p.dtype ~= "f32" and p.dtype ~= "f64" then options.raise("%s: parameter %d: expected f32 or f64, got %s", what, i, sizes(p)) end
    if not p.is_leaf then
      options.raise("%s: parameter %d is the result of an operation: only leaves (nn.parameter, requires_grad_) can be trained", what, i)
    end
    if here[p] then options.raise("%s: parameters %d and %d are the same tensor", what, here[p], i) end
    if seen[p] then options.raise("%s: parameter %d is in group %d, too", what, i, seen[p]) end
    if class.accepts then class.accepts(p, ("%s: parameter %d"):format(what, i)) end
    here[p], list[i] = i, p
  end
  return list, here
end

-- Is it a list of groups, { params = { ... }, lr = ... } each, and not one of parameters?
local function are_groups(v)
  local first = type(v) == "table" and not debug.getmetatable(v) and v[1]
  return type(first) == "table" and not debug.getmetatable(first)
end

-- The settings of one group: its own over those of the optimizer.
local function read_group(what, class, given, defaults)
  if type(given) ~= "table" or debug.getmetatable(given) then
    options.raise("%s: expected a table { params = { ... }, lr = ... }, got %s", what, states.word(given))
  end
  local own_options = {}
  for k, v in pairs(given) do
    if k ~= "params" then own_options[k] = v end
  end
  if given.params == nil then options.raise("%s: params is missing: expected { params = model:parameters(), lr = ... }", what) end
  return settings.check(class, what, options.read(what, own_options, defaults))
end

-- One more group. Nothing has changed when this raises.
local function add_group(o, what, parameters, values)
  local seen = {}
  for i, g in ipairs(o.sets) do
    for _, p in ipairs(g.params) do seen[p] = i end
  end
  local list = parameter_list(what, o.class, parameters, seen)
  local g = settings.group(o.class, o.what, list, values)
  local n = #o.sets
  if n > 0 then
    local first = o.sets[1]
    settings.take(first, first.value, "a group of parameters") -- as it is: inside a compiled step that raises
    core.set(o.id, "groups", n, n + 1, o.what .. ": groups")
  end
  o.sets[n + 1], o.groups[n + 1] = g, group_door(g)
  for _, p in ipairs(list) do o.all[#o.all + 1] = p end
end

function make(class, parameters, opts, ...)
  options.none(class.name, ...)
  local what = class.name
  if not class.options or not (class.update or class.advance or class.step) then
    options.raise("%s: this class of optimizers has no %s yet", what, class.options and "update" or "options")
  end
  local defaults = {}
  for name, v in pairs(class.options) do defaults[name] = v end
  local given = options.read(what, opts, defaults)
  for name, v in pairs(given) do defaults[name] = v end
  local o = { class = class, what = what, all = {}, groups = {}, sets = {}, state = {}, id = options.mark(), defaults = defaults }
  for name, f in pairs(Optimizer) do o[name] = f end
  if class.step then o.step = class.step end
  if are_groups(parameters) then
    if class.one_group then options.raise("%s: takes one list of parameters, no groups", what) end
    for i, entry in ipairs(parameters) do
      local where = ("%s: group %d"):format(what, i)
      local values = read_group(where, class, entry, defaults)
      add_group(o, where, entry.params, values)
    end
  else
    add_group(o, what, parameters, settings.check(class, what, given))
  end
  local self = setmetatable({}, { __index = o, __newindex = set_field, __name = what, __pairs = function() return next, o end,
    __tostring = function() return describe(o) end })
  setmetatable(o, { __index = get_field })
  inside[self] = o
  return self
end

-- o:add_param_group { params = { ... }, lr = 1e-4 }: one more group of parameters, with settings of its own; those that are not named are
-- as the optimizer was made. Compiled steps record anew.
function Optimizer:add_param_group(group, ...)
  local o = own(self, "add_param_group")
  local what = ("%s: group %d"):format(o.what, #o.sets + 1)
  options.none(o.what .. ": add_param_group", ...)
  if o.class.one_group then options.raise("%s: takes one list of parameters, no groups", o.what) end
  local values = read_group(what, o.class, group, o.defaults)
  add_group(o, what, group.params, values)
end

-- ---- stepping ------------------------------------------------------------------------------------------------------------------------

-- A module was converted (module:to) and holds other tensors now: take those up; where steps were taken, the state no longer fits.
local function follow(o)
  local at = 0
  for _, g in ipairs(o.sets) do
    for i, p in ipairs(g.params) do
      at = at + 1
      local q = moved[p]
      while q and moved[q] do q = moved[q] end
      if q then
        if o.state[p] then
          options.raise("%s: parameter %d was converted by module:to, from %s on %s to %s on %s, after this optimizer had stepped; make a "
            .. "new optimizer, or call :to before the first step", o.what, at, sizes(p), p.device, sizes(q), q.device)
        end
        g.params[i], o.all[at] = q, q
      end
    end
  end
end
base.follow = follow

-- Forget the gradients of all parameters.
function Optimizer:zero_grad(...)
  local o = own(self, "zero_grad")
  options.none(o.what .. ": zero_grad", ...)
  if next(moved) then follow(o) end
  for _, p in ipairs(o.all) do p.grad = nil end
end

-- A tensor of state as it is before the first step.
local function fresh(class, name, p, values)
  local start = class.start[name]
  local t = start and start(p, values) or ms.zeros(p.shape, { dtype = p.dtype, device = p.device })
  return ms.keep(t)
end
base.fresh = fresh

-- The state of parameter p of group g; what these settings want and is not there yet is made.
local function state_of(o, g, p)
  local class, s = o.class, {}
  for name, t in pairs(o.state[p] or {}) do s[name] = t end
  s.step = s.step or ms.keep(ms.zeros({}, { dtype = "f64", device = p.device }))
  for _, name in ipairs(class.needs and class.needs(g.value) or class.states) do
    s[name] = s[name] or fresh(class, name, p, g.value)
  end
  o.state[p] = s -- all of it is there, or none
  return s
end
base.state_of = state_of

-- One step of the parameters of group g that have a gradient, one after another.
function base.each_parameter(o, g)
  local recording = core.recording()
  local live, update, state = recording and g.live or g.plain, o.class.update, o.state
  local before = recording and core.look(true)
  local whole = not o.class.needs
  for _, p in ipairs(g.params) do
    local gradient = p.grad
    if gradient then
      local s = whole and state[p] or state_of(o, g, p)
      s.step:add_(1)
      if live.maximize then gradient = -gradient end
      update(p, gradient, s, live)
    end
  end
  if recording then
    core.look(false) -- note_looks asks the type of a setting: no look of the update's, and none that drops the recording
    settings.note_looks(g)
    core.look(before)
  end
end

-- o:step(): changes each parameter that has a gradient. o:step(f) calls f first, which computes the loss and its gradients, and gives what
-- f gives (PyTorch's closure).
function Optimizer:step(closure, ...)
  local o = own(self, "step")
  local loss
  options.none(o.what .. ": step", ...)
  if closure ~= nil then
    if type(closure) ~= "function" then
      options.raise("%s: step: expected no argument, or a function that computes the loss, got %s", o.what, states.word(closure))
    end
    loss = ms.enable_grad(closure)
  end
  if next(moved) then follow(o) end
  local advance, sets = o.class.advance or base.each_parameter, o.sets
  local guard <close> = ms.no_grad()
  for i = 1, #sets do advance(o, sets[i]) end
  return loss
end

-- ---- for updates -------------------------------------------------------------------------------------------------------------------

-- Lists for a row that updates all parameters at once: parameters, gradients, the states of these names and the step counts, one after
-- another; and how many parameters they are. Without names: parameters and gradients only.
function base.gather(o, g, names)
  local list, gradients, of, n = {}, {}, {}, 0
  local maximize = g.live.maximize
  for _, p in ipairs(g.params) do
    local gradient = p.grad
    if gradient then
      n = n + 1
      list[n], gradients[n] = p, maximize and -gradient or gradient
      if names then of[n] = o.state[p] or state_of(o, g, p) end
    end
  end
  table.move(gradients, 1, n, n + 1, list)
  if names then
    local at = 2 * n
    for _, name in ipairs(names) do
      for i = 1, n do list[at + i] = of[i][name] end
      at = at + n
    end
    for i = 1, n do list[at + i] = of[i].step end
  end
  return list, n
end

-- The gradient with weight decay added, as PyTorch's optimizers do that do not decouple it.
function base.decayed(p, g, o)
  return o.weight_decay and g + p * o.weight_decay or g
end

-- Decoupled weight decay: p shrinks by lr * weight_decay of itself.
function base.shrink(p, o)
  if o.weight_decay then p:mul_(1 - o.lr * o.weight_decay) end
end

return base
