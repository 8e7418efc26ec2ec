-- luacheck: globals TestSampler TestSamplers
local lu = require "luaunit"
local ms = require "mascon"

-- n samples whose i-th is the number i.
local function counted(n) return ms.data.tensors { ms.arange(1, n):unsqueeze(2) } end

local function walk(loader)
  local seen, sizes = {}, {}
  for x in loader do
    sizes[#sizes + 1] = #x
    for _, v in ipairs(x:reshape { -1 }:totable()) do seen[#seen + 1] = math.tointeger(v) end
  end
  return seen, sizes
end

local function sorted(list)
  local copy = table.move(list, 1, #list, 1, {})
  table.sort(copy)
  return copy
end

TestSampler = {} -- of the user's own

function TestSampler.test_lists_and_tensors()
  local ds = counted(10)
  local loader = ds:loader { batch = 2, sampler = { 7, 3, 3, 9, 1 } }
  lu.assertEquals(#loader, 3)
  lu.assertEquals(tostring(loader), "loader: 3 batches of 2, by a sampler")
  for _ = 1, 2 do
    local seen, sizes = walk(loader)
    lu.assertEquals({ seen, sizes }, { { 7, 3, 3, 9, 1 }, { 2, 2, 1 } })
  end
  lu.assertEquals(walk(ds:loader { sampler = ms.tensor({ 2, 10 }, { dtype = "i64" }) }), { 2, 10 })
  local short = ds:loader { batch = 2, sampler = { 7, 3, 3, 9, 1 }, drop_last = true }
  lu.assertEquals({ #short, (walk(short)) }, { 2, { 7, 3, 3, 9 } })
  lu.assertEquals(walk(ds:subset({ 9, 8, 7 }):loader { sampler = { 3, 1 } }), { 7, 9 }) -- positions of the subset
  lu.assertEquals(walk(ds:subset(4, 6):loader { sampler = { 3, 1 } }), { 6, 4 })
end

function TestSampler.test_functions()
  local ds, walks = counted(10), 0
  local function odd() -- makes an iterator for each walk
    walks = walks + 1
    local i = -1
    return function()
      i = i + 2
      return i < 10 and i or nil
    end
  end
  local loader = ds:loader { batch = 3, sampler = odd }
  for k = 1, 2 do
    local seen, sizes = walk(loader)
    lu.assertEquals({ seen, sizes, walks }, { { 1, 3, 5, 7, 9 }, { 3, 2 }, k })
  end
  lu.assertEquals(walk(ds:loader { batch = 3, sampler = odd, drop_last = true }), { 1, 3, 5 })
  lu.assertErrorMsgContains("#loader: its sampler has no length", function() return #loader end)
  lu.assertEquals(tostring(loader), "loader: batches of 3, by a sampler")

  local i = 0
  local function itself() -- gives positions, and nil after each four of them
    i = i + 1
    return i % 5 ~= 0 and i or nil
  end
  local plain = ds:loader { batch = 10, sampler = itself }
  lu.assertEquals({ walk(plain), (walk(plain)) }, { { 1, 2, 3, 4 }, { 6, 7, 8, 9 } })

  local once = ds:loader { sampler = coroutine.wrap(function() for k = 3, 1, -1 do coroutine.yield(k) end end) }
  lu.assertEquals(walk(once), { 3, 2, 1 })

  local endless, n = ds:loader { batch = 4, sampler = function() return 5 end }, 0
  for x in endless do
    n = n + #x
    if n == 40 then break end
  end
  lu.assertEquals(n, 40)
  local round, seen = ds:loader({ batch = 2, sampler = odd }):cycle(), {}
  for k = 1, 4 do seen[k] = round()[1]:item() end
  lu.assertEquals(seen, { 1, 5, 9, 1 })
end

function TestSampler.test_tables()
  local ds = counted(10)
  local given
  local object = { iter = function(self, seed, epoch)
    given = { self.name, seed, epoch }
    local k = 0
    return function()
      k = k + 1
      return k <= 2 and k * epoch or nil
    end
  end, name = "mine" }
  local loader = ds:loader { sampler = object, seed = 4 }
  lu.assertEquals({ walk(loader), walk(loader), given }, { { 1, 2 }, { 2, 4 }, { "mine", 4, 2 } })
  local called = setmetatable({}, { __call = function(_, _, before) -- the generic for's way: the position before
    if not before then return 8 end
    return before > 6 and before - 1 or nil
  end, __len = function() return 3 end })
  local down = ds:loader { batch = 2, sampler = called }
  lu.assertEquals({ #down, walk(down), (walk(down)) }, { 2, { 8, 7, 6 }, { 8, 7, 6 } })
end

function TestSampler.test_bad_positions_and_options()
  local ds = counted(10)
  local function bad(message, sampler, more)
    lu.assertErrorMsgContains(message, function()
      local o = { sampler = sampler }
      for k, v in pairs(more or {}) do o[k] = v end
      walk(ds:loader(o))
    end)
  end
  bad("loader: sampler: position 2 is 0, expected 1..10", { 1, 0 })
  bad("loader: sampler: position 1 is 11, expected 1..10", { 11 })
  bad("loader: sampler: the list of positions is empty", {})
  bad("loader: sampler: expected positions in one dimension (i64), got 2 f32", ms.tensor { 1, 2 })
  bad("loader: sampler: expected positions (a list, a tensor, a function, a table with iter or __call), got number", 3)
  bad("loader: sampler: position 2 of the walk is 11, expected 1..10", (function()
    local k = 9
    return function()
      k = k + 1
      return k
    end
  end)())
  bad("loader: sampler: expected a position, a whole number, got 1.5", function() return 1.5 end)
  bad("loader: sampler: expected a position, a whole number, got x", function() return "x" end)
  bad("loader: sampler: it gave no position in walk 1; an iterator that is used up?", function() end)
  bad("loader: sampler: iter: expected a function that gives positions, got number", { iter = function() return 3 end })
  bad("sampler and shuffle exclude one another", { 1 }, { shuffle = true })
  bad("drop_last leaves nothing: 3 samples, batch = 64", { 1, 2, 3 }, { drop_last = true })
  bad("drop_last leaves nothing: 3 samples, batch = 64", ms.data.random_sampler(3), { drop_last = true })
  bad("drop_last leaves nothing: the sampler gave 2 positions in walk 1, batch = 64", function(_, before) return not before and 1 or
    before == 1 and 2 or nil end, { drop_last = true })
  bad("oh no", function() error "oh no" end)
end

TestSamplers = {} -- the library's

function TestSamplers.test_orders()
  local ds = counted(10)
  lu.assertEquals(walk(ds:loader { sampler = ms.data.sequential_sampler(ds) }), { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 })
  local sampler = ms.data.random_sampler(ds)
  lu.assertEquals({ #sampler, tostring(sampler) }, { 10, "random_sampler: 10 positions" })
  local loader = ds:loader { sampler = sampler, batch = 4 }
  lu.assertEquals(#loader, 3)
  local one, two = walk(loader), walk(loader)
  lu.assertNotEquals(one, two)
  lu.assertEquals(sorted(one), sorted(two))
  lu.assertEquals(sorted(one), { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 })
  local many = walk(ds:loader { sampler = ms.data.random_sampler(10, { num_samples = 25 }) }) -- two orders and a half
  lu.assertEquals(sorted(table.move(many, 11, 20, 1, {})), sorted(one))
  lu.assertEquals(#many, 25)
  local again = walk(ds:loader { sampler = ms.data.random_sampler(10, { num_samples = 2000, replacement = true }) })
  local counts = ms.bincount(ms.tensor(again, { dtype = "i64" }))
  lu.assertEquals({ #again, #counts }, { 2000, 10 })
  lu.assertTrue(counts:amin():item() > 140 and counts:amax():item() < 260)
  local some = walk(ds:loader { sampler = ms.data.subset_random_sampler({ 2, 3, 5, 7 }) })
  lu.assertEquals(sorted(some), { 2, 3, 5, 7 })
end

function TestSamplers.test_by_weights()
  local ds, weights = counted(4), { 1, 0, 2, 5 }
  local seen = ms.bincount(ms.tensor(walk(ds:loader { sampler = ms.data.weighted_random_sampler(weights, 8000, { seed = 1 }) }),
    { dtype = "i64" })):totable()
  lu.assertEquals(seen[2], 0)
  for i, w in ipairs(weights) do lu.assertTrue(math.abs(seen[i] - 1000 * w) < 150) end
  local each = ms.data.weighted_random_sampler(ms.tensor(weights), 3, { replacement = false })
  for _ = 1, 5 do lu.assertEquals(sorted(walk(ds:loader { sampler = each })), { 1, 3, 4 }) end
end

function TestSamplers.test_seeds()
  local ds = counted(50)
  local state = { ms.rng_state() }
  for name, make in pairs {
    random = function(seed) return ms.data.random_sampler(ds, { seed = seed }) end,
    subset = function(seed) return ms.data.subset_random_sampler({ 1, 2, 3, 4, 5, 6, 7, 8, 9 }, { seed = seed }) end,
    weighted = function(seed) return ms.data.weighted_random_sampler(ms.ones { 50 }, 20, { seed = seed }) end,
  } do
    local a, b = ds:loader { sampler = make(3), batch = 8 }, ds:loader { sampler = make(), batch = 5, seed = 3 }
    local first, second = walk(a), walk(a)
    lu.assertNotEquals(first, second, name)
    lu.assertEquals({ walk(b), (walk(b)) }, { first, second }, name) -- by the loader's seed
    local late = ds:loader { sampler = make(3) }
    late.epoch = 1 -- go on after the first walk
    lu.assertEquals(walk(late), second, name)
    lu.assertNotEquals(walk(ds:loader { sampler = make(4) }), first, name)
    lu.assertEquals({ ms.rng_state() }, state, name)
    ms.seed(5)
    local free = walk(ds:loader { sampler = make() })
    lu.assertNotEquals(walk(ds:loader { sampler = make() }), free, name)
    ms.seed(5)
    lu.assertEquals(walk(ds:loader { sampler = make() }), free, name)
    ms.rng_state(table.unpack(state))
  end
end

function TestSamplers.test_bad_arguments()
  local d = ms.data
  for message, call in pairs {
    ["random_sampler: expected a data set or a count, got nil"] = function() d.random_sampler() end,
    ["random_sampler: n: expected a whole number from 1 on, got 0"] = function() d.random_sampler(0) end,
    ["unknown option 'replacemant'; did you mean replacement?"] = function() d.random_sampler(3, { replacemant = true }) end,
    ["random_sampler: num_samples: expected a whole number from 1 on, got -1"] = function() d.random_sampler(3, { num_samples = -1 }) end,
    ["random_sampler: seed: expected a whole number, got 1.5"] = function() d.random_sampler(3, { seed = 1.5 }) end,
    ["subset_random_sampler: position 2 is 0, expected 1.."] = function() d.subset_random_sampler { 1, 0 } end,
    ["subset_random_sampler: the list of positions is empty"] = function() d.subset_random_sampler {} end,
    ["subset_random_sampler: expected a list or a tensor"] = function() d.subset_random_sampler(3) end,
    ["weighted_random_sampler: expected a list or a tensor of weights"] = function() d.weighted_random_sampler({}, 3) end,
    ["weights in one dimension, got 2 x 2"] = function() d.weighted_random_sampler(ms.ones { 2, 2 }, 3) end,
    ["expected weights from 0 on, some of them above 0"] = function() d.weighted_random_sampler({ 0, 0 }, 3) end,
    ["weights from 0 on, some of them"] = function() d.weighted_random_sampler({ 1, -1 }, 3) end,
    ["weights from 0 on, some"] = function() d.weighted_random_sampler({ 1, 0 / 0 }, 3) end,
    ["num_samples: expected a whole number from 1 on, got nil"] = function() d.weighted_random_sampler({ 1 }) end,
    ["3 positions without replacement, but only 2 weights"] = function()
      d.weighted_random_sampler({ 1, 0, 1 }, 3, { replacement = false })
    end,
  } do
    lu.assertErrorMsgContains(message, call)
  end
end
