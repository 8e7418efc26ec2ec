#!/usr/bin/env python3
# What torchvision makes of a few small images, for tests/lua/test_transforms.lua (writes tests/data/transforms.json)
# Each case: the name of our transform, its arguments as Lua reads them, the result. Made with torchvision 0.29.2, torch 2.15.
import json
import torch
import torchvision
import torchvision.transforms.functional as F
from torchvision.transforms import InterpolationMode

torch.manual_seed(3)
image = (torch.rand(2, 3, 7, 9) * 256).floor() / 256
image[0, :, 2, 3] = 0.5  # grey
image[0, :, 4, 4] = torch.tensor([0.25, 0.25, 0.75])  # two channels equal
grey = image[:, :1]
bilinear, nearest, bicubic = InterpolationMode.BILINEAR, InterpolationMode.NEAREST, InterpolationMode.BICUBIC
cases = []


def case(name, args, result, x="image"):
    cases.append({"name": name, "args": args, "x": x, "shape": list(result.shape),
                  "values": [float("%.7g" % v) for v in result.double().flatten().tolist()]})


case("normalize", "{ 0.1, 0.2, 0.3 }, { 0.5, 0.25, 2 }", F.normalize(image, [0.1, 0.2, 0.3], [0.5, 0.25, 2]))
case("horizontal_flip", "", F.hflip(image))
case("vertical_flip", "", F.vflip(image))
for size, text in (((4, 5), "{ 4, 5 }"), ((14, 6), "{ 14, 6 }"), (5, "5"), (12, "12")):
    size = list(size) if isinstance(size, tuple) else [size]
    case("resize", text, F.resize(image, size, bilinear, antialias=True))
    case("resize", text + ", { antialias = false }", F.resize(image, size, bilinear, antialias=False))
    case("resize", text + ", { interpolation = 'bicubic' }", F.resize(image, size, bicubic, antialias=True))
    case("resize", text + ", { interpolation = 'bicubic', antialias = false }", F.resize(image, size, bicubic, antialias=False))
    case("resize", text + ", { interpolation = 'nearest' }", F.resize(image, size, nearest))
for size, text in (((4, 4), "4"), ((5, 6), "{ 5, 6 }"), ((10, 4), "{ 10, 4 }"), ((8, 12), "{ 8, 12 }")):
    case("center_crop", text, F.center_crop(image, list(size)))
for mode in ("constant", "edge", "reflect", "symmetric"):
    case("pad", "2, { padding_mode = '%s' }" % mode, F.pad(image, [2], 0, mode))
    case("pad", "{ 1, 2, 3, 4 }, { padding_mode = '%s' }" % mode, F.pad(image, [1, 2, 3, 4], 0, mode))
case("pad", "{ 1, 2 }, { fill = 0.5 }", F.pad(image, [1, 2], 0.5))
for name, mode in (("nearest", nearest), ("bilinear", bilinear)):
    o = "interpolation = '%s'" % name
    for angle in (30, -75.5, 90, 180):
        case("rotate", "%g, { %s }" % (angle, o), F.rotate(image, angle, mode))
    case("rotate", "20, { %s, fill = 0.5 }" % o, F.rotate(image, 20, mode, fill=[0.5, 0.5, 0.5]))
    case("rotate", "20, { %s, center = { 2, 1 } }" % o, F.rotate(image, 20, mode, center=[2, 1]))
    case("affine", "{ %s, angle = 15, translate = { 1, -2 }, scale = 1.3, shear = { 10, -20 } }" % o,
         F.affine(image, 15, [1, -2], 1.3, [10.0, -20.0], mode))
    case("affine", "{ %s, angle = -40, translate = { 0.5, 0.25 }, scale = 0.6, shear = 25, fill = 1, center = { 3, 4 } }" % o,
         F.affine(image, -40, [0.5, 0.25], 0.6, [25.0, 0.0], mode, fill=[1.0, 1.0, 1.0], center=[3, 4]))
    case("shift", "2, -1, { %s }" % o, F.affine(image, 0, [2, -1], 1, [0.0, 0.0], mode))
    case("scale", "1.5, { %s }" % o, F.affine(image, 0, [0, 0], 1.5, [0.0, 0.0], mode))
for f in (0, 0.5, 1, 1.7):
    case("adjust", "{ brightness = %g }" % f, F.adjust_brightness(image, f))
    case("adjust", "{ contrast = %g }" % f, F.adjust_contrast(image, f))
    case("adjust", "{ saturation = %g }" % f, F.adjust_saturation(image, f))
    case("adjust", "{ contrast = %g }" % f, F.adjust_contrast(grey, f), "grey")
for f in (-0.5, -0.2, 0.1, 0.35):
    case("adjust", "{ hue = %g }" % f, F.adjust_hue(image, f))
case("grayscale", "", F.rgb_to_grayscale(image))
case("grayscale", "3", F.rgb_to_grayscale(image, 3))
case("convert_image_dtype", "'u8'", F.convert_image_dtype(image, torch.uint8))
json.dump({"torchvision": torchvision.__version__, "shape": list(image.shape), "image": image.flatten().tolist(), "cases": cases},
          open("tests/data/transforms.json", "w"), separators=(",", ":"))
