-- Numbers handed to a compiled step: what is computed with them is computed anew in each replay, whatever operation takes them, and to
-- the last bit.
-- luacheck: globals TestReplayNumbers
local lu = require "luaunit"
local ms = require "mascon"
local inside = require "mascon.inside"
local compiled = require "compiled"
local replays = compiled.replays

TestReplayNumbers = {}

-- f(number) eagerly and compiled, over a list of numbers, twice: the same to 1e-6 of the largest.
local function same(f, numbers, must_replay)
  local step = ms.compile(f)
  for _ = 1, 2 do
    for _, n in ipairs(numbers) do
      local a, b = f(n):to("f64"):reshape({ -1 }):totable(), step(n):to("f64"):reshape({ -1 }):totable()
      lu.assertEquals(#b, #a)
      for i, x in ipairs(a) do
        if x == x and math.abs(x) < math.huge then lu.assertAlmostEquals(b[i], x, 1e-6 * math.max(1, math.abs(x)))
        else lu.assertEquals(tostring(b[i]):gsub("-nan", "nan"), tostring(x):gsub("-nan", "nan")) end
      end
    end
  end
  if must_replay ~= false then lu.assertTrue(replays(step)) end
end

-- The gradient of w ^ n: 0 for n = 0, at w = 0 and at infinity too.
function TestReplayNumbers.test_the_gradient_of_a_power()
  for _, dtype in ipairs { "f32", "f64" } do
    local w = ms.tensor({ 0, 1, 2.5, -3, math.huge }, { dtype = dtype, requires_grad = true })
    same(function(n) return ms.grad((w ^ n):sum(), w) end, { 2, 3, 2, 1, 0, 0, 4, 0 })
    same(function(n) return ms.grad((w ^ n):sum(), w) end, { 2.5, 3.0, 0.5, 0.0, 1.0, -1.0, -0.5 })
  end
end

function TestReplayNumbers.test_the_gradient_of_a_number_to_a_power()
  for _, dtype in ipairs { "f32", "f64" } do
    local w = ms.tensor({ 0, 1, 2.5, -3 }, { dtype = dtype, requires_grad = true })
    same(function(n) return ms.grad((n ^ w):sum(), w) end, { 2, 3, 2, 1, 5, 0, 7 })
    same(function(n) return ms.grad((n ^ w):sum(), w) end, { 2.5, 3.0, 0.5, 0.0, 1.0, 1e-3 })
  end
  local x = ms.tensor({ 1 / 3, 0.7 }, { dtype = "f64", requires_grad = true }) -- in f64 throughout
  local function g(n) return ms.grad((n ^ x):sum(), x) end
  local step = ms.compile(g)
  for _, n in ipairs { 1.1, 1.2, 1.3, 1.4, 1.5 } do
    local a, b = g(n):totable(), step(n):totable()
    for i = 1, 2 do lu.assertAlmostEquals(b[i], a[i], 1e-15) end
  end
end

-- Every elementwise operation on numbers alone, in a rule or by hand.
function TestReplayNumbers.test_operations_on_numbers_alone()
  local x = ms.tensor { 1, 2 }
  for _, name in ipairs { "exp", "log", "sqrt", "neg", "square", "reciprocal", "abs", "sin", "floor", "sigmoid", "relu" } do
    same(function(n) return x * ms[name](n) end, { 2, 3, 4.5, 1, 0.5, 7 }, false)
  end
  for _, name in ipairs { "add", "sub", "mul", "div", "pow", "maximum", "minimum", "fmod", "remainder", "floor_div" } do
    same(function(n) return x * ms[name](n, 3) + ms[name](7, n) end, { 2, 3, 4, 1, 5, 7 })
  end
end

function TestReplayNumbers.test_operations_that_take_a_number()
  same(function(n) return ms.full({ 3 }, n) end, { 1, 2, 3, 4, 5 })
  same(function(n) return ms.linspace(n, 2 * n, 5) end, { 1, 2, 3, 4, 5 })
  same(function(n) return ms.linspace(0, n, 5, { dtype = "f64" }) end, { 1.5, 2.5, 3.5, 4.5, 5.5 })
  same(function(n) return ms.zeros({ 3 }):fill_(n) end, { 1, 2, 3, 4, 5 })
  same(function(n) return ms.tensor({ 1, 2, 3 }):clamp(n, n + 1) end, { 1, 2, 3, 4, 0 })
  same(function(n) return ms.ones({ 2, 2 }):pad({ 1, 1 }, { value = n }) end, { 1, 2, 3, 4, 5 }, false)
  same(function(n) return ms.ones({ 3 }):masked_fill(ms.tensor { true, false, true }, n) end, { 1, 2, 3, 4, 5 }, false)
  same(function(n) return inside.standardize(ms.tensor({ 1, 2, 4 }), 1, n) end, { 1, 2, 3, 4, 5 }, false)
  same(function(n) return ms.tensor({ 1, 2, 4 }):norm(n) end, { 1, 2, 3, 4, 5 }, false)
end

-- A number that decides how many there are makes a recording of its own.
function TestReplayNumbers.test_a_number_that_decides_a_size()
  same(function(n) return ms.arange(1, n) end, { 3, 4, 3, 3, 4, 4, 3, 4, 3, 4, 5 }, false)
  same(function(n) return ms.arange(n, n + 2) end, { 3, 4, 3, 3, 4, 4, 3, 4, 3, 4, 5 }, false)
  same(function(n) return ms.linspace(0, 1, n) end, { 3, 4, 3, 3, 4, 4, 3, 4, 3, 4, 5 }, false)
  same(function(n) return ms.zeros { n, 2 } + n end, { 3, 4, 3, 3, 4, 4, 3, 4, 3, 4, 5 }, false)
end

-- What a number may not be is refused in a replay as it is eagerly.
-- Where a choice between truths and a number is made, the number decides what comes out: 0 and 1 are truths.
function TestReplayNumbers.test_a_number_that_decides_a_dtype()
  local t = ms.tensor { true, false }
  local step = ms.compile(function(n) return ms.where(t, t, n) end)
  for _ = 1, 5 do
    for n = 0, 2 do
      local got, want = step(n), ms.where(t, t, n)
      lu.assertEquals({ got.dtype, got:totable() }, { want.dtype, want:totable() })
    end
  end
end

function TestReplayNumbers.test_numbers_that_are_refused()
  local step = ms.compile(function(p) return ms.bernoulli({ 4 }, p) end)
  for _ = 1, 5 do step(0.5) end
  lu.assertTrue(replays(step))
  compiled.raises("bernoulli: p = 1.5, expected 0..1", step, 1.5)
  local small = ms.compile(function(x, n) return x + n end)
  local x = ms.ones({ 2 }, { dtype = "u8" })
  for i = 1, 5 do small(x, i) end
  lu.assertTrue(replays(small))
  compiled.raises("300", small, x, 300)
  lu.assertEquals(small(x, 4):totable(), { 5, 5 })
end

-- Whole numbers are what Lua makes of them.
function TestReplayNumbers.test_whole_numbers_to_the_last_bit()
  local x = ms.tensor({ 0, 1 }, { dtype = "i64" })
  local f = function(n, m) return x + n * m, n * m, n - m, n / m end
  local step = ms.compile(f)
  for i = 1, 8 do
    local n, m = (1 << 40) + i, (1 << 41) + 3 * i
    local a, b = table.pack(f(n, m)), table.pack(step(n, m))
    lu.assertEquals(b[1]:totable(), a[1]:totable())
    for k = 2, 4 do
      lu.assertEquals(b[k], a[k])
      lu.assertEquals(math.type(b[k]), math.type(a[k]))
    end
  end
  lu.assertTrue(replays(step))
  local large = ms.compile(function(n) return x + n, n end)
  for i = 1, 6 do
    local n = (1 << 53) + 2 * i + 1
    local t, k = large(n)
    lu.assertEquals(t:totable(), { n, n + 1 })
    lu.assertEquals(k, n)
  end
end
