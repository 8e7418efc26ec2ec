-- meter: averages of things that come batch by batch.
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

return meter
