-- What a compiled step (test_compile.lua) does not take, and what it says: a replay runs no Lua, so whatever Lua would have done anew each
-- time has to be found out in calls 2 and 3, or be harmless. Each message names the line and, where there are two values, both.
-- luacheck: globals TestCompileTraps TestCompileAliases TestCompileErrors
local lu = require "luaunit"
local ms = require "mascon"
local compiled = require "compiled"
local nn = ms.nn
local raises, replays = compiled.raises, compiled.replays

-- Call step(x) until an error; its message, and the number of the call.
local function fails(parts, at, step, ...)
  for _ = 1, at - 1 do step(...) end
  return raises(parts, step, ...)
end

-- ---- what changes without being an argument -------------------------------------------------------------------------------------

TestCompileTraps = {}

function TestCompileTraps.test_a_changing_number_captured()
  local level, line = 0.5, debug.getinfo(1, "l").currentline
  local step = ms.compile(function(x)
    level = level * 2
    return x * level
  end)
  fails({ "mul at ", "test_compile_traps.lua:" .. line + 3,
    "was 2 in call 2 and 4 in call 3", "must be an argument" }, 3, step, ms.ones { 2 })
end

function TestCompileTraps.test_a_changing_attribute()
  local k = 0
  local step = ms.compile(function(x)
    k = k + 1
    return x:softmax(k % 2 + 1)
  end)
  fails({ "softmax at ", "dim was 0 in call 2 and 1 in call 3" }, 3, step, ms.ones { 2, 2 })
end

function TestCompileTraps.test_a_branch_that_flips()
  local flip, line = false, debug.getinfo(1, "l").currentline
  local step = ms.compile(function(x)
    flip = not flip
    if flip then return x:exp() end
    return x:tanh()
  end)
  fails({ "operation 1 is tanh at ",
    (":%d in call 2 and exp at "):format(line + 4), (":%d in call 3"):format(line + 3), "took another way" }, 3, step, ms.ones { 2 })
end

function TestCompileTraps.test_more_operations_each_time()
  local n = 0
  local step = ms.compile(function(x)
    n = n + 1
    for _ = 1, n do x = x + 1 end
    return x
  end)
  fails({ "2 operations in call 2 and 3 in call 3", "without a partner is add at " }, 3, step, ms.ones { 2 })
end

function TestCompileTraps.test_a_table_grown_inside()
  local losses, line = {}, debug.getinfo(1, "l").currentline
  local step = ms.compile(function(x)
    losses[#losses + 1] = x:sum()
    return x
  end)
  fails({ "what sum at ", (":%d made is still held after the call"):format(line + 2), "Return it" }, 3, step, ms.ones { 2 })
end

function TestCompileTraps.test_a_state_carried_in_a_variable()
  local hidden = ms.zeros { 2 }
  local step = ms.compile(function(x)
    hidden = hidden * 0.5 + x
    return hidden
  end)
  fails({ "what add at ", "made is still held after the call", "Return it from the step" }, 3, step, ms.ones { 2 })
end

-- Deeper than in variables, a recording sees it by call 3.
function TestCompileTraps.test_a_tensor_reassigned_outside()
  local held = { scale = ms.ones { 2 } }
  local step = ms.compile(function(x) return x * held.scale end)
  step(ms.ones { 2 })
  step(ms.ones { 2 })
  held.scale = ms.zeros { 2 }
  raises({ "mul at ", "a tensor from outside the step is another one" }, step, ms.ones { 2 })
  for _ = 1, 4 do lu.assertEquals(step(ms.ones { 2 }):totable(), { 0, 0 }) end -- the error was of that call only
end

function TestCompileTraps.test_numbers_made_into_a_tensor()
  local n = 0
  local step = ms.compile(function(x)
    n = n + 1
    return x + ms.tensor { n, n }
  end)
  fails({ "the numbers of a tensor made inside the step differ between calls 2 and 3" }, 3, step, ms.ones { 2 })
end

function TestCompileTraps.test_a_tensor_of_numbers_changed_in_place()
  local step = ms.compile(function(x)
    local sum = ms.tensor({ 0, 0 }, { dtype = "f64" })
    sum:add_(x)
    return sum
  end)
  fails({ "add", "changes a tensor that was made from numbers inside the step" }, 2, step, ms.ones({ 2 }, { dtype = "f64" }))
end

function TestCompileTraps.test_a_changing_result_that_is_no_tensor()
  local n = 0
  local step = ms.compile(function(x)
    n = n + 1
    return x, { count = n }
  end)
  fails({ "result 2 was table", "in call 2", "in call 3" }, 3, step, ms.ones { 2 })
  local texts = ms.compile(function()
    n = n + 1
    return "n = " .. n
  end)
  fails({ "result 1 was n = 5 in call 2 and n = 6 in call 3" }, 3, texts)
end

function TestCompileTraps.test_looking_at_values_inside()
  local x = ms.ones { 2 }
  local looks = {
    item = function() return x:sum():item() end,
    of_an_argument = function(y) return y[1]:item() end,
    totable = function() return x:totable() end,
    print = function() return tostring(x) end,
    truth = function() return (x:gt(0):all():item()) and 1 or 2 end,
    mask = function() return x[x:gt(0)] end,
  }
  for name, look in pairs(looks) do
    local step = ms.compile(look)
    step(x)
    local message = raises({ "were asked for", "return the tensor and look at it outside" }, step, x)
    lu.assertStrContains(message, "test_compile_traps.lua:", name)
  end
end

function TestCompileTraps.test_the_generator_started_anew_inside()
  local step = ms.compile(function()
    ms.seed(1)
    return ms.rand { 2 }
  end)
  step()
  raises({ "ms.seed inside a compiled step" }, step)
end

function TestCompileTraps.test_arguments_that_cannot_be_told_apart()
  local step = ms.compile(function(t) return t end)
  raises("neither a text nor one of 1, 2", step, { [1] = 1, [3] = 3 })
  local deep = {}
  for _ = 1, 12 do deep = { deep } end
  raises("nested deeper than 8", step, deep)
end

-- Called in ever new ways it runs as it is, and says so.
function TestCompileTraps.test_too_many_ways()
  local step = ms.compile(function(x, name) return x, name end)
  for i = 1, 80 do lu.assertEquals(select(2, step(ms.ones { 1 }, "n" .. i)), "n" .. i) end
  lu.assertStrContains(step:report(), "16 calls ran as they are")
end

-- Objects among the arguments are known by which they are.
function TestCompileTraps.test_objects_as_arguments()
  local step = ms.compile(function(model, x) return model(x) end)
  local a, b = nn.linear(2, 2), nn.linear(2, 2)
  local x = ms.ones { 1, 2 }
  for _ = 1, 5 do
    compiled.same_bits(step(a, x), a(x):detach())
    compiled.same_bits(step(b, x), b(x):detach())
  end
end

-- ---- shared memory ---------------------------------------------------------------------------------------------------------------

TestCompileAliases = {}

function TestCompileAliases.test_an_input_changed_in_place()
  local step = ms.compile(function(x) x:mul_(2) end)
  for i = 1, 6 do
    local x = ms.tensor { i }
    step(x)
    step(x)
    lu.assertEquals(x:totable(), { 4 * i })
  end
  lu.assertTrue(replays(step))
end

-- Which arguments share memory belongs to the key.
function TestCompileAliases.test_an_input_that_is_another_input()
  local step = ms.compile(function(x, y)
    x:add_(1)
    return x * y
  end)
  for i = 1, 6 do
    lu.assertEquals(step(ms.tensor { i }, ms.tensor { 10 }):totable(), { 10 * (i + 1) })
    local x = ms.tensor { i }
    lu.assertEquals(step(x, x):totable(), { (i + 1) ^ 2 })
  end
  lu.assertTrue(replays(step))
end

function TestCompileAliases.test_always_the_same_tensor_twice()
  local step = ms.compile(function(x, y)
    x:add_(1)
    return x * y
  end)
  for i = 1, 6 do
    local x = ms.tensor { i }
    lu.assertEquals(step(x, x):totable(), { (i + 1) ^ 2 })
    lu.assertEquals(x:totable(), { i + 1 })
  end
  lu.assertEquals(step(ms.tensor { 1 }, ms.tensor { 5 }):totable(), { 10 })
end

function TestCompileAliases.test_an_input_that_the_step_changes()
  local total = ms.zeros { 2 }
  local step = ms.compile(function(x)
    total:add_(x)
    return total * 1
  end)
  for i = 1, 5 do lu.assertEquals(step(ms.ones { 2 }):totable(), { i, i }) end
  lu.assertEquals(step(total):totable(), { 10, 10 })
  lu.assertEquals(step(ms.ones { 2 }):totable(), { 11, 11 })
end

-- An argument that is by chance also captured, in the recorded calls: what moves later is the argument alone. One more recording
-- tells the two apart.
function TestCompileAliases.test_an_input_that_is_also_captured()
  local w = ms.tensor { 5, 5 }
  local step = ms.compile(function(x) return x - w end)
  for _ = 1, 4 do lu.assertEquals(step(w):totable(), { 0, 0 }) end
  for _ = 1, 5 do lu.assertEquals(step(ms.tensor { 6, 7 }):totable(), { 1, 2 }) end
  lu.assertEquals(step(w):totable(), { 0, 0 })
  lu.assertTrue(replays(step))
end

function TestCompileAliases.test_the_same_argument_for_long()
  local step = ms.compile(function(x) return x * 2 end)
  for i = 1, 4 do
    local x = ms.tensor { i }
    for _ = 1, 5 do lu.assertEquals(step(x):totable(), { 2 * i }) end
  end
  lu.assertTrue(replays(step))
end

function TestCompileAliases.test_an_input_changed_through_a_result()
  local step = ms.compile(function(x) return x[1] end)
  for i = 1, 5 do
    local x = ms.tensor { { i }, { i } }
    step(x):fill_(9)
    lu.assertEquals(x:totable(), { { 9 }, { i } })
  end
end

-- ---- errors ------------------------------------------------------------------------------------------------------------------------

TestCompileErrors = {}

-- An error in any call is the function's own, and the next call goes on from there.
function TestCompileErrors.test_thrown_in_each_of_the_first_calls()
  for at = 1, 4 do
    local call, threw = 0, false
    local step = ms.compile(function(x)
      call = call + 1
      local y = x + 1
      if call == at then
        threw = true
        error "mine"
      end
      return y * 2
    end)
    for i = 1, 8 do
      local ok, r = pcall(step, ms.tensor { i })
      if ok then lu.assertEquals(r:totable(), { 2 * i + 2 })
      else lu.assertStrContains(r, "mine") end
    end
    lu.assertEquals(threw, at < 4) -- call 4 is a replay
    lu.assertTrue(replays(step))
    lu.assertEquals((ms.ones { 1 } + 1):item(), 2)
  end
end

function TestCompileErrors.test_shape_error_while_recording()
  local w = ms.ones { 3 }
  local step = ms.compile(function(x) return x + w end)
  for _ = 1, 3 do raises({ "add", "test_compile_traps.lua" }, step, ms.ones { 2 }) end
  for _ = 1, 5 do lu.assertEquals(step(ms.ones { 3 }):totable(), { 2, 2, 2 }) end
end

function TestCompileErrors.test_label_out_of_range_in_a_replay()
  local step = ms.compile(function(x, y) return nn.cross_entropy(x, y) end)
  local x = ms.randn { 3, 4 }
  local good = ms.tensor({ 1, 4, 2 }, { dtype = "i64" })
  local want = nn.cross_entropy(x, good):item()
  for _ = 1, 5 do lu.assertEquals(step(x, good):item(), want) end
  raises({ "test_compile_traps.lua:", "[2] = 5, expected 1..4" }, step, x, ms.tensor({ 1, 5, 2 }, { dtype = "i64" }))
  lu.assertEquals(step(x, good):item(), want)
end

-- Yielding out of a step is refused in the same words whatever the call.
function TestCompileErrors.test_yields()
  local step = ms.compile(function(x)
    coroutine.yield(x)
    return x
  end)
  for _ = 1, 3 do
    local co = coroutine.create(function() step(ms.ones { 1 }) end)
    local ok, message = coroutine.resume(co)
    lu.assertFalse(ok)
    lu.assertStrContains(message, "attempt to yield across a C-call boundary")
  end
  local inner = ms.compile(function(x)
    local co = coroutine.wrap(function(y) coroutine.yield(y * 2) end)
    return co(x)
  end)
  for i = 1, 6 do lu.assertEquals(inner(ms.tensor { i }):totable(), { 2 * i }) end
  local outer = coroutine.wrap(function()
    for i = 1, 6 do coroutine.yield(inner(ms.tensor { i }):item()) end
  end)
  for i = 1, 6 do lu.assertEquals(outer(), 2 * i) end
end

function TestCompileErrors.test_numerics_are_looked_at_in_every_call()
  local step = ms.compile(function(x) return x:log() end)
  for _ = 1, 5 do step(ms.zeros { 2 }) end
  ms.check_numerics(true)
  local ok, message = pcall(step, ms.zeros { 2 })
  ms.check_numerics(false)
  lu.assertFalse(ok)
  lu.assertStrContains(message, "NaN or infinity")
  step(ms.zeros { 2 })
end

function TestCompileErrors.test_an_optimizer_that_the_step_makes()
  local net = ms.nn.linear(2, 2)
  local step = ms.compile(function(x)
    local sgd = ms.optim.sgd(net:parameters(), { lr = 0.1, momentum = 0.9 })
    sgd:zero_grad()
    local loss = net(x):sum()
    loss:backward()
    sgd:step()
    return loss
  end)
  lu.assertErrorMsgContains("it was made anew in the step, as of an optimizer that the step makes; make that outside, once", function()
    for _ = 1, 4 do step(ms.rand { 3, 2 }) end
  end)
end

function TestCompileErrors.test_what_can_be_compiled()
  raises("compile: expected a function, got number", ms.compile, 3)
end
