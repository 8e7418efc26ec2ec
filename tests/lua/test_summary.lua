-- ms.summary: shapes, parameters, multiply-adds and bytes of a model, which it leaves as it was.
-- gcstress: every 200
-- luacheck: globals TestSummary
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local nn, fails = ms.nn, checks.fails

TestSummary = {}

local function net()
  return nn.sequential { nn.conv2d(1, 4, 3, { padding = 1 }), nn.batch_norm2d(4), nn.relu(), nn.max_pool2d(2), nn.flatten(),
    nn.dropout(0.5),
    nn.linear(64, 10) }
end

function TestSummary.test_numbers()
  local s = ms.summary(net(), ms.zeros { 2, 1, 8, 8 })
  local conv, norm, linear = s.rows[2], s.rows[3], s.rows[8]
  lu.assertEquals({ conv.name, conv.type, conv.output, conv.parameters, conv.macs }, { "1", "conv2d", "2 x 4 x 8 x 8", 4 * 9 + 4,
    2 * 4 * 64 * 9 })
  lu.assertEquals({ norm.parameters, norm.macs }, { 8, 0 })
  lu.assertEquals({ linear.output, linear.parameters, linear.macs }, { "2 x 10", 650, 2 * 640 })
  lu.assertEquals({ s.parameters, s.trainable, s.frozen, s.macs }, { 698, 698, 0, 2 * (2304 + 640) })
  lu.assertEquals(s.input_bytes, 2 * 64 * 4)
  lu.assertEquals(s.parameter_bytes, 698 * 4 + 8 * 4 + 8)
  lu.assertEquals(s.activation_bytes, 4 * 2 * (3 * 256 + 64 * 3 + 10))
end

function TestSummary.test_text()
  local model = net()
  model[1]:requires_grad_(false)
  local text = tostring(ms.summary(model, { 1, 1, 8, 8 }))
  lu.assertStrMatches(text, "layer +output +parameters +MACs\nsequential.*")
  lu.assertStrContains(text, "  1: conv2d(1, 4, 3, padding = 1)")
  lu.assertStrMatches(text, ".*\n  1: conv2d%(1, 4, 3, padding = 1%) +1 x 4 x 8 x 8 +40 %(frozen%) +2,304\n.*")
  lu.assertStrContains(text, "698 parameters (658 trainable, 40 frozen), 2,944 MACs")
end

function TestSummary.test_what_is_shared_counts_once()
  local layer = nn.linear(3, 3)
  local s = ms.summary(nn.sequential { layer, nn.relu(), layer }, { 5, 3 })
  lu.assertEquals({ s.parameters, s.macs, s.rows[2].calls, s.rows[4].same }, { 12, 90, 2, "1" })
  lu.assertStrContains(tostring(s), "5 x 3 (2 calls)")
  local tied = nn.sequential { nn.linear(3, 3, { bias = false }), nn.linear(3, 3, { bias = false }) }
  tied[2].weight = tied[1].weight
  lu.assertEquals(ms.summary(tied, { 1, 3 }).parameters, 9)
end

function TestSummary.test_the_model_and_the_generator_are_as_before()
  local model = net()
  model[2]:eval()
  ms.seed(3)
  local before, mean = { ms.rng_state() }, model[2].running_mean:totable()
  ms.summary(model, ms.randn { 4, 1, 8, 8 }:fill_(1))
  ms.seed(3)
  ms.summary(model, ms.ones { 4, 1, 8, 8 })
  lu.assertEquals({ ms.rng_state() }, before)
  lu.assertEquals({ model.training, model[1].training, model[2].training }, { true, true, false })
  lu.assertEquals(model[2].running_mean:totable(), mean)
  local x = ms.ones { 4, 1, 8, 8 }
  model:eval()
  lu.assertEquals(model(x):totable(), model(x):totable()) -- no hook is left that would raise
end

function TestSummary.test_own_classes_and_several_arguments()
  local Net = nn.class "Net"
  function Net:init() self.a, self.b, self.unused = nn.linear(2, 3), nn.linear(4, 3), nn.linear(1, 1) end
  function Net:forward(x, y)
    if x:sum():item() > 1e9 then return x end -- reads a value: no multiply-adds are counted
    return self.a(x) + self.b(y), x
  end
  local s = ms.summary(Net(), { ms.zeros { 1, 2 }, ms.zeros { 1, 4 } })
  lu.assertEquals({ s.rows[1].output, s.rows[2].output, s.rows[2].calls }, { "1 x 3, ...", "not called", 0 })
  lu.assertNil(s.macs)
  lu.assertStrContains(tostring(s), "? MACs")
end

function TestSummary.test_bad_input()
  fails("summary: expected a module first, got nil", ms.summary)
  fails("summary: expected an input second", ms.summary, net())
  fails("summary: expected an input second", ms.summary, net(), { "x" })
  fails("conv2d", ms.summary, net(), { 1, 5, 8, 8 })
  local x = ms.zeros { 1, 1, 8, 8 }
  lu.assertEquals(x:sum():item(), 0) -- the counting has ended
end
