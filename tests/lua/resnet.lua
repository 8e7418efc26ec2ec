-- resnet: ResNet-18 (He et al., Deep Residual Learning for Image Recognition, 2015) as torchvision builds it, out of nn: for a test
-- (test_resnet.lua) and a measurement (tests/bench/resnet.lua). Its names are torchvision's.
local ms = require "mascon"
local nn = ms.nn

local function conv3(i, o, stride) return nn.conv2d(i, o, 3, { stride = stride, padding = 1, bias = false }) end

-- Two convolutions 3 x 3 and a way around them.
local Block = nn.class "basic_block"
function Block:init(i, o, stride)
  self.conv1, self.bn1 = conv3(i, o, stride), nn.batch_norm2d(o)
  self.conv2, self.bn2 = conv3(o, o, 1), nn.batch_norm2d(o)
  if stride ~= 1 or i ~= o then
    self.downsample = nn.sequential { nn.conv2d(i, o, 1, { stride = stride, bias = false }), nn.batch_norm2d(o) }
  end
end
function Block:forward(x)
  local y = self.bn1(self.conv1(x)):relu()
  y = self.bn2(self.conv2(y))
  return (y + (self.downsample and self.downsample(x) or x)):relu()
end

local ResNet = nn.class "resnet18"
-- width: channels of the first stage (64); each stage has twice as many as the one before it.
function ResNet:init(classes, width)
  self.conv1 = nn.conv2d(3, width, 7, { stride = 2, padding = 3, bias = false })
  self.bn1, self.maxpool = nn.batch_norm2d(width), nn.max_pool2d(3, { stride = 2, padding = 1 })
  local i = width
  for stage = 1, 4 do
    local o = width * 2 ^ (stage - 1) // 1 | 0
    self["layer" .. stage] = nn.sequential { Block(i, o, stage > 1 and 2 or 1), Block(o, o, 1) }
    i = o
  end
  self.avgpool, self.fc = nn.adaptive_avg_pool2d(1), nn.linear(i, classes)
  for _, m in ipairs(self:modules()) do
    if m.__name == "conv2d" then nn.init.kaiming_normal_(m.weight, { mode = "fan_out", nonlinearity = "relu" }) end
  end
end
function ResNet:forward(x)
  x = self.maxpool(self.bn1(self.conv1(x)):relu())
  x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
  return self.fc(self.avgpool(x):flatten(2))
end

return ResNet
