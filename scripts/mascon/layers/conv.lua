-- Convolutions and transposed convolutions, of images (2d) and of signals (1d).
local ms = require "mascon"
local options = require "mascon.options"
local kit = require "mascon.layers.kit"
local layer, kinds = kit.layer, kit.kinds

-- A number, or one for each dimension, as a list.
local function each(v, dims)
  if type(v) == "table" then return v end
  return dims == 1 and { v } or { v, v }
end

-- Fields that all convolutions have; `padding` and `more`: those that differ.
local function takes(sizes, padding, ...)
  return { { "inputs", kinds.count }, { "outputs", kinds.count }, { "size", sizes }, { "stride", sizes, 1 }, { "padding", padding, 0 },
    { "dilation", sizes, 1 }, { "groups", kinds.count, 1 }, { "bias", kinds.boolean, true }, ... }
end

-- weight: `rows` x columns/groups x the kernel's sizes. fan_in: columns/groups times the kernel's elements (PyTorch's).
local function parameters(self, dims, rows, columns)
  local i, o, g = self.inputs, self.outputs, self.groups
  if i % g ~= 0 or o % g ~= 0 then
    options.raise("nn.%s: groups %d does not divide %d channels in and %d out", self.__name, g, i, o)
  end
  local shape, fan_in = { rows, columns // g, table.unpack(each(self.size, dims)) }, 1
  for k = 2, #shape do fan_in = fan_in * shape[k] end
  self.weight = kit.uniform(shape, fan_in)
  kit.bias(self, o, fan_in)
end

-- A word, or what `margins` takes.
local function or_word(margins)
  return function(v)
    if v == "same" or v == "valid" then return v end
    local kept, words = margins(v)
    return kept, words .. ", 'same' or 'valid'"
  end
end

-- What a mode of padding puts on before the convolution: before, after of the last dimension, then of the one before it.
local function pads(self, dims)
  local list, size, apart = {}, each(self.size, dims), each(self.dilation, dims)
  if self.padding == "valid" then return nil end
  for d = dims, 1, -1 do
    local all = apart[d] * (size[d] - 1)
    local before = self.padding == "same" and all // 2 or self.padding ~= "same" and each(self.padding, dims)[d]
    list[#list + 1] = before
    list[#list + 1] = self.padding == "same" and all - before or before
  end
  return list
end

-- nn.conv2d(channels in, out, size [, {stride = 1, padding = 0, dilation = 1, groups = 1, bias = true, padding_mode = "zeros"}]): size,
-- stride, padding and dilation are numbers or {height, width}; padding may be "same" (as large as x) or "valid" (none); padding_mode:
-- "zeros", "reflect", "replicate" or "circular". Images N x C x H x W, or one, C x H x W.
--
-- nn.conv1d: the same for signals, N x C x L or C x L; size, stride, padding and dilation are numbers.
for dims, name in ipairs { "conv1d", "conv2d" } do
  local f = ms[name]
  local class = layer(name, 3, takes(dims == 1 and kinds.count or kinds.sizes, or_word(dims == 1 and kinds.margin or kinds.margins),
    { "padding_mode", kinds.one_of("zeros", "reflect", "replicate", "circular"), "zeros" }),
    function(self) parameters(self, dims, self.outputs, self.inputs) end)
  function class:forward(x)
    local padding, before = self.padding, self.padding_mode ~= "zeros" and pads(self, dims)
    if before then x, padding = ms.pad(x, before, { mode = self.padding_mode }), 0 end
    return f(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
  end
end

-- The output_padding that gives results of output_size: a number, or one for each dimension.
local function padding_for(self, x, output_size, dims)
  local want, size, out = each(output_size, dims), each(self.size, dims), {}
  local stride, padding, apart = each(self.stride, dims), each(self.padding, dims), each(self.dilation, dims)
  if type(want) ~= "table" or #want ~= dims then
    options.raise("nn.%s: output_size: expected %s", self.__name, dims == 1 and "a number" or "a number or { height, width }")
  end
  for d = 1, dims do
    local least = (x:size(d - dims - 1) - 1) * stride[d] - 2 * padding[d] + apart[d] * (size[d] - 1) + 1
    local n = math.tointeger(want[d])
    if not n or n < least or n > least + stride[d] - 1 then
      options.raise("nn.%s: output_size %s, expected %d to %d in dimension %d of a result from %s", self.__name, tostring(want[d]), least,
        least + stride[d] - 1, d, tostring(x.shape))
    end
    out[d] = n - least
  end
  return out
end

-- nn.conv_transpose2d(channels in, out, size [, {stride = 1, padding = 0, output_padding = 0, groups = 1, bias = true, dilation = 1}]):
-- called as m(x), or m(x, output_size) where a result of that height and width is wanted, one of those that the stride allows.
--
-- nn.conv_transpose1d: the same for signals, N x C x L or C x L.
for dims, name in ipairs { "conv_transpose1d", "conv_transpose2d" } do
  local f, margins = ms[name], dims == 1 and kinds.margin or kinds.margins
  local class = layer(name, 3, takes(dims == 1 and kinds.count or kinds.sizes, margins, { "output_padding", margins, 0 }),
    function(self) parameters(self, dims, self.inputs, self.outputs) end)
  function class:forward(x, output_size)
    local extra = output_size == nil and self.output_padding or padding_for(self, x, output_size, dims)
    return f(x, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)
  end
  function class:__call(x, output_size, ...)
    options.none(self.__name, ...)
    return self:forward(x, output_size)
  end
end
