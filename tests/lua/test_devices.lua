-- Devices and the contract with them (runtime/backend.h): what is counted and kept for each, and what two of them may not
-- share. tests/lazy has the tests of a device that works only when it is waited for.
-- luacheck: globals TestDevices
local lu = require "luaunit"
local ms = require "mascon"
local compiled = require "compiled"
local raises = compiled.raises

TestDevices = {}

function TestDevices.test_names()
  lu.assertEquals((ms.device "trace"), "trace")
  lu.assertEquals((ms.device "trace:0"), "trace")
  lu.assertEquals((ms.device "trace:1"), "trace:1")
  for _, name in ipairs { "trace:", "trace:x", "trace:1x", "trace:-1", "tracer", "", ":1", "cuda:", "cuda:9999999999" } do
    raises({ "unknown device '" .. name .. "'", "expected cpu, cuda" }, ms.device, name)
  end
  raises("no trace:99", ms.device, "trace:99")
  raises("no cpu:1", ms.device, "cpu:1")
end

function TestDevices.test_memory_is_counted_for_each()
  local _ <close> = ms.scope()
  ms.device "trace:2"
  ms.memory "release"
  local before, there, all = ms.memory("trace:1").live, ms.memory("trace:2").live, ms.memory().live
  local x = ms.zeros({ 1024, 256 }, { device = "trace:1" })
  lu.assertEquals(ms.memory("trace:1").live - before, 1 << 20)
  lu.assertEquals(ms.memory("trace:2").live, there)
  lu.assertEquals(ms.memory().live - all, 1 << 20)
  lu.assertEquals(x.device, "trace:1")
  ms.device "trace"
  lu.assertEquals(ms.memory("trace:0"), ms.memory "trace") -- by each of its names, as ms.device takes them
  raises("expected nothing, 'reset', 'release' or the name of an open device, got 'trace:3'", ms.memory, "trace:3")
end

function TestDevices.test_a_freed_block_stays_with_its_device()
  do
    local _ <close> = ms.scope()
    ms.zeros({ 4096 }, { device = "trace:1" })
  end
  collectgarbage()
  local cached = ms.memory("trace:1").cached
  lu.assertTrue(cached >= 16384)
  do
    local _ <close> = ms.scope()
    ms.zeros({ 4096 }, { device = "trace:2" })
    lu.assertEquals(ms.memory("trace:1").cached, cached)
  end
  ms.memory "release"
  lu.assertEquals(ms.memory("trace:1").cached, 0)
end

function TestDevices.test_operands_on_two_devices()
  local x, y = ms.ones({ 2 }, { device = "trace" }), ms.ones({ 2 }, { device = "trace:1" })
  raises({ "add", "x is on trace, y on trace:1", "test_devices.lua" }, function() return x + y end)
  lu.assertEquals((x + y:to "trace").device, "trace")
end

function TestDevices.test_a_step_has_one_device()
  local x, y = ms.ones { 2 }, ms.ones({ 2 }, { device = "trace:1" })
  local line = debug.getinfo(1, "l").currentline
  local step = ms.compile(function(t)
    local r = t + 1
    return r, y * 2
  end)
  step(x)
  for _ = 1, 3 do
    raises({ ("mul at tests/lua/test_devices.lua:%d works on trace:1"):format(line + 3),
      ("add at tests/lua/test_devices.lua:%d on %s"):format(line + 2, x.device), "a step has one device" }, step, x)
  end
  local two = ms.compile(function(a, b) return a + 1, b + 1 end)
  two(x, y)
  raises({ "argument 2 of the step is on trace:1 and argument 1 on " .. x.device }, two, x, y)
end

function TestDevices.test_a_step_on_each_of_two_devices()
  local steps = {}
  for _, name in ipairs { "trace", "trace:1" } do
    local w = ms.ones({ 3, 3 }, { device = name })
    steps[name] = ms.compile(function(x) return x:matmul(w):tanh() end)
    for _ = 1, 5 do lu.assertEquals(steps[name](ms.ones({ 2, 3 }, { device = name })).device, name) end
    lu.assertTrue(compiled.replays(steps[name]))
  end
end
