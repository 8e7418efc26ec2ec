-- Tables whose rows are looked up.
local ms = require "mascon"
local arguments = require "mascon.arguments"
local options = require "mascon.options"
local states = require "mascon.state"
local kit = require "mascon.layers.kit"
local nn, kinds = kit.nn, kit.kinds

local embedding = arguments.list("nn.embedding", 2, { "count", kinds.count }, { "width", kinds.count },
  { "padding_idx", kinds.dimension, optional = true }, { "max_norm", kinds.positive, optional = true },
  { "norm_type", kinds.positive, 2 })

-- nn.embedding(count, width [, { padding_idx =, max_norm =, norm_type = 2 }]): rows of a table by positions 1..count (any shape) ~ N(0, 1).
-- The row padding_idx (negative: from the end) is 0 and gets no gradient; rows whose norm is above max_norm are made shorter when they are
-- looked up. nn.embedding.from_pretrained(weight [, options and freeze = true]) has the rows of a tensor. The field of the count is `n`:
-- count() is a method of every module.
local Embedding = kit.class "embedding"

local function make(self, o, weight)
  local p = o.padding_idx
  if p and math.abs(p) > o.count then
    options.raise("nn.embedding: padding_idx: expected a row, 1..%d or from the end, got %d", o.count, p)
  end
  self.n, self.width, self.padding_idx, self.max_norm, self.norm_type = o.count, o.width, p and p < 0 and o.count + 1 + p or p,
    o.max_norm, o.norm_type
  self.weight = nn.parameter(weight or ms.randn { o.count, o.width })
  if p and not weight then
    local guard <close> = ms.no_grad()
    self.weight[self.padding_idx]:fill_(0)
  end
end

local given -- the table of from_pretrained
function Embedding:init(...)
  local o, weight = embedding:read(...), given
  given = nil
  make(self, o, weight)
end

function Embedding.from_pretrained(weight, opts, ...)
  local what = "nn.embedding.from_pretrained"
  options.none(what, ...)
  if not states.is_tensor(weight) or weight:dim() ~= 2 or not states.is_float(weight) then
    options.raise("%s: expected a floating tensor count x width, got %s", what,
      states.is_tensor(weight) and states.sizes(weight) or states.word(weight))
  end
  local o, freeze = { count = weight:size(1), width = weight:size(2) }, true
  if opts ~= nil and type(opts) ~= "table" then options.raise("%s: expected a table of options, got %s", what, type(opts)) end
  for k, v in pairs(opts or {}) do
    if k ~= "freeze" then o[k] = v elseif type(v) == "boolean" then freeze = v
    else options.raise("%s: freeze: expected true or false, got %s", what, states.word(v)) end
  end
  local all = embedding:read(o)
  given = weight
  local m = Embedding(all)
  m.weight:requires_grad_(not freeze)
  return m
end

-- Rows of `index` whose norm is above max_norm get that norm, in place.
local function shorten(self, index)
  local guard <close> = ms.no_grad()
  local w, flat = self.weight:detach(), index:reshape { -1 }
  local zeros = ms.zeros({ self.n }, { dtype = w.dtype, device = w.device })
  local hit = zeros:index_add(1, flat, ms.ones({ flat:numel() }, { dtype = w.dtype, device = w.device })):gt(0)
  local norm = w:norm(self.norm_type, 2)
  local scale = ms.where(hit:logical_and(norm:gt(self.max_norm)), self.max_norm / (norm + 1e-7), 1)
  w:mul_(scale:unsqueeze(2))
end

function Embedding:forward(index)
  if self.max_norm then shorten(self, index) end
  return ms.embedding(index, self.weight, self.padding_idx)
end
function Embedding:extra()
  return ("%d, %d%s%s"):format(self.n, self.width, self.padding_idx and (", padding_idx = %d"):format(self.padding_idx) or "",
    self.max_norm and (", max_norm = %g"):format(self.max_norm) or "")
end
