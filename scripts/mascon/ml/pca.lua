-- Principal components.
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local kit = require "mascon.ml.kit"
local core = inside.ml
local ml = {}

local PCA = kit.class("pca", "components mean explained_variance explained_variance_ratio")

-- ml.pca{components} -> principal components: the directions of largest variance; all there are if no number is named. After fit, f32:
-- .components (k x d, orthonormal rows), .mean (d), .explained_variance (k), .explained_variance_ratio (k)
function ml.pca(opts)
  local self = kit.new(PCA, opts, { components = options.any })
  kit.whole(PCA.what, self.options, "components", 1)
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
  local what = kit.words(self, PCA, "fit")
  return set_pca(self, what, core.pca_fit(what, X, self.options.components or 0), X.device)
end

-- pca:transform(X) -> codes N x k: (X - mean) components^T
function PCA:transform(X)
  local what, model = kit.fitted(self, PCA, "transform")
  return core.pca_apply(what, model, X, false)
end

-- pca:fit_transform(X) -> fit, then transform
function PCA:fit_transform(X) return self:fit(X):transform(X) end

-- pca:inverse(codes) -> N x d: codes components + mean
function PCA:inverse(codes)
  local what, model = kit.fitted(self, PCA, "inverse")
  return core.pca_apply(what, model, codes, true)
end

-- pca:state_dict() -> {mean, components, variance, total}, f64
function PCA:state_dict()
  local what, model = kit.fitted(self, PCA, "state_dict")
  return ms.keep(core.pca_get(what, model))
end

-- pca:load_state_dict(state) -> itself
function PCA:load_state_dict(state)
  local what = kit.words(self, PCA, "load_state_dict")
  kit.check_state(what, state, { "mean", "components", "variance", "total" })
  return set_pca(self, what, core.pca_set(what, state), state.mean.device)
end

function PCA:__tostring()
  return kit.describe(self, {}, function()
    local kept = self.explained_variance_ratio:sum():item()
    return ("%d components of %d features, %.1f %% of the variance"):format(self.components:size(1), self.components:size(2), 100 * kept)
  end)
end

return ml
