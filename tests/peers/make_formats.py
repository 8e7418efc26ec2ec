"""Files that NumPy wrote, for tests/lua/test_formats.lua and tests/c/test_formats.c: tests/data/formats/*.npy, *.npz and expected.json;
and pictures that Pillow resized, for tests/lua/test_folder.lua: resized.json.

    python3 tests/peers/make_formats.py            (numpy, pillow)
"""
import json
import os

import numpy as np
from PIL import Image

folder = os.path.join(os.path.dirname(__file__), "..", "data", "formats")
os.makedirs(folder, exist_ok=True)
path = lambda name: os.path.join(folder, name)
rng = np.random.default_rng(1)

arrays = {}
for code in ["?", "i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8", "<c8"]:
    x = rng.normal(size=(3, 4)) * 50
    if code == "?":
        x = x > 0
    elif "u" in code:
        x = np.abs(x)
    arrays[code.strip("<?") or "bool"] = x.astype(code)
for code in ["i2", "u2", "i4", "u4", "i8", "f4", "f8", "c8"]:
    arrays["big_" + code] = arrays[code].astype(">" + code)
arrays["fortran"] = np.asfortranarray(arrays["f4"])
arrays["fortran_cube"] = np.asfortranarray(np.arange(24, dtype=">i4").reshape(2, 3, 4))
arrays["scalar"] = np.float32(2.5)
arrays["one"] = np.arange(3)
arrays["empty"] = np.zeros((0, 4), "f4")
np.savez(path("stored.npz"), **arrays)
np.savez_compressed(path("deflated.npz"), **arrays)
np.save(path("f4.npy"), arrays["f4"])
np.save(path("fortran.npy"), arrays["fortran"])
np.save(path("scalar.npy"), arrays["scalar"])
np.savez(path("odd.npz"), objects=np.array([None, 1], object), text=np.array(["a"]), bytes=np.array([b"x"]),
         fields=np.array([(1, 2.0)], dtype=[("x", "i4"), ("y", "f8")]), dates=np.array(["2020-01-01"], "M8[D]"),
         nine=np.zeros((1,) * 9), wide=np.zeros(1, np.longdouble), fine=np.arange(3.0))
with open(path("v2.npy"), "wb") as f:
    np.lib.format.write_array(f, arrays["f4"], version=(2, 0))
with open(path("v3.npy"), "wb") as f:
    np.lib.format.write_array(f, arrays["f4"], version=(3, 0))


def plain(x):
    x = np.asarray(x)
    if x.dtype.kind == "c":
        x = np.stack([x.real, x.imag], -1)
    return {"shape": list(x.shape), "values": x.flatten().astype(float).tolist()}


with open(path("expected.json"), "w") as f:
    json.dump({name: plain(x) for name, x in arrays.items()}, f)

# 9 lines of 13 pixels; the same to other sizes, stretched, and the middle of it (box: what fills the size).
picture = np.array([[(x * x * 7 + y * 31 + x * y * 5) % 256 for x in range(13)] for y in range(9)], "u1")
image = Image.fromarray(picture)
resized = []
for height, width in [(9, 13), (4, 4), (3, 13), (9, 5), (20, 17), (1, 1), (5, 30)]:
    scale = max(height / 9, width / 13)
    tall, wide = (9, width * 9 / height) if width * 9 < height * 13 else (height * 13 / width, 13)
    box = ((13 - wide) / 2, (9 - tall) / 2, (13 + wide) / 2, (9 + tall) / 2)
    resized.append({"height": height, "width": width,
                    "stretch": np.asarray(image.resize((width, height), Image.BILINEAR)).tolist(),
                    "crop": np.asarray(image.resize((width, height), Image.BILINEAR, box=box)).tolist()})
with open(path("resized.json"), "w") as f:
    json.dump({"picture": picture.tolist(), "resized": resized}, f)
