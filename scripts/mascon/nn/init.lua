-- nn.init: initial values (PyTorch's): in place, without gradients.
local ms = require "mascon"
local arguments = require "mascon.arguments"
local options = require "mascon.options"
local names = require "mascon.names"
local states = require "mascon.state"
local init = {}

-- init.name(t, arguments...), by position or by name; gives t.
local function filler(name, takes, f)
  local list = arguments.list("nn.init." .. name, #takes, table.unpack(takes))
  init[name] = function(t, ...)
    if not states.is_tensor(t) or not states.is_float(t) then
      options.raise("nn.init.%s: expected a floating tensor, got %s", name, states.is_tensor(t) and states.sizes(t) or type(t))
    end
    local o = list:read(...)
    local guard <close> = ms.no_grad()
    f(t, o)
    return t
  end
end

local function drawn(t, make, a, b) return t:copy_(make(t.shape, a, b, { dtype = t.dtype, device = t.device })) end

-- fan_in, fan_out of a weight out x in x window...
local function fans(t)
  local s, window = t.shape, 1
  if #s < 2 then options.raise("nn.init: a weight of two dimensions or more is needed, got %s", states.sizes(t)) end
  for i = 3, #s do window = window * s[i] end
  return s[2] * window, s[1] * window
end

local number, positive = arguments.kinds.number, arguments.kinds.positive
filler("uniform_", { { "low", number, 0 }, { "high", number, 1 } }, function(t, o) drawn(t, ms.rand, o.low, o.high) end)
filler("normal_", { { "mean", number, 0 }, { "std", positive, 1 } }, function(t, o) drawn(t, ms.randn, o.mean, o.std) end)
filler("constant_", { { "value", number } }, function(t, o) t:fill_(o.value) end)
filler("zeros_", {}, function(t) t:fill_(0) end)
filler("ones_", {}, function(t) t:fill_(1) end)
-- He et al. 2015; a: slope of the leaky ReLU that follows.
filler("kaiming_uniform_", { { "a", number, 0 } }, function(t, o)
  local bound = math.sqrt(6 / ((1 + o.a ^ 2) * fans(t)))
  drawn(t, ms.rand, -bound, bound)
end)
filler("kaiming_normal_", { { "a", number, 0 } }, function(t, o) drawn(t, ms.randn, 0, math.sqrt(2 / ((1 + o.a ^ 2) * fans(t)))) end)
-- Glorot and Bengio 2010.
filler("xavier_uniform_", { { "gain", number, 1 } }, function(t, o)
  local i, out = fans(t)
  local bound = o.gain * math.sqrt(6 / (i + out))
  drawn(t, ms.rand, -bound, bound)
end)
return names.guard(init, "ms.nn.init")
