-- plot.tiles: pictures side by side with captions.
-- luacheck: globals TestTiles
local lu = require "luaunit"
local ms = require "mascon"

TestTiles = {}

function TestTiles:setUp()
  self.path = os.tmpname()
  os.remove(self.path)
  self.path = self.path .. ".png"
end
function TestTiles:tearDown() os.remove(self.path) end

function TestTiles:test_pictures_stand_where_they_should()
  local pictures = ms.zeros { 3, 1, 5, 4 }
  pictures[1]:fill_(0.2)
  pictures[3][1][2][3] = 1
  ms.plot.tiles { pictures, captions = { "a", nil, "b" }, columns = 2, scale = 10, padding = 4, file = self.path }
  local im = ms.image.load(self.path)
  -- margin 6, two columns of 40 and 4 between; two rows of 18 for the captions and 50, 4 between
  lu.assertEquals(im.shape, { 3, 6 + 68 + 4 + 68 + 6, 100 })
  local function at(x, y) return im[{ {}, y, x }]:totable() end
  lu.assertEquals(at(10, 30), { 51, 51, 51 })
  lu.assertEquals(at(6 + 39, 6 + 18 + 49), { 51, 51, 51 })
  lu.assertEquals(at(3, 30), { 255, 255, 255 })
  lu.assertEquals(at(6 + 44 + 20, 40), { 0, 0, 0 })
  local left, top = 6, 6 + 68 + 4 + 18
  lu.assertEquals(at(left + 25, top + 15), { 255, 255, 255 })
  lu.assertEquals(at(left + 15, top + 15), { 0, 0, 0 })
  lu.assertTrue(im[{ {}, { 7, 23 }, { 7, 45 } }]:float():flatten():amin(1):item() < 120) -- the caption's ink
end

function TestTiles:test_colours_lists_and_bytes()
  local red = ms.zeros { 3, 30, 40 }
  red[1]:fill_(1)
  local grey = ms.ones({ 30, 40 }):mul(100):to "u8"
  ms.plot.tiles { { red, grey }, scale = 3, title = "two_of a `kind`", file = self.path }
  local im = ms.image.load(self.path)
  lu.assertEquals(im[{ {}, 80, 60 }]:totable(), { 255, 0, 0 })
  lu.assertEquals(im[{ {}, 80, 180 }]:totable(), { 100, 100, 100 })
end

function TestTiles:test_ranges_and_names_of_rows()
  local low, high = ms.full({ 1, 10, 10 }, -3.0), ms.full({ 1, 10, 10 }, 5.0)
  ms.plot.tiles { { low, high }, range = "auto", rows = { "before", "after" }, columns = 1, scale = 10, file = self.path }
  local im = ms.image.load(self.path)
  local left = 12 + 8 * #"before"
  lu.assertEquals(im.shape, { 3, 6 + 100 + 4 + 100 + 6, left + 100 + 6 })
  lu.assertEquals(im[{ {}, 50, left + 50 }]:totable(), { 0, 0, 0 })
  lu.assertEquals(im[{ {}, 160, left + 50 }]:totable(), { 255, 255, 255 })
  lu.assertTrue(im[{ {}, { 40, 70 }, { 1, left - 5 } }]:float():flatten():amin(1):item() < 120) -- the name's ink
  ms.plot.tiles { high, range = { 0, 10 }, scale = 10, file = self.path }
  lu.assertEquals(ms.image.load(self.path)[{ {}, 50, 50 }]:totable(), { 128, 128, 128 })
end

function TestTiles.test_in_the_terminal()
  local kept, real = {}, io.write
  io.write = function(...) kept[#kept + 1] = table.concat { ... } end -- luacheck: ignore
  local ok, e = pcall(ms.plot.tiles, { ms.tensor { { { 0, 1 }, { 1, 0.5 } } }, captions = { "a" }, title = "pictures" })
  io.write = real -- luacheck: ignore
  assert(ok, e)
  lu.assertEquals(table.concat(kept), "pictures\na\n  @@\n@@==\n")
end

function TestTiles:test_errors()
  local tiles = ms.plot.tiles
  lu.assertErrorMsgContains("expected pictures: a tensor", tiles, { file = self.path })
  lu.assertErrorMsgContains("file: expected the name of a file", tiles, { ms.zeros { 1, 4, 4 }, file = 1 })
  lu.assertErrorMsgContains("rows: expected a list", tiles, { ms.zeros { 1, 4, 4 }, rows = "x", file = self.path })
  lu.assertErrorMsgContains('"auto" needs pictures of finite values', tiles,
    { ms.full({ 1, 4, 4 }, 0 / 0), range = "auto", file = self.path })
  lu.assertErrorMsgContains("scale: expected a whole number from 1 on, got 0", tiles, { ms.zeros { 1, 4, 4 }, scale = 0, file = self.path })
  lu.assertErrorMsgContains("unknown option 'captoins'; did you mean captions?", tiles, { ms.zeros { 1, 4, 4 }, captoins = {} })
  lu.assertErrorMsgContains("captions: expected a list", tiles, { ms.zeros { 1, 4, 4 }, captions = "x", file = self.path })
end
