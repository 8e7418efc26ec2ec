-- Logistic regression.
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local progress = require "mascon.progress"
local kit = require "mascon.ml.kit"
local core = inside.ml
local ml = {}

local Logistic = kit.class("logistic_regression", "coef intercept classes n_iter converged objective")

-- ml.logistic_regression{C = 1, fit_intercept = true, tol = 1e-4, max_iter = 100, class_weight, classes} -> makes
-- 1/2 |w|^2 + C * sum of losses least, the intercepts not penalised (C = math.huge: no penalty); two classes: one vector of weights, more:
-- multinomial. All in f64, by L-BFGS; done when no element of the gradient, of the cost divided by C * N, is larger than tol.
-- class_weight: "balanced" (N / (classes * samples of the class)), or a list of a weight per class. classes: columns of predict_proba, else
-- the largest label. After fit: .coef (rows x d, f64), .intercept (rows), .classes (the labels that occur, in the order of the rows; of two
-- the one row is for the second), .n_iter, .converged, .objective
function ml.logistic_regression(opts)
  local self = kit.new(Logistic, opts, { C = 1, fit_intercept = true, tol = 1e-4, max_iter = 100, class_weight = options.any,
    classes = options.any })
  local o = self.options
  kit.whole(Logistic.what, o, "max_iter", 1)
  kit.whole(Logistic.what, o, "classes", 1)
  if not (o.C > 0) then options.raise("%s: option C: expected a number above 0, got %s", Logistic.what, o.C) end
  if not (o.tol >= 0) then options.raise("%s: option tol: expected a number from 0 on, got %s", Logistic.what, o.tol) end
  local weight = o.class_weight
  if weight ~= nil and type(weight) ~= "table" then kit.one_of(Logistic.what, "class_weight", weight, "balanced") end
  return self
end

-- What a sample of each class counts, of those that occur; nil: all the same.
local function class_weights(what, given, y, classes, present)
  if given == nil then return nil end
  local list = {}
  for i, label in ipairs(present) do
    if given == "balanced" then
      list[i] = #y / (#present * y:eq(label):sum():item())
    else
      local w = given[label]
      if type(w) ~= "number" or not (w > 0 and w < math.huge) then
        options.raise("%s: option class_weight: expected a number above 0 for each class 1..%d, got %s for class %d", what, classes,
          tostring(w), label)
      end
      list[i] = w
    end
  end
  return ms.tensor(list, { dtype = "f64" })
end

-- model:fit(X, y) -> itself. X: N x d floats; y: N labels from 1, of two classes or more. A fit that is not done after max_iter steps
-- leaves .converged false, and says so on standard error
function Logistic:fit(X, y)
  local what, o = kit.words(self, Logistic, "fit"), self.options
  local rows = ms.is_tensor(X) and X:dim() > 1 and X:size(1) or nil
  local labels = kit.labels(what, "y", y, o.classes, rows)
  local most = o.classes or #labels > 0 and labels:max():item() or 0
  if most > 65535 then options.raise("%s: y: expected labels up to 65535, got %d", what, most) end
  local present = labels:bincount():nonzero():reshape { -1 }
  if #present < 2 then options.raise("%s: y: expected labels of two classes or more, got %d", what, #present) end
  local numbers = ms.arange(1, #present, { dtype = "i64" })
  local place = ms.zeros({ present[-1]:item() }, { dtype = "i64" }):index_copy(1, present, numbers)[labels]
  present = present:totable()
  local fit = core.logistic_new(what, X, place, #present, o.C, o.fit_intercept, class_weights(what, o.class_weight, labels, most, present))
  local done, cost, gradient, steps
  local bar, _, _, closing = progress(o.max_iter, { label = "logistic regression" })
  for _ in bar, nil, nil, closing do
    done, cost, gradient, steps = core.logistic_run(what, fit, 1, o.tol)
    bar:set { objective = cost, gradient = gradient }
    if done then break end
  end
  local coef, intercept = core.logistic_weights(what, fit)
  self.coef, self.intercept = ms.keep(coef), ms.keep(intercept)
  self.classes, self._model = ms.keep(ms.tensor(present, { dtype = "i64" })), { columns = most }
  self.n_iter, self.converged, self.objective = steps, done, cost
  if not done then
    io.stderr:write(("%s: not converged after max_iter = %d steps: the gradient is %.2g, tol = %g\n"):format(what, o.max_iter, gradient,
      o.tol))
  end
  return self
end

local function decide(self, method, X)
  local what = kit.fitted(self, Logistic, method)
  local d = self.coef:size(2)
  if not ms.is_tensor(X) or X:dim() < 2 or not kit.is_float(X) then
    options.raise("%s: X: expected floats, samples x features, got %s", what, kit.what_is(X))
  end
  local n = X:size(1)
  if n == 0 then return ms.zeros({ 0, #self.intercept }, { dtype = "f64" }) end
  local flat = X:detach():reshape { n, -1 }
  if flat:size(2) ~= d then
    options.raise("%s: X: expected %d features per sample, as in fit, got %d (%s)", what, d, flat:size(2), kit.shape(X))
  end
  flat = flat:to { device = "cpu", dtype = "f64" }
  if not flat:isfinite():all():item() then kit.vector(what, "X", flat, nil, 0, true) end
  return flat:matmul(self.coef:transpose(1, 2)) + self.intercept
end

-- model:decision_function(X) -> scores (f64): N of two classes, positive for the second one; N x classes of more
function Logistic:decision_function(X)
  local z = decide(self, "decision_function", X)
  return (#self.intercept == 1 and z:reshape { -1 } or z):to(X.device)
end

-- model:predict(X) -> N labels (i64)
function Logistic:predict(X)
  local z = decide(self, "predict", X)
  local place = #self.intercept == 1 and z:reshape { -1 }:gt(0):long() + 1 or #z > 0 and z:argmax(2) or ms.zeros({ 0 }, { dtype = "i64" })
  return self.classes[place]:to(X.device)
end

-- model:predict_proba(X) -> N x classes (f64); 0 for classes that did not occur in fit
function Logistic:predict_proba(X)
  local z = decide(self, "predict_proba", X)
  local shares
  if #self.intercept == 1 then shares = ms.cat({ (-z):sigmoid(), z:sigmoid() }, 2) else shares = z:softmax(2) end
  local all = ms.zeros({ z:size(1), self._model.columns }, { dtype = "f64" })
  return all:index_copy(2, self.classes, shares):to(X.device)
end

-- model:state_dict() -> {coef, intercept, classes, columns}
function Logistic:state_dict()
  kit.fitted(self, Logistic, "state_dict")
  return kit.copies { coef = self.coef, intercept = self.intercept, classes = self.classes,
    columns = kit.number_tensor(self._model.columns) }
end

-- model:load_state_dict(state) -> itself
function Logistic:load_state_dict(state)
  local what = kit.words(self, Logistic, "load_state_dict")
  kit.check_state(what, state, { "coef", "intercept", "classes", "columns" })
  local columns = kit.state_number(what, state, "columns", 1)
  local classes = kit.labels(what, "'classes'", state.classes, columns)
  local coef, intercept = state.coef, state.intercept
  if not ms.is_tensor(coef) or coef:dim() ~= 2 then options.raise("%s: 'coef': expected a tensor of rows x features", what) end
  kit.vector(what, "'coef'", coef, nil, 1, true)
  intercept = kit.vector(what, "'intercept'", intercept, coef:size(1))
  if #classes < 2 or coef:size(1) ~= (#classes == 2 and 1 or #classes) or (#classes > 1 and classes:diff():le(0):any():item()) then
    options.raise("%s: 'classes': expected labels that rise, one for each row of coef (two for a single row), got %s and coef %s", what,
      kit.shape(classes), kit.shape(coef))
  end
  self.coef, self.intercept = ms.keep(coef:detach():to { device = "cpu", dtype = "f64" }:clone()), ms.keep(intercept:clone())
  self.classes, self._model = ms.keep(classes), { columns = columns }
  self.n_iter, self.converged, self.objective = nil, nil, nil -- those of another fit
  return self
end

function Logistic:__tostring()
  return kit.describe(self, { "C", "fit_intercept", "tol", "max_iter", "class_weight" }, function()
    return ("%d features, %d classes"):format(self.coef:size(2), #self.classes)
  end)
end

kit.scores(Logistic)

return ml
