-- Layers of products: linear.
local ms = require "mascon"
local kit = require "mascon.layers.kit"
local layer, kinds = kit.layer, kit.kinds

-- nn.linear(inputs, outputs [, {bias = true}]): x w' + b; weight outputs x inputs. Both ~ U(+-1/sqrt(inputs)).
local Linear = layer("linear", 2, { { "inputs", kinds.count }, { "outputs", kinds.count }, { "bias", kinds.boolean, true } },
  function(self)
    self.weight = kit.uniform({ self.outputs, self.inputs }, self.inputs)
    kit.bias(self, self.outputs, self.inputs)
  end)
function Linear:forward(x) return ms.linear(x, self.weight, self.bias) end
