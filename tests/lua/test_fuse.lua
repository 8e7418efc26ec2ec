-- Chains (runtime/step/fuse.c): a compiled step's elementwise operations run as one pass, and give the bits of the single operations.
-- luacheck: globals TestChains TestReports
local lu = require "luaunit"
local ms = require "mascon"
local inside = require "mascon.inside"

local stress = (os.getenv "STRESS" or "") ~= "" -- a Lua that collects all the time

-- ---- the same bits ----------------------------------------------------------------------------------------------------------------

-- Equal element by element: NaN equals NaN, 0 and -0 differ.
local function same(a, b)
  if a.dtype ~= b.dtype or table.concat(a.shape, " ") ~= table.concat(b.shape, " ") then return false end
  if a:numel() == 0 then return true end
  if a.dtype ~= "f32" and a.dtype ~= "f64" then return a:eq(b):all():item() end
  local both_nan = a:isnan():logical_and(b:isnan())
  local equal = a:eq(b):logical_and((1 / a):eq(1 / b))
  return equal:logical_or(both_nan):all():item()
end

-- A small generator of its own, so that a failing program can be named by its seed.
local function generator(seed)
  local state = seed * 2654435761 % 2 ^ 32 | 1
  return function(n)
    state = (state * 1664525 + 1013904223) & 0xffffffff
    return (state >> 8) % n + 1
  end
end

local UNARY = { "neg", "abs", "square", "sqrt", "exp", "tanh", "sigmoid", "relu", "reciprocal", "sin", "floor", "softplus", "gelu" }
local BINARY = { "add", "sub", "mul", "div", "maximum", "minimum", "pow", "tanh_grad", "relu_grad", "leaky_relu", "add", "mul" }
local COMPARE = { "lt", "ge", "eq", "ne" }

-- A random program over tensors of `shape`: a function of the operands that gives several results. Programs are lists of instructions, so
-- that eager and compiled runs are the same Lua.
local function program(seed, length)
  local pick, code = generator(seed), {}
  for i = 1, length do
    code[i] = { kind = pick(12), a = pick(1000), b = pick(1000), c = pick(1000), op = pick(1000), out = pick(3) == 1 }
  end
  code[length].out = true
  code.sum = pick(6)
  return code
end

local function run(code, operands, numbers)
  local values, out = {}, {}
  local function value(k) -- the later ones more often, so that chains form
    local all = #operands + #values
    if k % 3 ~= 0 and #values > 0 then return values[#values - k % math.min(#values, 3)] end
    k = k % all + 1
    return k <= #operands and operands[k] or values[k - #operands]
  end
  local full = operands[1]
  for i = 1, #code do
    local c = code[i]
    local a, b = value(c.a), value(c.b)
    local r
    if c.kind <= 3 then r = a[UNARY[c.op % #UNARY + 1]](a)
    elseif c.kind <= 7 then
      local name = BINARY[c.op % #BINARY + 1]
      r = (rawget(inside, name) or a[name])(a, b)
    elseif c.kind == 8 then r = a * numbers[c.op % #numbers + 1]
    elseif c.kind == 9 then r = numbers[c.op % #numbers + 1] - a
    elseif c.kind == 10 then r = ms.where(a[COMPARE[c.op % #COMPARE + 1]](a, b), a, value(c.c))
    elseif c.kind == 11 then r = a:pow(({ 2, 0.5, 3 })[c.op % 3 + 1])
    else r = a:cast(a.dtype == "f64" and "f32" or "f64"):cast(a.dtype) + b
    end
    if #r.shape < #full.shape or r:numel() ~= full:numel() then r = r + full end
    if c.op % 11 == 0 then r:mul_(1.25) end
    values[#values + 1] = r
    if c.out then out[#out + 1] = r end
  end
  local last = values[#values]
  if code.sum == 1 then out[#out + 1] = last:sum()
  elseif code.sum == 2 then out[#out + 1] = last:mean()
  elseif code.sum == 3 and #last.shape > 1 then out[#out + 1] = last:sum(1)
  elseif code.sum == 4 and #last.shape > 1 then out[#out + 1] = last:mean { 1, 2 }
  end
  return table.unpack(out)
end

-- Operands of a space: full ones, a row, a column, one per channel, one element, a transposed one.
local function operands(shape, dtype)
  local list, n = {}, #shape
  local function draw(s) list[#list + 1] = ms.randn(s):to(dtype) end
  draw(shape)
  draw(shape)
  draw { shape[n] }
  draw {}
  if n > 1 then
    local column, channel, turned = {}, {}, {}
    for i = 1, n do column[i], channel[i], turned[i] = i == n and 1 or shape[i], i == 2 and shape[i] or 1, shape[n + 1 - i] end
    draw(column)
    draw(channel)
    local order = {}
    for i = 1, n do order[i] = n + 1 - i end
    list[#list + 1] = ms.randn(turned):to(dtype):permute(order)
  end
  return list
end

local function check(shape, dtype, seed, length)
  local scope <close> = ms.scope() -- luacheck: ignore 211
  local code, list = program(seed, length), operands(shape, dtype)
  local constants = { 1.5, -0.25, 3 }
  local step = ms.compile(function(x, rate) return run(code, x, { rate, table.unpack(constants) }) end)
  for call = 1, 5 do
    list[1] = ms.randn(shape):to(dtype)
    local rate = 0.5 + call / 7
    local want = table.pack(run(code, list, { rate, table.unpack(constants) }))
    local got = table.pack(step(list, rate))
    lu.assertEquals(got.n, want.n)
    for k = 1, want.n do
      if not same(got[k], want[k]) then
        lu.fail(("seed %d, %s %s, call %d: result %d differs\n%s"):format(seed, table.concat(shape, " x "), dtype, call, k, step:report()))
      end
    end
  end
  return step
end

TestChains = {}

local SHAPES = {
  { 1 }, { 7 }, { 63 }, { 64 }, { 65 }, { 1000 }, { 4096 }, { 3 * 1024 + 7 }, { 70001 }, { 1, 1 }, { 3, 5 }, { 64, 8 }, { 5, 513 },
  { 600, 9 },  { 520, 130 }, { 64, 784 }, { 2, 3, 4, 5 }, { 4, 16, 7, 7 }, { 3, 4, 30, 30 }, { 2, 1, 33 }, { 0 }, { 4, 0 },
}

for _, dtype in ipairs { "f32", "f64" } do
  for _, threads in ipairs { 1, 2, 3 } do
    TestChains[("test_random_programs_%s_%d_threads"):format(dtype, threads)] = function()
      local before = ms.threads()
      ms.threads(threads)
      ms.seed(threads)
      local chained = 0
      for i, shape in ipairs(SHAPES) do
        for k = 1, stress and 1 or threads < 3 and 6 or 2 do
          local step = check(shape, dtype, i * 100 + k * 7 + threads, 2 + (k * 5 + i) % 11)
          chained = chained + tonumber(step:report():match "(%d+) in fused chains")
        end
      end
      lu.assertTrue(chained > (stress and 20 or 60), chained) -- the programs do make chains
      ms.threads(before)
    end
  end
end

function TestChains.test_around_the_ends_of_strips()
  for strip = 128, 2048, stress and 1920 or 384 do
    for _, n in ipairs { strip - 1, strip, strip + 1, 3 * strip + 7 } do check({ n }, "f32", n, 9) end
  end
end

function TestChains.test_sums_do_not_depend_on_threads()
  local x = ms.randn { 1500, 70 }
  local f = function(t)
    local y = (t * 3):exp()
    return y:sum(), (y + 1):mean(1), (t:square() - 1):mean()
  end
  local before, want = ms.threads(), nil
  for threads = 1, 4 do
    ms.threads(threads)
    local step, got = ms.compile(f), nil
    for _ = 1, 4 do got = { step(x) } end
    want = want or { f(x) }
    for k = 1, 3 do lu.assertTrue(same(got[k], want[k])) end
  end
  ms.threads(before)
end

function TestChains.test_in_place_and_outside()
  local state = ms.keep(ms.zeros { 300 })
  local x = ms.randn { 300 }
  local f = function(t)
    state:mul_(0.5)
    state:add_(t * 2)
    return state:sqrt() + t, t - state
  end
  local step, shadow = ms.compile(f), ms.zeros { 300 }
  for _ = 1, 6 do
    local a, b = step(x)
    shadow = shadow * 0.5 + x * 2
    lu.assertTrue(same(state, shadow))
    lu.assertTrue(same(a, shadow:sqrt() + x))
    lu.assertTrue(same(b, x - shadow))
  end
end

-- A value is read whole between two writes: nothing may be moved across.
-- What a sum reads changes behind it: the sum is of the elements as they were.
function TestChains.test_a_sum_before_a_change()
  for _, n in ipairs { 8, 5000, 100000 } do
    local x = ms.randn { n }
    local function f(t)
      local r = t * 2 + 1
      local s = r:sum()
      r:mul_(1.25):add_(3)
      return s, r, r:mean()
    end
    local want = table.pack(f(x))
    local step = ms.compile(f)
    for _ = 1, 4 do
      local got = table.pack(step(x))
      for i = 1, 3 do lu.assertAlmostEquals(got[i]:sum():item(), want[i]:sum():item(), 1e-5 * n) end
    end
  end
end

function TestChains.test_order_is_kept()
  local x = ms.randn { 20, 30 }
  local f = function(t)
    local a = t * 2
    local total = a:sum(2, { keepdim = true })
    a:add_(1)
    local b = a / total
    a:add_(total)
    return b, a, a:transpose():contiguous() * 2
  end
  local step = ms.compile(f)
  for _ = 1, 5 do
    local a, b, c = step(x)
    local p, q, r = f(x)
    lu.assertTrue(same(a, p))
    lu.assertTrue(same(b, q))
    lu.assertTrue(same(c, r))
  end
end

-- f(x, w) by itself and as a step, both from the same x each time, which f may change.
local function agrees(f)
  local x, w = ms.randn { 96, 96 }, ms.randn { 96, 96 } -- more than a strip
  local step = ms.compile(f)
  for call = 1, 5 do
    local mine, its = x:clone(), x:clone()
    local want, got = table.pack(f(mine, w)), table.pack(step(its, w))
    for k = 1, want.n do lu.assertTrue(same(got[k], want[k]), ("call %d, result %d\n%s"):format(call, k, step:report())) end
    lu.assertTrue(same(its, mine), ("call %d: the argument\n%s"):format(call, step:report()))
  end
end

-- Elements of a member's result, but not one by one: it must be there whole.
function TestChains.test_a_value_read_in_another_order()
  agrees(function(t)
    local a = t * 2
    return a + a:transpose(), a - a:slice(1, 1, 1), a * a:slice(2, 3, 1)
  end)
  agrees(function(t)
    local a = t:transpose() + t
    t:mul_(2) -- not before all of t was read
    return a + t
  end)
  agrees(function(t)
    local a = t + t:slice(1, 2, 1)
    t:add_(a)
    return t:exp() * a
  end)
end

-- A result may lie where an operand lay, if nobody needs that any more.
function TestChains.test_memory_of_an_operand()
  agrees(function(t, w)
    local m = t:matmul(w)
    local p = m * 2
    return (m + p):matmul(w), p:matmul(w) -- m is read behind p
  end)
  agrees(function(t, w)
    local m = t:matmul(w)
    local p = (m * 2):tanh()
    local q = p:matmul(w)
    return q:matmul(m) + p -- m lives on
  end)
  agrees(function(t, w)
    local m = t:matmul(w)
    local p = m * m:transpose() -- not element for element
    return p:matmul(w)
  end)
  agrees(function(t, w)
    local m = t:matmul(w)
    local p = m:relu()
    return p:matmul(w) + p:sigmoid():matmul(w)
  end)
end

-- A copy whose original, or which itself, is changed afterwards.
function TestChains.test_copies_that_are_needed()
  agrees(function(t, w)
    local m = t:matmul(w)
    local c = m:clone()
    c:add_(1)
    return m:matmul(c)
  end)
  agrees(function(t, w)
    local m = t:matmul(w)
    local c = m:clone()
    m:add_(1)
    return m:matmul(c)
  end)
  agrees(function(t, w)
    local c = t:clone()
    t:mul_(0.5)
    return c:matmul(w), t:matmul(w)
  end)
  agrees(function(t, w)
    local c = t:clone()
    return c:matmul(w) + t:clone(), c
  end)
end

function TestChains.test_random_numbers_keep_their_order()
  local f = function(t)
    local a = t + ms.rand { 50 }
    local b = t * ms.rand { 50 }
    return a - b, a:square(), ms.rand { 3 }
  end
  local x, step, want = ms.randn { 50 }, ms.compile(f), {}
  ms.seed(5)
  for i = 1, 5 do want[i] = { f(x) } end
  ms.seed(5)
  for i = 1, 5 do
    local got = { step(x) }
    for k = 1, 3 do lu.assertTrue(same(got[k], want[i][k]), ("call %d, result %d"):format(i, k)) end
  end
end

-- Can these tests fail?
function TestChains.test_same_tells_apart()
  local x = ms.tensor { 1, 0, -2 }
  lu.assertTrue(same(x, x:clone()))
  lu.assertFalse(same(x, ms.tensor { 1, -0.0, -2 }))
  lu.assertFalse(same(x, ms.tensor { 1, 0, -2.0000002 }))
  lu.assertFalse(same(x, ms.tensor { 1, 0, 0 / 0 }))
  lu.assertTrue(same(ms.tensor { 0 / 0 }, ms.tensor { 0 / 0 }))
  lu.assertFalse(same(ms.tensor { true }, ms.tensor { false }))
end

-- ---- what it is for ---------------------------------------------------------------------------------------------------------------

TestReports = {}

local function numbers(step) -- operations replayed, recorded, in chains, megabytes planned, megabytes eager
  local text = step:report()
  local calls, recorded = text:match "(%d+) operations replayed of (%d+) recorded"
  local planned, eager = text:match "([%d.]+) MB planned against ([%d.]+) MB eager"
  return tonumber(calls), tonumber(recorded), tonumber(text:match "(%d+) in fused chains"), tonumber(planned), tonumber(eager), text
end

function TestReports.test_a_chain_is_one_operation_without_memory_between()
  local x, bias = ms.randn { 512, 512 }, ms.randn { 512 }
  local step = ms.compile(function(t) return ((t + bias):relu() * 2 - 1):tanh():sum() end)
  for _ = 1, 4 do step(x) end
  local calls, recorded, chained, planned, eager, text = numbers(step)
  lu.assertEquals(recorded, 6)
  lu.assertEquals(calls, 1)
  lu.assertEquals(chained, 6)
  lu.assertTrue(planned < 0.01, text)
  lu.assertTrue(eager > 4, text)
  local line = debug.getinfo(1, "l").currentline - 8
  lu.assertStrContains(text, ("add:%d + relu:%d"):format(line, line))
end

function TestReports.test_a_result_used_elsewhere_is_kept()
  local x, w = ms.randn { 64, 64 }, ms.randn { 64, 64 }
  local step = ms.compile(function(t)
    local a = (t * 2):tanh()
    return (a:matmul(w) + a):relu()
  end)
  local want = ((x * 2):tanh():matmul(w) + (x * 2):tanh()):relu()
  for _ = 1, 4 do lu.assertTrue(same(step(x), want)) end
  local calls = numbers(step)
  lu.assertEquals(calls, 2)
end

function TestReports.test_a_copy_that_nobody_needs_is_not_made()
  local x, w = ms.randn { 64, 64 }, ms.randn { 64, 64 }
  w.requires_grad = true
  local step = ms.compile(function(t)
    w.grad = nil
    t:matmul(w):sum():backward()
  end)
  for _ = 1, 4 do step(x) end
  lu.assertNil(step:report():find("clone", 1, true), step:report())
  local want = x:transpose():matmul(ms.ones { 64, 64 })
  lu.assertTrue((w.grad - want):abs():amax():item() < 1e-4)
end

os.exit(lu.LuaUnit.run())
