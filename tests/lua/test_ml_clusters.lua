-- luacheck: globals TestKMeans TestMixture TestMeasures
-- Clusters and their measures against scikit-learn's figures (tests/data/clusters_expected.csv, made by tests/peers/make_clusters.py). Runs
-- in the root of the repository.
-- gcstress: every 200
local lu = require "luaunit"
local ms = require "mascon"
local ml = ms.ml

local iris, classes, digits = {}, {}, {}
for line in io.lines "tests/data/iris.csv" do
  local row = {}
  for v in line:gmatch "[^,]+" do row[#row + 1] = tonumber(v) end
  classes[#classes + 1] = math.tointeger(table.remove(row))
  iris[#iris + 1] = row
end
for line in io.lines "tests/data/digits.csv" do
  local row = {}
  for c in line:match("%w+$"):gmatch "." do row[#row + 1] = tonumber(c, 17) end
  digits[#digits + 1] = row
  if #digits == 300 then break end
end
iris, classes, digits = ms.tensor(iris), ms.tensor(classes, { dtype = "i64" }), ms.tensor(digits)

local expected = {}
for line in io.lines "tests/data/clusters_expected.csv" do
  local name, rest = line:match "^([^,]+),(.*)$"
  expected[name] = {}
  for v in rest:gmatch "[^,]+" do table.insert(expected[name], tonumber(v)) end
end

-- f(...) raises a message that has `part`, and names a line of this file.
local function fails(part, f, ...)
  local ok, message = pcall(f, ...)
  lu.assertFalse(ok, "expected an error with: " .. part)
  lu.assertStrContains(message, part)
  lu.assertStrMatches(message, ".*test_ml_clusters%.lua:%d+: .*")
end

-- f() with one thread and with two: the same.
local function on_threads(f)
  local before, results = ms.threads(), {}
  for n = 1, 2 do
    ms.threads(n)
    results[n] = f()
  end
  ms.threads(before)
  lu.assertEquals(results[1], results[2])
end

local function near(got, want, relative) lu.assertAlmostEquals(got / want, 1, relative) end

-- ---- k-means ----------------------------------------------------------------------------------------------------------------------

TestKMeans = {}

function TestKMeans.test_given_centers()
  for name, case in pairs { iris = { iris, 3 }, digits = { digits, 10 } } do
    local x, k = case[1], case[2]
    local m, want = ml.kmeans { clusters = k, init = x[{ { 1, k } }] }:fit(x), expected["kmeans_" .. name]
    near(m.inertia, want[1], 1e-6)
    lu.assertEquals({ m.n_iter, table.unpack(m.labels:totable()) }, { table.unpack(want, 2) })
    lu.assertEquals(m:predict(x):totable(), m.labels:totable())
    local far = m:transform(x)
    lu.assertEquals({ far.shape, far.dtype }, { { x.shape[1], k }, "f32" })
    lu.assertEquals(far:argmin({ dim = 2 }):totable(), m.labels:totable())
    near((far:min({ dim = 2 }) ^ 2):sum():item(), want[1], 1e-5)
  end
end

function TestKMeans.test_starts()
  near(ml.kmeans({ clusters = 3, n_init = 10, seed = 1 }):fit(iris).inertia, expected.kmeans_iris_best[1], 1e-6)
  local sum = 0
  for seed = 1, 20 do sum = sum + ml.kmeans({ clusters = 10, seed = seed }):fit(digits).inertia / 20 end
  near(sum, expected.kmeans_digits_mean[1], 0.02)
  on_threads(function() return ml.kmeans({ clusters = 10, seed = 7 }):fit_predict(digits):totable() end)
  ms.seed(5)
  local first = ml.kmeans({ clusters = 10 }):fit_predict(digits):totable()
  ms.seed(5)
  lu.assertEquals(ml.kmeans({ clusters = 10 }):fit_predict(digits):totable(), first)
end

-- Each sample alone; all samples equal; a start that leaves a cluster without rows, which takes the farthest one.
function TestKMeans.test_corners()
  local x = ms.tensor { { 0.0 }, { 1 }, { 5 } }
  lu.assertEquals(ml.kmeans({ clusters = 3, seed = 1 }):fit(x).inertia, 0)
  lu.assertEquals(ml.kmeans({ clusters = 2, seed = 1 }):fit(ms.ones { 4, 2 }).inertia, 0)
  local m = ml.kmeans({ clusters = 2, init = ms.tensor { { 1.0 }, { 100 } } }):fit(x)
  lu.assertEquals({ m.labels:totable(), m.centers:totable() }, { { 1, 1, 2 }, { { 0.5 }, { 5 } } })
end

function TestKMeans.test_state_and_errors()
  local m = ml.kmeans({ clusters = 3, seed = 1 }):fit(iris)
  local other = ml.kmeans():load_state_dict(m:state_dict())
  lu.assertEquals(other:predict(iris):totable(), m.labels:totable())
  lu.assertEquals({ other.inertia, other.n_iter, other.options.clusters }, { m.inertia, m.n_iter, 3 })
  lu.assertStrContains(tostring(m), "3 clusters in 4 features, inertia 78.8")
  fails("not fitted yet", function() return ml.kmeans().centers end)
  fails("not fitted yet", function() return ml.kmeans():predict(iris) end)
  fails("option clusters: expected at most the 150 samples there are, got 151", function() ml.kmeans({ clusters = 151 }):fit(iris) end)
  fails("option clusters: expected a whole number from 1 on, got 0", ml.kmeans, { clusters = 0 })
  fails("option init: expected k-means++, got 'random'", ml.kmeans, { init = "random" })
  fails("option init: expected 3 x 4, clusters x features, got", function()
    ml.kmeans({ clusters = 3, init = ms.ones { 3, 5 } }):fit(iris)
  end)
  fails("unknown option 'cluster'", ml.kmeans, { cluster = 3 })
  fails("expected 4 features per sample, as in fit, got 5", m.predict, m, ms.ones { 2, 5 })
  fails("x[1][1] = nan, expected a finite number", m.fit, m, ms.tensor { { 0 / 0, 1 }, { 1, 2 }, { 2, 2 } })
  local state = { centers = ms.ones { 2, 2 } / 0, inertia = ms.tensor(1), n_iter = ms.tensor(1) }
  fails("'centers': expected finite numbers", m.load_state_dict, m, state)
  state.n_iter = ms.ones { 2 }
  fails("'n_iter': expected a tensor of one number, got 2 f32", m.load_state_dict, m, state)
  fails("expected one sample or more, got 0", function() ml.gaussian_mixture({ seed = 1 }):fit(iris):score(ms.zeros { 0, 4 }) end)
  for _, make in ipairs { ml.kmeans, ml.gaussian_mixture } do -- a state is a copy, and is copied
    local a, b = make({ seed = 1 }):fit(iris), make()
    local given = a:state_dict()
    local told = b:load_state_dict(given):state_dict()
    for name, t in pairs(given) do
      local before = told[name]:totable()
      t:zero_()
      lu.assertEquals({ a:state_dict()[name]:totable(), b:state_dict()[name]:totable() }, { before, before })
    end
  end
  local mixture = ml.gaussian_mixture()
  fails("ml.kmeans:fit: expected self to be ml.kmeans, got ml.gaussian_mixture", m.fit, mixture, iris)
  fails("not fitted yet", mixture.predict, mixture, iris)
  lu.assertEquals(m:predict(iris):totable(), m.labels:totable()) -- as it was
end

-- ---- gaussian mixture -------------------------------------------------------------------------------------------------------------

TestMixture = {}

function TestMixture.test_covariances()
  local shapes = { full = { 3, 4, 4 }, tied = { 4, 4 }, diag = { 3, 4 }, spherical = { 3 } }
  for kind, shape in pairs(shapes) do
    local want = expected["gmm_" .. kind]
    local g = ml.gaussian_mixture({ components = 3, covariance_type = kind, tol = 1e-8, max_iter = 1000, n_init = 3, seed = 1 }):fit(iris)
    lu.assertEquals({ g.covariances.shape, g.weights.dtype, g.converged }, { shape, "f64", true })
    near(g:score(iris), want[1], 1e-4)
    near(g:aic(iris), want[2], 1e-4)
    near(g:bic(iris), want[3], 1e-4)
    for i, v in ipairs(g:score_samples(iris[{ { 1, 5 } }]):totable()) do lu.assertAlmostEquals(v, want[3 + i], 2e-3) end
    local means = g.means:totable()
    table.sort(means, function(a, b) return a[1] < b[1] end)
    for i, row in ipairs(means) do
      for j, v in ipairs(row) do lu.assertAlmostEquals(v, want[8 + (i - 1) * 4 + j], 2e-3) end
    end
    local p = g:predict_proba(iris)
    lu.assertTrue((p:sum { dims = 2 } - 1):abs():max():item() < 1e-6)
    lu.assertEquals(g:predict(iris):totable(), p:argmax({ dim = 2 }):totable())
    lu.assertAlmostEquals(g.weights:sum():item(), 1, 1e-12)
    local other = ml.gaussian_mixture():load_state_dict(g:state_dict())
    lu.assertEquals(other:predict_proba(iris):totable(), p:totable())
    lu.assertEquals({ other.options.components, other.options.covariance_type, other.n_iter }, { 3, kind, g.n_iter })
  end
  on_threads(function() return ml.gaussian_mixture({ components = 4, covariance_type = "diag", seed = 2 }):fit(digits).means:totable() end)
end

function TestMixture.test_one_component()
  local g = ml.gaussian_mixture():fit(iris)
  lu.assertTrue((g.means[1] - iris:mean { dims = 1 }):abs():max():item() < 1e-5)
  lu.assertStrContains(tostring(g), "1 components in 4 features")
end

function TestMixture.test_errors()
  fails("covariance_type: expected full or tied or diag or spherical, got 'round'", ml.gaussian_mixture, { covariance_type = "round" })
  fails("option reg_covar: expected a number from 0 on, got -1", ml.gaussian_mixture, { reg_covar = -1 })
  fails("not fitted yet", function() return ml.gaussian_mixture().means end)
  fails("option components: expected at most the 2 samples there are, got 3",
    function() ml.gaussian_mixture({ components = 3 }):fit(ms.ones { 2, 2 }) end)
  fails("not positive definite", function() ml.gaussian_mixture({ reg_covar = 0 }):fit(ms.zeros { 5, 2 }) end)
  fails("expected a finite number", function() ml.gaussian_mixture():fit(ms.ones { 5, 2 } / 0) end)
  local g = ml.gaussian_mixture():fit(iris)
  local state = g:state_dict()
  state.weights = ms.ones { 2 }
  fails("do not fit 'means'", g.load_state_dict, g, state)
  state.weights = ms.ones { 1 } / 0
  fails("'weights': expected finite numbers", g.load_state_dict, g, state)
  state = g:state_dict()
  state.weights = -state.weights
  fails("'weights': expected numbers from 0 on", g.load_state_dict, g, state)
end

-- ---- measures ---------------------------------------------------------------------------------------------------------------------

TestMeasures = {}

function TestMeasures.test_silhouette()
  local want = expected.silhouette
  lu.assertAlmostEquals(ml.silhouette_score(iris, classes), want[1], 1e-6)
  local each = ml.silhouette_samples(iris, classes)
  for i = 1, 10 do lu.assertAlmostEquals(each[i]:item(), want[1 + i], 1e-6) end
  -- one alone in its cluster has 0; names that no sample has change nothing
  local x, y = ms.tensor { { 0.0 }, { 1 }, { 9 } }, ms.tensor({ 1, 1, 7 }, { dtype = "i64" })
  local s = ml.silhouette_samples(x, y):totable()
  lu.assertAlmostEquals(s[1], 8 / 9, 1e-6)
  lu.assertAlmostEquals(s[2], 7 / 8, 1e-6)
  lu.assertEquals(s[3], 0)
  on_threads(function() return ml.silhouette_samples(iris, classes):totable() end)
  for _, name in ipairs { "silhouette_score", "davies_bouldin_score", "calinski_harabasz_score" } do -- in memory for 3 clusters, not 2e9
    lu.assertEquals(ml[name](iris, classes * 600000000), ml[name](iris, classes))
  end
end

function TestMeasures.test_by_centers_and_names()
  local want = expected.measures
  local labels = ms.tensor({ table.unpack(expected.kmeans_iris, 3) }, { dtype = "i64" })
  lu.assertAlmostEquals(ml.davies_bouldin_score(iris, classes), want[1], 1e-6)
  near(ml.calinski_harabasz_score(iris, classes), want[2], 1e-5)
  lu.assertAlmostEquals(ml.adjusted_rand_score(classes, labels), want[3], 1e-12)
  lu.assertAlmostEquals(ml.normalized_mutual_info_score(classes, labels), want[4], 1e-12)
  lu.assertEquals(ml.adjusted_rand_score(classes, 4 - classes), 1)
  lu.assertAlmostEquals(ml.normalized_mutual_info_score(classes, 4 - classes), 1, 1e-12)
  local one = ms.ones({ 150 }, { dtype = "i64" })
  lu.assertEquals({ ml.normalized_mutual_info_score(one, one), ml.adjusted_rand_score(one, one) }, { 1, 1 })
  lu.assertEquals({ ml.normalized_mutual_info_score(one, classes), ml.adjusted_rand_score(one, classes) }, { 0, 0 })
end

function TestMeasures.test_trustworthiness()
  local noise = {} -- so that hardly two distances are equal
  for i = 0, 599 do noise[i + 1] = i * 7919 % 1009 / 16384 end
  local x = iris + ms.tensor(noise):reshape { 150, 4 }
  local two = x[{ {}, { 1, 2 } }]
  for i, k in ipairs { 1, 5, 12 } do
    lu.assertAlmostEquals(ml.trustworthiness(x, two, k), expected.trustworthiness[i], 1e-9)
  end
  lu.assertEquals(ml.trustworthiness(x, x), 1)
  on_threads(function() return ml.trustworthiness(x, two) end)
end

function TestMeasures.test_errors()
  local one = ms.ones({ 150 }, { dtype = "i64" })
  fails("expected labels of 2 to 149 clusters, got 1 for 150 samples", ml.silhouette_score, iris, one)
  fails("expected labels of 2 to 149 clusters, got 150", ml.davies_bouldin_score, iris, ms.arange(1, 150, { dtype = "i64" }))
  fails("labels: expected 150 labels, one per sample, got 3", ml.calinski_harabasz_score, iris, classes[{ { 1, 3 } }])
  fails("labels[1] = 0", ml.silhouette_samples, iris, classes - 1)
  fails("fewer than half of the 150 samples, got 75", ml.trustworthiness, iris, iris, 75)
  fails("embedding: expected 150 points", ml.trustworthiness, iris, iris[{ { 1, 10 } }])
  fails("n_neighbors: expected a whole number from 1 on, got 0", ml.trustworthiness, iris, iris, 0)
  fails("expected at least one label", ml.adjusted_rand_score, ms.ones({ 0 }, { dtype = "i64" }), ms.ones({ 0 }, { dtype = "i64" }))
end
