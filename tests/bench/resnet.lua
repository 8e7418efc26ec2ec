-- A training step of ResNet-18 (batch 16, 3 x 64 x 64, SGD with momentum); PyTorch's side is tests/peers/bench_resnet.py, with the same
-- arguments.
--
--   mascon tests/bench/resnet.lua [--eager] [--batch 16] [--size 64] [--seconds 10]
--
-- Prints milliseconds per step (median), and the process's peak memory in MB: all of it, and what was there before the net was made.
package.path = "tests/lua/?.lua;" .. package.path
local ms = require "mascon"
local ResNet = require "resnet"
local nn = ms.nn
local o = ms.args { batch = 16, size = 64, seconds = 10.0, eager = false, report = false }

local function peak()
  for line in io.lines "/proc/self/status" do
    local kb = line:match "^VmHWM:%s+(%d+)"
    if kb then return tonumber(kb) / 1024 end
  end
end

local before = peak()
ms.seed(1)
local net = ResNet(1000, 64)
local x, y = ms.randn { o.batch, 3, o.size, o.size }, ms.randint(1, 1000, { o.batch })
local sgd = ms.optim.sgd(net:parameters(), { lr = 0.01, momentum = 0.9 })
local function train(images, labels)
  local loss = nn.cross_entropy(net(images), labels)
  sgd:zero_grad()
  loss:backward()
  sgd:step()
  return loss
end
local step = o.eager and train or ms.compile(train)

for _ = 1, 5 do step(x, y) end
local times, begun = {}, ms.time()
while ms.time() - begun < o.seconds do
  local t = ms.time()
  local scope <close> = ms.scope() -- luacheck: ignore 211
  step(x, y):item()
  times[#times + 1] = ms.time() - t
end
table.sort(times)
local now = peak()
print(("mascon %s: %.1f ms per step (least %.1f), peak %.0f MB, %.0f MB more than before the net"):format(o.eager and "eager" or "compiled",
  1000 * times[#times // 2 + 1], 1000 * times[1], now, now - before))
if o.report then print(step:profile(3, x, y)) end
