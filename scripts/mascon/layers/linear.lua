-- Layers of products.
local ms = require "mascon"
local options = require "mascon.options"
local states = require "mascon.state"
local kit = require "mascon.layers.kit"
local layer, kinds = kit.layer, kit.kinds

-- nn.linear(inputs, outputs [, {bias = true}]): x w' + b; weight outputs x inputs. Both ~ U(+-1/sqrt(inputs)).
local Linear = layer("linear", 2, { { "inputs", kinds.count }, { "outputs", kinds.count }, { "bias", kinds.boolean, true } },
  function(self)
    self.weight = kit.uniform({ self.outputs, self.inputs }, self.inputs)
    kit.bias(self, self.outputs, self.inputs)
  end)
function Linear:forward(x) return ms.linear(x, self.weight, self.bias) end

-- nn.bilinear(inputs1, inputs2, outputs [, {bias = true}]): m(x1, x2) = x1' w x2 + b for each output; weight outputs x inputs1 x inputs2.
-- Both ~ U(+-1/sqrt(inputs1)).
local Bilinear = layer("bilinear", 3, { { "inputs1", kinds.count }, { "inputs2", kinds.count }, { "outputs", kinds.count },
  { "bias", kinds.boolean, true } }, function(self)
  self.weight = kit.uniform({ self.outputs, self.inputs1, self.inputs2 }, self.inputs1)
  kit.bias(self, self.outputs, self.inputs1)
end)
function Bilinear:forward(x1, x2)
  if not states.is_tensor(x2) then options.raise("bilinear: expected two tensors, got %s as the second", states.word(x2)) end
  return ms.bilinear(x1, x2, self.weight, self.bias)
end
Bilinear.__call, Bilinear._layer = nil, nil -- it takes two tensors
