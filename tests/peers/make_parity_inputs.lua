-- mascon tests/peers/make_parity_inputs.lua >inputs.json: the arguments for make_parity.py. Every row gets the cases of its sample, and
-- what stands here beside it: values further out, ties, whole numbers, infinities.
package.path = "tests/lua/?.lua;" .. package.path
local rows = require "rows"

-- Samples in addition to a row's own (the same language), from the files of the families: name -> samples.
local more = {}
local files <close> = assert(io.popen "ls tests/peers/parity/*.lua")
for path in files:lines() do
  for name, sample in pairs(assert(loadfile(path))()) do
    assert(not more[name], name .. ": samples in two files")
    more[name] = sample
  end
end

local infinite, nan = math.huge, 0 / 0
local special = { infinite, -infinite, nan, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2 ^ -30, -2 ^ -30, 2 ^ -10, 90.0, -90.0, 1024.0, -1024.0 }
local pairs_of = { 0.0, 1.0, -1.0, 2.5, -2.5, infinite, -infinite, nan }

-- ---- writing: tensors become {"dtype": "f64", "shape": [...], "v": [...]}, options {"options": {...}} --------------------

local text
local function number(x)
  if x ~= x then return '"nan"' end
  if x == infinite then return '"inf"' end
  if x == -infinite then return '"-inf"' end
  if math.type(x) == "float" and x == 0 then return 1 / x < 0 and "-0.0" or "0" end
  return math.type(x) == "integer" and ("%d"):format(x) or ("%.17g"):format(x)
end

local function list(t)
  local parts = {}
  for k = 1, rawget(t, "n") or #t do parts[k] = text(t[k]) end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function sorted_keys(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys)
  return keys
end

local function object(t)
  local parts = {}
  for _, k in ipairs(sorted_keys(t)) do parts[#parts + 1] = ('"%s":%s'):format(k, text(t[k])) end
  return "{" .. table.concat(parts, ",") .. "}"
end

function text(v)
  if type(v) == "number" then return number(v) end
  if type(v) == "string" then return '"' .. v .. '"' end
  if type(v) == "boolean" then return tostring(v) end
  if rows.is_tensor(v) then return ('{"dtype":"%s","shape":%s,"v":%s}'):format(v.dtype, list(v:size()), list(rows.flat(v))) end
  if next(v) ~= nil and #v == 0 then return '{"options":' .. object(v) .. "}" end
  return list(v)
end

local function cases_of(row)
  local cases = {}
  local function add(args) cases[#cases + 1] = { n = args.n, table.unpack(args, 1, args.n) } end
  local function add_all(all)
    for _, args in ipairs(all) do add(args) end
  end
  if row.sample ~= "" then add_all(rows.cases(row, "f64")) end
  if more[row.name] then add_all(rows.cases(row, "f64", more[row.name])) end
  local function f64(flat) return rows.tensor({ #flat }, flat, "f64") end
  if row.elementwise and not row.integers and row.arity == 1 then add { n = 1, f64(special) } end
  if row.elementwise and not row.integers and row.arity == 2 then
    local x, y = {}, {}
    for _, a in ipairs(pairs_of) do
      for _, b in ipairs(pairs_of) do x[#x + 1], y[#y + 1] = a, b end
    end
    add { n = 2, f64(x), f64(y) }
  end
  if row.class == "arith" or row.class == "compare" or row.class == "logic" then -- whole numbers, with ties
    local g = rows.generator(row.name .. " whole")
    local args = { n = row.arity }
    for k = 1, row.arity do
      local flat = {}
      for j = 1, 6 do flat[j] = g:below(5) - 2 end
      args[k] = rows.tensor({ 2, 3 }, flat, "i64")
    end
    add(args)
  end
  return cases
end

local parts = {}
for _, row in ipairs(rows.all) do
  local cases = {}
  for k, args in ipairs(cases_of(row)) do cases[k] = list(args) end
  parts[#parts + 1] = ('"%s":{"signature":"%s","random":%s,"cases":[%s]}'):format(row.name, row.signature, tostring(row.random),
    table.concat(cases, ",\n"))
end
io.write("{", table.concat(parts, ",\n"), "}\n")
