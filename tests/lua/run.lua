-- mascon tests/lua/run.lua FILE: run one file of tests with luaunit. The file defines global tables whose names begin with Test, and may
-- end with os.exit(luaunit.LuaUnit.run()), so that it can be run by itself too.
-- luaunit takes its options from the `arg` it finds when it is loaded; a file's name in it would be taken for a filter.
local file = arg[1]
arg = { [0] = file, "--verbose" }

-- Close the state at the end, whoever ends it: what is left then is a leak, and the sanitizers say so.
local exit = os.exit
os.exit = function(code) exit(code, true) end -- luacheck: ignore 122

local luaunit = require "luaunit"
dofile(file)
os.exit(luaunit.LuaUnit.run())
