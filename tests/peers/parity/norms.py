"""Normalisation."""
import torch
import torch.nn.functional as F

from .base import per_channel


def standardize(a):
    var, mean = torch.var_mean(a.x, dim=a.dims, correction=0, keepdim=True)
    rstd = (var + a.eps).rsqrt()
    return (a.x - mean) * rstd, mean, rstd


def standardize_grad(g, y, rstd, dims):
    return rstd * (g - g.mean(dims, keepdim=True) - y * (g * y).mean(dims, keepdim=True))


def batch_normalize(a):
    var, mean = torch.var_mean(a.x, dim=[d for d in range(a.x.dim()) if d != 1], correction=0)
    return F.batch_norm(a.x, None, None, a.weight, a.bias, True, 0.0, a.eps), mean, (var + a.eps).rsqrt()


def batch_normalize_grad(a):
    """What arrives at x, weight and bias, from the saved mean and rstd as they are given."""
    dims = [d for d in range(a.x.dim()) if d != 1]
    xhat = (a.x - per_channel(a["mean"], a.x)) * per_channel(a.rstd, a.x)
    g = a.g if a.weight is None else a.g * per_channel(a.weight, a.x)
    return standardize_grad(g, xhat, per_channel(a.rstd, a.x), dims), (a.g * xhat).sum(dims), a.g.sum(dims)


def batch_norm_follow(a):
    var = (a.rstd ** -2 - a.eps) * a.count / (a.count - 1)
    a["running_mean"] = torch.lerp(a.running_mean, a["mean"], a.momentum)
    a["running_var"] = torch.lerp(a.running_var, var, a.momentum)
    return ()


def listed(v):
    return v if isinstance(v, list) else [v]


ROWS = {
    "standardize": standardize,
    "standardize_grad": lambda a: standardize_grad(a.g, a.y, a.rstd, a.dims),
    "batch_normalize": batch_normalize,
    "batch_normalize_grad": batch_normalize_grad,
    "batch_norm_follow_": batch_norm_follow,
    "batch_norm": lambda a: F.batch_norm(a.x, a.running_mean, a.running_var, a.weight, a.bias, a.training, a.momentum, a.eps),
    "layer_norm": lambda a: F.layer_norm(a.x, listed(a.normalized_shape), a.weight, a.bias, a.eps),
    "rms_norm": lambda a: F.rms_norm(a.x, listed(a.normalized_shape), a.weight, None if a.eps < 0 else a.eps),
    "group_norm": lambda a: F.group_norm(a.x, a.num_groups, a.weight, a.bias, a.eps),
    "instance_norm": lambda a: F.instance_norm(a.x, a.running_mean, a.running_var, a.weight, a.bias, a.use_input_stats, a.momentum, a.eps),
    "local_response_norm": lambda a: F.local_response_norm(a.x, a.size, a.alpha, a.beta, a.k),
}
