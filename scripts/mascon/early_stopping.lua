-- early_stopping: when a figure has not become better for a while.
--
--   local stop = ms.early_stopping { patience = 10 }
--   for epoch = 1, 100 do
--     ...
--     if stop:update(val_loss, epoch) then break end
--   end
--   print(stop.best, stop.best_epoch)
--
-- It has a state_dict, so that a run that is resumed goes on waiting where it was (ms.checkpoint, run:save).
local ms = require "mascon"
local options = require "mascon.options"
local states = require "mascon.state"
local text = require "mascon.text"

local Stop = {}
local NUMBERS = { "best", "best_epoch", "wait", "updates" }

-- ms.early_stopping { patience = 3, min_delta = 0, mode = "min", monitor =, check_finite = true } -> stop
-- stop:update(figure [, epoch]) -> true when the figure (a number, or a tensor of one element) was not better than the best one by more
-- than min_delta for `patience` updates one after another, or, with check_finite, is NaN or infinite. stop.best, stop.best_epoch (the
-- number given, else which update it was; 0: none yet), stop.wait, stop.stopped, stop.improved (was the last one the best?);
-- stop:reset(). monitor: the name of the figure, for ms.fit. Names and defaults are Lightning's EarlyStopping's.
local function early_stopping(given, ...)
  options.none("early_stopping", ...)
  local o = options.read("early_stopping", given, { patience = 3, min_delta = 0, mode = "min", monitor = "", check_finite = true })
  if math.tointeger(o.patience) == nil or o.patience < 0 then
    options.raise("early_stopping: patience: expected a whole number from 0 on, got %s", tostring(o.patience))
  end
  if not (o.min_delta >= 0 and o.min_delta < math.huge) then
    options.raise("early_stopping: min_delta: expected a finite number from 0 on, got %s", tostring(o.min_delta))
  end
  if o.mode ~= "min" and o.mode ~= "max" then options.raise("early_stopping: mode: expected \"min\" or \"max\", got '%s'", o.mode) end
  local self = setmetatable({ patience = math.tointeger(o.patience), min_delta = o.min_delta, mode = o.mode,
    monitor = o.monitor ~= "" and o.monitor or false, check_finite = o.check_finite }, Stop)
  return self:reset()
end

Stop.__name = "mascon.early_stopping"
Stop.__index = function(_, key)
  if Stop[key] ~= nil then return Stop[key] end
  options.raise("early_stopping has no field '%s'%s", tostring(key), text.hint(tostring(key), { "update", "best", "best_epoch", "wait",
    "stopped",
    "improved", "reset", "patience", "min_delta", "mode", "monitor", "state_dict", "load_state_dict" }))
end
Stop.__tostring = function(self)
  return ("early_stopping(patience = %d, min_delta = %g, mode = \"%s\"): best %g, %d since"):format(self.patience, self.min_delta,
    self.mode,
    self.best, self.wait)
end

local function check(self, method)
  if debug.getmetatable(self) ~= Stop then
    options.raise("early_stopping: %s: called with %s; with a colon: stop:%s(...)", method, states.word(self), method)
  end
end

-- As it was made.
function Stop:reset()
  check(self, "reset")
  self.best, self.best_epoch, self.wait, self.updates = self.mode == "min" and math.huge or -math.huge, 0, 0, 0
  self.stopped, self.improved = false, false
  return self
end

function Stop:update(v, epoch, ...)
  check(self, "update")
  options.none("early_stopping: update", ...)
  if states.is_tensor(v) and v:numel() == 1 then v = v:item() end
  if type(v) ~= "number" then options.raise("early_stopping: update: expected a number or a tensor of one element, got %s",
    states.word(v)) end
  if epoch ~= nil and (math.type(epoch) ~= "integer" or epoch < 1) then
    options.raise("early_stopping: update: epoch: expected a whole number from 1 on, got %s", tostring(epoch))
  end
  self.updates = self.updates + 1
  local better = self.mode == "min" and v < self.best - self.min_delta or self.mode == "max" and v > self.best + self.min_delta
  self.improved = better
  if better then
    self.best, self.best_epoch, self.wait = v, epoch or self.updates, 0
  else
    self.wait = self.wait + 1
  end
  local finite = v == v and math.abs(v) < math.huge
  self.stopped = not better and self.wait >= math.max(self.patience, 1) or self.check_finite and not finite
  return self.stopped
end

-- stop:state_dict() -> where it stands, as tensors by name (f64)
function Stop:state_dict(...)
  check(self, "state_dict")
  options.none("early_stopping: state_dict", ...)
  local out = { stopped = ms.keep(ms.tensor(self.stopped and 1 or 0, { dtype = "f64" })) }
  for _, name in ipairs(NUMBERS) do out[name] = ms.keep(ms.tensor(self[name] + 0.0, { dtype = "f64" })) end
  out.largest = ms.keep(ms.tensor(self.mode == "max" and 1 or 0, { dtype = "f64" }))
  return out
end

-- stop:load_state_dict(state) -> stop, which goes on from there
Stop.load_state_dict = states.loader(function(self, state, ...)
  check(self, "load_state_dict")
  options.none("early_stopping: load_state_dict", ...)
  states.check_dict("early_stopping", state)
  local got = states.numbers("early_stopping", state, { "stopped", table.unpack(NUMBERS) }, { "largest" })
  local mode = got.largest and (got.largest ~= 0 and "max" or "min") or self.mode -- (states of older versions do not tell it)
  if mode ~= self.mode then
    options.raise("early_stopping: load_state_dict: mode: the state is of \"%s\", this one is of \"%s\": its best figure means nothing "
      .. "here", mode, self.mode)
  end
  for _, name in ipairs { "best_epoch", "wait", "updates" } do
    got[name] = math.tointeger(got[name])
    if not got[name] or got[name] < 0 then
      options.raise("early_stopping: load_state_dict: %s: expected a whole number from 0 on", name)
    end
  end
  return function()
    for _, name in ipairs(NUMBERS) do self[name] = got[name] end
    self.stopped, self.improved = got.stopped ~= 0, false
  end
end)

return early_stopping
