-- lab_finetune: an exercise of the laboratory: is it worth while to look at images without labels first? The encoder of a convolutional
-- autoencoder, trained on all digits, goes on as a classifier with few labelled ones; beside it the same classifier from scratch, with the
-- same images, steps and learning rates. The autoencoder is the one that combines the laboratory's ideas (nets.combined: what it is given
-- is turned, shifted and noisy, what it is to give is the digit as it was), or the laboratory's own small one (--net conv).
--
--   mascon scripts/lab_finetune.lua [--net conv] [--epochs 5] [--labelled 1000] [--draws 5] [--quick] [--resume] [--help]
local ms = require "mascon"
local nets = require "lab.nets"
local training = require "lab.training"
local nn, ml, plot = ms.nn, ms.ml, ms.plot

local o = ms.args.standard({
  epochs = 5, batch = 128, lr = 2e-3, seed = 1, out = "runs/lab_finetune", net = ms.args.choice { "combined", "conv" }, labelled = 1000,
  draws = 5, tune_epochs = 20, tune_batch = 50, every = 5,
}, {
  help = "A pretrained encoder against the same net from scratch, with few labels",
  describe = {
    epochs = "passes of the autoencoder over all images", labelled = "labelled images", draws = "how often they are drawn anew",
    tune_epochs = "passes of the classifiers over those", tune_batch = "their batch", net = "which autoencoder",
    every = "epochs from one look at the test images to the next",
  },
  range = { labelled = "[2, ]", draws = "[1, ]", tune_epochs = "[1, ]", tune_batch = "[2, ]", every = "[1, ]" },
})

-- ---- data --------------------------------------------------------------------------------------------------------------------------
local limit = o.quick and { 4000, 1000 } or nil
local train, test = ms.data.mnist { data = o.data, device = o.device, normalize = nets.normalize, limit = limit }
ms.args.within(o, "labelled", ("[2, %d]"):format(#train - 1))
if o.quick then
  o.epochs, o.draws, o.tune_epochs, o.labelled = math.min(o.epochs, 2), math.min(o.draws, 2), math.min(o.tune_epochs, 3),
    math.min(o.labelled, 500)
end
print(("%d training images, %d of them with labels, and %d test images, on %s"):format(#train, o.labelled, #test, train.device))
local names = { "autoencoder" }
for draw = 1, o.draws do
  for _, way in ipairs { "scratch", "tuned" } do names[#names + 1] = ("%s_%d"):format(way, draw) end
end
local lab = training.open(o, { nets = names, same = { training_images = #train }, may_change = { "draws" } })

-- ---- without labels ------------------------------------------------------------------------------------------------------------------
local CODES, WIDTH = 64, 16
local function make() return o.net == "conv" and nets.conv() or nets.combined(CODES, WIDTH) end
local noise = o.net == "conv" and function(x) return x end or nets.noise(0.5, 15)
local autoencoder, learned = lab:train("autoencoder", {
  make = make, data = train, loss = function(net, x) return nn.mse(net(noise(x)), x) end,
})

-- ---- with labels ---------------------------------------------------------------------------------------------------------------------
local function classifier() return nn.sequential { make()[1], nn.flatten(), nn.linear(o.net == "conv" and 196 or CODES, 10) } end
local at = {} -- the epochs whose nets the test images are shown
for epoch = 1, o.tune_epochs do
  if epoch % o.every == 0 or epoch == o.tune_epochs then at[#at + 1] = epoch end
end
local curves, last = { scratch = {}, tuned = {} }, { scratch = {}, tuned = {} }
local confusion
for draw = 1, o.draws do
  local few = train:split(o.labelled, { seed = o.seed * 1000 + draw })
  for _, way in ipairs { "scratch", "tuned" } do
    local net, trace = lab:train(("%s_%d"):format(way, draw), {
      make = function()
        local net = classifier()
        if way == "tuned" then net[1]:load_state_dict(autoencoder[1]:state_dict()) end
        return net
      end,
      data = few, epochs = o.tune_epochs, batch = o.tune_batch,
      loss = function(net, x, y) return nn.cross_entropy(net(x), y) end,
      figures = function(net, epoch)
        return (epoch % o.every == 0 or epoch == o.tune_epochs) and { accuracy = training.accuracy(net, test) } or nil
      end,
    })
    curves[way][draw], last[way][draw] = trace.accuracy, trace.accuracy[#trace.accuracy]
    if way == "tuned" and draw == 1 then
      local scores, labels = test:map(net)
      confusion = ml.confusion(scores:argmax(2), labels)
    end
  end
end

-- ---- the figures of the run ----------------------------------------------------------------------------------------------------------
local title = ("%d labelled images, %d draws"):format(o.labelled, o.draws)
plot.lines { { x = at, y = ms.tensor(curves.tuned):mean(1), label = "encoder learned without labels", points = true },
  { x = at, y = ms.tensor(curves.scratch):mean(1), label = "from scratch", dashed = true, points = true },
  title = title .. ": mean over the draws", xlabel = "epoch", ylabel = "accuracy on the test images", legend = "bottom right",
  file = lab.run:path "accuracy.png" }
plot.box { { last.tuned, label = "fine-tuned" }, { last.scratch, label = "from scratch" }, title = title,
  ylabel = "accuracy after the last epoch", file = lab.run:path "draws.png" }
plot.heatmap { confusion, title = "fine-tuned, first draw", xlabels = test.classes, ylabels = test.classes,
  annotate = true, xlabel = "true", ylabel = "predicted", file = lab.run:path "confusion.png" }
local summary = { device = train.device, autoencoder_loss = learned.loss[#learned.loss] }
local better = 0
for draw = 1, o.draws do
  if last.tuned[draw] > last.scratch[draw] then better = better + 1 end
end
summary.tuned_better_draws = better
for way, list in pairs(last) do
  summary[way .. "_accuracy"], summary[way .. "_each"] = ms.tensor(list, { dtype = "f64" }):mean():item(), list
end
lab:finish(summary, { "autoencoder_loss", "tuned_accuracy", "scratch_accuracy", "tuned_better_draws" })
