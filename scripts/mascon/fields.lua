-- fields: Lua values as JSON values and back, with nothing lost: for the fields of a checkpoint.
--
-- Integers, texts, booleans, lists and tables by name are themselves. What JSON has no way to say is a table with one key that begins
-- with "$":
--   {"$number": "nan"}        also "inf", "-inf"
--   {"$bytes": "ff00"}        a text that is not UTF-8, in hexadecimal
--   {"$tensor": "=name"}      a tensor, saved under that name
--   {"$table": [[k, v], ..]}  a table with other keys than 1..n or texts, or with keys that begin with "$"
local ms = require "mascon"
local json = require "mascon.json"
local options = require "mascon.options"
local states = require "mascon.state"
local fields = {}

local DEEPEST = 30 -- levels of tables; JSON takes 100, and a "$table" is three
local words = { nan = 0 / 0, inf = math.huge, ["-inf"] = -math.huge }
local shape_type = debug.getmetatable(ms.zeros({}).shape)
local list_type = debug.getmetatable(json.array {})

-- ---- there -----------------------------------------------------------------------------------------------------------------------

local function number(x)
  if math.type(x) == "integer" then return x end
  if x ~= x then return { ["$number"] = "nan" } end
  if x == math.huge or x == -math.huge then return { ["$number"] = x > 0 and "inf" or "-inf" } end
  return x
end

local function bytes(s)
  if utf8.len(s) and not s:find "\0" then return s end
  return { ["$bytes"] = (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) }
end

-- Is t a list 1..n, are its keys texts, or neither?
local function kind_of(t)
  local n, count, texts = #t, 0, true
  for k in pairs(t) do
    count = count + 1
    if type(k) ~= "string" or k:sub(1, 1) == "$" or not utf8.len(k) or k:find "\0" then texts = false end
  end
  if count == 0 then return "names" end
  for i = 1, n do
    if t[i] == nil then n = -1 break end
  end
  return count == n and "list" or texts and "names" or "pairs"
end

-- tensors: list of {name, tensor} to which those found are added. what: for errors.
function fields.pack(what, value, tensors)
  local taken = {}
  for _, t in ipairs(tensors) do taken[t[1]] = true end
  local function go(v, place, depth)
    local t = type(v)
    if t == "nil" or t == "boolean" then return v end
    if t == "number" then return number(v) end
    if t == "string" then return bytes(v) end
    if states.is_tensor(v) then
      local name = "=" .. (utf8.len(place) and place:gsub("[%c]", "?") or "tensor")
      while taken[name] do name = name .. "'" end
      taken[name] = true
      tensors[#tensors + 1] = { name, v }
      return { ["$tensor"] = name }
    end
    local meta = debug.getmetatable(v)
    if t == "table" and meta == shape_type then v, meta = { table.unpack(v) }, nil end
    if t ~= "table" or (meta and meta ~= list_type) then
      options.raise("%s: %s: cannot save %s; expected numbers, texts, booleans, tensors and plain tables of them%s", what, place,
        t == "table" and "an object (a table with a metatable)" or "a " .. t,
        t == "table" and "; what has a state_dict goes at the top, under a name of its own" or "")
    end
    if depth > DEEPEST then options.raise("%s: %s: nested deeper than %d (a table inside itself?)", what, place, DEEPEST) end
    local kind, out = kind_of(v), json.array()
    if kind == "list" then
      for i = 1, #v do out[i] = go(v[i], ("%s[%d]"):format(place, i), depth + 1) end
      return out
    end
    local keys = {}
    for k in pairs(v) do
      if type(k) ~= "string" and type(k) ~= "number" and type(k) ~= "boolean" then
        options.raise("%s: %s: cannot save a table with a %s as key", what, place, type(k))
      end
      keys[#keys + 1] = k
    end
    table.sort(keys, function(a, b) -- numbers first, then texts; the same file whatever the order of pairs()
      local x, y = type(a), type(b)
      if x ~= y then return x < y end
      return x == "boolean" and not a and b or x ~= "boolean" and a < b
    end)
    if kind == "names" then
      out = meta == list_type and out or {}
      for _, k in ipairs(keys) do out[k] = go(v[k], place == "" and k or place .. "." .. k, depth + 1) end
      return out
    end
    for i, k in ipairs(keys) do
      out[i] = json.array { go(k, place, depth + 1), go(v[k], ("%s[%s]"):format(place, tostring(k)), depth + 1) }
    end
    return { ["$table"] = out }
  end
  return go(value, "", 0)
end

-- ---- and back ----------------------------------------------------------------------------------------------------------------------

-- tensors: name -> tensor; those that are named are taken out. Raises (without a place: the caller names the file) for what pack would not
-- have written.
function fields.unpack(value, tensors)
  local go
  local special = {
    ["$number"] = function(s) return words[s] end,
    ["$bytes"] = function(s)
      if type(s) ~= "string" or #s % 2 == 1 or s:find "%X" then return nil end
      return (s:gsub("..", function(h) return string.char(tonumber(h, 16)) end))
    end,
    ["$tensor"] = function(name)
      local t = tensors[name]
      if name ~= nil then tensors[name] = nil end
      return t
    end,
    ["$table"] = function(list)
      local out = {}
      for _, pair in ipairs(type(list) == "table" and list or { 0 }) do
        if type(pair) ~= "table" or #pair ~= 2 then return nil end
        local k, v = go(pair[1]), go(pair[2])
        if k == nil or k ~= k then return nil end
        out[k] = v
      end
      return out
    end,
  }
  function go(v)
    if v == json.null then error("null among the fields", 0) end
    if type(v) ~= "table" then return v end
    for key, w in pairs(v) do
      if type(key) == "string" and key:sub(1, 1) == "$" then
        local f, out = special[key], nil
        if f and next(v) == key and next(v, key) == nil then out = f(w) end
        if out == nil then error(("%s = %s is not understood"):format(key, tostring(w)), 0) end
        return out
      end
    end
    local out = {}
    for k, w in pairs(v) do out[k] = go(w) end
    return out
  end
  return go(value)
end

return fields
