-- Derivatives of every row against central differences in f64, and the derivatives of those derivatives, on the samples of the rows.
-- The scalar that is differentiated is a weighted sum of all floating results; tolerances are those of PyTorch's gradcheck.
-- gcstress: every 50
-- luacheck: globals TestGradients TestSecondGradients TestInPlaceGradients TestNoGradients
local lu = require "luaunit"
local ms = require "mascon"
local rows = require "rows"

local EPS, ATOL, RTOL = 1e-6, 1e-5, 1e-3
-- A conversion to f32 rounds, but not what the samples hold: with a step of 2^-7 its differences are exact.
local wide_step = { cast = 2 ^ -7 }

-- ---- pieces -------------------------------------------------------------------------------------------------------------------------

-- Numbers in -1..1 that depend on the name only.
local function random_like(g, t)
  local flat = {}
  for k = 1, t:numel() do flat[k] = g:number(-1, 1, 1) end
  return rows.tensor(t.shape, flat, t.dtype)
end

-- The arguments of a case as leaves, those that are floating requiring gradients; gives them also as a list. An argument in which the row
-- has no derivative, and says so, is none of them (TestNoGradients looks whether it raises).
local function leaves_of(row, args)
  local list = {}
  rows.each_tensor(args, function(t, at, key)
    if not rows.is_float(t) or (at == args and not rows.derivable(row, key)) then return end
    at[key] = t:detach():requires_grad_()
    list[#list + 1] = at[key]
  end)
  return list
end

-- A function that gives the weighted sum of the results of calling the row; the weights are drawn at the first call.
local function weighted_sum(row, args)
  local weights = {}
  return function()
    local results = table.pack(rows.call(row, args))
    local total
    for k = 1, results.n do
      local r = results[k]
      if rows.is_float(r) then
        weights[k] = weights[k] or random_like(rows.generator(row.name .. k), r)
        local part = (r * weights[k]):double():sum()
        total = total and total + part or part
      end
    end
    return total
  end
end

-- Indices of all elements of a shape, in row-major order.
local function positions(shape)
  local list = { {} }
  for d = 1, #shape do
    local longer = {}
    for _, p in ipairs(list) do
      for k = 1, shape[d] do
        local q = table.move(p, 1, #p, 1, {})
        q[d] = k
        longer[#longer + 1] = q
      end
    end
    list = longer
  end
  return list
end

-- df/dx by central differences: a flat list. f reads x, whose elements are changed in place for a moment.
local function differences(f, x, eps)
  local d = {}
  for k, p in ipairs(positions(x.shape)) do
    local scope <close> = ms.scope() -- luacheck: ignore 211
    local function at(v)
      ms.no_grad(function() x[p] = v end)
      return f():item()
    end
    local old = ms.no_grad(function() return x[p]:item() end)
    local above, below = at(old + eps), at(old - eps)
    at(old)
    d[k] = (above - below) / (2 * eps)
  end
  return d
end

local function compare(what, analytic, numeric, shape)
  for k, want in ipairs(numeric) do
    local got = analytic and analytic[k] or 0
    local near = math.abs(got - want) <= ATOL + RTOL * math.abs(want) -- false for NaN
    if not near then
      lu.fail(("%s: element %d of %s: the rule gives %.9g, differences give %.9g"):format(what, k, table.concat(shape, " x "), got, want))
    end
  end
end

-- A gradient as a flat list, nil where there is none (the result does not depend on x).
local function flat_or_nil(g)
  if not g then return nil end
  return rows.flat(g:detach())
end

local function grads(y, xs)
  if not y.requires_grad then return {} end
  return ms.grad(y, xs, { allow_unused = true })
end

-- ---- order one ------------------------------------------------------------------------------------------------------------------------

local function check_first(row, args)
  local xs, f = leaves_of(row, args), weighted_sum(row, args)
  if #xs == 0 and row.elementwise then return false end
  lu.assertTrue(#xs > 0, args.label .. ": no floating input to differentiate")
  local y = f()
  lu.assertTrue(y.requires_grad, args.label .. ": the result carries no gradient")
  local dx = grads(y, xs)
  for i, x in ipairs(xs) do
    local what = ("%s: input %d"):format(args.label, i)
    if dx[i] then
      lu.assertEquals(dx[i].shape, x.shape, what .. ": shape of the gradient")
      lu.assertEquals(dx[i].dtype, x.dtype, what .. ": dtype of the gradient")
    end
    local numeric = ms.no_grad(differences, f, x, wide_step[row.name] or EPS)
    compare(what, flat_or_nil(dx[i]), numeric, x.shape)
  end
end

-- ---- order two: the sum over inputs of <gradient, random v> is itself a function of the inputs ---------------------------------

local function check_second(row, args)
  local xs, f = leaves_of(row, args), weighted_sum(row, args)
  local vs = {}
  for i, x in ipairs(xs) do vs[i] = random_like(rows.generator(row.name .. "v" .. i), x) end
  local function slope()
    local total = ms.zeros({}, { dtype = "f64" })
    for i, dx in ipairs(grads(f(), xs)) do
      if dx then total = total + (dx * vs[i]):double():sum() end
    end
    return total
  end
  local ddx = grads(slope(), xs)
  for i, x in ipairs(xs) do
    local what = ("%s: input %d, second order"):format(args.label, i)
    compare(what, flat_or_nil(ddx[i]), differences(slope, x, wide_step[row.name] or EPS), x.shape)
  end
end

TestGradients, TestSecondGradients = {}, {}
for _, row in ipairs(rows.all) do
  if rows.differentiable(row) and row.sample ~= "" then
    TestGradients["test_" .. row.name] = function()
      for _, args in ipairs(rows.cases(row, "f64")) do check_first(row, args) end
    end
    TestSecondGradients["test_" .. row.name] = function()
      for _, args in ipairs(rows.cases(row, "f64")) do check_second(row, args) end
    end
  end
end

-- ---- in place: x:op_(y) must give the gradients of op(x, y), or say that it would need the values it has overwritten --------------

TestInPlaceGradients = {}

local function fits(result, first)
  return rows.is_tensor(first) and table.concat(result.shape, " ") == table.concat(first.shape, " ")
end

local function check_in_place(row, args)
  local xs, f = leaves_of(row, args), weighted_sum(row, args)
  local result = rows.call(row, args)
  if #xs == 0 or not fits(result, args[1]) then return end
  local want = ms.grad(f(), xs, { allow_unused = true })
  local first = args[1] * 1 -- a leaf that requires gradients cannot be changed itself
  local y = first[row.name .. "_"](first, table.unpack(args, 2, args.n))
  local loss = (y * random_like(rows.generator(row.name .. 1), result)):sum()
  local reads, ok, got = table.concat(row.derivatives, " "):find "%f[%w_]X%f[^%w_]", pcall(ms.grad, loss, xs, { allow_unused = true })
  if not ok then -- only where the derivative that is asked for reads what is gone
    lu.assertStrContains(tostring(got), "was changed in place")
    lu.assertTrue(reads ~= nil, row.name)
    return
  end
  for i in ipairs(xs) do
    compare(args.label .. " in place", flat_or_nil(got[i]), flat_or_nil(want[i]) or {}, xs[i].shape)
    lu.assertEquals(not got[i], not want[i])
  end
end

for _, row in ipairs(rows.all) do
  if ms.methods[row.name .. "_"] and row.elementwise and rows.differentiable(row) then
    TestInPlaceGradients["test_" .. row.name] = function()
      for _, args in ipairs(rows.cases(row, "f64")) do check_in_place(row, args) end
    end
  end
end

-- ---- rows without a derivative --------------------------------------------------------------------------------------------------

TestNoGradients = {}

-- The k-th argument of the case as the only leaf.
local function raises_naming(row, args, k)
  args[k] = args[k]:detach():requires_grad_()
  local y = rows.call(row, args)
  lu.assertTrue(y.requires_grad)
  lu.assertErrorMsgContains(row.name .. " has no derivative", function() y:sum():backward() end)
  lu.assertErrorMsgContains(row.name .. " has no derivative", function() ms.grad(y:sum(), args[k]) end)
end

function TestNoGradients.test_inputs_without_a_derivative_raise_with_the_name_of_their_row()
  local without = {}
  for _, row in ipairs(rows.all) do
    for k = 1, row.elementwise and row.arity or 0 do
      if not rows.derivable(row, k) then
        without[#without + 1] = ("%s %d"):format(row.name, k)
        for _, args in ipairs(rows.cases(row, "f64")) do
          if rows.is_tensor(args[k]) then raises_naming(row, args, k) end
        end
      end
    end
  end
  table.sort(without)
  lu.assertEquals(without, { "bessel_i 2", "bessel_ie 2", "sinc_slope 2", "zeta 1" }) -- the order is whole; zeta's has none in PyTorch
end

-- Comparisons and positions cut the graph without complaint.
function TestNoGradients.test_rows_that_give_no_numbers_carry_no_gradient()
  local count = 0
  for _, row in ipairs(rows.all) do
    if row.no_grad then
      for _, args in ipairs(rows.cases(row, "f64")) do
        leaves_of(row, args)
        lu.assertFalse(rows.call(row, args).requires_grad, args.label)
        count = count + 1
      end
    end
  end
  lu.assertTrue(count > 30)
end

function TestNoGradients.test_dropout_passes_the_gradient_where_it_passes_the_value()
  local x = ms.ones({ 40, 25 }, { dtype = "f64", requires_grad = true })
  local y = x:dropout(0.25)
  local dx = ms.grad(y:sum(), x)
  lu.assertEquals(dx:totable(), y:detach():totable())
  local vals = {}
  for _, v in ipairs(rows.flat(dx)) do vals[("%.6f"):format(v)] = true end
  lu.assertEquals(vals, { ["0.000000"] = true, ["1.333333"] = true })
end

-- A new row must come with a sample, or be named here. (What gives no numbers, makes tensors or changes them has no derivative.)
function TestNoGradients.test_every_row_is_checked_or_is_on_this_list()
  local unchecked = {}
  for _, row in ipairs(rows.all) do
    if not (TestGradients["test_" .. row.name] or row.no_grad or row.create or row.mutates) then unchecked[#unchecked + 1] = row.name end
  end
  table.sort(unchecked)
  lu.assertEquals(unchecked, { -- of integers, or random
    "alpha_dropout", "and_bits", "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift",
    "bitwise_xor", "dropout", "dropout1d", "dropout2d", "feature_alpha_dropout", "gcd", "lcm", "or_bits", "xor_bits" })
  for name in pairs(TestGradients) do lu.assertNotNil(TestSecondGradients[name], name .. " is checked once only") end
end
