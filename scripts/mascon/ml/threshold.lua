-- Thresholds for anomaly scores, chosen without labels: where does "usual" end?
local ms = require "mascon"
local options = require "mascon.options"
local kit = require "mascon.ml.kit"
local ml = {}

local function quantile(sorted, q) -- linear between neighbours, as NumPy's and PyTorch's default
  local at = (#sorted - 1) * q
  local i = math.floor(at)
  local low = sorted[i + 1]:item()
  return i + 1 < #sorted and low + (at - i) * (sorted[i + 2]:item() - low) or low
end

-- The middle of the gap above the i-th of sorted scores.
local function middle(sorted, i)
  local a, b = sorted[i]:item(), sorted[i + 1]:item()
  local m = a + (b - a) / 2
  return m < b and m or a
end

-- ---- generalized Pareto distribution ---------------------------------------------------------------------------------------------

-- Fit to excesses x > 0 (f64 tensor) by maximum likelihood -> shape, scale. Grimshaw, "Computing maximum likelihood estimates for the
-- generalized Pareto distribution" (Technometrics 1993): for a ratio r = shape / scale the best shape is mean(log(1 + r x)), so that
-- one number is left to search; r = 0 is the exponential distribution. Shapes under -1, where the likelihood has no bound, are left out.
local function fit_pareto(x)
  local mean, most = x:mean():item(), x:max():item()
  local function cost(r) -- minus the log likelihood per sample; its shape
    if math.abs(r) * mean < 1e-9 then return math.log(mean) + 1, 0 end
    local shape = (x * r):log1p():mean():item()
    if shape < -1 then return math.huge, shape end
    return math.log(shape / r) + shape + 1, shape
  end
  local ratios = { 0 }
  for i = 1, 24 do ratios[#ratios + 1] = -(1 - 2.0 ^ -i) / most end
  for i = 1, 24 do ratios[#ratios + 1] = -2.0 ^ -(i + 1) / most end
  for i = -24, 12 do ratios[#ratios + 1] = 2.0 ^ i / mean end
  table.sort(ratios)
  local best, least = 1, math.huge
  for i, r in ipairs(ratios) do
    local c = cost(r)
    if c < least then best, least = i, c end
  end
  local a, b = ratios[math.max(best - 1, 1)], ratios[math.min(best + 1, #ratios)]
  local golden = (math.sqrt(5) - 1) / 2
  local c, d = b - golden * (b - a), a + golden * (b - a)
  local at_c, at_d = cost(c), cost(d)
  for _ = 1, 60 do
    if at_c < at_d then
      b, d, at_d = d, c, at_c
      c = b - golden * (b - a)
      at_c = cost(c)
    else
      a, c, at_c = c, d, at_d
      d = a + golden * (b - a)
      at_d = cost(d)
    end
  end
  local r = at_c < at_d and c or d
  if least <= math.min(at_c, at_d) then r = ratios[best] end
  local _, shape = cost(r)
  return shape, shape == 0 and mean or shape / r
end

-- ---- the rules -------------------------------------------------------------------------------------------------------------------

local rules = {}

rules.quantile = { options = { q = 0.98 }, run = function(s, o) return quantile(s, o.q) end }

rules.mad = { options = { k = 3.5 }, run = function(s, o, what)
  local median = quantile(s, 0.5)
  local spread = quantile((s - median):abs():sort(1), 0.5) / 0.6744897501960817
  if spread == 0 then
    options.raise("%s: half of the scores are the same (%g): their spread (MAD) is 0; use another method", what, median)
  end
  return median + o.k * spread, { median = median, spread = spread }
end }

-- Sums left and right of each gap between sorted scores, and the gaps that there are: positions i with s[i] < s[i + 1].
local function gaps(s, what)
  local n = #s
  local gap = s:diff()
  if not gap:gt(0):any():item() then options.raise("%s: all %d scores are the same (%g)", what, n, s[1]:item()) end
  return n, gap, ms.arange(1, n - 1, { dtype = "f64" })
end

rules.otsu = { options = {}, run = function(s, _, what)
  local n, gap, left = gaps(s, what)
  local centred = s - s:mean()
  local sum = centred:cumsum(1)[{ { 1, n - 1 } }]
  local between = sum:square() / (left * (n - left)) -- the variance between the two means
  local _, at = between:masked_fill(gap:le(0), -1):max(1)
  local i = at:item()
  return middle(s, i), { separation = between[i]:item() / (n * centred:square():sum():item()) }
end }

rules.gap = { options = { from = 0.5, weighted = false }, run = function(s, o, what)
  local n, gap, left = gaps(s, what)
  local height = o.weighted and (gap * left * (n - left)):sqrt() or gap
  local first = math.min(math.max(math.ceil(n * o.from), 1), n - 1)
  local most, at = height[{ { first, n - 1 } }]:max(1)
  if most:item() <= 0 then options.raise("%s: the scores from quantile %g on are all the same (%g)", what, o.from, s[n]:item()) end
  local i = first - 1 + at:item()
  return middle(s, i), { gap = gap[i]:item() }
end }

rules.pot = { options = { q = 0.98, risk = 1e-3 }, run = function(s, o, what)
  local n, base = #s, quantile(s, o.q)
  local excess = s[s:gt(base)] - base
  if #excess < 10 then
    options.raise("%s: expected 10 or more scores above quantile %g to fit their tail, got %d of %d", what, o.q, #excess, n)
  end
  local shape, scale = fit_pareto(excess)
  local ratio = o.risk * n / #excess
  if ratio > 1 then options.raise("%s: option risk: expected at most 1 - q = %g, got %g", what, #excess / n, o.risk) end
  local over = math.abs(shape) < 1e-12 and -scale * math.log(ratio) or scale / shape * (ratio ^ -shape - 1)
  return base + over, { base = base, excesses = #excess, shape = shape, scale = scale }
end }

-- Of n scores above a value so many are held to be clean as there are among the clean ones, by their shares.
rules.fdr = { options = { clean = options.any, rate = 0.05 }, run = function(s, o, what)
  local clean = kit.vector(what, "clean", o.clean, nil, 1):to(s.dtype)
  if o.log then clean = clean:log() end
  clean = clean:sort(1)
  local n = #s
  local sorted, rank = s:flip { 1 }, ms.arange(1, n, { dtype = "f64" })
  local above = #clean + 1 - ms.searchsorted(clean, sorted):double()
  local fine = ((above + 0.5) * (n / #clean) / rank):le(o.rate)
  local found = math.tointeger((fine:double() * rank):amax():item())
  if found == 0 then return sorted[1]:item(), { found = 0 } end
  return found < n and middle(s, n - found) or sorted[n]:item(), { found = found }
end }

-- ml.threshold(scores [, {method = "mad", log = false, ...}]) -> threshold (a number; scores above it are unusual), and a table of what
-- the method found, with `above`, the number of scores above it. scores: N finite numbers, large for unusual samples; log: the rule is
-- applied to their logarithms (scores > 0), which suits losses. Methods and their own options:
--   "mad"       median + k * spread, k = 3.5; spread: the median distance from the median, / 0.6745 (Iglewicz and Hoaglin, How to detect
--               and handle outliers, 1993)
--   "quantile"  the q-th quantile, q = 0.98
--   "otsu"      two groups with the largest variance between their means (Otsu, A threshold selection method from gray-level histograms,
--               1979), over all cuts of the sorted scores, without a histogram
--   "gap"       the middle of the largest gap between neighbours above quantile from = 0.5; weighted = true: the largest
--               sqrt(gap * below * above), so that a few extreme scores do not decide alone (Wainer and Schacht, Gapping, 1978)
--   "pot"       peaks over threshold: a generalized Pareto distribution is fitted to what exceeds quantile q = 0.98, and the threshold
--               is what a usual score exceeds with probability risk = 0.001 (Siffer and others, Anomaly detection in streams with
--               extreme value theory, KDD 2017)
--   "fdr"       the lowest threshold above which at most the part rate = 0.05 are clean, going by scores of clean samples, clean = N
--               numbers (Benjamini and Hochberg, Controlling the false discovery rate, 1995)
function ml.threshold(scores, opts)
  local what = "ml.threshold"
  local method = type(opts) == "table" and opts.method or "mad"
  kit.one_of(what, "method", method, "mad", "quantile", "otsu", "gap", "pot", "fdr")
  local defaults = { method = "mad", log = false }
  for name, v in pairs(rules[method].options) do defaults[name] = v end
  local o = options.read(what, opts, defaults)
  for _, name in ipairs { "q", "from", "risk", "rate" } do
    local v, above = o[name], name == "risk" or name == "rate"
    if v and not (v >= 0 and v <= 1 and (not above or v > 0)) then
      options.raise("%s: option %s: expected a number %s 0 to 1, got %s", what, name, above and "above" or "from", v)
    end
  end
  if method == "fdr" and o.clean == nil then options.raise("%s: expected clean = the scores of clean samples too", what) end
  if o.k and not (math.abs(o.k) < math.huge) then options.raise("%s: option k: expected a finite number, got %s", what, o.k) end
  local given = kit.vector(what, "scores", scores, nil, 2)
  local s = given:sort(1)
  if o.log then
    if s[1]:item() <= 0 then options.raise("%s: option log: expected scores above 0, got %g", what, s[1]:item()) end
    s = s:log()
  end
  local at, found = rules[method].run(s, o, what)
  if o.log then at = math.exp(at) end
  found = found or {}
  found.above = given:gt(at):sum():item()
  return at, found
end

return ml
