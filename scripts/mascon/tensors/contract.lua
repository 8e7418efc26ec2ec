-- contract: sums of products over dimensions that are named: einsum, tensordot, chains of matrices. All are permuted and reshaped views
-- around matmul where two dimensions or more meet, and products element by element otherwise.
local ms = require "mascon"
local options = require "mascon.options"
local contract = {}

local raise = options.raise

local function product(sizes)
  local n = 1
  for _, s in ipairs(sizes) do n = n * s end
  return n
end

local function find(list, v)
  for k, w in ipairs(list) do
    if w == v then return k end
  end
end

-- ---- einsum: the equation ------------------------------------------------------------------------------------------------------------
-- A label is a letter, or a dimension of the ellipsis: ".1" the last one, ".2" the one before it, ...

-- "ab...c" -> labels, with "..." as one of them.
local function parse(part, equation)
  local labels, at = {}, 1
  while at <= #part do
    local c = part:sub(at, at)
    if part:sub(at, at + 2) == "..." then
      c = "..."
      if find(labels, c) then raise("einsum: '%s' has two ellipses in '%s'", equation, part) end
    elseif not c:find "%a" then
      raise("einsum: '%s' has a '%s', expected letters, commas, '...' and '->'", equation, c)
    end
    labels[#labels + 1] = c
    at = at + #c
  end
  return labels
end

-- Labels of an operand's dimensions. most: the dimensions that ellipses have had so far; gives it, too.
local function label(labels, x, k, most)
  local at = find(labels, "...")
  local extra = x:dim() - (#labels - (at and 1 or 0))
  if extra < 0 or (extra > 0 and not at) then
    raise("einsum: operand %d is %s, its part of the equation names %d dimensions%s", k, tostring(x.shape), #labels - (at and 1 or 0),
      at and " beside the ellipsis" or "")
  end
  local out = {}
  for i, l in ipairs(labels) do
    if i ~= at then
      out[#out + 1] = l
    else
      for e = extra, 1, -1 do out[#out + 1] = "." .. e end
    end
  end
  return out, math.max(most, at and extra or 0)
end

local function split(text)
  local parts = {}
  for part in (text .. ","):gmatch "([^,]*)," do parts[#parts + 1] = part end
  return parts
end

-- The labels of the result: those behind "->"; or the ellipsis, and the letters that stand once, in order.
local function result_labels(right, of, most, equation)
  local count, letters, out = {}, {}, {}
  for _, labels in ipairs(of) do
    for _, l in ipairs(labels) do count[l] = (count[l] or 0) + 1 end
  end
  for e = most, 1, -1 do out[#out + 1] = "." .. e end
  if not right then
    for l, n in pairs(count) do
      if n == 1 and l:find "%a" then letters[#letters + 1] = l end
    end
    table.sort(letters)
    return table.move(letters, 1, #letters, #out + 1, out)
  end
  local ellipsis
  ellipsis, out = out, {}
  for _, l in ipairs(parse(right, equation)) do
    if l == "..." then
      table.move(ellipsis, 1, #ellipsis, #out + 1, out)
    else
      if not count[l] then raise("einsum: '%s': the result names '%s', which no operand has", equation, l) end
      if find(out, l) then raise("einsum: '%s': the result names '%s' twice", equation, l) end
      out[#out + 1] = l
    end
  end
  return out
end

-- ---- einsum: the arithmetic ----------------------------------------------------------------------------------------------------------
-- An operand is { x = tensor, of = labels of its dimensions }.

-- A label that stands twice is the diagonal of its two dimensions.
local function without_repeats(x, labels, k)
  labels = { table.unpack(labels) }
  local i = 1
  while i <= #labels do
    local j
    for n = i + 1, #labels do
      if labels[n] == labels[i] then j = n end
    end
    if j then
      if x:size(i) ~= x:size(j) then
        raise("einsum: operand %d is %s, whose dimensions %d and %d have one letter: expected one size", k, tostring(x.shape), i, j)
      end
      local l = labels[i]
      x = x:diagonal(0, i, j)
      table.remove(labels, j)
      table.remove(labels, i)
      labels[#labels + 1] = l
    else
      i = i + 1
    end
  end
  return { x = x, of = labels }
end

local function sum_out(a, gone)
  local dims, of = {}, {}
  for d, l in ipairs(a.of) do
    if gone(l) then dims[#dims + 1] = d else of[#of + 1] = l end
  end
  if #dims == 0 then return a end
  return { x = a.x:sum(dims), of = of }
end

-- Its dimensions in the order of these lists of labels, each list as one dimension; those of `apart` stay by themselves.
local function arranged(a, apart, ...)
  local order, sizes = {}, {}
  for _, l in ipairs(apart) do
    order[#order + 1] = find(a.of, l)
    sizes[#sizes + 1] = a.x:size(order[#order])
  end
  for _, list in ipairs { ... } do
    local these = {}
    for k, l in ipairs(list) do
      order[#order + 1] = find(a.of, l)
      these[k] = a.x:size(order[#order])
    end
    sizes[#sizes + 1] = product(these)
  end
  return a.x:permute(order):reshape(sizes)
end

local function sizes_of(a, labels)
  local sizes = {}
  for k, l in ipairs(labels) do sizes[k] = a.x:size(find(a.of, l)) end
  return sizes
end

-- Its dimensions in the order of labels, with size 1 for those that it has not.
local function spread(a, labels)
  local order, sizes = {}, {}
  for k, l in ipairs(labels) do
    local d = find(a.of, l)
    order[#order + 1] = d
    sizes[k] = d and a.x:size(d) or 1
  end
  return a.x:permute(order):reshape(sizes)
end

local function join(...)
  local out = {}
  for _, list in ipairs { ... } do table.move(list, 1, #list, #out + 1, out) end
  return out
end

-- Operands a and b as one. needed(l): later operands or the result have the label.
local function pair(a, b, needed)
  for _, side in ipairs { { a, b }, { b, a } } do -- a dimension of size 1 beside a longer one is none
    local one, other = side[1], side[2]
    for d = #one.of, 1, -1 do
      local at = find(other.of, one.of[d])
      if at and one.x:size(d) == 1 and other.x:size(at) ~= 1 then
        one.x = one.x:squeeze(d)
        table.remove(one.of, d)
      end
    end
  end
  a = sum_out(a, function(l) return not needed(l) and not find(b.of, l) end)
  b = sum_out(b, function(l) return not needed(l) and not find(a.of, l) end)
  local both, met, rows, cols = {}, {}, {}, {}
  for _, l in ipairs(a.of) do
    local to = not find(b.of, l) and rows or needed(l) and both or met
    to[#to + 1] = l
  end
  for _, l in ipairs(b.of) do
    if not find(a.of, l) then cols[#cols + 1] = l end
  end
  if #met == 0 or (#rows == 0 and #cols == 0 and #both > 0) then
    local of = join(both, rows, cols, met)
    return sum_out({ x = spread(a, of) * spread(b, of), of = of }, function(l) return find(met, l) end)
  end
  local r = ms.matmul(arranged(a, both, rows, met), arranged(b, both, met, cols))
  return { x = r:reshape(join(sizes_of(a, both), sizes_of(a, rows), sizes_of(b, cols))), of = join(both, rows, cols) }
end

-- ms.einsum("ij,jk->ik", x, y, ...) -> the sum of products that the equation says (Einstein's convention): a letter for each dimension of
-- each operand; letters that the part behind "->" lacks are summed over. Without "->": the letters that stand once, in alphabetical
-- order. A letter twice in one operand is its diagonal; "..." stands for dimensions that broadcast. Operands are joined from left to
-- right.
function contract.einsum(equation, ...)
  if type(equation) ~= "string" then
    raise("einsum: expected an equation such as 'ij,jk->ik', got %s", require("mascon.options").told(equation))
  end
  local xs = { ... }
  if #xs == 1 and type(xs[1]) == "table" then xs = xs[1] end
  local plain = equation:gsub("%s+", "")
  local left, right = plain:match "^(.-)%->(.*)$"
  local parts = split(left or plain)
  if #parts ~= #xs then raise("einsum: '%s' has %d operands, got %d", equation, #parts, #xs) end
  local of, most, sizes = {}, 0, {}
  for k, part in ipairs(parts) do
    if not ms.is_tensor(xs[k]) then raise("einsum: operand %d: expected a tensor, got %s", k, type(xs[k])) end
    of[k], most = label(parse(part, equation), xs[k], k, most)
    for d, l in ipairs(of[k]) do
      local n, had = xs[k]:size(d), sizes[l]
      if had and had ~= n and had ~= 1 and n ~= 1 then
        raise("einsum: '%s': dimension %d of operand %d has %d elements, where '%s' has %d", equation, d, k, n,
          l:sub(1, 1) == "." and "..." or l, had)
      end
      sizes[l] = (not had or had == 1) and n or had
    end
  end
  local result = result_labels(right, of, most, equation)
  local total
  for k, x in ipairs(xs) do
    local function needed(l)
      if find(result, l) then return true end
      for later = k + 1, #xs do
        if find(of[later], l) then return true end
      end
    end
    local a = without_repeats(x, of[k], k)
    total = total and pair(total, a, needed) or sum_out(a, function(l) return not needed(l) end)
  end
  local order = {}
  for k, l in ipairs(result) do order[k] = find(total.of, l) end
  return total.x:permute(order)
end

-- ---- tensordot -----------------------------------------------------------------------------------------------------------------------

-- ms.tensordot(a, b, dims=2) -> the sum of products over the last dims dimensions of a and the first dims of b; dims = { {...}, {...} }:
-- over these dimensions of a and of b, in pairs
function contract.tensordot(a, b, dims, ...)
  options.none("tensordot", ...)
  for k = 1, 2 do
    local t = select(k, a, b)
    if not ms.is_tensor(t) then raise("tensordot: argument %s: expected a tensor, got %s", k == 1 and "a" or "b", type(t)) end
  end
  if type(dims) == "table" and dims.dims ~= nil then dims = options.read("tensordot", dims, { dims = options.any }).dims end
  dims = dims == nil and 2 or dims
  local of_a, of_b = {}, {}
  if type(dims) == "table" and type(dims[1]) == "table" and type(dims[2]) == "table" then
    of_a, of_b = dims[1], dims[2]
  else
    local n = math.tointeger(dims)
    if not n or n < 0 or n > a:dim() or n > b:dim() then
      raise("tensordot: dims: expected 0..%d or two lists of dimensions, got %s", math.min(a:dim(), b:dim()), tostring(dims))
    end
    for k = 1, n do of_a[k], of_b[k] = a:dim() - n + k, k end
  end
  if #of_a ~= #of_b then raise("tensordot: %d dimensions of a, %d of b: expected as many", #of_a, #of_b) end
  -- The free dimensions and those that are summed over, in order.
  local function sides(what, t, list)
    local met, free = {}, {}
    for k, d in ipairs(list) do
      d = math.tointeger(d) or 0
      d = d < 0 and d + t:dim() + 1 or d
      if d < 1 or d > t:dim() then raise("tensordot: dimension %s of %s, which has rank %d", tostring(list[k]), what, t:dim()) end
      if find(met, d) then raise("tensordot: dimension %d of %s is named twice", d, what) end
      met[k] = d
    end
    for d = 1, t:dim() do
      if not find(met, d) then free[#free + 1] = d end
    end
    return free, met
  end
  local free_a, met_a = sides("a", a, of_a)
  local free_b, met_b = sides("b", b, of_b)
  local function sizes(t, list)
    local out = {}
    for k, d in ipairs(list) do out[k] = t:size(d) end
    return out
  end
  for k, d in ipairs(met_a) do
    if a:size(d) ~= b:size(met_b[k]) then
      raise("tensordot: dimension %d of a has %d elements, dimension %d of b %d", d, a:size(d), met_b[k], b:size(met_b[k]))
    end
  end
  local n = product(sizes(a, met_a))
  local left = a:permute(join(free_a, met_a)):reshape { product(sizes(a, free_a)), n }
  local right = b:permute(join(met_b, free_b)):reshape { n, product(sizes(b, free_b)) }
  return ms.matmul(left, right):reshape(join(sizes(a, free_a), sizes(b, free_b)))
end

-- ---- chains --------------------------------------------------------------------------------------------------------------------------

-- ms.chain_matmul { a, b, c, ... } -> the product of these matrices, in the order that takes the fewest multiplications. The first one
-- may be a vector (a row), and the last one (a column), as in PyTorch's linalg.multi_dot.
function contract.chain_matmul(first, ...)
  local list = ms.is_tensor(first) and table.pack(first, ...) or first
  if list == first then options.none("chain_matmul", ...) end
  if type(list) ~= "table" or #list == 0 then raise("chain_matmul: expected a list of matrices, got %s", type(first)) end
  local n, size, xs = list.n or #list, {}, {}
  for k = 1, n do
    local x = list[k]
    if not ms.is_tensor(x) then raise("chain_matmul: matrix %d: expected a tensor, got %s", k, type(x)) end
    local vector = x:dim() == 1 and n > 1 and (k == 1 or k == n)
    if x:dim() ~= 2 and not vector then raise("chain_matmul: matrix %d is %s, expected two dimensions", k, tostring(x.shape)) end
    xs[k] = not vector and x or x:unsqueeze(k == 1 and 1 or 2)
    if k > 1 and size[k] ~= xs[k]:size(1) then
      raise("chain_matmul: matrix %d has %d columns, matrix %d has %d rows", k - 1, size[k], k, xs[k]:size(1))
    end
    size[k], size[k + 1] = xs[k]:size(1), xs[k]:size(2)
  end
  -- cost[i][j], cut[i][j]: of the product of i..j, and behind which matrix it is cut (Cormen and others, Introduction to Algorithms, 15.2).
  local cost, cut = {}, {}
  for i = n, 1, -1 do
    cost[i], cut[i] = { [i] = 0 }, {}
    for j = i + 1, n do
      cost[i][j] = math.huge
      for k = i, j - 1 do
        local c = cost[i][k] + cost[k + 1][j] + size[i] * size[k + 1] * size[j + 1]
        if c < cost[i][j] then cost[i][j], cut[i][j] = c, k end
      end
    end
  end
  local function multiply(i, j)
    if i == j then return xs[i] end
    return ms.matmul(multiply(i, cut[i][j]), multiply(cut[i][j] + 1, j))
  end
  local r, gone = multiply(1, n), {}
  if list[1]:dim() == 1 then gone[1] = 1 end
  if n > 1 and list[n]:dim() == 1 then gone[#gone + 1] = 2 end
  return #gone > 0 and r:squeeze(gone) or r
end
contract.multi_dot = contract.chain_matmul

return contract
