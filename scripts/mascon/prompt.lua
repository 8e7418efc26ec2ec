-- prompt: what the prompt prints and completes; prompt.c reads, entry.lua compiles and commands.lua has the % commands.
local print, io = print, io
local inspect = require "mascon.inspect"
local prompt = {}

-- The text the prompt prints for a value: inspect.lua.
prompt.text = inspect.text

function prompt.show(...)
  io.write(inspect.results(...), "\n")
end

-- The value of a path like a.b[1].c, whose names are read raw, so that asking runs nothing of the user's: is there one?, the value.
local function live(path)
  local first, rest = path:match "^([%a_][%w_]*)(.*)$"
  local v = first and inspect.variable(first)
  while v ~= nil and rest ~= "" do
    local name, more = rest:match "^[%.:]([%a_][%w_]*)(.*)$"
    local place, after = rest:match "^%[(%-?%d+)%](.*)$"
    if not name and not place then return false end
    v = inspect.raw_field(v, name or math.tointeger(place))
    rest = more or after
  end
  return v ~= nil, v
end

-- ?NAME tells about a variable of the user's or a name of the library, ??WORD searches, ? alone says what there is.
function prompt.help(line)
  local asked = line:match "^%s*%?(.*)$"
  if asked:match "^%s*$" then
    print "Tab completes names, fields and methods; an expression prints its value."
    print "Ctrl-C stops the running command or drops the line; exit, quit or Ctrl-D leave."
  end
  print(require("mascon.help").typed(asked, live))
end

-- Names that can stand at the end of `line`, sorted, and how many letters of them are typed already: complete.lua; of commands: here.
function prompt.complete(line)
  local part = line:match "^%s*%%(%a*)$"
  if not part then return require("mascon.complete").line(line) end
  local found = {}
  for _, name in ipairs(require "mascon.commands".names()) do
    if name:sub(2, #part + 1) == part then found[#found + 1] = name:sub(2) end
  end
  table.sort(found)
  return found, #part
end

return prompt
