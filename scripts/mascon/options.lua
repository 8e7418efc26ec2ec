-- options: option tables of library functions, and errors at the script's own line.
local text = require "mascon.text"
local options = {}

-- Raise msg, prefixed by the innermost line outside the library.
local context
function options.raise(msg, ...)
  if select("#", ...) > 0 then msg = msg:format(...) end
  msg = text.visible(context and context .. ": " .. msg or msg, true)
  for level = 2, 40 do
    local info = debug.getinfo(level, "Sl")
    if not info then break end
    if info.currentline > 0 and info.source:sub(1, 8) ~= "=mascon/" then
      error(("%s:%d: %s"):format(info.short_src, info.currentline, msg), 0)
    end
  end
  error(msg, 0)
end

-- local c <close> = options.within("file.st: model"): until the end of the block, messages of options.raise begin with these words.
function options.within(words)
  local before = context
  context = before and before .. ": " .. words or words
  return setmetatable({}, { __close = function() context = before end })
end

-- options.hint(key, defaults): the end of an error message for a name that defaults lacks: the one that was meant, and all there are.
function options.hint(key, defaults)
  local keys = text.keys(defaults)
  if #keys == 0 then return "; there are none" end
  local many = #keys > 20 -- the whole list would hide what is meant
  local near = require("mascon.names").option(key, defaults) or type(key) == "string" and text.hint(key, keys) or ""
  if near:find "%?$" and many then return near end
  return near .. (near:find "%?$" and " There are " or near ~= "" and "; there are " or "; expected ") .. table.concat(keys, ", ")
end

-- What v is, for a message.
local function told(v)
  local meta = debug.getmetatable(v)
  if type(v) == "string" then return "'" .. v .. "'" end
  if type(v) == "userdata" and type(meta) == "table" and meta.__name == "mascon.tensor" then return "a tensor" end
  if type(v) == "table" and type(meta) == "table" then
    if rawget(meta, "is_module") then return "a module" end
    if rawget(meta, "__name") == "mascon.data" then return "a data set" end
    if rawget(meta, "__name") == "mascon.loader" then return "a loader" end
  end
  return type(v)
end

-- Is it a table that may be one of options, and no object of the library's?
local function is_plain(v)
  return type(v) == "table" and told(v) == "table"
end

local function listed(defaults)
  local keys = text.keys(defaults)
  if #keys > 8 then keys = table.move(keys, 1, 8, 1, { [9] = "..." }) end
  return #keys > 0 and "; there are " .. table.concat(keys, ", ") or ""
end

local KINDS = { boolean = "true or false" }
options.told = told
options.any = setmetatable({}, { __tostring = function() return "any" end })

-- given (a table or nil) over defaults: a new table. A key that defaults lacks raises, with the nearest name; so does a value of another
-- type than its default (a default of options.any takes anything).
function options.read(what, given, defaults)
  local o = {}
  for k, v in pairs(defaults) do
    if v ~= options.any then o[k] = v end
  end
  if given == nil then return o end
  if not is_plain(given) then
    options.raise("%s: expected a table of options, got %s%s", what, told(given), listed(defaults))
  end
  for k, v in pairs(given) do
    local default = defaults[k]
    if default == nil then
      options.raise("%s: unknown option '%s'%s", what, tostring(k), options.hint(k, defaults))
    end
    if default ~= options.any and type(v) ~= type(default) then
      options.raise("%s: option %s: expected %s, got %s%s", what, k, KINDS[type(default)] or "a " .. type(default), told(v),
        told(v) == "a tensor" and " (x:item() is its number)" or "")
    end
    o[k] = v
  end
  return o
end

-- Raise when there are arguments that nobody reads: options.none("o:step", ...).
function options.none(what, ...)
  local n = select("#", ...)
  while n > 0 and select(n, ...) == nil do n = n - 1 end
  if n > 0 then options.raise("%s: expected no more arguments, got %s", what, type((select(n, ...)))) end
end

-- A positive whole number, or an error naming the argument.
function options.count(what, name, v)
  if type(v) ~= "number" or math.tointeger(v) == nil or v < 1 then
    options.raise("%s: %s: expected a whole number from 1 on, got %s", what, name, tostring(v))
  end
  return math.tointeger(v)
end

-- A whole number of 64 bits, each time another, with bits as if drawn (splitmix64): inside.mode puts such numbers together by exclusive or,
-- to tell what was switched since.
local marks = 0
function options.mark()
  marks = marks + 0x9E3779B97F4A7C15
  local z = (marks ~ (marks >> 30)) * 0xBF58476D1CE4E5B9
  z = (z ~ (z >> 27)) * 0x94D049BB133111EB
  return z ~ (z >> 31)
end

return options
