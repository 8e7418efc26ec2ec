-- Random numbers: distributions, reproducibility, independence of the number of threads. The generator is Philox 4x32-10.
-- gcstress: every 100
-- luacheck: globals TestDistributions TestSeeds
local lu = require "luaunit"
local ms = require "mascon"
local inside = require "mascon.inside"
local rows = require "rows"

local function statistics(t)
  local x = t:double()
  local mean = x:mean():item()
  local d = x - mean
  local variance = (d * d):mean():item()
  return mean, variance, (d * d * d):mean():item() / variance ^ 1.5, (d * d * d * d):mean():item() / variance ^ 2, x
end

-- |got - want| within five standard errors: wrong once in two million correct runs, and the seed is fixed.
local function within(got, want, deviation, n, what)
  local error = math.abs(got - want)
  local limit = 5 * deviation / math.sqrt(n)
  local near = error < limit -- false for NaN
  if not near then lu.fail(("%s: got %.6g, expected %.6g within %.2g"):format(what, got, want, limit)) end
end

-- Is the share of x below v, for each v, what F(v) says?
local function follows(x, distribution, points)
  local n = x:numel()
  for _, v in ipairs(points) do
    local p = distribution(v)
    within(x:le(v):sum():item() / n, p, math.sqrt(p * (1 - p)), n, ("share below %g"):format(v))
  end
end

local N = 200000

TestDistributions = {}
function TestDistributions.setUp() ms.seed(7) end

function TestDistributions.test_rand_is_uniform()
  for _, dtype in ipairs { "f32", "f64" } do
    local t = ms.rand({ N }, { dtype = dtype })
    lu.assertEquals(t.dtype, dtype)
    local mean, variance, _, kurtosis, x = statistics(t)
    within(mean, 0.5, math.sqrt(1 / 12), N, "mean")
    within(variance, 1 / 12, math.sqrt(1 / 180), N, "variance")
    lu.assertAlmostEquals(kurtosis, 1.8, 0.02)
    lu.assertTrue(x:amin():item() >= 0 and x:amin():item() < 1e-4)
    lu.assertTrue(x:amax():item() < 1 and x:amax():item() > 1 - 1e-4)
    follows(x, function(v) return v end, { 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99 })
  end
end

function TestDistributions.test_rand_between_bounds_never_reaches_the_upper_one()
  for _, bounds in ipairs { { -3, 5 }, { 5, 6 }, { 1000, 1001 }, { -1e-3, 0 } } do
    local low, high = table.unpack(bounds)
    local x = ms.rand({ N }, low, high)
    lu.assertTrue(x:amin():item() >= low)
    lu.assertTrue(x:amax():item() < high, ("the largest of rand(%g, %g) is %.9g"):format(low, high, x:amax():item()))
    within(x:double():mean():item(), (low + high) / 2, (high - low) / math.sqrt(12), N, "mean")
  end
end

function TestDistributions.test_randn_is_normal()
  for _, dtype in ipairs { "f32", "f64" } do
    local mean, variance, skewness, kurtosis, x = statistics(ms.randn({ N }, { dtype = dtype }))
    within(mean, 0, 1, N, "mean")
    within(variance, 1, math.sqrt(2), N, "variance")
    within(skewness, 0, math.sqrt(6), N, "skewness")
    within(kurtosis, 3, math.sqrt(24), N, "kurtosis")
    lu.assertTrue(x:isfinite():all():item())
    lu.assertTrue(x:abs():amax():item() > 4 and x:abs():amax():item() < 7)
    -- values of the normal distribution function (Abramowitz and Stegun, table 26.1)
    local known = { [-2] = 0.0227501319, [-1] = 0.1586552539, [0] = 0.5, [0.5] = 0.6914624613, [1] = 0.8413447461, [2] = 0.9772498681 }
    follows(x, function(v) return known[v] end, { -2, -1, 0, 0.5, 1, 2 })
  end
end

function TestDistributions.test_randn_with_mean_and_deviation()
  local mean, variance = statistics(ms.randn({ N }, 3, 0.5))
  within(mean, 3, 0.5, N, "mean")
  within(variance, 0.25, 0.25 * math.sqrt(2), N, "variance")
end

function TestDistributions.test_neighbours_are_uncorrelated()
  for _, draw in ipairs { function() return ms.rand { N } - 0.5 end, function() return ms.randn { N } end } do
    local x = draw():double()
    local variance = x:square():mean():item()
    for lag = 1, 9 do
      local r = (x[{ { 1, N - lag } }] * x[{ { 1 + lag, N } }]):mean():item() / variance
      within(r, 0, 1, N, "correlation at lag " .. lag)
    end
  end
end

function TestDistributions.test_randint_takes_every_value_equally_often()
  local x = ms.randint(-2, 4, { N })
  lu.assertEquals(x.dtype, "i64")
  lu.assertEquals({ x:amin():item(), x:amax():item() }, { -2, 4 })
  for v = -2, 4 do within(x:eq(v):sum():item() / N, 1 / 7, math.sqrt(6) / 7, N, "share of " .. v) end
  lu.assertEquals(ms.randint(3, 3, { 4 }):totable(), { 3, 3, 3, 3 })
  local wide = ms.randint(0, (1 << 40) - 1, { 1000 })
  lu.assertTrue(wide:amax():item() > 1 << 39)
  lu.assertTrue(wide:remainder(1024):ne(0):any():item())
end

function TestDistributions.test_bernoulli()
  for _, p in ipairs { 0.1, 0.5, 0.93 } do
    local x = ms.bernoulli({ N }, p)
    within(x:mean():item(), p, math.sqrt(p * (1 - p)), N, "mean")
    lu.assertTrue(x:mul(1 - x):eq(0):all():item())
  end
  lu.assertEquals(ms.bernoulli({ 1000 }, 0):sum():item(), 0)
  lu.assertEquals(ms.bernoulli({ 1000 }, 1):sum():item(), 1000)
end

function TestDistributions.test_randperm_is_a_permutation_and_every_one_is_as_likely()
  for _, n in ipairs { 1, 2, 5, 1000 } do
    lu.assertEquals((ms.randperm(n):sort()):totable(), ms.arange(1, n, { dtype = "i64" }):totable())
  end
  lu.assertEquals(ms.randperm(0).shape, { 0 })
  local seen, times = {}, 6000
  for _ = 1, times do
    local key = table.concat(ms.randperm(3):totable())
    seen[key] = (seen[key] or 0) + 1
  end
  for _, key in ipairs { "123", "132", "213", "231", "312", "321" } do
    within((seen[key] or 0) / times, 1 / 6, math.sqrt(5) / 6, times, key)
  end
end

function TestDistributions.test_dropout_keeps_the_mean_while_training_and_is_nothing_otherwise()
  local x = ms.ones { N }
  local y = x:dropout(0.3)
  within(y:mean():item(), 1, math.sqrt(0.3 / 0.7), N, "mean")
  within(y:eq(0):sum():item() / N, 0.3, math.sqrt(0.21), N, "share of zeros")
  lu.assertEquals(x:dropout(0.3, false):totable()[17], 1)
  lu.assertTrue(x:dropout(0):eq(1):all():item())
  lu.assertErrorMsgContains("dropout: p = 1.5, expected 0 <= p <= 1", function() return x:dropout(1.5) end)
end

-- ---- seeds ------------------------------------------------------------------------------------------------------------------------

TestSeeds = {}

local draws = {
  rand = function() return ms.rand { 1001 } end,
  randn = function() return ms.randn { 1001 } end,
  randint = function() return ms.randint(1, 1000000, { 1001 }) end,
  bernoulli = function() return ms.bernoulli { 1001 } end,
  randperm = function() return ms.randperm(1001) end,
  dropout = function() return ms.ones({ 1001 }):dropout(0.5) end,
  bernoulli_of = function() return ms.full({ 1001 }, 0.5):bernoulli() end,
  multinomial = function() return ms.ones({ 50 }):multinomial(1001, true) end,
  normal = function() return ms.normal(ms.zeros { 1001 }, 1) end,
  uniform_ = function() return ms.zeros({ 1001 }):uniform_() end,
  normal_ = function() return ms.zeros({ 1001 }):normal_() end,
  bernoulli_ = function() return ms.zeros({ 1001 }):bernoulli_() end,
  random_ = function() return ms.zeros({ 1001 }):random_(1, 1000000) end,
}

function TestSeeds.test_every_random_row_is_here()
  for _, row in ipairs(rows.all) do
    if row.random then lu.assertNotNil(draws[row.name], row.name) end
  end
end

function TestSeeds.test_the_same_seed_gives_the_same_numbers_and_calls_differ()
  for name, draw in pairs(draws) do
    ms.seed(3)
    local first, second = draw():totable(), draw():totable()
    lu.assertNotEquals(first, second, name)
    ms.seed(3)
    lu.assertEquals(draw():totable(), first, name)
    lu.assertEquals(draw():totable(), second, name)
    ms.seed(4)
    lu.assertNotEquals(draw():totable(), first, name)
  end
end

function TestSeeds.test_two_draws_are_one_longer_draw() -- nothing is skipped, nothing given twice
  ms.seed(5)
  local whole = ms.rand({ 12 }):totable()
  ms.seed(5)
  local a, b = ms.rand({ 8 }):totable(), ms.rand({ 4 }):totable()
  lu.assertEquals(table.move(b, 1, 4, 9, a), whole)
end

function TestSeeds.test_the_state_can_be_kept_and_put_back()
  ms.seed(6)
  ms.rand { 5 }
  local seed, counter = ms.rng_state()
  lu.assertEquals(seed, 6)
  local next = ms.randn({ 7 }):totable()
  ms.rng_state(seed, counter)
  lu.assertEquals(ms.randn({ 7 }):totable(), next)
end

function TestSeeds.test_numbers_do_not_depend_on_the_number_of_threads()
  local before = ms.threads()
  for name, draw in pairs(draws) do
    local results = {}
    for _, threads in ipairs { 1, 2, 3 } do
      ms.threads(threads)
      ms.seed(8)
      local long = (name == "rand" or name == "randn" or name == "bernoulli") and ms[name]
      local x = long and long { 300001 } or draw() -- enough work for several threads
      results[#results + 1] = x:totable()
    end
    ms.threads(before)
    lu.assertEquals(results[2], results[1], name)
    lu.assertEquals(results[3], results[1], name)
  end
end

-- The other rows too: sums are split the same way whatever the number of threads.
-- All that a script draws follows from its seed: math.random too. with_seed leaves it where it is.
function TestSeeds.test_seed_starts_lua_s_own_generator_too()
  ms.seed(5)
  local a, b = math.random(1000000), math.random(1000000)
  ms.seed(5)
  lu.assertEquals(math.random(1000000), a)
  ms.with_seed(7, ms.rand, { 2 })
  lu.assertEquals(math.random(1000000), b)
  lu.assertErrorMsgContains("with_seed: expected a whole number, got nil", ms.with_seed, nil, ms.rand, { 2 })
end

function TestSeeds.test_sums_and_products_do_not_depend_on_the_number_of_threads()
  local before = ms.threads()
  local x, w = ms.randn { 300, 1000 }, ms.randn { 70, 1000 }
  local results = {}
  for _, threads in ipairs { 1, 2, 3 } do
    ms.threads(threads)
    results[#results + 1] = { x:sum():item(), x:sum(1):totable(), x:sum(2):totable(), x:mean():item(), x:softmax():sum():item(),
      x:exp():sum():item(), x:cumsum(2)[{ {}, -1 }]:totable(), (inside.standardize(x, 1)):sum():item(), ms.linear(x, w):sum(1):totable(),
      x:norm():item() }
  end
  ms.threads(before)
  lu.assertEquals(results[2], results[1])
  lu.assertEquals(results[3], results[1])
end
