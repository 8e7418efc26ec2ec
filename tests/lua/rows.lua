-- rows: test cases from the rows of ops.def and elementwise.def.
--
-- rows.cases(row, dtype) draws the arguments the sample of a row describes. The numbers come from a generator of this file, seeded by the
-- row's name: the same on every machine, in every dtype and in every run. They are multiples of 2^-12, so f32 and f64 hold the same values;
-- operand k of an elementwise row has its own remainder modulo 2^-10, so operands are never equal and a kink is at least 2^-12 away.
local ms = require "mascon"
local inside = require "mascon.inside"
local rows = {}

rows.all = ms.ops()
rows.by_name = {}
for _, row in ipairs(rows.all) do
  rows.by_name[row.name] = row
  row.integers = row.class == "whole" or row.name:find "^bitwise_" ~= nil -- takes no floating tensors
end

-- ---- random numbers --------------------------------------------------------------------------------------------------

-- Knuth's 64-bit congruential generator; below(n) gives 0 .. n - 1 from its upper half.
local Generator = {}
Generator.__index = Generator

function rows.generator(name)
  local state = 1
  for i = 1, #name do state = (state ~ name:byte(i)) * 1099511628211 end
  return setmetatable({ state = state }, Generator)
end

function Generator:below(n)
  self.state = self.state * 6364136223846793005 + 1442695040888963407
  return (self.state >> 33) % n
end

-- A multiple of 2^-10 in lo..hi, plus phase * 2^-12 where that stays inside; `apart`: at least that far from 0.
function Generator:number(lo, hi, phase, apart)
  local first, last = math.ceil(lo * 1024), math.floor(hi * 1024) - 1
  local v
  repeat
    v = (first + self:below(last - first + 1)) / 1024 + (phase or 0) / 4096
  until math.abs(v) >= (apart or 0)
  return v
end

local function product(shape)
  local n = 1
  for _, s in ipairs(shape) do n = n * s end
  return n
end
rows.product = product

local function nested(shape, flat, depth, at)
  if depth > #shape then return flat[at], at + 1 end
  local t = {}
  for k = 1, shape[depth] do t[k], at = nested(shape, flat, depth + 1, at) end
  return t, at
end

-- A tensor from a flat list in row-major order.
function rows.tensor(shape, flat, dtype)
  if product(shape) == 0 then return ms.zeros(shape, { dtype = dtype }) end
  return ms.tensor((nested(shape, flat, 1, 1)), { dtype = dtype })
end

-- The elements of a tensor as a flat list in row-major order.
function rows.flat(t)
  if t:dim() == 0 then return { t:item() } end
  return t:reshape { -1 }:totable()
end

local function drawn(shape, dtype, f)
  local flat = {}
  for k = 1, product(shape) do flat[k] = f(k) end
  return rows.tensor(shape, flat, dtype)
end

-- ---- samples of ops.def: Lua argument lists with n, u, d, i, b (explained at the head of ops.def) ------------------------------------

local function environment(g, dtype)
  local env = { math = math }
  function env.n(...) return drawn({ ... }, dtype, function() return g:number(-2, 2) end) end
  function env.u(lo, hi, ...) return drawn({ ... }, dtype, function() return g:number(lo, hi) end) end
  function env.i(k, ...) return drawn({ ... }, "i64", function() return 1 + g:below(k) end) end
  function env.b(...) return drawn({ ... }, "bool", function() return g:below(2) == 1 end) end
  function env.s(v) return rows.tensor({}, { v }, "f64") end -- optimizers count their steps in f64
  function env.z(...) return drawn({ ... }, dtype, function() return 0 end) end
  -- Evenly spaced over -2..2 in random order, at odd multiples of 2^-11: never what n() gives.
  function env.d(...)
    local n, flat = product { ... }, {}
    for k = 1, n do
      flat[k] = math.floor((-2 + 4 * (k - 0.5) / n) * 1024) / 1024 + 1 / 2048
      local j = 1 + g:below(k)
      flat[k], flat[j] = flat[j], flat[k]
    end
    return rows.tensor({ ... }, flat, dtype)
  end
  return env
end

local function cases_of_list(row, dtype, sample)
  local env, list = environment(rows.generator(row.name), dtype), {}
  local chunk = assert(load("return {" .. (sample or row.sample) .. "}", "=sample of " .. row.name, "t", env))
  for k, args in ipairs(chunk()) do
    args.n = #args
    args.label = ("%s, sample %d"):format(row.name, k)
    list[k] = args
  end
  return list
end

-- ---- samples of elementwise.def: an interval per operand -------------------------------------------------------------------

-- "-2:2 !0,0.5:2" -> a list of {lo, hi, apart}, one per operand; the last stands for those that follow.
function rows.intervals(row, sample)
  local list = {}
  for part in ((sample or row.sample) .. ","):gmatch "([^,]*)," do
    local lo, hi = part:match "^%s*(-?[%d.]+):(-?[%d.]+)"
    list[#list + 1] = { math.tointeger(lo) or tonumber(lo), math.tointeger(hi) or tonumber(hi), part:find("!0", 1, true) and 0.1 or 0 }
  end
  for k = #list + 1, row.arity do list[k] = list[k - 1] end
  return list
end

-- Shapes of the operands per case; "number": a Lua number; "default": left out; {transposed = shape}: a strided tensor.
local plans = {
  { { { 2, 3 } }, { { transposed = { 2, 3 } } }, { { 4 } }, { {} }, { { 2, 1, 2 } } },
  { { { 2, 3 }, { 2, 3 } }, { { 3, 1 }, { 1, 4 } }, { { 2, 3 }, { 3 } }, { { 2, 3 }, "number" }, { "number", { 3 } }, { {}, { 2 } },
    { { transposed = { 3, 2 } }, { 2, 3 } }, { { transposed = { 3, 2 } }, { transposed = { 3, 2 } } } },
  { { { 2, 3 }, { 2, 3 }, { 2, 3 } }, { { 3, 1 }, { 1, 4 }, { 4 } }, { { 2, 3 }, "number", "number" }, { { 2, 3 }, "number", { 3 } },
    { { 2, 3 }, { 3 }, "number" }, { { transposed = { 3, 2 } }, { 2, 3 }, {} } },
}
local defaults = { [2] = { { 2, 3 }, "default" }, [3] = { { 2, 3 }, "default", "default" } }

local function operand(g, shape, interval, phase, dtype)
  local function number()
    if dtype == "i64" then return interval[1] + g:below(interval[2] - interval[1] + 1) end
    return g:number(interval[1], interval[2], phase, interval[3])
  end
  local function truth() return g:below(2) == 1 end
  if shape == "number" then return number() end
  local sizes = shape.transposed or shape
  local t = drawn(sizes, dtype, dtype == "bool" and truth or number)
  return shape.transposed and t:transpose(1, 2) or t
end

local function describe(shape)
  if type(shape) == "string" then return shape end
  return shape.transposed and "(" .. table.concat(shape.transposed, " x ") .. ")'" or "(" .. table.concat(shape, " x ") .. ")"
end

local function cases_of_intervals(row, dtype, sample)
  local g, list, of = rows.generator(row.name), {}, rows.intervals(row, sample)
  local function add(plan)
    local args, words = { n = 0 }, {}
    for k, shape in ipairs(plan) do
      if shape ~= "default" then
        local choice = row.class == "choose" and k == 1
        if row.class == "choose" and shape == "number" and plan[3] == "number" and plan[2] == "number" then return end
        args[k] = operand(g, shape, of[k], k - 1, choice and "bool" or row.class == "whole" and "i64" or dtype)
        args.n = k
      end
      words[k] = describe(shape)
    end
    args.label = ("%s of %s"):format(row.name, table.concat(words, ", "))
    list[#list + 1] = args
  end
  for _, plan in ipairs(plans[row.arity]) do add(plan) end
  local has_defaults = pcall(rows.f(row), ms.ones { 1 })
  if row.arity > 1 and has_defaults then add(defaults[row.arity]) end
  return list
end

-- The cases of a row: a list of {arguments..., n = their number, label = words for messages}. `sample`: instead of the row's own.
function rows.cases(row, dtype, sample)
  if row.elementwise then return cases_of_intervals(row, dtype, sample) end
  return cases_of_list(row, dtype, sample)
end

-- ---- calling -------------------------------------------------------------------------------------------------------------------

-- The function of a row: private ones (for derivatives) are not in ms.
function rows.f(row) return row.private and inside[row.name] or ms[row.name] end

function rows.call(row, args) return rows.f(row)(table.unpack(args, 1, args.n)) end

function rows.is_tensor(v) return type(v) == "userdata" end

local floating = { f32 = true, f64 = true, f16 = true, bf16 = true }
function rows.is_float(t) return floating[t.dtype] == true end

-- f(tensor, table it stands in, key) for every tensor among the arguments, those in lists included.
function rows.each_tensor(args, f)
  for k = 1, args.n do
    if rows.is_tensor(args[k]) then
      f(args[k], args, k)
    elseif type(args[k]) == "table" then
      for j, v in pairs(args[k]) do
        if rows.is_tensor(v) then f(v, args[k], j) end
      end
    end
  end
end

-- Has the row a derivative in its k-th argument? Those of lines of elementwise.def that say NONE have none.
function rows.derivable(row, k) return not row.derivatives or row.derivatives[k] ~= "NONE" end

-- May a derivative be asked of the row? Operations that make tensors, change them in place or give no numbers have none, nor those of
-- integers.
function rows.differentiable(row)
  if row.no_grad or row.create or row.mutates or row.integers then return false end
  for k = 1, row.elementwise and row.arity or 1 do
    if rows.derivable(row, k) then return true end
  end
  return false
end

return rows
