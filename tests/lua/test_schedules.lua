-- Schedules of learning rates: 100 steps of each against PyTorch's (tests/data/schedules.json, made by tests/peers/make_schedules.py),
-- within 1e-9; states; what is refused; rates in the loop of a compiled step.
-- gcstress: every 400
-- luacheck: globals TestScheduleParity TestSchedules TestScheduleState TestScheduleErrors
local lu = require "luaunit"
local ms = require "mascon"
local json = require "mascon.json"
local checks = require "checks"
local optim, fails = ms.optim, checks.fails
local S = optim.lr_scheduler

local file <close> = assert(io.open("tests/data/schedules.json"))
local data = json.decode(file:read "a")

local functions = { fading = function(e) return 0.95 ^ e end, harmonic = function(e) return 1 / (1 + e) end,
  nine_tenths = function(e) return e % 3 == 0 and 0.9 or 1 end, root = function(x) return x ^ -0.5 end }

-- What reduce_lr_on_plateau is told.
local function waves(step) return 1 / (1 + 0.2 * math.min(step, 30)) + 0.05 * ((step * 7) % 11) / 11 end

local function value(v)
  if type(v) ~= "table" then return functions[v] or v end
  local out = {}
  for k, w in pairs(v) do out[k] = value(w) end
  return out
end

local function build(o, case)
  if not case.children then
    local args = value(case.args or {})
    args[#args + 1] = value(case.options)
    return S[case.name](o, table.unpack(args))
  end
  local children = {}
  for i, child in ipairs(case.children) do children[i] = build(o, child) end
  if case.name == "chained_scheduler" then return S.chained_scheduler(children) end
  return S.sequential_lr(o, children, value(case.milestones))
end

local function leaf() return ms.zeros({ 1 }, { dtype = "f64", requires_grad = true }) end

local function two_groups(adam)
  local groups = { { params = { leaf() } }, { params = { leaf() }, lr = 0.02 } }
  return adam and optim.adam(groups, { lr = 0.1 }) or optim.sgd(groups, { lr = 0.1, momentum = 0.5 })
end

local function near(what, got, want)
  if not (math.abs(got - want) <= 1e-9 * math.max(math.abs(want), 1e-3)) then
    lu.fail(("%s: got %.17g, PyTorch gives %.17g"):format(what, got, want))
  end
end

-- Is the optimizer as after so many steps?
local function compare(case, o, s, step)
  for i, g in ipairs(o.groups) do
    near(("%s, group %d after %d steps"):format(tostring(s), i, step), g.lr, case.rates[step + 1][i])
    lu.assertEquals(s:get_last_lr()[i], g.lr)
    if case.momenta then
      near(("momentum of %s after %d steps"):format(tostring(s), step), case.adam and g.betas[1] or g.momentum, case.momenta[step + 1][i])
    end
  end
end

local function advance(case, s, step)
  if case.metric then s:step(waves(step)) else s:step() end
end

TestScheduleParity = {}

local kinds, rates, known = 0, 0, {}
for i, case in ipairs(data.cases) do
  if not known[case.name] then kinds = kinds + 1 end
  known[case.name], rates = true, rates + #case.rates
  TestScheduleParity[("test_%s_%d"):format(case.name, i)] = function()
    local o = two_groups(case.adam)
    local s = build(o, case)
    lu.assertTrue(#case.rates >= 100)
    compare(case, o, s, 0)
    for step = 1, #case.rates - 1 do
      advance(case, s, step)
      compare(case, o, s, step)
    end
  end
  -- Stopped after 37 steps, and gone on with from its state and the optimizer's, it does the same.
  TestScheduleParity[("test_%s_%d_goes_on"):format(case.name, i)] = function()
    local o = two_groups(case.adam)
    local s = build(o, case)
    for step = 1, 37 do advance(case, s, step) end
    local saved, of_optimizer = s:state_dict(), o:state_dict()
    local o2 = two_groups(case.adam)
    local s2 = build(o2, case)
    o2:load_state_dict(of_optimizer)
    lu.assertTrue(s2:load_state_dict(saved) == s2)
    lu.assertEquals(s2:get_last_lr(), s:get_last_lr())
    for step = 38, #case.rates - 1 do
      advance(case, s2, step)
      compare(case, o2, s2, step)
    end
  end
end

function TestScheduleParity.test_what_is_compared_is_told()
  lu.assertTrue(kinds >= 15)
  print(("compared: PyTorch's values of schedules: %d schedules, %d cases, %d rates"):format(kinds, #data.cases, rates))
end

-- ---- use -------------------------------------------------------------------------------------------------------------------------------

TestSchedules = {}

-- The rate that a schedule sets is that of the next replay; nothing is recorded anew.
function TestSchedules.test_rates_reach_the_replays_of_a_compiled_step()
  local function run(compiled)
    local w = ms.ones({ 3 }, { requires_grad = true })
    local o = optim.sgd({ w }, { lr = 0.1, momentum = 0.9 })
    local s = S.one_cycle_lr(o, 0.5, { total_steps = 30 })
    local function f(x)
      local loss = (w * x - 1):square():sum()
      o:zero_grad()
      loss:backward()
      o:step()
      return loss
    end
    local step, seen = compiled and ms.compile(f) or f, {}
    for k = 1, 25 do
      step(ms.full({ 3 }, k / 25))
      s:step()
      seen[k] = w:totable()
    end
    return seen, compiled and step:report()
  end
  local want = run(false)
  local got, report = run(true)
  lu.assertEquals(got, want)
  local _, recordings = report:gsub("replayed of", "")
  lu.assertEquals(recordings, 1)
end

function TestSchedules.test_inside_a_compiled_step_it_raises_and_stays_where_it_was()
  local w = ms.ones({ 1 }, { requires_grad = true })
  local o = optim.adam({ w }, { lr = 0.5 })
  for _, s in ipairs { S.exponential_lr(o, 0.5), S.cyclic_lr(o, 0.25, 1), S.sequential_lr(o, { S.exponential_lr(o, 0.5) }, {}) } do
    local before = s:state_dict().last_epoch:item()
    local step = ms.compile(function(x)
      o:zero_grad();
      (w * x):sum():backward()
      o:step()
      s:step()
    end)
    fails("was set inside a compiled step", function() for _ = 1, 3 do step(ms.ones { 1 }) end end)
    lu.assertEquals(s.last_epoch, before + 1) -- of the first call, which was eager
  end
end

function TestSchedules.test_what_it_says()
  local o = two_groups()
  local s = S.step_lr(o, 2)
  lu.assertEquals(tostring(s), "lr_scheduler.step_lr(2, 0.1) after 0 steps, lr 0.1, 0.02")
  s:step()
  s:step()
  lu.assertEquals(tostring(s), "lr_scheduler.step_lr(2, 0.1) after 2 steps, lr 0.01, 0.002")
  lu.assertEquals({ s.last_epoch, s.base_lrs[1], s.base_lrs[2] }, { 2, 0.1, 0.02 })
  lu.assertTrue(s.optimizer == o)
  local given = S.step_lr(two_groups(), { step_size = 3, gamma = 0.5 })
  lu.assertEquals(given.gamma, 0.5)
end

function TestSchedules.test_a_measure_may_be_a_tensor()
  local o = two_groups()
  local s = S.reduce_lr_on_plateau(o, { patience = 0 })
  s:step(ms.tensor(1.0))
  s:step(ms.tensor { 1.0 })
  lu.assertAlmostEquals(o.groups[1].lr, 0.01, 1e-15)
  s:step(0 / 0) -- NaN is no better than anything
  lu.assertAlmostEquals(o.groups[1].lr, 0.001, 1e-15)
end

-- ---- states --------------------------------------------------------------------------------------------------------------------------

TestScheduleState = {}

function TestScheduleState.test_a_checkpoint_takes_it()
  local path = os.tmpname()
  local o = two_groups()
  local s = S.cosine_annealing_lr(o, 10)
  for _ = 1, 4 do s:step() end
  ms.checkpoint.save(path, { optimizer = o, schedule = s })
  local o2 = two_groups()
  local s2 = S.cosine_annealing_lr(o2, 10)
  ms.checkpoint.load(path, { optimizer = o2, schedule = s2 })
  os.remove(path)
  s:step()
  s2:step()
  lu.assertEquals({ s2.last_epoch, o2.groups[1].lr, o2.groups[2].lr }, { 5, o.groups[1].lr, o.groups[2].lr })
end

function TestScheduleState.test_what_does_not_fit_is_refused_and_nothing_changes()
  local s = S.reduce_lr_on_plateau(two_groups())
  s:step(3)
  local good = s:state_dict()
  local function refused(expected, key, v)
    local bad = {}
    for k, t in pairs(good) do bad[k] = t * 0 + 7 end
    bad[key] = v
    fails("lr_scheduler.reduce_lr_on_plateau: load_state_dict: " .. expected, s.load_state_dict, s, bad)
    for k, t in pairs(s:state_dict()) do lu.assertEquals(t:item(), good[k]:item(), k) end
  end
  refused("unknown entry 'bst'", "bst", ms.ones {})
  refused("missing entry 'best'", "best", nil)
  refused("last_epoch: expected a whole number from 0 on, got 0.5", "last_epoch", ms.tensor(0.5))
  refused("best: expected a tensor of one element, got 2 f32", "best", ms.ones { 2 })
  refused("best: expected a tensor, got number", "best", 1)
  local exponential = S.exponential_lr(two_groups(), 0.9)
  fails("unknown entry", s.load_state_dict, s, S.chained_scheduler { exponential }:state_dict())
end

-- ---- errors --------------------------------------------------------------------------------------------------------------------------

TestScheduleErrors = {}

function TestScheduleErrors.test_impossible_settings_are_refused()
  local o = two_groups()
  local before = tostring(o)
  for _, case in ipairs {
    { "step_lr: argument step_size is missing", S.step_lr },
    { "step_lr: step_size: expected a whole number from 1 on, got 0", S.step_lr, 0 },
    { "step_lr: gamma: expected a finite number", S.step_lr, 3, { gamma = -1 } },
    { "step_lr: unknown option 'gama'; did you mean gamma?", S.step_lr, 3, { gama = 1 } },
    { "multi_step_lr: milestones: expected a list of whole numbers from 0 on, in order, got { 3, 2 }", S.multi_step_lr,
      { milestones = { 3, 2 } } },
    { "multi_step_lr: milestones: expected a list", S.multi_step_lr, { 1.5 } },
    { "constant_lr: factor: expected a number above 0, 1 at most, got 2", S.constant_lr, 2 },
    { "linear_lr: start_factor: expected a number above 0, 1 at most, got 0", S.linear_lr, { start_factor = 0 } },
    { "linear_lr: end_factor: expected a number from 0 to 1, got 1.5", S.linear_lr, { end_factor = 1.5 } },
    { "exponential_lr: argument gamma is missing", S.exponential_lr },
    { "polynomial_lr: total_iters: expected a whole number from 1 on", S.polynomial_lr, { total_iters = 0 } },
    { "cosine_annealing_lr: T_max: expected a whole number from 1 on, got 0", S.cosine_annealing_lr, 0 },
    { "cosine_annealing_warm_restarts: T_mult: expected a whole number from 1 on, got 1.5", S.cosine_annealing_warm_restarts, 4,
      { T_mult = 1.5 } },
    { "lambda_lr: lr_lambda: expected a function of the number of steps", S.lambda_lr, 3 },
    { "lambda_lr: lr_lambda gave nil for 0 steps, expected a number", S.lambda_lr, function() end },
    { "lambda_lr: lr_lambda: expected a number or a list of 2, one for each group of parameters, got 1", S.lambda_lr,
      { function() return 1 end } },
    { "cyclic_lr: argument max_lr is missing", S.cyclic_lr, 0.1 },
    { "cyclic_lr: mode: expected 'triangular', 'triangular2' or 'exp_range', got 'square'", S.cyclic_lr, 0.1, 0.2, { mode = "square" } },
    { "cyclic_lr: max_lr: expected a number or a list of 2", S.cyclic_lr, 0.1, { 1, 2, 3 } },
    { "one_cycle_lr: expected total_steps, or epochs and steps_per_epoch", S.one_cycle_lr, 0.1 },
    { "one_cycle_lr: pct_start: expected a number from 0 to 1, got 2", S.one_cycle_lr, 0.1, { total_steps = 5, pct_start = 2 } },
    { "one_cycle_lr: anneal_strategy: expected 'cos' or 'linear', got 'exp'", S.one_cycle_lr, 0.1,
      { total_steps = 5, anneal_strategy = "exp" } },
    { "reduce_lr_on_plateau: mode: expected 'min' or 'max', got 'best'", S.reduce_lr_on_plateau, { mode = "best" } },
    { "reduce_lr_on_plateau: factor: expected 0 <= factor < 1, got 1", S.reduce_lr_on_plateau, { factor = 1 } },
    { "sequential_lr: milestones: expected 0, one less than schedules, got 1", S.sequential_lr, { S.constant_lr(two_groups()) }, { 1 } },
  } do
    if case[1]:find "^sequential" then fails("belongs to another optimizer", case[2], o, case[3], case[4])
    else fails("lr_scheduler." .. case[1], case[2], o, table.unpack(case, 3)) end
    lu.assertEquals(tostring(o), before)
  end
  fails("lr_scheduler.step_lr: expected an optimizer, got nil", S.step_lr)
  fails("expected an optimizer, got a table", S.step_lr, {}, 3)
  fails("cycle_momentum: the optimizer has neither momentum nor betas", S.cyclic_lr, optim.adagrad { leaf() }, 0.1, 0.2)
  fails("ms.optim.lr_scheduler has no 'StepLR'; did you mean ms.optim.lr_scheduler.step_lr?", function() return S.StepLR end)
  fails("did you mean ms.optim.lr_scheduler.reduce_lr_on_plateau?", function() return S.ReduceLROnPlateau end)
end

function TestScheduleErrors.test_misuse_is_refused()
  local o = two_groups()
  local s = S.exponential_lr(o, 0.9)
  fails("expected no more arguments, got number", s.step, s, 3)
  fails("with a colon: s:step()", s.step)
  fails("last_epoch cannot be assigned", function() s.last_epoch = 3 end)
  fails("has no field 'last_lrs'", function() return s.last_lrs end)
  fails("step: expected what is measured, a number, got nil", function() S.reduce_lr_on_plateau(o):step() end)
  local cycle = S.one_cycle_lr(two_groups(), 1, { total_steps = 2 })
  cycle:step()
  cycle:step()
  fails("stepped 3 times, made for total_steps = 2", cycle.step, cycle)
  lu.assertEquals(cycle.last_epoch, 2)
  local bad = S.lambda_lr(two_groups(), { function() return 1 end, function(e) return 1 - e end })
  bad:step()
  fails("lr: expected a finite number from 0 on", bad.step, bad) -- of the second group: the first stays, too
  lu.assertEquals({ bad.last_epoch, bad.optimizer.groups[1].lr }, { 1, 0.1 })
  o:add_param_group { params = { leaf() } }
  fails("made for 2 groups of parameters, the optimizer has 3 now", s.step, s)
end

function TestScheduleErrors.test_schedules_made_of_others()
  local o = two_groups()
  local one, plateau = S.exponential_lr(o, 0.9), S.reduce_lr_on_plateau(o)
  local chain = S.chained_scheduler { one }
  fails("chained_scheduler: expected a list of schedules, got a table", S.chained_scheduler, {})
  fails("schedule 2: expected a schedule, got 3", S.chained_scheduler, { one, 3 })
  fails("schedule 2: lr_scheduler.reduce_lr_on_plateau wants to be told what is measured", S.chained_scheduler, { one, plateau })
  fails("schedule 2 (lr_scheduler.exponential_lr) belongs to another optimizer", S.chained_scheduler,
    { one, S.exponential_lr(two_groups(), 1) })
  fails("schedule 1: lr_scheduler.chained_scheduler is made of others", S.sequential_lr, o, { chain }, {})
  fails("milestones: expected 1, one less than schedules, got 0", S.sequential_lr, o, { one, S.constant_lr(o) }, {})
  fails("milestones: expected a list of whole numbers", S.sequential_lr, o, { one, S.constant_lr(o) }, { -1 })
end
