-- Values, slopes and second derivatives where they are delicate: at infinities, kinks, zeros and far out, against PyTorch's
-- (tests/data/slopes.json, made by tests/peers/make_slopes.py); and everything whose branch not taken has an infinite slope.
local lu = require "luaunit"
local ms = require "mascon"
local inside = require "mascon.inside"
local json = require "mascon.json"

local inf, nan = math.huge, 0 / 0
local data
do
  local file = assert(io.open("tests/data/slopes.json"))
  data = json.decode(file:read "a")
  file:close()
end

local words = { nan = nan, inf = inf, ["-inf"] = -inf }
local function numbers(list)
  local r = {}
  for k, v in ipairs(list) do r[k] = words[v] or v end
  return r
end
local function flat(t) return t:detach():double():reshape({ -1 }):totable() end

-- The gradient of the sum of y; zeros where y does not depend on x.
local function gradient(y, x)
  if not y.requires_grad then return ms.zeros_like(x) end
  return ms.grad(y:sum(), x, { allow_unused = true }) or ms.zeros_like(x)
end

-- `at` names the points; where[k] false: not compared.
local function compare(what, t, want, at, where, dtype)
  local tolerance = dtype == "f32" and 1e-5 or 1e-12
  for k, got in ipairs(flat(t)) do
    local w = want[k]
    local same = got == w or (got ~= got and w ~= w) or math.abs(got - w) <= tolerance * math.max(1, math.abs(w))
    if where[k] and not same then lu.fail(("%s in %s at %s: got %.9g, PyTorch gives %.9g"):format(what, dtype, at[k], got, w)) end
  end
end

-- Slopes are compared where value and slope are numbers in PyTorch: NaN in gives it no rule, and 0^0 has no second derivative there.
local function numbers_in(...)
  local r = {}
  for k = 1, #(...) do
    r[k] = true
    for _, list in ipairs { ... } do r[k] = r[k] and list[k] == list[k] end
  end
  return r
end

-- Our own choices: elu's second derivative at 0 is that of its left side, as its slope is.
local own = { ["elu d2"] = { ["0.0"] = true, ["-0.0"] = true } }

local function check(name, values, at, y, operands)
  local v = numbers(values.v)
  return function(dtype)
    local everywhere = numbers_in(v)
    for k in ipairs(v) do everywhere[k] = true end
    compare(name, y, v, at, everywhere, dtype)
    for k, x in ipairs(operands) do
      local first, second = ("de"):sub(k, k) .. 1, ("de"):sub(k, k) .. 2
      local d1 = gradient(y, x)
      local w1 = numbers(values[first])
      compare(name .. " " .. first, d1, w1, at, numbers_in(v, w1, flat(x)), dtype)
      if values[second] then
        local w2 = numbers(values[second])
        local where = numbers_in(v, w1, w2, flat(x))
        for point in pairs(own[name .. " " .. second] or {}) do
          for i, p in ipairs(at) do where[i] = where[i] and p ~= point end
        end
        compare(name .. " " .. second, gradient(d1, x), w2, at, where, dtype)
      end
    end
  end
end

TestSlopes = {}

for name, of in pairs(data.one) do
  TestSlopes["test_" .. name] = function()
    for _, dtype in ipairs { "f32", "f64" } do
      local x = ms.tensor(numbers(data.at), { dtype = dtype, requires_grad = true })
      local at, values = {}, of[dtype]
      for k, v in ipairs(numbers(data.at)) do at[k] = tostring(v + 0.0) end
      if name == "lgamma" then values.d2 = nil end -- digamma has no derivative here
      check(name, values, at, ms[name](x), { x })(dtype)
    end
  end
end

for name, of in pairs(data.two) do
  TestSlopes["test_" .. name] = function()
    for _, dtype in ipairs { "f32", "f64" } do
      local xs, ys, at = {}, {}, {}
      for _, a in ipairs(numbers(data.at2)) do
        for _, b in ipairs(numbers(data.at2)) do
          xs[#xs + 1], ys[#ys + 1], at[#at + 1] = a, b, ("%s, %s"):format(a, b)
        end
      end
      local x, y = ms.tensor(xs, { dtype = dtype, requires_grad = true }), ms.tensor(ys, { dtype = dtype, requires_grad = true })
      local values = of[dtype]
      for k = 1, #xs do -- NaN in the other operand is NaN in, too
        if xs[k] ~= xs[k] or ys[k] ~= ys[k] then
          for _, list in ipairs { "d1", "e1" } do values[list][k] = "nan" end
        end
      end
      check(name, values, at, ms[name](x, y), { x, y })(dtype)
    end
  end
end

-- ---- in words ----------------------------------------------------------------------------------------------------------------------

TestTaming = {}

local function slopes(values, f)
  local x = ms.tensor(values, { dtype = "f64", requires_grad = true })
  local d1 = ms.grad(f(x):sum(), x)
  local ok, d2 = pcall(ms.grad, d1:sum(), x)
  return d1:totable(), ok and d2:totable() or nil
end

function TestTaming.test_elu_far_out()
  for _, dtype in ipairs { "f32", "f64" } do
    local x = ms.tensor({ 100, 1000, -1000 }, { dtype = dtype, requires_grad = true })
    local g = ms.grad(ms.elu(x):sum(), x)
    lu.assertEquals(g:totable(), { 1, 1, 0 })
    lu.assertEquals(ms.grad(g:square():sum(), x):totable(), { 0, 0, 0 })
    local a = ms.tensor({ 1 }, { dtype = dtype, requires_grad = true })
    lu.assertEquals(ms.grad(ms.grad(ms.elu(x, a):sum(), a):sum(), x):totable(), { 0, 0, 0 })
  end
end

function TestTaming.test_norms_at_zero()
  for _, p in ipairs { 1, 1.5, 2, 3, 0.5, 4, inf } do
    local d1 = slopes({ 0, 0 }, function(x) return x:norm(p) end)
    lu.assertEquals(d1, { 0, 0 }, "norm " .. p)
    d1 = slopes({ 0, 4 }, function(x) return x:norm(p) end)
    lu.assertAlmostEquals(d1[1], 0, 0)
    lu.assertAlmostEquals(d1[2], 1, 1e-14)
  end
  local d1, d2 = slopes({ 0, 0 }, function(x) return x:norm(3) end)
  lu.assertEquals({ d1, d2 }, { { 0, 0 }, { 0, 0 } })
  lu.assertAlmostEquals(ms.tensor({ 1, 2, -3 }):norm(3):item(), 36 ^ (1 / 3), 1e-6)
end

function TestTaming.test_deviation_of_constants()
  local d1, d2 = slopes({ 1, 1, 1, 1 }, function(x) return x:std() end)
  lu.assertEquals({ d1, d2 }, { { 0, 0, 0, 0 }, { 0, 0, 0, 0 } })
  lu.assertEquals(slopes({ 5 }, function(x) return x:std { correction = 0 } end), { 0 })
  lu.assertEquals((slopes({ 1, 1, 1 }, function(x) return x:var() end)), { 0, 0, 0 })
end

function TestTaming.test_powers_with_exponent_0()
  for _, base in ipairs { 0.0, inf, -inf, -2 } do
    local x, n = ms.tensor({ base }, { requires_grad = true }), ms.tensor { 0 }
    lu.assertEquals(ms.grad(x:pow(n):sum(), x):item(), 0.0)
    lu.assertEquals(ms.grad(x:pow(0):sum(), x):item(), 0.0)
  end
  local n = ms.tensor({ 0, 1, 2 }, { requires_grad = true })
  lu.assertEquals(ms.grad(ms.pow(0, n):sum(), n):totable(), { 0, 0, 0 })
end

function TestTaming.test_products_with_zeros()
  local d1, d2 = slopes({ 0, 2, 3 }, function(x) return x:prod(1) end)
  lu.assertEquals({ d1, d2 }, { { 6, 0, 0 }, { 5, 3, 2 } })
  d1, d2 = slopes({ 0, 0, 3 }, function(x) return x:prod(1) end)
  lu.assertEquals({ d1, d2 }, { { 0, 0, 0 }, { 3, 3, 0 } })
end

function TestTaming.test_lerp_ends_where_it_should()
  lu.assertEquals(ms.lerp(ms.tensor { 1e8 }, ms.tensor { 1 }, 1):item(), 1)
  ms.seed(1)
  local a, b = ms.randn { 1000 }, ms.randn { 1000 }
  lu.assertFalse(ms.lerp(a, b, 1):ne(b):any():item())
  lu.assertFalse(ms.lerp(a, b, 0):ne(a):any():item())
  lu.assertEquals(ms.lerp(ms.tensor { 1, 5 }, ms.tensor { 3, 7 }, ms.tensor { 0.5, 0.25 }):totable(), { 2, 5.5 })
end

function TestTaming.test_running_statistics_with_momentum_1_are_the_batch_s()
  ms.seed(2)
  local x = ms.randn({ 64, 3 }) * 3e4 + 1e6
  local mean, var = ms.full({ 3 }, 1e-3), ms.full({ 3 }, 1e-3)
  ms.batch_norm(x, mean, var, nil, nil, true, 1)
  local _, batch = inside.batch_normalize(x)
  lu.assertTrue(mean:eq(batch):all():item())
end

function TestTaming.test_clamp_with_nan_bounds()
  local x = ms.tensor { -1, 2, nan }
  lu.assertTrue(x:clamp(nan, 1):isnan():all():item())
  lu.assertTrue(x:clamp(0, nan):isnan():all():item())
  lu.assertEquals(x:clamp(0, 1):isnan():totable(), { false, false, true })
end

-- The corner of an image is under four of the nine taps: what is not finite there is in the gradients of those, and of no others.
function TestTaming.test_an_infinity_reaches_the_taps_that_touch_it_only()
  for _, case in ipairs { { 1, 8, 28 }, { 3, 8, 12 }, { 2, 2, 9 }, { 8, 4, 32 } } do
    local c, o, size = table.unpack(case)
    for _, stride in ipairs { 1, 2 } do
      for _, value in ipairs { inf, nan } do
        ms.seed(3)
        local x, w = ms.rand({ 3, c, size, size }, 0.5, 1), ms.rand({ o, c, 3, 3 }):requires_grad_()
        local y = ms.conv2d(x, w, nil, { padding = 1, stride = stride })
        local g = ms.rand(y.shape, 0.5, 1)
        local clean = ms.grad((y * g):sum(), w)
        x[{ 2, 1, 1, 1 }] = value
        y = ms.conv2d(x, w, nil, { padding = 1, stride = stride })
        local dw = ms.grad((y * g):sum(), w)
        for a = 1, 3 do
          for b = 1, 3 do
            local touched = stride == 1 and a < 3 and b < 3 or a == 2 and b == 2
            local got, want = dw[{ {}, 1, a, b }], clean[{ {}, 1, a, b }]
            local what = ("%d to %d, stride %d, tap %d %d"):format(c, o, stride, a, b)
            if touched then
              lu.assertFalse(got:isfinite():any():item(), what)
            else
              lu.assertTrue((got - want):abs():max():item() < 1e-3 * want:abs():max():item(), what)
            end
          end
        end
      end
    end
  end
end

-- ---- changes in place ------------------------------------------------------------------------------------------------------------------

TestKept = {}

-- What a product with a number needs of x is nothing: x may change.
function TestKept.test_only_what_a_gradient_reads_is_kept()
  local x = ms.ones({ 1 }):requires_grad_()
  local y = x * 2
  y:mul_(3)
  y:sum():backward()
  lu.assertEquals(x.grad:item(), 6)
  local w, frozen = ms.tensor({ 2 }):requires_grad_(), ms.tensor { 5 }
  local h = w * 1
  local loss = (h * frozen + h / frozen + ms.lerp(h, frozen, 0.25) + ms.where(h:gt(0), h, frozen)):sum()
  h:add_(1) -- none of them reads h
  lu.assertAlmostEquals(ms.grad(loss, w):item(), 5 + 0.2 + 0.75 + 1, 1e-6)
  local a, b = ms.randn({ 2, 3 }):requires_grad_(), ms.randn { 3, 4 }
  local left = a * 1
  local product = ms.matmul(left, b):sum()
  left:mul_(0)
  lu.assertEquals(ms.grad(product, a).shape, { 2, 3 })
end

function TestKept.test_what_is_read_is_guarded()
  local w, other = ms.tensor({ 2 }):requires_grad_(), ms.tensor({ 5 }):requires_grad_()
  local h = w * 1
  local loss = (h * other):sum()
  h:add_(1)
  lu.assertErrorMsgContains("was changed in place", ms.grad, loss, other)
  local v = w * 1
  local square = v:square():sum()
  v:add_(1)
  lu.assertErrorMsgContains("was changed in place", ms.grad, square, w)
  local q = w * 1
  local r = q / other
  r:add_(1) -- its derivative in `other` reads the quotient
  lu.assertErrorMsgContains("was changed in place", ms.grad, r:sum(), other)
end

-- ---- whole tensors -------------------------------------------------------------------------------------------------------------------

TestWhole = {}

function TestWhole.test_extremes_without_a_dimension()
  local x = ms.tensor { { 3, 9, 1 }, { 9, -2, 0 } }
  lu.assertEquals({ x:max():item(), x:min():item() }, { 9, -2 })
  lu.assertEquals({ x:argmax():item(), x:argmin():item() }, { 2, 5 })
  lu.assertEquals(#x:max().shape, 0)
  lu.assertEquals(x:argmax { keepdim = true }.shape, { 1, 1 })
  lu.assertEquals(select("#", x:max()), 1)
  lu.assertEquals(select("#", x:max(1)), 2)
  lu.assertEquals(x:transpose():argmin():item(), 4) -- counted row by row of what is seen
  lu.assertEquals(x:to("i32"):max().dtype, "i32")
  lu.assertEquals(ms.tensor(7):argmax():item(), 1)
  for _, dtype in ipairs { "f16", "bf16" } do
    local h = x:to(dtype)
    lu.assertEquals({ h:argmax():item(), h:max().dtype, h:argmin(2):totable() }, { 2, dtype, { 3, 2 } })
  end
  local y = ms.tensor({ 1, 4, 4 }, { requires_grad = true })
  lu.assertEquals(ms.grad(y:max(), y):totable(), { 0, 0.5, 0.5 }) -- PyTorch shares between ties here
  lu.assertErrorMsgContains("nothing to choose from", ms.zeros({ 0 }).argmax, ms.zeros { 0 })
  lu.assertErrorMsgContains("nothing to choose from", ms.zeros({ 0 }).max, ms.zeros { 0 })
  local step = ms.compile(function(t) return t:argmax(), t:max() end)
  for _ = 1, 5 do
    local at, v = step(x)
    lu.assertEquals({ at:item(), v:item() }, { 2, 9 })
  end
end

function TestWhole.test_contiguous_is_the_tensor_itself_where_it_is()
  local x = ms.ones { 2, 3 }
  lu.assertTrue(x:contiguous() == x)
  lu.assertFalse(x:transpose():contiguous() == x:transpose())
  lu.assertEquals(x:transpose():contiguous().shape, { 3, 2 })
  local w = ms.ones({ 2 }):requires_grad_()
  lu.assertTrue(w:contiguous().is_leaf)
end

function TestWhole.test_rounding_keeps_integers()
  local n = ms.tensor({ 9007199254740993 }, { dtype = "i64" })
  for _, f in ipairs { "floor", "ceil", "round", "trunc" } do lu.assertEquals(n[f](n):item(), 9007199254740993) end
end

function TestWhole.test_products_of_integers_are_integers()
  local p = ms.tensor({ 94906267, 94906267 }, { dtype = "i32" }):prod(1)
  lu.assertEquals({ p.dtype, p:item() }, { "i64", 94906267 * 94906267 })
  lu.assertEquals(ms.tensor({ true, true }):prod(1):item(), 1)
  lu.assertEquals(ms.zeros({ 0 }, { dtype = "i64" }):prod(1):item(), 1)
end

-- Where two operands are equal the slope still changes with both; beyond, one form of it overflows.
function TestWhole.test_second_derivatives_at_ties_and_far_out()
  local function f64(t) return ms.tensor(t, { dtype = "f64", requires_grad = true }) end
  local x, y = f64 { 0.5, -3 }, f64 { 0.5, -3 }
  assert(ms.gradgradcheck(function(a, b) return ms.logaddexp(a, b) end, { x, y }))
  assert(ms.gradgradcheck(function(a, b) return ms.logaddexp2(a, b) end, { x, y }))
  assert(ms.gradgradcheck(function(a) return a:logcumsumexp(1) end, f64 { 0, 0, 0, 1, 1 }))
  assert(ms.gradgradcheck(function(a, b) return a:pow(b) end, { f64 { 2, 0.5 }, f64 { 0, 1 } }))
  local far = f64 { -5, 0, 5, 40, 1e8, 1e300 }
  local slope = ms.grad(far:log_ndtr():sum(), far)
  local bend = ms.grad(slope:sum(), far):totable()
  lu.assertEquals({ bend[4], bend[5], bend[6] }, { 0, 0, 0 })
  lu.assertAlmostEquals(bend[2], -2 / math.pi, 1e-14)
  assert(ms.gradgradcheck(function(a) return a:log_ndtr() end, f64 { -5, -0.5, 0.5, 5 }))
end

function TestWhole.test_the_angle_of_the_origin_has_no_slope()
  local x, y = ms.zeros({ 2 }, { requires_grad = true }), ms.tensor({ 0, 2 }, { requires_grad = true })
  local g = ms.grad(ms.atan2(y, x):sum(), { y, x })
  lu.assertEquals({ g[1]:totable(), g[2]:totable() }, { { 0, 0 }, { 0, -0.5 } })
end
