-- Meters: figures of what comes batch by batch, resumable.
-- luacheck: globals TestMeter
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local meter, fails = ms.meter, checks.fails

TestMeter = {}

local function labels(list) return ms.tensor(list, { dtype = "i64" }) end

function TestMeter.test_extremes()
  local low, high = meter.min(), meter.max()
  lu.assertNotEquals(low:value(), low:value()) -- NaN
  for _, v in ipairs { 3, ms.tensor { 2.5, 7 }, ms.full({}, 4) } do
    low:add(v)
    high:add(v)
  end
  lu.assertEquals({ low:value(), high:value(), low:count() }, { 2.5, 7, 3 })
  lu.assertEquals(tostring(high), "7")
  lu.assertEquals(high:reset():add(-1):value(), -1)
  lu.assertEquals(meter.max():add(0.1):value(), 0.1)
  fails("meter.min: add: expected a number or a tensor with elements, got 0 f32", low.add, low, ms.zeros { 0 })
  fails("meter.min: add: expected a number or a tensor with elements, got 'x'", low.add, low, "x")
end

function TestMeter.test_accuracy()
  local m = meter.accuracy()
  m:add(ms.tensor { { 1, 2 }, { 3, 1 }, { 0, 5 } }, labels { 2, 2, 2 })
  m:add(labels { 1, 1 }, labels { 1, 2 })
  lu.assertEquals({ m:value(), m:count() }, { 3 / 5, 5 })
  fails("expected N labels or N x classes outputs, and N labels, got 2 f32 and 3 i64", m.add, m, ms.zeros { 2 }, labels { 1, 1, 1 })
  fails("expected two tensors", m.add, m, labels { 1 })
end

function TestMeter.test_confusion()
  local m = meter.confusion(3)
  lu.assertEquals(m:value():sum():item(), 0)
  m:add(labels { 1, 2, 3 }, labels { 1, 3, 3 })
  m:add(ms.tensor { { 0, 1, 0 } }, labels { 3 })
  lu.assertEquals(m:value():totable(), { { 1, 0, 0 }, { 0, 0, 2 }, { 0, 0, 1 } }) -- rows predicted, columns true
  lu.assertEquals({ m:accuracy(), m:count() }, { 0.5, 4 })
  fails("classes: expected a whole number from 1 on", meter.confusion, 0)
  lu.assertFalse((pcall(m.add, m, labels { 4 }, labels { 1 })))
  lu.assertEquals(m:count(), 4)
end

function TestMeter.test_they_go_on_from_their_states()
  for _, make in ipairs { meter.min, meter.max, meter.accuracy, function() return meter.confusion(3) end } do
    local a = make()
    local function add(m)
      if m.classes or m.add == meter.accuracy().add then m:add(labels { 1, 2, 3 }, labels { 3, 2, 1 }) else m:add(0.1 + #"x") end
    end
    make():load_state_dict(a:state_dict())
    add(a)
    local b = make():load_state_dict(a:state_dict())
    add(a)
    add(b)
    lu.assertEquals(tostring(b), tostring(a))
    lu.assertEquals(b:count(), a:count())
    fails("missing entry 'seen'", b.load_state_dict, b, {})
    fails("expected a state of such a meter", b.load_state_dict, b, { seen = ms.ones { 1 } })
  end
end
