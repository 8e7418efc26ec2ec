-- The dtype of mixed operands is PyTorch's, for all pairs of dtypes, of tensors with dimensions, tensors of rank 0 and numbers.
-- Two differences are meant: truth values that are added or multiplied are numbers here (a mask plus a mask counts), so bool and bool
-- give i64; and the numbers 0 and 1 in a choice of truth values are truth values.
-- gcstress: every 100
-- luacheck: globals TestDtypes
local lu = require "luaunit"
local ms = require "mascon"
local json = require "mascon.json"

TestDtypes = {}

local kept
do
  local file <close> = assert(io.open "tests/data/parity_dtypes.json")
  kept = json.decode(file:read "a").dtypes
end

local plain = { int = 1, float = 1.0, bool = true }
local function operand(word)
  local dtype, shape = word:match "^(%w+)%[(%d?)%]$"
  if not dtype then return plain[word] end
  return ms.ones(shape == "" and {} or { 2 }, { dtype = dtype })
end

function TestDtypes.test_every_pair()
  local choice, pairs_compared = ms.tensor { true, false }, 0
  for _, line in ipairs(kept) do
    local left, right, result, product, power = table.unpack(line)
    local a, b, what = operand(left), operand(right), left .. " and " .. right
    local truth = left:sub(1, 4) == "bool" and right == "int" or left == "int" and right:sub(1, 4) == "bool"
    lu.assertEquals(ms.where(choice, a, b).dtype, truth and "bool" or result, "where of " .. what)
    local want = product == "bool" and "i64" or product
    lu.assertEquals(ms.mul(a, b).dtype, want, "product of " .. what)
    lu.assertEquals(ms.add(a, b).dtype, want, "sum of " .. what)
    local integers = { i64 = true, i32 = true, u8 = true, bool = true }
    lu.assertEquals(ms.div(a, b).dtype, integers[result] and "f32" or result, "quotient of " .. what)
    if power ~= json.null and power and power ~= "bool" then lu.assertEquals(ms.pow(a, b).dtype, power, "power of " .. what) end
    pairs_compared = pairs_compared + 1
  end
  lu.assertEquals(pairs_compared, #kept)
  print(("compared: PyTorch's dtypes of mixed operands: %d pairs"):format(#kept))
end

function TestDtypes.test_a_tensor_of_rank_0_does_not_widen_and_gradients_have_their_own_dtype()
  local x = ms.tensor({ 1, 2 }, { requires_grad = true })
  local s = ms.tensor(3, { dtype = "f64", requires_grad = true })
  local y = x * s
  lu.assertEquals(y.dtype, "f32")
  local dx, ds = table.unpack(ms.grad(y:sum(), { x, s }))
  lu.assertEquals({ dx.dtype, ds.dtype, ds:item() }, { "f32", "f64", 3 })
  lu.assertEquals((ms.tensor({ 250, 10 }, { dtype = "u8" }) + ms.tensor(10, { dtype = "i64" })):totable(), { 4, 20 })
  lu.assertEquals((ms.ones({ 2 }, { dtype = "i64" }) * ms.tensor(0.5, { dtype = "f64" })).dtype, "f64")
end

function TestDtypes.test_integers_to_a_power_are_integers()
  local x = ms.tensor({ 2, -3, 0 }, { dtype = "i64" })
  lu.assertEquals((x ^ 3):totable(), { 8, -27, 0 })
  lu.assertEquals((ms.tensor({ 3 }, { dtype = "i64" }) ^ 39):item(), 4052555153018976267)
  lu.assertEquals((x ^ 0):totable(), { 1, 1, 1 })
  lu.assertEquals((x ^ 0.5).dtype, "f32")
  lu.assertEquals((x ^ 2.0).dtype, "f32")
  lu.assertErrorMsgContains("pow: 3 i64 to the power -1, expected a power from 0 on", function() return x ^ -1 end)
  lu.assertEquals(ms.pow(ms.tensor({ 1, -1, 2 }, { dtype = "i64" }), ms.tensor({ -3, -3, -1 }, { dtype = "i64" })):totable(), { 1, -1, 0 })
  lu.assertEquals((ms.tensor({ 7 }, { dtype = "u8" }) ^ 3):item(), 343 - 256)
  lu.assertEquals(ms.pow(2, ms.tensor({ 10, 3 }, { dtype = "i64" })):totable(), { 1024, 8 })
  lu.assertEquals(ms.pow(2, -1), 0.5)
end
