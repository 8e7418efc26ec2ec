-- fit: a training loop for those who want to write less. It does nothing that a script cannot write by hand in twenty lines (README.md has
-- both), and is never needed.
--
--   local history = ms.fit(model, { train = train, validation = test, epochs = 5, loss = nn.cross_entropy,
--     optimizer = optim.sgd(model:parameters(), { lr = 1e-3 }), metrics = { accuracy = ... } })
--   print(history)                                  -- a table: epoch, step, train_loss, val_loss, val_accuracy, lr, seconds
--   print(ms.validate(model, { validation = test, loss = nn.cross_entropy }))
--
-- Hooks are methods of the model's class (as in Lightning), or functions among the options of the same name, which then count. Each is
-- called with the model first and the training under way last:
--
--   training_step(model, batch, index, fit)      batch: the list of what the loader gives ({ x, y }); index: from 1 in each epoch.
--                                                Gives the loss, or { loss = loss, name = figure, ... }, which are logged as
--                                                train_NAME
--   validation_step(model, batch, index, fit)    likewise; logged as val_NAME; in evaluation mode, without gradients
--   on_validation_end(model, fit)                when all batches were seen: fit:gathered "logits", fit.metrics.val_loss
--   configure_optimizers(model, fit)             -> optimizer [, schedule]; lists of them; a schedule may be { scheduler = s,
--                                                interval = "epoch" or "step", monitor = "val_loss" }
--   on_fit_start(model, fit), on_train_epoch_start(model, fit), on_train_batch_end(model, outputs, batch, index, fit),
--   on_train_epoch_end(model, fit), on_validation_start(model, fit), on_fit_end(model, fit)
--
-- `fit` has: model, optimizer (the first), optimizers, epoch, global_step (steps of the optimizer so far), metrics (the latest averages by
-- name), history, logger (as it was given: a TensorBoard writer takes images, text, histograms); and
--   fit:log(name, value [, { on_epoch = true, on_step = false, batch_size = }])   average over the epoch; on_step: also to the logger
--   fit:gather(name, tensor), fit:gathered(name)      rows of all batches, to be scored once at the end
--   fit:stop()                                        no epoch after this one
--
-- The training step is compiled (ms.compile): from the fourth batch on it is replayed without Lua. So what a training_step does beside
-- tensors happens in its first calls only: figures go through fit:log or are returned; what would stand still (fit.global_step, the
-- logger, a number that is logged) is an error there, and compile = false runs it as it is. A validation_step of your own runs as it is.
-- With a folder (out =) the step is rehearsed first for each size of a batch (ms.rehearse), so that a run that goes on has the same bits:
-- what that changes in the model, the optimizers and parts = is put back; whatever else a training_step changes belongs into parts.
local ms = require "mascon"
local core = require "mascon.inside"
local hooks = require "mascon.fit.hooks"
local values = require "mascon.fit.values"
local history = require "mascon.fit.history"
local resume = require "mascon.fit.resume"
local options = require "mascon.options"
local progress = require "mascon.progress"
local pulse = require "mascon.pulse"
local states = require "mascon.state"
local text = require "mascon.text"
local any = options.any

-- ---- the training under way ------------------------------------------------------------------------------------------------------------

local Fit = {}
local inside = setmetatable({}, { __mode = "k" }) -- fit -> its fields

local CHANGING = { epoch = true, global_step = true, metrics = true, history = true, logger = true }
local FIELDS = { "model", "optimizer", "optimizers", "epoch", "global_step", "metrics", "history", "logger", "schedulers" }

local function own(self, method)
  return inside[self] or options.raise("fit: %s: expected the training under way, got %s; with a colon: fit:%s()", method,
    states.word(self), method)
end

local function new_fit(t)
  local self = setmetatable({}, { __name = "mascon.fit",
    __index = function(_, key)
      if Fit[key] then return Fit[key] end
      if CHANGING[key] and core.recording() then
        options.raise("fit.%s inside a compiled step: replays run no Lua, it would stand still; use it in a hook "
          .. "that is called after the step, or write compile = false", key)
      end
      local known = key == "optimizer" or t[key] ~= nil
      for _, name in ipairs(FIELDS) do known = known or name == key end
      if not known then
        local names = { table.unpack(FIELDS) }
        for name in pairs(Fit) do names[#names + 1] = name end
        options.raise("fit has no field '%s'%s", tostring(key), text.hint(tostring(key), names))
      end
      if key == "optimizer" then return t.optimizers and t.optimizers[1] end
      return t[key]
    end,
    __newindex = function(_, key) options.raise("fit.%s cannot be assigned", tostring(key)) end,
    __tostring = function() return ("fit: epoch %d, step %d"):format(t.epoch, t.global_step) end })
  inside[self] = t
  return self
end

local log_options = { on_epoch = true, on_step = false, batch_size = any }

-- fit:log(name, value [, { on_epoch = true, on_step = false, batch_size = }]): a figure of this step, or, outside steps, of this epoch
function Fit:log(name, v, opts, ...)
  local t = own(self, "log")
  options.none("fit:log", ...)
  local spec = options.read("fit:log", opts, log_options)
  if spec.batch_size ~= nil then spec.batch_size = options.count("fit:log", "batch_size", spec.batch_size) end
  if name == "epoch" or name == "step" or name == "lr" or name == "seconds" then
    options.raise("fit:log '%s': each row of the history has its own; expected another name", name)
  end
  v = values.log(name, v)
  if spec.on_step and not (values.in_step() and t.training) then
    options.raise("fit:log '%s': on_step = true: there is no step of the training under way; expected it in training_step, or "
      .. "on_step = false", name)
  end
  t.specs[name] = spec
  if values.in_step() then return end
  if not t.extra then options.raise("fit:log '%s': there is no epoch under way, so it would be lost", name) end
  t.extra[name] = v
end

-- fit:gather(name, tensor): rows of this batch, one for each sample, to be joined
function Fit:gather(name, tensor, ...)
  own(self, "gather")
  options.none("fit:gather", ...)
  values.gather(name, tensor)
end

-- fit:gathered(name) -> the rows that were gathered in this pass over the data, joined, on the CPU
function Fit:gathered(name, ...)
  local t = own(self, "gathered")
  options.none("fit:gathered", ...)
  if core.recording() then options.raise "fit:gathered inside a compiled step: replays run no Lua; call it in on_validation_end" end
  return t.averages:gathered(name)
end

-- fit:stop(): the epoch under way is the last one
function Fit:stop(...)
  options.none("fit:stop", ...)
  own(self, "stop").stopping = true
end

local function batch_size(batch)
  local x = type(batch) == "table" and batch[1]
  return states.is_tensor(x) and x:dim() > 0 and #x or 1
end

-- ---- steps -----------------------------------------------------------------------------------------------------------------------------

local function compiled(f, wanted) return wanted and ms.compile(f) or f end

-- With a hint where a compiled step refuses what a hook does.
local function told(ok, ...)
  if ok then return ... end
  local message = ...
  if type(message) == "string" and message:find "compile" and not message:find "compile = false" then
    message = message .. "\n(ms.fit compiles the training step; compile = false runs it as it is)"
  end
  error(message, 0)
end

-- The step of the optimizers, as one function of the batch that may be compiled. divisor: batches whose gradients make one step; first and
-- last: does a sum of gradients begin, does it end?
local function training_step(t, o, found)
  local step, model, fit = found.training_step or hooks.default_step("fit", o), t.model, t.fit
  local optimizers, what = t.optimizers, found.training_step and "fit: training_step" or "fit"
  local clip, by_norm, automatic = o.gradient_clip_val, o.gradient_clip_algorithm == "norm", o.automatic_optimization
  local collect, read_given, optim = values.collect, hooks.read_given, ms.optim
  return function(batch, index, divisor, first, last)
    local given, got = collect(step, model, batch, index, fit)
    local loss = read_given(what, given, "train_", got)
    if automatic then
      if not states.is_tensor(loss) then
        options.raise("%s: expected the loss, a tensor of one element that depends on parameters, got %s", what, states.word(loss))
      end
      if first then
        for i = 1, #optimizers do optimizers[i]:zero_grad() end
      end
      if not (first and last) then loss = loss / divisor end
      loss:backward()
      if last then
        if clip and by_norm then optim.clip_grad_norm_(model:parameters(), clip)
        elseif clip then optim.clip_grad_value_(model:parameters(), clip) end
        for i = 1, #optimizers do optimizers[i]:step() end
      end
    end
    return got
  end
end

local function validation_step(t, o, found)
  local step, model, fit = found.validation_step or hooks.default_step("validation", o), t.model, t.fit
  local what = found.validation_step and "fit: validation_step" or "validation"
  local collect, read_given = values.collect, hooks.read_given
  return function(batch, index)
    local given, got = collect(step, model, batch, index, fit)
    read_given(what, given, "val_", got)
    return got
  end
end

-- ---- validation ------------------------------------------------------------------------------------------------------------------------

local function hook(t, name, ...)
  local f = t.found[name]
  if f then return f(t.model, ...) end
end

local function bar_of(o, next_batch, total, label)
  local shown = o.progress
  return progress.with { total = total, label = label, shown = shown }(next_batch)
end

-- Figures of hooks outside steps join those of the steps.
local function with_extra(t, row)
  for name, v in pairs(t.extra) do row[name] = type(v) == "number" and v or v:item() end
  for name, v in pairs(row) do t.metrics[name] = v end
  return row
end

local function validate_batch(t, batch, index)
  local scope <close> = ms.scope() -- luacheck: ignore scope
  resume.rehearse_validation(t, batch, index)
  t.averages:add(told(pcall(t.validation_step, batch, index)), batch_size(batch), t.specs)
end

-- One pass over the validation data: name -> number.
local function validate(t, o)
  local fit = t.fit
  t.averages, t.extra, t.training = values.averages(), {}, false
  local mode <close> = ms.nn.evaluating(t.model) -- luacheck: ignore mode
  local guard <close> = ms.no_grad() -- luacheck: ignore guard
  hook(t, "on_validation_start", fit)
  local index = 0
  local next_batch, total = hooks.batches(t.validation, t.epoch)
  local bar <close> = bar_of(o, next_batch, total, "validation")
  for batch in bar do
    index = index + 1
    validate_batch(t, batch, index)
  end
  if index == 0 then options.raise "fit: validation: there is no batch" end
  for name, v in pairs(t.averages:read(t.specs)) do t.metrics[name] = v end
  hook(t, "on_validation_end", fit)
  return with_extra(t, t.averages:read(t.specs))
end

-- ---- options ---------------------------------------------------------------------------------------------------------------------------

local function check_model(what, model)
  if not ms.nn.is_module(model) then options.raise("%s: expected a module first, got %s", what, states.word(model)) end
end

local shared = { validation = any, batch = 64, loss = any, metrics = any, target = "label", logger = any, progress = any, verbose = true,
  compile = true }

local fit_options = { train = any, epochs = 1, max_steps = any, optimizer = any, lr_scheduler = any, scheduler_interval = "epoch",
  monitor = "val_loss", gradient_clip_val = any, gradient_clip_algorithm = "norm", accumulate_grad_batches = 1,
  automatic_optimization = true, check_val_every_n_epoch = 1, log_every_n_steps = 50, early_stopping = any, out = any, resume = false,
  checkpoint_every_n_steps = any, model_checkpoint = any, parts = any }
for k, v in pairs(shared) do fit_options[k] = v end
for _, name in ipairs(hooks.names) do fit_options[name] = any end

local validate_options = {}
for k, v in pairs(shared) do validate_options[k] = v end
for _, name in ipairs { "validation_step", "on_validation_start", "on_validation_end" } do validate_options[name] = any end

local function check_function(what, name, f)
  if type(f) == "function" then return end
  local meta = debug.getmetatable(f)
  if not ((type(f) == "table" or type(f) == "userdata") and meta and (type(meta) == "string" or meta.__call)) then
    options.raise("%s: %s: expected a function, got %s", what, name, states.word(f))
  end
end

-- What both read: the model, the hooks, the loss where a step of the library's own wants one.
local function read_shared(what, model, o, needs_loss)
  check_model(what, model)
  o.batch = options.count(what, "batch", o.batch)
  if o.target ~= "label" and o.target ~= "input" then
    options.raise("%s: target: expected \"label\" or \"input\", got '%s'", what, o.target)
  end
  if needs_loss and o.loss == nil then
    options.raise("%s: expected loss = a function of output and target (nn.cross_entropy), or a hook training_step", what)
  end
  if o.loss ~= nil then check_function(what, "loss", o.loss) end
  if o.metrics ~= nil then
    if type(o.metrics) ~= "table" or debug.getmetatable(o.metrics) then
      options.raise("%s: metrics: expected a table of functions by name, got %s", what, states.word(o.metrics))
    end
    for name, f in pairs(o.metrics) do
      if type(name) ~= "string" then
        options.raise("%s: metrics: expected functions by name, { accuracy = function(output, target) ... end }, got %s at [%s]", what,
          type(f) == "string" and text.show(f) or states.word(f), tostring(name))
      end
      if name == "loss" then options.raise("%s: metrics.loss: the loss is logged under this name; expected another one", what) end
      check_function(what, "metrics." .. name, f)
    end
  end
  if o.logger ~= nil then
    local ok, f = pcall(function() return o.logger.scalar end)
    if not ok or type(f) ~= "function" then
      options.raise("%s: logger: expected an object with a method scalar(tag, value, step), as ms.tensorboard gives, got %s", what,
        states.word(o.logger))
    end
  end
  if o.progress ~= nil and type(o.progress) ~= "boolean" then
    options.raise("%s: progress: expected true or false, got %s", what, states.word(o.progress))
  end
end

-- ---- fit -------------------------------------------------------------------------------------------------------------------------------

local function read_fit(model, given)
  check_model("fit", model)
  local o = options.read("fit", given, fit_options)
  if o.optimizer ~= nil and o.configure_optimizers ~= nil then
    options.raise "fit: optimizer and configure_optimizers say the same: expected one of them"
  end
  local found = hooks.find("fit", model, o)
  read_shared("fit", model, o, not found.training_step or o.validation ~= nil and not found.validation_step)
  if o.train == nil then options.raise "fit: train is missing: expected a data set, a loader, a list of batches or a function" end
  o.epochs = options.count("fit", "epochs", o.epochs)
  for _, name in ipairs { "accumulate_grad_batches", "check_val_every_n_epoch", "log_every_n_steps" } do
    o[name] = options.count("fit", name, o[name])
  end
  for _, name in ipairs { "checkpoint_every_n_steps", "max_steps" } do
    if o[name] ~= nil then o[name] = options.count("fit", name, o[name]) end
  end
  local clip = o.gradient_clip_val
  if clip ~= nil and not (type(clip) == "number" and clip > 0) then
    options.raise("fit: gradient_clip_val: expected a number above 0, got %s", states.word(clip))
  end
  if o.gradient_clip_algorithm ~= "norm" and o.gradient_clip_algorithm ~= "value" then
    options.raise("fit: gradient_clip_algorithm: expected \"norm\" or \"value\", got '%s'", o.gradient_clip_algorithm)
  end
  if o.scheduler_interval ~= "epoch" and o.scheduler_interval ~= "step" then
    options.raise("fit: scheduler_interval: expected \"epoch\" or \"step\", got '%s'", o.scheduler_interval)
  end
  if not o.automatic_optimization and not found.training_step then
    options.raise "fit: automatic_optimization = false wants a training_step that makes the steps itself"
  end
  return o, found
end

-- The figure that `what` goes by, among those of `row`. In an epoch without validation nil, where it may come from that: the one of an
-- earlier epoch says nothing of this one.
local function monitored(t, what, name, row)
  name = name or t.monitor
  local v = row[name]
  if v == nil and not (t.validation and not t.validated and (t.metrics[name] ~= nil or not t.seen)) then
    options.raise("fit: %s: there is no figure '%s' to go by; there is %s", what, name, table.concat(text.keys(t.metrics), ", "))
  end
  return v
end

-- Step the schedules of an interval. row: the figures that those which go by one look at.
local function step_schedules(t, interval, count, row)
  for _, s in ipairs(t.schedules) do
    if s.interval == interval and count % s.frequency == 0 then
      if require("mascon.optim.schedule").find(s.scheduler).best then
        local v = monitored(t, "lr_scheduler", s.monitor, row)
        if v ~= nil then s.scheduler:step(v) end
      else
        s.scheduler:step()
      end
    end
  end
end

local function log_step(t, o, got)
  local logger = o.logger
  if not logger or t.global_step % o.log_every_n_steps ~= 0 then return end
  for name, v in pairs(got.log) do
    local spec = t.specs[name]
    if spec and spec.on_step then logger:scalar(name .. "_step", type(v) == "number" and v or v:item(), t.global_step) end
  end
end

-- One batch of training, the index-th of `total` (nil: not known): the steps of optimizers and schedules, and what is logged.
local function train_batch(t, o, batch, index, total)
  local scope <close> = ms.scope() -- luacheck: ignore scope
  local many = o.accumulate_grad_batches
  if t.in_group == 0 then t.group = total and index <= total and math.min(many, total - index + 1) or many end
  resume.rehearse(t, o, batch, index)
  t.in_group = t.in_group + 1
  local last = t.in_group == t.group
  local got = told(pcall(t.training_step, batch, index, t.group, t.in_group == 1, last))
  t.averages:add(got, batch_size(batch), t.specs)
  if last then
    t.in_group, t.global_step = 0, t.global_step + 1
    pulse.tell(t.global_step)
    step_schedules(t, "step", t.global_step, t.metrics)
    log_step(t, o, got)
  end
  hook(t, "on_train_batch_end", got.log, batch, index, t.fit)
end

-- Which batches of an epoch make one step is told by its length.
local function check_length(t, o, total, done)
  if not total and o.accumulate_grad_batches > 1 then
    options.raise("fit: accumulate_grad_batches: expected train with a length (#): which batches are the last of an epoch is not known")
  end
  if done > 0 and t.batches and total and t.batches ~= total then
    options.raise("fit: resume: the run stands after batch %d of %d of an epoch; expected train with as many, got %d", done, t.batches,
      total)
  end
  t.batches = total
end

-- One epoch of training, or what is left of one after `done` batches: name -> number. Where max_steps cuts it, `last` keeps the place.
local function train_epoch(t, o, done)
  t.extra, t.in_group, t.training, t.cut = {}, 0, true, false
  if done == 0 then
    t.averages = values.averages()
    hook(t, "on_train_epoch_start", t.fit)
  end
  local index, every = 0, o.checkpoint_every_n_steps
  local next_batch, total = hooks.batches(t.train, t.epoch, done)
  check_length(t, o, total, done)
  if t.full then next_batch = function() end end -- it was cut here, and may have no more steps now
  local bar <close> = bar_of(o, next_batch, total and math.max(total - done, 0), ("epoch %d/%d"):format(t.epoch, o.epochs))
  for batch in bar do
    index = index + 1
    train_batch(t, o, batch, done + index, total)
    if t.averages.means.train_loss then bar:set { loss = t.averages.means.train_loss } end
    t.full = o.max_steps and t.global_step >= o.max_steps -- (not a reason to stop that is saved: a run that goes on may have more)
    if t.full then break end
    if every and t.in_group == 0 and t.global_step % every == 0 then resume.save(t, o, done + index) end
  end
  if done + index == 0 then options.raise "fit: train: there is no batch" end
  if t.in_group > 0 then
    options.raise("fit: accumulate_grad_batches: train has a length (#) of %d batches and gave %d: the gradients of the last %d would be "
      .. "lost; expected as many batches as it says", total, done + index, t.in_group)
  end
  t.cut = t.full and done + index ~= total and resume.has_place(t)
  if t.full and not t.cut then next_batch() end -- it ends the walk
  if t.cut then resume.save(t, o, done + index) end
  return with_extra(t, t.averages:read(t.specs))
end

-- What follows an epoch: its row goes to history and loggers, schedules and early stopping look at it, checkpoints are saved.
local function end_epoch(t, o, row)
  t.history:add(row)
  if o.logger then
    for _, name in ipairs(history.names(row)) do o.logger:scalar(name, row[name], t.global_step) end
  end
  step_schedules(t, "epoch", t.epoch, row)
  if o.verbose then progress.print(history.line(row)) end
  local figure = t.stop and monitored(t, "early_stopping", t.stop.monitor, row)
  if figure ~= nil and t.stop and t.stop:update(figure, t.epoch) then t.stopping, t.history.stopped_early = true, true end
  t.extra = {}
  hook(t, "on_train_epoch_end", t.fit)
  for name, v in pairs(with_extra(t, {})) do -- what it logged
    row[name] = v
    if o.logger then o.logger:scalar(name, v, t.global_step) end
  end
  figure = t.keep and monitored(t, "model_checkpoint", t.keep.monitor, row)
  if figure ~= nil and t.keep then t.keep:update(figure, { model = t.model, epoch = t.epoch, metrics = t.metrics }, t.epoch) end
  if t.run then
    local line = {}
    for k, v in pairs(row) do line[k] = v end
    t.run:epoch(line)
  end
  t.averages = values.averages()
  if not t.cut then resume.save(t, o, 0) end
end

-- ms.fit(model, { train =, validation =, epochs = 1, loss =, optimizer =, ... }) -> history
-- train, validation: a data set (then `batch`, 64), a loader, a list of batches, or a function that gives an iterator for each epoch. loss:
-- a function of output and label (target = "input": and input), unless there is a hook training_step. optimizer: one, a list, a function
-- of the parameters; or a hook configure_optimizers. metrics: more functions like loss, by name. lr_scheduler: a schedule or a list,
-- stepped each scheduler_interval ("epoch", "step"); one that goes by a figure takes `monitor` ("val_loss"). gradient_clip_val: the largest
-- norm (gradient_clip_algorithm = "value": element) of gradients. accumulate_grad_batches: so many batches make one step.
-- early_stopping: ms.early_stopping or its options. max_steps; check_val_every_n_epoch; logger: an object with scalar(tag, value, step);
-- log_every_n_steps (50), of figures with on_step; compile = true; progress = true or false (a bar where standard error is a terminal);
-- verbose = true (a line for each epoch). out: a folder, or ms.run's: metrics.jsonl and the checkpoint `last`, at the end of each epoch and
-- every checkpoint_every_n_steps; resume = true goes on from it, also in the middle of an epoch, and ends with the same bits (with
-- parts = { name = thing }: whatever else the steps change, with state_dict and load_state_dict); model_checkpoint = true or options of
-- ms.model_checkpoint: the best ones are kept as well. What goes by a figure of the validation waits in epochs without one. The head of
-- scripts/mascon/fit.lua has the hooks. The history is a list of rows by epoch; history:column "val_loss" is a list, print(history) a
-- table.
local function run(model, given)
  local o, found = read_fit(model, given)
  local t = { model = model, found = found, epoch = 0, global_step = 0, metrics = {}, specs = {}, extra = false, history = history.new(),
    logger = o.logger, monitor = o.monitor, averages = values.averages() }
  t.fit = new_fit(t)
  t.train = hooks.source("fit", "train", o.train, o, true)
  t.validation = o.validation ~= nil and hooks.source("fit", "validation", o.validation, o, false) or nil
  t.optimizers, t.schedules = hooks.optimizers("fit", model, o, found, t.fit)
  t.schedulers = {}
  for i, s in ipairs(t.schedules) do t.schedulers[i] = s.scheduler end
  t.stop = o.early_stopping
  if type(t.stop) == "table" and debug.getmetatable(t.stop) == nil then t.stop = require "mascon.early_stopping"(t.stop) end
  t.rehearsed = {}
  resume.open(t, o)
  t.training_step = compiled(training_step(t, o, found), o.compile)
  t.validation_compiled = o.compile and not found.validation_step
  if t.validation then t.validation_step = compiled(validation_step(t, o, found), t.validation_compiled) end
  if not model.training then model:train() end
  local done = resume.load(t, o)
  t.full = o.max_steps and t.global_step >= o.max_steps
  hook(t, "on_fit_start", t.fit)
  if t.run and t.global_step == 0 then resume.save(t, o, 0) end -- a kill in the first steps is no reason to draw other weights
  if done == 0 then t.epoch = t.epoch + 1 end
  local began = ms.time()
  while t.epoch <= o.epochs and (done > 0 or not (t.stopping or t.full)) do -- an epoch that was begun is ended
    local rate = t.optimizers[1].groups[1].lr
    local row = train_epoch(t, o, done)
    done = 0
    t.validated = t.validation and (t.epoch % o.check_val_every_n_epoch == 0 or t.epoch == o.epochs or t.stopping or t.full)
    if t.validated then
      for name, v in pairs(validate(t, o)) do row[name] = v end
      t.seen = true
    end
    row.epoch, row.step, row.lr, row.seconds = t.epoch, t.global_step, rate, ms.time() - began
    began = ms.time()
    end_epoch(t, o, row)
    t.epoch = t.epoch + 1
  end
  t.epoch, t.extra = t.epoch - 1, false
  pulse.tell(nil)
  hook(t, "on_fit_end", t.fit)
  if type(o.out) == "string" then t.run:close() end
  return t.history
end

-- ms.validate(model, { validation =, loss =, metrics =, ... }) -> results, name -> number; print(results) shows a table
-- One pass over the data in evaluation mode, without gradients; options and hooks (validation_step, on_validation_start,
-- on_validation_end) as those of ms.fit. logger: the figures go to it, at step 0.
local function validate_only(model, given)
  check_model("validate", model)
  local o = options.read("validate", given, validate_options)
  local found = hooks.find("validate", model, o)
  read_shared("validate", model, o, not found.validation_step)
  if o.validation == nil then options.raise "validate: validation is missing: expected a data set, a loader or a list of batches" end
  local t = { model = model, found = found, epoch = 0, global_step = 0, metrics = {}, specs = {}, extra = {}, history = history.new(),
    logger = o.logger, optimizers = {}, averages = values.averages() }
  t.fit = new_fit(t)
  t.validation = hooks.source("validate", "validation", o.validation, o, false)
  t.validation_step = compiled(validation_step(t, o, found), o.compile and not found.validation_step)
  local row = validate(t, o)
  if o.logger then
    for _, name in ipairs(history.names(row)) do o.logger:scalar(name, row[name], 0) end
  end
  return history.results(row)
end

return { fit = run, validate = validate_only }
