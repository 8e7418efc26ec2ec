-- gradients: spices (spices.lua) about backward, ms.grad and .grad.
local Draw = require "programs.draw"
local base = require "programs.base"
local gradients = {}

local function leaf(d, shape)
  d.serial = (d.serial or 0) + 1
  local e = d:chance(0.12) and "ms.zeros(%s, { dtype = %d }):requires_grad_()" or "num(%k, %s, %d):requires_grad_()"
  local name = d:make(Draw.fill(e, { k = d.serial, s = Draw.list(shape or d:shape()), d = ("%q"):format(d.dtype) }), "p")
  if name then
    d.leaves = d.leaves or {}
    table.insert(d.leaves, name)
  end
  return name
end

-- A tensor with a graph, later ones first; nil if there is none.
local function grown(d)
  return d:tensor(function(t) return t.requires_grad and not t.is_leaf and Draw.is_float(t) end)
end

-- Something of one element to differentiate, as an expression.
local function scalar(d, name)
  name = name or grown(d)
  if not name then return nil end
  return d:pick({ "%s:sum()", "%s:mean()", "%s:square():mean()", "(%s * 0.5):sum()", "%s:tanh():sum()", "%s:sin():mean()" }):format(name)
end

local function some_leaf(d) return d.leaves and #d.leaves > 0 and d:pick(d.leaves) end

-- A view, a power, a product of a leaf: so that graphs begin in many ways.
local function from_leaf(d)
  local p = some_leaf(d)
  if not p then return end
  local x = base.partner(d, p)
  if d:chance(0.3) then return d:body(base.view_of(d, p)) end
  local e = d:pick { "%p * %x", "%x + %p", "(%p * %x):tanh()", "%p ^ 2", "%p", '%p:to "f32"', '%p:to "f64"', "%p:detach() * 2",
    "%p:relu() + 1",
    "%p:index_select(1, ms.tensor({ 1, 1 }, { dtype = \"i64\" }))", "ms.cat { %p, %p }", "%p:sum() * %x",
    "ms.recompute(function(v) return (v * %x):tanh() * v end, %p)",
    "ms.recompute(function(v) return ms.recompute(function(u) return u:sin() * ms.rand(u.shape, { dtype = u.dtype }) end, v * 2):exp() end,"
      .. " %p)",
    "ms.stack { %p:sum(), (%p * %p):sum() }[2] * %p" }
  return d:body(Draw.fill(e, { p = p, x = x }))
end

local function by_grad(d)
  local p, y = some_leaf(d), scalar(d)
  if not p or not y then return end
  return d:body(("ms.grad(%s, %s)"):format(y, p))
end

local function backward(d)
  local y = scalar(d)
  if not y then return end
  if d:chance(0.4) then
    for _, p in ipairs(d.leaves) do d:act(p .. ".grad = nil") end
  end
  if d:act(("(%s):backward(%s)"):format(y, d:chance(0.3) and "{ retain = true }" or "")) then
    d:calm()
    return true
  end
end

-- A gradient whose graph leads back to its tensor would be a cycle that nobody collects.
local function without_graph(d, e)
  local t = d:eval(e)
  return Draw.is_tensor(t) and t.requires_grad and ("(%s):detach()"):format(e) or e
end

local function with_gradient(d)
  local p = some_leaf(d)
  if not p then return end
  local g = p .. ".grad"
  local has = d:eval(g) ~= nil
  local how = d:below(has and 7 or 2)
  local shape = d.env[p].shape
  if how == 0 then return d:act(("%s = %s"):format(g, without_graph(d, d:fit(shape)))) end
  if how == 1 then return d:act(("%s = (%s * 0.5):detach()"):format(g, d:fit(shape))) end
  if how == 2 then return d:body(g) end
  if how == 3 then return d:act(("%s = nil"):format(g)) end
  if how == 4 then return d:act(("%s:mul_(0.5)"):format(g)) end
  if how == 5 then return d:body(("%s * 0.5 + %s"):format(g, d:fit(shape))) end
  return d:act(("ms.no_grad(function() %s:sub_(%s * 0.1) end)"):format(p, g))
end

gradients.leaf, gradients.scalar, gradients.from_leaf = leaf, scalar, from_leaf

local grad_kinds = { { 8, from_leaf }, { 4, by_grad }, { 3, backward }, { 3, with_gradient } }
-- A penalty: the gradient of a gradient.
local function second_order(d)
  local p, y, g = some_leaf(d), scalar(d), d:name "v"
  if not p or not y then return end
  local text = "local slope = ms.grad(%y, %p)\n%g = slope.requires_grad and ms.grad(slope:square():sum() + %p:sum() * 0, %p) or slope"
  return d:add { zone = "body", define = { g }, text = Draw.fill(text, { y = y, p = p, g = g }) }
end

gradients.gradients = {
  setup = function(d) for _ = 1, d:int(1, 2) do leaf(d) end end,
  kinds = grad_kinds,
  finish = function(d)
    local y = scalar(d)
    if y and d:chance(0.7) then
      if d:chance(0.6) then
        for _, p in ipairs(d.leaves) do d:act(p .. ".grad = nil") end
      end
      d:act(("(%s):backward()"):format(y))
    end
  end,
}
gradients.second_order = { setup = gradients.gradients.setup, kinds = { { 8, from_leaf }, { 4, second_order }, { 2, by_grad } } }
gradients.gradient_between = {
  setup = gradients.gradients.setup,
  kinds = grad_kinds,
  finish = function(d)
    local p = some_leaf(d)
    if not p then return end
    local shape = Draw.list(d.env[p].shape)
    if d.env[p]:numel() > 400 then return end
    local many = d:make(("num(60, { 9%s }, %q)"):format(shape:gsub("^{ ", ", "):gsub(" }$", ""):gsub("^, $", ""), d.dtype))
    if d:chance(0.5) then d:act(("%s[9]:add_(1)"):format(many)) end -- it may be known to the step before it becomes the gradient
    d:between(Draw.fill(d:pick { "%p.grad = nil", "%p.grad = num(call, %s, %d)", "if %p.grad then %p.grad:mul_(0.5) end",
      "ms.no_grad(function() %p:mul_(0.5) end)", "%p.grad = %m[call]", "%p.grad = %m[call]", "%p.grad = %m[call % 2 + 1]" },
      { p = p, s = shape, d = ("%q"):format(d.dtype), m = many }), d:chance(0.5) and d:int(2, 8) or nil)
    local e = d:eval(p .. ".grad") and d:body(p .. ".grad * 2")
    if e then d:result(e) end
  end,
}
-- What .grad holds before the call is read in it.
gradients.gradient_read = {
  setup = function(d)
    local p = leaf(d, d:chance(0.5) and { d.m } or { 2, d.n })
    local list = Draw.list(d.env[p].shape):sub(2, -2)
    local q = ("%q"):format(d.dtype)
    local many = d:make(("num(60, { 9, %s }, %s)"):format(list, q))
    local whence = d:pick { ("num(60 + call, %s, %s)"):format("{" .. list .. "}", q), many .. "[call]", many .. "[call]", "a1[call]" }
    if whence == "a1[call]" then d:argument(("num(61 + call, { 9, %s }, %s)"):format(list, q)) end
    local from = whence == "a1[call]" and d.tensors[#d.tensors].name .. "[call]" or whence
    d:argument(("(function() %s.grad = %s return call end)()"):format(p, from), "g", true)
    if d:chance(0.6) then d:act(many .. "[9]:add_(1)") end
  end,
  kinds = { { 4, with_gradient }, { 4, from_leaf }, { 2, backward } },
  finish = function(d)
    local e = d:eval(d.leaves[1] .. ".grad") and d:body(d.leaves[1] .. ".grad * 2")
    if e then d:result(e) end
  end,
}
-- Powers whose exponent, or base, is a number handed in: at 0, at 1, with derivatives.
gradients.powers = {
  setup = function(d)
    leaf(d)
    leaf(d)
    local e = d:pick { "({ 2, 3, 2, 1, 0, 0, 1, 2 })[call]", "(call % 3)", "({ 2, 2, 2, 2, 0, 1, 0.5, 3 })[call]", "call / 2", "2" }
    d.numbers[#d.numbers + 1] = d:argument(e, "n")
  end,
  kinds = { { 8, function(d)
    local e = d:pick { "%p ^ %n", "%n ^ %p", "(%p * %p) ^ %n", "(%n + 1) ^ %p", "ms.pow(%p, %n)", "%p:relu() ^ %n", "%p ^ (%n * 2)" }
    return d:body(Draw.fill(e, { p = some_leaf(d), n = d:pick(d.numbers) }))
  end }, { 5, by_grad }, { 3, backward }, { 2, with_gradient } },
  finish = function(d)
    local y, p = scalar(d), some_leaf(d)
    local e = y and d:body(("ms.grad(%s, %s)"):format(y, p))
    if e then d:result(e) end
  end,
}
-- Arguments that are leaves, or belong to a graph.
gradients.arguments_with_gradients = {
  setup = function(d)
    local p = leaf(d)
    local s = Draw.list(d:shape())
    d.leaves[#d.leaves + 1] = d:argument(("num(62 + call, %s, %q):requires_grad_()"):format(s, d.dtype), "q")
    if d:chance(0.3) then d:argument(p .. " * call") end
    if d:chance(0.3) then d:argument(p) end
    d:watch(d.leaves[2])
  end,
  kinds = grad_kinds,
  finish = gradients.gradients.finish,
}
-- Gradients set from views, from parts of arguments.
gradients.assigned_gradients = {
  setup = gradients.gradients.setup,
  kinds = { { 5, from_leaf }, { 5, function(d)
    local p = some_leaf(d)
    if not p then return end
    local shape = d.env[p].shape
    local n = Draw.product(shape)
    local a = d:argument(("num(700 + call, { %d }, %q)"):format(n + 2, d.dtype))
    local e = d:pick { ("%s[{ { 2, %d } }]:reshape(%s)"):format(a, n + 1, Draw.list(shape)),
      ("%s:slice(1, 1, %d):view(%s)"):format(a, n, Draw.list(shape)), d:fit(shape) }
    return n > 0 and d:act(("%s.grad = %s"):format(p, without_graph(d, e)))
  end }, { 2, with_gradient }, { 2, backward } },
}
gradients.freezing = {
  setup = function(d)
    leaf(d)
    leaf(d)
    d.late = d:captured(d:shape())
  end,
  kinds = { { 6, from_leaf }, { 3, base.binary } },
  finish = function(d)
    local y = scalar(d)
    if not y then return end
    local p = d:pick { d.leaves[1], d.leaves[2], d.late, d.late }
    if d:chance(0.5) then
      d:act(d.leaves[1] .. ".grad = nil")
      if d:chance(0.5) then d:act(d.leaves[2] .. ".grad = nil") end
    end
    d:act(("(%s):backward()"):format(y))
    local on = p == d.late
    d:between(("%s:requires_grad_(%s)"):format(p, on), d:int(2, 7))
    if d:chance(0.4) then d:between(("%s.requires_grad = %s"):format(p, not on), d:int(5, 8)) end
  end,
}

return gradients
