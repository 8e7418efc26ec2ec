-- debugger: the prompt inside a script: the frames that stand still, their variables by name (debugger.c opens and closes it).
local debug, globals = { getinfo = debug.getinfo, getlocal = debug.getlocal, setlocal = debug.setlocal, getupvalue = debug.getupvalue,
  setupvalue = debug.setupvalue }, _G -- as they are now, whatever a script makes of them
local entry = require "mascon.entry"
local text = require "mascon.text"
local debugger = {}

local DEEPEST = 250 -- frames that are looked at
local SESSION = { ms = true, nn = "nn", optim = "optim", ml = "ml", data = "data" } -- what the prompt has that the script may not

local frames, current, goes -- nil: nothing stands still

-- ---- frames --------------------------------------------------------------------------------------------------------------------------

local function in_script(info) return info.what ~= "C" and info.currentline > 0 and info.source:sub(1, 8) ~= "=mascon/" end

-- The script's frames, the innermost first: of the thread that stands still, then of those that resumed it.
local function collect(...)
  local found = {}
  for _, thread in ipairs { ... } do
    for level = 0, DEEPEST do
      local info = debug.getinfo(thread, level, "nSltf")
      if not info then break end
      if in_script(info) then
        found[#found + 1] = { thread = thread, level = level, info = info, f = info.func }
      end
    end
  end
  return found
end

local function name_of(info)
  if info.what == "main" then return "main chunk" end
  if info.name then return ("function '%s'"):format(info.name) end
  return ("function <%s:%d>"):format(info.short_src, info.linedefined)
end

local function place(frame) return ("%s:%d"):format(frame.info.short_src, frame.info.currentline) end

-- The lines around the one where the frame stands, of its file as it is now.
local function source(frame, around)
  local path = frame.info.source:match("^@(.*)")
  local f = path and io.open(path)
  if not f then return end
  local at, i = frame.info.currentline, 0
  for line in f:lines() do
    i = i + 1
    if i > at + around then break end
    if i >= at - around then print(("%s%5d | %s"):format(i == at and ">" or " ", i, text.visible(line, true))) end
  end
  f:close()
end

-- ---- variables -----------------------------------------------------------------------------------------------------------------------

-- The place of a local variable of that name which is alive in the frame: the innermost one.
local function find_local(frame, name)
  local found
  for i = 1, 255 do
    local n = debug.getlocal(frame.thread, frame.level, i)
    if not n then break end
    if n == name then found = i end
  end
  return found
end

local function find_upvalue(frame, name)
  for i = 1, 255 do
    local n = debug.getupvalue(frame.f, i)
    if not n then return nil end
    if n == name then return i end
  end
end

local function globals_of(frame)
  local i = frame and find_upvalue(frame, "_ENV")
  if i then
    local _, env = debug.getupvalue(frame.f, i)
    if type(env) == "table" then return env end
  end
  return globals
end

local function get(frame, name)
  if frame then
    local i = find_local(frame, name)
    if i then return (select(2, debug.getlocal(frame.thread, frame.level, i))) end
    i = find_upvalue(frame, name)
    if i then return (select(2, debug.getupvalue(frame.f, i))) end
  end
  local env = globals_of(frame)
  local v = env[name]
  if v == nil and SESSION[name] then
    local ms = require "mascon"
    return name == "ms" and ms or ms[name]
  end
  return v
end

local function set(frame, name, value)
  if frame then
    local i = find_local(frame, name)
    if i then
      debug.setlocal(frame.thread, frame.level, i, value)
      return
    end
    i = find_upvalue(frame, name)
    if i then
      debug.setupvalue(frame.f, i, value)
      return
    end
  end
  globals_of(frame)[name] = value
end

-- The variables of the frame that can be seen there: name -> "local" or "upvalue".
function debugger.names()
  local found, frame = {}, frames and frames[current]
  if not frame then return found end
  for i = 1, 255 do
    local n = debug.getupvalue(frame.f, i)
    if not n then break end
    if n ~= "_ENV" and n ~= "" then found[n] = "upvalue" end
  end
  for i = 1, 255 do
    local n = debug.getlocal(frame.thread, frame.level, i)
    if not n then break end
    if n:sub(1, 1) ~= "(" then found[n] = "local" end
  end
  return found
end

function debugger.value(name) return get(frames and frames[current], name) end

-- ---- coming and going ----------------------------------------------------------------------------------------------------------------

-- Whatever the commands define looks its names up here: in the frame that is looked at, and after the script has gone on, among the
-- globals.
local function environment()
  local mine = frames
  return setmetatable({}, {
    __index = function(_, name)
      if entry.is_result(name) then return rawget(globals, name) end
      return get(mine == frames and mine and mine[current], name)
    end,
    __newindex = function(_, name, value) set(mine == frames and mine and mine[current], name, value) end,
  })
end

-- enter(goes, thread...) -> the environment of commands. goes: Ctrl-C came, and the script can go on; else an error has ended it.
function debugger.enter(can_go, ...)
  frames, current, goes = collect(...), 1, can_go
  local frame = frames[1]
  if can_go then
    print(frame and ("stopped at %s, in %s"):format(place(frame), name_of(frame.info)) or "stopped")
    if frame then source(frame, 0) end
    print("continue goes on, quit leaves; %where shows the frames, %up and %down move, %who lists variables")
  else
    print("the script stands where it failed: %where shows the frames, %up and %down move, %who lists variables; quit leaves")
  end
  return environment()
end

-- Save what the script has saved before, as it is now, beside it: in the middle of an epoch it is no checkpoint to resume from.
local function save()
  local log = package.loaded["mascon.log"]
  local told = false
  for _, line in ipairs(log and log.save_now() or {}) do
    print(line)
    told = true
  end
  if not told then print("nothing was saved: the script has no ms.run with a checkpoint") end
end

function debugger.leave(leaving)
  local could = goes
  frames, current, goes = nil, nil, nil
  if leaving then
    if could then save() end
    print "left"
  end
end

-- ---- commands ------------------------------------------------------------------------------------------------------------------------

local function needed()
  if not frames or #frames == 0 then error("no script stands still here (mascon debug script.lua, mascon -i script.lua)", 0) end
end

local function show(i)
  print(("%s %2d  %s, in %s"):format(i == current and ">" or " ", i, place(frames[i]), name_of(frames[i].info)))
end

function debugger.where()
  needed()
  local last = #frames
  for i = 1, last do
    if i <= 20 or i > last - 5 then show(i) elseif i == 21 then print(("     ... %d more"):format(last - 25)) end
  end
  source(frames[current], 2)
end

-- By `by` frames: outwards, to callers, or back.
function debugger.move(by)
  needed()
  local to = current + by
  if to < 1 then error("this is the innermost frame", 0) end
  if to > #frames then error("this is the outermost frame", 0) end
  current = to
  show(current)
  source(frames[current], 1)
end

function debugger.is_inside() return frames ~= nil and #frames > 0 end

return debugger
