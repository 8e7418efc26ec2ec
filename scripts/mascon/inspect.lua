-- inspect: values as the prompt prints them. Nothing that a value's own metamethods do can break it: a __tostring that raises, never ends,
-- gives no text or a huge one is cut short and said so; tables are read raw.
local debug, coroutine, table, math, type, tostring = debug, coroutine, table, math, type, tostring -- whatever a script makes of them
local pcall, next, rawget, rawlen, rawequal, ipairs, error = pcall, next, rawget, rawlen, rawequal, ipairs, error
local term = require "mascon.term"
local text = require "mascon.text"
local inspect = {}

local LEVELS, ITEMS, INNER = 3, 60, 12 -- tables inside tables; entries of the outermost one and of those in it
local MOST = 80                        -- entries of all tables together, beyond which inner ones are not opened
local MOST_KEYS = 20000                -- entries looked at; of more only so many
local LONG, STRING = 20000, 60         -- bytes of what a __tostring gave; of a text inside a table
inspect.STEPS = 1e7                    -- instructions of all users' __tostring in what is printed at once; each may take SOME
local SOME = 1e5
local spent = 0                        -- of STEPS

local function columns() return math.max(40, math.min(term.columns() or 100, 100)) end

-- ---- other people's __tostring ---------------------------------------------------------------------------------------------------------

local function address(v, name) return ("%s: %s"):format(name or type(v), string.format("%p", v)) end

local function of_library(f)
  if type(f) ~= "function" then return false end
  local info = debug.getinfo(f, "S")
  return info.what == "C" or info.source:sub(1, 8) == "=mascon/"
end

-- f(v) in a coroutine of its own, which is stopped when inspect.STEPS instructions are spent; from then on each instruction raises, so that
-- no pcall of its own keeps it running.
local function guarded(f, v)
  local function call() return f(v) end
  local co = coroutine.create(call)
  local function stop()
    spent = spent + SOME
    if spent < inspect.STEPS then return end
    debug.sethook(co, stop, "", 1)
    error("it does not end", 0)
  end
  debug.sethook(co, stop, "", SOME)
  local ok, s = coroutine.resume(co)
  debug.sethook(co)
  if coroutine.status(co) == "suspended" then
    coroutine.close(co)
    return false, "it yields"
  end
  return ok, s
end

local function first_line(v)
  local s = type(v) == "string" and v or type(v) == "number" and tostring(v) or address(v)
  return (text.visible(s:sub(1, 200)):gsub("\n.*", ""))
end

local function cut(s)
  if #s <= LONG then return s end
  return s:sub(1, LONG):gsub("[\128-\255]+$", "") .. ("\n... (%d bytes more)"):format(#s - LONG)
end

-- What tostring(v) gives for an object, made safe.
local function own_text(v, meta)
  local f, name = rawget(meta, "__tostring"), rawget(meta, "__name")
  name = type(name) == "string" and text.visible(name:sub(1, 100)) or type(v)
  if f == nil then return address(v, name) end
  local ok, s
  if of_library(f) then ok, s = pcall(f, v) else ok, s = guarded(f, v) end
  if ok and type(s) == "number" then s = tostring(s) end
  if not ok then return ("<%s: its __tostring failed: %s>"):format(address(v, name), first_line(s)) end
  if type(s) ~= "string" then return ("<%s: its __tostring gave a %s>"):format(address(v, name), type(s)) end
  return text.visible(cut(s), true)
end

-- ---- functions -------------------------------------------------------------------------------------------------------------------------

local builtin -- functions of Lua's own libraries -> "string.format"
local function builtin_name(f)
  if not builtin then
    builtin = {}
    for _, room in ipairs { "string", "table", "math", "io", "os", "coroutine", "utf8", "debug", "package" } do
      local t = package.loaded[room]
      for k, v in next, type(t) == "table" and t or {} do
        local name = room .. "." .. tostring(k)
        if type(v) == "function" and not (builtin[v] and #builtin[v] <= #name) then builtin[v] = name end
      end
    end
    for _, k in ipairs { "assert", "collectgarbage", "dofile", "error", "getmetatable", "ipairs", "load", "loadfile", "next", "pairs",
      "pcall", "print", "rawequal", "rawget", "rawlen", "rawset", "require", "select", "setmetatable", "tonumber", "tostring", "type",
      "warn", "xpcall" } do
      local v = rawget(_G, k)
      if type(v) == "function" then builtin[v] = k end
    end
  end
  return builtin[f]
end
inspect.builtin = builtin_name

local function parameters(f, info)
  local list = {}
  for i = 1, info.nparams do list[i] = debug.getlocal(f, i) or "?" end
  if info.isvararg then list[#list + 1] = "..." end
  return table.concat(list, ", ")
end

-- "function f(a, b)  train.lua:12", the documented signature of one of the library, or "function string.format (Lua's)".
function inspect.signature(f)
  local e = require("mascon.help").record_of(f)
  if e then return "function " .. e.signature end
  local info = debug.getinfo(f, "Su")
  local name = builtin_name(f)
  if name then return ("function %s (Lua's own)"):format(name) end
  if info.what == "C" then return address(f, "function (in C)") end
  local where = info.source:sub(1, 8) == "=mascon/" and "(library)" or ("%s:%d"):format(text.visible(info.short_src), info.linedefined)
  for k, v in next, _G do
    if rawequal(v, f) and type(k) == "string" and not k:find "^_%d?$" and (not name or k < name) then name = k end
  end
  return ("function%s(%s)  %s"):format(name and " " .. text.visible(name) or "", parameters(f, info), where)
end

-- ---- one line ------------------------------------------------------------------------------------------------------------------------

local function quoted(s)
  local q = ("%q"):format(s):gsub("\\\n", "\\n"):gsub("\\9", "\\t"):gsub("\\13", "\\r")
  return utf8.len(q) and text.visible(q) == q and q or '"' .. text.visible(s):gsub('"', '\\"') .. '"'
end

local function number_text(v)
  if math.type(v) == "integer" then return ("%d"):format(v) end
  if v ~= v then return "nan" end
  local s = ("%.14g"):format(v)
  return s:find "^%-?%d+$" and s .. ".0" or s
end

local function is_object(v)
  local meta = debug.getmetatable(v)
  return type(meta) == "table" and (rawget(meta, "__tostring") ~= nil or type(rawget(meta, "__name")) == "string") and meta or nil
end

local function named(s) return text.visible(tostring(s)) end
local function figure(v, n) return ("%s (of %s)"):format(v ~= v and "nan" or ("%.6g"):format(v), number_text(n)) end

-- What an object of the library is, where its __tostring is for something else (a meter's gives its number) or it has none: by __name.
local KINDS = {
  ["mascon.mean"] = function(v) return "mean: " .. figure(v:value(), v:count()) end,
  ["mascon.run"] = function(v)
    local rows = #v:metrics()
    return ("run: %s, %d line%s of metrics"):format(named(v.dir), rows, rows == 1 and "" or "s")
  end,
  ["mascon.progress"] = function(v)
    return ("progress: %s%d%s"):format(v.label ~= "" and v.label .. " " or "", v.count, v.total and " of " .. v.total or "")
  end,
  ["mascon.scope"] = function() return "scope: what is made until its end is freed there, but for s:keep(x)" end,
  ["mascon.step"] = function(v)
    local report = v:report()
    local line = report:match "^[^\n;]*"
    return "compiled step: " .. (line ~= "" and line or "not recorded yet") .. (report:find "\n." and "  (:report() tells all)" or "")
  end,
  ["mascon.tensorboard"] = function(v) return "TensorBoard writer: " .. named(v:path()) end,
}
for _, name in ipairs { "min", "max", "accuracy" } do
  KINDS["mascon.meter." .. name] = function(v) return name .. ": " .. figure(v:value(), v:count()) end
end

local function described(v, meta)
  local f = KINDS[rawget(meta, "__name")]
  if not f then return nil end
  local ok, s = pcall(f, v) -- (a script's own may bear the name)
  return ok and s or nil
end

local function class_text(v)
  local record = require("mascon.help").record_of(v)
  if record then
    return record.kind == "module" and ("%s  (?%s lists it)"):format(record.signature, record.name) or record.signature
  end
  local ms = package.loaded.mascon
  local nn = ms and rawget(ms, "nn")
  if type(v) == "table" and nn and nn.is_class(v) then return "class " .. text.visible(tostring(rawget(v, "__name"))) .. " of modules" end
end

-- An object as text, of as many lines as it likes.
local function object_text(v, meta) return class_text(v) or described(v, meta) or own_text(v, meta) end

-- A tensor's first line says what it is; of one element its value follows.
local function tensor_line(v, s)
  local ms = package.loaded.mascon
  if ms and ms.is_tensor(v) then
    local head = s:match "^[^\n]*"
    return v:numel() == 1 and ("%s %s"):format(head, (s:match "\n%[*(.-)%]*$" or "")) or head
  end
end

-- Anything but a plain table on one line.
local function line_of(v)
  local kind = type(v)
  if kind == "string" then return #v > STRING and quoted(v:sub(1, STRING - 3)) .. "..." or quoted(v) end
  if kind == "number" then return number_text(v) end
  if kind == "function" then return builtin_name(v) and "function " .. builtin_name(v) or inspect.signature(v) end
  local meta = is_object(v)
  local s = meta and object_text(v, meta) or kind == "table" and class_text(v) or kind == "userdata" and address(v) or nil
  if not s then return kind == "thread" and address(v, "coroutine") or kind == "table" and address(v) or tostring(v) end
  local tensor = kind == "userdata" and tensor_line(v, s)
  if tensor then return tensor end
  if kind == "table" and rawget(meta or {}, "is_module") == true and s:find "\n" then -- what it is, and its total
    return (s:match "^([^\n]-)%s%s" or s:match "^[^\n]*") .. ": " .. s:match "[^\n]*$"
  end
  local line = s:match "^[^\n]*"
  if #line > 200 then line = line:sub(1, 200):gsub("[\128-\255]+$", "") .. "..." end
  return line ~= s and not line:find "%.%.%.$" and line .. " ..." or line
end

-- ---- tables --------------------------------------------------------------------------------------------------------------------------

local ranks = { number = 1, string = 2, boolean = 3 }
local function before(a, b)
  local ta, tb = type(a), type(b)
  if ta ~= tb then return (ranks[ta] or 9) < (ranks[tb] or 9) end
  if ta == "number" or ta == "string" then return a < b end
  if ta == "boolean" then return a and not b end
  return string.format("%p", a) < string.format("%p", b)
end

local function key_text(k)
  if type(k) == "string" then return k:match "^[%a_][%w_]*$" or "[" .. line_of(k) .. "]" end
  return "[" .. line_of(k) .. "]"
end

local table_text

local function item_text(v, level, seen)
  if type(v) ~= "table" or is_object(v) or class_text(v) then return line_of(v) end
  if seen[v] then return "{(itself)}" end
  if next(v) == nil then return "{}" end
  if level >= LEVELS or seen.entries > MOST then return "{...}" end
  return table_text(v, level + 1, seen)
end

local function is_word(v) return type(v) == "number" or type(v) == "boolean" end

-- Entries of a list that fit into lines of `most` columns.
local function filled(parts, most, indent)
  local lines, row = {}, indent
  for i, p in ipairs(parts) do
    local item = (row == indent and "" or " ") .. p .. (i < #parts and "," or "")
    if #row + #item > most and row ~= indent then
      lines[#lines + 1] = row
      row, item = indent, p .. (i < #parts and "," or "")
    end
    row = row .. item
  end
  lines[#lines + 1] = row
  return table.concat(lines, "\n")
end

function table_text(t, level, seen)
  seen[t] = true
  seen.entries = seen.entries or 0
  local most, n, parts, keys, looked, words = level == 1 and ITEMS or INNER, rawlen(t), {}, {}, 0, true
  for i = 1, math.min(n, most) do
    local v = rawget(t, i)
    words = words and is_word(v)
    parts[i] = item_text(v, level, seen)
  end
  for k in next, t do
    looked = looked + 1
    if looked > MOST_KEYS + n then break end
    if not (math.type(k) == "integer" and k >= 1 and k <= n) then keys[#keys + 1] = k end
  end
  table.sort(keys, before)
  for i = 1, math.min(#keys, most) do
    parts[#parts + 1] = key_text(keys[i]) .. " = " .. item_text(rawget(t, keys[i]), level, seen)
  end
  seen[t] = nil
  seen.entries = seen.entries + #parts
  local hidden = math.max(n - most, 0) + math.max(#keys - most, 0)
  if hidden > 0 then parts[#parts + 1] = ("... %s%d more"):format(looked > MOST_KEYS + n and "more than " or "", hidden) end
  if #parts == 0 then return "{}" end
  local width = columns() - 2 * (level - 1)
  local line = "{" .. table.concat(parts, ", ") .. "}"
  if #line <= width and not line:find("\n", 1, true) then return line end
  if #keys == 0 and words then return "{\n" .. filled(parts, width, "  ") .. "\n}" end
  for i, p in ipairs(parts) do parts[i] = p:gsub("\n", "\n  ") end
  return "{\n  " .. table.concat(parts, ",\n  ") .. "\n}"
end

-- ---- what the prompt prints ------------------------------------------------------------------------------------------------------------

-- Any value as the prompt shows it. A text of several lines is itself. goes_on: it is part of what is printed at once.
function inspect.text(v, goes_on)
  if not goes_on then spent = 0 end
  local kind = type(v)
  if kind == "string" then
    if v:find("\n", 1, true) then return text.visible(cut(v), true) end
    return #v > LONG and quoted(v:sub(1, LONG)) .. ("... (%d bytes more)"):format(#v - LONG) or quoted(v)
  end
  local meta = (kind == "table" or kind == "userdata") and is_object(v)
  if meta then return object_text(v, meta) end
  if kind == "table" then return class_text(v) or table_text(v, 1, {}) end
  if kind == "function" then return inspect.signature(v) end
  return line_of(v)
end

-- Several results: on one line where all are short, else one below the other.
function inspect.results(...)
  local out, long = table.pack(...), false
  for i = 1, out.n do
    out[i] = inspect.text(out[i], i > 1)
    long = long or out[i]:find("\n", 1, true) ~= nil
  end
  return table.concat(out, long and "\n" or "\t", 1, out.n)
end

-- ---- raw reading -----------------------------------------------------------------------------------------------------------------------

-- Where a name that `at` does not have is looked for next: the table that its metatable's __index is. Where that is one of the library's
-- own functions, the class that it leads to.
function inspect.behind(at)
  local meta = debug.getmetatable(at)
  if type(meta) ~= "table" then return nil end
  local index = rawget(meta, "__index")
  if type(index) == "table" then return index end
  local class = rawget(meta, "_class")
  if type(class) == "table" then return class end
  return type(index) == "function" and not rawequal(meta, at) and of_library(index) and meta or nil
end

-- v[key] as far as raw tables lead: its own keys, then those of the tables behind it; nil where a function would have to run.
function inspect.raw_field(v, key)
  local at = v
  for _ = 1, 100 do
    if type(at) == "table" then
      local found = rawget(at, key)
      if found ~= nil then return found end
    end
    at = inspect.behind(at)
    if at == nil then return nil end
  end
end

-- A variable as it is seen where the prompt stands: in a script that stands still its locals come before globals.
function inspect.variable(name)
  local debugger = package.loaded["mascon.debugger"]
  if debugger and debugger.names()[name] then return debugger.value(name) end
  return rawget(_G, name)
end

return inspect
