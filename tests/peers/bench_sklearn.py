"""scikit-learn's side of `make bench`: W8."""
import bench_common as common

import sklearn
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier

JOBS = None if common.THREADS == 1 else common.THREADS


def knn():
    x, y, tx, ty = common.neighbours()
    k = KNeighborsClassifier(1, n_jobs=JOBS).fit(x, y)
    return common.Case(lambda: k.score(tx, ty), score=lambda: k.score(tx, ty), warm=1)


def forest(n, what):
    def make():
        x, y = common.once("mixture", lambda: common.mixture(31, 70000, 8, 10))
        rest, truth = x[60000:], y[60000:]

        def fit():
            return RandomForestClassifier(100, random_state=0, n_jobs=JOBS).fit(x[:n], y[:n])
        if what == "fit":
            return common.Case(fit, score=lambda: fit().score(rest, truth), warm=1 if n < 10000 else 0)
        rf = fit()
        return common.Case(lambda: rf.predict(rest), score=lambda: rf.score(rest, truth), warm=1)
    return make


common.serve("scikit-learn " + sklearn.__version__, {
    "W8 knn": knn, "W8 forest fit 1000": forest(1000, "fit"), "W8 forest predict": forest(1000, "predict"),
    "W8 forest fit 60000": forest(60000, "fit")})
