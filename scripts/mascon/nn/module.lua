-- nn.module: what a module is -- how fields are assigned, how classes and instances are made, what is found below one. The rest of its
-- methods are in the files beside this one; nn.lua puts them together.
--
-- A module is an empty table; its fields lie in another table, `fields(m)`, which is its __index. So every assignment m.x = v, the first
-- one and later ones, calls __newindex, which is `assign`. There it is decided, each time, what a field is: a module, a parameter, a
-- buffer or a plain value. Beside the script's fields that other table holds what `assign` knows:
--   _names  names of fields that are or were a module, a parameter or a buffer, in the order in which they first were
--   _seen   the same names as a set
--   _kind   by name: "module", "parameter", "buffer", or nil: a plain value
--   _mark   what compiled steps know this module by; _made  true once init has run: from then on they are told of other values
--   _transient  set of names of buffers that are not part of the state, or nil
--   _hooks  functions that run when it is called (hooks.lua), or nil
--   _computed  set of names whose values are made anew from other parameters at each look (parametrize.lua), or nil
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local states = require "mascon.state"
local text = require "mascon.text"
local is_tensor, sizes = states.is_tensor, states.sizes
local nn = {}

local Module = { __name = "module" }
local function is_module(v)
  if type(v) ~= "table" then return false end
  local meta = debug.getmetatable(v)
  return meta ~= nil and rawget(meta, "is_module") == true
end
local function is_class(v)
  if type(v) ~= "table" then return false end
  local meta = debug.getmetatable(v)
  return meta ~= nil and rawget(meta, "is_class") == true
end
local function fields(m)
  local meta = type(m) == "table" and debug.getmetatable(m)
  if not meta or not meta.is_module then
    options.raise("expected a module, got %s; methods are called with a colon: model:parameters()", states.word(m))
  end
  return meta.__index
end

-- What a module's class is; fields(m)'s metatable, unless some of its keys are found by a function, which is the __index of another table.
local function class_of(f)
  local meta = debug.getmetatable(f)
  return rawget(meta, "_class") or meta
end

-- A key that is no field: one that is computed, one of the class, or what the class's _missing says.
local function find(f, key)
  local computed = rawget(f, "_computed")
  if computed and computed[key] then return rawget(f, "parametrizations")[key]:value() end
  local class = class_of(f)
  local v = class[key]
  if v == nil and class._missing then return class._missing(f, key) end
  return v
end

-- Give f the metatable that it needs.
local finders = setmetatable({}, { __mode = "k" })
local function set_class(f, class)
  if rawget(f, "_computed") or class._missing then
    finders[class] = finders[class] or { _class = class, __index = find }
    class = finders[class]
  end
  return setmetatable(f, class)
end

-- ---- fields ------------------------------------------------------------------------------------------------------------------------

-- Tensors that are parameters, also while they are frozen. Weak.
local parameters = setmetatable({}, { __mode = "k" })
-- Tensors that become buffers where they are assigned: true, or "transient". Weak.
local buffers = setmetatable({}, { __mode = "k" })

-- A field may not have the name of a method of every module, but for forward and extra, which classes (and modules) are to write. kind:
-- what the field is to become; nil: a plain value.
local function check_name(self, key, kind)
  if type(key) == "string" and type(rawget(Module, key)) == "function" and key ~= "forward" and key ~= "extra" then
    options.raise("%s.%s: %s is a method of every module; choose another name for the field", self.__name, key, key)
  end
  if kind and math.type(key) ~= "integer" and (type(key) ~= "string" or key == "" or key:find(".", 1, true)) then
    options.raise("%s: a %s in field '%s': expected a name without dots, or a place in the list", self.__name, kind, tostring(key))
  end
end

-- Modules and parameters in plain tables (self.layers[i] = m) would be overlooked by parameters(), to() and state_dict(): an error, unless
-- held(x) says that they are fields of a module, too.
local MAX_ENTRIES, MAX_DEPTH = 1000, 4 -- what lies behind so many entries of a table, or deeper, is not checked
local function check_table(place, list, held, depth)
  local n = 0
  for key, x in next, list do
    n = n + 1
    if n > MAX_ENTRIES then return end
    if is_module(x) or parameters[x] then
      if not held(x) then
        options.raise("%s[%s]: a list of modules or parameters in a field is not seen; use nn.sequential, or fields of their own "
          .. "(self[i] = m)", place, tostring(key))
      end
    elseif type(x) == "table" and depth < MAX_DEPTH and debug.getmetatable(x) == nil then
      check_table(("%s[%s]"):format(place, tostring(key)), x, held, depth + 1)
    end
  end
end

-- Give a field a value. Compiled steps are told (inside.set) when it is another one: they have a recording for each value.
local function put(f, key, value)
  local old = rawget(f, key)
  rawset(f, key, value)
  if f._made and not rawequal(old, value) then inside.set(f._mark, tostring(key), old, value, ("%s.%s"):format(f.__name, tostring(key))) end
end

-- From now on field `key` is of that kind; nil: a plain value. Fields [1] and "1" cannot both be: a state_dict would call both "1".
local function enlist(f, key, kind)
  if kind and not f._seen[key] then
    local twin = math.type(key) == "integer" and tostring(key) or math.tointeger(tonumber(key))
    if f._seen[twin] then options.raise("%s: fields [%s] and '%s' would have one name in a state_dict", f.__name, key, key) end
    f._seen[key] = true
    f._names[#f._names + 1] = key
  end
  f._kind[key] = kind
end

local contents -- the modules and parameters in a module; below

-- Every assignment to a field of a module.
local function assign(self, key, value)
  local f = fields(self)
  local computed = rawget(f, "_computed")
  if computed and computed[key] then return rawget(f, "parametrizations")[key]:assign(value) end
  if f._check_entry then value = f._check_entry(self, key, value) end
  local was, kind = f._kind[key], nil
  if is_module(value) then kind = "module"
  elseif is_tensor(value) then
    if parameters[value] or (value.requires_grad and value.is_leaf) then
      kind, parameters[value] = "parameter", true
    elseif was == "parameter" then
      options.raise("%s.%s is a parameter: expected nn.parameter(tensor), or nil to take it away, got a tensor that is not trained (%s)",
        f.__name, tostring(key), sizes(value))
    elseif buffers[value] and type(key) == "string" then
      return self:register_buffer(key, value, buffers[value] ~= "transient")
    elseif was == "buffer" then
      kind = "buffer"
      ms.keep(value)
    end
  elseif was == "parameter" and value ~= nil then
    options.raise("%s.%s is a parameter: expected nn.parameter(tensor), or nil to take it away, got %s", f.__name, tostring(key),
      states.word(value))
  elseif key == "training" then
    if type(value) ~= "boolean" then options.raise("%s.training: expected true or false, got %s", f.__name, tostring(value)) end
  elseif type(value) == "table" and debug.getmetatable(value) == nil then
    local all -- contents(self), when it is first needed
    check_table(("%s.%s"):format(f.__name, tostring(key)), value, function(x)
      all = all or contents(self)
      return all[x]
    end, 1)
  end
  check_name(f, key, kind)
  local takes = f.takes
  local plain = value ~= nil or (was == nil and rawget(f, key) ~= nil) -- nil takes a parameter away, and is no value of an option
  if takes and f._made and plain and not kind then
    if takes.by_name[key] then value = takes:check(key, value)
    elseif type(key) == "string" and rawget(f, key) == nil and rawget(class_of(f), "takes") then -- a layer of the library itself
      local near = text.nearest(key, table.move(f._names, 1, #f._names, #takes.names + 1, { table.unpack(takes.names) }))
      if near then options.raise("%s has no field '%s'; did you mean %s?", f.__name, key, near) end
    end
  end
  enlist(f, key, kind)
  put(f, key, value)
end

-- nn.class(name [, parent]) -> class. Calling the class makes an instance and runs its init.
function nn.class(name, parent)
  if type(name) ~= "string" then options.raise("nn.class: expected a name, got %s", type(name)) end
  if parent ~= nil and parent ~= Module and not is_class(parent) then
    options.raise("nn.class: '%s': expected a class as parent, got %s", name, is_module(parent) and "a module" or type(parent))
  end
  local above = parent or Module
  local class
  class = setmetatable({ __name = name }, { __index = above, is_class = true,
    __call = function(_, ...)
      local f = set_class({ _names = {}, _seen = {}, _kind = {}, _mark = options.mark(), training = true }, class)
      local meta = {}
      local c = class
      while c do -- metamethods, the nearest first
        for k, v in pairs(c) do
          if type(k) == "string" and k:sub(1, 2) == "__" and meta[k] == nil then meta[k] = v end
        end
        c = c ~= Module and debug.getmetatable(c).__index or nil
      end
      meta.__index, meta.__newindex, meta.is_module = f, assign, true
      local self = setmetatable({}, meta)
      if class.init then class.init(self, ...)
      elseif select("#", ...) > 0 then options.raise("%s takes no arguments: it has no init", name) end
      rawset(f, "_made", true)
      return self
    end })
  class.__index = class
  return class
end

-- Methods of PyTorch's modules that ours lack say what to write. Behind Module, so that they are free as names of fields.
local foreign = {}
for name, ours in pairs { cuda = 'model:to "cuda"', cpu = 'model:to "cpu"', double = 'model:to "f64"', float = 'model:to "f32"',
  half = 'ms.precision "bf16"',
  add_module = "model.name = module", register_parameter = "model.name = nn.parameter(x)" } do
  foreign[name] = function() options.raise("a module has no method '%s'; write %s", name, ours) end
end
setmetatable(Module, { __index = foreign, __call = function()
  options.raise("nn.module is what all modules have in common; a class of your own is local Net = nn.class \"Net\"")
end })

function Module.__call(self, ...) return self:forward(...) end
function Module.__len(self) return #fields(self) end
function Module.__pairs(self) return next, fields(self) end

-- Methods take what they say and nothing more: m:eval(false) means something else than it does.
local function none(self, method, ...)
  if select("#", ...) > 0 then options.none(("%s:%s"):format(self.__name, method), ...) end
end

function Module:forward() options.raise("%s: has no forward; write function %s:forward(x)", self.__name, self.__name) end

-- m:register_buffer(name, tensor [, persistent = true]): a tensor that is not trained (running means) and moves with the module; part of
-- the state, unless persistent is false.
function Module:register_buffer(name, tensor, persistent, ...)
  options.none(fields(self).__name .. ":register_buffer", ...)
  if persistent ~= nil and type(persistent) ~= "boolean" then
    options.raise("%s:register_buffer: persistent: expected true or false, got %s", self.__name, states.word(persistent))
  end
  if not is_tensor(tensor) then
    options.raise("%s:register_buffer: %s: expected a tensor, got %s", self.__name, tostring(name), type(tensor))
  end
  local f = fields(self)
  check_name(f, name, "buffer")
  enlist(f, name, "buffer")
  local transient = rawget(f, "_transient")
  if persistent == false or transient then
    transient = transient or {}
    transient[name] = persistent == false or nil
    rawset(f, "_transient", transient)
  end
  put(f, name, ms.keep(tensor))
end

-- nn.parameter(tensor) -> the tensor, requiring gradients: assign it to a field to register it.
function nn.parameter(tensor, ...)
  options.none("nn.parameter", ...)
  if not is_tensor(tensor) then options.raise("nn.parameter: expected a tensor, got %s", type(tensor)) end
  local p = ms.keep(tensor:detach():requires_grad_())
  parameters[p] = true
  return p
end

-- nn.buffer(tensor [, persistent = true]) -> the tensor, which becomes a buffer where it is assigned: self.mean = nn.buffer(ms.zeros { 3 })
function nn.buffer(tensor, persistent, ...)
  options.none("nn.buffer", ...)
  if not is_tensor(tensor) then options.raise("nn.buffer: expected a tensor, got %s", type(tensor)) end
  if persistent ~= nil and type(persistent) ~= "boolean" then
    options.raise("nn.buffer: persistent: expected true or false, got %s", states.word(persistent))
  end
  local b = ms.keep(tensor:detach())
  buffers[b] = persistent == false and "transient" or true
  return b
end

-- Visit the module and those below it: f(module, path, torch), parents first, in the order of assignment; a module that is held twice is
-- visited twice. torch: the path as PyTorch writes it, where places in a list count from 0.
local function walk(self, visit, path, torch, above)
  local f = fields(self)
  visit(self, path, torch)
  above[self] = true
  for _, key in ipairs(f._names) do
    if f._kind[key] == "module" then
      local child = rawget(f, key)
      if above[child] then options.raise("%s%s: the module holds itself", path, tostring(key)) end
      local place = math.type(key) == "integer" and key - 1 or key
      walk(child, visit, path .. key .. ".", torch .. place .. ".", above)
    end
  end
  above[self] = nil
end

-- A set of the modules and parameters that have a place in the module or below it; the modules are a list in it too.
function contents(self)
  local all = {}
  walk(self, function(m)
    if all[m] then return end
    local f = fields(m)
    all[#all + 1], all[m] = m, true
    for _, key in ipairs(f._names) do
      if f._kind[key] == "parameter" then all[rawget(f, key)] = true end
    end
  end, "", "", {})
  return all
end

nn.module = Module
nn.is_module = is_module
nn.is_class = is_class

-- For the files beside this one.
return { nn = nn, Module = Module, fields = fields, parameters = parameters, put = put, walk = walk, contents = contents,
  check_table = check_table, none = none, class_of = class_of, set_class = set_class, enlist = enlist }
