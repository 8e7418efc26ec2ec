-- How good predicted classes are: precision, recall, F1, and a report of all of them. Definitions are scikit-learn's.
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local kit = require "mascon.ml.kit"
local core = inside.ml
local ml = {}

local OPTIONS = { average = "binary", positive = options.any, classes = options.any, zero_division = 0 }

local function ratio(a, b, zero) return b > 0 and a / b or zero end

-- Of one class: how many were told right, told to be it, and are it -> precision, recall, F1.
local function scores_of(right, predicted, truth, zero)
  return { precision = ratio(right, predicted, zero), recall = ratio(right, truth, zero), f1 = ratio(2 * right, predicted + truth, zero),
    support = truth, right = right, predicted = predicted }
end

-- A list of scores_of, one per class, and the number of samples.
local function per_class(what, predicted, truth, classes, zero)
  local counts = core.confusion(what, predicted, truth, classes or 0)
  local rows, columns, right = counts:sum(2):totable(), counts:sum(1):totable(), counts:diagonal():totable()
  local list, n = {}, 0
  for c = 1, #rows do
    list[c] = scores_of(right[c], rows[c], columns[c], zero)
    n = n + columns[c]
  end
  if n == 0 then options.raise("%s: expected at least one label", what) end
  return list, n
end

-- Mean of a score over the classes: "macro" counts those that occur alike (all, if their number was given), "weighted" by samples. A
-- score that is NaN (zero_division) does not count; where all are, the mean is NaN, too.
local function average(list, name, how, all)
  local sum, weight, none = 0, 0, 0
  for _, s in ipairs(list) do
    local w = how == "weighted" and s.support or (all or s.support + s.predicted > 0) and 1 or 0
    if s[name] == s[name] then sum, weight = sum + w * s[name], weight + w else none = s[name] end
  end
  return ratio(sum, weight, none)
end

local function micro(list, n, name, zero)
  local right, predicted = 0, 0
  for _, s in ipairs(list) do right, predicted = right + s.right, predicted + s.predicted end
  return scores_of(right, predicted, n, zero)[name]
end

local function score(name, predicted, truth, opts)
  local what = "ml." .. name
  local o = options.read(what, opts, OPTIONS)
  kit.one_of(what, "average", o.average, "binary", "macro", "micro", "weighted", "none")
  kit.whole(what, o, "classes", 1)
  if o.average == "binary" then
    if o.classes then options.raise("%s: option classes: not with average = 'binary'", what) end
    local p = kit.binary(what, "predicted", predicted, o.positive)
    local t = kit.binary(what, "truth", truth, o.positive, #p)
    local told, are = p:sum():item(), t:sum():item()
    if o.positive ~= nil and told + are == 0 and (truth:ne(truth[1]):any():item() or predicted:ne(truth[1]):any():item()) then
      options.raise("%s: option positive: no label is %d", what, o.positive)
    end
    return scores_of(p:logical_and(t):sum():item(), told, are, o.zero_division)[name]
  end
  if o.positive ~= nil then options.raise("%s: option positive: only with average = 'binary'", what) end
  local list, n = per_class(what, predicted, truth, o.classes, o.zero_division)
  if o.average == "micro" then return micro(list, n, name, o.zero_division) end
  if o.average ~= "none" then return average(list, name, o.average, o.classes) end
  local values = {}
  for c, s in ipairs(list) do values[c] = s[name] end
  return ms.tensor(values, { dtype = "f64" })
end

-- ml.precision(predicted, truth [, {average = "binary", positive, classes, zero_division = 0}]) -> of those told to be of a class, the
-- share that is. Labels are one-dimensional. average: "binary" (bools, 0 and 1, or labels of which `positive` is the one that is looked
-- for), or for labels from 1: "macro" (mean over the classes that occur), "weighted" (by how often they do), "micro" (over all samples),
-- "none" (f64 tensor, one per class). classes: how many there are, else the largest label. zero_division: what 0 / 0 gives
function ml.precision(predicted, truth, opts) return score("precision", predicted, truth, opts) end

-- ml.recall(predicted, truth [, options]) -> of those that are of a class, the share that was told; options as ml.precision
function ml.recall(predicted, truth, opts) return score("recall", predicted, truth, opts) end

-- ml.f1(predicted, truth [, options]) -> harmonic mean of precision and recall, 2 right / (predicted + true); options as ml.precision
function ml.f1(predicted, truth, opts) return score("f1", predicted, truth, opts) end

-- ml.classification_report(predicted, truth [, {names, classes, digits = 2, zero_division = 0}]) -> a text: precision, recall, F1 and
-- support of each class that occurs, the accuracy, and both averages. names: what to call classes 1, 2, ...
function ml.classification_report(predicted, truth, opts)
  local what = "ml.classification_report"
  local o = options.read(what, opts, { names = options.any, classes = options.any, digits = 2, zero_division = 0 })
  kit.whole(what, o, "classes", 1)
  kit.whole(what, o, "digits", 0)
  if o.digits > 20 then options.raise("%s: option digits: expected 0..20, got %d", what, o.digits) end
  if o.names ~= nil and type(o.names) ~= "table" then
    options.raise("%s: option names: expected a list of texts, got %s", what, type(o.names))
  end
  local list, n = per_class(what, predicted, truth, o.classes, o.zero_division)
  local rows, right, width = {}, 0, #"weighted avg"
  for c, s in ipairs(list) do
    if o.classes or s.support + s.predicted > 0 then
      local name = o.names and o.names[c]
      s.name = name ~= nil and tostring(name) or tostring(c)
      rows[#rows + 1] = s
      width = math.max(width, utf8.len(s.name) or #s.name)
    end
    right = right + s.right
  end
  local out = {}
  local function line(name, ...)
    out[#out + 1] = (" "):rep(width - (utf8.len(name) or #name)) .. name .. " " .. table.concat({ ... })
  end
  local function cell(v) return ("%10s"):format(("%." .. o.digits .. "f"):format(v)) end
  local function whole(v) return ("%10d"):format(v) end
  local blank = (" "):rep(10)
  line("", " precision", "    recall", "  f1-score", "   support")
  out[#out + 1] = ""
  for _, s in ipairs(rows) do line(s.name, cell(s.precision), cell(s.recall), cell(s.f1), whole(s.support)) end
  out[#out + 1] = ""
  line("accuracy", blank, blank, cell(right / n), whole(n))
  for _, how in ipairs { "macro", "weighted" } do
    local mean = {}
    for i, name in ipairs { "precision", "recall", "f1" } do mean[i] = cell(average(list, name, how, o.classes)) end
    line(how .. " avg", mean[1], mean[2], mean[3], whole(n))
  end
  return table.concat(out, "\n") .. "\n"
end

return ml
