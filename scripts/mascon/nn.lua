-- nn: modules. A module is a Lua table whose class says how it goes forward; what it holds is found by what was assigned to it.
--
--   local Net = nn.class "Net"
--   function Net:init(k) self.first = nn.linear(784, k) end     -- modules and tensors with requires_grad register themselves
--   function Net:forward(x) return self.first(x):relu() end
--   local net = Net(8)                                         -- net(x), net:parameters(), print(net)
--
-- Modules are Lua, not C: a layer of the library and a class of the user's are the same thing, and forward is a Lua call either way. The
-- arithmetic is operations (runtime/ops.def); names and defaults are PyTorch's.
--
-- A module is an empty table; its fields lie in another table, `fields(m)`, which is its __index. So every assignment m.x = v, the first
-- one and later ones, calls __newindex, which is `assign`. There it is decided, each time, what a field is: a module, a parameter, a
-- buffer or a plain value. Beside the script's fields that other table holds what `assign` knows:
--   _names  names of fields that are or were a module, a parameter or a buffer, in the order in which they first were
--   _seen   the same names as a set
--   _kind   by name: "module", "parameter", "buffer", or nil: a plain value
--   _mark   what compiled steps know this module by; _made  true once init has run: from then on they are told of other values
local ms = require "mascon"
local arguments = require "mascon.arguments"
local options = require "mascon.options"
local names = require "mascon.names"
local states = require "mascon.state"
local text = require "mascon.text"
local is_tensor, sizes, moved = states.is_tensor, states.sizes, states.moved
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

-- ---- fields ------------------------------------------------------------------------------------------------------------------------

-- Tensors that are parameters, also while they are frozen. Weak.
local parameters = setmetatable({}, { __mode = "k" })

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

-- Give a field a value. Compiled steps are told (ms._set) when it is another one: they have a recording for each value.
local function put(f, key, value)
  local old = rawget(f, key)
  rawset(f, key, value)
  if f._made and not rawequal(old, value) then ms._set(f._mark, tostring(key), old, value, ("%s.%s"):format(f.__name, tostring(key))) end
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
  local was, kind = f._kind[key], nil
  if is_module(value) then kind = "module"
  elseif is_tensor(value) then
    if parameters[value] or (value.requires_grad and value.is_leaf) then
      kind, parameters[value] = "parameter", true
    elseif was == "parameter" then
      options.raise("%s.%s is a parameter: expected nn.parameter(tensor), or nil to take it away, got a tensor that is not trained (%s)",
        f.__name, tostring(key), sizes(value))
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
    elseif type(key) == "string" and rawget(f, key) == nil and rawget(debug.getmetatable(f), "takes") then -- a layer of the library itself
      local near = text.nearest(key, text.keys(takes.by_name))
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
      local f = setmetatable({ _names = {}, _seen = {}, _kind = {}, _mark = options.mark(), training = true }, class)
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
  half = 'ms.precision "bf16"', named_modules = "model:modules()", named_children = "model:children()",
  add_module = "model.name = module", register_parameter = "model.name = nn.parameter(x)" } do
  foreign[name] = function() options.raise("a module has no method '%s'; write %s", name, ours) end
end
setmetatable(Module, { __index = foreign })

function Module.__call(self, ...) return self:forward(...) end
function Module.__len(self) return #fields(self) end
function Module.__pairs(self) return next, fields(self) end

-- Methods take what they say and nothing more: m:eval(false) means something else than it does.
local function none(self, method, ...)
  if select("#", ...) > 0 then options.none(("%s:%s"):format(self.__name, method), ...) end
end

function Module:forward() options.raise("%s: has no forward; write function %s:forward(x)", self.__name, self.__name) end

-- A tensor that belongs to the state but is not trained (running means); saved and moved with the module.
function Module:register_buffer(name, tensor, ...)
  options.none(fields(self).__name .. ":register_buffer", ...)
  if not is_tensor(tensor) then
    options.raise("%s:register_buffer: %s: expected a tensor, got %s", self.__name, tostring(name), type(tensor))
  end
  local f = fields(self)
  check_name(f, name, "buffer")
  enlist(f, name, "buffer")
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

function Module:modules(...)
  none(self, "modules", ...)
  local list, seen = {}, {}
  walk(self, function(m)
    if not seen[m] then list[#list + 1] = m end
    seen[m] = true
  end, "", "", {})
  return list
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

-- Raise for modules and parameters that were put into tables of the module, or of those below it, and have no place.
local INTERNAL = { _names = true, _seen = true, _kind = true }
local function check_tables(self)
  local all = contents(self)
  local function held(x) return all[x] end
  for _, m in ipairs(all) do
    for key, v in next, fields(m) do
      if type(v) == "table" and not INTERNAL[key] and debug.getmetatable(v) == nil then
        check_table(("%s.%s"):format(m.__name, tostring(key)), v, held, 1)
      end
    end
  end
end

function Module:children(...)
  none(self, "children", ...)
  local list, f = {}, fields(self)
  for _, key in ipairs(f._names) do
    if f._kind[key] == "module" then list[#list + 1] = rawget(f, key) end
  end
  return list
end

-- All places of parameters, or of buffers: {name, torch, tensor, module, key}; first: no tensor of that list was met before.
local function places(self, kind)
  local list, seen = {}, {}
  check_tables(self)
  walk(self, function(m, path, torch)
    local f = fields(m)
    for _, key in ipairs(f._names) do
      if f._kind[key] == kind then
        local t, place = rawget(f, key), math.type(key) == "integer" and key - 1 or key
        list[#list + 1] = { name = path .. key, torch = torch .. place, tensor = t, module = m, key = key, first = not seen[t] }
        seen[t] = true
      end
    end
  end, "", "", {})
  return list
end

-- The same, a tensor that is held twice once, under its first name.
local function named(self, kind)
  local list = {}
  for _, p in ipairs(places(self, kind)) do
    if p.first then list[#list + 1] = p end
  end
  return list
end

function Module:named_parameters(...)
  none(self, "named_parameters", ...)
  local i, list = 0, named(self, "parameter")
  return function()
    i = i + 1
    if list[i] then return list[i].name, list[i].tensor end
  end
end

function Module:parameters(...)
  none(self, "parameters", ...)
  local list = named(self, "parameter")
  for i, p in ipairs(list) do list[i] = p.tensor end
  return list
end

function Module:buffers(...)
  none(self, "buffers", ...)
  local list = named(self, "buffer")
  for i, p in ipairs(list) do list[i] = p.tensor end
  return list
end

-- Number of elements in all parameters.
function Module:count(...)
  none(self, "count", ...)
  local n = 0
  for _, p in ipairs(Module.parameters(self)) do n = n + p:numel() end
  return n
end

function Module:train(on, ...)
  none(self, "train", ...)
  if on == nil then on = true end
  fields(self)
  if type(on) ~= "boolean" then options.raise("%s:train: expected true or false, got %s", self.__name, tostring(on)) end
  for _, m in ipairs(self:modules()) do put(fields(m), "training", on) end
  return self
end

function Module:eval(...)
  none(self, "eval", ...)
  return Module.train(self, false)
end

function Module:apply(f, ...)
  none(self, "apply", ...)
  fields(self)
  if type(f) ~= "function" then options.raise("%s:apply: expected a function of a module, got %s", self.__name, type(f)) end
  for _, m in ipairs(self:modules()) do f(m) end
  return self
end

function Module:requires_grad_(on, ...)
  none(self, "requires_grad_", ...)
  fields(self)
  if on ~= nil and type(on) ~= "boolean" then
    options.raise("%s:requires_grad_: expected true or false, got %s", self.__name, tostring(on))
  end
  for _, p in ipairs(self:parameters()) do p:requires_grad_(on ~= false) end
  return self
end

function Module:zero_grad(...)
  none(self, "zero_grad", ...)
  for _, p in ipairs(Module.parameters(self)) do p.grad = nil end
  return self
end

-- Move to a device or convert to a floating dtype, parameters and buffers (those of whole numbers are moved only): all of them or, when one
-- cannot be, none. A tensor that is held in several places stays one tensor; frozen parameters stay frozen; gradients go along.
-- What changes is another tensor afterwards: an optimizer made before takes it up, unless it has stepped (then its step says so).
function Module:to(where, ...)
  options.none(fields(self).__name .. ":to", ...)
  if where == nil then options.raise("%s:to: expected a dtype, a device, or { dtype =, device = }, got nothing", self.__name) end
  local new, all = {}, {}
  for _, kind in ipairs { "parameter", "buffer" } do
    for _, p in ipairs(places(self, kind)) do
      local t = p.tensor
      all[#all + 1] = p
      if new[t] == nil then
        local guard <close> = ms.no_grad()
        local u = t:detach():to(where)
        if not states.is_float(t) and u.dtype ~= t.dtype then u = t:to(u.device) end
        if states.is_float(t) and not states.is_float(u) then
          options.raise("%s:to: %s: expected a floating dtype, got %s", self.__name, p.name, u.dtype)
        end
        if u.dtype == t.dtype and u.device == t.device then
          new[t] = t
        else
          u = ms.keep(u)
          if kind == "parameter" then
            parameters[u] = true
            if t.requires_grad then u:requires_grad_() end
            if t.grad then u.grad = t.grad:to(where) end
          end
          new[t] = u
        end
      end
    end
  end
  for _, p in ipairs(all) do
    local t = p.tensor
    if new[t] ~= t then
      moved[t] = parameters[t] and new[t] or nil
      put(fields(p.module), p.key, new[t])
    end
  end
  return self
end

-- ---- states -----------------------------------------------------------------------------------------------------------------------------

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

-- name -> tensor: parameters and buffers (the tensors themselves, without their graph). Places in lists count from 1; with
-- { names = "pytorch" } from 0, and a tensor that is held twice is there twice, as in PyTorch.
function Module:state_dict(opts, ...)
  local _, torch = name_kind(fields(self).__name .. ": state_dict", opts, { names = "mascon" }, ...)
  local state = {}
  for _, kind in ipairs { "parameter", "buffer" } do
    for _, p in ipairs(places(self, kind)) do
      if p.first or torch then state[torch and p.torch or p.name] = ms.keep(p.tensor:detach()) end
    end
  end
  return state
end

-- m:load_state_dict(state [, { strict = true, names = "mascon" }]) -> m. Copies the values in: all, or none when something does not fit.
-- strict = false ignores names on either side only. names = "pytorch": a state_dict of PyTorch's, where places in lists count from 0.
local function prepare(self, state, opts, ...)
  local what = self.__name
  local o, torch = name_kind(what .. ": load_state_dict", opts, { strict = true, names = "mascon" }, ...)
  states.check_dict(what, state)
  local own, all, missing, unexpected = {}, {}, {}, {}
  for _, kind in ipairs { "parameter", "buffer" } do
    for _, p in ipairs(places(self, kind)) do
      local name = torch and p.torch or p.name
      own[name], all[#all + 1] = true, { name = name, tensor = p.tensor }
      if state[name] == nil and p.first then missing[#missing + 1] = name end
      if torch and kind == "buffer" then own[name:gsub("running_mean$", "num_batches_tracked")] = true end -- a count of theirs
    end
  end
  for name in pairs(state) do
    if not own[name] then unexpected[#unexpected + 1] = name end
  end
  if o.strict and (#missing > 0 or #unexpected > 0) then
    table.sort(missing)
    table.sort(unexpected)
    local hint = ""
    if not torch and #unexpected > 0 and pcall(prepare, self, state, { names = "pytorch" }) then
      hint = "; these are PyTorch's names, which count from 0: load_state_dict(state, { names = \"pytorch\" })"
    end
    options.raise("%s: load_state_dict: missing: %s; not expected: %s%s", what, #missing > 0 and table.concat(missing, ", ") or "none",
      #unexpected > 0 and table.concat(unexpected, ", ") or "none", hint)
  end
  local of, copies = {}, {}
  for _, p in ipairs(all) do
    local name, t, s = p.name, p.tensor, state[p.name]
    if s ~= nil then
      local fits = s.dtype == t.dtype or (states.is_float(s) and states.is_float(t)) -- as PyTorch, but for whole numbers
      if not fits or not states.same_shape(s, t) then
        options.raise("%s: load_state_dict: %s: expected %s, got %s", what, name, sizes(t), sizes(s))
      end
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
  end
end
Module.load_state_dict = states.loader(prepare)

-- ---- printing: the tree, with each module's own parameters and the totals ---------------------------------------------------------

local function thousands(n)
  local s = tostring(n):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (s:gsub("^,", ""))
end

local function describe(m)
  local extra = m.extra and m:extra() or ""
  return extra == "" and m.__name or ("%s(%s)"):format(m.__name, extra)
end

function Module.__tostring(self)
  local rows, left, middle = {}, 0, 0
  local function add(m, label, indent)
    local shapes = {}
    local f = fields(m)
    for _, key in ipairs(f._names) do
      local v = f._kind[key] == "parameter" and rawget(f, key)
      if v then shapes[#shapes + 1] = ("%s %s"):format(key, table.concat(v.shape, " x ")) end
    end
    local row = { ("  "):rep(indent) .. label .. describe(m), table.concat(shapes, ", "), thousands(m:count()) }
    left, middle = math.max(left, #row[1]), math.max(middle, #row[2])
    rows[#rows + 1] = row
    for _, key in ipairs(f._names) do
      local v = f._kind[key] == "module" and rawget(f, key)
      if v then add(v, tostring(key) .. ": ", indent + 1) end
    end
  end
  add(self, "", 0)
  for i, r in ipairs(rows) do
    local count = r[3] == "0" and "" or r[3]
    local line = r[1] .. (" "):rep(left - #r[1] + 2) .. r[2] .. (" "):rep(middle - #r[2] + 2) .. ("%10s"):format(count)
    rows[i] = (line:gsub("%s+$", ""))
  end
  return table.concat(rows, "\n") .. ("\n%s parameters"):format(thousands(self:count()))
end

nn.module = Module
nn.is_module = is_module
nn.is_class = is_class

-- ---- initial values (PyTorch's): in place, without gradients ------------------------------------------------------------------------
local init = {}
nn.init = init

-- init.name(t, arguments...), by position or by name; gives t.
local function filler(name, takes, f)
  local list = arguments.list("nn.init." .. name, #takes, table.unpack(takes))
  init[name] = function(t, ...)
    if not is_tensor(t) or not states.is_float(t) then
      options.raise("nn.init.%s: expected a floating tensor, got %s", name, is_tensor(t) and sizes(t) or type(t))
    end
    local o = list:read(...)
    local guard <close> = ms.no_grad()
    f(t, o)
    return t
  end
end

local function drawn(t, make, a, b) return t:copy_(make(t.shape, a, b, { dtype = t.dtype, device = t.device })) end

-- fan_in, fan_out of a weight out x in x window...
local function fans(t)
  local s, window = t.shape, 1
  if #s < 2 then options.raise("nn.init: a weight of two dimensions or more is needed, got %s", sizes(t)) end
  for i = 3, #s do window = window * s[i] end
  return s[2] * window, s[1] * window
end

local number, positive = arguments.kinds.number, arguments.kinds.positive
filler("uniform_", { { "low", number, 0 }, { "high", number, 1 } }, function(t, o) drawn(t, ms.rand, o.low, o.high) end)
filler("normal_", { { "mean", number, 0 }, { "std", positive, 1 } }, function(t, o) drawn(t, ms.randn, o.mean, o.std) end)
filler("constant_", { { "value", number } }, function(t, o) t:fill_(o.value) end)
filler("zeros_", {}, function(t) t:fill_(0) end)
filler("ones_", {}, function(t) t:fill_(1) end)
-- He et al. 2015; a: slope of the leaky ReLU that follows.
filler("kaiming_uniform_", { { "a", number, 0 } }, function(t, o)
  local bound = math.sqrt(6 / ((1 + o.a ^ 2) * fans(t)))
  drawn(t, ms.rand, -bound, bound)
end)
filler("kaiming_normal_", { { "a", number, 0 } }, function(t, o) drawn(t, ms.randn, 0, math.sqrt(2 / ((1 + o.a ^ 2) * fans(t)))) end)
-- Glorot and Bengio 2010.
filler("xavier_uniform_", { { "gain", number, 1 } }, function(t, o)
  local i, out = fans(t)
  local bound = o.gain * math.sqrt(6 / (i + out))
  drawn(t, ms.rand, -bound, bound)
end)
names.guard(init, "ms.nn.init")

require "mascon.layers" (nn)

return names.guard(nn, "ms.nn")
