-- log: the folder a run leaves behind (ms.run): metrics.jsonl, one JSON object per epoch; summary.json, the final figures.
--
--   local run = ms.run(o.out, { options = o, resume = o.resume and last_epoch })
--   run:epoch { epoch = 3, step = 2814, loss = mean }          -- seconds since the last one are added
--   run:summary { loss_k8 = 20.9 }                              -- seed, device, options and versions are added
--   plot.lines { ..., file = run:path "loss.png" }
local json = require "mascon.json"
local system = require "mascon.system"
local term = require "mascon.term"
local log = {}

local Run = { __name = "mascon.run" }
Run.__index = Run

local FIRST = { "epoch", "step", "seconds" }

-- Numbers behind means and tensors; tables are gone through, other values stay.
local function plain(v, depth)
  local t = type(v)
  if t ~= "table" and t ~= "userdata" then return v end
  if v == json.null then return v end
  local ok, got = pcall(function()
    if v.value then return v:value() end
    if v.item and not (v.numel and v:numel() ~= 1) then return v:item() end
    if v.totable then return v:totable() end
  end)
  if ok and got ~= nil then v = got end
  if type(v) ~= "table" or depth > 20 then return v end
  local copy = setmetatable({}, #v == 0 and getmetatable(v) or nil)
  for k, x in next, v do copy[k] = plain(x, depth + 1) end
  return copy
end

-- The lines of a metrics file as tables, in order, and how many lines were no JSON (the last one of a run that was killed may be torn).
local function read_lines(path)
  local rows, bad = {}, 0
  local f = io.open(path, "r")
  if not f then return rows, bad end
  for line in f:lines() do
    local row = json.decode(line)
    if type(row) == "table" then rows[#rows + 1] = row elseif line:match("%S") then bad = bad + 1 end
  end
  f:close()
  return rows, bad
end

local function row_text(row) return json.encode(row, { first = FIRST }) .. "\n" end

-- Drop the lines after `epoch`, and those that are no JSON.
local function drop_after(path, epoch)
  local kept = {}
  for _, row in ipairs((read_lines(path))) do
    if type(row.epoch) == "number" and row.epoch <= epoch then kept[#kept + 1] = row_text(row) end
  end
  assert(system.replace(path, table.concat(kept)))
end

-- Open the folder `dir`, made if it is not there. opts.resume: the epoch to go on after -- lines of later ones are dropped; without it the
-- metrics start anew. opts.options: the script's options, for the summary.
function log.open(dir, opts)
  opts = opts or {}
  for k in pairs(opts) do
    if k ~= "resume" and k ~= "options" then
      error(("run: unknown option '%s'%s"):format(k, require("mascon.text").hint(tostring(k), { "resume", "options" })), 2)
    end
  end
  if type(dir) ~= "string" or dir == "" then error("run: expected the name of a folder, got " .. tostring(dir), 2) end
  local ok, message = system.mkdir(dir)
  if not ok then error("run: " .. message, 2) end
  local self = setmetatable({ dir = dir, options = opts.options, last = term.time(), begun = term.time() }, Run)
  self.metrics_path = self:path("metrics.jsonl")
  if opts.resume then
    if math.type(opts.resume) ~= "integer" then error("run: resume: expected the number of an epoch, got " .. tostring(opts.resume), 2) end
    drop_after(self.metrics_path, opts.resume)
  else
    assert(system.replace(self.metrics_path, ""))
  end
  return self
end

-- The path of a file in the run's folder.
function Run:path(name) return self.dir .. "/" .. name end

-- Append one line to metrics.jsonl: means and tensors of one element are read now. `seconds`, unless given, is the time since the line
-- before.
function Run:epoch(values)
  local row = {}
  for k, v in pairs(values) do row[k] = plain(v, 0) end
  local now = term.time()
  if row.seconds == nil then row.seconds = now - self.last end
  self.last = now
  local text = row_text(row)
  local f, message = io.open(self.metrics_path, "a")
  if not f then error("run: cannot write metrics: " .. message, 2) end
  local ok, why = f:write(text)
  local closed, why_close = f:close()
  if not (ok and closed) then error("run: cannot write metrics: " .. tostring(why or why_close), 2) end
  return row
end

-- The lines of metrics.jsonl so far, as tables.
function Run:metrics() return (read_lines(self.metrics_path)) end

-- One metric of all lines as an array, for a figure: run:column "loss".
function Run:column(name)
  local list = {}
  for _, row in ipairs(self:metrics()) do
    if row[name] ~= nil then list[#list + 1] = row[name] end
  end
  return list
end

local function versions()
  local ms = package.loaded.mascon
  local v = { lua = _VERSION:match("[%d%.]+") }
  if type(ms) == "table" then v.mascon = rawget(ms, "version") or rawget(ms, "VERSION") end
  return v
end

-- Write summary.json, whole or not at all: the figures given, and seed, device, options, versions and seconds unless they are given.
function Run:summary(values)
  local row = {}
  for k, v in pairs(values) do row[k] = plain(v, 0) end
  local o = self.options
  if o then
    local copy = {}
    for k, v in next, o do
      if type(k) == "string" then copy[k] = v end
    end
    row.options = row.options or copy
    if row.seed == nil then row.seed = copy.seed end
    if row.device == nil then row.device = copy.device end
  end
  row.versions = row.versions or versions()
  if row.seconds == nil then row.seconds = term.time() - self.begun end
  local ok, message = system.replace(self:path("summary.json"), json.encode(row, { indent = "  " }) .. "\n")
  if not ok then error("run: " .. message, 2) end
  return row
end

-- The contents of a summary.json or any other JSON file; nil and a message when it cannot be had.
function log.read(path)
  local f, message = io.open(path, "r")
  if not f then return nil, message end
  local s = f:read("a")
  f:close()
  local value, why = json.decode(s)
  if value == nil then return nil, path .. ": " .. why end
  return value
end

log.read_lines = read_lines

return setmetatable(log, { __call = function(_, dir, opts) return log.open(dir, opts) end })
