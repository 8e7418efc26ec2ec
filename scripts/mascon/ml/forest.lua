-- Trees and forests of them, of classes and of numbers.
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local kit = require "mascon.ml.kit"
local core = inside.ml
local ml = {}

local Forest, Tree = kit.class "random_forest", kit.class "decision_tree"
local ForestRegressor, TreeRegressor = kit.class "random_forest_regressor", kit.class "decision_tree_regressor"

local function check_tree(c, o)
  for name, least in pairs { trees = 1, max_depth = 1, min_leaf = 1, min_split = 2, classes = 1 } do kit.whole(c.what, o, name, least) end
  kit.whole(c.what, o, "seed", math.mininteger)
  local m = o.max_features
  if math.type(m) == "float" and m > 1 then m = math.tointeger(m) end
  local fraction = math.type(m) == "float" and m > 0
  if not (m == "sqrt" or m == "all" or fraction or (math.type(m) == "integer" and m >= 1)) then
    options.raise("%s: option max_features: expected 'sqrt', 'all', a number of features or a fraction of them (up to 1.0), got %s",
      c.what, type(m) == "string" and "'" .. m .. "'" or tostring(o.max_features))
  end
  o.max_features = m
  if o.criterion then kit.one_of(c.what, "criterion", o.criterion, "gini", "entropy") end
  if o.oob_score and not o.bootstrap then options.raise("%s: option oob_score: only with bootstrap", c.what) end
end

local function new(c, opts, max_features, defaults)
  defaults.max_depth, defaults.max_features, defaults.seed = options.any, options.any, options.any
  defaults.min_leaf, defaults.min_split = 1, 2
  local self = kit.new(c, opts, defaults)
  if self.options.max_features == nil then self.options.max_features = max_features end
  check_tree(c, self.options)
  return self
end

-- ml.random_forest{trees = 100, criterion = "gini", max_depth, max_features = "sqrt", min_leaf = 1, min_split = 2, bootstrap = true,
-- oob_score = false, seed, classes} -> trees by the gini criterion or by entropy, each on a bootstrap sample; max_features: features
-- looked at per split: "sqrt", "all", a number, or a fraction (1 is one of them, 1.0 all); seed: else drawn from the generator that
-- ms.seed sets. After fit: .feature_importances (f64, d: how much the splits by each feature lower the criterion, sum 1); with oob_score
-- .oob_score, the accuracy of what the trees that have not seen a sample say of it, and .oob_decision_function (f64, N x classes; NaN for
-- a sample that all have seen)
function ml.random_forest(opts)
  return new(Forest, opts, "sqrt", { trees = 100, criterion = "gini", bootstrap = true, oob_score = false, classes = options.any })
end

-- ml.random_forest_regressor{trees = 100, max_depth, max_features = "all", min_leaf = 1, min_split = 2, bootstrap = true, oob_score =
-- false, seed} -> a forest that predicts numbers: the mean over the trees of the mean in a leaf; splits by squared error. After fit:
-- .feature_importances; with oob_score .oob_score (R^2) and .oob_prediction (f64, N)
function ml.random_forest_regressor(opts)
  return new(ForestRegressor, opts, "all", { trees = 100, bootstrap = true, oob_score = false })
end

-- ml.decision_tree{criterion = "gini", max_depth, max_features = "all", min_leaf = 1, min_split = 2, seed, classes} -> one tree on all
-- samples; the seed decides between splits of equal gain. After fit: .feature_importances
function ml.decision_tree(opts) return new(Tree, opts, "all", { criterion = "gini", classes = options.any }) end

-- ml.decision_tree_regressor{max_depth, max_features = "all", min_leaf = 1, min_split = 2, seed} -> one tree that predicts numbers
function ml.decision_tree_regressor(opts) return new(TreeRegressor, opts, "all", {}) end

-- What a fitted model tells besides its predictions, set by fit.
local TOLD = { feature_importances = true, oob_score = true, oob_decision_function = true, oob_prediction = true }

-- What out-of-bag predictions are worth, over the samples that have one, as the fields that fit sets.
local function out_of_bag(what, bag, y, numbers)
  local has = bag[{ {}, 1 }]:isfinite()
  local at = has:nonzero():reshape { -1 }
  if #at == 0 then options.raise("%s: every sample was seen by every tree: no out-of-bag score; take more trees", what) end
  local said = bag:index_select(1, at)
  local truth = y:detach():to "cpu":index_select(1, at)
  if numbers then
    local off, spread = said:reshape { -1 } - truth:double(), truth:double() - truth:double():mean()
    local errors, about = off:pow(2):sum():item(), spread:pow(2):sum():item()
    return { oob_score = about > 0 and 1 - errors / about or errors == 0 and 1.0 or 0.0, oob_prediction = ms.keep(bag:reshape { -1 }) }
  end
  return { oob_score = said:argmax(2):eq(truth):double():mean():item(), oob_decision_function = ms.keep(bag) }
end

local function set(self, what, model, y, numbers)
  local importances, bag = core.forest_told(what, model)
  local told = bag and out_of_bag(what, bag, y, numbers) or {} -- where it raises, the model before stays as it is
  self.oob_score, self.oob_decision_function, self.oob_prediction = told.oob_score, told.oob_decision_function, told.oob_prediction
  self._model, self.feature_importances = model, importances and ms.keep(importances)
  return self
end

local function fit(self, c, X, y, numbers)
  local what, o = kit.words(self, c, "fit"), self.options
  local m = o.max_features
  local scope <close> = ms.scope() -- luacheck: ignore 211
  return set(self, what, core.forest_fit(what, X, y, {
    classes = o.classes or 0, trees = o.trees or 1, max_depth = o.max_depth or 0, min_split = o.min_split, min_leaf = o.min_leaf,
    max_features = m == "sqrt" and 0 or m == "all" and -1 or m, bootstrap = o.bootstrap or false, seed = o.seed or core.draw(),
    entropy = o.criterion == "entropy", oob_score = o.oob_score or false, numbers = numbers,
  }), y, numbers)
end

-- forest:fit(X, y) -> itself; y: labels from 1
function Forest:fit(X, y) return fit(self, Forest, X, y, false) end

-- forest:fit(X, y) -> itself; y: N numbers
function ForestRegressor:fit(X, y) return fit(self, ForestRegressor, X, y, true) end

-- forest:predict(X) -> labels (i64): the class with the largest mean share
function Forest:predict(X)
  local what, model = kit.fitted(self, Forest, "predict")
  return core.forest_predict(what, model, X, false)
end

-- forest:predict_proba(X) -> N x classes: the mean over the trees of the class shares in the leaf a sample ends in
function Forest:predict_proba(X)
  local what, model = kit.fitted(self, Forest, "predict_proba")
  return core.forest_predict(what, model, X, true)
end

-- forest:predict(X) -> numbers (f32, N)
function ForestRegressor:predict(X)
  local what, model = kit.fitted(self, ForestRegressor, "predict")
  return core.forest_value(what, model, X):to { dtype = "f32", device = X.device }
end

local function tree_size(self, method, t)
  local what, model = kit.fitted(self, Forest, method)
  if t ~= nil then t = kit.whole_number(what, "tree", t, 1) end
  local trees, _, _, nodes, depth = core.forest_sizes(what, model, t)
  if not nodes then options.raise("%s: tree %d of %d", what, t, trees) end
  return nodes, depth
end

-- forest:nodes([tree]) -> number of nodes, of one tree or of all together
function Forest:nodes(tree) return (tree_size(self, "nodes", tree)) end

-- forest:depth([tree]) -> edges on the longest path from the root, in one tree or in any
function Forest:depth(tree) return (select(2, tree_size(self, "depth", tree))) end

-- forest:state_dict() -> {first, feature, threshold, left, leaf, proba, features, importances}: flat arrays, all trees after one another
function Forest:state_dict()
  local what, model = kit.fitted(self, Forest, "state_dict")
  return ms.keep(core.forest_get(what, model))
end

local ENTRIES = { "first", "feature", "threshold", "left", "leaf", "proba", "features" }

-- forest:load_state_dict(state) -> itself; every rule of the arrays is checked
function Forest:load_state_dict(state)
  local what = kit.words(self, Forest, "load_state_dict")
  kit.check_state(what, state, ENTRIES, { "importances" })
  return set(self, what, core.forest_set(what, state, false))
end

-- forest:load_state_dict(state) -> itself; every rule of the arrays is checked
function ForestRegressor:load_state_dict(state)
  local what = kit.words(self, ForestRegressor, "load_state_dict")
  kit.check_state(what, state, ENTRIES, { "importances" })
  return set(self, what, core.forest_set(what, state, true))
end

function Forest:__tostring()
  local o = self.options
  local criterion = o.criterion == "entropy" and "criterion" or nil
  local names = { "trees", "max_depth", "max_features", "min_leaf", "min_split", "bootstrap", "seed" }
  if criterion then table.insert(names, 2, criterion) end
  return kit.describe(self, names, function()
    local trees, d, classes, nodes, depth = core.forest_sizes("", self._model)
    return ("%d %s, %d nodes, depth %d, %d features%s"):format(trees, trees == 1 and "tree" or "trees", nodes, depth, d,
      classes > 0 and (", %d classes"):format(classes) or "")
  end)
end

for name, f in pairs(Forest) do
  if Tree[name] == nil then Tree[name] = f end
  if ForestRegressor[name] == nil and name ~= "predict_proba" then ForestRegressor[name] = f end
end
for name, f in pairs(ForestRegressor) do
  if TreeRegressor[name] == nil then TreeRegressor[name] = f end
end

kit.scores(Forest)
kit.scores(Tree)

-- forest:score(X, y) -> the coefficient of determination R^2 of the predictions (ml.r2)
function ForestRegressor:score(X, y)
  kit.fitted(self, ForestRegressor, "score")
  return ms.ml.r2(self:predict(X), y)
end
TreeRegressor.score = ForestRegressor.score

-- What fit sets, asked for before it: an error.
for _, c in ipairs { Forest, Tree, ForestRegressor, TreeRegressor } do
  function c.__index(self, key)
    if TOLD[key] then
      if rawget(self, "_model") == nil then options.raise("%s: %s: not fitted yet: call fit first", c.what, key) end
      if key:find "^oob" and not self.options.oob_score then options.raise("%s: %s: only with oob_score = true", c.what, key) end
      if key == "oob_score" or key == "feature_importances" then
        options.raise("%s: %s: the state that was loaded does not have it: call fit", c.what, key)
      end
    end
    return c[key]
  end
end

return ml
