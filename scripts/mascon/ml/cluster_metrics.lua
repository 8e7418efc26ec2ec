-- How good clusters and embeddings are.
local inside = require "mascon.inside"
local kit = require "mascon.ml.kit"
local core = inside.ml
local ml = {}

-- ml.silhouette_samples(X, labels) -> (b - a) / max(a, b) of each sample (f32), in -1..1: a its mean distance to its own cluster, b that to
-- the nearest other one; 0 where it is alone in its own (Rousseeuw 1987). labels: 2 to N - 1 different ones
function ml.silhouette_samples(X, labels) return core.silhouette("ml.silhouette_samples", X, labels) end

-- ml.silhouette_score(X, labels) -> their mean: 1 is best, near 0 clusters overlap
function ml.silhouette_score(X, labels)
  return core.silhouette("ml.silhouette_score", X, labels):to { dtype = "f64" }:mean():item()
end

-- ml.davies_bouldin_score(X, labels) -> how like each cluster is to the one most like it, on average; 0 is best (Davies, Bouldin 1979)
function ml.davies_bouldin_score(X, labels) return core.davies_bouldin("ml.davies_bouldin_score", X, labels) end

-- ml.calinski_harabasz_score(X, labels) -> variance between clusters over that within; more is better (Calinski, Harabasz 1974)
function ml.calinski_harabasz_score(X, labels) return core.calinski_harabasz("ml.calinski_harabasz_score", X, labels) end

-- ml.trustworthiness(X, embedding [, n_neighbors = 5]) -> 0..1: are the nearest points of an embedding (N x e) near among the samples, too?
-- 1: all are (Venna, Kaski 2001). n_neighbors: fewer than N / 2
function ml.trustworthiness(X, embedding, n_neighbors)
  local what = "ml.trustworthiness"
  return core.trustworthiness(what, X, embedding, n_neighbors == nil and 5 or kit.whole_number(what, "n_neighbors", n_neighbors, 1))
end

-- How often each pair of labels meets: rows a, columns b; sums of rows and columns; how many labels there are.
local function table_of(what, a, b)
  core.accuracy(what, a, b) -- raises where there are no labels
  local counts = core.confusion(what, a, b, 0)
  local n = counts:sum():item()
  return counts:totable(), counts:sum { dims = 2 }:totable(), counts:sum { dims = 1 }:totable(), n
end

-- ml.adjusted_rand_score(labels_true, labels_pred) -> how often two clusterings agree about pairs of samples, 0 on average for random ones,
-- 1 for equal ones, whatever their clusters are called (Hubert, Arabie 1985)
function ml.adjusted_rand_score(labels_true, labels_pred)
  local counts, rows, columns, n = table_of("ml.adjusted_rand_score", labels_true, labels_pred)
  local function pairs_in(list)
    local sum = 0
    for _, c in ipairs(list) do sum = sum + c * (c - 1) / 2 end
    return sum
  end
  local together, a, b = 0, pairs_in(rows), pairs_in(columns)
  for _, row in ipairs(counts) do together = together + pairs_in(row) end
  if a == b and together == a then return 1.0 end
  local chance = a * b / (n * (n - 1) / 2)
  return (together - chance) / ((a + b) / 2 - chance)
end

-- ml.normalized_mutual_info_score(labels_true, labels_pred) -> what two clusterings tell about one another, over the mean of their
-- entropies: 0..1
function ml.normalized_mutual_info_score(labels_true, labels_pred)
  local counts, rows, columns, n = table_of("ml.normalized_mutual_info_score", labels_true, labels_pred)
  local function entropy(list)
    local sum = 0
    for _, c in ipairs(list) do
      if c > 0 then sum = sum - c / n * math.log(c / n) end
    end
    return sum
  end
  local shared, a, b = 0, entropy(rows), entropy(columns)
  for i, row in ipairs(counts) do
    for j, c in ipairs(row) do
      if c > 0 then shared = shared + c / n * math.log(c * n / (rows[i] * columns[j])) end
    end
  end
  if a == 0 and b == 0 then return 1.0 end
  return math.max(0, shared / ((a + b) / 2))
end

return ml
