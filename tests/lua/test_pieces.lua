-- luacheck: globals TestPieces
-- Lines that are pasted at once and are no chunk as a whole run one after the other, as if they had been typed.
local entry = require "mascon.entry"
local lu = require "luaunit"

TestPieces = {}

-- What the prompt prints for an entry, its message if it fails, or what keeps it from being compiled.
local function typed(code)
  local kept, real = {}, io.write
  io.write = function(...) kept[#kept + 1] = table.concat { ... } end -- luacheck: ignore
  local ok, message = pcall(function()
    local f, why = entry.compile(code, setmetatable({ print = function(v) io.write(tostring(v), "\n") end }, { __index = _G }))
    if not f then error(why == true and "more" or why, 0) end
    entry.finish(f())
  end)
  io.write = real -- luacheck: ignore
  if not ok then kept[#kept + 1] = tostring(message):gsub("^%[%d+%]", "[n]") end
  return table.concat(kept)
end

function TestPieces.test_each_expression_prints()
  lu.assertEquals(typed "1 + 1\nt = { 2, 3 }\n#t\n\n-- a note\nt[2]", "2\n2\n3\n")
  lu.assertEquals(typed "t = { 4 }\nt[1];\n#t", "1\n") -- what ends with ; prints nothing
  lu.assertEquals(typed "#'ab'\nfor i = 1, 2 do\n  print(i)\nend\n7", "2\n1\n2\n7\n")
end

function TestPieces.test_a_line_that_goes_on_is_part_of_the_one_before()
  lu.assertEquals(typed "s = 'ab'\n#s\ns\n  :upper()\n  :rep(2)", "2\n\"ABAB\"\n")
  lu.assertEquals(typed "1 +\n2\n3\n- 1\n#'x'", "3\n2\n1\n")
end

function TestPieces.test_wholes_are_wholes()
  lu.assertEquals(typed "local a = 3\nlocal b = a\nreturn a + b", "6\n")
  lu.assertEquals(typed "for i = 1, 2 do", "more")
end

function TestPieces.test_errors_name_the_line_and_what_ran_has_run()
  lu.assertStrContains(typed "#'ab'\n\nerror 'here'\n5", "2\n[n]:3: here")
  lu.assertStrContains(typed "#'ab'\nq = = 1\n5", "[n]:2: unexpected symbol near '='\n  2 | q = = 1")
  lu.assertEquals(typed "#'ab'\nfor i = 1, 2 do", "more")
  lu.assertNil(typed("1\n" .. ("x = = 1\n"):rep(20000)):find "^1\n")
end
