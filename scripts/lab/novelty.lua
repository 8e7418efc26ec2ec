-- novelty: scores of how little an image is like those that an autoencoder was trained on; larger for what is less like them. None needs
-- an anomaly, or a label.
local ms = require "mascon"
local ml = ms.ml
local novelty = {}

novelty.scores = { "both", "error", "near", "mahalanobis", "isolation" }

-- What --score says of them.
novelty.help = "which the summary calls auroc; all are computed. error: squared error of the reconstruction; near: distance of the code "
  .. "from the k-th nearest training code; both: those two, each over its median of the training images, added; mahalanobis: distance "
  .. "of the code from the mean of the training codes in units of their spread; isolation: an isolation forest on the codes"

-- Codes and mean squared pixel errors of a set's images, by the model (a sequence of encoder and decoder) in evaluation mode.
function novelty.look(model, set)
  model:eval()
  local codes, errors = set:map(function(x)
    local z = model[1](x)
    return z, (model[2](z) - x):pow(2):mean { 2, 3, 4 }
  end)
  model:train()
  return codes, errors
end

-- Each score of the test images by its name, given codes and errors of the training images (z, e) and of the test images (tz, te).
-- how.k: which neighbour `near` looks at; how.seed: of the isolation forest.
function novelty.judge(how, z, e, tz, te)
  local knn = ml.knn { k = math.min(how.k, #z - 1) }:fit(z)
  local function distance(codes, k) return select(2, knn:neighbours(codes, k))[{ {}, -1 }] end
  local far = distance(tz)
  local usual = distance(z, knn.options.k + 1) -- a training code is its own nearest
  local axes = ml.pca():fit(z) -- the codes' own axes: there they are uncorrelated
  return {
    error = te, near = far, both = te / e:median() + far / usual:median(),
    mahalanobis = (axes:transform(tz):pow(2) / axes.explained_variance:clamp(1e-12)):sum(2),
    isolation = -ml.isolation_forest { seed = how.seed }:fit(z):score_samples(tz),
  }
end

return novelty
