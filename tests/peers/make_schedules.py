#!/usr/bin/env python3
"""Write tests/data/schedules.json: 100 learning rates (and momenta) of every schedule in PyTorch, for tests/lua/test_schedules.lua.

    python3 tests/peers/make_schedules.py tests/data/schedules.json

A case is what lr_scheduler.NAME is called with, by position and by name, and what the groups' rates are when it is made and after each step.
Functions are named: what they compute is in FUNCTIONS here and in the test.
"""
import json
import sys
import warnings

import torch
from torch.optim import lr_scheduler as S

STEPS = 100
FUNCTIONS = {"fading": lambda e: 0.95**e, "harmonic": lambda e: 1 / (1 + e), "nine_tenths": lambda e: 0.9 if e % 3 == 0 else 1.0,
             "root": lambda x: x**-0.5}
NAMES = {"step_lr": S.StepLR, "multi_step_lr": S.MultiStepLR, "constant_lr": S.ConstantLR, "linear_lr": S.LinearLR,
         "exponential_lr": S.ExponentialLR, "polynomial_lr": S.PolynomialLR, "lambda_lr": S.LambdaLR, "multiplicative_lr": S.MultiplicativeLR,
         "cosine_annealing_lr": S.CosineAnnealingLR, "cosine_annealing_warm_restarts": S.CosineAnnealingWarmRestarts, "cyclic_lr": S.CyclicLR,
         "one_cycle_lr": S.OneCycleLR, "reduce_lr_on_plateau": S.ReduceLROnPlateau}


def case(name, *args, adam=False, children=None, milestones=None, metric=None, **options):
    return {k: v for k, v in dict(name=name, args=list(args), options=options, adam=adam, children=children, milestones=milestones,
                                  metric=metric).items() if v}


CASES = [
    case("step_lr", 7), case("step_lr", 30, gamma=0.5), case("multi_step_lr", [10, 20, 20, 55]), case("multi_step_lr", [0, 3], gamma=0.3),
    case("constant_lr"), case("constant_lr", factor=0.5, total_iters=40), case("linear_lr"),
    case("linear_lr", start_factor=1.0, end_factor=0.05, total_iters=77), case("exponential_lr", 0.97), case("polynomial_lr"),
    case("polynomial_lr", total_iters=80, power=0.9), case("polynomial_lr", total_iters=30, power=3),
    case("lambda_lr", "fading"), case("lambda_lr", ["harmonic", "fading"]), case("multiplicative_lr", "nine_tenths"),
    case("multiplicative_lr", ["nine_tenths", "fading"]),
    case("cosine_annealing_lr", 100), case("cosine_annealing_lr", 13, eta_min=0.001), case("cosine_annealing_warm_restarts", 10),
    case("cosine_annealing_warm_restarts", 7, T_mult=2, eta_min=0.002), case("cosine_annealing_warm_restarts", 1, T_mult=3),
    case("cyclic_lr", 0.01, 0.2, step_size_up=9), case("cyclic_lr", [0.01, 0.001], [0.2, 0.1], step_size_up=8, step_size_down=14, mode="triangular2"),
    case("cyclic_lr", 0.01, 0.2, step_size_up=11, mode="exp_range", gamma=0.98, cycle_momentum=False),
    case("cyclic_lr", 0.01, 0.2, step_size_up=5, scale_fn="root", base_momentum=0.6, max_momentum=[0.9, 0.95]),
    case("cyclic_lr", 0.01, 0.2, step_size_up=5, scale_fn="fading", scale_mode="iterations", adam=True),
    case("one_cycle_lr", 0.3, total_steps=100), case("one_cycle_lr", [0.3, 0.1], epochs=8, steps_per_epoch=20, anneal_strategy="linear"),
    case("one_cycle_lr", 0.3, total_steps=100, three_phase=True, pct_start=0.25, div_factor=10.0, final_div_factor=100.0, adam=True),
    case("one_cycle_lr", 0.3, total_steps=120, cycle_momentum=False, pct_start=0.4),
    case("reduce_lr_on_plateau", metric="waves"), case("reduce_lr_on_plateau", metric="waves", factor=0.5, patience=2, cooldown=4, min_lr=[0.01, 0.0]),
    case("reduce_lr_on_plateau", metric="waves", mode="max", patience=5, threshold=0.01, threshold_mode="abs", eps=1e-3, factor=0.3),
    case("reduce_lr_on_plateau", metric="waves", patience=0, threshold=0.2, factor=0.8),
    case("chained_scheduler", children=[case("constant_lr", factor=0.1, total_iters=20), case("exponential_lr", 0.98)]),
    case("chained_scheduler", children=[case("linear_lr", total_iters=10), case("step_lr", 25, gamma=0.5), case("multiplicative_lr", "nine_tenths")]),
    case("sequential_lr", children=[case("linear_lr", start_factor=0.1, total_iters=5), case("cosine_annealing_lr", 95)], milestones=[5]),
    case("sequential_lr", children=[case("constant_lr", factor=0.5, total_iters=100), case("exponential_lr", 0.9), case("step_lr", 10),
                                    case("lambda_lr", "harmonic")], milestones=[20, 40, 70]),
    case("sequential_lr", children=[case("exponential_lr", 0.9), case("cosine_annealing_warm_restarts", 6, T_mult=2), case("polynomial_lr", total_iters=9),
                                    case("multi_step_lr", [3, 6], gamma=0.5)], milestones=[10, 50, 80]),
    case("sequential_lr", children=[case("exponential_lr", 0.9), case("linear_lr")], milestones=[0]),
    case("chained_scheduler", children=[case("sequential_lr", children=[case("linear_lr", total_iters=8), case("exponential_lr", 0.95)], milestones=[8]),
                                        case("constant_lr", factor=0.5, total_iters=50)]),
]


def metric(name, step):
    """What reduce_lr_on_plateau is told: falls, then stays, with waves."""
    return 1 / (1 + 0.2 * min(step, 30)) + 0.05 * ((step * 7) % 11) / 11


def function(v):
    if isinstance(v, list):
        return [function(x) for x in v]
    return FUNCTIONS[v] if isinstance(v, str) and v in FUNCTIONS else v


def build(o, c):
    if "children" in c:
        children = [build(o, child) for child in c["children"]]
        return S.SequentialLR(o, children, c["milestones"]) if c["name"] == "sequential_lr" else S.ChainedScheduler(children)
    return NAMES[c["name"]](o, *[function(a) for a in c.get("args", [])], **{k: function(v) for k, v in c.get("options", {}).items()})


def run(c):
    p = [torch.nn.Parameter(torch.zeros(1, dtype=torch.float64)) for _ in range(2)]
    groups = [dict(params=[p[0]]), dict(params=[p[1]], lr=0.02)]
    o = torch.optim.Adam(groups, lr=0.1) if c.get("adam") else torch.optim.SGD(groups, lr=0.1, momentum=0.5)
    s = build(o, c)
    momentum = c["name"] in ("cyclic_lr", "one_cycle_lr") and c.get("options", {}).get("cycle_momentum", True)
    rates, momenta = [], []

    def look():
        rates.append([float(f"{g['lr']:.13g}") for g in o.param_groups])
        momenta.append([float(f"{(g['betas'][0] if c.get('adam') else g['momentum']):.13g}") for g in o.param_groups])

    look()
    for step in range(1, STEPS + 1):
        if c["name"] == "one_cycle_lr" and step == c.get("options", {}).get("total_steps", 160):
            break
        o.step()
        s.step(metric(c["metric"], step)) if "metric" in c else s.step()
        look()
    return dict(c, rates=rates, momenta=momenta) if momentum else dict(c, rates=rates)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    cases = [run(c) for c in CASES]
    json.dump(dict(torch=torch.__version__, cases=cases), open(sys.argv[1], "w"), separators=(",", ":"))
    print(len(cases), "cases of", len({c["name"] for c in cases}), "schedules;", min(len(c["rates"]) for c in cases), "rates at least")
