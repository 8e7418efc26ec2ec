-- ?name: every public name has a record with its signature and an example, which runs; what is alive is described first.
-- gcstress: every 500
-- luacheck: globals TestHelp
local lu = require "luaunit"
local ms = require "mascon"
local docs = require "mascon.docs"
local help = require "mascon.help"

TestHelp = {}

local nn, optim, ml, data, T = ms.nn, ms.optim, ms.ml, ms.data, ms.transforms

-- What a user can write: keys of the rooms, methods of tensors, what ms loads when it is asked.
local function public_names()
  local list = {}
  local function room(prefix, t)
    for key in next, t do
      if type(key) == "string" and not key:find "^_" then list[#list + 1] = prefix .. key end
    end
  end
  room("ms.", ms)
  room("x:", ms.methods)
  for _, name in ipairs { "nn", "nn.init", "optim", "optim.lr_scheduler", "ml", "data", "transforms", "plot", "image", "checkpoint",
    "meter", "args", "json" } do
    local t = ms
    for part in name:gmatch "%w[%w_]*" do t = t[part] end
    room(name .. ".", t)
  end
  for _, key in ipairs(debug.getmetatable(ms).__dir(ms)) do list[#list + 1] = "ms." .. key end
  return list
end

-- Parts of the library that ms gives when asked, and that are no names for users.
local INTERNAL = { csv = 1, csv_lines = 1, folder = 1, mat = 1, npz_set = 1, places = 1, scenes = 1, svhn = 1, system = 1, term = 1,
  web = 1, download = 1 }

local function known(name)
  local plain = name:gsub("^ms%.", "")
  return docs.exact(name) or docs.exact(plain) or docs.exact("ms." .. plain)
end

function TestHelp.test_every_public_name_has_a_record()
  local missing = {}
  for _, name in ipairs(public_names()) do
    if not known(name) and not INTERNAL[name:match "^ms%.([%w_]+)$" or ""] then missing[#missing + 1] = name end
  end
  table.sort(missing)
  lu.assertEquals(missing, {})
end

-- The methods of live objects, by what they are.
local function objects(folder)
  local net = nn.sequential { nn.linear(2, 2) }
  local o = optim.sgd(net:parameters(), { lr = 0.1 })
  local ds = data.tensors { ms.rand { 4, 2 }, ms.randint(1, 2, { 4 }) }
  return { m = net, list = net, dict = nn.module_dict {}, o = o, lr = optim.lr_scheduler.step_lr(o, 1), average = optim.ema(net), ds = ds,
    loader = ds:loader {}, dist = ml.normal(), graph = ml.kneighbors_graph(ms.rand { 9, 2 }), meter = ms.meter.confusion(2),
    sweep = ms.sweep { model = function() return nn.linear(2, 2) end, copies = 2, loss = nn.mse, lr = 0.1 }, bar = ms.progress(2),
    run = folder and ms.run(folder),
    stop = ms.early_stopping(), estimator = ml.gaussian_mixture(), t = T.horizontal_flip(), sampler = data.sequential_sampler(3) }
end

local function methods_of(v)
  local out, at = {}, rawget(debug.getmetatable(v), "__index")
  while type(at) == "table" do
    for key, f in next, at do
      if type(key) == "string" and type(f) == "function" and not key:find "^_" then out[#out + 1] = key end
    end
    local meta = debug.getmetatable(at)
    at = type(meta) == "table" and rawget(meta, "__index") or nil
  end
  return out
end

-- Functions inside an object that are not for users: parts of a transform, the extension points of a library's class.
local REFUSED = { add_module = 1, register_parameter = 1, cpu = 1, cuda = 1, half = 1, float = 1, double = 1 } -- they say what to write
local PARTS = { m = REFUSED, list = REFUSED, dict = REFUSED,
  t = { draw = 1, apply = 1, undo = 1 }, sampler = { draw = 1 }, meter = { fits = 1 },
  run = { write_record = 1 } }

-- A folder that goes with the block.
local function temporary()
  local path = os.tmpname()
  os.remove(path)
  require("mascon.system").mkdir(path)
  return path, setmetatable({}, { __close = function() os.execute("rm -rf '" .. path .. "'") end })
end

function TestHelp.test_every_method_of_an_object_has_a_record()
  local missing = {}
  local path, done = temporary()
  local gone <close> = done -- luacheck: ignore gone
  for class, v in pairs(objects(path)) do
    for _, word in ipairs(methods_of(v)) do
      local prefixes = (class == "list" or class == "dict") and { class, "m" } or { class }
      local found = (PARTS[class] or {})[word]
      for _, prefix in ipairs(prefixes) do found = found or docs.exact(prefix .. ":" .. word) end
      if not found then missing[#missing + 1] = class .. ":" .. word end
    end
  end
  table.sort(missing)
  lu.assertEquals(missing, {})
end

function TestHelp.test_objects_are_known_by_their_kind()
  for class, v in pairs(objects()) do
    lu.assertEquals(docs.class_of(v), (class == "list" or class == "dict") and "m" or class)
  end
  lu.assertEquals(docs.class_of(ms.ones { 1 }), "x")
  lu.assertNil(docs.class_of {})
  lu.assertNil(docs.class_of(setmetatable({}, { __name = 3 })))
end

function TestHelp.test_records_are_whole()
  local seen = {}
  for _, e in ipairs(docs.entries()) do
    lu.assertNil(seen[e.name], e.name)
    seen[e.name] = true
    lu.assertTrue(e.signature ~= "" and e.example ~= "", e.name)
    lu.assertTrue(e.text ~= "" or e.signature:find "%->" ~= nil or e.signature:find ":" ~= nil or not e.signature:find "%(", e.name)
    lu.assertTrue(utf8.len(e.signature .. e.text) ~= nil, e.name)
  end
end

-- Does the record's signature name only what there is? "nn.linear(" is nn.linear, a function or a class.
function TestHelp.test_no_record_is_of_nothing()
  for _, e in ipairs(docs.entries()) do
    local field = e.name:find "^[a-z]%." or e.name:find "^ds%."
    local path = not e.name:find ":" and e.kind ~= "module" and not field and e.name:gsub("^ms%.", "") or nil
    local v = path and ms
    for part in (path or ""):gmatch "[^%.]+" do
      local name = part
      local ok, got = pcall(function() return v[name] end)
      v = ok and got or nil
    end
    local bare = path and not path:find "%." and not docs.exact("ms." .. path) -- a kind of object: "loader"
    lu.assertTrue(path == nil or bare or v ~= nil, e.name)
  end
end

local function compiled(e, env)
  local head, last = e.example:match "^(.*\n)([^\n]*)$"
  if not head then head, last = "", e.example end
  return load(head .. "return " .. last, "=" .. e.name, "t", env) or assert(load(e.example, "=" .. e.name, "t", env))
end

function TestHelp.test_examples_run()
  local folder, done = temporary()
  local gone <close> = done -- luacheck: ignore gone
  ms.seed(1)
  for _, e in ipairs(docs.entries()) do
    local env = setmetatable({ ms = ms, nn = nn, optim = optim, ml = ml, data = data, T = T, folder = folder, print = function() end },
      { __index = _G })
    local f = compiled(e, env)
    local ok, message = true, nil
    if not e.unrun then ok, message = pcall(f) end
    lu.assertTrue(ok, ("%s: %s"):format(e.name, message))
  end
end

-- ---- asking --------------------------------------------------------------------------------------------------------------------------

local function live(values)
  return function(path)
    local v = values[path]
    return v ~= nil, v
  end
end

local function typed(line, values) return help.typed(line, live(values or {})) end

local function starts(got, with) lu.assertEquals(got:sub(1, #with), with) end

function TestHelp.test_what_is_asked_is_what_is_told()
  starts(typed "softmax", "ms.softmax(x [, dim = -1])")
  starts(typed "ms.softmax", "ms.softmax(x [, dim = -1])")
  starts(typed "nn.dropout", "nn.dropout([p = 0.5])")
  starts(typed "nn.linear", "nn.linear(inputs, outputs")
  starts(typed "adam", "optim.adam(parameters")
  starts(typed "load", "ms.load(path")
  starts(typed "x:item", "x:item()")
  starts(typed "net:train", "m:train(")
  starts(typed "random_forest", "ml.random_forest {")
  starts(typed "relu_", "ms.relu(x)")
  starts(typed "concat", "ms.cat(")
  starts(typed "nn.mse", "ms.mse_loss(")
  starts(typed "load(path)", "ms.load(path")
  starts(typed "run", "ms.run(folder")
  starts(typed "ms.fit", "ms.fit(model")
  starts(typed "run:", "run: ms.run")
  lu.assertStrContains(typed "run", "?run:")
  lu.assertStrContains(typed "dropout", "see also ?nn.dropout")
  lu.assertStrContains(typed "softmaxx", "did you mean ?softmax?")
  lu.assertStrContains(typed "1 + 1", "expected a name")
  lu.assertStrContains(typed "?learning rates", "optim.lr_scheduler")
  lu.assertStrContains(typed "?nosuchwordatall", "nothing has the words")
end

function TestHelp.test_a_room_is_an_index()
  for _, room in ipairs { "nn", "ml", "optim", "data", "transforms", "plot", "optim.lr_scheduler" } do
    local told = typed(room)
    local t = ms
    for part in room:gmatch "[^%.]+" do t = t[part] end
    for key, v in next, t do
      local e = docs.exact(room .. "." .. key)
      if e and e.name == room .. "." .. key and (type(v) == "function" or e.kind == "layer") then
        lu.assertStrContains(told, "\n  " .. key .. " ", nil, nil, room)
      end
    end
  end
end

function TestHelp.test_what_lives_is_described_first()
  local Net = nn.class "Net"
  function Net:init() self.fc = nn.linear(3, 2) end
  function Net:forward(x) return self.fc(x) end
  function Net:codes(x) return self.fc(x):relu() end
  local net = Net()
  local values = { model = net, x = ms.ones { 2 }, adam = optim.adam(net:parameters()), nn = nn, load = load, print = print,
    ["model.fc"] = net.fc, f = function(a, b, ...) return a, b, ... end, t = { 1, 2 } }
  local told = typed("model", values)
  for _, words in ipairs { "model: a module", "fc: linear(3, 2)", "8 parameters", ":codes", ":named_parameters" } do
    lu.assertStrContains(told, words)
  end
  starts(typed("x", values), "x: a tensor\ntensor 2 f32")
  lu.assertStrContains(typed("adam", values), "adam: an optimizer")
  lu.assertStrContains(typed("adam", values), "see also ?optim.adam")
  starts(typed("nn", values), "nn: ms.nn")
  starts(typed("load", values), "ms.load(path")
  starts(typed("print", values), "print: function print (Lua's own)")
  starts(typed("model.fc", values), "model.fc: a module")
  starts(typed("model:parameters", values), "m:parameters()")
  starts(typed("adam.step", values), "o:step(")
  lu.assertStrContains(typed("f", values), "function(a, b, ...)  ")
  starts(typed("t", values), "t: table  {1, 2}")
end
