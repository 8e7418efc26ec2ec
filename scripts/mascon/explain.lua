-- explain: what Lua's own messages mean to somebody who comes from Python, C or MATLAB, or is new to Lua.
--
-- The library's errors say themselves what to write instead. Those of Lua's parser and of its machine do not: "unexpected symbol near '!'",
-- "attempt to call a nil value (method 'paramters')". To such a message this file adds a few words. It only reads the message, and for
-- the parser's the text of the chunk; whoever loads code or shows an error asks it (bytecode.c, call.c). A message that it does not know
-- stays as it is.
local text = require "mascon.text"
local explain = {}

local LONGEST = 500 -- bytes of a line that are looked at

-- ---- the parser's --------------------------------------------------------------------------------------------------------------------

-- Rows are tried in turn; the first that fits counts.
--   near  the word or sign at which the parser stopped, a pattern (it stands between quotes in the message)
--   line  a pattern that the line has, or the one before it; "^" is its first sign that is no space
--   says  a pattern of the message
local SYNTAX = {
  { near = "^!$", line = "!=", hint = "not equal is ~=" },
  { near = "^!$", hint = "the opposite of x is not x" },
  { line = "===", near = "^=$", hint = "equal is ==" },
  { says = "^'then' expected", near = "^=$", hint = "equal is ==, one = gives a value" },
  { says = "^'then' expected", near = "^is$", hint = "write x == nil" },
  { says = "^'then' expected", near = "^in$", hint = "write t[x] ~= nil" },
  { says = "^'then' expected", near = "^else$", hint = "one line is a and b or c, or if a then ... else ... end" },
  { near = "^[%+%-%*/%%%^]$", line = "%+%+", hint = "write i = i + 1" },
  { near = "^%*$", line = "%*%*", hint = "a power is x ^ y" },
  { near = "^[%+%-%*/%%%^|&]$", line = "[%+%-%*/%%%^|&]=", hint = "write it out, as x = x + 1" },
  { near = "^//$", line = "//=", hint = "write it out, as x = x // 2" },
  { near = "^%.%.$", line = "%.%.=", hint = "write it out, as s = s .. t" },
  { near = "^&$", line = "&&", hint = "write a and b" },
  { near = "^|$", line = "||", hint = "write a or b" },
  { near = "^%?$", hint = "a ? b : c is a and b or c" },
  { near = "^//$", line = "^//", hint = "a comment begins with --" },
  { near = "^/$", line = "/%*", hint = "a comment begins with --, or is --[[ as long as this ]]" },
  { near = "^#$", hint = "a comment begins with --; # is a length, #x" },
  { near = "^@$", hint = "a matrix product is x:matmul(w)" },
  { near = "^repeat$", line = "[.:]%s*repeat", hint = "repeat is a word of Lua's: x:tile{2, 3}" },
  { near = "^and$", line = "[.:]%s*and", hint = "and is a word of Lua's: x:logical_and(y)" },
  { near = "^or$", line = "[.:]%s*or", hint = "or is a word of Lua's: x:logical_or(y)" },
  { near = "^not$", line = "[.:]%s*not", hint = "not is a word of Lua's: x:logical_not()" },
  { says = "^'%]' expected", near = "^,$", hint = "an index for several dimensions is a list: x[{ 1, 2 }]" },
  { says = "^'%]' expected", near = "^:+$", hint = "a range is a list, ends included: x[{ {1, 2} }]" },
  { near = "^:+$", line = "%[[^%]]*:", hint = "a whole dimension is {}: x[{ {}, 1 }]" },
  { near = "^%[$", line = "%[", hint = "a list has braces: { 1, 2, 3 }" },
  { says = "^'}' expected", near = "^:$", hint = "a table's names stand before =: { lr = 0.1 }" },
  { line = "^elif%f[%W]", hint = "elif is elseif ... then" },
  { line = "^else if .*:%s*$", hint = "write elseif ... then" },
  { line = "^def%s", hint = "write local function name(x) ... end" },
  { line = "^import%s", hint = "write local ms = require \"mascon\"" },
  { line = "^from%s+%S+%s+import", hint = "write local ms = require \"mascon\"" },
  { line = "^class%s", hint = "write local Net = nn.class \"Net\", then function Net:init() and function Net:forward(x)" },
  { line = "%f[%w]lambda%f[%W]", hint = "lambda x: y is function(x) return y end" },
  { line = "^with%s", hint = "a block has local guard <close> = ms.no_grad(), or ms.no_grad(function() ... end)" },
  { line = "^try%s*[:{]", hint = "write local ok, message = pcall(function() ... end)" },
  { line = "^for%s*%(", hint = "write for i = 1, n do ... end" },
  { line = "^for%s.*:%s*$", hint = "write for i = 1, n do ... end, or for x, y in loader do ... end" },
  { line = "^while%s.*[:{]%s*$", hint = "write while x do ... end" },
  { line = "^if%f[%W].*[:{]%s*$", hint = "write if x then ... end" },
  { line = "^else%s*[:{]%s*$", hint = "write else ... end, without a sign behind it" },
  { near = "^{$", line = "%)%s*{", hint = "a block has no braces; it ends with end" },
  { near = "^}$", line = "^}", hint = "a block has no braces; it ends with end" },
  { line = "^print%s+[%w_]", hint = "write print(x)" },
  { line = "^print%s*[\"'].*[\"']%s*%.%.", hint = "write print(a .. b): with more than one text the brackets are needed" },
  { line = "^assert%s+[%w_]", hint = "write assert(x)" },
  { line = "^raise%s", hint = "write error(\"what is wrong\")" },
  { line = "^throw%s", hint = "write error(\"what is wrong\")" },
  { line = "^del%s", hint = "write x = nil" },
  { line = "^global%s", hint = "write ms.global(\"name\", value)" },
  { line = "^pass%s*$", hint = "an empty block needs nothing in it" },
  { line = "^continue%s*;?$", hint = "write goto continue, and ::continue:: before the loop's end" },
  { near = "^continue$", hint = "write goto continue, and ::continue:: before the loop's end" },
  { line = "%f[%w]new%s+[%w_%.]+%s*%(", hint = "an object is made by a call, without new: Net()" },
  { line = "^[clvifda][%a]+%s+[%a_][%w_]*%s*=",
    keywords = { const = 1, let = 1, var = 1, int = 1, float = 1, double = 1, auto = 1, val = 1 }, hint = "write local x = 1" },
  { near = "^\"", line = "\"\"\"", hint = "a text of several lines is [[ ... ]]" },
  { near = "^%d[%d_]*$", line = "%d_%d", hint = "a number has no _ in it" },
  { line = "=>", hint = "a function is function(x) return y end" },
  { says = "^'do' expected", line = "^while.*{", hint = "a block has no braces: while x do ... end" },
  { says = "^'then' expected", line = "^if.*{", hint = "a block has no braces: if x then ... end" },
  { near = "^end$", line = "%f[%w]continue%s+end", hint = "write goto continue, and ::continue:: before the loop's end" },
  { line = "^if%s.*:%s*[%a_]", says = "^function arguments expected", hint = "write if x then ... end" },
  { line = "^for%s.*:%s*[%a_]", near = "^end$", hint = "write for i = 1, n do ... end, or for x, y in loader do ... end" },
  { line = "^for%s.*:%s*[%a_]", says = "^'do' expected", hint = "write for i = 1, n do ... end, or for x, y in loader do ... end" },
  { line = "^while%s.*:%s*[%a_]", says = "^function arguments expected", hint = "write while x do ... end" },
  { line = "^while%s.*:%s*[%a_]", says = "^'do' expected", hint = "write while x do ... end" },
  { line = "^async%s", hint = "write function name(x) ... end" },
  { says = "^'then' expected", near = "^not$", hint = "write t[x] == nil" },
  { says = "^<name> expected", line = "{%s*[%a_][%w_]*%s*:%s*[%d\"']", hint = "a table's names stand before =: { lr = 0.1 }" },
  { near = "^%d+[%a_]", says = "^malformed number", hint = "a name does not begin with a digit" },
  { line = "'''", hint = "a text of several lines is [[ ... ]]" },
  { near = "^%.%d", hint = "the entry of a list is t[1]" },
  { line = "'[^']*%a'%a", near = "^%a+$", hint = "the text ends at the second quote; write it between the other kind, \"it's\"" },
  { says = "^',' expected", near = "^to$", hint = "write for i = 1, 10 do" },
  { says = "^function arguments expected near 'do'", line = "^for%s.*%sin%s", hint = "call it: x:name()" },
  { near = "^elif$", hint = "elif is elseif ... then" },
  { says = "^'until' expected", hint = "write repeat ... until x" },
  { says = "^function arguments expected near '='", line = "^[%w_%.]+:[%a_][%w_]*%s*=", hint = "a field is set with a dot: x.name = 1" },
  { line = "^local%s+[%w_]+%.", hint = "a field is no local: write self.x = 1" },
  { line = "^[%a_][%w_%.]*%-%-;?$", hint = "write i = i - 1; -- begins a comment" },
  { says = "^<name> expected near '%('", line = "^function%s*%(", hint = "a function has a name here: local function f(x) ... end" },
  { says = "^<eof> expected", near = "^end$", hint = "there is one end too many, here or above" },
  { says = "^'end' expected", line = "else if%f[%W]", hint = "else if wants an end of its own; elseif does not" },
  { says = "^'end' expected .*to close 'if'", hint = "each if wants an end; else if one of its own, elseif none" },
}

local function first_fit(says, near, lines)
  for _, row in ipairs(SYNTAX) do
    local fits = (not row.says or says:find(row.says)) and (not row.near or near and near:find(row.near))
    if fits and row.line then
      fits = false
      for _, line in ipairs(lines) do
        local here = line:find(row.line)
        if here and row.keywords then here = row.keywords[line:match "^%a+"] end
        fits = fits or here
      end
    end
    if fits then return row.hint end
  end
end

-- The words to add to the parser's message about `source`, or nil. whole: no more of it can follow.
function explain.syntax(message, source, whole)
  local at, says = message:match ":(%d+): (.*)$"
  if not at or says:find "near <eof>$" and not whole then return nil end -- nothing is wrong yet
  local near = says:match "near '(.*)'$"
  local lines, n, before = {}, 0, nil
  at = tonumber(at)
  for line in (source .. "\n"):gmatch "(.-)\r?\n" do
    n = n + 1
    line = line:sub(1, LONGEST):match "^%s*(.*)$"
    if n == at then
      lines = { line, before }
      break
    end
    if line ~= "" then before = line end
  end
  return first_fit(says, near, lines)
end

-- ---- names -----------------------------------------------------------------------------------------------------------------------------

local MATHS = { "abs", "exp", "floor", "ceil", "sin", "cos", "tan", "log", "sqrt", "fmod" }
local GLOBALS = { None = "write nil", True = "write true", False = "write false", null = "write nil", NULL = "write nil",
  undefined = "write nil", nullptr = "write nil", nan = "write 0 / 0", NaN = "write 0 / 0", inf = "write math.huge", pi = "write math.pi",
  self = "self is there in functions with a colon: function Net:forward(x)", super = "write Parent.init(self, ...)",
  torch = "write local ms = require \"mascon\"", ms = "write local ms = require \"mascon\"", nn = "write local nn = ms.nn",
  optim = "write local optim = ms.optim", np = "its functions are ms.X: ms.zeros{2, 3}",
  numpy = "its functions are ms.X: ms.zeros{2, 3}", plt = "figures are ms.plot.lines{ y, file = \"a.png\" }",
  tf = "write local ms = require \"mascon\"", F = "its functions are ms.X and ms.nn.X: ms.relu(x), ms.nn.cross_entropy(x, y)",
  len = "write #x", range = "write for i = 1, n do ... end", str = "write tostring(x)", int = "write math.floor(x), or tonumber(s)",
  float = "write tonumber(s), or x:float()", bool = "write x ~= nil", enumerate = "write for i, v in ipairs(list) do",
  zip = "write for i = 1, #a do local x, y = a[i], b[i]", sum = "write x:sum()", max = "write math.max(a, b), or x:max()",
  min = "write math.min(a, b), or x:min()", round = "write math.floor(x + 0.5), or x:round()", sorted = "write table.sort(list)",
  printf = "write io.write((\"%d\\n\"):format(n))", sprintf = "write (\"%d\"):format(n)", isinstance = "write type(x) == \"number\"",
  unpack = "write table.unpack(t)", loadstring = "write load(text)", setfenv = "write load(text, name, \"t\", env)",
  open = "write io.open(path)", input = "write io.read()", exit = "write os.exit()", tqdm = "write ms.progress(loader)",
  DataLoader = "write ds:loader{ batch = 64 }", list = "a list is { 1, 2, 3 }", dict = "a table by names is { a = 1 }",
  f = "a text with numbers in it is (\"loss %.3f\"):format(loss:item())", hasattr = "write t.name ~= nil", map = "write a loop",
  this = "write self", echo = "write print(x)", console = "write print(x)", time = "write os.time(), or ms.time()",
  random = "write math.random(), or ms.rand{2, 3}", json = "write ms.json" }
for _, name in ipairs(MATHS) do GLOBALS[name] = ("write math.%s(x), or x:%s() of a tensor"):format(name, name) end

-- What stands for a global of other languages, or nil.
function explain.global(name) return GLOBALS[name] end

-- ---- the machine's -------------------------------------------------------------------------------------------------------------------

-- What libraries of Lua do not have, or do not have any more.
local GONE = { pow = "x ^ y", round = "math.floor(x + 0.5)", getn = "#t", maxn = "#t", unpack = "table.unpack(t)",
  loadstring = "load(text)", mod = "x % y", cosh = "(math.exp(x) + math.exp(-x)) / 2", log10 = "math.log(x, 10)",
  ldexp = "m * 2.0 ^ e", gfind = "string.gmatch",
  split = "for word in s:gmatch(\"[^,]+\") do", strip = "s:match(\"^%s*(.-)%s*$\")", trim = "s:match(\"^%s*(.-)%s*$\")",
  replace = "s:gsub(a, b)", startswith = "s:sub(1, #a) == a", endswith = "s:sub(-#a) == a", join = "table.concat(list, \", \")",
  append = "list[#list + 1] = x", push = "list[#list + 1] = x", push_back = "list[#list + 1] = x", keys = "for key in pairs(t) do",
  values = "for _, value in pairs(t) do", items = "for key, value in pairs(t) do", length = "#x", len = "#x", contains = "t[x] ~= nil",
  foreach = "for key, value in pairs(t) do", popen = "io.popen", exists = "io.open(path)", sleep = "os.execute(\"sleep 1\")" }

-- What a module has no method for.
local METHODS = { save = "ms.save(path, model:state_dict())", load = "model:load_state_dict((ms.load(path)))",
  summary = "ms.summary(model, x)", backward = "loss:backward()", predict = "model(x), after model:eval()",
  fit = "ms.fit(model, { train = ds, loss = f, optimizer = o })", numel = "model:count()", num_parameters = "model:count()",
  freeze = "model:requires_grad_(false)", unfreeze = "model:requires_grad_(true)", log = "run:epoch { epoch = 1, loss = x }" }

-- Names of the methods of the library's objects, for spelling.
local methods
local function known_methods()
  if methods then return methods end
  local set, ms = {}, package.loaded.mascon
  local function take(t)
    for key, v in pairs(type(t) == "table" and t or {}) do
      if type(key) == "string" and type(v) == "function" and key:sub(1, 1) ~= "_" then set[key] = true end
    end
  end
  if type(ms) == "table" and rawget(ms, "nn") then
    take(ms.nn.module)
    take(require("mascon.optim.base").methods)
  end
  methods = text.keys(set)
  return methods
end

local TEXTS = "texts join by ..; a number in a text is tonumber(s)"
local BASIC = { ["nil"] = true, boolean = true, number = true, string = true, table = true, ["function"] = true, userdata = true,
  thread = true }
local FIELD = "it is a field: write x.%s, without brackets"

-- By the beginning of the message: a function of what is told of the value behind it ("method", "name"; nil where nothing is told).
local MACHINE = {
  { "^attempt to call a mascon%.tensor value", function()
    return "elements are x[{ i, j }], rows x[i]; a loop over them is for i, row in ipairs(x) do"
  end },
  { "^bad 'for' .- %(number expected, got mascon%.tensor%)", function() return "write for i = 1, #x do" end },
  { "^bad 'for' .- %(number expected, got mascon%.", function() return "write for i = 1, #x do" end },
  { "number expected, got mascon%.tensor", function() return "x:item() is the number of a tensor with one element" end },
  { "^invalid value %(userdata%) .- in table for 'concat'", function() return "tostring(x) makes a text of anything" end },
  { "^module '[%w_%.]+' not found", function(_, _, says)
    local name = says:match "'([%w_]+)"
    if name == "torch" or name == "numpy" or name == "nn" or name == "optim" then return "write local ms = require \"mascon\"" end
  end },
  { "^attempt to call a nil value", function(kind, name)
    if kind == "for iterator" then return "write for key, value in pairs(t) do" end
    if not name then return nil end
    if kind == "global" and GLOBALS[name] then return GLOBALS[name] end
    local instead = kind == "method" and METHODS[name] or GONE[name]
    if instead then return "write " .. instead end
    local near = kind == "method" and text.nearest(name, known_methods())
    if near then return ("did you mean %s?"):format(near) end
    return nil
  end },
  { "^attempt to call a table value", function(kind)
    if kind == "for iterator" then return "write for key, value in pairs(t) do, or for i, value in ipairs(list) do" end
  end },
  { "^attempt to call a mascon%.data value", function() return "write for x, y in ds:loader{ batch = 64 } do" end },
  { "^attempt to call a [%a_][%w_%.]* value", function(kind, name, says)
    if says:find "a nil value" then return nil end
    if kind == "for iterator" then return "for wants a function: pairs(t), ipairs(list), a loader; counting is for i = 1, n do" end
    if kind == "method" or kind == "field" and says:find "call a [bns]" then return FIELD:format(name) end
  end },
  { "^attempt to index a nil value", function(kind, name)
    if kind == "global" and GLOBALS[name] then return GLOBALS[name] end
    if name == "grad" then return "x.grad is there after loss:backward(), for leaves that require gradients" end
    if name == "integer index" or name == "?" then return "there is nothing at this position; positions count from 1" end
    if name == "self" then return "a method is called with a colon: object:method(x)" end
  end },
  { "^attempt to index a function value", function(_, name)
    if name then return ("call it first: %s()"):format(name) end
  end },
  { "^attempt to perform arithmetic on a function value", function(_, name)
    if name then return ("call it: %s()"):format(name) end
  end },
  { "^attempt to perform arithmetic on a nil value", function(_, name)
    if name == "?" or name == "integer index" then return "there is nothing at this position" end
  end },
  { "^attempt to perform arithmetic on a table value", function()
    return "a list of numbers becomes a tensor by ms.tensor(list)"
  end },
  { "^attempt to perform arithmetic on a string value", function() return TEXTS end },
  { "^attempt to %a+ a 'string' with a '", function() return TEXTS end },
  { "^attempt to perform arithmetic on a [%a_][%w_%.]* value", function(kind, _, says)
    local what = says:match "on a ([%w_%.]*) value"
    if kind == "local" and not BASIC[what] then return "if it is the object itself, write function Net:forward(x), with a colon" end
  end },
  { "^attempt to concatenate a nil value", function() return "tostring(x) makes a text of anything" end },
  { "^attempt to concatenate a table value", function() return "table.concat(list, \", \") joins a list" end },
  { "^attempt to concatenate a boolean value", function() return "tostring(x) makes a text of anything" end },
  { "^attempt to concatenate a function value", function(_, name)
    if name then return ("call it: %s()"):format(name) end
  end },
  { "^attempt to compare %a+ with %a+", function(_, _, says)
    local a, b = says:match "compare (%a+) with (%a+)"
    if a == "string" and b == "number" or a == "number" and b == "string" then return "a number in a text is tonumber(s)" end
  end },
  { "^bad argument #%d+ to 'concat' %(table expected, got string%)", function() return "table.concat(list, between)" end },
}

-- The words to add to the first line of a message of Lua's machine or of its standard libraries, or nil.
function explain.runtime(message)
  local first = message:sub(1, LONGEST):match "^[^\n]*" -- a message of Lua's own is short
  local says = first:match ":%d+: (.*)$" or first
  local kind, name = says:match "%((%a[%a ]*) '([^']*)'%)"
  for _, row in ipairs(MACHINE) do
    if says:find(row[1]) then
      local hint = row[2](kind, name, says)
      if hint then return hint end
    end
  end
end

return explain
