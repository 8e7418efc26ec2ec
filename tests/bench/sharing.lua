-- sharing: one training of W2's size for some seconds, and what a step took (tests/bench/sharing.sh starts it beside other programs).
--
--   mascon tests/bench/sharing.lua SECONDS     prints the milliseconds per step, from the first second on; without the longest step, which
--                                              may be one in which the process was stopped
local ms = require "mascon"
local model = require("models").W2
local clock = require("mascon.term").time
local seconds = tonumber(arg[1]) or 4
local step = ms.compile(model.make())
ms.seed(1)
local x, y = ms.rand { model.batch, 784 }, ms.randint(1, 10, { model.batch })

local function run()
  local _ <close> = ms.scope()
  return step(x, y)
end

local function spend(time)
  local begin, n, longest = clock(), 0, 0
  local before, now = begin, begin
  while now - begin < time do
    run()
    now = clock()
    longest = math.max(longest, now - before)
    before, n = now, n + 1
  end
  return (now - begin - longest) / math.max(n - 1, 1)
end

for _ = 1, 10 do run() end
spend(1)
print(("%.3f"):format(1e3 * spend(seconds)))
