-- What Tab offers: names behind anything whose kind is known, option keys, files; nothing of the user's runs.
-- gcstress: every 1000
-- luacheck: globals TestComplete
local lu = require "luaunit"
local ms = require "mascon"
local complete = require "mascon.complete"
local nn, optim, ml, data = ms.nn, ms.optim, ms.ml, ms.data

TestComplete = {}

local names = {} -- the globals of a test
local function globals(t)
  for k, v in pairs(t) do
    rawset(_G, k, v)
    names[#names + 1] = k
  end
end
function TestComplete.tearDown()
  for _, k in ipairs(names) do rawset(_G, k, nil) end
  names = {}
end

local function offered(line)
  local list, typed = complete.line(line)
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set, list, typed
end

-- has("net:", "train", "!weight"): train is offered, weight is not.
local function has(line, ...)
  local set = offered(line)
  for _, name in ipairs { ... } do
    local absent = name:match "^!(.*)$"
    lu.assertEquals(set[absent or name] == nil, absent ~= nil, line .. " " .. name)
  end
end

local function model()
  local Net = nn.class "Net"
  function Net:init() self.fc = nn.linear(2, 2) end
  function Net:forward(x) return self.fc(x) end
  function Net:codes(x) return self.fc(x) end
  local net = Net()
  globals { net = net, Net = Net, nn = nn, optim = optim, ml = ml, data = data, ms = ms, opt = optim.adam(net:parameters()),
    x = ms.zeros { 2 }, layers = nn.sequential { nn.linear(1, 1), nn.relu() }, s = "text", L = { { apple = 1 }, ms.zeros { 1 } } }
  return net
end

function TestComplete.test_globals_and_keywords()
  model()
  has("ne", "net", "next", "!opt")
  has("print(op", "opt", "optim")
  has("for i = 1, 3 do whi", "while")
  has("local a = b and no", "not")
  local _, _, typed = offered "x = ne"
  lu.assertEquals(typed, 2)
  has("", "!_G")
  has("_", "_G")
end

function TestComplete.test_fields_and_methods_of_all_kinds()
  model()
  has("net.", "fc", "parameters", "codes", "!cuda", "!_names")
  has("net:", "codes", "train", "!fc", "!cuda")
  has("net.fc.", "weight", "bias")
  has("layers[1].", "weight")
  has("layers[-1]:", "eval")
  has("layers:", "append", "parameters")
  has("opt.", "lr", "betas", "step", "!sets")
  has("opt:", "zero_grad", "!lr")
  has("x:", "softmax", "relu_", "item", "!shape")
  has("x.", "shape", "dtype", "softmax")
  has("x.grad:", "sum")
  has("x[1]:", "item")
  has("L[1].", "apple")
  has("L[2]:", "sum")
  has("s:", "upper")
  has("('a'):", "rep")
  has("io.", "open")
  has("io.stdout:", "write")
  has("nn.", "linear", "conv2d", "mse", "init")
  has("ms.", "softmax", "nn", "plot", "fit", "compile", "help", "!csv_lines", "!term")
  has("ms.plot.", "lines")
  has("nn.init.", "zeros_")
  has("optim.lr_scheduler.", "step_lr")
  has("Net.", "forward", "!cuda")
end

function TestComplete.test_objects_of_the_library()
  local ds = data.tensors { ms.rand { 4, 2 }, ms.randint(1, 2, { 4 }) }
  globals { ds = ds, loader = ds:loader {}, forest = ml.random_forest(), mean = ms.meter.mean(), data = data, ml = ml, ms = ms }
  has("ds:", "loader", "split", "!new")
  has("loader:", "iter", "state_dict")
  has("forest:", "fit", "predict", "depth", "!transform")
  has("mean:", "add", "value")
  has("ds:loader { batch = 2 }:", "cycle")
  has("ds:loader{", "batch = ", "shuffle = ")
  has("ms.meter.mean():", "value")
  has("ml.normal():", "ppf")
end

function TestComplete.test_results_whose_kind_is_known()
  model()
  has("ms.randn{2}:", "softmax")
  has("ms.randn({2}):exp():su", "sum", "!exp")
  has("nn.linear(1, 2).", "parameters")
  has("nn.linear(1, 2):to 'f64':", "parameters")
  has("optim.adam(net:parameters()):", "step")
  has("optim.lr_scheduler.step_lr(opt, 1):", "get_last_lr")
  has("net:parameters()[1].", "shape", "grad", "!train")
  has("net:children()[1]:", "train")
  has("Net():", "codes", "train")
  has("net(x):", "sum")
  has("(x):", "sum")
  has("local y = (net(x) - x):", "!sum") -- what a sum of two is, is not known
  lu.assertEquals((complete.line "nosuch."), {})
  lu.assertEquals((complete.line "nosuch().a:"), {})
  lu.assertEquals((complete.line "1."), {})
  lu.assertEquals((complete.line "-- net."), {})
end

function TestComplete.test_option_keys()
  model()
  has("optim.adam(net:parameters(), { ", "lr = ", "betas = ")
  has("optim.adam(net:parameters(), { lr = 1, ", "!lr = ", "betas = ")
  has("nn.conv2d(1, 8, 3, { pad", "padding = ", "padding_mode = ", "!stride = ")
  has("ms.softmax(x, { ", "dim = ")
  has("x:sum({ keep", "keepdim = ")
  has("ms.zeros({ 2 }, { dt", "dtype = ")
  has("ms.zeros { 2, ", "dtype = ")
  has("ml.knn { ", "k = ")
  has("optim.adam(net:parameters(), { lr = ne", "net", "!lr = ")
  has("print({ ", "net", "!lr = ")
end

function TestComplete.test_files_inside_texts()
  local folder = os.tmpname()
  os.remove(folder)
  local system = require "mascon.system"
  system.mkdir(folder)
  system.mkdir(folder .. "/deep")
  for _, name in ipairs { "data1.csv", "data2.csv", ".hidden" } do io.open(folder .. "/" .. name, "w"):close() end
  has("ms.load('" .. folder .. "/da", "data1.csv", "data2.csv", "!deep/")
  has("ms.load(\"" .. folder .. "/", "deep/", "!.hidden")
  has("x = [[" .. folder .. "/.", ".hidden")
  lu.assertEquals((complete.line("load('" .. folder .. "/none/")), {})
  os.execute("rm -r '" .. folder .. "'")
end

function TestComplete.test_nothing_of_the_users_runs()
  local ran = 0
  local function run() ran = ran + 1 error "it ran" end
  local hostile = setmetatable({ inner = setmetatable({}, { __index = run, __len = run, __pairs = run, __call = run, __tostring = run }) },
    { __index = run, __len = run, __pairs = run, __call = run, __tostring = run, __name = {}, __metatable = false, __eq = run })
  globals { hostile = hostile, deep = setmetatable({}, { __index = setmetatable({ found = 1 }, { __index = run }) }), fn = run,
    loop = setmetatable({}, {}) }
  getmetatable(loop).__index = loop -- luacheck: globals loop
  for _, line in ipairs { "hostile.", "hostile:", "hostile.inner.", "hostile[1].", "hostile().", "fn().", "fn{ ", "hostile { ",
    "hostile.x.y:", "deep.", "loop.", "fn'", "hostile.inner[hostile].",
    "deep[loop].", "ms.nn.module(hostile)." } do complete.line(line) end
  lu.assertEquals(ran, 0)
  has("deep.", "found")
end

-- Anything may be typed: halves of lines, broken brackets, bytes.
function TestComplete.test_garbage()
  model()
  local pieces = { "net", ".", ":", "(", ")", "[", "]", "{", "}", ",", "'", '"', "[[", "]]", "--", "1", "0x", "..",
    "=", " ", "ms", "x", "\\", "\0", "\255",
    "function", "end", "nn.linear", "(1,2)", "{2}", "\n", "ds", "-", "::", "#" }
  local state = 7
  for _ = 1, 3000 do
    local line = {}
    for i = 1, 1 + state % 9 do
      state = (state * 1103515245 + 12345) % 2147483648
      line[i] = pieces[(state >> 8) % #pieces + 1]
    end
    local list, typed = complete.line(table.concat(line))
    lu.assertTrue(type(list) == "table" and typed >= 0)
    for _, name in ipairs(list) do lu.assertEquals(type(name), "string") end
  end
end

function TestComplete.test_ten_thousand_globals()
  local many = {}
  for i = 1, 10000 do many["many_" .. i] = i end
  globals(many)
  local _, list = offered "many_"
  lu.assertTrue(#list <= 20)
  lu.assertEquals(list[1]:sub(1, 6), "many_1")
  has("many_123", "many_1234", "many_123")
  local _, all = offered "print("
  lu.assertTrue(#all < 200)
  local best = math.huge
  for _ = 1, 5 do
    local t = ms.time()
    complete.line "print(ma"
    best = math.min(best, ms.time() - t)
  end
  lu.assertTrue(best < 0.25, best) -- 4 ms on a quiet machine; also under sanitizers
end
