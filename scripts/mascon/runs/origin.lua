-- runs/origin: where a run comes from: its command line, script, commit and versions, for run.json and summary.json.
local system = require "mascon.system"
local origin = {}

-- The command line, quoted where a shell would want it.
function origin.command()
  if type(arg) ~= "table" then return nil end
  local words, first = {}, 0
  while arg[first - 1] do first = first - 1 end
  for i = first, #arg do
    local w = tostring(arg[i])
    words[#words + 1] = w:match("^[%w_./:=,+@%%-]+$") and w or "'" .. w:gsub("'", "'\\''") .. "'"
  end
  return table.concat(words, " ")
end

-- The commit that the script's folder stands at, with -dirty where files differ from it; nil outside a checkout.
function origin.commit()
  local script = type(arg) == "table" and arg[0] or ""
  local code, out = system.run { "git", "-c", "core.fsmonitor=false", "-C", script:match("^(.*/)[^/]*$") or ".", "describe", "--always",
    "--dirty", "--abbrev=40", "--exclude=*" }
  return code == 0 and out:match("^(%x+%-?d?i?r?t?y?)%s*$") or nil
end

function origin.versions()
  local ms = package.loaded.mascon
  local v = { lua = _VERSION:match("[%d%.]+") }
  if type(ms) == "table" then v.mascon = rawget(ms, "version") end
  return v
end

-- The file name of the script that runs; nil at the prompt.
function origin.script()
  local name = type(arg) == "table" and arg[0]
  return type(name) == "string" and name:match "[^/]*%.lua$" or nil
end

return origin
