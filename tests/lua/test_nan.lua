-- The origin of a NaN: ms.detect_nan.
-- gcstress: every 100
-- luacheck: globals TestNan TestNanRule TestNanInSteps
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local fails, failure, leaf, line = checks.fails, checks.failure, checks.leaf, checks.line
local nn, optim = ms.nn, ms.optim

local function f64(values) return ms.tensor(values, { dtype = "f64" }) end

local NAN = 0 / 0

-- ---- which operation, and where ---------------------------------------------------------------------------------------------------

TestNan = {}

function TestNan:setUp() ms.detect_nan(true) end
function TestNan:tearDown() ms.detect_nan(false) end

function TestNan.test_forward_the_operation_the_element_and_the_line()
  local x = f64 { { 1, 2 }, { 3, 0 } }
  local at = line() + 1
  local message = failure(function() return x:log() end)
  lu.assertStrContains(message, ("test_nan.lua:%d: detect_nan: log gives -inf at [2][2] (x = 0)"):format(at))
  fails("detect_nan: sqrt gives NaN at [2] (x = -1)", function() return f64({ 1, -1 }):sqrt() end)
  fails("detect_nan: div gives NaN at [2][1] (x = 0, y = 0)", function() return f64 { { 0, 1 } } / f64 { { 1 }, { 0 } } end)
  fails("detect_nan: exp gives inf at [1] (x = 800)", function() return f64({ 800 }):exp() end)
  fails("detect_nan: mean gives NaN", function() return ms.zeros({ 0 }):mean() end)
  fails("detect_nan: cast gives inf at [1]", function() return f64({ 1e6 }):to "f16" end)
end

function TestNan.test_backward_the_line_that_made_the_node_and_the_one_of_backward()
  local x = leaf { 4, 0 }
  local made = line() + 1
  local y = x:sqrt()
  local called = line() + 1
  local message = failure(function() y:sum():backward() end)
  lu.assertStrContains(message, ("test_nan.lua:%d: in the derivative of sqrt, made at tests/lua/test_nan.lua:%d: "):format(called, made))
  lu.assertStrContains(message, "detect_nan: div gives inf at [2]")
  lu.assertNil(x.grad)
end

function TestNan.test_the_first_one_where_pytorch_names_a_later_one()
  -- PyTorch 2 (torch.autograd.set_detect_anomaly(True)) lets the forward pass go on and says of this:
  --   RuntimeError: Function 'DivBackward0' returned nan values in its 0th output.
  local x = leaf { 1, 800 }
  local at = line() + 2
  local message = failure(function()
    local y = (x * 1):exp()
    return (y / y):sum():backward()
  end)
  lu.assertStrContains(message, ("test_nan.lua:%d: detect_nan: exp gives inf at [2] (x = 800)"):format(at))
end

function TestNan.test_changes_in_place()
  local x = f64 { 1, 800 }
  fails("detect_nan: exp gives inf at [2]", x.exp_, x)
  local p, g = leaf { 1 }, f64 { 1e300 }
  p.grad = g * 1e5
  fails("detect_nan: ", function() optim.adam({ p }, { lr = 1 }):step() end)
  fails("detect_nan: copy_ gives NaN in x at [1]; argument src held it before", function() f64({ 1 }):copy_(f64 { NAN }) end)
end

function TestNan.test_the_scoped_forms()
  ms.detect_nan(false)
  local function bad() return f64({ 0 }):log() end
  lu.assertFalse(ms.detect_nan())
  fails("detect_nan: log", ms.detect_nan, bad)
  lu.assertFalse(ms.detect_nan())
  lu.assertEquals(ms.detect_nan(function(a, b) return b, a, ms.detect_nan() end, 1, 2), 2)
  do
    local guard <close> = ms.detect_nan(true) -- luacheck: ignore
    fails("detect_nan: log", bad)
  end
  lu.assertEquals(bad():item(), -math.huge)
  fails("detect_nan: expected true, false or a function, got number", ms.detect_nan, 1)
end

function TestNan.test_it_belongs_to_its_coroutine()
  ms.detect_nan(false)
  local co = coroutine.wrap(function()
    ms.detect_nan(true)
    coroutine.yield()
    return pcall(function() return f64({ 0 }):log() end)
  end)
  co()
  lu.assertFalse(ms.detect_nan())
  lu.assertFalse((co()))
end

-- ---- what counts ------------------------------------------------------------------------------------------------------------------

TestNanRule = {}
TestNanRule.setUp, TestNanRule.tearDown = TestNan.setUp, TestNan.tearDown

function TestNanRule.test_infinity_that_the_script_wrote_is_no_error()
  local x = f64 { 1, 2, 3 }
  local masked = x:masked_fill(x:gt(2), -math.huge)
  lu.assertEquals(masked:totable()[3], -math.huge)
  lu.assertEquals(masked:softmax(1):totable()[3], 0)
  lu.assertEquals(masked:log_softmax(1):totable()[3], -math.huge)
  lu.assertEquals((ms.full({ 2 }, math.huge) * 2):totable(), { math.huge, math.huge })
  lu.assertEquals(ms.where(x:gt(2), math.huge, x):totable()[3], math.huge)
  lu.assertEquals((x * math.huge):totable()[1], math.huge)
  local y = leaf { 1, 2, 3 } -- and in a backward pass
  y:masked_fill(f64 { 0, 0, 1 }:bool(), -math.huge):softmax(1)[1]:backward()
  lu.assertEquals(y.grad:totable()[3], 0)
end

function TestNanRule.test_nan_of_infinity_is_one()
  fails("detect_nan: sub gives NaN at [1] (x = inf, y = inf)", function()
    local x = ms.full({ 1 }, math.huge)
    return x - x
  end)
  fails("detect_nan: log_softmax gives NaN", function() return ms.full({ 2 }, -math.huge):log_softmax(1) end)
end

function TestNanRule.test_nan_from_outside_is_told_by_the_first_arithmetic_with_it()
  local x = f64 { 1, NAN }
  lu.assertEquals(x:isnan():totable(), { false, true })
  lu.assertEquals(ms.where(x:isnan(), 0, x):totable(), { 1, 0 })
  lu.assertEquals(x:clone().shape, x.shape)
  fails("detect_nan: mul gives NaN at [2] (x = nan, y = 2); argument x held it before", function() return x * 2 end)
  lu.assertEquals(#ms.full({ 2 }, NAN), 2)
end

function TestNanRule.test_what_is_sound_runs_as_ever()
  ms.seed(1)
  local model = nn.sequential { nn.linear(4, 8), nn.relu(), nn.dropout(0.5), nn.batch_norm(8), nn.linear(8, 3) }
  local adam = optim.adam(model:parameters(), { lr = 0.01 })
  for _ = 1, 3 do
    local loss = nn.cross_entropy(model(ms.randn { 8, 4 }), ms.randint(1, 3, { 8 }))
    adam:zero_grad()
    loss:backward()
    adam:step()
  end
  lu.assertTrue(ms.detect_nan())
end

-- ---- compiled steps ---------------------------------------------------------------------------------------------------------------

TestNanInSteps = {}
TestNanInSteps.setUp, TestNanInSteps.tearDown = TestNan.setUp, TestNan.tearDown

function TestNanInSteps.test_a_forward_operation_is_named_and_nothing_is_lost()
  local count, total = 0, ms.zeros({ 2 }, { dtype = "f64" })
  local at
  local step = ms.compile(function(x)
    count = count + 1
    total:add_(x)
    at = line() + 1
    local y = (x * 2):log()
    return y:sum() + ms.rand {}:double()
  end)
  for _ = 1, 5 do step(f64 { 1, 2 }) end
  lu.assertEquals(count, 3) -- it is replayed
  local before, seed, counter = total:totable(), ms.rng_state()
  local message = failure(step, f64 { 1, -1 })
  lu.assertStrContains(message,
    ("test_nan.lua:%d: detect_nan: log gives NaN at [2] (x = -2) (in a replay; the step has been run again"):format(at))
  lu.assertEquals(count, 4)
  lu.assertEquals(total:totable(), before)
  lu.assertEquals({ ms.rng_state() }, { seed, counter })
  step(f64 { 1, 2 })
  lu.assertEquals(total:totable(), { before[1] + 1, before[2] + 2 })
  lu.assertEquals(count, 4)
end

-- A training step whose derivative becomes infinite where the square root's argument is 0.
local function training(seed)
  ms.seed(seed)
  local w = leaf { 1, 1 }
  local adam = optim.adam({ w }, { lr = 0.1 })
  local lines = {}
  local step = ms.compile(function(x)
    adam:zero_grad()
    lines.made = line() + 1
    local loss = (w * x):square():sum(1):sqrt() * ms.rand({}, { dtype = "f64" })
    lines.backward = line() + 1
    loss:backward()
    adam:step()
    return loss
  end)
  return w, adam, step, lines
end

function TestNanInSteps.test_a_backward_operation_is_named_with_both_lines()
  local w, adam, step, lines = training(3)
  for i = 1, 5 do step(f64 { i, 1 }) end
  local weights, grad, state = w:totable(), w.grad:totable(), ms.rng_state()
  local message = failure(step, f64 { 0, 0 })
  lu.assertStrContains(message, ("test_nan.lua:%d: in the derivative of sqrt, made at tests/lua/test_nan.lua:%d: detect_nan: div gives")
    :format(lines.backward, lines.made))
  lu.assertEquals(w:totable(), weights)
  lu.assertEquals(w.grad:totable(), grad)
  lu.assertEquals(ms.rng_state(), state)
  for i = 1, 3 do step(f64 { i, 2 }) end
  -- The same without the step that failed: to the bit.
  local other, _, again = training(3)
  for i = 1, 5 do again(f64 { i, 1 }) end
  for i = 1, 3 do again(f64 { i, 2 }) end
  lu.assertEquals(w:totable(), other:totable())
  lu.assertNotNil(adam)
end

function TestNanInSteps.test_gradients_that_add_up_are_put_back()
  local w = leaf { 4 }
  local step = ms.compile(function(x)
    local y = (w * x):sqrt():sum()
    y:backward()
    return y:detach()
  end)
  for _ = 1, 6 do step(f64 { 1 }) end
  local before = w.grad:totable()
  fails("in the derivative of sqrt", step, f64 { 0 })
  lu.assertEquals(w.grad:totable(), before)
  step(f64 { 1 })
  lu.assertAlmostEquals(w.grad:item(), before[1] + 0.25, 1e-12)
end

function TestNanInSteps.test_infinity_that_is_meant_runs_twice_once()
  local count = 0
  local step = ms.compile(function(x)
    count = count + 1
    return x:masked_fill(x:gt(2), -math.huge)
  end)
  for _ = 1, 3 do step(f64 { 1, 3 }) end
  lu.assertEquals(count, 3)
  for _ = 1, 4 do lu.assertEquals(step(f64 { 1, 3 }):totable(), { 1, -math.huge }) end
  lu.assertEquals(count, 4)
end

function TestNanInSteps.test_an_argument_changed_in_place_and_numbers()
  local step = ms.compile(function(x, k)
    x:mul_(k)
    return x:log()
  end)
  for i = 1, 5 do step(f64 { i, 2 }, i) end
  local x = f64 { 1, 2 }
  fails("detect_nan: log gives NaN at [1] (x = -3)", step, x, -3)
  lu.assertEquals(x:totable(), { 1, 2 })
end

function TestNanInSteps.test_switched_off_nothing_is_asked()
  local step = ms.compile(function(x) return x:log() end)
  for _ = 1, 5 do step(f64 { 1, 2 }) end
  ms.detect_nan(false)
  lu.assertEquals(step(f64 { 0, 1 }):totable(), { -math.huge, 0 })
  ms.detect_nan(true)
  fails("detect_nan: log gives -inf at [1] (x = 0)", step, f64 { 0, 1 })
end

function TestNanInSteps.test_in_a_coroutine_and_within_recompute()
  local w = leaf { 1, 2 }
  local step = ms.compile(function(x)
    w.grad = nil
    local y = ms.recompute(function(v) return (v * x):sqrt():exp() end, w):sum()
    y:backward()
    return y
  end)
  local co = coroutine.wrap(function()
    for i = 1, 5 do step(f64 { i, 1 }) end
    coroutine.yield(pcall(step, f64 { -1, 1 }))
  end)
  local ok, message = co()
  lu.assertFalse(ok)
  lu.assertStrContains(message, "detect_nan: sqrt gives NaN at [1] (x = -1)")
end
