-- What is special about a device that works only when it is waited for (lazy.c): wrong values are told later, with their line, and what was
-- handed over may change at once. tests/run.sh runs this, and the tests of the core and of compiled steps, with MASCON_DEVICE=lazy.
-- luacheck: globals TestLazy
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local compiled = require "compiled"
local raises = compiled.raises

TestLazy = {}

function TestLazy.test_a_wrong_index_is_told_with_its_line_when_somebody_waits()
  local line = debug.getinfo(1, "l").currentline
  local x = ms.arange(1, 4):index_select(1, ms.tensor({ 2, 7 }, { dtype = "i64" }))
  local y = x * 2
  raises({ ("index_select at tests/lazy/test_lazy.lua:%d: index_select: index[2] = 7, expected 1..4"):format(line + 1) }, y.sum, y)
  lu.assertEquals(ms.ones({ 3 }):sum():item(), 3) -- told once
end

function TestLazy.test_faults_of_two_devices_are_told_one_after_the_other()
  local function wrong(device, index)
    local x, at = ms.arange(1, 4):to(device), ms.tensor({ index }, { dtype = "i64" }):to(device)
    return function() return x:index_select(1, at) end
  end
  local one, other = wrong("lazy", 7), wrong("lazy:1", 8)
  one()
  other()
  local message = checks.failure(ms.synchronize)
  lu.assertStrContains(message, "index[1] = 7, expected 1..4")
  local _, told = message:gsub("index_select at", "")
  lu.assertEquals(told, 1, message)
  raises("index[1] = 8, expected 1..4", ms.synchronize)
  ms.synchronize()
end

function TestLazy.test_an_optimizer_does_not_step_on_a_bad_batch()
  local w = ms.ones({ 3, 2 }, { requires_grad = true })
  local adam = ms.optim.sgd({ w }, { lr = 1 })
  local step = ms.compile(function(i)
    adam:zero_grad()
    local loss = w:index_select(1, i):sum()
    loss:backward()
    adam:step()
    return loss
  end)
  for _ = 1, 5 do step(ms.tensor({ 1, 2 }, { dtype = "i64" })) end
  ms.synchronize()
  lu.assertTrue(compiled.replays(step))
  local before = w:totable()
  step(ms.tensor({ 1, 4 }, { dtype = "i64" }))
  raises({ "index_select at tests/lazy/test_lazy.lua:", "index[2] = 4, expected 1..3" }, ms.synchronize)
  lu.assertEquals(w:totable(), before)
end

-- The moments are made when the optimizer first steps, here after the fault: they must be zeros all the same.
function TestLazy.test_an_optimizer_made_ready_by_a_bad_batch_is_as_new()
  local function train(first)
    local w = ms.ones({ 3, 2 }, { requires_grad = true })
    local sgd, adam = ms.optim.sgd({ w }, { lr = 0.1, momentum = 0.9 }), ms.optim.adam({ w }, { lr = 0.1 })
    local function step(optimizer, ...)
      optimizer:zero_grad()
      w:index_select(1, ms.tensor({ ... }, { dtype = "i64" })):square():sum():backward()
      optimizer:step()
    end
    for _, optimizer in ipairs { sgd, adam } do
      if first then step(optimizer, 1, first) end
      if first then raises("index[2] = " .. first, ms.synchronize) end
    end
    for _ = 1, 3 do
      step(sgd, 1, 2)
      step(adam, 2, 3)
    end
    return w:totable()
  end
  lu.assertEquals(train(7), train())
end

function TestLazy.test_what_is_handed_over_may_change_at_once()
  local step = ms.compile(function(x, n) return x * n + ms.rand { 2 } * 0 end)
  local given = {}
  for i = 1, 8 do given[i] = step(ms.tensor { i, -i }, i) end -- nothing has run yet, the last five are replays
  for i = 1, 8 do lu.assertEquals(given[i]:totable(), { i * i, -i * i }) end
end

function TestLazy.test_a_step_that_goes_before_it_has_run()
  local r
  do
    local w = ms.ones { 2 }
    local step = ms.compile(function(x) return (x * 2 + w):tanh() end)
    for i = 1, 6 do r = step(ms.tensor { i, i }) end
  end
  collectgarbage()
  collectgarbage()
  local want = ms.tensor({ 13, 13 }):tanh()
  lu.assertEquals(r:totable(), want:totable())
end

-- lazy.c compares what the backend is told of a step's memory with what its calls touch (captured_lazy, memory_fits).
function TestLazy.test_slices_of_several_storages_are_handed_in()
  local step = ms.compile(function(x)
    local y = x * 2
    y:slice(1, 2, 2):add_(1)
    return y, y:slice(1, 2, 1):sum() + x:slice(1, 1, 2):sum()
  end)
  for i = 1, 8 do
    local long = ms.arange(1, 10 + i)
    local y, sum = step(long:slice(1, 7 + i, 4)) -- its end is the storage's
    lu.assertEquals(y:totable(), { 2 * i + 14, 2 * i + 17, 2 * i + 19, 2 * i + 20 })
    lu.assertEquals(sum:item(), 2 * i + 17 + 2 * i + 15)
  end
  lu.assertTrue(compiled.replays(step))
end

-- A profiled step runs its calls one by one: the words of the live block count for nothing then.
function TestLazy.test_calls_one_by_one_between_replays()
  local drawn = ms.zeros { 3 }
  local function f(x, n)
    drawn:add_(ms.rand { 3 }):add_(ms.randn { 3 })
    return (x + drawn) * n
  end
  local function draws(step)
    ms.seed(12)
    drawn:zero_()
    local all = {}
    for i = 1, 10 do
      if i == 7 and step ~= f then step:profile(5, ms.ones { 3 }, 2) end -- after three that are not profiled
      for _ = 1, i == 7 and step == f and 8 or 0 do f(ms.ones { 3 }, 2) end
      all[i] = step(ms.full({ 3 }, i), i / 4):totable()
    end
    return all
  end
  lu.assertEquals(draws(ms.compile(f)), draws(f))
end

function TestLazy.test_random_numbers_of_replays_go_on()
  local function draws(f)
    ms.seed(11)
    local all = {}
    for i = 1, 6 do all[i] = f() end
    for i = 1, 6 do all[i] = all[i]:totable() end
    all[7] = ms.rand({ 2 }):totable()
    return all
  end
  local function f() return ms.rand { 3 } + ms.randn { 3 } end
  lu.assertEquals(draws(ms.compile(f)), draws(f))
end
