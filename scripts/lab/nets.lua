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

return nets
