-- derivatives: whole matrices of derivatives, products with them, and checks of derivatives (PyTorch's torch.autograd.functional).
--
-- All of these call f(x), or f(x1, x2, ...) for a list, with tensors that take gradients, whatever the mode is. What they give is made of
-- operations: while gradients are enabled it can be differentiated again, in x (if it requires gradients) and in what f uses.
local ms = require "mascon"
local options = require "mascon.options"
local derivatives = {}

local FLOATING = { f32 = true, f64 = true, f16 = true, bf16 = true }

-- ---- arguments -------------------------------------------------------------------------------------------------------------------

-- A list of the tensors in x (one, or a list), ready to be differentiated; and whether it was one.
local function inputs(what, x)
  local single, list = ms.is_tensor(x), {}
  if not single and (type(x) ~= "table" or #x == 0) then
    options.raise("%s: x: expected a tensor or a list of tensors, got %s", what, type(x) == "table" and "an empty table" or type(x))
  end
  for i, t in ipairs(single and { x } or x) do
    if not ms.is_tensor(t) or not FLOATING[t.dtype] then
      options.raise("%s: x%s: expected a floating tensor, got %s", what, single and "" or ("[%d]"):format(i),
        ms.is_tensor(t) and "one of " .. t.dtype or type(t))
    end
    list[i] = t.requires_grad and t or ms.enable_grad(function() return t:detach():requires_grad_() end)
  end
  return list, single
end

-- What f gives at x: a list of tensors; and whether it was one.
local function call(what, f, x)
  if type(f) ~= "function" and not (getmetatable(f) or {}).__call then
    options.raise("%s: f: expected a function, got %s", what, options.told(f))
  end
  local y = table.pack(ms.enable_grad(f, table.unpack(x)))
  if y.n == 1 and type(y[1]) == "table" then y = table.pack(table.unpack(y[1])) end
  if y.n == 0 then options.raise("%s: f gave no result", what) end
  for i = 1, y.n do
    if not ms.is_tensor(y[i]) or not FLOATING[y[i].dtype] then
      options.raise("%s: f: expected floating tensors as results, got %s", what, ms.is_tensor(y[i]) and y[i].dtype or type(y[i]))
    end
  end
  return y, y.n == 1
end

-- v (a tensor or a list; nil: one, where a single element is wanted) as a list of tensors like those in `like`.
local function vectors(what, v, like, name)
  if v == nil then
    if #like ~= 1 or like[1]:numel() ~= 1 then
      options.raise("%s: %s: expected a tensor like %s, got nothing", what, name, like[1].shape)
    end
    return { ms.ones_like(like[1]:detach()) }
  end
  local list = ms.is_tensor(v) and { v } or v
  if type(list) ~= "table" or #list ~= #like then
    options.raise("%s: %s: expected %d tensors, got %s", what, name, #like, type(list) == "table" and #list or type(list))
  end
  for i, t in ipairs(list) do
    if not ms.is_tensor(t) or t.shape ~= like[i].shape then
      options.raise("%s: %s: expected a tensor of %s, got %s", what, name, like[i].shape, ms.is_tensor(t) and t.shape or type(t))
    end
  end
  return list
end

-- The gradients of y, from dy on, in each x; zeros where y does not depend on it.
local function gradients(y, x, dy)
  local sum = {}
  for k, r in ipairs(y) do
    local g = r.requires_grad and ms.grad(r, x, { gradient = dy[k], allow_unused = true }) or {}
    for i = 1, #x do sum[i] = sum[i] and (g[i] and sum[i] + g[i] or sum[i]) or g[i] end
  end
  for i, t in ipairs(x) do sum[i] = sum[i] or ms.zeros_like(t:detach()) end
  return sum
end

local function one_or_all(list, single)
  if single then return list[1] end
  return list
end

-- ---- matrices and products ---------------------------------------------------------------------------------------------------------

local function joined(a, b)
  local sizes = {}
  for i = 1, #a do sizes[#sizes + 1] = a[i] end
  for i = 1, #b do sizes[#sizes + 1] = b[i] end
  return sizes
end

-- The Jacobian of result y (a tensor) in each x.
local function jacobian_of(y, x)
  local n, rows, element, one = y:numel(), {}, {}, ms.ones({}, { dtype = y.dtype, device = y.device })
  ms.enable_grad(function() -- the elements are part of f's graph; what is computed with them below, of whatever the mode says
    local flat = y:reshape { n }
    for i = 1, n do element[i] = flat[i] end
  end)
  for i = 1, n do
    local g = gradients({ element[i] }, x, { one })
    for k = 1, #x do
      rows[k] = rows[k] or {}
      rows[k][i] = g[k]
    end
  end
  local list = {}
  for k, t in ipairs(x) do
    local sizes = joined(y.shape, t.shape)
    list[k] = n == 0 and ms.zeros(sizes, { dtype = t.dtype, device = t.device }) or ms.stack(rows[k], 1):reshape(sizes)
  end
  return list
end

-- ms.jacobian(f, x) -> J: for f(x) of sizes a and x of sizes b a tensor of sizes a, b: J[i][j] = d f(x)[i] / d x[j]
-- x may be a list, f is then called with its tensors, and J is a list, one for each; f may give several tensors, and J is then a list of
-- these. One backward pass for each element of f(x). Differentiable again, in what f uses too.
function derivatives.jacobian(f, x, ...)
  options.none("jacobian", ...)
  local list, single = inputs("jacobian", x)
  local y, alone = call("jacobian", f, list)
  local result = {}
  for k = 1, #y do result[k] = one_or_all(jacobian_of(y[k], list), single) end
  return one_or_all(result, alone)
end

local function scalar(what, f, x)
  local y = call(what, f, x)
  if #y ~= 1 or y[1]:numel() ~= 1 then
    options.raise("%s: f: expected a result of one element, got %s", what, #y == 1 and y[1].shape or #y .. " results")
  end
  return y[1]
end

-- The gradient of a scalar in each x, as part of a graph whatever the mode is.
local function first_gradient(y, x)
  return ms.enable_grad(function() return gradients({ y }, x, { ms.ones_like(y:detach()) }) end)
end

-- ms.hessian(f, x) -> H: for f(x) of one element and x of sizes a, a tensor of sizes a, a: H[i][j] = d2 f(x) / d x[i] d x[j]
-- For a list x a list of lists. One backward pass for each element of x.
function derivatives.hessian(f, x, ...)
  options.none("hessian", ...)
  local list, single = inputs("hessian", x)
  local g = first_gradient(scalar("hessian", f, list), list)
  local result = {}
  for k = 1, #list do result[k] = one_or_all(jacobian_of(g[k], list), single) end
  return one_or_all(result, single)
end

-- ms.vjp(f, x, v) -> f(x), v J: v is like f(x) (may be left out if that has one element), v J like x
function derivatives.vjp(f, x, v, ...)
  options.none("vjp", ...)
  local list, single = inputs("vjp", x)
  local y, alone = call("vjp", f, list)
  return one_or_all(y, alone), one_or_all(gradients(y, list, vectors("vjp", v, y, "v")), single)
end

-- ms.jvp(f, x, v) -> f(x), J v: v is like x, J v like f(x). Two backward passes, whatever the sizes are.
function derivatives.jvp(f, x, v, ...)
  options.none("jvp", ...)
  local list = inputs("jvp", x)
  local y, alone = call("jvp", f, list)
  local direction, u = vectors("jvp", v, list, "v"), {}
  for k = 1, #y do u[k] = ms.enable_grad(function() return ms.zeros_like(y[k]:detach()):requires_grad_() end) end
  local g = ms.enable_grad(gradients, y, list, u) -- linear in u: its derivative in u, times v, is J v
  return one_or_all(y, alone), one_or_all(gradients(g, u, direction), alone)
end

-- ms.hvp(f, x, v) -> f(x), H v: for f(x) of one element; v and H v are like x. Two backward passes.
function derivatives.hvp(f, x, v, ...)
  options.none("hvp", ...)
  local list, single = inputs("hvp", x)
  local y = scalar("hvp", f, list)
  local g = first_gradient(y, list)
  return y, one_or_all(gradients(g, list, vectors("hvp", v, list, "v")), single)
end

-- ---- checks ------------------------------------------------------------------------------------------------------------------------

-- The position of element i of a tensor of these sizes: "[2][3]", "" where there are no dimensions.
local function place(i, sizes)
  local at = {}
  for d = #sizes, 1, -1 do
    at[d] = ("[%d]"):format((i - 1) % sizes[d] + 1)
    i = (i - 1) // sizes[d] + 1
  end
  return table.concat(at)
end

local function flat_values(y)
  local list = y:detach():reshape { y:numel() }:totable()
  return type(list) == "table" and list or { list }
end

-- What gradcheck differentiates in: those of the tensors in x that require gradients, all floating ones if none does.
local function checked_inputs(what, x)
  local list, some = ms.is_tensor(x) and { x } or x, false
  if type(list) ~= "table" or #list == 0 then options.raise("%s: inputs: expected a tensor or a list, got %s", what, type(x)) end
  for _, t in ipairs(list) do some = some or (ms.is_tensor(t) and t.requires_grad) end
  local given, at = {}, {}
  for i, t in ipairs(list) do
    given[i] = t
    if ms.is_tensor(t) and FLOATING[t.dtype] and (t.requires_grad or not some) then
      if t.dtype ~= "f64" then
        options.raise("%s: input %d is %s, which is too coarse to tell a wrong derivative from rounding: hand in f64 (x:double())", what, i,
          t.dtype)
      end
      given[i] = ms.enable_grad(function() return t:detach():clone():requires_grad_() end)
      at[#at + 1] = i
    end
  end
  if #at == 0 then options.raise("%s: no input is a tensor that takes a gradient", what) end
  return given, at
end

local OPTIONS = { eps = 1e-6, atol = 1e-5, rtol = 1e-3, raise_exception = true }

local function read(what, given, ...)
  options.none(what, ...)
  local o = options.read(what, given, OPTIONS)
  if not (o.eps > 0 and o.eps < math.huge) then options.raise("%s: eps: expected a number above 0, got %s", what, o.eps) end
  return o
end

-- The floating results of f, each as a list of numbers.
local function numbers(f, x)
  local list = {}
  for k, y in ipairs(ms.no_grad(call, "gradcheck", f, x)) do list[k] = flat_values(y) end
  return list
end

local function check(what, f, x, o)
  local given, at = checked_inputs(what, x)
  local wanted = {}
  for k, i in ipairs(at) do wanted[k] = given[i] end
  local y = call(what, f, given)
  local once, twice = numbers(f, given), numbers(f, given)
  for k = 1, #y do
    for i = 1, #once[k] do
      if once[k][i] ~= twice[k][i] and once[k][i] == once[k][i] then
        options.raise("%s: f gives another value each time (%.17g and %.17g): draw random numbers outside, or seed in f", what, once[k][i],
          twice[k][i])
      end
    end
  end
  local analytic = {}
  for k = 1, #y do
    analytic[k] = {}
    for i, j in ipairs(jacobian_of(y[k], wanted)) do analytic[k][i] = flat_values(j) end
  end
  for k, t in ipairs(wanted) do
    local size, flat = t:numel(), t:detach():reshape { t:numel() }
    local before = flat_values(t)
    for j = 1, size do
      flat[j] = before[j] + o.eps
      local above = numbers(f, given)
      flat[j] = before[j] - o.eps
      local below = numbers(f, given)
      flat[j] = before[j]
      for r = 1, #y do
        for i = 1, #above[r] do
          local numeric, rule = (above[r][i] - below[r][i]) / (2 * o.eps), analytic[r][k][(i - 1) * size + j]
          if not (math.abs(numeric - rule) <= o.atol + o.rtol * math.abs(numeric)) then
            return ("%s: the derivative of result %d%s in input %d%s is %.9g by its rule and %.9g by differences"):format(what, r,
              place(i, y[r].shape), at[k], place(j, t.shape), rule, numeric)
          end
        end
      end
    end
  end
end

local function judge(problem, o)
  if not problem then return true end
  if not o.raise_exception then return false, problem end
  options.raise("%s", problem)
end

-- ms.gradcheck(f, inputs, {eps = 1e-6, atol = 1e-5, rtol = 1e-3, raise_exception = true}) -> true
-- Compares the derivatives of f(inputs...) with central differences, |a - n| <= atol + rtol |n|, in each element of each input that
-- requires gradients (of all, if none does); inputs is a tensor or a list, in f64. What differs is an error that names the result, the
-- input, the element and both numbers; with raise_exception = false the answer is false, and that text.
function derivatives.gradcheck(f, x, given, ...)
  local o = read("gradcheck", given, ...)
  return judge(check("gradcheck", f, x, o), o)
end

-- ms.gradgradcheck(f, inputs, {...}) -> true
-- The same for the derivatives of the derivatives, in the inputs and in the gradients that backward starts from, which are drawn. (Inputs
-- of the check behind those given are these.)
function derivatives.gradgradcheck(f, x, given, ...)
  local o = read("gradgradcheck", given, ...)
  local list, at = checked_inputs("gradgradcheck", x)
  local n, y = #list, call("gradgradcheck", f, list)
  local all = { table.unpack(list) }
  for k = 1, #y do
    all[n + k] = ms.with_seed(k, function() return ms.randn(y[k].shape, { dtype = "f64", device = y[k].device }) end):requires_grad_()
  end
  local function first(...)
    local args, dy = table.pack(...), {}
    local value = call("gradgradcheck", f, { table.unpack(args, 1, n) })
    for k = 1, #value do dy[k] = args[n + k] end
    local wanted = {}
    for k, i in ipairs(at) do wanted[k] = args[i] end
    return ms.enable_grad(function() return table.unpack(gradients(value, wanted, dy)) end)
  end
  return judge(check("gradgradcheck", first, all, o), o)
end

return derivatives
