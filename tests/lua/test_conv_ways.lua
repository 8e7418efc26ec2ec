-- Which way computes a convolution (kernels/cpu/conv/conv.c), as a step's report and profile name it.
-- gcstress: every 50
-- luacheck: globals TestConvWays
local lu = require "luaunit"
local ms = require "mascon"
local inside = require "mascon.inside"

TestConvWays = {}

function TestConvWays.tearDown() ms.precision "f32" end

-- The table's names. Which row a shape goes to may depend on the instruction set and on oneDNN being there.
local names = {
  "empty", "planes", "planes, weights", "channels last, weights, AMX", "channels last, AMX", "channels last, bf16",
  "few pixels", "few pixels, input", "few pixels, weights",
  "channels last, weights, unfolded", "channels last, weights", "channels last", "oneDNN, whole batch", "planes, transposed",
  "planes, weights, transposed", "oneDNN", "im2col",
}
local known = {}
for _, name in ipairs(names) do known[name] = true end

-- f(...) as a compiled step that replays: what its report says of the operation, and its profile.
local function way(op, f, ...)
  local step = ms.compile(f)
  for _ = 1, 4 do step(...) end
  local found = step:report():match("\n  " .. op .. "[^\n]*%[([^%]]+)%]")
  if not found then lu.fail(("no way named for %s:\n%s"):format(op, step:report()), 2) end
  lu.assertTrue(known[found], found)
  lu.assertStrContains(step:profile(1, ...), "[" .. found .. "]")
  return found
end

local function forward(shape, channels, kernel, options, dtype)
  options = options or { padding = 1 }
  local x = ms.randn(shape):to(dtype or "f32")
  local w = ms.randn({ channels, shape[2] // (options.groups or 1), kernel, kernel }):to(dtype or "f32")
  return way("conv2d", function(a) return ms.conv2d(a, w, nil, options) end, x)
end

local function begins(text, ...)
  for _, start in ipairs { ... } do
    if text:sub(1, #start) == start then return end
  end
  lu.fail(("%s, expected %s"):format(text, table.concat({ ... }, " or ")), 2)
end

function TestConvWays.test_by_channels()
  begins(forward({ 8, 64, 14, 14 }, 64, 3), "channels last")
  lu.assertEquals(forward({ 8, 1, 14, 14 }, 8, 3), "planes")
  lu.assertEquals(forward({ 8, 64, 14, 14 }, 1, 3), "planes")
end

function TestConvWays.test_groups_and_dilation()
  begins(forward({ 8, 32, 14, 14 }, 32, 3, { padding = 1, groups = 32 }), "oneDNN", "im2col")
  begins(forward({ 8, 32, 14, 14 }, 32, 3, { padding = 2, dilation = 2 }), "oneDNN", "im2col")
  lu.assertEquals(forward({ 8, 1, 14, 14 }, 8, 3, { padding = 2, dilation = 2 }), "planes")
end

-- One image is not cut between threads: oneDNN has it whole, if there is oneDNN.
function TestConvWays.test_one_large_image()
  local found = forward({ 1, 32, 64, 64 }, 32, 3, { padding = 1, groups = 4 })
  if found ~= "im2col" then lu.assertEquals(found, "oneDNN, whole batch") end
end

function TestConvWays.test_double() lu.assertEquals(forward({ 2, 8, 6, 6 }, 8, 3, nil, "f64"), "im2col") end

function TestConvWays.test_empty() lu.assertEquals(forward({ 0, 8, 6, 6 }, 8, 3), "empty") end

function TestConvWays.test_adjoints()
  local x, g, w = ms.randn { 8, 32, 14, 14 }, ms.randn { 8, 32, 14, 14 }, ms.randn { 32, 32, 3, 3 }
  local few = ms.randn { 8, 2, 14, 14 }
  local function weights(a, b) return inside.conv2d_weight_grad(a, b, 3, { padding = 1 }) end
  local function input(a, b) return inside.conv2d_input_grad(a, b, 14, { padding = 1 }) end
  lu.assertEquals(way("conv2d_weight_grad", weights, x, g), "channels last, weights")
  lu.assertEquals(way("conv2d_weight_grad", weights, x, few), "planes, weights")
  lu.assertEquals(way("conv2d_input_grad", input, g, w), "channels last")
  lu.assertEquals(way("conv2d_input_grad", input, g, ms.randn { 32, 2, 3, 3 }), "planes")
end

-- More channels than pixels in the batch: the weights are read once, where they lie.
function TestConvWays.test_few_pixels()
  local x, g, w = ms.randn { 4, 64, 4, 4 }, ms.randn { 4, 96, 4, 4 }, ms.randn { 96, 64, 3, 3 }
  lu.assertEquals(forward({ 4, 64, 4, 4 }, 96, 3), "few pixels")
  lu.assertNotEquals(forward({ 7, 64, 4, 4 }, 96, 3), "few pixels")
  lu.assertEquals(way("conv2d_weight_grad", function(a, b) return inside.conv2d_weight_grad(a, b, 3, { padding = 1 }) end, x, g),
    "few pixels, weights")
  lu.assertEquals(way("conv2d_input_grad", function(a, b) return inside.conv2d_input_grad(a, b, 4, { padding = 1 }) end, g, w),
    "few pixels, input")
end

-- A convolution at the head of a chain is named too.
function TestConvWays.test_chain()
  local w = ms.randn { 64, 64, 3, 3 }
  local function f(x) return ms.relu(ms.conv2d(x, w, nil, { padding = 1 })) end
  begins(way("conv2d:%d+ %+ relu", f, ms.randn { 8, 64, 14, 14 }), "channels last")
end

function TestConvWays.test_precision()
  local can, why = pcall(ms.precision, "bf16")
  lu.skipIf(not can, tostring(why))
  lu.assertNotEquals(forward({ 8, 64, 14, 14 }, 64, 3), "channels last")
  lu.assertEquals(forward({ 8, 1, 14, 14 }, 8, 3), "planes")
  ms.precision "f32"
  lu.assertEquals(forward({ 8, 64, 14, 14 }, 64, 3), "channels last")
end
