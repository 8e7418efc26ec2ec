-- Images and signals: convolution, pooling, resampling and what moves pixels. Values are compared with PyTorch's in test_parity.lua; here:
-- one image without a batch, every option in a compiled step beside an eager run (no folding where an option changes the windows),
-- identities between operations, limits, messages.
-- gcstress: every 50
-- luacheck: globals TestOneImage TestReplayed TestIdentities TestLimits TestRefused
local lu = require "luaunit"
local ms = require "mascon"

local function noise(shape) return ms.randn(shape, { dtype = "f64" }) end

local function close(got, want, bound, what)
  lu.assertEquals(got.shape, want.shape, what)
  if want:numel() == 0 then return end
  local off = (got:double() - want:double()):abs():amax():item()
  if not (off <= bound) then lu.fail(("%s: %g off"):format(what or "values", off), 3) end
end

-- ---- one image ----------------------------------------------------------------------------------------------------------------------

TestOneImage = {}

local on_images = {
  conv2d = function(x) return ms.conv2d(x, ms.ones({ 2, 3, 2, 2 }, { dtype = "f64" }), { stride = 2, padding = 1 }) end,
  conv2d_same = function(x) return ms.conv2d(x, ms.ones({ 2, 3, 2, 2 }, { dtype = "f64" }), { padding = "same" }) end,
  conv_transpose2d = function(x) return ms.conv_transpose2d(x, ms.ones({ 3, 2, 2, 2 }, { dtype = "f64" }), { stride = 2 }) end,
  avg_pool2d = function(x) return ms.avg_pool2d(x, 2, { ceil_mode = true }) end,
  max_pool2d = function(x) return ms.max_pool2d(x, 2, { return_indices = true }) end,
  adaptive_avg_pool2d = function(x) return ms.adaptive_avg_pool2d(x, { 2, 3 }) end,
  adaptive_max_pool2d = function(x) return ms.adaptive_max_pool2d(x, { 2, 3 }, { return_indices = true }) end,
  lp_pool2d = function(x) return ms.lp_pool2d(x:abs() + 1, 2, 2) end,
  im2col = function(x) return ms.im2col(x, 2) end,
  pixel_unshuffle = function(x) return ms.pixel_unshuffle(x[{ {}, {}, { 1, 4 } }], 2) end,
}

for name, f in pairs(on_images) do
  TestOneImage["test_" .. name] = function()
    local x = noise { 3, 5, 4 }:requires_grad_()
    if name == "pixel_unshuffle" then f = function(t) return ms.pixel_unshuffle(t, 1) end end
    local one, batch = { f(x) }, { f(x:unsqueeze(1)) }
    lu.assertEquals(#one, #batch)
    for k = 1, #one do close(one[k], batch[k]:squeeze { 1 }, 0, name) end
    close(ms.grad((one[1] * one[1]):sum(), x), ms.grad((batch[1] * batch[1]):sum(), x), 1e-14, name)
  end
end

-- ---- in compiled steps --------------------------------------------------------------------------------------------------------------

TestReplayed = {}

local function folds(step) return tonumber(step:report():match "(%d+) convolutions? folded" or 0) end

-- f behind a convolution, and before another: values and gradients of an eager run and of a replay. Gives how many convolutions folded.
local function check(what, f)
  ms.seed(2)
  local a, b = noise { 18, 3, 3, 3 }, noise { 16, 18, 3, 3 }
  local function run(x)
    local w, v = a:detach():requires_grad_(), b:detach():requires_grad_()
    local y = ms.conv2d(f(ms.conv2d(x, w, { padding = 1 })), v, { padding = 1 })
    local dw, dv = ms.grad((y * y):sum(), { w, v })
    if type(dw) == "table" then dw, dv = dw[1], dw[2] end
    return y:detach(), dw, dv
  end
  local step = ms.compile(run)
  for _ = 1, 5 do
    local x = noise { 2, 3, 9, 8 }
    local want, got = { run(x) }, { step(x) }
    for k = 1, #want do
      local size = want[k]:abs():amax():item()
      close(got[k], want[k], 1e-11 * size, what)
    end
  end
  return folds(step)
end

local pooled = {
  ["plain, which folds"] = { { 2 }, 2 }, -- 9 rows: the last is in no window
  ["windows up to the end"] = { { 2, { ceil_mode = true } }, 0 },
  ["a divisor"] = { { 2, { divisor_override = 3 } }, 0 },
  ["the divisor there is"] = { { 2, { divisor_override = 4 } }, 2 },
  ["padding"] = { { 3, { padding = 1, stride = 2 } }, 0 },
  ["padding that does not count"] = { { 3, { padding = 1, stride = 2, count_include_pad = false } }, 0 },
  ["up to the end, padding does not count"] = { { 3, { padding = 1, stride = 2, count_include_pad = false, ceil_mode = true } }, 0 },
}
for what, case in pairs(pooled) do
  TestReplayed["test_average_" .. what] = function()
    lu.assertEquals(check(what, function(x) return ms.avg_pool2d(x, table.unpack(case[1])) end), case[2])
  end
end

for what, case in pairs { ["even windows, which fold"] = { { 3, 4 }, 2 }, ["windows of their own sizes"] = { { 4, 3 }, 0 },
  ["one pixel"] = { 1, 0 } } do
  TestReplayed["test_adaptive_" .. what] = function()
    lu.assertEquals(check(what, function(x) return ms.adaptive_avg_pool2d(x, case[1]) end), case[2])
  end
end

for what, options in pairs { dilation = { 2, { dilation = 2 } }, ceiling = { 2, { ceil_mode = true } },
  both = { 3, { dilation = 2, ceil_mode = true, padding = 1, stride = 2 } } } do
  TestReplayed["test_maximum_" .. what] = function() check(what, function(x) return ms.max_pool2d(x, table.unpack(options)) end) end
end
function TestReplayed.test_adaptive_maximum() check("maximum", function(x) return ms.adaptive_max_pool2d(x, { 4, 3 }) end) end

for what, case in pairs {
  ["nearest, which folds"] = { { size = { 18, 16 } }, 2 }, ["nearest by scale, which folds"] = { { scale_factor = 2 }, 2 },
  ["nearest-exact, which folds"] = { { scale_factor = 2, mode = "nearest-exact" }, 2 },
  ["nearest by an odd scale"] = { { scale_factor = 2.1 }, 0 }, ["area"] = { { size = { 4, 3 }, mode = "area" }, 0 },
  ["bilinear"] = { { scale_factor = 2, mode = "bilinear" }, 0 },
  ["bilinear, corners aligned"] = { { scale_factor = 2, mode = "bilinear", align_corners = true }, 0 },
  ["bicubic, corners aligned"] = { { size = { 5, 12 }, mode = "bicubic", align_corners = true }, 0 },
  ["bilinear by a scale"] = { { scale_factor = { 1.4, 2.6 }, mode = "bilinear" }, 0 },
} do
  TestReplayed["test_resampling_" .. what] = function()
    local n = check(what, function(x) return ms.interpolate(x, case[1]) end)
    if case[2] == 0 then lu.assertEquals(n, 0) else lu.assertTrue(n >= case[2], n) end
  end
end

for what, f in pairs {
  same = function(x) return ms.conv2d(x, ms.ones({ 18, 18, 2, 2 }, { dtype = "f64" }), { padding = "same" }) end,
  shuffled = function(x)
    return ms.pixel_unshuffle(ms.pixel_shuffle(ms.channel_shuffle(x, 2):tile { 1, 2, 1, 1 }, 2), 2)[{ {}, { 1, 18 } }]
  end,
  columns = function(x) return ms.col2im(ms.im2col(x, 3, { padding = 1 }), { 9, 8 }, 3, { padding = 1 }) end,
} do
  TestReplayed["test_" .. what] = function() check(what, f) end
end

-- ---- identities ---------------------------------------------------------------------------------------------------------------------

TestIdentities = {}

function TestIdentities.test_signals_are_images_of_height_1()
  local x, w = noise { 2, 4, 11 }, noise { 6, 2, 3 }
  local y = ms.conv1d(x, w, { groups = 2, stride = 2, padding = 3, dilation = 2 })
  local flat = { groups = 2, stride = { 1, 2 }, padding = { 0, 3 }, dilation = { 1, 2 } }
  close(y, ms.conv2d(x:unsqueeze(3), w:unsqueeze(3), flat):squeeze { 3 }, 0)
  local values, at = ms.max_pool1d(x, 3, { return_indices = true })
  close(x:gather(3, at), values, 0)
end

function TestIdentities.test_convolution_is_a_product_with_columns()
  local x, w = noise { 2, 3, 7, 6 }, noise { 5, 3, 3, 2 }
  local options = { padding = { 2, 1 }, stride = { 2, 1 }, dilation = { 1, 2 } }
  local columns = ms.im2col(x, { 3, 2 }, options)
  local y = ms.conv2d(x, w, options)
  close(ms.matmul(w:reshape { 5, 18 }, columns):reshape(y.shape), y, 1e-12)
  local g = noise(columns.shape) -- col2im is the adjoint of im2col
  local back = ms.col2im(g, { 7, 6 }, { 3, 2 }, options)
  lu.assertAlmostEquals((columns * g):sum():item(), (x * back):sum():item(), 1e-10)
end

function TestIdentities.test_an_image_read_at_its_own_points_is_the_image()
  local x = noise { 2, 3, 5, 4 }
  local theta = ms.tensor({ { { 1, 0, 0 }, { 0, 1, 0 } }, { { -1, 0, 0 }, { 0, 1, 0 } } }, { dtype = "f64" })
  for _, align in ipairs { false, true } do
    for _, mode in ipairs { "bilinear", "nearest", "bicubic" } do
      local y = ms.grid_sample(x, ms.affine_grid(theta, { 2, 3, 5, 4 }, align), { mode = mode, align_corners = align })
      close(y[1], x[1], 1e-12, mode)
      close(y[2], x[2]:flip { 3 }, 1e-12, mode)
    end
  end
end

-- ---- limits -------------------------------------------------------------------------------------------------------------------------

-- Gradients of maxima, and their adjoint, are the same however gradients, images and positions lie in memory.
function TestIdentities.test_maxima_by_their_positions_in_any_layout()
  local function laid(x)
    local turned = x:transpose(3, 4):contiguous():transpose(3, 4)
    return { x, turned, x:permute { 1, 3, 4, 2 }:contiguous():permute { 1, 4, 2, 3 },
      ms.cat({ x, x }, 4)[{ {}, {}, {}, { 1, x:size(4) } }] }
  end
  for _, how in ipairs { { 2, {} }, { 3, { stride = 2, padding = 1 } }, { 2, { stride = 1 } } } do
    local given = ms.randn { 2, 3, 7, 6 }
    local want, want_second
    for _, x in ipairs(laid(given)) do
      x = x:detach():requires_grad_()
      local y = ms.max_pool2d(x, how[1], how[2])
      local g = ms.with_seed(3, ms.randn, y.shape)
      for _, gradient in ipairs(laid(g)) do
        local w = gradient:detach():requires_grad_()
        local dx = ms.grad(y, x, { gradient = w, create_graph = true, retain_graph = true })
        local second = ms.grad(dx, w, { gradient = given }) -- the adjoint: elements of `given` at the positions
        want, want_second = want or dx, want_second or second
        lu.assertTrue(dx:equal(want))
        lu.assertTrue(second:equal(want_second))
      end
    end
  end
end

TestLimits = {}

function TestLimits.test_nan_is_the_largest_and_padding_never_is()
  local nan = 0 / 0
  local x = ms.tensor { { { -1, -2, -3 }, { -4, nan, -6 }, { -7, -8, -9 } } }
  local y = ms.max_pool2d(x, 3, { stride = 2, padding = 1 })
  for _, v in ipairs(y:reshape { -1 }:totable()) do lu.assertTrue(v ~= v) end
  lu.assertEquals(ms.max_pool2d(x, 2, { stride = 2, padding = 1 })[{ 1, 1 }]:totable(), { -1, -2 })
  lu.assertEquals(ms.max_pool2d(ms.full({ 1, 2, 2 }, -math.huge), 2):totable(), { { { -math.huge } } })
  local wide = ms.adaptive_max_pool2d(x, 2)
  for _, v in ipairs(wide:reshape { -1 }:totable()) do lu.assertTrue(v ~= v) end
end

function TestLimits.test_no_images()
  local none = ms.zeros { 0, 3, 6, 8 }:requires_grad_()
  for _, y in ipairs { ms.avg_pool2d(none, 2, { ceil_mode = true }), (ms.max_pool2d(none, 2)), ms.adaptive_avg_pool2d(none, { 4, 5 }),
    (ms.adaptive_max_pool2d(none, { 4, 5 })), ms.interpolate(none, { 3, 3 }, { mode = "bicubic" }), ms.pixel_unshuffle(none, 2),
    ms.im2col(none, 2), ms.grid_sample(none, ms.zeros { 0, 2, 2, 2 }) } do
    lu.assertEquals(#y, 0)
    lu.assertEquals(ms.grad(y:sum(), none).shape, none.shape)
  end
end

function TestLimits.test_turned_images_give_what_their_copies_give()
  local x = noise { 2, 6, 7, 3 }:permute { 1, 4, 3, 2 }
  for name, f in pairs(on_images) do
    if name ~= "pixel_unshuffle" then close((f(x)), (f(x:contiguous())), 1e-13, name) end
  end
  close(ms.interpolate(x, { 5, 9 }, { mode = "bicubic", align_corners = true }),
    ms.interpolate(x:contiguous(), { 5, 9 }, { mode = "bicubic", align_corners = true }), 1e-13)
end

-- ---- messages -----------------------------------------------------------------------------------------------------------------------

TestRefused = {}

local x, s = ms.ones { 1, 2, 6, 7 }, ms.ones { 1, 2, 6 }
for message, f in pairs {
  ["conv2d: argument padding: expected integers or one of valid|same, got 'full'"] = function()
    ms.conv2d(x, ms.ones { 1, 2, 3, 3 }, { padding = "full" })
  end,
  ["conv2d: padding 'same' goes with stride 1 only, got stride 2"] = function()
    ms.conv2d(x, ms.ones { 1, 2, 3, 3 }, { padding = "same", stride = 2 })
  end,
  ["conv2d: x is 6 x 7 f32, expected N x C x H x W or C x H x W"] = function() ms.conv2d(x[{ 1, 1 }], ms.ones { 1, 2, 3, 3 }) end,
  ["conv1d: x is 1 x 2 x 6 x 7 f32, expected N x C x L or C x L"] = function() ms.conv1d(x, ms.ones { 1, 2, 3 }) end,
  ["conv1d: w is 2 x 3 f32, expected 3 dimensions"] = function() ms.conv1d(s, ms.ones { 2, 3 }) end,
  ["conv1d: 2 numbers for stride, expected one"] = function() ms.conv1d(s, ms.ones { 1, 2, 3 }, { stride = { 1, 2 } }) end,
  ["the kernel reaches over 9 columns, the padded input has only 6"] = function() ms.conv1d(s, ms.ones { 1, 2, 3 }, { dilation = 4 }) end,
  ["output_padding 2, expected less than the stride 2 or the dilation 1"] = function()
    ms.conv_transpose2d(x, ms.ones { 2, 1, 3, 3 }, { stride = 2, output_padding = 2 })
  end,
  ["max_pool2d: max_pool2d_with_indices: padding 2 is more than half of kernel_size 3"] = function() ms.max_pool2d(x, 3, 1, 2) end,
  ["a window of 2 holds no element of 1"] = function() ms.max_pool2d(ms.ones { 1, 1, 1, 4 }, 2, 1, 1, 2) end,
  ["avg_pool2d: divisor_override is 0, expected another number"] = function() ms.avg_pool2d(x, 2, { divisor_override = 0 }) end,
  ["adaptive_avg_pool2d: output_size is -2, expected 0 or more"] = function() ms.adaptive_avg_pool2d(x, -2) end,
  ["interpolate: expected size or scale_factor, got none"] = function() ms.interpolate(x) end,
  ["interpolate: expected size or scale_factor, got both"] = function() ms.interpolate(x, 3, 2) end,
  ["interpolate: x is 1 x 2 x 6 x 7 f32, mode 'linear' expects N x C x L"] = function() ms.interpolate(x, 3, { mode = "linear" }) end,
  ["interpolate: x is 1 x 2 x 6 f32, mode 'bicubic' expects N x C x H x W"] = function() ms.interpolate(s, 3, { mode = "bicubic" }) end,
  ["interpolate: align_corners goes with the modes linear, bilinear and bicubic"] = function()
    ms.interpolate(x, 3, { align_corners = true })
  end,
  ["interpolate: scale_factor 0.1 makes 6 to 0, expected 1 or more"] = function() ms.interpolate(x, { scale_factor = 0.1 }) end,
  ["pixel_shuffle: 1 x 2 x 6 x 7 f32 has 2 channels, expected a multiple of 4"] = function() ms.pixel_shuffle(x, 2) end,
  ["pixel_unshuffle: 1 x 2 x 6 x 7 f32: expected a height and width that 2 divides"] = function() ms.pixel_unshuffle(x, 2) end,
  ["channel_shuffle: 1 x 2 x 6 x 7 f32: 2 channels cannot be divided into 3 groups"] = function() ms.channel_shuffle(x, 3) end,
  ["im2col: windows that reach over 8 x 8 do not fit into 6 x 7 with padding 0 x 0"] = function() ms.im2col(x, 8) end,
  ["windows of 2 x 2 in 6 x 7 make columns of a multiple of 4 elements, 30 of them"] = function() ms.col2im(s, { 6, 7 }, 2) end,
  ["grid_sample: x is 1 x 2 x 6 x 7 f32, grid is 1 x 2 x 2 x 3 f32, expected"] = function() ms.grid_sample(x, ms.ones { 1, 2, 2, 3 }) end,
  ["affine_grid: theta is 2 x 3 f32, size 1 x 1 x 2 x 2, expected N x 2 x 3 and {N, C, H, W}"] = function()
    ms.affine_grid(ms.ones { 2, 3 }, { 1, 1, 2, 2 })
  end,
} do
  TestRefused["test_" .. message] = function() lu.assertErrorMsgContains(message, f) end
end

function TestLimits.test_with_ceil_mode_a_window_may_be_larger_than_the_image()
  local line = ms.tensor { { { 1, 3 } } } -- 1 x 1 x 2
  lu.assertEquals(ms.max_pool1d(line, 3, { ceil_mode = true }):totable(), { { { 3 } } })
  lu.assertEquals(ms.avg_pool1d(line, 3, { ceil_mode = true }):totable(), { { { 2 } } })
  local y = ms.tensor({ { { { 1, 2 } } } }, { requires_grad = true })
  local z = ms.avg_pool2d(y, 2, { ceil_mode = true, divisor_override = 3 })
  lu.assertEquals({ z:totable(), ms.grad(z:sum(), y).shape }, { { { { { 1 } } } }, { 1, 1, 1, 2 } })
  lu.assertErrorMsgContains("do not fit", ms.max_pool1d, line, 4, { stride = 1, ceil_mode = true })
  lu.assertErrorMsgContains("do not fit", ms.max_pool1d, line, 3)
end
