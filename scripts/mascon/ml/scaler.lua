-- Features brought to a common scale.
local ms = require "mascon"
local options = require "mascon.options"
local kit = require "mascon.ml.kit"
local ml = {}

local Standard, MinMax = kit.class "standard_scaler", kit.class "min_max_scaler"

-- X as N x d f64 on the CPU, its shape checked (d features; nil: any), and how to bring a result back to X's shape, dtype and device.
local function samples(what, X, d, least)
  if not ms.is_tensor(X) or X:dim() < 2 or not kit.is_float(X) then
    options.raise("%s: X: expected floats, samples x features, got %s", what, kit.what_is(X))
  end
  local n, given = X:size(1), 1
  for i = 2, X:dim() do given = given * X:size(i) end
  if d and given ~= d then options.raise("%s: X: expected %d features per sample, as in fit, got %d (%s)", what, d, given, kit.shape(X)) end
  if n < (least or 0) or given == 0 then options.raise("%s: X: expected samples and features, got %s", what, kit.shape(X)) end
  local flat = X:detach():to { device = "cpu", dtype = "f64" }:reshape { n, given }
  kit.vector(what, "X", flat, nil, 0, true)
  return flat, function(y) return y:reshape(X.shape):to { device = X.device, dtype = X.dtype } end
end

-- ml.standard_scaler{with_mean = true, with_std = true} -> brings each feature to mean 0 and variance 1 (biased, as scikit-learn); a
-- constant one is only moved. After fit: .mean, .scale (d, f64)
function ml.standard_scaler(opts) return kit.new(Standard, opts, { with_mean = true, with_std = true }) end

-- ml.min_max_scaler{feature_range = {0, 1}} -> brings each feature to that range; a constant one to its lower end. After fit: .data_min,
-- .data_max (d, f64)
function ml.min_max_scaler(opts)
  local self = kit.new(MinMax, opts, { feature_range = { 0, 1 } })
  local r = self.options.feature_range
  if not (#r == 2 and type(r[1]) == "number" and type(r[2]) == "number" and r[1] < r[2] and r[2] - r[1] < math.huge) then
    options.raise("%s: option feature_range: expected two numbers, the smaller first", MinMax.what)
  end
  return self
end

-- Sets what a fit or a state gives.
local function set(self, shift, scale, extra)
  self._model = { shift = ms.keep(shift), scale = ms.keep(scale) }
  for name, t in pairs(extra) do self[name] = ms.keep(t) end
  return self
end

local function standard(self, mean, scale) return set(self, mean, scale, { mean = mean, scale = scale }) end

local function min_max(self, low, high)
  local r = self.options.feature_range
  local width = high - low
  local scale = ms.where(width:gt(0), width, ms.ones_like(width)) / (r[2] - r[1])
  return set(self, low - r[1] * scale, scale, { data_min = low, data_max = high })
end

-- scaler:fit(X) -> itself; X: N x d floats, N from 1 on
function Standard:fit(X)
  local what = kit.words(self, Standard, "fit")
  local x = samples(what, X, nil, 1)
  local mean = x:mean(1)
  local variance = (x - mean):square():mean(1)
  if not variance:isfinite():all():item() then
    options.raise("%s: X: expected numbers whose squares f64 holds, got some up to %g", what, x:abs():max():item())
  end
  -- rounding of equal numbers, by scikit-learn's bound: the mean of n numbers is off by as much as n roundings
  local n, eps = #x, 2.0 ^ -52
  local constant = variance:le(variance * (n * eps) + (mean * (n * eps)):square())
  local scale = ms.where(constant, ms.ones_like(variance), variance:sqrt())
  return standard(self, self.options.with_mean and mean or ms.zeros_like(mean), self.options.with_std and scale or ms.ones_like(scale))
end

function MinMax:fit(X)
  local x = samples(kit.words(self, MinMax, "fit"), X, nil, 1)
  return min_max(self, x:amin(1), x:amax(1))
end

-- scaler:transform(X) -> scaled, of X's shape, dtype and device
function Standard:transform(X)
  local what, m = kit.fitted(self, Standard, "transform")
  local x, back = samples(what, X, #m.shift)
  return back((x - m.shift) / m.scale)
end

-- scaler:inverse(X) -> what transform had made X of
function Standard:inverse(X)
  local what, m = kit.fitted(self, Standard, "inverse")
  local x, back = samples(what, X, #m.shift)
  return back(x * m.scale + m.shift)
end

-- scaler:fit_transform(X) -> fit, then transform
function Standard:fit_transform(X) return self:fit(X):transform(X) end

-- Both tensors of a state, checked.
local function pair(what, state, a, b)
  kit.check_state(what, state, { a, b })
  local first = kit.vector(what, "'" .. a .. "'", state[a])
  return first:clone(), kit.vector(what, "'" .. b .. "'", state[b], #first):clone()
end

-- scaler:state_dict() -> {mean, scale} or {data_min, data_max}
function Standard:state_dict()
  kit.fitted(self, Standard, "state_dict")
  return kit.copies { mean = self.mean, scale = self.scale }
end

-- scaler:load_state_dict(state) -> itself
function Standard:load_state_dict(state)
  local what = kit.words(self, Standard, "load_state_dict")
  local mean, scale = pair(what, state, "mean", "scale")
  if scale:le(0):any():item() then options.raise("%s: 'scale': expected numbers above 0", what) end
  return standard(self, mean, scale)
end

function MinMax:state_dict()
  kit.fitted(self, MinMax, "state_dict")
  return kit.copies { data_min = self.data_min, data_max = self.data_max }
end

function MinMax:load_state_dict(state)
  local what = kit.words(self, MinMax, "load_state_dict")
  local low, high = pair(what, state, "data_min", "data_max")
  if low:gt(high):any():item() then options.raise("%s: 'data_min': expected no number above that of 'data_max'", what) end
  return min_max(self, low, high)
end

function Standard:__tostring()
  return kit.describe(self, { "with_mean", "with_std" }, function() return #self._model.shift .. " features" end)
end

for name, f in pairs(Standard) do
  if MinMax[name] == nil then MinMax[name] = f end
end

return ml
