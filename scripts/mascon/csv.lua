-- csv: tables as text, read into tensors and lists, and written.
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local core = inside.data
local any, fail = options.any, options.raise
local csv = {}

local function delimiter_of(what, v)
  if v == nil then return nil end
  if type(v) ~= "string" or #v ~= 1 or v:find '["\r\n%w.+-]' then
    fail('%s: delimiter: expected one character, such as ";" or "\\t", got %s', what, tostring(v))
  end
  return v
end

-- A list of names and places of columns.
local function columns_of(name, v)
  if v == nil then return nil end
  if type(v) ~= "table" then v = { v } end
  for i, c in ipairs(v) do
    if type(c) ~= "string" and not (math.type(c) == "integer" and c >= 1) then
      fail("read_csv: %s: expected names of columns or places from 1 on, entry %d is %s", name, i, tostring(c))
    end
  end
  if #v == 0 then fail("read_csv: %s: the list is empty", name) end
  return v
end

-- Texts as classes: i64 codes from 1 on, and the sorted list of what they stand for.
local function codes_of(texts)
  local seen, classes, codes = {}, {}, {}
  for _, s in ipairs(texts) do
    if not seen[s] then seen[s], classes[#classes + 1] = true, s end
  end
  table.sort(classes)
  for i, s in ipairs(classes) do seen[s] = i end
  for i, s in ipairs(texts) do codes[i] = seen[s] end
  return #codes > 0 and ms.tensor(codes, { dtype = "i64" }) or ms.zeros({ 0 }, { dtype = "i64" }), classes
end

function csv.read(path, given)
  local o = options.read("read_csv", given, { delimiter = any, header = any, missing = "nan", dtype = "f32", text = any, columns = any,
    codes = false, max_bytes = any })
  if o.missing ~= "nan" and o.missing ~= "error" then fail('read_csv: missing: expected "nan" or "error", got "%s"', o.missing) end
  if o.dtype ~= "f32" and o.dtype ~= "f64" then fail('read_csv: dtype: expected "f32" or "f64", got "%s"', o.dtype) end
  if o.header ~= nil and type(o.header) ~= "boolean" then fail("read_csv: header: expected true or false, got %s", tostring(o.header)) end
  local text = o.text
  if text ~= true then text = columns_of("text", text or nil) end
  local x, texts, names = core.read_csv(path, delimiter_of("read_csv", o.delimiter), o.header, o.dtype, o.missing == "error", text,
    columns_of("columns", o.columns), o.max_bytes)
  if not o.codes then return x, texts, names end
  local codes, classes = {}, {}
  for name, list in pairs(texts) do codes[name], classes[name] = codes_of(list) end
  return x, codes, names, classes
end

-- What write_csv is given as a list of columns and the number of rows.
local function columns_to_write(t, names)
  if ms.is_tensor(t) then
    if t:dim() ~= 1 and t:dim() ~= 2 then fail("write_csv: expected a tensor of rows x columns, got %s", tostring(t.shape)) end
    if t:dim() == 1 then t = t:unsqueeze(2) end
    if names ~= nil and (type(names) ~= "table" or #names ~= t:size(2)) then
      fail("write_csv: names: expected a list of %d, one for each column", t:size(2))
    end
    local list = {}
    for c = 1, t:size(2) do list[c] = { values = t:select(2, c), name = names and tostring(names[c]) } end
    return list, #t
  end
  if type(t) ~= "table" or #t == 0 then fail("write_csv: expected a tensor, or a list of { name, values }, got %s", type(t)) end
  if names ~= nil then fail("write_csv: names: the list of columns has them already") end
  local list, rows = {}, nil
  for i, column in ipairs(t) do
    local name, values = nil, nil
    if type(column) == "table" then name, values = column[1], column[2] end
    if type(name) ~= "string" then fail("write_csv: column %d: expected { name, values }", i) end
    if ms.is_tensor(values) then
      if values:dim() ~= 1 then fail("write_csv: column '%s': expected a tensor of one dimension, got %s", name, tostring(values.shape)) end
    elseif type(values) ~= "table" then
      fail("write_csv: column '%s': expected a tensor or a list, got %s", name, type(values))
    elseif type(values[1]) ~= "string" then
      values = ms.tensor(values, { dtype = "f64" })
    end
    rows = rows or #values
    if #values ~= rows then fail("write_csv: column '%s' has %d rows, the ones before %d", name, #values, rows) end
    list[i] = { name = name, values = values }
  end
  return list, rows
end

function csv.write(path, t, given)
  local o = options.read("write_csv", given, { names = any, delimiter = "," })
  local list, rows = columns_to_write(t, o.names)
  if #list == 0 then fail("write_csv: expected at least one column, got none") end
  core.write_csv(path, list, rows, delimiter_of("write_csv", o.delimiter))
end

return csv
