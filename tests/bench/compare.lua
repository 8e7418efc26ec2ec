-- compare: every workload in mascon, eager and compiled, and in each peer that is there, in turn; the table of ratios.
--
--   mascon tests/bench/compare.lua [--rounds 3] [--seconds 1] [--only W2] [--peers torch,jax] [--write] [--lock FILE]
--
-- The peers run under $PEERS_PYTHON (default python3). A round times each side once, and every other round goes backwards, so that a
-- drift of the machine meets all alike. A ratio is that of two times of the same round: of the peer that is fastest over all rounds, and
-- of mascon.
-- --write puts the table into tests/bench/RESULTS.md; --lock holds that file (flock) while the clock runs.
local ms = require "mascon"
local json = require "mascon.json"
local side = require "side"
local rows = require "rows"

local o = ms.args { rounds = 3, seconds = 1.0, only = "", peers = "", write = false, lock = "" }
local build = os.getenv "BUILD" or "build"
local program, peak_program = os.getenv "MASCON" or build .. "/mascon", os.getenv "PEAK" or build .. "/peak"
local python = os.getenv "PEERS_PYTHON" or "python3"

local function output(command)
  local f = io.popen(command .. " 2>/dev/null")
  local text = f:read "a"
  return f:close() and text or nil
end
local folder = output "mktemp -d":match "%S+"
local notes, failed = {}, false
local function note(format, ...)
  notes[#notes + 1] = format:format(...)
  print("  " .. notes[#notes])
end

-- ---- the sides ---------------------------------------------------------------------------------------------------------------------

local function mascon(mode) return ("%s tests/bench/workloads.lua %s"):format(program, mode) end
local function peer(file, variant) return ("%s tests/peers/bench_%s.py %s"):format(python, file, variant or "") end

local known = {
  { name = "eager", command = mascon "eager" },
  { name = "compiled", command = mascon "compiled" },
  { name = "bf16", command = mascon "bf16", optional = true },
  { name = "torch", command = peer("torch", "plain"), needs = "torch" },
  { name = "torch tuned", command = peer("torch", "tuned"), needs = "torch" },
  { name = "torch compile", command = peer("torch", "compile"), needs = "torch" },
  { name = "torch amp", command = peer("torch", "amp"), needs = "torch" },
  { name = "jax", command = peer "jax", needs = "jax" },
  { name = "scikit-learn", command = peer("ml", "sklearn"), needs = "sklearn", ml = true },
  { name = "sklearnex", command = peer("ml", "sklearnex"), needs = "sklearnex", ml = true },
  { name = "faiss", command = peer("ml", "faiss"), needs = "faiss", ml = true },
  { name = "lightgbm", command = peer("ml", "lightgbm"), needs = "lightgbm", ml = true },
  { name = "xgboost", command = peer("ml", "xgboost"), needs = "xgboost", ml = true },
  { name = "openTSNE", command = peer("ml", "openTSNE"), needs = "openTSNE", ml = true },
  { name = "openTSNE-bh", command = peer("ml", "openTSNE-bh"), needs = "openTSNE", ml = true },
  { name = "openTSNE-fft", command = peer("ml", "openTSNE-fft"), needs = "openTSNE", ml = true },
}

local present = {}
local function has(module)
  if present[module] == nil then
    local code = ('import importlib.util, sys; sys.exit(not importlib.util.find_spec("%s"))'):format(module)
    present[module] = output(("%s -c '%s'"):format(python, code)) ~= nil
    if not present[module] then note("missing: %s for %s, so there is nothing to compare with it", module, python) end
  end
  return present[module]
end

-- Started when a row first asks for it; false when it is not there, or ends or refuses at once: noted, and no failure where it is a peer
-- or may be missing. A process that is gone is started again for the next row.
local sides = {}
local function started(k)
  local s = sides[k.name]
  if s == nil or (s and not s.into) then
    s = false
    if not k.needs or (has(k.needs) and (o.peers == "" or ("," .. o.peers .. ","):find("," .. k.name .. ",", 1, true))) then
      local why
      s, why = side.start(k.name, k.command, folder)
      if not s then
        note("%s: %s", k.name, why)
        failed = failed or not (k.optional or k.needs)
        s = false
      end
    end
    sides[k.name] = s
  end
  return s
end

local function wanted_by(row, k)
  if k.name == (row.ours or "compiled") then return true end
  if not k.needs then return k.name == "eager" and not row.ours and not row.ml end
  if (k.ml or false) ~= (row.ml or false) or (k.needs == "jax" and row.case == "input") then return false end
  if type(row.peers) == "table" then return k.name == row.peers[1] or k.name == row.peers[2] end
  return row.peers == k.name or (not row.peers and k.name ~= "torch amp")
end

-- ---- measuring -----------------------------------------------------------------------------------------------------------------------

local function median(list)
  local t = table.move(list, 1, #list, 1, {})
  table.sort(t)
  return (t[(#t + 1) // 2] + t[#t // 2 + 1]) / 2
end

-- Hold o.lock while f runs.
local function alone(f)
  if o.lock == "" then return f() end
  local pipe = folder .. "/lock"
  os.execute("rm -f " .. pipe .. "; mkfifo " .. pipe)
  local held = io.popen(("flock '%s' sh -c 'echo held; cat > /dev/null' < %s"):format(o.lock, pipe), "r")
  local release = io.open(pipe, "w")
  held:read "l"
  f()
  release:close()
  held:close()
end

-- What a compiler costs: how long each side takes from nothing to the losses that are compared, of rows that say so (first = true).
local firsts = {}
local function first_steps(row, list)
  local parts = {}
  for k, s in ipairs(list) do
    parts[k] = ("%s %.1f s"):format(s.name == "compiled" and "mascon" or s.name == "eager" and "mascon eager" or s.name, s.first)
  end
  firsts[#firsts + 1] = ("%s, the net made and its first %d steps done: %s"):format(row.label or row.case, row.check,
    table.concat(parts, ", "))
  print("  " .. firsts[#firsts])
end

-- Losses of every side against mascon's own; drops sides that cannot. true when all that answered agree.
local function check(row, list)
  local reference, agree = nil, true
  for i = #list, 1, -1 do
    local s, began = list[i], ms.time()
    local answer, why = s:ask(("check %d %s"):format(row.check, row.case))
    s.first = ms.time() - began
    if not answer then
      note("%s: %s: %s", row.label or row.case, s.name, why)
      if not s.peer then agree, failed = false, true end
      table.remove(list, i)
    else
      s.losses = answer.losses
      if not s.peer then reference = reference or s end
    end
  end
  for _, s in ipairs(reference and list or {}) do
    for k, v in ipairs(reference.losses) do
      local off = s.losses[k] and math.abs(s.losses[k] - v) / math.max(math.abs(v), 1e-30) or math.huge
      if not (off <= row.tol) then
        note("%s: %s %d is %.9g in %s and %.9g in mascon %s: not timed", row.label or row.case, row.ml and "score" or "loss", k,
          s.losses[k] or 0 / 0, s.name, v, reference.name)
        if row.loose then -- a library that does something else is no peer here
          s.apart = true
        else
          agree, failed = false, true
        end
        break
      end
    end
  end
  for i = #list, 1, -1 do
    if list[i].apart then
      list[i].apart = nil
      table.remove(list, i)
    end
  end
  return agree
end

local function run(row)
  local list = {}
  for _, k in ipairs(known) do
    if wanted_by(row, k) then
      local s = started(k)
      if s and s.has[row.case] then
        s.peer, list[#list + 1] = k.needs ~= nil, s
      end
    end
  end
  local ours = sides[row.ours or "compiled"]
  if not ours or not ours.has[row.case] then return nil end
  if (row.check or 0) > 0 and not check(row, list) then return nil end
  if row.first then first_steps(row, list) end
  local result = { row = row, times = {}, ours = ours.name }
  for _, s in ipairs(list) do result.times[s.name] = {} end
  for round = 1, math.min(o.rounds, row.rounds or o.rounds) do
    alone(function()
      for i = 1, #list do
        local s = list[round % 2 == 1 and i or #list + 1 - i]
        os.execute "sleep 0.1" -- until the threads of the one before have stopped spinning
        local answer, why = s:ask(("time %g %s"):format(o.seconds, row.case))
        local times = result.times[s.name]
        if answer and times then
          times[round] = answer.median
        elseif times then
          note("%s: %s: %s", row.label or row.case, s.name, why)
          result.times[s.name] = nil
        end
      end
    end)
  end
  local flop = ours:ask("flop " .. row.case)
  result.gflop = flop and flop.gflop
  for _, s in ipairs(list) do
    if s.into then s:ask("drop " .. row.case) end
  end

  -- the fastest peer, and its ratio to mascon round by round
  local mine = result.times[ours.name]
  if not mine then return nil end
  result.mine = median(mine)
  for _, s in ipairs(list) do
    local times = result.times[s.name]
    if s.peer and times and (not result.best or median(times) < median(result.times[result.best])) then result.best = s.name end
  end
  if result.best then
    result.ratios = {}
    for k, t in ipairs(mine) do result.ratios[k] = result.times[result.best][k] / t end
    table.sort(result.ratios)
    result.ratio = median(result.ratios)
  end
  if row.most then
    result.met = result.mine <= row.most
  elseif result.ratio then
    result.met = result.ratio >= row.bar
  end
  return result
end

-- ---- the table -----------------------------------------------------------------------------------------------------------------------

local function ms_text(v) return not v and "" or v < 10 and ("%.3f"):format(v) or v < 100 and ("%.2f"):format(v) or ("%.0f"):format(v) end

local columns = { "", "mascon eager", "mascon", "torch", "torch tuned", "torch compile", "jax", "other", "ratio", "bar", "met", "GFLOP",
  "floor" }
local function cells(r, peak)
  local function t(name) return r.times[name] and ms_text(median(r.times[name])) or "" end
  local other = ""
  if r.row.ml and r.best then other = r.best .. " " .. t(r.best) end
  if r.times["torch amp"] then other = "autocast " .. t "torch amp" end
  return {
    r.row.label or r.row.case, t "eager", r.ours == "eager" and "" or t(r.ours),
    t "torch", t "torch tuned", t "torch compile", t "jax", other,
    r.ratio and ("%.2f (%.2f .. %.2f)"):format(r.ratio, r.ratios[1], r.ratios[#r.ratios]) or "",
    r.row.most and r.row.most .. " ms" or ("%g"):format(r.row.bar), r.met == nil and "" or r.met and "yes" or "no",
    r.gflop and r.gflop > 0 and ("%.3f"):format(r.gflop) or "",
    r.gflop and r.gflop > 0 and peak and ms_text(r.gflop / peak.fma_all * 1e3) or "",
  }
end

local function table_text(list)
  local width = {}
  for _, line in ipairs(list) do
    for i, c in ipairs(line) do width[i] = math.max(width[i] or 3, #c) end
  end
  local out = {}
  for n, line in ipairs(list) do
    local parts = {}
    for i, c in ipairs(line) do parts[i] = (i == 1 and "%-" .. width[i] .. "s" or "%" .. width[i] .. "s"):format(c) end
    out[#out + 1] = "| " .. table.concat(parts, " | ") .. " |"
    if n == 1 then
      for i, w in ipairs(width) do parts[i] = i == 1 and ("-"):rep(w) or ("-"):rep(w - 1) .. ":" end
      out[#out + 1] = "| " .. table.concat(parts, " | ") .. " |"
    end
  end
  return table.concat(out, "\n")
end

-- ---- how it starts ---------------------------------------------------------------------------------------------------------------------

local function peak_json(arguments)
  local text = output(peak_program .. " " .. arguments)
  return text and text ~= "" and json.decode(text) or nil
end

local function starting()
  local out = {}
  local first = peak_json(("start 21 %s -e 'print(1)'"):format(program))
  local w1 = peak_json(("start 3 %s tests/bench/w1_alone.lua"):format(program))
  local prompt = peak_json(("start 21 sh -c 'echo \"nn.linear(2, 3)\" | %s -i'"):format(program))
  if prompt then
    out[#out + 1] = ("prompt to its first answer, a shell included: %.1f ms (%.1f .. %.1f), bar 15 ms: %s"):format(prompt.first, prompt.p10,
      prompt.p90, prompt.first <= 15 and "met" or "not met")
  end
  if first then
    out[#out + 1] = ("program to its first Lua line: %.1f ms (%.1f .. %.1f), bar 10 ms: %s"):format(first.first, first.p10, first.p90,
      first.first <= 10 and "met" or "not met")
  end
  if w1 then
    out[#out + 1] = ("W1, 300 steps on one batch, whole program: %.0f ms, peak of resident memory %.0f MB, bar 60 MB: %s"):format(w1.whole,
      w1.rss, w1.rss <= 60 and "met" or "not met")
  end
  local torch = has "torch" and peak_json(("start 3 %s -c 'import torch; print(1)'"):format(python))
  if torch then out[#out + 1] = ("import torch alone: %.0f ms, %.0f MB"):format(torch.first, torch.rss) end
  return out
end

-- ---- all of it -------------------------------------------------------------------------------------------------------------------------

local function matches(label) return o.only == "" or label:lower():find(o.only:lower(), 1, true) ~= nil end

local peak
alone(function() peak = peak_json "" end)
local function peak_text()
  if not peak then return "peak: not measured (no C compiler?)" end
  local text = "measured peak, 1 thread and %d: f32 multiply-add %.0f and %.0f GFLOP/s, L2 read %.0f and %.0f GB/s, "
    .. "memory read %.1f and %.1f, triad %.1f and %.1f"
  return text:format(peak.threads, peak.fma, peak.fma_all, peak.l2, peak.l2_all, peak.memory, peak.memory_all, peak.triad, peak.triad_all)
end
print(peak_text())

local list, met, judged = { columns }, 0, 0
for _, row in ipairs(rows) do
  local label = row.label or row.case
  if matches(label) then
    local r = run(row)
    if r then
      list[#list + 1] = cells(r, peak)
      if r.met ~= nil then judged, met = judged + 1, met + (r.met and 1 or 0) end
      print(("%-20s mascon %s ms%s%s"):format(label, ms_text(r.mine), r.best and (", %s %s ms, ratio %s"):format(r.best,
        ms_text(median(r.times[r.best])), list[#list][9]) or "", r.met == nil and "" or r.met and ", met" or ", NOT met"))
    else
      print(("%-20s not measured"):format(label))
    end
  end
end
local start_lines = matches "start" and starting() or {}

local about = {}
for _, k in ipairs(known) do
  local s = sides[k.name]
  if s and k.needs and k.needs ~= about[#about] then
    local text = s.about:gsub(" plain$", ""):gsub(" %l+$", "")
    if text ~= about[#about] then about[#about + 1] = text end
  end
  if s then s:close() end
end
os.execute("rm -rf " .. folder)

local cpu = (output "grep -m1 'model name' /proc/cpuinfo" or ""):match ": (.-)\n" or "unknown processor"
local report = {
  ("%s, %d threads, %s; %s; mascon %s; peers: %s."):format(cpu, peak and peak.threads or 0, (output "uname -sr" or ""):gsub("%s+$", ""),
    os.date "%Y-%m-%d", ms.version, #about > 0 and table.concat(about, ", ") or "none"),
  "",
  peak_text() .. ".",
  "",
  ("Milliseconds per step, median of %d rounds in turn, f32. Ratio: fastest peer / mascon (compiled, unless the row says eager):"):format(
    o.rounds),
  "the median, least and most of the rounds. Floor: products' GFLOP over the measured peak of all threads. Losses (scores for ml)",
  "were found equal before anything was timed; tests/bench/rows.lua says how nearly.",
  "",
  table_text(list),
  "",
}
for _, line in ipairs(firsts) do report[#report + 1] = "- " .. line end
for _, line in ipairs(start_lines) do report[#report + 1] = "- " .. line end
if #notes > 0 then
  report[#report + 1] = ""
  for _, line in ipairs(notes) do report[#report + 1] = "- " .. line end
end
local text = table.concat(report, "\n")
print("\n" .. text)
print(("\n%d of %d bars met"):format(met, judged))

-- What stands under "## " headings in the file was written by hand (floors explained, profiles) and stays.
if o.write then
  local path, kept = "tests/bench/RESULTS.md", ""
  local f = io.open(path)
  if f then
    kept = f:read("a"):match "\n(## .*)$" or ""
    f:close()
  end
  f = assert(io.open(path .. ".new", "w"))
  f:write("# Results\n\nWritten by `make bench WRITE=1`; what the rows are: tests/bench/rows.lua.\n\n", text, "\n",
    kept ~= "" and "\n" .. kept or "")
  f:close()
  assert(os.rename(path .. ".new", path))
end
os.exit(not failed)
