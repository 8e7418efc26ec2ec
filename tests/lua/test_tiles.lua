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

function TestTiles:test_errors()
  local tiles = ms.plot.tiles
  lu.assertErrorMsgContains("expected pictures: a tensor", tiles, { file = self.path })
  lu.assertErrorMsgContains("file: expected the name of a file", tiles, { ms.zeros { 1, 4, 4 } })
  lu.assertErrorMsgContains("scale: expected a whole number from 1 on, got 0", tiles, { ms.zeros { 1, 4, 4 }, scale = 0, file = self.path })
  lu.assertErrorMsgContains("unknown option 'caption'; did you mean captions?", tiles, { ms.zeros { 1, 4, 4 }, caption = {} })
  lu.assertErrorMsgContains("captions: expected a list", tiles, { ms.zeros { 1, 4, 4 }, captions = "x", file = self.path })
end
