-- gcstress: every 500, since it walks through all that a program can reach
-- Functions of an edited file in the place of those that live (ms.reload).
-- luacheck: globals TestWatch TestDifferences
local checks = require "checks"
local lu = require "luaunit"
local ms = require "mascon"
local differences = require "mascon.watch.differences"

TestDifferences = {}

function TestDifferences.test_alignment_and_unified()
  lu.assertEquals(differences.align({ "a", "b", "c" }, { "a", "x", "c", "d" }), { 1, false, 3, false })
  lu.assertEquals(differences.align({}, { "a" }), { false })
  lu.assertEquals(differences.unified("same\n", "same\n", "f"), "")
  local old, new = {}, {}
  for i = 1, 20 do old[i], new[i] = "line " .. i, "line " .. i end
  new[3], new[18] = "LINE 3", nil
  table.remove(new, 18)
  new = { table.unpack(new, 1, 17) }
  lu.assertEquals(differences.unified(table.concat(old, "\n"), table.concat(new, "\n") .. "\n", "f"), table.concat({ "--- f", "+++ f",
    "@@ -1,6 +1,6 @@", " line 1", " line 2", "-line 3", "+LINE 3", " line 4", " line 5", " line 6",
    "@@ -15,6 +15,3 @@", " line 15", " line 16", " line 17", "-line 18", "-line 19", "-line 20", "" }, "\n"))
  lu.assertEquals(differences.changed("a\nb\nc\n", "a\n-- only a remark\n\nx\nc\n"), { 4 })
end

TestWatch = {}

local serial = 0

function TestWatch:setUp()
  self.dir, self.path = checks.temporary_folder(), package.path
  package.path = self.dir .. "/?.lua;" .. package.path
  serial = serial + 1
  self.name = "watched_" .. serial
  self.file = ("%s/%s.lua"):format(self.dir, self.name)
  self.say = require "mascon.progress".say
  require "mascon.progress".say = function(line) self.said = line end
end

function TestWatch:tearDown()
  package.path = self.path
  package.loaded[self.name] = nil
  debug.getregistry()["mascon.texts"][self.file] = nil
  checks.remove_folder(self.dir)
  require "mascon.progress".say = self.say
end

function TestWatch:load(text)
  self.text = text
  checks.write(self.file, text)
  return require(self.name)
end

-- Save the text with these replacements (plain texts, in pairs), and reload.
function TestWatch:edit(...)
  local words = { ... }
  for i = 1, #words, 2 do
    local from, to = self.text:find(words[i], 1, true)
    self.text = self.text:sub(1, assert(from, words[i]) - 1) .. words[i + 1] .. self.text:sub(to + 1)
  end
  checks.write(self.file, self.text)
  return assert(ms.reload())
end

function TestWatch:test_wherever_a_function_is_held()
  local m = self:load [[
local M = { list = {}, keys = {} }
local count = 0
local function tick() count = count + 1 return "old", count end
local function other() return count end
M.tick, M.other, M.list[1], M.keys[tick] = tick, other, tick, "key"
M.thread = coroutine.wrap(function()
  local held = tick
  while true do coroutine.yield(held()) end
end)
M.object = setmetatable({}, { __index = { tick = tick }, __call = function(_, v) return "old", v end })
return M
]]
  local mine, other = m.tick, m.other
  mine()
  m.thread()
  local got = self:edit('count = count + 1 return "old"', 'count = count + 10 return "new"', '(_, v) return "old"', '(_, v) return "new"')
  lu.assertEquals(got, { "tick", "__call", notes = {} })
  lu.assertEquals({ mine() }, { "new", 12 }) -- a local variable of this test
  lu.assertEquals({ m.tick == mine, m.list[1] == mine, m.keys[mine], m.object.tick == mine }, { true, true, "key", true })
  lu.assertEquals({ m.thread() }, { "new", 22 })
  lu.assertEquals({ m.object(3) }, { "new", 3 })
  lu.assertEquals(m.other(), 22)
  lu.assertTrue(m.other == other) -- it has not changed
end

-- Where Lua keeps the constants of a function hangs on those before it in the text: that makes no other function of it.
function TestWatch:test_only_what_has_changed()
  local m = self:load [[
local M = {}
function M.before() return 1 end
function M.outer()
  local a = { sum = 1, mean = 2 }
  M.inner = function() return a.sum end
  return a.sum + a.mean, "mean", 2.5
end
function M.after() return "sum", 1, "mean", 2.5 end
return M
]]
  m.outer()
  local outer, after = m.outer, m.after
  lu.assertEquals(self:edit("return a.sum end", 'return a.sum * 1 + #"mean" + 2.5 end'), { "M.inner", notes = {} })
  lu.assertEquals(self:edit("return 1 end", 'return 2.5, "sum", "mean" end'), { "M.before", notes = {} })
  lu.assertEquals({ m.inner(), m.after == after }, { 7.5, true })
  outer()
  lu.assertEquals(m.inner(), 7.5) -- what it makes from now on is new, too
end

-- Each call of a function has its own variables, and each function that it made keeps them.
function TestWatch:test_closures_keep_their_own_variables()
  local m = self:load [[
local M = {}
function M.counter(name)
  local n, step = 0, 1
  local function set(v) n, step = n, v end
  return function() n = n + 1 return name .. n end, set
end
return M
]]
  local a, set_a = m.counter "a"
  local b, set_b = m.counter "b"
  a() a() b()
  set_a(5)
  set_b(7)
  self:edit("n = n + 1 return", "n = n + step return")
  lu.assertEquals({ a(), b() }, { "a7", "b8" }) -- step is found by the setter of the same call
  local c = m.counter "c"
  lu.assertEquals(c(), "c1")
  self:edit("return name .. n end", 'return name .. ":" .. n end', "local M = {}", "-- two lines more\n\nlocal M = {}")
  lu.assertEquals({ a(), b(), c(), (m.counter "d")() }, { "a:12", "b:15", "c:2", "d:1" })
end

function TestWatch:test_variables_that_are_new()
  local m = self:load [[
local M = {}
local lost = { 1 }
function M.f(v) return v end
M.first = lost[1]
return M
]]
  lu.assertEquals(self:edit("function M.f(v) return v end", [[
local scale, text = 1, 2
local half = 0.5
local word = "w"
local json = require "mascon.json"
local function even(n) return n == 0 and "even" or half and odd(n - 1) end
local function times(v) if v > 100 then return v end return times(v * 10) * half end
function M.f(v) return times(v), word, json.encode { v } end
function M.added() return M.f(1) end]], "half and odd(n - 1)", "n"), { "M.f", "half", "times", "word", "json", "M.added",
    notes = { "even is new, and nothing that lives calls it",
      "line 3 at the top of the script has run already: the change counts from the next start" } })
  lu.assertEquals({ m.f(1000), m.f(1), m.added() }, { 1000, 125, 125, "w", "[1]" })
  lu.assertEquals({ select(2, m.f(1000)) }, { "w", "[1000]" })
end

function TestWatch:test_what_cannot_be_swapped()
  local m = self:load [[
local M = {}
function M.f(v) return v end
function M.g(v) return v end
return M
]]
  local got = self:edit("M.f(v) return v end", "M.f(v) return vv end")
  lu.assertEquals({ #got, got.notes }, { 0, { "M.f stays as it was: it uses vv, which is no variable there" } })
  got = self:edit("return vv end", "return v + 1 end", "function M.g", "local made = M.f(1)\nfunction M.g", "M.g(v) return v",
    "M.g(v) return made")
  lu.assertEquals({ got[1], m.f(1), m.g(5) }, { "M.f", 2, 5 })
  lu.assertStrContains(table.concat(got.notes, "\n"), "M.g stays as it was: it uses made, which is made where the script begins")
  checks.write(self.file, "local function f(")
  local none, why = ms.reload()
  lu.assertNil(none)
  lu.assertStrContains(why, self.name .. ".lua:1:")
  lu.assertEquals(m.f(1), 2)
  lu.assertEquals(#self:edit("v + 1", "v + 2"), 1)
  lu.assertEquals(m.f(1), 3)
end

-- Moved, renamed, taken out and put back.
function TestWatch:test_the_same_functions_at_other_places()
  local m = self:load [[
local M = {}
function M.a() return "a" end
function M.b() return "b" end
function M.c() return "c" end
return M
]]
  local a, b = m.a, m.b
  local whole = self.text
  self:edit('function M.a() return "a" end\n', "", 'function M.c() return "c" end\n',
    'function M.c() return "c2" end\nfunction M.a() return "a" end\n')
  lu.assertEquals({ m.a == a, m.b == b, m.c() }, { true, true, "c2" })
  self:edit('function M.b() return "b" end\n', "")
  lu.assertEquals(m.b(), "b")
  self.text = whole
  self:edit('"b" end', '"b2" end')
  lu.assertEquals({ a(), b(), m.b(), m.c() }, { "a", "b2", "b2", "c" })
end

function TestWatch:test_classes_and_compiled_steps()
  local m = self:load [[
local ms = require "mascon"
local M = {}
local Net = ms.nn.class "Net"
function Net:init() self.w = ms.nn.parameter(ms.ones { 2 }) end
function Net:forward(x) return x * self.w end
M.net = Net()
local calls = 0
M.kept = ms.compile(function(x) calls = calls + 1 return x + 1 end)
function M.calls() return calls end
M.double = ms.compile(function(x) return x * 2 end)
M.through = ms.compile(function(x) return M.net(x) + 1 end)
M.nested = ms.compile(function(x) local t = { net = M.net } return M.double(x) + t.net(x) end)
return M
]]
  local x = ms.tensor { 1, 2 }
  local function all()
    local out = {}
    for i, name in ipairs { "double", "through", "nested" } do out[i] = m[name](x):totable() end
    return out
  end
  for _ = 1, 5 do
    lu.assertEquals(all(), { { 2, 4 }, { 2, 3 }, { 3, 6 } })
    m.kept(x)
  end
  lu.assertEquals(m.calls(), 3) -- then it is replayed
  lu.assertEquals(#self:edit("return x * self.w", "return x * self.w * 10"), 1)
  lu.assertStrContains(self.said, "2 compiled steps are recorded anew")
  for _ = 1, 5 do lu.assertEquals(all(), { { 2, 4 }, { 11, 21 }, { 12, 24 } }) end
  lu.assertStrContains(m.through:report(), "mul")
  self:edit("return x * 2 end", "return x * 3 end")
  for _ = 1, 5 do
    lu.assertEquals(all(), { { 3, 6 }, { 11, 21 }, { 13, 26 } })
    m.kept(x)
  end
  lu.assertEquals(m.calls(), 3) -- and still is
end

-- The loss that ms.fit was given is held by functions of the library, which its compiled step has captured.
function TestWatch:test_fit()
  local m = self:load [[
local ms = require "mascon"
local nn = ms.nn
local M = {}
function M.loss(out, target) return nn.mse(out, target) end
local x = ms.ones { 4, 2 }
local batches = {}
for i = 1, 6 do batches[i] = { x, ms.zeros { 4, 1 } } end
function M.run(between)
  ms.seed(1)
  local model = nn.sequential { nn.linear(2, 1) }
  return ms.fit(model, { train = batches, epochs = 2, loss = M.loss, verbose = false, progress = false,
    accumulate_grad_batches = 2, validation = batches, optimizer = ms.optim.sgd(model:parameters(), { lr = 1e-9 }),
    on_train_epoch_start = between, on_validation_end = between })
end
return M
]]
  local pulse = require "mascon.pulse"
  pulse.begin()
  local h = m.run(function(_, fit)
    lu.assertEquals(pulse.now(), fit.global_step)
    if fit.epoch == 2 and fit.global_step == 3 then
      lu.assertEquals(#self:edit("return nn.mse(out, target)", "return nn.mse(out, target) * 100"), 1)
    end
  end)
  lu.assertAlmostEquals(h[2].train_loss / h[1].train_loss, 100, 0.01)
end
