-- Elementwise functions, softmax and its kin as layers.
local ms = require "mascon"
local kit = require "mascon.layers.kit"
local layer, kinds = kit.layer, kit.kinds

-- forward(x) = f(x)
for _, name in ipairs { "relu", "gelu", "silu", "sigmoid", "tanh", "softplus", "logsigmoid" } do
  local f = ms[name]
  local class = layer(name, 0, {})
  function class.forward(_, x) return f(x) end
end

-- nn.leaky_relu([negative_slope = 0.01]): x where x > 0, else negative_slope x
--
-- nn.elu([alpha = 1]): x where x > 0, else alpha (exp(x) - 1)
--
-- nn.softmax([dim = -1]), nn.log_softmax([dim = -1])
for name, takes in pairs { leaky_relu = { "negative_slope", kinds.number, 0.01 }, elu = { "alpha", kinds.number, 1.0 },
  softmax = { "dim", kinds.dimension, -1 }, log_softmax = { "dim", kinds.dimension, -1 } } do
  local f, key = ms[name], takes[1]
  local class = layer(name, 1, { takes })
  function class:forward(x) return f(x, self[key]) end
end
