"""Matrix products, convolutions."""
import torch
import torch.nn.functional as F

from .base import adjoint, pair


def matmul(a):
    return torch.matmul(a.a.transpose(-1, -2) if a.ta else a.a, a.b.transpose(-1, -2) if a.tb else a.b)


def scaled(f):
    return lambda a: f(*list(a.values())[:3], beta=a.beta, alpha=a.alpha)


def cross_dim(a):
    shape = torch.broadcast_shapes(a.x.shape, a.other.shape)
    return a.dim if a.dim is not None else shape.index(3)


def conv_args(a):
    return {"stride": a.stride, "padding": a.padding, "dilation": a.dilation, "groups": a.groups}


def conv2d_input_grad(a):
    n, c = a.g.shape[0], a.w.shape[1] * a.groups
    x = torch.zeros(n, c, *pair(a["size"]), dtype=a.g.dtype)
    return adjoint(lambda t: F.conv2d(t, a.w, None, **conv_args(a)), x, a.g)


def conv2d_weight_grad(a):
    w = torch.zeros(a.g.shape[1], a.x.shape[1] // a.groups, *pair(a["size"]), dtype=a.x.dtype)
    return adjoint(lambda t: F.conv2d(a.x, t, None, **conv_args(a)), w, a.g)


ROWS = {
    "matmul": matmul,
    "matmul_whole": matmul,
    "mm": lambda a: torch.mm(a.x, a.mat2),
    "bmm": lambda a: torch.bmm(a.x, a.mat2),
    "mv": lambda a: torch.mv(a.x, a.vec),
    "dot": lambda a: torch.dot(a.x, a.tensor),
    "outer": lambda a: torch.outer(a.x, a.vec2),
    "inner": lambda a: torch.inner(a.x, a.other),
    "addmm": scaled(torch.addmm),
    "addmv": scaled(torch.addmv),
    "addr": scaled(torch.addr),
    "baddbmm": scaled(torch.baddbmm),
    "addbmm": scaled(torch.addbmm),
    "matrix_power": lambda a: torch.matrix_power(a.x, a.n),
    "cross": lambda a: torch.linalg.cross(*torch.broadcast_tensors(a.x, a.other), dim=cross_dim(a)),
    "cdist": lambda a: torch.cdist(a.x1, a.x2, a.p, compute_mode="donot_use_mm_for_euclid_dist"),
    "pdist": lambda a: F.pdist(a.x, a.p),
    "conv2d": lambda a: F.conv2d(a.x, a.w, a.bias, **conv_args(a)),
    "conv2d_input_grad": conv2d_input_grad,
    "conv2d_weight_grad": conv2d_weight_grad,
    "conv_transpose2d": lambda a: F.conv_transpose2d(a.x, a.w, a.bias, output_padding=a.output_padding, **conv_args(a)),
    "conv1d": lambda a: F.conv1d(a.x, a.w, a.bias, **conv_args(a)),
    "conv_transpose1d": lambda a: F.conv_transpose1d(a.x, a.w, a.bias, output_padding=a.output_padding, **conv_args(a)),
    "linear": lambda a: F.linear(a.x, a.w, a.bias),
}
