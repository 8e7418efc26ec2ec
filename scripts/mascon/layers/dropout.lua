-- Layers that leave out parts at random while training.
local ms = require "mascon"
local kit = require "mascon.layers.kit"
local layer, kinds = kit.layer, kit.kinds

-- nn.dropout([p = 0.5]): in training, elements become 0 with probability p, the others x / (1 - p)
--
-- nn.dropout1d([p = 0.5]): the same with whole channels of N x C x L or C x L; nn.dropout2d of N x C x H x W (or N x C x L)
--
-- nn.dropout2d([p = 0.5]): the same with whole channels of N x C x H x W (or N x C x L)
--
-- nn.alpha_dropout([p = 0.5]): for selu: mean 0 and variance 1 stay; elements become selu's lowest value with probability p
--
-- nn.feature_alpha_dropout([p = 0.5]): the same with whole channels of N x C x ...
for _, name in ipairs { "dropout", "dropout1d", "dropout2d", "alpha_dropout", "feature_alpha_dropout" } do
  local f = ms[name]
  local class = layer(name, 1, { { "p", kinds.probability, 0.5 } })
  function class:forward(x) return f(x, self.p, self.training) end
end
