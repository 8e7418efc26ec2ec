-- Errors name the line of the script; and no allocation may fail badly.
-- gcstress: every 10
-- luacheck: globals TestErrors TestMemory
local lu = require "luaunit"
local ms = require "mascon"
local inside = require "mascon.inside"
local checks = require "checks"
local census, failure, fails, leaf, line = checks.census, checks.failure, checks.fails, checks.leaf, checks.line

local function here(n) return ("test_errors.lua:%d: "):format(n) end

-- ---- errors carry the script's own line -----------------------------------------------------------------------------------------

TestErrors = {}

function TestErrors.test_forward()
  local a, b = ms.ones { 2, 3 }, ms.ones { 4 }
  local at = line() + 1
  lu.assertStrContains(failure(function() return a + b end), here(at) .. "add: shapes")
  at = line() + 1
  lu.assertStrContains(failure(function() return a:matmul(b) end), here(at) .. "matmul: ")
  at = line() + 1
  lu.assertStrContains(failure(function() return a:sum(3) end), here(at) .. "sum: ")
  at = line() + 1
  lu.assertStrContains(failure(function() return a[5] end), here(at) .. "index: ")
end

function TestErrors.test_backward_names_the_line_that_made_the_node_and_the_line_that_asked()
  local x = leaf { 0.5 }
  local y = x:zeta(2)
  local made = line() - 1
  local message = failure(function() y:backward() end)
  local asked = line() - 1
  lu.assertEquals(message, ("tests/lua/test_errors.lua:%d: in the derivative of zeta, made at tests/lua/test_errors.lua:%d: "
    .. "zeta has no derivative"):format(asked, made))
end

function TestErrors.test_arguments()
  local x = ms.ones { 2, 3 }
  fails("sum: unknown option 'keepdm'; did you mean keepdim?", x.sum, x, { keepdm = true })
  fails("argument dims is given twice", x.sum, x, 1, { dims = 2 })
  fails("too many arguments", x.exp, x, 1, 2)
  fails("argument dim is missing", x.cumsum, x)
  fails("argument keepdim: expected true or false, got 1", x.sum, x, 1, 1)
  fails("expected 1, 2, ... or -1, -2, ... from the end, got 0", x.softmax, x, 0)
  fails("argument reduction: expected one of mean|sum|none, got 'avg'", x.mse_loss, x, x, "avg")
  fails("argument y: expected a tensor or a number, got 'a'", function() return x + "a" end)
  fails("expected a tensor, got nothing", x.totable)
end

function TestErrors.test_labels_and_positions_are_checked_before_they_are_used()
  local x = ms.ones { 3 }
  local function long(...) return ms.tensor({ ... }, { dtype = "i64" }) end
  fails("gather: index[2] = 4, expected 1..3", function() return x:gather(1, long(1, 4)) end)
  fails("index_select: index[1] = 0, expected 1..3", function() return x:index_select(1, long(0)) end)
  fails("nll_loss: target[2] = 0, expected 1..4", function() return ms.ones({ 2, 4 }):nll_loss(long(4, 0)) end)
  fails("cross_entropy: ", function() return ms.ones({ 2, 4, 1 }):cross_entropy(long(4, 1)) end)
  fails("expected integers", function() return x:gather(1, ms.ones { 1 }) end)
end

-- ---- memory: no allocation may fail badly ---------------------------------------------------------------------------------------

TestMemory = {}

-- A training step like any other: two layers, a loss, derivatives, an update in place.
local function step(state)
  local h = ms.linear(state.x, state.w1, state.b1):relu()
  local y = ms.linear(h, state.w2)
  local loss = y:softmax():mse_loss(state.t) + (h:transpose(1, 2):contiguous() * 0.1):square():mean()
  local value = loss:item()
  for _, p in ipairs(state.parameters) do p.grad = nil end
  loss:backward()
  ms.no_grad(function()
    local list, n = {}, #state.parameters
    for k, p in ipairs(state.parameters) do list[k], list[n + k] = p, p.grad end
    inside.sgd_(list, 2, 0.1)
  end)
  return value
end

local function new_state()
  ms.seed(1)
  local s = { x = ms.randn { 5, 4 }, t = ms.rand { 5, 2 } }
  s.w1, s.b1 = ms.randn({ 3, 4 }):requires_grad_(), ms.randn({ 3 }):requires_grad_()
  s.w2 = ms.randn({ 2, 3 }):requires_grad_()
  s.parameters = { s.w1, s.b1, s.w2 }
  return s
end

function TestMemory.test_the_failure_of_any_allocation_is_a_clean_error()
  local want = step(new_state())
  local failures = 0
  for k = 1, 1000 do
    local state = new_state()
    local before = census()
    ms.fail_allocation(k)
    local ok, message = pcall(step, state)
    ms.fail_allocation(0)
    if ok then break end
    failures = k
    lu.assertStrContains(message, "out of memory on cpu: asked for")
    lu.assertStrContains(message, "test_errors.lua:")
    for _, p in ipairs(state.parameters) do p.grad = nil end
    lu.assertEquals(census(), before, "after failure of allocation " .. k)
    lu.assertTrue(ms.grad_enabled())
    lu.assertEquals(step(state), want, "the same step after failure of allocation " .. k)
  end
  lu.assertTrue(failures > 20, failures .. " allocations")
end

function TestMemory.test_a_step_leaves_nothing_behind()
  local state = new_state()
  step(state)
  local before = census()
  for _ = 1, 5 do step(state) end
  lu.assertEquals(census(), before)
end

function TestMemory.test_an_impossible_size_is_an_error()
  fails("out of memory", ms.zeros, { 1 << 40, 1 << 10 })
  lu.assertFalse((pcall(ms.zeros, { 1 << 40, 1 << 40 }))) -- the product overflows
end
