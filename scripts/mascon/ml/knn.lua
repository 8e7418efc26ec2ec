-- Nearest neighbours.
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local kit = require "mascon.ml.kit"
local core = inside.ml
local ml = {}

local KNN = kit.class "knn"

-- ml.knn{k = 5, weights = "uniform", classes} -> k nearest neighbours by euclidean distance, exact; weights "distance": votes count
-- 1 / distance; classes: how many there are, else the largest label
function ml.knn(opts)
  local self = kit.new(KNN, opts, { k = 5, weights = "uniform", classes = options.any })
  kit.whole(KNN.what, self.options, "k", 1)
  kit.whole(KNN.what, self.options, "classes", 1)
  kit.one_of(KNN.what, "weights", self.options.weights, "uniform", "distance")
  return self
end

-- knn:fit(X [, y]) -> itself; without labels it finds neighbours only
function KNN:fit(X, y)
  local what = kit.words(self, KNN, "fit")
  self._model = core.knn_fit(what, X, y, self.options.classes or 0)
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

-- knn:predict_proba(X) -> N x classes: shares of the votes
function KNN:predict_proba(X) return vote(self, "predict_proba", X, true) end

-- knn:neighbours(X [, k]) -> row numbers of the training samples (i64, N x k), distances (f32, N x k), nearest first
function KNN:neighbours(X, k)
  local what, model = kit.fitted(self, KNN, "neighbours")
  return core.knn_neighbours(what, model, X, k == nil and self.options.k or kit.whole_number(what, "k", k, 1))
end

-- knn:state_dict() -> {x, y, classes, k, weights}: the training samples themselves
function KNN:state_dict()
  local what, model = kit.fitted(self, KNN, "state_dict")
  local x, y = core.knn_get(what, model)
  local _, _, classes = core.knn_sizes(what, model)
  return ms.keep { x = x, y = y, classes = kit.number_tensor(classes), k = kit.number_tensor(self.options.k),
    weights = kit.number_tensor(self.options.weights == "distance" and 1 or 0) }
end

-- knn:load_state_dict(state) -> itself; k and weights are those of the state
function KNN:load_state_dict(state)
  local what = kit.words(self, KNN, "load_state_dict")
  kit.check_state(what, state, { "x", "classes", "k", "weights" }, { "y" })
  local k, by_distance = kit.state_number(what, state, "k", 1), kit.state_number(what, state, "weights", 0) == 1
  self._model = core.knn_fit(what, state.x, state.y, kit.state_number(what, state, "classes", state.y and 1 or 0))
  self.options.k, self.options.weights = k, by_distance and "distance" or "uniform"
  return self
end

function KNN:__tostring()
  return kit.describe(self, { "k", "weights" }, function()
    local n, d, classes = core.knn_sizes("", self._model)
    return ("%d samples x %d features, %s"):format(n, d, classes > 0 and classes .. " classes" or "no labels")
  end)
end

kit.scores(KNN)

return ml
