"""Values of scipy.stats for tests/lua/test_distributions.lua: make_distributions.py > tests/data/distributions.json"""
import json

import numpy as np
from scipy import stats

cases = []
kinds = [("normal", (), stats.norm()), ("normal", (1.5, 0.3), stats.norm(1.5, 0.3))]
kinds += [("chi2", (k,), stats.chi2(k)) for k in (0.3, 1, 2, 3.7, 30, 1000)] + [("chi", (k,), stats.chi(k)) for k in (1, 2, 16, 128, 784)]
kinds += [("beta", ab, stats.beta(*ab)) for ab in ((2, 3), (0.5, 0.5), (1, 1), (40, 0.7), (300, 500))]
q = [1e-12, 1e-4, 0.02, 0.3, 0.5, 0.8, 0.98, 0.9999]
for name, args, d in kinds:
    x = d.ppf(np.array(q))
    x = np.unique(np.concatenate([x, x * 1.1 if name != "beta" else x * 0.9]))
    cases.append(dict(name=name, args=args, q=q, ppf=d.ppf(np.array(q)).tolist(), x=x.tolist(), pdf=d.pdf(x).tolist(), logpdf=d.logpdf(x).tolist(),
                      cdf=d.cdf(x).tolist(), sf=d.sf(x).tolist()))
print(json.dumps(cases))
