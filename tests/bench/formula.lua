-- Numbers from a formula that numpy repeats to the bit (tests/peers/bench_common.py): both sides start with the same weights and data.
-- Whole numbers below 2^52 in f64, so every product is exact.
local ms = require "mascon"
local P = 67108859 -- the largest prime below 2^26
local formula = {}

-- n values in [0, 1), f64, scattered; `from`: where in the sequence of this seed they begin
function formula.uniform(seed, n, from)
  local x = ms.arange(0, n - 1, { dtype = "f64" }) + (from or 0)
  x = ms.remainder(x * 48271 + (seed * 69621 + 12345), P)
  x = ms.remainder(x * x, P)
  x = ms.remainder(x * 40692 + 3, P)
  x = ms.remainder(x * x, P)
  return x / P
end

local function product(shape)
  local n = 1
  for _, s in ipairs(shape) do n = n * s end
  return n
end

-- f32 tensor of a shape in [low, high), made in parts so that the f64 between stays small
function formula.tensor(seed, shape, low, high)
  local n = product(shape)
  local out = ms.zeros { n }
  for at = 0, n - 1, 1 << 20 do
    local scope <close> = ms.scope()
    local count = math.min(1 << 20, n - at)
    out[{ { at + 1, at + count } }]:copy_((formula.uniform(seed, count, at) * (high - low) + low):to "f32")
  end
  return out:reshape(shape)
end

-- labels 1..k
function formula.labels(seed, n, k) return (formula.uniform(seed, n) * k):floor():to "i64" + 1 end

-- roughly normal, f64, n x d: the sum of four uniform numbers
local function normal(seed, n)
  local sum = formula.uniform(seed, n)
  for k = 1, 3 do sum = sum + formula.uniform(seed + k, n) end
  return (sum - 2) * math.sqrt(3)
end

-- n samples of k gaussians in d dimensions, centres and noise of deviation 2, as f32; labels 1..k
function formula.mixture(seed, n, d, k)
  local y = formula.labels(seed, n, k)
  local centres = normal(seed + 10, k * d):reshape { k, d } * 2
  return (ms.index_select(centres, 1, y) + normal(seed + 20, n * d):reshape { n, d } * 2):to "f32", y
end

-- Overwrite the weights and biases of a net's linear and convolution layers: U(+-1/sqrt(fan_in)), the k-th layer from seeds 2k, 2k + 1.
function formula.weights(net, seed)
  local k = 0
  local guard <close> = ms.no_grad()
  for _, m in ipairs(net:modules()) do
    local own = {} -- its own parameters: those below have dots in their names
    for name, p in m:named_parameters() do own[name] = p end
    local w = own.weight
    if w and w:dim() >= 2 then
      local bound = 1 / math.sqrt(w:numel() / w:size(1))
      w:copy_(formula.tensor(seed + 2 * k, w.shape, -bound, bound))
      own.bias:copy_(formula.tensor(seed + 2 * k + 1, own.bias.shape, -bound, bound))
      k = k + 1
    end
  end
  assert(k > 0, "no linear or convolution layer was found, so nothing was set")
  return net
end

return formula
