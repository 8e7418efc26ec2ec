-- Layouts (runtime/step/layout.c): in a compiled step images lie channels last where the convolutions gain by it, and a step's outcome is
-- that of the eager run up to rounding.
-- luacheck: globals TestLayout
local lu = require "luaunit"
local ms = require "mascon"
local nn, optim = ms.nn, ms.optim

TestLayout = {}

local CALLS = 6

-- How many tensors the step's report says lie channels last.
local function turned(step) return tonumber(step:report():match("(%d+) tensors? kept channels last") or 0) end

local function close(a, b, part, what)
  lu.assertEquals(a.shape, b.shape, what)
  local most = b:abs():amax():item()
  local off = (a - b):abs():amax():item()
  most = math.max(most, 1e-3) -- the gradient of a bias before a batch norm is rounding alone
  if not (off <= part * most) then lu.fail(("%s: %g off, largest %g"):format(what, off, most), 3) end
end

-- make() -> step function, arguments(i), parameters. Eager and compiled from the same seed, in f64 and f32; gives the f32 step.
local function like_eager(make, part32, calls)
  local last
  for _, dtype in ipairs { "f64", "f32" } do
    local part = dtype == "f64" and 1e-10 or part32 or 1e-4
    local function world(compile)
      ms.seed(11)
      local f, arguments, parameters = make(dtype)
      local step, given = compile and ms.compile(f) or f, {}
      for i = 1, calls or CALLS do
        for _, r in ipairs { step(arguments(i)) } do given[#given + 1] = r:detach():clone() end
      end
      for _, p in ipairs(parameters) do
        given[#given + 1] = p:detach():clone()
        if p.grad then given[#given + 1] = p.grad:detach():clone() end
      end
      return given, step
    end
    local eager, compiled, step = world(false), world(true)
    lu.assertEquals(#eager, #compiled)
    for i = 1, #eager do close(compiled[i], eager[i], part, dtype .. " value " .. i) end
    last = step
  end
  return last
end

local function to(dtype, net) return dtype == "f64" and net:to("f64") or net end

local function trainer(list, shape)
  return function(dtype)
    local net = to(dtype, nn.sequential(list()))
    local sgd = optim.sgd(net:parameters(), { lr = 0.01, momentum = 0.9 })
    local inputs = {}
    for i = 1, CALLS do inputs[i] = ms.randn(shape, { dtype = dtype }) end
    return function(x)
      local out = net(x)
      local loss = (out * out):mean()
      sgd:zero_grad()
      loss:backward()
      sgd:step()
      return loss, out
    end, function(i) return inputs[i] end, net:parameters()
  end
end

local function conv(i, o, options) return nn.conv2d(i, o, 3, options or { padding = 1 }) end

function TestLayout.test_conv_norm_relu()
  local step = like_eager(trainer(function()
    return { conv(3, 16), nn.batch_norm2d(16), nn.relu(), conv(16, 32), nn.batch_norm2d(32), nn.relu(), conv(32, 16), nn.sigmoid(),
      conv(16, 2) }
  end, { 4, 3, 9, 7 }), 2e-3)
  lu.assertTrue(turned(step) >= 6, step:report())
end

function TestLayout.test_pool_and_resample()
  for _, mode in ipairs { "nearest", "bilinear", "bicubic" } do
    local step = like_eager(trainer(function()
      return { conv(2, 16), nn.leaky_relu(0.1), conv(16, 20), nn.avg_pool2d(3, { stride = 2, padding = 1 }), nn.relu(), conv(20, 16),
        nn.upsample(2, mode), nn.relu(), conv(16, 18), nn.avg_pool2d(2), conv(18, 16), nn.tanh(), conv(16, 3) }
    end, { 3, 2, 8, 10 }), 1e-3)
    lu.assertTrue(turned(step) >= 8, step:report())
  end
end

-- Forward, max pooling takes and gives images channels last, whoever reads its positions or nobody. In training its positions are read as
-- rows, and the images around it stay planes.
function TestLayout.test_max_pooling()
  local function forward(positions)
    return like_eager(function(dtype)
      local a, b, c = to(dtype, conv(2, 16)), to(dtype, conv(16, 18)), to(dtype, conv(18, 16))
      local x = ms.randn({ 3, 2, 9, 10 }, { dtype = dtype })
      return function(t)
        local y, at = ms.max_pool2d(ms.relu(b(ms.relu(a(t)))), 3, { stride = 2, padding = 1, return_indices = true })
        return c(y):mean(), positions and (at * 2):sum { 1, 3, 4 } or nil
      end, function() return x end, {}
    end, 1e-4)
  end
  for _, positions in ipairs { false, true } do
    local step = forward(positions)
    lu.assertTrue(turned(step) >= (positions and 7 or 6), step:report())
  end
  like_eager(trainer(function()
    return { conv(2, 16), nn.relu(), nn.max_pool2d(2), conv(16, 20), nn.relu(), nn.max_pool2d(3, { stride = 2 }), conv(20, 16), nn.relu(),
      conv(16, 3) }
  end, { 3, 2, 12, 14 }), 1e-3)
end

-- Other sizes than the double; windows that leave rows out.
function TestLayout.test_odd_sizes()
  for _, mode in ipairs { "nearest", "bilinear", "bicubic" } do
    local step = like_eager(function(dtype)
      local a, b, c = to(dtype, conv(3, 17)), to(dtype, conv(17, 19, { stride = 2 })), to(dtype, conv(19, 16))
      local x = ms.randn({ 2, 3, 11, 9 }, { dtype = dtype }):requires_grad_()
      return function(t)
        local y = b(ms.interpolate(a(t), { 7, 12 }, { mode = mode }))
        y = c(ms.avg_pool2d(ms.relu(y), { 2, 3 }, { stride = { 1, 2 }, padding = { 0, 1 } }))
        local loss = y:square():mean()
        return loss, ms.grad(loss, a.weight), ms.grad(loss, t), ms.grad(loss, c.bias)
      end, function() return x end, {}
    end)
    lu.assertTrue(turned(step) >= 4, step:report())
  end
end

function TestLayout.test_flatten_stays()
  local step = like_eager(trainer(function()
    return { conv(1, 16), nn.relu(), conv(16, 16), nn.relu(), conv(16, 16), nn.relu(), nn.flatten(), nn.linear(16 * 36, 3) }
  end, { 5, 1, 6, 6 }))
  lu.assertTrue(turned(step) >= 2, step:report())
end

-- A result, and an argument, lie as the caller wants them.
function TestLayout.test_results_and_arguments_stay()
  local step = like_eager(function(dtype)
    local a, b = to(dtype, conv(16, 16)), to(dtype, conv(16, 16))
    local x = ms.randn({ 2, 16, 5, 6 }, { dtype = dtype })
    return function(t)
      local h = ms.relu(a(t) + t)
      return b(h), h
    end, function() return x end, {}
  end)
  lu.assertEquals(turned(step), 0)
end

function TestLayout.test_few_channels_stay()
  local step = like_eager(trainer(function()
    return { conv(1, 8), nn.relu(), conv(8, 4), nn.relu(), conv(4, 1) }
  end, { 6, 1, 8, 8 }))
  lu.assertEquals(turned(step), 0)
end

function TestLayout.test_one_image()
  like_eager(trainer(function()
    return { conv(16, 32), nn.batch_norm2d(32), nn.relu(), conv(32, 16), nn.relu(), nn.upsample(2, "bilinear"), conv(16, 16),
      nn.avg_pool2d(2), conv(16, 16), nn.tanh(), conv(16, 1) }
  end, { 1, 16, 6, 6 }), 1e-3)
end

-- Broadcast operands, sums over some dimensions, numbers, choices: all in the order of the pixels.
function TestLayout.test_elementwise_company()
  local step = like_eager(function(dtype)
    local a, b, c = to(dtype, conv(2, 16)), to(dtype, conv(16, 24)), to(dtype, conv(24, 16))
    local x = ms.randn({ 3, 2, 5, 4 }, { dtype = dtype })
    local scale, column = ms.randn({ 24, 1, 1 }, { dtype = dtype }), ms.randn({ 3, 1, 5, 1 }, { dtype = dtype })
    return function(t)
      local y = b(ms.relu(a(t))) * scale + column
      y = ms.where(y:gt(0.1), y, 0.3 * y) / (1 + y:square())
      local z = c(y)
      local per_channel, per_image, per_pixel = y:sum { 1, 3, 4 }, y:mean { 3, 4 }, z:mean({ 2 }, { keepdim = true })
      local kept = z:sum({ 1, 3, 4 }, { keepdim = true })
      local loss = (z * kept):square():mean() + per_pixel:sum()
      return loss, per_channel, per_image, per_pixel, kept, ms.grad(loss, a.weight), ms.grad(loss, b.bias)
    end, function() return x end, {}
  end)
  lu.assertTrue(turned(step) >= 4, step:report())
end

-- A sum that leaves channels before pixels wants planes.
function TestLayout.test_sum_over_images_stays()
  like_eager(function(dtype)
    local a, b, c = to(dtype, conv(2, 16)), to(dtype, conv(16, 16)), to(dtype, conv(16, 16))
    local x = ms.randn({ 3, 2, 5, 4 }, { dtype = dtype })
    return function(t)
      local y = ms.relu(b(ms.relu(a(t))))
      return y:sum { 1 }, y:sum { 4 }, c(y):mean()
    end, function() return x end, {}
  end)
end

-- The gradient of a gradient's norm, as a critic's penalty wants it.
function TestLayout.test_second_order()
  local step = like_eager(function(dtype)
    local net = to(dtype, nn.sequential { nn.conv2d(2, 16, 4, { stride = 2, padding = 1 }), nn.leaky_relu(0.2),
      nn.conv2d(16, 32, 4, { stride = 2, padding = 1 }), nn.leaky_relu(0.2), nn.conv2d(32, 32, 3, { padding = 1 }), nn.leaky_relu(0.2),
      nn.flatten(), nn.linear(32 * 16, 1) })
    local sgd = optim.sgd(net:parameters(), { lr = 0.01 })
    local inputs = {}
    for i = 1, CALLS do inputs[i] = ms.randn({ 3, 2, 16, 16 }, { dtype = dtype }) end
    return function(x)
      local t = x:detach():requires_grad_()
      local slope = ms.grad(net(t):sum(), t)
      local loss = ((slope:flatten(2):norm(2, 2) - 1) ^ 2):mean() + net(x):mean()
      sgd:zero_grad()
      loss:backward()
      sgd:step()
      return loss
    end, function(i) return inputs[i] end, net:parameters()
  end, 1e-3)
  lu.assertTrue(turned(step) >= 6, step:report())
end

-- Channels that are no whole vectors, images of a few pixels (whose gradients of weights are unfolded) and of one, both strides.
function TestLayout.test_channels_around_vectors()
  for _, size in ipairs { { 8, 8 }, { 13, 7 }, { 2, 3 } } do
    local step = like_eager(trainer(function()
      return { conv(3, 17), nn.relu(), conv(17, 33, { stride = 2, padding = 1 }), nn.relu(), conv(33, 48), nn.relu(),
        nn.conv2d(48, 16, 5, { padding = 2 }), nn.relu(), nn.conv2d(16, 47, 1), nn.relu(), conv(47, 16, { stride = 2, padding = 1 }) }
    end, { 5, 3, size[1], size[2] }), 1e-3)
    lu.assertTrue(turned(step) >= 8, step:report())
  end
end

-- Weights computed inside the step are 4-d tensors, too, but no images.
function TestLayout.test_weights_are_no_images()
  like_eager(function(dtype)
    local w = ms.randn({ 16, 16, 3, 3 }, { dtype = dtype }):requires_grad_()
    local x = ms.randn({ 2, 16, 6, 5 }, { dtype = dtype })
    return function(t)
      local v = w / w:square():sum({ 2, 3, 4 }, { keepdim = true }):sqrt()
      local y = ms.relu(ms.conv2d(t, v, { padding = 1 }))
      local loss = ms.conv2d(y, v, { padding = 1 }):square():mean()
      return loss, ms.grad(loss, w)
    end, function() return x end, {}
  end)
end

function TestLayout.test_groups()
  like_eager(trainer(function()
    return { conv(3, 16), nn.relu(), nn.conv2d(16, 32, 3, { groups = 4 }), nn.relu(), conv(32, 16), nn.relu(), conv(16, 16), nn.relu(),
      conv(16, 1) }
  end, { 2, 3, 8, 9 }), 1e-3)
end

-- Few pixels and many channels cut gradients of weights by channels, many pixels by images: the bits are those of one thread.
function TestLayout.test_threads()
  local threads, want = ms.threads(), nil
  for _, n in ipairs { 1, 2, 5 } do
    ms.threads(n)
    ms.seed(3)
    local f, arguments, parameters = trainer(function()
      return { conv(2, 16), nn.relu(), conv(16, 64, { stride = 2, padding = 1 }), nn.batch_norm2d(64), nn.relu(),
        nn.upsample(2, "bilinear"), conv(64, 32), nn.leaky_relu(0.2), nn.avg_pool2d(4), conv(32, 128), nn.relu(), conv(128, 32) }
    end, { 20, 2, 24, 24 })("f32")
    local step, given = ms.compile(f), {}
    for i = 1, CALLS do given[i] = step(arguments(i)):clone() end
    for _, p in ipairs(parameters) do given[#given + 1] = p.grad end
    for i, t in ipairs(want or {}) do lu.assertTrue(t:eq(given[i]):all():item(), n .. " threads, value " .. i) end
    want = want or given
  end
  ms.threads(threads)
end
