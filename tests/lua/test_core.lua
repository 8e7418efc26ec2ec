-- Tensors and derivatives, as a user meets them. Values against other implementations: test_parity.lua; derivatives: test_gradients.lua.
-- gcstress: every 10
-- luacheck: globals TestMaking TestIndexing TestDtypes TestInPlace TestGrad TestModes TestScopes TestErrors TestMemory TestLayouts
local lu = require "luaunit"
local ms = require "mascon"
local rows = require "rows"

local stress = (os.getenv "STRESS" or os.getenv "MASCON_GCSTRESS" or "") ~= "" -- the same tests, shorter loops

-- The number of the line that calls this.
local function line() return debug.getinfo(2, "l").currentline end
local function here(n) return ("test_core.lua:%d: "):format(n) end

-- The message f fails with.
local function failure(f, ...)
  local ok, message = pcall(f, ...)
  lu.assertFalse(ok, "expected an error")
  return message
end

local function fails(expected, f, ...) lu.assertStrContains(failure(f, ...), expected) end

-- What is alive after a full collection.
local function census()
  collectgarbage()
  collectgarbage()
  local m = ms.memory()
  return { tensors = m.tensors, storages = m.storages, nodes = m.nodes, live = m.live }
end

-- ---- making and reading ---------------------------------------------------------------------------------------------------------

TestMaking = {}

function TestMaking.test_from_nested_lists()
  local x = ms.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
  lu.assertEquals(x.shape, { 2, 3 })
  lu.assertEquals(x.dtype, "f32")
  lu.assertEquals(x.device, "cpu")
  lu.assertEquals(x:totable(), { { 1, 2, 3 }, { 4, 5, 6 } })
  lu.assertEquals(x:numel(), 6)
  lu.assertEquals(x:dim(), 2)
  lu.assertEquals(x:size(), { 2, 3 })
  lu.assertEquals(x:size(-1), 3)
  lu.assertEquals(#x, 2)
end

function TestMaking.test_a_number_makes_a_tensor_without_dimensions()
  local x = ms.tensor(2.5)
  lu.assertEquals(x.shape, {})
  lu.assertEquals(x:item(), 2.5)
  lu.assertEquals(x:totable(), 2.5)
  fails("a scalar has no first dimension", function() return #x end)
end

function TestMaking.test_dtypes_follow_the_option_and_booleans_make_bool()
  lu.assertEquals(ms.tensor({ 1, 2 }, { dtype = "i64" }):totable(), { 1, 2 })
  lu.assertEquals(math.type(ms.tensor({ 1 }, { dtype = "i64" }):item()), "integer")
  lu.assertEquals(math.type(ms.tensor({ 1 }):item()), "float")
  lu.assertEquals(ms.tensor({ true, false }).dtype, "bool")
  lu.assertEquals(ms.tensor({ true, false }):totable(), { true, false })
  lu.assertEquals(ms.tensor({ 2 ^ 53 + 1 }, { dtype = "f64" }):item(), 2 ^ 53)
  lu.assertEquals(ms.tensor({ math.maxinteger }, { dtype = "i64" }):item(), math.maxinteger)
end

function TestMaking.test_empty_tensors()
  local x = ms.zeros { 0, 3 }
  lu.assertEquals(x.shape, { 0, 3 })
  lu.assertEquals(x:totable(), {})
  lu.assertEquals(ms.tensor({}).shape, { 0 })
  lu.assertEquals((x + 1).shape, { 0, 3 })
  lu.assertEquals(x:sum():item(), 0)
end

function TestMaking.test_a_copy_of_a_tensor_has_memory_of_its_own()
  local x = ms.ones { 3 }
  local y = ms.tensor(x)
  y[1] = 5
  lu.assertEquals(x:totable(), { 1, 1, 1 })
end

function TestMaking.test_makers()
  lu.assertEquals(ms.zeros({ 2 }):totable(), { 0, 0 })
  lu.assertEquals(ms.ones({ 2 }, { dtype = "i32" }):totable(), { 1, 1 })
  lu.assertEquals(ms.full({ 2, 1 }, 7):totable(), { { 7 }, { 7 } })
  lu.assertEquals(ms.arange(1, 4):totable(), { 1, 2, 3, 4 })
  lu.assertEquals(ms.linspace(0, 1, 3):totable(), { 0, 0.5, 1 })
  lu.assertEquals(ms.eye(2):totable(), { { 1, 0 }, { 0, 1 } })
  lu.assertEquals(ms.zeros_like(ms.ones({ 1, 2 }, { dtype = "i64" })).dtype, "i64")
  lu.assertEquals(ms.ones({ 2 }):ones_like():totable(), { 1, 1 })
end

function TestMaking.test_mistakes()
  fails("rows of different length", ms.tensor, { { 1, 2 }, { 3 } })
  fails("rows of different depth", ms.tensor, { { 1 }, 2 })
  fails("something that is no number", ms.tensor, { 1, "two" })
  fails("a number that is no integer", ms.tensor, { 1.5 }, { dtype = "i64" })
  fails("dtype 'f23': expected f32", ms.tensor, { 1 }, { dtype = "f23" })
  fails("unknown option 'dtpye' (did you mean 'dtype'?)", ms.tensor, { 1 }, { dtpye = "f64" })
  fails("nested deeper than 8", ms.tensor, { { { { { { { { { 1 } } } } } } } } })
  fails("expected numbers, got nothing", ms.tensor)
  fails("negative size", ms.zeros, { 2, -1 })
  fails("sizes go in a list", ms.zeros, 2, 3)
  fails("expected a tensor of one element, got 2 f32", function() return ms.ones({ 2 }):item() end)
  fails("unknown device 'toaster' (expected cpu, cuda", function() return ms.zeros({ 1 }, { device = "toaster" }) end)
end

-- ---- indexing: views, assignment ------------------------------------------------------------------------------------------------

TestIndexing = {}

function TestIndexing.setUp() TestIndexing.x = ms.arange(1, 12):view { 3, 4 } end

function TestIndexing.test_positions_count_from_one_or_from_the_end()
  local x = TestIndexing.x
  lu.assertEquals(x[1]:totable(), { 1, 2, 3, 4 })
  lu.assertEquals(x[-1]:totable(), { 9, 10, 11, 12 })
  lu.assertEquals(x[{ 2, 3 }]:item(), 7)
  lu.assertEquals(x[{ -1, -1 }]:item(), 12)
end

function TestIndexing.test_ranges()
  local x = TestIndexing.x
  lu.assertEquals(x[{ { 1, 2 } }]:totable(), { { 1, 2, 3, 4 }, { 5, 6, 7, 8 } })
  lu.assertEquals(x[{ {}, 2 }]:totable(), { 2, 6, 10 })
  lu.assertEquals(x[{ { 2, -1 }, { 1, 4, 2 } }]:totable(), { { 5, 7 }, { 9, 11 } })
  lu.assertEquals(x[{ { 2, 1 } }].shape, { 0, 4 })
end

function TestIndexing.test_positions_by_tensor_and_by_mask()
  local x = TestIndexing.x
  local two = ms.tensor({ 3, 1 }, { dtype = "i64" })
  lu.assertEquals(x[two]:totable(), { { 9, 10, 11, 12 }, { 1, 2, 3, 4 } })
  lu.assertEquals(x[{ {}, two }]:totable(), { { 3, 1 }, { 7, 5 }, { 11, 9 } })
  lu.assertEquals(x[x[{ {}, 1 }]:gt(4)]:totable(), { { 5, 6, 7, 8 }, { 9, 10, 11, 12 } })
  lu.assertEquals(ms.tensor({ false, true, true }):nonzero():totable(), { 2, 3 })
end

function TestIndexing.test_views_share_memory()
  local x = TestIndexing.x
  x[2]:fill_(0)
  x[{ {}, 1 }]:mul_(10)
  lu.assertEquals(x:totable(), { { 10, 2, 3, 4 }, { 0, 0, 0, 0 }, { 90, 10, 11, 12 } })
  x:transpose(1, 2)[1]:add_(1)
  lu.assertEquals(x[{ {}, 1 }]:totable(), { 11, 1, 91 })
  local copy = x:clone()
  copy:zero_()
  lu.assertEquals(x[{ 1, 1 }]:item(), 11)
end

function TestIndexing.test_assignment_broadcasts_and_converts()
  local x = TestIndexing.x
  x[1] = 0
  x[{ { 2, 3 }, { 1, 2 } }] = ms.tensor { { 1 }, { 2 } }
  x[{ {}, 4 }] = ms.tensor({ 7, 8, 9 }, { dtype = "i64" })
  lu.assertEquals(x:totable(), { { 0, 0, 0, 7 }, { 1, 1, 7, 8 }, { 2, 2, 11, 9 } })
end

function TestIndexing.test_assignment_from_the_same_memory_reads_before_it_writes()
  local x = ms.arange(1, 5)
  x[{ { 2, 5 } }] = x[{ { 1, 4 } }]
  lu.assertEquals(x:totable(), { 1, 1, 2, 3, 4 })
  x:add_(x:flip())
  lu.assertEquals(x:totable(), { 5, 4, 4, 4, 5 })
  local y = ms.arange(1, 4):view { 2, 2 }
  y:add_(y:transpose(1, 2))
  lu.assertEquals(y:totable(), { { 2, 5 }, { 5, 8 } })
end

function TestIndexing.test_split()
  local parts = ms.arange(1, 5):split(2)
  lu.assertEquals({ parts[1]:totable(), parts[2]:totable(), parts[3]:totable() }, { { 1, 2 }, { 3, 4 }, { 5 } })
  lu.assertEquals(TestIndexing.x:split(3, 2)[2].shape, { 3, 1 })
end

function TestIndexing.test_mistakes()
  local x = TestIndexing.x
  fails("position 4 is out of range 1..3 of dimension 1", function() return x[4] end)
  fails("position 0 is out of range 1..3", function() return x[0] end)
  fails("position -5 is out of range 1..4 of dimension 2", function() return x[{ 1, -5 }] end)
  fails("range {2, 5} is out of 1..3 of dimension 1", function() return x[{ { 2, 5 } }] end)
  fails("more entries than 3 x 4 f32 has dimensions", function() return x[{ 1, 1, 1 }] end)
  fails("expected a position, {}, {first, last}", function() return x[{ { 1 } }] end)
  fails("the mask is 2 bool, dimension 1 has size 3", function() return x[ms.tensor { true, false }] end)
  fails("positions by tensor cannot be assigned", function() x[ms.tensor({ 1 }, { dtype = "i64" })] = 0 end)
  fails("3 f32 does not expand to 4", function() x[1] = ms.ones { 3 } end)
  fails("'shape' cannot be assigned", function() x.shape = { 12 } end)
  fails("no field or method 'shap' (did you mean 'shape'?)", function() return x.shap end)
end

-- ---- dtypes and broadcasting ----------------------------------------------------------------------------------------------------

TestDtypes = {}

function TestDtypes.test_tensors_meet_at_a_common_dtype()
  local function meet(a, b) return (ms.ones({ 2 }, { dtype = a }) + ms.ones({ 2 }, { dtype = b })).dtype end
  lu.assertEquals(meet("f32", "f64"), "f64")
  lu.assertEquals(meet("i64", "f32"), "f32")
  lu.assertEquals(meet("u8", "i32"), "i32")
  lu.assertEquals(meet("i32", "i64"), "i64")
  lu.assertEquals(meet("bool", "u8"), "u8")
  lu.assertEquals(meet("f16", "bf16"), "f32")
  lu.assertEquals(meet("f16", "f32"), "f32")
  lu.assertEquals(meet("bf16", "i64"), "bf16")
end

function TestDtypes.test_numbers_take_the_dtype_of_the_tensor()
  local function with(dtype, number) return (ms.ones({ 2 }, { dtype = dtype }) + number).dtype end
  lu.assertEquals(with("f64", 1), "f64")
  lu.assertEquals(with("f32", 1.5), "f32")
  lu.assertEquals(with("i32", 1), "i32")
  lu.assertEquals(with("i32", 1.5), "f32")
  lu.assertEquals(with("u8", 1), "u8")
  lu.assertEquals((1 - ms.ones({ 2 }, { dtype = "i64" })):totable(), { 0, 0 })
end

function TestDtypes.test_division_and_functions_give_floats()
  local x = ms.tensor({ 1, 2 }, { dtype = "i64" })
  lu.assertEquals((x / 2):totable(), { 0.5, 1 })
  lu.assertEquals((x / 2).dtype, "f32")
  lu.assertEquals(x:sqrt().dtype, "f32")
  lu.assertEquals((x:double() / x).dtype, "f64")
  lu.assertEquals(x:mean():item(), 1.5)
  lu.assertEquals(x:sum().dtype, "i64")
  lu.assertEquals(x:gt(1):sum():item(), 1)
  lu.assertEquals(x:gt(1).dtype, "bool")
end

function TestDtypes.test_operators()
  local x = ms.tensor { 7, -7 }
  lu.assertEquals((-x):totable(), { -7, 7 })
  lu.assertEquals((x % 3):totable(), { 1, 2 })
  lu.assertEquals((x // 2):totable(), { 3, -4 })
  lu.assertEquals((2 ^ ms.tensor { 3, -1 }):totable(), { 8, 0.5 })
  lu.assertEquals((x * x - x / 7):totable(), { 48, 50 })
  lu.assertTrue(x == x)
  lu.assertFalse(x == x:clone()) -- == asks whether they are the same tensor; x:eq(y) compares elements
end

function TestDtypes.test_conversion()
  local x = ms.tensor { 1.7, -1.7, 0 }
  lu.assertEquals(x:long():totable(), { 1, -1, 0 })
  lu.assertEquals(x:bool():totable(), { true, true, false })
  lu.assertEquals(x:to("f64").dtype, "f64")
  lu.assertTrue(x:to "f32" == x)
  lu.assertEquals(ms.tensor({ 1.0009765625, 65504, 1e-7 }):half():float():totable()[2], 65504)
  lu.assertEquals(ms.tensor({ 3.140625 }):bfloat16():item(), 3.140625)
end

function TestDtypes.test_half_precision_computes_through_f32()
  local x = ms.tensor({ 0.5, -2 }):half()
  lu.assertEquals((x * 2):totable(), { 1, -4 })
  lu.assertEquals((x * 2).dtype, "f16")
  lu.assertEquals(x:relu():totable(), { 0.5, 0 })
  lu.assertEquals(ms.ones({ 2, 3 }):bfloat16():matmul(ms.ones({ 3, 2 }):bfloat16()):totable(), { { 3, 3 }, { 3, 3 } })
end

function TestDtypes.test_broadcasting()
  local column, row = ms.tensor { { 1 }, { 2 } }, ms.tensor { 10, 20, 30 }
  lu.assertEquals((column + row):totable(), { { 11, 21, 31 }, { 12, 22, 32 } })
  lu.assertEquals((ms.ones { 2, 1, 3 } * ms.ones { 4, 1 }).shape, { 2, 4, 3 })
  fails("add: shapes 2 x 3 f32 and 2 f32 do not fit together (dimension 2: 3 against 2)",
    function() return ms.ones { 2, 3 } + ms.ones { 2 } end)
end

-- ---- changes in place -----------------------------------------------------------------------------------------------------------

TestInPlace = {}

function TestInPlace.test_the_name_ends_with_an_underscore_and_the_tensor_comes_back()
  local x = ms.ones { 2 }
  lu.assertTrue(x:add_(1):mul_(3) == x)
  lu.assertEquals(x:totable(), { 6, 6 })
  lu.assertEquals(x:clamp_(0, 5):totable(), { 5, 5 })
end

function TestInPlace.test_the_result_must_fit()
  fails("add_: the result would be 2 x 2, which does not fit into 2 f32", function() ms.ones({ 2 }):add_(ms.ones { 2, 1 }) end)
  fails("the result would be f32, which 2 i64 cannot hold", function() ms.ones({ 2 }, { dtype = "i64" }):add_(0.5) end)
end

function TestInPlace.test_a_derivative_that_needs_overwritten_values_says_so()
  local x = ms.tensor({ 1, 2, 3 }, { requires_grad = true })
  local y = x:exp()
  local made = line() - 1
  y:add_(1)
  local loss = y:sum()
  local message = failure(loss.backward, loss)
  lu.assertStrContains(message, "in the derivative of exp, made at")
  lu.assertStrContains(message, ("test_core.lua:%d"):format(made))
  lu.assertStrContains(message, "result 1 of exp (3 f32) was changed in place after it was used")
  lu.assertNil(x.grad)
end

function TestInPlace.test_an_argument_changed_after_its_use_is_found_too()
  local x = ms.tensor({ 1, 2, 3 }, { requires_grad = true })
  for _, change in ipairs { function(a) a:add_(1) end, function(a) ms.no_grad(a.mul_, a, 2) end, function(a) a:detach():zero_() end } do
    local a = x * 1
    local y = a * a
    change(a)
    fails("argument 1 of mul (3 f32) was changed in place after it was used", function() y:sum():backward() end)
  end
  local base = ms.ones { 3 } -- through a view, and where only a constant is changed
  local y = (x * base):sum()
  base[1] = 5
  fails("argument 2 of mul (3 f32) was changed in place", function() y:backward() end)
end

function TestInPlace.test_changes_that_harm_nobody_are_recorded()
  local x = ms.tensor({ 1, 2, 3 }, { requires_grad = true })
  local a = x * 2
  local b = a + 1 -- addition needs no values
  a:sub_(5):add_(x)
  lu.assertEquals(ms.grad((a + b):sum(), x):totable(), { 5, 5, 5 })
  local r = x:clone():relu_() -- a rule that reads its own result
  lu.assertEquals(ms.grad((r * r):sum(), x):totable(), { 2, 4, 6 })
end

function TestInPlace.test_leaves_and_views_are_guarded()
  local x = ms.ones({ 3 }, { requires_grad = true })
  fails("add_: a leaf that requires gradients cannot be changed in place", function() x:add_(1) end)
  fails("copy_: keeps no record for gradients", function() x:copy_(ms.zeros { 3 }) end)
  fails("keeps no record for gradients", function() x[1] = 0 end)
  local a = x * 1
  local view = a[{ { 1, 2 } }]
  fails("a view cannot be changed in place while gradients are recorded; use add", function() view:add_(1) end)
  a:add_(1)
  fails("x is a view whose base was changed in place after the view was made", function() return view + 1 end)
  ms.no_grad(function() x:add_(1) end)
  lu.assertEquals(x:detach():totable(), { 2, 2, 2 })
end

function TestInPlace.test_adding_what_depends_on_itself_makes_no_cycle()
  local before = census()
  do
    local x = ms.tensor({ 1, 2 }, { requires_grad = true })
    local a = x * 1
    local y = a:exp()
    a:add_(y)
    local b = ms.ones { 2 }
    local z = x * b
    ms.no_grad(b.add_, b, z)
  end
  lu.assertEquals(census(), before)
end

-- ---- derivatives ----------------------------------------------------------------------------------------------------------------

TestGrad = {}

local function leaf(values) return ms.tensor(values, { dtype = "f64", requires_grad = true }) end

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

-- ---- errors carry the script's own line -----------------------------------------------------------------------------------------

TestErrors = {}

function TestErrors.test_forward()
  local a, b = ms.ones { 2, 3 }, ms.ones { 4 }
  local at = line() + 1
  lu.assertStrContains(failure(function() return a + b end), here(at) .. "add: shapes")
  at = line() + 1
  lu.assertStrContains(failure(function() return a:matmul(b) end), here(at) .. "matmul: ")
  at = line() + 1
  lu.assertStrContains(failure(function() return a:sum(3) end), here(at) .. "sum: ")
  at = line() + 1
  lu.assertStrContains(failure(function() return a[5] end), here(at) .. "index: ")
end

function TestErrors.test_backward_names_the_line_that_made_the_node_and_the_line_that_asked()
  local x = leaf { 0.5 }
  local y = x:digamma()
  local made = line() - 1
  local message = failure(function() y:backward() end)
  local asked = line() - 1
  lu.assertEquals(message, ("tests/lua/test_core.lua:%d: in the derivative of digamma, made at tests/lua/test_core.lua:%d: "
    .. "digamma has no derivative"):format(asked, made))
end

function TestErrors.test_arguments()
  local x = ms.ones { 2, 3 }
  fails("sum: unknown option 'keepdm' (did you mean 'keepdim'?)", x.sum, x, { keepdm = true })
  fails("argument dims is given twice", x.sum, x, 1, { dims = 2 })
  fails("too many arguments", x.exp, x, 1, 2)
  fails("argument dim is missing", x.cumsum, x)
  fails("argument keepdim: expected true or false, got 1", x.sum, x, 1, 1)
  fails("expected 1, 2, ... or -1, -2, ... from the end, got 0", x.softmax, x, 0)
  fails("argument reduction: expected one of mean|sum|none, got 'avg'", x.mse_loss, x, x, "avg")
  fails("argument y: expected a tensor or a number, got 'a'", function() return x + "a" end)
  fails("expected a tensor, got nothing", x.totable)
end

function TestErrors.test_labels_and_positions_are_checked_before_they_are_used()
  local x = ms.ones { 3 }
  local function long(...) return ms.tensor({ ... }, { dtype = "i64" }) end
  fails("gather: index[2] = 4, expected 1..3", function() return x:gather(1, long(1, 4)) end)
  fails("index_select: index[1] = 0, expected 1..3", function() return x:index_select(1, long(0)) end)
  fails("nll_loss: target[2] = 0, expected 1..4", function() return ms.ones({ 2, 4 }):nll_loss(long(4, 0)) end)
  fails("cross_entropy: ", function() return ms.ones({ 2, 4, 1 }):cross_entropy(long(4, 1)) end)
  fails("expected integers", function() return x:gather(1, ms.ones { 1 }) end)
end

-- ---- memory: no allocation may fail badly ---------------------------------------------------------------------------------------

TestMemory = {}

-- A training step like any other: two layers, a loss, derivatives, an update in place.
local function step(state)
  local h = ms.linear(state.x, state.w1, state.b1):relu()
  local y = ms.linear(h, state.w2)
  local loss = y:softmax():mse_loss(state.t) + (h:transpose(1, 2):contiguous() * 0.1):square():mean()
  local value = loss:item()
  for _, p in ipairs(state.parameters) do p.grad = nil end
  loss:backward()
  ms.no_grad(function()
    local list, n = {}, #state.parameters
    for k, p in ipairs(state.parameters) do list[k], list[n + k] = p, p.grad end
    ms.sgd_(list, 2, 0.1)
  end)
  return value
end

local function new_state()
  ms.seed(1)
  local s = { x = ms.randn { 5, 4 }, t = ms.rand { 5, 2 } }
  s.w1, s.b1 = ms.randn({ 3, 4 }):requires_grad_(), ms.randn({ 3 }):requires_grad_()
  s.w2 = ms.randn({ 2, 3 }):requires_grad_()
  s.parameters = { s.w1, s.b1, s.w2 }
  return s
end

function TestMemory.test_the_failure_of_any_allocation_is_a_clean_error()
  local want = step(new_state())
  local failures = 0
  for k = 1, 1000 do
    local state = new_state()
    local before = census()
    ms.fail_allocation(k)
    local ok, message = pcall(step, state)
    ms.fail_allocation(0)
    if ok then break end
    failures = k
    lu.assertStrContains(message, "out of memory on cpu: asked for")
    lu.assertStrContains(message, "test_core.lua:")
    for _, p in ipairs(state.parameters) do p.grad = nil end
    lu.assertEquals(census(), before, "after failure of allocation " .. k)
    lu.assertTrue(ms.grad_enabled())
    lu.assertEquals(step(state), want, "the same step after failure of allocation " .. k)
  end
  lu.assertTrue(failures > 20, failures .. " allocations")
end

function TestMemory.test_a_step_leaves_nothing_behind()
  local state = new_state()
  step(state)
  local before = census()
  for _ = 1, 5 do step(state) end
  lu.assertEquals(census(), before)
end

function TestMemory.test_an_impossible_size_is_an_error()
  fails("out of memory", ms.zeros, { 1 << 40, 1 << 10 })
  lu.assertFalse((pcall(ms.zeros, { 1 << 40, 1 << 40 }))) -- the product overflows
end

-- ---- layouts: results do not depend on how the arguments lie in memory ----------------------------------------------------------

TestLayouts = {}

local layouts = {
  transposed = function(t)
    local dims = {}
    for d = 1, t:dim() do dims[d] = t:dim() + 1 - d end
    return t:permute(dims):clone():permute(dims)
  end,
  ["every second of a larger tensor"] = function(t)
    local shape = t.shape
    shape[#shape] = 2 * shape[#shape] + 1
    local big = ms.full(shape, 77, { dtype = "f64" }):to(t.dtype)
    local part = big:slice(-1, 2, t:size(-1), 2)
    part:copy_(t)
    return part
  end,
  ["a part in the middle"] = function(t)
    local shape = t.shape
    shape[1] = shape[1] + 2
    local big = ms.full(shape, 77, { dtype = "f64" }):to(t.dtype)
    local part = big:slice(1, 2, t:size(1))
    part:copy_(t)
    return part
  end,
}

local function same(what, got, want)
  lu.assertEquals(got.shape, want.shape, what)
  lu.assertEquals(got.dtype, want.dtype, what)
  local a, b, largest = rows.flat(got), rows.flat(want), 0
  for _, v in ipairs(b) do largest = type(v) == "number" and v == v and math.max(largest, math.abs(v)) or largest end
  for k, v in ipairs(b) do
    local w = a[k]
    local near = v == w or (v ~= v and w ~= w) or type(v) == "number" and math.abs(v - w) <= 1e-6 * largest
    if not near then lu.fail(("%s: element %d: %s, contiguous %s"):format(what, k, tostring(w), tostring(v))) end
  end
end

local function check_layouts(row)
  for _, dtype in ipairs { "f32", "f64" } do
    for _, args in ipairs(rows.cases(row, dtype)) do
      local want = table.pack(rows.call(row, args))
      for name, relay in pairs(layouts) do
        local other = { n = args.n }
        for k = 1, args.n do
          other[k] = args[k]
          if type(args[k]) == "table" then
            other[k] = {}
            for key, v in pairs(args[k]) do other[k][key] = v end
          end
        end
        local relaid = false
        rows.each_tensor(other, function(t, at, key)
          if t:dim() == 0 then return end
          at[key] = relay(t)
          relaid = true
        end)
        if relaid then
          local got = table.pack(rows.call(row, other))
          for k = 1, want.n do same(("%s in %s, %s, result %d"):format(args.label, dtype, name, k), got[k], want[k]) end
        end
      end
    end
  end
end

for _, row in ipairs(rows.all) do
  if row.sample ~= "" and not row.create and row.name ~= "view" then
    TestLayouts["test_" .. row.name] = function() check_layouts(row) end
  end
end

function TestLayouts.test_a_broadcast_argument_equals_its_copy()
  for _, row in ipairs(rows.all) do
    if row.elementwise then
      local of = rows.intervals(row)
      local a, b = { n = row.arity }, { n = row.arity }
      for k = 1, row.arity do
        local value = row.class == "choose" and k == 1 and ms.tensor { { true }, { false } } or ms.tensor { { of[k][2] }, { of[k][1] } }
        a[k] = value:expand { 2, 5 }
        b[k] = a[k]:clone()
        lu.assertFalse(a[k]:is_contiguous())
      end
      same(row.name, rows.call(row, a), rows.call(row, b))
    end
  end
end

-- Long enough for several threads and for every tail of a vector loop.
function TestLayouts.test_elements_do_not_depend_on_their_neighbours()
  local n = stress and 50 or 3000
  for _, row in ipairs(rows.all) do
    if row.elementwise then
      local g, of, args = rows.generator(row.name), rows.intervals(row), { n = row.arity }
      for k = 1, row.arity do
        local flat = {}
        for j = 1, n do flat[j] = g:number(of[k][1], of[k][2], k - 1, of[k][3]) end
        args[k] = ms.tensor(flat)
        if row.class == "choose" and k == 1 then args[k] = args[k]:gt(0) end
      end
      local whole = rows.call(row, args)
      for at = 1, n, n // 7 do
        local count = math.min(1 + at % 19, n - at + 1)
        local part = { n = row.arity }
        for k = 1, row.arity do part[k] = args[k]:slice(1, at, count) end
        same(row.name, whole:slice(1, at, count), rows.call(row, part))
      end
    end
  end
end

function TestLayouts.test_empty_arguments_give_empty_results()
  for _, row in ipairs(rows.all) do
    if row.elementwise then
      local args, broadcast = { n = row.arity }, { n = row.arity }
      for k = 1, row.arity do
        local dtype = row.class == "choose" and k == 1 and "bool" or "f32"
        args[k] = ms.zeros({ 2, 0, 3 }, { dtype = dtype })
        broadcast[k] = ms.zeros(k == 1 and { 0, 1 } or { 1, 3 }, { dtype = dtype })
      end
      lu.assertEquals(rows.call(row, args).shape, { 2, 0, 3 }, row.name)
      lu.assertEquals(rows.call(row, broadcast).shape, row.arity == 1 and { 0, 1 } or { 0, 3 }, row.name)
    end
  end
end

function TestLayouts.test_reductions_of_nothing()
  local x = ms.zeros { 2, 0 }
  lu.assertEquals(x:sum(2):totable(), { 0, 0 })
  lu.assertEquals(x:sum(1).shape, { 0 })
  lu.assertEquals(x:prod(2):totable(), { 1, 1 })
  lu.assertEquals(x:any(2):totable(), { false, false })
  lu.assertEquals(x:all(2):totable(), { true, true })
  lu.assertNaN(x:mean():item())
  lu.assertEquals(x:cumsum(2).shape, { 2, 0 })
  lu.assertEquals(x:norm():item(), 0)
  lu.assertEquals(x:softmax(2).shape, { 2, 0 })
  lu.assertEquals((x:sort(2)).shape, { 2, 0 })
  for _, name in ipairs { "amax", "amin", "argmax", "argmin", "max", "min" } do
    fails("nothing to choose from along dimension 2", ms[name], x, 2)
  end
  lu.assertEquals(x:amax(1).shape, { 0 })
  lu.assertEquals(ms.zeros({ 2, 0 }):matmul(ms.zeros { 0, 3 }):totable(), { { 0, 0, 0 }, { 0, 0, 0 } })
  lu.assertEquals(ms.zeros({ 0, 2 }):matmul(ms.zeros { 2, 3 }).shape, { 0, 3 })
end

function TestLayouts.test_reductions_of_one_element()
  local x = ms.tensor { { 3 } }
  for _, name in ipairs { "sum", "mean", "amax", "amin", "norm", "logsumexp" } do
    lu.assertAlmostEquals(ms[name](x):item(), 3, 1e-6, name)
    lu.assertEquals(ms[name](x, { dims = { 1, 2 }, keepdim = true }).shape, { 1, 1 }, name)
    lu.assertAlmostEquals(ms[name](ms.tensor(3)):item(), 3, 1e-6, name)
  end
  lu.assertEquals(x:argmax(2):totable(), { 1 })
  lu.assertEquals(x:var({ 1, 2 }, 0):item(), 0)
end

-- Against plain loops, over shapes that exercise every arrangement of kept and reduced dimensions.
function TestLayouts.test_reductions_against_plain_loops()
  local shape = { 3, 17, 5 }
  local g, flat = rows.generator "loops", {}
  for k = 1, 3 * 17 * 5 do flat[k] = g:number(-2, 2) end
  local fold = {
    sum = function(list) local s = 0 for _, v in ipairs(list) do s = s + v end return s end,
    amax = function(list) return math.max(table.unpack(list)) end,
    amin = function(list) return math.min(table.unpack(list)) end,
  }
  fold.mean = function(list) return fold.sum(list) / #list end
  fold.var = function(list)
    local m, s = fold.mean(list), 0
    for _, v in ipairs(list) do s = s + (v - m) ^ 2 end
    return s / (#list - 1)
  end
  for _, dtype in ipairs { "f32", "f64" } do
    local x = rows.tensor(shape, flat, dtype)
    for _, dims in ipairs { { 1 }, { 2 }, { 3 }, { 1, 2 }, { 1, 3 }, { 2, 3 }, { 1, 2, 3 } } do
      local gone, groups, order = {}, {}, {}
      for _, d in ipairs(dims) do gone[d] = true end
      for k = 0, #flat - 1 do
        local at = { k // 85, k // 5 % 17, k % 5 }
        for d in pairs(gone) do at[d] = "-" end
        local key = table.concat(at, " ")
        if not groups[key] then
          groups[key] = {}
          order[#order + 1] = key
        end
        table.insert(groups[key], flat[k + 1])
      end
      for name, f in pairs(fold) do
        local got = rows.flat(ms[name](x, dims))
        lu.assertEquals(#got, #order)
        for k, key in ipairs(order) do
          lu.assertAlmostEquals(got[k], f(groups[key]), dtype == "f32" and 2e-5 or 1e-12, name .. " over " .. table.concat(dims, ","))
        end
      end
    end
  end
end
