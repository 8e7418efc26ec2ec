-- show: a tensor as text: shape, dtype, device, and the elements; of one with more than `threshold` only those at the corners.
local options = require "mascon.options"
local huge, floor, abs, max, kind, tointeger = math.huge, math.floor, math.abs, math.max, math.type, math.tointeger -- whatever a script
local table, type, tostring, ipairs, pairs = table, type, tostring, ipairs, pairs -- makes of them
local GAP = {} -- stands for the elements left out
local DEFAULTS = { threshold = 1000, edgeitems = 3, precision = 4, linewidth = 80 }
local now = {}
for name, v in pairs(DEFAULTS) do now[name] = v end

-- ---- elements ------------------------------------------------------------------------------------------------------------------------

-- Nested lists of the elements; whole: of all, else of a dimension longer than 2 * edgeitems only those at its ends.
local function elements(x, whole)
  if whole or x:dim() == 0 then return x:totable() end
  local n, edge = #x, now.edgeitems
  local function part(from, count)
    local piece = x:narrow(1, from, count)
    if piece:dim() == 1 then return piece:totable() end
    local out = {}
    for i = 1, count do out[i] = elements(piece[i], false) end
    return out
  end
  if n <= 2 * edge then return part(1, n) end
  local out = part(1, edge)
  out[edge + 1] = GAP
  for _, v in ipairs(part(n - edge + 1, edge)) do out[#out + 1] = v end
  return out
end

local function each(t, f)
  if t == GAP then return end
  if type(t) ~= "table" then return f(t) end
  for _, v in ipairs(t) do each(v, f) end
end

-- One format for all elements, so that columns line up.
local function format_of(t, dtype)
  if dtype == "bool" then return tostring end
  local most, least, whole, odd = 0, huge, true, false
  each(t, function(v)
    if v ~= v or v == huge or v == -huge then
      odd = true
    else
      local a = abs(v)
      if a > most then most = a end
      if a > 0 and a < least then least = a end
      if v ~= floor(v) then whole = false end
    end
  end)
  local f = ("%%.%df"):format(now.precision)
  if kind(most) == "integer" or (whole and most < 1e7) then
    f = dtype:find("^[iu]") and "%d" or "%.0f."
  elseif most >= 1e5 or (most > 0 and most < 1e-3) or least < 1e-4 and most / least > 1e5 then
    f = ("%%.%de"):format(now.precision)
  end
  return function(v)
    if odd and (v ~= v or v == huge or v == -huge) then return v ~= v and "nan" or v > 0 and "inf" or "-inf" end
    return f:format(v)
  end
end

-- ---- lines ---------------------------------------------------------------------------------------------------------------------------

-- The elements of a row, in lines of at most `linewidth` columns.
local function row_of(t, format, width, indent)
  local parts, lines, at = {}, {}, indent + 1
  for k, v in ipairs(t) do
    local s = v == GAP and "..." or format(v)
    s = (v == GAP and "" or (" "):rep(width - #s)) .. s
    if at + #s + 1 > now.linewidth and #parts > 0 then
      lines[#lines + 1] = table.concat(parts, ", ")
      parts, at = {}, indent + 1
    end
    parts[#parts + 1] = s
    at = at + #s + (k < #t and 2 or 0)
  end
  lines[#lines + 1] = table.concat(parts, ", ")
  return "[" .. table.concat(lines, ",\n" .. (" "):rep(indent + 1)) .. "]"
end

local function lines_of(t, format, width, indent)
  if type(t) ~= "table" then return format(t) end
  if type(t[1]) ~= "table" then return row_of(t, format, width, indent) end -- the first element is never a gap
  local parts = {}
  for k, v in ipairs(t) do parts[k] = v == GAP and "..." or lines_of(v, format, width, indent + 1) end
  local gap = type(t[1][1]) == "table" and ",\n\n" or ",\n"
  return "[" .. table.concat(parts, gap .. (" "):rep(indent + 1)) .. "]"
end

local function show(x)
  local plain = x:detach():to("cpu")
  local shape = table.concat(x.shape, " x ")
  local head = ("tensor %s %s%s"):format(shape == "" and "scalar" or shape, x.dtype, x.device ~= "cpu" and " on " .. x.device or "")
  if x.requires_grad then head = head .. (x.is_leaf and ", requires grad" or ", has a graph") end
  if plain:numel() == 0 then return head .. ", empty" end
  if plain.dtype == "f16" or plain.dtype == "bf16" then plain = plain:float() end
  local t = elements(plain, plain:numel() <= now.threshold)
  local format, width = format_of(t, plain.dtype), 0
  each(t, function(v) width = max(width, #format(v)) end)
  return head .. "\n" .. lines_of(t, format, width, 0)
end

-- ---- settings ------------------------------------------------------------------------------------------------------------------------

-- ms.print_options { threshold = 1000, edgeitems = 3, precision = 4, linewidth = 80 } -> what holds now. PyTorch's set_printoptions.
local function print_options(given, ...)
  options.none("print_options", ...)
  local o = options.read("print_options", given, now)
  for name, v in pairs(o) do
    local least = name == "threshold" and 0 or name == "precision" and 0 or name == "linewidth" and 20 or 1
    local most = name == "precision" and 17 or huge
    if not (v >= least and v <= most) or (v ~= huge and not tointeger(v)) then
      local range = most < huge and " to " .. most or " on"
      options.raise("print_options: %s: expected a whole number from %d%s, got %s", name, least, range, tostring(v))
    end
    if v == huge and name ~= "threshold" then options.raise("print_options: %s: expected a finite number", name) end
  end
  for name, v in pairs(o) do now[name] = tointeger(v) or v end
  local copy = {}
  for name, v in pairs(now) do copy[name] = v end
  return copy
end

return setmetatable({ print_options = print_options, DEFAULTS = DEFAULTS }, { __call = function(_, x) return show(x) end })
