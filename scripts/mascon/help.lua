-- help: ms.help(name) and ?name at the prompt. What is public has a record (docs.lua); what is alive is described: a model by its layers, a
-- function by its arguments and where it was written, a table by what it holds.
local ms = require "mascon"
local docs = require "mascon.docs"
local inspect = require "mascon.inspect"
local term = require "mascon.term"
local text = require "mascon.text"
local help = {}

-- ---- lines ---------------------------------------------------------------------------------------------------------------------------

local function width() return math.max(40, math.min(term.columns() or 100, 110)) end

-- One paragraph as lines of at most `most` columns, each behind `indent`; lines that go on are indented by `more` besides.
local function wrap(s, indent, more, most)
  local out, line = {}, indent
  for word in s:gmatch "%S+" do
    if #line > #indent and utf8.len(line) and utf8.len(line) + 1 + #word > most then
      out[#out + 1] = line
      line = indent .. more .. word
    else
      line = line:find "%S" and line .. " " .. word or line .. word
    end
  end
  out[#out + 1] = line
  return table.concat(out, "\n")
end

local function paragraph(s, indent, more) return wrap(s, indent, more or "", width()) end

-- What a record says in one line: what it gives, where that is said in words, else its first sentence.
local function brief(e)
  local told = e.signature:match "[%)}]%s*:%s+(.*)$" or (e.kind == "value" or e.kind == "module") and e.signature
  local gives = e.signature:match "%-> ?(.*)$"
  if not told and gives and (e.text == "" or gives:find "^the %w+ " or gives:find "^an? %w+ " or gives:find "^where ") then told = gives end
  local s = told or e.text:gsub("%s+", " ")
  local from = 1
  while true do -- neither "N x C x ..." nor "et al." ends a sentence
    local at, after = s:find("[%.;]%f[ \0]", from)
    if not at then return s end
    local word = s:sub(1, at):match "%S*$"
    if word ~= "al." and not word:find "%.%.$" then return s:sub(1, at - 1) end
    from = after + 1
  end
end

-- "name  what it is", one line each, in columns.
local function index(list, name_of)
  local names, widest, out = {}, 0, {}
  for i, e in ipairs(list) do
    names[i] = name_of and name_of(e) or e.name
    widest = math.max(widest, #names[i])
  end
  widest = math.min(widest, 34)
  for i, e in ipairs(list) do
    local line = ("  %-" .. widest .. "s  %s"):format(names[i], brief(e))
    local most = width()
    if utf8.len(line) and utf8.len(line) > most then line = line:sub(1, utf8.offset(line, most - 2) - 1) .. "..." end
    out[i] = line
  end
  return table.concat(out, "\n")
end

-- Names in lines, as many to a line as fit.
local function names_text(names, indent) return paragraph(table.concat(names, " "), indent or "  ") end

-- ---- a record ------------------------------------------------------------------------------------------------------------------------

local function argument_lines(e)
  local out = {}
  for _, a in ipairs(e.args) do
    local kind = a.words or docs.KINDS[a.kind] or "?"
    local default = a.default == "none" and ", may be left out" or a.default == "all" and ", all if left out"
      or a.default and ", default " .. a.default or ""
    out[#out + 1] = ("  %-14s %s%s"):format(a.name, kind, default)
  end
  return table.concat(out, "\n")
end

local function row_notes(e)
  local r, out = e.row, {}
  if r.elementwise then
    out[1] = ("element by element; operands are broadcast%s"):format(rawget(ms.methods, r.name .. "_")
      and (", in place: x:%s_(...)"):format(r.name) or "")
  end
  out[#out + 1] = r.mutates and "changes its argument in place; no gradient" or r.no_grad and "its result carries no gradient"
    or r.create and "on the device in { device = ... }" or r.view and "a view: shares memory with x" or nil
  return #out > 0 and paragraph(table.concat(out, "; "), "  ") or nil
end

-- Other names that are not plain variants of its own.
local function also_called(e)
  local own, out, seen = e.name:match "[%w_]+$", {}, {}
  for _, name in ipairs(e.also) do
    local word = name:match "[%w_]+$"
    if word ~= own and word ~= own .. "_" and not word:find "_$" and not seen[word] then
      seen[word] = true
      out[#out + 1] = name:match "^nn%." and name or word
    end
  end
  return out
end

-- "lr = 1e-3" is not broken between two lines.
local function signature_text(s) return (paragraph(s:gsub(" = ", "\1=\1"), "", "    "):gsub("\1", " ")) end

local function record(e)
  local word = e.name:gsub("^ms%.", ""):gsub("%p", "%%%0")
  local named = e.signature:gsub("^ms%.", ""):find("^" .. word .. "%s*[%({]") or e.name:find ":" or e.kind == "operation"
  local out = { signature_text((named and "" or e.name .. ": ") .. e.signature) }
  if e.method then out[#out + 1] = signature_text(e.method) end
  if e.text ~= "" then out[#out + 1] = paragraph(e.text, "  ") end
  if e.args and #e.args > 0 then out[#out + 1] = argument_lines(e) end
  local notes = e.kind == "operation" and row_notes(e)
  if notes then out[#out + 1] = notes end
  local also = also_called(e)
  if #also > 0 then out[#out + 1] = paragraph("also called " .. table.concat(also, ", "), "  ") end
  if e.example ~= "" then out[#out + 1] = "  > " .. e.example:gsub("\n", "\n  > ") end
  return table.concat(out, "\n")
end

-- The names in a room, or the methods of a kind of object, one line each; nil where there are none.
local function contents(e)
  if e.name == "ms" then return nil end
  local list = docs.below(e.name .. (e.kind == "module" and "." or ":"))
  local fields = e.kind ~= "module" and docs.below(e.name .. ".") or {}
  if #fields > 0 then table.move(list, 1, #list, #fields + 1, fields) else fields = list end
  if #fields == 0 then return nil end
  return index(fields, function(f) return f.name:sub(#e.name + (e.kind == "module" and 2 or 1)) end)
end

local function of_entry(e, others)
  local out = { record(e) }
  local inside = contents(e)
  if inside then out[#out + 1] = inside end
  if others and #others > 0 then
    local names = {}
    for i, o in ipairs(others) do names[i] = "?" .. o.name .. (docs.exact("ms." .. o.name) and ":" or "") end
    out[#out + 1] = paragraph("see also " .. table.concat(names, " "), "  ")
  end
  return table.concat(out, "\n")
end

-- ---- what is alive -------------------------------------------------------------------------------------------------------------------

local by_value, of_keys -- function or class of the library -> its record, as far as ms had that many fields: parts come in when first used

local function values_of_records()
  local keys = 0
  for _ in next, ms do keys = keys + 1 end
  if keys == of_keys then return by_value end
  by_value, of_keys = {}, keys
  for _, e in ipairs(docs.all()) do
    local v = ms
    for part in e.name:gsub("^ms%.", ""):gmatch "[^%.]+" do
      v = type(v) == "table" and not e.name:find ":" and rawget(v, part) or nil
    end
    if (type(v) == "function" or type(v) == "table") and not by_value[v] then by_value[v] = e end
  end
  by_value[ms] = docs.exact "ms"
  return by_value
end

-- The record of a function, class or room of the library itself, or nil.
function help.record_of(v)
  if type(v) ~= "function" and type(v) ~= "table" then return nil end
  return values_of_records()[v]
end

-- Names of the methods that the classes of a module define, most derived first, down to nn.module: its own words.
local function own_methods(v)
  local out, seen, at = {}, {}, rawget(debug.getmetatable(v), "__index")
  for _ = 1, 100 do
    if type(at) ~= "table" or rawequal(at, ms.nn.module) then break end
    for k, f in next, at do
      if type(k) == "string" and type(f) == "function" and not k:find "^_" and not seen[k] and not docs.exact("m:" .. k) then
        seen[k] = true
        out[#out + 1] = k
      end
    end
    local meta = debug.getmetatable(at)
    at = type(meta) == "table" and rawget(meta, "__index") or nil
  end
  table.sort(out)
  return out
end

local function methods_of(class)
  local names = {}
  for _, e in ipairs(docs.below(class .. ":")) do names[#names + 1] = ":" .. e.name:match "[%w_]+$" end
  return names
end

local function title_of(class)
  for _, c in ipairs(docs.CLASSES) do
    if c[1] == class then return c[2] end
  end
end

-- help.describe(value [, name]) -> text: what a value is, then what can be done with it.
function help.describe(v, name)
  local e = help.record_of(v)
  if e then return of_entry(e) end
  local head, class = name and name .. ": " or "", docs.class_of(v)
  local shown = inspect.text(v)
  if not class then
    if type(v) == "function" then return head .. inspect.signature(v) end
    local kind = type(v)
    if kind == "table" and next(v) == nil and not debug.getmetatable(v) then return head .. "an empty table" end
    return ("%s%s%s%s"):format(head, kind == "number" and math.type(v) or kind, shown:find "\n" and "\n" or "  ", shown)
  end
  local out = { head .. title_of(class) .. (shown:find "\n" and "\n" or "  ") .. shown }
  if class == "m" then
    local own = own_methods(v)
    for i, k in ipairs(own) do own[i] = ":" .. k end
    if #own > 0 then out[#out + 1] = "its class has\n" .. names_text(own) end
    local list = nil
    for _, kind in ipairs { "list", "dict" } do
      local first = docs.below(kind .. ":")[1]
      local word = first and first.name:match "[%w_]+$"
      if word and inspect.raw_field(v, word) then list = kind end
    end
    if list then out[#out + 1] = "of its kind (?" .. list .. ")\n" .. names_text(methods_of(list)) end
  end
  local words = methods_of(class)
  if class == "estimator" then
    local own = {}
    for _, word in ipairs(words) do
      if inspect.raw_field(v, word:sub(2)) then own[#own + 1] = word end
    end
    words = own
  end
  if class == "x" then
    out[#out + 1] = paragraph("methods: every operation (?operations), and these (?x)", "") .. "\n" .. names_text(words)
  else
    out[#out + 1] = ("methods (?%s, ?%s:NAME)\n"):format(class, class) .. names_text(words)
  end
  return table.concat(out, "\n")
end

-- ---- asking --------------------------------------------------------------------------------------------------------------------------

local function operations()
  local list = {}
  for _, r in ipairs(ms.ops()) do list[#list + 1] = not r.private and r.name or nil end
  table.sort(list)
  return list
end

local function overview()
  local lines = {
    "?NAME explains one: ?softmax ?nn.linear ?optim.adam ?x:item, and a variable of yours: ?model",
    ("operations: %d, such as matmul conv2d softmax, as ms.softmax(x) or x:softmax(); ?operations lists them"):format(#operations()),
    "rooms: ?nn ?optim ?optim.lr_scheduler ?ml ?data ?transforms ?plot ?image ?checkpoint ?meter ?args ?json",
    "objects: ?x a tensor, ?m a module, ?o an optimizer, ?ds a data set, ?loader, ?run, ...",
    "more: ?ms.tensor ?ms.grad ?ms.no_grad ?ms.compile ?ms.fit ?ms.sweep ?ms.run ?ms.save ?ms.load ?ms.seed; ?functions lists those of ms",
    "??word searches names and texts" }
  for i, line in ipairs(lines) do lines[i] = paragraph(line, "", "  ") end
  return table.concat(lines, "\n")
end

-- ??word: the records whose name, or else whose text, has the words; names first.
local function search(words)
  local named, told = {}, {}
  local list = {}
  for word in words:lower():gmatch "%S+" do list[#list + 1] = word end
  if #list == 0 then return "??WORD searches names and texts; ??learning rate: both words" end
  for _, e in ipairs(docs.entries()) do
    local name = (e.name .. " " .. table.concat(e.also, " ")):lower()
    local all = name .. " " .. e.signature:lower() .. " " .. e.text:lower()
    local in_name, in_all = true, true
    for _, word in ipairs(list) do
      in_name = in_name and name:find(word, 1, true) ~= nil
      in_all = in_all and all:find(word, 1, true) ~= nil
    end
    if in_name then named[#named + 1] = e elseif in_all then told[#told + 1] = e end
  end
  if #named + #told == 0 then return ("nothing has the words '%s'"):format(text.visible(words)) end
  table.move(told, 1, #told, #named + 1, named)
  local hidden = #named - 40
  for i = #named, 41, -1 do named[i] = nil end
  return index(named) .. (hidden > 0 and ("\n  ... %d more; another word narrows it"):format(hidden) or "")
end

local function nearest(name)
  local all = {}
  local word = name:match "[%w_]+$" or name
  for _, e in ipairs(docs.entries()) do
    all[#all + 1] = e.name:match "[%w_]+$"
    for _, other in ipairs(e.also) do all[#all + 1] = other:match "[%w_]+$" end
  end
  local near = text.nearest(word, all)
  return ("nothing is known of '%s'%s; ??%s searches"):format(text.visible(name), near and ("; did you mean ?%s?"):format(near) or "",
    text.visible(word))
end

-- help.about(name) -> text: what ?name shows for a name of the library; nil where there is no such name.
function help.about(name)
  if name == "operations" then return names_text(operations(), "") end
  if name == "functions" then return index(docs.below "ms.") end
  local e, others = docs.find(name)
  if e and e.kind == "module" and others then others = {} end
  return e and of_entry(e, others) or nil
end

-- ms.help([what]) -> text. what: a name ("softmax", "nn.linear", "operations", "?word" to search), a value, or nothing for an overview.
function help.ask(what, ...)
  if select("#", ...) > 0 then error("help: expected one name or value", 2) end
  if what == nil or what == "" then return overview() end
  if type(what) ~= "string" then return help.describe(what) end
  if what:find "^%?" then return search(what:sub(2)) end
  return help.about(what) or nearest(what)
end

-- What ?line shows at the prompt, of which `line` is what stands behind the first ?. value(path) -> found?, value: the user's own variable.
-- What lives is described first; Lua's own functions only where the library has nothing of that name.
function help.typed(line, value)
  line = line:match "^%s*(.-)%s*$"
  if line == "" or line:find "^%?" then return help.ask(line) end
  local path = line:match "^[%a_][%w_]*[%.:%w_%[%]]*$"
  local found, v = false, nil
  if path then found, v = value(path) end
  local member = path and help.member(path, value)
  if member then return member end
  local own = found and type(v) == "function" and inspect.builtin(v)
  local told = docs.find((line:gsub("%(.*$", "")))
  if found and not own then
    local e = help.record_of(v)
    if e then return of_entry(e, select(2, docs.find(line))) end
    local too = told and not path:find "[%.:]" and told.name ~= path and ("\nsee also ?%s"):format(told.name) or ""
    return help.describe(v, path) .. too
  end
  if own and not (told and told.kind ~= "method") then return ("%s: %s"):format(path, inspect.signature(v)) end
  local answer = help.about((line:gsub("%(.*$", "")))
  if answer then return answer .. (own and ("\n  %s alone is Lua's own function"):format(path) or "") end
  if line:find "^[%w_%.:]+$" then return nearest(line) end
  return ("expected a name, as ?softmax, ?nn.linear, ?model; got %s"):format(text.show(line))
end

-- ?model.parameters, ?opt:step: the method of a live value, or nil.
function help.member(path, value)
  local owner, name = path:match "^(.-)[%.:]([%a_][%w_]*)$"
  if not owner then return nil end
  local found, v = value(owner)
  local class = found and docs.class_of(v)
  if not class then return nil end
  for _, prefix in ipairs(class == "m" and { "list", "dict", "m" } or { class }) do
    local e = docs.exact(prefix .. ":" .. name) or docs.exact(prefix .. "." .. name)
    if e and (prefix == class or inspect.raw_field(v, name)) then return of_entry(e) end
  end
  local f = inspect.raw_field(v, name)
  return f ~= nil and help.describe(f, path) or nil
end

return help
