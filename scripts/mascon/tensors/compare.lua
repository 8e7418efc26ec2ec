-- compare: are two tensors the same, up to rounding, and if not, where do they differ most?
local ms = require "mascon"
local options = require "mascon.options"
local compare = {}

local raise = options.raise
local DEFAULTS = { rtol = 1e-5, atol = 1e-8, equal_nan = false }

local function want(what, x, y)
  if not ms.is_tensor(x) then raise("%s: argument x: expected a tensor, got %s", what, type(x)) end
  if not ms.is_tensor(y) then raise("%s: argument y: expected a tensor, got %s", what, type(y)) end
end

-- Raises unless x and y broadcast to one shape.
local function want_broadcast(what, x, y)
  for i = 1, math.min(x:dim(), y:dim()) do
    local a, b = x:size(-i), y:size(-i)
    if a ~= b and a ~= 1 and b ~= 1 then
      raise("%s: the shapes %s and %s do not fit together", what, tostring(x.shape), tostring(y.shape))
    end
  end
end

local function inexact(t) return t.dtype:find "^b?f%d" ~= nil end

-- True where |x - y| <= atol + rtol |y|, both are the same (infinities), or, with equal_nan, both are NaN.
local function close(x, y, o)
  x, y = x:detach(), y:detach()
  if not (inexact(x) or inexact(y)) and o.rtol == 0 and o.atol == 0 then return x:eq(y) end
  local a, b = x:double(), y:double()
  local near = (a - b):abs():le(b:abs() * o.rtol + o.atol):logical_and(b:isfinite())
  local same = x:eq(y):logical_or(near)
  if o.equal_nan then same = same:logical_or(a:isnan():logical_and(b:isnan())) end
  return same
end

local function read(what, rtol, atol, equal_nan, ...)
  options.none(what, ...)
  if type(rtol) == "table" then
    options.none(what, atol, equal_nan)
    return options.read(what, rtol, DEFAULTS)
  end
  return options.read(what, { rtol = rtol, atol = atol, equal_nan = equal_nan }, DEFAULTS)
end

-- x:isclose(y, { rtol = 1e-5, atol = 1e-8, equal_nan = false }) -> true where |x - y| <= atol + rtol |y|; infinities are close to
-- themselves
function compare.isclose(x, y, ...)
  want("isclose", x, y)
  want_broadcast("isclose", x, y)
  return close(x, y, read("isclose", ...))
end

-- "element {2, 1}": where the k-th element (from 1, row by row) of a shape stands.
local function place(shape, k)
  local at = {}
  k = k - 1
  for d = #shape, 1, -1 do
    at[d] = k % shape[d] + 1
    k = k // shape[d]
  end
  return #at == 0 and "the one element" or "element {" .. table.concat(at, ", ") .. "}"
end

-- How x and y differ, in words: the element that is furthest beyond what is allowed, and how many are beyond it. nil: they do not.
local function difference(x, y, o)
  local same = close(x, y, o)
  if same:numel() == 0 or same:all():item() then return nil end
  local pair = ms.broadcast_tensors { x:detach(), y:detach() }
  local a, b = pair[1], pair[2]
  local wrong = same:logical_not()
  -- What is NaN, or infinite on one side only, is furthest off.
  local beyond = (a:double() - b:double()):abs() - b:double():abs() * o.rtol - o.atol
  beyond = ms.where(beyond:isfinite(), beyond, math.huge):masked_fill(same, -math.huge)
  local k = beyond:argmax():item()
  local function at(t) return t:flatten():select(1, k):item() end
  local p, q = at(a), at(b)
  local text = ("%s: %s and %s"):format(place(a.shape, k), tostring(p), tostring(q))
  if type(p) == "number" and type(q) == "number" then
    text = text .. (", %.6g apart, allowed are %.6g"):format(math.abs(p - q), o.atol + o.rtol * math.abs(q))
  end
  return ("%d of %d elements differ, most of all %s"):format(wrong:sum():item(), wrong:numel(), text)
end

-- x:allclose(y, { rtol = 1e-5, atol = 1e-8, equal_nan = false }) -> true, or false and how they differ, in words: `assert(x:allclose(y))`
-- says which element is worst. Like all that answers yes or no about values it waits for them.
function compare.allclose(x, y, ...)
  want("allclose", x, y)
  want_broadcast("allclose", x, y)
  local o = read("allclose", ...)
  local words = difference(x, y, o)
  if words then return false, "allclose: " .. words end
  return true
end

-- x:equal(y) -> true if both have the same shape and the same elements (NaN is like nothing)
function compare.equal(x, y, ...)
  options.none("equal", ...)
  want("equal", x, y)
  if x.shape ~= y.shape then return false end
  return x:numel() == 0 or x:detach():eq(y:detach()):all():item()
end

-- What PyTorch's testing.assert_close allows, by dtype: { rtol, atol }.
local ALLOWED = { f16 = { 1e-3, 1e-5 }, bf16 = { 1.6e-2, 1e-5 }, f32 = { 1.3e-6, 1e-5 }, f64 = { 1e-7, 1e-7 } }

-- ms.assert_close(actual, expected, { rtol =, atol =, equal_nan = false, check_dtype = true }) raises unless both have one shape and
-- dtype and close elements; the message says which element is worst. Tolerances are those of PyTorch's testing.assert_close unless both
-- are given.
function compare.assert_close(actual, expected, o, ...)
  options.none("assert_close", ...)
  want("assert_close", actual, expected)
  o = options.read("assert_close", o, { rtol = -1, atol = -1, equal_nan = false, check_dtype = true })
  if (o.rtol < 0) ~= (o.atol < 0) then raise("assert_close: rtol and atol come together") end
  if actual.shape ~= expected.shape then
    raise("assert_close: the shapes differ: %s and %s", tostring(actual.shape), tostring(expected.shape))
  end
  if o.check_dtype and actual.dtype ~= expected.dtype then
    raise("assert_close: the dtypes differ: %s and %s", actual.dtype, expected.dtype)
  end
  if o.rtol < 0 then
    local a, b = ALLOWED[actual.dtype] or { 0, 0 }, ALLOWED[expected.dtype] or { 0, 0 }
    o.rtol, o.atol = math.max(a[1], b[1]), math.max(a[2], b[2])
  end
  local words = difference(actual, expected, o)
  if words then raise("assert_close: %s", words) end
end

return compare
