-- The module libmascon_cuda.so over an emulated driver, on which its own kernels run on the CPU (libcuda.c, fibers.c): tests/run.sh sets
-- MASCON_LIB and MASCON_CUDA_LIBS. Every row that has a kernel gives what the CPU gives.
-- luacheck: globals TestCuda
local lu = require "luaunit"
local ms = require "mascon"
local rows = require "rows"
local checks = require "checks"

local there = ms.device "cuda"
local RTOL = { f32 = 1e-5, f64 = 1e-12 }

TestCuda = {}

-- Same shape, dtype and elements; NaN equals NaN.
local function same(cuda, cpu, label)
  local back = cuda:to "cpu"
  lu.assertEquals(back.shape, cpu.shape, label)
  lu.assertEquals(back.dtype, cpu.dtype, label)
  local a, b, rtol = rows.flat(back), rows.flat(cpu), RTOL[cpu.dtype]
  for k = 1, #b do
    local x, y = a[k], b[k]
    if rtol and x ~= y and (x == x or y == y) then
      lu.assertTrue(math.abs(x - y) <= rtol * math.max(math.abs(y), 1e-3), ("%s: element %d is %s, on the CPU %s"):format(label, k, x, y))
    elseif not rtol then
      lu.assertEquals(x, y, label)
    end
  end
end

local function moved(args)
  local copy = { n = args.n, label = args.label }
  for k = 1, args.n do copy[k] = rows.is_tensor(args[k]) and args[k]:to(there) or args[k] end
  return copy
end

-- Strides are part of a case: what is moved to a device is contiguous there, so a transposed operand is transposed again.
local function strided(t) return t:dim() == 2 and t:transpose(1, 2):clone():transpose(1, 2) or t end

local function compare(row, dtype)
  local done = 0
  for _, args in ipairs(rows.cases(row, dtype, dtype == "i64" and "-9:9" or nil)) do
    local ok, expected = pcall(rows.call, row, args)
    if ok and rows.is_tensor(expected) then
      local on_device = moved(args)
      for turn = 1, 2 do
        local any = false
        for k = 1, args.n do any = any or rows.is_tensor(args[k]) end
        if any then same(rows.call(row, on_device), expected, ("%s, %s, turn %d"):format(args.label, dtype, turn)) done = done + 1 end
        for k = 1, args.n do if rows.is_tensor(on_device[k]) then on_device[k] = strided(on_device[k]) end end
      end
    end
  end
  return done
end

local function types(row)
  if row.class == "logic" then return { "bool" } end
  if row.class == "whole" then return { "i64" } end
  if row.class == "float" then return { "f32", "f64" } end
  return { "f32", "f64", "i64" }
end

local n_rows, n_cases = 0, 0
for _, row in ipairs(rows.all) do
  if row.elementwise then
    n_rows = n_rows + 1
    TestCuda["test_row_" .. row.name] = function()
      local _ <close> = ms.scope()
      local done = 0
      for _, dtype in ipairs(types(row)) do done = done + compare(row, dtype) end
      lu.assertTrue(done >= 4, "too few cases")
      n_cases = n_cases + done
    end
  end
end

function TestCuda.test_y_small_integers_and_bools()
  local _ <close> = ms.scope()
  for _, dtype in ipairs { "i32", "u8" } do
    local x, y = ms.tensor({ 7, 2, 200, 0, 5 }, { dtype = dtype }), ms.tensor({ 3, 4, 100, 1, 5 }, { dtype = dtype })
    for _, name in ipairs { "add", "mul", "sub", "maximum", "lt", "eq", "remainder", "bitwise_left_shift", "gcd", "pow" } do
      same(ms[name](x:to(there), y:to(there)), ms[name](x, y), name .. " " .. dtype)
    end
    same(ms.where(x:to(there):gt(4), x:to(there), y:to(there)), ms.where(x:gt(4), x, y), "where " .. dtype)
    same(ms.clamp(x:to(there), 1, 6), ms.clamp(x, 1, 6), "clamp " .. dtype)
  end
end

function TestCuda.test_y_sizes()
  local _ <close> = ms.scope()
  for _, n in ipairs { 0, 1, 2, 255, 256, 257, 20000 } do
    local x = ms.arange(1, n + 1)
    same(x:to(there) * 2 + 1, x * 2 + 1, "n = " .. n)
    same(x:to(there):exp2():cast "f64", x:exp2():cast "f64", "n = " .. n)
  end
  local x = ms.randn { 3, 4, 5, 2, 3 }
  local p = x:permute { 4, 2, 5, 1, 3 }
  same(x:to(there):permute({ 4, 2, 5, 1, 3 }):contiguous(), p:contiguous(), "permuted")
  same(x:to(there):permute { 4, 2, 5, 1, 3 } + ms.arange(1, 5):to(there), p + ms.arange(1, 5), "permuted and broadcast")
  same(x:to(there):slice(3, 2, 2, 2) * x:to(there):flip():slice(3, 1, 2, 2), x:slice(3, 2, 2, 2) * x:flip():slice(3, 1, 2, 2), "sliced")
end

function TestCuda.test_y_casts()
  local _ <close> = ms.scope()
  local inf = math.huge
  local list = { 0, 1, -1.5, 2.5, 300, -300, 3e9, -3e9, 1e19, -1e19, inf, -inf, 0 / 0, 65519, 1e-7, 1.0009765625 }
  local from = ms.tensor(list, { dtype = "f64" })
  local all = { "f32", "f64", "bf16", "f16", "i64", "i32", "u8", "bool" }
  for _, a in ipairs(all) do
    local x = from:cast(a)
    for _, b in ipairs(all) do same(x:to(there):cast(b):cast "f64", x:cast(b):cast "f64", a .. " to " .. b) end
  end
end

function TestCuda.test_y_what_is_made()
  local _ <close> = ms.scope()
  local o = { device = there }
  for _, dtype in ipairs { "f32", "f64", "i64", "i32", "u8" } do
    local function with(t) t.dtype = dtype return t end
    same(ms.full({ 2, 3 }, 7, with { device = there }), ms.full({ 2, 3 }, 7, with {}), "full " .. dtype)
    same(ms.arange(1, 40, 3, with { device = there }), ms.arange(1, 40, 3, with {}), "arange " .. dtype)
    same(ms.linspace(0, 12, 5, with { device = there }), ms.linspace(0, 12, 5, with {}), "linspace " .. dtype)
    same(ms.eye(3, 4, with { device = there }), ms.eye(3, 4, with {}), "eye " .. dtype)
    local x = ms.zeros({ 3, 2 }, with { device = there })
    x:transpose(1, 2):fill_(5)
    x:select(1, 2):copy_(ms.full({ 2 }, 9, with { device = there }))
    same(x, ms.tensor({ { 5, 5 }, { 9, 9 }, { 5, 5 } }, with {}), "in place " .. dtype)
  end
  same(ms.arange(0, 1, 0.125, o), ms.arange(0, 1, 0.125), "fractions")
end

-- Rows of ops.def with kernels, and compositions of them.
function TestCuda.test_x_reductions_and_products()
  local _ <close> = ms.scope()
  local names = { "sum", "mean", "prod", "amax", "amin", "argmax", "argmin", "any", "all", "var", "std", "matmul", "matmul_whole",
    "mm", "trace", "flip", "tile", "clone", "contiguous", "cast", "diag", "movedim" }
  for _, name in ipairs(names) do
    local done = compare(rows.by_name[name], "f32") + compare(rows.by_name[name], "f64")
    lu.assertTrue(done >= 4, name)
  end
end

function TestCuda.test_x_reductions_of_all_layouts()
  local _ <close> = ms.scope()
  local x = ms.randn({ 7, 300, 5 }, { dtype = "f64" })
  x:select(1, 2):select(1, 3):fill_(0 / 0)
  local there_x = x:to(there)
  for _, name in ipairs { "sum", "mean", "amax", "amin", "any", "all" } do
    for _, dims in ipairs { { 1 }, { 2 }, { 3 }, { 1, 3 }, { 1, 2 }, { 2, 3 }, { 1, 2, 3 } } do
      local label = name .. " over " .. table.concat(dims, ", ")
      same(ms[name](there_x, dims), ms[name](x, dims), label)
      same(ms[name](there_x:transpose(1, 3), dims), ms[name](x:transpose(1, 3), dims), label .. ", transposed")
    end
  end
  for d = 1, 3 do
    same(there_x:argmax(d), x:argmax(d), "argmax " .. d)
    same((there_x * 0):argmin(d), (x * 0):argmin(d), "ties " .. d)
  end
  local wide = ms.randn({ 3, 20000 }, { dtype = "f64" })
  same(wide:to(there):sum(1), wide:sum(1), "columns")
  for _, dtype in ipairs { "i64", "i32", "u8", "bool" } do
    local n = ms.arange(1, 400):remainder(100):cast(dtype):reshape { 4, 100 }
    for _, name in ipairs { "sum", "prod", "any", "all", "amax", "amin" } do
      if dtype ~= "bool" or name == "any" or name == "all" or name == "sum" then
        same(ms[name](n:to(there), 2), ms[name](n, 2), name .. " of " .. dtype)
      end
    end
  end
  local nothing = ms.zeros { 3, 0 }
  same(nothing:to(there):sum(2), nothing:sum(2), "sum of nothing")
  same(nothing:to(there):mean(2), nothing:mean(2), "mean of nothing")
  same(nothing:to(there):sum(1), nothing:sum(1), "no sums")
end

function TestCuda.test_x_products_of_all_sizes()
  local _ <close> = ms.scope()
  for _, s in ipairs { { 1, 1, 1 }, { 65, 70, 33 }, { 64, 16, 64 }, { 3, 0, 2 }, { 0, 3, 2 }, { 1, 200, 5 }, { 130, 5, 1 } } do
    local a, b = ms.randn({ s[1], s[2] }, { dtype = "f64" }), ms.randn({ s[2], s[3] }, { dtype = "f64" })
    local label = table.concat(s, " x ")
    same(a:to(there):matmul(b:to(there)), a:matmul(b), label)
    local at, bt = a:transpose(1, 2):contiguous(), b:transpose(1, 2):contiguous()
    same(at:to(there):transpose(1, 2):matmul(bt:to(there):transpose(1, 2)), a:matmul(b), label .. ", transposed")
    same(ms.matmul(at:to(there), bt:to(there), { ta = true, tb = true }), a:matmul(b), label .. ", ta, tb")
  end
  local a, b = ms.randn({ 3, 1, 9, 20 }, { dtype = "f64" }), ms.randn({ 2, 20, 7 }, { dtype = "f64" })
  same(a:to(there):matmul(b:to(there)), a:matmul(b), "batches")
end

-- A network by hand: losses and weights follow the CPU's.
function TestCuda.test_x_training()
  local function train(device)
    local _ <close> = ms.scope()
    ms.seed(3)
    local o = { device = device, dtype = "f64" }
    local x, w = ms.randn({ 40, 10 }, o), ms.randn({ 10, 6 }, o)
    local v, losses = ms.randn({ 6, 1 }, o), {}
    w.requires_grad, v.requires_grad = true, true
    local y = x:sum(2, { keepdim = true }):sin()
    for k = 1, 20 do
      local loss = ((x:matmul(w):tanh():matmul(v) - y) ^ 2):mean()
      local gw, gv = table.unpack(ms.grad(loss, { w, v }))
      ms.no_grad(function() w:sub_(gw * 0.05) v:sub_(gv * 0.05) end)
      losses[k] = loss:item()
    end
    return losses
  end
  local a, b = train(there), train "cpu"
  lu.assertTrue(b[20] < 0.7 * b[1])
  for k = 1, 20 do lu.assertAlmostEquals(a[k], b[k], 1e-8) end
end

-- The same numbers, bit by bit.
function TestCuda.test_y_random_numbers()
  local _ <close> = ms.scope()
  local makers = {
    function(d, f) return ms.rand({ 1001 }, -1, 3, { device = d, dtype = f }) end,
    function(d, f) return ms.randn({ 1001 }, 1, 2, { device = d, dtype = f }) end,
    function(d, f) return ms.bernoulli({ 1001 }, 0.3, { device = d, dtype = f }) end,
    function(d, f) return ms.randint(-3, 70, { 1001 }, { device = d, dtype = f }) end,
    function(d) return ms.randperm(101, { device = d }) end,
  }
  for k, make in ipairs(makers) do
    for _, dtype in ipairs { "f32", "f64" } do
      ms.seed(11 * k)
      local a = make(there, dtype)
      ms.seed(11 * k)
      lu.assertEquals(rows.flat(a:to "cpu"), rows.flat(make("cpu", dtype)), "maker " .. k)
    end
  end
end

function TestCuda.test_y_gradients()
  local _ <close> = ms.scope()
  local function slope(device)
    local x = ms.linspace(-2, 2, 12, { device = device, dtype = "f64" }):reshape { 3, 4 }
    x.requires_grad = true
    local y = (x:tanh() * x:exp() + x ^ 3):sigmoid()
    y:backward(ms.ones({ 3, 4 }, { device = device, dtype = "f64" }))
    return x.grad
  end
  same(slope(there), slope "cpu", "gradient")
end

function TestCuda.test_z_what_has_no_kernel_is_an_error_that_names_it()
  local _ <close> = ms.scope()
  local x = ms.ones({ 2, 2 }, { device = there })
  checks.fails("cumsum: no kernel for 2 x 2 f32", function() return x:cumsum(1) end)
  lu.assertEquals((x + 1):to("cpu"):sum():item(), 8)
end

function TestCuda.test_z_memory()
  checks.fails("out of memory on cuda:0", function() return ms.zeros({ 1 << 29 }, { device = there }) end)
  checks.fails("no cuda:3: the driver knows 1 device, cuda:0", ms.device, "cuda:3")
  local _ <close> = ms.scope()
  lu.assertEquals(ms.full({ 3 }, 2, { device = there }):to("cpu"):sum():item(), 6) -- and goes on
  lu.assertTrue(ms.memory("cuda").live > 0)
end

function TestCuda.test_zz_rows_counted()
  lu.assertTrue(n_rows > 80)
  if lu.LuaUnit.patternIncludeFilter == nil then lu.assertTrue(n_cases > 1500, n_cases) end
end
