-- lab_scenes: an exercise of the laboratory: which of 8 outdoor scenes does a photograph show? A convolutional net learns it from some two
-- thousand JPEG files; what is too few is made up for by flips, shifts, turns and other light.
--
--   mascon scripts/lab_scenes.lua [--epochs 30] [--seed 1] [--quick] [--resume] [--out runs/lab_scenes] [--help]
local ms = require "mascon"
local training = require "lab.training"
local nn, ml, plot, optim, T = ms.nn, ms.ml, ms.plot, ms.optim, ms.transforms

local o = ms.args.standard({
  epochs = 30, batch = 32, lr = 3e-3, seed = 1, out = "runs/lab_scenes", width = 16, weight_decay = 0.01, dropout = 0.2,
  folder = ms.args.string,
}, {
  help = "Tell 8 outdoor scenes apart by photographs",
  describe = { width = "channels of the first convolution", weight_decay = "of AdamW", dropout = "share of the features left out",
    folder = "pictures of your own instead: a folder with a folder for each class" },
  range = { width = "[1, ]", weight_decay = "[0, ]", dropout = "[0, 1)" },
})

-- ---- data: four of five photographs of each class are learned from, the fifth is kept for the test ---------------------------------
local train, test
if o.folder then
  train, test = ms.data.folder(o.folder, { size = 64, device = o.device }):split(0.8, { seed = o.seed })
else
  train, test = ms.data.scenes { data = o.data, device = o.device, seed = o.seed }
end
if o.quick then
  train, test, o.epochs = train:subset(1, math.min(300, #train)), test:subset(1, math.min(100, #test)), math.min(o.epochs, 2)
end
local classes = train.classes
print(("%d photographs to learn from, %d for the test, %d classes, on %s"):format(#train, #test, #classes, train.device))

-- Drawn anew for each photograph in each epoch. What comes in from beyond the edge is grey.
local normalize = T.normalize(0.45, 0.25)
local augment = T.compose { T.random_horizontal_flip(),
  T.random_affine(8, { translate = { 0.1, 0.1 }, scale = { 0.9, 1.15 }, fill = 0.45 }),
  T.color_jitter { brightness = 0.2, contrast = 0.2 }, normalize }
local photographs = test
train, test = train:transform(augment), test:transform(normalize)

-- ---- the net -----------------------------------------------------------------------------------------------------------------------
local function block(from, to)
  return nn.sequential { nn.conv2d(from, to, 3, { padding = 1, bias = false }), nn.batch_norm2d(to), nn.relu(), nn.max_pool2d(2) }
end
local function make()
  local w = o.width
  return nn.sequential { block(3, w), block(w, 2 * w), block(2 * w, 4 * w), block(4 * w, 8 * w), nn.adaptive_avg_pool2d(1), nn.flatten(),
    nn.dropout(o.dropout), nn.linear(8 * w, #classes) }
end

-- ---- training ----------------------------------------------------------------------------------------------------------------------
local lab = training.open(o, { nets = { "net" }, same = { photographs = #train, classes = classes } })
local net, trace = lab:train("net", {
  make = make, data = train,
  optimizer = function(parameters, how) return optim.adamw(parameters, { lr = how.lr, weight_decay = o.weight_decay }) end,
  loss = function(net, x, y) return nn.cross_entropy(net(x), y) end,
  figures = function(net) return { accuracy = training.accuracy(net, test) } end,
})
plot.lines { { y = trace.accuracy }, title = "share of the test photographs that are told right",
  xlabel = "epoch", ylabel = "accuracy", file = lab.run:path "accuracy.png" }

-- ---- what is taken for what --------------------------------------------------------------------------------------------------------
local scores, labels = test:map(net)
local share, told = scores:softmax(2):max(2)
plot.heatmap { ml.confusion(told, labels), title = "test photographs", xlabels = classes, ylabels = classes,
  annotate = true, xlabel = "true", ylabel = "predicted", file = lab.run:path "confusion.png" }

-- The twelve that the net is surest of and wrong about.
local wrong = told:ne(labels):nonzero():reshape { -1 }
if #wrong > 0 then
  local surest = wrong[share[wrong]:argsort(1, { descending = true })[{ { 1, math.min(12, #wrong) } }]]
  local captions = {}
  for i = 1, #surest do
    local at = surest[i]:item()
    captions[i] = ("%s, told as %s"):format(classes[labels[at]:item()], classes[told[at]:item()])
  end
  plot.tiles { photographs:images(surest), columns = 4, scale = 3, captions = captions, title = "what the net is surest of, and wrong",
    file = lab.run:path "mistakes.png" }
end

local by_class = {}
for c, name in ipairs(classes) do
  local of_c = labels:eq(c)
  by_class[name] = told:eq(c):logical_and(of_c):sum():item() / math.max(1, of_c:sum():item())
end
lab:finish({ device = train.device, accuracy = ml.accuracy(told, labels), loss = trace.loss[#trace.loss], accuracy_by_class = by_class,
  test_photographs = #test }, { "accuracy", "loss" })
