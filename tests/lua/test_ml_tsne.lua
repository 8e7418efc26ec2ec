-- luacheck: globals TestTSNE
-- t-SNE against scikit-learn's figures (tests/data/tsne_expected.csv, made by tests/peers/make_tsne.py). Runs in the root of the
-- repository.
-- gcstress: every 200
local lu = require "luaunit"
local ms = require "mascon"
local ml = ms.ml

local digits = {}
for line in io.lines "tests/data/digits.csv" do
  local row = {}
  for c in line:match("%w+$"):gmatch "." do row[#row + 1] = tonumber(c, 17) end
  digits[#digits + 1] = row
end
local all = ms.tensor(digits)
digits = all[{ { 1, 500 } }]

local expected = {}
for line in io.lines "tests/data/tsne_expected.csv" do
  local name, rest = line:match "^([^,]+),(.*)$"
  expected[name] = {}
  for v in rest:gmatch "[^,]+" do table.insert(expected[name], tonumber(v)) end
end

-- f(...) raises a message that has `part`, and names a line of this file.
local function fails(part, f, ...)
  local ok, message = pcall(f, ...)
  lu.assertFalse(ok, "expected an error with: " .. part)
  lu.assertStrContains(message, part)
  lu.assertStrMatches(message, ".*test_ml_tsne%.lua:%d+: .*")
end

TestTSNE = {}

function TestTSNE.test_all_pairs()
  local t = ml.tsne { method = "exact" }
  local points = t:fit_transform(digits[{ { 1, 300 } }])
  lu.assertEquals({ points.shape, points.dtype }, { { 300, 2 }, "f32" })
  lu.assertEquals(t.embedding:totable(), points:totable())
  lu.assertAlmostEquals(t.kl_divergence / expected.exact_kl_300[1], 1, 0.03)
  lu.assertEquals({ t.n_iter, t.learning_rate }, { 999, 50 })
end

-- Cells and neighbours in the place of all: the same divergence within 3 %, with one thread and with two the same bits.
function TestTSNE.test_cells()
  local before, points = ms.threads(), {}
  for n = 1, 2 do
    ms.threads(n)
    local t = ml.tsne()
    points[n] = t:fit_transform(digits):totable()
    lu.assertAlmostEquals(t.kl_divergence / expected.plane_kl_500[1], 1, 0.03)
  end
  ms.threads(before)
  lu.assertEquals(points[1], points[2])
end

-- All 1,797 digits: more than repel one another directly.
function TestTSNE.test_digits()
  local t = ml.tsne()
  local points = t:fit_transform(all)
  lu.assertAlmostEquals(t.kl_divergence / expected.digits_kl[1], 1, 0.03)
  lu.assertAlmostEquals(ml.trustworthiness(all, points, 12), expected.digits_trust[1], 0.003)
end

function TestTSNE.test_starts()
  local x = digits[{ { 1, 60 } }]
  local function fit(o)
    o.perplexity, o.max_iter = 10, 250
    return ml.tsne(o):fit_transform(x):totable()
  end
  lu.assertEquals(fit { init = "random", seed = 3 }, fit { init = "random", seed = 3 })
  lu.assertNotEquals(fit { init = "random", seed = 3 }, fit { init = "random", seed = 4 })
  -- steps too short to be seen: the points stay where they started, and short gradients end either part after 50 iterations
  local own = ml.pca { components = 2 }:fit(x):transform(x)
  own = own * (1e-4 / own[{ {}, 1 }]:std({ correction = 0 }):item())
  for _, init in ipairs { "pca", own } do
    local t = ml.tsne { perplexity = 10, init = init, learning_rate = 1e-30, min_grad_norm = 1e30 }
    lu.assertTrue((t:fit_transform(x) - own):abs():max():item() < 1e-9)
    lu.assertEquals({ t.n_iter, t.learning_rate }, { 99, 1e-30 })
  end
  lu.assertEquals(ms.tensor(fit { components = 1 }).shape, { 60, 1 })
  lu.assertEquals(ms.tensor(fit { components = 3 }).shape, { 60, 3 })
end

-- Samples that are all the same, and copies of a few, have places; two samples are enough.
function TestTSNE.test_equal_samples()
  local copies = digits[{ { 1, 4 } }]:repeat_interleave(30, { dim = 1 })
  for _, x in ipairs { ms.ones { 40, 3 }, copies, digits[{ { 1, 2 } }] } do
    local t = ml.tsne { perplexity = 1.5, max_iter = 300 }
    lu.assertTrue(t:fit_transform(x):isfinite():all():item())
    lu.assertTrue(t.kl_divergence > -1e-6)
  end
end

function TestTSNE.test_state()
  local t = ml.tsne { perplexity = 5, max_iter = 250 }:fit(digits[{ { 1, 20 } }])
  local other = ml.tsne():load_state_dict(t:state_dict())
  lu.assertEquals(other.embedding:totable(), t.embedding:totable())
  lu.assertEquals({ other.kl_divergence, other.n_iter, other.learning_rate }, { t.kl_divergence, 249, 50 })
  lu.assertStrContains(tostring(t), "20 samples, divergence ")
  lu.assertStrContains(tostring(ml.tsne()), "not fitted")
  fails("'kl_divergence' is missing", other.load_state_dict, other, { embedding = t.embedding })
end

function TestTSNE.test_errors()
  local x = digits[{ { 1, 20 } }]
  fails("perplexity: expected a number above 0 and below the 20 samples there are, got 30", function() ml.tsne():fit(x) end)
  fails("unknown option 'perplexty'; did you mean perplexity?", ml.tsne, { perplexty = 5 })
  fails("option perplexity: expected a number above 0, got 0", ml.tsne, { perplexity = 0 })
  fails("option max_iter: expected a whole number from 250 on, got 100", ml.tsne, { max_iter = 100 })
  fails("option learning_rate: expected 'auto' or a number above 0, got 'fast'", ml.tsne, { learning_rate = "fast" })
  fails("option method: expected barnes_hut or exact, got 'fft'", ml.tsne, { method = "fft" })
  fails("option init: expected pca or random, got 'zeros'", ml.tsne, { init = "zeros" })
  fails("option angle: expected a number in 0..1, got 2", ml.tsne, { angle = 2 })
  fails("option components: expected 1, 2 or 3 with method 'barnes_hut', got 4", ml.tsne, { components = 4 })
  fails("option init: expected a point of 2 coordinates per sample (20), got", function()
    ml.tsne { perplexity = 5, init = ms.zeros { 20, 3 } }:fit(x)
  end)
  fails("not fitted yet", function() return ml.tsne().kl_divergence end)
  fails("expected a finite number", function() ml.tsne { perplexity = 1 }:fit(ms.tensor { { 1, 2 }, { 3, 0 / 0 }, { 1, 1 } }) end)
  fails("samples x features", function() ml.tsne():fit(ms.zeros { 5 }) end)
  fails("expected at least 2 samples", function() ml.tsne { perplexity = 0.5 }:fit(ms.zeros { 1, 5 }) end)
  -- an error leaves what was there
  local t = ml.tsne { perplexity = 5, max_iter = 250 }:fit(x)
  local kl = t.kl_divergence
  fails("expected a smaller learning_rate", function()
    t.options.learning_rate = 1e30
    t:fit(digits)
  end)
  lu.assertEquals({ t.kl_divergence, t.embedding.shape }, { kl, { 20, 2 } })
end
