-- Layers for images and signals: each gives what its operation gives, is made and printed as it says, and refuses what it does not know.
-- gcstress: every 50
-- luacheck: globals TestImageLayers TestImageLayersRefused
local lu = require "luaunit"
local ms = require "mascon"
local nn = ms.nn

TestImageLayers, TestImageLayersRefused = {}, {}

local function same(got, want, what)
  lu.assertEquals(got.shape, want.shape, what)
  lu.assertTrue((got - want):abs():amax():item() <= 1e-6 * (1 + want:abs():amax():item()), what)
end

local image, signal = ms.randn { 2, 4, 6, 8 }, ms.randn { 2, 4, 10 }

-- Printed line -> layer, what its operation gives, for images (or signals, where the name ends in 1d).
local made = {
  ["avg_pool2d(3, stride = 2, padding = 1, ceil_mode = true, count_include_pad = false)"] = {
    nn.avg_pool2d(3, { stride = 2, padding = 1, ceil_mode = true, count_include_pad = false }),
    function(x) return ms.avg_pool2d(x, 3, 2, 1, true, false) end },
  ["avg_pool2d(2, stride = 2, divisor_override = 3)"] = { nn.avg_pool2d { kernel_size = 2, divisor_override = 3 },
    function(x) return ms.avg_pool2d(x, 2, { divisor_override = 3 }) end },
  ["avg_pool1d(2, stride = 2)"] = { nn.avg_pool1d(2), function(x) return ms.avg_pool1d(x, 2) end },
  ["max_pool2d(2, stride = 2, dilation = 2, ceil_mode = true)"] = { nn.max_pool2d(2, { dilation = 2, ceil_mode = true }),
    function(x) return ms.max_pool2d(x, 2, { dilation = 2, ceil_mode = true }) end },
  ["max_pool1d(3, stride = 1)"] = { nn.max_pool1d { 3, stride = 1 }, function(x) return ms.max_pool1d(x, 3, 1) end },
  ["lp_pool2d(2, 3, stride = 3)"] = { nn.lp_pool2d(2, 3), function(x) return ms.lp_pool2d(x, 2, 3) end },
  ["lp_pool1d(2, 3, stride = 2)"] = { nn.lp_pool1d(2, 3, { stride = 2 }), function(x) return ms.lp_pool1d(x, 2, 3, 2) end },
  ["adaptive_avg_pool2d(-1 x 3)"] = { nn.adaptive_avg_pool2d { -1, 3 }, function(x) return ms.adaptive_avg_pool2d(x, { 6, 3 }) end },
  ["adaptive_avg_pool1d(3)"] = { nn.adaptive_avg_pool1d(3), function(x) return ms.adaptive_avg_pool1d(x, 3) end },
  ["adaptive_max_pool2d(5)"] = { nn.adaptive_max_pool2d(5), function(x) return ms.adaptive_max_pool2d(x, 5) end },
  ["adaptive_max_pool1d(4)"] = { nn.adaptive_max_pool1d { output_size = 4 }, function(x) return ms.adaptive_max_pool1d(x, 4) end },
  ["upsample(1.5 x 2, bilinear, align_corners = true)"] = {
    nn.upsample { scale_factor = { 1.5, 2 }, mode = "bilinear", align_corners = true },
    function(x) return ms.interpolate(x, { scale_factor = { 1.5, 2 }, mode = "bilinear", align_corners = true }) end },
  ["upsample(nearest-exact, size = 3 x 5)"] = { nn.upsample { size = { 3, 5 }, mode = "nearest-exact" },
    function(x) return ms.interpolate(x, { 3, 5 }, { mode = "nearest-exact" }) end },
  ["pixel_shuffle(2)"] = { nn.pixel_shuffle(2), function(x) return ms.pixel_shuffle(x, 2) end },
  ["pixel_unshuffle(2)"] = { nn.pixel_unshuffle(2), function(x) return ms.pixel_unshuffle(x, 2) end },
  ["channel_shuffle(2)"] = { nn.channel_shuffle { groups = 2 }, function(x) return ms.channel_shuffle(x, 2) end },
  ["unfold(3, padding = 1, stride = 2)"] = { nn.unfold(3, { padding = 1, stride = 2 }),
    function(x) return ms.im2col(x, 3, { padding = 1, stride = 2 }) end },
  ["zero_pad2d(1 x 1 x 1 x 1)"] = { nn.zero_pad2d(1), function(x) return ms.pad(x, { 1, 1, 1, 1 }) end },
  ["zero_pad1d(2 x 0)"] = { nn.zero_pad1d { 2, 0 }, function(x) return ms.pad(x, { 2, 0 }) end },
  ["constant_pad2d(1 x 2 x -1 x 0, 0.5)"] = { nn.constant_pad2d({ 1, 2, -1, 0 }, 0.5),
    function(x) return ms.pad(x, { 1, 2, -1, 0 }, { value = 0.5 }) end },
  ["constant_pad1d(1 x 1, -1)"] = { nn.constant_pad1d(1, -1), function(x) return ms.pad(x, { 1, 1 }, { value = -1 }) end },
}
for kind, mode in pairs { reflection = "reflect", replication = "replicate", circular = "circular" } do
  for dims = 1, 2 do
    local pads = dims == 1 and { 1, 2 } or { 1, 2, 0, 1 }
    made[("%s_pad%dd(%s)"):format(kind, dims, table.concat(pads, " x "))] = { nn[("%s_pad%dd"):format(kind, dims)](pads),
      function(x) return ms.pad(x, pads, { mode = mode }) end }
  end
end

for printed, pair in pairs(made) do
  TestImageLayers["test_" .. printed] = function()
    local m, f = table.unpack(pair)
    lu.assertEquals(tostring(m):match "^[^\n]*":gsub("%s%s+.*", ""), printed)
    local x = printed:find "^[^(]*1d" and signal or image
    same(m(x), f(x), printed)
    if printed:find "^channel_shuffle" or printed:find "^upsample" then return end -- PyTorch: batches only
    same(m(x[1]), f(x)[1], printed .. ", one image")
  end
end

function TestImageLayers.test_positions_come_when_asked_for()
  lu.assertEquals(select("#", nn.max_pool2d(2)(image)), 1)
  for _, m in ipairs { nn.max_pool2d(2, { return_indices = true }), nn.adaptive_max_pool2d(3, { return_indices = true }) } do
    local values, at = m(image)
    same(image:flatten(3):gather(3, at:flatten(3)):reshape(values.shape), values)
  end
end

-- Padding in another mode is padding before a convolution without.
function TestImageLayers.test_modes_of_padding()
  for _, mode in ipairs { "zeros", "reflect", "replicate", "circular" } do
    local pad = { mode = mode == "zeros" and "constant" or mode }
    local plain = nn.conv2d(4, 6, { 3, 2 }, { groups = 2 })
    local m = nn.conv2d(4, 6, { 3, 2 }, { groups = 2, padding = { 2, 1 }, padding_mode = mode })
    m:load_state_dict(plain:state_dict())
    same(m(image), plain(ms.pad(image, { 1, 1, 2, 2 }, pad)), mode)
    local even = nn.conv2d(4, 6, { 3, 2 }, { groups = 2, padding = "same", dilation = { 1, 3 }, padding_mode = mode })
    even:load_state_dict(plain:state_dict())
    same(even(image), ms.conv2d(ms.pad(image, { 1, 2, 1, 1 }, pad), plain.weight, plain.bias, { groups = 2, dilation = { 1, 3 } }), mode)
    lu.assertEquals(even(image).shape, { 2, 6, 6, 8 })
    local one = nn.conv1d(4, 2, 3, { padding = 2, padding_mode = mode })
    same(one(signal), ms.conv1d(ms.pad(signal, { 2, 2 }, pad), one.weight, one.bias), mode)
  end
  local valid = nn.conv2d(4, 2, 3, { padding = "valid", padding_mode = "reflect" })
  lu.assertEquals(valid(image).shape, { 2, 2, 4, 6 })
end

function TestImageLayers.test_sizes_of_transposed_convolutions()
  local m = nn.conv_transpose2d(4, 2, 3, { stride = 2, padding = 1, dilation = 1 })
  lu.assertEquals(m(image).shape, { 2, 2, 11, 15 })
  lu.assertEquals(m(image, { 12, 15 }).shape, { 2, 2, 12, 15 })
  same(m(image, { 12, 15 }), ms.conv_transpose2d(image, m.weight, m.bias, 2, 1, { 1, 0 }))
  local s = nn.conv_transpose1d(4, 2, 3, { stride = 3, output_padding = 2 })
  lu.assertEquals({ s(signal).shape, s(signal, 31).shape, s(signal[1]).shape }, { { 2, 2, 32 }, { 2, 2, 31 }, { 2, 32 } })
  same(s(signal), ms.conv_transpose1d(signal, s.weight, s.bias, 3, 0, 2))
end

function TestImageLayers.test_weights_are_pytorchs()
  for _, case in ipairs {
    { nn.conv1d(4, 6, 5, { groups = 2 }), { 6, 2, 5 }, 10 }, { nn.conv2d(4, 6, { 5, 3 }), { 6, 4, 5, 3 }, 60 },
    { nn.conv_transpose1d(4, 6, 5, { groups = 2 }), { 4, 3, 5 }, 15 }, { nn.conv_transpose2d(4, 6, { 5, 3 }), { 4, 6, 5, 3 }, 90 },
  } do
    local m, shape, fan_in = table.unpack(case)
    lu.assertEquals(m.weight.shape, shape)
    lu.assertEquals(m.bias.shape, { 6 })
    local bound, most = 1 / math.sqrt(fan_in), m.weight:abs():amax():item()
    lu.assertTrue(most <= bound and most > 0.8 * bound)
  end
  lu.assertNil(nn.conv1d(4, 6, 5, { bias = false }).bias)
end

function TestImageLayers.test_fold_is_the_adjoint_of_unfold()
  local columns = nn.unfold(2, { stride = 2 })(image)
  same(nn.fold({ 6, 8 }, 2, { stride = 2 })(columns), image)
end

for message, f in pairs {
  ["nn.conv2d: padding: expected a whole number from 0 on or { height, width }, 'same' or 'valid', got 'full'"] = function()
    nn.conv2d(1, 2, 3, { padding = "full" })
  end,
  ["nn.conv2d: padding_mode: expected 'zeros', 'reflect', 'replicate' or 'circular', got 'mirror'"] = function()
    nn.conv2d(1, 2, 3, { padding_mode = "mirror" })
  end,
  ["nn.conv1d: size: expected a whole number from 1 on, got { 3, 3 }"] = function() nn.conv1d(1, 2, { 3, 3 }) end,
  ["nn.conv1d: groups 2 does not divide 3 channels in and 4 out"] = function() nn.conv1d(3, 4, 1, { groups = 2 }) end,
  ["nn.conv_transpose2d: output_size 14, expected 11 to 12 in dimension 1"] = function()
    nn.conv_transpose2d(4, 2, 3, { stride = 2, padding = 1 })(image, { 14, 15 })
  end,
  ["nn.avg_pool2d: divisor_override: expected a whole number other than 0, got 0"] = function()
    nn.avg_pool2d(2, { divisor_override = 0 })
  end,
  ["nn.avg_pool1d: unknown option 'divisor_override'"] = function() nn.avg_pool1d(2, { divisor_override = 2 }) end,
  ["nn.adaptive_avg_pool2d: output_size: expected a whole number from 1 on, -1"] = function()
    nn.adaptive_avg_pool2d { output_size = { 0, 1 } }
  end,
  ["nn.upsample: expected factor or size, got none"] = function() nn.upsample() end,
  ["nn.upsample: expected factor or size, got both"] = function() nn.upsample { 2, size = 3 } end,
  ["nn.upsample: factor: expected a number above 0"] = function() nn.upsample(0) end,
  ["nn.zero_pad2d: padding: expected a whole number or { left, right, top, bottom }, got { 1, 2 }"] = function()
    nn.zero_pad2d { padding = { 1, 2 } }
  end,
  ["nn.constant_pad1d: argument value is missing"] = function() nn.constant_pad1d(1) end,
} do
  TestImageLayersRefused["test_" .. message] = function() lu.assertErrorMsgContains(message, f) end
end
