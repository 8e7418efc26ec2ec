-- luacheck: globals TestCriteria TestOutOfBag TestImportances TestNumbers TestIsolation TestErrors
-- Forests of classes and of numbers, isolation forests, against scikit-learn's figures (tests/data/near_expected.csv, made by
-- tests/peers/make_near.py; it has other random numbers, so means over seeds are compared). Runs in the root of the repository.
-- gcstress: every 40
local lu = require "luaunit"
local ms = require "mascon"
local classic = require "classic_data"
local ml = ms.ml
local train, test, iris, expected = classic.train, classic.test, classic.iris, classic.expected "near_expected"
local near, same, fails, on_threads = classic.near, classic.same, classic.fails, classic.on_threads

local function rows(t, first, step) return t:index_select(1, ms.arange(first, 150, step, { dtype = "i64" })) end
local x, y = iris.x[{ {}, { 1, 3 } }], iris.x[{ {}, 4 }] -- petal width from the other three
local fit_x, fit_y, ask_x, ask_y = rows(x, 1, 2), rows(y, 1, 2), rows(x, 2, 2), rows(y, 2, 2)

TestCriteria = {}

function TestCriteria.test_entropy()
  local tree = ml.decision_tree { criterion = "entropy", seed = 0 }:fit(iris.x, iris.y)
  lu.assertEquals({ tree:nodes(), tree:depth() }, expected.entropy_tree)
  local sum = 0
  for seed = 1, 3 do
    sum = sum + ml.random_forest { criterion = "entropy", seed = seed }:fit(train.x, train.y):score(test.x, test.y)
  end
  lu.assertAlmostEquals(sum / 3, expected.entropy_forest[1], 0.008)
  lu.assertStrContains(tostring(ml.random_forest { criterion = "entropy" }), "trees = 100, criterion = entropy")
end

-- Weights beyond the table of logarithms: the same tree as on one row for each of the 70,000.
function TestCriteria.test_entropy_of_many_rows()
  local many = ms.arange(0, 69999):remainder(100):reshape { -1, 1 }
  local labels = many:reshape { -1 }:gt(30):long() + many:reshape { -1 }:gt(60):long() + 1
  local tree = ml.decision_tree { criterion = "entropy", seed = 0 }:fit(many, labels)
  lu.assertEquals({ tree:nodes(), tree:depth() }, { 5, 2 })
  lu.assertEquals(tree:score(many, labels), 1)
end

TestOutOfBag = {}

function TestOutOfBag.test_score()
  local forest = ml.random_forest { oob_score = true, seed = 1 }:fit(train.x, train.y)
  lu.assertAlmostEquals(forest.oob_score, expected.oob[1], 0.012)
  local shares = forest.oob_decision_function
  lu.assertEquals(shares.shape, { 898, 10 })
  near(shares:sum(2), ms.ones({ 898 }):totable(), 1e-12)
  lu.assertAlmostEquals(ml.accuracy(shares:argmax(2), train.y), forest.oob_score, 1e-12)
  same(ml.random_forest { seed = 1 }:fit(train.x, train.y):predict_proba(test.x), forest:predict_proba(test.x)) -- changes no tree
end

-- By hand: a tree on distinct samples tells all that it has seen right, so that what it tells wrong was out of its bag.
function TestOutOfBag.test_few_trees()
  local forest = ml.random_forest { oob_score = true, trees = 2, seed = 5 }:fit(train.x, train.y)
  local seen_by_all = forest.oob_decision_function[{ {}, 1 }]:isnan()
  lu.assertTrue(seen_by_all:any():item())
  lu.assertAlmostEquals(seen_by_all:double():mean():item(), (1 - math.exp(-1)) ^ 2, 0.06)
  local wrong = forest:predict_proba(train.x):gather(2, train.y:reshape { -1, 1 }):reshape { -1 }:lt(0.5)
  lu.assertFalse(wrong:logical_and(seen_by_all):any():item())
end

-- A fit that fails leaves the model as it was, its figures too.
function TestOutOfBag.test_without_a_sample_unseen()
  local forest = ml.random_forest { oob_score = true, trees = 3, seed = 1 }:fit(train.x, train.y)
  local score, said = forest.oob_score, forest:predict(train.x)
  fails("every sample was seen by every tree", forest.fit, forest, train.x[{ { 1, 1 } }], train.y[{ { 1, 1 } }])
  lu.assertEquals(forest.oob_score, score)
  same(forest:predict(train.x), said)
  forest:load_state_dict(forest:state_dict())
  fails("oob_score: the state that was loaded does not have it", function() return forest.oob_score end)
  local same_number = ml.random_forest_regressor { oob_score = true, trees = 10, seed = 1 }:fit(train.x, ms.ones { #train.x })
  lu.assertEquals(same_number.oob_score, 1) -- as ml.r2 has it
end

function TestOutOfBag.test_threads()
  on_threads(function()
    local forest = ml.random_forest { oob_score = true, trees = 25, seed = 2, criterion = "entropy" }:fit(train.x, train.y)
    local numbers = ml.random_forest_regressor { oob_score = true, trees = 25, seed = 2 }:fit(fit_x, fit_y)
    return { forest.oob_decision_function, forest.feature_importances, numbers.oob_prediction, numbers:predict(ask_x) }
  end)
end

TestImportances = {}

function TestImportances.test_forest()
  local forest = ml.random_forest { seed = 1 }:fit(train.x, train.y)
  near(forest.feature_importances, expected.importances, 0.01)
  lu.assertAlmostEquals(forest.feature_importances:sum():item(), 1, 1e-12)
  near(ml.random_forest():load_state_dict(forest:state_dict()).feature_importances, forest.feature_importances:totable(), 0)
  near(ml.decision_tree():fit(iris.x, ms.ones({ 150 }, { dtype = "i64" })).feature_importances, { 0, 0, 0, 0 }, 0) -- no split
end

-- Two splits of two columns: what gini and entropy lose is counted by hand.
function TestImportances.test_by_hand()
  local a = ms.tensor { { 0, 0 }, { 0, 0 }, { 1, 0 }, { 1, 1 } }
  local b = ms.tensor({ 1, 1, 2, 3 }, { dtype = "i64" })
  -- gini: 4 x (1 - 6/16) = 2.5; split by the first column leaves 2 x 1/2 = 1, which the second one takes: 1.5 and 1
  near(ml.decision_tree():fit(a, b).feature_importances, { 0.6, 0.4 }, 1e-12)
  -- entropy: 4 x 1.5 bits = 6; the first leaves 2
  near(ml.decision_tree { criterion = "entropy" }:fit(a, b).feature_importances, { 4 / 6, 2 / 6 }, 1e-12)
  -- squared errors of 1, 1, 2, 3: 2.75; the first leaves 0.5
  near(ml.decision_tree_regressor():fit(a, b:float()).feature_importances, { 2.25 / 2.75, 0.5 / 2.75 }, 1e-12)
end

TestNumbers = {}

function TestNumbers.test_tree()
  local tree = ml.decision_tree_regressor { max_depth = 3, seed = 0 }:fit(fit_x, fit_y)
  lu.assertEquals({ tree:nodes(), tree:depth() }, expected.regression_tree_size)
  near(tree:predict(ask_x), expected.regression_tree, 1e-6)
  near(tree.feature_importances, expected.regression_importances, 1e-6)
  local far = ml.decision_tree_regressor { max_depth = 3, seed = 0 }:fit(fit_x, fit_y:double() + 1e9) -- a large common part costs nothing
  lu.assertEquals({ far:nodes(), far:depth() }, expected.regression_tree_size)
end

function TestNumbers.test_forest()
  local forest = ml.random_forest_regressor { oob_score = true, seed = 3 }:fit(fit_x, fit_y)
  lu.assertAlmostEquals(forest:score(ask_x, ask_y), expected.regression_forest[1], 0.006)
  lu.assertAlmostEquals(forest.oob_score, expected.regression_oob[1], 0.012)
  lu.assertEquals(forest.oob_prediction.shape, { 75 })
  local again = ml.random_forest_regressor():load_state_dict(forest:state_dict())
  same(again:predict(ask_x), forest:predict(ask_x))
  lu.assertStrMatches(tostring(again), "ml%.random_forest_regressor{.*}: 100 trees, %d+ nodes, depth %d+, 3 features")
  lu.assertEquals(forest:predict(ms.zeros { 0, 3 }).shape, { 0 })
end

TestIsolation = {}

function TestIsolation.test_scores()
  local mean, n = 0, 10
  for seed = 1, n do mean = mean + ml.isolation_forest { seed = seed }:fit(iris.x):score_samples(rows(iris.x, 1, 3)) / n end
  near(mean, expected.isolation_scores, 0.02)
end

function TestIsolation.test_contamination()
  local forest = ml.isolation_forest { seed = 1, contamination = 0.1 }:fit(iris.x)
  local marks = forest:predict(iris.x)
  lu.assertEquals(marks:eq(-1):sum():item(), expected.isolation_marked[1])
  lu.assertEquals(marks:eq(1):sum():item(), 150 - expected.isolation_marked[1])
  near(forest:decision_function(iris.x), (forest:score_samples(iris.x) - forest.offset):totable(), 1e-6)
  lu.assertEquals(ml.isolation_forest():fit(iris.x).offset, -0.5)
end

-- Where all samples are the same none is an anomaly, also where the mean over the trees is off in its last bit (scikit-learn calls all of
-- 20 ones anomalies); a tree of one sample gives -0.5, as there.
function TestIsolation.test_samples_that_are_all_the_same()
  for _, n in ipairs { 1, 5, 20, 256, 300 } do
    local same_rows = ms.ones { n, 3 }
    local forest = ml.isolation_forest { seed = 1 }:fit(same_rows)
    lu.assertEquals(forest:predict(same_rows):sum():item(), n)
    near(forest:score_samples(ms.ones { 1, 3 }), { -0.5 }, 1e-6)
  end
end

-- One sample far from all others is told from them, by any number of samples per tree.
function TestIsolation.test_outlier()
  ms.seed(4)
  local points = ms.randn { 400, 2 }
  points[7] = 9
  for _, m in ipairs { "auto", 40, 0.5, 1.0 } do
    local forest = ml.isolation_forest { max_samples = m, seed = 2 }:fit(points)
    lu.assertEquals(forest.max_samples, m == "auto" and 256 or m == 40 and 40 or m == 0.5 and 200 or 400)
    lu.assertEquals(forest:score_samples(points):argmin():item(), 7)
    lu.assertEquals(forest:predict(points[{ { 7, 7 } }]):item(), -1)
  end
  lu.assertEquals(ml.isolation_forest { seed = 1 }:fit(ms.ones { 3, 2 }):predict(ms.ones { 1, 2 }):totable(), { 1 })
  on_threads(function() return { ml.isolation_forest { seed = 2 }:fit(points):score_samples(points) } end)
end

function TestIsolation.test_state()
  local forest = ml.isolation_forest { seed = 1, contamination = 0.2, trees = 20 }:fit(iris.x)
  local again = ml.isolation_forest():load_state_dict(forest:state_dict())
  same(again:decision_function(iris.x), forest:decision_function(iris.x))
  lu.assertStrContains(tostring(again), "20 trees of 150 samples, 4 features, offset -0.")
end

TestErrors = {}

function TestErrors.test_options()
  fails("option criterion: expected gini or entropy, got 'mse'", ml.random_forest, { criterion = "mse" })
  fails("ml.random_forest_regressor: unknown option 'criterion'", ml.random_forest_regressor, { criterion = "gini" })
  fails("option oob_score: only with bootstrap", ml.random_forest, { oob_score = true, bootstrap = false })
  fails("ml.decision_tree_regressor: unknown option 'trees'", ml.decision_tree_regressor, { trees = 2 })
  fails("option contamination: expected 'auto' or a number above 0, at most 0.5, got 0.6", ml.isolation_forest, { contamination = 0.6 })
  fails("option max_samples: expected 'auto', a number of samples", ml.isolation_forest, { max_samples = 0 })
  fails("option trees: expected a whole number from 1 on, got 0", ml.isolation_forest, { trees = 0 })
end

function TestErrors.test_data_and_order()
  local r, i = ml.random_forest_regressor { trees = 3 }, ml.isolation_forest { trees = 3 }
  fails("ml.random_forest_regressor: feature_importances: not fitted yet", function() return r.feature_importances end)
  fails("ml.random_forest: oob_score: only with oob_score = true", function()
    return ml.random_forest { trees = 2 }:fit(iris.x, iris.y).oob_score
  end)
  fails("ml.random_forest_regressor:predict: not fitted yet", r.predict, r, x)
  fails("y: expected 150 numbers, one per sample, got 3", r.fit, r, x, ms.ones { 3 })
  fails("expected a tensor, got nothing", r.fit, r, x)
  fails("y[1] = inf, expected a finite number", r.fit, r, x, y / 0)
  r:fit(x, y)
  fails("[1][2] = ", r.fit, r, ms.tensor { { 0, 0 / 0 } }, ms.ones { 1 })
  lu.assertEquals(r:predict(x).shape, { 150 }) -- what it was
  lu.assertNil(r.predict_proba)
  local forest = ml.random_forest { trees = 3 }:fit(iris.x, iris.y)
  fails("'proba': expected one number in a row, got", r.load_state_dict, r, forest:state_dict())
  fails("expected 0..1", forest.load_state_dict, forest, r:fit(iris.x, iris.x[{ {}, 1 }]):state_dict())
  fails("ml.isolation_forest:score_samples: not fitted yet", i.score_samples, i, x)
  fails("ml.isolation_forest:fit: expected a tensor, got nothing", i.fit, i)
  fails("ml.isolation_forest:fit: expected 1 to 2^30 rows", i.fit, i, ms.zeros { 0, 3 })
  i:fit(x)
  fails("expected 3 features per sample, as in fit, got 4", i.predict, i, iris.x)
  fails("'max_samples' is missing", i.load_state_dict, i, r:state_dict())
end
