-- A replay runs no Lua: whatever the function's Lua looked at, asked, set or kept has to be right in every call all the same, or an error
-- by call 3. Numbers handed in that Lua looks at are known by value; the rest says what to do.
-- luacheck: globals TestReplayNumbers TestReplayFresh TestReplayTables TestReplayKept TestReplayWords
local lu = require "luaunit"
local ms = require "mascon"
local compiled = require "compiled"
local raises, replays = compiled.raises, compiled.replays

-- f(...) eagerly and compiled, for each list of arguments in turn, over and over: the same results. Gives the step.
local function same_for(lists, f, rounds)
  local step = ms.compile(f)
  for _ = 1, rounds or 5 do
    for _, list in ipairs(lists) do
      local want, got = f(table.unpack(list)), step(table.unpack(list))
      if type(want) == "userdata" then want, got = want:totable(), got:totable() end
      lu.assertEquals(got, want)
    end
  end
  return step
end

-- Call step(x) until an error, in call `at` at the latest; its message.
local function fails_by(at, parts, step, ...)
  for _ = 1, at - 1 do
    local ok, message = pcall(step, ...)
    if not ok then return raises(parts, error, message, 0) end
  end
  return raises(parts, step, ...)
end

-- ---- numbers that Lua looks at --------------------------------------------------------------------------------------------------

TestReplayNumbers = {}

local one = ms.ones { 1 }

function TestReplayNumbers.test_compared()
  local four = { { one, 0 }, { one, 2 }, { one, 4 } }
  lu.assertTrue(replays(same_for(four, function(x, n) if n == 0 then return x * 0 end return x / n end)))
  same_for(four, function(x, n) if n ~= 4 then return x * n end return x + n end)
  same_for(four, function(x, n) if n < 3 then return x * n end return x + n end)
  same_for(four, function(x, n) if n >= 2 then return x * n end return x + n end)
  local limit = 2
  same_for(four, function(x, n) if n == limit then return x * 7 end return x end)
  same_for({ { one, 1, 1 }, { one, 1, 2 } }, function(x, n, m) if n == m then return x * 7 end return x end)
  same_for({ { one, { layers = 2 } }, { one, { layers = 3 } } }, function(x, cfg) if cfg.layers == 2 then return x * 7 end return x end)
end

-- The number that decides comes late: in the calls that are recorded, both ways look alike.
function TestReplayNumbers.test_compared_with_a_number_that_comes_late()
  local step = ms.compile(function(x, n) if n == 0 then return x * 0 end return x / n end)
  for n = 9, 1, -1 do lu.assertAlmostEquals(step(one, n):item(), 1 / n, 1e-7) end
  lu.assertEquals(step(one, 0):item(), 0)
  local rate, other = { 0.1, 0.5 }, ms.compile(function(x, epoch) return x * ({ 0.5, 0.25 })[epoch] end)
  for _ = 1, 4 do
    for epoch = 1, 2 do lu.assertEquals(other(one, epoch):item(), ({ 0.5, 0.25 })[epoch]) end
  end
  local h = ms.compile(function(x, epoch) return x * (rate[epoch] or 1) end)
  for epoch = 9, 1, -1 do lu.assertAlmostEquals(h(one, epoch):item(), rate[epoch] or 1, 1e-7) end
end

function TestReplayNumbers.test_as_a_key()
  local warm = { 0.5, 0.25, [2.5] = 3 }
  same_for({ { one, 1 }, { one, 2 }, { one, 3 }, { one, 2.5 } }, function(x, n) return x * (warm[n] or 1) end)
  same_for({ { one, 1 }, { one, 2 } }, function(x, n)
    local t = {}
    t[n] = 5
    return x * (t[1] or 7)
  end)
  same_for({ { one, 1 }, { one, 2 } }, function(x, n) return x * (rawget(warm, n) or 9) end)
end

function TestReplayNumbers.test_asked_by_functions_that_were_captured()
  local type, kind, tonumber, floor, max, equal = type, math.type, tonumber, math.floor, math.max, rawequal
  local lists = { { one, 1 }, { one, 2.5 }, { one, -3 } }
  same_for(lists, function(x, n) return type(n) == "number" and x or x * 9 end)
  same_for(lists, function(x, n) return kind(n) == "integer" and x or x * 9 end)
  same_for(lists, function(x, n) return x * tonumber(n) end)
  same_for(lists, function(x, n) return x * floor(n) end)
  same_for(lists, function(x, n) return x * max(n, 2) end)
  same_for(lists, function(x, n) return equal(n, 1) and x or x * 9 end)
  same_for(lists, function(x, n) return x, select("#", n) end)
  same_for(lists, function(_, n) return tostring(n) .. ("%g"):format(n) .. n end)
  same_for({ { one, 1 }, { one, 2 } }, function(x, n) return x * (select(n, 4, 5)) + #("ab"):rep(n) + (n // 2) + n % 2 + (n | 4) end)
end

-- What is made of a number that was handed in is looked at.
function TestReplayNumbers.test_made_of_others()
  same_for({ { one, 1 }, { one, 2 }, { one, 3 } }, function(x, n)
    local m = n * 2 + 1
    if m == 5 then return x * 7 end
    return x * m
  end)
end

function TestReplayNumbers.test_as_a_size_or_a_position()
  local x = ms.arange(0, 11):view { 3, 4 }
  local lists = { { 1 }, { 2 }, { 3 } }
  same_for(lists, function(n) return ms.zeros { n } end)
  same_for(lists, function(n) return ms.ones({ 2, n }):sum() end)
  same_for(lists, function(n) return x:slice(2, 1, n) end)
  same_for(lists, function(n) return x[n] end)
  same_for(lists, function(n) return x[{ {}, { 1, n } }] end)
  same_for(lists, function(n) return x[{ n, n }] * n end)
  same_for(lists, function(n) return (x:split(n, 2)[1]) end)
  same_for(lists, function(n) return ms.tensor { n, 2 * n } end)
  same_for(lists, function(n) return ms.arange(1, n) end)
  same_for(lists, function(n)
    local s = x[1]
    for _ = 1, n do s = s * 2 end
    return s
  end)
  same_for({ { 1 }, { 2 } }, function(d) return x:sum(d) end)
end

-- Only those that are looked at are known by value: the others stay live.
function TestReplayNumbers.test_the_others_stay_live()
  local ran = 0
  local step = ms.compile(function(x, n, rate)
    ran = ran + 1
    if n == 2 then x = x * 10 end
    return x * rate
  end)
  for i = 1, 20 do lu.assertAlmostEquals(step(one, 2, i / 4):item(), 10 * i / 4, 1e-6) end
  lu.assertTrue(ran <= 5, ran)
  lu.assertStrContains(step:report(), "test_replay_lua.lua:")
end

-- Operations made of others look at some of their numbers once.
function TestReplayNumbers.test_where_an_operation_looks_once()
  local step = ms.compile(function(x, p) return ms.dropout(x, p) end)
  for i = 1, 12 do
    local y = step(ms.ones { 40 }, i % 2 / 2)
    lu.assertEquals(y:amax():item(), i % 2 == 1 and 2 or 1)
    lu.assertEquals(y:amin():item(), i % 2 == 1 and 0 or 1)
  end
end

function TestReplayNumbers.test_whole_numbers_that_no_double_holds()
  same_for({ { one, (1 << 53) + 1 }, { one, (1 << 53) + 2 } }, function(x, n) return x * (n % 2 + 1) end)
end

-- A number that operations on numbers give is as live as one that Lua's arithmetic gives.
function TestReplayNumbers.test_made_by_an_operation()
  same_for({ { one, 1 }, { one, 2 }, { one, 5 } }, function(x, n) return x * ms.add(n, 1) end)
  same_for({ { one, 1 }, { one, 2 }, { one, 5 } }, function(x, n) return x * ms.mul(n, n) end)
end

function TestReplayNumbers.test_held_after_the_call()
  local seen = 0
  local step = ms.compile(function(x, n)
    seen = seen + n
    return x * n
  end)
  fails_by(3, { "a number handed to the step, or made of one, is still held", "Return it" }, step, one, 2)
end

-- Through a coroutine, a protected call, no_grad, a metamethod, a step inside: looks are looks.
function TestReplayNumbers.test_looked_at_in_other_places()
  local old = coroutine.wrap(function(n)
    while true do n = coroutine.yield(n == 1 and 5 or 6) end
  end)
  local function pick(n) return n == 1 and 5 or 6 end
  local t = setmetatable({}, { __index = function(_, n) return n == 1 and 5 or 6 end })
  local inner = ms.compile(function(x, n) return n == 1 and x * 5 or x * 6 end)
  for _, f in ipairs { function(x, n) return x * old(n) end, function(x, n) return x * coroutine.wrap(pick)(n) end,
    function(x, n) return x * select(2, pcall(pick, n)) end, function(x, n) return x * ms.no_grad(pick, n) end,
    function(x, n) return x * t[n] end, inner, function(x, n) return inner(x, n) + 0 end } do
    same_for({ { one, 3 }, { one, 1 }, { one, 2 } }, f)
  end
end

function TestReplayNumbers.test_whatever_hook_was_there_is_there_again()
  local events = 0
  debug.sethook(function() events = events + 1 end, "", 1000)
  local step = ms.compile(function(x, n) return n == 1 and x or x * 2 end)
  for _ = 1, 5 do step(one, 1) end
  local hook, mask, count = debug.gethook()
  debug.sethook()
  lu.assertEquals({ type(hook), mask, count }, { "function", "", 1000 })
  local failing = ms.compile(function(x, n) return x + n + missing.field end) -- luacheck: ignore missing
  for _ = 1, 3 do pcall(failing, one, 1) end
  lu.assertNil(debug.gethook())
end

-- ---- what would be another answer in each call ----------------------------------------------------------------------------------

TestReplayFresh = {}

function TestReplayFresh.test_asked_for_inside()
  local random = math.random
  for what, ask in pairs { ["math.random"] = function() return random(3) end, ["os.time"] = function() return os.time() % 2 end,
    ["os.clock"] = function() return os.clock() * 0 end, ["os.date"] = function() return #os.date() end,
    ["math.randomseed"] = function() return math.randomseed(3) or 1 end, ["io.read"] = function() return io.read(0) or 1 end } do
    local step = ms.compile(function(x) return x * ask() end)
    raises({ what .. " inside a compiled step", "test_replay_lua.lua", "as an argument" }, function()
      for _ = 1, what == "io.read" and 2 or 3 do step(one) end
    end)
  end
end

-- A function that catches the refusal goes another way than it would by itself: that is no recording either.
function TestReplayFresh.test_refusals_that_are_caught()
  for what, ask in pairs { ["math.random inside"] = function() return math.random() end,
    ["ms.seed inside"] = function() ms.seed(1) end, ["ms.rng_state inside"] = function() ms.rng_state() end,
    ["values were asked for"] = function(x) return x:sum():item() end } do
    local step = ms.compile(function(x) return pcall(ask, x) and x * 2 or x * 3 end)
    raises({ what, "caught an error of", "test_replay_lua.lua" }, function()
      for _ = 1, 2 do step(one) end
    end)
  end
end

-- ---- tables handed in -----------------------------------------------------------------------------------------------------------

TestReplayTables = {}

function TestReplayTables.test_written_to()
  local function write(key, value, nested)
    local step = ms.compile(function(x, st)
      local t = nested and st.deep or st
      t[key] = type(value) == "function" and value(t, x) or value
      return x
    end)
    fails_by(3, { "of a table among the arguments was set inside the step", "Return the value" }, step, one,
      { h = ms.zeros { 2 }, n = 1, deep = { n = 2, h = 1 } })
  end
  write("h", function(st, x) return st.h + x end)
  write("n", function(st) return st.n + 1 end)
  write("new", 1)
  write("new", function(_, x) return x * 2 end)
  write("n", function(st) return st.n + 1 end, true)
end

-- The caller's table holds what eager calls would have put there, whatever the call: also after the error.
function TestReplayTables.test_stay_as_an_eager_call_leaves_them()
  local step = ms.compile(function(x, st)
    st.n = st.n + 1
    return x * st.n
  end)
  local st = { n = 1, other = 2, list = { 3, 4 } }
  for i = 1, 3 do
    pcall(step, one, st)
    lu.assertEquals(st, { n = 1 + i, other = 2, list = { 3, 4 } })
  end
  local failing = ms.compile(function(_, t) return t.n + t.missing.field end)
  for _ = 1, 3 do
    lu.assertFalse(pcall(failing, one, st))
    lu.assertEquals(st, { n = 4, other = 2, list = { 3, 4 } })
  end
end

-- It is the caller's table that the function sees, also twice, and by another way.
function TestReplayTables.test_are_the_callers_own()
  local cfg = { k = 2, sub = { k = 5 } }
  local known = { [cfg] = 3 }
  local f = function(x, a, b) return x * a.k * b.sub.k * cfg.k * (known[a] or 0) * (a == b and 1 or 0) end
  local step = ms.compile(f)
  for i = 1, 8 do
    cfg.k = i
    lu.assertEquals(step(one, cfg, cfg):item(), f(one, cfg, cfg):item())
  end
  lu.assertEquals(cfg, { k = 8, sub = { k = 5 } })
end

-- ---- what is kept, and what is set ----------------------------------------------------------------------------------------------

TestReplayKept = {}

function TestReplayKept.test_a_result_that_is_also_kept()
  local kept, last, w = {}, nil, ms.ones { 2 }:requires_grad_()
  for _, f in ipairs { function(x)
    local l = (x * x):sum()
    kept[#kept + 1] = l
    return l
  end, function(x)
    last = (x * w):sum()
    return { deep = last }
  end, function(x)
    w.grad = nil
    local l = (x * w):sum()
    l:backward()
    kept[#kept + 1] = w.grad
    return l
  end, function(x)
    local y = x * 2
    kept[#kept + 1] = y[1]
    return y
  end } do
    fails_by(3, { "made is still held after the call", "Return it" }, ms.compile(f), ms.ones { 2 })
  end
end

function TestReplayKept.test_an_argument_that_is_kept()
  local last = ms.zeros { 1 }
  local step = ms.compile(function(x)
    local y = x + last
    last = x
    return y
  end)
  fails_by(2, { "keeps an argument in the variable 'last'", "copy it into a tensor" }, step, one)
end

function TestReplayKept.test_results_that_nobody_else_keeps()
  local w = ms.ones { 2 }:requires_grad_()
  local outside = {}
  local step = ms.compile(function(x)
    w.grad = nil
    local l = (x * w):sum()
    l:backward()
    return l, l, w.grad, { x, l }, nil
  end)
  for i = 1, 6 do
    local r = table.pack(step(ms.full({ 2 }, i)))
    lu.assertEquals(r.n, 5)
    outside[#outside + 1] = { r[1], w.grad, r[3] }
  end
  for i, r in ipairs(outside) do
    lu.assertEquals({ r[1]:item(), r[2]:totable(), r[3]:totable() }, { 2 * i, { i, i }, { i, i } })
  end
  lu.assertTrue(replays(step))
end

function TestReplayKept.test_a_rate_set_inside()
  local w = ms.zeros { 1 }:requires_grad_()
  for _, field in ipairs { "lr", "weight_decay", "momentum" } do
    local o = ms.optim.sgd({ w }, { lr = 1, momentum = 0.5, weight_decay = 0.5 })
    local step = ms.compile(function(x)
      o[field] = o[field] / 2
      o:zero_grad()
      local y = (w * x):sum()
      y:backward()
      o:step()
    end)
    fails_by(2, { field .. " was set inside a compiled step", "outside" }, step, one)
  end
end

-- To the value that it has: in a replay it might have another one. And to a number that was handed in.
function TestReplayKept.test_a_rate_set_inside_to_what_it_is()
  local w = ms.zeros { 1 }:requires_grad_()
  for _, field in ipairs { "lr", "betas" } do
    local o = ms.optim.adam({ w }, { lr = 1 })
    local before = field == "betas" and { 0.9, 0.999 } or o[field]
    fails_by(2, { field .. " was set inside a compiled step" }, ms.compile(function(x) o[field] = before return x * 2 end), one)
  end
  local o = ms.optim.adam({ w }, { lr = 1 })
  local step = ms.compile(function(x, lr) o.lr = lr return x * 2 end)
  fails_by(2, { "test_replay_lua.lua", "lr was set inside a compiled step" }, step, one, 0.5)
end

-- A switch of requires_grad of any leaf that the function works with, and back again.
function TestReplayKept.test_frozen_and_unfrozen()
  for _, through in ipairs { function(t) return t end, function(t) return t:view { 1 } end } do
    local a, b = ms.full({ 1 }, 2):requires_grad_(), ms.full({ 1 }, 3)
    local ran = 0
    local step = ms.compile(function(x)
      ran = ran + 1
      a.grad = nil
      local y = (a * through(b) * x):sum()
      y:backward()
    end)
    for _ = 1, 4 do
      for _, on in ipairs { false, true } do
        b:requires_grad_(on)
        for _ = 1, 5 do
          b.grad = nil
          step(one)
          lu.assertEquals(a.grad:item(), 3)
          if on then lu.assertEquals(b.grad:item(), 2) else lu.assertNil(b.grad) end
        end
      end
    end
    lu.assertTrue(ran <= 8, ran) -- each way was recorded once
  end
end

function TestReplayKept.test_frozen_inside_for_a_while()
  local a, b = ms.full({ 1 }, 2):requires_grad_(), ms.full({ 1 }, 3):requires_grad_()
  local step = ms.compile(function(x)
    b:requires_grad_(false)
    a.grad = nil
    local y = (a * b * x):sum()
    y:backward()
    b:requires_grad_(true)
    return y
  end)
  for _ = 1, 8 do
    lu.assertEquals(step(one):item(), 6)
    lu.assertNil(b.grad)
    lu.assertTrue(b.requires_grad)
  end
  lu.assertTrue(replays(step))
end

-- Fields of modules set by hand: each setting has a recording, going back finds the former one.
function TestReplayKept.test_fields_set_by_hand()
  local nn = ms.nn
  local Net = nn.class "net"
  function Net:init()
    self.alpha, self.drop, self.norm = 0.5, nn.dropout(0.5), nn.batch_norm(2)
    self.first = nn.linear(2, 2)
    self.act = function(x) return x:relu() end
  end
  function Net:forward(x)
    x = self.norm(self.first(x)) * self.alpha
    if self.extra then x = x + self.extra end
    return self.act(self.drop(x))
  end
  ms.seed(5)
  local net = Net()
  local ran = 0
  local function forward(x)
    ran = ran + 1
    return net(x)
  end
  local step, x = ms.compile(forward), ms.randn { 4, 2 }
  local weight = nn.parameter(ms.randn { 2, 2 })
  local first = net.first.weight
  local settings = { function() end, function() net.alpha = 2 end, function() net.drop.p = 0.25 end, function() net.norm.momentum = 0.5 end,
    function() net.norm.eps = 0.5 end, function() net.drop.training = false end, function() net.first.weight = weight end,
    function() net.extra = 3 end, function() net.act = function(y) return y:tanh() end end, function() net:to "f64" x = x:to "f64" end }
  local function same()
    local mean = net.norm.running_mean:clone()
    for _ = 1, 5 do
      net.norm.running_mean:copy_(mean)
      ms.seed(1)
      local want, after = net(x):detach(), net.norm.running_mean:clone()
      net.norm.running_mean:copy_(mean)
      ms.seed(1)
      compiled.same_bits(step(x), want)
      compiled.same_bits(net.norm.running_mean, after)
    end
  end
  for _, set in ipairs(settings) do
    set()
    same()
  end
  ran, net.first.weight = 0, first:to("f64"):detach():requires_grad_()
  same()
  local other = ran
  net.alpha = 0.5
  same()
  ran, net.alpha = 0, 2
  same()
  lu.assertEquals({ other > 0, ran }, { true, 0 })
end

function TestReplayKept.test_a_field_that_the_step_sets()
  local Net = ms.nn.class "net"
  function Net:init() self.on = true end
  function Net:forward(x)
    self.on = not self.on
    return self.on and x or x * 2
  end
  local net = Net()
  fails_by(8, { "net.on was set inside the step", "runs no Lua" }, ms.compile(function(x) return net(x) end), one)
  local Count = ms.nn.class "count"
  function Count:init() self.n = 0 end
  function Count:forward(x)
    self.n = self.n + 1
    return x * self.n
  end
  local count = Count()
  local step = ms.compile(function(x) return count(x) end)
  for i = 1, 6 do lu.assertEquals(step(one):item(), i) end
  lu.assertStrContains(step:report(), "6 calls changed fields of modules")
end

-- ---- words ----------------------------------------------------------------------------------------------------------------------

TestReplayWords = {}

function TestReplayWords.test_a_result_has_no_graph()
  local w = ms.ones { 1 }:requires_grad_()
  local step = ms.compile(function(x) return (w * x):sum(), w end)
  for _ = 1, 5 do
    local loss, same = step(one)
    raises({ "backward: this is a result of a compiled step", "call backward inside" }, loss.backward, loss)
    raises({ "grad: this is a result of a compiled step" }, ms.grad, loss, w)
    lu.assertTrue(same == w and same.requires_grad)
  end
end

function TestReplayWords.test_reports_tell_recordings_apart()
  local step = ms.compile(function(x, cfg, n) return cfg.on and n == 2 and x or x * n end)
  for _ = 1, 6 do
    step(ms.ones { 2, 3 }, { on = true, name = "a" }, 2)
    step(ms.ones { 4 }, { on = false, name = "a" }, 3.5)
  end
  local report = step:report()
  for _, part in ipairs { "(2 x 3 f32, {name = 'a', on = true}, number)", "(4 f32, {name = 'a', on = false}, number)",
    "with number 1 = 2, which is looked at (", "test_replay_lua.lua:" } do lu.assertStrContains(report, part) end
  raises({ "test_replay_lua.lua", "profile: expected how often" }, function() step:profile "x" end)
  lu.assertStrContains(step:profile(2, ms.ones { 4 }, { on = false, name = "a" }, 3.5), "(4 f32, {name = 'a', on = false}, number): 2 runs")
end
