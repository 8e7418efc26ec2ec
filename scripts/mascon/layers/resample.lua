-- Layers that make images larger or smaller by interpolation.
local ms = require "mascon"
local options = require "mascon.options"
local kit = require "mascon.layers.kit"
local layer, kinds = kit.layer, kit.kinds

-- nn.upsample(factor [, mode = "nearest" [, {align_corners = false}]]), nn.upsample {size = ..., mode = ...}: images N x C x H x W, or
-- signals N x C x L, factor times as large (a number or {height, width}, fractions too), or of a size; mode "nearest", "nearest-exact",
-- "linear" (signals), "bilinear", "bicubic" or "area". By position the factor comes first (PyTorch's size does).
local Upsample = layer("upsample", 2, { { "factor", kinds.factors, optional = true },
  { "mode", kinds.one_of("nearest", "linear", "bilinear", "bicubic", "area", "nearest-exact"), "nearest" },
  { "size", kinds.sizes, optional = true }, { "align_corners", kinds.boolean, false } }, function(self)
  if (self.factor == nil) == (self.size == nil) then
    options.raise("nn.upsample: expected factor or size, got %s", self.factor and "both" or "none")
  end
end)
function Upsample:forward(x) return ms.interpolate(x, self.size, self.factor, self.mode, self.align_corners) end
