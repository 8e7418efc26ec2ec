-- make_corrupted_mnist: a data set for cae_anomaly of the form of mnist_corrupted.npz, which is not to be had: x_train (60,000 clean
-- images, u8, N x 28 x 28) and x_test (10,000, of which a few are spoilt in one of six ways). Which ones, and how, is written to a file of
-- its own, that the experiment reads for scoring only: a line "position,kind" for each spoilt image.
--
--   mascon scripts/make_corrupted_mnist.lua [--out runs/mnist_corrupted.npz] [--share 0.02] [--seed 1] [--help]
local ms = require "mascon"
local system = require "mascon.system"

local o = ms.args({
  data = ms.args.string, out = "runs/mnist_corrupted.npz", share = 0.02, seed = 1, figure = true, quick = false,
  dataset = ms.args.choice { "auto", "mnist", "fashion" },
}, {
  help = "MNIST with a few spoilt test images, as an .npz, and the truth beside it (NAME_truth.csv)",
  order = { "data", "dataset", "out", "share", "seed", "figure", "quick" },
  describe = { data = "folder with MNIST", out = "the file to write", share = "part of the test images that is spoilt",
    seed = "of all that is random", figure = "also draw some of each kind (NAME.png)", quick = "6,000 training and 1,000 test images",
    dataset = "which images; auto takes MNIST if it is found, else Fashion-MNIST" },
  range = { share = "(0, 1)" },
})
local SIZE = 28

local function between(low, high) return ms.randint(low, high, { 1 }):item() end
-- A square of `size` pixels at a random place, as a slice of rows and columns.
local function square(size)
  local i, j = between(1, SIZE - size + 1), between(1, SIZE - size + 1)
  return { { i, i + size - 1 }, { j, j + size - 1 } }
end

-- Each takes an image (f32, 28 x 28, 0..255) and another one, and gives the image spoilt.
local spoil, kinds = {}, { "salt_and_pepper", "inversion", "shuffled_tiles", "noise_patch", "bright_block", "pasted_piece" }

function spoil.salt_and_pepper(x) -- three pixels of ten become black or white
  local hit, white = ms.bernoulli(x.shape, 0.3), ms.bernoulli(x.shape)
  return ms.where(hit:gt(0), white * 255, x)
end

function spoil.inversion(x) return 255 - x end

function spoil.shuffled_tiles(x) -- sixteen tiles of 7 x 7 in another order
  local tiles = x:reshape { 4, 7, 4, 7 }:permute { 1, 3, 2, 4 }:reshape { 16, 7, 7 }
  tiles = tiles:index_select(1, ms.randperm(16))
  return tiles:reshape { 4, 4, 7, 7 }:permute { 1, 3, 2, 4 }:reshape { SIZE, SIZE }
end

function spoil.noise_patch(x)
  x[square(10)] = ms.rand({ 10, 10 }, 0, 255)
  return x
end

function spoil.bright_block(x)
  x[square(8)] = 255
  return x
end

function spoil.pasted_piece(x, other) -- a piece from the middle of another image
  local i, j = between(5, 12), between(5, 12)
  x[square(12)] = other[{ { i, i + 11 }, { j, j + 11 } }]
  return x
end

-- An image spoilt so that it can be seen, and how: again, and at last in another way, where it has hardly changed (black pasted over
-- black, a bright block over something bright).
local function spoilt(x, other)
  while true do
    local kind = kinds[between(1, #kinds)]
    for _ = 1, 20 do
      local y = spoil[kind](x:clone(), other())
      if (y - x):abs():mean():item() > 12 then return y:to "u8", kind end
    end
  end
end

local train, test = ms.data.find(o.dataset, { data = o.data, limit = o.quick and { 6000, 1000 } or nil })
local x_train, x_test = train.raw:squeeze { 2 }, test.raw:squeeze { 2 }:clone()
ms.seed(o.seed)
local count = math.max(1, math.floor(#x_test * o.share + 0.5))
local chosen = ms.randperm(#x_test)[{ { 1, count } }]:totable()
table.sort(chosen)
local lines, examples, captions = {}, {}, {}
for _, position in ipairs(chosen) do
  local y, kind = spoilt(x_test[position]:float(), function() return x_train[between(1, #x_train)]:float() end)
  x_test[position] = y
  lines[#lines + 1] = ("%d,%s\n"):format(position, kind)
  examples[kind] = examples[kind] or {}
  table.insert(examples[kind], y:unsqueeze(1))
end

local stem, folder = o.out:gsub("%.npz$", ""), o.out:match "^(.*)/"
if folder then assert(system.mkdir(folder)) end
ms.data.write_npz(o.out, { x_train = x_train, x_test = x_test })
assert(system.replace(stem .. "_truth.csv", "position,kind\n" .. table.concat(lines)))
if o.figure then
  local list = {}
  for k = 1, 5 do
    for _, kind in ipairs(kinds) do
      local y = examples[kind] and examples[kind][k]
      list[#list + 1] = y or ms.zeros { 1, SIZE, SIZE }
      captions[#captions + 1] = k == 1 and kind:gsub("_", " ") or ""
    end
  end
  ms.plot.tiles { list, captions = captions, columns = #kinds, padding = 24, title = "spoilt test images", file = stem .. ".png" }
end
print(("%s: %d training and %d test images, %d of them spoilt; which, and how: %s_truth.csv"):format(o.out, #x_train, #x_test, count, stem))
