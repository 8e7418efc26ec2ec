-- Results do not depend on how the arguments lie in memory.
-- gcstress: every 10
-- luacheck: globals TestLayouts
local lu = require "luaunit"
local ms = require "mascon"
local rows = require "rows"
local checks = require "checks"
local fails, stress = checks.fails, checks.stress

-- ---- layouts: results do not depend on how the arguments lie in memory ----------------------------------------------------------

TestLayouts = {}

local layouts = {
  transposed = function(t)
    local dims = {}
    for d = 1, t:dim() do dims[d] = t:dim() + 1 - d end
    return t:permute(dims):clone():permute(dims)
  end,
  ["every second of a larger tensor"] = function(t)
    local shape = t:size()
    shape[#shape] = 2 * shape[#shape] + 1
    local big = ms.full(shape, 77, { dtype = "f64" }):to(t.dtype)
    local part = big:slice(-1, 2, t:size(-1), 2)
    part:copy_(t)
    return part
  end,
  ["a part in the middle"] = function(t)
    local shape = t:size()
    shape[1] = shape[1] + 2
    local big = ms.full(shape, 77, { dtype = "f64" }):to(t.dtype)
    local part = big:slice(1, 2, t:size(1))
    part:copy_(t)
    return part
  end,
}

local function same(what, got, want)
  lu.assertEquals(got.shape, want.shape, what)
  lu.assertEquals(got.dtype, want.dtype, what)
  local a, b, largest = rows.flat(got), rows.flat(want), 0
  for _, v in ipairs(b) do largest = type(v) == "number" and v == v and math.max(largest, math.abs(v)) or largest end
  for k, v in ipairs(b) do
    local w = a[k]
    local near = v == w or (v ~= v and w ~= w) or type(v) == "number" and math.abs(v - w) <= 1e-6 * largest
    if not near then lu.fail(("%s: element %d: %s, contiguous %s"):format(what, k, tostring(w), tostring(v))) end
  end
end

local function check_layouts(row)
  for _, dtype in ipairs { "f32", "f64" } do
    for _, args in ipairs(rows.cases(row, dtype)) do
      local want = table.pack(rows.call(row, args))
      for name, relay in pairs(layouts) do
        local other = { n = args.n }
        for k = 1, args.n do
          other[k] = args[k]
          if type(args[k]) == "table" then
            other[k] = {}
            for key, v in pairs(args[k]) do other[k][key] = v end
          end
        end
        local relaid = false
        rows.each_tensor(other, function(t, at, key)
          if t:dim() == 0 then return end
          at[key] = relay(t)
          relaid = true
        end)
        if relaid then
          local got = table.pack(rows.call(row, other))
          for k = 1, want.n do same(("%s in %s, %s, result %d"):format(args.label, dtype, name, k), got[k], want[k]) end
        end
      end
    end
  end
end

for _, row in ipairs(rows.all) do
  if row.sample ~= "" and not row.create and not row.random and row.name ~= "view" and row.name ~= "view_as" then
    TestLayouts["test_" .. row.name] = function() check_layouts(row) end
  end
end

function TestLayouts.test_a_broadcast_argument_equals_its_copy()
  for _, row in ipairs(rows.all) do
    if row.elementwise then
      local of = rows.intervals(row)
      local a, b = { n = row.arity }, { n = row.arity }
      for k = 1, row.arity do
        local value = row.class == "choose" and k == 1 and ms.tensor { { true }, { false } } or ms.tensor { { of[k][2] }, { of[k][1] } }
        if row.class == "whole" then value = value:cast "i64" end
        a[k] = value:expand { 2, 5 }
        b[k] = a[k]:clone()
        lu.assertFalse(a[k]:is_contiguous())
      end
      same(row.name, rows.call(row, a), rows.call(row, b))
    end
  end
end

-- Long enough for several threads and for every tail of a vector loop.
function TestLayouts.test_elements_do_not_depend_on_their_neighbours()
  local n = stress and 50 or 3000
  for _, row in ipairs(rows.all) do
    if row.elementwise then
      local g, of, args = rows.generator(row.name), rows.intervals(row), { n = row.arity }
      for k = 1, row.arity do
        local flat = {}
        for j = 1, n do flat[j] = g:number(of[k][1], of[k][2], k - 1, of[k][3]) end
        args[k] = ms.tensor(flat)
        if row.class == "choose" and k == 1 then args[k] = args[k]:gt(0) end
        if row.class == "whole" then args[k] = args[k]:cast "i64" end
      end
      local whole = rows.call(row, args)
      for at = 1, n, n // 7 do
        local count = math.min(1 + at % 19, n - at + 1)
        local part = { n = row.arity }
        for k = 1, row.arity do part[k] = args[k]:slice(1, at, count) end
        same(row.name, whole:slice(1, at, count), rows.call(row, part))
      end
    end
  end
end

function TestLayouts.test_empty_arguments_give_empty_results()
  for _, row in ipairs(rows.all) do
    if row.elementwise then
      local args, broadcast = { n = row.arity }, { n = row.arity }
      for k = 1, row.arity do
        local dtype = row.class == "choose" and k == 1 and "bool" or row.class == "whole" and "i64" or "f32"
        args[k] = ms.zeros({ 2, 0, 3 }, { dtype = dtype })
        broadcast[k] = ms.zeros(k == 1 and { 0, 1 } or { 1, 3 }, { dtype = dtype })
      end
      lu.assertEquals(rows.call(row, args).shape, { 2, 0, 3 }, row.name)
      lu.assertEquals(rows.call(row, broadcast).shape, row.arity == 1 and { 0, 1 } or { 0, 3 }, row.name)
    end
  end
end

function TestLayouts.test_reductions_of_nothing()
  local x = ms.zeros { 2, 0 }
  lu.assertEquals(x:sum(2):totable(), { 0, 0 })
  lu.assertEquals(x:sum(1).shape, { 0 })
  lu.assertEquals(x:prod(2):totable(), { 1, 1 })
  lu.assertEquals(x:any(2):totable(), { false, false })
  lu.assertEquals(x:all(2):totable(), { true, true })
  lu.assertNaN(x:mean():item())
  lu.assertEquals(x:cumsum(2).shape, { 2, 0 })
  lu.assertEquals(x:norm():item(), 0)
  lu.assertEquals(x:softmax(2).shape, { 2, 0 })
  lu.assertEquals((x:sort(2)).shape, { 2, 0 })
  for _, name in ipairs { "amax", "amin", "argmax", "argmin", "max", "min" } do
    fails("nothing to choose from along dimension 2", ms[name], x, 2)
  end
  lu.assertEquals(x:amax(1).shape, { 0 })
  lu.assertEquals(ms.zeros({ 2, 0 }):matmul(ms.zeros { 0, 3 }):totable(), { { 0, 0, 0 }, { 0, 0, 0 } })
  lu.assertEquals(ms.zeros({ 0, 2 }):matmul(ms.zeros { 2, 3 }).shape, { 0, 3 })
end

function TestLayouts.test_reductions_of_one_element()
  local x = ms.tensor { { 3 } }
  for _, name in ipairs { "sum", "mean", "amax", "amin", "norm", "logsumexp" } do
    lu.assertAlmostEquals(ms[name](x):item(), 3, 1e-6, name)
    lu.assertEquals(ms[name](x, { dims = { 1, 2 }, keepdim = true }).shape, { 1, 1 }, name)
    lu.assertAlmostEquals(ms[name](ms.tensor(3)):item(), 3, 1e-6, name)
  end
  lu.assertEquals(x:argmax(2):totable(), { 1 })
  lu.assertEquals(x:var({ 1, 2 }, 0):item(), 0)
end

-- Against plain loops, over shapes that exercise every arrangement of kept and reduced dimensions.
function TestLayouts.test_reductions_against_plain_loops()
  local shape = { 3, 17, 5 }
  local g, flat = rows.generator "loops", {}
  for k = 1, 3 * 17 * 5 do flat[k] = g:number(-2, 2) end
  local fold = {
    sum = function(list) local s = 0 for _, v in ipairs(list) do s = s + v end return s end,
    amax = function(list) return math.max(table.unpack(list)) end,
    amin = function(list) return math.min(table.unpack(list)) end,
  }
  fold.mean = function(list) return fold.sum(list) / #list end
  fold.var = function(list)
    local m, s = fold.mean(list), 0
    for _, v in ipairs(list) do s = s + (v - m) ^ 2 end
    return s / (#list - 1)
  end
  for _, dtype in ipairs { "f32", "f64" } do
    local x = rows.tensor(shape, flat, dtype)
    for _, dims in ipairs { { 1 }, { 2 }, { 3 }, { 1, 2 }, { 1, 3 }, { 2, 3 }, { 1, 2, 3 } } do
      local gone, groups, order = {}, {}, {}
      for _, d in ipairs(dims) do gone[d] = true end
      for k = 0, #flat - 1 do
        local at = { k // 85, k // 5 % 17, k % 5 }
        for d in pairs(gone) do at[d] = "-" end
        local key = table.concat(at, " ")
        if not groups[key] then
          groups[key] = {}
          order[#order + 1] = key
        end
        table.insert(groups[key], flat[k + 1])
      end
      for name, f in pairs(fold) do
        local got = rows.flat(ms[name](x, dims))
        lu.assertEquals(#got, #order)
        for k, key in ipairs(order) do
          lu.assertAlmostEquals(got[k], f(groups[key]), dtype == "f32" and 2e-5 or 1e-12, name .. " over " .. table.concat(dims, ","))
        end
      end
    end
  end
end
