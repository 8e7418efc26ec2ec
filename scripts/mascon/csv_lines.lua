-- csv_lines: rows of names and values as lines of a CSV file (RFC 4180).
local json = require "mascon.json"
local text = require "mascon.text"
local csv = {}

-- The columns of rows: `first`, then names in the order in which they came.
function csv.columns(rows, first)
  local names, seen = {}, {}
  for _, name in ipairs(first) do seen[name] = true end
  for _, row in ipairs(rows) do
    for _, name in ipairs(text.keys(row)) do
      if not seen[name] then
        seen[name] = true
        names[#names + 1] = name
      end
    end
  end
  return table.move(names, 1, #names, #first + 1, { table.unpack(first) })
end

-- A field as RFC 4180 has it: quoted where it must be. Lists and tables are JSON.
local function field(v)
  if v == nil then return "" end
  local s = type(v) == "table" and json.encode(v, { replace = true }) or math.type(v) == "float" and ("%.17g"):format(v) or tostring(v)
  return s:find '[",\r\n]' and '"' .. s:gsub('"', '""') .. '"' or s
end

function csv.line(columns, row)
  local fields = {}
  for i, name in ipairs(columns) do fields[i] = field(row[name]) end
  return table.concat(fields, ",")
end

-- The line of names.
function csv.head(columns)
  local names = {}
  for i, name in ipairs(columns) do names[i] = field(name) end
  return table.concat(names, ",")
end

return csv
