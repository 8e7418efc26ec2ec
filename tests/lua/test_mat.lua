-- luacheck: globals TestMat TestSvhn
-- gcstress: every 20
-- The files of tests/data/mat were written by scipy.io.savemat and by hand (tests/peers/make_mat.py); tests/c/test_mat.c damages them.
local lu = require "luaunit"
local ms = require "mascon"
local system = require "mascon.system"
local read = ms.data.read_mat

local function file(name) return "tests/data/mat/" .. name .. ".mat" end
local REAL = (os.getenv "MASCON_DATA" or "../shared/data") .. "/svhn/"

TestMat = {}

-- What savemat was given, compressed or not: shapes as MATLAB's, x[{i, j}] as its x(i, j).
local function check_numbers(v, names)
  lu.assertEquals(table.concat(names, " "), "d s u8 i8 i16 u16 i32 u32 i64 u64 b c none one")
  lu.assertEquals(v.d:totable(), { { 1.5, -2, 1 / 0 }, { 0.25, 4, 0 } })
  lu.assertEquals(v.s:totable(), { { 1.5, -2.5 } })
  lu.assertEquals(v.u8.shape, { 2, 3, 4 })
  lu.assertEquals(v.u8:totable(), ms.arange(0, 23):reshape({ 2, 3, 4 }):to("u8"):totable())
  lu.assertEquals(v.i8:totable(), { { -128, 127 } })
  lu.assertEquals(v.i16:totable(), { { -32768 }, { 32767 } })
  lu.assertEquals(v.u16:totable(), { { 0, 65535 } })
  lu.assertEquals(v.i32:totable(), { { math.mininteger >> 32 | -1 << 31, 0x7fffffff } })
  lu.assertEquals(v.u32:totable(), { { 0, 0xffffffff } })
  lu.assertEquals(v.i64:totable(), { { math.mininteger, math.maxinteger } })
  lu.assertEquals(v.u64:totable(), { { 0, math.maxinteger } })
  lu.assertEquals(v.b:totable(), { { true, false, true } })
  lu.assertEquals(v.c:totable(), { { { 1, 2 }, { 3, -4 } }, { { 0, 5 }, { 6, 0 } } })
  lu.assertEquals(v.none.shape, { 0, 3 })
  lu.assertEquals(v.one.shape, { 1, 1 })
  local dtypes = {}
  for i, name in ipairs(names) do dtypes[i] = v[name].dtype end
  lu.assertEquals(table.concat(dtypes, " "), "f64 f32 u8 i32 i32 i32 i32 i64 i64 i64 bool f64 f64 f64")
end

function TestMat.test_numbers_of_every_class()
  local v, names, notes = read(file "numbers")
  check_numbers(v, names)
  lu.assertStrContains(notes.header, "MATLAB 5.0 MAT-file")
  lu.assertEquals(notes.cut, {})
end

function TestMat.test_compressed() check_numbers(read(file "compressed")) end

-- The order of bytes of other machines; a double that is kept as whole numbers of two bytes.
function TestMat.test_big_endian()
  local v = read(file "big_endian")
  lu.assertEquals(v.x:totable(), { { 1, 3, 5 }, { 2, -4, 6 } })
  lu.assertEquals({ v.x.dtype, v.y:totable(), v.z:totable() }, { "f64", { { 258, 3 } }, { { 1, 2, 3 } } })
end

function TestMat.test_text_cells_structures()
  local v = read(file "nested")
  lu.assertEquals({ v.text, v.rows, v.empty }, { "grüße ∑", { "abc", "de " }, "" })
  lu.assertEquals({ v.cell[1][1], v.cell[1][2]:totable(), v.cell[2][1], v.cell[2][2].shape }, { "a", { { 1, 2 } }, "b", { 0, 0 } })
  lu.assertEquals({ v.row[1], v.row[2]:item() }, { "one", 2 })
  lu.assertEquals({ v.point.x:item(), v.point.deep.label }, { 1, "in" })
  lu.assertEquals({ #v.people, v.people[1].name, v.people[2].name, v.people[2].age:item() }, { 2, "Ada", "Émile ∑", 41 })
end

-- As any file of tensors: numbers are tensors, a row of characters is metadata, and the rest is left to read_mat.
function TestMat.test_load_by_content()
  for _, name in ipairs { "numbers", "compressed" } do
    local v, metadata, names = ms.load(file(name))
    check_numbers(v, names)
    lu.assertEquals(metadata, {})
    lu.assertTrue(v.u8:is_contiguous())
  end
  lu.assertErrorMsgContains("'rows': it is of MATLAB's class char: ms.data.read_mat reads it", ms.load, file "nested")
  lu.assertErrorMsgContains("'s': it is or has a sparse matrix", ms.load, file "other")
  lu.assertEquals(ms.load(file "other", { names = "x" }).x:item(), 3)
end

-- Programs other than MATLAB write sizes as unsigned numbers and names as UTF-8 (as scipy reads them).
function TestMat.test_sizes_and_names_of_other_programs()
  local path = os.tmpname()
  local function element(kind, bytes) return ("<I4I4"):pack(kind, #bytes) .. bytes .. ("\0"):rep(-#bytes % 8) end
  local body = element(6, ("<I4I4"):pack(6, 0)) .. element(6, ("<I4I4"):pack(2, 1)) .. element(16, "caf\u{e9}")
    .. element(9, ("<dd"):pack(3, 4))
  local f = assert(io.open(path, "wb"))
  f:write(("MATLAB 5.0 MAT-file"):sub(1, 116) .. (" "):rep(97) .. ("\0"):rep(8) .. "\0\1IM" .. element(14, body))
  f:close()
  lu.assertEquals(read(path)["caf\u{e9}"]:totable(), { { 3 }, { 4 } })
  os.remove(path)
end

function TestMat.test_names_permute_limit()
  local v, names = read(file "numbers", { names = { "u8", "one" }, permute = { u8 = { 3, 1, 2 } } })
  lu.assertEquals({ #names, v.d, v.one:item() }, { 2, nil, 7 })
  local x = read(file "numbers").u8
  lu.assertEquals(v.u8:totable(), x:permute({ 3, 1, 2 }):totable())
  lu.assertTrue(v.u8:is_contiguous())
  lu.assertEquals(read(file "compressed", { names = "u8", limit = 2 }).u8:totable(), x[{ {}, {}, { 1, 2 } }]:totable())
  lu.assertEquals(read(file "numbers", { names = "c", limit = 1 }).c:totable(), { { { 1, 2 } }, { { 0, 5 } } })
  lu.assertEquals(read(file "numbers", { names = "d", limit = 9 }).d.shape, { 2, 3 })
end

-- Version 7.3, which a child process reads by libhdf5.
local function with_hdf5()
  local ok, message = pcall(read, file "v73", { names = "d" })
  if not ok and message:find("needs libhdf5", 1, true) then lu.skip "no libhdf5" end
end

function TestMat.test_version_7_3()
  with_hdf5()
  local v, names, notes = read(file "v73", { names = { "d", "u8", "i16", "text", "b", "c", "none" } })
  lu.assertEquals(table.concat(names, " "), "b c d i16 none text u8")
  lu.assertStrContains(notes.header, "MATLAB 7.3 MAT-file")
  local w = read(file "numbers")
  for _, name in ipairs { "d", "u8", "i16", "b", "c" } do
    lu.assertEquals({ v[name]:totable(), v[name].dtype }, { w[name]:totable(), w[name].dtype })
  end
  lu.assertEquals({ v.text, v.none.shape }, { "grüße", { 0, 3 } })
  lu.assertErrorMsgContains("'s' is or has an object (or, in a file of version 7.3, a cell, a structure", read, file "v73")
  local t, metadata = ms.load(file "v73", { names = { "u8", "d" } })
  lu.assertEquals({ t.u8:totable(), t.d:totable(), metadata.text }, { v.u8:totable(), v.d:totable(), "grüße" })
  lu.assertErrorMsgContains("there is no variable 'x'; it has b, c, d", read, file "v73", { names = "x" })
end

-- Whatever libhdf5 does with a damaged file, it does in the child: a value or an error, and this process lives.
function TestMat.test_version_7_3_damaged()
  with_hdf5()
  local whole, path, errors = assert(io.open(file "v73", "rb")):read "a", os.tmpname(), 0
  local function try(bytes)
    assert(io.open(path, "wb")):write(bytes):close()
    local ok, message = pcall(read, path, { names = { "d", "u8", "b" }, partial = true })
    if not ok then
      errors = errors + 1
      lu.assertStrContains(message, path)
    end
  end
  for n = 128, #whole - 1, 700 do try(whole:sub(1, n)) end
  lu.assertTrue(errors > 5)
  ms.with_seed(1, function()
    for _ = 1, 25 do
      local at, bit = ms.randint(512, #whole, { 1 }):item(), ms.randint(0, 7, { 1 }):item()
      try(whole:sub(1, at - 1) .. string.char(whole:byte(at) ~ 1 << bit) .. whole:sub(at + 1))
    end
  end)
  os.remove(path)
end

function TestMat.test_what_has_no_meaning_here()
  lu.assertErrorMsgContains("other.mat: 's' is or has a sparse matrix", read, file "other")
  lu.assertErrorMsgContains("'f' is or has a function", read, file "other", { names = { "x", "f" } })
  lu.assertEquals(read(file "other", { names = "x" }).x:item(), 3)
end

function TestMat.test_misuse_raises()
  for message, arguments in pairs {
    ["numbers.mat: there is no variable 'D'; it has d, s, u8"] = { file "numbers", { names = "D" } },
    ["permute: expected each of the dimensions 1..3 of 'u8' in "] = { file "numbers", { permute = { u8 = { 1, 2, 2 } } } },
    ["permute: there is no variable 'U8' among those that were read: tests/data/mat/numbers.mat: "] =
      { file "numbers", { permute = { U8 = { 3, 1, 2 } } } },
    ["of 'd' in tests/data/mat/numbers.mat once"] = { file "numbers", { permute = { d = { 1, 2, 3 } } } },
    ["permute: expected lists of dimensions"] = { file "numbers", { permute = 3 } },
    ["names: expected names, entry 1 is a number"] = { file "numbers", { names = { 1 } } },
    ["names: expected the name of a variable"] = { file "numbers", { names = {} } },
    ["limit: expected a whole number from 1 on, got 0"] = { file "numbers", { limit = 0 } },
    ["unknown option 'name'; did you mean names?"] = { file "numbers", { name = "d" } },
    ["max_bytes allows 100"] = { file "numbers", { max_bytes = 100 } },
    ["no/such.mat: cannot open"] = { "no/such.mat" },
    ["tests/data/digits.csv: not a MATLAB file"] = { "tests/data/digits.csv" },
    ["expected the name of a file, got nothing"] = {},
  } do
    lu.assertErrorMsgContains(message, read, table.unpack(arguments))
  end
end

function TestMat.test_cut_off()
  local whole = assert(io.open(file "compressed", "rb")):read "a"
  local path = os.tmpname()
  assert(io.open(path, "wb")):write(whole:sub(1, -20)):close()
  lu.assertErrorMsgContains("cut off: a variable takes 38 bytes of the file, of which it has 19 (partial = true", read, path)
  local v, names = read(path, { partial = true })
  lu.assertEquals({ #names, v.one, v.none.shape }, { 13, nil, { 0, 3 } })
  os.remove(path)
end

function TestMat.test_the_real_file_that_is_cut_off()
  local path = REAL .. "train_32x32.truncated.mat"
  if system.kind(path) ~= "file" then lu.skip("no " .. path) end
  lu.assertErrorMsgContains("cut off: X takes 182004347 bytes of the file, of which it has 2686840", read, path)
  local v, names, notes = read(path, { partial = true })
  lu.assertEquals({ names, notes.cut.X }, { { "X" }, { 1083, 73257 } })
  lu.assertTrue(ms.equal(v.X, read(REAL .. "train_32x32.first1083.mat", { names = "X" }).X))
end

TestSvhn = {}

function TestSvhn.test_the_real_images()
  if system.kind(REAL .. "train_32x32.first1083.mat") ~= "file" then lu.skip("no data in " .. REAL) end
  local train, test = ms.data.svhn { data = REAL, limit = 200 }
  lu.assertNil(test)
  lu.assertEquals(tostring(train), "SVHN (the first 1,083 training images) data set: 200 samples of 3 x 32 x 32 u8, 10 classes")
  local x = read(REAL .. "train_32x32.first1083.mat", { limit = 200 })
  lu.assertEquals(train.raw[7]:totable(), x.X[{ {}, {}, {}, 7 }]:permute({ 3, 1, 2 }):totable())
  for i = 1, 200 do -- the label 10 is the digit 0
    lu.assertEquals(tonumber(train.classes[train.labels[i]:item()]), x.y[{ i, 1 }]:item() % 10)
  end
end

function TestSvhn.test_what_is_no_such_file()
  local folder = os.tmpname()
  os.remove(folder)
  assert(system.mkdir(folder))
  local path = folder .. "/train_32x32.mat"
  local bytes = assert(io.open(file "numbers", "rb")):read "a"
  assert(io.open(path, "wb")):write(bytes):close()
  lu.assertErrorMsgContains("expected the variables X (images) and y (labels), there is no X", ms.data.svhn, { data = folder })
  os.remove(path)
  os.remove(folder)
end
