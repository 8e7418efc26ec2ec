-- Layers that bring values to mean 0 and variance 1.
local ms = require "mascon"
local kit = require "mascon.layers.kit"
local nn, layer, kinds = kit.nn, kit.layer, kit.kinds

-- nn.batch_norm(channels [, {eps = 1e-5, momentum = 0.1, affine = true, track = true}]): for N x C and N x C x H x W alike.
local BatchNorm = layer("batch_norm", 1, { { "channels", kinds.count }, { "eps", kinds.positive, 1e-5 },
  { "momentum", kinds.positive, 0.1 }, { "affine", kinds.boolean, true }, { "track", kinds.boolean, true } }, function(self)
  if self.affine then
    self.weight = nn.parameter(ms.ones { self.channels })
    self.bias = nn.parameter(ms.zeros { self.channels })
  end
  if self.track then
    self:register_buffer("running_mean", ms.zeros { self.channels })
    self:register_buffer("running_var", ms.ones { self.channels })
  end
end)
nn.batch_norm1d, nn.batch_norm2d = BatchNorm, BatchNorm
function BatchNorm:forward(x)
  return ms.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, self.training or not self.track, self.momentum,
    self.eps)
end
