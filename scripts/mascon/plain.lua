-- plain: the Lua value behind a thing. A mean (value()) is its number; so is a tensor of one element (item()); a larger one is nested lists
-- (totable()); its shape is a list. Numbers, texts, booleans and plain tables are what they are.
--
--   plain(v [, { whole = true }])     whole: a tensor of one element too is a list, as totable() gives it
local MOST = 1000000 -- more elements than this are data, no figure of a run

-- The sizes of a tensor (x.shape) are a list with a type of their own.
local function is_shape(v) return getmetatable(v) == "shape" end

-- The method of v by that name, or nil: a tensor raises for names it does not know.
local function method(v, name)
  local ok, f = pcall(function() return v[name] end)
  return ok and type(f) == "function" and f or nil
end

local function plain(v, opts)
  local t = type(v)
  if t ~= "table" and t ~= "userdata" then return v end
  if is_shape(v) then return { table.unpack(v) } end
  local whole = opts and opts.whole
  if not whole and method(v, "value") then return plain(v:value()) end
  local count = method(v, "numel") and v:numel() or nil
  if not whole and method(v, "item") and (count == nil or count == 1) then return v:item() end
  if not method(v, "totable") then return v end
  if not whole and count and count > MOST then
    error(("a tensor of %d elements: expected at most %d; save it with ms.save"):format(count, MOST), 0)
  end
  return v:totable()
end

return plain
