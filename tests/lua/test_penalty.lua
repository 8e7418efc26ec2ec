-- The gradient penalty of WGAN-GP against PyTorch (tests/data/penalty.json, made by tests/peers/make_penalty.py): its value and its
-- gradient by each parameter, for critics of many kinds of layers, within 1e-10 in f64 and 1e-5 in f32; the losses of 100 critic steps
-- and 25 generator steps, eager and compiled, within 1e-3 of theirs.
-- gcstress: every 100
-- luacheck: globals TestPenalty TestAdversaries
local lu = require "luaunit"
local ms = require "mascon"
local json = require "mascon.json"
local nn, optim = ms.nn, ms.optim

local file <close> = assert(io.open("tests/data/penalty.json"))
local data = json.decode(file:read "a")
local SIDE, BATCH, LATENT = 16, 6, 16
local slow = (os.getenv "SAN" or "") ~= "" or (os.getenv "STRESS" or "") ~= ""

local fraction = require("formula").fraction

local function formula(shape, seed, low, high)
  local flat, n = {}, 1
  for _, d in ipairs(shape) do n = n * d end
  for i = 0, n - 1 do flat[i + 1] = low + fraction(i + (data.seed + seed) * 1000003) * (high - low) end
  return ms.tensor(flat):view(shape)
end

-- As in make_penalty.py: parameter k of the net, gains of norms (gain[p]) around 1.
local gain = {}
local function weights(net, seed)
  for k, p in ipairs(net:parameters()) do
    local b = p:dim() > 1 and 1 / math.sqrt(p:numel() // #p) or 0.25
    local low, high = -b, b
    if gain[p] then low, high = 0.75, 1.25 end
    ms.no_grad(function() p:copy_(formula(p.shape, seed + k - 1, low, high)) end)
  end
  return net
end
local function with_gain(norm)
  gain[norm.weight] = true
  return norm
end

local function leaky() return nn.leaky_relu(0.2) end
local function conv(...) return nn.conv2d(...) end
local half = { stride = 2, padding = 1 }
local critics = {
  linear = function() return { nn.flatten(), nn.linear(512, 3), leaky(), nn.linear(3, 1) } end,
  conv = function()
    return { conv(2, 3, 3, { padding = 1 }), leaky(), conv(3, 2, 3), leaky(), nn.flatten(), nn.linear(2 * 14 * 14, 1) }
  end,
  strided = function() return { conv(2, 4, 4, half), leaky(), conv(4, 6, 4, half), leaky(), nn.flatten(), nn.linear(6 * 16, 1) } end,
  layer_norm = function()
    return { conv(2, 3, 4, half), with_gain(nn.layer_norm { 3, 8, 8 }), leaky(), nn.flatten(), nn.linear(3 * 64, 1) }
  end,
  avg_pool = function()
    return { conv(2, 3, 3, { padding = 1 }), leaky(), nn.avg_pool2d(2), conv(3, 3, 3, { padding = 1 }), leaky(), nn.avg_pool2d(2),
      nn.flatten(), nn.linear(3 * 16, 1) }
  end,
  upsample = function()
    return { conv(2, 3, 4, { stride = 4 }), leaky(), nn.upsample(2, "bilinear"), conv(3, 2, 3), leaky(), nn.flatten(),
      nn.linear(2 * 36, 1) }
  end,
  nearest = function()
    return { conv(2, 3, 4, { stride = 4 }), leaky(), nn.upsample(2), conv(3, 2, 3, { padding = 1 }), nn.tanh(), nn.flatten(),
      nn.linear(2 * 64, 1) }
  end,
  group_norm = function()
    return { conv(2, 4, 4, half), with_gain(nn.group_norm(2, 4)), nn.silu(), nn.flatten(), nn.linear(4 * 64, 1) }
  end,
  all = function()
    return { conv(2, 4, 4, half), leaky(), with_gain(nn.layer_norm { 4, 8, 8 }), conv(4, 4, 3, { padding = 1 }), leaky(), nn.avg_pool2d(2),
      nn.upsample(2, "bilinear"), conv(4, 3, 3, half), leaky(), nn.flatten(), nn.linear(3 * 16, 1) }
  end,
}

local function penalty_of(D, x_hat)
  local slope = ms.grad(D(x_hat):sum(), x_hat)
  return ((slope:flatten(2):norm(2, 2) - 1) ^ 2):mean()
end

-- |a - b| <= tolerance * the largest of |b|
local function near(a, b, tolerance, what)
  local largest = b:abs():max():item()
  lu.assertTrue((a - b):abs():max():item() <= tolerance * largest, what)
end

TestPenalty = {}
for name, want in pairs(data.critics) do
  TestPenalty["test_" .. name] = function()
    for dtype, tolerance in pairs { f64 = 1e-10, f32 = 1e-5 } do
      local D = weights(nn.sequential(assert(critics[name], name)()), 10):to(dtype)
      local real, fake = formula({ BATCH, 2, SIDE, SIDE }, 1, 0, 1):to(dtype), formula({ BATCH, 2, SIDE, SIDE }, 2, 0, 1):to(dtype)
      local eps = formula({ BATCH, 1, 1, 1 }, 3, 0, 1):to(dtype)
      local values = want[dtype]
      local function check(value, grads, how)
        near(value:detach():reshape { 1 }, ms.tensor({ values.penalty }, { dtype = dtype }), tolerance, name .. how)
        for k, p in ipairs(D:parameters()) do
          local g, w = grads[k], values.grads[k]
          if w == json.null then lu.assertFalse(g, ("%s, parameter %d: PyTorch has no gradient"):format(name, k))
          elseif not g then lu.assertEquals(ms.tensor(w):abs():max():item(), 0, "no gradient, where PyTorch's is not 0")
          else
            near(g:detach():reshape { -1 }, ms.tensor(w, { dtype = dtype }), tolerance,
              ("%s%s, parameter %d %s"):format(name, how, k, dtype))
          end
          lu.assertEquals(g and g.shape or p.shape, p.shape)
        end
      end
      local step = ms.compile(function(r, f, e)
        local value = penalty_of(D, (e * r + (1 - e) * f):requires_grad_())
        local grads = ms.grad(value, D:parameters(), { allow_unused = true })
        return value, grads
      end)
      for call = 1, 5 do
        local value, grads = step(real, fake, eps)
        if call == 1 or call == 5 then check(value, grads, call == 1 and "" or " (compiled)") end
      end
    end
  end
end

TestAdversaries = {}
for _, how in ipairs { "eager", "compiled" } do
  TestAdversaries["test_" .. how] = function()
    local G = weights(nn.sequential { nn.linear(LATENT, 128), nn.unflatten(8, 4, 4), nn.upsample(2), conv(8, 8, 3, { padding = 1 }),
      with_gain(nn.batch_norm2d(8)), nn.relu(), nn.upsample(2), conv(8, 2, 3, { padding = 1 }), nn.sigmoid() }, 100)
    local D = weights(nn.sequential { conv(2, 8, 4, half), leaky(), conv(8, 16, 4, half), leaky(), nn.flatten(), nn.linear(256, 1) }, 200)
    local adam_g = optim.adam(G:parameters(), { lr = 1e-3, betas = { 0, 0.9 } })
    local adam_d = optim.adam(D:parameters(), { lr = 1e-3, betas = { 0, 0.9 } })
    local function critic_step(real, eps, z)
      local fake = ms.no_grad(G, z)
      local loss = D(fake):mean() - D(real):mean() + 10 * penalty_of(D, (eps * real + (1 - eps) * fake):requires_grad_())
      adam_d:zero_grad()
      loss:backward()
      adam_d:step()
      return loss
    end
    local function generator_step(z)
      local loss = -D(G(z)):mean()
      adam_g:zero_grad()
      loss:backward { inputs = G:parameters() }
      adam_g:step()
      return loss
    end
    if how == "compiled" then critic_step, generator_step = ms.compile(critic_step), ms.compile(generator_step) end
    local function same(loss, want, what)
      lu.assertTrue(math.abs(loss:item() - want) <= 1e-3 * math.max(1, math.abs(want)),
        ("%s: %.7g, PyTorch %.7g"):format(what, loss:item(), want))
    end
    for t = 0, slow and 12 or 99 do
      local real, eps = formula({ BATCH, 2, SIDE, SIDE }, 1000 + 4 * t, 0, 1), formula({ BATCH, 1, 1, 1 }, 1001 + 4 * t, 0, 1)
      same(critic_step(real, eps, formula({ BATCH, LATENT }, 1002 + 4 * t, -1.7, 1.7)), data.training.critic[t + 1], "critic step " .. t)
      if t % 4 == 0 then
        local z = formula({ BATCH, LATENT }, 1003 + 4 * t, -1.7, 1.7)
        same(generator_step(z), data.training.generator[t // 4 + 1], "generator step " .. t)
      end
    end
  end
end
