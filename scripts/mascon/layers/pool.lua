-- Pooling, of images N x C x H x W or C x H x W (2d) and of signals N x C x L or C x L (1d).
local ms = require "mascon"
local kit = require "mascon.layers.kit"
local layer, kinds = kit.layer, kit.kinds

local function not_zero(v)
  local n = type(v) == "number" and math.tointeger(v)
  return n and n ~= 0 and n or nil, "a whole number other than 0"
end

-- A layer of pooling: size and stride (size, if it is not given) come first, `more` behind them.
local function pooling(name, first, more, forward)
  local dims = tonumber(name:match "(%d)d$")
  local sizes = dims == 1 and kinds.count or kinds.sizes
  local takes = { table.unpack(first) }
  takes[#takes + 1] = { "size", sizes }
  takes[#takes + 1] = { "stride", sizes, optional = true }
  for _, a in ipairs(more) do takes[#takes + 1] = a end
  local class = layer(name, #first + 1, takes, function(self)
    if self.stride == nil then self.stride = self.size end
  end)
  class.forward = forward
end

-- nn.avg_pool2d(size [, {stride = size, padding = 0, ceil_mode = false, count_include_pad = true, divisor_override = n}]): means over
-- windows; ceil_mode: windows may begin up to the end; count_include_pad = false: padding is not counted
--
-- nn.avg_pool1d: the same for signals, without divisor_override
for dims, name in ipairs { "avg_pool1d", "avg_pool2d" } do
  local f = ms[name]
  pooling(name, {}, { { "padding", dims == 1 and kinds.margin or kinds.margins, 0 }, { "ceil_mode", kinds.boolean, false },
    { "count_include_pad", kinds.boolean, true }, dims == 2 and { "divisor_override", not_zero, optional = true } or nil },
    function(self, x)
      local divisor = self.divisor_override
      if divisor then return f(x, self.size, self.stride, self.padding, self.ceil_mode, self.count_include_pad, divisor) end
      return f(x, self.size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)
    end)
end

-- nn.max_pool2d(size [, {stride = size, padding = 0, dilation = 1, ceil_mode = false, return_indices = false}]): the largest of each
-- window; return_indices: and where in its plane it stood, 1..H*W
--
-- nn.max_pool1d: the same for signals
for dims, name in ipairs { "max_pool1d", "max_pool2d" } do
  local f = ms[name]
  pooling(name, {}, { { "padding", dims == 1 and kinds.margin or kinds.margins, 0 },
    { "dilation", dims == 1 and kinds.count or kinds.sizes, 1 }, { "ceil_mode", kinds.boolean, false },
    { "return_indices", kinds.boolean, false } },
    function(self, x) return f(x, self.size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices) end)
end

-- nn.lp_pool2d(norm_type, size [, {stride = size, ceil_mode = false}]): (sum of x^norm_type over each window)^(1/norm_type);
-- nn.lp_pool1d: the same for signals
for _, name in ipairs { "lp_pool1d", "lp_pool2d" } do
  local f = ms[name]
  pooling(name, { { "norm_type", kinds.number } }, { { "ceil_mode", kinds.boolean, false } },
    function(self, x) return f(x, self.norm_type, self.size, self.stride, self.ceil_mode) end)
end

-- nn.adaptive_avg_pool2d(output_size): means over output_size windows, a number or {height, width}; -1: as many as x has (PyTorch's None)
--
-- nn.adaptive_max_pool2d(output_size [, {return_indices = false}]): the largest of them
--
-- nn.adaptive_avg_pool1d, nn.adaptive_max_pool1d: the same for signals
for dims, names in ipairs { { "adaptive_avg_pool1d", "adaptive_max_pool1d" }, { "adaptive_avg_pool2d", "adaptive_max_pool2d" } } do
  local output_size = { "output_size", dims == 1 and kinds.count or kinds.counts_or_same }
  local average, maximum = ms[names[1]], ms[names[2]]
  local Average = layer(names[1], 1, { output_size })
  function Average:forward(x) return average(x, self.output_size) end
  local Maximum = layer(names[2], 1, { output_size, { "return_indices", kinds.boolean, false } })
  function Maximum:forward(x) return maximum(x, self.output_size, self.return_indices) end
end
