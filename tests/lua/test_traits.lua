-- Traits (the columns of ops.def and elementwise.def): what the passes over a recorded step believe of an operation, compared with what
-- it does. What an operation is linear in is looked for, so that a trait that is wrong and one that was forgotten both fail.
-- luacheck: globals TestLinear TestPure TestHead TestSums TestCopies TestImages TestFlops
local lu = require "luaunit"
local ms = require "mascon"
local inside = require "mascon.inside"
local compiled = require "compiled"
local rows = require "rows"

TestLinear, TestPure, TestHead, TestSums, TestCopies, TestImages, TestFlops = {}, {}, {}, {}, {}, {}, {}

local function each_row(f)
  for _, row in ipairs(rows.all) do
    -- a composite row is seen by passes as what it is made of only
    if not (row.composite or row.mutates) then f(row) end
  end
end

local function number_in(step, words) return tonumber(step:report():match("(%d+) " .. words) or 0) end

-- f compiled, run until it is replayed.
local function replayed(f, ...)
  local step, values = ms.compile(f), nil
  for _ = 1, 5 do values = { step(...) } end
  return step, values
end

-- ---- linear ------------------------------------------------------------------------------------------------------------------------

-- Rows that are linear for some values of an attribute only. Passes do not look at those, so they are not said to be.
local for_some_attributes = { cast = "whole dtypes round", constant_pad = "a value to pad with" }

-- Places in the argument list of the row's tensor arguments, in order.
local function tensor_places(row)
  local places = {}
  for k, arg in ipairs(row.args) do
    if arg.tensor then places[#places + 1] = k end
  end
  return places
end

-- a x + b y, of numbers, tensors, lists of tensors; y nil: another draw. nil: x is nothing to be linear in. Gives y, too.
local function blend(row, x, a, b, y)
  if type(x) == "number" and row.elementwise then
    y = y or ms.randn({}, { dtype = "f64" }):item()
    return a * x + b * y, y
  elseif rows.is_tensor(x) and rows.is_float(x) then
    y = y or ms.randn(x.shape, { dtype = x.dtype })
    return x * a + y * b, y
  elseif type(x) == "table" and rows.is_tensor(x[1]) then
    local sum, ys = {}, y or {}
    for i = 1, #x do sum[i], ys[i] = blend(row, x[i], a, b, ys[i]) end
    return sum, ys
  end
end

local function results(row, args)
  local ok, list = pcall(function()
    local r = { rows.call(row, args) }
    ms.synchronize()
    return r
  end)
  return ok and list or nil -- values that it refuses, now or when the device comes to them
end

-- f(a x + b y) = a f(x) + b f(y) on this case, x and y the arguments at these places? nil: one of them is not there.
local function holds(row, case, places)
  local a, b, mixed, other = 0.75, -1.25, {}, {}
  for k = 1, case.n do mixed[k], other[k] = case[k], case[k] end
  mixed.n, other.n = case.n, case.n
  for _, place in ipairs(places) do
    mixed[place], other[place] = blend(row, case[place], a, b)
    if mixed[place] == nil then return nil end
  end
  local fx, fy, f = results(row, case), results(row, other), results(row, mixed)
  if not (fx and fy and f) then return false end
  for k = 1, #f do
    if not rows.is_float(f[k]) then return false end
    local want = fx[k] * a + fy[k] * b
    local size = (want:abs() + fx[k]:abs() + fy[k]:abs()):amax():item()
    if not ((f[k] - want):abs():amax():item() <= 1e-9 * size) then return false end
  end
  return true
end

-- All sets of the first n whole numbers but the empty one.
local function subsets(n)
  local list = {}
  for bits = 1, 2 ^ n - 1 do
    local set = {}
    for k = 1, n do
      if math.tointeger(bits) >> (k - 1) & 1 == 1 then set[#set + 1] = k end
    end
    list[#list + 1] = set
  end
  return list
end

-- Linear in this set of tensor arguments, on all cases that have them? nil: there is none.
local function is_linear(row, cases, places, set)
  local is
  for _, case in ipairs(cases) do
    local at = {}
    for k, which in ipairs(set) do at[k] = places[which] end
    local here = holds(row, case, at)
    if here == false then return false end
    if here then is = true end
  end
  return is
end

each_row(function(row)
  if row.create or row.random then return end
  TestLinear["test_" .. row.name] = function()
    ms.seed(5)
    local declared, places, cases = {}, tensor_places(row), rows.cases(row, "f64")
    for _, set in ipairs(row.linear) do declared[table.concat(set, " ")] = true end
    for _, set in ipairs(subsets(math.min(#places, 5))) do
      local words = table.concat(set, " ")
      local is = is_linear(row, cases, places, set)
      if declared[words] then
        lu.assertTrue(is, row.name .. " is said to be linear in arguments " .. words)
      elseif not for_some_attributes[row.name] then
        lu.assertNotEquals(is, true, row.name .. " is linear in arguments " .. words .. ", and does not say so")
      end
    end
  end
end)

-- ---- pure --------------------------------------------------------------------------------------------------------------------------

-- All results as one number.
local function total(list)
  local sum = list[1]:cast("f64"):sum()
  for k = 2, #list do sum = sum + list[k]:cast("f64"):sum() end
  return sum
end

-- The same twice in one step: computed once, unless it draws random numbers. A view computes nothing; a row without a kernel is in the
-- step as what it is made of, part of which may change memory in place.
each_row(function(row)
  if row.view then return end
  TestPure["test_" .. row.name] = function()
    local cases = rows.cases(row, "f32")
    local case = cases[row.name == "contiguous" and 1 or #cases]
    local function once() return { rows.call(row, case) } end
    if row.random then
      local step = replayed(function() return total(once()) + 2 * total(once()) end)
      lu.assertEquals(number_in(step, "repeated"), 0)
    else
      compiled.same_bits(once(), once(), row.name)
      local one = replayed(function() return total(once()) end)
      local both = replayed(function() return total(once()) + 2 * total(once()) end)
      if row.has_ref and not one:report():find("%f[%w_]" .. row.name .. "[: ]") then return end
      lu.assertTrue(number_in(both, "repeated") > number_in(one, "repeated"), both:report())
    end
  end
end)

-- ---- heads, sums, copies: chains -----------------------------------------------------------------------------------------------------

-- The step has the bits of f(x...), and its report has the words.
local function fuses(words, f, ...)
  local want = { f(...) }
  local step, got = replayed(f, ...)
  compiled.same_bits(got, want)
  lu.assertNotNil(step:report():find(words), words .. " is not in\n" .. step:report())
end

each_row(function(row)
  if row.head then
    TestHead["test_" .. row.name] = function()
      for _, case in ipairs(rows.cases(row, "f32")) do
        fuses(row.name .. ":%d+ %+ cos:", function() return ms.cos(rows.call(row, case)) end)
      end
    end
  end
  if row.sums then
    TestSums["test_" .. row.name] = function()
      local x = ms.randn { 6, 9, 16 }
      for _, dims in ipairs { { 1, 2, 3 }, { 1, 2 }, { 1 } } do
        fuses("relu:%d+ %+ " .. row.name .. ":", function(t) return ms[row.name](ms.relu(t), dims) end, x)
        local n = 1
        for _, d in ipairs(dims) do n = n * x.shape[d] end
        local sum = ms[row.name](x, dims) * (row.averages and n or 1)
        lu.assertTrue((sum - ms.sum(x, dims)):abs():amax():item() <= 1e-3, row.name)
      end
    end
  end
  if row.copies then
    TestCopies["test_" .. row.name] = function()
      local x = ms.randn { 5, 7 }
      local function copy(t) return row.name == "cast" and t:cast "f64" or ms[row.name](t) end
      lu.assertTrue(copy(x):cast("f32"):eq(x):all():item())
      fuses(row.name .. ":%d+ %+ tanh:", function(t) return ms.tanh(copy(t:transpose(1, 2))) end, x) -- in another order: it is made
    end
  end
end)

-- ---- images --------------------------------------------------------------------------------------------------------------------------

-- Calls of the rows that have images; image(height, width) gives one of 16 channels that may turn.
local on_images = {
  conv2d = function(image) return ms.conv2d(image(9, 8), ms.ones { 20, 16, 3, 3 }) end,
  conv2d_input_grad = function(image) return inside.conv2d_input_grad(image(9, 8), ms.ones { 16, 20, 3, 3 }, { 11, 10 }) end,
  conv2d_weight_grad = function(image) return inside.conv2d_weight_grad(image(9, 8), image(7, 6), { 3, 3 }) end,
  avg_pool2d = function(image) return ms.avg_pool2d(image(9, 8), { 3, 2 }, { stride = 2, padding = 1 }) end,
  avg_pool2d_grad = function(image) return inside.avg_pool2d_grad(image(4, 4), { 9, 8 }, { 3, 2 }, { stride = 2 }) end,
  max_pool2d_with_indices = function(image)
    return inside.max_pool2d_with_indices(image(9, 8), { 3, 2 }, { stride = 2, padding = 1, dilation = { 2, 1 }, ceil_mode = true })
  end,
  max_pool2d_grad = function(image)
    local _, at = inside.max_pool2d_with_indices(image(8, 6), 2)
    return inside.max_pool2d_grad(image(4, 3), at, { 8, 6 })
  end,
  max_pool2d_pick = function(image)
    local _, at = inside.max_pool2d_with_indices(image(8, 6), 2)
    return inside.max_pool2d_pick(image(8, 6), at)
  end,
  adaptive_avg_pool2d = function(image) return ms.adaptive_avg_pool2d(image(9, 8), { 4, 3 }) end,
  adaptive_avg_pool2d_grad = function(image) return inside.adaptive_avg_pool2d_grad(image(4, 3), { 9, 8 }) end,
  adaptive_max_pool2d_with_indices = function(image) return inside.adaptive_max_pool2d_with_indices(image(9, 8), { 4, 3 }) end,
  resample = function(image) return ms.interpolate(image(5, 4), { 7, 9 }, { mode = "bilinear" }) end,
  resample_grad = function(image) return inside.resample_grad(image(7, 9), { 5, 4 }, "bilinear") end,
  batch_normalize = function(image) return inside.batch_normalize(image(5, 4), ms.ones { 16 } * 1.5) end,
  batch_normalize_grad = function(image)
    return inside.batch_normalize_grad(image(5, 4), image(5, 4), ms.ones { 16 }, ms.ones { 16 } * 0.5, ms.ones { 16 } * 1.5)
  end,
}

-- Images come from convolutions and go into them, eagerly and in a step, where all of them lie channels last.
local function check_images(row)
  local call = assert(on_images[row.name], "no case for a row with images: " .. row.name)
  local is_image, kernels, inputs = {}, {}, {}
  for _, k in ipairs(row.image_results) do is_image[k] = true end
  ms.seed(3)
  for k = 1, 4 do kernels[k] = ms.randn { 16, 16, 3, 3 } end
  local behind = ms.randn { 16, 20, 3, 3 }
  local function f()
    local n = 0
    local function image(height, width)
      n = n + 1
      inputs[n] = inputs[n] or ms.randn { 3, 16, height, width }
      return ms.relu(ms.conv2d(inputs[n], kernels[n], { padding = 1 }))
    end
    local r = { call(image) }
    for k = 1, #r do
      local w = is_image[k] and (r[k].shape[2] == 20 and behind or kernels[4])
      if w then r[k] = ms.conv2d(ms.relu(r[k]:cast "f32"), w, { padding = 1 }) end
    end
    return table.unpack(r)
  end
  local want = { f() }
  local step, got = replayed(f)
  for k = 1, #want do
    local size = want[k]:abs():amax():item()
    lu.assertTrue((got[k] - want[k]):abs():amax():item() <= 1e-5 * size, row.name .. ": result " .. k)
  end
  lu.assertTrue(number_in(step, "tensors? kept channels last") >= #row.images + #row.image_results, step:report())
end

each_row(function(row)
  if #row.images + #row.image_results > 0 then TestImages["test_" .. row.name] = function() check_images(row) end end
end)

function TestImages.test_no_case_too_many()
  for name in pairs(on_images) do lu.assertTrue(#rows.by_name[name].images > 0, name .. " has no images") end
end

-- ---- arithmetic ------------------------------------------------------------------------------------------------------------------------

-- Multiplications of conv2d, one by one but for the innermost loops: N x C x H x W with O x C/groups x K x K.
local function conv_products(n, c, h, w, o, k, stride, groups)
  local count = 0
  for _ = 1, n * o do
    for y = 0, h - k, stride do
      for x = 0, w - k, stride do
        if y + k <= h and x + k <= w then count = count + (c // groups) * k * k end
      end
    end
  end
  return count
end

local geometries = { { 2, 64, 30, 28, 64, 3, 1, 1 }, { 4, 64, 41, 36, 96, 5, 2, 1 }, { 2, 64, 50, 51, 128, 3, 1, 4 } }

-- For every geometry: how many multiplications, and a function that does them.
local function on_geometries(f)
  return function(check)
    for _, g in ipairs(geometries) do
      local n, c, h, w, o, k, stride, groups = table.unpack(g)
      local x, kernel = ms.randn { n, c, h, w }, ms.randn { o, c // groups, k, k }
      local options = { stride = stride, groups = groups }
      local y = ms.conv2d(x, kernel, options)
      check(conv_products(table.unpack(g)), function() return f(x, kernel, y, options) end)
    end
  end
end

local counted = {
  conv2d = on_geometries(function(x, w, _, options) return ms.conv2d(x, w, options) end),
  conv2d_input_grad = on_geometries(function(x, w, y, options)
    return inside.conv2d_input_grad(y, w, { x.shape[3], x.shape[4] }, options)
  end),
  conv2d_weight_grad = on_geometries(function(x, w, y, options)
    return inside.conv2d_weight_grad(x, y, { w.shape[3], w.shape[4] }, options)
  end),
  matmul = function(check)
    local a, b = ms.randn { 3, 200, 310 }, ms.randn { 310, 420 }
    check(3 * 200 * 310 * 420, function() return ms.matmul(a, b) end)
    check(3 * 200 * 310 * 420, function() return ms.matmul(a:transpose():contiguous(), b:transpose():contiguous(), true, true) end)
    check(200 * 310 * 420, function() return ms.matmul(b, a[2], true, true) end)
    check(310 * 310 * 200 * 3, function() return ms.matmul(a, a, true) end)
    check(200 * 200 * 310 * 3, function() return ms.matmul(a, a, { tb = true }) end)
  end,
}

each_row(function(row)
  if not row.has_flops then return end
  TestFlops["test_" .. row.name] = function()
    assert(counted[row.name], "no case for a row that counts its arithmetic: " .. row.name)(function(products, f)
      local want = ("%.3f GFLOP"):format(2 * products / 1e9) -- a multiplication and an addition
      lu.assertStrContains(replayed(f):report(), want)
    end)
  end
end)
