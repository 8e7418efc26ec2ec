#!/usr/bin/env python3
"""Write tests/data/indexing.json: random indices x[...] with what PyTorch reads and writes by them, and the gradient of what was read.

    python3 tests/peers/make_indexing.py

Needs torch. x holds 1, 2, 3, ... row by row, in the order of `order` (a permutation of its dimensions), so that it may be strided. Entries are as in
mascon, from 1: 3, [] (all), [a, b] and [a, b, step] (ranges that include their end), "...", "new", {"i": shape, "v": positions}, {"m": shape, "v":
bits}. read: shape and values of x[entries]; grad: the gradient of sum(x[entries] * (1, 2, 3, ...)); value: what is written, a number or the shape of
a tensor that holds 1001, 1002, ...; write: x after x[entries] = value; add: x after the same was added there, every time that a place is named.
"""
import json
import os
import random

import torch

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "indexing.json")
rng = random.Random(7)


def counted(shape, order):
    n = [shape[order.index(k)] for k in range(len(shape))]
    x = torch.arange(1, 1 + torch.Size(n).numel(), dtype=torch.float64).reshape(n)
    return x.permute(order) if shape else x


def positions(size, shape):
    v = [rng.choice([k, k - size - 1]) if rng.random() < 0.3 else k for k in (rng.randint(1, size) for _ in range(torch.Size(shape).numel()))]
    t = torch.tensor([k - 1 if k > 0 else k for k in v], dtype=torch.int64).reshape(shape)
    return {"i": list(shape), "v": v}, t


def mask(shape, hits):
    n = torch.Size(shape).numel()
    on = set(rng.sample(range(n), min(hits, n))) if hits is not None else {k for k in range(n) if rng.random() < 0.5}
    v = [int(k in on) for k in range(n)]
    return {"m": list(shape), "v": v}, torch.tensor(v, dtype=torch.bool).reshape(shape)


def entry_range(size):
    a, b = rng.randint(1, size + 1), rng.randint(0, size)
    step = rng.choice([1, 1, 1, 2, 3])
    if b < a:
        b = a - 1
    if b == 0 or a > size:
        a, b = 1, size
    mine = [a - size - 1 if rng.random() < 0.3 else a, b - size - 1 if rng.random() < 0.3 else b] + ([step] if step > 1 or rng.random() < 0.2 else [])
    return mine, slice(a - 1, b, step)


def draw():
    rank = rng.randint(1, 4)
    shape = [rng.randint(1, 4) for _ in range(rank)]
    order = list(range(rank))
    if rng.random() < 0.4:
        rng.shuffle(order)
    common = [rng.randint(1, 3) for _ in range(rng.choice([0, 1, 1, 1, 2]))]  # what index tensors broadcast to
    entries, theirs, d, dots = [], [], 0, rng.random() < 0.2
    hits = rng.randint(0, 4) if not common else (common[-1] if len(common) == 1 else None)
    while d < rank and rng.random() < 0.9:
        if dots and rng.random() < 0.4:
            left = rng.randint(0, rank - d)
            entries.append("..."), theirs.append(...)
            d, dots = d + left, False
            ending = rank - d  # all that is left has to be named
            for _ in range(ending):
                e, t = rng.choice([(1, 0), (-1, -1), ([], slice(None))])
                entries.append(e), theirs.append(t)
            d = rank
            break
        kind = rng.choice(["at", "all", "range", "index", "index", "index", "mask", "new"])
        if kind == "new":
            if len(theirs) < 6:
                entries.append("new"), theirs.append(None)
            continue
        if kind == "at":
            k = rng.randint(1, shape[d])
            e, t = rng.choice([(k, k - 1), (k - shape[d] - 1, k - shape[d] - 1)])
        elif kind == "all":
            e, t = [], slice(None)
        elif kind == "range":
            e, t = entry_range(shape[d])
        elif kind == "index":
            own = [n if rng.random() < 0.8 else 1 for n in common[rng.randint(0, len(common)):]]
            e, t = positions(shape[d], own)
        else:
            r = rng.randint(1, min(2, rank - d))
            if hits is None:
                continue
            e, t = mask(shape[d:d + r], hits if common or rng.random() < 0.5 else None)
            entries.append(e), theirs.append(t)
            d += r
            continue
        entries.append(e), theirs.append(t)
        d += 1
    return shape, order, entries, theirs


def case():
    shape, order, entries, theirs = draw()
    x = counted(shape, order)
    at = tuple(theirs)
    try:
        read = x[at]
    except (IndexError, RuntimeError):
        return None
    if not theirs or read.numel() > 48 or not any(isinstance(e, dict) for e in entries) and rng.random() < 0.8:
        return None
    leaf = x.clone().requires_grad_()
    weights = torch.arange(1, 1 + read.numel(), dtype=torch.float64).reshape(read.shape)
    grad, = torch.autograd.grad((leaf[at] * weights).sum(), leaf)
    numbered = torch.arange(x.numel()).reshape(shape)[at]
    alone = numbered.unique().numel() == numbered.numel()
    value_shape = list(read.shape)[rng.randint(0, read.dim()):]
    value_shape = [n if rng.random() < 0.7 else 1 for n in value_shape]
    number = rng.random() < 0.3 or not alone
    value = 1000.0 if number else torch.arange(1001, 1001 + torch.Size(value_shape).numel(), dtype=torch.float64).reshape(value_shape)
    written = x.clone()
    written[at] = value
    added = x.clone().reshape(-1)
    added.index_add_(0, numbered.reshape(-1), torch.as_tensor(value, dtype=torch.float64).expand(read.shape).reshape(-1))
    return {"shape": shape, "order": order, "index": entries, "read": [list(read.shape), flat(read)], "grad": flat(grad),
            "value": value if number else value_shape, "write": flat(written), "add": flat(added)}


def flat(t):
    return [int(v) for v in t.reshape(-1).tolist()]


def main():
    cases = []
    while len(cases) < 400:
        c = case()
        if c:
            cases.append(json.dumps(c, separators=(",", ":")))
    with open(OUT, "w") as f:
        f.write('{"torch":%s,"cases":[\n%s]}\n' % (json.dumps(torch.__version__), ",\n".join(cases)))
    print(sum('"i"' in c for c in cases), "with index tensors,", sum('"m"' in c for c in cases), "with masks")


if __name__ == "__main__":
    main()
