-- nn.methods: what every module can do: list its parts, train and eval, freeze, move.
local ms = require "mascon"
local options = require "mascon.options"
local states = require "mascon.state"
local core = require "mascon.nn.module"
local Module, fields, parameters, put, walk, none = core.Module, core.fields, core.parameters, core.put, core.walk, core.none

-- A list of {name, value} as the iterator of a loop: for name, value in ...
local function iterator(list)
  local i = 0
  return function()
    i = i + 1
    if list[i] then return list[i][1], list[i][2] end
  end
end

-- for name, module in m:named_modules() do: m itself, whose name is "", and those below it, each once, under its first name.
function Module:named_modules(...)
  none(self, "named_modules", ...)
  local list, seen = {}, {}
  walk(self, function(m, path)
    if not seen[m] then list[#list + 1] = { path:sub(1, -2), m } end
    seen[m] = true
  end, "", "", {})
  return iterator(list)
end

function Module:modules(...)
  none(self, "modules", ...)
  local list = {}
  for _, m in Module.named_modules(self) do list[#list + 1] = m end
  return list
end

-- Raise for modules and parameters that were put into tables of the module, or of those below it, and have no place.
local INTERNAL = { _names = true, _seen = true, _kind = true, _hooks = true, _computed = true, _transient = true }
local function check_tables(self)
  local all = core.contents(self)
  local function held(x) return all[x] end
  for _, m in ipairs(all) do
    for key, v in next, fields(m) do
      if type(v) == "table" and not INTERNAL[key] and debug.getmetatable(v) == nil then
        core.check_table(("%s.%s"):format(m.__name, tostring(key)), v, held, 1)
      end
    end
  end
end

-- for name, module in m:named_children() do: the modules right below m, each once.
function Module:named_children(...)
  none(self, "named_children", ...)
  local list, seen, f = {}, {}, fields(self)
  for _, key in ipairs(f._names) do
    local child = f._kind[key] == "module" and rawget(f, key)
    if child and not seen[child] then list[#list + 1], seen[child] = { tostring(key), child }, true end
  end
  return iterator(list)
end

function Module:children(...)
  none(self, "children", ...)
  local list = {}
  for _, m in Module.named_children(self) do list[#list + 1] = m end
  return list
end

-- All places of parameters, or of buffers: {name, torch, tensor, module, key}; first: no tensor of that list was met before; transient: a
-- buffer that is not part of the state.
local function places(self, kind)
  local list, seen = {}, {}
  check_tables(self)
  walk(self, function(m, path, torch)
    local f = fields(m)
    local transient = kind == "buffer" and rawget(f, "_transient")
    for _, key in ipairs(f._names) do
      if f._kind[key] == kind then
        local t, place = rawget(f, key), math.type(key) == "integer" and key - 1 or key
        list[#list + 1] = { name = path .. key, torch = torch .. place, tensor = t, module = m, key = key, first = not seen[t],
          transient = transient and transient[key] }
        seen[t] = true
      end
    end
  end, "", "", {})
  return list
end

-- The same as {name, tensor}; a tensor that is held twice once, under its first name.
local function named(self, kind)
  local list = {}
  for _, p in ipairs(places(self, kind)) do
    if p.first then list[#list + 1] = { p.name, p.tensor } end
  end
  return list
end

local function tensors(self, kind)
  local list = named(self, kind)
  for i, p in ipairs(list) do list[i] = p[2] end
  return list
end

-- for name, tensor in m:named_parameters() do; m:parameters() -> list of tensors; m:named_buffers() and m:buffers() likewise
function Module:named_parameters(...)
  none(self, "named_parameters", ...)
  return iterator(named(self, "parameter"))
end

function Module:parameters(...)
  none(self, "parameters", ...)
  return tensors(self, "parameter")
end

function Module:named_buffers(...)
  none(self, "named_buffers", ...)
  return iterator(named(self, "buffer"))
end

function Module:buffers(...)
  none(self, "buffers", ...)
  return tensors(self, "buffer")
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

-- m:apply(f) -> m. Calls f(module) for the modules below m, then for m.
function Module:apply(f, ...)
  none(self, "apply", ...)
  fields(self)
  if type(f) ~= "function" then options.raise("%s:apply: expected a function of a module, got %s", self.__name, type(f)) end
  for _, m in ipairs(Module.children(self)) do Module.apply(m, f) end
  f(self)
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

-- m:clone() -> a module of its own with the same values: ms.deepcopy(m)
function Module:clone(...)
  none(self, "clone", ...)
  return ms.deepcopy(self)
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
      states.moved[t] = parameters[t] and new[t] or nil
      put(fields(p.module), p.key, new[t])
    end
  end
  return self
end

core.places = places

-- nn.evaluating(model): evaluation mode until the end of the block (local mode <close> = nn.evaluating(model)), then each module in the
-- mode it had.
function core.nn.evaluating(model, ...)
  options.none("nn.evaluating", ...)
  if not core.nn.is_module(model) then options.raise("nn.evaluating: expected a module, got %s", states.word(model)) end
  local before = {}
  for _, m in ipairs(model:modules()) do before[#before + 1] = { m, m.training } end
  model:eval()
  return setmetatable({}, { __close = function()
    for _, p in ipairs(before) do
      if p[1].training ~= p[2] then p[1].training = p[2] end
    end
  end })
end

-- nn.evaluate(model, f, ...) -> what f(...) gives, with the model in evaluation mode and without gradients: nn.evaluate(net, net, x)
function core.nn.evaluate(model, f, ...)
  local mode <close> = core.nn.evaluating(model) -- luacheck: ignore mode
  return ms.no_grad(f, ...)
end
