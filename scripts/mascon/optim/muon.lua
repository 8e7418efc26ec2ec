-- optim/muon: momentum whose matrices are made orthogonal by products.
local options = require "mascon.options"
local states = require "mascon.state"
local base = require "mascon.optim.base"
local rules = require "mascon.optim.settings".rules

-- optim.muon(parameters, { lr = 1e-3, weight_decay = 0.1, momentum = 0.95, nesterov = true, ns_coefficients = { 3.4445, -4.775, 2.0315 },
-- eps = 1e-7, ns_steps = 5, adjust_lr_fn = "original" })
-- For matrices only (weights of linear layers, out x in); biases and others go to adamw. A step is the momentum's nearest orthogonal
-- matrix, about: ns_steps Newton-Schulz steps X = a X + (b A + c A A) X with A = X X', from X of Frobenius norm 1. adjust_lr_fn: lr times
-- sqrt(max(1, out / in)) ("original"), 0.2 sqrt(max(out, in)) ("match_rms_adamw") or sqrt(out / in) ("spectral_unclamped").
-- Jordan et al., Muon: an optimizer for hidden layers, 2024; PyTorch's definition, which rounds the products to bf16: here they are of the
-- parameter's dtype (ms.precision "bf16" rounds the operands of large ones).
local Muon = base.class "optim.muon"
Muon.options = { lr = 1e-3, weight_decay = 0.1, momentum = 0.95, nesterov = true, ns_coefficients = { 3.4445, -4.775, 2.0315 },
  eps = 1e-7, ns_steps = 5, adjust_lr_fn = "original" }
Muon.rules = { ns_steps = { "a whole number from 1 to 99", function(n) return math.tointeger(n) and n >= 1 and n < 100 end, plain = true },
  adjust_lr_fn = rules.one_of("original", "match_rms_adamw", "spectral_unclamped") }
Muon.states = { "momentum_buffer" }
Muon.off_at_0 = { "weight_decay" }

function Muon.accepts(p, what)
  if p:dim() ~= 2 then
    options.raise("%s: expected a matrix, got %s; train what is none with optim.adamw", what, states.sizes(p))
  end
end

local adjust = {
  original = function(rows, columns) return math.sqrt(math.max(1, rows / columns)) end,
  match_rms_adamw = function(rows, columns) return 0.2 * math.sqrt(math.max(rows, columns)) end,
  spectral_unclamped = function(rows, columns) return math.sqrt(rows / columns) end,
}

-- About the orthogonal matrix nearest to g. The products are those of the shorter side.
local function orthogonal(g, o)
  local a, b, c = table.unpack(o.ns_coefficients)
  local tall = g.shape[1] > g.shape[2]
  local x = tall and g:transpose() or g
  x = x / x:norm():clamp(o.eps, math.huge)
  for _ = 1, o.ns_steps do
    local gram = x:matmul(x, { tb = true })
    x = x * a + (gram * b + gram:matmul(gram) * c):matmul(x)
  end
  return tall and x:transpose() or x
end

function Muon.update(p, g, s, o)
  s.momentum_buffer:lerp_(g, 1 - o.momentum)
  local step = o.nesterov and g:lerp(s.momentum_buffer, o.momentum) or s.momentum_buffer
  step = orthogonal(step, o)
  base.shrink(p, o)
  p:sub_(step * (o.lr * adjust[o.adjust_lr_fn](p.shape[1], p.shape[2])))
end

return { muon = Muon }
