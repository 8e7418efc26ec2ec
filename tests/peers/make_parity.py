#!/usr/bin/env python3
"""Write what PyTorch gives for the rows of ops.def and elementwise.def, one file per family, tests/data/parity/FAMILY.json.

    build/mascon tests/peers/make_parity_inputs.lua >inputs.json
    python3 tests/peers/make_parity.py inputs.json [family ...]       # these only; none: all, and torch_functions.txt

Needs torch. A family is a file in tests/peers/parity: FAMILY.py, whose ROWS says for each row which function of PyTorch it is, and FAMILY.lua
beside it, if there is one, with samples in addition to the row's own. Two are of another kind: parity/gradients.py, expressions whose gradient is
compared, and parity/expressions.py, expressions of functions that are no rows.
Values are computed in f64. Each result's dtype is noted as f64 inputs give it and, where that differs, as f32 inputs give it. The names of
PyTorch's functions are written too, by which test_parity.lua tells a row that could have values from one that cannot.
"""
import glob
import importlib
import json
import os
import sys

import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "..", "data", "parity")
sys.path.insert(0, HERE)
from parity.base import bind, changed, plain, result  # noqa: E402
from parity.expressions import EXPRESSIONS, expression  # noqa: E402
from parity.gradients import GRADIENTS, gradient  # noqa: E402

FAMILIES = {os.path.basename(p)[:-3] for p in glob.glob(os.path.join(HERE, "parity", "*.py"))} - {"base", "gradients", "expressions", "__init__"}


def run(f, row, case):
    both = []
    for dtype in (torch.float64, torch.float32):
        a = bind(row["signature"], case, dtype)
        out = f(a)
        both.append((out if isinstance(out, tuple) else (out,), changed(row["signature"], a)))
    (out, after), (out32, after32) = both
    entry = {"args": case}
    if out:
        entry["out"] = [result(t, s) for t, s in zip(out, out32)]
    if after:
        entry["after"] = {k: [result(t, s) for t, s in zip(v, after32[k])] for k, v in after.items()}
    return entry


def dump(v):
    return json.dumps(v, separators=(",", ":"))


def write(name, body):
    with open(os.path.join(DATA, name + ".json"), "w") as f:
        f.write('{"torch":%s,\n%s}\n' % (dump(torch.__version__), body))


def family(name, functions, rows):
    """The values of one family."""
    parts = []
    for row in rows:
        if row not in functions:
            continue
        torch.manual_seed(0)
        cases = []
        for k, case in enumerate(rows[row]["cases"]):
            try:
                cases.append(dump(run(functions[row], rows[row], case)))
            except Exception as e:
                raise SystemExit(f"{row}, case {k + 1} {json.dumps(case)[:300]}: {e!r}")
        parts.append(f"{dump(row)}:[\n" + ",\n".join(cases) + "]")
    write(name, '"rows":{\n' + ",\n".join(parts) + "}")
    unknown = set(functions) - set(rows)
    if unknown:
        raise SystemExit(f"{name}: no such rows: {' '.join(sorted(unknown))}")


def functions():
    """Names of PyTorch's functions of tensors."""
    homes = (torch._C._VariableFunctions, torch.functional, F, torch.linalg, torch.special, torch.Tensor)
    names = {n for home in homes for n in dir(home) if not n.startswith("_")}
    return sorted(n for n in names if any(callable(f) and not isinstance(f, type) for f in (getattr(home, n, None) for home in homes)))


def main(source, *names):
    rows = json.load(open(source))
    known = {}
    for name in sorted(FAMILIES):
        known[name] = importlib.import_module("parity." + name).ROWS
    for a in known:
        for b in known:
            both = set(known[a]) & set(known[b]) if a < b else None
            if both:
                raise SystemExit(f"in two families, {a} and {b}: {both}")
    for name in names or known:
        if name not in ("gradients", "expressions"):
            family(name, known[name], rows)
    if not names or "gradients" in names:
        write("gradients", '"gradients":[\n' + ",\n".join(
            dump([e, x, [plain(v) for v in gradient(x, f).tolist()]]) for e, (x, f) in GRADIENTS.items()) + "]")
    if not names or "expressions" in names:
        write("expressions", '"expressions":[\n' + ",\n".join(dump([e, *expression(*v)]) for e, v in EXPRESSIONS.items()) + "]")
    if not names:
        with open(os.path.join(DATA, "torch_functions.txt"), "w") as f:
            f.write(f"""# Functions of tensors in PyTorch {torch.__version__}, one name a line: of torch, torch.functional, torch.nn.functional, torch.linalg and
# torch.special, and methods of torch.Tensor. tests/peers/make_parity.py writes this file; tests/lua/test_parity.lua looks up in it
# whether a row that has no kept values could have some.
""")
            f.write("\n".join(functions()) + "\n")
    listed = {r for rows_of in known.values() for r in rows_of}
    print("rows without a counterpart:", " ".join(r for r in rows if r not in listed))


if __name__ == "__main__":
    main(*sys.argv[1:])
