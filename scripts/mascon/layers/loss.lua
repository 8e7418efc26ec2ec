-- Losses: functions; reduction = "mean" (default), "sum" or "none".
local ms = require "mascon"
local nn = require "mascon.layers.kit".nn

for short, row in pairs { mse = "mse_loss", l1 = "l1_loss", bce = "bce_loss", bce_with_logits = "bce_with_logits", nll = "nll_loss",
  cross_entropy = "cross_entropy" } do
  nn[short] = ms[row]
  nn[row] = ms[row]
end
