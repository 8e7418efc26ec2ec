-- Layers that make images larger or smaller by interpolation.
local ms = require "mascon"
local kit = require "mascon.layers.kit"
local layer, kinds = kit.layer, kit.kinds

-- nn.upsample(factor [, mode = "nearest"]): mode "nearest", "bilinear" or "bicubic"; factor a number or {height, width}
local Upsample = layer("upsample", 2,
  { { "factor", kinds.sizes }, { "mode", kinds.one_of("nearest", "bilinear", "bicubic"), "nearest" } })
function Upsample:forward(x)
  local h, w = kit.both(self.factor)
  return ms.interpolate(x, { x:size(3) * h, x:size(4) * w }, self.mode)
end
