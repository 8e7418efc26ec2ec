-- transforms.sizes: what changes the size of images, or mirrors them: resize, crops, padding, flips.
local ms = require "mascon"
local base = require "mascon.transforms.base"
local options = require "mascon.options"
local any, fail = options.any, options.raise
local sizes = {}

-- ---- resize ------------------------------------------------------------------------------------------------------------------------

local function triangle(v) return math.max(1 - math.abs(v), 0) end
local function cubic(v) -- Keys 1981, a = -0.5
  local a = -0.5
  v = math.abs(v)
  if v < 1 then return ((a + 2) * v - (a + 3)) * v * v + 1 end
  return v < 2 and ((v - 5) * v + 8) * v * a - 4 * a or 0
end

-- The weights of resampling `from` pixels to `to` ones, to x from: each a mean of the pixels below it, by a kernel that is as much wider as
-- the result is smaller (antialias: Pillow's definition, torchvision's default).
local function weights(from, to, interpolation)
  local kernel, reach = triangle, 1
  if interpolation == "bicubic" then kernel, reach = cubic, 2 end
  local scale = from / to
  local wide = math.max(scale, 1)
  local rows = {}
  for i = 1, to do
    local middle, row, sum = scale * (i - 0.5), {}, 0
    local first = math.max(math.floor(middle - reach * wide + 0.5), 0)
    local last = math.min(math.floor(middle + reach * wide + 0.5), from) - 1
    for j = 0, from - 1 do
      row[j + 1] = j >= first and j <= last and kernel((j - middle + 0.5) / wide) or 0
      sum = sum + row[j + 1]
    end
    for j = 1, from do row[j] = row[j] / sum end
    rows[i] = row
  end
  return ms.tensor(rows)
end

-- resize(size [, { interpolation = "bilinear", antialias = true }]): images of another size: { height, width }, or the length of the
-- shorter side, the other one following. interpolation: nearest, nearest-exact, bilinear, bicubic; antialias concerns the last two.
function sizes.resize(size, given)
  local o = options.read("resize", given, { interpolation = "bilinear", antialias = true })
  base.word("resize", "interpolation", o.interpolation, { "nearest", "nearest-exact", "bilinear", "bicubic" })
  local short = type(size) == "number" and options.count("resize", "size", size)
  local target = not short and base.size("resize", size)
  local smooth = o.antialias and (o.interpolation == "bilinear" or o.interpolation == "bicubic")
  local made = {}
  local function matrix(from, to, x)
    local key = ("%d %d %s %s"):format(from, to, x.dtype, x.device)
    made[key] = made[key] or ms.keep(weights(from, to, o.interpolation):to(x.dtype):to(x.device)) -- whatever scope comes first
    return made[key]
  end
  return base.new { name = "resize", shown = { "size", "interpolation", "antialias" }, size = size, interpolation = o.interpolation,
    antialias = o.antialias, images = true, floating = true, apply = function(_, x)
      local h, w = x:size(3), x:size(4)
      local to = target
      if short then to = h <= w and { short, short * w // h } or { short * h // w, short } end
      if to[1] == h and to[2] == w then return x end
      if not smooth then return ms.interpolate(x, to, { mode = o.interpolation }) end
      if to[2] ~= w then x = x:matmul(matrix(w, to[2], x):transpose(1, 2)) end
      if to[1] ~= h then x = matrix(h, to[1], x):matmul(x) end
      return x
    end }
end

-- ---- padding and crops -------------------------------------------------------------------------------------------------------------

local MODES = { constant = "constant", edge = "replicate", reflect = "reflect", symmetric = "symmetric" }

-- left, top, right, bottom of a number, { left and right, top and bottom } or all four.
local function sides(what, v)
  if type(v) == "number" then v = { v } end
  if type(v) ~= "table" or #v ~= 1 and #v ~= 2 and #v ~= 4 then
    fail("%s: padding: expected a number, { left and right, top and bottom } or { left, top, right, bottom }", what)
  end
  for i, n in ipairs(v) do
    if not math.tointeger(n) or n < 0 then fail("%s: padding[%d]: expected a whole number from 0 on, got %s", what, i, tostring(n)) end
  end
  local l, t = v[1], v[2] or v[1]
  return { math.tointeger(l), math.tointeger(t), math.tointeger(v[3] or l), math.tointeger(v[4] or t) }
end

-- Positions of a line of `size` with `before` and `after` more, mirrored at its edges, edge pixels included.
local function symmetric(size, before, after)
  local list = {}
  for i = 1 - before, size + after do
    local k = (i - 1) % (2 * size)
    list[#list + 1] = (k < size and k or 2 * size - 1 - k) + 1
  end
  return ms.tensor(list, { dtype = "i64" })
end

local function padded(x, p, mode, fill)
  if p[1] + p[2] + p[3] + p[4] == 0 then return x end
  if mode == "symmetric" then
    x = ms.index_select(x, 3, symmetric(x:size(3), p[2], p[4]):to(x.device))
    return ms.index_select(x, 4, symmetric(x:size(4), p[1], p[3]):to(x.device))
  end
  if mode == "constant" then return x:pad({ p[1], p[3], p[2], p[4] }, "constant", fill) end
  return x:pad({ p[1], p[3], p[2], p[4] }, MODES[mode])
end

-- pad(padding [, { fill = 0, padding_mode = "constant" }]): pixels put on: a number on all sides, { left and right, top and bottom }, or
-- { left, top, right, bottom }. padding_mode: constant (fill), edge (the edge's pixels), reflect (mirrored, without the edge), symmetric
-- (mirrored, with it).
function sizes.pad(padding, given)
  local o = options.read("pad", given, { fill = 0, padding_mode = "constant" })
  base.word("pad", "padding_mode", o.padding_mode, { "constant", "edge", "reflect", "symmetric" })
  base.number("pad", "fill", o.fill)
  local p = sides("pad", padding)
  return base.new { name = "pad", shown = { "padding", "fill", "padding_mode" }, padding = p, fill = o.fill, padding_mode = o.padding_mode,
    images = true, apply = function(_, x) return padded(x, p, o.padding_mode, o.fill) end }
end

local function half_even(v) -- Python's round, which center_crop is defined by
  local low = math.floor(v)
  if v - low == 0.5 then return low % 2 == 0 and low or low + 1 end
  return math.floor(v + 0.5)
end

-- center_crop(size): the middle { height, width } of each image; an image that is smaller gets zeros around it first.
function sizes.center_crop(size)
  local to = base.size("center_crop", size)
  return base.new { name = "center_crop", shown = { "size" }, size = to, images = true, apply = function(_, x)
    local h, w = x:size(3), x:size(4)
    if h < to[1] or w < to[2] then
      local dh, dw = math.max(to[1] - h, 0), math.max(to[2] - w, 0)
      x = padded(x, { dw // 2, dh // 2, (dw + 1) // 2, (dh + 1) // 2 }, "constant", 0)
      h, w = x:size(3), x:size(4)
    end
    local top, left = half_even((h - to[1]) / 2), half_even((w - to[2]) / 2)
    return x[{ {}, {}, { top + 1, top + to[1] }, { left + 1, left + to[2] } }]
  end }
end

-- Cut h x w out of each image, from rows top and columns left on (N numbers each, from 0).
local function cut(x, top, left, h, w)
  local n, c = #x, x:size(2)
  local function places(from, count)
    return (ms.arange(1, count, { device = x.device }):unsqueeze(1) + from:unsqueeze(2)):to "i64"
  end
  local rows, columns = places(top, h):reshape { n, 1, h, 1 }, places(left, w):reshape { n, 1, 1, w }
  return x:gather(3, rows:expand { n, c, h, x:size(4) }):gather(4, columns:expand { n, c, h, w })
end

-- random_crop(size [, { padding =, pad_if_needed = false, fill = 0, padding_mode = "constant" }]): { height, width } at a random place of
-- each image, which is padded first (padding as for pad; pad_if_needed: where it is smaller than that).
function sizes.random_crop(size, given)
  local what = "random_crop"
  local o = options.read(what, given, { padding = any, pad_if_needed = false, fill = 0, padding_mode = "constant" })
  base.word(what, "padding_mode", o.padding_mode, { "constant", "edge", "reflect", "symmetric" })
  base.number(what, "fill", o.fill)
  local to, p = base.size(what, size), o.padding ~= nil and sides(what, o.padding)
  return base.new { name = what, shown = { "size", "padding", "pad_if_needed", "fill", "padding_mode" }, size = to, padding = p,
    pad_if_needed = o.pad_if_needed, fill = o.fill, padding_mode = o.padding_mode, images = true, random = true,
    apply = function(_, x, draws)
      if p then x = padded(x, p, o.padding_mode, o.fill) end
      if o.pad_if_needed then
        local dh, dw = math.max(to[1] - x:size(3), 0), math.max(to[2] - x:size(4), 0)
        x = padded(x, { dw, dh, dw, dh }, o.padding_mode, o.fill)
      end
      local h, w = x:size(3), x:size(4)
      if h < to[1] or w < to[2] then fail("%s: %d x %d is larger than the images, %d x %d", what, to[1], to[2], h, w) end
      return cut(x, draws:whole(0, h - to[1]), draws:whole(0, w - to[2]), to[1], to[2])
    end }
end

-- ---- flips -------------------------------------------------------------------------------------------------------------------------

local function flip(name, dim, given)
  local p = base.only_p(name, given, 0.5)
  return base.new { name = name, shown = { "p" }, p = p, images = true, random = true, apply = function(_, x, draws)
    return ms.where(base.per_item(draws:chance(p), x), x:flip { dim }, x)
  end }
end

-- random_horizontal_flip(p = 0.5): left and right swapped with probability p.
function sizes.random_horizontal_flip(p) return flip("random_horizontal_flip", 4, p) end
-- random_vertical_flip(p = 0.5): top and bottom swapped with probability p.
function sizes.random_vertical_flip(p) return flip("random_vertical_flip", 3, p) end

-- horizontal_flip(): left and right swapped, always.
function sizes.horizontal_flip(...)
  options.none("horizontal_flip", ...)
  return base.new { name = "horizontal_flip", images = true, apply = function(_, x) return x:flip { 4 } end,
    undo = function() return sizes.horizontal_flip() end }
end
-- vertical_flip(): top and bottom swapped, always.
function sizes.vertical_flip(...)
  options.none("vertical_flip", ...)
  return base.new { name = "vertical_flip", images = true, apply = function(_, x) return x:flip { 3 } end,
    undo = function() return sizes.vertical_flip() end }
end

return sizes
