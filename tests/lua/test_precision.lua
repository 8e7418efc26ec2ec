-- ms.precision and ms.deterministic: what they change in results, and that a compiled step goes by the setting it is called under.
-- luacheck: globals TestPrecision TestDeterministic
-- gcstress: every 200
local lu = require "luaunit"
local ms = require "mascon"
local inside = require "mascon.inside"
local compiled = require "compiled"
local nn, optim = ms.nn, ms.optim
local raises, same_bits = compiled.raises, compiled.same_bits

local function restore()
  ms.precision "f32"
  ms.deterministic(true)
end

-- The largest difference, as a part of the largest element of b.
local function off(a, b)
  lu.assertEquals(a.shape, b.shape)
  a, b = a:detach():to "f64", b:detach():to "f64"
  return (a - b):abs():amax():item() / b:abs():amax():item()
end
local ROUNDING, BF16 = 1e-5, 1e-4 -- more than f32's rounding is off; less than bf16's is

local function near(a, b, what)
  local d = off(a, b)
  if not (d <= ROUNDING) then lu.fail(("%s: %g off"):format(what, d), 3) end
end
local function differs(a, b, what)
  local d = off(a, b)
  if not (d >= BF16 and d <= 0.02) then lu.fail(("%s: %g off, expected the rounding of bf16"):format(what, d), 3) end
end

local function rounded(x) return x:to "bf16":to "f64" end

-- f under bf16; the setting is f32 again afterwards.
local function in_bf16(f, ...)
  ms.precision "bf16"
  local r = table.pack(pcall(f, ...))
  ms.precision "f32"
  if not r[1] then error(r[2], 0) end
  return table.unpack(r, 2, r.n)
end

-- f(operands) in bf16 is f of the operands rounded to bf16, in f64; and is not f in f32.
local function rounds_operands(what, f, ...)
  local given, exact = table.pack(...), {}
  for i = 1, given.n do exact[i] = rounded(given[i]) end
  local y = in_bf16(f, ...)
  lu.assertEquals(y.dtype, "f32", what)
  near(y, f(table.unpack(exact, 1, given.n)), what)
  differs(y, f(...), what)
end

-- ---- names -------------------------------------------------------------------------------------------------------------------------

TestPrecision = { tearDown = restore }

local can, why = pcall(ms.precision, "bf16")
restore()
local function need_bf16() lu.skipIf(not can, tostring(why)) end

function TestPrecision.test_f32_unless_said_otherwise()
  lu.assertEquals(ms.precision(), "f32")
  lu.assertEquals(ms.precision "f32", "f32")
  lu.assertEquals(ms.precision(nil), "f32")
end

function TestPrecision.test_help()
  for name, part in pairs { precision = "AMX", deterministic = "number of threads", threads = "MASCON_THREADS" } do
    for _, asked in ipairs { name, "ms." .. name } do
      lu.assertStrContains(ms.help(asked), ("ms.%s(["):format(name))
      lu.assertStrContains(ms.help(asked), part)
    end
  end
end

function TestPrecision.test_other_names_raise()
  raises({ "expected f32, bf16 or tf32", "'f16'" }, ms.precision, "f16")
  raises({ "expected f32, bf16 or tf32", "''" }, ms.precision, "")
  raises({ "string expected, got boolean" }, ms.precision, true)
  lu.assertEquals(ms.precision(), "f32")
end

function TestPrecision.test_a_processor_without_it_says_so()
  lu.skipIf(can, "this processor has it")
  raises({ "precision bf16", "needs a processor with AVX512_BF16" }, ms.precision, "bf16")
  lu.assertEquals(ms.precision(), "f32")
end

function TestPrecision.test_bf16_stays_until_set_back()
  need_bf16()
  lu.assertEquals(ms.precision "bf16", "bf16")
  lu.assertEquals(ms.precision(), "bf16")
  lu.assertEquals(ms.precision(nil), "bf16")
  raises("no device in use offers it", ms.precision, "tf32")
  lu.assertEquals(ms.precision(), "bf16")
  lu.assertEquals(ms.precision "f32", "f32")
end

-- ---- results -----------------------------------------------------------------------------------------------------------------------

local SIZES = { { 256, 256, 256 }, { 15, 17, 4201 }, { 61, 47, 801 }, { 300, 33, 130 }, { 128, 200, 2050 } } -- m, n, k

function TestPrecision.test_matmul()
  need_bf16()
  for _, size in ipairs(SIZES) do
    local m, n, k = table.unpack(size)
    for flags = 0, 3 do
      local ta, tb = flags % 2 == 1, flags > 1
      local a = ms.randn(ta and { k, m } or { m, k })
      local b = ms.randn(tb and { n, k } or { k, n })
      rounds_operands(("matmul %dx%dx%d, %d"):format(m, n, k, flags),
        function(x, y) return ms.matmul(x, y, { ta = ta, tb = tb }) end, a, b)
    end
  end
end

function TestPrecision.test_matmul_of_views()
  need_bf16()
  local wide = ms.randn { 200, 600 }
  rounds_operands("every third column", function(x, y) return ms.matmul(x, y) end, wide[{ {}, { 1, -1, 3 } }], ms.randn { 200, 100 })
  rounds_operands("one row for all", function(x, y) return ms.matmul(x, y) end, ms.randn({ 1, 300 }):expand { 100, 300 },
    ms.randn { 300, 100 })
  rounds_operands("a batch of left matrices", function(x, y) return ms.matmul(x, y) end, ms.randn { 6, 50, 100 }, ms.randn { 100, 100 })
end

function TestPrecision.test_linear_and_its_gradients()
  need_bf16()
  local x, w = ms.randn { 256, 256 }, ms.randn { 256, 256 }
  rounds_operands("linear", function(a, b) return ms.linear(a, b) end, x, w)
  local g = ms.randn { 256, 256 }
  local function gradients(a, b, c)
    a, b = a:clone():requires_grad_(), b:clone():requires_grad_()
    return ms.grad((ms.linear(a, b) * c):sum(), { a, b })
  end
  rounds_operands("dx", function(a, b, c) return gradients(a, b, c)[1] end, x, w, g)
  rounds_operands("dw", function(a, b, c) return gradients(a, b, c)[2] end, x, w, g)
end

function TestPrecision.test_conv2d_and_its_gradient()
  need_bf16()
  for _, c in ipairs { { 32, 32, 3, 1, 16, 16 }, { 34, 17, 3, 2, 15, 13 }, { 16, 48, 5, 1, 9, 11 }, { 64, 32, 1, 1, 7, 7 } } do
    local from, to, k, stride, h, w = table.unpack(c)
    local x, f = ms.randn { 4, from, h, w }, ms.randn { to, from, k, k }
    local options = { stride = stride, padding = k // 2 }
    local what = ("conv2d %d to %d, %d x %d, stride %d"):format(from, to, k, k, stride)
    rounds_operands(what, function(a, b) return ms.conv2d(a, b, nil, options) end, x, f)
    if to % 2 == 0 then -- AVX512_BF16 wants channels in pairs
      local g = ms.randn(ms.conv2d(x, f, nil, options).shape)
      rounds_operands(what .. ", gradient of x", function(a, b, s)
        a = a:clone():requires_grad_()
        return (ms.grad((ms.conv2d(a, b, nil, options) * s):sum(), a))
      end, x, f, g)
    end
  end
end

-- Does this process multiply on AMX? MASCON_AMX=0 says no.
local function on_amx()
  local file = io.open "/proc/cpuinfo"
  local flags = file and file:read "a" or ""
  if file then file:close() end
  return flags:find "amx_bf16" ~= nil and os.getenv "MASCON_AMX" ~= "0" and not os.getenv "MASCON_ISA"
end

local function channels_last(t) return t:permute { 1, 3, 4, 2 }:contiguous():permute { 1, 4, 2, 3 } end

function TestPrecision.test_gradients_of_weights()
  need_bf16()
  for _, c in ipairs { { 16, 16, 3, 1, 28, 28 }, { 34, 17, 3, 2, 15, 13 }, { 24, 48, 5, 1, 9, 11 }, { 64, 32, 1, 1, 7, 7 } } do
    local from, to, k, stride, h, w = table.unpack(c)
    local x, options = ms.randn { 5, from, h, w }, { stride = stride, padding = k // 2 }
    local g = ms.randn(ms.conv2d(x, ms.randn { to, from, k, k }, nil, options).shape)
    local function gradient(a, s) return inside.conv2d_weight_grad(a, s, { k, k }, options) end
    for layout = 0, 3 do
      local a, s = layout % 2 == 1 and channels_last(x) or x, layout > 1 and channels_last(g) or g
      local what = ("%d to %d, %d x %d, stride %d, layout %d"):format(from, to, k, k, stride, layout)
      if on_amx() then rounds_operands(what, gradient, a, s)
      else near(in_bf16(gradient, a, s), gradient(a, s), what) end
    end
  end
end

-- On AMX products with ten columns are rounded, too; a gradient of 0 rows is zeros; no images, no results.
function TestPrecision.test_narrow_and_empty()
  need_bf16()
  if on_amx() then
    rounds_operands("ten columns", function(a, b) return ms.matmul(a, b) end, ms.randn { 256, 512 }, ms.randn { 512, 10 })
    rounds_operands("ten deep", function(a, b) return ms.matmul(a, b) end, ms.randn { 256, 10 }, ms.randn { 10, 512 })
    rounds_operands("nine rows", function(a, b) return ms.matmul(a, b) end, ms.randn { 9, 1000 }, ms.randn { 1000, 65 })
  end
  lu.assertEquals(in_bf16(function() return ms.matmul(ms.zeros { 64, 0 }, ms.zeros { 0, 64 }) end):abs():sum():item(), 0)
  lu.assertEquals(#in_bf16(function() return ms.matmul(ms.zeros { 0, 64 }, ms.zeros { 64, 64 }) end), 0)
  local x, f = ms.zeros { 0, 16, 8, 8 }, ms.ones { 16, 16, 3, 3 }
  local y = in_bf16(function() return ms.conv2d(x, f) end)
  lu.assertEquals(y.shape, { 0, 16, 6, 6 })
  lu.assertEquals(in_bf16(function() return inside.conv2d_weight_grad(x, y, { 3, 3 }) end):abs():sum():item(), 0)
end

-- This file again, in a process that may not use AMX.
function TestPrecision.test_without_amx()
  lu.skipIf(not can or not on_amx(), "no AMX to do without")
  local pipe = io.popen(([[MASCON_AMX=0 "$(readlink "/proc/$PPID/exe")" '%s' 2>&1]]):format(arg[0]))
  local said = pipe:read "a"
  lu.assertTrue(pipe:close(), said)
end

function TestPrecision.test_f64_and_small_products_are_what_they_were()
  need_bf16()
  local a, b = ms.randn({ 256, 256 }, { dtype = "f64" }), ms.randn({ 256, 256 }, { dtype = "f64" })
  same_bits(in_bf16(ms.matmul, a, b), ms.matmul(a, b))
  a, b = ms.randn { 5, 7 }, ms.randn { 7, 3 }
  same_bits(in_bf16(ms.matmul, a, b), ms.matmul(a, b))
end

function TestPrecision.test_numbers_that_are_none()
  need_bf16()
  local a, b = ms.randn { 128, 128 }, ms.ones { 128, 128 }
  a[3][5], a[7][9] = 1 / 0, 0 / 0
  local y = in_bf16(ms.matmul, a, b)
  lu.assertEquals(y[3][1]:item(), 1 / 0)
  local nan = y[7][128]:item()
  lu.assertTrue(nan ~= nan)
  lu.assertTrue(math.abs(y[8][1]:item()) < 100)
end

function TestPrecision.test_bits_do_not_depend_on_threads()
  need_bf16()
  local threads = ms.threads()
  local a, b, x, f = ms.randn { 200, 300 }, ms.randn { 300, 170 }, ms.randn { 5, 32, 20, 20 }, ms.randn { 48, 32, 3, 3 }
  local g = ms.randn { 5, 48, 18, 18 }
  local first
  for _, n in ipairs { 1, 2, 3, 5 } do
    ms.threads(n)
    local now = { in_bf16(function() return ms.matmul(a, b) end), in_bf16(function() return ms.conv2d(x, f) end),
      in_bf16(function() return inside.conv2d_input_grad(g, f, { 20, 20 }) end),
      in_bf16(function() return inside.conv2d_weight_grad(x, g, { 3, 3 }) end) }
    first = first or now
    same_bits(now, first, n .. " threads")
  end
  ms.threads(threads)
end

-- ---- steps -------------------------------------------------------------------------------------------------------------------------

local function trainer(compile)
  ms.seed(3)
  local net = nn.sequential { nn.conv2d(1, 16, 3, { padding = 1 }), nn.relu(), nn.conv2d(16, 32, 3, { stride = 2, padding = 1 }), nn.relu(),
    nn.flatten(), nn.linear(32 * 49, 64), nn.relu(), nn.linear(64, 10) }
  local adam = optim.adam(net:parameters(), { lr = 1e-3 })
  local x, y = ms.randn { 64, 1, 14, 14 }, ms.randint(1, 10, { 64 })
  local function step(a, b)
    local loss = nn.cross_entropy(net(a), b)
    adam:zero_grad()
    loss:backward()
    adam:step()
    return loss
  end
  step = compile and ms.compile(step) or step
  return function() return step(x, y):item() end
end

local function losses(precision, compile, n)
  ms.precision(precision)
  local step, list = trainer(compile), {}
  for i = 1, n do list[i] = step() end
  restore()
  return list
end

function TestPrecision.test_training_goes_down()
  need_bf16()
  local plain, eager, replayed = losses("f32", false, 20), losses("bf16", false, 20), losses("bf16", true, 20)
  lu.assertTrue(eager[20] < 0.5 * eager[1], eager)
  for i = 1, 20 do
    lu.assertAlmostEquals(eager[i], plain[i], 0.1 * plain[i])
    lu.assertAlmostEquals(replayed[i], eager[i], 0.02 * eager[i])
  end
  lu.assertNotEquals(eager[1], plain[1])
end

function TestPrecision.test_a_step_goes_by_the_precision_it_is_called_under()
  need_bf16()
  local w = ms.randn { 256, 256 }
  local step = ms.compile(function(x) return ms.matmul(x, w) end)
  local function check(precision, x)
    ms.precision "f32"
    local exact = ms.matmul(x, w)
    ms.precision(precision)
    local given = step(x)
    ms.precision "f32"
    if precision == "f32" then near(given, exact, precision)
    else
      near(given, ms.matmul(rounded(x), rounded(w)), precision)
      differs(given, exact, precision)
    end
  end
  for round = 1, 3 do
    for _, precision in ipairs(round % 2 == 1 and { "f32", "bf16" } or { "bf16", "f32" }) do
      for _ = 1, 5 do check(precision, ms.randn { 128, 256 }) end
    end
  end
  lu.assertTrue(compiled.replays(step))
end

-- ---- ms.deterministic --------------------------------------------------------------------------------------------------------------

TestDeterministic = { tearDown = restore }

function TestDeterministic.test_true_unless_said_otherwise()
  lu.assertIsTrue(ms.deterministic())
  lu.assertIsFalse(ms.deterministic(false))
  lu.assertIsFalse(ms.deterministic())
  lu.assertIsFalse(ms.deterministic(nil))
  lu.assertIsTrue(ms.deterministic(true))
  raises({ "boolean expected, got number" }, ms.deterministic, 1)
  raises({ "boolean expected, got string" }, ms.deterministic, "no")
  lu.assertIsTrue(ms.deterministic())
end

-- What is summed over parts whose number the setting decides: a long product, and gradients of a convolution's weights.
local function results(a, b, x, f)
  f = f:clone():requires_grad_()
  local y = ms.conv2d(x, f, nil, { padding = 1 })
  return { ms.matmul(a, b), (ms.grad((y * y):sum(), f)) }
end

function TestDeterministic.test_results_agree()
  local threads = ms.threads()
  local a, b, x, f = ms.randn { 3, 100000 }, ms.randn { 100000, 5 }, ms.randn { 20, 16, 20, 20 }, ms.randn { 32, 16, 3, 3 }
  ms.threads(1)
  local first = results(a, b, x, f)
  for _, n in ipairs { 1, 2, 3 } do
    ms.threads(n)
    ms.deterministic(true)
    same_bits(results(a, b, x, f), first, n .. " threads")
    ms.deterministic(false)
    for i, r in ipairs(results(a, b, x, f)) do near(r, first[i], ("result %d, %d threads, any order"):format(i, n)) end
  end
  ms.threads(threads)
end

-- A step prepared for one thread has room for one: more threads later must not take what is not theirs.
function TestDeterministic.test_more_threads_than_when_the_step_was_made()
  local threads = ms.threads()
  for _, on in ipairs { true, false } do
    ms.deterministic(on)
    ms.threads(1)
    local p, q, z, a, b = ms.randn { 128, 128 }, ms.randn { 128, 128 }, ms.ones { 60, 60 }, ms.randn { 8, 65536 }, ms.randn { 65536, 8 }
    local step = ms.compile(function()
      local t = z:cumsum(1)
      local c, d = p:matmul(q), a:matmul(b)
      return c, d, t:cumsum(2):sum()
    end)
    for _ = 1, 4 do step() end
    local c, d, sum = step()
    ms.threads(8)
    local c8, d8, sum8 = step()
    ms.threads(threads)
    lu.assertEquals(sum8:item(), sum:item())
    lu.assertTrue((c8 - c):abs():amax():item() <= 1e-4)
    lu.assertTrue((d8 - d):abs():amax():item() <= 1e-2)
  end
end

-- The same call, replayed under the one setting and the other, gives what the eager call gives under it.
function TestDeterministic.test_a_step_goes_by_the_setting_it_is_called_under()
  local threads = ms.threads()
  ms.threads(1)
  local a, b = ms.randn { 3, 100000 }, ms.randn { 100000, 5 }
  local step = ms.compile(function(x, y) return ms.matmul(x, y) end)
  local eager = {}
  for _, on in ipairs { true, false } do
    ms.deterministic(on)
    eager[on] = ms.matmul(a, b)
  end
  local told_apart = (eager[true] - eager[false]):abs():amax():item() > 0
  for round = 1, 2 do
    for _, on in ipairs { round == 1, round == 2 } do
      ms.deterministic(on)
      for _ = 1, 5 do same_bits(step(a, b), eager[on], tostring(on)) end
    end
  end
  ms.threads(threads)
  lu.assertTrue(told_apart, "this product does not tell the settings apart")
end

os.exit(lu.LuaUnit.run())
