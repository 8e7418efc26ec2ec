-- x[...] and x[...] = y: positions, ranges, index tensors, masks. First as in a manual, then 400 random indices against what PyTorch reads
-- and writes by them (tests/data/indexing.json, made by tests/peers/make_indexing.py).
-- gcstress: every 100
-- luacheck: globals TestReading TestWriting TestIndexErrors TestIndexGradients TestIndexSteps TestIndexPeers
local lu = require "luaunit"
local ms = require "mascon"
local json = require "mascon.json"
local checks = require "checks"
local compiled = require "compiled"
local rows = require "rows"

local fails = checks.fails
local function long(...) return ms.tensor({ ... }, { dtype = "i64" }) end
local function count(...) return ms.arange(1, rows.product { ... }):reshape { ... } end -- 1, 2, 3, ... row by row
local function says(t, expected) lu.assertEquals(t:totable(), expected) end

-- ---- reading ---------------------------------------------------------------------------------------------------------------------

TestReading = {}

function TestReading.test_positions_and_ranges_are_views()
  local x = count(3, 4)
  says(x[2], { 5, 6, 7, 8 })
  says(x[-1], { 9, 10, 11, 12 })
  says(x[{ 2, 3 }], 7)
  says(x[{ {}, -1 }], { 4, 8, 12 })
  says(x[{ { 2, 3 }, { 1, 4, 2 } }], { { 5, 7 }, { 9, 11 } })
  says(x[{ { 2, 1 } }], {}) -- from the second to the first: none
  x[2]:fill_(0)
  says(x[{ {}, 1 }], { 1, 0, 9 })
end

function TestReading.test_dots_stand_for_what_is_left_and_new_for_a_dimension_more()
  local x = count(2, 3, 4)
  says(x[{ "...", 1 }], { { 1, 5, 9 }, { 13, 17, 21 } })
  says(x[{ 2, "...", 4 }], { 16, 20, 24 })
  says(x[{ 1, 2, "...", 3 }], 7) -- for none
  lu.assertEquals(x[{ "..." }].shape, x.shape)
  lu.assertEquals(x[{ {}, "new", "..." }].shape, { 2, 1, 3, 4 })
  lu.assertEquals(x[{ "new", 1, "...", "new" }].shape, { 1, 3, 4, 1 })
  lu.assertEquals(x[{}].shape, x.shape)
end

function TestReading.test_an_index_tensor_takes_the_place_of_its_dimension()
  local x = count(3, 4)
  says(x[long(3, 1, 1)], { { 9, 10, 11, 12 }, { 1, 2, 3, 4 }, { 1, 2, 3, 4 } })
  says(x[long(-1)], { { 9, 10, 11, 12 } })
  says(x[{ {}, long(4, 1) }], { { 4, 1 }, { 8, 5 }, { 12, 9 } })
  says(x[{ 2, long(4, 1) }], { 8, 5 })
  says(x[{ {}, ms.tensor({ { 1, 2 }, { 3, 4 } }, { dtype = "i32" }) }][1], { { 1, 2 }, { 3, 4 } })
  says(x[{ long(1, 2), ms.tensor({ 3, 4 }, { dtype = "u8" }) }], { 3, 8 }) -- one element for each pair
  says(x[{ ms.tensor({ { 1 }, { 3 } }, { dtype = "i64" }), long(4, 1) }], { { 4, 1 }, { 12, 9 } }) -- broadcast
end

function TestReading.test_where_the_dimensions_of_index_tensors_stand()
  local x = count(2, 3, 4, 5)
  local a, b = long(1, 2), long(3, 1)
  lu.assertEquals(x[{ {}, a, b }].shape, { 2, 2, 5 }) -- side by side: there
  lu.assertEquals(x[{ a, {}, b }].shape, { 2, 3, 5 }) -- apart: first
  lu.assertEquals(x[{ {}, a, {}, b }].shape, { 2, 2, 4 })
  lu.assertEquals(x[{ a, 1, b }].shape, { 2, 5 }) -- a position does not part them: its dimension is gone
  lu.assertEquals(x[{ {}, a, "new", b }].shape, { 2, 2, 1, 5 })
end

function TestReading.test_a_mask_stands_for_all_of_its_dimensions()
  local x = count(2, 3)
  says(x[x:gt(3)], { 4, 5, 6 })
  says(x[ms.tensor { false, true }], { { 4, 5, 6 } })
  says(x[{ {}, ms.tensor { true, false, true } }], { { 1, 3 }, { 4, 6 } })
  says(x[x:gt(9)], {})
  lu.assertEquals(count(2, 3, 4)[x:gt(9)].shape, { 0, 4 })
  says(count(2, 3, 2)[x:gt(4)], { { 9, 10 }, { 11, 12 } })
  says(x[{ ms.tensor { true, true }, long(3, 1) }], { 3, 4 }) -- with an index tensor: element by element
  says(ms.tensor(7)[ms.tensor(true)], { 7 })
  lu.assertEquals(ms.tensor(7)[ms.tensor(false)].shape, { 0 })
end

function TestReading.test_every_dtype_and_layout()
  for _, dtype in ipairs { "f32", "f64", "f16", "bf16", "i64", "i32", "u8", "bool" } do
    local x = count(3, 4):to(dtype)
    local y = x:transpose(1, 2)
    lu.assertEquals(x[long(3, 1)].dtype, dtype)
    lu.assertEquals(y[{ long(4, 2), long(1, 3) }]:to("f32"):totable(), dtype == "bool" and { 1, 1 } or { 4, 10 })
    lu.assertEquals(y[{ {}, long(2) }][{ {}, 1 }]:to("f32"):totable(), dtype == "bool" and { 1, 1, 1, 1 } or { 5, 6, 7, 8 })
  end
  says(ms.arange(1, 3):expand({ 2, 3 })[{ long(1, 2), long(3, 1) }], { 3, 1 })
end

function TestReading.test_more_threads_give_the_same()
  local x, at = ms.rand { 64, 24, 32 }, ms.randint(1, 64, { 100 })
  local mask = x:gt(0.7)
  local few = at[{ { 1, 40 } }]:remainder(24) + 1
  local function all() return { x[at], x[{ {}, few }], x[mask], x[{ few, {}, few }] } end
  local before = ms.threads()
  ms.threads(1)
  local one = all()
  ms.threads(3)
  compiled.same_bits(all(), one)
  ms.threads(before)
  says(x[mask]:sum():sub((x * mask):sum()):abs():lt(1), true)
end

-- ---- writing ----------------------------------------------------------------------------------------------------------------------

TestWriting = {}

function TestWriting.test_positions_ranges_and_index_tensors()
  local x = ms.zeros { 3, 4 }
  x[{ {}, -1 }] = ms.tensor { 1, 2, 3 }
  x[1] = 7
  x[{ { 2, 3 }, { 1, 2 } }] = ms.tensor { { 4 }, { 5 } }
  says(x, { { 7, 7, 7, 7 }, { 4, 4, 0, 2 }, { 5, 5, 0, 3 } })
  x[{ {}, long(3, 1) }] = ms.tensor { 8, 9 }
  says(x, { { 9, 7, 8, 7 }, { 9, 4, 8, 2 }, { 9, 5, 8, 3 } })
  x[long(1, 3)] = 0
  x[{ long(2, 2), long(1, -1) }] = ms.tensor({ 5, 6 }, { dtype = "i64" })
  says(x, { { 0, 0, 0, 0 }, { 5, 4, 8, 6 }, { 0, 0, 0, 0 } })
  x[{ "...", 2 }] = 1
  says(x[{ {}, 2 }], { 1, 1, 1 })
end

function TestWriting.test_masks()
  local x = count(2, 3)
  x[x:gt(3)] = 0
  says(x, { { 1, 2, 3 }, { 0, 0, 0 } })
  x[x:eq(0)] = ms.tensor { 7, 8, 9 } -- one value for each place
  says(x, { { 1, 2, 3 }, { 7, 8, 9 } })
  x[{ {}, ms.tensor { true, false, true } }] = ms.tensor { { 1 }, { 2 } }
  says(x, { { 1, 2, 1 }, { 2, 8, 2 } })
  x[ms.tensor { false, true }] = ms.tensor { 4, 5, 6 } -- for each row that is chosen
  says(x, { { 1, 2, 1 }, { 4, 5, 6 } })
  x[{ "...", x[1]:eq(1) }] = -1
  says(x, { { -1, 2, -1 }, { -1, 5, -1 } })
  x[x:gt(100)] = ms.zeros { 0 } -- nowhere
  x[x:gt(100)] = 5
  says(x, { { -1, 2, -1 }, { -1, 5, -1 } })
  local t = ms.zeros { 2, 2 }
  t:transpose(1, 2)[ms.tensor { { false, true }, { false, false } }] = 3
  says(t, { { 0, 0 }, { 3, 0 } })
end

function TestWriting.test_what_is_read_and_written_may_be_the_same_tensor()
  local x = count(5)
  x[{ { 2, 5 } }] = x[{ { 1, 4 } }]
  says(x, { 1, 1, 2, 3, 4 })
  x = count(4)
  x[long(4, 3, 2, 1)] = x
  says(x, { 4, 3, 2, 1 })
  local mask = ms.tensor { true, false }
  mask[mask] = false
  says(mask, { false, false })
end

function TestWriting.test_of_a_place_that_is_named_twice_the_last_one_counts()
  local x = ms.zeros { 3 }
  x[long(2, 1, 2)] = ms.tensor { 1, 2, 3 }
  says(x, { 2, 3, 0 })
end

function TestWriting.test_index_put_adds_on_request()
  local x = ms.zeros { 3 }
  says(x:index_put(long(2, 1, 2), ms.tensor { 1, 2, 3 }, { accumulate = true }), { 2, 4, 0 })
  says(x:index_put({ long(2, 1, 2) }, 1, true), { 1, 2, 0 })
  says(x, { 0, 0, 0 })
  lu.assertEquals(x:index_put_(x:eq(0), 5):totable(), { 5, 5, 5 })
  says(x, { 5, 5, 5 })
  says(count(2, 2):index_put({ {}, 1 }, 10, true), { { 11, 2 }, { 13, 4 } })
  says(ms.index_put(x, { { 1, 2 } }, ms.tensor { 1, 2 }), { 1, 2, 5 })
end

-- ---- errors ------------------------------------------------------------------------------------------------------------------------

TestIndexErrors = {}

function TestIndexErrors.test_they_say_which_dimension_and_what_was_expected()
  local x = count(3, 4)
  if not compiled.late then
    fails("index: position 5 (element 2 of the index tensor), expected 1..4 in dimension 2",
      function() return x[{ {}, long(1, 5) }] end)
    fails("position 0 (element 1 of the index tensor), expected 1..3 in dimension 1", function() return x[long(0)] end)
    fails("position -4 (element 1 of the index tensor), expected 1..3", function() x[long(-4)] = 1 end)
  end
  fails("the mask is 2 bool, dimension 1 has size 3", function() return x[ms.tensor { true, false }] end)
  fails("the mask is 2 x 4 bool, dimension 1 has size 3", function() return x[ms.ones({ 2, 4 }):bool()] end)
  fails("the mask is 3 x 3 bool, dimension 2 has size 4", function() x[ms.ones({ 3, 3 }):bool()] = 1 end)
  fails("the index tensor for dimension 2 is 2 f32, expected integers (dtype = \"i64\") or bool",
    function() return x[{ {}, ms.ones { 2 } }] end)
  fails("more entries than 3 x 4 f32 has dimensions", function() return x[{ 1, ms.ones({ 3, 4 }):bool() }] end)
  fails("more entries than 3 x 4 f32 has dimensions", function() return x[{ 1, 1, "...", 1 }] end)
  fails("expected \"...\" at most once", function() return x[{ "...", 1, "..." }] end)
  fails("expected \"...\" or \"new\", got \"all\"", function() return x[{ "all", 1 }] end)
  fails("for dimension 2, got boolean", function() return x[{ {}, true }] end)
  fails("shapes 2 i64 and 3 i64 do not fit together", function() return x[{ long(1, 2), long(1, 2, 3) }] end)
  fails("expand: 3 f32 does not expand to 2 x 4", function() x[long(1, 2)] = ms.ones { 3 } end)
  fails("expand: 3 f32 does not expand to 2", function() x[x:lt(3)] = ms.ones { 3 } end)
  fails("expected a tensor or a number, got string", function() x[1] = "a" end)
  fails("assignment: 2 i64 cannot hold 0.5", function() long(1, 2)[long(1)] = 0.5 end)
  fails("index_put: expected an index as in x[index], got nil", x.index_put, x, nil, 1)
  fails("unknown option 'add'", x.index_put, x, 1, 1, { add = true })
end

function TestIndexErrors.test_they_name_the_line()
  local x, line = count(3), checks.line()
  local message = checks.failure(function() return x[ms.tensor { true }] end)
  lu.assertStrContains(message, ("test_indexing.lua:%d: index: the mask"):format(line + 1))
end

-- ---- gradients ----------------------------------------------------------------------------------------------------------------------

TestIndexGradients = {}

function TestIndexGradients.test_reading_adds_up_what_is_read_more_than_once()
  local x = checks.leaf { 1, 2, 3 }
  says(ms.grad((x[long(3, 1, 3)] * ms.tensor { 1, 10, 100 }):sum(), x), { 10, 0, 101 })
  says(ms.grad((x[x:gt(1)] ^ 2):sum(), x), { 0, 4, 6 })
  local dx = ms.grad((x[x:gt(1)] ^ 3):sum(), x)
  says(ms.grad(dx:sum(), x), { 0, 12, 18 }) -- second order
end

function TestIndexGradients.test_writing_into_a_result()
  local x, v = checks.leaf { 1, 2, 3 }, checks.leaf { 5, 7 }
  local y = x * 2
  y[long(3, 1)] = v * v
  says(y, { 49, 4, 25 })
  local dx, dv = table.unpack(ms.grad((y * ms.tensor { 1, 10, 100 }):sum(), { x, v }))
  says(dx, { 0, 20, 0 })
  says(dv, { 1000, 14 })
  y = x * 2
  y[x:gt(1)] = 0
  y[{ { 1, 2 } }] = v
  says(ms.grad((y * x):sum(), { x, v })[1], { 5, 7, 0 })
  local buffer = ms.zeros({ 3 }, { dtype = "f64" }) -- nothing of a graph so far
  buffer[2] = x[3]
  says(ms.grad(buffer:sum(), x), { 0, 0, 1 })
end

function TestIndexGradients.test_what_cannot_be_written_says_so()
  local x = checks.leaf { 1, 2, 3 }
  fails("a leaf that requires gradients cannot be changed in place; do it inside ms.no_grad()", function() x[1] = 0 end)
  fails("a leaf that requires gradients cannot be changed in place", function() x[x:gt(1)] = 0 end)
  local y = x * 2
  local view = y[{ { 1, 2 } }]
  fails("a view cannot be changed in place while gradients are recorded", function() view[1] = 0 end)
  local z = y * y
  y[1] = 0
  fails("changed in place", function() return ms.grad(z:sum(), x) end)
  ms.no_grad(function() x[x:gt(1)] = 0 end)
  says(x, { 1, 0, 0 })
end

function TestIndexGradients.test_of_a_place_that_is_named_twice_only_the_last_one_has_a_gradient()
  local v = checks.leaf { 1, 2, 3 }
  local y = ms.zeros({ 2 }, { dtype = "f64" }):index_put(long(1, 2, 1), v)
  says(ms.grad((y * ms.tensor { 5, 7 }):sum(), v), { 0, 7, 5 })
end

-- ---- steps ---------------------------------------------------------------------------------------------------------------------------

TestIndexSteps = {}

function TestIndexSteps.test_what_has_a_known_size_is_recorded()
  local step = ms.compile(function(x, at, mask)
    local y = x[at] + x[{ {}, at }]:transpose(1, 2)
    y[mask] = 0
    y[{ {}, at:slice(1, 1, 1) }] = -1
    return y
  end)
  for i = 1, 6 do
    local x, at = count(4, 4) * i, ms.randperm(4)
    local mask = ms.rand({ 4, 4 }):gt(0.5)
    local want = x[at] + x[{ {}, at }]:transpose(1, 2)
    want[mask] = 0
    want[{ {}, at[1]:item() }] = -1
    says(step(x, at, mask), want:totable())
  end
  lu.assertTrue(compiled.replays(step))
end

function TestIndexSteps.test_what_only_the_data_tell_is_an_error()
  for _, f in ipairs { function(x) return x[x:gt(0)] end, function(x) return x:nonzero() end,
    function(x) return x:masked_select(x:gt(0)) end } do
    local step = ms.compile(f)
    step(count(3))
    fails("inside a compiled step", step, count(3))
  end
end

function TestIndexSteps.test_a_wrong_position_of_a_replay_is_told()
  local step = ms.compile(function(x, at) return x[at] end)
  for _ = 1, 5 do step(count(3), long(1, 3)) end
  fails("position 4 (element 2 of the index tensor), expected 1..3", function()
    step(count(3), long(1, 4))
    ms.synchronize()
  end)
end

-- ---- as PyTorch ------------------------------------------------------------------------------------------------------------------------

TestIndexPeers = {}

local file <close> = assert(io.open "tests/data/indexing.json")
local kept = json.decode(file:read "a")

local function flat_tensor(shape, v, dtype) return rows.tensor(shape, v, dtype) end

local function entries(list)
  local out = {}
  for k, e in ipairs(list) do
    if type(e) == "table" and e.i then e = flat_tensor(e.i, e.v, "i64")
    elseif type(e) == "table" and e.m then e = flat_tensor(e.m, e.v, "i64"):bool() end
    out[k] = e
  end
  return out
end

-- x of a case: 1, 2, 3, ... in the order in which its dimensions lie in memory.
local function table_of(case)
  local sizes = {}
  for k, d in ipairs(case.order) do sizes[d + 1] = case.shape[k] end
  local order = {}
  for k, d in ipairs(case.order) do order[k] = d + 1 end
  return ms.arange(1, rows.product(sizes), { dtype = "f64" }):reshape(sizes):permute(order)
end

local function value_of(case)
  if type(case.value) == "number" then return case.value end
  return flat_tensor(case.value, ms.arange(1001, 1000 + rows.product(case.value)):totable(), "f64")
end

local function whole(list)
  local out = {}
  for k, v in ipairs(list) do out[k] = v + 0.0 end
  return out
end

function TestIndexPeers.test_random_indices()
  for n, case in ipairs(kept.cases) do
    local scope <close> = ms.scope() -- luacheck: ignore 211
    local what = ("case %d, x %s"):format(n, table.concat(case.shape, " x "))
    local at, x = entries(case.index), table_of(case):requires_grad_()
    local read = x[at]
    lu.assertEquals(read.shape, case.read[1], what)
    lu.assertEquals(rows.flat(read:detach()), whole(case.read[2]), what)
    local weights = flat_tensor(case.read[1], ms.arange(1, read:numel()):totable(), "f64")
    lu.assertEquals(rows.flat(ms.grad((read * weights):sum(), x)), whole(case.grad), what .. ", gradient")
    local value = value_of(case)
    local y = table_of(case):detach()
    y[at] = value -- the view itself: strided
    lu.assertEquals(rows.flat(y), whole(case.write), what .. ", written")
    lu.assertEquals(rows.flat(table_of(case):index_put(at, value, true)), whole(case.add), what .. ", added")
    local z = x * 1 -- in a graph
    z[at] = value
    lu.assertEquals(rows.flat(z:detach()), whole(case.write), what .. ", written in a graph")
    local kept_places = whole(case.write)
    for k, v in ipairs(kept_places) do kept_places[k] = v < 1000 and 1.0 or 0.0 end
    lu.assertEquals(rows.flat(ms.grad(z:sum(), x)), kept_places, what .. ", gradient of writing")
  end
  print(("compared: PyTorch's values of x[...] and x[...] = y: %d random indices"):format(#kept.cases))
end
