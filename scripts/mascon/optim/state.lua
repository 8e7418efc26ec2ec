-- optim/state: what an optimizer knows, as tensors by name, and back.
--
--   "exp_avg.2", "step.2"      of the second parameter (counted through all groups), if it has been stepped
--   "lr", "beta1", "beta2"     the settings, f64: 0 or 1 for a switch, a word by its place in the list of words. With several groups those
--                              of each, "groups.2.lr"
--   "params"                   how many parameters there are; with several groups those of each, "groups.2.params"
--   and what a class adds (also_in_state): lbfgs.lua
local ms = require "mascon"
local options = require "mascon.options"
local text = require "mascon.text"
local states = require "mascon.state"
local settings = require "mascon.optim.settings"
local base = require "mascon.optim.base"
local is_tensor, sizes = states.is_tensor, states.sizes
local Optimizer = base.methods

local function scalar(x) return ms.keep(ms.tensor(x, { dtype = "f64" })) end

-- Where the settings of group i stand.
local function prefix(o, i) return #o.sets > 1 and ("groups.%d."):format(i) or "" end

-- o:state_dict() -> tensors by name: everything needed to go on.
function Optimizer:state_dict(...)
  local o, out = base.own(self, "state_dict"), {}
  options.none(o.what .. ": state_dict", ...)
  for i, p in ipairs(o.all) do
    local s = o.state[p]
    if s and s.step:item() > 0 then
      for name, t in pairs(s) do out[("%s.%d"):format(name, i)] = t end
    end
  end
  for i, g in ipairs(o.sets) do
    settings.each(o.class, function(entry, name, k) out[prefix(o, i) .. entry] = scalar(settings.number(g, name, k)) end)
    out[prefix(o, i) .. "params"] = scalar(#g.params)
  end
  if o.class.also_in_state then
    for name, t in pairs(o.class.also_in_state(o)) do out[name] = t end
  end
  return out
end

local function value_of(what, name, t)
  if not is_tensor(t) or t:numel() ~= 1 then
    options.raise("%s: load_state_dict: %s: expected a tensor of one element, got %s", what, name, is_tensor(t) and sizes(t) or type(t))
  end
  return t:item()
end

-- The names of the entries that hold the settings -> true. Raises where the state has other groups.
local function entries_of(o, state, fail)
  local entries = {}
  if #o.sets == 1 and state["groups.1.params"] then
    fail "the state is of an optimizer with several groups of parameters, this one has none"
  end
  for i, g in ipairs(o.sets) do
    settings.each(o.class, function(entry) entries[prefix(o, i) .. entry] = true end)
    local count = prefix(o, i) .. "params"
    if not state[count] and #o.sets > 1 then fail("missing entry '%s': group %d is not in the state", count, i) end
    local n = state[count] and value_of(o.what, count, state[count]) or #g.params -- (one group of an older state does not tell)
    if n ~= #g.params then
      if #o.sets > 1 then fail("group %d has %d parameters, in the state %g", i, #g.params, n) end
      fail("the optimizer has %d parameters, in the state it has %g", #g.params, n)
    end
    entries[count] = true
  end
  return entries
end

-- The settings of a state, one table for each group, checked.
local function settings_of(o, state, fail)
  local out = {}
  for i, g in ipairs(o.sets) do
    out[i] = settings.from_numbers(g, o.what .. ": load_state_dict", function(entry)
      local name = prefix(o, i) .. entry
      if state[name] == nil then fail("missing entry '%s'", name) end
      return value_of(o.what, name, state[name])
    end, fail)
  end
  return out
end

-- Which parameters the state knows (place -> true); raises for an entry that does not fit.
local function places_of(o, state, entries, fail)
  local each, found = { step = true }, {}
  for _, name in ipairs(o.class.states) do each[name] = true end
  for key, t in pairs(state) do
    local name, i = key:match "^([%a_]+)%.(%d+)$"
    if name and each[name] then
      i = math.tointeger(tonumber(i))
      local p = o.all[i]
      if not p or ("%s.%d"):format(name, i) ~= key then fail("'%s': there are %d parameters, counted from 1", key, #o.all) end
      if name == "step" then
        local n = value_of(o.what, key, t)
        if type(n) ~= "number" or n < 1 or n % 1 ~= 0 or n >= 2 ^ 53 then
          fail("%s: expected a whole number from 1 on, got %s", key, tostring(n))
        end
      end
      found[i] = true
    elseif not entries[key] then
      if key == "step" then
        fail "one step count for all parameters: written before each parameter had its own ('step.1', ...); train anew"
      end
      if key:find "^first%." or key:find "^second%." then
        fail("'%s': written before states had PyTorch's names ('exp_avg.1', ...); train anew", key)
      end
      fail("unknown entry '%s': expected %s of each parameter (step.1, ...) and %s", key,
        table.concat({ "step", table.unpack(o.class.states) }, ", "), table.concat(text.keys(entries), ", "))
    end
  end
  return found
end

-- The tensors of state for parameter i as they are to be: pairs of a tensor of the optimizer and the one to copy into it, added to
-- copies; gives the state, new or the one that is there.
local function state_for(o, i, g, values, state, copies, fail)
  local p, class = o.all[i], o.class
  local s = {}
  for name, t in pairs(o.state[p] or {}) do s[name] = t end
  s.step = s.step or ms.keep(ms.zeros({}, { dtype = "f64", device = p.device }))
  local needed = { step = true }
  for _, name in ipairs(class.needs and class.needs(values) or class.states) do needed[name] = true end
  for _, name in ipairs { "step", table.unpack(class.states) } do
    local key = ("%s.%d"):format(name, i)
    local t = state[key]
    if t == nil and needed[name] then fail("missing entry '%s'", key) end
    if t ~= nil then
      s[name] = s[name] or base.fresh(class, name, p, g.value)
      if name ~= "step" and (not states.same_shape(t, s[name]) or not states.is_float(t)) then
        fail("%s: expected %s, got %s", key, sizes(s[name]), sizes(t))
      end
      copies[#copies + 1] = { s[name], ms.tensor(t, { dtype = s[name].dtype, device = p.device }) }
    elseif s[name] then -- kept of settings that it has no more: as at first
      copies[#copies + 1] = { s[name], base.fresh(class, name, p, g.value) }
    end
  end
  return s
end

-- o:load_state_dict(state) takes over a state_dict, to the last bit: states and settings, as PyTorch does (so a script's own lr counts
-- for a new run only; set o.lr after loading to change it). Tensors are copied into those that are there, which recorded steps know; a
-- parameter without state in the dict has none afterwards. Whatever does not fit -- another optimizer's state, a wrong shape, an entry
-- too many or too few -- is an error, and nothing has changed then. Gives o.
local function prepare(self, state, ...)
  local o = base.own(self, "load_state_dict")
  options.none(o.what .. ": load_state_dict", ...)
  local function fail(...) options.raise("%s: load_state_dict: %s", o.what, string.format(...)) end
  states.check_dict(o.what, state)
  if next(states.moved) then base.follow(o) end
  local entries = entries_of(o, state, fail)
  local recall = o.class.also_in_state and o.class.also_in_state(o, state, entries, fail)
  local found = places_of(o, state, entries, fail)
  local values = settings_of(o, state, fail)
  local copies, made, i = {}, {}, 0
  for k, g in ipairs(o.sets) do
    for _, p in ipairs(g.params) do
      i = i + 1
      if found[i] then made[p] = state_for(o, i, g, values[k], state, copies, fail)
      elseif o.state[p] then
        for name, t in pairs(o.state[p]) do
          copies[#copies + 1] = { t, name == "step" and 0 or base.fresh(o.class, name, p, values[k]) }
        end
      end
    end
  end
  return function()
    local guard <close> = ms.no_grad()
    for _, c in ipairs(copies) do
      if c[2] == 0 then c[1]:fill_(0) else c[1]:copy_(c[2]) end
    end
    for p, s in pairs(made) do o.state[p] = s end
    for k, g in ipairs(o.sets) do settings.take(g, values[k], "a state") end
    if recall then recall() end
  end
end
Optimizer.load_state_dict = states.loader(prepare)
