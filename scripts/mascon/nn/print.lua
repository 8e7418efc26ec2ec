-- nn.print: a module as text: the tree, with each module's own parameters and the totals.
local core = require "mascon.nn.module"
local Module, fields = core.Module, core.fields

local function thousands(n)
  local s = tostring(n):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (s:gsub("^,", ""))
end

local function describe(m)
  local extra = m.extra and m:extra() or ""
  return extra == "" and m.__name or ("%s(%s)"):format(m.__name, extra)
end

function Module.__tostring(self)
  local rows, left, middle = {}, 0, 0
  local function add(m, label, indent)
    local shapes = {}
    local f = fields(m)
    for _, key in ipairs(f._names) do
      local v = f._kind[key] == "parameter" and rawget(f, key)
      if v then shapes[#shapes + 1] = ("%s %s"):format(key, table.concat(v.shape, " x ")) end
    end
    local row = { ("  "):rep(indent) .. label .. describe(m), table.concat(shapes, ", "), thousands(m:count()) }
    left, middle = math.max(left, #row[1]), math.max(middle, #row[2])
    rows[#rows + 1] = row
    for _, key in ipairs(f._names) do
      local v = f._kind[key] == "module" and rawget(f, key)
      if v then add(v, tostring(key) .. ": ", indent + 1) end
    end
  end
  add(self, "", 0)
  for i, r in ipairs(rows) do
    local count = r[3] == "0" and "" or r[3]
    local line = r[1] .. (" "):rep(left - #r[1] + 2) .. r[2] .. (" "):rep(middle - #r[2] + 2) .. ("%10s"):format(count)
    rows[i] = (line:gsub("%s+$", ""))
  end
  return table.concat(rows, "\n") .. ("\n%s parameters"):format(thousands(self:count()))
end
