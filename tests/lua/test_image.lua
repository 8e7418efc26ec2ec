-- luacheck: globals TestGrid TestPicture TestJoin
local lu = require "luaunit"
local ms = require "mascon"
local system = require "mascon.system"

local function u8(t) return ms.tensor(t, { dtype = "u8" }) end

TestGrid = {}

function TestGrid.test_numbers_become_levels()
  local x = ms.tensor { { { 0, 1 }, { 0.5, 2 } } } -- N x H x W; beyond 0..1 is cut
  local g = ms.image.grid(x, { padding = 0 })
  lu.assertEquals(g.dtype, "u8")
  lu.assertEquals(g:totable(), { { { 0, 255 }, { 128, 255 } } })
  lu.assertEquals(ms.image.grid(ms.tensor { { { -1, 0 / 0 } } }, { padding = 0 }):totable(), { { { 0, 0 } } })
  lu.assertEquals(ms.image.grid(x:to "f64", { padding = 0 }):totable(), g:totable())
  lu.assertEquals(ms.image.grid(x:ge(1), { padding = 0 }):totable(), { { { 0, 255 }, { 0, 255 } } })
  lu.assertEquals(ms.image.grid(ms.tensor { { { -1, 0, 3 } } }, { padding = 0, range = { -1, 3 } }):totable(), { { { 0, 64, 255 } } })
end

function TestGrid.test_places_padding_scale_background()
  local x = u8 { { { 1 } }, { { 2 } }, { { 3 } } } -- three pictures of one pixel
  lu.assertEquals(ms.image.grid(x, { columns = 2, padding = 1, background = 1 }):totable(),
    { { { 255, 255, 255, 255, 255 }, { 255, 1, 255, 2, 255 }, { 255, 255, 255, 255, 255 }, { 255, 3, 255, 255, 255 },
      { 255, 255, 255, 255, 255 } } })
  lu.assertEquals(ms.image.grid(x, { columns = 3, padding = 0, scale = 2 }):totable(), { { { 1, 1, 2, 2, 3, 3 }, { 1, 1, 2, 2, 3, 3 } } })
  lu.assertEquals(ms.image.grid(x).shape, { 1, 8, 8 }) -- two columns, padding 2
end

function TestGrid.test_colour_is_planar()
  local x = u8 { { { { 10, 11 } }, { { 20, 21 } }, { { 30, 31 } } } } -- 1 x 3 x 1 x 2
  local g = ms.image.grid(x, { padding = 1, background = { 1, 0, 0.2 } })
  lu.assertEquals(g:totable(), { { { 255, 255, 255, 255 }, { 255, 10, 11, 255 }, { 255, 255, 255, 255 } },
    { { 0, 0, 0, 0 }, { 0, 20, 21, 0 }, { 0, 0, 0, 0 } }, { { 51, 51, 51, 51 }, { 51, 30, 31, 51 }, { 51, 51, 51, 51 } } })
end

function TestGrid.test_lists_and_views()
  local a, b = u8 { { 1, 2 } }, u8 { { 3, 4 } }
  lu.assertEquals(ms.image.grid({ a, b }, { padding = 0, columns = 1 }):totable(), { { { 1, 2 }, { 3, 4 } } })
  local batch = ms.rand { 4, 1, 3, 3 }
  lu.assertEquals(ms.image.grid({ batch, batch }, { columns = 4 }):totable(), ms.image.grid(ms.cat({ batch, batch }),
    { columns = 4 }):totable())
  lu.assertEquals(ms.image.grid({ ms.rand { 3, 2, 2 }, ms.rand { 3, 2, 2 } }, { padding = 0 }).shape, { 3, 2, 4 })
  lu.assertEquals(ms.image.grid(a:transpose(1, 2):unsqueeze(1), { padding = 0 }):totable(), { { { 1 }, { 2 } } })
  local w = ms.rand({ 1, 2, 2 }):requires_grad_()
  lu.assertEquals(ms.image.grid(w * 1).dtype, "u8")
end

function TestGrid.test_misuse_raises()
  local x = ms.rand { 2, 3, 3 }
  for message, arguments in pairs {
    ["image.grid: expected a tensor, got nothing"] = {},
    ["image.grid: expected a tensor, got string"] = { "x" },
    ["expected pictures N x C x H x W"] = { ms.rand { 3 } },
    ["expected pictures as u8 or as numbers from 0 to 1, got 2 x 3 x 3 i64"] = { x:to "i64" },
    ["1 or 3 channels"] = { ms.rand { 1, 5, 2, 2 } },
    ["list of pictures is empty"] = { {} },
    ["item 2 of the list: expected a tensor, got number"] = { { x, 3 } },
    ["unknown option 'colums'; did you mean columns?"] = { x, { colums = 2 } },
    ["scale: expected a whole number of at least 1, got 0"] = { x, { scale = 0 } },
    ["padding: expected a whole number of at least 0, got 1.5"] = { x, { padding = 1.5 } },
    ["background: expected a number from 0 (black) to 1"] = { x, { background = 2 } },
    ["range: expected {lowest, highest}, got {1, 1}"] = { x, { range = { 1, 1 } } },
    ["expected a table of options, got number"] = { x, 3 },
    ["image.grid: grid: expected the whole to be at most"] = { x, { scale = 16000 } },
    ["got 0 x 3 x 3 f32"] = { ms.zeros { 0, 3, 3 } },
  } do
    lu.assertErrorMsgContains(message, ms.image.grid, table.unpack(arguments))
  end
end

TestPicture = {}

function TestPicture:setUp()
  self.path = os.tmpname()
end
function TestPicture:tearDown() os.remove(self.path) end

function TestPicture:test_round_trip()
  for channels = 1, 4 do
    local x = ms.randint(0, 256, { channels, 5, 7 }, { dtype = "i64" }):to "u8"
    ms.image.save(self.path, x)
    local back = ms.image.load(self.path)
    lu.assertEquals({ back.dtype, back.shape }, { "u8", { channels, 5, 7 } })
    lu.assertEquals(back:totable(), x:totable())
  end
  ms.image.save(self.path, ms.tensor { { 0, 1 }, { 1, 0 } })
  lu.assertEquals(ms.image.load(self.path):totable(), { { { 0, 255 }, { 255, 0 } } })
  lu.assertEquals(ms.image.load(self.path, { channels = 3 }).shape, { 3, 2, 2 })
  ms.image.save(self.path, ms.tensor { { 0, 1 } }, { scale = 2 })
  lu.assertEquals(ms.image.load(self.path):totable(), { { { 0, 0, 255, 255 }, { 0, 0, 255, 255 } } })
end

function TestPicture:test_batches_become_grids()
  ms.image.save(self.path, ms.rand { 9, 1, 4, 4 }, { padding = 1 })
  lu.assertEquals(ms.image.load(self.path).shape, { 1, 16, 16 })
  ms.image.save(self.path, ms.rand { 16, 4, 4 }, { padding = 0 })
  lu.assertEquals(ms.image.load(self.path).shape, { 1, 16, 16 })
  ms.image.save(self.path, ms.rand { 3, 4, 4 }) -- one picture in colour
  lu.assertEquals(ms.image.load(self.path).shape, { 3, 4, 4 })
end

function TestPicture:test_bad_files_and_misuse()
  local f = assert(io.open(self.path, "wb"))
  f:write("\137PNG\r\n\26\n and no more")
  f:close()
  lu.assertErrorMsgContains(self.path, ms.image.load, self.path)
  lu.assertErrorMsgContains("No such file", ms.image.load, "/nonexistent.png")
  lu.assertErrorMsgContains("channels: expected 1..4, got 5", ms.image.load, self.path, { channels = 5 })
  lu.assertErrorMsgContains("expected the name of a file, got number", ms.image.load, 3)
  lu.assertErrorMsgContains("No such file", ms.image.save, "/nonexistent/x.png", ms.rand { 2, 2 })
  lu.assertErrorMsgContains("image.save: expected the name of a file", ms.image.save, ms.rand { 2, 2 })
  ms.image.save(self.path, ms.rand { 2, 2 })
  lu.assertErrorMsgContains("got 3 f32", ms.image.save, self.path, ms.rand { 3 })
  lu.assertEquals(ms.image.load(self.path).shape, { 1, 2, 2 }) -- the old picture is still there
end

TestJoin = {}

function TestJoin.test_above_and_beside()
  local a, b = u8 { { 1, 2, 3 } }, u8 { { 9 }, { 8 } }
  lu.assertEquals(ms.image.above({ a, b }):totable(), { { { 1, 2, 3 }, { 255, 9, 255 }, { 255, 8, 255 } } })
  lu.assertEquals(ms.image.beside({ a, b }, { background = 0, padding = 1 }):totable(), { { { 1, 2, 3, 0, 9 }, { 0, 0, 0, 0, 8 } } })
  lu.assertEquals(ms.image.above({ nil, b, false }):totable(), { { { 9 }, { 8 } } })
end

function TestJoin.test_grey_joins_colour_and_alpha_shows_the_background()
  local grey, colour = u8 { { 7 } }, u8 { { { 1 } }, { { 2 } }, { { 3 } } }
  lu.assertEquals(ms.image.beside({ grey, colour }):totable(), { { { 7, 1 } }, { { 7, 2 } }, { { 7, 3 } } })
  local clear = u8 { { { 10, 10 } }, { { 20, 20 } }, { { 30, 30 } }, { { 255, 0 } } } -- RGBA: the second pixel cannot be seen
  lu.assertEquals(ms.image.above({ clear }, { background = 0.2 }):totable(), { { { 10, 51 } }, { { 20, 51 } }, { { 30, 51 } } })
end

function TestJoin.test_misuse_raises()
  lu.assertErrorMsgContains("image.above: expected a list of pictures, got a tensor", ms.image.above, ms.rand { 2, 2 })
  lu.assertErrorMsgContains("list of pictures is empty", ms.image.beside, { false })
  lu.assertErrorMsgContains("image.above: expected a tensor, got number", ms.image.above, { 3 })
  lu.assertErrorMsgContains("item 1: expected a tensor, got a table", ms.image.above, { {} })
  lu.assertErrorMsgContains("unknown option 'pading'", ms.image.above, { ms.rand { 2, 2 } }, { pading = 1 })
  lu.assertErrorMsgContains("at most 16384 pixels", ms.image.above, { u8 { { 1 } }, u8 { { 1 } } }, { padding = 16384 })
end

function TestJoin.test_failures_leak_nothing()
  collectgarbage()
  collectgarbage()
  local before = ms.memory().tensors
  for _ = 1, 20 do
    pcall(ms.image.above, { ms.rand { 2, 2 }, 3 })
    pcall(ms.image.grid, { ms.rand { 2, 2 }, ms.rand { 3, 2 } })
    pcall(ms.image.load, "/nonexistent.png")
  end
  collectgarbage()
  collectgarbage()
  lu.assertEquals(ms.memory().tensors, before)
  lu.assertEquals(system.kind "/nonexistent.png", nil)
end
