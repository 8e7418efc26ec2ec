-- entry: what is typed at the prompt: compiled, numbered, what it gives kept in _ and printed. entry.c calls this.
local entry = {}
local load, rawset, globals = load, rawset, _G -- as they are now, whatever a script makes of them

entry.texts = {} -- by number: what was typed, for errors ("[12]:3")
entry.ok = {}    -- by number: did it run without an error?

local LONGEST = 1 << 20 -- bytes of one entry
local KEPT = { "_3", "_2", "_1", "_" }

-- ---- compiling -----------------------------------------------------------------------------------------------------------------------

-- Each entry is a chunk of its own, so a `local` at its start would be forgotten at once: there it makes a global instead, and lines
-- pasted from a script go on working.
local function prepare(code)
  local space, rest = code:match("^(%s*)local%s+(function%s.*)$")
  if not rest then space, rest = code:match("^(%s*)local%s+([%a_][%w_%s,]*=[^=].*)$") end
  if rest then return space .. rest end
  local names = code:match("^%s*local%s+([%a_][%w_%s,]*)$")
  return names and names .. " = nil" or code
end

-- Does this message say that the text only ends too early? A short string cannot go on in the next line, unless by a backslash.
local function ends_early(message, code)
  if message:sub(-5) ~= "<eof>" then return false end
  return not message:find("unfinished string", 1, true) or code:find("\\z?%s*$") ~= nil
end

-- Statements, and an expression at the end -> both: parted at the last place where a statement may begin, after a ";" or a line end,
-- such that what follows is an expression and what stands before is whole. A line that begins with "(", "[", a string or an operator
-- goes on with the one before.
function entry.split(code)
  local at, tries = #code, 0
  while at > 1 and tries < 30 do
    local b = code:byte(at - 1)
    if (b == 59 or b == 10) and code:find("^[%s]*[%w_]", at) or b == 59 and code:find("^%s*[%({%[\"'#-]", at) then
      tries = tries + 1
      local head, tail = code:sub(1, at - 1), code:sub(at)
      if load(head, "=", "t") and load("return " .. tail, "=", "t") then return head, tail end
    end
    at = at - 1
  end
end

local function but_nil(first, ...)
  if first == nil then return ... end
  return first, ... -- a statement before the expression has returned
end

-- Statements and an expression -> function that gives its values, or nil and a message. "return f(x)" alone would be a tail call, whose
-- place in the entry is forgotten before f can fail: a nil before it keeps it.
function entry.expression(head, text, name, env)
  local f, message = load(head .. "return nil, " .. text, name, "t", env or globals)
  if not f or not load("return " .. text, "=", "t") then return nil, message end -- nothing at all is no expression
  return function() return but_nil(f()) end
end

-- The function, or nil and a message. `env`: nil for globals.
local function chunk(code, name, env)
  env = env or globals
  local plain = code:gsub("^%s*=", "return ", 1) -- "=x", as Lua 5.1 had it
  local f = entry.expression("", code, name, env)
  if f then return f end
  if plain ~= code then return load(plain, name, "t", env) end
  local message
  f, message = load(code, name, "t", env)
  if message and message:find "<eof>$" and not message:find "syntax error near <eof>$" then return nil, message end -- a block is open
  local head, tail = entry.split(code)
  return head and entry.expression(head, tail, name, env) or f, message
end

local silent -- the entry that runs ends with ";"

-- entry.compile(code, env) -> function to be called; nil and true: it ends too early; nil and a message.
function entry.compile(code, env)
  local n = #entry.texts + 1
  if code:find("^%s*%%") then
    return function() return require "mascon.commands".run(code, env) end
  end
  local f, message = chunk(prepare(code), ("=[%d]"):format(n), env)
  if not f then
    local function compile(piece, above) return chunk(above .. prepare(piece), ("=[%d]"):format(n), env) end
    local why
    f, why = require "mascon.prompt.pieces"(code, compile)
    message = why or message
  end
  if not f and ends_early(message, code) and #code < LONGEST then return nil, true end
  entry.texts[n], entry.ok[n] = code, false
  if not f then return nil, message .. entry.line(n, message) end
  silent = code:find(";%s*$") ~= nil
  entry.running = n
  return f
end

-- For commands that run code: its function, which counts as the entry; raises what is wrong with it.
function entry.load(code, env)
  local f, message = entry.compile(code, env)
  if f then return f end
  error(message == true and "unfinished: expected the whole of it in one line" or message, 0)
end

-- "\n  3 | the line" of the entry that a message speaks of, or "".
function entry.line(n, message)
  local at = tonumber(message:match("^%[%d+%]:(%d+):"))
  local i = 0
  for line in (entry.texts[n] .. "\n"):gmatch("(.-)\n") do
    i = i + 1
    if i == at then return ("\n  %d | %s"):format(i, line) end
  end
  return ""
end

-- ---- what it gave --------------------------------------------------------------------------------------------------------------------

-- Keep the first value in _, _1, the two before in _2 and _3; print all, unless the entry ended with ";".
function entry.finish(...)
  local n, quiet = entry.running, silent
  entry.running, silent = nil, false
  if n then entry.ok[n] = true end
  if select("#", ...) == 0 then return end
  rawset(globals, "_3", rawget(globals, "_2"))
  rawset(globals, "_2", rawget(globals, "_1"))
  rawset(globals, "_1", (...))
  rawset(globals, "_", (...))
  entry.has_results = true
  if not quiet then require "mascon.prompt".show(...) end
end

-- The text as it was compiled.
function entry.prepared(code) return prepare(code) end

function entry.failed() entry.running, silent = nil, false end

-- Run the user's own beginning of each session: $MASCON_RC (empty: none), else mascon/rc.lua where configurations lie.
function entry.rc()
  local path = os.getenv "MASCON_RC"
  if path == "" then return end
  if not path then
    local home = os.getenv "XDG_CONFIG_HOME"
    if not home or home:sub(1, 1) ~= "/" then home = os.getenv "HOME" and os.getenv "HOME" .. "/.config" end
    path = home and home .. "/mascon/rc.lua"
    local f = path and io.open(path, "r")
    if not f then return end
    f:close()
  end
  local f, message = loadfile(path, "t")
  if not f then error(message, 0) end
  f()
  entry.rc_path = path
end

-- Is this one of the names of results, and are there any?
function entry.is_result(name)
  if not entry.has_results then return false end
  for _, k in ipairs(KEPT) do
    if k == name then return true end
  end
  return false
end

return entry
