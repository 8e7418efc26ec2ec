-- fit/values: what a step gives besides its loss -- figures to be averaged (fit:log) and predictions to be gathered (fit:gather).
--
-- A compiled step runs no Lua when it is replayed. So what is logged in it is not written anywhere at once: it is collected while the step
-- runs, leaves it among its results, and is added up outside, in a replay as at the first time. How it is to be shown (on_step, ...)
-- is the same each time, and is remembered by name from the call that did run.
local ms = require "mascon"
local core = require "mascon.inside"
local meter = require "mascon.meter"
local options = require "mascon.options"
local states = require "mascon.state"
local values = {}

local sink -- what the step that runs now has given so far: { log = name -> figure, gather = name -> tensor }; nil outside steps

-- values.collect(f, ...) -> what f gives, and what it logged and gathered meanwhile.
function values.collect(f, ...)
  local before = sink
  sink = { log = {}, gather = {} }
  local back <close> = setmetatable({}, { __close = function() sink = before end }) -- luacheck: ignore back
  local given = f(...)
  return given, sink
end

function values.in_step() return sink ~= nil end

local function check_name(what, name)
  if type(name) ~= "string" or name == "" then options.raise("fit:%s: expected a name first, got %s", what, states.word(name)) end
end

-- A figure: a number, or a tensor of one element; in a compiled step only the latter, for a number would stand still.
local function check_figure(what, v)
  if states.is_tensor(v) then
    if v:numel() ~= 1 then options.raise("%s: expected a number or a tensor of one element, got %s", what, states.sizes(v)) end
    return v:detach()
  end
  if type(v) ~= "number" then options.raise("%s: expected a number or a tensor of one element, got %s", what, states.word(v)) end
  if core.recording() then
    options.raise("%s: the step is compiled, and replays run no Lua: the number %g would stand still; log a tensor, or "
      .. "write compile = false",
      what, v)
  end
  return v
end
values.check_figure = check_figure

function values.log(name, v)
  check_name("log", name)
  v = check_figure(("fit:log '%s'"):format(name), v)
  if sink then sink.log[name] = v end
  return v
end

function values.gather(name, t)
  check_name("gather", name)
  if not states.is_tensor(t) or t:dim() == 0 then
    options.raise("fit:gather '%s': expected a tensor with a row for each sample, got %s", name, states.is_tensor(t) and states.sizes(t)
      or states.word(t))
  end
  if not sink then options.raise("fit:gather '%s': called outside training_step and validation_step", name) end
  sink.gather[name] = t:detach()
end

-- ---- averages ------------------------------------------------------------------------------------------------------------------------

local Averages = {}
Averages.__index = Averages

-- Means by name over the batches of an epoch, each batch with the weight of its size; and lists of what was gathered.
function values.averages() return setmetatable({ means = {}, lists = {} }, Averages) end

function Averages:add(got, weight, specs)
  for name, v in pairs(got.log) do
    local mean = self.means[name] or meter.mean()
    self.means[name] = mean
    mean:add(v, specs[name] and specs[name].batch_size or weight)
  end
  for name, t in pairs(got.gather) do
    local list = self.lists[name] or {}
    self.lists[name] = list
    list[#list + 1] = ms.keep(t:to "cpu")
  end
end

-- name -> number: the means so far. Reads tensors.
function Averages:read(specs)
  local out = {}
  for name, mean in pairs(self.means) do
    if not (specs[name] and specs[name].on_epoch == false) then out[name] = mean:value() end
  end
  return out
end

-- All of it as tensors by name: "mean.NAME.sum", "list.NAME".
function Averages:state_dict()
  local out = {}
  for name, mean in pairs(self.means) do
    for key, t in pairs(mean:state_dict()) do out[("mean.%s.%s"):format(name, key)] = t end
  end
  for name, list in pairs(self.lists) do out["list." .. name] = ms.cat(list) end
  return out
end

function Averages:load_state_dict(state)
  local means, lists, parts = {}, {}, {}
  for name, t in pairs(state) do
    local mean, key = name:match "^mean%.(.+)%.(%a+)$"
    local list = name:match "^list%.(.+)$"
    if mean then
      parts[mean] = parts[mean] or {}
      parts[mean][key] = t
    elseif list then lists[list] = { ms.keep(t) }
    else options.raise("fit: averages: unknown entry '%s'", name) end
  end
  for name, part in pairs(parts) do means[name] = meter.mean():load_state_dict(part) end
  self.means, self.lists = means, lists
end

-- The tensor of all rows that were gathered under a name, in the order of the batches.
function Averages:gathered(name)
  local list = self.lists[name]
  if not list then
    local names = {}
    for k in pairs(self.lists) do names[#names + 1] = k end
    table.sort(names)
    options.raise("fit:gathered '%s': nothing was gathered under this name%s", tostring(name),
      #names > 0 and "; there is " .. table.concat(names, ", ") or "; call fit:gather(name, tensor) in the step")
  end
  return ms.cat(list)
end

return values
