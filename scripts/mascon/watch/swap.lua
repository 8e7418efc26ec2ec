-- watch/swap: puts the functions of an edited text in the place of those that live, with the variables that these have.
--
-- A function that lives is found by its lines and its code among the functions of all texts that were loaded (watch/tree.lua). Its
-- successor is made from the new text, and each of its upvalues is joined with
--   the same variable of the old function; else
--   that variable where another living function holds it; else
--   its value on the stack, where the function that it is local to still runs (a copy: so it is told); else
--   what the new text begins it with, if that is a function, a number, a text, true, false or require "a module".
-- Without one of these, or where it reads a global that is not there, the old function stays, and the reason is told.
local heap = require "mascon.watch.heap"
local tree = require "mascon.watch.tree"
local differences = require "mascon.watch.differences"
local swap = {}

local dump, getinfo = string.dump, debug.getinfo

local function dumped(node)
  node.dumped = node.dumped or dump(node.make(), true)
  return node.dumped
end

-- The node that a living function of the file was made from, or nil.
local function node_of(file, f, info)
  local at, bytes = info.linedefined .. ":" .. info.lastlinedefined, nil
  for i = #file.versions, 1, -1 do
    for _, node in ipairs(file.versions[i].by_lines[at] or {}) do
      bytes = bytes or dump(f, true)
      if dumped(node) == bytes then return node end
    end
  end
end

-- What lives: closures of the file with their nodes, compiled steps, and who holds which variable.
local function gather(s)
  s.closures, s.steps, s.cells = {}, {}, {}
  local list, file = {}, s.file
  heap.walk(function(v)
    if type(v) == "userdata" then
      local meta = debug.getmetatable(v)
      if type(meta) == "table" and rawget(meta, "__name") == "mascon.step" then s.steps[#s.steps + 1] = v end
      return
    end
    local info = getinfo(v, "S")
    if info.source == file.chunk and info.what == "Lua" then list[#list + 1] = { f = v, info = info } end
  end, nil, { file, s })
  for _, c in ipairs(list) do
    c.node = node_of(file, c.f, c.info)
    if c.node then
      s.closures[#s.closures + 1] = c
      for k in ipairs(c.node.upvalues) do
        local v = tree.variable(c.node, k)
        if v then
          s.cells[v] = s.cells[v] or {}
          table.insert(s.cells[v], { c.f, k })
        end
      end
    end
  end
end

-- ---- upvalues ----------------------------------------------------------------------------------------------------------------------

local function only(node, name)
  local at
  for k, u in ipairs(node.upvalues) do
    if u[1] == name then
      if at then return nil end
      at = k
    end
  end
  return at
end

-- Who holds variable `v`: { function, upvalue }. Where calls of one function have one each, the one that `f` belongs to.
local function cell(s, v, f)
  if s.made[v] then return s.made[v] end
  local list = s.cells[v] or {}
  local ids, n = {}, 0
  for _, c in ipairs(list) do
    local id = debug.upvalueid(c[1], c[2])
    if not ids[id] then n = n + 1 end
    ids[id] = true
  end
  if n <= 1 or not f then return n == 1 and list[1] or nil end
  local mine = {}
  for k = 1, getinfo(f, "u").nups do mine[debug.upvalueid(f, k)] = true end
  for _, c in ipairs(list) do
    for k = 1, getinfo(c[1], "u").nups do
      if mine[debug.upvalueid(c[1], k)] then return c end
    end
  end
end

-- The value of the variable `name` of the function that was made from node `owner`, where that runs once: true and the value.
local function on_stack(s, owner, name)
  local found, value, level = 0, nil, 2
  while true do
    local info = getinfo(level, "fS")
    if not info then break end
    if info.source == s.file.chunk then
      local node = info.what == "main" and s.new[1] or info.what == "Lua" and node_of(s.file, info.func, info)
      if node and node.id == owner.id then
        local i, there = 1, false
        while true do
          local n, v = debug.getlocal(level, i)
          if not n then break end
          if n == name then value, there = v, true end
          i = i + 1
        end
        if there then found = found + 1 end
      end
    end
    level = level + 1
  end
  return found == 1, value
end

-- What `local NAME = ...` in the new text gives without being run.
local function literal(s, name)
  for at, line in ipairs(s.lines) do
    local right = line:match("^%s*local%s+" .. name .. "%s*=%s*(.-)%s*$")
    if right then
      right = right:gsub("%s*%-%-.*$", ""):gsub(";$", "")
      local n = tonumber(right)
      local word = right:match '^"([^"\\]*)"$' or right:match "^'([^'\\]*)'$"
      local module = right:match "^require%s*%(?%s*[\"']([%w_.%-]+)[\"']%s*%)?$"
      s.used_lines[at] = true
      if n or word then return true, n or word end
      if right == "true" or right == "false" or right == "nil" then return true, right == "true" or (right == "nil" and nil) end
      if module then
        local ok, v = pcall(require, module)
        if ok then return true, v end
      end
      s.used_lines[at] = nil
    end
  end
  return false
end

-- A module's own table, which its last line gives.
local function module_table(s, name)
  if s.new.text:match "%f[%w_]return%s+([%a_][%w_]*)%s*$" ~= name then return nil end
  for module, v in pairs(package.loaded) do
    if type(v) == "table" and type(module) == "string" and package.searchpath(module, package.path) == s.file.path then return v end
  end
end

local make

-- Fill upvalue k of nf, made from node n in the place of f (nil: of none), with a variable that f does not have. nil and why not.
local function find_variable(s, nf, n, k, f)
  local name = n.upvalues[k][1]
  local v, owner, at = tree.variable(n, k)
  if not v then
    debug.setupvalue(nf, k, _G)
    return true
  end
  local held = cell(s, v, f)
  if held then
    debug.upvaluejoin(nf, k, held[1], held[2])
    return true
  end
  local there, value = on_stack(s, owner, name)
  if there then
    s.copies[name] = type(value) ~= "function" and type(value) ~= "table" and type(value) ~= "userdata" or nil
    debug.setupvalue(nf, k, value)
    s.made[v] = { nf, k }
    return true
  end
  local begins = tree.function_of(owner, at)
  if begins then
    s.made[v] = { nf, k }
    local g, why = make(s, begins, nil, nil)
    if not g then
      s.made[v] = nil
      return nil, why
    end
    debug.setupvalue(nf, k, g)
    s.news[#s.news + 1] = name
    s.used[begins] = true
    return true
  end
  local own = owner.index == 1 and module_table(s, name)
  if own then
    debug.setupvalue(nf, k, own)
    s.made[v] = { nf, k }
    return true
  end
  local known, constant = literal(s, name)
  if known then
    debug.setupvalue(nf, k, constant)
    s.made[v] = { nf, k }
    s.news[#s.news + 1] = name
    return true
  end
  if owner.index > 1 then return nil, ("it uses %s, of which each call of %s has one"):format(name, owner.name) end
  return nil, ("it uses %s, which is made where the script begins"):format(name)
end

-- A global that a function reads, that is not there, and that the one before did not read: most likely a slip of the pen, which would end
-- the program.
local function missing_global(n, c)
  local before = c and tree.globals(c) or {}
  for name in pairs(tree.globals(n)) do
    if not before[name] and rawget(_G, name) == nil then return name end
  end
end

-- A function from node n, in the place of f, which was made from node c; or a new one.
function make(s, n, f, c)
  local nf, slip = n.make(), missing_global(n, c)
  if slip then return nil, ("it uses %s, which is no variable there"):format(slip) end
  for k, u in ipairs(n.upvalues) do
    local j = f and only(n, u[1]) and only(c, u[1])
    if j then
      debug.upvaluejoin(nf, k, f, j)
    else
      local ok, why = find_variable(s, nf, n, k, f)
      if not ok then return nil, why end
    end
  end
  return nf
end

-- ---- methods that are new ----------------------------------------------------------------------------------------------------------

-- `function A.b:c()` is new: put it into the table, which is found as a variable of the main chunk or as a global.
local function install(s, n)
  local names = {}
  for word in n.path:gmatch "[^.:]+" do names[#names + 1] = word end
  local t
  for at, v in ipairs(s.new[1].locals) do
    if v[1] == names[1] then
      local held = cell(s, s.new[1].vars[at])
      if held then
        local _, value = debug.getupvalue(held[1], held[2])
        t = value
      end
    end
  end
  if t == nil then
    local there, value = on_stack(s, s.new[1], names[1])
    t = there and value or rawget(_G, names[1]) or module_table(s, names[1])
  end
  for i = 2, #names - 1 do t = type(t) == "table" and t[names[i]] or nil end
  if type(t) ~= "table" then return nil, ("%s is not there"):format(names[1]) end
  local f, why = make(s, n)
  if not f then return nil, why end
  t[names[#names]] = f
  return true
end

-- ---- the whole ---------------------------------------------------------------------------------------------------------------------

local function tell(s, fmt, ...) s.notes[#s.notes + 1] = fmt:format(...) end

-- Lines at the top of the new text that differ, outside of functions: they ran when the script began.
local function top_lines(s, old)
  local list = {}
  if not tree.changed(old[1], s.new[1]) then return list end
  for _, at in ipairs(differences.changed(old.text, s.new.text)) do
    local inside = s.used_lines[at]
    for _, child in ipairs(s.new[1].children) do inside = inside or at >= child.line and at <= child.last end
    if not inside then list[#list + 1] = at end
  end
  return list
end

local function words_of(lines)
  local parts, i = {}, 1
  while i <= #lines do
    local j = i
    while lines[j + 1] == lines[j] + 1 do j = j + 1 end
    parts[#parts + 1] = i == j and ("%d"):format(lines[i]) or ("%d-%d"):format(lines[i], lines[j])
    i = j + 1
  end
  return table.concat(parts, ", ")
end

-- swap.run(file, new, restart) -> { swapped = names, news = names, notes = texts, steps = how many compiled steps begin anew }. file.nodes
-- is the text that counts so far, new the one that does from here on (tree.read, not matched yet). restart: inside.restart.
function swap.run(file, new, restart)
  local old = file.nodes
  local s = { file = file, new = new, lines = differences.lines(new.text), made = {}, copies = {}, news = {}, used = {}, used_lines = {},
    notes = {} }
  tree.match(old[1], new[1])
  tree.accept(old, new)
  gather(s)
  local map, names, refused, alive = {}, {}, {}, {}
  for _, c in ipairs(s.closures) do
    local n = c.node.id.now
    if n then
      alive[n] = true
      if tree.code(c.node) ~= tree.code(n) then
        local f, why = make(s, n, c.f, c.node)
        if f then map[c.f] = f
        elseif not refused[n] then
          refused[n] = true
          tell(s, "%s stays as it was: %s", n.name, why)
        end
      end
    end
  end
  local running, before = heap.running(), {}
  for _, node in ipairs(old) do before[node.id] = node end
  for _, n in ipairs(new) do
    local was = before[n.id]
    if n.index > 1 and was and tree.code(was) ~= tree.code(n) and tree.changed(was, n) then
      if alive[n] and not refused[n] then names[#names + 1] = n.name
      elseif not alive[n] and n.parent.index == 1 then
        tell(s, "%s is not made yet: the script comes to it as it was when it began", n.name)
      end
    end
  end
  for _, c in ipairs(s.closures) do
    local n = c.node.id.now
    if running[c.f] and map[c.f] and before[n.id] and tree.changed(before[n.id], n) then
      tell(s, "%s runs now: the new one counts from its next call", n.name)
    end
  end
  local stale, everything = {}, false
  for _, v in next, _G do everything = everything or map[v] ~= nil end -- who calls it by its global name cannot be told
  for _, step in ipairs(s.steps) do -- all of them before the first is changed: one may call another
    if everything or heap.reaches(debug.getuservalue(step, 1), map) then stale[#stale + 1] = step end
  end
  for _, step in ipairs(stale) do restart(step, map[debug.getuservalue(step, 1)]) end
  if next(map) then heap.walk(function() end, map, { file, s }) end
  for _, n in ipairs(new[1].fresh or {}) do
    if n.path and n.path:find "[.:]" then
      local ok, why = install(s, n)
      if ok then s.news[#s.news + 1] = n.name else tell(s, "%s could not be put in its place: %s", n.name, why) end
    elseif not s.used[n] then
      tell(s, n.statement and "%s is new, and nothing that lives calls it" or "%s is new: it is made where the script begins", n.name)
    end
  end
  for name in pairs(s.copies) do tell(s, "%s: its value now; what the main chunk assigns to it later is not seen", name) end
  local lines = top_lines(s, old)
  if #lines > 0 then
    tell(s, "line%s %s at the top of the script %s run already: the change counts from the next start", #lines > 1 and "s" or "",
      words_of(lines), #lines > 1 and "have" or "has")
  end
  file.versions[#file.versions + 1], file.nodes, file.text = new, new, new.text
  return { swapped = names, news = s.news, notes = s.notes, steps = #stale }
end

return swap
