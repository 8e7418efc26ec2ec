-- A replay is right: what it reads is what the function would read, what it writes is what the function would write, call after call.
-- Each test is a program that a replay once had wrong, or that could not be compiled, and its kind. Eager against compiled throughout.
-- luacheck: globals TestReplayMemory TestReplayArguments TestReplayGradients TestReplayErrors
local lu = require "luaunit"
local ms = require "mascon"
local compiled = require "compiled"
local nn = ms.nn
local like_eager, replays = compiled.like_eager, compiled.replays

-- The same as eagerly, and by replays.
local function right(make, calls) lu.assertTrue(replays(like_eager(make, calls))) end

-- ---- who reads and writes a tensor, and when ---------------------------------------------------------------------------------------

TestReplayMemory = {}

-- The same call twice, but the first one changed what both read.
function TestReplayMemory.test_a_call_repeated_after_one_in_place()
  right(function()
    return function(x)
      x:square_()
      return x:square():sum()
    end, function() return { ms.tensor { 3 } } end
  end)
  right(function()
    local t = ms.zeros { 1 }
    return function(x)
      t:add_(1)
      return x / (t + 1)
    end, { ms.ones { 1 } }, { t }
  end)
  right(function() -- a gradient that is scaled, then used by the same call again
    return function(x)
      local y = x * 2
      local z = y + 1
      y:add_(1)
      return z, y + 1, y * z
    end, function(i) return { ms.tensor { i } } end
  end)
end

-- A chain behind a product in which something is changed in place: a highway layer.
function TestReplayMemory.test_a_chain_behind_a_product_with_something_in_place()
  right(function()
    local a, b, c = ms.randn { 6, 6 }, ms.randn { 6, 6 }, ms.randn { 6, 6 }
    return function(x)
      local h = x:matmul(a) * 2
      h:relu_()
      local t = x:matmul(b):sigmoid()
      return t * h + (1 - t) * x, h:matmul(c)
    end, function() return { ms.randn { 6, 6 } } end
  end)
end

function TestReplayMemory.test_a_chain_that_changes_its_own_results()
  for _, change in ipairs { "relu_", "neg_", "square_" } do
    right(function()
      local a = ms.randn { 8, 8 }
      return function(x)
        local u, v = x:exp(), x * 3
        local w = u + 1
        local s = w * v
        s[change](s)
        w:add_(s)
        v:mul_(w)
        return (u + v):matmul(a) + s, w * u
      end, function() return { ms.rand { 8, 8 } } end
    end)
  end
end

-- Gradients of views that leave elements out are zeros, filled where the view was.
function TestReplayMemory.test_slices_on_a_gradient_path()
  local ways = {
    slice = function(w, x) return (w[{ { 1, 2 } }] * x):sum() end,
    step = function(w, x) return (w:slice(1, 1, 2, 2) * x):sum() end,
    index = function(w, x) return w[2] * x:sum() end,
    select = function(w, x) return (w:reshape { 2, 2 }:select(2, 1) * x):sum() end,
    diagonal = function(w, x) return (w:reshape { 2, 2 }:diagonal() * x):sum() end,
    pad = function(w, x) return (w:pad { 1, 1 }:square() * x:sum()):sum() end,
    crop = function(w, x) return (w:pad { -1, -1 }:square() * x):sum() end,
    prod = function(w, x) return w:prod(1) * x:sum() end,
    twice = function(w, x) return (w[{ { 1, 2 } }] * w[{ { 2, 3 } }] * x):sum() end,
  }
  for name, way in pairs(ways) do
    local ok, message = pcall(right, function()
      local w = ms.tensor { 1, 2, 3, 4 }:requires_grad_()
      return function(x)
        w.grad = nil
        way(w, x):backward()
        return w.grad * 1
      end, function(i) return { ms.tensor { i, i + 1 } } end, { w }
    end)
    lu.assertTrue(ok, name .. ": " .. tostring(message))
  end
end

function TestReplayMemory.test_a_gradient_of_a_gradient_through_slices()
  right(function()
    local w = ms.tensor { 1, 2, 3, 4 }:requires_grad_()
    return function(x)
      local g = ms.grad((w[{ { 2, 4 } }] ^ 3):sum() * x, w)
      return ms.grad(g:square():sum(), w)
    end, function(i) return { ms.tensor(i) } end, { w }
  end)
end

-- What begins as another tensor's memory becomes part of a graph, which must not outlive the call.
function TestReplayMemory.test_a_detached_tensor_that_joins_a_graph_in_place()
  right(function()
    local p, t = ms.tensor({ 1, 2 }, { requires_grad = true }), ms.tensor { 3, 0 }
    return function(x)
      local v = t:detach()
      v:maximum_(p * x)
      return v:sum()
    end, { ms.ones { 2 } }, { t }
  end)
end

function TestReplayMemory.test_tensors_without_elements()
  right(function()
    local w = ms.ones({ 3, 0 }, { requires_grad = true })
    local b = ms.ones({ 2 }, { requires_grad = true })
    return function(x, y)
      w.grad, b.grad = nil, nil
      local l = (w * 2):sum() + (b * x):sum() + (y:exp() + 1):sum() + ms.cat({ y, y }, 1):square():sum()
      l:backward()
      y:add_(1)
      return l, y, w[{ {}, {} }]:detach() * 1
    end, function(i) return { ms.tensor { i, 1 }, ms.zeros { 0, 2 } } end, { w, b }
  end)
end

-- ---- which memory an argument is, and what is captured beside it ---------------------------------------------------------------------

TestReplayArguments = {}

local function rows() return ms.arange(1, 100):reshape { 50, 2 } end

function TestReplayArguments.test_an_argument_that_is_a_slice_of_something_captured()
  right(function()
    local all = rows()
    return function(x) return x * 2 + all[1] + all:sum() end, function(i) return { all[i] } end
  end)
  right(function() -- at the same place for a while
    local all = rows()
    return function(x) return x * 2 + all[1] end, function(i) return { all[i < 6 and 1 or i] } end
  end)
  right(function() -- and at times another tensor
    local all = rows()
    return function(x) return x * 2 + all[1] end, function(i) return { i % 3 == 0 and ms.ones { 2 } or all[i] } end
  end)
end

function TestReplayArguments.test_a_captured_tensor_that_was_an_argument_before()
  for _, when in ipairs { 3, 4, 7 } do
    right(function()
      local a, b = ms.tensor { 1, 2 }, ms.tensor { 3, 4 }
      return function(x) return x * 10 + a end, function(i) return { i <= when and a or b } end
    end)
  end
  right(function()
    local a, b = ms.tensor { 1, 2 }, ms.tensor { 3, 4 }
    return function(x) return x * 10 + a end, function(i) return { i % 2 == 0 and a or b } end
  end)
end

function TestReplayArguments.test_two_slices_of_one_tensor()
  right(function()
    local all = rows()
    return function(x, y) return x * 2 + y end, function(i) return { all[i], all[i * 7 % 50 + 1] } end
  end)
  right(function() -- windows that overlap, now more, now less
    local all = rows()
    return function(x, y) return x * 2 + y end,
      function(i) return { all[{ { i, i + 3 } }], all[{ { i + i % 3, i + i % 3 + 3 } }] } end
  end)
  right(function() -- the same one twice at first
    local all = rows()
    return function(x, y) return x * 2 + y end, function(i) return { all[i], all[i < 6 and i or i + 1] } end
  end)
end

-- What is written is what is read, wherever it lies; where memory is shared in a new way the function runs as it is.
function TestReplayArguments.test_slices_that_are_written()
  like_eager(function()
    local all = rows()
    return function(x, y)
      x:add_(1)
      y:mul_(2)
      return x:sum(), (x * y):sum()
    end, function(i) return { all[i], all[i % 3 == 0 and i or i + 2] } end, { all }
  end)
  like_eager(function()
    local all = rows()
    return function(x)
      x:add_(1)
      return all:sum()
    end, function(i) return { all[i] } end, { all }
  end)
  like_eager(function()
    local all = rows()
    return function(x)
      all:add_(1)
      return x * 1
    end, function(i) return { all[i] } end, { all }
  end)
end

function TestReplayArguments.test_results_that_lie_in_arguments_or_parameters()
  right(function()
    local w = ms.tensor({ { 1, 2 }, { 3, 4 } }):requires_grad_()
    return function(x)
      w.grad = nil
      (w * x):sum():backward()
      return w:transpose(1, 2), w[1], w:to "f64", w:to "f32", w:contiguous(), w:reshape { 4 }, w:detach(), x[2], x
    end, function(i) return { ms.full({ 2, 2 }, i) } end, { w }
  end)
end

-- ---- gradients -----------------------------------------------------------------------------------------------------------------------

TestReplayGradients = {}

function TestReplayGradients.test_a_grad_that_is_an_argument_or_part_of_one()
  local ways = {
    argument = function(x) return x end,
    row = function(x) return x[1] end,
    made = function(x) return (x * 2):transpose(1, 2) end,
    part = function(x) return (x * 2)[2] end,
    half = function(x) return x[{ {}, { 1, 1 } }] end,
  }
  for name, way in pairs(ways) do
    for _, fresh in ipairs { true, false } do
      local ok, message = pcall(right, function()
        local all = rows()
        local shape = way(all[{ { 1, 2 } }]).shape
        local w = ms.ones(shape):requires_grad_()
        return function(x)
          w.grad = way(x)
          return x:sum(), w.grad * 1
        end, function(i)
          local x = all[{ { i, i + 1 } }]
          return { fresh and x:clone() or x }
        end, { w }
      end)
      lu.assertTrue(ok, name .. ": " .. tostring(message))
    end
  end
end

-- The gradient that is found lies in memory that the step has touched as something captured.
-- x:detach() inside the step is a new leaf in each call, in memory that was there before: no call waits for the last one's.
function TestReplayGradients.test_leaves_made_of_memory_from_outside()
  for _, source in ipairs { "argument", "parameter", "row" } do
    for _, kind in ipairs { "kept", "dropped", "grad", "penalty" } do
      right(function()
        local m = nn.linear(3, 2)
        m.weight:detach():copy_(ms.arange(1, 6):reshape { 2, 3 } / 5)
        return function(x)
          local from = source == "argument" and x or source == "parameter" and m.weight or x[{ { 1, 1 } }]
          local leaf = from:detach():requires_grad_()
          local loss = ms.matmul(leaf, m.weight:t()):square():sum()
          if kind == "grad" then return (ms.grad(loss, leaf)) end
          if kind == "penalty" then ms.grad(loss, leaf):square():sum():backward() else loss:backward() end
          local g = leaf.grad
          if kind == "dropped" then leaf.grad = nil end
          m.weight.grad = nil
          return g
        end, function(i) return { ms.arange(i, i + 5):reshape { 2, 3 } } end
      end)
    end
  end
end

function TestReplayGradients.test_a_grad_that_is_found_in_something_captured()
  like_eager(function()
    local w, all, call = ms.ones({ 4 }):requires_grad_(), ms.arange(1, 100):reshape { 25, 4 }, 0
    return function()
      all:add_(1)
      w:sum():backward()
      return w.grad * 1, all[3] * 1
    end, function()
      call = call + 1
      w.grad = all[call]
      return {}
    end, { all }
  end)
  right(function() -- and only read it
    local w, all, call = ms.ones({ 4 }):requires_grad_(), ms.arange(1, 100):reshape { 25, 4 }, 0
    return function()
      local s = all:sum() + all[2]:sum()
      w:sum():backward()
      return w.grad * s
    end, function()
      call = call + 1
      w.grad = all[call]
      return {}
    end, { all }
  end)
end

-- ---- errors --------------------------------------------------------------------------------------------------------------------------

TestReplayErrors = {}

-- Calls of which every fifth ends with an error: what each gives and leaves, in tensors, gradients, the generator. make() -> function,
-- arguments by call, tensors that it changes.
local function leaves(make)
  local function world(compile)
    ms.seed(3)
    local f, arguments, kept = make()
    local step, told = compile and ms.compile(f) or f, {}
    for i = 1, 12 do
      local r = table.pack(pcall(step, table.unpack(arguments(i))))
      for k = 2, r.n do told[#told + 1] = r[1] and r[k]:totable() or r[k]:match "%w+%[%d+%] = %d+, expected %d+%.%.%d+" end
      for _, t in ipairs(kept) do
        told[#told + 1] = t:detach():totable()
        told[#told + 1] = t.grad and t.grad:totable() or "no gradient"
      end
      told[#told + 1] = ms.rand({ 2 }):totable()
    end
    return told, step
  end
  local eager, replayed, step = world(false), world(true)
  lu.assertEquals(replayed, eager)
  lu.assertTrue(replays(step))
end

local LATE = "a device that works later leaves out what was asked for behind an error, too"

local function labels(i) return ms.tensor({ 1, i % 5 == 0 and 9 or 2 }, { dtype = "i64" }) end

local function training(f)
  leaves(function()
    local w, n = ms.randn({ 2, 3 }):requires_grad_(), ms.zeros { 1 }
    return function(x, y)
      return f(w, n, x, function() return nn.cross_entropy(x:matmul(w), y) end)
    end, function(i) return { ms.randn { 2, 2 }, labels(i) } end, { w, n }
  end)
end

function TestReplayErrors.test_what_came_before_the_error_is_done_and_nothing_else()
  lu.skipIf(compiled.late, LATE)
  training(function(w, n, _, loss)
    w.grad = nil
    n:add_(1)
    loss():backward()
    n:add_(ms.rand { 1 })
    return n * 1
  end)
  training(function(w, n, _, loss)
    n:add_(ms.rand { 1 })
    local l = loss()
    w.grad = nil
    l:backward()
    n:add_(1)
    return l
  end)
  leaves(function() -- elementwise calls before and behind it would be one chain
    local n, m = ms.zeros { 4 }, ms.ones { 5, 4 }
    return function(x, y)
      local a = x * 2 + 1
      n:add_(a)
      local found = m:index_select(1, y)
      local b = a * 3 - x
      n:add_(b)
      return found:sum() + b:sum()
    end, function(i) return { ms.randn { 4 }, labels(i) } end, { n }
  end)
end

function TestReplayErrors.test_gradients_are_those_of_the_backward_passes_before_it()
  lu.skipIf(compiled.late, LATE)
  training(function(_, n, _, loss)
    loss():backward()
    n:add_(1)
    return n * 1
  end)
  training(function(w, n, x, loss)
    w.grad = nil
    x:matmul(w):square():sum():backward()
    w.grad:mul_(2)
    local l = loss()
    l:backward()
    n:add_(1)
    return l
  end)
  training(function(w, n, x, loss)
    w.grad = nil
    x:matmul(w):square():sum():backward()
    do
      local _ <close> = ms.no_grad()
      w:sub_(w.grad * 0.1)
    end
    local l = loss()
    w.grad = nil
    l:backward()
    n:add_(1)
    return l
  end)
end

-- The first call of the recording fails: the gradients that were dropped before it are gone all the same.
function TestReplayErrors.test_gradients_dropped_before_the_first_call()
  lu.skipIf(compiled.late, LATE)
  leaves(function()
    local table_of = ms.randn({ 3, 2 }):requires_grad_()
    return function(i)
      table_of.grad = nil
      local l = table_of:index_select(1, i):sum()
      l:backward()
      return l
    end, function(i) return { labels(i) } end, { table_of }
  end)
end

function TestReplayErrors.test_an_index_is_checked_though_nobody_reads_what_it_finds()
  lu.skipIf(compiled.late, LATE)
  training(function(_, n, _, loss)
    n:add_(1)
    loss()
    n:add_(1)
    return n * 1
  end)
end

function TestReplayErrors.test_a_loss_that_refuses_its_inputs()
  lu.skipIf(compiled.late, LATE)
  for _, unread in ipairs { true, false } do
    local w, n = ms.ones({ 2 }, { requires_grad = true }), ms.zeros { 2 }
    local step = ms.compile(function(x)
      local y = x * w:detach()
      local l = ms.bce_loss(y, ms.ones { 2 })
      n:add_(y)
      if unread then return n * 1 end
      w.grad = nil
      local m = ms.bce_loss(x * w, ms.ones { 2 }) + l
      m:backward()
      return m
    end)
    for _ = 1, 5 do step(ms.full({ 2 }, 0.5)) end
    lu.assertTrue(replays(step))
    local before = w.grad
    lu.assertFalse((pcall(step, ms.full({ 2 }, 2))))
    lu.assertEquals(n:totable(), { 2.5, 2.5 })
    lu.assertTrue(before == w.grad)
  end
end

-- A change that was not made is none to a graph from before.
function TestReplayErrors.test_versions()
  lu.skipIf(compiled.late, LATE)
  local a, m = ms.ones({ 2 }, { requires_grad = true }), ms.ones { 2 }
  local step = ms.compile(function(x, y)
    local r = ms.ones({ 3, 2 }):index_select(1, y):sum()
    m:add_(x)
    return r
  end)
  for i = 1, 4 do step(ms.ones { 2 }, labels(i)) end
  lu.assertTrue(replays(step))
  local l = (a * m):sum()
  lu.assertFalse((pcall(step, ms.ones { 2 }, labels(5))))
  l:backward()
  lu.assertEquals(a.grad:totable(), { 5, 5 })
end

-- A part of an empty argument begins beyond its memory: it is the argument's all the same.
function TestReplayArguments.test_parts_of_an_empty_argument()
  right(function()
    return function(x) return x:narrow(2, 3, 1) * 2, x:select(2, 4), x:transpose(1, 2):diagonal(-1) end, function()
      return { ms.zeros { 0, 4 } }
    end
  end)
end

-- An argument as a leaf of the step's own is no parameter that could be given back as it is.
function TestReplayArguments.test_a_leaf_made_of_an_argument_is_a_result()
  right(function()
    return function(x)
      local leaf = x:detach():requires_grad_(true)
      return leaf, ms.grad((leaf * leaf):sum(), leaf)
    end, function(i) return { ms.full({ 3 }, i) } end
  end)
end
