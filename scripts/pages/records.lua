-- records: what ?NAME knows (mascon.docs), sorted for pages: which page each record is on, its parameters, what it gives.
local docs = require "mascon.docs"
local records = {}

-- The pages of the reference: file, title, what it is about, the rooms and classes of objects whose records are on it.
records.PAGES = {
  { "ms", "ms", "the library: what stands in it directly", rooms = { "ms" },
    classes = { "run", "board", "fit", "history", "sweep", "bar", "stop", "keep", "step", "scope" } },
  { "operations", "operations", "operations on tensors, as functions and as methods", rooms = {}, classes = {} },
  { "tensor", "tensors", "methods of tensors that are no operations", rooms = {}, classes = { "x" } },
  { "nn", "nn", "layers, losses, modules", rooms = { "nn", "nn.init" }, classes = { "m", "list", "dict", "handle" } },
  { "optim", "optim", "optimizers and schedules", rooms = { "optim", "optim.lr_scheduler" }, classes = { "o", "lr", "average" } },
  { "data", "data", "data sets, files, loaders", rooms = { "data" }, classes = { "ds", "loader", "sampler" } },
  { "transforms", "transforms", "what is done to batches of images", rooms = { "transforms" }, classes = { "t" } },
  { "ml", "ml", "classical learning", rooms = { "ml" }, classes = { "estimator", "dist", "graph" } },
  { "plot", "plot", "figures", rooms = { "plot" }, classes = {} },
  { "image", "image", "pictures", rooms = { "image" }, classes = {} },
  { "tools", "tools", "options of scripts, meters, checkpoints, JSON", rooms = { "checkpoint", "meter", "args", "json" },
    classes = { "meter" } },
}

local by_prefix
local function page_of(e)
  if e.kind == "operation" then return "operations" end
  if not by_prefix then
    by_prefix = {}
    for _, page in ipairs(records.PAGES) do
      for _, room in ipairs(page.rooms) do by_prefix[room .. "."] = page[1] end
      for _, class in ipairs(page.classes) do by_prefix[class .. ":"] = page[1] end
    end
  end
  local itself = by_prefix[e.name .. "."] or by_prefix[e.name .. ":"] -- the room or the kind of object
  if itself then return itself end
  local room = e.name:gsub("^ms%.", "") .. "."
  if by_prefix[room] then return by_prefix[room] end
  return by_prefix[e.name:match "^(.*[%.:])"] or "ms"
end

-- The page where a name would be looked for by its prefix, or nil.
function records.page_of_name(name) return by_prefix and by_prefix[name:match "^(.*[%.:])"] end

-- page -> its records: those of its rooms, then kinds of objects with their methods, each sorted.
function records.by_page()
  local pages, rank = {}, {}
  for _, page in ipairs(records.PAGES) do
    pages[page[1]] = {}
    for i, class in ipairs(page.classes) do rank[class] = i end
  end
  for _, e in ipairs(docs.entries()) do table.insert(pages[page_of(e)], e) end
  local function of(e) return rank[e.name:match "^(%a+):" or e.name] or 0 end
  for _, list in pairs(pages) do
    table.sort(list, function(a, b)
      if of(a) ~= of(b) then return of(a) < of(b) end
      return a.name < b.name
    end)
  end
  return pages
end

-- How it is written, with its name in front where that is not part of it.
function records.heading(e)
  return e.signature:find(e.name, 1, true) and e.signature or e.name .. ": " .. e.signature
end

-- ---- how a function is called, read from its signature ---------------------------------------------------------------------------

-- The fields of "{ stride = 1, padding =, device = }": a list of { name =, default = }.
local function fields_of(inner)
  local list = {}
  for name, default in inner:gmatch "([%a_][%w_]*)%s*=%s*([^,]*)" do
    list[#list + 1] = { name = name, default = default:match "^%s*(.-)%s*$" }
  end
  return list
end

-- "x, w [, b] [, { stride = 1 }]" as a list of { name =, optional =, fields = }.
local function split(inner)
  local list, depth, optional, word = {}, 0, false, ""
  local function finish()
    local s = word:match "^%s*(.-)%s*$"
    word = ""
    if s == "" then return end
    local one = { optional = optional, words = s }
    if s:find "^{" then
      one.fields = fields_of(s:sub(2, -2))
      one.name = #one.fields > 0 and "options" or "list"
    elseif s == "..." then
      one.name = "..."
    else
      local name, default = s:match "^([%a_][%w_]*)%s*(=?)"
      one.name, one.optional = name or "value", optional or default == "="
    end
    list[#list + 1] = one
  end
  for c in inner:gmatch "." do
    if c == "{" or c == "(" then depth = depth + 1 end
    if c == "}" or c == ")" then depth = depth - 1 end
    if depth == 0 and c == "," then
      finish()
    elseif depth == 0 and (c == "[" or c == "]") then
      finish()
      optional = c == "[" or optional
    else
      word = word .. c
    end
  end
  finish()
  local seen = {}
  for _, p in ipairs(list) do -- a name twice would be no Lua
    if p.name ~= "..." then
      while seen[p.name] do p.name = p.name .. "_" end
      seen[p.name] = true
    end
  end
  return list
end

-- The parameters of a record, or nil where it is no function.
function records.parameters(e)
  local last = e.name:match "[%w_]+$"
  local rest = e.signature:match(last .. "%s*(%b().*)$") or e.signature:match(last .. "%s*(%b{}.*)$")
  if not rest then return nil end
  if rest:sub(1, 1) == "{" then
    local inner = rest:match "^%b{}":sub(2, -2)
    return { { name = "options", fields = fields_of(inner), words = "{" .. inner .. "}" } }
  end
  return split(rest:match "^%b()":sub(2, -2))
end

-- What a record says that it gives: the text behind ->, or nil.
function records.gives(e) return e.signature:match "%->%s*(.-)%s*$" end

records.KINDS = docs.KINDS
records.CLASSES = docs.CLASSES
records.ROOMS = docs.ROOMS
records.entries = docs.entries
return records
