-- luacheck: globals TestSweep TestProgram TestMetatables
-- gcstress: every 3000
-- Doors to the system: what the program does with closed streams, bytecode and variables; what no argument may do.
local checks = require "checks"
local lu = require "luaunit"
local ms = require "mascon"
local inside = require "mascon.inside"
local system = require "mascon.system"

local temporary_folder, write, shell = checks.temporary_folder, checks.write, checks.shell

TestMetatables = {}

function TestMetatables.test_they_are_hidden_and_refuse()
  local guard <close> = ms.no_grad()
  local scope <close> = ms.scope()
  for name, v in pairs { ["mascon.tensor"] = ms.zeros { 2 }, ["mascon.step"] = ms.compile(print), ["mascon.scope"] = scope,
    ["mascon.grad_mode"] = guard, ["mascon.number"] = inside.cell(1) } do
    lu.assertEquals(getmetatable(v), name)
    local meta = debug.getmetatable(v)
    for _, event in ipairs { "__gc", "__close", "__call" } do
      if meta[event] then
        for _, wrong in ipairs { 5, "x", {}, io.stdout, print } do lu.assertFalse((pcall(meta[event], wrong)), name .. event) end
        lu.assertFalse((pcall(meta[event])), name .. event)
      end
    end
  end
end

function TestMetatables.test_is_tensor()
  lu.assertTrue(ms.is_tensor(ms.zeros {}))
  for _, v in ipairs { 1, "x", {}, io.stdout, ms.compile(print), ms.zeros { 2 }.shape } do lu.assertFalse(ms.is_tensor(v)) end
  lu.assertFalse(ms.is_tensor())
end

function TestMetatables.test_a_shape_spoilt_from_inside_is_refused()
  local shape = ms.zeros { 2, 3 }.shape
  rawset(shape, next(shape), ("x"):rep(100000))
  pcall(tostring, shape)
  lu.assertFalse((pcall(ms.zeros, shape)))
end

TestSweep = {}

function TestSweep.test_no_argument_makes_the_library_fall_over()
  local dir, here = temporary_folder(), io.popen("pwd"):read "l"
  local status, out = shell('cd "$2" && exec "$1" "$3/tests/lua/sweep.lua" -v </dev/null', dir, here)
  system.run { "rm", "-rf", dir }
  lu.assertEquals(status, 0, out:sub(-3000))
  local functions, calls = out:match "(%d+) functions, (%d+) calls"
  lu.assertTrue(tonumber(functions) > 400 and tonumber(calls) > 50000, out:sub(-300))
end

TestProgram = {}

function TestProgram:setUp() self.dir = temporary_folder() end
function TestProgram:tearDown() checks.remove_folder(self.dir) end

function TestProgram:test_closed_streams_do_not_lend_their_numbers()
  local path = self.dir .. "/file"
  local code = ([[local f = io.open(%q, "w") io.write("printed") io.stderr:write("complained") f:write("meant") f:close()]]):format(path)
  lu.assertEquals((shell('exec "$1" -e "$2" <&- >&- 2>&-', code)), 0)
  local f <close> = assert(io.open(path))
  lu.assertEquals(f:read "a", "meant")
  local _, out = shell([["$1" -e 'print(io.read "a")' <&-]])
  lu.assertEquals(out, "\n")
end

function TestProgram:test_output_that_cannot_be_written_is_no_success()
  for code, want in pairs { ["print(1)"] = 1, ["print(1) os.exit(true)"] = 1, ["print(1) os.exit(5)"] = 5 } do
    local status, out = shell([[exec "$1" -e "$2" 2>&1 >/dev/full]], code)
    lu.assertEquals(status, want)
    lu.assertStrContains(out, "mascon: standard output could not be written")
  end
end

-- ulimit -f: the system would end the program, were it not told otherwise.
function TestProgram:test_a_file_past_its_limit_is_a_write_that_fails()
  local path = self.dir .. "/file"
  local code = ([[local path = %q
    ms.save(path, { a = ms.ones { 1 } })
    print(pcall(ms.save, path, { a = ms.ones { 100000 } }))
    print(#ms.load(path).a)]]):format(path)
  local status, out = shell([[ulimit -f 1; exec "$1" -e "$2" | cat]], code)
  lu.assertEquals(status, 0)
  lu.assertStrContains(out, path .. ": write failed: File too large\n1\n")
end

function TestProgram:test_bytecode_is_refused_unless_asked_for()
  local module = self.dir .. "/code.lua"
  write(module, string.dump(function() return 42 end))
  write(self.dir .. "/text.lua", "return 43")
  local script = self.dir .. "/script.lua"
  write(script, [[
    local dir = arg[1]
    package.path = dir .. "/?.lua"
    local code = string.dump(function() return 42 end)
    local function say(f, ...) print(f and (type(f) == "function" and f() or f) or (...)) end
    say(load(code)) say(load(code, "x", "bt")) say(load(code, "x", "b")) say(load(function() local c = code code = nil return c end))
    say(loadfile(dir .. "/code.lua")) say(loadfile(dir .. "/code.lua", "bt"))
    local function protected(...) local ok, v = pcall(...) say(ok and v, v) end
    protected(dofile, dir .. "/code.lua") protected(require, "code")
    say(load "return 1") say(load("return x", "n", "t", { x = 2 })) say(loadfile(dir .. "/text.lua")) protected(require, "text")
    say(load "return 1 +") protected(require, "none")
  ]])
  local _, out = shell('"$1" "$2" "$3"', script, self.dir)
  local lines = {}
  for line in out:gmatch "[^\n]+" do lines[#lines + 1] = line end
  local refused = 0
  for i = 1, 9 do refused = refused + (lines[i]:find("bytecode is refused", 1, true) and 1 or 0) end
  lu.assertEquals(refused, 8, out) -- that of require takes two lines
  lu.assertEquals({ table.unpack(lines, 10, 13) }, { "1", "2", "43", "43" })
  lu.assertStrContains(out, "near <eof>")
  lu.assertStrContains(out, "module 'none' not found")
  _, out = shell('"$1" --bytecode "$2" "$3"', script, self.dir)
  lu.assertEquals(out:sub(1, 24), ("42\n"):rep(8))
  local status
  status, out = shell('"$1" "$2"', module)
  lu.assertEquals(status, 1)
  lu.assertStrContains(out, "mascon --bytecode allows it")
  lu.assertEquals((shell('"$1" --bytecode "$2"', module)), 0)
end

function TestProgram.test_variables_with_words_that_mean_nothing_raise()
  for setting, expected in pairs { ["MASCON_ISA=v9"] = "expected v2, v3 or v4, got 'v9'", ["MASCON_AMX=yes"] = "expected 0 or 1, got 'yes'",
    ["MASCON_PROFILE=banana"] = "got 'banana'", ["MASCON_GCSTRESS=2"] = "got '2'", ["MASCON_COMPILE=of"] = "expected on, off or check",
    ["MASCON_LUA=/dev/null"] = "expected a folder", ["MASCON_LUA=/"] = "no file in",
    ["MASCON_TRACEBACK=all"] = "expected short or full" } do
    local status, out = shell('env "$2" "$1" -e "print(1)"', setting)
    lu.assertEquals(status, 1, setting)
    lu.assertStrContains(out, setting:match "^[^=]*" .. ": ")
    lu.assertStrContains(out, expected)
  end
  lu.assertEquals(select(2, shell [[MASCON_ISA=v2 MASCON_AMX=0 MASCON_PROFILE=0 MASCON_GCSTRESS= "$1" -e 'print(1)']]), "1\n")
end

-- Files of the library that lie in folders are modules with a dot in their name, and no fields of ms.
function TestProgram.test_modules_in_folders()
  local nn = require "mascon.nn"
  lu.assertTrue(rawequal(require "mascon.layers.kit".nn, nn))
  lu.assertStrContains(ms.help "nn.conv2d", "channels_in, channels_out")
  for _, name in ipairs { "layers.kit", "layers", "state", "arguments" } do
    lu.assertErrorMsgContains("ms has no '" .. name .. "'", function() return ms[name] end)
  end
  for _, name in ipairs { "layers..kit", ".kit", "layers.", "layers/kit", "" } do
    lu.assertErrorMsgContains("not found", require, "mascon." .. name)
  end
end
