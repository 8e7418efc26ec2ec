-- mnist_autoencoder: a fully connected autoencoder on handwritten digits (or clothes): its latent space, what a forest and neighbours
-- make of it with 1,000 labels, denoising, and PCA as the linear special case.
--
--   mascon scripts/mnist_autoencoder.lua [--epochs 5] [--quick] [--out runs/mnist_autoencoder] [--help]
local ms = require "mascon"
local nn, optim, ml, plot = ms.nn, ms.optim, ms.ml, ms.plot

local o = ms.args.standard({
  epochs = 5, batch = 64, lr = 1e-3, seed = 1, out = "runs/mnist_autoencoder",
  codes = 8, labelled = 1000, flip = 0.1, trees = 100, refresh = 5.0, dataset = ms.args.choice { "auto", "mnist", "fashion" },
}, {
  help = "Autoencoder 784-128-64-32-k on MNIST or Fashion-MNIST",
  describe = {
    codes = "k, the size of a code",
    labelled = "images whose labels the forest and the neighbours see",
    flip = "probability that a pixel is turned over (x -> 1 - x) before denoising",
    trees = "trees in the forest",
    refresh = "seconds between two drawings of the figure while training",
    dataset = "which images; auto takes MNIST if it is found, else Fashion-MNIST",
  },
  range = { codes = "[1, ]", labelled = "[1, ]", trees = "[1, ]", flip = "[0, 1]", refresh = "[0, ]" },
})

-- ---- data ------------------------------------------------------------------------------------------------------------------------
local train, test = ms.data.find(o.dataset, { data = o.data, device = o.device })
if o.quick then
  train, test = train:subset(1, math.min(#train, 6000)), test:subset(1, math.min(#test, 2000))
end
print(("%s: %d training and %d test images, on %s"):format(train.name, #train, #test, train.device))

-- ---- the model -------------------------------------------------------------------------------------------------------------------
local function autoencoder(k)
  return nn.sequential { -- encoder, decoder
    nn.sequential { nn.flatten(), nn.linear(784, 128), nn.relu(), nn.linear(128, 64), nn.relu(), nn.linear(64, 32), nn.relu(),
      nn.linear(32, k) },
    nn.sequential { nn.linear(k, 32), nn.relu(), nn.linear(32, 64), nn.relu(), nn.linear(64, 128), nn.relu(), nn.linear(128, 784),
      nn.sigmoid(), nn.unflatten(1, 28, 28) },
  }:to(train.device)
end

-- Turn each pixel over with probability p.
local function flip_pixels(x, p)
  local flip = ms.bernoulli(x.shape, p, { device = x.device })
  return x + flip * (1 - 2 * x)
end

-- Mean squared pixel error of f(x) against x over a data set.
local function mse(data, f)
  local mean = ms.meter.mean()
  ms.no_grad(function()
    for x in data:loader { batch = 1000 } do mean:add(nn.mse(f(x), x), #x) end
  end)
  return mean:value()
end

-- ---- what is looked at -----------------------------------------------------------------------------------------------------------
-- Drawn once from the seed, each by a generator of its own, so that figures change nothing of what is learned.
ms.args.within(o, "labelled", ("[1, %d]"):format(#train))
local show = test:subset(1, 10):images() -- what the figures reconstruct
local noisy = ms.with_seed(o.seed, flip_pixels, show, o.flip)
local pair = train:split(2, { seed = o.seed }):images()
local scattered = train:split(1000, { seed = o.seed + 1 })
local labelled = train:split(o.labelled, { seed = o.seed + 2 })

-- ---- training --------------------------------------------------------------------------------------------------------------------
-- The folder is ours from here on. With --resume its run goes on, with the options it was begun with: `done` epochs of all nets together.
local run = ms.run(o.out, { options = o, resume = o.resume, may_change = { "refresh", "labelled", "trees" },
  tensorboard = true, same = { data_set = train.name, training_images = #train } })
local nets = { "codes", "plane", "denoise" }
local done = run:done(nets, o.epochs)
if o.resume then
  print(done > 0 and ("going on after %d epochs in %s"):format(done, o.out) or ("no net is saved yet in %s: from the start"):format(o.out))
end
local per_epoch = #train // o.batch
local every = math.max(1, per_epoch // 20) -- steps to a point of the loss trace

-- The loss so far, of training and test images, over inputs and their reconstructions: one picture, rewritten while training goes on.
local titles = { codes = ("codes of %d"):format(o.codes), plane = "codes of 2", denoise = "denoising" }
local function draw(name, trace, model, inputs)
  local curve, pairs_of = run:path(name .. "_loss.png"), run:path(name .. "_images.png")
  local curves = { { x = trace.step, y = trace.loss, label = "training" }, title = titles[name], xlabel = "step",
    ylabel = "squared error, summed over an image", file = curve }
  if #trace.test > 0 then curves[2] = { x = trace.test_step, y = trace.test, label = "test", points = true, dashed = true } end
  plot.lines(curves)
  local both = { inputs, nn.evaluate(model, model, inputs) }
  plot.tiles { both, columns = 10, rows = { name == "denoise" and "noisy" or "test image", "decoded" }, file = pairs_of }
  ms.image.save(run:path(name .. ".png"), ms.image.above { ms.image.load(curve), ms.image.load(pairs_of) })
  return ms.image.grid(ms.cat(both), { columns = 10, padding = 4, background = 1 })
end

-- The part-th net: trained, or taken from its checkpoint with --resume and trained on. corrupt: what is done to its inputs.
local function fit(part, k, inputs, corrupt)
  local name = nets[part] -- its curves lie over those of the other nets, each with its own steps
  ms.seed(o.seed * 100 + part)
  local model = autoencoder(k)
  local adam = optim.adam(model:parameters(), { lr = o.lr })
  local trace, first = { step = {}, loss = {}, test_step = {}, test = {} }, 1
  local at = o.resume and run:load(name, { model = model, optimizer = adam })
  if at then
    first, trace = at.epoch + 1, at.trace
    trace.test_step, trace.test = trace.test_step or {}, trace.test or {}
    print(("%s: going on after epoch %d"):format(name, at.epoch))
  end
  if first == 1 and part == 1 then print(model) end
  run:live("lr", adam) -- mascon set runs/mnist_autoencoder lr=1e-4
  local board = run:board(name, o.resume and (first - 1) * per_epoch + 1 or nil) -- what stands there from that step on is void

  -- One step, compiled: recorded in its first calls, then replayed.
  local step = ms.compile(function(x)
    local y = model(corrupt and corrupt(x) or x)
    local loss = (y - x):pow(2):sum() / #x
    adam:zero_grad()
    loss:backward()
    adam:step()
    return loss
  end)

  local loader = train:loader { batch = o.batch, shuffle = true, drop_last = true }
  local drawn = ms.time()
  for epoch = first, o.epochs do
    local mean, recent = ms.meter.mean(), ms.meter.mean()
    local bar = ms.progress(loader, { label = ("%s %d/%d"):format(name, epoch, o.epochs) })
    bar:set { loss = mean }
    local i = 0
    for x in bar do
      local loss = step(x)
      mean:add(loss)
      recent:add(loss)
      i = i + 1
      if i % every == 0 then
        trace.step[#trace.step + 1], trace.loss[#trace.loss + 1] = (epoch - 1) * per_epoch + i, recent:value()
        board:scalar("loss", recent:value(), (epoch - 1) * per_epoch + i)
        recent:reset()
        if ms.time() - drawn > o.refresh then
          draw(name, trace, model, inputs)
          drawn = ms.time()
        end
      end
    end
    done = done + 1
    trace.mean = mean:value()
    local test_mse = mse(test, corrupt and function(x) return model(corrupt(x)) end or model)
    trace.test_step[#trace.test_step + 1], trace.test[#trace.test + 1] = epoch * per_epoch, test_mse * 784
    run:epoch({ epoch = done, step = done * per_epoch, net_epoch = epoch, loss = trace.mean, mse = test_mse }, name, epoch * per_epoch)
    board:image("reconstructions", draw(name, trace, model, inputs), epoch * per_epoch)
    board:flush()
    run:save(name, { model = model, optimizer = adam, epoch = epoch, trace = trace }) -- last: whatever a kill cuts short is done again
    print(("%s: epoch %d  loss %.3f"):format(name, epoch, trace.mean))
  end
  return model, trace.mean
end

-- ---- 1: codes of eight numbers ---------------------------------------------------------------------------------------------------
local model, loss_k8 = fit(1, o.codes, show)
local encoder, decoder = model[1], model[2]
local ae_mse = mse(test, model)

-- Between two images: eleven points on the line between their codes, decoded.
ms.no_grad(function()
  local z = encoder(pair)
  local steps = ms.linspace(0, 1, 11, { device = z.device }):reshape { 11, 1 }
  local between, captions = decoder(ms.lerp(z[{ { 1, 1 } }], z[{ { 2, 2 } }], steps)), { "x1" }
  for i = 0, 10 do captions[#captions + 1] = ("%.1f"):format(i / 10) end
  captions[#captions + 1] = "x2"
  plot.tiles { { pair[{ { 1, 1 } }], between, pair[{ { 2, 2 } }] }, captions = captions, title = "decoded between the codes of two images",
    file = run:path "interpolation.png" }
end)

-- ---- 2: codes of two numbers, to be looked at -------------------------------------------------------------------------------------
local flat, loss_k2 = fit(2, 2, show)
local points, classes = scattered:map(flat[1])
plot.scatter { points = points, class = classes, classes = train.classes, title = "1,000 training images as codes of two numbers",
  xlabel = "code 1", ylabel = "code 2", file = run:path "plane_codes.png" }

-- ---- 3: few labels ----------------------------------------------------------------------------------------------------------------
local few, few_labels = labelled:map(encoder)
local codes, labels = test:map(encoder)
local forest = ml.random_forest { trees = o.trees, seed = o.seed }:fit(few, few_labels)
local function neighbours(k) return ml.accuracy(ml.knn { k = k }:fit(few, few_labels):predict(codes), labels) end

-- ---- 4: denoising ------------------------------------------------------------------------------------------------------------------
local function corrupt(x) return flip_pixels(x, o.flip) end
plot.tiles { noisy, title = ("noisy images: each pixel turned over with probability %g"):format(o.flip), file = run:path "noisy.png" }
local denoiser = fit(3, o.codes, noisy, corrupt)
ms.seed(o.seed)
local noisy_mse = mse(test, corrupt)
local denoise_mse = mse(test, function(x) return denoiser(corrupt(x)) end)

-- ---- 5: the linear special case -----------------------------------------------------------------------------------------------------
local pca = ml.pca { components = o.codes }:fit(train:pixels())
local pixels = test:pixels()
local pca_mse = nn.mse(pca:inverse(pca:transform(pixels)), pixels):item()

-- ---- the figures of the run ----------------------------------------------------------------------------------------------------------
local summary = {
  device = train.device,
  loss_k8 = loss_k8, loss_k2 = loss_k2, forest_accuracy = ml.accuracy(forest:predict(codes), labels), knn1_accuracy = neighbours(1),
  knn5_accuracy = neighbours(5), denoise_mse = denoise_mse, noisy_mse = noisy_mse, pca_mse = pca_mse, ae_mse = ae_mse,
}
run:summary(summary)
for _, name in ipairs { "loss_k8", "loss_k2", "forest_accuracy", "knn1_accuracy", "knn5_accuracy", "denoise_mse", "noisy_mse", "pca_mse",
  "ae_mse" } do
  print(("%-16s %.4f"):format(name, summary[name]))
end
run:close()
print(("figures, metrics and checkpoints are in %s"):format(o.out))
