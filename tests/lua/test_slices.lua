-- What slices cost in a backward pass, and that their gradients are right (runtime/core/parts.c).
-- gcstress: every 100
-- luacheck: globals TestSlices
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local leaf, stress = checks.leaf, checks.stress

TestSlices = {}

local function assert_close(got, want, tolerance)
  lu.assertEquals(got.shape, want.shape)
  lu.assertTrue((got - want):abs():max():item() <= tolerance * (1 + want:abs():max():item()))
end

-- n x m numbers, no two alike.
local function numbers(n, m)
  return (ms.arange(1, n * m, { dtype = "f64" }) * 0.37):sin():reshape { n, m }
end

-- The gradient of f at x, and the same where f reads from what a product with a matrix of ones and zeros picks: no slice is
-- differentiated there.
local function picked(x, rows)
  local m = {}
  for i, r in ipairs(rows) do
    m[i] = {}
    for k = 1, #x do m[i][k] = k == r and 1 or 0 end
  end
  return ms.matmul(ms.tensor(m, { dtype = "f64" }), x)
end

local function range(from, to, step)
  local r = {}
  for i = from, to, step or 1 do r[#r + 1] = i end
  return r
end

-- Each window {from, to, step} of the rows of x enters a sum by a function of its own: the gradient, of first and second order, must
-- be what products give.
local function compare(n, m, windows, dense)
  local function value(x, take)
    local sum = dense and (x * x * x):sum() or ms.zeros({}, { dtype = "f64" })
    for i, w in ipairs(windows) do sum = sum + (take(x, w) ^ 2 * (0.3 * i)):sin():sum() end
    return sum
  end
  local function slices(x, w) return w.row and x[w.row] or x[{ w }] end
  local function products(x, w) return picked(x, w.row and { w.row } or range(w[1], w[2], w[3])) end
  local results = {}
  for k, take in ipairs { slices, products } do
    local x = numbers(n, m):requires_grad_()
    local g = ms.grad(value(x, take), x)
    local h = ms.grad((g ^ 2):sum(), x)
    value(x, take):backward()
    assert_close(x.grad, g, 1e-14)
    results[k] = { g, h }
  end
  for order = 1, 2 do
    assert_close(results[1][order], results[2][order], 1e-12)
  end
end

function TestSlices.test_rows_by_themselves()
  compare(7, 3, { { row = 3 } })
  compare(7, 3, { { row = 1 }, { row = 2 }, { row = 3 }, { row = 4 }, { row = 5 }, { row = 6 }, { row = 7 } })
  compare(7, 3, { { row = 6 }, { row = 2 } })
  compare(7, 3, { { row = 2 }, { row = 2 }, { row = 5 }, { row = 2 } })
end

function TestSlices.test_windows_that_overlap()
  compare(7, 3, { { 1, 3 }, { 2, 4 }, { 3, 5 }, { 4, 6 }, { 5, 7 } })
  compare(7, 3, { { 1, 7 }, { 2, 3 }, { 2, 6 }, { row = 4 } })
  compare(9, 2, { { 1, 2 }, { 2, 3 }, { 5, 6 }, { 6, 8 }, { 6, 7 } })
  compare(7, 3, { { 1, 1 }, { 1, 2 }, { 1, 3 }, { 1, 4 }, { 1, 5 } })
end

function TestSlices.test_steps()
  compare(9, 2, { { 1, 9, 2 } })
  compare(9, 2, { { 1, 9, 2 }, { 2, 8, 2 } })
  compare(9, 2, { { 1, 3, 2 }, { 7, 9, 2 }, { 2, 8, 3 } })
  compare(9, 2, { { 3, 7, 2 }, { 3, 9, 3 }, { row = 4 }, { 2, 5 } })
end

function TestSlices.test_beside_a_gradient_of_the_whole_tensor()
  compare(7, 3, { { row = 3 }, { 2, 4 } }, true)
  compare(7, 3, {}, true)
end

function TestSlices.test_many_more_elements_than_the_tensor_has()
  local windows = {}
  for i = 1, 40 do windows[i] = { 1 + i % 3, 5 + i % 2 } end
  compare(7, 3, windows, true)
end

function TestSlices.test_different_dimensions()
  local x = numbers(4, 5):requires_grad_()
  local y = (x[2] * 2):sum() + (x[{ {}, 3 }] * 3):sum() + x[{ 2, 3 }] * 5 + (x[{ {}, { 1, 5, 2 } }] * 7):sum()
  y:backward()
  lu.assertEquals(x.grad:totable(), { { 7, 0, 10, 0, 7 }, { 9, 2, 17, 2, 9 }, { 7, 0, 10, 0, 7 }, { 7, 0, 10, 0, 7 } })
end

function TestSlices.test_slices_of_results_and_of_slices()
  local x = leaf { { 1, 2, 3 }, { 4, 5, 6 } }
  local y = x * 2
  local z = y[1][2] * 3 + y[2]:sum() + y[{ {}, { 2, 3 } }][2]:sum();
  z:backward()
  lu.assertEquals(x.grad:totable(), { { 0, 6, 0 }, { 2, 4, 4 } })
  local w = x * 2 -- asked for by name
  local gw, gx = table.unpack(ms.grad(w[1]:sum() + (w[2] * 5):sum() + w[1]:sum(), { w, x }))
  lu.assertEquals(gw:totable(), { { 2, 2, 2 }, { 5, 5, 5 } })
  lu.assertEquals(gx:totable(), { { 4, 4, 4 }, { 10, 10, 10 } })
end

-- Random slices of slices, with steps, of a tensor and of a result: which elements they show is told by slicing a tensor of positions.
function TestSlices.test_chains_of_slices()
  local state = 42
  local function draw(n) -- 1..n
    state = (state * 1103515245 + 12345) % 2 ^ 31
    return state // 65536 % n + 1
  end
  local function slice(t)
    local d = draw(#t.shape)
    local size = t.shape[d]
    if draw(3) == 1 then return function(u) return u:select(d, size) end end
    local start, step = draw(size), draw(2)
    local count = draw((size - start) // step + 1)
    return function(u) return u:slice(d, start, count, step) end
  end
  for _ = 1, stress and 3 or 40 do
    local x = (ms.arange(1, 60, { dtype = "f64" }) * 0.7):cos():reshape { 4, 3, 5 }:requires_grad_()
    local positions = ms.arange(1, 60, { dtype = "f64" }):reshape { 4, 3, 5 }
    local from, sum, weight = draw(2) == 1 and x or x * 1, 0, {}
    for i = 1, 60 do weight[i] = 0 end
    for i = 1, draw(12) do
      local t, p = from, positions
      for _ = 1, draw(6) do
        if #p.shape == 0 then break end
        local f = slice(p)
        t, p = f(t), f(p)
      end
      sum = sum + (t * t):sum() * i
      local flat = p:reshape { p:numel() }:totable()
      for _, at in ipairs(flat) do weight[at // 1] = weight[at // 1] + 2 * i end
    end
    local a = ms.tensor(weight, { dtype = "f64" }):reshape { 4, 3, 5 }
    local g = ms.grad(sum, x)
    assert_close(g, a * x:detach(), 1e-13)
    assert_close(ms.grad((g * g):sum(), x), a * a * x:detach() * 2, 1e-13)
    sum:backward()
    assert_close(x.grad, g, 1e-14)
  end
end

function TestSlices.test_a_slice_that_is_asked_for_by_name()
  local x = leaf { { 1, 2, 3 }, { 4, 5, 6 } }
  local row = x[2]
  local gr, gx = table.unpack(ms.grad(row[1] * 2 + row[3] + x[2][2] * 7 + x[1]:sum(), { row, x }))
  lu.assertEquals(gr:totable(), { 2, 0, 1 })
  lu.assertEquals(gx:totable(), { { 1, 1, 1 }, { 2, 7, 1 } })
end

function TestSlices.test_empty_and_one_element()
  local x = leaf { 1, 2, 3 }
  x:slice(1, 1, 0):sum():backward()
  lu.assertEquals(x.grad:totable(), { 0, 0, 0 })
  x.grad = nil;
  (x:slice(1, 1, 0):sum() + x[2] * 3 + x:slice(1, 3, 0):sum() + x[3]):backward()
  lu.assertEquals(x.grad:totable(), { 0, 3, 1 })
  local one = leaf { 4 };
  (one[1] * one[1]):backward()
  lu.assertEquals(one.grad:totable(), { 8 })
  local none = ms.zeros({ 0, 3 }, { dtype = "f64" }):requires_grad_();
  (none[{ {}, 2 }]:sum() + none[{ {}, 3 }]:sum()):backward()
  lu.assertEquals(none.grad.shape, { 0, 3 })
end

function TestSlices.test_gradients_add_up_over_passes_and_leaves()
  local x, y = leaf { 1, 2 }, leaf { 3, 4 }
  local z = x[1] * y[2] + x[2] * y[1]
  z:backward { retain = true }
  z:backward()
  lu.assertEquals(x.grad:totable(), { 8, 6 })
  lu.assertEquals(y.grad:totable(), { 4, 2 })
end

-- ---- what it costs --------------------------------------------------------------------------------------------------------------

-- Bytes that a backward pass asks for.
local function asked(f)
  local before = ms.memory().allocated
  f()
  return ms.memory().allocated - before
end

-- A loop over the rows of a tensor must not make a tensor of zeros like it for every row. (trace: no arithmetic is done.)
function TestSlices.test_a_loop_over_rows_touches_the_tensor_a_few_times_only()
  local n = stress and 50 or 1000
  for _, how in ipairs { "rows", "columns", "results", "windows", "steps", "elements" } do
    local x = ms.zeros({ n, n }, { device = "trace", requires_grad = true })
    local from, sum = how == "results" and x * 2 or x, nil
    for i = 1, n do
      local part = how == "columns" and from[{ {}, i }] or how == "windows" and from[{ { i, math.min(n, i + 2) } }]
          or how == "steps" and from[{ i, { 1 + i % 3, n - 4, 3 } }] or how == "elements" and from[1 + i % 2][i] or from[i]
      local s = part:sum()
      sum = sum and sum + s or s
    end
    local bytes = asked(function() sum:backward() end)
    lu.assertEquals(x.grad.shape, { n, n })
    lu.assertTrue(bytes < 24 * x:numel() * 4, ("%s: %.1f times the tensor"):format(how, bytes / (x:numel() * 4)))
  end
end

function TestSlices.test_the_derivative_of_the_derivative_costs_no_more()
  local n = stress and 50 or 500
  local x = ms.zeros({ n, n }, { device = "trace", requires_grad = true })
  local sum = 0
  for i = 1, n do sum = sum + (x[i] * x[i]):sum() end
  local g = ms.grad(sum, x)
  local bytes = asked(function() ms.grad(g, x, { gradient = ms.ones_like(g) }) end)
  lu.assertTrue(bytes < 40 * x:numel() * 4, ("%.1f times the tensor"):format(bytes / (x:numel() * 4)))
end

-- ---- recorded -------------------------------------------------------------------------------------------------------------------

function TestSlices.test_in_a_compiled_step()
  local x = numbers(6, 4):requires_grad_()
  local function f(s)
    x.grad = nil
    local y = 0
    for i = 1, 6 do y = y + (x[i] * s):sin():sum() * i end
    for i = 1, 3 do y = y + (x[{ {}, { i, i + 1 } }] ^ 2):sum() * i end
    y:backward()
    return y
  end
  local step = ms.compile(f)
  for i = 1, 6 do
    local y = step(0.1 * i)
    local g = x.grad:clone()
    local want = f(0.1 * i)
    assert_close(y, want, 1e-12)
    assert_close(g, x.grad, 1e-12)
  end
end
