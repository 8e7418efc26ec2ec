-- Optimizers that scripts write: README's, its fusion and its replays; groups of parameters; what a class may say.
-- gcstress: every 100
-- luacheck: globals TestOptimClass TestOptimGroups
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local like_eager = require "compiled".like_eager
local nn, optim, fails = ms.nn, ms.optim, checks.fails

local function leaf(...) return ms.tensor({ ... }, { dtype = "f64", requires_grad = true }) end

local function give(o, ...)
  for i, g in ipairs { ... } do o.parameters[i].grad = g and ms.full(o.parameters[i].shape, g, { dtype = o.parameters[i].dtype }) or nil end
  o:step()
end

local function copy(state)
  local out = {}
  for k, t in pairs(state) do out[k] = t:clone() end
  return out
end

-- A net, a step of it and its parameters; make: of the optimizer.
local function training(make, compiled)
  ms.seed(3)
  local model = nn.sequential { nn.linear(6, 5), nn.tanh(), nn.linear(5, 3) }
  local o = make(model:parameters())
  local function f(x)
    local loss = model(x):square():mean()
    o:zero_grad()
    loss:backward()
    o:step()
    return loss
  end
  return compiled and ms.compile(f) or f, model, o
end

-- Eager and compiled side by side, 12 calls or `calls`: change(o, call) runs before each; gives the compiled step.
local function side_by_side(make, change, calls)
  local eager, m1, o1 = training(make, false)
  local step, m2, o2 = training(make, true)
  for call = 1, calls or 12 do
    for _, o in ipairs(change and { o1, o2 } or {}) do change(o, call) end
    local x = ms.full({ 4, 6 }, call / 7)
    eager(x)
    step(x)
    for i, p in ipairs(m1:parameters()) do lu.assertEquals(m2:parameters()[i]:totable(), p:totable(), "call " .. call) end
  end
  return step, o2
end

-- The optimizers that take any parameter.
local elementwise = { "sgd", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "asgd", "lion", "rprop" }

-- ---- classes --------------------------------------------------------------------------------------------------------------------

TestOptimClass = {}

-- The optimizer in README.md, as it stands there.
local function from_readme()
  local file <close> = assert(io.open("README.md"))
  local code = assert(file:read "a":match '(local Lion = optim%.class "lion".-)local o = Lion%(')
  return assert(load("local ms, optim = ...\n" .. code .. "return Lion"))(ms, optim)
end

function TestOptimClass.test_ten_lines_of_readme_are_the_library_s()
  local Lion = from_readme()
  local a, b = leaf(1, -2, 3), leaf(1, -2, 3)
  local given = { lr = 0.05, betas = { 0.8, 0.7 }, weight_decay = 0.1 }
  local o, want = Lion({ a }, given), optim.lion({ b }, given)
  for k = 1, 9 do
    local g = math.sin(k)
    give(o, g)
    give(want, g)
    lu.assertTrue((a - b):abs():max():item() < 1e-14)
  end
  lu.assertEquals(tostring(o), "lion: lr 0.05, betas { 0.8, 0.7 }, weight_decay 0.1, 1 parameter, step 9")
end

function TestOptimClass.test_ten_lines_of_readme_compile_and_fuse()
  local Lion = from_readme()
  local step = side_by_side(function(p) return Lion(p, { lr = 0.01, weight_decay = 0.1 }) end, function(o, call)
    if call == 7 then o.lr = 0.02 end
    if call == 9 then o.betas[1], o.weight_decay = 0.5, 0 end
  end)
  local report = step:report()
  local _, recordings = report:gsub("replayed of", "")
  lu.assertEquals(recordings, 1)
  local passes = 0 -- one pass makes the step and the new mean, for each of four parameters
  for line in report:gmatch "[^\n]+" do
    if line:find "lerp" then
      passes = passes + 1
      for _, part in ipairs { "mul:", "lerp:", "sign:", "sub:" } do lu.assertStrContains(line, part) end
      lu.assertEquals(select(2, line:gsub("lerp:", "")), 2)
    end
  end
  lu.assertEquals(passes, 4)
end

-- An update may compute with its settings, and decide by them, eagerly and recorded.
function TestOptimClass.test_an_update_may_look_at_its_settings()
  local Mine = optim.class "mine"
  Mine.options = { lr = 0.25, power = 2, bonus = 0 }
  Mine.off_at_0 = { "bonus" }
  function Mine.update(p, g, s, o)
    local rate = math.sqrt(o.lr) * (o.lr > 0.5 and 0.1 or 1) / s.step
    if o.power == 2 then g = g * g elseif o.power == 3 then g = g ^ o.power end
    if o.bonus then p:add_(o.bonus - 1) end
    p:sub_(g * rate)
  end
  local step = side_by_side(Mine, function(o, call)
    if call == 5 then o.lr = 0.64 end
    if call == 9 then o.power = 3 end
    if call == 13 then o.bonus = 1.5 end
    if call == 17 then o.bonus = 1.25 end -- this one is only added
  end, 20)
  lu.assertStrContains(step:report(), "replayed of")
  local a = leaf(2)
  give(Mine({ a }, { power = 2 }), 3)
  lu.assertEquals(a:item(), 2 - 9 * 0.5)
end

-- A number that is handed to the step, such as the weight of a term in the loss, is another one in each replay whatever the optimizer is.
function TestOptimClass.test_numbers_that_the_step_gets_beside_settings()
  local makers = { readme = from_readme() }
  for _, name in ipairs { "sgd", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "asgd", "rprop", "lion" } do
    makers[name] = optim[name]
  end
  for name, make in pairs(makers) do
    local step = like_eager(function()
      local p = ms.tensor({ 1, -2, 3 }, { dtype = "f64" }):requires_grad_()
      local o = make({ p }, { lr = 0.01 })
      return function(x, weight)
        o:zero_grad()
        local loss = (p * x):sum() + p:square():sum() * weight
        loss:backward()
        o:step()
        return loss
      end, function(i)
        if i == 9 then o.lr = 0.02 end
        return { ms.tensor({ i, 1, -i }, { dtype = "f64" }), i / 8 }
      end, { p }
    end)
    local _, recordings = step:report():gsub("replayed of", "")
    lu.assertEquals(recordings, 1, name)
  end
end

-- All that are made of operations: with switches, numbers that are 0 or not, and rates set on the way.
function TestOptimClass.test_settings_between_calls_are_seen_by_replays()
  for _, name in ipairs { "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "asgd", "lion" } do
    local step = side_by_side(optim[name], function(o, call)
      if call == 5 then o.lr = o.lr * 2 end
      if call == 8 then o.weight_decay = 0.1 end -- another recording: two calls run, then replays
    end)
    local _, recordings = step:report():gsub("replayed of", "")
    lu.assertEquals(recordings, 2, name)
  end
  side_by_side(function(p) return optim.rmsprop(p, { momentum = 0.5 }) end, function(o, call)
    if call == 4 then o.alpha = 0.9 end
    if call == 6 then o.centered = true end
    if call == 9 then o.momentum = 0 end
  end)
  side_by_side(function(p) return optim.adam(p, { amsgrad = true }) end, function(o, call)
    if call == 5 then o.betas[2] = 0.9 end
    if call == 8 then o.amsgrad = false end
  end)
end

function TestOptimClass.test_steps_go_on_from_a_state_to_the_last_bit()
  for _, name in ipairs { "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "asgd", "rprop", "lion", "muon" } do
    local function options() return name == "rmsprop" and { momentum = 0.9, centered = true } or nil end
    local a = ms.randn({ 3, 4 }, { dtype = "f64" }):requires_grad_()
    local o = optim[name]({ a }, options())
    give(o, 1)
    give(o, -3)
    local saved, at = copy(o:state_dict()), a:totable()
    give(o, 2)
    give(o, 0.5)
    local b = ms.tensor(at, { dtype = "f64" }):requires_grad_()
    local fresh = optim[name]({ b }, options())
    fresh.lr = 0.7
    give(fresh, 5)
    ms.no_grad(function() b:copy_(ms.tensor(at, { dtype = "f64" })) end)
    fresh:load_state_dict(saved)
    give(fresh, 2)
    give(fresh, 0.5)
    lu.assertEquals(b:totable(), a:totable(), name)
  end
end

function TestOptimClass.test_parameters_without_a_gradient_are_left_alone()
  for _, name in ipairs(elementwise) do
    local a, b = leaf(1, 2), leaf(3)
    local o = optim[name]({ a, b }, { lr = 0.1, weight_decay = name ~= "rprop" and 0.5 or nil })
    give(o, 1, false)
    lu.assertEquals(b:totable(), { 3 }, name)
    lu.assertNotEquals(a:totable(), { 1, 2 }, name)
    lu.assertNil(o:state_dict()["step.2"], name)
    local empty = ms.zeros({ 0 }, { requires_grad = true })
    local e = optim[name] { empty }
    give(e, 0)
    lu.assertEquals(empty.shape, { 0 })
  end
end

function TestOptimClass.test_f32_goes_as_f64_does()
  for _, name in ipairs { "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "asgd", "rprop", "lion", "muon" } do
    local values = { { 1, -2, 3 }, { 0.5, 4, -1 } }
    local a, b = ms.tensor(values):requires_grad_(), ms.tensor(values, { dtype = "f64" }):requires_grad_()
    local o, p = optim[name] { a }, optim[name] { b }
    for k = 1, 10 do
      local g = ms.tensor { { math.sin(k), 1, math.cos(k) }, { -1, math.sin(2 * k), 2 } }
      a.grad, b.grad = g, g:to "f64"
      o:step()
      p:step()
    end
    lu.assertEquals(a.dtype, "f32")
    for i, row in ipairs(b:totable()) do
      for j, v in ipairs(row) do lu.assertAlmostEquals(a[i][j]:item(), v, 2e-5 * math.abs(v) + 1e-6, name) end
    end
  end
end

function TestOptimClass.test_help_knows_all_of_it()
  for name in pairs(optim) do
    if name ~= "lr_scheduler" then lu.assertStrContains(ms.help("optim." .. name), "optim." .. name .. "(") end
  end
  for name in pairs(optim.lr_scheduler) do
    lu.assertStrContains(ms.help("optim.lr_scheduler." .. name), "optim.lr_scheduler." .. name .. "(")
  end
  lu.assertStrContains(ms.help "optim", "optim: ms.optim, optimizers")
end

function TestOptimClass.test_what_a_class_says_is_checked()
  fails("optim.class: expected a name, got nil", optim.class)
  local Mine = optim.class "mine"
  fails("mine: a class of optimizers has no part 'option'; did you mean options?", function() Mine.option = {} end)
  fails("mine: update: expected a function, got 3", function() Mine.update = 3 end)
  for _, name in ipairs { "params", "groups", "step" } do
    fails("mine: options: an option cannot be called '" .. name .. "'", function() Mine.options = { [name] = 1 } end)
  end
  fails("mine: options: lr: expected a number, a list of numbers, true, false or a word, got a function",
    function() Mine.options = { lr = function() end } end)
  fails("mine: options: lr: expected a number", function() Mine.options = { lr = {} } end)
  fails("mine: options: lr: expected a number", function() Mine.options = { lr = { a = "x" } } end)
  fails("mine: states: expected a list of names other than 'step', which is there always, got 3", function() Mine.states = { 3 } end)
  fails("got 'step'", function() Mine.states = { "step" } end)
  fails("mine: this class of optimizers has no options yet", Mine, { leaf(1) })
  Mine.options = { lr = 0.1, strength = 1, boost = false }
  fails("mine: this class of optimizers has no update yet", Mine, { leaf(1) })
  function Mine.update(p, g, s, o) p:sub_(g * o.lr * o.strength / s.step) end
  fails("mine: unknown option 'strenght'; did you mean strength?", Mine, { leaf(1) }, { strenght = 3 })
  fails("mine: option boost: expected true or false, got number", Mine, { leaf(1) }, { boost = 1 })
  fails("mine: strength: expected a finite number, got", Mine, { leaf(1) }, { strength = 0 / 0 })
  fails("mine: lr: expected a finite number from 0 on, got -1", Mine, { leaf(1) }, { lr = -1 })
  fails("mine: expected a list of parameters", Mine)
  local a = leaf(1)
  local o = Mine({ a }, { strength = 2 })
  give(o, 1)
  give(o, 1)
  lu.assertAlmostEquals(a:item(), 1 - 0.2 - 0.1, 1e-15)
  fails("did you mean strength?", function() o.strenght = 1 end)
  fails("boost: expected true or false, got 2", function() o.boost = 2 end)
end

function TestOptimClass.test_a_class_that_maximizes()
  for _, name in ipairs(elementwise) do
    local a, b = leaf(0.5), leaf(0.5)
    local o, p = optim[name]({ a }, { maximize = true }), optim[name] { b }
    for k = 1, 4 do
      give(o, k)
      give(p, -k)
    end
    lu.assertEquals(a:item(), b:item(), name)
  end
end

function TestOptimClass.test_muon_takes_matrices()
  local m, v = ms.ones({ 2, 3 }, { requires_grad = true }), leaf(1, 2)
  fails("optim.muon: parameter 2: expected a matrix, got 2 f64; train what is none with optim.adamw", optim.muon, { m, v })
  fails("adjust_lr_fn: expected 'original', 'match_rms_adamw' or 'spectral_unclamped', got 'mine'", optim.muon, { m },
    { adjust_lr_fn = "mine" })
  fails("ns_steps: expected a whole number from 1 to 99, got 100", optim.muon, { m }, { ns_steps = 100 })
  fails("ns_coefficients: expected three numbers, got more", optim.muon, { m }, { ns_coefficients = { 1, 2, 3, 4 } })
  local o = optim.muon({ m }, { adjust_lr_fn = "spectral_unclamped" })
  local p = optim.muon { m }
  p:load_state_dict(o:state_dict())
  lu.assertEquals({ p.adjust_lr_fn, p.ns_steps, p.ns_coefficients[3] }, { "spectral_unclamped", 5, 2.0315 })
  o.adjust_lr_fn = "original"
  fails("adjust_lr_fn: expected 'original'", function() o.adjust_lr_fn = "none" end)
end

function TestOptimClass.test_impossible_settings_of_each()
  for _, case in ipairs {
    { "rprop", { etas = { 1.5, 2 } }, "etas: expected one below 1 and one above, got 1.5 and 2" },
    { "rprop", { etas = { 0, 2 } }, "etas[1]: expected a finite number above 0, got 0" },
    { "rmsprop", { alpha = -0.1 }, "alpha: expected a finite number from 0 on, got -0.1" },
    { "adadelta", { rho = 1.5 }, "rho: expected a number from 0 to 1, got 1.5" },
    { "adagrad", { lr_decay = -1 }, "lr_decay: expected a finite number from 0 on, got -1" },
    { "nadam", { betas = { 0.9, 1 } }, "betas[2]: expected 0 <= beta < 1, got 1" },
    { "lion", { betas = { 0.9 } }, "betas[2]: expected 0 <= beta < 1, got nil" },
    { "lbfgs", { max_iter = 0 }, "max_iter: expected a whole number from 1 on, got 0" },
    { "adamw", { decoupled_weight_decay = true }, "unknown option 'decoupled_weight_decay'" },
  } do
    fails("optim." .. case[1] .. ": " .. case[3], optim[case[1]], { leaf(1) }, case[2])
  end
end

function TestOptimClass.test_lbfgs_asks_a_function()
  local a = leaf(3, -2)
  local o = optim.lbfgs({ a }, { line_search_fn = "strong_wolfe" })
  local function loss()
    o:zero_grad()
    local l = ((a - 1) ^ 4):sum() + (a[1] * a[2]):square()
    l:backward()
    return l
  end
  fails("step: expected a function that computes the loss", o.step, o)
  fails("step: the function gave nil, expected the loss", o.step, o, function() a.grad = ms.ones({ 2 }, { dtype = "f64" }) end)
  local first = o:step(loss):item()
  for _ = 1, 5 do o:step(loss) end
  lu.assertTrue(loss():item() < first / 50)
  lu.assertTrue(a.grad:abs():max():item() < 1e-3)
  fails("takes one list of parameters, no groups", o.add_param_group, o, { params = { leaf(1) } })
  fails("takes one list of parameters, no groups", optim.lbfgs, { { params = { leaf(1) } } })
  fails("line_search_fn: expected 'none' or 'strong_wolfe', got 'armijo'", optim.lbfgs, { leaf(1) }, { line_search_fn = "armijo" })
end

function TestOptimClass.test_lbfgs_cannot_be_recorded()
  local a = leaf(3, -2)
  local o = optim.lbfgs { a }
  local step = ms.compile(function(x)
    o:step(function()
      o:zero_grad()
      local loss = (a * x):square():sum()
      loss:backward()
      return loss
    end)
  end)
  fails("item", function() for _ = 1, 3 do step(ms.ones({ 2 }, { dtype = "f64" })) end end)
end

-- PyTorch's closure: called with gradients, and its loss is given.
function TestOptimClass.test_a_step_may_take_a_function()
  for _, compiled in ipairs { false, true } do
    local a = leaf(3)
    local o = optim.sgd({ a }, { lr = 0.25 })
    local function f(x)
      return o:step(function()
        o:zero_grad()
        local loss = (a * x):square():sum()
        loss:backward()
        return loss
      end)
    end
    local step, x = compiled and ms.compile(f) or f, ms.ones({ 1 }, { dtype = "f64" })
    for k = 0, 5 do lu.assertEquals(ms.no_grad(step, x):item(), (3 / 2 ^ k) ^ 2) end
  end
end

function TestOptimClass.test_lbfgs_goes_on_from_a_state_to_the_last_bit()
  local function begin(values, memory)
    local a = leaf(table.unpack(values))
    local o = optim.lbfgs({ a }, { max_iter = 3, history_size = 4 })
    if memory then o:load_state_dict(memory) end
    return a, o, function()
      o:zero_grad()
      local l = ((a - 1) ^ 4):sum() + (a * ms.arange(1, 3, { dtype = "f64" })):sum():square()
      l:backward()
      return l
    end
  end
  local a, o, f = begin { 3, -2, 1 }
  begin({ 3, -2, 1 }, o:state_dict()) -- of none that has stepped
  o:step(f)
  o:step(f)
  local saved = copy(o:state_dict())
  local b, p, h = begin(a:totable(), saved)
  o:step(f)
  p:step(h)
  lu.assertEquals(b:totable(), a:totable())
  saved.ro = nil
  fails("optim.lbfgs: load_state_dict: unknown entry 'old_", p.load_state_dict, p, saved)
  saved.d = ms.ones { 2 }
  fails("d: expected 3 numbers, got 2 f32", p.load_state_dict, p, saved)
end

-- ---- groups ----------------------------------------------------------------------------------------------------------------------------

TestOptimGroups = {}

function TestOptimGroups.test_each_group_has_its_settings()
  local a, b, c = leaf(1), leaf(1), leaf(1)
  local o = optim.sgd({ { params = { a }, lr = 0.5 }, { params = { b } }, { params = { c }, momentum = 0.9 } }, { lr = 0.1 })
  give(o, 1, 1, 1)
  give(o, 1, 1, 1)
  lu.assertAlmostEquals(a:item(), 0, 1e-15)
  lu.assertAlmostEquals(b:item(), 0.8, 1e-15)
  lu.assertAlmostEquals(c:item(), 1 - 0.1 - 0.19, 1e-15)
  lu.assertEquals({ #o.groups, o.groups[1].lr, o.groups[2].lr, #o.groups[3].params, o.groups[3].momentum }, { 3, 0.5, 0.1, 1, 0.9 })
  lu.assertTrue(o.groups[2].params[1] == b)
  lu.assertEquals(tostring(o), [[
sgd: 3 groups, 3 parameters, step 2
  1: lr 0.5, 1 parameter
  2: lr 0.1, 1 parameter
  3: lr 0.1, momentum 0.9, 1 parameter]])
  o.groups[2].lr = 0.25
  give(o, false, 1, false)
  lu.assertAlmostEquals(b:item(), 0.55, 1e-15)
  fails("optim.sgd: lr differs from group to group: read o.groups[1].lr", function() return o.lr end)
  lu.assertEquals(o.dampening, 0)
  o.lr = 0.125
  lu.assertEquals({ o.lr, o.groups[1].lr, o.groups[3].lr }, { 0.125, 0.125, 0.125 })
  o.groups[3].momentum = 0.25
  lu.assertEquals({ o.groups[2].momentum, o.groups[3].momentum }, { 0, 0.25 })
  local p = optim.adam { { params = { leaf(1) } }, { params = { leaf(1) } } }
  p.groups[2].betas[1] = 0.5
  lu.assertEquals({ p.groups[1].betas[1], p.groups[2].betas[1] }, { 0.9, 0.5 })
  fails("betas differs from group to group", function() return p.betas end)
  local seen = {}
  for name in pairs(o.groups[1]) do seen[#seen + 1] = name end
  table.sort(seen)
  lu.assertEquals(seen, { "dampening", "lr", "maximize", "momentum", "nesterov", "params", "weight_decay" })
end

function TestOptimGroups.test_recorded_steps_see_the_settings_of_each_group()
  for _, class in ipairs { optim.sgd, optim.adamw, optim.rmsprop } do
    local step = side_by_side(function(p)
      return class({ { params = { p[1], p[2] } }, { params = { p[3], p[4] }, lr = 0.2 } }, { lr = 0.05 })
    end, function(o, call)
      if call == 6 then o.groups[2].lr = 0.01 end
      if call == 8 then o.groups[1].lr, o.groups[2].weight_decay = 0.02, 0.1 end
      if call == 10 then o.lr = 0.3 end
    end)
    lu.assertStrContains(step:report(), "replayed of")
  end
end

function TestOptimGroups.test_a_group_that_comes_later()
  local a, b = leaf(1), leaf(1)
  local o = optim.sgd({ a }, { lr = 0.1 })
  give(o, 1)
  o.lr = 0.7 -- of the group that is there: the next one begins as the optimizer was made
  o:add_param_group { params = { b }, momentum = 0.5 }
  lu.assertEquals({ o.groups[2].lr, o.groups[2].momentum, #o.parameters }, { 0.1, 0.5, 2 })
  give(o, 1, 1)
  lu.assertAlmostEquals(b:item(), 0.9, 1e-15)
  side_by_side(function(p) return optim.adam({ p[1], p[2] }, { lr = 0.1 }) end, function(opt, call)
    if call == 5 then opt:add_param_group { params = { nn.parameter(ms.ones { 2 }) }, lr = 0.5 } end
  end)
  local inside, how = optim.sgd { leaf(3) }, { add = false }
  local deep = { { { { { how } } } } } -- so deep in tables that no recording sees it change
  local step = ms.compile(function(x)
    if deep[1][1][1][1][1].add then inside:add_param_group { params = { b } } end
    return x * 2
  end)
  step(ms.ones { 1 })
  how.add = true
  fails("optim.sgd: a group of parameters was set inside a compiled step", step, ms.ones { 1 })
  lu.assertEquals({ #inside.groups, #inside.parameters }, { 1, 1 })
end

-- A model that is converted holds other tensors: the groups take those up.
function TestOptimGroups.test_a_model_that_is_converted()
  local model = nn.sequential { nn.linear(2, 2), nn.linear(2, 1) }
  local o = optim.adam { { params = model[1]:parameters() }, { params = model[2]:parameters(), lr = 0.1 } }
  model:to "f64"
  local before = model[2].bias:item()
  model(ms.ones({ 1, 2 }, { dtype = "f64" })):sum():backward()
  o:step()
  lu.assertAlmostEquals(before - model[2].bias:item(), 0.1, 1e-6)
  for i, p in ipairs(model:parameters()) do lu.assertTrue(o.parameters[i] == p) end
  lu.assertTrue(o.groups[2].params[2] == model[2].bias)
  model:to "f32"
  fails("parameter 1 was converted by module:to", o.step, o)
end

function TestOptimGroups.test_states_of_groups()
  local function make(values)
    local a, b, c = leaf(values[1]), leaf(values[2]), leaf(values[3])
    return optim.adam { { params = { a }, lr = 0.5 }, { params = { b, c }, betas = { 0.5, 0.6 } } }
  end
  local o = make { 1, 2, 3 }
  give(o, 1, 2, false)
  give(o, -1, 1, 4)
  local saved = copy(o:state_dict())
  lu.assertEquals({ saved["groups.1.lr"]:item(), saved["groups.2.beta2"]:item(), saved["groups.2.params"]:item(), saved["step.3"]:item() },
    { 0.5, 0.6, 2, 1 })
  local at = {}
  for i, p in ipairs(o.parameters) do at[i] = p:item() end
  local q = make(at)
  q.lr = 0.9
  q:load_state_dict(saved)
  lu.assertEquals({ q.groups[1].lr, q.groups[2].lr, q.groups[2].betas[1] }, { 0.5, 1e-3, 0.5 })
  give(o, 3, 3, 3)
  give(q, 3, 3, 3)
  for i, p in ipairs(o.parameters) do lu.assertEquals(q.parameters[i]:item(), p:item()) end
  local one = optim.adam { leaf(1), leaf(2), leaf(3) }
  local three = optim.adam { { params = { leaf(1), leaf(2) } }, { params = { leaf(3) } } }
  fails("the state is of an optimizer with several groups of parameters, this one has none", one.load_state_dict, one, saved)
  fails("missing entry 'groups.1.params'", q.load_state_dict, q, one:state_dict())
  fails("group 1 has 2 parameters, in the state 1", three.load_state_dict, three, saved)
end

function TestOptimGroups.test_what_is_no_group_is_refused()
  local a, b = leaf(1), leaf(2)
  fails("optim.adam: group 2: params is missing: expected { params = model:parameters(), lr = ... }", optim.adam,
    { { params = { a } }, { lr = 1 } })
  fails("optim.adam: group 1: unknown option 'learning_rate'", optim.adam, { { params = { a }, learning_rate = 1 } })
  fails("optim.adam: group 1: lr: expected a finite number from 0 on, got -1", optim.adam, { { params = { a }, lr = -1 } })
  fails("optim.adam: group 2: parameter 2 is in group 1, too", optim.adam, { { params = { a } }, { params = { b, a } } })
  fails("optim.adam: group 2: expected a list of parameters", optim.adam, { { params = { a } }, { params = a } })
  fails("optim.adam: group 2: expected a table { params = { ... }, lr = ... }, got a tensor", optim.adam, { { params = { a } }, b })
  fails("optim.sgd: group 1: nesterov: expected a momentum above 0", optim.sgd, { { params = { a }, nesterov = true } })
  local o = optim.adam { a }
  fails("group 2: parameter 1 is in group 1, too", o.add_param_group, o, { params = { a } })
  fails("a group has no field 'learning_rate'", function() return o.groups[1].learning_rate end)
  fails("params of a group cannot be assigned", function() o.groups[1].params = {} end)
  fails("lr: expected a finite number from 0 on, got -1", function() o.groups[1].lr = -1 end)
  fails("did you mean weight_decay?", function() o.groups[1].weight_decy = 1 end)
  lu.assertEquals(#o.groups, 1)
end
