-- Layers that move pixels and channels about.
local ms = require "mascon"
local kit = require "mascon.layers.kit"
local layer, kinds = kit.layer, kit.kinds

-- nn.pixel_shuffle(upscale_factor): ... x C r r x H x W to ... x C x H r x W r
--
-- nn.pixel_unshuffle(downscale_factor): back
--
-- nn.channel_shuffle(groups): channel i of group g becomes channel g of group i
for name, argument in pairs { pixel_shuffle = "upscale_factor", pixel_unshuffle = "downscale_factor", channel_shuffle = "groups" } do
  local f = ms[name]
  local class = layer(name, 1, { { argument, kinds.count } })
  function class:forward(x) return f(x, self[argument]) end
end

local geometry = { { "dilation", kinds.sizes, 1 }, { "padding", kinds.margins, 0 }, { "stride", kinds.sizes, 1 } }

-- nn.unfold(size [, {dilation = 1, padding = 0, stride = 1}]): N x C x H x W to N x (C KH KW) x L, windows as columns (ms.im2col)
local Unfold = layer("unfold", 1, { { "size", kinds.sizes }, table.unpack(geometry) })
function Unfold:forward(x) return ms.im2col(x, self.size, self.dilation, self.padding, self.stride) end

-- nn.fold(output_size, size [, {dilation = 1, padding = 0, stride = 1}]): columns added up to images (ms.col2im)
local Fold = layer("fold", 2, { { "output_size", kinds.sizes }, { "size", kinds.sizes }, table.unpack(geometry) })
function Fold:forward(x) return ms.col2im(x, self.output_size, self.size, self.dilation, self.padding, self.stride) end
