-- luacheck: globals TestPropagation TestPoisson TestErrors
-- Label propagation, label spreading and Poisson learning of ml against scikit-learn's and NumPy's figures (tests/data/ml_propagation.json,
-- made by tests/peers/make_ml_propagation.py). Runs in the root of the repository.
-- gcstress: every 100
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local json = require "mascon.json"
local ml, fails = ms.ml, checks.fails

local peers = json.decode(checks.contents "tests/data/ml_propagation.json")
local function labels(list) return ms.tensor(list, { dtype = "i64" }) end
local function numbers(list) return ms.tensor(list, { dtype = "f64" }) end

local x, y, new = numbers(peers.x), labels(peers.y), numbers(peers.new)

local function near(t, want, error)
  want = numbers(want)
  lu.assertEquals(t.shape, want.shape)
  local d = (t - want):abs():max():item()
  lu.assertTrue(d < (error or 1e-9), d)
end

-- ---- scikit-learn's ---------------------------------------------------------------------------------------------------------------

TestPropagation = {}

for _, name in ipairs { "propagation", "spreading" } do
  for _, kernel in ipairs { "rbf", "knn" } do
    TestPropagation["test_" .. name .. "_" .. kernel] = function()
      local p = peers[name .. "_" .. kernel]
      local m = ml["label_" .. name] { kernel = kernel }:fit(x, y)
      near(m.label_distributions, p.u)
      lu.assertEquals(m.transduction:totable(), p.labels)
      lu.assertEquals(m.n_iter, p.steps)
      near(m:predict_proba(new), p.proba)
      lu.assertEquals(m:predict(new):totable(), m.classes[numbers(p.proba):argmax(2)]:totable())
      lu.assertEquals(m:predict(new[{ { 1, 0 } }]).shape, { 0 })
      local again = ml["label_" .. name] { kernel = kernel }:load_state_dict(m:state_dict())
      near(again:predict_proba(new), m:predict_proba(new):totable(), 1e-15)
      lu.assertStrContains(tostring(m), "90 samples, 3 classes")
    end
  end
end

function TestPropagation.test_labels_without_gaps_and_minus_one()
  local other = y * 2 - y:eq(0):long() -- 2, 4, 6, and -1 where there is none
  local m = ml.label_spreading():fit(x:float(), other:int())
  lu.assertEquals(m.classes:totable(), { 2, 4, 6 })
  near(m.label_distributions, peers.spreading_rbf.u)
  lu.assertEquals((m.transduction / 2):long():totable(), peers.spreading_rbf.labels)
end

-- ---- Poisson learning -------------------------------------------------------------------------------------------------------------

TestPoisson = {}

function TestPoisson.test_peers()
  local m = ml.poisson_learning():fit(x, y)
  lu.assertEquals(m.n_iter, peers.poisson.steps)
  near(m.label_distributions, peers.poisson.u, 1e-4)
  lu.assertEquals(m.transduction:totable(), m.classes[numbers(peers.poisson.exact):argmax(2)]:totable())
  local g = ml.kneighbors_graph(x, { k = 10, mode = "gaussian", symmetric = "mean" })
  near(g:degree(), peers.degrees, 1e-5) -- weights are f32
  near(ml.poisson_learning():fit(g, y).label_distributions, m.label_distributions:totable(), 1e-15)
  local again = ml.poisson_learning():load_state_dict(m:state_dict())
  lu.assertEquals(again.transduction:totable(), m.transduction:totable())
end

-- Two clouds that touch: the cut goes where the links are few, and the classes are equal in size.
function TestPoisson.test_mbo()
  ms.seed(1)
  local n = checks.stress and 60 or 200
  local X = ms.cat { ms.randn { n, 2 }, ms.randn { n, 2 } + 4 }
  local some = ms.zeros({ 2 * n }, { dtype = "i64" })
  some[1], some[2 * n] = 1, 2
  local truth = ms.cat { ms.ones({ n }, { dtype = "i64" }), ms.full({ n }, 2, { dtype = "i64" }) }
  local m = ml.poisson_learning { mbo = true }:fit(X, some)
  lu.assertTrue(ml.accuracy(m.transduction, truth) > 0.97)
  lu.assertAlmostEquals(m.transduction:eq(1):double():mean():item(), 0.5, 0.02)
end

-- ---- errors -----------------------------------------------------------------------------------------------------------------------

TestErrors = {}

function TestErrors.test_bad_input()
  for _, name in ipairs { "label_propagation", "label_spreading", "poisson_learning" } do
    local m = ml[name]()
    fails("ml." .. name .. ": transduction: not fitted yet", function() return m.transduction end)
    fails("ml." .. name .. ":fit: y: expected 90 labels, one per sample (0: none), got 2", m.fit, m, x, labels { 1, 0 })
    fails("y: expected labels from 1 on for some samples, got none", m.fit, m, x, y * 0)
    fails("y[1] = -2, expected 1..65535", m.fit, m, x[{ { 1, 20 } }], labels { -2, table.unpack(y[{ { 2, 20 } }]:totable()) })
    fails("y: expected labels, whole numbers from 1", m.fit, m, x, x)
    fails("y: expected a tensor, got nothing", m.fit, m, x)
    fails("X: expected floats, samples x features, or a graph, got nothing", m.fit, m)
    fails("nan, expected a finite number", m.fit, m, x * (0 / 0), y)
    fails("not fitted yet", m.state_dict, m)
    fails("'classes' is missing", m.load_state_dict, m, { label_distributions = x, n_iter = 1 })
  end
  local m = ml.label_propagation():fit(x, y)
  fails("expected 2 features per sample, as in fit", m.predict, m, ms.zeros { 3, 3 })
  fails("option alpha: expected a number between 0 and 1, got 1", ml.label_spreading, { alpha = 1 })
  fails("option kernel: expected rbf or knn, got 'linear'", ml.label_spreading, { kernel = "linear" })
  fails("unknown option 'alpha'", ml.label_propagation, { alpha = 0.5 })
  local knn = ml.label_propagation { kernel = "knn", n_neighbors = 100 }
  fails("option n_neighbors: expected at most the 90 samples there are, got 100", knn.fit, knn, x, y)
  local graph = ml.label_propagation():fit(ml.kneighbors_graph(x), y)
  fails("fitted to a graph", graph.predict, graph, x)
end
