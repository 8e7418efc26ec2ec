-- First values of parameters: by their distribution where they are drawn, exactly where they are not.
-- luacheck: globals TestDrawn TestMatrices TestGains
-- gcstress: every 100
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local init, fails = ms.nn.init, checks.fails

TestDrawn = {}

-- The largest distance between the share of t's elements up to x and cdf(x) (Kolmogorov-Smirnov), in units of 1 / sqrt(n): above 1.95 in
-- one case of a thousand.
local function distance(t, cdf)
  local sorted = t:detach():double():reshape { -1 }:sort()
  local n = sorted:numel()
  local want = cdf(sorted)
  local up = (ms.arange(1, n, 1, { dtype = "f64" }) / n - want):abs():amax():item()
  return up * math.sqrt(n)
end
local function uniform(low, high) return function(x) return ((x - low) / (high - low)):clamp(0, 1) end end
local function normal(std, mean) return function(x) return (((x - (mean or 0)) / (std * math.sqrt(2))):erf() + 1) * 0.5 end end

local function follows(t, cdf)
  local d = distance(t, cdf)
  lu.assertTrue(d < 2.2, ("distance %g"):format(d))
end

function TestDrawn.test_uniform_and_normal()
  ms.seed(1)
  follows(init.uniform_(ms.zeros { 20000 }), uniform(0, 1))
  follows(init.uniform_(ms.zeros { 20000 }, { a = -3, b = 2 }), uniform(-3, 2)) -- PyTorch's names
  follows(init.normal_(ms.zeros { 20000 }, 2, 3), normal(3, 2))
end

function TestDrawn.test_by_the_number_of_inputs_and_outputs()
  ms.seed(2)
  local function w() return ms.zeros { 80, 30, 3, 3 } end -- fan in 270, out 720
  follows(init.kaiming_uniform_(w()), uniform(-math.sqrt(6 / 270), math.sqrt(6 / 270)))
  follows(init.kaiming_uniform_(w(), math.sqrt(5), "fan_out"), uniform(-math.sqrt(1 / 720), math.sqrt(1 / 720)))
  follows(init.kaiming_normal_(w(), { mode = "fan_out", nonlinearity = "relu" }), normal(math.sqrt(2 / 720)))
  follows(init.kaiming_normal_(w(), 0, "fan_in", "tanh"), normal(5 / 3 / math.sqrt(270)))
  follows(init.xavier_uniform_(w(), 2), uniform(-2 * math.sqrt(6 / 990), 2 * math.sqrt(6 / 990)))
  follows(init.xavier_normal_(w()), normal(math.sqrt(2 / 990)))
  lu.assertEquals(init.xavier_normal_(ms.zeros { 0, 3 }):numel(), 0)
  fails("expected one of conv1d", init.kaiming_normal_, w(), 0, "fan_in", "reul")
end

function TestDrawn.test_truncated_normal()
  ms.seed(3)
  for _, c in ipairs { { 0, 1, -2, 2 }, { 1, 2, -1, 4 }, { 0, 1, 3, 4 }, { 0, 0.02, -2, 2 }, { -5, 1, -2, 2 } } do
    local mean, std, a, b = table.unpack(c)
    local t = init.trunc_normal_(ms.zeros { 20000 }, mean, std, a, b)
    lu.assertTrue(t:ge(a):all():item() and t:le(b):all():item())
    local cdf = normal(std, mean)
    local low, high = table.unpack(cdf(ms.tensor({ a, b }, { dtype = "f64" })):totable())
    follows(t, function(x) return (cdf(x) - low) / (high - low) end)
  end
  local bound = 1 / 3 -- no f32: what f64 gives is rounded, and stays within
  lu.assertTrue(init.trunc_normal_(ms.zeros { 5000 }, 0, 10, -bound, bound):abs():le(bound):all():item())
  lu.assertEquals(init.trunc_normal_(ms.zeros { 3 }, 7, 0):totable(), { 2, 2, 2 })
  fails("a = 2 is above b = 1", init.trunc_normal_, ms.zeros { 3 }, 0, 1, 2, 1)
end

function TestDrawn.test_sparse()
  ms.seed(4)
  local t = init.sparse_(ms.zeros { 40, 300 }, 0.3, 2)
  lu.assertEquals(t:eq(0):sum(1):totable(), ms.full({ 300 }, 12):totable())
  local kept = {}
  for _, row in ipairs(t:totable()) do
    for _, v in ipairs(row) do
      if v ~= 0 then kept[#kept + 1] = v end
    end
  end
  follows(ms.tensor(kept), normal(2))
  lu.assertEquals(init.sparse_(ms.ones { 3, 2 }, 1):abs():sum():item(), 0)
  fails("sparsity: expected 0..1, got 2", init.sparse_, ms.ones { 3, 2 }, 2)
end

TestMatrices = {}

local function orthonormal_rows(w, gain)
  local k = w:size(1)
  local far = (ms.matmul(w, w, { tb = true }) - ms.eye(k, { dtype = "f64" }) * gain ^ 2):abs():amax():item()
  lu.assertTrue(far < 1e-13 * gain ^ 2, ("%d rows: off by %g"):format(k, far))
end

function TestMatrices.test_orthogonal()
  ms.seed(5)
  for _, s in ipairs { { 3, 3 }, { 1, 1 }, { 5, 2 }, { 2, 5 }, { 33, 32 }, { 70, 66 }, { 40, 100 }, { 1, 7 }, { 7, 1 } } do
    local w = init.orthogonal_(ms.zeros(s, { dtype = "f64" }), 3)
    orthonormal_rows(s[1] <= s[2] and w or w:transpose(), 3)
  end
  orthonormal_rows(init.orthogonal_(ms.zeros({ 4, 3, 2 }, { dtype = "f64" })):reshape { 4, 6 }, 1)
  lu.assertEquals(init.orthogonal_(ms.zeros { 0, 3 }):numel(), 0)
  fails("two dimensions or more", init.orthogonal_, ms.zeros { 3 })
end

-- All rotations and reflections equally likely: an entry of a 3 x 3 one is uniform in -1..1 (Archimedes), the determinant's sign a coin.
function TestMatrices.test_orthogonal_is_uniform()
  ms.seed(6)
  local n, entries, positive = checks.stress and 50 or 400, {}, 0
  for i = 1, n do
    local m = init.orthogonal_(ms.zeros({ 3, 3 }, { dtype = "f64" })):totable()
    entries[i] = m[2][3]
    local det = m[1][1] * (m[2][2] * m[3][3] - m[2][3] * m[3][2]) - m[1][2] * (m[2][1] * m[3][3] - m[2][3] * m[3][1])
      + m[1][3] * (m[2][1] * m[3][2] - m[2][2] * m[3][1])
    lu.assertAlmostEquals(math.abs(det), 1, 1e-13)
    if det > 0 then positive = positive + 1 end
  end
  follows(ms.tensor(entries), uniform(-1, 1))
  lu.assertTrue(math.abs(positive - n / 2) < 2 * math.sqrt(n))
end

function TestMatrices.test_eye_and_dirac()
  lu.assertEquals(init.eye_(ms.ones { 2, 3 }):totable(), { { 1, 0, 0 }, { 0, 1, 0 } })
  local x = ms.randn { 2, 3, 5, 5 }
  lu.assertEquals((ms.conv2d(x, init.dirac_(ms.ones { 3, 3, 3, 3 }), nil, 1, 1) - x):abs():amax():item(), 0)
  lu.assertEquals(init.dirac_(ms.ones { 4, 1, 2 }, 2):totable(), { { { 0, 1 } }, { { 0, 0 } }, { { 0, 1 } }, { { 0, 0 } } })
  fails("groups 2 does not divide the 3 channels out", init.dirac_, ms.ones { 3, 1, 1 }, 2)
  fails("expected 3, 4 or 5 dimensions", init.dirac_, ms.ones { 3, 1 })
  fails("nn.init.eye_: expected two dimensions, got 3 f32", init.eye_, ms.ones { 3 })
end

TestGains = {}

function TestGains.test_values()
  for name, want in pairs { linear = 1, conv2d = 1, sigmoid = 1, tanh = 5 / 3, relu = 2 ^ 0.5, selu = 0.75,
    leaky_relu = (2 / 1.0001) ^ 0.5 } do
    lu.assertAlmostEquals(init.calculate_gain(name), want, 1e-15)
  end
  lu.assertAlmostEquals(init.calculate_gain("leaky_relu", 1), 1, 1e-15)
  fails("nonlinearity: expected one of", init.calculate_gain, "swish")
end
