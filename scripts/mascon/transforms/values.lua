-- transforms.values: what changes the values of pixels where they are: normalize, noise, pixels turned over, rectangles erased.
local ms = require "mascon"
local base = require "mascon.transforms.base"
local options = require "mascon.options"
local any, fail = options.any, options.raise
local values = {}

-- ---- conversion and normalisation --------------------------------------------------------------------------------------------------

-- convert_image_dtype([dtype = "f32"]): u8 0..255 to floating 0..1, and back (rounded so that each of the 256 values has an equal share of
-- 0..1); floating to floating as they are.
function values.convert_image_dtype(dtype)
  dtype = base.word("convert_image_dtype", "dtype", dtype or "f32", { "f32", "f64", "f16", "bf16", "u8" })
  return base.new { name = "convert_image_dtype", shown = { "dtype" }, dtype = dtype, apply = function(_, x)
    if x.dtype == dtype then return x end
    if x.dtype == "u8" then return x:to(dtype) / 255 end
    if x.dtype == "i64" or x.dtype == "i32" or x.dtype == "bool" then
      fail("convert_image_dtype: expected u8 or floating images, got %s", base.shape_text(x))
    end
    if dtype ~= "u8" then return x:to(dtype) end
    return (x * (255 + 1 - 1e-3)):to "u8"
  end }
end

-- One value for each channel (the second dimension), as 1 x C x 1 x 1 on x's device.
local function per_channel(what, name, list, x)
  if #list == 1 then return list[1] end
  if x:dim() < 2 or x:size(2) ~= #list then
    fail("%s: %s has %d numbers, the images %d channels", what, name, #list, x:size(2))
  end
  local shape = { 1, #list }
  for d = 3, x:dim() do shape[d] = 1 end
  return ms.tensor(list, { dtype = x.dtype, device = x.device }):reshape(shape)
end

local function listed(what, name, v)
  if base.is_number(v) then return { v } end
  if type(v) ~= "table" or #v == 0 then fail("%s: %s: expected a number or one for each channel, got %s", what, name, type(v)) end
  return base.numbers(what, name, v, #v)
end

-- normalize(mean, std): (x - mean) / std, each a number or one for each channel. inverse() gives x std + mean.
function values.normalize(mean, std)
  if type(mean) == "table" and (mean.mean or mean.std) then
    local o = options.read("normalize", mean, { mean = any, std = any })
    mean, std = o.mean, o.std
  end
  mean, std = listed("normalize", "mean", mean), listed("normalize", "std", std)
  for i, s in ipairs(std) do
    if s <= 0 then fail("normalize: std[%d]: expected more than 0, got %g", i, s) end
  end
  return base.new { name = "normalize", shown = { "mean", "std" }, mean = mean, std = std, floating = true, apply = function(_, x)
    return (x - per_channel("normalize", "mean", mean, x)) / per_channel("normalize", "std", std, x)
  end, undo = function() return values.denormalize(mean, std) end }
end

-- denormalize(mean, std): x std + mean, what undoes normalize(mean, std).
function values.denormalize(mean, std)
  local there = values.normalize(mean, std)
  mean, std = there.mean, there.std
  return base.new { name = "denormalize", shown = { "mean", "std" }, mean = mean, std = std, floating = true, apply = function(_, x)
    return x * per_channel("denormalize", "std", std, x) + per_channel("denormalize", "mean", mean, x)
  end, undo = function() return there end }
end

-- ---- noise -------------------------------------------------------------------------------------------------------------------------

-- How many elements an item has.
local function per_one(x) return x:numel() // math.max(#x, 1) end

-- gaussian_noise { mean = 0, sigma = 0.1, clip = true }: x plus normal noise; clip keeps the sum in 0..1.
function values.gaussian_noise(given)
  local o = options.read("gaussian_noise", given, { mean = 0.0, sigma = 0.1, clip = true })
  base.number("gaussian_noise", "mean", o.mean)
  base.number("gaussian_noise", "sigma", o.sigma, 0)
  return base.new { name = "gaussian_noise", shown = { "mean", "sigma", "clip" }, mean = o.mean, sigma = o.sigma, clip = o.clip,
    floating = true, random = true, apply = function(_, x, draws)
      local y = x + (draws:normal(per_one(x)) * o.sigma + o.mean):reshape(x.shape):to(x.dtype)
      return o.clip and y:clamp(0, 1) or y
    end }
end

-- random_pixel_flip(p = 0.1): each pixel turned over, x -> 1 - x, with probability p.
function values.random_pixel_flip(p)
  p = base.only_p("random_pixel_flip", p, 0.1)
  return base.new { name = "random_pixel_flip", shown = { "p" }, p = p, floating = true, random = true, apply = function(_, x, draws)
    local hit = draws:uniform(per_one(x)):reshape(x.shape):lt(p)
    return ms.where(hit, 1 - x, x)
  end }
end

-- random_erasing { p = 0.5, scale = { 0.02, 0.33 }, ratio = { 0.3, 3.3 }, value = 0 }: a rectangle of a random part of the area (scale), of
-- a random height / width (ratio), at a random place, becomes value: a number, one for each channel, or "random" (normal numbers). An
-- image in which ten tries found no rectangle that fits stays as it is.
function values.random_erasing(given)
  local what = "random_erasing"
  local o = options.read(what, given, { p = 0.5, scale = { 0.02, 0.33 }, ratio = { 0.3, 3.3 }, value = any })
  base.probability(what, o.p)
  local scale, ratio = base.range(what, "scale", o.scale, 0), base.range(what, "ratio", o.ratio, 1e-6)
  if scale[2] > 1 then fail("%s: scale: expected parts of the area, up to 1, got %g", what, scale[2]) end
  local value = o.value == nil and { 0 } or o.value ~= "random" and listed(what, "value", o.value) or "random"
  local tries = 10
  return base.new { name = what, shown = { "p", "scale", "ratio", "value" }, p = o.p, scale = scale, ratio = ratio, value = value,
    images = true, floating = true, random = true, apply = function(_, x, draws)
      local n, height, width = #x, x:size(3), x:size(4)
      local hit, u, v, place = draws:chance(o.p), draws:uniform(tries), draws:uniform(tries), draws:uniform(2)
      local area = (u * (scale[2] - scale[1]) + scale[1]) * (height * width)
      local log_low, log_high = math.log(ratio[1]), math.log(ratio[2])
      local aspect = (v * (log_high - log_low) + log_low):exp()
      local h, w = (area * aspect):sqrt():round(), (area / aspect):sqrt():round() -- n x tries
      local fits = ms.logical_and(h:lt(height), w:lt(width)):to "f32"
      local some, first = fits:max(2) -- the first that fits
      first = first:unsqueeze(2)
      h, w = h:gather(2, first):reshape { n }, w:gather(2, first):reshape { n }
      local function stripe(count, size, u01) -- n x size: true where the rectangle is
        local from = ms.minimum((u01 * (size - count + 1)):floor(), size - count):unsqueeze(2)
        local at = ms.arange(0, size - 1, { device = x.device }):unsqueeze(1)
        return ms.logical_and(at:ge(from), at:lt(from + count:unsqueeze(2)))
      end
      local rows, columns = stripe(h, height, place:select(2, 1)), stripe(w, width, place:select(2, 2))
      local inside = ms.logical_and(rows:reshape { n, 1, height, 1 }, columns:reshape { n, 1, 1, width })
      inside = ms.logical_and(inside, ms.logical_and(hit, some:gt(0)):reshape { n, 1, 1, 1 })
      if value == "random" then return ms.where(inside, draws:normal(per_one(x)):reshape(x.shape):to(x.dtype), x) end
      return ms.where(inside, per_channel(what, "value", value, x), x)
    end }
end

return values
