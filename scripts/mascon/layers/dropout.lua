-- Layers that leave out parts at random while training.
local ms = require "mascon"
local kit = require "mascon.layers.kit"
local layer, kinds = kit.layer, kit.kinds

-- nn.dropout([p = 0.5]): in training, elements become 0 with probability p, the others x / (1 - p)
local Dropout = layer("dropout", 1, { { "p", kinds.probability, 0.5 } })
function Dropout:forward(x) return ms.dropout(x, self.p, self.training) end
