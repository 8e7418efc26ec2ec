-- one_class: which digits are not the one a net has learned? A convolutional autoencoder is trained on the images of one digit, without
-- labels of any other, and gives every test image a score; ten digits, ten nets. The figure is the area under the ROC curve (AUROC) with
-- the test images of all other digits as anomalies, the mean over the digits (Ruff et al. 2018, "Deep one-class classification": Deep SVDD
-- 0.948, convolutional autoencoder 0.897, isolation forest 0.923).
--
--   mascon scripts/one_class.lua [--epochs 15] [--score both] [--digits 0,1] [--quick] [--resume] [--out runs/one_class] [--help]
local ms = require "mascon"
local novelty = require "lab.novelty"
local nn, optim, ml, plot = ms.nn, ms.optim, ms.ml, ms.plot

local scores = novelty.scores
local o = ms.args.standard({
  epochs = 15, batch = 64, lr = 2e-3, seed = 1, out = "runs/one_class",
  codes = 16, width = 8, digits = "all", score = ms.args.choice(scores), k = 5, dataset = ms.args.choice { "auto", "mnist", "fashion" },
}, {
  help = "One-class classification of MNIST (or Fashion-MNIST) with a convolutional autoencoder",
  describe = {
    codes = "numbers in a code",
    width = "channels of the first convolution; the second has twice as many",
    digits = "which classes are learned, by their positions from 0: all, or 0,3,8",
    score = novelty.help,
    k = "which neighbour `near` looks at",
    dataset = "which images; auto takes MNIST if it is found, else Fashion-MNIST",
  },
  range = { codes = "[1, ]", width = "[1, ]", k = "[1, ]" },
})

-- ---- data ------------------------------------------------------------------------------------------------------------------------
local train, test = ms.data.find(o.dataset, { data = o.data, device = o.device })
local wanted, digits = {}, {} -- digits: classes that are learned, from 1
for word in (o.digits == "all" and "" or o.digits .. ","):gmatch "(.-)," do
  local d = word:match "^%d+$" and math.tointeger(tonumber(word))
  if not d or d >= #train.classes then
    error(("--digits %s: expected all, or numbers from 0 to %d with commas"):format(o.digits, #train.classes - 1), 0)
  end
  wanted[d + 1] = true
end
for i, name in ipairs(train.classes) do
  if o.digits == "all" or wanted[i] then digits[#digits + 1] = { class = i, name = name } end
end
if o.quick then
  test, o.epochs = test:subset(1, math.min(#test, 2000)), math.min(o.epochs, 3)
end
print(("%s: %d training and %d test images, on %s"):format(train.name, #train, #test, train.device))

-- ---- the model -------------------------------------------------------------------------------------------------------------------
local function autoencoder()
  local w = o.width
  return nn.sequential {
    nn.sequential { nn.conv2d(1, w, 3, { stride = 2, padding = 1 }), nn.relu(), nn.conv2d(w, 2 * w, 3, { stride = 2, padding = 1 }),
      nn.relu(), nn.flatten(), nn.linear(2 * w * 49, o.codes) },
    nn.sequential { nn.linear(o.codes, 2 * w * 49), nn.relu(), nn.unflatten(2, { 2 * w, 7, 7 }), nn.upsample(2),
      nn.conv2d(2 * w, w, 3, { padding = 1 }), nn.relu(), nn.upsample(2), nn.conv2d(w, 1, 3, { padding = 1 }), nn.sigmoid() },
  }:to(train.device)
end

-- ---- training: one net for each digit ----------------------------------------------------------------------------------------------
local run = ms.run(o.out, { options = o, resume = o.resume, may_change = { "score", "k" },
  same = { data_set = train.name, training_images = #train } })
local nets = {}
for i, d in ipairs(digits) do nets[i] = "class_" .. d.class - 1 end
local done = run:done(nets, o.epochs) -- epochs of all nets together

local function fit(d, set)
  local name = "class_" .. d.class - 1
  ms.seed(o.seed * 100 + d.class)
  local model = autoencoder()
  local adam = optim.adam(model:parameters(), { lr = o.lr })
  local step = ms.compile(function(x)
    local loss = nn.mse(model(x), x)
    adam:zero_grad()
    loss:backward()
    adam:step()
    return loss
  end)
  if d == digits[1] then print(model) end
  ms.args.within(o, "batch", ("[1, %d]"):format(#set))
  local loader = set:loader { batch = o.batch, shuffle = true, drop_last = true }
  ms.rehearse(step, { model = model, optimizer = adam }, loader)
  local at, first = o.resume and run:load(name, { model = model, optimizer = adam }), 1
  if at then
    first = at.epoch + 1
    print(("%s: going on after epoch %d"):format(d.name, at.epoch))
  end
  for epoch = first, o.epochs do
    adam.lr = o.lr * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / o.epochs)) -- from lr down to almost nothing along a cosine
    local mean = ms.meter.mean()
    for x in ms.progress(loader, { label = ("%s %d/%d"):format(d.name, epoch, o.epochs) }) do mean:add(step(x)) end
    done = done + 1
    run:epoch { epoch = done, step = done * (#set // o.batch), class = d.name, class_epoch = epoch,
      loss = run:finite("loss", mean) }
    run:save(name, { model = model, optimizer = adam, epoch = epoch })
  end
  return model
end

-- ---- scores ------------------------------------------------------------------------------------------------------------------------
local sums, rows, names = {}, {}, {}
local figures = { normal = {}, odd = {}, mistaken = {} }
for i, d in ipairs(digits) do
  local set = train:subset(train.labels:eq(d.class))
  if o.quick then set = set:subset(1, math.min(#set, 1000)) end
  local model = fit(d, set)
  local z, e = novelty.look(model, set)
  local by_score = novelty.judge(o, z, e, novelty.look(model, test))
  local other = test.labels:ne(d.class)
  rows[i], names[i] = {}, d.name
  for k, name in ipairs(scores) do
    rows[i][k] = ml.auroc(by_score[name], other)
    sums[k] = (sums[k] or 0) + rows[i][k]
  end
  local told = {}
  for k, name in ipairs(scores) do told[k] = ("%s %.4f"):format(name, rows[i][k]) end
  print(("%-12s AUROC: %s"):format(d.name, table.concat(told, "  ")))
  -- the ten test images of the class that are most and least like the training images, and the ten of others that are most like them
  local function ten(which, descending)
    local at = which:nonzero():reshape { -1 }
    local order = select(2, by_score[o.score]:index_select(1, at):sort(1, { descending = descending }))
    return test:images(at:index_select(1, order[{ { 1, math.min(10, #order) } }]))
  end
  table.insert(figures.normal, ten(other:logical_not(), false))
  table.insert(figures.odd, ten(other:logical_not(), true))
  table.insert(figures.mistaken, ten(other, false))
end

-- ---- the figures of the run --------------------------------------------------------------------------------------------------------
local titles = { normal = "test images of each class that are most normal", odd = "test images of each class that are least normal",
  mistaken = "test images of other classes that seem most normal" }
for name, images in pairs(figures) do
  plot.tiles { ms.cat(images), columns = 10, rows = names, title = titles[name], file = run:path(name .. ".png") }
end
local mean, by_score, by_class = {}, {}, {}
for k, name in ipairs(scores) do
  mean[k] = sums[k] / #digits
  by_score[name] = mean[k]
end
for i, row in ipairs(rows) do
  for k, name in ipairs(scores) do
    if name == o.score then by_class[i] = row[k] end
  end
end
rows[#rows + 1], names[#names + 1] = mean, "mean"
plot.heatmap { rows, xlabels = scores, ylabels = names, annotate = true, format = "%.3f", file = run:path "auroc.png",
  title = "AUROC: one class against all others" }
run:summary { device = train.device, auroc = by_score[o.score], auroc_by_score = by_score, auroc_by_class = by_class, score = o.score,
  test_images = #test }
for k, name in ipairs(scores) do print(("%-12s mean AUROC %.4f"):format(name, mean[k])) end
run:close()
print(("figures, metrics and checkpoints are in %s"):format(o.out))
