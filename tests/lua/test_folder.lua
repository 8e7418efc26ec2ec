-- luacheck: globals TestFolder TestScenes TestResize
-- Data sets of picture files: ms.data.folder, ms.data.scenes.
-- gcstress: every 20
local checks = require "checks"
local json = require "mascon.json"
local lu = require "luaunit"
local ms = require "mascon"
local system = require "mascon.system"

local fails, write = checks.fails, checks.write

TestFolder = {}

-- dogs/1.png ... dogs/5.png, cats/1.png ... cats/3.png, 6 x 4 pixels: the i-th dog is grey 10 i, the i-th cat 100 + 10 i.
function TestFolder:setUp()
  self.dir = checks.temporary_folder()
  for class, n in pairs { dogs = 5, cats = 3 } do
    assert(system.mkdir(("%s/%s"):format(self.dir, class)))
    for i = 1, n do
      local grey = (class == "cats" and 100 or 0) + 10 * i
      ms.image.save(("%s/%s/%d.png"):format(self.dir, class, i), ms.full({ 6, 4 }, grey, { dtype = "u8" }))
    end
  end
end
function TestFolder:tearDown() checks.remove_folder(self.dir) end

local function greys(x) return x[{ {}, 1, 1, 1 }]:totable() end

function TestFolder:test_a_class_for_each_folder()
  local ds = ms.data.folder(self.dir)
  lu.assertEquals(ds.classes, { "cats", "dogs" })
  lu.assertEquals(ds.labels:totable(), { 1, 1, 1, 2, 2, 2, 2, 2 })
  lu.assertEquals(ds.raw.shape, { 8, 3, 6, 4 })
  lu.assertEquals(ds.raw.dtype, "u8")
  lu.assertEquals(greys(ds.raw), { 110, 120, 130, 10, 20, 30, 40, 50 })
  lu.assertEquals(ds:file(4), self.dir .. "/dogs/1.png")
  lu.assertEquals(tostring(ds), "folder data set: 8 samples of 3 x 6 x 4 u8, 2 classes")
  local some = ds:subset(4, 6):subset { 3, 1 }
  lu.assertEquals({ greys(some.raw), some:file(1), some:file(2) }, { { 30, 10 }, self.dir .. "/dogs/3.png", self.dir .. "/dogs/1.png" })
  lu.assertAlmostEquals(ds[8][{ 1, 1, 1 }]:item(), 50 / 255, 1e-6)
  lu.assertNil(ms.data.tensors({ ms.ones { 2, 2 } }):file(1))
end

function TestFolder:test_classes_limit_channels()
  local ds = ms.data.folder(self.dir, { classes = { "dogs" }, channels = 1, limit = 2, name = "mine" })
  lu.assertEquals(ds.labels:totable(), { 1, 1 })
  lu.assertEquals(ds.raw.shape, { 2, 1, 6, 4 })
  lu.assertEquals(ds.name, "mine")
  lu.assertEquals(ms.data.folder(self.dir, { classes = { "dogs", "cats" }, limit = 1 }).labels:totable(), { 2, 1 })
end

function TestFolder:test_the_class_in_the_name()
  for _, name in ipairs { "coast_a1", "forest_b", "coast_c_2" } do
    ms.image.save(self.dir .. "/dogs/" .. name .. ".png", ms.zeros({ 2, 2 }, { dtype = "u8" }))
    os.rename(self.dir .. "/dogs/" .. name .. ".png", self.dir .. "/cats/" .. name .. ".PNG")
  end
  for i = 1, 3 do os.remove(("%s/cats/%d.png"):format(self.dir, i)) end
  write(self.dir .. "/cats/notes.txt", "no picture")
  write(self.dir .. "/cats/.hidden.png", "none either")
  local ds = ms.data.folder(self.dir .. "/cats/", { pattern = "^(%a+)_" })
  lu.assertEquals({ ds.classes, ds.labels:totable() }, { { "coast", "forest" }, { 1, 1, 2 } })
  fails("pattern '^(%d+)_' does not match the file's name", ms.data.folder, self.dir .. "/cats", { pattern = "^(%d+)_" })
  fails("pattern: ", ms.data.folder, self.dir .. "/cats", { pattern = "(" })
  fails("expected folders of pictures", ms.data.folder, self.dir .. "/cats")
end

function TestFolder:test_pictures_that_stay_in_their_files_are_the_same()
  local a, b = ms.data.folder(self.dir, { size = 3 }), ms.data.folder(self.dir, { size = 3, cache = false })
  lu.assertEquals(tostring(a), tostring(b))
  for _, how in ipairs { { batch = 3 }, { batch = 3, shuffle = true, seed = 1 }, { batch = 3, drop_last = true }, { batch = 100 },
    { batch = 2, sampler = { 5, 1, 1 } }, { batch = 2, sampler = function(_, i) return (i or 0) < 5 and (i or 0) + 1 or nil end } } do
    local walk, n = b:loader(how):iter(), 0
    for x, y in a:loader(how):iter() do
      local x2, y2 = walk()
      lu.assertTrue(x:equal(x2))
      lu.assertTrue(y:equal(y2))
      n = n + #x
    end
    lu.assertNil(walk())
    lu.assertTrue(n > 2)
  end
  lu.assertTrue(b:subset(2, 4):batch():equal((a:subset(2, 4):batch())))
  lu.assertTrue(b:subset({ 8, 1 }).raw:equal(a:subset({ 8, 1 }).raw))
  lu.assertTrue(b.raw:equal(a.raw))
  lu.assertTrue(b[8]:equal(a[8]))
  lu.assertEquals(b:subset(8, 8):file(1), a:file(8))
  lu.assertTrue(b:map(function(x) return x:mean({ 2, 3, 4 }) end):equal((a:map(function(x) return x:mean({ 2, 3, 4 }) end))))
  local loader = b:loader { batch = 1 }
  for _ = 1, 5 do
    for x in loader do -- luacheck: ignore 512 (left early, begun again)
      lu.assertAlmostEquals(x:mean():item(), 110 / 255, 1e-6)
      break
    end
  end
end

function TestFolder:test_bad_pictures_are_named()
  local bad = self.dir .. "/dogs/3.png"
  write(bad, "no picture at all")
  fails(bad .. ": expected a PNG or JPEG picture", ms.data.folder, self.dir)
  local ds = ms.data.folder(self.dir, { cache = false })
  local seen = 0
  fails(bad, function() for x in ds:loader { batch = 1 } do seen = seen + #x end end)
  lu.assertEquals(seen, 5)
  ms.image.save(bad, ms.zeros({ 5, 4 }, { dtype = "u8" }))
  fails(bad .. ": it is 5 x 4, others before it 6 x 4: choose one by the option size", ms.data.folder, self.dir)
  lu.assertEquals(ms.data.folder(self.dir, { size = { 5, 4 } }).raw.shape, { 8, 3, 5, 4 })
  os.remove(bad)
  fails(bad .. ": cannot open", function() for _ in ds:loader { batch = 3 } do end end) -- luacheck: ignore
end

function TestFolder:test_misuse()
  fails("data.folder: expected the name of a folder, got nil", ms.data.folder)
  fails("is no folder", ms.data.folder, self.dir .. "/none")
  fails("unknown option 'sizes'", ms.data.folder, self.dir, { sizes = 3 })
  fails("size: expected a whole number from 1 on, got 0", ms.data.folder, self.dir, { size = 0 })
  fails("size: expected a whole number from 1 on, got nil", ms.data.folder, self.dir, { size = { 3 } })
  fails("channels: expected 1 or 3, got 2", ms.data.folder, self.dir, { channels = 2 })
  fails('fit: expected "crop" or "stretch", got "pad"', ms.data.folder, self.dir, { fit = "pad" })
  fails("classes: there is no picture of 'cows' in it", ms.data.folder, self.dir, { classes = { "cows" } })
  fails("cache: expected true or false", ms.data.folder, self.dir, { cache = 1 })
  assert(system.mkdir(self.dir .. "/empty"))
  fails(self.dir .. "/empty: there is no picture", ms.data.folder, self.dir)
end

TestResize = { setUp = TestFolder.setUp, tearDown = TestFolder.tearDown }

-- As Pillow does it (tests/peers/make_formats.py), up to the last rounding.
function TestResize:test_as_pillow()
  local expected = json.decode(checks.contents "tests/data/formats/resized.json")
  assert(system.mkdir(self.dir .. "/set"))
  assert(system.mkdir(self.dir .. "/set/a"))
  ms.image.save(self.dir .. "/set/a/1.png", ms.tensor(expected.picture, { dtype = "u8" }))
  for _, e in ipairs(expected.resized) do
    for _, fit in ipairs { "stretch", "crop" } do
      local x = ms.data.folder(self.dir .. "/set", { size = { e.height, e.width }, fit = fit, channels = 1 }).raw[{ 1, 1 }]
      local off = (x:float() - ms.tensor(e[fit])):abs():max():item()
      lu.assertTrue(off <= 1, ("%d x %d %s: off by %g"):format(e.height, e.width, fit, off))
    end
  end
end

TestScenes = {}

local scenes = (os.getenv "MASCON_DATA" or "../shared/data") .. "/scenes8"

function TestScenes.test_scenes()
  lu.skipIf(not system.kind(scenes .. "/all_64x64") or checks.stress, "no scenes here")
  local train, test = ms.data.scenes { data = scenes, size = 8, limit = 10 }
  lu.assertEquals({ #train, #test, #train.classes }, { 64, 16, 8 })
  lu.assertEquals(train.raw.shape, { 64, 3, 8, 8 })
  local counts = {}
  for i, y in ipairs(test.labels:totable()) do
    counts[y] = (counts[y] or 0) + 1
    lu.assertStrContains(test:file(i), "/" .. test.classes[y] .. "_")
  end
  lu.assertEquals(counts, { 2, 2, 2, 2, 2, 2, 2, 2 })
  local again = ms.data.scenes { data = scenes, size = 8, limit = 10 }
  lu.assertTrue(again.labels:equal(train.labels))
  fails("split: expected a fraction", ms.data.scenes, { split = 1 })
end

function TestScenes.test_none()
  fails("data.scenes: looked for the folder all_64x64", function()
    local got = ms.data.scenes { data = "/nonexistent" }
    error(system.kind(scenes) and "data.scenes: looked for the folder all_64x64: found elsewhere " .. tostring(got) or "found")
  end)
end
