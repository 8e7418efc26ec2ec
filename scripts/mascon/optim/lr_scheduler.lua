-- optim/lr_scheduler: schedules of learning rates, with PyTorch's names, arguments, formulas and defaults. A schedule sets the rate of the
-- first step when it is made, and the next one at each s:step(). Rates that go by the one before (rate) can be chained; `closed` gives the
-- same from the one to begin with.
local arguments = require "mascon.arguments"
local options = require "mascon.options"
local states = require "mascon.state"
local names = require "mascon.names"
local schedule = require "mascon.optim.schedule"
local kinds = arguments.kinds
local lr_scheduler = {}

local function whole(v) return type(v) == "number" and math.tointeger(v) or nil end
local function share(v) return type(v) == "number" and v >= 0 and v <= 1 and v or nil, "a number from 0 to 1" end
local function above(v) return kinds.number(v) and v > 0 and v or nil, "a finite number above 0" end
local function above_0(v) return type(v) == "number" and v > 0 and v <= 1 and v or nil, "a number above 0, 1 at most" end
local function below_1(v) return type(v) == "number" and v >= 0 and v < 1 and v or nil, "0 <= factor < 1" end
local function from_0(v) return whole(v) and v >= 0 and whole(v) or nil, "a whole number from 0 on" end
local function per_group(v)
  local words = "a finite number from 0 on or a list of them, one for each group of parameters"
  if type(v) ~= "table" then return kinds.positive(v), words end
  for _, x in ipairs(v) do
    if not kinds.positive(x) then return nil, words end
  end
  return #v > 0 and v or nil, words
end
local function function_of_step(v)
  local words = "a function of the number of steps, or a list of them, one for each group of parameters"
  for _, f in ipairs(type(v) == "table" and v or { v }) do
    if type(f) ~= "function" then return nil, words end
  end
  return (type(v) == "function" or type(v) == "table" and #v > 0) and v or nil, words
end
local function later_steps(v)
  local words = "a list of whole numbers from 0 on, in order"
  if type(v) ~= "table" or debug.getmetatable(v) then return nil, words end
  for i, m in ipairs(v) do
    if not whole(m) or m < (v[i - 1] or 0) then return nil, words end
  end
  return v, words
end

local cos, pi = math.cos, math.pi

-- ---- by steps ------------------------------------------------------------------------------------------------------------------------

-- optim.lr_scheduler.step_lr(o, step_size, { gamma = 0.1 }): times gamma every step_size steps
lr_scheduler.step_lr = schedule.kind("step_lr", 2, { { "step_size", kinds.count }, { "gamma", kinds.positive, 0.1 } }, {
  rate = function(s, e, lr) return (e == 0 or e % s.step_size ~= 0) and lr or lr * s.gamma end,
  closed = function(s, e, base) return base * s.gamma ^ (e // s.step_size) end })

-- How many milestones are `e`; are e or less.
local function at(s, e, before)
  local n = 0
  for _, m in ipairs(s.milestones) do
    if m == e or before and m < e then n = n + 1 end
  end
  return n
end

-- optim.lr_scheduler.multi_step_lr(o, milestones, { gamma = 0.1 }): times gamma after each of these numbers of steps
lr_scheduler.multi_step_lr = schedule.kind("multi_step_lr", 2, { { "milestones", later_steps }, { "gamma", kinds.positive, 0.1 } }, {
  rate = function(s, e, lr, _, _, first) return first and at(s, e) == 0 and lr or lr * s.gamma ^ at(s, e) end,
  closed = function(s, e, base) return base * s.gamma ^ at(s, e, true) end })

-- optim.lr_scheduler.constant_lr(o, { factor = 1/3, total_iters = 5 }): times factor for the first total_iters steps
lr_scheduler.constant_lr = schedule.kind("constant_lr", 2, { { "factor", above_0, 1 / 3 }, { "total_iters", kinds.count, 5 } }, {
  rate = function(s, e, lr)
    if e == 0 then return lr * s.factor end
    return e == s.total_iters and lr * (1 / s.factor) or lr
  end,
  closed = function(s, e, base) return e < s.total_iters and base * s.factor or base end })

-- optim.lr_scheduler.linear_lr(o, { start_factor = 1/3, end_factor = 1, total_iters = 5 }): a straight line from start_factor to end_factor
-- times the rate in total_iters steps: a warm-up
lr_scheduler.linear_lr = schedule.kind("linear_lr", 3, { { "start_factor", above_0, 1 / 3 }, { "end_factor", share, 1 },
  { "total_iters", kinds.count, 5 } }, {
  rate = function(s, e, lr)
    local rise = s.end_factor - s.start_factor
    if e == 0 then return lr * s.start_factor end
    return e > s.total_iters and lr or lr * (1 + rise / (s.total_iters * s.start_factor + (e - 1) * rise))
  end,
  closed = function(s, e, base)
    return base * (s.start_factor + (s.end_factor - s.start_factor) * math.min(s.total_iters, e) / s.total_iters)
  end })

-- optim.lr_scheduler.exponential_lr(o, gamma): times gamma at each step
lr_scheduler.exponential_lr = schedule.kind("exponential_lr", 1, { { "gamma", kinds.positive } }, {
  rate = function(s, e, lr) return e == 0 and lr or lr * s.gamma end,
  closed = function(s, e, base) return base * s.gamma ^ e end })

-- optim.lr_scheduler.polynomial_lr(o, { total_iters = 5, power = 1 }): to 0 in total_iters steps, as (1 - share of them) ^ power
lr_scheduler.polynomial_lr = schedule.kind("polynomial_lr", 2, { { "total_iters", kinds.count, 5 }, { "power", kinds.positive, 1 } }, {
  rate = function(s, e, lr)
    if e == 0 or e > s.total_iters then return lr end
    return lr * ((1 - e / s.total_iters) / (1 - (e - 1) / s.total_iters)) ^ s.power
  end,
  closed = function(s, e, base) return base * (1 - math.min(s.total_iters, e) / s.total_iters) ^ s.power end })

-- ---- by functions -------------------------------------------------------------------------------------------------------------------

-- What the function of group i gives after e steps.
local function factor(s, e, i)
  local f = s.lr_lambda
  local v = (type(f) == "table" and f[i] or f)(e)
  if type(v) ~= "number" then options.raise("%s: lr_lambda gave %s for %d steps, expected a number", s.what, states.word(v), e) end
  return v
end
local function check_functions(s, sets) schedule.per_group(s, "lr_lambda", sets) end

-- optim.lr_scheduler.lambda_lr(o, f): the rate to begin with, times f(number of steps); f: a function, or a list, one for each group
lr_scheduler.lambda_lr = schedule.kind("lambda_lr", 1, { { "lr_lambda", function_of_step } }, {
  begin = check_functions, rate = function(s, e, _, base, i) return base * factor(s, e, i) end })

-- optim.lr_scheduler.multiplicative_lr(o, f): times f(number of steps) at each step; f: a function, or a list, one for each group
lr_scheduler.multiplicative_lr = schedule.kind("multiplicative_lr", 1, { { "lr_lambda", function_of_step } }, {
  begin = check_functions, rate = function(s, e, lr, _, i, first) return first and lr or lr * factor(s, e, i) end })

-- ---- waves -----------------------------------------------------------------------------------------------------------------------------

-- optim.lr_scheduler.cosine_annealing_lr(o, T_max, { eta_min = 0 }): down to eta_min in T_max steps along half a cosine (and up again).
-- Loshchilov & Hutter, SGDR, arXiv 1608.03983
lr_scheduler.cosine_annealing_lr = schedule.kind("cosine_annealing_lr", 2, { { "T_max", kinds.count }, { "eta_min", kinds.positive, 0 } }, {
  rate = function(s, e, lr, base)
    if e == 0 then return lr end
    if (e - 1 - s.T_max) % (2 * s.T_max) == 0 then return lr + (base - s.eta_min) * (1 - cos(pi / s.T_max)) / 2 end
    return (1 + cos(pi * e / s.T_max)) / (1 + cos(pi * (e - 1) / s.T_max)) * (lr - s.eta_min) + s.eta_min
  end,
  closed = function(s, e, base) return s.eta_min + (base - s.eta_min) * (1 + cos(pi * e / s.T_max)) / 2 end })

-- optim.lr_scheduler.cosine_annealing_warm_restarts(o, T_0, { T_mult = 1, eta_min = 0 }): half a cosine of T_0 steps, again and again, each
-- time T_mult times as long. In the same paper
local function restarts(s, e, _, base)
  local length = s.T_0
  if s.T_mult == 1 then e = e % length end
  while e >= length do e, length = e - length, length * s.T_mult end
  return s.eta_min + (base - s.eta_min) * (1 + cos(pi * e / length)) / 2
end
lr_scheduler.cosine_annealing_warm_restarts = schedule.kind("cosine_annealing_warm_restarts", 3, { { "T_0", kinds.count },
  { "T_mult", kinds.count, 1 }, { "eta_min", kinds.positive, 0 } }, { rate = restarts })

-- ---- up and down, with momentum down and up ---------------------------------------------------------------------------------------------

-- Where momentum is cycled there must be one: SGD's, or the first of betas.
local function check_momentum(s, sets)
  if s.cycle_momentum and sets[1].value.momentum == nil and sets[1].value.betas == nil then
    options.raise("%s: cycle_momentum: the optimizer has neither momentum nor betas; say cycle_momentum = false", s.what)
  end
  s.base_momenta = schedule.per_group(s, "base_momentum", sets)
  s.max_momenta = schedule.per_group(s, "max_momentum", sets)
end

-- Where a cycle stands after e steps: which one it is, from 1 on, and how far up, 0 to 1.
local function up(s, e)
  local size = s.step_size_up + s.step_size_down
  local cycle = math.floor(1 + e / size)
  local x, turn = 1 + e / size - cycle, s.step_size_up / size
  return cycle, x <= turn and x / turn or (x - 1) / (turn - 1)
end

local scales = { triangular = function() return 1 end, triangular2 = function(_, cycle) return 1 / 2 ^ (cycle - 1) end,
  exp_range = function(s, _, e) return s.gamma ^ e end }

local function scale(s, cycle, e)
  if not s.scale_fn then return scales[s.mode](s, cycle, e) end
  return s.scale_fn(s.scale_mode == "cycle" and cycle or e)
end

local function any_function(v) return type(v) == "function" and v or nil, "a function" end

-- optim.lr_scheduler.cyclic_lr(o, base_lr, max_lr, { step_size_up = 2000, step_size_down = step_size_up, mode = "triangular", gamma = 1,
-- scale_fn =, scale_mode = "cycle", cycle_momentum = true, base_momentum = 0.8, max_momentum = 0.9 })
-- From base_lr to max_lr and back, in straight lines; momentum goes against it. mode: "triangular"; "triangular2", each cycle half as high;
-- "exp_range", as high as gamma ^ steps; or scale_fn(cycle), of the steps with scale_mode = "iterations". Smith, arXiv 1506.01186
lr_scheduler.cyclic_lr = schedule.kind("cyclic_lr", 2, { { "base_lr", per_group }, { "max_lr", per_group },
  { "step_size_up", kinds.count, 2000 }, { "step_size_down", kinds.count, optional = true },
  { "mode", kinds.one_of("triangular", "triangular2", "exp_range"), "triangular" }, { "gamma", kinds.positive, 1 },
  { "scale_fn", any_function, optional = true }, { "scale_mode", kinds.one_of("cycle", "iterations"), "cycle" },
  { "cycle_momentum", kinds.boolean, true }, { "base_momentum", per_group, 0.8 }, { "max_momentum", per_group, 0.9 } }, {
  begin = function(s, sets)
    check_momentum(s, sets)
    s.step_size_down = s.step_size_down or s.step_size_up
    s.base_lrs, s.max_lrs = schedule.per_group(s, "base_lr", sets), schedule.per_group(s, "max_lr", sets)
  end,
  rate = function(s, e, _, base, i)
    local cycle, height = up(s, e)
    return base + (s.max_lrs[i] - base) * height * scale(s, cycle, e)
  end,
  momentum = function(s, e, i)
    local cycle, height = up(s, e)
    return s.max_momenta[i] - (s.max_momenta[i] - s.base_momenta[i]) * height * scale(s, cycle, e)
  end })

local anneal = {
  cos = function(from, to, x) return to + (from - to) / 2 * (cos(pi * x) + 1) end,
  linear = function(from, to, x) return (to - from) * x + from end,
}

-- Between which of (low, high, low, least) a one-cycle stands after e steps, by their places, and how far.
local function phase(s, e)
  local last, first = s.total_steps - 1, s.pct_start * s.total_steps - 1
  local ends = s.three_phase and { first, 2 * s.pct_start * s.total_steps - 2, last } or { first, last }
  local from = 0
  for k, to in ipairs(ends) do
    if e <= to or k == #ends then return k, k == #ends and 4 or k + 1, (e - from) / (to - from) end
    from = to
  end
end

-- optim.lr_scheduler.one_cycle_lr(o, max_lr, { total_steps =, epochs =, steps_per_epoch =, pct_start = 0.3, anneal_strategy = "cos",
-- cycle_momentum = true, base_momentum = 0.85, max_momentum = 0.95, div_factor = 25, final_div_factor = 1e4, three_phase = false })
-- One rise from max_lr / div_factor to max_lr in the share pct_start of total_steps (or epochs * steps_per_epoch), then down to the
-- beginning's / final_div_factor; three_phase: down to the beginning's first, as long as the rise. Momentum goes against it. A step more
-- than total_steps is an error. Smith & Topin, arXiv 1708.07120
lr_scheduler.one_cycle_lr = schedule.kind("one_cycle_lr", 1, { { "max_lr", per_group }, { "total_steps", kinds.count, optional = true },
  { "epochs", kinds.count, optional = true }, { "steps_per_epoch", kinds.count, optional = true }, { "pct_start", share, 0.3 },
  { "anneal_strategy", kinds.one_of("cos", "linear"), "cos" }, { "cycle_momentum", kinds.boolean, true },
  { "base_momentum", per_group, 0.85 }, { "max_momentum", per_group, 0.95 },
  { "div_factor", above, 25 }, { "final_div_factor", above, 1e4 },
  { "three_phase", kinds.boolean, false } }, {
  begin = function(s, sets)
    check_momentum(s, sets)
    if not s.total_steps then
      if not (s.epochs and s.steps_per_epoch) then
        options.raise("%s: expected total_steps, or epochs and steps_per_epoch", s.what)
      end
      s.total_steps = s.epochs * s.steps_per_epoch
    end
    s.max_lrs = schedule.per_group(s, "max_lr", sets)
    for i in ipairs(sets) do s.base_lrs[i] = s.max_lrs[i] / s.div_factor end
  end,
  begins_anew = true,
  rate = function(s, e, _, base, i)
    if e > s.total_steps then options.raise("%s: stepped %d times, made for total_steps = %d", s.what, e, s.total_steps) end
    local rates = { base, s.max_lrs[i], base, base / s.final_div_factor }
    local from, to, x = phase(s, e)
    return anneal[s.anneal_strategy](rates[from], rates[to], x)
  end,
  momentum = function(s, e, i)
    local high, low = s.max_momenta[i], s.base_momenta[i]
    local from, to, x = phase(s, e)
    local momenta = { high, low, high, high }
    return anneal[s.anneal_strategy](momenta[from], momenta[to], x)
  end })

-- ---- by what is measured ---------------------------------------------------------------------------------------------------------------

local function better(s, x)
  local sign = s.mode == "min" and -1 or 1
  local bar = s.threshold_mode == "rel" and s.best * (1 + sign * s.threshold) or s.best + sign * s.threshold
  if s.mode == "min" then return x < bar end
  return x > bar
end

-- optim.lr_scheduler.reduce_lr_on_plateau(o, { mode = "min", factor = 0.1, patience = 10, threshold = 1e-4, threshold_mode = "rel",
-- cooldown = 0, min_lr = 0, eps = 1e-8 }): s:step(loss), a number or a tensor of one element: times factor when it was not better than the
-- best (by threshold, a share of it or, "abs", a number) for more than patience steps; then it rests for cooldown steps
lr_scheduler.reduce_lr_on_plateau = schedule.kind("reduce_lr_on_plateau", 1, { { "mode", kinds.one_of("min", "max"), "min" },
  { "factor", below_1, 0.1 }, { "patience", from_0, 10 }, { "threshold", kinds.positive, 1e-4 },
  { "threshold_mode", kinds.one_of("rel", "abs"), "rel" }, { "cooldown", from_0, 0 }, { "min_lr", per_group, 0 },
  { "eps", kinds.positive, 1e-8 } }, {
  remembers = { "best", "num_bad_epochs", "cooldown_counter" },
  fixed = { "largest" }, -- 1: mode = "max"
  begin = function(s, sets)
    s.least = schedule.per_group(s, "min_lr", sets)
    s.best, s.num_bad_epochs, s.cooldown_counter = s.mode == "min" and math.huge or -math.huge, 0, 0
    s.largest = s.mode == "max" and 1 or 0
    s.advance = function(_, x, ...)
      options.none(s.what .. ": step", ...)
      if states.is_tensor(x) then x = x:item() end
      if type(x) ~= "number" then options.raise("%s: step: expected what is measured, a number, got %s", s.what, states.word(x)) end
      local groups = schedule.groups_of(s)
      local bad = better(s, x) and 0 or s.num_bad_epochs + 1
      if s.cooldown_counter > 0 then bad = 0 end
      local rates = schedule.rates_of(groups)
      local reduce = bad > s.patience
      for i, lr in ipairs(rates) do
        local lower = math.max(lr * s.factor, s.least[i])
        if reduce and lr - lower > s.eps then rates[i] = lower end
      end
      schedule.put(groups, rates)
      if better(s, x) then s.best = x end
      s.cooldown_counter = reduce and s.cooldown or math.max(s.cooldown_counter - 1, 0)
      s.num_bad_epochs = reduce and 0 or bad
      s.last_epoch, s.last_lr = s.last_epoch + 1, rates
    end
  end,
  rate = function(_, _, lr) return lr end })

-- ---- made of others ------------------------------------------------------------------------------------------------------------------

-- The schedules of a list, all of one optimizer (that of the first, where none is given). steps: may they have a step of their own?
local function children_of(what, optimizer, list, steps)
  if type(list) ~= "table" or debug.getmetatable(list) or not list[1] then
    options.raise("%s: expected a list of schedules, got %s", what, states.word(list))
  end
  for i, child in ipairs(list) do
    local s = schedule.find(child)
    if not s then options.raise("%s: schedule %d: expected a schedule, got %s", what, i, states.word(child)) end
    optimizer = optimizer or s.optimizer
    if s.optimizer ~= optimizer then options.raise("%s: schedule %d (%s) belongs to another optimizer", what, i, s.what) end
    if s.best then options.raise("%s: schedule %d: %s wants to be told what is measured, step it by itself", what, i, s.what) end
    if s.advance and not steps then options.raise("%s: schedule %d: %s is made of others", what, i, s.what) end
  end
  return { table.unpack(list) }, optimizer
end

-- optim.lr_scheduler.chained_scheduler(schedules): each step is one of all of them, so that what they do to the rate multiplies
function lr_scheduler.chained_scheduler(list, ...)
  local what = "lr_scheduler.chained_scheduler"
  options.none(what, ...)
  local children, optimizer = children_of(what, nil, list, true)
  local s = { what = what, optimizer = optimizer, children = children, last_epoch = 0 }
  s.base_lrs = { table.unpack(schedule.own(children[1], "step").base_lrs) }
  s.last_lr = schedule.rates_of(schedule.groups_of(s))
  function s.advance(_, ...)
    options.none(what .. ": step", ...)
    for _, child in ipairs(children) do child:step() end
    s.last_epoch, s.last_lr = s.last_epoch + 1, schedule.rates_of(schedule.groups_of(s))
  end
  return schedule.new(s)
end

-- optim.lr_scheduler.sequential_lr(o, schedules, milestones): one after the other: the second one from milestones[1] steps on, and so on. A
-- warm-up: sequential_lr(o, { linear_lr(o, { start_factor = 0.1, total_iters = 5 }), cosine_annealing_lr(o, 95) }, { 5 })
function lr_scheduler.sequential_lr(optimizer, list, milestones, ...)
  local what = "lr_scheduler.sequential_lr"
  options.none(what, ...)
  local children = children_of(what, optimizer, list, false)
  local steps, words = later_steps(milestones)
  if not steps then options.raise("%s: milestones: expected %s, got %s", what, words, arguments.shown(milestones)) end
  if #steps ~= #children - 1 then
    options.raise("%s: milestones: expected %d, one less than schedules, got %d", what, #children - 1, #steps)
  end
  steps = { table.unpack(steps) }
  local s = { what = what, optimizer = optimizer, children = children, last_epoch = 0 }
  s.base_lrs = { table.unpack(schedule.own(children[1], "step").base_lrs) }
  local function place(e)
    local k = 1
    while steps[k] and steps[k] <= e do k = k + 1 end
    return k
  end
  function s.advance(_, ...)
    options.none(what .. ": step", ...)
    local e = s.last_epoch + 1
    local k = place(e)
    local child = schedule.own(children[k], "step")
    if k > 1 and steps[k - 1] == e then schedule.go(child, 0, "begin") else schedule.go(child, child.last_epoch + 1) end
    s.last_epoch, s.last_lr = e, { table.unpack(child.last_lr) }
  end
  local groups = schedule.groups_of(s)
  local first, rates = schedule.own(children[place(0)], "step"), {}
  for i, g in ipairs(groups) do rates[i] = g.initial_lr end
  schedule.put(groups, rates)
  schedule.go(first, 0, "first")
  s.last_lr = { table.unpack(first.last_lr) }
  return schedule.new(s)
end

return names.guard(lr_scheduler, "ms.optim.lr_scheduler")
