-- Layers against PyTorch's (tests/data/layers.json, made by tests/peers/make_layers.py): names of the state, results, gradients, and the
-- state afterwards, in f64 and f32. Then each in a compiled step beside itself, and what has no values to compare with.
-- gcstress: every 200
-- luacheck: globals TestLayers64 TestLayers32 TestLayersCompiled TestDropouts TestEmbedding TestRanks TestCounts
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local json = require "mascon.json"
local rows = require "rows"
local nn, fails = ms.nn, checks.fails

local file <close> = assert(io.open("tests/data/layers.json"))
local cases = json.decode(file:read "a").layers

local function tensor(t, dtype) return rows.tensor(t.shape, t.v, t.dtype == "f64" and dtype or t.dtype) end

local RTOL = { f64 = 1e-12, f32 = 1e-5 }
-- Layers whose constants PyTorch rounds to f32 (1 / 6, 1 / alpha), so that its derivatives in f64 are exact to that only.
local ROUNDED = { ["nn.hardsigmoid()"] = 1e-7, ["nn.celu(0.7)"] = 1e-7 }
local function compare(what, got, want, dtype, rtol)
  lu.assertEquals(got.dtype, want.dtype == "f64" and dtype or want.dtype, what .. ": dtype")
  lu.assertEquals(got.shape, want.shape, what .. ": shape")
  local largest = 0
  for _, v in ipairs(want.v) do largest = math.max(largest, math.abs(v)) end
  for k, v in ipairs(rows.flat(got:detach())) do
    local near = math.abs(v - want.v[k]) <= (rtol or RTOL[dtype]) * math.max(largest, dtype == "f32" and 1e-2 or 1e-4)
    if not near then lu.fail(("%s: element %d: got %.17g, PyTorch gives %.17g"):format(what, k, v, want.v[k])) end
  end
end

-- "1.weight" -> "0.weight"
local function torch_name(name) return (("." .. name):gsub("%.(%d+)", function(n) return "." .. n - 1 end):sub(2)) end

local function check(c, dtype, through)
  local m = assert(load("local nn = ... return " .. c.layer))(nn):to(dtype)
  local state, names, theirs = {}, {}, {}
  for name, t in pairs(c.state) do state[name], theirs[#theirs + 1] = tensor(t, dtype), name end
  for name in pairs(m:state_dict { names = "pytorch" }) do names[#names + 1] = name end
  table.sort(names)
  table.sort(theirs)
  lu.assertEquals(names, theirs)
  m:load_state_dict(state, { names = "pytorch" }):train(c.train)
  local x, leaves, y = {}, {}, nil
  for i, t in ipairs(c.inputs) do
    x[i] = tensor(t, dtype)
    if t.dtype == "f64" then
      x[i]:requires_grad_()
      leaves[#leaves + 1] = x[i]
    end
  end
  local call = through(m)
  for k, want in ipairs(c.out) do
    y = call(table.unpack(x))
    compare("result " .. k, y, want, dtype)
  end
  for name, t in pairs(m:state_dict { names = "pytorch" }) do compare(name .. " afterwards", t, c.after[name], dtype) end
  if not y.requires_grad then return end
  local n = y:numel()
  local weights = ms.arange(1, n, 1, { dtype = dtype }) / n
  y:flatten():mul(weights):sum():backward()
  local count = 0
  for name, p in m:named_parameters() do
    local want = c.grad[torch_name(name)]
    if want then
      count = count + 1
      compare("gradient of " .. name, p.grad, want, dtype)
    else
      lu.assertNil(p.grad, name)
    end
  end
  local expected = 0
  for _ in pairs(c.grad) do expected = expected + 1 end
  lu.assertEquals(count, expected, "parameters with gradients")
  for i, want in ipairs(c.dx) do compare("gradient of input " .. i, leaves[i].grad, want, dtype, dtype == "f64" and ROUNDED[c.layer]) end
end

TestLayers64, TestLayers32 = {}, {}
for i, c in ipairs(cases) do
  local name = ("test_%02d %s"):format(i, c.layer)
  local function eagerly(m) return m end
  TestLayers64[name] = function() check(c, "f64", eagerly) end
  TestLayers32[name] = function() check(c, "f32", eagerly) end
end

TestCounts = {}
function TestCounts.test_what_is_compared_is_told()
  lu.assertTrue(#cases > 40)
  print(("compared: PyTorch's values of layers: %d layers"):format(#cases))
end

-- Each layer in a step with its gradients, five times with other inputs, beside the same layer called eagerly.
TestLayersCompiled = {}
for i, c in ipairs(cases) do
  TestLayersCompiled[("test_%02d %s"):format(i, c.layer)] = function()
    ms.seed(i)
    local make = assert(load("local nn = ... return " .. c.layer))
    local a, b = make(nn):to "f64", make(nn):to "f64"
    b:load_state_dict(a:state_dict())
    a:train(c.train)
    b:train(c.train)
    local function f(m)
      return function(...)
        for _, p in ipairs(m:parameters()) do p.grad = nil end
        local y = m(...)
        if y.requires_grad then y:square():sum():backward() end
        return y
      end
    end
    local eager, step = f(a), ms.compile(f(b))
    for call = 1, 5 do
      local x = {}
      for k, t in ipairs(c.inputs) do x[k] = t.dtype == "f64" and ms.randn(t.shape, { dtype = "f64" }) or tensor(t, "f64") end
      local want, got = eager(table.unpack(x)), step(table.unpack(x))
      lu.assertTrue((got - want):abs():le(1e-10):all():item(), "call " .. call)
      for k, p in ipairs(a:parameters()) do
        local q = b:parameters()[k]
        lu.assertEquals(q.grad == nil, p.grad == nil, "call " .. call)
        if p.grad then lu.assertTrue((p.grad - q.grad):abs():le(1e-9):all():item(), ("call %d, gradient %d"):format(call, k)) end
      end
      for k, p in ipairs(a:buffers()) do
        lu.assertTrue((p - b:buffers()[k]):abs():le(1e-10):all():item(), ("call %d, buffer %d"):format(call, k))
      end
    end
  end
end

-- ---- dropouts, by their distribution -------------------------------------------------------------------------------------------------

TestDropouts = {}

-- What became of ones: the share that was dropped, and the two values.
local function shares(y)
  local low, high = y:amin():item(), y:amax():item()
  local dropped = y:eq(low):sum():item() / y:numel()
  lu.assertEquals(y:eq(low):logical_or(y:eq(high)):all():item(), true)
  return dropped, low, high
end

function TestDropouts.test_whole_channels()
  ms.seed(8)
  for _, c in ipairs { { ms.dropout1d, { 100, 40, 5 }, { 3 } }, { ms.dropout2d, { 100, 40, 3, 2 }, { 3, 4 } },
    { ms.dropout1d, { 4000, 5 }, { 2 } }, { ms.dropout2d, { 100, 40, 5 }, { 3 } } } do
    local y = c[1](ms.ones(c[2]), 0.3)
    lu.assertEquals(y:amax(c[3]):sub(y:amin(c[3])):abs():amax():item(), 0) -- all or nothing
    local dropped, low, high = shares(y)
    lu.assertAlmostEquals(dropped, 0.3, 5 * math.sqrt(0.3 * 0.7 / 4000))
    lu.assertEquals(low, 0)
    lu.assertAlmostEquals(high, 1 / 0.7, 1e-6)
  end
end

function TestDropouts.test_alpha_keeps_mean_and_variance()
  ms.seed(9)
  local x = ms.randn({ 400, 500 }, { dtype = "f64" })
  local y = ms.alpha_dropout(x, 0.2, true)
  lu.assertAlmostEquals(y:mean():item(), 0, 0.02)
  lu.assertAlmostEquals(y:var():item(), 1, 0.02)
  local dropped, low = shares(ms.alpha_dropout(ms.ones { 200, 200 }, 0.2, true))
  local a = 1 / math.sqrt((1.7580993408473766 ^ 2 * 0.2 + 1) * 0.8)
  lu.assertAlmostEquals(dropped, 0.2, 0.01)
  lu.assertAlmostEquals(low, a * -1.7580993408473766 * 0.8, 1e-6)
  local z = ms.feature_alpha_dropout(ms.ones { 50, 60, 7 }, 0.5, true)
  lu.assertEquals(z:amax(3):sub(z:amin(3)):abs():amax():item(), 0)
end

function TestDropouts.test_ends()
  local x = ms.randn { 4, 3, 2 }
  for _, f in ipairs { ms.dropout, ms.dropout1d, ms.dropout2d, ms.alpha_dropout, ms.feature_alpha_dropout } do
    lu.assertEquals(f(x, 0.5, false):totable(), x:totable())
    lu.assertEquals(f(x, 0, true):totable(), x:totable())
    lu.assertEquals(f(x, 1, true):abs():sum():item(), 0)
    fails("expected 0 <= p <= 1", f, x, 1.5, true)
  end
  fails("dropout2d: expected N x C x H x W or N x C x L, got 3 f32", ms.dropout2d, ms.ones { 3 })
  fails("dropout1d: expected C x L or N x C x L", ms.dropout1d, ms.ones { 3 })
end

-- ---- embedding ------------------------------------------------------------------------------------------------------------------------

TestEmbedding = {}

function TestEmbedding.test_padding_and_tables_from_elsewhere()
  local e = nn.embedding(4, 3, { padding_idx = -1 })
  lu.assertEquals({ e.padding_idx, e.weight[4]:abs():sum():item() }, { 4, 0 })
  local index = ms.tensor({ 1, 4, 4 }, { dtype = "i64" })
  e(index):sum():backward()
  lu.assertEquals(e.weight.grad:totable(), { { 1, 1, 1 }, { 0, 0, 0 }, { 0, 0, 0 }, { 0, 0, 0 } })
  local table_ = ms.randn { 5, 2 }
  local frozen = nn.embedding.from_pretrained(table_)
  lu.assertEquals({ frozen.weight.requires_grad, frozen.n, frozen.width }, { false, 5, 2 })
  lu.assertEquals(frozen(index):totable()[2], table_[4]:totable())
  lu.assertTrue(nn.embedding.from_pretrained(table_, { freeze = false, padding_idx = 2 }).weight.requires_grad)
  lu.assertStrContains(tostring(nn.embedding(4, 3, { padding_idx = 2, max_norm = 1 })), "embedding(4, 3, padding_idx = 2, max_norm = 1)")
  fails("padding_idx: expected a row, 1..4 or from the end, got 5", nn.embedding, 4, 3, { padding_idx = 5 })
  fails("expected a floating tensor count x width, got 2 f32", nn.embedding.from_pretrained, ms.ones { 2 })
  fails("index[1] = 5, expected 1..4", function() e(ms.tensor({ 5 }, { dtype = "i64" })):totable() end)
end

-- ---- shapes that are none -------------------------------------------------------------------------------------------------------------

TestRanks = {}

function TestRanks.test_are_said()
  local image, rows_ = ms.ones { 2, 3, 4, 4 }, ms.ones { 2, 3 }
  for expected, call in pairs {
    ["batch_norm1d: expected N x C or N x C x L, got 2 x 3 x 4 x 4 f32"] = function() nn.batch_norm1d(3)(image) end,
    ["batch_norm2d: expected N x C x H x W, got 2 x 3 f32"] = function() nn.batch_norm2d(3)(rows_) end,
    ["instance_norm2d: expected N x C x H x W or C x H x W, got 2 x 3 f32"] = function() nn.instance_norm2d(3)(rows_) end,
    ["batch_norm2d: 1 x 3 x 1 x 1 f32 has one value per channel, expected more while training; a last batch of one sample is left out by "
      .. "a loader with drop_last = true"] = function()
      nn.batch_norm2d(3, { momentum = false })(ms.ones { 1, 3, 1, 1 })
    end,
    ["batch_norm: running_mean is 5 f32, expected 3 values"] = function() nn.batch_norm(5)(rows_) end,
    ["instance_norm: 2 x 3 x 1 f32 has one value per channel, expected more"] = function()
      nn.instance_norm1d(3)(ms.ones { 2, 3, 1 })
    end,
    ["layer_norm: normalized_shape is 4, expected the last sizes of x, which is 2 x 3 f32"] = function() nn.layer_norm(4)(rows_) end,
    ["layer_norm: weight is 3 f32, expected normalized_shape, 2 x 3"] = function()
      ms.layer_norm(rows_, { 2, 3 }, ms.ones { 3 })
    end,
    ["nn.layer_norm: normalized_shape: expected a size or a list of sizes from 1 on, got { 0 }"] = function()
      nn.layer_norm { { 0 } }
    end,
    ["nn.group_norm: 2 groups do not divide 3 channels"] = function() nn.group_norm(2, 3) end,
    ["group_norm: expected 4 channels, got 2 x 3 f32"] = function() nn.group_norm(2, 4)(rows_) end,
    ["group_norm: 2 groups do not divide the 3 channels of 2 x 3 f32"] = function() ms.group_norm(rows_, 2) end,
    ["bilinear: x1 is 2 x 3 f32, x2 2 x 3 f32, weight 4 x 3 x 2 f32"] = function() nn.bilinear(3, 2, 4)(rows_, rows_) end,
    ["bilinear: expected two tensors, got nil as the second"] = function() nn.bilinear(3, 2, 4)(rows_) end,
    ["batch_norm: evaluation needs running_mean and running_var"] = function() ms.batch_norm(rows_) end,
    ["nn.celu: alpha: expected a finite number that is not 0, got 0"] = function() nn.celu(0) end,
    ["nn.hardtanh: min_val is 1, max_val -1, expected min_val < max_val"] = function() nn.hardtanh(1, -1) end,
    ["nn.hardtanh: min_val is 2, max_val 1"] = function() nn.hardtanh { min_val = 2 } end,
    ["nn.unflatten: one size may be -1, not several"] = function() nn.unflatten(2, { -1, -1 }) end,
  } do
    fails(expected, call)
  end
end

function TestRanks.test_a_batch_that_is_refused_is_not_counted()
  for _, momentum in ipairs { 0.1, false } do
    local m = nn.batch_norm(3, { momentum = momentum })
    fails("one value per channel", m, ms.ones { 1, 3 })
    fails("", m, ms.ones { 2, 4 })
    lu.assertEquals(m.num_batches_tracked:item(), 0)
    m(ms.arange(1, 6):reshape { 2, 3 })
    lu.assertEquals(m.num_batches_tracked:item(), 1)
  end
end

function TestRanks.test_a_window_wider_than_there_are_channels()
  local x = ms.arange(1, 12):reshape { 2, 3, 2 }
  local scale = 1 + x:square():sum(2, { keepdim = true }) * (0.5 / 100)
  assert(nn.local_response_norm(100, { alpha = 0.5 })(x):allclose(x / scale ^ 0.75))
  local wide = math.tointeger(2 ^ 40)
  assert(nn.local_response_norm(wide)(x):allclose(x))
end
