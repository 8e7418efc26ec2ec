-- How values print: tensors, objects of the library, tables, functions, and objects whose own metamethods do their worst.
-- gcstress: every 500
-- luacheck: globals TestInspect
local lu = require "luaunit"
local ms = require "mascon"
local inspect = require "mascon.inspect"
local checks = require "checks"
local nn, optim, data = ms.nn, ms.optim, ms.data
local text = inspect.text

TestInspect = {}

local function shows(v, want) lu.assertEquals(text(v), want) end

function TestInspect.tearDown() ms.print_options { threshold = 1000, edgeitems = 3, precision = 4, linewidth = 80 } end

function TestInspect.test_plain_values()
  shows(3, "3")
  shows(0.5, "0.5")
  shows(-(0 / 0), "nan")
  shows("a\tb\"", [["a\tb\""]])
  shows("two\nlines", "two\nlines")
  shows("colour \27[31m\nred", "colour \\27[31m\nred")
  shows(nil, "nil")
  shows(print, "function print (Lua's own)")
  shows(string.format, "function string.format (Lua's own)")
  lu.assertEquals(inspect.results(1, "a", nil), "1\t\"a\"\tnil")
  lu.assertEquals(inspect.results(1, ms.ones { 1 }), "1\ntensor 1 f32\n[1.]")
end

function TestInspect.test_tables_to_three_levels()
  shows({}, "{}")
  shows({ 1, 2, x = "y" }, '{1, 2, x = "y"}')
  shows({ 1, { 2, { 3, { 4 } } } }, "{1, {2, {3, {...}}}}")
  shows({ a = { b = { c = 1, d = {} } } }, "{a = {b = {c = 1, d = {}}}}")
  shows({ ["two words"] = 1, [true] = 2, [2.5] = 3 }, '{[2.5] = 3, ["two words"] = 1, [true] = 2}')
  local t = { 1 }
  t[2] = t
  shows(t, "{1, {(itself)}}")
  local list = {}
  for i = 1, 500 do list[i] = i end
  lu.assertStrContains(text(list), "... 440 more")
  lu.assertStrContains(text { list }, "... 488 more")
  local many = {}
  for i = 1, 100000 do many["k" .. i] = i end
  lu.assertStrContains(text(many), "... more than 19940 more")
  shows({ ms.ones { 2, 3 }, ms.tensor(1.5) }, "{tensor 2 x 3 f32, tensor scalar f32 1.5000}")
  shows({ f = print }, "{f = function print}")
  lu.assertTrue(select(2, text(_G):gsub("\n", "\n")) < 150)
  shows({ nn.linear(2, 3) }, "{linear(2, 3): 9 parameters, 36 bytes}")
  shows({ nn.sequential { nn.relu() } }, "{sequential: 0 parameters}")
end

function TestInspect.test_functions_by_their_signature()
  local function f(a, b, ...) return a, b, ... end
  lu.assertStrMatches(text(f), "function%(a, b, %.%.%.%)  .*test_inspect.lua:%d+")
  rawset(_G, "named_function", f)
  lu.assertStrMatches(text(f), "function named_function%(a, b, %.%.%.%)  .*test_inspect.lua:%d+")
  rawset(_G, "_1", f) -- what the prompt keeps is no name
  lu.assertStrMatches(text(f), "function named_function%(a, b, %.%.%.%)  .*test_inspect.lua:%d+")
  rawset(_G, "_1", nil)
  rawset(_G, "named_function", nil)
  shows(ms.softmax, "function ms.softmax(x [, dim = -1])")
  shows(nn.relu, "nn.relu() -> module")
  shows(nn.class "Net", "class Net of modules")
  shows(nn, "ms.nn, layers and modules  (?nn lists it)")
end

function TestInspect.test_objects_of_the_library()
  local net = nn.sequential { nn.linear(4, 8), nn.linear(8, 2) }
  local o = optim.adam(net:parameters())
  shows(o, "adam: lr 0.001, 4 parameters, step 0")
  net(ms.ones { 1, 4 }):sum():backward()
  o:step()
  o.lr, o.betas = 0.1, { 0.5, 0.9 }
  shows(o, "adam: lr 0.1, betas { 0.5, 0.9 }, 4 parameters, step 1")
  lu.assertEquals(tostring(o), text(o))
  shows(optim.sgd({ { params = { net[1].weight }, lr = 0.5 }, { params = { net[2].weight } } }, { lr = 0.1 }),
    "sgd: 2 groups, 2 parameters, step 0\n  1: lr 0.5, 1 parameter\n  2: lr 0.1, 1 parameter")
  shows(optim.lr_scheduler.step_lr(o, 3), "lr_scheduler.step_lr(3, 0.1) after 0 steps, lr 0.1")
  local ds = data.tensors { ms.rand { 10, 4 }, ms.randint(1, 2, { 10 }), classes = { "a", "b" } }
  shows(ds, "data set: 10 samples of 4 f32, 2 classes")
  shows(ds:loader { batch = 4, shuffle = true }, "loader: 3 batches of 4, shuffled")
  shows(ms.meter.mean():add(3):add(5), "mean: 4 (of 2)")
  shows(ms.meter.mean(), "mean: nan (of 0)")
  shows(ms.meter.accuracy(), "accuracy: nan (of 0)")
  shows(ms.compile(function(x) return x end), "compiled step: not called yet")
  lu.assertStrContains(text(ms.scope()), "scope")
  shows((ms.progress(10, { label = "epoch 1", shown = false })), "progress: epoch 1 0 of 10")
  shows(net:register_forward_hook(print), "handle of a after hook of sequential")
  lu.assertEquals(tostring(ms.zeros { 2, 3 }.shape), "{2, 3}")
end

function TestInspect.test_an_optimizer_inside_a_compiled_step()
  local p = nn.parameter(ms.ones { 2 })
  local o, said = optim.sgd({ p }, { lr = 0.1 }), nil
  local step = ms.compile(function(x)
    local loss = (p * x):sum()
    o:zero_grad() loss:backward() o:step()
    said = tostring(o)
    return loss
  end)
  step(ms.ones { 2 })
  lu.assertStrContains(said, "sgd: lr 0.1, 1 parameter")
end

-- ---- tensors -------------------------------------------------------------------------------------------------------------------------

function TestInspect.test_tensors_whole_up_to_the_threshold()
  shows(ms.arange(1, 12), "tensor 12 f32\n[ 1.,  2.,  3.,  4.,  5.,  6.,  7.,  8.,  9., 10., 11., 12.]")
  shows(ms.arange(1, 6):reshape { 2, 3 }, "tensor 2 x 3 f32\n[[1., 2., 3.],\n [4., 5., 6.]]")
  shows(ms.tensor(0.25), "tensor scalar f32\n0.2500")
  local whole = text(ms.arange(1, 1000))
  lu.assertNotStrContains(whole, "...")
  lu.assertStrContains(whole, " 500.")
  for line in whole:gmatch "[^\n]+" do lu.assertTrue(#line <= 80) end
  shows(ms.arange(1, 1001), "tensor 1001 f32\n[   1.,    2.,    3., ...,  999., 1000., 1001.]")
  shows(ms.eye(40, { dtype = "i64" }):reshape { 40, 40 },
    "tensor 40 x 40 i64\n[[1, 0, 0, ..., 0, 0, 0],\n [0, 1, 0, ..., 0, 0, 0],\n [0, 0, 1, ..., 0, 0, 0],\n ...,\n"
    .. " [0, 0, 0, ..., 1, 0, 0],\n [0, 0, 0, ..., 0, 1, 0],\n [0, 0, 0, ..., 0, 0, 1]]")
  shows(ms.zeros { 0, 3 }, "tensor 0 x 3 f32, empty")
end

function TestInspect.test_print_options()
  lu.assertEquals(ms.print_options(), { threshold = 1000, edgeitems = 3, precision = 4, linewidth = 80 })
  ms.print_options { threshold = 5, edgeitems = 1, precision = 2 }
  shows(ms.linspace(0, 1, 6) + 0.25, "tensor 6 f32\n[0.25, ..., 1.25]")
  shows(ms.linspace(0, 1, 5), "tensor 5 f32\n[0.00, 0.25, 0.50, 0.75, 1.00]")
  ms.print_options { threshold = math.huge, linewidth = 20 }
  shows(ms.arange(1, 8), "tensor 8 f32\n[1., 2., 3., 4., 5.,\n 6., 7., 8.]")
  for given, words in pairs { [{ precision = -1 }] = "precision: expected a whole number from 0 to 17, got -1",
    [{ edge_items = 2 }] = "did you mean edgeitems?", [{ linewidth = 3 }] = "linewidth: expected a whole number from 20 on",
    [{ threshold = 0.5 }] = "threshold: expected a whole number", [{ edgeitems = math.huge }] = "edgeitems" } do
    lu.assertStrContains(checks.failure(function() ms.print_options(given) end), words)
  end
  lu.assertEquals(ms.print_options().linewidth, 20) -- nothing changes with an error
end

-- ---- the worst -----------------------------------------------------------------------------------------------------------------------

local function object(meta) return setmetatable({}, meta) end

function TestInspect.test_what_a_tostring_may_do()
  shows(object { __tostring = function() return "mine" end }, "mine")
  lu.assertStrContains(text(object { __tostring = function() error "no" end }), "its __tostring failed: ")
  lu.assertStrContains(text(object { __tostring = function() error {} end }), "its __tostring failed: ")
  lu.assertStrContains(text(object { __tostring = function() end }), "its __tostring gave a nil")
  lu.assertStrContains(text(object { __tostring = function() return {} end }), "its __tostring gave a table")
  lu.assertStrContains(text(object { __tostring = 3 }), "failed")
  lu.assertStrContains(text(object { __tostring = function() coroutine.yield() end }), "it yields")
  lu.assertStrContains(text(object { __tostring = function(v) return tostring(v) end }), "failed")
  local long = text(object { __tostring = function() return ("x"):rep(1e6) end })
  lu.assertTrue(#long < 30000)
  lu.assertStrContains(long, "bytes more")
  shows(object { __tostring = function() return "a\27[2J\0b" end }, "a\\27[2J\\0b")
  lu.assertStrMatches(text(object { __name = "Point" }), "Point: 0x%x+")
  lu.assertStrMatches(text(object { __name = "\27[2J" }), "\\27%[2J: 0x%x+")
  lu.assertStrMatches(text(object { __name = {} }), "{}")
  lu.assertStrContains(text(object { __tostring = function() return "x" end, __metatable = false }), "x")
  lu.assertStrContains(text(object { __name = "mascon.run" }), "mascon.run: 0x") -- another's, of that name
end

function TestInspect.test_many_endless_ones_share_the_time_of_one()
  local before, n, list = inspect.STEPS, 0, {}
  local back <close> = setmetatable({}, { __close = function() inspect.STEPS = before end }) -- luacheck: ignore back
  inspect.STEPS = 1e6
  for i = 1, 30 do
    list[i] = object { __tostring = function()
      while true do n = n + 1 end
    end }
  end
  lu.assertEquals(select(2, text(list):gsub("it does not end", "")), 30)
  lu.assertTrue(n > 0 and n < 3e6, n)
end

function TestInspect.test_an_endless_tostring_is_stopped()
  local before = inspect.STEPS
  local back <close> = setmetatable({}, { __close = function() inspect.STEPS = before end }) -- luacheck: ignore back
  inspect.STEPS = 1e5
  for _, f in ipairs { function() while true do end end,
    function() while true do pcall(function() while true do end end) end end,
    function() local co = coroutine.wrap(function() error "x" end) while true do pcall(co) end end } do
    lu.assertStrContains(text(object { __tostring = f }), "it does not end")
  end
end

function TestInspect.test_tables_are_read_raw()
  local function run() error "it ran" end
  local t = setmetatable({ 1, a = 2 }, { __index = run, __len = run, __pairs = run, __call = run, __eq = run, __lt = run })
  shows(t, "{1, a = 2}")
  local key = setmetatable({}, { __tostring = function() error "key" end })
  lu.assertStrContains(text { [key] = 1, [setmetatable({}, { __lt = run, __eq = run })] = 2 }, "failed")
end
