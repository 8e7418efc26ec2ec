-- complete: what Tab offers. The line is read as Lua up to the cursor; what stands before it is looked up raw, so that nothing of the
-- user's runs, and what a call gives is known from the records (docs.lua): ms.randn { 2 }: has the methods of a tensor.
local docs = require "mascon.docs"
local inspect = require "mascon.inspect"
local byte, sub = string.byte, string.sub
local complete = {}

local MANY = 2000 -- names beyond which only their beginnings are listed

local KEYWORDS = { "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil", "not",
  "or", "repeat", "return", "then", "true", "until", "while" }

-- ---- the line as tokens ----------------------------------------------------------------------------------------------------------------

-- { kind, text, from, to } each; kind: "name", "number", "string" or the sign itself. Second result: where an unfinished string begins.
local function tokens(line)
  local list, at = {}, 1
  local function add(kind, to)
    list[#list + 1] = { kind = kind, text = line:sub(at, to), from = at, to = to }
    at = to + 1
  end
  while at <= #line do
    local c = line:sub(at, at)
    local _, blank = line:find("^%s+", at)
    local _, word = line:find("^[%a_][%w_]*", at)
    local _, number = line:find("^%.?%d[%w%.]*", at)
    local level = line:match("^%[(=*)%[", at)
    if blank then
      at = blank + 1
    elseif line:find("^%-%-", at) then
      return list, nil, true
    elseif word then
      add("name", word)
    elseif number then
      add("number", number)
    elseif level then
      local _, last = line:find("]" .. level .. "]", at, true)
      if not last then return list, at + #level + 2 end
      add("string", last)
    elseif c == '"' or c == "'" then
      local i = at + 1
      while i <= #line and line:sub(i, i) ~= c do i = i + (line:sub(i, i) == "\\" and 2 or 1) end
      if i > #line then return list, at + 1 end
      add("string", i)
    else
      local two = line:sub(at, at + 1)
      local long = (two == ".." or two == "==" or two == "~=" or two == "<=" or two == ">=" or two == "::" or two == "//") and two or c
      add(long, at + #long - 1)
    end
  end
  return list
end

local CLOSES = { [")"] = "(", ["]"] = "[", ["}"] = "{" }

-- The place of the bracket that the one at `i` closes, or nil.
local function opener(list, i)
  local depth = 0
  for k = i, 1, -1 do
    local kind = list[k].kind
    if CLOSES[kind] then depth = depth + 1
    elseif kind == "(" or kind == "[" or kind == "{" then
      depth = depth - 1
      if depth == 0 then return list[k].kind == CLOSES[list[i].kind] and k or nil end
    end
  end
end

local WORDS, KEYWORD_SET = {}, {}
for _, w in ipairs(KEYWORDS) do WORDS[w], KEYWORD_SET[w] = true, true end
WORDS["true"], WORDS["false"], WORDS["nil"] = nil, nil, nil

-- Where the expression a.b(c)[d] that ends at token `last` begins, or nil.
local function beginning(list, last)
  local i = last
  while i >= 1 do
    local t = list[i]
    if t.kind == "name" and not WORDS[t.text] then
      local before = list[i - 1]
      if not before or before.kind ~= "." and before.kind ~= ":" then return i end
      i = i - 2
    elseif CLOSES[t.kind] or t.kind == "string" then
      local open = t.kind == "string" and i or opener(list, i)
      if not open then return nil end
      local before = list[open - 1]
      local called = before and (before.kind == "name" and not WORDS[before.text] or before.kind == ")" or before.kind == "]"
        or before.kind == "}" or before.kind == "string")
      if not called then return (t.kind == ")" or t.kind == "string") and open or nil end
      i = open - 1
    else
      return nil
    end
  end
end

-- ---- what an expression is -------------------------------------------------------------------------------------------------------------

-- What is known of a value: { value = v } itself; { class = "x" }, an object of docs.CLASSES; { room = "plot" }, a room not loaded yet;
-- { record = e }, a function of the library. Or nil.
local GIVES = { module = "m", tensor = "x", optimizer = "o", schedule = "lr", estimator = "estimator", loader = "loader", transform = "t",
  sampler = "sampler", meter = "meter", board = "board", graph = "graph", run = "run", history = "history", sweep = "sweep",
  step = "step", handle = "handle", scope = "scope", stop = "stop", keep = "keep", bool = "x", u8 = "x", m = "m", x = "x", loss = "x",
  list = "list", average = "average" }

-- The class of what a documented function gives first.
local function result_of(e, owner)
  if e.kind == "operation" then return "x" end
  local gives = e.signature:match "%->%s*(.*)$" or ""
  if gives:find "^list of" or gives:find "^number" or gives:find "^text" then return nil end
  if gives:find "^training set" or gives:find "^data set" or gives:find "^set," then return "ds" end
  if gives:find "distribution" and e.name:find "^ml%." then return "dist" end
  if gives:find "^an average" then return "average" end
  if e.name:find "^%l+:" then
    local own = e.name:match "^(%l+):"
    if gives:find("^the " .. own) or gives:find("^" .. own .. "%f[%W]") then return owner or own end
    if own == "x" and (gives:find "^x " or gives:find "^tensor" or gives:find "^the same") then return "x" end
  end
  local word = gives:match "^[%w_]+"
  return word and GIVES[word] or nil
end

local function of_value(v)
  if v == nil then return nil end
  return { value = v, class = docs.class_of(v) }
end

local function library(f) return type(f) == "function" and debug.getinfo(f, "S").source:sub(1, 8) == "=mascon/" end

-- The room that a value is, or is said to be.
local function room_of(s)
  if s.room then return s.room end
  local e = s.value ~= nil and require("mascon.help").record_of(s.value)
  return e and e.kind == "module" and (e.name == "ms" and "ms" or e.name) or nil
end

local function member(s, name)
  if s.class == "x" and name == "grad" then return { class = "x" } end
  if s.value ~= nil and type(s.value) ~= "userdata" then
    local v = inspect.raw_field(s.value, name)
    if v ~= nil and (not s.class or (s.class == "m" or s.class == "estimator") and not library(v)) then return of_value(v) end
  end
  local room = room_of(s)
  if room then
    local path = room == "ms" and name or room .. "." .. name
    local e = docs.exact("ms." .. path) or docs.exact(path)
    if not e then return nil end
    return e.kind == "module" and { room = e.name } or { record = e }
  end
  if s.class then
    local classes = s.class == "m" and { "list", "dict", "m" } or { s.class }
    for _, class in ipairs(classes) do
      local e = docs.exact(class .. ":" .. name) or docs.exact(class .. "." .. name)
      if e then return { record = e, owner = s } end
    end
  end
  if type(s.value) == "userdata" then return of_value(inspect.raw_field(s.value, name)) end
  if type(s.value) == "string" then return of_value(string[name]) end
end

local function place(s, key)
  if s.list then return { class = s.list } end
  if s.class == "x" or s.class == "ds" then return { class = "x" } end
  if s.value == nil or type(s.value) ~= "table" or key == nil then return nil end
  if s.class == "m" and math.type(key) == "integer" and key < 0 then
    local n = 0
    while inspect.raw_field(s.value, n + 1) ~= nil do n = n + 1 end
    key = n + 1 + key
  end
  return of_value(inspect.raw_field(s.value, key))
end

local function called(s)
  local v, e = s.value, s.record
  if e then
    local class = result_of(e, s.owner and s.owner.class)
    if class and s.owner and class == s.owner.class and s.owner.value ~= nil and class ~= "x" then return s.owner end
    local entries = e.signature:match "%-> list of ([%w ]*)"
    if entries then return { list = entries:find "module" and "m" or entries:find "tensor" and "x" or nil } end
    return class and { class = class } or nil
  end
  if s.class == "m" or s.class == "t" or s.class == "average" then return { class = "x" } end
  if type(v) ~= "function" and type(v) ~= "table" then return nil end
  e = require("mascon.help").record_of(v)
  if e then return called { record = e } end
  local ms = package.loaded.mascon
  local nn, meta = ms and rawget(ms, "nn"), debug.getmetatable(v)
  if type(v) == "table" and nn and nn.is_class(v) then return { class = "m", of = v } end
  if type(meta) == "table" and rawget(meta, "__name") == "optimizer class" then return { class = "o" } end
end

-- What the expression of tokens first..last is, or nil.
local function evaluate(list, first, last)
  local i, s = first, nil
  local t = list[i]
  if t.kind == "name" then s = of_value(inspect.variable(t.text))
  elseif t.kind == "string" then s = { value = t.text }
  elseif t.kind == "(" then
    local close
    for k = i + 1, last do
      if list[k].kind == ")" and opener(list, k) == i then close = k break end
    end
    local from = close and close > i + 1 and beginning(list, close - 1)
    if not from or from ~= i + 1 then return nil end
    s, i = evaluate(list, from, close - 1), close
  end
  i = i + 1
  while s and i <= last do
    t = list[i]
    if t.kind == "." or t.kind == ":" then
      if not list[i + 1] or i + 1 > last then return nil end
      s, i = member(s, list[i + 1].text), i + 2
    elseif t.kind == "string" then
      s, i = called(s), i + 1
    else
      local close
      for k = i + 1, last do
        if CLOSES[list[k].kind] == t.kind and opener(list, k) == i then close = k break end
      end
      if not close then return nil end
      if t.kind == "[" then
        local inner, key = list[i + 1], nil
        if close == i + 2 then
          key = inner.kind == "number" and tonumber(inner.text) or inner.kind == "string" and inner.text:match "^['\"](.*)['\"]$" or nil
          if key == nil and inner.kind == "name" then key = inspect.variable(inner.text) end
          if type(key) == "number" then key = math.tointeger(key) end
        elseif close == i + 3 and inner.kind == "-" and list[i + 2].kind == "number" then
          key = math.tointeger(-(tonumber(list[i + 2].text) or 0.5))
        end
        s = place(s, key)
      else
        s = called(s)
      end
      i = close + 1
    end
  end
  return s
end

-- ---- names -----------------------------------------------------------------------------------------------------------------------------

local function is_name(k) return type(k) == "string" and k:find "^[%a_][%w_]*$" ~= nil and not WORDS[k] end

-- Is this key of an object of the library for users? Functions without a record are the library's affair.
local function is_public(class, key, v)
  if not class or type(v) ~= "function" or not library(v) then return true end
  return (docs.exact(class .. ":" .. key) or class == "m" and (docs.exact("list:" .. key) or docs.exact("dict:" .. key))) ~= nil
end

-- The names of v and of the tables behind it; methods: of functions only. class: of an object of the library, or nil.
local function raw_names(found, v, methods, class)
  local at = v
  for _ = 1, 100 do
    for k, value in next, type(at) == "table" and at or {} do
      if is_name(k) and (not methods or type(value) == "function") and is_public(class, k, value) then found[k] = true end
    end
    at = inspect.behind(at)
    if at == nil then return end
  end
end

local function documented(found, prefix)
  for _, e in ipairs(docs.below(prefix)) do found[e.name:sub(#prefix + 1)] = true end
end

-- All names that may follow behind a dot (or a colon: methods) of what is known.
local function names_of(s, methods)
  local found, room, class = {}, room_of(s), s.class
  if room then
    documented(found, room .. ".")
    if s.value ~= nil and room ~= "ms" then raw_names(found, s.value, methods) end
    if room == "ms" then
      for _, e in ipairs(docs.all()) do
        if e.kind == "module" and not e.name:find "[%.]" and e.name ~= "ms" then found[e.name] = true end
        for _, other in ipairs(e.also) do found[other:match "^ms%.([%w_]+)$" or "help"] = true end
      end
    end
    return found
  end
  if class == "m" or class == "estimator" or not class then
    local nn = rawget(require "mascon", "nn")
    if nn and type(s.value) == "table" and nn.is_class(s.value) then class = "m" end
    if s.value ~= nil and type(s.value) ~= "string" then raw_names(found, s.value, methods, class) end
    if s.of then raw_names(found, s.of, methods, class) end
    if type(s.value) == "string" then raw_names(found, string, methods) end
  end
  if s.class and not (class == "estimator" and s.value ~= nil) then documented(found, class .. ":") end
  if class == "x" then
    for k in next, require("mascon").methods do
      if is_name(k) then found[k] = true end
    end
  end
  if class and not methods then
    documented(found, class .. ".")
    if class == "o" and s.value ~= nil then -- its settings: o.lr
      local inside = rawget(debug.getmetatable(s.value), "__index")
      local kind = type(inside) == "table" and rawget(inside, "class")
      for k in next, type(kind) == "table" and type(kind.options) == "table" and kind.options or {} do found[k] = true end
    end
  end
  return found
end

-- ---- option keys -----------------------------------------------------------------------------------------------------------------------

-- The innermost bracket that is open at the end, or nil.
local function open_bracket(list)
  local depth = 0
  for k = #list, 1, -1 do
    local kind = list[k].kind
    if CLOSES[kind] then depth = depth + 1
    elseif kind == "(" or kind == "[" or kind == "{" then
      if depth == 0 then return k end
      depth = depth - 1
    end
  end
end

-- The record of the function whose call the `{` at k is an argument of, or nil.
local function callee(list, k)
  local head = list[k - 1]
  if not head then return nil end
  local last = k - 1
  if head.kind == "(" or head.kind == "," then
    local part = { table.unpack(list, 1, k - 1) }
    local open = open_bracket(part)
    if not open or list[open].kind ~= "(" then return nil end
    last = open - 1
  end
  if last < 1 or list[last].kind ~= "name" then return nil end
  local first = beginning(list, last)
  local s = first and evaluate(list, first, last)
  if not s then return nil end
  return s.record or s.value ~= nil and require("mascon.help").record_of(s.value) or nil
end

-- The option keys of a record, as a set.
local function options_of(e)
  local found = {}
  for _, a in ipairs(e.args or {}) do
    if a.default then found[a.name] = true end
  end
  if e.row and e.row.create then found.device = true end
  local first = e.signature:find "{"
  local text = first and e.signature:sub(first, (e.signature:find "%->" or #e.signature + 1) - 1) or ""
  for key in text:gmatch "([%a_][%w_]*) =" do found[key] = true end
  return found
end

-- Keys already given in the table that opens at k.
local function given(list, k)
  local out = {}
  for i = k + 1, #list - 1 do
    if list[i].kind == "name" and list[i + 1].kind == "=" then out[list[i].text] = true end
  end
  return out
end

-- ---- files -----------------------------------------------------------------------------------------------------------------------------

local function files(path)
  local system = require "mascon.system"
  local folder, part = path:match "^(.*/)([^/]*)$"
  folder, part = folder or "", part or path
  local names = system.list(folder == "" and "." or folder)
  local list = {}
  for _, name in ipairs(names or {}) do
    if name:sub(1, #part) == part and (part ~= "" or name:sub(1, 1) ~= ".") and not name:find "[%c\"'\\]" then list[#list + 1] = name end
  end
  table.sort(list)
  for i = 1, math.min(#list, 300) do
    if system.kind(folder .. list[i]) == "folder" then list[i] = list[i] .. "/" end
  end
  return list, #part
end

-- ---- asking ----------------------------------------------------------------------------------------------------------------------------

-- Of very many names that begin with `typed` letters alike, what they have in common and the next letter.
local function shortened(list, typed)
  local common = #list[1]
  local head = list[1]
  for _, name in ipairs(list) do
    if common == typed then break end
    while sub(name, 1, common) ~= head do
      common = common - 1
      head = head:sub(1, common)
    end
  end
  local first, out = {}, {}
  for _, name in ipairs(list) do
    local letter = byte(name, common + 1) or 0
    local before = first[letter]
    if not before then
      first[letter] = name
    elseif before ~= true then
      first[letter], out[#out + 1] = true, name:sub(1, common + 1) .. "..."
    end
  end
  for _, name in next, first do
    if name ~= true then out[#out + 1] = name end
  end
  return out
end

-- The names of sets that begin with part, sorted. One with _ in front is offered only when a _ is typed.
local function matching(part, ...)
  local list, n, typed, sets = {}, 0, #part, { ... }
  for k, set in ipairs(sets) do
    for name in next, set do
      if type(name) == "string" and (typed == 0 and byte(name) ~= 95 or typed > 0 and sub(name, 1, typed) == part) then
        local twice = false
        for j = 1, k - 1 do
          if sets[j][name] ~= nil then twice = true end
        end
        if not twice then
          n = n + 1
          list[n] = name
        end
      end
    end
  end
  if n > MANY then list = shortened(list, typed) end
  local names = {}
  for _, name in ipairs(list) do
    local plain = name:match "^(.-)%.%.%.$" or name:match "^(.-) = $" or name
    if is_name(plain) or WORDS[name] then names[#names + 1] = name end
  end
  table.sort(names)
  return names, typed
end

-- complete.line(text before the cursor) -> names that can stand at its end, sorted, and how many letters of them are typed already.
function complete.line(line)
  local list, text_from, comment = tokens(line)
  if comment then return {}, 0 end
  if text_from then return files(line:sub(text_from)) end
  local last = list[#list]
  local part = ""
  if last and last.kind == "name" and last.to == #line then
    part = last.text
    list[#list] = nil
    last = list[#list]
  elseif last and last.kind == "number" and last.to == #line then
    return {}, 0
  end
  if last and (last.kind == "." or last.kind == ":") then
    local first = #list > 1 and beginning(list, #list - 1)
    local s = first and evaluate(list, first, #list - 1)
    if not s then return {}, #part end
    return matching(part, names_of(s, last.kind == ":"))
  end
  if last and (last.kind == "name" and not WORDS[last.text] or last.kind == ")" or last.kind == "]" or last.kind == "string"
    or last.kind == "::") and part == "" then
    return {}, 0
  end
  local open = last and (last.kind == "{" or last.kind == "," or last.kind == ";") and open_bracket(list)
  if open and list[open].kind == "{" then
    local e = callee(list, open)
    local keys, had = e and options_of(e) or {}, given(list, open)
    local set = {}
    for key in next, keys do
      if not had[key] then set[key .. " = "] = true end
    end
    local offered, typed = matching(part, set)
    if #offered > 0 then return offered, typed end
  end
  local debugger = package.loaded["mascon.debugger"]
  return matching(part, KEYWORD_SET, debugger and debugger.names() or {}, _G)
end

return complete
