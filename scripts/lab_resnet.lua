-- lab_resnet: an exercise of the laboratory: a residual autoencoder learns photographs of one kind of scene and is to tell all others from
-- them, by how badly it restores them and by where their codes lie. Eight kinds, eight nets; the figure is the area under the ROC curve
-- with the test photographs of the seven other kinds as anomalies. A net that restores busy streets restores a calm sea even better, so its
-- error alone says little of some kinds; what it is beside the errors of the other nets says more (`ratio`, which has seen all kinds).
--
--   mascon scripts/lab_resnet.lua [--epochs 30] [--kinds forest,street] [--score near] [--quick] [--resume] [--help]
local ms = require "mascon"
local nets = require "lab.nets"
local novelty = require "lab.novelty"
local training = require "lab.training"
local nn, ml, plot, T = ms.nn, ms.ml, ms.plot, ms.transforms

local o = ms.args.standard({
  epochs = 30, batch = 16, lr = 2e-3, seed = 1, out = "runs/lab_resnet", kinds = "all", codes = 32, width = 8, k = 3,
  score = ms.args.choice(novelty.scores),
}, {
  help = "A residual autoencoder for each kind of photograph, to tell it from the others",
  describe = { kinds = "which kinds are learned: all, or names with commas", codes = "numbers in a code",
    width = "channels of the first block", score = novelty.help, k = "which neighbour `near` looks at" },
  range = { codes = "[1, ]", width = "[1, ]", k = "[1, ]" },
})

-- ---- data --------------------------------------------------------------------------------------------------------------------------
local train, test = ms.data.scenes { data = o.data, device = o.device, seed = o.seed }
if o.quick then
  test, o.epochs = test:subset(1, math.min(200, #test)), math.min(o.epochs, 2)
  if o.kinds == "all" then o.kinds = train.classes[1] .. "," .. train.classes[#train.classes] end
end
local kinds, position = {}, {}
for i, name in ipairs(train.classes) do position[name] = i end
for name in (o.kinds == "all" and table.concat(train.classes, ",") or o.kinds):gmatch "[^,]+" do
  if not position[name] then
    error(("--kinds %s: expected all, or names among %s with commas"):format(o.kinds, table.concat(train.classes, ",")), 0)
  end
  kinds[#kinds + 1] = name
end
print(("%d photographs to learn from, %d for the test, on %s"):format(#train, #test, train.device))
local augment = T.compose { T.random_horizontal_flip(), T.random_affine(0, { translate = { 0.05, 0.05 }, fill = 0.45 }) }

-- ---- a net for each kind -------------------------------------------------------------------------------------------------------------
local lab = training.open(o, { nets = kinds, same = { photographs = #train }, may_change = { "score", "k" } })
local auroc, errors, pairs_of, looks = {}, {}, {}, {}
for r, name in ipairs(kinds) do
  local own = train:subset(train.labels:eq(position[name]))
  local net = lab:train(name, {
    make = function() return nets.resnet(o.codes, o.width) end, data = own:transform(augment),
    loss = function(net, x) return nn.mse(net(x), x) end,
  })
  local z, e = novelty.look(net, own)
  local tz, te = novelty.look(net, test)
  local by_score = novelty.judge(o, z, e, tz, te)
  local other = test.labels:ne(position[name])
  auroc[r], errors[r] = {}, te
  for i, score in ipairs(novelty.scores) do auroc[r][i] = ml.auroc(by_score[score], other) end
  print(("%-12s AUROC by %s: %.4f"):format(name, o.score, ml.auroc(by_score[o.score], other)))

  -- its own test photographs that are restored best and worst, each beside what the net makes of it
  local mine = other:logical_not():nonzero():reshape { -1 }
  local order = mine[te[mine]:argsort(1)]
  local picked = test:images(ms.cat { order[{ { 1, 4 } }], order[{ { -4, -1 } }] })
  net:eval()
  pairs_of[r] = ms.stack({ picked, ms.no_grad(net, picked) }, 2):flatten(1, 2)
  -- the test photographs of any kind that look most like the kind, and those of other kinds that do
  local nearest = by_score[o.score]:argsort(1)
  local foreign = nearest[other[nearest]]
  looks[r] = test:images(ms.cat { nearest[{ { 1, 6 } }], foreign[{ { 1, 6 } }] })
end

-- ---- all nets together: how badly the kind's own net restores a photograph, beside what the nets do on the average ---------------------
local columns = { table.unpack(novelty.scores) }
local told
if #kinds > 1 then
  errors = ms.stack(errors, 2) -- photographs x nets
  local ratio = errors / errors:mean(2, { keepdim = true })
  columns[#columns + 1] = "ratio"
  local known = ms.zeros({ #test }, { dtype = "bool" }) -- is it of one of the kinds that have a net?
  for r, name in ipairs(kinds) do
    auroc[r][#columns] = ml.auroc(ratio[{ {}, r }], test.labels:ne(position[name]))
    known = known:logical_or(test.labels:eq(position[name]))
  end
  local names = {}
  for r, name in ipairs(kinds) do names[r] = position[name] end
  local best = ms.tensor(names, { dtype = "i64" })[errors:argmin(2)] -- the kind whose net restores it best
  local at = known:nonzero():reshape { -1 }
  told = ml.accuracy(best[at], test.labels[at])
end

-- ---- the figures of the run ----------------------------------------------------------------------------------------------------------
plot.tiles { ms.cat(pairs_of), columns = 16, scale = 1, rows = kinds, file = lab.run:path "reconstructions.png",
  title = "photographs and reconstructions: the four restored best, and the four restored worst" }
plot.tiles { ms.cat(looks), columns = 12, scale = 1, rows = kinds, file = lab.run:path "most_normal.png",
  title = "what seems most like the kind: six of all photographs, six of other kinds" }
local mean, by_score, by_kind = {}, {}, {}
for i, score in ipairs(columns) do
  mean[i] = 0
  for r in ipairs(kinds) do mean[i] = mean[i] + auroc[r][i] / #kinds end
  by_score[score] = mean[i]
  for r, name in ipairs(kinds) do
    if score == o.score then by_kind[name] = auroc[r][i] end
  end
end
local rows, names = { table.unpack(auroc) }, { table.unpack(kinds) }
rows[#rows + 1], names[#names + 1] = mean, "mean"
plot.heatmap { rows, xlabels = columns, ylabels = names, annotate = true, format = "%.3f", file = lab.run:path "auroc.png",
  title = "AUROC: one kind of scene against all others" }
local summary, order = { device = train.device, auroc = by_score[o.score], auroc_by_kind = by_kind, score = o.score, told_by_error = told },
  { "auroc" }
for _, score in ipairs(columns) do
  order[#order + 1] = "auroc_" .. score
  summary[order[#order]] = by_score[score]
end
if told then order[#order + 1] = "told_by_error" end
lab:finish(summary, order)
