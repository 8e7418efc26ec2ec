-- bce is of probabilities: what is outside 0..1 is an error, eagerly and in a replay, wherever it lies.
-- luacheck: globals TestBce
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local nn, fails = ms.nn, checks.fails

TestBce = {}

function TestBce.test_outside_0_to_1()
  local nan, most = 0 / 0, math.huge
  for _, dtype in ipairs { "f32", "f64", "bf16", "f16" } do
    for _, reduction in ipairs { "mean", "sum", "none" } do
      local function bce(x, t) return nn.bce(ms.tensor(x, { dtype = dtype }), ms.tensor(t, { dtype = dtype }), reduction) end
      lu.assertTrue(bce({ 0, 1, 0.5 }, { 0, 1, 0.25 }):isfinite():all():item())
      for _, bad in ipairs { 1.5, -0.25, nan, most, -most } do
        fails(("bce_loss: element 2 of x is %g, expected 0..1"):format(bad), bce, { 0.5, bad }, { 1, 0 })
        fails(("bce_loss: element 1 of target is %g, expected 0..1"):format(bad), bce, { 0.5, 0.5 }, { bad, 0 })
      end
    end
  end
end

function TestBce.test_one_among_many_on_any_number_of_threads()
  local before = ms.threads()
  for _, threads in ipairs { 1, 2, 5 } do
    ms.threads(threads)
    for _, n in ipairs { 1, 1023, 1025, 50000 } do
      for _, at in ipairs { 1, n // 2 + 1, n } do
        local x = ms.full({ n }, 0.5)
        x[at] = 1.0001
        fails(("element %d of x"):format(at), nn.bce, x, ms.zeros { n })
      end
    end
  end
  ms.threads(before)
end

function TestBce.test_strided()
  local x = ms.full({ 3, 2 }, 0.5)
  x[{ 3, 1 }] = 2
  fails("element 3 of x is 2", nn.bce, x:transpose(1, 2), ms.zeros { 2, 3 })
  local y = ms.full({ 3, 2 }, 0.25, { dtype = "f64" }):transpose(1, 2)
  lu.assertAlmostEquals(nn.bce(y, ms.zeros({ 2, 3 }, { dtype = "f64" })):item(), -math.log(0.75), 1e-15)
  lu.assertEquals(nn.bce(ms.full({ 2 }, 0.5, { dtype = "bf16" }), ms.zeros({ 2 }, { dtype = "bf16" })).dtype, "bf16")
end

function TestBce.test_gradients_through_the_copies()
  local x = ms.tensor({ { 0.2, 0.4 }, { 0.6, 0.9 } }, { dtype = "f64", requires_grad = true })
  local t = ms.tensor({ { 0, 1 }, { 0.5, 1 } }, { dtype = "f64" })
  local a = ms.grad(nn.bce(x, t, "sum"), x)
  local b = ms.grad(nn.bce(x:transpose(1, 2), t:transpose(1, 2), "sum"), x)
  lu.assertEquals(a:totable(), b:totable())
end

function TestBce.test_in_a_replay()
  for _, reduction in ipairs { "mean", "none" } do
    for _, turned in ipairs { false, true } do
      local step = ms.compile(function(x, t) return nn.bce(turned and x:transpose(1, 2) or x, t, reduction) end)
      local t = ms.full({ 3, 3 }, 0.5)
      for _ = 1, 6 do lu.assertAlmostEquals(step(ms.full({ 3, 3 }, 0.5), t):mean():item(), math.log(2), 1e-6) end
      fails("bce_loss: element 1 of x is 3, expected 0..1", step, ms.full({ 3, 3 }, 3), t)
      lu.assertAlmostEquals(step(ms.full({ 3, 3 }, 0.5), t):mean():item(), math.log(2), 1e-6)
    end
  end
end
