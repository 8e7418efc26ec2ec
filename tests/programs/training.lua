-- training: spices (spices.lua) about layers and optimizers.
local gradients = require "programs.gradients"
local scalar, leaf, from_leaf = gradients.scalar, gradients.leaf, gradients.from_leaf
local training = {}

local function options(list)
  local parts = {}
  for _, o in ipairs(list) do parts[#parts + 1] = o[1] .. " = " .. tostring(o[2]) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local has_betas = { adam = true, adamw = true, nadam = true, radam = true, adamax = true }

-- Lion and muon are left out: they make full steps of gradients that are 0 but for roundings.
local function optimizer(d, parameters)
  local kind = d:pick { "sgd", "sgd", "sgd", "adam", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta" }
  local list = { { "lr", d:pick { 0.1, 0.05, 0.01 } } }
  if kind == "sgd" then
    if d:chance(0.6) then
      list[#list + 1] = { "momentum", d:pick { 0.9, 0.5 } }
      if d:chance(0.3) then list[#list + 1] = { "nesterov", true } elseif d:chance(0.3) then list[#list + 1] = { "dampening", 0.2 } end
    end
  else -- a large eps: where the gradient is 0 but for roundings, Adam would take steps of their sign
    list[#list + 1] = { "eps", 1e-3 }
    if has_betas[kind] and d:chance(0.3) then list[#list + 1] = { "betas", "{ 0.8, 0.99 }" } end
    if (kind == "adam" or kind == "adamw") and d:chance(0.2) then list[#list + 1] = { "amsgrad", true } end
    if kind == "rmsprop" and d:chance(0.3) then list[#list + 1] = { "momentum", 0.5 } end
    if kind == "rmsprop" and d:chance(0.3) then list[#list + 1] = { "centered", true } end
  end
  if d:chance(0.1) then list[#list + 1] = { "maximize", true } end
  if d.groups then
    local second = d:chance(0.5) and ", lr = 0.2" or ""
    parameters = ("{ { params = { %s[1] } }, { params = { table.unpack(%s, 2) }%s } }"):format(parameters, parameters, second)
  end
  if d:chance(0.4) then list[#list + 1] = { "weight_decay", d:pick { 0.1, 0.01 } } end
  d.kind = kind
  local name = d:make(("optim.%s(%s, %s)"):format(kind, parameters, options(list)), "o", true)
  if name then d:watch(name .. ":state_dict()") end
  return name
end

-- zero_grad, backward, step, in one of the usual orders.
local function update(d, o, loss)
  local order = d:weighted { { 6, { "zero", "backward", "step" } }, { 2, { "backward", "step", "zero" } }, { 1, { "backward", "step" } } }
  for _, part in ipairs(order) do
    if part == "zero" then d:act(o .. ":zero_grad()") end
    if part == "backward" and not d:act(("(%s):backward()"):format(loss)) then return false end
    if part == "step" then
      if d.clipped then d:act(d.clipped) end
      d:act(o .. ":step()")
    end
  end
  d:calm()
  return true
end

local function a_model(d)
  local m, n = d.n, d:int(2, 5)
  local layers = { ("nn.linear(%d, %d%s)"):format(m, n, d:chance(0.2) and ", { bias = false }" or "") }
  if d:chance(0.4) then layers[#layers + 1] = ("nn.batch_norm(%d)"):format(n) end
  layers[#layers + 1] = d:pick { "nn.tanh()", "nn.relu()", "nn.sigmoid()", "nn.silu()" }
  if d:chance(0.4) then layers[#layers + 1] = ("nn.dropout(%s)"):format(d:pick { 0.5, 0.2 }) end
  layers[#layers + 1] = ("nn.linear(%d, %d)"):format(n, d:pick { m, 1, 3 })
  local text = ("nn.sequential { %s }"):format(table.concat(layers, ", "))
  d.layers = layers
  return d:make(text .. (d.dtype == "f64" and ':to("f64")' or ""), "net", true)
end

-- A net for images: convolution, normalisation, pooling.
local function a_net_for_images(d)
  local n = d:pick { 2, 3, 4, 16 }
  local layers = { ("nn.conv2d(2, %d, 3, { padding = 1 })"):format(n) }
  if d:chance(0.5) then layers[#layers + 1] = ("nn.batch_norm(%d)"):format(n) end
  layers[#layers + 1] = d:pick { "nn.relu()", "nn.tanh()" }
  layers[#layers + 1] = d:pick { "nn.max_pool2d(2)", "nn.avg_pool2d(2)", ("nn.conv2d(%d, %d, 2, { stride = 2 })"):format(n, n) }
  if d:chance(0.3) then layers[#layers + 1] = ("nn.conv2d(%d, %d, 3, { padding = 1 })"):format(n, n) end
  layers[#layers + 1] = "nn.flatten()"
  layers[#layers + 1] = ("nn.linear(%d, 3)"):format(4 * n)
  d.layers = layers
  return d:make(("nn.sequential { %s }"):format(table.concat(layers, ", ")) .. (d.dtype == "f64" and ':to("f64")' or ""), "net", true)
end

local function setup_model(d)
  d.rows = d:pick { 2, 3, 4 }
  d.input_shape = { d.rows, d.n }
  if d:chance(0.3) then d.input_shape = { d.rows, 2, 4, 4 } end
  d.input = d:argument(("num(800 + call, { %s }, %q)"):format(table.concat(d.input_shape, ", "), d.dtype))
  d.net = #d.input_shape == 4 and a_net_for_images(d) or a_model(d)
  d:make(d.net .. ":parameters()", "ps", true)
  d.parameters = "ps" .. d.count.ps
  d:watch(d.parameters)
  if d.layers[2]:find "batch_norm" then
    local b = d:make(d.net .. ":buffers()", "bs", true)
    d:watch(b)
  end
end

local function forward(d)
  return d.net and d:body(("%s(%s)"):format(d.net, d:fit(d.input_shape)))
end

local function finish_model(d)
  if d.updated then return end
  d.updated = true
  local y = d:body(("%s(%s)"):format(d.net, d:fit(d.input_shape)))
  if not y then return end
  d.o = optimizer(d, d.parameters)
  local loss = d:body(scalar(d, y))
  if not loss then return end
  if d.inside then d:act((d.inside:gsub("%%o", d.o))) end
  update(d, d.o, loss)
  d:result(loss)
end

training.training = { setup = setup_model, kinds = { { 2, forward } }, finish = finish_model }

local function between_calls(d, list)
  for _ = 1, d:int(1, 2) do
    local text = d:pick(list)
    d:between(text, d:chance(0.85) and d:int(2, 8) or nil)
  end
end

local function with_model(finish, more)
  local s = { setup = setup_model, kinds = { { 1, forward } } }
  for k, v in pairs(more or {}) do s[k] = v end
  s.finish = function(d)
    finish_model(d)
    if d.o then finish(d) end
  end
  return s
end

-- A rate, a momentum, ... set between the calls.
training.hyper_parameters = with_model(function(d)
  local list = { "%s.lr = 0.5 / call", "%s.lr = %s.lr * 0.5", "%s.weight_decay = 0.3" }
  if d.kind == "sgd" then
    list[#list + 1] = "%s.momentum = %s.momentum ~= 0 and 0.3 or 0"
    list[#list + 1] = "%s.momentum = 0.7"
    list[#list + 1] = "%s.nesterov = false"
  else
    if has_betas[d.kind] then list[#list + 1] = "%s.betas = { 0.5, 0.9 }" end
    if d.kind == "rmsprop" then list[#list + 1] = "%s.centered = true" end
    if d.kind == "adamw" then list[#list + 1] = "%s.amsgrad = true" end
    list[#list + 1] = "%s.eps = 0.1"
    list[#list + 1] = "%s.maximize = call > 5"
  end
  for i, s in ipairs(list) do list[i] = s:gsub("%%s", d.o) end
  between_calls(d, list)
end)
-- Groups with settings of their own.
training.groups = with_model(function(d)
  between_calls(d, { ("%s.groups[1].lr = 0.3 / call"):format(d.o), ("%s.groups[2].weight_decay = 0.2"):format(d.o),
    ("%s.groups[2].lr = 0"):format(d.o), ("%s.lr = 0.1"):format(d.o) })
end, {
  setup = function(d)
    setup_model(d)
    d.groups = true
  end,
})
-- A schedule that steps between the calls, clipped gradients, an average of the weights in the step.
training.schedules = with_model(function(d)
  local s = d:make(d:pick { "optim.lr_scheduler.exponential_lr(%s, 0.9)", "optim.lr_scheduler.cosine_annealing_lr(%s, 5)",
    "optim.lr_scheduler.linear_lr(%s)", "optim.lr_scheduler.step_lr(%s, 3)" }:format(d.o), "sched", true)
  d:between(s .. ":step()")
  if d.average then d:act(d.average .. ":update()") end
end, {
  setup = function(d)
    setup_model(d)
    if d:chance(0.5) then
      local limit = d:pick { 0.5, 0.1 }
      d.clipped = d:chance(0.5) and ("optim.clip_grad_norm_(%s, %s)"):format(d.parameters, limit)
        or ("optim.clip_grad_value_(%s, %s)"):format(d.parameters, limit)
    end
    if d:chance(0.5) then
      d.average = d:make(d:pick { "optim.ema(%s, { decay = 0.5 })", "optim.averaged_model(%s)" }:format(d.net), "mean", true)
      d:watch(d.average .. ".module:parameters()")
    end
  end,
})
training.rate_inside = with_model(function() end, {
  setup = function(d)
    setup_model(d)
    d.inside = d:pick { "%o.lr = %o.lr * 0.5", "%o.lr = 0.05", "%o.weight_decay = %o.weight_decay + 0.1" }
  end,
})
training.layer_settings = with_model(function(d)
  local list = { "%s:eval()", "%s:train()", "%s:eval()" }
  for i, layer in ipairs(d.layers) do
    local at = ("%s[%d]"):format(d.net, i)
    if layer:find "dropout" then
      list[#list + 1] = at .. ".p = 0.8"
      list[#list + 1] = at .. ".training = false"
      list[#list + 1] = at .. ":eval()"
    elseif layer:find "batch_norm" then
      list[#list + 1] = at .. ".momentum = 0.5"
      list[#list + 1] = at .. ".training = false"
      list[#list + 1] = at .. ".eps = 0.1"
    end
  end
  for i, s in ipairs(list) do list[i] = s:gsub("%%s", d.net) end
  between_calls(d, list)
end)
training.loading = with_model(function(d)
  local at = d:int(2, 5)
  local saved = d:make("{}", "kept", true)
  local copy = "for k, v in pairs(%s:state_dict()) do %s[k] = type(v) == \"userdata\" and v:clone() or v end"
  if d:chance(0.7) then
    d:between(copy:format(d.o, saved), at)
    d:between(("%s:load_state_dict(%s)"):format(d.o, saved), d:int(at + 1, 8))
  else
    d:between(copy:format(d.net, saved), at)
    d:between(("%s:load_state_dict(%s)"):format(d.net, saved), d:int(at + 1, 8))
  end
end)
training.replaced_parameters = with_model(function(d)
  local i = #d.layers
  between_calls(d, {
    ("%s[%d].bias = nn.parameter(%s[%d].bias * 2 + 1)"):format(d.net, i, d.net, i),
    ("%s[%d].weight = nn.parameter(%s[%d].weight * 0.5)"):format(d.net, i, d.net, i),
    ("%s:to(%q):to(%q)"):format(d.net, d.dtype == "f64" and "f32" or "f64", d.dtype),
    ("%s[1].weight:requires_grad_(false)"):format(d.net), ("%s[1].weight:requires_grad_(true)"):format(d.net),
    ("%s:requires_grad_(false); %s[%d].weight:requires_grad_(true)"):format(d.net, d.net, i),
    ("ms.no_grad(function() %s[1].weight:mul_(0.5) end)"):format(d.net), ("%s:zero_grad()"):format(d.net),
    ("%s[1].weight.grad = nil"):format(d.net),
    ("%s = nn.sequential { nn.linear(%d, 2), nn.linear(2, %d) }:to(%q)"):format(d.net, d.n, 2, d.dtype),
    ("%s = optim.sgd(%s:parameters(), { lr = 0.3 })"):format(d.o, d.net),
  })
end)
training.two_optimizers = {
  setup = function(d)
    leaf(d)
    leaf(d)
  end,
  kinds = { { 8, from_leaf } },
  finish = function(d)
    local a, b = d.leaves[1], d.leaves[2]
    local first, second = optimizer(d, ("{ %s }"):format(a)), optimizer(d, ("{ %s%s }"):format(b, d:chance(0.3) and ", " .. a or ""))
    local y = scalar(d)
    if not y then return end
    d:act(first .. ":zero_grad()")
    d:act(second .. ":zero_grad()")
    d:act(("(%s):backward()"):format(y))
    d:act(first .. ":step()")
    if d:chance(0.7) then d:act(second .. ":step()") end
    d:calm()
    if d:chance(0.5) then d:between(("%s.lr = 0.2 / call"):format(first), d:int(2, 8)) end
  end,
}
-- Labels that change from call to call, and a number among them that may be wrong in one call.
training.classifier = with_model(function() end, {
  setup = function(d)
    setup_model(d)
    d.labels = d:argument(("whole(900 + call, 3, { %d })"):format(d.rows), "y", true)
  end,
  kinds = { { 4, function(d)
    local z = d:body(("%s:matmul(%s)"):format(d:fit { d.rows, d.n }, d:fit { d.n, 3 }))
    local how = d:pick { "", ', { reduction = "sum" }', ', { reduction = "none" }' }
    return z and d:body(("nn.cross_entropy(%s, %s%s)"):format(z, d.labels, how))
  end } },
})

return training
