-- What masks and comparisons choose (nonzero, masked_select, unique, isin), where values belong (searchsorted), how often they occur, and
-- the rows that write in place by position. Every row's values stand in tests/data/parity (test_parity.lua); here are the rest: dtypes,
-- layouts, NaN, errors, graphs, numbers of threads, steps.
-- gcstress: every 100
-- luacheck: globals TestMasks TestInPlace TestSearch TestUnique TestCounts TestChecked TestHalf TestThreads
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local compiled = require "compiled"

local fails, leaf = checks.fails, checks.leaf
local nan = 0 / 0
local function long(...) return ms.tensor({ ... }, { dtype = "i64" }) end
local function says(t, expected) lu.assertEquals(t:totable(), expected) end
local function fails_now(expected, f) -- what a device may tell later
  fails(expected, function()
    f()
    ms.synchronize()
  end)
end

TestMasks = {}

function TestMasks.test_positions_of_what_is_not_0()
  local x = ms.tensor { { 1, 0 }, { 0, -2 } }
  says(x:nonzero(), { { 1, 1 }, { 2, 2 } })
  says(x:transpose(1, 2)[{ {}, { 2, 2 } }]:nonzero(), { { 2, 1 } })
  lu.assertEquals(ms.tensor(3):nonzero().shape, { 1, 0 })
  lu.assertEquals(ms.zeros({ 3, 0, 2 }):nonzero().shape, { 0, 3 })
  says(ms.tensor({ nan, 0 }):nonzero(), { { 1 } }) -- NaN is not 0
  says(x:count_nonzero(), 2)
  says(x:expand({ 3, 2, 2 }):count_nonzero({ 1, 3 }), { 3, 3 })
  local long_mask = ms.zeros({ 1000 }):bool()
  long_mask[{ { 9, 1000, 250 } }] = true
  says(long_mask:nonzero():reshape { -1 }, { 9, 259, 509, 759 })
end

function TestMasks.test_masked_scatter_takes_as_many_as_there_are_places()
  local x, mask = ms.zeros { 2, 2 }, ms.tensor { { true, false }, { true, true } }
  says(x:masked_scatter(mask, ms.arange(1, 5)), { { 1, 0 }, { 2, 3 } })
  fails_now("expected 1..2", function() x:masked_scatter(mask, ms.arange(1, 2)) end)
  fails("the mask is true 3 times, source has no elements", function() x:masked_scatter(mask, ms.zeros { 0 }) end)
  fails("x is 2 x 2 f32, source 3 i64; expected one dtype", function() x:masked_scatter(mask, long(1, 2, 3)) end)
  local v = leaf { 1, 2, 3, 4 }
  local y = ms.zeros({ 2, 2 }, { dtype = "f64" }):masked_scatter(mask, v)
  says(ms.grad((y * y):sum(), v), { 2, 4, 6, 0 })
end

function TestMasks.test_masked_select_in_a_graph()
  local x = leaf { { 1, 2, 3 }, { 4, 5, 6 } }
  local y = x:masked_select(ms.tensor { true, false, true })
  says(y, { 1, 3, 4, 6 })
  says(ms.grad((y * y):sum(), x), { { 2, 0, 6 }, { 8, 0, 12 } })
  fails("masked_select: mask is 3 f32, expected bool", function() return x:masked_select(ms.ones { 3 }) end)
end

TestInPlace = {}

function TestInPlace.test_they_change_x_and_give_it_back()
  local x, at = ms.zeros { 2, 3 }, long(3, 1)
  lu.assertTrue(x:index_add_(2, at, ms.ones { 2, 2 }) == x)
  says(x, { { 1, 0, 1 }, { 1, 0, 1 } })
  says(x:index_copy_(1, long(2), ms.tensor { { 7, 8, 9 } }), { { 1, 0, 1 }, { 7, 8, 9 } })
  says(x:index_fill_(2, at, -1), { { -1, 0, -1 }, { -1, 8, -1 } })
  says(x:scatter_(2, ms.tensor({ { 2 }, { 3 } }, { dtype = "i64" }), 5), { { -1, 5, -1 }, { -1, 8, 5 } })
  says(x:scatter_add_(1, long(1, 2, 1):reshape { 1, 3 }, ms.ones { 1, 3 }), { { 0, 5, 0 }, { -1, 9, 5 } })
  says(x:masked_fill_(x:lt(1), 2), { { 2, 5, 2 }, { 2, 9, 5 } })
  says(x:scatter_reduce_(2, ms.tensor({ { 1, 1 }, { 1, 2 } }, { dtype = "i64" }), ms.tensor { { 3, 4 }, { 1, 1 } }, "prod"),
    { { 24, 5, 2 }, { 2, 9, 5 } })
  says(x:put_(long(1, -1), ms.tensor { 0, 0 }), { { 0, 5, 2 }, { 2, 9, 0 } })
  says(x:masked_scatter_(x:eq(0), ms.tensor { 1, 3 }), { { 1, 5, 2 }, { 2, 9, 3 } })
  local t = ms.zeros { 3, 2 }
  t:transpose(1, 2):index_fill_(2, at, 1) -- through a view
  says(t, { { 1, 1 }, { 0, 0 }, { 1, 1 } })
end

function TestInPlace.test_in_a_graph_x_becomes_the_result()
  local x, v = leaf { { 1, 2 }, { 3, 4 } }, leaf { 5, 6 }
  local y = x * 1
  y:index_copy_(1, long(2), v:reshape { 1, 2 })
  y:masked_fill_(y:eq(1), 0)
  says(y, { { 0, 2 }, { 5, 6 } })
  local dx, dv = table.unpack(ms.grad((y * y):sum(), { x, v }))
  says(dx, { { 0, 4 }, { 0, 0 } })
  says(dv, { 10, 12 })
  local scores = (x * 2):masked_fill_(ms.tensor { { false, true }, { false, false } }, -math.huge)
  says(ms.grad(scores:softmax(2)[{ 1, 1 }], x), { { 0, 0 }, { 0, 0 } })
  local buffer = ms.zeros({ 3 }, { dtype = "f64" })
  says(ms.grad((buffer:index_add_(1, long(1, 1), v) ^ 2):sum(), v), { 22, 22 })
  fails("a leaf that requires gradients cannot be changed in place", function() x:masked_fill_(x:gt(0), 1) end)
  fails("a view cannot be changed in place", function() y[1]:index_fill_(1, long(1), 0) end)
end

function TestInPlace.test_what_they_read_may_be_x_itself()
  local x = ms.arange(1, 4)
  says(x:index_copy_(1, long(4, 3, 2, 1), x), { 4, 3, 2, 1 })
  local i = long(2, 3, 1)
  says(i:scatter_(1, i, i), { 1, 2, 3 })
  fails("index_fill_: 3 x 2 f32 is expanded", function() ms.zeros({ 2 }):expand({ 3, 2 }):index_fill_(1, long(1), 1) end)
end

function TestInPlace.test_errors_name_the_operation()
  local x = ms.zeros { 2, 3 }
  if not compiled.late then
    fails("index_add_: index[1] = 4, expected 1..3", function() x:index_add_(2, long(4), ms.ones { 2, 1 }) end)
    fails("scatter: index[2] = 0, expected 1..3", function() return x:scatter(2, long(1, 0):reshape { 1, 2 }, 1) end)
  end
  fails("index_copy: src is 2 x 2 f32, expected 2 x 1 for x 2 x 3 f32", function() return x:index_copy(2, long(1), ms.ones { 2, 2 }) end)
  fails("index_copy_: x is 2 x 3 f32, src 2 x 1 i64; expected one dtype",
    function() x:index_copy_(2, long(1), ms.ones({ 2, 1 }):long()) end)
  fails("index_fill: value is 2 f32, expected a number or a scalar", function() return x:index_fill(2, long(1), ms.ones { 2 }) end)
  fails("index_fill: x is 2 i64, which cannot hold 0.5", function() return long(1, 2):index_fill(1, long(1), 0.5) end)
  fails("masked_fill_: mask is 2 x 2 x 3 bool, which does not fit into 2 x 3 f32",
    function() x:masked_fill_(ms.ones({ 2, 2, 3 }):bool(), 1) end)
  fails("put: source is 3 f32, expected as many elements as index, 2 i64", function() return x:put(long(1, 2), ms.ones { 3 }) end)
  fails("one of sum|prod|mean|amax|amin", function() return x:scatter_reduce(2, long(1, 1):reshape { 1, 2 }, x, "median") end)
end

TestSearch = {}

function TestSearch.test_before_equal_ones_or_behind_them()
  local sorted = ms.tensor { 1, 3, 3, 5 }
  says(ms.searchsorted(sorted, ms.tensor { 0, 1, 3, 4, 6 }), { 1, 1, 2, 4, 5 })
  says(ms.searchsorted(sorted, ms.tensor { 0, 1, 3, 4, 6 }, { right = true }), { 1, 2, 4, 4, 5 })
  says(ms.searchsorted(sorted, 3), 2)
  says(ms.searchsorted(sorted, nan), 5) -- behind all numbers
  says(ms.searchsorted(ms.tensor { 1, 2, nan, nan }, ms.tensor { 1.5, nan }), { 2, 3 })
  says(ms.searchsorted(long(1, 2, 9), 2.5), 3) -- whole numbers and a fraction
  says(ms.searchsorted(ms.tensor { { 1, 2 }, { 5, 6 } }, ms.tensor { { 2 }, { 2 } }), { { 2 }, { 1 } })
  says(ms.bucketize(ms.tensor { 0.5, 3, 9 }, sorted), { 1, 2, 5 })
  says(ms.tensor({ 1, 4, 2 }):bucketize(ms.tensor({ 4, 2, 1 }):flip()), { 1, 3, 2 }) -- strided
  fails("expected sorted to have one dimension, or all sizes but the last one as values has them",
    function() return ms.searchsorted(ms.zeros { 2, 3 }, ms.zeros { 3, 1 }) end)
  fails("bucketize: boundaries is 2 x 2 f32, expected one dimension", function() return ms.zeros({ 2 }):bucketize(ms.zeros { 2, 2 }) end)
end

function TestSearch.test_isin()
  says(ms.isin(long(1, 2, 3), long(3, 1)), { true, false, true })
  says(ms.isin(ms.tensor { nan, 1 }, ms.tensor { nan, 1 }), { false, true })
  says(ms.isin(ms.tensor { { true, false } }, ms.tensor { true }), { { true, false } })
  says(ms.isin(long(1, 2), 1.5, { invert = true }), { true, true })
end

TestUnique = {}

function TestUnique.test_values_where_they_are_and_how_many()
  local x = ms.tensor { { 3, 1 }, { 1, 3 } }
  local values, inverse, counts = x:unique { return_inverse = true, return_counts = true }
  says(values, { 1, 3 })
  says(inverse, { { 2, 1 }, { 1, 2 } })
  says(counts, { 2, 2 })
  says(values[inverse], x:totable()) -- what the inverse is for
  says(ms.tensor({ true, false, true }):unique(), { false, true })
  says(long(5, -5, 5):unique(), { -5, 5 })
  lu.assertEquals(ms.zeros({ 0 }):unique().shape, { 0 })
  lu.assertEquals(#ms.tensor({ nan, 1, nan }):unique(), 3) -- NaN equals nothing
end

function TestUnique.test_rows_and_columns()
  local x = ms.tensor { { 2, 1 }, { 1, 9 }, { 2, 1 }, { 1, 3 } }
  local values, inverse = x:unique { dim = 1, return_inverse = true }
  says(values, { { 1, 3 }, { 1, 9 }, { 2, 1 } })
  says(inverse, { 3, 2, 3, 1 })
  says(x:transpose(1, 2):unique { dim = 2 }, { { 1, 1, 2 }, { 3, 9, 1 } })
  says(long(1, 1, 2, 2, 1):unique_consecutive(), { 1, 2, 1 })
  fails("unique: 3 x 0 f32 has no elements along dimension 1", function() return ms.zeros({ 3, 0 }):unique { dim = 1 } end)
end

TestCounts = {}

function TestCounts.test_bincount_counts_from_1()
  says(long(1, 3, 3):bincount(), { 1, 0, 2 })
  says(long(1, 3, 3):bincount(ms.tensor { 0.5, 1, 2 }, 4), { 0.5, 0, 3, 0 })
  local w = leaf { 1, 2, 3 }
  says(ms.grad((long(2, 1, 2):bincount(w) ^ 2):sum(), w), { 8, 4, 8 })
  fails("bincount: x holds 0, expected values from 1 on", function() return long(0, 1):bincount() end)
  fails("bincount: x is 2 f32, expected one dimension of integers", function() return ms.ones({ 2 }):bincount() end)
  fails("bincount: weights is 3 f32, expected a weight for each of x, 2 i64", function() return long(1, 2):bincount(ms.ones { 3 }) end)
end

function TestCounts.test_histc_and_one_hot()
  says(ms.tensor({ 1, 2, 2.5, 3, nan }):histc(2, 1, 3), { 1, 3 })
  says(ms.tensor({ -1, 7, 7 }):histc(4, 0, 8), { 0, 0, 0, 2 })
  for _, odd in ipairs { nan, math.huge } do -- no intervals from the smallest to the largest element
    lu.assertTrue(ms.tensor({ 1, 2, odd }):histc(2):isnan():all():item())
  end
  says(long(1, 3):one_hot(), { { 1, 0, 0 }, { 0, 0, 1 } })
  fails("without labels, classes must be given", function() return ms.zeros({ 0 }):long():one_hot() end)
  fails("histc: 0 bins, expected 1 or more", function() return ms.ones({ 2 }):histc(0) end)
end

-- Positions are checked wherever they lie in memory: the first bad one is named by its place among all of them.
TestChecked = {}

-- A device that works later than it is asked tells it when somebody waits.
local function wrong(expected, f, ...)
  local arguments = table.pack(...)
  fails(expected, function()
    f(table.unpack(arguments, 1, arguments.n))
    ms.synchronize()
  end)
end

function TestChecked.test_positions_of_any_layout()
  local x = ms.ones { 3, 3 }
  local good = ms.tensor({ { 1, 2, 3 }, { 3, 1, 2 }, { 2, 3, 1 } }, { dtype = "i64" })
  for _, bad in ipairs { 0, 4, -1, math.mininteger, math.maxinteger } do
    local at = good:clone()
    at[{ 3, 2 }] = bad
    local laid = { at, at:transpose(1, 2):contiguous():transpose(1, 2), ms.cat({ good, at }, 2)[{ {}, { 4, 6 } }],
      ms.stack({ at, good }, 3)[{ {}, {}, 1 }] }
    for _, index in ipairs(laid) do
      wrong(("gather: index[8] = %d, expected 1..3"):format(bad), ms.gather, x, 2, index)
    end
    wrong(("index_select: index[2] = %d, expected 1..3"):format(bad), ms.index_select, x, 1, at[3])
    local once = ms.tensor({ { 1 }, { bad } }, { dtype = "i64" })
    wrong(("gather: index[6] = %d"):format(bad), ms.gather, ms.ones { 2, 3 }, 2, once:expand { 2, 5 })
    wrong(("gather: index[4] = %d"):format(bad), ms.gather, ms.ones { 2, 2, 3 }, 3, once:transpose(1, 2):unsqueeze(3):expand { 1, 2, 3 })
  end
  lu.assertEquals(ms.gather(x, 2, good):sum():item(), 9)
  lu.assertEquals(ms.gather(x, 2, ms.zeros({ 0, 2 }, { dtype = "i64" })).shape, { 0, 2 })
  wrong("index[1] = 4, expected 1..3", ms.gather, x, 2, ms.full({ 1, 1 }, 4, { dtype = "u8" }))
  wrong("index[2] = -7, expected 1..3", ms.gather, x, 2, ms.tensor({ { 1, -7 } }, { dtype = "i32" }))
end

TestHalf = {}

-- f16 and bf16: moved as they are, added up in f32.
function TestHalf.test_reading_and_writing()
  for _, dtype in ipairs { "f16", "bf16" } do
    local function half(t) return t:to(dtype) end
    local x, at = half(ms.zeros { 3 }), long(3, 1)
    says(x:index_copy(1, at, half(ms.tensor { 1, 2 })), { 2, 0, 1 })
    says(x:index_add(1, at, half(ms.tensor { 1, 2 })), { 2, 0, 1 })
    says(x:scatter(1, at, 1.5), { 1.5, 0, 1.5 })
    says(x:scatter_reduce(1, at, half(ms.tensor { 1, 2 }), "amax"), { 2, 0, 1 })
    says(x:masked_fill_(ms.tensor { true, false, false }, 4), { 4, 0, 0 })
    says(x[x:gt(0)], { 4 })
    says(ms.searchsorted(half(ms.tensor { 1, 2 }), half(ms.tensor { 2 })), { 2 })
    lu.assertEquals(x:index_add(1, at, half(ms.tensor { 1, 2 })).dtype, dtype)
    says(x:index_put(at, half(ms.tensor { 1, 2 }), true), { 6, 0, 1 })
    says(half(ms.ones { 2 }):index_add_(1, long(1), half(ms.ones { 1 })), { 2, 1 })
    says(half(ms.ones { 2 }):scatter_add_(1, long(1), half(ms.ones { 1 })), { 2, 1 })
  end
end

TestThreads = {}

function TestThreads.test_the_same_bits_on_any_number()
  local x, src = ms.randn { 40, 90, 20 }, ms.randn { 40, 300, 20 }
  local at = ms.randint(1, 90, { 300 })
  local wide = at:reshape({ 1, 300, 1 }):expand { 40, 300, 20 }
  local function all()
    return { x:index_add(2, at, src):sum(3), x:index_copy(2, at, src):sum(3), x:scatter(2, wide, src):sum(3),
      x:scatter_reduce(2, wide, src, "prod"):sum(3), x:clone():index_put_({ {}, at }, src, true):sum(3),
      ms.searchsorted(x[{ 1, {}, 1 }]:sort(), src[1]) }
  end
  local before = ms.threads()
  ms.threads(1)
  local one = all()
  ms.threads(3)
  compiled.same_bits(all(), one)
  ms.threads(before)
end

function TestThreads.test_steps()
  local step = ms.compile(function(x, at, n)
    local y = x * 2
    y:index_fill_(1, at, n)
    y:masked_fill_(y:gt(7), n)
    return y:index_add(1, at, x[{ { 1, 2 } }]), y:scatter(1, at, n), ms.searchsorted(x, y), y:histc(3, 0, 9)
  end)
  local function eager(x, at, n)
    local y = (x * 2):index_fill(1, at, n)
    y = y:masked_fill(y:gt(7), n)
    return { y:index_add(1, at, x[{ { 1, 2 } }]), y:scatter(1, at, n), ms.searchsorted(x, y), y:histc(3, 0, 9) }
  end
  for i = 1, 7 do
    local x, at = ms.arange(1, 5), ms.randint(1, 5, { 2 })
    compiled.same_bits({ step(x, at, i / 2) }, eager(x, at, i / 2))
  end
  lu.assertTrue(compiled.replays(step))
end
