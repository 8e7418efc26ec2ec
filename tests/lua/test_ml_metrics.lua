-- luacheck: globals TestRanking TestClasses TestRegression TestThresholds TestErrors
-- Metrics and thresholds of ml against scikit-learn's, SciPy's and NumPy's figures (tests/data/ml_metrics.json, made by
-- tests/peers/make_ml_metrics.py). Runs in the root of the repository.
-- gcstress: every 40
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local json = require "mascon.json"
local ml, fails = ms.ml, checks.fails

local peers = json.decode(checks.contents "tests/data/ml_metrics.json")
local function labels(list) return ms.tensor(list, { dtype = "i64" }) end
local function numbers(list) return ms.tensor(list, { dtype = "f64" }) end

local function near(got, want, error)
  if type(want) ~= "table" then return lu.assertAlmostEquals(got, want, error or 1e-12) end
  if ms.is_tensor(got) then
    lu.assertEquals(got.dtype, "f64")
    got = got:totable()
  end
  lu.assertEquals(#got, #want)
  for i, w in ipairs(want) do lu.assertAlmostEquals(got[i], w, error or 1e-12) end
end

-- ---- scores ---------------------------------------------------------------------------------------------------------------------

TestRanking = {}

for _, name in ipairs { "distinct", "ties", "small", "one_of_each" } do
  TestRanking["test_" .. name] = function()
    local p = peers[name]
    local score, truth = numbers(p.score), labels(p.truth)
    for _, t in ipairs { truth, truth:bool(), truth:float() } do
      near(ml.auroc(score, t), p.auroc)
      near(ml.average_precision(score, t), p.average_precision)
    end
    near(ml.auroc(score, 4 - 3 * truth, { positive = 1 }), p.auroc)
    near(1 - ml.auroc(-score, truth), p.auroc)
    local fpr, tpr, thresholds = ml.roc_curve(score, truth)
    near(fpr, p.fpr)
    near(tpr, p.tpr)
    near(thresholds[{ { 2, -1 } }], p.thresholds)
    lu.assertEquals(thresholds[1]:item(), math.huge)
    fpr, tpr, thresholds = ml.roc_curve(score, truth, { drop_intermediate = false })
    for i, t in ipairs { fpr, tpr, thresholds } do near(t[{ { 2, -1 } }], p.every[i]) end
    local precision, recall, cuts = ml.precision_recall_curve(score, truth)
    near(precision, p.precision)
    near(recall, p.recall)
    near(cuts, p.cuts)
    for i, t in ipairs { ml.precision_recall_curve(score, truth, { drop_intermediate = true }) } do near(t, p.fewer[i]) end
  end
end

function TestRanking.test_classes_against_the_rest()
  local p = peers.classes
  local proba, truth = numbers(p.proba), labels(p.truth):clamp(1, 3)
  near(ml.auroc(proba, truth), p.auroc_macro)
  near(ml.auroc(proba, truth, { average = "weighted" }), p.auroc_weighted)
  local each = ml.auroc(proba, truth, { average = "none" })
  near(each:mean():item(), p.auroc_macro)
  near(each[2]:item(), ml.auroc(proba[{ {}, 2 }], truth, { positive = 2 }))
end

function TestRanking.test_graphs_and_strides()
  local p = peers.distinct
  local wide = ms.zeros({ 150, 2 }, { dtype = "f64" })
  wide[{ {}, 2 }] = numbers(p.score)
  wide:requires_grad_(true)
  near(ml.auroc(wide[{ {}, 2 }] * 2, labels(p.truth)), p.auroc)
end

-- ---- classes ----------------------------------------------------------------------------------------------------------------------

TestClasses = {}

function TestClasses.test_several()
  local p = peers.classes
  local predicted, truth = labels(p.predicted), labels(p.truth)
  for _, name in ipairs { "precision", "recall", "f1" } do
    for _, how in ipairs { "macro", "micro", "weighted" } do near(ml[name](predicted, truth, { average = how }), p[name .. "_" .. how]) end
    near(ml[name](predicted, truth, { average = "none" }), p[name .. "_each"])
    near(ml[name](predicted, truth, { average = "macro", classes = 7, zero_division = 1 }), p[name .. "_seven"])
    near(ml[name](predicted, truth, { positive = 2 }), p[name .. "_binary"])
    near(ml[name](predicted:eq(2), truth:eq(2)), p[name .. "_binary"])
  end
end

function TestClasses.test_report()
  local p = peers.classes
  local predicted, truth = labels(p.predicted), labels(p.truth)
  lu.assertEquals(ml.classification_report(predicted, truth), p.report)
  lu.assertEquals(ml.classification_report(predicted, truth, { digits = 3, names = { "a", "bee", "c", "a rather long name", "e" } }),
    p.report_names)
  lu.assertStrContains(ml.classification_report(labels { 1 }, labels { 1 }, { classes = 2 }), "           2       0.00")
end

function TestClasses.test_nothing_found()
  lu.assertEquals(ml.precision(labels { 0, 0 }, labels { 0, 1 }), 0)
  lu.assertEquals(ml.precision(labels { 0, 0 }, labels { 0, 1 }, { zero_division = 1 }), 1)
  -- scikit-learn leaves NaN out of means: precision of class 1 is 2/3, of class 2 0 / 0
  local leave = { average = "macro", zero_division = 0 / 0 }
  lu.assertAlmostEquals(ml.precision(labels { 1, 1, 1 }, labels { 1, 2, 1 }, leave), 2 / 3, 1e-12)
  leave.average = "weighted"
  lu.assertAlmostEquals(ml.precision(labels { 1, 1, 1 }, labels { 1, 2, 1 }, leave), 2 / 3, 1e-12)
  leave.average = "none"
  lu.assertTrue(ml.precision(labels { 1, 1, 1 }, labels { 1, 2, 1 }, leave)[2]:isnan():item())
  lu.assertEquals(ml.recall(labels { 0, 1 }, labels { 0, 1 }), 1)
end

TestRegression = {}

function TestRegression.test_peers()
  local p = peers.regression
  for _, name in ipairs { "r2", "mse", "mae" } do near(ml[name](numbers(p.predicted), numbers(p.truth)), p[name]) end
  lu.assertEquals(ml.r2(numbers { 2, 2 }, numbers { 2, 2 }), 1)
  lu.assertEquals(ml.r2(numbers { 2, 3 }, numbers { 2, 2 }), 0)
end

-- ---- thresholds -------------------------------------------------------------------------------------------------------------------

TestThresholds = {}

function TestThresholds.test_peers()
  local p = peers.thresholds
  local s = numbers(p.scores)
  for _, method in ipairs { "quantile", "mad", "otsu", "gap" } do
    local at, found = ml.threshold(s, { method = method })
    near(at, p[method])
    lu.assertEquals(found.above, s:gt(at):sum():item())
  end
  near(ml.threshold(s), p.mad)
  near(ml.threshold(s, { method = "gap", weighted = true }), p.gap_weighted)
  near(ml.threshold(s, { method = "quantile", q = 0 }), s:min():item())
  near(ml.threshold(s, { method = "quantile", q = 1 }), s:max():item())
  near(ml.threshold(s:exp(), { log = true }), math.exp(p.mad), 1e-9)
end

-- The fit is as likely as SciPy's, and no less.
function TestThresholds.test_peaks_over_threshold()
  local p = peers.thresholds
  local tail = numbers(p.tail)
  local at, found = ml.threshold(tail, { method = "pot", q = 0.95 })
  local excess = tail[tail:gt(found.base)] - found.base
  local cost = #excess * math.log(found.scale) + (1 + 1 / found.shape) * (excess * (found.shape / found.scale)):log1p():sum():item()
  lu.assertEquals(found.excesses, #excess)
  lu.assertTrue(cost <= p.nnlf + 1e-9, cost - p.nnlf)
  near(found.shape, p.shape, 1e-3)
  near(found.scale, p.scale, 1e-3)
  near(at, p.pot, 0.01)
  local flat = ms.linspace(0, 1, 2001, { dtype = "f64" }) -- a uniform tail: shape -1, and it ends where the scores do
  at, found = ml.threshold(flat, { method = "pot", q = 0.9, risk = 1e-6 })
  near(found.shape, -1, 0.05)
  near(at, 1, 1e-2)
end

-- Going by the scores of clean samples: at most the part `rate` of what is above is clean.
function TestThresholds.test_by_false_discoveries()
  local clean = ms.arange(1, 1000) / 1000
  local scores = ms.cat { ms.arange(1, 990) / 991, ms.arange(1, 10) + 5 } -- 990 usual ones, ten far beyond
  for _, log in ipairs { false, true } do
    local t, found = ml.threshold(scores, { method = "fdr", clean = clean, rate = 0.1, log = log })
    lu.assertTrue(t > 0.9 and t < 6)
    lu.assertEquals({ found.found, found.above }, { 10, 10 })
  end
  local t, found = ml.threshold(ms.arange(1, 100), { method = "fdr", clean = ms.arange(1, 100) })
  lu.assertEquals({ t, found.found, found.above }, { 100, 0, 0 })
  t, found = ml.threshold(ms.arange(101, 200), { method = "fdr", clean = ms.arange(1, 100) }) -- all
  lu.assertEquals({ t, found.found, found.above }, { 101, 100, 99 })
  checks.fails("expected clean = the scores of clean samples too", ml.threshold, scores, { method = "fdr" })
  checks.fails("option rate: expected a number above 0 to 1, got 2.0", ml.threshold, scores,
    { method = "fdr", clean = clean, rate = 2.0 })
end

function TestClasses.test_confused()
  local c = ms.tensor({ { 5, 2, 0 }, { 3, 5, 3 }, { 2, 0, 9 } }, { dtype = "i64" })
  lu.assertEquals(ml.confused(c), { { 2, 1, 3 }, { 2, 3, 3 }, { 1, 2, 2 }, { 3, 1, 2 } })
  checks.fails("ml.confused: expected counts (ml.confusion), classes x classes, got 3 f32", ml.confused, ms.ones { 3 })
end

-- ---- errors -----------------------------------------------------------------------------------------------------------------------

TestErrors = {}

function TestErrors.test_scores()
  local s, t = numbers { .1, .2 }, labels { 0, 1 }
  for _, name in ipairs { "auroc", "roc_curve", "average_precision", "precision_recall_curve" } do
    local f = ml[name]
    fails("ml." .. name .. ": score: expected a tensor, got nothing", f)
    fails("truth: expected a tensor, got nothing", f, s)
    fails("score[2] = nan, expected a finite number", f, numbers { 1, 0 / 0 }, t)
    fails("truth: expected 2 labels, one per sample, got 1", f, s, labels { 1 })
    fails("truth[2] = 2, expected bools, or 0 and 1 (of other labels name the positive one: { positive = 2 })", f, s, labels { 1, 2 })
    fails("got no positive one of 2 samples", f, s, labels { 0, 0 })
    fails("option positive: expected a whole number", f, s, t, { positive = "x" })
    fails("unknown option 'postive'; did you mean positive?", f, s, t, { postive = 1 })
    fails("score: expected", f, numbers {}, labels {})
  end
  fails("score: expected one number per sample in one dimension, got scalar f64", ml.roc_curve, s[1], t)
  fails("got positive ones only, of 2 samples", ml.auroc, s, labels { 1, 1 })
  lu.assertEquals(ml.average_precision(s, labels { 1, 1 }), 1)
  fails("expected samples of class 2 and of others, got 0 of 2", ml.auroc, ms.rand { 2, 3 }, labels { 1, 3 })
  fails("truth[1] = 4, expected 1..3", ml.auroc, ms.rand { 2, 3 }, labels { 4, 3 })
end

function TestErrors.test_classes()
  local p, t = labels { 1, 2 }, labels { 1, 1 }
  fails("ml.f1: option average: expected binary or macro", ml.f1, p, t, { average = "mean" })
  fails("predicted[2] = 2, expected bools, or 0 and 1", ml.f1, p, t)
  fails("option positive: no label is 7", ml.f1, labels { 1, 2 }, labels { 1, 2 }, { positive = 7 })
  lu.assertEquals(ml.f1(labels { 1, 1 }, labels { 1, 1 }, { positive = 2 }), 0) -- scikit-learn's too: a part without positive ones
  fails("option digits: expected 0..20, got 400", ml.classification_report, labels { 1, 2 }, labels { 1, 2 }, { digits = 400 })
  fails("option classes: not with average = 'binary'", ml.f1, p, t, { classes = 2, positive = 1 })
  fails("option positive: only with average = 'binary'", ml.recall, p, t, { positive = 1, average = "macro" })
  fails("predicted[2] = 2, expected 1..1", ml.recall, p, t, { average = "macro", classes = 1 })
  fails("expected at least one label", ml.classification_report, labels {}, labels {}, { classes = 2 })
  fails("option names: expected a list of texts", ml.classification_report, p, t, { names = "x" })
  fails("truth: expected 2 numbers, one per sample, got 1", ml.mse, numbers { 1, 2 }, numbers { 1 })
  fails("predicted: expected 2 or more numbers, got 1", ml.r2, numbers { 1 }, numbers { 1 })
end

function TestErrors.test_thresholds()
  local s = numbers { 1, 2, 3 }
  fails("ml.threshold: option method: expected mad or quantile or otsu or gap or pot or fdr, got 'mode'", ml.threshold, s,
    { method = "mode" })
  fails("unknown option 'q'", ml.threshold, s, { q = 0.5 })
  fails("option q: expected a number from 0 to 1, got 2", ml.threshold, s, { method = "quantile", q = 2 })
  fails("option risk: expected a number above 0 to 1, got 0", ml.threshold, s, { method = "pot", risk = 0 })
  fails("option k: expected a finite number, got inf", ml.threshold, s, { k = math.huge })
  fails("scores: expected 2 or more numbers, got 1", ml.threshold, numbers { 1 })
  fails("half of the scores are the same (1)", ml.threshold, numbers { 1, 1, 1, 5 })
  fails("all 2 scores are the same", ml.threshold, numbers { 1, 1 }, { method = "otsu" })
  fails("are all the same", ml.threshold, numbers { 1, 2, 2, 2 }, { method = "gap" })
  fails("expected 10 or more scores above quantile 0.98", ml.threshold, s, { method = "pot" })
  fails("expected scores above 0, got -1", ml.threshold, numbers { -1, 2 }, { log = true })
  fails("ml.threshold: expected a table of options, got number", ml.threshold, s, 3)
end
