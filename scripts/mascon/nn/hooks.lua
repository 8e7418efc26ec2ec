-- nn.hooks: functions that run when a module is called. A module without hooks pays nothing for them: its call is another function
-- while it has some (the __call of its own metatable).
--
-- In a compiled step hooks run while the step is recorded, and what they do with tensors is replayed. A hook that comes or goes later makes
-- another recording.
local options = require "mascon.options"
local core = require "mascon.nn.module"
local Module, fields = core.Module, core.fields

-- What a hook gave is the new list of arguments: a plain list is that, anything else is the only argument.
local function as_list(v)
  if type(v) == "table" and debug.getmetatable(v) == nil then return v, v.n or #v end
  return { v }, 1
end

-- Calls of a module that has hooks.
local function call(self, ...)
  local hooks, list, n = fields(self)._hooks, { n = select("#", ...), ... }, select("#", ...)
  for _, hook in ipairs { table.unpack(hooks.before) } do -- a copy: a hook may remove itself
    local new = hook.f(self, list)
    if new ~= nil then list, n = as_list(new) end
  end
  local results = table.pack(hooks.call(self, table.unpack(list, 1, n)))
  for _, hook in ipairs { table.unpack(hooks.after) } do
    local new = table.pack(hook.f(self, list, table.unpack(results, 1, results.n)))
    if new[1] ~= nil then results = new end
  end
  return table.unpack(results, 1, results.n)
end

-- Tell compiled steps that the list of hooks is another one: `list` is made anew for that.
local function set(f, meta, key, list)
  local hooks = f._hooks or { before = {}, after = {}, call = meta.__call }
  local new = { before = hooks.before, after = hooks.after, call = hooks.call }
  new[key] = list
  if #new.before + #new.after == 0 then
    meta.__call, new = new.call, nil
  else
    meta.__call = call
  end
  core.put(f, "_hooks", new)
end

local Handle = {}
Handle.__index = Handle

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

-- The hooks of a module for its copy, whose own they are then: removing one leaves the other.
function core.copy_hooks(hooks, module)
  local new = { call = hooks.call }
  for _, key in ipairs { "before", "after" } do
    new[key] = {}
    for i, h in ipairs(hooks[key]) do new[key][i] = setmetatable({ module = module, key = key, f = h.f }, Handle) end
  end
  return new
end
