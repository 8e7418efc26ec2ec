-- nn.state: state_dict and load_state_dict of modules.
local ms = require "mascon"
local options = require "mascon.options"
local states = require "mascon.state"
local core = require "mascon.nn.module"
local Module, fields, places, sizes = core.Module, core.fields, core.places, states.sizes

local function name_kind(what, opts, defaults, ...)
  if type((...)) == "table" then
    options.raise("%s: expected no more arguments, got table; ms.load gives three values, the first in parentheses: (ms.load(path))", what)
  end
  options.none(what, ...)
  local o = options.read(what, opts, defaults)
  if o.names ~= "mascon" and o.names ~= "pytorch" then
    options.raise("%s: option names: expected 'mascon' or 'pytorch', got '%s'", what, o.names)
  end
  return o, o.names == "pytorch"
end

-- The places of parameters and buffers that are part of the state.
local function kept(self)
  local list = {}
  for _, kind in ipairs { "parameter", "buffer" } do
    for _, p in ipairs(places(self, kind)) do
      if not p.transient then list[#list + 1] = p end
    end
  end
  return list
end

-- name -> tensor: parameters and buffers (the tensors themselves, without their graph). Places in lists count from 1; with
-- { names = "pytorch" } from 0, and a tensor that is held twice is there twice, as in PyTorch.
function Module:state_dict(opts, ...)
  local _, torch = name_kind(fields(self).__name .. ": state_dict", opts, { names = "mascon" }, ...)
  local state = {}
  for _, p in ipairs(kept(self)) do
    if p.first or torch then state[torch and p.torch or p.name] = ms.keep(p.tensor:detach()) end
  end
  return state
end

local function listed(list) return #list > 0 and table.concat(list, ", ") or "none" end

-- What the state has in another shape, and in a dtype that is not taken over (between floats it is, as in PyTorch).
local function misfits(all, state)
  local shapes, dtypes = {}, {}
  for _, p in ipairs(all) do
    local t, s = p.tensor, state[p.name]
    if s ~= nil then
      local words = ("%s: expected %s, got %s"):format(p.name, sizes(t), sizes(s))
      if not states.same_shape(s, t) then shapes[#shapes + 1] = words
      elseif s.dtype ~= t.dtype and not (states.is_float(s) and states.is_float(t)) then dtypes[#dtypes + 1] = words end
    end
  end
  return shapes, dtypes
end

-- The first of these names with a place 0, which mascon's own never have; or nil.
local function counts_from_0(names)
  for _, name in ipairs(names) do
    if ("." .. name .. "."):find(".0.", 1, true) then return name end
  end
end

-- m:load_state_dict(state [, { strict = true, names = "mascon" }]) -> m. Copies the values in: all, or none when something does not fit:
-- the message lists all that is missing, not expected, of another shape, of another dtype.
-- strict = false ignores names on either side only, and gives a second result, { missing_keys = { ... }, unexpected_keys = { ... } }.
-- names = "pytorch": a state_dict of PyTorch's, where places in lists count from 0 (without it such names are an error, for the others
-- would go into the next layer).
local function prepare(self, state, opts, ...)
  local what = self.__name
  local o, torch = name_kind(what .. ": load_state_dict", opts, { strict = true, names = "mascon" }, ...)
  states.check_dict(what, state)
  local own, all, missing, unexpected, given = {}, {}, {}, {}, {}
  for _, p in ipairs(kept(self)) do
    local name = torch and p.torch or p.name
    own[name], all[#all + 1] = true, { name = name, tensor = p.tensor, first = p.first }
    given[p.tensor] = given[p.tensor] or state[name] ~= nil
  end
  for _, p in ipairs(all) do -- of a tensor that is held twice the state may have any of its names
    local old = p.name:find "num_batches_tracked$" -- states of long ago lack it
    if p.first and not given[p.tensor] and not old then missing[#missing + 1] = p.name end
  end
  for name in pairs(state) do
    if not own[name] then unexpected[#unexpected + 1] = name end
  end
  table.sort(missing)
  table.sort(unexpected)
  local from_0 = not torch and counts_from_0(unexpected)
  local shapes, dtypes = misfits(all, state)
  if #shapes > 0 or #dtypes > 0 or from_0 or o.strict and (#missing > 0 or #unexpected > 0) then
    local parts, hint = {}, ""
    if o.strict and #missing + #unexpected > 0 then
      parts[1] = ("missing: %s; not expected: %s"):format(listed(missing), listed(unexpected))
    end
    if #shapes > 0 then parts[#parts + 1] = "of another shape: " .. listed(shapes) end
    if #dtypes > 0 then parts[#parts + 1] = "of another dtype: " .. listed(dtypes) end
    if from_0 and not o.strict then
      parts[#parts + 1] = ("not expected: %s"):format(from_0)
      hint = "; PyTorch's names count from 0, so that 1 is the second: load_state_dict(state, { names = \"pytorch\", strict = false })"
    end
    if o.strict and not torch and #unexpected > 0 and pcall(prepare, self, state, { names = "pytorch" }) then
      hint = "; these are PyTorch's names, which count from 0: load_state_dict(state, { names = \"pytorch\" })"
    end
    options.raise("%s: load_state_dict: %s%s", what, table.concat(parts, "; "), hint)
  end
  local of, copies = {}, {}
  for _, p in ipairs(all) do
    local name, t, s = p.name, p.tensor, state[p.name]
    if s ~= nil then
      local guard <close> = ms.no_grad()
      local before = of[t]
      if not before then
        of[t] = name
        copies[#copies + 1] = { t, ms.tensor(s, { dtype = t.dtype, device = t.device }) }
      elseif not s:eq(state[before]):logical_or(s:ne(s)):all():item() then
        options.raise("%s: load_state_dict: %s and %s are one tensor here, and differ in the state", what, before, name)
      end
    end
  end
  return function()
    local guard <close> = ms.no_grad()
    for _, c in ipairs(copies) do c[1]:copy_(c[2]) end
  end, not o.strict and { missing_keys = missing, unexpected_keys = unexpected } or nil
end
Module.load_state_dict = states.loader(prepare)
