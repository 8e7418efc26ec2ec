-- json: run records as text and back (RFC 8259). What is written is read back the same, to the last bit:
--
--   Lua                       JSON                      and read again
--   integer                   3                         integer
--   float                     3.0, 0.1, 1e-08           float (as few digits as tell it from its neighbours)
--   NaN, infinities           null                      absent in an object, json.null in a list (JSON has no word for them)
--   nil                       no key at all             absent
--   list, json.array(t)       [...]                     list, marked so that an empty one is [] again
--   {} and tables by name     {...}                     table; an empty plain table is {}
--   a mean, a tensor          its number, nested lists  number, lists (see plain.lua)
--
-- Refused, by name of the place: a list with holes or with named keys besides, keys that are no texts, functions, text that is not UTF-8,
-- more than 100 levels. Reading (jansson) refuses besides: a key twice, integers beyond 64 bits, numbers beyond f64, anything behind the
-- value.
local plain = require "mascon.plain"
local text = require "mascon.text"
local json = {}

json.null = setmetatable({}, { __tostring = function() return "null" end, __name = "json.null" })

local array_mark = { __name = "json.array" }

-- Mark a table as an array, so that an empty one is [] and not {}.
function json.array(t) return setmetatable(t or {}, array_mark) end

local MAX_DEPTH = 100

-- ---- encoding ------------------------------------------------------------------------------------------------------------------

-- Where encoding stands: opts, and the keys on the way down, for messages.
local function fail(at, depth, fmt, ...)
  local place = {}
  for i = 1, depth do
    local k = at[i]
    place[i] = type(k) == "string" and (i > 1 and "." or "") .. text.visible(k) or ("[%s]"):format(tostring(k))
    if i == 20 then
      place[i] = "..."
      break
    end
  end
  error(("json: %s%s"):format(#place > 0 and table.concat(place) .. ": " or "", fmt:format(...)), 0)
end

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(c) return escapes[c] or ("\\u%04x"):format(c:byte()) end

-- Bytes that are not UTF-8 as U+FFFD.
local function clean(s)
  local parts, at = {}, 1
  while at <= #s do
    local n, bad = utf8.len(s, at)
    local stop = n and #s or bad - 1
    parts[#parts + 1] = s:sub(at, stop)
    if not n then parts[#parts + 1] = "\u{FFFD}" end
    at = stop + 2
  end
  return table.concat(parts)
end

local function string_text(at, depth, s)
  if not utf8.len(s) then
    if not at.opts.replace then fail(at, depth, "expected UTF-8, got %s", text.show(s)) end
    s = clean(s)
  end
  return '"' .. s:gsub('[%c"\\\127]', escape) .. '"'
end

local function number_text(x)
  if math.type(x) == "integer" then return ("%d"):format(x) end
  if x - x ~= 0 then return "null" end
  local s
  for digits = 15, 17 do
    s = ("%." .. digits .. "g"):format(x)
    if tonumber(s) == x then break end
  end
  s = s:gsub(",", ".") -- whatever the locale
  return s:find("[.eE]") and s or s .. ".0"
end

local encode

local function array_text(at, depth, t)
  local parts, n, count = {}, #t, 0
  for k in next, t do
    count = count + 1
    if math.type(k) ~= "integer" or k < 1 or k > n then
      fail(at, depth, "a list of %d with the key %s besides: expected a list or names, not both", n, text.show(k))
    end
  end
  if count ~= n then fail(at, depth, "a list with holes: %d of %d are there", count, n) end
  for i = 1, n do
    at[depth + 1] = i
    parts[i] = encode(at, depth + 1, t[i])
  end
  return "[" .. table.concat(parts, at.opts.indent and ", " or ",") .. "]"
end

-- opts.first: keys that come before the others, which follow in alphabetical order.
local function object_text(at, depth, t)
  local keys, placed, parts, indent = {}, {}, {}, at.opts.indent
  for _, k in ipairs(at.opts.first or {}) do
    if rawget(t, k) ~= nil then
      keys[#keys + 1] = k
      placed[k] = true
    end
  end
  local rest = {}
  for k in next, t do
    if type(k) ~= "string" then fail(at, depth, "expected texts as an object's keys, got %s", text.show(k)) end
    if not placed[k] then rest[#rest + 1] = k end
  end
  table.sort(rest)
  table.move(rest, 1, #rest, #keys + 1, keys)
  local pad = indent and "\n" .. (indent):rep(depth + 1) or ""
  for i, k in ipairs(keys) do
    at[depth + 1] = k
    parts[i] = pad .. string_text(at, depth + 1, k) .. (indent and ": " or ":") .. encode(at, depth + 1, rawget(t, k))
  end
  if #parts == 0 then return "{}" end
  return "{" .. table.concat(parts, ",") .. (indent and "\n" .. indent:rep(depth) or "") .. "}"
end

function encode(at, depth, v)
  if v == nil or rawequal(v, json.null) then return "null" end
  local kind, meta = type(v), nil
  if kind == "table" or kind == "userdata" then
    meta = getmetatable(v)
    if meta ~= nil and meta ~= array_mark or kind == "table" and type(v.value or v.item) == "function" then
      local ok, got = pcall(plain, v)
      if not ok then fail(at, depth, "%s", tostring(got)) end
      if kind == "userdata" and type(got) == "table" then meta = array_mark end -- an empty tensor is []
      v, kind = got, type(got)
    end
  end
  if kind == "number" then return number_text(v) end
  if kind == "string" then return string_text(at, depth, v) end
  if kind == "boolean" then return tostring(v) end
  if kind ~= "table" then fail(at, depth, "cannot encode a %s", kind) end
  if depth >= MAX_DEPTH then fail(at, depth, "nested deeper than %d (a table inside itself?)", MAX_DEPTH) end
  if #v > 0 or meta == array_mark then return array_text(at, depth, v) end
  return object_text(at, depth, v)
end

-- Text of a value. opts.first: keys that come first in objects; opts.indent: a string to indent lines by (one line without it);
-- opts.replace: bytes that are not UTF-8 become U+FFFD instead of an error.
function json.encode(value, opts) return encode({ opts = opts or {} }, 0, value) end

-- ---- decoding ------------------------------------------------------------------------------------------------------------------

-- json.decode(text [, null]) -> the value of a JSON text; raises, with line and column, when it is none. null: what stands for null in
-- objects; without it such a key is absent.
json.decode = require "mascon.jansson" (json.null, array_mark)

return require("mascon.names").guard(json, "ms.json")
