-- args: the options of a script. A table of defaults says names and types; the command line changes values.
--
--   local o = ms.args { epochs = 5, lr = 1e-3, quick = false, loss = ms.args.choice { "mse", "bce" }, data = ms.args.string }
--
-- Order and help texts: strings in the array part, "name" or "name: what it is", or a second argument
-- { help = "what the script does", describe = { epochs = "passes over the data" }, order = { "epochs", "lr" }, positional = "FILE...",
-- range = { epochs = "[1, ]", share = "(0, 1)" } }: intervals of numbers, as in mathematics: [ and ] with the end, ( and ) without.
-- An integer default takes integers, a float default any number, a boolean --name and --no-name, a string anything.
local system = require "mascon.system"
local text = require "mascon.text"
local args = {}

-- ---- kinds ---------------------------------------------------------------------------------------------------------------------

-- A kind: what = its name in messages, hint = what stands behind the option in the usage, read(text) -> value or nil, default.
local Kind = { __name = "mascon.args.kind" }
local function kind(t) return setmetatable(t, Kind) end

local function read_integer(s)
  local n = tonumber(s)
  if math.type(n) == "float" and math.abs(n) >= 2 ^ 53 then return nil end -- 9007199254740993.0 was rounded already
  return n and math.tointeger(n)
end

local function read_number(s)
  local n = tonumber(s)
  if n and n - n == 0 then return n + 0.0 end
end

-- An interval, "[1, ]" or "(0, 1)", as { low =, high =, above =, below = } (above: without low itself), and in words.
local function interval(s)
  local open, low, high, close = tostring(s):match "^([%[%(])%s*([^%s,]*)%s*,%s*([^%s,]*)%s*([%]%)])$"
  local r = open and { low = tonumber(low), high = tonumber(high), above = open == "(", below = close == ")" }
  if not r or (low ~= "" and not r.low) or (high ~= "" and not r.high) or not (r.low or r.high) then
    error(("args: range: expected an interval such as [1, ] or (0, 1), got %s"):format(tostring(s)), 0)
  end
  local function word(form, v) return v and form:format(math.type(v) == "integer" and v or ("%.9g"):format(v)) end
  if r.low and r.high and not r.above and not r.below then
    r.words = word("from %s", r.low) .. word(" to %s", r.high)
  else
    local from, to = word(r.above and "above %s" or "from %s on", r.low), word(r.below and "below %s" or "up to %s", r.high)
    r.words = (from or "") .. (from and to and " and " or "") .. (to or "")
  end
  return r
end

local function inside(r, v)
  return not (r.low and (v < r.low or r.above and v == r.low)) and not (r.high and (v > r.high or r.below and v == r.high))
end

local booleans = { ["true"] = true, yes = true, on = true, ["1"] = true, ["false"] = false, no = false, off = false, ["0"] = false }

-- Options without a default (absent unless given).
args.string = kind { what = "a text", hint = "TEXT", read = function(s) return s end }
args.integer = kind { what = "an integer", hint = "N", read = read_integer }
args.number = kind { what = "a number", hint = "X", read = read_number }

-- One of a list of words; the first is the default.
function args.choice(words)
  if type(words) ~= "table" or #words == 0 then error("args.choice: expected a list of words", 2) end
  local allowed = {}
  for i, w in ipairs(words) do
    words[i] = tostring(w)
    allowed[words[i]] = true
  end
  local list = table.concat(words, "|")
  return kind { what = "one of " .. list, hint = list, default = words[1], words = words,
    read = function(s) return allowed[s] and s or nil end }
end

-- A list of integers or numbers, with commas on the command line: widths = ms.args.list { 128, 64 }.
function args.list(default)
  local integers = true
  for _, v in ipairs(default) do integers = integers and math.type(v) == "integer" end
  local read_one = integers and read_integer or read_number
  return kind { what = integers and "integers with commas between" or "numbers with commas between",
    hint = integers and "N,N..." or "X,X...", default = default,
    read = function(s)
      local list = {}
      for item in (s .. ","):gmatch("([^,]*),") do
        local v = read_one(item)
        if not v then return nil end
        list[#list + 1] = v
      end
      return list
    end }
end

local function kind_of(name, default)
  if getmetatable(default) == Kind then return default end
  local t = math.type(default) or type(default)
  if t == "integer" then return kind { what = "an integer", hint = "N", read = read_integer, default = default } end
  if t == "float" then return kind { what = "a number", hint = "X", read = read_number, default = default } end
  if t == "string" then return kind { what = "a text", hint = "TEXT", read = args.string.read, default = default } end
  if t == "boolean" then
    return kind { what = "true or false", boolean = true, default = default, read = function(s) return booleans[s:lower()] end }
  end
  error(("args: the default of %s is a %s; expected a number, text, boolean or ms.args.choice/list/string/integer/number")
    :format(name, type(default)), 0)
end

-- ---- the table of options --------------------------------------------------------------------------------------------------------

-- How a name is written on the command line: n_critic is --n-critic.
local function dashed(name) return "--" .. name:gsub("_", "-") end

local function value_text(v)
  if type(v) == "table" then return table.concat(v, ",") end
  return math.type(v) == "float" and ("%.9g"):format(v) or tostring(v)
end

local function add_option(spec, name, default)
  if name == "help" or not name:match("^%a[%w_]*$") then error(("args: '%s' cannot be an option's name"):format(name), 0) end
  if spec.by_name[name] then return end
  local k = kind_of(name, default)
  local o = { name = name, kind = k, help = spec.describe[name] or "", range = spec.range[name] and interval(spec.range[name]) }
  spec.by_name[name] = o
  spec.options[#spec.options + 1] = o
end

-- The script's file name; of code on the command line (mascon -e), which is no name, "script".
local function script_name()
  local name = type(arg) == "table" and type(arg[0]) == "string" and arg[0]:match "[^/]*$"
  return name and name ~= "" and not name:find "[(={\n]" and name or "script"
end

local function read_spec(defaults, opts)
  if type(defaults) ~= "table" then error("args: expected a table of defaults, got a " .. type(defaults), 0) end
  opts = opts or {}
  for k in pairs(opts) do
    if not ({ help = 1, describe = 1, order = 1, positional = 1, name = 1, range = 1 })[k] then
      error(("args: unknown key '%s'%s"):format(k, text.hint(tostring(k), { "help", "describe", "order", "positional", "name",
        "range" })), 0)
    end
  end
  local spec = { options = {}, by_name = {}, describe = {}, range = opts.range or {}, help = opts.help, positional = opts.positional }
  spec.name = opts.name or script_name()
  for k, v in pairs(opts.describe or {}) do spec.describe[k] = v end
  local order = {}
  for _, entry in ipairs(opts.order or {}) do order[#order + 1] = entry end
  for _, entry in ipairs(defaults) do
    if type(entry) ~= "string" then error("args: the array part holds names, or \"name: what it is\"", 0) end
    local name, what = entry:match("^([%w_]+)%s*:%s*(.*)$")
    order[#order + 1] = name or entry
    if name then spec.describe[name] = what end
  end
  for _, name in ipairs(order) do
    if defaults[name] == nil then error(("args: '%s' is in the order but has no default"):format(name), 0) end
    add_option(spec, name, defaults[name])
  end
  for _, name in ipairs(text.keys(defaults)) do add_option(spec, name, defaults[name]) end
  for name in pairs(spec.describe) do
    if not spec.by_name[name] then error(("args: '%s' is described but has no default"):format(name), 0) end
  end
  for name in pairs(spec.range) do
    if not spec.by_name[name] then error(("args: '%s' has a range but no default"):format(name), 0) end
  end
  return spec
end

-- ---- help ----------------------------------------------------------------------------------------------------------------------

local function usage(spec)
  local rows, widest = {}, 0
  for _, o in ipairs(spec.options) do
    local k = o.kind
    local left = dashed(o.name)
    if k.boolean then
      if k.default then left = "--no-" .. left:sub(3) end
    else
      left = left .. " " .. k.hint
    end
    local right = o.help
    if k.default ~= nil and not k.boolean then
      right = right .. (right == "" and "" or " ") .. "(" .. value_text(k.default) .. ")"
    end
    rows[#rows + 1] = { left, right }
    widest = math.max(widest, #left)
  end
  rows[#rows + 1] = { "-h, --help", "print this" }
  widest = math.min(math.max(widest, 10), 34)
  local lines = { ("usage: mascon %s [options]%s"):format(spec.name, spec.positional and " " .. spec.positional or "") }
  if spec.help then lines[#lines + 1] = "\n" .. spec.help end
  lines[#lines + 1] = ""
  for _, r in ipairs(rows) do
    local pad = #r[1] > widest and "\n" .. (" "):rep(widest + 2) or (" "):rep(widest - #r[1])
    lines[#lines + 1] = (("  %s%s  %s"):format(r[1], pad, r[2]):gsub("%s+$", ""))
  end
  return table.concat(lines, "\n")
end

-- ---- reading -------------------------------------------------------------------------------------------------------------------

-- An error that the program prints without traceback; code 0 is the help text, for standard output.
local Stop = { __name = "mascon.args.stop" }
Stop.__tostring = function(e) return e.message end

local function stop(code, message) error(setmetatable({ exit_code = code, plain = true, message = message }, Stop), 0) end

local function complain(spec, fmt, ...)
  stop(2, ("%s: %s (--help lists the options)"):format(spec.name, fmt:format(...)))
end

local function unknown(spec, given)
  local names = { "--help" }
  for _, o in ipairs(spec.options) do
    names[#names + 1] = dashed(o.name)
    if o.kind.boolean then names[#names + 1] = "--no-" .. dashed(o.name):sub(3) end
  end
  complain(spec, "unknown option %s%s", given, text.hint(given, names))
end

-- The option that `--given` names, and for --no-NAME the value it sets.
local function find(spec, given)
  local name = given:gsub("-", "_")
  local o = spec.by_name[name]
  if o then return o, true end
  o = name:match("^no_") and spec.by_name[name:sub(4)]
  if o and o.kind.boolean then return o, false end
end

local function convert(spec, o, s)
  local v = o.kind.read(s)
  if v == nil then
    local near = o.kind.words and text.hint(s, o.kind.words) or ""
    complain(spec, "%s: expected %s%s, got '%s'%s", dashed(o.name), o.kind.what, o.range and " " .. o.range.words or "", s, near)
  end
  for _, n in ipairs(o.range and (type(v) == "table" and v or { v }) or {}) do
    if not inside(o.range, n) then complain(spec, "%s: expected %s %s, got '%s'", dashed(o.name), o.kind.what, o.range.words, s) end
  end
  return v
end

-- args.within(o, name, "[1, 60000]"): raise unless o's number of that name lies in the interval, which the script knows by now.
function args.within(o, name, range)
  local r, v = interval(range), o[name]
  if not inside(r, v) then
    stop(2, ("%s: expected %s %s, got %s"):format(dashed(name), math.type(v) == "integer" and "an integer" or "a number", r.words,
      value_text(v)))
  end
end

local Options = { __name = "mascon.args.options" }
local specs = setmetatable({}, { __mode = "k" }) -- options -> what they were read by

-- args.convert(o, name, s) -> the value that --name s would give o's option, or nil and why not; o: of ms.args, or a plain table, whose
-- values then say what kind is expected. For an option that changes while the script runs (run:live).
function args.convert(o, name, s)
  local spec = specs[o]
  local option = spec and spec.by_name[name]
  if not spec then
    local number = type(o[name]) == "number"
    spec = { name = "run" }
    option = { name = name, kind = number and kind { what = "a number", read = tonumber } or kind_of(name, o[name]) }
  end
  local ok, v = pcall(convert, spec, option, s)
  if ok then return v end
  if getmetatable(v) ~= Stop then error(v, 0) end
  return nil, (v.message:gsub(" %(%-%-help lists the options%)$", ""):gsub("^[^:]*: ", ""))
end

-- Options as text: their names and values, in the order of --help.
local function shown(o)
  local out = {}
  for _, option in ipairs(specs[o].options) do
    local v = rawget(o, option.name)
    if v ~= nil then out[#out + 1] = option.name .. " = " .. text.show(v) end
  end
  return "options: " .. table.concat(out, ", ")
end

-- Reading an option that does not exist is a slip of the pen: it raises. (An option without a default reads nil.)
local function result(spec)
  local values = {}
  for _, o in ipairs(spec.options) do
    local d = o.kind.default
    values[o.name] = type(d) == "table" and table.move(d, 1, #d, 1, {}) or d
  end
  local meta = { __name = Options.__name, __tostring = shown }
  meta.__index = function(_, key)
    if type(key) ~= "string" or spec.by_name[key] then return nil end
    local names = {}
    for _, o in ipairs(spec.options) do names[#names + 1] = o.name end
    error(("no option '%s'%s"):format(key, text.hint(key, names)), 2)
  end
  specs[values] = spec
  return setmetatable(values, meta)
end

-- Read the list `argv` (default: the script's arguments). Raises an object with tostring, exit_code (2; 0 for --help) and plain = true.
function args.parse(defaults, opts, argv)
  local spec = read_spec(defaults, opts)
  argv = argv or arg or {}
  local out, i, n = result(spec), 1, #argv
  local function positional(s)
    if not spec.positional then complain(spec, "unexpected argument '%s'", s) end
    out[#out + 1] = s
  end
  while i <= n do
    local a = argv[i]
    local name, value = a:match("^%-%-([^=]+)=(.*)$")
    name = name or a:match("^%-%-(.+)$")
    if a == "-h" or a == "--help" then
      stop(0, usage(spec))
    elseif a == "--" then
      for j = i + 1, n do positional(argv[j]) end
      break
    elseif name then
      local o, on = find(spec, name)
      if not o then unknown(spec, "--" .. name) end
      if o.kind.boolean then
        if value and not on then complain(spec, "--%s takes no value", name) end
        if value then on = convert(spec, o, value) end
        out[o.name] = on
      else
        if not value then
          i = i + 1
          value = argv[i]
          if not value or value:match("^%-%-%a") then complain(spec, "--%s: expected %s after it", name, o.kind.what) end
        end
        out[o.name] = convert(spec, o, value)
      end
    elseif a:match("^%-%a") then
      unknown(spec, a)
    else
      positional(a)
    end
    i = i + 1
  end
  return out
end

-- ---- the options every experiment has --------------------------------------------------------------------------------------------

local standard_order = { "epochs", "batch", "lr", "seed", "device", "data", "out", "quick", "resume" }
local standard_help = {
  epochs = "passes over the training data", batch = "examples in one step", lr = "learning rate", seed = "of all random numbers",
  device = "where tensors live: cpu, cuda, cuda:1 or auto", data = "folder where data sets are looked for first",
  out = "folder for figures, metrics and checkpoints", quick = "the same path on little data",
  resume = "go on from the last checkpoint in --out",
}

local standard_range = { epochs = "[1, ]", batch = "[1, ]", lr = "(0, ]" }

local device = kind { what = "cpu, cuda, cuda:N or auto", hint = "cpu|cuda|auto", default = "auto",
  read = function(s) return (s == "auto" or s == "cpu" or s == "cuda" or s == "trace" or s:match("^cuda:%d+$")) and s or nil end }

local function standard(defaults, opts)
  local all, o, order, describe, range = {}, {}, {}, {}, {}
  local name = (opts and opts.name or script_name()):match("[^/]*$"):gsub("%.lua$", "")
  local base = { epochs = 5, batch = 64, lr = 1e-3, seed = 1, device = device, data = args.string, out = "runs/" .. name,
    quick = false, resume = false }
  for k, v in pairs(base) do all[k] = v end
  for k, v in pairs(defaults or {}) do
    if k == "device" and type(v) == "string" then
      v = kind { what = device.what, hint = device.hint, read = device.read, default = v }
    end
    all[k] = v
  end
  for k, v in pairs(opts or {}) do o[k] = v end
  for _, k in ipairs(standard_order) do order[#order + 1] = k end
  for k, v in pairs(standard_help) do describe[k] = v end
  for k, v in pairs(o.describe or {}) do describe[k] = v end
  for _, k in ipairs(o.order or {}) do order[#order + 1] = k end
  for k, v in pairs(standard_range) do range[k] = v end
  for k, v in pairs(o.range or {}) do range[k] = v end
  o.order, o.describe, o.range = order, describe, range
  return all, o
end

-- Outside the mascon program nobody prints the error object: do here what the program does.
local function parse_or_exit(defaults, opts)
  if system.program() then return args.parse(defaults, opts) end
  local ok, e = pcall(args.parse, defaults, opts)
  if ok then return e end
  if getmetatable(e) ~= Stop then error(e, 0) end
  local out = e.exit_code == 0 and io.stdout or io.stderr
  out:write(text.visible(e.message, true), "\n")
  os.exit(e.exit_code, true)
end

-- ms.args.standard(defaults, opts): as ms.args, with the options of all experiments (epochs, batch, lr, seed, device, data, out, quick,
-- resume) in front; defaults may change theirs. args.standard_spec gives the two tables it would parse.
function args.standard(defaults, opts) return parse_or_exit(standard(defaults, opts)) end
args.standard_spec = standard

return setmetatable(args, { __call = function(_, defaults, opts) return parse_or_exit(defaults, opts) end })
