-- pcall and xpcall, which mascon puts in place of Lua's: the same to a script. What they give up after an error is tested by tests/alloc.
local lu = require "luaunit"

TestProtect = {}

function TestProtect.test_results_and_errors_come_through()
  lu.assertEquals({ pcall(function(...) return ... end, 1, nil, 3) }, { true, 1, nil, 3 })
  lu.assertEquals({ pcall(error, "oh", 0) }, { false, "oh" })
  local object = {}
  local ok, err = pcall(error, object)
  lu.assertFalse(ok)
  lu.assertIs(err, object)
  lu.assertEquals({ pcall(error) }, { false, nil })
  lu.assertEquals(select("#", pcall(error)), 2)
  lu.assertEquals(select(2, pcall(nil)), "attempt to call a nil value")
  lu.assertErrorMsgContains("value expected", pcall)
end

function TestProtect.test_a_handler_sees_the_stack()
  local ok, got, more = xpcall(function(a, b) return a + b, "more" end, debug.traceback, 3, 4)
  lu.assertEquals({ ok, got, more }, { true, 7, "more" })
  local function deep() error("oh", 0) end
  ok, got = xpcall(function() deep() end, function(m) return m .. debug.traceback("", 2) end)
  lu.assertFalse(ok)
  lu.assertStrContains(got, "oh")
  lu.assertStrContains(got, "in upvalue 'deep'")
  lu.assertErrorMsgContains("function expected", xpcall, print)
  lu.assertFalse((xpcall(error, function() error "again" end, "oh"))) -- an error in the handler ends it
end

function TestProtect.test_yields_go_through()
  local co = coroutine.wrap(function()
    local ok, a = pcall(function() return coroutine.yield(1) + 1 end)
    local bad, message = pcall(function() coroutine.yield(2) error("late", 0) end)
    local handled, text = xpcall(function() coroutine.yield(3) error("later", 0) end, function(m) return "seen " .. m end)
    return ok, a, bad, message, handled, text
  end)
  lu.assertEquals(co(), 1)
  lu.assertEquals(co(41), 2)
  lu.assertEquals(co(), 3)
  lu.assertEquals({ co() }, { true, 42, false, "late", false, "seen later" })
end

function TestProtect.test_nested_in_a_finalizer()
  local seen
  setmetatable({}, { __gc = function() seen = pcall(error, "oh") end })
  collectgarbage()
  collectgarbage()
  lu.assertEquals(seen, false)
end
