"""Folds of scikit-learn for tests/lua/test_selection.lua: make_selection.py > tests/data/selection.json. Positions and labels count from 1."""
import json

import numpy as np
from sklearn.datasets import load_iris
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

r = np.random.RandomState(3)
folds = [dict(n=n, k=k, test=[(t + 1).tolist() for _, t in KFold(k).split(np.zeros(n))]) for n, k in ((10, 5), (11, 4), (7, 7), (23, 3))]
strata = []
for n, classes, k in ((30, 3, 5), (41, 4, 3), (17, 2, 4), (50, 6, 2)):
    y = r.randint(1, classes + 1, n)
    strata.append(dict(y=y.tolist(), k=k, test=[(t + 1).tolist() for _, t in StratifiedKFold(k).split(np.zeros(n), y)]))
x, y = load_iris(return_X_y=True)
scores = {str(k): cross_val_score(KNeighborsClassifier(k), x, y, cv=5).tolist() for k in (1, 5, 20)}
print(json.dumps(dict(folds=folds, strata=strata, scores=scores)))
