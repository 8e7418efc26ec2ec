"""Picking and writing by position."""
import torch
import torch.nn.functional as F


def change(name):
    """A row that changes x in place: the method of that name, with the row's other arguments."""
    def f(a):
        args = [v for k, v in a.items() if k != "x"]
        a.x = a["x"]
        getattr(a["x"], name)(*args)
        return ()
    return f


def positions(a):
    index = torch.broadcast_tensors(*[a[k] - 1 for k in "abcdefgh" if a[k] is not None])
    at = torch.zeros_like(index[0])
    for n, i in zip(a["sizes"], index):
        at = at * n + torch.where(i < 0, i + 1 + n, i)
    return at + 1


def flattened(a):
    """x with the dimensions that the positions count as one, and the place of the index in an index of PyTorch's."""
    shape = list(a.x.shape)
    x = a.x.reshape(shape[:a.dim] + [-1] + shape[a.dim + a.dims:])
    return x, (slice(None),) * a.dim + (a["index"],)


def pick(a):
    x, at = flattened(a)
    return x[at]


def place(a):
    x, _ = flattened(a)
    outer, inner = torch.Size(x.shape[:a.dim]).numel(), torch.Size(x.shape[a.dim + 1:]).numel()
    x, src, at = x.reshape(outer, -1, inner), a.src.reshape(outer, -1, inner), a["index"].reshape(-1)
    return (x.index_add(1, at, src) if a.add else x.index_copy(1, at, src)).reshape(a.x.shape)


ROWS = {
    "index_select": lambda a: a.x.index_select(a.dim, a["index"]),
    "index_add": lambda a: a.x.index_add(a.dim, a["index"], a.src),
    "index_add_": change("index_add_"),
    "index_copy": lambda a: a.x.index_copy(a.dim, a["index"], a.src),
    "index_copy_": change("index_copy_"),
    "index_reduce": lambda a: a.x.index_reduce(a.dim, a["index"], a.src, a.reduce, include_self=a.include_self),
    "index_reduce_": lambda a: (a["x"].index_reduce_(a.dim, a["index"], a.src, a.reduce, include_self=a.include_self), ())[1],
    "index_fill": lambda a: a.x.index_fill(a.dim, a["index"], a.value),
    "index_fill_": change("index_fill_"),
    "gather": lambda a: a.x.gather(a.dim, a["index"]),
    "scatter_add": lambda a: a.x.scatter_add(a.dim, a["index"], a.src),
    "scatter_add_": change("scatter_add_"),
    "scatter": lambda a: a.x.scatter(a.dim, a["index"], a.src),
    "scatter_": change("scatter_"),
    "scatter_reduce": lambda a: a.x.scatter_reduce(a.dim, a["index"], a.src, a.reduce, include_self=a.include_self),
    "scatter_reduce_": lambda a: (a["x"].scatter_reduce_(a.dim, a["index"], a.src, a.reduce, include_self=a.include_self), ())[1],
    "scatter_fold": lambda a: a.x.scatter_reduce(a.dim, a["index"], a.src, a.how),
    "one_hot": lambda a: F.one_hot(a["index"], a.classes).to(a.dtype),
    "take": lambda a: a.x.take(a["index"]),
    "take_along_dim": lambda a: torch.take_along_dim(a.x, a["index"], a.dim),
    "put": lambda a: a.x.put(a["index"], a.source, a.accumulate),
    "put_": change("put_"),
    "positions": positions,
    "pick": pick,
    "place": place,
    "place_": lambda a: (a["x"].copy_(place(a)), ())[1],
}
