-- luacheck: globals TestSave TestLoad
local checks = require "checks"
local lu = require "luaunit"
local ms = require "mascon"
local system = require "mascon.system"

local temporary_folder, write, contents = checks.temporary_folder, checks.write, checks.contents

-- The names in a folder, sorted.
local function names_in(dir)
  local _, out = system.run { "ls", "-A", dir }
  return out
end

TestSave = {}

function TestSave:setUp()
  self.dir = temporary_folder()
  self.path = self.dir .. "/t.safetensors"
end
function TestSave:tearDown() checks.remove_folder(self.dir) end

function TestSave:test_every_dtype_comes_back()
  local tensors = { scalar = ms.tensor(3.5), empty = ms.zeros { 0, 4 }, bool = ms.tensor { { true, false }, { false, true } } }
  for _, dtype in ipairs { "f32", "f64", "bf16", "f16", "i64", "i32", "u8" } do
    tensors[dtype] = ms.tensor({ { 0, 1, 2 }, { 100, 63, 7 } }, { dtype = dtype })
  end
  tensors.precise = ms.tensor({ 0.1, 1e300 }, { dtype = "f64" })
  tensors.large = ms.tensor({ math.maxinteger, math.mininteger }, { dtype = "i64" })
  ms.save(self.path, tensors)
  local back, metadata, names = ms.load(self.path)
  lu.assertEquals(metadata, {})
  local count = 0
  for name, t in pairs(tensors) do
    count = count + 1
    lu.assertEquals({ back[name].dtype, back[name].shape }, { t.dtype, t.shape }, name)
    lu.assertEquals(back[name]:totable(), t:totable(), name)
  end
  lu.assertEquals(#names, count)
  lu.assertEquals(names_in(self.dir), "t.safetensors\n")
end

function TestSave:test_order_and_metadata()
  local x = ms.tensor { 1, 2 }
  ms.save(self.path, { { "z", x }, { "a", x + 1 }, { "m.weight", x + 2 } }, { epoch = 3, note = "ü", ok = true, lr = 0.5 })
  local back, metadata, names = ms.load(self.path)
  lu.assertEquals(names, { "z", "a", "m.weight" })
  lu.assertEquals(back.a:totable(), { 2, 3 })
  lu.assertEquals(metadata, { epoch = "3", note = "ü", ok = "true", lr = "0.5" })
  ms.save(self.path, { z = x, a = x, b = x }, {})
  lu.assertEquals((select(3, ms.load(self.path))), { "a", "b", "z" })
  local first = contents(self.path)
  ms.save(self.path, { b = x, a = x, z = x })
  lu.assertEquals(contents(self.path), first) -- the same bytes whatever the order of pairs()
end

function TestSave:test_views_and_gradients()
  local x = ms.tensor({ { 1, 2, 3 }, { 4, 5, 6 } }, { requires_grad = true })
  ms.save(self.path, { t = x:transpose(1, 2), row = x[{ {}, { 2, 3 } }], same = x, y = x * 2 })
  local back = ms.load(self.path)
  lu.assertEquals(back.t:totable(), { { 1, 4 }, { 2, 5 }, { 3, 6 } })
  lu.assertEquals(back.row:totable(), { { 2, 3 }, { 5, 6 } })
  lu.assertEquals(back.y:totable(), { { 2, 4, 6 }, { 8, 10, 12 } })
  lu.assertFalse(back.same.requires_grad)
end

function TestSave:test_a_tensor_of_any_size_and_many_names()
  local tensors = {}
  for i = 1, 300 do tensors[("layer.%03d.weight"):format(i)] = ms.full({ i % 7, 3 }, i) end
  ms.save(self.path, tensors)
  local back, _, names = ms.load(self.path)
  lu.assertEquals(#names, 300)
  lu.assertEquals(back["layer.300.weight"].shape, { 300 % 7, 3 })
  lu.assertEquals(back["layer.300.weight"]:sum():item(), 300 * 3 * (300 % 7))
end

function TestSave:test_misuse_raises_and_writes_nothing()
  local x = ms.tensor { 1 }
  ms.save(self.path, { x = x })
  local before = contents(self.path)
  for message, arguments in pairs {
    ["save: 'x': expected a tensor, got table"] = { self.path, { x = {} } },
    ["save: expected a table of tensors by name, got a tensor: write { name = x }"] = { self.path, x },
    ["save: expected names as keys, got a boolean"] = { self.path, { [true] = x } },
    ["save: item 1: expected {name, tensor}, got a tensor"] = { self.path, { x } },
    ["save: item 1: expected a name first, got a tensor"] = { self.path, { { x, x } } },
    ["save: 'named' is a name in a list"] = { self.path, { { "a", x }, named = x } },
    ["save: metadata 'k': expected a string, a number or a boolean, got table"] = { self.path, { x = x }, { k = {} } },
    ["save: metadata: expected strings as keys"] = { self.path, { x = x }, { "v" } },
    ["save: expected metadata as a table, got string"] = { self.path, { x = x }, "m" },
    ["save: expected the name of a file, got nothing"] = {},
    ["zero byte"] = { "a\0b", { x = x } },
    ["the name 'a' has a zero byte in it"] = { self.path, { ["a\0b"] = x } },
    ["two tensors of the name 'a'"] = { self.path, { { "a", x }, { "a", x } } },
    ["reserved"] = { self.path, { __metadata__ = x } },
    ["UTF-8"] = { self.path, { ["\xff"] = x } },
    ["No such file or directory"] = { self.dir .. "/none/t.safetensors", { x = x } },
  } do
    lu.assertErrorMsgContains(message, ms.save, table.unpack(arguments))
  end
  lu.assertEquals(contents(self.path), before)
  lu.assertEquals(names_in(self.dir), "t.safetensors\n")
end

function TestSave:test_a_freed_tensor_is_named()
  local x
  do
    local scope <close> = ms.scope() -- luacheck: ignore scope
    x = ms.tensor { 1 }
  end
  lu.assertErrorMsgContains("save: 'x': this tensor was freed", ms.save, self.path, { x = x })
  lu.assertEquals(names_in(self.dir), "")
end

TestLoad = {}

function TestLoad:setUp()
  self.dir = temporary_folder()
  self.path = self.dir .. "/t.safetensors"
end
function TestLoad:tearDown() checks.remove_folder(self.dir) end

function TestLoad:test_bad_files_raise()
  ms.save(self.path, { x = ms.tensor { 1, 2, 3 } }, { k = "v" })
  local good = contents(self.path)
  local cases = { [""] = true, short = true, [good .. "x"] = true, [("\xff"):rep(64)] = true,
    [string.pack("<I8", 1 << 60) .. "{}"] = true, [string.pack("<I8", 8) .. "not json"] = true }
  for n = 1, #good - 1, 7 do cases[good:sub(1, n)] = true end
  cases[(good:gsub('"F32"', '"F33"'))] = true
  cases[(good:gsub("%[3%]", "[4]"))] = true
  for bytes in pairs(cases) do
    write(self.path, bytes)
    lu.assertErrorMsgContains(self.path, ms.load, self.path)
  end
  lu.assertErrorMsgContains("No such file", ms.load, self.dir .. "/missing")
  lu.assertErrorMsgContains("expected a plain file", ms.load, self.dir)
end

function TestLoad:test_misuse_raises()
  lu.assertErrorMsgContains("load: expected the name of a file, got table", ms.load, {})
  ms.save(self.path, { x = ms.tensor { 1 } })
  lu.assertErrorMsgContains("unknown option 'devise'; did you mean device?", ms.load, self.path, { devise = "cpu" })
  lu.assertEquals(ms.load(self.path, { device = "cpu" }).x:item(), 1)
end

function TestLoad:test_what_is_loaded_is_a_copy()
  ms.save(self.path, { x = ms.tensor { 1, 2 } })
  local back = ms.load(self.path)
  back.x:add_(10)
  lu.assertEquals(ms.load(self.path).x:totable(), { 1, 2 })
  write(self.path, "gone")
  lu.assertEquals(back.x:totable(), { 11, 12 })
end

function TestLoad:test_failed_allocation_raises_and_leaks_nothing()
  local tensors = {}
  for i = 1, 5 do tensors["x" .. i] = ms.full({ 100 }, i) end
  ms.save(self.path, tensors)
  collectgarbage()
  collectgarbage()
  local before = ms.memory().storages
  for k = 1, 5 do
    ms.fail_allocation(k)
    local ok, message = pcall(ms.load, self.path)
    ms.fail_allocation(0)
    if not ok then lu.assertStrContains(message, "out of memory") end
  end
  collectgarbage()
  collectgarbage()
  lu.assertEquals(ms.memory().storages, before)
end
