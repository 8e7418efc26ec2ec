-- Every name of PyTorch's in our families is here, by its name or another one, or tests/peers/MISSING.md says why not; and that file is up
-- to date. After a change that brings a name: build/mascon tests/peers/make_missing.lua.
-- gcstress: every 50
-- luacheck: globals TestMissing
package.path = "tests/peers/?.lua;" .. package.path
local lu = require "luaunit"
local missing = require "missing"

TestMissing = {}

function TestMissing.test_every_name_is_accounted_for()
  local a = missing.account()
  lu.assertEquals(table.concat(a.problems, "\n"), "")
  lu.assertTrue(a.all > 800 and a.ours > 350)
  lu.assertEquals(a.ours + a.missing, a.all)
  print(("compared: PyTorch's names: %d, of which %d are here and %d in MISSING.md"):format(a.all, a.ours, a.missing))
end

function TestMissing.test_the_file_is_up_to_date()
  local _, written = missing.parts()
  local now = missing.text(missing.account())
  for name in now:gmatch "`[^`]+`" do
    lu.assertTrue(written:find(name, 1, true) ~= nil, name .. " is missing and not in the file: run tests/peers/make_missing.lua")
  end
  lu.assertTrue(written == now, "MISSING.md names what is here by now: run build/mascon tests/peers/make_missing.lua")
end

function TestMissing.test_what_counts_as_ours()
  for name, ours in pairs { relu = true, ["nn.ReLU"] = true, ["nn.BatchNorm2d"] = true, ["optim.AdamW"] = true,
    ["lr_scheduler.StepLR"] = true, ["init.xavier_uniform_"] = true, shape = true, backward = true,
    no_such_name = false, ["nn.Transformer"] = false,
    ["optim.SparseAdam"] = false } do
    lu.assertEquals(missing.is_ours(name), ours, name)
  end
end
