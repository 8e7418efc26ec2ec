-- from_rows: a statement from a row of ops.def: one of its sample argument lists (n, u, d, i, b: see the head of ops.def), with tensors of
-- the program, brought to the sample's shapes, in the places of its tensors.
local rows = require "rows"
local Draw = require "programs.draw"

-- Stands for a tensor of a sample.
local Place = {}
Place.__index = function(_, method) -- n(3, 2):transpose(1, 2)
  return function(self, ...)
    local arguments = {}
    for i, a in ipairs { ... } do arguments[i] = type(a) == "table" and Draw.list(a) or tostring(a) end
    return setmetatable({ of = self, suffix = (":%s(%s)"):format(method, table.concat(arguments, ", ")) }, Place)
  end
end
local function place(kind, lo, hi, ...) return setmetatable({ kind = kind, lo = lo, hi = hi, shape = { ... } }, Place) end
local function is_place(v) return getmetatable(v) == Place end

local environment = {
  math = math,
  n = function(...) return place("float", nil, nil, ...) end,
  d = function(...) return place("float", nil, nil, ...) end,
  z = function(...) return place("zeros", nil, nil, ...) end,
  u = function(lo, hi, ...) return place("float", lo, hi, ...) end,
  i = function(top, ...) return place("whole", 1, top, ...) end,
  b = function(...) return place("bool", nil, nil, ...) end,
  s = function(v) return place("number", v, v) end,
}

local usable = {}
for _, row in ipairs(rows.all) do
  if not row.elementwise and row.sample ~= "" and not row.mutates then usable[#usable + 1] = row end
end
table.sort(usable, function(a, b) return a.name < b.name end)

local function text_of(d, v)
  if is_place(v) then
    local suffix, of = rawget(v, "suffix"), rawget(v, "of")
    if suffix then return text_of(d, of) .. suffix end
    local kind, shape, lo, hi = rawget(v, "kind"), rawget(v, "shape"), rawget(v, "lo"), rawget(v, "hi")
    if kind == "float" then
      local e = d:fit(shape)
      return lo and Draw.into(e, lo, hi) or e
    elseif kind == "whole" then
      d.serial = (d.serial or 0) + 1
      if d:chance(0.3) then return d:argument(("whole(%d + call, %d, %s)"):format(d.serial, hi, Draw.list(shape))) end
      return d:make(("whole(%d, %d, %s)"):format(d.serial, hi, Draw.list(shape)))
    elseif kind == "bool" then
      return d:fit(shape) .. ":gt(0)"
    elseif kind == "zeros" then
      return ("ms.zeros(%s, { dtype = %q })"):format(Draw.list(shape), d.dtype)
    end
    return ("ms.tensor(%s, { dtype = %q })"):format(lo, "f64")
  elseif type(v) == "table" then
    local parts, keys = {}, {}
    for i, x in ipairs(v) do parts[i] = text_of(d, x) end
    for k in pairs(v) do
      if type(k) == "string" then keys[#keys + 1] = k end
    end
    table.sort(keys)
    for _, k in ipairs(keys) do parts[#parts + 1] = k .. " = " .. text_of(d, v[k]) end
    return "{ " .. table.concat(parts, ", ") .. " }"
  elseif type(v) == "string" then
    return ("%q"):format(v)
  end
  return tostring(v)
end

local samples = {}
local function samples_of(row)
  if not samples[row.name] then
    samples[row.name] = assert(load("return {" .. row.sample .. "}", "=sample of " .. row.name, "t", environment))()
  end
  return samples[row.name]
end

local function from_row(d, row)
  local sample = d:pick(samples_of(row))
  local parts = {}
  for i, v in ipairs(sample) do
    local t = text_of(d, v)
    if not t then return end
    if type(v) == "number" and row.create and #d.numbers > 0 and d:chance(0.5) then t = d:pick(d.numbers) end
    parts[i] = t
  end
  if row.create and not row.signature:find "i64" and type(sample[#sample]) ~= "table" and row.signature:find("dtype", 1, true) then
    parts[#parts + 1] = ("{ dtype = %q }"):format(d.dtype)
  end
  local e = ("%s.%s(%s)"):format(row.private and "inside" or "ms", row.name, table.concat(parts, ", "))
  if d:chance(0.15) then -- all its results
    local first, second = d:name "v", d:name "w"
    return d:add { zone = "body", define = { first, second }, text = ("%s, %s = %s"):format(first, second, e) }
  end
  return d:body("(" .. e .. ")")
end

local from_rows = { usable = usable }
local random = {}
for _, row in ipairs(usable) do
  if row.random then random[row.name] = true end
end

function from_rows.any(d)
  local row = d:pick(usable)
  if random[row.name] and not d.may_draw then return end
  return from_row(d, row)
end

-- Those of some names only.
function from_rows.of(names)
  return function(d)
    local row = rows.by_name[d:pick(names)]
    return row and from_row(d, row)
  end
end

return from_rows
