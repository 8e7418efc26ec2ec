-- run: a program's text, eagerly and through ms.compile from the same seed, and what came of it.
--
--   same        all that was seen is the same, but for roundings
--   different   it is not, and nothing was said: the worst there is
--   raises      the compiled one raised where the eager one went on; `reason` is the message without its numbers and places
--   discarded   the eager one raised (and the compiled one too, or it had been the same until then)
--   chaotic     it differs, and so does the eager one from itself when the last bits of its numbers are moved
local ms = require "mascon"
local run = {}

local TOLERANCE = { f64 = 1e-9, f32 = 2e-4, f16 = 2e-2, bf16 = 5e-2 }
local SHAKE = { f64 = 1e-13, f32 = 1e-6 }

local function is_tensor(v) return type(v) == "userdata" and getmetatable(v) ~= nil and pcall(function() return v.dtype end) end

-- A copy of a value that later changes do not reach: tensors as lists of numbers; of leaves that require gradients, the gradient too.
local function snapshot(v, depth)
  if is_tensor(v) then
    local t = v:detach()
    local s = { kind = "tensor", dtype = v.dtype, shape = table.concat(v.shape, " x ") }
    s.flat = t:numel() > 0 and t:reshape { -1 }:totable() or {}
    if v.requires_grad and v.is_leaf and depth < 6 then
      s.grad = v.grad and snapshot(v.grad, 6) or { kind = "nil", value = "no gradient" }
    end
    return s
  elseif type(v) == "table" and depth < 6 and not (getmetatable(v) or {}).is_module then
    local s = { kind = "table", fields = {} }
    for k, x in pairs(v) do s.fields[k] = snapshot(x, depth + 1) end
    return s
  end
  if type(v) == "number" then return { kind = math.type(v), value = v } end
  return { kind = type(v) == "table" and "object" or type(v), value = (type(v) == "string" or type(v) == "boolean") and v or type(v) }
end

-- How far apart are two numbers? 0 for equal ones and for two NaN.
local function apart(a, b)
  if a == b or (a ~= a and b ~= b) then return 0 end
  if type(a) ~= "number" or type(b) ~= "number" then return math.huge end
  local d = math.abs(a - b)
  return d == d and d or 1e300 -- one of them is NaN or infinite
end

-- The largest difference between two snapshots as a multiple of what is allowed, and where it is.
local function difference(a, b, path)
  if a.kind ~= b.kind then return math.huge, ("%s: %s and %s"):format(path, a.kind, b.kind) end
  if a.kind == "tensor" then
    if a.dtype ~= b.dtype or a.shape ~= b.shape then
      return math.huge, ("%s: %s %s and %s %s"):format(path, a.dtype, a.shape, b.dtype, b.shape)
    end
    local worst, where, allowed, scale = 0, nil, TOLERANCE[a.dtype], 0
    for i = 1, #a.flat do
      local m = type(a.flat[i]) == "number" and math.abs(a.flat[i]) or 1
      if m > scale and m < math.huge then scale = m end
    end
    for i = 1, #a.flat do
      local d = apart(a.flat[i], b.flat[i])
      if allowed then d = math.min(d / (allowed * (1 + scale)), 1e300)
      elseif d > 0 then d = math.huge end -- whole numbers, booleans: equal or not
      if d > worst then worst, where = d, ("%s[%d]: %s and %s"):format(path, i, tostring(a.flat[i]), tostring(b.flat[i])) end
    end
    -- A result carries no graph, whatever became of what it was made from since.
    if (a.grad == nil) ~= (b.grad == nil) and not path:find "^result" then
      return math.huge, path .. ": requires gradients in one of them"
    end
    if a.grad and b.grad then
      local d, at = difference(a.grad, b.grad, path .. ".grad")
      if d > worst then worst, where = d, at end
    end
    return worst, where
  elseif a.kind == "table" then
    local worst, where = 0, nil
    for k, x in pairs(a.fields) do
      if not b.fields[k] then return math.huge, ("%s.%s: not there when compiled"):format(path, tostring(k)) end
      local d, at = difference(x, b.fields[k], path .. "." .. tostring(k))
      if d > worst then worst, where = d, at end
    end
    for k in pairs(b.fields) do
      if not a.fields[k] then return math.huge, ("%s.%s: there only when compiled"):format(path, tostring(k)) end
    end
    return worst, where
  end
  if a.kind == "float" then
    local d = apart(a.value, b.value)
    return d == 0 and 0 or d / (1e-9 * (1 + math.abs(a.value))), ("%s: %s and %s"):format(path, tostring(a.value), tostring(b.value))
  end
  return a.value == b.value and 0 or math.huge, ("%s: %s and %s"):format(path, tostring(a.value), tostring(b.value))
end

-- Run a world: the list of all it shows, and its error if it ended with one.
local function observe(world, compile, shake)
  local seen = {}
  ms.seed(1)
  math.randomseed(1)
  local ok, message = pcall(world, compile, function(name, ...)
    for i = 1, select("#", ...) do
      local s = snapshot((select(i, ...)), 0)
      s.name = name .. " " .. i
      seen[#seen + 1] = s
    end
    seen[#seen + 1] = { kind = "count", value = select("#", ...), name = name }
  end, shake)
  if not ok then seen.message = tostring(message) end
  return seen
end

local function eager(f) return f end

-- A message without what differs from program to program: places, numbers, shapes, names of variables.
function run.reason(message)
  local changes = { { "%S*:%d+: ", "" }, { '%[string "[^"]*"%]', "program" }, { "program:%d+", "program" },
    { "at =?program", "at program" }, { "%-?%d[%d%.e+-]*", "#" }, { "# x [# x]*#?", "#" }, { "nan", "#" }, { "%f[%w][acnvw]#", "name" },
    { "compile: [%w_#]+ at program", "compile: OP at program" }, { "derivative of [%w_#]+,", "derivative of OP," },
    { "what [%w_#]+ at program made", "what OP at program made" } }
  for i, c in ipairs(changes) do message = message:gsub(c[1], c[2], i == 1 and 1 or nil) end
  return message:sub(1, 150)
end

-- Messages Lua itself gives when the library trips, or that nobody wrote for a user.
local CRASHES = { "attempt to %a+ a? ?nil", "attempt to index", "attempt to call", "attempt to yield", "bad argument", "stack overflow",
  "internal", "assertion failed", "not enough memory", "error in error" }
function run.undesigned(message)
  if message:find("mascon.number", 1, true) then return false end -- Lua's own library names what it cannot take
  for _, p in ipairs(CRASHES) do
    if message:find(p) then return true end
  end
  return false
end

-- Numbers that ran away, in a training that diverges, say nothing.
local function wild(s)
  for i = 1, #(s.flat or {}) do
    local v = s.flat[i]
    if math.type(v) == "float" and not (math.abs(v) < 1e9) then return true end
  end
  for _, x in pairs(s.fields or {}) do
    if wild(x) then return true end
  end
  return s.grad ~= nil and wild(s.grad)
end

-- Do the eager runs differ among themselves there, when the last bits of the numbers move? at: which of the things seen
local function chaotic(world, dtype, first, at, size)
  if wild(first[at]) and size < math.huge then return true end
  for k = 1, 4 do
    local again = observe(world, eager, (k % 2 == 0 and 1 or -1) * k * (SHAKE[dtype] or 1e-6))
    if not again[at] then return true end
    local d = difference(first[at], again[at], "")
    if d > 0.05 * size or d == math.huge then return true end
  end
  return false
end

-- What a program sees: the globals, and an error for a name that is none (a minimised program must not live on nil).
local function unknown(_, name) error("no variable " .. tostring(name), 2) end
run.names = setmetatable({}, { __index = function(_, name)
  local v = rawget(_G, name)
  return v == nil and unknown(nil, name) or v
end, __newindex = unknown })

-- The outcome of a program's text: { outcome =, reason =, where = }. compile: instead of ms.compile (tests of the tests).
function run.outcome(text, compile, dtype)
  local chunk, problem = load(text, "=program", "t", run.names)
  if not chunk then return { outcome = "discarded", reason = problem } end
  local world = chunk "program"
  local a = observe(world, eager)
  local b = observe(world, compile or ms.compile)
  local name = dtype or (text:find('"f64"', 1, true) and not text:find('"f32"', 1, true)) and "f64" or "f32"
  for i = 1, math.min(#a, #b) do
    if b[i].value == "raised" and a[i].value ~= "raised" then -- in a protected call
      b.message, b[i] = b[i + 1].value, nil
      for k = #b, i, -1 do b[k] = nil end
      break
    end
    if a[i].value == "raised" and b[i].value == "raised" then -- the same complaint, with the places of a replay around it?
      local core = a[i + 1].value:gsub(".*program:%d+: ", "")
      if not b[i + 1].value:find(core, 1, true) then
        local message = b[i + 1].value
        return { outcome = "raises", reason = run.reason(message), message = message, undesigned = run.undesigned(message) }
      end
      b[i + 1].value = a[i + 1].value
    end
    local d, where = difference(a[i], b[i], a[i].name)
    if not (d <= 1) then
      if chaotic(world, name, a, i, d) then return { outcome = "chaotic", where = where } end
      local form = d < math.huge and "numbers" or (where or ""):gsub("^[^:]*", ""):gsub("%d+", "#")
      return { outcome = "different", where = where, form = form }
    end
  end
  if a.message and #a <= #b and a.message:find("depends on nothing that requires gradients", 1, true) then
    return { outcome = "discarded", reason = run.reason(a.message), message = a.message } -- x ^ 0 has a graph where 0 is a live number
  elseif b.message and (not a.message or #b < #a) then
    return { outcome = "raises", reason = run.reason(b.message), message = b.message, undesigned = run.undesigned(b.message) }
  elseif a.message and not b.message then
    return { outcome = "different", where = "eager raises, compiled does not: " .. a.message, form = "eager raises" }
  elseif a.message and #b > #a then
    return { outcome = "different", where = "eager raises earlier: " .. a.message, form = "eager raises" }
  elseif a.message then
    return { outcome = "discarded", reason = run.reason(a.message), message = a.message }
  end
  return { outcome = "same" }
end

return run
