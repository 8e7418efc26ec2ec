"""What the families share: arguments as mascon takes them become PyTorch's, results go back.

Arguments come with positions and dimensions from 1; bind() brings them to the row's signature and to PyTorch's conventions.
"""
import math
import re

import torch

DTYPES = {"f32": torch.float32, "f64": torch.float64, "i64": torch.int64, "i32": torch.int32, "u8": torch.uint8, "bool": torch.bool}
NAMES = {v: k for k, v in DTYPES.items()}

# ---- arguments ---------------------------------------------------------------------------------------------------------------


def number(v):
    return float(v) if v in ("inf", "-inf", "nan") else v


def tensor(j, dtype):
    t = torch.tensor([number(v) for v in j["v"]], dtype=torch.float64)
    return t.reshape(j["shape"]).to(dtype if j["dtype"] == "f64" else DTYPES[j["dtype"]])


def base0(v):
    return [base0(k) for k in v] if isinstance(v, list) else v - 1 if v > 0 else v


def parse(signature):
    """ "x:tensor y:operand|y:alpha=0.5" -> [(name, kind, default or None)]"""
    rows, late = re.fullmatch(r"((?:[^|(]|\([^)]*\))*)\|?(.*)", signature).groups()
    late = {letter: (name or letter, default) for letter, name, default in re.findall(r"(\w)(?::(\w+))?(?:=(\S+))?", late)}
    out = []
    for part in rows.split():
        name, kind = part.split(":", 1)
        kind, _, default = kind.partition("=")
        name, default = (late[name][0], late[name][1] or None) if name in late else (name, default)
        out.append((name, kind, default or None))
    return out


def default_of(kind, text):
    if text is not None and text != "none" and kind == "dtype" or kind.startswith("enum"):
        return text
    if text is None or text in ("none", "all"):
        return None
    if text in ("true", "false"):
        return text == "true"
    return float(text.replace("math.huge", "inf")) if kind in ("scalar", "operand") else int(text)


class Args(dict):
    __getattr__ = dict.__getitem__


def bind(signature, given, dtype):
    given = list(given)
    options = given.pop()["options"] if given and isinstance(given[-1], dict) and "options" in given[-1] else {}
    a = Args()
    for name, kind, default in parse(signature):
        v, written = (given.pop(0), True) if given else (options[name], True) if name in options else (default_of(kind, default), False)
        if isinstance(v, dict):
            v = tensor(v, dtype)
            if kind in ("index", "class"):
                v = v - 1
        elif kind == "tensors":
            v = [tensor(t, dtype if t["shape"] else torch.float64) for t in v]  # of rank 0: step counts
        elif v is not None and (kind in ("dim", "position") or kind == "dims"):
            v = base0(int(v) if kind != "dims" else v) if written or int(v) > 0 else int(v)
            v = [v] if kind == "dims" and not isinstance(v, list) else v
        elif kind == "dtype" and v is not None:
            v = DTYPES[v]
        elif isinstance(v, str):
            v = number(v)
        a[name] = v
    return a


# ---- pieces for rows ----------------------------------------------------------------------------------------------------


def full(v, like):
    return v if torch.is_tensor(v) else torch.tensor(v, dtype=like.dtype if isinstance(v, float) else None)


def operands(a):
    """Numbers as tensors of rank 0: PyTorch lets them follow the dtype of their partner, but not every function takes them."""
    like = next(v for v in a.values() if torch.is_tensor(v) and v.dtype != torch.bool) if any(
        torch.is_tensor(v) and v.dtype != torch.bool for v in a.values()) else torch.zeros(())
    return [full(v, like) for v in a.values()]


def unary(name):
    return lambda a: getattr(torch, name)(a.x)


def binary(f):
    return lambda a: f(*operands(a))


def pair(v):
    return v if isinstance(v, list) else [v, v]


def every(a):
    return a.dims if a.dims is not None else list(range(a.x.dim()))


def positions(values_indices):
    return values_indices[0], values_indices[1] + 1


def adjoint(f, x, g):
    """The vector-Jacobian product of f at x (any x, for a linear f)."""
    x = x.requires_grad_()
    return torch.autograd.grad(f(x), x, g)[0]


def per_channel(v, x):
    return v.reshape([1, -1] + [1] * (x.dim() - 2))


# ---- results ------------------------------------------------------------------------------------------------------------


def plain(v):
    if isinstance(v, bool):
        return int(v)
    if isinstance(v, float):
        return v if math.isfinite(v) else str(v)
    return v


def result(t, single):
    dtypes = [NAMES[t.dtype]] + ([NAMES[single.dtype]] if single.dtype != t.dtype else [])
    assert t.shape == single.shape
    return {"dtype": dtypes, "shape": list(t.shape), "v": [plain(v) for v in t.reshape(-1).tolist()]}


def changed(signature, a):
    """What the call may have changed in place, by argument name."""
    out = {}
    for name, kind, _ in parse(signature):
        if kind == "inout" and a[name] is not None:
            out[name] = [a[name]]
        elif kind == "tensors" and "groups" in a:
            out[name] = a[name]
    return out
