-- lists: functions of tensors that give lists of tensors or take lists, composed of operations. They are in `ms`, and those whose first
-- argument is a tensor are methods, too (bindings/composed.c).
local ms = require "mascon"
local options = require "mascon.options"
local lists = {}

local raise = options.raise
local MOST = 1 << 20 -- pieces that are no mistake

-- ---- arguments ---------------------------------------------------------------------------------------------------------------------

local function is_tensor(v) return ms.is_tensor(v) end

local function want_tensor(what, x)
  if not is_tensor(x) then raise("%s: argument x: expected a tensor, got %s", what, type(x)) end
  return x
end

-- The dimension that is meant, from 1: a number, {dim = number}, or `otherwise`.
local function dimension(what, x, dim, otherwise)
  if type(dim) == "table" then dim = options.read(what, dim, { dim = otherwise or 1 }).dim end
  local d, rank = math.tointeger(dim == nil and (otherwise or 1) or dim), x:dim()
  if not d or d == 0 or d > rank or d < -rank then
    raise("%s: dimension %s is out of range for a tensor of rank %d", what, tostring(dim), rank)
  end
  return d < 0 and d + rank + 1 or d
end

local function whole(what, name, v, least, most)
  local n = math.tointeger(v)
  if type(v) ~= "number" or not n or n < least then
    raise("%s: %s: expected a whole number from %d on, got %s", what, name, least, tostring(v))
  end
  if most and n > most then raise("%s: %s: expected at most %d, got %d", what, name, most, n) end
  return n
end

-- A list of tensors: the one argument there is, or all of them.
local function tensors(what, first, ...)
  local alone = not is_tensor(first)
  if alone then options.none(what, ...) end
  local list = alone and first or { first, ... }
  local n = alone and (type(list) == "table" and #list or 0) or 1 + select("#", ...)
  if n == 0 then raise("%s: expected a list of tensors, got %s", what, type(first)) end
  for k = 1, n do
    if not is_tensor(list[k]) then raise("%s: tensor %d: expected a tensor, got %s", what, k, type(list[k])) end
  end
  return list
end

-- ---- pieces: views of x along a dimension --------------------------------------------------------------------------------------------

-- Views of these sizes, one after another.
local function pieces(x, d, sizes)
  local list, at = {}, 1
  for k, n in ipairs(sizes) do
    list[k] = x:narrow(d, n > 0 and at or 1, n)
    at = at + n
  end
  return list
end

-- x:split(size, dim=1) -> list of views of `size` elements along dim, the last one perhaps smaller; x:split({a, b, ...}, dim): of these
-- sizes, which must add up to all of it
function lists.split(x, size, dim, ...)
  options.none("split", ...)
  local d = dimension("split", want_tensor("split", x), dim)
  local n, sizes = x:size(d), {}
  if type(size) == "table" then
    local sum = 0
    for k, s in ipairs(size) do
      sizes[k] = whole("split", "size " .. k, s, 0)
      sum = sum + s
    end
    if sum ~= n then raise("split: sizes that add up to %d, dimension %d has %d", sum, d, n) end
  else
    size = whole("split", "size", size, n == 0 and 0 or 1)
    for at = 0, n - 1, math.max(size, 1) do sizes[#sizes + 1] = math.min(size, n - at) end
    if n == 0 then sizes[1] = 0 end
  end
  return pieces(x, d, sizes)
end

-- x:chunk(chunks, dim=1) -> list of at most so many views of equal size along dim, the last one perhaps smaller
function lists.chunk(x, chunks, dim, ...)
  options.none("chunk", ...)
  local d = dimension("chunk", want_tensor("chunk", x), dim)
  local n = x:size(d)
  chunks = whole("chunk", "chunks", chunks, 1, n == 0 and MOST or nil)
  if n == 0 then
    local sizes = {}
    for k = 1, chunks do sizes[k] = 0 end
    return pieces(x, d, sizes)
  end
  return lists.split(x, (n + chunks - 1) // chunks, d)
end

local function tensor_split(what, x, sections, dim)
  local d = dimension(what, want_tensor(what, x), dim)
  local n, sizes = x:size(d), {}
  if type(sections) ~= "table" then
    sections = whole(what, "sections", sections, 1, MOST)
    for k = 1, sections do sizes[k] = n // sections + (k <= n % sections and 1 or 0) end
    return pieces(x, d, sizes)
  end
  local list, from = {}, 0
  for k = 1, #sections + 1 do
    local to = k > #sections and n or math.tointeger(sections[k])
    if not to then raise("%s: cut %d: expected a whole number, got %s", what, k, tostring(sections[k])) end
    to = math.max(0, math.min(to < 0 and to + n or to, n))
    list[k] = x:narrow(d, to > from and from + 1 or 1, math.max(to - from, 0))
    from = to
  end
  return list
end

-- x:tensor_split(sections, dim=1) -> list of so many views along dim, the first ones larger by 1 where that does not come out even;
-- x:tensor_split({a, b, ...}, dim): cut after the first a elements, after the first b, ... (the numbers PyTorch takes)
function lists.tensor_split(x, sections, dim, ...)
  options.none("tensor_split", ...)
  return tensor_split("tensor_split", x, sections, dim)
end

local function even_split(what, least, dim_of)
  return function(x, sections, ...)
    options.none(what, ...)
    if want_tensor(what, x):dim() < least then
      raise("%s: expected %d dimensions or more, got %s", what, least, tostring(x.shape))
    end
    local d = dim_of(x)
    if type(sections) == "number" and sections > 0 and x:size(d) % sections ~= 0 then
      raise("%s: dimension %d of size %d does not divide into %d equal parts", what, d, x:size(d), sections)
    end
    return tensor_split(what, x, sections, d)
  end
end
-- x:hsplit(sections) -> list of views side by side: tensor_split along dimension 2 (of vectors: 1); a number must divide it evenly
lists.hsplit = even_split("hsplit", 1, function(x) return x:dim() == 1 and 1 or 2 end)
-- x:vsplit(sections) -> list of views one below the other: tensor_split along dimension 1; a number must divide it evenly
lists.vsplit = even_split("vsplit", 2, function() return 1 end)
-- x:dsplit(sections) -> list of views: tensor_split along dimension 3; a number must divide it evenly
lists.dsplit = even_split("dsplit", 3, function() return 3 end)

-- x:unbind(dim=1) -> list of x[1], x[2], ... along dim: views without that dimension
function lists.unbind(x, dim, ...)
  options.none("unbind", ...)
  local d = dimension("unbind", want_tensor("unbind", x), dim)
  local list = {}
  for k = 1, x:size(d) do list[k] = x:select(d, k) end
  return list
end

-- ---- grids and combinations ----------------------------------------------------------------------------------------------------------

-- ms.broadcast_tensors { x, y, ... } -> list of views of one shape, to which they all broadcast
function lists.broadcast_tensors(...)
  local list = tensors("broadcast_tensors", ...)
  local shape = {}
  for k, t in ipairs(list) do
    for i = 1, t:dim() do -- i counts from the last dimension
      local n, had = t:size(-i), shape[i]
      if had and had ~= 1 and n ~= 1 and had ~= n then
        raise("broadcast_tensors: tensor %d is %s, which does not fit to the ones before it (%d against %d)", k, tostring(t.shape), n, had)
      end
      shape[i] = (not had or had == 1) and n or had
    end
  end
  local sizes, out = {}, {}
  for i = #shape, 1, -1 do sizes[#sizes + 1] = shape[i] end
  for k, t in ipairs(list) do out[k] = t:expand(sizes) end
  return out
end

-- ms.meshgrid({ x, y, ... }, { indexing = "ij" }) -> list of views, one for each vector, of a grid with a dimension for each; indexing =
-- "xy": the first two dimensions swapped
function lists.meshgrid(...)
  local vectors, given = {}, {}
  local function take(v)
    if is_tensor(v) then
      vectors[#vectors + 1] = v
    elseif type(v) == "table" then
      for k, w in pairs(v) do
        if type(k) == "string" then given[k] = w end
      end
      for _, w in ipairs(v) do take(w) end
    else
      raise("meshgrid: expected a list of vectors, got %s", type(v))
    end
  end
  for k = 1, select("#", ...) do take((select(k, ...))) end
  tensors("meshgrid", vectors)
  local o = options.read("meshgrid", given, { indexing = "ij" })
  if o.indexing ~= "ij" and o.indexing ~= "xy" then raise("meshgrid: option indexing: expected 'ij' or 'xy', got '%s'", o.indexing) end
  local sizes, out, swap = {}, {}, o.indexing == "xy" and #vectors > 1
  for k, t in ipairs(vectors) do
    if t:dim() > 1 then raise("meshgrid: tensor %d is %s, expected one dimension at most", k, tostring(t.shape)) end
    if t.dtype ~= vectors[1].dtype then raise("meshgrid: tensor %d is %s, the first %s", k, t.dtype, vectors[1].dtype) end
    sizes[k] = t:numel()
  end
  for k, t in ipairs(vectors) do
    local ones = {}
    for i = 1, #vectors do ones[i] = 1 end
    ones[k] = sizes[k]
    out[k] = t:reshape(ones):expand(sizes)
    if swap then out[k] = out[k]:transpose(1, 2) end
  end
  return out
end

-- ms.cartesian_prod { x, y, ... } -> a row for each way to take one element of each vector
function lists.cartesian_prod(...)
  local list = tensors("cartesian_prod", ...)
  for k, t in ipairs(list) do
    if t:dim() ~= 1 then raise("cartesian_prod: tensor %d is %s, expected one dimension", k, tostring(t.shape)) end
  end
  if #list == 1 then return list[1] end
  local flat = {}
  for k, t in ipairs(lists.meshgrid(list)) do flat[k] = t:flatten() end
  return ms.stack(flat, 2)
end

-- ms.combinations(x, r=2, { with_replacement = false }) -> a row for each choice of r elements of a vector, in their order
function lists.combinations(x, r, o, ...)
  options.none("combinations", ...)
  if type(r) == "table" then r, o = nil, r end
  o = options.read("combinations", o, { with_replacement = false, r = 2 })
  r = whole("combinations", "r", r == nil and o.r or r, 0)
  if want_tensor("combinations", x):dim() ~= 1 then raise("combinations: expected one dimension, got %s", tostring(x.shape)) end
  local n, rows, at, count = #x, {}, {}, 1
  for k = 1, math.min(r, n) do count = count * ((o.with_replacement and n + r or n + 1) - k) / k end
  if count * r > 1e8 or (o.with_replacement and r > 100) then raise("combinations: %d of %d elements are too many", r, n) end
  if r > n and not o.with_replacement then r = 0 end
  local function choose(k, from)
    if k > r then
      rows[#rows + 1] = table.move(at, 1, r, 1, {})
      return
    end
    for i = from, n do
      at[k] = i
      choose(k + 1, o.with_replacement and i or i + 1)
    end
  end
  if r > 0 then choose(1, 1) end
  if #rows == 0 then return x:slice(1, 1, 0) end
  local index = ms.tensor(rows, { dtype = "i64", device = x.device })
  return x:index_select(1, index:flatten()):reshape { #rows, r }
end

-- ---- tensors like others -------------------------------------------------------------------------------------------------------------

-- Options of a maker: dtype and device as x has them where nothing is said.
local function like(what, x, o)
  want_tensor(what, x)
  if o ~= nil and type(o) ~= "table" then raise("%s: expected a table of options, got %s", what, type(o)) end
  local all = { dtype = x.dtype, device = x.device }
  for k, v in pairs(o or {}) do all[k] = v end
  return all
end

-- x:full_like(value, options) -> a tensor of x's shape, dtype and device filled with a value
function lists.full_like(x, value, o, ...)
  options.none("full_like", ...)
  return ms.full(want_tensor("full_like", x).shape, value, like("full_like", x, o))
end
-- x:empty_like(options) -> zeros of x's shape, dtype and device (memory is not handed out unwritten)
function lists.empty_like(x, o, ...)
  options.none("empty_like", ...)
  return ms.zeros(want_tensor("empty_like", x).shape, like("empty_like", x, o))
end
-- x:rand_like(options) -> uniform random numbers in [0, 1) of x's shape, dtype and device; { low =, high = }
function lists.rand_like(x, o, ...)
  options.none("rand_like", ...)
  return ms.rand(want_tensor("rand_like", x).shape, like("rand_like", x, o))
end
-- x:randn_like(options) -> normal random numbers of x's shape, dtype and device; { mean =, std = }
function lists.randn_like(x, o, ...)
  options.none("randn_like", ...)
  return ms.randn(want_tensor("randn_like", x).shape, like("randn_like", x, o))
end

-- x:randint_like(low, high, options) -> random integers low..high, both included, of x's shape, dtype and device
function lists.randint_like(x, low, high, o, ...)
  options.none("randint_like", ...)
  o = like("randint_like", x, o)
  if o.dtype:find "^b?f%d" then -- whole numbers of a floating dtype
    local dtype = o.dtype
    o.dtype = "i64"
    return ms.randint(low, high, x.shape, o):to(dtype)
  end
  return ms.randint(low, high, x.shape, o)
end

-- ms.empty(shape, options) -> zeros (memory is not handed out unwritten)
function lists.empty(...) return ms.zeros(...) end

-- ms.logspace(start, stop, count, base=10, options) -> count values base^start .. base^stop, whose logarithms are evenly spaced
function lists.logspace(start, stop, count, base, o, ...)
  options.none("logspace", ...)
  if type(base) == "table" then base, o = nil, base end
  local given = {}
  for k, v in pairs(o or {}) do given[k] = v end
  base, given.base = base or given.base or 10, nil
  local dtype = given.dtype or "f32"
  given.dtype = "f64"
  return ms.pow(base, ms.linspace(start, stop, count, given)):to(dtype)
end

-- x:type_as(other) -> x in the dtype, and on the device, of other
function lists.type_as(x, other, ...)
  options.none("type_as", ...)
  want_tensor("type_as", x)
  if not is_tensor(other) then raise("type_as: argument other: expected a tensor, got %s", type(other)) end
  return x:to { dtype = other.dtype, device = other.device }
end

return lists
