-- runs/live: options of a run that may be changed from outside while it runs (run:live, `mascon set`).
--
--   run:live("lr", adam)                                 -- adam.lr is set; o.lr says so too
--   run:live("noise")                                    -- o.noise is set; for a script that reads it in its loop
--   run:live("weight", function(v, before) beta = v end)
--
-- A request is a line in set.jsonl in the run's folder. The run reads them at the end of a step (pulse.lua), four times a second at
-- most. What came of each is a line in changes.jsonl (run:list "changes"), with the number of the step, and run.json keeps the values that
-- count now, so that a run that goes on has them. What the script has not declared stays as it is: nobody would look at it again.
local args = require "mascon.args"
local json = require "mascon.json"
local options = require "mascon.options"
local pulse = require "mascon.pulse"
local text = require "mascon.text"
local live = {}

local EVERY = 0.25

local function fail(fmt, ...) options.raise("run: " .. fmt, ...) end

-- How a declared option is applied: a function of the new value and the one before.
local function applier(name, apply)
  if apply == nil then return function() end end
  if type(apply) == "function" then return apply end
  local ok, now = pcall(function() return apply[name] end)
  if not ok or type(now) ~= "number" then
    fail("live: %s: expected an optimizer with that setting, or a function of the new value, got %s", name, text.show(apply))
  end
  return function(v) apply[name] = v end
end

-- run:live. The last declaration of a name counts: nets that are trained one after another have an optimizer each.
function live.declare(self, name, apply)
  local o = self.options
  if type(name) ~= "string" then fail("live: expected the name of an option, got %s", text.show(name)) end
  if type(o) ~= "table" then fail("live: there are no options: expected ms.run(folder, { options = o })") end
  if rawget(o, name) == nil then
    fail("live: no option '%s' with a value among the run's%s", name, text.hint(name, text.keys(o)))
  end
  local f = applier(name, apply)
  local fresh = self.live_options[name] == nil
  self.live_options[name] = f
  if fresh then self:write_record() end
  if self.record.set and self.record.set[name] ~= nil then f(o[name], o[name]) end -- an optimizer loaded from before the change
  if not self.on_set then
    function self.on_set() live.look(self) end
    pulse.every(EVERY, self.on_set)
  end
  return o[name]
end

-- The values that count when a run goes on: those set last, unless others were given now. given, was: as names and values.
function live.go_on(self, was, given, value_text)
  local names = {}
  for name, v in pairs(type(was.set) == "table" and was.set or {}) do
    if value_text(given[name]) == value_text(was.options[name]) and self.options and rawget(self.options, name) ~= nil then
      self.options[name] = v
      names[#names + 1] = name
    else
      was.set[name] = nil
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    io.stderr:write(("run: --%s is %s, as it was set while the run ran (changes.jsonl)\n"):format(name:gsub("_", "-"),
      value_text(self.options[name])))
  end
end

local function log(self, values)
  local row = { step = pulse.now(), epoch = self.last_epoch, time = os.time() }
  for k, v in pairs(values) do row[k] = v end
  return self:append("changes", row)
end
live.log = log

local function refuse(self, request, name, why, ...)
  log(self, { what = "refused", name = name, id = request.id, why = why:format(...) })
end

local function words(v) return type(v) == "table" and table.concat(v, ",") or tostring(v) end

-- Set one option; whatever goes wrong is the request's affair, not the run's.
local function set(self, request, name, given)
  local o, apply = self.options, self.live_options[name]
  if not apply then
    return refuse(self, request, name, "%s is not live in this run; live: %s", name, table.concat(text.keys(self.live_options), ", "))
  end
  local v, why = args.convert(o, name, tostring(given))
  if v == nil then return refuse(self, request, name, "%s", why) end
  local before = o[name]
  o[name] = v
  local ok, message = pcall(apply, v, before)
  if not ok then
    o[name] = before
    return refuse(self, request, name, "--%s %s: %s", name, tostring(given), tostring(message))
  end
  self.record.set = self.record.set or {}
  self.record.set[name] = v
  self:write_record()
  log(self, { what = "set", name = name, from = before, to = v, id = request.id })
  require "mascon.progress".say(("run: --%s: %s -> %s at step %d"):format(name, words(before), words(v), pulse.now()))
end

-- The file's size: requests from before this run are none of its.
function live.open(self)
  self.live_options, self.set_path = {}, self:path "set.jsonl"
  local f = io.open(self.set_path, "rb")
  self.set_at = f and f:seek "end" or 0
  if f then f:close() end
end

-- Read the requests that came since.
function live.look(self)
  local f = io.open(self.set_path, "rb")
  if not f then return end
  local size = f:seek "end"
  if size > self.set_at then
    f:seek("set", self.set_at)
    local lines = (f:read "a" or ""):match "^.*\n" or "" -- a line that is being written waits
    self.set_at = self.set_at + #lines
    for line in lines:gmatch "[^\n]+" do
      local ok, request = pcall(json.decode, line)
      if ok and type(request) == "table" and type(request.set) == "table" then
        for _, name in ipairs(text.keys(request.set)) do
          local done, why = pcall(set, self, request, name, request.set[name])
          if not done then require "mascon.progress".say(("run: --%s: %s"):format(name, tostring(why))) end -- a full disk
        end
      end
    end
  end
  f:close()
end

function live.close(self)
  if self.on_set then pulse.stop(self.on_set) end
  self.on_set = nil
end

return live
