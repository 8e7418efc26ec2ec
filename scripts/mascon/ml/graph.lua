-- Graphs of nearest neighbours: sparse matrices of weights between samples.
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local kit = require "mascon.ml.kit"
local core = inside.ml
local ml = {}

local Graph = { what = "ml.kneighbors_graph" }
Graph.__index, Graph.__name = Graph, Graph.what

-- ml.kneighbors_graph(X [, {k = 5, metric = "euclidean", mode = "connectivity", symmetric = "none", include_self = false}]) -> a graph of
-- the N samples, each with edges to its k nearest others (with include_self it is its own nearest). mode, the weight of an edge from i to
-- j at distance d: "connectivity" 1; "distance" d; "gaussian" exp(-4 d^2 / r_i^2), r_i the distance of i from its k-th neighbour (Calder
-- et al. 2020); "self_tuning" exp(-d^2 / (r_i r_j)) (Zelnik-Manor, Perona 2004). symmetric: "mean" (W + W^T) / 2, "max" the larger of
-- both. Fields: nodes (N), first (i64, N + 1), column (i64, from 1) and weight (f32): the edges of node i are those from first[i] + 1 to
-- first[i + 1], by column, ascending.
function ml.kneighbors_graph(X, opts)
  local what = Graph.what
  local o = options.read(what, opts, { k = 5, metric = "euclidean", mode = "connectivity", symmetric = "none", include_self = false })
  kit.whole(what, o, "k", 1)
  kit.one_of(what, "metric", o.metric, "euclidean", "cosine", "manhattan")
  kit.one_of(what, "mode", o.mode, "connectivity", "distance", "gaussian", "self_tuning")
  kit.one_of(what, "symmetric", o.symmetric, "none", "mean", "max")
  local scope <close> = ms.scope()
  local model = core.knn_fit(what, X, nil, 0, o.metric)
  local index, far
  if o.include_self then
    index, far = core.knn_neighbours(what, model, X, o.k)
    index, far = index:to "cpu", far:to "cpu"
  else
    index, far = core.knn_others(what, model, o.k)
  end
  local weight = far
  if o.mode == "connectivity" then
    weight = ms.ones(far.shape)
  elseif o.mode ~= "distance" then
    local d = far:double()
    local reach = d[{ {}, { -1, -1 } }]:clamp(1e-150) -- k equal samples: their distance 0 still weighs 1
    if o.mode == "gaussian" then
      weight = (-4 * (d / reach):pow(2)):exp():float()
    else
      local other = reach:reshape { -1 }:index_select(1, index:reshape { -1 }):reshape(index.shape)
      weight = (-(d / reach) * (d / other)):exp():float()
    end
  end
  local first, column, value = core.graph_join(what, index, weight, o.symmetric)
  return setmetatable({ nodes = #first - 1, first = scope:keep(first), column = scope:keep(column), weight = scope:keep(value),
    options = o }, Graph)
end

local function check(self, method)
  if getmetatable(self) ~= Graph then options.raise("graph:%s: call it with a colon on a graph: graph:%s(...)", method, method) end
end

-- graph:matmul(F) -> W F (f64, N x c, or N where F is): the weighted sums over the neighbours of each node. F: N x c or N, floats
function Graph:matmul(F)
  check(self, "matmul")
  local what = "graph:matmul"
  if not ms.is_tensor(F) or F:dim() < 1 or F:dim() > 2 then
    options.raise("%s: expected a tensor, %d or %d x c, got %s", what, self.nodes, self.nodes, ms.is_tensor(F) and kit.shape(F) or type(F))
  end
  local out = core.graph_product(what, self.first, self.column, self.weight, F:dim() == 1 and F:reshape { -1, 1 } or F)
  return F:dim() == 1 and out:reshape { -1 } or out
end

-- graph:degree() -> the sum of the weights of each node's edges (f64, N)
function Graph:degree()
  check(self, "degree")
  return self:matmul(ms.ones({ self.nodes }, { dtype = "f64" }))
end

-- graph:dense() -> the N x N matrix of weights (f32)
function Graph:dense()
  check(self, "dense")
  local n = self.nodes
  local row = ms.repeat_interleave(ms.arange(1, n, { dtype = "i64" }), self.first:diff())
  return ms.zeros { n * n }:index_add(1, (row - 1) * n + self.column, self.weight):reshape { n, n }
end

function Graph:__tostring()
  local o = self.options
  return ("graph of %d nodes and %d edges: k = %d, %s, %s, symmetric = %s"):format(self.nodes, #self.column, o.k, o.metric, o.mode,
    o.symmetric)
end

return ml
