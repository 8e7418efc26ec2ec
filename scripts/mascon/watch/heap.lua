-- watch/heap: everything that a program can reach: tables, variables of functions, what lies on the stacks of coroutines. To find
-- functions, and to put others in their place wherever they are held.
local heap = {}

local getinfo, getlocal, setlocal = debug.getinfo, debug.getlocal, debug.setlocal
local getupvalue, setupvalue = debug.getupvalue, debug.setupvalue
local getuservalue, setuservalue = debug.getuservalue, debug.setuservalue

local HELD = { table = true, ["function"] = true, userdata = true, thread = true }

-- Is this frame one of this module's, or of those that call it? They hold old functions on purpose.
local function ours(info) return info.source:find("=mascon/watch", 1, true) == 1 end

-- heap.walk(see, map, mine): see(v) is called for each function and userdata once. map, if given: function -> the one to be put in its
-- place. mine: tables that are left alone (and the map).
function heap.walk(see, map, mine)
  local seen, todo, n = { [map or false] = true }, {}, 0
  for _, t in ipairs(mine or {}) do seen[t] = true end
  seen[seen], seen[todo] = true, true
  map = map or {}
  local function push(v)
    if HELD[type(v)] and not seen[v] then
      seen[v] = true
      n = n + 1
      todo[n] = v
    end
    return map[v]
  end

  local function frames(thread, level)
    while true do
      local info = thread and getinfo(thread, level, "fS") or not thread and getinfo(level, "fS")
      if not info then return end
      if not ours(info) then
        push(info.func)
        for _, step in ipairs { 1, -1 } do
          local i = step
          while true do
            local name, v
            if thread then name, v = getlocal(thread, level, i) else name, v = getlocal(level, i) end
            if not name then break end
            local new = v ~= nil and push(v)
            if new and info.what ~= "C" then
              if thread then setlocal(thread, level, i, new) else setlocal(level, i, new) end
            end
            i = i + step
          end
        end
      end
      level = level + 1
    end
  end

  local function of_table(t)
    push(debug.getmetatable(t))
    local keys
    for k, v in next, t do
      local new = push(v)
      if new then rawset(t, k, new) end
      if push(k) then
        keys = keys or {}
        keys[#keys + 1] = k
      end
    end
    for _, k in ipairs(keys or {}) do
      local v = rawget(t, k)
      rawset(t, k, nil)
      rawset(t, map[k], v)
    end
  end

  local function of_function(f)
    local i = 1
    while true do
      local name, v = getupvalue(f, i)
      if not name then return end
      local new = v ~= nil and push(v)
      if new then setupvalue(f, i, new) end
      i = i + 1
    end
  end

  local function of_userdata(u)
    push(debug.getmetatable(u))
    local i = 1
    while true do
      local v, there = getuservalue(u, i)
      if not there then return end
      local new = v ~= nil and push(v)
      if new then setuservalue(u, new, i) end
      i = i + 1
    end
  end

  push(debug.getregistry())
  push(_G)
  for _, v in ipairs { "", 0, true, print } do push(debug.getmetatable(v)) end
  push(debug.getmetatable(nil))
  local here = coroutine.running()
  seen[here] = true
  frames(nil, 2)
  while n > 0 do
    local v = todo[n]
    todo[n], n = nil, n - 1
    local kind = type(v)
    if kind == "table" then of_table(v)
    elseif kind == "function" then
      of_function(v)
      see(v)
    elseif kind == "userdata" then
      of_userdata(v)
      see(v)
    else frames(v, 0) end
  end
end

-- heap.reaches(f, targets) -> does a function, by what it has captured and what lies in there (tables, modules, their classes), come to one
-- of these functions? Not by global variables, and not through methods of the library; through functions of it that were captured, as those
-- of ms.fit.
function heap.reaches(f, targets)
  local seen, todo, found = { [_G] = true }, { f }, false
  for name, v in pairs(package.loaded) do
    if name == "mascon" or name:find("mascon.", 1, true) == 1 then seen[v] = true end
  end
  seen[f] = true
  local function push(v, captured)
    if targets[v] then found = true end
    local kind = type(v)
    if (kind == "table" or kind == "function" or kind == "userdata") and not seen[v] then
      if kind == "function" and not captured and getinfo(v, "S").source:sub(1, 8) == "=mascon/" then return end
      seen[v] = true
      todo[#todo + 1] = v
    end
  end
  if targets[f] then return true end
  while not found and #todo > 0 do
    local v = table.remove(todo)
    if type(v) == "function" then
      local i, name, value = 1, getupvalue(v, 1)
      while name do
        if name ~= "_ENV" then push(value, true) end
        i = i + 1
        name, value = getupvalue(v, i)
      end
    elseif type(v) == "table" then
      push(debug.getmetatable(v))
      for k, value in next, v do
        push(k)
        push(value)
      end
    else
      local meta = debug.getmetatable(v)
      if type(meta) == "table" and meta.__name == "mascon.step" then push((getuservalue(v, 1))) end
    end
  end
  return found
end

-- heap.running() -> the functions on the stacks that run now: function -> level of the innermost call, seen from whoever calls this.
function heap.running()
  local list, level = {}, 2
  while true do
    local info = getinfo(level, "f")
    if not info then return list end
    if not list[info.func] then list[info.func] = level - 1 end
    level = level + 1
  end
end

return heap
