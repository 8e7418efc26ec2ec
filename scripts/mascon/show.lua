-- show: a tensor as text: shape, dtype, device, and the elements, of a large one only those at the corners.
local GAP = {} -- stands for the elements left out
local EDGE, FULL = 3, 8 -- a dimension longer than FULL shows EDGE elements at each end

-- The positions of a dimension of size n that are shown.
local function shown(n)
  local at = {}
  if n <= FULL then
    for i = 1, n do at[i] = i end
  else
    for i = 1, EDGE do at[i] = i end
    at[EDGE + 1] = GAP
    for i = n - EDGE + 1, n do at[#at + 1] = i end
  end
  return at
end

-- Nested lists of the shown elements.
local function corners(x)
  if x:dim() == 0 then return x:item() end
  local out = {}
  for k, i in ipairs(shown(#x)) do out[k] = i == GAP and GAP or corners(x[i]) end
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
  local most, least, whole, odd = 0, math.huge, true, false
  each(t, function(v)
    if v ~= v or v == math.huge or v == -math.huge then
      odd = true
    else
      local a = math.abs(v)
      if a > most then most = a end
      if a > 0 and a < least then least = a end
      if v ~= math.floor(v) then whole = false end
    end
  end)
  local f = "%.4f"
  if math.type(most) == "integer" or (whole and most < 1e7) then
    f = dtype:find("^[iu]") and "%d" or "%.0f."
  elseif most >= 1e5 or (most > 0 and most < 1e-3) or least < 1e-4 and most / least > 1e5 then
    f = "%.4e"
  end
  return function(v)
    if odd and (v ~= v or v == math.huge or v == -math.huge) then return v ~= v and "nan" or v > 0 and "inf" or "-inf" end
    return f:format(v)
  end
end

local function lines_of(t, format, width, indent)
  if type(t) ~= "table" then return format(t) end
  local parts = {}
  for k, v in ipairs(t) do
    if v == GAP then
      parts[k] = "..."
    elseif type(v) == "table" then
      parts[k] = lines_of(v, format, width, indent + 1)
    else
      local s = format(v)
      parts[k] = (" "):rep(width - #s) .. s
    end
  end
  local nested = type(t[1]) == "table" -- the first element is never a gap
  local gap = nested and type(t[1][1]) == "table" and ",\n\n" or ",\n"
  return "[" .. table.concat(parts, nested and gap .. (" "):rep(indent + 1) or ", ") .. "]"
end

return function(x)
  local plain = x:detach():to("cpu")
  local shape = table.concat(x.shape, " x ")
  local head = ("tensor %s %s%s"):format(shape == "" and "scalar" or shape, x.dtype, x.device ~= "cpu" and " on " .. x.device or "")
  if x.requires_grad then head = head .. (x.is_leaf and ", requires grad" or ", has a graph") end
  if plain:numel() == 0 then return head .. ", empty" end
  if plain.dtype == "f16" or plain.dtype == "bf16" then plain = plain:float() end
  local t = corners(plain)
  local format, width = format_of(t, plain.dtype), 0
  each(t, function(v) width = math.max(width, #format(v)) end)
  return head .. "\n" .. lines_of(t, format, width, 0)
end
