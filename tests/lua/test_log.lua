-- The folder of a run: metrics, summary, checkpoints; going on; who has it.
-- luacheck: globals TestRun TestSystem
local checks = require "checks"
local lu = require "luaunit"
local ms = require "mascon"
local log = require "mascon.log"
local meter = require "mascon.meter"
local system = require "mascon.system"

local contents, write = checks.contents, checks.write

local function temporary_folder()
  local name = os.tmpname()
  os.remove(name)
  return name .. ".d"
end

TestRun = {}

local program = os.getenv "MASCON" or "build/mascon"

function TestRun:setUp() self.dir = temporary_folder() end
function TestRun:tearDown() checks.remove_folder(self.dir) end

function TestRun:test_epoch_appends_a_line()
  local run = log(self.dir)
  run:epoch { epoch = 1, step = 10, seconds = 0.5, time = 1, loss = meter.mean():add(2):add(4), bad = 0 / 0 }
  run:epoch { epoch = 2, step = 20, seconds = 0.25, time = 2, loss = { item = function() return 1.5 end } }
  lu.assertEquals(contents(run.metrics_path),
    '{"epoch":1,"step":10,"seconds":0.5,"time":1,"bad":null,"loss":3.0}\n{"epoch":2,"step":20,"seconds":0.25,"time":2,"loss":1.5}\n')
  lu.assertEquals(run:column "loss", { 3, 1.5 })
  local bad = run:column "bad"
  lu.assertTrue(#bad == 1 and bad[1] ~= bad[1]) -- NaN again, in its place
  local row = run:epoch { epoch = 3 }
  lu.assertTrue(row.seconds >= 0)
  lu.assertTrue(math.abs(row.time - os.time()) <= 2)
  lu.assertErrorMsgContains("run: epoch: expected a table of metrics, got a number", run.epoch, run, 3)
end

function TestRun:test_tensors_among_metrics_and_figures()
  local run = log(self.dir)
  local row = run:epoch { epoch = 1, loss = ms.tensor(1.5), last = ms.tensor { 0.25 }, per_class = ms.tensor { 1, 2 } }
  lu.assertEquals({ row.loss, row.last, row.per_class }, { 1.5, 0.25, { 1, 2 } })
  run:epoch { epoch = 2, deep = { best = ms.tensor(2), all = { ms.tensor(1), meter.mean():add(7) } }, none = ms.zeros { 0 } }
  local rows = run:metrics()
  lu.assertEquals(rows[1].loss, 1.5)
  lu.assertEquals({ rows[2].deep, rows[2].none }, { { best = 2, all = { 1, 7 } }, {} })
  run:summary { conf = ms.tensor { { 1, 2 }, { 3, 4 } }, best = ms.tensor(3) }
  local s = log.read(run:path "summary.json")
  lu.assertEquals({ s.conf, s.best }, { { { 1, 2 }, { 3, 4 } }, 3 })
  run:epoch { epoch = 3, shape = ms.zeros { 2, 3 }.shape, deep = { ms.zeros {}.shape } }
  lu.assertEquals({ run:metrics()[3].shape, run:metrics()[3].deep }, { { 2, 3 }, { {} } })
  lu.assertStrContains(contents(run.metrics_path), '"none":[]')
  lu.assertErrorMsgContains("a tensor of 1000001 elements", run.epoch, run, { epoch = 3, x = ms.zeros { 1000001 } })
  lu.assertErrorMsgContains("json: f: cannot encode a function", run.epoch, run, { epoch = 3, f = print })
  lu.assertEquals(#run:metrics(), 3)
end

-- The same lines for spreadsheets: a new name is a new column, fields are quoted where RFC 4180 asks for it.
function TestRun:test_metrics_as_csv()
  local run = ms.run(self.dir)
  run:epoch { epoch = 1, seconds = 2, time = 3, loss = 0.1 }
  run:epoch { epoch = 2, seconds = 2, time = 3, loss = ms.tensor(0.5), note = 'a "b", c' }
  run:epoch { epoch = 3, seconds = 2, time = 3, note = "two\nlines", list = { 1, 2 } }
  lu.assertEquals(checks.contents(self.dir .. "/metrics.csv"), 'epoch,step,seconds,time,loss,note,list\n1,,2,3,0.10000000000000001,,\n'
    .. '2,,2,3,0.5,"a ""b"", c",\n3,,2,3,,"two\nlines","[1,2]"\n')
  run:rewind(1)
  lu.assertEquals(checks.contents(self.dir .. "/metrics.csv"), "epoch,step,seconds,time,loss\n1,,2,3,0.10000000000000001\n")
  run:close()
  ms.run(self.dir):close()
  lu.assertNil(system.kind(self.dir .. "/metrics.csv"))
end

-- A script does not replace what another one left.
function TestRun:test_the_folder_of_another_script()
  local before = arg
  local back <close> = setmetatable({}, { __close = function() arg = before end }) -- luacheck: ignore back
  local function begin(name, resume) -- luacheck: globals arg
    arg = { [0] = name }
    ms.run(self.dir, { options = { lr = 1 }, resume = resume }):summary { loss = 1 }
  end
  begin "scripts/one.lua"
  checks.fails("holds a run of 'one.lua' (run.json), and this is two.lua; choose another --out", begin, "elsewhere/two.lua")
  lu.assertEquals(log.read(self.dir .. "/summary.json").command, "scripts/one.lua")
  checks.fails("holds a run of 'one.lua' (run.json), and this is two.lua; choose another --out", begin, "elsewhere/two.lua", true)
  begin "moved/one.lua"
  begin("moved/one.lua", true)
  local record = log.read(self.dir .. "/run.json")
  record.script = nil -- as older versions wrote it
  record.command = "build/mascon 'a b/one.lua' --out x.lua"
  write(self.dir .. "/run.json", require "mascon.json".encode(record))
  checks.fails("holds a run of 'one.lua'", begin, "two.lua")
  begin "one.lua"
end

-- How far the nets of a run are, and figures that no training goes on with.
function TestRun:test_epochs_that_are_done()
  local run = ms.run(self.dir, { options = { lr = 100 } })
  lu.assertEquals(run:done { "a", "b" }, 0)
  for epoch = 1, 5 do run:epoch { epoch = epoch, loss = run:finite("loss", ms.tensor(1.5)) } end
  run:save("a", { epoch = 3 })
  run:save("b", { epoch = 1 })
  checks.fails("'loss' is NaN: the training has diverged; expected a finite number, as with a smaller --lr (now 100)", run.finite, run,
    "loss", ms.tensor(0 / 0))
  checks.fails("'loss' is infinite", run.finite, run, "loss", -math.huge)
  checks.fails("finite: 'loss': expected a number, got 'x'", run.finite, run, "loss", "x")
  run = ms.run(self.dir, { options = { lr = 100 }, resume = true })
  lu.assertEquals({ run:done { "a", "b", "c" }, #run:metrics() }, { 4, 4 })
  lu.assertEquals(run:done({ "a", "b" }, { a = 3, b = 1 }), 4)
  checks.fails("--epochs 2: a has had 3 already", run.done, run, { "a", "b" }, 2)
  checks.fails("--epochs 1: a has had 3 already", run.done, run, { "b", "a" }, { a = 1 })
  run:close()
end

function TestRun:test_numbered_folders()
  local function open(resume) return ms.run(self.dir, { numbered = true, resume = resume }) end
  checks.fails("resume: no run to go on with", open, true)
  lu.assertEquals(open().dir, self.dir .. "/run_1")
  lu.assertEquals(open().dir, self.dir .. "/run_2")
  assert(system.mkdir(self.dir .. "/run_11"))
  local run = open()
  lu.assertEquals(run.dir, self.dir .. "/run_12")
  run:close()
  lu.assertEquals(open(true).dir, self.dir .. "/run_12")
end

-- Two processes that begin at once: the number that the other one took, whether it still has it or is done, is not used again.
function TestRun:test_a_number_that_another_process_takes()
  local mkdir, taken = system.mkdir, {}
  function system.mkdir(dir) -- luacheck: ignore
    local ok, message = mkdir(dir)
    if ok and #taken < 2 then
      taken[#taken + 1] = dir
      checks.write(dir .. "/run.json", "{}")
    end
    return ok, message
  end
  local ok, run = pcall(ms.run, self.dir, { numbered = true })
  system.mkdir = mkdir -- luacheck: ignore
  assert(ok, run)
  lu.assertEquals({ run.dir, taken }, { self.dir .. "/run_3", { self.dir .. "/run_1", self.dir .. "/run_2" } })
  lu.assertEquals(checks.contents(self.dir .. "/run_1/run.json"), "{}")
  run:epoch { epoch = 1, loss = 2 }
  lu.assertEquals(run:column "loss", { 2 })
  checks.fails("epoch: epoch: expected its number, got 'one'", run.epoch, run, { epoch = "one" })
  do
    local closed <close> = run -- luacheck: ignore
  end
  checks.fails("it was closed", run.epoch, run, { epoch = 2 })
end

-- Any object with the methods of a TensorBoard writer stands in for one; each part of a run has its own, with its own steps.
function TestRun:test_boards()
  local said = {}
  local function board(folder, given)
    local name = folder:sub(#self.dir + 1)
    said[#said + 1] = ("open %s %s"):format(name, tostring(given.resume))
    local b = {}
    function b.scalar(_, tag, value, step) said[#said + 1] = ("%s %s %g %d"):format(name, tag, value, step) end
    function b.hparams(_, o, figures) said[#said + 1] = ("hparams %g %g"):format(o.lr, figures.loss) end
    function b.flush() end
    function b.close() said[#said + 1] = "close" end
    return b
  end
  local run = ms.run(self.dir, { tensorboard = board, options = { lr = 0.5 } })
  run:board("net", 7)
  run:epoch({ epoch = 1, step = 10, seconds = 1, loss = 0.25, word = "x" }, "net", 3)
  run:epoch { epoch = 2, step = 20, seconds = 1, loss = ms.tensor(0.125) }
  run:summary { loss = 0.5 }
  run:close()
  lu.assertEquals(said, { "open /net 7", "/net loss 0.25 3", "/net seconds 1 3", "open  nil", " loss 0.125 20", " seconds 1 20",
    "hparams 0.5 0.5", "close", "close" })
  lu.assertEquals(run:metrics()[1].part, "net")
  run = ms.run(self.dir)
  checks.fails("board: no TensorBoard writer: expected ms.run(dir, { tensorboard = true })", run.board, run)
  checks.fails("tensorboard: expected true, false or a function that gives a writer, got 'yes'", ms.run, self.dir, { tensorboard = "yes" })
  run = ms.run(self.dir, { tensorboard = true })
  checks.fails("board: expected the name of a part of the run, got '../x'", run.board, run, "../x")
  checks.fails("epoch: step: expected a whole number, got 'x'", run.epoch, run, { loss = 1 }, nil, "x")
  checks.fails("call it with a colon on a run", run.epoch, { loss = 1 })
  local function events() return #system.list(self.dir .. "/net") end
  run:board("net"):scalar("loss", 1, 1)
  ms.run(self.dir, { tensorboard = true, resume = true }):board("net", 2):scalar("loss", 1, 2)
  lu.assertEquals(events(), 2)
  ms.run(self.dir, { tensorboard = true }):board("net"):scalar("loss", 1, 1)
  lu.assertEquals(events(), 1)
end

function TestRun:test_rewind_drops_later_and_torn_lines()
  local run = log(self.dir)
  for e = 1, 4 do run:epoch { epoch = e, seconds = 1, loss = 1 / e } end
  local f = assert(io.open(run.metrics_path, "a"))
  f:write('{"epoch":5,"lo')
  f:close()
  run:close()
  run = log(self.dir, { resume = true })
  run:rewind(2)
  lu.assertEquals(run:column "epoch", { 1, 2 })
  run:epoch { epoch = 3, seconds = 1, loss = 9 }
  lu.assertEquals(run:column "loss", { 1, 0.5, 9 })
  lu.assertErrorMsgContains("rewind: expected the number of an epoch, got 1.5", run.rewind, run, 1.5)
  run = log(self.dir)
  lu.assertEquals(run:metrics(), {})
end

function TestRun:test_metrics_that_cannot_be_read_are_not_dropped()
  local run = log(self.dir)
  os.remove(run.metrics_path)
  lu.assertEquals(run:metrics(), {})
  lu.assertEquals(system.run { "ln", "-s", "metrics.jsonl", run.metrics_path }, 0) -- a link to itself
  lu.assertErrorMsgContains("run: cannot read " .. run.metrics_path, run.rewind, run, 1)
  lu.assertErrorMsgContains("run: cannot read " .. run.metrics_path, run.metrics, run)
end

function TestRun:test_a_torn_line_is_mended_by_the_next()
  local run = log(self.dir)
  run:epoch { epoch = 1, seconds = 1, time = 1 }
  local whole = contents(run.metrics_path)
  write(run.metrics_path, whole .. '{"epoch":2,"seco')
  run:epoch { epoch = 2, seconds = 1, time = 1 }
  local two = whole .. '{"epoch":2,"seconds":1,"time":1}\n'
  lu.assertEquals(contents(run.metrics_path), two)
  write(run.metrics_path, two:sub(1, -2)) -- whole but for its newline: nothing is lost
  run:epoch { epoch = 3, seconds = 1, time = 1 }
  lu.assertEquals(contents(run.metrics_path), two .. '{"epoch":3,"seconds":1,"time":1}\n')
end

function TestRun:test_a_full_disk_leaves_whole_lines()
  -- ulimit -f: no file grows beyond 1 block (512 or 1024 bytes); ignoring SIGXFSZ turns that into an error, as a full disk would be.
  local status, out, err = system.run { "sh", "-c", [[trap '' XFSZ; ulimit -f 1; exec "$0" -e '
    local run = ms.run(arg[1])
    local n = 0
    for e = 1, 50 do
      local ok, why = pcall(run.epoch, run, { epoch = e, text = ("x"):rep(90) })
      if ok then n = n + 1 else print(why) break end
    end
    print(n, #run:metrics())' "$1"]], program, self.dir }
  lu.assertEquals(status, 0, err)
  lu.assertStrContains(out, "cannot write metrics: " .. self.dir .. "/metrics.jsonl: write failed: File too large")
  local wrote, read = out:match "(%d+)\t(%d+)"
  lu.assertEquals(wrote, read)
  lu.assertTrue(tonumber(wrote) > 2 and tonumber(wrote) < 50)
  lu.assertEquals(contents(self.dir .. "/metrics.jsonl"):sub(-1), "\n")
end

function TestRun:test_lists_beside_the_metrics()
  local run = ms.run(self.dir)
  lu.assertEquals(run:list "trials", {})
  run:append("trials", { trial = 1, accuracy = ms.tensor(0.5), lr = 0.1 })
  local f = assert(io.open(self.dir .. "/trials.jsonl", "ab"))
  f:write '{"trial":2,"acc' -- a crash tore it
  f:close()
  run:close()
  run = ms.run(self.dir, { resume = true })
  lu.assertEquals(run:list "trials", { { trial = 1, accuracy = 0.5, lr = 0.1 } })
  run:append("trials", { trial = 2 })
  lu.assertEquals(#run:list "trials", 2)
  run:close()
  run = ms.run(self.dir) -- a new run begins anew
  lu.assertEquals(run:list "trials", {})
  run:append("trials", { trial = 7 })
  lu.assertEquals(run:list "trials", { { trial = 7 } })
  lu.assertErrorMsgContains("append: expected the name of a list", run.append, run, "metrics", {})
  lu.assertErrorMsgContains("append: expected the name of a list", run.append, run, "../x", {})
  lu.assertErrorMsgContains("append: expected a table, got a number", run.append, run, "trials", 3)
end

function TestRun:test_summary()
  local run = log(self.dir, { options = { seed = 3, device = "cpu", epochs = 2 } })
  run:summary { loss_k8 = 20.5, val_accuracy = { 0.5, 0.75 } }
  local s = assert(log.read(run:path "summary.json"))
  lu.assertEquals({ s.loss_k8, s.val_accuracy, s.seed, s.device, s.options.epochs }, { 20.5, { 0.5, 0.75 }, 3, "cpu", 2 })
  lu.assertEquals(s.versions.lua, "5.4")
  lu.assertEquals(s.versions.mascon, ms.version)
  lu.assertStrContains(s.command, "test_log.lua")
  lu.assertTrue(s.commit == nil or #s.commit:match "^%x+" == 40)
  lu.assertTrue(s.seconds >= 0)
  lu.assertErrorMsgContains("nothing.json: No such file", log.read, run:path "nothing.json")
  write(run:path "half.json", '{"a": 1')
  lu.assertErrorMsgContains("half.json: json: line 1", log.read, run:path "half.json")
end

function TestRun:test_bad_folder_raises()
  write(self.dir, "")
  lu.assertErrorMsgContains("Not a directory", log.open, self.dir .. "/sub")
  lu.assertErrorMsgContains("expected the name of a folder", log.open, nil)
  lu.assertErrorMsgContains("expected the name of a folder", log.open, self.dir .. "\0x")
  lu.assertErrorMsgContains("unknown option 'resum'; did you mean resume?", log.open, self.dir, { resum = 1 })
end

-- What a run saves lies in its folder, whatever it is called.
function TestRun:test_names_of_checkpoints_are_no_paths()
  local run = log(self.dir .. "/in")
  for _, name in ipairs { "../out", "a/b", "", "a\0b", 3, false } do
    for what, arguments in pairs { save = { {} }, peek = {}, load = { {} } } do
      lu.assertErrorMsgContains("run: expected a checkpoint's name", run[what], run, name, table.unpack(arguments))
    end
  end
  lu.assertNil(system.kind(self.dir .. "/out.safetensors"))
  run:save("..", { a = 1 })
  lu.assertEquals(run:peek("..").a, 1)
end

function TestRun:test_resume_says_what_it_looked_for()
  lu.assertErrorMsgContains("there is no folder " .. self.dir, log.open, self.dir, { resume = true })
  lu.assertNil(system.kind(self.dir)) -- and makes none
  assert(system.mkdir(self.dir))
  lu.assertErrorMsgContains("looked for run.json", log.open, self.dir, { resume = true })
  write(self.dir .. "/run.json", '{"id": 3')
  lu.assertErrorMsgContains("run.json: json: line 1", log.open, self.dir, { resume = true })
  write(self.dir .. "/run.json", "{}")
  lu.assertErrorMsgContains("run.json: expected options, same and saved of a run", log.open, self.dir, { resume = true })
  lu.assertErrorMsgContains("resume: expected true or false, got 2", log.open, self.dir, { resume = 2 })
end

function TestRun:test_options_must_agree_when_a_run_goes_on()
  local function options(changes)
    local o = { batch = 64, lr = 1e-3, seed = 1, epochs = 5, out = self.dir, quick = false, n_critic = 4, widths = { 2, 3 }, refresh = 5.0 }
    for k, v in pairs(changes) do o[k] = v end
    return o
  end
  local same = { data_set = "MNIST" }
  log(self.dir, { options = options {}, same = same })
  local function on(changes, other)
    return log(self.dir, { options = options(changes), same = other or same, resume = true, may_change = { "refresh" } })
  end
  lu.assertNotNil(on {})
  lu.assertNotNil(on { epochs = 9, out = "elsewhere", data = "x", refresh = 0.1, resume = true })
  for key, value in pairs { batch = 32, lr = 1e-2, seed = 2, quick = true, n_critic = 5 } do
    lu.assertErrorMsgContains("option --" .. key:gsub("_", "-") .. ": this run was begun with " .. tostring(options {}[key]) .. ", now "
      .. tostring(value) .. " is given", on, { [key] = value })
  end
  lu.assertErrorMsgContains("begun with [2,3], now [2,4] is given", on, { widths = { 2, 4 } })
  lu.assertErrorMsgContains("the data set: this run was begun with 'MNIST', now 'Fashion' is given", on, {}, { data_set = "Fashion" })
  lu.assertErrorMsgContains("begun with nothing, now true is given", on, { twice = true })
end

function TestRun:test_checkpoints_of_an_earlier_run_are_not_taken()
  local model = ms.nn.linear(2, 1)
  local run = log(self.dir, { options = {} })
  run:save("model", { model = model, epoch = 4 })
  lu.assertEquals(run:peek("model").epoch, 4)
  run = log(self.dir, { options = {}, resume = true })
  lu.assertEquals(run:load("model", { model = model }).epoch, 4)
  run = log(self.dir, { options = {} }) -- a new one: it has saved nothing yet
  lu.assertNil(run:peek "model")
  lu.assertNil(run:load("model", { model = model }))
  run = log(self.dir, { options = {}, resume = true })
  lu.assertNil(run:peek "model")
  lu.assertNil(run:peek "nothing")
  run:save("model", { model = model, epoch = 1 })
  run = log(self.dir, { options = {}, resume = true })
  lu.assertEquals(run:peek("model").epoch, 1)
  local other = temporary_folder() -- the same run elsewhere: the same bytes
  log(other, { options = {} }):save("model", { model = model, epoch = 1 })
  lu.assertTrue(contents(other .. "/model.safetensors") == contents(run:path "model.safetensors"))
  system.run { "rm", "-rf", other }
  os.remove(run:path "model.safetensors")
  lu.assertErrorMsgContains("model: this run has saved it, and it is gone", run.peek, run, "model")
  write(run:path "model.safetensors", "damaged and more than eight bytes")
  lu.assertErrorMsgContains("model.safetensors", run.peek, run, "model")
end

function TestRun:test_two_processes_in_one_folder_are_refused()
  local run = log(self.dir)
  local function other()
    return system.run { program, "-e", "local run = ms.run(arg[1]); print(run.dir)", self.dir }
  end
  local status, _, err = other()
  lu.assertEquals(status, 1)
  lu.assertStrContains(err, ("%s is in use by another run (process %d)"):format(self.dir, system.pid()))
  run:close()
  lu.assertErrorMsgContains("no longer this run's: it was closed", run.summary, run, {})
  lu.assertEquals({ other() }, { 0, self.dir .. "\n", "" })
  -- In one process the later run has it, as when a script is run again at the prompt; the earlier one says so.
  run = log(self.dir)
  local later = log(self.dir)
  lu.assertErrorMsgContains("a later ms.run of this process has it", run.epoch, run, { epoch = 1 })
  later:epoch { epoch = 1 }
end

function TestRun:test_what_killed_runs_were_writing_is_cleared_away()
  local run = log(self.dir)
  local dead = 0
  for pid = 99999, 2, -1 do
    if not system.alive(pid) then
      dead = pid
      break
    end
  end
  local names = { (".a.png.%d-0-1a2b3.mascon-tmp"):format(dead), (".b.png.%d-0-1a2b3.mascon-tmp"):format(system.pid()),
    ("c.png.%d-0-1a2b3.mascon-tmp"):format(dead), ".d.png.new", ".e.mascon-tmp" }
  for _, name in ipairs(names) do write(run:path(name), "half a figure") end
  log(self.dir)
  local there = {}
  for i, name in ipairs(names) do there[i] = system.kind(run:path(name)) ~= nil end
  lu.assertEquals(there, { false, true, true, true, true })
end

function TestRun:test_a_file_of_a_killed_writer_is_such_a_one()
  assert(system.mkdir(self.dir))
  -- A process that writes over and over is killed when such a file is there: what is left must be what the test above clears away.
  local status = system.run { "sh", "-c", [[
    for _ in 1 2 3 4 5 6 7 8 9; do
      "$0" -e 'while true do ms.save(arg[1] .. "/x.safetensors", { x = ms.zeros { 2000000 } }) end' "$1" & writer=$!
      until ls -A "$1" | grep -q 'mascon-tmp$'; do kill -0 $writer || exit 1; done
      kill -9 $writer; wait $writer
      rm -f "$1/x.safetensors"
      ls -A "$1" | grep -q 'mascon-tmp$' && exit 0
    done 2>/dev/null
    exit 1]], program, self.dir }
  lu.assertEquals(status, 0)
  local left = system.list(self.dir)
  lu.assertEquals(#left, 1)
  lu.assertStrMatches(left[1], "%.x%.safetensors%.%d+%-%d+%-%x+%.mascon%-tmp")
  log(self.dir)
  lu.assertNil(system.kind(self.dir .. "/" .. left[1]))
end

function TestRun:test_drawing_by_the_clock_leaves_the_generator_alone()
  ms.seed(3)
  local a = ms.rand { 4 }:totable()
  ms.seed(3)
  local inside = ms.with_seed(9, function(n) return ms.rand { n } end, 4):totable()
  lu.assertErrorMsgContains("inside", ms.with_seed, 9, function()
    ms.rand { 5 }
    error "inside"
  end)
  lu.assertEquals(ms.rand { 4 }:totable(), a)
  ms.seed(9)
  lu.assertEquals(ms.rand { 4 }:totable(), inside)
end

TestSystem = {}

function TestSystem.test_replace_is_whole_or_not_at_all()
  local name = os.tmpname()
  lu.assertTrue(system.replace(name, "one"))
  lu.assertTrue(system.replace(name, "two\0two"))
  lu.assertEquals(contents(name), "two\0two")
  os.remove(name)
  local ok, message = system.replace("/nonexistent-folder/x", "text")
  lu.assertNil(ok)
  lu.assertStrContains(message, "/nonexistent-folder/x: cannot write: No such file")
end

function TestSystem.test_run_gives_status_and_output()
  local big = ("0123456789"):rep(100000)
  local status, out = system.run({ "cat" }, big)
  lu.assertEquals(status, 0)
  lu.assertTrue(out == big)
  lu.assertEquals({ system.run { "sh", "-c", "echo out; echo err >&2; exit 3" } }, { 3, "out\n", "err\n" })
  lu.assertErrorMsgContains("zero byte", system.run, { "echo", "a\0b" })
  lu.assertEquals(system.run({ "true" }, big), 0) -- it never reads: no SIGPIPE
  lu.assertEquals(system.run { "sh", "-c", "kill -9 $$" }, 128 + 9)
  local missing, message = system.run { "no-such-program-here" }
  lu.assertNil(missing)
  lu.assertStrContains(message, "cannot start no-such-program-here: No such file")
end

-- A report may quote a file: it must not act on the terminal that it is printed on.
function TestSystem.test_reports_show_what_would_act_on_a_terminal()
  local status, out, err = system.run { program, "-e", [[error("a\27[2J\r\8\xc2\x9b\xff\127 ]] .. ("ä"):rep(500) .. [[\n\tnext line", 0)]] }
  lu.assertEquals({ status, out }, { 1, "" })
  lu.assertStrContains(err, "mascon: a\\27[2J\\13\\8\\194\\155\\255\\127 " .. ("ä"):rep(500) .. "\n\tnext line")
  lu.assertNil(err:find "[%z\1-\8\11-\31\127\xff]")
end

function TestSystem.test_mkdir_makes_all_and_kind_tells()
  local dir = temporary_folder()
  lu.assertTrue(system.mkdir(dir .. "/a//b/"))
  lu.assertTrue(system.mkdir(dir .. "/a/b"))
  lu.assertEquals(system.kind(dir .. "/a/b"), "folder")
  lu.assertNil(system.kind(dir .. "/c"))
  lu.assertEquals(system.list(dir), { "a" })
  for _, part in ipairs { "/a/b", "/a", "" } do os.remove(dir .. part) end
  lu.assertNil((system.list(dir)))
end
