-- luacheck: globals TestTorchvision TestKeys TestRandom TestCompose
-- gcstress: every 20
local lu = require "luaunit"
local ms = require "mascon"
local json = require "mascon.json"
local T = ms.transforms

local function keys_of(n) return ms.arange(1, n, { dtype = "i64" }) * 7919 end

-- ---- definitions -------------------------------------------------------------------------------------------------------------------

TestTorchvision = {} -- what torchvision gives for the same images (tests/peers/make_transforms.py)

local function kept()
  local f <close> = assert(io.open "tests/data/transforms.json")
  return json.decode(f:read "a")
end

function TestTorchvision.test_values()
  local data, counts = kept(), {}
  local images = { image = ms.tensor(data.image):reshape(data.shape) }
  images.grey = images.image[{ {}, { 1, 1 } }]
  for _, case in ipairs(data.cases) do
    local what = ("%s(%s)"):format(case.name, case.args)
    local t = T[case.name](load("return " .. case.args)())
    local y = t(images[case.x])
    lu.assertEquals(table.concat(y.shape, " "), table.concat(case.shape, " "), what)
    local want = ms.tensor(case.values):reshape(case.shape)
    local off = (y:float() - want):abs()
    -- nearest takes the other pixel where a point falls between two; 2 % of them may
    local wrong = off:gt(2e-5):float():mean():item()
    local allowed = case.args:find "nearest" and case.name ~= "resize" and 0.02 or 0
    if wrong > allowed then lu.fail(("%s: %g %% differ, by up to %g"):format(what, wrong * 100, off:amax():item())) end
    local one = t(images[case.x][2]) -- an image without a batch
    lu.assertEquals(one:dim(), 3, what)
    lu.assertTrue((one:float() - y[2]:float()):abs():amax():item() < 1e-6, what)
    counts[case.name] = (counts[case.name] or 0) + 1
  end
  lu.assertEquals(counts, { normalize = 1, horizontal_flip = 1, vertical_flip = 1, resize = 20, center_crop = 4, pad = 9, rotate = 12,
    affine = 4, shift = 2, scale = 2, adjust = 20, grayscale = 2, convert_image_dtype = 1 })
end

function TestTorchvision.test_conversion()
  local bytes = ms.arange(0, 255, { dtype = "i64" }):to("u8"):reshape { 1, 256 }
  local floats = T.convert_image_dtype()(bytes)
  lu.assertEquals({ floats.dtype, floats:amax():item(), floats[{ 1, 52 }]:item() }, { "f32", 1, ms.tensor(51 / 255):item() })
  lu.assertTrue(T.convert_image_dtype("u8")(floats):equal(bytes))
  lu.assertEquals(T.convert_image_dtype("f64")(bytes).dtype, "f64")
  lu.assertTrue(T.convert_image_dtype()(floats):equal(floats))
end

-- ---- keys --------------------------------------------------------------------------------------------------------------------------

local RANDOM = {
  random_affine = T.random_affine(30, { translate = { 0.2, 0.1 }, scale = { 0.7, 1.3 }, shear = { -10, 10, -5, 5 },
    interpolation = "bilinear" }),
  random_rotation = T.random_rotation { -90, 90 }, random_crop = T.random_crop({ 5, 4 }, { padding = 2 }),
  random_horizontal_flip = T.random_horizontal_flip(), random_vertical_flip = T.random_vertical_flip { p = 0.4 },
  gaussian_noise = T.gaussian_noise { sigma = 0.2 }, random_pixel_flip = T.random_pixel_flip(0.3),
  random_erasing = T.random_erasing { p = 0.8, value = "random" }, random_grayscale = T.random_grayscale(0.5),
  color_jitter = T.color_jitter { brightness = 0.4, contrast = 0.4, saturation = 0.4, hue = 0.2 },
  random_apply = T.random_apply({ T.horizontal_flip(), T.random_pixel_flip(0.2) }, { p = 0.5 }),
}
RANDOM.compose = T.compose { RANDOM.random_affine, RANDOM.color_jitter, RANDOM.random_erasing, RANDOM.random_horizontal_flip }

TestKeys = {} -- what an item becomes depends on it and its key only

function TestKeys.test_neither_batch_nor_order()
  ms.seed(1)
  local x, keys = ms.rand { 12, 3, 8, 9 }, keys_of(12)
  for name, t in pairs(RANDOM) do
    local all = t(x, keys)
    local order = ms.tensor({ 7, 1, 12, 3, 9 }, { dtype = "i64" })
    lu.assertTrue(t(ms.index_select(x, 1, order), ms.index_select(keys, 1, order)):equal(ms.index_select(all, 1, order)), name)
    for i = 1, 12, 5 do lu.assertTrue(t(x[i], keys[{ { i, i } }]):equal(all[i]), name) end
    lu.assertFalse(t(x, keys + 1):equal(all), name)
    local state = { ms.rng_state() }
    t(x, keys)
    lu.assertEquals({ ms.rng_state() }, state, name) -- the keys suffice
    local free = t(x)
    lu.assertFalse(t(x):equal(free), name)
    ms.rng_state(table.unpack(state))
    lu.assertTrue(t(x):equal(free), name)
  end
end

function TestKeys.test_compiled_steps_do_the_same()
  ms.seed(2)
  local x = ms.rand { 6, 3, 8, 9 }
  for name, t in pairs(RANDOM) do
    local step = ms.compile(function(x_, keys) return t(x_, keys) end)
    for k = 1, 5 do
      local keys = keys_of(6) + k
      local ok, why = step(x, keys):allclose(t(x, keys), { rtol = 1e-5, atol = 1e-5 })
      lu.assertTrue(ok, name .. ": " .. tostring(why))
    end
    local free = ms.compile(function(x_) return t(x_) end) -- draws its keys
    local seen = {}
    for k = 1, 5 do seen[k] = free(x) end
    lu.assertFalse(seen[4]:equal(seen[5]), name)
  end
end

function TestKeys.test_threads()
  local threads = ms.threads()
  local x, keys = ms.rand { 256, 1, 28, 28 }, keys_of(256)
  local t = T.compose { T.random_affine(10, { translate = 0.1, interpolation = "bilinear" }), T.gaussian_noise() }
  ms.threads(1)
  local one = t(x, keys)
  ms.threads(threads)
  lu.assertTrue(t(x, keys):equal(one))
end

function TestKeys.test_loaders_key_by_the_place_in_the_set()
  local n = 20
  local images = ms.arange(1, n):reshape { n, 1, 1, 1 }:expand({ n, 1, 2, 2 }):contiguous() * 1000
  local ds = ms.data.tensors { images }
  local noise = T.gaussian_noise { clip = false }
  -- item -> its noise, in a walk
  local function noises(loader)
    local by = {}
    for x in loader do
      for i = 1, #x do
        local item = math.floor(x[{ i, 1, 1, 1 }]:item() / 1000 + 0.5)
        by[item] = (x[i] - 1000 * item):reshape({ -1 }):totable()
      end
    end
    return by
  end
  local first = noises(ds:loader { batch = 7, seed = 5, transform = noise })
  lu.assertEquals(#first, n)
  lu.assertNotEquals(first[1], first[2])
  lu.assertEquals(noises(ds:loader { batch = 20, seed = 5, transform = noise }), first)
  local shuffled = ds:loader { batch = 3, seed = 5, shuffle = true, transform = noise }
  lu.assertEquals(noises(shuffled), first)
  local second = noises(shuffled) -- another walk, other noise
  lu.assertNotEquals(second, first)
  local late = ds:loader { batch = 4, seed = 5, transform = noise }
  late.epoch = 1
  lu.assertEquals(noises(late), second)
  lu.assertNotEquals(noises(ds:loader { seed = 6, transform = noise }), first)
  -- parts of the set keep its places
  for _, part in ipairs { ds:subset(11, 20):subset(3, 6), ds:subset { 16, 13, 14, 15 }, ds:subset(11, 20):subset { 4, 5, 6, 3 } } do
    local got = noises(part:loader { seed = 5, transform = noise })
    for item = 13, 16 do lu.assertEquals(got[item], first[item]) end
  end
  lu.assertEquals(noises(ds:loader { seed = 5, transform = noise, sampler = { 3, 9 } })[9], first[9])
  -- without a seed the default generator decides, at the start of a walk
  ms.seed(3)
  local a = noises(ds:loader { transform = noise })
  lu.assertNotEquals(noises(ds:loader { transform = noise }), a)
  ms.seed(3)
  lu.assertEquals(noises(ds:loader { transform = noise }), a)
  local state = { ms.rng_state() }
  for _ in ds:loader { transform = T.normalize(0, 1) } do end -- luacheck: ignore 542
  lu.assertEquals({ ms.rng_state() }, state)
  -- functions get the keys
  local seen
  lu.assertEquals(noises(ds:loader { seed = 5, transform = function(x, y, keys)
    seen = { y, keys.dtype, #keys }
    return noise(x, keys)
  end }), first)
  lu.assertEquals(seen, { nil, "i64", 20 })
end

function TestKeys.test_sets_with_transforms()
  local ds = ms.data.tensors { ms.ones { 10, 1, 2, 2 }, ms.arange(1, 10, { dtype = "i64" }) }
  local train, val = ds:split { 0.8, 0.2 }
  train, val = train:transform(function(x, y) return x * 2, y end), val:transform(T.normalize(1, 2))
  lu.assertEquals({ train:images():mean():item(), val:images():mean():item(), ds:images():mean():item() }, { 2, 0, 1 })
  lu.assertEquals(train[1]:mean():item(), 2)
  for x, y in train:loader { transform = false } do lu.assertEquals({ x:mean():item(), #y }, { 1, 8 }) end
  for x in train:loader { transform = T.normalize(1, 2) } do lu.assertEquals(x:mean():item(), 0) end
  lu.assertEquals(train:transform(false):images():mean():item(), 1)
  lu.assertEquals(val:map(function(x) return x:flatten(2) end):mean():item(), 0)
  lu.assertErrorMsgContains("transform: transform: expected a function, got number", ds.transform, ds, 3)
  lu.assertErrorMsgContains("expected a transform, a function or false, got nil", ds.transform, ds)
end

-- ---- distributions -----------------------------------------------------------------------------------------------------------------

TestRandom = {}

function TestRandom.test_uniform_per_key()
  local inside = require "mascon.inside"
  local u = inside.item_uniform(keys_of(1000), 30, 2)
  lu.assertEquals(table.concat(u.shape, " "), "1000 30")
  lu.assertTrue(u:amin():item() >= 0 and u:amax():item() < 1)
  lu.assertAlmostEquals(u:mean():item(), 0.5, 0.01)
  lu.assertAlmostEquals(u:var():item(), 1 / 12, 0.002)
  lu.assertTrue(inside.item_uniform(keys_of(1000), 7, 2):equal(u[{ {}, { 1, 7 } }]))
  lu.assertFalse(inside.item_uniform(keys_of(1000), 30, 3):equal(u))
  local k = keys_of(10):reshape({ 5, 2 }):select(2, 2) -- with gaps between
  lu.assertTrue(inside.item_uniform(k, 5):equal(inside.item_uniform(k:contiguous(), 5)))
  lu.assertEquals(table.concat(inside.item_uniform(keys_of(4), 0).shape, " "), "4 0")
  lu.assertErrorMsgContains("keys are 2 f32, expected one i64 for each item", inside.item_uniform, ms.ones { 2 }, 3)
  lu.assertErrorMsgContains("stream -1", inside.item_uniform, keys_of(2), 3, -1)
end

function TestRandom.test_flips_and_noise()
  ms.seed(1)
  local x = ms.arange(1, 6):reshape({ 1, 1, 2, 3 }):expand({ 2000, 1, 2, 3 }) / 10
  local mirrored = T.random_horizontal_flip(0.3)(x)
  lu.assertAlmostEquals(mirrored[{ {}, 1, 1, 1 }]:gt(0.2):float():mean():item(), 0.3, 0.04)
  lu.assertTrue(T.random_horizontal_flip(1)(x):equal(x:flip { 4 }))
  lu.assertTrue(T.random_vertical_flip(1)(x):equal(T.vertical_flip()(x)))
  lu.assertTrue(T.random_vertical_flip(0)(x):equal(x))
  local grey = ms.full({ 500, 1, 8, 8 }, 0.5)
  local noisy = T.gaussian_noise { mean = 0.1, sigma = 0.05 }(grey)
  lu.assertAlmostEquals(noisy:mean():item(), 0.6, 0.002)
  lu.assertAlmostEquals(noisy:std():item(), 0.05, 0.001)
  lu.assertTrue(T.gaussian_noise { sigma = 3 }(grey):amax():item() <= 1)
  local turned = T.random_pixel_flip(0.1)(ms.full({ 500, 1, 8, 8 }, 0.25))
  lu.assertAlmostEquals(turned:eq(0.75):float():mean():item(), 0.1, 0.01)
  lu.assertEquals((turned:eq(0.75):float() + turned:eq(0.25):float()):amin():item(), 1)
end

function TestRandom.test_geometry()
  ms.seed(1)
  local point = ms.zeros { 1, 1, 15, 15 }
  point[{ 1, 1, 8, 8 }] = 1
  local x = point:expand { 2000, 1, 15, 15 }
  -- shifts: whole pixels, up to 0.2 * 15 = 3 to each side
  local moved = T.random_affine(0, { translate = { 0.2, 0 } })(x)
  lu.assertEquals(moved:sum():item(), 2000)
  local where = moved:sum({ 1, 2, 3 })
  lu.assertEquals({ where[4]:item(), where[12]:item() }, { 0, 0 })
  for i = 5, 11 do lu.assertTrue(where[i]:item() > 100) end
  lu.assertEquals(moved[{ {}, 1, 8 }]:sum():item(), 2000) -- never up or down
  -- as the fixed one says, for the angle that was drawn
  local y = ms.rand { 4, 2, 9, 9 }
  lu.assertTrue(T.random_rotation({ 40, 40 })(y):allclose(T.rotate(40)(y)))
  local fixed = T.affine { angle = 10, scale = 1.2, shear = { 5, 0 }, interpolation = "bilinear", fill = 0.5 }
  lu.assertTrue(T.random_affine({ 10, 10 }, { scale = { 1.2, 1.2 }, shear = { 5, 5 }, interpolation = "bilinear", fill = 0.5 })(y)
    :allclose(fixed(y), { atol = 1e-5 }))
  -- crops: every place, equally often
  local board = ms.arange(1, 12):reshape({ 1, 1, 3, 4 }):expand { 3000, 1, 3, 4 }
  local corner = T.random_crop({ 2, 3 })(board)[{ {}, 1, 1, 1 }]
  for _, v in ipairs { 1, 2, 5, 6 } do lu.assertAlmostEquals(corner:eq(v):float():mean():item(), 0.25, 0.03) end
  lu.assertEquals(table.concat(T.random_crop({ 5, 5 }, { pad_if_needed = true })(board).shape, " "), "3000 1 5 5")
end

function TestRandom.test_erasing()
  ms.seed(1)
  local x = ms.ones { 1000, 1, 20, 20 }
  local y = T.random_erasing { p = 0.6, scale = { 0.1, 0.2 }, ratio = { 0.5, 2 } }(x)
  local part = 1 - y:mean { 2, 3, 4 }
  lu.assertAlmostEquals(part:gt(0):float():mean():item(), 0.6, 0.05)
  local erased = part[part:gt(0)]
  lu.assertTrue(erased:amin():item() > 0.08 and erased:amax():item() < 0.23)
  lu.assertAlmostEquals(erased:mean():item(), 0.15, 0.01)
  -- it is one rectangle: rows that are touched times columns
  local hole = 1 - y
  local rows, columns = hole:amax({ 4 }):sum { 2, 3 }, hole:amax({ 3 }):sum { 2, 3 }
  lu.assertTrue((rows * columns):equal(hole:sum { 2, 3, 4 }))
  lu.assertTrue(T.random_erasing { p = 1, scale = { 1, 1 }, ratio = { 1, 1 } }(x):equal(x)) -- nothing smaller than the image fits
  local rgb = T.random_erasing { p = 1, value = { 0.1, 0.2, 0.3 } }(ms.ones { 8, 3, 10, 10 })
  lu.assertEquals(rgb:amin({ 1, 3, 4 }):totable(), ms.tensor({ 0.1, 0.2, 0.3 }):totable())
end

function TestRandom.test_colours()
  ms.seed(1)
  local x = ms.rand { 300, 3, 4, 4 } * 0.5 + 0.1
  local brighter = T.color_jitter { brightness = { 1.5, 1.5 } }(x)
  lu.assertTrue(brighter:allclose(T.adjust { brightness = 1.5 }(x)))
  local factor = T.color_jitter { brightness = 0.2 }(x) / x
  local per_image = factor:mean { 2, 3, 4 }
  lu.assertTrue(per_image:amin():item() > 0.79 and per_image:amax():item() < 1.21 and per_image:std():item() > 0.09)
  -- contrast and brightness do not commute: both orders occur, and nothing else
  local t = T.color_jitter { brightness = { 2.5, 2.5 }, contrast = { 0.5, 0.5 } }(x)
  local one = T.compose { T.adjust { brightness = 2.5 }, T.adjust { contrast = 0.5 } }(x)
  local other = T.compose { T.adjust { contrast = 0.5 }, T.adjust { brightness = 2.5 } }(x)
  local first = (t - one):abs():amax({ 2, 3, 4 }):lt(1e-5):float()
  local second = (t - other):abs():amax({ 2, 3, 4 }):lt(1e-5):float()
  lu.assertEquals(ms.maximum(first, second):amin():item(), 1)
  lu.assertAlmostEquals(first:mean():item(), 0.5, 0.12)
  local grey = T.random_grayscale(0.25)(x)
  lu.assertAlmostEquals(grey:std(2):amax({ 2, 3 }):lt(1e-6):float():mean():item(), 0.25, 0.08)
  lu.assertTrue(T.color_jitter { hue = 0.5, saturation = 0.9 }(x[{ {}, { 1, 1 } }]):equal(x[{ {}, { 1, 1 } }]))
end

-- ---- pipelines ---------------------------------------------------------------------------------------------------------------------

TestCompose = {}

-- What a transform keeps for later calls outlives the scope it was made in.
function TestCompose.test_in_scopes()
  local t = T.compose { T.resize({ 5, 3 }), T.resize(4, { interpolation = "bicubic" }) }
  local x = ms.rand { 2, 1, 8, 9 }
  local want = t(x)
  t = T.compose { T.resize({ 5, 3 }), T.resize(4, { interpolation = "bicubic" }) }
  for _ = 1, 3 do
    local scope <close> = ms.scope() -- luacheck: ignore scope
    lu.assertTrue(t(x):equal(want))
  end
end

function TestCompose.test_prints_itself()
  local t = T.compose { T.resize(8), T.random_apply({ T.random_rotation(10) }, { p = 0.3 }), T.normalize({ 0.5, 0.25 }, 2) }
  lu.assertEquals(tostring(t), [[
compose {
  resize(size = 8, interpolation = "bilinear", antialias = true),
  random_apply { p = 0.3,
    random_rotation(degrees = { -10, 10 }, interpolation = "nearest", fill = 0)
  },
  normalize(mean = { 0.5, 0.25 }, std = { 2 })
}]])
end

function TestCompose.test_order_inverse_and_functions()
  local x = ms.rand { 3, 2, 4, 4 }
  local t = T.compose { T.normalize(0.5, 0.25), T.horizontal_flip(), T.normalize({ 1, 2 }, { 2, 4 }) }
  lu.assertTrue(t:inverse()(t(x)):allclose(x, { atol = 1e-6 }))
  lu.assertTrue(T.normalize(0.1, 0.3):inverse()(T.normalize(0.1, 0.3)(x)):allclose(x, { atol = 1e-6 }))
  lu.assertErrorMsgContains("random_rotation: it has no inverse", function() T.compose { T.random_rotation(3) }:inverse() end)
  local got
  local l = T.compose { function(v, keys)
    got = keys
    return v * 2
  end, T.lambda(function(v) return v + 1 end) }
  lu.assertTrue(l(x):equal(x * 2 + 1))
  lu.assertNil(got)
  l(x, keys_of(3))
  lu.assertTrue(got:equal(keys_of(3)))
  -- two of a kind draw different numbers
  local twice = T.compose { T.random_horizontal_flip(), T.random_horizontal_flip() }
  local many = ms.arange(1, 2):reshape({ 1, 1, 1, 2 }):expand { 1000, 1, 1, 2 }
  lu.assertAlmostEquals(twice(many)[{ {}, 1, 1, 1 }]:eq(2):float():mean():item(), 0.5, 0.06)
  -- gradients pass
  local w = ms.rand({ 2, 1, 5, 5 }, { requires_grad = true })
  T.affine { angle = 10, interpolation = "bilinear" }(w):sum():backward()
  lu.assertTrue(w.grad:abs():sum():item() > 0)
  -- an empty batch
  for name, r in pairs(RANDOM) do lu.assertEquals(r(ms.zeros { 0, 3, 8, 9 }):size(1), 0, name) end
end

function TestCompose.test_bad_arguments()
  local x = ms.rand { 2, 3, 4, 4 }
  for message, call in pairs {
    ["random_rotation: degrees: expected { low, high } or one number"] = function() T.random_rotation(-3) end,
    ["random_rotation: interpolation: expected nearest, bilinear, got cubic"] = function()
      T.random_rotation(3, { interpolation = "cubic" })
    end,
    ["random_rotation: unknown option 'centre'; did you mean center?"] = function() T.random_rotation(3, { centre = { 1, 1 } }) end,
    ["random_affine: translate[1]: expected a number in 0..1, got 2"] = function() T.random_affine(3, { translate = 2 }) end,
    ["random_affine: scale: expected { low, high }"] = function() T.random_affine(3, { scale = { 0, 1 } }) end,
    ["affine: scale: expected more than 0, got 0"] = function() T.affine { scale = 0 } end,
    ["rotate: angle: expected a number, got nil"] = function() T.rotate() end,
    ["random_horizontal_flip: p: expected a number in 0..1, got 1.5"] = function() T.random_horizontal_flip(1.5) end,
    ["normalize: std[2]: expected more than 0, got 0"] = function() T.normalize(0, { 1, 0 }) end,
    ["normalize: mean: expected a number or one for each channel, got nil"] = function() T.normalize() end,
    ["normalize: mean has 2 numbers, the images 3 channels"] = function() T.normalize({ 1, 2 }, 1)(x) end,
    ["resize: size: expected a whole number from 1 on, got 0"] = function() T.resize(0) end,
    ["center_crop: size: expected a number or { height, width }, got nil"] = function() T.center_crop() end,
    ["random_crop: 5 x 5 is larger than the images, 4 x 4"] = function() T.random_crop(5)(x) end,
    ["pad: padding[1]: expected a whole number from 0 on, got -1"] = function() T.pad(-1) end,
    ["pad: padding_mode: expected constant, edge, reflect, symmetric, got mirror"] = function() T.pad(1, { padding_mode = "mirror" }) end,
    ["color_jitter: hue: expected -0.5..0.5, got -0.7..0.7"] = function() T.color_jitter { hue = 0.7 } end,
    ["color_jitter: expected 1 or 3 channels, got 2 x 2 x 4 x 4 f32"] = function()
      T.color_jitter { hue = 0.1 }(ms.rand { 2, 2, 4, 4 })
    end,
    ["grayscale: num_output_channels: expected 1 or 3, got 2"] = function() T.grayscale(2) end,
    ["random_erasing: scale: expected parts of the area, up to 1, got 2"] = function() T.random_erasing { scale = { 0, 2 } } end,
    ["convert_image_dtype: dtype: expected f32"] = function() T.convert_image_dtype "i64" end,
    ["gaussian_noise: sigma: expected a number from 0 on, got -1"] = function() T.gaussian_noise { sigma = -1 } end,
    ["compose: expected a list of transforms"] = function() T.compose {} end,
    ["compose: 2: expected a transform or a function, got number"] = function() T.compose { T.resize(3), 3 } end,
    ["compose: unknown option 'p'"] = function() T.compose { T.resize(3), p = 1 } end,
    ["lambda: expected a tensor from the function, got nil"] = function() T.lambda(function() end)(x) end,
    ["rotate: expected a batch, a tensor, got table"] = function() T.rotate(3) {} end,
    ["rotate: expected images N x C x H x W or C x H x W, got 3 x 4 f32"] = function() T.rotate(3)(ms.ones { 3, 4 }) end,
    ["expected floating images, got 2 x 3 x 4 x 4 u8; convert_image_dtype makes such"] = function() T.rotate(3)(x:to "u8") end,
    ["rotate: keys: expected a tensor of 2 i64, one for each item, got 3 i64"] = function() T.rotate(3)(x, keys_of(3)) end,
    ["random_apply: the transforms made 2 x 3 x 2 x 2 f32 of 2 x 3 x 4 x 4"] = function() T.random_apply(T.resize(2))(x) end,
    ["ms.transforms has no 'ColorJitter'; did you mean ms.transforms.color_jitter?"] = function() return T.ColorJitter end,
  } do
    lu.assertErrorMsgContains(message, call)
  end
  local _, message = pcall(function() T.rotate(3)(x, keys_of(3)) end)
  lu.assertStrMatches(message, ".*test_transforms.lua:%d+: rotate: keys: .*") -- the script's own line
end
