-- data: the sets the experiments use, found where they are.
--
--   local train, test = ms.data.mnist { data = o.data, device = o.device }
--   local ds = ms.data.tensors { images, labels, classes = names }           -- dataset.lua
--   local codes, labels = test:map(function(x) return encoder(x) end)
local inside = require "mascon.inside"
local dataset = require "mascon.dataset"
local options = require "mascon.options"
local places = require "mascon.places"
local system = require "mascon.system"
local core = inside.data
local any, fail = options.any, options.raise
local data = { tensors = dataset.tensors }

-- read_idx(path [, { max_bytes = }]) -> tensor of an IDX file (gzipped or not; i8 and i16 come as i32). Raises when it cannot be read, and
-- when it would take more memory than 8 times the file and 64 MB, or than max_bytes where that is given.
function data.read_idx(path, given) return core.idx_read(path, options.read("read_idx", given, { max_bytes = any }).max_bytes) end

-- data.write_idx(path, tensor [, { type = }])
-- Write a tensor as an IDX file, gzipped when the name ends in .gz. type: u8, i8, i16, i32, f32, f64, if it is not that of the tensor.
-- Raises when it cannot.
function data.write_idx(path, tensor, given)
  core.idx_write(path, tensor, options.read("write_idx", given, { type = any }).type)
end

-- data.write_npy(path, tensor)
-- Write one tensor as NumPy's .npy (numpy.save): f32, f64, f16, i64, i32, u8 or bool. Read it by ms.load, which can also map it.
function data.write_npy(path, tensor, ...)
  options.none("write_npy", ...)
  core.write_npy(path, tensor)
end

-- data.write_npz(path, tensors [, { compress = false }])
-- Write tensors as NumPy's .npz (numpy.savez): { name = tensor } in the order of the names, or a list of { name, tensor }.
-- compress: deflated (numpy.savez_compressed), smaller and slower; those that are not can be mapped by ms.load(path, { mmap = true }).
function data.write_npz(path, tensors, given)
  core.write_npz(path, tensors, options.read("write_npz", given, { compress = false }).compress)
end

-- data.read_mat(path [, { names =, permute =, limit =, partial =, max_bytes = }]) -> values by name, names in the file's order, notes
-- A MATLAB file of version 5 (what save writes without an option, or with -v6, -v7), compressed or not; or of version 7.3 (HDF5),
-- which a child process reads by libhdf5, numbers and text only. Numbers become tensors of the same shape (two dimensions or more),
-- x[{i, j}] being MATLAB's x(i, j): double f64, single f32, uint8 u8, logical bool, int8, int16, uint16, int32 i32, uint32, int64, uint64
-- i64; complex ones get one more dimension of 2. Characters become a string (a list of rows
-- where there are several), cells a list (of rows), a structure a table by its fields, several of them a list of those.
--   names     a name or a list: only these are read, the others skipped
--   permute   { X = { 4, 3, 1, 2 } }: the tensor's dimensions are these of MATLAB's, in this order, without a copy in between
--   limit     of each variable of numbers only the first so many of MATLAB's last dimension
--   partial   true: of a file that is cut off, what is there; notes.cut[name] = { read, declared } of the last dimension
--   max_bytes how much memory reading may take, instead of 8 times the file and 64 MB
-- notes.header: the text at the file's beginning. Raises when the file cannot be read, is damaged or cut off, when a name is not in it,
-- and at what has no meaning here (sparse matrices, objects, functions): name the others then.
function data.read_mat(path, given) return require "mascon.mat"(path, given) end

-- read_csv(path [, { delimiter =, header =, missing = "nan", dtype = "f32", text =, columns =, codes = false, max_bytes = }])
-- -> numbers, texts, names: the columns of numbers as one tensor rows x columns, the others as lists of texts by name, the names of the
-- columns of numbers.
-- A column is one of texts if its first field is no number, or if `text` names it (a name or place, a list, or true: all). header: is
-- the first line one of names (default: if none of its fields is a number); without one, columns are called by their places, 1, 2, ...
-- delimiter: default a comma, or the tab or semicolon of a first line without one. Missing (an empty field, NA, N/A, null, None) is NaN, or
-- with missing = "error" an error. columns: only these. codes: texts as classes, i64 from 1 on, and a fourth result, the sorted names of
-- the classes of each column. Gzipped files are read, too. Errors name line and column.
function data.read_csv(path, given) return require("mascon.csv").read(path, given) end

-- write_csv(path, x [, { names =, delimiter = "," }]): a tensor rows x columns, with a line of names if there are any; or a list of
-- { name, values }, tensors of one dimension and lists of texts or numbers. Floats with the digits it takes to read them back; gzipped when
-- the name ends in .gz. Written whole or not at all.
function data.write_csv(path, x, given) return require("mascon.csv").write(path, x, given) end

-- data.download(url, path [, { md5 =, sha256 =, size =, connect_timeout = 15, stall_timeout = 30, label = }]) -> path
-- A file from the web (http, https), whole and right or not at all: what comes goes to PATH.part, where a later call goes on (also after
-- Ctrl-C), and takes its name when it is complete and its size and digests are as given. url: an address, or a list that is tried in order.
-- A file that is there and has the digest given is taken as it is. Without a digest a PATH.part is gone on with only where it came from the
-- same address (PATH.part.from tells), and the server does not name the file by another ETag, or another date, than then. Seconds: to
-- connect, and without a byte. Raises with what each address said; also where MASCON_OFFLINE=1.
function data.download(url, path, given) return require("mascon.download").download(url, path, given) end

-- data.digest(path, "md5" or "sha256") -> the hexadecimal digits of a file's digest
function data.digest(path, kind, ...)
  options.none("data.digest", ...)
  if kind ~= "md5" and kind ~= "sha256" then fail("data.digest: expected md5 or sha256 second, got %s", tostring(kind)) end
  return core.digest(path, kind)
end

-- data.locate(name [, { data =, also = {}, hint = "" }]) -> the path of a file that lies in one of the folders where sets are looked for:
-- data (or data is the file itself), $MASCON_DATA, those of `also`, ... Raises with where it looked, and with the hint.
function data.locate(name, given, ...)
  options.none("data.locate", ...)
  return places.locate(name, given)
end

-- ---- MNIST and its like ----------------------------------------------------------------------------------------------------------

local FILES = { "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte" }

-- first: how the labels of the training part begin, by which one set is told from another that has the same file names.
local SETS = {
  mnist = {
    title = "MNIST", folders = { "mnist", "MNIST", "MNIST/raw" }, first = "5041921314",
    classes = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" },
    advice = "They are the original files of the MNIST database of handwritten digits (LeCun, Cortes, Burges); the mirror that torchvision "
      .. "downloads from, the public bucket ossci-datasets, has them in its folder mnist.",
  },
  fashion_mnist = {
    title = "Fashion-MNIST", folders = { "fashion_mnist", "fashion-mnist", "FashionMNIST", "FashionMNIST/raw" }, first = "9003027255",
    classes = { "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot" },
    advice = "On Debian and Ubuntu: apt install dataset-fashion-mnist. Elsewhere: the repository zalandoresearch/fashion-mnist on GitHub, "
      .. "folder data/fashion.",
  },
  kmnist = {
    title = "Kuzushiji-MNIST", folders = { "kmnist", "KMNIST", "KMNIST/raw" },
    classes = { "o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo" },
    advice = "They are at http://codh.rois.ac.jp/kmnist (Clanuwat et al., 2018; CC BY-SA 4.0), the four files of Kuzushiji-MNIST in the "
      .. "format of MNIST.",
  },
}

local function find_file(folder, stem)
  for _, name in ipairs { stem .. ".gz", stem, (stem:gsub("%-(idx%d)", ".%1")) } do
    local path = folder .. "/" .. name
    if system.kind(path) == "file" then return path end
  end
end

local function read_labels(path)
  local t = core.idx_read(path)
  if t:dim() ~= 1 then fail("%s: expected labels in one dimension, got %d dimensions", path, t:dim()) end
  return t
end

local function begins_with(labels)
  local n = math.min(#labels, 10)
  return n > 0 and table.concat(labels[{ { 1, n } }]:totable()) or ""
end

local function readable(path)
  local file = io.open(path, "rb")
  return file and file:close()
end

-- The four files of a set, its training labels and the folder; or nil and the places looked in, as text.
local function find(name, option, only)
  local set, tried = SETS[name], {}
  for _, place in ipairs(places.list(set.folders, option, only)) do
    local files, note = {}, "no such folder"
    for i, stem in ipairs(FILES) do files[i] = find_file(place.path, stem) or false end
    if files[1] or files[2] or files[3] or files[4] then
      for i, stem in ipairs(FILES) do
        if not files[i] then fail("%s: %s has no %s (.gz or not), though it has others of the four files", name, place.path, stem) end
      end
      local closed = system.sandboxed() and not readable(files[2])
      local labels = not closed and read_labels(files[2])
      local begins, other = labels and begins_with(labels), nil
      for key, s in pairs(SETS) do
        if key ~= name and begins == s.first then other = s end
      end
      if labels and not other then return files, labels, place.path end
      note = closed and "has them, but mascon --sandbox reads below --data only" or "holds " .. other.title
    elseif system.kind(place.path) == "folder" then
      note = "no such files in it"
    end
    tried[#tried + 1] = ("  %s (%s): %s"):format(place.path, place.from, note)
  end
  return nil, table.concat(tried, "\n")
end

local function not_found(name, tried, said)
  fail("%s: looked for %s.gz and the three files that go with it (%s, %s, %s; gzipped or not) in\n%s\n%s\nPut the four files in one of "
    .. "these folders, or name theirs by the option data or by $MASCON_DATA. %s", name, FILES[1], FILES[2], FILES[3], FILES[4], tried, said,
    SETS[name].advice)
end

local function make(set, image_file, label_file, raw, limit, o, source)
  local images = core.idx_read(image_file, o.max_bytes)
  if images.dtype ~= "u8" or images:dim() ~= 3 then
    fail("%s: expected u8 images N x H x W, got %s %s", image_file, table.concat(images.shape, " x "), images.dtype)
  end
  if #images ~= #raw then fail("%s has %d images, %s %d labels", image_file, #images, label_file, #raw) end
  local n = math.min(#images, limit or #images)
  if n == 0 then fail("%s: expected at least one image, got none", image_file) end
  local labels = core.labels(raw, 1, #set.classes, label_file .. ": label")
  return dataset.new { images = images[{ { 1, n } }]:unsqueeze(2), labels = labels[{ { 1, n } }], classes = set.classes,
    device = o.device, normalize = o.normalize, name = set.title, source = source }
end

local function open(name, o, files, labels, folder)
  places.told("data." .. name, o.data, folder)
  return make(SETS[name], files[1], files[2], labels, o.limit[1], o, folder),
    make(SETS[name], files[3], files[4], read_labels(files[4]), o.limit[2], o, folder)
end

-- The set from the web, where it was in none of the places `tried`.
local function fetched(name, o, tried)
  local got, said = require "mascon.web".fetch(name, o.download)
  local files, labels, folder
  if got then files, labels, folder = find(name, o.data) end
  if not files then not_found(name, tried, said or "It was downloaded, and is not to be found.") end
  return open(name, o, files, labels, folder)
end

local function open_set(name, given)
  local o = places.options("data." .. name, given)
  local files, labels, folder = find(name, o.data)
  if not files then return fetched(name, o, labels) end
  return open(name, o, files, labels, folder)
end

-- data.mnist { data = folder, device =, limit =, normalize = } -> training set, test set. limit: the first so many of each part, or
-- { train, test }. Images N x 1 x 28 x 28 u8, labels 1..10 (the digit is classes[label]). Looks in `data`, $MASCON_DATA, ../shared/data,
-- the user's cache folder ($XDG_CACHE_HOME/mascon, ~/.cache/mascon) and /usr/share/datasets; what is nowhere is downloaded into the cache
-- folder and checked by its MD5, unless download = false or MASCON_OFFLINE=1; $MASCON_MIRROR, an address whose folders mnist/, svhn/, ...
-- have the files, is asked before the public mirrors. Raises when the files are not to be had, or are not what they should be.
function data.mnist(given) return open_set("mnist", given) end
function data.fashion_mnist(given) return open_set("fashion_mnist", given) end
-- data.kmnist: Kuzushiji-MNIST, ten cursive Japanese characters in files of the same form.
function data.kmnist(given) return open_set("kmnist", given) end

-- data.svhn { data = folder, device =, limit =, normalize =, extra = false, prefix = true } -> training set, test set [, extra set]
-- House numbers, N x 3 x 32 x 32 u8, labels 1..10 (the digit is classes[label], so the files' label 10 is "0"). extra: the 531,131 easier
-- images as a third set. Where the files are not to be had, but the first 1,083 images of the training part (in ../shared/data), those are
-- the training set, there is no test set, and standard error says so; prefix = false downloads all instead.
function data.svhn(given) return require "mascon.svhn"(given) end

-- data.npz(path [, { device =, limit =, normalize =, classes =, base = 0, channels_last = false, max_bytes =, name = }]) -> training set,
-- test set, from the arrays x_train, y_train, x_test, y_test of a NumPy .npz (nil for a part that is not there; without y a set has no
-- labels). x: u8 or floating, N x H x W (a channel is put in) or N x C x H x W, or N x H x W x C with channels_last. y: whole numbers from
-- `base` on, which become labels from 1 on; classes: their names (default: the numbers in the file). limit: the first so many of each.
function data.npz(path, given) return require("mascon.npz_set").open(path, given) end

-- data.folder(path [, { size =, channels = 3, fit = "crop", pattern =, classes =, limit =, cache =, device =, normalize =, name = }])
-- A set of the PNG and JPEG files in a folder: each of its folders is a class; or with pattern, a Lua pattern, its first capture in the
-- file's name is ("^(%a+)_" for coast_arnat59.jpg). Labels 1..K, classes the sorted names, or those given, in that order. Images u8 N x
-- channels x H x W. size (a number, or { H, W }): each picture is scaled until it fills that and the middle kept (fit = "crop"), or
-- stretched (fit = "stretch"); without it all must have one size. They are decoded by all cores into memory; beyond 1 GB, or with
-- cache = false, they stay in their files, and a loader decodes batches ahead while the script works. limit: the first so many of each
-- class. ds:file(i) is the name of the i-th sample's file. Errors name the file.
function data.folder(path, given) return require("mascon.folder").open(path, given) end

-- data.scenes { size = 64, data =, split = 0.8, seed = 1, ... } -> training set, test set: the 8 outdoor scenes (Oliva and Torralba, 2001:
-- coast, forest, highway, insidecity, mountain, opencountry, street, tallbuilding), u8 N x 3 x size x size. From the folder all_64x64 of
-- small pictures where size is at most 64 and it is there, split at random by the seed, the same share of every class; else from the
-- folders train and test of subset_256x256. Looks where data.mnist does, for a folder scenes8 or scenes. Other options as data.folder.
function data.scenes(given) return require("mascon.scenes").open(given) end

-- data.find(which, options): "mnist", "fashion" (or "fashion_mnist"), or "auto": MNIST if it is found, else Fashion-MNIST; what the option
-- data names comes before both.
function data.find(which, given)
  if which == "fashion" then which = "fashion_mnist" end
  if SETS[which] then return open_set(which, given) end
  if which ~= "auto" then fail("data.find: expected auto, mnist or fashion, got %s", tostring(which)) end
  local o = places.options("data.find", given)
  local tried = {}
  for _, only in ipairs(o.data and { true, false } or { false }) do
    for _, name in ipairs { "mnist", "fashion_mnist" } do
      local files, labels, folder = find(name, o.data, only)
      if files then return open(name, o, files, labels, folder) end
      tried[name] = labels
    end
  end
  return fetched("mnist", o, tried.mnist .. "\nand for Fashion-MNIST in\n" .. tried.fashion_mnist)
end

for name, sampler in pairs(require "mascon.samplers") do data[name] = sampler end

return require("mascon.names").guard(data, "ms.data")
