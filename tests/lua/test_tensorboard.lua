-- luacheck: globals TestTensorboard
-- Event files read back by a second reader, a page long: records (length, checksum, bytes, checksum) of protocol buffers.
local checks = require "checks"
local lu = require "luaunit"
local ms = require "mascon"
local system = require "mascon.system"

-- The fields of a message: number -> list of values (integers, or strings for bytes and fixed-size numbers).
local function message(bytes)
  local fields, at = {}, 1
  local function varint()
    local v, shift = 0, 0
    while true do
      local b = bytes:byte(at)
      at, v, shift = at + 1, v | (b & 127) << shift, shift + 7
      if b < 128 then return v end
    end
  end
  while at <= #bytes do
    local key = varint()
    local kind = key & 7
    local v
    if kind == 0 then
      v = varint()
    else
      local n = kind == 1 and 8 or kind == 5 and 4 or varint()
      v = bytes:sub(at, at + n - 1)
      assert(#v == n)
      at = at + n
    end
    local list = fields[key >> 3] or {}
    fields[key >> 3] = list
    list[#list + 1] = v
  end
  return fields
end

local function events(path)
  local f <close> = assert(io.open(path, "rb"))
  local bytes, at, list = f:read "a", 1, {}
  while at <= #bytes do
    local n = string.unpack("<I8", bytes, at)
    local record = bytes:sub(at + 12, at + 11 + n)
    assert(#record == n and at + 15 + n <= #bytes, "a torn record")
    list[#list + 1] = message(record)
    at = at + 16 + n
  end
  return list
end

-- step, tag and the fields of the value of an event with a summary.
local function value(event)
  local v = message(message(event[5][1])[1][1])
  return event[2] and event[2][1] or 0, v[1][1], v
end

TestTensorboard = {}

function TestTensorboard:setUp()
  local name = os.tmpname()
  os.remove(name)
  self.dir = name .. ".d/runs/one"
  self.top = name .. ".d"
end
function TestTensorboard:tearDown() system.run { "rm", "-rf", self.top } end

function TestTensorboard:test_scalars_of_all_kinds()
  local board = ms.tensorboard(self.dir)
  board:scalar("loss", 0.5, 1):scalar("loss", ms.tensor { 0.25 }, 2):scalar("loss", ms.meter.mean():add(2):add(4), 3)
  local path = board:path()
  lu.assertEquals(path:sub(1, #self.dir), self.dir)
  board:close()
  local list, got = events(path), {}
  lu.assertStrContains(list[1][3][1], "brain.Event:2")
  for i = 2, #list do
    local step, tag, v = value(list[i])
    got[i - 1] = { step, tag, string.unpack("<f", v[2][1]) }
  end
  lu.assertEquals(#got, 3)
  for i, want in ipairs { { 1, "loss", 0.5 }, { 2, "loss", 0.25 }, { 3, "loss", 3.0 } } do
    for k = 1, 3 do lu.assertEquals(got[i][k], want[k]) end
  end
end

function TestTensorboard:test_images()
  local board <close> = ms.tensorboard(self.dir)
  board:image("grid", ms.rand { 4, 1, 3, 3 }, 7, { padding = 1, scale = 2 })
  board:image("one", ms.tensor({ { { 1, 2 } }, { { 3, 4 } }, { { 5, 6 } } }, { dtype = "u8" }), 8)
  board:flush()
  local list = events(board:path())
  local step, tag, v = value(list[2])
  local image = message(v[4][1])
  lu.assertEquals({ step, tag, image[1][1], image[2][1], image[3][1] }, { 7, "grid", 15, 15, 1 })
  step, tag, v = value(list[3])
  image = message(v[4][1])
  lu.assertEquals({ step, tag, image[1][1], image[2][1], image[3][1] }, { 8, "one", 1, 2, 3 })
  local png = self.top .. "/x.png"
  local f = assert(io.open(png, "wb"))
  f:write(image[4][1])
  f:close()
  lu.assertEquals(ms.image.load(png):totable(), { { { 1, 2 } }, { { 3, 4 } }, { { 5, 6 } } })
end

function TestTensorboard:test_histogram_and_text()
  local board = ms.tensorboard(self.dir)
  board:histogram("weights", ms.tensor { { 1, 2 }, { 2, 0 / 0 } }, 4)
  board:histogram("labels", ms.tensor({ 3, 4 }, { dtype = "i64" }), 5)
  board:text("note", "hello **there**", 6)
  local path = board:path()
  board:close()
  local list = events(path)
  local step, tag, v = value(list[2])
  local h = message(v[5][1])
  local function number(i) return (string.unpack("<d", h[i][1])) end
  lu.assertEquals({ step, tag }, { 4, "weights" })
  lu.assertEquals({ number(1), number(2), number(3), number(4), number(5) }, { 1.0, 2.0, 3.0, 5.0, 9.0 }) -- min max num sum squares
  step, tag, v = value(list[3])
  h = message(v[5][1])
  lu.assertEquals({ step, tag, number(4) }, { 5, "labels", 7.0 })
  step, tag, v = value(list[4])
  lu.assertEquals({ step, tag, message(v[8][1])[8][1] }, { 6, "note", "hello **there**" })
end

function TestTensorboard:test_resume_and_several_files()
  ms.tensorboard(self.dir):scalar("x", 1, 10):close()
  ms.tensorboard(self.dir, { resume = false }):close()
  local board = ms.tensorboard(self.dir, { resume = 5 })
  board:scalar("x", 2, 5)
  local path = board:path()
  board:close()
  local list, started = events(path), false
  for _, e in ipairs(list) do started = started or (e[7] ~= nil and e[2][1] == 5) end
  lu.assertTrue(started)
  local _, out = system.run { "ls", self.dir }
  local _, files = out:gsub("tfevents", "")
  lu.assertTrue(files >= 2)
end

-- The records that TensorBoard's table of runs reads. tests/sh/test_tensorboard.sh has its own reader look at them.
function TestTensorboard:test_hyper_parameters()
  local w = ms.tensorboard(self.top .. "/h")
  w:hparams({ lr = 0.5, nest = true, name = "adam" }, { loss = ms.tensor(0.25) }, 3)
  local path = w:path()
  w:close()
  local bytes = checks.contents(path)
  for _, part in ipairs { "_hparams_/experiment", "_hparams_/session_start_info", "_hparams_/session_end_info",
    "\10\2lr\18\9\17" .. ("<d"):pack(0.5), "\10\4name\18\6\26\4adam", "\10\4nest\18\2\32\1" } do
    lu.assertTrue(bytes:find(part, 1, true) ~= nil, part)
  end
  w = ms.tensorboard(self.top .. "/h")
  checks.fails("hparams: expected a table of options by name, got n", w.hparams, w)
  checks.fails("hparams: expected names as keys, got a number", w.hparams, w, { 1 })
  checks.fails("scalar 'loss': expected a number, a tensor of one element or a mean, got string", w.hparams, w, {}, { loss = "x" })
  checks.fails("expected the step", w.hparams, w, {}, {}, "x")
end

function TestTensorboard:test_misuse_raises()
  local board = ms.tensorboard(self.dir)
  local x = ms.rand { 2, 2 }
  lu.assertErrorMsgContains("expected the step (a whole number) after the value, got nothing", board.scalar, board, "a", 1)
  lu.assertErrorMsgContains("got 1.5", board.scalar, board, "a", 1, 1.5)
  lu.assertErrorMsgContains("expected the tag, a string, first, got number", board.scalar, board, 1, 1)
  lu.assertErrorMsgContains("scalar 'a': expected a number, a tensor of one element or a mean, got string", board.scalar, board, "a", "b",
    1)
  lu.assertErrorMsgContains("expected a tensor of one element", board.scalar, board, "a", x, 1)
  lu.assertErrorMsgContains("expected a tensor, got nothing", board.image, board, "a", nil, 1)
  lu.assertErrorMsgContains("unknown option 'columms'", board.image, board, "a", x, 1, { columms = 1 })
  lu.assertErrorMsgContains("expected a tensor", board.histogram, board, "a", 3, 1)
  lu.assertErrorMsgContains("expected a text, got nothing", board.text, board, "a", nil, 1)
  lu.assertErrorMsgContains([[the tag '\255': expected UTF-8]], board.scalar, board, "\xff", 1, 1) -- a reader would stop there
  lu.assertErrorMsgContains([[the text '\195(': expected UTF-8]], board.text, board, "a", "\xc3(", 1)
  board:close()
  board:close()
  lu.assertErrorMsgContains("tensorboard:scalar: the writer is closed", board.scalar, board, "a", 1, 1)
  lu.assertErrorMsgContains("tensorboard: expected the name of a folder, got nothing", ms.tensorboard)
  lu.assertErrorMsgContains("unknown option 'resum'; did you mean resume?", ms.tensorboard, self.dir, { resum = 1 })
  lu.assertErrorMsgContains("resume: expected a step", ms.tensorboard, self.dir, { resume = "x" })
  lu.assertError(ms.tensorboard, "/dev/null/x")
end

function TestTensorboard:test_the_collector_closes()
  local path
  do
    local board = ms.tensorboard(self.dir)
    board:scalar("x", 1, 1)
    path = board:path()
  end
  collectgarbage()
  collectgarbage()
  lu.assertEquals(#events(path), 2)
end
