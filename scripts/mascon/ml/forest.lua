-- Trees and forests of them.
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local kit = require "mascon.ml.kit"
local core = inside.ml
local ml = {}

local Forest, Tree = kit.class "random_forest", kit.class "decision_tree"

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
end

-- ml.random_forest{trees = 100, max_depth, max_features = "sqrt", min_leaf = 1, min_split = 2, bootstrap = true, seed, classes} ->
-- trees by the gini criterion, each on a bootstrap sample; max_features: features looked at per split: "sqrt", "all", a number, or a
-- fraction (1 is one of them, 1.0 all); seed: else drawn from the generator that ms.seed sets
function ml.random_forest(opts)
  local self = kit.new(Forest, opts, { trees = 100, max_depth = options.any, max_features = options.any, min_leaf = 1, min_split = 2,
    bootstrap = true, seed = options.any, classes = options.any })
  if self.options.max_features == nil then self.options.max_features = "sqrt" end
  check_tree(Forest, self.options)
  return self
end

-- ml.decision_tree{max_depth, max_features = "all", min_leaf = 1, min_split = 2, seed, classes} -> one tree on all samples; the seed
-- decides between splits of equal gain
function ml.decision_tree(opts)
  local self = kit.new(Tree, opts, { max_depth = options.any, max_features = options.any, min_leaf = 1, min_split = 2, seed = options.any,
    classes = options.any })
  if self.options.max_features == nil then self.options.max_features = "all" end
  check_tree(Tree, self.options)
  return self
end

-- forest:fit(X, y) -> itself
function Forest:fit(X, y)
  local what, o = kit.words(self, Forest, "fit"), self.options
  local m = o.max_features
  self._model = core.forest_fit(what, X, y, {
    classes = o.classes or 0, trees = o.trees or 1, max_depth = o.max_depth or 0, min_split = o.min_split, min_leaf = o.min_leaf,
    max_features = m == "sqrt" and 0 or m == "all" and -1 or m, bootstrap = o.bootstrap or false, seed = o.seed or core.draw(),
  })
  return self
end

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

-- forest:state_dict() -> {first, feature, threshold, left, leaf, proba, features}: flat arrays, all trees after one another
function Forest:state_dict()
  local what, model = kit.fitted(self, Forest, "state_dict")
  return ms.keep(core.forest_get(what, model))
end

-- forest:load_state_dict(state) -> itself; every rule of the arrays is checked
function Forest:load_state_dict(state)
  local what = kit.words(self, Forest, "load_state_dict")
  kit.check_state(what, state, { "first", "feature", "threshold", "left", "leaf", "proba", "features" })
  self._model = core.forest_set(what, state)
  return self
end

function Forest:__tostring()
  return kit.describe(self, { "trees", "max_depth", "max_features", "min_leaf", "min_split", "bootstrap", "seed" }, function()
    local trees, d, classes, nodes, depth = core.forest_sizes("", self._model)
    return ("%d %s, %d nodes, depth %d, %d features, %d classes"):format(trees, trees == 1 and "tree" or "trees", nodes, depth, d, classes)
  end)
end

for name, f in pairs(Forest) do
  if Tree[name] == nil then Tree[name] = f end
end

kit.scores(Forest)
kit.scores(Tree)

return ml
