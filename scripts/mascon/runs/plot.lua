-- runs/plot: `mascon plot RUN... [--metric loss]`: curves of runs in the terminal, from metrics.jsonl: of runs that run, that have ended,
-- or that were copied from another machine.
local args = require "mascon.args"
local curves = require "mascon.runs.curves"
local list = require "mascon.runs.list"
local system = require "mascon.system"
local term = require "mascon.term"
local text = require "mascon.text"
local width = require "mascon.width"

local function fail(code, fmt, ...)
  error(setmetatable({ exit_code = code, plain = true, message = "plot: " .. fmt:format(...) },
    { __tostring = function(e) return e.message end }), 0)
end

-- What a user names: the file of a run's lines, and how the run is called.
local function source(name)
  if system.kind(name) == "file" then return { name = name, path = name } end
  local dir, why = list.find(name)
  if not dir then fail(1, "%s", why) end
  return { name = dir, path = dir .. "/metrics.jsonl", dir = dir }
end

-- The figures that lines of all sources have: names in order.
local function metrics(sources)
  local known = {}
  for _, s in ipairs(sources) do
    for _, row in ipairs(s.rows) do
      for name, v in pairs(row) do
        if list.is_figure(name, v) then known[name] = true end
      end
    end
  end
  return text.keys(known), known
end

local function choose(sources, asked)
  local names, known = metrics(sources)
  if asked then
    if not known[asked] and #names > 0 then
      fail(1, "no run here has the figure '%s'%s; there is %s", asked, text.hint(asked, names), table.concat(names, ", "))
    end
    return asked
  end
  for _, name in ipairs { "loss", "train_loss", "val_loss" } do
    if known[name] then return name end
  end
  return names[1] or "loss"
end

-- What the x axis says: steps where all lines have them, else epochs, else the lines' numbers; seconds since the run began.
local function axis(sources, asked, metric)
  local function all_have(name)
    for _, s in ipairs(sources) do
      for _, row in ipairs(s.rows) do
        if row[metric] ~= nil and type(row[name]) ~= "number" then return false end
      end
    end
    return true
  end
  if asked ~= "auto" then
    if asked ~= "seconds" and not all_have(asked) then fail(1, "--x %s: there are lines without it", asked) end
    return asked
  end
  return all_have "step" and "step" or all_have "epoch" and "epoch" or "line"
end

-- One curve for each run, and for each part of it (nets that are trained one after another have a name each).
local function curves_of(sources, metric, x)
  local out = {}
  for _, s in ipairs(sources) do
    local by_part, seconds = {}, 0
    for i, row in ipairs(s.rows) do
      seconds = seconds + (type(row.seconds) == "number" and row.seconds or 0)
      local v = row[metric]
      if type(v) == "number" then
        local part = type(row.part) == "string" and row.part or ""
        local c = by_part[part]
        if not c then
          c = { name = s.name .. (part ~= "" and ": " .. part or ""), x = {}, y = {}, source = s }
          by_part[part], out[#out + 1] = c, c
        end
        c.x[#c.x + 1] = x == "seconds" and seconds or x == "line" and i or row[x]
        c.y[#c.y + 1] = v
      end
    end
  end
  return out
end

-- The last figure of a curve and its least and greatest.
local function told(c, x)
  local low, high, at_low = math.huge, -math.huge, nil
  for i, v in ipairs(c.y) do
    if v < low then low, at_low = v, c.x[i] end
    if v > high then high = v end
  end
  if low > high then return "no finite figure" end
  if c.y[#c.y] ~= c.y[#c.y] then return ("last NaN  least %.4g at %s %.6g  greatest %.4g"):format(low, x, at_low, high) end
  return ("last %.4g  least %.4g at %s %.6g  greatest %.4g"):format(c.y[#c.y], low, x, at_low, high)
end

local function shown(v) return type(v) == "number" and ("%.6g"):format(v) or tostring(v) end

-- What was changed while the run ran: options, and the script itself.
local function changes(s)
  local lines = {}
  for _, row in ipairs(s.dir and list.lines(s.dir .. "/changes.jsonl") or {}) do
    local at = row.step and (" at step %s"):format(shown(row.step)) or ""
    if row.what == "set" then
      lines[#lines + 1] = ("    %s %s -> %s%s"):format(tostring(row.name), shown(row.from), shown(row.to), at)
    elseif row.what == "reload" then
      local names = type(row.swapped) == "table" and table.concat(row.swapped, ", ") or ""
      lines[#lines + 1] = ("    %s edited%s%s"):format(tostring(row.file), at, names ~= "" and ": " .. names or "")
    end
  end
  return lines
end

-- The whole screen as lines.
local function screen(sources, o)
  for _, s in ipairs(sources) do s.rows = list.lines(s.path) end
  local metric = choose(sources, o.metric)
  local x = axis(sources, o.x, metric)
  local all = curves_of(sources, metric, x)
  if #all == 0 then return { ("no line with %s yet"):format(metric) } end
  local opts = { columns = o.columns, rows = o.rows, colour = o.colour, utf8 = term.utf8(), xlabel = x }
  if o.log then opts.log = true elseif o.linear then opts.log = false end
  local below, named = {}, 0
  for _, c in ipairs(all) do named = math.max(named, math.min(width.of(text.visible(c.name)), 40)) end
  for i, c in ipairs(all) do
    local name = width.cut(text.visible(c.name), 40)
    below[#below + 1] = { i, ("%s%s  %s"):format(name, (" "):rep(named - width.of(name)), told(c, x)) }
    if not all[i + 1] or all[i + 1].source ~= c.source then
      for _, line in ipairs(changes(c.source)) do below[#below + 1] = { nil, text.visible(line) } end
    end
  end
  if o.height == 0 then opts.rows = math.max(8, opts.rows - #below - 2) end
  local out = { metric }
  for _, line in ipairs(curves.draw(all, opts)) do out[#out + 1] = line end
  for _, b in ipairs(below) do
    out[#out + 1] = b[1] and curves.mark(b[1], opts) .. " " .. width.cut(b[2], o.columns - 3) or width.cut(b[2], o.columns)
  end
  return out
end

local function running(sources)
  for _, s in ipairs(sources) do
    if s.dir and list.describe(s.dir).state == "running" then return true end
  end
  return false
end

local function stamps(sources)
  local words = {}
  for _, s in ipairs(sources) do
    words[#words + 1] = system.stamp(s.path) or ""
    words[#words + 1] = s.dir and system.stamp(s.dir .. "/changes.jsonl") or ""
  end
  return table.concat(words, "|") .. (" %d %d"):format(term.columns(1) or 0, term.rows(1) or 0)
end

return function(...)
  local o = args.parse({ metric = args.string, x = args.choice { "auto", "step", "epoch", "seconds" }, log = false, linear = false,
    follow = false, width = 0, height = 0 }, { name = "plot", positional = "RUN...",
    order = { "metric", "x", "log", "linear", "follow", "width", "height" },
    describe = { metric = "which figure (default: loss, or the first there is)", x = "what the x axis says", log = "logarithmic y axis",
      linear = "none (default: where the figures span a factor of 30)", follow = "draw again as lines come, until the runs end",
      width = "columns (0: the terminal's)", height = "rows (0: the terminal's)" },
    range = { width = "[0, ]", height = "[0, ]" },
    help = "Curves of runs, from their metrics.jsonl: folders, or such files." }, { ... })
  if #o == 0 then fail(2, "expected folders of runs (mascon ps lists them)") end
  if o.log and o.linear then fail(2, "--log and --linear exclude one another") end
  local sources = {}
  for _, name in ipairs(o) do sources[#sources + 1] = source(name) end
  local tty = term.isatty(1)
  o.colour = term.colours(1)
  local drawn
  while true do
    local now, runs = stamps(sources), running(sources)
    if now ~= drawn then
      o.columns = o.width > 0 and math.max(o.width, 30) or tty and (term.columns(1) or 80) - 1 or 80
      o.rows = o.height > 0 and math.max(o.height, 6) or tty and (term.rows(1) or 24) - 1 or 24
      local lines = screen(sources, o)
      if o.follow and tty then io.stdout:write "\27[H\27[2J" end
      print(table.concat(lines, "\n"))
      io.stdout:flush()
      drawn = now
    end
    if not o.follow or not runs then return 0 end
    system.sleep(0.5)
  end
end
