-- What ?transforms.NAME says. The form is told in docs.lua; T is ms.transforms.
return [==[
transforms: ms.transforms, torchvision's transforms for whole batches
  local T = ms.transforms. For ds:transform(t), a loader's transform = t, or t(x), also in compiled steps. x: images N x C x H x W, or one
  C x H x W. Random ones draw per item, by seed, walk and the item's place in the set. Methods: ?t
  > T.compose { T.random_affine(10, { translate = { 0.1, 0.1 } }), T.normalize(0.5, 0.5) }(ms.rand { 4, 1, 28, 28 }).shape
t: a transform: t(x [, keys]) -> x transformed
  keys: an i64 tensor, one number for each item, by which the random ones draw: the same key, the same change.
  > T.normalize(0.5, 0.5)(ms.rand { 2, 1, 4, 4 }).shape
t:inverse() -> the transform that undoes t; raises where there is none
  > T.normalize(0.5, 0.25):inverse()
transforms.compose { t, t, ... } -> transform
  One after another; functions of a batch may stand among them. t:inverse() undoes them in reverse order.
  > T.compose { T.horizontal_flip(), function(x) return x * 2 end }(ms.rand { 2, 1, 4, 4 }).shape
transforms.lambda(f) -> transform
  f(x, keys) -> x, of a whole batch; keys is nil where none were given.
  > T.lambda(function(x) return 1 - x end)(ms.ones { 1, 1, 2, 2 })
transforms.normalize(mean, std) -> transform
  (x - mean) / std, each a number or one for each channel.
  > T.normalize({ 0.5 }, { 0.25 })(ms.ones { 1, 1, 2, 2 })
transforms.denormalize(mean, std) -> transform
  x std + mean: what undoes normalize(mean, std).
  > T.denormalize(0.5, 0.25)(ms.ones { 1, 1, 2, 2 })
transforms.convert_image_dtype([dtype = "f32"]) -> transform
  u8 0..255 to floating 0..1, and back.
  > T.convert_image_dtype()(ms.ones { 1, 1, 2, 2, dtype = "u8" }).dtype
transforms.adjust { brightness =, contrast =, saturation =, hue = } -> transform
  One after another, by these factors (1: as it is; hue by a part of the circle, -0.5..0.5).
  > T.adjust { brightness = 1.2 }(ms.rand { 2, 3, 4, 4 }).shape
transforms.color_jitter { brightness =, contrast =, saturation =, hue = } -> transform
  Each by a random factor, in a random order: b stands for the range { max(0, 1 - b), 1 + b }, a hue h for { -h, h }; { low, high } says it.
  > T.color_jitter { brightness = 0.2, hue = 0.1 }(ms.rand { 2, 3, 4, 4 }).shape
transforms.grayscale([num_output_channels = 1]) -> transform
  0.2989 red + 0.587 green + 0.114 blue, as one channel or three equal ones.
  > T.grayscale()(ms.rand { 2, 3, 4, 4 }).shape
transforms.random_grayscale([p = 0.1]) -> transform
  Grey with probability p; the number of channels stays.
  > T.random_grayscale(0.5)(ms.rand { 2, 3, 4, 4 }).shape
transforms.gaussian_noise { mean = 0, sigma = 0.1, clip = true } -> transform
  x plus normal noise; clip keeps the sum in 0..1.
  > T.gaussian_noise { sigma = 0.2 }(ms.rand { 2, 1, 4, 4 }).shape
transforms.random_pixel_flip([p = 0.1]) -> transform
  Each pixel turned over, x -> 1 - x, with probability p.
  > T.random_pixel_flip(0.2)(ms.rand { 2, 1, 4, 4 }).shape
transforms.horizontal_flip() -> transform
  Left and right swapped, always.
  > T.horizontal_flip()(ms.arange(1, 4):reshape { 1, 1, 2, 2 })
transforms.vertical_flip() -> transform
  Top and bottom swapped, always.
  > T.vertical_flip()(ms.arange(1, 4):reshape { 1, 1, 2, 2 })
transforms.random_horizontal_flip([p = 0.5]) -> transform
  Left and right swapped with probability p.
  > T.random_horizontal_flip()(ms.rand { 2, 1, 4, 4 }).shape
transforms.random_vertical_flip([p = 0.5]) -> transform
  Top and bottom swapped with probability p.
  > T.random_vertical_flip()(ms.rand { 2, 1, 4, 4 }).shape
transforms.pad(padding [, { fill = 0, padding_mode = "constant" }]) -> transform
  Pixels put on: a number on all sides, { left and right, top and bottom }, or { left, top, right, bottom }. padding_mode: "constant"
  (fill),
  "edge", "reflect" (mirrored, without the edge), "symmetric" (with it).
  > T.pad(2)(ms.rand { 2, 1, 4, 4 }).shape
transforms.center_crop(size) -> transform
  The middle { height, width } of each image; an image that is smaller gets zeros around it first.
  > T.center_crop(2)(ms.rand { 2, 1, 4, 4 }).shape
transforms.random_crop(size [, { padding =, pad_if_needed = false, fill = 0, padding_mode = "constant" }]) -> transform
  { height, width } at a random place of each image, which is padded first.
  > T.random_crop(4, { padding = 1 })(ms.rand { 2, 1, 4, 4 }).shape
transforms.resize(size [, { interpolation = "bilinear", antialias = true }]) -> transform
  Images of another size: { height, width }, or the length of the shorter side. interpolation: "nearest", "nearest-exact", "bilinear",
  "bicubic"; antialias concerns the last two.
  > T.resize(8)(ms.rand { 2, 1, 4, 4 }).shape
transforms.rotate(angle [, { interpolation = "nearest", fill = 0, center = }]) -> transform
  Turned counter-clockwise by `angle` degrees about the middle, or about center, { x, y } in pixels from the top left.
  > T.rotate(90)(ms.rand { 2, 1, 4, 4 }).shape
transforms.shift(x, y [, { interpolation = "nearest", fill = 0 }]) -> transform
  x pixels to the right and y down.
  > T.shift(1, 0)(ms.ones { 1, 1, 2, 2 })
transforms.scale(by [, { interpolation = "nearest", fill = 0, center = }]) -> transform
  `by` times as large about the middle; the size of the image stays.
  > T.scale(2)(ms.rand { 1, 1, 4, 4 }).shape
transforms.affine { angle = 0, translate = { 0, 0 }, scale = 1, shear = { 0, 0 }, interpolation = "nearest", fill = 0,
    center = } -> transform
  Turned clockwise, shifted (right, down, in pixels), made larger and sheared (degrees along x, y).
  > T.affine { angle = 10, scale = 1.1 }(ms.rand { 1, 1, 4, 4 }).shape
transforms.random_rotation(degrees [, { interpolation = "nearest", fill = 0, center = }]) -> transform
  Counter-clockwise by an angle from { low, high }, or from -degrees to degrees.
  > T.random_rotation(15)(ms.rand { 2, 1, 4, 4 }).shape
transforms.random_affine(degrees [, { translate =, scale =, shear =, interpolation = "nearest", fill = 0, center = }]) -> transform
  Clockwise by an angle from { low, high }, or from -degrees to degrees; translate { a, b }: by up to a of the width and b of the height;
  scale { low, high } times as large; sheared by an angle from -shear to shear.
  > T.random_affine(10, { translate = { 0.1, 0.1 }, scale = { 0.9, 1.1 } })(ms.rand { 2, 1, 8, 8 }).shape
transforms.random_apply({ t, ... } [, { p = 0.5 }]) -> transform
  The transforms, for each item with probability p; they must keep the shape.
  > T.random_apply({ T.gaussian_noise() }, { p = 0.3 })(ms.rand { 2, 1, 4, 4 }).shape
transforms.random_erasing { p = 0.5, scale = { 0.02, 0.33 }, ratio = { 0.3, 3.3 }, value = 0 } -> transform
  A rectangle of a random part of the area, at a random place, becomes value: a number, one for each channel, or "random".
  > T.random_erasing { p = 1 }(ms.rand { 2, 1, 8, 8 }).shape
]==]
