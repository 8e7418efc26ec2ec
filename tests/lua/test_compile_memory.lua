-- What compiled steps (test_compile.lua) do to memory: gradients, the arena, the collector, allocations that fail.
-- luacheck: globals TestCompileGradients TestCompileMemory
local lu = require "luaunit"
local ms = require "mascon"
local compiled = require "compiled"
local nn, optim = ms.nn, ms.optim
local like_eager, same_bits, replays = compiled.like_eager, compiled.same_bits, compiled.replays

-- ---- gradients ----------------------------------------------------------------------------------------------------------------------

TestCompileGradients = {}

local function parameter(values) return ms.tensor(values, { requires_grad = true }) end

function TestCompileGradients.test_readable_after_a_replay()
  local w = parameter { 1, 2 }
  local step = ms.compile(function(x)
    w.grad = nil
    (w * x):sum():backward()
  end)
  for i = 1, 6 do
    step(ms.tensor { i, -i })
    lu.assertEquals(w.grad:totable(), { i, -i })
  end
  lu.assertTrue(replays(step))
end

-- zero_grad at the end of the step: .grad is nil after each call.
function TestCompileGradients.test_cleared_at_the_end()
  like_eager(function()
    local w = parameter { 1, 2 }
    local sgd = optim.sgd({ w }, { lr = 0.1 })
    return function(x)
      local loss = (w * x):square():sum()
      loss:backward()
      sgd:step()
      sgd:zero_grad()
      return loss
    end, function(i) return { ms.tensor { i, 1 } } end, { w }
  end)
end

-- Without zero_grad gradients add up, in replays as ever.
function TestCompileGradients.test_add_up()
  local w = parameter { 1, 2 }
  local step = ms.compile(function(x) (w * x):sum():backward() end)
  for i = 1, 8 do
    step(ms.tensor { 1, 2 })
    lu.assertEquals(w.grad:totable(), { i, 2 * i })
  end
  lu.assertTrue(replays(step))
end

-- Four small batches, then one update: the first small batch finds no gradient, the others find one; each has its recording.
function TestCompileGradients.test_small_batches_and_one_update()
  local function run(compile)
    local w = parameter { 1, 2 }
    local sgd = optim.sgd({ w }, { lr = 0.01, momentum = 0.5 })
    local calls = 0
    local function small(x)
      calls = calls + 1
      local loss = (w * x):square():sum()
      loss:backward()
      return loss
    end
    if compile then small = ms.compile(small) end
    local given, late = {}, 0
    for i = 1, 12 do
      for k = 1, 4 do given[#given + 1] = small(ms.tensor { i, k }):detach() end
      sgd:step()
      sgd:zero_grad()
      if i == 8 then late = calls end
    end
    given[#given + 1] = w
    return given, calls - late
  end
  local eager = run(false)
  local replayed, ran = run(true)
  same_bits(eager, replayed)
  lu.assertEquals(ran, 0) -- in the end all of it is replayed
end

-- Small batches inside the step.
function TestCompileGradients.test_small_batches_inside()
  like_eager(function()
    local model = nn.linear(3, 2)
    local adam = optim.adam(model:parameters(), { lr = 0.1 })
    return function(a, b)
      adam:zero_grad()
      local loss
      for _, x in ipairs { a, b } do
        loss = model(x):square():mean()
        loss:backward()
      end
      adam:step()
      return loss
    end, function(i) return { ms.full({ 4, 3 }, i), ms.randn { 4, 3 } } end, model:parameters()
  end)
end

-- The optimizer in a step of its own: it finds the gradients that others made, wherever they are.
function TestCompileGradients.test_an_update_by_itself()
  local function run(compile)
    ms.seed(1)
    local w = parameter { 1, 2 }
    local sgd = optim.sgd({ w }, { lr = 0.1, momentum = 0.9 })
    local update = function() sgd:step() end
    if compile then update = ms.compile(update) end
    local given = {}
    for i = 1, 30 do
      if i % 3 ~= 0 then sgd:zero_grad() end
      ;(w * i):square():sum():backward()
      update()
      given[#given + 1] = w:detach():clone()
    end
    return given
  end
  same_bits(run(false), run(true))
end

-- What was read from .grad stays as it was read, and a replay after anything else still shows its own gradients.
function TestCompileGradients.test_held_by_the_script()
  local w = parameter { 1 }
  local step = ms.compile(function(x)
    w.grad = nil
    (w * x):sum():backward()
  end)
  local held = {}
  for i = 1, 9 do
    step(ms.tensor { i })
    held[i] = w.grad
    if i == 6 then
      w.grad = nil
      ;(w * 100):sum():backward()
      lu.assertEquals(w.grad:totable(), { 100 })
    end
    if i == 7 then step(ms.tensor { 5, 5 }) end -- another batch size, run as it is
  end
  for i = 1, 9 do lu.assertEquals(held[i]:totable(), { i }) end
end

function TestCompileGradients.test_returned()
  local w = parameter { 1, 1 }
  local step, held = ms.compile(function(x)
    w.grad = nil
    (w * x):sum():backward()
    return w.grad
  end), {}
  for i = 1, 7 do
    held[i] = step(ms.tensor { i, i })
    lu.assertEquals(w.grad:totable(), { i, i })
  end
  for i = 1, 7 do lu.assertEquals(held[i]:totable(), { i, i }) end
end

function TestCompileGradients.test_of_an_argument()
  local step, seen = ms.compile(function(x) (x * x):sum():backward() end), {}
  for i = 1, 7 do
    local x = parameter { i }
    step(x)
    seen[i] = x
    if i > 5 then step(x) end -- adds to what is there
  end
  for i = 1, 7 do lu.assertEquals(seen[i].grad:totable(), { i > 5 and 4 * i or 2 * i }) end
end

function TestCompileGradients.test_assigned()
  local w, v = parameter { 3 }, parameter { 4 }
  local step = ms.compile(function(x)
    local y = (w * w * x + v):sum()
    w.grad = ms.grad(y, w)
    v.grad = w.grad * 2
  end)
  for i = 1, 6 do
    step(ms.tensor { i })
    lu.assertEquals(w.grad:totable(), { 6 * i })
    lu.assertEquals(v.grad:totable(), { 12 * i })
  end
  lu.assertTrue(replays(step))
end

-- Freezing a parameter, or no longer, asks for a new recording.
function TestCompileGradients.test_frozen_for_a_while()
  like_eager(function()
    local model = nn.sequential { nn.linear(3, 4), nn.tanh(), nn.linear(4, 1) }
    local sgd, first, call = optim.sgd(model:parameters(), { lr = 0.1 }), model:parameters()[1], 0
    return function(x)
      local loss = model(x):square():mean()
      sgd:zero_grad()
      loss:backward()
      sgd:step()
      return loss
    end, function()
      call = call + 1
      first.requires_grad = call <= 6 or call > 12
      return { ms.randn { 5, 3 } }
    end, model:parameters()
  end)
end

-- ---- memory -------------------------------------------------------------------------------------------------------------------------

TestCompileMemory = {}

local function counts()
  collectgarbage()
  collectgarbage()
  local m = ms.memory()
  return { tensors = m.tensors, storages = m.storages, nodes = m.nodes, live = m.live }
end

local function training_step()
  local model = nn.sequential { nn.linear(16, 32), nn.tanh(), nn.linear(32, 1) }
  local adam = optim.adam(model:parameters())
  return function(x)
    local loss = model(x):square():mean()
    adam:zero_grad()
    loss:backward()
    adam:step()
    return loss
  end
end

function TestCompileMemory.test_replays_leave_nothing_behind()
  local step, x = ms.compile(training_step()), ms.randn { 8, 16 }
  for _ = 1, 4 do step(x) end
  local before = counts()
  for _ = 1, 50 do step(x) end
  lu.assertEquals(counts(), before)
end

function TestCompileMemory.test_a_step_that_goes_frees_its_memory()
  local before = counts()
  do
    local step = ms.compile(training_step())
    for _ = 1, 6 do step(ms.randn { 8, 16 }) end
    for _ = 1, 2 do step(ms.randn { 4, 16 }) end -- one that is half way
    lu.assertTrue(replays(step))
  end
  lu.assertEquals(counts(), before)
end

-- Recording takes the memory that running takes: it holds nothing that the function drops.
function TestCompileMemory.test_recording_holds_no_intermediates()
  local function f(x)
    for _ = 1, 50 do
      local s <close> = ms.scope()
      x = s:keep(x + 1)
    end
    return x:sum()
  end
  local function peak(g, x)
    collectgarbage()
    ms.memory "reset"
    local before = ms.memory().live
    g(x)
    return ms.memory().peak - before
  end
  local x = ms.zeros { 1000, 100 }
  local step, eager = ms.compile(f), peak(f, x)
  for _ = 1, 3 do lu.assertTrue(peak(step, x) <= eager + 4096) end
  lu.assertTrue(replays(step))
  lu.assertTrue(peak(step, x) < 4096) -- all in the arena
  lu.assertEquals(step(x):item(), 50 * 100000)
end

-- The arena: a long chain needs the memory of what lives at the same time, and a product room for a packed operand.
function TestCompileMemory.test_the_arena_is_shared()
  local step = ms.compile(function(x)
    for _ = 1, 20 do x = x:matmul(x) end
    return x:sum()
  end)
  for _ = 1, 4 do step(ms.zeros { 64, 64 }) end
  local planned, eager = step:report():match "([%d.]+) MB planned against ([%d.]+) MB eager"
  lu.assertTrue(tonumber(planned) <= 4 * 64 * 64 * 4 / 1e6 + 0.01)
  lu.assertTrue(tonumber(eager) >= 0.3)
end

function TestCompileMemory.test_garbage_collection_during_a_recording()
  like_eager(function()
    local f = training_step()
    return function(x)
      collectgarbage()
      local loss = f(x)
      collectgarbage "step"
      collectgarbage()
      return loss
    end, function() return { ms.randn { 8, 16 } } end
  end)
end

function TestCompileMemory.test_scopes_inside_and_around()
  local step = ms.compile(function(x)
    local s <close> = ms.scope()
    local y = (x * 2):exp()
    return s:keep(y:sum())
  end)
  local held = {}
  for i = 1, 6 do
    local s <close> = ms.scope()
    local x = ms.tensor { i, 0 }
    held[i] = s:keep(step(x))
    lu.assertEquals(held[i]:item(), (x * 2):exp():sum():item())
  end
  local freed = ms.compile(function(x) return x * 2 end)
  for _ = 1, 5 do
    local y
    do
      local s <close> = ms.scope() -- luacheck: ignore 211
      y = freed(ms.ones { 1 })
    end
    compiled.raises("was freed when its scope closed", function() return y + 1 end)
  end
end

-- The k-th allocation of calls 1, 2, 3, 4 fails: an error, and then everything is as if that call had not been -- or had got as far as an
-- eager one would; the step goes on and replays in the end.
function TestCompileMemory.test_allocations_that_fail()
  local x = ms.randn { 8, 16 }
  for at = 1, 4 do
    for k = 1, 200 do
      local count, live = 0, counts()
      local function f(y)
        count = count + 1
        return (y * 2):matmul(y:transpose(1, 2)):softmax(2), y:sum()
      end
      local step = ms.compile(f)
      for _ = 1, at - 1 do step(x) end
      ms.fail_allocation(k)
      local ok, message = pcall(step, x)
      ms.fail_allocation(0)
      if not ok then lu.assertStrContains(message, "out of memory") end
      local a, b = f(x)
      for _ = 1, 4 do
        local c, d = step(x)
        same_bits(c, a)
        same_bits(d, b)
      end
      lu.assertTrue(replays(step))
      step, a, b, message = nil, nil, nil, nil -- luacheck: ignore
      if k % 8 == 1 then lu.assertEquals(counts(), live) end
      if ok then
        lu.assertTrue(k > 1, at)
        break
      end
      lu.assertTrue(k < 200)
    end
  end
end

function TestCompileMemory.test_a_training_step_without_memory()
  local x = ms.randn { 8, 16 }
  local step = ms.compile(training_step())
  for k = 1, 60 do
    ms.fail_allocation(k % 20 + 1)
    pcall(step, x)
    ms.fail_allocation(0)
  end
  for _ = 1, 6 do step(x) end
  lu.assertTrue(replays(step))
  lu.assertEquals((ms.ones { 2 } + 1):totable(), { 2, 2 })
end
