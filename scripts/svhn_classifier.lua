-- svhn_classifier: first steps with images: fully connected nets on house numbers, four times; where they err; a search for better ones;
-- and a convolutional net. The same code takes MNIST and Fashion-MNIST, padded to 32 x 32.
--
--   mascon scripts/svhn_classifier.lua [--dataset svhn|mnist|fashion] [--quick] [--out runs/svhn_classifier] [--help]
local ms = require "mascon"
local nn, optim, ml, plot = ms.nn, ms.optim, ms.ml, ms.plot

local o = ms.args.standard({
  epochs = ms.args.integer, batch = 64, lr = 1e-3, seed = 1, out = "runs/svhn_classifier",
  dataset = ms.args.choice { "svhn", "mnist", "fashion" }, held_out = 0.2, search = ms.args.choice { "random", "grid" }, trials = 16,
  trial_epochs = 0, conv_epochs = 0, cells = "6,8 1,7",
}, {
  help = "House numbers by fully connected and convolutional nets",
  describe = {
    epochs = "passes of each of the four nets, instead of the published 3, 5, 5, 5",
    lr = "learning rate of the convolutional net",
    held_out = "share of the training images that is held out for validation",
    search = "how the trials are chosen", trials = "how many there are (16 of a grid)",
    trial_epochs = "passes of a trial; 0: 4, and more where there are few images", conv_epochs = "the same for the convolutional net",
    cells = "cells of the confusion matrix, predicted,true as digits, whose images are shown",
  },
  range = { held_out = "(0, 1)", trials = "[1, ]", trial_epochs = "[0, ]", conv_epochs = "[0, ]" },
})
local cells = {}
for word in o.cells:gmatch "%S+" do
  local p, t = word:match "^(%d),(%d)$"
  if not p then error(("--cells %s: expected pairs of digits, as 6,8 1,7"):format(o.cells), 0) end
  cells[#cells + 1] = { p + 1, t + 1 }
end

-- ---- data -----------------------------------------------------------------------------------------------------------------------
local function padded(set) -- 28 x 28 to 32 x 32
  return ms.data.tensors { ms.pad(set.raw, { 2, 2, 2, 2 }), set.labels, classes = set.classes, device = o.device, name = set.name,
    normalize = { mean = 0.13, std = 0.31 } }
end
local all, test
if o.dataset == "svhn" then
  all, test = ms.data.svhn { data = o.data, device = o.device, normalize = { mean = { 0.43, 0.44, 0.47 }, std = 0.20 } }
else
  all, test = ms.data.find(o.dataset, { data = o.data })
  all, test = padded(all), padded(test)
end
if o.quick then
  all = all:subset(1, math.min(1000, #all))
  test = test and test:subset(1, math.min(1000, #test))
end
local channels, classes = all.raw:size(2), all.classes

-- A part of the training images is held out: its positions are drawn once, by the seed; the others are walked through in random order.
local order = ms.with_seed(o.seed, ms.randperm, #all)
ms.args.within(o, "held_out", ("[%.4g, %.4g]"):format(1 / #all, 1 - 1 / #all))
local n_val = math.floor(o.held_out * #all)
local held_out, kept = order[{ { 1, n_val } }], order[{ { n_val + 1, -1 } }]
local val = all:subset(held_out)
local random_order = ms.data.subset_random_sampler(kept)
print(("%s: %d training, %d validation, %d test images, on %s"):format(all.name, #kept, #val, test and #test or 0, all.device))

-- A sampler of our own, for the convolutional net: as many positions as there are, each class as often as the others. A sampler is any
-- function that makes an iterator of positions for each walk, or a table with one (iter); with # it says how many there are.
local by_class = {}
for c = 1, #classes do
  local positions = kept[all.labels[kept]:eq(c)]
  if #positions > 0 then by_class[#by_class + 1] = positions end
end
local balanced = setmetatable({}, { __len = function() return #kept // #by_class * #by_class end })
function balanced.iter()
  local draws = {}
  for c, positions in ipairs(by_class) do draws[c] = positions[ms.randint(1, #positions, { #kept // #by_class })] end
  local mixed, i = ms.stack(draws, 2):reshape { -1 }:totable(), 0
  return function()
    i = i + 1
    return mixed[i]
  end
end

-- Passes of a net: as the option says; 0: four, or as many as 600 batches take.
local function passes(option) return option > 0 and option or o.quick and 2 or math.max(4, 600 * o.batch // #kept) end

-- ---- the nets -------------------------------------------------------------------------------------------------------------------
-- depth hidden layers of `width`, with batch normalisation or not
local function connected(depth, width, norm)
  local layers, n = { nn.flatten() }, channels * 32 * 32
  for _ = 1, depth do
    layers[#layers + 1] = nn.linear(n, width)
    if norm then layers[#layers + 1] = nn.batch_norm1d(width) end
    layers[#layers + 1] = nn.relu()
    n = width
  end
  layers[#layers + 1] = nn.linear(n, #classes)
  return nn.sequential(layers):to(all.device)
end

local function convolutional()
  local function block(from, to)
    return nn.sequential { nn.conv2d(from, to, 3, { padding = 1, bias = false }), nn.batch_norm2d(to), nn.relu(), nn.avg_pool2d(2) }
  end
  return nn.sequential { block(channels, 32), block(32, 64), block(64, 64), nn.flatten(), nn.dropout(0.4), nn.linear(64 * 4 * 4, 128),
    nn.relu(), nn.dropout(0.4), nn.linear(128, #classes) }:to(all.device)
end

local function sgd(lr) return function(p) return optim.sgd(p, { lr = lr, weight_decay = 0.1 }) end end
local function halve(opt) return optim.lr_scheduler.step_lr(opt, 2, { gamma = 0.5 }) end
local nets = {
  { name = "one_hidden", epochs = o.epochs or 3, make = function() return connected(1, 100) end, optimizer = sgd(1e-2) },
  { name = "two_hidden", epochs = o.epochs or 5, make = function() return connected(2, 100) end, optimizer = sgd(1e-2) },
  { name = "batch_norm", epochs = o.epochs or 5, make = function() return connected(2, 100, true) end, optimizer = sgd(1e-3) },
  { name = "halved_rate", epochs = o.epochs or 5, make = function() return connected(2, 100, true) end, optimizer = sgd(1e-3),
    schedule = halve },
  { name = "convolutional", make = convolutional, optimizer = function(p) return optim.adam(p, { lr = o.lr }) end, sampler = balanced,
    epochs = passes(o.conv_epochs) },
}
nets[5].schedule = function(opt) return optim.lr_scheduler.cosine_annealing_lr(opt, nets[5].epochs) end

-- Predictions for a set, in order.
local function predict(model, set) return nn.evaluate(model, set.map, set, function(x) return model(x):argmax(2) end) end

-- ---- training -------------------------------------------------------------------------------------------------------------------
-- The folder is ours from here on; with --resume its run goes on where it stopped.
local run = ms.run(o.out, { options = o, resume = o.resume, may_change = { "cells" }, tensorboard = true,
  same = { data_set = all.name, images = #all } })
local names, most = {}, {}
for i, net in ipairs(nets) do names[i], most[net.name] = net.name, net.epochs end
local done = run:done(names, most)

-- One compiled step of a net: mean loss, and how many of the batch it told right.
local function step_of(model, optimizer, loader)
  local step = ms.compile(function(x, y)
    local scores = model(x)
    local loss = nn.cross_entropy(scores, y)
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
    return loss, scores:argmax(2):eq(y):sum()
  end)
  return ms.rehearse(step, { model = model, optimizer = optimizer }, loader)
end

-- The number-th net: trained, or taken from its checkpoint with --resume and trained on.
local function fit(number)
  local net = nets[number]
  ms.seed(o.seed * 100 + number)
  local model = net.make()
  local optimizer = net.optimizer(model:parameters())
  local schedule = net.schedule and net.schedule(optimizer)
  local loader = all:loader { batch = o.batch, sampler = net.sampler or random_order }
  local step = step_of(model, optimizer, loader)
  local at = o.resume and run:load(net.name, { model = model, optimizer = optimizer, schedule = schedule })
  local history = at and at.history or { loss = {}, train = {}, val = {} }
  run:board(net.name, o.resume and (at and at.epoch or 0) + 1 or nil) -- TensorBoard's curves from that epoch on are void
  for epoch = (at and at.epoch or 0) + 1, net.epochs do
    local mean, right = ms.meter.mean(), ms.meter.mean()
    for x, y in ms.progress(loader, { label = ("%s %d/%d"):format(net.name, epoch, net.epochs) }) do
      local loss, correct = step(x, y)
      mean:add(loss, #x)
      right:add(correct / #x, #x)
      ms.progress.set { loss = mean }
    end
    if schedule then schedule:step() end
    done = done + 1
    local accuracy = ml.accuracy(predict(model, val), val.labels)
    local row = { loss = run:finite("loss", mean), train = right:value(), val = accuracy }
    for name, v in pairs(row) do history[name][epoch] = v end
    run:epoch({ epoch = done, step = done * #loader, net_epoch = epoch, loss = mean, train_accuracy = right, val_accuracy = accuracy },
      net.name, epoch)
    run:save(net.name, { model = model, optimizer = optimizer, schedule = schedule, epoch = epoch, history = history })
    print(("%-13s epoch %d  loss %.4f  training accuracy %.4f  validation %.4f"):format(net.name, epoch, row.loss, row.train, row.val))
  end
  return model, history
end

local models, histories, val_accuracy = {}, {}, {}
for i, net in ipairs(nets) do
  models[i], histories[i] = fit(i)
  val_accuracy[net.name] = histories[i].val[#histories[i].val]
end

print(("\n%-13s %6s %9s %9s %9s"):format("net", "epochs", "loss", "training", "validation"))
local loss_curves, accuracy_curves = { kind = "lines", title = "training images" }, { kind = "lines", title = "validation images" }
for i, net in ipairs(nets) do
  local h = histories[i]
  print(("%-13s %6d %9.4f %9.4f %9.4f"):format(net.name, #h.loss, h.loss[#h.loss], h.train[#h.train], h.val[#h.val]))
  if i < 5 then loss_curves[i], accuracy_curves[i] = { h.loss, label = net.name }, { h.val, label = net.name } end
end
loss_curves.xlabel, loss_curves.ylabel = "epoch", "cross entropy"
accuracy_curves.xlabel, accuracy_curves.ylabel, accuracy_curves.legend = "epoch", "share told right", "bottom right"
plot.panels { loss_curves, accuracy_curves, title = "four nets", file = run:path "loss.png" }

-- ---- where the convolutional net errs -------------------------------------------------------------------------------------------
local predicted, truth = predict(models[5], val), val.labels
local confusion = ml.confusion(predicted, truth, #classes)
print("\nvalidation: rows predicted, columns true")
local function line(name, list, format) print(("%-12s"):format(name) .. format:rep(#list):format(table.unpack(list))) end
local short = {}
for i, name in ipairs(classes) do short[i] = name:sub(1, 5) end
line("", short, "%6s")
for i, row in ipairs(confusion:totable()) do line(classes[i], row, "%6d") end
plot.heatmap { confusion, xlabels = classes, ylabels = classes, annotate = true, xlabel = "true", ylabel = "predicted",
  title = all.name .. ": confusion on validation images", file = run:path "confusion.png" }

-- At most ten of the images that are taken for class p and are of class t.
local function cell(p, t)
  local at = ms.logical_and(predicted:eq(p), truth:eq(t)):nonzero():reshape { -1 }
  if #at == 0 then return print(("no image of %s is taken for %s"):format(classes[t], classes[p])) end
  local title = ("%s taken for %s: %d of %d"):format(classes[t], classes[p], #at, truth:eq(t):sum():item())
  print(title)
  plot.tiles { val.raw[at[{ { 1, math.min(10, #at) } }]], title = title, scale = 3,
    file = run:path(("cell_%d_%d.png"):format(p - 1, t - 1)) }
end
for i, at in ipairs(ml.confused(confusion)) do
  if i <= 3 then cell(at[1], at[2]) end
end
for _, at in ipairs(cells) do cell(at[1], at[2]) end

-- ---- the search: better fully connected nets ------------------------------------------------------------------------------------
-- One line in trials.jsonl for each trial; those that are there already are not run again with --resume.
local function pick(list) return list[ms.randint(1, #list, { 1 }):item()] end
local specs = {}
if o.search == "grid" then
  for _, kind in ipairs { "sgd", "adam" } do
    for depth = 1, 2 do
      for _, norm in ipairs { false, true } do
        for _, lr in ipairs(kind == "sgd" and { 1e-2, 1e-1 } or { 3e-4, 3e-3 }) do
          specs[#specs + 1] = { optimizer = kind, lr = lr, depth = depth, width = 200, batch_norm = norm }
        end
      end
    end
  end
else -- every fourth trial another net, with four rates
  ms.seed(o.seed + 7000)
  local net
  for i = 1, o.quick and math.min(4, o.trials) or o.trials do
    if i % 4 == 1 then net = { pick { "sgd", "adam" }, pick { 1, 2, 3 }, pick { 50, 100, 200 }, pick { false, true } } end
    local low, high = table.unpack(net[1] == "sgd" and { -2.5, -0.5 } or { -4, -2 })
    specs[i] = { optimizer = net[1], lr = 10 ^ (low + (high - low) * ms.rand({ 1 }):item()), depth = net[2], width = net[3],
      batch_norm = net[4] }
  end
end

-- Trials of the same net, whose rates differ, are trained side by side: one compiled step for all of them.
local function alike(a, b)
  return a.optimizer == b.optimizer and a.depth == b.depth and a.width == b.width and a.batch_norm == b.batch_norm
end
local trials = run:list "trials"
if #trials > 0 then print(("\n%d trials are done"):format(#trials)) end
local first = 1
while first <= #specs do
  local spec, last, rates, seeds = specs[first], first, {}, {}
  while last < #specs and alike(spec, specs[last + 1]) do last = last + 1 end
  for i = first, last do rates[#rates + 1], seeds[#seeds + 1] = specs[i].lr, o.seed * 1000 + i end
  if last > #trials then
    ms.seed(o.seed * 1000 + first)
    local sweep = ms.sweep { model = function() return connected(spec.depth, spec.width, spec.batch_norm) end, seeds = seeds,
      loss = nn.cross_entropy, optimizer = spec.optimizer, lr = rates, momentum = spec.optimizer == "sgd" and 0.9 or nil,
      weight_decay = spec.optimizer == "sgd" and 1e-3 or nil }
    local loader, losses = all:loader { batch = o.batch, sampler = random_order }, nil
    for _ = 1, passes(o.trial_epochs) do
      losses = 0
      for x, y in loader do losses = losses + sweep:step(x, y) * (#x / #kept) end
    end
    local accuracies = sweep:accuracy(val):totable()
    for i = #trials + 1, last do
      local row = { trial = i, val_accuracy = accuracies[i - first + 1], loss = losses[i - first + 1]:item() }
      for k, v in pairs(specs[i]) do row[k] = v end
      trials[i] = run:append("trials", row)
      print(("trial %2d  %-4s rate %.5f  depth %d  width %3d  %-10s  validation %.4f"):format(i, row.optimizer, row.lr, row.depth,
        row.width, row.batch_norm and "batch norm" or "", row.val_accuracy))
    end
  end
  first = last + 1
end
local best_trial = trials[1]
for _, row in ipairs(trials) do
  if row.val_accuracy > best_trial.val_accuracy then best_trial = row end
end
local rate_of, accuracy_of, kinds = {}, {}, {}
for i, row in ipairs(trials) do rate_of[i], accuracy_of[i], kinds[i] = row.lr, row.val_accuracy, row.optimizer == "sgd" and 1 or 2 end
plot.scatter { x = rate_of, y = accuracy_of, class = kinds, classes = { "sgd", "adam" }, logx = true, xlabel = "learning rate",
  ylabel = "validation accuracy", title = "trials of fully connected nets", file = run:path "trials.png" }

-- ---- the figures of the run -----------------------------------------------------------------------------------------------------
local test_accuracy = test and ml.accuracy(predict(models[5], test), test.labels)
run:summary { device = all.device, val_accuracy = val_accuracy, test_accuracy = test_accuracy, best_trial = best_trial,
  confusion = confusion }
print(("\nbest trial: %d, validation accuracy %.4f"):format(best_trial.trial, best_trial.val_accuracy))
print(("convolutional net: validation accuracy %.4f%s"):format(val_accuracy.convolutional,
  test_accuracy and (", test accuracy %.4f"):format(test_accuracy) or ""))
run:close()
print(("figures, metrics, trials and checkpoints are in %s"):format(o.out))
