"""Experiment 1 as a PyTorch script of ordinary quality, for the wall clock: mnist_autoencoder.py DATA OUT [--epochs 5] [--plain]

The same work as scripts/mnist_autoencoder.lua: three autoencoders (codes of 8, of 2, and a denoiser), the figures, which are drawn anew every
few seconds while training, forest, neighbours and PCA by scikit-learn, TensorBoard events, checkpoints each epoch. Tensors in memory, no
loader; tuned as bench_torch.py is (fused optimizer, denormals flushed, the allocator told to keep its memory) unless --plain.
"""
import gzip
import json
import os
import sys
import time

BEGIN = time.time()
PLAIN = "--plain" in sys.argv
KEEP = dict(MALLOC_MMAP_THRESHOLD_="4294967296", MALLOC_TRIM_THRESHOLD_="17179869184", MALLOC_TOP_PAD_="268435456")
if not PLAIN and "MALLOC_TOP_PAD_" not in os.environ:
    os.execve(sys.executable, [sys.executable] + sys.argv, {**os.environ, **KEEP})

import matplotlib  # noqa: E402
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn as nn  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402
from sklearn.ensemble import RandomForestClassifier  # noqa: E402
from sklearn.neighbors import KNeighborsClassifier  # noqa: E402
from torch.utils.tensorboard import SummaryWriter  # noqa: E402

torch.set_num_threads(len(os.sched_getaffinity(0)))
if not PLAIN:
    torch.set_flush_denormal(True)
data, out = sys.argv[1], sys.argv[2]
epochs = int(sys.argv[sys.argv.index("--epochs") + 1]) if "--epochs" in sys.argv else 5
os.makedirs(out, exist_ok=True)
torch.manual_seed(1)


def idx(name):
    with gzip.open(os.path.join(data, name), "rb") as f:
        b = f.read()
    return np.frombuffer(b, np.uint8, offset=4 + 4 * b[3]).reshape(np.frombuffer(b, ">u4", b[3], 4)).copy()


train = torch.from_numpy(idx("train-images-idx3-ubyte.gz")).float().div_(255).view(-1, 784)
test = torch.from_numpy(idx("t10k-images-idx3-ubyte.gz")).float().div_(255).view(-1, 784)
train_y, test_y = idx("train-labels-idx1-ubyte.gz"), idx("t10k-labels-idx1-ubyte.gz")
board = SummaryWriter(out)
metrics = open(os.path.join(out, "metrics.jsonl"), "w")


class Net(nn.Module):
    def __init__(self, k):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(),
                                     nn.Linear(32, k))
        self.decoder = nn.Sequential(nn.Linear(k, 32), nn.ReLU(), nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 128), nn.ReLU(),
                                     nn.Linear(128, 784), nn.Sigmoid())

    def forward(self, x):
        return self.decoder(self.encoder(x))


def flip(x, p=0.1):
    m = torch.bernoulli(torch.full_like(x, p))
    return x + m * (1 - 2 * x)


def strip(path, images, columns, captions=None):
    rows = (len(images) + columns - 1) // columns
    fig, axes = plt.subplots(rows, columns, figsize=(columns, rows * 1.1), squeeze=False)
    for i, a in enumerate(axes.flat):
        a.axis("off")
        if i < len(images):
            a.imshow(images[i].view(28, 28), cmap="gray", vmin=0, vmax=1)
            if captions:
                a.set_title(captions[i], fontsize=8)
    fig.savefig(path)
    plt.close(fig)


def draw(name, trace, net, inputs):
    fig, (top, bottom) = plt.subplots(2, 1, figsize=(9, 8))
    top.semilogy([s for s, _ in trace], [v for _, v in trace])
    top.set_title(name + ": sum of squared pixel errors")
    with torch.no_grad():
        both = torch.cat([inputs, net(inputs)]).view(2, 10, 28, 28)
    grid = both.permute(0, 2, 1, 3).reshape(56, 280)
    bottom.imshow(grid, cmap="gray", vmin=0, vmax=1)
    bottom.axis("off")
    fig.savefig(os.path.join(out, name + ".png"))
    plt.close(fig)
    return grid


def mse(f):
    with torch.no_grad():
        return float(np.mean([nn.functional.mse_loss(f(x), x).item() for x in test.split(1000)]))


done = 0


def fit(name, k, inputs, corrupt=None):
    global done
    net = Net(k)
    adam = torch.optim.Adam(net.parameters(), lr=1e-3, **({} if PLAIN else dict(fused=True)))
    trace, drawn = [], time.time()
    every = max(1, len(train) // 64 // 20)
    for epoch in range(epochs):
        order, total, recent, steps = torch.randperm(len(train)), 0.0, 0.0, len(train) // 64
        for i in range(steps):
            x = train[order[i * 64:(i + 1) * 64]]
            loss = nn.functional.mse_loss(net(corrupt(x) if corrupt else x), x, reduction="sum") / 64
            adam.zero_grad()
            loss.backward()
            adam.step()
            v = loss.item()
            total, recent = total + v, recent + v
            if (i + 1) % every == 0:
                trace.append((epoch * steps + i + 1, recent / every))
                board.add_scalar(name + "/loss", recent / every, epoch * steps + i + 1)
                recent = 0.0
                if time.time() - drawn > 5:
                    draw(name, trace, net, inputs)
                    drawn = time.time()
        done += 1
        metrics.write(json.dumps(dict(epoch=done, net=name, loss=total / steps, mse=mse((lambda x: net(corrupt(x))) if corrupt else net))) + "\n")
        board.add_image(name + "/reconstructions", draw(name, trace, net, inputs)[None], epoch)
        torch.save(dict(model=net.state_dict(), optimizer=adam.state_dict(), epoch=epoch), os.path.join(out, name + ".pt"))
        print(f"{name}: epoch {epoch + 1}  loss {total / steps:.3f}", flush=True)
    return net, total / steps


show, noisy = test[:10], flip(test[:10])
net, loss_k8 = fit("codes", 8, show)
ae_mse = mse(net)
pair = train[torch.randperm(len(train))[:2]]
with torch.no_grad():
    z = net.encoder(pair)
    line = torch.stack([torch.lerp(z[0], z[1], i / 10) for i in range(11)])
    strip(os.path.join(out, "interpolation.png"), torch.cat([pair[:1], net.decoder(line), pair[1:]]), 13,
          ["x1"] + [f"{i / 10:.1f}" for i in range(11)] + ["x2"])
flat, loss_k2 = fit("plane", 2, show)
pick = torch.randperm(len(train))[:1000]
with torch.no_grad():
    p = flat.encoder(train[pick]).numpy()
plt.figure(figsize=(8, 6))
for c in range(10):
    plt.scatter(*p[train_y[pick] == c].T, s=8, label=str(c))
plt.legend()
plt.savefig(os.path.join(out, "plane_codes.png"))
few = torch.randperm(len(train))[:1000]
with torch.no_grad():
    codes, test_codes = net.encoder(train[few]).numpy(), net.encoder(test).numpy()
forest = RandomForestClassifier(n_jobs=-1).fit(codes, train_y[few]).score(test_codes, test_y)
knn = [KNeighborsClassifier(k).fit(codes, train_y[few]).score(test_codes, test_y) for k in (1, 5)]
strip(os.path.join(out, "noisy.png"), noisy, 10)
denoiser, _ = fit("denoise", 8, noisy, flip)
noisy_mse, denoise_mse = mse(flip), mse(lambda x: denoiser(flip(x)))
pca = PCA(8).fit(train.numpy())
pca_mse = float(((pca.inverse_transform(pca.transform(test.numpy())) - test.numpy()) ** 2).mean())
summary = dict(loss_k8=loss_k8, loss_k2=loss_k2, forest_accuracy=forest, knn1_accuracy=knn[0], knn5_accuracy=knn[1], denoise_mse=denoise_mse,
               noisy_mse=noisy_mse, pca_mse=pca_mse, ae_mse=ae_mse, seconds=time.time() - BEGIN)
json.dump(summary, open(os.path.join(out, "summary.json"), "w"), indent=2)
board.close()
print(json.dumps(summary))
