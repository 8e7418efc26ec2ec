-- gcstress: every 50
-- luacheck: globals TestNumpy TestMapped TestLoad TestSets TestCsv
-- ms.load by content: NumPy's files as NumPy wrote them (tests/peers/make_formats.py), files as memory, and what is none of the formats.
local checks = require "checks"
local json = require "mascon.json"
local lu = require "luaunit"
local ms = require "mascon"

local fails, write, contents = checks.fails, checks.write, checks.contents
local folder = "tests/data/formats/"
local expected = json.decode(contents(folder .. "expected.json"))

local function flat(x) return x:to("f64"):reshape { -1 }:totable() end

TestNumpy = {}
function TestNumpy:setUp() self.dir = checks.temporary_folder() end
function TestNumpy:tearDown() checks.remove_folder(self.dir) end

function TestNumpy.test_arrays_of_every_dtype_and_order()
  local dtypes = { bool = "bool", u1 = "u8", i1 = "i32", i2 = "i32", u2 = "i32", i4 = "i32", u4 = "i64", i8 = "i64", u8 = "i64", f2 = "f16",
    f4 = "f32", f8 = "f64", c8 = "f32" }
  for _, file in ipairs { "stored.npz", "deflated.npz" } do
    local tensors, metadata, names = ms.load(folder .. file)
    lu.assertEquals(metadata, {})
    local seen = 0
    for _, name in ipairs(names) do
      local x, want = tensors[name], expected[name]
      lu.assertEquals(table.concat(x.shape, ","), table.concat(want.shape, ","), name)
      lu.assertEquals(x.dtype, dtypes[name:match "_?(%w%d)$" or name] or x.dtype, name)
      lu.assertEquals(flat(x), want.values, name)
      seen = seen + 1
    end
    lu.assertEquals(seen, 26)
  end
end

function TestNumpy.test_npy()
  for _, file in ipairs { "f4", "fortran", "v2", "v3" } do
    local x = ms.load(folder .. file .. ".npy")
    lu.assertEquals(x.shape, { 3, 4 })
    lu.assertEquals(flat(x), expected.f4.values)
  end
  lu.assertEquals(ms.load(folder .. "scalar.npy"):item(), 2.5)
  lu.assertEquals(select("#", ms.load(folder .. "f4.npy")), 1)
end

function TestNumpy:test_headers()
  local path = self.dir .. "/x.npy"
  local function array(header, data) write(path, "\x93NUMPY\1\0", string.pack("<s2", header), data or "\1\2\3\4\5\6\7\8") end
  local function given(header, data)
    array(header, data)
    return ms.load(path)
  end
  lu.assertEquals(given("{'shape': (2L, 4L), 'fortran_order': False, 'descr': '|u1'}\n"):totable(), { { 1, 2, 3, 4 }, { 5, 6, 7, 8 } })
  lu.assertEquals(given('{"descr":"u1","fortran_order":True,"shape":(2,4,),}'):totable(), { { 1, 3, 5, 7 }, { 2, 4, 6, 8 } })
  lu.assertEquals(given("{'descr': '>i2', 'fortran_order': False, 'shape': (4,)}"):totable(), { 0x102, 0x304, 0x506, 0x708 })
  lu.assertEquals(given("{'descr': '=i8', 'fortran_order': False, 'shape': ()}"):item(), 0x0807060504030201)
  lu.assertEquals(given("{'descr': '<u8', 'fortran_order': False, 'shape': (0, 7)}", "").shape, { 0, 7 })
  for why, header in pairs {
    ["truncated: expected 9 bytes"] = "{'descr': '|u1', 'fortran_order': False, 'shape': (9,)}",
    ["too long: expected 7 bytes"] = "{'descr': '|u1', 'fortran_order': False, 'shape': (7,)}",
    ["element 1 is 18446744073709551615"] = "{'descr': '<u8', 'fortran_order': False, 'shape': ()}",
    ["element 1 is 255"] = "{'descr': '|b1', 'fortran_order': False, 'shape': (8,)}",
    ["dtype '|O': Python objects"] = "{'descr': '|O', 'fortran_order': False, 'shape': ()}",
    ["a structured dtype"] = "{'descr': [('x', '<i4'), ('y', '<f4')], 'fortran_order': False, 'shape': ()}",
    ["dtype '<U2': text"] = "{'descr': '<U2', 'fortran_order': False, 'shape': ()}",
    ["dtype '<f16': no dtype here"] = "{'descr': '<f16', 'fortran_order': False, 'shape': ()}",
    ["more dimensions than 8"] = "{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,8)}",
    ["absurd"] = "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999, 9999999999999, 0)}",
  } do
    array(header, ("\xff"):rep(8))
    fails(why, ms.load, path)
    fails(path, ms.load, path)
  end
  for _, header in ipairs { "", "{", "{}", "{'descr': '|u1', 'shape': (8,)}", "{'descr': '|u1', 'fortran_order': 0, 'shape': (8,)}",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (-8,)}", "{'descr': '|u1', 'fortran_order': False, 'shape': (8)} x",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (8,), 'more': 1}", "{'descr': '|u1', 'descr': '|u1', 'shape': (8,)}",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,)}", "{'descr': __import__('os')}" } do
    array(header)
    fails("bad npy header", ms.load, path)
  end
  write(path, "\x93NUMPY\4\0\1\0\n")
  fails("npy version 4.0", ms.load, path)
end

function TestNumpy.test_what_no_dtype_holds_is_told_by_name_and_leaves_the_rest()
  local path = folder .. "odd.npz"
  lu.assertEquals(ms.load(path, { names = "fine" }).fine:totable(), { 0, 1, 2 })
  for name, why in pairs { objects = "dtype '|O': Python objects", text = "dtype '<U1': text", bytes = "dtype '|S1'", dates = "dates",
    fields = "a structured dtype", nine = "more dimensions than 8", wide = "no dtype here holds it" } do
    fails(("'%s': "):format(name), ms.load, path, { names = name })
    fails(why, ms.load, path, { names = name })
  end
  fails("names = ", ms.load, path)
  fails("there is no tensor 'fin'", ms.load, path, { names = "fin" })
  fails("names: there are none in this file", ms.load, folder .. "f4.npy", { names = "x" })
end

function TestNumpy:test_written_files()
  local tensors = { a = ms.tensor { { 1, 2, 3 }, { 4, 5, 6 } }, b = ms.tensor({ 1, -2 }, { dtype = "i64" }), c = ms.tensor(2.5),
    d = ms.tensor({ true, false }), e = ms.zeros { 0, 3 }, f = ms.tensor({ 1, 255 }, { dtype = "u8" }),
    g = ms.tensor({ 0.5 }, { dtype = "f16" }), h = ms.tensor({ 1e300 }, { dtype = "f64" }), i = ms.tensor({ 7 }, { dtype = "i32" }) }
  local path = self.dir .. "/t.npz"
  for compress = 0, 1 do
    ms.data.write_npz(path, tensors, { compress = compress == 1 })
    local back, _, names = ms.load(path)
    lu.assertEquals(table.concat(names), "abcdefghi")
    for name, x in pairs(tensors) do
      lu.assertEquals(back[name].dtype, x.dtype)
      lu.assertTrue(back[name]:equal(x), name)
    end
  end
  ms.save(path, { { "second", ms.ones { 2 } }, { "first", tensors.a:t() } })
  local back, _, names = ms.load(path)
  lu.assertEquals(names, { "second", "first" })
  lu.assertEquals(back.first:totable(), { { 1, 4 }, { 2, 5 }, { 3, 6 } })
  ms.save(self.dir .. "/t.npy", tensors.a:t())
  lu.assertEquals(ms.load(self.dir .. "/t.npy"):totable(), { { 1, 4 }, { 2, 5 }, { 3, 6 } })
  ms.data.write_npy(self.dir .. "/t.npy", ms.zeros { 3 })
  -- as numpy.save writes it
  lu.assertEquals(contents(self.dir .. "/t.npy"), "\x93NUMPY\1\0\x76\0{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }"
    .. (" "):rep(60) .. "\n" .. ("\0"):rep(12))
end

function TestNumpy:test_memory_goes_with_the_size_of_the_file()
  local path, n = self.dir .. "/t.npz", 66 << 20
  ms.data.write_npz(path, { x = ms.zeros({ n }, { dtype = "u8" }) }, { compress = true })
  fails(", much for a file of", ms.load, path)
  fails("max_bytes allows 1000", ms.load, path, { max_bytes = 1000 })
  lu.assertEquals(#ms.load(path, { max_bytes = n + (1 << 20) }).x, n)
end

function TestNumpy:test_misuse_of_the_writers()
  local path, x = self.dir .. "/t.npz", ms.ones { 2 }
  fails("npy has no dtype bf16", ms.data.write_npz, path, { x = x:to "bf16" })
  fails("two arrays of this name", ms.data.write_npz, path, { { "x", x }, { "x", x } })
  fails("unknown option 'compres'", ms.data.write_npz, path, { x = x }, { compres = true })
  fails("write_npz: expected a table of tensors by name", ms.data.write_npz, path, x)
  fails("write_npz: 'x': expected a tensor, got number", ms.data.write_npz, path, { x = 1 })
  fails("this format has no metadata", ms.save, path, { x = x }, { a = 1 })
  fails("write_npy", ms.data.write_npy, path, { x })
  fails("expected a tensor, got table", ms.save, self.dir .. "/t.npy", { x })
  fails("No such file", ms.data.write_npy, self.dir .. "/none/x.npy", x)
  fails("expected no more arguments", ms.data.write_npy, path, x, {})
  lu.assertNil(io.open(path))
end

function TestNumpy:test_damaged_archives()
  local path = self.dir .. "/t.npz"
  ms.data.write_npz(path, { x = ms.arange(1, 4) })
  local good = contents(path)
  local function refused(why, bytes)
    write(path, bytes)
    fails(why, ms.load, path)
    fails(path, ms.load, path)
  end
  local data = good:find(string.pack("<ffff", 1, 2, 3, 4), 1, true)
  refused("'x.npy' does not have the checksum", good:sub(1, data) .. "\1" .. good:sub(data + 2))
  for n = 1, #good - 1, checks.stress and 7 or 1 do refused("", good:sub(1, n)) end
  refused("no list of members", good .. "x")
  local list = good:find("PK\1\2", 1, true)
  local function at(offset, bytes) -- the list's entry with other bytes there
    return good:sub(1, list + offset - 1) .. bytes .. good:sub(list + offset + #bytes)
  end
  refused("encrypted", at(8, "\1"))
  refused("compressed in a way", at(10, "\14"))
  refused("declared larger", at(24, "\xff\xff\xff\x0f"))
  refused("a member's size is missing", at(24, "\xff\xff\xff\xff"))
  refused("lies over another, or behind the end", at(42, "\xff\xff\0\0"))
  refused("there is no member where its list says", at(42, "\4"))
  refused("zero byte", at(46, "\0"))
  refused("no array: its name does not end in .npy", at(46, "x.npz"))
  write(path, good)
  lu.assertEquals(ms.load(path).x:totable(), { 1, 2, 3, 4 })
end

-- ---- mapped ----------------------------------------------------------------------------------------------------------------------

TestMapped = {}
TestMapped.setUp, TestMapped.tearDown = TestNumpy.setUp, TestNumpy.tearDown

function TestMapped:test_what_can_be_mapped()
  local x, y = ms.randn { 5, 7 }, ms.arange(1, 10)
  ms.save(self.dir .. "/t.npz", { x = x, y = y, none = ms.zeros { 0 } })
  ms.save(self.dir .. "/t.safetensors", { x = x, y = y, none = ms.zeros { 0 } })
  for _, name in ipairs { "t.npz", "t.safetensors" } do
    local t = ms.load(self.dir .. "/" .. name, { mmap = true })
    lu.assertTrue(t.x:equal(x) and t.y:equal(y))
    lu.assertEquals(t.none.shape, { 0 })
    lu.assertTrue((t.x * 2):sum():allclose((x * 2):sum()))
  end
  for _, name in ipairs { "f4", "fortran" } do
    local t = ms.load(folder .. name .. ".npy", { mmap = true })
    lu.assertEquals(flat(t), expected.f4.values)
  end
  ms.data.write_idx(self.dir .. "/idx", ms.tensor({ { 1, 2 }, { 3, 4 } }, { dtype = "u8" }))
  lu.assertEquals(ms.load(self.dir .. "/idx", { mmap = true }):totable(), { { 1, 2 }, { 3, 4 } })
end

function TestMapped:test_it_takes_no_memory_and_changes_stay_here()
  local path, n = self.dir .. "/x.npy", 1 << 16
  ms.save(path, ms.zeros { n })
  local before = checks.census()
  local x = ms.load(path, { mmap = true })
  lu.assertEquals(ms.memory().live, before.live)
  x:add_(1)
  lu.assertEquals(x:sum():item(), n)
  lu.assertEquals(ms.load(path):sum():item(), 0)
  local view = x[{ { 2, 3 } }]
  x = nil -- luacheck: ignore
  collectgarbage()
  lu.assertEquals(view:totable(), { 1, 1 })
  view = nil -- luacheck: ignore
  lu.assertEquals(checks.census(), before)
end

function TestMapped:test_what_cannot()
  fails("cannot be mapped", ms.load, folder .. "deflated.npz", { mmap = true, names = "f4" })
  fails("no multiple of their size", ms.load, folder .. "stored.npz", { mmap = true, names = "f8" })
  fails("'big_f4' cannot be mapped", ms.load, folder .. "stored.npz", { mmap = true, names = "big_f4" })
  ms.image.save(self.dir .. "/x.png", ms.zeros { 2, 2 })
  fails("cannot be mapped", ms.load, self.dir .. "/x.png", { mmap = true })
  fails("mmap", ms.load, folder .. "f4.npy", { mmap = 1 })
end

function TestMapped:test_a_file_cut_short_meanwhile_is_an_error()
  local path, n = self.dir .. "/x.npy", 1 << 16
  ms.save(path, ms.ones { n })
  local x = ms.load(path, { mmap = true })
  lu.assertEquals(x:sum():item(), n)
  local size = 4096 * 2
  local head = contents(path):sub(1, size)
  write(path, head) -- the same file, truncated and written anew
  fails(path .. ": the file became shorter while it was mapped", function() return x:sum() end)
  lu.assertEquals(x[n]:item(), 0)
  collectgarbage()
  for _ = 1, 6 do -- also where a helping thread is the one that looks
    ms.save(path, ms.ones { n * 8 })
    x = ms.load(path, { mmap = true })
    write(path, head)
    local ok = pcall(function() return x:sum():item() end)
    lu.assertFalse(ok)
  end
end

function TestMapped:test_a_data_set_of_it()
  local path, n = self.dir .. "/x.npy", 50
  ms.save(path, ms.arange(1, n * 4):reshape { n, 1, 2, 2 })
  local before = checks.census()
  local ds = ms.data.tensors { ms.load(path, { mmap = true }) }
  lu.assertEquals(ms.memory().live, before.live)
  local sum = 0
  for x in ds:loader { batch = 7, shuffle = true } do sum = sum + x:sum():item() end
  lu.assertEquals(sum, n * 4 * (n * 4 + 1) / 2)
end

-- ---- by content --------------------------------------------------------------------------------------------------------------------

TestLoad = {}
TestLoad.setUp, TestLoad.tearDown = TestNumpy.setUp, TestNumpy.tearDown

function TestLoad:test_the_name_says_nothing()
  local path = self.dir .. "/thing.txt"
  local function as(write_it, ...)
    write_it(path, ...)
    return ms.load(path)
  end
  local x = ms.tensor({ { 1, 2 }, { 3, 4 } }, { dtype = "u8" })
  lu.assertTrue(as(ms.data.write_idx, x):equal(x))
  lu.assertTrue(as(ms.data.write_npy, x):equal(x))
  lu.assertTrue(as(ms.data.write_npz, { x = x }).x:equal(x))
  lu.assertTrue(as(ms.save, { x = x }, { a = "b" }).x:equal(x))
  lu.assertEquals((select(2, ms.load(path))), { a = "b" })
  ms.image.save(self.dir .. "/x.png", x)
  lu.assertTrue(as(write, contents(self.dir .. "/x.png")):equal(x:unsqueeze(1)))
  lu.assertEquals(ms.load "tests/data/hostile/baseline.jpg".shape, { 3, 17, 19 })
end

function TestLoad:test_gzipped()
  local x, path = ms.tensor({ { 1, 2 }, { 3, 4 } }, { dtype = "u8" }), self.dir .. "/x"
  ms.data.write_idx(path .. ".gz", x)
  lu.assertTrue(ms.load(path .. ".gz"):equal(x))
  ms.data.write_npy(path, x)
  checks.shell("gzip -n " .. path)
  lu.assertTrue(ms.load(path .. ".gz"):equal(x))
  ms.data.write_npz(path, { x = x })
  checks.shell("gzip -nf " .. path)
  fails("it is gzipped NumPy's npz, which is read as it is only", ms.load, path .. ".gz")
end

function TestLoad:test_unknown_content()
  local path = self.dir .. "/x.npy"
  for _, bytes in ipairs { "XIF89a and more", "\0", "\1\2\3\4", "\0\0\8\9", ("\xff"):rep(100), "hello there" } do
    write(path, bytes)
    fails(path .. ": expected a file of one of these formats: ", ms.load, path)
    fails("safetensors, IDX, CSV", ms.load, path)
  end
  write(path, "")
  fails("it is empty", ms.load, path)
end

-- ---- data sets from npz ------------------------------------------------------------------------------------------------------------

TestSets = {}
TestSets.setUp, TestSets.tearDown = TestNumpy.setUp, TestNumpy.tearDown

function TestSets:test_npz()
  local path, n = self.dir .. "/set.npz", 5
  local images = ms.arange(0, n * 6 - 1):reshape { n, 2, 3 }:to "u8"
  local labels = ms.tensor({ 0, 1, 2, 0, 1 }, { dtype = "u8" })
  ms.save(path, { x_train = images, y_train = labels, x_test = images[{ { 1, 2 } }], y_test = labels[{ { 1, 2 } }], more = ms.ones { 1 } })
  local train, test = ms.data.npz(path, { normalize = { mean = 0.5, std = 0.5 } })
  lu.assertEquals({ #train, #test }, { 5, 2 })
  lu.assertEquals(train.raw.shape, { n, 1, 2, 3 })
  lu.assertEquals(train.labels:totable(), { 1, 2, 3, 1, 2 })
  lu.assertEquals(train.classes, { "0", "1", "2" })
  lu.assertEquals(test.classes, { "0", "1", "2" })
  lu.assertAlmostEquals(train[1][{ 1, 1, 1 }]:item(), -1, 1e-6)
  train = ms.data.npz(path, { classes = { "a", "b", "c" }, limit = 2 })
  lu.assertEquals({ #train, train.classes[2] }, { 2, "b" })
  fails("y_train[3] = 2, expected 0..1", ms.data.npz, path, { classes = { "a", "b" } })
  fails("y_train[1] = 0, expected 1 or more", ms.data.npz, path, { base = 1 })
  fails("channels_last: expected N x H x W x C", ms.data.npz, path, { channels_last = true })
  fails("unknown option 'limits'", ms.data.npz, path, { limits = 3 })

  ms.save(path, { x_train = ms.ones { 4, 2, 3, 1 } })
  local one, none = ms.data.npz(path, { channels_last = true })
  lu.assertEquals(one.raw.shape, { 4, 1, 2, 3 })
  lu.assertNil(one.labels)
  lu.assertNil(none)
  ms.save(path, { a = ms.ones { 2 }, b = ms.ones { 2 } })
  fails("expected arrays x_train and x_test (and y_train, y_test), got a, b", ms.data.npz, path)
  ms.save(path, { x_train = ms.ones { 4, 2 }, y_train = ms.ones { 3 } })
  fails("y_train: expected 4 labels, got", ms.data.npz, path)
  ms.save(self.dir .. "/x.npy", ms.ones { 2 })
  fails("got none that has a name", ms.data.npz, self.dir .. "/x.npy")
end

-- ---- CSV ---------------------------------------------------------------------------------------------------------------------------

TestCsv = {}
function TestCsv:setUp()
  self.dir = checks.temporary_folder()
  self.path = self.dir .. "/t.csv"
end
TestCsv.tearDown = TestNumpy.tearDown

function TestCsv:read(text, given)
  write(self.path, text)
  return ms.data.read_csv(self.path, given)
end

function TestCsv:test_numbers_and_texts()
  local x, texts, names = self:read "a,kind,b\n1,x,2\n3.5,y,-4e1\n"
  lu.assertEquals(x:totable(), { { 1, 2 }, { 3.5, -40 } })
  lu.assertEquals(x.dtype, "f32")
  lu.assertEquals(texts, { kind = { "x", "y" } })
  lu.assertEquals(names, { "a", "b" })
  x, texts, names = ms.load(self.path) -- by content
  lu.assertEquals({ x:totable(), texts, names }, { { { 1, 2 }, { 3.5, -40 } }, { kind = { "x", "y" } }, { "a", "b" } })
end

function TestCsv:test_quotes_line_ends_and_marks()
  local x, texts, names = self:read '\xef\xbb\xbf"a, b","say ""x"""\r\n1,"two\nlines"\r\n\r\n2,""\r3,"he said ""no"""'
  lu.assertEquals(x:totable(), { { 1 }, { 2 }, { 3 } })
  lu.assertEquals(texts['say "x"'], { "two\nlines", "", 'he said "no"' })
  lu.assertEquals(names, { "a, b" })
  local long = ('y""'):rep(700000) -- longer than a window of the reader
  lu.assertErrorMsgContains("a field of more than", self.read, self, 'a\n"' .. long .. '"\n')
  for _, n in ipairs { 349520, 349521, 349522, 349523 } do -- the window ends within the field, also between two quotes
    texts = select(2, self:read('a,b\n' .. ("x"):rep(700000) .. ',"' .. ('y""'):rep(n // 8) .. '"\n' .. ("z"):rep(n) .. ',"'
      .. ('""'):rep(n) .. '"'))
    lu.assertEquals({ #texts.a[1], #texts.b[1], #texts.a[2], texts.b[2] == ('"'):rep(n) }, { 700000, n // 8 * 2, n, true })
  end
end

function TestCsv:test_header_and_delimiter()
  local x, texts, names = self:read "1;2;u\n3;4;v"
  lu.assertEquals({ x:totable(), texts, names }, { { { 1, 2 }, { 3, 4 } }, { [3] = { "u", "v" } }, { 1, 2 } })
  lu.assertEquals(self:read("1\t2\n3\t4\n"):totable(), { { 1, 2 }, { 3, 4 } })
  lu.assertEquals(self:read("1 2\n3 4\n", { delimiter = " " }):totable(), { { 1, 2 }, { 3, 4 } })
  lu.assertEquals((select(3, self:read("1,2\n3,4\n", { header = true }))), { "1", "2" })
  lu.assertEquals((select(2, self:read("a,b\nc,d\n", { header = false }))), { { "a", "c" }, { "b", "d" } })
  lu.assertEquals(self:read("a,b\n"):size(1), 0)
  lu.assertEquals(self:read("7"):totable(), { { 7 } })
  -- a first line of nothing but missing values names nothing
  x, texts, names = self:read ",NA, null\n1,2,3\n"
  lu.assertEquals({ x:isnan():totable(), x[2]:totable(), texts, names },
    { { { true, true, true }, { false, false, false } }, { 1, 2, 3 }, {}, { 1, 2, 3 } })
  lu.assertEquals((select(3, self:read ",b\n1,2\n")), { "", "b" })
  lu.assertEquals((select(3, self:read('"",""\n1,2\n'))), { "", "" }) -- quoted: texts
  lu.assertEquals((select(3, self:read(",\n1,2\n", { header = true }))), { "", "" })
end

function TestCsv:test_missing()
  local x = self:read "a,b,c\n1,NA,\n,2,\nNaN,inf,null\n"
  lu.assertEquals(x:isnan():totable(), { { false, true, true }, { true, false, true }, { true, false, true } })
  lu.assertEquals(x[{ 3, 2 }]:item(), math.huge)
  lu.assertEquals(self:read("1e39\n-inf\n", { dtype = "f64" }):totable(), { { 1e39 }, { -math.huge } })
  fails("line 1, column 1: a number too large for f64, got '1e999'", self.read, self, "1e999\n", { dtype = "f64" })
  fails("line 2, column 2 ('b'): a number is missing", self.read, self, "a,b\n1,NA\n", { missing = "error" })
  fails("line 3, column 1 ('a'): a number is missing", self.read, self, "a,b\n1,2\n,3\n", { missing = "error" })
  lu.assertEquals((select(2, self:read "a,b\n,1\nNA,2\nx,3\n")).a, { "", "NA", "x" })
end

function TestCsv:test_columns_and_classes()
  local text = "id,species,width\n007,setosa,1\n008,virginica,2\n009,setosa,3\n"
  local x, codes, names, classes = self:read(text, { text = "id", codes = true, dtype = "f64" })
  lu.assertEquals({ x:totable(), x.dtype, names }, { { { 1 }, { 2 }, { 3 } }, "f64", { "width" } })
  lu.assertEquals(codes.species:totable(), { 1, 2, 1 })
  lu.assertEquals(classes, { species = { "setosa", "virginica" }, id = { "007", "008", "009" } })
  local y, texts = self:read(text, { columns = { 3, "species" } })
  lu.assertEquals({ y:totable(), texts }, { { { 1 }, { 2 }, { 3 } }, { species = { "setosa", "virginica", "setosa" } } })
  lu.assertEquals((select(2, self:read(text, { text = true }))).width, { "1", "2", "3" })
  fails("there is no column 'spices'", self.read, self, text, { columns = "spices" })
  fails("there is no column 4: expected 1..3", self.read, self, text, { text = 4 })
  fails("two columns of the name 'a'", self.read, self, "a,a\n1,2\n", { columns = "a" })
  fails("two columns of texts have the name 'a'", self.read, self, "a,a\nx,y\n")
end

function TestCsv:test_errors_name_line_and_column()
  for text, why in pairs { ["a,b\n1,2\n3\n"] = "line 3: expected 2 fields, as in the first line, got 1",
    ["a,b\n1,2,3\n"] = "line 2: expected 2 fields, as in the first line, got 3",
    ["a,b\n1,2\n\n\n3,x\n"] = "line 5, column 2 ('b'): expected a number as in the lines before",
    ["a,b\n1,2\n3,-1e39\n"] = "line 3, column 2 ('b'): a number too large for f32 (dtype = \"f64\"), got '-1e39'",
    ["1,2\n3,4.5.6\n"] = "line 2, column 2: expected a number as in the lines before",
    ['a\n"x'] = "line 2, column 1: a quote is not closed", ['a,b\n1,"x"y\n'] = "line 2, column 2: expected a delimiter",
    ["a\nx\0y\n"] = "line 2, column 1: expected text without zero bytes", [""] = "there is no line in it",
    ['a,b\n"x\ny",1\nz\n'] = "line 4: expected 2 fields" } do
    fails(self.path .. ": " .. why, self.read, self, text)
  end
  fails('missing: expected "nan" or "error"', self.read, self, "1", { missing = "0" })
  fails("delimiter: expected one character", self.read, self, "1", { delimiter = ",," })
  fails("delimiter: expected one character", self.read, self, "1", { delimiter = "1" })
  fails("columns: expected names of columns or places", self.read, self, "1", { columns = { true } })
  fails("unknown option 'delim'", self.read, self, "1", { delim = "," })
  fails("No such file", ms.data.read_csv, self.dir .. "/none")
end

function TestCsv:test_written_and_read_back()
  local x = ms.tensor({ { 0.1, -2, 1e-30 }, { 1 / 3, 16777217, math.huge } }, { dtype = "f64" })
  for _, name in ipairs { "/x.csv", "/x.csv.gz" } do
    ms.data.write_csv(self.dir .. name, x, { names = { "a", "b,c", 'd"' } })
    local back, _, names = ms.data.read_csv(self.dir .. name, { dtype = "f64" })
    lu.assertTrue(back:equal(x))
    lu.assertEquals(names, { "a", "b,c", 'd"' })
  end
  lu.assertEquals(contents(self.dir .. "/x.csv"), 'a,"b,c","d"""\n0.1,-2,1e-30\n0.3333333333333333,16777217,inf\n')
  ms.data.write_csv(self.path, ms.tensor { 0.1, 16777216, 0 / 0 })
  lu.assertEquals(contents(self.path), "0.1\n16777216\nnan\n")
  local mixed = { { "name", { "7", "", " a", "b" } }, { "n", ms.tensor({ 1, 2, 3, 4 }, { dtype = "i64" }) }, { "ok", { 1, 0, 2.5, 3 } } }
  ms.data.write_csv(self.path, mixed, { delimiter = ";" })
  lu.assertEquals(contents(self.path), 'name;n;ok\n"7";1;1\n"";2;0\n" a";3;2.5\nb;4;3\n')
  local y, texts = ms.data.read_csv(self.path, { text = "name" })
  lu.assertEquals({ y:totable(), texts.name }, { { { 1, 1 }, { 2, 0 }, { 3, 2.5 }, { 4, 3 } }, mixed[1][2] })
  fails("names: expected a list of 3", ms.data.write_csv, self.path, x, { names = { "a" } })
  fails("expected a tensor of rows x columns", ms.data.write_csv, self.path, ms.zeros { 2, 2, 2 })
  fails("column 'b' has 1 rows, the ones before 2", ms.data.write_csv, self.path, { { "a", { 1, 2 } }, { "b", { 1 } } })
  fails("column 1: expected texts without zero bytes, entry 2", ms.data.write_csv, self.path, { { "a", { "x", {} } } })
  fails("expected a tensor, or a list of { name, values }, got nil", ms.data.write_csv, self.path)
end
