-- Pooling.
local ms = require "mascon"
local kit = require "mascon.layers.kit"
local layer, kinds = kit.layer, kit.kinds

-- nn.avg_pool2d(size [, {stride = size, padding = 0}]), nn.max_pool2d likewise
for _, name in ipairs { "avg_pool2d", "max_pool2d" } do
  local f = ms[name]
  local class = layer(name, 1, { { "size", kinds.sizes }, { "stride", kinds.sizes, optional = true }, { "padding", kinds.margins, 0 } },
    function(self)
      if self.stride == nil then self.stride = self.size end
    end)
  function class:forward(x) return (f(x, self.size, self.stride, self.padding)) end
end
