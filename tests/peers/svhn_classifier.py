#!/usr/bin/env python3
"""Experiment 5 as a PyTorch script of ordinary quality does it, for wall-clock comparison with scripts/svhn_classifier.lua: tensors in
memory, tuned as bench_torch.py is (its reasons there), figures by matplotlib.

    /opt/peers/bin/python tests/peers/svhn_classifier.py [--dataset svhn|mnist|fashion] [--data DIR] [--out DIR] [--trials FILE]

--trials: trials.jsonl of a mascon run; its trials are run instead of drawn ones, so that both do the same.
"""
import argparse
import gzip
import json
import math
import os
import random
import sys
import time

KEEP = dict(MALLOC_MMAP_THRESHOLD_="4294967296", MALLOC_TRIM_THRESHOLD_="17179869184", MALLOC_TOP_PAD_="268435456")
if "MALLOC_TOP_PAD_" not in os.environ:  # read by the C library at start
    os.execve(sys.executable, [sys.executable] + sys.argv, {**os.environ, **KEEP})

import matplotlib  # noqa: E402

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

torch.set_flush_denormal(True)
parser = argparse.ArgumentParser()
parser.add_argument("--dataset", default="svhn", choices=["svhn", "mnist", "fashion"])
parser.add_argument("--data", default=os.environ.get("MASCON_DATA", "../shared/data"))
parser.add_argument("--out", default="runs/svhn_classifier_torch")
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--trials", default="")
o = parser.parse_args()
os.makedirs(o.out, exist_ok=True)
torch.manual_seed(o.seed)
begun = time.time()


def idx(folder, stem):
    with gzip.open(os.path.join(folder, stem + ".gz")) as f:
        b = f.read()
    rank = b[3]
    shape = [int.from_bytes(b[4 + 4 * i:8 + 4 * i], "big") for i in range(rank)]
    return np.frombuffer(b, np.uint8, offset=4 + 4 * rank).reshape(shape)


def load():
    if o.dataset == "svhn":
        from scipy.io import loadmat
        m = loadmat(os.path.join(o.data, "svhn", "train_32x32.first1083.mat"))
        x = torch.from_numpy(m["X"].transpose(3, 2, 0, 1).copy()).float() / 255
        y = torch.from_numpy(m["y"].astype(np.int64).ravel() % 10)
        mean = torch.tensor([0.43, 0.44, 0.47]).view(1, 3, 1, 1)
        return (x - mean) / 0.20, y, None, None, [str(i) for i in range(10)]
    folder = os.path.join(o.data, "mnist") if o.dataset == "mnist" else "/usr/share/datasets/fashion-mnist"
    parts = []
    for part in ("train", "t10k"):
        x = torch.from_numpy(idx(folder, part + "-images-idx3-ubyte").copy()).float().unsqueeze(1) / 255
        parts += [(F.pad(x, (2, 2, 2, 2)) - 0.13) / 0.31, torch.from_numpy(idx(folder, part + "-labels-idx1-ubyte").astype(np.int64))]
    return *parts, [str(i) for i in range(10)]


x, y, test_x, test_y, classes = load()
order = torch.randperm(len(x))
n_val = int(0.2 * len(x))
val_x, val_y, kept_x, kept_y = x[order[:n_val]], y[order[:n_val]], x[order[n_val:]], y[order[n_val:]]
channels = x.shape[1]


def connected(depth, width, norm):
    layers, n = [nn.Flatten()], channels * 32 * 32
    for _ in range(depth):
        layers.append(nn.Linear(n, width))
        if norm:
            layers.append(nn.BatchNorm1d(width))
        layers.append(nn.ReLU())
        n = width
    return nn.Sequential(*layers, nn.Linear(n, 10))


def convolutional():
    def block(a, b):
        return [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(), nn.AvgPool2d(2)]
    net = nn.Sequential(*block(channels, 32), *block(32, 64), *block(64, 64), nn.Flatten(), nn.Dropout(0.4), nn.Linear(1024, 128), nn.ReLU(),
                        nn.Dropout(0.4), nn.Linear(128, 10))
    return net.to(memory_format=torch.channels_last)


@torch.no_grad()
def predict(model, xs):
    model.eval()
    out = torch.cat([model(xs[i:i + 1000]).argmax(1) for i in range(0, len(xs), 1000)])
    model.train()
    return out


def accuracy(a, b):
    return (a == b).float().mean().item()


def balanced():
    per = len(kept_y) // 10
    draws = []
    for c in range(10):
        at = (kept_y == c).nonzero().ravel()
        draws.append(at[torch.randint(len(at), (per,))])
    return torch.stack(draws, 1).ravel()


def epoch(model, optimizer, positions):
    loss_sum, right, seen = 0.0, 0, 0
    for i in range(0, len(positions), o.batch):
        at = positions[i:i + o.batch]
        bx, by = kept_x[at], kept_y[at]
        if isinstance(model[0], nn.Conv2d):
            bx = bx.contiguous(memory_format=torch.channels_last)
        scores = model(bx)
        loss = F.cross_entropy(scores, by)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += loss.item() * len(by)
        right += (scores.argmax(1) == by).sum().item()
        seen += len(by)
    return loss_sum / seen, right / seen


def sgd(model, lr):
    return torch.optim.SGD(model.parameters(), lr=lr, weight_decay=0.1, fused=True)


log = open(os.path.join(o.out, "metrics.jsonl"), "w")
passes = max(4, 600 * o.batch // len(kept_x))
nets = [("one_hidden", lambda: connected(1, 100, False), lambda m: sgd(m, 1e-2), 3, None),
        ("two_hidden", lambda: connected(2, 100, False), lambda m: sgd(m, 1e-2), 5, None),
        ("batch_norm", lambda: connected(2, 100, True), lambda m: sgd(m, 1e-3), 5, None),
        ("halved_rate", lambda: connected(2, 100, True), lambda m: sgd(m, 1e-3), 5,
         lambda opt: torch.optim.lr_scheduler.StepLR(opt, 2, 0.5)),
        ("convolutional", convolutional, lambda m: torch.optim.Adam(m.parameters(), lr=1e-3, fused=True), passes,
         lambda opt: torch.optim.lr_scheduler.CosineAnnealingLR(opt, passes))]
val_accuracy, curves, times = {}, {}, {}
for name, make, optimizer_of, epochs, schedule_of in nets:
    start = time.time()
    model = make()
    optimizer = optimizer_of(model)
    schedule = schedule_of(optimizer) if schedule_of else None
    curves[name] = []
    for e in range(epochs):
        loss, train = epoch(model, optimizer, balanced() if name == "convolutional" else torch.randperm(len(kept_x)))
        if schedule:
            schedule.step()
        val = accuracy(predict(model, val_x), val_y)
        curves[name].append(loss)
        log.write(json.dumps(dict(net=name, epoch=e + 1, loss=loss, train_accuracy=train, val_accuracy=val)) + "\n")
        torch.save(dict(model=model.state_dict(), optimizer=optimizer.state_dict(), epoch=e + 1), os.path.join(o.out, name + ".pt"))
        print(f"{name:13} epoch {e + 1}  loss {loss:.4f}  training accuracy {train:.4f}  validation {val:.4f}", flush=True)
    val_accuracy[name] = val
    times[name] = time.time() - start

start = time.time()
plt.figure(figsize=(8, 5))
for name in list(curves)[:4]:
    plt.plot(range(1, len(curves[name]) + 1), curves[name], label=name)
plt.legend()
plt.savefig(os.path.join(o.out, "loss.png"))
predicted = predict(model, val_x)
confusion = np.zeros((10, 10), int)
np.add.at(confusion, (predicted.numpy(), val_y.numpy()), 1)
fig, ax = plt.subplots(figsize=(7.8, 6.4))
im = ax.imshow(confusion, cmap="Blues")
for i in range(10):
    for j in range(10):
        ax.text(j, i, confusion[i, j], ha="center", va="center")
fig.colorbar(im)
fig.savefig(os.path.join(o.out, "confusion.png"))


def cell(p, t):
    at = ((predicted == p) & (val_y == t)).nonzero().ravel()[:10]
    if len(at) == 0:
        return
    fig, axes = plt.subplots(1, len(at), figsize=(len(at), 1.4), squeeze=False)
    for a, i in zip(axes[0], at):
        im = (val_x[i] - val_x[i].min()) / (val_x[i].max() - val_x[i].min())
        a.imshow(im.permute(1, 2, 0).squeeze(), cmap="gray")
        a.axis("off")
    fig.suptitle(f"{t} taken for {p}")
    fig.savefig(os.path.join(o.out, f"cell_{p}_{t}.png"))


errors = sorted(((confusion[p, t], p, t) for p in range(10) for t in range(10) if p != t), reverse=True)
for n, p, t in errors[:3]:
    cell(p, t)
cell(6, 8)
cell(1, 7)
times["figures"] = time.time() - start

start = time.time()
if o.trials:
    with open(o.trials) as f:
        specs = [json.loads(line) for line in f]
else:
    rng, specs = random.Random(o.seed), []
    for i in range(16):
        if i % 4 == 0:
            net = dict(optimizer=rng.choice(["sgd", "adam"]), depth=rng.choice([1, 2, 3]), width=rng.choice([50, 100, 200]),
                       batch_norm=rng.choice([False, True]))
        low, high = (-2.5, -0.5) if net["optimizer"] == "sgd" else (-4, -2)
        specs.append(dict(net, lr=10 ** rng.uniform(low, high)))
trials = []
with open(os.path.join(o.out, "trials.jsonl"), "w") as f:
    for i, s in enumerate(specs):
        torch.manual_seed(o.seed * 1000 + i)
        m = connected(s["depth"], s["width"], s["batch_norm"])
        if s["optimizer"] == "sgd":
            opt = torch.optim.SGD(m.parameters(), lr=s["lr"], momentum=0.9, weight_decay=1e-3, fused=True)
        else:
            opt = torch.optim.Adam(m.parameters(), lr=s["lr"], fused=True)
        for _ in range(passes):
            loss, _train = epoch(m, opt, torch.randperm(len(kept_x)))
        trials.append(dict(trial=i + 1, optimizer=s["optimizer"], lr=s["lr"], depth=s["depth"], width=s["width"],
                           batch_norm=s["batch_norm"], loss=loss, val_accuracy=accuracy(predict(m, val_x), val_y)))
        f.write(json.dumps(trials[-1]) + "\n")
        print(trials[-1], flush=True)
best = max(trials, key=lambda t: t["val_accuracy"])
plt.figure(figsize=(8.5, 6.4))
for kind in ("sgd", "adam"):
    plt.scatter([t["lr"] for t in trials if t["optimizer"] == kind], [t["val_accuracy"] for t in trials if t["optimizer"] == kind], label=kind)
plt.xscale("log")
plt.legend()
plt.savefig(os.path.join(o.out, "trials.png"))
times["trials"] = time.time() - start
test_accuracy = accuracy(predict(model, test_x), test_y) if test_x is not None else None
summary = dict(val_accuracy=val_accuracy, test_accuracy=test_accuracy, best_trial=best, confusion=confusion.tolist(), times=times,
               seconds=time.time() - begun)
assert math.isfinite(best["loss"])
with open(os.path.join(o.out, "summary.json"), "w") as f:
    json.dump(summary, f, indent=2)
print(json.dumps({k: v for k, v in summary.items() if k != "confusion"}))
