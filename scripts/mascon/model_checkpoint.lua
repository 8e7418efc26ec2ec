-- model_checkpoint: the best checkpoints of a training, by a figure.
--
--   local keep = ms.model_checkpoint(run, { mode = "max", save_top_k = 3 })          -- or a folder
--   for epoch = 1, 100 do
--     ...
--     keep:update(val_accuracy, { model = model, epoch = epoch }, epoch)
--   end
--   keep:load { model = model }                                                       -- the best one
--
-- The best of one is the file best.safetensors; of several best-EPOCH.safetensors, of which those that are no longer among the best are
-- removed. It has a state_dict, so that a run that is resumed knows what it kept.
local ms = require "mascon"
local options = require "mascon.options"
local states = require "mascon.state"
local system = require "mascon.system"
local text = require "mascon.text"

local Keep = { __name = "mascon.model_checkpoint" }

local function fail(...) options.raise("model_checkpoint: " .. (...), select(2, ...)) end

local function is_run(v) return type(v) == "table" and (debug.getmetatable(v) or {}).__name == "mascon.run" end

-- ms.model_checkpoint(where [, { mode = "min", save_top_k = 1, filename = "best", monitor = }]) -> keep
-- where: a folder, or ms.run's. keep:update(figure, what, epoch) saves `what` (as ms.checkpoint.save) when the figure, a number or a
-- tensor of one element, is among the best, and says whether it did; NaN never is. keep.best, keep.best_epoch, keep.best_path (nil: none
-- yet); keep:load(into) loads the best one (ms.checkpoint.load) and gives its fields. monitor: the name of the figure, for ms.fit.
local function model_checkpoint(where, given, ...)
  options.none("model_checkpoint", ...)
  if not is_run(where) and (type(where) ~= "string" or where == "" or where:find "\0") then
    fail("expected a folder or a run (ms.run) first, got %s", states.word(where))
  end
  local o = options.read("model_checkpoint", given, { mode = "min", save_top_k = 1, filename = "best", monitor = "" })
  if o.mode ~= "min" and o.mode ~= "max" then fail("mode: expected \"min\" or \"max\", got '%s'", o.mode) end
  if o.filename == "" or o.filename:find "[/%z]" then fail("filename: expected a name without folders, got '%s'", o.filename) end
  local self = { where = where, mode = o.mode, save_top_k = options.count("model_checkpoint", "save_top_k", o.save_top_k),
    filename = o.filename, monitor = o.monitor ~= "" and o.monitor or false, list = {} }
  return setmetatable(self, Keep)
end

local function name_of(self, epoch) return self.save_top_k == 1 and self.filename or ("%s-%d"):format(self.filename, epoch) end

local function path_of(self, epoch)
  local name = name_of(self, epoch) .. ".safetensors"
  return is_run(self.where) and self.where:path(name) or self.where .. "/" .. name
end

function Keep.__index(self, key)
  if Keep[key] ~= nil then return Keep[key] end
  local first = rawget(self, "list")[1]
  if key == "best" then return first and first.value end
  if key == "best_epoch" then return first and first.epoch end
  if key == "best_path" then return first and path_of(self, first.epoch) end
  fail("has no field '%s'%s", tostring(key), text.hint(tostring(key), { "update", "load", "best", "best_epoch", "best_path", "mode",
    "save_top_k", "filename", "monitor", "state_dict", "load_state_dict" }))
end

function Keep.__tostring(self)
  local best = self.best
  return ("model_checkpoint(mode = \"%s\", save_top_k = %d): %s"):format(self.mode, self.save_top_k, best and ("best %g"):format(best)
    or "nothing yet")
end

local function check(self, method)
  if debug.getmetatable(self) ~= Keep then fail("%s: called with %s; with a colon: keep:%s(...)", method, states.word(self), method) end
end

-- Does a go before b? Of equal ones the earlier.
local function before(self, a, b)
  if a.value ~= b.value then
    if self.mode == "min" then return a.value < b.value end
    return a.value > b.value
  end
  return a.epoch < b.epoch
end

-- keep:update(figure, what, epoch) -> was it saved?
function Keep:update(v, what, epoch, ...)
  check(self, "update")
  options.none("model_checkpoint: update", ...)
  if states.is_tensor(v) and v:numel() == 1 then v = v:item() end
  if type(v) ~= "number" then fail("update: expected a number or a tensor of one element, got %s", states.word(v)) end
  if math.type(epoch) ~= "integer" or epoch < 1 then
    fail("update: epoch: expected a whole number from 1 on, third, got %s", states.word(epoch))
  end
  local list = { { value = v, epoch = epoch } }
  for _, e in ipairs(self.list) do
    if e.epoch ~= epoch then list[#list + 1] = e end -- an epoch that is done again, after a kill
  end
  if v ~= v then return false end
  table.sort(list, function(a, b) return before(self, a, b) end)
  local drop = list[self.save_top_k + 1]
  list[self.save_top_k + 1] = nil
  if drop and drop.epoch == epoch then return false end
  if is_run(self.where) then
    self.where:save(name_of(self, epoch), what)
  else
    local ok, message = system.mkdir(self.where)
    if not ok then fail("%s", message) end
    ms.checkpoint.save(path_of(self, epoch), what)
  end
  if drop and self.save_top_k > 1 then os.remove(path_of(self, drop.epoch)) end
  self.list = list
  return true
end

-- keep:load(into) -> the fields of the best checkpoint
function Keep:load(into, ...)
  check(self, "load")
  options.none("model_checkpoint: load", ...)
  if not self.best_path then fail "load: nothing was saved yet" end
  return ms.checkpoint.load(self.best_path, into)
end

-- keep:state_dict() -> what was kept: figures (f64) and epochs (i64), the best first; largest: 1 where the largest are the best
function Keep:state_dict(...)
  check(self, "state_dict")
  options.none("model_checkpoint: state_dict", ...)
  local values, epochs = {}, {}
  for i, e in ipairs(self.list) do values[i], epochs[i] = e.value + 0.0, e.epoch end
  local largest = ms.keep(ms.tensor({ self.mode == "max" and 1 or 0 }, { dtype = "i64" }))
  if #values == 0 then return { none = ms.keep(ms.zeros { 1 }), largest = largest } end
  return { largest = largest,
    values = ms.keep(ms.tensor(values, { dtype = "f64" })), epochs = ms.keep(ms.tensor(epochs, { dtype = "i64" })) }
end

-- keep:load_state_dict(state) -> keep
Keep.load_state_dict = states.loader(function(self, state, ...)
  check(self, "load_state_dict")
  options.none("model_checkpoint: load_state_dict", ...)
  states.check_dict("model_checkpoint", state)
  local list = {}
  if state.largest and (state.largest:numel() ~= 1 or (state.largest:item() ~= 0) ~= (self.mode == "max")) then
    fail("load_state_dict: mode: the state is of the %s figures, this one keeps the %s", self.mode == "max" and "smallest" or "largest",
      self.mode == "max" and "largest" or "smallest")
  end
  if not state.none then
    local values, epochs = state.values, state.epochs
    if not values or not epochs or values:dim() ~= 1 or epochs:dim() ~= 1 or #values ~= #epochs or epochs.dtype ~= "i64" then
      fail "load_state_dict: expected values and epochs (i64), lists of the same length"
    end
    values, epochs = values:totable(), epochs:totable()
    for i = 1, math.min(#values, self.save_top_k) do list[i] = { value = values[i], epoch = epochs[i] } end
  end
  return function() self.list = list end
end)

return model_checkpoint
