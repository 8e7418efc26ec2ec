"""What the peers of `make bench` share: data, numbers from a formula, and the server.

Commands and answers are those of tests/bench/workloads.lua, and the numbers those of tests/bench/formula.lua, to the bit. Import this before
torch, jax or numpy: thread counts have to be in the environment by then.
"""
import gzip
import json
import math
import os
import sys
import time

THREADS = int(os.environ.get("MASCON_THREADS") or len(os.sched_getaffinity(0)))
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, str(THREADS))

import numpy as np  # noqa: E402

P = 67108859
NOISES = 16
FOLDERS = [os.environ.get("MASCON_DATA", ""), "../shared/data", os.path.expanduser("~/.cache/mascon"), "/usr/share/datasets"]


def uniform(seed, n, start=0):
    x = np.arange(start, start + n, dtype=np.int64)
    x = (x * 48271 + (seed * 69621 + 12345)) % P
    x = x * x % P
    x = (x * 40692 + 3) % P
    return (x * x % P).astype(np.float64) / P


def tensor(seed, shape, low, high):
    n = math.prod(shape)
    out = np.empty(n, np.float32)
    for at in range(0, n, 1 << 20):
        k = min(1 << 20, n - at)
        out[at:at + k] = uniform(seed, k, at) * (high - low) + low
    return out.reshape(shape)


def labels(seed, n, k):
    """From 0, as the peers count."""
    return np.floor(uniform(seed, n) * k).astype(np.int64)


def normal(seed, n):
    s = uniform(seed, n)
    for k in (1, 2, 3):
        s = s + uniform(seed + k, n)
    return (s - 2) * math.sqrt(3)


def mixture(seed, n, d, k):
    y = labels(seed, n, k)
    centres = normal(seed + 10, k * d).reshape(k, d) * 2
    return (centres[y] + normal(seed + 20, n * d).reshape(n, d) * 2).astype(np.float32), y


def layer(seed, k, shape):
    """Weight (outputs first) and bias of the k-th layer of a net."""
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    return tensor(seed + 2 * k, shape, -bound, bound), tensor(seed + 2 * k + 1, shape[:1], -bound, bound)


def idx(path):
    with gzip.open(path, "rb") as f:
        b = f.read()
    sizes = np.frombuffer(b, ">u4", b[3], 4)
    return np.frombuffer(b, np.uint8, offset=4 + 4 * b[3]).reshape(sizes)


def fashion(train=True):
    """u8 images N x 28 x 28 and labels from 0 of Fashion-MNIST, or None."""
    stem = "train" if train else "t10k"
    for folder in FOLDERS:
        for name in ("fashion_mnist", "fashion-mnist", "FashionMNIST", "FashionMNIST/raw", ""):
            path = os.path.join(folder, name, stem)
            if folder and os.path.exists(path + "-images-idx3-ubyte.gz"):
                y = idx(path + "-labels-idx1-ubyte.gz")
                if train and list(y[:10]) != [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]:
                    continue  # MNIST has the same names
                return idx(path + "-images-idx3-ubyte.gz"), y.astype(np.int64)
    return None


_made = {}


def once(name, make):
    if name not in _made:
        _made[name] = make()
    return _made[name]


def pictures():
    def make():
        f = fashion()
        if f:
            return f[0].astype(np.float32)[:, None] / np.float32(255), f[1]
        return tensor(11, (60000, 1, 28, 28), 0, 1), labels(12, 60000, 10)
    return once("pictures", make)


def wide():
    return once("wide", lambda: (tensor(13, (8192, 3072), 0, 1), labels(14, 8192, 10)))


def fields():
    """real, NOISES x z, NOISES x eps"""
    return (tensor(15, (8, 2, 256, 256), -1.7, 1.7), tensor(16, (NOISES, 8, 128), -1.7, 1.7), tensor(17, (NOISES, 8, 1, 1, 1), 0, 1))


def neighbours(n, d):
    """The first n training images of Fashion-MNIST and their classes, all test images and theirs; d = 128: in a random projection."""
    a, b = fashion(), fashion(False)
    if a and b:
        f = lambda v: v.reshape(len(v), 784).astype(np.float32) / np.float32(255)  # noqa: E731
        x, y, tx, ty = f(a[0][:n]), a[1][:n], f(b[0]), b[1]
    else:
        x, y = tensor(21, (n, 784), 0, 1), labels(22, n, 10)
        tx, ty = tensor(23, (10000, 784), 0, 1), labels(24, 10000, 10)
    if d < 784:
        onto = tensor(25, (784, d), -1, 1)
        x, tx = x @ onto, tx @ onto
    return np.ascontiguousarray(x), y, np.ascontiguousarray(tx), ty


class Case:
    """One workload: run() takes a step and returns its loss, sync() waits for what is under way, score() an accuracy instead of losses."""
    def __init__(self, run, sync=lambda: None, score=None, warm=3):
        self.run, self.sync, self.score, self.warm = run, sync, score, warm


def measure(case, seconds):
    def group(n):
        begin = time.perf_counter()
        for _ in range(n):
            case.run()
        case.sync()
        return (time.perf_counter() - begin) / n * 1e3
    one = group(1)
    size = max(1, math.ceil(20 / group(math.ceil(5 / one) if one < 5 else 1)))
    times, begin = [], time.perf_counter()
    while True:
        times.append(group(size))
        spent = time.perf_counter() - begin
        if spent > seconds and (len(times) >= 3 or spent > 3 * seconds):
            break
    times.sort()
    q = lambda p: times[min(len(times) - 1, int(p * len(times)))]  # noqa: E731
    return dict(median=q(.5), p10=q(.1), p90=q(.9), min=times[0], n=len(times))


def serve(about, makers):
    """Answer commands on stdin; makers: name -> function that makes a Case."""
    live = {}
    out = os.fdopen(os.dup(1), "w", 1)
    os.dup2(2, 1)  # what libraries print is no answer

    def get(name):
        if name not in live:
            live[name] = makers[name]()
        return live[name]

    def answer(line):
        word, _, rest = line.strip().partition(" ")
        number, _, name = rest.partition(" ")
        if word == "cases":
            return dict(cases=list(makers), about=about)
        if word == "drop":
            live.pop(rest, None)
            return {}
        if word == "check":
            live.pop(name, None)
            c = get(name)
            if c.score:
                return dict(losses=[float(c.score())])
            losses = [float(c.run()) for _ in range(int(number))]
            live.pop(name)
            return dict(losses=losses)
        if word == "time":
            c = get(name)
            while c.warm > 0:
                c.run()
                c.warm -= 1
            c.sync()
            return measure(c, float(number))
        raise ValueError("unknown command " + word)

    for line in sys.stdin:
        if line.strip() == "quit":
            break
        try:
            a = answer(line)
        except Exception as e:  # the driver prints it
            a = dict(error="%s: %s" % (type(e).__name__, str(e).split("\n")[0]))
        out.write(json.dumps(a) + "\n")
