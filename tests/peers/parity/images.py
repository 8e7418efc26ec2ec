"""Pooling, resampling, and what moves pixels."""
import torch
import torch.nn.functional as F

from .base import adjoint, pair, positions


def averages(a):
    return {"stride": a.stride, "padding": a.padding, "ceil_mode": a.ceil_mode, "count_include_pad": a.count_include_pad}


def avg_pool2d(x, a):
    return F.avg_pool2d(x, a.kernel_size, divisor_override=a.divisor_override, **averages(a))


def images_of(a, size):
    return torch.zeros(*a.g.shape[:2], *pair(size), dtype=a.g.dtype)


def maxima(f):
    """Values, and positions where they are asked for."""
    def run(a):
        r = f(a)
        return positions(r) if a.get("return_indices", True) else r[0]
    return run


def max_args(a):
    return {"kernel_size": a.kernel_size, "stride": a.stride, "padding": a.padding, "dilation": a.dilation, "ceil_mode": a.ceil_mode,
            "return_indices": True}


def adaptive(v):
    return [None if n == -1 else n for n in v] if isinstance(v, list) else v


def corners(mode, align):
    return None if mode in ("nearest", "nearest-exact", "area") else align


def resample(x, size, a):
    kind = {"nearest": "nearest2d", "nearest-exact": "_nearest_exact2d", "bilinear": "bilinear2d", "bicubic": "bicubic2d"}[a.mode]
    f = getattr(torch.ops.aten, ("" if kind.startswith("_") else "upsample_") + kind.replace("_nearest", "_upsample_nearest"))
    align = () if "nearest" in a.mode else (a.align_corners,)
    return f(x, pair(size), *align, *(a.scale or (None, None)))


def interpolate(a):
    scale, size = a.scale_factor, a["size"]
    if isinstance(scale, list):
        scale = tuple(scale)
    return F.interpolate(a.x, size=size, scale_factor=scale, mode=a.mode, align_corners=corners(a.mode, a.align_corners),
                         recompute_scale_factor=a.recompute_scale or None)


def lp_pool(f):
    return lambda a: f(a.x, a.norm_type, a.kernel_size, a.stride, a.ceil_mode)


def patches(a):
    return {"kernel_size": a.kernel_size, "dilation": a.dilation, "padding": a.padding, "stride": a.stride}


ROWS = {
    "avg_pool2d": lambda a: avg_pool2d(a.x, a),
    "avg_pool2d_grad": lambda a: adjoint(lambda t: avg_pool2d(t, a), images_of(a, a.input), a.g),
    "avg_pool1d": lambda a: F.avg_pool1d(a.x, a.kernel_size, **averages(a)),
    "lp_pool2d": lp_pool(F.lp_pool2d),
    "lp_pool1d": lp_pool(F.lp_pool1d),
    "max_pool2d_with_indices": maxima(lambda a: F.max_pool2d(a.x, **max_args(a))),
    "max_pool2d_grad": lambda a: torch.zeros(*a.g.shape[:2], pair(a.input)[0] * pair(a.input)[1], dtype=a.g.dtype).scatter_add(
        2, a["index"].flatten(2), a.g.flatten(2)).reshape(*a.g.shape[:2], *pair(a.input)),
    "max_pool2d_pick": lambda a: a.x.flatten(2).gather(2, a["index"].flatten(2)).reshape(a["index"].shape),
    "max_pool2d": maxima(lambda a: F.max_pool2d(a.x, **max_args(a))),
    "max_pool1d": maxima(lambda a: F.max_pool1d(a.x, **max_args(a))),
    "adaptive_avg_pool2d": lambda a: F.adaptive_avg_pool2d(a.x, adaptive(a.output_size)),
    "adaptive_avg_pool2d_grad": lambda a: adjoint(lambda t: F.adaptive_avg_pool2d(t, a.g.shape[2:]), images_of(a, a.input), a.g),
    "adaptive_avg_pool1d": lambda a: F.adaptive_avg_pool1d(a.x, a.output_size),
    "adaptive_max_pool2d_with_indices": maxima(lambda a: F.adaptive_max_pool2d(a.x, a.output_size, return_indices=True)),
    "adaptive_max_pool2d": maxima(lambda a: F.adaptive_max_pool2d(a.x, adaptive(a.output_size), return_indices=True)),
    "adaptive_max_pool1d": maxima(lambda a: F.adaptive_max_pool1d(a.x, a.output_size, return_indices=True)),
    "resample": lambda a: resample(a.x, a["size"], a),
    "resample_grad": lambda a: adjoint(lambda t: resample(t, list(a.g.shape[2:]), a), images_of(a, a.input), a.g),
    "interpolate": interpolate,
    "pixel_shuffle": lambda a: F.pixel_shuffle(a.x, a.upscale_factor),
    "pixel_unshuffle": lambda a: F.pixel_unshuffle(a.x, a.downscale_factor),
    "channel_shuffle": lambda a: torch.channel_shuffle(a.x, a.groups),
    "im2col": lambda a: F.unfold(a.x, **patches(a)),
    "col2im": lambda a: F.fold(a.x, a.output_size, **patches(a)),
    "grid_sample": lambda a: F.grid_sample(a.x, a.grid, a.mode, a.padding_mode, a.align_corners),
    "affine_grid": lambda a: F.affine_grid(a.theta, a["size"], a.align_corners),
}
