-- docs: one record for each public name of the library: what ?name shows, what Tab offers, and what the reference pages are made of.
--
-- Operations come from their rows (runtime/ops.def, elementwise.def); everything else from the texts in docs/*.lua, which are read when
-- they are first asked for. A text is a list of entries:
--
--   nn.linear(inputs, outputs [, { bias = true }]) -> module          the name and how it is written, at the start of the line
--     x w' + b; weight outputs x inputs.                              what it is, indented by two
--     > nn.linear(3, 2)(ms.randn { 4, 3 }).shape                      an example, which a test runs
--     ~ data.mnist { limit = 100 }                                    an example that wants files or more: it is only compiled
--
-- Examples know ms, nn, optim, ml, data, T (ms.transforms) and folder (of the user's). How it is written may go on in lines that are
-- indented by four; "name: how it is written" is for what does not begin with its name ("ml.k_fold: for train, test in ml.k_fold(...)").
-- Methods are x:item (of tensors), m:train (modules), o:step (optimizers), ...; CLASSES below says what stands for what.
-- "= ms.conv2d" begins what is to be added to a row: more text, or its example.
local ms = require "mascon"
local docs = {}

docs.KINDS = {
  [0] = "tensor", "tensor (floating)", "tensor or number", "list of tensors", "tensor, changed in place", "positions (integers from 1)",
  "labels (integers from 1)", "integer", "size", "dimension", "dimension or list of them", "position", "list of sizes",
  "integer or list of them", "boolean", "number", "dtype", "word", "number or list of them",
}

-- What stands before the colon of a method, and what such an object is.
docs.CLASSES = {
  { "x", "a tensor" }, { "m", "a module" }, { "list", "nn.sequential, nn.module_list, nn.parameter_list" },
  { "dict", "nn.module_dict, nn.parameter_dict" }, { "o", "an optimizer" }, { "lr", "a schedule (optim.lr_scheduler)" },
  { "average", "an average of weights (optim.ema)" }, { "ds", "a data set" }, { "loader", "a loader" },
  { "estimator", "an estimator (ml)" }, { "dist", "a distribution (ml)" }, { "graph", "a graph (ml.kneighbors_graph)" },
  { "meter", "a meter (ms.meter)" }, { "run", "a run (ms.run)" }, { "board", "a TensorBoard writer" }, { "fit", "ms.fit in its hooks" },
  { "history", "what ms.fit gives" }, { "sweep", "ms.sweep" }, { "bar", "a bar of ms.progress" }, { "stop", "ms.early_stopping" },
  { "keep", "ms.model_checkpoint" }, { "step", "a compiled step" }, { "scope", "ms.scope()" }, { "handle", "a hook's handle" },
  { "t", "a transform (ms.transforms)" }, { "sampler", "a sampler" },
}

-- Tables of functions, by the name that users say.
docs.ROOMS = { "ms", "nn", "nn.init", "optim", "optim.lr_scheduler", "ml", "data", "transforms", "plot", "image", "checkpoint", "meter",
  "args", "json" }

docs.TEXTS = { "core", "rows", "nn", "optim", "ml", "data", "transforms", "plots", "runs" }

-- ---- the texts -----------------------------------------------------------------------------------------------------------------------

local function append(e, key, line) e[key] = e[key] == "" and line or e[key] .. "\n" .. line end

-- Entries of one text, added to `list`; what belongs to rows, to `rows` by name.
local function parse(text, list, rows)
  local e
  for line in text:gmatch "([^\n]*)\n" do
    local row = line:match "^= (%S+)"
    local name = line:match "^[%a_][%w_%.:]*"
    name = name and name:gsub(":$", "")
    if row then
      e = { name = row, text = "", example = "" }
      rows[row] = e
    elseif name then
      e = { name = name, signature = line:sub(#name + 1, #name + 1) == ":" and line:sub(#name + 3) or line, text = "", example = "" }
      list[#list + 1] = e
    elseif e and line:find "^    %S" and e.text == "" and e.example == "" and e.signature then
      e.signature = e.signature .. " " .. line:match "^%s*(.-)$"
    elseif e and line:find "^  [>~]" then
      append(e, "example", (line:gsub("^  [>~] ?", "")))
      e.unrun = line:find "^  ~" and true or e.unrun
    elseif e and line:find "^  " then
      append(e, "text", line:sub(3))
    end
  end
end

-- Its kind by how it is written.
local function kind_of(e)
  if e.name:find ":" then return "method" end
  for _, room in ipairs(docs.ROOMS) do
    if e.name == room or e.name == "ms." .. room then return "module" end
  end
  local word = e.name:gsub("^ms%.", ""):gsub("%p", "%%%0")
  if e.signature:find(word .. "%s*[%({]") then return e.name:find "^nn%." and e.signature:find "%-> module" and "layer" or "function" end
  return "value"
end

-- ---- rows ----------------------------------------------------------------------------------------------------------------------------

-- The defaults of a row's arguments, in its order; false: must be given; nil: may be left out.
local function defaults(r)
  local signature = r.signature:gsub("%b()", function(words) return (words:gsub("|", "/")) end)
  local plain, list, named = signature:gsub("|.*", ""), {}, {}
  for k, v in (signature:match "|(.*)" or ""):gmatch "(%a):?[%a_]*=(%S+)" do named[k] = v end
  local i = 0
  for item in plain:gmatch "%S+" do
    i = i + 1
    local default = item:match "=(.*)$" or r.elementwise and named[item:sub(1, 1)]
    local words = item:match "enum%((.-)%)"
    list[i] = { name = r.args[i].name, default = default or nil, words = words and words:gsub("/", " | "), kind = r.args[i].kind,
      tensor = r.args[i].tensor }
  end
  return list
end

local function literal(a) return a.words and ("%q"):format(a.default) or a.kind == 16 and ("%q"):format(a.default) or a.default end

-- "(x, w [, bias] [, { stride = 1 }])": what has a default may stand by position, too, in this order.
local function row_signature(args)
  local first, rest = {}, {}
  for i, a in ipairs(args) do
    if not a.default then first[#first + 1] = (i > 1 and ", " or "") .. a.name
    elseif a.default == "none" and a.tensor and #rest == 0 then
      first[#first + 1] = ("%s[%s%s]"):format(i > 1 and " " or "", i > 1 and ", " or "", a.name)
    else
      rest[#rest + 1] = (a.default == "none" or a.default == "all") and a.name .. " =" or ("%s = %s"):format(a.name, literal(a))
    end
  end
  if #rest == 0 then return "(" .. table.concat(first) .. ")" end
  local options = #rest > 1 and "{ " .. table.concat(rest, ", ") .. " }" or rest[1]
  return ("(%s%s[%s%s])"):format(table.concat(first), #first > 0 and " " or "", #first > 0 and ", " or "", options)
end

-- The arguments of a row's sample as Lua: n(2,3) is ms.randn { 2, 3 }, and so on; runtime/ops.def says what the letters are.
local function sample_text(r)
  if r.sample == "" then return nil end
  if r.elementwise then
    local parts = {}
    for range in r.sample:gmatch "[^,]+" do
      local lo, hi = range:match "^(.-):([^!]+)"
      parts[#parts + 1] = (r.class == "whole" or r.class == "integer") and "ms.tensor({ 12, 5, 7 }, { dtype = \"i64\" })"
        or ("ms.linspace(%s, %s, 3)"):format(lo or "1", hi or "2")
    end
    if #parts == 0 then return nil end
    while #parts < r.arity do parts[#parts + 1] = parts[#parts] end
    return table.concat(parts, ", ", 1, r.arity)
  end
  local one = r.sample:match "^%b{}":sub(2, -2)
  local function sizes(s) return (s:gsub("%s*,%s*", ", ")) end
  local function make(letter, inner)
    inner = inner:sub(2, -2)
    if letter == "n" or letter == "d" then return "ms.randn { " .. sizes(inner) .. " }" end
    if letter == "b" then return "ms.rand { " .. sizes(inner) .. " }:gt(0.5)" end
    local lo, hi, rest = inner:match "^([^,]+),([^,]+),(.+)$"
    if letter == "u" then return ("ms.rand({ %s }, %s, %s)"):format(sizes(rest), lo, hi) end
    local most, where = inner:match "^([^,]+),(.+)$"
    return ("ms.randint(1, %s, { %s })"):format(most, sizes(where))
  end
  one = one:gsub("%f[%w]([ndubi])(%b())", make)
  one = one:gsub("'", '"'):gsub(",%s*", ", "):gsub("%s*=%s*", " = "):gsub("{([^{} ])", "{ %1"):gsub("([^{} ])}", "%1 }")
  return one
end

local function row_example(r)
  local args = sample_text(r)
  return args and ("ms.%s(%s)"):format(r.name, args) or ""
end

-- What of a row's record is made when it is first asked for.
local LATER = { args = true, text = true, signature = true, method = true, example = true }
local function fill(e, key)
  if not LATER[key] or not debug.getmetatable(e) then return nil end
  local r, extra = rawget(e, "row"), rawget(e, "extra")
  local as_function, as_method = rawget(ms, r.name) ~= nil, rawget(ms.methods, r.name) ~= nil and r.args[1] ~= nil
  setmetatable(e, nil)
  e.args = defaults(r)
  e.signature = as_function and "ms." .. r.name .. row_signature(e.args) or nil
  if as_method then
    local method = ("%s:%s%s"):format(e.args[1].name, r.name, row_signature({ table.unpack(e.args, 2) }))
    e.method = as_function and not r.mutates and method or nil
    e.signature = (r.mutates or not as_function) and method or e.signature
  end
  e.text = r.doc .. (extra and extra.text ~= "" and "\n" .. extra.text or "")
  e.example = extra and extra.example ~= "" and extra.example or row_example(r)
  return e[key]
end
local LAZY = { __index = fill }

-- The record of a row: ms.NAME(x, ...) and x:NAME(...); what changes x is a method first.
local function of_row(r, extra)
  local word = r.name
  local as_function = rawget(ms, word) ~= nil
  local as_method = rawget(ms.methods, word) ~= nil and r.args[1] ~= nil
  local e = { kind = "operation", row = r, extra = extra, also = {} }
  local function other(name) e.also[#e.also + 1] = name end
  e.name = (as_function and not (r.mutates and as_method) and "ms." or "x:") .. word
  if as_function and e.name ~= "ms." .. word then other("ms." .. word) end
  if as_method and e.name ~= "x:" .. word then other("x:" .. word) end
  if r.elementwise and rawget(ms.methods, word .. "_") then other("x:" .. word .. "_") end
  for _, alias in ipairs(r.aliases) do
    if rawget(ms, alias) ~= nil then other("ms." .. alias) end
    if rawget(ms.methods, alias) ~= nil then other("x:" .. alias) end
    if r.elementwise and rawget(ms.methods, alias .. "_") then other("x:" .. alias .. "_") end
  end
  return setmetatable(e, LAZY)
end

-- ---- all of them ---------------------------------------------------------------------------------------------------------------------

local list, by_name
local IN_MS = { transforms = 1, plot = 1, image = 1, checkpoint = 1, meter = 1, args = 1, json = 1 } -- no globals at the prompt

-- Names that stand for the same function of a row in nn: nn.mse is ms.mse_loss.
local function same_in_nn(by_value)
  for key, v in next, ms.nn do
    local e = type(v) == "function" and by_value[v]
    if e and not by_name["nn." .. key] then
      e.also[#e.also + 1] = "nn." .. key
      by_name["nn." .. key] = e
    end
  end
end

local function load_all()
  if list then return end
  list, by_name = {}, {}
  local rows = {}
  for _, name in ipairs(docs.TEXTS) do parse(require("mascon.docs." .. name), list, rows) end
  for _, e in ipairs(list) do
    e.also, e.kind = {}, kind_of(e)
    if IN_MS[e.name:match "^(%w+)%." or ""] and e.signature:sub(1, #e.name) == e.name then e.signature = "ms." .. e.signature end
    assert(not by_name[e.name], e.name .. " has two entries")
    by_name[e.name] = e
  end
  local by_value = {}
  for _, r in ipairs(ms.ops()) do
    if not r.private then
      local e = of_row(r, rows["ms." .. r.name] or rows["x:" .. r.name])
      if not by_name[e.name] then
        list[#list + 1], by_name[e.name] = e, e
        by_value[rawget(ms, r.name) or e] = e
      else
        by_name[e.name].row = r
        by_value[rawget(ms, r.name) or e] = by_name[e.name]
        by_name[e.name].also = e.also
      end
      for _, other in ipairs(e.also) do by_name[other] = by_name[other] or by_name[e.name] end
    end
  end
  same_in_nn(by_value)
  for _, e in ipairs(list) do -- a function that is a method, too
    local word = e.name:match "^ms%.([%w_]+)$"
    if word and not e.row and rawget(ms.methods, word) and not by_name["x:" .. word] then
      e.also[#e.also + 1] = "x:" .. word
      by_name["x:" .. word] = e
    end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
end

-- docs.entries() -> list of { name, kind, signature, text, example, also }, sorted by name. kind: "operation", "function", "layer",
-- "method", "module" or "value"; example: Lua lines, of which the last is an expression or a statement; also: other names for it;
-- operations have row (of ms.ops()) and args, a list of { name, kind, default, words }.
function docs.entries()
  load_all()
  for _, e in ipairs(list) do
    if e.kind == "operation" then fill(e, "args") end
  end
  docs.entries = function() return list end
  return list
end

-- The same, of operations perhaps without what is made when it is asked for.
function docs.all()
  load_all()
  return list
end

-- The record whose name, or other name, is exactly `name` ("nn.linear", "ms.softmax", "x:item"), or nil.
function docs.exact(name)
  load_all()
  return by_name[name]
end

-- Where a bare name is looked for, in this order.
local PREFIXES = { "ms.", "x:", "nn.", "optim.", "ml.", "data.", "transforms.", "plot.", "image.", "optim.lr_scheduler.", "nn.init.",
  "checkpoint.", "meter.", "args." }

-- docs.find(name) -> the record meant by "softmax", "ms.softmax", "x:item", "nn.linear", ":step", and a list of others of that name; nil
function docs.find(name)
  load_all()
  if name == "ms" or name:find "^ms%." and by_name[name] then return by_name[name], {} end
  local object = name:match "^(%l+):$" -- "run:" is the object, where "run" is ms.run
  if object and by_name[object] then return by_name[object], {} end
  name = name:gsub("^ms%.", ""):gsub("^T%.", "transforms."):gsub("%(%)$", "")
  if name:find "[%.]" or name:find "^%a+:" then
    local e = by_name[name] or by_name["ms." .. name]
    if e then return e, {} end
    name = name:match ":[%w_]+$" -- net:train is m:train, whatever net is
    if not name then return nil end
  end
  local first, others = nil, {}
  local word = name:match "^:?(.*)$"
  local function take(e)
    if not e or e == first then return end
    for _, o in ipairs(others) do
      if o == e then return end
    end
    if first then others[#others + 1] = e else first = e end
  end
  if not name:find "^:" then
    take(by_name["ms." .. word])
    take(by_name[word])
    for _, prefix in ipairs(PREFIXES) do take(by_name[prefix .. word]) end
  end
  for _, class in ipairs(docs.CLASSES) do take(by_name[class[1] .. ":" .. word]) end
  return first, others
end

-- The names below a prefix ("nn.", "o:"), sorted: records whose own name begins so, with no further dot.
function docs.below(prefix)
  load_all()
  local out = {}
  for _, e in ipairs(list) do
    if e.name:sub(1, #prefix) == prefix and not e.name:find("[%.:]", #prefix + 1) then out[#out + 1] = e end
  end
  return out
end

-- What kind of object v is: the prefix of its methods ("o" for optimizers), or nil. Metatables are read raw, and nothing is called.
local BY_NAME = { ["mascon.tensor"] = "x", ["mascon.data"] = "ds", ["mascon.loader"] = "loader", ["mascon.run"] = "run",
  ["mascon.mean"] = "meter",
  ["mascon.history"] = "history", ["mascon.fit"] = "fit", ["mascon.sweep"] = "sweep", ["mascon.progress"] = "bar",
  ["mascon.early_stopping"] = "stop", ["mascon.model_checkpoint"] = "keep", ["mascon.distribution"] = "dist", ["mascon.transform"] = "t",
  ["mascon.sampler"] = "sampler", ["mascon.tensorboard"] = "board", ["mascon.scope"] = "scope", ["mascon.step"] = "step",
  ["optim.ema"] = "average", ["optim.averaged_model"] = "average", ["ml.kneighbors_graph"] = "graph" }

function docs.class_of(v)
  local meta = debug.getmetatable(v)
  if type(meta) ~= "table" or type(v) ~= "table" and type(v) ~= "userdata" then return nil end
  local name = rawget(meta, "__name")
  if rawget(meta, "is_module") == true then return "m" end
  if rawget(meta, "kind") == "handle" then return "handle" end
  if type(name) ~= "string" then return nil end
  if BY_NAME[name] then return BY_NAME[name] end
  if name:find "^mascon%.meter%." then return "meter" end
  if name:find "^lr_scheduler%." then return "lr" end
  if name:find "^optim%." then return "o" end
  if name:find "^ml%." then return "estimator" end
end

return docs
