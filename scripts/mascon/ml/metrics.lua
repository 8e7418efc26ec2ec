-- How good predictions are.
local ms = require "mascon"
local inside = require "mascon.inside"
local kit = require "mascon.ml.kit"
local options = require "mascon.options"
local core = inside.ml
local ml = {}

-- ml.accuracy(predicted, truth) -> share of the labels that agree
function ml.accuracy(predicted, truth) return core.accuracy("ml.accuracy", predicted, truth) end

-- ml.confusion(predicted, truth [, classes]) -> classes x classes counts (i64), rows predicted, columns true; classes: else the
-- largest label
function ml.confusion(predicted, truth, classes)
  return core.confusion("ml.confusion", predicted, truth, classes == nil and 0 or kit.whole_number("ml.confusion", "classes", classes, 1))
end

-- ml.confused(confusion) -> the cells outside the diagonal that hold samples, those with most first: a list of { predicted, true class,
-- count }
function ml.confused(confusion)
  local list = {}
  if not ms.is_tensor(confusion) or confusion:dim() ~= 2 or confusion:size(1) ~= confusion:size(2) then
    options.raise("ml.confused: expected counts (ml.confusion), classes x classes, got %s", kit.what_is(confusion))
  end
  for p, row in ipairs(confusion:totable()) do
    for t, n in ipairs(row) do
      if p ~= t and n > 0 then list[#list + 1] = { p, t, n } end
    end
  end
  table.sort(list, function(a, b)
    if a[3] ~= b[3] then return a[3] > b[3] end
    return a[1] < b[1] or a[1] == b[1] and a[2] < b[2]
  end)
  return list
end

return ml
