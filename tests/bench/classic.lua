-- classic: classical learning's cases for workloads.lua; tests/peers/bench_ml.py has the same for the libraries.
--
-- A case is a function that makes { run = what is timed, score = a function that gives the number both sides must agree on, or true:
-- what run gives, gflop = of one run, if it is known }. Its name begins with "ml ".
local ms = require "mascon"
local formula = require "formula"
local ml = ms.ml

return function(case, once, fashion)
  -- The first n training images of Fashion-MNIST and all test images, N x d; d = 128: in a random projection.
  local function neighbours(n, d)
    local set, test = fashion()
    local x, y, tx, ty
    if set then
      x, y, tx, ty = set:pixels(1, n), set.labels[{ { 1, n } }], test:pixels(), test.labels
    else
      x, y = formula.tensor(21, { n, 784 }, 0, 1), formula.labels(22, n, 10)
      tx, ty = formula.tensor(23, { 10000, 784 }, 0, 1), formula.labels(24, 10000, 10)
    end
    if d < 784 then
      local onto = formula.tensor(25, { 784, d }, -1, 1)
      x, tx = x:matmul(onto), tx:matmul(onto)
    end
    return x, y, tx, ty
  end

  for _, size in ipairs { { 1000, 784 }, { 60000, 784 }, { 1000, 128 }, { 60000, 128 } } do
    for _, k in ipairs { 1, 5 } do
      local n, d = size[1], size[2]
      case(("ml %d-nn %dx%d"):format(k, n, d), function()
        local x, y, tx, ty = neighbours(n, d)
        local knn = ml.knn { k = k }:fit(x, y)
        return { run = function() return ml.accuracy(knn:predict(tx), ty) end, score = true, gflop = 2 * 1e4 * n * d / 1e9 }
      end)
    end
  end

  local mixture = once("mixture", function()
    local x, y = formula.mixture(31, 70000, 8, 10)
    return { x = x, y = y }
  end)
  local function forest_case(name, n, timed)
    case(name, function()
      local x, y = mixture()
      local range, rest = { { 1, n } }, { { 60001, 70000 } }
      local function fit() return ml.random_forest({ trees = 100, seed = 1 }):fit(x[range], y[range]) end
      local function score(forest) return ml.accuracy(forest:predict(x[rest]), y[rest]) end
      local forest = timed == "predict" and fit()
      return {
        run = timed == "predict" and function() return forest:predict(x[rest]) end or fit,
        score = function() return score(forest or fit()) end,
      }
    end)
  end
  forest_case("ml forest fit 1000x8", 1000, "fit")
  forest_case("ml forest fit 60000x8", 60000, "fit")
  forest_case("ml forest predict", 1000, "predict")

  -- Two classes and one feature; ten classes, whose features are few or pixels. Both sides stop by their own gradient, at the same tol.
  local function logistic_case(name, data)
    case("ml logistic " .. name, function()
      local x, y = data()
      local function fit() return ml.logistic_regression():fit(x, y) end
      return { run = fit, score = function() return ml.accuracy(fit():predict(x), y) end }
    end)
  end
  logistic_case("120000x1", function()
    local x, y = formula.mixture(41, 120000, 1, 2)
    return x, y
  end)
  logistic_case("60000x8", function()
    local x, y = mixture()
    return x[{ { 1, 60000 } }], y[{ { 1, 60000 } }]
  end)
  logistic_case("1000x784", function()
    local x, y = neighbours(1000, 784)
    return x, y
  end)

  for _, size in ipairs { { 1000, 128 }, { 10000, 196 } } do
    local n, d = size[1], size[2]
    case(("ml t-sne %dx%d"):format(n, d), function()
      local x = neighbours(n, d)
      local function fit() return ml.tsne({ progress = false }):fit(x) end
      return { run = fit, score = function() return fit().kl_divergence end }
    end)
  end
end
