-- prompt: what the prompt prints and completes; prompt.c reads, entry.lua compiles and commands.lua has the % commands.
local text = require "mascon.text"
local prompt = {}

local WIDTH, ITEMS = 100, 60 -- characters before a table takes several lines; entries of it that are shown

-- ---- values ------------------------------------------------------------------------------------------------------------------

local function quoted(s)
  s = ("%q"):format(s):gsub("\\\n", "\\n"):gsub("\\9", "\\t"):gsub("\\13", "\\r")
  return s
end

local function has_tostring(v)
  local meta = debug.getmetatable(v)
  return type(meta) == "table" and (meta.__tostring ~= nil or meta.__name ~= nil)
end

-- One value inside a table: one line.
local function short(v)
  if type(v) == "string" then
    return quoted(#v > 60 and v:sub(1, 57) .. "..." or v)
  elseif type(v) == "table" and not has_tostring(v) then
    if next(v) == nil then return "{}" end
    return "{...}"
  end
  local s = tostring(v)
  if s:find("\n", 1, true) then s = s:match("^[^\n]*") .. " ..." end
  return s
end

local ranks = { number = 1, string = 2, boolean = 3 }
local function before(a, b)
  local ta, tb = type(a), type(b)
  if ta ~= tb then return (ranks[ta] or 9) < (ranks[tb] or 9) end
  if ta == "number" or ta == "string" then return a < b end
  return tostring(a) < tostring(b)
end

local function key_text(k)
  if type(k) == "string" then
    return k:match("^[%a_][%w_]*$") or "[" .. quoted(k) .. "]"
  end
  return "[" .. short(k) .. "]"
end

local function table_text(t)
  local parts, keys, n = {}, {}, rawlen(t)
  for i = 1, math.min(n, ITEMS) do parts[i] = short(rawget(t, i)) end
  for k in next, t do
    if not (math.type(k) == "integer" and k >= 1 and k <= n) then keys[#keys + 1] = k end
  end
  table.sort(keys, before)
  for i = 1, math.min(#keys, ITEMS) do
    parts[#parts + 1] = key_text(keys[i]) .. " = " .. short(rawget(t, keys[i]))
  end
  local hidden = math.max(n - ITEMS, 0) + math.max(#keys - ITEMS, 0)
  if hidden > 0 then parts[#parts + 1] = ("... %d more"):format(hidden) end
  if #parts == 0 then return "{}" end
  local line = "{" .. table.concat(parts, ", ") .. "}"
  if #line <= WIDTH and not line:find("\n", 1, true) then return line end
  if #keys == 0 then -- a long array: as many to a line as fit
    local lines, row = {}, " "
    for i, p in ipairs(parts) do
      local item = " " .. p .. (i < #parts and "," or "")
      if #row + #item > WIDTH then
        lines[#lines + 1] = row
        row = " "
      end
      row = row .. item
    end
    lines[#lines + 1] = row
    return "{\n" .. table.concat(lines, "\n") .. "\n}"
  end
  return "{\n  " .. table.concat(parts, ",\n  ") .. "\n}"
end

-- The text the prompt prints for a value.
function prompt.text(v)
  if type(v) == "string" then return quoted(v) end
  if type(v) == "table" and not has_tostring(v) then return table_text(v) end
  return tostring(v)
end

function prompt.show(...)
  local out = table.pack(...)
  for i = 1, out.n do out[i] = prompt.text(out[i]) end
  io.write(table.concat(out, "\t", 1, out.n), "\n")
end

-- ?NAME: the help of the library, else what kind of value stands there.
function prompt.help(line)
  local name = line:match("^%s*%?%s*(.-)%s*$")
  local ms = package.loaded.mascon
  local help = type(ms) == "table" and ms.help
  if name == "" then
    print("?NAME or ?ms.NAME tells about an operation; Tab completes names, fields and methods; an expression prints its value.")
    print("Ctrl-C stops the running command or drops the line; exit, quit or Ctrl-D leave.")
    if help then
      local answer = help()
      if type(answer) == "string" then print(answer) end
    end
    return
  end
  local short_name = name:gsub("^ms%.", ""):gsub("^.*:", "")
  if help then
    local answer = help(short_name)
    if type(answer) == "string" then print(answer) end
    return
  end
  local value = prompt.value(name)
  print(value == nil and ("nothing is known about %s"):format(name) or ("%s: %s"):format(name, type(value)))
end

-- ---- completion ------------------------------------------------------------------------------------------------------------------

local keywords = { "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil",
  "not", "or", "repeat", "return", "then", "true", "until", "while" }

local function index(t, k) return t[k] end

-- The value of a path like a.b.c, or nil; fields are read, nothing is called but __index.
function prompt.value(path)
  local value = _G
  for name in path:gmatch("[%a_][%w_]*") do
    local ok, v = pcall(index, value, name)
    if not ok or v == nil then return nil end
    value = v
  end
  return value
end

local function is_callable(v)
  if type(v) == "function" then return true end
  local meta = debug.getmetatable(v)
  return type(meta) == "table" and meta.__call ~= nil
end

-- All names that may follow value. or value: -- its keys, those of the tables its __index leads to, and what __dir(value) lists.
local function fields(value, methods)
  local found, seen = {}, {}
  local function take(name, v)
    if type(name) == "string" and name:match("^[%a_][%w_]*$") and (not methods or is_callable(v)) then found[name] = true end
  end
  local at = value
  while at ~= nil and not seen[at] do
    seen[at] = true
    if type(at) == "table" then
      for k, v in next, at do take(k, v) end
    end
    local meta = debug.getmetatable(at)
    if type(meta) ~= "table" then break end
    local dir = rawget(meta, "__dir")
    if type(dir) == "function" then
      local ok, list = pcall(dir, value)
      for k, v in pairs(ok and type(list) == "table" and list or {}) do
        local name = type(k) == "number" and v or k
        if type(name) == "string" then
          local got, member = pcall(index, value, name)
          take(name, got and member)
        end
      end
    end
    at = rawget(meta, "__index")
  end
  return found
end

-- Names that can stand at the end of `line`, sorted, and how many letters of them are typed already. A name with _ in front is offered only
-- when a _ is typed.
function prompt.complete(line)
  local path = line:match("[%a_][%w_%.:]*$") or ""
  local owner, mark, part = path:match("^(.*)([%.:])([%w_]*)$")
  if not owner and line:match("[%)%]\"'%.:]%s*$") then return {}, 0 end
  local found
  if owner then
    local value = prompt.value(owner)
    if value == nil then return {}, #part end
    found = fields(value, mark == ":")
  else
    part = path
    found = fields(_G, false)
    for _, word in ipairs(keywords) do found[word] = true end
  end
  local list = {}
  for _, name in ipairs(text.keys(found)) do
    if name:sub(1, #part) == part and (part ~= "" or name:sub(1, 1) ~= "_") then list[#list + 1] = name end
  end
  return list, #part
end

return prompt
