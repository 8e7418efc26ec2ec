-- ml: classical learning. Estimators are made with options, fitted to samples, then asked:
--
--   local forest = ml.random_forest { trees = 100 }:fit(codes, labels)
--   print(ml.accuracy(forest:predict(test_codes), test_labels))
--
-- Samples X: floats, N x d, or N x anything, which is flattened; f32 inside. Labels y: whole numbers from 1, one per sample. What is
-- computed runs on the CPU; results are where X is. The same data, options and seed give the same model whatever the number of threads.
-- Names and defaults are scikit-learn's where they are short. Every estimator has state_dict() and load_state_dict(state), for ms.save and
-- ms.load; what a loaded one predicts is what the saved one did.
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local text = require "mascon.text"
local core = inside.ml
local ml = {}

-- ---- what estimators share ----------------------------------------------------------------------------------------------------

local function class(name)
  local c = { what = "ml." .. name }
  c.__index, c.__name = c, c.what
  return c
end

local function new(c, opts, defaults) return setmetatable({ options = options.read(c.what, opts, defaults) }, c) end

-- The words messages of a method begin with, after a look at its self.
local function words(self, c, method)
  local mt = getmetatable(self)
  if type(self) ~= "table" or rawget(self, "options") == nil or mt.what == nil then
    options.raise("%s:%s: call it with a colon on an estimator: model:%s(...)", c.what, method, method)
  end
  return mt.what .. ":" .. method
end

-- The same and the model, which must be there.
local function fitted(self, c, method)
  local what = words(self, c, method)
  local model = rawget(self, "_model")
  if not model then options.raise("%s: not fitted yet: call fit first", what) end
  return what, model
end

local function one_of(what, name, v, ...)
  for _, word in ipairs { ... } do
    if v == word then return v end
  end
  options.raise("%s: option %s: expected %s, got %s", what, name, table.concat({ ... }, " or "),
    type(v) == "string" and "'" .. v .. "'" or tostring(v))
end

local function whole_number(what, name, v, least)
  local n = type(v) == "number" and math.tointeger(v)
  if not n or n < least then
    options.raise("%s: %s: expected a whole number from %d on, got %s", what, name, least,
      type(v) == "string" and "'" .. v .. "'" or tostring(v))
  end
  return n
end

-- A whole number >= least in options o, nil allowed where the default is nil.
local function whole(what, o, name, least)
  local v = o[name]
  if v == nil then return end
  o[name] = whole_number(what, "option " .. name, v, least)
end

-- A state that has all of `names`, none but those and `optional`.
local function check_state(what, state, names, optional)
  if type(state) ~= "table" then options.raise("%s: expected a table of tensors by name, got %s", what, type(state)) end
  local known = {}
  for _, name in ipairs(names) do
    known[name] = true
    if state[name] == nil then options.raise("%s: '%s' is missing: is this the state of another estimator?", what, name) end
  end
  for _, name in ipairs(optional or {}) do known[name] = true end
  for name in pairs(state) do
    if not known[name] then
      options.raise("%s: unknown entry '%s'%s", what, tostring(name), text.hint(tostring(name), text.keys(known)))
    end
  end
end

-- The whole number >= least that the tensor `name` of a state holds.
local function state_number(what, state, name, least)
  local t = state[name]
  if type(t) ~= "userdata" then options.raise("%s: '%s': expected a tensor, got %s", what, name, type(t)) end
  return whole_number(what, "'" .. name .. "'", t:item(), least)
end

local function number_tensor(v) return ms.tensor(v, { dtype = "i64" }) end

local function describe(self, names, size)
  local parts = {}
  for _, name in ipairs(names) do
    local v = self.options[name]
    if v ~= nil then parts[#parts + 1] = ("%s = %s"):format(name, tostring(v)) end
  end
  return ("%s{%s}: %s"):format(getmetatable(self).what, table.concat(parts, ", "), rawget(self, "_model") and size() or "not fitted")
end

-- ---- neighbours ---------------------------------------------------------------------------------------------------------------

local KNN = class "knn"

-- ml.knn{k = 5, weights = "uniform", classes} -> k nearest neighbours by euclidean distance, exact; weights "distance": votes count
-- 1 / distance; classes: how many there are, else the largest label
function ml.knn(opts)
  local self = new(KNN, opts, { k = 5, weights = "uniform", classes = options.any })
  whole(KNN.what, self.options, "k", 1)
  whole(KNN.what, self.options, "classes", 1)
  one_of(KNN.what, "weights", self.options.weights, "uniform", "distance")
  return self
end

-- knn:fit(X [, y]) -> itself; without labels it finds neighbours only
function KNN:fit(X, y)
  local what = words(self, KNN, "fit")
  self._model = core.knn_fit(what, X, y, self.options.classes or 0)
  return self
end

local function vote(self, method, X, proba)
  local what, model = fitted(self, KNN, method)
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
  local what, model = fitted(self, KNN, "neighbours")
  return core.knn_neighbours(what, model, X, k == nil and self.options.k or whole_number(what, "k", k, 1))
end

-- knn:state_dict() -> {x, y, classes, k, weights}: the training samples themselves
function KNN:state_dict()
  local what, model = fitted(self, KNN, "state_dict")
  local x, y = core.knn_get(what, model)
  local _, _, classes = core.knn_sizes(what, model)
  return ms.keep { x = x, y = y, classes = number_tensor(classes), k = number_tensor(self.options.k),
    weights = number_tensor(self.options.weights == "distance" and 1 or 0) }
end

-- knn:load_state_dict(state) -> itself; k and weights are those of the state
function KNN:load_state_dict(state)
  local what = words(self, KNN, "load_state_dict")
  check_state(what, state, { "x", "classes", "k", "weights" }, { "y" })
  local k, by_distance = state_number(what, state, "k", 1), state_number(what, state, "weights", 0) == 1
  self._model = core.knn_fit(what, state.x, state.y, state_number(what, state, "classes", state.y and 1 or 0))
  self.options.k, self.options.weights = k, by_distance and "distance" or "uniform"
  return self
end

function KNN:__tostring()
  return describe(self, { "k", "weights" }, function()
    local n, d, classes = core.knn_sizes("", self._model)
    return ("%d samples x %d features, %s"):format(n, d, classes > 0 and classes .. " classes" or "no labels")
  end)
end

-- ---- trees --------------------------------------------------------------------------------------------------------------------

local Forest, Tree = class "random_forest", class "decision_tree"

local function check_tree(c, o)
  for name, least in pairs { trees = 1, max_depth = 1, min_leaf = 1, min_split = 2, classes = 1 } do whole(c.what, o, name, least) end
  whole(c.what, o, "seed", math.mininteger)
  local m = o.max_features
  if math.type(m) == "float" and m > 1 then m = math.tointeger(m) end
  local fraction = math.type(m) == "float" and m > 0
  if not (m == "sqrt" or m == "all" or fraction or (math.type(m) == "integer" and m >= 1)) then
    options.raise("%s: option max_features: expected 'sqrt', 'all', a number of features or a fraction of them (up to 1.0), got %s",
      c.what, type(m) == "string" and "'" .. m .. "'" or tostring(o.max_features))
  end
  o.max_features = m
end

-- ml.random_forest{trees = 100, max_depth, max_features = "sqrt", min_leaf = 1, min_split = 2, bootstrap = true, seed, classes} ->
-- trees by the gini criterion, each on a bootstrap sample; max_features: features looked at per split: "sqrt", "all", a number, or a
-- fraction (1 is one of them, 1.0 all); seed: else drawn from the generator that ms.seed sets
function ml.random_forest(opts)
  local self = new(Forest, opts, { trees = 100, max_depth = options.any, max_features = options.any, min_leaf = 1, min_split = 2,
    bootstrap = true, seed = options.any, classes = options.any })
  if self.options.max_features == nil then self.options.max_features = "sqrt" end
  check_tree(Forest, self.options)
  return self
end

-- ml.decision_tree{max_depth, max_features = "all", min_leaf = 1, min_split = 2, seed, classes} -> one tree on all samples; the seed
-- decides between splits of equal gain
function ml.decision_tree(opts)
  local self = new(Tree, opts, { max_depth = options.any, max_features = options.any, min_leaf = 1, min_split = 2, seed = options.any,
    classes = options.any })
  if self.options.max_features == nil then self.options.max_features = "all" end
  check_tree(Tree, self.options)
  return self
end

-- forest:fit(X, y) -> itself
function Forest:fit(X, y)
  local what, o = words(self, Forest, "fit"), self.options
  local m = o.max_features
  self._model = core.forest_fit(what, X, y, {
    classes = o.classes or 0, trees = o.trees or 1, max_depth = o.max_depth or 0, min_split = o.min_split, min_leaf = o.min_leaf,
    max_features = m == "sqrt" and 0 or m == "all" and -1 or m, bootstrap = o.bootstrap or false, seed = o.seed or core.draw(),
  })
  return self
end

-- forest:predict(X) -> labels (i64): the class with the largest mean share
function Forest:predict(X)
  local what, model = fitted(self, Forest, "predict")
  return core.forest_predict(what, model, X, false)
end

-- forest:predict_proba(X) -> N x classes: the mean over the trees of the class shares in the leaf a sample ends in
function Forest:predict_proba(X)
  local what, model = fitted(self, Forest, "predict_proba")
  return core.forest_predict(what, model, X, true)
end

local function tree_size(self, method, t)
  local what, model = fitted(self, Forest, method)
  if t ~= nil then t = whole_number(what, "tree", t, 1) end
  local trees, _, _, nodes, depth = core.forest_sizes(what, model, t)
  if not nodes then options.raise("%s: tree %d of %d", what, t, trees) end
  return nodes, depth
end

-- forest:nodes([tree]) -> number of nodes, of one tree or of all together
function Forest:nodes(tree) return (tree_size(self, "nodes", tree)) end

-- forest:depth([tree]) -> edges on the longest path from the root, in one tree or in any
function Forest:depth(tree) return (select(2, tree_size(self, "depth", tree))) end

-- forest:state_dict() -> {first, feature, threshold, left, leaf, proba, features}: flat arrays, all trees after one another
function Forest:state_dict()
  local what, model = fitted(self, Forest, "state_dict")
  return ms.keep(core.forest_get(what, model))
end

-- forest:load_state_dict(state) -> itself; every rule of the arrays is checked
function Forest:load_state_dict(state)
  local what = words(self, Forest, "load_state_dict")
  check_state(what, state, { "first", "feature", "threshold", "left", "leaf", "proba", "features" })
  self._model = core.forest_set(what, state)
  return self
end

function Forest:__tostring()
  return describe(self, { "trees", "max_depth", "max_features", "min_leaf", "min_split", "bootstrap", "seed" }, function()
    local trees, d, classes, nodes, depth = core.forest_sizes("", self._model)
    return ("%d %s, %d nodes, depth %d, %d features, %d classes"):format(trees, trees == 1 and "tree" or "trees", nodes, depth, d, classes)
  end)
end

for name, f in pairs(Forest) do
  if Tree[name] == nil then Tree[name] = f end
end

-- model:score(X, y) -> share of the samples whose class is told right
function KNN:score(X, y)
  local what = fitted(self, KNN, "score")
  return core.accuracy(what, self:predict(X), y)
end
Forest.score, Tree.score = KNN.score, KNN.score

-- ---- principal components -----------------------------------------------------------------------------------------------------

local PCA = class "pca"
local pca_fields = { components = true, mean = true, explained_variance = true, explained_variance_ratio = true }

-- A field of a fitted model, asked for before fit.
function PCA.__index(_, key)
  if pca_fields[key] then options.raise("ml.pca: %s: not fitted yet: call fit first", key) end
  return PCA[key]
end

-- ml.pca{components} -> principal components: the directions of largest variance; all there are if no number is named. After fit, f32:
-- .components (k x d, orthonormal rows), .mean (d), .explained_variance (k), .explained_variance_ratio (k)
function ml.pca(opts)
  local self = new(PCA, opts, { components = options.any })
  whole(PCA.what, self.options, "components", 1)
  return self
end

local function set_pca(self, what, model, device)
  local s = core.pca_get(what, model)
  local where = { device = device, dtype = "f32" }
  self._model = model
  self.components, self.mean = ms.keep(s.components:to(where)), ms.keep(s.mean:to(where))
  self.explained_variance = ms.keep(s.variance:to(where))
  local total = s.total:item()
  self.explained_variance_ratio = ms.keep((total > 0 and s.variance / total or s.variance):to(where))
  return self
end

-- pca:fit(X) -> itself
function PCA:fit(X)
  local what = words(self, PCA, "fit")
  return set_pca(self, what, core.pca_fit(what, X, self.options.components or 0), X.device)
end

-- pca:transform(X) -> codes N x k: (X - mean) components^T
function PCA:transform(X)
  local what, model = fitted(self, PCA, "transform")
  return core.pca_apply(what, model, X, false)
end

-- pca:inverse(codes) -> N x d: codes components + mean
function PCA:inverse(codes)
  local what, model = fitted(self, PCA, "inverse")
  return core.pca_apply(what, model, codes, true)
end

-- pca:state_dict() -> {mean, components, variance, total}, f64
function PCA:state_dict()
  local what, model = fitted(self, PCA, "state_dict")
  return ms.keep(core.pca_get(what, model))
end

-- pca:load_state_dict(state) -> itself
function PCA:load_state_dict(state)
  local what = words(self, PCA, "load_state_dict")
  check_state(what, state, { "mean", "components", "variance", "total" })
  return set_pca(self, what, core.pca_set(what, state), state.mean.device)
end

function PCA:__tostring()
  return describe(self, {}, function()
    local kept = self.explained_variance_ratio:sum():item()
    return ("%d components of %d features, %.1f %% of the variance"):format(self.components:size(1), self.components:size(2), 100 * kept)
  end)
end

-- ---- metrics ------------------------------------------------------------------------------------------------------------------

-- ml.accuracy(predicted, truth) -> share of the labels that agree
function ml.accuracy(predicted, truth) return core.accuracy("ml.accuracy", predicted, truth) end

-- ml.confusion(predicted, truth [, classes]) -> classes x classes counts (i64), rows predicted, columns true; classes: else the
-- largest label
function ml.confusion(predicted, truth, classes)
  return core.confusion("ml.confusion", predicted, truth, classes == nil and 0 or whole_number("ml.confusion", "classes", classes, 1))
end

return require("mascon.names").guard(ml, "ms.ml")
