-- json: enough of it for run records (RFC 8259). Encoding: keys in a stable order, integers as they are, other numbers with nine
-- significant digits, NaN and infinities as null. Decoding: the whole language; null is json.null inside arrays, absent in objects.
local json = {}

json.null = setmetatable({}, { __tostring = function() return "null" end, __name = "json.null" })

local array_mark = { __name = "json.array" }

-- Mark a table as an array, so that an empty one is [] and not {}.
function json.array(t) return setmetatable(t or {}, array_mark) end

local MAX_DEPTH = 100

-- ---- encoding ------------------------------------------------------------------------------------------------------------------

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(c) return escapes[c] or ("\\u%04x"):format(c:byte()) end

-- Bytes that are not UTF-8 would make the file unreadable to others: each becomes U+FFFD.
local function clean(s)
  if utf8.len(s) then return s end
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

local function string_text(s) return '"' .. clean(s):gsub('[%c"\\\127]', escape) .. '"' end

local function number_text(x)
  if math.type(x) == "integer" then return ("%d"):format(x) end
  if x ~= x or x == math.huge or x == -math.huge then return "null" end
  return ("%.9g"):format(x)
end

local encode

local function array_text(t, first, depth, indent)
  local parts = {}
  for i = 1, #t do parts[i] = encode(t[i], first, depth + 1, indent) end
  return "[" .. table.concat(parts, indent and ", " or ",") .. "]"
end

-- first: list of keys that come before the others, which follow in alphabetical order.
local function object_text(t, first, depth, indent)
  local keys, placed, parts = {}, {}, {}
  for _, k in ipairs(first) do
    if t[k] ~= nil then
      keys[#keys + 1] = k
      placed[k] = true
    end
  end
  local rest = {}
  for k in pairs(t) do
    if type(k) ~= "string" then error(("json: an object's keys are strings, got a %s"):format(type(k)), 0) end
    if not placed[k] then rest[#rest + 1] = k end
  end
  table.sort(rest)
  table.move(rest, 1, #rest, #keys + 1, keys)
  local pad = indent and "\n" .. (indent):rep(depth + 1) or ""
  for i, k in ipairs(keys) do
    parts[i] = pad .. string_text(k) .. (indent and ": " or ":") .. encode(t[k], first, depth + 1, indent)
  end
  if #parts == 0 then return "{}" end
  return "{" .. table.concat(parts, ",") .. (indent and "\n" .. indent:rep(depth) or "") .. "}"
end

function encode(v, first, depth, indent)
  local kind = type(v)
  if v == nil or v == json.null then return "null" end
  if kind == "number" then return number_text(v) end
  if kind == "string" then return string_text(v) end
  if kind == "boolean" then return tostring(v) end
  if kind ~= "table" then error("json: cannot encode a " .. kind, 0) end
  if depth > MAX_DEPTH then error("json: nested deeper than " .. MAX_DEPTH .. " (a table inside itself?)", 0) end
  if #v > 0 or getmetatable(v) == array_mark then return array_text(v, first, depth, indent) end
  return object_text(v, first, depth, indent)
end

-- Text of a value. opts.first: keys that come first in objects; opts.indent: a string to indent lines by (one line without it).
function json.encode(value, opts)
  opts = opts or {}
  return encode(value, opts.first or {}, 0, opts.indent)
end

-- ---- decoding ------------------------------------------------------------------------------------------------------------------

local unescapes = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function fail(s, at, what)
  local _, line = s:sub(1, at - 1):gsub("\n", "")
  error({ json = ("json: line %d, byte %d: %s"):format(line + 1, at, what) }, 0)
end

local function skip(s, at) return s:find("[^ \t\r\n]", at) or #s + 1 end

local function read_unicode(s, at)
  local hex = s:match("^%x%x%x%x", at) or fail(s, at, "expected four hexadecimal digits after \\u")
  local code = tonumber(hex, 16)
  if code >= 0xD800 and code <= 0xDBFF then
    local low = s:match("^\\u(%x%x%x%x)", at + 4)
    local second = low and tonumber(low, 16)
    if second and second >= 0xDC00 and second <= 0xDFFF then
      return utf8.char(0x10000 + (code - 0xD800) * 0x400 + second - 0xDC00), at + 10
    end
  end
  if code >= 0xD800 and code <= 0xDFFF then return "\u{FFFD}", at + 4 end
  return utf8.char(code), at + 4
end

local function read_string(s, at)
  local parts = {}
  at = at + 1
  while true do
    local stop = s:find('["\\%c]', at) or fail(s, at, "string without an end")
    parts[#parts + 1] = s:sub(at, stop - 1)
    local c = s:sub(stop, stop)
    if c == '"' then return table.concat(parts), stop + 1 end
    if c ~= "\\" then
      if c ~= "\127" then fail(s, stop, "control character in a string") end
      parts[#parts + 1], at = c, stop + 1
    else
      local e = s:sub(stop + 1, stop + 1)
      if e == "u" then
        parts[#parts + 1], at = read_unicode(s, stop + 2)
      else
        parts[#parts + 1] = unescapes[e] or fail(s, stop, "unknown escape")
        at = stop + 2
      end
    end
  end
end

local function read_number(s, at)
  local whole = s:match("^-?%d+", at) or fail(s, at, "expected a value")
  if whole:match("^-?0%d") then fail(s, at, "a number with a leading zero") end
  local fraction = s:match("^%.%d+", at + #whole) or ""
  local exponent = s:match("^[eE][+-]?%d+", at + #whole + #fraction) or ""
  local text = whole .. fraction .. exponent
  return tonumber(text), at + #text
end

local words = { t = { "true", true }, f = { "false", false }, n = { "null", json.null } }
local read

local function read_array(s, at, depth)
  local list = json.array()
  at = skip(s, at + 1)
  if s:sub(at, at) == "]" then return list, at + 1 end
  while true do
    list[#list + 1], at = read(s, at, depth + 1)
    at = skip(s, at)
    local c = s:sub(at, at)
    if c == "]" then return list, at + 1 end
    if c ~= "," then fail(s, at, "expected , or ]") end
    at = skip(s, at + 1)
  end
end

local function read_object(s, at, depth)
  local object = {}
  at = skip(s, at + 1)
  if s:sub(at, at) == "}" then return object, at + 1 end
  while true do
    if s:sub(at, at) ~= '"' then fail(s, at, "expected a key") end
    local key, value
    key, at = read_string(s, at)
    at = skip(s, at)
    if s:sub(at, at) ~= ":" then fail(s, at, "expected :") end
    value, at = read(s, skip(s, at + 1), depth + 1)
    if value ~= json.null then object[key] = value end
    at = skip(s, at)
    local c = s:sub(at, at)
    if c == "}" then return object, at + 1 end
    if c ~= "," then fail(s, at, "expected , or }") end
    at = skip(s, at + 1)
  end
end

function read(s, at, depth)
  if depth > MAX_DEPTH then fail(s, at, "nested deeper than " .. MAX_DEPTH) end
  local c = s:sub(at, at)
  if c == "{" then return read_object(s, at, depth) end
  if c == "[" then return read_array(s, at, depth) end
  if c == '"' then return read_string(s, at) end
  local word = words[c]
  if word and s:sub(at, at + #word[1] - 1) == word[1] then return word[2], at + #word[1] end
  return read_number(s, at)
end

-- The value of a JSON text; nil and a message when it is not one.
function json.decode(s)
  local ok, value, at = pcall(read, s, skip(s, 1), 0)
  if ok then
    at = skip(s, at)
    if at <= #s then ok, value = pcall(fail, s, at, "something after the value") end
  end
  if ok then return value end
  if type(value) == "table" and value.json then return nil, value.json end
  error(value, 0)
end

return json
