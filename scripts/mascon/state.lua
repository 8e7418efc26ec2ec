-- state: what modules, optimizers and checkpoints share about states -- tables of tensors by name, as state_dict() gives them.
local ms = require "mascon"
local options = require "mascon.options"
local state = {}

state.is_tensor = ms.is_tensor

-- "3 x 4 f32"
function state.sizes(t)
  local shape = t.shape
  return ("%s %s"):format(#shape > 0 and table.concat(shape, " x ") or "scalar", t.dtype)
end

-- What v is, in a word, for messages.
function state.word(v)
  if type(v) == "string" then return "'" .. v .. "'" end
  if type(v) == "number" or type(v) == "boolean" then return tostring(v) end
  if state.is_tensor(v) then return "a tensor" end
  local meta = debug.getmetatable(v)
  if type(v) == "table" and meta and rawget(meta, "is_module") then return "a module" end
  return v == nil and "nil" or "a " .. type(v)
end

function state.same_shape(a, b) return table.concat(a.shape, " ") == table.concat(b.shape, " ") end

function state.is_float(t)
  local d = t.dtype
  return d == "f32" or d == "f64" or d == "bf16" or d == "f16"
end

-- Old parameter -> the tensor that module:to put in its place. A module writes it down, an optimizer made before looks here, so that it
-- never goes on changing tensors that no module holds any more. Weak: it keeps neither alive by itself.
state.moved = setmetatable({}, { __mode = "k" })

-- Raise unless v is a table of tensors by name.
function state.check_dict(what, v)
  if type(v) ~= "table" then
    options.raise("%s: load_state_dict: expected a table of tensors by name (state_dict), got %s", what, type(v))
  end
  for name, t in pairs(v) do
    if not state.is_tensor(t) then
      options.raise("%s: load_state_dict: %s: expected a tensor, got %s", what, tostring(name), type(t))
    end
    if type(name) ~= "string" then options.raise("%s: load_state_dict: unknown entry '%s': names are texts", what, tostring(name)) end
  end
end

-- Numbers of a state (name -> tensor of one element), exactly those of `names`: name -> number; else raises. optional: names that may lack.
function state.numbers(what, dict, names, optional)
  local out, known = {}, {}
  for _, name in ipairs(names) do known[name] = true end
  for _, name in ipairs(optional or {}) do known[name] = true end
  for name, t in pairs(dict) do
    if not known[name] then options.raise("%s: load_state_dict: unknown entry '%s'", what, name) end
    if t:numel() ~= 1 then
      options.raise("%s: load_state_dict: %s: expected a tensor of one element, got %s", what, name, state.sizes(t))
    end
    out[name] = t:item()
    if type(out[name]) ~= "number" then options.raise("%s: load_state_dict: %s: expected a number, got %s", what, name, state.sizes(t)) end
  end
  for _, name in ipairs(names) do
    if out[name] == nil then options.raise("%s: load_state_dict: missing entry '%s'", what, name) end
  end
  return out
end

-- Loading in two halves: prepare(self, dict, options) checks everything and makes whatever must be made, changes nothing, and gives a
-- function that cannot fail and puts the values in place, and perhaps a table that tells what was left. state.loader turns it into a
-- load_state_dict; checkpoints, which load several things or none, find the first half by state.prepare_of.
local halves = setmetatable({}, { __mode = "k" })
function state.loader(prepare)
  local function load_state_dict(self, dict, ...)
    local put, left = prepare(self, dict, ...)
    put()
    if left then return self, left end
    return self
  end
  halves[load_state_dict] = prepare
  return load_state_dict
end
function state.prepare_of(thing) return halves[thing.load_state_dict] end

return state
