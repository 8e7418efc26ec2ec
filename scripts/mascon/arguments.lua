-- arguments: what a layer is made with, by position or by name, checked. A layer says once what it takes,
--
--   local takes = arguments.list("nn.conv2d", 3, { "inputs", kinds.count }, { "outputs", kinds.count }, { "size", kinds.sizes },
--     { "stride", kinds.sizes, 1 }, ...)                     -- the first three may be given by position
--
-- and may then be made in these ways, which mean the same; whatever is not understood is an error:
--
--   conv2d(1, 8, 3)      conv2d(1, 8, 3, { stride = 2 })      conv2d { 1, 8, 3, stride = 2 }      conv2d { inputs = 1, outputs = 8, ... }
local options = require "mascon.options"
local text = require "mascon.text"
local arguments = {}

-- ---- kinds: functions from a value to what is kept; nil and words for what was expected ------------------------------------------------

local kinds = {}
arguments.kinds = kinds

local function whole(v, least)
  local n = type(v) == "number" and math.tointeger(v)
  return n and n >= least and n or nil
end

function kinds.count(v) return whole(v, 1), "a whole number from 1 on" end
function kinds.number(v) return type(v) == "number" and v == v and math.abs(v) < math.huge and v or nil, "a finite number" end
function kinds.positive(v) return type(v) == "number" and v >= 0 and v < math.huge and v or nil, "a finite number from 0 on" end
function kinds.probability(v) return type(v) == "number" and v >= 0 and v <= 1 and v or nil, "0 <= p <= 1" end
function kinds.dimension(v)
  local n = type(v) == "number" and math.tointeger(v)
  return n and n ~= 0 and n or nil, "a dimension from 1 on, or from the end: -1, -2, ..."
end
-- false stands for itself: a kind gives its value second where the value may be false.
function kinds.boolean(v)
  if type(v) == "boolean" then return true, nil, v end
  return nil, "true or false"
end
local function pair(least, words)
  return function(v)
    if type(v) ~= "table" then return whole(v, least), words end
    local h, w = whole(v[1], least), whole(v[2], least)
    for k in pairs(v) do
      if k ~= 1 and k ~= 2 then h = nil end
    end
    return h and w and { h, w } or nil, words
  end
end
kinds.sizes = pair(1, "a whole number from 1 on or { height, width }")
kinds.margins = pair(0, "a whole number from 0 on or { height, width }")
function kinds.margin(v) return whole(v, 0), "a whole number from 0 on" end
-- How many windows; -1: as many as the image has rows or columns.
local counts_or_same = pair(-1, "a whole number from 1 on, -1 (as many as there are) or { height, width } of such")
function kinds.counts_or_same(v)
  local kept, words = counts_or_same(v)
  local h, w = kept, kept
  if type(kept) == "table" then h, w = kept[1], kept[2] end
  return h ~= 0 and w ~= 0 and kept or nil, words
end
-- By how much: numbers above 0.
function kinds.factors(v)
  local words = "a number above 0 or { height, width } of such"
  local function one(n) return type(n) == "number" and n > 0 and n < math.huge and n or nil end
  if type(v) ~= "table" then return one(v), words end
  return #v <= 2 and one(v[1]) and one(v[#v]) and { table.unpack(v) } or nil, words
end
function kinds.one_of(...)
  local list = { ... }
  local words = "'" .. table.concat(list, "', '", 1, #list - 1) .. "' or '" .. list[#list] .. "'"
  return function(v)
    for _, name in ipairs(list) do
      if v == name then return v end
    end
    return nil, words, nil, type(v) == "string" and text.hint(v, list) or nil
  end
end

local function shown(v)
  if type(v) == "string" then return "'" .. v .. "'" end
  if type(v) == "number" or type(v) == "boolean" or v == nil then return tostring(v) end
  if type(v) ~= "table" or debug.getmetatable(v) then return options.told(v) end
  local parts = {}
  for i = 1, math.min(#v, 8) do parts[i] = type(v[i]) == "table" and "{...}" or tostring(v[i]) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end
arguments.shown = shown

-- ---- lists ------------------------------------------------------------------------------------------------------------------------

local List = {}
List.__index = List

-- what: for messages; positional: how many may be given by position. An argument { name, kind, default } without a default must be given,
-- unless it is { name, kind, optional = true }.
function arguments.list(what, positional, ...)
  local self = setmetatable({ what = what, positional = positional, ... }, List)
  self.by_name, self.names = {}, {}
  for i, a in ipairs(self) do self.by_name[a[1]], self.names[i] = a, a[1] end
  return self
end

-- The value that is kept for argument `name`, or an error.
function List:check(name, v)
  local kept, words, value, hint = self.by_name[name][2](v)
  if kept == nil then options.raise("%s: %s: expected %s, got %s%s", self.what, name, words, shown(v), hint or "") end
  if value ~= nil then return value end
  return kept
end

-- Is t a table of options? Those have names; a list is a value (a pair of sizes).
local function has_names(t)
  if type(t) ~= "table" or debug.getmetatable(t) then return false end
  for k in pairs(t) do
    if type(k) == "string" then return true end
  end
  return next(t) == nil
end

-- PyTorch's names for what is called otherwise here: they may be written, too.
local pytorch = { in_features = "inputs", out_features = "outputs", in_channels = "inputs", out_channels = "outputs", kernel_size = "size",
  scale_factor = "factor", num_features = "channels", num_embeddings = "count", embedding_dim = "width", track_running_stats = "track",
  in1_features = "inputs1", in2_features = "inputs2", start_dim = "start", end_dim = "stop", a = "low", b = "high", val = "value" }

-- The arguments by name, defaults filled in.
function List:read(...)
  local given, n = { ... }, select("#", ...)
  local out, by_name = {}, {}
  local first = self[1] and given[1]
  local whole_table = n == 1 and type(first) == "table" and not debug.getmetatable(first)
    and (has_names(first) or self[1][2](first) == nil)
  if whole_table then
    given, by_name, n = {}, first, 0
    for k, v in pairs(first) do
      if math.type(k) == "integer" and k >= 1 then given[k], n = v, math.max(n, k) end
    end
  elseif n > 0 and has_names(given[n]) then
    by_name, given[n], n = given[n], nil, n - 1
  end
  if n > self.positional then
    local most = self.positional == 0 and "no arguments by position" or ("at most %d by position (%s)"):format(self.positional,
      table.concat(self.names, ", ", 1, self.positional))
    options.raise("%s: expected %s, got %d%s", self.what, most, n, #self > self.positional and "; options go in a table by name" or "")
  end
  for i = 1, n do out[self[i][1]] = given[i] end
  for k, v in pairs(by_name) do
    if type(k) == "string" then
      local name = self.by_name[k] and k or pytorch[k]
      if not self.by_name[name] then
        options.raise("%s: unknown option '%s'%s", self.what, k, options.hint(k, self.by_name))
      end
      if out[name] ~= nil then options.raise("%s: %s is given twice", self.what, name) end
      out[name] = v
    elseif not whole_table or math.type(k) ~= "integer" or k < 1 then
      options.raise("%s: entry [%s] among the options: expected names", self.what, tostring(k))
    end
  end
  for _, a in ipairs(self) do
    local name = a[1]
    if out[name] ~= nil then out[name] = self:check(name, out[name])
    elseif a[3] ~= nil then out[name] = a[3]
    elseif not a.optional then options.raise("%s: argument %s is missing", self.what, name) end
  end
  return out
end

-- How the values (name -> value) read in a print of the model: those by position, then by name what is not the default.
function List:describe(values)
  local parts = {}
  local function word(v) return type(v) == "table" and table.concat(v, " x ") or type(v) == "number" and ("%g"):format(v) or tostring(v) end
  for i, a in ipairs(self) do
    local v = values[a[1]]
    if v == nil and a[3] == true then v = false end -- `bias`, which became a parameter or nothing
    if type(v) == "userdata" then v = a[3] end
    if v ~= nil and i <= self.positional then
      parts[#parts + 1] = word(v)
    elseif v ~= nil and word(v) ~= (a[3] ~= nil and word(a[3]) or "") then
      parts[#parts + 1] = ("%s = %s"):format(a[1], word(v))
    end
  end
  return table.concat(parts, ", ")
end

return arguments
