-- transforms.geometry: images turned, shifted, scaled and sheared about a point.
--
-- All of them read the result's pixel (x, y), in pixels from the middle of the image, at the source's M (x, y, 1); M is torchvision's
-- inverse affine matrix: shear, scale, rotation about the centre, then translation, undone. Angles are in degrees.
local ms = require "mascon"
local base = require "mascon.transforms.base"
local options = require "mascon.options"
local any, fail = options.any, options.raise
local geometry = {}

-- N x 2 x 3. a: angle (clockwise), tx, ty, scale, sx, sy (shear), each of N numbers or one number; cx, cy: the centre, from the middle.
local function inverse_matrix(n, a, device)
  local function many(v)
    if type(v) == "number" then return ms.full({ n }, v, { device = device }) end
    return v
  end
  local rad = math.pi / 180
  local rot, sx, sy = many(a.angle) * rad, many(a.sx) * rad, many(a.sy) * rad
  local scale, tx, ty = many(a.scale), many(a.tx) + a.cx, many(a.ty) + a.cy
  local turned = rot - sy
  local p, q = turned:cos() / sy:cos(), turned:sin() / sy:cos()
  local r, s = rot:sin() + p * sx:tan(), rot:cos() - q * sx:tan()
  local m = { s / scale, r / scale, -q / scale, p / scale }
  return ms.stack({ m[1], m[2], a.cx - m[1] * tx - m[2] * ty, m[3], m[4], a.cy - m[3] * tx - m[4] * ty }, 2):reshape { n, 2, 3 }
end

-- Read x by M; beyond the image lies fill.
local function warp(x, m, interpolation, fill)
  local n, h, w = #x, x:size(3), x:size(4)
  -- from pixels to -1..1 over the image, on both sides
  local by = ms.tensor({ { 1, h / w, 2 / w }, { w / h, 1, 2 / h } }, { device = x.device })
  local grid = ms.affine_grid(m * by, { n, 1, h, w }):to(x.dtype)
  local y = ms.grid_sample(x, grid, { mode = interpolation })
  if fill == 0 then return y end
  local inside = ms.grid_sample(ms.ones({ n, 1, h, w }, { dtype = x.dtype, device = x.device }), grid, { mode = interpolation })
  if interpolation == "nearest" then return ms.where(inside:lt(0.5), fill, y) end
  return y * inside + (1 - inside) * fill
end

local MIXED = { interpolation = "nearest", fill = 0, center = any }
local function common(what, given, more)
  local known = {}
  for k, v in pairs(MIXED) do known[k] = v end
  for k, v in pairs(more or {}) do known[k] = v end
  local o = options.read(what, given, known)
  base.word(what, "interpolation", o.interpolation, { "nearest", "bilinear" })
  base.number(what, "fill", o.fill)
  if o.center ~= nil then o.center = base.numbers(what, "center", o.center, 2) end
  return o
end

-- The centre of o, { x, y } in pixels from the top left, as pixels from the middle.
local function centre(o, x)
  if not o.center then return 0, 0 end
  return o.center[1] - x:size(4) * 0.5, o.center[2] - x:size(3) * 0.5
end

local SHOWN = { "degrees", "angle", "translate", "scale", "shear", "interpolation", "fill", "center" }
local function make(name, o, random, values)
  local t = { name = name, shown = SHOWN, images = true, floating = true, random = random, apply = function(_, x, draws)
    local a = { angle = 0, tx = 0, ty = 0, scale = 1, sx = 0, sy = 0 }
    a.cx, a.cy = centre(o, x)
    values(a, x, draws)
    return warp(x, inverse_matrix(#x, a, x.device), o.interpolation, o.fill)
  end }
  for _, k in ipairs(SHOWN) do t[k] = o[k] end
  return base.new(t)
end

-- ---- always the same ---------------------------------------------------------------------------------------------------------------

-- rotate(angle [, { interpolation = "nearest", fill = 0, center = }]): turned counter-clockwise by `angle` degrees about the middle, or
-- about center, { x, y } in pixels from the top left.
function geometry.rotate(angle, given)
  local o = common("rotate", given)
  o.angle = base.number("rotate", "angle", angle)
  return make("rotate", o, false, function(a) a.angle = -angle end)
end

-- affine { angle = 0, translate = { 0, 0 }, scale = 1, shear = { 0, 0 }, interpolation = "nearest", fill = 0, center = }: turned clockwise,
-- shifted (right, down, in pixels), made larger and sheared (degrees along x, y).
function geometry.affine(given)
  local o = common("affine", given, { angle = 0, translate = any, scale = 1, shear = any })
  local t, s = base.numbers("affine", "translate", o.translate or 0, 2), o.shear or { 0, 0 }
  if type(s) == "number" then s = { s, 0 } end
  s = base.numbers("affine", "shear", s, 2)
  base.number("affine", "angle", o.angle)
  if base.number("affine", "scale", o.scale) <= 0 then fail("affine: scale: expected more than 0, got %g", o.scale) end
  o.translate, o.shear = t, s
  return make("affine", o, false, function(a)
    a.angle, a.tx, a.ty, a.scale, a.sx, a.sy = o.angle, t[1], t[2], o.scale, s[1], s[2]
  end)
end

-- shift(x, y [, options]): affine's translate: x pixels to the right and y down.
function geometry.shift(x, y, given)
  local o = common("shift", given)
  o.translate = { base.number("shift", "x", x), base.number("shift", "y", y) }
  return make("shift", o, false, function(a) a.tx, a.ty = x, y end)
end

-- scale(by [, options]): affine's scale: `by` times as large about the middle; the size of the image stays.
function geometry.scale(by, given)
  local o = common("scale", given)
  if base.number("scale", "by", by) <= 0 then fail("scale: by: expected more than 0, got %g", by) end
  o.scale = by
  return make("scale", o, false, function(a) a.scale = by end)
end

-- ---- random ------------------------------------------------------------------------------------------------------------------------

-- random_rotation(degrees [, { interpolation = "nearest", fill = 0, center = }]): counter-clockwise by an angle from { low, high }, or from
-- -degrees to degrees.
function geometry.random_rotation(degrees, given)
  local o = common("random_rotation", given)
  o.degrees = base.range("random_rotation", "degrees", degrees)
  return make("random_rotation", o, true, function(a, _, draws) a.angle = -draws:between(o.degrees[1], o.degrees[2]) end)
end

-- random_affine(degrees [, { translate = { a, b }, scale = { low, high }, shear =, interpolation = "nearest", fill = 0, center = }]):
-- clockwise by an angle from { low, high }, or from -degrees to degrees; shifted by up to a of the width and b of the height, whole pixels;
-- scale times as large; sheared along x by an angle from -shear to shear, { low, high }, or along x and y: { xlow, xhigh, ylow, yhigh }.
function geometry.random_affine(degrees, given)
  local what = "random_affine"
  local o = common(what, given, { translate = any, scale = any, shear = any })
  o.degrees = base.range(what, "degrees", degrees)
  if o.translate ~= nil then
    o.translate = base.numbers(what, "translate", o.translate, 2)
    for i, v in ipairs(o.translate) do base.number(what, ("translate[%d]"):format(i), v, 0, 1) end
  end
  if o.scale ~= nil then o.scale = base.range(what, "scale", o.scale, 1e-6) end
  local shear = o.shear
  if shear ~= nil then
    if type(shear) == "table" and #shear == 4 then
      o.shear = base.numbers(what, "shear", shear, 4)
      base.range(what, "shear", { shear[1], shear[2] })
      base.range(what, "shear", { shear[3], shear[4] })
    else
      o.shear = base.range(what, "shear", shear)
    end
  end
  return make(what, o, true, function(a, x, draws)
    local u = draws:uniform(6) -- all are drawn, so that one does not depend on whether another is wanted
    local function between(k, low, high) return u:select(2, k) * (high - low) + low end
    a.angle = between(1, o.degrees[1], o.degrees[2])
    if o.translate then
      local right, down = o.translate[1] * x:size(4), o.translate[2] * x:size(3)
      a.tx, a.ty = between(2, -right, right):round(), between(3, -down, down):round()
    end
    if o.scale then a.scale = between(4, o.scale[1], o.scale[2]) end
    if o.shear then a.sx = between(5, o.shear[1], o.shear[2]) end
    if o.shear and #o.shear == 4 then a.sy = between(6, o.shear[3], o.shear[4]) end
  end)
end

return geometry
