-- t-SNE: samples as points in a plane, near ones near.
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local kit = require "mascon.ml.kit"
local core = inside.ml
local ml = {}

local TSNE = kit.class("tsne", "embedding kl_divergence n_iter learning_rate", "fit_transform")
local LOOK = 50 -- iterations between two looks at the divergence

local function number(o, name, ok, expected)
  local v = o[name]
  if type(v) ~= "number" or not ok(v) or v == math.huge then
    options.raise("ml.tsne: option %s: expected %s, got %s", name, expected, type(v) == "string" and "'" .. v .. "'" or tostring(v))
  end
end

-- ml.tsne{components = 2, perplexity = 30, early_exaggeration = 12, learning_rate = "auto", max_iter = 1000,
-- n_iter_without_progress = 300, min_grad_norm = 1e-7, init = "pca", seed, method = "barnes_hut", angle = 0.5, progress} -> t-SNE
-- (van der Maaten, Hinton 2008) with scikit-learn's definitions and defaults. learning_rate "auto": max(N / early_exaggeration / 4, 50).
-- init: "pca", "random" (seed: else drawn from the generator that ms.seed sets) or the points to start from (N x components).
-- method "barnes_hut" takes the 3 perplexity nearest neighbours of a sample for all of them, and cells less wide than angle times their
-- distance for one point (van der Maaten 2014); "exact" takes all pairs, in N^2 memory. progress: false shows no bar.
-- After fit_transform: .embedding (N x components, f32), .kl_divergence, .n_iter (the last iteration, from 0), .learning_rate
function ml.tsne(opts)
  local self = kit.new(TSNE, opts, { components = 2, perplexity = 30, early_exaggeration = 12, learning_rate = options.any, max_iter = 1000,
    n_iter_without_progress = 300, min_grad_norm = 1e-7, init = options.any, seed = options.any, method = "barnes_hut", angle = 0.5,
    progress = true })
  local o = self.options
  if o.learning_rate == nil then o.learning_rate = "auto" end
  if o.init == nil then o.init = "pca" end
  local above = function(v) return v > 0 end
  kit.whole(TSNE.what, o, "components", 1)
  kit.whole(TSNE.what, o, "max_iter", 250)
  kit.whole(TSNE.what, o, "n_iter_without_progress", -1)
  kit.whole(TSNE.what, o, "seed", math.mininteger)
  number(o, "perplexity", above, "a number above 0")
  number(o, "early_exaggeration", function(v) return v >= 1 end, "a number from 1 on")
  if o.learning_rate ~= "auto" then number(o, "learning_rate", above, "'auto' or a number above 0") end
  number(o, "min_grad_norm", function(v) return v >= 0 end, "a number from 0 on")
  number(o, "angle", function(v) return v >= 0 and v <= 1 end, "a number in 0..1")
  kit.one_of(TSNE.what, "method", o.method, "barnes_hut", "exact")
  if type(o.init) ~= "userdata" then kit.one_of(TSNE.what, "init", o.init, "pca", "random") end
  if o.method == "barnes_hut" and o.components > 3 then
    options.raise("ml.tsne: option components: expected 1, 2 or 3 with method 'barnes_hut', got %d", o.components)
  end
  return self
end

-- Where the points start: a tensor, or nil for principal components.
local function start(o, X)
  if o.init == "pca" or type(X) ~= "userdata" then return nil end
  if o.init ~= "random" then return o.init end
  return ms.with_seed(o.seed or core.draw(), function() return ms.randn { X.shape[1], o.components } * 1e-4 end)
end

-- tsne:fit_transform(X) -> the embedding of the samples, N x components (f32)
function TSNE:fit_transform(X)
  local what, o = kit.words(self, TSNE, "fit_transform"), self.options
  local given = {}
  for k, v in pairs(o) do given[k] = v end
  given.learning_rate = o.learning_rate == "auto" and 0 or o.learning_rate
  given.exact = o.method == "exact"
  local model, done, kl = core.tsne_new(what, X, start(o, X), given), nil, nil
  kit.watch("t-SNE", o.max_iter // LOOK, o.progress, function()
    local more
    more, done, kl = core.tsne_run(what, model, LOOK)
    return more, { KL = kl }
  end)
  self.embedding, self.kl_divergence, self.n_iter = ms.keep(core.tsne_points(what, model, X)), kl, done - 1
  self.learning_rate = o.learning_rate == "auto" and math.max(X.shape[1] / o.early_exaggeration / 4, 50) or o.learning_rate
  self._model = true
  return self.embedding
end

-- tsne:fit(X) -> itself
function TSNE:fit(X)
  kit.words(self, TSNE, "fit")
  self:fit_transform(X)
  return self
end

-- tsne:state_dict() -> {embedding, kl_divergence, n_iter, learning_rate}
function TSNE:state_dict()
  kit.fitted(self, TSNE, "state_dict")
  return kit.copies { embedding = self.embedding, kl_divergence = ms.tensor(self.kl_divergence, { dtype = "f64" }),
    n_iter = kit.number_tensor(self.n_iter), learning_rate = ms.tensor(self.learning_rate, { dtype = "f64" }) }
end

-- tsne:load_state_dict(state) -> itself
function TSNE:load_state_dict(state)
  local what = kit.words(self, TSNE, "load_state_dict")
  kit.check_state(what, state, { "embedding", "kl_divergence", "n_iter", "learning_rate" })
  local points = state.embedding
  if type(points) ~= "userdata" or #points.shape ~= 2 then
    options.raise("%s: 'embedding': expected a tensor of samples x components, got %s", what, tostring(points))
  end
  local n_iter = kit.state_number(what, state, "n_iter", 0)
  local kl, rate = kit.state_float(what, state, "kl_divergence"), kit.state_float(what, state, "learning_rate")
  self.embedding, self.kl_divergence, self.n_iter, self.learning_rate = ms.keep(points:clone()), kl, n_iter, rate
  self._model = true
  return self
end

function TSNE:__tostring()
  return kit.describe(self, { "components", "perplexity", "early_exaggeration", "learning_rate", "max_iter", "method", "angle" }, function()
    return ("%d samples, divergence %.4f after %d iterations"):format(self.embedding.shape[1], self.kl_divergence, self.n_iter + 1)
  end)
end

return ml
