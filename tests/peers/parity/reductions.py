"""Reductions, order, softmax."""
import numpy as np
import torch

from .base import every, positions


def first_position(f, a):
    """NumPy's argmax promises the first of equal values, PyTorch's promises nothing."""
    return torch.from_numpy(np.asarray(f(a.x.numpy(), a.dim, keepdims=a.keepdim))) + 1


ROWS = {
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
    "sort": lambda a: positions(a.x.sort(dim=a.dim, descending=a.descending, stable=True)),
    "topk": lambda a: positions(a.x.topk(a.k, a.dim, largest=a.largest)),
    "softmax": lambda a: a.x.softmax(a.dim),
    "log_softmax": lambda a: a.x.log_softmax(a.dim),
}
