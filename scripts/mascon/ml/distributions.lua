-- Distributions by their densities and quantiles, in f64, as scipy.stats has them; and points on spheres and in balls.
local ms = require "mascon"
local options = require "mascon.options"
local text = require "mascon.text"
local ml = {}

-- ---- special functions of numbers ----------------------------------------------------------------------------------------------

local EPS, TINY, HUGE, MOST = 2.220446049250313e-16, 1e-300, math.huge, 1000000

-- ln Gamma(x), x > 0: Lanczos' approximation (g = 7, nine terms), about 1e-15 of the value.
local LANCZOS = { 0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
  -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7 }
local function lgamma(x)
  if x < 0.5 then return math.log(math.pi / math.abs(math.sin(math.pi * x))) - lgamma(1 - x) end
  x = x - 1
  local sum = LANCZOS[1]
  for i = 2, 9 do sum = sum + LANCZOS[i] / (x + i - 1) end
  local t = x + 7.5
  return 0.5 * math.log(2 * math.pi) + (x + 0.5) * math.log(t) - t + math.log(sum)
end

-- The incomplete gamma functions P(a, x) and Q = 1 - P: a series below a + 1, a continued fraction (Lentz) above; each gives the small one
-- of the two without loss.
local function gamma_inc(a, x)
  if x <= 0 then return 0.0, 1.0 end
  if x == HUGE then return 1.0, 0.0 end
  local front = math.exp(a * math.log(x) - x - lgamma(a))
  if x < a + 1 then
    local term, sum, n = 1 / a, 1 / a, a
    repeat
      n = n + 1
      term = term * x / n
      sum = sum + term
    until term < sum * EPS * 0.1
    local p = math.min(1, sum * front)
    return p, 1 - p
  end
  local b = x + 1 - a
  local c, d = 1 / TINY, 1 / b
  local h = d
  for i = 1, 100000 do
    local an = -i * (i - a)
    b = b + 2
    d = an * d + b
    if math.abs(d) < TINY then d = TINY end
    c = b + an / c
    if math.abs(c) < TINY then c = TINY end
    d = 1 / d
    local step = d * c
    h = h * step
    if math.abs(step - 1) < EPS then break end
  end
  local q = math.min(1, front * h)
  return 1 - q, q
end

-- The incomplete beta function I_x(a, b) and 1 - I, by its continued fraction (Lentz) on the side where that is quick.
local function beta_fraction(a, b, x)
  local c, d = 1.0, 1 - (a + b) * x / (a + 1)
  if math.abs(d) < TINY then d = TINY end
  d = 1 / d
  local h = d
  for m = 1, 100000 do
    for half = 0, 1 do
      local by = half == 0 and m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        or -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
      d = 1 + by * d
      if math.abs(d) < TINY then d = TINY end
      c = 1 + by / c
      if math.abs(c) < TINY then c = TINY end
      d = 1 / d
      h = h * d * c
    end
    if math.abs(d * c - 1) < EPS then break end
  end
  return h
end
local function beta_inc(a, b, x)
  if x <= 0 then return 0.0, 1.0 end
  if x >= 1 then return 1.0, 0.0 end
  local front = math.exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * math.log(x) + b * math.log(1 - x))
  if x < (a + 1) / (a + b + 2) then
    local p = math.min(1, front * beta_fraction(a, b, x) / a)
    return p, 1 - p
  end
  local q = math.min(1, front * beta_fraction(b, a, 1 - x) / b)
  return 1 - q, q
end

-- The x between low and high with cdf(x) = q, for a cdf that rises: Newton's steps (from `x`), halved where they leave what is known.
-- both(x) gives cdf and 1 - cdf: the smaller of the two is matched, so that tails keep their digits. Where low is 0 lengths are what
-- counts: small shapes have quantiles of any power of ten, and there ln cdf is nearly a line over ln x. One below all numbers is 0.
local LEAST = 2.2250738585072014e-308
local function invert(both, pdf, q, low, high, x)
  local upper, lengths = q > 0.5, low == 0
  local target = upper and 1 - q or q
  if lengths then
    if both(LEAST) >= q then return 0.0 end
    low = LEAST
  end
  for _ = 1, 400 do
    local p, r = both(x)
    local off = upper and target - r or p - target -- > 0: x is too large
    if off == 0 then return x end
    if off > 0 then high = x else low = x end
    local slope, to, near = pdf(x), nil, EPS
    if lengths and not upper then
      to, near = x * math.exp(math.log(target / p) * (p / x) / slope), EPS * (1 + math.abs(math.log(x)))
    elseif slope > 0 then
      to = x - off / slope
    end
    if not to or to ~= to or to <= low or to >= high then
      if high == HUGE then
        to = x > 0 and 2 * x or x + 1
      elseif low == -HUGE then
        to = x < 0 and 2 * x or x - 1
      else
        to = lengths and math.sqrt(low) * math.sqrt(high) or (low + high) / 2
      end
    end
    if math.abs(to - x) <= near * math.abs(to) then return to end
    x = to
  end
  return x
end

-- ---- what distributions share ----------------------------------------------------------------------------------------------------

local Distribution = { __name = "mascon.distribution" }
Distribution.__index = Distribution

-- most: beyond it the functions above lose digits and take long.
local function positive(what, name, v, most)
  if type(v) ~= "number" or not (v > 0 and v < HUGE) then
    options.raise("%s: %s: expected a number above 0, got %s", what, name, text.show(v))
  end
  if most and v > most then options.raise("%s: %s: expected at most %d, got %g", what, name, most, v) end
  return v + 0.0
end

-- f of a number, or of each element of a tensor (a tensor f64 of its shape, on its device, without gradients).
local function each(self, method, x, f)
  if getmetatable(self) ~= Distribution then
    options.raise("ml.distribution:%s: call it with a colon on a distribution: d:%s(x)", method, method)
  end
  local what = ("%s:%s"):format(self.what, method)
  if type(x) == "number" then return f(x + 0.0) end
  if not ms.is_tensor(x) then options.raise("%s: expected a number or a tensor, got %s", what, type(x)) end
  local list = x:detach():to { device = "cpu", dtype = "f64" }:reshape { -1 }:totable()
  for i, v in ipairs(list) do list[i] = f(v) end
  return ms.tensor(list, { dtype = "f64" }):reshape(x.shape):to(x.device)
end

-- d:pdf(x) -> the density at x: a number, or of each element of a tensor (f64). NaN gives NaN
function Distribution:pdf(x) return each(self, "pdf", x, function(v) return v ~= v and v or math.exp(self.log_density(v)) end) end
-- d:logpdf(x) -> its logarithm, -inf where there is none
function Distribution:logpdf(x) return each(self, "logpdf", x, function(v) return v ~= v and v or self.log_density(v) end) end
-- d:cdf(x) -> the probability of values up to x
function Distribution:cdf(x) return each(self, "cdf", x, function(v) return v ~= v and v or (self.both(v)) end) end
-- d:sf(x) -> 1 - cdf(x), exact in the far tail, too
function Distribution:sf(x) return each(self, "sf", x, function(v) return v ~= v and v or select(2, self.both(v)) end) end
-- d:ppf(q) -> the x that cdf(x) = q; NaN for q outside 0 to 1
function Distribution:ppf(q)
  return each(self, "ppf", q, function(v)
    if not (v >= 0 and v <= 1) then return 0 / 0 end
    if v == 0 then return self.low end
    if v == 1 then return self.high end
    return invert(self.both, function(x) return math.exp(self.log_density(x)) end, v, self.low, self.high, self.guess(v))
  end)
end
-- d:sample(shape) -> independent draws (f64), from the default generator
function Distribution:sample(shape) return self:ppf(ms.rand(shape, { dtype = "f64" })) end
function Distribution:__tostring() return self.words end

local function new(fields) return setmetatable(fields, Distribution) end

-- A first guess for the quantiles of the normal distribution (Abramowitz and Stegun 26.2.23, to 5e-4).
local function normal_guess(q)
  if q == 0.5 then return 0.0 end
  local t = math.sqrt(-2 * math.log(math.min(q, 1 - q)))
  local x = t - (2.515517 + 0.802853 * t + 0.010328 * t * t) / (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t * t * t)
  return q < 0.5 and -x or x
end

-- ml.normal([mean = 0, std = 1]) -> the normal distribution: d:pdf(x), d:logpdf, d:cdf, d:sf, d:ppf(q), d:sample(shape), of numbers and
-- tensors
function ml.normal(mean, std)
  mean = mean == nil and 0.0 or mean
  if type(mean) ~= "number" or mean - mean ~= 0 then options.raise("ml.normal: mean: expected a number, got %s", text.show(mean)) end
  std = std == nil and 1.0 or positive("ml.normal", "std", std)
  return new {
    what = "ml.normal", words = ("normal(%g, %g)"):format(mean, std), low = -HUGE, high = HUGE,
    log_density = function(x) return -0.5 * ((x - mean) / std) ^ 2 - math.log(std) - 0.5 * math.log(2 * math.pi) end,
    both = function(x) -- by the incomplete gamma function: erfc(|z| / sqrt 2) / 2
      local z = (x - mean) / std
      local tail = select(2, gamma_inc(0.5, z * z / 2)) / 2
      if z > 0 then return 1 - tail, tail end
      return tail, 1 - tail
    end,
    guess = function(q) return mean + std * normal_guess(q) end,
  }
end

-- ml.chi2(df) -> the distribution of the sum of df squared standard normal numbers; 0 < df <= 1,000,000, a whole number or not. Methods as
-- of ml.normal
function ml.chi2(df)
  df = positive("ml.chi2", "df", df, MOST)
  local half = df / 2
  return new {
    what = "ml.chi2", words = ("chi2(%g)"):format(df), low = 0.0, high = HUGE,
    log_density = function(x)
      if x < 0 or x == HUGE then return -HUGE end
      if x == 0 then return half == 1 and -math.log(2) or half < 1 and HUGE or -HUGE end
      return (half - 1) * math.log(x) - x / 2 - half * math.log(2) - lgamma(half)
    end,
    both = function(x) return gamma_inc(half, x / 2) end,
    guess = function(q) -- Wilson and Hilferty
      local c = 2 / (9 * df)
      return math.max(df * (1 - c + normal_guess(q) * math.sqrt(c)) ^ 3, 1e-8 * df)
    end,
  }
end

-- ml.chi(df) -> the distribution of the length of a vector of df standard normal numbers: ml.chi(128):ppf(0.98) is 12.7657014145933.
-- Methods as of ml.normal
function ml.chi(df)
  df = positive("ml.chi", "df", df, MOST)
  local half, squares = df / 2, ml.chi2(df)
  return new {
    what = "ml.chi", words = ("chi(%g)"):format(df), low = 0.0, high = HUGE,
    log_density = function(x)
      if x < 0 or x == HUGE then return -HUGE end
      if x == 0 then return df == 1 and 0.5 * math.log(2 / math.pi) or df < 1 and HUGE or -HUGE end
      return (1 - half) * math.log(2) + (df - 1) * math.log(x) - x * x / 2 - lgamma(half)
    end,
    both = function(x) return gamma_inc(half, x > 0 and x * x / 2 or 0) end,
    guess = function(q) return math.sqrt(squares.guess(q)) end,
  }
end

-- ml.beta(a, b) -> the beta distribution on 0 to 1; a, b above 0, up to 1,000,000. Methods as of ml.normal
function ml.beta(a, b)
  a, b = positive("ml.beta", "a", a, MOST), positive("ml.beta", "b", b, MOST)
  local scale = lgamma(a + b) - lgamma(a) - lgamma(b)
  local function power(p, x) return p == 0 and 0 or p * math.log(x) end
  return new {
    what = "ml.beta", words = ("beta(%g, %g)"):format(a, b), low = 0.0, high = 1.0,
    log_density = function(x)
      if x < 0 or x > 1 then return -HUGE end
      return scale + power(a - 1, x) + power(b - 1, 1 - x)
    end,
    both = function(x) return beta_inc(a, b, x) end,
    guess = function() return a / (a + b) end,
  }
end

-- ---- points ------------------------------------------------------------------------------------------------------------------------

local function count(what, name, v)
  local n = type(v) == "number" and math.tointeger(v)
  if not n or n < 1 then options.raise("%s: %s: expected a whole number from 1 on, got %s", what, name, text.show(v)) end
  return n
end

-- ml.sample_sphere(n, d [, {radius = 1}]) -> n x d: points on the sphere of that radius in d dimensions, every direction equally likely
function ml.sample_sphere(n, d, opts)
  n, d = count("ml.sample_sphere", "n", n), count("ml.sample_sphere", "d", d)
  local radius = positive("ml.sample_sphere", "option radius", options.read("ml.sample_sphere", opts, { radius = 1.0 }).radius)
  local x = ms.randn { n, d }
  return x * (radius / x:norm(2, 2, true))
end

-- ml.sample_ball(n, d [, {radius = 1, inner = 0}]) -> n x d: points in the ball of that radius, evenly spread over its volume: a direction
-- times radius * u^(1 / d); inner: none nearer to the middle than that (a shell)
function ml.sample_ball(n, d, opts)
  local what = "ml.sample_ball"
  n, d = count(what, "n", n), count(what, "d", d)
  local o = options.read(what, opts, { radius = 1.0, inner = 0.0 })
  local radius, inner = positive(what, "option radius", o.radius), o.inner
  if type(inner) ~= "number" or not (inner >= 0 and inner < radius) then
    options.raise("%s: option inner: expected a number from 0 up to the radius %g, got %s", what, radius, text.show(inner))
  end
  local least = (inner / radius) ^ d -- the share of the volume that is left out
  local u = least + (1 - least) * ms.rand({ n, 1 }, { dtype = "f64" })
  return ml.sample_sphere(n, d) * (radius * u:pow(1 / d)):float()
end

return ml
