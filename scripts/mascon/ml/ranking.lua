-- How well scores rank: ROC and precision-recall curves, their areas. Definitions are scikit-learn's; all is computed in f64.
local ms = require "mascon"
local options = require "mascon.options"
local kit = require "mascon.ml.kit"
local ml = {}

-- Both arguments, checked; both kinds must occur, since the curves have no meaning otherwise.
local function arguments(what, score, truth, positive, both)
  score = kit.vector(what, "score", score)
  truth = kit.binary(what, "truth", truth, positive, #score)
  local count = truth:sum():item()
  if count == 0 or both and count == #score then
    options.raise("%s: truth: expected %s, got %s of %d samples", what, both and "positive and negative samples" or "a positive sample",
      count == 0 and "no positive one" or "positive ones only,", #score)
  end
  return score, truth, count
end

-- At each distinct score, largest first: how many positive and how many negative samples have it or more (f64), and the scores.
local function counts(score, truth)
  local sorted, order = score:sort(1, { descending = true })
  local hits = truth:long()[order]:cumsum(1)
  local n = #score
  local last = ms.ones({ n }, { dtype = "bool" }) -- the last sample of each distinct score
  if n > 1 then last[{ { 1, n - 1 } }] = sorted[{ { 2, n } }]:ne(sorted[{ { 1, n - 1 } }]) end
  local at = last:nonzero():reshape { -1 }
  local tps = hits[at]
  return tps:double(), (at - tps):double(), sorted[at]
end

local function before(first, t) return ms.cat { ms.tensor({ first }, { dtype = "f64" }), t } end

local function curve_options(what, opts, drop)
  return options.read(what, opts, { positive = options.any, drop_intermediate = drop })
end

-- ml.roc_curve(score, truth [, {positive, drop_intermediate = true}]) -> false positive rates, true positive rates, thresholds (f64, one
-- dimension each, from (0, 0) at threshold inf to (1, 1)): the rates where score >= threshold is called positive. score: N, larger for
-- positive ones; truth: N bools, 0 and 1, or labels of which `positive` is the positive one. drop_intermediate: without points on a line
-- between their neighbours
function ml.roc_curve(score, truth, opts)
  local what = "ml.roc_curve"
  local o = curve_options(what, opts, true)
  local s, t = arguments(what, score, truth, o.positive, true)
  local tps, fps, thresholds = counts(s, t)
  local n = #tps
  if o.drop_intermediate and n > 2 then
    local bends = ms.ones({ n }, { dtype = "bool" })
    bends[{ { 2, n - 1 } }] = fps:diff(2):ne(0):logical_or(tps:diff(2):ne(0))
    local at = bends:nonzero():reshape { -1 }
    tps, fps, thresholds = tps[at], fps[at], thresholds[at]
  end
  tps, fps, thresholds = before(0, tps), before(0, fps), before(math.huge, thresholds)
  return fps / fps[-1], tps / tps[-1], thresholds
end

local function binary_auroc(score, truth)
  local tps, fps = counts(score, truth)
  tps, fps = before(0, tps), before(0, fps)
  local n = #tps
  local area = (fps:diff() * (tps[{ { 2, n } }] + tps[{ { 1, n - 1 } }])):sum() / 2 -- whole numbers and halves: exact
  return (area / (tps[-1] * fps[-1])):item()
end

-- ml.auroc(score, truth [, {positive, average = "macro"}]) -> the area under the ROC curve: the share of pairs of a positive and a
-- negative sample in which the positive one has the larger score, ties counting half. score: N, truth as in ml.roc_curve. Of several
-- classes: score N x classes, truth N labels from 1; each class against the rest, and the mean over the classes ("macro"), weighted by
-- their samples ("weighted"), or all (f64 tensor, "none")
function ml.auroc(score, truth, opts)
  local what = "ml.auroc"
  local o = options.read(what, opts, { positive = options.any, average = "macro" })
  kit.one_of(what, "average", o.average, "macro", "weighted", "none")
  if not (ms.is_tensor(score) and score:dim() == 2) then
    local s, t = arguments(what, score, truth, o.positive, true)
    return binary_auroc(s, t)
  end
  if o.positive ~= nil then options.raise("%s: option positive: only with one score per sample, got %s", what, kit.shape(score)) end
  local n, classes = score:size(1), score:size(2)
  local all = kit.vector(what, "score", score, nil, 1, true):reshape { n, classes }
  truth = kit.labels(what, "truth", truth, classes, n)
  local list, mean = {}, 0
  for c = 1, classes do
    local is = truth:eq(c)
    local count = is:sum():item()
    if count == 0 or count == n then
      options.raise("%s: truth: expected samples of class %d and of others, got %d of %d", what, c, count, n)
    end
    list[c] = binary_auroc(all[{ {}, c }], is)
    mean = mean + list[c] * (o.average == "weighted" and count / n or 1 / classes)
  end
  return o.average == "none" and ms.tensor(list, { dtype = "f64" }) or mean
end

-- ml.precision_recall_curve(score, truth [, {positive, drop_intermediate = false}]) -> precision, recall (P + 1 each), thresholds (P): f64,
-- by rising threshold, with precision 1 and recall 0 at the end; score >= threshold is called positive. Arguments as in ml.roc_curve
function ml.precision_recall_curve(score, truth, opts)
  local what = "ml.precision_recall_curve"
  local o = curve_options(what, opts, false)
  local s, t, positives = arguments(what, score, truth, o.positive, false)
  local tps, fps, thresholds = counts(s, t)
  local n = #tps
  if o.drop_intermediate and n > 2 then -- the number of true positives is the same on both sides
    local keep = ms.ones({ n }, { dtype = "bool" })
    local d = tps:diff()
    keep[{ { 2, n - 1 } }] = d[{ { 1, n - 2 } }]:ne(0):logical_or(d[{ { 2, n - 1 } }]:ne(0))
    local at = keep:nonzero():reshape { -1 }
    tps, fps, thresholds = tps[at], fps[at], thresholds[at]
  end
  local precision, recall = tps / (tps + fps), tps / positives
  return before(1, precision):flip(1), before(0, recall):flip(1), thresholds:flip(1)
end

-- ml.average_precision(score, truth [, {positive}]) -> sum over the thresholds of (recall gained) * precision; arguments as in ml.roc_curve
function ml.average_precision(score, truth, opts)
  local what = "ml.average_precision"
  local o = options.read(what, opts, { positive = options.any })
  local s, t, positives = arguments(what, score, truth, o.positive, false)
  local tps, fps = counts(s, t)
  return (before(0, tps):diff() * tps / (tps + fps)):sum():item() / positives
end

return ml
