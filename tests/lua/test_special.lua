-- Special functions, integer operations and activations: derivatives of any order, the ends of the range, what is refused. Their values
-- are compared with PyTorch's in test_parity.lua.
-- gcstress: every 50
-- luacheck: globals TestSpecial TestBits TestActivations
local lu = require "luaunit"
local ms = require "mascon"
local inside = require "mascon.inside"

TestSpecial, TestBits, TestActivations = {}, {}, {}

local inf = math.huge
local function f64(t) return ms.tensor(t, { dtype = "f64" }) end

local function near(got, want, relative)
  for k, w in ipairs(want) do
    local good = got[k] == w or (w ~= w and got[k] ~= got[k]) or math.abs(got[k] - w) <= (relative or 1e-12) * math.abs(w)
    if not good then lu.fail(("element %d: got %.17g, expected %.17g"):format(k, got[k], w)) end
  end
end

-- The n-th derivative of f at x, by n passes.
local function derivative(f, x, n)
  x = f64(x):requires_grad_()
  local y = f(x)
  for _ = 1, n do y = ms.grad(y:sum(), x) end
  return y:detach():totable()
end

function TestSpecial.test_derivatives_of_lgamma_of_any_order_are_polygammas()
  local x = { -1.25, 0.5, 3, 40 }
  for n = 1, 6 do near(derivative(ms.lgamma, x, n), ms.polygamma(n - 1, f64(x)):totable()) end
  near(ms.polygamma(1, f64 { 1 }):totable(), { math.pi ^ 2 / 6 })
  near(ms.polygamma(3, f64 { 1 }):totable(), { math.pi ^ 4 / 15 })
end

function TestSpecial.test_derivatives_of_sinc_are_exact_at_0_and_near_it()
  near(derivative(ms.sinc, { 0 }, 2), { -math.pi ^ 2 / 3 })
  near(derivative(ms.sinc, { 0 }, 4), { math.pi ^ 4 / 5 })
  near(derivative(ms.sinc, { 1e-6 }, 1), { -math.pi ^ 2 / 3 * 1e-6 })
  near(derivative(ms.sinc, { 1, 2 }, 1), { -1, 0.5 }, 1e-14)
end

function TestSpecial.test_derivatives_of_bessel_functions()
  local x = { -3, 0, 0.5, 29, 31 }
  near(derivative(ms.i0, x, 1), ms.i1(f64(x)):totable())
  near(derivative(ms.i0, { 0 }, 2), { 0.5 })
  near(derivative(ms.i0, { 0 }, 4), { 0.375 })
  near(inside.bessel_i(f64 { 2 }, 2):totable(), { 0.68894844769873820405 })
end

function TestSpecial.test_inverses_bring_back_what_went_in()
  local x = f64 { -5.5, -3, -1e-9, 0, 1e-300, 0.1, 0.47, 2, 5.8 }
  near(ms.erfinv(ms.erf(x * 0.5)):totable(), (x * 0.5):totable(), 1e-11)
  local z = f64 { -37, -20, -5, -0.7, 0.3, 4 }
  near(ms.ndtri(ms.ndtr(z)):totable(), z:totable())
  near(ms.logit(ms.sigmoid(f64 { -30, -1, 0.001, 2 })):totable(), { -30, -1, 0.001, 2 })
end

function TestSpecial.test_far_out()
  near(ms.erfcx(f64 { 1e10, -30, 1e200, 0 }):totable(), { 0.56418958354775628695e-10, inf, 0.56418958354775628695e-200, 1 })
  near(ms.log_ndtr(f64 { -1e10, inf, -inf }):totable(), { -5e19, 0, -inf })
  near(ms.ndtri(f64 { 0, 1, 0.5, 1.5 }):totable(), { -inf, inf, 0, 0 / 0 })
  near(ms.i0(f64 { 800, -800 }):totable(), { inf, inf })
  near(ms.i0(f64 { 712 }):totable(), { math.exp(356) * (math.exp(356) / math.sqrt(2 * math.pi * 712) * (1 + 1 / 5696)) }, 1e-6)
  near(ms.logaddexp(f64 { -inf, inf, 1000, -inf }, f64 { -inf, inf, 1000, 3 }):totable(), { -inf, inf, 1000 + math.log(2), 3 })
  near(ms.zeta(f64 { 2, 4, 1, 0.5, 2 }, f64 { 1, 1, 1, 1, -1 }):totable(), { math.pi ^ 2 / 6, math.pi ^ 4 / 90, inf, 0 / 0, inf })
end

function TestSpecial.test_nan_to_num_knows_the_ends_of_each_dtype()
  for dtype, most in pairs { f32 = 0x1.fffffep+127, f64 = 0x1.fffffffffffffp+1023, f16 = 65504.0, bf16 = 0x1.fep+127 } do
    lu.assertEquals(ms.tensor({ inf, -inf, 0 / 0, 3 }, { dtype = dtype }):nan_to_num():double():totable(), { most, -most, 0, 3 })
  end
  lu.assertEquals(ms.tensor({ inf, -inf, 0 / 0 }):nan_to_num { nan = 1, posinf = 2, neginf = 3 }:totable(), { 2, 3, 1 })
end

function TestSpecial.test_what_is_refused()
  lu.assertErrorMsgContains("polygamma: n is -1, expected 0 or more", ms.polygamma, -1, f64 { 1 })
  lu.assertErrorMsgContains("multigammaln: p is 0", ms.multigammaln, f64 { 1 }, 0)
  lu.assertErrorMsgContains("ms.polygamma(n, x)", function() return f64 { 1 }:polygamma(1) end)
end

-- ---- integers -------------------------------------------------------------------------------------------------------------------------

function TestBits.test_integers_keep_their_dtype_and_booleans_stay_booleans()
  for _, dtype in ipairs { "u8", "i32", "i64" } do
    local x = ms.tensor({ 12, 10, 7 }, { dtype = dtype })
    lu.assertEquals(ms.bitwise_and(x, 10):totable(), { 8, 10, 2 })
    lu.assertEquals(ms.bitwise_or(x, 1).dtype, dtype)
    lu.assertEquals(ms.bitwise_not(x):totable(), dtype == "u8" and { 243, 245, 248 } or { -13, -11, -8 })
    lu.assertEquals(ms.bitwise_left_shift(x, 1).dtype, dtype)
  end
  local b = ms.tensor { true, false }
  lu.assertEquals(ms.bitwise_not(b):totable(), { false, true })
  lu.assertEquals(ms.bitwise_xor(b, ms.tensor { true, true }):totable(), { false, true })
end

function TestBits.test_shifts_by_too_much_leave_the_sign()
  local x = ms.tensor({ -5, 5 }, { dtype = "i32" })
  lu.assertEquals(ms.bitwise_right_shift(x, 40):totable(), { -1, 0 })
  lu.assertEquals(ms.bitwise_left_shift(x, 32):totable(), { 0, 0 })
  lu.assertEquals(ms.bitwise_left_shift(ms.tensor({ 129 }, { dtype = "u8" }), 1):totable(), { 2 })
  lu.assertEquals(x:clone():gcd_(10):totable(), { 5, 5 })
end

function TestBits.test_fractions_and_booleans_are_refused()
  local x = ms.tensor({ 6, 4 }, { dtype = "i64" })
  lu.assertErrorMsgContains("gcd: expected integers, got f32", ms.gcd, x, ms.ones { 2 })
  lu.assertErrorMsgContains("gcd: expected integers", ms.gcd, x, 1.5)
  local b = ms.tensor { true }
  lu.assertErrorMsgContains("bitwise_left_shift: expected integers, got bool", ms.bitwise_left_shift, b, b)
  lu.assertErrorMsgContains("positive: expected numbers", ms.positive, ms.tensor { true })
end

function TestBits.test_division_with_rounding()
  local x, y = ms.tensor({ 7, -7, 7, -7 }, { dtype = "i64" }), ms.tensor({ 2, 2, -2, -2 }, { dtype = "i64" })
  lu.assertEquals(ms.divide(x, y, "trunc"):totable(), { 3, -3, -3, 3 })
  lu.assertEquals(ms.divide(x, y, { rounding_mode = "floor" }):totable(), { 3, -4, -4, 3 })
  lu.assertEquals(ms.divide(x, y).dtype, "f32")
end

-- ---- activations ----------------------------------------------------------------------------------------------------------------------

function TestActivations.test_arguments_have_pytorchs_names()
  local x = f64 { -2, 0.25, 3 }
  lu.assertEquals(x:leaky_relu { negative_slope = 0.5 }:totable(), { -1, 0.25, 3 })
  lu.assertEquals(x:hardtanh { min_val = 0, max_val = 1 }:totable(), { 0, 0.25, 1 })
  lu.assertEquals(x:clamp { min = 0 }:totable(), { 0, 0.25, 3 })
  lu.assertEquals(x:softshrink { lambd = 1 }:totable(), { -1, 0, 2 })
  lu.assertEquals(x:threshold(1, 9):totable(), { 9, 9, 3 })
  lu.assertEquals(x:softplus { beta = 2, threshold = 1 }[3]:item(), 3)
  lu.assertErrorMsgContains("negative_slope", function() return x:leaky_relu { negative_slop = 0.5 } end)
end

function TestActivations.test_prelu_has_a_weight_for_all_or_for_each_channel()
  local x = ms.full({ 2, 3, 2 }, -1)
  lu.assertEquals(ms.prelu(x, ms.tensor { 1, 2, 3 }):select(3, 1):totable(), { { -1, -2, -3 }, { -1, -2, -3 } })
  lu.assertErrorMsgContains("prelu: weight is 2 f32, expected one number, or 3", ms.prelu, x, ms.ones { 2 })
end

function TestActivations.test_rrelu_draws_its_slopes_while_training()
  ms.seed(3)
  local x = ms.full({ 10000 }, -1)
  local y = -x:rrelu(0.2, 0.4, true)
  lu.assertTrue(y:amin():item() >= 0.2 and y:amax():item() < 0.4)
  lu.assertTrue(math.abs(y:mean():item() - 0.3) < 0.003)
  lu.assertTrue((-x:rrelu(0.2, 0.4)):eq(0.3):all():item())
  lu.assertErrorMsgContains("expected lower <= upper", ms.rrelu, x, 0.5, 0.1)
end

function TestActivations.test_glu_wants_two_halves()
  lu.assertErrorMsgContains("glu: dimension 1 of 3 f32 is odd", ms.glu, ms.ones { 3 })
end
