-- Convolutions and transposed convolutions.
local ms = require "mascon"
local options = require "mascon.options"
local kit = require "mascon.layers.kit"
local layer, kinds = kit.layer, kit.kinds

-- nn.conv2d(channels in, out, size [, {stride = 1, padding = 0, dilation = 1, groups = 1, bias = true}]): size, stride, padding and
-- dilation are numbers or {height, width}.
local function grouped(self, what)
  local i, o, g = self.inputs, self.outputs, self.groups
  if i % g ~= 0 or o % g ~= 0 then options.raise("%s: groups %d does not divide %d channels in and %d out", what, g, i, o) end
  return kit.both(self.size)
end
local Conv2d = layer("conv2d", 3, { { "inputs", kinds.count }, { "outputs", kinds.count }, { "size", kinds.sizes },
  { "stride", kinds.sizes, 1 }, { "padding", kinds.margins, 0 }, { "dilation", kinds.sizes, 1 }, { "groups", kinds.count, 1 },
  { "bias", kinds.boolean, true } }, function(self)
  local h, w = grouped(self, "nn.conv2d")
  local fan_in = self.inputs // self.groups * h * w
  self.weight = kit.uniform({ self.outputs, self.inputs // self.groups, h, w }, fan_in)
  kit.bias(self, self.outputs, fan_in)
end)
function Conv2d:forward(x)
  return ms.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
end

-- nn.conv_transpose2d(channels in, out, size [, {stride = 1, padding = 0, output_padding = 0, dilation = 1, groups = 1, bias = true}])
local ConvTranspose2d = layer("conv_transpose2d", 3, { { "inputs", kinds.count }, { "outputs", kinds.count }, { "size", kinds.sizes },
  { "stride", kinds.sizes, 1 }, { "padding", kinds.margins, 0 }, { "output_padding", kinds.margins, 0 }, { "dilation", kinds.sizes, 1 },
  { "groups", kinds.count, 1 }, { "bias", kinds.boolean, true } }, function(self)
  local h, w = grouped(self, "nn.conv_transpose2d")
  local fan_in = self.outputs // self.groups * h * w -- PyTorch's
  self.weight = kit.uniform({ self.inputs, self.outputs // self.groups, h, w }, fan_in)
  kit.bias(self, self.outputs, fan_in)
end)
function ConvTranspose2d:forward(x)
  return ms.conv_transpose2d(x, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.dilation, self.groups)
end
