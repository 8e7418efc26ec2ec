"""The libraries' side of `make bench` for classical learning: bench_ml.py sklearn|sklearnex|faiss|lightgbm|xgboost|openTSNE[-bh|-fft].

To add a row: a case in tests/bench/classic.lua and a line in tests/bench/rows.lua, both under one name; here a function under the same
name for each library that can do it. It returns common.Case(run, score): run() is timed, score() gives the number that has to agree with
mascon's before anything is timed. `x`, `y` and so on come from common (labels from 0), made outside of what is timed.
"""
import importlib
import sys

import bench_common as common
import numpy as np

LIBRARY = sys.argv[1] if len(sys.argv) > 1 else "sklearn"
JOBS = None if common.THREADS == 1 else common.THREADS
cases = {}


def case(name, *libraries):
    """The function below makes this case, given the library's name, for these libraries."""
    def take(make):
        if LIBRARY in libraries:
            cases[name] = lambda: make(LIBRARY)
        return make
    return take


def module(name):
    """scikit-learn's module of a name, or the extension's."""
    return importlib.import_module(LIBRARY + "." + name)


# ---- nearest neighbours -----------------------------------------------------------------------------------------------------------------

def faiss_knn(k, x, y, tx, ty):
    import faiss
    faiss.omp_set_num_threads(common.THREADS)
    index = faiss.IndexFlatL2(x.shape[1])
    index.add(x)

    def score():
        _, near = index.search(tx, k)
        votes = np.zeros((len(tx), 10), np.int64)
        for j in range(k):
            votes[np.arange(len(tx)), y[near[:, j]]] += 1
        return (votes.argmax(1) == ty).mean()
    return score


def knn(k, n, d):
    def make(library):
        x, y, tx, ty = common.neighbours(n, d)
        if library == "faiss":
            score = faiss_knn(k, x, y, tx, ty)
        else:
            m = module("neighbors").KNeighborsClassifier(k, n_jobs=JOBS).fit(x, y)
            score = lambda: m.score(tx, ty)  # noqa: E731
        return common.Case(score, score=score, warm=1 if n < 10000 else 0)
    return make


for n, d in ((1000, 784), (60000, 784), (1000, 128), (60000, 128)):
    for k in (1, 5):
        case("ml %d-nn %dx%d" % (k, n, d), "sklearn", "sklearnex", "faiss")(knn(k, n, d))


# ---- forests -------------------------------------------------------------------------------------------------------------------------------

def new_forest(library):
    """100 trees, grown as deep as the library's forest mode can where it has no such default."""
    if library == "lightgbm":
        import lightgbm
        return lightgbm.LGBMClassifier(boosting_type="rf", n_estimators=100, num_leaves=1024, min_child_samples=2, bagging_freq=1,
                                       bagging_fraction=.632, feature_fraction_bynode=.3, n_jobs=common.THREADS, verbose=-1)
    if library == "xgboost":
        import xgboost
        return xgboost.XGBRFClassifier(n_estimators=100, max_depth=10, colsample_bynode=.3, subsample=.632, n_jobs=common.THREADS)
    return module("ensemble").RandomForestClassifier(100, random_state=0, n_jobs=JOBS)


def forest(n, what):
    def make(library):
        x, y = common.once("mixture", lambda: common.mixture(31, 70000, 8, 10))
        rest, truth = x[60000:], y[60000:]

        def fit():
            return new_forest(library).fit(x[:n], y[:n])
        if what == "fit":
            return common.Case(fit, score=lambda: fit().score(rest, truth), warm=1 if n < 10000 else 0)
        rf = fit()
        return common.Case(lambda: rf.predict(rest), score=lambda: rf.score(rest, truth), warm=1)
    return make


for name, n, what in (("fit 1000x8", 1000, "fit"), ("fit 60000x8", 60000, "fit"), ("predict", 1000, "predict")):
    case("ml forest " + name, "sklearn", "sklearnex", "lightgbm", "xgboost")(forest(n, what))


# ---- logistic regression -------------------------------------------------------------------------------------------------------------------

def logistic(data):
    def make(library):
        x, y = data()

        def fit():
            return module("linear_model").LogisticRegression().fit(x, y)
        return common.Case(fit, score=lambda: fit().score(x, y), warm=1)
    return make


def few_features():
    x, y = common.once("mixture", lambda: common.mixture(31, 70000, 8, 10))
    return x[:60000], y[:60000]


for name, data in (("120000x1", lambda: common.mixture(41, 120000, 1, 2)), ("60000x8", few_features),
                   ("1000x784", lambda: common.neighbours(1000, 784)[:2])):
    case("ml logistic " + name, "sklearn", "sklearnex")(logistic(data))


# ---- t-SNE: what is agreed on is the divergence ---------------------------------------------------------------------------------------------

def tsne(n, d):
    def make(library):
        x = common.neighbours(n, d)[0]

        def opened(how):
            import openTSNE
            return openTSNE.TSNE(n_jobs=common.THREADS, negative_gradient_method=how, random_state=0).fit(x)
        if library in ("sklearn", "sklearnex"):
            fit = lambda: module("manifold").TSNE(n_jobs=JOBS).fit(x)  # noqa: E731
            return common.Case(fit, score=lambda: fit().kl_divergence_, warm=0)
        how = library[9:] or "auto"  # -bh: by cells, -fft: by interpolation
        return common.Case(lambda: opened(how), score=lambda: opened(how).kl_divergence, warm=0)
    return make


for n, d in ((1000, 128), (10000, 196)):
    case("ml t-sne %dx%d" % (n, d), "sklearn", "sklearnex", "openTSNE", "openTSNE-bh", "openTSNE-fft")(tsne(n, d))


about = importlib.import_module("sklearn" if LIBRARY == "sklearnex" else LIBRARY.split("-")[0]).__version__
common.serve({"sklearn": "scikit-learn", "sklearnex": "scikit-learn-intelex on scikit-learn", "faiss": "faiss-cpu"}.get(LIBRARY, LIBRARY) +
             " " + about, cases)
