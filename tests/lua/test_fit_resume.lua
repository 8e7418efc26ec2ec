-- What is killed and goes on ends with the same bits: ms.fit with a folder, loaders in the middle of an epoch, meters, math.random, the
-- best checkpoints.
-- gcstress: every 2000
-- luacheck: globals TestResume TestPlace TestKeep
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local nn, optim, fails = ms.nn, ms.optim, checks.fails
local S = optim.lr_scheduler

TestResume, TestPlace, TestKeep = {}, {}, {}
function TestResume:setUp() self.dir = checks.temporary_folder() end
function TestResume:tearDown() checks.remove_folder(self.dir) end
TestKeep.setUp, TestKeep.tearDown = TestResume.setUp, TestResume.tearDown

local function net()
  return nn.sequential { nn.conv2d(1, 4, 3, { padding = 1 }), nn.batch_norm2d(4), nn.relu(), nn.max_pool2d(2), nn.flatten(),
    nn.dropout(0.3),
    nn.linear(64, 3) }
end

-- 40 pictures of 8 x 8; batches of 12, 12, 12, 4, changed at random.
local function data()
  return ms.with_seed(2, function()
    return ms.data.tensors { ms.rand { 40, 1, 8, 8 }, ms.randint(1, 3, { 40 }) }
  end)
end

local function options(o)
  local all = { epochs = 3, batch = 12, loss = nn.cross_entropy, verbose = false, progress = false, checkpoint_every_n_steps = 1 }
  for k, v in pairs(o) do all[k] = v end
  return all
end

-- Train in a folder; killed when `kill` steps were taken. Gives the model's state, the optimizer's, and the history's figures.
local function train(dir, kill, resume, o)
  ms.seed(resume and 999 or 6) -- what a run that goes on begins with is of no matter
  local set = data()
  local model = net()
  local adam = optim.adam(model:parameters(), { lr = 0.01 })
  local given = options { out = dir, resume = resume, optimizer = adam, lr_scheduler = S.exponential_lr(adam, 0.9),
    validation = set:subset(1, 15),
    train = set:loader { batch = 12, shuffle = true, transform = function(x) return x + x:randn_like() * 0.1 end },
    early_stopping = { patience = 5 }, model_checkpoint = { save_top_k = 2 },
    on_train_batch_end = function(_, _, _, _, fit)
      if fit.global_step == kill then error("killed", 0) end
    end }
  for k, v in pairs(o or {}) do given[k] = v end
  local ok, history = pcall(ms.fit, model, given)
  if kill then return lu.assertEquals(history, "killed") end
  if not ok then error(history, 0) end
  local rows = {}
  for i, row in ipairs(history) do
    rows[i] = { row.epoch, row.step, row.lr, row.train_loss, row.val_loss }
  end
  return { model = model:state_dict(), optimizer = adam:state_dict(), rows = rows, random = ms.rand({ 3 }):totable() }
end

-- A run that has had all its steps goes on where it is given more, with the rest of the epoch that was cut; 4 batches are an epoch.
function TestResume:test_more_steps()
  local function steps(resume, most)
    local list = {}
    for i, row in ipairs(train(self.dir .. "/steps", nil, resume, { max_steps = most }).rows) do list[i] = row[2] end
    return list
  end
  lu.assertEquals(steps(false, 3), { 3 })
  lu.assertEquals(steps(true, 3), { 3 })
  lu.assertEquals(steps(true, 7), { 4, 7 })
  lu.assertEquals(steps(true, 7), { 4, 7 })
end

-- To the bit. (Not by assertEquals of all: its messages of long tables take minutes.)
local function assert_same(got, want, words)
  for _, part in ipairs { "model", "optimizer" } do
    for name, t in pairs(want[part]) do
      lu.assertTrue(t:equal(got[part][name]), ("%s: %s.%s"):format(words or "", part, name))
    end
  end
  lu.assertEquals(got.rows, want.rows, words)
  lu.assertEquals(got.random, want.random, words)
end

function TestResume:test_killed_anywhere_it_ends_with_the_same_bits()
  local want = train(self.dir .. "/whole")
  lu.assertEquals(#want.rows, 3)
  for _, kill in ipairs(checks.stress and { 6 } or { 1, 6, 8 }) do
    local dir = ("%s/%d"):format(self.dir, kill)
    train(dir, kill)
    assert_same(train(dir, nil, true), want, "killed after step " .. kill)
  end
end

function TestResume:test_without_the_max_steps_that_ended_it()
  local want = train(self.dir .. "/whole")
  for _, most in ipairs { 2, 4, 6 } do
    local dir = ("%s/%d"):format(self.dir, most)
    train(dir, nil, false, { max_steps = most })
    assert_same(train(dir, nil, true), want, "cut after step " .. most)
    local run = ms.run(dir, { resume = true })
    lu.assertEquals(run:column "epoch", { 1, 2, 3 })
    run:close()
  end
end

function TestResume:test_a_place_among_other_batches_is_refused()
  local function go(resume, batch, list)
    local set, model = data(), net()
    if list then
      local batches = {}
      for x, y in set:loader { batch = batch } do batches[#batches + 1] = { x, y } end
      set = batches
    end
    return ms.fit(model, options { train = set, batch = batch, epochs = 2, max_steps = not resume and 2 or nil,
      optimizer = optim.sgd(model:parameters()), out = self.dir .. (list and "/list" or "/set"), resume = resume })
  end
  go(false, 12)
  fails("in batches of 12, this loader gives batches of 10", go, true, 10)
  lu.assertEquals(go(true, 12):column "step", { 4, 8 })
  go(false, 12, true)
  fails("stands after batch 2 of 4 of an epoch; expected train with as many, got 2", go, true, 20, true)
  lu.assertEquals(go(true, 12, true):column "step", { 4, 8 })
end

function TestResume:test_again_and_again_with_steps_of_several_batches()
  local o = { accumulate_grad_batches = 3 }
  local want = train(self.dir .. "/whole", nil, false, o)
  for i, kill in ipairs { 1, 2, 3, 5 } do train(self.dir .. "/broken", kill, i > 1, o) end
  assert_same(train(self.dir .. "/broken", nil, true, o), want)
  lu.assertEquals(want.rows[3][2], 6)
end

function TestResume:test_without_checkpoints_inside_epochs()
  local want = train(self.dir .. "/whole", nil, false, { checkpoint_every_n_steps = 100 })
  train(self.dir .. "/broken", 7, false, { checkpoint_every_n_steps = 100 })
  assert_same(train(self.dir .. "/broken", nil, true, { checkpoint_every_n_steps = 100 }), want)
  local run = ms.run(self.dir .. "/broken", { resume = true })
  local epochs = run:column "epoch"
  run:close()
  lu.assertEquals(epochs, { 1, 2, 3 })
end

function TestResume:test_more_epochs_and_parts_of_the_scripts_own()
  local function run(dir, epochs, resume)
    ms.seed(1)
    local set, model = data(), net()
    local average = optim.ema(model, { decay = 0.9 })
    local sgd = optim.sgd(model:parameters(), { lr = 0.1, momentum = 0.9 })
    ms.fit(model, options { train = set, epochs = epochs, out = dir, resume = resume, optimizer = sgd, parts = { average = average },
      on_train_batch_end = function() average:update() end })
    return average:state_dict()
  end
  local want = run(self.dir .. "/whole", 3)
  run(self.dir .. "/broken", 1)
  local got = run(self.dir .. "/broken", 3, true)
  for name, t in pairs(want) do lu.assertTrue(t:equal(got[name]), name) end
  run(self.dir .. "/broken", 3, true) -- nothing is left to do
end

function TestResume:test_what_cannot_go_on_says_why()
  local set, model = data(), net()
  local sgd = optim.sgd(model:parameters())
  local function with(o)
    return function() ms.fit(model, options { optimizer = sgd, checkpoint_every_n_steps = o.every, out = o.out,
      resume = o.resume,
      train = o.train or set, parts = o.parts, model_checkpoint = o.keep }) end
  end
  fails("resume: expected out = a folder too", with { resume = true })
  fails("checkpoint_every_n_steps: expected out = a folder too", with { every = 2 })
  fails("no run to go on with", with { out = self.dir .. "/none", resume = true })
  fails("expected a loader with state_dict", with { out = self.dir .. "/a", every = 1, train = function() return function() end end })
  fails("parts: x: expected a thing with state_dict", with { out = self.dir .. "/b", parts = { x = 5 } })
  fails("parts: 'model' is a name of fit's own", with { out = self.dir .. "/c", parts = { model = model } })
  fails("fit: out: expected a folder or a run", with { out = set })
end

-- ---- a loader's place ------------------------------------------------------------------------------------------------------------------

local function walk(loader, most)
  local out = {}
  for x, y in loader do
    out[#out + 1] = { x:totable(), y and y:totable() }
    if #out == most then return out, loader:state_dict() end
  end
  return out
end

local function rest(list, from)
  return { table.unpack(list, from + 1) }
end

-- A loader that `make` gives: three walks in one go, and with a stop after each number of batches.
local function check_place(make, batches)
  ms.seed(5)
  local loader = make()
  local want = { walk(loader), walk(loader), walk(loader) }
  lu.assertEquals(#want[2], batches)
  for cut = checks.stress and batches or 1, batches do
    ms.seed(5)
    loader = make()
    walk(loader)
    local _, state = walk(loader, cut)
    local seed, counter = ms.rng_state()
    ms.seed(77)
    local again = make()
    again:load_state_dict(state)
    ms.rng_state(seed, counter)
    lu.assertEquals(walk(again), rest(want[2], cut))
    lu.assertEquals(walk(again), want[3])
    lu.assertEquals(again.epoch, 3)
  end
end

function TestPlace.test_shuffled_and_changed()
  local set = data()
  local function noisy(x) return x + x:randn_like() end
  check_place(function() return set:loader { batch = 12, shuffle = true, transform = noisy } end, 4)
  check_place(function() return set:loader { batch = 12, shuffle = true, drop_last = true, seed = 3 } end, 3)
  check_place(function() return set:subset { 5, 3, 8, 9, 1 }:loader { batch = 2 } end, 3)
end

function TestPlace.test_samplers()
  local set = data()
  check_place(function() return set:loader { batch = 2, sampler = { 3, 1, 2, 7, 7 } } end, 3)
  check_place(function() return set:loader { batch = 5, sampler = ms.data.random_sampler(set, { num_samples = 23 }) } end, 5)
  check_place(function() -- one that makes an iterator for each walk, which draws as it goes
    return set:loader { batch = 4, sampler = function()
      local i = 0
      return function()
        i = i + 1
        return i <= 10 and ms.randint(1, 40, { 1 }):item() or nil
      end
    end }
  end, 3)
end

function TestPlace.test_a_sampler_that_cannot_be_asked_again_says_so()
  local set = data()
  local n = 0
  local function make()
    return set:loader { batch = 2, sampler = function()
      n = n + 1
      return coroutine.wrap(function()
        for i = 1, 7 do coroutine.yield(i + n) end
      end)
    end }
  end
  local _, state = walk(make(), 2)
  local again = make()
  local before = again.epoch
  fails("its sampler gave other positions than when the state was saved", again.load_state_dict, again, state)
  lu.assertEquals(again.epoch, before)
end

function TestPlace.test_states_that_do_not_fit()
  local set = data()
  local loader = set:loader { batch = 12 }
  local _, state = walk(loader, 2)
  fails("the state is of a set of 40 samples, this one has 20", function() set:subset(1, 20):loader():load_state_dict(state) end)
  fails("missing entry", loader.load_state_dict, loader, { generator = state.generator })
  fails("generator: expected 3 numbers i64", loader.load_state_dict, loader, { epoch = ms.ones { 1 } , samples = ms.ones { 1 },
    given = ms.ones { 1 }, walking = ms.ones { 1 } })
  state.given = ms.full({ 1 }, 41)
  fails("the walk has 40 samples, in the state 41", loader.load_state_dict, loader, state)
end

function TestPlace.test_means_to_the_last_bit()
  local a = ms.meter.mean()
  for i = 1, 5 do a:add(ms.full({}, 0.1 * i), i) end
  local b = ms.meter.mean():load_state_dict(a:state_dict())
  for _, m in ipairs { a, b } do m:add(ms.full({}, 0.7), 3) end
  lu.assertEquals(b:value(), a:value())
  lu.assertEquals(b:count(), 18)
  local c = ms.meter.mean():add(0.1):add(0.2)
  lu.assertEquals(ms.meter.mean():load_state_dict(c:state_dict()):value(), c:value())
  lu.assertNotEquals(ms.meter.mean():load_state_dict(ms.meter.mean():state_dict()):value(), 0)
  fails("missing entry 'weight'", b.load_state_dict, b, {})
end

function TestPlace.test_math_random_goes_on()
  local path = os.tmpname()
  math.randomseed(42)
  math.random()
  ms.checkpoint.save(path, {})
  local want = { math.random(), math.random(1000) }
  math.randomseed(7)
  ms.checkpoint.load(path)
  lu.assertEquals({ math.random(), math.random(1000) }, want)
  os.remove(path)
end

-- ---- the best ---------------------------------------------------------------------------------------------------------------------------

function TestKeep:test_of_one_and_of_several()
  local model = nn.linear(1, 1)
  for _, k in ipairs { 1, 2 } do
    local keep = ms.model_checkpoint(self.dir .. "/" .. k, { save_top_k = k, mode = "max" })
    local saved = {}
    for epoch, v in ipairs { 0.5, 0.7, 0 / 0, 0.6, ms.full({}, 0.7), 0.9, 0.1 } do
      model.weight:detach():fill_(epoch)
      saved[epoch] = keep:update(v, { model = model, epoch = epoch }, epoch)
    end
    lu.assertEquals(saved, k == 1 and { true, true, false, false, false, true, false } or { true, true, false, true, true, true, false })
    lu.assertEquals({ keep.best, keep.best_epoch }, { 0.9, 6 })
    local names = require "mascon.system".list(self.dir .. "/" .. k)
    table.sort(names)
    lu.assertEquals(names, k == 1 and { "best.safetensors" } or { "best-2.safetensors", "best-6.safetensors" })
    lu.assertEquals(keep:load { model = model }, { epoch = 6 })
    lu.assertEquals(model.weight:item(), 6)
    local again = ms.model_checkpoint(self.dir .. "/" .. k, { save_top_k = k, mode = "max" }):load_state_dict(keep:state_dict())
    lu.assertEquals({ again.best, again.best_path }, { keep.best, keep.best_path })
    lu.assertFalse(again:update(0.2, { model = model }, 8))
  end
end

-- What keeps the smallest figures does not go on from a state of what keeps the largest.
function TestKeep:test_a_state_of_the_other_kind_is_refused()
  local net1 = nn.linear(1, 1)
  local function plateau(mode) return S.reduce_lr_on_plateau(optim.sgd(net1:parameters()), { mode = mode }) end
  local makers = { ["early_stopping: load_state_dict: mode: the state is of \"max\", this one is of \"min\""] =
    function(mode) return ms.early_stopping { mode = mode } end,
    ["reduce_lr_on_plateau: load_state_dict: largest: expected 0, as this schedule was made, got 1"] = plateau,
    ["model_checkpoint: load_state_dict: mode: the state is of the largest figures, this one keeps the smallest"] =
    function(mode) return ms.model_checkpoint(self.dir, { mode = mode }) end }
  for message, make in pairs(makers) do
    local small = make "min"
    fails(message, small.load_state_dict, small, make("max"):state_dict())
    small:load_state_dict(make("min"):state_dict())
    local older = make("min"):state_dict()
    older.largest = nil
    small:load_state_dict(older)
  end
end

function TestKeep:test_bad_input()
  local keep = ms.model_checkpoint(self.dir)
  fails("expected a folder or a run", ms.model_checkpoint)
  fails("mode: expected", ms.model_checkpoint, self.dir, { mode = "high" })
  fails("filename: expected a name without folders", ms.model_checkpoint, self.dir, { filename = "../x" })
  fails("update: expected a number", keep.update, keep, "x", {}, 1)
  fails("epoch: expected a whole number from 1 on", keep.update, keep, 1, {})
  fails("nothing was saved yet", keep.load, keep, {})
  lu.assertNil(keep.best)
  fails("has no field 'bests'", function() return keep.bests end)
end
