-- Folded convolutions (runtime/step/fold.c): a compiled step's convolutions take in the average pooling behind them and the nearest
-- upsampling before them, and give the numbers of the single operations.
-- luacheck: globals TestFolds TestKept TestShapes TestNets
local lu = require "luaunit"
local ms = require "mascon"
local inside = require "mascon.inside"

-- ---- comparing --------------------------------------------------------------------------------------------------------------------

local function spread(a) return a:numel() == 0 and 0 or a:abs():amax():item() end

local function close(a, b, bound, what)
  lu.assertEquals(a.shape, b.shape, what)
  lu.assertTrue(spread(a - b) <= bound * (spread(b) + 1e-30), what .. " differs")
end

-- How many convolutions a step folded.
local function folds(step) return tonumber(step:report():match "(%d+) convolutions? folded" or 0) end

-- Run f eagerly and as a step on fresh inputs; gives how many convolutions were folded.
local function check(f, inputs, bound)
  local step = ms.compile(f)
  for i = 1, 5 do
    local x = inputs(i)
    local eager, replay = { f(table.unpack(x)) }, { step(table.unpack(x)) }
    lu.assertEquals(#eager, #replay)
    for k = 1, #eager do close(replay[k], eager[k], bound or 1e-12, "result " .. k .. " of call " .. i) end
  end
  return folds(step)
end

local function noise(shape, dtype) return ms.randn(shape, { dtype = dtype or "f64" }) end

-- y = g(x, w, b), and the gradients of sum(y * y * v) with respect to the three.
local function with_gradients(g)
  return function(x, w, b)
    x, w, b = x:detach():requires_grad_(), w:detach():requires_grad_(), b:detach():requires_grad_()
    local y = g(x, w, b)
    local dx, dw, db = ms.grad((y * y):sum(), { x, w, b })
    if type(dx) == "table" then dx, dw, db = table.unpack(dx) end
    return y:detach(), dx, dw, db
  end
end

local function inputs_of(n, c, h, w, o, k, dtype)
  return function() return { noise({ n, c, h, w }, dtype), noise({ o, c, k, k }, dtype), noise({ o }, dtype) } end
end

-- ---- what folds -------------------------------------------------------------------------------------------------------------------

TestFolds = {}

local function pooled(size, options)
  return function(x, w, b) return ms.avg_pool2d(ms.conv2d(x, w, b, options), size) end
end

local function enlarged(factor, options, act)
  return function(x, w, b)
    local fy, fx = factor, factor
    if type(factor) == "table" then fy, fx = factor[1], factor[2] end
    local y = ms.interpolate(x, { x.shape[3] * fy, x.shape[4] * fx })
    return ms.conv2d(act and act(y) or y, w, b, options)
  end
end

function TestFolds.test_pooling()
  for _, case in ipairs {
    { 2, { padding = 1 }, 8, 8, 3 }, { 2, { padding = 0 }, 10, 8, 3 }, { 2, { padding = 2 }, 8, 12, 5 }, { 3, { padding = 1 }, 9, 6, 3 },
    { { 2, 1 }, { padding = 1 }, 8, 5, 3 }, { 4, { padding = { 1, 0 } }, 8, 10, 3 }, { 2, { stride = 2, padding = 1 }, 16, 16, 3 },
    { 2, { padding = 1 }, 7, 9, 3 }, -- the last row and column are in no window
  } do
    local size, options, h, w, k = table.unpack(case)
    lu.assertEquals(check(pooled(size, options), inputs_of(4, 3, h, w, 5, k)), 1)
    lu.assertEquals(check(with_gradients(pooled(size, options)), inputs_of(4, 3, h, w, 5, k)), 3)
  end
end

function TestFolds.test_pooling_f32()
  lu.assertEquals(check(with_gradients(pooled(2, { padding = 1 })), inputs_of(16, 8, 14, 14, 8, 3, "f32"), 1e-5), 3)
  lu.assertEquals(check(with_gradients(enlarged(2, { padding = 1 })), inputs_of(16, 8, 7, 7, 16, 3, "f32"), 1e-5), 3)
end

function TestFolds.test_upsampling()
  for _, case in ipairs {
    { 2, { padding = 1 }, 4, 5, 3 }, { 2, { padding = 0 }, 4, 4, 3 }, { 2, { padding = 2 }, 5, 3, 5 }, { 4, { padding = 1 }, 3, 4, 3 },
    { { 1, 2 }, { padding = 1 }, 6, 5, 3 }, { { 2, 4 }, { padding = { 0, 2 } }, 5, 4, 3 },
  } do
    local factor, options, h, w, k = table.unpack(case)
    lu.assertEquals(check(enlarged(factor, options), inputs_of(4, 3, h, w, 5, k)), 1)
    lu.assertEquals(check(with_gradients(enlarged(factor, options)), inputs_of(4, 3, h, w, 5, k)), 3)
  end
end

function TestFolds.test_no_bias()
  local function two(x, w)
    return ms.avg_pool2d(ms.conv2d(x, w, { padding = 1 }), 2), ms.conv2d(ms.interpolate(x, { 16, 16 }), w, { padding = 1 })
  end
  lu.assertEquals(check(two, inputs_of(4, 3, 8, 8, 5, 3)), 2)
end

function TestFolds.test_through_elementwise_operations()
  local slope = noise { 1, 3, 1, 1 }
  for name, act in pairs {
    relu = ms.relu, tanh = ms.tanh, sigmoid = ms.sigmoid, leaky = function(x) return ms.leaky_relu(x, 0.2) end,
    scaled = function(x) return x * slope end, chain = function(x) return ms.tanh(ms.relu(x) * 2 - 1) end,
  } do
    local n = check(with_gradients(enlarged(2, { padding = 1 }, act)), inputs_of(4, 3, 5, 4, 2, 3))
    lu.assertEquals(n, 3, name)
  end
end

function TestFolds.test_weights_are_spread_once()
  local step = ms.compile(with_gradients(enlarged(2, { padding = 1 })))
  for _ = 1, 4 do step(table.unpack(inputs_of(4, 3, 5, 4, 2, 3)())) end
  local _, n = step:report():gsub("\n  matmul", "")
  lu.assertEquals(n, 2) -- w for both directions, and the gradient back
end

function TestFolds.test_another_batch()
  local step = ms.compile(with_gradients(pooled(2, { padding = 1 })))
  for i = 1, 12 do
    local x = inputs_of(i % 2 == 0 and 4 or 7, 3, 8, 8, 5, 3)()
    local eager, replay = { with_gradients(pooled(2, { padding = 1 }))(table.unpack(x)) }, { step(table.unpack(x)) }
    for k = 1, #eager do close(replay[k], eager[k], 1e-12, "result " .. k) end
  end
end

function TestFolds.test_second_order()
  local function penalty(x, w, b)
    x, w = x:detach():requires_grad_(), w:detach():requires_grad_()
    local y = enlarged(2, { padding = 1 }, ms.tanh)(pooled(2, { padding = 1 })(x, w, b), w, b)
    local slope = ms.grad((y * y):sum(), x)
    local loss = (slope * slope):sum()
    return loss:detach(), ms.grad(loss, w)
  end
  lu.assertTrue(check(penalty, inputs_of(4, 3, 8, 8, 3, 3), 1e-10) > 3)
end

-- ---- what does not ----------------------------------------------------------------------------------------------------------------

TestKept = {}

function TestKept.test_results_and_other_readers()
  local function both(x, w, b)
    local y = ms.conv2d(x, w, b, { padding = 1 })
    return y, ms.avg_pool2d(y, 2)
  end
  local function read(x, w, b)
    local y = ms.conv2d(x, w, b, { padding = 1 })
    return ms.avg_pool2d(y, 2), y:sum()
  end
  lu.assertEquals(check(both, inputs_of(4, 3, 8, 8, 5, 3)), 0)
  lu.assertEquals(check(read, inputs_of(4, 3, 8, 8, 5, 3)), 0)
end

function TestKept.test_other_geometry()
  local function overlapping(x, w, b) return ms.avg_pool2d(ms.conv2d(x, w, b), 3, { stride = 2 }) end
  local function padded(x, w, b) return ms.avg_pool2d(ms.conv2d(x, w, b), 2, { padding = 1 }) end
  local function spaced(x, w, b) return ms.avg_pool2d(ms.conv2d(x, w, b, { dilation = 2 }), 2) end
  local function linear(x, w, b) return ms.conv2d(ms.interpolate(x, { 16, 16 }, { mode = "bilinear" }), w, b) end
  local function uneven(x, w, b) return ms.conv2d(ms.interpolate(x, { 15, 16 }), w, b) end
  local function strided(x, w, b) return ms.conv2d(ms.interpolate(x, { 16, 16 }), w, b, { stride = 2 }) end
  local function wide(x, w, b) return ms.conv2d(ms.interpolate(x, { 16, 16 }), w, b, { padding = 3 }) end
  for i, f in ipairs { overlapping, padded, spaced, linear, uneven, strided, wide } do
    lu.assertEquals(check(with_gradients(f), inputs_of(4, 3, 8, 8, 5, 3)), 0, "case " .. i)
  end
  lu.assertEquals(check(with_gradients(pooled(2)), inputs_of(4, 3, 8, 8, 5, 1)), 0) -- as many products
  local function grouped(x, w, b) return ms.avg_pool2d(ms.conv2d(x, w, b, { groups = 3 }), 2) end
  lu.assertEquals(check(grouped, function() return { noise { 4, 3, 8, 8 }, noise { 6, 1, 3, 3 }, noise { 6 } } end), 0)
end

function TestKept.test_what_changes_in_between()
  local function moved(x, w, b)
    local big = ms.interpolate(x, { 16, 16 })
    x:mul_(2)
    return ms.conv2d(big, w, b, { padding = 1 })
  end
  local function overwritten(x, w, b)
    local y = ms.conv2d(x, w, b, { padding = 1 })
    w:mul_(2)
    return ms.avg_pool2d(y, 2)
  end
  for _, f in ipairs { moved, overwritten } do
    local function copied(x, w, b) return f(x:clone(), w:clone(), b) end
    lu.assertEquals(check(copied, inputs_of(4, 3, 8, 8, 5, 3)), 0)
  end
end

-- ---- the shapes that folding makes: few channels, strides, in f32 against f64 ------------------------------------------------------

TestShapes = {}

function TestShapes.test_strided_convolutions_of_few_channels()
  for _, case in ipairs { -- channels, height, width, channels, kernel, stride, padding
    { 16, 14, 14, 8, { 4, 4 }, 2, 1 }, { 8, 14, 14, 16, { 4, 4 }, 2, 1 }, { 1, 28, 28, 16, { 4, 4 }, 2, 1 },
    { 5, 15, 37, 6, { 4, 4 }, 2, 1 }, { 3, 33, 64, 4, { 3, 5 }, 2, { 1, 2 } }, { 6, 20, 21, 3, { 4, 3 }, { 2, 1 }, 1 },
    { 6, 21, 20, 3, { 3, 4 }, { 1, 2 }, { 0, 3 } }, { 4, 16, 16, 4, { 2, 2 }, 2, 0 }, { 8, 260, 130, 5, { 4, 4 }, 2, 1 },
    { 2, 19, 18, 7, { 5, 5 }, 3, 2 }, { 4, 17, 16, 8, { 1, 1 }, 2, 0 }, { 3, 40, 9, 2, { 6, 6 }, { 4, 1 }, 2 },
  } do
    local c, h, w, o, k, stride, padding = table.unpack(case)
    local x, v = noise { 5, c, h, w }, noise { o, c, k[1], k[2] }
    local options = { stride = stride, padding = padding }
    local what = ("%d x %d x %d to %d, %d x %d"):format(c, h, w, o, k[1], k[2])
    local y = ms.conv2d(x, v, options)
    local g = noise(y.shape)
    local x32, v32, g32 = x:cast "f32", v:cast "f32", g:cast "f32"
    close(ms.conv2d(x32, v32, options):cast "f64", y, 1e-5, what)
    close(inside.conv2d_input_grad(g32, v32, { h, w }, options):cast "f64", inside.conv2d_input_grad(g, v, { h, w }, options), 1e-5, what)
    close(inside.conv2d_weight_grad(x32, g32, k, options):cast "f64", inside.conv2d_weight_grad(x, g, k, options), 1e-5, what)
  end
end

-- ---- a whole net ------------------------------------------------------------------------------------------------------------------

TestNets = {}

local function autoencoder(dtype)
  ms.seed(3)
  local nn = ms.nn
  local function conv(i, o) return nn.conv2d(i, o, 3, { padding = 1 }) end
  local net = nn.sequential {
    conv(1, 8), nn.avg_pool2d(2), nn.relu(), conv(8, 4), nn.avg_pool2d(2), nn.relu(), conv(4, 4), nn.upsample(2), nn.relu(),
    conv(4, 8), nn.upsample(2), nn.relu(), conv(8, 1),
  }
  net:to(dtype)
  local optimizer = ms.optim.sgd(net:parameters(), { lr = 0.01, momentum = 0.9 })
  return function(x)
    local loss = nn.mse(net(x), x)
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
    return loss
  end
end

function TestNets.test_autoencoder()
  local eager, step = autoencoder "f64", ms.compile(autoencoder "f64")
  for i = 1, 8 do
    local x = noise { 8, 1, 16, 16 }
    close(step(x), eager(x), 1e-11, "loss " .. i)
  end
  lu.assertEquals(folds(step), 11) -- each of the four convolutions three times, but nobody asks for the gradient of x
end
