#!/usr/bin/env python3
"""Write tests/data/penalty.json: the gradient penalty of WGAN-GP and its gradients in PyTorch, and the losses of 100 steps of such a training.

    python3 tests/peers/make_penalty.py tests/data/penalty.json

Needs torch. Weights, states, noise and interpolation weights come from the formulas of make_steps.py, which tests/lua/test_penalty.lua
repeats; so nothing but results is stored. `critics`: of small critics of many kinds of layers, the penalty and its gradient by each parameter,
in f64 and f32. `training`: losses of 100 critic steps and of the 25 generator steps between them (the first batch included), in f32.
"""
import json
import sys

import numpy as np
import torch
import torch.nn as nn
from make_steps import fraction

SEED, SIDE, BATCH, LATENT, STEPS, N_CRITIC = 3000, 16, 6, 16, 100, 4


def formula(shape, seed, low, high):
    n = int(np.prod(shape))
    i = np.arange(n, dtype=np.uint64) + np.uint64((SEED + seed) * 1000003)
    v = low + fraction(i) * (high - low)
    return torch.from_numpy(v.astype(np.float32)).reshape(shape)


def weights(net, seed):
    """Parameter k: uniform in -b .. b, b = 1 / sqrt(what one result is a sum of); gains of norms around 1."""
    for k, p in enumerate(net.parameters()):
        b = 1 / float(np.sqrt(np.float64(p.numel() // p.shape[0]))) if p.dim() > 1 else 0.25
        low, high = (0.75, 1.25) if getattr(p, "gain", False) else (-b, b)
        with torch.no_grad():
            p.copy_(formula(p.shape, seed + k, low, high))
    return net


def gain(norm):
    norm.weight.gain = True
    return norm


def end(width):
    return [nn.Flatten(), nn.Linear(width, 1)]


def critics():
    leaky = lambda: nn.LeakyReLU(0.2)
    return {
        "linear": [nn.Flatten(), nn.Linear(512, 3), leaky(), nn.Linear(3, 1)],
        "conv": [nn.Conv2d(2, 3, 3, padding=1), leaky(), nn.Conv2d(3, 2, 3), leaky()] + end(2 * 14 * 14),
        "strided": [nn.Conv2d(2, 4, 4, stride=2, padding=1), leaky(), nn.Conv2d(4, 6, 4, stride=2, padding=1), leaky()] + end(6 * 16),
        "layer_norm": [nn.Conv2d(2, 3, 4, stride=2, padding=1), gain(nn.LayerNorm([3, 8, 8])), leaky()] + end(3 * 64),
        "avg_pool": [nn.Conv2d(2, 3, 3, padding=1), leaky(), nn.AvgPool2d(2), nn.Conv2d(3, 3, 3, padding=1), leaky(), nn.AvgPool2d(2)]
        + end(3 * 16),
        "upsample": [nn.Conv2d(2, 3, 4, stride=4), leaky(), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(3, 2, 3), leaky()]
        + end(2 * 36),
        "nearest": [nn.Conv2d(2, 3, 4, stride=4), leaky(), nn.Upsample(scale_factor=2), nn.Conv2d(3, 2, 3, padding=1), nn.Tanh()] + end(2 * 64),
        "group_norm": [nn.Conv2d(2, 4, 4, stride=2, padding=1), gain(nn.GroupNorm(2, 4)), nn.SiLU()] + end(4 * 64),
        "all": [nn.Conv2d(2, 4, 4, stride=2, padding=1), leaky(), gain(nn.LayerNorm([4, 8, 8])), nn.Conv2d(4, 4, 3, padding=1), leaky(),
                nn.AvgPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(4, 3, 3, stride=2, padding=1), leaky()] + end(3 * 16),
    }


def penalty_of(D, x_hat):
    slope, = torch.autograd.grad(D(x_hat).sum(), x_hat, create_graph=True)
    return ((slope.flatten(1).norm(2, dim=1) - 1) ** 2).mean()


def penalty(layers, dtype):
    D = weights(nn.Sequential(*layers), 10).to(dtype)
    real, fake, eps = formula((BATCH, 2, SIDE, SIDE), 1, 0, 1), formula((BATCH, 2, SIDE, SIDE), 2, 0, 1), formula((BATCH, 1, 1, 1), 3, 0, 1)
    real, fake, eps = real.to(dtype), fake.to(dtype), eps.to(dtype)
    value = penalty_of(D, (eps * real + (1 - eps) * fake).requires_grad_())
    grads = torch.autograd.grad(value, list(D.parameters()), allow_unused=True)
    return {"penalty": value.item(), "grads": [None if g is None else g.reshape(-1).tolist() for g in grads]}


def training():
    G = weights(nn.Sequential(nn.Linear(LATENT, 128), nn.Unflatten(1, (8, 4, 4)), nn.Upsample(scale_factor=2), nn.Conv2d(8, 8, 3, padding=1),
                              gain(nn.BatchNorm2d(8)), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(8, 2, 3, padding=1), nn.Sigmoid()), 100)
    D = weights(nn.Sequential(nn.Conv2d(2, 8, 4, stride=2, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(8, 16, 4, stride=2, padding=1),
                              nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(256, 1)), 200)
    adam_g, adam_d = (torch.optim.Adam(m.parameters(), lr=1e-3, betas=(0.0, 0.9)) for m in (G, D))
    critic, generator = [], []
    for t in range(STEPS):
        real, eps = formula((BATCH, 2, SIDE, SIDE), 1000 + 4 * t, 0, 1), formula((BATCH, 1, 1, 1), 1001 + 4 * t, 0, 1)
        z = formula((BATCH, LATENT), 1002 + 4 * t, -1.7, 1.7)
        with torch.no_grad():
            fake = G(z)
        loss = D(fake).mean() - D(real).mean() + 10 * penalty_of(D, (eps * real + (1 - eps) * fake).requires_grad_())
        adam_d.zero_grad()
        loss.backward()
        adam_d.step()
        critic.append(loss.item())
        if t % N_CRITIC == 0:
            loss = -D(G(formula((BATCH, LATENT), 1003 + 4 * t, -1.7, 1.7))).mean()
            adam_g.zero_grad()
            loss.backward()
            adam_g.step()
            generator.append(loss.item())
    return {"critic": critic, "generator": generator}


if __name__ == "__main__":
    torch.manual_seed(0)
    out = {"torch": torch.__version__, "seed": SEED, "critics": {}, "training": training()}
    for name in critics():
        out["critics"][name] = {word: penalty(critics()[name], dtype) for word, dtype in (("f64", torch.float64), ("f32", torch.float32))}
    for c in out["critics"].values():  # f32: nine digits are all
        c["f32"]["grads"] = [g and [float("%.9g" % v) for v in g] for g in c["f32"]["grads"]]
    with open(sys.argv[1], "w") as f:
        json.dump(out, f, separators=(",", ":"))
        f.write("\n")
