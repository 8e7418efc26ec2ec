#!/usr/bin/env python3
"""Writes tests/data/ml_metrics.json: what scikit-learn, SciPy and NumPy make of small made-up scores and predictions.

Run from anywhere: /opt/peers/bin/python tests/peers/make_ml_metrics.py
"""
import json
import os
import warnings

import numpy as np
from scipy import stats
from sklearn import metrics

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")


def ranking(score, truth):
    fpr, tpr, at = metrics.roc_curve(truth, score)
    every = metrics.roc_curve(truth, score, drop_intermediate=False)
    precision, recall, cut = metrics.precision_recall_curve(truth, score)
    fewer = metrics.precision_recall_curve(truth, score, drop_intermediate=True)
    return {
        "score": list(score), "truth": [int(t) for t in truth],
        "fpr": list(fpr), "tpr": list(tpr), "thresholds": list(at[1:]), "every": [list(e)[1:] for e in every],
        "precision": list(precision), "recall": list(recall), "cuts": list(cut), "fewer": [list(f) for f in fewer],
        "auroc": metrics.roc_auc_score(truth, score), "average_precision": metrics.average_precision_score(truth, score),
    }


def classes(rng):
    truth = rng.choice([1, 2, 3, 5], 120, p=[.4, .3, .2, .1])
    predicted = np.where(rng.random(120) < .6, truth, rng.choice([1, 2, 3, 4], 120))
    out = {"truth": truth.tolist(), "predicted": predicted.tolist()}
    for name, f in (("precision", metrics.precision_score), ("recall", metrics.recall_score), ("f1", metrics.f1_score)):
        for how in ("macro", "micro", "weighted"):
            out[name + "_" + how] = f(truth, predicted, average=how, zero_division=0)
        out[name + "_each"] = f(truth, predicted, average=None, labels=[1, 2, 3, 4, 5], zero_division=0).tolist()
        out[name + "_seven"] = f(truth, predicted, average="macro", labels=range(1, 8), zero_division=1)
        out[name + "_binary"] = f(truth, predicted, average="macro", labels=[2], zero_division=0)
    out["report"] = metrics.classification_report(truth, predicted, zero_division=0)
    out["report_names"] = metrics.classification_report(truth, predicted, zero_division=0, digits=3,
                                                        target_names=["a", "bee", "c", "a rather long name", "e"])
    proba = np.exp(rng.normal(size=(120, 3)) + 1.2 * np.eye(3)[np.minimum(truth, 3) - 1])
    proba = (proba / proba.sum(1, keepdims=True)).round(3)
    proba[:, 2] = 1 - proba[:, 0] - proba[:, 1]
    out["proba"] = proba.tolist()
    for how in ("macro", "weighted"):
        out["auroc_" + how] = metrics.roc_auc_score(np.minimum(truth, 3), proba, multi_class="ovr", average=how)
    return out


def thresholds(rng):
    usual, odd = rng.gamma(4, .25, 600), rng.normal(6, .4, 12)
    s = rng.permutation(np.concatenate([usual, odd])).round(6)
    sorted_s = np.sort(s)
    cuts = [(sorted_s[:i].mean() - sorted_s[i:].mean()) ** 2 * i * (len(s) - i) for i in range(1, len(s))]
    i = int(np.argmax(cuts))
    gaps = np.diff(sorted_s)
    g = 306 - 1 + int(np.argmax(gaps[305:]))
    w = 306 - 1 + int(np.argmax((gaps * np.arange(1, len(s)) * np.arange(len(s) - 1, 0, -1))[305:]))
    tail = rng.standard_t(4, 5000).round(6)
    base = np.quantile(tail, .95)
    excess = tail[tail > base] - base
    shape, _, scale = min((stats.genpareto.fit(excess, c, floc=0, scale=excess.mean()) for c in (-.2, .01, .3)),
                          key=lambda p: stats.genpareto.nnlf(p, excess))
    ratio = 1e-3 * len(tail) / len(excess)
    return {
        "scores": s.tolist(), "quantile": np.quantile(s, .98), "mad": np.median(s) + 3.5 * stats.median_abs_deviation(s, scale="normal"),
        "otsu": (sorted_s[i] + sorted_s[i + 1]) / 2, "gap": (sorted_s[g] + sorted_s[g + 1]) / 2, "gap_weighted": (sorted_s[w] + sorted_s[w + 1]) / 2,
        "tail": tail.tolist(), "shape": shape, "scale": scale, "nnlf": stats.genpareto.nnlf((shape, 0, scale), excess),
        "pot": base + scale / shape * (ratio ** -shape - 1),
    }


def regression(rng):
    truth = rng.normal(size=40).round(4)
    predicted = (truth + .3 * rng.normal(size=40)).round(4)
    return {"truth": truth.tolist(), "predicted": predicted.tolist(), "r2": metrics.r2_score(truth, predicted),
            "mse": metrics.mean_squared_error(truth, predicted), "mae": metrics.mean_absolute_error(truth, predicted)}


def main():
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(1)
    truth = rng.random(150) < .2
    out = {
        "distinct": ranking((rng.normal(size=150) + truth).round(6), truth),
        "ties": ranking((rng.normal(size=150) + 1.5 * truth).round(0), truth),
        "small": ranking([.1, .4, .35, .8], [0, 0, 1, 1]), "one_of_each": ranking([1., 1.], [0, 1]),
        "classes": classes(rng), "thresholds": thresholds(rng), "regression": regression(rng),
    }
    with open(os.path.join(DATA, "ml_metrics.json"), "w", encoding="ascii") as f:
        json.dump(out, f)
        f.write("\n")


if __name__ == "__main__":
    main()
