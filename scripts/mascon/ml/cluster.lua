-- Clusters: k-means, mixtures of gaussians.
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local kit = require "mascon.ml.kit"
local core = inside.ml
local ml = {}

local function number(what, o, name, least)
  local v = o[name]
  if not (v >= least and v < math.huge) then options.raise("%s: option %s: expected a number from %g on, got %s", what, name, least, v) end
end

-- ---- k-means ----------------------------------------------------------------------------------------------------------------------

local KMeans = kit.class("kmeans", "centers labels inertia n_iter")

-- ml.kmeans{clusters = 8, init = "k-means++", n_init = 1, max_iter = 300, tol = 1e-4, seed} -> k-means by Lloyd's iterations. init: by
-- k-means++ (Arthur, Vassilvitskii 2007), n_init times, of which the best is kept, or the centres to start from (clusters x d). It ends
-- when no label changes, or the centres move less than tol (squared, times the mean variance of the features). seed: else drawn from the
-- generator that ms.seed sets. After fit: .centers (clusters x d, f32), .labels (i64), .inertia (sum of squared distances to the centres),
-- .n_iter
function ml.kmeans(opts)
  local self = kit.new(KMeans, opts, { clusters = 8, init = options.any, n_init = 1, max_iter = 300, tol = 1e-4, seed = options.any })
  local o = self.options
  if o.init == nil then o.init = "k-means++" end
  for _, name in ipairs { "clusters", "n_init", "max_iter" } do kit.whole(KMeans.what, o, name, 1) end
  kit.whole(KMeans.what, o, "seed", math.mininteger)
  number(KMeans.what, o, "tol", 0)
  if type(o.init) ~= "userdata" then kit.one_of(KMeans.what, "init", o.init, "k-means++") end
  return self
end

-- kmeans:fit(X) -> itself
function KMeans:fit(X)
  local what, o = kit.words(self, KMeans, "fit"), self.options
  local init = type(o.init) == "userdata" and o.init or nil
  local centers, labels, inertia, n_iter = core.kmeans_fit(what, X, init, { clusters = o.clusters, n_init = o.n_init, max_iter = o.max_iter,
    tol = o.tol, seed = o.seed or core.draw() })
  self._model = ms.keep { centers = centers }
  self.centers = ms.keep(centers:to { device = X.device, dtype = "f32" })
  self.labels, self.inertia, self.n_iter = ms.keep(labels), inertia, n_iter
  return self
end

-- kmeans:predict(X) -> labels (i64): the nearest centre, the lower one where two are equally near
function KMeans:predict(X)
  local what, model = kit.fitted(self, KMeans, "predict")
  return core.kmeans_predict(what, model, X, false)
end

-- kmeans:fit_predict(X) -> labels (i64) of the samples it is fitted to
function KMeans:fit_predict(X) return self:fit(X).labels end

-- kmeans:transform(X) -> distances to the centres, N x clusters (f32)
function KMeans:transform(X)
  local what, model = kit.fitted(self, KMeans, "transform")
  return core.kmeans_predict(what, model, X, true)
end

-- kmeans:state_dict() -> {centers, inertia, n_iter}, centers and inertia f64; labels are not kept
function KMeans:state_dict()
  local _, model = kit.fitted(self, KMeans, "state_dict")
  return kit.copies { centers = model.centers, inertia = ms.tensor(self.inertia, { dtype = "f64" }),
    n_iter = kit.number_tensor(self.n_iter) }
end

-- kmeans:load_state_dict(state) -> itself; clusters are those of the state
function KMeans:load_state_dict(state)
  local what = kit.words(self, KMeans, "load_state_dict")
  kit.check_state(what, state, { "centers", "inertia", "n_iter" })
  local n_iter, inertia = kit.state_number(what, state, "n_iter", 0), kit.state_float(what, state, "inertia")
  local centers = kit.finite_tensor(what, state, "centers", 2)
  self._model = ms.keep { centers = centers:to { device = "cpu", dtype = "f64" }:clone() }
  self.centers, self.labels, self.inertia, self.n_iter = ms.keep(centers:to { dtype = "f32" }), nil, inertia, n_iter
  self.options.clusters = centers.shape[1]
  return self
end

function KMeans:__tostring()
  return kit.describe(self, { "clusters", "n_init", "max_iter", "tol", "seed" }, function()
    return ("%d clusters in %d features, inertia %.6g"):format(self.centers.shape[1], self.centers.shape[2], self.inertia)
  end)
end

-- ---- gaussian mixture -------------------------------------------------------------------------------------------------------------

local Mixture = kit.class("gaussian_mixture", "weights means covariances lower_bound n_iter converged")

-- ml.gaussian_mixture{components = 1, covariance_type = "full", tol = 1e-3, reg_covar = 1e-6, max_iter = 100, n_init = 1, seed} -> a
-- mixture of gaussians by expectation and maximisation, from the clusters of k-means, n_init times, of which the likeliest is kept.
-- covariance_type: "full" (one matrix each), "tied" (one for all), "diag" or "spherical". It ends when the mean log likelihood of a sample
-- changes by less than tol; reg_covar is added to the variances. After fit, f64: .weights (k), .means (k x d), .covariances (k x d x d,
-- d x d, k x d or k), and .lower_bound (that likelihood), .n_iter, .converged
function ml.gaussian_mixture(opts)
  local self = kit.new(Mixture, opts, { components = 1, covariance_type = "full", tol = 1e-3, reg_covar = 1e-6, max_iter = 100, n_init = 1,
    seed = options.any })
  local o = self.options
  for _, name in ipairs { "components", "max_iter", "n_init" } do kit.whole(Mixture.what, o, name, 1) end
  kit.whole(Mixture.what, o, "seed", math.mininteger)
  kit.one_of(Mixture.what, "covariance_type", o.covariance_type, "full", "tied", "diag", "spherical")
  number(Mixture.what, o, "tol", 0)
  number(Mixture.what, o, "reg_covar", 0)
  return self
end

-- gmm:fit(X) -> itself
function Mixture:fit(X)
  local what, o = kit.words(self, Mixture, "fit"), self.options
  local best
  for k = 1, o.n_init do
    local seed = o.seed and o.seed + k - 1 or core.draw()
    local _, labels = core.kmeans_fit(what, X, nil, { clusters = o.components, n_init = 1, max_iter = 300, tol = 1e-4, seed = seed })
    local w, m, c, bound, n_iter, converged = core.gmm_fit(what, X, labels, o.components, o.covariance_type, o.reg_covar, o.tol, o.max_iter)
    if not best or bound > best.bound then
      best = { weights = w, means = m, covariances = c, bound = bound, n_iter = n_iter, converged = converged }
    end
  end
  self._model = ms.keep { weights = best.weights, means = best.means, covariances = best.covariances }
  self.weights, self.means, self.covariances = self._model.weights, self._model.means, self._model.covariances
  self.lower_bound, self.n_iter, self.converged = best.bound, best.n_iter, best.converged
  return self
end

local function scores(self, method, X, proba)
  local what, model = kit.fitted(self, Mixture, method)
  return core.gmm_score(what, model, self.options.covariance_type, X, proba)
end

-- gmm:score_samples(X) -> the logarithm of the density at each sample (f32, N)
function Mixture:score_samples(X) return scores(self, "score_samples", X, false) end

-- gmm:score(X) -> their mean
function Mixture:score(X)
  local each = scores(self, "score", X, false)
  if #each == 0 then options.raise("%s:score: expected one sample or more, got 0", Mixture.what) end
  return each:to { dtype = "f64" }:mean():item()
end

-- gmm:predict_proba(X) -> the probability of each component, N x components (f32)
function Mixture:predict_proba(X) return scores(self, "predict_proba", X, true) end

-- gmm:predict(X) -> the likeliest component (i64, N)
function Mixture:predict(X) return scores(self, "predict", X, true):argmax { dim = 2 } end

-- gmm:fit_predict(X) -> the likeliest components of the samples it is fitted to
function Mixture:fit_predict(X) return self:fit(X):predict(X) end

-- Free parameters.
local function parameters(self)
  local k, d = self.means.shape[1], self.means.shape[2]
  local each = { full = k * d * (d + 1) // 2, tied = d * (d + 1) // 2, diag = k * d, spherical = k }
  return each[self.options.covariance_type] + k * d + k - 1
end

-- gmm:bic(X) -> the Bayesian information criterion: less is better (Schwarz 1978)
function Mixture:bic(X)
  kit.fitted(self, Mixture, "bic")
  return -2 * self:score(X) * X.shape[1] + parameters(self) * math.log(X.shape[1])
end

-- gmm:aic(X) -> Akaike's information criterion: less is better (Akaike 1974)
function Mixture:aic(X)
  kit.fitted(self, Mixture, "aic")
  return -2 * self:score(X) * X.shape[1] + 2 * parameters(self)
end

-- gmm:state_dict() -> {weights, means, covariances, covariance_type, lower_bound, n_iter, converged}; covariance_type: 1..4
local kinds = { "full", "tied", "diag", "spherical" }
function Mixture:state_dict()
  local _, model = kit.fitted(self, Mixture, "state_dict")
  local kind
  for i, word in ipairs(kinds) do
    if word == self.options.covariance_type then kind = i end
  end
  return kit.copies { weights = model.weights, means = model.means, covariances = model.covariances,
    covariance_type = kit.number_tensor(kind),
    lower_bound = ms.tensor(self.lower_bound, { dtype = "f64" }), n_iter = kit.number_tensor(self.n_iter),
    converged = kit.number_tensor(self.converged and 1 or 0) }
end

-- gmm:load_state_dict(state) -> itself; components and covariance_type are those of the state
function Mixture:load_state_dict(state)
  local what = kit.words(self, Mixture, "load_state_dict")
  kit.check_state(what, state, { "weights", "means", "covariances", "covariance_type", "lower_bound", "n_iter", "converged" })
  local kind = kinds[kit.state_number(what, state, "covariance_type", 1)]
  if not kind then options.raise("%s: 'covariance_type': expected 1..4", what) end
  local model = {}
  for _, name in ipairs { "weights", "means", "covariances" } do
    model[name] = kit.finite_tensor(what, state, name):to { device = "cpu", dtype = "f64" }:clone()
  end
  if #model.means.shape ~= 2 then options.raise("%s: 'means': expected components x features, got %s", what, tostring(model.means)) end
  if model.weights:lt(0):any():item() or not model.weights:gt(0):any():item() then
    options.raise("%s: 'weights': expected numbers from 0 on, some of them above 0", what)
  end
  core.gmm_score(what, model, kind, ms.zeros { 1, model.means.shape[2] }, false) -- do the parts fit one another?
  local bound, n_iter = kit.state_float(what, state, "lower_bound"), kit.state_number(what, state, "n_iter", 0)
  local converged = kit.state_number(what, state, "converged", 0) == 1
  self._model = ms.keep(model)
  self.weights, self.means, self.covariances = model.weights, model.means, model.covariances
  self.lower_bound, self.n_iter, self.converged = bound, n_iter, converged
  self.options.components, self.options.covariance_type = model.means.shape[1], kind
  return self
end

function Mixture:__tostring()
  return kit.describe(self, { "components", "covariance_type", "tol", "reg_covar", "max_iter", "n_init", "seed" }, function()
    return ("%d components in %d features, log likelihood %.6g a sample"):format(self.means.shape[1], self.means.shape[2], self.lower_bound)
  end)
end

return ml
