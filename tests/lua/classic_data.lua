-- classic_data: the data sets of tests/data for tests of ms.ml (tests/peers/make_classic_data.py), expected figures, comparisons.
local lu = require "luaunit"
local ms = require "mascon"
local classic = { iris = { x = {}, y = {} }, train = { x = {}, y = {} }, test = { x = {}, y = {} } }

local iris = classic.iris
for line in io.lines "tests/data/iris.csv" do
  local row = {}
  for v in line:gmatch "[^,]+" do row[#row + 1] = tonumber(v) end
  iris.y[#iris.y + 1] = math.tointeger(table.remove(row))
  iris.x[#iris.x + 1] = row
end

for line in io.lines "tests/data/digits.csv" do
  local place, class, symbols = line:match "^(-?%d+),(%d+),(%w+)$"
  local row = {}
  for c in symbols:gmatch "." do row[#row + 1] = tonumber(c, 17) end
  local half = tonumber(place) > 0 and classic.train or classic.test
  half.x[math.abs(place)], half.y[math.abs(place)] = row, math.tointeger(tonumber(class))
end
for _, set in ipairs { iris, classic.train, classic.test } do set.x, set.y = ms.tensor(set.x), ms.tensor(set.y, { dtype = "i64" }) end

-- expected(name) -> name -> numbers, of tests/data/NAME.csv
function classic.expected(name)
  local out = {}
  for line in io.lines("tests/data/" .. name .. ".csv") do
    local key, rest = line:match "^([^,]+),(.*)$"
    out[key] = {}
    for v in rest:gmatch "[^,]+" do table.insert(out[key], tonumber(v)) end
  end
  return out
end

function classic.flat(t) return t:reshape { -1 }:totable() end

-- The numbers of a tensor are those of a list, as far as `tol` apart.
function classic.near(t, list, tol)
  local got = classic.flat(t)
  lu.assertEquals(#got, #list)
  for i, v in ipairs(list) do lu.assertAlmostEquals(got[i], v, tol) end
end

function classic.same(a, b)
  lu.assertEquals(a.shape, b.shape)
  lu.assertEquals(a.dtype, b.dtype)
  lu.assertEquals(a:totable(), b:totable())
end

-- f(...) raises a message that has `part`, and names a line of a script.
function classic.fails(part, f, ...)
  local ok, message = pcall(f, ...)
  lu.assertFalse(ok, "expected an error with: " .. part)
  lu.assertStrContains(message, part)
  lu.assertStrMatches(message, ".*[%w_]+%.lua:%d+: .*")
end

-- f() with one thread and with two: the same tensors.
function classic.on_threads(f)
  local before, results = ms.threads(), {}
  for n = 1, 2 do
    ms.threads(n)
    results[n] = f()
  end
  ms.threads(before)
  for k, t in ipairs(results[1]) do classic.same(t, results[2][k]) end
end

return classic
