-- svhn: the street view house numbers, cropped digits (Netzer et al., "Reading digits in natural images with unsupervised feature
-- learning", 2011), from their MATLAB files.
local ms = require "mascon"
local inside = require "mascon.inside"
local dataset = require "mascon.dataset"
local options = require "mascon.options"
local places = require "mascon.places"
local system = require "mascon.system"
local fail = options.raise

local FOLDERS = { "svhn", "SVHN" }
local CLASSES = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" }
local PREFIX = "train_32x32.first1083.mat" -- 1,083 images of the training part, which ../shared/data may have where nothing else is

-- One file as a data set. Digit d has the label d + 1, and classes[label] is its name; the file says 10 for the digit 0.
local function read(path, part, limit, o, source)
  local values, _, notes = inside.data.mat_read(path, { X = true, y = true }, { X = { 4, 3, 1, 2 } }, limit, false, o.max_bytes)
  local x, y = values.X, values.y
  if not x or not y then fail("%s: expected the variables X (images) and y (labels), there is no %s", path, x and "y" or "X") end
  if type(x) ~= "userdata" or x.dtype ~= "u8" or x:dim() ~= 4 or x:size(2) ~= 3 or x:size(3) ~= 32 or x:size(4) ~= 32 then
    fail("%s: X: expected images of 32 x 32 x 3 bytes, got %s", path,
      type(x) == "userdata" and ("%s %s"):format(x.shape, x.dtype) or type(x))
  end
  if type(y) ~= "userdata" or y:numel() < #x then
    fail("%s: y: expected a label for each of the %d images, got %s", path, #x, type(y) == "userdata" and y:numel() or type(y))
  end
  if #x == 0 then fail("%s: expected at least one image, got none", path) end
  local labels = inside.data.labels(y:reshape { -1 }[{ { 1, #x } }]:to "i64", 0, 10, path .. ": label")
  labels = ms.where(labels:eq(10), 1, labels + 1):to "i64"
  return dataset.new { images = x, labels = labels, classes = CLASSES, device = o.device, normalize = o.normalize, name = part,
    source = source }, notes
end

local function say(text) io.stderr:write(text, "\n") end

-- The file of a part in the folders of the list: its path and folder.
local function find(list, file)
  for _, place in ipairs(list) do
    local path = place.path .. "/" .. file
    if system.kind(path) == "file" then return path, place.path end
  end
end

local function tried(list)
  local lines = {}
  for i, place in ipairs(list) do
    lines[i] = ("  %s (%s): %s"):format(place.path, place.from,
      system.kind(place.path) == "folder" and "no such files in it" or "no such folder")
  end
  return table.concat(lines, "\n")
end

-- data.svhn: see data.lua.
return function(given)
  local o = places.options("data.svhn", given, { extra = false, prefix = true })
  local list = places.list(FOLDERS, o.data)
  local parts = { { "train", "SVHN" }, { "test", "SVHN" }, o.extra and { "extra", "SVHN extra" } or nil }
  local sets = {}
  for i, part in ipairs(parts) do
    local file = part[1] .. "_32x32.mat"
    local path, folder = find(list, file)
    if not path and i == 1 and o.prefix and not o.extra then
      path, folder = find(list, PREFIX)
      if path then
        local set = read(path, "SVHN (the first 1,083 training images)", o.limit[1], o, folder)
        say(("data.svhn: %s is not here, but %s, the first 1,083 images of it, without a test part (prefix = false downloads all)")
          :format(file, path))
        return set
      end
    end
    local said
    if not path then
      local got
      got, said = require "mascon.web".fetch("svhn", o.download, { file })
      if got then path, folder = find(list, file) end
    end
    if not path then
      fail("data.svhn: looked for %s in\n%s\n%s\nPut train_32x32.mat, test_32x32.mat%s (format 2, cropped digits) of the Street View House "
        .. "Numbers, http://ufldl.stanford.edu/housenumbers, in one of these folders, or name theirs by the option data or by "
        .. "$MASCON_DATA.",
        file, tried(list), said, o.extra and ", extra_32x32.mat" or "")
    end
    if i == 1 then places.told("data.svhn", o.data, folder) end
    sets[i] = read(path, part[2], o.limit[i], o, folder)
  end
  return table.unpack(sets)
end
