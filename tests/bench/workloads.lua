-- workloads: mascon's side of `make bench`. A server: it reads commands, one per line, and answers each with one line of JSON.
--
--   mascon tests/bench/workloads.lua eager|compiled|bf16
--
--   cases           {"cases": [names], "about": text}
--   check N NAME    {"losses": [the first N losses of a fresh start]}; for classical learning the one accuracy
--   time S NAME     {"median", "p10", "p90", "min": milliseconds per step, "n": groups}: about S seconds of groups of steps
--   flop NAME       {"gflop": in products and convolutions per step}, where it is known
--   drop NAME       {}: forget the workload and its memory
--   quit
--
-- What fails answers {"error": text}. The peers (tests/peers/bench_*.py) speak the same; compare.lua asks them in turn.
local ms = require "mascon"
local json = require "mascon.json"
local formula = require "formula"
local models = require "models"

local mode = arg and arg[1] or "compiled"
local compiled = mode ~= "eager"
if mode == "bf16" then
  if not ms.precision then error("this mascon has no ms.precision", 0) end
  ms.precision "bf16"
end

-- ---- data: made when first asked for ---------------------------------------------------------------------------------------------

local made = {}
local function once(name, f)
  return function()
    made[name] = made[name] or ms.keep(f())
    return made[name].x, made[name].y
  end
end

local NOISES = 16
local train = function()
  if not made.train then
    local ok, set, test = pcall(ms.data.fashion_mnist)
    made.train = ok and { set, test } or {}
  end
  return made.train[1], made.train[2]
end

local data = {}
data.images = once("images", function()
  local set = train()
  if set then
    local x, y = set:batch()
    return { x = x, y = y }
  end
  return { x = formula.tensor(11, { 60000, 1, 28, 28 }, 0, 1), y = formula.labels(12, 60000, 10) }
end)
data.flat = function()
  local x, y = data.images()
  return x:reshape { #x, 784 }, y
end
data.wide = once("wide", function() return { x = formula.tensor(13, { 8192, 3072 }, 0, 1), y = formula.labels(14, 8192, 10) } end)
local noise = once("noise", function()
  return { x = formula.tensor(16, { NOISES, 8, 128 }, -1.7, 1.7), y = formula.tensor(17, { NOISES, 8, 1, 1, 1 }, 0, 1) }
end)

-- feed(): the arguments of the next step, batch after batch from the first one on
local function feed(kind, batch)
  local at = 0
  if kind == "fields" then
    local real, z, eps = formula.tensor(15, { 8, 2, 256, 256 }, -1.7, 1.7), noise()
    return function()
      at = at % NOISES + 1
      return real, z[at], eps[at]
    end
  end
  local x, y = data[kind]()
  return function()
    if at + batch > #x then at = 0 end
    local range = { { at + 1, at + batch } }
    at = at + batch
    return x[range], y[range]
  end
end

-- ---- cases: name -> function that makes {run = one step, giving its loss; step = what ms.compile gave; score, gflop} --------------------

local cases, names = {}, {}
local function case(name, make)
  cases[name] = make
  names[#names + 1] = name
end

for _, name in ipairs { "W1", "W2", "W3", "W4", "W5", "W6 critic", "W6 generator", "W7" } do
  local model = models[name]
  case(name, function()
    local next_batch, plain = feed(model.data, model.batch), model.make()
    local step = compiled and ms.compile(plain)
    local function run()
      local scope <close> = ms.scope()
      return scope:keep((step or plain)(next_batch()))
    end
    return { run = run, step = step, next_batch = next_batch }
  end)
end

-- Sixteen copies of a net in one step (ms.sweep); tests/bench/sweep.lua compares it with sixteen nets trained one by one.
case("sweep", function()
  local next_batch, sweep = feed("wide", 64), models.sweep(16)
  return { run = function()
    local scope <close> = ms.scope()
    local x, y = next_batch()
    return scope:keep(sweep:step(x, y):sum())
  end }
end)

-- One walk over 60,000 u8 images: shuffled, in batches of 64, as f32.
case("input", function()
  local images = train()
    or ms.data.tensors { (formula.tensor(11, { 60000, 1, 28, 28 }, 0, 255)):to "u8", formula.labels(12, 60000, 10) }
  local loader = images:loader { batch = 64, shuffle = true }
  return { run = function()
    local n = 0
    for x in loader:iter() do
      local scope <close> = ms.scope()
      n = n + #x
    end
    return n
  end }
end)

require "classic"(case, once, train)

-- ---- commands --------------------------------------------------------------------------------------------------------------------

local live = {} -- name -> what its maker gave
local function get(name)
  if not cases[name] then error("no workload " .. name, 0) end
  if not live[name] then
    local new = cases[name]()
    new.warm = 4 -- until a compiled step replays
    live[name] = new
  end
  return live[name]
end

local function number(v) return type(v) == "userdata" and v:item() or v end

local function quantile(sorted, q) return sorted[math.min(#sorted, math.floor(q * #sorted) + 1)] end

-- Groups of as many steps as take 20 ms: what an asynchronous peer needs to be measured fairly.
local function measure(run, seconds)
  local function group(n)
    local begin = ms.time()
    for _ = 1, n do run() end
    return (ms.time() - begin) / n * 1e3
  end
  local one = group(1)
  local size = math.max(1, math.ceil(20 / group(one < 5 and math.ceil(5 / one) or 1)))
  local times, begin = {}, ms.time()
  repeat
    times[#times + 1] = group(size)
    local spent = ms.time() - begin
  until spent > seconds and (#times >= 3 or spent > 3 * seconds)
  table.sort(times)
  return { median = quantile(times, 0.5), p10 = quantile(times, 0.1), p90 = quantile(times, 0.9), min = times[1], n = #times }
end

local commands = {}

function commands.cases()
  return { cases = names, about = ("mascon %s, %s"):format(mode, ms.version or "") }
end

function commands.check(n, name)
  live[name] = nil
  local c, losses = get(name), {}
  if type(c.score) == "function" then return { losses = { number(c.score()) } } end
  for i = 1, c.score and 1 or n do losses[i] = number(c.run()) end
  live[name] = nil
  return { losses = losses }
end

function commands.time(seconds, name)
  local c = get(name)
  while c.warm > 0 and (c.step or c.warm == 4) do
    c.run()
    c.warm = c.warm - 1
  end
  return measure(c.run, seconds)
end

function commands.flop(_, name)
  local c = get(name)
  if not c.step then return { gflop = c.gflop } end
  for _ = 1, 4 do c.run() end
  return { gflop = tonumber(c.step:report():match "([%d.]+) GFLOP") }
end

-- profile N NAME: for the reader, not for compare.lua
function commands.profile(n, name)
  local c = get(name)
  return { profile = c.step:profile(n, c.next_batch()) }
end

function commands.drop(_, name)
  live[name] = nil
  collectgarbage()
  collectgarbage()
  ms.memory "release"
  return { dropped = name }
end

io.stdout:setvbuf "line"
for line in io.lines() do
  local word, rest = line:match "^(%S+)%s*(.*)$"
  if word == "quit" then break end
  local n, name = rest:match "^([%d.]+)%s+(.*)$"
  local ok, answer = pcall(commands[word] or error, tonumber(n) or 0, name or rest)
  print(json.encode(ok and answer or { error = tostring(answer) }))
end
