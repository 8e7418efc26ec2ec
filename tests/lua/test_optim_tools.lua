-- What goes with optimizers: clipping of gradients and moving averages of weights against PyTorch's values (tests/data/optim.json), in
-- compiled steps too; gradients of several small batches.
-- gcstress: every 200
-- luacheck: globals TestClip TestAverage TestAccumulate
local lu = require "luaunit"
local ms = require "mascon"
local problem = require "optim_problem"
local checks = require "checks"
local nn, optim, fails = ms.nn, ms.optim, checks.fails
local near = problem.near

local function leaf(...) return ms.tensor({ ... }, { dtype = "f64", requires_grad = true }) end

-- ---- clipping --------------------------------------------------------------------------------------------------------------------------

TestClip = {}

local function gradients(p)
  local list = {}
  for i, t in ipairs(p) do list[i] = t.grad and t.grad:flatten():totable() or false end
  return list
end

local function clip(case, p, limit)
  if case.kind == "value" then return optim.clip_grad_value_(p, limit) end
  return optim.clip_grad_norm_(p, limit, { norm_type = case.norm_type == "inf" and math.huge or case.norm_type })
end

for i, case in ipairs(problem.data.clipping) do
  TestClip[("test_%s_%d"):format(case.kind, i)] = function()
    local p = problem.parameters()
    problem.loss(p, 2):backward()
    local total = clip(case, p, case.limit)
    if case.kind == "norm" then near("norm", { total:item() }, { case.total }) else lu.assertNil(total) end
    for k, g in ipairs(gradients(p)) do
      if not g then lu.assertFalse(type(case.gradients[k]) == "table" and #case.gradients[k] > 0)
      else near("gradient " .. k, g, case.gradients[k]) end
    end
  end
end

function TestClip.test_in_a_compiled_step_with_a_limit_handed_in()
  local function run(compiled)
    local w, b = ms.ones({ 3 }, { requires_grad = true }), ms.ones({ 1 }, { requires_grad = true })
    local o = optim.sgd({ w, b }, { lr = 0.1 })
    local function f(x, limit)
      local loss = ((w * x):sum() + b - 1):square():sum()
      o:zero_grad()
      loss:backward()
      local norm = optim.clip_grad_norm_({ w, b }, limit)
      optim.clip_grad_value_(o.parameters, 0.4)
      o:step()
      return norm
    end
    local step, seen = compiled and ms.compile(f) or f, {}
    for k = 1, 8 do
      seen[k] = { step(ms.full({ 3 }, k / 4), k / 8):item(), w:totable() }
    end
    return seen, compiled and step:report()
  end
  local want = run(false)
  local got, report = run(true)
  lu.assertEquals(got, want)
  lu.assertEquals(select(2, report:gsub("replayed of", "")), 1)
end

function TestClip.test_what_is_given()
  local a, b, c = leaf(3), ms.tensor({ 4.0 }, { requires_grad = true }), leaf(1)
  a.grad, b.grad = leaf(3):detach(), ms.tensor { 4.0 }
  lu.assertEquals(optim.clip_grad_norm_({ a, b, c }, 1):item(), 5) -- of f64 and f32 together; c has none
  near("both", { a.grad:item(), b.grad:item() }, { 3 / 5.000001, (string.unpack("f", string.pack("f", 4 / 5.000001))) })
  lu.assertEquals(optim.clip_grad_norm_({ c }, 1):item(), 0)
  a.grad = leaf(-2):detach()
  lu.assertEquals(optim.clip_grad_norm_(a, 0.5):item(), 2)
  lu.assertEquals(optim.get_total_norm({ leaf(3, 4):detach(), leaf(12):detach() }):item(), 13)
  a.grad = leaf(2):detach()
  optim.clip_grads_with_norm_({ a }, 1, ms.tensor(4, { dtype = "f64" }))
  near("with a norm that is known", { a.grad:item() }, { 2 / 4.000001 })
end

function TestClip.test_what_cannot_be_clipped()
  local a = leaf(1, 2)
  a.grad = leaf(1 / 0, 1):detach()
  fails("optim.clip_grad_norm_: the norm of the gradients is inf, so they cannot be clipped", optim.clip_grad_norm_, { a }, 1,
    { error_if_nonfinite = true })
  lu.assertEquals(a.grad:totable(), { 1 / 0, 1 })
  optim.clip_grad_norm_({ a }, 1) -- lets it pass, as PyTorch does
  lu.assertEquals(a.grad[2]:item(), 0)
  lu.assertTrue(a.grad[1]:isnan():item())
  fails("max_norm: expected a number from 0 on, got -1", optim.clip_grad_norm_, { a }, -1)
  fails("max_norm: expected a number from 0 on, got nil", optim.clip_grad_norm_, { a })
  fails("clip_value: expected a number from 0 on, got 'x'", optim.clip_grad_value_, { a }, "x")
  fails("norm_type: expected a number above 0", optim.clip_grad_norm_, { a }, 1, { norm_type = 0 })
  fails("unknown option 'norm'", optim.clip_grad_norm_, { a }, 1, { norm = 2 })
  fails("expected a list of parameters (model:parameters()), got a module", optim.clip_grad_norm_, nn.linear(1, 1), 1)
  fails("parameter 2: expected a tensor, got 3", optim.clip_grad_value_, { a, 3 }, 1)
  fails("did you mean ms.optim.clip_grad_norm_?", function() return nn.clip_grad_norm_ end)
end

-- ---- averages --------------------------------------------------------------------------------------------------------------------------

TestAverage = {}

local function net()
  local model = nn.sequential { nn.linear(4, 3), nn.batch_norm(3) }:to "f64"
  ms.no_grad(function()
    for k, t in ipairs(model:parameters()) do t:copy_(problem.tensor(k, t.shape)) end
  end)
  return model
end

local function make(case, model)
  if not case.decay then return optim.averaged_model(model, { use_buffers = case.use_buffers }) end
  return optim.ema(model, { decay = case.decay, use_buffers = case.use_buffers })
end

for i, case in ipairs(problem.data.averages) do
  for _, compiled in ipairs { false, true } do
    TestAverage[("test_%d_%s"):format(i, compiled and "compiled" or "eager")] = function()
      local model = net()
      local average, o = make(case, model), optim.sgd(model:parameters(), { lr = 0.1 })
      local function f(x)
        local loss = model(x):square():sum()
        o:zero_grad()
        loss:backward()
        o:step()
        average:update()
        return loss
      end
      local step = compiled and ms.compile(f) or f
      for k = 1, 5 do step(problem.tensor(10 + k, { 6, 4 })) end
      local state = average:state_dict()
      for k, name in ipairs { "1.weight", "1.bias", "2.weight", "2.bias", "2.running_mean", "2.running_var" } do
        near(name, state["module." .. name]:flatten():totable(), case.values[k])
      end
      lu.assertEquals(state.n_averaged:item(), 5)
    end
  end
end

function TestAverage.test_the_averaged_model_runs_and_is_copied()
  local model = net()
  local average = optim.ema(model, { decay = 0.5 })
  average:update()
  ms.no_grad(function() model[1].weight:add_(1) end)
  average:update()
  local x = ms.ones({ 2, 4 }, { dtype = "f64" })
  average.module:eval()
  model:eval()
  lu.assertFalse(average(x).requires_grad)
  local other = net():eval()
  average:copy_to(other)
  lu.assertEquals(other(x):totable(), average(x):totable())
  lu.assertNotEquals(model(x):totable(), average(x):totable())
  average:copy_to()
  lu.assertEquals(model(x):totable(), average(x):totable())
  lu.assertTrue(model[1].weight.requires_grad)
end

function TestAverage.test_another_decay_is_seen_by_replays()
  local model = net()
  local average = optim.ema(model, { decay = 0.9 })
  local step = ms.compile(function(x)
    ms.no_grad(function() model[1].bias:copy_(x) end)
    average:update()
  end)
  local want
  for k = 1, 9 do
    if k == 7 then average.decay = 0.25 end
    local d = k == 1 and 0 or average.decay
    step(ms.full({ 3 }, k, { dtype = "f64" }))
    want = d * (want or 0) + (1 - d) * k
    lu.assertAlmostEquals(average.module[1].bias[2]:item(), want, 1e-12)
  end
  fails("decay: expected a number from 0 to 1, got 2", function() average.decay = 2 end)
end

function TestAverage.test_a_state_goes_on_to_the_last_bit()
  local function begin() return net(), optim.ema end
  local model = begin()
  local average = optim.ema(model, { decay = 0.75 })
  local function change(m, k) ms.no_grad(function() m[1].weight:mul_(k) end) end
  for k = 1, 3 do
    change(model, 1 + k / 10)
    average:update()
  end
  local saved = {}
  for name, t in pairs(average:state_dict()) do saved[name] = t:clone() end
  local twin = model:clone()
  local again = optim.ema(twin, { decay = 0.75 })
  lu.assertTrue(again:load_state_dict(saved) == again)
  for k = 1, 2 do
    change(model, k)
    change(twin, k)
    average:update()
    again:update()
  end
  for name, t in pairs(average:state_dict()) do lu.assertEquals(again:state_dict()[name]:totable(), t:totable(), name) end
  saved.n_averaged = nil
  fails("n_averaged: expected a tensor of one element", again.load_state_dict, again, saved)
  saved.n_averaged, saved.extra = ms.ones {}, ms.ones {}
  fails("unknown entry 'extra'", again.load_state_dict, again, saved)
  lu.assertEquals(again.n_averaged:item(), 5)
end

function TestAverage.test_what_is_refused()
  fails("optim.ema: expected a module, got nil", optim.ema)
  fails("optim.ema: decay: expected a number from 0 to 1, got 1.5", optim.ema, net(), { decay = 1.5 })
  fails("optim.averaged_model: unknown option 'decay'", optim.averaged_model, net(), { decay = 0.5 })
  local average = optim.averaged_model(net())
  fails("optim.averaged_model: decay cannot be assigned", function() average.decay = 0.5 end)
  fails("optim.averaged_model has no field 'modul'; did you mean module?", function() return average.modul end)
  fails("copy_to: the model has 2 parameters, the average 4", average.copy_to, average, nn.linear(4, 3))
  fails("did you mean ms.optim.averaged_model?", function() return optim.AveragedModel end)
end

-- ---- several small batches -----------------------------------------------------------------------------------------------------------

TestAccumulate = {}

-- Gradients add up until zero_grad: README's loop over small batches makes the step of the large one.
local function train(small, compiled)
  ms.seed(5)
  local model = nn.sequential { nn.linear(4, 6), nn.tanh(), nn.linear(6, 2) }:to "f64"
  local o = optim.adamw(model:parameters(), { lr = 0.01 })
  local function step(x, y)
    o:zero_grad()
    local sum = 0
    for i = 1, #x, small do
      local part = { i, i + small - 1 }
      local loss = nn.mse(model(x[{ part }]), y[{ part }]) * (small / #x)
      loss:backward()
      sum = sum + loss:detach()
    end
    optim.clip_grad_norm_(o.parameters, 0.5)
    o:step()
    return sum
  end
  step = compiled and ms.compile(step) or step
  local losses = {}
  for k = 1, 8 do losses[k] = step(problem.tensor(k, { 12, 4 }), problem.tensor(50 + k, { 12, 2 })):item() end
  return losses, model
end

function TestAccumulate.test_four_small_batches_are_one_large_one()
  local want, whole = train(12, false)
  for _, compiled in ipairs { false, true } do
    local got, model = train(3, compiled)
    near("losses", got, want)
    for i, p in ipairs(whole:parameters()) do near("parameter " .. i, model:parameters()[i]:flatten():totable(), p:flatten():totable()) end
  end
end

-- The same with one call for each small batch and another for the step: gradients stay from call to call.
-- A state of one parameter does not load into an optimizer of two; one of an older version, which does not tell, does.
function TestAccumulate.test_the_number_of_parameters()
  local a, b = ms.ones({ 2 }, { requires_grad = true }), ms.ones({ 2 }, { requires_grad = true })
  local one, two = optim.adam { a }, optim.adam { a, b }
  a:sum():backward()
  one:step()
  local state = one:state_dict()
  lu.assertErrorMsgContains("adam: load_state_dict: the optimizer has 2 parameters, in the state it has 1", two.load_state_dict, two, state)
  state.params = nil
  two:load_state_dict(state)
  optim.adam({ a }):load_state_dict(one:state_dict())
end

function TestAccumulate.test_one_call_for_each_small_batch()
  local function run(compiled)
    ms.seed(5)
    local model = nn.sequential { nn.linear(4, 6), nn.tanh(), nn.linear(6, 2) }:to "f64"
    local o = optim.adamw(model:parameters(), { lr = 0.01 })
    local function gather(x, y) (nn.mse(model(x), y) / 4):backward() end
    local function move()
      o:step()
      for _, p in ipairs(o.parameters) do p.grad:zero_() end
    end
    if compiled then gather, move = ms.compile(gather), ms.compile(move) end
    for k = 1, 8 do
      local x, y = problem.tensor(k, { 12, 4 }), problem.tensor(50 + k, { 12, 2 })
      for i = 1, 12, 3 do gather(x[{ { i, i + 2 } }], y[{ { i, i + 2 } }]) end
      move()
    end
    return model
  end
  local want, got = run(false), run(true)
  for i, p in ipairs(want:parameters()) do near("parameter " .. i, got:parameters()[i]:flatten():totable(), p:flatten():totable()) end
end
