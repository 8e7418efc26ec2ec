"""PyTorch's side of `make bench`: bench_torch.py plain|tuned|compile|amp

plain    as anybody writes it
tuned    channels_last for convolutions, fused optimizer, denormals flushed, and the allocator told to keep its memory (what PyTorch's
         tuning guide says)
compile  the same, forward and loss through torch.compile. W6's critic: the whole loss with the penalty's inner derivative, which PyTorch
         compiles from 2.11 on when told to (about a minute); before that only its generator
amp      tuned, forward under bf16 autocast
"""
import os
import sys

import bench_common as common

VARIANT = sys.argv[1] if len(sys.argv) > 1 else "plain"
KEEP = dict(MALLOC_MMAP_THRESHOLD_="4294967296", MALLOC_TRIM_THRESHOLD_="17179869184", MALLOC_TOP_PAD_="268435456")
if VARIANT != "plain" and "MALLOC_TOP_PAD_" not in os.environ:  # read by the C library at start
    os.execve(sys.executable, [sys.executable] + sys.argv, {**os.environ, **KEEP})

os.environ.setdefault("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")  # what a compiler costs is measured, too

import torch  # noqa: E402
import torch.nn as nn  # noqa: E402
import torch.nn.functional as F  # noqa: E402

torch.set_num_threads(common.THREADS)
TUNED, AMP = VARIANT != "plain", VARIANT == "amp"
if TUNED:  # before there are threads, which take it over; JAX always does
    torch.set_flush_denormal(True)


def fill(net, seed):
    k = 0
    with torch.no_grad():
        for m in net.modules():
            if isinstance(m, (nn.Linear, nn.Conv2d)):
                w, b = common.layer(seed, k, tuple(m.weight.shape))
                m.weight.copy_(torch.from_numpy(w))
                m.bias.copy_(torch.from_numpy(b))
                k += 1
    return net.to(memory_format=torch.channels_last) if TUNED else net


def mlp(sizes, act, last=None):
    m = []
    for i in range(len(sizes) - 1):
        m.append(nn.Linear(sizes[i], sizes[i + 1]))
        if i < len(sizes) - 2:
            m.append(act())
    return nn.Sequential(*m, *([last()] if last else []))


def w1():
    return mlp([784, 512, 10], nn.Tanh), 100, 256, "flat", ("SGD", dict(lr=.1)), lambda o, x, y: F.cross_entropy(o, y)


def w2():
    return (mlp([784, 128, 64, 32, 8, 32, 64, 128, 784], nn.ReLU, nn.Sigmoid), 200, 64, "flat", ("Adam", dict(lr=1e-3)),
            lambda o, x, y: F.mse_loss(o, x, reduction="sum"))


def w3():
    return (mlp([784, 256, 128, 256, 784], nn.ReLU), 300, 1024, "flat", ("SGD", dict(lr=.01, momentum=.99)),
            lambda o, x, y: F.mse_loss(o, x))


def w4():
    def c(i, o):
        return nn.Conv2d(i, o, 3, padding=1)
    up = lambda: nn.Upsample(scale_factor=2)  # noqa: E731
    net = nn.Sequential(c(1, 16), nn.AvgPool2d(2), nn.ReLU(), c(16, 8), nn.AvgPool2d(2), nn.ReLU(), c(8, 4), nn.ReLU(),
                        c(4, 8), up(), nn.ReLU(), c(8, 16), up(), nn.ReLU(), c(16, 1))
    return net, 400, 1024, "images", ("SGD", dict(lr=.01, momentum=.99)), lambda o, x, y: F.mse_loss(o, x)


def w5():
    def c(i, o, stride=1, bn=False):
        return [nn.Conv2d(i, o, 3, stride=stride, padding=1)] + ([nn.BatchNorm2d(o)] if bn else []) + [nn.ReLU()]
    up = lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)  # noqa: E731
    net = nn.Sequential(
        *c(1, 16), *c(16, 16), *c(16, 16, 2, True), *c(16, 32), *c(32, 32), *c(32, 32, 2, True),
        *c(32, 64), *c(64, 64), *c(64, 64, 1, True), nn.Flatten(),
        nn.Linear(3136, 1024), nn.ReLU(), nn.Linear(1024, 256), nn.BatchNorm1d(256),
        nn.Linear(256, 1024), nn.ReLU(), nn.Linear(1024, 3136), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
        *c(64, 64), *c(64, 64), up(), *c(64, 32, 1, True), *c(32, 32), *c(32, 32), up(), *c(32, 16, 1, True),
        *c(16, 16), *c(16, 16, 1, True), nn.Conv2d(16, 1, 1), nn.Sigmoid())
    return net, 500, 64, "images", ("Adam", dict(lr=1e-3)), lambda o, x, y: F.binary_cross_entropy(o, x)


def w7():
    net = nn.Sequential(nn.Linear(3072, 100), nn.BatchNorm1d(100), nn.ReLU(), nn.Linear(100, 100), nn.BatchNorm1d(100), nn.ReLU(),
                        nn.Linear(100, 10))
    return net, 800, 64, "wide", ("SGD", dict(lr=.01)), lambda o, x, y: F.cross_entropy(o, y)


def optimizer(kind, params, **kw):
    return getattr(torch.optim, kind)(params, **(dict(kw, fused=True) if TUNED else kw))


def feed(kind, batch):
    x, y = common.wide() if kind == "wide" else common.pictures()
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    if kind == "flat":
        x = x.reshape(len(x), 784)
    elif kind == "images" and TUNED:
        x = x.contiguous(memory_format=torch.channels_last)
    at = 0

    def following():
        nonlocal at
        if at + batch > len(x):
            at = 0
        at += batch
        return x[at - batch:at], y[at - batch:at]
    return following


def training(describe):
    def make():
        net, seed, batch, kind, (name, kw), loss_of = describe()
        net = fill(net, seed)
        opt = optimizer(name, net.parameters(), **kw)
        following = feed(kind, batch)

        def loss_fn(x, y):
            if not AMP:
                return loss_of(net(x), x, y)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                out = net(x)
            return loss_of(out.float(), x, y)
        if VARIANT == "compile":
            loss_fn = torch.compile(loss_fn)

        def run():
            x, y = following()
            opt.zero_grad()
            loss = loss_fn(x, y)
            loss.backward()
            opt.step()
            return loss.detach()
        return common.Case(run)
    return make


def generator():
    ch, layers = [256, 128, 64, 32, 16, 16, 2], [nn.Linear(128, 4096), nn.Unflatten(1, (256, 4, 4))]
    for i in range(6):
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(ch[i], ch[i + 1], 3, padding=1)]
        if i < 5:
            layers += [nn.BatchNorm2d(ch[i + 1]), nn.ReLU()]
    return fill(nn.Sequential(*layers), 600)


def critic():
    ch, layers = [2, 16, 32, 64, 128, 256, 256], []
    for i in range(6):
        layers += [nn.Conv2d(ch[i], ch[i + 1], 4, 2, 1), nn.LeakyReLU(.2)]
    return fill(nn.Sequential(*layers, nn.Flatten(), nn.Linear(4096, 1)), 700)


def gan(which):
    def make():
        G, D = generator(), critic()
        real, z, eps = (torch.from_numpy(v) for v in common.fields())
        if TUNED:
            real = real.contiguous(memory_format=torch.channels_last)
        opt = optimizer("Adam", (D if which == "critic" else G).parameters(), lr=1e-4, betas=(0., .9))
        at = 0

        def noise():
            nonlocal at
            at += 1
            return z[(at - 1) % common.NOISES], eps[(at - 1) % common.NOISES]

        whole = VARIANT == "compile" and hasattr(torch._dynamo.config, "trace_autograd_ops")
        forward = torch.compile(G) if VARIANT == "compile" else G

        def critic_loss(fake, mix):
            loss = D(fake).mean() - D(real).mean()
            slope, = torch.autograd.grad(D(mix).sum(), mix, create_graph=True)
            return loss + 10 * ((slope.flatten(1).norm(2, dim=1) - 1) ** 2).mean()

        if whole:
            torch._dynamo.config.trace_autograd_ops = True
            critic_loss = torch.compile(critic_loss, fullgraph=True)

        def critic_step():
            n, e = noise()
            with torch.no_grad():
                fake = forward(n)
            loss = critic_loss(fake, (e * real + (1 - e) * fake).requires_grad_(True))
            opt.zero_grad()
            loss.backward()
            opt.step()
            return loss.detach()

        D.requires_grad_(which == "critic")
        score = lambda n: -D(G(n)).mean()  # noqa: E731
        if VARIANT == "compile":
            score = torch.compile(score)

        def generator_step():
            opt.zero_grad()
            loss = score(noise()[0])
            loss.backward()
            opt.step()
            return loss.detach()
        return common.Case(critic_step if which == "critic" else generator_step)
    return make


def gather():
    """The fastest input there is in PyTorch: no loader, one permutation, rows of u8 made floats (a DataLoader takes seconds)."""
    f = common.fashion()
    images = torch.from_numpy(f[0].copy() if f else common.tensor(11, (60000, 28, 28), 0, 255).astype("uint8"))
    y = torch.from_numpy(f[1] if f else common.labels(12, 60000, 10))

    def epoch():
        order, n = torch.randperm(len(images)), 0
        for i in range(0, len(order), 64):
            k = order[i:i + 64]
            x, _ = images[k].unsqueeze(1).float().div_(255), y[k]
            n += len(x)
        return n
    return common.Case(epoch)


cases = {"W1": training(w1), "W2": training(w2), "W3": training(w3), "W4": training(w4), "W5": training(w5),
         "W6 critic": gan("critic"), "W6 generator": gan("generator"), "W7": training(w7), "input": gather}
if AMP:
    cases = {k: cases[k] for k in ("W1", "W3", "W5")}
elif VARIANT == "compile":
    del cases["input"]
common.serve("torch %s %s" % (torch.__version__, VARIANT), cases)
