-- few_labels: a variational autoencoder learns codes of all images without a label; then ten labels a class are spread over the graph of
-- the codes' nearest neighbours: by label propagation, by Poisson learning, and, without a graph, by pseudo-labels and by nearest
-- neighbours. (Calder, Cook, Thorpe and Slepcev, Poisson learning, ICML 2020, report 0.959 and 0.753 on MNIST and Fashion-MNIST.)
--
--   mascon scripts/few_labels.lua [--epochs 20] [--labels 10] [--draws 10] [--dataset fashion] [--quick] [--help]
local ms = require "mascon"
local nn, optim, ml, plot = ms.nn, ms.optim, ms.ml, ms.plot

local o = ms.args.standard({
  epochs = 20, batch = 128, lr = 1e-3, seed = 1, out = "runs/few_labels",
  codes = 20, labels = 10, draws = 10, neighbours = 10, mbo = false, dataset = ms.args.choice { "auto", "mnist", "fashion" },
}, {
  help = "Ten labels a class, spread over the codes of a variational autoencoder",
  describe = {
    codes = "size of a code",
    labels = "labelled images of each class",
    draws = "how often they are drawn anew; figures are means over the draws",
    neighbours = "k, links of each image in the graph",
    mbo = "PoissonMBO, too (a minute a draw or so)",
    dataset = "which images; auto takes MNIST if it is found, else Fashion-MNIST",
  },
  range = { codes = "[1, ]", labels = "[1, ]", draws = "[1, ]", neighbours = "[1, ]" },
})

-- ---- data: training and test images together, no label is looked at before the last part ------------------------------------------
local train, test = ms.data.find(o.dataset, { data = o.data, device = o.device })
if o.quick then
  train, test = train:subset(1, math.min(#train, 5000)), test:subset(1, math.min(#test, 1000))
  o.draws, o.epochs = math.min(o.draws, 2), math.min(o.epochs, 4)
end
local images = ms.cat { train:pixels(), test:pixels() }
local truth = ms.cat { train.labels, test.labels }
local n, classes = #images, #train.classes
ms.args.within(o, "batch", ("[1, %d]"):format(n))
ms.args.within(o, "neighbours", ("[1, %d]"):format(n - 1))
for c = 1, classes do ms.args.within(o, "labels", ("[1, %d]"):format(truth:eq(c):sum():item() - 1)) end
print(("%s: %d images, on %s"):format(train.name, n, train.device))

-- ---- the model: 784-400-(mean, log variance of k numbers), and back -----------------------------------------------------------------
local VAE = nn.class "VAE"
function VAE:init(k)
  self.hidden = nn.sequential { nn.linear(784, 400), nn.relu() }
  self.mean, self.log_variance = nn.linear(400, k), nn.linear(400, k)
  self.decoder = nn.sequential { nn.linear(k, 400), nn.relu(), nn.linear(400, 784) }
end
function VAE:encode(x) return self.mean(self.hidden(x)) end
function VAE:decode(z) return self.decoder(z):sigmoid() end

-- Minus the evidence lower bound per image: the image given its code, and how far codes are from a normal distribution.
function VAE:forward(x)
  local h = self.hidden(x)
  local mean, log_variance = self.mean(h), self.log_variance(h)
  local z = mean + (0.5 * log_variance):exp() * ms.randn_like(mean)
  local image = nn.bce_with_logits(self.decoder(z), x, { reduction = "sum" })
  local code = -0.5 * (1 + log_variance - mean:square() - log_variance:exp()):sum()
  return (image + code) / #x
end

-- ---- training ------------------------------------------------------------------------------------------------------------------------
local run = ms.run(o.out, { options = o, resume = o.resume, may_change = { "labels", "draws", "neighbours", "mbo" }, tensorboard = true,
  same = { data_set = train.name, images = n } })
ms.seed(o.seed)
local model = VAE(o.codes):to(train.device)
local adam = optim.adam(model:parameters(), { lr = o.lr })
local step = ms.compile(function(x)
  local loss = model(x)
  adam:zero_grad()
  loss:backward()
  adam:step()
  return loss
end)
local loader = ms.data.tensors({ images, name = train.name }):loader { batch = o.batch, shuffle = true, drop_last = true }
ms.rehearse(step, { model = model, optimizer = adam }, loader)

local first = run:done({ "vae" }, o.epochs) + 1
if o.resume then run:load("vae", { model = model, optimizer = adam }) end
if first == 1 then print(model) end
run:board(nil, o.resume and (first - 1) * #loader + 1 or nil) -- what TensorBoard has from that step on is void

local show = images[{ { n - 9, n } }]
for epoch = first, o.epochs do
  local mean = ms.meter.mean()
  for x in ms.progress(loader, { label = ("epoch %d/%d"):format(epoch, o.epochs) }) do mean:add(step(x)) end
  run:epoch { epoch = epoch, step = epoch * #loader, loss = run:finite("loss", mean) }
  run:save("vae", { model = model, optimizer = adam, epoch = epoch })
  print(("epoch %d  loss %.2f"):format(epoch, mean:value()))
end
local restored = ms.no_grad(function() return model:decode(model:encode(show)) end)
plot.tiles { ms.cat { show, restored }:reshape { 20, 1, 28, 28 }, columns = 10, file = run:path "reconstructions.png",
  title = "ten test images over what is decoded from their codes" }
plot.lines { { y = run:column "loss", label = "loss" }, title = "variational autoencoder, training images", xlabel = "epoch",
  ylabel = "minus evidence lower bound", legend = false, file = run:path "loss.png" }

-- ---- the graph -----------------------------------------------------------------------------------------------------------------------
local codes = ms.no_grad(function() return model:encode(images) end)
local begun = ms.time()
local graph = ml.kneighbors_graph(codes, { k = o.neighbours, mode = "gaussian", symmetric = "mean" })
print(("%s, %.1f s"):format(graph, ms.time() - begun))

-- ---- ways to use a few labels ----------------------------------------------------------------------------------------------------------
-- Each gets the labels (0: none) and gives a class for every image.
local function labelled(y)
  local at_labels = y:gt(0):nonzero():reshape { -1 }
  return codes[at_labels], y[at_labels]
end

local ways = {
  { "1-NN", "knn1", function(y) return ml.knn { k = 1 }:fit(labelled(y)):predict(codes) end },
  { "logistic", "logistic", function(y) return ml.logistic_regression():fit(labelled(y)):predict(codes) end },
  -- Pseudo-labels: a classifier of its own surest answers, more of them in each round (Lee, 2013).
  { "pseudo", "pseudo", function(y)
    local sure = y
    for round = 1, 5 do
      local at_labels = sure:gt(0):nonzero():reshape { -1 }
      local p = ml.logistic_regression { classes = classes }:fit(codes[at_labels], sure[at_labels]):predict_proba(codes)
      local share, class = p:max(2)
      if round == 5 then return class end
      sure = ms.zeros_like(y)
      for c = 1, classes do -- the surest of each class, so that none takes over
        local of_c = share * class:eq(c):double()
        local _, best = of_c:topk(math.max(1, round * n // (8 * classes)))
        sure:index_fill_(1, best[of_c[best]:gt(0)], c)
      end
      sure = ms.where(y:gt(0), y, sure)
    end
  end },
  { "propagation", "propagation", function(y)
    return ml.label_propagation { max_iter = 200, tol = 1 }:fit(graph, y).transduction
  end },
  { "Poisson", "poisson", function(y) return ml.poisson_learning():fit(graph, y).transduction end },
}
if o.mbo then
  ways[#ways + 1] = { "PoissonMBO", "poisson_mbo", function(y) return ml.poisson_learning { mbo = true }:fit(graph, y).transduction end }
end

-- `labels` images of each class, drawn by a generator of their own.
local function draw_labels(seed)
  return ms.with_seed(seed, function()
    local y = ms.zeros({ n }, { dtype = "i64", device = truth.device })
    for c = 1, classes do
      local of_c = truth:eq(c):nonzero():reshape { -1 }
      y:index_fill_(1, of_c[ms.randperm(#of_c)[{ { 1, o.labels } }]], c)
    end
    return y
  end)
end

-- ---- draw after draw: the share of the images without a label that are told right ----------------------------------------------
local accuracy, confusion = {}, nil
for _, way in ipairs(ways) do accuracy[way[2]] = {} end
for draw = 1, o.draws do
  local y = draw_labels(o.seed * 1000 + draw)
  local rest = y:eq(0):nonzero():reshape { -1 }
  local words = {}
  for _, way in ipairs(ways) do
    local scope <close> = ms.scope()
    local told = way[3](y)
    table.insert(accuracy[way[2]], ml.accuracy(told[rest], truth[rest]))
    words[#words + 1] = ("%s %.4f"):format(way[1], accuracy[way[2]][draw])
    if way[2] == "poisson" and draw == 1 then confusion = scope:keep(ml.confusion(told[rest], truth[rest])) end
  end
  print(("draw %d of %d: %s"):format(draw, o.draws, table.concat(words, ", ")))
end

-- ---- figures ---------------------------------------------------------------------------------------------------------------------------
local boxes = { title = ("%d labels a class, %d draws"):format(o.labels, o.draws), ylabel = "accuracy", file = run:path "accuracy.png" }
for i, way in ipairs(ways) do boxes[i] = { accuracy[way[2]], label = way[1] } end
plot.box(boxes)
plot.heatmap { confusion, title = "Poisson learning, first draw", xlabel = "true", ylabel = "predicted", xlabels = train.classes,
  ylabels = train.classes, annotate = true, file = run:path "confusion.png" }
local some = ms.with_seed(o.seed, ms.randperm, n)[{ { 1, math.min(n, 2000) } }]
plot.scatter { points = ml.pca { components = 2 }:fit(codes):transform(codes[some]), class = truth[some], classes = train.classes,
  title = "codes along their first two principal components", xlabel = "component 1", ylabel = "component 2", file = run:path "codes.png" }

-- ---- the figures of the run ----------------------------------------------
local summary = { device = train.device, loss = run:column("loss")[#run:column "loss"], graph_edges = #graph.column }
for _, way in ipairs(ways) do
  local values = ms.tensor(accuracy[way[2]], { dtype = "f64" })
  summary[way[2] .. "_accuracy"] = values:mean():item()
  summary[way[2] .. "_sd"] = #values > 1 and values:std():item() or 0
  summary[way[2] .. "_each"] = accuracy[way[2]]
  print(("%-20s %.4f +- %.4f"):format(way[1], summary[way[2] .. "_accuracy"], summary[way[2] .. "_sd"]))
end
run:summary(summary)
run:close()
print(("figures, metrics and checkpoints are in %s"):format(o.out))
