-- ms.rehearse(step, { model = model, optimizer = adam }, loader or { x, y } [, { x2, y2 }, ...]) -> step: a compiled step, ready to be
-- replayed
-- The first calls of a compiled step run as its Lua says, later ones are replayed, which may round otherwise in the last bits. So that a
-- run that goes on from a checkpoint ends with the bits of one that was never interrupted, rehearse the step in both before the first
-- epoch, and before the checkpoint is loaded: it is called four times with copies of each list of arguments (one list for each size of a
-- batch that will come; a loader knows them), and what that changed is put back: the parts (all that the step trains or counts in: modules,
-- optimizers, whatever has state_dict and load_state_dict) and the default generator, also after an error. Gradients are forgotten.
local ms = require "mascon"
local options = require "mascon.options"
local states = require "mascon.state"

local CALLS = 4 -- one as it is, two recordings, the first replay

local function is_list(v) return type(v) == "table" and debug.getmetatable(v) == nil end

local function is_loader(v) return type(v) == "table" and (debug.getmetatable(v) or {}).__name == "mascon.loader" end

-- The method of that name, or nil. (Some things raise for names that they do not have.)
local function has(v, method)
  local ok, f = pcall(function() return v[method] end)
  return ok and type(f) == "function"
end

local function check(step, parts, lists)
  local meta = debug.getmetatable(step)
  if type(step) ~= "function" and not (meta and meta.__call) then
    options.raise("rehearse: expected a function (ms.compile), got %s", states.word(step))
  end
  if not is_list(parts) then
    options.raise("rehearse: expected a table of what the step changes ({ model = model, optimizer = adam }), got %s", states.word(parts))
  end
  for name, part in pairs(parts) do
    if not (has(part, "state_dict") and has(part, "load_state_dict")) then
      options.raise("rehearse: %s: expected a thing with state_dict and load_state_dict, got %s", tostring(name), states.word(part))
    end
  end
  if #lists == 0 then options.raise("rehearse: expected lists of arguments ({ x, y }) behind the parts") end
  for i, list in ipairs(lists) do
    if not is_list(list) and not is_loader(list) then
      options.raise("rehearse: arguments %d: expected a list ({ x, y }) or a loader, got %s", i, states.word(list))
    end
  end
end

-- Tensors are handed in at another place each time, as batches will be: a recording of one that never moves is good for that one only.
local function copies(list)
  local out = { n = list.n or #list }
  for i = 1, out.n do out[i] = states.is_tensor(list[i]) and list[i]:detach():clone() or list[i] end
  return out
end

local function rehearse(step, parts, ...)
  local given, lists = table.pack(...), {}
  check(step, parts, given)
  local before, seed, counter = {}, ms.rng_state()
  for name, part in pairs(parts) do before[name] = ms.deepcopy(part:state_dict()) end
  local back <close> = setmetatable({}, { __close = function() -- luacheck: ignore
    for name, part in pairs(parts) do
      part:load_state_dict(before[name])
      if has(part, "zero_grad") then part:zero_grad() end
    end
    ms.rng_state(seed, counter)
  end })
  for _, list in ipairs(given) do
    for _, arguments in ipairs(is_loader(list) and list:examples() or { list }) do lists[#lists + 1] = arguments end
  end
  for _, list in ipairs(lists) do
    local outer <close> = ms.scope() -- luacheck: ignore
    local copied = {} -- all of them at once: the memory of one that is let go would be that of the next
    for call = 1, CALLS do copied[call] = copies(list) end
    for call = 1, CALLS do
      local scope <close> = ms.scope() -- luacheck: ignore
      step(table.unpack(copied[call], 1, copied[call].n))
    end
  end
  return step
end

return rehearse
