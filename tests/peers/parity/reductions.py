"""Reductions, order, softmax."""
import numpy as np
import torch

from .base import every, positions


def first_position(f, a):
    """NumPy's argmax promises the first of equal values, PyTorch's promises nothing."""
    return torch.from_numpy(np.asarray(f(a.x.numpy(), a.dim, keepdims=a.keepdim))) + 1


def prod(a):
    """PyTorch's takes one dimension."""
    r = a.x
    for d in sorted((d % a.x.dim() for d in every(a)), reverse=True):
        r = r.prod(d, keepdim=a.keepdim)
    return r


def middle(f, a):
    if a.dim is not None:
        return positions(f(a.x, a.dim, a.keepdim))
    return f(a.x).reshape([1] * a.x.dim() if a.keepdim else [])


def share(f, a):
    q = a.q.to(a.x.dtype) if torch.is_tensor(a.q) else a.q
    return f(a.x, q, a.dim, a.keepdim, interpolation=a.interpolation)


ROWS = {
    "sum": lambda a: a.x.sum(every(a), keepdim=a.keepdim),
    "mean": lambda a: a.x.mean(every(a), keepdim=a.keepdim),
    "prod": prod,
    "aminmax": lambda a: tuple(torch.aminmax(a.x, dim=a.dim, keepdim=a.keepdim)),
    "var_mean": lambda a: torch.var_mean(a.x, every(a), correction=a.correction, keepdim=a.keepdim),
    "std_mean": lambda a: torch.std_mean(a.x, every(a), correction=a.correction, keepdim=a.keepdim),
    "nansum": lambda a: a.x.nansum(every(a), keepdim=a.keepdim),
    "nanmean": lambda a: a.x.nanmean(every(a), keepdim=a.keepdim),
    "diff": lambda a: torch.diff(a.x, a.n, a.dim, a.prepend, a.append),
    "trapezoid": lambda a: torch.trapezoid(a.y, a.x, dim=a.dim) if a.x is not None else torch.trapezoid(a.y, dx=a.dx, dim=a.dim),
    "cumulative_trapezoid": lambda a: torch.cumulative_trapezoid(a.y, a.x, dim=a.dim) if a.x is not None else
        torch.cumulative_trapezoid(a.y, dx=a.dx, dim=a.dim),
    "cov": lambda a: torch.cov(a.x, correction=a.correction, fweights=a.fweights, aweights=a.aweights),
    "corrcoef": lambda a: torch.corrcoef(a.x),
    "cumprod": lambda a: a.x.cumprod(a.dim),
    "cummax": lambda a: positions(a.x.cummax(a.dim)),
    "cummin": lambda a: positions(a.x.cummin(a.dim)),
    "logcumsumexp": lambda a: a.x.logcumsumexp(a.dim),
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
    "argsort": lambda a: a.x.argsort(dim=a.dim, descending=a.descending, stable=True) + 1,
    "msort": lambda a: a.x.msort(),
    "kthvalue": lambda a: positions(a.x.kthvalue(a.k, a.dim, a.keepdim)),
    "median": lambda a: middle(torch.median, a),
    "nanmedian": lambda a: middle(torch.nanmedian, a),
    "mode": lambda a: positions(a.x.mode(a.dim, a.keepdim)),
    "quantile": lambda a: share(torch.quantile, a),
    "nanquantile": lambda a: share(torch.nanquantile, a),
    "softmax": lambda a: a.x.softmax(a.dim),
    "log_softmax": lambda a: a.x.log_softmax(a.dim),
}
