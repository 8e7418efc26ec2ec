-- stubs: the API for editors, in LuaCATS (lua-language-server): signatures, kinds of arguments, names of options, texts. It is Lua that
-- defines every public name and does nothing, so that a test can load it and look.
local records = require "pages.records"

local HEAD = [[
---@meta mascon
-- Made by `make docs` of what ?NAME says. Not to be run, and not to be edited.

---@class mascon.shape: integer[]
---@alias mascon.dtype "f32" | "f64" | "bf16" | "f16" | "i64" | "i32" | "u8" | "bool"

---@class mascon.tensor
---@field shape mascon.shape
---@field dtype mascon.dtype
---@field device string
---@field grad mascon.tensor?
---@field requires_grad boolean
---@operator add(mascon.tensor|number): mascon.tensor
---@operator sub(mascon.tensor|number): mascon.tensor
---@operator mul(mascon.tensor|number): mascon.tensor
---@operator div(mascon.tensor|number): mascon.tensor
---@operator idiv(mascon.tensor|number): mascon.tensor
---@operator mod(mascon.tensor|number): mascon.tensor
---@operator pow(mascon.tensor|number): mascon.tensor
---@operator unm: mascon.tensor
---@operator len: integer
---@field [integer|table|mascon.tensor] mascon.tensor
local x = {}

---@class mascon.module
---@field training boolean
---@overload fun(...): any
local m = {}
]]

local CLASS = { x = "mascon.tensor", m = "mascon.module" }
local function class_name(prefix) return CLASS[prefix] or "mascon." .. prefix end

-- A kind of argument of an operation's row as a type.
local TYPES = {
  [0] = "mascon.tensor", "mascon.tensor", "mascon.tensor|number", "mascon.tensor[]", "mascon.tensor", "mascon.tensor|integer[]",
  "mascon.tensor|integer[]", "integer", "integer", "integer", "integer|integer[]", "integer", "integer[]", "integer|integer[]", "boolean",
  "number", "mascon.dtype", "string", "number|number[]",
}

-- What "-> tensor" says as types; anything else is any.
local GIVES = { tensor = "mascon.tensor", module = "mascon.module", number = "number", text = "string", ["true or false"] = "boolean",
  list = "table", class = "table", run = "mascon.run", loader = "mascon.loader", scope = "mascon.scope", step = "mascon.step",
  board = "mascon.board", ["u8 tensor C x H x W"] = "mascon.tensor", optimizer = "mascon.o", schedule = "mascon.lr", transform = "mascon.t",
  estimator = "mascon.estimator", ["data set"] = "mascon.ds", history = "mascon.history" }
local function type_of_result(e)
  if e.kind == "operation" then return "mascon.tensor" end
  local gives = records.gives(e)
  return gives and (GIVES[gives] or GIVES[gives:match "^%a+$" or ""]) or "any"
end

local KEYWORDS = {}
local words = "and break do else elseif end false for function goto if in local nil not or repeat return then true until while"
for word in words:gmatch "%a+" do KEYWORDS[word] = true end

local function comment(add, s)
  for line in (s .. "\n"):gmatch "([^\n]*)\n" do add("--- " .. line) end
end

-- One record, under the name that it has as Lua ("ms.nn.linear", "x:item").
local function entry(add, e, as, methods)
  local parameters = records.parameters(e)
  add ""
  comment(add, "`" .. records.heading(e) .. "`")
  add "---"
  if e.text ~= "" then comment(add, e.text) end
  if e.example and e.example ~= "" then
    add "---"
    add "--- ```lua"
    comment(add, e.example)
    add "--- ```"
  end
  if not parameters and e.kind ~= "operation" then
    add(("---@type any\n%s = {}"):format(as))
    return
  end
  local names = {}
  local kinds = {}
  for _, a in ipairs(e.args or {}) do kinds[a.name] = a end
  for i, p in ipairs(parameters or {}) do
    local skip = methods and e.kind == "operation" and i == 1
    local name = KEYWORDS[p.name] and p.name .. "_" or p.name
    local kind = kinds[p.name]
    local t = kind and TYPES[kind.kind] or "any"
    if p.fields and #p.fields > 0 then
      local parts = {}
      for _, f in ipairs(p.fields) do
        local field = kinds[f.name]
        parts[#parts + 1] = ("%s?: %s"):format(f.name, field and TYPES[field.kind] or "any")
      end
      t = "{ [any]: any, " .. table.concat(parts, ", ") .. " }"
      local first = kinds[p.fields[1].name] -- an operation takes what is optional by position, too: x:max(2)
      if first then t = t .. "|" .. TYPES[first.kind] end
    elseif p.name == "list" then
      t = "table"
    end
    if not skip then
      add(("---@param %s%s %s"):format(name, p.optional and name ~= "..." and "?" or "", t))
      names[#names + 1] = name
    end
  end
  if e.kind == "operation" then -- a device, a dtype: what all of them may take behind their arguments
    if names[#names] ~= "options" then
      add "---@param options? any"
      names[#names + 1] = "options"
    end
    add "---@param ... any"
    names[#names + 1] = "..."
    for _ in (e.text:match "^([%a, ]+):" or ""):gmatch "," do add "---@return mascon.tensor" end -- "values, positions: ..."
  end
  add("---@return " .. type_of_result(e) .. (e.kind == "operation" and "" or " ..."))
  if e.kind == "operation" and not methods then add "---@nodiscard" end
  add(("function %s(%s) end"):format(as, table.concat(names, ", ")))
end

-- The whole file, as text.
return function()
  local out, rooms = { HEAD }, {}
  local function add(s) out[#out + 1] = s end
  for _, class in ipairs(records.CLASSES) do
    if class[1] ~= "x" and class[1] ~= "m" then
      add(("---@class %s\n-- %s\nlocal %s = {}\n"):format(class_name(class[1]), class[2], class[1]))
    end
  end
  add "---@class mascon\nlocal ms = {}"
  for _, room in ipairs(records.ROOMS) do
    if room ~= "ms" then
      rooms[room] = true
      add(("---@class mascon.%s\n---@overload fun(...): any\nms.%s = {}"):format(room, room))
    end
  end
  local made = {}
  local function one(e, name)
    local prefix, word = name:match "^(%a+):([%w_]+)$"
    local as = prefix and name or name == "ms" and "ms" or "ms." .. name:gsub("^ms%.", "")
    if as == "ms" or rooms[as:sub(4)] or made[as] then return end
    made[as] = true
    if KEYWORDS[word or as:match "[%w_]+$"] then return end
    entry(add, e, as, prefix ~= nil)
  end
  for _, e in ipairs(records.entries()) do
    one(e, e.name)
    for _, other in ipairs(e.also or {}) do one(e, other) end
  end
  add "\nms.methods = x"
  add "return ms"
  return table.concat(out, "\n") .. "\n"
end
