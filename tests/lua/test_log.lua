-- luacheck: globals TestJson TestRun TestSystem
local lu = require "luaunit"
local json = require "mascon.json"
local log = require "mascon.log"
local meter = require "mascon.meter"
local system = require "mascon.system"

local function temporary_folder()
  local name = os.tmpname()
  os.remove(name)
  return name .. ".d"
end

local function contents(path)
  local f <close> = assert(io.open(path, "rb"))
  return f:read("a")
end

TestJson = {}

function TestJson.test_encode_scalars()
  lu.assertEquals(json.encode(3), "3")
  lu.assertEquals(json.encode(0.1), "0.1")
  lu.assertEquals(json.encode(1 / 3), "0.333333333")
  lu.assertEquals(json.encode(math.maxinteger), "9223372036854775807")
  lu.assertEquals(json.encode(0 / 0), "null")
  lu.assertEquals(json.encode(-math.huge), "null")
  lu.assertEquals(json.encode(true), "true")
  lu.assertEquals(json.encode(nil), "null")
  lu.assertEquals(json.encode('a"b\\c\n\t\0é'), '"a\\"b\\\\c\\n\\t\\u0000é"')
  lu.assertEquals(json.encode("x\xffy\xfe"), '"x\u{FFFD}y\u{FFFD}"')
end

function TestJson.test_encode_tables_in_a_stable_order()
  lu.assertEquals(json.encode({ b = 1, a = { 1, 2 }, c = {} }), '{"a":[1,2],"b":1,"c":{}}')
  lu.assertEquals(json.encode({ b = 1, epoch = 2 }, { first = { "epoch" } }), '{"epoch":2,"b":1}')
  lu.assertEquals(json.encode(json.array()), "[]")
  lu.assertEquals(json.encode({ a = { b = 1 } }, { indent = "  " }), '{\n  "a": {\n    "b": 1\n  }\n}')
  lu.assertErrorMsgContains("cannot encode a function", json.encode, { f = print })
  lu.assertErrorMsgContains("keys are strings", json.encode, { [2.5] = 1 })
  local loop = {}
  loop.loop = loop
  lu.assertErrorMsgContains("nested deeper", json.encode, loop)
end

function TestJson.test_decode()
  lu.assertEquals(json.decode(' {"a": [1, -2.5e3, true], "b": {"c": "x\\ny"}, "n": null} '),
    { a = { 1, -2500.0, true }, b = { c = "x\ny" } })
  lu.assertEquals(json.decode('"\\u00e9\\ud83d\\ude00\\ud800"'), "é😀\u{FFFD}")
  lu.assertEquals(math.type(json.decode("7")), "integer")
  lu.assertEquals(math.type(json.decode("7.0")), "float")
  lu.assertIs(json.decode("[null]")[1], json.null)
  lu.assertEquals(json.encode(json.decode("[]")), "[]")
  lu.assertEquals(json.decode("false"), false)
end

function TestJson.test_decode_says_where_it_fails()
  for text, what in pairs { ["{"] = "expected a key", ["[1,]"] = "expected a value", ['{"a" 1}'] = "expected :", ["01"] = "leading zero",
    ['"abc'] = "without an end", ['"\\x"'] = "unknown escape", ["[1 2]"] = "expected , or ]", ["nul"] = "expected a value",
    ["1 2"] = "something after", [""] = "expected a value", ['"\1"'] = "control character", ['"\\u12g4"'] = "hexadecimal",
    [("["):rep(200)] = "nested deeper" } do
    local v, message = json.decode(text)
    lu.assertNil(v)
    lu.assertStrContains(message, what)
  end
  local _, message = json.decode('{\n"a": 1,\n}')
  lu.assertStrContains(message, "line 3")
end

TestRun = {}

function TestRun:setUp() self.dir = temporary_folder() end

function TestRun:tearDown()
  for _, name in ipairs { "metrics.jsonl", "summary.json" } do os.remove(self.dir .. "/" .. name) end
  os.remove(self.dir)
end

function TestRun:test_epoch_appends_a_line()
  local run = log(self.dir)
  run:epoch { epoch = 1, step = 10, seconds = 0.5, loss = meter.mean():add(2):add(4), bad = 0 / 0 }
  run:epoch { epoch = 2, step = 20, seconds = 0.25, loss = { item = function() return 1.5 end } }
  lu.assertEquals(contents(run.metrics_path),
    '{"epoch":1,"step":10,"seconds":0.5,"bad":null,"loss":3}\n{"epoch":2,"step":20,"seconds":0.25,"loss":1.5}\n')
  lu.assertEquals(run:column "loss", { 3, 1.5 })
  lu.assertTrue(run:epoch({ epoch = 3 }).seconds >= 0)
end

function TestRun:test_resume_drops_later_and_torn_lines()
  local run = log(self.dir)
  for e = 1, 4 do run:epoch { epoch = e, seconds = 1, loss = 1 / e } end
  local f = assert(io.open(run.metrics_path, "a"))
  f:write('{"epoch":5,"lo')
  f:close()
  run = log(self.dir, { resume = 2 })
  lu.assertEquals(run:column "epoch", { 1, 2 })
  run:epoch { epoch = 3, seconds = 1, loss = 9 }
  lu.assertEquals(run:column "loss", { 1, 0.5, 9 })
  run = log(self.dir)
  lu.assertEquals(run:metrics(), {})
end

function TestRun:test_summary()
  local run = log(self.dir, { options = { seed = 3, device = "cpu", epochs = 2 } })
  run:summary { loss_k8 = 20.5, val_accuracy = { 0.5, 0.75 } }
  local s = assert(log.read(run:path "summary.json"))
  lu.assertEquals({ s.loss_k8, s.val_accuracy, s.seed, s.device, s.options.epochs }, { 20.5, { 0.5, 0.75 }, 3, "cpu", 2 })
  lu.assertEquals(s.versions.lua, "5.4")
  local missing, message = log.read(run:path "nothing.json")
  lu.assertNil(missing)
  lu.assertStrContains(message, "No such file")
end

function TestRun:test_bad_folder_raises()
  local f = assert(io.open(self.dir, "w"))
  f:close()
  lu.assertErrorMsgContains("Not a directory", log.open, self.dir .. "/sub")
  lu.assertErrorMsgContains("expected the name of a folder", log.open, nil)
  lu.assertErrorMsgContains("unknown option 'resum'; did you mean resume?", log.open, self.dir, { resum = 1 })
end

TestSystem = {}

function TestSystem.test_replace_is_whole_or_not_at_all()
  local name = os.tmpname()
  lu.assertTrue(system.replace(name, "one"))
  lu.assertTrue(system.replace(name, "two\0two"))
  lu.assertEquals(contents(name), "two\0two")
  os.remove(name)
  local ok, message = system.replace("/nonexistent-folder/x", "text")
  lu.assertNil(ok)
  lu.assertStrContains(message, "cannot write /nonexistent-folder/x: No such file")
end

function TestSystem.test_run_gives_status_and_output()
  local big = ("0123456789"):rep(100000)
  local status, out = system.run({ "cat" }, big)
  lu.assertEquals(status, 0)
  lu.assertTrue(out == big)
  status, out = system.run { "sh", "-c", "echo out; echo err >&2; exit 3" }
  lu.assertEquals(status, 3)
  lu.assertEquals(out, "out\nerr\n")
  lu.assertEquals(system.run({ "true" }, big), 0) -- it never reads: no SIGPIPE
  lu.assertEquals(system.run { "sh", "-c", "kill -9 $$" }, 128 + 9)
  local missing, message = system.run { "no-such-program-here" }
  lu.assertNil(missing)
  lu.assertStrContains(message, "cannot start no-such-program-here: No such file")
end

function TestSystem.test_mkdir_makes_all_and_kind_tells()
  local dir = temporary_folder()
  lu.assertTrue(system.mkdir(dir .. "/a//b/"))
  lu.assertTrue(system.mkdir(dir .. "/a/b"))
  lu.assertEquals(system.kind(dir .. "/a/b"), "folder")
  lu.assertNil(system.kind(dir .. "/c"))
  for _, part in ipairs { "/a/b", "/a", "" } do os.remove(dir .. part) end
end
