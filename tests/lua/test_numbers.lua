-- What a number becomes beside integers: it is compared, bounds and fills as the number that it is, or is an error. Never what is left of
-- it in fewer bits.
local lu = require "luaunit"
local ms = require "mascon"

local function u8(...) return ms.tensor({ ... }, { dtype = "u8" }) end
local function i32(...) return ms.tensor({ ... }, { dtype = "i32" }) end
local function i64(...) return ms.tensor({ ... }, { dtype = "i64" }) end
local function refused(text, f, ...) lu.assertErrorMsgContains(text, f, ...) end
local most, least, nan = math.maxinteger, math.mininteger, 0 / 0

TestNumbers = {}

-- Every comparison with every number, against Lua's own, which is exact between integers and floats.
function TestNumbers.test_comparisons_tell_the_truth()
  local numbers = { 0, 1, 2, -1, 200, 255, 256, 300, -300, 0.5, -0.5, 199.5, 3000000000, -3000000000, 9007199254740993, 9007199254740992.0,
    most, least, 2.0 ^ 63, -2.0 ^ 63, 1e300, -1e300, math.huge, -math.huge, nan }
  local values = {
    u8 = { 0, 1, 200, 255 }, i32 = { 5, -7, 2147483647, -2147483648 }, i64 = { 0, most, least, 9007199254740993, 9007199254740992 },
  }
  local relations = {
    lt = function(a, b) return a < b end, le = function(a, b) return a <= b end, gt = function(a, b) return a > b end,
    ge = function(a, b) return a >= b end, eq = function(a, b) return a == b end, ne = function(a, b) return a ~= b end,
  }
  for dtype, list in pairs(values) do
    local x = ms.tensor(list, { dtype = dtype })
    for name, relation in pairs(relations) do
      for _, n in ipairs(numbers) do
        local right, left = ms[name](x, n):totable(), ms[name](n, x):totable()
        for k, v in ipairs(list) do
          local what = ("%s %s %s %s"):format(dtype, v, name, n)
          lu.assertEquals(right[k], relation(v, n), what)
          lu.assertEquals(left[k], relation(n, v), what .. ", turned round")
        end
      end
    end
  end
  lu.assertEquals(ms.tensor({ true, false }):eq(2):totable(), { false, false })
  lu.assertEquals(ms.tensor({ true, false }):eq(true):totable(), { true, false })
end

function TestNumbers.test_clamp()
  lu.assertEquals(u8(1, 200):clamp(0, 300):totable(), { 1, 200 })
  lu.assertEquals(u8(1, 200):clamp(-5, 100):totable(), { 1, 100 })
  lu.assertEquals(i32(5, -7):clamp(-3000000000, 3000000000):totable(), { 5, -7 })
  lu.assertEquals(i64(most, 3):clamp(nil, most - 1):totable(), { most - 1, 3 })
  refused("the bound 300 leaves nothing of u8", u8(1).clamp, u8(1), 300)
  refused("the bound -1 leaves nothing of u8", u8(1).clamp, u8(1), -9, -1)
end

function TestNumbers.test_one_bound_keeps_the_dtype()
  local r = i64(16777217):clamp(0)
  lu.assertEquals(r.dtype, "i64")
  lu.assertEquals(r:item(), 16777217)
  lu.assertEquals(u8(9):clamp(nil, 5).dtype, "u8")
  lu.assertEquals(i32(9):clamp(-math.huge, math.huge).dtype, "i32")
  lu.assertEquals(i32(9):clamp(1.5).dtype, "f32")
  lu.assertEquals(ms.tensor { 1.5 }:clamp(0, math.huge):item(), 1.5)
  local x = i32(4, -4)
  lu.assertEquals(x:clamp_(0), x)
  lu.assertEquals(x:totable(), { 4, 0 })
end

function TestNumbers.test_fills_that_do_not_fit_are_errors()
  local mask, x = ms.tensor { true, false }, u8(44, 200)
  refused("cannot hold 300", x.masked_fill, x, mask, 300)
  refused("cannot hold 0.5", x.masked_fill, x, mask, 0.5)
  refused("cannot hold 1 i64", x.masked_fill, x, mask, i64(300))
  refused("300 does not fit into u8", ms.full, { 1 }, 300, { dtype = "u8" })
  refused("does not fit into i64", ms.full, { 1 }, 2.0 ^ 63, { dtype = "i64" })
  refused("1.5 does not fit into i32", ms.full, { 1 }, 1.5, { dtype = "i32" })
  refused("nan does not fit into i32", ms.zeros({ 1 }, { dtype = "i32" }).fill_, ms.zeros({ 1 }, { dtype = "i32" }), math.abs(nan))
  refused("300 does not fit into u8", ms.where, mask, 300, x)
  refused("300 does not fit into u8", function() x[1] = 300 end)
  refused("300 does not fit into u8", x.add_, x, 300)
  refused("cannot hold 300", x.pad, x, { 1, 0 }, { value = 300 })
  lu.assertEquals(x:totable(), { 44, 200 })
  lu.assertEquals(ms.full({ 1 }, 2, { dtype = "bool" }):totable(), { true })
  lu.assertEquals(ms.where(mask, ms.tensor { true, false }, 2):totable(), { 1, 2 }) -- PyTorch: i64
end

function TestNumbers.test_operands_that_do_not_fit_are_errors()
  refused("add: the number 300 does not fit into u8", function() return u8(1) + 300 end)
  refused("add: the number -1 does not fit into u8", function() return u8(1) + -1 end)
  refused("floor_div: the number 300 does not fit into u8", function() return u8(1, 200) // 300 end)
  lu.assertEquals((u8(1, 200) - 1):totable(), { 0, 199 })
end

function TestNumbers.test_whole_numbers_beyond_2_to_the_53()
  local n = 9007199254740993
  lu.assertEquals((i64(1) + n):item(), n + 1)
  lu.assertEquals((i64(n) + 1):item(), n + 1)
  lu.assertEquals(ms.full({ 1 }, n, { dtype = "i64" }):item(), n)
  lu.assertEquals(ms.add(n, 1), n + 1)
  lu.assertEquals(ms.where(ms.tensor { true }, n, i64(0)):item(), n)
  lu.assertEquals(i64(0):pad({ 0, 1 }, { value = n }):totable(), { 0, n })
  local x = i64(0)
  x[1] = n
  lu.assertEquals(x:item(), n)
  local step = ms.compile(function(v) return v + n, v + (n - 1) end) -- two calls that differ in the last bit only
  for _ = 1, 5 do
    local a, b = step(i64(0))
    lu.assertEquals({ a:item(), b:item() }, { n, n - 1 })
  end
end

function TestNumbers.test_floats_become_integers_alike_everywhere()
  local x = ms.tensor { math.huge, -math.huge, nan, 3e9, -3e9, -1, 1e30, 1.9, -1.9 }
  lu.assertEquals(x:to("i32"):totable(), { 2147483647, -2147483648, 0, 2147483647, -2147483648, -1, 2147483647, 1, -1 })
  lu.assertEquals(x:to("u8"):totable(), { 255, 0, 0, 255, 0, 0, 255, 1, 0 })
  lu.assertEquals(x:to("i64"):totable(), { most, least, 0, 3000000000, -3000000000, -1, most, 1, -1 })
  for _, dtype in ipairs { "i32", "u8", "i64" } do
    local wide = ms.cat { x, x, x, x, x, x, x, x } -- vector code and what is left over
    lu.assertEquals(wide:to(dtype):totable(), wide:to("f64"):to(dtype):totable())
    local step = ms.compile(function(v) return (v * 1):to(dtype) end)
    for _ = 1, 4 do lu.assertEquals(step(wide):totable(), wide:to(dtype):totable()) end
  end
end

function TestNumbers.test_arange_counts_whole_numbers_as_such()
  local n = 9007199254740992
  lu.assertEquals(ms.arange(n, n + 3, 1, { dtype = "i64" }):totable(), { n, n + 1, n + 2, n + 3 })
  lu.assertEquals(ms.arange(most - 1, most, 1, { dtype = "i64" }):totable(), { most - 1, most })
  lu.assertEquals(ms.arange(least, most, most, { dtype = "i64" }):totable(), { least, -1, most - 1 })
  lu.assertEquals(ms.arange(5, 1, -2, { dtype = "i64" }):totable(), { 5, 3, 1 })
  lu.assertEquals(ms.arange(1, 0):numel(), 0)
  lu.assertEquals(ms.arange(1, 2.5, 1, { dtype = "u8" }):totable(), { 1, 2 })
  lu.assertEquals(ms.arange(0, 1, 0.25):totable(), { 0, 0.25, 0.5, 0.75, 1 })
  refused("expected whole numbers for i32", ms.arange, -1.5, 1.5, 1, { dtype = "i32" })
  refused("does not fit into u8", ms.arange, 0, 300, 1, { dtype = "u8" })
  refused("too many", ms.arange, least, most, 1, { dtype = "i64" })
  refused("does not fit into u8", ms.linspace, 0, 300, 4, { dtype = "u8" })
end

function TestNumbers.test_quotients_and_remainders_agree()
  for _, dtype in ipairs { "f32", "f64", "i64", "i32" } do
    local list = { 7, -7, 1, -1, 0, 5, 100, -3 }
    local by = { 2, -2, 3, -3, 1, -1, 7, 10 }
    if dtype:sub(1, 1) == "f" then list, by = { 1, 7.5, -7.5, 0.3, -0.3, 1e6, 3, -1 }, { 0.1, -2.5, 0.7, 1 / 3, -0.1, 2, 0.001, 1e9 } end
    for _, d in ipairs(by) do
      local a, b = ms.tensor(list, { dtype = dtype }), ms.tensor({ d }, { dtype = dtype })
      local q, r = (a // b):totable(), (a % b):totable()
      for k, v in ipairs(a:totable()) do
        local near = math.abs(q[k] * b:item() + r[k] - v)
        local most_off = (dtype == "f32" and 1e-6 or 1e-15) * math.max(math.abs(v), math.abs(b:item()))
        lu.assertTrue(near <= most_off, ("%s: %g // %g = %g, %g"):format(dtype, v, d, q[k], r[k]))
        lu.assertTrue(math.type(q[k]) == "integer" or q[k] == math.floor(q[k]))
      end
    end
  end
  lu.assertEquals((ms.tensor({ 1 }, { dtype = "f64" }) // 0.1):item(), 9.0) -- as Python and PyTorch: 1 % 0.1 is 0.1 less a little
  lu.assertEquals((i64(least, 5) // -1):totable(), { least, -5 })
  lu.assertEquals((i64(least, 5) % -1):totable(), { 0, 0 })
  -- a divisor that is a number is looked at, one that is a tensor is not
  for _, name in ipairs { "floor_div", "remainder", "fmod" } do
    lu.assertErrorMsgContains(name .. ": whole numbers (1 i64) divided by zero", i64(5)[name], i64(5), 0)
    lu.assertEquals(i64(5)[name](i64(5), i64(0)):item(), 0)
    lu.assertNotEquals(i64(5)[name](i64(5), 0.0):item(), 0) -- floats: infinity, NaN
  end
end

TestPad = {}

function TestPad.test_keeps_bits_and_dtype()
  local x = ms.tensor { .1, .2, 3.7 }
  local r = x:pad({ 0, 1 }, { value = -1e9 }):totable()
  lu.assertEquals({ r[1], r[2], r[3] }, x:totable())
  lu.assertEquals(r[4], -1e9)
  lu.assertEquals(i32(16777217):pad({ 0, 1 }, { value = 5 }):totable(), { 16777217, 5 })
  lu.assertEquals(ms.tensor { 1, 2 }:pad({ -1, 2 }, { value = -math.huge }):totable(), { 2, -math.huge, -math.huge })
  lu.assertEquals(ms.tensor { true }:pad({ 1, 0 }, { value = 1 }):totable(), { true, true })
end

function TestPad.test_gradient_and_what_is_cropped()
  local x = ms.arange(1, 6):reshape { 2, 3 }:requires_grad_()
  local y = x:pad({ -1, 2, 1, 0 }, { value = 7 })
  lu.assertEquals(y:totable(), { { 7, 7, 7, 7 }, { 2, 3, 7, 7 }, { 5, 6, 7, 7 } })
  local g = ms.grad((y:square()):sum(), x)
  lu.assertEquals(g:totable(), { { 0, 4, 6 }, { 0, 10, 12 } })
  lu.assertEquals(ms.grad(g:sum(), x):totable(), { { 0, 2, 2 }, { 0, 2, 2 } })
  refused("at dimension 1", ms.tensor { 1, 2 }.pad, ms.tensor { 1, 2 }, { -3, 4 })
  refused("nothing is left", ms.tensor { 1, 2 }.pad, ms.tensor { 1, 2 }, { -2, -1 })
end

-- Sizes too: they are read as the whole numbers that they are, not by way of a float.
function TestNumbers.test_sizes_keep_their_bits()
  local x = ms.ones { 1, 1, 2, 2 }
  refused("padding is 9223372036854775807, expected at most", ms.conv2d, x, x, nil, 1, most)
  refused("9007199254740993", ms.max_pool2d, x, 9007199254740993)
end

-- Sums of integers wrap, however they are made, as a + b does.
function TestNumbers.test_sums_wrap()
  local x, at = i64(most, most, 1), i64(1, 1)
  lu.assertEquals(x:sum():item(), -1)
  lu.assertEquals(x:cumsum(1):totable(), { most, -2, -1 })
  lu.assertEquals(ms.index_add(i64(most), 1, at, i64(most, 2)):item(), most + most + 2)
  lu.assertEquals(ms.scatter_add(i64(most), 1, at, i64(most, 2)):item(), most + most + 2)
  lu.assertEquals(ms.index_add(i32(2147483647), 1, i64(1), i32(1)):item(), -2147483648)
end
