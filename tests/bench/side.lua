-- side: a process that answers one line of JSON to each line it is sent (tests/bench/workloads.lua, tests/peers/bench_*.py).
--
--   local s, why = side.start("torch", "python3 tests/peers/bench_torch.py plain", folder)
--   local answer, why = s:ask "time 1 W2"          -- a table; nil and a message when it failed or the process is gone
--   s:close()
--
-- Lua's popen goes one way, so the questions go through a named pipe in `folder`, where what the process complains of is kept too.
local json = require "mascon.json"
local side = {}
side.__index = side

local function quoted(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

-- What a process said last: its message, be it Lua's, which is followed by a traceback, or Python's, which ends one.
local function last_line(path)
  local last
  local f = io.open(path)
  if not f then return nil end
  for line in f:lines() do
    if line:match "^%S" and not line:find "traceback:$" then last = line end
  end
  f:close()
  return last
end

function side.start(name, command, folder)
  local stem = folder .. "/" .. name:gsub("%W", "_")
  if not os.execute(("rm -f %s; mkfifo %s"):format(quoted(stem), quoted(stem))) then return nil, "no named pipe in " .. folder end
  local self = setmetatable({ name = name, log = stem .. ".log" }, side)
  self.out = io.popen(("exec %s < %s 2> %s"):format(command, quoted(stem), quoted(self.log)), "r")
  self.into = io.open(stem, "r+") -- a reader too, so that a process that is gone costs an answer and no SIGPIPE
  self.into:setvbuf "line"
  local answer, why = self:ask "cases"
  if not answer then
    self:close()
    return nil, why
  end
  self.about, self.has = answer.about, {}
  for _, case in ipairs(answer.cases) do self.has[case] = true end
  return self
end

function side:ask(question)
  if not self.into then return nil, "closed" end
  local sent = self.into:write(question, "\n")
  local line = sent and self.out:read "l"
  if not line then
    self:close()
    return nil, last_line(self.log) or "the process ended"
  end
  local ok, answer = pcall(json.decode, line)
  if not ok or type(answer) ~= "table" then return nil, "answered " .. line end
  if answer.error then return nil, answer.error end
  return answer
end

-- A word, because processes started later have inherited the pipe: closing it ends nothing.
function side:close()
  if self.into then
    self.into:write "quit\n"
    self.into:close()
  end
  self.into = nil
  if self.out then self.out:close() end
  self.out = nil
end

return side
