-- luacheck: globals TestHostilePictures TestHostileFiles TestMemory
-- Files that nobody's good will made: pictures, IDX, safetensors. Damaged ones raise, none shows what memory held, none takes more memory
-- than the rule says (the result, at most 8 times the file and 64 MB, and 64 MB beside it, unless max_bytes allows it).
local checks = require "checks"
local lu = require "luaunit"
local ms = require "mascon"
local system = require "mascon.system"

local temporary_folder, write, contents, program = checks.temporary_folder, checks.write, checks.contents, checks.program

local sanitized = (os.getenv "SAN" or "") ~= "" or (os.getenv "STRESS" or "") ~= ""

-- ---- making PNGs -----------------------------------------------------------------------------------------------------------------

local crcs = {}
for i = 0, 255 do
  local c = i
  for _ = 1, 8 do c = c & 1 == 1 and (c >> 1) ~ 0xEDB88320 or c >> 1 end
  crcs[i] = c
end
local function crc(s)
  local c = 0xFFFFFFFF
  for i = 1, #s do c = (c >> 8) ~ crcs[(c ~ s:byte(i)) & 255] end
  return c ~ 0xFFFFFFFF
end
local function chunk(kind, data) return string.pack(">I4", #data) .. kind .. data .. string.pack(">I4", crc(kind .. data)) end

-- A PNG around a zlib stream.
local function png_of(width, height, depth, color, stream, before, interlaced)
  return "\x89PNG\r\n\x1a\n" .. chunk("IHDR", string.pack(">I4I4BBBBB", width, height, depth, color, 0, 0, interlaced and 1 or 0))
    .. (before or "") .. chunk("IDAT", stream) .. chunk("IEND", "")
end

-- The same around lines (filters and all), not compressed.
local function png(width, height, depth, color, lines, before, interlaced)
  local a, b = 1, 0
  for i = 1, #lines do
    a = (a + lines:byte(i)) % 65521
    b = (b + a) % 65521
  end
  local stream = "\x78\x01\x01" .. string.pack("<I2I2", #lines, ~#lines & 0xFFFF) .. lines .. string.pack(">I4", b << 16 | a)
  return png_of(width, height, depth, color, stream, before, interlaced)
end

TestHostilePictures = {}

function TestHostilePictures:setUp()
  self.dir = temporary_folder()
  self.path = self.dir .. "/p"
end
function TestHostilePictures:tearDown() checks.remove_folder(self.dir) end

function TestHostilePictures:load(bytes, options)
  write(self.path, bytes)
  return ms.image.load(self.path, options)
end

function TestHostilePictures:refused(bytes, why)
  write(self.path, bytes)
  lu.assertErrorMsgContains(self.path .. ": ", ms.image.load, self.path)
  if why then lu.assertErrorMsgContains(why, ms.image.load, self.path) end
end

function TestHostilePictures:test_an_index_behind_the_palette_shows_no_memory()
  local palette = chunk("PLTE", "\1\2\3\4\5\6")
  lu.assertEquals(self:load(png(2, 1, 8, 3, "\0\0\1", palette)):totable(), { { { 1, 4 } }, { { 2, 5 } }, { { 3, 6 } } })
  self:refused(png(3, 1, 8, 3, "\0\0\1\2", palette), "a pixel names colour 2 (from 0 on) of a palette of 2")
  self:refused(png(2, 1, 2, 3, "\0\xb0", palette), "names colour 2")
  self:refused(png(2, 1, 8, 3, "\0\0\1"), "no palette")
  self:refused(png(2, 1, 1, 3, "\0\0", chunk("PLTE", ("\1"):rep(9))), "palette of 1 to 256 colours")
end

function TestHostilePictures:test_png_of_every_kind()
  local load = function(...) return self:load(png(...)):totable() end
  lu.assertEquals(load(2, 1, 16, 0, "\0\x12\x34\xff\x00"), { { { 0x12, 0xff } } })
  lu.assertEquals(load(3, 1, 2, 0, "\0\x1b"), { { { 0, 85, 170 } } })
  lu.assertEquals(load(2, 1, 16, 0, "\0\x12\x34\x12\x35", chunk("tRNS", "\x12\x34")), { { { 0x12, 0x12 } }, { { 0, 255 } } })
  lu.assertEquals(load(2, 1, 1, 3, "\0\x40", chunk("PLTE", "\1\2\3\4\5\6") .. chunk("tRNS", "\7")),
    { { { 1, 4 } }, { { 2, 5 } }, { { 3, 6 } }, { { 7, 255 } } })
  lu.assertEquals(load(1, 2, 16, 6, "\0\1\0\2\0\3\0\4\0" .. "\2\1\0\1\0\1\0\1\0"), { { { 1 }, { 2 } }, { { 2 }, { 3 } }, { { 3 }, { 4 } },
    { { 4 }, { 5 } } })
  -- interlaced, 3 x 3: passes 1 (1 pixel), 4 (1), 5 (2 pixels), 6 (2 lines of 1), 7 (3 pixels)
  lu.assertEquals(load(3, 3, 8, 0, "\0\1" .. "\0\3" .. "\0\7\9" .. "\0\2" .. "\0\8" .. "\0\4\5\6", nil, true),
    { { { 1, 2, 3 }, { 4, 5, 6 }, { 7, 8, 9 } } })
end

function TestHostilePictures:test_damaged_png()
  local good = png(5, 4, 8, 2, ("\0" .. ("abc"):rep(5)):rep(4))
  lu.assertEquals(self:load(good).shape, { 3, 4, 5 })
  for n = 0, #good - 1 do self:refused(good:sub(1, n)) end
  for i = 1, #good do self:refused(good:sub(1, i - 1) .. string.char(good:byte(i) ~ 0x20) .. good:sub(i + 1)) end
  self:refused(png(5, 4, 8, 2, ("\5" .. ("abc"):rep(5)):rep(4)), "a filter that there is not")
  self:refused(png(5, 5, 8, 2, ("\0" .. ("abc"):rep(5)):rep(4)), "end too early")
  for _, odd in ipairs { { 3, 0 }, { 16, 3 }, { 8, 1 }, { 8, 5 }, { 8, 7 }, { 4, 2 }, { 0, 0 }, { 1, 6 } } do
    self:refused(png(1, 1, odd[1], odd[2], "\0\0\0\0\0\0\0\0\0"), "a colour type and depth that there are not")
  end
  self:refused(png(1, 1, 8, 0, "\0\0", chunk("ABCD", "")), "chunks of type ABCD")
end

function TestHostilePictures:test_damaged_jpeg()
  for _, name in ipairs { "baseline", "progressive", "grey" } do
    local good = contents("tests/data/hostile/" .. name .. ".jpg")
    lu.assertEquals(self:load(good).shape, { name == "grey" and 1 or 3, 17, 19 })
    for n = 0, #good - 1, sanitized and 7 or 1 do self:refused(good:sub(1, n)) end
    -- A byte changed: an error, or a picture; under sanitizers also: no shift, index or sum out of range on the way.
    for i = 1, #good do
      for _, with in ipairs { 0x01, 0x80, 0xff } do
        local ok, t = pcall(self.load, self, good:sub(1, i - 1) .. string.char(good:byte(i) ~ with) .. good:sub(i + 1))
        if ok then lu.assertEquals(t:dim(), 3)
        else lu.assertStrContains(t, self.path) end
      end
    end
  end
end

function TestHostilePictures:test_names_that_image_save_knows()
  local x = ms.zeros { 2, 2 }
  lu.assertErrorMsgContains("expected a name that ends in .png, got", ms.image.save, self.dir .. "/a.gif", x)
  lu.assertErrorMsgContains("expected a name that ends in .png, got", ms.image.save, self.dir .. "/a.jpg", x)
  ms.image.save(self.dir .. "/a.PNG", x)
  ms.image.save(self.path, x)
end

-- ---- files that are none ---------------------------------------------------------------------------------------------------------

TestHostileFiles = {}
function TestHostileFiles:setUp() self.dir = temporary_folder() end
function TestHostileFiles:tearDown() checks.remove_folder(self.dir) end

local readers = { load = ms.load, read_idx = ms.data.read_idx, ["image.load"] = ms.image.load,
  read_csv = ms.data.read_csv }

function TestHostileFiles:test_folders_pipes_devices_and_nothing()
  system.run { "mkfifo", self.dir .. "/fifo" }
  write(self.dir .. "/empty", "")
  for name, read in pairs(readers) do
    for _, path in ipairs { self.dir, self.dir .. "/fifo", "/dev/zero" } do
      lu.assertErrorMsgContains("expected a plain file", read, path)
    end
    lu.assertErrorMsgContains(self.dir .. "/empty: ", read, self.dir .. "/empty")
    lu.assertErrorMsgContains("zero byte", read, "a\0b")
    lu.assertErrorMsgContains(name, read, 5)
    lu.assertErrorMsgContains("expected a table of options", read, self.dir .. "/empty", 5)
    lu.assertErrorMsgContains("max_bytes", read, self.dir .. "/empty", { max_bytes = "much" })
    lu.assertErrorMsgContains("max_bytes", read, self.dir .. "/empty", { max_bytes = 0 })
  end
end

function TestHostileFiles.test_names_in_messages_move_no_cursor()
  for _, read in pairs(readers) do
    local _, message = pcall(read, "/nonexistent/\27[31mred\r\155")
    lu.assertStrContains(message, [[\27[31mred\13\155]])
    lu.assertNil(message:find("[\27\r]"))
  end
end

local function safetensors(header, data) return string.pack("<I8", #header) .. header .. (data or "") end

function TestHostileFiles:test_headers_of_safetensors()
  local path = self.dir .. "/t"
  local function refused(header, why)
    write(path, safetensors(header))
    lu.assertErrorMsgContains(why, ms.load, path)
  end
  refused('{"a":' .. ("["):rep(100000) .. ("]"):rep(100000) .. "}", "bad safetensors header")
  refused('{"a":{"shape":[' .. ("0,"):rep(200000) .. "0]}}", "too long for one tensor")
  refused("{" .. ('"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'):rep(3):sub(1, -2) .. "}", "duplicate")
  refused('{"__metadata__":{"a":"1","a":"2"}}', "duplicate")
  refused('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"more":1}}', "nothing else")
  refused('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},}', "expected a name in quotes")
  local parts, n = {}, 20000
  for i = 1, n do parts[i] = ('"t%d" : {"dtype":"U8","shape":[1],"data_offsets":[%d,%d]}'):format(i, i - 1, i) end
  write(path, safetensors("{" .. table.concat(parts, " ,\n") .. "}  ", ("\7"):rep(n)))
  local tensors, _, names = ms.load(path)
  lu.assertEquals({ #names, tensors.t1:item(), tensors["t" .. n]:item() }, { n, 7, 7 })
end

-- ---- memory ----------------------------------------------------------------------------------------------------------------------

TestMemory = {}
function TestMemory:setUp()
  lu.skipIf(sanitized, "sanitizers have memory of their own")
  self.dir = temporary_folder()
end
function TestMemory:tearDown() if self.dir then checks.remove_folder(self.dir) end end

-- Run code in a program of its own, arg[1] the path: what it printed, and by how many MB its peak grew while it ran.
local function peak(code, path)
  local status, out, complaints = system.run { program, "-e", [[
    ms.zeros { 10 }
    local function high() for l in io.lines "/proc/self/status" do local k = l:match "VmHWM:%s*(%d+)" if k then return k / 1024 end end end
    local path, before = ..., high()
    local ok, message = pcall(function() return ]] .. code .. [[ end)
    print(ok and message or tostring(message))
    print(high() - before)]], path }
  lu.assertEquals(status, 0, complaints)
  local text, mb = out:match "^(.*)\n(%S+)\n$"
  return text, tonumber(mb)
end

local MB = 1 << 20

-- n zero bytes behind the header of an IDX file of type u8, gzipped.
local function zeros_gz(dir, n)
  ms.data.write_idx(dir .. "/z.gz", ms.zeros({ n }, { dtype = "u8" }))
  return contents(dir .. "/z.gz")
end

function TestMemory:test_idx_that_inflates_a_thousand_times()
  local n, path = 200 * MB, self.dir .. "/z.gz"
  zeros_gz(self.dir, n)
  local text, mb = peak("ms.data.read_idx(path)", path)
  lu.assertStrContains(text, ("max_bytes = %d"):format(n))
  lu.assertTrue(mb < 20, mb)
  text, mb = peak(("ms.data.read_idx(path, { max_bytes = %d }):numel()"):format(n), path)
  lu.assertEquals(text, tostring(n))
  lu.assertTrue(mb < 200 + 64, mb)
  lu.assertStrContains(peak(("ms.data.read_idx(path, { max_bytes = %d })"):format(n - 1), path), "max_bytes allows")
end

function TestMemory:test_idx_of_bytes_that_become_words()
  local n, path = 25 * MB, self.dir .. "/i8"
  write(path, string.pack(">I4I4", 0x0901, n), ("\xff"):rep(n))
  local text, mb = peak("ms.data.read_idx(path)[n or -1]:item()", path)
  lu.assertEquals(text, "-1")
  lu.assertTrue(mb < 100 + 64, mb)
end

function TestMemory:test_png_of_16_bits()
  -- The lines of the PNG are what an IDX file of zeros holds; its header (00 00 08 01 and the size) becomes a filter and pixels.
  local w, h = 4000, 5000
  local n = h * (6 * w + 1)
  local gz = zeros_gz(self.dir, n - 8)
  local a, b = 1, 0
  for _, byte in ipairs { string.pack(">I4I4", 0x0801, n - 8):byte(1, -1) } do a, b = (a + byte) % 65521, (b + a + byte) % 65521 end
  b = (b + (n - 8) * a) % 65521
  local path = self.dir .. "/p.png"
  write(path, png_of(w, h, 16, 2, "\x78\x01" .. gz:sub(11, -9) .. string.pack(">I4", b << 16 | a)))
  local text, mb = peak("ms.image.load(path)[{ 1, 1, 1 }]:item() .. tostring(ms.image.load(path).shape)", path)
  lu.assertStrContains(text, "{3, 5000, 4000}")
  lu.assertTrue(mb < 2 * 60 / 1.048576 + 64, mb)
  lu.assertStrContains(peak("ms.image.load(path, { channels = 4 })", path), "max_bytes = ")
  lu.assertStrContains(peak("ms.image.load(path, { channels = 4, max_bytes = 1 << 27 }).shape", path), "{4, 5000, 4000}")
end

function TestMemory:test_safetensors_of_many_small_values()
  local path = self.dir .. "/t"
  write(path, safetensors('{"__metadata__":{},"a":{"shape":[' .. ("0,"):rep(8 * MB) .. "0]}}"))
  local text, mb = peak("ms.load(path)", path)
  lu.assertStrContains(text, "t: ")
  lu.assertTrue(mb < 64, mb)
  write(path, safetensors("{" .. ('"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'):rep(300000) .. '"b":{}}'))
  text, mb = peak("ms.load(path)", path)
  lu.assertStrContains(text, "t: ")
  lu.assertTrue(mb < 3 * 64, mb)
end

function TestMemory:test_safetensors_in_one_copy()
  local path = self.dir .. "/t"
  ms.save(path, { x = ms.zeros { 20 * MB } })
  local text, mb = peak("ms.load(path).x:numel()", path)
  lu.assertEquals(text, tostring(20 * MB))
  lu.assertTrue(mb < 80 + 64, mb)
end
