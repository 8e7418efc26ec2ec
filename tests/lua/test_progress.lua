-- luacheck: globals TestProgress TestMeter
local lu = require "luaunit"
local ms = require "mascon"
local progress = require "mascon.progress"
local meter = require "mascon.meter"

-- What the bar writes, and a clock that the test moves.
local function stage()
  local s = { written = {}, now = 0 }
  s.out = { write = function(_, ...) s.written[#s.written + 1] = table.concat { ... } end, flush = function() end }
  s.clock = function() return s.now end
  s.opts = { out = s.out, clock = s.clock, shown = true }
  return s
end

TestProgress = {}

function TestProgress.test_all_values_of_the_iterator_come_through()
  local seen = {}
  for k, v in progress.with { shown = false } (ipairs { "a", "b", "c" }) do seen[#seen + 1] = k .. v end
  lu.assertEquals(seen, { "1a", "2b", "3c" })
  local n, sum = 0, 0
  for k, v in progress(pairs { x = 1, y = 2 }) do
    n, sum = n + #k, sum + v
  end
  lu.assertEquals({ n, sum }, { 2, 3 })
  local function four(_, i)
    if i < 2 then return i + 1, "b", nil, "d" end
  end
  local count = 0
  for a, b, c, d in progress(four, nil, 0) do
    count = count + a
    lu.assertEquals({ b, c, d }, { "b", nil, "d" })
  end
  lu.assertEquals(count, 3)
end

function TestProgress.test_arrays_numbers_loaders_and_objects_with_iter()
  local seen = {}
  for x in progress({ 5, 6 }, { shown = false }) do seen[#seen + 1] = x end
  for i in progress(3, { shown = false }) do seen[#seen + 1] = i end
  local left = 2
  local loader = setmetatable({}, { __len = function() return 2 end, __call = function()
    left = left - 1
    if left >= 0 then return left, "label" end
  end })
  for x, y in progress(loader, { shown = false }) do seen[#seen + 1] = x .. y end
  for x in progress({ iter = function() return ipairs { "only" } end }, { shown = false }) do seen[#seen + 1] = x end
  lu.assertEquals(seen, { 5, 6, 1, 2, 3, "1label", "0label", 1 })
  lu.assertErrorMsgContains("cannot loop over a string", progress, "text")
  lu.assertErrorMsgContains("unknown option 'lable'; did you mean label?", progress, { 1 }, { lable = "x" })
end

function TestProgress.test_draws_at_most_ten_times_a_second()
  local s = stage()
  for _ in progress(1000, s.opts) do s.now = s.now + 0.01 end -- ten seconds
  lu.assertTrue(#s.written <= 103)
  lu.assertTrue(#s.written >= 50)
end

function TestProgress.test_line_and_summary()
  local s = stage()
  s.opts.label = "epoch 1"
  local p = progress(10, s.opts)
  for i in p do
    s.now = s.now + 1
    p:set { loss = 0.5 / i }
  end
  lu.assertStrContains(s.written[6], "epoch 1")
  lu.assertStrContains(s.written[6], "50%")
  lu.assertStrContains(s.written[6], "5/10")
  lu.assertStrContains(s.written[6], "1.0/s")
  lu.assertStrContains(s.written[6], "loss 0.1")
  lu.assertStrContains(s.written[6], "5.0s left")
  local last = s.written[#s.written]
  lu.assertStrContains(last, "epoch 1  10  10s  1.0/s  loss 0.05")
  lu.assertEquals(last:sub(-1), "\n")
  local ends = 0
  for _, w in ipairs(s.written) do ends = ends + select(2, w:gsub("\n", "")) end
  lu.assertEquals(ends, 1)
end

function TestProgress.test_notes_are_read_only_when_drawn()
  local s, reads = stage(), 0
  local tensor = { item = function()
    reads = reads + 1
    return 1.5
  end }
  local p = progress(1000, s.opts)
  for _ in p do
    s.now = s.now + 0.001
    p:set { loss = tensor }
  end
  lu.assertTrue(reads <= 12)
  lu.assertTrue(reads >= 2)
  lu.assertStrContains(s.written[#s.written], "loss 1.5")
end

function TestProgress.test_set_without_the_bar_in_hand_reaches_the_innermost()
  local s = stage()
  for _ in progress(1, s.opts) do progress.set { acc = 0.25 } end
  lu.assertStrContains(s.written[#s.written], "acc 0.25")
  progress.set { acc = 1 } -- no bar: nothing happens
end

function TestProgress.test_nothing_is_written_when_not_shown()
  local s = stage()
  s.opts.shown = false
  for _ in progress(5, s.opts) do s.now = s.now + 1 end
  lu.assertEquals(s.written, {})
end

function TestProgress.test_break_and_error_close_bar_and_iterator()
  local closed = 0
  local guard = setmetatable({}, { __close = function() closed = closed + 1 end })
  local function forever(_, i) return i + 1 end
  local s = stage()
  for i in progress.with(s.opts)(forever, nil, 0, guard) do
    if i == 3 then break end
  end
  lu.assertEquals(closed, 1)
  lu.assertEquals(s.written[#s.written]:sub(-1), "\n")
  pcall(function()
    for _ in progress.with(s.opts)(forever, nil, 0, guard) do error("x") end
  end)
  lu.assertEquals(closed, 2)
  for _ in progress.with(s.opts)(function(_, i) if i < 2 then return i + 1 end end, nil, 0, guard) do s.now = 0 end
  lu.assertEquals(closed, 3)
end

function TestProgress.test_notes_are_on_one_line()
  local s = stage()
  for _ in progress(1, s.opts) do
    progress.set { loss = ms.tensor(0.5), grad = ms.ones { 2, 3 }, mean = meter.mean():add(ms.tensor { 2.5 }), flag = ms.tensor(3):gt(2),
      text = "two\nlines" }
  end
  lu.assertStrContains(s.written[#s.written], "flag true  grad tensor 2 x 3  loss 0.5  mean 2.5  text two lines")
  for _, written in ipairs(s.written) do lu.assertNil(written:match "\n.") end
end

-- A label or a note may come from a file: it must not move the cursor, set colours or name the window.
function TestProgress.test_labels_and_notes_cannot_act_on_the_terminal()
  local s = stage()
  s.opts.label = "\27]0;mine\7\27[2J\rx"
  for _ in progress(1, s.opts) do progress.set { ["k\27[31m"] = "v\27[0m\8\127\xc2\x9b1m\xff" } end
  local all = table.concat(s.written)
  lu.assertNil(all:find "[%z\1-\8\11\12\14-\26\28-\31\127]")
  lu.assertNil(all:find "\27[^%[]")
  for at in all:gmatch "\27%[(.)" do lu.assertEquals(at, "K") end -- our own: clear to the end of the line
  lu.assertNil(all:find "\xc2\x9b")
  lu.assertStrContains(all, "\\27]0;mine\\7\\27[2J x")
  lu.assertStrContains(all, "k\\27[31m v\\27[0m\\8\\127\\194\\1551m\\255")
  lu.assertErrorMsgContains("expected a table of notes, got a number", function()
    for _ in progress(1, s.opts) do progress.set(3) end
  end)
end

-- A line of a bar by its parts, in a window of that width.
local function drawn_in(columns, opts, notes)
  local term, s = require "mascon.term", stage()
  local of, utf8_of = term.columns, term.utf8
  term.columns, term.utf8 = function() return columns + 1 end, function() return true end -- luacheck: ignore
  for k, v in pairs(s.opts) do opts[k] = v end
  local ok, message = pcall(function()
    for _ in progress(10, opts) do
      s.now = s.now + 1
      progress.set(notes)
    end
  end)
  term.columns, term.utf8 = of, utf8_of -- luacheck: ignore
  assert(ok, message)
  return s.written[6]:gsub("\r", ""):gsub(" *$", ""), s.written[#s.written]:gsub("\r", ""):gsub(" *\n$", "")
end

function TestProgress.test_the_label_is_cut_before_the_notes()
  local width = require "mascon.width"
  local long = "a label that says very much of what is done here"
  local line, last = drawn_in(60, { label = long }, { loss = 0.125, accuracy = 12 })
  lu.assertEquals({ line, last }, { "a label that says very much …  5/10  accuracy 12  loss 0.125",
    "a label that says …  10  10s  1.0/s  accuracy 12  loss 0.125" })
  line, last = drawn_in(40, { label = long }, { loss = 0.125, accuracy = 12 })
  lu.assertEquals({ line, last }, { "a label …  5/10  accuracy 12  loss 0.125", "a label th…  10  accuracy 12  loss 0.125" })
  for columns = 1, 80 do
    line, last = drawn_in(columns, { label = long }, { loss = 0.125, accuracy = 12 })
    lu.assertTrue(width.of(line) <= columns and width.of(last) <= columns)
    if columns >= 31 then lu.assertStrContains(line, "accuracy 12  loss 0.125") end
  end
end

function TestProgress.test_wide_letters_and_line_ends_in_labels()
  local width = require "mascon.width"
  lu.assertEquals({ width.of "学習 a", width.of "e\u{301}", width.of "🚀", width.of "ab\xff", width.of "é" }, { 6, 1, 2, 3, 1 })
  lu.assertEquals({ width.cut("学習", 3), width.cut("学習", 4), width.cut("abc", 2) }, { "学", "学習", "ab" })
  for columns = 1, 60 do
    local line, last = drawn_in(columns, { label = "学習する\r\n 二つ\tの行 🚀" }, { ["精度"] = 0.5 })
    lu.assertTrue(width.of(line) <= columns and width.of(last) <= columns)
    if columns >= 60 then lu.assertStrContains(last, "学習する 二つ の行 🚀  10  10s  1.0/s  精度 0.5") end
  end
end

-- The last line tells the mean of what was given step by step: by itself where it is a mean, else beside what was given last.
function TestProgress.test_the_last_line_tells_the_mean()
  local s, mean = stage(), meter.mean()
  local p = progress(4, s.opts)
  for i in p do
    mean:add(i + 0.0)
    p:set { loss = ms.tensor(i * 1.0), rate = 0.5, number = i * 0.5, mean = mean, count = i }
  end
  lu.assertStrContains(s.written[#s.written],
    "4  0.0s  count 4  loss 4 (mean 2.5)  mean 2.5  number 2 (mean 1.25)  rate 0.5")
  lu.assertNil(s.written[1]:find "%(mean")
end

-- Without a terminal: a line every half minute, whichever bar runs then, and the last one of a bar that has written some.
function TestProgress.test_plain_lines()
  local s = stage()
  local opts = { out = s.out, clock = s.clock, plain = true }
  for epoch in progress(3, { out = s.out, clock = s.clock, plain = true, label = "epochs" }) do
    opts.label = "epoch " .. epoch
    for i in progress(50, opts) do
      s.now = s.now + (epoch == 1 and 0.1 or 1)
      progress.set { loss = i }
    end
  end
  local all = table.concat(s.written)
  lu.assertNil(all:find "[\r\27]")
  lu.assertEquals(all, table.concat { "epochs  1/3 | epoch 2   50%  25/50  1.0/s  loss 25  25s  25s left\n",
    "epoch 2  50  50s  1.0/s  loss 50\n", "epochs  2/3 | epoch 3   60%  30/50  1.0/s  loss 30  30s  20s left\n",
    "epoch 3  50  50s  1.0/s  loss 50\n" })
end

TestMeter = {}

-- Something with + and item() that counts how often it is read.
local reads = 0
local Lazy = {}
Lazy.__index = Lazy
local function lazy(v) return setmetatable({ v = v }, Lazy) end
function Lazy:item()
  reads = reads + 1
  return self.v
end
Lazy.__add = function(a, b) return lazy(a.v + b.v) end
Lazy.__mul = function(a, k) return lazy(a.v * k) end

function TestMeter.test_mean_of_numbers_with_weights()
  local m = meter.mean()
  m:add(1):add(2):add(6, 2)
  lu.assertEquals(m:value(), 15 / 4)
  lu.assertEquals(m:count(), 4)
  lu.assertTrue(m:reset():value() ~= m:value()) -- NaN
  lu.assertErrorMsgContains("expected a number or a tensor, got a string", m.add, m, "x")
  lu.assertErrorMsgContains("expected a tensor of one element, got 2", m.add, m, ms.ones { 2 })
  lu.assertErrorMsgContains("weight: expected a number of at least 0, got -1", m.add, m, 1, -1)
end

function TestMeter.test_a_tensor_is_read_once_and_late()
  reads = 0
  local m = meter.mean()
  for i = 1, 10 do m:add(lazy(i), 2) end
  lu.assertEquals(reads, 0)
  lu.assertEquals(m:value(), 5.5)
  lu.assertEquals(reads, 1)
end
