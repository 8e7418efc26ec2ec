-- optim/settings: the numbers, words and switches of one group of parameters: what each must be, and where updates find it.
--
-- What a group holds of its settings:
--   value   what the script set: lr = 0.1, betas = { 0.9, 0.99 }, nesterov = true
--   cell    a cell (live number) for each number: recorded steps read it anew at each replay
--   live    what an update reads that is recorded: the cells of numbers, everything else as it is. A number that a class lists in off_at_0
--           is nil here while it is 0, so that an update asks `if o.momentum`
--   plain   the same for an update that is not recorded: with numbers
--   looked  names of numbers that a recorded update compared or counted with, so that a recording is good for one value only (below)
-- What decides which operations run (a switch, a word, whether a number of off_at_0 is 0) is told to the compiled functions
-- (inside.set): other settings, another recording. A number that is set needs none.
local core = require "mascon.inside"
local options = require "mascon.options"
local text = require "mascon.text"
local states = require "mascon.state"
local settings = {}

-- ---- rules ---------------------------------------------------------------------------------------------------------------------------

-- What a value must be: words, the test (NaN fails all of them), and `plain` for what is no live number, since Lua counts with it.
local rules = {
  at_least_0 = { "a finite number from 0 on", function(x) return x >= 0 and x < math.huge end },
  any = { "a finite number", function(x) return x > -math.huge and x < math.huge end },
  beta = { "0 <= beta < 1", function(x) return x >= 0 and x < 1 end },
  share = { "a number from 0 to 1", function(x) return x >= 0 and x <= 1 end },
  count = { "a whole number from 1 on", function(x) return math.tointeger(x) and x >= 1 end, plain = true },
}
settings.rules = rules

-- One of these words.
function rules.one_of(...)
  local list = { ... }
  return { "'" .. table.concat(list, "', '", 1, #list - 1) .. "' or '" .. list[#list] .. "'", function(x)
    for i, word in ipairs(list) do
      if word == x then return i end
    end
  end, words = list, plain = true }
end

-- What the names that most optimizers share must be; other numbers: finite.
local usual = { lr = rules.at_least_0, weight_decay = rules.at_least_0, momentum = rules.at_least_0, eps = rules.at_least_0,
  betas = rules.beta }

local function rule_of(class, name) return class.rules[name] or usual[name] or rules.any end
settings.rule_of = rule_of

local function one(what, name, value, rule)
  local expected = rule.words and "string" or "number"
  if type(value) ~= expected or not rule[2](value) then
    options.raise("%s: %s: expected %s, got %s", what, name, rule[1], states.word(value))
  end
  return rule.words and value or rule.plain and math.tointeger(value) or value + 0.0
end

local counted = { "one number", "two numbers", "three numbers" }

-- The settings of a group, checked and in their own types: raises where one is impossible. given: name -> value for all options.
function settings.check(class, what, given)
  local out = {}
  for name, default in pairs(class.options) do
    local value, rule = given[name], rule_of(class, name)
    if type(default) == "boolean" then
      if type(value) ~= "boolean" then
        options.raise("%s: %s: expected true or false, got %s", what, name, states.word(value))
      end
      out[name] = value
    elseif type(default) == "table" then
      local n = #default
      if type(value) ~= "table" then options.raise("%s: %s: expected %s, got %s", what, name, counted[n], states.word(value)) end
      out[name] = {}
      for i = 1, n do out[name][i] = one(what, ("%s[%d]"):format(name, i), value[i], rule) end
      if value[n + 1] ~= nil then options.raise("%s: %s: expected %s, got more", what, name, counted[n]) end
    else
      out[name] = one(what, name, value, rule)
    end
  end
  if class.check then class.check(out, what) end
  return out
end

-- ---- groups -----------------------------------------------------------------------------------------------------------------------

-- What of a setting decides which operations run: nil for a number that is just read.
local function deciding(g, name, value)
  local class, default = g.class, g.class.options[name]
  if g.looked[name] then return type(value) == "table" and ("%a %a %a"):format(value[1], value[2] or 0, value[3] or 0) or value end
  if class.off[name] then return value ~= 0 end
  if type(default) == "table" or (type(default) == "number" and not rule_of(class, name).plain) then return nil end
  return value
end

-- Take over checked values: cells (inside a compiled step that raises, and nothing has changed), then the rest. set: what a script sets,
-- for the message; nil while the group is made.
function settings.take(g, values, set)
  local class, what = g.class, set and g.what .. ": " .. set
  for name, cell in pairs(g.cell) do
    if type(cell) ~= "table" then core.cell(cell, values[name], what)
    else
      for i, c in ipairs(cell) do core.cell(c, values[name][i], what) end
    end
  end
  for name, v in pairs(values) do
    local before, now = set and deciding(g, name, g.value[name]), set and deciding(g, name, v)
    if before ~= now then core.set(g.id, name, before, now, g.what .. ": " .. name) end
    if type(v) == "table" then
      for i, x in ipairs(v) do g.value[name][i] = x end
    else g.value[name] = v end
    g.live[name], g.plain[name] = g.cell[name], g.value[name]
    if not g.cell[name] or g.looked[name] then g.live[name] = g.plain[name] end
    if class.off[name] and v == 0 then g.live[name], g.plain[name] = nil, nil end
  end
end

-- The settings as they are, with some changed, checked.
function settings.with(g, changes)
  local all = {}
  for name, v in pairs(g.value) do all[name] = v end
  for name, v in pairs(changes) do all[name] = v end
  return settings.check(g.class, g.what, all)
end

-- A group of these parameters with checked settings. what: for messages.
function settings.group(class, what, parameters, values)
  local g = { class = class, what = what, params = parameters, id = options.mark(), value = {}, cell = {}, live = {},
    plain = {}, looked = {} }
  for name, v in pairs(values) do
    if type(v) == "table" then
      g.value[name], g.cell[name] = {}, {}
      for i, x in ipairs(v) do g.cell[name][i] = core.cell(x) end
    elseif type(v) == "number" and not rule_of(class, name).plain then
      g.cell[name] = core.cell(v)
    end
  end
  for name, v in pairs(class.fixed or {}) do g.live[name], g.plain[name] = v, v end
  settings.take(g, values)
  return g
end

local blind = not core.looks_are_seen() -- in a Lua whose insides are others than known

-- After a recorded update: numbers that it looked at (o.power == 2, math.sqrt(o.lr)) are handed over as they are from now on, and another
-- value is another recording. What is recorded now is dropped.
function settings.note_looks(g)
  for name, cell in pairs(g.cell) do
    local seen = blind
    for _, c in ipairs(type(cell) == "table" and cell or { cell }) do seen = seen or core.looked(c) end
    if seen and not g.looked[name] then g.looked[name], g.live[name] = true, g.plain[name] end
  end
end

-- A list of numbers (betas) behind a door of its own, so that o.betas[1] = x is seen too.
local function list_door(g, name)
  local list = g.value[name]
  return setmetatable({}, { __index = list, __len = function() return #list end, __name = name,
    __pairs = function() return next, list end,
    __newindex = function(_, i, value)
      if not list[i] then
        options.raise("%s: %s[%s]: there are %s, %s[1] to %s[%d]", g.what, name, tostring(i), counted[#list]:match "%a+", name, name, #list)
      end
      local changed = { table.unpack(list) }
      changed[i] = value
      settings.take(g, settings.with(g, { [name] = changed }), ("%s[%d]"):format(name, i))
    end,
    __tostring = function() return settings.word(list) end })
end

-- What a script reads of a setting.
function settings.get(g, name)
  local v = g.value[name]
  if type(v) ~= "table" then return v end
  g.doors = g.doors or {}
  g.doors[name] = g.doors[name] or list_door(g, name)
  return g.doors[name]
end

function settings.set(g, name, value) settings.take(g, settings.with(g, { [name] = value }), name) end

-- ---- words --------------------------------------------------------------------------------------------------------------------------

function settings.word(v)
  if type(v) ~= "table" then return type(v) == "number" and ("%g"):format(v) or tostring(v) end
  local parts = {}
  for i, x in ipairs(v) do parts[i] = ("%g"):format(x) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

-- "{ betas = { 0.9, 0.999 }, lr = 0.001 }"; switches that are off are not told.
function settings.describe(g)
  local parts = {}
  for _, name in ipairs(text.keys(g.value)) do
    if g.value[name] ~= false then parts[#parts + 1] = name .. " = " .. settings.word(g.value[name]) end
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

-- ---- as entries of a state ----------------------------------------------------------------------------------------------------------

-- Calls f(entry, name, i) for each number that a state holds of a group: "lr", and "beta1", "beta2" for the list betas.
function settings.each(class, f)
  for _, name in ipairs(text.keys(class.options)) do
    local default = class.options[name]
    if type(default) ~= "table" then f(name, name)
    else
      for i = 1, #default do f(name:gsub("s$", "") .. i, name, i) end
    end
  end
end

-- The number that stands for a setting: 0 or 1 for a switch, the place in its list for a word.
function settings.number(g, name, i)
  local v = g.value[name]
  if i then return v[i] end
  if type(v) == "boolean" then return v and 1 or 0 end
  if type(v) == "string" then return rule_of(g.class, name)[2](v) end
  return v
end

-- Back: the settings for numbers that get(entry) gives, checked. fail(message, ...) raises.
function settings.from_numbers(g, what, get, fail)
  local class, given = g.class, {}
  settings.each(class, function(entry, name, i)
    local v, default = get(entry), class.options[name]
    if type(default) == "boolean" then
      if v ~= 0 and v ~= 1 then fail("%s: expected 0 or 1, got %s", entry, tostring(v)) end
      given[name] = v == 1
    elseif type(default) == "string" then
      given[name] = rule_of(class, name).words[v]
      if not given[name] then fail("%s: no word has the number %s", entry, tostring(v)) end
    elseif i then
      given[name] = given[name] or {}
      given[name][i] = v
    else given[name] = v end
  end)
  return settings.check(class, what, given)
end

return settings
