#!/usr/bin/env python3
# Experiment 2 as a PyTorch script of ordinary quality, tensors in memory, figures by matplotlib: what scripts/cae_anomaly.lua is timed
# against. python cae_anomaly.py mnist_corrupted.npz OUT [--epochs 2] [--mode plain|channels_last|compile|compile_cl] [--limit N]
import argparse
import json
import math
import os
import time

import matplotlib
import numpy
import torch
from torch import nn
import torch.nn.functional as F

matplotlib.use("Agg")
import matplotlib.pyplot as plt

a = argparse.ArgumentParser()
a.add_argument("file")
a.add_argument("out")
a.add_argument("--epochs", type=int, default=2)
a.add_argument("--mode", default="plain")
a.add_argument("--limit", type=int, default=0)
a.add_argument("--batch", type=int, default=64)
o = a.parse_args()
began = time.time()
os.makedirs(o.out, exist_ok=True)
torch.manual_seed(1)
torch.set_flush_denormal(True)
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
data = numpy.load(o.file)


def images(name):
    return torch.from_numpy(data[name]).unsqueeze(1).float().div_(255)


train, test = images("x_train"), images("x_test")
held = 5000
if o.limit:
    train, test, held = train[:o.limit], test[:max(1000, o.limit // 6)], 500
order = torch.randperm(len(train))
val, train = train[order[:held]], train[order[held:]]


def conv(i, k, stride=1):
    return nn.Conv2d(i, k, 3, stride=stride, padding=1)


def up():
    return nn.Upsample(scale_factor=2, mode="bilinear")


R = nn.ReLU
encoder = nn.Sequential(
    conv(1, 16), R(), conv(16, 16), R(), conv(16, 16, 2), nn.BatchNorm2d(16), R(),
    conv(16, 32), R(), conv(32, 32), R(), conv(32, 32, 2), nn.BatchNorm2d(32), R(),
    conv(32, 64), R(), conv(64, 64), R(), conv(64, 64), nn.BatchNorm2d(64), R(),
    nn.Flatten(), nn.Linear(3136, 1024), R(), nn.Linear(1024, 256), nn.BatchNorm1d(256), R())
decoder = nn.Sequential(
    nn.Linear(256, 1024), R(), nn.Linear(1024, 3136), R(), nn.Unflatten(1, (64, 7, 7)),
    conv(64, 64), R(), conv(64, 64), R(), up(), conv(64, 32), nn.BatchNorm2d(32), R(), conv(32, 32), R(), conv(32, 32), R(), up(),
    conv(32, 16), nn.BatchNorm2d(16), R(), conv(16, 16), R(), conv(16, 16), nn.BatchNorm2d(16), R(), nn.Conv2d(16, 1, 1), nn.Sigmoid())
model = nn.Sequential(encoder, decoder)
assert sum(p.numel() for p in model.parameters()) == 7193505
if o.mode in ("channels_last", "compile_cl"):
    model = model.to(memory_format=torch.channels_last)
adam = torch.optim.Adam(model.parameters(), lr=1e-4, fused=o.mode != "plain")


def augment(x, degrees=5, shift=0.05, zoom=0.05):
    n, _, h, w = x.shape
    u = torch.rand(n, 4)
    angle = (u[:, 0] * 2 - 1) * math.radians(degrees)
    scale = 1 + (u[:, 1] * 2 - 1) * zoom
    tx = ((u[:, 2] * 2 - 1) * shift * w).round() * 2 / w
    ty = ((u[:, 3] * 2 - 1) * shift * h).round() * 2 / h
    c, s = angle.cos() / scale, angle.sin() / scale
    theta = torch.stack([torch.stack([c, s, -c * tx - s * ty], 1), torch.stack([-s, c, s * tx - c * ty], 1)], 1)
    return F.grid_sample(x, F.affine_grid(theta, list(x.shape), align_corners=False), align_corners=False)


def forward_loss(x):
    x = augment(x)
    if o.mode in ("channels_last", "compile_cl"):
        x = x.contiguous(memory_format=torch.channels_last)
    return F.binary_cross_entropy(model(x), x)


def measure(x):
    y = model(x)
    return F.binary_cross_entropy(y, x, reduction="none").mean((1, 2, 3)), (y - x).square().mean((1, 2, 3))


if o.mode.startswith("compile"):
    forward_loss = torch.compile(forward_loss)
    measure = torch.compile(measure)


@torch.no_grad()
def measured(x):
    model.eval()
    got = [measure(x[i:i + 500]) for i in range(0, len(x), 500)]
    model.train()
    return torch.cat([g[0] for g in got]), torch.cat([g[1] for g in got])


@torch.no_grad()
def reconstruct(x):
    model.eval()
    y = model(x)
    model.train()
    return y


def tiles(rows, title, name, captions=None):
    fig, axes = plt.subplots(len(rows), len(rows[0]), figsize=(1.2 * len(rows[0]), 1.3 * len(rows)), squeeze=False)
    for r, row in enumerate(rows):
        for k, image in enumerate(row):
            axes[r][k].imshow(image[0], cmap="gray", vmin=0, vmax=1)
            axes[r][k].axis("off")
            if captions and r == 0:
                axes[r][k].set_title(captions[k], fontsize=7)
    fig.suptitle(title)
    fig.savefig(o.out + "/" + name)
    plt.close(fig)


def curve(name, title, draw):
    fig, axis = plt.subplots(figsize=(8, 5))
    draw(axis)
    axis.set_title(title)
    fig.savefig(o.out + "/" + name)
    plt.close(fig)


eight = train[:8]
tiles([augment(eight)], "augmented", "augmented.png")
untrained = model(eight).detach()
assert untrained.var() > 0
tiles([eight[:1], untrained[:1]], "before training", "before.png")
curve("before_pixels.png", "pixels of the untrained model's output", lambda ax: ax.hist(untrained.flatten().numpy(), 50))
best, history = math.inf, []
with open(o.out + "/metrics.jsonl", "w") as metrics:
    for epoch in range(1, o.epochs + 1):
        t0, total, steps = time.time(), torch.zeros(()), 0
        order = torch.randperm(len(train))
        for i in range(0, len(train) - o.batch + 1, o.batch):
            loss = forward_loss(train[order[i:i + o.batch]])
            adam.zero_grad()
            loss.backward()
            adam.step()
            total += loss.detach()
            steps += 1
        loss, val_loss = total.item() / steps, measured(val)[0].mean().item()
        history.append((loss, val_loss))
        metrics.write(json.dumps({"epoch": epoch, "loss": loss, "val_loss": val_loss, "seconds": time.time() - t0}) + "\n")
        print("epoch %d  loss %.5f  validation %.5f  %.1f s, %.4f s a step" % (epoch, loss, val_loss, time.time() - t0,
              (time.time() - t0) / steps), flush=True)
        if val_loss < best:
            best = val_loss
            torch.save(model.state_dict(), o.out + "/best.pt")
        torch.save({"model": model.state_dict(), "adam": adam.state_dict(), "epoch": epoch}, o.out + "/model.pt")
model.load_state_dict(torch.load(o.out + "/best.pt"))
tiles([eight, reconstruct(eight)], "training images and reconstructions", "training_pair.png")
curve("loss.png", "loss", lambda ax: (ax.semilogy([h[0] for h in history]), ax.semilogy([h[1] for h in history])))
score, clean = measured(test)[1], measured(val)[1]
rank = torch.arange(1, len(score) + 1)
ordered = score.sort(descending=True).values
above = len(clean) - torch.searchsorted(clean.sort().values, ordered)
fine = (above + 0.5) * len(score) / len(clean) / rank <= 0.05
threshold = ordered[int((fine * rank).max()) - 1].item()
marked = score >= threshold
curve("scores.png", "scores", lambda ax: (ax.hist(score.log10().numpy(), 100, log=True), ax.axvline(math.log10(threshold))))
curve("scores_in_order.png", "scores in order", lambda ax: ax.semilogy(score.numpy()))
some = marked.nonzero().flatten()[:12]
tiles([test[some], reconstruct(test[some])], "marked", "anomalies.png", ["%d: %.3g" % (p + 1, score[p]) for p in some])
open(o.out + "/anomalies.txt", "w").write("".join("1" if m else "0" for m in marked))
truth = torch.zeros(len(score), dtype=torch.bool)
for line in open(o.file.replace(".npz", "_truth.csv")).read().split()[1:]:
    position = int(line.split(",")[0])
    if position <= len(truth):
        truth[position - 1] = True
hits = (marked & truth).sum().item()
summary = {"val_loss": best, "threshold": threshold, "flagged": marked.sum().item(),
           "f1": 2 * hits / (marked.sum() + truth.sum()).item(), "seconds": time.time() - began}
json.dump(summary, open(o.out + "/summary.json", "w"))
print(summary)
