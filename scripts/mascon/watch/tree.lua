-- watch/tree: the functions of a Lua text as a tree, and which of them are the ones of another text after an edit.
--
-- A node is what inside.functions gives (bindings/protos.c), with
--   key       how its line reads up to its body: "local step = ms.compile(function", by which it is found again
--   name      the same, shorter, for messages
--   children  the nodes of the functions in it
--   id        an object that it shares with the node it was in the text before; id.now is the node of the latest text, if it is there
--   vars      for each of its local variables likewise an object, shared over the edits
--   ghosts    nodes that were in it in earlier texts (an editor that saves half a file must not make us forget the other half)
local differences = require "mascon.watch.differences"
local tree = {}

-- ---- code --------------------------------------------------------------------------------------------------------------------------

-- A count, seven bits a byte, the last one marked -> it, and what follows.
local function count_at(s, at)
  local n, b = 0
  repeat
    b = s:byte(at)
    n, at = n << 7 | (b & 0x7f), at + 1
  until b & 0x80 ~= 0
  return n, at
end

-- The instructions of a node, as numbers: behind three bytes and their count. And where they end.
local function instructions(node)
  local n, at = count_at(node.own, 4)
  local code = {}
  for i = 1, n do code[i] = string.unpack("=I4", node.own, at + 4 * (i - 1)) end
  return code, at + 4 * n
end

-- The constants, by their numbers from 0: { kind, bytes }.
local function constants(node, at)
  local list, count, first = {}, count_at(node.own, at)
  at = first
  for i = 0, count - 1 do
    local kind, length = node.own:byte(at), 0
    at = at + 1
    if kind == 0x04 or kind == 0x14 then
      length, at = count_at(node.own, at)
      length = length - 1
    elseif kind == 0x03 or kind == 0x13 then
      length = 8
    end
    list[i] = { kind, node.own:sub(at, at + length - 1) }
    at = at + length
  end
  return list
end

local CLOSURE, GLOBAL -- the instructions that make a function, and that read a field of an upvalue, in this Lua

-- Which operands of an instruction are numbers of constants, in Lua 5.4: B, C, "k" C if the bit k is set, "x" all but A.
local OPERANDS = { [3] = "x", [11] = "C", [14] = "C", [15] = "Bk", [16] = "k", [17] = "k", [18] = "Bk", [20] = "k", [48] = "B", [60] = "B" }
for op = 22, 31 do OPERANDS[op] = "C" end

-- The instructions with their constants in them. (Where a constant lies in a function's list hangs on the functions before it in the text.)
local function plain(node)
  if node.plain then return node.plain end
  local code, at = instructions(node)
  local list, parts = constants(node, at), { node.own:sub(1, 3) }
  local known = CLOSURE == 79 and GLOBAL == 11 -- else in another Lua: with the numbers
  for i, word in ipairs(code) do
    local how = known and OPERANDS[word & 0x7f] or ""
    local function constant(shift)
      local c = list[word >> shift]
      if shift == 16 then c = list[word >> 16 & 0xff] end
      parts[#parts + 1] = c and ("%d %s"):format(c[1], c[2]) or "?"
    end
    local mask = 0
    if how == "x" then
      mask = 0xffff8000
      constant(15)
    end
    if how:find "B" then
      mask = mask | 0x00ff0000
      constant(16)
    end
    if how:find "C" or how:find "k" and word & 0x8000 ~= 0 then
      mask = mask | 0xff000000
      constant(24)
    end
    parts[#parts + 1] = string.pack("=I4", word & ~mask)
    if i == #code and not known then parts[#parts + 1] = node.own:sub(at) end
  end
  node.plain = table.concat(parts, "\0")
  return node.plain
end

-- tree.globals(node [, names]) -> the global variables that it and the functions in it read, as keys.
function tree.globals(node, names)
  names = names or {}
  local code, at = instructions(node)
  local list = constants(node, at)
  for _, word in ipairs(code) do
    local u = word & 0x7f == GLOBAL and node.upvalues[(word >> 16 & 0xff) + 1]
    if u and u[1] == "_ENV" then names[list[word >> 24][2]] = true end
  end
  for _, child in ipairs(node.children) do tree.globals(child, names) end
  return names
end

-- Fill in where the children of each node are made: node.made = { instruction (from 0), register }.
local function find_makers(nodes)
  for _, node in ipairs(nodes) do
    if #node.children > 0 then
      for pc, word in ipairs(instructions(node)) do
        local child = word & 0x7f == CLOSURE and node.children[(word >> 15) + 1]
        if child then child.made = { pc - 1, word >> 7 & 0xff } end
      end
    end
  end
end

local function opcode(functions, text, i) return instructions(functions(text, "=x")[1])[i] & 0x7f end

-- What a function does, as a text: equal texts for equal functions, wherever they stand. Variables from outside go by their names; those of
-- functions in it by their places, too.
local function code_of(node, inner)
  local parts = { plain(node) }
  for _, u in ipairs(node.upvalues) do parts[#parts + 1] = inner and ("%s %s %d"):format(u[1], u[2], u[3]) or u[1] or "?" end
  for _, child in ipairs(node.children) do parts[#parts + 1] = code_of(child, true) end
  return table.concat(parts, "\1")
end

-- tree.changed(old, new) -> has the node itself changed, and not only what lies in it?
function tree.changed(old, new)
  if plain(old) ~= plain(new) or #old.upvalues ~= #new.upvalues then return true end
  for k, u in ipairs(old.upvalues) do
    if u[1] ~= new.upvalues[k][1] then return true end
  end
  return false
end

function tree.code(node)
  node.code = node.code or code_of(node, false)
  return node.code
end

-- ---- names -------------------------------------------------------------------------------------------------------------------------

-- The `function` of the n-th function that begins in a line: what stands before it and its name.
local function head(line, n)
  local at = 1
  for i = 1, n do
    local from, to = line:find("%f[%w_]function%f[^%w_]", at)
    if not from then return "", "" end
    if i == n then return n == 1 and line:sub(1, from - 1):match "^%s*(.-)%s*$" or "", line:sub(to + 1):match "^%s*([%w_.:]*)" end
    at = to + 1
  end
end

local function name_nodes(nodes, lines)
  local seen = {}
  for i = 2, #nodes do
    local node = nodes[i]
    seen[node.line] = (seen[node.line] or 0) + 1
    local before, named = head(lines[node.line] or "", seen[node.line])
    node.key = ("%d %s function %s"):format(seen[node.line] > 1 and seen[node.line] or 1, before, named)
    node.statement = named ~= "" and (before == "" or before == "local")
    node.path = node.statement and before == "" and named or nil
    local variable = before:match "([%a_][%w_.]*)%s*=%s*[^=]*$"
    node.name = named ~= "" and named or variable or ("the function in line %d"):format(node.line)
  end
  nodes[1].key, nodes[1].name = "", "main"
end

-- tree.read(functions, text, chunk) -> nodes, the main chunk's first; nil and a message where the text is no Lua.
function tree.read(functions, text, chunk)
  CLOSURE = CLOSURE or opcode(functions, "local a = function() end", 2)
  GLOBAL = GLOBAL or opcode(functions, "local a = b", 2)
  local nodes, message = functions((text:gsub("^\xef\xbb\xbf", ""):gsub("^#[^\n]*", "--")), chunk)
  if not nodes then return nil, message end
  for i, node in ipairs(nodes) do
    node.index, node.children, node.id = i, {}, { now = nil }
    local parent = nodes[node.parent]
    node.parent = parent
    if parent then parent.children[#parent.children + 1] = node end
  end
  nodes.text, nodes.by_lines = text, {}
  for _, node in ipairs(nodes) do
    node.vars = {}
    for k in ipairs(node.locals) do node.vars[k] = { main = node.index == 1 } end
    local at = node.line .. ":" .. node.last
    nodes.by_lines[at] = nodes.by_lines[at] or {}
    table.insert(nodes.by_lines[at], node)
  end
  find_makers(nodes)
  name_nodes(nodes, differences.lines(text))
  return nodes
end

-- ---- variables ---------------------------------------------------------------------------------------------------------------------

-- The number of the local variable in register `r` of a node where its instruction `pc` makes a function. (The variable that the function
-- is for begins with the next instruction.)
local function local_at(node, r, pc)
  for k, v in ipairs(node.locals) do
    if v[2] <= pc + 1 and v[3] > pc then
      if r == 0 then return k end
      r = r - 1
    end
  end
end

-- tree.variable(node, k) -> the object of the variable that upvalue k of the node is, the node it is a local of, its number there; nil for
-- _ENV.
function tree.variable(node, k)
  local u, parent = node.upvalues[k], node.parent
  if not parent then return nil end
  if not u[2] then return tree.variable(parent, u[3] + 1) end
  local at = node.made and local_at(parent, u[3], node.made[1])
  if at then return parent.vars[at], parent, at end
end

-- tree.function_of(node, at) -> the child that `local function NAME` number `at` of its locals begins as, or nil.
function tree.function_of(node, at)
  for _, child in ipairs(node.children) do
    if child.made and node.locals[at][2] == child.made[1] + 1 and local_at(node, child.made[2], child.made[1]) == at then return child end
  end
end

-- ---- which is which ----------------------------------------------------------------------------------------------------------------

local function share(old, new)
  new.id = old.id
  local a, b = {}, {}
  for k, v in ipairs(old.locals) do a[k] = v[1] end
  for k, v in ipairs(new.locals) do b[k] = v[1] end
  for k, at in ipairs(differences.align(a, b)) do
    if at then new.vars[k] = old.vars[at] end
  end
end

-- Pair entries of list `a` with those of `b` that `word` gives the same word, in order; whoever is paired is taken out of both.
local function pair(a, b, word, paired)
  local words_a, words_b = {}, {}
  for k, node in ipairs(a) do words_a[k] = word(node) end
  for k, node in ipairs(b) do words_b[k] = word(node) end
  local rest_b, used = {}, {}
  for k, at in ipairs(differences.align(words_a, words_b)) do
    if at then
      used[at] = true
      paired[#paired + 1] = { a[at], b[k] }
    else
      rest_b[#rest_b + 1] = b[k]
    end
  end
  local rest_a = {}
  for k, node in ipairs(a) do
    if not used[k] then rest_a[#rest_a + 1] = node end
  end
  return rest_a, rest_b
end

local function by_key(node) return node.key end
local function by_both(node) return node.key .. "\0" .. tree.code(node) end

-- Those of the same key that have changed places.
local function pair_moved(a, b, paired)
  local rest_b, of = {}, {}
  for _, node in ipairs(a) do of[node.key] = of[node.key] == nil and node or false end
  for _, node in ipairs(b) do
    local old = of[node.key]
    if old then
      paired[#paired + 1] = { old, node }
      of[node.key] = nil
    else
      rest_b[#rest_b + 1] = node
    end
  end
  local rest_a = {}
  for _, node in ipairs(a) do
    if of[node.key] ~= nil then rest_a[#rest_a + 1] = node end
  end
  return rest_a, rest_b
end

-- tree.match(old, new): which node of the new text is which of the old one: they share `id`, and their variables.
function tree.match(old, new)
  share(old, new)
  local paired = {}
  local a, b = pair(old.children, new.children, by_both, paired)
  a, b = pair(a, b, by_key, paired)
  a, b = pair_moved(a, b, paired)
  local gone
  gone, b = pair_moved(old.ghosts or {}, b, paired)
  new.ghosts = table.move(gone, 1, #gone, #a + 1, a)
  new.fresh = b
  for _, p in ipairs(paired) do tree.match(p[1], p[2]) end
end

-- tree.accept(old, new): the new text is the one that counts.
function tree.accept(old, new)
  for _, node in ipairs(old or {}) do node.id.now = nil end
  for _, node in ipairs(new) do node.id.now = node end
end

return tree
