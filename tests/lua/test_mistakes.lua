-- The table of mistakes (tests/data/mistakes.txt): what people who come from PyTorch, NumPy, Torch7 or another language write, or who are
-- new to Lua, and the message that each gets. None is silent, each names the user's line and says what to do.
-- gcstress: every 5000
local lu = require "luaunit"
local ms = require "mascon"
local explain = require "mascon.explain"
local strict = require "mascon.strict"
local checks = require "checks"
local nn, optim, T = ms.nn, ms.optim, ms.transforms

-- ---- the table ---------------------------------------------------------------------------------------------------------------------

-- Entries { code, message, line }: in the file the code stands at the left (\n begins a new line of it) and the message below it, indented.
-- <any> in a message stands for any text, DIR for a folder with a few files in it.
local function read_table(path)
  local entries, n, begun = {}, 0, false
  for line in io.lines(path) do
    n = n + 1
    begun = begun or line:match "^==" -- before it: what the file is
    if not begun then goto next end
    if line:match "^%S" and not line:match "^==" then
      entries[#entries + 1] = { code = line:gsub("\\n", "\n"), message = "", line = n }
    elseif line:match "^%s+%S" then
      local e = entries[#entries]
      e.message = e.message .. (e.message ~= "" and " " or "") .. line:match "^%s*(.-)%s*$"
    end
    ::next::
  end
  return entries
end

-- ---- what there is when the mistake is made ---------------------------------------------------------------------------------------------

local dir = checks.temporary_folder()
checks.write(dir .. "/text.txt", "hello world\n")
checks.write(dir .. "/torch.pt", "\x80\2}q\0.") -- a pickle
checks.write(dir .. "/four.mat", ("<i4i4i4i4i4"):pack(0, 1, 1, 0, 2) .. "x\0" .. ("<d"):pack(1))

local function environment()
  local env = { ms = ms, nn = nn, optim = optim, ml = ms.ml, data = ms.data, T = T, S = optim.lr_scheduler, plot = ms.plot,
    image = ms.image }
  env.x = ms.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
  env.y = ms.tensor({ 1, 2 }, { dtype = "i64" })
  env.v = ms.ones { 3 }
  env.w = ms.ones({ 3 }, { requires_grad = true })
  env.loss = (env.x * env.w):sum()
  env.m = nn.linear(3, 2)
  env.model = nn.sequential { nn.linear(3, 4), nn.relu(), nn.linear(4, 2) }
  env.opt = optim.sgd(env.model:parameters(), { lr = 0.1 })
  env.train = ms.data.tensors { ms.ones { 8, 3 }, ms.ones({ 8 }):long() }
  env.loader = env.train:loader { batch = 4 }
  env.dir = dir
  function env.thrice(f)
    local step = ms.compile(f)
    for _ = 1, 3 do step(env.x) end
  end
  return setmetatable(env, { __index = function(_, name) -- as in a script: strict.lua
    local v = rawget(_G, name)
    if v == nil then error(strict.undefined(name), 2) end
    return v
  end })
end

-- What the program says of the code, on one line; nil and what it gave where it says nothing.
local function message_of(code)
  local env = environment()
  local f, said = load(code, "=mistake", "t", env)
  if not f then f = load("local r = (" .. code .. ")\nreturn r", "=mistake", "t", env) end -- an expression
  local quiet <close> = ms.enable_grad() -- luacheck: ignore quiet
  if f then
    local ok, got = pcall(f)
    if ok then return nil, tostring(got) end
    said = tostring(got)
    local words = explain.runtime(said) -- as call.c does
    if words then said = said:gsub("^[^\n]*", function(first) return first .. "; " .. words end) end
  end
  return (said:gsub("%s+", " "):gsub(dir:gsub("%p", "%%%0"), "DIR"))
end

local function matches(want, got)
  local pattern = want:gsub("%p", "%%%0"):gsub("%%<any%%>", ".*")
  return got:find("^" .. pattern .. "$") ~= nil
end

-- ---- the tests -----------------------------------------------------------------------------------------------------------------------

TestMistakes = {}

local entries = read_table "tests/data/mistakes.txt"

function TestMistakes.test_each_mistake_gets_its_message()
  local wrong = {}
  for _, e in ipairs(entries) do
    local got, gave = message_of(e.code)
    local place, says = (got or ""):match "^mistake:(%d+): (.*)$"
    local problem = got == nil and "silent, gives " .. gave or not place and "names no line of the user's: " .. got
      or says:find("mascon/", 1, true) and "names a line of the library: " .. got
      or not matches(e.message, says) and "says\n    " .. says .. "\n  expected\n    " .. e.message
    if problem then wrong[#wrong + 1] = ("tests/data/mistakes.txt:%d: %s\n  %s"):format(e.line, e.code, problem) end
  end
  lu.assertEquals(table.concat(wrong, "\n"), "")
end

function TestMistakes.test_there_are_many_and_each_once()
  local seen = {}
  for _, e in ipairs(entries) do
    lu.assertNil(seen[e.code], e.code)
    lu.assertNotEquals(e.message, "", e.code)
    seen[e.code] = true
  end
  lu.assertTrue(#entries >= 130, #entries .. " entries")
end

-- ---- what is no mistake (any more) -----------------------------------------------------------------------------------------------

function TestMistakes.test_comparisons_of_one_element_are_booleans()
  local a, b, n = ms.tensor(1.5), ms.tensor { { 2.5 } }, ms.tensor({ 3 }, { dtype = "i64" })
  lu.assertEquals({ a < b, a <= b, a > b, a >= b }, { true, true, false, false })
  lu.assertEquals({ a < 2, 2 < a, a > 1, a >= 1.5, 1.5 <= a, n < 3.5, n >= 3 }, { true, false, true, true, true, true, true })
  local nan = ms.tensor(0 / 0)
  lu.assertEquals({ nan < 1, nan > 1, nan <= nan }, { false, false, false })
  local large = ms.tensor({ (1 << 53) + 1 }, { dtype = "i64" }) -- by Lua's rules, without rounding
  lu.assertEquals({ large > 2.0 ^ 53, large > (1 << 53), large <= (1 << 53) + 1 }, { true, true, true })
  lu.assertTrue(a:lt(b) > 0) -- true is 1
  lu.assertTrue(a:clone():requires_grad_() < 2)
  lu.assertEquals(math.max(1, a), a)
  local list = { ms.tensor(3), ms.tensor(1), ms.tensor(2) }
  table.sort(list, function(x, y) return x < y end)
  lu.assertEquals(ms.stack(list):totable(), { 1, 2, 3 })
  lu.assertErrorMsgContains("has no one answer", function() return ms.ones { 0 } < 1 end)
  local thrice = environment().thrice
  lu.assertErrorMsgContains("inside a compiled step", thrice, function(x) return x:sum() < 1 and x or -x end)
end

function TestMistakes.test_a_loop_over_a_tensor_ends()
  local x, seen = ms.tensor { { 1, 2 }, { 3, 4 } }, {}
  for i, row in ipairs(x) do seen[i] = row:totable() end
  lu.assertEquals(seen, { { 1, 2 }, { 3, 4 } })
  local i = 1
  while x[i] do i = i + 1 end
  lu.assertEquals(i, 3)
  lu.assertEquals(select("#", table.unpack(x)), 2)
  for _ in ipairs(ms.ones { 0, 3 }) do error "a row" end
  lu.assertError(function() return x[4] end)
  lu.assertError(function() return x[{ 3 }] end) -- a list is no loop
  lu.assertError(function() x[3] = 1 end)
end

function TestMistakes.test_the_program_says_it_too()
  local function says(line, ...)
    local _, out = checks.shell(line .. " 2>&1", ...)
    return out
  end
  lu.assertEquals(says([[$1 -e 'x = 5' -e 'print(x, ...)' a -e]]), "5\ta\t-e\n")
  lu.assertEquals(says [[$1 -e 'x = 5' -e 'error("no", 0)' -e 'print(x)']]:match "^[^\n]*", "mascon: no")
  lu.assertStrContains(says [[$1 -e 'print(None)']], "undefined variable 'None'; write nil")
  lu.assertStrContains(says [[$1 -e 'None = 3; print(None, maybe)']], "3\tnil")
  lu.assertStrContains(says [[$1 -e 'm = nn.linear(2, 2); m:paramters()']], "(method 'paramters'); did you mean parameters?")
  checks.write(dir .. "/a.lua", "local x = 1\nif x != 2 then end\n")
  lu.assertStrContains(says([[$1 $2]], dir .. "/a.lua"), "a.lua:2: 'then' expected near '!'; not equal is ~=\n  2 | if x != 2 then end")
  checks.write(dir .. "/b.lua", "require 'a'\n")
  lu.assertStrContains(says([[$1 $2]], dir .. "/b.lua"), "a.lua:2: 'then' expected near '!'; not equal is ~=")
  checks.write(dir .. "/c.lua", "while True:\n")
  lu.assertStrContains(says([[$1 $2]], dir .. "/c.lua"), "; write while x do ... end")
  lu.assertEquals(select(2, load "while True:\n"):match "<eof>$", "<eof>") -- whoever reads line by line asks for this end
end

function TestMistakes.test_zz_the_end()
  checks.remove_folder(dir)
end
