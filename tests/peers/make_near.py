#!/usr/bin/env python3
"""Writes tests/data/near_expected.csv from scikit-learn: neighbours by other metrics, regression, graphs, forests, isolation forests.

name, then numbers; the data are tests/data/digits.csv (its train and test halves) and iris.csv. Class labels are digit + 1.
Run from anywhere: python3 tests/peers/make_near.py
"""
import os

import numpy as np
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import IsolationForest, RandomForestClassifier, RandomForestRegressor
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, kneighbors_graph
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")


def main():
    x, y = load_digits(return_X_y=True)
    train, test = train_test_split(np.arange(len(x)), test_size=0.5, random_state=0)
    tx, ty, qx, qy = x[train], y[train], x[test], y[test]
    out = {}
    # queries whose 4th and 5th neighbours are not equally far by any of the metrics: which of those counts is nobody's business
    clear = np.ones(len(qx), bool)
    for metric in ("euclidean", "cosine", "manhattan"):
        d = KNeighborsClassifier(5, metric=metric, algorithm="brute").fit(tx, ty).kneighbors(qx)[0]
        clear &= d[:, 4] > d[:, 3] * (1 + 1e-6)
    out["queries"] = np.flatnonzero(clear)[:150] + 1
    qx = qx[clear]
    for metric in ("euclidean", "cosine", "manhattan"):
        for weights in ("uniform", "distance"):
            m = KNeighborsClassifier(4, metric=metric, weights=weights, algorithm="brute").fit(tx, ty)
            out["knn_%s_%s" % (metric, weights)] = m.predict(qx[:150]) + 1
            out["proba_%s_%s" % (metric, weights)] = m.predict_proba(qx[:10]).ravel()
            # two numbers to predict: the pixel in the middle and the digit
            r = KNeighborsRegressor(4, metric=metric, weights=weights, algorithm="brute").fit(tx, np.c_[tx[:, 36], ty])
            out["regression_%s_%s" % (metric, weights)] = r.predict(qx[:20]).ravel()
        out["distance_" + metric] = m.kneighbors(qx[:20])[0].ravel()
    # graphs of the first 60 training digits, shaken so that no two distances are equal: dense, row by row
    ix = tx[:60] + np.sin(np.arange(3840)).reshape(60, 64)
    d = np.sort(((ix[:, None] - ix[None]) ** 2).sum(-1), axis=1)
    assert (d[:, 4] < d[:, 5]).all() and (d[:, 3] < d[:, 4]).all()
    for mode in ("connectivity", "distance"):
        out["graph_" + mode] = kneighbors_graph(ix, 4, mode=mode, include_self=False).toarray().ravel()
    out["graph_self"] = kneighbors_graph(ix, 4, include_self=True).toarray().ravel()

    # forests have other random numbers than ours: means over seeds, and their spread
    iris = load_iris()
    entropy = DecisionTreeClassifier(criterion="entropy", random_state=0).fit(iris.data, iris.target)
    out["entropy_tree"] = [entropy.tree_.node_count, entropy.tree_.max_depth]
    out["entropy_stump"] = DecisionTreeClassifier(criterion="entropy", max_depth=2, random_state=0).fit(
        iris.data[:, 2:], iris.target).feature_importances_
    out["gini_stump"] = DecisionTreeClassifier(max_depth=2, random_state=0).fit(iris.data[:, 2:], iris.target).feature_importances_
    score, oob, importances = [], [], []
    for seed in range(10):
        f = RandomForestClassifier(criterion="entropy", random_state=seed, oob_score=True, n_jobs=-1).fit(tx, ty)
        score.append(f.score(x[test], qy))
        g = RandomForestClassifier(random_state=seed, oob_score=True, n_jobs=-1).fit(tx, ty)
        oob.append(g.oob_score_)
        importances.append(g.feature_importances_)
    out["entropy_forest"] = [np.mean(score), np.std(score)]
    out["oob"] = [np.mean(oob), np.std(oob)]
    out["importances"] = np.mean(importances, 0)
    # regression: petal width from the other three measurements of the irises; one whole tree is a function of the data alone
    rx, ry = iris.data[:, :3], iris.data[:, 3]
    even, odd = slice(0, None, 2), slice(1, None, 2)
    tree = DecisionTreeRegressor(max_depth=3, random_state=0).fit(rx[even], ry[even])
    out["regression_tree"] = tree.predict(rx[odd])
    out["regression_tree_size"] = [tree.tree_.node_count, tree.tree_.max_depth]
    out["regression_importances"] = tree.feature_importances_
    r2, roob = [], []
    for seed in range(10):
        f = RandomForestRegressor(random_state=seed, oob_score=True).fit(rx[even], ry[even])
        r2.append(f.score(rx[odd], ry[odd]))
        roob.append(f.oob_score_)
    out["regression_forest"] = [np.mean(r2), np.std(r2)]
    out["regression_oob"] = [np.mean(roob), np.std(roob)]
    # isolation forest: mean scores over seeds of every third iris, and how many a contamination of 0.1 marks
    scores = [IsolationForest(random_state=s).fit(iris.data).score_samples(iris.data[::3]) for s in range(20)]
    out["isolation_scores"] = np.mean(scores, 0)
    out["isolation_spread"] = [np.std(scores, 0).max()]
    out["isolation_marked"] = [(IsolationForest(random_state=0, contamination=.1).fit_predict(iris.data) == -1).sum()]
    with open(os.path.join(DATA, "near_expected.csv"), "w", encoding="ascii") as f:
        for k, v in out.items():
            f.write(k + "," + ",".join("%.9g" % float(e) for e in np.asarray(v).ravel()) + "\n")


if __name__ == "__main__":
    main()
