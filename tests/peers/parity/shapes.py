"""Views under other names, diagonals and triangles, padding, repeating, joining side by side."""
import torch
import torch.nn.functional as F


ROWS = {
    "unfold": lambda a: a.x.unfold(a.dimension, a["size"], a.step),
    "unflatten": lambda a: a.x.unflatten(a.dim, a.sizes),
    "ravel": lambda a: a.x.ravel(),
    "narrow": lambda a: a.x.narrow(a.dim, a.start, a.length),
    "view_as": lambda a: a.x.view_as(a.other),
    "reshape_as": lambda a: a.x.reshape_as(a.other),
    "expand_as": lambda a: a.x.expand_as(a.other),
    "t": lambda a: a.x.t(),
    "movedim": lambda a: a.x.movedim(a.source, a.destination),
    "atleast_1d": lambda a: torch.atleast_1d(a.x),
    "atleast_2d": lambda a: torch.atleast_2d(a.x),
    "atleast_3d": lambda a: torch.atleast_3d(a.x),
    "diag": lambda a: torch.diag(a.x, a.diagonal),
    "diag_embed": lambda a: torch.diag_embed(a.x, a.offset, a.dim1, a.dim2),
    "diagflat": lambda a: torch.diagflat(a.x, a.offset),
    "tril": lambda a: a.x.tril(a.diagonal),
    "triu": lambda a: a.x.triu(a.diagonal),
    "trace": lambda a: a.x.trace(),
    "fliplr": lambda a: a.x.fliplr(),
    "flipud": lambda a: a.x.flipud(),
    "rot90": lambda a: torch.rot90(a.x, a.k, a.dims or [0, 1]),
    "roll": lambda a: torch.roll(a.x, a.shifts, a.dims),
    "tile": lambda a: torch.tile(a.x, tuple(a.dims) if isinstance(a.dims, list) else (a.dims,)),
    "repeat_interleave": lambda a: torch.repeat_interleave(a.x, a.repeats, a.dim),
    "kron": lambda a: torch.kron(a.x, a.y),
    "constant_pad": lambda a: F.pad(a.x, a["pad"], value=a.value),
    "pad": lambda a: F.pad(a.x, a["pad"], a.mode, a.value if a.mode == "constant" else None),
    "hstack": lambda a: torch.hstack(a.tensors),
    "vstack": lambda a: torch.vstack(a.tensors),
    "dstack": lambda a: torch.dstack(a.tensors),
    "column_stack": lambda a: torch.column_stack(a.tensors),
    "block_diag": lambda a: torch.block_diag(*a.tensors),
}
