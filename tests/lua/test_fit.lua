-- ms.fit: the same as the loop written by hand; hooks, figures, validation, what is refused.
-- gcstress: every 200
-- luacheck: globals TestFit TestHooks TestFitRefuses TestStopping
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local nn, optim, fails = ms.nn, ms.optim, checks.fails

-- 60 points in four classes, and a small net for them; the same each time.
local function problem()
  ms.seed(3)
  local x = ms.randn { 60, 5 }
  local y = x:matmul(ms.randn { 5, 4 }):argmax(2)
  local set = ms.data.tensors { x, y }
  local model = nn.sequential { nn.linear(5, 8), nn.tanh(), nn.linear(8, 4) }
  return model, set:subset(1, 44), set:subset(45, 60)
end

local function accuracy(out, y) return out:argmax(2):eq(y):float():mean() end

local function values(model)
  local out = {}
  for name, t in pairs(model:state_dict()) do out[name] = t:totable() end
  return out
end

local quiet = { verbose = false, progress = false }
local function fit(model, o)
  for k, v in pairs(quiet) do if o[k] == nil then o[k] = v end end
  return ms.fit(model, o)
end

TestFit = {}

-- Three epochs by hand: what fit must do, too.
local function by_hand(model, train, val)
  local o, rows = optim.adam(model:parameters(), { lr = 0.01 }), {}
  local loader = train:loader { batch = 8, shuffle = true }
  for epoch = 1, 3 do
    local mean, val_loss, val_accuracy = ms.meter.mean(), ms.meter.mean(), ms.meter.mean()
    for x, y in loader do
      local loss = nn.cross_entropy(model(x), y)
      o:zero_grad()
      loss:backward()
      o:step()
      mean:add(loss, #x)
    end
    model:eval()
    ms.no_grad(function()
      for x, y in val:loader { batch = 8 } do
        val_loss:add(nn.cross_entropy(model(x), y), #x)
        val_accuracy:add(accuracy(model(x), y), #x)
      end
    end)
    model:train()
    rows[epoch] = { mean:value(), val_loss:value(), val_accuracy:value() }
  end
  return rows
end

function TestFit.test_the_same_as_by_hand()
  local model, train, val = problem()
  local want = by_hand(model, train, val)
  for _, compile in ipairs { false, true } do
    local again = problem()
    local history = fit(again, { train = train, validation = val, epochs = 3, batch = 8, loss = nn.cross_entropy, compile = compile,
      metrics = { accuracy = accuracy }, optimizer = optim.adam(again:parameters(), { lr = 0.01 }) })
    for i, row in ipairs(history) do
      lu.assertAlmostEquals(row.train_loss, want[i][1], compile and 1e-5 or 0)
      lu.assertAlmostEquals(row.val_loss, want[i][2], compile and 1e-5 or 0)
      lu.assertEquals(row.val_accuracy, want[i][3])
      lu.assertEquals({ row.epoch, row.step, row.lr }, { i, i * 6, 0.01 })
    end
    lu.assertEquals(#history, 3)
    if not compile then lu.assertEquals(values(again), values(model)) end
    for name, t in pairs(model:state_dict()) do ms.assert_close(again:state_dict()[name], t, { rtol = 1e-4, atol = 1e-5 }) end
  end
end

function TestFit.test_history_is_a_list_and_a_table()
  local model, train, val = problem()
  local history = fit(model, { train = train, validation = val, epochs = 2, loss = nn.cross_entropy,
    optimizer = optim.sgd(model:parameters()) })
  lu.assertEquals(#history:column "val_loss", 2)
  lu.assertEquals(history:column "epoch", { 1, 2 })
  local head, first = tostring(history):match "^([^\n]+)\n([^\n]+)"
  lu.assertEquals(head:gsub("%s+", " "):gsub("^ ", ""), "epoch step train_loss val_loss lr seconds")
  lu.assertStrMatches(first, " *1 +1 .*")
  fails("no column 'vall_loss'; did you mean val_loss", history.column, history, "vall_loss")
end

function TestFit.test_what_it_trains_on()
  local model, train = problem()
  local batches = {}
  for x, y in train:loader { batch = 11 } do batches[#batches + 1] = { x, y } end
  local calls = {}
  local sources = { train:loader { batch = 11 }, batches, function(epoch)
    calls[#calls + 1] = epoch
    local i = 0
    return function()
      i = i + 1
      if batches[i] then return table.unpack(batches[i]) end
    end
  end }
  sources[4] = setmetatable({}, { __index = { iter = function() return sources[3](0) end } })
  local want
  for i = 1, 4 do
    local m = problem()
    fit(m, { train = sources[i], epochs = 2, loss = nn.cross_entropy, optimizer = optim.sgd(m:parameters(), { lr = 0.1 }),
      compile = false })
    want = want or values(m)
    lu.assertEquals(values(m), want, "source " .. i)
  end
  lu.assertEquals(calls, { 1, 2, 0, 0 })
  lu.assertNotEquals(values(model), want)
end

function TestFit.test_an_autoencoder_has_its_input_as_target()
  ms.seed(1)
  local x = ms.rand { 30, 6 }
  local model = nn.sequential { nn.linear(6, 3), nn.linear(3, 6) }
  local history = fit(model, { train = ms.data.tensors { x }, target = "input", loss = nn.mse, epochs = 5, batch = 10,
    optimizer = function(parameters) return optim.adam(parameters, { lr = 0.05 }) end })
  lu.assertTrue(history[5].train_loss < history[1].train_loss)
end

function TestFit.test_batches_that_make_one_step()
  local function run(batch, many, compile)
    local model, train = problem()
    fit(model, { train = train:loader { batch = batch }, epochs = 4, loss = nn.cross_entropy, accumulate_grad_batches = many,
      compile = compile,
      optimizer = optim.sgd(model:parameters(), { lr = 0.1 }) })
    return model
  end
  local want = run(22, 1, false):state_dict() -- 44 samples: 2 steps an epoch; of 11, two by two
  for _, compile in ipairs { false, true } do
    local got = run(11, 2, compile):state_dict()
    for name, t in pairs(want) do ms.assert_close(got[name], t, { rtol = 1e-4, atol = 1e-6 }) end
  end
  local model, train = problem() -- 4 batches in groups of 3: the last group is one batch, whose gradient counts whole
  local history = fit(model, { train = train:loader { batch = 11 }, loss = nn.cross_entropy, accumulate_grad_batches = 3,
    optimizer = optim.sgd(model:parameters(), { lr = 0.1 }) })
  lu.assertEquals(history[1].step, 2)
end

-- A figure cannot take the place of the loss, which is trained on, or of what each row of the history has.
function TestFit.test_names_that_are_taken()
  local model, train = problem()
  local o = { train = train, loss = nn.cross_entropy, optimizer = optim.sgd(model:parameters(), { lr = 0.1 }),
    on_train_epoch_end = function(_, f) f:log("step", 3) end }
  lu.assertErrorMsgContains("fit:log 'step': each row of the history has its own", fit, model, o)
  o.on_train_epoch_end, o.metrics = nil, { loss = function(out) return out:mean() end }
  lu.assertErrorMsgContains("fit: metrics.loss: the loss is logged under this name", fit, model, o)
end

function TestFit.test_gradients_are_clipped()
  local model, train = problem()
  local before = model:state_dict()
  for name, t in pairs(before) do before[name] = t:clone() end
  fit(model, { train = train, batch = 44, loss = nn.cross_entropy, optimizer = optim.sgd(model:parameters(), { lr = 1 }),
    gradient_clip_val = 1e-3 })
  local sum = 0
  for name, t in pairs(model:state_dict()) do sum = sum + (t - before[name]):square():sum():item() end
  lu.assertAlmostEquals(math.sqrt(sum), 1e-3, 1e-6)
end

function TestFit.test_schedules_by_epoch_by_step_and_by_figure()
  local S = optim.lr_scheduler
  local function rates(interval, make)
    local model, train, val = problem()
    local o = optim.sgd(model:parameters(), { lr = 1 })
    return fit(model, { train = train, validation = val, batch = 22, epochs = 3, loss = nn.cross_entropy, optimizer = o,
      lr_scheduler = make(o), scheduler_interval = interval, compile = false }):column "lr"
  end
  lu.assertEquals(rates("epoch", function(o) return S.exponential_lr(o, 0.5) end), { 1, 0.5, 0.25 })
  lu.assertEquals(rates("step", function(o) return S.exponential_lr(o, 0.5) end), { 1, 0.25, 0.0625 })
  lu.assertEquals(rates("epoch", function(o) return { scheduler = S.step_lr(o, 1, { gamma = 0.5 }), frequency = 2 } end), { 1, 1, 0.5 })
  local seen = rates("epoch", function(o) return { scheduler = S.reduce_lr_on_plateau(o, { patience = 0, threshold = 1e9, factor = 0.5 }),
    monitor = "train_loss" } end)
  lu.assertEquals(seen, { 1, 0.5, 0.25 })
  fails("there is no figure 'val_los' to go by; there is train_loss, val_loss", rates, "epoch", function(o)
    return { scheduler = S.reduce_lr_on_plateau(o), monitor = "val_los" } end)
end

function TestFit.test_it_ends_early()
  local model, train, val = problem()
  local history = fit(model, { train = train, validation = val, epochs = 9, loss = nn.cross_entropy,
    optimizer = optim.sgd(model:parameters(), { lr = 1e-9 }), early_stopping = { patience = 2, min_delta = 0.1 } })
  lu.assertEquals(#history, 3)
  lu.assertTrue(history.stopped_early)
  lu.assertEquals(history:column "epoch", { 1, 2, 3 })
  history = fit(model, { train = train, epochs = 9, batch = 10, loss = nn.cross_entropy, optimizer = optim.sgd(model:parameters()),
    max_steps = 7 })
  lu.assertEquals(history:column "step", { 5, 7 })
end

-- In an epoch without validation nothing goes by a figure of an earlier one.
function TestFit.test_what_goes_by_validation_waits_for_it()
  local model, train, val = problem()
  local given = { train = train, validation = val, epochs = 9, loss = nn.cross_entropy, check_val_every_n_epoch = 2,
    optimizer = optim.sgd(model:parameters(), { lr = 1e-9 }), early_stopping = { patience = 2, min_delta = 0.1 } }
  local history = fit(model, given)
  lu.assertEquals(#history, 6) -- looked at in 2 (the best), 4, 6
  lu.assertEquals(#history:column "val_loss", 3)
  given.early_stopping.monitor = "val_los"
  fails("early_stopping: there is no figure 'val_los' to go by", fit, model, given)
end

function TestFit.test_sources_without_a_length()
  local model, train = problem()
  local function ten()
    local i = 0
    return function()
      i = i + 1
      if i <= 10 then return i end
    end
  end
  local given = { train = train:loader { batch = 4, sampler = ten }, loss = nn.cross_entropy, optimizer = optim.sgd(model:parameters()) }
  lu.assertEquals(fit(model, given)[1].step, 3)
  given.accumulate_grad_batches = 2 -- the third batch alone would make no step
  fails("accumulate_grad_batches: expected train with a length", fit, model, given)
  local boasting = setmetatable({}, { __len = function() return 20 end, __call = function(self, _, before)
    self.i = before and self.i + 1 or 1
    return self.i <= 10 and self.i or nil
  end })
  given.train = train:loader { batch = 2, sampler = boasting } -- 5 batches, and it says 10
  fails("train has a length (#) of 10 batches and gave 5: the gradients of the last 1 would be lost", fit, model, given)
  given.accumulate_grad_batches = 1
  lu.assertEquals(fit(model, given)[1].step, 5)
end

function TestFit.test_on_step_where_there_is_no_step()
  local model, train = problem()
  local function log(_, f) f:log("x", 1, { on_step = true }) end
  for _, name in ipairs { "on_train_epoch_start", "on_train_epoch_end", "on_validation_end" } do
    local given = { train = train, validation = train, loss = nn.cross_entropy, optimizer = optim.sgd(model:parameters()) }
    given[name] = log
    fails("fit:log 'x': on_step = true: there is no step of the training under way; expected it in training_step", fit, model, given)
  end
  fails("on_step = true: there is no step of the training", fit, model, { train = train, validation = train, loss = nn.cross_entropy,
    optimizer = optim.sgd(model:parameters()), validation_step = function(_, _, _, f) log(nil, f) end })
end

function TestFit.test_figures_of_the_hooks_between_epochs()
  local model, train = problem()
  local given = { train = train, loss = nn.cross_entropy, optimizer = optim.sgd(model:parameters()),
    on_train_epoch_end = function(_, f) f:log("square", f.epoch ^ 2) end, epochs = 2 }
  lu.assertEquals(fit(model, given):column "square", { 1, 4 })
  given.on_fit_start = function(_, f) f:log("lost", 1) end
  fails("fit:log 'lost': there is no epoch under way", fit, model, given)
end

-- ---- hooks -----------------------------------------------------------------------------------------------------------------------------

TestHooks = {}

local Net = nn.class "Net"
function Net:init()
  self.body = nn.sequential { nn.linear(5, 8), nn.tanh(), nn.linear(8, 4) }
  self.seen = nn.buffer(ms.zeros { 1 })
end
function Net:forward(x) return self.body(x) end
function Net:training_step(batch, index, fit_)
  local x, y = table.unpack(batch)
  local out = self(x)
  fit_:log("train_accuracy", accuracy(out, y))
  fit_:log("index", ms.full({}, index), { on_step = true })
  return nn.cross_entropy(out, y)
end
function Net:validation_step(batch, _, fit_)
  local x, y = table.unpack(batch)
  local out = self(x)
  fit_:gather("outputs", out)
  fit_:gather("labels", y)
  return nn.cross_entropy(out, y)
end
function Net:on_validation_end(fit_)
  self.mode = { self.training, ms.grad_enabled() }
  fit_:log("val_accuracy", accuracy(fit_:gathered "outputs", fit_:gathered "labels"))
end
function Net:configure_optimizers()
  local o = optim.adam(self:parameters(), { lr = 0.01 })
  return o, { scheduler = optim.lr_scheduler.exponential_lr(o, 0.5), interval = "epoch" }
end

local function net()
  ms.seed(4)
  return Net()
end

function TestHooks.test_methods_of_the_model()
  local _, train, val = problem()
  local model = net()
  local history = fit(model, { train = train, validation = val, epochs = 6, batch = 8 })
  lu.assertEquals(model.mode, { false, false })
  lu.assertTrue(model.training and model.body[1].training)
  lu.assertEquals(history:column "lr", { 0.01, 0.005, 0.0025, 0.00125, 0.000625, 0.0003125 })
  model:eval()
  local x, y = val:batch()
  lu.assertAlmostEquals(history[6].val_accuracy, accuracy(model(x), y):item(), 1e-6)
  lu.assertAlmostEquals(history[6].val_loss, nn.cross_entropy(model(x), y):item(), 1e-5)
  for i = 1, 6 do lu.assertAlmostEquals(history[i].index, (8 * (1 + 2 + 3 + 4 + 5) + 4 * 6) / 44, 1e-5) end -- replays see each index
  lu.assertTrue(history[6].train_accuracy > history[1].train_accuracy)
end

function TestHooks.test_functions_among_the_options_count_first()
  local _, train, val = problem()
  local model, calls = net(), {}
  local function note(name) return function(m, ...)
    lu.assertTrue(m == model)
    local f = select(select("#", ...), ...)
    calls[#calls + 1] = ("%s %d %d"):format(name, f.epoch, f.global_step)
  end end
  local o = optim.sgd(model:parameters())
  local history = fit(model, { train = train, validation = val, epochs = 2, batch = 22, check_val_every_n_epoch = 2,
    training_step = function(m, batch) return { loss = nn.cross_entropy(m(batch[1]), batch[2]), one = ms.ones {} } end,
    configure_optimizers = function(m, f)
      lu.assertTrue(m == model and f.model == model)
      return o
    end,
    validation_step = function(_, _, index, f)
      lu.assertFalse(ms.grad_enabled())
      f:log("index", index)
      return { two = 2 }
    end,
    on_fit_start = note "start", on_train_epoch_start = note "epoch", on_train_batch_end = note "batch", on_train_epoch_end = note "end",
    on_validation_start = note "val", on_validation_end = note "validated", on_fit_end = note "fit" })
  lu.assertEquals(calls, { "start 0 0", "epoch 1 0", "batch 1 1", "batch 1 2", "end 1 2", "epoch 2 2", "batch 2 3", "batch 2 4", "val 2 4",
    "validated 2 4", "end 2 4", "fit 2 4" })
  lu.assertEquals({ history[1].train_one, history[2].val_two, history[1].val_two, history[2].index }, { 1, 2, nil, 1 })
end

function TestHooks.test_any_object_is_a_logger()
  local _, train, val = problem()
  local lines = {}
  local logger = { scalar = function(_, tag, v, step)
    lu.assertEquals(type(v), "number")
    lines[#lines + 1] = tag .. " " .. step
  end }
  local model = net()
  fit(model, { train = train, validation = val, epochs = 2, batch = 22, logger = logger, log_every_n_steps = 2,
    on_train_epoch_end = function(_, f) f.logger:scalar("mine", 1, f.global_step) end })
  table.sort(lines)
  lu.assertEquals(lines, { "index 2", "index 4", "index_step 2", "index_step 4", "mine 2", "mine 4", "train_accuracy 2", "train_accuracy 4",
    "train_loss 2", "train_loss 4", "val_accuracy 2", "val_accuracy 4", "val_loss 2", "val_loss 4" })
end

function TestHooks.test_steps_of_ones_own()
  local _, train = problem()
  local model = net()
  local first, second = optim.sgd(model.body[1]:parameters(), { lr = 0.1 }), optim.sgd(model.body[3]:parameters(), { lr = 0.2 })
  fit(model, { train = train, batch = 22, epochs = 3, automatic_optimization = false, optimizer = { first, second },
    training_step = function(m, batch, _, f)
      local loss = nn.cross_entropy(m(batch[1]), batch[2])
      for _, o in ipairs(f.optimizers) do o:zero_grad() end
      loss:backward()
      for _, o in ipairs(f.optimizers) do o:step() end
      f:log("loss", loss)
    end })
  lu.assertNotEquals(values(model), values(net()))
end

function TestHooks.test_validate_gives_a_table_of_results()
  local model, _, val = problem()
  local got = ms.validate(model, { validation = val, loss = nn.cross_entropy, metrics = { accuracy = accuracy }, progress = false })
  model:eval()
  local x, y = val:batch()
  lu.assertAlmostEquals(got.val_loss, nn.cross_entropy(model(x), y):item(), 1e-6)
  lu.assertStrMatches(tostring(got), "figure +value\nval_loss +[%d.]+\nval_accuracy +[%d.]+")
  fails("no figure 'val_los'; did you mean val_loss", function() return got.val_los end)
  local results = ms.validate(net(), { validation = val, progress = false })
  lu.assertNotNil(results.val_accuracy)
end

function TestHooks.test_layers_keep_their_modes()
  local _, train, val = problem()
  local model = net()
  model.body[2]:eval()
  fit(model, { train = train, validation = val })
  lu.assertEquals({ model.training, model.body[1].training, model.body[2].training }, { true, true, false })
  model:eval()
  fit(model, { train = train })
  lu.assertTrue(model.body[1].training)
end

-- A counter of the script's in a compiled step counts (each value is a recording of its own, or runs as it is); what cannot be is refused.
function TestHooks.test_what_would_stand_still_in_a_replay_is_an_error()
  local _, train = problem()
  local model = net()
  local function with(step, compile)
    return function()
      return fit(model, { train = train, batch = 4, training_step = function(m, batch, index, f)
        step(f, index)
        return nn.cross_entropy(m(batch[1]), batch[2])
      end, compile = compile })
    end
  end
  for text, f in pairs { ["fit.global_step inside a compiled step"] = function(f) return f.global_step end,
    ["fit.logger inside a compiled step"] = function(f) return f.logger end,
    ["the number 3 would stand still"] = function(f) f:log("three", 3) end } do
    fails(text, with(f))
    fails("compile = false", with(f))
    with(f, false)()
  end
  local scale = { by = 1 }
  local seen = {}
  fit(model, { train = train, batch = 4, training_step = function(m, batch, _, f)
    f:log("scale", ms.ones {} * scale.by)
    return nn.cross_entropy(m(batch[1]), batch[2])
  end, on_train_batch_end = function(_, outputs)
    seen[#seen + 1] = outputs.scale:item()
    scale.by = scale.by + 1
  end })
  lu.assertEquals(seen, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 })
end

-- ---- bad input -------------------------------------------------------------------------------------------------------------------------

TestFitRefuses = {}

function TestFitRefuses.test_with_words()
  local model, train = problem()
  local o = optim.sgd(model:parameters())
  local function with(changes)
    local all = { train = train, loss = nn.cross_entropy, optimizer = o }
    for k, v in pairs(changes) do
      if v == "nil" then all[k] = nil else all[k] = v end
    end
    return function() return fit(model, all) end
  end
  for text, f in pairs {
    ["fit: expected a module first, got a table"] = function() ms.fit({}, { train = train }) end,
    ["fit: expected a module first, got nil"] = function() ms.fit(nil, { train = train }) end,
    ["unknown option 'epoch'; did you mean epochs"] = with { epoch = 3 },
    ["fit: train is missing"] = with { train = "nil" },
    ["fit: train: expected a data set, a loader"] = with { train = 5 },
    ["fit: epochs: expected a whole number from 1 on, got 0"] = with { epochs = 0 },
    ["expected loss = a function of output and target"] = with { loss = "nil" },
    ["expected an optimizer, got none"] = with { optimizer = "nil" },
    ["fit: optimizer: expected an optimizer, got a module"] = with { optimizer = model },
    ["early_stopping: there is no figure 'val_loss' to go by; there is train_loss"] = with { early_stopping = { patience = 1 } },
    ["early_stopping: unknown option 'patienc'; did you mean patience"] = with { early_stopping = { patienc = 1 } },
    ["gradient_clip_val: expected a number above 0, got 0"] = with { gradient_clip_val = 0 },
    ["gradient_clip_algorithm: expected \"norm\" or \"value\", got 'max'"] = with { gradient_clip_algorithm = "max" },
    ["training_step: expected a function, got 5"] = with { training_step = 5 },
    ["logger: expected an object with a method scalar"] = with { logger = {} },
    ["expected the loss, a tensor of one element that depends on parameters, got nil"] = with { training_step = function() end,
      compile = false },
    ["metrics.x: expected a function, got 3"] = with { metrics = { x = 3 } },
    ["target: expected \"label\" or \"input\", got 'labels'"] = with { target = "labels" },
    ["fit: lr_scheduler: expected a schedule"] = with { lr_scheduler = o },
    ["automatic_optimization = false wants a training_step"] = with { automatic_optimization = false },
    ["the batches have no labels"] = with { train = ms.data.tensors { ms.zeros { 4, 5 } } },
    ["nothing was gathered under this name"] = with { on_train_epoch_end = function(_, f) f:gathered "x" end },
    ["fit has no field 'epochs'; did you mean epoch"] = with { on_fit_start = function(_, f) return f.epochs end },
    ["fit:log 'x': expected a number or a tensor of one element, got 2 f32"] = with { on_fit_start = function(_, f) f:log("x",
      ms.ones { 2 }) end },
    ["fit:gather 'x': called outside"] = with { on_fit_start = function(_, f) f:gather("x", ms.ones { 2 }) end },
    ["validate: validation is missing"] = function() ms.validate(model, { loss = nn.mse }) end,
  } do
    fails(text, f)
  end
end

-- ---- early stopping by hand -------------------------------------------------------------------------------------------------------------

TestStopping = {}

local function updates(o, figures)
  local stop = ms.early_stopping(o)
  for i, v in ipairs(figures) do
    if stop:update(v) then return i, stop end
  end
  return nil, stop
end

function TestStopping.test_patience()
  lu.assertEquals(updates({ patience = 2 }, { 5, 4, 4, 3, 3, 3.5, 1 }), 6)
  lu.assertEquals(updates({ patience = 2, mode = "max" }, { 5, 4, 6, 3, 6 }), 5)
  lu.assertEquals(updates({ patience = 2, min_delta = 1 }, { 5, 4.5, 4 }), 3)
  lu.assertEquals(updates({ patience = 1 }, { 5, 5 }), 2)
  lu.assertEquals(updates({}, { 5, 0 / 0 }), 2)
  local at, stop = updates({ check_finite = false }, { 5, 0 / 0, ms.full({}, 4), 6 })
  lu.assertNil(at)
  lu.assertEquals({ stop.best, stop.best_epoch, stop.wait }, { 4, 3, 1 })
  lu.assertEquals({ stop:reset().best, stop.wait }, { math.huge, 0 })
end

function TestStopping.test_it_goes_on_from_its_state()
  local _, stop = updates({ patience = 3 }, { 5, 4, 6, 0.1 + 4 })
  local again = ms.early_stopping { patience = 3 }:load_state_dict(stop:state_dict())
  lu.assertEquals({ again.best, again.best_epoch, again.wait, again:update(4.5) }, { 4, 2, 2, true })
  fails("missing entry", again.load_state_dict, again, {})
  lu.assertEquals(again.best, 4)
end

function TestStopping.test_bad_input()
  for text, o in pairs { ["patience: expected a whole number from 0 on, got -1"] = { patience = -1 }, ["mode: expected"] = { mode = "low" },
    ["min_delta: expected a finite number from 0 on"] = { min_delta = 0 / 0 } } do
    fails(text, ms.early_stopping, o)
  end
  local stop = ms.early_stopping()
  fails("expected a number or a tensor of one element, got 'x'", stop.update, stop, "x")
  fails("with a colon: stop:update(...)", stop.update, 3)
  fails("has no field 'bests'; did you mean best", function() return stop.bests end)
end
