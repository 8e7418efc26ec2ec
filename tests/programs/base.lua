-- base: the kinds of statements that most programs are made of: elementwise operations, views, changes in place, reductions, products.
-- A kind is a function of the drawing (draw.lua); it gives true when it added something.
local rows = require "rows"
local Draw = require "programs.draw"
local base = {}

local unary, binary, ternary = {}, {}, {}
for _, row in ipairs(rows.all) do
  local whole = row.integers -- or has an operand that must be whole, in which it says to have no derivative
  for k = 1, row.elementwise and row.arity or 0 do whole = whole or not rows.derivable(row, k) end
  if row.elementwise and not whole then
    local of = row.arity == 1 and unary or row.arity == 2 and binary or ternary
    of[#of + 1] = row
  end
end
local function by_name(a, b) return a.name < b.name end
table.sort(unary, by_name)
table.sort(binary, by_name)
table.sort(ternary, by_name)

-- An operand within the interval that a row is tested on.
local function within(expr, interval)
  local lo, hi = interval[1], interval[2]
  if lo <= -1 and hi >= 2 then return expr end -- all of the axis
  return Draw.into(expr, lo, hi)
end

local favourites = { "relu", "tanh", "sigmoid", "square", "exp", "neg", "abs" }
function base.unary(d)
  local x = d:float()
  if not x then return end
  local row = d:chance(0.4) and rows.by_name[d:pick(favourites)] or d:pick(unary)
  local e = within(x, rows.intervals(row)[1])
  return d:body(d:chance(0.8) and ("%s:%s()"):format(e, row.name) or ("ms.%s(%s)"):format(row.name, e))
end

-- Another operand for x: of a shape that can be broadcast to it, or a number.
local function partner(d, x)
  if #d.numbers > 0 and d:chance(0.4) then return d:pick(d.numbers), true end
  if d:chance(0.15) then return tostring(d:constant()), true end
  for _ = 1, 6 do
    local y = d:float()
    if y and d:eval(("%s + %s"):format(x, y)) ~= nil then return y end
  end
  local shape = { table.unpack(d.env[x].shape) }
  if #shape > 0 and d:chance(0.5) then
    for i = 1, #shape do
      if d:chance(0.4) then shape[i] = 1 end
    end
  end
  return d:fit(shape)
end
base.partner = partner

local signs = { "+", "-", "*", "*", "+", "/", "^", "%", "//" }
function base.binary(d)
  local x = d:float()
  if not x then return end
  local y, number = partner(d, x)
  if d:chance(0.6) then
    local sign = d:pick(signs)
    if (sign == "/" or sign == "%" or sign == "//") and not number then y = Draw.into(y, 0.5, 2) end
    if sign == "^" then
      if number then
        if d:chance(0.4) then return d:body(("(%s ^ %s)"):format(y, x)) end
      else
        x, y = Draw.into(x, 0.5, 2), Draw.into(y, -2, 2)
      end
    elseif number and d:chance(0.4) and sign ~= "%" and sign ~= "//" then
      if sign == "/" then x = Draw.into(x, 0.5, 2) end
      x, y = y, x
    end
    return d:body(("%s %s %s"):format(x, sign, y))
  end
  local row = d:pick(binary)
  local of = rows.intervals(row)
  return d:body(("ms.%s(%s, %s)"):format(row.name, within(x, of[1]), number and y or within(y, of[2])))
end

function base.ternary(d)
  local x = d:float()
  if not x then return end
  local row = d:pick(ternary)
  local of = rows.intervals(row)
  local y, n1 = partner(d, x)
  local z, n2 = partner(d, x)
  local first = within(x, of[1])
  if row.class == "choose" then
    first = ("%s:gt(%s)"):format(x, d:chance(0.5) and "0.1" or d:fit(d.env[x].shape, d.env[x].dtype))
    if n1 and n2 then y, n1 = x, false end
  end
  return d:body(("ms.%s(%s, %s, %s)"):format(row.name, first, n1 and y or within(y, of[2]), n2 and z or within(z, of[3])))
end

-- ---- views -----------------------------------------------------------------------------------------------------------

local function range(d, size)
  if size == 0 or d:chance(0.3) then return "{}" end
  local a = d:int(1, size)
  local b = d:int(a, size)
  if d:chance(0.05) then b = a - 1 end
  if d:chance(0.2) then return ("{ %d, %d, 2 }"):format(a, b) end
  if d:chance(0.2) then return ("{ %d, -1 }"):format(a) end
  return ("{ %d, %d }"):format(a, b)
end

-- An expression that is a view of the tensor of that name (or a copy, where a reshape must).
function base.view_of(d, x)
  local shape = { table.unpack(d.env[x].shape) }
  local rank = #shape
  local ways = {}
  local function way(f) ways[#ways + 1] = f end
  if rank > 0 then
    way(function()
      local parts = {}
      for i = 1, d:int(1, rank) do
        parts[i] = shape[i] > 0 and d:chance(0.25) and tostring(d:pick { 1, shape[i], -1 }) or range(d, shape[i])
      end
      return ("%s[{ %s }]"):format(x, table.concat(parts, ", "))
    end)
    way(function() return ("%s[%d]"):format(x, shape[1] > 0 and d:pick { 1, shape[1], -1 } or 1) end)
    way(function()
      local k = d:int(1, rank)
      return ("%s:select(%d, %d)"):format(x, k, d:int(1, math.max(1, shape[k])))
    end)
    way(function() return ("%s:unsqueeze(%d)"):format(x, d:int(1, rank)) end)
    way(function() return ("%s:reshape{ -1 }"):format(x) end)
    way(function() return ("%s:flip{ %d }"):format(x, d:int(1, rank)) end)
    way(function()
      local k = d:int(1, rank)
      local n = d:int(1, math.max(1, shape[k]))
      return ("%s:slice(%d, %d, %d)"):format(x, k, d:int(1, math.max(1, shape[k] - n + 1)), n)
    end)
    way(function()
      return ("%s:pad({ %d, %d }%s)"):format(x, d:below(2), d:below(3), d:chance(0.5) and ", { value = " .. d:constant() .. " }" or "")
    end)
    way(function() return ("%s:cumsum(%d)"):format(x, d:int(1, rank)) end)
  end
  if rank > 1 then
    way(function() return ("%s:transpose(%d, %d)"):format(x, d:int(1, rank), d:int(1, rank)) end)
    way(function() return ("%s:transpose()"):format(x) end)
    way(function() return ("%s:diagonal(0, -2, -1)"):format(x) end)
  end
  way(function() return x .. ":squeeze()" end)
  way(function() return ("%s:expand(%s)"):format(x, Draw.list { 2, table.unpack(shape) }) end)
  way(function() return x .. ":contiguous()" end)
  way(function() return x .. ":clone()" end)
  way(function() return x .. ":detach()" end)
  return d:pick(ways)()
end

function base.view(d)
  local x = d:tensor()
  return x and d:body(base.view_of(d, x))
end

-- ---- changes in place ------------------------------------------------------------------------------------------------

local in_place_unary = { "relu_", "tanh_", "sigmoid_", "neg_", "square_", "abs_", "sin_", "relu_", "zero_" }
local in_place_binary = { "add_", "sub_", "mul_", "copy_", "maximum_", "add_", "mul_" }

local function change(d, target)
  local x = d:eval(target)
  if not Draw.is_tensor(x) then return nil end
  local function other()
    if #d.numbers > 0 and d:chance(0.35) then return d:pick(d.numbers) end
    if d:chance(0.2) then return tostring(d:constant()) end
    return d:fit(x.shape, x.dtype)
  end
  local way = d:weighted { { 4, "unary" }, { 6, "binary" }, { 1, "fill" }, { 2, "set" }, { 1, "set number" } }
  if way == "unary" and Draw.is_float(x) then return ("%s:%s()"):format(target, d:pick(in_place_unary)) end
  if way == "fill" then return ("%s:fill_(%s)"):format(target, #d.numbers > 0 and d:chance(0.5) and d:pick(d.numbers) or d:constant()) end
  if way:find "set" and #x.shape > 0 and not target:find("[:%[]") then
    local parts = {}
    for i = 1, d:int(1, #x.shape) do parts[i] = x.shape[i] > 0 and d:chance(0.3) and "1" or range(d, x.shape[i]) end
    local place = ("%s[{ %s }]"):format(target, table.concat(parts, ", "))
    local part = d:eval(place)
    if not part then return nil end
    return ("%s = %s"):format(place, way == "set" and d:fit(part.shape, part.dtype) or other())
  end
  local name = d:pick(in_place_binary)
  local y = other()
  if name == "copy_" and not Draw.is_tensor(d:eval(y)) then name = "add_" end
  return ("%s:%s(%s)"):format(target, name, y)
end

function base.in_place(d)
  local name = d:tensor(function(t, e)
    return not (t.requires_grad and t.is_leaf) and (e.zone == "body" or d.free_hand or d:chance(0.3))
  end)
  if not name then return end
  local target = name
  if d:chance(0.3) then target = base.view_of(d, name) end
  local text = change(d, target)
  if not text then return end
  if target ~= name then -- a view: bound first, so that the statement is one
    local view = d:body(target)
    if not view then return end
    text = change(d, view)
  end
  if text and d:act(text) then
    d:calm()
    return true
  end
end

-- ---- reductions and products -----------------------------------------------------------------------------------------

function base.reduction(d)
  local x = d:float()
  if not x then return end
  local rank = #d.env[x].shape
  local f = d:weighted { { 5, "sum" }, { 4, "mean" }, { 1, "amax" }, { 1, "amin" }, { 1, "var" },
    { 1, "logsumexp" }, { 1, "prod" }, { 1, "norm" } }
  if f == "prod" then return rank > 0 and d:body(("%s:prod(%d)"):format(x, d:int(1, rank))) end
  if f == "norm" then return d:body(("(%s + 2.5):norm()"):format(x)) end
  if rank == 0 or d:chance(0.4) then return d:body(("%s:%s()"):format(x, f)) end
  return d:body(("%s:%s(%d%s)"):format(x, f, d:int(1, rank), d:chance(0.3) and ", { keepdim = true }" or ""))
end

function base.matmul(d)
  local x = d:tensor(function(t) return t.dtype == d.dtype and #t.shape == 2 end)
  if not x then return end
  local n = d.env[x].shape[2]
  local w = d:fit { n, d:pick { n, n, d.n } }
  local e = d:chance(0.7) and ("%s:matmul(%s)"):format(x, w) or ("ms.linear(%s, %s%s)"):format(x, d:fit { d.n, n },
    d:chance(0.6) and ", " .. d:fit { d.n } or "")
  if d:chance(0.5) then e = e .. d:pick { " * 2", ":tanh()", ":relu()", " + 1", ":sigmoid()" } end
  return d:body(e)
end

-- Two products whose results meet, one of them changed in place first: chains behind products.
function base.gate(d)
  local h, t = base.matmul(d), base.matmul(d)
  if not h or not t then return end
  if d:chance(0.7) then d:act(("%s:%s()"):format(h, d:pick { "relu_", "tanh_", "neg_", "mul_(0.5)", "add_(1)" }):gsub("%)%(%)", ")")) end
  local e = d:pick { "%t * %h + (1 - %t) * %x", "%h * %t", "%t + %h", "(%t - %h):tanh() * %t", "%h * %t + %h" }
  return d:body(Draw.fill(e, { h = h, t = t, x = base.partner(d, t) })) and (d:chance(0.5) and base.matmul(d) or true)
end

function base.softmax(d)
  local x = d:tensor(function(t) return Draw.is_float(t) and #t.shape > 0 end)
  return x and d:body(("%s:%s()"):format(x, d:pick { "softmax", "log_softmax" }))
end

-- The same thing once more: what a pass that merges repetitions looks for.
function base.again(d)
  local list = {}
  for _, s in ipairs(d.statements) do
    if s.zone == "body" and s.expr and #s.define == 1 and s.define[1]:sub(1, 1) == "v" then list[#list + 1] = s.expr end
  end
  return #list > 0 and d:body(d:pick(list))
end

-- A change in place, and then what the same operation gives of the changed tensor.
function base.changed_again(d)
  local x = d:tensor(function(t) return Draw.is_float(t) and not t.requires_grad end)
  if not x then return end
  local f = d:pick { "tanh", "sigmoid", "sin", "neg", "square", "relu", "add", "mul" }
  local y = ""
  if f == "add" or f == "mul" then y = d:chance(0.5) and tostring(d:constant()) or d:fit(d.env[x].shape, d.env[x].dtype) end
  if not d:act(("%s:%s_(%s)"):format(x, f, y)) then return end
  d:calm()
  return d:body(("%s:%s(%s)"):format(x, f, y) .. d:pick { "", " * 2", ":sum()", " + " .. x })
end

-- Several elementwise operations in one expression.
function base.chain(d)
  local e = d:float()
  if not e then return end
  local x = e
  for _ = 1, d:int(2, 5) do
    local y, number = partner(d, x)
    e = Draw.fill(d:pick { "(%e * %y)", "(%e + %y)", "(%e - %y)", "(%e):tanh()", "(%e):sigmoid()", "(1 - %e)", "(%e):relu()",
      number and "(%e / (%y + 10))" or "(%e):sin()" }, { e = e, y = y })
  end
  return d:body(e)
end

-- Another dtype, and perhaps back.
function base.convert(d)
  local x = d:tensor()
  if not x then return end
  local to = d:pick { "f32", "f64", "f64", "f32", "i64", "bool" }
  return d:body(("%s:to(%q)"):format(x, to) .. (d:chance(0.6) and (":to(%q)"):format(d.dtype) or ""))
end

function base.loop(d)
  local x = d:float()
  if not x then return end
  local name = d:name "v"
  local y = partner(d, x)
  return d:add { zone = "body", define = { name },
    text = ("%s = %s\nfor i = 1, %d do %s = (%s * 0.7 + %s):tanh() end"):format(name, x, d:int(2, 4), name, name, y) }
end

base.list = {
  { 14, base.unary }, { 16, base.binary }, { 4, base.ternary }, { 10, base.view }, { 9, base.in_place }, { 3, base.changed_again },
  { 5, base.reduction }, { 7, base.matmul }, { 2, base.gate }, { 2, base.softmax }, { 3, base.again }, { 6, base.chain },
  { 2, base.convert }, { 1, base.loop },
}

return base
