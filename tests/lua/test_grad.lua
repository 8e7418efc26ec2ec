-- Derivatives, modes and scopes, as a user meets them. Derivatives of every row: test_gradients.lua.
-- gcstress: every 10
-- luacheck: globals TestGrad TestModes TestScopes
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local census, failure, fails, leaf, line, stress =
  checks.census, checks.failure, checks.fails, checks.leaf, checks.line, checks.stress

local function here(n) return ("test_grad.lua:%d: "):format(n) end

-- ---- derivatives ----------------------------------------------------------------------------------------------------------------

TestGrad = {}

function TestGrad.test_backward_fills_grad()
  local x = leaf { 1, 2, 3 }
  lu.assertNil(x.grad)
  x:square():sum():backward()
  lu.assertEquals(x.grad:totable(), { 2, 4, 6 })
  lu.assertEquals(x.grad.dtype, "f64")
  lu.assertFalse(x.grad.requires_grad)
end

function TestGrad.test_gradients_add_up_until_they_are_dropped()
  local x = leaf { 1, 2 }
  x:sum():backward();
  (x * 3):sum():backward()
  lu.assertEquals(x.grad:totable(), { 4, 4 })
  x.grad = nil
  x:sum():backward()
  lu.assertEquals(x.grad:totable(), { 1, 1 })
end

function TestGrad.test_a_gradient_already_handed_out_does_not_change()
  local x = leaf { 1, 2 }
  x:sum():backward()
  local first = x.grad
  x:sum():backward()
  lu.assertEquals(x.grad:totable(), { 2, 2 })
  lu.assertEquals(first:totable(), { 1, 1 })
  local y = leaf { 1 } -- one gradient reaching two leaves is not shared between them
  local z = leaf { 1 };
  (y + z):backward()
  ms.no_grad(function() y.grad:add_(1) end)
  lu.assertEquals(z.grad:totable(), { 1 })
end

function TestGrad.test_only_leaves_keep_a_gradient()
  local x = leaf { 1, 2 }
  local y = x * 2
  y:sum():backward()
  lu.assertNil(y.grad)
  lu.assertTrue(x.is_leaf)
  lu.assertFalse(y.is_leaf)
  lu.assertTrue(y.requires_grad)
  lu.assertFalse(y:detach().requires_grad)
end

function TestGrad.test_a_tensor_used_twice_gets_both_shares()
  local x = leaf { 3 }
  lu.assertEquals(ms.grad((x * x + x):sum(), x):item(), 7)
  lu.assertEquals(ms.grad((x + x + x):sum(), x):item(), 3)
end

function TestGrad.test_backward_twice_needs_retain()
  local x = leaf { 1, 2 }
  local y = x:square():sum()
  y:backward { retain = true }
  y:backward()
  lu.assertEquals(x.grad:totable(), { 4, 8 })
  local message = failure(y.backward, y)
  lu.assertStrContains(message, "was freed by an earlier backward")
  lu.assertStrContains(message, "{retain = true}")
end

function TestGrad.test_several_results_at_once()
  local x, w = leaf { 1, 2 }, leaf { 3, 4 }
  local a, b = (x * w):sum(), x * 2
  local g = ms.grad({ a, b }, { x, w }, { gradient = { ms.ones({}, { dtype = "f64" }), ms.tensor({ 10, 20 }, { dtype = "f64" }) } })
  lu.assertEquals({ g[1]:totable(), g[2]:totable() }, { { 23, 44 }, { 1, 2 } })
  lu.assertEquals(ms.grad({ a, x:sum() }, x, { create_graph = true }):totable(), { 4, 5 })
  lu.assertEquals(ms.grad({ b, b }, x, { grad_outputs = { w, w } }):totable(), { 12, 16 })
  fails("grad: gradient: expected 2 tensors, one for each result, got 1", ms.grad, { a, b }, x, { gradient = w })
  fails("grad: no result depends on argument 1 (2 f64)", ms.grad, { b:sum(), b:sum() }, w)
  fails("grad: expected a tensor or a list of tensors as first argument", ms.grad, {}, x)
end

function TestGrad.test_the_words_of_pytorch()
  local x = leaf { 2 }
  local y = x:square():sum()
  y:backward { retain_graph = true }
  y:backward()
  lu.assertEquals(x.grad:totable(), { 8 })
  fails("ms.grad gives gradients that can be differentiated again", function() x:square():backward { create_graph = true } end)
end

-- What a generator's step does: the critic's weights are on the way, and get nothing.
function TestGrad.test_backward_for_some_leaves_alone()
  local x, w, b = leaf { 1, 2 }, leaf { 3, 4 }, leaf { 5, 6 }
  local y = ((x * w):exp() * b):sum()
  y:backward { inputs = { x, b }, retain = true }
  lu.assertNil(w.grad)
  lu.assertTrue(x.grad:allclose(ms.grad(y, x)))
  lu.assertTrue(b.grad:allclose(ms.grad(y, b)))
  y:backward { inputs = x }
  lu.assertTrue(b.grad:allclose((x * w):exp()))
  lu.assertTrue(x.grad:allclose(2 * w * b * (x * w):exp()))
  local table_of_rows = leaf { 1, 2, 3 } -- a leaf whose gradient comes in parts
  local sum = (table_of_rows[1] * w[1] + table_of_rows[3] * w[2]):sum()
  sum:backward { inputs = { table_of_rows } }
  lu.assertNil(w.grad)
  lu.assertEquals(table_of_rows.grad:totable(), { 3, 0, 4 })
  local alone = leaf { 7 }
  alone:backward { inputs = w } -- a result that is itself a leaf, and not asked for
  lu.assertNil(alone.grad)
  lu.assertNil(w.grad)
  fails("backward: inputs: number 2 is the result of mul and has no .grad", function()
    local z = x * 2
    z:sum():backward { inputs = { x, z } }
  end)
  fails("backward: inputs: number 1 does not require gradients", function() x:sum():backward { inputs = { ms.ones { 2 } } } end)
  fails("backward: expected a tensor or a list of tensors as inputs, got", function() x:sum():backward { inputs = {} } end)
  fails("backward: expected a tensor or a list of tensors as inputs, got", function() x:sum():backward { inputs = "x" } end)
end

function TestGrad.test_a_result_changed_in_place_without_a_record_is_noticed()
  local x = leaf { 1, 2 }
  local y = x:exp() -- whose derivative reads y
  ms.no_grad(function() y:add_(1) end)
  fails("result 1 of exp (2 f64) was changed in place after it was used", y:sum().backward, y:sum())
end

function TestGrad.test_backward_from_many_elements_needs_a_gradient_to_start_from()
  local x = leaf { 1, 2 }
  local y = x * 3
  fails("expected a result of one element (or a gradient to start from), got 2 f64", y.backward, y)
  y:backward(ms.tensor({ 1, 10 }, { dtype = "f64" }))
  lu.assertEquals(x.grad:totable(), { 3, 30 })
  local z = x * 3
  fails("the gradient to start from is 3 f32, the result 2 f64", z.backward, z, { gradient = ms.ones { 3 } })
end

function TestGrad.test_grad_gives_tensors_and_touches_no_leaf()
  local x, y = leaf { 1, 2 }, leaf { 3, 4 }
  local dx, dy = table.unpack(ms.grad((x * y):sum(), { x, y }))
  lu.assertEquals(dx:totable(), { 3, 4 })
  lu.assertEquals(dy:totable(), { 1, 2 })
  lu.assertNil(x.grad)
end

function TestGrad.test_grad_of_something_in_the_middle()
  local x = leaf { 1, 2 }
  local h = x * 2
  local y = h:square():sum()
  lu.assertEquals(ms.grad(y, h):totable(), { 4, 8 })
  lu.assertEquals(ms.grad(y, { h, x })[2]:totable(), { 8, 16 })
  lu.assertEquals(ms.grad(y, y):item(), 1)
end

function TestGrad.test_any_order()
  local x = leaf { 0.3 }
  local y = x:sin()
  local orders = { y }
  for k = 1, 5 do orders[k + 1] = ms.grad(orders[k]:sum(), x) end
  lu.assertAlmostEquals(orders[2]:item(), math.cos(0.3), 1e-15)
  lu.assertAlmostEquals(orders[3]:item(), -math.sin(0.3), 1e-15)
  lu.assertAlmostEquals(orders[4]:item(), -math.cos(0.3), 1e-15)
  lu.assertAlmostEquals(orders[6]:item(), math.cos(0.3), 1e-15)
end

function TestGrad.test_a_penalty_on_a_gradient_trains() -- as in WGAN-GP
  local x, w = leaf { 1, 2 }, leaf { 3, -1 }
  local slope = ms.grad((x * w):square():sum(), x) -- 2 w^2 x
  slope:square():sum():backward() -- 4 w^4 x^2: d/dw = 16 w^3 x^2
  lu.assertEquals(w.grad:totable(), { 16 * 27, -16 * 4 })
end

function TestGrad.test_unused()
  local x, other = leaf { 1 }, leaf { 1, 2 }
  local y = (x * 2):sum()
  fails("the result does not depend on argument 2 (2 f64); allow it with {allow_unused = true}", ms.grad, y, { x, other })
  local d = ms.grad(y, { x, other }, { allow_unused = true })
  lu.assertEquals(d[1]:item(), 2)
  lu.assertEquals(d[2], false)
  fails("argument 1 does not require gradients", ms.grad, y, ms.ones { 1 })
  fails("depends on nothing that requires gradients", ms.grad, ms.ones { 1 }, x)
end

function TestGrad.test_integers_have_no_gradient()
  local whole = ms.ones({ 1 }, { dtype = "i64" })
  fails("only floating tensors can have gradients, this is 1 i64", whole.requires_grad_, whole)
  local x = leaf { 1.5, 2.5 }
  lu.assertFalse(x:long().requires_grad)
  lu.assertEquals(ms.grad((x:float():double() * 2):sum(), x):totable(), { 2, 2 })
end

function TestGrad.test_empty_and_one_element()
  local x = ms.zeros({ 0, 3 }, { requires_grad = true })
  lu.assertEquals(ms.grad((x * 2):exp():sum(), x).shape, { 0, 3 })
  local y = leaf(2)
  lu.assertEquals(ms.grad(y ^ 3, y):item(), 12)
end

function TestGrad.test_a_long_chain_needs_no_stack_and_leaves_nothing_behind()
  local n = stress and 1000 or 100000
  local before = census()
  do
    local x = ms.ones({ 1 }, { requires_grad = true })
    local y = x
    for _ = 1, n do y = y + 1 end
    lu.assertEquals(ms.memory().nodes - before.nodes, n)
    y:backward()
    lu.assertEquals(x.grad:item(), 1)
  end
  lu.assertEquals(census().nodes, before.nodes)
  do -- and a chain that nobody walks
    local y = ms.ones({ 1 }, { requires_grad = true })
    for _ = 1, n do y = y * 1.0 end
    lu.assertEquals(y:item(), 1)
  end
  lu.assertEquals(census(), before)
end

function TestGrad.test_a_node_with_many_inputs()
  local list = {}
  for k = 1, 50 do list[k] = leaf { k } end
  local y = ms.cat(list):square():sum()
  local d = ms.grad(y, list)
  for k = 1, 50 do lu.assertEquals(d[k]:item(), 2 * k) end
end

-- ---- modes ----------------------------------------------------------------------------------------------------------------------

TestModes = {}

function TestModes.test_no_grad_around_a_function()
  local x = leaf { 1 }
  local y, more = ms.no_grad(function(a, b) return a * 2, b end, x, "b")
  lu.assertFalse(y.requires_grad)
  lu.assertEquals(more, "b")
  lu.assertTrue((x * 2).requires_grad)
end

function TestModes.test_no_grad_until_the_end_of_a_block()
  local x = leaf { 1 }
  do
    local guard <close> = ms.no_grad() -- luacheck: ignore 211
    lu.assertFalse(ms.grad_enabled())
    lu.assertTrue(ms.enable_grad(function() return (x * 2).requires_grad end))
    lu.assertFalse((x * 2).requires_grad)
  end
  lu.assertTrue(ms.grad_enabled())
end

function TestModes.test_an_error_inside_restores_the_mode()
  pcall(ms.no_grad, error, "x")
  lu.assertTrue(ms.grad_enabled())
  local x = leaf { -1 }
  pcall(function() ms.no_grad(function() return x + ms.ones { 2, 2 } + ms.ones { 3 } end) end)
  lu.assertTrue(ms.grad_enabled())
end

function TestModes.test_no_grad_across_coroutines()
  local run = coroutine.wrap(function() return ms.no_grad(function() coroutine.yield "inside"; return "done" end) end)
  lu.assertEquals(run(), "inside")
  lu.assertEquals(run(), "done")
  lu.assertTrue(ms.grad_enabled())
end

function TestModes.test_detach_shares_memory_and_cuts_the_graph()
  local x = leaf { 1, 2 }
  local d = (x * 2):detach()
  lu.assertFalse(d.requires_grad)
  lu.assertTrue(d.is_leaf)
  x:detach()[1] = 9
  lu.assertEquals(x:detach():totable(), { 9, 2 })
end

function TestModes.test_requires_grad_can_be_set_on_leaves()
  local x = ms.ones { 2 }
  lu.assertFalse(x.requires_grad)
  x.requires_grad = true
  lu.assertTrue((x * 2).requires_grad)
  x:requires_grad_(false)
  lu.assertFalse((x * 2).requires_grad)
  local y = ms.ones({ 2 }, { requires_grad = true }) * 2
  fails("this tensor is the result of mul; use :detach()", function() y.requires_grad = false end)
end

function TestModes.test_check_numerics_names_the_operation()
  ms.check_numerics(true)
  local at = line() + 1
  local message = failure(function() return ms.log(ms.tensor { -1, 1 }) end)
  ms.check_numerics(false)
  lu.assertStrContains(message, here(at) .. "log: result 1 (2 f32) holds NaN or infinity")
  lu.assertEquals(ms.log(ms.tensor { 1 }):item(), 0)
end

-- ---- scopes ---------------------------------------------------------------------------------------------------------------------

TestScopes = {}

function TestScopes.test_temporaries_are_freed_at_once()
  local before = census()
  local x
  collectgarbage "stop"
  do
    local scope <close> = ms.scope()
    x = scope:keep(ms.ones { 1000 })
    for _ = 1, 10 do local _ = x * 2 + 1 end
    lu.assertTrue(stress or ms.memory().storages - before.storages >= 11)
  end
  lu.assertEquals(ms.memory().storages - before.storages, 1)
  collectgarbage "restart"
  lu.assertEquals(x:sum():item(), 1000)
end

function TestScopes.test_a_freed_tensor_says_so()
  local x
  do
    local scope <close> = ms.scope() -- luacheck: ignore 211
    x = ms.ones { 2 }
  end
  lu.assertEquals(tostring(x), "tensor (freed by its scope)")
  local message = "this tensor was freed when its scope closed; keep it with scope:keep(x)"
  local at = line() + 1
  lu.assertEquals(failure(function() return x + 1 end), "tests/lua/" .. here(at) .. "add: " .. message)
  fails(message, function() return x.shape end)
  fails(message, function() return x:sum() end)
  fails(message, function() return x[1] end)
  fails(message, function() return ms.cat({ x }) end)
end

function TestScopes.test_what_is_kept_and_what_others_hold_lives_on()
  local w = ms.ones({ 2 }, { requires_grad = true })
  local kept, list
  do
    local scope <close> = ms.scope()
    local loss = (w * 3):sum()
    loss:backward()
    kept = scope:keep(loss)
    list = scope:keep { a = { ms.ones { 1 } } }
  end
  lu.assertEquals(w.grad:totable(), { 3, 3 })
  lu.assertEquals(kept:item(), 6)
  lu.assertEquals(list.a[1]:item(), 1)
end

function TestScopes.test_a_tensor_is_not_its_own_gradient()
  local p = ms.rand({ 3 }):requires_grad_()
  lu.assertErrorMsgContains("grad: a tensor cannot be its own gradient", function() p.grad = p end)
  lu.assertNil(p.grad)
  p.grad = p:detach():clone()
  lu.assertEquals(p.grad:totable(), p:totable())
end

function TestScopes.test_scopes_nest_and_errors_close_them()
  local before = census()
  pcall(function()
    local outer <close> = ms.scope() -- luacheck: ignore 211
    local x = ms.ones { 2 }
    do
      local inner <close> = ms.scope()
      inner:keep(x * 2)
    end
    lu.assertEquals(x:totable(), { 1, 1 })
    error "out"
  end)
  lu.assertEquals(census(), before)
end
