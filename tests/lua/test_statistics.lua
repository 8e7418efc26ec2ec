-- Reductions, running results and order: what PyTorch gives for nothing, for NaN, for whole numbers and for zeros; what is refused.
-- Their values are compared with PyTorch's in test_parity.lua.
-- gcstress: every 50
-- luacheck: globals TestNothing TestNotANumber TestDtypes TestZeros TestOrder TestStatistics
local lu = require "luaunit"
local ms = require "mascon"

TestNothing, TestNotANumber, TestDtypes, TestZeros, TestOrder, TestStatistics = {}, {}, {}, {}, {}, {}

local inf, nan = math.huge, 0 / 0
local function f64(t) return ms.tensor(t, { dtype = "f64" }) end

local function same(got, want, what)
  got, want = type(got) == "userdata" and got:reshape({ -1 }):totable() or got, want
  lu.assertEquals(#got, #want, what)
  for k, w in ipairs(want) do
    local good = got[k] == w or (w ~= w and got[k] ~= got[k]) or (type(w) == "number" and math.abs(got[k] - w) <= 1e-12 * math.abs(w))
    if not good then lu.fail(("%s: element %d: got %s, expected %s"):format(what or "", k, got[k], w)) end
  end
end

-- ---- nothing ------------------------------------------------------------------------------------------------------------------------

function TestNothing.test_of_all()
  local x = ms.zeros({ 0 }, { dtype = "f64" })
  same({ x:sum():item(), x:prod():item(), x:nansum():item(), x:norm():item(), x:norm(0):item() }, { 0, 1, 0, 0, 0 })
  same({ x:mean():item(), x:var():item(), x:std():item(), x:median():item(), x:nanmedian():item(), x:nanmean():item() },
    { nan, nan, nan, nan, nan, nan })
  same({ x:logsumexp():item() }, { -inf })
  lu.assertEquals({ x:any():item(), x:all():item() }, { false, true })
end

function TestNothing.test_along_a_dimension()
  local x = ms.zeros { 2, 0 }
  lu.assertEquals(x:prod { 2, keepdim = true }:totable(), { { 1 }, { 1 } })
  lu.assertEquals(x:prod(1).shape, { 0 })
  for _, name in ipairs { "cumsum", "cumprod", "logcumsumexp", "cummax", "cummin", "argsort", "diff" } do
    lu.assertEquals((x[name](x, { dim = 2 })).shape, { 2, 0 }, name)
  end
end

function TestNothing.test_nothing_to_choose_from_is_an_error()
  local x = ms.zeros { 2, 0 }
  for name, f in pairs { amax = function() return x:amax(2) end, aminmax = function() return x:aminmax(2) end,
    argmax = function() return x:argmax() end, median = function() return x:median(2) end, nanmedian = function() return x:nanmedian(2) end,
    mode = function() return x:mode() end, quantile = function() return x:quantile(0.5, 2) end,
    norm = function() return x:norm(inf, 2) end } do
    lu.assertErrorMsgContains(name .. ": ", f)
    lu.assertErrorMsgContains("nothing to choose from", f)
  end
  lu.assertErrorMsgContains("kthvalue: k is 4, expected 1..3", ms.kthvalue, ms.ones { 3 }, 4)
  lu.assertErrorMsgContains("q is 1.5, expected 0 to 1", ms.quantile, ms.ones { 3 }, 1.5)
end

-- ---- NaN --------------------------------------------------------------------------------------------------------------------------------

function TestNotANumber.test_it_wins_where_it_counts()
  local x = f64 { 3, nan, 1, 2 }
  same({ x:amax():item(), x:amin():item(), x:median():item(), x:quantile(0.25):item(), x:sum():item() }, { nan, nan, nan, nan, nan })
  same({ x:nanmedian():item(), x:nanquantile(0.5):item(), x:nansum():item(), x:nanmean():item() }, { 2, 2, 6, 2 })
  local v, p = x:median(1)
  same({ v:item(), p:item() }, { nan, 2 })
  same((x:cummax(1)), { 3, nan, nan, nan })
  same((x:cummin(1)), { 3, nan, nan, nan })
  local all = f64 { nan, nan }
  same({ all:nanmedian():item(), all:nanquantile(0.5):item(), all:nanmean():item(), all:nansum():item() }, { nan, nan, nan, 0 })
end

function TestNotANumber.test_gradients_leave_it_out()
  local x = f64({ 3, nan, 1 }):requires_grad_()
  same(ms.grad(x:nansum(), x), { 1, 0, 1 })
  same(ms.grad(x:nanmean(), x), { 0.5, 0, 0.5 })
  same(ms.grad(x:nanmedian(), x), { 0, 0, 1 })
end

-- ---- dtypes -----------------------------------------------------------------------------------------------------------------------------

function TestDtypes.test_sums_and_products_of_integers_are_i64()
  for _, dtype in ipairs { "u8", "i32", "i64", "bool" } do
    local x = ms.tensor({ { 1, 2, 1 }, { 1, 3, 1 } }, { dtype = dtype })
    for _, name in ipairs { "sum", "prod" } do
      for _, d in ipairs { 1, 2, { 1, 2 } } do lu.assertEquals(x[name](x, d).dtype, "i64", name .. dtype) end
    end
    lu.assertEquals(x:cumprod(2).dtype, "i64")
  end
  local x = ms.tensor({ { 1, 2, 4 }, { 1, 3, 5 } }, { dtype = "u8" })
  lu.assertEquals(x:prod(1):totable(), { 1, 6, 20 })
  lu.assertEquals(x:prod(2):totable(), { 8, 15 })
  lu.assertEquals(x:cumprod(2):totable(), { { 1, 2, 8 }, { 1, 3, 15 } })
end

function TestDtypes.test_dtype_converts_first()
  local x = ms.tensor { 1.5, 2.5, 3.5 }
  for _, name in ipairs { "sum", "prod", "nansum" } do
    lu.assertEquals(x[name](x, { dtype = "f64" }).dtype, "f64", name)
    lu.assertEquals(x[name](x, { dtype = "i32" }).dtype, "i32", name)
    lu.assertEquals(x[name](x, { dtype = "i64" }):item(), 6, name)
  end
  lu.assertEquals(x:cumsum(1, { dtype = "i64" }):totable(), { 1, 3, 6 })
  lu.assertEquals(x:cumprod(1, { dtype = "f64" }):totable(), { 1.5, 3.75, 13.125 })
  lu.assertEquals(x:mean({ dtype = "f64" }).dtype, "f64")
  lu.assertErrorMsgContains("mean: dtype i64, expected a floating one", ms.mean, x, { dtype = "i64" })
  local big = ms.full({ 2 }, 3e38)
  lu.assertEquals(big:sum():item(), inf)
  lu.assertEquals(big:sum({ dtype = "f64" }):item(), 2 * big[1]:item())
end

function TestDtypes.test_dtype_and_the_gradient()
  local x = ms.tensor({ 1, 2, 3 }, { requires_grad = true })
  for _, name in ipairs { "sum", "prod", "mean" } do
    local y = x[name](x, { dtype = "f64" })
    local dx = ms.grad(y, x)
    lu.assertEquals(dx.dtype, "f32", name)
  end
end

function TestDtypes.test_halves_are_computed_in_f32()
  for _, dtype in ipairs { "f16", "bf16" } do
    local x = ms.arange(1, 64):cast(dtype)
    for _, name in ipairs { "sum", "mean", "var", "std", "norm", "logsumexp", "amax", "median", "nansum", "nanmean", "prod" } do
      local y, want = x[name](x), x:float()[name](x:float()):cast(dtype)
      lu.assertEquals(y.dtype, dtype, name)
      lu.assertEquals(y:float():item(), want:float():item(), name)
    end
    lu.assertEquals((x:sort(1, true)):float():totable()[1], 64)
    lu.assertEquals((x:cummax(1)).dtype, dtype)
    lu.assertEquals(x:quantile(0.5):float():item(), 32.5)
    lu.assertEquals(x:softmax().dtype, dtype)
  end
end

-- A column of a narrow tensor is added up as carefully as a row.
function TestDtypes.test_long_sums_along_the_first_dimension()
  local x = ms.full({ 1000000, 2 }, 0.1)
  local row = ms.full({ 1000000 }, 0.1):sum():item()
  lu.assertEquals(x:sum(1):totable(), { row, row })
  lu.assertTrue(math.abs(row - x[{ 1, 1 }]:item() * 1000000) <= 3e-6 * row)
end

-- ---- zeros: derivatives of products ---------------------------------------------------------------------------------------

-- d(prod)/dx and d2(prod)/dx1dx2 by definition.
function TestZeros.test_derivatives_of_products_with_zeros()
  for zeros = 0, 3 do
    local values = { 2, 3, 5, 7, 11 }
    for k = 1, zeros do values[k] = 0 end
    local x = f64(values):requires_grad_()
    local dx = ms.grad(x:prod(), x)
    local want = {}
    for k = 1, 5 do
      want[k] = 1
      for j = 1, 5 do want[k] = want[k] * (j == k and 1 or values[j]) end
    end
    same(dx:detach(), want, zeros .. " zeros")
    local ddx = ms.grad(dx[1], x)
    for k = 1, 5 do
      want[k] = k == 1 and 0 or 1
      for j = 2, 5 do want[k] = want[k] * (j == k and 1 or values[j]) end
    end
    same(ddx:detach(), want, zeros .. " zeros, second order")
    same(ms.grad(ms.grad(ddx[2], x)[3], x):detach(), { 0, 0, 0, values[5], values[4] }, "fourth order")
  end
end

function TestZeros.test_running_products_with_zeros()
  local x = f64({ 2, 0, 3, 0, 5, 7 }):requires_grad_()
  same(x:cumprod(1):detach(), { 2, 0, 0, 0, 0, 0 })
  same(ms.grad(x:cumprod(1)[3], x), { 0, 6, 0, 0, 0, 0 })
  same(ms.grad(x:cumprod(1)[6], x), { 0, 0, 0, 0, 0, 0 })
end

function TestZeros.test_prod_over_several_dimensions_is_that_of_a_flat_one()
  local x = ms.rand({ 3, 4, 5 }, 0.5, 1.5, { dtype = "f64" }):requires_grad_()
  for _, d in ipairs { { 1, 2, 3 }, { 1, 3 }, { 2, 3 }, { -1 } } do
    local rest, y = { 1, 2, 3 }, x:prod(d)
    local order = {}
    for _, k in ipairs(d) do rest[k < 0 and k + 4 or k] = 0 end
    for k = 1, 3 do if rest[k] ~= 0 then order[#order + 1] = k end end
    for k = 1, 3 do if rest[k] == 0 then order[#order + 1] = k end end
    local flat = x:permute(order):reshape { y:numel(), -1 }
    same(y:detach(), flat:detach():log():sum(2):exp():totable(), "values")
    local dx, plain = ms.grad(y:sum(), x), ms.grad(flat:prod(2):sum(), x)
    same(dx, plain:reshape({ -1 }):totable(), "gradient")
    same(x:detach():prod(d), y:detach():reshape({ -1 }):totable(), "without a record")
  end
end

-- ---- order ---------------------------------------------------------------------------------------------------------------------------

function TestOrder.test_ties_keep_their_order()
  local x = f64 { 2, 1, 2, 1 }
  lu.assertEquals(x:argsort():totable(), { 2, 4, 1, 3 })
  lu.assertEquals(x:argsort { descending = true }:totable(), { 1, 3, 2, 4 })
  lu.assertEquals(x:argsort { descending = true, stable = true }:totable(), { 1, 3, 2, 4 })
  local _, where = x:cummax(1)
  lu.assertEquals(where:totable(), { 1, 1, 3, 3 })
end

function TestOrder.test_mode()
  local v, p = ms.tensor({ { 3, 1, 3, 1, 2 }, { 5, 5, 4, 4, 4 } }, { dtype = "i64" }):mode()
  lu.assertEquals(v:totable(), { 1, 4 })
  lu.assertEquals(p:totable(), { 4, 5 })
  lu.assertEquals((ms.ones { 1 }:mode()):item(), 1)
end

function TestOrder.test_median_of_integers()
  local x = ms.tensor({ 4, 1, 3, 2 }, { dtype = "i64" })
  lu.assertEquals(x:median():item(), 2)
  local v, p = x:median(1, { keepdim = true })
  lu.assertEquals({ v:totable(), p:totable() }, { { 2 }, { 4 } })
end

function TestOrder.test_quantiles_of_several_shares_come_first()
  local x = ms.arange(1, 12, { dtype = "f64" }):reshape { 3, 4 }
  local q = f64 { 0, 0.5 }
  lu.assertEquals(x:quantile(q, 2).shape, { 2, 3 })
  lu.assertEquals(x:quantile(q, 2):totable(), { { 1, 5, 9 }, { 2.5, 6.5, 10.5 } })
  lu.assertEquals(x:quantile(q, 1, true).shape, { 2, 1, 4 })
  lu.assertEquals(x:quantile(q).shape, { 2 })
  lu.assertEquals(x:quantile(q, { keepdim = true }).shape, { 2, 1, 1 })
  lu.assertEquals(x:quantile(0.5, { keepdim = true }).shape, { 1, 1 })
  same({ f64({ 1, inf }):quantile(1):item() }, { inf })
  for mode, want in pairs { lower = 2, higher = 3, midpoint = 2.5, nearest = 2, linear = 2.25 } do
    same({ f64({ 1, 2, 3, 4 }):quantile(5 / 12, { interpolation = mode }):item() }, { want }, mode)
  end
end

-- ---- statistics ----------------------------------------------------------------------------------------------------------------------

function TestStatistics.test_unbiased_and_correction()
  local x = f64 { 1, 2, 4 }
  same({ x:var { unbiased = false }:item(), x:var { correction = 0 }:item() }, { 14 / 9, 14 / 9 })
  lu.assertErrorMsgContains("unbiased = false is correction = 0", ms.var, x, { unbiased = false, correction = 2 })
  same({ f64({ 3 }):var():item(), f64({ 3 }):var({ correction = 0 }):item() }, { nan, 0 })
  local v, m = x:var_mean()
  same({ v:item(), m:item() }, { 7 / 3, 7 / 3 })
end

function TestStatistics.test_norms()
  local x = f64 { 3, 0, -4 }
  same({ x:norm():item(), x:norm(0):item(), x:norm(1):item(), x:norm(inf):item(), x:norm(-inf):item() }, { 5, 2, 7, 4, 0 })
  same({ f64({ 2, 4 }):norm(-1):item() }, { 4 / 3 })
end

function TestStatistics.test_weights_of_cov()
  local x = f64 { { 1, 2, 4 }, { 3, 1, 0 } }
  local often, written_out = ms.tensor({ 1, 2, 1 }, { dtype = "i64" }), f64 { { 1, 2, 2, 4 }, { 3, 1, 1, 0 } }
  same(x:cov { fweights = often }, written_out:cov():reshape({ -1 }):totable())
  lu.assertErrorMsgContains("weights are 2 i64, expected 3", ms.cov, x, { fweights = ms.tensor({ 1, 2 }, { dtype = "i64" }) })
end

function TestStatistics.test_trapezoid_with_points_and_with_distances()
  same({ f64({ 1, 2, 4 }):trapezoid():item(), f64({ 1, 2, 4 }):trapezoid(f64 { 0, 2, 3 }):item() }, { 4.5, 6 })
  lu.assertErrorMsgContains("expected as many points", ms.trapezoid, ms.ones { 3 }, ms.ones { 2 })
end

function TestStatistics.test_softmax_of_a_single_number_and_of_impossible_rows()
  local x = f64(3):requires_grad_()
  lu.assertEquals({ x:softmax():item(), x:log_softmax():item(), x:softmin(1):item() }, { 1, 0, 1 })
  lu.assertEquals(ms.grad(x:softmax(), x):item(), 0)
  lu.assertErrorMsgContains("dimension 2", ms.softmax, x, 2)
  same(f64({ { -inf, -inf }, { -inf, 0 } }):softmax(), { nan, nan, 0, 1 })
end

function TestStatistics.test_one_variable_has_a_number_as_covariance()
  local x = f64 { { 1, 2, 6 } }
  lu.assertEquals({ x:cov().shape, x:cov():item(), x:corrcoef().shape }, { {}, 7, {} })
end

function TestStatistics.test_a_number_has_one_dimension_to_name()
  local x = f64(3):requires_grad_()
  for _, f in ipairs { "sum", "mean", "amax", "amin", "prod", "logsumexp", "norm" } do
    local y = f == "norm" and x:norm(2, 1) or x[f](x, -1, { keepdim = true })
    lu.assertEquals({ y.shape, y:item(), ms.grad(y, x):item() }, { {}, 3, 1 }, f)
  end
  lu.assertErrorMsgContains("dimension", ms.sum, x, 2)
end

function TestStatistics.test_no_quantile_beyond_0_to_1_however_it_is_rounded()
  lu.skipIf(ms.ones({ 1 }).device == "lazy", "a wrong index is told at the next wait")
  for _, way in ipairs { "linear", "lower", "higher", "midpoint", "nearest" } do
    for _, q in ipairs { -0.01, 1.01, nan } do
      lu.assertErrorMsgContains("expected 1..6", function() return ms.arange(1, 6):quantile(f64 { q }, { interpolation = way }) end)
    end
  end
  lu.assertEquals(ms.arange(1, 6):quantile(f64 { 0, 1 }, { interpolation = "nearest" }):totable(), { 1, 6 })
end
