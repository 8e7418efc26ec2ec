-- Layers that change the shape only, or nothing.
local ms = require "mascon"
local options = require "mascon.options"
local kit = require "mascon.layers.kit"
local layer, kinds = kit.layer, kit.kinds

-- nn.identity(): x
local Identity = layer("identity", 0, {})
function Identity.forward(_, x) return x end

-- nn.flatten([start = 2 [, stop = -1]]): dimensions start..stop as one
local Flatten = layer("flatten", 2, { { "start", kinds.dimension, 2 }, { "stop", kinds.dimension, -1 } })
function Flatten:forward(x) return ms.flatten(x, self.start, self.stop) end
function Flatten:extra() return self.stop == -1 and tostring(self.start) or ("%d, %d"):format(self.start, self.stop) end

-- nn.unflatten(sizes...): N x (product) to N x sizes
local Unflatten = kit.class "unflatten"
function Unflatten:init(...)
  local sizes = ...
  sizes = select("#", ...) == 1 and type(sizes) == "table" and { table.unpack(sizes) } or { ... }
  if #sizes == 0 then options.raise "nn.unflatten: expected sizes: nn.unflatten(1, 28, 28)" end
  for i = 1, math.max(#sizes, select("#", ...)) do options.count("nn.unflatten", "size " .. i, sizes[i]) end
  self.sizes = sizes
end
function Unflatten:forward(x) return x:reshape { #x, table.unpack(self.sizes) } end
function Unflatten:extra() return table.concat(self.sizes, ", ") end
