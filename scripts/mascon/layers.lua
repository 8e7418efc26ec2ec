-- layers: the modules of nn that come with the library. Each is its operation (runtime/ops.def says shapes and errors) plus its state.
-- Loaded by mascon.nn, which hands itself over.
local ms = require "mascon"
local options = require "mascon.options"

local function pair(v) return type(v) == "table" and v or { v, v } end
local function text(v) return type(v) == "table" and table.concat(v, " x ") or tostring(v) end

return function(nn)
  local function uniform(shape, fan_in)
    local bound = 1 / math.sqrt(fan_in)
    return nn.parameter(ms.rand(shape, -bound, bound))
  end

  -- nn.linear(inputs, outputs [, {bias = true}]): x w' + b; weight outputs x inputs. Both ~ U(+-1/sqrt(inputs)).
  local Linear = nn.class "linear"
  nn.linear = Linear
  function Linear:init(inputs, outputs, opts)
    local o = options.read("nn.linear", opts, { bias = true })
    inputs, outputs = options.count("nn.linear", "inputs", inputs), options.count("nn.linear", "outputs", outputs)
    self.inputs, self.outputs = inputs, outputs
    self.weight = uniform({ outputs, inputs }, inputs)
    if o.bias then self.bias = uniform({ outputs }, inputs) end
  end
  function Linear:forward(x) return ms.linear(x, self.weight, self.bias) end
  function Linear:extra() return ("%d, %d"):format(self.inputs, self.outputs) end

  -- nn.conv2d(channels in, out, size [, {stride = 1, padding = 0, dilation = 1, groups = 1, bias = true}]): size, stride, padding and
  -- dilation are numbers or {height, width}.
  local Conv2d = nn.class "conv2d"
  nn.conv2d = Conv2d
  function Conv2d:init(inputs, outputs, size, opts)
    local o = options.read("nn.conv2d", opts,
      { stride = options.any, padding = options.any, dilation = options.any, groups = 1, bias = true })
    inputs, outputs = options.count("nn.conv2d", "channels in", inputs), options.count("nn.conv2d", "channels out", outputs)
    if inputs % o.groups ~= 0 or outputs % o.groups ~= 0 then
      options.raise("nn.conv2d: groups %d does not divide %d channels in and %d out", o.groups, inputs, outputs)
    end
    local k = pair(size)
    self.inputs, self.outputs, self.size = inputs, outputs, size
    self.conv = { stride = o.stride or 1, padding = o.padding or 0, dilation = o.dilation or 1, groups = o.groups }
    local fan_in = inputs // o.groups * k[1] * k[2]
    self.weight = uniform({ outputs, inputs // o.groups, k[1], k[2] }, fan_in)
    if o.bias then self.bias = uniform({ outputs }, fan_in) end
  end
  function Conv2d:forward(x)
    local c = self.conv
    return ms.conv2d(x, self.weight, self.bias, c.stride, c.padding, c.dilation, c.groups)
  end
  function Conv2d:extra()
    local c, s = self.conv, ("%d, %d, %s"):format(self.inputs, self.outputs, text(self.size))
    if c.stride ~= 1 then s = s .. ", stride " .. text(c.stride) end
    if c.padding ~= 0 then s = s .. ", padding " .. text(c.padding) end
    if c.dilation ~= 1 then s = s .. ", dilation " .. text(c.dilation) end
    if c.groups ~= 1 then s = s .. ", groups " .. c.groups end
    return s
  end

  -- nn.conv_transpose2d(channels in, out, size [, {stride = 1, padding = 0, output_padding = 0, dilation = 1, groups = 1, bias = true}])
  local ConvTranspose2d = nn.class("conv_transpose2d", Conv2d)
  nn.conv_transpose2d = ConvTranspose2d
  function ConvTranspose2d:init(inputs, outputs, size, opts)
    local o = options.read("nn.conv_transpose2d", opts, { stride = options.any, padding = options.any, output_padding = options.any,
      dilation = options.any, groups = 1, bias = true })
    local k = pair(size)
    self.inputs, self.outputs, self.size = inputs, outputs, size
    self.conv = { stride = o.stride or 1, padding = o.padding or 0, output_padding = o.output_padding or 0, dilation = o.dilation or 1,
      groups = o.groups }
    local fan_in = outputs // o.groups * k[1] * k[2] -- PyTorch's
    self.weight = uniform({ inputs, outputs // o.groups, k[1], k[2] }, fan_in)
    if o.bias then self.bias = uniform({ outputs }, fan_in) end
  end
  function ConvTranspose2d:forward(x)
    local c = self.conv
    return ms.conv_transpose2d(x, self.weight, self.bias, c.stride, c.padding, c.output_padding, c.dilation, c.groups)
  end

  -- nn.batch_norm(channels [, {eps = 1e-5, momentum = 0.1, affine = true, track = true}]): for N x C and N x C x H x W alike.
  local BatchNorm = nn.class "batch_norm"
  nn.batch_norm, nn.batch_norm1d, nn.batch_norm2d = BatchNorm, BatchNorm, BatchNorm
  function BatchNorm:init(channels, opts)
    local o = options.read("nn.batch_norm", opts, { eps = 1e-5, momentum = 0.1, affine = true, track = true })
    channels = options.count("nn.batch_norm", "channels", channels)
    self.channels, self.eps, self.momentum, self.track = channels, o.eps, o.momentum, o.track
    if o.affine then
      self.weight = nn.parameter(ms.ones { channels })
      self.bias = nn.parameter(ms.zeros { channels })
    end
    if o.track then
      self:register_buffer("running_mean", ms.zeros { channels })
      self:register_buffer("running_var", ms.ones { channels })
    end
  end
  function BatchNorm:forward(x)
    return ms.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, self.training or not self.track, self.momentum,
      self.eps)
  end
  function BatchNorm:extra() return tostring(self.channels) end

  -- nn.embedding(count, width): rows of a table by positions 1..count (any shape). ~ N(0, 1).
  local Embedding = nn.class "embedding"
  nn.embedding = Embedding
  function Embedding:init(count, width)
    self.n, self.width = options.count("nn.embedding", "count", count), options.count("nn.embedding", "width", width)
    self.weight = nn.parameter(ms.randn { count, width })
  end
  function Embedding:forward(index)
    local shape = index.shape
    shape[#shape + 1] = self.width
    return self.weight:index_select(1, index:reshape { -1 }):reshape(shape)
  end
  function Embedding:extra() return ("%d, %d"):format(self.n, self.width) end

  local Dropout = nn.class "dropout"
  nn.dropout = Dropout
  function Dropout:init(p)
    self.p = p or 0.5
    if type(self.p) ~= "number" or self.p < 0 or self.p >= 1 then
      options.raise("nn.dropout: p: expected 0 <= p < 1, got %s", tostring(p))
    end
  end
  function Dropout:forward(x) return ms.dropout(x, self.p, self.training) end
  function Dropout:extra() return tostring(self.p) end

  -- ---- without state ----

  -- name(args...): forward(x) = f(x, args...)
  local function stateless(name, f, defaults)
    local class = nn.class(name)
    nn[name] = class
    function class:init(...)
      self.args = table.pack(...)
      for i, d in ipairs(defaults or {}) do
        if self.args[i] == nil then self.args[i] = d end
        self.args.n = math.max(self.args.n, i)
      end
      if self.args.n > #(defaults or {}) then options.raise("nn.%s: too many arguments", name) end
    end
    function class:forward(x) return f(x, table.unpack(self.args, 1, self.args.n)) end
    function class:extra()
      local s = {}
      for i = 1, self.args.n do s[i] = text(self.args[i]) end
      return table.concat(s, ", ")
    end
  end
  for _, name in ipairs { "relu", "gelu", "silu", "sigmoid", "tanh", "softplus", "logsigmoid" } do stateless(name, ms[name]) end
  stateless("identity", function(x) return x end)
  stateless("leaky_relu", ms.leaky_relu, { 0.01 })
  stateless("elu", ms.elu, { 1.0 })
  stateless("softmax", ms.softmax, { -1 })
  stateless("log_softmax", ms.log_softmax, { -1 })
  stateless("flatten", function(x, first) return ms.flatten(x, first) end, { 2 })

  -- nn.unflatten(sizes...): N x (product) to N x sizes
  local Unflatten = nn.class "unflatten"
  nn.unflatten = Unflatten
  function Unflatten:init(...)
    self.sizes = { ... }
    for i, n in ipairs(self.sizes) do options.count("nn.unflatten", "size " .. i, n) end
  end
  function Unflatten:forward(x) return x:reshape { #x, table.unpack(self.sizes) } end
  function Unflatten:extra() return table.concat(self.sizes, ", ") end

  -- nn.avg_pool2d(size [, {stride = size, padding = 0}]), nn.max_pool2d likewise
  local function pool(name, first_only)
    local class = nn.class(name)
    nn[name] = class
    function class:init(size, opts)
      local o = options.read("nn." .. name, opts, { stride = options.any, padding = options.any })
      if size == nil then options.raise("nn.%s: argument size is missing", name) end
      self.size, self.stride, self.padding = size, o.stride or size, o.padding or 0
    end
    function class:forward(x)
      local y = ms[name](x, self.size, self.stride, self.padding)
      return first_only and (y) or y
    end
    function class:extra() return ("%s, stride %s"):format(text(self.size), text(self.stride)) end
  end
  pool("avg_pool2d")
  pool("max_pool2d", true)

  -- nn.upsample(factor [, mode]): mode "nearest", "bilinear" or "bicubic"
  local Upsample = nn.class "upsample"
  nn.upsample = Upsample
  function Upsample:init(factor, mode)
    self.factor, self.mode = options.count("nn.upsample", "factor", factor), mode or "nearest"
  end
  function Upsample:forward(x)
    return ms.interpolate(x, { x:size(3) * self.factor, x:size(4) * self.factor }, self.mode)
  end
  function Upsample:extra() return ("%d, %s"):format(self.factor, self.mode) end

  -- nn.lambda(f [, name]): any function as a module
  local Lambda = nn.class "lambda"
  nn.lambda = Lambda
  function Lambda:init(f, name)
    self.f, self.name = f, name or ""
  end
  function Lambda:forward(...) return self.f(...) end
  function Lambda:extra() return self.name end

  -- nn.sequential {a, b, ...}: c(b(a(x))). A list entry may be a plain function.
  local Sequential = nn.class "sequential"
  nn.sequential = Sequential
  function Sequential:init(list)
    if type(list) ~= "table" or nn.is_module(list) then
      options.raise("nn.sequential: expected a list of modules: nn.sequential { a, b }")
    end
    for i, m in ipairs(list) do
      if type(m) == "function" then m = Lambda(m) end
      if not nn.is_module(m) then options.raise("nn.sequential: entry %d: expected a module, got %s", i, type(m)) end
      self[i] = m
    end
    for k in pairs(list) do
      if math.type(k) ~= "integer" or k < 1 or k > #list then
        options.raise("nn.sequential: entry %s: expected a list without holes", tostring(k))
      end
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
