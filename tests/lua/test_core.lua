-- Tensors, as a user meets them. Values against other implementations: test_parity.lua.
-- gcstress: every 10
-- luacheck: globals TestMaking TestIndexing TestDtypes TestInPlace
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local census, failure, fails, line = checks.census, checks.failure, checks.fails, checks.line

-- ---- making and reading ---------------------------------------------------------------------------------------------------------

TestMaking = {}

function TestMaking.test_from_nested_lists()
  local x = ms.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
  lu.assertEquals(x.shape, { 2, 3 })
  lu.assertEquals(x.dtype, "f32")
  lu.assertEquals(x.device, os.getenv "MASCON_DEVICE" or "cpu")
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
  lu.assertErrorMsgContains("begins with a boolean and holds 2", ms.tensor, { true, 2 })
  lu.assertEquals(ms.tensor({ true, 2 }, { dtype = "i64" }):totable(), { 1, 2 })
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
  fails("the list holds a text (tonumber(s) is its number)", ms.tensor, { 1, "two" })
  fails("something that is no number", ms.tensor, { 1, print })
  fails("a number that is no integer", ms.tensor, { 1.5 }, { dtype = "i64" })
  fails("dtype 'f23': expected f32", ms.tensor, { 1 }, { dtype = "f23" })
  fails("unknown option 'dtpye'; did you mean dtype? There are device, dtype, requires_grad", ms.tensor, { 1 }, { dtpye = "f64" })
  fails("nested deeper than 8", ms.tensor, { { { { { { { { { 1 } } } } } } } } })
  fails("expected numbers, got nothing", ms.tensor)
  fails("negative size", ms.zeros, { 2, -1 })
  fails("sizes go in a list", ms.zeros, 2, 3)
  fails("expected a tensor of one element, got 2 f32", function() return ms.ones({ 2 }):item() end)
  fails("unknown device 'toaster' (expected cpu, cuda", function() return ms.zeros({ 1 }, { device = "toaster" }) end)
end

function TestMaking.test_options_of_which_none_is_set()
  local x, w = ms.randn { 1, 2, 5, 5 }, ms.randn { 3, 2, 3, 3 }
  lu.assertEquals(ms.conv2d(x, w, nil, {}):totable(), ms.conv2d(x, w):totable())
  lu.assertEquals(ms.avg_pool2d(x, 2, {}):totable(), ms.avg_pool2d(x, 2):totable())
  fails("avg_pool2d: 0 numbers for kernel_size", function() return ms.avg_pool2d(x, {}) end)
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
  lu.assertEquals(ms.tensor({ false, true, true }):nonzero():totable(), { { 2 }, { 3 } })
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
  lu.assertNil(x[4]) -- behind the last row a loop ends
  fails("position 5 is out of range 1..3 of dimension 1", function() return x[5] end)
  fails("position 0 is out of range 1..3", function() return x[0] end)
  fails("position -5 is out of range 1..4 of dimension 2", function() return x[{ 1, -5 }] end)
  fails("range {2, 5} is out of 1..3 of dimension 1", function() return x[{ { 2, 5 } }] end)
  fails("more entries than 3 x 4 f32 has dimensions", function() return x[{ 1, 1, 1 }] end)
  fails("expected a position, {}, {first, last}", function() return x[{ { 1 } }] end)
  fails("the mask is 2 bool, dimension 1 has size 3", function() return x[ms.tensor { true, false }] end)
  fails("3 f32 does not expand to 4", function() x[1] = ms.ones { 3 } end)
  fails("'shape' cannot be assigned", function() x.shape = { 12 } end)
  fails("no field or method 'shap'; did you mean shape?", function() return x.shap end)
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
  fails("a leaf that requires gradients cannot be changed in place", function() x[1] = 0 end)
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
