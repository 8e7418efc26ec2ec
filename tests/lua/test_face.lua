-- What the Lua face takes, and that it drops nothing in silence: lists with named keys, options, shapes as values, names with hints.
-- gcstress: every 10
local ms = require "mascon"
local lu = require "luaunit"
local fails = require("checks").fails
local names = require "mascon.names"

TestLists = {}

function TestLists.test_named_keys_in_a_list_are_options()
  lu.assertEquals(ms.zeros({ 2, 3, dtype = "i64" }).dtype, "i64")
  lu.assertTrue(ms.ones({ 2, requires_grad = true }).requires_grad)
  lu.assertEquals(ms.tensor({ 1, 2, dtype = "f64" }).dtype, "f64")
  lu.assertEquals(ms.randn({ 2, 3, dtype = "f64", requires_grad = true }).requires_grad, true)
  lu.assertEquals(ms.rand({ 3, low = 5, high = 6 }):ge(5):all():item(), true)
  lu.assertEquals(ms.ones({ 2, 3 }):sum({ 1, keepdim = true }).shape, { 1, 3 })
  lu.assertEquals(ms.ones({ 2, 3 }):mean({ 1, 2, keepdim = true }).shape, { 1, 1 })
  lu.assertAlmostEquals(ms.tensor({ 1, 2, 4 }):std({ 1, correction = 0 }):item(), math.sqrt(14 / 9), 1e-6)
  local x = ms.ones { 2, 3 }
  lu.assertEquals(ms.cat({ x, x, dim = 2 }).shape, { 2, 6 })
  lu.assertEquals(ms.stack({ x, x, x, dim = -1 }).shape, { 2, 3, 3 })
  lu.assertEquals(ms.zeros({ dtype = "f64" }).shape, {}) -- no sizes
  lu.assertEquals(x:zeros_like({ dtype = "i32" }).dtype, "i32")
end

function TestLists.test_what_is_not_understood_raises()
  local x = ms.ones { 2, 3 }
  fails("zeros: unknown option 'dtyp'; did you mean dtype?", ms.zeros, { 2, dtyp = "i64" })
  fails("sum: unknown option 'keep_dim'; did you mean keepdim?", x.sum, x, { 1, keep_dim = true })
  fails("unknown option 'foo'; expected dims, dtype, keepdim", x.sum, x, { 1, foo = true })
  fails("relu: unknown option 'foo'", x.relu, x, { foo = 1 })
  fails("cat: unknown option 'dims'", ms.cat, { x, x, dims = 2 })
  fails("given twice", x.sum, x, 1, { dims = 2 })
  fails("given twice", ms.zeros, { 2, dtype = "i64" }, { dtype = "f32" })
  fails("options come last", ms.randn, { 2, dtype = "f64" }, 0, 1)
  fails("a row with named keys", ms.tensor, { { 1, 2, dtype = "f64" }, { 3, 4 } })
  fails("a hole", ms.tensor, { 1, nil, 3 })
  fails("a hole", x.sum, x, { [2] = 1 })
  fails("expected true or false, got string", ms.zeros, { 2, requires_grad = "no" })
  fails("option requires_grad: expected true or false, got number", ms.zeros, { 2 }, { requires_grad = 1 })
  fails("got one with holes or names", function() return x[{ 1, dim = 2 }] end)
  fails("got one with holes or names", function() x[{ 1, nil, 2 }] = 3 end)
  fails("expected a position, {}", function() return x[{ { first = 1, last = 2 } }] end)
  fails("grad: expected a table of options, got number", ms.grad, x:sum(), x, 5)
  fails("a list with names or holes", ms.grad, x:sum(), { x, y = x })
  fails("zeros: expected one list and options by name", ms.zeros, { 2 }, { "f64" })
  fails("expected options by name, got a list with them", x.softmax, x, { 1, dim = 1 })
end

function TestLists.test_an_empty_table_is_no_options()
  local x = ms.ones { 1, 1, 3, 3 }
  lu.assertEquals(ms.randn({ 2 }, {}).shape, { 2 })
  lu.assertEquals(x:relu({}).shape, x.shape)
  lu.assertEquals(ms.conv2d(x, ms.ones { 1, 1, 3, 3 }, nil, {}).shape, { 1, 1, 1, 1 })
  lu.assertEquals(x:softmax(2, {}).shape, x.shape)
end

function TestLists.test_arguments_too_many_raise()
  local x = ms.ones { 1 }
  for _, name in ipairs { "item", "totable", "detach", "numel", "dim", "is_contiguous", "nonzero", "zero_", "float", "contiguous" } do
    fails("too many arguments", x[name], x, 1)
  end
  fails("too many arguments", x.to, x, "f64", "cpu")
  fails("split: expected no more arguments", x.split, x, 1, 1, 1)
  fails("expected one list and options by name", ms.tensor, { 1 }, {}, 3)
  for name, most in pairs { seed = 1, rng_state = 2, threads = 1, deterministic = 1, flush_denormal = 1, precision = 1, scope = 0,
    compile = 1, save = 3, load = 2, memory = 1 } do
    fails(name .. ": too many arguments", ms[name], table.unpack({ 1, 2, 3, 4, 5 }, 1, most + 1))
  end
  fails("image.load: too many arguments", ms.image.load, "x.png", {}, 1)
  fails("subset: expected no more arguments", function() return ms.data.tensors { ms.ones { 9 } }:subset(1, 2, 3) end)
  for _, name in ipairs { "save", "load", "resume" } do
    fails("checkpoint." .. name .. ": expected no more arguments", ms.checkpoint[name], "x", {}, {})
  end
  fails("memory: expected nothing, 'reset', 'release' or the name of an open device, got 'resett'", ms.memory, "resett")
  fails("boolean expected", ms.check_numerics, 1)
  fails("requires_grad_: expected true or false, got number", x.requires_grad_, x, 1)
  fails("requires_grad: expected true or false, got number", function() x.requires_grad = 1 end)
end

function TestLists.test_a_layer_takes_one_tensor()
  local x = ms.ones { 4, 3 }
  fails("linear: expected one tensor, got 2 arguments", ms.nn.linear(3, 2), x, x)
  fails("sequential: expected one tensor, got 2 arguments", ms.nn.sequential { ms.nn.linear(3, 2), ms.nn.relu() }, x, x)
  fails("expected one tensor, got 3 arguments", ms.nn.dropout(0.5), x, nil, nil)
  lu.assertEquals(ms.nn.lambda(function(a, b) return a + b end)(x, x):sum():item(), 24)
end

TestShape = {}

function TestShape.test_a_shape_is_a_value()
  local x = ms.zeros { 2, 3 }
  lu.assertEquals(tostring(x.shape), "{2, 3}")
  lu.assertEquals(tostring(ms.zeros({}).shape), "{}")
  lu.assertEquals("shape " .. x.shape .. "!", "shape {2, 3}!")
  lu.assertTrue(x.shape == x.shape)
  lu.assertTrue(x.shape == ms.ones({ 2, 3 }).shape)
  lu.assertTrue(x.shape == { 2, 3 })
  lu.assertTrue({ 2, 3 } == x.shape)
  lu.assertEquals(ms.tensor(x.shape):totable(), { 2, 3 })
  lu.assertEquals(ms.tensor({ x.shape, { 4, 5 }, dtype = "i64" }):totable(), { { 2, 3 }, { 4, 5 } })
  local y = ms.arange(1, 12):view { 3, 4 }
  lu.assertEquals(y[x.shape]:item(), 7) -- the element at 2, 3
  y[x.shape] = 0
  lu.assertEquals(y:totable(), { { 1, 2, 3, 4 }, { 5, 6, 0, 8 }, { 9, 10, 11, 12 } })
  lu.assertFalse(x.shape == { 3, 2 })
  lu.assertFalse(x.shape == { 2, 3, 1 })
  lu.assertFalse(x.shape == { 2, 3, n = 2 })
  lu.assertEquals({ #x.shape, x.shape[1], x.shape[2], x.shape[-1], x.shape[-2] }, { 2, 2, 3, 3, 2 })
  lu.assertNil(x.shape[3])
  lu.assertEquals({ table.unpack(x.shape) }, { 2, 3 })
  lu.assertEquals(table.concat(x.shape, " x "), "2 x 3")
  local seen = {}
  for i, n in ipairs(x.shape) do seen[#seen + 1] = i * 10 + n end
  for i, n in pairs(x.shape) do seen[#seen + 1] = i * 10 + n end
  lu.assertEquals(seen, { 12, 23, 12, 23 })
end

function TestShape.test_a_shape_goes_where_sizes_go()
  local x = ms.zeros { 2, 3 }
  lu.assertEquals(ms.randn(x.shape).shape, x.shape)
  lu.assertEquals(ms.zeros(x.shape, { dtype = "i64" }).dtype, "i64")
  lu.assertEquals(ms.ones({ 6 }):reshape(x.shape).shape, { 2, 3 })
  lu.assertEquals(ms.ones({ 3 }):expand(x.shape).shape, { 2, 3 })
end

function TestShape.test_a_shape_cannot_be_changed()
  local x = ms.zeros { 2, 3 }
  fails("a shape cannot be changed", function() x.shape[1] = 4 end)
  fails("a shape cannot be changed", table.insert, x.shape, 5)
  fails("a shape cannot be changed", table.remove, x.shape)
  fails("'shape' cannot be assigned", function() x.shape = { 6 } end)
  fails("a shape has no field 'rows'", function() return x.shape.rows end)
  local own = x:size() -- a list of one's own
  own[1] = 7
  lu.assertEquals(x.shape, { 2, 3 })
end

TestNames = {}

function TestNames.test_a_name_that_is_not_there_raises_with_a_hint()
  local x = ms.zeros { 2 }
  fails("ms has no 'matmull'; did you mean ms.matmul?", function() return ms.matmull end)
  fails("ms has no 'manual_seed'; did you mean ms.seed?", function() return ms.manual_seed end)
  fails("ms has no 'swish'; did you mean ms.silu?", function() return ms.swish end)
  fails("ms has no 'Tensor'; did you mean ms.tensor?", function() return ms.Tensor end)
  fails("did you mean ms.nn.sequential?", function() return ms.sequential end)
  fails("did you mean ms.ml.pca?", function() return ms.PCA end)
  fails("ms has no entry [1]", function() return ms[1] end)
  fails("ms.ml has no 'KNeighborsClassifier'; did you mean ms.ml.knn?", function() return ms.ml.KNeighborsClassifier end)
  fails("ms.plot has no 'scater'; did you mean ms.plot.scatter?", function() return ms.plot.scater end)
  fails("ms.data has no 'gather'; did you mean ds:map(fn)?", function() return ms.data.gather end)
  fails("ms.image has no 'imread'; did you mean ms.image.load?", function() return ms.image.imread end)
  fails("did you mean x:totable?", function() return x:tolist() end)
  fails("did you mean x:totable?", function() return x:toTable() end)
  fails("did you mean x:to(\"cuda\")?", function() return x:cuda() end)
  fails("did you mean x:transpose?", function() return x:t_() end)
  fails("did you mean reshape?", function() return x:reshap { 2 } end)
  local _, message = pcall(function() return ms.zzzzzzzzzz end)
  lu.assertStrContains(message, "ms has no 'zzzzzzzzzz'")
  lu.assertNotStrContains(message, "did you mean")
end

-- Every entry of the phrasebook that is a plain name leads to something that is there.
function TestNames.test_the_phrasebook_leads_somewhere()
  local tables = { ms = ms, ["ms.data"] = ms.data, ["ms.ml"] = ms.ml, ["ms.plot"] = ms.plot, ["ms.image"] = ms.image,
    ["ms.optim"] = ms.optim, ["ms.nn"] = ms.nn, ["ms.nn.init"] = ms.nn.init, ["ms.checkpoint"] = ms.checkpoint,
    ["ms.transforms"] = ms.transforms, ["ms.json"] = ms.json, ["ms.meter"] = ms.meter, tensor = ms.zeros { 1 } }
  for where, phrases in pairs(names.phrases) do
    for foreign, ours in pairs(phrases) do
      if not ours:find "[.:{#(= ]" then
        local there, value = pcall(function() return tables[where][ours] end)
        lu.assertTrue(there and value ~= nil, ("%s: %s -> %s, which is not there"):format(where, foreign, ours))
      end
      local taken = pcall(function() assert(tables[where][foreign] ~= nil) end)
      lu.assertFalse(taken, ("%s: %s is a name of ours"):format(where, foreign))
    end
  end
end

function TestShape.test_a_shape_is_an_argument_and_a_result_of_a_step()
  local f = ms.compile(function(x, s) return x:reshape(s):sum(1), x.shape end)
  for i = 1, 6 do
    local y, shape = f(ms.ones { 4, 3 } * i, ms.zeros({ 3, 4 }).shape)
    lu.assertEquals(y:totable(), { 3.0 * i, 3.0 * i, 3.0 * i, 3.0 * i })
    lu.assertEquals(shape, { 4, 3 })
  end
  lu.assertEquals(f(ms.ones { 4, 3 }, ms.zeros({ 2, 6 }).shape).shape, { 6 }) -- other sizes, another recording
end
