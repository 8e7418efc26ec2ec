-- pulse: the moments of a running program at which somebody may look in: the end of each step of a loop that the library offers
-- (ms.progress, a loader, ms.fit) and of each epoch (run:epoch). A change of a live option (runs/live.lua) or of the script itself
-- (watch.lua) takes effect there and nowhere else; what a run says of itself (runs/status.lua) is written there.
--
-- Nobody who looks costs two comparisons a step; who looks is asked a few times a second at most.
local term = require "mascon.term"
local pulse = {}

local listeners = {}
local due = math.huge -- when the first of them wants to be asked
local bars, batches = 0, 0 -- steps since the last line of metrics: of bars, of loaders
local base, bar, exact = 0, nil, nil
local looking = false

local function looked()
  looking, due = false, math.huge
  for _, l in ipairs(listeners) do due = math.min(due, l.due) end
end

local function look(now)
  local inside = package.loaded["mascon.inside"]
  if looking or inside and inside.recording() then return end -- a step that is recorded must not see its own functions change
  looking = true
  local back <close> = setmetatable({}, { __close = looked }) -- luacheck: ignore back
  for _, l in ipairs { table.unpack(listeners) } do
    if now >= l.due then
      l.due = now + l.seconds
      l.f(now)
    end
  end
end

-- pulse.every(seconds, f): f(now) is called at most so often from now on; pulse.stop(f) ends it.
function pulse.every(seconds, f)
  listeners[#listeners + 1] = { f = f, seconds = seconds, due = 0 }
  due = 0
end

function pulse.stop(f)
  for i = #listeners, 1, -1 do
    if listeners[i].f == f then table.remove(listeners, i) end
  end
end

-- A step of the loop around which `b` is drawn has ended.
function pulse.step(b)
  bar, bars = b, bars + 1
  if due == math.huge then return end
  local now = term.time()
  if now >= due then look(now) end
end

-- A loader is asked for its next batch.
function pulse.batch()
  batches = batches + 1
  if due == math.huge then return end
  local now = term.time()
  if now >= due then look(now) end
end

-- An epoch has ended, and its line of metrics (with `step` in it, if it has one) is written: all who look are asked.
function pulse.epoch(step)
  base = math.type(step) == "integer" and step or base + (bars > 0 and bars or batches)
  bars, batches = 0, 0
  if due == math.huge then return end
  for _, l in ipairs(listeners) do l.due = 0 end
  look(term.time())
end

-- pulse.tell(step): whoever counts the steps says how many they are (ms.fit); nil: it does no more.
function pulse.tell(step) exact = step end

-- pulse.begin(step): a run begins, or goes on after so many steps.
function pulse.begin(step) base, bars, batches, exact = step or 0, 0, 0, nil end

-- pulse.now() -> the number of the step: what was told; else that of the last line of metrics, and the steps of bars since (of loaders
-- where there is no bar); pulse.bar() -> the bar that moved last, while its loop runs.
function pulse.now() return exact or base + (bars > 0 and bars or batches) end
function pulse.bar() return bar and not bar.ended and bar or nil end

return pulse
