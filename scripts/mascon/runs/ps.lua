-- runs/ps: `mascon ps [FOLDER...]`: the runs there are, how far they are, and what became of them.
local args = require "mascon.args"
local list = require "mascon.runs.list"
local progress = require "mascon.progress"
local system = require "mascon.system"
local term = require "mascon.term"
local text = require "mascon.text"
local width = require "mascon.width"

local SHOWN = 20 -- so many that do not run, the latest ones, unless --all

local function number(v) return type(v) == "number" and v or nil end

local function ago(seconds)
  if seconds < 60 then return "now" end
  if seconds < 3600 then return ("%d min ago"):format(seconds // 60) end
  if seconds < 86400 then return ("%d h ago"):format(seconds // 3600) end
  return ("%d days ago"):format(seconds // 86400)
end

-- How far it is: the bar that moved last, else the epoch.
local function far(d)
  local said, last = d.said, d.last
  local label, count, total, seconds = said.label, number(said.count), number(said.total), number(said.seconds)
  local epochs, epoch = type(d.record.options) == "table" and number(d.record.options.epochs), number(last.epoch)
  if last.part then epochs = nil end -- of each part, and the lines count those of all
  if d.state ~= "finished" and count then
    local parts = { label ~= "" and label or epoch and ("after epoch %d"):format(epoch) or nil }
    parts[#parts + 1] = total and total > 0 and ("%d%%"):format(math.floor(100 * count / total)) or ("%.0f steps"):format(count)
    if d.state == "running" and total and count > 0 and seconds then
      parts[#parts + 1] = progress.time_text((total - count) * seconds / count) .. " left"
    end
    return table.concat(parts, "  ")
  end
  if not epoch then return d.state == "running" and "beginning" or "no epoch" end
  return epochs and epochs >= epoch and ("epoch %d of %d"):format(epoch, epochs) or ("epoch %d"):format(epoch)
end

local FIRST = { "loss", "train_loss", "val_loss", "accuracy", "val_accuracy", "mse" }

-- Up to three figures of the last line.
local function figures(d)
  local last, parts, names = d.last, {}, { table.unpack(FIRST) }
  local seen = {}
  for _, name in ipairs(text.keys(last)) do names[#names + 1] = name end
  for _, name in ipairs(names) do
    if list.is_figure(name, last[name]) and not seen[name] and #parts < 3 then
      seen[name] = true
      parts[#parts + 1] = ("%s %.4g"):format(name, last[name])
    end
  end
  return table.concat(parts, "  ")
end

local function when(d)
  if d.state == "running" then
    local parts = { d.pid and ("process %d"):format(d.pid) or ("on %s"):format(tostring(d.said.host)) }
    local begun = number(d.said.begun)
    if begun then parts[#parts + 1] = "for " .. progress.time_text(os.time() - begun) end
    return table.concat(parts, ", ")
  end
  return d.time and ago(os.time() - d.time) or ""
end

local function table_text(rows, columns)
  local widths, lines = {}, {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, width.of(cell)) end
  end
  for n, row in ipairs(rows) do
    local line = {}
    for i, cell in ipairs(row) do line[i] = cell .. (" "):rep(widths[i] - width.of(cell)) end
    lines[n] = width.cut(table.concat(line, "  "):gsub("%s+$", ""), columns)
  end
  return table.concat(lines, "\n")
end

-- Where two ways lead to one folder it is listed once, by the shorter name.
local function gather(folders)
  local dirs, known = {}, {}
  local function add(dir)
    local real = system.stamp(dir .. "/run.json") or system.stamp(dir .. "/metrics.jsonl") or dir
    if not known[real] then dirs[#dirs + 1] = dir end
    known[real] = true
  end
  for _, folder in ipairs(folders) do
    for _, dir in ipairs(list.below(folder)) do add(dir) end
  end
  return dirs, add
end

return function(...)
  local o = args.parse({ all = false }, { name = "ps", positional = "[FOLDER...]", describe = { all = "all runs, not only the latest 20" },
    help = "The runs in these folders (runs/, or this one where there is no runs/), and those that run now, wherever they are." }, { ... })
  for _, folder in ipairs(o) do
    if system.kind(folder) ~= "folder" then
      io.stderr:write(("mascon ps: no folder %s\n"):format(text.show(folder)))
      return 1
    end
  end
  local dirs, add = gather(#o > 0 and o or { system.kind "runs" == "folder" and "runs" or "." })
  if #o == 0 then
    for dir in pairs(list.open()) do add(dir) end
  end
  local runs = {}
  for _, dir in ipairs(dirs) do runs[#runs + 1] = list.describe(dir) end
  table.sort(runs, function(a, b)
    if (a.state == "running") ~= (b.state == "running") then return a.state == "running" end
    if a.state ~= "running" and a.time ~= b.time then return (a.time or 0) > (b.time or 0) end
    return a.dir < b.dir
  end)
  if #runs == 0 then
    print "no runs here (a script that calls ms.run(folder) leaves one)"
    return 0
  end
  local rows, left = { { "run", "state", "progress", "last figures", "when" } }, 0
  local shown = 0
  for _, d in ipairs(runs) do
    if d.state ~= "running" then shown = shown + 1 end
    if o.all or shown <= SHOWN or d.state == "running" then
      local ok, row = pcall(function() return { d.dir, d.state, far(d), figures(d), when(d) } end)
      if not ok then row = { d.dir, d.state, "?", "", "" } end -- files that no run of ours has written
      for i, cell in ipairs(row) do row[i] = text.visible(tostring(cell)) end
      rows[#rows + 1] = row
    else
      left = left + 1
    end
  end
  print(table_text(rows, term.isatty(1) and term.columns(1) or 1000))
  if left > 0 then print(("and %d older ones (--all)"):format(left)) end
  return 0
end
