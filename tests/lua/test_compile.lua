-- ms.compile(f): the first call runs f; the second is recorded; the third is recorded and compared; from the fourth on the recorded list of
-- kernel calls is replayed, and f is not called any more. What a step must be able to do is shown here; what it refuses, and how it says
-- so, in test_compile_traps.lua; whole training steps, train and eval, in test_compile_training.lua; what becomes of memory and gradients,
-- in test_compile_memory.lua.
-- luacheck: globals TestCompile TestCompileNumbers TestCompileRandom TestCompileResults
local lu = require "luaunit"
local ms = require "mascon"
local compiled = require "compiled"
local nn, optim = ms.nn, ms.optim
local like_eager, same_bits, replays = compiled.like_eager, compiled.same_bits, compiled.replays

TestCompile = {}

function TestCompile.test_lua_runs_three_times()
  local ran = 0
  local step = ms.compile(function(x)
    ran = ran + 1
    return x * 2 + 1
  end)
  for i = 1, 6 do lu.assertEquals(step(ms.tensor { i, -i }):totable(), { 2 * i + 1, 1 - 2 * i }) end
  lu.assertEquals(ran, 3)
  lu.assertTrue(replays(step))
end

function TestCompile.test_another_shape_or_dtype_is_another_recording()
  local ran = 0
  local step = ms.compile(function(x)
    ran = ran + 1
    return x:sum()
  end)
  for _ = 1, 5 do
    lu.assertEquals(step(ms.ones { 3 }):item(), 3)
    lu.assertEquals(step(ms.ones { 2, 2 }):item(), 4) -- a last batch of another size
    lu.assertEquals(step(ms.ones({ 3 }, { dtype = "f64" })).dtype, "f64")
    lu.assertEquals(step(ms.ones({ 2, 2 }):transpose(1, 2)):item(), 4)
  end
  lu.assertEquals(ran, 12) -- {2, 2} transposed has other strides
end

function TestCompile.test_a_batch_may_be_a_part_of_a_larger_tensor()
  local data = ms.arange(0, 39):view { 10, 4 }
  local step = ms.compile(function(x) return x:sum() end)
  for i = 1, 10 do lu.assertEquals(step(data[i]):item(), 16 * (i - 1) + 6) end
  lu.assertTrue(replays(step))
  for i = 1, 8 do lu.assertEquals(step(data[{ { i, i + 2 } }]):item(), 48 * i + 18) end
end

function TestCompile.test_nested_tables_as_arguments_and_results()
  local step = ms.compile(function(batch, more)
    return { sum = batch.x + batch.pair[1], deep = { { more.k * batch.pair[2] } } }, batch.x
  end)
  for i = 1, 6 do
    local x, a, b = ms.tensor { i }, ms.tensor { 10 }, ms.tensor { i * i }
    local r, same = step({ x = x, pair = { a, b } }, { k = i })
    lu.assertEquals(r.sum:totable(), { i + 10 })
    lu.assertEquals(r.deep[1][1]:totable(), { i * i * i })
    lu.assertTrue(same == x)
  end
  lu.assertTrue(replays(step))
end

function TestCompile.test_no_tensor_among_the_arguments()
  local w = ms.zeros { 2 }
  local step = ms.compile(function() w:add_(1) end)
  for i = 1, 6 do
    step()
    lu.assertEquals(w:totable(), { i, i })
  end
  local draw = ms.compile(function(n) return ms.ones { 2 } * n end)
  for i = 1, 6 do lu.assertEquals(draw(i):totable(), { i, i }) end
end

function TestCompile.test_nothing_at_all()
  local step = ms.compile(function() end)
  for _ = 1, 5 do lu.assertEquals(select("#", step()), 0) end
  lu.assertTrue(replays(step))
end

function TestCompile.test_f64_and_integers()
  like_eager(function()
    local w = ms.rand({ 3, 3 }, -1, 1, { dtype = "f64" })
    return function(x, k) return (x:matmul(w)):tanh():softmax(-1), (k * 2 + 1):cumsum(1) end,
      { ms.randn({ 2, 3 }, 0, 1, { dtype = "f64" }), ms.tensor({ 3, 1, 2 }, { dtype = "i64" }) }
  end)
end

function TestCompile.test_empty_tensors()
  local step = ms.compile(function(x) return (x * 2):relu() + 1, x:sum() end)
  for _ = 1, 5 do
    local y, sum = step(ms.zeros { 0, 3 })
    lu.assertEquals(y.shape, { 0, 3 })
    lu.assertEquals(sum:item(), 0)
  end
end

function TestCompile.test_a_step_inside_a_step_is_part_of_it()
  local inner = ms.compile(function(x) return x:square() end)
  local w = ms.tensor({ 2 }, { requires_grad = true })
  local outer = ms.compile(function(x)
    local y = inner(x * w):sum()
    w.grad = nil
    y:backward()
    return y
  end)
  for i = 1, 6 do
    lu.assertEquals(outer(ms.tensor { i }):item(), 4 * i * i)
    lu.assertEquals(w.grad:totable(), { 4 * i * i })
  end
  lu.assertTrue(replays(outer))
  lu.assertFalse(replays(inner))
end

function TestCompile.test_methods_and_modules_can_be_compiled()
  local model = nn.sequential { nn.linear(3, 2), nn.tanh() }
  local forward, x = ms.compile(model), ms.randn { 4, 3 }
  local want = model(x)
  for _ = 1, 5 do same_bits(forward(x), want) end
end

function TestCompile.test_report()
  local step = ms.compile(function(x) return ((x:matmul(x) + 1):relu()):sum() end)
  lu.assertStrContains(step:report(), "not called yet")
  step(ms.ones { 8, 8 })
  lu.assertStrContains(step:report(), "called 1 time, not replayed yet")
  for _ = 1, 3 do step(ms.ones { 8, 8 }) end
  local text = step:report()
  lu.assertStrContains(text, "of 4 recorded")
  lu.assertStrContains(text, "matmul")
  lu.assertStrContains(text, "8 x 8")
  lu.assertStrContains(text, "test_compile.lua:")
  lu.assertStrContains(text, "0.000 GFLOP")
end

-- What nobody asks for is not computed, what is asked for twice is computed once.
function TestCompile.test_unused_and_repeated_operations_go()
  local step = ms.compile(function(x)
    local unused = x:exp():matmul(x)
    local a, b = x:tanh():matmul(x), x:tanh():matmul(x)
    local noise, other = ms.rand { 2, 2 }, ms.rand { 2, 2 }
    return a + b, noise, other, unused ~= nil
  end)
  local x = ms.tensor { { 0.1, 0.2 }, { 0.3, 0.4 } }
  local want = x:tanh():matmul(x) * 2
  for _ = 1, 6 do
    local y, one, two = step(x)
    same_bits(y, want)
    lu.assertNotEquals(one:totable(), two:totable())
  end
  lu.assertStrContains(step:report(), "of 9 recorded (2 unused, 2 repeated")
end

-- Of an unused operation with indices the check of the indices stays: it has a line like the others, and no other line goes for it.
function TestCompile.test_a_report_and_a_profile_have_a_line_for_each_call()
  local step = ms.compile(function(x, i)
    local unused, again = x:index_select(1, i), x:index_select(1, i) * 2
    return x:softmax(2), again, x:matmul(x), unused ~= nil
  end)
  local x, i = ms.ones { 8, 8 }, ms.tensor({ 1, 2 }, { dtype = "i64" })
  for _ = 1, 5 do step(x, i) end
  local report, profile = step:report(), step:profile(2, x, i)
  local calls = math.tointeger(tonumber(report:match "(%d+) operations replayed"))
  lu.assertEquals(select(2, report:gsub("\n  ", "")), calls, report)
  lu.assertEquals(select(2, profile:gsub("%% ", "")), calls, profile)
  lu.assertStrContains(profile, "matmul")
end

-- Equal operations on a tensor that is changed between them are no repetition.
function TestCompile.test_changes_between_equal_operations_count()
  local w = ms.zeros { 2 }
  local step = ms.compile(function(x)
    local a = (w + x):clone()
    w:add_(x)
    local b = w + x
    local c = ms.zeros { 2 }
    local d = ms.zeros { 2 }
    c:add_(x)
    return a, b, c, d
  end)
  for i = 1, 6 do
    local a, b, c, d = step(ms.tensor { 1, 2 })
    lu.assertEquals(a:totable(), { i, 2 * i })
    lu.assertEquals(b:totable(), { i + 1, 2 * (i + 1) })
    lu.assertEquals(c:totable(), { 1, 2 })
    lu.assertEquals(d:totable(), { 0, 0 })
  end
end

-- ---- numbers -------------------------------------------------------------------------------------------------------------------------

-- Numbers handed in are read anew at each replay; arithmetic on them is done anew.
TestCompileNumbers = {}

function TestCompileNumbers.test_arithmetic()
  local step = ms.compile(function(x, a, b) return x * (a * 2 - b / 4 + a ^ 2), (1 - a) * x, x ^ b, -a + x, x:clamp(-b, b) end)
  for i = 1, 8 do
    local a, b, x = i / 8, 9 - i, ms.tensor { 0.5, -3 }
    local p, q, r, s, t = step(x, a, b)
    same_bits(p, x * (a * 2 - b / 4 + a ^ 2))
    same_bits(q, (1 - a) * x)
    same_bits(r, x ^ b)
    same_bits(s, -a + x)
    same_bits(t, x:clamp(-b, b))
  end
  lu.assertTrue(replays(step))
end

-- An integer stays one as long as Lua's would: it leaves a tensor of integers what it is.
-- Some powers have kernels of their own; a live exponent must not keep the one that it began with.
function TestCompileNumbers.test_powers()
  local step = ms.compile(function(x, b) return x ^ b, (x ^ b) * 2 + 1, ms.tanh((x + 1) ^ b):sum() end)
  local x = ms.tensor { 0.5, 3, 7 }
  for _, b in ipairs { 2, 2, 2, 2, 3, 0.5, 1, -1, 1.7, 2, -0.5 } do
    local p, q, r = step(x, b + 0.0)
    same_bits(p, x ^ b)
    same_bits(q, (x ^ b) * 2 + 1)
    same_bits(r, ms.tanh((x + 1) ^ b):sum())
  end
  lu.assertTrue(replays(step))
end

function TestCompileNumbers.test_integers_stay_integers()
  local step = ms.compile(function(x, n) return x * n, x * (n + 1), x * (n / 2) end)
  for i = 1, 6 do
    local a, b, c = step(ms.tensor({ 3 }, { dtype = "i64" }), i)
    lu.assertEquals({ a.dtype, b.dtype, c.dtype }, { "i64", "i64", "f32" })
    lu.assertEquals({ a:totable(), b:totable(), c:totable() }, { { 3 * i }, { 3 * i + 3 }, { 1.5 * i } })
  end
end

function TestCompileNumbers.test_in_derivatives()
  like_eager(function()
    local w = ms.tensor({ 1.5, 2.5 }, { requires_grad = true })
    return function(p, s)
      w.grad = nil
      ((w ^ p) / s + w * (s * s)):sum():backward()
      return w.grad
    end, function(i) return { 1 + i / 4, i } end, { w }
  end)
end

function TestCompileNumbers.test_learning_rate_noise_level_and_step_count()
  like_eager(function()
    local w = ms.randn({ 4 }):requires_grad_()
    local sgd = optim.sgd({ w }, { lr = 0.1, momentum = 0.9 })
    return function(x, noise, count)
      local loss = ((w - x - ms.randn { 4 } * noise):square() / count):sum()
      sgd:zero_grad()
      loss:backward()
      sgd:step()
      return loss
    end, function(i)
      sgd.lr = 0.1 / i -- a schedule
      return { ms.full({ 4 }, i), 1 / i, i }
    end, { w }
  end)
end

function TestCompileNumbers.test_as_results()
  local step = ms.compile(function(x, lr, n) return lr * 2, n + 1, x * lr, "text", nil end)
  for i = 1, 6 do
    local lr, n, x, text, none = step(ms.ones { 1 }, i / 2, i)
    lu.assertEquals(lr, i + 0.0)
    lu.assertEquals(n, i + 1)
    lu.assertEquals(math.type(n), "integer")
    lu.assertEquals(x:totable(), { i / 2 })
    lu.assertEquals(text, "text")
    lu.assertNil(none)
  end
end

function TestCompileNumbers.test_texts_and_booleans_choose_a_recording()
  local step = ms.compile(function(x, how, twice)
    local y = how == "sum" and x:sum() or x:mean()
    return twice and y * 2 or y
  end)
  for _ = 1, 5 do
    local x = ms.tensor { 1, 2, 6 }
    lu.assertEquals(step(x, "sum", false):item(), 9)
    lu.assertEquals(step(x, "sum", true):item(), 18)
    lu.assertEquals(step(x, "mean", true):item(), 6)
  end
end

-- ---- random numbers ------------------------------------------------------------------------------------------------------------------

TestCompileRandom = {}

function TestCompileRandom.test_draws_advance_as_ever()
  like_eager(function()
    return function(x) return x + ms.randn { 5 }, ms.rand({ 3 }, 0, 2), ms.bernoulli({ 7 }, 0.5), ms.randint(1, 10, { 3 }):float() end,
      { ms.ones { 5 } }
  end)
end

function TestCompileRandom.test_dropout_masks_differ()
  local drop = nn.dropout(0.5)
  local step = ms.compile(function(x) return drop(x) end)
  local seen = {}
  for _ = 1, 12 do
    local mask = table.concat(step(ms.ones { 64 }):totable(), " ")
    lu.assertNil(seen[mask])
    seen[mask] = true
  end
  lu.assertTrue(replays(step))
end

-- ---- what comes out -------------------------------------------------------------------------------------------------------------------

TestCompileResults = {}

function TestCompileResults.test_stay_valid_while_held()
  local step, held = ms.compile(function(x) return x * x, x + 1 end), {}
  for i = 1, 10 do held[i] = { step(ms.tensor { i, i }) } end
  for i = 1, 10 do
    lu.assertEquals(held[i][1]:totable(), { i * i, i * i })
    lu.assertEquals(held[i][2]:totable(), { i + 1, i + 1 })
  end
end

function TestCompileResults.test_last_result_as_next_argument()
  local step = ms.compile(function(h) return h * 2 + 1 end)
  local h = ms.zeros { 1 }
  for i = 1, 10 do
    h = step(h)
    lu.assertEquals(h:totable(), { 2 ^ i - 1 })
  end
end

-- An argument comes back as itself, a parameter as itself, the same tensor twice as one; a view of an argument shares its memory.
function TestCompileResults.test_identity()
  local w = ms.tensor({ 1, 2 }, { requires_grad = true })
  local step = ms.compile(function(x)
    local y = x + 1
    return x, w, y, y, x[{ { 2, 2 } }], w:detach()
  end)
  for i = 1, 6 do
    local x = ms.tensor { i, i + 1 }
    local same, parameter, a, b, part, values = step(x)
    lu.assertTrue(same == x)
    lu.assertTrue(parameter == w)
    lu.assertTrue(parameter.requires_grad)
    lu.assertTrue(a == b)
    part:fill_(100)
    lu.assertEquals(x:totable(), { i, 100 })
    lu.assertFalse(values.requires_grad)
    ms.no_grad(function() w:mul_(2) end)
    lu.assertEquals(values:totable(), { 2 ^ i, 2 ^ i * 2 })
  end
end

-- What comes out of a step has no graph, in any call: differentiate inside.
function TestCompileResults.test_carry_no_graph()
  local w = ms.tensor({ 3 }, { requires_grad = true })
  local step = ms.compile(function(x) return (w * x):sum() end)
  for _ = 1, 5 do lu.assertFalse(step(ms.ones { 1 }).requires_grad) end
end
