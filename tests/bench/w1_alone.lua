-- W1 on one batch, 300 steps: what a program needs in memory besides its data.
local ms = require "mascon"
local model = require("models").W1
local step = ms.compile(model.make())
local x, y = ms.rand { model.batch, 784 }, ms.randint(1, 10, { model.batch })
local loss
for _ = 1, 300 do
  local scope <close> = ms.scope()
  loss = scope:keep(step(x, y))
end
print(loss:item())
