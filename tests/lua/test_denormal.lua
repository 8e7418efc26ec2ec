-- ms.flush_denormal: numbers too small for full precision are zero, or IEEE 754's; in eager and compiled steps, on every thread, and never
-- in the script's own arithmetic.
-- luacheck: globals TestDenormal
local lu = require "luaunit"
local ms = require "mascon"

TestDenormal = {}
local threads
function TestDenormal.setUp() threads = ms.threads() end
function TestDenormal.tearDown()
  ms.threads(threads)
  ms.flush_denormal(true)
end

local TINY = 2.0 ^ -140 -- in f32: exact, and far below the least number of full precision, 2^-126
local N = 1 << 18 -- enough for more threads than one

local function tiny(shape) -- full of TINY, whatever the setting
  local on = ms.flush_denormal()
  ms.flush_denormal(false)
  local x = ms.full(shape, TINY)
  ms.flush_denormal(on)
  return x
end

local function not_zero(x) -- how many; looked at with denormals left as they are
  local on = ms.flush_denormal()
  ms.flush_denormal(false)
  local n = x:ne(0):sum():item()
  ms.flush_denormal(on)
  return n
end

-- How many elements of x * 0.5 and of x + x, for x full of TINY, are not zero; and both.
local function counts(run, n)
  local half, twice = run(tiny { n })
  return not_zero(half), not_zero(twice), half, twice
end
local function both(x) return x * 0.5, x + x end

function TestDenormal.test_is_on_at_first_and_answers()
  lu.assertTrue(ms.flush_denormal())
  lu.assertFalse(ms.flush_denormal(false))
  lu.assertFalse(ms.flush_denormal())
  lu.assertErrorMsgContains("boolean expected", ms.flush_denormal, "no")
end

function TestDenormal.test_zero_or_the_exact_number()
  for _, n in ipairs { 1, 7, N } do
    ms.flush_denormal(true)
    local a, b = counts(both, n)
    lu.assertEquals({ a, b }, { 0, 0 })
    ms.flush_denormal(false)
    local half, twice, h, t
    half, twice, h, t = counts(both, n)
    lu.assertEquals({ half, twice }, { n, n })
    lu.assertEquals(h[n]:item(), TINY / 2)
    lu.assertEquals(t[n]:item(), TINY * 2)
  end
end

-- The threads of the pool follow, those included that come later or were made by somebody else (here: the loader of data).
function TestDenormal.test_every_thread()
  local data = ms.data.tensors { ms.zeros { 512, 4096 } }
  local function others() -- make threads of the pool, after a region of few has ended some
    local _ = ms.zeros { 70000 } + 1
    for _ in data:loader({ batch = 512 }):iter() do end
  end
  for _, n in ipairs { 2, 1, 4, 3, 8 } do
    ms.threads(n)
    for _, on in ipairs { true, false, true } do
      ms.flush_denormal(on)
      others()
      local a, b = counts(both, N)
      lu.assertEquals({ a, b }, on and { 0, 0 } or { N, N }, n .. " threads")
      local x, w = tiny { 256, 64 }, ms.full({ 64, 512 }, 0.5)
      lu.assertEquals(not_zero(x:matmul(w)), on and 0 or 256 * 512, n .. " threads, matmul")
    end
  end
end

function TestDenormal.test_compiled_steps_go_by_the_setting_they_are_called_under()
  ms.threads(2)
  local step = ms.compile(both)
  for call = 1, 8 do
    local on = call % 2 == 0
    ms.flush_denormal(on)
    local a, b = counts(step, N)
    lu.assertEquals({ a, b }, on and { 0, 0 } or { N, N }, "call " .. call)
  end
end

function TestDenormal.test_the_script_keeps_its_own_numbers()
  local x = ms.full({ 4 }, 1)
  local _ = x + x
  local step = ms.compile(both)
  for _ = 1, 4 do step(x) end
  local least = 2.0 ^ -1074
  lu.assertEquals(least * 2.0, 2.0 ^ -1073)
  lu.assertTrue(least / 2.0 == 0.0 and 2.0 ^ -1030 / 4.0 > 0.0)
end

-- Arithmetic and conversions read zero; moves leave the bits alone.
function TestDenormal.test_moves_keep_the_number()
  ms.flush_denormal(false)
  local x = ms.full({ 3, 5 }, 1) * TINY
  ms.flush_denormal(true)
  local moved = ms.cat({ x:transpose(1, 2):contiguous(), x:transpose(1, 2) }, 2)
  lu.assertEquals(x[3][5]:item(), 0)
  lu.assertEquals(moved[5][6]:item(), 0)
  ms.flush_denormal(false)
  lu.assertEquals(x[3][5]:item(), TINY)
  lu.assertEquals(moved:amin():item(), TINY)
end

os.exit(lu.LuaUnit.run())
