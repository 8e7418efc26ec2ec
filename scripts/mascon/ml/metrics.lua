-- How good predictions are.
local inside = require "mascon.inside"
local kit = require "mascon.ml.kit"
local core = inside.ml
local ml = {}

-- ml.accuracy(predicted, truth) -> share of the labels that agree
function ml.accuracy(predicted, truth) return core.accuracy("ml.accuracy", predicted, truth) end

-- ml.confusion(predicted, truth [, classes]) -> classes x classes counts (i64), rows predicted, columns true; classes: else the
-- largest label
function ml.confusion(predicted, truth, classes)
  return core.confusion("ml.confusion", predicted, truth, classes == nil and 0 or kit.whole_number("ml.confusion", "classes", classes, 1))
end

return ml
