-- Matrices of derivatives, products with them, and checks of derivatives: ms.jacobian, hessian, vjp, jvp, hvp, gradcheck, gradgradcheck.
-- gcstress: every 200
-- luacheck: globals TestMatrices TestProducts TestChecks
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local fails, failure, leaf, line = checks.fails, checks.failure, checks.leaf, checks.line

local function f64(values) return ms.tensor(values, { dtype = "f64" }) end

TestMatrices = {}

function TestMatrices.test_jacobian_of_one_tensor_in_one()
  local x = f64 { 1, 2, 3 }
  local j = ms.jacobian(function(v) return ms.stack { v[1] * v[2], v:sum() } end, x)
  lu.assertEquals(j:totable(), { { 2, 1, 0 }, { 1, 1, 1 } })
  local m = f64 { { 1, 2 }, { 3, 4 } }
  local k = ms.jacobian(function(v) return v:transpose(1, 2) * 2 end, m)
  lu.assertEquals(k.shape, { 2, 2, 2, 2 })
  lu.assertEquals(k[1][2]:totable(), { { 0, 0 }, { 2, 0 } })
  lu.assertEquals(ms.jacobian(function(v) return v:sum() end, m):totable(), { { 1, 1 }, { 1, 1 } })
  lu.assertEquals(ms.jacobian(function(v) return v ^ 2 end, f64(3):reshape {}):item(), 6)
end

function TestMatrices.test_lists_of_arguments_and_results()
  local x, y = f64 { 1, 2 }, f64 { { 3, 4, 5 } }
  local j = ms.jacobian(function(a, b) return a * 2, b:sum() * a[1] end, { x, y })
  lu.assertEquals({ #j, #j[1], #j[2] }, { 2, 2, 2 })
  lu.assertEquals(j[1][1]:totable(), { { 2, 0 }, { 0, 2 } })
  lu.assertEquals(j[1][2]:totable(), { { { 0, 0, 0 } }, { { 0, 0, 0 } } }) -- it does not depend on it
  lu.assertEquals(j[2][1]:totable(), { 12, 0 })
  lu.assertEquals(j[2][2]:totable(), { { 1, 1, 1 } })
end

function TestMatrices.test_empty()
  local none = ms.zeros({ 0 }, { dtype = "f64" })
  lu.assertEquals(ms.jacobian(function(v) return v * 2 end, none).shape, { 0, 0 })
  lu.assertEquals(ms.jacobian(function(v) return v:sum():reshape { 1 }:expand { 2 } end, none).shape, { 2, 0 })
  lu.assertEquals(ms.hessian(function(v) return v:sum() end, none).shape, { 0, 0 })
end

function TestMatrices.test_hessian()
  local x = f64 { 1, 2 }
  local h = ms.hessian(function(v) return v[1] ^ 2 * v[2] + v[2] ^ 3 end, x)
  lu.assertEquals(h:totable(), { { 4, 2 }, { 2, 12 } })
  local both = ms.hessian(function(a, b) return (a * b):sum() end, { x, f64 { 3, 4 } })
  lu.assertEquals(both[1][2]:totable(), { { 1, 0 }, { 0, 1 } })
  lu.assertEquals(both[1][1]:totable(), { { 0, 0 }, { 0, 0 } })
  lu.assertEquals(ms.hessian(function(v) return v:sum() end, x):totable(), { { 0, 0 }, { 0, 0 } })
end

function TestMatrices.test_they_can_be_differentiated_again()
  local w = leaf { 2, 3 } -- a parameter that f captures: the norm of the Jacobian as part of a loss
  local x = f64 { 5, 7 }
  local j = ms.jacobian(function(v) return (v * w) ^ 2 end, x)
  j:sum():backward()
  lu.assertEquals(w.grad:totable(), { 4 * 2 * 5, 4 * 3 * 7 })
  local y = leaf { 2 }
  local g = ms.grad(ms.jacobian(function(v) return v ^ 4 end, y):sum(), y)
  lu.assertEquals(g:item(), 48)
  lu.assertFalse(ms.no_grad(ms.jacobian, function(v) return v ^ 2 * w end, x).requires_grad)
  lu.assertEquals(ms.no_grad(ms.hessian, function(v) return (v ^ 2):sum() end, x):totable(), { { 2, 0 }, { 0, 2 } })
end

function TestMatrices.test_in_a_compiled_step()
  local step = ms.compile(function(x) return ms.jacobian(function(v) return v ^ 3 end, x) end)
  for i = 1, 5 do lu.assertEquals(step(f64 { i, 2 * i }):totable(), { { 3 * i * i, 0 }, { 0, 12 * i * i } }) end
end

TestProducts = {}

function TestProducts.test_with_the_jacobian_from_both_sides()
  local a = f64 { { 1, 2, 3 }, { 4, 5, 6 } }
  local function f(x) return (a * x:square()):sum(2) end
  local x, v, u = f64 { 1, 2, 3 }, f64 { 1, 0, -1 }, f64 { 2, 1 }
  local j = ms.jacobian(f, x)
  local y, vj = ms.vjp(f, x, u)
  lu.assertEquals(y:totable(), f(x):totable())
  lu.assertEquals(vj:totable(), (u:unsqueeze(2) * j):sum(1):totable())
  local z, jv = ms.jvp(f, x, v)
  lu.assertEquals(z:totable(), f(x):totable())
  lu.assertEquals(jv:totable(), (j * v):sum(2):totable())
  local _, g = ms.vjp(function(t) return t:square():sum() end, x)
  lu.assertEquals(g:totable(), { 2, 4, 6 })
end

function TestProducts.test_with_lists()
  local x, y = f64 { 1, 2 }, f64 { 3, 4 }
  local function f(a, b) return a * b, a:sum() end
  local _, d = ms.jvp(f, { x, y }, { f64 { 1, 0 }, f64 { 0, 1 } })
  lu.assertEquals({ d[1]:totable(), d[2]:item() }, { { 3, 2 }, 1 })
  local _, g = ms.vjp(f, { x, y }, { f64 { 1, 1 }, f64(10):reshape {} })
  lu.assertEquals({ g[1]:totable(), g[2]:totable() }, { { 13, 14 }, { 1, 2 } })
end

function TestProducts.test_with_the_hessian()
  local function f(x) return (x ^ 3):sum() + x[1] * x[2] end
  local x, v = f64 { 1, 2 }, f64 { 3, 5 }
  local y, hv = ms.hvp(f, x, v)
  lu.assertEquals(y:item(), 11)
  lu.assertEquals(hv:totable(), (ms.hessian(f, x) * v):sum(2):totable())
  lu.assertEquals(select(2, ms.no_grad(ms.hvp, f, x, v)):totable(), hv:totable())
end

function TestProducts.test_errors()
  local x = f64 { 1, 2 }
  fails("jacobian: x: expected a tensor or a list of tensors, got number", ms.jacobian, print, 3)
  fails("jacobian: x[2]: expected a floating tensor, got one of i64", ms.jacobian, print, { x, ms.arange(1, 2, { dtype = "i64" }) })
  fails("jacobian: f: expected a function, got nil", ms.jacobian, nil, x)
  fails("jacobian: f: expected floating tensors as results, got number", ms.jacobian, function() return 3 end, x)
  fails("jacobian: expected no more arguments, got table", ms.jacobian, function(v) return v end, x, { strict = true })
  fails("gradcheck: eps: expected a number above 0, got 0", ms.gradcheck, ms.sin, x, { eps = 0 })
  fails("jacobian: f gave no result", ms.jacobian, function() end, x)
  fails("hessian: f: expected a result of one element", ms.hessian, function(v) return v end, x)
  fails("vjp: v: expected a tensor like", ms.vjp, function(v) return v end, x)
  fails("jvp: v: expected a tensor of", ms.jvp, function(v) return v end, x, f64 { 1 })
  fails("did you mean ms.jacobian?", function() return ms.jacrev end)
end

TestChecks = {}

local half_wrong = ms.custom_function {
  forward = function(ctx, x)
    ctx:save_for_backward(x)
    return x:square()
  end,
  backward = function(ctx, g)
    local x = ctx.saved_tensors[1]
    return g * x * ms.where(x:gt(2.5), 3, 2)
  end,
}

function TestChecks.test_right_derivatives_pass()
  local x = f64 { { 0.3, 0.7 }, { 1.5, -0.2 } }
  lu.assertTrue(ms.gradcheck(function(v) return (v:sin() * v):matmul(v) end, x))
  lu.assertTrue(ms.gradgradcheck(function(v) return (v:sin() * v):matmul(v) end, x))
  lu.assertTrue(ms.gradcheck(function(a, b) return a * b, a:exp() end, { x, x + 1 }))
  lu.assertTrue(ms.gradcheck(function(a, n, b) return a * b * n end, { x, 3, x:transpose(1, 2) }))
  lu.assertTrue(ms.gradcheck(function(v) return v:sum() end, ms.zeros({ 0 }, { dtype = "f64" })))
  lu.assertTrue(ms.gradcheck(function(v) return v ^ 2 end, f64(2):reshape {}))
end

function TestChecks.test_a_wrong_one_is_named()
  local x = f64 { { 1, 2 }, { 3, 2 } }
  local at = line() + 1
  local message = failure(function() ms.gradcheck(function(y, v) return y * 1, half_wrong(v) end, { x, x }) end)
  lu.assertStrContains(message,
    ("test_derivatives.lua:%d: gradcheck: the derivative of result 2[2][1] in input 2[2][1] is 9 by its rule and 6"):format(at))
  local ok, text = ms.gradcheck(half_wrong, x, { raise_exception = false })
  lu.assertFalse(ok)
  lu.assertStrContains(text, "result 1[2][1] in input 1[2][1]")
  lu.assertTrue(ms.gradcheck(half_wrong, f64 { 1, 2 }))
  lu.assertTrue(ms.gradcheck(half_wrong, f64 { 3 }, { rtol = 1 }))
end

function TestChecks.test_only_what_requires_gradients_if_something_does()
  local x = f64 { 3 }
  lu.assertTrue(ms.gradcheck(function(v, w) return half_wrong(v) * w end, { x, leaf { 2 } }))
  fails("in input 1[1]", ms.gradcheck, function(v, w) return half_wrong(v) * w end, { x, f64 { 2 } })
end

function TestChecks.test_a_second_derivative_that_is_wrong()
  local first_only = ms.custom_function {
    forward = function(ctx, x)
      ctx:save_for_backward(x)
      return x ^ 3
    end,
    backward = function(ctx, g) return g * (ctx.saved_tensors[1]:detach() ^ 2 * 3) end, -- cut off: no second derivative
  }
  local x = f64 { 1, 2 }
  lu.assertTrue(ms.gradcheck(first_only, x))
  fails("gradgradcheck: the derivative of result 1[1] in input 1[1] is", ms.gradgradcheck, first_only, x)
end

function TestChecks.test_what_it_refuses()
  fails("gradcheck: input 1 is f32, which is too coarse to tell a wrong derivative from rounding: hand in f64 (x:double())",
    ms.gradcheck, function(v) return v end, ms.tensor { 1, 2 })
  fails("gradcheck: f gives another value each time", ms.gradcheck, function(v) return v * ms.rand({ 2 }, { dtype = "f64" }) end,
    f64 { 1, 2 })
  fails("gradcheck: unknown option 'tol'", ms.gradcheck, function(v) return v end, f64 { 1 }, { tol = 1 })
  fails("gradcheck: no input is a tensor that takes a gradient", ms.gradcheck, function(v) return v end, { 1 })
end

function TestChecks.test_the_inputs_are_left_as_they_are()
  local x = leaf { 1, 2 }
  ms.gradcheck(function(v) return v:square() end, x)
  lu.assertNil(x.grad)
  lu.assertEquals(x:totable(), { 1, 2 })
end
