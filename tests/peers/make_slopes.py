#!/usr/bin/env python3
"""Write tests/data/slopes.json: values, slopes and second derivatives of elementwise functions in PyTorch, where they are delicate.

    python3 tests/peers/make_slopes.py tests/data/slopes.json

Needs torch. Functions of one operand at AT, of two at all pairs of AT2; in f32 and f64. d1 is the gradient of the sum of the values, d2 that
of the sum of d1 (null: PyTorch has none). Functions of two have them for either operand: d1, d2 for x, e1, e2 for y.
"""
import json
import math
import sys

import torch
import torch.nn.functional as F

inf, nan = math.inf, math.nan
AT = [-inf, -100.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 100.0, inf, nan]
AT2 = [-inf, -2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 3.0, inf, nan]

ONE = {
    "neg": torch.neg, "abs": torch.abs, "sign": torch.sign, "square": torch.square, "reciprocal": torch.reciprocal, "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt, "exp": torch.exp, "exp2": torch.exp2, "expm1": torch.expm1, "log": torch.log, "log2": torch.log2,
    "log10": torch.log10, "log1p": torch.log1p, "sin": torch.sin, "cos": torch.cos, "tan": torch.tan, "asin": torch.asin,
    "acos": torch.acos, "atan": torch.atan, "sinh": torch.sinh, "cosh": torch.cosh, "tanh": torch.tanh, "asinh": torch.asinh,
    "acosh": torch.acosh, "atanh": torch.atanh, "erf": torch.erf, "lgamma": torch.lgamma, "relu": F.relu,
    "leaky_relu": F.leaky_relu, "elu": F.elu, "sigmoid": torch.sigmoid, "logsigmoid": F.logsigmoid, "softplus": F.softplus,
    "silu": F.silu, "gelu": F.gelu, "floor": torch.floor, "ceil": torch.ceil, "round": torch.round, "trunc": torch.trunc,
}
TWO = {
    "mul": torch.mul, "div": torch.div, "pow": torch.pow, "fmod": torch.fmod, "remainder": torch.remainder, "maximum": torch.maximum,
    "minimum": torch.minimum, "atan2": torch.atan2,
}


def gradient(y, x):
    if not y.requires_grad:
        return torch.zeros_like(x)
    g = torch.autograd.grad(y.sum(), x, create_graph=True, allow_unused=True)[0]
    return torch.zeros_like(x) if g is None else g


def words(t):
    return [v if math.isfinite(v) else "nan" if v != v else "inf" if v > 0 else "-inf" for v in t.detach().double().reshape(-1).tolist()]


def derivatives(f, x):
    d1 = gradient(f, x)
    try:
        return words(d1), words(gradient(d1, x))
    except RuntimeError:
        return words(d1), None


out = {"torch": torch.__version__, "at": words(torch.tensor(AT)), "at2": words(torch.tensor(AT2)), "one": {}, "two": {}}
for name, f in ONE.items():
    out["one"][name] = {}
    for word, dtype in (("f32", torch.float32), ("f64", torch.float64)):
        x = torch.tensor(AT, dtype=dtype, requires_grad=True)
        y = f(x)
        d1, d2 = derivatives(y, x)
        out["one"][name][word] = {"v": words(y), "d1": d1, "d2": d2}
for name, f in TWO.items():
    out["two"][name] = {}
    for word, dtype in (("f32", torch.float32), ("f64", torch.float64)):
        n = len(AT2)
        x = torch.tensor(AT2, dtype=dtype).repeat_interleave(n).requires_grad_()
        y = torch.tensor(AT2, dtype=dtype).repeat(n).requires_grad_()
        v = f(x, y)
        d1, d2 = derivatives(v, x)
        try:
            e1, e2 = derivatives(v, y)
        except RuntimeError:
            e1 = e2 = None
        out["two"][name][word] = {"v": words(v), "d1": d1, "d2": d2, "e1": e1, "e2": e2}
with open(sys.argv[1], "w") as file:
    json.dump(out, file, separators=(",", ":"))
    file.write("\n")
