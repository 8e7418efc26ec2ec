-- Functions of tensors that are written in Lua: lists of views, grids, einsum, comparisons, tensors like others. Their values and gradients
-- are compared with PyTorch's (tests/data/parity/expressions.json), in f64 and f32, and second derivatives with differences.
-- gcstress: every 20
-- luacheck: globals TestExpressions TestLists TestContract TestCompare TestLike
local lu = require "luaunit"
local ms = require "mascon"
local json = require "mascon.json"
local rows = require "rows"

TestExpressions, TestLists, TestContract, TestCompare, TestLike = {}, {}, {}, {}, {}

-- ---- PyTorch's values ----------------------------------------------------------------------------------------------------------------

local kept
do
  local file <close> = assert(io.open "tests/data/parity/expressions.json")
  kept = json.decode(file:read "a").expressions
end

local function list(r) return rows.is_tensor(r) and { r } or r end

local function near(what, got, want, tolerance)
  lu.assertEquals(got.shape, want.shape, what .. ": shape")
  for k, v in ipairs(rows.flat(got:detach())) do
    if not (math.abs(v - want.v[k]) <= tolerance * math.max(1, math.abs(want.v[k]))) then
      lu.fail(("%s: element %d: got %.17g, PyTorch gives %.17g"):format(what, k, v, want.v[k]))
    end
  end
end

-- The weighted sum of all results.
local function total(results)
  local sum
  for k, y in ipairs(results) do
    if y:numel() > 0 then
      local part = (y * ms.arange(1, y:numel(), { dtype = y.dtype }):reshape(y.shape) / k):sum()
      sum = sum and sum + part or part
    end
  end
  return sum
end

local compared = 0
for _, entry in ipairs(kept) do
  local text, inputs, outputs, gradients = table.unpack(entry)
  local f = assert(load("local ms, x, y, z = ... return " .. text))
  TestExpressions["test_" .. text] = function()
    for dtype, tolerance in pairs { f64 = 1e-12, f32 = 2e-5 } do
      local xs = {}
      for k, x in ipairs(inputs) do xs[k] = rows.tensor(x.shape, x.v, dtype):requires_grad_() end
      local results = list(f(ms, table.unpack(xs)))
      lu.assertEquals(#results, #outputs, "number of results")
      for k, want in ipairs(outputs) do near(("%s, result %d in %s"):format(text, k, dtype), results[k], want, tolerance) end
      local sum = total(results)
      local dx = sum and ms.grad(sum, xs, { allow_unused = true }) or {}
      for k, want in ipairs(gradients) do
        if dx[k] then near(("%s, gradient %d in %s"):format(text, k, dtype), dx[k], want, tolerance * 10) end
      end
      compared = compared + 1
    end
  end
end

function TestExpressions.test_zz_all_were_compared() lu.assertEquals(compared, 2 * #kept) end

function TestExpressions.test_strided_inputs_give_the_same()
  for _, entry in ipairs(kept) do
    local text, inputs, outputs = table.unpack(entry)
    local xs = {}
    for k, x in ipairs(inputs) do
      local t = rows.tensor(x.shape, x.v, "f64")
      xs[k] = t:dim() > 1 and t:transpose(1, -1):contiguous():transpose(1, -1) or ms.stack({ t, t }, -1):select(-1, 1)
    end
    local results = list(assert(load("local ms, x, y, z = ... return " .. text))(ms, table.unpack(xs)))
    for k, want in ipairs(outputs) do near(text .. " of strided inputs", results[k], want, 1e-12) end
  end
end

function TestExpressions.test_second_derivatives()
  for equation, shapes in pairs { ["ij,jk->ik"] = { { 2, 3 }, { 3, 2 } }, ["iij,j->i"] = { { 2, 2, 3 }, { 3 } },
    ["ij,ij->i"] = { { 2, 3 }, { 2, 3 } }, ["ij,kl,m->mkjil"] = { { 2, 2 }, { 1, 2 }, { 2 } }, ["...i,i->..."] = { { 2, 3 }, { 3 } } } do
    local xs = {}
    for k, shape in ipairs(shapes) do xs[k] = ms.rand(shape, -1, 1, { dtype = "f64" }):requires_grad_() end
    local function slope(...) return ms.grad(ms.einsum(equation, ...):square():sum(), (...)) end
    lu.assertTrue(ms.gradcheck(slope, xs), equation)
  end
end

-- ---- lists of views ------------------------------------------------------------------------------------------------------------------

function TestLists.test_pieces_share_memory()
  local x = ms.zeros { 2, 6 }
  for _, pieces in ipairs { x:split(2, 2), x:chunk(3, 2), x:tensor_split({ 2 }, 2), x:hsplit(2), x:vsplit(2), x:unbind(2) } do
    for _, piece in ipairs(pieces) do piece:add_(1) end
  end
  lu.assertEquals(x:sum():item(), 6 * 12)
end

function TestLists.test_errors()
  local x = ms.zeros { 4, 6 }
  for message, f in pairs {
    ["split: sizes that add up to 5, dimension 2 has 6"] = function() x:split({ 2, 3 }, 2) end,
    ["split: size: expected a whole number from 1 on, got 0"] = function() x:split(0) end,
    ["split: dimension 3 is out of range for a tensor of rank 2"] = function() x:split(2, 3) end,
    ["split: dimension 0 is out of range"] = function() x:split(2, 0) end,
    ["chunk: chunks: expected a whole number from 1 on, got 1.5"] = function() x:chunk(1.5) end,
    ["chunk: unknown option 'dims'; did you mean dim?"] = function() x:chunk(2, { dims = 1 }) end,
    ["tensor_split: cut 2: expected a whole number"] = function() x:tensor_split { 1, "a" } end,
    ["hsplit: dimension 2 of size 6 does not divide into 4 equal parts"] = function() x:hsplit(4) end,
    ["dsplit: expected 3 dimensions or more"] = function() x:dsplit(2) end,
    ["unbind: argument x: expected a tensor, got number"] = function() ms.unbind(5) end,
    ["meshgrid: option indexing: expected 'ij' or 'xy', got 'ji'"] = function() ms.meshgrid({ x[1] }, { indexing = "ji" }) end,
    ["meshgrid: tensor 1 is {4, 6}, expected one dimension at most"] = function() ms.meshgrid(x) end,
    ["broadcast_tensors: tensor 2: expected a tensor, got nil"] = function() ms.broadcast_tensors(x, nil, x) end,
    ["broadcast_tensors: expected no more arguments, got userdata"] = function() ms.broadcast_tensors({ x }, x) end,
    ["meshgrid: expected a list of vectors, got nil"] = function() ms.meshgrid(x, nil, x) end,
    ["broadcast_tensors: tensor 2 is {5}, which does not fit"] = function() ms.broadcast_tensors { x, ms.zeros { 5 } } end,
    ["cartesian_prod: expected a list of tensors, got nil"] = function() ms.cartesian_prod() end,
    ["combinations: expected one dimension"] = function() ms.combinations(x) end,
  } do lu.assertErrorMsgContains(message, f) end
end

function TestLists.test_in_compiled_steps()
  local w = ms.rand({ 6, 4 }):requires_grad_()
  local function f(x)
    local y = 0
    for k, piece in ipairs(ms.matmul(x, w):split({ 1, 3 }, 2)) do y = y + piece:square():sum() * k end
    for _, row in ipairs(w:unbind()) do y = y + row[1] end
    local a, b = table.unpack(ms.meshgrid(x[1], w:select(2, 1)))
    y = y + (a * b):sum() + ms.einsum("ij,jk,lk->il", x, w, w):sum() + x:tensordot(w, { { 2 }, { 1 } }):sum()
    return y, ms.grad(y, w)
  end
  local step = ms.compile(f)
  for _ = 1, 5 do
    local x = ms.rand { 3, 6 }
    local got, dx = step(x)
    local want, dw = f(x)
    ms.assert_close(got, want, { rtol = 1e-4, atol = 1e-4 })
    ms.assert_close(dx, dw, { rtol = 1e-4, atol = 1e-4 })
  end
end

-- ---- sums of products ----------------------------------------------------------------------------------------------------------------

function TestContract.test_errors_in_words()
  local x, y = ms.ones { 2, 3 }, ms.ones { 3, 4 }
  for message, f in pairs {
    ["einsum: expected an equation such as 'ij,jk->ik', got a tensor"] = function() ms.einsum(x, y) end,
    ["einsum: 'ij,jk->ik' has 2 operands, got 1"] = function() ms.einsum("ij,jk->ik", x) end,
    ["einsum: operand 2: expected a tensor, got number"] = function() ms.einsum("ij,jk->ik", x, 2) end,
    ["einsum: 'i1->i' has a '1', expected letters"] = function() ms.einsum("i1->i", x) end,
    ["einsum: operand 1 is {2, 3}, its part of the equation names 1 dimensions"] = function() ms.einsum("i,jk", x, y) end,
    ["its part of the equation names 3 dimensions beside the ellipsis"] = function() ms.einsum("ijk...", x) end,
    ["has two ellipses in '......'"] = function() ms.einsum("......", x) end,
    ["dimension 1 of operand 2 has 3 elements, where 'i' has 2"] = function() ms.einsum("ij,ik", x, y) end,
    ["dimension 1 of operand 2 has 3 elements, where '...' has 2"] = function() ms.einsum("...,...", x, y) end,
    ["the result names 'k', which no operand has"] = function() ms.einsum("ij->ik", x) end,
    ["the result names 'i' twice"] = function() ms.einsum("ij->ii", x) end,
    ["whose dimensions 1 and 2 have one letter: expected one size"] = function() ms.einsum("ii", ms.ones { 2, 1 }) end,
    ["tensordot: dimension 2 of a has 3 elements, dimension 2 of b 4"] = function() x:tensordot(y, { { 2 }, { 2 } }) end,
    ["tensordot: dims: expected 0..2 or two lists of dimensions, got 3"] = function() x:tensordot(y, 3) end,
    ["chain_matmul: matrix 1 has 3 columns, matrix 2 has 2 rows"] = function() ms.chain_matmul { x, x } end,
  } do lu.assertErrorMsgContains(message, f) end
end

function TestContract.test_integers_and_lists()
  local x = ms.tensor({ { 2 ^ 40 // 1 | 1, 1 }, { 2, 3 } }, { dtype = "i64" })
  lu.assertEquals(ms.einsum("ij,jk->ik", { x, x }):totable(), ms.matmul(x, x):totable())
  lu.assertEquals(ms.einsum("ij->j", x).dtype, "i64")
end

-- ---- comparing -----------------------------------------------------------------------------------------------------------------------

function TestCompare.test_allclose_says_which_element_is_worst()
  local x = ms.tensor { { 1, 2 }, { 3, 4 } }
  local y = x + ms.tensor { { 0, 1e-3 }, { 0.5, 1e-7 } }
  lu.assertEquals({ x:allclose(x) }, { true })
  local ok, words = x:allclose(y)
  lu.assertFalse(ok)
  lu.assertEquals(words, "allclose: 2 of 4 elements differ, most of all element {2, 1}: 3.0 and 3.5, 0.5 apart, allowed are 3.501e-05")
  lu.assertTrue((x:allclose(y, { atol = 1 })))
  lu.assertTrue((x:allclose(x + 1e-3, 1e-2)))
  lu.assertErrorMsgContains("element {2, 1}", function() assert(x:allclose(y)) end)
end

function TestCompare.test_nan_and_infinity()
  local nan, inf = 0 / 0, math.huge
  local x, y = ms.tensor { nan, inf, -inf, inf }, ms.tensor { nan, inf, inf, 1 }
  lu.assertEquals(x:isclose(y):totable(), { false, true, false, false })
  lu.assertEquals(x:isclose(y, { equal_nan = true }):totable(), { true, true, false, false })
  lu.assertStrContains(select(2, x:allclose(y)), "3 of 4 elements differ")
  lu.assertFalse(x:equal(x))
end

function TestCompare.test_equal_and_isclose_of_integers()
  local x = ms.tensor({ 2 ^ 53 // 1, 5 }, { dtype = "i64" })
  lu.assertTrue(x:equal(x:clone()))
  lu.assertFalse(x:equal(x + 1))
  lu.assertFalse(x:equal(x:reshape { 2, 1 }))
  lu.assertTrue(ms.equal(ms.zeros { 0 }, ms.zeros { 0 }))
  lu.assertEquals(x:isclose(x + 1, { rtol = 0, atol = 0 }):totable(), { false, false })
  lu.assertEquals(ms.tensor({ true, false }):isclose(ms.tensor { true, true }):totable(), { true, false })
end

function TestCompare.test_assert_close()
  local x = ms.tensor { 1, 2 }
  ms.assert_close(x, x + 1e-6)
  for message, f in pairs {
    ["assert_close: 1 of 2 elements differ, most of all element {2}: 2.0 and 2.5, 0.5 apart"] = function()
      ms.assert_close(x, ms.tensor { 1, 2.5 }) end,
    ["assert_close: the shapes differ: {2} and {2, 1}"] = function() ms.assert_close(x, x:reshape { 2, 1 }) end,
    ["assert_close: the dtypes differ: f32 and f64"] = function() ms.assert_close(x, x:double()) end,
    ["rtol and atol come together"] = function() ms.assert_close(x, x, { rtol = 1 }) end,
    ["the one element: 1.0 and 2.0"] = function() ms.assert_close(ms.tensor(1), ms.tensor(2)) end,
    ["allclose: the shapes {2} and {3} do not fit together"] = function() x:allclose(ms.ones { 3 }) end,
    ["allclose: argument y: expected a tensor, got number"] = function() x:allclose(1) end,
    ["allclose: unknown option 'tol'"] = function() x:allclose(x, { tol = 1 }) end,
  } do lu.assertErrorMsgContains(message, f) end
end

-- ---- tensors like others -------------------------------------------------------------------------------------------------------------

function TestLike.test_shape_dtype_and_options()
  local x = ms.zeros({ 2, 3 }, { dtype = "f64" })
  for _, y in ipairs { x:full_like(2), x:empty_like(), x:rand_like(), x:randn_like(), x:randint_like(1, 3), x:zeros_like(),
    x:ones_like() } do
    lu.assertEquals({ y.shape, y.dtype }, { x.shape, "f64" })
  end
  lu.assertEquals(ms.full_like(x, 2, { dtype = "i64" }):totable(), { { 2, 2, 2 }, { 2, 2, 2 } })
  lu.assertTrue(x:rand_like({ requires_grad = true }).requires_grad)
  lu.assertErrorMsgContains("full: unknown option 'dtyp'", function() x:full_like(1, { dtyp = "i64" }) end)
  lu.assertEquals(ms.logspace(0, 3, 4):totable(), { 1, 10, 100, 1000 })
  lu.assertEquals(ms.logspace(0, 3, 4, 2, { dtype = "i64" }):totable(), { 1, 2, 4, 8 })
  lu.assertEquals(ms.empty({ 2 }, { dtype = "u8" }):totable(), { 0, 0 })
  lu.assertEquals(ms.ones({ 2 }):type_as(x).dtype, "f64")
end

function TestLike.test_bytes_and_strides()
  local x = ms.zeros({ 4, 6 }, { dtype = "f64" })
  local y = x:slice(2, 3, 2)
  lu.assertEquals({ x:nbytes(), y:nbytes(), x:element_size(), x:expand({ 5, 4, 6 }):nbytes() }, { 192, 64, 8, 960 })
  lu.assertEquals({ y:stride(), y:stride(2), y:storage_offset(), y:is_contiguous() }, { { 6, 1 }, 1, 2, false })
end
