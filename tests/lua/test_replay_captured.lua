-- What a compiled function captured, variables and what lies in the tables in them: set outside it chooses the recording, set inside it is
-- an error.
-- luacheck: globals TestReplayCaptured
local lu = require "luaunit"
local ms = require "mascon"
local compiled = require "compiled"
local raises, replays = compiled.raises, compiled.replays
local one = ms.ones { 1 }

-- Call step(x) until an error, in call `at` at the latest; its message.
local function fails_by(at, parts, step, ...)
  for _ = 1, at - 1 do
    local ok, message = pcall(step, ...)
    if not ok then return raises(parts, error, message, 0) end
  end
  return raises(parts, step, ...)
end

TestReplayCaptured = {}

-- What the function itself captured, and somebody outside sets anew.
function TestReplayCaptured.test_captured_variables_set_outside()
  local scale, t, on, o, f = 2, ms.ones { 1 }, true, nil, function(x) return x end
  local w = ms.ones { 1 }:requires_grad_()
  local ran = 0
  local function work(x)
    ran = ran + 1
    if on then x = x * scale end
    x = f(x) + t
    if o then o:zero_grad() end
    return x * w
  end
  local step = ms.compile(work)
  local function same()
    for _ = 1, 5 do lu.assertEquals(step(one):item(), work(one):item()) end
  end
  same()
  for _, set in ipairs { function() scale = 3 end, function() t = ms.full({ 1 }, 5) end, function() on = false end,
    function() f = function(x) return x * 7 end end, function() o = ms.optim.sgd({ w }, { lr = 1 }) end } do
    set()
    same()
  end
  lu.assertTrue(replays(step))
  lu.assertTrue(ran <= 5 * 6 + 3 * 6, ran)
end

-- Fields of tables that it captured, and somebody outside sets; those of objects of the script's too.
function TestReplayCaptured.test_fields_of_captured_tables_set_outside()
  local o = { scale = 2, deep = { name = "relu" }, list = { 1, 2 } }
  local object = setmetatable({ shift = 1 }, { __index = function() return nil end })
  local ran = 0
  local function work(x)
    ran = ran + 1
    x = x * o.scale + object.shift + o.list[2]
    return o.deep.name == "relu" and x:relu() or x:neg()
  end
  local step = ms.compile(work)
  local function same()
    for _ = 1, 5 do lu.assertEquals(step(one):item(), work(one):item()) end
  end
  same()
  for _, set in ipairs { function() o.scale = 3 end, function() o.deep.name = "neg" end, function() object.shift = 4 end,
    function() o.list[2] = 9 end, function() o.list[3] = 7 end } do
    set()
    same()
  end
  lu.assertTrue(replays(step))
  ran = 0
  o.scale = 2
  o.scale = 3 -- as it was: the recording is found again
  for _ = 1, 5 do step(one) end
  lu.assertEquals(ran, 0)
end

-- A trainer's table: another model, optimizer or function put into it later is another recording, and going back finds the former one.
function TestReplayCaptured.test_objects_in_captured_tables_replaced_outside()
  ms.seed(4)
  local t = { net = ms.nn.linear(2, 2), act = ms.relu }
  t.opt = ms.optim.sgd(t.net:parameters(), { lr = 0.5 })
  local ran = 0
  local step = ms.compile(function(x)
    ran = ran + 1
    local loss = t.act(t.net(x)):square():sum()
    t.opt:zero_grad()
    loss:backward()
    t.opt:step()
    return loss
  end)
  local x, former = ms.ones { 1, 2 }, { net = t.net, opt = t.opt }
  local function follows(net)
    for _ = 1, 5 do
      local want, before = t.act(net(x)):square():sum():item(), net.weight:detach():clone()
      lu.assertAlmostEquals(step(x):item(), want, 1e-5)
      if want > 1e-3 then lu.assertTrue((net.weight - before):abs():sum():item() > 0) end
    end
  end
  follows(t.net)
  t.act = ms.tanh
  follows(t.net)
  t.net = ms.nn.linear(2, 2)
  t.opt = ms.optim.adam(t.net:parameters(), { lr = 0.01 })
  follows(t.net)
  lu.assertTrue(replays(step))
  t.net, t.opt, ran = former.net, former.opt, 0
  follows(t.net)
  lu.assertEquals(ran, 0)
end

-- A tensor that is replaced in a captured table, after the step was recorded with the old one.
function TestReplayCaptured.test_tensors_of_captured_tables_replaced_outside()
  local held = { w = ms.full({ 1 }, 2), deep = { b = ms.zeros { 1 } } }
  local ran = 0
  local function work(x)
    ran = ran + 1
    return x * held.w + held.deep.b
  end
  local step = ms.compile(work)
  local function same()
    for _ = 1, 5 do lu.assertEquals(step(one):item(), work(one):item()) end
  end
  same()
  held.w = ms.full({ 1 }, 3)
  same()
  held.deep.b = ms.ones { 1 }
  same()
  lu.assertTrue(replays(step))
  ran = 0
  for _ = 1, 5 do held.last = step(one) end -- a result that somebody keeps there changes nothing
  lu.assertEquals(ran, 0)
  for k = 1, 20 do -- for ever others: as it is called
    held.w = ms.full({ 1 }, k)
    for _ = 1, 5 do lu.assertEquals(step(one):item(), k + 1) end
  end
end

function TestReplayCaptured.test_a_field_of_a_captured_table_set_inside()
  local count = { n = 0 }
  local step = ms.compile(function(x)
    count.n = count.n + 1
    return x * 2
  end)
  fails_by(2, { "sets a field of the table in the variable 'count'", "a replay runs no Lua" }, step, one)
  local list = {}
  step = ms.compile(function(x)
    list[#list + 1] = 1
    return x * 2
  end)
  fails_by(2, { "sets a field of the table in the variable 'list'" }, step, one)
  local kept = { deep = {} } -- luacheck: ignore
  step = ms.compile(function(x)
    kept.deep.last = x
    return x * 2
  end)
  for k = 1, 2 do
    local ok, message = pcall(step, ms.ones { 1 } * k)
    if k == 2 then
      lu.assertFalse(ok)
      lu.assertStrContains(message, "sets a field of the table in the variable 'kept'")
    end
  end
  local batch = { x = one } -- what is put there outside is another matter
  step = ms.compile(function(x) return x * 2, batch.x end)
  for _ = 1, 5 do lu.assertEquals(step(batch.x):item(), 2) end
end

-- What functions captured that it captured, to any depth: a weight of a loss that is written as a function of its own.
function TestReplayCaptured.test_variables_of_captured_functions_set_outside()
  local beta, t, count = 1, ms.ones { 1 }, 0
  local function shift(x)
    count = count + 1 -- stands still in a replay, as a counter of the step itself
    return x + t
  end
  local function loss_of(x) return shift(x) * beta end
  local step = ms.compile(function(x) return loss_of(x), loss_of(x * 2) end)
  for i = 1, 24 do
    if i % 6 == 0 then beta = i end
    if i == 15 then t = ms.full({ 1 }, 5) end
    local a, b = step(one)
    lu.assertEquals({ a:item(), b:item() }, { (1 + t:item()) * beta, (2 + t:item()) * beta })
  end
  lu.assertTrue(replays(step))
  lu.assertTrue(count <= 2 * 18, count)
end

-- Methods of modules too, of those inside it and of their parents; functions in tables.
function TestReplayCaptured.test_variables_of_methods_set_outside()
  local nn, heat, bend, shift = ms.nn, 1, 1, 1
  local Base = nn.class "Base"
  function Base:cool(x) return x / heat end
  local Inner = nn.class("Inner", Base)
  function Inner:forward(x) return self:cool(x) * bend end
  local Outer = nn.class "Outer"
  function Outer:init() self.inner = nn.sequential { Inner() } end
  function Outer:forward(x) return self.inner(x) end
  local net, tools = Outer(), { add = function(x) return x + shift end }
  local step = ms.compile(function(x) return tools.add(net(x)) end)
  for i = 1, 28 do
    if i == 6 then heat = 4 elseif i == 12 then bend = 3 elseif i == 18 then shift = 7 elseif i == 24 then heat = 1 end
    lu.assertEquals(step(one):item(), bend / heat + shift)
  end
  lu.assertTrue(replays(step))
end

-- A compiled function that is called, by itself or out of a table: its variables count as those of any other.
function TestReplayCaptured.test_variables_of_a_compiled_function_inside()
  local scale, w, kept = 2, ms.tensor { 1 }, ms.tensor { 4 }
  local inner = ms.compile(function(x) return x * scale + w end)
  local tools = { pass = ms.compile(function(x) return kept, x end) }
  local step = ms.compile(function(x) return inner(x) + 1 end)
  local pass = ms.compile(function(x) return (tools.pass(x)) end)
  for i = 1, 24 do
    if i == 6 then scale = 3 elseif i == 12 then w = ms.tensor { 5 } elseif i == 18 then kept = kept + 1 end
    lu.assertEquals(step(one):item(), scale + w:item() + 1)
    lu.assertEquals(pass(one):item(), kept:item())
  end
  lu.assertTrue(replays(step))
end

-- Variables of metamethods (a table that is called, that is an operand, whose missing fields are computed) and of functions in tables in
-- tables.
function TestReplayCaptured.test_variables_of_metamethods()
  local k = 2
  local function times(_, x) return x * k end
  local made = setmetatable({}, { __call = times, __mul = times, __index = function() return k end })
  local tools = { fast = { { times = times } } }
  for _, f in ipairs { function(x) return made(x) end, function(x) return made * x end, function(x) return x * made.any end,
    function(x) return tools.fast[1].times(nil, x) end } do
    k = 2
    local step = ms.compile(f)
    for i = 1, 14 do
      if i == 7 then k = 3 end
      lu.assertEquals(step(one):item(), k)
    end
    lu.assertTrue(replays(step))
  end
end

-- A table that took the place of the first one, and is set then.
function TestReplayCaptured.test_settings_in_a_table_that_is_another_one()
  local cfg = { k = 1 }
  local step = ms.compile(function(x) return x * cfg.k end)
  for i = 1, 20 do
    if i == 6 then cfg = { k = 2 } elseif i == 11 then cfg.k = 3 elseif i == 16 then cfg.k = 2 end
    lu.assertEquals(step(one):item(), cfg.k)
  end
  lu.assertTrue(replays(step))
end

-- Tables that hold one another are looked at as far as is worth while: it took half a second for each call.
function TestReplayCaptured.test_tables_that_hold_one_another()
  local t = { k = 1 }
  for i = 1, 60 do t[i] = t end
  local step = ms.compile(function(x) return x * t.k end)
  local begin = os.clock()
  for i = 1, 40 do
    t.k = i // 10
    lu.assertEquals(step(one):item(), i // 10)
  end
  lu.assertTrue(os.clock() - begin < 5)
  lu.assertTrue(replays(step))
end
