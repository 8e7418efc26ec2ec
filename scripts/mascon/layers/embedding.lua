-- Tables whose rows are looked up.
local ms = require "mascon"
local arguments = require "mascon.arguments"
local kit = require "mascon.layers.kit"
local nn, kinds = kit.nn, kit.kinds

-- nn.embedding(count, width): rows of a table by positions 1..count (any shape). ~ N(0, 1). The field of the count is `n`: count() is a
-- method of every module.
local Embedding = nn.class "embedding"
nn.embedding = Embedding
local embedding = arguments.list("nn.embedding", 2, { "count", kinds.count }, { "width", kinds.count })
function Embedding:init(...)
  local o = embedding:read(...)
  self.n, self.width = o.count, o.width
  self.weight = nn.parameter(ms.randn { o.count, o.width })
end
function Embedding:forward(index)
  local shape = { table.unpack(index.shape) }
  shape[#shape + 1] = self.width
  return self.weight:index_select(1, index:reshape { -1 }):reshape(shape)
end
function Embedding:extra() return ("%d, %d"):format(self.n, self.width) end
