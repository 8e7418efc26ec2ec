-- How good predicted numbers are. Definitions are scikit-learn's.
local kit = require "mascon.ml.kit"
local ml = {}

local function both(what, predicted, truth, least)
  local p = kit.vector(what, "predicted", predicted, nil, least)
  return p, kit.vector(what, "truth", truth, #p)
end

-- ml.mse(predicted, truth) -> mean squared error of N predictions; numbers of any dtype in one dimension
function ml.mse(predicted, truth)
  local p, t = both("ml.mse", predicted, truth)
  return (p - t):square():mean():item()
end

-- ml.mae(predicted, truth) -> mean absolute error of N predictions
function ml.mae(predicted, truth)
  local p, t = both("ml.mae", predicted, truth)
  return (p - t):abs():mean():item()
end

-- ml.r2(predicted, truth) -> coefficient of determination: 1 - sum of squared errors / sum of squares about the mean of the truth. Where
-- the truth is constant: 1 if every prediction is right, else 0. Two samples or more
function ml.r2(predicted, truth)
  local p, t = both("ml.r2", predicted, truth, 2)
  local errors, about = (p - t):square():sum():item(), (t - t:mean()):square():sum():item()
  if about == 0 then return errors == 0 and 1.0 or 0.0 end
  return 1 - errors / about
end

return ml
