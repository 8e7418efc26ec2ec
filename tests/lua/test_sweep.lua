-- ms.sweep: K copies in one step go the way of K models trained one after another.
-- gcstress: every 200
-- luacheck: globals TestSweepTrains TestSweepRefuses
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local nn, optim, fails = ms.nn, ms.optim, checks.fails

TestSweepTrains = {}

local BATCHES = 5
local function batches(features, classes)
  ms.seed(7)
  local list = {}
  for i = 1, BATCHES do
    list[i] = { ms.randn { 12, features }, ms.randint(1, classes, { 12 }) }
  end
  return list
end

local function mlp() return nn.sequential { nn.flatten(), nn.linear(6, 8), nn.relu(), nn.linear(8, 5), nn.tanh(), nn.linear(5, 3) } end

-- Models trained one by one; o[k] their options. Gives them and their losses by step.
local function alone(make, seeds, class, o, loss, data)
  local models, losses = {}, {}
  for k, seed in ipairs(seeds) do
    local m = ms.with_seed(seed, make, k)
    local opt = class(m:parameters(), o[k])
    losses[k] = {}
    for i, b in ipairs(data) do
      local l = loss(m(b[1]), b[2])
      opt:zero_grad()
      l:backward()
      opt:step()
      losses[k][i] = l:item()
    end
    models[k] = m
  end
  return models, losses
end

local function compare(make, class, per_copy, loss, data, tolerance)
  local seeds = { 11, 12, 13 }
  local o = {}
  for k = 1, 3 do
    o[k] = {}
    for name, v in pairs(per_copy) do
      if type(v) == "table" and name ~= "betas" then o[k][name] = v[k] else o[k][name] = v end
    end
  end
  local want, want_losses = alone(make, seeds, class, o, loss, data)
  for _, compile in ipairs(checks.stress and { true } or { false, true }) do
    local options = { model = make, seeds = seeds, optimizer = class, loss = loss, compile = compile }
    for name, v in pairs(per_copy) do options[name] = v end
    local s = ms.sweep(options)
    for i, b in ipairs(data) do
      local losses = s:step(b[1], b[2]):totable()
      for k = 1, 3 do lu.assertAlmostEquals(losses[k], want_losses[k][i], 2e-6) end
    end
    local x = data[1][1]
    local out = s(x)
    for k, m in ipairs(s:models()) do
      for name, t in pairs(want[k]:state_dict()) do
        ms.assert_close(m:state_dict()[name], t, { rtol = tolerance or 1e-5, atol = tolerance or 1e-6 })
      end
      m:eval()
      ms.assert_close(out[k], m(x), { rtol = 1e-5, atol = 1e-5 })
      ms.assert_close(s:losses(x, data[1][2])[k], loss(m(x), data[1][2]), { rtol = 1e-5, atol = 1e-6 })
    end
  end
end

function TestSweepTrains.test_sgd() compare(mlp, optim.sgd, { lr = { 0.1, 0.5, 1 } }, nn.cross_entropy, batches(6, 3)) end

function TestSweepTrains.test_sgd_with_everything()
  compare(mlp, optim.sgd, { lr = { 0.1, 0.3, 0.5 }, momentum = { 0.9, 0.5, 0.1 }, weight_decay = { 0, 1e-2, 1e-1 } }, nn.cross_entropy,
    batches(6, 3))
  compare(mlp, optim.sgd, { lr = 0.1, momentum = 0.9, weight_decay = 0.1, nesterov = true }, nn.cross_entropy, batches(6, 3))
end

function TestSweepTrains.test_adam_and_adamw()
  compare(mlp, optim.adam, { lr = { 0.01, 0.02, 0.03 }, weight_decay = { 0, 0.1, 0.2 } }, nn.cross_entropy, batches(6, 3), 2e-5)
  compare(mlp, optim.adamw, { lr = { 0.01, 0.02, 0.03 }, betas = { 0.8, 0.9 } }, nn.cross_entropy, batches(6, 3), 2e-5)
end

function TestSweepTrains.test_normalised_layers()
  local function make()
    return nn.sequential { nn.batch_norm1d(6), nn.sequential { nn.linear(6, 8, { bias = false }), nn.batch_norm(8), nn.relu() },
      nn.linear(8, 5),
      nn.layer_norm(5), nn.gelu(), nn.identity(), nn.linear(5, 3) }
  end
  compare(make, optim.sgd, { lr = { 0.1, 0.2, 0.3 } }, nn.cross_entropy, batches(6, 3), 2e-5)
end

function TestSweepTrains.test_a_regression()
  local data = batches(6, 3)
  for _, b in ipairs(data) do b[2] = b[1]:sum(2, { keepdim = true }) end
  compare(function() return nn.sequential { nn.linear(6, 4), nn.sigmoid(), nn.linear(4, 1) } end, optim.sgd, { lr = { 0.1, 0.2, 0.3 } },
    nn.mse, data)
end

function TestSweepTrains.test_a_rate_that_changes_and_one_copy_that_breaks()
  local data = batches(6, 3)
  local s = ms.sweep { model = mlp, loss = nn.cross_entropy, lr = { 0.1, 1e38, 0.1 }, seeds = { 5, 6, 5 } }
  lu.assertEquals(#s, 3)
  for i = 1, 12 do
    local b = data[i % BATCHES + 1]
    s:step(b[1], b[2])
    if i == 6 then s.lr = { 0, 0, 0.1 } end
    if i == 6 then lu.assertEquals(s.lr[1], 0) end
  end
  local nets = s:models()
  local first, third = nets[1][2].weight, nets[3][2].weight
  lu.assertTrue(third:isfinite():all():item() and first:isfinite():all():item())
  lu.assertFalse(first:equal(third))
  local losses = s:losses(data[1][1], data[1][2]):totable()
  lu.assertFalse(losses[2] < 1e20)
  lu.assertTrue(losses[1] == losses[1] and losses[3] == losses[3])
end

function TestSweepTrains.test_dropout_is_each_copys_own_and_off_when_it_is_looked_at()
  local s = ms.sweep { model = function() return nn.sequential { nn.dropout(0.5), nn.linear(6, 3) } end, loss = nn.cross_entropy,
    seeds = { 1, 1 },
    lr = 0.1 }
  local data = batches(6, 3)
  local losses = s:step(data[1][1], data[1][2]):totable()
  lu.assertNotEquals(losses[1], losses[2])
  lu.assertEquals(s(data[1][1]):totable(), s(data[1][1]):totable())
end

function TestSweepTrains.test_accuracy()
  local data = batches(6, 3)
  local set = ms.data.tensors { ms.cat { data[1][1], data[2][1] }, ms.cat { data[1][2], data[2][2] } }
  local s = ms.sweep { model = mlp, loss = nn.cross_entropy, copies = 4 }
  local got = s:accuracy(set):totable()
  local again = s:accuracy(set:loader { batch = 7 }):totable()
  lu.assertErrorMsgContains("accuracy: expected a data set or a loader, got nil", s.accuracy, s)
  lu.assertErrorMsgContains("accuracy: expected 2 labels, one a sample, got 2 x 1 i64", s.accuracy, s, function(_, before)
    if not before then return set:images(1, 2), set.labels[{ { 1, 2 } }]:unsqueeze(2) end
  end)
  for k, m in ipairs(s:models()) do
    local x, y = set:batch()
    lu.assertAlmostEquals(got[k], m(x):argmax(2):eq(y):float():mean():item(), 1e-6)
    lu.assertAlmostEquals(again[k], got[k], 1e-6)
  end
end

function TestSweepTrains.test_it_goes_on_from_its_state()
  local data = batches(6, 3)
  local function make() return ms.sweep { model = mlp, loss = nn.cross_entropy, optimizer = "adam", lr = { 0.01, 0.1 },
    compile = false } end
  local s = make()
  for i = 1, 2 do s:step(data[i][1], data[i][2]) end
  local path = os.tmpname()
  ms.checkpoint.save(path, { sweep = s })
  local again = make()
  ms.checkpoint.load(path, { sweep = again })
  os.remove(path)
  for i = 3, 5 do
    lu.assertEquals(again:step(data[i][1], data[i][2]):totable(), s:step(data[i][1], data[i][2]):totable())
  end
  for name, t in pairs(s:state_dict()) do lu.assertTrue(t:equal(again:state_dict()[name]), name) end
  fails("missing entry", again.load_state_dict, again, {})
end

TestSweepRefuses = {}

function TestSweepRefuses.test_with_words()
  local function with(changes)
    local all = { model = mlp, loss = nn.cross_entropy, copies = 2 }
    for k, v in pairs(changes) do
      if v == "nil" then all[k] = nil else all[k] = v end
    end
    return function() return ms.sweep(all) end
  end
  local Own = nn.class "Own"
  function Own:init() self.w = nn.parameter(ms.zeros { 2 }) end
  local shared = mlp()
  for text, f in pairs {
    ["layer '2' (conv2d) cannot be batched; those that can: batch_norm"] = with { model = function()
      return nn.sequential { nn.linear(6, 3), nn.conv2d(1, 1, 3) } end },
    ["layer '' (Own) cannot be batched"] = with { model = Own },
    ["layer '1' of copy 2 is linear(6, 4), of copy 1 linear(6, 3)"] = with { model = function(k)
      return nn.sequential { nn.linear(6, 2 + k) } end },
    ["copy 2 has no layer '2'"] = with { model = function(k)
      return nn.sequential(k == 1 and { nn.linear(6, 2), nn.relu() } or { nn.linear(6, 2) }) end },
    ["the same module for copies 1 and 2"] = with { model = function() return shared end },
    ["model: expected a function that makes one"] = with { model = shared },
    ["model: expected a function that gives a module, got nil"] = with { model = function() end },
    ["lr: expected a number, or 2 of them, one for each copy, got 3"] = with { lr = { 1, 2, 3 } },
    ["lr: expected a finite number from 0 on, got -1"] = with { lr = { 1, -1 } },
    ["seeds: expected 2, one for each copy, got 1"] = with { seeds = { 1 } },
    ["seeds[1]: expected a whole number, got 1.5"] = with { seeds = { 1.5, 2 } },
    ["expected copies = how many"] = with { copies = "nil" },
    ["loss is missing"] = with { loss = "nil" },
    ["optimizer: expected optim.sgd, optim.adam or optim.adamw"] = with { optimizer = optim.rprop },
    ["sgd has no option betas"] = with { betas = { 0.9, 0.9 } },
    ["nesterov: expected a momentum above 0"] = with { nesterov = true },
    ["unknown option 'rate'"] = with { rate = 1 },
    ["no parameters to train"] = with { model = function() return nn.sequential { nn.relu() } end },
  } do
    fails(text, f)
  end
  local s = with {}()
  for text, f in pairs {
    ["sweep: step: x: expected a tensor, got 5"] = function() s:step(5, ms.zeros { 1 }) end,
    ["sweep: step: y: expected a tensor, got nil"] = function() s:step(ms.zeros { 1, 6 }) end,
    ["linear: expected 6 features, got 5"] = function() s:step(ms.zeros { 4, 5 }, ms.ones({ 4 }, { dtype = "i64" })) end,
    ["with a colon: s:step(...)"] = function() s.step(3) end,
    ["no field 'lrs'; did you mean lr"] = function() return s.lrs end,
    ["sweep.copies cannot be assigned"] = function() s.copies = 3 end,
    ["sweep.momentum cannot be assigned: it was made with one number"] = function() s.momentum = { 1, 2 } end,
    ["sweep: loss: expected a loss for each sample"] = function()
      ms.sweep { model = mlp, copies = 2, loss = function(x, y) return nn.cross_entropy(x, y) end }:step(ms.zeros { 4, 6 },
        ms.ones({ 4 }, { dtype = "i64" }))
    end,
  } do
    fails(text, f)
  end
end

-- What the library does in a compiled step has the line that called the step, and that may be another each time.
function TestSweepTrains.test_steps_called_from_several_lines()
  local data = batches(6, 3)
  local function sweep() return ms.sweep { model = mlp, seeds = { 1, 2 }, loss = nn.cross_entropy, optimizer = optim.adam, lr = 0.01 } end
  local s, t, losses, want = sweep(), sweep(), {}, {}
  losses[1] = s:step(data[1][1], data[1][2])
  losses[2] = s:step(data[2][1], data[2][2])
  losses[3] = s:step(data[3][1], data[3][2])
  for i = 4, 5 do losses[i] = s:step(data[i][1], data[i][2]) end
  for i = 1, 5 do want[i] = t:step(data[i][1], data[i][2]) end
  for i = 1, 5 do lu.assertEquals(losses[i]:totable(), want[i]:totable()) end
  local apply = ms.compile(nn.sequential { nn.linear(6, 4), nn.relu() })
  local y = apply(data[1][1])
  lu.assertEquals(apply(data[1][1]):totable(), y:totable())
  lu.assertEquals(apply(data[1][1]):totable(), y:totable())
  lu.assertEquals(apply(data[1][1]):totable(), y:totable())
end

-- A copy that diverges leaves the others as they are, to the bit.
function TestSweepTrains.test_a_copy_that_diverges()
  local data = batches(6, 3)
  for _, class in ipairs { optim.sgd, optim.adam } do
    local function trained(lr)
      local s, l = ms.sweep { model = mlp, seeds = { 1, 2, 3 }, loss = nn.cross_entropy, optimizer = class, lr = { 0.1, lr, 0.01 } }, nil
      for _ = 1, 5 do
        for _, b in ipairs(data) do l = s:step(b[1], b[2]) end
      end
      return l:totable(), s:models()
    end
    local bad, models = trained(1e30)
    local good, others = trained(0.1)
    lu.assertFalse(bad[2] < 1e6, bad[2]) -- huge or NaN
    lu.assertEquals({ bad[1], bad[3] }, { good[1], good[3] })
    for _, k in ipairs { 1, 3 } do
      for name, p in pairs(models[k]:state_dict()) do lu.assertEquals(p:totable(), others[k]:state_dict()[name]:totable()) end
    end
  end
end
