-- meter: figures of things that come batch by batch: means, extremes, accuracy, confusion matrices. Each has add, value and reset, and a
-- state_dict, so that a checkpoint in the middle of an epoch keeps it. Tensors stay unread until value() is asked.
local meter = {}
local keep = require("mascon").keep or function(x) return x end

local Mean = { __name = "mascon.mean" }
Mean.__index = Mean

-- The number in v: v itself, or what v:item() reads. A device is waited for here and nowhere else in this file.
local function number(v)
  if type(v) == "number" then return v end
  return v:item()
end

-- Without gradients: what is added must not keep the graph of its step alive.
local function detached(v)
  if type(v) ~= "number" and v.detach then return v:detach() end
  return v
end

-- Add a number, or something with + and :item() (a tensor of one element), which stays unread until value() is asked. weight counts how
-- many of them v is the mean of (the size of the batch); 1 when not given.
function Mean:add(v, weight)
  if type(self) ~= "table" then error(("mean:add: expected a meter, got a %s; with a colon: mean:add(x)"):format(type(self)), 2) end
  if type(v) ~= "number" and not (type(v) == "userdata" or type(v) == "table") then
    error(("mean:add: expected a number or a tensor, got a %s"):format(type(v)), 2)
  end
  if type(v) == "userdata" and v:numel() ~= 1 then
    error(("mean:add: expected a tensor of one element, got %s"):format(table.concat(v.shape, " x ")), 2)
  end
  if weight ~= nil and not (type(weight) == "number" and weight >= 0) then
    error(("mean:add: weight: expected a number of at least 0, got %s"):format(tostring(weight)), 2)
  end
  weight = weight or 1
  v = detached(v)
  if weight ~= 1 then v = v * weight end
  local sum = self.sum and self.sum + v or v
  self.sum = type(sum) == "number" and sum or keep(sum) -- it outlives the scope of the step
  self.weight = self.weight + weight
  return self
end

-- The mean so far as a number; NaN when nothing was added.
function Mean:value()
  if self.weight == 0 then return 0 / 0 end
  return number(self.sum) / self.weight
end

function Mean:count() return self.weight end

function Mean:reset()
  self.sum, self.weight = nil, 0
  return self
end

-- mean:state_dict() -> sum and weight, as tensors by name; load_state_dict goes on from there, to the same bits.
function Mean:state_dict()
  local ms = require "mascon"
  local out = { weight = ms.keep(ms.tensor(self.weight + 0.0, { dtype = "f64" })) }
  if type(self.sum) == "number" then out.number = ms.keep(ms.tensor(self.sum + 0.0, { dtype = "f64" }))
  elseif self.sum ~= nil then out.sum = ms.keep(ms.tensor(self.sum)) end
  return out
end

function Mean:load_state_dict(state)
  local ms, options, states = require "mascon", require "mascon.options", require "mascon.state"
  states.check_dict("mean", state)
  local got = states.numbers("mean", state, { "weight" }, { "sum", "number" })
  if got.sum and got.number or (got.sum or got.number) == nil and got.weight ~= 0 or not (got.weight >= 0) then
    options.raise("mean: load_state_dict: expected a weight from 0 on, and one sum")
  end
  self.weight = math.tointeger(got.weight) or got.weight
  self.sum = got.number or got.sum and ms.keep(ms.tensor(state.sum)) or nil
  return self
end

function Mean:__tostring() return ("%.6g"):format(self:value()) end

-- A new empty mean: add(v [, weight]), value(), count(), reset().
function meter.mean() return setmetatable({ weight = 0 }, Mean) end

-- ---- of labels and extremes -------------------------------------------------------------------------------------------------------------

local function libraries() return require "mascon", require "mascon.options", require "mascon.state" end

-- A class of meters whose state is one tensor (`total`, nil: nothing was added) and, beside it, a count.
local function class(name)
  local Meter = { __name = "mascon." .. name }
  Meter.__index = Meter

  function Meter:count() return self.seen end

  function Meter:reset()
    self.total, self.seen = nil, 0
    return self
  end

  function Meter:state_dict()
    local ms = libraries()
    return { seen = ms.keep(ms.tensor({ self.seen }, { dtype = "i64" })), total = self.total and ms.keep(ms.tensor(self.total)) }
  end

  function Meter:load_state_dict(state)
    local ms, options, states = libraries()
    states.check_dict(name, state)
    local rest = { seen = state.seen }
    for key, t in pairs(state) do
      if key ~= "total" then rest[key] = t end
    end
    local seen = math.tointeger(states.numbers(name, rest, { "seen" }).seen)
    local total = state.total
    if not seen or seen < 0 or (seen > 0) ~= (total ~= nil) or total and not self.fits(self, total) then
      options.raise("%s: load_state_dict: expected a state of such a meter", name)
    end
    self.seen, self.total = seen, total and ms.keep(ms.tensor(total)) or nil
    return self
  end

  function Meter:__tostring()
    local ms = libraries()
    local v = self:value()
    return ms.is_tensor(v) and tostring(v) or ("%.6g"):format(v)
  end
  return Meter
end

local function of_class(Meter) return setmetatable({ seen = 0 }, Meter) end

-- The smallest or largest of all elements added: numbers, or tensors of any shape.
local function extreme(name, reduce, join)
  local Meter = class("meter." .. name)
  function Meter:add(v, ...)
    local ms, options, states = libraries()
    options.none(name .. ":add", ...)
    if type(v) == "number" then v = ms.tensor(v, { dtype = "f64" }) end
    if not ms.is_tensor(v) or v:numel() == 0 then
      options.raise("meter.%s: add: expected a number or a tensor with elements, got %s", name,
        ms.is_tensor(v) and states.sizes(v) or states.word(v))
    end
    v = v:detach()[reduce](v:detach())
    self.total = ms.keep(self.total and ms[join](self.total, v) or v)
    self.seen = self.seen + 1
    return self
  end
  function Meter.fits(_, t) return t:numel() == 1 end
  -- NaN when nothing was added, and once a NaN was.
  function Meter:value() return self.total and self.total:item() or 0 / 0 end
  return Meter
end

local Min, Max = extreme("min", "amin", "minimum"), extreme("max", "amax", "maximum")

-- ms.meter.min() -> meter: the smallest of all elements that were added (add(number or tensor)); value(), count() of additions, reset()
function meter.min() return of_class(Min) end
-- ms.meter.max() -> meter: the largest
function meter.max() return of_class(Max) end

-- Labels from what a model gave: N labels, or N x classes, of which the largest counts.
local function predicted(what, out, truth)
  local ms, options, states = libraries()
  for _, v in ipairs { out, truth } do
    if not ms.is_tensor(v) then options.raise("%s: add: expected two tensors, outputs and labels, got %s", what, states.word(v)) end
  end
  if not ms.is_tensor(out) or not ms.is_tensor(truth) then options.raise("%s: add: expected two tensors, outputs and labels", what) end
  if truth:dim() ~= 1 or out:dim() < 1 or out:dim() > 2 or #out ~= #truth then
    options.raise("%s: add: expected N labels or N x classes outputs, and N labels, got %s and %s", what, states.sizes(out),
      states.sizes(truth))
  end
  return out:dim() == 2 and out:detach():argmax(2) or out:detach(), truth
end

local Accuracy = class "meter.accuracy"
function Accuracy:add(out, truth, ...)
  local ms, options = libraries()
  options.none("meter.accuracy: add", ...)
  local p, t = predicted("meter.accuracy", out, truth)
  local hits = p:eq(t):to("i64"):sum()
  self.total = ms.keep(self.total and self.total + hits or hits)
  self.seen = self.seen + #t
  return self
end
function Accuracy.fits(_, t) return t:numel() == 1 and t.dtype == "i64" end
function Accuracy:value() return self.seen > 0 and self.total:item() / self.seen or 0 / 0 end

-- ms.meter.accuracy() -> meter: the share of labels that were told right. add(outputs, labels): outputs N x classes, of which the largest
-- counts, or N labels; value() (NaN: nothing was added), count() of samples, reset()
function meter.accuracy() return of_class(Accuracy) end

local Confusion = class "meter.confusion"
function Confusion:add(out, truth, ...)
  local ms, options = libraries()
  options.none("meter.confusion: add", ...)
  local p, t = predicted("meter.confusion", out, truth)
  local counts = ms.ml.confusion(p, t, self.classes)
  self.total = ms.keep(self.total and self.total + counts or counts)
  self.seen = self.seen + #t
  return self
end
function Confusion.fits(self, t) return t:dim() == 2 and t:size(1) == self.classes and t:size(2) == self.classes and t.dtype == "i64" end
function Confusion:value()
  local ms = libraries()
  return self.total or ms.zeros({ self.classes, self.classes }, { dtype = "i64" })
end
-- The share on the diagonal.
function Confusion:accuracy() return self.seen > 0 and self.total:diagonal():sum():item() / self.seen or 0 / 0 end

-- ms.meter.confusion(classes) -> meter: how often what was taken for what. add(outputs, labels) as of meter.accuracy; value() -> classes x
-- classes counts (i64), rows predicted, columns true (as ml.confusion); accuracy(), count() of samples, reset()
function meter.confusion(classes, ...)
  local _, options = libraries()
  options.none("meter.confusion", ...)
  local m = of_class(Confusion)
  m.classes = options.count("meter.confusion", "classes", classes)
  return m
end

return require("mascon.names").guard(meter, "ms.meter")
