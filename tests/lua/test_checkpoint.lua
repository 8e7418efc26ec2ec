-- Checkpoints: several parts and any fields, to the last bit; whole or not at all; what does not fit names the file and changes nothing.
-- gcstress: every 7
-- luacheck: globals TestCheckpoint TestCheckpointFits TestCheckpointFields TestCheckpointMemory
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local system = require "mascon.system"
local nn, optim, fails = ms.nn, ms.optim, checks.fails
local checkpoint = ms.checkpoint

local function net() return nn.sequential { nn.linear(2, 3), nn.batch_norm(3), nn.linear(3, 1) } end

local function train(model, o, steps)
  for _ = 1, steps do
    local loss = (model(ms.randn { 4, 2 }) - 1):square():mean()
    o:zero_grad()
    loss:backward()
    o:step()
  end
end

local function values(thing)
  local out = {}
  for k, t in pairs(thing:state_dict()) do out[k] = t:totable() end
  return out
end

local base = { setUp = function(self)
  self.path = os.tmpname()
end, tearDown = function(self) os.remove(self.path) end }
local function class() return { setUp = base.setUp, tearDown = base.tearDown } end

TestCheckpoint, TestCheckpointFits, TestCheckpointFields = class(), class(), class()

-- ---- round trips -------------------------------------------------------------------------------------------------------------------

function TestCheckpoint:test_a_run_goes_on_to_the_last_bit()
  local function run(cut)
    ms.seed(5)
    local model, critic = net(), net()
    local of_model, of_critic = optim.adam(model:parameters(), { lr = 0.01 }), optim.sgd(critic:parameters(), { lr = 0.01, momentum = 0.9 })
    for epoch = 1, 4 do
      train(model, of_model, 3)
      train(critic, of_critic, 2)
      if epoch == cut then
        checkpoint.save(self.path, { model = model, critic = critic, of_model = of_model, of_critic = of_critic, epoch = epoch })
        ms.seed(99)
        model, critic = net(), net()
        of_model, of_critic = optim.adam(model:parameters(), { lr = 0.5 }), optim.sgd(critic:parameters())
        local at = checkpoint.load(self.path, { model = model, critic = critic, of_model = of_model, of_critic = of_critic })
        lu.assertEquals(at, { epoch = epoch })
        lu.assertEquals({ of_model.lr, of_critic.momentum }, { 0.01, 0.9 })
      end
    end
    return { values(model), values(critic), values(of_model), values(of_critic) }
  end
  local want = run(0)
  for cut = 1, 3 do lu.assertEquals(run(cut), want) end
end

function TestCheckpoint:test_parts_by_any_name_and_left_out()
  local a, b = net(), net()
  checkpoint.save(self.path, { generator = a, d2 = b, note = "x" })
  local c = net()
  lu.assertEquals(checkpoint.load(self.path, { generator = c, d2 = false }), { note = "x" })
  lu.assertEquals(values(c), values(a))
  lu.assertEquals(checkpoint.peek(self.path), { note = "x" })
end

function TestCheckpoint:test_estimators_are_parts()
  local x = ms.randn { 20, 3 }
  local pca = ms.ml.pca { components = 2 }:fit(x)
  checkpoint.save(self.path, { pca = pca })
  local again = ms.ml.pca()
  checkpoint.load(self.path, { pca = again })
  lu.assertEquals(again:transform(x):totable(), pca:transform(x):totable())
end

function TestCheckpoint:test_no_file_is_told_apart_from_one_that_cannot_be_read()
  os.remove(self.path)
  local at, why = checkpoint.resume(self.path, {})
  lu.assertNil(at)
  lu.assertStrContains(why, "No such file")
  lu.assertNil((checkpoint.peek(self.path)))
  fails(self.path .. ": cannot open: No such file", checkpoint.load, self.path, {})
  for _, path in ipairs { "/", self.path .. "/below/a/file" } do
    local f <close> = assert(io.open(self.path, "w"))
    f:write "nothing"
    f:close()
    for _, read in ipairs { checkpoint.resume, checkpoint.peek, checkpoint.load } do fails(path, read, path, {}) end
  end
  for _, read in ipairs { checkpoint.resume, checkpoint.peek, checkpoint.load } do
    fails(self.path, read, self.path, {})
    fails("expected the name of a file, got nil", read)
  end
end

function TestCheckpoint:test_the_generator_goes_on()
  ms.seed(3)
  ms.rand { 5 }
  checkpoint.save(self.path, {})
  local want = ms.rand({ 4 }):totable()
  ms.seed(8)
  checkpoint.load(self.path, {})
  lu.assertEquals(ms.rand({ 4 }):totable(), want)
  ms.seed(8)
  local other = ms.rand({ 4 }):totable()
  ms.seed(8)
  checkpoint.peek(self.path) -- loads nothing, the generator neither
  lu.assertEquals(ms.rand({ 4 }):totable(), other)
end

-- ---- what does not fit ------------------------------------------------------------------------------------------------------

function TestCheckpointFits:setUp()
  base.setUp(self)
  ms.seed(1)
  self.model, self.other = net(), net()
  self.adam = optim.adam(self.model:parameters())
  train(self.model, self.adam, 2)
  checkpoint.save(self.path, { model = self.model, other = self.other, adam = self.adam, epoch = 1 })
  train(self.model, self.adam, 1) -- differs from the file now
end

-- Loading into `into` fails with these words and the file's name, and changes neither the things nor the generator.
function TestCheckpointFits:refuses(expected, into, path)
  local before, seed, counter = {}, ms.rng_state()
  for k, thing in pairs { self.model, self.other, self.adam } do before[k] = values(thing) end
  local message = checks.failure(checkpoint.load, path or self.path, into)
  lu.assertStrContains(message, expected)
  lu.assertStrContains(message, path or self.path)
  for k, thing in pairs { self.model, self.other, self.adam } do lu.assertEquals(values(thing), before[k]) end
  lu.assertEquals({ ms.rng_state() }, { seed, counter, select(3, ms.rng_state()) })
end

function TestCheckpointFits:test_parts()
  self:refuses("holds 'adam', which was not asked for; pass it, or adam = false", { model = self.model, other = self.other })
  self:refuses("has no part 'modle'; did you mean model?", { modle = self.model, other = self.other, adam = self.adam })
  self:refuses("has no part 'critic'; it holds adam, model, other", { model = self.model, other = self.other, adam = self.adam,
    critic = net() })
end

function TestCheckpointFits:test_a_later_part_that_does_not_fit_leaves_the_earlier_alone()
  local m, a = self.model, self.adam
  self:refuses("other: ", { model = m, adam = a, other = nn.linear(2, 3) })
  self:refuses("other: ", { model = m, adam = a, other = nn.sequential { nn.linear(2, 4), nn.batch_norm(4), nn.linear(4, 1) } })
  self:refuses("adam: optim.sgd: load_state_dict: unknown entry", { model = m, other = self.other, adam = optim.sgd(m:parameters()) })
  self:refuses("unknown entry 'decoupled_weight_decay'", { model = m, other = self.other, adam = optim.adamw(m:parameters()) })
  self:refuses("the optimizer has 1 parameters, in the state it has 6",
    { model = m, other = self.other, adam = optim.adam { m[1].weight } })
end

function TestCheckpointFits:test_things_of_the_users_own_are_put_back()
  local function own(start, reject)
    return { x = ms.tensor(start),
      state_dict = function(thing) return { x = thing.x } end,
      load_state_dict = function(thing, state)
        if reject then error "not mine" end
        thing.x = state.x
      end }
  end
  checkpoint.save(self.path, { a = own(1), model = self.model, z = own(2) })
  local a, z = own(10), own(20)
  self:refuses("z: not mine", { a = a, model = self.model, z = own(20, true) })
  lu.assertEquals(a.x:item(), 10)
  self:refuses("model: ", { a = a, model = nn.linear(1, 1), z = z })
  lu.assertEquals({ a.x:item(), z.x:item() }, { 10, 20 })
  checkpoint.load(self.path, { a = a, model = self.model, z = z })
  lu.assertEquals({ a.x:item(), z.x:item() }, { 1, 2 })
end

function TestCheckpointFits:test_other_formats()
  local tensors = { ["model.w"] = ms.ones { 1 } }
  local function file(metadata) ms.save(self.path, tensors, metadata) end
  file { mascon = "0.1", state = '{"epoch":1}' }
  self:refuses("written by mascon 0.1, before checkpoints had a format", { model = self.model })
  lu.assertStrContains(checks.failure(checkpoint.peek, self.path), "Train anew; or take the model's tensors")
  file {}
  self:refuses("no checkpoint (its metadata has no 'checkpoint'): ms.load reads its tensors", {})
  file { mascon = "9.9", checkpoint = 3, state = "{}" }
  self:refuses("a checkpoint of format 3, written by mascon 9.9: this version", {})
  local rng = ('"rng":{"stream":%d,"seed":1,"counter":0}'):format(ms.rng_version)
  for state, expected in pairs {
    ["{"] = "its state is damaged: json",
    ["7"] = "its state is damaged",
    ["{}"] = "expected parts, rng and fields",
    ['{"parts":[],"fields":{},' .. rng .. "}"] = "unexpected tensor 'model.w'",
    ['{"parts":["model"],"fields":{},"rng":{"stream":1,"seed":"x","counter":0}}'] = "the generator's stream, seed and counter",
    ['{"parts":[5],"fields":{},' .. rng .. "}"] = "its state is damaged: part 5",
    ['{"parts":["model","model"],"fields":{},' .. rng .. "}"] = "its state is damaged: part model",
    ['{"parts":["model"],"fields":{"$number":"inf"},' .. rng .. "}"] = "its state is damaged: expected tables",
    ['{"parts":["model"],"fields":{},"rng":{"$number":"nan"}}'] = "its state is damaged: expected tables",
    ['{"parts":["model"],"fields":{"x":{"$what":1}},' .. rng .. "}"] = "$what = 1 is not understood",
    ['{"parts":["model"],"fields":{"x":{"$tensor":"=x"}},' .. rng .. "}"] = "$tensor = =x is not understood",
    ['{"parts":["model"],"fields":{"x":{"$number":"os"}},' .. rng .. "}"] = "$number = os is not understood",
    ['{"parts":["model"],"fields":{"x":{"$number":"inf","y":1}},' .. rng .. "}"] = "is not understood",
    ['{"parts":["model"],"fields":{"x":{"$table":[[1]]}},' .. rng .. "}"] = "is not understood",
    ['{"parts":["model"],"fields":{},"rng":{"stream":977,"seed":1,"counter":0}}'] = "its random numbers are stream 977",
  } do
    file { mascon = "0.2", checkpoint = 2, state = state }
    self:refuses(expected, { model = self.model })
  end
end

function TestCheckpointFits:test_damaged_files()
  local f <close> = assert(io.open(self.path, "rb"))
  local good, whole = f:read "a", { model = self.model, other = self.other, adam = self.adam }
  local bad = os.tmpname()
  for n = 0, #good - 1, checks.stress and 997 or 61 do
    local w <close> = assert(io.open(bad, "wb"))
    w:write(good:sub(1, n))
    w:close()
    self:refuses(bad, whole, bad)
    fails(bad, checkpoint.peek, bad)
  end
  os.remove(bad)
end

function TestCheckpointFits:test_misuse()
  fails("checkpoint.load: expected a table of what to load into", checkpoint.load, self.path, self.model)
  fails("checkpoint.load: expected a table of what to load into ({ model = model }), got number", checkpoint.load, self.path, 5)
  fails("checkpoint.load: model: expected a thing with a load_state_dict (or false: leave it out), got a tensor",
    checkpoint.load, self.path, { model = ms.ones { 1 }, other = false, adam = false })
  fails("checkpoint.save: expected a table of what to save", checkpoint.save, self.path, self.model)
  fails("checkpoint.save: expected the name of a file, got nil", checkpoint.save, nil, {})
  for _, what in ipairs { "load", "peek", "resume" } do
    fails(what .. ": expected the name of a file, got a text with a zero byte", checkpoint[what], self.path .. ".none\0")
  end
  fails("entry [1]: expected names as keys", checkpoint.save, self.path, { self.model })
  fails("'a.b': expected letters, digits and _", checkpoint.save, self.path, { ["a.b"] = self.model })
  fails("own: x: its state_dict holds number", checkpoint.save, self.path, { own = { state_dict = function() return { x = 1 } end } })
  fails("ms.checkpoint has no 'restore'; did you mean ms.checkpoint.load?", function() return checkpoint.restore end)
  lu.assertEquals(checkpoint.peek(self.path), { epoch = 1 }) -- the file is as it was
  local _, names = system.run { "sh", "-c", "ls " .. self.path .. "*" }
  lu.assertEquals(names, self.path .. "\n")
end

-- ---- fields ----------------------------------------------------------------------------------------------------------------------------

function TestCheckpointFields:through(t)
  checkpoint.save(self.path, t)
  return checkpoint.load(self.path)
end

function TestCheckpointFields:test_numbers_to_the_last_bit()
  local list = { 1 / 3, 0.1, 12345678901.0, 2 ^ 53 + 2, -0.0, 5e-324, 1.7976931348623157e308, 1e22,
    123456789.123456789, 3.0, -1e-7, math.pi }
  ms.seed(4)
  for _, x in ipairs((ms.randn({ 300 }, { dtype = "f64" }) * 1e5):totable()) do list[#list + 1] = x end
  local back = self:through({ list = list }).list
  lu.assertEquals(#back, #list)
  for i, x in ipairs(list) do
    lu.assertEquals(math.type(back[i]), "float", x)
    lu.assertEquals(string.pack("n", back[i]), string.pack("n", x), x)
  end
  local whole = { 0, 1, -7, 2 ^ 53 | 0, (2 ^ 53 | 0) + 1, math.maxinteger, math.mininteger }
  back = self:through({ list = whole }).list
  for i, n in ipairs(whole) do lu.assertEquals({ math.type(back[i]), back[i] }, { "integer", n }) end
  back = self:through { nan = 0 / 0, up = math.huge, down = -math.huge }
  lu.assertTrue(back.nan ~= back.nan and back.up == math.huge and back.down == -math.huge)
end

function TestCheckpointFields:test_texts_and_tables()
  local all = ""
  for b = 0, 255 do all = all .. string.char(b) end
  local t = { empty = "", text = "äöü \u{1F600} \"quoted\" \\ \n", bytes = all, zero = "a\0b", yes = true, no = false, none = {},
    list = { 1, { "x", {} }, { a = { b = { c = 1.5 } } } }, sparse = { [1] = "a", [3] = "c", [-1] = 2, [0.5] = true },
    mixed = { 10, 20, name = "both" }, dollar = { ["$number"] = "nan", ["$x"] = 1 }, flags = { [true] = 1, [false] = 2 },
    keys = { ["\xff"] = 1, ["a\0"] = 2, [""] = 3 } }
  lu.assertEquals(self:through(t), t)
  lu.assertEquals(self:through { shape = ms.zeros({ 2, 3 }).shape }, { shape = { 2, 3 } })
end

function TestCheckpointFields:test_tensors()
  local t = { best = ms.tensor(0.5), deep = { list = { ms.tensor({ 1, 2 }, { dtype = "i64" }), { ms.zeros { 0, 3 } } } },
    ["deep.list[1]"] = ms.ones { 1 }, precise = ms.tensor({ 1 / 3 }, { dtype = "f64" }), mask = ms.tensor { true, false } }
  local model = nn.linear(1, 1)
  checkpoint.save(self.path, { model = model, best = t.best, deep = t.deep, ["deep.list[1]"] = t["deep.list[1]"], precise = t.precise,
    mask = t.mask })
  local back = checkpoint.load(self.path, { model = model })
  lu.assertEquals({ back.best.dtype, back.best.shape, back.best:item() }, { "f32", {}, 0.5 })
  lu.assertEquals({ back.deep.list[1].dtype, back.deep.list[1]:totable() }, { "i64", { 1, 2 } })
  lu.assertEquals(back.deep.list[2][1].shape, { 0, 3 })
  lu.assertEquals(back["deep.list[1]"]:totable(), { 1 })
  lu.assertEquals(back.precise:item(), 1 / 3)
  lu.assertEquals(back.mask:totable(), { true, false })
end

function TestCheckpointFields:test_what_cannot_be_saved_is_named()
  self:through { kept = 1 }
  local cycle = {}
  cycle.self = cycle
  for expected, what in pairs {
    ["stats.f: cannot save a function"] = { stats = { f = print } },
    ["list[2]: cannot save a userdata"] = { list = { 1, io.stdout } },
    ["models[1]: cannot save an object (a table with a metatable)"] = { models = { nn.relu() } },
    ["nested deeper than 30"] = { cycle = cycle },
    ["cannot save a table with a table as key"] = { odd = { [{}] = 1 } },
    ["co: cannot save a thread"] = { co = coroutine.create(print) },
  } do
    fails("checkpoint.save: ", checkpoint.save, self.path, what)
    fails(expected, checkpoint.save, self.path, what)
  end
  lu.assertEquals(checkpoint.peek(self.path), { kept = 1 })
end

-- ---- memory that runs out ------------------------------------------------------------------------------------------------------------

TestCheckpointMemory = class()

-- Let the k-th allocation of act() fail, for every k: it raises, and state() is what it was; at last it runs through.
local function every_allocation_fails(act, state)
  local before, failures = state(), 0
  for k = 1, 2000 do
    ms.fail_allocation(k)
    local ok, message = pcall(act)
    ms.fail_allocation(0)
    if ok then break end
    failures = k
    lu.assertStrContains(tostring(message), "out of memory")
    lu.assertEquals(state(), before, "after failure of allocation " .. k)
  end
  lu.assertTrue(failures > 0 and failures < 2000, failures .. " allocations")
end

function TestCheckpointMemory:test_nothing_changes_when_memory_runs_out()
  ms.seed(2)
  local model = net()
  local adam = optim.adam(model:parameters(), { lr = 0.1 })
  train(model, adam, 2)
  checkpoint.save(self.path, { model = model, adam = adam, mean = ms.ones { 2 } })
  train(model, adam, 1)
  local function state() return { values(model), values(adam), { ms.rng_state() } } end
  every_allocation_fails(function() checkpoint.load(self.path, { model = model, adam = adam }) end, state)
  local fresh = net()
  local unstepped = optim.adam(fresh:parameters())
  every_allocation_fails(function() checkpoint.load(self.path, { model = fresh, adam = unstepped }) end,
    function() return { values(fresh), values(unstepped), { ms.rng_state() } } end)
  lu.assertEquals(values(unstepped), values(adam))
  every_allocation_fails(function() model:to "f64" end, function()
    local list = {}
    for i, p in ipairs(model:parameters()) do list[i] = { p.dtype, p.requires_grad, p:totable() } end
    return list
  end)
  lu.assertEquals(model[1].weight.dtype, "f64")
  local function file()
    local f <close> = assert(io.open(self.path, "rb"))
    return f:read "a"
  end
  local old = file()
  every_allocation_fails(function() checkpoint.save(self.path, { model = model, mean = ms.zeros { 2 } }) end,
    function() return file() == old end)
end

function TestCheckpointMemory:test_a_step_that_fails_can_be_made_again() -- luacheck: ignore self
  for _, make in ipairs { function(p) return optim.adam(p) end, function(p) return optim.sgd(p, { momentum = 0.9 }) end } do
    local function run(fail)
      local a, b = ms.ones({ 3 }, { requires_grad = true }), ms.ones({ 2 }, { requires_grad = true })
      local o = make { a, b }
      a.grad, b.grad = ms.ones { 3 }, ms.ones { 2 }
      for k = 1, fail and 100 or 0 do
        ms.fail_allocation(k)
        local ok = pcall(o.step, o)
        ms.fail_allocation(0)
        if ok then break end
      end
      if not fail then o:step() end
      return { a:totable(), b:totable(), values(o) }
    end
    lu.assertEquals(run(true), run(false))
  end
end
