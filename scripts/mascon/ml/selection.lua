-- Which model: splits into training and test parts, cross-validation, searches over settings that go on where they were stopped. As in
-- scikit-learn's model_selection; positions count from 1.
local ms = require "mascon"
local json = require "mascon.json"
local log = require "mascon.log"
local options = require "mascon.options"
local system = require "mascon.system"
local text = require "mascon.text"
local kit = require "mascon.ml.kit"
local ml = {}

-- ---- folds -------------------------------------------------------------------------------------------------------------------------

local function positions(list) return ms.tensor(list, { dtype = "i64" }) end

-- 1 .. n in a random order: from a seed, else from the default generator.
local function shuffled(n, seed)
  local draw = function() return ms.randperm(n):totable() end
  local order = seed == nil and draw() or ms.with_seed(seed, draw)
  return order
end

local function read_fold_options(what, opts)
  local o = options.read(what, opts, { k = 5, shuffle = false, seed = options.any })
  kit.whole(what, o, "k", 2)
  kit.whole(what, o, "seed", math.mininteger)
  if o.seed ~= nil and not o.shuffle then options.raise("%s: option seed: nothing is drawn without shuffle = true", what) end
  return o
end

-- Iterate over folds: which[i] is the fold (1 .. k) in which sample i is tested.
local function walk(which, k)
  local fold = 0
  return function()
    fold = fold + 1
    if fold > k then return nil end
    local train, test = {}, {}
    for i, f in ipairs(which) do
      local part = f == fold and test or train
      part[#part + 1] = i
    end
    return positions(train), positions(test)
  end
end

-- for train, test in ml.k_fold(n [, {k = 5, shuffle = false, seed}]): k times the positions (i64) to train on and to test on; each of 1 ..
-- n is tested once, in parts whose sizes differ by one at most
function ml.k_fold(n, opts)
  local what = "ml.k_fold"
  local o = read_fold_options(what, opts)
  n = kit.whole_number(what, "n", n, 1)
  if n > 100000000 then options.raise("%s: n: expected at most 100,000,000 samples, got %d", what, n) end
  if o.k > n then options.raise("%s: k = %d folds of %d samples", what, o.k, n) end
  local order, which, at = o.shuffle and shuffled(n, o.seed), {}, 0
  for fold = 1, o.k do
    for _ = 1, n // o.k + (fold <= n % o.k and 1 or 0) do
      at = at + 1
      which[order and order[at] or at] = fold
    end
  end
  return walk(which, o.k)
end

-- Labels as a list of whole numbers, how many there are of each, and which there are, in the order in which they come.
local function read_labels(what, y)
  if not ms.is_tensor(y) or y:dim() ~= 1 or #y == 0 then
    options.raise("%s: y: expected labels in one dimension, got %s", what, kit.what_is(y))
  end
  if y.dtype ~= "i64" and y.dtype ~= "i32" and y.dtype ~= "u8" then
    options.raise("%s: y: expected labels, whole numbers, got %s", what, kit.shape(y))
  end
  local list, count, classes = y:totable(), {}, {}
  for _, c in ipairs(list) do
    if not count[c] then classes[#classes + 1] = c end
    count[c] = (count[c] or 0) + 1
  end
  return list, count, classes
end

-- The folds of stratified samples, as scikit-learn deals them out: sample j of the labels in order goes to fold j mod k, which says how
-- many of each class a fold gets; a class's samples then fill the folds one after another.
local function stratify(what, y, o)
  local list, count, classes = read_labels(what, y)
  local most = 0
  for _, c in ipairs(classes) do most = math.max(most, count[c]) end
  if most < o.k then options.raise("%s: k = %d folds, but no class has more than %d samples", what, o.k, most) end
  local which, begun = {}, 0
  for _, c in ipairs(classes) do
    local folds = {}
    for fold = 1, o.k do
      -- places begun + 1 .. begun + count[c] of the sorted labels that are fold (mod k)
      local first = (fold - 1 - begun) % o.k
      for _ = first, count[c] - 1, o.k do folds[#folds + 1] = fold end
    end
    if o.shuffle then
      local order, mixed = shuffled(#folds, o.seed and o.seed + c), {}
      for i, at in ipairs(order) do mixed[i] = folds[at] end
      folds = mixed
    end
    local at = 0
    for i, label in ipairs(list) do
      if label == c then
        at = at + 1
        which[i] = folds[at]
      end
    end
    begun = begun + count[c]
  end
  return which
end

-- for train, test in ml.stratified_k_fold(y [, {k = 5, shuffle = false, seed}]): likewise; each part has each label in the same share, as
-- far as that goes. y: N labels
function ml.stratified_k_fold(y, opts)
  local what = "ml.stratified_k_fold"
  local o = read_fold_options(what, opts)
  return walk(stratify(what, y, o), o.k)
end

-- ml.train_test_split(X, y [, {test = 0.25, stratify = false, seed}]) -> X_train, X_test, y_train, y_test: samples drawn without
-- replacement. test: a share, or a number of samples; the test part has ceil(share * N). stratify = true: the shares of the labels are
-- kept, rounded by the largest rest
function ml.train_test_split(X, y, opts)
  local what = "ml.train_test_split"
  local o = options.read(what, opts, { test = 0.25, stratify = false, seed = options.any })
  kit.whole(what, o, "seed", math.mininteger)
  if not ms.is_tensor(X) or X:dim() < 1 then options.raise("%s: X: expected a tensor of samples, got %s", what, kit.what_is(X)) end
  if not ms.is_tensor(y) or y:dim() < 1 or #y ~= #X then
    options.raise("%s: y: expected %d labels, one per sample, got %s", what, #X, kit.what_is(y))
  end
  local n, share = #X, o.test
  local tests = math.type(share) == "float" and share < 1 and math.tointeger(math.ceil(share * n)) or math.tointeger(share)
  if not tests or tests < 1 or tests >= n then
    options.raise("%s: option test: expected a share between 0 and 1, or 1 to %d samples, got %s", what, n - 1, text.show(share))
  end
  local order, test, train = shuffled(n, o.seed), {}, {}
  if o.stratify then
    local list, count, classes = read_labels(what, y)
    local want, rests, left = {}, {}, tests
    for _, c in ipairs(classes) do
      local exact = count[c] * tests / n
      want[c] = math.floor(exact)
      left = left - want[c]
      rests[#rests + 1] = { rest = exact - want[c], class = c }
    end
    table.sort(rests, function(a, b) return a.rest > b.rest or a.rest == b.rest and a.class < b.class end)
    for i = 1, left do want[rests[i].class] = want[rests[i].class] + 1 end
    for _, i in ipairs(order) do
      local c = list[i]
      local part = want[c] > 0 and test or train
      want[c] = want[c] - 1
      part[#part + 1] = i
    end
  else
    for at, i in ipairs(order) do
      local part = at <= tests and test or train
      part[#part + 1] = i
    end
  end
  train, test = positions(train):to(X.device), positions(test):to(X.device)
  return X[train], X[test], y[train], y[test]
end

-- ---- cross-validation ----------------------------------------------------------------------------------------------------------------

local function is_whole(y) return y.dtype == "i64" or y.dtype == "i32" or y.dtype == "u8" end

local function read_samples(what, X, y)
  if not ms.is_tensor(X) or X:dim() < 2 then options.raise("%s: X: expected samples x features, got %s", what, kit.what_is(X)) end
  if not ms.is_tensor(y) or y:dim() < 1 or #y ~= #X then
    options.raise("%s: y: expected %d values, one per sample, got %s", what, #X, kit.what_is(y))
  end
end

local function scores_of(what, make, X, y, o, ...)
  local scores, folds = {}, is_whole(y) and ml.stratified_k_fold(y, o) or ml.k_fold(#X, o)
  for train, test in folds do
    local model = make(...)
    if type(model) ~= "table" or model.fit == nil or model.score == nil then
      options.raise("%s: make: expected a function that gives an estimator with fit and score, got %s", what, type(model))
    end
    train, test = train:to(X.device), test:to(X.device)
    model:fit(X[train], y[train]) -- one of the user's own may give nothing back
    local score = model:score(X[test], y[test])
    if ms.is_tensor(score) and score:numel() == 1 then score = score:item() end
    if type(score) ~= "number" then options.raise("%s: expected score to give a number, got %s", what, kit.what_is(score)) end
    scores[#scores + 1] = score
  end
  return scores
end

local function mean_of(scores)
  local sum = 0
  for _, s in ipairs(scores) do sum = sum + s end
  return sum / #scores
end

-- ml.cross_val_score(make, X, y [, {k = 5, shuffle = false, seed}]) -> list of k scores, one per fold: make() gives a new estimator, which
-- is fitted to the other folds and scored on this one. Folds are stratified where y are labels
function ml.cross_val_score(make, X, y, opts)
  local what = "ml.cross_val_score"
  if type(make) ~= "function" then
    options.raise("%s: expected a function that makes an estimator, such as function() return ml.knn{k = 3} end, got %s", what, type(make))
  end
  read_samples(what, X, y)
  return scores_of(what, make, X, y, options.read(what, opts, { k = 5, shuffle = false, seed = options.any }))
end

-- ---- searches ------------------------------------------------------------------------------------------------------------------------

-- What a line of the file is a score of, besides its settings: a search over other samples or folds does not take it for its own.
local function question(o)
  local function sum(t) return t:detach():to { device = "cpu", dtype = "f64" }:abs():sum():item() end
  local how = o.shuffle and (o.seed and " drawn by seed " .. o.seed or " drawn anew") or ""
  return ("%d folds%s, %s, sums %.10g and %.10g"):format(o.k, how, kit.shape(o.X), sum(o.X), sum(o.y))
end

-- What settings are called in the file: JSON, which has no words for infinities and NaN.
local function name_of(what, settings)
  local ok, name = pcall(json.encode, settings)
  if not ok then options.raise("%s: option file: settings are written to it: %s", what, name) end
  local odd = {}
  for k, v in pairs(settings) do
    if type(v) == "number" and v - v ~= 0 then odd[#odd + 1] = ("%s=%s"):format(k, v ~= v and "nan" or v) end
  end
  table.sort(odd)
  return name .. table.concat(odd, " "), #odd > 0
end

-- The trials that stand in the file, by name. Lines without `search` are of before there was one, and told by their number of folds.
local function read_trials(what, o, asked)
  local ok, rows = pcall(log.read_lines, o.file)
  if not ok then options.raise("%s: option file: %s", what, rows) end
  local done = {}
  for _, row in ipairs(rows) do
    if type(row.settings) == "table" and type(row.scores) == "table" and type(row.score) == "number" then
      if row.search ~= nil and row.search ~= asked or #row.scores ~= o.k then
        options.raise("%s: option file: %s has trials of another search: expected %s, got %s: name another file, or remove it", what,
          o.file, asked, row.search or #row.scores .. " folds")
      end
      done[row.name or json.encode(row.settings)] = row
    end
  end
  return done
end

-- Run the trials, each a table of settings; those that stand in the file are not run again. A score that is NaN is the worst.
local function search(what, o, trials)
  if type(o.make) ~= "function" then
    options.raise("%s: make: expected a function from settings to an estimator, got %s", what, type(o.make))
  end
  read_samples(what, o.X, o.y)
  if o.file ~= nil and type(o.file) ~= "string" then options.raise("%s: file: expected a name, got %s", what, type(o.file)) end
  local result, asked = { trials = {} }, o.file and question(o)
  local done = o.file and read_trials(what, o, asked)
  local fold = { k = o.k, shuffle = o.shuffle, seed = o.seed }
  if not o.shuffle then fold.seed = nil end
  for i in ms.progress(#trials, { label = what }) do
    local settings = trials[i]
    local name, odd
    if o.file then name, odd = name_of(what, settings) end
    local row = o.file and done[name]
    if row then
      row = { settings = settings, scores = row.scores, score = row.score } -- the file's settings lack what JSON has no word for
    else
      local scores = scores_of(what, o.make, o.X, o.y, fold, settings)
      row = { settings = settings, scores = scores, score = mean_of(scores) }
      if o.file then
        done[name] = row
        local line = { settings = settings, scores = scores, score = row.score, search = asked, name = odd and name or nil }
        local ok, message = system.append(o.file, json.encode(line, { replace = true }))
        if not ok then options.raise("%s: %s", what, message) end
      end
    end
    result.trials[#result.trials + 1] = row
    if result.best == nil or row.score > result.best.score or result.best.score ~= result.best.score and row.score == row.score then
      result.best = row
    end
  end
  result.best_score, result.best_settings = result.best.score, result.best.settings
  local best = o.make(result.best_settings)
  best:fit(o.X, o.y)
  result.best = best
  return result
end

local SEARCH = { make = options.any, X = options.any, y = options.any, k = 5, shuffle = false, seed = options.any, file = options.any }

local function search_options(what, opts, more)
  local all = {}
  for k, v in pairs(SEARCH) do all[k] = v end
  for k, v in pairs(more) do all[k] = v end
  return options.read(what, opts, all)
end

local function space_of(what, name, space)
  if type(space) ~= "table" or next(space) == nil then
    options.raise("%s: %s: expected lists of values by name, got %s", what, name, type(space) == "table" and "none" or type(space))
  end
  return text.keys(space)
end

-- ml.grid_search{make, grid = {name = {values}}, X, y, k = 5, shuffle = false, seed, file} -> {best (fitted to all samples),
-- best_settings, best_score, trials = {{settings, scores, score}}}: every combination, by cross-validation. make(settings) gives an
-- estimator. file: a JSON line for each trial as it ends; trials that stand in it are not run again, so that a search that was stopped
-- goes on
function ml.grid_search(opts)
  local what = "ml.grid_search"
  local o = search_options(what, opts, { grid = options.any })
  local names, trials = space_of(what, "grid", o.grid), { {} }
  for _, name in ipairs(names) do
    local values, longer = o.grid[name], {}
    if type(values) ~= "table" or #values == 0 then options.raise("%s: grid.%s: expected a list of values", what, name) end
    if #values * #trials > 100000 then options.raise("%s: grid: more than 100,000 combinations", what) end
    for _, settings in ipairs(trials) do
      for _, v in ipairs(values) do
        local one = { [name] = v }
        for k, w in pairs(settings) do one[k] = w end
        longer[#longer + 1] = one
      end
    end
    trials = longer
  end
  return search(what, o, trials)
end

-- ml.random_search{make, space = {name = {values} or function() return value end}, trials = 10, X, y, k = 5, shuffle = false, seed, file}
-- -> likewise: so many draws, from lists evenly, else as the functions draw (from ms's generators: math.random is not begun anew). seed:
-- else the default generator's; a search that goes on needs one
function ml.random_search(opts)
  local what = "ml.random_search"
  local o = search_options(what, opts, { space = options.any, trials = 10 })
  kit.whole(what, o, "trials", 1)
  kit.whole(what, o, "seed", math.mininteger)
  if o.trials > 100000 then options.raise("%s: trials: expected at most 100,000, got %d", what, o.trials) end
  local names = space_of(what, "space", o.space)
  local function draw()
    local trials = {}
    for t = 1, o.trials do
      trials[t] = {}
      for _, name in ipairs(names) do
        local from = o.space[name]
        if type(from) == "function" then
          trials[t][name] = from()
        elseif type(from) == "table" and #from > 0 then
          trials[t][name] = from[ms.randint(1, #from, { 1 }):item()]
        else
          options.raise("%s: space.%s: expected a list of values or a function, got %s", what, name, type(from))
        end
      end
    end
    return trials
  end
  return search(what, o, o.seed == nil and draw() or ms.with_seed(o.seed, draw))
end

return ml
