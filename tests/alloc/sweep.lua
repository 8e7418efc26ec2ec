-- sweep.lua: let each allocation of a piece of work fail in turn, and look at what is left.
--
--   LD_PRELOAD=build/tests/failing.so mascon tests/alloc/sweep.lua [every [offset [body ...]]]
--
-- A body (bodies.lua) is work with a result that can be compared. It runs once undisturbed; then, for k = 1, 2, ..., with allocation k
-- failing (alone; with the two behind it, since Lua and the core try again once; with all that follow), until it runs through. Afterwards
-- it must have raised an error that says so, or given the right result; the file it was to replace holds the old or the new content,
-- whole; modes are what they were; and nothing is left behind: no tensor, no block (but for what a finalizer held that Lua had no memory
-- to call). every = 7 takes every 7th k.
package.cpath = (os.getenv "BUILD" or "build") .. "/tests/?.so;" .. package.cpath
local failing = require "failing"
local ms = require "mascon"
local bodies = require "tests.alloc.bodies"

local every, offset = tonumber(arg[1] or 1), tonumber(arg[2] or 1)
local chosen = {}
for i = 3, #arg do chosen[arg[i]] = true end
ms.threads(1) -- counts exactly

local function settle()
  for _ = 1, 3 do collectgarbage() end
  ms.memory "release"
end

local bad, shown = 0, {}
local function complain(name, k, n, what)
  bad = bad + 1
  local key = name .. what:gsub("%d+", "#")
  shown[key] = (shown[key] or 0) + 1
  if shown[key] <= 3 then
    print(("not ok %s: allocation %d (%s): %s"):format(name, k, n == 0 and "and all behind it" or n .. " of them", what))
  end
end

-- The state of the library that must not change.
local function modes()
  return table.concat({ tostring(ms.grad_enabled()), ms.precision(), tostring(ms.deterministic()), ms.threads() }, " ")
end

local function designed(message)
  if type(message) ~= "string" then return false end
  local m = message:lower()
  return m:find("memory", 1, true) or m:find("no room", 1, true) or m:find("allocat", 1, true)
end

-- One try: allocation k and the n - 1 behind it fail. Gives whether any was refused, how many there were, and what stayed behind.
local function try(name, body, folder, expected, k, n)
  if body.before then body.before(folder) end
  settle()
  local live, memory = failing.live(), ms.memory()
  failing.arm(k, n)
  local ok, result = pcall(body.run, folder)
  local seen, refused = failing.disarm()
  if not ok then
    if not designed(result) then complain(name, k, n, "the error does not speak of memory: " .. tostring(result)) end
  elseif result ~= expected then
    complain(name, k, n, ("another result: %s, expected %s"):format(result, expected))
  end
  result = nil -- luacheck: ignore
  settle()
  local now = ms.memory()
  local none = { refused = refused, seen = seen, raised = not ok, unfinished = true, all = 0, blocks = 0, tensors = 0, nodes = 0,
    bytes = 0 }
  if failing.unfinished() > 0 then return none end
  return { refused = refused, seen = seen, raised = not ok, all = failing.live(), blocks = failing.live() - live,
    tensors = now.tensors - memory.tensors,
    nodes = now.nodes - memory.nodes, bytes = now.live - memory.live }
end

local function run(name, body)
  local folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir " .. folder))
  local expected = body.run(folder)
  for _ = 1, 2 do assert(body.run(folder) == expected, name .. ": does not repeat itself") end
  local state, tries, raised = modes(), 0, 0
  local idle = 0 -- blocks that a try leaves in which nothing fails: the strings and tables of the try itself
  for _ = 1, 3 do idle = math.max(idle, try(name, body, folder, expected, math.maxinteger >> 1, 1).blocks) end
  local function leaks(got) return got.tensors > 0 or got.nodes > 0 or got.bytes > 0 or got.blocks > idle end
  for _, n in ipairs { 1, 3, 0 } do
    local k = offset
    while true do
      local got = try(name, body, folder, expected, k, n)
      tries, raised = tries + 1, raised + (got.raised and 1 or 0)
      -- What grows once (a list that doubled) is no leak: it has to grow each time.
      local growing = leaks(got)
      for i = 1, growing and 10 or 0 do
        local before = got.all
        got = try(name, body, folder, expected, k, n)
        if got.unfinished then growing = false end
        if i > 2 and got.all <= before and got.tensors <= 0 and got.nodes <= 0 then growing = false end
      end
      if growing then
        complain(name, k, n, ("left behind each time: %d tensors, %d nodes, %d bytes; %d blocks"):format(got.tensors, got.nodes, got.bytes,
          got.blocks))
      end
      if modes() ~= state then complain(name, k, n, "modes: " .. state .. " became " .. modes()) end
      if body.check then
        local fine, why = pcall(body.check, folder)
        if not fine then complain(name, k, n, "the old file: " .. tostring(why)) end
      end
      if got.refused == 0 and k > got.seen then break end
      k = k + every
    end
  end
  assert(body.run(folder) == expected, name .. ": after all that it gives another result")
  os.execute("rm -r " .. folder)
  print(("# %s: %d tries, %d raised"):format(name, tries, raised))
end

for _, body in ipairs(bodies) do
  if not next(chosen) or chosen[body.name] then
    local before = bad
    run(body.name, body)
    if bad == before then print("ok " .. body.name) end
  end
end
os.exit(bad == 0)
