-- missing: which of PyTorch's names mascon has. The names are kept in tests/data/parity/torch_names.txt; why one is not there, or
-- which name it has here, is written in tests/peers/missing_reasons.txt. tests/peers/make_missing.lua makes MISSING.md of both, and
-- tests/lua/test_missing.lua looks whether every name is accounted for and whether MISSING.md is up to date.
local ms = require "mascon"
local missing = {}

local NAMES, REASONS = "tests/data/parity/torch_names.txt", "tests/peers/missing_reasons.txt"
missing.file = "tests/peers/MISSING.md"
-- What stands above this line of the file is written by hand: arguments and the like. The names below it are made.
missing.mark = "<!-- from here on: build/mascon tests/peers/make_missing.lua -->\n"

-- The names that t has: keys, methods, and what its metatable's __dir lists. (Asking for one that is not there makes a hint.)
local sets = {}
local function names_of(t)
  if not sets[t] then
    local set, meta = {}, debug.getmetatable(t)
    for key in next, type(t) == "table" and t or ms.methods do set[key] = true end
    for _, key in ipairs(meta and meta.__dir and meta.__dir(t) or {}) do set[key] = true end
    sets[t] = set
  end
  return sets[t]
end
local function get(t, key) return names_of(t)[key] == true end

local letters = {} -- table -> its keys without underscores
local function has_letters(t, name)
  if not letters[t] then
    letters[t] = {}
    for k in next, t do letters[t][tostring(k):gsub("_", ""):lower()] = true end
  end
  return letters[t][name:gsub("_", ""):lower()] == true
end

local x = ms.zeros { 1 }
local homes = {
  nn = function(name) return has_letters(ms.nn, name) end,
  optim = function(name) return has_letters(ms.optim, name) end,
  lr_scheduler = function(name) return has_letters(ms.optim.lr_scheduler, name) end,
  init = function(name) return get(ms.nn.init, name) end,
  utils = function(name) return get(ms.nn, name) or get(ms.optim, name) or get(ms, name) end,
}

-- Does mascon have a function of PyTorch by the same name (a class by the same letters)?
function missing.is_ours(name)
  local home, own = name:match "^(%a[%w_]*)%.(.+)$"
  if homes[home] then return homes[home](own) end
  own = own or name
  return get(ms, own) or get(x, own) or get(ms.nn, own)
end

-- Does a path like ms.nn.linear, x:view or x.shape exist?
local function exists(path)
  local first, rest = path:match "^([%a_]+)[.:](.+)$"
  local v = first == "ms" and ms or first == "x" and x
  if not v then return false end
  for part in rest:gmatch "[%w_]+" do
    if type(v) ~= "table" and v ~= x or not get(v, part) then return false end
    v = v[part]
  end
  return true
end

-- All names of PyTorch, in the file's order.
function missing.names()
  local list = {}
  for line in io.lines(NAMES) do
    if not line:find "^#" then list[#list + 1] = line end
  end
  return list
end

-- The file of reasons: "## TITLE" and a line with the reason begin a section of names that are missing (a * stands for any letters);
-- "= NAME what to write here" is a name that mascon says otherwise.
function missing.reasons()
  local sections, aliases, section = {}, {}, nil
  for line in io.lines(REASONS) do
    local title, alias, ours = line:match "^## (.+)$", line:match "^= (%S+)%s+(.+)$"
    if title then
      section = { title = title, patterns = {} }
      sections[#sections + 1] = section
    elseif alias then
      aliases[alias] = ours
    elseif section and line ~= "" and not line:find "^#" then
      if not section.reason then
        section.reason = line
      else
        for word in line:gmatch "%S+" do section.patterns[#section.patterns + 1] = word end
      end
    end
  end
  return sections, aliases
end

local function matches(name, pattern)
  return name == pattern or pattern:find("*", 1, true) and name:find("^" .. pattern:gsub("%p", "%%%0"):gsub("%%%*", ".*") .. "$") ~= nil
end

-- What there is to say: counts, the sections with the names that are missing, the aliases in use, and problems: names nothing is said of,
-- aliases that lead nowhere, words in the file that no name needs.
function missing.account()
  local sections, aliases = missing.reasons()
  local a = { sections = sections, aliases = {}, problems = {}, ours = 0, missing = 0, all = 0 }
  local used = {}
  for _, s in ipairs(sections) do s.names = {} end
  for _, name in ipairs(missing.names()) do
    a.all = a.all + 1
    local place
    for _, s in ipairs(sections) do
      for _, p in ipairs(s.patterns) do
        if matches(name, p) then place, used[p] = place or s, true end
      end
    end
    if aliases[name] then used[name] = true end
    if missing.is_ours(name) then
      a.ours = a.ours + 1
    elseif aliases[name] then
      a.ours = a.ours + 1
      a.aliases[#a.aliases + 1] = { name, aliases[name] }
      for path in aliases[name]:gmatch "[mx]s?[.:][%w_.]+" do
        if not exists(path) then a.problems[#a.problems + 1] = ("%s: there is no %s"):format(name, path) end
      end
    elseif place then
      a.missing = a.missing + 1
      place.names[#place.names + 1] = name
    else
      a.problems[#a.problems + 1] = ("%s: neither here nor in missing_reasons.txt"):format(name)
    end
  end
  for _, s in ipairs(sections) do
    for _, p in ipairs(s.patterns) do
      if not used[p] then a.problems[#a.problems + 1] = ("missing_reasons.txt: %s: PyTorch has no such name"):format(p) end
    end
  end
  for name in pairs(aliases) do
    if not used[name] then a.problems[#a.problems + 1] = ("missing_reasons.txt: %s: PyTorch has no such name"):format(name) end
  end
  return a
end

-- The two parts of MISSING.md as it stands.
function missing.parts()
  local file <close> = assert(io.open(missing.file))
  local whole = file:read "a"
  local at, stop = whole:find(missing.mark, 1, true)
  assert(at, missing.file .. ": the line between what is written and what is made is gone")
  return whole:sub(1, at - 1), whole:sub(stop + 1)
end

-- The part that is made.
function missing.text(a)
  local version = io.lines(NAMES)():match "PyTorch (%d[%d.]*)"
  local out = { ([[## Names

Of the %d names that PyTorch %s has for tensors, layers, losses, optimizers, schedules, initial values and derivatives (which ones:
`tests/peers/make_torch_names.py`), mascon has %d, %d of them under another name; %d are missing, for the reasons below. Names that end
in _ count with the name without it: in place there are the elementwise operations and what changes values by nature (`fill_`, `copy_`).
`build/mascon tests/peers/make_missing.lua` writes this part; the reasons are in `missing_reasons.txt`.
]]):format(a.all, version, a.ours, #a.aliases, a.missing) }
  for _, s in ipairs(a.sections) do
    if #s.names > 0 then
      out[#out + 1] = ("### %s\n\n%s\n"):format(s.title, s.reason)
      local line, lines = "", {}
      for _, name in ipairs(s.names) do
        if #line + #name > 140 then lines[#lines + 1], line = line, "" end
        line = line .. (line == "" and "`" or " `") .. name .. "`"
      end
      lines[#lines + 1] = line
      out[#out + 1] = table.concat(lines, "\n") .. "\n"
    end
  end
  out[#out + 1] = "### Under another name\n"
  for _, pair in ipairs(a.aliases) do out[#out + 1] = ("- `%s`: `%s`"):format(pair[1], pair[2]) end
  return table.concat(out, "\n") .. "\n"
end

return missing
