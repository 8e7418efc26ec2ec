-- luacheck: globals TestMetrics TestRegression TestGraph TestErrors
-- Neighbours by other metrics, regression by neighbours and graphs of them, against scikit-learn's figures (tests/data/near_expected.csv,
-- made by tests/peers/make_near.py). Runs in the root of the repository.
-- gcstress: every 40
local lu = require "luaunit"
local ms = require "mascon"
local classic = require "classic_data"
local ml = ms.ml
local train, test, iris, expected = classic.train, classic.test, classic.iris, classic.expected "near_expected"
local flat, near, same, fails, on_threads = classic.flat, classic.near, classic.same, classic.fails, classic.on_threads
local queries = test.x:index_select(1, ms.tensor(expected.queries, { dtype = "i64" }))
local METRICS = { "euclidean", "cosine", "manhattan" }

TestMetrics = {}

function TestMetrics.test_predictions_and_shares()
  for _, metric in ipairs(METRICS) do
    for _, weights in ipairs { "uniform", "distance" } do
      local knn = ml.knn { k = 4, metric = metric, weights = weights }:fit(train.x, train.y)
      lu.assertEquals(knn:predict(queries):totable(), expected["knn_" .. metric .. "_" .. weights])
      near(knn:predict_proba(queries[{ { 1, 10 } }]), expected["proba_" .. metric .. "_" .. weights], 1e-6)
    end
  end
end

function TestMetrics.test_distances()
  for _, metric in ipairs(METRICS) do
    local _, far = ml.knn { k = 4, metric = metric }:fit(train.x):neighbours(queries[{ { 1, 20 } }])
    near(far, expected["distance_" .. metric], 1e-5)
  end
end

-- A direction has no length, a sample of zeros no direction: at distance 1 from everything, itself too.
function TestMetrics.test_cosine()
  local x = ms.tensor { { 1, 0 }, { 0, 3 }, { -2, 0 }, { 0, 0 }, { 5, 5 } }
  local index, far = ml.knn { k = 5, metric = "cosine" }:fit(x):neighbours(ms.tensor { { 7, 0 }, { 0, 0 } })
  lu.assertEquals(index:totable(), { { 1, 5, 2, 4, 3 }, { 1, 2, 3, 4, 5 } })
  near(far, { 0, 1 - math.sqrt(0.5), 1, 1, 2, 1, 1, 1, 1, 1 }, 1e-7)
end

-- Every number of features ends a run of eight, or not: the sums are those of the definition.
function TestMetrics.test_manhattan_by_definition()
  ms.seed(3)
  for _, d in ipairs { 1, 7, 8, 63, 64, 71, 72, 73, 130 } do
    local x, q = ms.randn { 90, d }, ms.randn { 3, d }
    local all = (q:reshape { 3, 1, d } - x:reshape { 1, 90, d }):double():abs():sum(3)
    local sorted, order = all:sort(2)
    local index, far = ml.knn { k = 90, metric = "manhattan" }:fit(x):neighbours(q)
    same(index, order)
    near(far, flat(sorted), 1e-4)
    same(ml.knn { k = 3, metric = "manhattan" }:fit(x):neighbours(q), order[{ {}, { 1, 3 } }])
  end
end

function TestMetrics.test_threads_and_states()
  for _, metric in ipairs(METRICS) do
    local knn = ml.knn { k = 3, metric = metric, weights = "distance" }:fit(train.x, train.y)
    on_threads(function()
      local index, far = knn:neighbours(test.x)
      return { index, far, knn:predict_proba(test.x) }
    end)
    local again = ml.knn():load_state_dict(knn:state_dict())
    same(again:predict_proba(test.x), knn:predict_proba(test.x))
    lu.assertEquals(again.options.metric, metric)
  end
  local old = ml.knn():fit(iris.x, iris.y):state_dict() -- a state from before there were metrics
  old.metric = nil
  lu.assertEquals(ml.knn { metric = "cosine" }:load_state_dict(old).options.metric, "euclidean")
end

TestRegression = {}

function TestRegression.test_predictions()
  local y = ms.cat({ train.x[{ {}, { 37, 37 } }], train.y:float():reshape { -1, 1 } - 1 }, 2)
  for _, metric in ipairs(METRICS) do
    for _, weights in ipairs { "uniform", "distance" } do
      local knn = ml.knn_regressor { k = 4, metric = metric, weights = weights }:fit(train.x, y)
      near(knn:predict(queries[{ { 1, 20 } }]), expected["regression_" .. metric .. "_" .. weights], 1e-5)
    end
  end
end

function TestRegression.test_zero_distance_counts_alone()
  local x, y = ms.tensor { { 0 }, { 0 }, { 1 }, { 9 } }, ms.tensor { 1, 3, 100, 0 }
  local knn = ml.knn_regressor { k = 3, weights = "distance" }:fit(x, y)
  near(knn:predict(ms.tensor { { 0 }, { 2 } }), { 2, (0.5 * 1 + 0.5 * 3 + 100) / 2 }, 1e-6)
  lu.assertEquals(ml.knn_regressor { k = 2 }:fit(x, y):predict(ms.tensor { { 0 } }):totable(), { 2 })
  lu.assertTrue(ml.knn_regressor { k = 1 }:fit(x, y):score(x[{ { 2, 4 } }], y[{ { 2, 4 } }]) < 1) -- the first of equals
  lu.assertEquals(knn:predict(ms.zeros { 0, 1 }).shape, { 0 })
end

function TestRegression.test_state()
  local y = ms.stack({ iris.x[{ {}, 1 }], iris.x[{ {}, 2 }] }, 2)
  local knn = ml.knn_regressor { k = 3, weights = "distance", metric = "manhattan" }:fit(iris.x, y)
  local again = ml.knn_regressor():load_state_dict(knn:state_dict())
  same(again:predict(iris.x), knn:predict(iris.x))
  lu.assertEquals(tostring(again), "ml.knn_regressor{k = 3, weights = distance, metric = manhattan}: 150 samples x 4 features, numbers")
  y:zero_() -- a model keeps its own
  lu.assertTrue(knn:predict(iris.x):abs():sum():item() > 0)
end

TestGraph = {}
local some = train.x[{ { 1, 60 } }] + ms.arange(0, 3839):sin():reshape { 60, 64 }

function TestGraph.test_against_scikit_learn()
  local function graph(o) return ml.kneighbors_graph(some, o):dense() end
  near(graph { k = 4 }, expected.graph_connectivity, 0)
  near(graph { k = 4, mode = "distance" }, expected.graph_distance, 1e-5)
  near(graph { k = 4, include_self = true }, expected.graph_self, 0)
end

function TestGraph.test_weights_and_symmetry()
  local d = ml.kneighbors_graph(some, { k = 4, mode = "distance" }):dense():double()
  local reach = d:amax(2):reshape { -1, 1 }
  local edges = d:gt(0):double()
  local gaussian = (-4 * (d / reach):pow(2)):exp() * edges
  local tuned = (-d:pow(2) / (reach * reach:transpose(1, 2))):exp() * edges
  for mode, w in pairs { gaussian = gaussian, self_tuning = tuned, connectivity = edges } do
    local t = w:transpose(1, 2)
    near(ml.kneighbors_graph(some, { k = 4, mode = mode }):dense(), flat(w), 1e-6)
    near(ml.kneighbors_graph(some, { k = 4, mode = mode, symmetric = "mean" }):dense(), flat((w + t) / 2), 1e-6)
    near(ml.kneighbors_graph(some, { k = 4, mode = mode, symmetric = "max" }):dense(), flat(ms.maximum(w, t)), 1e-6)
  end
end

function TestGraph.test_fields_and_products()
  local graph = ml.kneighbors_graph(some, { k = 3, mode = "gaussian", symmetric = "mean" })
  lu.assertEquals({ graph.nodes, #graph.first, graph.first[1]:item(), graph.first[-1]:item() }, { 60, 61, 0, #graph.column })
  lu.assertEquals({ graph.first.dtype, graph.column.dtype, graph.weight.dtype }, { "i64", "i64", "f32" })
  local dense = graph:dense():double()
  near(graph:matmul(some), flat(dense:matmul(some:double())), 1e-6)
  lu.assertEquals(graph:matmul(some[{ {}, 1 }]).shape, { 60 })
  near(graph:degree(), flat(dense:sum(2)), 1e-6)
  lu.assertEquals(tostring(ml.kneighbors_graph(some, { k = 3 })),
    "graph of 60 nodes and 180 edges: k = 3, euclidean, connectivity, symmetric = none")
  on_threads(function()
    local g = ml.kneighbors_graph(train.x, { k = 6, mode = "self_tuning", symmetric = "max", metric = "cosine" })
    return { g.column, g.weight, g:matmul(train.x) }
  end)
end

-- Equal samples: each leaves itself out, and no weight is NaN.
function TestGraph.test_equal_samples()
  for _, mode in ipairs { "connectivity", "gaussian", "self_tuning" } do
    local graph = ml.kneighbors_graph(ms.ones { 5, 3 }, { k = 2, mode = mode })
    lu.assertEquals(graph.column:totable(), { 2, 3, 1, 3, 1, 2, 1, 2, 1, 2 })
    lu.assertEquals(graph.weight:totable(), { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 })
  end
end

TestErrors = {}

function TestErrors.test_messages()
  fails("ml.knn: option metric: expected euclidean or cosine or manhattan, got 'cosin'", ml.knn, { metric = "cosin" })
  fails("ml.knn_regressor: unknown option 'classes'", ml.knn_regressor, { classes = 3 })
  local r = ml.knn_regressor { k = 2 }
  fails("ml.knn_regressor:predict: not fitted yet", r.predict, r, iris.x)
  fails("y: expected a tensor, got nothing", r.fit, r, iris.x)
  fails("y: expected 150 numbers, or rows of numbers, one per sample, got 3", r.fit, r, iris.x, ms.ones { 3 })
  fails("y: expected finite numbers", r.fit, r, iris.x, iris.x[{ {}, 1 }] / 0)
  r:fit(iris.x, iris.x[{ {}, 1 }])
  fails("expected 4 features per sample, as in fit, got 3", r.predict, r, iris.x[{ {}, { 1, 3 } }])
  fails("'y' is missing", r.load_state_dict, r, ml.knn():fit(iris.x):state_dict())
  local state = r:state_dict()
  state.metric = ms.tensor(7, { dtype = "i64" })
  fails("'metric': unknown number", r.load_state_dict, r, state)
  lu.assertEquals(r:predict(iris.x[{ { 1, 1 } }]).shape, { 1 })
  fails("ml.kneighbors_graph: expected 1 <= k <= 59 other training rows, got 60", ml.kneighbors_graph, some, { k = 60 })
  fails("option mode: expected connectivity or distance or gaussian or self_tuning, got 'gauss'", ml.kneighbors_graph, some,
    { mode = "gauss" })
  fails("ml.kneighbors_graph: expected a tensor, got nothing", ml.kneighbors_graph)
  local graph = ml.kneighbors_graph(some)
  fails("graph:matmul: expected 60 rows, one for each node, got 3 x 2", graph.matmul, graph, ms.ones { 3, 2 })
  fails("graph:matmul: expected a tensor, 60 or 60 x c, got number", graph.matmul, graph, 3)
  fails("call it with a colon on a graph", graph.degree, some)
  graph.column = graph.column * 100
  fails("are not those of a graph", graph.degree, graph)
end
