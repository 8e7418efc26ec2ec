"""Losses that compare with a target element by element, or with labels of classes."""
import torch
import torch.nn.functional as F

from .base import adjoint


def loss(f, **names):
    """f(x, target, ...), the other arguments under the names that they have there."""
    return lambda a: f(a.x, a.target, **{names.get(k, k): v for k, v in a.items() if k not in ("x", "target")})


def labels(f):
    """The same with labels from 1 (the target of cross_entropy may hold probabilities); by default none is ignored."""

    def run(a):
        a = dict(a)
        if a["target"].dtype == torch.int64 and f is F.cross_entropy:
            a["target"] = a["target"] - 1
        ignored = a.pop("ignore_index")
        more = {} if ignored is None else {"ignore_index": ignored - 1}
        return f(a.pop("x"), a.pop("target"), **a, **more)

    return run


def focal(a):
    """Lin et al. 2017, "Focal loss for dense object detection", eq. 5: FL(p_t) = -alpha_t (1 - p_t)^gamma log(p_t); targets between 0
    and 1 as in torchvision's sigmoid_focal_loss, which defines p_t and alpha_t linearly in them."""
    p = torch.sigmoid(a.x)
    entropy = -(a.target * torch.log(p) + (1 - a.target) * torch.log1p(-p))
    p_t = p * a.target + (1 - p) * (1 - a.target)
    each = entropy * (1 - p_t) ** a.gamma
    if a.alpha >= 0:
        each = each * (a.alpha * a.target + (1 - a.alpha) * (1 - a.target))
    return {"none": each, "mean": each.mean(), "sum": each.sum()}[a.reduction]


ROWS = {
    "mse_loss": loss(F.mse_loss),
    "l1_loss": loss(F.l1_loss),
    "smooth_l1_loss": loss(F.smooth_l1_loss),
    "huber_loss": loss(F.huber_loss),
    "kl_div": loss(F.kl_div),
    "gaussian_nll_loss": loss(F.gaussian_nll_loss),
    "poisson_nll_loss": loss(F.poisson_nll_loss),
    "bce_loss": loss(F.binary_cross_entropy),
    "bce_with_logits": loss(F.binary_cross_entropy_with_logits),
    "sigmoid_focal_loss": focal,
    "multilabel_soft_margin_loss": loss(F.multilabel_soft_margin_loss),
    "soft_margin_loss": loss(F.soft_margin_loss),
    "nll_loss": labels(F.nll_loss),
    "cross_entropy": labels(F.cross_entropy),
    "plain_nll_loss": loss(F.nll_loss),
    "plain_cross_entropy": loss(F.cross_entropy),
    "cross_entropy_grad": lambda a: adjoint(lambda x: F.cross_entropy(x, a.target, reduction="none"), a.x, a.g),
}
