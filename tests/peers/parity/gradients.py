"""Gradients where a rule must choose: kinks, ties, zeros, saturation."""
import torch
import torch.nn.functional as F

f64 = torch.float64
GRADIENTS = {
    # Lua expression in x : (values of x, the same in PyTorch)
    "x:relu()": ([-1, 0, 2], torch.relu),
    "x:abs()": ([-1, 0, 2], torch.abs),
    "x:leaky_relu(0.1)": ([-1, 0, 2], lambda x: F.leaky_relu(x, 0.1)),
    "x:elu()": ([-1, 0, 2, -50], F.elu),
    "x:relu6()": ([-4, -3, 0, 1, 6, 7], F.relu6),
    "x:hardtanh()": ([-2, -1, 0, 1, 2], F.hardtanh),
    "x:hardsigmoid()": ([-4, -3, 3, 4], F.hardsigmoid),
    "x:hardswish()": ([-4, -3, 0, 3, 4], F.hardswish),
    "x:selu()": ([-60, -1, 0, 2], F.selu),
    "x:celu(2)": ([-60, -1, 0, 2], lambda x: F.celu(x, 2)),
    "x:prelu(ms.tensor({0.25}, {dtype = 'f64'}))": ([-1, 0, 2], lambda x: F.prelu(x, torch.tensor([0.25], dtype=f64))),
    "x:mish()": ([-60, -1, 0, 2, 60], F.mish),
    "x:softsign()": ([-2, 0, 2], F.softsign),
    "x:softshrink()": ([-2, -0.5, 0, 0.5, 2], F.softshrink),
    "x:hardshrink()": ([-2, -0.5, 0, 0.5, 2], F.hardshrink),
    "x:threshold(0.5, 9)": ([-2, 0.5, 2], lambda x: F.threshold(x, 0.5, 9)),
    "x:softplus(2, 5)": ([-400, 0, 2.5, 3], lambda x: F.softplus(x, 2, 5)),
    "x:gelu('tanh')": ([-40, -3, 0, 3, 40], lambda x: F.gelu(x, approximate="tanh")),
    "x:tanhshrink()": ([-40, -1, 0, 2], F.tanhshrink),
    "x:fmax(ms.zeros({3}, {dtype = 'f64'}))": ([-1, 0, 2], lambda x: torch.fmax(x, torch.zeros(3, dtype=f64))),
    "x:fmin(ms.zeros({3}, {dtype = 'f64'}))": ([-1, 0, 2], lambda x: torch.fmin(x, torch.zeros(3, dtype=f64))),
    "x:sinc()": ([-1, -0.25, 0, 3.5], torch.sinc),
    "x:xlogy(3)": ([-1, 0, 2], lambda x: torch.xlogy(x, torch.tensor(3.0, dtype=f64))),
    "x:xlogy(0)": ([0, 0], lambda x: torch.xlogy(x, torch.tensor(0.0, dtype=f64))),
    "x:logaddexp(0)": ([-800, 0, 1, 800], lambda x: torch.logaddexp(x, torch.zeros((), dtype=f64))),
    "x:copysign(-1)": ([-1, 0, 2], lambda x: torch.copysign(x, -1.0)),
    "x:logit(0.25)": ([0.1, 0.25, 0.5, 0.75, 0.8], lambda x: torch.logit(x, 0.25)),
    "x:logit()": ([0, 0.25, 0.5, 1], torch.logit),
    "x:log_ndtr()": ([-40, -1, 0, 9], torch.special.log_ndtr),
    "x:nan_to_num()": ([-1, 0, 2], torch.nan_to_num),
    "x:lgamma()": ([-1.5, 0.5, 3, 40], torch.lgamma),
    "ms.polygamma(3, x)": ([-1.5, 0.5, 3, 40], lambda x: torch.polygamma(3, x)),
    "x:i0()": ([-3, 0, 2, 40], torch.special.i0),
    "x:i1()": ([-3, 0, 2, 40], torch.special.i1),
    "x:i0e()": ([-3, 2, 40], torch.special.i0e),
    "x:i1e()": ([-3, 2, 40], torch.special.i1e),
    "x:clamp(-1, 1)": ([-2, -0.5, 0, 0.5, 2], lambda x: x.clamp(-1, 1)),  # at the bounds versions of PyTorch differ
    "x:maximum(ms.zeros({3}, {dtype = 'f64'}))": ([-1, 0, 2], lambda x: torch.maximum(x, torch.zeros(3, dtype=f64))),
    "x:minimum(ms.zeros({3}, {dtype = 'f64'}))": ([-1, 0, 2], lambda x: torch.minimum(x, torch.zeros(3, dtype=f64))),
    "x:amax()": ([1, 3, 3, 2], lambda x: x.amax()),
    "x:amin()": ([1, 3, 1, 2], lambda x: x.amin()),
    "(x:max(1))": ([1, 3, 3, 2], lambda x: x.max(0)[0]),
    "x:norm()": ([0, 0, 0], lambda x: x.norm()),
    "x:norm(1)": ([0, -1, 2], lambda x: x.norm(1)),
    "x:prod(1)": ([0, 2, 3], lambda x: x.prod(0)),
    "x:prod(1) * 1": ([0, 0, 3], lambda x: x.prod(0)),
    "x:pow(2)": ([-1, 0, 2], lambda x: x.pow(2)),
    "x:pow(3)": ([-1, 0, 2], lambda x: x.pow(3)),
    "x:pow(1)": ([-1, 0, 2], lambda x: x.pow(1)),
    "x:pow(0)": ([-1, 0, 2], lambda x: x.pow(0)),
    "ms.pow(2, x)": ([-1, 0, 2], lambda x: torch.pow(2, x)),
    "ms.pow(0, x)": ([0, 1, 2], lambda x: torch.pow(0, x)),
    "x:sigmoid()": ([-800, -40, 0, 40, 800], torch.sigmoid),
    "x:softplus()": ([-800, -40, 0, 40, 800], F.softplus),
    "x:logsigmoid()": ([-800, -40, 0, 40, 800], F.logsigmoid),
    "x:silu()": ([-800, -40, 0, 40, 800], F.silu),
    "x:gelu()": ([-40, -6, 0, 6, 40], F.gelu),
    "x:tanh()": ([-800, -20, 0, 20], torch.tanh),
    "x:logsumexp()": ([-800, 0, 700, 700], lambda x: x.logsumexp(0)),
    "x:log_softmax()": ([-800, 0, 700, 700], lambda x: x.log_softmax(0)),
    "x:softmax()": ([-800, 0, 700, 700], lambda x: x.softmax(0)),
    "x:bce_loss(ms.tensor({0, 1, 1, 0, 0.5}, {dtype = 'f64'}))":
        ([0, 0.25, 1, 0.75, 0.5], lambda x: F.binary_cross_entropy(x, torch.tensor([0, 1, 1, 0, 0.5], dtype=f64))),
    "x:bce_with_logits(ms.tensor({0, 1, 0, 1, 0.5}, {dtype = 'f64'}))":
        ([-800, -800, 800, 800, 0], lambda x: F.binary_cross_entropy_with_logits(x, torch.tensor([0, 1, 0, 1, 0.5], dtype=f64))),
    "x:l1_loss(ms.zeros({3}, {dtype = 'f64'}))": ([-1, 0, 2], lambda x: F.l1_loss(x, torch.zeros(3, dtype=f64))),
    "x:smooth_l1_loss(x:detach() * 0, 'sum', 2)": ([-3, -2, 0, 2, 1], lambda x: F.smooth_l1_loss(x, x.detach() * 0, reduction="sum", beta=2)),
    "x:huber_loss(x:detach() * 0, 'sum', 2)": ([-3, -2, 0, 2, 1], lambda x: F.huber_loss(x, x.detach() * 0, reduction="sum", delta=2)),
    "(x * 0 - 1):kl_div(x, 'sum')": ([1, 0.5, 2], lambda x: F.kl_div(x * 0 - 1, x, reduction="sum")),
    "x:hinge_embedding_loss(ms.tensor { 1, -1, -1, 2 })":
        ([1, 1, 0.5, 3], lambda x: F.hinge_embedding_loss(x, torch.tensor([1, -1, -1, 2]))),
    "x:margin_ranking_loss(x:detach(), ms.tensor { 1, -1, 1 }, 0)":
        ([1, 1, 0.5], lambda x: F.margin_ranking_loss(x, x.detach(), torch.tensor([1, -1, 1]))),
    "x:gaussian_nll_loss(x * 2, x)": ([1, 1e-7, 1e-6, 0.5], lambda x: F.gaussian_nll_loss(x, x * 2, x)),
    "x:normalize(2, 1)": ([0, 0, 0], lambda x: F.normalize(x, dim=0)),
    "x:cosine_similarity(x:detach() + 1, 1)": ([0, 0, 0], lambda x: F.cosine_similarity(x, x.detach() + 1, dim=0)),
    "x:pairwise_distance(x:detach())": ([1, 2, 3], lambda x: F.pairwise_distance(x, x.detach())),
    "x:triplet_margin_loss(x:detach(), x:detach() + 1, 1, 2, 0)":
        ([1, 2, 3], lambda x: F.triplet_margin_loss(x, x.detach(), x.detach() + 1, eps=0)),
    "x:multi_margin_loss(ms.tensor(2, { dtype = 'i64' }))": ([1, 2, 3, 0.5], lambda x: F.multi_margin_loss(x, torch.tensor(1))),
    "x:multilabel_margin_loss(ms.tensor({ 2, 2, 0, 1 }, { dtype = 'i64' }))":
        ([1, 2, 3, 0.5], lambda x: F.multilabel_margin_loss(x, torch.tensor([1, 1, -1, 0]))),
    "x:cross_entropy(ms.tensor(2, { dtype = 'i64' }), 'sum', { label_smoothing = 0.25 })":
        ([-800, 0, 700, 700], lambda x: F.cross_entropy(x, torch.tensor(1), label_smoothing=0.25)),
    "(x:sort())": ([3, 1, 3, 2], lambda x: x.sort(stable=True)[0]),
    "x:where(x, 0)": ([-1, 0, 2], lambda x: torch.where(x.bool(), x, torch.zeros((), dtype=f64))),
    "x:fmod(2)": ([-3, 3, 5.5], lambda x: x.fmod(2)),
    "x:remainder(2)": ([-3, 3, 5.5], lambda x: x.remainder(2)),
    "(x * 2):masked_fill(x:gt(0), 5)": ([-1, 0, 2], lambda x: (x * 2).masked_fill(x > 0, 5)),
}


def gradient(values, f):
    x = torch.tensor([float(v) for v in values], dtype=f64, requires_grad=True)
    y = f(x)
    weights = torch.arange(1, y.numel() + 1, dtype=f64).reshape(y.shape)
    return torch.autograd.grad((y * weights).sum(), x)[0]
