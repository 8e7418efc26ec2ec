-- checks: what the tests share.
local lu = require "luaunit"
local ms = require "mascon"
local system = require "mascon.system"

local checks = {}

checks.stress = (os.getenv "STRESS" or os.getenv "MASCON_GCSTRESS" or "") ~= "" -- the same tests, shorter loops

-- The number of the line that calls this.
function checks.line() return debug.getinfo(2, "l").currentline end

-- The message f fails with.
function checks.failure(f, ...)
  local ok, message = pcall(f, ...)
  lu.assertFalse(ok, "expected an error")
  return message
end

function checks.fails(expected, f, ...) lu.assertStrContains(checks.failure(f, ...), expected) end

-- What is alive after a full collection.
function checks.census()
  collectgarbage()
  collectgarbage()
  local m = ms.memory()
  return { tensors = m.tensors, storages = m.storages, nodes = m.nodes, live = m.live }
end

function checks.leaf(values) return ms.tensor(values, { dtype = "f64", requires_grad = true }) end

-- ---- files and programs ----------------------------------------------------------------------------------------------------------

-- A new empty folder.
function checks.temporary_folder()
  local name = os.tmpname()
  os.remove(name)
  assert(system.mkdir(name .. ".d"))
  return name .. ".d"
end

function checks.remove_folder(dir) system.run { "rm", "-rf", dir } end

-- The bytes of a file, and a file of these bytes.
function checks.contents(path)
  local f <close> = assert(io.open(path, "rb"))
  return f:read "a"
end

function checks.write(path, ...)
  local f <close> = assert(io.open(path, "wb"))
  assert(f:write(...))
end

-- The program that runs the tests.
local _, program = system.run { "readlink", ("/proc/%d/exe"):format(system.pid()) }
checks.program = program:gsub("\n", "")

-- Run a shell line with that program as $1 and `...` behind it: status, and all it printed.
function checks.shell(line, ...)
  local status, out, complaints = system.run { "sh", "-c", line, "sh", checks.program, ... }
  return status, out .. (complaints or "")
end

return checks
