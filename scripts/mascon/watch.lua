-- watch: `mascon watch train.lua` and ms.reload(): an edit of the script, or of a module of its own, takes effect while it runs.
--
-- When a file was saved, the functions in it that have changed are swapped in at the end of a step or an epoch (pulse.lua): in variables,
-- in class tables, in hooks, in compiled steps, wherever they are held. Model, optimizer, data, random numbers stay as they are, and so
-- do compiled steps that do not come to a changed function; others are recorded and compared anew. Statements at the top of a file have
-- run and do not run again. What could not be swapped is said; a text that is no Lua changes nothing, and says why. Each swap is a line
-- in changes.jsonl of the run's folder, with the step and the difference.
local pulse = require "mascon.pulse"
local system = require "mascon.system"
local text = require "mascon.text"
local watch = {}

local EVERY, QUIET = 0.25, 0.1 -- seconds between looks; so long a file has to be as it is before it counts as saved

local files = {}   -- by path
local swaps = {}   -- what was swapped, as lines for runs that are opened later
local watching = false

local function say(fmt, ...)
  require "mascon.progress".say(text.visible(fmt:format(...), true))
end

local function read(path)
  local f = io.open(path, "rb")
  local s = f and f:read "a"
  if f then f:close() end
  return s
end

-- The files that Lua was loaded from, with the texts they had (bindings/main.c, bytecode.c).
local function texts()
  local registry = debug.getregistry()
  if registry["mascon.texts"] then return registry["mascon.texts"] end
  local list = {}
  registry["mascon.texts"] = list
  if type(arg) == "table" and type(arg[0]) == "string" then list[arg[0]] = read(arg[0]) end
  for name in pairs(package.loaded) do -- a stock Lua: they are known from now on
    local path = type(name) == "string" and package.searchpath(name, package.path)
    if path then list[path] = read(path) end
  end
  return list
end

-- What ms.reload needs is not there in a script that somebody else wrote (mascon --sandbox).
local function allowed() return debug.getregistry and debug.setlocal and debug.setupvalue and true end

local function inside() return require "mascon" and require "mascon.inside" end

local function entry(path, was)
  local file = files[path]
  if not file or file.loaded ~= was then -- it is new, or was loaded once more
    file = { path = path, name = path:match "^%./(.*)" or path, chunk = "@" .. path, text = was, loaded = was, versions = {} }
    files[path] = file
  end
  return file
end

-- Has the file been left alone for a moment? -> its text and its stamp; nil: later.
local function settled(file)
  for _ = 1, 20 do
    local stamp = system.stamp(file.path)
    system.sleep(QUIET)
    if stamp and stamp == system.stamp(file.path) then
      local s = read(file.path)
      if s and s:find "%S" and system.stamp(file.path) == stamp then return s, stamp end
      return nil
    end
  end
end

local function log(row)
  swaps[#swaps + 1] = row
  local runs = package.loaded["mascon.log"]
  for _, run in ipairs(runs and runs.opened() or {}) do
    local ok, message = pcall(run.changed, run, row)
    if not ok then say("%s", tostring(message)) end
  end
end

local function count(n, what) return ("%d %s%s"):format(n, what, n == 1 and "" or "s") end

local function tell(file, got, step)
  local parts = {}
  if #got.swapped > 0 then parts[#parts + 1] = "swapped " .. table.concat(got.swapped, ", ") end
  if #got.news > 0 then parts[#parts + 1] = "new: " .. table.concat(got.news, ", ") end
  if got.steps > 0 then
    parts[#parts + 1] = ("%s %s recorded anew"):format(count(got.steps, "compiled step"), got.steps == 1 and "is" or "are")
  end
  if #parts == 0 then parts[1] = "nothing was swapped" end
  local lines = { ("%s, step %d: %s"):format(file.name, step, table.concat(parts, "; ")) }
  for _, note in ipairs(got.notes) do lines[#lines + 1] = "  " .. note end
  say("%s", table.concat(lines, "\n"))
end

-- A saved text that differs from the one that counts.
local function take(file, fresh, result)
  local tree, swap, differences = require "mascon.watch.tree", require "mascon.watch.swap", require "mascon.watch.differences"
  local core = inside()
  if not file.nodes then
    file.nodes = assert(tree.read(core.functions, file.text, file.chunk))
    file.versions[1] = file.nodes
    tree.accept(nil, file.nodes)
  end
  local new, why = tree.read(core.functions, fresh, file.chunk)
  if not new then
    say("%s: the old functions stay: %s", file.name, tostring(why))
    result.problem = why
    return
  end
  local was, step = file.text, pulse.now()
  local got = swap.run(file, new, core.restart)
  if #got.swapped + #got.news + #got.notes > 0 then
    tell(file, got, step)
    local json = require "mascon.json"
    log { what = "reload", file = file.name, swapped = json.array(got.swapped), new = json.array(got.news), notes = json.array(got.notes),
      diff = differences.unified(was, fresh, file.name), step = step }
  end
  table.move(got.notes, 1, #got.notes, #result.notes + 1, result.notes)
  table.move(got.swapped, 1, #got.swapped, #result + 1, result)
  table.move(got.news, 1, #got.news, #result + 1, result)
end

-- Look at all files -> names of what was swapped in, and `problem`, where a text is no Lua.
local function look()
  local result = { notes = {} }
  for path, was in pairs(texts()) do
    local file = entry(path, was)
    local stamp = system.stamp(path)
    if stamp and stamp ~= file.stamp then
      if file.stamp == nil and read(path) == file.text then
        file.stamp = stamp
      else
        local fresh, at = settled(file)
        if fresh then
          file.stamp = at
          if fresh ~= file.text then
            local ok, message = pcall(take, file, fresh, result)
            if not ok then say("%s: nothing was swapped: %s", path, tostring(message)) end
          end
        end
      end
    end
  end
  return result
end

-- `mascon watch`: look from now on.
function watch.begin()
  if watching then return end
  watching = true
  pulse.every(EVERY, look)
end

-- What was swapped before this run was opened.
function watch.tell(run)
  for _, row in ipairs(swaps) do run:changed(row) end
end

-- ms.reload() -> a list of the names of functions that were swapped in; its field notes: what else is to be said. Looks now whether the
-- script, or a module of its own, was saved with changes, as `mascon watch` does at the end of each step. nil and a message where a text is
-- no Lua: the old functions stay.
function watch.reload(...)
  require "mascon.options".none("reload", ...)
  if not allowed() then error("reload: expected a program without --sandbox", 2) end
  if inside().recording() then error("reload inside a compiled step: a step does not change while it is recorded", 2) end
  local result = look()
  if result.problem then return nil, result.problem end
  return result
end

return watch
