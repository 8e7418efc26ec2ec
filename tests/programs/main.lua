-- mascon tests/programs/main.lua [--seed N] [--count N] [--from K] [--out FOLDER] [--only spice,spice] [--without spice,spice] [--keep N]
--   [--reasons 1]
--
-- Random programs, eager against compiled (run.lua). They run in processes of their own, some hundred in each, so that a crash or a hang
-- is found and named as well. A failing program is minimised and written to the folder; with --reasons 1 also one for each reason that a
-- compiled step gives for not going on. The exit status is 1 when one failed.
local here = arg[0]:match "^(.*)/programs/[^/]*$" or "tests"
package.path = here .. "/?.lua;" .. here .. "/lua/?.lua;" .. package.path
local generate, program, run = require "programs.generate", require "programs.program", require "programs.run"
local minimise = require "programs.minimise"

local o = { seed = os.time(), count = 300, from = 1, block = 250, keep = 20, out = "/tmp" }
do
  local i = 1
  while arg[i] do
    local name = arg[i]:match "^%-%-(%a+)$"
    local value = arg[i + 1]
    if not name or value == nil then
      io.stderr:write("unknown: " .. arg[i] .. " (see the head of tests/programs/main.lua)\n")
      os.exit(2)
    end
    o[name] = math.tointeger(tonumber(value)) or value
    i = i + 2
  end
end
local function names(text)
  local list, known = {}, {}
  for _, name in ipairs(generate.spices) do known[name] = true end
  for name in text:gmatch "[^,]+" do
    if not known[name] then error("no spice '" .. name .. "'; there are " .. table.concat(generate.spices, ", "), 0) end
    list[#list + 1], list[name] = name, true
  end
  return list
end
local only, without = o.only and names(o.only), names(o.without or "")

local function write(name, text)
  local f = assert(io.open(name, "w"))
  f:write(text)
  f:close()
end

-- Is the outcome one of those that must not be?
local function bad(r) return r.outcome == "different" or r.undesigned end

-- ---- a worker: programs from..from + count - 1, a line each; started with --worker 1 ----------------------------------------------------
if o.worker then
  local failures, told = 0, {}
  for k = o.from, o.from + o.count - 1 do
    print("start", k)
    io.stdout:flush()
    local p = generate.program(o.seed, k, only, without)
    local text = program.text(p, generate.title(p))
    local r = run.outcome(text, nil, p.dtype)
    if bad(r) or (o.reasons and r.outcome == "raises" and not told[r.reason]) then
      failures = failures + (bad(r) and 1 or 0)
      if failures <= o.keep then
        told[r.reason or ""] = true
        local small = minimise(p, function(t)
          local now = run.outcome(t, nil, p.dtype)
          return now.outcome == r.outcome and now.form == r.form and bad(now) == bad(r) and now.reason == r.reason
        end)
        local now = run.outcome(program.text(small), nil, p.dtype)
        write(("%s/program-%d-%d.lua"):format(o.out, o.seed, k),
          program.text(small, ("%s; %s: %s"):format(generate.title(p), now.outcome, (now.where or now.message or ""):gsub("\n.*", ""))))
      end
    end
    print("done", k, r.outcome, bad(r) and "bad" or "fine", ((r.reason or r.where or ""):gsub("%s+", " ")))
    io.stdout:flush()
    if k % 50 == 0 then collectgarbage() end
  end
  os.exit(0)
end

-- ---- the rest watches workers -----------------------------------------------------------------------------------------------------------

local mascon = arg[-1] or os.getenv "MASCON" or "build/mascon"
local function quoted(s) return "'" .. tostring(s):gsub("'", "'\\''") .. "'" end

-- Does a program's text end its process?
local function crashes(text)
  local file = ("%s/crash-%d.lua"):format(o.out, o.seed)
  write(file, text)
  local ok, how, status = os.execute(("timeout -k 5 20 %s %s >/dev/null 2>&1"):format(quoted(mascon), quoted(file)))
  return not ok and (how == "signal" or status >= 124)
end

local counts, reasons, places, spoiled, done = {}, {}, {}, 0, 0
local function count(t, key) t[key] = (t[key] or 0) + 1 end

local began = os.time()
print(("seed %d, programs %d to %d"):format(o.seed, o.from, o.from + o.count - 1))
local at = o.from
while at < o.from + o.count do
  local n = math.min(o.block, o.from + o.count - at)
  local command = ("timeout -k 5 600 %s %s --worker 1 --seed %d --from %d --count %d --keep %d --out %s"):format(quoted(mascon),
    quoted(arg[0]), o.seed, at, n, math.max(0, o.keep - spoiled), quoted(o.out))
  for _, name in ipairs { "only", "without", "reasons" } do
    if o[name] then command = ("%s --%s %s"):format(command, name, quoted(o[name])) end
  end
  local started, last
  local pipe = assert(io.popen(command .. " 2>&1"))
  for line in pipe:lines() do
    local k, outcome, state, reason = line:match "^done\t(%d+)\t(%a+)\t(%a+)\t(.*)$"
    if k then
      done, last = done + 1, tonumber(k)
      count(counts, outcome)
      if outcome == "raises" or outcome == "discarded" then count(outcome == "raises" and reasons or places, reason) end
      if state == "bad" then
        spoiled = spoiled + 1
        print(("program %d: %s: %s"):format(last, outcome, reason))
      end
    else
      started = tonumber(line:match "^start\t(%d+)$") or started
      if not line:find "^start\t" then print(line) end
    end
  end
  local ok = pipe:close()
  if ok then
    at = at + n
  else
    started = started or at
    spoiled, done = spoiled + 1, done + 1
    count(counts, "crash")
    local p = generate.program(o.seed, started, only, without)
    local file = ("%s/program-%d-%d.lua"):format(o.out, o.seed, started)
    local text = program.text(p, generate.title(p) .. "; ends its process")
    print(("program %d: the process ended or hung: %s"):format(started, file))
    if crashes(text) then text = program.text((minimise(p, crashes, 300)), generate.title(p) .. "; ends its process") end
    write(file, text)
    at = started + 1
  end
end

local function report(title, t, most)
  local list = {}
  for k, n in pairs(t) do list[#list + 1] = { n, k } end
  table.sort(list, function(a, b) return a[1] > b[1] or (a[1] == b[1] and a[2] < b[2]) end)
  if #list > 0 then print(title) end
  for i = 1, math.min(most, #list) do print(("%7d  %5.2f %%  %s"):format(list[i][1], 100 * list[i][1] / done, list[i][2])) end
end
report("what came of them:", counts, 10)
report("raised though it runs eagerly, by reason:", reasons, 60)
report("did not run eagerly:", places, 10)
print(("%d programs in %d s, seed %d: %d failed%s"):format(done, os.time() - began, o.seed, spoiled,
  spoiled > 0 and "; minimal programs in " .. o.out or ""))
os.exit(spoiled == 0 and 0 or 1)
