-- runs/curves: curves drawn with letters. One cell of the terminal holds 2 x 4 dots (Braille) where each curve can have a colour, or where
-- there is one curve only; else each curve has a letter of its own.
local width = require "mascon.width"
local curves = {}

local LETTERS = { "*", "o", "+", "x", "#", "@", "%", "=" }
local COLOURS = { 36, 33, 35, 32, 31, 34, 96, 93 }
local DOTS = { { 0x01, 0x08 }, { 0x02, 0x10 }, { 0x04, 0x20 }, { 0x40, 0x80 } } -- row, column of a cell -> bit

-- curves.mark(i, opts) -> what stands before the i-th curve's name.
function curves.mark(i, opts)
  if not opts.colour then return opts.dots and "⠒⠒" or LETTERS[(i - 1) % #LETTERS + 1] end
  return ("\27[%dm%s\27[0m"):format(COLOURS[(i - 1) % #COLOURS + 1], opts.dots and "⠒⠒" or LETTERS[(i - 1) % #LETTERS + 1])
end

-- ---- axes --------------------------------------------------------------------------------------------------------------------------

local function word(v)
  if v == math.floor(v) and math.abs(v) < 1e6 then return ("%d"):format(math.floor(v)) end
  return ("%.4g"):format(v)
end

-- Round numbers from low to high, about n of them.
local function ticks(low, high, n)
  local raw = (high - low) / math.max(n, 1)
  local power = 10.0 ^ math.floor(math.log(raw, 10))
  local step = raw / power
  step = (step < 1.5 and 1 or step < 3 and 2 or step < 7 and 5 or 10) * power
  local list, first = {}, math.ceil(low / step - 1e-9)
  for i = first, math.floor(high / step + 1e-9) do list[#list + 1] = i * step end
  return list
end

-- Powers of ten, with their double and fivefold where they are few.
local function log_ticks(low, high)
  local list, from, to = {}, math.floor(math.log(low, 10)), math.ceil(math.log(high, 10))
  for e = from, to do
    for _, m in ipairs(to - from <= 3 and { 1, 2, 5 } or { 1 }) do
      local v = m * 10.0 ^ e
      if v >= low * (1 - 1e-9) and v <= high * (1 + 1e-9) then list[#list + 1] = v end
    end
  end
  return list
end

local function finite(v) return type(v) == "number" and v - v == 0 end

local function range(list, of)
  local low, high = math.huge, -math.huge
  for _, c in ipairs(list) do
    for _, v in ipairs(c[of]) do
      if finite(v) then low, high = math.min(low, v), math.max(high, v) end
    end
  end
  return low, high
end

-- Do the values, all above 0, span so much that a logarithmic axis helps?
local function wants_log(list)
  local low, high = range(list, "y")
  return low > 0 and high / low >= 30
end

-- ---- drawing -----------------------------------------------------------------------------------------------------------------------

-- A line from dot to dot.
local function line(x0, y0, x1, y1, put)
  local n = math.max(math.abs(x1 - x0), math.abs(y1 - y0))
  for i = 0, n do
    local t = n == 0 and 0 or i / n
    put(math.floor(x0 + (x1 - x0) * t + 0.5), math.floor(y0 + (y1 - y0) * t + 0.5))
  end
end

-- The cells of the picture: cells[row][column] = { bits or letter, curve }.
local function paint(list, w, h, scale_x, scale_y, dots)
  local cells = {}
  for r = 1, h do cells[r] = {} end
  for i, c in ipairs(list) do
    local function put(x, y)
      local col, row = (dots and x // 2 or x) + 1, (dots and y // 4 or y) + 1
      if not cells[row] or col < 1 or col > w then return end
      local cell = cells[row][col]
      if not cell or cell.curve ~= i and not dots then
        cell = { bits = 0, curve = i }
        cells[row][col] = cell
      end
      cell.curve = i
      if dots then cell.bits = cell.bits | DOTS[y % 4 + 1][x % 2 + 1] end
    end
    local before_x, before_y
    for k, x in ipairs(c.x) do
      local y = c.y[k]
      if finite(x) and finite(y) then
        local px, py = scale_x(x), scale_y(y)
        if before_x then line(before_x, before_y, px, py, put) else put(px, py) end
        before_x, before_y = px, py
      else
        before_x = nil -- a gap
      end
    end
  end
  return cells
end

local function cell_text(cell, opts)
  if not cell then return " " end
  local s = opts.dots and utf8.char(0x2800 + cell.bits) or LETTERS[(cell.curve - 1) % #LETTERS + 1]
  return opts.colour and ("\27[%dm%s\27[0m"):format(COLOURS[(cell.curve - 1) % #COLOURS + 1], s) or s
end

-- Where a value lies among n dots, from the left (or the bottom, with `turned`).
local function scale(low, high, n, logarithmic, turned)
  local f = logarithmic and math.log or function(v) return v end
  local a, b = f(low), f(high)
  return function(v)
    local at = math.floor((f(v) - a) / (b - a) * (n - 1) + 0.5)
    return turned and n - 1 - at or at
  end
end

-- An interval that is none is widened.
local function spread(low, high)
  if low < high then return low, high end
  local by = low == 0 and 1 or math.abs(low) * 0.1
  return low - by, high + by
end

-- curves.draw(list, opts) -> lines of text. list: { name =, x = numbers, y = numbers }; opts: columns, rows (of all), colour and utf8
-- (what the terminal has), log = true, false or nil (as it helps), xlabel. Changes opts.dots to how it was drawn.
function curves.draw(list, opts)
  opts.dots = opts.utf8 and (opts.colour or #list == 1)
  local low, high = range(list, "y")
  if low > high then return { "nothing to draw: no finite figure" } end
  local logarithmic = opts.log
  if logarithmic == nil then logarithmic = wants_log(list) end
  if logarithmic and low <= 0 then return { ("a logarithmic axis wants figures above 0: there is %s"):format(word(low)) } end
  low, high = spread(low, high)
  if logarithmic and low <= 0 then low = high / 10 end
  local left, right = spread(range(list, "x"))
  if not finite(high - low) or not finite(right - left) then return { "nothing to draw: the figures lie too far apart" } end
  local h = math.max(4, opts.rows - 2)
  local marks = logarithmic and log_ticks(low, high) or ticks(low, high, math.max(3, h // 4))
  local labels, margin = {}, 0
  local row_of = scale(low, high, h, logarithmic, true)
  for _, v in ipairs(marks) do
    labels[row_of(v) + 1] = word(v)
    margin = math.max(margin, #word(v))
  end
  local w = math.max(10, opts.columns - margin - 3)
  local scale_x = scale(left, right, opts.dots and 2 * w or w)
  local cells = paint(list, w, h, scale_x, scale(low, high, opts.dots and 4 * h or h, logarithmic, true), opts.dots)
  local axis, tick, corner, flat = "|", "+", "+", "-"
  if opts.utf8 then axis, tick, corner, flat = "│", "┤", "└", "─" end
  local out = {}
  for r = 1, h do
    local line_parts = { (" "):rep(margin - #(labels[r] or "")) .. (labels[r] or "") .. " " .. (labels[r] and tick or axis) }
    for col = 1, w do line_parts[col + 1] = cell_text(cells[r][col], opts) end
    out[r] = table.concat(line_parts):gsub("%s+$", "")
  end
  out[h + 1] = (" "):rep(margin + 1) .. corner .. flat:rep(w)
  local below, at = (" "):rep(margin + 2), margin + 2
  local name = opts.xlabel or ""
  for _, v in ipairs(ticks(left, right, w // 14)) do
    local column = margin + 2 + scale_x(v) // (opts.dots and 2 or 1) - #word(v) // 2
    local whole = v == v // 1 or right - left < 1 -- there is no epoch 1.5
    if whole and column > at and column + #word(v) + #name + 2 <= opts.columns then
      below = below .. (" "):rep(column - at) .. word(v)
      at = column + #word(v)
    end
  end
  out[h + 2] = width.cut(below .. "  " .. name, opts.columns)
  return out
end

return curves
