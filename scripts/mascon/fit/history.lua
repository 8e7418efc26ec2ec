-- fit/history: what ms.fit gives back: a row of figures for each epoch, which prints as a table.
local options = require "mascon.options"
local text = require "mascon.text"
local history = {}

local FIRST, LAST = { "epoch", "step" }, { "lr", "seconds" }
local fixed = { epoch = true, step = true, lr = true, seconds = true }

-- The names of the figures of a row in their order: train_..., val_..., then others.
function history.names(row)
  local list = {}
  for name in pairs(row) do
    if not fixed[name] then list[#list + 1] = name end
  end
  local function rank(name) return name == "train_loss" and 1 or name:find "^train_" and 2 or name == "val_loss" and 3
    or name:find "^val_" and 4 or 5 end
  table.sort(list, function(a, b)
    local x, y = rank(a), rank(b)
    if x ~= y then return x < y end
    return a < b
  end)
  return list
end

local function shown(name, v)
  if v == nil then return "" end
  if math.type(v) == "integer" then return tostring(v) end
  if type(v) ~= "number" then return tostring(v) end
  if name == "seconds" then return ("%.2f"):format(v) end
  return ("%.6g"):format(v)
end

-- "epoch 3  train_loss 0.412  val_loss 0.397"
function history.line(row)
  local parts = { ("epoch %d"):format(row.epoch) }
  for _, name in ipairs(history.names(row)) do parts[#parts + 1] = ("%s %.4g"):format(name, row[name]) end
  parts[#parts + 1] = ("%.1fs"):format(row.seconds)
  return table.concat(parts, "  ")
end

-- Rows of texts as lines, columns flush right; the first row is the head.
local function aligned(rows, left)
  local width, lines = {}, {}
  for _, r in ipairs(rows) do
    for i, s in ipairs(r) do width[i] = math.max(width[i] or 0, #s) end
  end
  for k, r in ipairs(rows) do
    local out = {}
    for i, s in ipairs(r) do out[i] = left and i == 1 and s .. (" "):rep(width[i] - #s) or (" "):rep(width[i] - #s) .. s end
    lines[k] = (table.concat(out, "  "):gsub("%s+$", ""))
  end
  return table.concat(lines, "\n")
end

local History = { __name = "mascon.history" }
History.__index = History

function history.new() return setmetatable({}, History) end

function History:add(row) self[#self + 1] = row end

-- history:column(name) -> list of a figure, one number for each epoch that has it
function History:column(name)
  local list, known = {}, {}
  for _, row in ipairs(self) do
    for k in pairs(row) do known[k] = true end
    if row[name] ~= nil then list[#list + 1] = row[name] end
  end
  if #list == 0 then
    options.raise("history: there is no column '%s'%s", tostring(name), options.hint(name, known))
  end
  return list
end

function History:__tostring()
  local all = {}
  for _, row in ipairs(self) do
    for k in pairs(row) do all[k] = true end
  end
  if not next(all) then return "no epoch" end
  local names = { table.unpack(FIRST) }
  for _, name in ipairs(history.names(all)) do names[#names + 1] = name end
  for _, name in ipairs(LAST) do names[#names + 1] = name end
  local rows = { names }
  for i, row in ipairs(self) do
    rows[i + 1] = {}
    for k, name in ipairs(names) do rows[i + 1][k] = shown(name, row[name]) end
  end
  return aligned(rows)
end

local Results = { __name = "mascon.results" }
function Results:__tostring()
  local rows = { { "figure", "value" } }
  for _, name in ipairs(history.names(self)) do rows[#rows + 1] = { name, shown(name, self[name]) } end
  return aligned(rows, true)
end

-- Figures by name as a table that prints itself.
function history.results(row)
  Results.__index = function(_, key) options.raise("there is no figure '%s'%s", tostring(key), text.hint(tostring(key), text.keys(row))) end
  return setmetatable(row, { __name = Results.__name, __tostring = Results.__tostring, __index = Results.__index })
end

return history
