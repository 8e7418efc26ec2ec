-- optim/adam: Adam and what came of it: a mean of gradients (exp_avg) over the root of a mean of their squares (exp_avg_sq). Kingma & Ba,
-- Adam, arXiv 1412.6980. Both means begin at 0 and are too small by 1 - beta ^ step, which is corrected; the count of steps is a tensor, so
-- a recorded step corrects each replay by its own.
local ms = require "mascon"
local core = require "mascon.inside"
local base = require "mascon.optim.base"
local each_parameter = base.each_parameter
local adams = {}

local betas = { 0.9, 0.999 }

-- 1 - beta ^ step, f64.
local function missing(beta, s) return 1 - beta ^ s.step end

-- A number f64 as p's dtype, for work on its elements.
local function as(p, x) return x:to(p.dtype) end

-- The means take in a gradient.
local function follow(g, s, o)
  s.exp_avg:lerp_(g, 1 - o.betas[1])
  s.exp_avg_sq:mul_(o.betas[2]):add_(g * g * (1 - o.betas[2]))
end

-- Weight decay: of the parameter itself where it is decoupled, else in the gradient that is given back.
local function decay(p, g, o)
  if not o.decoupled_weight_decay then return base.decayed(p, g, o) end
  base.shrink(p, o)
  return g
end

-- ---- Adam, AdamW -----------------------------------------------------------------------------------------------------------------------

-- With amsgrad: divided by the largest mean of squares there was. Reddi, Kale & Kumar, On the convergence of Adam and beyond, 2018.
local function amsgrad(p, g, s, o)
  g = decay(p, g, o)
  follow(g, s, o)
  s.max_exp_avg_sq:maximum_(s.exp_avg_sq)
  local root = s.max_exp_avg_sq:sqrt() / as(p, missing(o.betas[2], s):sqrt()) + o.eps
  p:sub_(s.exp_avg / root * as(p, o.lr / missing(o.betas[1], s)))
end

local with_amsgrad, without = { "exp_avg", "exp_avg_sq", "max_exp_avg_sq" }, { "exp_avg", "exp_avg_sq" }

local function adam(name, weight_decay, decoupled)
  local Adam = base.class(name)
  Adam.options = { lr = 1e-3, betas = betas, eps = 1e-8, weight_decay = weight_decay, amsgrad = false, maximize = false }
  if decoupled then Adam.fixed = { decoupled_weight_decay = true } else Adam.options.decoupled_weight_decay = false end
  Adam.states = with_amsgrad
  function Adam.needs(values) return values.amsgrad and with_amsgrad or without end
  Adam.update = amsgrad
  function Adam.advance(o, g)
    local s = g.live
    if s.amsgrad then return each_parameter(o, g) end
    local list, n = base.gather(o, g, without)
    if n == 0 then return end
    core.adam_(list, 5, s.lr, s.betas[1], s.betas[2], s.eps, s.weight_decay, s.decoupled_weight_decay)
  end
  return Adam
end

-- optim.adam(parameters, { lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8, weight_decay = 0, amsgrad = false,
-- decoupled_weight_decay = false, maximize = false })
-- Adam; one row (adam_) updates all parameters, but with amsgrad. decoupled_weight_decay = true is adamw with adam's other defaults.
adams.adam = adam("optim.adam", 0, false)
-- optim.adamw(parameters, { lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8, weight_decay = 0.01, amsgrad = false, maximize = false })
-- Adam with decoupled weight decay. Loshchilov & Hutter, arXiv 1711.05101.
adams.adamw = adam("optim.adamw", 0.01, true)

-- ---- NAdam -----------------------------------------------------------------------------------------------------------------------------

-- optim.nadam(parameters, { lr = 2e-3, betas = { 0.9, 0.999 }, eps = 1e-8, weight_decay = 0, momentum_decay = 0.004,
-- decoupled_weight_decay = false, maximize = false })
-- Adam with Nesterov's momentum, which grows from half of beta1 to beta1. Dozat, Incorporating Nesterov momentum into Adam, 2016.
local NAdam = base.class "optim.nadam"
NAdam.options = { lr = 2e-3, betas = betas, eps = 1e-8, weight_decay = 0, momentum_decay = 0.004, decoupled_weight_decay = false,
  maximize = false }
NAdam.states = { "exp_avg", "exp_avg_sq", "mu_product" }
NAdam.off_at_0 = { "weight_decay" }
NAdam.start = { mu_product = function(p) return ms.ones({}, { dtype = "f64", device = p.device }) end }

-- The momentum of step t.
local function momentum(t, o) return (1 - 0.5 * 0.96 ^ (t * o.momentum_decay)) * o.betas[1] end

function NAdam.update(p, g, s, o)
  g = decay(p, g, o)
  follow(g, s, o)
  local now, next_one = momentum(s.step, o), momentum(s.step + 1, o)
  s.mu_product:mul_(now)
  local root = (s.exp_avg_sq / as(p, missing(o.betas[2], s))):sqrt() + o.eps
  p:sub_(g / root * as(p, o.lr * (1 - now) / (1 - s.mu_product)))
  p:sub_(s.exp_avg / root * as(p, o.lr * next_one / (1 - s.mu_product * next_one)))
end
adams.nadam = NAdam

-- ---- RAdam -----------------------------------------------------------------------------------------------------------------------------

-- optim.radam(parameters, { lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8, weight_decay = 0, decoupled_weight_decay = false,
-- maximize = false })
-- Adam that divides by the root of the squares' mean only once enough steps make it known (more than 5 of them count), and by how well.
-- Liu et al., On the variance of the adaptive learning rate and beyond, arXiv 1908.03265.
local RAdam = base.class "optim.radam"
RAdam.options = { lr = 1e-3, betas = betas, eps = 1e-8, weight_decay = 0, decoupled_weight_decay = false, maximize = false }
RAdam.states = { "exp_avg", "exp_avg_sq" }
RAdam.off_at_0 = { "weight_decay" }

function RAdam.update(p, g, s, o)
  g = decay(p, g, o)
  follow(g, s, o)
  local lacking = missing(o.betas[2], s)
  local most = 2 / (1 - o.betas[2]) - 1                                    -- how many squares count after very many steps
  local many = most - 2 * s.step * (1 - lacking) / lacking                 -- and now
  local known = (((many - 4) * (many - 2) * most) / ((most - 4) * (most - 2) * many)):clamp(0, math.huge):sqrt()
  local scaled = s.exp_avg * as(p, known * lacking:sqrt()) / (s.exp_avg_sq:sqrt() + o.eps)
  p:sub_(ms.where(many:gt(5), scaled, s.exp_avg) * as(p, o.lr / missing(o.betas[1], s)))
end
adams.radam = RAdam

-- ---- Adamax ---------------------------------------------------------------------------------------------------------------------------

-- optim.adamax(parameters, { lr = 2e-3, betas = { 0.9, 0.999 }, eps = 1e-8, weight_decay = 0, maximize = false })
-- Adam divided by the largest gradient there was, which beta2 lets fade. In the same paper.
local Adamax = base.class "optim.adamax"
Adamax.options = { lr = 2e-3, betas = betas, eps = 1e-8, weight_decay = 0, maximize = false }
Adamax.states = { "exp_avg", "exp_inf" }
Adamax.off_at_0 = { "weight_decay" }

function Adamax.update(p, g, s, o)
  g = base.decayed(p, g, o)
  s.exp_avg:lerp_(g, 1 - o.betas[1])
  s.exp_inf:mul_(o.betas[2]):maximum_(g:abs() + o.eps)
  p:sub_(s.exp_avg / s.exp_inf * as(p, o.lr / missing(o.betas[1], s)))
end
adams.adamax = Adamax

return adams
