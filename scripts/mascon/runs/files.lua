-- runs/files: what the files of a run's folder hold: JSON, and lines of JSON.
local json = require "mascon.json"
local options = require "mascon.options"
local files = {}

files.FIRST = { "epoch", "step", "seconds", "time" } -- what a line of metrics begins with
local NAN = 0 / 0

local function fail(fmt, ...) options.raise("run: " .. fmt, ...) end

-- The contents of a JSON file; raises, with its name, when they cannot be had.
function files.read(path, null)
  local f, message = io.open(path, "rb")
  if not f then fail("cannot read %s", message) end
  local s, why = f:read("a")
  f:close()
  if not s then fail("cannot read %s: %s", path, why) end
  local ok, value = pcall(json.decode, s, null)
  if not ok then fail("%s: %s", path, value) end
  return value
end

-- The lines of a metrics file as tables, in order, and how many lines were no JSON objects (the last one of a run that was killed may be
-- torn). A number that JSON has no word for is NaN again.
function files.read_lines(path)
  local rows, bad = {}, 0
  local f, problem, code = io.open(path, "rb")
  if not f and code == 2 then return rows, bad end -- ENOENT: none was written; whatever else hides lines from us is no reason to drop them
  if not f then fail("cannot read %s", problem) end
  for line in f:lines() do
    local ok, row = pcall(json.decode, line, NAN)
    if ok and type(row) == "table" and getmetatable(row) == nil then
      rows[#rows + 1] = row
    elseif line:match("%S") then
      bad = bad + 1
    end
  end
  f:close()
  return rows, bad
end

-- A line of metrics.
function files.row_text(row) return json.encode(row, { first = files.FIRST, replace = true }) end

return files
