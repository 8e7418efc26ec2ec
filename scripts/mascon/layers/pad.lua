-- Padding at the ends of the last one or two dimensions.
local ms = require "mascon"
local options = require "mascon.options"
local states = require "mascon.state"
local kit = require "mascon.layers.kit"
local layer, kinds = kit.layer, kit.kinds

local WORDS = { [2] = "a whole number or { left, right }", [4] = "a whole number or { left, right, top, bottom }" }

-- One number for all n sides, or a list of them; negative ones cut off.
local function sides(n)
  return function(v)
    local list = {}
    for i = 1, n do
      local side = type(v) == "table" and v[i] or v
      list[i] = type(side) == "number" and math.tointeger(side) or nil
    end
    local whole = #list == n and (type(v) ~= "table" or #v == n)
    return whole and list or nil, WORDS[n]
  end
end

-- nn.constant_pad1d(padding, value) of N x C x L or C x L, nn.constant_pad2d(padding, value) of N x C x H x W or C x H x W
--
-- nn.zero_pad1d(padding), nn.reflection_pad1d(padding), nn.replication_pad1d(padding), nn.circular_pad1d(padding), and the same with 2d:
-- padding is a number or { left, right }, of 2d { left, right, top, bottom }. See ?pad.
for _, d in ipairs { 1, 2 } do
  local n, lowest = 2 * d, d + 1
  for name, mode in pairs { constant = "constant", zero = "constant", reflection = "reflect", replication = "replicate",
    circular = "circular" } do
    local takes = { { "padding", sides(n) } }
    if name == "constant" then takes[2] = { "value", kinds.number } end
    local class = layer(("%s_pad%dd"):format(name, d), #takes, takes)
    function class:forward(x)
      if x:dim() ~= lowest and x:dim() ~= lowest + 1 then
        options.raise("%s: expected %d or %d dimensions, got %s", self.__name, lowest, lowest + 1, states.sizes(x))
      end
      return ms.pad(x, self.padding, mode, self.value or 0)
    end
  end
end
