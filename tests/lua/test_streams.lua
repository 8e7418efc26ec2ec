-- Random numbers to the last bit: how many random bits a number has, that none is used twice, and distributions by chi-square. That the
-- bits are the same on every processor: tests/sh/test_random.sh.
-- gcstress: every 100
local lu = require "luaunit"
local ms = require "mascon"

TestBits = {}
function TestBits.setUp() ms.seed(1) end

function TestBits.test_integers_of_the_whole_range()
  local v = ms.randint(math.mininteger, math.maxinteger, { 4000 }):totable()
  local seen, ones = {}, 0
  for _, n in ipairs(v) do
    lu.assertNil(seen[n])
    seen[n] = true
    for bit = 0, 63 do ones = ones + (n >> bit & 1) end
  end
  local n = 4000 * 64
  lu.assertTrue(math.abs(ones - n / 2) < 5 * math.sqrt(n / 4), ones)
  v = ms.randint(math.maxinteger - 1, math.maxinteger, { 100 })
  lu.assertEquals({ v:min():item(), v:max():item() }, { math.maxinteger - 1, math.maxinteger })
end

function TestBits.test_no_bits_of_a_number_are_those_of_the_next()
  local v = ms.randint(0, (1 << 62) - 1, { 4000 }):totable()
  for k = 1, #v - 1 do
    lu.assertTrue(v[k] & ((1 << 30) - 1) ~= v[k + 1] >> 32)
    lu.assertTrue(v[k] >> 32 ~= v[k + 1] & ((1 << 30) - 1))
  end
end

function TestBits.test_bounds_outside_the_dtype_are_errors()
  lu.assertErrorMsgContains("randint: 1..300 does not fit into u8", ms.randint, 1, 300, { 4 }, { dtype = "u8" })
  lu.assertErrorMsgContains("does not fit into i32", ms.randint, -1, 1 << 31, { 4 }, { dtype = "i32" })
  lu.assertEquals(ms.randint(0, 255, { 4 }, { dtype = "u8" }).dtype, "u8")
end

function TestBits.test_f64_has_53_random_bits()
  for _, x in ipairs { ms.rand({ 1000 }, { dtype = "f64" }), ms.rand({ 1000 }, 0, 1, { dtype = "f64" }) } do
    local scaled = x * 2 ^ 52
    lu.assertFalse(scaled:eq(scaled:floor()):all():item())
    scaled = x * 2 ^ 53
    lu.assertTrue(scaled:eq(scaled:floor()):all():item())
  end
  local z = ms.randn({ 1000 }, { dtype = "f64" })
  lu.assertFalse(z:eq(z:to("f32"):to("f64")):any():item())
end

function TestBits.test_a_probability_is_met_to_the_last_of_32_bits()
  ms.seed(5)
  lu.assertEquals(ms.bernoulli({ 1000000 }, 1e-9):sum():item(), 0) -- 24 bits would have given about 60 in 10^9
end

function TestBits.test_the_stream_has_a_number() lu.assertEquals(ms.rng_version, 2) end

function TestBits.test_a_draw_moves_the_counter_by_what_it_took()
  local function took(f)
    local _, before = ms.rng_state()
    f()
    local _, after = ms.rng_state()
    return after - before
  end
  lu.assertEquals(took(function() ms.rand { 9 } end), 3)
  lu.assertEquals(took(function() ms.rand({ 9 }, { dtype = "f64" }) end), 5)
  lu.assertEquals(took(function() ms.randint(1, 6, { 9 }) end), 5)
  lu.assertEquals(took(function() ms.randperm(9) end), 5)
  local step = ms.compile(function() return ms.randn({ 9 }, { dtype = "f64" }), ms.randperm(7) end)
  for _ = 1, 5 do lu.assertEquals(took(step), 9) end
end

-- Two draws share no words: a block of four belongs to one of them.
function TestBits.test_draws_that_follow_do_not_overlap()
  local seen = {}
  for _ = 1, 200 do
    for _, t in ipairs { ms.rand({ 3 }, { dtype = "f64" }), ms.randint(math.mininteger, math.maxinteger, { 3 }):to("f64") } do
      for _, v in ipairs(t:totable()) do
        lu.assertNil(seen[v])
        seen[v] = true
      end
    end
  end
end

-- Also in a replay, where the number is another one by then.
function TestBits.test_distributions_that_there_are_not()
  lu.assertErrorMsgContains("rand: low 1, high 0", ms.rand, { 2 }, 1, 0)
  lu.assertErrorMsgContains("rand: low 0, high inf", ms.rand, { 2 }, 0, math.huge)
  lu.assertErrorMsgContains("randn: std = -1", ms.randn, { 2 }, 0, -1)
  lu.assertErrorMsgContains("bernoulli: p = 1.5", ms.bernoulli, { 2 }, 1.5)
  local x = ms.zeros { 2 }
  local step = ms.compile(function(v, p) return v + ms.bernoulli({ 2 }, p) + ms.randn({ 2 }, 0, p) + ms.rand({ 2 }, 0, p) end)
  for _, p in ipairs { 0.5, 0.25, 0.5, 0.125, 0.75 } do step(x, p) end
  lu.assertErrorMsgContains("bernoulli: p = 2", step, x, 2.0)
  lu.assertErrorMsgContains("expected", step, x, -1.0)
  lu.assertEquals(step(x, 0.0).shape, { 2 })
end

TestChiSquare = {}

-- Counts in equally likely cells: chi-square of `cells` - 1 degrees of freedom, within five deviations.
local function fair(counts, n, what)
  local cells, sum = #counts, 0
  for _, c in ipairs(counts) do sum = sum + (c - n / cells) ^ 2 / (n / cells) end
  local off = (sum - (cells - 1)) / math.sqrt(2 * (cells - 1))
  lu.assertTrue(math.abs(off) < 5, ("%s: chi-square %.1f with %d cells"):format(what, sum, cells))
end

local function counts_of(x, cells) -- x in 0 .. 1
  local at = (x:double() * cells):floor():long():totable()
  local counts = {}
  for k = 1, cells do counts[k] = 0 end
  for _, k in ipairs(at) do counts[k + 1] = counts[k + 1] + 1 end
  return counts
end

local N, CELLS = 100000, 100

function TestChiSquare.test_uniform_and_normal()
  ms.seed(11)
  for _, dtype in ipairs { "f32", "f64" } do
    fair(counts_of(ms.rand({ N }, { dtype = dtype }), CELLS), N, "rand " .. dtype)
    local z = ms.randn({ N }, { dtype = dtype }):double()
    local share = (1 + (z * math.sqrt(0.5)):erf()) / 2 -- the distribution function makes them uniform
    fair(counts_of(share:clamp(0, 1 - 1e-12), CELLS), N, "randn " .. dtype)
    local odd, even = z[{ { 1, -1, 2 } }], z[{ { 2, -1, 2 } }] -- the two of a pair: their angle is uniform
    fair(counts_of((ms.atan2(odd, even) / (2 * math.pi) + 0.5):clamp(0, 1 - 1e-12), CELLS), N / 2, "angles " .. dtype)
    for _, tail in ipairs { { 3, 0.0026997960632602 }, { 4, 6.3342483666239e-05 } } do
      local p = tail[2]
      lu.assertTrue(math.abs(z:abs():gt(tail[1]):sum():item() - N * p) < 5 * math.sqrt(N * p) + 1, dtype)
    end
  end
  fair(counts_of((ms.randint(0, 99, { N }):double() + 0.5) / 100, CELLS), N, "randint")
end
