-- mascon tests/peers/make_parity_inputs.lua >inputs.json: the arguments for make_parity.py. Every row gets the cases of its sample, and
-- what stands here beside it: values further out, ties, whole numbers, infinities.
package.path = "tests/lua/?.lua;" .. package.path
local rows = require "rows"

-- Samples in addition to a row's own (the same language).
local more = {
  acos = "-1:1", asin = "-1:1", atan = "-50:50", atan2 = "-2:2", ceil = "-7:7", clamp = "-3:3,-1:0,0:1",
  div = "-2:2,-9:-0.1", floor = "-7:7",
  cosh = "-9:9", sinh = "-9:9", tanh = "-9:9", exp = "-20:20", expm1 = "-20:20", log = "0.001:900", log1p = "-0.99:90", sigmoid = "-30:30",
  softplus = "-30:30", logsigmoid = "-30:30", gelu = "-6:6", silu = "-20:20", erf = "-4:4", lgamma = "-3.9:30", digamma = "-3.9:30",
  sin = "-90:90", cos = "-90:90", tan = "-20:20", pow = "0.1:9,-4:4",
  floor_div = "-7:7,0.3:2", fmod = "-7:7,-2:-0.3", remainder = "-7:7,-2:-0.3", round = "-7:7", trunc = "-7:7",
  fill_ = "{n(2,3), 1.5}, {n(3,2):transpose(1,2), -2}, {n(1), 0}",
  copy_ = "{n(2,3), n(2,3)}, {n(2,3), n(3)}, {n(3,2):transpose(1,2), n(2,1)}",
  sum = "{i(9,2,3)}, {b(4,3), 1}, {i(9,2,3,2), {1,3}}", cumsum = "{i(9,5), 1}, {b(2,3), 2}, {i(9,2,3), 1}",
  amax = "{i(9,2,3)}, {i(3,4,3), 1}, {n(2,3,4):transpose(1,3), 2}", argmax = "{i(3,5,4), 1}, {i(3,5,4), 2}, {n(3,4):transpose(1,2), 1}",
  argmin = "{i(3,5,4), 1}, {i(3,5,4), 2}, {n(3,4):transpose(1,2), 1}", norm = "{n(4,3), 3, 1}, {n(2,5), math.huge}, {n(4), 0.5}",
  sort = "{i(3,12)}, {i(3,2,9), -1, true}, {n(40)}", prod = "{n(3,4), -1}, {n(2,2,7), 3}, {n(1,1), 1}",
  batch_norm = [[{n(4,3), u(0.5,1.5,3), n(3), n(3), u(0.5,2,3)}, {n(2,3,4,4), u(0.5,1.5,3), n(3), n(3), u(0.5,2,3), false},
    {n(3,2,2,2), {running_mean = n(2), running_var = u(0.5,2,2), momentum = 0.3, eps = 0.001}}]],
  batch_norm_follow_ = [[{n(3), u(0.5,1,3), n(3), u(0.5,1,3), 8}, {n(2), u(0.5,1,2), n(2), u(0.5,1,2), 64, 0.3},
    {n(1), u(1,2,1), n(1), u(0.1,2,1), 2}]],
  sgd_ = [[{{n(2,3), n(2,3)}, 2, 0.1},
    {{n(2,3), n(4), n(2,3), n(4), n(2,3), n(4), s(1), s(1)}, 4, 0.05, {momentum = 0.9, weight_decay = 0.01}},
    {{n(5), n(5), n(5), s(1)}, 4, 0.05, {momentum = 0.9, nesterov = true}},
    {{n(5), n(5), n(5), s(1)}, 4, 0.1, {momentum = 0.5, dampening = 0.25}},
    {{n(5), n(5), n(5), s(0)}, 4, 0.1, {momentum = 0.5, dampening = 0.25}}]],
  adam_ = [[{{n(2,3), n(2,3), z(2,3), z(2,3), s(0)}, 5, 0.001},
    {{n(2), n(3), n(2), n(3), n(2), n(3), u(0.1,1,2), u(0.1,1,3), s(3), s(3)}, 5, 0.01},
    {{n(2,3), n(2,3), n(2,3), u(0.1,1,2,3), s(7)}, 5, 0.01, {beta1 = 0.5, beta2 = 0.9, eps = 0.001, weight_decay = 0.1}},
    {{n(2,3), n(2,3), n(2,3), u(0.1,1,2,3), s(7)}, 5, 0.01, {weight_decay = 0.1, decoupled = true}}]],
  matmul = "{n(1,5):transpose(1,2), n(1,7)}, {n(33,17), n(17,9)}, {n(2,1,3,4), n(5,4,2)}",
  conv2d = "{n(1,3,9,9), n(5,3,3,3), {padding=1}}, {n(2,8,6,5), n(8,1,3,3), {groups=8, padding=1, stride={2,1}}}",
  max_pool2d = "{n(2,2,6,6), 3, {stride=1, padding=1}}, {n(1,1,3,3), 3}",
  interpolate = "{n(1,2,5,4), {3,2}, 'bilinear'}, {n(1,2,5,4), {2,7}}",
  softmax = "{u(-50,50,3,5)}", log_softmax = "{u(-50,50,3,5)}", logsumexp = "{u(-50,50,3,5), 2}",
  cross_entropy = "{u(-50,50,4,5), i(5,4)}",
  bce_with_logits = "{u(-50,50,8), u(0,1,8), 'none'}", one_hot = "{i(3,4), 3, {dtype = 'i64'}}, {i(3,4), 3, 'f64'}",
}

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
  for k = 1, t.n or #t do parts[k] = text(t[k]) end
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
  if rows.is_tensor(v) then return ('{"dtype":"%s","shape":%s,"v":%s}'):format(v.dtype, list(v.shape), list(rows.flat(v))) end
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
  if row.elementwise and row.arity == 1 then add { n = 1, f64(special) } end
  if row.elementwise and row.arity == 2 then
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
