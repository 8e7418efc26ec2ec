-- ms.rehearse: steps that are replayed from the first call on, so that runs that go on from a checkpoint end with the same bits.
-- gcstress: every 20
-- luacheck: globals TestRehearse
local lu = require "luaunit"
local ms = require "mascon"
local nn, optim = ms.nn, ms.optim

TestRehearse = {}

-- A net with everything that changes in training: parameters, running statistics, random numbers, an optimizer with states.
local function problem()
  ms.seed(3)
  local p = {}
  p.net = nn.sequential { nn.conv2d(1, 3, 3, { padding = 1 }), nn.avg_pool2d(2), nn.batch_norm2d(3), nn.relu(), nn.flatten(),
    nn.linear(48, 2) }
  p.adam = optim.adam(p.net:parameters(), { lr = 0.01 })
  p.parts = { net = p.net, adam = p.adam }
  p.step = ms.compile(function(x, y)
    local loss = nn.cross_entropy(p.net(x + 0.1 * ms.randn_like(x)), y)
    p.adam:zero_grad()
    loss:backward()
    p.adam:step()
    return loss
  end)
  return p
end

local function batch(n, seed)
  return ms.with_seed(seed, function() return ms.randn { n, 1, 8, 8 }, ms.randint(1, 2, { n }) end)
end

-- Train from batch a to batch b; every third one is smaller.
local function train(p, a, b)
  for i = a, b do p.step(batch(i % 3 == 0 and 5 or 8, i)) end
end

local function rehearse(p)
  return ms.rehearse(p.step, p.parts, { batch(8, 100) }, { batch(5, 100) })
end

local function assert_same(a, b)
  for name, part in pairs(a.parts) do
    local x, y = part:state_dict(), b.parts[name]:state_dict()
    for k, t in pairs(x) do lu.assertTrue(t:equal(y[k]), name .. ": " .. k) end
  end
end

function TestRehearse.test_nothing_has_changed_afterwards()
  local a, b = problem(), problem()
  ms.seed(5)
  rehearse(a)
  assert_same(a, b)
  lu.assertEquals({ ms.rng_state() }, { 5, 0 })
  for _, q in ipairs(a.net:parameters()) do lu.assertNil(q.grad) end
end

function TestRehearse.test_every_call_after_it_is_a_replay()
  if os.getenv "MASCON_COMPILE" then lu.skip "steps are not only replayed" end
  local calls = 0
  local counter = setmetatable({}, { __call = function() calls = calls + 1 end })
  local step = ms.compile(function(x)
    counter()
    return x * 2
  end)
  ms.rehearse(step, {}, { ms.ones { 3 } }, { ms.ones { 4 } })
  lu.assertEquals(calls, 6) -- for each size one as it is and two recordings
  for i = 3, 4 do lu.assertEquals(step(ms.full({ i }, 2)):sum():item(), 4 * i) end
  lu.assertEquals(calls, 6)
end

function TestRehearse.test_a_run_that_goes_on_ends_with_the_same_bits()
  local file = os.tmpname()
  local whole, first, second = problem(), problem(), problem()
  rehearse(whole)
  ms.seed(7)
  train(whole, 1, 12)
  rehearse(first)
  ms.seed(7)
  train(first, 1, 4)
  ms.checkpoint.save(file, first.parts)
  rehearse(second)
  ms.checkpoint.load(file, second.parts)
  train(second, 5, 12)
  os.remove(file)
  assert_same(whole, second)
end

function TestRehearse.test_all_is_put_back_when_the_step_fails()
  local a, b = problem(), problem()
  ms.seed(5)
  lu.assertErrorMsgContains("cross_entropy", ms.rehearse, a.step, a.parts, { batch(8, 1) }, { batch(8, 1), ms.tensor(3) })
  assert_same(a, b)
  lu.assertEquals({ ms.rng_state() }, { 5, 0 })
end

-- A loader knows the sizes of batches that come; asking it is no walk, and draws nothing.
function TestRehearse.test_by_a_loader()
  local set = ms.data.tensors { ms.rand { 10, 2 }, ms.randint(1, 3, { 10 }) }
  local function sizes(o)
    o.transform = function(x) return x + x:randn_like() end
    local loader, seen = set:loader(o), {}
    local before = { ms.rng_state() }
    ms.rehearse(function(x, y)
      if x:dim() ~= 2 or #x ~= #y then error "no batch" end
      seen[#seen + 1] = #x
    end, {}, loader)
    lu.assertEquals({ ms.rng_state() }, before)
    lu.assertEquals(loader.epoch, 0)
    return seen
  end
  lu.assertEquals(sizes { batch = 4 }, { 4, 4, 4, 4, 2, 2, 2, 2 })
  lu.assertEquals(sizes { batch = 4, drop_last = true, shuffle = true }, { 4, 4, 4, 4 })
  lu.assertEquals(sizes { batch = 5 }, { 5, 5, 5, 5 })
  lu.assertEquals(sizes { batch = 12, sampler = ms.data.random_sampler(set, { num_samples = 25, replacement = true }) },
    { 12, 12, 12, 12, 1, 1, 1, 1 })
  lu.assertErrorMsgContains("#loader: its sampler has no length", sizes, { sampler = function() end })
end

function TestRehearse.test_what_is_no_step_no_part_and_no_list_is_said()
  local p = problem()
  lu.assertErrorMsgContains("rehearse: expected a function (ms.compile), got 3", ms.rehearse, 3, p.parts, {})
  lu.assertErrorMsgContains("rehearse: expected a table of what the step changes", ms.rehearse, p.step, p.net, {})
  lu.assertErrorMsgContains("rehearse: net: expected a thing with state_dict and load_state_dict, got a tensor", ms.rehearse, p.step,
    { net = ms.ones { 2 } }, {})
  lu.assertErrorMsgContains("rehearse: expected lists of arguments ({ x, y }) behind the parts", ms.rehearse, p.step, p.parts)
  lu.assertErrorMsgContains("rehearse: arguments 2: expected a list ({ x, y }) or a loader, got a tensor", ms.rehearse, p.step, p.parts,
    { 1 },
    ms.ones { 2 })
end
