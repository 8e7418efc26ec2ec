#!/usr/bin/env python3
"""Writes tests/data/clusters_expected.csv from scikit-learn: name, then numbers (see below). Samples are those of iris.csv and digits.csv.

Run from anywhere: python3 tests/peers/make_clusters.py
"""
import os

import numpy as np
from sklearn import metrics
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_iris
from sklearn.manifold import trustworthiness
from sklearn.mixture import GaussianMixture

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")


def main():
    iris = load_iris()
    x, y = iris.data, iris.target
    digits = load_digits().data
    out = {}
    # k-means from given centres: inertia, iterations, then the labels
    for name, data, k in (("iris", x, 3), ("digits", digits[:300], 10)):
        m = KMeans(k, init=data[:k], n_init=1).fit(data)
        out["kmeans_" + name] = [m.inertia_, m.n_iter_] + list(m.labels_ + 1)
    # the best of many starts, and the inertia of one start on average
    out["kmeans_iris_best"] = [KMeans(3, n_init=50, random_state=0).fit(x).inertia_]
    out["kmeans_digits_mean"] = [np.mean([KMeans(10, n_init=1, random_state=s).fit(digits[:300]).inertia_ for s in range(200)])]
    # mixtures on iris from the clusters of k-means: mean log likelihood, aic, bic, the log densities of the first five samples, means
    for kind in ("full", "tied", "diag", "spherical"):
        m = GaussianMixture(3, covariance_type=kind, random_state=0, tol=1e-8, max_iter=1000).fit(x)
        first = np.argsort(m.means_[:, 0])
        out["gmm_" + kind] = [m.score(x), m.aic(x), m.bic(x)] + list(m.score_samples(x[:5])) + list(m.means_[first].ravel())
    # measures: silhouette's mean and first ten, Davies-Bouldin, Calinski-Harabasz of iris' classes; the last two of k-means against classes
    labels = np.array(out["kmeans_iris"][2:]).astype(int)
    out["silhouette"] = [metrics.silhouette_score(x, y)] + list(metrics.silhouette_samples(x, y)[:10])
    out["measures"] = [metrics.davies_bouldin_score(x, y), metrics.calinski_harabasz_score(x, y), metrics.adjusted_rand_score(y, labels),
                       metrics.normalized_mutual_info_score(y, labels)]
    # trustworthiness of two of iris' features for 1, 5, 12 neighbours
    noise = (np.arange(600) * 7919 % 1009 / 16384).reshape(150, 4)  # so that hardly two distances are equal
    z = (x.astype(np.float32) + noise.astype(np.float32)).astype(np.float64)
    out["trustworthiness"] = [trustworthiness(z, z[:, :2], n_neighbors=k) for k in (1, 5, 12)]
    with open(os.path.join(DATA, "clusters_expected.csv"), "w", encoding="ascii") as f:
        f.write("\n".join(k + "," + ",".join(repr(float(v)) for v in vs) for k, vs in out.items()) + "\n")


if __name__ == "__main__":
    main()
