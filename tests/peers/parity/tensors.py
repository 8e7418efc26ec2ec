"""Making, copying, viewing and joining tensors."""
import torch

from .base import every

aten = torch.ops.aten


def unslice(a):
    shape = list(a.x.shape)
    n, shape[a.dim] = shape[a.dim], a["size"]
    return aten.slice_backward(a.x, shape, a.dim, a.start, a.start + (n - 1) * a.step + 1, a.step)


def undiagonal(a):
    size = list(a.x.shape[:-1])
    rank = len(size) + 2
    places = {a.dim1 % rank: a.rows, a.dim2 % rank: a.cols}
    shape = [places[d] if d in places else size.pop(0) for d in range(rank)]
    return aten.diagonal_backward(a.x, shape, a.offset, a.dim1, a.dim2)


def select_range(a):
    n = a.x.shape[a.dim]
    start = a.start if a.start >= 0 else n + a.start
    return torch.narrow(a.x, a.dim, start, (a.count - 1) * a.step + 1)[(slice(None),) * (a.dim % a.x.dim()) + (slice(None, None, a.step),)]


def set_all(a):
    a["x"] = torch.full_like(a.x, a.value)
    return ()


def copy(a):
    a["x"] = a.src.expand_as(a.x)
    return ()


ROWS = {
    "full": lambda a: torch.full(a["shape"], a.value, dtype=a.dtype),
    "arange": lambda a: torch.arange(a.start, a.stop + a.step / 2, a.step, dtype=a.dtype),
    "linspace": lambda a: torch.linspace(a.start, a.stop, a.count, dtype=torch.float64).to(a.dtype),
    "eye": lambda a: torch.eye(a.n, a.m if a.m >= 0 else a.n, dtype=a.dtype),
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
    "diagonal": lambda a: a.x.diagonal(a.offset, a.dim1, a.dim2),
    "flatten": lambda a: a.x.flatten(a.start, a.stop),
    "unslice": unslice,
    "undiagonal": lambda a: undiagonal(a),
    "flip": lambda a: a.x.flip(every(a)),
    "cat": lambda a: torch.cat(a.x, a.dim),
    "stack": lambda a: torch.stack(a.x, a.dim),
}
