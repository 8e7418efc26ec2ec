-- Views, and what is composed of them: what shares memory with x and what does not, errors, integers and truth values, compiled steps.
-- (Values and derivatives come from the rows: test_parity, test_gradients, test_empty.)
-- gcstress: every 20
-- luacheck: globals TestViews TestPad TestRepeat TestDiagonals
local lu = require "luaunit"
local ms = require "mascon"

TestViews, TestPad, TestRepeat, TestDiagonals = {}, {}, {}, {}

local function whole(...) return ms.arange(1, select(1, ...), { dtype = "i64" }):reshape { select(2, ...) } end

-- Does y share memory with x?
local function shares(x, y)
  local before = y:clone()
  x:add_(1)
  return not before:eq(y):all():item()
end

function TestViews.test_these_share_memory_with_x()
  local views = {
    narrow = function(x) return x:narrow(1, 2, 2) end, view = function(x) return x:view { -1 } end,
    view_as = function(x) return x:view_as(ms.zeros { 6, 4 }) end, reshape_as = function(x) return x:reshape_as(ms.zeros { 24 }) end,
    expand_as = function(x) return x:expand_as(ms.zeros { 2, 4, 6 }) end, t = function(x) return x:t() end,
    movedim = function(x) return x:movedim(1, 2) end, unflatten = function(x) return x:unflatten(2, { 2, -1 }) end,
    ravel = function(x) return x:ravel() end, unfold = function(x) return x:unfold(2, 3, 1) end,
    diagonal = function(x) return x:diagonal(1) end, diag = function(x) return x:diag() end,
    atleast_3d = function(x) return x:atleast_3d() end, swapaxes = function(x) return x:swapaxes(1, 2) end,
    broadcast_to = function(x) return x:broadcast_to { 2, 4, 6 } end, moveaxis = function(x) return ms.moveaxis(x, 1, 2) end,
    reshape_of_a_slice = function(x) return x:narrow(2, 2, 3):reshape { 2, 2, 3 } end,
    flatten_of_whole_rows = function(x) return x:narrow(1, 2, 2):flatten() end,
  }
  for name, view in pairs(views) do
    local x = whole(24, 4, 6)
    lu.assertTrue(shares(x, view(x)), name)
  end
end

function TestViews.test_these_do_not()
  for name, f in pairs { roll = function(x) return x:roll(0, 1) end, rot90 = function(x) return x:rot90(4) end,
    tile = function(x) return x:tile { 1, 1 } end, repeat_interleave = function(x) return x:repeat_interleave(1, 1) end,
    tril = function(x) return x:tril(9) end, reshape_across_rows = function(x) return x:narrow(2, 1, 3):reshape { 12 } end } do
    local x = whole(24, 4, 6)
    lu.assertFalse(shares(x, f(x)), name)
  end
end

function TestViews.test_view_says_when_it_would_have_to_copy()
  local x = whole(6, 2, 3)
  lu.assertErrorMsgContains("use reshape", function() x:t():view { 6 } end)
  lu.assertErrorMsgContains("view: 2 x 3 i64 does not have the elements of 4", function() x:view { 4 } end)
  lu.assertErrorMsgContains("view: 2 x 3 i64 cannot be divided into -1 x 4", function() x:view { -1, 4 } end)
  lu.assertErrorMsgContains("or one -1", function() x:reshape { -1, -1 } end)
  lu.assertEquals(x:t():view({ 3, 2, 1 }):squeeze():totable(), { { 1, 4 }, { 2, 5 }, { 3, 6 } })
  lu.assertEquals(x:expand({ 2, 2, 3 }):view({ 2, 6 }):totable(), { { 1, 2, 3, 4, 5, 6 }, { 1, 2, 3, 4, 5, 6 } })
end

function TestViews.test_windows_that_overlap_are_not_changed_in_place()
  local x = whole(5, 5)
  lu.assertErrorMsgContains("several of its elements are one in memory", function() x:unfold(1, 3, 1):add_(1) end)
  x:unfold(1, 2, 2):add_(10)
  lu.assertEquals(x:totable(), { 11, 12, 13, 14, 5 })
  x:t():mul_(2)
  lu.assertEquals(x:totable(), { 22, 24, 26, 28, 10 })
end

function TestViews.test_errors_name_the_operation_and_what_it_got()
  local x = ms.zeros { 2, 3, 4 }
  for message, f in pairs {
    ["narrow: slice: 3 elements from 2 on"] = function() x:narrow(2, 2, 3) end,
    ["t: expected two dimensions at most, got 2 x 3 x 4 f32"] = function() x:t() end,
    ["movedim: 2 dimensions to move, 1 places"] = function() x:movedim({ 1, 2 }, 1) end,
    ["movedim: dimension 1 is moved twice"] = function() x:movedim({ 1, -3 }, { 1, 2 }) end,
    ["movedim: two dimensions go to place 2"] = function() x:movedim({ 1, 3 }, { 2, 2 }) end,
    ["unflatten: dimension 3 of 2 x 3 x 4 f32 does not divide into 3 x -1"] = function() x:unflatten(3, { 3, -1 }) end,
    ["unfold: windows of 5 elements in dimension 3"] = function() x:unfold(3, 5, 1) end,
    ["unfold: step 0, expected 1 or more"] = function() x:unfold(3, 2, 0) end,
    ["diagonal: dim1 and dim2 are both dimension 2"] = function() x:diagonal(0, 2, -2) end,
    ["diag: expected one or two dimensions"] = function() x:diag() end,
    ["trace: expected two dimensions"] = function() x:trace() end,
    ["tril: expected two dimensions or more, got 3 f32"] = function() ms.zeros({ 3 }):tril() end,
    ["hstack: cat: tensor 2 is 3 x 3 f32"] = function() ms.hstack { ms.zeros { 2, 3 }, ms.zeros { 3, 3 } } end,
    ["roll: 2 shifts for 1 dimensions"] = function() x:roll({ 1, 2 }, 1) end,
    ["roll: 2 shifts without dims"] = function() x:roll { 1, 2 } end,
    ["rot90: 3 dimensions, expected two"] = function() x:rot90(1, { 1, 2, 3 }) end,
    ["tile: -1 times, expected 0 or more"] = function() x:tile { -1 } end,
    ["did you mean x:tile?"] = function() local _ = x["repeat"] end,
    ["did you mean x:unfold(dim, size, step)?"] = function() local _ = x.as_strided end,
  } do lu.assertErrorMsgContains(message, f) end
end

function TestViews.test_of_other_dtypes()
  local x = whole(4, 2, 2)
  lu.assertEquals(x:tril():totable(), { { 1, 0 }, { 3, 4 } })
  lu.assertEquals(x:gt(0):triu():totable(), { { true, true }, { false, true } })
  lu.assertEquals(x:gt(0):triu().dtype, "bool")
  lu.assertEquals(x:trace():item(), 5)
  lu.assertEquals(x:byte():roll(1):totable(), { { 4, 1 }, { 2, 3 } })
  lu.assertEquals(ms.kron(x, whole(2, 2)):totable(), { { 1, 2, 2, 4 }, { 3, 6, 4, 8 } })
  lu.assertEquals(ms.block_diag({ x, ms.tensor { 1.5 } }).dtype, "f32")
end

function TestViews.test_in_compiled_steps()
  local w = ms.rand({ 3, 4 }):requires_grad_()
  local function f(x)
    local y = (x * w):pad({ 1, 2, 1, 1 }, "reflect"):roll({ 1, 2 }, { 1, 2 }):tril(1):tile { 1, 2 }
    local z = y:unfold(2, 3, 2):movedim(3, 1):rot90():repeat_interleave(2, 1):flatten(1, 2)
    local loss = (z:square():sum() + (x * w):diagonal(1):sum() + ms.kron(x, w):narrow(1, 2, 3):sum())
    return loss, ms.grad(loss, w)
  end
  local step = ms.compile(f)
  for _ = 1, 5 do
    local x = ms.rand { 3, 4 }
    local a, ga = step(x)
    local b, gb = f(x)
    lu.assertAlmostEquals(a:item(), b:item(), 1e-4)
    lu.assertTrue((ga - gb):abs():amax():item() < 1e-4)
  end
end

function TestPad.test_what_cannot_be()
  local x = ms.zeros { 2, 3 }
  for message, f in pairs {
    ["pad: 3 and 0 elements at dimension 2 of 2 x 3 f32 cannot be reflected: expected less than the size"] = function()
      x:pad({ 3, 0 }, "reflect") end,
    ["cannot be wrapped around: expected the size at most"] = function() x:pad({ 0, 4 }, "circular") end,
    ["cannot be repeated: expected a size of 1 or more"] = function() ms.zeros({ 2, 0 }):pad({ 0, 4 }, "replicate") end,
    ["a value is for mode 'constant'"] = function() x:pad({ 1, 1 }, "reflect", 2) end,
    ["pad: 3 numbers for 2 x 3 f32: expected two for each padded dimension"] = function() x:pad({ 1, 1, 1 }, "reflect") end,
    ["nothing is left of dimension 2"] = function() x:pad({ -2, -2 }, "replicate") end,
    ["one of constant|reflect|replicate|circular, got 'symmetric'"] = function() x:pad({ 1, 1 }, "symmetric") end,
  } do lu.assertErrorMsgContains(message, f) end
end

function TestPad.test_integers_and_truth_values()
  lu.assertEquals(whole(3, 3):pad({ 2, 1 }, "circular"):totable(), { 2, 3, 1, 2, 3, 1 })
  lu.assertEquals(whole(3, 3):pad({ 2, 1 }, "reflect"):totable(), { 3, 2, 1, 2, 3, 2 })
  lu.assertEquals(ms.tensor({ true, false }):pad({ 1, 1 }, { mode = "replicate" }):totable(), { true, true, false, false })
end

function TestRepeat.test_each_element_as_often_as_a_tensor_says()
  local x, times = whole(3, 3), ms.tensor({ 2, 0, 3 }, { dtype = "i64" })
  lu.assertEquals(x:repeat_interleave(times):totable(), { 1, 1, 3, 3, 3 })
  lu.assertEquals(x:repeat_interleave(times:slice(1, 1, 1)):totable(), { 1, 1, 2, 2, 3, 3 })
  lu.assertEquals(x:repeat_interleave(0):totable(), {})
  for message, wrong in pairs { ["repeats[2] = -1"] = ms.tensor({ 1, -1, 1 }, { dtype = "i64" }),
    ["2 repeats for 3 elements"] = ms.tensor({ 1, 1 }, { dtype = "i32" }), ["expected a number or a list of integers"] = ms.ones { 3 },
    ["0.5 times, expected a whole number"] = 0.5 } do
    lu.assertErrorMsgContains(message, function() x:repeat_interleave(wrong) end)
  end
end

function TestRepeat.test_with_as_many_dimensions_as_there_can_be()
  local x = whole(6, 1, 1, 2, 1, 1, 3, 1, 1)
  lu.assertEquals(x:tile({ 2, 1, 2, 1, 1 }):flatten():totable(),
    { 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6, 4, 5, 6, 4, 5, 6 })
  lu.assertEquals(x:repeat_interleave(2, 3):flatten():totable(), { 1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6 })
  lu.assertErrorMsgContains("the most dimensions there can be", function() x:unfold(3, 2, 1) end)
end

function TestDiagonals.test_outside_the_matrix_there_is_none()
  local x = whole(6, 2, 3)
  lu.assertEquals(x:diagonal(3):totable(), {})
  lu.assertEquals(x:diagonal(-2):totable(), {})
  lu.assertEquals(x:diagonal(2):totable(), { 3 })
  lu.assertEquals(x:diagonal(math.mininteger):totable(), {})
  lu.assertEquals(x:triu(math.maxinteger):sum():item(), 0)
  lu.assertEquals(x:tril(math.mininteger):sum():item(), 0)
end
