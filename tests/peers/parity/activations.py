"""Activations."""
import torch
import torch.nn.functional as F

from .base import binary

UNARY = "logsigmoid silu selu relu6 hardsigmoid hardswish mish softsign tanhshrink".split()


def of_x(name):
    return lambda a: getattr(F, name)(a.x)


ROWS = {name: of_x(name) for name in UNARY}
ROWS.update({
    "leaky_relu": binary(lambda x, y: torch.where(x > 0, x, x * y)),  # F.leaky_relu and those below take numbers only, mascon tensors too
    "elu": binary(lambda x, y: torch.where(x > 0, x, y * torch.expm1(x))),
    "celu": binary(lambda x, y: torch.where(x > 0, x, y * torch.expm1(x / y))),
    "hardtanh": binary(lambda x, y, z: torch.clamp(*torch.broadcast_tensors(x, y, z))),
    "softshrink": binary(lambda x, y: torch.where(x > y, x - y, torch.where(x < -y, x + y, x * 0))),
    "hardshrink": binary(lambda x, y: torch.where((x >= -y) & (x <= y), torch.zeros((), dtype=x.dtype), x)),
    "threshold": binary(lambda x, y, z: torch.where(x <= y, z, x)),
    "softplus": binary(lambda x, y, z: torch.where(x * y > z, x, torch.logaddexp(x * y, torch.zeros_like(x)) / y)),
    "gelu": lambda a: F.gelu(a.x, approximate=a.approximate),
    "gelu_exact": lambda a: F.gelu(a.x),
    "gelu_tanh": lambda a: F.gelu(a.x, approximate="tanh"),
    "prelu": lambda a: F.prelu(a.x, a.weight),
    "glu": lambda a: F.glu(a.x, a.dim),
    "softmin": lambda a: F.softmin(a.x, a.dim),
})
