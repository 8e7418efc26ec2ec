-- Compiled training steps (test_compile.lua) against the same steps as they are: the same bits in losses, parameters, gradients, running
-- statistics and the generator, call by call.
-- luacheck: globals TestCompileModes TestCompileTraining
local lu = require "luaunit"
local ms = require "mascon"
local compiled = require "compiled"
local nn, optim = ms.nn, ms.optim
local like_eager, same_bits, replays = compiled.like_eager, compiled.same_bits, compiled.replays

-- ---- modes --------------------------------------------------------------------------------------------------------------------------

TestCompileModes = {}

local function classifier()
  ms.seed(3)
  return nn.sequential { nn.linear(6, 8), nn.batch_norm(8), nn.relu(), nn.dropout(0.3), nn.linear(8, 4) }
end

function TestCompileModes.test_running_statistics_follow()
  like_eager(function()
    local model = classifier()
    return function(x) return model(x) end, function() return { ms.randn { 5, 6 } } end, model:buffers()
  end)
end

-- Evaluation between training steps: train() and eval() each have a recording, and so has no_grad.
function TestCompileModes.test_train_and_eval()
  local function run(compile)
    local model = classifier()
    local forward = function(x) return model(x) end
    if compile then forward = ms.compile(forward) end
    local given = {}
    for i = 1, 8 do
      local x = ms.full({ 5, 6 }, i) * ms.rand { 5, 6 }
      given[#given + 1] = forward(x):detach()
      model:eval()
      ms.no_grad(function() given[#given + 1] = forward(x) end)
      given[#given + 1] = forward(x):detach()
      model:train()
    end
    return given, forward
  end
  local eager, replayed, step = run(false), run(true)
  same_bits(eager, replayed)
  if step then lu.assertTrue(replays(step)) end
end

function TestCompileModes.test_no_grad_inside()
  like_eager(function()
    local w = ms.randn({ 3 }):requires_grad_()
    return function(x)
      local y
      ms.no_grad(function() y = w * x end)
      w.grad = nil
      (w * y):sum():backward()
      return y, w.grad
    end, { ms.randn { 3 } }, { w }
  end)
end

-- ---- whole training steps ---------------------------------------------------------------------------------------------------------------

TestCompileTraining = {}

local function training(model, optimizer, loss_of, batch)
  local parameters = model:parameters()
  local list = {}
  for _, p in ipairs(parameters) do list[#list + 1] = p end
  for _, b in ipairs(model:buffers()) do list[#list + 1] = b end
  return function(...)
    local loss = loss_of(...)
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
    return loss
  end, batch, list
end

function TestCompileTraining.test_adam_autoencoder()
  local step = like_eager(function()
    local model = nn.sequential { nn.linear(12, 5), nn.sigmoid(), nn.linear(5, 12), nn.sigmoid() }
    return training(model, optim.adam(model:parameters(), { lr = 0.01 }), function(x) return nn.mse(model(x), x) end,
      function() return { ms.rand { 7, 12 } } end)
  end)
  lu.assertTrue(replays(step))
end

function TestCompileTraining.test_convolutions_batch_norm_and_cross_entropy()
  like_eager(function()
    local model = nn.sequential { nn.conv2d(1, 4, 3, { padding = 1 }), nn.batch_norm(4), nn.relu(), nn.max_pool2d(2), nn.flatten(),
      nn.dropout(0.2), nn.linear(4 * 4 * 4, 3) }
    return training(model, optim.adamw(model:parameters(), { lr = 0.01 }), function(x, y) return nn.cross_entropy(model(x), y) end,
      function() return { ms.randn { 6, 1, 8, 8 }, ms.randint(1, 3, { 6 }) } end)
  end)
end

-- WGAN-GP: a gradient inside the loss, and the derivative of that.
function TestCompileTraining.test_gradient_penalty()
  local step = like_eager(function()
    local critic = nn.sequential { nn.linear(4, 8), nn.leaky_relu(0.2), nn.linear(8, 1) }
    return training(critic, optim.adam(critic:parameters(), { lr = 1e-3, betas = { 0.5, 0.9 } }), function(real, fake)
      local mix = ms.rand { 6, 1 }
      local between = (real * mix + fake * (1 - mix)):detach():requires_grad_()
      local slope = ms.grad(critic(between):sum(), between)
      local penalty = ((slope:square():sum(2) + 1e-12):sqrt() - 1):square():mean()
      return critic(fake):mean() - critic(real):mean() + penalty * 10
    end, function() return { ms.randn { 6, 4 }, ms.randn { 6, 4 } } end)
  end)
  lu.assertTrue(replays(step))
end

-- Two optimizers, two steps that share parameters: the critic's step and the generator's, in turn.
function TestCompileTraining.test_two_steps_on_the_same_parameters()
  local function run(compile)
    ms.seed(5)
    local generator, critic = nn.linear(2, 4), nn.sequential { nn.linear(4, 6), nn.tanh(), nn.linear(6, 1) }
    local of_generator = optim.adam(generator:parameters(), { lr = 0.01 })
    local of_critic = optim.sgd(critic:parameters(), { lr = 0.05, momentum = 0.5 })
    local function critic_step(x)
      local fake = generator(ms.randn { 5, 2 }):detach()
      local loss = critic(fake):mean() - critic(x):mean()
      of_critic:zero_grad()
      loss:backward()
      of_critic:step()
      return loss
    end
    local function generator_step()
      local loss = -critic(generator(ms.randn { 5, 2 })):mean()
      of_generator:zero_grad()
      of_critic:zero_grad()
      loss:backward()
      of_generator:step()
      return loss
    end
    if compile then critic_step, generator_step = ms.compile(critic_step), ms.compile(generator_step) end
    local given = {}
    for i = 1, 12 do
      given[#given + 1] = critic_step(ms.full({ 5, 4 }, i / 10))
      if i % 2 == 0 then given[#given + 1] = generator_step() end
      for _, p in ipairs(critic:parameters()) do given[#given + 1] = p.grad:clone() end
    end
    for _, p in ipairs(generator:parameters()) do given[#given + 1] = p end
    return given
  end
  same_bits(run(false), run(true))
end
