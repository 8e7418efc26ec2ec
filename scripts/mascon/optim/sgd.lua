-- optim/sgd: stochastic gradient descent; one row (sgd_) updates all parameters of a group.
local core = require "mascon.inside"
local options = require "mascon.options"
local base = require "mascon.optim.base"
local rules = require "mascon.optim.settings".rules

-- optim.sgd(parameters, { lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0, nesterov = false, maximize = false })
-- Stochastic gradient descent, with momentum if it is above 0. A parameter's first step with momentum is not dampened. f32 and f64.
local SGD = base.class "optim.sgd"
SGD.options = { lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0, nesterov = false, maximize = false }
SGD.rules = { dampening = rules.any }
SGD.states = { "momentum_buffer" }
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

return { sgd = SGD }
