-- Folds, cross-validation and searches beside scikit-learn's (tests/peers/make_selection.py).
-- gcstress: every 50
-- luacheck: globals TestFolds TestSearch
local checks = require "checks"
local json = require "mascon.json"
local lu = require "luaunit"
local ms = require "mascon"
local ml = ms.ml
local kept = json.decode(checks.contents "tests/data/selection.json")

TestFolds = {}

local function tested(folds)
  local list = {}
  for train, test in folds do
    list[#list + 1] = test:totable()
    local all = ms.cat({ train, test }):sort()
    lu.assertEquals(all:totable(), ms.arange(1, #all, { dtype = "i64" }):totable()) -- nobody twice, nobody left out
  end
  return list
end

function TestFolds.test_scikit_learn_s_folds()
  local n = 0
  for _, c in ipairs(kept.folds) do
    lu.assertEquals(tested(ml.k_fold(c.n, { k = c.k })), c.test)
    n = n + 1
  end
  for _, c in ipairs(kept.strata) do
    lu.assertEquals(tested(ml.stratified_k_fold(ms.tensor(c.y, { dtype = "i64" }), { k = c.k })), c.test)
    n = n + 1
  end
  print(("compared: %d ways to fold with scikit-learn's"):format(n))
end

function TestFolds.test_shuffled()
  local a = tested(ml.k_fold(20, { k = 4, shuffle = true, seed = 1 }))
  lu.assertEquals(tested(ml.k_fold(20, { k = 4, shuffle = true, seed = 1 })), a)
  lu.assertNotEquals(tested(ml.k_fold(20, { k = 4, shuffle = true, seed = 2 })), a)
  local y = ms.tensor({ 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2 }, { dtype = "i64" })
  for _, test in ml.stratified_k_fold(y, { k = 3, shuffle = true, seed = 5 }) do
    lu.assertEquals(y[test]:eq(1):long():sum():item(), 2)
  end
end

function TestFolds.test_train_test_split()
  local X = ms.arange(1, 50):float():reshape { 50, 1 }
  local y = ms.cat { ms.full({ 40 }, 1, { dtype = "i64" }), ms.full({ 10 }, 2, { dtype = "i64" }) }
  local a, b, ya, yb = ml.train_test_split(X, y, { test = 0.21, seed = 3 })
  lu.assertEquals({ #a, #b, #ya, #yb }, { 39, 11, 39, 11 }) -- ceil(0.21 * 50)
  lu.assertEquals(ms.cat({ a, b }):flatten():sort():totable(), X:flatten():totable())
  local _, few, _, yf = ml.train_test_split(X, y, { test = 5, stratify = true, seed = 3 })
  lu.assertEquals({ #few, yf:eq(2):long():sum():item() }, { 5, 1 })
  checks.fails("option test: expected a share between 0 and 1, or 1 to 49 samples, got 1.5", ml.train_test_split, X, y, { test = 1.5 })
  checks.fails("y: expected 50 labels, one per sample, got 3 i64", ml.train_test_split, X, ms.tensor({ 1, 2, 3 }, { dtype = "i64" }))
end

function TestFolds.test_bad_input()
  checks.fails("ml.k_fold: k = 5 folds of 3 samples", ml.k_fold, 3)
  checks.fails("option k: expected a whole number from 2 on, got 1", ml.k_fold, 10, { k = 1 })
  checks.fails("option seed: nothing is drawn without shuffle = true", ml.k_fold, 10, { seed = 1 })
  checks.fails("no class has more than 2 samples", ml.stratified_k_fold, ms.tensor({ 1, 1, 2 }, { dtype = "i64" }), { k = 3 })
  checks.fails("y: expected labels, whole numbers, got 2 f32", ml.stratified_k_fold, ms.tensor { 1, 2 })
end

TestSearch = {}

local function iris()
  local list, labels = {}, {}
  for line in io.lines "tests/data/iris.csv" do
    local row = {}
    for v in line:gmatch "[^,]+" do row[#row + 1] = tonumber(v) end
    if #row == 5 then labels[#labels + 1], list[#list + 1] = math.tointeger(table.remove(row)), row end
  end
  return ms.tensor(list), ms.tensor(labels, { dtype = "i64" })
end

function TestSearch.test_cross_validation()
  local X, y = iris()
  for k, want in pairs(kept.scores) do
    local got = ml.cross_val_score(function() return ml.knn { k = math.tointeger(tonumber(k)) } end, X, y)
    lu.assertEquals(#got, 5)
    for i = 1, 5 do lu.assertAlmostEquals(got[i], want[i], 0.04, k) end -- ties of neighbours are broken otherwise
  end
  checks.fails("make: expected a function that gives an estimator with fit and score, got nil", ml.cross_val_score,
    function() end, X, y)
  checks.fails("expected a function that makes an estimator", ml.cross_val_score, ml.knn {}, X, y)
end

-- Stopped in the middle, a search goes on where it was; the settings that its file has are not run again.
function TestSearch.test_a_grid_that_goes_on()
  local X, y = iris()
  local file, made = os.tmpname(), 0
  os.remove(file)
  local o = { X = X, y = y, k = 3, file = file, grid = { k = { 1, 5, 9 }, weights = { "uniform", "distance" } } }
  function o.make(settings)
    made = made + 1
    if made == 8 then error("stopped", 0) end
    return ml.knn(settings)
  end
  lu.assertErrorMsgContains("stopped", ml.grid_search, o)
  local r = ml.grid_search(o)
  lu.assertEquals(made, 8 + 4 * 3 + 1) -- two trials stood there; the last one is fitted to everything
  lu.assertEquals(#r.trials, 6)
  local before = made
  local again = ml.grid_search(o)
  lu.assertEquals({ made - before, again.best_score }, { 1, r.best_score })
  os.remove(file)
  for _, t in ipairs(r.trials) do lu.assertTrue(t.score <= r.best_score) end
  lu.assertTrue(r.best:score(X, y) > 0.95)
  checks.fails("grid.k: expected a list of values", ml.grid_search, { make = o.make, X = X, y = y, grid = { k = 3 } })
  checks.fails("make: expected a function from settings to an estimator, got nil", ml.grid_search,
    { X = X, y = y, grid = { k = { 1 } } })
end

function TestSearch.test_random_draws()
  local X, y = iris()
  local function go(seed)
    local r = ml.random_search { make = ml.knn, space = { k = { 1, 3, 5, 7 }, weights = function() return "uniform" end }, trials = 4,
      X = X, y = y, k = 3, seed = seed }
    local list = {}
    for i, t in ipairs(r.trials) do list[i] = t.settings.k end
    return list
  end
  lu.assertEquals(go(1), go(1))
  checks.fails("space.k: expected a list of values or a function, got number", ml.random_search,
    { make = ml.knn, X = X, y = y, space = { k = 3 } })
end

-- An estimator whose score is what scores[settings.a] says; fit gives nothing.
local function scored(scores)
  return function(settings)
    return { fit = function() end, score = function() return scores[settings.a] end }
  end
end

-- A NaN is the worst of scores wherever it stands, also read again from the file.
function TestSearch.test_a_score_that_is_nan_is_never_the_best()
  local X, y = iris()
  local file = os.tmpname()
  local o = { make = scored { 0 / 0, 0.5, ms.tensor(0.75), 0 / 0 }, grid = { a = { 1, 2, 3, 4 } }, X = X, y = y, k = 3, file = file }
  for _ = 1, 2 do
    local r = ml.grid_search(o)
    lu.assertEquals({ r.best_score, r.best_settings.a }, { 0.75, 3 })
  end
  os.remove(file)
  o.file, o.make = nil, scored { "good" }
  o.grid = { a = { 1 } }
  checks.fails("expected score to give a number, got string", ml.grid_search, o)
end

-- JSON has no words for infinities: they are told from one another all the same, and come back as what they were.
function TestSearch.test_infinite_settings_go_through_the_file()
  local X, y = iris()
  local file, seen = os.tmpname(), {}
  local o = { grid = { a = { math.huge, -math.huge, 1 } }, X = X, y = y, k = 3, file = file }
  o.make = scored { [math.huge] = 0.9, [-math.huge] = 0.1, [1] = 0.2 }
  for _ = 1, 2 do
    local r = ml.grid_search(o)
    lu.assertEquals(r.best_settings, { a = math.huge })
    lu.assertEquals(r.trials[2].settings.a, -math.huge)
    lu.assertAlmostEquals(r.trials[2].score, 0.1, 1e-12)
  end
  os.remove(file)
  o.file, o.grid = nil, { f = { function() seen[1] = true end, function() seen[2] = true end } }
  o.make = function(settings) settings.f() return scored { 1 } { a = 1 } end
  ml.grid_search(o)
  lu.assertEquals(seen, { true, true }) -- without a file a setting may be anything
  o.file = file
  checks.fails("option file: settings are written to it: json: f: cannot encode a function", ml.grid_search, o)
  os.remove(file)
end

-- The trials of a search over other samples, or by other folds, are not taken for those of this one.
function TestSearch.test_the_file_of_another_search()
  local X, y = iris()
  local file = os.tmpname()
  local o = { make = ml.knn, grid = { k = { 1, 3 } }, X = X, y = y, k = 3, file = file }
  ml.grid_search(o)
  o.k = 4
  checks.fails("has trials of another search: expected 4 folds", ml.grid_search, o)
  o.k, o.X = 3, X * 2
  checks.fails("name another file, or remove it", ml.grid_search, o)
  o.X, o.y = X, y:flip { 1 }
  ml.grid_search(o) -- sums tell many changes, not all
  local f = assert(io.open(file, "w")) -- a line as it was written before there was `search`
  f:write '{"score":0.5,"scores":[0.5,0.5],"settings":{"k":1}}\n'
  f:close()
  checks.fails("expected 3 folds, 150 x 4 f32, sums", ml.grid_search, o)
  os.remove(file)
  o.file = "/"
  checks.fails("ml.grid_search: option file: ", ml.grid_search, o)
  checks.fails("y: expected 150 values, one per sample, got scalar", ml.cross_val_score, ml.knn, X, ms.tensor(3))
end
