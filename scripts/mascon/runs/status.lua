-- runs/status: what a run says of itself while it lives and when it ends: status.json in its folder, for `mascon ps`. Written every two
-- seconds, at the end of a step (pulse.lua); a file that nothing of the run depends on: where it cannot be written, the run goes on.
--
--   state    running, finished, failed, interrupted; a run whose state is running and whose lock nobody has died
--   pid, host, begun, time      who, since when, and when this was written
--   label, count, total, seconds, notes    the bar that moved last: "epoch 3/5", 120 of 938 after so many seconds, "loss 0.31"
--   epoch, step, last           of the last line of metrics, and its figures
local json = require "mascon.json"
local pulse = require "mascon.pulse"
local system = require "mascon.system"
local status = {}

local EVERY = 2

function status.host()
  local f = io.open "/proc/sys/kernel/hostname"
  local name = f and f:read "l" or "?"
  if f then f:close() end
  return name
end

local function write(self, row)
  local path = self:path "status.json"
  local fresh = self:path((".status.json.%d-0-0.mascon-tmp"):format(system.pid())) -- log.lua clears it away after a kill
  local f = io.open(fresh, "wb")
  if not f then return end
  local ok = f:write(json.encode(row, { replace = true }), "\n")
  ok = f:close() and ok
  if not (ok and os.rename(fresh, path)) then os.remove(fresh) end
end

local function row_of(self, state)
  local row = { state = state, pid = system.pid(), host = self.host, begun = self.begun_at, time = os.time(), epoch = self.last_epoch,
    step = pulse.now() }
  local bar = pulse.bar()
  if bar then
    row.label, row.count, row.total, row.seconds, row.notes = bar:told()
  end
  return row
end

-- The run is open from now on.
function status.open(self)
  self.host, self.begun_at = status.host(), os.time()
  function self.on_pulse() write(self, row_of(self, "running")) end
  write(self, row_of(self, "running"))
  pulse.every(EVERY, self.on_pulse)
end

-- It ends as `state`.
function status.close(self, state)
  if not self.on_pulse then return end
  pulse.stop(self.on_pulse)
  self.on_pulse = nil
  write(self, row_of(self, state))
end

return status
