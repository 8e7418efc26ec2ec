-- sweep/layers: the layers of ms.sweep for K copies at once. Between them a value is { x = tensor, shared = bool }: shared, batch x ...,
-- the same for all copies (what comes in, before a parameter has met it); else K x features x batch.
local ms = require "mascon"
local options = require "mascon.options"
local layers = {}

local of = {} -- name of a layer's class -> function(m, own, K, place) -> function(value, training) -> value; own: field -> K tensors in one

-- The features of a shared value as rows of a batch.
local function rows(v, what)
  if v.x:dim() ~= 2 then
    options.raise("sweep: %s: expected batch x features, got %s; put nn.flatten() first", what, table.concat(v.x.shape, " x "))
  end
  return v.x
end

-- The value for each copy by itself: K x features x batch.
local function apart(v, copies, what)
  if not v.shared then return v.x end
  local x = rows(v, what):transpose(1, 2)
  return x:unsqueeze(1):expand { copies, x:size(1), x:size(2) }
end

function of.linear(m, own, copies)
  local weight, bias = own.weight, own.bias
  return function(v)
    local x
    if v.shared then
      local r = rows(v, "linear")
      if r:size(2) ~= m.inputs then options.raise("sweep: linear: expected %d features, got %d", m.inputs, r:size(2)) end
      x = weight:reshape { copies * m.outputs, m.inputs }:matmul(r:transpose(1, 2)):reshape { copies, m.outputs, #r }
    else
      x = weight:matmul(v.x)
    end
    if bias then x = x + bias:unsqueeze(3) end
    return { x = x }
  end
end

function of.sequential(m, _, copies, place, stacked)
  local list = {}
  for i = 1, #m do list[i] = layers.layer(m[i], stacked, copies, place .. i .. ".") end
  return function(v, training)
    for i = 1, #list do v = list[i](v, training) end
    return v
  end
end

function of.identity() return function(v) return v end end

function of.flatten(m, _, _, place)
  if m.start ~= 2 or m.stop ~= -1 then options.raise("sweep: layer '%s': flatten of other dimensions than 2 to -1 cannot be batched",
    place) end
  return function(v)
    if v.shared then return { x = v.x:flatten(2), shared = true } end
    return v
  end
end

-- Functions of each element: whatever their layer does with it.
local function elementwise(m) return function(v) return { x = m.forward(m, v.x), shared = v.shared } end end
for _, name in ipairs { "relu", "relu6", "silu", "selu", "mish", "sigmoid", "tanh", "hardsigmoid", "hardswish", "logsigmoid", "softsign",
  "tanhshrink", "gelu", "leaky_relu", "elu", "celu", "softplus", "hardtanh", "hardshrink", "softshrink", "threshold" } do
  of[name] = elementwise
end

local function over_features(name)
  of[name] = function(m, _, copies, place)
    if m.dim ~= -1 and m.dim ~= 2 then options.raise("sweep: layer '%s': %s over dimension %d cannot be batched", place, name, m.dim) end
    return function(v) return { x = ms[name](apart(v, copies, name), 2) } end
  end
end
over_features "softmax"
over_features "log_softmax"

function of.dropout(m, _, copies)
  return function(v, training)
    if not training or m.p == 0 then return v end
    return { x = ms.dropout(apart(v, copies, "dropout"), m.p, true) }
  end
end

-- K x F x N as one sample of K F channels and N places.
local function batch_norm(m, own, copies, place)
  if m.track and not m.momentum then options.raise("sweep: layer '%s': batch_norm with momentum = false cannot be batched", place) end
  local function flat(t) return t and t:reshape { -1 } end
  return function(v, training)
    local x = apart(v, copies, "batch_norm")
    local n = x:size(3)
    if training and n < 2 then options.raise "sweep: batch_norm: one sample, expected more while training" end
    local y = ms.batch_norm(x:reshape { 1, -1, n }, flat(own.running_mean), flat(own.running_var), flat(own.weight), flat(own.bias),
      training or not m.track, m.momentum or 0, m.eps)
    if training and m.track then own.num_batches_tracked:add_(1) end
    return { x = y:reshape { copies, -1, n } }
  end
end
of.batch_norm, of.batch_norm1d = batch_norm, batch_norm

function of.layer_norm(m, own, copies, place)
  if #m.normalized_shape ~= 1 then options.raise("sweep: layer '%s': layer_norm over several dimensions cannot be batched", place) end
  return function(v)
    local x = apart(v, copies, "layer_norm"):transpose(2, 3)
    local y = ms.layer_norm(x, m.normalized_shape, nil, nil, m.eps)
    if own.weight then y = y * own.weight:unsqueeze(2) end
    if own.bias then y = y + own.bias:unsqueeze(2) end
    return { x = y:transpose(2, 3) }
  end
end

-- The function for module m, found by what it does: a layer of the library with the library's forward.
function layers.layer(m, stacked, copies, place)
  local make = of[m.__name]
  local class = make and ms.nn[m.__name]
  if not make or m.forward ~= class.forward or rawget(debug.getmetatable(m).__index, "_hooks") then
    local known = {}
    for name in pairs(of) do known[#known + 1] = name end
    table.sort(known)
    options.raise("sweep: layer '%s' (%s) cannot be batched%s; those that can: %s", place:sub(1, -2), m.__name,
      make and ": it has a forward or hooks of its own" or "", table.concat(known, ", "))
  end
  return make(m, stacked[m], copies, place, stacked)
end

-- layers.compose(model, stacked, K) -> function(x, training) -> K x batch x outputs
function layers.compose(model, stacked, copies)
  local f = layers.layer(model, stacked, copies, "")
  return function(x, training)
    local v = f({ x = x, shared = true }, training)
    return apart(v, copies, "sweep"):transpose(2, 3)
  end
end

return layers
