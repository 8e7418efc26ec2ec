-- Normalisation, losses, sums and extremes at sizes where kernels cut their work: pieces, parts, blocks, tails, threads, strides. The small
-- cases are in test_parity.lua and test_gradients.lua; here the same thing composed of simple rows in f64 stands beside.
-- luacheck: globals TestNormSizes TestLossSizes TestSumSizes TestExtremeSizes TestPowers
-- gcstress: every 200
local lu = require "luaunit"
local ms = require "mascon"
local inside = require "mascon.inside"

local function largest(t) return t:abs():amax():item() end

-- got (f32) is want (f64) to `share` of want's largest element.
local function assert_near(what, got, want, share)
  lu.assertEquals(got.shape, want.shape, what)
  local far, size = largest(got:double() - want), largest(want)
  local near = far <= (share or 2e-6) * size
  lu.assertTrue(near, ("%s: off by %g where the largest is %g"):format(what, far, size))
end

-- The same results, bit for bit, on 1, 2 and 5 threads.
local function assert_same_on_threads(what, f)
  local before, first = ms.threads(), nil
  for _, n in ipairs { 1, 2, 5 } do
    ms.threads(n)
    local results = table.pack(f())
    first = first or results
    for k = 1, results.n do
      lu.assertTrue(results[k]:eq(first[k]):all():item(), ("%s: result %d differs on %d threads"):format(what, k, n))
    end
  end
  ms.threads(before)
end

local function all_but_channels(x)
  local d = { 1 }
  for i = 3, x:dim() do d[#d + 1] = i end
  return d
end

-- ---- standardize, batch_normalize and their derivatives ---------------------------------------------------------------

TestNormSizes = {}

local function normalized(x, dims, eps)
  local mean = x:mean(dims, true)
  local rstd = ((x - mean):square():mean(dims, true) + (eps or 1e-5)):rsqrt()
  return (x - mean) * rstd, mean, rstd
end

local function normalized_grad(g, y, rstd, dims) return rstd * (g - g:mean(dims, true) - y * (g * y):mean(dims, true)) end

-- shape, dims: columns (one block, several, with and without parts), planes (short runs, runs longer than a piece, parts), rows, and the
-- arrangement that has no kernel (reduced, kept, reduced, kept).
local layouts = {
  { { 64, 100 }, { 1 } }, { { 3, 300 }, { 1 } }, { { 900, 130 }, { 1 } }, { { 20000, 16 }, { 1 } }, { { 7, 1 }, { 1 } },
  { { 5, 40, 17 }, { 2 } }, { { 3, 700, 2 }, { 2 } }, { { 64, 3, 7, 7 }, { 1, 3, 4 } }, { { 4, 20, 14, 14 }, { 1, 3, 4 } },
  { { 2, 3, 70, 65 }, { 1, 3, 4 } },
  { { 9, 2, 128, 96 }, { 1, 3, 4 } }, { { 2, 5, 3 }, { 1, 3 } }, { { 3, 5, 1, 2 }, { 1, 3, 4 } }, { { 33, 784 }, { 2 } },
  { { 2, 9000 }, { 2 } },
  { { 70000 }, { 1 } }, { { 5, 6 }, { 1, 2 } }, { { 3, 4, 5, 6 }, { 1, 3 } }, { { 3, 4, 5, 6 }, { 2, 4 } }, { { 3, 4, 5, 6 }, { 1 } },
}

function TestNormSizes.test_normalize_and_its_derivative()
  ms.seed(1)
  for _, l in ipairs(layouts) do
    local what = table.concat(l[1], " x ") .. " over " .. table.concat(l[2], ", ")
    local x, g = ms.randn(l[1]) * 2 + 3, ms.randn(l[1])
    local y, mean, rstd = inside.standardize(x, l[2])
    local wy, wmean, wrstd = normalized(x:double(), l[2])
    assert_near(what, y, wy)
    assert_near(what .. ", mean", mean, wmean)
    assert_near(what .. ", rstd", rstd, wrstd)
    local want = normalized_grad(g:double(), y:double(), rstd:double(), l[2])
    assert_near(what .. ", gradient", inside.standardize_grad(g, y, rstd, l[2]), want, 4e-6)
    assert_same_on_threads(what, function()
      local a, b, c = inside.standardize(x, l[2])
      return a, b, c, inside.standardize_grad(g, y, rstd, l[2])
    end)
  end
end

function TestNormSizes.test_batch_normalize_and_its_derivative()
  ms.seed(2)
  for _, shape in ipairs { { 64, 100 }, { 200, 300 }, { 20000, 16 }, { 64, 16, 7, 7 }, { 2, 3, 90, 91 }, { 1, 4, 9 } } do
    local what, c = table.concat(shape, " x "), shape[2]
    local x, g, w, b = ms.randn(shape) + 1, ms.randn(shape), ms.randn { c }, ms.randn { c }
    local dims, channel = all_but_channels(x), { 1, c }
    for i = 3, #shape do channel[i] = 1 end
    local y, mean, rstd = inside.batch_normalize(x, w, b)
    local wy, wmean, wrstd = normalized(x:double(), dims)
    local ww = w:double():reshape(channel)
    assert_near(what, y, wy * ww + b:double():reshape(channel))
    assert_near(what .. ", mean", mean, wmean:reshape { c })
    assert_near(what .. ", rstd", rstd, wrstd:reshape { c })
    local dx, dw, db = inside.batch_normalize_grad(g, x, mean, rstd, w)
    assert_near(what .. ", dx", dx, normalized_grad(g:double() * ww, wy, wrstd, dims), 4e-6)
    assert_near(what .. ", dweight", dw, (g:double() * wy):sum(dims), 4e-6)
    assert_near(what .. ", dbias", db, g:double():sum(dims), 4e-6)
    assert_same_on_threads(what, function()
      local u, v, z = inside.batch_normalize(x, w, b)
      local du, dv, dz = inside.batch_normalize_grad(g, x, mean, rstd, w)
      return u, v, z, du, dv, dz
    end)
  end
end

-- A variance by sum of squares minus square of the sum would be lost at this distance from 0.
function TestNormSizes.test_far_from_zero()
  ms.seed(3)
  for _, shape in ipairs { { 4096, 20 }, { 8, 4, 40, 40 }, { 6, 5000 } } do
    local x = ms.randn(shape) + 4096
    local dims = #shape == 4 and { 1, 3, 4 } or { #shape == 2 and shape[1] == 6 and 2 or 1 }
    assert_near("far", (inside.standardize(x, dims)), (normalized(x:double(), dims)))
    local _, _, rstd = inside.standardize(x, dims)
    local _, _, want = normalized(x:double(), dims)
    assert_near("rstd far", rstd, want, 1e-6)
  end
end

-- Variance 0; and pieces whose first elements say nothing about the rest.
function TestNormSizes.test_constants_and_steps()
  for _, shape in ipairs { { 100, 20 }, { 8, 2, 7, 7 }, { 8, 2, 90, 90 } } do
    local x = ms.full(shape, 0.1)
    local y, _, rstd = inside.batch_normalize(x)
    lu.assertTrue(largest(y) < 1e-4)
    lu.assertTrue(largest(rstd - 1e5 ^ 0.5) < 0.01)
    local step = x:clone()
    step[{ { 1, 4 } }] = 1000
    local sy, _, srstd = inside.batch_normalize(step)
    local wy, _, wrstd = normalized(step:double(), all_but_channels(x))
    assert_near("step", sy, wy, 1e-5)
    assert_near("step, rstd", srstd, wrstd:reshape { shape[2] }, 1e-5)
  end
end

function TestNormSizes.test_operands_that_are_not_contiguous()
  ms.seed(4)
  local x, g = ms.randn { 8, 6, 5, 12 }:permute { 1, 4, 2, 3 }, ms.randn { 12 }:reshape { 1, 12, 1, 1 }:expand { 8, 12, 6, 5 }
  local y, mean, rstd = inside.batch_normalize(x)
  local cy, cmean, crstd = inside.batch_normalize(x:contiguous())
  for k, pair in ipairs { { y, cy }, { mean, cmean }, { rstd, crstd } } do lu.assertTrue(pair[1]:eq(pair[2]):all():item(), tostring(k)) end
  local a = table.pack(inside.batch_normalize_grad(g, x, mean, rstd))
  local b = table.pack(inside.batch_normalize_grad(g:contiguous(), x:contiguous(), mean, rstd))
  for k = 1, 3 do lu.assertTrue(a[k]:eq(b[k]):all():item(), tostring(k)) end
end

function TestNormSizes.test_half_precision_goes_by_the_reference()
  local x = ms.randn { 4, 3 }
  local y = inside.batch_normalize(x:to "bf16")
  lu.assertEquals(y.dtype, "bf16")
  lu.assertTrue(largest(y:to "f32" - (inside.batch_normalize(x))) < 0.1)
end

function TestNormSizes.test_shapes_are_checked()
  local x = ms.randn { 4, 3 }
  lu.assertErrorMsgContains("weight is 2 f32, expected 3 values, one per channel of 4 x 3 f32", inside.batch_normalize, x, ms.ones { 2 })
  lu.assertErrorMsgContains("expected N x C", inside.batch_normalize, ms.ones { 3 })
  lu.assertErrorMsgContains("standardize_grad: g is 4 x 3 f32", inside.standardize_grad, x, x, ms.ones { 4, 3 }, 1)
  lu.assertErrorMsgContains("expected equal shapes", inside.batch_normalize_grad, x, ms.ones { 3, 3 }, ms.ones { 3 }, ms.ones { 3 })
  local three, two = ms.ones { 3 }, ms.ones { 2 }
  lu.assertErrorMsgContains("expected one value per channel", inside.batch_norm_follow_, three, two, three, three, 4)
end

-- ---- losses ---------------------------------------------------------------------------------------------------------

TestLossSizes = {}

local formulas = {
  mse_loss = function(x, t) return (x - t):square() end,
  bce_loss = function(x, t) return (t * x:log():maximum(-100) + (1 - t) * (1 - x):log():maximum(-100)):neg() end,
  bce_with_logits = function(x, t) return x:softplus() - t * x end,
}

function TestLossSizes.test_elements_sums_means()
  ms.seed(5)
  for name, formula in pairs(formulas) do
    for _, n in ipairs { 1, 15, 1023, 1025, 4096, 5000, 40000, 300001 } do
      local x, t = ms.rand({ n }, 0.001, 0.999), ms.rand { n }
      local want = formula(x:double(), t:double())
      assert_near(name .. " " .. n, ms[name](x, t, "none"), want)
      assert_near(name .. " sum " .. n, ms[name](x, t, "sum"), want:sum())
      assert_near(name .. " mean " .. n, ms[name](x, t), want:mean())
      assert_same_on_threads(name, function() return ms[name](x, t), ms[name](x, t, "none") end)
    end
    local x, t = ms.rand({ 30, 20 }, 0.1, 0.9):transpose(1, 2), ms.rand { 20, 30 }
    assert_near(name .. " transposed", ms[name](x, t), formula(x:double(), t:double()):mean())
  end
end

-- log(1 - x) of a small x in f32 would keep few digits of x.
function TestLossSizes.test_small_probabilities()
  local x, t = ms.tensor { 1e-3, 1e-5, 3e-7, 1e-9 }, ms.zeros { 4 }
  local got = ms.bce_loss(x, t, "none"):totable()
  for k, v in ipairs(x:totable()) do lu.assertAlmostEquals(got[k] / v, 1, v + 2e-7) end
  local logits = ms.tensor { -20, -12, -7, 30 }
  local soft = ms.bce_with_logits(logits, ms.zeros { 4 }, "none"):totable()
  for k, v in ipairs { -20, -12, -7, 30 } do
    local want = v > 0 and v or math.exp(v) - math.exp(2 * v) / 2
    lu.assertAlmostEquals(soft[k] / want, 1, 1e-6)
  end
end

function TestLossSizes.test_cross_entropy()
  ms.seed(6)
  local sizes = { { 1, 1 }, { 5, 3 }, { 16, 10 }, { 17, 10 }, { 64, 10 }, { 300, 32 }, { 33, 33 }, { 40, 100 }, { 2000, 10 }, { 3, 9000 } }
  for _, size in ipairs(sizes) do
    local what = table.concat(size, " x ")
    local x, labels, g = ms.randn(size) * 4, ms.randint(1, size[2], { size[1] }), ms.randn { size[1] }
    local logs = x:double():log_softmax(2)
    local want = logs:gather(2, labels:unsqueeze(2)):squeeze { 2 }:neg()
    if size[2] > 1 then
      assert_near(what, ms.cross_entropy(x, labels, "none"), want)
      assert_near(what .. ", mean", ms.cross_entropy(x, labels), want:mean())
      assert_near(what .. ", sum", ms.cross_entropy(x, labels, "sum"), want:sum())
      local slope = (logs:exp() - ms.one_hot(labels, size[2], "f64")) * g:double():unsqueeze(2)
      assert_near(what .. ", gradient", inside.cross_entropy_grad(g, x, labels), slope)
      assert_near(what .. ", nll", ms.nll_loss(logs:float(), labels, "none"), want)
    else
      lu.assertEquals(ms.cross_entropy(x, labels):item(), 0)
    end
    assert_same_on_threads(what, function() return ms.cross_entropy(x, labels), inside.cross_entropy_grad(g, x, labels) end)
  end
  local x = ms.randn { 10, 6 }
  local labels = ms.randint(1, 10, { 6 }):to "u8"
  local turned = x:transpose(1, 2)
  assert_near("transposed", ms.cross_entropy(turned, labels), ms.cross_entropy(turned:contiguous(), labels):double())
end

function TestLossSizes.test_cross_entropy_of_extreme_logits()
  local labels = ms.tensor({ 1, 2, 1, 1 }, { dtype = "i64" })
  local x = ms.tensor { { 1e4, -1e4, 0 }, { 1e4, -1e4, 0 }, { 0 / 0, 0, 0 }, { -math.huge, 0, 0 } }
  local losses = ms.cross_entropy(x, labels, "none"):totable()
  lu.assertEquals(losses[1], 0)
  lu.assertEquals(losses[2], 2e4)
  lu.assertTrue(losses[3] ~= losses[3])
  lu.assertEquals(losses[4], math.huge)
  lu.assertErrorMsgContains("target[1] = 4, expected 1..3", ms.cross_entropy, ms.ones { 1, 3 }, ms.tensor({ 4 }, { dtype = "i64" }))
  lu.assertErrorMsgContains("cross_entropy: target is 4 i64; for x, 3 f32, expected", ms.cross_entropy, ms.ones { 3 }, labels)
end

-- ---- sums, extremes -------------------------------------------------------------------------------------------------

TestSumSizes = {}

function TestSumSizes.test_sums()
  ms.seed(7)
  local cases = {
    { { 64, 784 }, { 1 } }, { { 1030, 700 }, { 1 } }, { { 50000, 16 }, { 1 } }, { { 50000, 9, 2 }, { 1 } },
    { { 64, 16, 28, 28 }, { 1, 3, 4 } },
    { { 64, 5, 7, 7 }, { 1, 3, 4 } }, { { 70, 5, 2, 2 }, { 1, 3, 4 } }, { { 3, 4, 80, 70 }, { 1, 3, 4 } }, { { 100, 333 }, { 2 } },
    { { 123457 }, { 1 } },
  }
  for _, case in ipairs(cases) do
    local what = table.concat(case[1], " x ")
    local x = ms.randn(case[1]) + 0.5
    assert_near(what, x:sum(case[2]), x:double():sum(case[2]))
    assert_near(what, x:mean(case[2]), x:double():sum(case[2]) * (x:sum(case[2]):numel() / x:numel()))
    assert_same_on_threads(what, function() return x:sum(case[2]) end)
  end
  -- against one element after another
  local x, total = ms.randn({ 6, 4, 5, 7 }, 0, 1, "f64"), {}
  for c = 1, 4 do
    total[c] = 0
    for _, v in ipairs(x:select(2, c):reshape { -1 }:totable()) do total[c] = total[c] + v end
  end
  for c, v in ipairs(x:sum({ 1, 3, 4 }):totable()) do lu.assertAlmostEquals(v, total[c], 1e-12) end
end

TestExtremeSizes = {}

local function by_hand(t, better)
  local best, where = t[1], 1
  for k, v in ipairs(t) do
    if best == best and (better(v, best) or v ~= v) then best, where = v, k end
  end
  return best, where
end

function TestExtremeSizes.test_rows_and_columns()
  ms.seed(8)
  for _, n in ipairs { 1, 7, 31, 32, 33, 64, 200 } do
    for _, dtype in ipairs { "f32", "f64", "i64", "u8" } do
      local x = ms.randint(1, 40, { 12, n }):to(dtype) -- ties
      for name, better in pairs { max = function(a, b) return a > b end, min = function(a, b) return a < b end } do
        local rows_of = x:totable()
        for _, layout in ipairs { "rows", "columns", "strided" } do
          local y, dim = x, 2
          if layout == "columns" then y, dim = x:transpose(1, 2):contiguous(), 1 end
          if layout == "strided" then y = x:transpose(1, 2):contiguous():transpose(1, 2) end
          local values, places = y["a" .. name](y, dim):totable(), y["arg" .. name](y, dim):totable()
          for r = 1, 12 do
            local best, where = by_hand(rows_of[r], better)
            lu.assertEquals(values[r], best, ("a%s of %s %s, n = %d"):format(name, dtype, layout, n))
            lu.assertEquals(places[r], where, ("arg%s of %s %s, n = %d"):format(name, dtype, layout, n))
          end
        end
      end
    end
  end
end

function TestExtremeSizes.test_the_first_nan_wins_wherever_it_stands()
  for _, n in ipairs { 5, 32, 100 } do
    for _, at in ipairs { 1, 2, n // 2, n } do
      local flat = {}
      for k = 1, n do flat[k] = (k >= at and k % 3 == at % 3) and 0 / 0 or k % 7 end
      local row = ms.tensor { flat }
      local grid = row:expand { 9, n }:contiguous()
      for _, x in ipairs { row, grid } do
        lu.assertEquals(x:argmax(2):totable()[1], at)
        lu.assertEquals(x:argmin(2):totable()[1], at)
        lu.assertEquals(x:transpose(1, 2):contiguous():argmax(1):totable()[1], at)
        lu.assertTrue(x:amax(2):isnan():all():item())
        lu.assertTrue(x:transpose(1, 2):contiguous():amin(1):isnan():all():item())
      end
    end
  end
end

-- ---- powers that are products and roots -----------------------------------------------------------------------------

TestPowers = {}

function TestPowers.test_constant_exponents()
  local x = ms.linspace(0.25, 4, 50, { dtype = "f64" })
  for _, e in ipairs { 2, 3, 1, -1, 0.5, -0.5, 4, 0 } do
    local v = x:detach():requires_grad_()
    local y = v:pow(e)
    assert_near("x^" .. e, y:detach():float(), (x:log() * e):exp())
    local slope = ms.grad(y:sum(), v)
    lu.assertTrue(largest(slope:detach() - e * ((e - 1) * x:log()):exp()) < 1e-12, "slope of x^" .. e)
    if slope.requires_grad then
      local second = ms.grad(slope:sum(), v, { allow_unused = true })
      local want = e * (e - 1) * ((e - 2) * x:log()):exp()
      lu.assertTrue(second == nil and e == 1 or largest(second:detach() - want) < 1e-11, "second slope of x^" .. e)
    end
  end
end

function TestPowers.test_live_exponent()
  local step = ms.compile(function(x, e) return x:pow(e):sum() end)
  local x = ms.tensor { 1, 2, 3 }
  for _, e in ipairs { 2, 3, 1, 2, -1, 0.5, 2.5 } do
    lu.assertAlmostEquals(step(x, e):item(), 1 + 2 ^ e + 3 ^ e, 1e-5)
  end
end
