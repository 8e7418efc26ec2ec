-- program: a random program as a list of statements, and as text.
--
-- A program makes tensors (zone "make"), hands some to a step call after call (zone "argument"), computes in the step (zone "body"),
-- does things between the calls (zone "between") and returns (zone "result"). A statement is a table:
--
--   zone      where it stands; within a zone, in the order of the list
--   text      Lua. A body's or a maker's may be an expression ("expr"), whose value the names of `define` get
--   define    the names it makes, if any
--   between   additionally `at`: before which call
--
-- Text is the program: what runs is what is printed. It is a function world(compile, see, jitter), to be run twice from the same seed.
local program = {}

program.CALLS = 8

local HEAD = [[
local ms = require "mascon"
local nn, optim, inside = ms.nn, ms.optim, require "mascon.inside"
local jitter = 0

-- A tensor of numbers in -1..1, others for each k; jitter moves them a little, to see what hangs on the last bits.
local function num(k, shape, dtype)
  local flat, n = {}, 1
  for _, s in ipairs(shape) do n = n * s end
  for i = 1, n do
    local v = math.sin(k * 12.9898 + i * 78.233) * 43758.5453
    flat[i] = (2 * (v - math.floor(v)) - 1) * (1 + jitter * math.sin(i * k))
  end
  if n == 0 then return ms.zeros(shape, { dtype = dtype }) end
  return ms.tensor(flat, { dtype = dtype }):view(shape)
end
-- Whole numbers 1..top.
local function whole(k, top, shape)
  return ((num(k, shape, "f64") + 1) * (top / 2)):floor():clamp(0, top - 1):to("i64") + 1
end
local function plainly(f, ...) return f(...) end
-- f(...), or "raised" and the message.
local function protected(f, ...)
  local r = table.pack(pcall(f, ...))
  local waited, late = pcall(ms.synchronize) -- a device that works later tells now
  if r[1] and not waited then r = { false, late } end
  if r[1] then return table.unpack(r, 2, r.n) end
  return "raised", tostring(r[2])
end
]]

-- For a program run by itself: eager and compiled beside each other.
local TAIL = [[

if ... == "program" then return world, num, whole end
local function words(v)
  if type(v) == "userdata" and v.totable then
    local flat = v:numel() > 0 and v:detach():reshape { -1 }:totable() or {}
    for i, x in ipairs(flat) do flat[i] = type(x) == "number" and ("%.9g"):format(x) or tostring(x) end
    local s = v.dtype .. " " .. table.concat(v.shape, "x") .. ": " .. table.concat(flat, " ")
    return v.requires_grad and v.is_leaf and s .. " grad " .. (v.grad and words(v.grad) or "nil") or s
  elseif type(v) == "table" then
    local keys, list = {}, {}
    for k in pairs(v) do keys[#keys + 1] = k end
    table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
    for i, k in ipairs(keys) do list[i] = tostring(k) .. " = " .. words(v[k]) end
    return "{ " .. table.concat(list, ", ") .. " }"
  end
  return tostring(v)
end
local function run(compile)
  local seen = {}
  ms.seed(1)
  math.randomseed(1)
  local ok, message = pcall(world, compile, function(name, ...)
    local n = (...) == "raised" and 1 or select("#", ...) -- the message may differ
    for i = 1, n do seen[#seen + 1] = ("%s %d: %s"):format(name, i, words((select(i, ...)))) end
    seen[#seen + 1] = name .. ": " .. n
  end)
  seen[#seen + 1] = ok and "the end" or "error: " .. tostring(message)
  return seen
end
local eager, compiled, differ = run(function(f) return f end), run(ms.compile), 0
for i = 1, math.max(#eager, #compiled) do
  if eager[i] ~= compiled[i] then
    differ = differ + 1
    print("eager    " .. tostring(eager[i]))
    print("compiled " .. tostring(compiled[i]))
  end
end
print(differ == 0 and "no difference" or differ .. " differences (roundings among them)")
]]

local function zone(p, name)
  local list = {}
  for _, s in ipairs(p.statements) do
    if s.zone == name then list[#list + 1] = s end
  end
  return list
end
program.zone = zone

-- A statement as Lua: in place as a local, or (global = true) for the environment of a generator.
function program.words(s, global)
  if s.expr then return (global and "" or "local ") .. table.concat(s.define, ", ") .. " = " .. s.expr end
  if s.text:find "^%(" then return ";" .. s.text end -- Lua would take it for the arguments of the line before
  if s.define and not global then return "local " .. table.concat(s.define, ", ") .. "; " .. s.text end
  return s.text
end

-- The text of a program; `comment`: its first line.
function program.text(p, comment)
  local out = { "-- " .. (comment or "a random program"), HEAD, "local function world(compile, see, shake)", "  jitter = shake or 0" }
  local function add(indent, s) out[#out + 1] = ("  "):rep(indent) .. s:gsub("\n", "\n" .. ("  "):rep(indent)) end
  for _, s in ipairs(zone(p, "make")) do add(1, program.words(s)) end
  local arguments, names = zone(p, "argument"), {}
  for _, s in ipairs(arguments) do
    for _, name in ipairs(s.define) do names[#names + 1] = name end
  end
  local list = table.concat(names, ", ")
  add(1, ("local step = compile(function(%s)"):format(list))
  for _, s in ipairs(zone(p, "body")) do add(2, program.words(s)) end
  local results = {}
  for _, s in ipairs(zone(p, "result")) do results[#results + 1] = s.text end
  if #results > 0 then add(2, "return " .. table.concat(results, ", ")) end
  add(1, "end)")
  add(1, ("for call = 1, %d do"):format(p.calls or program.CALLS))
  for _, s in ipairs(zone(p, "between")) do
    if not s.after then add(2, s.at and ("if call == %d then %s end"):format(s.at, s.text) or s.text) end
  end
  for _, s in ipairs(arguments) do add(2, program.words(s)) end
  local outside = {}
  for _, s in ipairs(zone(p, "between")) do
    if s.after then outside[#outside + 1] = s end
  end
  local call = ("step(%s)"):format(list)
  local around = p.protected and "protected" or p.around -- a function that calls the step
  if around then call = ("%s(step%s)"):format(around, #names > 0 and ", " .. list or "") end
  if #outside > 0 then
    add(2, ("local r = table.pack(%s)"):format(call))
    add(2, 'see("result", table.unpack(r, 1, r.n))')
    for _, s in ipairs(outside) do add(2, s.text) end
  else
    add(2, ('see("result", %s)'):format(call))
  end
  for _, s in ipairs(zone(p, "see")) do add(2, ("see(%q, %s)"):format(s.text, s.text)) end
  add(1, "end")
  add(1, 'see("generator", ms.rng_state())')
  out[#out + 1] = "end"
  out[#out + 1] = TAIL
  return table.concat(out, "\n")
end

-- The environment a generator runs statements in, with num and whole.
function program.environment(ms)
  local env = { ms = ms, inside = require "mascon.inside", nn = ms.nn, optim = ms.optim, call = 1 }
  for _, name in ipairs { "math", "table", "string", "ipairs", "pairs", "type", "tonumber", "tostring", "select", "pcall",
    "error", "os", "rawequal", "setmetatable", "collectgarbage" } do
    env[name] = _G[name]
  end
  env.compile = function(f) return f end
  local chunk = HEAD .. "return num, whole"
  env.num, env.whole = assert(load(chunk, "=head"))()
  return env
end

return program
