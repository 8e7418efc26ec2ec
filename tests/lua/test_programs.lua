-- Random programs (tests/programs), eager against compiled: 300 of a fixed seed here, 20,000 of a new one in `make soak`. And tests of the
-- generator, of what tells outcomes apart, and of the minimiser.
-- gcstress: every 200
-- luacheck: globals TestPrograms TestProgramTools
package.path = "tests/?.lua;" .. package.path
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local generate, program, run = require "programs.generate", require "programs.program", require "programs.run"
local minimise = require "programs.minimise"

local slow = (os.getenv "SAN" or "") ~= ""
local COUNT = checks.stress and 10 or slow and 60 or 300

TestPrograms = {}

function TestPrograms.test_eager_and_compiled_are_the_same()
  local counts, reasons = { same = 0, raises = 0 }, {}
  for k = 1, COUNT do
    local p = generate.program(20, k)
    local text = program.text(p, generate.title(p))
    local r = run.outcome(text, nil, p.dtype)
    counts[r.outcome] = (counts[r.outcome] or 0) + 1
    if r.outcome == "raises" then reasons[#reasons + 1] = r.reason end
    if r.outcome == "different" or r.undesigned then
      local small = minimise(p, function(t)
        local now = run.outcome(t, nil, p.dtype)
        return now.outcome == r.outcome and now.form == r.form
      end)
      lu.fail(("%s: %s\n%s"):format(r.outcome, r.where or r.message, program.text(small, generate.title(p))))
    end
  end
  lu.assertTrue(counts.same > COUNT / 2, "too few run to the end: " .. table.concat(reasons, "\n")) -- the programs do run
end

TestProgramTools = {}

function TestProgramTools.test_a_seed_gives_the_same_programs()
  local seen = {}
  for k = 1, 40 do
    local text = program.text(generate.program(3, k))
    lu.assertEquals(program.text(generate.program(3, k)), text)
    lu.assertNil(seen[text])
    seen[text] = true
    lu.assertNotEquals(program.text(generate.program(4, k)), text)
  end
end

-- Every spice gives programs that run, with itself in them.
function TestProgramTools.test_spices()
  for _, name in ipairs(generate.spices) do
    local ran = 0
    for k = 1, checks.stress and 2 or 12 do
      local p = generate.program(5, k, { name })
      lu.assertEquals(p.spices, { name })
      if run.outcome(program.text(p), function(f) return f end, p.dtype).outcome == "same" then ran = ran + 1 end
    end
    lu.assertTrue(ran >= (checks.stress and 1 or 4), name .. ": " .. ran)
  end
end

-- ---- outcomes: worlds written by hand, and compilers that do something wrong ------------------------------------------------------------

local function world(body)
  return "local ms = require 'mascon' local function world(compile, see, shake) shake = shake or 0\n" .. body .. "\nend return world"
end
local function outcome(body, compile) return run.outcome(world(body), compile or ms.compile, "f64") end

local DOUBLE = [[
  local f = compile(function(x) return x * 2 end)
  for call = 1, 5 do see("result", f(ms.full({ 2 }, call, { dtype = "f64" }))) end]]

-- From call 4 on the arguments are copies: what is changed in them is lost.
local function forgetful(f)
  local calls = 0
  return function(...)
    calls = calls + 1
    local list = table.pack(...)
    for i = 1, list.n do
      if calls > 3 and type(list[i]) == "userdata" then list[i] = list[i]:detach():clone() end
    end
    return f(table.unpack(list, 1, list.n))
  end
end

function TestProgramTools.test_the_same()
  lu.assertEquals(outcome(DOUBLE).outcome, "same")
  local roundings = outcome(DOUBLE, function(f) return function(x) return f(x) * (1 + 1e-15) end end)
  lu.assertEquals(roundings.outcome, "same")
end

function TestProgramTools.test_different()
  local r = outcome(DOUBLE, function(f) return function(x) return f(x) + 1e-6 end end)
  lu.assertEquals(r.outcome, "different")
  lu.assertStrContains(r.where, "result 1[1]: 2.0 and 2.000001")
  lu.assertEquals(outcome(DOUBLE, function(f) return function(x) return f(x), nil end end).outcome, "different") -- the number of results
  lu.assertEquals(outcome(DOUBLE, function(f) return function(x) return f(x):float() end end).outcome, "different")
  local quiet = outcome("compile(function() error 'mine' end)()", function() return function() end end)
  lu.assertEquals(quiet.outcome, "different") -- an error that does not come
  local gradient = outcome([[
    local w = ms.ones({ 1 }, { requires_grad = true })
    compile(function() w:sum():backward() end)()
    see("w", w)]], function() return function() end end)
  lu.assertStrContains(gradient.where, "w 1.grad")
end

function TestProgramTools.test_raises()
  local r = outcome(DOUBLE, function() return function() error("compile: 3 of 7 things at program:12", 0) end end)
  lu.assertEquals({ r.outcome, r.reason, r.undesigned }, { "raises", "compile: # of # things at program", false })
  r = outcome(DOUBLE, function() return function() error("attempt to index a nil value (field 'x')", 0) end end)
  lu.assertEquals({ r.outcome, r.undesigned }, { "raises", true })
end

function TestProgramTools.test_discarded()
  lu.assertEquals(outcome("error 'always'").outcome, "discarded")
  lu.assertEquals(outcome("this is no Lua").outcome, "discarded")
end

-- What hangs on the last bits says nothing.
function TestProgramTools.test_chaotic()
  local function lower(f) return function(x) return f(x - 1e-13) end end
  local r = outcome([[
    local f = compile(function(x) return x:sign() end)
    see("result", f(ms.tensor({ 1e-14 + shake * 2 }, { dtype = "f64" })))]], lower)
  lu.assertEquals(r.outcome, "chaotic")
end

-- ---- the minimiser ----------------------------------------------------------------------------------------------------------------

function TestProgramTools.test_minimised()
  local found = 0
  for k = 1, checks.stress and 20 or 60 do
    local p = generate.program(6, k, { "sharing_arguments", "slices" })
    local function fails(text) return run.outcome(text, forgetful, p.dtype).outcome == "different" end
    if fails(program.text(p)) then
      found = found + 1
      local small = minimise(p, fails)
      local text, body = program.text(small), program.zone(small, "body")
      lu.assertTrue(fails(text))
      lu.assertTrue(#body <= 3, text) -- something is changed in place, in an argument or a view of it
      lu.assertTrue(#body < #program.zone(p, "body") or #body == 1, text)
      lu.assertTrue(#program.zone(small, "argument") <= 2, text)
      lu.assertStrMatches(text:match "local step.-end%)", ".*[_=].*")
      for i = #small.statements, 1, -1 do -- nothing can be left out
        local s = table.remove(small.statements, i)
        lu.assertFalse(fails(program.text(small)), text)
        table.insert(small.statements, i, s)
      end
      if found == 3 then return end
    end
  end
  lu.fail("a compiler that forgets changes was not found out")
end
