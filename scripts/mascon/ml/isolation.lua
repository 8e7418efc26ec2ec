-- Isolation forest: anomalies are what random splits part from the rest early.
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local kit = require "mascon.ml.kit"
local core = inside.ml
local ml = {}

local Isolation = kit.class "isolation_forest"

-- ml.isolation_forest{trees = 100, max_samples = "auto", contamination = "auto", seed} -> scores how unlike the others a sample is (Liu,
-- Ting, Zhou 2008). max_samples: how many samples each tree is grown on, "auto": 256 or all there are, a number, or a fraction (1.0: all);
-- contamination: the share of anomalies among the training samples (above 0, up to 0.5), which sets .offset; "auto": -0.5. After fit:
-- .offset, .max_samples
function ml.isolation_forest(opts)
  local self = kit.new(Isolation, opts, { trees = 100, max_samples = options.any, contamination = options.any, seed = options.any })
  local o, what = self.options, Isolation.what
  kit.whole(what, o, "trees", 1)
  kit.whole(what, o, "seed", math.mininteger)
  if o.max_samples == nil then o.max_samples = "auto" end
  if o.contamination == nil then o.contamination = "auto" end
  local m, c = o.max_samples, o.contamination
  local function shown(v) return type(v) == "string" and "'" .. v .. "'" or tostring(v) end
  if math.type(m) == "float" and m > 1 then m = math.tointeger(m) end
  if not (m == "auto" or math.type(m) == "integer" and m >= 1 or math.type(m) == "float" and m > 0) then
    options.raise("%s: option max_samples: expected 'auto', a number of samples or a fraction of them (up to 1.0), got %s", what,
      shown(o.max_samples))
  end
  o.max_samples = m
  if not (c == "auto" or type(c) == "number" and c > 0 and c <= 0.5) then
    options.raise("%s: option contamination: expected 'auto' or a number above 0, at most 0.5, got %s", what, shown(c))
  end
  return self
end

-- Depths become scores from -1 (an anomaly) to 0; samples: how many each tree had.
local function scores(what, model, samples, X)
  local depth, usual = core.forest_value(what, model, X), core.forest_mean_depth(samples)
  if usual == 0 then return depth * 0 - 0.5 end -- trees of one sample tell nothing: as usual as any, as scikit-learn says
  return -ms.exp(depth * (-math.log(2) / usual))
end

-- The q-th quantile by linear interpolation, as numpy's.
local function quantile(v, q)
  local sorted = v:sort(1)
  local at = q * (#v - 1)
  local low = math.floor(at)
  local a, b = sorted[low + 1]:item(), sorted[math.min(low + 2, #v)]:item()
  return a + (b - a) * (at - low)
end

-- forest:fit(X) -> itself; labels are not asked for
function Isolation:fit(X)
  local what, o = kit.words(self, Isolation, "fit"), self.options
  local scope <close> = ms.scope() -- luacheck: ignore 211
  if not ms.is_tensor(X) or X:dim() < 2 then -- the core says what is wrong
    core.forest_isolate(what, X, 1, 1, 0)
  end
  local n, m = X:size(1), o.max_samples
  local samples = m == "auto" and math.min(256, n) or math.type(m) == "float" and math.max(1, math.floor(m * n)) or m
  if n > 0 and samples > n then samples = n end
  local model = core.forest_isolate(what, X, o.trees, samples, o.seed or core.draw())
  local offset = -0.5
  if o.contamination ~= "auto" then offset = quantile(scores(what, model, samples, X), o.contamination) end
  self._model, self.max_samples, self.offset = model, samples, offset
  return self
end

-- forest:score_samples(X) -> f32, N: near -1 for anomalies, about -0.5 and more for the usual
function Isolation:score_samples(X)
  local what, model = kit.fitted(self, Isolation, "score_samples")
  return scores(what, model, self.max_samples, X):to { dtype = "f32", device = X.device }
end

-- forest:decision_function(X) -> score_samples(X) - offset (f32, N): negative for anomalies
function Isolation:decision_function(X)
  local what, model = kit.fitted(self, Isolation, "decision_function")
  return (scores(what, model, self.max_samples, X) - self.offset):to { dtype = "f32", device = X.device }
end

-- What a mean over the trees is off by: where all samples are the same, their score is the offset, and none is an anomaly.
local ROUNDING = 1e-12

-- forest:predict(X) -> 1 for the usual, -1 for anomalies (i64, N)
function Isolation:predict(X)
  local what, model = kit.fitted(self, Isolation, "predict")
  return ((scores(what, model, self.max_samples, X) - self.offset):ge(-ROUNDING):long() * 2 - 1):to(X.device)
end

-- forest:state_dict() -> the arrays of ml.random_forest, and max_samples, offset
function Isolation:state_dict()
  local what, model = kit.fitted(self, Isolation, "state_dict")
  local state = core.forest_get(what, model)
  state.max_samples, state.offset = kit.number_tensor(self.max_samples), ms.tensor(self.offset, { dtype = "f64" })
  return ms.keep(state)
end

-- forest:load_state_dict(state) -> itself; every rule of the arrays is checked
function Isolation:load_state_dict(state)
  local what = kit.words(self, Isolation, "load_state_dict")
  kit.check_state(what, state, { "first", "feature", "threshold", "left", "leaf", "proba", "features", "max_samples", "offset" })
  local samples, offset = kit.state_number(what, state, "max_samples", 1), state.offset
  if not ms.is_tensor(offset) or offset:numel() ~= 1 then options.raise("%s: 'offset': expected one number", what) end
  self._model = core.forest_set(what, state, true)
  self.max_samples, self.offset = samples, offset:item()
  return self
end

function Isolation:__tostring()
  return kit.describe(self, { "trees", "max_samples", "contamination", "seed" }, function()
    local trees, d = core.forest_sizes("", self._model)
    return ("%d trees of %d samples, %d features, offset %.4g"):format(trees, self.max_samples, d, self.offset)
  end)
end

return ml
