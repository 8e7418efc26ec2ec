-- fit/resume: what a training with a folder (out =) saves, how it goes on, and why it ends with the same bits.
--
-- The checkpoint `last` holds model, optimizers, schedules, early stopping, the list of the best, the loader's place, the averages of the
-- epoch under way, parts of the script's (parts =), the generators, and as fields where the training stands and its history. It is saved
-- at the end of each epoch, and every checkpoint_every_n_steps steps. A compiled step is rehearsed with each size of a batch before its
-- first use, so that all steps are replays, before a kill and after it.
local ms = require "mascon"
local options = require "mascon.options"
local states = require "mascon.state"
local resume = {}

local NAME = "last"

local function has(v, method)
  local ok, f = pcall(function() return v[method] end)
  return ok and type(f) == "function"
end

-- The parts of the checkpoint by name. t.train: what is trained on; t.averages is another object each epoch, hence a stand-in.
local function parts_of(t, o)
  local parts = { model = t.model }
  for i, opt in ipairs(t.optimizers) do parts[i == 1 and "optimizer" or "optimizer_" .. i] = opt end
  for i, s in ipairs(t.schedulers) do parts[i == 1 and "scheduler" or "scheduler_" .. i] = s end
  parts.early_stopping, parts.model_checkpoint = t.stop, t.keep
  if type(t.train) == "table" and has(t.train, "load_state_dict") then parts.loader = t.train end
  parts.averages = { state_dict = function() return t.averages:state_dict() end,
    load_state_dict = function(_, state) t.averages:load_state_dict(state) end }
  for name, part in pairs(o.parts or {}) do
    if parts[name] then options.raise("fit: parts: '%s' is a name of fit's own", name) end
    parts[name] = part
  end
  return parts
end

-- Can training go on in the middle of an epoch?
function resume.has_place(t) return type(t.train) == "table" and (has(t.train, "load_state_dict") or not debug.getmetatable(t.train)) end

-- Read out =, resume =, ...: the run, and what is kept of the best. Raises for what cannot be resumed.
function resume.open(t, o)
  if o.parts ~= nil and (type(o.parts) ~= "table" or debug.getmetatable(o.parts)) then
    options.raise("fit: parts: expected a table of things with state_dict and load_state_dict by name, got %s", states.word(o.parts))
  end
  for name, part in pairs(o.parts or {}) do
    if type(name) ~= "string" or not has(part, "state_dict") or not has(part, "load_state_dict") then
      options.raise("fit: parts: %s: expected a thing with state_dict and load_state_dict, got %s", tostring(name), states.word(part))
    end
  end
  if o.out == nil then
    for _, name in ipairs { "resume", "checkpoint_every_n_steps", "model_checkpoint" } do
      if o[name] then options.raise("fit: %s: expected out = a folder too, where the checkpoints lie", name) end
    end
    return
  end
  t.run = type(o.out) == "string" and ms.run(o.out, { resume = o.resume }) or o.out
  if not has(t.run, "save") or not has(t.run, "load") or not has(t.run, "epoch") then
    options.raise("fit: out: expected a folder or a run (ms.run), got %s", states.word(o.out))
  end
  local keep = o.model_checkpoint
  if keep ~= nil then
    if keep == true then keep = {} end
    if type(keep) == "table" and not debug.getmetatable(keep) then keep = ms.model_checkpoint(t.run, keep) end
    if not has(keep, "update") then
      options.raise("fit: model_checkpoint: expected true, its options or what ms.model_checkpoint gives, got %s", states.word(keep))
    end
    t.keep = keep
  end
  if o.checkpoint_every_n_steps and not resume.has_place(t) then
    options.raise("fit: checkpoint_every_n_steps: expected a loader with state_dict and load_state_dict (ds:loader), a data set or a list "
      .. "of batches as train: the place of %s in an epoch cannot be kept", states.word(t.train))
  end
end

-- Save. index: batches of the epoch under way that were done; 0: it is over.
function resume.save(t, o, index)
  if not t.run then return end
  local what = parts_of(t, o)
  local rows = {}
  for i, row in ipairs(t.history) do rows[i] = row end
  what.fit = { epoch = t.epoch, step = t.global_step, index = index, batches = t.batches, rows = rows, metrics = t.metrics,
    stopping = t.stopping or false, stopped_early = t.history.stopped_early or false }
  t.run:save(NAME, what)
end

-- Go on where `last` stands, if this run has saved one -> batches of the epoch under way that are done (0: begin the next one).
function resume.load(t, o)
  if not t.run or not o.resume then return 0 end
  local parts = parts_of(t, o)
  local at = t.run:load(NAME, parts)
  if not at then
    t.run:rewind(0)
    return 0
  end
  at = at.fit
  if type(at) ~= "table" or math.type(at.epoch) ~= "integer" or math.type(at.index) ~= "integer" or type(at.rows) ~= "table" then
    options.raise("fit: %s: expected a checkpoint of ms.fit", t.run:path(NAME .. ".safetensors"))
  end
  t.epoch, t.global_step, t.metrics, t.stopping, t.batches = at.epoch, at.step, at.metrics, at.stopping, at.batches
  for _, row in ipairs(at.rows) do t.history:add(row) end
  t.history.stopped_early = at.stopped_early or nil
  t.run:rewind(#at.rows > 0 and at.rows[#at.rows].epoch or 0)
  return at.index
end

-- ---- rehearsing ------------------------------------------------------------------------------------------------------------------------

local function copy(batch)
  local out = {}
  for k, v in pairs(batch) do out[k] = states.is_tensor(v) and v:detach():clone() or v end
  return out
end

local function signature(batch)
  local words = {}
  for i, v in ipairs(batch) do words[i] = states.is_tensor(v) and states.sizes(v) or type(v) end
  return table.concat(words, ", ")
end

-- Sums of gradients as a step meets them: the beginning, the middle, the end.
local WHOLE, BEGIN, MIDDLE, END = { true, true }, { true, false }, { false, false }, { false, true }

-- Before the first use of a size of a batch: the step is called with copies of it until it is replayed, and what it changed is put back.
function resume.rehearse(t, o, batch, index)
  if not t.run or not o.compile then return end
  local sizes = signature(batch)
  if t.rehearsed[sizes] then return end
  t.rehearsed[sizes] = true
  local parts = { model = t.model }
  for i, opt in ipairs(t.optimizers) do parts["optimizer_" .. i] = opt end
  for name, part in pairs(o.parts or {}) do parts[name] = part end
  local gradients = {}
  for _, p in ipairs(t.model:parameters()) do gradients[#gradients + 1] = { p, p.grad or false } end
  local groups = { { WHOLE } }
  if o.accumulate_grad_batches > 1 then groups[2] = { BEGIN, END } end
  if o.accumulate_grad_batches > 2 then groups[3] = { BEGIN, MIDDLE, END } end
  for _, group in ipairs(groups) do
    ms.rehearse(function()
      for _, phase in ipairs(group) do t.training_step(copy(batch), index, #group, phase[1], phase[2]) end
    end, parts, {})
  end
  for _, g in ipairs(gradients) do g[1].grad = g[2] or nil end
end

-- The same for the validation step, which changes nothing.
function resume.rehearse_validation(t, batch, index)
  if not t.run or not t.validation_compiled then return end
  local sizes = "validation: " .. signature(batch)
  if t.rehearsed[sizes] then return end
  t.rehearsed[sizes] = true
  ms.rehearse(function() t.validation_step(copy(batch), index) end, {}, {})
end

return resume
