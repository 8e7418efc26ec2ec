-- Products: vectors, integers, errors, special numbers, compiled steps. (Values and derivatives come from the rows: test_parity,
-- test_gradients.)
-- gcstress: every 20
-- luacheck: globals TestProducts TestDistances
local lu = require "luaunit"
local ms = require "mascon"

TestProducts, TestDistances = {}, {}

local function i64(t, dtype) return ms.tensor(t, { dtype = dtype or "i64" }) end

function TestProducts.test_vectors_are_rows_and_columns()
  local v, m = ms.tensor { 1, 2 }, ms.tensor { { 1, 2 }, { 3, 4 } }
  lu.assertEquals(ms.matmul(v, v).shape, {})
  lu.assertEquals(ms.matmul(v, v):item(), 5)
  lu.assertEquals(ms.matmul(m, v):totable(), { 5, 11 })
  lu.assertEquals(ms.matmul(v, m):totable(), { 7, 10 })
  lu.assertEquals(ms.matmul(ms.ones { 5, 3, 2 }, v).shape, { 5, 3 })
  lu.assertEquals(ms.matmul(v, ms.ones { 5, 2, 3 }).shape, { 5, 3 })
  lu.assertErrorMsgContains("a vector is not transposed", function() ms.matmul(v, m, { ta = true }) end)
  lu.assertErrorMsgContains("a is scalar f32, expected one dimension or more",
    function() ms.matmul(ms.ones {}, m) end)
end

function TestProducts.test_integers_are_multiplied_exactly()
  local big = 2 ^ 40 // 1 | 1
  local a, b = i64 { { big, 1 }, { 0, 3 } }, i64 { { 5, big }, { 7, 1 } }
  lu.assertEquals(ms.matmul(a, b):totable(), { { 5 * big + 7, big * big + 1 }, { 21, 3 } })
  lu.assertEquals(ms.matmul(a, b, { ta = true, tb = true }):totable(), (a:t():contiguous():mm(b:t():contiguous())):totable())
  lu.assertEquals(ms.matmul(a, i64 { 1, -1 }):totable(), { big - 1, -3 })
  lu.assertEquals(i64({ 200, 100 }, "u8"):dot(i64({ 2, 1 }, "u8")):totable(), 244)
  lu.assertEquals(ms.matmul(i64({ 1 }, "i32"), a:slice(1, 2, 1):mul(1)).dtype, "i64")
  lu.assertEquals(i64({ { 1, 2 } }, "i32"):mm(i64({ { 3 }, { 4 } }, "i32")).dtype, "i32")
  lu.assertEquals(ms.matmul(a, ms.ones { 2 }).dtype, "f32")
  lu.assertEquals(ms.matmul(ms.zeros({ 2, 0 }, { dtype = "i64" }), ms.zeros({ 0, 3 }, { dtype = "i64" })):totable(),
    { { 0, 0, 0 }, { 0, 0, 0 } })
  local batch = ms.arange(1, 24, { dtype = "i64" }):reshape { 2, 3, 4 }
  local want = ms.matmul(batch:double(), batch:double(), { tb = true })
  lu.assertEquals(ms.matmul(batch, batch, { tb = true }):totable(), want:long():totable())
  lu.assertEquals(batch:transpose(1, 2):matmul(i64 { 1, 0, -1, 2 }):totable(),
    batch:transpose(1, 2):double():matmul(ms.tensor { 1, 0, -1, 2 }:double()):long():totable())
  lu.assertEquals(i64({ { 2, 1 }, { 0, 1 } }):matrix_power(10):totable(), { { 1024, 1023 }, { 0, 1 } })
end

function TestProducts.test_linear_of_a_vector()
  local w, bias = ms.tensor({ { 1, 2, 3 }, { 0, -1, 1 } }, { dtype = "f64" }), ms.tensor({ 10, 20 }, { dtype = "f64" })
  local x = ms.tensor({ 1, 2, -1 }, { dtype = "f64" })
  lu.assertEquals(ms.linear(x, w, bias):totable(), { 12, 17 })
  lu.assertEquals(ms.linear(x, w):totable(), { 2, -3 })
  lu.assertEquals(ms.linear(ms.zeros({ 0 }, { dtype = "f64" }), ms.zeros({ 2, 0 }, { dtype = "f64" }), bias):totable(), { 10, 20 })
  lu.assertTrue(ms.gradgradcheck(ms.linear, { x, w, bias }))
  lu.assertErrorMsgContains("linear: x is scalar f64, expected one dimension or more", ms.linear, x:sum(), w)
  lu.assertErrorMsgContains("expected x with 3 features, got 2", ms.linear, bias, w)
end

function TestProducts.test_names_expect_their_ranks()
  local v, m, b = ms.ones { 2 }, ms.ones { 2, 2 }, ms.ones { 3, 2, 2 }
  for message, f in pairs {
    ["mm: mat2 is 2 f32, expected two dimensions"] = function() m:mm(v) end,
    ["mv: vec is 2 x 2 f32, expected one dimension"] = function() m:mv(m) end,
    ["bmm: x is 2 x 2 f32, expected three dimensions"] = function() m:bmm(m) end,
    ["expected as many matrices on both sides"] = function() b:bmm(ms.ones { 1, 2, 2 }) end,
    ["dot: matmul: "] = function() v:dot(ms.ones { 3 }) end,
    ["inner: 2 f32 and 3 f32: expected last dimensions of one size"] = function() v:inner(ms.ones { 3 }) end,
    ["addmm: x is 3 x 2 x 2 f32, which does not fit to a product of 2 x 2 f32"] = function() b:addmm(m, m) end,
    ["addmm: expand: 3 f32 does not expand to 2 x 2"] = function() ms.ones({ 3 }):addmm(m, m) end,
    ["matrix_power: n = -1, expected 0 or more"] = function() m:matrix_power(-1) end,
    ["matrix_power: expected square matrices"] = function() ms.ones({ 2, 3 }):matrix_power(2) end,
    ["cross: 2 f32 and 2 f32: expected a dimension of size 3"] = function() v:cross(v) end,
    ["cdist: 2 f32 and 2 f32: expected matrices with rows of one length"] = function() ms.cdist(v, v) end,
    ["cdist: p = -1, expected 0 or more"] = function() ms.cdist(m, m, -1) end,
    ["argument a: expected a tensor, got 2"] = function() ms.matmul(2, m) end,
  } do lu.assertErrorMsgContains(message, f) end
end

function TestProducts.test_with_beta_0_what_x_holds_does_not_matter()
  local nan, m = ms.full({ 2, 2 }, 0 / 0), ms.eye(2)
  lu.assertEquals(nan:addmm(m, m, { beta = 0, alpha = 3 }):totable(), { { 3, 0 }, { 0, 3 } })
  lu.assertErrorMsgContains("does not expand", function() ms.full({ 3 }, 0):addmm(m, m, { beta = 0 }) end)
end

function TestProducts.test_what_is_joined_meets_at_one_dtype()
  lu.assertEquals(ms.cat({ ms.ones { 1 }, i64 { 2 } }).dtype, "f32")
  lu.assertEquals(ms.cat({ i64({ 1 }, "u8"), i64 { 300 } }):totable(), { 1, 300 })
end

function TestProducts.test_in_compiled_steps()
  local w = ms.rand({ 3, 3 }):requires_grad_()
  local function g(x)
    local loss = ms.matmul(w, x[1]):outer(x:mv(w[1])):sum() + ms.cdist(x, w):sum() + ms.cosine_similarity(x, w):sum()
      + x:cross(w, 2):square():sum() + w:addmm(x, w, { alpha = 0.5 }):matrix_power(2):sum() + ms.pdist(w, 3):sum()
    return loss, ms.grad(loss, w)
  end
  local step = ms.compile(g)
  for _ = 1, 5 do
    local x = ms.rand { 3, 3 }
    local a, ga = step(x)
    local b, gb = g(x)
    lu.assertAlmostEquals(a:item(), b:item(), 1e-4)
    lu.assertTrue((ga - gb):abs():amax():item() < 1e-4)
  end
end

function TestDistances.test_near_points_keep_their_digits()
  local x = ms.tensor { { 1000, 1 }, { 1000, 1.25 } }
  lu.assertEquals(ms.cdist(x, x):totable(), { { 0, 0.25 }, { 0.25, 0 } })
  lu.assertEquals(ms.pdist(x):totable(), { 0.25 })
end

function TestDistances.test_the_gradient_at_distance_0_is_0()
  for _, p in ipairs { 0.5, 1, 1.5, 2, 3, math.huge } do
    local x = ms.tensor({ { 1, 2 }, { 1, 2 }, { 0, 2 } }, { dtype = "f64", requires_grad = true })
    local y = ms.tensor({ { 1, 2 } }, { dtype = "f64" })
    local dx = ms.grad(ms.cdist(x, y, p):sum(), x)
    lu.assertEquals(dx:totable(), { { 0, 0 }, { 0, 0 }, { -1, 0 } }, "p = " .. p)
  end
end

function TestDistances.test_of_nothing()
  lu.assertEquals(ms.cdist(ms.zeros { 2, 0 }, ms.zeros { 3, 0 }, math.huge):totable(), { { 0, 0, 0 }, { 0, 0, 0 } })
  lu.assertEquals(ms.cdist(ms.zeros { 0, 2 }, ms.zeros { 3, 2 }).shape, { 0, 3 })
  lu.assertEquals(ms.pdist(ms.zeros { 1, 4 }).shape, { 0 })
  lu.assertEquals(ms.cdist(ms.tensor { { 1, 2 } }, ms.tensor { { 1, 3 } }, 0):item(), 1)
end

function TestProducts.test_whole_factors_leave_integers_integers()
  local x, a = i64 { { 1, 2 } }, i64 { { 1 << 53 | 1 } }
  local y = ms.addmm(x, a, i64 { { 1, 1 } }, { beta = 2, alpha = -1 })
  lu.assertEquals({ y.dtype, y:totable() }, { "i64", { { 2 - (1 << 53 | 1), 4 - (1 << 53 | 1) } } })
  lu.assertEquals(ms.addmm(x, a, i64 { { 1, 1 } }, { beta = 0.5 }).dtype, "f32")
end

function TestProducts.test_tensordot_of_nothing_says_what_is_missing()
  lu.assertErrorMsgContains("tensordot: argument a: expected a tensor, got nil", ms.tensordot)
  lu.assertErrorMsgContains("tensordot: argument b: expected a tensor, got nil", ms.tensordot, ms.ones { 2 })
end
