-- Optimizers: PyTorch's values parameter by parameter, states that are loaded whole or not at all, fields behind one door.
-- gcstress: every 50
-- luacheck: globals TestOptimSteps TestOptimParameters TestOptimFields TestOptimState TestOptimCompiled
local lu = require "luaunit"
local ms = require "mascon"
local inside = require "mascon.inside"
local checks = require "checks"
local optim, fails = ms.optim, checks.fails

local function leaf(...) return ms.tensor({ ... }, { dtype = "f64", requires_grad = true }) end

-- One step with these gradients (false: none).
local function give(o, ...)
  for i, g in ipairs { ... } do
    local p = o.parameters[i]
    p.grad = g and ms.full(p.shape, g, { dtype = p.dtype }) or nil
  end
  o:step()
end

-- PyTorch's Adam on one number, in f64: a list of parameters after each gradient.
local function adam(p, gradients, h)
  local m, v, out = 0, 0, {}
  for t, g in ipairs(gradients) do
    if h.decoupled then p = p - h.lr * h.weight_decay * p else g = g + h.weight_decay * p end
    m = h.beta1 * m + (1 - h.beta1) * g
    v = h.beta2 * v + (1 - h.beta2) * g * g
    p = p - h.lr / (1 - h.beta1 ^ t) * m / (math.sqrt(v) / math.sqrt(1 - h.beta2 ^ t) + h.eps)
    out[t] = p
  end
  return out
end

-- PyTorch's SGD on one number.
local function sgd(p, gradients, h)
  local b, out = nil, {}
  for t, g in ipairs(gradients) do
    g = g + h.weight_decay * p
    if h.momentum ~= 0 then
      b = b and h.momentum * b + (1 - h.dampening) * g or g
      g = h.nesterov and g + h.momentum * b or b
    end
    p = p - h.lr * g
    out[t] = p
  end
  return out
end

local makers = {
  function(p) return optim.adam(p, { lr = 0.1 }) end,
  function(p) return optim.adamw(p, { lr = 0.1, betas = { 0.7, 0.8 } }) end,
  function(p) return optim.sgd(p, { lr = 0.1, momentum = 0.9, dampening = 0.3 }) end,
  function(p) return optim.sgd(p, { lr = 0.1 }) end,
}

-- ---- steps ------------------------------------------------------------------------------------------------------------------------------

TestOptimSteps = {}

function TestOptimSteps.test_adam_counts_the_steps_of_each_parameter()
  local h = { lr = 0.01, beta1 = 0.8, beta2 = 0.9, eps = 1e-6, weight_decay = 0.1 }
  for _, decoupled in ipairs { false, true } do
    h.decoupled = decoupled
    local a, b = leaf(1), leaf(-2)
    local make = decoupled and optim.adamw or optim.adam
    local o = make({ a, b }, { lr = 0.01, betas = { 0.8, 0.9 }, eps = 1e-6, weight_decay = 0.1 })
    local want_a, want_b = adam(1, { 1, 2, -1, 0.5, 3 }, h), adam(-2, { 4, 5 }, h)
    give(o, 1, false)
    give(o, 2, false)
    give(o, -1, 4) -- b joins
    lu.assertAlmostEquals(b:item(), want_b[1], 1e-14)
    give(o, 0.5, false) -- and pauses
    lu.assertAlmostEquals(b:item(), want_b[1], 1e-14)
    give(o, 3, 5)
    lu.assertAlmostEquals(a:item(), want_a[5], 1e-14)
    lu.assertAlmostEquals(b:item(), want_b[2], 1e-14)
  end
end

function TestOptimSteps.test_a_parameter_that_joins_adam_late_moves_by_the_rate()
  local a, b = ms.ones { 1 }:requires_grad_(), ms.ones { 1 }:requires_grad_()
  local o = optim.adam({ a, b }, { lr = 0.001 })
  for _ = 1, 1000 do give(o, 1, false) end
  for _ = 1, 3 do
    local before = b:item()
    give(o, 1, 1)
    lu.assertAlmostEquals(before - b:item(), 0.00099998712, 1e-10)
  end
end

function TestOptimSteps.test_the_first_step_of_sgd_is_undampened_for_each_parameter()
  for _, nesterov in ipairs { false, true } do
    local h = { lr = 0.5, momentum = 0.9, dampening = nesterov and 0 or 0.25, weight_decay = 0.01, nesterov = nesterov }
    local a, b = leaf(1), leaf(3)
    local o = optim.sgd({ a, b }, h)
    give(o, 1, false)
    give(o, -2, 1)
    give(o, 1, false)
    give(o, 1, -3)
    lu.assertAlmostEquals(a:item(), sgd(1, { 1, -2, 1, 1 }, h)[4], 1e-14)
    lu.assertAlmostEquals(b:item(), sgd(3, { 1, -3 }, h)[2], 1e-14)
  end
end

function TestOptimSteps.test_momentum_switched_on_and_off_later()
  local a = leaf(0)
  local o = optim.sgd({ a }, { lr = 1, dampening = 0.5 })
  give(o, 1)
  lu.assertEquals(a:item(), -1)
  o.momentum = 0.5
  give(o, 1) -- the first with momentum: undampened
  lu.assertEquals(a:item(), -2)
  give(o, 1) -- 0.5 * 1 + 0.5 * 1
  lu.assertEquals(a:item(), -3)
  o.momentum = 0
  give(o, 4)
  lu.assertEquals(a:item(), -7)
  o.momentum = 0.5 -- the buffer is still 1
  give(o, 1)
  lu.assertEquals(a:item(), -8)
end

function TestOptimSteps.test_parameters_of_both_dtypes_in_one_optimizer()
  for _, make in ipairs(makers) do
    local function run(turned)
      local short, long = ms.ones({ 200 }, { requires_grad = true }), ms.ones({ 3 }, { dtype = "f64", requires_grad = true })
      local o = make(turned and { long, short } or { short, long })
      for k = 1, 3 do give(o, k, k) end
      return short:totable(), long:totable()
    end
    local f, d = run(false)
    local f2, d2 = run(true)
    lu.assertEquals(f, f2)
    lu.assertEquals(d, d2)
    lu.assertAlmostEquals(f[1], d[1], 1e-6)
    lu.assertNotEquals(d[3], 1)
  end
end

function TestOptimSteps.test_an_infinite_parameter_is_not_in_the_gradient_without_decay()
  for _, make in ipairs(makers) do
    local a = leaf(math.huge, 1)
    local o = make { a }
    o.weight_decay = 0
    a.grad = ms.zeros({ 2 }, { dtype = "f64" })
    o:step()
    lu.assertEquals(a:totable(), { math.huge, 1 })
  end
end

function TestOptimSteps.test_the_same_bits_on_any_number_of_threads()
  local before = ms.threads()
  local function run(make, threads)
    ms.threads(threads)
    ms.seed(7)
    local list = {}
    for i, n in ipairs { 70000, 33, 1, 5000, 64 } do list[i] = ms.randn({ n }):requires_grad_() end
    local o = make(list)
    for k = 1, 4 do
      for i, p in ipairs(list) do p.grad = (k + i) % 3 ~= 0 and ms.randn(p.shape) or nil end
      o:step()
    end
    local out = {}
    for i, p in ipairs(list) do out[i] = p:totable() end
    return out
  end
  for _, make in ipairs(makers) do
    local one = run(make, 1)
    for _, n in ipairs { 2, 3, 7 } do
      for i, values in ipairs(run(make, n)) do lu.assertTrue(table.concat(values, " ") == table.concat(one[i], " "), i) end
    end
  end
  ms.threads(before)
end

-- ---- parameters ------------------------------------------------------------------------------------------------------------------

TestOptimParameters = {}

function TestOptimParameters.test_what_is_no_list_of_parameters_is_refused()
  local a, b = leaf(1), leaf(2)
  for _, make in pairs { sgd = optim.sgd, adam = optim.adam, adamw = optim.adamw } do
    fails("expected a list of parameters (model:parameters()), got nil", make)
    fails("got an empty one", make, {})
    fails("parameter 2: expected a tensor, got 3", make, { a, 3 })
    fails("got a tensor", make, a)
    fails("got a module", make, ms.nn.linear(1, 1))
    fails("parameter 1: expected f32 or f64, got 2 i64", make, { ms.zeros({ 2 }, { dtype = "i64" }) })
    fails("parameter 1 is the result of an operation", make, { a * 2 })
    fails("parameters 1 and 3 are the same tensor", make, { a, b, a })
    fails("without holes and names, got an entry weight", make, { a, weight = b })
    fails("without holes and names", make, { a, nil, b, nil, nil, a })
  end
  local bf = ms.tensor(ms.ones { 2 }, { dtype = "bf16" }):requires_grad_()
  fails("parameter 1: expected f32 or f64, got 2 bf16", optim.sgd, { bf })
end

-- What PyTorch does with frozen parameters: they are listed, and steps pass them by until they learn.
function TestOptimParameters.test_frozen_parameters_are_passed_by()
  local x, y = ms.tensor { { 1, 2 }, { 3, -1 } }, ms.tensor { { 1 }, { -1 } }
  for name in pairs { sgd = 1, adam = 1, adamw = 1, nadam = 1, radam = 1, adamax = 1, rmsprop = 1, adagrad = 1, adadelta = 1, asgd = 1,
    rprop = 1, lion = 1, muon = 1, lbfgs = 1 } do
    for _, compiled in ipairs { false, true } do
      local bias = name ~= "muon" -- trains matrices only
      local net = ms.nn.sequential { ms.nn.linear(2, 3, { bias = bias }), ms.nn.linear(3, 1, { bias = bias }) }
      net[1]:requires_grad_(false)
      local o = optim[name](net:parameters(), { lr = 0.1 })
      lu.assertEquals(#o.parameters, bias and 4 or 2)
      local function loss()
        o:zero_grad()
        local l = ms.nn.mse(net(x), y)
        l:backward()
        return l
      end
      local function once()
        if name == "lbfgs" then return o:step(loss) end
        local l = loss()
        o:step()
        return l
      end
      local step = compiled and name ~= "lbfgs" and ms.compile(once) or once
      local frozen, learns = net[1].weight, net[2].weight
      local before, at_first = frozen:clone(), learns:clone()
      for _ = 1, 5 do step(x, y) end
      lu.assertTrue(frozen:equal(before), name)
      lu.assertFalse(learns:equal(at_first), name)
      lu.assertNil(frozen.grad)
      if name == "lbfgs" then break end -- has converged; and its state is one vector
      lu.assertNil(o:state_dict()["step.1"], name)
      net[1]:requires_grad_(true)
      net[2]:requires_grad_(false)
      o:zero_grad()
      local now = learns:clone()
      for _ = 1, 5 do step(x, y) end
      lu.assertFalse(frozen:equal(before), name)
      lu.assertTrue(learns:equal(now), name)
    end
  end
end

function TestOptimParameters.test_parameters_that_share_memory_are_refused()
  local a = ms.ones({ 4 }, { requires_grad = true })
  local b = a:detach():requires_grad_()
  local o = optim.sgd({ a, b }, { lr = 1 })
  a.grad, b.grad = ms.ones { 4 }, ms.ones { 4 }
  fails("sgd_: parameters 1 and 2 share memory", o.step, o)
  local whole = ms.zeros { 6 } -- parts of one buffer that do not overlap are fine
  local left, right = whole[{ { 1, 3 } }]:detach():requires_grad_(), whole[{ { 4, 6 } }]:detach():requires_grad_()
  give(optim.sgd({ left, right }, { lr = 1 }), 1, 2)
  lu.assertEquals(whole:totable(), { -1, -1, -1, -2, -2, -2 })
end

function TestOptimParameters.test_the_list_is_copied()
  local a, b = leaf(1), leaf(2)
  local list = { a, b }
  local o = optim.sgd(list, { lr = 1 })
  list[2] = nil
  give(o, 1, 1)
  lu.assertEquals(b:item(), 1)
end

function TestOptimParameters.test_the_rows_check_their_lists()
  local p, g = ms.ones { 2 }, ms.ones { 2 }
  fails("sgd_: groups: expected 2 lists, got 4", inside.sgd_, { p, g, p, g }, 4, 0.1)
  fails("sgd_: groups: expected 4 lists, got 2", inside.sgd_, { p, g }, 2, 0.1, 0.9)
  fails("adam_: the step count of parameter 1 is scalar f32, expected one f64", inside.adam_,
    { p, g, ms.zeros { 2 }, ms.zeros { 2 }, ms.zeros {} }, 5, 0.1)
  fails("adam_: 4 tensors do not divide into 5 lists", inside.adam_, { p, g, g, g }, 5, 0.1)
  fails("sgd_: parameter 1 is 2 f32, its list 2 holds 3 f32", inside.sgd_, { p, ms.ones { 3 } }, 2, 0.1)
end

-- ---- fields -----------------------------------------------------------------------------------------------------------------------------

TestOptimFields = {}

local nan, infinite = 0 / 0, math.huge

function TestOptimFields.test_impossible_values_are_refused_when_made_and_when_set()
  local a = leaf(1)
  local function both(make, options, field, value, expected)
    local given = {}
    for k, v in pairs(options) do given[k] = v end
    given[field] = value
    fails(expected, make, { a }, given)
    local o = make({ a }, options)
    local before = tostring(o)
    fails(expected, function() o[field] = value end)
    lu.assertEquals(tostring(o), before)
  end
  for _, make in ipairs { optim.sgd, optim.adam, optim.adamw } do
    for _, field in ipairs { "lr", "weight_decay" } do
      for _, v in ipairs { -1, nan, infinite } do
        both(make, {}, field, v, field .. ": expected a finite number from 0 on, got " .. tostring(v))
      end
    end
  end
  both(optim.sgd, {}, "momentum", -0.1, "momentum: expected a finite number from 0 on, got -0.1")
  both(optim.sgd, {}, "dampening", nan, "dampening: expected a finite number")
  both(optim.sgd, { momentum = 0 }, "nesterov", true, "nesterov: expected a momentum above 0 and no dampening")
  both(optim.sgd, { momentum = 0.9, dampening = 0.1 }, "nesterov", true, "got momentum 0.9 and dampening 0.1")
  both(optim.sgd, { momentum = 0.9, nesterov = true }, "momentum", 0, "nesterov: expected a momentum above 0")
  both(optim.adam, {}, "eps", -1e-8, "eps: expected a finite number from 0 on")
  both(optim.adam, {}, "betas", { 1, 0.9 }, "betas[1]: expected 0 <= beta < 1, got 1")
  both(optim.adam, {}, "betas", { 0.9 }, "betas[2]: expected 0 <= beta < 1, got nil")
  both(optim.adam, {}, "betas", { 0.9, nan }, "betas[2]: expected 0 <= beta < 1")
  both(optim.adam, {}, "betas", { 0.9, 0.9, 0.9 }, "betas: expected two numbers")
  both(optim.adam, {}, "betas", { first = 0.9 }, "betas[1]")
  fails("option lr: expected a number, got 'fast'", optim.sgd, { a }, { lr = "fast" })
  fails("lr: expected a finite number from 0 on, got 'fast'", function() optim.sgd({ a }, {}).lr = "fast" end)
  local o = optim.adam({ a }, {})
  fails("betas[2]: expected 0 <= beta < 1, got 1.5", function() o.betas[2] = 1.5 end)
  fails("betas[3]: there are two", function() o.betas[3] = 0.5 end)
end

function TestOptimFields.test_unknown_fields_are_refused_with_a_hint()
  local o, s = optim.adam({ leaf(1) }), optim.sgd({ leaf(1) })
  fails("optim.adam: there is no field 'learning_rate'; did you mean lr?", function() o.learning_rate = 1 end)
  fails("did you mean weight_decay?", function() o.weigth_decay = 1 end)
  fails("did you mean betas[1]?", function() o.beta1 = 1 end)
  fails("no field 'momentum'", function() o.momentum = 1 end)
  fails("did you mean nesterov?", function() s.nestorov = true end)
  fails("there is no field 'learning_rate'; did you mean lr?", function() return o.learning_rate end)
  fails("lr: expected a value, got nil", function() s.lr = nil end)
  fails("parameters cannot be assigned; make a new optimizer", function() s.parameters = {} end)
  fails("step cannot be assigned", function() s.step = 1 end)
  fails("unknown option 'learning_rate'", optim.sgd, { leaf(1) }, { learning_rate = 1 })
  fails("ms.optim has no 'AdamW'; did you mean ms.optim.adamw?", function() return optim.AdamW end)
end

function TestOptimFields.test_arguments_that_nobody_reads_are_refused()
  local o = optim.sgd { leaf(1) }
  fails("optim.sgd: step: expected no argument, or a function that computes the loss, got 3", o.step, o, 3)
  fails("optim.sgd: step: expected no more arguments, got number", o.step, o, print, 3)
  fails("optim.sgd: step: expected no more arguments, got number", o.step, o, nil, 3)
  fails("optim.sgd: zero_grad: expected no more arguments, got boolean", o.zero_grad, o, false)
  fails("optim.sgd: load_state_dict: expected no more arguments, got table", o.load_state_dict, o, {}, { strict = false })
end

function TestOptimFields.test_what_is_set_is_used()
  local h = { lr = 0.1, beta1 = 0.5, beta2 = 0.6, eps = 0.01, weight_decay = 0.2 }
  local a = leaf(2)
  local o = optim.adam { a }
  o.lr, o.betas, o.eps, o.weight_decay = 0.1, { 0.3, 0.6 }, 0.01, 0.2
  o.betas[1] = 0.5
  lu.assertEquals({ o.lr, o.betas[1], o.betas[2], #o.betas, o.eps, o.weight_decay }, { 0.1, 0.5, 0.6, 2, 0.01, 0.2 })
  give(o, 3)
  give(o, -1)
  lu.assertAlmostEquals(a:item(), adam(2, { 3, -1 }, h)[2], 1e-14)
  lu.assertStrContains(tostring(o), "adam: lr 0.1, betas { 0.5, 0.6 }, eps 0.01, weight_decay 0.2, 1 parameter, step 2")
end

-- ---- states -----------------------------------------------------------------------------------------------------------------------

TestOptimState = {}

local function copy(state)
  local out = {}
  for k, t in pairs(state) do out[k] = t:clone() end
  return out
end

function TestOptimState.test_a_round_trip_goes_on_to_the_last_bit()
  for _, make in ipairs(makers) do
    local a, b = leaf(1, 2), leaf(3)
    local o = make { a, b }
    give(o, 1, false)
    give(o, 2, -1)
    local saved, at = copy(o:state_dict()), { a:totable(), b:totable() }
    give(o, 3, 3)
    local want = { a:totable(), b:totable() }
    local c, d = leaf(table.unpack(at[1])), leaf(table.unpack(at[2]))
    local fresh = make { c, d }
    fresh.lr = 0.7
    fresh:load_state_dict(saved)
    lu.assertEquals(fresh.lr, 0.1)
    give(fresh, 3, 3)
    lu.assertEquals({ c:totable(), d:totable() }, want)
  end
end

function TestOptimState.test_hyper_parameters_belong_to_the_state()
  local o = optim.adam({ leaf(1) }, { lr = 1 / 3, betas = { 0.1, 0.2 }, eps = 0.3, weight_decay = 0.4 })
  local q = optim.adam { leaf(1) }
  q:load_state_dict(o:state_dict())
  lu.assertEquals({ q.lr, q.betas[1], q.betas[2], q.eps, q.weight_decay }, { 1 / 3, 0.1, 0.2, 0.3, 0.4 })
  local s = optim.sgd({ leaf(1) }, { lr = 1, momentum = 0.5, nesterov = true, weight_decay = 2 })
  local r = optim.sgd({ leaf(1) }, { dampening = 0.5 })
  r:load_state_dict(s:state_dict())
  lu.assertEquals({ r.lr, r.momentum, r.dampening, r.nesterov, r.weight_decay }, { 1, 0.5, 0, true, 2 })
end

function TestOptimState.test_state_that_is_not_in_the_dict_is_gone()
  for _, make in ipairs(makers) do
    local a, b = leaf(1), leaf(1)
    local o, other = make { a }, make { b }
    local fresh = copy(o:state_dict())
    give(o, 5)
    give(o, -2)
    o:load_state_dict(fresh)
    lu.assertNil(o:state_dict()["step.1"])
    lu.assertNil(o:state_dict()["momentum.1"])
    ms.no_grad(function() a:fill_(1) end)
    give(o, 3)
    give(other, 3)
    lu.assertEquals(a:item(), b:item())
  end
end

function TestOptimState.test_loading_copies_into_what_is_there()
  local a = leaf(1)
  local o = optim.adam { a }
  give(o, 1)
  local first, step = o:state_dict()["exp_avg.1"], o:state_dict()["step.1"]
  local saved = copy(o:state_dict())
  give(o, 4)
  o:load_state_dict(saved)
  lu.assertTrue(o:state_dict()["exp_avg.1"] == first and o:state_dict()["step.1"] == step)
  lu.assertEquals({ first:item(), step:item() }, { saved["exp_avg.1"]:item(), 1 })
  lu.assertFalse(saved["exp_avg.1"] == first)
end

function TestOptimState.test_what_does_not_fit_is_refused_and_nothing_changes()
  local a, b = leaf(1, 2), leaf(3)
  local o = optim.adam({ a, b }, { lr = 0.5 })
  give(o, 1, 1)
  local good, before = copy(o:state_dict()), copy(o:state_dict())
  local function refused(expected, key, value, remove)
    local bad = {}
    for k, v in pairs(good) do bad[k] = v:numel() == 2 and v * 0 + 1 or v end
    if key then bad[key] = value end
    if remove then bad[remove] = nil end
    fails("optim.adam: load_state_dict: " .. expected, o.load_state_dict, o, bad)
    local now = o:state_dict()
    for k, t in pairs(before) do lu.assertEquals(now[k]:totable(), t:totable(), k) end
    for k in pairs(now) do lu.assertNotNil(before[k], k) end
  end
  refused("unknown entry 'momentum_buffer.1'", "momentum_buffer.1", ms.ones { 2 })
  refused("'exp_avg.3': there are 2 parameters", "exp_avg.3", ms.ones { 2 })
  refused("'exp_avg.01': there are 2 parameters", "exp_avg.01", ms.ones { 2 })
  refused("'exp_avg.0': there are 2 parameters", "exp_avg.0", ms.ones { 2 })
  refused("exp_avg.1: expected 2 f64, got 3 f32", "exp_avg.1", ms.ones { 3 })
  refused("exp_avg.1: expected 2 f64, got 2 i64", "exp_avg.1", ms.ones({ 2 }, { dtype = "i64" }))
  refused("exp_avg.1: expected a tensor, got number", "exp_avg.1", 5)
  refused("step.1: expected a whole number from 1 on, got 1.5", "step.1", ms.tensor(1.5))
  refused("step.2: expected a whole number from 1 on", "step.2", ms.tensor(0 / 0))
  refused("step.2: expected a tensor of one element", "step.2", ms.ones { 2 })
  refused("missing entry 'exp_avg_sq.2'", nil, nil, "exp_avg_sq.2")
  refused("missing entry 'lr'", nil, nil, "lr")
  refused("lr: expected a finite number from 0 on, got -1", "lr", ms.tensor(-1))
  refused("betas[1]: expected 0 <= beta < 1", "beta1", ms.tensor(1))
  refused("maximize: expected 0 or 1, got 2", "maximize", ms.tensor(2))
  refused("missing entry 'max_exp_avg_sq.1'", "amsgrad", ms.tensor(1))
  refused("one step count for all parameters: written before each", "step", ms.tensor(1))
  fails("expected a table of tensors by name (state_dict), got nil", o.load_state_dict, o)
  fails("got string", o.load_state_dict, o, "adam.safetensors")
  fails("unknown entry '1': names are texts", o.load_state_dict, o, { ms.ones { 1 } })
  local s = optim.sgd({ a, b }, { lr = 1, momentum = 0.5 })
  fails("optim.sgd: load_state_dict: unknown entry", s.load_state_dict, s, good)
  fails("optim.adam: load_state_dict: unknown entry", o.load_state_dict, o, s:state_dict())
  local w = optim.adamw { a, b }
  fails("optim.adamw: load_state_dict: unknown entry 'decoupled_weight_decay'", w.load_state_dict, w, good)
  fails("optim.adam: load_state_dict: missing entry 'decoupled_weight_decay'", o.load_state_dict, o, w:state_dict())
  lu.assertEquals(s.momentum, 0.5)
end

-- ---- recorded steps ---------------------------------------------------------------------------------------------------------------

TestOptimCompiled = {}

-- Calls of an eager and a compiled step side by side; change(o, call) runs before each on both optimizers.
local function side_by_side(make, change)
  local function side(compiled)
    ms.seed(3)
    local w, b = ms.randn({ 5 }):requires_grad_(), ms.randn({ 1 }):requires_grad_()
    local o = make { w, b }
    local function f(x)
      local loss = ((w * x):sum() + b - 1):square():sum()
      o:zero_grad()
      loss:backward()
      o:step()
      return loss
    end
    return o, compiled and ms.compile(f) or f, w, b
  end
  local o1, eager, w1, b1 = side(false)
  local o2, step, w2, b2 = side(true)
  for call = 1, 12 do
    change(o1, call)
    change(o2, call)
    local x = ms.full({ 5 }, call / 10)
    eager(x)
    step(x)
    lu.assertEquals(w2:totable(), w1:totable(), "call " .. call)
    lu.assertEquals(b2:totable(), b1:totable(), "call " .. call)
  end
  lu.assertStrContains(step:report(), "replay")
end

function TestOptimCompiled.test_numbers_set_between_calls_are_seen()
  side_by_side(function(p) return optim.adamw(p, { lr = 0.01, weight_decay = 0.1 }) end, function(o, call)
    if call == 6 then o.lr, o.weight_decay = 0.1, 0.5 end
    if call == 8 then o.betas[2], o.eps = 0.5, 0.1 end
    if call == 10 then o.betas = { 0.2, 0.3 } end
  end)
  side_by_side(function(p) return optim.sgd(p, { lr = 0.01, momentum = 0.5, dampening = 0.1 }) end, function(o, call)
    if call == 6 then o.momentum, o.weight_decay = 0.9, 0.5 end
    if call == 8 then o.dampening = 0 end
    if call == 9 then o.nesterov = true end
    if call == 11 then
      o.nesterov = false
      o.momentum = 0
    end
  end)
end

function TestOptimCompiled.test_a_state_loaded_between_calls_is_seen()
  for _, make in ipairs(makers) do
    local fresh, later = {}, {}
    side_by_side(make, function(o, call)
      if call == 1 then fresh[o] = copy(o:state_dict()) end
      if call == 6 then later[o] = copy(o:state_dict()) end
      if call == 8 then o:load_state_dict(fresh[o]) end
      if call == 10 then o:load_state_dict(later[o]) end
    end)
  end
end

function TestOptimCompiled.test_a_number_set_inside_is_an_error_and_stays_as_it_was()
  local w = ms.ones({ 1 }, { requires_grad = true })
  local o = optim.adam({ w }, { lr = 0.5 })
  local how = { halve = false } -- so deep in tables that no recording sees it change
  local deep = { { { { { how } } } } }
  local step = ms.compile(function(x)
    if deep[1][1][1][1][1].halve then o.lr = o.lr / 2 end
    o:zero_grad();
    (w * x):sum():backward()
    o:step()
  end)
  step(ms.ones { 1 })
  how.halve = true
  fails("optim.adam: lr was set inside a compiled step", step, ms.ones { 1 })
  lu.assertEquals(o.lr, 0.5)
end
