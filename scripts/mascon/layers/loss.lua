-- Losses: functions of predictions and targets; reduction = "mean" (default; nn.sigmoid_focal_loss: "none"), "sum" or "none". Each row
-- NAME_loss is nn.NAME and nn.NAME_loss. nn.triplet_margin_with_distance takes a function for the distance.
local ms = require "mascon"
local kit = require "mascon.layers.kit"
local options = require "mascon.options"
local nn = kit.nn

for _, name in ipairs { "mse", "l1", "smooth_l1", "huber", "bce", "nll", "gaussian_nll", "poisson_nll", "soft_margin",
  "multilabel_soft_margin", "hinge_embedding", "margin_ranking", "cosine_embedding", "triplet_margin", "multi_margin", "multilabel_margin",
  "ssim", "sigmoid_focal" } do
  nn[name .. "_loss"] = ms[name .. "_loss"]
  if name ~= "ssim" then nn[name] = ms[name .. "_loss"] end -- ssim itself grows with the similarity
end
for _, name in ipairs { "cross_entropy", "kl_div", "bce_with_logits", "ssim", "cosine_similarity", "pairwise_distance", "normalize" } do
  nn[name] = ms[name]
end

local REDUCED = { mean = function(x) return x:mean() end, sum = function(x) return x:sum() end, none = function(x) return x end }

-- nn.triplet_margin_with_distance(anchor, positive, negative, { distance_function = f, margin = 1, swap = false, reduction = "mean" }):
-- max(f(anchor, positive) - f(anchor, negative) + margin, 0); swap: of f(anchor, negative) and f(positive, negative) the smaller.
-- f gives a distance for each pair; without one it is ms.pairwise_distance.
function nn.triplet_margin_with_distance(anchor, positive, negative, given, ...)
  local what = "nn.triplet_margin_with_distance"
  options.none(what, ...)
  local o = options.read(what, given, { distance_function = ms.pairwise_distance, margin = 1, swap = false, reduction = "mean" })
  local f, reduce = o.distance_function, REDUCED[o.reduction]
  if not (o.margin > 0) then options.raise("%s: margin: expected more than 0, got %g", what, o.margin) end
  if not reduce then options.raise("%s: reduction: expected mean, sum or none, got '%s'", what, o.reduction) end
  local near, far = f(anchor, positive), f(anchor, negative)
  if o.swap then far = ms.minimum(far, f(positive, negative)) end
  return reduce((near - far + o.margin):relu())
end
nn.triplet_margin_with_distance_loss = nn.triplet_margin_with_distance
