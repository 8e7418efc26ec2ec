#!/usr/bin/env python3
"""Write tests/data/optim.json: parameters after steps of every optimizer in PyTorch, f64, for tests/lua/test_optim_parity.lua.

    python3 tests/peers/make_optim.py tests/data/optim.json

A small problem that both sides compute alike (`problem` here, there): parameters w (4 x 3), v (3 x 5), b (3), and c (2), whose gradient is
there only in every third step. 50 steps each; kept is what all parameters are after some of them. Lion, which PyTorch lacks, is written out
below; Muon is PyTorch's with its products in the dtype of the parameters, where PyTorch rounds them to bf16.
"""
import json
import sys

import numpy as np
import torch

KEPT = (1, 2, 10, 50)


def fraction(i):
    """i -> 0 .. 1 - 2^-24, scattered (as in make_steps.py): 64 bits that wrap."""
    x = i * 0x9E3779B97F4A7C15 % 2**64
    x ^= x >> 32
    x = x * 0xD1342543DE82EF95 % 2**64
    return (x >> 40) / 2**24


def tensor(seed, *shape):
    n = int(np.prod(shape))
    return torch.tensor([fraction(seed * 1000 + i) * 2 - 1 for i in range(n)], dtype=torch.float64).reshape(shape)


def parameters():
    return [torch.nn.Parameter(tensor(k + 1, *shape)) for k, shape in enumerate([(4, 3), (3, 5), (3,), (2,)])]


def problem(p, step):
    w, v, b, c = p
    x, y = tensor(10 + step, 6, 4), tensor(100 + step, 6, 5)
    loss = ((torch.tanh(x @ w + b) @ v - y) ** 2).sum() / 6
    return loss + ((c - 0.5) ** 2).sum() if step % 3 == 1 else loss


class Lion(torch.optim.Optimizer):
    """Chen et al., Symbolic discovery of optimization algorithms, arXiv 2302.06675, program 1: update = interp(g, m, beta1); sign(update)
    + wd * p, times lr, off p; m = interp(g, m, beta2)."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0, maximize=False):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay, maximize=maximize))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                g = -p.grad if group["maximize"] else p.grad
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                update = b1 * m + (1 - b1) * g
                p -= group["lr"] * (torch.sign(update) + group["weight_decay"] * p)
                m.copy_(b2 * m + (1 - b2) * g)


class F64(torch.Tensor):
    """Muon asks for bf16 (`grad.to(dtype=bfloat16, copy=True)`): a matrix that stays f64."""

    def to(self, dtype=None, copy=False):
        return self.as_subclass(torch.Tensor).clone()


def muon(*args, **options):
    module = sys.modules["torch.optim._muon"]
    if not hasattr(module, "exact"):
        plain = module._zeropower_via_newtonschulz
        module.exact = True
        module._zeropower_via_newtonschulz = lambda g, *rest: plain(g.as_subclass(F64), *rest)
    return torch.optim.Muon(*args, **options)


O = torch.optim
CASES = [  # name here, class, options as in PyTorch, groups or None (of parameters by their places, with options)
    ("sgd", O.SGD, dict(lr=0.05), None),
    ("sgd", O.SGD, dict(lr=0.02, momentum=0.9, dampening=0.2, weight_decay=0.01), None),
    ("sgd", O.SGD, dict(lr=0.02, momentum=0.8, nesterov=True, weight_decay=0.02), None),
    ("sgd", O.SGD, dict(lr=0.001, momentum=0.5, maximize=True), None),
    ("sgd", O.SGD, dict(lr=0.02, momentum=0.9), [([0, 2], dict(lr=0.05)), ([1], dict(momentum=0, weight_decay=0.1)), ([3], dict())]),
    ("adam", O.Adam, dict(), None),
    ("adam", O.Adam, dict(lr=0.02, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.03), None),
    ("adam", O.Adam, dict(lr=0.02, amsgrad=True, betas=(0.7, 0.8), weight_decay=0.01), None),
    ("adam", O.Adam, dict(lr=0.01, weight_decay=0.05, decoupled_weight_decay=True), None),
    ("adam", O.Adam, dict(lr=0.01), [([0], dict(betas=(0.5, 0.9))), ([1, 2, 3], dict(amsgrad=True, lr=0.03))]),
    ("adam", O.Adam, dict(lr=0.01, maximize=True), None),
    ("adamw", O.AdamW, dict(), None),
    ("adamw", O.AdamW, dict(lr=0.02, betas=(0.8, 0.95), weight_decay=0.1, amsgrad=True), None),
    ("adamw", O.AdamW, dict(lr=0.03, weight_decay=0.2, maximize=True), None),
    ("nadam", O.NAdam, dict(), None),
    ("nadam", O.NAdam, dict(lr=0.02, betas=(0.8, 0.95), weight_decay=0.02, momentum_decay=0.01), None),
    ("nadam", O.NAdam, dict(lr=0.02, weight_decay=0.1, decoupled_weight_decay=True), None),
    ("radam", O.RAdam, dict(), None),
    ("radam", O.RAdam, dict(lr=0.02, betas=(0.8, 0.9), weight_decay=0.02), None),
    ("radam", O.RAdam, dict(lr=0.02, betas=(0.9, 0.98), weight_decay=0.1, decoupled_weight_decay=True), None),
    ("adamax", O.Adamax, dict(), None),
    ("adamax", O.Adamax, dict(lr=0.03, betas=(0.7, 0.9), weight_decay=0.05), None),
    ("rmsprop", O.RMSprop, dict(), None),
    ("rmsprop", O.RMSprop, dict(lr=0.003, alpha=0.9, weight_decay=0.02, momentum=0.8), None),
    ("rmsprop", O.RMSprop, dict(lr=0.003, alpha=0.95, centered=True, momentum=0.5, eps=1e-4), None),
    ("rmsprop", O.RMSprop, dict(lr=0.003, centered=True), [([0, 1], dict(centered=False, alpha=0.8)), ([2, 3], dict(momentum=0.9))]),
    ("adagrad", O.Adagrad, dict(), None),
    ("adagrad", O.Adagrad, dict(lr=0.1, lr_decay=0.1, weight_decay=0.02, initial_accumulator_value=0.3), None),
    ("adadelta", O.Adadelta, dict(), None),
    ("adadelta", O.Adadelta, dict(lr=0.7, rho=0.8, eps=1e-4, weight_decay=0.05), None),
    ("asgd", O.ASGD, dict(), None),
    ("asgd", O.ASGD, dict(lr=0.05, lambd=0.01, alpha=0.6, t0=10, weight_decay=0.02), None),
    ("rprop", O.Rprop, dict(), None),
    ("rprop", O.Rprop, dict(lr=0.02, etas=(0.6, 1.3), step_sizes=(1e-3, 0.1)), None),
    ("lion", Lion, dict(), None),
    ("lion", Lion, dict(lr=0.01, betas=(0.8, 0.95), weight_decay=0.1), None),
    ("muon", muon, dict(), [([0, 1], dict())]),
    ("muon", muon, dict(lr=0.02, weight_decay=0, momentum=0.8, nesterov=False, ns_steps=3), [([0, 1], dict())]),
    ("muon", muon, dict(lr=0.02, adjust_lr_fn="match_rms_adamw", ns_coefficients=(2.0, -1.5, 0.5)), [([0, 1], dict())]),
    ("muon", muon, dict(lr=0.02, adjust_lr_fn="spectral_unclamped"), [([0], dict(lr=0.05)), ([1], dict())]),
]
BFGS = [
    dict(lr=0.1, max_iter=4),
    dict(max_iter=5, line_search_fn="strong_wolfe"),
    dict(lr=0.5, max_iter=10, history_size=5, line_search_fn="strong_wolfe"),
    dict(lr=0.05, max_iter=3, max_eval=2, maximize=True),
]


def values(p):
    return [[float(f"{v:.16g}") for v in t.detach().reshape(-1)] for t in p]


def run(make, options, groups):
    p = parameters()
    if groups is None:
        o = make(p, **options)
    else:
        o = make([dict(params=[p[i] for i in places], **more) for places, more in groups], **options)
    kept = {}
    for step in range(1, 51):
        for t in p:
            t.grad = None
        problem(p, step).backward()
        o.step()
        if step in KEPT:
            kept[step] = values(p)
    return kept


def run_lbfgs(options, nudge=0.0):
    """Steps of L-BFGS on one batch; losses too. 50 iterations in all, about. nudge: added to the first parameter, to see what a rounding does."""
    p = parameters()
    with torch.no_grad():
        p[0][0, 0] += nudge
    o = O.LBFGS(p, **options)
    steps = -(-50 // options["max_iter"]) if not options.get("maximize") else 5

    def closure():
        o.zero_grad()
        loss = problem(p, 1)
        loss.backward()
        return loss

    losses, kept = [], {}
    for step in range(1, steps + 1):
        losses.append(o.step(closure).item())
        kept[step] = values(p)
    state = o.state[p[0]]
    if not nudge:
        part = max(abs(a - b) for x, y in zip(kept.values(), run_lbfgs(options, 1e-15)["kept"].values()) for u, v in zip(x, y) for a, b in zip(u, v))
        print(options, "a rounding at first makes", part, "at the end;", losses[0], "->", losses[-1])
        assert part < 1e-10, "this run amplifies roundings: choose other options"
    return dict(options=options, losses=losses, kept=kept, evals=state["func_evals"], iterations=state["n_iter"])


def clipping():
    """Norms and gradients after clip_grad_norm_ and clip_grad_value_."""
    out = []
    for kind, limit, norm_type in [("norm", 0.5, 2.0), ("norm", 100.0, 2.0), ("norm", 0.25, 1.0), ("norm", 0.25, float("inf")),
                                   ("norm", 0.3, 3.0), ("value", 0.2, None)]:
        p = parameters()
        problem(p, 2).backward()
        if kind == "norm":
            total = torch.nn.utils.clip_grad_norm_(p, limit, norm_type=norm_type).item()
        else:
            total = torch.nn.utils.clip_grad_value_(p, limit)
        out.append(dict(kind=kind, limit=limit, norm_type="inf" if norm_type == float("inf") else norm_type, total=total,
                        gradients=[None if t.grad is None else values([t.grad])[0] for t in p]))
    return out


def averages():
    """AveragedModel after updates: of a linear layer and a batch norm, weights and running statistics."""
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
    out = []
    for decay, use_buffers in [(None, False), (0.9, False), (0.75, True), (None, True)]:
        net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3)).double()
        for k, t in enumerate(net.parameters()):
            t.data.copy_(tensor(k + 1, *t.shape))
        average = AveragedModel(net, multi_avg_fn=None if decay is None else get_ema_multi_avg_fn(decay), use_buffers=use_buffers)
        for step in range(1, 6):
            net(tensor(10 + step, 6, 4)).square().sum().backward()
            with torch.no_grad():
                for t in net.parameters():
                    t -= 0.1 * t.grad
                    t.grad = None
            average.update_parameters(net)
        names = ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"]
        state = average.module.state_dict()
        out.append(dict(decay=decay, use_buffers=use_buffers, values=[values([state[n]])[0] for n in names]))
    return out


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)  # what ASGD counts with is of this dtype
    cases = [dict(name=name, options=options, groups=groups and [dict(places=[i + 1 for i in places], options=more) for places, more in groups],
                  kept=run(make, options, groups)) for name, make, options, groups in CASES]
    out = dict(torch=torch.__version__, cases=cases, lbfgs=[run_lbfgs(options) for options in BFGS], clipping=clipping(), averages=averages())
    json.dump(out, open(sys.argv[1], "w"), separators=(",", ":"))
    print(len(cases), "cases of", len({c["name"] for c in cases}), "optimizers")
