-- runs/set: `mascon set RUN lr=1e-4`: asks a run that runs to change options that it has declared live (runs/live.lua), and tells what came
-- of it.
local args = require "mascon.args"
local json = require "mascon.json"
local list = require "mascon.runs.list"
local system = require "mascon.system"
local text = require "mascon.text"

local function say(fmt, ...) io.stderr:write("mascon set: ", text.visible(fmt:format(...), true), "\n") end

local function shown(v) return type(v) == "table" and json.encode(v, { replace = true }) or tostring(v) end

-- What the run says about itself: names that are live, all options.
local function declared(d)
  local live, is_live = type(d.record.live) == "table" and d.record.live or {}, {}
  for _, name in ipairs(live) do is_live[name] = true end
  local now = {}
  for name, v in pairs(type(d.record.options) == "table" and d.record.options or {}) do now[name] = v end
  for name, v in pairs(type(d.record.set) == "table" and d.record.set or {}) do now[name] = v end
  return live, is_live, now
end

-- "--lr=1e-4", "lr=1e-4" -> lr, 1e-4
local function read(word)
  local name, value = word:match "^%-*([%a][%w_-]*)=(.*)$"
  return name and name:gsub("-", "_"), value
end

-- The lines that answer request `id`, one for each of `n` options, within `seconds`; those there are by then.
local function answers(dir, id, n, seconds)
  local left = seconds
  while true do
    local got, runs = {}, list.describe(dir).state == "running"
    for _, row in ipairs(list.lines(dir .. "/changes.jsonl")) do
      if row.id == id then got[#got + 1] = row end
    end
    if #got >= n or left <= 0 or not runs then return got end
    system.sleep(0.1)
    left = left - 0.1
  end
end

local function tell(rows)
  local code = 0
  for _, row in ipairs(rows) do
    if row.what == "set" then
      print(("%s: %s -> %s at step %d"):format(row.name, shown(row.from), shown(row.to), row.step))
    else
      code = 1
      say("refused: %s", tostring(row.why))
    end
  end
  return code
end

return function(...)
  local o = args.parse({ wait = 30.0 }, { name = "set", positional = "RUN [NAME=VALUE...]",
    describe = { wait = "seconds to wait for the run's answer" }, range = { wait = "[0, ]" },
    help = "Change options of a run while it runs: those that its script has declared live (run:live). Without values: which those are." },
    { ... })
  if not o[1] then
    say("expected the folder of a run, then NAME=VALUE (mascon ps lists the runs)")
    return 2
  end
  local dir, why = list.find(o[1])
  if not dir then
    say("%s", why)
    return 1
  end
  local d = list.describe(dir)
  local live, is_live, now = declared(d)
  if #o == 1 then
    for _, name in ipairs(live) do print(("%s = %s"):format(name, shown(now[name]))) end
    if #live == 0 then print(("%s has declared no option live (run:live in its script)"):format(dir)) end
    return 0
  end
  local set, n = {}, 0
  for i = 2, #o do
    local name, value = read(o[i])
    if not name then
      say("expected NAME=VALUE, got %s", text.show(o[i]))
      return 2
    end
    if not is_live[name] then
      local which = #live > 0 and "live are: " .. table.concat(live, ", ") or "it has declared none live (run:live)"
      if now[name] ~= nil then
        say("%s is not live in %s: its script reads it when it begins and does not look at it again; %s", name, dir, which)
      else
        say("%s has no option %s%s; %s", dir, name, text.hint(name, live), which)
      end
      return 1
    end
    if set[name] == nil then n = n + 1 end
    set[name] = value
  end
  if d.state ~= "running" then
    say("%s does not run: it is %s", dir, d.state)
    return 1
  end
  local id = ("%d-%d-%08x"):format(os.time(), system.pid(), math.random(0, 0xffffffff))
  local ok, message = system.append(dir .. "/set.jsonl", json.encode({ id = id, time = os.time(), set = set }, { replace = true }))
  if not ok then
    say("%s", message)
    return 1
  end
  local rows = answers(dir, id, n, o.wait)
  local code = tell(rows)
  if #rows < n then
    if list.describe(dir).state ~= "running" then
      say("%s has ended before it looked", dir)
      return 1
    end
    print(("sent; %s has not looked yet: it does at the end of a step of ms.progress, a loader or ms.fit, and of an epoch"):format(dir))
  end
  return code
end
