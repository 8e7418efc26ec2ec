-- optim/lbfgs: a quasi-Newton method. It asks for loss and gradient several times within a step, so that a step takes a function. It looks
-- at numbers all the time and cannot be recorded.
--
-- All parameters are one vector x. Of the last steps it keeps how far x went (s) and how the gradient changed (y); from these pairs a
-- product with the inverse of the curvature is had in two passes (Nocedal & Wright, Numerical optimization, algorithms 7.4 and 7.5). The
-- line search looks for a point that is low enough and flat enough (strong Wolfe conditions; algorithms 3.5 and 3.6 there).
local ms = require "mascon"
local options = require "mascon.options"
local states = require "mascon.state"
local base = require "mascon.optim.base"
local rules = require "mascon.optim.settings".rules

-- optim.lbfgs(parameters, { lr = 1, max_iter = 20, max_eval = 0, tolerance_grad = 1e-7, tolerance_change = 1e-9, history_size = 100,
-- line_search_fn = "none", maximize = false })
-- o:step(f), where f forgets the gradients, computes the loss, calls backward and gives the loss, moves up to max_iter times and evaluates
-- f about max_eval times at most (0: 5/4 of max_iter); it gives the first loss. line_search_fn: "strong_wolfe", or "none" for steps of
-- length lr. One dtype for all parameters, no groups.
local LBFGS = base.class "optim.lbfgs"
LBFGS.options = { lr = 1, max_iter = 20, max_eval = 0, tolerance_grad = 1e-7, tolerance_change = 1e-9, history_size = 100,
  line_search_fn = "none", maximize = false }
LBFGS.rules = { max_iter = rules.count, history_size = rules.count, tolerance_grad = rules.at_least_0,
  tolerance_change = rules.at_least_0,
  max_eval = { "a whole number from 0 on", function(x) return math.tointeger(x) and x >= 0 end, plain = true },
  line_search_fn = rules.one_of("none", "strong_wolfe") }
LBFGS.one_group = true

-- ---- the parameters as one vector -----------------------------------------------------------------------------------------------------

local function flat_gradient(o, maximize)
  local parts = {}
  for i, p in ipairs(o.all) do
    parts[i] = (p.grad or ms.zeros(p.shape, { dtype = p.dtype, device = p.device })):reshape { -1 }
  end
  local g = ms.cat(parts)
  return maximize and -g or g:clone()
end

-- x + t d, from where the parameters are.
local function move(o, t, d)
  local from = 1
  for _, p in ipairs(o.all) do
    local n = p:numel()
    if n > 0 then p:add_(d:slice(1, from, n):reshape(p.shape) * t) end
    from = from + n
  end
end

local function dot(a, b) return (a * b):sum():item() end
local function largest(x) return x:abs():max():item() end

-- ---- the line search --------------------------------------------------------------------------------------------------------------------

-- Points on the line are { t = how far, f = the loss, g = its gradient, slope = the loss's derivative along the line }.

-- Where the cubic through two points, with their slopes, is least, between two bounds (at first those of the points).
local function least_of_cubic(a, b, lowest, highest)
  lowest, highest = lowest or math.min(a.t, b.t), highest or math.max(a.t, b.t)
  local d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
  local square = d1 * d1 - a.slope * b.slope
  if not (square >= 0) then return (lowest + highest) / 2 end
  local d2 = math.sqrt(square)
  local left, right = a, b
  if a.t > b.t then left, right = b, a end
  local t = right.t - (right.t - left.t) * ((right.slope + d2 - d1) / (right.slope - left.slope + 2 * d2))
  if t ~= t then return t end
  return math.min(math.max(t, lowest), highest)
end

-- From start (t = 0) on, first to t: a point that is low and flat enough, found in `most` further evaluations at(t), or the lowest seen.
-- size: of the largest element of the direction; narrow: where the line is too short to go on. Also gives the number of evaluations.
local function strong_wolfe(at, t, start, size, narrow, most)
  local enough, flat = 1e-4, 0.9
  local function too_high(p) return p.f > start.f + enough * p.t * start.slope end
  local function is_flat(p) return math.abs(p.slope) <= -flat * start.slope end
  local before, here, tries = start, at(t), 0
  local ends -- two points with a good one between them

  while tries < most do -- farther and farther, until there is one
    if too_high(here) or (tries > 1 and here.f >= before.f) then ends = { before, here } break end
    if is_flat(here) then return here, tries + 1 end
    if here.slope >= 0 then ends = { before, here } break end
    local further = least_of_cubic(before, here, here.t + 0.01 * (here.t - before.t), here.t * 10)
    before, here, tries = here, at(further), tries + 1
  end
  if tries == most then ends = { start, here } end

  local low, high = 1, 2
  local function order()
    if ends[1].f <= ends[2].f then low, high = 1, 2 else low, high = 2, 1 end
  end
  order()
  local slow = false -- did the last one come too near an end?
  while tries < most and math.abs(ends[2].t - ends[1].t) * size >= narrow do -- nearer and nearer
    local x = least_of_cubic(ends[1], ends[2])
    local left, right = math.min(ends[1].t, ends[2].t), math.max(ends[1].t, ends[2].t)
    local margin = 0.1 * (right - left)
    if math.min(right - x, x - left) < margin then
      if slow or x >= right or x <= left then
        x = math.abs(x - right) < math.abs(x - left) and right - margin or left + margin
        slow = false
      else slow = true end
    else slow = false end
    here, tries = at(x), tries + 1
    if too_high(here) or here.f >= ends[low].f then
      ends[high] = here
      order()
    else
      if is_flat(here) then return here, tries + 1 end
      if here.slope * (ends[high].t - ends[low].t) >= 0 then ends[high] = ends[low] end
      ends[low] = here
    end
  end
  return ends[low], tries + 1
end

-- ---- a step --------------------------------------------------------------------------------------------------------------------------

-- What is known between steps: how many moves and evaluations there were; the pairs and 1 / (y s) of each, oldest first; the scale of the
-- curvature; the last direction, how far along it, the gradient and the loss before.
local function memory_of(o)
  local m = rawget(o, "memory")
  if not m then
    m = { n_iter = 0, func_evals = 0, y = {}, s = {}, ro = {} }
    o.memory = m
  end
  return m
end

-- Take in what the last move taught, for a gradient now.
local function learn(m, g, most)
  local y, s = g - m.gradient, m.d * m.t
  local ys = dot(y, s)
  if not (ys > 1e-10) then return end
  if #m.y == most then
    table.remove(m.y, 1)
    table.remove(m.s, 1)
    table.remove(m.ro, 1)
  end
  m.y[#m.y + 1], m.s[#m.s + 1], m.ro[#m.ro + 1] = ms.keep(y), ms.keep(s), 1 / ys
  m.scale = ys / dot(y, y)
end

-- Minus the inverse curvature times the gradient.
local function direction(m, g)
  local q, al = -g, {}
  for i = #m.y, 1, -1 do
    al[i] = dot(m.s[i], q) * m.ro[i]
    q:sub_(m.y[i] * al[i])
  end
  q:mul_(m.scale)
  for i = 1, #m.y do q:add_(m.s[i] * (al[i] - dot(m.y[i], q) * m.ro[i])) end
  return q
end

function LBFGS.step(self, closure, ...)
  local o = base.own(self, "step")
  options.none(o.what .. ": step", ...)
  if type(closure) ~= "function" then
    options.raise("%s: step: expected a function that computes the loss, calls backward and gives the loss, got %s", o.what,
      states.word(closure))
  end
  if next(states.moved) then base.follow(o) end
  local v, m, guard <close> = o.sets[1].value, memory_of(o), ms.no_grad()
  local most = v.max_eval > 0 and v.max_eval or v.max_iter * 5 // 4
  local evaluations = 0

  -- The loss as the function gave it, as a number that is to fall, and its gradient.
  local function evaluate()
    local loss = ms.enable_grad(closure)
    if not states.is_tensor(loss) or loss:numel() ~= 1 then
      options.raise("%s: step: the function gave %s, expected the loss, a tensor of one element", o.what,
        states.is_tensor(loss) and states.sizes(loss) or states.word(loss))
    end
    evaluations, m.func_evals = evaluations + 1, m.func_evals + 1
    return loss, v.maximize and -loss:item() or loss:item(), flat_gradient(o, v.maximize)
  end

  local first, loss, g = evaluate()
  if largest(g) <= v.tolerance_grad then return first end
  for n = 1, v.max_iter do
    m.n_iter = m.n_iter + 1
    if m.n_iter == 1 then m.y, m.s, m.ro, m.scale, m.d = {}, {}, {}, 1, ms.keep(-g)
    else
      learn(m, g, v.history_size)
      m.d = ms.keep(direction(m, g))
    end
    m.gradient, m.loss = ms.keep(g), loss
    m.t = m.n_iter == 1 and math.min(1, 1 / g:abs():sum():item()) * v.lr or v.lr
    local slope = dot(g, m.d)
    if slope > -v.tolerance_change then break end

    local asked = false
    if v.line_search_fn == "strong_wolfe" then
      local x = {}
      for i, p in ipairs(o.all) do x[i] = p:clone() end
      local function at(t)
        move(o, t, m.d)
        local _, f, gradient = evaluate()
        for i, p in ipairs(o.all) do p:copy_(x[i]) end
        return { t = t, f = f, g = gradient, slope = dot(gradient, m.d) }
      end
      local spent = evaluations
      local here = { t = 0, f = loss, g = g, slope = slope }
      local found = strong_wolfe(at, m.t, here, largest(m.d), v.tolerance_change, most - spent)
      loss, g, m.t, asked = found.f, found.g, found.t, true
      move(o, m.t, m.d)
    else
      move(o, m.t, m.d)
      if n < v.max_iter then
        local _
        _, loss, g = evaluate()
        asked = true
      end
    end
    if n == v.max_iter or evaluations >= most or (asked and largest(g) <= v.tolerance_grad) then break end
    if largest(m.d * m.t) <= v.tolerance_change or math.abs(loss - m.loss) < v.tolerance_change then break end
  end
  return first
end

-- ---- as entries of a state -----------------------------------------------------------------------------------------------------------

local counts, numbers, vectors, lists = { "n_iter", "func_evals" }, { t = "t", H_diag = "scale", prev_loss = "loss" },
  { d = "d", prev_flat_grad = "gradient" }, { old_dirs = "y", old_stps = "s" }

local function scalar(x) return ms.keep(ms.tensor(x + 0.0, { dtype = "f64" })) end

local function written(o)
  local m, out = memory_of(o), {}
  for _, name in ipairs(counts) do out[name] = scalar(m[name]) end
  if m.n_iter == 0 then return out end
  for name, key in pairs(numbers) do out[name] = scalar(m[key]) end
  for name, key in pairs(vectors) do out[name] = m[key] end
  if #m.y == 0 then return out end
  for name, key in pairs(lists) do out[name] = ms.keep(ms.stack(m[key])) end
  out.ro = ms.keep(ms.tensor(m.ro, { dtype = "f64" }))
  return out
end

local function read(o, state, entries, fail)
  local m, n, like = { y = {}, s = {}, ro = {} }, 0, o.all[1]
  for _, p in ipairs(o.all) do n = n + p:numel() end
  local function get(name, count, width)
    local t = state[name]
    entries[name] = true
    if not t then fail("missing entry '%s'", name) end
    if t:numel() ~= count * (width or 1) or not states.is_float(t) then
      local expected = width and ("%d x %d"):format(count, width) or ("%d"):format(count)
      fail("%s: expected %s numbers, got %s", name, expected, states.sizes(t))
    end
    return t
  end
  for _, name in ipairs(counts) do
    m[name] = math.tointeger(get(name, 1):item())
    if not m[name] or m[name] < 0 then fail("%s: expected a whole number from 0 on, got %g", name, state[name]:item()) end
  end
  if m.n_iter > 0 then
    for name, key in pairs(numbers) do m[key] = get(name, 1):item() end
    local function own_copy(t) return ms.keep(ms.tensor(t, { dtype = like.dtype, device = like.device })) end
    for name, key in pairs(vectors) do m[key] = own_copy(get(name, n)) end
    if state.ro then
      local pairs_kept = state.ro:numel()
      m.ro = get("ro", pairs_kept):reshape { -1 }:totable()
      for name, key in pairs(lists) do
        local rows = get(name, pairs_kept, n):reshape { pairs_kept, n }
        for i = 1, pairs_kept do m[key][i] = own_copy(rows[i]) end
      end
    end
  end
  return function() o.memory = m end
end

function LBFGS.also_in_state(o, state, entries, fail)
  if state then return read(o, state, entries, fail) end
  return written(o)
end

return { lbfgs = LBFGS }
