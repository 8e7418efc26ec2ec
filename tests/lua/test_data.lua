-- luacheck: globals TestIdx TestMnist TestDataset TestLoader TestGather
local checks = require "checks"
local lu = require "luaunit"
local ms = require "mascon"
local system = require "mascon.system"

local temporary_folder, remove_folder, write = checks.temporary_folder, checks.remove_folder, checks.write

-- An IDX file's bytes: u8 values, sizes big-endian.
local function idx(sizes, bytes)
  local head = string.char(0, 0, 8, #sizes)
  for _, n in ipairs(sizes) do head = head .. string.pack(">I4", n) end
  return head .. bytes
end

local STEMS = { "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte" }

-- A set of 6 training and 3 test images of 2 x 2; image i (from 0) has the values 10 i .. 10 i + 3, label i % 3.
local function small_set(dir)
  for part = 0, 1 do
    local n = part == 0 and 6 or 3
    local images, labels = "", ""
    for i = 0, n - 1 do
      images = images .. string.char(10 * i, 10 * i + 1, 10 * i + 2, 10 * i + 3)
      labels = labels .. string.char(i % 3)
    end
    write(("%s/%s"):format(dir, STEMS[2 * part + 1]), idx({ n, 2, 2 }, images))
    write(("%s/%s"):format(dir, STEMS[2 * part + 2]), idx({ n }, labels))
  end
end

-- A data set whose i-th image is the number i (f32, one element), label (i - 1) % 3 + 1.
local function counted(n, options)
  local images, labels = {}, {}
  for i = 1, n do images[i], labels[i] = { i }, (i - 1) % 3 + 1 end
  local t = { ms.tensor(images), ms.tensor(labels, { dtype = "i64" }), classes = { "a", "b", "c" } }
  for k, v in pairs(options or {}) do t[k] = v end
  return ms.data.tensors(t)
end

local function flat(x) return x:reshape { -1 }:totable() end

TestIdx = {}

function TestIdx:setUp() self.dir = temporary_folder() end
function TestIdx:tearDown() remove_folder(self.dir) end

function TestIdx:test_round_trip_of_every_type()
  for dtype, values in pairs { u8 = { { 0, 1, 255 }, { 7, 8, 9 } }, i32 = { { -2147483648, 0, 2147483647 } }, f32 = { 0.5, -1.25 },
    f64 = { { { 1e300 } } } } do
    for _, ending in ipairs { "", ".gz" } do
      local t, path = ms.tensor(values, { dtype = dtype }), self.dir .. "/" .. dtype .. ending
      ms.data.write_idx(path, t)
      local back = ms.data.read_idx(path)
      lu.assertEquals(back.dtype, dtype)
      lu.assertEquals(back.shape, t.shape)
      lu.assertEquals(back:totable(), values)
    end
  end
  local path = self.dir .. "/i8"
  ms.data.write_idx(path, ms.tensor({ -128, 127 }, { dtype = "i32" }), { type = "i8" })
  lu.assertEquals(ms.data.read_idx(path):totable(), { -128, 127 })
  local x = ms.tensor({ { 1, 2, 3 }, { 4, 5, 6 } }, { dtype = "u8" }) -- not contiguous when transposed
  ms.data.write_idx(path, x:transpose(1, 2))
  lu.assertEquals(ms.data.read_idx(path):totable(), { { 1, 4 }, { 2, 5 }, { 3, 6 } })
end

function TestIdx:test_bad_files_raise()
  local path = self.dir .. "/bad"
  for what, bytes in pairs { ["padded"] = idx({ 2, 2 }, "abcde"), ["truncated"] = idx({ 2, 2 }, "abc"), ["no header"] = "\0\0",
    ["empty"] = "", ["wrong type"] = "\0\0\7\1\0\0\0\1a", ["huge"] = idx({ 0xffffffff, 0xffffffff, 0xffffffff }, "a"),
    ["gzip cut short"] = "\31\139\8\0\0\0\0\0\0\3", ["text"] = "hello there" } do
    write(path, bytes)
    local fine, message = pcall(ms.data.read_idx, path)
    lu.assertFalse(fine, what)
    lu.assertStrContains(message, path)
  end
  lu.assertErrorMsgContains("No such file", ms.data.read_idx, self.dir .. "/missing")
  lu.assertErrorMsgContains("read_idx: expected the name of a file, got nothing", ms.data.read_idx)
  lu.assertErrorMsgContains("write_idx", ms.data.write_idx, path, 3)
  lu.assertErrorMsgContains("No such file", ms.data.write_idx, self.dir .. "/none/x", ms.tensor { 1 })
  lu.assertErrorMsgContains("unknown option 'typ'; did you mean type?", ms.data.write_idx, path, ms.tensor { 1 }, { typ = "u8" })
end

function TestIdx:test_failures_leak_nothing()
  local path = self.dir .. "/bad"
  write(path, idx({ 2, 2 }, "abc"))
  collectgarbage()
  collectgarbage()
  local before = ms.memory().storages
  for _ = 1, 50 do pcall(ms.data.read_idx, path) end
  collectgarbage()
  collectgarbage()
  lu.assertEquals(ms.memory().storages, before)
end

TestMnist = {}

function TestMnist:setUp()
  self.dir = temporary_folder()
  small_set(self.dir)
end
function TestMnist:tearDown() remove_folder(self.dir) end

function TestMnist:test_files_in_a_folder()
  local train, test = ms.data.mnist { data = self.dir }
  lu.assertEquals({ #train, #test }, { 6, 3 })
  lu.assertEquals(train.raw.shape, { 6, 1, 2, 2 })
  lu.assertEquals(train.raw.dtype, "u8")
  lu.assertEquals(train.labels:totable(), { 1, 2, 3, 1, 2, 3 })
  lu.assertEquals(train.labels.dtype, "i64")
  lu.assertEquals(train.classes[train.labels[1]:item()], "0")
  lu.assertEquals({ train.name, train.source, train.device }, { "MNIST", self.dir, "cpu" })
  lu.assertEquals(tostring(train), "MNIST data set: 6 samples of 1 x 2 x 2 u8, 10 classes")
  local x, label, class = train:get(2)
  lu.assertEquals(x.shape, { 1, 2, 2 })
  lu.assertAlmostEquals(x[{ 1, 1, 1 }]:item(), 10 / 255, 1e-7)
  lu.assertEquals({ label, class }, { 2, "1" })
  lu.assertEquals(#ms.data.fashion_mnist { dir = self.dir, limit = 2 }, 2)
  local a, b = ms.data.mnist { data = self.dir, limit = { 4, 1 } }
  lu.assertEquals({ #a, #b }, { 4, 1 })
end

function TestMnist:test_subfolder_and_gzip_are_found()
  local top = temporary_folder()
  assert(system.mkdir(top .. "/fashion-mnist"))
  for _, stem in ipairs(STEMS) do
    ms.data.write_idx(("%s/fashion-mnist/%s.gz"):format(top, stem), ms.data.read_idx(self.dir .. "/" .. stem))
  end
  local train = ms.data.fashion_mnist { data = top }
  lu.assertEquals({ #train, train.source, train.classes[10] }, { 6, top .. "/fashion-mnist", "Ankle boot" })
  lu.assertEquals(ms.data.find("auto", { data = top }).name, "Fashion-MNIST")
  lu.assertEquals(ms.data.find("fashion", { data = top }).name, "Fashion-MNIST")
  lu.assertEquals(ms.data.find("auto", { data = self.dir }).name, "MNIST")
  lu.assertErrorMsgContains("expected auto, mnist or fashion, got cifar", ms.data.find, "cifar")
  remove_folder(top)
end

function TestMnist:test_a_set_is_not_taken_for_the_other()
  local labels = "" -- as the training labels of MNIST begin
  for digit in ("504192131443"):gmatch "." do labels = labels .. string.char(tonumber(digit)) end
  write(self.dir .. "/" .. STEMS[1], idx({ 12, 2, 2 }, ("x"):rep(48)))
  write(self.dir .. "/" .. STEMS[2], idx({ 12 }, labels))
  lu.assertEquals(ms.data.mnist({ data = self.dir }).source, self.dir)
  local ok, got = pcall(ms.data.fashion_mnist, { data = self.dir })
  if ok then lu.assertNotEquals(got.source, self.dir) else lu.assertStrContains(got, "holds MNIST") end
end

function TestMnist:test_bad_files_raise()
  local function bad(what, file, bytes)
    small_set(self.dir)
    write(self.dir .. "/" .. STEMS[file], bytes)
    lu.assertErrorMsgContains(what, ms.data.mnist, { data = self.dir })
  end
  bad("train-labels-idx1-ubyte: label[3] = 12, expected 0..9", 2, idx({ 6 }, "\0\1\12\0\0\0"))
  bad("has 6 images, ", 2, idx({ 5 }, "\0\1\2\0\0"))
  bad("expected u8 images N x H x W, got 6 x 4", 1, idx({ 6, 4 }, ("a"):rep(24)))
  bad("expected labels in one dimension", 2, idx({ 6, 1 }, "\0\1\2\0\0\0"))
  bad(STEMS[1], 1, idx({ 6, 2, 2 }, ("a"):rep(23)))
  bad(STEMS[3], 3, idx({ 3, 2, 2 }, ("a"):rep(13)))
  small_set(self.dir)
  os.remove(self.dir .. "/" .. STEMS[4])
  lu.assertErrorMsgContains("has no t10k-labels-idx1-ubyte", ms.data.mnist, { data = self.dir })
end

function TestMnist:test_what_is_missing_is_said()
  -- In a program of its own, where nothing is beside the working folder and in the cache.
  if not os.getenv "MASCON" then lu.skip "skipped: $MASCON does not name the program" end
  local empty = temporary_folder()
  local program = system.run { "sh", "-c", [[cd "$1" && HOME="$1" XDG_CACHE_HOME= MASCON_DATA= "$2" -e '
    local ms = require "mascon"
    local ok, message = pcall(ms.data.mnist, { data = "/usr" })
    io.open("out", "w"):write(tostring(ok), message)']], "sh", empty, os.getenv "MASCON" }
  lu.assertEquals(program, 0)
  local f <close> = assert(io.open(empty .. "/out"))
  local text = f:read "a"
  for _, part in ipairs { "false", "looked for train-images-idx3-ubyte.gz", "/usr/mnist (option data)", "/.cache/mascon/mnist",
    "/usr/share/datasets/mnist", "Put the four files", "ossci-datasets" } do
    lu.assertStrContains(text, part)
  end
  remove_folder(empty)
end

function TestMnist:test_options_are_checked()
  lu.assertErrorMsgContains("unknown option 'devise'; did you mean device?", ms.data.mnist, { devise = "cpu" })
  lu.assertErrorMsgContains("limit: expected a whole number", ms.data.mnist, { data = self.dir, limit = 0 })
  lu.assertErrorMsgContains("data and dir are the same option", ms.data.mnist, { data = "a", dir = "b" })
  lu.assertErrorMsgContains("expected the name of a folder, got number", ms.data.mnist, { data = 3 })
  lu.assertErrorMsgContains("data: there is no folder '/nowhere'", ms.data.mnist, { data = "/nowhere" }) -- and no other one is taken
  lu.assertError(ms.data.mnist, { data = self.dir, device = "abacus" })
end

local function whole_set(open, n, first, brightness)
  local ok, train, test = pcall(open)
  if not ok then
    lu.assertStrContains(train, "looked for")
    lu.skip("skipped: the files are not here")
  end
  if #train ~= n then lu.skip "skipped: other files by that name are here" end
  lu.assertEquals({ #train, #test }, { n, 10000 })
  lu.assertEquals(train.labels[{ { 1, #first } }]:totable(), first)
  lu.assertAlmostEquals(train:images():mean():item(), brightness, 1e-4)
  lu.assertEquals(train:images(1, 2000):amax():item(), 1)
  local began = ms.time()
  local seen = 0
  for x, y in train:loader { batch = 64, shuffle = true } do seen = seen + #x + #y end
  lu.assertEquals(seen, 2 * n)
  lu.assertTrue(ms.time() - began < 5) -- 0.05 s where nothing else runs
end

function TestMnist.test_the_real_mnist()
  whole_set(ms.data.mnist, 60000, { 6, 1, 5, 2, 10, 3, 2, 4 }, 0.1307)
end

function TestMnist.test_the_real_fashion_mnist()
  whole_set(ms.data.fashion_mnist, 60000, { 10, 1, 1, 4, 1, 3, 8, 3 }, 0.2860)
end

TestDataset = {}

function TestDataset.test_subsets()
  local ds = counted(10)
  lu.assertEquals(flat(ds:subset({ 3, 5 }).raw), { 3, 5 })
  lu.assertEquals(flat(ds:subset(-3, -1).raw), { 8, 9, 10 })
  lu.assertEquals(flat(ds:subset(2, 3).raw), { 2, 3 })
  lu.assertEquals(flat(ds:subset({ 9, 1, 1 }).raw), { 9, 1, 1 })
  local s = ds:subset(ms.tensor({ 5, 2 }, { dtype = "i64" }))
  lu.assertEquals(flat(s.raw), { 5, 2 })
  lu.assertEquals(s.labels:totable(), { 2, 2 })
  lu.assertEquals(flat(ds:subset(ds.labels:eq(3)).raw), { 3, 6, 9 })
  local deep = ds:subset({ 10, 8, 6, 4 }):subset(2, 4):subset { 3, 1, 1 } -- of a subset of a subset
  lu.assertEquals(flat(deep.raw), { 4, 8, 8 })
  lu.assertEquals(flat(deep:images()), { 4, 8, 8 })
  lu.assertEquals({ #deep, deep:get(2):item(), deep[1]:item(), deep.classes[1] }, { 3, 8, 4, "a" })
  for sel, message in pairs { [{ 0, 3 }] = "position 1 is 0, expected 1..10", [{ 1, 2, 11 }] = "position 3 is 11, expected 1..10",
    [{}] = "list of positions is empty", x = "a list of positions or a tensor", [3] = "ds:subset(1, 3) is a range",
    [ms.tensor { 1, 2 }] = "expected positions in one dimension (i64), got 2 f32" } do
    lu.assertErrorMsgContains(message, ds.subset, ds, sel)
  end
  for message, range in pairs { ["range 0, 3 of 1..10"] = { 0, 3 }, ["range 4, 3 of"] = { 4, 3 }, ["range 1, 11 of"] = { 1, 11 },
    ["two whole numbers, got 1, x"] = { 1, "x" }, ["two whole numbers, got 1.5, 2"] = { 1.5, 2 } } do
    lu.assertErrorMsgContains(message, ds.subset, ds, range[1], range[2])
  end
  lu.assertErrorMsgContains("nothing behind a list", ds.subset, ds, { 1, 2 }, 3)
end

function TestDataset.test_split_is_a_partition_and_repeatable()
  local ds = counted(100)
  local a, b = ds:split(0.8, { seed = 3 })
  lu.assertEquals({ #a, #b }, { 80, 20 })
  local seen = {}
  for _, part in ipairs { a, b } do
    for _, v in ipairs(flat(part.raw)) do
      lu.assertNil(seen[v])
      seen[v] = true
    end
  end
  lu.assertEquals(#seen, 100)
  local again = ds:split(80, { seed = 3 })
  lu.assertEquals(flat(again.raw), flat(a.raw))
  lu.assertNotEquals(flat(ds:split(80, { seed = 4 }).raw), flat(a.raw))
  local x, y, z = ds:split({ 0.333, 0.333, 0.334 }, { shuffle = false })
  lu.assertEquals({ #x, #y, #z, flat(z.raw)[1] }, { 34, 33, 33, 68 })
  local few, some = ds:split { 10, 90 }
  lu.assertEquals({ #few, #some }, { 10, 90 })
  ms.seed(5)
  local p = flat(ds:split(0.5).raw)
  ms.seed(5)
  lu.assertEquals(flat(ds:split(0.5).raw), p)
  lu.assertErrorMsgContains("the parts have 120 samples together, the set has 100", ds.split, ds, { 60, 60 })
  lu.assertErrorMsgContains("the parts have 30 samples together, the set has 100", ds.split, ds, { 10, 20 })
  lu.assertErrorMsgContains("the fractions add up to 0.9, expected 1", ds.split, ds, { 0.8, 0.1 })
  lu.assertErrorMsgContains("all fractions or all counts, got 0.5 and 50", ds.split, ds, { 0.5, 50 })
  lu.assertErrorMsgContains("101 is more than the 100 samples", ds.split, ds, 101)
  lu.assertErrorMsgContains("seed: expected a whole number, got x", ds.split, ds, 3, { seed = "x" })
  lu.assertErrorMsgContains("would be empty", ds.split, ds, 100)
  lu.assertErrorMsgContains("above 0", ds.split, ds, -1)
  lu.assertErrorMsgContains("expected whole counts, got 1.5", ds.split, ds, 1.5)
end

-- What torch.utils.data.random_split gives (PyTorch 2.15).
function TestDataset.test_split_by_fractions_is_pytorchs()
  for _, case in ipairs { { 10, { 0.3, 0.3, 0.4 }, { 3, 3, 4 } }, { 7, { 0.5, 0.5 }, { 4, 3 } }, { 1083, { 0.8, 0.2 }, { 867, 216 } },
    { 11, { 0.25, 0.25, 0.25, 0.25 }, { 3, 3, 3, 2 } }, { 100, { 0.29, 0.71 }, { 29, 71 } } } do
    local n, how, want = table.unpack(case)
    local sizes, all = {}, {}
    for k, part in ipairs { counted(n):split(how, { seed = n }) } do
      sizes[k] = #part
      for _, v in ipairs(flat(part.raw)) do all[#all + 1] = v end
    end
    lu.assertEquals(sizes, want)
    table.sort(all)
    lu.assertEquals(all, ms.arange(1, n):totable())
    if #how == 2 then lu.assertEquals(#counted(n):split(how[1]), want[1]) end
  end
end

function TestDataset.test_fields_and_positions()
  local ds = counted(4)
  lu.assertEquals(ds[2]:item(), 2)
  lu.assertEquals(ds[-1]:item(), 4)
  lu.assertNil(ds[5])
  lu.assertErrorMsgContains("position 0 is out of range 1..4", function() return ds[0] end)
  lu.assertErrorMsgContains("no field or method 'lables'; did you mean labels?", function() return ds.lables end)
  local n = 0
  for _, x in ipairs(ds) do n = n + x:item() end
  lu.assertEquals(n, 10)
  lu.assertEquals(ds:pixels(2, 3):totable(), { { 2 }, { 3 } })
  local x, y = ds:batch { 4, 3, 1 }
  lu.assertEquals({ x:totable(), y:totable() }, { { { 4 }, { 3 }, { 1 } }, { 1, 3, 1 } })
  local bare = ms.data.tensors { ms.ones { 3, 2 } }
  lu.assertNil(bare.labels)
  lu.assertEquals(select("#", bare:get(1)), 3)
  lu.assertNil((select(2, bare:get(1))))
  for image, label in bare:loader {} do lu.assertEquals({ #image, label }, { 3 }) end
end

function TestDataset.test_normalize()
  local images = ms.tensor({ { { { 0, 255 } }, { { 51, 102 } } } }, { dtype = "u8" }) -- 1 x 2 x 1 x 2
  local ds = ms.data.tensors { images, normalize = { mean = { 0.5, 0.2 }, std = { 0.5, 0.1 } } }
  local got = flat(ds:images())
  for i, v in ipairs { -1, 1, 0, 2 } do lu.assertAlmostEquals(got[i], v, 1e-6) end
  for x in ds:loader { normalize = { mean = 1 } } do lu.assertAlmostEquals(flat(x)[2], 0, 1e-6) end
  for x in ds:loader { normalize = false } do lu.assertEquals(flat(x)[2], 1) end
  lu.assertErrorMsgContains("mean: expected 2 numbers, got 3", ds.loader, ds, { normalize = { mean = { 1, 2, 3 } } })
  lu.assertErrorMsgContains("std: expected more than 0", ds.loader, ds, { normalize = { std = 0 } })
  lu.assertErrorMsgContains("unknown option 'sdt'; did you mean std?", ds.loader, ds, { normalize = { sdt = 1 } })
  lu.assertErrorMsgContains("mean: expected a number or a list", ms.data.tensors, { images, normalize = { mean = "x" } })
end

function TestDataset.test_wrong_tensors()
  local images, labels = ms.zeros { 3, 2 }, ms.tensor({ 1, 2, 3 }, { dtype = "i64" })
  local function bad(what, t) lu.assertErrorMsgContains(what, ms.data.tensors, t) end
  bad("3 images and 2 labels", { images, labels[{ { 1, 2 } }] })
  bad("labels[2] = 2, expected 1..1", { images, labels, classes = { "only" } })
  bad("labels[1] = 0, expected 1 or more", { images, labels - 1 })
  bad("expected whole numbers in one dimension (dtype = \"i64\", or i32, u8), got 3 f32", { images, labels:to "f32" })
  bad("got 3 x 1 i64", { images, labels:unsqueeze(2) })
  bad("expected images u8 or f32, got 3 x 2 i64", { images:to "i64", labels })
  bad("expected images N x ...", { ms.tensor(1), labels })
  bad("expected a tensor of images first, got nil", {})
  bad("expected a tensor of labels second, got table", { images, { 1, 2, 3 } })
  bad("unknown option 'clases'; did you mean classes?", { images, labels, clases = {} })
  lu.assertEquals(ms.data.tensors({ images, labels:to "u8" }).labels:totable(), { 1, 2, 3 })
end

TestLoader = {}

function TestLoader.test_every_sample_once_in_order()
  local ds = counted(10)
  local loader = ds:loader { batch = 4 }
  lu.assertEquals(#loader, 3)
  for _ = 1, 2 do
    local seen, sizes = {}, {}
    for x, y in loader do
      lu.assertEquals({ x.dtype, y.dtype, #x }, { "f32", "i64", #y })
      sizes[#sizes + 1] = #x
      for i, v in ipairs(flat(x)) do
        seen[#seen + 1] = v
        lu.assertEquals(y[i]:item(), (v - 1) % 3 + 1)
      end
    end
    lu.assertEquals(seen, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 })
    lu.assertEquals(sizes, { 4, 4, 2 })
  end
  local short = ds:loader { batch = 4, drop_last = true }
  local n = 0
  for x in short do n = n + #x end
  lu.assertEquals({ #short, n }, { 2, 8 })
end

local function walk(loader)
  local seen = {}
  for x, y in loader do
    for i, v in ipairs(flat(x)) do
      seen[#seen + 1] = v
      lu.assertEquals(y[i]:item(), (v - 1) % 3 + 1)
    end
  end
  return seen
end

function TestLoader.test_shuffled_anew_and_repeatable()
  local ds = counted(50)
  local loader = ds:loader { batch = 7, shuffle = true }
  ms.seed(1)
  local first, second = walk(loader), walk(loader)
  lu.assertNotEquals(first, second)
  ms.seed(1)
  lu.assertEquals(walk(loader), first)
  local seed, counter = ms.rng_state()
  local third = walk(loader)
  lu.assertEquals(third, second)
  ms.rng_state(seed, counter)
  lu.assertEquals(walk(loader), third)
  table.sort(first)
  for i = 1, 50 do lu.assertEquals(first[i], i) end
  lu.assertEquals(#walk(ds:subset({ 2, 4, 6, 8, 10 }):loader { shuffle = true, batch = 2 }), 5)
end

function TestLoader.test_seed_is_independent_and_follows_the_epoch()
  local ds = counted(30)
  local a, b = ds:loader { batch = 8, shuffle = true, seed = 9 }, ds:loader { batch = 5, shuffle = true, seed = 9 }
  local state = { ms.rng_state() }
  local one, two = walk(a), walk(a)
  lu.assertEquals({ ms.rng_state() }, state)
  lu.assertNotEquals(one, two)
  b.epoch = 1 -- go on after the first walk
  lu.assertEquals(walk(b), two)
  lu.assertEquals({ a.epoch, b.epoch }, { 2, 2 })
end

function TestLoader.test_break_and_two_loops_at_once()
  local loader = counted(9):loader { batch = 3 }
  for _ in loader do break end -- luacheck: ignore 512
  lu.assertEquals(#walk(loader), 9)
  lu.assertErrorMsgContains("two loops over one loader", function()
    for _ in loader do
      for _ in loader do break end -- luacheck: ignore 512
    end
  end)
  local n = 0
  for x in loader:iter() do
    for y in loader:iter() do n = n + #x * #y end
  end
  lu.assertEquals(n, 81)
  local forever, seen = loader:cycle(), {}
  for i = 1, 7 do seen[i] = flat(forever())[1] end
  lu.assertEquals(seen, { 1, 4, 7, 1, 4, 7, 1 })
  lu.assertEquals(flat((loader())), { 1, 2, 3 })
end

function TestLoader.test_transform_and_progress()
  local ds = counted(5)
  local seen, labels = {}, 0
  for x, y in ms.progress(ds:loader { batch = 2, transform = function(x) return x * 10 end }, { shown = false }) do
    seen[#seen + 1] = flat(x)[1]
    labels = labels + #y
  end
  lu.assertEquals({ seen, labels }, { { 10, 30, 50 }, 5 })
  for _, y in ds:loader { transform = function(x, y) return x, y + 1 end } do lu.assertEquals(y[1]:item(), 2) end
end

function TestLoader.test_wrong_options()
  local ds = counted(5)
  lu.assertErrorMsgContains("unknown option 'shufle'; did you mean shuffle?", ds.loader, ds, { shufle = true })
  lu.assertErrorMsgContains("batch: expected a whole number from 1 on, got 0", ds.loader, ds, { batch = 0 })
  lu.assertErrorMsgContains("batch", ds.loader, ds, { batch = 2.5 })
  lu.assertErrorMsgContains("drop_last leaves nothing: 5 samples, batch = 64", ds.loader, ds, { drop_last = true })
  lu.assertErrorMsgContains("transform: expected a function", ds.loader, ds, { transform = 3 })
  lu.assertErrorMsgContains("seed: expected a whole number", ds.loader, ds, { seed = "x" })
  local _, message = pcall(function() return ds:loader { batch = -1 } end)
  lu.assertStrMatches(message, ".*test_data.lua:%d+: loader: batch: .*") -- the script's own line
end

TestMap = {}

function TestMap.test_rows_in_order_without_gradients()
  local ds, w = counted(23), ms.tensor({ { 2 } }, { requires_grad = true })
  local codes, labels = ds:map(function(x) return ms.matmul(x, w) end, { batch = 5 })
  lu.assertEquals(codes.shape, { 23, 1 })
  lu.assertEquals(codes[23]:item(), 46)
  lu.assertFalse(codes.requires_grad)
  lu.assertTrue(ms.grad_enabled())
  lu.assertEquals(labels:totable(), ds.labels:totable())
  local a, b, y = ds:map(function(x, y) return x, y:to "f32" end)
  lu.assertEquals({ #a, #b, #y }, { 23, 23, 23 })
  local one, none = ms.data.tensors({ ms.ones { 4, 2 } }):map(function(x) return x end)
  lu.assertEquals({ #one, none }, { 4 })
  local many = ds:loader({ batch = 1 }):map(function(x) return x end)
  lu.assertEquals(flat(many), flat(ds.raw))
end

function TestMap.test_gather_is_the_operation()
  local x = ms.tensor { { 1, 2 }, { 3, 4 } }
  local i = ms.tensor({ { 2, 1 }, { 1, 1 } }, { dtype = "i64" })
  lu.assertEquals(ms.gather(x, 2, i):totable(), { { 2, 1 }, { 3, 3 } })
  lu.assertEquals(x:gather(2, i):totable(), { { 2, 1 }, { 3, 3 } })
end

function TestMap.test_files_that_are_located_and_their_digests()
  local dir = checks.temporary_folder()
  local path = dir .. "/some.npz"
  checks.write(path, "abc")
  lu.assertEquals(ms.data.locate("some.npz", { data = dir }), path)
  lu.assertEquals(ms.data.locate("other.npz", { data = path }), path)
  lu.assertEquals(ms.data.locate("some.npz", { also = { dir } }), path)
  lu.assertErrorMsgContains("there is no no.npz; looked for\n  " .. dir .. "/no.npz\n", ms.data.locate, "no.npz", { data = dir })
  lu.assertErrorMsgContains("\nmake one", ms.data.locate, "no.npz", { hint = "make one" })
  lu.assertEquals(ms.data.digest(path, "md5"), "900150983cd24fb0d6963f7d28e17f72")
  lu.assertErrorMsgContains("expected md5 or sha256 second, got nil", ms.data.digest, path)
  checks.remove_folder(dir)
end

function TestMap.test_misuse_raises_and_gradients_come_back()
  local ds = counted(4)
  local layer = ms.nn.sequential { ms.nn.flatten() } -- takes no labels
  lu.assertEquals((ds:map(layer)).shape[1], #ds)
  local own = ms.nn.class("own", ms.nn.sequential)
  function own:forward(x, y) return x:reshape { #x, -1 } + (y and 1 or 0) end -- luacheck: ignore self
  lu.assertEquals(ds:map(own {}):sub((ds:map(layer))):amin():item(), 1)
  lu.assertErrorMsgContains("expected a function, got nil", ds.map, ds)
  lu.assertErrorMsgContains("a set runs through a function by ds:map(fn)", ms.gather, ds, print)
  lu.assertErrorMsgContains("a row for each of the 4 samples, got 1", ds.map, ds, function(x) return x[{ { 1, 1 } }] end)
  lu.assertErrorMsgContains("a row for each of the 4 samples, got number", ds.map, ds, function() return 3 end)
  lu.assertErrorMsgContains("returned nothing", ds.map, ds, function() end)
  lu.assertErrorMsgContains("oh no", ds.map, ds, function() error "oh no" end)
  lu.assertErrorMsgContains("unknown option 'batc'", ds.map, ds, print, { batc = 1 })
  local calls = 0
  local function more(x)
    calls = calls + 1
    if calls > 1 then return x, x end
    return x
  end
  lu.assertErrorMsgContains("returned 1 results, then 2", ds.map, ds, more, { batch = 2 })
  lu.assertTrue(ms.grad_enabled())
end
