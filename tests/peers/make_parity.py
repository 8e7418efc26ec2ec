#!/usr/bin/env python3
"""Write tests/data/parity.json: what PyTorch gives for every row of ops.def and elementwise.def, and gradients at kinks; and beside
it torch_functions.txt: the names of PyTorch's functions, by which test_parity.lua tells a row that could have values from one that cannot.

    build/mascon tests/peers/make_parity_inputs.lua >inputs.json
    python3 tests/peers/make_parity.py inputs.json tests/data/parity.json

Needs torch. A new row whose function has the same name and one or two operands goes into UNARY or BINARY; any other gets an entry in ROWS.
Arguments come as mascon takes them (positions and dimensions from 1); here they are bound to the row's signature, converted to
PyTorch's conventions, and the results back. Values are computed in f64. Each result's dtype is noted as f64 inputs give it and, where that
differs, as f32 inputs give it.
"""
import json
import math
import os
import re
import sys

import numpy as np
import torch
import torch.nn.functional as F

aten = torch.ops.aten
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
    """ "x:tensor dim:dim=-1|y=0.5" -> [(name, kind, default or None)]"""
    rows, late = re.fullmatch(r"((?:[^|(]|\([^)]*\))*)\|?(.*)", signature).groups()
    late = dict(part.split("=") for part in late.split())
    out = []
    for part in rows.split():
        name, kind = part.split(":", 1)
        kind, _, default = kind.partition("=")
        out.append((name, kind, default or late.get(name)))
    return out


def default_of(kind, text):
    if text is None or text in ("none", "all"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if kind == "dtype" or kind.startswith("enum"):
        return text
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
        elif kind == "dtype":
            v = DTYPES[v]
        elif isinstance(v, str):
            v = number(v)
        a[name] = v
    return a


# ---- rows whose name is PyTorch's, or nearly ----------------------------------------------------------------------------------------

UNARY = """neg abs sign square reciprocal sqrt rsqrt exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh
atanh erf lgamma digamma relu sigmoid floor ceil round trunc isnan isinf isfinite logical_not""".split()
BINARY = """add sub mul div pow fmod remainder maximum minimum atan2 eq ne lt le gt ge logical_and logical_or logical_xor""".split()


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


def first_position(f, a):
    """NumPy's argmax promises the first of equal values, PyTorch's promises nothing."""
    return torch.from_numpy(np.asarray(f(a.x.numpy(), a.dim, keepdims=a.keepdim))) + 1


def adjoint(f, x, g):
    """The vector-Jacobian product of f at x (any x, for a linear f)."""
    x = x.requires_grad_()
    return torch.autograd.grad(f(x), x, g)[0]


def conv_args(a):
    return {"stride": a.stride, "padding": a.padding, "dilation": a.dilation, "groups": a.groups}


def conv2d_input_grad(a):
    n, c = a.g.shape[0], a.w.shape[1] * a.groups
    x = torch.zeros(n, c, *pair(a["size"]), dtype=a.g.dtype)
    return adjoint(lambda t: F.conv2d(t, a.w, None, **conv_args(a)), x, a.g)


def conv2d_weight_grad(a):
    w = torch.zeros(a.g.shape[1], a.x.shape[1] // a.groups, *pair(a["size"]), dtype=a.x.dtype)
    return adjoint(lambda t: F.conv2d(a.x, t, None, **conv_args(a)), w, a.g)


def avg_pool2d_grad(a):
    x = torch.zeros(*a.g.shape[:2], *pair(a.input), dtype=a.g.dtype)
    return adjoint(lambda t: F.avg_pool2d(t, a["size"], a.stride, a.padding), x, a.g)


def max_pool2d(a):
    return positions(F.max_pool2d(a.x, a["size"], a.stride, a.padding, return_indices=True))


def interpolate(x, size, mode):
    return F.interpolate(x, size=pair(size), mode=mode, **({} if mode == "nearest" else {"align_corners": False}))


def interpolate_grad(a):
    x = torch.zeros(*a.g.shape[:2], *pair(a.input), dtype=a.g.dtype)
    return adjoint(lambda t: interpolate(t, list(a.g.shape[2:]), a.mode), x, a.g)


def unslice(a):
    shape = list(a.x.shape)
    n, shape[a.dim] = shape[a.dim], a["size"]
    return aten.slice_backward(a.x, shape, a.dim, a.start, a.start + (n - 1) * a.step + 1, a.step)


def normalize(a):
    var, mean = torch.var_mean(a.x, dim=a.dims, correction=0, keepdim=True)
    rstd = (var + a.eps).rsqrt()
    return (a.x - mean) * rstd, mean, rstd


def select_range(a):
    n = a.x.shape[a.dim]
    start = a.start if a.start >= 0 else n + a.start
    return torch.narrow(a.x, a.dim, start, (a.count - 1) * a.step + 1)[(slice(None),) * (a.dim % a.x.dim()) + (slice(None, None, a.step),)]


def matmul(a):
    return torch.matmul(a.a.transpose(-1, -2) if a.ta else a.a, a.b.transpose(-1, -2) if a.tb else a.b)


def loss(f):
    return lambda a: f(a.x, a.target, reduction=a.reduction)


def floor_div(x, y):
    """Whole numbers stay whole; by 0 they give 0 (PyTorch raises)."""
    if torch.is_floating_point(torch.as_tensor(x)) or torch.is_floating_point(torch.as_tensor(y)):
        return torch.floor_divide(x, y)
    x, y = torch.broadcast_tensors(torch.as_tensor(x), torch.as_tensor(y))
    zero = y == 0
    return torch.where(zero, 0, torch.floor_divide(x, torch.where(zero, 1, y)))


def loss_grad(f):
    """The derivative of a loss of elements in its first operand, times the third."""
    def run(a):
        x, y, z = torch.broadcast_tensors(*operands(a))
        return adjoint(lambda t: f(t, y, reduction="none"), x.clone(), z)
    return run


def normalize_grad(g, y, rstd, dims):
    return rstd * (g - g.mean(dims, keepdim=True) - y * (g * y).mean(dims, keepdim=True))


def per_channel(v, x):
    return v.reshape([1, -1] + [1] * (x.dim() - 2))


def batch_normalize(a):
    var, mean = torch.var_mean(a.x, dim=[d for d in range(a.x.dim()) if d != 1], correction=0)
    return F.batch_norm(a.x, None, None, a.weight, a.bias, True, 0.0, a.eps), mean, (var + a.eps).rsqrt()


def batch_normalize_grad(a):
    """What arrives at x, weight and bias, from the saved mean and rstd as they are given."""
    dims = [d for d in range(a.x.dim()) if d != 1]
    xhat = (a.x - per_channel(a["mean"], a.x)) * per_channel(a.rstd, a.x)
    g = a.g if a.weight is None else a.g * per_channel(a.weight, a.x)
    return normalize_grad(g, xhat, per_channel(a.rstd, a.x), dims), (a.g * xhat).sum(dims), a.g.sum(dims)


def batch_norm_follow(a):
    var = (a.rstd ** -2 - a.eps) * a.count / (a.count - 1)
    a["running_mean"] = torch.lerp(a.running_mean, a["mean"], a.momentum)
    a["running_var"] = torch.lerp(a.running_var, var, a.momentum)
    return ()


def update(optimizer, state):
    """One step of a PyTorch optimizer on the lists in a.x; state(k) gives the state of parameter k before it."""
    def run(a):
        n = len(a.x) // a.groups
        ps = [torch.nn.Parameter(p) for p in a.x[:n]]
        opt = optimizer(ps, a)
        for k, p in enumerate(ps):
            p.grad = a.x[n + k]
            opt.state[p].update(state(a, k, n))
        opt.step()
        after = [p.detach() for p in ps] + a.x[n:2 * n]
        for key in ("momentum_buffer", "exp_avg", "exp_avg_sq"):
            if key in opt.state[ps[0]] and opt.state[ps[0]][key] is not None:
                after += [opt.state[p][key] for p in ps]
        if a.groups > 2:
            after += [t + 1 for t in a.x[-n:]]
        a["x"] = after
        return ()
    return run


def sgd(ps, a):
    return torch.optim.SGD(ps, lr=a.lr, momentum=a.momentum, dampening=a.dampening, weight_decay=a.weight_decay, nesterov=a.nesterov)


def sgd_state(a, k, n):
    return {} if a.groups == 2 or a.x[3 * n + k] == 0 else {"momentum_buffer": a.x[2 * n + k].clone()}


def adam(ps, a):
    kind = torch.optim.AdamW if a.decoupled else torch.optim.Adam
    return kind(ps, lr=a.lr, betas=(a.beta1, a.beta2), eps=a.eps, weight_decay=a.weight_decay)


def adam_state(a, k, n):
    return {"step": torch.tensor(float(a.x[4 * n + k])), "exp_avg": a.x[2 * n + k].clone(), "exp_avg_sq": a.x[3 * n + k].clone()}


def set_all(a):
    a["x"] = torch.full_like(a.x, a.value)
    return ()


def copy(a):
    a["x"] = a.src.expand_as(a.x)
    return ()


ROWS = {name: unary(name) for name in UNARY}
ROWS.update({name: binary(getattr(torch, name)) for name in BINARY})
ROWS.update({
    "floor_div": binary(floor_div),
    "tanh_grad": binary(lambda x, y: aten.tanh_backward(*torch.broadcast_tensors(x, y))),
    "sigmoid_grad": binary(lambda x, y: aten.sigmoid_backward(*torch.broadcast_tensors(x, y))),
    "relu_grad": binary(lambda x, y: torch.where(y > 0, x, torch.zeros((), dtype=x.dtype))),
    "leaky_relu": binary(lambda x, y: torch.where(x > 0, x, x * y)),
    "elu": binary(lambda x, y: torch.where(x > 0, x, y * torch.expm1(x))),
    "logsigmoid": lambda a: F.logsigmoid(a.x),
    "softplus": lambda a: torch.logaddexp(a.x, torch.zeros_like(a.x)),  # F.softplus gives x above its threshold
    "silu": lambda a: F.silu(a.x),
    "gelu": lambda a: F.gelu(a.x),
    "clamp": binary(torch.clamp),
    "lerp": binary(lambda x, y, z: torch.lerp(*torch.broadcast_tensors(x, y, z))),
    "where": binary(torch.where),
    # making tensors
    "full": lambda a: torch.full(a["shape"], a.value, dtype=a.dtype),
    "arange": lambda a: torch.arange(a.start, a.stop + a.step / 2, a.step, dtype=a.dtype),
    "linspace": lambda a: torch.linspace(a.start, a.stop, a.count, dtype=torch.float64).to(a.dtype),
    "eye": lambda a: torch.eye(a.n, dtype=a.dtype),
    # copies, views
    "contiguous": lambda a: a.x.contiguous(),
    "clone": lambda a: a.x.clone(),
    "cast": lambda a: a.x.to(a.dtype),
    "copy_": copy,
    "fill_": set_all,
    "view": lambda a: a.x.reshape(a["shape"]),
    "reshape": lambda a: a.x.reshape(a["shape"]),
    "permute": lambda a: a.x.permute(a.dims),
    "transpose": lambda a: a.x.transpose(a.a, a.b),
    "expand": lambda a: a.x.expand(a["shape"]),
    "slice": select_range,
    "select": lambda a: a.x.select(a.dim, a["index"]),
    "unsqueeze": lambda a: a.x.unsqueeze(a.dim),
    "squeeze": lambda a: a.x.squeeze() if a.dims is None else a.x.squeeze(a.dims),
    "diagonal": lambda a: a.x.diagonal(dim1=-2, dim2=-1),
    "flatten": lambda a: a.x.flatten(a.start, a.stop),
    "unslice": unslice,
    "undiagonal": lambda a: aten.diagonal_backward(a.x, [*a.x.shape[:-1], a.rows, a.cols], 0, -2, -1),
    "flip": lambda a: a.x.flip(every(a)),
    "pad": lambda a: F.pad(a.x, a.pads, value=a.value),
    # reductions
    "sum": lambda a: a.x.sum(every(a), keepdim=a.keepdim),
    "mean": lambda a: a.x.mean(every(a), keepdim=a.keepdim),
    "prod": lambda a: a.x.prod(a.dim),
    "amax": lambda a: a.x.amax(every(a), keepdim=a.keepdim),
    "amin": lambda a: a.x.amin(every(a), keepdim=a.keepdim),
    "argmax": lambda a: first_position(np.argmax, a),
    "argmin": lambda a: first_position(np.argmin, a),
    "max": lambda a: positions(a.x.max(a.dim, keepdim=a.keepdim)),
    "min": lambda a: positions(a.x.min(a.dim, keepdim=a.keepdim)),
    "any": lambda a: a.x.any(every(a), keepdim=a.keepdim),
    "all": lambda a: a.x.all(every(a), keepdim=a.keepdim),
    "var": lambda a: a.x.var(every(a), correction=a.correction, keepdim=a.keepdim),
    "std": lambda a: a.x.std(every(a), correction=a.correction, keepdim=a.keepdim),
    "norm": lambda a: torch.linalg.vector_norm(a.x, a.p, every(a), keepdim=a.keepdim),
    "logsumexp": lambda a: a.x.logsumexp(every(a), keepdim=a.keepdim),
    "cumsum": lambda a: a.x.cumsum(a.dim),
    # products, pooling, resampling
    "matmul": matmul,
    "conv2d": lambda a: F.conv2d(a.x, a.w, a.bias, **conv_args(a)),
    "conv2d_input_grad": conv2d_input_grad,
    "conv2d_weight_grad": conv2d_weight_grad,
    "conv_transpose2d": lambda a: F.conv_transpose2d(a.x, a.w, a.bias, output_padding=a.output_padding, **conv_args(a)),
    "avg_pool2d": lambda a: F.avg_pool2d(a.x, a["size"], a.stride, a.padding),
    "avg_pool2d_grad": avg_pool2d_grad,
    "max_pool2d": max_pool2d,
    "interpolate": lambda a: interpolate(a.x, a["size"], a.mode),
    "interpolate_grad": interpolate_grad,
    # indexing, order
    "index_select": lambda a: a.x.index_select(a.dim, a["index"]),
    "index_add": lambda a: a.x.index_add(a.dim, a["index"], a.src),
    "gather": lambda a: a.x.gather(a.dim, a["index"]),
    "scatter_add": lambda a: a.x.scatter_add(a.dim, a["index"], a.src),
    "one_hot": lambda a: F.one_hot(a["index"], a.classes).to(a.dtype),
    "masked_fill": lambda a: a.x.masked_fill(a.mask, a.value),
    "cat": lambda a: torch.cat(a.x, a.dim),
    "stack": lambda a: torch.stack(a.x, a.dim),
    "sort": lambda a: positions(a.x.sort(dim=a.dim, descending=a.descending, stable=True)),
    "topk": lambda a: positions(a.x.topk(a.k, a.dim, largest=a.largest)),
    "softmax": lambda a: a.x.softmax(a.dim),
    "log_softmax": lambda a: a.x.log_softmax(a.dim),
    # layers, losses, optimizers
    "mul_add": binary(lambda x, y, z: x * y + z),
    "mse_loss_grad": loss_grad(F.mse_loss),
    "bce_loss_grad": loss_grad(F.binary_cross_entropy),
    "bce_with_logits_grad": loss_grad(F.binary_cross_entropy_with_logits),
    "cross_entropy_grad": lambda a: adjoint(lambda x: F.cross_entropy(x, a.target, reduction="none"), a.x, a.g),
    "linear": lambda a: F.linear(a.x, a.w, a.bias),
    "normalize": normalize,
    "normalize_grad": lambda a: normalize_grad(a.g, a.y, a.rstd, a.dims),
    "batch_normalize": batch_normalize,
    "batch_normalize_grad": batch_normalize_grad,
    "batch_norm_follow_": batch_norm_follow,
    "batch_norm": lambda a: F.batch_norm(a.x, a.running_mean, a.running_var, a.weight, a.bias, a.training, a.momentum, a.eps),
    "mse_loss": loss(F.mse_loss),
    "l1_loss": loss(F.l1_loss),
    "bce_loss": loss(F.binary_cross_entropy),
    "bce_with_logits": loss(F.binary_cross_entropy_with_logits),
    "nll_loss": loss(F.nll_loss),
    "cross_entropy": loss(F.cross_entropy),
    "sgd_": update(sgd, sgd_state),
    "adam_": update(adam, adam_state),
})

# ---- gradients where a rule must choose: kinks, ties, zeros, saturation ------------------------------------------------------------------

f64 = torch.float64
GRADIENTS = {
    # Lua expression in x : (values of x, the same in PyTorch)
    "x:relu()": ([-1, 0, 2], torch.relu),
    "x:abs()": ([-1, 0, 2], torch.abs),
    "x:leaky_relu(0.1)": ([-1, 0, 2], lambda x: F.leaky_relu(x, 0.1)),
    "x:elu()": ([-1, 0, 2, -50], F.elu),
    "x:clamp(-1, 1)": ([-2, -0.5, 0, 0.5, 2], lambda x: x.clamp(-1, 1)),  # at the bounds versions of PyTorch differ
    "x:maximum(ms.zeros({3}, {dtype = 'f64'}))": ([-1, 0, 2], lambda x: torch.maximum(x, torch.zeros(3, dtype=f64))),
    "x:minimum(ms.zeros({3}, {dtype = 'f64'}))": ([-1, 0, 2], lambda x: torch.minimum(x, torch.zeros(3, dtype=f64))),
    "x:amax()": ([1, 3, 3, 2], lambda x: x.amax()),
    "x:amin()": ([1, 3, 1, 2], lambda x: x.amin()),
    "(x:max(1))": ([1, 3, 3, 2], lambda x: x.max(0)[0]),
    "x:norm()": ([0, 0, 0], lambda x: x.norm()),
    "x:norm(1)": ([0, -1, 2], lambda x: x.norm(1)),
    "x:prod(1)": ([0, 2, 3], lambda x: x.prod(0)),
    "x:prod(1) * 1": ([0, 0, 3], lambda x: x.prod(0)),
    "x:pow(2)": ([-1, 0, 2], lambda x: x.pow(2)),
    "x:pow(3)": ([-1, 0, 2], lambda x: x.pow(3)),
    "x:pow(1)": ([-1, 0, 2], lambda x: x.pow(1)),
    "x:pow(0)": ([-1, 0, 2], lambda x: x.pow(0)),
    "ms.pow(2, x)": ([-1, 0, 2], lambda x: torch.pow(2, x)),
    "ms.pow(0, x)": ([0, 1, 2], lambda x: torch.pow(0, x)),
    "x:sigmoid()": ([-800, -40, 0, 40, 800], torch.sigmoid),
    "x:softplus()": ([-800, -40, 0, 40, 800], F.softplus),
    "x:logsigmoid()": ([-800, -40, 0, 40, 800], F.logsigmoid),
    "x:silu()": ([-800, -40, 0, 40, 800], F.silu),
    "x:gelu()": ([-40, -6, 0, 6, 40], F.gelu),
    "x:tanh()": ([-800, -20, 0, 20], torch.tanh),
    "x:logsumexp()": ([-800, 0, 700, 700], lambda x: x.logsumexp(0)),
    "x:log_softmax()": ([-800, 0, 700, 700], lambda x: x.log_softmax(0)),
    "x:softmax()": ([-800, 0, 700, 700], lambda x: x.softmax(0)),
    "x:bce_loss(ms.tensor({0, 1, 1, 0, 0.5}, {dtype = 'f64'}))":
        ([0, 0.25, 1, 0.75, 0.5], lambda x: F.binary_cross_entropy(x, torch.tensor([0, 1, 1, 0, 0.5], dtype=f64))),
    "x:bce_with_logits(ms.tensor({0, 1, 0, 1, 0.5}, {dtype = 'f64'}))":
        ([-800, -800, 800, 800, 0], lambda x: F.binary_cross_entropy_with_logits(x, torch.tensor([0, 1, 0, 1, 0.5], dtype=f64))),
    "x:l1_loss(ms.zeros({3}, {dtype = 'f64'}))": ([-1, 0, 2], lambda x: F.l1_loss(x, torch.zeros(3, dtype=f64))),
    "(x:sort())": ([3, 1, 3, 2], lambda x: x.sort(stable=True)[0]),
    "x:where(x, 0)": ([-1, 0, 2], lambda x: torch.where(x.bool(), x, torch.zeros((), dtype=f64))),
    "x:fmod(2)": ([-3, 3, 5.5], lambda x: x.fmod(2)),
    "x:remainder(2)": ([-3, 3, 5.5], lambda x: x.remainder(2)),
    "(x * 2):masked_fill(x:gt(0), 5)": ([-1, 0, 2], lambda x: (x * 2).masked_fill(x > 0, 5)),
}


def gradient(values, f):
    x = torch.tensor([float(v) for v in values], dtype=f64, requires_grad=True)
    y = f(x)
    weights = torch.arange(1, y.numel() + 1, dtype=f64).reshape(y.shape)
    return torch.autograd.grad((y * weights).sum(), x)[0]


# ---- writing -----------------------------------------------------------------------------------------------------------------------------


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


def run(name, row, case):
    both = []
    for dtype in (torch.float64, torch.float32):
        a = bind(row["signature"], case, dtype)
        out = ROWS[name](a)
        both.append((out if isinstance(out, tuple) else (out,), changed(row["signature"], a)))
    (out, after), (out32, after32) = both
    entry = {"args": case}
    if out:
        entry["out"] = [result(t, s) for t, s in zip(out, out32)]
    if after:
        entry["after"] = {k: [result(t, s) for t, s in zip(v, after32[k])] for k, v in after.items()}
    return entry


def functions():
    """Names of PyTorch's functions of tensors."""
    homes = (torch._C._VariableFunctions, torch.functional, F, torch.linalg, torch.special, torch.Tensor)
    names = {n for home in homes for n in dir(home) if not n.startswith("_")}
    return sorted(n for n in names if any(callable(f) and not isinstance(f, type) for f in (getattr(home, n, None) for home in homes)))


def main(source, target):
    rows = json.load(open(source))
    done, without = {}, []
    for name, row in rows.items():
        if name not in ROWS:
            without.append(name)
            continue
        done[name] = []
        for k, case in enumerate(row["cases"]):
            try:
                done[name].append(run(name, row, case))
            except Exception as e:
                raise SystemExit(f"{name}, case {k + 1} {json.dumps(case)[:300]}: {e!r}")
    dump = lambda v: json.dumps(v, separators=(",", ":"))
    with open(target, "w") as f:
        f.write('{"torch":%s,\n"rows":{\n' % dump(torch.__version__))
        f.write(",\n".join(f"{dump(n)}:[\n" + ",\n".join(dump(c) for c in cases) + "]" for n, cases in done.items()))
        f.write('},\n"gradients":[\n')
        f.write(",\n".join(dump([e, x, [plain(v) for v in gradient(x, f_).tolist()]]) for e, (x, f_) in GRADIENTS.items()))
        f.write("]}\n")
    with open(os.path.join(os.path.dirname(target), "torch_functions.txt"), "w") as f:
        f.write(f"""# Functions of tensors in PyTorch {torch.__version__}, one name a line: of torch, torch.functional, torch.nn.functional, torch.linalg and
# torch.special, and methods of torch.Tensor. tests/peers/make_parity.py writes this file; tests/lua/test_parity.lua looks up in it
# whether a row that has no kept values could have some.
""")
        f.write("\n".join(functions()) + "\n")
    print("rows without a counterpart:", " ".join(without))


if __name__ == "__main__":
    torch.manual_seed(0)
    main(*sys.argv[1:])
