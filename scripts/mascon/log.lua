-- log: the folder a run leaves behind (ms.run): run.json, how it was begun; metrics.jsonl, one JSON object per epoch; checkpoints;
-- summary.json, the final figures; metrics.csv, the same lines for spreadsheets; with tensorboard = true event files.
--
--   local run = ms.run(o.out, { options = o, resume = o.resume, same = { data_set = train.name } })
--   local at = run:peek "model"                                  -- nil: nothing to go on from
--   run:rewind(at and at.epoch or 0)                             -- lines of later epochs are dropped
--   run:load("model", { model = net, optimizer = adam })
--   run:epoch { epoch = 3, step = 2814, loss = mean }            -- time, and seconds since the last one, are added
--   run:board():image("reconstructions", pictures, 2814)         -- the TensorBoard writer of the run
--   run:save("model", { model = net, optimizer = adam, epoch = 3 })
--   run:live("lr", adam)                                         -- `mascon set FOLDER lr=1e-4` changes it from outside (runs/live.lua)
--   run:summary { loss_k8 = 20.9 }                               -- seed, device, options, versions, command and commit are added
--   plot.lines { ..., file = run:path "loss.png" }
--
-- One process at a time has the folder: the kernel locks run.lock for it and lets go when the process ends, however it ends. Whoever has
-- the folder may also clear away the temporary files of runs that were killed. run.json also lists the checkpoints that this run has saved,
-- so that one left behind by an earlier run in the same folder is not taken for its own. status.json says how far it is (`mascon ps`),
-- changes.jsonl what was changed while it ran.
local csv = require "mascon.csv_lines"
local files = require "mascon.runs.files"
local json = require "mascon.json"
local live = require "mascon.runs.live"
local options = require "mascon.options"
local origin = require "mascon.runs.origin"
local plain = require "mascon.plain"
local pulse = require "mascon.pulse"
local status = require "mascon.runs.status"
local system = require "mascon.system"
local term = require "mascon.term"
local text = require "mascon.text"
local any = options.any
local read_lines, row_text = files.read_lines, files.row_text
local log = { read = files.read, read_lines = read_lines }

local Run = { __name = "mascon.run" }
Run.__index = Run

local function fail(fmt, ...) options.raise("run: " .. fmt, ...) end

local function ensure(ok, message)
  if not ok then fail("%s", message) end
  return ok
end

-- ---- opening ---------------------------------------------------------------------------------------------------------------------

local locks = {} -- by folder: the run of this process that has it

-- Take the folder, or raise and say who has it. A run of this process that has it gives it up: at the prompt a script is run again.
local function lock(self)
  local path = self:path("run.lock")
  local before = locks[self.dir]
  if before then before:close() end
  local got, message, holder = system.lock(path)
  if not got and holder == false then -- a file system without locks
    io.stderr:write(("run: %s; nothing keeps a second run out of %s\n"):format(text.visible(message), text.visible(self.dir)))
  elseif not got and holder then
    fail("%s is in use by another run%s; choose another --out, or end that one", self.dir,
      holder:match("^%d+") and (" (process %s)"):format(holder:match("^%d+")) or "")
  end
  self.lock = holder ~= false and ensure(got, message)
  locks[self.dir] = self
end

-- Remove what killed runs were writing (runtime/io/file.c names it .NAME.PID-SERIAL-CHANCE.mascon-tmp); nothing of a process that lives.
local function clear_away(dir)
  for _, name in ipairs(ensure(system.list(dir))) do
    local pid = name:match("^%..*%.(%d+)%-%d+%-%x+%.mascon%-tmp$")
    pid = pid and math.tointeger(tonumber(pid))
    if pid and not system.alive(pid) then os.remove(dir .. "/" .. name) end
  end
end

-- The options as a plain table: names only.
local function option_values(o)
  local copy = {}
  for k, v in next, o or {} do
    if type(k) == "string" then copy[k] = v end
  end
  return copy
end

-- A figure as it goes into a line: a mean or a tensor is read; a tensor without elements stays a list.
local function figure(v)
  local got = plain(v)
  return type(v) == "userdata" and type(got) == "table" and json.array(got) or got
end

local function value_text(v)
  if v == nil then return "nothing" end
  return type(v) == "table" and json.encode(v, { replace = true }) or text.show(v)
end

-- Options that may differ when a run goes on: how far, where from, where to.
local FREE = { epochs = true, resume = true, out = true, data = true, device = true, help = true }

-- Raise where the run goes on with something that must be as it was. `key_text` writes a key as the user does.
local function agree(self, what, was, now, free, key_text)
  local keys = {}
  for k in pairs(was) do keys[k] = true end
  for k in pairs(now) do keys[k] = true end
  for _, k in ipairs(text.keys(keys)) do
    if not free[k] and value_text(was[k]) ~= value_text(now[k]) then
      fail("resume: %s %s: this run was begun with %s, now %s is given; give it as it was, or begin another run in another --out (%s)",
        what, key_text(k), value_text(was[k]), value_text(now[k]), self:path("run.json"))
    end
  end
end

local function dashed(k) return "--" .. k:gsub("_", "-") end

-- Go on with the run in the folder: what it was begun with stands in run.json.
local function go_on(self, opts)
  local path = self:path("run.json")
  if system.kind(path) == nil then
    local metrics = ""
    if system.kind(self.metrics_path) then metrics = " (its metrics.jsonl is of a version that did not write it)" end
    fail("resume: no run to go on with in %s: looked for run.json%s; without --resume a new one begins", self.dir, metrics)
  end
  local was = log.read(path)
  if type(was) ~= "table" or type(was.options) ~= "table" or type(was.same) ~= "table" or type(was.saved) ~= "table" then
    fail("%s: expected options, same and saved of a run", path)
  end
  local free = {}
  for k in pairs(FREE) do free[k] = true end
  for _, k in ipairs(opts.may_change or {}) do free[k] = true end
  for _, k in ipairs(type(was.live) == "table" and was.live or {}) do free[k] = true end
  -- Through the same text as what was read: 5 epochs given as 5.0 are 5.0 on both sides.
  local given = json.decode(json.encode(option_values(opts.options), { replace = true }))
  agree(self, "option", was.options, given, free, dashed)
  agree(self, "the", was.same, json.decode(json.encode(opts.same or {}, { replace = true })), {}, function(k) return (k:gsub("_", " ")) end)
  self.record, self.saved = was, {}
  for _, name in ipairs(was.saved) do self.saved[name] = true end
  self.lists = {}
  for _, name in ipairs(was.lists or {}) do self.lists[name] = true end
  live.go_on(self, was, given, value_text)
end

local function write_record(self)
  self.record.saved = json.array(text.keys(self.saved))
  self.record.lists = json.array(text.keys(self.lists))
  self.record.live = json.array(text.keys(self.live_options))
  ensure(system.replace(self:path("run.json"), json.encode(self.record, { indent = "  ", replace = true }) .. "\n"))
end

Run.write_record = write_record

-- Raise where the folder holds the run of another script, which a new run would replace and one that goes on would mix up. (Older runs
-- tell their script by the command only.)
local function check_script(self)
  local ok, was = pcall(log.read, self:path "run.json")
  if not ok or type(was) ~= "table" then return end
  local its, ours = was.script, origin.script()
  if its == nil and type(was.command) == "string" then its = was.command:match "([^%s/']+%.lua)%f[%s'\0]" end
  if its and ours and its ~= ours then
    fail("%s holds a run of %s (run.json), and this is %s; choose another --out, or remove that folder", self.dir, text.show(its), ours)
  end
end

-- Begin a new run: the metrics and the summary of the one before go, its checkpoints stay until they are written over.
local function begin(self, opts)
  self.record = { options = option_values(opts.options), same = opts.same or {}, begun = os.time(), versions = origin.versions(),
    command = self.command, script = origin.script(), commit = self.commit }
  self.saved, self.lists = {}, {}
  write_record(self) -- first: from here on nothing that lies in the folder is of this run
  os.remove(self:path("summary.json"))
  for _, name in ipairs { "metrics.csv", "changes.jsonl", "set.jsonl" } do os.remove(self:path(name)) end
  ensure(system.replace(self.metrics_path, ""))
end

-- The folder run_N in dir: a new one with the next number, or the last.
local function numbered(dir, resume)
  local last = 0
  for _, name in ipairs(system.kind(dir) and ensure(system.list(dir)) or {}) do
    local n = name:match "^run_([1-9]%d*)$"
    last = math.max(last, n and math.tointeger(tonumber(n)) or 0)
  end
  if resume and last == 0 then
    fail("resume: no run to go on with: there is no folder run_1 in %s; without --resume a new one begins", dir)
  end
  return ("%s/run_%d"):format(dir, resume and last or last + 1)
end

-- Make the folder and lock it. A number that another process took in between is its: the next one is tried.
local function take(self, opts)
  local dir = self.dir
  while true do
    if opts.numbered then self.dir = numbered(dir, opts.resume) end
    self.metrics_path = self:path("metrics.jsonl")
    ensure(system.mkdir(self.dir))
    local ok, message = pcall(lock, self)
    local taken = not ok and tostring(message):find("is in use by another run", 1, true)
      or ok and system.kind(self:path("run.json")) ~= nil
    if ok and not (taken and opts.numbered and not opts.resume) then return end
    if not (taken and opts.numbered and not opts.resume) then error(message, 0) end
    self:close()
  end
end

-- Open the folder `dir`, which is this process's from then on; another one that has it makes this raise. Without resume a new run begins,
-- which replaces one of the same script (that of another script makes this raise), and the folder is made if need be. opts.resume = true:
-- the run in it goes on; raises where there is none, and where an option or one of opts.same (names and values of what the run stands on:
-- the data set, ...) is not what it was begun with. opts.may_change: names of options that may differ, besides epochs, out, data and
-- device. opts.options: the script's options. opts.numbered = true: the run lies in dir/run_1, or run_2, ...: the next number that is free,
-- with resume the greatest there is (run.dir tells). opts.tensorboard = true: the numbers of each line of metrics are curves in
-- TensorBoard, too, and run:summary adds the options to its table of runs; or a function of a folder and options ({ resume = step } or {})
-- that gives an object with the methods of ms.tensorboard's writers, to stand in for one.
function log.open(dir, opts)
  opts = options.read("run", opts,
    { resume = any, options = any, same = any, may_change = any, numbered = false, tensorboard = any })
  if type(dir) ~= "string" or dir == "" or dir:find "\0" then fail("expected the name of a folder, got %s", text.show(dir)) end
  if opts.resume ~= nil and type(opts.resume) ~= "boolean" then
    fail("resume: expected true or false, got %s (the epoch to go on after is for run:rewind)", text.show(opts.resume))
  end
  if opts.resume and system.kind(dir) == nil then
    fail("resume: no run to go on with: there is no folder %s; without --resume a new one begins", dir)
  end
  local board = opts.tensorboard
  if board == true then board = require "mascon".tensorboard end
  if board and type(board) ~= "function" then
    fail("tensorboard: expected true, false or a function that gives a writer, got %s", text.show(board))
  end
  local self = setmetatable({ dir = dir, options = opts.options, last = term.time(), begun = term.time(), lock = false,
    make_board = board or false, boards = {}, resumed = opts.resume or false, live_options = {} }, Run)
  self.command = origin.command()
  if opts.options then self.commit = origin.commit() end
  take(self, opts)
  dir = self.dir
  clear_away(dir)
  check_script(self)
  if opts.resume then go_on(self, opts) else begin(self, opts) end
  pulse.begin()
  live.open(self)
  status.open(self)
  local watch = package.loaded["mascon.watch"]
  if watch then watch.tell(self) end
  return self
end

-- The runs that this process has open.
function log.opened()
  local list = {}
  for _, dir in ipairs(text.keys(locks)) do list[#list + 1] = locks[dir] end
  return list
end

local function mine(self)
  if getmetatable(self) ~= Run then fail("call it with a colon on a run: run:epoch { ... }, got %s", text.show(self)) end
  if locks[self.dir] ~= self then
    fail("%s is no longer this run's: %s", self.dir, locks[self.dir] and "a later ms.run of this process has it" or "it was closed")
  end
end

-- The path of a file in the run's folder.
function Run:path(name) return self.dir .. "/" .. name end

-- Close the writers and let another process have the folder. The end of the program does it too.
function Run:close(err)
  live.close(self)
  status.close(self, err == nil and "finished" or tostring(err):find "interrupted" and "interrupted" or "failed")
  for name, board in pairs(self.boards) do
    self.boards[name] = nil
    board:close()
  end
  if locks[self.dir] == self then
    locks[self.dir] = nil
    if self.lock then self.lock:close() end
    self.lock = false
  end
end

Run.__close = Run.close -- local run <close> = ms.run(...)

-- The program ends, and the script has not closed its run: how did it end?
function Run:__gc()
  local code = system.exit_code()
  if locks[self.dir] == self then
    status.close(self, (code == nil or code == 0) and "finished" or code == 130 and "interrupted" or "failed")
  end
end

-- run:live(name [, apply]) -> the option's value: from now on `mascon set FOLDER name=value` changes it while the script runs, at the end
-- of a step. apply: an optimizer, whose setting of that name is set, or f(value, before); o.name has the new value either way.
function Run:live(name, apply)
  mine(self)
  return live.declare(self, name, apply)
end

-- Note what was changed while the script runs: a line of changes.jsonl.
function Run:changed(row) return live.log(self, row) end

-- ---- checkpoints -------------------------------------------------------------------------------------------------------------------

local function checkpoint() return require "mascon.checkpoint" end

-- A name, no path: what a run saves lies in its folder.
local function checkpoint_path(self, name)
  if type(name) ~= "string" or name == "" or name:find "[/\0]" then
    fail("expected a checkpoint's name (of a file in %s, without its ending), got %s", self.dir, text.show(name))
  end
  return self:path(name .. ".safetensors")
end

-- Save checkpoint `name` (ms.checkpoint.save) as one of this run.
function Run:save(name, what)
  mine(self)
  checkpoint().save(checkpoint_path(self, name), what)
  self.last_saved = { name = name, what = what }
  if not self.saved[name] then
    self.saved[name] = true
    write_record(self)
  end
end

-- What each open run saved last, once more as it is now, beside that checkpoint: for a script that is left in the middle of something
-- (mascon debug), which is no place to go on from with the same bits -> lines that tell it.
function log.save_now()
  local lines = {}
  for _, dir in ipairs(text.keys(locks)) do
    local self = locks[dir]
    local last = self.last_saved
    if last then
      local path = self:path(last.name .. "-left.safetensors")
      local ok, message = pcall(checkpoint().save, path, last.what)
      lines[#lines + 1] = ok and ("saved %s, as it is now; --resume goes on from %s, which the script saved"):format(text.visible(path),
        text.visible(last.name)) or ("could not save %s: %s"):format(text.visible(path), tostring(message))
    end
  end
  return lines
end

-- What checkpoint `name` says besides its tensors; nil when this run has saved none. Raises when it cannot be read.
function Run:peek(name)
  local path = checkpoint_path(self, name)
  if not self.saved[name] then return nil end
  local at, message = checkpoint().peek(path)
  if not at then fail("%s: this run has saved it, and it is gone (%s)", name, message) end
  return at
end

-- The same, after ms.checkpoint.load has put the states in their places.
function Run:load(name, into)
  local path = checkpoint_path(self, name)
  if not self.saved[name] then return nil end
  return checkpoint().load(path, into)
end

-- run:done(names [, most]) -> how many epochs the nets have had that this run has saved under these names (their checkpoints' field epoch),
-- all together, and the lines of metrics of later epochs are dropped. 0 for a new run. most: no net may have had more: a number, or a
-- table of them by name.
function Run:done(names, most)
  mine(self)
  local sum = 0
  for _, name in ipairs(self.resumed and names or {}) do
    local at = self:peek(name)
    local epoch = at and math.tointeger(at.epoch) or 0
    local limit = type(most) == "table" and most[name] or type(most) == "number" and most or math.huge
    if epoch > limit then fail("resume: --epochs %d: %s has had %d already", limit, name, epoch) end
    sum = sum + epoch
  end
  if self.resumed then self:rewind(sum) end
  return sum
end

-- ---- metrics -----------------------------------------------------------------------------------------------------------------------

-- Write metrics.csv anew, from the lines of metrics.jsonl.
local function write_csv(self, rows)
  self.columns = csv.columns(rows, files.FIRST)
  local lines = { csv.head(self.columns) }
  for i, row in ipairs(rows) do lines[i + 1] = csv.line(self.columns, row) end
  ensure(system.replace(self:path("metrics.csv"), table.concat(lines, "\n") .. "\n"))
end

-- Append a row, or write all anew where it brings a column that was not there.
local function append_csv(self, row)
  local known = {}
  for _, name in ipairs(self.columns or {}) do known[name] = true end
  for name in pairs(row) do
    if not known[name] then return write_csv(self, (read_lines(self.metrics_path))) end
  end
  local line = csv.line(self.columns, row)
  -- Text fields may hold line ends, which no appended line may.
  if line:find "[\r\n]" then return write_csv(self, (read_lines(self.metrics_path))) end
  ensure(system.append(self:path("metrics.csv"), line))
end

-- Go on after `epoch`: lines of later ones, and torn ones, are dropped. 0: none is kept.
function Run:rewind(epoch)
  mine(self)
  if math.type(epoch) ~= "integer" or epoch < 0 then fail("rewind: expected the number of an epoch, got %s", text.show(epoch)) end
  local kept, rows = {}, {}
  for _, row in ipairs((read_lines(self.metrics_path))) do
    if type(row.epoch) == "number" and row.epoch <= epoch then
      kept[#kept + 1], rows[#rows + 1] = row_text(row) .. "\n", row
    end
  end
  ensure(system.replace(self.metrics_path, table.concat(kept)))
  write_csv(self, rows)
  local last = rows[#rows] or {}
  self.last_epoch = last.epoch
  pulse.begin(math.tointeger(last.step))
end

-- Remove the event files of the run that was in the folder before: its curves would lie among those of the new one.
local function forget_events(folder)
  for _, file in ipairs(system.kind(folder) and ensure(system.list(folder)) or {}) do
    if file:find "^events%.out%.tfevents%." then os.remove(folder .. "/" .. file) end
  end
end

-- The TensorBoard writer of the run, opened when it is first asked for and closed with the run. A new run in an old
-- folder begins without the event files of the old one. name: of a part, a net, say, whose curves
-- lie in a folder of their own: TensorBoard draws curves of one tag in several folders over one another, each with its own steps. resume:
-- what is there from that step on is void (where the run goes on).
function Run:board(name, resume)
  mine(self)
  if name ~= nil and (type(name) ~= "string" or name == "" or name:find "[/\0]" or name == "..") then
    fail("board: expected the name of a part of the run, got %s", text.show(name))
  end
  if not self.make_board then fail("board: no TensorBoard writer: expected ms.run(dir, { tensorboard = true })") end
  local key = name or ""
  if not self.boards[key] then
    if not self.resumed then forget_events(name and self:path(name) or self.dir) end
    self.boards[key] = self.make_board(name and self:path(name) or self.dir, { resume = resume })
  elseif resume ~= nil then
    fail("board: resume: the writer%s is open already", name and " of " .. name or "")
  end
  return self.boards[key]
end

-- Append one line to metrics.jsonl (and to metrics.csv): means and tensors are read now. `seconds`, unless given, is the time since the
-- line before; `time` is the clock's, in seconds since 1970. With tensorboard = true its numbers are curves at `step` (else `epoch`).
-- part: the part of the run that they belong to (run:board), whose name becomes the line's `part`; step: its own step, for the curves.
function Run:epoch(values, part, step)
  mine(self)
  if type(values) ~= "table" then fail("epoch: expected a table of metrics, got a %s", type(values)) end
  if step ~= nil and not math.tointeger(step) then fail("epoch: step: expected a whole number, got %s", text.show(step)) end
  local row, now = {}, term.time()
  for k, v in pairs(values) do row[k] = figure(v) end
  if row.epoch ~= nil and type(row.epoch) ~= "number" then -- rewind would drop the line
    fail("epoch: epoch: expected its number, got %s", text.show(row.epoch))
  end
  if part ~= nil then row.part = part end
  if row.seconds == nil then row.seconds = now - self.last end
  if row.time == nil then row.time = os.time() end
  local board = self.make_board and self:board(part)
  local ok, message = system.append(self.metrics_path, row_text(row))
  if not ok then fail("cannot write metrics: %s", message) end
  append_csv(self, row)
  self.last = now
  if board then
    step = step or math.tointeger(row.step) or math.tointeger(row.epoch) or 0
    for _, name in ipairs(text.keys(row)) do
      if type(row[name]) == "number" and name ~= "epoch" and name ~= "step" and name ~= "time" then board:scalar(name, row[name], step) end
    end
    board:flush()
  end
  self.last_epoch = row.epoch
  pulse.epoch(row.step)
  return row
end

-- run:finite(name, v) -> v, a number; raises where it is NaN or infinite: a training has diverged, and there is nothing to save or judge.
function Run:finite(name, v)
  mine(self)
  v = figure(v)
  if type(v) ~= "number" then fail("finite: %s: expected a number, got %s", text.show(name), text.show(v)) end
  if v - v == 0 then return v end
  local lr = option_values(self.options).lr
  fail("%s is %s: the training has diverged; expected a finite number%s", text.show(name), v ~= v and "NaN" or "infinite",
    type(lr) == "number" and (", as with a smaller --lr (now %g)"):format(lr) or "; a smaller learning rate may help")
end

-- The lines of metrics.jsonl so far, as tables.
function Run:metrics() return (read_lines(self.metrics_path)) end

-- One metric of all lines that have it as an array, for a figure: run:column "loss".
function Run:column(name)
  local list = {}
  for _, row in ipairs(self:metrics()) do
    if row[name] ~= nil then list[#list + 1] = row[name] end
  end
  return list
end

-- Append one JSON object to NAME.jsonl in the folder: what is no epoch (the trials of a search, ...). A new run begins an empty file.
function Run:append(name, values)
  mine(self)
  if type(name) ~= "string" or not name:match "^[%w_-]+$" or name == "metrics" then
    fail("append: expected the name of a list (letters, digits, - and _), not metrics, got %s", text.show(name))
  end
  if type(values) ~= "table" then fail("append: expected a table, got a %s", type(values)) end
  local path, row = self:path(name .. ".jsonl"), {}
  for k, v in pairs(values) do row[k] = figure(v) end
  if not self.lists[name] then
    ensure(system.replace(path, ""))
    self.lists[name] = true
    write_record(self)
  end
  local ok, message = system.append(path, row_text(row))
  if not ok then fail("cannot write %s: %s", path, message) end
  return row
end

-- What run:append has put into NAME.jsonl since the run began, as tables in order; torn lines are left out.
function Run:list(name) return self.lists[name] and (read_lines(self:path(name .. ".jsonl"))) or {} end

-- Write summary.json, whole or not at all: the figures given, and seed, device, options, versions, command, commit and seconds unless they
-- are given.
function Run:summary(values)
  mine(self)
  if type(values) ~= "table" then fail("summary: expected a table of figures, got a %s", type(values)) end
  local row = {}
  for k, v in pairs(values) do row[k] = figure(v) end
  if self.options then
    local copy = option_values(self.options)
    row.options = row.options or copy
    if row.seed == nil then row.seed = copy.seed end
    if row.device == nil then row.device = copy.device end
  end
  row.versions = row.versions or origin.versions()
  row.command = row.command or self.command
  row.commit = row.commit or self.commit
  if row.seconds == nil then row.seconds = term.time() - self.begun end
  ensure(system.replace(self:path("summary.json"), json.encode(row, { indent = "  ", replace = true }) .. "\n"))
  if self.make_board and self.options then
    local figures = {}
    for k in pairs(values) do
      if type(row[k]) == "number" then figures[k] = row[k] end
    end
    self:board():hparams(option_values(self.options), figures)
  end
  return row
end

return setmetatable(log, { __call = function(_, dir, opts) return log.open(dir, opts) end })
