-- Modules: what is registered, what moves, what a state_dict is; layers made by position and by name; prints.
-- gcstress: every 5
-- luacheck: globals TestRegistration TestTo TestStateDict TestLayers TestInit TestFieldsSet TestCompiledModules
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local nn, optim, fails = ms.nn, ms.optim, checks.fails

local function names_of(m)
  local list = {}
  for name in m:named_parameters() do list[#list + 1] = name end
  return table.concat(list, " ")
end

-- ---- what is registered ---------------------------------------------------------------------------------------------------------------

TestRegistration = {}

function TestRegistration.test_over_a_plain_field_and_back()
  local m = nn.class "Net" ()
  m.first = false
  m.second = nn.linear(1, 1)
  m.third = nn.linear(1, 1)
  lu.assertEquals(names_of(m), "second.weight second.bias third.weight third.bias")
  m.first = nn.linear(2, 2, { bias = false }) -- over a plain value: new, and behind what was there before
  lu.assertEquals(names_of(m), "second.weight second.bias third.weight third.bias first.weight")
  m.second = "gone"
  lu.assertEquals(names_of(m), "third.weight third.bias first.weight")
  m.second = nn.relu()
  lu.assertEquals(#m:children(), 3)
  lu.assertTrue(m:children()[1] == m.second) -- at its first place
  m.third = nil
  lu.assertEquals({ names_of(m), #m:children() }, { "first.weight", 2 })
  m.first = nn.linear(3, 1)
  lu.assertEquals(m:count(), 4)
end

function TestRegistration.test_parameters()
  local m = nn.class "Net" ()
  m.scale = 3
  m.scale = nn.parameter(ms.ones { 2 })
  m.mask = ms.ones { 2 } -- no parameter
  m.kept = m.scale * 2 -- the result of an operation: none either
  lu.assertEquals(names_of(m), "scale")
  m:requires_grad_(false)
  lu.assertEquals(names_of(m), "scale") -- frozen
  local other = nn.class "Other" ()
  other.scale = m.scale -- frozen, and a parameter still
  lu.assertEquals(names_of(other), "scale")
  fails("Net.scale is a parameter: expected nn.parameter(tensor), or nil to take it away", function() m.scale = ms.ones { 2 } end)
  m.scale = nil
  lu.assertEquals(names_of(m), "")
  m.scale = ms.ones { 2 }
  lu.assertEquals(names_of(m), "")
end

function TestRegistration.test_buffers()
  local m = nn.class "Net" ()
  m.running = 5
  m:register_buffer("running", ms.ones { 2 })
  m.running = ms.zeros { 2 } -- stays a buffer
  lu.assertEquals(m:state_dict().running:totable(), { 0, 0 })
  m:register_buffer("running", ms.ones { 3 })
  lu.assertEquals(#m:buffers(), 1)
  m.running = nil
  lu.assertEquals(#m:buffers(), 0)
  fails("Net:register_buffer: x: expected a tensor, got nil", m.register_buffer, m, "x")
end

function TestRegistration.test_a_list_of_modules_is_not_overlooked()
  local m = nn.class "Net" ()
  m.a = nn.linear(1, 1)
  m.known = { m.a }
  fails("Net.layers[1]: a list of modules or parameters in a field is not seen", function() m.layers = { nn.linear(1, 1) } end)
  fails("Net.weights[2]", function() m.weights = { 1, nn.parameter(ms.ones { 1 }) } end)
  m[1], m[2] = nn.linear(1, 1), nn.relu()
  lu.assertEquals({ #m, names_of(m) }, { 2, "a.weight a.bias 1.weight 1.bias" })
end

-- Arguments that a method does not take.
function TestRegistration.test_methods_take_what_they_say()
  local m = nn.linear(1, 1)
  for _, name in ipairs { "modules", "children", "named_parameters", "parameters", "buffers", "count", "eval", "zero_grad" } do
    fails(("linear:%s: expected no more arguments, got boolean"):format(name), m[name], m, false)
  end
  fails("linear:train: expected no more arguments", m.train, m, true, 1)
  fails("linear:apply: expected no more arguments", m.apply, m, print, 1)
  fails("linear:requires_grad_: expected no more arguments", m.requires_grad_, m, true, 1)
  lu.assertTrue(m.training)
end

-- Nor one that is filled later, lies deeper or has names; what has a place somewhere below the module may be in as many as one likes.
function TestRegistration.test_modules_put_into_tables_later()
  local cases = {
    ["Net.layers[2]"] = function(m)
      m.layers = { m.body[1] }
      table.insert(m.layers, nn.linear(1, 1))
    end,
    ["Net.heads[left]"] = function(m) m.heads = { right = m.body, left = nn.linear(1, 1) } end,
    ["Net.deep[1][x][1]"] = function(m) m.deep = { { x = { nn.parameter(ms.ones { 1 }) } } } end,
  }
  for place, put in pairs(cases) do
    local Net = nn.class "Net"
    function Net:init() self.body = nn.sequential { nn.linear(1, 1), nn.relu() } end
    local m = Net()
    for _, what in ipairs { function() m:parameters() end, function() m:to "f64" end, function() m:state_dict() end } do
      fails(place .. ": a list of modules", function() put(m) what() end)
    end
    if m.layers then
      local outer = nn.sequential { m }
      fails(place, outer.parameters, outer)
    end
  end
  local Net = nn.class "Net"
  function Net:init()
    self.blocks = {}
    for i = 1, 2 do self.blocks[i] = nn.linear(1, 1) end
    self.body = nn.sequential(self.blocks)
    self.ends = { self.body[1], last = { self.body[2].weight } }
  end
  lu.assertEquals(#Net():parameters(), 4)
end

function TestRegistration.test_names_that_cannot_be()
  local m = nn.class "Net" ()
  fails("Net.parameters: parameters is a method of every module", function() m.parameters = {} end)
  fails("Net.count: count is a method", function() m.count = nn.relu() end)
  fails("a module in field 'a.b': expected a name without dots", function() m["a.b"] = nn.relu() end)
  fails("Net.training: expected true or false, got nil", function() m.training = nil end)
  m[2] = nn.relu()
  fails("fields [2] and '2' would have one name in a state_dict", function() m["2"] = nn.relu() end)
  m.forward = function(_, x) return x + 1 end
  lu.assertEquals(m(ms.ones { 1 }):item(), 2)
  m.inner = nn.class "Inner" ()
  m.inner.outer = m
  fails("inner.outer: the module holds itself", m.parameters, m)
end

function TestRegistration.test_arguments_that_nobody_reads_are_refused()
  local m = nn.linear(1, 1)
  fails("linear:to: expected no more arguments, got string", m.to, m, "f64", "cpu")
  fails("linear:to: expected a dtype, a device", m.to, m)
  fails("nn.parameter: expected no more arguments, got boolean", nn.parameter, ms.ones { 1 }, false)
  fails("linear:register_buffer: expected no more arguments", m.register_buffer, m, "b", ms.ones { 1 }, false, 1)
  fails("linear:requires_grad_: expected true or false, got 1", m.requires_grad_, m, 1)
  fails("linear:apply: expected a function of a module, got nil", m.apply, m)
  fails("linear: state_dict: expected no more arguments", m.state_dict, m, {}, "x")
end

function TestRegistration.test_classes_of_classes_and_metamethods()
  local A = nn.class "A"
  function A:init(x) self.x = x end
  function A:twice() return 2 * self.x end
  function A.__add(a, b) return a.x + b.x end
  local B = nn.class("B", A)
  function B:twice() return A.twice(self) + 1 end
  local b = B(3)
  lu.assertEquals({ b:twice(), b + A(1), nn.is_module(b), nn.is_module(B) }, { 7, 4, true, false })
  local seen = {}
  for k, v in pairs(b) do seen[k] = v end
  lu.assertEquals({ seen.x, seen.training }, { 3, true })
  fails("C takes no arguments: it has no init", nn.class "C", 1)
  fails("nn.class: 'D': expected a class as parent, got a module", nn.class, "D", b)
end

-- ---- to -----------------------------------------------------------------------------------------------------------------------

TestTo = {}

function TestTo.test_what_is_one_tensor_stays_one()
  local Net = nn.class "Net"
  function Net:init()
    self.table = nn.embedding(5, 3)
    self.out = nn.linear(3, 5, { bias = false })
    self.out.weight = self.table.weight
    self.again = self.out -- the whole module a second time
    self:register_buffer("mean", ms.ones { 2 })
    self.inner = nn.class "Inner" ()
    self.inner:register_buffer("mean", self.mean)
    self:register_buffer("steps", ms.zeros({}, { dtype = "i64" }))
  end
  local m = Net():to "f64"
  lu.assertEquals({ m.table.weight.dtype, m.out.weight.dtype, m.mean.dtype, m.steps.dtype }, { "f64", "f64", "f64", "i64" })
  lu.assertTrue(m.table.weight == m.out.weight and m.again == m.out and m.inner.mean == m.mean)
  lu.assertEquals({ #m:parameters(), #m:buffers(), #m:modules(), m:count() }, { 1, 2, 4, 15 })
  local enc, dec = nn.linear(3, 3), nn.linear(3, 3)
  dec.weight = enc.weight
  local s = nn.sequential { enc, dec }:to "f64"
  lu.assertTrue(enc.weight == dec.weight and s[1] == enc)
  lu.assertEquals({ dec.weight.dtype, #s:parameters() }, { "f64", 3 })
end

function TestTo.test_frozen_stays_frozen_and_gradients_go_along()
  local m = nn.linear(2, 1)
  m.bias:requires_grad_(false)
  m(ms.ones { 1, 2 }):sum():backward()
  m:to "f64"
  lu.assertEquals({ m.weight.requires_grad, m.bias.requires_grad }, { true, false })
  lu.assertEquals({ m.weight.grad.dtype, m.weight.grad:totable() }, { "f64", { { 1, 1 } } })
  lu.assertEquals(names_of(m), "weight bias")
  local same = m.weight
  lu.assertTrue(m:to "f64".weight == same)
end

function TestTo.test_all_or_nothing()
  local m = nn.sequential { nn.linear(2, 1), nn.linear(1, 1) }
  local before = m:parameters()
  fails("sequential:to: 1.weight: expected a floating dtype, got i64", m.to, m, "i64")
  fails("f33", m.to, m, "f33")
  for i, p in ipairs(m:parameters()) do lu.assertTrue(p == before[i]) end
end

function TestTo.test_an_optimizer_made_before()
  local m = nn.linear(2, 1)
  local o = optim.sgd(m:parameters(), { lr = 1, momentum = 0.5 })
  m:to "f64":to "f32":to "f64" -- before the first step: it takes up the new tensors
  m(ms.ones({ 1, 2 }, { dtype = "f64" })):sum():backward()
  local before = m.bias:item()
  o:step()
  lu.assertEquals(m.bias:item(), before - 1)
  m:to "f32" -- after: there is state of the other dtype
  m(ms.ones { 1, 2 }):sum():backward()
  fails("optim.sgd: parameter 1 was converted by module:to, from 1 x 2 f64 on cpu to 1 x 2 f32 on cpu, after this optimizer had stepped",
    o.step, o)
  fails("was converted", o.zero_grad, o)
end

-- ---- states -------------------------------------------------------------------------------------------------------------------

TestStateDict = {}

local function net()
  local Net = nn.class "Net"
  function Net:init()
    self.body = nn.sequential { nn.conv2d(1, 2, 3), nn.batch_norm2d(2), nn.relu(), nn.sequential { nn.linear(2, 2) } }
    self.head = nn.linear(2, 3, { bias = false })
  end
  return Net()
end

-- As torch.save(model.state_dict()) has it, by hand.
local function of_pytorch()
  return { ["body.0.weight"] = ms.full({ 2, 1, 3, 3 }, 1), ["body.0.bias"] = ms.full({ 2 }, 2), ["body.1.weight"] = ms.full({ 2 }, 3),
    ["body.1.bias"] = ms.full({ 2 }, 4), ["body.1.running_mean"] = ms.full({ 2 }, 5), ["body.1.running_var"] = ms.full({ 2 }, 6),
    ["body.1.num_batches_tracked"] = ms.full({}, 7, { dtype = "i64" }), ["body.3.0.weight"] = ms.full({ 2, 2 }, 8),
    ["body.3.0.bias"] = ms.full({ 2 }, 9), ["head.weight"] = ms.full({ 3, 2 }, 10) }
end

function TestStateDict.test_names_count_from_1()
  local names = {}
  for name in pairs(net():state_dict()) do names[#names + 1] = name end
  table.sort(names)
  lu.assertEquals(table.concat(names, " "), "body.1.bias body.1.weight body.2.bias body.2.num_batches_tracked body.2.running_mean "
    .. "body.2.running_var body.2.weight "
    .. "body.4.1.bias body.4.1.weight head.weight")
end

function TestStateDict.test_exchange_with_pytorch()
  local m, theirs = net(), of_pytorch()
  m:load_state_dict(theirs, { names = "pytorch" })
  local values = {}
  for name, t in pairs(m:state_dict()) do values[name] = t:flatten()[1]:item() end
  lu.assertEquals(values, { ["body.1.weight"] = 1, ["body.1.bias"] = 2, ["body.2.weight"] = 3, ["body.2.bias"] = 4,
    ["body.2.running_mean"] = 5, ["body.2.running_var"] = 6, ["body.2.num_batches_tracked"] = 7,
    ["body.4.1.weight"] = 8, ["body.4.1.bias"] = 9, ["head.weight"] = 10 })
  local back = m:state_dict { names = "pytorch" }
  for name, t in pairs(theirs) do lu.assertEquals(back[name]:totable(), t:totable(), name) end
  for name in pairs(back) do lu.assertNotNil(theirs[name], name) end
end

function TestStateDict.test_what_does_not_fit_changes_nothing()
  local m = net()
  local function refused(expected, state, opts)
    local before = {}
    for k, t in pairs(m:state_dict()) do before[k] = t:totable() end
    fails(expected, m.load_state_dict, m, state, opts)
    for k, t in pairs(m:state_dict()) do lu.assertEquals(t:totable(), before[k], k) end
  end
  local function good(changes)
    local state = {}
    for k, t in pairs(m:state_dict()) do state[k] = t * 0 + 1 end
    for k, t in pairs(changes or {}) do state[k] = t or nil end
    return state
  end
  refused("Net: load_state_dict: expected a table of tensors by name (state_dict), got nil")
  refused("got string", "model.safetensors")
  refused("head.weight: expected a tensor, got number", good { ["head.weight"] = 5 })
  refused("unknown entry '1': names are texts", good { ms.ones { 1 } })
  refused("head.weight: expected 3 x 2 f32, got 2 x 3 f32", good { ["head.weight"] = ms.ones { 2, 3 } })
  refused("head.weight: expected 3 x 2 f32, got 3 x 2 i64", good { ["head.weight"] = ms.ones({ 3, 2 }, { dtype = "i64" }) })
  refused("missing: none; not expected: extra", good { extra = ms.ones { 1 } })
  local short = good()
  short["body.1.bias"], short["head.weight"] = nil, nil
  refused("missing: body.1.bias, head.weight; not expected: none", short)
  refused("these are PyTorch's names, which count from 0: load_state_dict(state, { names = \"pytorch\" })", of_pytorch())
  refused("missing: body.0.bias", good(), { names = "pytorch" })
  refused("names: expected 'mascon' or 'pytorch', got 'torch'", good(), { names = "torch" })
  refused("unknown option 'strickt'; did you mean strict?", good(), { strickt = false })
  local same, left = m:load_state_dict(short, { strict = false })
  lu.assertTrue(same == m)
  lu.assertEquals(left, { missing_keys = { "body.1.bias", "head.weight" }, unexpected_keys = {} })
  -- Names that count from 0 would put each layer's values into the next one, where they fit.
  local from_0 = of_pytorch()
  refused("PyTorch's names count from 0", from_0, { strict = false })
  local two = nn.sequential { nn.linear(2, 2), nn.linear(2, 2) }
  fails("sequential: load_state_dict: not expected: 0.bias; PyTorch's names count from 0, so that 1 is the second", two.load_state_dict,
    two, two:state_dict { names = "pytorch" }, { strict = false })
  from_0.extra = ms.ones { 1 }
  lu.assertEquals(select(2, net():load_state_dict(from_0, { strict = false, names = "pytorch" })).unexpected_keys, { "extra" })
  lu.assertEquals(m.body[1].weight[{ 1, 1, 1, 1 }]:item(), 1)
  m:load_state_dict(good { ["head.weight"] = ms.full({ 3, 2 }, 1 / 3, { dtype = "f64" }) }) -- between floats: as PyTorch
  lu.assertAlmostEquals(m.head.weight[{ 1, 1 }]:item(), 1 / 3, 1e-7)
end

function TestStateDict.test_tied_tensors()
  local enc, dec = nn.linear(2, 2), nn.linear(2, 2)
  dec.weight = enc.weight
  local m = nn.sequential { enc, dec }
  lu.assertNil(m:state_dict()["2.weight"])
  lu.assertNotNil(m:state_dict { names = "pytorch" }["1.weight"])
  local theirs = {}
  for k, t in pairs(m:state_dict { names = "pytorch" }) do theirs[k] = t * 0 + 3 end
  m:load_state_dict(theirs, { names = "pytorch" })
  lu.assertEquals(enc.weight:totable(), { { 3, 3 }, { 3, 3 } })
  theirs["1.weight"] = theirs["1.weight"] + 1
  fails("0.weight and 1.weight are one tensor here, and differ in the state", m.load_state_dict, m, theirs, { names = "pytorch" })
end

function TestStateDict.test_a_state_of_its_own_tensors()
  local m = nn.sequential { nn.linear(1, 1), nn.linear(1, 1) }
  local own, a, b = m:state_dict(), m[1].weight:item(), m[2].weight:item()
  own["1.weight"], own["2.weight"] = own["2.weight"], own["1.weight"]
  m:load_state_dict(own)
  lu.assertEquals({ m[1].weight:item(), m[2].weight:item() }, { b, a })
end

-- ---- layers -------------------------------------------------------------------------------------------------------------------

TestLayers = {}

local function line(m) return tostring(m):match "^[^\n]*":gsub("%s%s+.*", "") end

function TestLayers.test_by_position_by_name_and_both()
  for printed, made in pairs {
    ["linear(2, 3)"] = { nn.linear(2, 3), nn.linear { 2, 3 }, nn.linear { inputs = 2, outputs = 3 }, nn.linear(2, 3, {}),
      nn.linear { in_features = 2, out_features = 3 } },
    ["linear(2, 3, bias = false)"] = { nn.linear(2, 3, { bias = false }), nn.linear { 2, 3, bias = false } },
    ["conv2d(1, 8, 3, stride = 2, padding = 1 x 0)"] = { nn.conv2d(1, 8, 3, { stride = 2, padding = { 1, 0 } }),
      nn.conv2d { 1, 8, 3, stride = 2, padding = { 1, 0 } },
      nn.conv2d { inputs = 1, outputs = 8, size = 3, stride = 2, padding = { 1, 0 } } },
    ["conv2d(1, 8, 3 x 5)"] = { nn.conv2d(1, 8, { 3, 5 }), nn.conv2d { 1, 8, { 3, 5 } } },
    ["conv_transpose2d(2, 4, 2, stride = 2, groups = 2)"] = { nn.conv_transpose2d(2, 4, 2, { stride = 2, groups = 2 }) },
    ["batch_norm(4, eps = 0.001, momentum = 0.2, affine = false)"] = { nn.batch_norm(4, { eps = 1e-3, momentum = 0.2, affine = false }),
      nn.batch_norm { 4, eps = 1e-3, momentum = 0.2, affine = false } },
    ["batch_norm2d(4, momentum = false)"] = { nn.batch_norm2d { num_features = 4, momentum = false } },
    ["embedding(3, 2)"] = { nn.embedding(3, 2), nn.embedding { count = 3, width = 2 } },
    ["dropout(0.5)"] = { nn.dropout(), nn.dropout {}, nn.dropout { p = 0.5 } },
    ["leaky_relu(0.2)"] = { nn.leaky_relu(0.2), nn.leaky_relu { negative_slope = 0.2 }, nn.leaky_relu { 0.2 } },
    ["elu(1)"] = { nn.elu(), nn.elu { alpha = 1 } },
    ["softmax(-1)"] = { nn.softmax(), nn.softmax { dim = -1 } },
    ["relu"] = { nn.relu(), nn.relu {} },
    ["flatten(2)"] = { nn.flatten(), nn.flatten { start = 2 } },
    ["unflatten(1, 28)"] = { nn.unflatten(1, 28), nn.unflatten { 1, 28 }, nn.unflatten(2, { 1, 28 }) },
    ["unflatten(-1, { 2, -1 })"] = { nn.unflatten(-1, { 2, -1 }) },
    ["avg_pool2d(2, stride = 2)"] = { nn.avg_pool2d(2), nn.avg_pool2d { size = 2 }, nn.avg_pool2d { 2, stride = 2 } },
    ["max_pool2d(3 x 2, stride = 1, padding = 1)"] = { nn.max_pool2d({ 3, 2 }, { stride = 1, padding = 1 }) },
    ["upsample(2, bilinear)"] = { nn.upsample(2, "bilinear"), nn.upsample { factor = 2, mode = "bilinear" },
      nn.upsample(2, { mode = "bilinear" }) },
  } do
    for i, m in ipairs(made) do lu.assertEquals(line(m), printed, ("%s, %d"):format(printed, i)) end
  end
end

function TestLayers.test_what_is_not_understood_is_an_error()
  for expected, make in pairs {
    ["nn.upsample: unknown option 'scale'; did you mean factor?"] = function() nn.upsample { scale = 2 } end,
    ["nn.upsample: mode: expected 'nearest', 'linear', 'bilinear', 'bicubic', 'area' or 'nearest-exact', got 'bilinaer'; did you"] =
      function() nn.upsample(2, "bilinaer") end,
    ["nn.upsample: expected factor or size, got none"] = function() nn.upsample {} end,
    ["nn.dropout: p: expected 0 <= p <= 1, got 1.5"] = function() nn.dropout { p = 1.5 } end,
    ["nn.dropout: p: expected 0 <= p <= 1, got -0.1"] = function() nn.dropout(-0.1) end,
    ["nn.dropout: p: expected 0 <= p <= 1, got '0.5'"] = function() nn.dropout "0.5" end,
    ["nn.dropout: unknown option 'P'; did you mean p?"] = function() nn.dropout { P = 0.5 } end,
    ["nn.leaky_relu: unknown option 'slope'; did you mean negative_slope?"] = function() nn.leaky_relu { slope = 0.2 } end,
    ["nn.leaky_relu: negative_slope: expected a finite number, got inf"] = function() nn.leaky_relu(math.huge) end,
    ["nn.leaky_relu: expected at most 1 by position (negative_slope), got 2"] = function() nn.leaky_relu(0.1, true) end,
    ["nn.relu: unknown option 'inplace'; there are none"] = function() nn.relu { inplace = true } end,
    ["nn.relu: expected no arguments by position, got 1"] = function() nn.relu(true) end,
    ["nn.linear: outputs: expected a whole number from 1 on, got 0"] = function() nn.linear(3, 0) end,
    ["nn.linear: outputs: expected a whole number from 1 on, got 2.5"] = function() nn.linear(3, 2.5) end,
    ["nn.linear: argument outputs is missing"] = function() nn.linear(3) end,
    ["nn.linear: bias: expected true or false, got 0"] = function() nn.linear(3, 2, { bias = 0 }) end,
    ["nn.linear: expected at most 2 by position (inputs, outputs), got 3; options go in a table"] = function() nn.linear(3, 2, false) end,
    ["nn.linear: inputs is given twice"] = function() nn.linear(3, { inputs = 3, outputs = 2 }) end,
    ["nn.linear: entry [1] among the options"] = function() nn.linear(3, 2, { false, bias = true }) end,
    ["nn.conv2d: unknown option 'kernel'; did you mean size?"] = function() nn.conv2d { 1, 2, kernel = 3 } end,
    ["nn.conv2d: size is given twice"] = function() nn.conv2d { 1, 2, 3, kernel_size = 3 } end,
    ["nn.conv2d: size: expected a whole number from 1 on or { height, width }, got { 3, 3, 3 }"] = function()
      nn.conv2d(1, 2, { 3, 3, 3 })
    end,
    ["nn.conv2d: padding: expected a whole number from 0 on"] = function() nn.conv2d(1, 2, 3, { padding = -1 }) end,
    ["nn.conv2d: groups 2 does not divide 3 channels in and 2 out"] = function() nn.conv2d(3, 2, 3, { groups = 2 }) end,
    ["nn.conv_transpose2d: groups 2 does not divide 2 channels in and 3 out"] = function() nn.conv_transpose2d(2, 3, 3, { groups = 2 }) end,
    ["nn.batch_norm: eps: expected a finite number from 0 on, got -1"] = function() nn.batch_norm(3, { eps = -1 }) end,
    ["nn.softmax: dim: expected a dimension from 1 on"] = function() nn.softmax(0) end,
    ["nn.max_pool2d: argument size is missing"] = function() nn.max_pool2d() end,
    ["nn.max_pool2d: stride: expected a whole number from 1 on"] = function() nn.max_pool2d(2, { stride = 0 }) end,
    ["nn.unflatten: expected sizes"] = function() nn.unflatten() end,
    ["nn.lambda: expected a function, got nil"] = function() nn.lambda() end,
    ["nn.sequential: entry 2: expected a module, got nil: a hole in the list"] = function() nn.sequential { nn.relu(), nil, nn.relu() } end,
    ["nn.sequential: entry 1: expected a module, got a class: write nn.relu()"] = function() nn.sequential { nn.relu } end,
    ["nn.sequential: entry 2: expected a module, got number"] = function() nn.sequential { nn.relu(), 3 } end,
    ["nn.sequential: entry head: expected a list of modules, by position"] = function() nn.sequential { nn.relu(), head = nn.relu() } end,
    ["nn.sequential: expected one list of modules"] = function() nn.sequential(nn.relu(), nn.relu()) end,
    ["ms.nn has no 'Linear'; did you mean ms.nn.linear?"] = function() return nn.Linear end,
    ["ms.nn has no 'ReLU'; did you mean ms.nn.relu?"] = function() return nn.ReLU end,
    ["ms.nn has no 'BatchNorm2d'; did you mean ms.nn.batch_norm2d?"] = function() return nn.BatchNorm2d end,
    ["ms.nn has no 'CrossEntropyLoss'; did you mean ms.nn.cross_entropy?"] = function() return nn.CrossEntropyLoss end,
    ["ms.nn has no 'MSELoss'; did you mean ms.nn.mse_loss?"] = function() return nn.MSELoss end,
    ["ms.nn has no 'sequental'; did you mean ms.nn.sequential?"] = function() return nn.sequental end,
    ["ms.nn.init has no 'xavier_uniform'; did you mean ms.nn.init.xavier_uniform_?"] = function() return nn.init.xavier_uniform end,
  } do
    fails(expected, make)
  end
end

function TestLayers.test_they_compute()
  local x = ms.randn { 2, 1, 4, 6 }
  lu.assertEquals(nn.upsample { 2, 3 }(x).shape, { 2, 1, 8, 18 })
  lu.assertEquals(nn.flatten { start = 3 }(x).shape, { 2, 1, 24 })
  lu.assertEquals(nn.flatten(1, 2)(x).shape, { 2, 4, 6 })
  lu.assertEquals(nn.unflatten(2, 12)(nn.flatten()(x)).shape, { 2, 2, 12 })
  lu.assertEquals(nn.max_pool2d({ 2, 3 }, { stride = { 1, 3 } })(x).shape, { 2, 1, 3, 2 })
  lu.assertEquals(nn.embedding(5, 3)(ms.tensor({ { 1, 2 }, { 5, 1 } }, { dtype = "i64" })).shape, { 2, 2, 3 })
  lu.assertEquals(nn.leaky_relu { negative_slope = 0.5 }(ms.tensor { -2, 3 }):totable(), { -1, 3 })
  lu.assertEquals(nn.conv_transpose2d { 1, 2, 2, stride = 2, bias = false }(x).shape, { 2, 2, 8, 12 })
end

function TestLayers.test_print_shows_options_and_sizes()
  lu.assertEquals(tostring(nn.sequential { nn.linear(3, 2), nn.dropout { p = 0.1 }, nn.batch_norm(2, { momentum = 0.5 }) }), table.concat({
    "sequential                                                        12",
    "  1: linear(3, 2)                   weight 2 x 3, bias 2           8",
    "  2: dropout(0.1)",
    "  3: batch_norm(2, momentum = 0.5)  weight 2, bias 2               4",
    "12 parameters, 72 bytes" }, "\n"))
end

-- ---- fields set by hand -------------------------------------------------------------------------------------------------------

TestFieldsSet = {}

function TestFieldsSet.test_are_checked_and_used()
  local drop = nn.dropout(0.5)
  drop.p = 0
  lu.assertEquals(drop(ms.ones { 3 }):totable(), { 1, 1, 1 })
  fails("nn.dropout: p: expected 0 <= p <= 1, got 2", function() drop.p = 2 end)
  local bn = nn.batch_norm(1)
  local share = "nn.batch_norm: momentum: expected a finite number from 0 on, or false for the mean of all batches, got "
  fails(share .. "-1", function() bn.momentum = -1 end)
  fails(share .. "nil", function() bn.momentum = nil end)
  bn.momentum = 1
  bn(ms.tensor { { 2 }, { 4 } })
  lu.assertEquals(bn.running_mean:item(), 3)
  fails("batch_norm.training: expected true or false, got off", function() bn.training = "off" end)
  fails("batch_norm:train: expected true or false, got 1", bn.train, bn, 1)
  bn.training = false
  bn(ms.tensor { { 20 }, { 40 } })
  lu.assertEquals(bn.running_mean:item(), 3)
end

-- ---- first values -------------------------------------------------------------------------------------------------------------

TestInit = {}

function TestInit.test_by_position_and_name()
  local w = ms.zeros { 4, 3 }
  lu.assertTrue(nn.init.constant_(w, 2) == w)
  lu.assertEquals(w:sum():item(), 24)
  nn.init.uniform_(w, { low = 5, high = 6 })
  lu.assertTrue(w:ge(5):all():item() and w:le(6):all():item())
  nn.init.normal_(w, { std = 0 })
  lu.assertEquals(w:abs():sum():item(), 0)
  nn.init.kaiming_uniform_(w, 0)
  lu.assertTrue(w:abs():le(math.sqrt(2)):all():item())
  fails("nn.init.kaiming_uniform_: mode: expected 'fan_in' or 'fan_out', got 'fanout'", nn.init.kaiming_uniform_, w, 0, "fanout")
  fails("nn.init.normal_: std: expected a finite number from 0 on, got -1", nn.init.normal_, w, 0, -1)
  fails("nn.init.zeros_: expected a floating tensor, got nil", nn.init.zeros_)
  fails("nn.init.zeros_: expected a floating tensor, got 2 i64", nn.init.zeros_, ms.zeros({ 2 }, { dtype = "i64" }))
  fails("a weight of two dimensions or more", nn.init.xavier_uniform_, ms.zeros { 3 })
end

-- ---- what recorded steps see ----------------------------------------------------------------------------------------------------------

TestCompiledModules = {}

-- The same calls eagerly and compiled; change(module, call) runs before each.
local function side_by_side(make, change, dtype)
  ms.seed(1)
  local a, b = make(), make()
  b:load_state_dict(a:state_dict())
  local function f(m)
    return function(x)
      for _, p in ipairs(m:parameters()) do p.grad = nil end
      local y = m(x)
      y:square():mean():backward()
      return y
    end
  end
  local eager, step = f(a), ms.compile(f(b))
  for call = 1, 14 do
    change(a, call)
    change(b, call)
    local x = ms.randn { 4, 3 }:to(call >= 9 and dtype or "f32")
    local want, got = eager(x), step(x)
    lu.assertEquals(got.dtype, want.dtype)
    lu.assertTrue((got - want):abs():le(1e-5):all():item(), "call " .. call)
    for i, p in ipairs(a:parameters()) do
      local q = b:parameters()[i]
      lu.assertEquals(q.grad == nil, p.grad == nil, "call " .. call)
      if p.grad then lu.assertTrue((p.grad - q.grad):abs():le(1e-5):all():item(), ("call %d, gradient %d"):format(call, i)) end
    end
  end
end

local function stack() return nn.sequential { nn.linear(3, 4), nn.batch_norm(4), nn.leaky_relu(0.1), nn.dropout(0), nn.linear(4, 2) } end

function TestCompiledModules.test_fields_by_hand()
  side_by_side(stack, function(m, call)
    if call == 5 then m[3].negative_slope = 0.5 end
    if call == 7 then m[2].momentum = 0.9 end
    if call == 9 then m[2].training = false end
    if call == 11 then m[3].negative_slope = 0.1 end
    if call == 13 then m[2].training = true end
  end)
end

function TestCompiledModules.test_parameters_assigned_anew_and_loaded()
  local states = {}
  side_by_side(stack, function(m, call)
    if call == 4 then
      states[m] = {}
      for k, t in pairs(m:state_dict()) do states[m][k] = t:clone() end
    end
    if call == 6 then m[1].weight = nn.parameter(ms.ones { 4, 3 }) end
    if call == 8 then m[5].bias = nil end
    if call == 10 then m[5].bias = nn.parameter(ms.ones { 2 }) end
    if call == 12 then m:load_state_dict(states[m]) end
  end)
end

function TestCompiledModules.test_modules_replaced_and_converted()
  side_by_side(stack, function(m, call)
    if call == 5 then m[3] = nn.tanh() end
    if call == 9 then m:to "f64" end
  end, "f64")
end
