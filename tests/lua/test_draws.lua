-- Random numbers whose distribution a tensor gives, and those written into a tensor.
-- gcstress: every 20
-- luacheck: globals TestMultinomial TestBernoulli TestNormal TestFill
local lu = require "luaunit"
local ms = require "mascon"

TestMultinomial, TestBernoulli, TestNormal, TestFill = {}, {}, {}, {}

-- How often each of 1..n is among the positions.
local function counts(positions, n)
  local list = {}
  for k = 1, n do list[k] = positions:eq(k):sum():item() end
  return list
end

-- Is a count of draws with probability p within five standard deviations?
local function likely(count, draws, p, what)
  local sd = math.sqrt(draws * p * (1 - p))
  lu.assertTrue(math.abs(count - draws * p) <= 5 * sd + 1e-9, ("%s: %d of %d, expected about %g"):format(what, count, draws, draws * p))
end

function TestMultinomial.test_with_replacement_positions_come_as_often_as_their_weights_say()
  ms.seed(3)
  for _, dtype in ipairs { "f32", "f64" } do
    local draws = ms.tensor({ { 1, 0, 3, 4, 0 }, { 0, 2, 0, 0, 2 } }, { dtype = dtype }):multinomial(20000, true)
    lu.assertEquals({ draws.shape, draws.dtype }, { { 2, 20000 }, "i64" })
    for row, weights in ipairs { { 1, 0, 3, 4, 0 }, { 0, 4, 0, 0, 4 } } do
      for k, count in ipairs(counts(draws[row], 5)) do likely(count, 20000, weights[k] / 8, "position " .. k) end
    end
  end
end

function TestMultinomial.test_without_replacement_each_comes_once_and_none_of_weight_0()
  ms.seed(4)
  local weights = ms.tensor { 0, 1, 2, 0, 5, 1e-30 }
  local rows = weights:expand({ 4000, 6 }):multinomial(4)
  lu.assertEquals(rows:sort(2):totable()[1], { 2, 3, 5, 6 })
  lu.assertEquals((rows:sort(2)):eq(ms.tensor({ 2, 3, 5, 6 }, { dtype = "i64" })):all():item(), true)
  local first = counts(rows:select(2, 1), 6)
  likely(first[2], 4000, 1 / 8, "first 2")
  likely(first[5], 4000, 5 / 8, "first 5")
  -- the second draw, given the first: of 1 and 5 the odds of 3 against 2
  local second = counts(rows:select(2, 2), 6)
  likely(second[5], 4000, 1 / 8 * 5 / 7 + 2 / 8 * 5 / 6, "second 5")
end

function TestMultinomial.test_many_weights()
  local n = 1000
  local order = ms.rand({ n }, 0.1, 1):multinomial(n)
  lu.assertEquals((order:sort()):totable(), ms.arange(1, n, { dtype = "i64" }):totable())
end

function TestMultinomial.test_errors()
  for message, f in pairs {
    ["multinomial: x[2] = -1, expected weights from 0 on"] = function() ms.multinomial(ms.tensor { 1, -1 }, 1) end,
    ["x[1] = inf"] = function() ms.multinomial(ms.tensor { math.huge, 1 }, 1) end,
    ["the weights of row 2 add up to 0"] = function() ms.multinomial(ms.tensor { { 1, 1 }, { 0, 0 } }, 1) end,
    ["multinomial: 3 draws of 2 without replacement"] = function() ms.multinomial(ms.tensor { 1, 1 }, 3) end,
    ["multinomial: 2 draws without replacement, but only 1 weights of row 1 are above 0"] = function()
      ms.multinomial(ms.tensor { 0, 1 }, 2) end,
    ["expected weights or rows of weights"] = function() ms.multinomial(ms.ones { 1, 1, 1 }, 1) end,
  } do
    lu.assertErrorMsgContains(message, function()
      f()
      ms.synchronize()
    end)
  end
  lu.assertEquals(ms.multinomial(ms.ones { 3 }, 0).shape, { 0 })
end

function TestBernoulli.test_by_probabilities()
  ms.seed(5)
  for _, dtype in ipairs { "f32", "f64" } do
    local p = ms.tensor({ 0, 0.25, 1 }, { dtype = dtype }):expand { 8000, 3 }
    local y = p:bernoulli()
    lu.assertEquals({ y.dtype, y.shape }, { dtype, { 8000, 3 } })
    local sums = y:sum(1):totable()
    lu.assertEquals({ sums[1], sums[3] }, { 0, 8000 })
    likely(sums[2] // 1, 8000, 0.25, dtype)
  end
  lu.assertEquals(ms.bernoulli({ 4 }, 1):totable(), { 1, 1, 1, 1 })
  lu.assertErrorMsgContains("bernoulli: p[2] = 1.5, expected 0..1", function()
    ms.tensor({ 0.5, 1.5 }):bernoulli()
    ms.synchronize()
  end)
end

function TestNormal.test_means_and_deviations_by_tensors()
  ms.seed(6)
  local y = ms.normal(ms.tensor { -5, 5 }:expand { 20000, 2 }, ms.tensor { 1, 0.1 })
  for k, want in ipairs { { -5, 1 }, { 5, 0.1 } } do
    lu.assertAlmostEquals(y:select(2, k):mean():item(), want[1], 0.05 * want[2])
    lu.assertAlmostEquals(y:select(2, k):std():item(), want[2], 0.05 * want[2])
  end
  lu.assertErrorMsgContains("ms.randn(shape, mean, std) takes those", function() ms.normal(0, 1) end)
  lu.assertErrorMsgContains("normal: std = -1, expected 0 or more", function() ms.normal(ms.zeros { 2 }, -1) end)
  local step = ms.compile(function(std) return ms.normal(ms.zeros { 2 }, std) end)
  for std = 1, 4 do lu.assertFalse(step(std):isnan():any():item()) end
  lu.assertTrue(step(-1):isnan():all():item())
  lu.assertEquals(ms.normal(0, ms.tensor { 1, -1, 0 }):isnan():totable(), { false, true, false })
end

function TestFill.test_tensors_are_overwritten_where_they_are()
  ms.seed(7)
  local x = ms.zeros { 40, 50 }
  local y = x:t()
  lu.assertTrue(x:uniform_(2, 3) == x)
  lu.assertTrue(x:amin():item() >= 2 and x:amax():item() < 3 and x:mean():item() < 2.6)
  y:normal_(10, 2)
  lu.assertAlmostEquals(x:mean():item(), 10, 0.3)
  lu.assertAlmostEquals(x:std():item(), 2, 0.2)
  x:bernoulli_(0.5)
  likely(x:sum():item() // 1, 2000, 0.5, "ones")
  x:random_(3, 4)
  lu.assertEquals({ x:amin():item(), x:amax():item() }, { 3, 4 })
  local whole = ms.zeros({ 100 }, { dtype = "u8" }):random_(7, 7)
  lu.assertEquals(whole:sum():item(), 700)
  lu.assertErrorMsgContains("uniform_: x is 100 u8, expected a floating tensor", function() whole:uniform_() end)
  lu.assertErrorMsgContains("normal_: keeps no record for gradients", function() ms.zeros({ 2 }, { requires_grad = true }):normal_() end)
end

function TestFill.test_in_compiled_steps_each_replay_draws_anew()
  local step = ms.compile(function(p, noise)
    noise:normal_(0, 1)
    return p:bernoulli(), p:multinomial(3, true), noise * 1, ms.normal(p, 1)
  end)
  local p, noise, before = ms.full({ 50 }, 0.5), ms.zeros { 50 }, {}
  for k = 1, 6 do
    local now = { step(p, noise) }
    for i, t in ipairs(now) do
      if before[i] and t:numel() > 3 then lu.assertFalse(t:equal(before[i]), ("result %d, call %d"):format(i, k)) end
    end
    before = now
  end
end
