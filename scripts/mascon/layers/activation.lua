-- Elementwise functions, softmax and its kin as layers.
local ms = require "mascon"
local options = require "mascon.options"
local states = require "mascon.state"
local kit = require "mascon.layers.kit"
local nn, layer, kinds = kit.nn, kit.layer, kit.kinds

-- The operation `name` with these arguments behind x, by position or by name, kept as fields.
local function activation(name, ...)
  local takes, f = { ... }, ms[name]
  local a, b = takes[1] and takes[1][1], takes[2] and takes[2][1]
  local class = layer(name, #takes, takes)
  if b then
    function class:forward(x) return f(x, self[a], self[b]) end
  elseif a then
    function class:forward(x) return f(x, self[a]) end
  else
    function class.forward(_, x) return f(x) end
  end
end

for _, name in ipairs { "relu", "relu6", "silu", "selu", "mish", "sigmoid", "tanh", "hardsigmoid", "hardswish", "logsigmoid", "softsign",
  "tanhshrink" } do
  activation(name)
end

-- nn.gelu([approximate = "none"]): or "tanh", PyTorch's approximation
activation("gelu", { "approximate", kinds.one_of("none", "tanh"), "none" })
-- nn.leaky_relu([negative_slope = 0.01]): x where x > 0, else negative_slope x
activation("leaky_relu", { "negative_slope", kinds.number, 0.01 })
-- nn.elu([alpha = 1]): x where x > 0, else alpha (exp(x) - 1)
activation("elu", { "alpha", kinds.number, 1.0 })
local function not_0(v) return v ~= 0 and kinds.number(v) or nil, "a finite number that is not 0" end
-- nn.celu([alpha = 1]): x where x > 0, else alpha (exp(x / alpha) - 1)
activation("celu", { "alpha", not_0, 1.0 })
-- nn.softplus([beta = 1 [, threshold = 20]]): log(1 + exp(beta x)) / beta; x where beta x > threshold
activation("softplus", { "beta", kinds.number, 1.0 }, { "threshold", kinds.number, 20 })
-- nn.hardtanh([min_val = -1 [, max_val = 1]]): x kept between the two
activation("hardtanh", { "min_val", kinds.number, -1 }, { "max_val", kinds.number, 1 })
local Hardtanh = nn.hardtanh
local read_bounds = Hardtanh.init
function Hardtanh:init(...)
  read_bounds(self, ...)
  if not (self.min_val < self.max_val) then
    options.raise("nn.hardtanh: min_val is %g, max_val %g, expected min_val < max_val", self.min_val, self.max_val)
  end
end
-- nn.hardshrink([lambd = 0.5]): x, 0 where |x| <= lambd
activation("hardshrink", { "lambd", kinds.positive, 0.5 })
-- nn.softshrink([lambd = 0.5]): x moved by lambd towards 0, 0 where |x| <= lambd
activation("softshrink", { "lambd", kinds.positive, 0.5 })
-- nn.threshold(threshold, value): x where x > threshold, else value
activation("threshold", { "threshold", kinds.number }, { "value", kinds.number })
-- nn.glu([dim = -1]): the first half of dimension dim times the sigmoid of the second
activation("glu", { "dim", kinds.dimension, -1 })
-- nn.softmax([dim = -1]), nn.log_softmax([dim = -1]), nn.softmin([dim = -1])
for _, name in ipairs { "softmax", "log_softmax", "softmin" } do activation(name, { "dim", kinds.dimension, -1 }) end

-- nn.softmax2d(): softmax over the channels of N x C x H x W or C x H x W
local Softmax2d = layer("softmax2d", 0, {})
function Softmax2d.forward(_, x)
  local rank = x:dim()
  if rank ~= 3 and rank ~= 4 then
    options.raise("softmax2d: expected N x C x H x W or C x H x W, got %s", states.sizes(x))
  end
  return ms.softmax(x, -3)
end

-- nn.prelu([num_parameters = 1 [, init = 0.25]]): x where x > 0, else weight x; one weight, or one per channel
local Prelu = layer("prelu", 2, { { "num_parameters", kinds.count, 1 }, { "init", kinds.number, 0.25 } }, function(self)
  self.weight = nn.parameter(ms.full({ self.num_parameters }, self.init))
end)
function Prelu:forward(x) return ms.prelu(x, self.weight) end

-- nn.rrelu([lower = 1/8 [, upper = 1/3]]): x where x > 0, else a slope times x: while training a random one for each element, else the
-- middle
local Rrelu = layer("rrelu", 2, { { "lower", kinds.number, 1 / 8 }, { "upper", kinds.number, 1 / 3 } })
function Rrelu:forward(x) return ms.rrelu(x, self.lower, self.upper, self.training) end
