-- Which way a matrix product is computed (kernels/cpu/matmul.c: ways), as step:report() names it; and that the ways agree.
-- luacheck: globals TestProductWays
local lu = require "luaunit"
local ms = require "mascon"

TestProductWays = {}

function TestProductWays:setUp() self.precision, self.threads = ms.precision(), ms.threads() end
function TestProductWays:tearDown()
  ms.precision(self.precision)
  ms.threads(self.threads)
end

-- The way that the report of a compiled f(...) names for its product; nil: none.
local function way_of(f, ...)
  local step = ms.compile(f)
  for _ = 1, 3 do step(...) end
  local line = step:report():match "[^\n]*matmul[^\n]*"
  return line and line:match "%[([%w ]+)%]"
end

local function product(a, b) return ms.matmul(a, b) end
local function by_rows(a, b) return ms.matmul(a, b, { tb = true }) end -- rows of a with rows of b

local CASES = { -- way, function, sizes of a, sizes of b
  { "empty", product, { 3, 0 }, { 0, 4 } }, --
  { "small", product, { 3, 4 }, { 4, 5 } }, --
  { "small", product, { 100, 3, 4 }, { 100, 4, 5 } }, --
  { "dots", by_rows, { 2, 700 }, { 300, 700 } }, --
  { "dots", by_rows, { 300, 700 }, { 1, 700 } }, --
  { "turned", by_rows, { 64, 700 }, { 300, 700 } }, --
  { "turned split", by_rows, { 64, 5000 }, { 100, 5000 } }, --
  { "split", product, { 20, 9000 }, { 9000, 30 } }, --
  { "tile", product, { 256, 300 }, { 300, 400 } }, --
  { "tile", product, { 1, 300 }, { 300, 400 } }, --
  { "tile", product, { 5, 60, 70 }, { 5, 70, 80 } }, -- a batch
}

function TestProductWays.test_reports_name_the_way()
  for _, case in ipairs(CASES) do
    local want, f = case[1], case[2]
    local a, b = ms.randn(case[3]), ms.randn(case[4])
    local what = ("%s times %s"):format(table.concat(case[3], " x "), table.concat(case[4], " x "))
    for threads = 1, 3 do -- the choice, and with it the bits, does not depend on the number of threads
      ms.threads(threads)
      lu.assertEquals(way_of(f, a, b), want, what)
    end
    lu.assertEquals(way_of(f, a:to "f64", b:to "f64"), want, what .. ", f64")
    if want ~= "empty" then -- a product at the head of a chain is named too
      lu.assertEquals(way_of(function(x, y) return f(x, y):relu() * 2 end, a, b), want, what .. ", and a chain")
    end
  end
end

-- Each way against a sum over a broadcast product, in f64.
function TestProductWays.test_all_ways_compute_the_same()
  for _, case in ipairs(CASES) do
    local a, b = ms.randn(case[3]), ms.randn(case[4])
    local got = case[2](a, b):to "f64"
    local right = case[2] == by_rows and b or b:transpose(#case[4] - 1, #case[4])
    if a:numel() > 0 and a:numel() * right:numel() / a.shape[#case[3]] < 2e7 then
      local want = (a:to("f64"):unsqueeze(#case[3]) * right:to("f64"):unsqueeze(#case[4] - 1)):sum(-1)
      lu.assertTrue((got - want):abs():amax():item() <= 1e-5 * a.shape[#case[3]], case[1])
    end
  end
end

function TestProductWays.test_rounded_operands()
  lu.skipIf(not pcall(ms.precision, "bf16"), "this processor has no bf16")
  local a, b = ms.randn { 256, 300 }, ms.randn { 300, 400 }
  local way = way_of(product, a, b)
  lu.assertTrue(way == "amx" or way == "bf16", way)
  lu.assertEquals(way_of(product, ms.randn { 3, 4 }, ms.randn { 4, 5 }), "small")
  lu.assertEquals(way_of(product, a:to "f64", b:to "f64"), "tile")
  ms.precision "f32"
  lu.assertEquals(way_of(product, a, b), "tile")
end
