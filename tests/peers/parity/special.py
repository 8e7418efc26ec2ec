"""Special functions."""
import math

import torch

from .base import binary

special = torch.special
UNARY = "erfc erfcx erfinv ndtri log_ndtr sinc entr i0 i1 i0e i1e".split()


def of_x(name):
    return lambda a: getattr(special, name)(a.x)


ROWS = {name: of_x(name) for name in UNARY}
def polygamma(a):
    """PyTorch's of order 1 is exact to 1e-9 only, its zeta function to the last bits."""
    return torch.digamma(a.x) if a.n == 0 else (-1) ** (a.n + 1) * math.gamma(a.n + 1) * special.zeta(torch.tensor(a.n + 1.0), a.x)


def zeta(x, y):
    """At infinity it is the limit here, which PyTorch's mostly is not; below 0 there is none."""
    x, y = torch.broadcast_tensors(x, y)
    r = torch.where((y == math.inf) & (x > 1), 0.0, special.zeta(x, y))
    limit = torch.where(y > 1, 0.0, torch.where(y == 1, 1.0, math.inf))
    limit = torch.where(y > 0, limit, torch.where(y == torch.floor(y), math.inf, math.nan))
    return torch.where(torch.isnan(x), math.nan, torch.where(x == math.inf, limit, r)).to(x.dtype)


ROWS.update({
    "ndtr": lambda a: 0.5 * special.erfc(-math.sqrt(0.5) * a.x),  # special.ndtr is 0 from -9 on
    "zeta": binary(zeta),
    "xlog1py": binary(special.xlog1py),
    "log_odds": lambda a: torch.logit(a.x),
    "logit": lambda a: torch.logit(a.x, a.eps),
    "polygamma": polygamma,
    "multigammaln": lambda a: special.multigammaln(a.x, a.p),
})
