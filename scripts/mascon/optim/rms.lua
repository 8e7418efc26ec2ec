-- optim/rms: optimizers that divide a gradient by the root of a mean, or sum, of its squares.
local ms = require "mascon"
local base = require "mascon.optim.base"
local rules = require "mascon.optim.settings".rules

-- optim.rmsprop(parameters, { lr = 0.01, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0, centered = false, maximize = false })
-- A gradient over the root of the mean of its squares, or of its variance (centered). Hinton, Neural networks for machine learning,
-- lecture 6, 2012; centered: Graves, arXiv 1308.0850.
local RMSprop = base.class "optim.rmsprop"
RMSprop.options = { lr = 0.01, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0, centered = false, maximize = false }
RMSprop.rules = { alpha = rules.at_least_0 }
RMSprop.states = { "square_avg", "momentum_buffer", "grad_avg" }
RMSprop.off_at_0 = { "weight_decay", "momentum" }

function RMSprop.needs(values)
  local list = { "square_avg" }
  if values.momentum ~= 0 then list[#list + 1] = "momentum_buffer" end
  if values.centered then list[#list + 1] = "grad_avg" end
  return list
end

function RMSprop.update(p, g, s, o)
  g = base.decayed(p, g, o)
  s.square_avg:mul_(o.alpha):add_(g * g * (1 - o.alpha))
  local mean = s.square_avg
  if o.centered then
    s.grad_avg:lerp_(g, 1 - o.alpha)
    mean = mean - s.grad_avg * s.grad_avg
  end
  local step = g / (mean:sqrt() + o.eps)
  if o.momentum then step = s.momentum_buffer:mul_(o.momentum):add_(step) end
  p:sub_(step * o.lr)
end

-- optim.adagrad(parameters, { lr = 0.01, lr_decay = 0, weight_decay = 0, initial_accumulator_value = 0, eps = 1e-10, maximize = false })
-- A gradient over the root of the sum of all its squares. Duchi, Hazan & Singer, JMLR 12, 2011.
local Adagrad = base.class "optim.adagrad"
Adagrad.options = { lr = 0.01, lr_decay = 0, weight_decay = 0, initial_accumulator_value = 0, eps = 1e-10, maximize = false }
Adagrad.rules = { lr_decay = rules.at_least_0, initial_accumulator_value = rules.at_least_0 }
Adagrad.states = { "sum" }
Adagrad.off_at_0 = { "weight_decay" }
Adagrad.start = { sum = function(p, values)
  return ms.full(p.shape, values.initial_accumulator_value, { dtype = p.dtype, device = p.device })
end }

function Adagrad.update(p, g, s, o)
  g = base.decayed(p, g, o)
  s.sum:add_(g * g)
  p:sub_(g / (s.sum:sqrt() + o.eps) * (o.lr / (1 + (s.step - 1) * o.lr_decay)):to(p.dtype))
end

-- optim.adadelta(parameters, { lr = 1, rho = 0.9, eps = 1e-6, weight_decay = 0, maximize = false })
-- As rmsprop, times the root of the mean of the squares of its own steps. Zeiler, arXiv 1212.5701.
local Adadelta = base.class "optim.adadelta"
Adadelta.options = { lr = 1, rho = 0.9, eps = 1e-6, weight_decay = 0, maximize = false }
Adadelta.rules = { rho = rules.share }
Adadelta.states = { "square_avg", "acc_delta" }
Adadelta.off_at_0 = { "weight_decay" }

function Adadelta.update(p, g, s, o)
  g = base.decayed(p, g, o)
  s.square_avg:mul_(o.rho):add_(g * g * (1 - o.rho))
  local delta = (s.acc_delta + o.eps):sqrt() / (s.square_avg + o.eps):sqrt() * g
  s.acc_delta:mul_(o.rho):add_(delta * delta * (1 - o.rho))
  p:sub_(delta * o.lr)
end

return { rmsprop = RMSprop, adagrad = Adagrad, adadelta = Adadelta }
