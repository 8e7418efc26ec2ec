"""Losses with margins, distances and angles of vectors, similarity of images."""
import torch
import torch.nn.functional as F


def call(f, *first):
    """f of these arguments by position and of the others by name."""
    return lambda a: f(*[a[k] for k in first], **{k: v for k, v in a.items() if k not in first})


def labels_from_one(f):
    return lambda a: f(a.x, a.target - 1, reduction=a.reduction)


def ssim_of_each(a):
    """Wang, Bovik, Sheikh, Simoncelli 2004, "Image quality assessment: from error visibility to structural similarity", eq. 13 to 15, word
    by word: in each window weighted means, and weighted squares of what differs from them."""
    x, y = (v if v.dim() == 4 else v[None] for v in (a.x, a.y))
    n, half = a.window_size, (a.window_size - 1) / 2
    d = torch.arange(n, dtype=torch.float64) - half
    w = torch.exp(-(d[:, None] ** 2 + d[None, :] ** 2) / (2 * a.sigma ** 2))
    w = (w / w.sum()).to(x.dtype)
    c1, c2 = (a.k1 * a.data_range) ** 2, (a.k2 * a.data_range) ** 2
    px, py = (v.unfold(2, n, 1).unfold(3, n, 1) for v in (x, y))  # N x C x places x places x n x n
    mx, my = ((p * w).sum((-1, -2)) for p in (px, py))
    dx, dy = px - mx[..., None, None], py - my[..., None, None]
    vx, vy, cov = (dx * dx * w).sum((-1, -2)), (dy * dy * w).sum((-1, -2)), (dx * dy * w).sum((-1, -2))
    each = (2 * mx * my + c1) * (2 * cov + c2) / ((mx ** 2 + my ** 2 + c1) * (vx + vy + c2))
    each = each.mean((1, 2, 3))
    return each if a.x.dim() == 4 else each[0]


def reduced(each, reduction):
    return {"none": each, "mean": each.mean(), "sum": each.sum()}[reduction]


ROWS = {
    "hinge_embedding_loss": call(F.hinge_embedding_loss, "x", "target"),
    "margin_ranking_loss": call(F.margin_ranking_loss, "x1", "x2", "target"),
    "cosine_embedding_loss": call(F.cosine_embedding_loss, "x1", "x2", "target"),
    "triplet_margin_loss": call(F.triplet_margin_loss),
    "multi_margin_loss": call(F.multi_margin_loss, "x", "target"),
    "multilabel_margin_loss": labels_from_one(F.multilabel_margin_loss),
    "cosine_similarity": call(F.cosine_similarity),
    "pairwise_distance": call(F.pairwise_distance),
    "normalize": call(F.normalize, "x"),
    "ssim": lambda a: reduced(ssim_of_each(a), a.reduction),
    "ssim_loss": lambda a: reduced(1 - ssim_of_each(a), a.reduction),
}
