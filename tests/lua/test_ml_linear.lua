-- luacheck: globals TestLogistic TestScalers TestErrors
-- Logistic regression and scalers of ml against scikit-learn's figures (tests/data/ml_logistic.json, made by
-- tests/peers/make_ml_logistic.py). Runs in the root of the repository.
-- gcstress: every 40
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local json = require "mascon.json"
local ml, fails = ms.ml, checks.fails

local peers = json.decode(checks.contents "tests/data/ml_logistic.json")
local function labels(list) return ms.tensor(list, { dtype = "i64" }) end

local x, y = {}, {}
for line in io.lines "tests/data/iris.csv" do
  local row = {}
  for v in line:gmatch "[^,]+" do row[#row + 1] = tonumber(v) end
  y[#y + 1] = math.tointeger(table.remove(row))
  x[#x + 1] = row
end
x, y = ms.tensor(x, { dtype = "f64" }), labels(y)
local bx, by = ms.tensor(peers.x, { dtype = "f64" }), labels(peers.y)

local function near(t, want, error)
  local d = (t - ms.tensor(want, { dtype = "f64" })):abs():max():item()
  lu.assertEquals(#t, #want)
  lu.assertTrue(d < error, d)
end

-- f() with one thread and with two: the same.
local function on_threads(f)
  local before, results = ms.threads(), {}
  for n = 1, 2 do
    ms.threads(n)
    results[n] = f()
  end
  ms.threads(before)
  for k, t in ipairs(results[1]) do lu.assertEquals(t:totable(), results[2][k]:totable()) end
end

-- ---- logistic regression ----------------------------------------------------------------------------------------------------------

TestLogistic = {}

local function optimum(name, X, Y, opts)
  local p = peers[name]
  opts.tol, opts.max_iter, opts.C = 1e-11, 1000, p.C == "inf" and math.huge or p.C
  local m = ml.logistic_regression(opts):fit(X, Y)
  lu.assertTrue(m.converged)
  lu.assertTrue(m.objective <= p.objective + 1e-8 and m.objective > p.objective - 1e-7, m.objective - p.objective)
  near(m.coef, p.coef, 1e-4)
  if opts.fit_intercept ~= false then near(m.intercept, p.intercept, 1e-3) end
  near(m:predict_proba(X[{ { 1, 5 } }]), p.proba, 1e-5)
  lu.assertAlmostEquals(m:score(X, Y), p.accuracy, 1e-12)
  return m
end

function TestLogistic.test_iris()
  local m = optimum("iris", x, y, {})
  lu.assertAlmostEquals(m.objective, 28.8863166, 1e-6)
  lu.assertAlmostEquals(m:score(x, y), 0.97333, 1e-5)
  lu.assertAlmostEquals(m.intercept:sum():item(), 0, 1e-12)
  lu.assertEquals(m.coef.shape, { 3, 4 })
  near(m:decision_function(x), (x:matmul(m.coef:transpose(1, 2)) + m.intercept):totable(), 1e-12)
  optimum("iris_strong", x, y, {})
  optimum("iris_no_intercept", x, y, { fit_intercept = false })
  optimum("iris_balanced", x[{ { 31, 150 } }], y[{ { 31, 150 } }], { class_weight = "balanced" })
  optimum("iris_balanced", x[{ { 31, 150 } }], y[{ { 31, 150 } }], { class_weight = { 2, 0.8, 0.8 } })
end

function TestLogistic.test_two_classes()
  local m = optimum("iris_two", x[{ { 1, 100 } }], y[{ { 1, 100 } }], {})
  lu.assertEquals(m.coef.shape, { 1, 4 })
  lu.assertEquals(m:decision_function(x).shape, { 150 })
  optimum("binary", bx, by, {})
  optimum("binary_free", bx, by, {})
end

-- Defaults stop where scikit-learn's do, near the optimum.
function TestLogistic.test_defaults()
  local m = ml.logistic_regression():fit(x, y)
  lu.assertTrue(m.converged and m.n_iter < 40, m.n_iter)
  lu.assertAlmostEquals(m.objective, peers.iris.objective, 1e-3)
end

function TestLogistic.test_labels_that_do_not_occur()
  local gap = y:eq(3):long() * 4 + y
  local m = ml.logistic_regression { classes = 9 }:fit(x, gap)
  lu.assertEquals(m.classes:totable(), { 1, 2, 7 })
  lu.assertEquals(m:predict(x[{ { 150, 150 } }]):totable(), { 7 })
  local proba = m:predict_proba(x)
  lu.assertEquals(proba.shape, { 150, 9 })
  lu.assertEquals(proba[{ {}, 3 }]:sum():item(), 0)
  lu.assertAlmostEquals(proba:sum(2):min():item(), 1, 1e-12)
end

function TestLogistic.test_dtypes_images_and_no_rows()
  local m = ml.logistic_regression():fit(x:float(), y:int())
  lu.assertAlmostEquals(m.objective, peers.iris.objective, 1e-3)
  lu.assertEquals(m:predict(x:float():reshape { 150, 2, 2 }):totable(), m:predict(x):totable())
  lu.assertEquals(m:predict(ms.zeros { 0, 4 }).shape, { 0 })
  lu.assertEquals(m:predict_proba(ms.zeros { 0, 4 }).shape, { 0, 3 })
end

-- Features of very different scale and close to one another cost no more steps.
function TestLogistic.test_badly_scaled()
  ms.seed(1)
  local z = ms.randn({ 500, 40 }, { dtype = "f64" })
  local common = ms.randn({ 500, 1 }, { dtype = "f64" })
  local wide = (z * 0.1 + common * 3) * ms.logspace(-2, 2, 40, { dtype = "f64" })
  local m = ml.logistic_regression { C = 10, max_iter = 200, tol = 1e-6 }:fit(wide, (z[{ {}, 1 }] + common[{ {}, 1 }]):gt(0):long() + 1)
  lu.assertTrue(m.converged, m.n_iter)
end

function TestLogistic.test_threads()
  ms.seed(2)
  local X, Y = ms.randn { 3000, 7 }, ms.randint(1, 5, { 3000 })
  on_threads(function()
    local m = ml.logistic_regression():fit(X, Y)
    return { m.coef, m.intercept, m:predict(X) }
  end)
end

function TestLogistic.test_state()
  local name = os.tmpname()
  local m = ml.logistic_regression():fit(x, y)
  ms.save(name, m:state_dict())
  local again = ml.logistic_regression():load_state_dict((ms.load(name)))
  os.remove(name)
  lu.assertEquals(again:predict_proba(x):totable(), m:predict_proba(x):totable())
  lu.assertEquals(tostring(again),
    "ml.logistic_regression{C = 1, fit_intercept = true, tol = 0.0001, max_iter = 100}: 4 features, 3 classes")
  local function spoilt(part, field, value)
    local state = m:state_dict()
    state[field] = value
    fails(part, again.load_state_dict, again, state)
  end
  spoilt("'coef' is missing", "coef", nil)
  spoilt("'classes': expected labels that rise", "classes", labels { 1, 3, 2 })
  spoilt("'classes': expected labels that rise", "classes", labels { 1, 2 })
  spoilt("'classes'[3] = 4, expected 1..3", "classes", labels { 1, 2, 4 })
  spoilt("'intercept': expected 3 numbers", "intercept", ms.zeros { 2 })
  spoilt("'coef'[2] = nan", "coef", ms.tensor { { 1, 0 / 0 }, { 1, 1 }, { 1, 1 } })
  lu.assertEquals(again:predict(x):totable(), m:predict(x):totable())
end

-- ---- scalers ----------------------------------------------------------------------------------------------------------------------

TestScalers = {}

function TestScalers.test_peers()
  local X = bx[{ { 1, 5 } }]
  local s = ml.standard_scaler()
  near(s:fit_transform(X), peers.standard, 1e-9)
  near(s:inverse(s:transform(X)), X:totable(), 1e-12)
  local m = ml.min_max_scaler { feature_range = { -1, 2 } }:fit(X)
  near(m:transform(X), peers.min_max, 1e-9)
  near(m:inverse(m:transform(X)), X:totable(), 1e-12)
  near(ml.standard_scaler { with_mean = false, with_std = false }:fit_transform(X), X:totable(), 1e-15)
end

function TestScalers.test_constant_features_shapes_and_states()
  local X = ms.full({ 3, 1, 2 }, 0.1)
  for _, make in ipairs { ml.standard_scaler, ml.min_max_scaler } do
    local s = make():fit(X)
    local out = s:transform(X)
    lu.assertEquals(out.shape, { 3, 1, 2 })
    lu.assertEquals(out.dtype, "f32")
    lu.assertEquals(out:abs():max():item(), 0)
    lu.assertEquals(s:transform(ms.zeros { 0, 2 }).shape, { 0, 2 })
    local again = make():load_state_dict(make():fit(bx):state_dict())
    lu.assertEquals(again:transform(bx):totable(), make():fit_transform(bx):totable())
    local given, told = s:state_dict(), s:state_dict() -- a state is a copy, and is copied
    local loaded = make():load_state_dict(given)
    for name, t in pairs(given) do
      t:fill_(5)
      lu.assertEquals({ s[name]:totable(), loaded[name]:totable() }, { told[name]:totable(), told[name]:totable() })
    end
    fails("expected 2 features per sample, as in fit, got 3", s.transform, s, bx)
    fails("not fitted yet", make().transform, make(), bx)
    fails("X: expected samples and features, got 0 x 2", s.fit, s, ms.zeros { 0, 2 })
    fails("expected floats, samples x features, got 150 i64", s.fit, s, y)
    fails("= nan, expected a finite number", s.fit, s, bx * (0 / 0))
    lu.assertStrContains(tostring(s), "2 features")
  end
  local tenth = ms.full({ 121, 26 }, 0.1, { dtype = "f64" }) -- their sum is rounded, and the mean not quite 0.1
  lu.assertEquals(ml.standard_scaler():fit(tenth).scale:totable(), ms.ones({ 26 }):totable())
  lu.assertTrue(ml.standard_scaler():fit_transform(tenth):abs():max():item() < 1e-12)
  lu.assertEquals(ml.standard_scaler():fit_transform(bx:bfloat16()).dtype, "bf16")
  fails("X: expected numbers whose squares f64 holds, got some up to", ml.standard_scaler().fit, ml.standard_scaler(),
    bx:double() * 1e300)
  fails("option feature_range: expected two numbers", ml.min_max_scaler, { feature_range = { 1, 0 } })
  fails("'scale': expected numbers above 0", ml.standard_scaler().load_state_dict, ml.standard_scaler(),
    { mean = ms.zeros { 2 }, scale = ms.zeros { 2 } })
end

-- ---- errors -----------------------------------------------------------------------------------------------------------------------

TestErrors = {}

function TestErrors.test_bad_input()
  local m = ml.logistic_regression()
  fails("ml.logistic_regression: coef: not fitted yet: call fit first", function() return m.coef end)
  fails("ml.logistic_regression:predict: not fitted yet", m.predict, m, x)
  m:fit(x, y)
  local before = m:predict(x):totable()
  lu.assertEquals(m:predict(x:half()):totable(), before)
  local other, state = ml.logistic_regression():fit(bx, by), m:state_dict()
  other:load_state_dict(state)
  fails("objective: not fitted yet", function() return other.objective end)
  state.coef:zero_()
  lu.assertEquals({ other:predict(x):totable(), m:predict(x):totable() }, { before, before })
  fails("y: expected labels of two classes or more, got 1", m.fit, m, x[{ { 1, 10 } }], y[{ { 1, 10 } }])
  fails("y: expected 150 labels, one per sample, got 2", m.fit, m, x, labels { 1, 2 })
  fails("y[1] = 0, expected 1 or more", m.fit, m, x, y - 1)
  local bad = x:clone()
  bad[{ 150, 4 }] = math.huge
  fails("X[150][4] = inf, expected a finite number", m.fit, m, bad, y)
  fails("expected floats, samples x features, got 150 i64", m.fit, m, y, y)
  fails("expected labels up to 65535", m.fit, m, x[{ { 1, 2 } }], labels { 1, 70000 })
  fails("X: expected 4 features per sample, as in fit, got 3 (150 x 3 f64)", m.predict, m, x[{ {}, { 1, 3 } }])
  fails("expected a tensor, got nothing", m.fit, m)
  lu.assertEquals(m:predict(x):totable(), before)
  fails("option C: expected a number above 0, got 0", ml.logistic_regression, { C = 0 })
  fails("option tol: expected a number from 0 on", ml.logistic_regression, { tol = 0 / 0 })
  fails("option max_iter: expected a whole number from 1 on", ml.logistic_regression, { max_iter = 0.5 })
  fails("option class_weight: expected balanced, got 'even'", ml.logistic_regression, { class_weight = "even" })
  m = ml.logistic_regression { class_weight = { 1, 2 } }
  fails("option class_weight: expected a number above 0 for each class 1..3, got nil for class 3", m.fit, m, x, y)
  m = ml.logistic_regression { classes = 2 }
  fails("y[101] = 3, expected 1..2", m.fit, m, x, y)
end

-- scikit-learn's names for what is called otherwise: an error that leads on, where nil would be passed on.
function TestErrors.test_scikit_learn_s_names()
  local m = ml.logistic_regression():fit(x, y)
  lu.assertErrorMsgContains("ml.logistic_regression: no coef_: here it is coef", function() return m.coef_ end)
  lu.assertErrorMsgContains("no inverse_transform: here it is inverse", function() return ml.pca():fit(x).inverse_transform end)
  lu.assertErrorMsgContains("no cluster_centers_: here it is centers", function() return ml.kmeans().cluster_centers_ end)
  lu.assertErrorMsgContains("no kneighbors: here it is neighbours", function() return ml.knn_regressor().kneighbors end)
  lu.assertErrorMsgContains("no scale_", function() return ml.standard_scaler().scale_ end)
  lu.assertNil(m.nothing)
end
