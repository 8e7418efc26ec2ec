-- transforms.colour: brightness, contrast, saturation, hue and grey, of floating images in 0..1 with one channel or three (RGB).
local ms = require "mascon"
local base = require "mascon.transforms.base"
local options = require "mascon.options"
local any, fail = options.any, options.raise
local colour = {}

local function channels(what, x)
  local c = x:size(2)
  if c ~= 1 and c ~= 3 then fail("%s: expected 1 or 3 channels, got %s", what, base.shape_text(x)) end
  return c
end

local function plane(x, c) return x[{ {}, { c, c } }] end

local function grey(x)
  if x:size(2) == 1 then return x end
  return plane(x, 1) * 0.2989 + plane(x, 2) * 0.587 + plane(x, 3) * 0.114
end

-- f times x and 1 - f times other, kept in 0..1; f a number or one for each item.
local function blend(x, other, f) return (x * f + other * (1 - f)):clamp(0, 1) end

local adjust = {}
function adjust.brightness(x, f) return (x * f):clamp(0, 1) end
function adjust.contrast(x, f) return blend(x, grey(x):mean({ 2, 3, 4 }, { keepdim = true }), f) end
function adjust.saturation(x, f) return x:size(2) == 1 and x or blend(x, grey(x), f) end

-- By HSV (Foley and van Dam): hue, saturation, value; the hue moved on by f of the circle.
function adjust.hue(x, f)
  if x:size(2) == 1 then return x end
  local r, g, b = plane(x, 1), plane(x, 2), plane(x, 3)
  local most, least = x:amax(2, { keepdim = true }), x:amin(2, { keepdim = true })
  local span = most - least
  local flat = span:eq(0)
  local s = span / ms.where(flat, 1, most)
  local d = ms.where(flat, 1, span)
  local rc, gc, bc = (most - r) / d, (most - g) / d, (most - b) / d
  local h = ms.where(most:eq(r), bc - gc, ms.where(most:eq(g), 2 + rc - bc, 4 + gc - rc))
  h = h / 6 + 1 + f
  h = (h - h:floor()) * 6
  local sector = h:floor()
  local part = h - sector
  sector = ms.where(sector:ge(6), 0, sector) -- 6 by rounding is 0
  local v, p, q, t = most, (most * (1 - s)):clamp(0, 1), (most * (1 - s * part)):clamp(0, 1), (most * (1 - s * (1 - part))):clamp(0, 1)
  local function pick(list) -- by sector 0..5
    local out = list[6]
    for k = 5, 1, -1 do out = ms.where(sector:eq(k - 1), list[k], out) end
    return out
  end
  return ms.cat({ pick { v, q, p, p, t, v }, pick { t, v, v, q, p, p }, pick { p, p, t, v, v, q } }, 2)
end

local ORDER = { "brightness", "contrast", "saturation", "hue" }

-- adjust { brightness =, contrast =, saturation =, hue = }: one after another, by these factors (1: as it is; hue by a part of the circle,
-- -0.5..0.5, 0: as it is).
function colour.adjust(given)
  local o = options.read("adjust", given, { brightness = any, contrast = any, saturation = any, hue = any })
  for _, name in ipairs(ORDER) do
    if o[name] ~= nil then base.number("adjust", name, o[name], name == "hue" and -0.5 or 0, name == "hue" and 0.5 or math.huge) end
  end
  local t = { name = "adjust", shown = ORDER, images = true, floating = true, apply = function(_, x)
    channels("adjust", x)
    for _, name in ipairs(ORDER) do
      if o[name] then x = adjust[name](x, o[name]) end
    end
    return x
  end }
  for _, name in ipairs(ORDER) do t[name] = o[name] end
  return base.new(t)
end

-- color_jitter { brightness =, contrast =, saturation =, hue = }: each by a random factor, in a random order: b stands for the range
-- { max(0, 1 - b), 1 + b }, a hue h (up to 0.5) for { -h, h }; { low, high } says the range.
function colour.color_jitter(given)
  local what = "color_jitter"
  local o = options.read(what, given, { brightness = any, contrast = any, saturation = any, hue = any })
  local ranges, active = {}, {}
  for _, name in ipairs(ORDER) do
    local v = o[name]
    if v ~= nil then
      if name == "hue" then
        v = base.range(what, name, v)
        if v[1] < -0.5 or v[2] > 0.5 then fail("%s: hue: expected -0.5..0.5, got %g..%g", what, v[1], v[2]) end
      elseif type(v) == "number" then
        v = { math.max(0, 1 - base.number(what, name, v, 0)), 1 + v }
      else
        v = base.range(what, name, v, 0)
      end
      ranges[name], active[#active + 1] = v, name
    end
  end
  local t = { name = what, shown = ORDER, images = true, floating = true, random = true, apply = function(_, x, draws)
    channels(what, x)
    local factors = draws:uniform(#ORDER)
    local order = draws:uniform(#ORDER) -- they come in the order of these numbers
    local rank, factor = {}, {}
    for k, name in ipairs(ORDER) do
      if ranges[name] then
        local own = order:select(2, k)
        rank[name] = ms.full({ #x }, 0, { device = x.device })
        for j, other in ipairs(ORDER) do
          if j ~= k and ranges[other] then rank[name] = rank[name] + order:select(2, j):lt(own):to "f32" end
        end
        local f = factors:select(2, k) * (ranges[name][2] - ranges[name][1]) + ranges[name][1]
        factor[name] = base.per_item(f, x):to(x.dtype)
      end
    end
    for step = 0, #active - 1 do
      local y = x
      for _, name in ipairs(active) do
        if not (x:size(2) == 1 and (name == "hue" or name == "saturation")) then
          y = ms.where(base.per_item(rank[name]:eq(step), x), adjust[name](x, factor[name]), y)
        end
      end
      x = y
    end
    return x
  end }
  for name, v in pairs(ranges) do t[name] = v end
  return base.new(t)
end

-- grayscale(num_output_channels = 1): 0.2989 red + 0.587 green + 0.114 blue, as one channel or three equal ones.
function colour.grayscale(num_output_channels)
  local n = num_output_channels or 1
  if n ~= 1 and n ~= 3 then fail("grayscale: num_output_channels: expected 1 or 3, got %s", tostring(n)) end
  return base.new { name = "grayscale", shown = { "num_output_channels" }, num_output_channels = n, images = true, floating = true,
    apply = function(_, x)
      channels("grayscale", x)
      x = grey(x)
      return n == 3 and ms.cat({ x, x, x }, 2) or x
    end }
end

-- random_grayscale(p = 0.1): grey with probability p; the number of channels stays.
function colour.random_grayscale(p)
  p = base.only_p("random_grayscale", p, 0.1)
  return base.new { name = "random_grayscale", shown = { "p" }, p = p, images = true, floating = true, random = true,
    apply = function(_, x, draws)
      channels("random_grayscale", x)
      return ms.where(base.per_item(draws:chance(p), x), grey(x):expand(x.shape), x)
    end }
end

return colour
