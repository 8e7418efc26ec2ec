-- Few labels, many samples: label propagation and label spreading (scikit-learn's definitions and defaults), Poisson learning.
local ms = require "mascon"
local options = require "mascon.options"
local progress = require "mascon.progress"
local kit = require "mascon.ml.kit"
local ml = {}

-- ---- what they share -------------------------------------------------------------------------------------------------------------

local fields = "transduction label_distributions classes n_iter"
local Propagation, Spreading = kit.class("label_propagation", fields), kit.class("label_spreading", fields)
local Poisson = kit.class("poisson_learning", fields)

-- Is X a graph of ml.kneighbors_graph?
local function is_graph(X)
  local meta = type(X) == "table" and getmetatable(X)
  return type(meta) == "table" and meta.what == "ml.kneighbors_graph"
end

-- Labels of n samples, 0 (or -1) where there is none -> labels (i64 on the CPU), the classes that occur (a list), one row per sample with
-- a 1 for its class (n x classes, f64), which samples are labelled (bool).
local function partial(what, y, n)
  if not ms.is_tensor(y) then options.raise("%s: y: expected a tensor, got %s", what, kit.what_is(y)) end
  if y:dim() ~= 1 or not (y.dtype == "i64" or y.dtype == "i32" or y.dtype == "u8") then
    options.raise("%s: y: expected labels, whole numbers from 1 and 0 for unlabelled samples, in one dimension, got %s", what, kit.shape(y))
  end
  if #y ~= n then options.raise("%s: y: expected %d labels, one per sample (0: none), got %d", what, n, #y) end
  y = y:detach():to { device = "cpu", dtype = "i64" }
  local labelled = y:gt(0)
  local at = labelled:nonzero():reshape { -1 }
  if #at == 0 then options.raise("%s: y: expected labels from 1 on for some samples, got none", what) end
  kit.labels(what, "y", y[y:ne(0):logical_and(y:ne(-1))], 65535)
  local present = y[at]:bincount():nonzero():reshape { -1 }
  local numbers = ms.arange(1, #present, { dtype = "i64" })
  local place = ms.zeros({ present[-1]:item() }, { dtype = "i64" }):index_copy(1, present, numbers)
  local given = ms.zeros({ n, #present }, { dtype = "f64" })
  given[{ at, place[y[at]] }] = 1
  return y, present, given, labelled
end

-- X as N x d f64 on the CPU; d: features it must have (nil: any).
local function samples(what, X, d)
  if not ms.is_tensor(X) or X:dim() < 2 or not kit.is_float(X) then
    options.raise("%s: X: expected floats, samples x features%s, got %s", what, what:find ":fit" and ", or a graph" or "", kit.what_is(X))
  end
  local n, given = X:size(1), 1
  for i = 2, X:dim() do given = given * X:size(i) end
  if d and given ~= d then options.raise("%s: X: expected %d features per sample, as in fit, got %d (%s)", what, d, given, kit.shape(X)) end
  local flat = X:detach():to { device = "cpu", dtype = "f64" }:reshape { n, given }
  kit.vector(what, "X", flat, nil, 0, true)
  return flat
end

-- Rows divided by their sums; rows of zeros stay.
local function normalise(u)
  local sum = u:sum(2, { keepdim = true })
  return u / sum:masked_fill(sum:eq(0), 1)
end

local function finish(self, u, present, steps)
  self.label_distributions, self.classes, self.n_iter = ms.keep(u), ms.keep(present), steps
  self.transduction = ms.keep(present[u:argmax(2)])
  return self
end

-- ---- label propagation, label spreading ------------------------------------------------------------------------------------------

local function squared_distances(a, b)
  return (a:square():sum(2, { keepdim = true }) + b:square():sum(2):reshape { 1, -1 } - 2 * a:matmul(b:transpose(1, 2))):clamp(0)
end

local function rbf(a, b, gamma) return (-gamma * squared_distances(a, b)):exp() end

-- Of a graph: the sums of the columns of its matrix, and its diagonal (n each, f64).
local function columns_of(g)
  local row = ms.repeat_interleave(ms.arange(1, g.nodes, { dtype = "i64" }), g.first:diff())
  local weight, none = g.weight:double(), ms.zeros({ g.nodes }, { dtype = "f64" })
  return none:index_add(1, g.column, weight), none:index_add(1, row, weight * row:eq(g.column):double())
end

-- A function that multiplies u by the matrix of similarities, the sums of its rows and of its columns, and its diagonal (n each).
local function similarities(self, what, X)
  local o, g = self.options, X
  if not is_graph(X) then
    if o.kernel == "rbf" then
      local w = rbf(X, X, o.gamma)
      w:diagonal():fill_(1)
      return function(u) return w:matmul(u) end, w:sum(2), w:sum(1), w:diagonal():clone()
    end
    if #X < o.n_neighbors then
      options.raise("%s: option n_neighbors: expected at most the %d samples there are, got %d", what, #X, o.n_neighbors)
    end
    self._knn = ms.ml.knn { k = o.n_neighbors }:fit(X:float())
    g = ms.ml.kneighbors_graph(X:float(), { k = o.n_neighbors, include_self = true })
  end
  return function(u) return g:matmul(u) end, g:degree(), columns_of(g)
end

local function make(c, opts, defaults)
  local self = kit.new(c, opts, defaults)
  local o = self.options
  kit.one_of(c.what, "kernel", o.kernel, "rbf", "knn")
  kit.whole(c.what, o, "n_neighbors", 1)
  kit.whole(c.what, o, "max_iter", 1)
  for _, name in ipairs { "gamma", "tol" } do
    if not (o[name] >= 0 and o[name] < math.huge) then
      options.raise("%s: option %s: expected a number from 0 on, got %s", c.what, name, o[name])
    end
  end
  if o.alpha and not (o.alpha > 0 and o.alpha < 1) then
    options.raise("%s: option alpha: expected a number between 0 and 1, got %s", c.what, o.alpha)
  end
  return self
end

-- ml.label_propagation{kernel = "rbf", gamma = 20, n_neighbors = 7, max_iter = 1000, tol = 1e-3} -> labels flow along similarities of
-- samples until they rest, given ones do not change (Zhu and Ghahramani, 2002). kernel: "rbf", exp(-gamma distance^2) between all samples
-- (n x n numbers of f64), or "knn", 1 for the n_neighbors nearest ones (a sample is one of its own, as in scikit-learn). After fit:
-- .transduction (N labels), .label_distributions (N x classes that occur, f64), .classes, .n_iter
function ml.label_propagation(opts)
  return make(Propagation, opts, { kernel = "rbf", gamma = 20, n_neighbors = 7, max_iter = 1000, tol = 1e-3 })
end

-- ml.label_spreading{kernel = "rbf", gamma = 20, n_neighbors = 7, alpha = 0.2, max_iter = 30, tol = 1e-3} -> as ml.label_propagation, by
-- the normalised Laplacian, each label kept with weight 1 - alpha (Zhou and others, Learning with local and global consistency, 2003)
function ml.label_spreading(opts)
  return make(Spreading, opts, { kernel = "rbf", gamma = 20, n_neighbors = 7, alpha = 0.2, max_iter = 30, tol = 1e-3 })
end

-- model:fit(X, y) -> itself. X: N x d floats, or a graph of ml.kneighbors_graph, which serves for many fits (then .transduction is all
-- there is: predict wants samples); y: N labels from 1, 0 (or -1) for samples without one
function Propagation:fit(X, y)
  local what, o = kit.words(self, Propagation, "fit"), self.options
  local graph = is_graph(X)
  if not graph then X = samples(what, X) end
  local n = graph and X.nodes or #X
  local _, present, given, labelled = partial(what, y, n)
  local fitted = setmetatable({ options = o }, getmetatable(self)) -- so that a fit that fails changes nothing
  local multiply, rows, columns, diagonal = similarities(fitted, what, X)
  local spreading = getmetatable(self) == Spreading
  local scale
  if spreading then
    scale = (columns - diagonal):sqrt()
    scale = (1 / scale:masked_fill(scale:eq(0), 1)):reshape { n, 1 }
    diagonal = diagonal:reshape { n, 1 }
  else
    scale = (1 / rows:masked_fill(rows:eq(0), 1)):reshape { n, 1 }
  end
  local fixed = spreading and given * (1 - o.alpha) or labelled:reshape { n, 1 }
  local u, before, steps = given, ms.zeros_like(given), o.max_iter
  local function rests() -- one step; true: nothing was left to do
    local scope <close> = ms.scope()
    if (u - before):abs():sum():item() < o.tol then return true end
    local last = u
    if spreading then
      local v = u * scale
      u = o.alpha * ((multiply(v) - diagonal * v) * scale) + fixed
    else
      u = ms.where(fixed, given, normalise(multiply(u) * scale))
    end
    before, u = scope:keep(last), scope:keep(u)
  end
  for i in progress(o.max_iter, { label = what }) do
    if rests() then
      steps = i - 1
      break
    end
  end
  self._model, self._knn = { x = not graph and ms.keep(X) or nil }, fitted._knn
  return finish(self, normalise(u), present, steps)
end

-- model:predict_proba(X) -> N x classes that occurred in fit (f64): mean of the distributions of the training samples, weighted by
-- similarity
function Propagation:predict_proba(X)
  local what, model = kit.fitted(self, Propagation, "predict_proba")
  if not model.x then options.raise("%s: fitted to a graph: what it found is in .transduction and .label_distributions", what) end
  X = samples(what, X, model.x:size(2))
  local u = self.label_distributions
  if #X == 0 then return ms.zeros({ 0, u:size(2) }, { dtype = "f64" }) end
  if self.options.kernel == "rbf" then return normalise(rbf(X, model.x, self.options.gamma):matmul(u)) end
  local index = self._knn:neighbours(X:float())
  return normalise(u[index:reshape { -1 }]:reshape { #X, -1, u:size(2) }:sum(2))
end

-- model:predict(X) -> N labels (i64) of new samples
function Propagation:predict(X)
  kit.fitted(self, Propagation, "predict")
  local p = self:predict_proba(X)
  return #p == 0 and ms.zeros({ 0 }, { dtype = "i64" }) or self.classes[p:argmax(2)]
end

-- model:state_dict() -> {x (if there are samples), label_distributions, classes, n_iter}
function Propagation:state_dict()
  local _, model = kit.fitted(self, Propagation, "state_dict")
  return ms.keep { x = model.x, label_distributions = self.label_distributions, classes = self.classes,
    n_iter = kit.number_tensor(self.n_iter) }
end

-- model:load_state_dict(state) -> itself; kernel and its numbers are those of the model
function Propagation:load_state_dict(state)
  local what = kit.words(self, Propagation, "load_state_dict")
  kit.check_state(what, state, { "label_distributions", "classes", "n_iter" }, { "x" })
  local u, steps = state.label_distributions, kit.state_number(what, state, "n_iter", 0)
  local classes = kit.labels(what, "'classes'", state.classes)
  if not ms.is_tensor(u) or u:dim() ~= 2 or u:size(2) ~= #classes or #u == 0 then
    options.raise("%s: 'label_distributions': expected samples x %d classes, got %s", what, #classes, kit.what_is(u))
  end
  kit.vector(what, "'label_distributions'", u, nil, 1, true)
  local x = state.x and samples(what, state.x)
  if x and #x ~= #u then options.raise("%s: 'x': expected %d samples, got %s", what, #u, kit.shape(x)) end
  self._knn = x and self.options.kernel == "knn" and ms.ml.knn { k = self.options.n_neighbors }:fit(x:float()) or nil
  self._model = { x = x and ms.keep(x) or nil }
  return finish(self, u:detach():to { device = "cpu", dtype = "f64" }, classes, steps)
end

local function describe(names)
  return function(self)
    return kit.describe(self, names, function()
      return ("%d samples, %d classes"):format(#self.transduction, #self.classes)
    end)
  end
end
Propagation.__tostring = describe { "kernel", "gamma", "n_neighbors", "alpha", "max_iter", "tol" }

kit.scores(Propagation)
for name, f in pairs(Propagation) do
  if Spreading[name] == nil then Spreading[name] = f end
end
Spreading.__tostring = Propagation.__tostring

-- ---- Poisson learning ------------------------------------------------------------------------------------------------------------

-- ml.poisson_learning{k = 10, max_iter = 1000, mbo = false} -> Poisson learning on the graph of k nearest neighbours, for very few labels
-- (Calder, Cook, Thorpe and Slepcev, ICML 2020): labels are sources of a flow with mean 0 over the graph, L u = sum of (label - mean label)
-- at the labelled samples, and each sample gets the class whose potential is largest. The equation is iterated until a random walk that
-- starts at the labels has mixed (at most max_iter steps). mbo: PoissonMBO, after which cuts between classes become short and the classes
-- as large as their shares of the labels. After fit: .transduction (N labels), .label_distributions (N x classes that occur: the
-- potentials, f64), .classes, .n_iter
function ml.poisson_learning(opts)
  local self = kit.new(Poisson, opts, { k = 10, max_iter = 1000, mbo = false })
  kit.whole(Poisson.what, self.options, "k", 1)
  kit.whole(Poisson.what, self.options, "max_iter", 1)
  return self
end

-- Rows with a 1 at their largest entry.
local function project(u) return ms.one_hot(u:argmax(2), u:size(2)):double() end

-- Class weights r, so that the classes of (u * r) are as large as `shares` (algorithm 2 of the paper).
local function balance(u, shares)
  local r = ms.ones_like(shares)
  for _ = 1, 100 do
    local scope <close> = ms.scope()
    local sizes = project(u * r):mean(1)
    if (shares - sizes):abs():max():item() < 1e-3 * shares:min():item() then break end
    r = scope:keep((r + 10 * (shares - sizes)):clamp(0.5, 2))
  end
  return project(u * r)
end

-- The cuts between the classes become short, sizes stay as they shall be (algorithm 2 of the paper): heat flows for a while, then each
-- sample decides for a class, and so on.
local function cut(what, g, u, source, shares, degrees)
  local step = 1 / degrees:max():item()
  degrees = degrees:reshape { -1, 1 }
  for _ in progress(20, { label = what .. ", mbo" }) do
    local outer <close> = ms.scope()
    for _ = 1, 40 do
      local scope <close> = ms.scope()
      u = scope:keep(u - step * (degrees * u - g:matmul(u) - source))
    end
    u = outer:keep(balance(u, shares))
  end
  return u
end

-- model:fit(X, y) -> itself. X: N x d floats, or a graph of ml.kneighbors_graph (the paper's: mode "gaussian", symmetric "mean"), which
-- serves for many fits; y: N labels from 1, 0 (or -1) for samples without one
function Poisson:fit(X, y)
  local what, o = kit.words(self, Poisson, "fit"), self.options
  local g = X
  if not is_graph(X) then
    local flat = samples(what, X)
    partial(what, y, #flat)
    if #flat <= o.k then options.raise("%s: X: expected more than k = %d samples, got %s", what, o.k, kit.shape(X)) end
    g = ms.ml.kneighbors_graph(flat:float(), { k = o.k, mode = "gaussian", symmetric = "mean" })
  end
  local n = g.nodes
  local _, present, given, labelled = partial(what, y, n)
  local flags = labelled:double():reshape { n, 1 }
  local count = flags:sum():item()
  local shares = given:sum(1) / count
  local source = given - flags * shares
  local degrees = g:degree()
  if degrees:le(0):any():item() then options.raise("%s: a sample has no links", what) end
  local inverse = (1 / degrees):reshape { n, 1 }
  local flow, rest = source * inverse, (degrees / degrees:sum()):reshape { n, 1 }
  local u, walk, steps = ms.zeros_like(given), flags / count, o.max_iter
  local function mixed() -- one step; true: the walk has been everywhere
    local scope <close> = ms.scope()
    local both = g:matmul(ms.cat({ u, walk * inverse }, 2)) -- potentials and walk in one pass
    u = scope:keep(both[{ {}, { 1, #present } }] * inverse + flow)
    walk = scope:keep(both[{ {}, { #present + 1, #present + 1 } }]:clone())
    return (walk - rest):abs():max():item() < 1 / n
  end
  for i in progress(o.max_iter, { label = what }) do
    if mixed() and i >= 50 then
      steps = i
      break
    end
  end
  if o.mbo then u = cut(what, g, u, source, shares, degrees) end
  self._model = {}
  return finish(self, u, present, steps)
end

-- model:state_dict() -> {label_distributions, classes, n_iter}
function Poisson:state_dict()
  kit.fitted(self, Poisson, "state_dict")
  return ms.keep { label_distributions = self.label_distributions, classes = self.classes, n_iter = kit.number_tensor(self.n_iter) }
end

Poisson.load_state_dict = Propagation.load_state_dict
Poisson.__tostring = describe { "k", "max_iter", "mbo" }

return ml
