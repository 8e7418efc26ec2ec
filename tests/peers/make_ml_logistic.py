#!/usr/bin/env python3
"""Writes tests/data/ml_logistic.json: optima of scikit-learn's logistic regression on iris and on made-up numbers, and its scalers.

Run from anywhere: /opt/peers/bin/python tests/peers/make_ml_logistic.py
"""
import json
import os

import numpy as np
from scipy.special import logsumexp
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import MinMaxScaler, StandardScaler

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")


def optimum(x, y, C=1.0, **options):
    m = LogisticRegression(C=C, tol=1e-12, max_iter=20000, solver="newton-cg" if "class_weight" in options else "lbfgs", **options)
    m.fit(x, y)
    z = m.decision_function(x)
    z = np.stack([0 * z, z], 1) if z.ndim == 1 else z
    place = np.searchsorted(m.classes_, y)
    weight = np.ones(len(y))
    if options.get("class_weight") == "balanced":
        weight = (len(y) / (len(m.classes_) * np.bincount(place)))[place]
    loss = weight * (logsumexp(z, axis=1) - z[np.arange(len(y)), place])
    return {
        "C": C, "coef": m.coef_.tolist(), "intercept": np.atleast_1d(m.intercept_).tolist(),
        "objective": float((0 if np.isinf(C) else .5 * (m.coef_ ** 2).sum()) + (1 if np.isinf(C) else C) * loss.sum()),
        "accuracy": m.score(x, y), "proba": m.predict_proba(x[:5]).tolist(),
    }


def main():
    iris = load_iris()
    x, y = iris.data, iris.target + 1
    rng = np.random.default_rng(3)
    bx = (rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3)) * [1, 10, .1] + [0, 5, 1]).round(4)
    by = np.where(bx @ [1, .1, 3] + rng.normal(size=200) * 2 > 4, 2, 1)
    out = {
        "iris": optimum(x, y), "iris_strong": optimum(x, y, C=.01), "iris_no_intercept": optimum(x, y, fit_intercept=False),
        "iris_balanced": optimum(x[30:], y[30:], class_weight="balanced"), "iris_two": optimum(x[:100], y[:100]),
        "x": bx.tolist(), "y": by.tolist(), "binary": optimum(bx, by), "binary_free": optimum(bx, by, C=np.inf) | {"C": "inf"},
        "standard": StandardScaler().fit_transform(bx[:5]).tolist(), "min_max": MinMaxScaler((-1, 2)).fit_transform(bx[:5]).tolist(),
    }
    with open(os.path.join(DATA, "ml_logistic.json"), "w", encoding="ascii") as f:
        json.dump(out, f)
        f.write("\n")


if __name__ == "__main__":
    main()
