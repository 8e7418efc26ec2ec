-- spices: what makes a program hard to replay. Each program gets a few of them. A spice is a table of
--
--   setup(d)      before the body: tensors that are captured, arguments
--   kinds         { weight, kind } for the body
--   finish(d)     after the body: what is kept, what happens between the calls
--
-- all optional. Here: numbers, texts and tables handed in. Shared memory, results and random numbers are in sharing.lua, families of
-- operations in families.lua, gradients in gradients.lua, layers and optimizers in training.lua.
local program = require "programs.program"
local Draw = require "programs.draw"
local spices = {}

local CALLS = program.CALLS

local function per_call(f)
  local list = {}
  for i = 1, CALLS do list[i] = tostring(f(i)) end
  return ("(%s)[call]"):format(Draw.list(list))
end

-- ---- numbers ---------------------------------------------------------------------------------------------------------

local series = {
  function() return "call" end,
  function() return "call / 4" end,
  function() return "2.5 - call / 2" end,
  function(d) return tostring(d:constant()) end,
  function() return per_call(function(i) return ({ 2, 3, 2, 1, 0, 0, 1, 2 })[i] end) end,
  function() return per_call(function(i) return ({ 1, 1, 1, 2, 1, 2, 3, 1 })[i] end) end,
  function() return "(call % 2)" end,
  function() return "(call - 1.0)" end,
}
local function number(d)
  local name = d:argument(d:pick(series)(d), "n")
  d.numbers[#d.numbers + 1] = name
  return name
end
local function a_number(d) return #d.numbers > 0 and d:pick(d.numbers) or tostring(d:constant()) end

-- A new number from those there are.
local function arithmetic(d)
  if #d.numbers == 0 then return end
  local a, b = d:pick(d.numbers), d:chance(0.5) and d:pick(d.numbers) or d:constant()
  local e = d:pick { "%s * %s", "%s + %s", "%s - %s", "(%s) / (%s + 10)", "%s * 2 + %s", "-%s + %s", "(%s + 3) ^ 0.5 + %s",
    "%s - 1 / (%s + 20)" }
  local name = d:body(e:format(a, b), "n")
  local v = name and d.env[name]
  if type(v) ~= "number" or not (math.abs(v) < 100) then return end
  d.numbers[#d.numbers + 1] = name
  return true
end

local function with_number(d)
  local x, n = d:float(), a_number(d)
  if not x then return end
  local e = d:pick {
    "%x * %n", "%n + %x", "%n - %x", "%x / (%n + 10)", "%n / %p", "%p ^ %n", "(%n + 11) ^ %x", "%x ^ %n", "%x:clamp(%n - 1, %n + 1)",
    "%x:leaky_relu(%n)", "ms.lerp(%x, %y, %n)", "%x:gt(%n)", "ms.where(%x:gt(%m), %x, %n)", "%x:masked_fill(%x:lt(0), %n)",
    "%x:pad({ 1, 1 }, { value = %n })", "%x:elu(%n)", "%x %% (%n + 20)", "%x // (%n + 20)", "ms.full(%s, %n, { dtype = %d })",
    "ms.tensor({ %n, %m }, { dtype = %d })", "(%x * %n + %m):tanh()", "ms.mul_add(%x, %n, %m)" }
  return d:body((Draw.fill(e, { x = x, n = n, m = a_number(d), p = Draw.into(x, 0.5, 2), y = e:find "%%y" and d:fit(d.env[x].shape),
    s = Draw.list(d.env[x].shape), d = ("%q"):format(d.dtype) }):gsub("%%%%", "%%")))
end

local function from_number(d)
  local n = a_number(d)
  local e = d:pick {
    "ms.linspace(%n, %c, %k, { dtype = %d })", "ms.linspace(%c, %n, %k, { dtype = %d })", "ms.full({ %k }, %n, { dtype = %d })",
    "ms.arange(%n, %n + %k, 1, { dtype = %d })", "ms.arange(-2, %n + %k, 1, { dtype = %d })", "ms.arange(0, 2, %n + 1, { dtype = %d })",
    "ms.rand({ %k }, %n, %n + 1, { dtype = %d })", "ms.randn({ %k }, %n, 0.5, { dtype = %d })" }
  return d:body(Draw.fill(e, { n = n, c = d:constant(), k = d:int(1, 5), d = ("%q"):format(d.dtype) }))
end

spices.numbers = {
  setup = function(d) for _ = 1, d:int(1, 3) do number(d) end end,
  kinds = { { 8, with_number }, { 3, arithmetic }, { 2, from_number } },
  finish = function(d) if d:chance(0.4) then d:result(a_number(d)) end end,
}

-- Looking at a number: as what it is, or as a decision.
local function look(d)
  if #d.numbers == 0 then return end
  local n, x, v = d:pick(d.numbers), d:float(), d:name "v"
  if not x then return end
  local k = d:pick { "0", "1", "2", "3", "0.5" }
  local text = d:pick {
    "if %n == %k then %v = %x * 10 else %v = %x * 0.5 end",
    "if %n ~= %k then %v = %x * 10 else %v = %x * 0.5 end",
    "%v = %x * (({ 0.1, 0.5, 0.7 })[%n] or 1)",
    "%v = type(%n) == \"number\" and %x * 2 or %x",
    "%v = math.type(%n) == \"integer\" and %x * 2 or %x",
    "%v = %x * (tonumber(%n) or 5)",
    "%v = rawequal(%n, %k) and %x * 3 or %x",
    "%v = %x if %n > %k then %v = %v * 2 end",
    "%v = %x * math.max(%n, 1)",
    "%v = %x * (%n // 2 + 1)",
    "%v = %x * (%n % 2 + 1)",
    "%v = %x + #tostring(%n)",
    "%v = %x * (({ [0] = 1, 2, 3 })[%n] and 2 or 1)",
    "%v = %x for i = 1, %n do %v = %v * 0.9 end",
    "local seen = { [%n] = 2 } %v = %x * (seen[%k] or 3)",
    "%v = %n and %x * 2 or %x",
    "%v = %x * math.sqrt(%n + 20)",
    "%v = %x * (math.tointeger(%n) or 7)",
  }
  return d:add { zone = "body", define = { v }, text = (text:gsub("%%(%a)", { n = n, k = k, v = v, x = x })) }
end
spices.looking_at_numbers = { setup = number, kinds = { { 8, look }, { 2, with_number } } }

-- Numbers that a double cannot hold exactly.
local function with_large(d)
  if not d.large then return end
  local e = d:pick { "%w + %l", 'ms.full({ 2 }, %l, { dtype = "i64" })', "%w:eq(%l)", "(%w + %l) - %l", "%w - (%l - %k)",
    "ms.maximum(%w, %l)" }
  return d:body(Draw.fill(e, { w = d.whole, l = d.large, k = d:below(9) }), "i")
end
spices.large_numbers = {
  setup = function(d)
    d.large = d:argument(d:pick { "9007199254740993", "(1 << 53) + 10", "(1 << 60)", "4611686018427387905" } .. " + call", "m", true)
    d.whole = d:make("ms.tensor({ 1, 2, 3 }, { dtype = \"i64\" })", "i", true)
  end,
  kinds = { { 6, with_large } },
  finish = function(d)
    d:result(d.large)
    for _, s in ipairs(program.zone(d, "body")) do
      if s.define and s.define[1]:find "^i" then d:result(s.define[1]) end
    end
  end,
}

-- ---- texts, booleans, tables -----------------------------------------------------------------------------------------

local function branch(d)
  local x, v = d:float(), d:name "v"
  if not x or not d.text then return end
  local ways = { "%s:tanh()", "%s * 2", "%s:relu() + 1", "%s:flip { 1 }", "%s - 0.5" }
  local a, b = d:pick(ways):format(x), d:pick(ways):format(x)
  return d:add { zone = "body", define = { v }, text = ("if %s then %s = %s else %s = %s end"):format(
    d:chance(0.5) and d.text .. ' == "left"' or d.flag, v, a, v, b) }
end
spices.texts = {
  setup = function(d)
    d.text = d:argument(d:pick { '(call % 2 == 0 and "left" or "right")', '(call < 5 and "left" or "right")', '"left"' }, "t", true)
    d.flag = d:argument(d:pick { "(call % 3 == 0)", "(call < 4)", "true" }, "t", true)
  end,
  kinds = { { 6, branch } },
}

local function table_field(d)
  if not d.box then return end
  local x = d:float()
  if not x then return end
  local s, how = d.box, d:below(7)
  if how == 0 then return d:body(("%s.h * 0.5 + %s"):format(s, d:fit(d.env[s].h.shape))) end
  if how == 1 then return d:body(("%s * %s.k"):format(x, s)) end
  if how == 2 then return d:act(("%s.k = %s.k + 1"):format(s, s)) end
  if how == 3 then return d:act(("%s.h = (%s.h * 0.5 + %s):tanh():detach()"):format(s, s, d:fit(d.env[s].h.shape))) end
  if how == 4 then return d:act(("%s.last = %s"):format(s, x)) end
  if how == 5 then return d:act(("%s.h:mul_(0.9)"):format(s)) end
  return d:act(("%s.list[1], %s.list[2] = %s.list[2], %s.list[1]"):format(s, s, s, s))
end
spices.tables = {
  setup = function(d)
    local shape = Draw.list(d:shape())
    local with = { s = shape, d = ("%q"):format(d.dtype) }
    local kept = d:make(Draw.fill("{ h = num(70, %s, %d), k = 2, list = { num(71, { 2 }, %d), num(72, { 2 }, %d) } }", with), "s", true)
    with.o = kept
    d:watch(kept)
    d.box = d:argument(d:chance(0.7) and kept
      or Draw.fill("{ h = num(70 + call, %s, %d), k = call, list = { %o.list[1], num(call, { 2 }, %d) } }", with), "s", true)
    d:watch(d.box)
  end,
  kinds = { { 7, table_field } },
  finish = function(d) if d:chance(0.3) then d:result(d.box .. (d:chance(0.5) and ".h" or "")) end end,
}

return spices
