-- Every row against the values PyTorch gives (tests/data/parity/FAMILY.json, made by tests/peers/make_parity.py), in f64 and in f32:
-- values, shapes, dtypes. Then gradients at the points where a rule has to choose: kinks, ties, zeros, saturation.
-- A row without kept values is pending: it is skipped by name, and fails only in CI, and only if PyTorch has a function of its name.
-- gcstress: every 100
-- luacheck: globals TestParity32 TestParity64 TestParityGradients TestParityRows
local lu = require "luaunit"
local ms = require "mascon"
local json = require "mascon.json"
local inside = require "mascon.inside"
local rows = require "rows"

local data = { rows = {}, gradients = nil, torch = nil } -- row -> cases, expressions with their gradients, version of PyTorch
local counts = {} -- words per family, for the reader of the test's output
local files <close> = assert(io.popen "ls tests/data/parity/*.json")
for path in files:lines() do
  local file <close> = assert(io.open(path))
  local family, n, cases = json.decode(file:read "a"), 0, 0
  data.torch, data.gradients = family.torch, family.gradients or data.gradients
  for row, list in pairs(family.rows or {}) do
    assert(not data.rows[row], row .. ": kept in two families")
    data.rows[row], n, cases = list, n + 1, cases + #list
  end
  counts[#counts + 1] = ("compared: PyTorch's values of %s: %s"):format(path:match "([^/]+)%.json$",
    (family.gradients or family.expressions) and ("%d expressions"):format(#(family.gradients or family.expressions)) or
    ("%d rows, %d cases"):format(n, cases))
end

local RTOL = { f64 = 1e-12, f32 = 1e-5 }
local FLOOR = { f64 = 1e-14, f32 = 1e-30 }
-- Where results are sums whose terms may cancel (rows that are not elementwise), f32 can do no better than this share of the largest one.
local CANCELLED = { f64 = 1e-15, f32 = 2 ^ -22 }

-- ---- from the file to arguments ---------------------------------------------------------------------------------------------

local words = { inf = math.huge, ["-inf"] = -math.huge, nan = math.abs(0 / 0) } -- abs: without a sign
local function number(v) return words[v] or v end

-- f64 in the file stands for the floating dtype of the run.
local function tensor(t, dtype)
  local flat = {}
  for k, v in ipairs(t.v) do flat[k] = number(v) end
  return rows.tensor(t.shape, flat, t.dtype == "f64" and dtype or t.dtype)
end

local function argument(v, dtype)
  if type(v) ~= "table" then return number(v) end
  if v.shape then return tensor(v, dtype) end
  local out = {}
  for k, w in pairs(v.options or v) do out[k] = argument(w, dtype) end
  return out
end

local function arguments(list, dtype)
  local args = { n = #list }
  for k, v in ipairs(list) do
    args[k] = argument(v, dtype)
    for i, t in ipairs(type(v) == "table" and v or {}) do -- a list of tensors: step counts of an optimizer are f64 always
      if type(t) == "table" and t.shape and #t.shape == 0 then args[k][i] = tensor(t, "f64") end
    end
  end
  return args
end

-- ---- comparing ------------------------------------------------------------------------------------------------------------------

-- A number as f32 would hold it: too large for f32 is infinite there.
local function rounded(v, dtype)
  if dtype ~= "f32" then return v end
  return (string.unpack("f", string.pack("f", v)))
end

local function near(got, want, dtype, floor)
  if want ~= want then return got ~= got end
  if got == want or math.abs(want) == math.huge then return got == want end
  return math.abs(got - want) <= math.max(RTOL[dtype] * math.abs(want), floor or FLOOR[dtype])
end

local truth = { [true] = 1, [false] = 0 }

local function compare(what, got, want, dtype, elementwise)
  lu.assertTrue(rows.is_tensor(got), what .. ": expected a tensor")
  local expected = dtype == "f32" and want.dtype[2] or want.dtype[1]
  lu.assertEquals(got.dtype, expected, what .. ": dtype")
  lu.assertEquals(got.shape, want.shape, what .. ": shape")
  local tolerance, floor = RTOL[expected] and dtype or "f64", nil
  for _, v in ipairs(elementwise and {} or want.v) do
    local size = math.abs(number(v))
    if size < math.huge then floor = math.max(floor or FLOOR[tolerance], CANCELLED[tolerance] * size) end
  end
  for k, v in ipairs(rows.flat(got)) do
    v = truth[v] or v
    local w = rounded(number(want.v[k]), expected)
    if not near(v, w, tolerance, floor) then lu.fail(("%s: element %d: got %.17g, PyTorch gives %.17g"):format(what, k, v, w)) end
  end
end

local function value_of(row, args, name)
  for k, a in ipairs(row.args) do
    local options = args[args.n]
    options = type(options) == "table" and not options[1] and options or {}
    if a.name == name then return options[name] or args[k] end
  end
end

local function check(name, dtype)
  local row = rows.by_name[name]
  for k, case in ipairs(data.rows[name]) do
    local what = ("%s, case %d in %s"):format(name, k, dtype)
    local args = arguments(case.args, dtype)
    local results = table.pack(rows.call(row, args))
    if case.out then
      lu.assertEquals(results.n, #case.out, what .. ": number of results")
      for j, want in ipairs(case.out) do compare(("%s, result %d"):format(what, j), results[j], want, dtype, row.elementwise) end
    end
    for arg, list in pairs(case.after or {}) do
      local changed = value_of(row, args, arg)
      changed = rows.is_tensor(changed) and { changed } or changed
      lu.assertEquals(#changed, #list, what)
      for j, want in ipairs(list) do compare(("%s, %s %d afterwards"):format(what, arg, j), changed[j], want, dtype) end
    end
  end
end

TestParity64, TestParity32 = {}, {}
for name in pairs(data.rows) do
  TestParity64["test_" .. name] = function() check(name, "f64") end
  TestParity32["test_" .. name] = function() check(name, "f32") end
end

-- ---- gradients ------------------------------------------------------------------------------------------------------------------

TestParityGradients = {}
for _, entry in ipairs(data.gradients) do
  local expression, values, wanted = table.unpack(entry)
  TestParityGradients["test_" .. expression] = function()
    local x = ms.tensor(values, { dtype = "f64", requires_grad = true })
    local y = assert(load("local ms, x = ... return " .. expression))(ms, x)
    local weights = ms.arange(1, y:numel(), { dtype = "f64" }):reshape(y.shape)
    local dx = ms.grad((y * weights):sum(), x)
    for k, v in ipairs(rows.flat(dx:detach())) do
      local want = number(wanted[k])
      if not near(v, want, "f64") then lu.fail(("d/dx at %g: got %.17g, PyTorch gives %.17g"):format(values[k], v, want)) end
    end
  end
end

-- ---- which rows ---------------------------------------------------------------------------------------------------------------

TestParityRows = {}

local without_counterpart = {
  prefer = "the derivative of maximum as an operation; PyTorch has it inside its rule only",
  sinc_slope = "derivatives of sinc, of any order: test_special.lua",
  bessel_i = "i0 and i1, which are compared, and their derivatives: test_special.lua", bessel_ie = "i0e and i1e, likewise",
  rrelu = "random while training: test_special.lua",
  rand = "random: test_random.lua", randn = "random: test_random.lua", randint = "random: test_random.lua",
  bernoulli_of = "random: test_draws.lua", multinomial = "random: test_draws.lua", normal = "random: test_draws.lua",
  uniform_ = "random: test_draws.lua", normal_ = "random: test_draws.lua", bernoulli_ = "random: test_draws.lua",
  random_ = "random: test_draws.lua",
  bernoulli = "random: test_random.lua", randperm = "random: test_random.lua", dropout = "random: test_random.lua",
  dropout1d = "random: test_layers.lua", dropout2d = "random: test_layers.lua", alpha_dropout = "random: test_layers.lua",
  feature_alpha_dropout = "random: test_layers.lua",
}

local torch_has = {} -- the names of PyTorch's functions
for name in io.lines "tests/data/parity/torch_functions.txt" do torch_has[name] = name:find "^%a" ~= nil end

-- What is to be done about a row: "compared", "excused", "pending" (nothing yet) or "missing" (an error). kept: there are values for it.
local function verdict(name, kept, ci)
  if kept then return "compared" end
  if without_counterpart[name] then return "excused" end
  return ci and torch_has[name] and "missing" or "pending"
end

local ci = os.getenv "CI" == "true"
for _, row in ipairs(rows.all) do
  local what = verdict(row.name, data.rows[row.name] ~= nil, ci)
  if what == "pending" or what == "missing" then
    TestParityRows["test_values_of_" .. row.name] = function()
      local message = ("%s: no values to compare with are kept%s: see README, Values to compare with"):format(row.name,
        torch_has[row.name] and ", and PyTorch has such a function" or "")
      if what == "missing" then lu.fail(message) end
      lu.skip(message)
    end
  end
end

function TestParityRows.test_a_row_without_values_fails_only_in_ci_and_only_if_pytorch_has_it()
  lu.assertEquals({ verdict("hypot", false, true), verdict("hypot", false, false), verdict("cube", false, true) },
    { "missing", "pending", "pending" })
  lu.assertEquals({ verdict("exp", true, true), verdict("dropout", false, true) }, { "compared", "excused" })
end

function TestParityRows.test_what_is_compared_is_a_row_and_what_is_excused_is_not_compared()
  for name in pairs(data.rows) do lu.assertNotNil(rows.by_name[name], name .. " is compared but is no row") end
  for name in pairs(without_counterpart) do
    lu.assertNotNil(rows.by_name[name], name .. " is excused but is no row")
    lu.assertNil(data.rows[name], name .. " is excused and compared")
  end
end

function TestParityRows.test_every_row_is_compared_on_three_shapes_or_more()
  for name, cases in pairs(data.rows) do lu.assertTrue(#cases >= 3, name) end
end

function TestParityRows.test_prefer()
  local x, y = ms.tensor { 1, 2, 3 }, ms.tensor { 2, 2, 2 }
  lu.assertEquals(inside.prefer(x, y):totable(), { 0, 0.5, 1 })
end

function TestParityRows.test_what_is_compared_is_told()
  lu.assertTrue(#counts >= 9)
  for _, line in ipairs(counts) do print(line) end
end

function TestParityRows.test_the_file_names_the_version_of_torch() lu.assertStrMatches(data.torch, "%d+%.%d+.*") end
