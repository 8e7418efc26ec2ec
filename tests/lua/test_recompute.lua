-- ms.recompute: intermediate values are let go, and computed again in the backward pass.
-- gcstress: every 100
-- luacheck: globals TestRecompute TestRecomputeMemory TestRecomputeErrors
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local census, fails, leaf, stress = checks.census, checks.fails, checks.leaf, checks.stress
local nn = ms.nn

TestRecompute = {}

-- Numbers below 1 in f64.
local function draw(n) return ms.rand({ n }, { dtype = "f64" }) end

local function plain(f, ...) return f(...) end

-- The same with and without ms.recompute: run(how) -> list of tensors.
local function same(run)
  local want, got = run(plain), run(ms.recompute)
  lu.assertEquals(#got, #want)
  for i = 1, #want do lu.assertEquals(got[i]:totable(), want[i]:totable()) end
end

function TestRecompute.test_gradients_are_the_same_in_arguments_and_in_what_is_captured()
  same(function(how)
    local x, w = leaf { { 0.1, 0.2 }, { 0.3, 0.4 } }, leaf { { 1, 2 }, { 3, 4 } }
    local function f(v) return (v:matmul(w):tanh() * v):exp() end
    local y = how(f, how(f, x * 2))
    y:sum():backward()
    return { y, x.grad, w.grad }
  end)
end

function TestRecompute.test_the_function_is_called_twice_and_only_if_values_are_wanted()
  local calls, x = 0, leaf { 1, 2 }
  local function f(v)
    calls = calls + 1
    return (v * 2):exp() + 1
  end
  local y = ms.recompute(f, x)
  lu.assertEquals(calls, 1)
  y:sum():backward()
  lu.assertEquals(calls, 2)
  lu.assertAlmostEquals(x.grad:totable()[1], 2 * math.exp(2), 1e-13)
  ms.recompute(function(v)
    calls = calls + 1
    return v + 1
  end, x):sum():backward()
  lu.assertEquals(calls, 3) -- the derivative of a sum reads nothing
  ms.no_grad(ms.recompute, f, x)
  ms.recompute(f, ms.tensor { 1 })
  lu.assertEquals(calls, 5)
end

function TestRecompute.test_several_results_other_arguments_and_tables()
  same(function(how)
    local x, z = leaf { 1, 2 }, leaf { 3, 4 }
    local a, word, b = how(function(v, k, list) return (v ^ k):sin(), "word", (v * list.z):exp() end, x, 3, { z = z })
    lu.assertEquals(word, "word");
    (a:sum() + (b * 2):sum()):backward()
    return { x.grad, z.grad }
  end)
end

function TestRecompute.test_higher_order_and_several_passes()
  same(function(how)
    local x, w = leaf { 0.5, 0.25 }, leaf { 2, 3 }
    local y = how(function(v) return (v * w):sin() * v:exp() end, x)
    local g = ms.grad(y:sum(), x)
    local h = ms.grad((g * g):sum(), { x, w })
    y:sum():backward { retain = true }
    y:sum():backward()
    return { g, h[1], h[2], x.grad, w.grad }
  end)
end

function TestRecompute.test_random_numbers_are_drawn_again()
  same(function(how)
    ms.seed(3)
    local x = ms.ones({ 64 }, { dtype = "f64" }):requires_grad_()
    local y = how(function(v) return (v * draw(64)):exp() * draw(64) end, x)
    local between = ms.rand { 3 }
    y:sum():backward()
    return { y, x.grad, between, ms.rand { 3 } }
  end)
end

function TestRecompute.test_one_inside_another()
  local calls = { 0, 0 }
  same(function(how)
    calls = { 0, 0 }
    ms.seed(5)
    local x, w = leaf { 0.5, 0.25 }, leaf { 2, 3 }
    local function inner(v)
      calls[2] = calls[2] + 1
      return (v * w):sin():exp() * draw(2)
    end
    local y = how(function(v)
      calls[1] = calls[1] + 1
      return how(inner, how(inner, v:tanh()) * v):exp()
    end, x)
    y:sum():backward()
    return { y, x.grad, w.grad }
  end)
  lu.assertEquals(calls, { 2, 6 }) -- each inner one: in the first outer call, in the second, and once more for its values
end

function TestRecompute.test_the_second_order_of_one_inside_another()
  same(function(how)
    local x = leaf { 0.5, 0.25 }
    local y = how(function(v) return how(function(u) return u:sin():exp() end, v:tanh()) * v end, x)
    local g = ms.grad(y:sum(), x)
    return { g, ms.grad(g:sum(), x) }
  end)
end

function TestRecompute.test_with_layers_and_dropout()
  same(function(how)
    ms.seed(1)
    local model = nn.sequential { nn.linear(5, 7), nn.tanh(), nn.dropout(0.5), nn.linear(7, 3) }
    local x = ms.randn { 4, 5 }
    how(model, x):square():sum():backward()
    local list = {}
    for i, p in ipairs(model:parameters()) do list[i] = p.grad end
    return list
  end)
end

function TestRecompute.test_custom_functions_and_changes_in_place_inside()
  same(function(how)
    local cube = ms.custom_function {
      forward = function(ctx, x)
        local y = x ^ 3
        ctx:save_for_backward(x, y)
        return y
      end,
      backward = function(ctx, g)
        local x, y = table.unpack(ctx.saved_tensors)
        return g * 3 * y / x
      end,
    }
    local x = leaf { 1, 2 }
    local y = how(function(v)
      local u = v * 2
      u:mul_(3)
      return cube(u:sin()):exp()
    end, x)
    return { y, ms.grad(y:sum(), x) }
  end)
end

function TestRecompute.test_slices_and_windows_inside()
  same(function(how)
    local x = leaf { { 1, 2, 3 }, { 4, 5, 6 } }
    local y = how(function(v)
      local u, sum = v:sin(), 0
      for i = 1, 2 do sum = sum + (u[i] * u[{ i, { 1, 3 } }]):exp() end
      return sum
    end, x)
    return { y, ms.grad(y:sum(), x) }
  end)
end

function TestRecompute.test_a_tensor_that_a_scope_frees_is_still_there_for_the_second_call()
  local x = leaf { 1, 2 }
  local y
  do
    local s <close> = ms.scope()
    y = s:keep(ms.recompute(function(v) return v:exp() end, x * 2))
  end
  y:sum():backward()
  lu.assertAlmostEquals(x.grad:totable()[1], 2 * math.exp(2), 1e-13)
end

function TestRecompute.test_nothing_stays_alive()
  local before = census()
  do
    local x, w = leaf { 1, 2 }, leaf { 3, 4 }
    local function f(v) return ms.recompute(function(u) return (u * w):sin():exp() end, v):exp() end
    local _ = ms.recompute(f, x) -- never differentiated
    ms.recompute(f, x):sum():backward()
    ms.grad(ms.grad(ms.recompute(f, x):sum(), x):sum(), w)
    pcall(function() ms.recompute(function(u) error(u) end, x) end)
  end
  lu.assertEquals(census(), before)
end

function TestRecompute.test_in_a_coroutine()
  local x = leaf { 1, 2 }
  local co = coroutine.wrap(function()
    local y = ms.recompute(function(v) return (v * 2):exp() end, x)
    coroutine.yield()
    y:sum():backward()
    return true
  end)
  co()
  lu.assertTrue(co())
  lu.assertAlmostEquals(x.grad:totable()[1], 2 * math.exp(2), 1e-13)
end

-- ---- memory ---------------------------------------------------------------------------------------------------------------------

TestRecomputeMemory = {}

local DEEP, SIZE = stress and 4 or 12, stress and 1000 or 100000

local function block(v)
  for _ = 1, 4 do
    local s <close> = ms.scope()
    v = s:keep((v * 1.01):sin():exp():tanh())
  end
  return v
end

function TestRecomputeMemory.test_a_deep_network_takes_less()
  local function peak(how)
    local x = ms.ones({ SIZE }, { requires_grad = true })
    collectgarbage()
    collectgarbage()
    ms.memory "reset"
    local before = ms.memory().live
    local v = x
    for _ = 1, DEEP do
      local s <close> = ms.scope()
      v = s:keep(how(block, v))
    end
    collectgarbage() -- what the blocks let go and nobody holds
    local forward = ms.memory().live - before
    v:sum():backward()
    return forward / (4 * SIZE), (ms.memory().peak - before) / (4 * SIZE)
  end
  local kept, all = peak(plain)
  local ends, some = peak(ms.recompute)
  lu.assertTrue(ends < kept / 6, ("%.1f tensors after the forward pass, %.1f without"):format(ends, kept))
  -- so little is made under stress that what nobody holds any more is part of the peak
  if not stress then lu.assertTrue(some < all / 2, ("a peak of %.1f tensors, %.1f without"):format(some, all)) end
end

function TestRecomputeMemory.test_a_compiled_step_plans_less()
  local function megabytes(how)
    ms.seed(7)
    local w = {}
    for i = 1, DEEP do w[i] = (ms.randn { 64, 64 } * 0.1):requires_grad_() end
    local function layer(v, m) return v:matmul(m):tanh():matmul(m):sigmoid() end
    local x, outcome = ms.randn { SIZE // 64, 64 }, {}
    local step = ms.compile(function(k)
      for i = 1, DEEP do w[i].grad = nil end
      local v = x * k
      for i = 1, DEEP do v = how(layer, v, w[i]) end
      local y = v:square():sum()
      y:backward()
      return y
    end)
    for i = 1, 5 do outcome[i] = step(i / 5):item() end
    outcome[6] = w[1].grad:square():sum():item()
    return tonumber(step:report():match "([%d.]+) MB planned"), outcome
  end
  local all, want = megabytes(plain)
  local some, got = megabytes(ms.recompute)
  for i = 1, 6 do lu.assertAlmostEquals(got[i], want[i], 1e-5 * math.abs(want[i])) end
  if not stress then lu.assertTrue(some < 0.6 * all, ("%.2f MB planned, %.2f without"):format(some, all)) end
end

function TestRecomputeMemory.test_a_compiled_step_draws_the_same_again()
  local function outcomes(how)
    ms.seed(11)
    local x = ms.ones({ 32 }, { dtype = "f64" }):requires_grad_()
    local step = ms.compile(function(k)
      x.grad = nil
      local first = draw(32)
      local y = how(function(v) return (v * draw(32) * k):exp() * draw(32) end, x * first)
      local after = draw(32);
      (y * after):sum():backward()
      return y, after, ms.rand { 2 }
    end)
    local list = {}
    for i = 1, 6 do
      local y, after, last = step(0.1 * i)
      for _, t in ipairs { y, after, last, x.grad } do list[#list + 1] = t:double():sum():item() end
    end
    list[#list + 1] = select(2, ms.rng_state())
    return list
  end
  local want, got = outcomes(plain), outcomes(ms.recompute)
  for i = 1, #want do lu.assertAlmostEquals(got[i], want[i], 1e-12) end
end

-- A graph that nobody differentiated goes link by link: what a function was called with, what a context saved.
function TestRecomputeMemory.test_a_compiled_step_leaves_no_graph_behind()
  local w = leaf { 1, 1, 1 }
  local cube = ms.custom_function {
    forward = function(ctx, x)
      local y = x ^ 3
      ctx:save_for_backward(x, y)
      ctx.mine = x * 2
      return y
    end,
    backward = function(ctx, g) return g * ctx.saved_tensors[1] end,
  }
  local function inner(v) return (v * w):sin():exp() end
  local step = ms.compile(function(x)
    local a = x
    for _ = 1, 5 do a = cube(ms.recompute(inner, a)) end
    return a, ms.recompute(function(v) return cube(ms.recompute(inner, v)) end, a)
  end)
  local list = {}
  for i = 1, 5 do list[i] = step(ms.ones({ 3 }, { dtype = "f64" })):totable() end
  lu.assertEquals(list[5], list[1])
end

-- ---- errors ---------------------------------------------------------------------------------------------------------------------

TestRecomputeErrors = {}

function TestRecomputeErrors.test_what_is_no_function()
  fails("recompute: expected a function, got nothing", ms.recompute)
  fails("recompute: expected a function, got nil", ms.recompute, nil, 1)
  fails("recompute: expected a function, got number", ms.recompute, 3)
end

function TestRecomputeErrors.test_the_name_that_pytorch_has_for_it()
  fails("what PyTorch calls checkpoint(f, ...) is ms.recompute(f, ...)", function() ms.checkpoint(print, 1) end)
end

function TestRecomputeErrors.test_a_function_that_does_something_else_the_second_time()
  local calls, x = 0, leaf { 1, 2 }
  local y = ms.recompute(function(v)
    calls = calls + 1
    return calls == 1 and v:exp() or v:sin()
  end, x)
  fails("recompute: the function did something else when it was called again: exp at tests/lua/test_recompute.lua", function()
    y:sum():backward()
  end)
  local n = 0
  local z = ms.recompute(function(v)
    n = n + 1
    for _ = 1, n do v = v:exp() end
    return v
  end, x)
  fails("recompute: the function did more when it was called again: exp at", function() z:sum():backward() end)
end

function TestRecomputeErrors.test_errors_of_the_function()
  local x = leaf { 1, 2 }
  fails("test_recompute.lua:", ms.recompute, function() error "first" end, x)
  lu.assertEquals(ms.grad(ms.recompute(function(v) return v:exp():log() end, x):sum(), x):totable(), { 1, 1 })
  local calls = 0
  local y = ms.recompute(function(v)
    calls = calls + 1
    if calls == 2 then error "second" end
    return v:exp()
  end, x)
  fails("recompute: the function, called again: tests/lua/test_recompute.lua", function() y:sum():backward() end)
end

function TestRecomputeErrors.test_what_was_changed_since()
  local x = leaf { 1, 2 }
  local u = x * 1
  local y = ms.recompute(function(v) return (v + 1):exp() end, u)
  ms.no_grad(function() u:add_(5) end)
  fails("recompute: argument 1 of add at", function() y:sum():backward() end)
  fails("was changed in place since it was used", function() y:sum():backward() end)
end

function TestRecomputeErrors.test_a_derivative_of_its_own_values_inside()
  local x = leaf { 1, 2 }
  fails("recompute: the function asks for a derivative of what it has computed itself", ms.recompute, function(v)
    return ms.grad(v:exp():sum(), v)
  end, x)
end
