-- optim/sgd: stochastic gradient descent, one row (sgd_) updates all parameters of a group; and its relatives asgd and rprop.
local ms = require "mascon"
local core = require "mascon.inside"
local options = require "mascon.options"
local base = require "mascon.optim.base"
local rules = require "mascon.optim.settings".rules

-- optim.sgd(parameters, { lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0, nesterov = false, maximize = false })
-- Stochastic gradient descent, with momentum if it is above 0. A parameter's first step with momentum is not dampened. f32 and f64.
local SGD = base.class "optim.sgd"
SGD.options = { lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0, nesterov = false, maximize = false }
SGD.rules = { dampening = rules.any }
SGD.states = { "momentum" } -- PyTorch's momentum_buffer; checkpoints have had this name from the first
SGD.off_at_0 = { "momentum" }

function SGD.check(values, what)
  if values.nesterov and (values.momentum == 0 or values.dampening ~= 0) then
    options.raise("%s: nesterov: expected a momentum above 0 and no dampening, got momentum %g and dampening %g", what, values.momentum,
      values.dampening)
  end
end

local states = SGD.states
function SGD.advance(o, g)
  local s = g.live
  local list, n = base.gather(o, g, s.momentum and states)
  if n == 0 then return end
  if s.momentum then core.sgd_(list, 4, s.lr, s.momentum, s.dampening, s.weight_decay, s.nesterov)
  else core.sgd_(list, 2, s.lr, 0, 0, s.weight_decay) end
end

-- optim.asgd(parameters, { lr = 0.01, lambd = 1e-4, alpha = 0.75, t0 = 1e6, weight_decay = 0, maximize = false })
-- Gradient descent with a rate that falls (lr / (1 + lambd lr step) ^ alpha), and the mean of the parameters from step t0 on:
-- o.state[p].ax. Polyak & Juditsky, SIAM J. Control Optim. 30, 1992.
local ASGD = base.class "optim.asgd"
ASGD.options = { lr = 0.01, lambd = 1e-4, alpha = 0.75, t0 = 1e6, weight_decay = 0, maximize = false }
ASGD.states = { "ax", "eta", "mu" }
ASGD.off_at_0 = { "weight_decay" }
local function number(p, v) return ms.full({}, v, { dtype = "f64", device = p.device }) end
ASGD.start = { eta = function(p, values) return number(p, values.lr) end, mu = function(p) return number(p, 1) end }

function ASGD.update(p, g, s, o)
  g = base.decayed(p, g, o)
  local eta = s.eta:to(p.dtype)
  p:mul_(1 - eta * o.lambd):sub_(g * eta)
  s.ax:lerp_(p, s.mu:to(p.dtype))
  s.eta:copy_(o.lr / (s.step * (o.lambd * o.lr) + 1) ^ o.alpha)
  s.mu:copy_(1 / ms.maximum(s.step - o.t0, 1))
end

-- optim.rprop(parameters, { lr = 0.01, etas = { 0.5, 1.2 }, step_sizes = { 1e-6, 50 }, maximize = false })
-- Steps against the sign of the gradient, of a size of its own for each element: times etas[2] while the sign stays, times etas[1] (and no
-- step) when it turns, within step_sizes. For whole batches. Riedmiller & Braun, ICNN 1993.
local Rprop = base.class "optim.rprop"
Rprop.options = { lr = 0.01, etas = { 0.5, 1.2 }, step_sizes = { 1e-6, 50 }, maximize = false }
Rprop.rules = { etas = { "a finite number above 0", function(x) return x > 0 and x < math.huge end }, step_sizes = rules.at_least_0 }
Rprop.states = { "prev", "step_size" }
Rprop.start = { step_size = function(p, values) return ms.full(p.shape, values.lr, { dtype = p.dtype, device = p.device }) end }

function Rprop.check(values, what)
  if not (values.etas[1] < 1 and values.etas[2] > 1) then
    options.raise("%s: etas: expected one below 1 and one above, got %g and %g", what, values.etas[1], values.etas[2])
  end
end

function Rprop.update(p, g, s, o)
  local agree = g * s.prev
  local turned, size = agree:lt(0), s.step_size
  size:copy_(ms.where(turned, size * o.etas[1], ms.where(agree:gt(0), size * o.etas[2], size)):clamp(o.step_sizes[1], o.step_sizes[2]))
  s.prev:copy_(ms.where(turned, 0, g))
  p:sub_(s.prev:sign() * size)
end

return { sgd = SGD, asgd = ASGD, rprop = Rprop }
