-- layers: the modules of nn that come with the library. Each is its operation (runtime/ops.def says shapes and errors) plus its state.
-- What a layer is made with is listed once (arguments.lua): by position, by name, or both; it is checked then, checked again when a field
-- is set by hand (bn.momentum = 0.2), and shown by print. Loaded by mascon.nn, which hands itself over.
local ms = require "mascon"
local arguments = require "mascon.arguments"
local options = require "mascon.options"
local kinds = arguments.kinds

local function both(v)
  if type(v) == "table" then return v[1], v[2] end
  return v, v
end

-- Is m a layer as the library has it, which takes one tensor? A class made from one may have a forward of its own, for what it likes.
local function takes_one(m) return m._layer ~= nil and m.forward == m._layer.forward end

-- Calls of a layer.
local function call(self, x, ...)
  if select("#", ...) > 0 and takes_one(self) then
    options.raise("%s: expected one tensor, got %d arguments", self.__name, 1 + select("#", ...))
  end
  return self:forward(x, ...)
end

return function(nn)
  nn._takes_one = takes_one

  -- A class whose instances are made with the arguments of `takes`, which become fields; then made(self) runs.
  local function layer(name, positional, takes, made, parent)
    local class = nn.class(name, parent)
    class.takes = arguments.list("nn." .. name, positional, table.unpack(takes))
    function class:init(...)
      for k, v in pairs(class.takes:read(...)) do self[k] = v end
      if made then made(self) end
    end
    function class:extra() return class.takes:describe(self) end
    class.__call, class._layer = call, class
    nn[name] = class
    return class
  end

  local function uniform(shape, fan_in)
    local bound = 1 / math.sqrt(fan_in)
    return nn.parameter(ms.rand(shape, -bound, bound))
  end

  -- `bias` is an option first (is there one?), then the parameter or nothing.
  local function bias(self, n, fan_in)
    local wanted = self.bias
    self.bias = nil
    if wanted then self.bias = uniform({ n }, fan_in) end
  end

  -- nn.linear(inputs, outputs [, {bias = true}]): x w' + b; weight outputs x inputs. Both ~ U(+-1/sqrt(inputs)).
  local Linear = layer("linear", 2, { { "inputs", kinds.count }, { "outputs", kinds.count }, { "bias", kinds.boolean, true } },
    function(self)
      self.weight = uniform({ self.outputs, self.inputs }, self.inputs)
      bias(self, self.outputs, self.inputs)
    end)
  function Linear:forward(x) return ms.linear(x, self.weight, self.bias) end

  -- nn.conv2d(channels in, out, size [, {stride = 1, padding = 0, dilation = 1, groups = 1, bias = true}]): size, stride, padding and
  -- dilation are numbers or {height, width}.
  local function grouped(self, what)
    local i, o, g = self.inputs, self.outputs, self.groups
    if i % g ~= 0 or o % g ~= 0 then options.raise("%s: groups %d does not divide %d channels in and %d out", what, g, i, o) end
    return both(self.size)
  end
  local Conv2d = layer("conv2d", 3, { { "inputs", kinds.count }, { "outputs", kinds.count }, { "size", kinds.sizes },
    { "stride", kinds.sizes, 1 }, { "padding", kinds.margins, 0 }, { "dilation", kinds.sizes, 1 }, { "groups", kinds.count, 1 },
    { "bias", kinds.boolean, true } }, function(self)
    local h, w = grouped(self, "nn.conv2d")
    local fan_in = self.inputs // self.groups * h * w
    self.weight = uniform({ self.outputs, self.inputs // self.groups, h, w }, fan_in)
    bias(self, self.outputs, fan_in)
  end)
  function Conv2d:forward(x)
    return ms.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
  end

  -- nn.conv_transpose2d(channels in, out, size [, {stride = 1, padding = 0, output_padding = 0, dilation = 1, groups = 1, bias = true}])
  local ConvTranspose2d = layer("conv_transpose2d", 3, { { "inputs", kinds.count }, { "outputs", kinds.count }, { "size", kinds.sizes },
    { "stride", kinds.sizes, 1 }, { "padding", kinds.margins, 0 }, { "output_padding", kinds.margins, 0 }, { "dilation", kinds.sizes, 1 },
    { "groups", kinds.count, 1 }, { "bias", kinds.boolean, true } }, function(self)
    local h, w = grouped(self, "nn.conv_transpose2d")
    local fan_in = self.outputs // self.groups * h * w -- PyTorch's
    self.weight = uniform({ self.inputs, self.outputs // self.groups, h, w }, fan_in)
    bias(self, self.outputs, fan_in)
  end)
  function ConvTranspose2d:forward(x)
    return ms.conv_transpose2d(x, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.dilation, self.groups)
  end

  -- nn.batch_norm(channels [, {eps = 1e-5, momentum = 0.1, affine = true, track = true}]): for N x C and N x C x H x W alike.
  local BatchNorm = layer("batch_norm", 1, { { "channels", kinds.count }, { "eps", kinds.positive, 1e-5 },
    { "momentum", kinds.positive, 0.1 }, { "affine", kinds.boolean, true }, { "track", kinds.boolean, true } }, function(self)
    if self.affine then
      self.weight = nn.parameter(ms.ones { self.channels })
      self.bias = nn.parameter(ms.zeros { self.channels })
    end
    if self.track then
      self:register_buffer("running_mean", ms.zeros { self.channels })
      self:register_buffer("running_var", ms.ones { self.channels })
    end
  end)
  nn.batch_norm1d, nn.batch_norm2d = BatchNorm, BatchNorm
  function BatchNorm:forward(x)
    return ms.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, self.training or not self.track, self.momentum,
      self.eps)
  end

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

  -- ---- without state ----

  -- nn.dropout([p = 0.5]): in training, elements become 0 with probability p, the others x / (1 - p)
  local Dropout = layer("dropout", 1, { { "p", kinds.probability, 0.5 } })
  function Dropout:forward(x) return ms.dropout(x, self.p, self.training) end

  -- forward(x) = f(x)
  for _, name in ipairs { "relu", "gelu", "silu", "sigmoid", "tanh", "softplus", "logsigmoid" } do
    local f = ms[name]
    local class = layer(name, 0, {})
    function class.forward(_, x) return f(x) end
  end
  local Identity = layer("identity", 0, {})
  function Identity.forward(_, x) return x end

  -- nn.leaky_relu([negative_slope = 0.01]): x where x > 0, else negative_slope x
  --
  -- nn.elu([alpha = 1]): x where x > 0, else alpha (exp(x) - 1)
  --
  -- nn.softmax([dim = -1]), nn.log_softmax([dim = -1])
  for name, takes in pairs { leaky_relu = { "negative_slope", kinds.number, 0.01 }, elu = { "alpha", kinds.number, 1.0 },
    softmax = { "dim", kinds.dimension, -1 }, log_softmax = { "dim", kinds.dimension, -1 } } do
    local f, key = ms[name], takes[1]
    local class = layer(name, 1, { takes })
    function class:forward(x) return f(x, self[key]) end
  end

  -- nn.flatten([start = 2 [, stop = -1]]): dimensions start..stop as one
  local Flatten = layer("flatten", 2, { { "start", kinds.dimension, 2 }, { "stop", kinds.dimension, -1 } })
  function Flatten:forward(x) return ms.flatten(x, self.start, self.stop) end
  function Flatten:extra() return self.stop == -1 and tostring(self.start) or ("%d, %d"):format(self.start, self.stop) end

  -- nn.unflatten(sizes...): N x (product) to N x sizes
  local Unflatten = nn.class "unflatten"
  Unflatten.__call, Unflatten._layer = call, Unflatten
  nn.unflatten = Unflatten
  function Unflatten:init(...)
    local sizes = ...
    sizes = select("#", ...) == 1 and type(sizes) == "table" and { table.unpack(sizes) } or { ... }
    if #sizes == 0 then options.raise "nn.unflatten: expected sizes: nn.unflatten(1, 28, 28)" end
    for i = 1, math.max(#sizes, select("#", ...)) do options.count("nn.unflatten", "size " .. i, sizes[i]) end
    self.sizes = sizes
  end
  function Unflatten:forward(x) return x:reshape { #x, table.unpack(self.sizes) } end
  function Unflatten:extra() return table.concat(self.sizes, ", ") end

  -- nn.avg_pool2d(size [, {stride = size, padding = 0}]), nn.max_pool2d likewise
  for _, name in ipairs { "avg_pool2d", "max_pool2d" } do
    local f = ms[name]
    local class = layer(name, 1, { { "size", kinds.sizes }, { "stride", kinds.sizes, optional = true }, { "padding", kinds.margins, 0 } },
      function(self)
        if self.stride == nil then self.stride = self.size end
      end)
    function class:forward(x) return (f(x, self.size, self.stride, self.padding)) end
  end

  -- nn.upsample(factor [, mode = "nearest"]): mode "nearest", "bilinear" or "bicubic"; factor a number or {height, width}
  local Upsample = layer("upsample", 2,
    { { "factor", kinds.sizes }, { "mode", kinds.one_of("nearest", "bilinear", "bicubic"), "nearest" } })
  function Upsample:forward(x)
    local h, w = both(self.factor)
    return ms.interpolate(x, { x:size(3) * h, x:size(4) * w }, self.mode)
  end

  -- nn.lambda(f [, name]): any function as a module
  local Lambda = nn.class "lambda"
  nn.lambda = Lambda
  function Lambda:init(f, name)
    if type(f) ~= "function" then options.raise("nn.lambda: expected a function, got %s", type(f)) end
    if name ~= nil and type(name) ~= "string" then options.raise("nn.lambda: name: expected a text, got %s", type(name)) end
    self.f, self.name = f, name or ""
  end
  function Lambda:forward(...) return self.f(...) end
  function Lambda:extra() return self.name end

  -- nn.sequential {a, b, ...}: c(b(a(x))). A list entry may be a plain function.
  local Sequential = nn.class "sequential"
  Sequential.__call, Sequential._layer = call, Sequential
  nn.sequential = Sequential
  function Sequential:init(list, ...)
    if type(list) ~= "table" or nn.is_module(list) or nn.is_class(list) or select("#", ...) > 0 then
      options.raise("nn.sequential: expected one list of modules: nn.sequential { a, b }")
    end
    local n = 0
    for k in pairs(list) do
      if math.type(k) ~= "integer" or k < 1 then
        options.raise("nn.sequential: entry %s: expected a list of modules, by position", tostring(k))
      end
      n = math.max(n, k)
    end
    for i = 1, n do
      local m = list[i]
      if type(m) == "function" then m = Lambda(m) end
      if nn.is_class(m) then options.raise("nn.sequential: entry %d: expected a module, got a class: write nn.%s()", i, m.__name) end
      if not nn.is_module(m) then
        options.raise("nn.sequential: entry %d: expected a module, got %s", i, m == nil and "nil: a hole in the list" or type(m))
      end
      self[i] = m
    end
  end
  function Sequential:forward(x)
    for i = 1, #self do x = self[i](x) end
    return x
  end

  -- ---- losses: functions; reduction = "mean" (default), "sum" or "none" ----
  for short, row in pairs { mse = "mse_loss", l1 = "l1_loss", bce = "bce_loss", bce_with_logits = "bce_with_logits", nll = "nll_loss",
    cross_entropy = "cross_entropy" } do
    nn[short] = ms[row]
    nn[row] = ms[row]
  end
end
