-- ml.normal, chi2, chi, beta beside scipy's values (tests/peers/make_distributions.py); points on spheres and in balls.
-- gcstress: every 20
-- luacheck: globals TestDistributions TestPoints
local checks = require "checks"
local json = require "mascon.json"
local lu = require "luaunit"
local ms = require "mascon"
local ml = ms.ml

TestDistributions = {}

local function near(got, want, by, what)
  local off = math.abs(got - want) / math.max(math.abs(want), 1e-300)
  if got ~= want and off > by and (want ~= 0 or math.abs(got) > 1e-16) then
    lu.fail(("%s: %.17g, expected %.17g"):format(what, got, want))
  end
end

function TestDistributions.test_scipy_s_values()
  local n = 0
  for _, case in ipairs(json.decode(checks.contents "tests/data/distributions.json")) do
    local d = ml[case.name](table.unpack(case.args))
    for i, q in ipairs(case.q) do
      near(d:ppf(q), case.ppf[i], 1e-9, ("%s:ppf(%g)"):format(d, q))
      n = n + 1
    end
    for i, x in ipairs(case.x) do
      for _, name in ipairs { "pdf", "cdf", "sf" } do
        near(d[name](d, x), case[name][i], 1e-9, ("%s:%s(%.17g)"):format(d, name, x))
        n = n + 1
      end
    end
  end
  print(("compared: %d densities, probabilities and quantiles with scipy's"):format(n))
end

-- facts.md's figures.
function TestDistributions.test_the_chi_distribution_of_codes()
  for df, x in pairs { [2] = 2.797149622536537, [16] = 5.443636405386815, [32] = 7.105399672272775, [64] = 9.45092148925869,
    [128] = 12.7657014145933, [784] = 29.452557116477756 } do
    near(ml.chi(df):ppf(0.98), x, 1e-12, "chi " .. df)
  end
  near(ml.chi(128):ppf(0.95), 12.466142982152983, 1e-12, "0.95")
  near(ml.chi(128):ppf(0.99), 12.96661879854054, 1e-12, "0.99")
end

function TestDistributions.test_ends_tensors_and_draws()
  local d = ml.chi(3)
  lu.assertEquals({ d:ppf(0), d:ppf(1), d:cdf(-1), d:cdf(math.huge), d:pdf(-1), d:sf(-1) }, { 0, math.huge, 0, 1, 0, 1 })
  lu.assertTrue(d:ppf(1.5) ~= d:ppf(1.5) and d:cdf(0 / 0) ~= d:cdf(0 / 0))
  local x = ms.tensor { { 0.5, 1 }, { 2, 3 } }
  local p = d:cdf(x)
  lu.assertEquals({ p.dtype, table.unpack(p.shape) }, { "f64", 2, 2 })
  near(p[2][1]:item(), d:cdf(2), 1e-15, "an element")
  ms.seed(1)
  local draws = ml.normal(5, 2):sample { 2000 }
  near(draws:mean():item(), 5, 0.03, "mean of draws")
  near(draws:std():item(), 2, 0.05, "their deviation")
  lu.assertEquals(tostring(ml.beta(2, 3)), "beta(2, 3)")
end

function TestDistributions.test_bad_input()
  checks.fails("ml.chi: df: expected a number above 0, got 0", ml.chi, 0)
  checks.fails("ml.chi2: df: expected at most 1000000, got 1e+300", ml.chi2, 1e300)
  checks.fails("ml.beta: b: expected a number above 0, got nil", ml.beta, 1)
  checks.fails("ml.normal: std: expected a number above 0, got -1", ml.normal, 0, -1)
  checks.fails("ml.normal: mean: expected a number", ml.normal, 0 / 0)
  checks.fails("ml.chi:cdf: expected a number or a tensor, got string", ml.chi(2).cdf, ml.chi(2), "x")
  checks.fails("call it with a colon on a distribution", ml.chi(2).cdf, 3)
end

TestPoints = {}

function TestPoints.test_spheres_and_balls()
  ms.seed(2)
  local s = ml.sample_sphere(500, 7, { radius = 3 })
  lu.assertEquals(s.shape, { 500, 7 })
  lu.assertTrue((s:norm(2, 2) - 3):abs():amax():item() < 1e-5)
  lu.assertTrue(s:mean(1):abs():amax():item() < 0.3)
  local r = ml.sample_ball(2000, 3, { radius = 2 }):norm(2, 2)
  near((r / 2):pow(3):mean():item(), 0.5, 0.06, "half of the volume lies inside the mean")
  lu.assertTrue(r:amax():item() <= 2.0001)
  -- Inside and outside a sphere are as likely where the ball has twice its volume.
  local n, q = 128, ml.chi(128):ppf(0.98)
  local lengths = ml.sample_ball(4000, n, { radius = q * 2 ^ (1 / n) }):norm(2, 2)
  local inner = lengths:le(q):float():sum():item()
  lu.assertTrue(math.abs(inner - 2000) < 3 * math.sqrt(1000), inner)
  local shell = ml.sample_ball(500, 5, { radius = 2, inner = 1.5 }):norm(2, 2)
  lu.assertTrue(shell:amin():item() > 1.4999 and shell:amax():item() < 2.0001)
  checks.fails("ml.sample_sphere: n: expected a whole number from 1 on, got 0", ml.sample_sphere, 0, 3)
  checks.fails("inner: expected a number from 0 up to the radius 1, got 1", ml.sample_ball, 5, 3, { inner = 1 })
  checks.fails("radius: expected a number above 0, got -1", ml.sample_ball, 5, 3, { radius = -1 })
end

-- Quantiles that lie hundreds of powers of ten below the mean (scipy's figures; below all numbers: 0), in a few steps.
function TestDistributions.test_quantiles_of_small_shapes()
  local function close(got, want) lu.assertTrue(math.abs(got / want - 1) < 1e-9, got) end
  close(ml.beta(1e-3, 2):ppf(0.5), 3.4350009119880704e-302)
  close(ml.beta(1e5, 3):ppf(1e-300), 0.9929927712231088)
  close(ml.chi2(0.01):cdf(ml.chi2(0.01):ppf(0.3)), 0.3)
  close(ml.beta(0.5, 0.5):ppf(1e-100), 2.4674011002723397e-200)
  lu.assertEquals({ ml.chi2(1e-3):ppf(0.5), ml.beta(1e-3, 2):ppf(1e-12), ml.normal():ppf(0.5) }, { 0, 0, 0 })
  local mean = ms.with_seed(1, function() return ml.chi2(0.01):sample { 4000 }:mean():item() end)
  lu.assertTrue(mean > 0.003 and mean < 0.03, mean) -- 0.01, standard error 0.0022
end
