-- prompt: what the prompt prints and completes; prompt.c reads, entry.lua compiles and commands.lua has the % commands.
local inspect = require "mascon.inspect"
local text = require "mascon.text"
local prompt = {}

-- The text the prompt prints for a value: inspect.lua.
prompt.text = inspect.text

function prompt.show(...)
  io.write(inspect.results(...), "\n")
end

-- A variable as it is seen where the prompt stands: in a script that stands still its locals come before globals.
local function variable(name)
  local debugger = package.loaded["mascon.debugger"]
  if debugger and debugger.names()[name] then return debugger.value(name) end
  return rawget(_G, name)
end

-- The value of a path like a.b[1].c, whose names are read raw, so that asking runs nothing of the user's: is there one?, the value.
local function live(path)
  local first, rest = path:match "^([%a_][%w_]*)(.*)$"
  local v = first and variable(first)
  while v ~= nil and rest ~= "" do
    local name, more = rest:match "^[%.:]([%a_][%w_]*)(.*)$"
    local place, after = rest:match "^%[(%-?%d+)%](.*)$"
    if not name and not place then return false end
    v = inspect.raw_field(v, name or math.tointeger(place))
    rest = more or after
  end
  return v ~= nil, v
end

-- ?NAME tells about a variable of the user's or a name of the library, ??WORD searches, ? alone says what there is.
function prompt.help(line)
  local asked = line:match "^%s*%?(.*)$"
  if asked:match "^%s*$" then
    print("Tab completes names, fields and methods; an expression prints its value. Ctrl-C stops the running command or drops the line;")
    print("exit, quit or Ctrl-D leave.")
  end
  print(require("mascon.help").typed(asked, live))
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
