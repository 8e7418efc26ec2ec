-- picture: pictures in the terminal (%img): by kitty's protocol or sixel where the terminal says that it has them, else by half blocks, two
-- pixels to a character; without colours by characters alone (plot.tiles).
local term = require "mascon.term"
local text = require "mascon.text"
local picture = {}

local ESC = "\27"
local WAYS = { kitty = true, sixel = true, blocks = true, text = true }

-- ---- what the terminal can -----------------------------------------------------------------------------------------------------------

local answer -- of the terminal

-- "kitty", "sixel", "blocks" or "text". Terminals with kitty's protocol are known by their environment; sixel is attribute 4 of the answer
-- to "which device are you".
function picture.way()
  if not term.colours(1) or not term.utf8() then return "text" end
  local env, asked = os.getenv, os.getenv "MASCON_IMG"
  if asked and asked ~= "" then
    if not WAYS[asked] then error("MASCON_IMG: expected kitty, sixel, blocks or text, got " .. text.show(asked), 0) end
    return asked
  end
  local inside = env "TMUX" or (env "TERM" or ""):find "^screen" or (env "TERM" or ""):find "^tmux"
  if not inside and ((env "TERM" or ""):find "kitty" or env "KITTY_WINDOW_ID" or env "TERM_PROGRAM" == "ghostty") then return "kitty" end
  answer = answer or term.ask(ESC .. "[c", "c", 0.2) -- once: a terminal stays what it is
  if answer and (answer:match "%[%?([%d;]*)c" or ""):find "%f[%d]4%f[%D]" then return "sixel" end
  return "blocks"
end

-- ---- ways ----------------------------------------------------------------------------------------------------------------------------

local function base64(s)
  local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local out = {}
  for i = 1, #s, 3 do
    local a, b, c = s:byte(i, i + 2)
    local n = a << 16 | (b or 0) << 8 | (c or 0)
    for k = 0, 3 do
      local d = n >> (18 - 6 * k) & 63
      out[#out + 1] = (k == 2 and not b or k == 3 and not c) and "=" or digits:sub(d + 1, d + 1)
    end
  end
  return table.concat(out)
end

-- kitty's protocol: the PNG file in pieces of 4,096 letters.
local function kitty(x)
  local ms = require "mascon"
  local name = os.tmpname()
  local path = name .. ".png"
  local guard <close> = setmetatable({}, { __close = function() os.remove(path) os.remove(name) end })
  ms.image.save(path, x)
  local f = assert(io.open(path, "rb"))
  local data = base64(f:read "a")
  f:close()
  local out = {}
  for i = 1, #data, 4096 do
    local more = i + 4096 <= #data and 1 or 0
    out[#out + 1] = ("%s_G%sm=%d;%s%s\\"):format(ESC, i == 1 and "a=T,f=100," or "", more, data:sub(i, i + 4095), ESC)
  end
  return table.concat(out) .. "\n"
end

-- red, green, blue, each a list of rows of 0..255.
local function planes(x)
  local p = x:totable()
  local green, blue = p[2] or p[1], p[3] or p[1]
  if #p == 2 then green, blue = p[1], p[1] end -- grey and alpha
  return p[1], green, blue, #p[1], #p[1][1]
end

-- Sixel: bands of six rows; a colour of a palette of 6 x 6 x 6 at a time, its pixels of each column as six bits.
local function sixel(x)
  local r, g, b, h, w = planes(x)
  local out = { ESC, ('Pq"1;1;%d;%d'):format(w, h) }
  for i = 0, 215 do
    out[#out + 1] = ("#%d;2;%d;%d;%d"):format(i, i // 36 * 20, i // 6 % 6 * 20, i % 6 * 20)
  end
  for top = 1, h, 6 do
    local colours, order = {}, {}
    for row = top, math.min(top + 5, h) do
      for col = 1, w do
        local c = (r[row][col] + 25) // 51 * 36 + (g[row][col] + 25) // 51 * 6 + (b[row][col] + 25) // 51
        local bits = colours[c]
        if not bits then
          bits = {}
          colours[c], order[#order + 1] = bits, c
        end
        bits[col] = (bits[col] or 0) | 1 << (row - top)
      end
    end
    for i, c in ipairs(order) do
      out[#out + 1] = (i > 1 and "$" or "") .. "#" .. c
      local cells = {}
      for col = 1, w do cells[col] = string.char(63 + (colours[c][col] or 0)) end
      out[#out + 1] = table.concat(cells)
    end
    out[#out + 1] = "-"
  end
  out[#out + 1] = ESC .. "\\\n"
  return table.concat(out)
end

local LEVELS = { 0, 95, 135, 175, 215, 255 } -- of the cube of 256 colours

local function nearest_level(v)
  local best = 1
  for i = 2, 6 do
    if math.abs(LEVELS[i] - v) < math.abs(LEVELS[best] - v) then best = i end
  end
  return best
end

-- The colour as a terminal takes it, after "38;" or "48;".
local function colour(r, g, b, full)
  if full then return ("2;%d;%d;%d"):format(r, g, b) end
  if math.max(r, g, b) - math.min(r, g, b) < 12 then -- the 24 greys, and black and white of the cube
    local v = (r + g + b) // 3
    return v < 4 and "5;16" or v > 246 and "5;231" or ("5;%d"):format(232 + math.min(23, (v - 3) // 10))
  end
  return ("5;%d"):format(16 + 36 * (nearest_level(r) - 1) + 6 * (nearest_level(g) - 1) + nearest_level(b) - 1)
end

-- Half blocks: the upper pixel is the character's colour, the lower one the background.
local function blocks(x)
  local r, g, b, h, w = planes(x)
  local term_colours = os.getenv "COLORTERM"
  local full = term_colours == "truecolor" or term_colours == "24bit"
  local lines = {}
  for top = 1, h, 2 do
    local cells, upper, lower = {}, nil, nil
    for col = 1, w do
      local up = colour(r[top][col], g[top][col], b[top][col], full)
      local down = top < h and colour(r[top + 1][col], g[top + 1][col], b[top + 1][col], full) or "none"
      if up ~= upper then cells[#cells + 1] = ESC .. "[38;" .. up .. "m" end
      if down ~= lower then cells[#cells + 1] = down == "none" and ESC .. "[49m" or ESC .. "[48;" .. down .. "m" end
      cells[#cells + 1] = "▀"
      upper, lower = up, down
    end
    lines[#lines + 1] = table.concat(cells) .. ESC .. "[0m"
  end
  return table.concat(lines, "\n") .. "\n"
end

-- ---- showing -------------------------------------------------------------------------------------------------------------------------

-- What is shown, as u8 C x H x W. Numbers outside of 0..1 are stretched from the least (black) to the greatest.
local function as_bytes(x)
  local ms = require "mascon"
  if not ms.is_tensor(x) then error("%img: expected a picture (H x W, C x H x W) or a batch, got a " .. type(x), 0) end
  if x:dim() < 2 or x:dim() > 4 or x:numel() == 0 then
    error(("%%img: expected H x W, C x H x W or a batch N x C x H x W, got %s"):format(tostring(x.shape)), 0)
  end
  local range
  if x.dtype ~= "u8" then
    x = x:detach():to("cpu"):to "f32"
    local low, high = x:min():item(), x:max():item()
    if low - low ~= 0 or high - high ~= 0 then error("%img: there are values that are not finite", 0) end
    if low < 0 or high > 1 then
      range = { low, high > low and high or low + 1 }
      print(("black is %.4g, white %.4g"):format(low, high))
    end
  end
  local one = x:dim() == 2 or x:dim() == 3 and x:size(1) <= 4
  return ms.image.grid(one and { x } or x, { padding = one and 0 or 1, range = range })
end

-- So large that it fits: whole multiples, or means of what falls into a pixel.
local function fit(x, width, height)
  local ms = require "mascon"
  local h, w = x:size(2), x:size(3)
  local times = math.min(width // w, height // h, 8)
  if times == 1 then return x end
  if times > 1 then
    return x:unsqueeze(3):unsqueeze(5):expand { x:size(1), h, times, w, times }:reshape { x:size(1), h * times, w * times }
  end
  local scale = math.min(width / w, height / h)
  local to = { math.max(1, math.floor(h * scale)), math.max(1, math.floor(w * scale)) }
  return (ms.adaptive_avg_pool2d(x:to("f32"):unsqueeze(1), to)[1] + 0.5):to "u8"
end

function picture.show(x)
  x = as_bytes(x)
  local way = picture.way()
  if way == "text" then return require "mascon.plots".tiles { x } end
  local columns, rows = term.columns(1) or 80, term.rows(1) or 24
  if way == "kitty" then
    io.write(kitty(fit(x, columns * 8, (rows - 3) * 16)))
  elseif way == "sixel" then
    io.write(sixel(fit(x, columns * 8, (rows - 3) * 16)))
  else
    io.write(blocks(fit(x, columns, 2 * math.max(4, rows - 3))))
  end
  io.stdout:flush()
end

return picture
