-- nn.init: initial values (PyTorch's): in place, without gradients.
local ms = require "mascon"
local arguments = require "mascon.arguments"
local options = require "mascon.options"
local names = require "mascon.names"
local states = require "mascon.state"
local text = require "mascon.text"
local init = {}

-- init.name(t, arguments...), by position or by name; gives t.
local function filler(name, takes, f)
  local list = arguments.list("nn.init." .. name, #takes, table.unpack(takes))
  init[name] = function(t, ...)
    if not states.is_tensor(t) or not states.is_float(t) then
      options.raise("nn.init.%s: expected a floating tensor, got %s", name, states.is_tensor(t) and states.sizes(t) or type(t))
    end
    local o = list:read(...)
    local guard <close> = ms.no_grad()
    f(t, o)
    return t
  end
end

local function like(t, dtype) return { dtype = dtype or t.dtype, device = t.device } end
local function drawn(t, make, a, b) return t:copy_(make(t.shape, a, b, like(t))) end

-- Sizes of t as a matrix, its first dimension against the others.
local function rows_and_columns(name, t)
  if t:dim() < 2 then options.raise("nn.init.%s: a tensor of two dimensions or more is needed, got %s", name, states.sizes(t)) end
  local rows = t:size(1)
  return rows, rows > 0 and t:numel() // rows or 0
end

-- fan_in, fan_out of a weight out x in x window...
local function fans(t)
  local s, window = t.shape, 1
  if #s < 2 then options.raise("nn.init: a weight of two dimensions or more is needed, got %s", states.sizes(t)) end
  for i = 3, #s do window = window * s[i] end
  return s[2] * window, s[1] * window
end

local kinds = arguments.kinds
local number, positive = kinds.number, kinds.positive
filler("uniform_", { { "low", number, 0 }, { "high", number, 1 } }, function(t, o) drawn(t, ms.rand, o.low, o.high) end)
filler("normal_", { { "mean", number, 0 }, { "std", positive, 1 } }, function(t, o) drawn(t, ms.randn, o.mean, o.std) end)
filler("constant_", { { "value", number } }, function(t, o) t:fill_(o.value) end)
filler("zeros_", {}, function(t) t:fill_(0) end)
filler("ones_", {}, function(t) t:fill_(1) end)

-- ---- by the number of inputs and outputs --------------------------------------------------------------------------------------------

local GAINS = { linear = 1, identity = 1, conv1d = 1, conv2d = 1, conv3d = 1, conv_transpose1d = 1, conv_transpose2d = 1,
  conv_transpose3d = 1, sigmoid = 1, tanh = 5 / 3, relu = math.sqrt(2), selu = 3 / 4 }
local function gain_of(what, nonlinearity, param)
  if nonlinearity == "leaky_relu" then return math.sqrt(2 / (1 + (param or 0.01) ^ 2)) end
  local gain = type(nonlinearity) == "string" and GAINS[nonlinearity]
  if not gain then
    local known = text.keys(GAINS)
    known[#known + 1] = "leaky_relu"
    options.raise("%s: nonlinearity: expected one of %s, got %s", what, table.concat(known, ", "), states.word(nonlinearity))
  end
  return gain
end

-- nn.init.calculate_gain(nonlinearity [, param]) -> the factor that keeps the variance behind it: sqrt(2) for "relu", 5/3 for "tanh", ...
-- param: the slope of "leaky_relu" (0.01)
function init.calculate_gain(nonlinearity, param, ...)
  options.none("nn.init.calculate_gain", ...)
  if param ~= nil and not number(param) then
    options.raise("nn.init.calculate_gain: param: expected a finite number, got %s", states.word(param))
  end
  return gain_of("nn.init.calculate_gain", nonlinearity, param)
end

-- nn.init.kaiming_uniform_(t [, a = 0 [, mode = "fan_in" [, nonlinearity = "leaky_relu"]]]); kaiming_normal_ likewise (He et al. 2015).
-- a: slope of the leaky ReLU that follows; mode "fan_out" keeps the variance of gradients.
local kaiming = { { "a", number, 0 }, { "mode", kinds.one_of("fan_in", "fan_out"), "fan_in" },
  { "nonlinearity", function(v) return type(v) == "string" and v or nil, "a text" end, "leaky_relu" } }
local function kaiming_std(name, t, o)
  local i, out = fans(t)
  return gain_of("nn.init." .. name, o.nonlinearity, o.a) / math.sqrt(o.mode == "fan_in" and i or out)
end
filler("kaiming_uniform_", kaiming, function(t, o)
  local bound = math.sqrt(3) * kaiming_std("kaiming_uniform_", t, o)
  if t:numel() > 0 then drawn(t, ms.rand, -bound, bound) end
end)
filler("kaiming_normal_", kaiming, function(t, o)
  local std = kaiming_std("kaiming_normal_", t, o)
  if t:numel() > 0 then drawn(t, ms.randn, 0, std) end
end)

-- nn.init.xavier_uniform_(t [, gain = 1]); xavier_normal_ likewise (Glorot and Bengio 2010)
local xavier = { { "gain", number, 1 } }
local function xavier_std(t, o)
  local i, out = fans(t)
  return o.gain * math.sqrt(2 / (i + out))
end
filler("xavier_uniform_", xavier, function(t, o)
  local bound = math.sqrt(3) * math.abs(xavier_std(t, o))
  if t:numel() > 0 then drawn(t, ms.rand, -bound, bound) end
end)
filler("xavier_normal_", xavier, function(t, o)
  local std = math.abs(xavier_std(t, o))
  if t:numel() > 0 then drawn(t, ms.randn, 0, std) end
end)

-- ---- the normal distribution between bounds ---------------------------------------------------------------------------------------------

-- The inverse of erf for an f64 tensor of values within (-1, 1): a start that is good to 0.2 % (Winitzki), then Newton's method.
local function erfinv(y)
  local l = (1 - y * y):log()
  local h = l * 0.5 + 2 / (math.pi * 0.147)
  local x = y:sign() * ((h * h - l / 0.147):sqrt() - h):sqrt()
  for _ = 1, 4 do x = x - (x:erf() - y) * ((x * x):exp() * (math.sqrt(math.pi) / 2)) end
  return x
end

-- nn.init.trunc_normal_(t [, mean = 0 [, std = 1 [, a = -2 [, b = 2]]]]): the normal distribution, drawn again where it falls outside a..b;
-- by the inverse of its distribution function, and exactly within the bounds
filler("trunc_normal_", { { "mean", number, 0 }, { "std", positive, 1 }, { "a", number, -2 }, { "b", number, 2 } }, function(t, o)
  if o.a > o.b then options.raise("nn.init.trunc_normal_: a = %g is above b = %g", o.a, o.b) end
  if o.std == 0 then
    t:fill_(o.mean):clamp_(o.a, o.b)
    return
  end
  local bounds = (ms.tensor({ o.a, o.b }, { dtype = "f64" }) - o.mean) / (o.std * math.sqrt(2))
  local low, high = table.unpack(bounds:erf():totable())
  local most = 1 - 2 ^ -53
  local y = ms.rand(t.shape, low, high, like(t, "f64")):clamp(-most, most)
  t:copy_((erfinv(y) * (o.std * math.sqrt(2)) + o.mean):clamp(o.a, o.b)):clamp_(o.a, o.b)
end)

-- ---- matrices ---------------------------------------------------------------------------------------------------------------------------

-- Householder's reflections I - 2 v v' that make the columns of a matrix (rows x a few) 0 below the diagonal, in place: their v
-- as columns of a matrix, and the signs of R's diagonal.
local function reflections(a, signs)
  local m, n = a:size(1), a:size(2)
  local all = ms.zeros({ m, n }, like(a))
  for k = 1, n do
    local column = all:slice(1, k, m - k + 1):slice(2, k, 1)
    column:copy_(a:slice(1, k, m - k + 1):slice(2, k, 1))
    local head, length = column[1]:item(), column:norm():item()
    local sign = head >= 0 and -1 or 1
    signs[#signs + 1] = sign
    column[1] = head - sign * length
    local size = column:norm():item()
    if size > 0 then column:div_(size) end
    local rest = a:slice(1, k, m - k + 1):slice(2, k, n - k + 1)
    rest:sub_(ms.matmul(column, ms.matmul(column, rest, { ta = true })) * 2)
  end
  return all
end

-- T with I - V T V' the product of the reflections I - 2 v v' for the columns v of V, from left to right (Schreiber and Van Loan 1989).
local function joined(v)
  local n, products = v:size(2), ms.matmul(v, v, { ta = true })
  local t = ms.zeros({ n, n }, like(v))
  for j = 1, n do
    t[{ j, j }] = 2
    if j > 1 then
      local above = products:slice(1, 1, j - 1):slice(2, j, 1)
      t:slice(1, 1, j - 1):slice(2, j, 1):copy_(ms.matmul(t:slice(1, 1, j - 1):slice(2, 1, j - 1), above) * -2)
    end
  end
  return t
end

-- The Q of a = QR with R's diagonal positive, for an f64 matrix of at least as many rows as columns, which is lost: WIDE columns at a time.
local WIDE = 32
local function orthonormal_columns(a)
  local m, n = a:size(1), a:size(2)
  local panels, signs = {}, {}
  for k = 1, n, WIDE do
    local w, below = math.min(WIDE, n - k + 1), a:slice(1, k, m - k + 1)
    local v = reflections(below:slice(2, k, w), signs)
    local t = joined(v)
    panels[#panels + 1] = { k, v, t }
    if k + w <= n then
      local rest = below:slice(2, k + w, n - k - w + 1)
      rest:sub_(ms.matmul(v, ms.matmul(t, ms.matmul(v, rest, { ta = true }), { ta = true })))
    end
  end
  local q = ms.zeros({ m, n }, like(a))
  q:diagonal():copy_(ms.tensor(signs, like(a)))
  for i = #panels, 1, -1 do
    local k, v, t = table.unpack(panels[i])
    local part = q:slice(1, k, m - k + 1):slice(2, k, n - k + 1)
    part:sub_(ms.matmul(v, ms.matmul(t, ms.matmul(v, part, { ta = true }))))
  end
  return q
end

-- nn.init.orthogonal_(t [, gain = 1]): rows (or columns, if there are more rows than columns: the first dimension against the others)
-- orthonormal, all such matrices equally likely, times gain (Saxe et al. 2013)
filler("orthogonal_", { { "gain", number, 1 } }, function(t, o)
  local rows, columns = rows_and_columns("orthogonal_", t)
  if t:numel() == 0 then return end
  local long, short = math.max(rows, columns), math.min(rows, columns)
  local q = orthonormal_columns(ms.randn({ long, short }, 0, 1, like(t, "f64"))) * o.gain
  t:copy_((rows < columns and q:transpose() or q):reshape(t.shape))
end)

-- nn.init.eye_(t): 1 on the diagonal of a matrix, 0 elsewhere
filler("eye_", {}, function(t)
  if t:dim() ~= 2 then options.raise("nn.init.eye_: expected two dimensions, got %s", states.sizes(t)) end
  t:fill_(0):diagonal():fill_(1)
end)

-- nn.init.dirac_(t [, groups = 1]): a weight of a convolution (3 to 5 dimensions) that gives back its input: 1 in the middle of each window
-- from a channel to the same one, in each group
filler("dirac_", { { "groups", kinds.count, 1 } }, function(t, o)
  local rank = t:dim()
  if rank < 3 or rank > 5 then options.raise("nn.init.dirac_: expected 3, 4 or 5 dimensions, got %s", states.sizes(t)) end
  if t:size(1) % o.groups ~= 0 then
    options.raise("nn.init.dirac_: groups %d does not divide the %d channels out", o.groups, t:size(1))
  end
  local out = t:size(1) // o.groups
  t:fill_(0)
  local middle = t
  for d = rank, 3, -1 do middle = middle:select(d, t:size(d) // 2 + 1) end
  for g = 0, o.groups - 1 do middle:slice(1, g * out + 1, out):diagonal():fill_(1) end
end)

-- nn.init.sparse_(t, sparsity [, std = 0.01]): a matrix from N(0, std), of each column of which the share `sparsity` is 0 (Martens 2010)
filler("sparse_", { { "sparsity", kinds.number }, { "std", positive, 0.01 } }, function(t, o)
  if t:dim() ~= 2 then options.raise("nn.init.sparse_: expected two dimensions, got %s", states.sizes(t)) end
  if o.sparsity < 0 or o.sparsity > 1 then options.raise("nn.init.sparse_: sparsity: expected 0..1, got %g", o.sparsity) end
  local rows, columns = t:size(1), t:size(2)
  local zeros = math.ceil(o.sparsity * rows)
  drawn(t, ms.randn, 0, o.std)
  if zeros == 0 then return end
  for j = 1, columns do
    local column = t:select(2, j)
    column:copy_(ms.where(ms.randperm(rows):gt(zeros):to(t.device), column, 0))
  end
end)

return names.guard(init, "ms.nn.init")
