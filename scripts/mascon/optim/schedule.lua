-- optim/schedule: what a schedule of learning rates is. A kind says what it takes and what the next rate is:
--
--   schedule.kind("exponential_lr", 1, { { "gamma", kinds.number } }, { rate = function(s, e, lr) return lr * s.gamma end })
--   local s = lr_scheduler.exponential_lr(o, 0.99)
--   s:step()                                  -- after o:step(), once for each step or epoch: the optimizer's lr is the next one
--
-- A schedule is an empty table around its fields (`inside[self]`): its arguments, last_epoch (how often it has stepped), last_lr and
-- base_lrs (by group). Rates lie in the cells of the optimizer's groups: a recorded step reads the new one without a new recording.
-- Nothing of a schedule has changed when its step raises (inside a compiled step, for one).
local ms = require "mascon"
local arguments = require "mascon.arguments"
local options = require "mascon.options"
local text = require "mascon.text"
local states = require "mascon.state"
local base = require "mascon.optim.base"
local settings = require "mascon.optim.settings"
local schedule = {}

local Schedule = {}
local inside = setmetatable({}, { __mode = "k" }) -- schedule -> its fields

local function own(self, method)
  return inside[self] or options.raise("lr_scheduler: %s: expected a schedule, got %s; with a colon: s:%s()", method, states.word(self),
    method)
end
schedule.own = own
function schedule.find(v) return inside[v] end

-- "lr_scheduler.step_lr(30, 0.1) after 5 steps, lr 0.1"
local function describe(s)
  local lr, given = {}, {}
  for i, x in ipairs(s.last_lr) do lr[i] = ("%g"):format(x) end
  for name, v in pairs(s.given or {}) do
    given[name] = (type(v) == "table" or type(v) == "function") and arguments.shown(v):gsub("function: %w+", "function") or v
  end
  return ("%s(%s) after %d steps, lr %s"):format(s.what, s.takes and s.takes:describe(given) or "", s.last_epoch, table.concat(lr, ", "))
end

-- A schedule with these fields.
function schedule.new(s)
  local self = setmetatable({}, { __name = s.what,
    __index = function(_, key)
      local v = s[key]
      if v == nil then v = Schedule[key] end
      if v == nil then
        local names = text.keys(Schedule)
        for _, name in ipairs { "last_epoch", "base_lrs", "optimizer" } do names[#names + 1] = name end
        options.raise("%s: a schedule has no field '%s'%s", s.what, tostring(key), text.hint(tostring(key), names))
      end
      return v
    end,
    __newindex = function(_, key) options.raise("%s: %s cannot be assigned; make a new schedule", s.what, tostring(key)) end,
    __pairs = function() return next, s end, __tostring = function() return describe(s) end })
  inside[self] = s
  return self
end

-- The settings of the optimizer's groups.
function schedule.groups_of(s)
  local sets = base.own(s.optimizer, "groups").sets
  if #sets ~= #s.base_lrs then
    options.raise("%s: made for %d groups of parameters, the optimizer has %d now; make it when they are all there", s.what, #s.base_lrs,
      #sets)
  end
  return sets
end

-- Put rates (a list, by group) and momenta (one too, or nil) in place: all or none.
local function put(sets, rates, momenta)
  local checked = {}
  for i, g in ipairs(sets) do
    local changes = { lr = rates[i] }
    if momenta and g.value.betas then changes.betas = { momenta[i], table.unpack(g.value.betas, 2) }
    elseif momenta then changes.momentum = momenta[i] end
    checked[i] = settings.with(g, changes)
  end
  for i, g in ipairs(sets) do settings.take(g, checked[i], "lr") end
end
schedule.put = put

local function rates_of(sets)
  local list = {}
  for i, g in ipairs(sets) do list[i] = g.value.lr end
  return list
end
schedule.rates_of = rates_of

-- Go to step e. how: "first" (it is being made), "begin" (its turn in sequential_lr), nil (one further).
local function go(s, e, how)
  local sets, rates, momenta = schedule.groups_of(s), {}, nil
  for i, g in ipairs(sets) do
    if how == "begin" and s.kind.closed then rates[i] = s.kind.closed(s, e, s.base_lrs[i], i)
    else rates[i] = s.kind.rate(s, e, g.value.lr, s.base_lrs[i], i, how == "first") end
  end
  if s.kind.momentum and s.cycle_momentum then
    momenta = {}
    for i in ipairs(sets) do momenta[i] = s.kind.momentum(s, e, i) end
  end
  put(sets, rates, momenta)
  s.last_epoch, s.last_lr = e, rates
end
schedule.go = go

-- A function lr_scheduler.NAME(o, ...). takes: its arguments (arguments.lua), `positional` of which may be given by position.
--   kind.rate(s, e, lr, base, i, first)   the rate of group i after e steps; lr: the one now, base: the one to begin with; first: e is 0
--                                         because the schedule is being made
--   kind.closed(s, e, base, i)            the same without lr, where there is such a formula
--   kind.momentum(s, e, i)                what goes with it, for those that cycle it
--   kind.begin(s, sets)                   checks the arguments together, before anything has changed
--   kind.fixed                            names of numbers that a state tells and that must be those of the schedule that loads it
--   kind.begins_anew                      its base_lrs are those of the schedules that are made later for these groups
function schedule.kind(name, positional, takes, kind)
  local what = "lr_scheduler." .. name
  local list = arguments.list(what, positional, table.unpack(takes))
  return function(optimizer, ...)
    if not base.is_optimizer(optimizer) then
      options.raise("%s: expected an optimizer, got %s", what, states.word(optimizer))
    end
    local sets = base.own(optimizer, "groups").sets
    if sets[1].value.lr == nil then options.raise("%s: the optimizer has no lr", what) end
    local given = list:read(...)
    local s = { what = what, kind = kind, takes = list, given = given, optimizer = optimizer, base_lrs = {}, last_epoch = 0 }
    for k, v in pairs(given) do s[k] = v end
    for i, g in ipairs(sets) do s.base_lrs[i] = g.initial_lr or g.value.lr end
    if kind.begin then kind.begin(s, sets) end
    go(s, 0, "first")
    for i, g in ipairs(sets) do
      if kind.begins_anew or not g.initial_lr then g.initial_lr = s.base_lrs[i] end
    end
    return schedule.new(s)
  end
end

-- One value for each group: of an argument that is a number or a list of as many numbers.
function schedule.per_group(s, name, sets)
  local v, list = s[name], {}
  if type(v) == "table" and #v ~= #sets then
    options.raise("%s: %s: expected a number or a list of %d, one for each group of parameters, got %d", s.what, name, #sets, #v)
  end
  for i in ipairs(sets) do list[i] = type(v) == "table" and v[i] or v end
  return list
end

-- ---- methods -------------------------------------------------------------------------------------------------------------------------

-- s:step(): the optimizer's lr becomes the next one. After o:step(), outside a compiled step.
function Schedule:step(...)
  local s = own(self, "step")
  if s.advance then return s.advance(s, ...) end
  options.none(s.what .. ": step", ...)
  go(s, s.last_epoch + 1)
end

-- s:get_last_lr() -> the rates that it set last, a list by group
function Schedule:get_last_lr(...)
  local s = own(self, "get_last_lr")
  options.none(s.what .. ": get_last_lr", ...)
  return { table.unpack(s.last_lr) }
end

-- The numbers of a schedule that change: name -> { table, key } where one lies.
local function entries(s)
  local list = { last_epoch = { s, "last_epoch" } }
  for i in ipairs(s.base_lrs or {}) do list["base_lr." .. i] = { s.base_lrs, i } end
  for i in ipairs(s.last_lr) do list["last_lr." .. i] = { s.last_lr, i } end
  for _, name in ipairs(s.kind and s.kind.remembers or {}) do list[name] = { s, name } end
  for _, name in ipairs(s.kind and s.kind.fixed or {}) do list[name] = { s, name, fixed = true } end
  for k, child in ipairs(s.children or {}) do
    for name, place in pairs(entries(own(child, "state_dict"))) do list[("%d.%s"):format(k, name)] = place end
  end
  return list
end

-- s:state_dict() -> where it stands, as tensors by name (f64). The optimizer's lr is in the optimizer's; what the schedule was made with is
-- the script's.
function Schedule:state_dict(...)
  local s, out = own(self, "state_dict"), {}
  options.none(s.what .. ": state_dict", ...)
  for name, place in pairs(entries(s)) do out[name] = ms.keep(ms.tensor(place[1][place[2]] + 0.0, { dtype = "f64" })) end
  return out
end

-- s:load_state_dict(state) goes on from there: load the optimizer's, too. Gives s. Nothing has changed when it raises.
Schedule.load_state_dict = states.loader(function(self, state, ...)
  local s = own(self, "load_state_dict")
  options.none(s.what .. ": load_state_dict", ...)
  states.check_dict(s.what, state)
  local places, values = entries(s), {}
  for name, t in pairs(state) do
    if not places[name] then
      options.raise("%s: load_state_dict: unknown entry '%s'%s", s.what, name, text.hint(name, text.keys(places)))
    end
    if t:numel() ~= 1 then
      options.raise("%s: load_state_dict: %s: expected a tensor of one element, got %s", s.what, name, states.sizes(t))
    end
    values[name] = t:item()
  end
  for name, place in pairs(places) do
    local v = values[name]
    if v == nil and place.fixed then v, values[name] = place[1][place[2]], place[1][place[2]] end -- (older states do not tell it)
    if v == nil then options.raise("%s: load_state_dict: missing entry '%s'", s.what, name) end
    if name:find "last_epoch$" or name:find "_epochs$" or name:find "_counter$" then
      values[name] = type(v) == "number" and math.tointeger(v)
      if not values[name] or values[name] < 0 then
        options.raise("%s: load_state_dict: %s: expected a whole number from 0 on, got %s", s.what, name, tostring(v))
      end
    end
  end
  for name, place in pairs(places) do
    local is = place[1][place[2]]
    if place.fixed and values[name] ~= is then
      options.raise("%s: load_state_dict: %s: expected %g, as this schedule was made, got %s", s.what, name, is, tostring(values[name]))
    end
  end
  return function()
    for name, place in pairs(places) do place[1][place[2]] = values[name] end
  end
end)

return schedule
