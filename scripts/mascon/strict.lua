-- strict: undeclared globals are errors in scripts.
--
-- Which code is watched: the main script, and modules that are not installed ones (their file lies beside the script, or was found by a
-- relative path). Libraries from absolute paths elsewhere and C code do as they always did. rawset(_G, name, value) and
-- ms.global(name, value) declare. Names that begin with Test or test are free once luaunit is loaded: it finds tests by them.
local strict = {}
local debug, rawset, type, error, pairs, require = debug, rawset, type, error, pairs, require -- a script may write over them

local declared = {}
local main, folder

local function is_watched(source)
  if source == main then return true end
  if source:sub(1, 1) ~= "@" then return source == "=stdin" end
  return source:sub(2, 2) ~= "/" or (folder ~= nil and source:sub(2, #folder + 1) == folder)
end

local function caller_is_watched()
  local info = debug.getinfo(3, "S")
  return info ~= nil and is_watched(info.source)
end

local function is_test(name)
  return package.loaded.luaunit ~= nil and name:match("^[Tt]est") ~= nil
end

local function names()
  local text = require "mascon.text"
  local all = text.keys(_G)
  for name in pairs(declared) do all[#all + 1] = name end
  return text, all
end

-- The message about a global that is not there.
local function undefined(name)
  local elsewhere = require("mascon.explain").global(name)
  local text, all = names()
  return ("undefined variable '%s'%s"):format(name, elsewhere and "; " .. elsewhere or text.hint(name, all))
end

local function on_read(_, name)
  if declared[name] or type(name) ~= "string" or is_test(name) or not caller_is_watched() then return nil end
  error(undefined(name), 2)
end

local function on_write(t, name, value)
  if not (declared[name] or type(name) ~= "string" or is_test(name)) and caller_is_watched() then
    local text, all = names()
    error(("assignment to undeclared variable '%s': write 'local %s', or ms.global(\"%s\", value) for a global%s")
      :format(name, name, name, text.hint(name, all)), 2)
  end
  declared[name] = true
  rawset(t, name, value)
end

-- Watch globals for the script at `path` (nil: the one that came by standard input).
function strict.on(path)
  main = path and "@" .. path or "=stdin"
  folder = path and path:match("^/.*/") or nil
  local meta = getmetatable(_G) or {}
  meta.__index, meta.__newindex = on_read, on_write
  setmetatable(_G, meta)
end

-- At the prompt and in -e globals are free; but words that stand for values elsewhere, and would be nil here without a word, are errors.
local VALUES = { None = true, True = true, False = true, null = true, NULL = true, undefined = true }
local function on_session_read(_, name)
  if VALUES[name] and not declared[name] then error(undefined(name), 2) end
end
function strict.session()
  local meta = getmetatable(_G) or {}
  if meta.__index == nil then meta.__index = on_session_read end
  setmetatable(_G, meta)
end

function strict.off()
  local meta = getmetatable(_G)
  if meta and meta.__index == on_read then meta.__index, meta.__newindex = nil, nil end
end

-- ms.global(name [, value]) or ms.global { name = value, ... }: declare globals, and give them values.
function strict.global(name, value)
  if type(name) == "table" then
    for k, v in pairs(name) do strict.global(k, v) end
    return
  end
  if type(name) ~= "string" then error("global: expected a name, got a " .. type(name), 2) end
  declared[name] = true
  rawset(_G, name, value)
  return value
end

strict.undefined = undefined
return strict
