-- nets: the autoencoders of the representation laboratory, which its exercises use, too. Each is a sequence of two, encoder and decoder.
local ms = require "mascon"
local nn = ms.nn
local nets = {}

-- How MNIST is normalised everywhere in the laboratory.
nets.normalize = { mean = 0.1307, std = 0.3081 }

-- Fully connected, 784-256-128 and back: images to codes of 128 numbers. 468,368 parameters.
function nets.fc()
  return nn.sequential {
    nn.sequential { nn.flatten(), nn.linear(784, 256), nn.relu(), nn.linear(256, 128), nn.relu() },
    nn.sequential { nn.linear(128, 256), nn.relu(), nn.linear(256, 784), nn.unflatten(1, 28, 28) },
  }
end

local function conv(from, to) return nn.conv2d(from, to, 3, { padding = 1 }) end

-- Convolutional, codes 4 x 7 x 7. 3,221 parameters.
function nets.conv()
  return nn.sequential {
    nn.sequential { conv(1, 16), nn.avg_pool2d(2), nn.relu(), conv(16, 8), nn.avg_pool2d(2), nn.relu(), conv(8, 4), nn.relu() },
    nn.sequential { conv(4, 8), nn.upsample(2), nn.relu(), conv(8, 16), nn.upsample(2), nn.relu(), conv(16, 1) },
  }
end

-- For the exercise that combines what the others try: strides instead of pooling, batch normalisation, and a linear layer on top that sees
-- the whole image. Codes of `codes` numbers, none below 0.
function nets.combined(codes, width)
  local w = width
  local function down(from, to)
    return nn.sequential { nn.conv2d(from, to, 3, { stride = 2, padding = 1, bias = false }), nn.batch_norm2d(to), nn.relu() }
  end
  return nn.sequential {
    nn.sequential { down(1, w), down(w, 2 * w), nn.flatten(), nn.linear(2 * w * 49, codes), nn.relu() },
    nn.sequential { nn.linear(codes, 2 * w * 49), nn.relu(), nn.unflatten(2, { 2 * w, 7, 7 }), nn.upsample(2), conv(2 * w, w), nn.relu(),
      nn.upsample(2), conv(w, 1) },
  }
end

-- Noise for images of MNIST as normalised above: a function of a batch. Normal noise of that standard deviation; before it each image is
-- turned and sheared by up to `degrees`, shifted by up to a tenth and scaled by up to 15 %, unless degrees is 0.
function nets.noise(deviation, degrees)
  local move = degrees > 0 and ms.transforms.random_affine(degrees, { translate = { 0.1, 0.1 }, scale = { 0.85, 1.15 }, shear = degrees,
    fill = -nets.normalize.mean / nets.normalize.std, interpolation = "bilinear" })
  return function(x)
    if move then x = move(x) end
    return x + deviation * x:randn_like()
  end
end

-- Residual block: two convolutions whose result is added to what went in, which a convolution of one pixel fits where sizes differ.
local Residual = nn.class "Residual"
function Residual:init(from, to, stride)
  local function layer(a, b, k, s)
    return nn.sequential { nn.conv2d(a, b, k, { stride = s, padding = k // 2, bias = false }), nn.batch_norm2d(b) }
  end
  self.first = layer(from, to, 3, stride)
  self.second = layer(to, to, 3, 1)
  self.short = (from ~= to or stride ~= 1) and layer(from, to, 1, stride) or nn.identity()
end
function Residual:forward(x) return (self.second(self.first(x):relu()) + self.short(x)):relu() end

-- Of residual blocks, for photographs of 64 x 64: codes of `codes` numbers, w channels in the first block. The result is between 0 and 1.
function nets.resnet(codes, w)
  return nn.sequential {
    nn.sequential { nn.conv2d(3, w, 3, { stride = 2, padding = 1, bias = false }), nn.batch_norm2d(w), nn.relu(), Residual(w, w, 1),
      Residual(w, 2 * w, 2), Residual(2 * w, 4 * w, 2), nn.flatten(), nn.linear(4 * w * 64, codes) },
    nn.sequential { nn.linear(codes, 4 * w * 64), nn.unflatten(2, { 4 * w, 8, 8 }), Residual(4 * w, 4 * w, 1), nn.upsample(2),
      Residual(4 * w, 2 * w, 1), nn.upsample(2), Residual(2 * w, w, 1), nn.upsample(2), conv(w, 3), nn.sigmoid() },
  }
end

return nets
