-- draw: what the kinds of statements (base.lua, rows.lua, spices.lua) draw with: random choices, and the program so far, which is
-- run while it is written. A statement that raises, or makes numbers that are not tame, is not taken.
local ms = require "mascon"
local program = require "programs.program"

local Draw = {}
Draw.__index = Draw

local LIMIT, ELEMENTS = 50, 6000 -- tame: at most this large, at most so many elements

-- seed, k: the k-th program of a seed
function Draw.new(seed, k)
  local state = (seed * 0x9E3779B97F4A7C15) ~ (k * 0xD1342543DE82EF95 + 0x2545F4914F6CDD1D)
  ms.seed(k)
  local d = setmetatable({ state = state,
    env = program.environment(ms), statements = {}, tensors = {}, numbers = {}, count = {}, watched = {} }, Draw)
  for _ = 1, 4 do d:below(2) end
  return d
end

-- ---- choices ---------------------------------------------------------------------------------------------------------

function Draw:below(n) -- 0 .. n - 1
  self.state = self.state * 6364136223846793005 + 1442695040888963407
  local x = self.state ~ (self.state >> 29)
  return ((x * 0xBF58476D1CE4E5B9) >> 33) % n
end
function Draw:int(lo, hi) return lo + self:below(hi - lo + 1) end
function Draw:chance(p) return self:below(1000) < p * 1000 end
function Draw:pick(list) return list[1 + self:below(#list)] end
-- from a list of {weight, value}
function Draw:weighted(list)
  local sum = 0
  for _, e in ipairs(list) do sum = sum + e[1] end
  local at = self:below(sum)
  for _, e in ipairs(list) do
    at = at - e[1]
    if at < 0 then return e[2] end
  end
end
function Draw:constant() return self:pick { 0.5, 2, -1, 1.5, -0.25, 3, 0, 1, 0.1 } end

-- ---- the program so far ----------------------------------------------------------------------------------------------

function Draw:name(letter)
  self.count[letter] = (self.count[letter] or 0) + 1
  return letter .. self.count[letter]
end

local function is_tensor(v) return type(v) == "userdata" and pcall(function() return v.dtype end) end
Draw.is_tensor = is_tensor

local function tame(t)
  local n = t:numel()
  if n > ELEMENTS then return false end
  if n == 0 or t.dtype == "bool" then return true end
  return t:detach():to("f64"):abs():amax():item() <= LIMIT -- false for NaN
end

function Draw:value(name) return self.env[name] end

-- The value of an expression now, or nil.
function Draw:eval(expr)
  local chunk = load("return " .. expr, "=expression", "t", self.env)
  if not chunk then return nil end
  local ok, v = pcall(chunk) -- what a device that works later finds wrong is told at the next wait
  ok = pcall(ms.synchronize) and ok
  return ok and v or nil
end

-- Take a statement in, if it can be run: true if so. `keep`: names that shall not be drawn as operands later.
function Draw:add(s, hidden)
  local chunk, problem = load(program.words(s, true), "=statement", "t", self.env)
  if not chunk then error(("%s: %s"):format(program.words(s, true), problem)) end
  if s.zone ~= "between" or s.try then
    local ok = pcall(chunk)
    ok = pcall(ms.synchronize) and ok
    if not ok then return false end
    for _, name in ipairs(s.define or {}) do
      local v = self.env[name]
      if v == nil and s.expr then return false end
      if is_tensor(v) and not tame(v) then return false end
    end
  end
  self.statements[#self.statements + 1] = s
  for _, name in ipairs(s.define or {}) do
    local v = self.env[name]
    if is_tensor(v) and not hidden then self.tensors[#self.tensors + 1] = { name = name, zone = s.zone } end
  end
  return true
end

function Draw:make(expr, letter, hidden)
  local name = self:name(letter or "c")
  if not self:add({ zone = "make", define = { name }, expr = expr }, hidden) then return nil end
  if not hidden or is_tensor(self.env[name]) then self:watch(name) end
  return name
end
function Draw:argument(expr, letter, hidden)
  local name = self:name(letter or "a")
  return self:add({ zone = "argument", define = { name }, expr = expr }, hidden) and name or nil
end
function Draw:body(expr, letter) -- a new name for an expression
  local name = self:name(letter or "v")
  return self:add { zone = "body", define = { name }, expr = expr } and name or nil
end
function Draw:act(text) -- a statement that names nothing
  return self:add { zone = "body", text = text }
end
-- What is done before call `at` (or after each call, with `after`); it is not tried out.
function Draw:between(text, at, more)
  local s = { zone = "between", text = text, at = at }
  for k, v in pairs(more or {}) do s[k] = v end
  return self:add(s)
end
-- Something whose value is compared after each call.
function Draw:watch(name)
  if self.watched[name] then return end
  self.watched[name] = true
  self.statements[#self.statements + 1] = { zone = "see", text = name }
end
function Draw:result(expr) self.statements[#self.statements + 1] = { zone = "result", text = expr } end

-- After something was changed in place: what is no longer tame is made so.
function Draw:calm()
  for _, e in ipairs(self.tensors) do
    local t = self.env[e.name]
    if is_tensor(t) and ms.no_grad(function() return not tame(t) end) and t:numel() <= ELEMENTS then
      local float = t.dtype == "f32" or t.dtype == "f64"
      local text = float and ("%s:copy_(ms.tanh(%s:clamp(-9, 9)))"):format(e.name, e.name) or ("%s:fill_(1)"):format(e.name)
      if not self:act(t.requires_grad and ("ms.no_grad(function() %s end)"):format(text) or text) then e.wild = true end
    end
  end
end

-- ---- operands --------------------------------------------------------------------------------------------------------

function Draw.is_float(t) return t.dtype == "f32" or t.dtype == "f64" end

-- A tensor's name, one for which f(tensor, entry) holds; later ones more often. nil if there is none.
function Draw:tensor(f)
  local fit = {}
  for _, e in ipairs(self.tensors) do
    local t = self.env[e.name]
    if is_tensor(t) and not e.wild and (not f or f(t, e)) then fit[#fit + 1] = e.name end
  end
  if #fit == 0 then return nil end
  if self:chance(0.5) then return fit[math.max(1, #fit - self:below(3))] end
  return self:pick(fit)
end

function Draw:float() return self:tensor(Draw.is_float) end

local function same_shape(t, shape)
  local s = t.shape
  if #s ~= #shape then return false end
  for i = 1, #shape do
    if s[i] ~= shape[i] then return false end
  end
  return true
end
Draw.same_shape = same_shape

local function product(shape)
  local n = 1
  for _, s in ipairs(shape) do n = n * s end
  return n
end
Draw.product = product

function Draw.list(t) return "{ " .. table.concat(t, ", ") .. " }" end

-- A captured tensor of a shape.
function Draw:captured(shape, dtype)
  self.serial = (self.serial or 0) + 1
  return self:make(("num(%d, %s, %q)"):format(self.serial, Draw.list(shape), dtype or self.dtype))
end

-- An expression of a shape and a dtype, from what is there already if that goes.
function Draw:fit(shape, dtype)
  dtype = dtype or self.dtype
  local name = self:tensor(function(t) return t.dtype == dtype and same_shape(t, shape) end)
  if name and self:chance(0.85) then return name end
  local n = product(shape)
  local larger = self:tensor(function(t) return t.dtype == dtype and t:numel() >= n and t:numel() > 0 end)
  if larger and n > 0 and self:chance(0.6) then
    local size = self.env[larger]:numel()
    if size == n then return ("%s:reshape(%s)"):format(larger, Draw.list(shape)) end
    local at = 1 + self:below(size - n + 1)
    return ("%s:reshape{-1}[{ {%d, %d} }]:reshape(%s)"):format(larger, at, at + n - 1, Draw.list(shape))
  end
  return self:captured(shape, dtype) or ("ms.zeros(%s, { dtype = %q })"):format(Draw.list(shape), dtype)
end

-- A template with %a, %b, ... replaced: Draw.fill("%x * %n", { x = "v1", n = "2" }).
function Draw.fill(template, with)
  return (template:gsub("%%(%a)", function(c) return with[c] and tostring(with[c]) or nil end))
end

-- An expression mapped into lo..hi.
function Draw.into(expr, lo, hi)
  return ("(%s:tanh() * %.4g + %.4g)"):format(expr, (hi - lo) / 2 * 0.95, (hi + lo) / 2)
end

-- A random shape around the sizes of this program.
function Draw:shape()
  local m, n = self.m, self.n
  return self:weighted { { 6, { m, n } }, { 3, { n } }, { 3, { n, n } }, { 1, { m, 1 } }, { 1, {} }, { 1, { 2, m, n } }, { 1, { 1, n } } }
end

return Draw
