-- Parameters that are computed: parametrizations, weight norm, spectral norm.
-- luacheck: globals TestParametrized TestSpectral
-- gcstress: every 50
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local nn, fails = ms.nn, checks.fails

local function f64(m) return m:to "f64" end
local function largest(a, b) return (a - b):abs():amax():item() end

TestParametrized = {}

local Double = nn.class "double"
function Double.forward(_, w) return w * 2 end
function Double.right_inverse(_, w) return w / 2 end

function TestParametrized.test_any_module()
  local m = nn.linear(2, 2)
  local w = m.weight
  local value = w:detach():clone()
  nn.register_parametrization(m, "weight", Double())
  lu.assertTrue(nn.is_parametrized(m) and nn.is_parametrized(m, "weight") and not nn.is_parametrized(m, "bias"))
  lu.assertEquals({ largest(m.weight, value), largest(w, value / 2) }, { 0, 0 })
  lu.assertTrue(m.parametrizations.weight.original == w) -- an optimizer made before goes on
  m.weight:sum():backward()
  lu.assertEquals(w.grad:sum():item(), 8)
  nn.register_parametrization(m, "weight", Double()) -- one behind the other
  lu.assertEquals(largest(m.weight, value * 2), 0)
  m.weight = ms.ones { 2, 2 }
  lu.assertEquals({ m.weight:sum():item(), w:sum():item() }, { 4, 1 })
  fails("expected 2 x 2 f32, got 3 f32", function() m.weight = ms.ones { 3 } end)
  nn.remove_parametrizations(m, "weight")
  lu.assertTrue(m.weight == w and m.parametrizations == nil)
  lu.assertEquals(w:sum():item(), 4)
  local order = {}
  for name in m:named_parameters() do order[#order + 1] = name end
  table.sort(order)
  lu.assertEquals(table.concat(order, " "), "bias weight")
end

function TestParametrized.test_errors()
  local m = nn.linear(2, 2)
  fails("linear has no floating parameter 'scale'", nn.register_parametrization, m, "scale", Double())
  fails("nn.register_parametrization: expected a module, got a function", nn.register_parametrization, m, "weight", function() end)
  fails("linear has no parametrized 'weight'", nn.remove_parametrizations, m, "weight")
  local Total = nn.class "total" -- what does not fit is refused before anything has changed
  function Total.forward(_, w) return w:sum() end
  local before = tostring(m)
  fails("total of 'weight' gives scalar f32, expected 2 x 2 f32 as the parameter is", nn.register_parametrization, m, "weight", Total())
  fails("gives 2 x 2 f64, expected 2 x 2 f32", nn.register_parametrization, m, "weight", nn.lambda(function(w) return w:to "f64" end))
  fails("broken", nn.register_parametrization, m, "weight", nn.lambda(function() error "broken" end))
  lu.assertEquals(tostring(m), before)
  local other = nn.register_parametrization(nn.linear(2, 2), "weight", Double())
  fails("gives scalar f32, expected 2 x 2 f32", nn.register_parametrization, other, "weight", Total())
  lu.assertEquals(nn.register_parametrization(other, "weight", Total(), { unsafe = true }).weight.shape, {})
  local One = nn.class "one"
  function One.forward(_, w) return w end
  nn.register_parametrization(m, "weight", One())
  fails("one: has no right_inverse: the parameter cannot be set", function() m.weight = ms.ones { 2, 2 } end)
  fails("leave_parametrized = false is for one", nn.remove_parametrizations, nn.weight_norm(nn.linear(2, 2)), "weight",
    { leave_parametrized = false })
end

function TestParametrized.test_weight_norm()
  local m = f64(nn.conv2d(2, 3, 2))
  local w = m.weight:detach():clone()
  nn.weight_norm(m)
  lu.assertTrue(largest(m.weight, w) < 1e-15)
  local list = {}
  for name, t in pairs(m:state_dict { names = "pytorch" }) do list[#list + 1] = name .. " " .. table.concat(t.shape, "x") end
  table.sort(list)
  lu.assertEquals(table.concat(list, ", "), "bias 3, parametrizations.weight.original0 3x1x1x1, parametrizations.weight.original1 3x2x2x2")
  local p = m.parametrizations.weight
  p.original0:detach():fill_(2)
  lu.assertAlmostEquals(m.weight:norm(2, { 2, 3, 4 }):sub(2):abs():amax():item(), 0, 1e-14)
  -- gradients lie across v
  m.weight:mul(ms.randn({ 3, 2, 2, 2 }, { dtype = "f64" })):sum():backward()
  lu.assertAlmostEquals((p.original1.grad * p.original1):sum({ 2, 3, 4 }):abs():amax():item(), 0, 1e-13)
  lu.assertEquals(nn.weight_norm(nn.linear(2, 3), { dim = 2 }).parametrizations.weight.original0.shape, { 1, 2 })
  lu.assertEquals(#nn.weight_norm(nn.linear(2, 3), { dim = false }).parametrizations.weight.original0.shape, 0)
  lu.assertEquals(nn.weight_norm(nn.linear(2, 3), { dim = -1 }).parametrizations.weight.original0.shape, { 1, 2 })
  fails("nn.weight_norm: dim: expected a dimension 1..2, got 3", nn.weight_norm, nn.linear(2, 3), { dim = 3 })
end

TestSpectral = {}

-- The largest singular value: by many rounds of the power method on w w'.
local function largest_singular_value(w)
  local a = ms.matmul(w, w, { tb = true })
  local v = ms.ones({ a:size(1), 1 }, { dtype = "f64" })
  for _ = 1, 2000 do
    v = ms.matmul(a, v)
    v = v / v:norm()
  end
  return math.sqrt(ms.matmul(a, v):norm():item())
end

function TestSpectral.test_the_largest_singular_value_becomes_1()
  ms.seed(3)
  local m = f64(nn.linear(6, 4))
  local w = m.weight:detach():clone()
  nn.spectral_norm(m)
  for _ = 1, 200 do local _ = m.weight end
  lu.assertAlmostEquals(largest_singular_value(m.weight:detach()), 1, 1e-12)
  lu.assertAlmostEquals(largest(m.weight * largest_singular_value(w), w), 0, 1e-12)
  local u = m.parametrizations.weight[1]._u:clone()
  m:eval()
  m(ms.randn({ 2, 6 }, { dtype = "f64" }))
  lu.assertEquals(largest(u, m.parametrizations.weight[1]._u), 0)
  lu.assertEquals(nn.spectral_norm(nn.conv_transpose2d(2, 3, 2)).parametrizations.weight[1]._u.shape, { 3 })
  lu.assertEquals(nn.spectral_norm(nn.conv2d(2, 3, 2)).parametrizations.weight[1]._v.shape, { 8 })
  fails("n_power_iterations: expected a whole number from 1 on, got 0", nn.spectral_norm, nn.linear(2, 2), { n_power_iterations = 0 })
end

-- Training with a gradient penalty (a derivative of second order through the norm), eagerly and compiled: the same weights and vectors.
function TestSpectral.test_in_compiled_steps_and_second_order()
  local function make()
    ms.seed(5)
    return nn.sequential { nn.spectral_norm(nn.linear(3, 8)), nn.tanh(),
      nn.spectral_norm(nn.weight_norm(nn.linear(8, 1), { name = "bias" })) }
  end
  local function training(net)
    local sgd = ms.optim.sgd(net:parameters(), { lr = 0.05 })
    return function(x)
      x = x:clone():requires_grad_()
      local y = net(x)
      local g = ms.grad(y:sum(), x)
      local loss = y:mean() + (g:square():sum(2) - 1):square():mean()
      sgd:zero_grad()
      loss:backward()
      sgd:step()
      return loss
    end
  end
  local a, b = make(), make()
  local eager, step = training(a), ms.compile(training(b))
  for call = 1, 8 do
    local x = ms.randn { 6, 3 }
    lu.assertAlmostEquals(step(x):item(), eager(x):item(), 1e-5, "call " .. call)
  end
  local want = a:state_dict()
  for name, t in pairs(b:state_dict()) do lu.assertAlmostEquals(largest(t, want[name]), 0, 1e-5, name) end
end

-- A step recorded before the norm came, and after it went.
-- Evaluation mode for a while; then each module in the mode it had, also after an error.
function TestSpectral.test_evaluate()
  local frozen = nn.batch_norm1d(2):eval()
  local net = nn.sequential { nn.dropout(0.5), frozen, nn.linear(2, 2) }
  local x = ms.rand { 3, 2 }
  local y, modes = nn.evaluate(net, function(given)
    local out = net(given)
    return out, { net.training, net[1].training, out.requires_grad }
  end, x)
  lu.assertEquals({ modes, #y }, { { false, false, false }, 3 })
  lu.assertEquals({ net.training, net[1].training, frozen.training }, { true, true, false })
  lu.assertErrorMsgContains("oh", nn.evaluate, net, error, "oh")
  lu.assertTrue(net.training)
  lu.assertErrorMsgContains("nn.evaluating: expected a module, got 3", nn.evaluate, 3, print)
end

function TestSpectral.test_coming_and_going_between_replays()
  local m = nn.linear(3, 2):eval()
  local step, x = ms.compile(function(x) return m(x) end), ms.randn { 4, 3 }
  local function same() for _ = 1, 5 do lu.assertAlmostEquals(largest(step(x), m(x)), 0, 1e-6) end end
  same()
  nn.spectral_norm(m)
  m:eval()
  same()
  nn.remove_parametrizations(m, "weight")
  same()
end
