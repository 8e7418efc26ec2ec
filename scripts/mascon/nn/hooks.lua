-- nn.hooks: functions that run when a module is called. A module without hooks pays nothing for them: its call is another function
-- while it has some (the __call of its own metatable).
--
-- In a compiled step hooks run while the step is recorded, and what they do with tensors is replayed. A hook that comes or goes later makes
-- another recording.
local ms = require "mascon"
local options = require "mascon.options"
local states = require "mascon.state"
local core = require "mascon.nn.module"
local Module, fields = core.Module, core.fields

-- What a hook gave is the new list of arguments: a plain list is that, anything else is the only argument.
local function as_list(v)
  if type(v) == "table" and debug.getmetatable(v) == nil then return v, v.n or #v end
  return { v }, 1
end

-- Tensors of a list {v, ..., n =} pass unchanged through a function whose derivative is change(gradients), the gradients as such a list.
-- false: none of them wants a gradient.
local function through(list, n, change)
  local at, tensors = {}, {}
  for i = 1, n do
    if states.is_tensor(list[i]) and list[i].requires_grad then at[#at + 1], tensors[#tensors + 1] = i, list[i] end
  end
  if #at == 0 or not ms.grad_enabled() then return false end
  local pass = ms.custom_function { name = "hook", forward = function(_, ...) return ... end,
    backward = function(_, ...)
      local gradients = { n = n }
      for k, i in ipairs(at) do gradients[i] = (select(k, ...)) end
      gradients = change(gradients)
      local out = {}
      for k, i in ipairs(at) do out[k] = gradients[i] end
      return table.unpack(out, 1, #at)
    end }
  for k, x in ipairs { pass(table.unpack(tensors)) } do list[at[k]] = x end
  return true
end

-- Run backward hooks f(self, ...) one after another; each may give other gradients in the place of the list `gradients`.
local function changed(hooks, self, gradients, ...)
  for _, hook in ipairs { table.unpack(hooks) } do
    local new = hook.f(self, gradients, ...)
    if new ~= nil then gradients = as_list(new) end
  end
  return gradients
end

-- Calls of a module that has hooks. Those of backward stand in two functions around forward: the gradients of the results meet the second
-- one first, and what then arrives at the first one are the gradients of the arguments.
local function call(self, ...)
  local hooks, list, n = fields(self)._hooks, { n = select("#", ...), ... }, select("#", ...)
  for _, hook in ipairs { table.unpack(hooks.before) } do -- a copy: a hook may remove itself
    local new = hook.f(self, list)
    if new ~= nil then list, n = as_list(new) end
  end
  local backward, arrived, inputs = #hooks.backward + #hooks.backward_before > 0, nil, false
  if backward then
    list = { n = n, table.unpack(list, 1, n) }
    inputs = through(list, n, function(gradients) return changed(hooks.backward, self, gradients, arrived) end)
  end
  local results = table.pack(hooks.call(self, table.unpack(list, 1, n)))
  for _, hook in ipairs { table.unpack(hooks.after) } do
    local new = table.pack(hook.f(self, list, table.unpack(results, 1, results.n)))
    if new[1] ~= nil then results = new end
  end
  if backward then
    through(results, results.n, function(gradients)
      arrived = changed(hooks.backward_before, self, gradients)
      if not inputs then changed(hooks.backward, self, { n = n }, arrived) end -- there is nothing that they could change
      return arrived
    end)
  end
  return table.unpack(results, 1, results.n)
end

-- Tell compiled steps that the list of hooks is another one: all is made anew for that.
local KEYS = { "before", "after", "backward", "backward_before" }
local function set(f, meta, key, list)
  local hooks, new, count = f._hooks or { call = meta.__call }, {}, 0
  for _, k in ipairs(KEYS) do
    new[k] = k == key and list or hooks[k] or {}
    count = count + #new[k]
  end
  new.call = hooks.call
  if count == 0 then
    meta.__call, new = new.call, nil
  else
    meta.__call = call
  end
  core.put(f, "_hooks", new)
end

local Handle = { kind = "handle" } -- (without a __name: what a compiled step captures is looked at inside)
Handle.__index = Handle
function Handle:__tostring() return ("handle of a %s hook of %s"):format(self.key, self.module.__name) end

-- handle:remove(): the hook is not called any more. `local handle <close> = m:register_forward_hook(f)` removes it at the end of the block.
function Handle:remove()
  local list, f, key = {}, fields(self.module), self.key
  for _, h in ipairs(f._hooks and f._hooks[key] or {}) do
    if h ~= self then list[#list + 1] = h end
  end
  if f._hooks and #list < #f._hooks[key] then set(f, debug.getmetatable(self.module), key, list) end
end
Handle.__close = Handle.remove

local function register(self, method, key, hook, opts, ...)
  local f, what = fields(self), ("%s:%s"):format(self.__name, method)
  options.none(what, ...)
  if type(hook) ~= "function" then options.raise("%s: expected a function, got %s", what, type(hook)) end
  local o = options.read(what, opts, { prepend = false })
  local list = { table.unpack(f._hooks and f._hooks[key] or {}) }
  local handle = setmetatable({ module = self, key = key, f = hook }, Handle)
  table.insert(list, o.prepend and 1 or #list + 1, handle)
  set(f, debug.getmetatable(self), key, list)
  return handle
end

-- m:register_forward_pre_hook(f [, { prepend = false }]) -> handle. f(m, arguments) is called before forward with the list of arguments;
-- what it gives, a list of arguments or the only one, takes their place, nil changes nothing. Hooks run in the order in which they were
-- registered, those with prepend before the others.
function Module:register_forward_pre_hook(hook, opts, ...)
  return register(self, "register_forward_pre_hook", "before", hook, opts, ...)
end

-- m:register_forward_hook(f [, { prepend = false }]) -> handle. f(m, arguments, result...) is called after forward; what it gives takes the
-- results' place, nil changes nothing.
function Module:register_forward_hook(hook, opts, ...)
  return register(self, "register_forward_hook", "after", hook, opts, ...)
end

-- m:register_full_backward_hook(f [, { prepend = false }]) -> handle. f(m, grad_input, grad_output) is called in a backward pass when the
-- gradients of m's arguments are there: lists, nil for what is no tensor or wants none. What it gives takes the place of grad_input. Where
-- no argument wants a gradient, it is called when those of the results are there, and changes nothing.
function Module:register_full_backward_hook(hook, opts, ...)
  return register(self, "register_full_backward_hook", "backward", hook, opts, ...)
end

-- m:register_full_backward_pre_hook(f [, { prepend = false }]) -> handle. f(m, grad_output) is called before that, when the gradients of
-- m's results are there; what it gives takes their place.
function Module:register_full_backward_pre_hook(hook, opts, ...)
  return register(self, "register_full_backward_pre_hook", "backward_before", hook, opts, ...)
end

-- The hooks of a module for its copy, whose own they are then: removing one leaves the other.
function core.copy_hooks(hooks, module)
  local new = { call = hooks.call }
  for _, key in ipairs(KEYS) do
    new[key] = {}
    for i, h in ipairs(hooks[key]) do new[key][i] = setmetatable({ module = module, key = key, f = h.f }, Handle) end
  end
  return new
end
