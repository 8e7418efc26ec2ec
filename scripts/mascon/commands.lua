-- commands: what begins with % at the prompt. Each is a function of the words after its name and the environment of entries.
local entry = require "mascon.entry"
local system = require "mascon.system"
local term = require "mascon.term"
local text = require "mascon.text"
local commands = {}

local load, loadfile, globals = load, loadfile, _G
local list = {} -- { name, what stands after it, what it does, function }, in the order of %help
local by_name = {}

local function command(name, words, what, f)
  list[#list + 1] = { name, words, what }
  by_name[name] = f
end

local function fail(fmt, ...) error(fmt:format(...), 0) end

-- For commands that take nothing.
local function nothing(name, rest)
  if rest ~= "" then fail("%%%s: expected nothing after it, got %s", name, text.show(rest)) end
end

local function trim(s) return (s:match("^%s*(.-)%s*$")) end

-- The values of the expressions after the command; what is wrong with them is told as of any entry.
local function values(name, rest, env)
  if rest == "" then fail("%%%s: expected what to show, as %%%s x", name, name) end
  local f, message = entry.expression("", rest, "=%" .. name, env)
  if not f then fail("%s", message) end
  return table.pack(f())
end

local function bytes_text(n)
  if n < 1e3 then return ("%d B"):format(n) end
  if n < 1e6 then return ("%.1f kB"):format(n / 1e3) end
  if n < 1e9 then return ("%.1f MB"):format(n / 1e6) end
  return ("%.2f GB"):format(n / 1e9)
end

-- ---- time and memory -----------------------------------------------------------------------------------------------------------------

local function seconds_text(s)
  return s >= 1 and ("%.3g s"):format(s) or s >= 1e-3 and ("%.3g ms"):format(s * 1e3) or ("%.3g us"):format(s * 1e6)
end

command("time", "CODE", "run it, and say how long it took and what memory it added", function(rest, env)
  if rest == "" then fail("%%time: expected what to run, as %%time f(x)") end
  local f = entry.load(rest, env)
  local ms = require "mascon"
  local live = ms.memory().live
  local wall, cpu = term.time(), os.clock()
  local got = table.pack(f())
  wall, cpu = term.time() - wall, os.clock() - cpu
  local more = ms.memory().live - live
  print(("%s, %s of processor, tensors %s%s"):format(seconds_text(wall), seconds_text(cpu), more < 0 and "-" or "+",
    bytes_text(math.abs(more))))
  return table.unpack(got, 1, got.n)
end)

command("mem", "", "memory, and the tensors that Lua holds by the line that made them", function(rest)
  nothing("mem", rest)
  local ms = require "mascon"
  collectgarbage()
  local m = ms.memory()
  print(("%s live, %s at most so far, %s cached"):format(bytes_text(m.live), bytes_text(m.peak), bytes_text(m.cached)))
  local lines, seen, held = {}, {}, 0
  for _, t in ipairs(require "mascon.inside".tensors()) do
    local line = lines[t.line]
    if not line then
      line = { line = t.line, bytes = 0, count = 0 }
      lines[t.line], lines[#lines + 1] = line, line
    end
    line.count = line.count + 1
    if not seen[t.storage] then -- views share it
      seen[t.storage] = true
      line.bytes, held = line.bytes + t.bytes, held + t.bytes
    end
  end
  table.sort(lines, function(a, b) return a.bytes > b.bytes or a.bytes == b.bytes and a.line < b.line end)
  for i = 1, math.min(#lines, 15) do
    print(("%10s  %5d tensor%s  %s"):format(bytes_text(lines[i].bytes), lines[i].count, lines[i].count == 1 and " " or "s", lines[i].line))
  end
  if #lines > 15 then print(("%10s  lines more"):format(#lines - 15)) end
  if m.live > held then
    print(("%10s  held otherwise: gradients, graphs, states, compiled steps"):format(bytes_text(m.live - held)))
  end
end)

-- ---- names ---------------------------------------------------------------------------------------------------------------------------

local STANDARD = {}
for name in ([[_G _VERSION arg assert collectgarbage coroutine data debug dofile error getmetatable io ipairs load loadfile math ml ms next
  nn optim os package pairs pcall print rawequal rawget rawlen rawset require select setmetatable string table tonumber tostring type utf8
  warn xpcall _ _1 _2 _3]]):gmatch "%S+" do STANDARD[name] = true end

local function own_globals()
  local names = {}
  for k in next, globals do
    if type(k) == "string" and not STANDARD[k] then names[#names + 1] = k end
  end
  table.sort(names)
  return names
end

-- A table without a name of its own, by what it holds.
local function table_words(v)
  if type(v) ~= "table" or debug.getmetatable(v) then return "a table" end
  local names, n = 0, rawlen(v)
  for _ in next, v do names = names + 1 end
  names = math.max(0, names - n)
  if n > 0 and names == 0 then return ("a list of %d"):format(n) end
  return n == 0 and ("a table of %d"):format(names) or ("a table of %d, and %d by name"):format(n, names)
end

local function one_line(v, goes_on)
  local ok, s = pcall(require "mascon.prompt".text, v, goes_on)
  s = ok and type(s) == "string" and s:match "[^\n]*" or type(v)
  if s == "{" then s = table_words(v) end
  if require "mascon".nn.is_module(v) then s = s:gsub("%s%s+([%d,]+)$", ": %1 parameters") end
  return #s > 70 and s:sub(1, (utf8.offset(s, 0, 68) or 68) - 1) .. "..." or s
end

command("who", "", "the variables of the session, or of the frame that stands still", function(rest)
  nothing("who", rest)
  local debugger = package.loaded["mascon.debugger"]
  if debugger and debugger.is_inside() then
    local kinds = debugger.names()
    for i, name in ipairs(text.keys(kinds)) do
      print(("%-16s %-8s %s"):format(name, kinds[name], one_line(debugger.value(name), i > 1)))
    end
    return
  end
  local names = own_globals()
  if #names == 0 then print "no variables yet" end
  for i, name in ipairs(names) do print(("%-16s %s"):format(name, one_line(rawget(globals, name), i > 1))) end
end)

-- ---- files ---------------------------------------------------------------------------------------------------------------------------

-- Words with a shell's quotes.
local function words(s)
  local out, i = {}, 1
  while true do
    i = s:find("%S", i)
    if not i then return out end
    local q = s:match("^[\"']", i)
    local from, to, word = s:find(q and "^" .. q .. "(.-)" .. q or "^(%S+)", i)
    if not from then fail("a quote that does not end") end
    out[#out + 1], i = word, to + 1
  end
end

command("run", "FILE [ARGUMENTS]", "run a script here: its globals stay", function(rest)
  local argv = words(rest)
  if #argv == 0 then fail("%%run: expected a file, as %%run train.lua --epochs 2") end
  local f, message = loadfile(argv[1], "t")
  if not f then fail("%%run: %s", message) end
  local folder = argv[1]:match "^(.*/)"
  local was = package.path
  local guard <close> = setmetatable({}, { __close = function() package.path = was end })
  if folder then package.path = folder .. "?.lua;" .. was end
  globals.arg = table.move(argv, 1, #argv, 0, {})
  return f(table.unpack(argv, 2))
end)

-- Fields of `new` into `old`, tables into tables of the same name (classes, whose objects go on with the new methods).
local function patch(old, new, seen)
  if seen[new] then return end
  seen[new] = true
  for k in next, old do
    if rawget(new, k) == nil then rawset(old, k, nil) end
  end
  for k, v in next, new do
    local was = rawget(old, k)
    if v == new then
      rawset(old, k, old) -- __index = itself
    elseif type(v) == "table" and type(was) == "table" and v ~= was then
      patch(was, v, seen)
    else
      rawset(old, k, v)
    end
  end
  local meta = debug.getmetatable(new)
  if type(meta) == "table" and not rawget(meta, "__metatable") then setmetatable(old, meta == new and old or meta) end
end

local function file_of(name) return (package.searchpath(name, package.path)) end

command("reload", "[MODULE]", "swap in functions that changed in their files (ms.reload), or run a module again", function(rest)
  if rest == "" then
    local swapped, message = require "mascon".reload()
    if not swapped then fail("%%reload: %s", message) end
    print(#swapped > 0 and "swapped in: " .. table.concat(swapped, ", ") or "no function has changed in the files that were read")
    return
  end
  if package.loaded[rest] == nil then fail("%%reload: no module %s was required", text.show(rest)) end
  if not file_of(rest) then fail("%%reload: there is no file of module %s", text.show(rest)) end
  local path, old = file_of(rest), package.loaded[rest]
  local f, message = loadfile(path, "t")
  if not f then fail("%%reload: %s; what was there stays", message) end
  local new = f(rest, path)
  if type(new) == "table" and type(old) == "table" then
    patch(old, new, {})
  elseif new ~= nil then
    package.loaded[rest] = new
  end
  print(("%s, from %s"):format(rest, path))
end)

local function quoted(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

local function open_editor(path, line)
  local editor = os.getenv "VISUAL" or os.getenv "EDITOR" or "vi"
  local ok, _, code = os.execute(("%s %s%s"):format(editor, line and "+" .. line .. " " or "", quoted(path)))
  if not ok then fail("%%edit: %s ended with code %s (VISUAL or EDITOR names the editor)", editor, code) end
end

local function edit_text(code)
  local path = os.tmpname() .. ".lua"
  local guard <close> = setmetatable({}, { __close = function() os.remove(path) os.remove((path:gsub("%.lua$", ""))) end })
  local ok, message = system.replace(path, code .. "\n")
  if not ok then fail("%%edit: %s", message) end
  open_editor(path)
  local f = io.open(path, "rb")
  local got = f and f:read "a"
  if f then f:close() end
  return got and trim(got) or ""
end

command("edit", "[N | FUNCTION | FILE]", "the last entry (or entry N) in $EDITOR, and run it; a file, or where a function stands",
  function(rest, env)
    local n = rest == "" and #entry.texts or math.tointeger(tonumber(rest))
    if n then
      if not entry.texts[n] then fail("%%edit: there is no entry %d yet", n) end
      local code = edit_text(entry.texts[n])
      if code == "" then return print "nothing to run" end
      print(text.visible(code, true))
      local f = entry.load(code, env)
      return f()
    end
    local v
    if rest:find "^[%a_][%w_.]*$" and not system.kind(rest) then
      local ok, got = pcall(values, "edit", rest, env)
      v = ok and got[1]
    end
    if type(v) == "function" then
      local info = debug.getinfo(v, "S")
      local entered = info.source:match "^=%[(%d+)%]$"
      if entered then return by_name.edit(entered, env) end
      local path = info.source:match "^@(.*)"
      if not path then fail("%%edit: %s was not read from a file", rest) end
      open_editor(path, info.linedefined)
      return
    end
    local argv = words(rest)
    if #argv > 1 then fail("%%edit: expected one entry, function or file, got %s", text.show(rest)) end
    open_editor(argv[1])
  end)

-- ---- pictures ------------------------------------------------------------------------------------------------------------------------

-- What goes wrong in the library is said without its lines.
local function said_plainly(f, ...)
  local ok, message = pcall(f, ...)
  if not ok then error(type(message) == "string" and message:gsub("^mascon/[%w_/]+%.lua:%d+: ", "") or message, 0) end
end

command("plot", "X [, Y ...]", "draw numbers in the terminal: curves; the rows of N x 2 as points", function(rest, env)
  local got = values("plot", rest, env)
  local plot, curves = require "mascon.plots", {}
  for i = 1, got.n do
    local v = got[i]
    local rank = type(v) == "userdata" and v:dim() or 1
    if rank == 2 and v:size(2) == 2 and v:size(1) > 2 then
      if got.n > 1 then fail("%%plot: points (%d x 2) go alone", v:size(1)) end
      local xy = v:detach():transpose(1, 2):totable()
      said_plainly(plot.scatter, { x = xy[1], y = xy[2] })
      return
    elseif rank == 2 and v:size(1) <= 8 then
      for j = 1, v:size(1) do curves[#curves + 1] = v[j]:detach():totable() end
    elseif rank == 1 then
      curves[#curves + 1] = type(v) == "userdata" and v:detach():totable() or v
    else
      fail("%%plot: expected numbers: a list, or a tensor of n, of n x 2 (points) or of up to 8 rows; %%img shows pictures")
    end
  end
  local all = {}
  for i, c in ipairs(curves) do all[i] = { c, label = #curves > 1 and tostring(i) or nil } end
  said_plainly(plot.lines, all)
end)

command("img", "X", "show a picture, or a batch of them, in the terminal", function(rest, env)
  local got = values("img", rest, env)
  for i = 1, got.n do said_plainly(require "mascon.picture".show, got[i]) end
end)

-- ---- the session ---------------------------------------------------------------------------------------------------------------------

local MARK = "-- a session at the prompt of mascon"

-- An entry as a script can have it: an expression is handed to show(), but a call alone unless its value is used later.
local function as_statement(code, uses)
  local body, quiet = trim(code):gsub(";$", "")
  local show = quiet > 0 and "keep(" or "show("
  if load("return " .. body, "=save", "t") then
    return (uses or not load(body, "=save", "t")) and show .. body .. ")" or code
  end
  if load(code, "=save", "t") then return code end
  local head, tail = entry.split(body)
  return head and head .. " " .. show .. trim(tail) .. ")" or code
end

command("save", "NAME", "write the entries that ran without an error to NAME.lua, as a script", function(rest)
  local name = words(rest)[1]
  if not name or words(rest)[2] then fail("%%save: expected one name, as %%save session") end
  local path = name:find "%.lua$" and name or name .. ".lua"
  local f = io.open(path, "r")
  if f then
    local first = f:read "l"
    f:close()
    if first ~= MARK then fail("%%save: %s is there, and was not written by %%save: choose another name", path) end
  end
  local lines, uses, count = {}, false, 0
  for i, code in ipairs(entry.texts) do uses = uses or entry.ok[i] and code:find "%f[%w_]_[123]?%f[^%w_]" ~= nil end
  for i, code in ipairs(entry.texts) do
    if entry.ok[i] then
      count = count + 1
      lines[#lines + 1] = as_statement(entry.prepared(code):gsub("^%s*=", "", 1), uses)
    end
  end
  local names = {}
  for _, k in ipairs(own_globals()) do names[#names + 1] = k end
  local head = { MARK, 'local ms = require "mascon"', "local nn, optim, ml, data = ms.nn, ms.optim, ms.ml, ms.data -- luacheck: ignore" }
  if #names > 0 then
    head[#head + 1] = ('for name in ("%s"):gmatch "%%S+" do ms.global(name) end'):format(table.concat(names, " "))
  end
  if entry.rc_path then head[#head + 1] = ("dofile(%q)"):format(entry.rc_path) end
  head[#head + 1] = uses and "local _, _1, _2, _3\nlocal function keep(...) _3, _2, _1, _ = _2, _1, (...), (...) return ... end"
    or "local function keep(...) return ... end"
  head[#head + 1] = "local function show(...) print(keep(...)) end"
  local ok, message = system.replace(path, table.concat(head, "\n") .. "\n\n" .. table.concat(lines, "\n") .. "\n")
  if not ok then fail("%%save: %s", message) end
  print(("%d entries in %s"):format(count, text.visible(path)))
end)

-- ---- inside a script -----------------------------------------------------------------------------------------------------------------

local function debugger() return require "mascon.debugger" end

-- How many frames: 1 where nothing is said.
local function frames(name, rest)
  local n = rest == "" and 1 or math.tointeger(tonumber(rest))
  if not n or n < 1 then fail("%%%s: expected how many frames, as %%%s 2, got %s", name, name, text.show(rest)) end
  return n
end

command("where", "", "inside a script (mascon debug): its frames", function(rest)
  nothing("where", rest)
  debugger().where()
end)
command("up", "[N]", "look at the frame that called this one", function(rest) debugger().move(frames("up", rest)) end)
command("down", "[N]", "and back", function(rest) debugger().move(-frames("down", rest)) end)

command("help", "", "this list", function(rest)
  nothing("help", rest)
  for _, c in ipairs(list) do print(("%-30s %s"):format("%" .. c[1] .. " " .. c[2], c[3])) end
  print(("%-30s %s"):format("?NAME", "what the library has under that name; ??WORD searches"))
  print(("%-30s %s"):format("_, _1, _2, _3", "the last values; an entry that ends with ; prints nothing"))
  print(("%-30s %s"):format("exit, quit, Ctrl-D", "leave; Ctrl-C stops what runs"))
  print(("%-30s %s"):format("Ctrl-R, text and Up", "search the history: what has the text in it, what begins with it"))
end)

function commands.names()
  local names = {}
  for i, c in ipairs(list) do names[i] = "%" .. c[1] end
  return names
end

-- Run "%name rest" -> what is to be shown.
function commands.run(line, env)
  local name, rest = line:match "^%s*%%%s*([%a_]*)(.*)$"
  local f = by_name[name]
  if not f then
    local names = commands.names()
    fail("unknown command %%%s%s: expected one of %s", name, text.hint(name, text.keys(by_name), "%"), table.concat(names, ", "))
  end
  return f(trim(rest), env)
end

return commands
