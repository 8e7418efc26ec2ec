-- fit/hooks: where the hooks of ms.fit come from, and what runs where there is none.
--
-- A hook is a method of the model's class, or a function among the options, which then counts. Either way it is called as a method, with
-- the training under way last: hook(model, ..., fit).
local ms = require "mascon"
local options = require "mascon.options"
local states = require "mascon.state"
local values = require "mascon.fit.values"
local hooks = {}

hooks.names = { "training_step", "validation_step", "configure_optimizers", "on_fit_start", "on_train_epoch_start", "on_train_batch_end",
  "on_train_epoch_end", "on_validation_start", "on_validation_end", "on_fit_end" }

-- The method of a model by that name, or nil. (A module's metatable finds methods; some things raise for names they do not have.)
local function method(model, name)
  local ok, f = pcall(function() return model[name] end)
  return ok and f or nil
end

-- name -> function, of those that there are.
function hooks.find(what, model, given)
  local found = {}
  for _, name in ipairs(hooks.names) do
    local f = given[name]
    if f == nil then f = method(model, name) end
    if f ~= nil and type(f) ~= "function" then options.raise("%s: %s: expected a function, got %s", what, name, states.word(f)) end
    found[name] = f
  end
  return found
end

-- ---- default steps -------------------------------------------------------------------------------------------------------------------

-- What the model gives for a batch, and what it is held against.
local function output_of(what, model, batch, o)
  local out = model(batch[1])
  if o.target == "input" then return out, batch[1] end
  if batch[2] == nil then
    options.raise("%s: the batches have no labels: expected target = \"input\" (the loss is of the input itself), or a training_step", what)
  end
  return out, batch[2]
end

-- A step of the library's own: the loss, and the figures of o.metrics.
function hooks.default_step(what, o)
  local loss, metrics = o.loss, o.metrics or {}
  return function(model, batch)
    local out, target = output_of(what, model, batch, o)
    local given = { loss = loss(out, target) }
    for name, f in pairs(metrics) do given[name] = f(out, target) end
    return given
  end
end

-- What a step gave -- nothing, a loss, or a table { loss = loss, name = figure } -- as the loss and what is to be logged, under the names
-- with a prefix.
function hooks.read_given(what, given, prefix, got)
  if given == nil then return nil end
  if type(given) ~= "table" then given = { loss = given } end
  for name, v in pairs(given) do
    if type(name) ~= "string" then
      options.raise("%s: expected a loss or a table { loss = loss, name = figure }, got an entry [%s]", what, tostring(name))
    end
    local label = name:sub(1, #prefix) == prefix and name or prefix .. name
    if got.log[label] == nil then got.log[label] = values.check_figure(("%s: %s"):format(what, name), v) end
  end
  return given.loss
end

-- ---- optimizers ------------------------------------------------------------------------------------------------------------------------

local function is_optimizer(v) return require("mascon.optim.base").is_optimizer(v) end
local function is_schedule(v) return require("mascon.optim.schedule").find(v) ~= nil end

-- One schedule as { schedule =, interval =, monitor =, frequency = }.
local function read_schedule(what, v, interval)
  if is_schedule(v) then v = { scheduler = v } end
  if type(v) ~= "table" or debug.getmetatable(v) then
    options.raise("%s: expected a schedule (optim.lr_scheduler) or a table { scheduler = s, interval = \"epoch\" or \"step\", "
      .. "monitor = }, got %s",
      what, states.word(v))
  end
  local o = options.read(what, v, { scheduler = options.any, interval = interval, monitor = "", frequency = 1 })
  if not is_schedule(o.scheduler) then
    options.raise("%s: scheduler: expected a schedule (optim.lr_scheduler), got %s", what, states.word(o.scheduler))
  end
  if o.interval ~= "epoch" and o.interval ~= "step" then
    options.raise("%s: interval: expected \"epoch\" or \"step\", got '%s'", what, o.interval)
  end
  o.frequency = options.count(what, "frequency", o.frequency)
  if o.monitor == "" then o.monitor = nil end
  return o
end

local function list_of(v, is_one)
  if v == nil then return {} end
  if is_one(v) then return { v } end
  return type(v) == "table" and not debug.getmetatable(v) and v.scheduler == nil and v or { v }
end

-- Optimizers and schedules of a training: of the hook configure_optimizers, else of the options.
--   configure_optimizers(model, fit) -> optimizer [, schedule]; or lists of them; a schedule may be { scheduler =, interval =, monitor = }
function hooks.optimizers(what, model, o, found, fit)
  local given, schedules = o.optimizer, o.lr_scheduler
  local from = what .. ": optimizer"
  if given == nil and found.configure_optimizers then
    given, schedules = found.configure_optimizers(model, fit)
    from = what .. ": configure_optimizers"
    if schedules == nil then schedules = o.lr_scheduler end
  elseif type(given) == "function" then
    given = given(model:parameters())
  end
  local optimizers, list = list_of(given, is_optimizer), {}
  if #optimizers == 0 then
    options.raise("%s: expected an optimizer, got none; write optimizer = optim.adam(model:parameters()), or a hook configure_optimizers",
      from)
  end
  for _, opt in ipairs(optimizers) do
    if not is_optimizer(opt) then
      local meta = debug.getmetatable(opt)
      local class = type(opt) == "table" and type(meta) == "table" and meta.__name == "optimizer class" or type(opt) == "string"
      options.raise("%s: expected an optimizer, got %s%s", from, states.word(opt),
        class and "; write optim.adam(model:parameters())" or "")
    end
  end
  for i, s in ipairs(list_of(schedules, is_schedule)) do
    list[i] = read_schedule(what .. ": lr_scheduler", s, o.scheduler_interval)
  end
  return optimizers, list
end

-- ---- data ------------------------------------------------------------------------------------------------------------------------------

-- What is trained on: a data set, a loader (or anything that can be looped over with one batch a turn), or a function that gives one anew
-- for each epoch.
function hooks.source(what, name, v, o, shuffle)
  local function bad()
    options.raise("%s: %s: expected a data set, a loader, a list of batches or a function that gives one for each epoch, got %s", what,
      name,
      states.word(v))
  end
  if type(v) == "function" then return v end
  if type(v) ~= "table" or ms.nn.is_module(v) then bad() end
  local meta = debug.getmetatable(v)
  if meta and meta.__name == "mascon.data" then return v:loader { batch = o.batch, shuffle = shuffle } end
  if meta and (meta.__call or method(v, "iter")) then return v end
  if meta or #v == 0 then bad() end
  return v
end

-- An iterator over the batches of one epoch, each a list of what the loader gives ({ x, y }), and how many there are, if that is known.
-- done: of a list, so many are passed over (a loader knows by itself where it is to go on).
function hooks.batches(source, epoch, done)
  if type(source) == "function" then source = source(epoch) end
  local meta = debug.getmetatable(source)
  if type(source) == "table" and not meta then
    local i = done or 0
    return function()
      i = i + 1
      local b = source[i]
      return states.is_tensor(b) and { b } or b
    end, #source
  end
  local f, s, control
  local n = nil
  if type(meta) == "table" and meta.__len then
    local ok, length = pcall(function() return #source end) -- that of a loader whose sampler has none is not known
    n = ok and math.tointeger(length) or nil
  end
  if type(source) == "function" then f = source
  elseif meta.__call then f = source
  else f, s, control = source:iter() end
  local first = true
  return function()
    local got
    if first then got, first = table.pack(f(s, control)), false
    else got = table.pack(f(s, control)) end
    control = got[1]
    if control == nil then return nil end
    got.n = nil
    return got
  end, n
end

return hooks
