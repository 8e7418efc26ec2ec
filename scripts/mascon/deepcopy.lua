-- ms.deepcopy(x) -> a copy that shares nothing with x: of a module, a tensor or a table of them (Python's copy.deepcopy)
-- A module's copy has parameters and buffers of its own with the same values; what was one tensor, module or table in several places is one
-- in the copy; frozen parameters stay frozen, hooks stay, gradients do not come along. Tables are copied with all that lies in them;
-- functions, and objects of other kinds (tables with a metatable), are the same in both. Optimizers, schedules and averages of weights are
-- an error: the same one in both would go on with the old parameters.
local ms = require "mascon"
local options = require "mascon.options"
local states = require "mascon.state"
local core = require "mascon.nn.module"

local function copy_tensor(t)
  if t.requires_grad and not t.is_leaf then
    options.raise("deepcopy: a tensor that an operation made within a graph cannot be copied: it has no parameters of its own; x:detach() "
      .. "is its values")
  end
  local guard <close> = ms.no_grad()
  local c = ms.keep(t:detach():clone())
  if core.parameters[t] then core.parameters[c] = true end
  return t.requires_grad and c:requires_grad_() or c
end

-- Has v a state_dict, as what follows the parameters of a model has?
local function has_state(v)
  local ok, load = pcall(function() return v.load_state_dict end)
  return ok and load ~= nil and states.prepare_of(v) ~= nil
end

local copy

local function copy_table(t, met)
  local c = {}
  met[t] = c
  for k, v in next, t do c[copy(k, met)] = copy(v, met) end
  return c
end

local function copy_module(m, met)
  local meta, f, g = {}, core.fields(m), {}
  local c = {}
  met[m] = c
  for k, v in next, debug.getmetatable(m) do meta[k] = v end
  for k, v in next, f do
    if k == "_hooks" then g[k] = core.copy_hooks(v, c)
    else g[copy(k, met)] = copy(v, met) end
  end
  g._mark = options.mark()
  meta.__index = setmetatable(g, debug.getmetatable(f))
  return setmetatable(c, meta)
end

function copy(v, met)
  local kind = type(v)
  if kind ~= "table" and kind ~= "userdata" then return v end
  if met[v] then return met[v] end
  if states.is_tensor(v) then
    met[v] = copy_tensor(v)
    return met[v]
  end
  if core.nn.is_module(v) then return copy_module(v, met) end
  if kind == "table" and debug.getmetatable(v) == nil then return copy_table(v, met) end
  if kind == "table" and has_state(v) then
    options.raise("deepcopy: %s cannot be copied: make another for the copied parameters, and give it the state: "
      .. "other:load_state_dict(this:state_dict())", debug.getmetatable(v).__name or "an object with a state")
  end
  return v
end

return function(x, ...)
  options.none("deepcopy", ...)
  return copy(x, {})
end
