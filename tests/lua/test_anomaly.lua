-- luacheck: globals TestCae
-- What scripts/cae_anomaly.lua writes in tensor operations itself.
local lu = require "luaunit"
local ms = require "mascon"

-- The function of that name out of the script.
local function from_script(name)
  local f <close> = assert(io.open "scripts/cae_anomaly.lua")
  local body = assert(f:read("a"):match("\nlocal function " .. name .. "(%b().-\nend)\n"))
  return assert(load("return function" .. body, name, "t", setmetatable({ ms = ms }, { __index = _G })))()
end

TestCae = {}

-- The published form has no clamp.
local function published(p, x, gamma, alpha, p_th)
  local t = x:gt(p_th):float()
  local pt = p * t + (1 - p) * (1 - t)
  return -alpha * (pt + 1e-8):log() * (1 - pt) ^ gamma
end

function TestCae.test_focal_loss_is_the_published_one_without_its_nan()
  local focal = from_script "focal"
  local x = ms.tensor { 0, 0, 0, 0.3, 1, 1 }
  local function both(values, f)
    local p = ms.tensor(values, { requires_grad = true })
    local loss = f(p, x, 0.25, 2, 0)
    loss:sum():backward()
    return loss:totable(), p.grad
  end
  local inner = { 0.1, 0.5, 0.9, 0.2, 0.7, 0.999 }
  local loss, grad = both(inner, focal)
  local loss_published, grad_published = both(inner, published)
  lu.assertEquals(loss, loss_published)
  lu.assertEquals(grad:totable(), grad_published:totable())
  lu.assertAlmostEquals(loss[4], -2 * math.log(0.2) * 0.8 ^ 0.25, 1e-6) -- 0.3 is above p_th: its target is 1
  -- told with certainty, rightly: the loss is nearly 0; the published derivative is NaN, ours a number
  local sure = { 0, 0.5, 0.5, 1, 1, 0 }
  loss, grad = both(sure, focal)
  loss_published, grad_published = both(sure, published)
  for i = 1, 6 do lu.assertAlmostEquals(loss[i], loss_published[i], 1e-6) end
  lu.assertTrue(math.abs(loss[1]) < 1e-6 and loss[6] > 30)
  lu.assertTrue(grad_published:isnan():any():item())
  lu.assertTrue(grad:isfinite():all():item())
end
