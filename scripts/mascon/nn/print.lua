-- nn.print: a module as text: the tree, with each module's own parameters, and the totals.
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

-- "11,689,512 parameters (513,000 trainable, 11,176,512 frozen), 46.80 MB": bytes: of parameters and buffers.
local function totals(all, frozen, bytes)
  local split = frozen > 0 and (" (%s trainable, %s frozen)"):format(thousands(all - frozen), thousands(frozen)) or ""
  local size = bytes == 0 and "" or bytes < 1e4 and (", %d bytes"):format(bytes) or (", %.2f MB"):format(bytes / 1e6)
  return ("%s parameters%s%s"):format(thousands(all), split, size)
end

-- print(model): a row for each module, with its parameters' sizes and how many numbers these and those below it are. What was met before
-- counts nothing and says where: a tensor by its first name, a module by its first place. A parameter without requires_grad is "frozen".
function Module.__tostring(self)
  local rows, left, middle = {}, 0, 0
  local met, all, frozen, bytes = {}, 0, 0, 0
  local function shape_of(t, key, path)
    local words = ("%s %s"):format(key, table.concat(t.shape, " x "))
    if met[t] then return ("%s (is %s)"):format(words, met[t]) end
    met[t], all, bytes = path .. key, all + t:numel(), bytes + t:nbytes()
    if t.requires_grad then return words end
    frozen = frozen + t:numel()
    return words .. " (frozen)"
  end
  local function add(m, label, path, indent)
    local row, before = { ("  "):rep(indent) .. label .. describe(m), "", "" }, all
    rows[#rows + 1] = row
    if met[m] then
      row[2] = "(is " .. met[m] .. ")"
    else
      met[m] = path == "" and "the whole" or path:sub(1, -2)
      local f, shapes = fields(m), {}
      for _, key in ipairs(f._names) do
        local kind, v = f._kind[key], rawget(f, key)
        if kind == "parameter" then shapes[#shapes + 1] = shape_of(v, key, path)
        elseif kind == "buffer" and not met[v] then met[v], bytes = path .. key, bytes + v:nbytes() end
      end
      row[2] = table.concat(shapes, ", ")
      for _, key in ipairs(f._names) do
        if f._kind[key] == "module" then add(rawget(f, key), tostring(key) .. ": ", path .. key .. ".", indent + 1) end
      end
      row[3] = all > before and thousands(all - before) or ""
    end
    left, middle = math.max(left, #row[1]), math.max(middle, #row[2])
  end
  add(self, "", "", 0)
  for i, r in ipairs(rows) do
    local line = r[1] .. (" "):rep(left - #r[1] + 2) .. r[2] .. (" "):rep(middle - #r[2] + 2) .. ("%10s"):format(r[3])
    rows[i] = (line:gsub("%s+$", ""))
  end
  return table.concat(rows, "\n") .. "\n" .. totals(all, frozen, bytes)
end
