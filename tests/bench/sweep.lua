-- sweep: sixteen copies of experiment 5's fully connected net in one step (ms.sweep) against sixteen compiled steps of one, in turn.
--
--   mascon tests/bench/sweep.lua [--rounds 12] [--cpu]          --cpu: processor time in place of the clock's, for a machine that is not
--   free
--
-- Prints the least times of both, their ratio (the bar: 0.6 on two cores), and the median of the ratios of the rounds.
package.path = (arg[0]:match "^(.*/)" or "./") .. "?.lua;" .. package.path
local ms = require "mascon"
local formula = require "formula"
local models = require "models"
local o = ms.args { rounds = 12, cpu = false }

local COPIES, BATCH, BATCHES = 16, 64, 20
local x, y = formula.tensor(13, { BATCH * BATCHES, 3072 }, 0, 1), formula.labels(14, BATCH * BATCHES, 10)
local xs, ys = x:split(BATCH), y:split(BATCH)
local one, all = ms.compile(models.single.make()), models.sweep(COPIES)
local clock = o.cpu and os.clock or ms.time

-- Seconds of n calls of f.
local function time(n, f)
  local begin = clock()
  for i = 1, n do
    local scope <close> = ms.scope() -- luacheck: ignore scope
    f(xs[i % BATCHES + 1], ys[i % BATCHES + 1])
  end
  return clock() - begin
end
local function sweep_step(a, b) return all:step(a, b) end

time(8, one)
time(8, sweep_step)
local singles, sweep, ratios = math.huge, math.huge, {}
for r = 1, o.rounds do
  local a, b = time(4 * COPIES, one) / 4, time(4, sweep_step) / 4
  singles, sweep, ratios[r] = math.min(singles, a), math.min(sweep, b), b / a
end
table.sort(ratios)
print(("%d single steps %.2f ms, one step of %d copies %.2f ms: %.2f (median of rounds %.2f)"):format(COPIES, singles * 1e3, COPIES,
  sweep * 1e3,
  sweep / singles, ratios[(#ratios + 1) // 2]))
