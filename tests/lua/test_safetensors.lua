-- Weights to and from PyTorch: files that its own tools wrote (tests/data/safetensors, made by tests/peers/make_safetensors.py), and one of
-- ours that it has read. All dtypes of safetensors.
-- gcstress: every 20
-- luacheck: globals TestFromPyTorch TestToPyTorch TestDtypes TestPartly
local lu = require "luaunit"
local ms = require "mascon"
local nn = ms.nn
local json = require "mascon.json"
local checks = require "checks"
local theirs = require "write_safetensors"
local rows = require "rows"
local fails = checks.fails

local folder = "tests/data/safetensors/"
local expected = json.decode(checks.contents(folder .. "expected.json"))

local function file_of(header, data)
  local path = os.tmpname()
  checks.write(path, string.pack("<I8", #header), header, data)
  return path
end

local function difference(x, values) return (x:detach() - ms.tensor(values)):abs():max():item() end

TestFromPyTorch = {}

function TestFromPyTorch.test_a_model_gives_the_same_outputs()
  local model = theirs.net():eval()
  lu.assertTrue(difference(model(ms.tensor(expected.x)), expected.y) < 1e-6)
end

function TestFromPyTorch.test_its_count_of_batches()
  lu.assertEquals(ms.load(folder .. "net.safetensors")["body.1.num_batches_tracked"]:item(), 3)
  lu.assertEquals(theirs.net().body[2].num_batches_tracked:item(), 3)
end

function TestFromPyTorch.test_tied_weights_may_have_either_name()
  local state, metadata = ms.load(folder .. "tied.safetensors") -- save_model keeps one name and tells the other in the metadata
  local Tied = nn.class "Tied"
  function Tied:init()
    self.encoder, self.decoder = nn.linear(3, 3), nn.linear(3, 3)
    self.decoder.weight = self.encoder.weight
  end
  local m = Tied():load_state_dict(state, { names = "pytorch" })
  lu.assertTrue(difference(m.encoder.weight, expected.tied) < 1e-7)
  lu.assertEquals(m.encoder.weight, m.decoder.weight)
  lu.assertTrue((state["encoder.weight"] == nil) ~= (state["decoder.weight"] == nil))
  lu.assertNotNil(metadata["encoder.weight"] or metadata["decoder.weight"])
end

function TestFromPyTorch.test_all_that_does_not_fit_in_one_message()
  local state = ms.load(folder .. "net.safetensors")
  state["head.bias"], state["body.0.bias"], state.tail = nil, nil, ms.ones { 1 }
  state["head.weight"] = state["head.weight"]:transpose(1, 2)
  state["body.1.weight"] = ms.ones({ 2 }, { dtype = "i64" })
  local m = theirs.new()
  local before = m.body[1].weight:totable()
  fails("Net: load_state_dict: missing: body.0.bias, head.bias; not expected: tail; of another shape: head.weight: expected 4 x 3 f32, got "
    .. "3 x 4 f32; of another dtype: body.1.weight: expected 2 f32, got 2 i64", m.load_state_dict, m, state, { names = "pytorch" })
  fails("Net: load_state_dict: of another shape: head.weight", m.load_state_dict, m, state, { names = "pytorch", strict = false })
  lu.assertEquals(m.body[1].weight:totable(), before)
end

TestToPyTorch = {}

function TestToPyTorch.test_the_file_that_it_has_read_is_still_what_is_written()
  local path = os.tmpname()
  theirs.write(path)
  lu.assertTrue(checks.contents(path) == checks.contents(folder .. "ours.safetensors"))
  os.remove(path)
end

TestDtypes = {}

local words = { inf = math.huge, ["-inf"] = -math.huge }
local becomes = { int8 = "i32", int16 = "i32", uint16 = "i32", int32 = "i32", uint8 = "u8", int64 = "i64", uint32 = "i64", uint64 = "i64",
  bool = "bool", float64 = "f64", float32 = "f32", float16 = "f16", bfloat16 = "bf16", float8_e4m3fn = "f32", float8_e5m2 = "f32",
  float8_e4m3fnuz = "f32", float8_e5m2fnuz = "f32", float8_e8m0fnu = "f32", complex64 = "f32" }

local function flat(v, out)
  if type(v) ~= "table" then out[#out + 1] = v return out end
  for _, w in ipairs(v) do flat(w, out) end
  return out
end

function TestDtypes.test_all_that_pytorch_has()
  local count, flushed = 0, ms.flush_denormal()
  ms.flush_denormal(false) -- the smallest number of E8M0 is a denormal one of f32
  for name, t in pairs((ms.load(folder .. "dtypes.safetensors"))) do
    local want = expected.dtypes[name]
    local shape = table.move(want.shape, 1, #want.shape, 1, {})
    if name == "complex64" then shape[#shape + 1] = 2 end -- real, imaginary
    lu.assertEquals({ t.dtype, table.concat(t.shape, " ") }, { becomes[name], table.concat(shape, " ") }, name)
    local values = flat(want.v, {})
    for k, v in ipairs(rows.flat(t)) do
      local w = words[values[k]] or values[k]
      lu.assertTrue(v == w or v ~= v and w == "nan", ("%s, element %d: got %s, expected %s"):format(name, k, v, w))
      count = count + 1
    end
  end
  ms.flush_denormal(flushed)
  lu.assertTrue(count > 5 * 256)
  print(("compared: safetensors' dtypes as PyTorch writes them: %d numbers"):format(count))
end

function TestDtypes.test_floats_of_four_bits()
  local path = file_of('{"x":{"dtype":"F4","shape":[2,8],"data_offsets":[0,8]}}', "\x10\x32\x54\x76\x98\xba\xdc\xfe")
  local x = ms.load(path).x
  lu.assertEquals(x:totable(), { { 0, 0.5, 1, 1.5, 2, 3, 4, 6 }, { -0.0, -0.5, -1, -1.5, -2, -3, -4, -6 } })
  os.remove(path)
end

function TestDtypes.test_what_cannot_be_held_is_named()
  fails("tensor 'large': element 2 is 9223372036854775813, more than an i64 holds (U64)", ms.load, folder .. "large.safetensors")
  lu.assertEquals(ms.load(folder .. "large.safetensors", { names = "fine" }).fine:totable(), { 1 })
  local path = file_of('{"x":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]}}', "abc")
  fails("tensor 'x': no dtype here holds F6_E2M3", ms.load, path)
  os.remove(path)
end

function TestDtypes.test_what_grows_eightfold_keeps_the_rule_of_memory()
  local n = 1 << 20
  local path = file_of(('{"x":{"dtype":"F4","shape":[%d],"data_offsets":[0,%d]}}'):format(2 * n, n), ("\x21"):rep(n))
  lu.assertEquals(ms.load(path).x[{ { -2, -1 } }]:totable(), { 0.5, 1 })
  fails("max_bytes allows", ms.load, path, { max_bytes = 4 * n })
  os.remove(path)
end

TestPartly = {}

function TestPartly.test_some_tensors_of_a_file()
  local state, _, names = ms.load(folder .. "net.safetensors", { names = { "head.bias", "body.0.weight" } })
  table.sort(names)
  lu.assertEquals(names, { "body.0.weight", "head.bias" })
  lu.assertEquals(state["body.0.weight"].shape, { 2, 1, 3, 3 })
  lu.assertNil(state["head.weight"])
  fails("there is no tensor 'head.wait'", ms.load, folder .. "net.safetensors", { names = { "head.bias", "head.wait" } })
  fails("load: names: expected names, entry 2 is a boolean", ms.load, folder .. "net.safetensors", { names = { "head.bias", true } })
  fails("load: names: expected the name of a tensor or a list of names, got number", ms.load, folder .. "net.safetensors", { names = 1 })
end
