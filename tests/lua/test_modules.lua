-- What modules do as a whole: hooks, copies, prints, names; modules made of others.
-- luacheck: globals TestHooks TestCopies TestPrint TestNames TestLists TestDicts
-- gcstress: every 50
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local nn, fails = ms.nn, checks.fails

local function largest(a, b) return (a - b):abs():amax():item() end

-- ---- hooks ----------------------------------------------------------------------------------------------------------------------------

TestHooks = {}

function TestHooks.test_order_and_what_they_give()
  local m, said = nn.lambda(function(a, b) return a + b, a - b end), {}
  local function before(name, f)
    return m:register_forward_pre_hook(function(_, list)
      said[#said + 1] = name
      return f and f(list)
    end)
  end
  local function after(name, f)
    return m:register_forward_hook(function(module, list, ...)
      said[#said + 1] = name
      lu.assertTrue(module == m)
      if f then return f(list, ...) end
    end)
  end
  before("first", function(list) return { list[1] * 10, list[2] } end)
  before "second"
  m:register_forward_pre_hook(function() said[#said + 1] = "prepended" end, { prepend = true })
  after("third", function(list, sum, difference)
    lu.assertEquals({ list[1], list[2], sum, difference }, { 20, 3, 23, 17 })
    return difference, sum
  end)
  local last = after("fourth", function(_, a, b) return a, b, "more" end)
  lu.assertEquals({ m(2, 3) }, { 17, 23, "more" })
  lu.assertEquals(table.concat(said, " "), "prepended first second third fourth")
  last:remove()
  last:remove() -- a second time changes nothing
  lu.assertEquals({ m(2, 3) }, { 17, 23 })
end

function TestHooks.test_one_value_is_the_only_argument()
  local m = nn.relu()
  do
    local guard <close> = m:register_forward_pre_hook(function(_, list) return -list[1] end)
    lu.assertEquals(m(ms.tensor { 1, -2 }):totable(), { 0, 2 })
  end
  lu.assertEquals(m(ms.tensor { 1, -2 }):totable(), { 1, 0 }) -- the hook went with its block
end

function TestHooks.test_a_hook_may_remove_itself()
  local m, calls, h = nn.identity(), 0, nil
  h = m:register_forward_hook(function() calls = calls + 1 h:remove() end)
  m:register_forward_hook(function(_, _, x) return x + 1 end)
  lu.assertEquals({ m(1), m(1), calls }, { 2, 2, 1 })
end

function TestHooks.test_inside_a_model_and_with_gradients()
  local net = nn.sequential { nn.linear(3, 4), nn.tanh(), nn.linear(4, 1) }
  local seen
  net[2]:register_forward_hook(function(_, _, y) seen = y return y * 2 end)
  local x = ms.randn { 5, 3 }
  net(x):sum():backward()
  lu.assertEquals(largest(net[3].weight.grad, (seen * 2):detach():sum(1, true)), 0)
  lu.assertEquals(largest(net(x), net[3](net[1](x):tanh() * 2)), 0)
end

function TestHooks.test_errors()
  local m = nn.relu()
  fails("relu:register_forward_hook: expected a function, got nil", m.register_forward_hook, m)
  fails("unknown option 'append'", m.register_forward_pre_hook, m, print, { append = true })
  fails("expected a module", m.register_forward_hook, nil, print)
end

-- A hook that comes, goes and comes again between the replays of a compiled step is always the one that runs.
function TestHooks.test_in_compiled_steps()
  local m = nn.linear(2, 2)
  local step = ms.compile(function(x) return m(x):sum() end)
  local x = ms.ones { 1, 2 }
  local function same(want)
    for _ = 1, 5 do lu.assertAlmostEquals(step(x):item(), want, 1e-5) end
  end
  local plain = m(x):sum():item()
  same(plain)
  local twice = m:register_forward_hook(function(_, _, y) return y * 2 end)
  same(2 * plain)
  local more = m:register_forward_pre_hook(function(_, list) return list[1] * 0 end)
  same(2 * m.bias:sum():item())
  more:remove()
  same(2 * plain)
  twice:remove()
  same(plain)
  m:register_forward_hook(function(_, _, y) return y * 3 end)
  same(3 * plain)
end

function TestHooks.test_backward()
  local m, said = nn.linear(2, 1, { bias = false }), {}
  m.weight:detach():copy_(ms.tensor { { 3, 5 } })
  local x = ms.tensor({ { 1, 2 }, { 3, 4 } }, { requires_grad = true })
  local before = m:register_full_backward_pre_hook(function(module, dy)
    said[#said + 1] = { "dy", module == m, dy.n, dy[1]:totable() }
    return dy[1] * 2
  end)
  local h = m:register_full_backward_hook(function(_, dx, dy)
    said[#said + 1] = { "dx", dx.n, dx[1]:totable(), dy[1]:totable() }
    return { dx[1] * 10 }
  end)
  m(x):sum():backward()
  lu.assertEquals(said, { { "dy", true, 1, { { 1 }, { 1 } } }, { "dx", 1, { { 6, 10 }, { 6, 10 } }, { { 2 }, { 2 } } } })
  lu.assertEquals(x.grad:totable(), { { 60, 100 }, { 60, 100 } })
  lu.assertEquals(m.weight.grad:totable(), { { 8, 12 } })
  before:remove()
  x.grad = nil
  lu.assertEquals(ms.grad(m(x):sum(), x):totable(), { { 30, 50 }, { 30, 50 } })
  h:remove()
  m(x):sum():backward()
  lu.assertEquals(x.grad:totable(), { { 3, 5 }, { 3, 5 } })
  lu.assertEquals(#said, 3)
  -- no argument wants a gradient
  said = {}
  m:register_full_backward_hook(function(_, dx, dy) said = { dx.n, dx[1], dy[1]:totable() } end)
  m(x:detach()):sum():backward()
  lu.assertEquals(said, { 1, nil, { { 1 }, { 1 } } })
  lu.assertFalse(ms.no_grad(m, x).requires_grad)
end

function TestHooks.test_backward_in_compiled_steps_and_of_second_order()
  local function make()
    ms.seed(4)
    local net = nn.sequential { nn.linear(3, 4), nn.tanh(), nn.linear(4, 1) }
    net[2]:register_full_backward_hook(function(_, dx) return dx[1] * 3 end)
    return net
  end
  local function training(net)
    return function(x)
      for _, p in ipairs(net:parameters()) do p.grad = nil end
      x = x:clone():requires_grad_()
      local g = ms.grad(net(x):sum(), x)
      local loss = g:square():sum() + net(x):mean()
      loss:backward()
      return loss
    end
  end
  local a, b = make(), make()
  local eager, step = training(a), ms.compile(training(b))
  for call = 1, 6 do
    local x = ms.randn { 5, 3 }
    lu.assertAlmostEquals(step(x):item(), eager(x):item(), 1e-5, "call " .. call)
    for i, p in ipairs(a:parameters()) do
      local q = b:parameters()[i]
      lu.assertEquals(p.grad == nil, q.grad == nil)
      if p.grad then lu.assertAlmostEquals(largest(p.grad, q.grad), 0, 1e-5, ("call %d, gradient %d"):format(call, i)) end
    end
  end
end

-- What a hook captured counts as what the step itself captured, also when it came after the first replays; and a forward set by hand.
function TestHooks.test_what_a_late_hook_captured_is_watched()
  local m, factor, scale = nn.linear(2, 2), 1, { by = 1 }
  local step = ms.compile(function(x) return m(x):sum() end)
  local x, want = ms.ones { 1, 2 }, nil
  local function same(f) for _ = 1, 5 do lu.assertAlmostEquals(step(x):item(), f * want, 1e-5) end end
  want = m(x):sum():item()
  same(1)
  local h = m:register_forward_hook(function(_, _, y) return y * factor * scale.by end)
  for _, f in ipairs { 1, 2, 3 } do
    factor = f
    same(f)
    scale.by = 5
    same(5 * f)
    scale.by = 1
  end
  h:remove()
  same(1)
  m.forward = function(self, v) return ms.linear(v, self.weight, self.bias) * factor end
  same(3)
  factor = 4
  same(4)
end

-- What a hook keeps would stay as it was in replays.
function TestHooks.test_a_step_does_not_lose_what_a_hook_keeps()
  for _, first in ipairs { true, false } do
    local m, kept = nn.linear(2, 2), {}
    local step = ms.compile(function(x) return m(x):sum() end)
    local x = ms.ones { 1, 2 }
    if not first then step(x) step(x) step(x) step(x) end
    m:register_forward_hook(function(_, _, y) kept.y = y end)
    fails("a replay runs no Lua", function() for _ = 1, 3 do step(x) end end)
    lu.assertNotNil(kept.y)
  end
end

-- ---- copies ---------------------------------------------------------------------------------------------------------------------------

TestCopies = {}

function TestCopies.test_nothing_is_shared()
  local m = nn.sequential { nn.linear(3, 2), nn.batch_norm(2), nn.dropout(0.3) }
  m[1].bias:requires_grad_(false)
  m:eval()
  local c = m:clone()
  lu.assertEquals(tostring(c), tostring(m))
  lu.assertFalse(c[3].training)
  lu.assertFalse(c[1].bias.requires_grad)
  lu.assertTrue(c[1].weight.requires_grad and c[1].weight.is_leaf)
  local before = c:state_dict()
  for name, t in pairs(before) do before[name] = t:clone() end
  m:train():requires_grad_()
  local sgd = ms.optim.sgd(m:parameters(), { lr = 1 })
  m(ms.randn { 4, 3 }):square():sum():backward()
  sgd:step()
  c[3].p = 0.9
  lu.assertEquals(m[3].p, 0.3)
  for name, t in pairs(c:state_dict()) do lu.assertEquals(largest(t, before[name]), 0, name) end
  lu.assertTrue(largest(m[1].weight, c[1].weight) > 0)
  lu.assertNil(c[1].weight.grad)
end

function TestCopies.test_what_is_one_stays_one()
  local a = nn.linear(2, 2)
  local m = nn.sequential { a, nn.linear(2, 2), a }
  m[2].weight = a.weight
  m.note = { { "plain" }, place = a }
  local c = ms.deepcopy { m, a, a.weight }
  lu.assertTrue(c[1][1] == c[1][3] and c[1][1] == c[2] and c[1].note.place == c[2])
  lu.assertTrue(c[1][2].weight == c[2].weight and c[3] == c[2].weight)
  lu.assertEquals(#c[1]:parameters(), 3)
  c[1].note[1][1] = "other"
  lu.assertEquals(m.note[1][1], "plain")
end

function TestCopies.test_classes_hooks_and_computed_parameters()
  local Net = nn.class "Net"
  function Net:init() self.layer, self.scale = nn.weight_norm(nn.linear(2, 2)), 3 end
  function Net:forward(x) return self.layer(x) * self.scale end
  local m = Net()
  local h = m:register_forward_hook(function(net, _, y) return y + net.scale end)
  local c, x = m:clone(), ms.randn { 4, 2 }
  c.scale = 5
  lu.assertAlmostEquals(largest(c(x), (m(x) - 3) / 3 * 5 + 5), 0, 1e-5)
  h:remove()
  lu.assertAlmostEquals(largest(c(x), m(x) / 3 * 5 + 5), 0, 1e-5) -- the copy's hook is its own
  c.layer.weight = ms.zeros { 2, 2 }
  lu.assertTrue(m.layer.weight:abs():sum():item() > 0)
end

function TestCopies.test_tensors()
  local x = ms.tensor({ 1, 2 }, { requires_grad = true })
  local y = ms.deepcopy(x)
  lu.assertTrue(y.requires_grad and y.is_leaf and y ~= x)
  fails("a tensor that an operation made within a graph cannot be copied", ms.deepcopy, x * 2)
  local m = nn.linear(1, 1) -- what follows m's parameters would not follow the copy's
  local o = ms.optim.sgd(m:parameters(), { lr = 1 })
  fails("deepcopy: optim.sgd cannot be copied: make another for the copied parameters", ms.deepcopy, { m, { o } })
  fails("cannot be copied", ms.deepcopy, ms.optim.lr_scheduler.step_lr(o, 2))
  fails("deepcopy: optim.ema cannot be copied", ms.deepcopy, ms.optim.ema(m, { decay = 0.5 }))
end

-- The copy's replays are its own.
function TestCopies.test_in_compiled_steps()
  local m = nn.sequential { nn.linear(2, 1) }
  local c = m:clone()
  local step = ms.compile(function(net, x) return net(x):sum() end)
  local x = ms.ones { 1, 2 }
  for _ = 1, 5 do lu.assertAlmostEquals(step(m, x):item(), step(c, x):item(), 1e-6) end
  m[1].weight:detach():fill_(0)
  for _ = 1, 2 do lu.assertAlmostEquals(step(m, x):item(), m[1].bias:item(), 1e-6) end
  lu.assertAlmostEquals(step(c, x):item(), c(x):item(), 1e-6)
end

-- ---- prints and names -----------------------------------------------------------------------------------------------------------------

TestPrint = {}

function TestPrint.test_frozen_and_shared()
  local a = nn.linear(3, 2)
  local m = nn.sequential { a, nn.batch_norm(2), nn.linear(3, 2), a }
  m[3].weight = a.weight
  a:requires_grad_(false)
  lu.assertEquals(tostring(m), table.concat({
    "sequential                                                          14",
    "  1: linear(3, 2)   weight 2 x 3 (frozen), bias 2 (frozen)           8",
    "  2: batch_norm(2)  weight 2, bias 2                                 4",
    "  3: linear(3, 2)   weight 2 x 3 (is 1.weight), bias 2               2",
    "  4: linear(3, 2)   (is 1)",
    "14 parameters (6 trainable, 8 frozen), 80 bytes" }, "\n"))
  lu.assertEquals(m:count(), 14)
  lu.assertStrContains(tostring(nn.linear(1000, 2000)), "\n2,002,000 parameters, 8.01 MB")
  lu.assertEquals(tostring(nn.relu()), "relu\n0 parameters")
end

TestNames = {}

function TestNames.test_modules_by_name()
  local a = nn.relu()
  local m = nn.sequential { nn.sequential { nn.linear(1, 1), a }, a }
  local got = {}
  for name, x in m:named_modules() do got[#got + 1] = name .. ":" .. x.__name end
  lu.assertEquals(table.concat(got, " "), ":sequential 1:sequential 1.1:linear 1.2:relu")
  got = {}
  m[3] = a
  for name, x in m:named_children() do got[#got + 1] = name .. ":" .. x.__name end
  lu.assertEquals(table.concat(got, " "), "1:sequential 2:relu")
  lu.assertEquals(#m:children(), 2)
  got = {}
  for name in nn.batch_norm(2):named_buffers() do got[#got + 1] = name end
  lu.assertEquals(got[1], "running_mean")
end

function TestNames.test_apply_goes_from_the_bottom_up()
  local got = {}
  nn.sequential { nn.sequential { nn.linear(1, 1) }, nn.relu() }:apply(function(x) got[#got + 1] = x.__name end)
  lu.assertEquals(table.concat(got, " "), "linear sequential relu sequential")
end

-- Buffers that are no part of the state: they move and are copied, but are neither saved nor missed.
function TestNames.test_buffers_that_are_not_saved()
  local Net = nn.class "Net"
  function Net:init()
    self.kept, self.lost = nn.buffer(ms.ones { 2 }), nn.buffer(ms.ones { 3 }, false)
    self:register_buffer("other", ms.ones { 1 }, false)
  end
  local m = Net():clone():to "f64"
  lu.assertEquals({ #m:buffers(), m.lost.dtype }, { 3, "f64" })
  local state = m:state_dict()
  lu.assertTrue(next(state) == "kept" and next(state, "kept") == nil)
  m:load_state_dict(state)
  m:register_buffer("other", ms.zeros { 1 })
  lu.assertNotNil(m:state_dict().other)
  lu.assertStrContains(tostring(m), "\n0 parameters, 44 bytes")
  fails("Net:register_buffer: persistent: expected true or false, got 1", m.register_buffer, m, "x", ms.ones { 1 }, 1)
end

-- ---- lists ----------------------------------------------------------------------------------------------------------------------------

TestLists = {}

local function names(list)
  local got = {}
  for i, m in ipairs(list) do got[i] = m.__name end
  return table.concat(got, " ")
end

function TestLists.test_entries()
  local net = nn.sequential { nn.relu(), nn.tanh(), nn.sigmoid() }
  lu.assertEquals(#net, 3)
  lu.assertTrue(net[-1] == net[3] and net[-3] == net[1])
  lu.assertNil(net[4])
  lu.assertEquals({ names(net), names(net[{ 2, 3 }]), names(net[{ -2, -1 }]), names(net[{ 3, 2 }]) },
    { "relu tanh sigmoid", "tanh sigmoid", "tanh sigmoid", "" })
  lu.assertTrue(net[{ 2, 2 }][1] == net[2])
  fails("sequential[0]: there are 3 entries, counted from 1", function() return net[0] end)
  fails("sequential[9]: there are 3 entries", function() return net[9] end)
  fails("sequential[-4]: there are 3 entries", function() return net[-4] end)
  fails("sequential[{ 2, 4 }]: there are 3 entries", function() return net[{ 2, 4 }] end)
  fails("sequential[9]: there are 3 entries", function() net[9] = nn.relu() end)
  fails("sequential[1] = nil would leave a hole; l:pop(1) takes it out", function() net[1] = nil end)
  fails("sequential: [1]: expected a module, got number", function() net[1] = 7 end)
end

function TestLists.test_growing_and_shrinking()
  local net = nn.sequential {}
  lu.assertEquals({ #net, net(5) }, { 0, 5 })
  net:append(nn.relu()):append(nn.linear(2, 2)):insert(1, nn.tanh()):extend { nn.sigmoid(), function(x) return x end }
  lu.assertEquals(names(net), "tanh relu linear sigmoid lambda")
  lu.assertEquals({ net:pop(2).__name, net:pop().__name, names(net) }, { "relu", "lambda", "tanh linear sigmoid" })
  net:insert(-1, nn.gelu())
  lu.assertEquals(names(net), "tanh linear gelu sigmoid")
  net[1] = function(x) return x + 1 end
  lu.assertEquals(names(net:extend(net[{ 1, 1 }])), "lambda linear gelu sigmoid lambda")
  lu.assertEquals(next(net:state_dict { names = "pytorch" }):match "^%d", "1")
  fails("sequential:insert: expected a place 1..6, got 9", net.insert, net, 9, nn.relu())
  fails("sequential:append: argument 1: expected a module, got nil", net.append, net)
  fails("sequential:append: expected no more arguments, got table", net.append, net, nn.relu(), nn.relu())
  fails("sequential:pop: expected no more arguments, got number", net.pop, net, 1, 2)
  fails("sequential:extend: entry 2: expected a module, got 'x'", net.extend, net, { nn.relu(), "x" })
  fails("sequential:pop: expected a place 1..5, got 0", net.pop, net, 0)
  local step = ms.compile(function(x) return net(x) end)
  local x = ms.randn { 3, 2 }
  for call = 1, 12 do
    if call == 6 then net:append(nn.relu()) elseif call == 9 then net:pop(1) end
    lu.assertAlmostEquals(largest(step(x), net(x)), 0, 1e-6, "call " .. call)
  end
end

function TestLists.test_module_list()
  local Net = nn.class "Net"
  function Net:init() self.blocks = nn.module_list { nn.linear(2, 2), nn.linear(2, 2) } end
  function Net:forward(x)
    for _, b in ipairs(self.blocks) do x = b(x) end
    return x
  end
  local m = Net()
  lu.assertEquals(#m:parameters(), 4)
  lu.assertNotNil(m:state_dict { names = "pytorch" }["blocks.1.bias"])
  lu.assertEquals(m(ms.ones { 1, 2 }).shape, { 1, 2 })
  fails("has no forward", m.blocks, ms.ones { 1, 2 })
  fails("nn.module_list: expected one list of modules", nn.module_list, nn.relu())
end

function TestLists.test_parameter_list()
  local m = nn.class "Net" ()
  local frozen = nn.parameter(ms.ones { 3 }):requires_grad_(false)
  m.all = nn.parameter_list { ms.ones { 2 }, frozen }
  lu.assertTrue(m.all[1].requires_grad and m.all[2] == frozen)
  lu.assertEquals(m.all[2].requires_grad, false)
  m.all:append(ms.zeros { 1 })
  lu.assertEquals({ #m.all, m:count(), #m:parameters() }, { 3, 6, 3 })
  fails("nn.parameter_list: entry 1: expected a tensor, got a module", nn.parameter_list, { nn.relu() })
end

TestDicts = {}

function TestDicts.test_modules_by_name()
  local d = nn.module_dict { b = nn.relu(), a = nn.linear(2, 2) }
  lu.assertEquals({ #d, table.concat(d:keys(), " ") }, { 2, "a b" })
  d:update { { "z", nn.tanh() }, { "c", nn.sigmoid() } }
  local got = {}
  for name, m in d:items() do got[#got + 1] = name .. ":" .. m.__name end
  lu.assertEquals(table.concat(got, " "), "a:linear b:relu z:tanh c:sigmoid")
  lu.assertEquals({ d:pop "b".__name, #d, d.b, #d:values() }, { "relu", 3, nil, 3 })
  lu.assertNotNil(d:state_dict()["a.weight"])
  d.new = function(x) return x end
  lu.assertEquals(d.new(3), 3)
  fails("module_dict:pop: there is no 'b'", d.pop, d, "b")
  fails("keys is a method", function() d.keys = nn.relu() end)
  fails("module_dict: x: expected a module, got number", function() d.x = 3 end)
  local was = table.concat(d:keys(), " ")
  fails("module_dict:update: q: expected a module, got number", d.update, d, { p = nn.relu(), q = 3 })
  fails("keys is a method", d.update, d, { { "p", nn.relu() }, { "keys", nn.relu() } })
  lu.assertEquals(table.concat(d:keys(), " "), was) -- all or none
  fails("entry 2: expected names", nn.module_dict, { [2] = nn.relu(), x = nn.relu() })
  d:clear()
  lu.assertEquals({ #d, #d:parameters() }, { 0, 0 })
end

function TestDicts.test_parameters_by_name()
  local d = nn.parameter_dict { w = ms.ones { 2 } }
  lu.assertTrue(d.w.requires_grad)
  lu.assertEquals(d:count(), 2)
end
