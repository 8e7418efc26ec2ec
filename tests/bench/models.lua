-- The workloads W1..W7 as anybody would write them: a net, a loss, an optimizer, a function that takes one step.
local ms = require "mascon"
local nn, optim = ms.nn, ms.optim
local formula = require "formula"
local models = {}

-- linear, act, linear, ..., linear [, last]
local function mlp(sizes, act, last)
  local list = {}
  for i = 1, #sizes - 1 do
    list[#list + 1] = nn.linear(sizes[i], sizes[i + 1])
    if i < #sizes - 1 then list[#list + 1] = act() end
  end
  list[#list + 1] = last and last()
  return nn.sequential(list)
end

-- One step of supervised or unsupervised training.
local function trainer(net, optimizer, loss_of)
  return function(x, y)
    local loss = loss_of(net(x), x, y)
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
    return loss
  end
end

local function sum_of_squares(out, x) return nn.mse(out, x, { reduction = "sum" }) end
local function mse(out, x) return nn.mse(out, x) end
local function entropy(out, _, y) return nn.cross_entropy(out, y) end

-- Each entry: batch, data ("flat", "images", "wide" or "fields"), make() -> step(x, y) with weights from the formula.
models.W1 = { batch = 256, data = "flat", make = function()
  local net = formula.weights(mlp({ 784, 512, 10 }, nn.tanh), 100)
  return trainer(net, optim.sgd(net:parameters(), { lr = 0.1 }), entropy)
end }

models.W2 = { batch = 64, data = "flat", make = function()
  local net = formula.weights(mlp({ 784, 128, 64, 32, 8, 32, 64, 128, 784 }, nn.relu, nn.sigmoid), 200)
  return trainer(net, optim.adam(net:parameters(), { lr = 1e-3 }), sum_of_squares)
end }

models.W3 = { batch = 1024, data = "flat", make = function()
  local net = formula.weights(mlp({ 784, 256, 128, 256, 784 }, nn.relu), 300)
  return trainer(net, optim.sgd(net:parameters(), { lr = 0.01, momentum = 0.99 }), mse)
end }

models.W4 = { batch = 1024, data = "images", make = function()
  local function conv(i, o) return nn.conv2d(i, o, 3, { padding = 1 }) end
  local net = formula.weights(nn.sequential {
    conv(1, 16), nn.avg_pool2d(2), nn.relu(), conv(16, 8), nn.avg_pool2d(2), nn.relu(), conv(8, 4), nn.relu(),
    conv(4, 8), nn.upsample(2), nn.relu(), conv(8, 16), nn.upsample(2), nn.relu(), conv(16, 1),
  }, 400)
  return trainer(net, optim.sgd(net:parameters(), { lr = 0.01, momentum = 0.99 }), mse)
end }

models.W5 = { batch = 64, data = "images", make = function()
  local list = {}
  local function add(m) list[#list + 1] = m end
  local function conv(i, o, stride, norm)
    add(nn.conv2d(i, o, 3, { stride = stride or 1, padding = 1 }))
    if norm then add(nn.batch_norm2d(o)) end
    add(nn.relu())
  end
  conv(1, 16) conv(16, 16) conv(16, 16, 2, true)
  conv(16, 32) conv(32, 32) conv(32, 32, 2, true)
  conv(32, 64) conv(64, 64) conv(64, 64, 1, true)
  add(nn.flatten())
  add(nn.linear(3136, 1024)) add(nn.relu()) add(nn.linear(1024, 256)) add(nn.batch_norm1d(256))
  add(nn.linear(256, 1024)) add(nn.relu()) add(nn.linear(1024, 3136)) add(nn.relu())
  add(nn.unflatten(64, 7, 7))
  conv(64, 64) conv(64, 64) add(nn.upsample(2, "bilinear")) conv(64, 32, 1, true)
  conv(32, 32) conv(32, 32) add(nn.upsample(2, "bilinear")) conv(32, 16, 1, true)
  conv(16, 16) conv(16, 16, 1, true) add(nn.conv2d(16, 1, 1)) add(nn.sigmoid())
  local net = formula.weights(nn.sequential(list), 500)
  return trainer(net, optim.adam(net:parameters(), { lr = 1e-3 }), function(out, x) return nn.bce(out, x) end)
end }

local function generator()
  local widths, list = { 256, 128, 64, 32, 16, 16, 2 }, { nn.linear(128, 4096), nn.unflatten(256, 4, 4) }
  for i = 1, 6 do
    list[#list + 1] = nn.upsample(2)
    list[#list + 1] = nn.conv2d(widths[i], widths[i + 1], 3, { padding = 1 })
    if i < 6 then
      list[#list + 1] = nn.batch_norm2d(widths[i + 1])
      list[#list + 1] = nn.relu()
    end
  end
  return formula.weights(nn.sequential(list), 600)
end

local function critic()
  local widths, list = { 2, 16, 32, 64, 128, 256, 256 }, {}
  for i = 1, 6 do
    list[#list + 1] = nn.conv2d(widths[i], widths[i + 1], 4, { stride = 2, padding = 1 })
    list[#list + 1] = nn.leaky_relu(0.2)
  end
  list[#list + 1] = nn.flatten()
  list[#list + 1] = nn.linear(4096, 1)
  return formula.weights(nn.sequential(list), 700)
end

local rates = { lr = 1e-4, betas = { 0, 0.9 } }

models["W6 critic"] = { batch = 8, data = "fields", make = function()
  local G, D = generator(), critic()
  local adam = optim.adam(D:parameters(), rates)
  return function(real, z, eps)
    local fake = ms.no_grad(function() return G(z) end)
    local mix = (eps * real + (1 - eps) * fake):detach():requires_grad_()
    local loss = D(fake):mean() - D(real):mean()
    local slope = ms.grad(D(mix):sum(), mix)
    local penalty = ((slope:flatten(2):norm(2, 2) - 1) ^ 2):mean()
    loss = loss + 10 * penalty
    adam:zero_grad()
    loss:backward()
    adam:step()
    return loss
  end
end }

models["W6 generator"] = { batch = 8, data = "fields", make = function()
  local G, D = generator(), critic()
  D:requires_grad_(false) -- its gradients are not asked for
  local adam = optim.adam(G:parameters(), rates)
  return function(_, z)
    local loss = -D(G(z)):mean()
    adam:zero_grad()
    loss:backward()
    adam:step()
    return loss
  end
end }

models.W7 = { batch = 64, data = "wide", make = function()
  local net = formula.weights(nn.sequential {
    nn.linear(3072, 100), nn.batch_norm1d(100), nn.relu(), nn.linear(100, 100), nn.batch_norm1d(100), nn.relu(), nn.linear(100, 10),
  }, 800)
  return trainer(net, optim.sgd(net:parameters(), { lr = 0.01 }), entropy)
end }

-- Experiment 5's fully connected net: one of it, and n copies with rates of their own.
local function house_numbers() return nn.sequential { nn.linear(3072, 100), nn.relu(), nn.linear(100, 10) } end
models.single = { batch = 64, data = "wide", make = function()
  local net = house_numbers()
  return trainer(net, optim.sgd(net:parameters(), { lr = 0.01, weight_decay = 0.1 }), entropy)
end }
function models.sweep(n)
  local own_rates = {}
  for k = 1, n do own_rates[k] = 0.01 / k end
  return ms.sweep { model = house_numbers, copies = n, loss = nn.cross_entropy, optimizer = optim.sgd, lr = own_rates, weight_decay = 0.1 }
end

return models
