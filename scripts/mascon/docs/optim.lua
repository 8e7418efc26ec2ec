-- What ?optim.NAME says. The form is told in docs.lua.
return [==[
optim: ms.optim, optimizers and schedules
  Made with a list of parameters (or groups, { { params = a, lr = 0.1 }, { params = b } }) and options; o:zero_grad(); loss:backward();
  o:step(). o.lr = 0.05 is seen by compiled steps. Methods of all: ?o
  > local net = nn.linear(2, 1)
  > local o = optim.adam(net:parameters(), { lr = 1e-3 })
  > nn.mse(net(ms.ones { 4, 2 }), ms.zeros { 4, 1 }):backward()
  > o:step()
optim.sgd(parameters [, { lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0, nesterov = false, maximize = false }]) -> optimizer
  Stochastic gradient descent, with momentum if it is above 0. A parameter's first step with momentum is not dampened.
  > optim.sgd(nn.linear(2, 1):parameters(), { lr = 0.1, momentum = 0.9 })
optim.adam(parameters [, { lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8, weight_decay = 0, amsgrad = false,
    decoupled_weight_decay = false, maximize = false }]) -> optimizer
  A mean of gradients over the root of a mean of their squares (Kingma, Ba, arXiv 1412.6980).
  > optim.adam(nn.linear(2, 1):parameters(), { lr = 1e-3 })
optim.adamw(parameters [, { lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8, weight_decay = 0.01, amsgrad = false,
    maximize = false }]) -> optimizer
  Adam with decoupled weight decay (Loshchilov, Hutter, arXiv 1711.05101).
  > optim.adamw(nn.linear(2, 1):parameters(), { weight_decay = 0.1 })
optim.nadam(parameters [, { lr = 2e-3, betas = { 0.9, 0.999 }, eps = 1e-8, weight_decay = 0, momentum_decay = 0.004,
    decoupled_weight_decay = false, maximize = false }]) -> optimizer
  Adam with Nesterov's momentum, which grows from half of beta1 to beta1 (Dozat 2016).
  > optim.nadam(nn.linear(2, 1):parameters())
optim.radam(parameters [, { lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8, weight_decay = 0, decoupled_weight_decay = false,
    maximize = false }]) -> optimizer
  Adam that divides by the root of the squares' mean only once enough steps make it known (Liu et al., arXiv 1908.03265).
  > optim.radam(nn.linear(2, 1):parameters())
optim.adamax(parameters [, { lr = 2e-3, betas = { 0.9, 0.999 }, eps = 1e-8, weight_decay = 0, maximize = false }]) -> optimizer
  Adam divided by the largest gradient there was, which beta2 lets fade.
  > optim.adamax(nn.linear(2, 1):parameters())
optim.rmsprop(parameters [, { lr = 0.01, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0, centered = false,
    maximize = false }]) -> optimizer
  A gradient over the root of the mean of its squares, or of its variance (centered).
  > optim.rmsprop(nn.linear(2, 1):parameters())
optim.adagrad(parameters [, { lr = 0.01, lr_decay = 0, weight_decay = 0, initial_accumulator_value = 0, eps = 1e-10,
    maximize = false }]) -> optimizer
  A gradient over the root of the sum of all its squares (Duchi, Hazan, Singer 2011).
  > optim.adagrad(nn.linear(2, 1):parameters())
optim.adadelta(parameters [, { lr = 1, rho = 0.9, eps = 1e-6, weight_decay = 0, maximize = false }]) -> optimizer
  As rmsprop, times the root of the mean of the squares of its own steps (Zeiler, arXiv 1212.5701).
  > optim.adadelta(nn.linear(2, 1):parameters())
optim.asgd(parameters [, { lr = 0.01, lambd = 1e-4, alpha = 0.75, t0 = 1e6, weight_decay = 0, maximize = false }]) -> optimizer
  Gradient descent with a rate that falls, and the mean of the parameters from step t0 on: o.state[p].ax (Polyak, Juditsky 1992).
  > optim.asgd(nn.linear(2, 1):parameters())
optim.rprop(parameters [, { lr = 0.01, etas = { 0.5, 1.2 }, step_sizes = { 1e-6, 50 }, maximize = false }]) -> optimizer
  Steps against the sign of the gradient, of a size of its own for each element. For whole batches (Riedmiller, Braun 1993).
  > optim.rprop(nn.linear(2, 1):parameters())
optim.lion(parameters [, { lr = 1e-4, betas = { 0.9, 0.99 }, weight_decay = 0, maximize = false }]) -> optimizer
  Each element moves by lr, against the sign of its mean gradient; weight decay is decoupled (Chen et al., arXiv 2302.06675).
  > optim.lion(nn.linear(2, 1):parameters())
optim.muon(parameters [, { lr = 1e-3, weight_decay = 0.1, momentum = 0.95, nesterov = true, ns_coefficients = { 3.4445, -4.775,
    2.0315 }, eps = 1e-7, ns_steps = 5, adjust_lr_fn = "original" }]) -> optimizer
  For matrices only (weights of linear layers); biases and others go to adamw. A step is the momentum's nearest orthogonal matrix, about, by
  ns_steps Newton-Schulz steps. adjust_lr_fn: lr times sqrt(max(1, out / in)) ("original"), 0.2 sqrt(max(out, in)) ("match_rms_adamw") or
  sqrt(out / in) ("spectral_unclamped"). Jordan et al. 2024.
  > optim.muon { nn.linear(2, 3).weight }
optim.lbfgs(parameters [, { lr = 1, max_iter = 20, max_eval = 0, tolerance_grad = 1e-7, tolerance_change = 1e-9, history_size = 100,
    line_search_fn = "none", maximize = false }]) -> optimizer
  o:step(f), where f forgets the gradients, computes the loss, calls backward and gives the loss; it moves up to max_iter times.
  line_search_fn: "strong_wolfe", or "none" for steps of length lr. One dtype for all parameters, no groups.
  > local p = ms.ones({ 2 }, { requires_grad = true })
  > local o = optim.lbfgs({ p }, { line_search_fn = "strong_wolfe" })
  > o:step(function() o:zero_grad(); local loss = (p ^ 2):sum(); loss:backward(); return loss end)
  > p
optim.class(name) -> a class of optimizers, to be filled in and called with parameters and options
  Its fields: options = { lr = 1e-3, ... }, the defaults; states = { "exp_avg", ... }, zeros of each parameter's shape; update(p, g, s, o),
  which changes parameter p and its state s by its gradient g under the settings o, with operations that work in place; s.step is how many
  updates p has seen, this one included.
  > local Plain = optim.class "plain"
  > Plain.options = { lr = 0.1 }
  > function Plain.update(p, g, s, o) p:sub_(g * o.lr) end
  > Plain(nn.linear(2, 1):parameters(), { lr = 0.5 })
optim.clip_grad_norm_(parameters, max_norm [, { norm_type = 2, error_if_nonfinite = false }]) -> the norm before, a tensor
  Makes the gradients of a list of parameters smaller together, so that the norm of all their elements is max_norm at most. Between
  loss:backward() and o:step(), in compiled steps too.
  > local net = nn.linear(2, 1)
  > net(ms.ones { 1, 2 }):sum():backward()
  > optim.clip_grad_norm_(net:parameters(), 1)
optim.clip_grad_value_(parameters, clip_value): brings each element of the gradients into -clip_value .. clip_value
  > local net = nn.linear(2, 1)
  > net(ms.ones { 1, 2 }):sum():backward()
  > optim.clip_grad_value_(net:parameters(), 0.5)
optim.clip_grads_with_norm_(parameters, max_norm, total_norm): as optim.clip_grad_norm_, with a norm that is known
  > local net = nn.linear(2, 1)
  > net(ms.ones { 1, 2 }):sum():backward()
  > optim.clip_grads_with_norm_(net:parameters(), 1, ms.tensor(2))
optim.get_total_norm(tensors [, { norm_type = 2,
    error_if_nonfinite = false }]) -> a tensor of one element: the norm of all elements together
  > optim.get_total_norm { ms.ones { 2 }, ms.ones { 2 } }
optim.ema(model [, { decay = 0.999, use_buffers = false }]) -> an average of its weights
  a:update() after each o:step(): the first one copies the weights, each further one makes the average decay * average + (1 - decay) *
  weights. a(x), a.module: the model with the averaged weights. Buffers are copied, with use_buffers averaged. a.decay = 0.9999 is seen by
  recorded steps.
  > local average = optim.ema(nn.linear(2, 1), { decay = 0.99 })
  > average:update()
  > average(ms.ones { 1, 2 }).shape
optim.averaged_model(model [, { use_buffers = false }]) -> an average of equal weights
  All weights since the first a:update() count alike (stochastic weight averaging). Otherwise as optim.ema.
  > local average = optim.averaged_model(nn.linear(2, 1))
  > average:update()
average: what optim.ema and optim.averaged_model give: average(x), average.module, average.n_averaged, average.decay
  > optim.ema(nn.linear(2, 1)).decay
average:update(): takes the model's weights into the average
  > optim.ema(nn.linear(2, 1)):update()
average:copy_to([model]): copies the averaged weights and buffers into a model of the same kind; without one into that which is averaged
  > local average = optim.ema(nn.linear(2, 1))
  > average:update(); average:copy_to()
average:state_dict() -> tensors by name
  > optim.ema(nn.linear(2, 1)):state_dict().n_averaged
average:load_state_dict(state) -> average; all or nothing
  > local average = optim.ema(nn.linear(2, 1))
  > average:load_state_dict(average:state_dict())
o: an optimizer
  Fields: o.lr and the other settings (checked when they are set, seen by compiled steps), o.groups, o.parameters, o.state[p].
  > local o = optim.adam(nn.linear(2, 1):parameters())
  > o.lr = 0.05
  > o.lr, #o.groups, #o.parameters
o.lr: the learning rate, of all groups; every other setting (o.betas, o.weight_decay, ...) is a field likewise
  Setting one is checked, and seen by compiled steps. Where groups differ: o.groups[1].lr.
  > local o = optim.adam(nn.linear(2, 1):parameters())
  > o.lr = 0.05
  > o.lr
o.groups: list of the groups of parameters, each with settings of its own: o.groups[1].lr, o.groups[1].params
  > optim.adam(nn.linear(2, 1):parameters()).groups[1].lr
o.parameters: list of all parameters that it changes
  > #optim.adam(nn.linear(2, 1):parameters()).parameters
o.state: what it keeps of each parameter: o.state[p].step, o.state[p].exp_avg, ...
  > optim.adam(nn.linear(2, 1):parameters()).state
o:step([f]): changes each parameter that has a gradient
  f, if given, is called first; it computes the loss and its gradients, and o:step gives what f gave.
  > local net = nn.linear(2, 1)
  > local o = optim.sgd(net:parameters(), { lr = 0.1 })
  > net(ms.ones { 1, 2 }):sum():backward()
  > o:step()
o:zero_grad(): forgets the gradients of its parameters
  > optim.sgd(nn.linear(2, 1):parameters()):zero_grad()
o:add_param_group { params = { ... }, lr = 1e-4 }: one more group of parameters, with settings of its own
  Settings that are not named are as the optimizer was made. Compiled steps record anew.
  > local o = optim.sgd(nn.linear(2, 1):parameters())
  > o:add_param_group { params = nn.linear(2, 1):parameters(), lr = 0.1 }
  > #o.groups
o:state_dict() -> tensors by name: everything needed to go on
  > optim.adam(nn.linear(2, 1):parameters()):state_dict()
o:load_state_dict(state): takes over a state_dict, to the last bit: states and settings
  > local o = optim.adam(nn.linear(2, 1):parameters())
  > o:load_state_dict(o:state_dict())
optim.lr_scheduler: schedules of learning rates: s:step() after o:step(), outside a compiled step, which sees the new rate
  Names are PyTorch's in snake_case. Methods of all: ?lr
  > local o = optim.sgd(nn.linear(2, 1):parameters(), { lr = 0.1 })
  > local s = optim.lr_scheduler.step_lr(o, 1)
  > s:step()
  > o.lr
optim.lr_scheduler.step_lr(o, step_size [, { gamma = 0.1 }]) -> schedule
  Times gamma every step_size steps.
  > optim.lr_scheduler.step_lr(optim.sgd(nn.linear(2, 1):parameters()), 30)
optim.lr_scheduler.multi_step_lr(o, milestones [, { gamma = 0.1 }]) -> schedule
  Times gamma after each of these numbers of steps.
  > optim.lr_scheduler.multi_step_lr(optim.sgd(nn.linear(2, 1):parameters()), { 30, 80 })
optim.lr_scheduler.exponential_lr(o, gamma) -> schedule
  Times gamma at each step.
  > optim.lr_scheduler.exponential_lr(optim.sgd(nn.linear(2, 1):parameters()), 0.9)
optim.lr_scheduler.constant_lr(o [, { factor = 1/3, total_iters = 5 }]) -> schedule
  Times factor for the first total_iters steps.
  > optim.lr_scheduler.constant_lr(optim.sgd(nn.linear(2, 1):parameters()))
optim.lr_scheduler.linear_lr(o [, { start_factor = 1/3, end_factor = 1, total_iters = 5 }]) -> schedule
  A straight line from start_factor to end_factor times the rate in total_iters steps: a warm-up.
  > optim.lr_scheduler.linear_lr(optim.sgd(nn.linear(2, 1):parameters()), { start_factor = 0.1 })
optim.lr_scheduler.polynomial_lr(o [, { total_iters = 5, power = 1 }]) -> schedule
  To 0 in total_iters steps, as (1 - share of them) ^ power.
  > optim.lr_scheduler.polynomial_lr(optim.sgd(nn.linear(2, 1):parameters()))
optim.lr_scheduler.lambda_lr(o, f) -> schedule
  The rate to begin with, times f(number of steps); f: a function, or a list, one for each group.
  > optim.lr_scheduler.lambda_lr(optim.sgd(nn.linear(2, 1):parameters()), function(n) return 0.95 ^ n end)
optim.lr_scheduler.multiplicative_lr(o, f) -> schedule
  Times f(number of steps) at each step; f: a function, or a list, one for each group.
  > optim.lr_scheduler.multiplicative_lr(optim.sgd(nn.linear(2, 1):parameters()), function() return 0.95 end)
optim.lr_scheduler.cosine_annealing_lr(o, T_max [, { eta_min = 0 }]) -> schedule
  Down to eta_min in T_max steps along half a cosine, and up again (Loshchilov, Hutter, arXiv 1608.03983).
  > optim.lr_scheduler.cosine_annealing_lr(optim.sgd(nn.linear(2, 1):parameters()), 100)
optim.lr_scheduler.cosine_annealing_warm_restarts(o, T_0 [, { T_mult = 1, eta_min = 0 }]) -> schedule
  Half a cosine of T_0 steps, again and again, each time T_mult times as long.
  > optim.lr_scheduler.cosine_annealing_warm_restarts(optim.sgd(nn.linear(2, 1):parameters()), 10)
optim.lr_scheduler.cyclic_lr(o, base_lr, max_lr [, { step_size_up = 2000, step_size_down =, mode = "triangular", gamma = 1, scale_fn =,
    scale_mode = "cycle", cycle_momentum = true, base_momentum = 0.8, max_momentum = 0.9 }]) -> schedule
  From base_lr to max_lr and back, in straight lines; momentum goes against it. mode "triangular2": each cycle half as high; "exp_range": as
  high as gamma ^ steps; or scale_fn(cycle), of the steps with scale_mode = "iterations" (Smith, arXiv 1506.01186).
  > optim.lr_scheduler.cyclic_lr(optim.sgd(nn.linear(2, 1):parameters(), { momentum = 0.9 }), 1e-3, 0.1)
optim.lr_scheduler.one_cycle_lr(o, max_lr, { total_steps =, epochs =, steps_per_epoch =, pct_start = 0.3, anneal_strategy = "cos",
    cycle_momentum = true, base_momentum = 0.85, max_momentum = 0.95, div_factor = 25, final_div_factor = 1e4,
    three_phase = false }) -> schedule
  One rise from max_lr / div_factor to max_lr in the share pct_start of total_steps (or epochs * steps_per_epoch), then down to the
  beginning's / final_div_factor. A step more than total_steps is an error (Smith, Topin, arXiv 1708.07120).
  > optim.lr_scheduler.one_cycle_lr(optim.sgd(nn.linear(2, 1):parameters(), { momentum = 0.9 }), 0.1, { total_steps = 100 })
optim.lr_scheduler.reduce_lr_on_plateau(o [, { mode = "min", factor = 0.1, patience = 10, threshold = 1e-4, threshold_mode = "rel",
    cooldown = 0, min_lr = 0, eps = 1e-8 }]) -> schedule
  s:step(loss), a number or a tensor of one element: times factor when it was not better than the best (by threshold, a share of it or,
  "abs",
  a number) for more than patience steps; then it rests for cooldown steps.
  > local s = optim.lr_scheduler.reduce_lr_on_plateau(optim.sgd(nn.linear(2, 1):parameters()), { patience = 3 })
  > s:step(0.7)
optim.lr_scheduler.sequential_lr(o, schedules, milestones) -> schedule
  One after the other: the second one from milestones[1] steps on, and so on.
  > local S, o = optim.lr_scheduler, optim.sgd(nn.linear(2, 1):parameters())
  > S.sequential_lr(o, { S.linear_lr(o, { start_factor = 0.1, total_iters = 5 }), S.cosine_annealing_lr(o, 95) }, { 5 })
optim.lr_scheduler.chained_scheduler(schedules) -> schedule
  Each step is one of all of them, so that what they do to the rate multiplies.
  > local S, o = optim.lr_scheduler, optim.sgd(nn.linear(2, 1):parameters())
  > S.chained_scheduler { S.linear_lr(o), S.exponential_lr(o, 0.9) }
lr: a schedule of optim.lr_scheduler
  > optim.lr_scheduler.exponential_lr(optim.sgd(nn.linear(2, 1):parameters()), 0.9)
lr:step([figure]): the optimizer's lr becomes the next one; after o:step(), outside a compiled step
  > optim.lr_scheduler.exponential_lr(optim.sgd(nn.linear(2, 1):parameters()), 0.9):step()
lr:get_last_lr() -> the rates that it set last, a list by group
  > optim.lr_scheduler.exponential_lr(optim.sgd(nn.linear(2, 1):parameters()), 0.9):get_last_lr()
lr:state_dict() -> where it stands, as tensors by name (f64)
  > optim.lr_scheduler.exponential_lr(optim.sgd(nn.linear(2, 1):parameters()), 0.9):state_dict()
lr:load_state_dict(state) -> the schedule, which goes on from there (load the optimizer's state, too)
  > local s = optim.lr_scheduler.exponential_lr(optim.sgd(nn.linear(2, 1):parameters()), 0.9)
  > s:load_state_dict(s:state_dict())
]==]
