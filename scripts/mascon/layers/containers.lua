-- Modules made of functions, of other modules and of parameters.
local options = require "mascon.options"
local states = require "mascon.state"
local text = require "mascon.text"
local core = require "mascon.nn.module"
local kit = require "mascon.layers.kit"
local nn = kit.nn

-- nn.lambda(f [, name]): any function as a module
local Lambda = nn.class "lambda"
nn.lambda = Lambda
function Lambda:init(f, name, ...)
  options.none("nn.lambda", ...)
  if type(f) ~= "function" then options.raise("nn.lambda: expected a function, got %s", type(f)) end
  if name ~= nil and type(name) ~= "string" then options.raise("nn.lambda: name: expected a text, got %s", type(name)) end
  self.f, self.name = f, name or ""
end
function Lambda:forward(...) return self.f(...) end
function Lambda:extra() return self.name end

-- ---- lists: fields 1, 2, ... ------------------------------------------------------------------------------------------------------

-- The entry that v stands for. what, place: for messages.
local function module_for(what, place, v)
  if type(v) == "function" then return Lambda(v) end
  if nn.is_class(v) then options.raise("%s: %s: expected a module, got a class: write nn.%s()", what, place, v.__name) end
  if not nn.is_module(v) then
    options.raise("%s: %s: expected a module, got %s", what, place, v == nil and "nil: a hole in the list" or options.told(v))
  end
  return v
end

local function parameter_for(what, place, v)
  if not states.is_tensor(v) then options.raise("%s: %s: expected a tensor, got %s", what, place, states.word(v)) end
  return (core.parameters[v] or (v.requires_grad and v.is_leaf)) and v or nn.parameter(v)
end

local List = nn.class "list"
List._entry = module_for

local function entries_of(what, words, list, ...)
  if type(list) ~= "table" or nn.is_module(list) or nn.is_class(list) or select("#", ...) > 0 then
    options.raise("%s: expected one list of %s: %s { a, b }", what, words, what)
  end
  local n = 0
  for k in pairs(list) do
    if math.type(k) ~= "integer" or k < 1 then
      options.raise("%s: entry %s: expected a list of %s, by position", what, tostring(k), words)
    end
    n = math.max(n, k)
  end
  return list, n
end

function List:init(...)
  local what = "nn." .. self._class.__name
  local list, n = entries_of(what, self._words, ...)
  for i = 1, n do self[i] = self._entry(what, "entry " .. i, list[i]) end
end
List._words = "modules"

-- What l[key] is where there is no such entry: l[-1] the last, l[{ first, last }] a list of some, sharing them, and nil behind the end,
-- where ipairs stops.
function List._missing(f, key)
  local n = #f
  if type(key) == "table" and #key == 2 and math.tointeger(key[1]) and math.tointeger(key[2]) then
    local a, b = key[1], key[2]
    a, b = a < 0 and n + 1 + a or a, b < 0 and n + 1 + b or b
    if a < 1 or b > n or a > b + 1 then
      options.raise("%s[{ %d, %d }]: there are %d entries", f.__name, key[1], key[2], n)
    end
    return f._class({ table.unpack(f, a, b) })
  end
  local i = math.tointeger(key)
  if not i or i == n + 1 then return nil end
  if i < 0 and i >= -n then return rawget(f, n + 1 + i) end
  options.raise("%s[%d]: there are %d entries, counted from 1", f.__name, i, n)
end

-- Entries are replaced, put at the end, and taken from the end: a list has no holes.
function List:_check_entry(key, value)
  local i, n = math.tointeger(key), #self
  if i and (i < 1 or i > n + 1) then
    options.raise("%s[%d]: there are %d entries, counted from 1; l:append(x) adds one", self.__name, i, n)
  end
  if i and value == nil and i < n then options.raise("%s[%d] = nil would leave a hole; l:pop(%d) takes it out", self.__name, i, i) end
  return i and value ~= nil and self._entry(self.__name, ("[%d]"):format(i), value) or value
end

function List:append(x, ...)
  options.none(self.__name .. ":append", ...)
  self[#self + 1] = self._entry(self.__name .. ":append", "argument 1", x)
  return self
end

function List:insert(i, x, ...)
  local what, n = self.__name .. ":insert", #self
  options.none(what, ...)
  local at = math.tointeger(i)
  if at and at < 0 then at = n + 1 + at end
  if not at or at < 1 or at > n + 1 then options.raise("%s: expected a place 1..%d, got %s", what, n + 1, tostring(i)) end
  x = self._entry(what, "argument 2", x)
  for k = n, at, -1 do self[k + 1] = self[k] end
  self[at] = x
  return self
end

function List:extend(list, ...)
  options.none(self.__name .. ":extend", ...)
  local what = self.__name .. ":extend"
  if not (nn.is_module(list) and list._entry) then entries_of(what, self._words, list) end
  local new = {}
  for i = 1, #list do new[i] = self._entry(what, "entry " .. i, list[i]) end
  for _, x in ipairs(new) do self[#self + 1] = x end
  return self
end

-- l:pop([i = -1]) -> the entry, which is taken out; those behind it move up.
function List:pop(i, ...)
  options.none(self.__name .. ":pop", ...)
  local n = #self
  local at = i == nil and n or math.tointeger(i)
  if at and at < 0 then at = n + 1 + at end
  if not at or at < 1 or at > n then options.raise("%s:pop: expected a place 1..%d, got %s", self.__name, n, tostring(i)) end
  local x = self[at]
  for k = at, n - 1 do self[k] = self[k + 1] end
  self[n] = nil
  return x
end

local function list_class(name)
  local class = nn.class(name, List)
  class._class, nn[name] = class, class
  return class
end

-- nn.sequential {a, b, ...}: c(b(a(x))). An entry may be a plain function. net[1], net[-1], net[{ 2, 3 }], #net; net:append(m),
-- net:insert(i, m), net:extend { ... }, net:pop(i).
local Sequential = kit.takes_one_tensor(list_class "sequential")
function Sequential:forward(x)
  if x == nil then options.raise "sequential: forward: expected a tensor, got nothing; a method is called with a colon: m:forward(x)" end
  for i = 1, #self do x = self[i](x) end
  return x
end

-- nn.module_list { a, b, ... }: modules in a field, as nn.sequential holds them, without a forward: for i, m in ipairs(self.blocks) do ...
list_class "module_list"

-- nn.parameter_list { p, q, ... }: parameters in a field, likewise; a tensor that is not one becomes one.
local ParameterList = list_class "parameter_list"
ParameterList._entry, ParameterList._words = parameter_for, "tensors"

-- ---- by name ------------------------------------------------------------------------------------------------------------------------

local Dict = nn.class "dict"
Dict._entry, Dict._words = module_for, "modules"

-- The names, in the order in which they came.
local function keys_of(self)
  local f, list = debug.getmetatable(self).__index, {}
  for _, key in ipairs(f._names) do
    if f._kind[key] then list[#list + 1] = key end
  end
  return list
end

function Dict:_check_entry(key, value)
  if Dict[key] ~= nil and type(Dict[key]) == "function" then
    options.raise("%s: %s is a method; choose another name for the entry", self.__name, key)
  end
  return key ~= "training" and value ~= nil and self._entry(self.__name, tostring(key), value) or value
end

-- d:update { name = m, ... }, or a list of pairs { { "name", m }, ... } where the order matters: by name otherwise.
function Dict:update(t, ...)
  options.none(self.__name .. ":update", ...)
  local what = self.__name .. ":update"
  if type(t) ~= "table" then options.raise("%s: expected a table of %s by name, got %s", what, self._words, type(t)) end
  local list = {}
  if nn.is_module(t) and t.items then
    for key, v in t:items() do list[#list + 1] = { key, v } end
  elseif t[1] ~= nil then
    for i, pair in ipairs(t) do
      if type(pair) ~= "table" or #pair ~= 2 or type(pair[1]) ~= "string" then
        options.raise("%s: entry %d: expected { name, value }", what, i)
      end
      list[i] = pair
    end
  else
    for _, key in ipairs(text.keys(t)) do list[#list + 1] = { key, t[key] } end
    for key in pairs(t) do
      if type(key) ~= "string" then options.raise("%s: entry %s: expected names", what, tostring(key)) end
    end
  end
  local new = {} -- all are checked before the first is put in
  for i, pair in ipairs(list) do
    new[i] = self._entry(what, pair[1], pair[2])
    Dict._check_entry(self, pair[1], new[i])
  end
  for i, pair in ipairs(list) do self[pair[1]] = new[i] end
  return self
end

function Dict:init(t, ...)
  options.none("nn." .. self.__name, ...)
  if t ~= nil then self:update(t) end
end

-- for name, m in d:items() do; d:keys() and d:values() -> lists
function Dict:items(...)
  options.none(self.__name .. ":items", ...)
  local keys, i = keys_of(self), 0
  return function()
    i = i + 1
    if keys[i] then return keys[i], self[keys[i]] end
  end
end
function Dict:keys(...)
  options.none(self.__name .. ":keys", ...)
  return keys_of(self)
end
function Dict:values(...)
  options.none(self.__name .. ":values", ...)
  local list = {}
  for _, v in self:items() do list[#list + 1] = v end
  return list
end
function Dict:pop(key, ...)
  options.none(self.__name .. ":pop", ...)
  local v = Dict[key] == nil and self[key] or nil
  if v == nil then options.raise("%s:pop: there is no '%s'", self.__name, tostring(key)) end
  self[key] = nil
  return v
end
function Dict:clear(...)
  options.none(self.__name .. ":clear", ...)
  for _, key in ipairs(keys_of(self)) do self[key] = nil end
end
function Dict:__len() return #keys_of(self) end

-- nn.module_dict { name = m, ... }: modules in a field by name: self.heads.left(x), #d, for name, m in d:items() do, d:update { ... },
-- d:pop(name).
nn.module_dict = nn.class("module_dict", Dict)

-- nn.parameter_dict { name = p, ... }: parameters in a field by name; a tensor that is not one becomes one.
nn.parameter_dict = nn.class("parameter_dict", Dict)
nn.parameter_dict._entry, nn.parameter_dict._words = parameter_for, "tensors"
