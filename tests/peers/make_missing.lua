-- build/mascon tests/peers/make_missing.lua: writes tests/peers/MISSING.md anew, or says which names want a reason in missing_reasons.txt.
package.path = "tests/peers/?.lua;" .. package.path
local missing = require "missing"

local a = missing.account()
for _, problem in ipairs(a.problems) do io.stderr:write(problem, "\n") end
if #a.problems > 0 then os.exit(1) end
local by_hand = missing.parts()
local file <close> = assert(io.open(missing.file, "w"))
assert(file:write(by_hand, missing.mark, missing.text(a)))
print(("%d names of PyTorch's: %d here, %d missing"):format(a.all, a.ours, a.missing))
