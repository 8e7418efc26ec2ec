-- optim/lion: steps of one size, in the direction of the sign of a mean of gradients.
local base = require "mascon.optim.base"

-- optim.lion(parameters, { lr = 1e-4, betas = { 0.9, 0.99 }, weight_decay = 0, maximize = false })
-- Each element moves by lr, against the sign of its mean gradient; weight decay is decoupled. PyTorch has none: definition and defaults are
-- those of Chen et al., Symbolic discovery of optimization algorithms, arXiv 2302.06675, program 1.
local Lion = base.class "optim.lion"
Lion.options = { lr = 1e-4, betas = { 0.9, 0.99 }, weight_decay = 0, maximize = false }
Lion.states = { "exp_avg" }
Lion.off_at_0 = { "weight_decay" }

function Lion.update(p, g, s, o)
  base.shrink(p, o)
  p:sub_((s.exp_avg * o.betas[1] + g * (1 - o.betas[1])):sign() * o.lr)
  s.exp_avg:mul_(o.betas[2]):add_(g * (1 - o.betas[2]))
end

return { lion = Lion }
