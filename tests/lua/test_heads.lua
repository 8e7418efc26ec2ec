-- Heads of chains (runtime/step/fuse.c): elementwise operations behind a product or a convolution run on each piece of its result.
-- luacheck: globals TestHeads
local lu = require "luaunit"
local ms = require "mascon"
local nn = ms.nn

TestHeads = {}

local function near(got, want, what)
  lu.assertEquals(table.concat(got.shape, " "), table.concat(want.shape, " "))
  if got:numel() == 0 then return end
  local scale = math.max(want:abs():amax():item(), 1e-3)
  local off = (got - want):abs():amax():item()
  lu.assertTrue(off <= 2e-5 * scale, ("%s: off by %g of %g"):format(what, off, scale))
end

-- f(...) compiled, with several numbers of threads, against f(...); the report names `fused`.
local function check(what, fused, f, ...)
  local threads = ms.threads()
  local want = f(...)
  for n = 1, 3 do
    ms.threads(n)
    local step = ms.compile(f)
    for _ = 1, 5 do near(step(...), want, what) end
    if fused then lu.assertStrContains(step:report(), fused) end
  end
  ms.threads(threads)
end

function TestHeads.test_products()
  local shapes = { { 3, 4, 5 }, { 64, 128, 784 }, { 64, 100, 3072 }, { 300, 40, 70 }, { 40, 700, 90 }, { 1, 500, 300 }, { 500, 1, 300 },
    { 33, 65, 2100 }, { 200, 520, 64 } }
  for _, s in ipairs(shapes) do
    for flags = 0, 3 do
      local ta, tb = flags % 2 == 1, flags > 1
      local a = ms.randn(ta and { s[3], s[1] } or { s[1], s[3] })
      local b = ms.randn(tb and { s[2], s[3] } or { s[3], s[2] })
      local bias = ms.randn { s[2] }
      local name = ("matmul %s %s"):format(table.concat(s, " "), flags)
      check(name, "matmul:", function(x, y) return (ms.matmul(x, y, ta, tb) + bias):tanh() end, a, b)
    end
  end
end

function TestHeads.test_batches_and_f64()
  local a, b = ms.randn { 5, 20, 30 }, ms.randn { 5, 30, 40 }
  check("batch", "matmul:", function(x, y) return ms.matmul(x, y):relu() * 2 end, a, b)
  check("one right matrix", "matmul:", function(x, y) return ms.matmul(x, y):relu() * 2 end, a, b[1])
  check("f64", "matmul:", function(x, y) return ms.matmul(x, y):relu() * 2 end, a:to "f64", b:to "f64")
end

-- Images channels last and in planes, several to a task and several tasks to an image, groups, strides.
function TestHeads.test_convolutions()
  local cases = { -- n, in, h, w, out, kernel, options
    { 3, 16, 9, 11, 16, 3, { padding = 1 } }, { 5, 32, 14, 14, 64, 3, { padding = 1 } }, { 2, 64, 7, 7, 256, 3, { padding = 1 } },
    { 2, 16, 70, 90, 16, 3, { padding = 1 } }, { 3, 3, 20, 20, 8, 5, { padding = 0 } }, { 4, 1, 28, 28, 16, 3, { padding = 1 } },
    { 4, 8, 12, 12, 8, 3, { groups = 4 } }, { 3, 16, 21, 20, 32, 4, { stride = 2, padding = 1 } },
    { 2, 4, 15, 15, 6, 3, { dilation = 2 } }, { 1, 20, 5, 5, 7, 1, { padding = 0 } } }
  for i, c in ipairs(cases) do
    local groups = c[7].groups or 1
    local x, w, b = ms.randn { c[1], c[2], c[3], c[4] }, ms.randn { c[5], c[2] // groups, c[6], c[6] }, ms.randn { c[5] }
    check("conv " .. i, "conv2d:", function(t) return ms.conv2d(t, w, b, c[7]):leaky_relu(0.1) end, x)
    check("conv f64 " .. i, nil, function(t) return ms.conv2d(t, w:to "f64", b:to "f64", c[7]):leaky_relu(0.1) end, x:to "f64")
    if not c[7].groups and not c[7].dilation then
      local g = ms.randn(ms.conv2d(x, w, b, c[7]).shape)
      check("transposed " .. i, "conv2d_input_grad:", function(t) return ms.conv_transpose2d(t, w, nil, c[7]):relu() + 1 end, g)
    end
  end
end

-- A chain that ends in a sum: the chain gets the head, the sum stands behind it, where what is summed lies in memory anyhow.
function TestHeads.test_sums()
  for _, s in ipairs { { 64, 784, 128 }, { 64, 128, 784 }, { 300, 40, 70 }, { 7, 33, 65 } } do
    local a, b, t = ms.randn { s[1], s[3] }, ms.randn { s[3], s[2] }, ms.randn { s[1], s[2] }
    local name = table.concat(s, " ")
    check("rows " .. name, nil, function(x, y) return ((x:matmul(y) + t):tanh() * t):sum(1) end, a, b)
    check("columns " .. name, nil, function(x, y) return (x:matmul(y) - t):sigmoid():sum(2, true) end, a, b)
    check("all, and what was summed " .. name, "matmul:", function(x, y)
      local z = (x:matmul(y) * 0.1):tanh()
      return z:sum():reshape { 1, 1 } + z:matmul(y:transpose(1, 2)):sum()
    end, a, b)
    check("rows, and what was summed " .. name, "matmul:", function(x, y)
      local z = x:matmul(y):relu()
      return z:sum(1) + z:amax(1)
    end, a, b)
  end
  local x, w, b = ms.randn { 5, 16, 14, 14 }, ms.randn { 32, 16, 3, 3 }, ms.randn { 32 }
  check("conv", "conv2d:", function(t)
    local z = ms.conv2d(t, w, b, { padding = 1 }):relu()
    return z:sum { 1, 3, 4 } + ms.conv2d(z, w:transpose(1, 2), nil, { padding = 1 }):mean()
  end, x)
end

-- Deep nets, forward and backward: memory is handed from one call to the next.
function TestHeads.test_training()
  local function net()
    ms.seed(5)
    return nn.sequential {
      nn.conv2d(2, 16, 3, { padding = 1 }), nn.relu(), nn.conv2d(16, 16, 3, { padding = 1 }), nn.relu(),
      nn.conv2d(16, 16, 3, { padding = 1 }), nn.tanh(), nn.conv2d(16, 24, 3, { stride = 2, padding = 1 }), nn.relu(), nn.flatten(),
      nn.linear(24 * 36, 50), nn.relu(), nn.linear(50, 50), nn.sigmoid(), nn.linear(50, 3),
    }
  end
  local x = ms.randn { 9, 2, 12, 12 }
  local function trained(compiled)
    local model = net()
    local sgd = ms.optim.sgd(model:parameters(), { lr = 0.05 })
    local function plain(t)
      local loss = model(t):square():mean()
      sgd:zero_grad(); loss:backward(); sgd:step()
      return loss
    end
    local step = compiled and ms.compile(plain) or plain
    local last
    for _ = 1, 8 do last = step(x) end
    return last:item(), model:parameters()
  end
  local want, weights = trained(false)
  local got, others = trained(true)
  lu.assertAlmostEquals(got, want, 1e-5 * math.abs(want))
  for i, w in ipairs(weights) do near(others[i]:detach(), w:detach(), "parameter " .. i) end
end

-- ---- what a head must leave alone -------------------------------------------------------------------------------------------------

-- What the chain gives would have room where the head's operand lies, which the head still reads for its other pieces.
function TestHeads.test_an_operand_that_is_read_once_more()
  local x, w = ms.randn { 2, 16, 90, 90 }, ms.randn { 16, 16, 3, 3 } * 0.1
  check("residual", "conv2d:", function(t)
    local a = ms.conv2d(t, w, nil, { padding = 1 })
    return ms.conv2d((ms.conv2d(a, w, nil, { padding = 1 }) + a):relu(), w)
  end, x)
  local a, b = ms.randn { 600, 600 } * 0.1, ms.randn { 600, 600 } * 0.1
  check("square", "matmul:", function(t)
    local s = t + 1
    return ms.matmul((ms.matmul(s, s) * s):tanh(), b)
  end, a)
  check("turned", nil, function(t) -- reads the product at other places than it is at
    local s = t:matmul(b)
    return s:transpose() + s
  end, a)
end

function TestHeads.test_a_result_that_others_read()
  local a, b = ms.randn { 200, 64 }, ms.randn { 64, 90 }
  local step = ms.compile(function(x, y)
    local p = ms.matmul(x, y)
    return p:relu(), p:sum(1), p, p:exp():sum()
  end)
  local p = a:matmul(b)
  for _ = 1, 5 do
    local relu, sum, same, exp = step(a, b)
    near(relu, p:relu(), "relu")
    near(sum, p:sum(1), "sum")
    near(same, p, "product")
    near(exp, p:exp():sum(), "exp")
  end
end

-- What the product reads is changed before the chain runs: it must not come to stand behind the change.
function TestHeads.test_an_operand_that_changes()
  local a, w = ms.randn { 100, 64 }, ms.randn { 64, 64 }
  local start = w:clone()
  local step = ms.compile(function(x)
    local p = x:matmul(w)
    w:mul_(1.5)
    return p:relu() + w:sum()
  end)
  local now = start:clone()
  for _ = 1, 6 do
    local got = step(a)
    local p = a:matmul(now)
    now = now * 1.5
    near(got, p:relu() + now:sum(), "changed")
    near(w, now, "weights")
  end
end

os.exit(lu.LuaUnit.run())
