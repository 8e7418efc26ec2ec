"""Losses."""
import torch.nn.functional as F

from .base import adjoint


def loss(f):
    return lambda a: f(a.x, a.target, reduction=a.reduction)


ROWS = {
    "mse_loss": loss(F.mse_loss),
    "l1_loss": loss(F.l1_loss),
    "bce_loss": loss(F.binary_cross_entropy),
    "bce_with_logits": loss(F.binary_cross_entropy_with_logits),
    "nll_loss": loss(F.nll_loss),
    "cross_entropy": loss(F.cross_entropy),
    "cross_entropy_grad": lambda a: adjoint(lambda x: F.cross_entropy(x, a.target, reduction="none"), a.x, a.g),
}
