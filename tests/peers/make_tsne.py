#!/usr/bin/env python3
"""Writes tests/data/tsne_expected.csv from scikit-learn: name, then numbers (see below). Samples are those of digits.csv, in its order.

Run from anywhere: python3 tests/peers/make_tsne.py (minutes)
"""
import os

import numpy as np
from sklearn.datasets import load_digits
from sklearn.manifold import TSNE, trustworthiness

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")


def main():
    x = load_digits().data.astype(np.float32)
    out = {}
    # divergences: 300 samples, all pairs; 500 samples on a line and in a plane by cells; all digits, with their trustworthiness (k = 12)
    out["exact_kl_300"] = [TSNE(method="exact").fit(x[:300]).kl_divergence_]
    out["plane_kl_500"] = [TSNE().fit(x[:500]).kl_divergence_]
    t = TSNE().fit(x)
    out["digits_kl"] = [t.kl_divergence_]
    out["digits_trust"] = [trustworthiness(x, t.embedding_, n_neighbors=12)]
    with open(os.path.join(DATA, "tsne_expected.csv"), "w", encoding="ascii") as f:
        f.write("\n".join(k + "," + ",".join(repr(float(v)) for v in vs) for k, vs in out.items()) + "\n")


if __name__ == "__main__":
    main()
