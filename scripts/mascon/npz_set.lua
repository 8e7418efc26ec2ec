-- npz_set: ms.data.npz, data sets from a NumPy .npz with x_train, y_train, x_test, y_test.
local ms = require "mascon"
local inside = require "mascon.inside"
local dataset = require "mascon.dataset"
local options = require "mascon.options"
local any, fail = options.any, options.raise
local npz_set = {}

-- Images as a set holds them: u8 or f32, N x C x H x W where they are pictures.
local function images(path, name, x, channels_last)
  if x.dtype ~= "u8" and x.dtype:sub(1, 1) ~= "f" then
    fail("%s: %s: expected images u8 or floating, got %s", path, name, x.dtype)
  end
  if x:dim() < 2 or #x == 0 then fail("%s: %s: expected samples N x ..., got %s", path, name, tostring(x.shape)) end
  if x.dtype ~= "u8" then x = x:to "f32" end
  if channels_last then
    if x:dim() ~= 4 then fail("%s: %s: channels_last: expected N x H x W x C, got %s", path, name, tostring(x.shape)) end
    return x:permute { 1, 4, 2, 3 }:contiguous()
  end
  return (x:dim() == 3 and x:unsqueeze(2) or x):contiguous()
end

local function class_names(given, most, base)
  if given then return given end
  local names = {}
  for c = 1, most do names[c] = tostring(c - 1 + base) end
  return names
end

local function part(path, which, tensors, o)
  local x, y = tensors["x_" .. which], tensors["y_" .. which]
  if not x then return nil end
  x = images(path, "x_" .. which, x, o.channels_last)
  local n = math.min(#x, o.limit or #x)
  local set = { images = x[{ { 1, n } }], device = o.device, normalize = o.normalize, name = o.name, source = path }
  if y then
    if y:dim() == 2 and y:size(2) == 1 then y = y:squeeze(2) end
    if y:dim() ~= 1 or #y ~= #x then fail("%s: y_%s: expected %d labels, got %s", path, which, #x, tostring(y.shape)) end
    local most
    set.labels, most = inside.data.labels(y, 1 - o.base, o.classes and #o.classes or 0, ("%s: y_%s"):format(path, which))
    set.labels, set.classes = set.labels[{ { 1, n } }], most
  end
  return set
end

-- The sets of the file, see data.lua.
function npz_set.open(path, given)
  local o = options.read("data.npz", given, { device = "cpu", limit = any, normalize = any, max_bytes = any, classes = any, base = 0,
    channels_last = false, name = "npz" })
  if o.base ~= 0 and o.base ~= 1 then fail("data.npz: base: expected 0 or 1, what the first class is called, got %s", tostring(o.base)) end
  if o.classes ~= nil and (type(o.classes) ~= "table" or #o.classes == 0) then fail("data.npz: classes: expected a list of names") end
  if o.limit ~= nil then options.count("data.npz", "limit", o.limit) end
  local wanted, there = {}, {}
  for _, name in ipairs(inside.data.names_in(path)) do
    there[#there + 1] = name
    if name:match "^[xy]_train$" or name:match "^[xy]_test$" then wanted[#wanted + 1] = name end
  end
  local tensors = #wanted > 0 and ms.load(path, { names = wanted, max_bytes = o.max_bytes, device = "cpu" }) or {}
  local train, test = part(path, "train", tensors, o), part(path, "test", tensors, o)
  if not train and not test then
    fail("%s: expected arrays x_train and x_test (and y_train, y_test), got %s", path,
      #there > 0 and table.concat(there, ", ") or "none that has a name")
  end
  local most = math.max(train and train.classes or 0, test and test.classes or 0)
  local names = class_names(o.classes, most, o.base)
  for _, set in pairs { train, test } do set.classes = set.labels and names or nil end
  return train and dataset.new(train), test and dataset.new(test)
end

return npz_set
