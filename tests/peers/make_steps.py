#!/usr/bin/env python3
"""Write tests/data/steps.json: 200 losses of experiment 1's two nets in PyTorch (f32), with SGD and momentum and with Adam.

    python3 tests/peers/make_steps.py tests/data/steps.json

Weights and images come from formulas in 64-bit integers and doubles that tests/lua/test_steps.lua repeats, so both sides start with the same
bits and nothing but the losses is stored.
"""
import json
import sys

import numpy as np
import torch
import torch.nn as nn

STEPS, BATCH, BATCHES, SIDE = 200, 64, 8, 28
# Where a rounding decides whether a ReLU is on for some image, f32 runs part for good: with seed 0 PyTorch's own f32 and f64 did, by 5e-4,
# in the last fifty steps of Adam with k = 2 (one unit, at step 147). With this seed PyTorch agrees with itself.
SEED = 200



def fraction(i):
    """i (unsigned 64 bit) -> 0 .. 1 - 2^-24, scattered."""
    x = i * np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(32)
    x *= np.uint64(0xD1342543DE82EF95)
    return (x >> np.uint64(40)).astype(np.float64) / 2**24


def fill(t, seed, bound):
    """Element i of the tensor: uniform in -bound .. bound."""
    i = np.arange(t.numel(), dtype=np.uint64) + np.uint64((SEED + seed) * 1000003)
    v = (fraction(i) * 2 - 1) * bound
    with torch.no_grad():
        t.copy_(torch.from_numpy(v.astype(np.float32)).reshape(t.shape))


def images():
    """BATCHES * BATCH round spots, brightest in the middle."""
    n = np.arange(BATCH * BATCHES, dtype=np.uint64)
    row, column, radius = (lo + fraction(n * np.uint64(3) + np.uint64(k)) * (hi - lo) for k, (lo, hi) in enumerate([(6, 22), (6, 22), (3, 9)]))
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)
    dy, dx = y[None] - row[:, None, None], x[None] - column[:, None, None]
    v = 1 - (dy * dy + dx * dx) / (radius * radius)[:, None, None]
    return torch.from_numpy(np.maximum(v, 0).astype(np.float32)).reshape(BATCHES, BATCH, SIDE * SIDE)


def net(k):
    widths = [784, 128, 64, 32, k, 32, 64, 128, 784]
    layers = []
    for j in range(len(widths) - 1):
        linear = nn.Linear(widths[j], widths[j + 1])
        bound = 1 / float(np.sqrt(np.float64(widths[j])))
        fill(linear.weight, 2 * j, bound)
        fill(linear.bias, 2 * j + 1, bound)
        layers += [linear, nn.ReLU()]
    layers[-1] = nn.Sigmoid()
    return nn.Sequential(*layers)


def train(k, make, dtype=torch.float32):
    model, losses = net(k).to(dtype), []
    optimizer, batches = make(model.parameters()), images().to(dtype)
    for step in range(STEPS):
        x = batches[step % BATCHES]
        loss = ((model(x) - x) ** 2).sum() / BATCH
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


RUNS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-3),
}

if __name__ == "__main__":
    out = {"torch": torch.__version__, "seed": SEED, "losses": {}}
    for name, make in RUNS.items():
        for k in (8, 2):
            losses, exact = train(k, make), train(k, make, torch.float64)
            out["losses"][f"{name} k={k} f32"] = [float(f"{v:.9g}") for v in losses]
            out["losses"][f"{name} k={k} f64"] = [float(f"{v:.13g}") for v in exact]
            worst = max(abs(a - b) / b for a, b in zip(losses, exact))
            assert worst < 1e-5, "choose another SEED: this run hangs on a rounding"
            print(f"{name} k={k}: {losses[0]:.4f} -> {losses[-1]:.4f}; PyTorch's own f32 and f64 part by {worst:.1e}")
    json.dump(out, open(sys.argv[1], "w"), separators=(",", ":"))
