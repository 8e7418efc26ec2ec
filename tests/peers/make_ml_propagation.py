#!/usr/bin/env python3
"""Writes tests/data/ml_propagation.json: scikit-learn's label propagation and spreading on two moons, and Poisson learning (Calder and
others, ICML 2020) written with NumPy's dense matrices.

Run from anywhere: /opt/peers/bin/python tests/peers/make_ml_propagation.py
"""
import json
import os
import warnings

import numpy as np
from sklearn.datasets import make_moons
from sklearn.neighbors import NearestNeighbors
from sklearn.semi_supervised import LabelPropagation, LabelSpreading

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")


def graph(x, k):
    n = len(x)
    d, i = NearestNeighbors(n_neighbors=k + 1).fit(x).kneighbors(x)
    assert (i[:, 0] == np.arange(n)).all()
    w = np.zeros((n, n))
    for r in range(n):
        w[r, i[r, 1:]] = np.exp(-4 * d[r, 1:] ** 2 / d[r, -1] ** 2)
    return (w + w.T) / 2


def poisson(w, y, classes):
    n, at = len(w), np.flatnonzero(y)
    b = np.zeros((n, classes))
    b[at, y[at] - 1] = 1
    b[at] -= b[at].mean(0)
    degree = w.sum(1)
    u, walk, steps = np.zeros((n, classes)), (y > 0) / len(at), 0
    while steps < 1000:
        u = (w @ u + b) / degree[:, None]
        walk = w @ (walk / degree)
        steps += 1
        if steps >= 50 and np.abs(walk - degree / degree.sum()).max() < 1 / n:
            break
    exact = np.linalg.lstsq(np.diag(degree) - w, b, rcond=None)[0]
    exact -= (degree @ exact) / degree.sum()
    return {"u": u.tolist(), "steps": steps, "exact": exact.tolist()}


def main():
    warnings.simplefilter("ignore")
    x, truth = make_moons(90, noise=.1, random_state=0)
    x = (x * 256).round() / 256
    rng = np.random.default_rng(0)
    x[60:] = (rng.normal([2.5, 1.5], .3, (30, 2)) * 256).round() / 256
    truth[60:] = 2
    y = np.full(90, -1)
    for c in range(3):
        y[rng.choice(np.flatnonzero(truth == c), 3, replace=False)] = c
    new = (rng.normal(1, 1, (6, 2)) * 256).round() / 256
    out = {"x": x.tolist(), "y": (y + 1).tolist(), "new": new.tolist()}
    for name, make in (("propagation", LabelPropagation), ("spreading", LabelSpreading)):
        for kernel in ("rbf", "knn"):
            m = make(kernel=kernel).fit(x, y)
            out[name + "_" + kernel] = {"u": m.label_distributions_.tolist(), "labels": (m.transduction_ + 1).tolist(), "steps": m.n_iter_,
                                        "proba": m.predict_proba(new).tolist()}
    w = graph(x, 10)
    out["degrees"] = w.sum(1).tolist()
    out["links"] = int((w > 0).sum())
    out["poisson"] = poisson(w, y + 1, 3)
    with open(os.path.join(DATA, "ml_propagation.json"), "w", encoding="ascii") as f:
        json.dump(out, f)
        f.write("\n")


if __name__ == "__main__":
    main()
