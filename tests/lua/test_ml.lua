-- luacheck: globals TestNeighbours TestTrees TestComponents TestMetrics TestStates TestErrors
-- ml against scikit-learn's and NumPy's figures (tests/data, made by tests/peers/make_classic_data.py). Runs in the root of the repository.
-- gcstress: every 40
local lu = require "luaunit"
local ms = require "mascon"
local ml = ms.ml

-- ---- data ---------------------------------------------------------------------------------------------------------------------

local iris = { x = {}, y = {} }
for line in io.lines "tests/data/iris.csv" do
  local row = {}
  for v in line:gmatch "[^,]+" do row[#row + 1] = tonumber(v) end
  iris.y[#iris.y + 1] = math.tointeger(table.remove(row))
  iris.x[#iris.x + 1] = row
end
iris.x, iris.y = ms.tensor(iris.x), ms.tensor(iris.y, { dtype = "i64" })

local train, test, digits = { x = {}, y = {} }, { x = {}, y = {} }, {}
for line in io.lines "tests/data/digits.csv" do
  local place, class, symbols = line:match "^(-?%d+),(%d+),(%w+)$"
  local row = {}
  for c in symbols:gmatch "." do row[#row + 1] = tonumber(c, 17) end
  local half = tonumber(place) > 0 and train or test
  half.x[math.abs(place)], half.y[math.abs(place)] = row, math.tointeger(tonumber(class))
  digits[#digits + 1] = row
end
for _, half in ipairs { train, test } do half.x, half.y = ms.tensor(half.x), ms.tensor(half.y, { dtype = "i64" }) end
digits = ms.tensor(digits)

local expected = {}
for line in io.lines "tests/data/classic_expected.csv" do
  local name, rest = line:match "^([^,]+),(.*)$"
  expected[name] = {}
  for v in rest:gmatch "[^,]+" do table.insert(expected[name], tonumber(v)) end
end

local function same(a, b)
  lu.assertEquals(a.shape, b.shape)
  lu.assertEquals(a.dtype, b.dtype)
  lu.assertEquals(a:totable(), b:totable())
end

local function labels(list) return ms.tensor(list, { dtype = "i64" }) end

local function flat(t) return t:reshape { -1 }:totable() end

-- f(...) raises a message that has `part`, and names a line of this file.
local function fails(part, f, ...)
  local ok, message = pcall(f, ...)
  lu.assertFalse(ok, "expected an error with: " .. part)
  lu.assertStrContains(message, part)
  lu.assertStrMatches(message, ".*test_ml%.lua:%d+: .*")
end

-- f() with one thread and with two: the same.
local function on_threads(f)
  local before, results = ms.threads(), {}
  for n = 1, 2 do
    ms.threads(n)
    results[n] = f()
  end
  ms.threads(before)
  for k, t in ipairs(results[1]) do same(t, results[2][k]) end
end

-- ---- neighbours ---------------------------------------------------------------------------------------------------------------

TestNeighbours = {}

function TestNeighbours.test_digits()
  for _, k in ipairs { 1, 3, 5 } do
    local knn = ml.knn { k = k }:fit(train.x, train.y)
    lu.assertAlmostEquals(knn:score(test.x, test.y), expected["knn_accuracy_" .. k][1], 1e-12)
  end
end

function TestNeighbours.test_rows_and_distances()
  local knn = ml.knn():fit(train.x, train.y)
  local index, distance = knn:neighbours(test.x[{ { 1, 40 } }])
  lu.assertEquals(index.dtype, "i64")
  lu.assertEquals(index.shape, { 40, 5 })
  lu.assertEquals(flat(index), expected.knn_rows)
  for i, d in ipairs(flat(distance)) do lu.assertAlmostEquals(d, expected.knn_distances[i], 1e-5) end
  local one, zero = ml.knn():fit(train.x):neighbours(train.x[{ { 3, 3 } }], 1)
  lu.assertEquals({ one:totable(), zero:totable() }, { { { 3 } }, { { 0 } } })
end

function TestNeighbours.test_votes()
  -- four rows of class 1 at 4, two of class 2 at 1: the near ones win by distance, the many by number
  local x = ms.tensor { { 4 }, { 4 }, { -4 }, { -4 }, { 1 }, { -1 } }
  local y = ms.tensor({ 1, 1, 1, 1, 2, 2 }, { dtype = "u8" })
  local q = ms.zeros { 1, 1 }
  local uniform, near = ml.knn { k = 6 }:fit(x, y), ml.knn { k = 6, weights = "distance", classes = 3 }:fit(x, y)
  lu.assertEquals(uniform:predict(q):totable(), { 1 })
  lu.assertEquals(near:predict(q):totable(), { 2 })
  local shares = near:predict_proba(q):totable()[1]
  for c, share in ipairs { 1 / 3, 2 / 3, 0 } do lu.assertAlmostEquals(shares[c], share, 1e-6) end
  lu.assertEquals(uniform:predict_proba(q).shape, { 1, 2 })
end

-- Votes are counted among the neighbours: a label far from the others costs nothing.
function TestNeighbours.test_a_very_large_label()
  local y = ms.tensor({ 7, 9, 7, 100000000, 100000000 }, { dtype = "i64" })
  local m = ml.knn({ k = 3 }):fit(ms.tensor { { 0 }, { 1 }, { 2 }, { 8 }, { 9 } }, y)
  lu.assertEquals(m:predict(ms.tensor { { 1 }, { 8.5 }, { 0 } }):totable(), { 7, 100000000, 7 })
  local tie = ml.knn({ k = 2 }):fit(ms.tensor { { 0 }, { 1 } }, ms.tensor({ 5, 3 }, { dtype = "i64" }))
  lu.assertTrue(tie:predict(ms.zeros { 300, 1 }):eq(3):all():item())
end

function TestNeighbours.test_images_strides_dtypes_and_no_rows()
  local knn = ml.knn():fit(train.x:reshape { -1, 1, 8, 8 }, train.y)
  local want = knn:predict(test.x)
  same(knn:predict(test.x:double()), want)
  same(knn:predict(test.x:transpose(1, 2):contiguous():transpose(1, 2)), want)
  same(knn:predict(test.x:reshape { -1, 4, 16 }), want)
  local none = ms.zeros { 0, 64 }
  lu.assertEquals(knn:predict(none).shape, { 0 })
  lu.assertEquals(knn:predict_proba(none).shape, { 0, 10 })
  lu.assertEquals(knn:neighbours(none).shape, { 0, 5 })
  lu.assertEquals(ml.random_forest { trees = 1 }:fit(train.x, train.y):predict(none).shape, { 0 })
  lu.assertEquals(ml.pca { components = 2 }:fit(train.x):transform(none).shape, { 0, 2 })
end

function TestNeighbours.test_threads()
  on_threads(function()
    local knn = ml.knn { k = 7, weights = "distance" }:fit(train.x, train.y)
    local index, distance = knn:neighbours(test.x)
    return { index, distance, knn:predict(test.x), knn:predict_proba(test.x) }
  end)
end

-- ---- trees --------------------------------------------------------------------------------------------------------------------

TestTrees = {}

function TestTrees.test_iris_tree()
  local tree = ml.decision_tree { seed = 0 }:fit(iris.x, iris.y)
  lu.assertEquals({ tree:nodes(), tree:depth() }, expected.iris_tree)
  lu.assertEquals({ tree:nodes(1), tree:depth(1) }, expected.iris_tree)
  lu.assertEquals(tree:score(iris.x, iris.y), 1)
  local stump = ml.decision_tree { max_depth = 1 }:fit(iris.x, iris.y)
  lu.assertEquals({ stump:nodes(), stump:depth() }, { 3, 1 })
  lu.assertAlmostEquals(stump:score(iris.x, iris.y), 2 / 3, 1e-12)
  local shares = flat(stump:predict_proba(iris.x[{ { 1, 1 } }]))
  lu.assertEquals(shares, { 1, 0, 0 })
end

function TestTrees.test_digits_forest()
  local sum, nodes = 0, 0
  for seed = 1, 5 do
    local forest = ml.random_forest { seed = seed }:fit(train.x, train.y)
    sum, nodes = sum + forest:score(test.x, test.y), nodes + forest:nodes() / 100
  end
  lu.assertAlmostEquals(sum / 5, expected.forest_accuracy[1], 0.008)
  lu.assertAlmostEquals(nodes / 5, expected.forest_nodes[1], 5)
end

function TestTrees.test_options()
  local function size(o)
    o.seed, o.trees = 3, o.trees or 5
    local forest = ml.random_forest(o):fit(train.x, train.y)
    local all, deepest = 0, 0
    for t = 1, o.trees do
      all, deepest = all + forest:nodes(t), math.max(deepest, forest:depth(t))
    end
    lu.assertEquals({ forest:nodes(), forest:depth() }, { all, deepest })
    return all, deepest
  end
  local free = size {}
  lu.assertEquals(select(2, size { max_depth = 3 }), 3)
  lu.assertTrue(size { min_leaf = 10 } < free)
  lu.assertTrue(size { min_split = 50 } < free)
  lu.assertEquals(size { max_features = 8 }, free) -- the root of 64
  lu.assertEquals(size { max_features = 0.125 }, free)
  lu.assertEquals(size { max_features = "all" }, (size { max_features = 1.0 }))
  lu.assertEquals(size { max_features = "all" }, (size { max_features = 64 }))
  lu.assertNotEquals(size { max_features = 1 }, free)
  lu.assertNotEquals(size { bootstrap = false }, free)
end

function TestTrees.test_proba()
  local forest = ml.random_forest { trees = 20, classes = 12, seed = 1 }:fit(train.x, train.y)
  local proba = forest:predict_proba(test.x)
  lu.assertEquals(proba.shape, { 899, 12 })
  for _, sum in ipairs(flat(proba:sum(2))) do lu.assertAlmostEquals(sum, 1, 1e-6) end
  same(proba:argmax(2), forest:predict(test.x))
end

function TestTrees.test_seeds()
  local function grow(seed) return ml.random_forest { trees = 3, seed = seed }:fit(train.x, train.y):predict_proba(test.x) end
  ms.seed(5)
  local first, second = grow(), grow()
  ms.seed(5)
  same(grow(), first)
  same(grow(), second)
  lu.assertNotEquals(flat(first), flat(second))
  ms.seed(6)
  lu.assertNotEquals(flat(grow()), flat(first))
  same(grow(9), grow(9))
end

function TestTrees.test_threads()
  on_threads(function()
    local forest = ml.random_forest { trees = 20, seed = 4, min_leaf = 2 }:fit(train.x, train.y)
    local state = forest:state_dict()
    return { forest:predict(test.x), forest:predict_proba(test.x), state.feature, state.threshold, state.proba }
  end)
end

-- ---- principal components -----------------------------------------------------------------------------------------------------

TestComponents = {}

function TestComponents.test_digits()
  local pca = ml.pca():fit(digits)
  lu.assertEquals(pca.components.shape, { 64, 64 })
  local most = expected.pca_variance[1]
  for i, v in ipairs(pca:state_dict().variance:totable()) do lu.assertAlmostEquals(v, expected.pca_variance[i], 1e-11 * most) end
  for i, v in ipairs(flat(pca.components[{ { 1, 3 } }])) do lu.assertAlmostEquals(v, expected.pca_basis[i], 1e-6) end
  lu.assertAlmostEquals(pca.explained_variance_ratio:sum():item(), 1, 1e-6)
  lu.assertAlmostEquals(pca.explained_variance:totable()[1], most, 1e-4)
  for i, m in ipairs(flat(digits:mean(1))) do lu.assertAlmostEquals(pca.mean:totable()[i], m, 1e-4) end
end

function TestComponents.test_reconstruction()
  for _, k in ipairs { 1, 8, 32 } do
    local pca = ml.pca { components = k }:fit(digits)
    local codes = pca:transform(digits)
    lu.assertEquals(codes.shape, { 1797, k })
    lu.assertAlmostEquals((pca:inverse(codes) - digits):pow(2):mean():item(), expected["pca_error_" .. k][1], 1e-4)
  end
  local pca = ml.pca { components = 3 }:fit(digits:reshape { -1, 1, 8, 8 })
  local by_hand = (digits - pca.mean):matmul(pca.components:transpose(1, 2))
  lu.assertTrue(math.max(table.unpack(flat((pca:transform(digits) - by_hand):abs()))) < 1e-3)
end

function TestComponents.test_few_rows_and_scopes()
  local pca
  do
    local scope <close> = ms.scope() -- luacheck: ignore 211
    pca = ml.pca():fit(iris.x[{ { 1, 3 } }])
  end
  lu.assertEquals(pca.components.shape, { 3, 4 })
  lu.assertEquals(pca:transform(iris.x).shape, { 150, 3 })
  local constant = ml.pca():fit(ms.ones { 4, 2 })
  lu.assertEquals(flat(constant.explained_variance_ratio), { 0, 0 })
end

function TestComponents.test_threads()
  on_threads(function()
    local pca = ml.pca { components = 9 }:fit(digits)
    local codes = pca:transform(digits)
    return { pca:state_dict().components, codes, pca:inverse(codes) }
  end)
end

-- ---- metrics ------------------------------------------------------------------------------------------------------------------

TestMetrics = {}

function TestMetrics.test_accuracy()
  lu.assertAlmostEquals(ml.accuracy(labels { 1, 2, 3, 3 }, labels { 1, 2, 2, 3 }:int()), 0.75, 1e-15)
end

function TestMetrics.test_confusion_has_rows_predicted_columns_true()
  local predicted, truth = labels { 1, 3, 3, 3, 2, 2 }, labels { 1, 2, 3, 3, 2, 1 }
  local counts = ml.confusion(predicted, truth)
  lu.assertEquals(counts.dtype, "i64")
  lu.assertEquals(counts:totable(), { { 1, 0, 0 }, { 1, 1, 0 }, { 0, 1, 2 } })
  lu.assertEquals(ml.confusion(predicted, truth, 4):totable()[4], { 0, 0, 0, 0 })
end

-- ---- states -------------------------------------------------------------------------------------------------------------------

TestStates = {}

-- The state of a model through a file.
local function through_file(model)
  local name = os.tmpname()
  ms.save(name, model:state_dict())
  local state = ms.load(name)
  os.remove(name)
  return state
end

function TestStates.test_knn()
  local knn = ml.knn { k = 3, weights = "distance" }:fit(train.x, train.y)
  local again = ml.knn():load_state_dict(through_file(knn))
  same(again:predict_proba(test.x), knn:predict_proba(test.x))
  lu.assertEquals(tostring(again), "ml.knn{k = 3, weights = distance}: 898 samples x 64 features, 10 classes")
  local unlabelled = ml.knn():load_state_dict(through_file(ml.knn():fit(train.x)))
  lu.assertEquals(unlabelled:neighbours(test.x[{ { 1, 40 } }]):reshape { -1 }:totable(), expected.knn_rows)
  fails("fitted without labels", unlabelled.predict, unlabelled, test.x)
end

function TestStates.test_forest()
  local forest = ml.random_forest { trees = 7, min_leaf = 3, seed = 2, classes = 11 }:fit(train.x, train.y)
  local again = ml.random_forest():load_state_dict(through_file(forest))
  same(again:predict_proba(test.x), forest:predict_proba(test.x))
  lu.assertEquals({ again:nodes(), again:depth(7) }, { forest:nodes(), forest:depth(7) })
  local tree = ml.decision_tree():fit(iris.x, iris.y) -- all leaves of one class: no row of shares
  same(ml.decision_tree():load_state_dict(through_file(tree)):predict(iris.x), tree:predict(iris.x))
end

function TestStates.test_pca()
  local pca = ml.pca { components = 5 }:fit(digits)
  local again = ml.pca():load_state_dict(through_file(pca))
  same(again:transform(digits), pca:transform(digits))
  same(again.explained_variance_ratio, pca.explained_variance_ratio)
end

function TestStates.test_spoilt_states()
  local forest, pca, knn = ml.random_forest { trees = 2 }:fit(iris.x, iris.y), ml.pca():fit(iris.x), ml.knn():fit(iris.x, iris.y)
  local function spoilt(model, part, name, value)
    local state = model:state_dict()
    state[name] = value
    fails(part, model.load_state_dict, model, state)
  end
  local state = forest:state_dict()
  spoilt(forest, "'left' is missing", "left", nil)
  spoilt(forest, "unknown entry 'lift'; did you mean left?", "lift", state.left)
  spoilt(forest, "'leaf': expected a tensor, got string", "leaf", "x")
  spoilt(forest, "'leaf': expected 1 dimension", "leaf", state.proba)
  spoilt(forest, "'left': expected", "left", state.left[{ { 1, 2 } }])
  spoilt(forest, "feature 9, expected -1..3", "feature", state.feature * 0 + 9)
  spoilt(forest, "left child", "left", state.left * 0)
  spoilt(forest, "first", "first", state.first * 2)
  spoilt(forest, "expected a tree and classes", "first", state.first[{ { 1, 1 } }])
  spoilt(forest, "expected a tree and classes", "first", labels {})
  spoilt(forest, "expected sizes >= 1", "features", state.features * 0)
  spoilt(pca, "'components': expected 4 x 4", "components", ms.zeros { 3, 4 })
  spoilt(pca, "'mean' holds inf", "mean", pca.mean * math.huge)
  spoilt(pca, "'components': expected 4 x 0", "mean", ms.zeros { 0 })
  spoilt(knn, "y[1] = 0, expected 1..3", "y", knn:state_dict().y * 0)
  spoilt(knn, "'k': expected a whole number from 1 on, got 0", "k", ms.tensor(0, { dtype = "i64" }))
  spoilt(knn, "one per sample", "y", labels { 1 })
  fails("expected a table of tensors", knn.load_state_dict, knn, "file")
  lu.assertEquals(knn:predict(iris.x[{ { 1, 1 } }]):totable(), { 1 }) -- still what it was
end

-- ---- errors -------------------------------------------------------------------------------------------------------------------

TestErrors = {}

function TestErrors.test_options()
  fails("ml.knn: unknown option 'wieghts'; did you mean weights?", ml.knn, { wieghts = "uniform" })
  fails("ml.knn: option k: expected a whole number from 1 on, got 0", ml.knn, { k = 0 })
  fails("ml.knn: option k: expected a number, got '5'", ml.knn, { k = "5" })
  fails("option weights: expected uniform or distance, got 'far'", ml.knn, { weights = "far" })
  fails("option trees: expected a whole number from 1 on, got 2.5", ml.random_forest, { trees = 2.5 })
  fails("option max_depth: expected a whole number from 1 on, got '3'", ml.random_forest, { max_depth = "3" })
  fails("option min_split: expected a whole number from 2 on, got 1", ml.random_forest, { min_split = 1 })
  fails("option max_features: expected 'sqrt', 'all'", ml.random_forest, { max_features = "log" })
  fails("option max_features: expected 'sqrt', 'all'", ml.random_forest, { max_features = 0 })
  fails("option max_features: expected 'sqrt', 'all'", ml.random_forest, { max_features = 0 / 0 })
  fails("ml.decision_tree: unknown option 'trees'", ml.decision_tree, { trees = 3 })
  fails("ml.pca: option components: expected a whole number", ml.pca, { components = 0.5 })
  fails("classes are too many", ml.knn { classes = 1 << 40 }.fit, ml.knn { classes = 1 << 40 }, iris.x, iris.y)
end

function TestErrors.test_order_of_calls()
  local forest, pca, knn = ml.random_forest(), ml.pca(), ml.knn()
  fails("ml.random_forest:predict: not fitted yet", forest.predict, forest, iris.x)
  fails("ml.decision_tree:nodes: not fitted yet", function() return ml.decision_tree():nodes() end)
  fails("ml.pca:transform: not fitted yet", pca.transform, pca, iris.x)
  fails("ml.pca: mean: not fitted yet", function() return pca.mean end)
  fails("ml.knn:state_dict: not fitted yet", knn.state_dict, knn)
  fails("call it with a colon", knn.fit, iris.x, iris.y)
  lu.assertEquals(tostring(knn), "ml.knn{k = 5, weights = uniform}: not fitted")
  lu.assertStrContains(tostring(ml.decision_tree():fit(iris.x, iris.y)), "1 tree, ")
  lu.assertEquals(tostring(ml.pca { components = 1 }:fit(iris.x)), "ml.pca{}: 1 components of 4 features, 92.5 % of the variance")
end

function TestErrors.test_samples_and_labels()
  local bad = iris.x:clone()
  bad[{ 2, 3 }] = 0 / 0
  for _, make in ipairs { ml.knn, ml.random_forest, ml.decision_tree } do
    local model = make():fit(iris.x, iris.y)
    local function fit_fails(part, x, y) fails(part, model.fit, model, x, y) end
    fails("expected 4 features per sample, as in fit, got 3 (150 x 3 f32)", model.predict, model, iris.x[{ {}, { 1, 3 } }])
    fails("expected a tensor, got nothing", model.predict, model)
    fails("expected a tensor, got table", model.predict, model, { 1, 2, 3, 4 })
    fails("expected floats, samples x features, got 150 i64", model.predict, model, iris.y)
    fails("[2][3] = ", model.predict, model, bad)
    fit_fails("nan, expected a finite number", bad, iris.y)
    fit_fails("y[2] = 0, expected 1 or more", iris.x[{ { 1, 2 } }], labels { 1, 0 })
    fit_fails("y[1] = 4294967297, expected 1 or more", iris.x[{ { 1, 2 } }], labels { 4294967297, 1 })
    fit_fails("y: expected 150 labels, one per sample, got 3", iris.x, labels { 1, 2, 3 })
    fit_fails("y: expected labels, whole numbers (dtype = \"i64\", or i32, u8) in one dimension, got 150 f32", iris.x, iris.y:float())
    fit_fails("got 0 x 4", ms.zeros { 0, 4 }, labels {})
    fails("one per sample, got 3", model.score, model, iris.x, labels { 1, 2, 3 })
    local narrow = make { classes = 2 }
    fails("y[101] = 3, expected 1..2", narrow.fit, narrow, iris.x, iris.y)
    lu.assertEquals(model:predict(iris.x[{ { 1, 1 } }]):totable(), { 1 }) -- a fit that fails leaves the old model
  end
  fails("expected a tensor, got nothing", ml.random_forest().fit, ml.random_forest(), iris.x)
end

function TestErrors.test_sizes()
  local knn = ml.knn { k = 5 }:fit(iris.x[{ { 1, 3 } }], iris.y[{ { 1, 3 } }])
  fails("ml.knn:predict: expected 1 <= k <= 3 training rows, got 5", knn.predict, knn, iris.x)
  fails("ml.knn:neighbours: expected 1 <= k <= 3 training rows, got 4", knn.neighbours, knn, iris.x, 4)
  fails("ml.knn:neighbours: k: expected a whole number from 1 on, got 1.5", knn.neighbours, knn, iris.x, 1.5)
  local forest = ml.random_forest { max_features = 5 }
  fails("option max_features: expected at most the 4 features there are, got 5", forest.fit, forest, iris.x, iris.y)
  fails("ml.random_forest:nodes: tree 101 of 100", function() return ml.random_forest():fit(iris.x, iris.y):nodes(101) end)
  local pca = ml.pca { components = 5 }
  fails("option components: expected at most the 4 features there are, got 5", pca.fit, pca, iris.x)
  fails("expected two rows or more, got 1 x 4 f32", pca.fit, pca, iris.x[{ { 1, 1 } }])
  pca = ml.pca { components = 2 }:fit(iris.x)
  fails("expected 2 components per sample, got 150 x 4", pca.inverse, pca, iris.x)
end

function TestErrors.test_metrics()
  fails("ml.accuracy: truth: expected 2 labels, one per sample, got 1", ml.accuracy, labels { 1, 2 }, labels { 1 })
  fails("ml.accuracy: predicted[1] = 0, expected 1 or more", ml.accuracy, labels { 0 }, labels { 1 })
  fails("expected at least one label", ml.accuracy, labels {}, labels {})
  fails("ml.confusion: truth[2] = 3, expected 1..2", ml.confusion, labels { 1, 2 }, labels { 1, 3 }, 2)
  fails("expected 1..65535 classes, got 1000000", ml.confusion, labels { 1 }, labels { 1000000 })
  fails("classes: expected a whole number from 1 on, got 0", ml.confusion, labels { 1 }, labels { 1 }, 0)
end

-- Everything a failing or a dropped model held is given back.
function TestErrors.test_memory()
  collectgarbage()
  collectgarbage()
  local before = ms.memory().live
  for _ = 1, 20 do
    pcall(ml.random_forest { max_features = 9 }.fit, ml.random_forest { max_features = 9 }, iris.x, iris.y)
    ml.pca():fit(iris.x):transform(iris.x)
    ml.knn():fit(iris.x, iris.y):predict(iris.x)
  end
  collectgarbage()
  collectgarbage()
  lu.assertEquals(ms.memory().live, before)
end

-- The k-th allocation of a tensor fails, for every k: an error at the script's line, and afterwards all works as before.
function TestErrors.test_failed_allocations()
  local x, y = iris.x:double(), iris.y:int()
  local function work()
    local forest, pca, knn = ml.random_forest { trees = 2, seed = 1 }:fit(x, y), ml.pca():fit(x), ml.knn():fit(x, y)
    forest:load_state_dict(forest:state_dict())
    pca:load_state_dict(pca:state_dict())
    knn:load_state_dict(knn:state_dict())
    knn:neighbours(x)
    ml.confusion(forest:predict(x), knn:predict(x))
    return { forest:predict_proba(x), pca:inverse(pca:transform(x)), knn:predict_proba(x) }
  end
  local want, failures = work(), 0
  for k = 1, 1000 do
    ms.fail_allocation(k)
    local ok, message = pcall(work)
    ms.fail_allocation(0)
    if ok then break end
    failures = failures + 1
    lu.assertStrMatches(message, ".*test_ml%.lua:%d+: .*memory.*")
  end
  lu.assertTrue(failures > 20 and failures < 1000, failures)
  for i, t in ipairs(work()) do same(t, want[i]) end
end
