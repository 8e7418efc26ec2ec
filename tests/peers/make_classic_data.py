#!/usr/bin/env python3
"""Writes tests/data/iris.csv, digits.csv and classic_expected.csv from scikit-learn and NumPy.

Both data sets are the UCI Machine Learning Repository's (Fisher 1936; Alpaydin, Kaynak 1998), as scikit-learn carries them.
  iris.csv            150 lines: four measurements in cm, class 1..3
  digits.csv          1797 lines: place, class 1..10 (digit + 1), 64 pixels 0..16 as one character each (0-9, a-g).
                      place: position from 1 in the training half, negative in the test half, of
                      train_test_split(test_size=0.5, random_state=0)
  classic_expected.csv  name, then numbers: see below

Run from anywhere: python3 tests/peers/make_classic_data.py
"""
import os

import numpy as np
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")


def write(name, lines):
    with open(os.path.join(DATA, name), "w", encoding="ascii") as f:
        f.write("\n".join(lines) + "\n")


def neighbours(train, test):
    """Rows of train by exact integer distance, lower row first where equal."""
    d2 = ((test[:, None, :] - train[None, :, :]) ** 2).sum(-1)
    order = np.argsort(d2, axis=1, kind="stable")
    return order, np.take_along_axis(d2, order, 1)


def main():
    iris = load_iris()
    write("iris.csv", [",".join("%g" % v for v in x) + ",%d" % (y + 1) for x, y in zip(iris.data, iris.target)])

    x, y = load_digits(return_X_y=True)
    x = x.astype(np.int64)
    train, test = train_test_split(np.arange(len(x)), test_size=0.5, random_state=0)
    place = np.zeros(len(x), np.int64)
    place[train] = np.arange(1, len(train) + 1)
    place[test] = -np.arange(1, len(test) + 1)
    symbols = "0123456789abcdefg"
    write("digits.csv", ["%d,%d,%s" % (p, c + 1, "".join(symbols[v] for v in r)) for p, c, r in zip(place, y, x)])

    out = {}
    # k-NN: shares of test rows told right, and for the first 40 test rows the five nearest training rows (from 1) and distances
    order, d2 = neighbours(x[train], x[test])
    for k in (1, 3, 5):
        votes = np.array([np.bincount(y[train][r[:k]], minlength=10).argmax() for r in order])
        out["knn_accuracy_%d" % k] = [(votes == y[test]).mean()]
    out["knn_rows"] = (order[:40, :5] + 1).ravel()
    out["knn_distances"] = np.sqrt(d2[:40, :5]).ravel()
    # forests: mean test share over 20 seeds (other random numbers than ours: compare the means), mean nodes of a tree
    score, nodes = [], []
    for seed in range(20):
        f = RandomForestClassifier(random_state=seed, n_jobs=-1).fit(x[train], y[train])
        score.append(f.score(x[test], y[test]))
        nodes.append(np.mean([t.tree_.node_count for t in f.estimators_]))
    out["forest_accuracy"] = [np.mean(score)]
    out["forest_nodes"] = [np.mean(nodes)]
    tree = DecisionTreeClassifier(random_state=0).fit(iris.data, iris.target).tree_
    out["iris_tree"] = [tree.node_count, tree.max_depth]
    # PCA of all digits: variances, first three directions (largest coefficient positive), mean squared reconstruction errors
    values, vectors = np.linalg.eigh(np.cov(x.T.astype(np.float64)))
    values, vectors = values[::-1], vectors.T[::-1]
    vectors = vectors * np.sign(vectors[np.arange(64), np.abs(vectors).argmax(1)])[:, None]
    out["pca_variance"] = np.maximum(values, 0)
    out["pca_basis"] = vectors[:3].ravel()
    for k in (1, 8, 32):
        p = PCA(k, svd_solver="full").fit(x)
        out["pca_error_%d" % k] = [((p.inverse_transform(p.transform(x)) - x) ** 2).mean()]
        assert np.allclose(p.explained_variance_, out["pca_variance"][:k])
    # a symmetric matrix without structure: a[i][j] = sin(1 + i j) + cos(i + j), 40 x 40
    i = np.arange(40.0)
    a = np.sin(1 + np.outer(i, i)) + np.cos(np.add.outer(i, i))
    values, vectors = np.linalg.eigh(a)
    values, vectors = values[::-1], vectors.T[::-1]
    vectors = vectors * np.sign(vectors[np.arange(40), np.abs(vectors).argmax(1)])[:, None]
    out["eigen_values"] = values
    out["eigen_vector_1"] = vectors[0]
    out["eigen_vector_40"] = vectors[39]
    write("classic_expected.csv", [k + "," + ",".join(repr(float(v)) for v in vs) for k, vs in out.items()])


if __name__ == "__main__":
    main()
