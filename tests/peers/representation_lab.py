"""Experiment 4 as a PyTorch script of ordinary quality, for the wall clock: representation_lab.py DATA OUT [--epochs 5] [--plain]

DATA is the folder that holds mnist; Fashion-MNIST is Debian's. The same work as scripts/representation_lab.lua: the classifier twice (as
the Lua script trains it by hand and by ms.fit), four autoencoders, t-SNE, neighbours and logistic regression by scikit-learn, figures, TensorBoard
events, checkpoints each epoch. Tensors in memory, no loader; tuned as bench_torch.py is (channels_last for convolutions, fused optimizer, denormals
flushed, the allocator told to keep its memory) unless --plain.

    representation_lab.py DATA OUT --collapse FILE... [--epochs 10] [--warmup 0]

trains the convolutional net alone, from the weights in each FILE (safetensors), and tells which ones collapse, as the Lua script does.
"""
import argparse
import gzip
import json
import os
import sys
import time

BEGIN = time.time()
KEEP = dict(MALLOC_MMAP_THRESHOLD_="4294967296", MALLOC_TRIM_THRESHOLD_="17179869184", MALLOC_TOP_PAD_="268435456")
if "--plain" not in sys.argv and "MALLOC_TOP_PAD_" not in os.environ:
    os.execve(sys.executable, [sys.executable] + sys.argv, {**os.environ, **KEEP})

import matplotlib  # noqa: E402
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn as nn  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.manifold import TSNE  # noqa: E402
from sklearn.neighbors import KNeighborsClassifier  # noqa: E402
from torch.utils.tensorboard import SummaryWriter  # noqa: E402

a = argparse.ArgumentParser()
a.add_argument("data")
a.add_argument("out")
a.add_argument("--epochs", type=int, default=5)
a.add_argument("--warmup", type=float, default=10)
a.add_argument("--seed", type=int, default=1)
a.add_argument("--fashion", default="/usr/share/datasets/fashion-mnist")
a.add_argument("--collapse", nargs="+", default=[])
a.add_argument("--plain", action="store_true")
o = a.parse_args()
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))))
if not o.plain:
    torch.set_flush_denormal(True)
os.makedirs(o.out, exist_ok=True)
MEAN, STD = 0.1307, 0.3081


def idx(folder, name):
    with gzip.open(os.path.join(folder, name + ".gz"), "rb") as f:
        b = f.read()
    return torch.from_numpy(np.frombuffer(b, np.uint8, offset=4 + 4 * b[3]).reshape(np.frombuffer(b, ">u4", b[3], 4)).copy())


def images(folder, part):
    return ((idx(folder, part + "-images-idx3-ubyte").float() / 255 - MEAN) / STD).unsqueeze(1)


digits = os.path.join(o.data, "mnist")
train, test = images(digits, "train"), images(digits, "t10k")
train_y, test_y = idx(digits, "train-labels-idx1-ubyte").long(), idx(digits, "t10k-labels-idx1-ubyte").long()
blind = test.var(0).mean().item()  # the error of a net that gives the mean image for all


def fc():
    return nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU()),
                         nn.Sequential(nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 784), nn.Unflatten(1, (1, 28, 28))))


def conv():
    def c(i, k):
        return nn.Conv2d(i, k, 3, padding=1)
    net = nn.Sequential(
        nn.Sequential(c(1, 16), nn.AvgPool2d(2), nn.ReLU(), c(16, 8), nn.AvgPool2d(2), nn.ReLU(), c(8, 4), nn.ReLU()),
        nn.Sequential(c(4, 8), nn.Upsample(scale_factor=2), nn.ReLU(), c(8, 16), nn.Upsample(scale_factor=2), nn.ReLU(), c(16, 1)))
    return net if o.plain else net.to(memory_format=torch.channels_last)


def sgd(net, lr, momentum):
    return torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, **({} if o.plain else dict(fused=True)))


done = 0


def autoencoder(name, net, lr=0.01, corrupt=None, penalty=None, batch=1024):
    """Trained net, its error on the test set, the share of its code that is 0 for all test images."""
    global done
    opt, board = sgd(net, lr, 0.99), SummaryWriter(os.path.join(o.out, name))
    steps = (len(train) + batch - 1) // batch
    for epoch in range(1, o.epochs + 1):
        order, total = torch.randperm(len(train)), torch.zeros(())
        for i in range(steps):
            if o.warmup > 0:
                opt.param_groups[0]["momentum"] = 0.99 - 0.09 * max(0, 1 - ((epoch - 1) * steps + i) / (o.warmup * steps))
            x = train[order[i * batch:(i + 1) * batch]]
            z = net[0](corrupt(x) if corrupt else x)
            mse = F.mse_loss(net[1](z), x)
            loss = mse + penalty(z) if penalty else mse
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += mse.detach() * len(x)
            if i % 100 == 0:
                mse.item()
        with torch.no_grad():
            error, alive = 0.0, False
            for x in test.split(1000):
                z = net[0](corrupt(x) if corrupt else x)
                error += F.mse_loss(net[1](z), x).item() / 10
                alive = alive | (z > 0).any(0)
            shown = corrupt(test[:10]) if corrupt else test[:10]
            grid = (torch.cat([shown, net(shown)]) * STD + MEAN).clamp(0, 1).view(2, 10, 28, 28).permute(0, 2, 1, 3).reshape(56, 280)
        plt.imsave(os.path.join(o.out, name + ".png"), grid.repeat_interleave(3, 0).repeat_interleave(3, 1).numpy(), cmap="gray")
        board.add_image("inputs over outputs", grid[None], epoch * steps)
        done += 1
        row = dict(epoch=done, net=name, net_epoch=epoch, loss=total.item() / len(train), val_mse=error,
                   dead=1 - alive.float().mean().item())
        for tag in ("loss", "val_mse"):
            board.add_scalar(tag, row[tag], epoch * steps)
        with open(os.path.join(o.out, "metrics.jsonl"), "a") as f:
            f.write(json.dumps(row) + "\n")
        torch.save(dict(net=net.state_dict(), sgd=opt.state_dict(), epoch=epoch), os.path.join(o.out, name + ".pt"))
        print(f"{name}: epoch {epoch}  loss {row['loss']:.4f}  val_mse {error:.4f}  dead {row['dead']:.2f}", flush=True)
    board.close()
    return net, error, row["dead"]


if o.collapse:
    from safetensors.torch import load_file
    collapsed = 0
    for file in o.collapse:
        net = conv()
        for p, (_, w) in zip(net.parameters(), sorted(load_file(file).items())):
            with torch.no_grad():
                p.copy_(w)
        torch.manual_seed(o.seed)
        _, error, dead = autoencoder(os.path.basename(file), net)
        bad = dead > 0.6 or error > 0.95 * blind
        collapsed += bad
        print(f"{file}: val_mse {error:.4f}, {100 * dead:.0f} % of the code dead{', COLLAPSED' if bad else ''}", flush=True)
    print(f"{collapsed} of {len(o.collapse)} collapsed")
    sys.exit()

torch.manual_seed(o.seed)
clothes, test_clothes = images(o.fashion, "train"), images(o.fashion, "t10k")


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.Tanh(), nn.Linear(512, 10))


def accuracy(net):
    with torch.no_grad():
        return (torch.cat([net(x) for x in test.split(1000)]).argmax(1) == test_y).float().mean().item()


class Classifier:
    """The classifier with hooks, as a trainer would call them."""

    def __init__(self):
        self.net = mlp()
        self.opt = sgd(self.net, 1e-3, 0)

    def training_step(self, x, y):
        return F.cross_entropy(self.net(x), y)

    def validation_end(self):
        return accuracy(self.net)


def classifier(name):
    it, board = Classifier(), SummaryWriter(os.path.join(o.out, name))
    accuracies, trace = [], []
    for epoch in range(5):
        order, total = torch.randperm(len(train)), torch.zeros(())
        for i in range(235):
            b = order[i * 256:(i + 1) * 256]
            loss = it.training_step(train[b], train_y[b])
            it.opt.zero_grad()
            loss.backward()
            it.opt.step()
            total += loss.detach() * len(b)
            if i % 100 == 0:
                trace.append((epoch * 235 + i, loss.item()))
        accuracies.append(it.validation_end())
        board.add_scalar("loss", total.item() / len(train), epoch)
        board.add_scalar("accuracy", accuracies[-1], epoch)
        torch.save(dict(net=it.net.state_dict(), sgd=it.opt.state_dict(), epoch=epoch), os.path.join(o.out, name + ".pt"))
    board.close()
    print(name, accuracies, flush=True)
    return accuracies, trace


def figure(name, title, draw, size=(8, 6)):
    fig, axis = plt.subplots(figsize=size)
    draw(axis)
    axis.set_title(title)
    fig.savefig(os.path.join(o.out, name + ".png"))
    plt.close(fig)


def tiles(name, rows, captions=None):
    fig, axes = plt.subplots(len(rows), len(rows[0]), figsize=(1.2 * len(rows[0]), 1.3 * len(rows)), squeeze=False)
    for r, row in enumerate(rows):
        for k, image in enumerate((row * STD + MEAN).clamp(0, 1)):
            axes[r][k].imshow(image[0], cmap="gray", vmin=0, vmax=1)
            axes[r][k].axis("off")
            if captions:
                axes[r][k].set_title(captions[r][k], fontsize=8)
    fig.savefig(os.path.join(o.out, name + ".png"))
    plt.close(fig)


mlp_accuracy, trace = classifier("mlp")
classifier("fit")
figure("mlp_loss", "MLP", lambda ax: ax.plot(*zip(*trace)))
nets = dict(fc=autoencoder("fc", fc()), conv=autoencoder("conv", conv()),
            denoising=autoencoder("denoising", conv(), corrupt=lambda x: x + 0.5 * torch.randn_like(x)),
            sparse=autoencoder("sparse", conv(), lr=1e-3, penalty=lambda z: 0.5 * (z - 0.05).abs().mean()))
encoders = dict(pixels=nn.Flatten(), **{name: net[0][0] for name, net in nets.items()})


@torch.no_grad()
def rows(x, encoder):
    return torch.cat([encoder(part).flatten(1) for part in x.split(1000)]).numpy()


pick, kl = torch.randperm(len(test))[:1000], {}
for name in nets:
    codes = rows(test[pick], encoders[name])
    tsne = TSNE(random_state=o.seed)
    points = tsne.fit_transform(codes)
    kl[name] = float(tsne.kl_divergence_)

    def scatter(axis):
        for c in range(10):
            axis.scatter(*points[test_y[pick] == c].T, s=8, label=str(c))
        axis.legend()
    figure(name + "_tsne", name, scatter)
    np.savez(os.path.join(o.out, name + "_tsne.npz"), codes=codes, points=points)
nearest = {}
for name, encoder in encoders.items():
    codes, scores = rows(test, encoder), []
    for draw in range(10):
        few = torch.randperm(len(train), generator=torch.Generator().manual_seed(draw))[:100]
        scores.append(KNeighborsClassifier(1).fit(rows(train[few], encoder), train_y[few]).score(codes, test_y))
    nearest[name] = float(np.mean(scores))
codes = rows(test, encoders["fc"])
compression = 100 * (1 - codes.nbytes / (len(test) * 784))
with torch.no_grad():
    tiles("compression", [test[:10], nets["fc"][0][1](torch.from_numpy(codes[:10]))])


@torch.no_grad()
def distances(x):
    return torch.cat([(part - nets["conv"][0](part)).flatten(1).norm(dim=1) for part in x.split(1000)]).numpy()


here, there = distances(train), distances(clothes)
judge = LogisticRegression().fit(np.concatenate([here, there])[:, None], np.repeat([1, -1], [len(here), len(there)]))
right = [float((judge.predict(distances(x[torch.randperm(len(x))[:1000]])[:, None]) == y).mean())
         for x, y in ((test, 1), (test_clothes, -1))]
figure("anomaly_box", "distance of an image from its reconstruction", lambda ax: ax.boxplot([here, there]))
pair = torch.cat([test[:1], test_clothes[:1]])
with torch.no_grad():
    apart = nets["conv"][0](pair)
tiles("anomaly_pair", [pair, apart], [["digit", "clothes"], [f"{d:.2f}" for d in (pair - apart).flatten(1).norm(dim=1)]])
summary = dict(mlp_accuracy=mlp_accuracy, **{name + "_val_mse": net[1] for name, net in nets.items()}, knn_codes_accuracy=nearest["sparse"],
               knn_pixels_accuracy=nearest["pixels"], compression_percent=compression, l2_mnist=float(here.mean()),
               l2_fashion=float(there.mean()), anomaly_mnist_correct=right[0], anomaly_fashion_correct=right[1], tsne_kl=kl["fc"],
               seconds=time.time() - BEGIN)
json.dump(summary, open(os.path.join(o.out, "summary.json"), "w"), indent=2)
print(json.dumps(summary))
