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

-- nn.unflatten(dim, sizes): dimension dim as several, whose sizes are a list; one may be -1. nn.unflatten(sizes...) is dimension 2.
local Unflatten = kit.class "unflatten"
function Unflatten:init(dim, sizes, ...)
  if type(sizes) == "table" then
    options.none("nn.unflatten", ...)
    if not kinds.dimension(dim) then
      options.raise("nn.unflatten: dim: expected a dimension from 1 on or from the end, got %s", tostring(dim))
    end
    self.dim = kinds.dimension(dim)
  elseif type(dim) == "table" then
    options.none("nn.unflatten", sizes, ...)
    self.dim, sizes = 2, dim
  else
    self.dim, sizes = 2, { dim, sizes, ... }
  end
  if #sizes == 0 then options.raise "nn.unflatten: expected sizes: nn.unflatten(2, { 1, 28, 28 })" end
  local list, open = {}, 0
  for i, n in ipairs(sizes) do
    open = open + (n == -1 and 1 or 0)
    list[i] = n == -1 and -1 or options.count("nn.unflatten", "size " .. i, n)
  end
  if open > 1 then options.raise "nn.unflatten: one size may be -1, not several" end
  self.sizes = list
end
function Unflatten:forward(x) return ms.unflatten(x, self.dim, self.sizes) end
function Unflatten:extra()
  local sizes = table.concat(self.sizes, ", ")
  return self.dim == 2 and sizes or ("%d, { %s }"):format(self.dim, sizes)
end
