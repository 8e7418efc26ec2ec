-- representation_lab: what autoencoders learn of handwritten digits. A classifier first, written by hand and with ms.fit; then four
-- autoencoders (fully connected, convolutional, denoising, sparse), and what their codes are good for: maps (t-SNE), neighbours of few
-- labelled images, compression, telling digits from clothes.
--
--   mascon scripts/representation_lab.lua [--epochs 150] [--mlp-epochs 5] [--only conv,sparse] [--quick] [--out DIR] [--help]
local ms = require "mascon"
local nets, training = require "lab.nets", require "lab.training"
local nn, optim, ml, plot = ms.nn, ms.optim, ms.ml, ms.plot

local o = ms.args.standard({
  epochs = 150, batch = 1024, lr = 0.01, seed = 1, out = "runs/representation_lab",
  momentum = 0.99, noise = 0.5, corrupt = ms.args.choice { "gaussian", "dropout" }, sparsity = 0.5, target = 0.05, warmup = 10,
  sparse_lr = 1e-3, mlp_epochs = 5, mlp_batch = 256, mlp_lr = 1e-3, labelled = 100, draws = 10, mapped = 1000, published = false,
  only = "all",
}, {
  help = "Representations of MNIST: an MLP, four autoencoders, and what their codes are good for",
  describe = {
    epochs = "passes over the data for each autoencoder", lr = "learning rate of the autoencoders (SGD)", momentum = "and their momentum",
    noise = "standard deviation of the noise, or share of the pixels dropped, at the denoising net's inputs",
    corrupt = "which kind of noise that is", sparsity = "weight of mean |code - target| in the sparse net's loss",
    target = "what the sparse net's codes should be near to", sparse_lr = "learning rate of the sparse net",
    warmup = "epochs in which the momentum rises from 0.9 to what it is; 0, as published, kills the codes of some nets",
    mlp_epochs = "passes over the data for the MLP", mlp_batch = "its batch", mlp_lr = "its learning rate",
    labelled = "labelled images that the nearest neighbour is looked for among", draws = "how often they are drawn",
    mapped = "test images on the maps", published = "denoise to the noisy image, and score codes among 1,000 test codes, as was published",
    only = "nets that are trained: all, or mlp,fc,conv,denoising,sparse; what follows is told of those",
  },
  range = { momentum = "[0, 1)", noise = "[0, ]", sparsity = "[0, ]", target = "[0, ]", warmup = "[0, ]", sparse_lr = "(0, ]",
    mlp_epochs = "[1, ]", mlp_batch = "[1, ]", mlp_lr = "(0, ]", labelled = "[1, ]", draws = "[1, ]", mapped = "[100, ]" },
})
local names, wanted = { "mlp", "fc", "conv", "denoising", "sparse" }, {}
for name in (o.only == "all" and table.concat(names, ",") or o.only):gmatch "[^,]*" do
  if not (","..table.concat(names, ",")..","):find(","..name..",", 1, true) then
    error(("--only %s: expected all, or some of %s with commas"):format(o.only, table.concat(names, ",")), 0)
  end
  wanted[name] = true
end
if o.corrupt == "dropout" then ms.args.within(o, "noise", "[0, 1)") end

-- ---- data ------------------------------------------------------------------------------------------------------------------------
local limit = o.quick and { 6000, 1000 } or nil
if o.quick then o.batch = math.min(o.batch, 128) end
local from = { data = o.data, device = o.device, normalize = nets.normalize, limit = limit }
local train, test = ms.data.mnist(from)
local clothes, test_clothes = ms.data.fashion_mnist(from) -- normalised by MNIST's figures
local epochs, mlp_epochs = o.epochs, o.mlp_epochs
local mapped, draws = math.min(o.mapped, #test), o.draws
if o.quick then
  epochs, mlp_epochs, mapped, draws = math.min(epochs, 2), math.min(mlp_epochs, 2), math.min(mapped, 200), math.min(draws, 2)
end
print(("%d training and %d test images of digits, on %s"):format(#train, #test, train.device))

local lab = training.open(o, { nets = names, may_change = { "only", "mlp_epochs", "labelled", "draws", "mapped" },
  same = { training_images = #train }, tensorboard = false })
local run = lab.run

-- ---- training --------------------------------------------------------------------------------------------------------------------
-- Net `part`, trained: from the start, or from its checkpoint on. spec: make() -> the net; loss(net, x, y) -> what is minimised and what is
-- reported; validate(net, board, step) -> figures by name, the one called spec.figure first of all; epochs, batch, lr, momentum, warmup.
local function trained(part, spec)
  local name, loader = names[part], train:loader { batch = spec.batch, shuffle = true }
  ms.seed(o.seed * 100 + 3 * part)
  local net = spec.make():to(train.device)
  local sgd = optim.sgd(net:parameters(), { lr = spec.lr, momentum = spec.momentum })
  local loss_of = spec.loss -- the step captures that alone: what else it reached (a validation that sets itself up) would be part of it
  local step = ms.compile(function(x, y)
    local loss, reported = loss_of(net, x, y)
    sgd:zero_grad()
    loss:backward()
    sgd:step()
    return reported or loss
  end)
  -- All steps are replays from the first on, so that a run that goes on ends with the same bits.
  ms.rehearse(step, { net = net, sgd = sgd }, { train:batch(1, spec.batch) }, { train:batch(1, (#train - 1) % spec.batch + 1) })
  local at = o.resume and run:load(name, { net = net, sgd = sgd })
  local warmup = spec.warmup * #loader -- in steps
  local epoch, trace = at and at.epoch or 0, at and at.trace or { step = {}, loss = {}, mean = {}, val = {} }
  if epoch > spec.epochs then error(("--epochs %d: %s has had %d already"):format(spec.epochs, name, epoch), 0) end
  print(at and ("%s: going on after epoch %d"):format(name, epoch) or net)

  local board = ms.tensorboard(run:path(name), { resume = at and epoch * #loader + 1 or nil }) -- a folder each: their curves overlay
  while epoch < spec.epochs do
    local mean, i = ms.meter.mean(), epoch * #loader -- steps so far
    epoch = epoch + 1
    local bar = ms.progress(loader, { label = ("%s %d/%d"):format(name, epoch, spec.epochs) })
    for x, y in bar do
      local scope <close> = ms.scope()
      if warmup > 0 then sgd.momentum = spec.momentum - math.max(0, spec.momentum - 0.9) * math.max(0, 1 - i / warmup) end
      local loss = step(x, y)
      mean:add(loss, #x)
      if i % #loader % 100 == 0 then
        trace.step[#trace.step + 1], trace.loss[#trace.loss + 1] = i, loss:item()
        bar:set { loss = trace.loss[#trace.loss] }
      end
      i = i + 1
    end
    if mean:value() - mean:value() ~= 0 then error(("%s: its loss is no number any more in epoch %d: lower --lr or --momentum, or raise "
      .. "--warmup"):format(name, epoch), 0) end
    local figures = spec.validate(net, board, i)
    local value = figures[spec.figure]
    lab.done = lab.done + 1
    trace.mean[epoch], trace.val[epoch], trace.dead = mean:value(), value, figures.dead
    for tag, v in pairs { loss = trace.mean[epoch], [spec.figure] = value } do board:scalar(tag, v, i) end
    board:flush()
    run:epoch { epoch = lab.done, step = i, net = name, net_epoch = epoch, loss = trace.mean[epoch], [spec.figure] = value,
      dead = figures.dead }
    run:save(name, { net = net, sgd = sgd, epoch = epoch, trace = trace }) -- last: whatever a kill cuts short is done again
    print(("%s: epoch %d  loss %.4f  %s %.4f"):format(name, epoch, trace.mean[epoch], spec.figure, value))
  end
  board:close()
  return net, trace
end

-- ---- 1: a classifier, by hand ----------------------------------------------------------------------------------------------------
local function mlp() return nn.sequential { nn.flatten(), nn.linear(784, 512), nn.tanh(), nn.linear(512, 10) } end
local function classify()
  local _, trace = trained(1, {
    make = mlp, epochs = mlp_epochs, batch = o.mlp_batch, lr = o.mlp_lr, momentum = 0, warmup = 0, figure = "accuracy",
    loss = function(net, x, y) return nn.cross_entropy(net(x), y) end,
    validate = function(net) return { accuracy = training.accuracy(net, test) } end,
  })
  plot.panels { title = "MLP 784-512-10", file = run:path "mlp_loss.png",
    { kind = "lines", { x = trace.step, y = trace.loss }, title = "training", xlabel = "step", ylabel = "cross entropy of a batch" },
    { kind = "lines", { y = trace.val, points = true }, title = "test", xlabel = "epoch", ylabel = "share of images told right" } }

  -- The same once more, with ms.fit: hooks in place of the loop. From the same seed it ends with the same accuracies.
  local MLP = nn.class "MLP"
  function MLP:init() self.net = mlp() end
  function MLP:forward(x) return self.net(x) end
  function MLP:configure_optimizers() return optim.sgd(self:parameters(), { lr = o.mlp_lr }) end
  function MLP:training_step(batch) return nn.cross_entropy(self(batch[1]), batch[2]) end
  function MLP:validation_step(batch, _, fit)
    local scores = self(batch[1])
    fit:gather("predicted", scores:argmax(2)) -- scored once, at the end
    fit:gather("truth", batch[2])
    return nn.cross_entropy(scores, batch[2])
  end
  function MLP:on_validation_end(fit) -- luacheck: no self
    fit:log("val_accuracy", ml.accuracy(fit:gathered "predicted", fit:gathered "truth"))
  end
  ms.seed(o.seed * 100 + 3)
  local history = ms.fit(MLP():to(train.device), { train = train, validation = test, batch = o.mlp_batch, epochs = mlp_epochs })
  print(history)
  return trace.val
end
local mlp_accuracy = wanted.mlp and classify() or nil

-- ---- 2: four autoencoders --------------------------------------------------------------------------------------------------------
local show = test:images(1, 10)
local blind = test:pixels():var(1):mean():item() -- the error of a net that gives the mean image whatever it sees
local black = -nets.normalize.mean / nets.normalize.std
local function visible(x) return (x * nets.normalize.std + nets.normalize.mean):clamp(0, 1) end -- as grey levels from 0 to 1
local function noisy(x)
  if o.corrupt == "dropout" then return x + ms.bernoulli(x.shape, o.noise, { device = x.device }) * (black - x) end
  return x + o.noise * x:randn_like()
end

-- kind: loss and learning rate that differ; corrupt: what is done to inputs, in validation too, but never where codes are taken.
-- Gives the net and its error on the test set. A code's number is dead if it is 0 for all test images: ReLU has no gradient there.
local function autoencoder(part, make, kind)
  local name, corrupt = names[part], kind.corrupt or function(x) return x end
  local judge
  local net, trace = trained(part, {
    make = make, epochs = epochs, batch = o.batch, lr = kind.lr or o.lr, momentum = o.momentum, warmup = o.warmup, figure = "val_mse",
    loss = function(net, x)
      local input = corrupt(x)
      local z = net[1](input)
      local mse = nn.mse(net[2](z), kind.corrupt and o.published and input or x)
      return kind.penalty and mse + kind.penalty(z) or mse, mse
    end,
    validate = function(net, board, step)
      if not judge then
        judge = ms.compile(function(x)
          local z = net[1](corrupt(x))
          return nn.mse(net[2](z), x), z:gt(0):any(1):float()
        end)
        ms.no_grad(ms.rehearse, judge, {}, { test:images(1, math.min(1000, #test)) })
      end
      local mse, alive = ms.meter.mean(), nil
      ms.with_seed(o.seed, function() -- the same noise each time
        local guard <close> = ms.no_grad()
        for x in test:loader { batch = 1000 } do
          local e, lives = judge(x)
          mse:add(e)
          alive = ms.maximum(alive or lives, lives)
        end
        local inputs = corrupt(show)
        local grid = ms.image.grid(visible(ms.cat { inputs, net(inputs) }), { columns = 10, scale = 3, padding = 4, background = 1 })
        plot.tiles { { visible(inputs), visible(net(inputs)) }, columns = 10, rows = { "input", "output" },
          title = name .. " autoencoder", file = run:path(name .. ".png") }
        board:image("inputs over outputs", grid, step)
      end)
      return { val_mse = mse:value(), dead = 1 - alive:mean():item() }
    end,
  })
  local mse = trace.val[#trace.val]
  if trace.dead > 0.6 or mse > 0.95 * blind and epochs * (#train // o.batch) >= 150 then
    print(("%s COLLAPSED: %.0f %% of its code is dead, its error %.3f where the mean image for all has %.3f. More --epochs, a longer "
      .. "--warmup, another --seed or less --momentum may help; what is said of it below means little")
      :format(name, 100 * trace.dead, mse, blind))
  end
  plot.lines { { y = trace.mean, label = "training" }, { y = trace.val, label = "test", dashed = true }, title = name .. " autoencoder",
    xlabel = "epoch", ylabel = "mean squared error of a pixel", file = run:path(name .. "_loss.png") }
  return net, mse
end
local function few_active(z) return o.sparsity * (z - o.target):abs():mean() end
local encoders, decoders, errors = { { "pixels", nn.flatten() } }, {}, {}
for part, kind in ipairs { {}, {}, { corrupt = noisy }, { penalty = few_active, lr = o.sparse_lr } } do
  local name = names[part + 1]
  if wanted[name] then
    local net, mse = autoencoder(part + 1, part == 1 and nets.fc or nets.conv, kind)
    encoders[#encoders + 1], decoders[name], errors[name] = { name, net[1] }, net[2], mse
    encoders[name] = net[1]
  end
end

-- ---- 3: maps of the codes --------------------------------------------------------------------------------------------------------
local function rows(data, encoder) return data:map(function(x) return encoder(x):flatten(2) end) end -- codes as N x d, labels
local on_map, kl = test:split(mapped, { seed = o.seed }), {}
for i = 2, #encoders do
  local name, codes, labels = encoders[i][1], rows(on_map, encoders[i][2])
  local tsne = ml.tsne { seed = o.seed }
  local map = tsne:fit_transform(codes)
  kl[name] = tsne.kl_divergence
  plot.scatter { points = map, class = labels, classes = test.classes,
    title = ("t-SNE of %d codes: %s (KL %.3f)"):format(mapped, name, kl[name]), xlabel = "t-SNE 1", ylabel = "t-SNE 2",
    file = run:path(name .. "_tsne.png") }
  ms.save(run:path(name .. "_tsne.safetensors"), { codes = codes, map = map, labels = labels })
end

-- ---- 4: neighbours of few labelled images ----------------------------------------------------------------------------------------
-- Each test image gets the label of the nearest of 100 training images, by pixels or by codes; the mean of ten draws of the 100.
local nearest = {}
for _, e in ipairs(#encoders > 1 and encoders or {}) do
  local mean, codes, labels = ms.meter.mean(), rows(test, e[2])
  for draw = 1, draws do
    local few, few_labels = rows(train:split(o.labelled, { seed = o.seed * 1000 + draw }), e[2])
    if o.published and e[1] ~= "pixels" then -- drawn with replacement from the codes on the map, and scored among those
      codes, labels = rows(on_map, e[2])
      local drawn = ms.with_seed(o.seed * 1000 + draw, ms.randint, 1, mapped, { o.labelled })
      few, few_labels = codes[drawn], labels[drawn]
    end
    mean:add(ml.knn { k = 1 }:fit(few, few_labels):score(codes, labels))
  end
  nearest[e[1]] = mean:value()
end

-- ---- 5: compression --------------------------------------------------------------------------------------------------------------
local function compression()
  local codes = rows(test, encoders.fc)
  local before, after = test.raw:nbytes(), codes:nbytes()
  local saved = 100 * (1 - after / before)
  plot.tiles { visible(ms.cat { show, ms.no_grad(decoders.fc, codes[{ { 1, 10 } }]) }), columns = 10, rows = { "image", "decoded" },
    title = ("%d bytes an image, and from the %d bytes of its code (%.2f %% saved)"):format(before // #test, after // #test, saved),
    file = run:path "compression.png" }
  return saved
end

-- ---- 6: digits or not? -----------------------------------------------------------------------------------------------------------
-- How far is the reconstruction from the image? Far, where the net has never seen the like.
local function anomalies(summary)
  local conv = nn.sequential { encoders.conv, decoders.conv }
  local function distances(data)
    return data:map(ms.compile(function(x) return (x - conv(x)):flatten(2):norm(2, 2) end)), nil
  end
  local digits, others = distances(train), distances(clothes)
  local function both(a, b) -- distances N x 1, labels: 1 clothes, 2 digits
    return ms.cat({ a, b }):reshape { -1, 1 }, ms.cat { ms.full({ #a }, 2, { dtype = "i64" }), ms.full({ #b }, 1, { dtype = "i64" }) }
  end
  local judge = ml.logistic_regression {}:fit(both(digits, others))
  local function told(data, label) -- share of 1,000 random test images that are told right
    local d = distances(data:split(math.min(1000, #data - 1), { seed = o.seed }))
    return judge:predict(d:reshape { -1, 1 }):eq(label):float():mean():item()
  end
  summary.l2_mnist, summary.l2_fashion = digits:mean():item(), others:mean():item()
  summary.anomaly_mnist_correct, summary.anomaly_fashion_correct = told(test, 2), told(test_clothes, 1)
  plot.box { { digits, label = "MNIST" }, { others, label = "Fashion-MNIST" }, title = "distance of an image from its reconstruction",
    ylabel = "L2 norm", file = run:path "anomaly_box.png" }
  local pair = ms.cat { test:images(1, 1), test_clothes:images(1, 1) }
  local pair_out = ms.no_grad(conv, pair)
  local apart = (pair - pair_out):flatten(2):norm(2, 2):totable()
  plot.tiles { visible(ms.stack({ pair, pair_out }, 2):flatten(1, 2)), scale = 6,
    captions = { "a digit", ("decoded, L2 %.2f"):format(apart[1]), "clothes", ("decoded, L2 %.2f"):format(apart[2]) },
    title = "image and reconstruction",
    file = run:path "anomaly_pair.png" }
end

-- ---- the figures of the run ------------------------------------------------------------------------------------------------------
local summary = {
  device = train.device, mlp_accuracy = mlp_accuracy, fc_val_mse = errors.fc, conv_val_mse = errors.conv,
  denoising_val_mse = errors.denoising, sparse_val_mse = errors.sparse, knn_codes_accuracy = nearest.sparse,
  knn_pixels_accuracy = nearest.pixels, compression_percent = wanted.fc and compression() or nil, tsne_kl = kl.fc,
}
if wanted.conv then anomalies(summary) end
lab:finish(summary, { "mlp_accuracy", "fc_val_mse", "conv_val_mse", "denoising_val_mse", "sparse_val_mse", "knn_codes_accuracy",
  "knn_pixels_accuracy", "compression_percent", "l2_mnist", "l2_fashion", "anomaly_mnist_correct", "anomaly_fashion_correct", "tsne_kl" })
