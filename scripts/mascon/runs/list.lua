-- runs/list: finds the folders of runs and reads how they stand, for `mascon ps`, `plot` and `set`. Nothing is written, and what cannot be
-- read is taken as absent: the folder may be one that another machine made, or that is being written.
local files = require "mascon.runs.files"
local json = require "mascon.json"
local status = require "mascon.runs.status"
local system = require "mascon.system"
local text = require "mascon.text"
local list = {}

local DEEP, MOST = 4, 3000 -- how deep runs are looked for, and in how many folders

-- Is this entry of a line of metrics a figure, and not where it was taken?
local PLACES = { epoch = true, step = true, seconds = true, time = true, net_epoch = true }
function list.is_figure(name, v) return type(v) == "number" and type(name) == "string" and not PLACES[name] end

local function read(path)
  local f = io.open(path, "rb")
  local s = f and f:read "a"
  if f then f:close() end
  local ok, value = pcall(json.decode, s or "")
  return ok and type(value) == "table" and value or nil
end

-- The lines of a .jsonl file as tables; none where there is no such file.
function list.lines(path)
  local ok, rows = pcall(files.read_lines, path)
  return ok and rows or {}
end

-- The last whole line of a .jsonl file as a table, or nil. Of a long file its end is read only.
local function last_line(path)
  local f = io.open(path, "rb")
  if not f then return nil end
  local size = f:seek "end" or 0
  for _, n in ipairs { 1 << 16, math.huge } do
    f:seek("set", size > n and size - n or 0)
    local found
    for line in (f:read "a" or ""):gmatch "[^\n]+" do
      local ok, row = pcall(json.decode, line, 0 / 0)
      if ok and type(row) == "table" then found = row end
    end
    if found or size <= n then
      f:close()
      return found
    end
  end
end

local function is_run(dir) return system.kind(dir .. "/run.json") == "file" or system.kind(dir .. "/metrics.jsonl") == "file" end

-- list.below(folder) -> the runs in it, in the order of their names.
function list.below(folder)
  local found, level, looked = {}, { folder }, 0
  for _ = 0, DEEP do
    local deeper = {}
    for _, dir in ipairs(level) do
      looked = looked + 1
      if looked > MOST then break end
      if is_run(dir) then found[#found + 1] = dir end
      local names = system.list(dir) or {}
      table.sort(names)
      for _, name in ipairs(names) do
        local path = dir == "." and name or dir .. "/" .. name
        if not name:find "^%." and system.kind(path) == "folder" then deeper[#deeper + 1] = path end
      end
    end
    level = deeper
  end
  return found
end

-- The runs that programs of this machine have open now, wherever they lie: path -> process.
function list.open()
  local found = {}
  for _, pid in ipairs(system.list "/proc" or {}) do
    if pid:find "^%d+$" then
      local folder = ("/proc/%s/fd"):format(pid)
      for _, fd in ipairs(system.list(folder) or {}) do
        local dir = (system.readlink(folder .. "/" .. fd) or ""):match "^(/.*)/run%.lock$"
        if dir then found[dir] = tonumber(pid) end
      end
    end
  end
  return found
end

-- list.find(name) -> the folder that a user means: a run, the last one of numbered ones, or either of them in runs/; or nil and why not.
function list.find(name)
  for _, dir in ipairs { (name:gsub("(.)/+$", "%1")), "runs/" .. name } do
    if system.kind(dir) == "folder" then
      if is_run(dir) then return dir end
      local last = 0
      for _, n in ipairs(system.list(dir) or {}) do last = math.max(last, math.tointeger(tonumber(n:match "^run_(%d+)$" or 0)) or 0) end
      if last > 0 and is_run(("%s/run_%d"):format(dir, last)) then return ("%s/run_%d"):format(dir, last) end
    end
  end
  local there = list.below "runs"
  return nil, ("no run in %s: expected a folder with run.json or metrics.jsonl%s%s"):format(text.show(name), text.hint(name, there),
    #there > 0 and ("; in runs/ there %s %d (mascon ps)"):format(#there == 1 and "is" or "are", #there) or "")
end

-- running: somebody has the lock; finished; failed: with an error; interrupted; died: killed, or the machine went down. A run of another
-- machine that shares the folder is running as long as it has said so in the last minute.
local function state_of(dir, said, done)
  local pid = system.holder(dir .. "/run.lock")
  if pid then return "running", math.tointeger(tonumber(pid:match "^%d+" or "")) end
  local state = said and said.state
  if type(state) ~= "string" or state == "running" then
    if done then return "finished" end
    if not said then return "unfinished" end
    if said.host ~= status.host() and said.host ~= "?" and os.time() - (tonumber(said.time) or 0) < 60 then return "running", nil end
    return "died"
  end
  return state
end

-- list.describe(dir) -> state, pid, said (status.json or {}), record (run.json or {}), last (line of metrics.jsonl, or {}), time (of the
-- last sign)
function list.describe(dir)
  local said, summary = read(dir .. "/status.json"), system.kind(dir .. "/summary.json") == "file"
  local d = { dir = dir, record = read(dir .. "/run.json") or {}, last = last_line(dir .. "/metrics.jsonl") or {} }
  d.state, d.pid = state_of(dir, said, summary)
  d.said = said or {}
  local time = math.max(tonumber(d.said.time) or 0, tonumber(d.last.time) or 0, tonumber(d.record.begun) or 0)
  d.time = time > 0 and time or nil
  return d
end

return list
