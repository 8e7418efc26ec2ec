-- Functions with a derivative of their own: ms.custom_function.
-- gcstress: every 20
-- luacheck: globals TestCustom TestCustomErrors
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local census, failure, fails, leaf, line = checks.census, checks.failure, checks.fails, checks.leaf, checks.line

local cube = ms.custom_function {
  name = "cube",
  forward = function(ctx, x)
    ctx:save_for_backward(x)
    return x ^ 3
  end,
  backward = function(ctx, dy)
    local x = ctx.saved_tensors[1]
    return dy * x ^ 2 * 3
  end,
}

TestCustom = {}

function TestCustom.test_the_derivative_is_the_one_given()
  local x = leaf { 1, 2, 3 }
  local y = cube(x)
  lu.assertTrue(y.requires_grad)
  lu.assertFalse(y.is_leaf)
  lu.assertEquals(y:totable(), { 1, 8, 27 })
  y:sum():backward()
  lu.assertEquals(x.grad:totable(), { 3, 12, 27 })
  local wrong = ms.custom_function { forward = function(_, v) return v * 2 end, backward = function(_, g) return g * 100 end }
  lu.assertEquals(ms.grad(wrong(x):sum(), x):totable(), { 100, 100, 100 })
end

function TestCustom.test_any_order_where_backward_is_made_of_operations()
  local x = leaf { 2 }
  local first = ms.grad(cube(cube(x)):sum(), x) -- x^9
  local second = ms.grad(first:sum(), x)
  local third = ms.grad(second:sum(), x)
  lu.assertEquals({ first:item(), second:item(), third:item() }, { 9 * 2 ^ 8, 72 * 2 ^ 7, 504 * 2 ^ 6 })
end

function TestCustom.test_results_may_be_saved()
  local calls = 0
  local exp = ms.custom_function {
    forward = function(ctx, x)
      local y = x:exp()
      ctx:save_for_backward(y)
      return y
    end,
    backward = function(ctx, dy)
      calls = calls + 1
      return dy * ctx.saved_tensors[1]
    end,
  }
  local x = leaf { 0.5, 1 }
  local g = ms.grad(exp(x):sum(), x)
  local h = ms.grad(g:sum(), x)
  lu.assertAlmostEquals(g:totable()[2], math.exp(1), 1e-15)
  lu.assertAlmostEquals(h:totable()[1], math.exp(0.5), 1e-15) -- the saved result is in the graph
  lu.assertEquals(calls, 2)
end

function TestCustom.test_arguments_that_are_no_tensors_and_several_results()
  local seen
  local scale = ms.custom_function {
    forward = function(ctx, how, x, k, y)
      ctx.k = k
      ctx:save_for_backward(x, y)
      return x * k, how, y * x
    end,
    backward = function(ctx, da, none, db)
      seen = { ctx.needs_input_grad[1], ctx.needs_input_grad[2], ctx.needs_input_grad[3], ctx.needs_input_grad[4], none }
      local x, y = table.unpack(ctx.saved_tensors)
      return nil, da * ctx.k + db * y, nil, db * x
    end,
  }
  local x, y = leaf { 1, 2 }, ms.tensor({ 5, 7 }, { dtype = "f64" })
  local a, word, b = scale("word", x, 3, y)
  lu.assertEquals({ a:totable(), word, b:totable() }, { { 3, 6 }, "word", { 5, 14 } })
  lu.assertEquals(ms.grad((a * 10):sum() + b:sum(), x):totable(), { 35, 37 })
  lu.assertEquals(seen, { false, true, false, false })
  lu.assertEquals(ms.grad(b:sum(), x):totable(), { 5, 7 }) -- a has no gradient: zeros
end

function TestCustom.test_results_without_gradients()
  local seen
  local top = ms.custom_function {
    forward = function(ctx, x)
      local m, at = x[1]:max(1)
      local rounded = x:round()
      ctx.x = x
      ctx:mark_non_differentiable(rounded)
      ctx:set_materialize_grads(false)
      return m, at, rounded, x:sum()
    end,
    backward = function(ctx, dm, dat, dr, ds)
      seen = { dm == nil, dat == nil, dr == nil, ds == nil }
      return ms.zeros_like(ctx.x) + dm
    end,
  }
  local x = leaf { { 1, 2 } }
  local m, at, rounded, sum = top(x)
  lu.assertEquals(at.dtype, "i64")
  lu.assertEquals({ m.requires_grad, at.requires_grad, rounded.requires_grad, sum.requires_grad }, { true, false, false, true })
  lu.assertEquals(ms.grad(m, x):totable(), { { 1, 1 } })
  lu.assertEquals(seen, { false, true, true, true })
end

function TestCustom.test_many_inputs_and_results()
  local n = 40
  local all = ms.custom_function {
    forward = function(_, ...)
      local out = {}
      for i, x in ipairs { ... } do out[i] = x * i end
      return table.unpack(out)
    end,
    backward = function(_, ...)
      local out = {}
      for i, g in ipairs { ... } do out[i] = g * i end
      return table.unpack(out)
    end,
  }
  local x, sum = {}, 0
  for i = 1, n do x[i] = leaf { i } end
  for i, y in ipairs { all(table.unpack(x)) } do sum = sum + y * i end
  local g = ms.grad(sum, x)
  for i = 1, n do lu.assertEquals(g[i]:item(), i * i) end
end

function TestCustom.test_the_argument_itself_as_result_and_empty_tensors()
  local reverse = ms.custom_function { forward = function(_, x) return x end, backward = function(_, g) return -g end }
  local x = leaf { 1, 2 }
  lu.assertEquals(ms.grad((reverse(x) * 3):sum() + x:sum(), x):totable(), { -2, -2 })
  lu.assertTrue(x.is_leaf)
  local none = ms.zeros({ 0, 3 }, { dtype = "f64" }):requires_grad_()
  lu.assertEquals(ms.grad(cube(none):sum(), none).shape, { 0, 3 })
  local n = leaf(2):reshape {}
  lu.assertEquals(ms.grad(cube(n), n):item(), 12)
end

function TestCustom.test_without_gradients_it_is_its_forward()
  local x = ms.tensor { 1, 2 }
  lu.assertFalse(cube(x).requires_grad)
  lu.assertFalse(ms.no_grad(cube, leaf { 1 }).requires_grad)
  lu.assertFalse(cube(ms.tensor { 2 }):requires_grad_(false).requires_grad)
end

function TestCustom.test_the_gradient_takes_the_dtype_of_its_argument()
  local half = ms.custom_function { forward = function(_, x) return x:double() end, backward = function(_, g) return g end }
  local x = ms.tensor({ 1, 2 }):requires_grad_()
  lu.assertEquals(ms.grad(half(x):sum(), x).dtype, "f32")
end

function TestCustom.test_nothing_stays_alive()
  local before = census()
  do
    local exp = ms.custom_function {
      forward = function(ctx, x)
        local y = x:exp()
        ctx:save_for_backward(x, y, y * 2)
        ctx.mine = y
        return y
      end,
      backward = function(ctx, g) return g * ctx.saved_tensors[2] end,
    }
    local x = leaf { 1, 2 }
    local _ = exp(x) -- never differentiated
    exp(x):sum():backward()
    ms.grad(ms.grad(exp(x):sum(), x):sum(), x)
    pcall(function() ms.custom_function { forward = function(c, v) c:save_for_backward(v) return v * 1 end,
      backward = function(c) return c.saved_tensors[1][5] end }(x):sum():backward() end)
  end
  lu.assertEquals(census(), before)
end

function TestCustom.test_a_pass_inside_a_derivative()
  -- backward runs the function again and differentiates that: what the outer pass has gathered must stay.
  local function f(x) return (x:sin() * x) end
  local again = ms.custom_function {
    forward = function(ctx, x)
      ctx:save_for_backward(x)
      return f(x)
    end,
    backward = function(ctx, g)
      local x = ctx.saved_tensors[1]
      return ms.enable_grad(function() return ms.grad(f(x), x, { gradient = g }) end)
    end,
  }
  for _, order in ipairs { 1, 2 } do
    local results = {}
    for k, fn in ipairs { f, again } do
      local x = leaf { 0.3, 0.7 }
      local a = x * 2
      local y = (fn(a) * a + fn(a * x) + a[1]):sum()
      local g = ms.grad(y, x)
      if order == 2 then g = ms.grad((g * g):sum(), x) else y:backward() end
      results[k] = (order == 2 and g or x.grad):totable()
    end
    lu.assertAlmostEquals(results[1][1], results[2][1], 1e-14)
    lu.assertAlmostEquals(results[1][2], results[2][2], 1e-14)
  end
end

function TestCustom.test_in_a_compiled_step()
  local w = leaf { 0.5, 0.25 }
  local power = ms.custom_function {
    forward = function(ctx, x, k)
      ctx.k = k
      ctx:save_for_backward(x)
      return x ^ 2 * k
    end,
    backward = function(ctx, g) return g * ctx.saved_tensors[1] * 2 * ctx.k end,
  }
  local step = ms.compile(function(x, k)
    w.grad = nil
    local y = power(w * x, k):sum()
    y:backward()
    return y
  end)
  for i = 1, 6 do
    local x = ms.tensor({ i, -i }, { dtype = "f64" })
    lu.assertAlmostEquals(step(x, i):item(), i * i * i * (0.25 + 0.0625), 1e-12)
    lu.assertAlmostEquals(w.grad:totable()[2], 2 * i * 0.25 * i * i, 1e-12)
  end
  lu.assertStrContains(step:report(), "9 recorded") -- once, whatever k is
end

function TestCustom.test_in_coroutines()
  local x = leaf { 2 }
  local co = coroutine.wrap(function()
    coroutine.yield(cube(x))
    coroutine.yield(ms.grad(cube(x):sum(), x))
  end)
  local y = co()
  y:sum():backward()
  lu.assertEquals(x.grad:totable(), { 12 })
  lu.assertEquals(co():totable(), { 12 })
end

TestCustomErrors = {}

local function with(backward, forward)
  return ms.custom_function { name = "mine", forward = forward or function(_, x) return x * 1 end, backward = backward }
end

function TestCustomErrors.test_errors_in_backward_name_both_lines()
  local x = leaf { 1, 2 }
  local raised = line() + 1
  local f = with(function() error "broken" end)
  local made = line() + 1
  local y = f(x):sum()
  local message = failure(function() y:backward() end)
  lu.assertStrContains(message, ("in the derivative of mine, made at tests/lua/test_custom.lua:%d"):format(made))
  lu.assertStrContains(message, ("test_custom.lua:%d: broken"):format(raised))
  lu.assertStrContains(message, ("test_custom.lua:%d: in the"):format(made + 1))
  lu.assertEquals(ms.grad(cube(x):sum(), x):totable(), { 3, 12 }) -- nothing is left behind
  fails("an error that is no text", function() with(function() error {} end)(x):sum():backward() end)
  fails("matmul", function() with(function(_, g) return g:matmul(ms.zeros { 3 }) end)(x):sum():backward() end)
end

function TestCustomErrors.test_what_backward_gives_is_checked()
  local x = leaf { 1, 2 }
  local function backward(...)
    local given = table.pack(...)
    return function() with(function() return table.unpack(given, 1, given.n) end)(x):sum():backward() end
  end
  fails("mine: backward gave 3 f32 on cpu as the gradient of tensor argument 1, which is 2 f64 on cpu", backward(ms.zeros { 3 }))
  fails("mine: backward gave 2 i64", backward(ms.zeros({ 2 }, { dtype = "i64" })))
  fails("mine: backward: result 1: expected a tensor (a gradient) or nil, got number", backward(1))
  fails("mine: backward: result 2 is a gradient, but argument 2 of forward was not given (there were 1)", backward(nil, ms.zeros { 2 }))
  local f = with(function(_, g) return g, g end, function(_, v, k) return v * k end)
  fails("mine: backward: result 2 is a gradient, but argument 2 of forward is no tensor that takes one", function()
    f(x, 3):sum():backward()
  end)
  backward(nil)()
  lu.assertNil(x.grad)
end

function TestCustomErrors.test_changes_in_place()
  local x = leaf { 1, 2 }
  local y = x * 1
  local z = cube(y)
  ms.no_grad(function() y:add_(1) end)
  fails("cube: saved tensor 1 was changed in place after it was saved; backward needs the old values", function() z:sum():backward() end)
  local f = with(function(_, g) return g end, function(_, v) return v:add_(1) end)
  fails("mine: forward changed argument 1 in place: make a new tensor of it instead", f, x * 1)
  local saves = with(function(c, g) return g * c.saved_tensors[1] end, function(c, v)
    local r = v * 2
    c:save_for_backward(r)
    return r
  end)
  local r = saves(x)
  ms.no_grad(function() r:add_(1) end)
  fails("result 1 of mine (2 f64) was changed in place", function() r:sum():backward() end)
end

function TestCustomErrors.test_its_own_arguments()
  fails("custom_function: backward: expected a function, got nil", ms.custom_function, { forward = print })
  fails("custom_function: unknown option 'foward'; did you mean forward?", ms.custom_function, { foward = print })
  fails("mine: save_for_backward: argument 2: expected a tensor, got number",
    with(print, function(ctx, x) ctx:save_for_backward(x, 1) return x end), leaf { 1 })
end
