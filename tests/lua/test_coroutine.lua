-- Scopes and modes belong to their coroutine; what was switched is switched back whatever raises.
-- luacheck: globals TestCoroutine
local lu = require "luaunit"
local ms = require "mascon"

TestCoroutine = {}

local function modes() return { ms.grad_enabled(), ms.precision(), ms.deterministic(), ms.flush_denormal() } end

function TestCoroutine:setUp() self.before = modes() end
function TestCoroutine:tearDown() lu.assertEquals(modes(), self.before) end

function TestCoroutine.test_a_guard_stays_with_the_coroutine_that_yields()
  local co = coroutine.wrap(function()
    local _ <close> = ms.no_grad()
    coroutine.yield()
    lu.assertFalse(ms.grad_enabled())
    coroutine.yield()
    lu.assertFalse(ms.grad_enabled())
  end)
  for _ = 1, 3 do
    co()
    lu.assertTrue(ms.grad_enabled())
  end
end

function TestCoroutine.test_a_guard_that_changes_nothing_counts_too()
  local co = coroutine.wrap(function()
    local _ <close> = ms.no_grad()
    coroutine.yield()
    return ms.grad_enabled()
  end)
  ms.no_grad(co)
  lu.assertFalse(co())
end

function TestCoroutine.test_protected_form_across_yields()
  local co = coroutine.wrap(function()
    local inside = ms.no_grad(function() return coroutine.yield() or ms.grad_enabled() end)
    return inside, ms.grad_enabled()
  end)
  co()
  lu.assertTrue(ms.grad_enabled())
  lu.assertEquals({ co() }, { false, true })
end

function TestCoroutine.test_without_changes_of_its_own_it_follows_its_resumer()
  local co = coroutine.wrap(function()
    while true do coroutine.yield(ms.grad_enabled()) end
  end)
  lu.assertTrue(co())
  ms.no_grad(function() lu.assertFalse(co()) end)
  lu.assertTrue(co())
end

function TestCoroutine.test_after_its_guard_it_follows_again()
  local co = coroutine.wrap(function()
    do
      local _ <close> = ms.no_grad()
      coroutine.yield()
    end
    while true do coroutine.yield(ms.grad_enabled()) end
  end)
  co()
  lu.assertTrue(co())
  ms.no_grad(function() lu.assertFalse(co()) end)
end

function TestCoroutine.test_all_modes_and_inner_coroutines()
  local seen
  local co = coroutine.wrap(function()
    ms.deterministic(false)
    ms.flush_denormal(false)
    local inner = coroutine.wrap(function()
      ms.deterministic(true)
      coroutine.yield(ms.flush_denormal())
    end)
    lu.assertFalse(inner())
    lu.assertFalse(ms.deterministic())
    coroutine.yield()
    seen = { ms.deterministic(), ms.flush_denormal() }
  end)
  local before = modes()
  co()
  lu.assertEquals(modes(), before)
  co()
  lu.assertEquals(seen, { false, false })
end

function TestCoroutine.test_two_that_take_turns()
  local function worker(off)
    return coroutine.wrap(function()
      local _ <close> = off and ms.no_grad() or nil
      while true do coroutine.yield(ms.grad_enabled()) end
    end)
  end
  local a, b = worker(true), worker(false)
  for _ = 1, 3 do
    lu.assertFalse(a())
    lu.assertTrue(b())
  end
end

function TestCoroutine.test_scopes_are_apart()
  local kept
  local co = coroutine.wrap(function()
    local s <close> = ms.scope()
    local x = ms.ones { 3 }
    coroutine.yield(x)
    kept = s:keep(x * 2)
  end)
  local y, theirs
  do
    local _ <close> = ms.scope()
    y = ms.ones { 2 }
    local x = co()
    lu.assertEquals((x + 1):sum():item(), 6)
    theirs = x
  end
  lu.assertErrorMsgContains("freed when its scope closed", function() return y + 1 end)
  lu.assertEquals(theirs:sum():item(), 3) -- the other one's
  co()
  lu.assertErrorMsgContains("freed when its scope closed", function() return theirs + 1 end)
  lu.assertEquals(kept:sum():item(), 6)
end

function TestCoroutine.test_tensors_made_in_a_coroutine_are_not_its_resumers_to_free()
  local x
  local co = coroutine.wrap(function()
    x = ms.ones { 4 }
    coroutine.yield()
  end)
  do
    local _ <close> = ms.scope()
    co()
  end
  lu.assertEquals(x:sum():item(), 4)
end

function TestCoroutine.test_scopes_closed_out_of_order_and_elsewhere()
  local a, b = ms.scope(), ms.scope()
  local x = ms.ones { 2 }
  a:close() -- ends b as well
  lu.assertErrorMsgContains("freed", function() return x + 1 end)
  b:close()
  local y
  local theirs
  local co = coroutine.wrap(function()
    theirs = ms.scope()
    y = ms.ones { 2 }
    coroutine.yield()
    local z = ms.ones { 2 }
    coroutine.yield(z)
    return z:sum():item()
  end)
  co()
  theirs:close()
  lu.assertErrorMsgContains("freed", function() return y + 1 end)
  collectgarbage()
  lu.assertEquals(co():sum():item(), 2)
  lu.assertEquals(co(), 2)
end

function TestCoroutine.test_every_precision_comes_back()
  ms.zeros({ 1 }, { device = "trace" }) -- a device that offers them all
  for _, name in ipairs { "tf32", "bf16", "f32" } do
    ms.precision(name)
    local co = coroutine.wrap(function()
      lu.assertEquals(ms.precision(), name)
      ms.precision(name == "f32" and "tf32" or "f32")
      local mine = ms.precision()
      coroutine.yield()
      lu.assertEquals(ms.precision(), mine)
    end)
    for _ = 1, 2 do
      co()
      lu.assertEquals(ms.precision(), name)
    end
  end
end

function TestCoroutine.test_errors_inside()
  local co = coroutine.create(function()
    local _ <close> = ms.no_grad()
    local _ <close> = ms.scope()
    ms.precision "f32"
    ms.deterministic(false)
    error "on purpose"
  end)
  local ok, message = coroutine.resume(co)
  lu.assertFalse(ok)
  lu.assertStrContains(message, "on purpose")
  lu.assertTrue(ms.grad_enabled())
  lu.assertFalse((coroutine.close(co)))
  lu.assertTrue(ms.grad_enabled())
  lu.assertEquals(coroutine.status(co), "dead")
end

function TestCoroutine.test_closed_while_it_sleeps_or_abandoned()
  for close = 0, 1 do
    for _ = 1, 50 do
      local co = coroutine.create(function()
        local _ <close> = ms.no_grad()
        local _ <close> = ms.scope()
        local x = ms.ones { 100 }
        coroutine.yield()
        return x
      end)
      lu.assertTrue(coroutine.resume(co))
      if close == 1 then lu.assertTrue(coroutine.close(co)) end
    end
    collectgarbage()
    collectgarbage()
    lu.assertTrue(ms.grad_enabled())
  end
end

-- What Lua's own functions promise still holds.
function TestCoroutine.test_as_in_lua()
  local co = coroutine.wrap(function(...)
    local n = select("#", ...)
    local a, b = coroutine.yield(n, nil)
    error({ a, b })
  end)
  lu.assertEquals(select("#", co(nil, nil, nil)), 2)
  local ok, object = pcall(co, 1, 2)
  lu.assertFalse(ok)
  lu.assertEquals(object, { 1, 2 })
  lu.assertErrorMsgContains("cannot resume dead coroutine", co)
  lu.assertErrorMsgContains("coroutine expected", coroutine.resume, 3)
  lu.assertErrorMsgContains("function expected", coroutine.wrap, 3)
  lu.assertFalse((coroutine.resume(coroutine.running())))
  local message = select(2, pcall(coroutine.wrap(function() error("x", 0) end)))
  lu.assertEquals(message, "x")
  local closed
  co = coroutine.wrap(function()
    local _ <close> = setmetatable({}, { __close = function() closed = true end })
    error "now"
  end)
  pcall(co)
  lu.assertTrue(closed)
  local deep = 0
  local function nest()
    deep = deep + 1
    return coroutine.wrap(nest)()
  end
  lu.assertErrorMsgContains("C stack overflow", nest)
  lu.assertTrue(deep > 50)
end

function TestCoroutine.test_a_generator_of_ones_own_stays_with_the_coroutine()
  ms.seed(7)
  local expected = {}
  for i = 1, 6 do expected[i] = ms.rand({ 1 }):item() end
  local function theirs(n) return ms.with_seed(3, function() return ms.rand({ n }):totable() end) end
  ms.seed(7)
  local got = {}
  local co = coroutine.wrap(function()
    local drawn = ms.with_seed(3, function()
      local a = ms.rand({ 4 }):totable()
      coroutine.yield()
      local b = ms.rand({ 4 }):totable()
      return table.move(b, 1, 4, 5, a)
    end)
    coroutine.yield(drawn)
    got[4] = ms.rand({ 1 }):item() -- from the common one again
  end)
  got[1] = ms.rand({ 1 }):item()
  co()
  got[2] = ms.rand({ 1 }):item()
  local drawn = co()
  lu.assertEquals(drawn, theirs(8))
  got[3] = ms.rand({ 1 }):item()
  co()
  got[5] = ms.rand({ 1 }):item()
  local abandoned = coroutine.wrap(function() ms.with_seed(5, coroutine.yield) end)
  abandoned()
  got[6] = ms.rand({ 1 }):item()
  lu.assertEquals(got, expected)
end
