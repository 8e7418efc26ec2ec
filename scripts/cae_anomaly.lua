-- cae_anomaly: a convolutional autoencoder learns what digits look like; test images that it reconstructs badly are marked as defective.
--
--   mascon scripts/make_corrupted_mnist.lua                     -- once: writes runs/mnist_corrupted.npz
--   mascon scripts/cae_anomaly.lua [--epochs 100] [--loss bce] [--score patch] [--quick] [--resume] [--help]
local ms = require "mascon"
local system = require "mascon.system"
local text = require "mascon.text"
local nn, optim, ml, plot, T = ms.nn, ms.optim, ms.ml, ms.plot, ms.transforms

local o = ms.args.standard({
  epochs = 100, batch = 64, lr = 1e-4, seed = 1, out = "runs/cae_anomaly",
  code = 256, up = ms.args.choice { "bilinear", "bicubic" }, range = ms.args.choice { "unit", "symmetric" },
  loss = ms.args.choice { "bce", "mse", "focal" }, reduction = ms.args.choice { "mean", "sum" }, gamma = 0.25, alpha = 2.0, p_th = 0.0,
  optimizer = ms.args.choice { "adam", "adamw", "rmsprop", "sgd" },
  schedule = ms.args.choice { "none", "exponential", "step", "cosine", "plateau" }, patience = 10,
  rotate = 5.0, shift = 0.05, zoom = 0.05, augment = true, score = ms.args.choice { "mse", "edges", "patch", "loss" },
  threshold = ms.args.choice { "fdr", "mad", "quantile", "otsu", "gap", "pot" }, fdr = 0.05,
  validation = ms.args.integer, published = false,
}, {
  help = "Convolutional autoencoder on MNIST, anomaly marking",
  describe = {
    code = "numbers in a code", up = "how planes are enlarged", range = "of the data: 0..1 (sigmoid at the end) or -1..1 (tanh)",
    loss = "between images and reconstructions", reduction = "of the loss over pixels", gamma = "of the focal loss",
    alpha = "of the focal loss", p_th = "focal loss: pixels above it are 1", schedule = "of the learning rate, by epochs",
    patience = "epochs without a better validation loss before it stops", rotate = "augmentation: degrees",
    shift = "augmentation: part of a side", zoom = "augmentation: larger or smaller by up to",
    augment = "rotate, shift and scale training images at all",
    score = "of a test image: mean squared error; that, relative to the edges of the reconstruction; of the worst 10 x 10 patch; the loss",
    threshold = "how it is chosen, without labels: a rule of ml.threshold; fdr goes by the scores of held out images",
    fdr = "part of the marked images that may be clean ones, as the held out images tell",
    validation = "training images held out (5000; 500 with --quick)",
    published = "validate on the test images, as published, instead",
  },
  range = { code = "[1, ]", gamma = "[0, ]", alpha = "(0, ]", p_th = "[0, 1)", patience = "[1, ]", rotate = "[0, 180]", shift = "[0, 1]",
    zoom = "[0, 1)", fdr = "(0, 1)", validation = "[1, ]" },
})

-- ---- data ------------------------------------------------------------------------------------------------------------------------
local ORIGINAL = "0a1db355c009f01ead98dcff6720fe3e" -- md5 of the file of the publication
local file = ms.data.locate("mnist_corrupted.npz", { data = o.data, also = { "runs" },
  hint = "mascon scripts/make_corrupted_mnist.lua makes one" })
local symmetric = o.range == "symmetric"
if symmetric and o.loss ~= "mse" then error(("--loss %s wants data in 0..1: --range unit"):format(o.loss), 0) end
local all, test = ms.data.npz(file, { device = o.device, name = "corrupted MNIST",
  normalize = symmetric and { mean = 0.5, std = 0.5 } or nil })
if o.quick then all, test, o.epochs = all:subset(1, math.min(#all, 2500)), test:subset(1, math.min(#test, 1000)), math.min(o.epochs, 2) end
o.validation = o.validation or o.quick and 500 or 5000
ms.args.within(o, "validation", ("[1, %d]"):format(#all - 1))
local held, train = all:split(o.validation, { seed = o.seed }) -- held: clean images that are not trained on
ms.args.within(o, "batch", ("[1, %d]"):format(#train))
local val = o.published and test or held
print(("%s%s: %d training, %d validation and %d test images, on %s"):format(file, ms.data.digest(file, "md5") == ORIGINAL and
  " (the file of the publication)" or "", #train, #val, #test, train.device))

-- Which test images are spoilt, and how (kind -> positions): read for scoring only.
local function read_truth()
  local path = file:gsub("%.npz$", "") .. "_truth.csv"
  if system.kind(path) == nil then return nil end
  local positions, texts = ms.data.read_csv(path, { header = true, dtype = "f64" })
  local bad, kinds = ms.zeros({ #test }, { dtype = "bool" }), {}
  for i, kind in ipairs(texts.kind) do
    local at = math.tointeger(positions[i]:item())
    if at <= #test then
      bad[at], kinds[kind] = true, kinds[kind] or {}
      table.insert(kinds[kind], at)
    end
  end
  return bad, kinds
end

-- ---- the model -------------------------------------------------------------------------------------------------------------------
local function conv(i, k, stride) return nn.conv2d(i, k, 3, { padding = 1, stride = stride or 1 }) end
local function up() return nn.upsample { scale_factor = 2, mode = o.up } end
local relu = nn.relu

local CAE = nn.class "cae"
function CAE:init(k)
  self.encoder = nn.sequential {
    conv(1, 16), relu(), conv(16, 16), relu(), conv(16, 16, 2), nn.batch_norm2d(16), relu(),
    conv(16, 32), relu(), conv(32, 32), relu(), conv(32, 32, 2), nn.batch_norm2d(32), relu(),
    conv(32, 64), relu(), conv(64, 64), relu(), conv(64, 64), nn.batch_norm2d(64), relu(),
    nn.flatten(), nn.linear(3136, 1024), relu(), nn.linear(1024, k), nn.batch_norm1d(k), relu() }
  self.decoder = nn.sequential {
    nn.linear(k, 1024), relu(), nn.linear(1024, 3136), relu(), nn.unflatten(64, 7, 7),
    conv(64, 64), relu(), conv(64, 64), relu(), up(),
    conv(64, 32), nn.batch_norm2d(32), relu(), conv(32, 32), relu(), conv(32, 32), relu(), up(),
    conv(32, 16), nn.batch_norm2d(16), relu(), conv(16, 16), relu(), conv(16, 16), nn.batch_norm2d(16), relu(),
    nn.conv2d(16, 1, 1), symmetric and nn.tanh() or nn.sigmoid() }
end
function CAE:forward(x) return self.decoder(self.encoder(x)) end

-- The focal loss, a value for each pixel: gamma and alpha weigh pixels down that are told well. As published it has no clamp, and its
-- derivative is NaN where p is exactly 0 or 1.
local function focal(p, x, gamma, alpha, p_th)
  local t = x:gt(p_th):float()
  local pt = p * t + (1 - p) * (1 - t)
  return -alpha * (pt + 1e-8):log() * (1 - pt):clamp_min(1e-8) ^ gamma
end

-- The loss of each pixel.
local function pixel_loss(y, x)
  if o.loss == "mse" then return (y - x):pow(2) end
  if o.loss == "bce" then return nn.bce(y, x, { reduction = "none" }) end
  return focal(y, x, o.gamma, o.alpha, o.p_th)
end
local function reduced(losses, dims) return o.reduction == "mean" and losses:mean(dims) or losses:sum(dims) end

ms.seed(o.seed)
local model = CAE(o.code):to(train.device)
local optimizer = optim[o.optimizer](model:parameters(), { lr = o.lr })
local S = optim.lr_scheduler
local schedule = ({
  exponential = function() return S.exponential_lr(optimizer, 0.95) end, step = function() return S.step_lr(optimizer, 10) end,
  cosine = function() return S.cosine_annealing_lr(optimizer, o.epochs) end,
  plateau = function() return S.reduce_lr_on_plateau(optimizer, { patience = 4 }) end,
  none = function() return S.lambda_lr(optimizer, function() return 1 end) end,
})[o.schedule]()
local stop = ms.early_stopping { patience = o.patience }

local augment = T.random_affine(o.rotate, { translate = o.shift, scale = { 1 - o.zoom, 1 + o.zoom }, interpolation = "bilinear",
  fill = symmetric and -1 or 0 })
if not o.augment then augment = T.compose { function(x) return x end } end

-- ---- steps, compiled ----------------------------------------------------------------------------------------------------------------
-- A training step. What becomes of an image is drawn by its key, which the loader gives.
local step = ms.compile(function(x, keys)
  x = augment(x, keys)
  local loss = reduced(pixel_loss(model(x), x))
  optimizer:zero_grad()
  loss:backward()
  optimizer:step()
  return loss
end)

-- Of each image of a batch: its loss, and its score.
local function edges(x) -- how much neighbours differ
  local down = x[{ {}, {}, { 2, -1 } }] - x[{ {}, {}, { 1, -2 } }]
  local across = x[{ {}, {}, {}, { 2, -1 } }] - x[{ {}, {}, {}, { 1, -2 } }]
  return down:abs():mean { 2, 3, 4 } + across:abs():mean { 2, 3, 4 }
end
local measure = ms.compile(function(x)
  local y = model(x)
  local loss, square = reduced(pixel_loss(y, x), { 2, 3, 4 }), (y - x):pow(2)
  local score = square:mean { 2, 3, 4 }
  if o.score == "loss" then score = loss
  elseif o.score == "edges" then score = score / (edges(y) + 0.02) -- where there are edges small errors are usual
  elseif o.score == "patch" then score = ms.avg_pool2d(square, 10, { stride = 1 }):amax { 2, 3, 4 } end
  return loss, score
end)
local function measured(data) return nn.evaluate(model, data.map, data, measure, { batch = 500 }) end

-- ---- the run, before training -------------------------------------------------------------------------------------------------------
local run = ms.run(o.out, { options = o, resume = o.resume, same = { training_images = #train, test_images = #test },
  may_change = { "score", "threshold", "patience", "fdr" }, tensorboard = true })
local first = run:done({ "model" }, o.epochs) + 1
local board = run:board(nil, o.resume and first or nil)
local range = symmetric and { -1, 1 } or nil -- black and white in figures
local function reconstruct(x) return nn.evaluate(model, model, x) end
-- Images over their reconstructions.
local function pairs_figure(name, title, x, captions)
  plot.tiles { { x, reconstruct(x) }, columns = #x, rows = { "image", "reconstruction" }, captions = captions, title = title,
    range = range, file = run:path(name) }
end

local eight = train:split(8, { seed = o.seed }):images()
plot.tiles { { eight, ms.with_seed(o.seed, augment, eight) }, columns = 8, rows = { "as it is", "augmented" }, range = range,
  title = "eight training images", file = run:path "augmented.png" }
local example = eight[{ { 1, 1 } }]
local untrained = ms.no_grad(model, eight) -- in training mode: the statistics of batch norms are not known yet
if not (untrained:var():item() > 1e-10) then error("the output of the untrained model does not vary: it would learn nothing", 0) end
if not o.resume then
  print(model)
  plot.tiles { { example, untrained[{ { 1, 1 } }] }, captions = { "image", "reconstruction" }, title = "before training", scale = 6,
    range = range, file = run:path "before.png" }
  plot.hist { untrained:flatten(), bins = 50, title = "pixels of the untrained model's output", xlabel = "value", ylabel = "pixels",
    file = run:path "before_pixels.png" }
end

-- ---- training ------------------------------------------------------------------------------------------------------------------------
-- The batch comes with its keys in the place of labels.
local loader = train:loader { batch = o.batch, shuffle = true, drop_last = true, transform = function(x, _, keys) return x, keys end }
ms.rehearse(step, { model = model, optimizer = optimizer }, loader)
if o.resume then run:load("model", { model = model, optimizer = optimizer, schedule = schedule, stop = stop }) end
for epoch = first, o.epochs do
  if stop.stopped then break end
  local mean = ms.meter.mean()
  for x, keys in ms.progress(loader, { label = ("epoch %d/%d"):format(epoch, o.epochs) }) do
    mean:add(step(x, keys) / (o.reduction == "sum" and o.batch or 1)) -- of an image, as in validation
    ms.progress.set { loss = mean }
  end
  local loss, val_loss = run:finite("loss", mean), run:finite("validation loss", measured(val):mean())
  stop:update(val_loss, epoch)
  run:epoch({ epoch = epoch, step = epoch * #loader, loss = loss, val_loss = val_loss, lr = optimizer.lr }, nil, epoch)
  board:image("reconstructions", ms.image.grid(ms.cat { eight, reconstruct(eight) }, { columns = 8 }), epoch)
  board:flush()
  if stop.improved then run:save("best", { model = model, epoch = epoch, val_loss = val_loss }) end
  if o.schedule == "plateau" then schedule:step(val_loss) else schedule:step() end
  run:save("model", { model = model, optimizer = optimizer, schedule = schedule, stop = stop, epoch = epoch })
  print(("epoch %d  loss %.5f  validation %.5f%s"):format(epoch, loss, val_loss, stop.improved and "  (best)" or ""))
end
local best = run:load("best", { model = model }) or error("no epoch has been run", 0)
plot.lines { { y = run:column "loss", label = "training" }, { y = run:column "val_loss", label = "validation", dashed = true },
  title = "autoencoder", xlabel = "epoch", ylabel = "loss of an image", file = run:path "loss.png" }
pairs_figure("training_pair.png", "training images and reconstructions", eight)

-- ---- scores and the threshold, without labels ------------------------------------------------------------------------------------------
local _, score = measured(test) -- in their order
local _, usual = measured(held)
local threshold = ml.threshold(score, o.threshold == "fdr" and { method = "fdr", clean = usual, rate = o.fdr } or
  { method = o.threshold, log = true })
local marked = score:gt(threshold)
local flagged = math.tointeger(marked:to("i64"):sum():item())

plot.hist { score:log10(), bins = 100, threshold = { math.log(threshold, 10), label = ("threshold %.3g"):format(threshold) },
  title = ("scores (%s) of the test images"):format(o.score), xlabel = "log10 of the score", ylabel = "images", logy = true,
  file = run:path "scores.png" }
plot.lines { { y = score }, title = ("score (%s) of each test image, in order"):format(o.score), xlabel = "test image", ylabel = "score",
  legend = false, file = run:path "scores_in_order.png" }
local list = marked:nonzero():reshape { -1 }
if #list > 0 then
  local show, captions = list[{ { 1, math.min(#list, 12) } }], {}
  for i, p in ipairs(show:totable()) do captions[i] = ("%d: %.3g"):format(p, score[p]:item()) end
  pairs_figure("anomalies.png", "marked as anomalous (position: score), and reconstructions", test:images(show), captions)
end
local rest = score[marked:logical_not()]
print(("The scores of %d test images lie around %.3g (median). Above the threshold of %.3g (%s), %.1f times that median, lie %d%s."):format(
  #test, rest:median():item(), threshold, o.threshold, threshold / rest:median():item(), flagged, flagged > 0 and
  (": their median is %.3g, %.1f times as large"):format(score[marked]:median():item(), score[marked]:median():item() /
    rest:median():item()) or ""))
assert(system.replace(run:path "anomalies.txt", table.concat(marked:to("i64"):totable())))

-- ---- against the hidden truth ----------------------------------------------------------------------------------------------------------
local summary = { device = train.device, val_loss = best.val_loss, epochs_run = #run:metrics(), threshold = threshold, flagged = flagged }
local bad, kinds = read_truth()
if bad then
  summary.precision, summary.recall, summary.f1 = ml.precision(marked, bad), ml.recall(marked, bad), ml.f1(marked, bad)
  summary.auroc = ml.auroc(score, bad)
  for _, kind in ipairs(text.keys(kinds)) do
    local found = marked[ms.tensor(kinds[kind], { dtype = "i64", device = marked.device })]:sum():item()
    print(("%-16s %3d of %3d found"):format(kind:gsub("_", " "), found, #kinds[kind]))
  end
end
run:summary(summary)
for _, name in ipairs { "val_loss", "epochs_run", "threshold", "flagged", "precision", "recall", "f1", "auroc" } do
  if summary[name] then print(("%-12s %.6g"):format(name, summary[name])) end
end
run:close()
print(("figures, metrics, checkpoints and anomalies.txt are in %s"):format(o.out))
