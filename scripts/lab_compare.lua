-- lab_compare: two exercises of the laboratory. All its representations compared by nearest neighbours among few labelled digits, and one
-- more that combines what they try: convolution, noise and sparsity, where noise also turns, shifts, scales and shears the digit that is to
-- be restored as it was. No net sees a label.
--
--   mascon scripts/lab_compare.lua [--epochs 5] [--labelled 100] [--from runs/representation_lab] [--quick] [--resume] [--help]
local ms = require "mascon"
local nets = require "lab.nets"
local training = require "lab.training"
local nn, ml, plot = ms.nn, ms.ml, ms.plot

local o = ms.args.standard({
  epochs = 5, batch = 128, lr = 2e-3, seed = 1, out = "runs/lab_compare", from = ms.args.string, neighbours = ms.args.list { 1, 3, 5, 10 },
  labelled = 100, draws = 10, noise = 0.5, sparsity = 0.5, target = 0.05, codes = 64, width = 16, distort = 15, combined_sparsity = 0.01,
}, {
  help = "Nearest neighbours among few labelled digits, by pixels and by the codes of five autoencoders",
  describe = {
    from = "take the four nets of the laboratory from the folder of a run of representation_lab.lua, instead of training them (by Adam)",
    neighbours = "how many neighbours vote", labelled = "labelled images", draws = "how often they are drawn; figures are means",
    noise = "standard deviation of the noise at the inputs", sparsity = "weight of mean |code - target| in the sparse net's loss",
    target = "what sparse codes should be near to", codes = "numbers in a code of the combined net", width = "its channels",
    distort = "degrees by which its inputs are turned and sheared at most; they are shifted by a tenth and scaled by 15 % at most, too. "
      .. "0: none of these", combined_sparsity = "its weight of mean |code - target|",
  },
  range = { neighbours = "[1, ]", labelled = "[1, ]", draws = "[1, ]", noise = "[0, ]", sparsity = "[0, ]", target = "[0, ]",
    codes = "[1, ]", width = "[1, ]", distort = "[0, 180]", combined_sparsity = "[0, ]" },
})
for _, k in ipairs(o.neighbours) do
  if k > o.labelled then error(("--neighbours %d: expected 1 to --labelled, %d"):format(k, o.labelled), 0) end
end

-- ---- data --------------------------------------------------------------------------------------------------------------------------
local limit = o.quick and { 3000, 1000 } or nil
local train, test = ms.data.mnist { data = o.data, device = o.device, normalize = nets.normalize, limit = limit }
if o.quick then
  o.epochs, o.draws = math.min(o.epochs, 2), math.min(o.draws, 3)
end
print(("%d training and %d test images, on %s"):format(#train, #test, train.device))

-- ---- five autoencoders -------------------------------------------------------------------------------------------------------------
local noisy, distorted = nets.noise(o.noise, 0), nets.noise(o.noise, o.distort)
local function few_active(weight) return function(z) return weight * (z - o.target):abs():mean() end end

local kinds = {
  { "fc", nets.fc }, { "conv", nets.conv }, { "denoising", nets.conv, corrupt = noisy },
  { "sparse", nets.conv, penalty = few_active(o.sparsity) },
  { "combined", function() return nets.combined(o.codes, o.width) end, corrupt = distorted, penalty = few_active(o.combined_sparsity) },
}
local names = {}
for i, kind in ipairs(kinds) do names[i] = kind[1] end
local lab = training.open(o, { nets = names, same = { training_images = #train }, may_change = { "labelled", "draws", "neighbours" } })

local mse = {}
local function error_of(net)
  local sum = ms.meter.mean()
  ms.no_grad(function()
    for x in test:loader { batch = 1000 } do sum:add(nn.mse(net(x), x), #x) end
  end)
  return sum:value()
end
local encoders = { { "pixels", nn.flatten() } }
for _, kind in ipairs(kinds) do
  local name, make = kind[1], kind[2]
  local net
  if o.from and name ~= "combined" then
    net = make():to(train.device)
    local at = ms.checkpoint.load(("%s/%s.safetensors"):format(o.from, name), { net = net, sgd = false, optimizer = false })
    print(("%s: as after %d epochs in %s"):format(name, at.epoch, o.from))
  else
    local corrupt, penalty = kind.corrupt or function(x) return x end, kind.penalty or function() return 0 end
    net = lab:train(name, { make = make, data = train, figures = function(n) return { val_mse = error_of(n) } end,
      loss = function(n, x)
        local z = n[1](corrupt(x))
        local restored = nn.mse(n[2](z), x)
        return restored + penalty(z), restored
      end })
  end
  mse[name] = error_of(net)
  encoders[#encoders + 1] = { name, net[1], net }
end

-- What the combined net is given, and what it makes of it.
local show = test:images(1, 10)
local inputs = ms.with_seed(o.seed, distorted, show)
local outputs = ms.no_grad(encoders[#encoders][3], inputs)
local function visible(x) return (x * nets.normalize.std + nets.normalize.mean):clamp(0, 1) end
plot.tiles { visible(ms.cat { show, inputs, outputs }), columns = 10, rows = { "image", "input", "restored" },
  title = "the combined net: noise that shifts and turns, and what is restored", file = lab.run:path "combined.png" }

-- ---- neighbours ----------------------------------------------------------------------------------------------------------------------
-- Each test image gets the label most of its k nearest of the labelled images have; the same images for all representations.
local function rows(data, encoder) return data:map(function(x) return encoder(x):flatten(2) end) end
local accuracy, table_rows, row_names, curves = {}, {}, {}, {}
for r, e in ipairs(encoders) do
  local codes, labels = rows(test, e[2])
  local by_k = {}
  for i in ipairs(o.neighbours) do by_k[i] = {} end
  for draw = 1, o.draws do
    local few, few_labels = rows(train:split(o.labelled, { seed = o.seed * 1000 + draw }), e[2])
    for i, k in ipairs(o.neighbours) do by_k[i][draw] = ml.knn { k = k }:fit(few, few_labels):score(codes, labels) end
  end
  accuracy[e[1]], table_rows[r], row_names[r] = by_k, {}, e[1]
  for i in ipairs(o.neighbours) do table_rows[r][i] = ms.tensor(by_k[i]):mean():item() end
  curves[r] = { x = o.neighbours, y = table_rows[r], label = e[1], points = true }
end

-- ---- the figures of the run ----------------------------------------------------------------------------------------------------------
curves.title, curves.xlabel, curves.ylabel = ("%d labelled images, mean of %d draws"):format(o.labelled, o.draws), "neighbours", "accuracy"
curves.file, curves.legend, curves.size = lab.run:path "neighbours.png", "outside right", { 900, 500 }
plot.lines(curves)
local k_names = {}
for i, k in ipairs(o.neighbours) do k_names[i] = ("k = %d"):format(k) end
plot.heatmap { table_rows, xlabels = k_names, ylabels = row_names, annotate = true, format = "%.3f", title = curves.title,
  file = lab.run:path "table.png" }
local summary, order = { device = train.device, val_mse = mse, accuracy_each = accuracy, neighbours = o.neighbours }, {}
for r, name in ipairs(row_names) do
  for i, k in ipairs(o.neighbours) do
    order[#order + 1] = ("%s_k%d_accuracy"):format(name, k)
    summary[order[#order]] = table_rows[r][i]
  end
end
lab:finish(summary, order)
