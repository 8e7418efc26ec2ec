-- checks: what the tests of tensors share.
local lu = require "luaunit"
local ms = require "mascon"

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

return checks
