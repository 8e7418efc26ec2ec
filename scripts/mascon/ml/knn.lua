-- Nearest neighbours: classification, regression.
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local kit = require "mascon.ml.kit"
local core = inside.ml
local ml = {}

local METRICS, WEIGHTS = { "euclidean", "cosine", "manhattan" }, { "uniform", "distance" }
local KNN, Regressor = kit.class "knn", kit.class "knn_regressor"

local function check(c, self)
  local o = self.options
  kit.whole(c.what, o, "k", 1)
  kit.one_of(c.what, "weights", o.weights, table.unpack(WEIGHTS))
  kit.one_of(c.what, "metric", o.metric, table.unpack(METRICS))
  return self
end

-- ml.knn{k = 5, weights = "uniform", metric = "euclidean", classes} -> k nearest neighbours, exact; weights "distance": votes count
-- 1 / distance; metric: "euclidean", "cosine" (1 - cosine of the angle; 1 where a sample is all zeros) or "manhattan"; classes: how many
-- there are, else the largest label
function ml.knn(opts)
  local self = kit.new(KNN, opts, { k = 5, weights = "uniform", metric = "euclidean", classes = options.any })
  kit.whole(KNN.what, self.options, "classes", 1)
  return check(KNN, self)
end

-- ml.knn_regressor{k = 5, weights = "uniform", metric = "euclidean"} -> predicts numbers: the mean over the k nearest neighbours, weighted
-- by 1 / distance with weights "distance" (those at distance 0, where there are any, then count alone)
function ml.knn_regressor(opts)
  return check(Regressor, kit.new(Regressor, opts, { k = 5, weights = "uniform", metric = "euclidean" }))
end

-- knn:fit(X [, y]) -> itself; without labels it finds neighbours only
function KNN:fit(X, y)
  local what = kit.words(self, KNN, "fit")
  self._model = core.knn_fit(what, X, y, self.options.classes or 0, self.options.metric)
  return self
end

-- The numbers to predict, N or N x m, as f32 on the CPU.
local function targets(what, y, rows)
  if not ms.is_tensor(y) then options.raise("%s: y: expected a tensor, got %s", what, y == nil and "nothing" or type(y)) end
  local dims = y:dim()
  if y.dtype == "bool" or dims < 1 or dims > 2 or y:size(1) ~= rows or dims == 2 and y:size(2) < 1 then
    options.raise("%s: y: expected %d numbers, or rows of numbers, one per sample, got %s", what, rows, kit.shape(y))
  end
  y = y:detach():to { device = "cpu", dtype = "f32" }
  if not y:isfinite():all():item() then options.raise("%s: y: expected finite numbers", what) end
  return y
end

-- knn:fit(X, y) -> itself; y: N numbers, or N x m
function Regressor:fit(X, y)
  local what = kit.words(self, Regressor, "fit")
  local model = core.knn_fit(what, X, nil, 0, self.options.metric)
  y = targets(what, y, X:size(1))
  self._y, self._model = ms.keep(y:clone()), model
  return self
end

local function vote(self, method, X, proba)
  local what, model = kit.fitted(self, KNN, method)
  local _, _, classes = core.knn_sizes(what, model)
  if classes == 0 then options.raise("%s: fitted without labels", what) end
  return core.knn_predict(what, model, X, self.options.k, self.options.weights == "distance", proba)
end

-- knn:predict(X) -> labels (i64): the class most neighbours have, the smaller one where votes are equal
function KNN:predict(X) return vote(self, "predict", X, false) end

-- knn:predict(X) -> numbers (f32), N or N x m as y was
function Regressor:predict(X)
  local what, model = kit.fitted(self, Regressor, "predict")
  local index, far = core.knn_neighbours(what, model, X, self.options.k)
  local y, n, k = self._y, index:size(1), index:size(2)
  local columns = y:dim() == 2 and y:size(2) or 1
  local near = y:reshape { -1, columns }:index_select(1, index:to "cpu":reshape { -1 }):reshape { n, k, columns }:double()
  local w = ms.ones({ n, k }, { dtype = "f64" })
  if self.options.weights == "distance" then
    far = far:to { device = "cpu", dtype = "f64" }
    local zero = far:eq(0)
    w = ms.where(zero:any(2):reshape { n, 1 }, zero:double(), 1 / ms.where(zero, 1, far))
  end
  local mean = (near * w:reshape { n, k, 1 }):sum(2) / w:sum(2):reshape { n, 1 }
  if y:dim() == 1 then mean = mean:reshape { n } end
  return ms.keep(mean:to { dtype = "f32", device = X.device })
end

-- knn:predict_proba(X) -> N x classes: shares of the votes
function KNN:predict_proba(X) return vote(self, "predict_proba", X, true) end

-- knn:neighbours(X [, k]) -> row numbers of the training samples (i64, N x k), distances (f32, N x k), nearest first, the earlier sample
-- first where distances are equal
function KNN:neighbours(X, k)
  local what, model = kit.fitted(self, KNN, "neighbours")
  return core.knn_neighbours(what, model, X, k == nil and self.options.k or kit.whole_number(what, "k", k, 1))
end
Regressor.neighbours = KNN.neighbours

local function position(list, word)
  for i, w in ipairs(list) do
    if w == word then return i - 1 end
  end
end

local function state_of(self, c)
  local what, model = kit.fitted(self, c, "state_dict")
  local x, y = core.knn_get(what, model)
  local o = self.options
  return { x = x, y = y, k = kit.number_tensor(o.k), weights = kit.number_tensor(position(WEIGHTS, o.weights)),
    metric = kit.number_tensor(position(METRICS, o.metric)) }, what, model
end

-- The options in a state; one from before there were metrics has none.
local function options_of(what, state)
  local k, weights = kit.state_number(what, state, "k", 1), WEIGHTS[kit.state_number(what, state, "weights", 0) + 1]
  local metric = state.metric == nil and "euclidean" or METRICS[kit.state_number(what, state, "metric", 0) + 1]
  if not weights or not metric then options.raise("%s: '%s': unknown number", what, weights and "metric" or "weights") end
  return k, weights, metric
end

-- knn:state_dict() -> {x, y, classes, k, weights, metric}: the training samples themselves
function KNN:state_dict()
  local state, what, model = state_of(self, KNN)
  state.classes = kit.number_tensor((select(3, core.knn_sizes(what, model))))
  return ms.keep(state)
end

-- knn:load_state_dict(state) -> itself; k, weights and metric are those of the state
function KNN:load_state_dict(state)
  local what, o = kit.words(self, KNN, "load_state_dict"), self.options
  kit.check_state(what, state, { "x", "classes", "k", "weights" }, { "y", "metric" })
  local k, weights, metric = options_of(what, state)
  self._model = core.knn_fit(what, state.x, state.y, kit.state_number(what, state, "classes", state.y and 1 or 0), metric)
  o.k, o.weights, o.metric = k, weights, metric
  return self
end

-- knn:state_dict() -> {x, y, k, weights, metric}: the training samples themselves
function Regressor:state_dict()
  local state = state_of(self, Regressor)
  state.y = self._y:clone()
  return ms.keep(state)
end

-- knn:load_state_dict(state) -> itself; k, weights and metric are those of the state
function Regressor:load_state_dict(state)
  local what, o = kit.words(self, Regressor, "load_state_dict"), self.options
  kit.check_state(what, state, { "x", "y", "k", "weights", "metric" })
  local k, weights, metric = options_of(what, state)
  local model = core.knn_fit(what, state.x, nil, 0, metric)
  local y = targets(what, state.y, (core.knn_sizes(what, model)))
  self._y, self._model = ms.keep(y:clone()), model
  o.k, o.weights, o.metric = k, weights, metric
  return self
end

function KNN:__tostring()
  local metric = self.options.metric ~= "euclidean" and "metric" or nil
  return kit.describe(self, { "k", "weights", metric }, function()
    local n, d, classes = core.knn_sizes("", self._model)
    local told = classes > 0 and classes .. " classes" or self._y and "numbers" or "no labels"
    return ("%d samples x %d features, %s"):format(n, d, told)
  end)
end
Regressor.__tostring = KNN.__tostring

kit.scores(KNN)

-- knn:score(X, y) -> the coefficient of determination R^2 of the predictions (ml.r2)
function Regressor:score(X, y)
  kit.fitted(self, Regressor, "score")
  return ms.ml.r2(self:predict(X), y)
end

return ml
