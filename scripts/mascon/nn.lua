-- nn: modules. A module is a Lua table whose class says how it goes forward; what it holds is found by what was assigned to it.
--
--   local Net = nn.class "Net"
--   function Net:init(k) self.first = nn.linear(784, k) end     -- modules and tensors with requires_grad register themselves
--   function Net:forward(x) return self.first(x):relu() end
--   local net = Net(8)                                         -- net(x), net:parameters(), print(net)
--
-- Modules are Lua, not C: a layer of the library and a class of the user's are the same thing, and forward is a Lua call either way. The
-- arithmetic is operations (runtime/ops.def); names and defaults are PyTorch's.
local ms = require "mascon"
local options = require "mascon.options"
local text = require "mascon.text"
local nn = {}

local Module = { __name = "module", is_module = true }
local function is_module(v) return type(v) == "table" and v.is_module == true end
local tensor_type = getmetatable(ms.zeros {})
local function is_tensor(v) return type(v) == "userdata" and getmetatable(v) == tensor_type end

-- First assignment of a name: remember the order of what must be found again. (`training` and plain values are not.)
local function register(self, key, value)
  if is_module(value) or (is_tensor(value) and value.requires_grad) then
    local names = rawget(self, "_names")
    names[#names + 1] = key
  end
  rawset(self, key, value)
end

local made = 0

-- nn.class(name [, parent]) -> class. Calling the class makes an instance and runs its init.
function nn.class(name, parent)
  if type(name) ~= "string" then options.raise("nn.class: expected a name, got %s", type(name)) end
  parent = parent or Module
  local class = setmetatable({}, {
    __index = parent,
    __call = function(class, ...)
      made = made + 1
      local self = setmetatable({ _names = {}, _buffers = {}, _id = made * 0x9E3779B97F4A7C15, training = true }, class)
      if class.init then class.init(self, ...) end
      return self
    end,
  })
  class.__name, class.__index, class.__newindex = name, class, register
  class.__call, class.__tostring = Module.__call, Module.__tostring
  return class
end

function Module.__call(self, ...) return self:forward(...) end

function Module:forward() options.raise("%s: has no forward; write function %s:forward(x)", self.__name, self.__name) end

-- A tensor that belongs to the state but is not trained (running means); saved and moved with the module.
function Module:register_buffer(name, tensor)
  self._buffers[#self._buffers + 1] = name
  rawset(self, name, ms.keep(tensor))
end

-- nn.parameter(tensor) -> the tensor, requiring gradients: assign it to a field to register it.
function nn.parameter(tensor) return ms.keep(tensor:detach():requires_grad_()) end

-- Visit the module and those below it: f(module, path), parents first, in the order of assignment.
local function walk(self, f, path)
  f(self, path)
  for _, key in ipairs(self._names) do
    local child = rawget(self, key)
    if is_module(child) then walk(child, f, path == "" and tostring(key) or path .. "." .. key) end
  end
end

function Module:modules()
  local list = {}
  walk(self, function(m) list[#list + 1] = m end, "")
  return list
end

function Module:children()
  local list = {}
  for _, key in ipairs(self._names) do
    if is_module(rawget(self, key)) then list[#list + 1] = rawget(self, key) end
  end
  return list
end

-- Lists of {name, tensor, module, key}; a tensor that is held twice is named once.
local function named(self, buffers)
  local list, seen = {}, {}
  walk(self, function(m, path)
    for _, key in ipairs(buffers and m._buffers or m._names) do
      local v = rawget(m, key)
      if is_tensor(v) and not seen[v] then
        seen[v] = true
        list[#list + 1] = { name = path == "" and tostring(key) or path .. "." .. key, tensor = v, module = m, key = key }
      end
    end
  end, "")
  return list
end

function Module:named_parameters()
  local i, list = 0, named(self)
  return function()
    i = i + 1
    if list[i] then return list[i].name, list[i].tensor end
  end
end

function Module:parameters()
  local list = named(self)
  for i, p in ipairs(list) do list[i] = p.tensor end
  return list
end

function Module:buffers()
  local list = named(self, true)
  for i, p in ipairs(list) do list[i] = p.tensor end
  return list
end

-- Number of elements in all parameters.
function Module:count()
  local n = 0
  for _, p in ipairs(self:parameters()) do n = n + p:numel() end
  return n
end

function Module:train(on)
  if on == nil then on = true end
  for _, m in ipairs(self:modules()) do
    if m.training ~= on then ms._mode(m._id) end -- a compiled step has a recording per mode
    rawset(m, "training", on)
  end
  return self
end

function Module:eval() return self:train(false) end

function Module:apply(f)
  for _, m in ipairs(self:modules()) do f(m) end
  return self
end

function Module:requires_grad_(on)
  for _, p in ipairs(self:parameters()) do p:requires_grad_(on ~= false) end
  return self
end

function Module:zero_grad()
  for _, p in ipairs(self:parameters()) do p.grad = nil end
  return self
end

-- Move to a device or convert to a floating dtype, parameters and buffers. Optimizers made before keep the old tensors: make them after.
function Module:to(where)
  for pass = 1, 2 do
    for _, p in ipairs(named(self, pass == 2)) do
      local t = ms.no_grad(function() return p.tensor:to(where) end)
      if t ~= p.tensor then rawset(p.module, p.key, ms.keep(pass == 1 and nn.parameter(t) or t)) end
    end
  end
  return self
end

-- name -> tensor: parameters and buffers (the tensors themselves, without their graph).
function Module:state_dict()
  local state = {}
  for pass = 1, 2 do
    for _, p in ipairs(named(self, pass == 2)) do state[p.name] = ms.keep(p.tensor:detach()) end
  end
  return state
end

-- Copy the values of a state_dict in. All names and shapes are checked before anything is changed. {strict = false} ignores
-- names on either side only.
function Module:load_state_dict(state, opts)
  local o = options.read("load_state_dict", opts, { strict = true })
  local own, missing, unexpected = {}, {}, {}
  for pass = 1, 2 do
    for _, p in ipairs(named(self, pass == 2)) do own[p.name] = p.tensor end
  end
  for name, t in pairs(own) do
    local s = state[name]
    if s == nil then
      missing[#missing + 1] = name
    elseif table.concat(s.shape, " x ") ~= table.concat(t.shape, " x ") then
      options.raise("load_state_dict: %s: expected %s, got %s", name, table.concat(t.shape, " x "), table.concat(s.shape, " x "))
    end
  end
  for name in pairs(state) do
    if own[name] == nil then unexpected[#unexpected + 1] = tostring(name) end
  end
  table.sort(missing)
  table.sort(unexpected)
  if o.strict and (#missing > 0 or #unexpected > 0) then
    options.raise("load_state_dict: missing: %s; not expected: %s", #missing > 0 and table.concat(missing, ", ") or "none",
      #unexpected > 0 and table.concat(unexpected, ", ") or "none")
  end
  ms.no_grad(function()
    for name, t in pairs(own) do
      if state[name] ~= nil then t:copy_(state[name]:to(t.device)) end
    end
  end)
  return self
end

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
    for _, key in ipairs(m._names) do
      local v = rawget(m, key)
      if is_tensor(v) then shapes[#shapes + 1] = ("%s %s"):format(key, table.concat(v.shape, " x ")) end
    end
    local row = { ("  "):rep(indent) .. label .. describe(m), table.concat(shapes, ", "), thousands(m:count()) }
    left, middle = math.max(left, #row[1]), math.max(middle, #row[2])
    rows[#rows + 1] = row
    for _, key in ipairs(m._names) do
      local v = rawget(m, key)
      if is_module(v) then add(v, tostring(key) .. ": ", indent + 1) end
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

-- ---- initial values (PyTorch's): in place, without gradients ------------------------------------------------------------------------
local init = {}
nn.init = init
local function filled(t, f)
  ms.no_grad(function() t:copy_(f()) end)
  return t
end
function init.uniform_(t, low, high)
  return filled(t, function() return ms.rand(t.shape, low or 0, high or 1, { dtype = t.dtype, device = t.device }) end)
end
function init.normal_(t, mean, std)
  return filled(t, function() return ms.randn(t.shape, mean or 0, std or 1, { dtype = t.dtype, device = t.device }) end)
end
function init.constant_(t, v)
  ms.no_grad(function() t:fill_(v) end)
  return t
end
function init.zeros_(t) return init.constant_(t, 0) end
function init.ones_(t) return init.constant_(t, 1) end

-- fan_in, fan_out of a weight out x in x window...
local function fans(t)
  local s, window = t.shape, 1
  if #s < 2 then options.raise("nn.init: a weight of two dimensions or more is needed, got %s", table.concat(s, " x ")) end
  for i = 3, #s do window = window * s[i] end
  return s[2] * window, s[1] * window
end
-- He et al. 2015; a: slope of the leaky ReLU that follows.
function init.kaiming_uniform_(t, a)
  local bound = math.sqrt(6 / ((1 + (a or 0) ^ 2) * fans(t)))
  return init.uniform_(t, -bound, bound)
end
function init.kaiming_normal_(t, a) return init.normal_(t, 0, math.sqrt(2 / ((1 + (a or 0) ^ 2) * fans(t)))) end
-- Glorot and Bengio 2010.
function init.xavier_uniform_(t, gain)
  local i, o = fans(t)
  local bound = (gain or 1) * math.sqrt(6 / (i + o))
  return init.uniform_(t, -bound, bound)
end

require "mascon.layers" (nn)

-- A name that is not here: say so, with the nearest one (nn.Linear is nn.linear).
return setmetatable(nn, { __index = function(_, name)
  options.raise("ms.nn has no '%s'%s", tostring(name), text.hint(tostring(name), text.keys(nn), "nn."))
end })
