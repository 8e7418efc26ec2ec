-- progress: a bar on standard error around any loop.
--
--   for x, y in ms.progress(loader) do ... end
--   local p = ms.progress(loader, { label = "epoch 3" })
--   for x, y in p do ... p:set { loss = mean } end
--   for k, v in ms.progress.with { total = n } (pairs(t)) do ... end
--
-- It shows itself when standard error is a terminal; else it writes a plain line every half minute, so that the log of a night tells how
-- far it was when. What is given to set() is looked at when the bar is drawn, at most ten times a second: a mean or a function passed there
-- costs nothing in between. Of numbers and tensors (losses of single batches) the last line tells the mean, too, which costs an addition.
-- In a narrow window the bar goes first, then the end of the label, then times, and the notes last.
local options = require "mascon.options"
local plain = require "mascon.plain"
local pulse = require "mascon.pulse"
local term = require "mascon.term"
local text = require "mascon.text"
local width = require "mascon.width"
local progress = {}

local EVERY = 0.1 -- seconds between two drawings
local PLAIN = 30  -- seconds between two lines where there is no terminal
local ERR = 2     -- file descriptor of standard error
local LABEL = 8   -- so many columns of a label stay longer than times do

local Bar = { __name = "mascon.progress" }
Bar.__index = Bar

local active = {} -- bars that are being shown, the innermost last
local due = setmetatable({}, { __mode = "k" }) -- by clock: when the next plain line is to be written, whichever bar runs then

-- ---- numbers as text -------------------------------------------------------------------------------------------------------------

local function time_text(s)
  if s < 10 then return ("%.1fs"):format(s) end
  s = math.floor(s + 0.5)
  if s < 60 then return ("%ds"):format(s) end
  if s < 3600 then return ("%d:%02d"):format(s // 60, s % 60) end
  return ("%d:%02d:%02d"):format(s // 3600, s // 60 % 60, s % 60)
end

progress.time_text = time_text

local function rate_text(r)
  if r >= 100 then return ("%.0f/s"):format(r) end
  if r >= 1 then return ("%.1f/s"):format(r) end
  if r > 0 then return ("%s each"):format(time_text(1 / r)) end
  return ""
end

-- On one line, and nothing in it that moves the cursor.
local function one_line(s) return text.visible((tostring(s):gsub("[ \t]*[\r\n]+[ \t]*", " "):gsub("\t", " "))) end

-- A number, a mean (value()), a tensor of one element, a function that gives one, or anything else by tostring. Of a larger tensor its
-- sizes.
local function value_text(v)
  if type(v) == "function" then v = v() end
  local shape = type(v) == "userdata" and v.shape
  local got = shape and v:numel() ~= 1 and ("tensor %s"):format(table.concat(shape, " x ")) or plain(v)
  if math.type(got) == "float" then return ("%.4g"):format(got) end
  return one_line(got)
end

-- ---- drawing ---------------------------------------------------------------------------------------------------------------------

local eighths = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" }

local function bar_text(fraction, cells_wide, utf8_ok)
  fraction = math.min(math.max(fraction, 0), 1)
  if not utf8_ok then
    local n = math.floor(fraction * cells_wide)
    return "[" .. ("#"):rep(n) .. ("."):rep(cells_wide - n) .. "]"
  end
  local cells = math.floor(fraction * cells_wide * 8 + 0.5)
  local full, rest = cells // 8, cells % 8
  local part = eighths[rest] or ""
  return "▕" .. ("█"):rep(full) .. part .. (" "):rep(cells_wide - full - (rest > 0 and 1 or 0)) .. "▏"
end

local function join(parts)
  local kept = {}
  for _, p in ipairs(parts) do
    if p ~= "" then kept[#kept + 1] = p end
  end
  return table.concat(kept, "  ")
end

-- The notes; last: with the mean of all that was given, where that is something else than what was given last.
local function notes(self, last)
  local parts = {}
  for i, key in ipairs(self.keys) do
    local now, mean = value_text(self.notes[key]), last and self.means[key]
    local of_all = mean and mean:count() > 1 and value_text(mean)
    parts[i] = one_line(key) .. " " .. now .. (of_all and of_all ~= now and (" (mean %s)"):format(of_all) or "")
  end
  return table.concat(parts, "  ")
end

-- The label in so many columns.
local function shortened(self, room)
  if width.of(self.label) <= room then return self.label end
  if room < 3 then return "" end
  return width.cut(self.label, room - 1) .. (self.utf8 and "…" or "~")
end

-- The line of label, bar and parts in at most `columns`. core: what is cut last.
local function fitted(self, columns, parts, core)
  local rest = join(parts)
  local room = columns - width.of(rest) - (self.label == "" and 0 or 2)
  if room < math.min(LABEL, width.of(self.label)) then
    rest = join(core)
    room = columns - width.of(rest) - 2
  end
  local label, bar = shortened(self, room), ""
  room = room - width.of(label) - 4
  if parts.bar and room >= 6 then bar = bar_text(self.count / self.total, math.min(room, 30), self.utf8) end
  return width.cut(join { label, bar, rest }, columns)
end

local function counted(self)
  return self.total and self.count ~= self.total and ("%d/%d"):format(self.count, self.total) or tostring(self.count)
end

-- The line of a running bar.
local function running_line(self, now, columns)
  local elapsed = now - self.start
  local rate = elapsed > 0 and self.count / elapsed or 0
  local left = ""
  if self.total and rate > 0 then left = time_text(math.max(0, self.total - self.count) / rate) .. " left" end
  local count = self.total and ("%d/%d"):format(self.count, self.total) or tostring(self.count)
  local measured = self.total and self.total > 0
  local percent = measured and ("%3d%%"):format(math.floor(self.count / self.total * 100)) or ""
  local said = notes(self)
  return fitted(self, columns, { percent, count, self.count > 0 and rate_text(rate) or "", said, time_text(elapsed), left,
    bar = measured and columns < math.huge },
    { count, said })
end

local function last_line(self, now, columns)
  local elapsed, said = now - self.start, notes(self, true)
  return fitted(self, columns, { counted(self), time_text(elapsed),
    elapsed > 0 and self.count > 0 and rate_text(self.count / elapsed) or "", said }, { counted(self), said })
end

-- Put `line` where the bar stands. Without escape sequences the rest of the old line is covered with spaces.
local function draw(self, line, ending)
  local length = width.of(line)
  local tail = self.smart and "\27[K" or (" "):rep(math.max(0, (self.drawn or 0) - length))
  self.drawn = length
  self.out:write("\r", line, tail, ending or "")
  self.out:flush()
end

local function width_now() return (term.columns(ERR) or 80) - 1 end

local function show(self)
  local now = self.clock()
  self.next = now + EVERY
  if active[#active] ~= self then return end
  draw(self, running_line(self, now, width_now()))
end

-- A line for a log: the bars around this one by their counts, then this one. ended: its last line, if it has had others.
local function write_plain(self, ended)
  local now, parts = self.clock(), {}
  for _, bar in ipairs(active) do
    if bar ~= self and bar.plain and not ended then parts[#parts + 1] = join { bar.label, counted(bar) } end
  end
  parts[#parts + 1] = (ended and last_line or running_line)(self, now, math.huge)
  due[self.clock] = now + PLAIN
  self.lines = self.lines + 1
  self.out:write(table.concat(parts, " | "), "\n")
  self.out:flush()
end

-- ---- the loop --------------------------------------------------------------------------------------------------------------------

-- The bar is its own iterator and its own closing value.
function Bar:__call()
  if self.ended then return nil end
  if not self.begun then
    self.begun = true
    self.start = self.clock()
    if self.shown or self.plain then active[#active + 1] = self end
    if self.shown then show(self) end
    due[self.clock] = due[self.clock] or self.start + PLAIN
  else
    self.count = self.count + 1
    if self.shown then
      if self.clock() >= self.next then show(self) end
    elseif self.plain and active[#active] == self and self.clock() >= due[self.clock] then
      write_plain(self)
    end
    pulse.step(self)
  end
  return self:pass(self.f(self.s, self.control))
end

function Bar:pass(first, ...)
  if first == nil then
    self:finish()
    return nil
  end
  self.control = first
  return first, ...
end

-- End the bar: one line stays, and the iterator's own closing value is closed. Called by the loop; harmless twice. A loop left by break or
-- by an error closes it too where the bar is the fourth value of the for, as in `for x in ms.progress(loader)`.
function Bar:finish(err)
  if self.ended then return end
  self.ended = true
  for i = #active, 1, -1 do
    if active[i] == self then table.remove(active, i) end
  end
  if self.shown and self.begun then draw(self, last_line(self, self.clock(), width_now()), "\n") end
  if self.lines > 0 then write_plain(self, true) end
  local closing = self.closing
  self.closing = nil
  if closing ~= nil and closing ~= false then
    local meta = debug.getmetatable(closing)
    if meta and meta.__close then meta.__close(closing, err) end
  end
end

Bar.__close = function(self, err) self:finish(err) end

-- What a mean can be made of: numbers that are no counts, and tensors of one such number.
local function averages(v)
  if math.type(v) == "float" then return true end
  local ms = type(v) == "userdata" and require "mascon"
  return ms and ms.is_tensor(v) and v:numel() == 1 and v.dtype:find "f" ~= nil
end

-- Notes behind the count: p:set { loss = x }. Numbers, means, tensors, functions, texts; false takes one away.
function Bar:set(values)
  local fresh = {}
  if type(values) ~= "table" then error("progress:set: expected a table of notes, got a " .. type(values), 2) end
  for key, v in pairs(values) do
    if type(key) ~= "string" then error("progress:set: expected texts as keys, got " .. text.show(key), 2) end
    if self.notes[key] == nil and v ~= false then fresh[#fresh + 1] = key end
    self.notes[key] = v or nil
    if averages(v) and (self.shown or self.plain) then
      self.means[key] = self.means[key] or require "mascon.meter".mean()
      self.means[key]:add(v)
    else
      self.means[key] = nil
    end
    if v == false then
      for i, k in ipairs(self.keys) do
        if k == key then table.remove(self.keys, i) break end
      end
    end
  end
  table.sort(fresh)
  for _, key in ipairs(fresh) do self.keys[#self.keys + 1] = key end
  return self
end

-- For who tells elsewhere how far the loop is: label, count, total or nil, seconds, notes as text.
function Bar:told()
  local ok, said = pcall(notes, self)
  return self.label, self.count, self.total, self.begun and self.clock() - self.start or 0, ok and said or nil
end

-- print without tearing the bar.
function Bar:print(...)
  if self.shown and self.begun and not self.ended then draw(self, "", "\r") end
  print(...)
  io.stdout:flush()
  if self.shown and self.begun and not self.ended then show(self) end
end

-- A message on standard error that does not tear whatever bar is on the screen.
function progress.say(line)
  local bar = active[#active]
  if bar and bar.shown then draw(bar, "", "\r") end
  io.stdout:flush()
  io.stderr:write(line, "\n")
  io.stderr:flush()
  if bar and bar.shown then show(bar) end
end

local any = options.any
local known = { total = any, label = any, out = any, shown = any, clock = any, plain = any }

local function new(opts, f, s, control, closing)
  opts = options.read("progress", opts, known)
  local shown, lines = opts.shown, opts.plain
  if shown == nil then shown = not lines and term.isatty(ERR) end
  if lines == nil then lines = opts.shown == nil and not shown end
  return setmetatable({ f = f, s = s, control = control, closing = closing, total = opts.total,
    label = one_line(opts.label or ""), count = 0, notes = {}, keys = {}, means = {}, shown = shown, plain = lines, lines = 0,
    out = opts.out or io.stderr, clock = opts.clock or term.time, next = 0, start = 0, smart = term.smart(ERR), utf8 = term.utf8() }, Bar)
end

local function length(x)
  local ok, n = pcall(function() return #x end)
  return ok and math.type(n) == "integer" and n or nil
end

local function counting(n)
  return function(_, i)
    if i < n then return i + 1 end
  end
end

-- Anything that can be looped over, as the values of a generic for, and how many there are if that is known.
local function iterator(x, ...)
  local t = type(x)
  if t == "function" then return nil, x, ... end
  if t == "number" then return x, counting(math.tointeger(x) or error("progress: expected an integer", 0)), nil, 0 end
  if t ~= "table" and t ~= "userdata" then options.raise("progress: cannot loop over a %s", t) end
  local meta = debug.getmetatable(x)
  if type(meta) == "table" and meta.__call then return length(x), x, ... end
  local ok, iter = pcall(function() return x.iter end)
  if ok and iter then return length(x), x:iter() end
  if t == "userdata" then options.raise "progress: cannot loop over this object" end
  local i = 0
  return #x, function()
    i = i + 1
    return x[i]
  end
end

local function with_total(opts, total, ...)
  local o = {}
  for k, v in pairs(opts) do o[k] = v end
  if o.total == nil then o.total = total end
  return new(o, ...)
end

-- ms.progress.with(opts): opts.total, opts.label; returns a function that takes what a generic for takes.
function progress.with(opts)
  return function(...)
    local bar = with_total(opts, iterator(...))
    return bar, nil, nil, bar
  end
end

-- The notes of the innermost bar that runs, for code that has no hold of it.
function progress.set(values)
  local bar = active[#active]
  if bar then bar:set(values) end
end

-- print that does not tear whatever bar is on the screen.
function progress.print(...)
  local bar = active[#active]
  if bar then bar:print(...) else print(...) end
end

return setmetatable(progress, {
  -- ms.progress(x [, opts]) for a loader, an object with iter(), an array or a number; ms.progress(f, s, control, closing) for the values
  -- of an iterator (with options: ms.progress.with). Returns the four values of a generic for; the first is the bar.
  __call = function(_, x, ...)
    local bar
    if type(x) == "function" then
      bar = new({}, x, ...)
    else
      bar = with_total(... or {}, iterator(x))
    end
    return bar, nil, nil, bar
  end,
})
