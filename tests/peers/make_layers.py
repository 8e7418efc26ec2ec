#!/usr/bin/env python3
"""Write tests/data/layers.json: what PyTorch's layers give, with their state, for tests/lua/test_layers.lua.

    python3 tests/peers/make_layers.py [tests/data/layers.json]

A case is the layer as mascon makes it, the same in PyTorch, and the shapes of its inputs (or the inputs: whole numbers are positions, counted
from 0 there and from 1 here). Kept are, in f64: the state_dict before, the results while training or evaluating, the state after the last call, and,
with weights 1/n, 2/n, ... n/n on the last result's n elements, the gradients of parameters and of inputs.
"""
import json
import sys

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

torch.set_default_dtype(torch.float64)


class Hardsigmoid(nn.Module):
    """As PyTorch defines it: the derivative of nn.Hardsigmoid has 1/6 in f32, also in f64 (as nn.CELU's has 1/alpha)."""

    def forward(self, x):
        return nn.functional.relu6(x + 3) / 6


# layer here, layer there, inputs, and: "eval" or the number of calls while training (1)
CASES = [
    ("nn.linear(3, 2)", lambda: nn.Linear(3, 2), [(4, 3)]),
    ("nn.linear(3, 2, { bias = false })", lambda: nn.Linear(3, 2, bias=False), [(2, 2, 3)]),
    ("nn.bilinear(3, 2, 4)", lambda: nn.Bilinear(3, 2, 4), [(5, 3), (5, 2)]),
    ("nn.identity()", lambda: nn.Identity(), [(3,)]),
    ("nn.flatten()", lambda: nn.Flatten(), [(2, 3, 2)]),
    ("nn.flatten(2, 3)", lambda: nn.Flatten(1, 2), [(2, 3, 2, 2)]),
    ("nn.unflatten(2, { 2, -1 })", lambda: nn.Unflatten(1, (2, -1)), [(2, 6)]),
    ("nn.constant_pad1d({ 1, 2 }, 3)", lambda: nn.ConstantPad1d((1, 2), 3), [(2, 2, 3)]),
    ("nn.constant_pad2d({ 1, -1, 0, 2 }, 3)", lambda: nn.ConstantPad2d((1, -1, 0, 2), 3), [(2, 3, 2)]),
    ("nn.zero_pad1d(1)", lambda: nn.ZeroPad1d(1), [(2, 3)]),
    ("nn.zero_pad2d({ 0, 1, 2, 0 })", lambda: nn.ZeroPad2d((0, 1, 2, 0)), [(1, 2, 2, 2)]),
    ("nn.reflection_pad1d({ 2, 1 })", lambda: nn.ReflectionPad1d((2, 1)), [(2, 4)]),
    ("nn.reflection_pad2d(1)", lambda: nn.ReflectionPad2d(1), [(1, 2, 3, 2)]),
    ("nn.replication_pad1d(2)", lambda: nn.ReplicationPad1d(2), [(1, 2, 3)]),
    ("nn.replication_pad2d({ 0, 2, 1, 0 })", lambda: nn.ReplicationPad2d((0, 2, 1, 0)), [(2, 3, 2)]),
    ("nn.circular_pad1d({ 1, 2 })", lambda: nn.CircularPad1d((1, 2)), [(1, 2, 3)]),
    ("nn.circular_pad2d(1)", lambda: nn.CircularPad2d(1), [(2, 3, 2)]),
    ("nn.embedding(4, 3)", lambda: nn.Embedding(4, 3), [[[0, 2], [3, 0]]]),
    ("nn.embedding(4, 3, { padding_idx = 2 })", lambda: nn.Embedding(4, 3, padding_idx=1), [[1, 2, 1, 3]]),
    ("nn.embedding(4, 3, { max_norm = 0.7 })", lambda: nn.Embedding(4, 3, max_norm=0.7), [[1, 2, 1]]),
    ("nn.embedding(4, 3, { max_norm = 0.7, norm_type = 1 })", lambda: nn.Embedding(4, 3, max_norm=0.7, norm_type=1), [[0, 3]]),
    ("nn.batch_norm1d(3)", lambda: nn.BatchNorm1d(3), [(5, 3)], 2),
    ("nn.batch_norm1d(3, { momentum = false })", lambda: nn.BatchNorm1d(3, momentum=None), [(2, 3, 4)], 3),
    ("nn.batch_norm1d(3)", lambda: nn.BatchNorm1d(3), [(2, 3, 4)], "eval"),
    ("nn.batch_norm2d(2, { eps = 1e-3, momentum = 0.3 })", lambda: nn.BatchNorm2d(2, 1e-3, 0.3), [(3, 2, 2, 2)], 2),
    ("nn.batch_norm2d(2, { affine = false })", lambda: nn.BatchNorm2d(2, affine=False), [(3, 2, 2, 2)]),
    ("nn.batch_norm2d(2, { track = false })", lambda: nn.BatchNorm2d(2, track_running_stats=False), [(3, 2, 2, 2)], "eval"),
    ("nn.instance_norm1d(3)", lambda: nn.InstanceNorm1d(3), [(2, 3, 4)]),
    ("nn.instance_norm1d(3, { affine = true })", lambda: nn.InstanceNorm1d(3, affine=True), [(3, 4)]),
    ("nn.instance_norm2d(3, { affine = true, track = true })",
     lambda: nn.InstanceNorm2d(3, affine=True, track_running_stats=True), [(2, 3, 2, 2)], 2),
    ("nn.instance_norm2d(3, { affine = true, track = true })",
     lambda: nn.InstanceNorm2d(3, affine=True, track_running_stats=True), [(2, 3, 2, 2)], "eval"),
    ("nn.layer_norm(4)", lambda: nn.LayerNorm(4), [(3, 4)]),
    ("nn.layer_norm({ 2, 3 }, { eps = 1e-3, bias = false })", lambda: nn.LayerNorm([2, 3], 1e-3, bias=False), [(2, 2, 3)]),
    ("nn.layer_norm(4, { elementwise_affine = false })", lambda: nn.LayerNorm(4, elementwise_affine=False), [(2, 2, 4)]),
    ("nn.rms_norm(4)", lambda: nn.RMSNorm(4), [(3, 4)]),
    ("nn.rms_norm({ 2, 2 }, { eps = 0.1 })", lambda: nn.RMSNorm([2, 2], 0.1), [(3, 2, 2)]),
    ("nn.group_norm(2, 4)", lambda: nn.GroupNorm(2, 4), [(2, 4, 3)]),
    ("nn.group_norm(3, 3, { affine = false })", lambda: nn.GroupNorm(3, 3, affine=False), [(2, 3, 2, 2)]),
    ("nn.local_response_norm(2, { alpha = 0.5 })", lambda: nn.LocalResponseNorm(2, 0.5), [(2, 4, 3)]),
    ("nn.dropout(0.4)", lambda: nn.Dropout(0.4), [(2, 3)], "eval"),
    ("nn.dropout(1)", lambda: nn.Dropout(1), [(2, 3)]),
    ("nn.dropout1d(0.4)", lambda: nn.Dropout1d(0.4), [(2, 3, 2)], "eval"),
    ("nn.dropout2d(1)", lambda: nn.Dropout2d(1), [(2, 3, 2, 2)]),
    ("nn.alpha_dropout(1)", lambda: nn.AlphaDropout(1), [(2, 3)]),
    ("nn.feature_alpha_dropout(0)", lambda: nn.FeatureAlphaDropout(0), [(2, 3, 2)]),
    ("nn.weight_norm(nn.linear(3, 2))", lambda: weight_norm(nn.Linear(3, 2)), [(4, 3)]),
    ("nn.weight_norm(nn.linear(3, 2), { dim = 2 })", lambda: weight_norm(nn.Linear(3, 2), dim=1), [(4, 3)]),
    ("nn.weight_norm(nn.linear(3, 2), { dim = false })", lambda: weight_norm(nn.Linear(3, 2), dim=None), [(4, 3)]),
    ("nn.weight_norm(nn.conv2d(2, 3, 2))", lambda: weight_norm(nn.Conv2d(2, 3, 2)), [(1, 2, 3, 3)]),
    ("nn.spectral_norm(nn.linear(3, 4))", lambda: spectral_norm(nn.Linear(3, 4)), [(2, 3)], 2),
    ("nn.spectral_norm(nn.linear(3, 4))", lambda: spectral_norm(nn.Linear(3, 4)), [(2, 3)], "eval"),
    ("nn.spectral_norm(nn.conv2d(2, 3, 2), { n_power_iterations = 3 })",
     lambda: spectral_norm(nn.Conv2d(2, 3, 2), n_power_iterations=3), [(1, 2, 3, 3)]),
    ("nn.spectral_norm(nn.conv_transpose2d(2, 3, 2))", lambda: spectral_norm(nn.ConvTranspose2d(2, 3, 2)), [(1, 2, 2, 2)]),
    ("nn.spectral_norm(nn.linear(3, 2), { name = 'bias' })", lambda: spectral_norm(nn.Linear(3, 2), "bias"), [(2, 3)]),
    ("nn.relu()", lambda: nn.ReLU(), [(2, 3)]),
    ("nn.relu6()", lambda: nn.ReLU6(), [(2, 3)]),
    ("nn.silu()", lambda: nn.SiLU(), [(2, 3)]),
    ("nn.selu()", lambda: nn.SELU(), [(2, 3)]),
    ("nn.mish()", lambda: nn.Mish(), [(2, 3)]),
    ("nn.sigmoid()", lambda: nn.Sigmoid(), [(2, 3)]),
    ("nn.tanh()", lambda: nn.Tanh(), [(2, 3)]),
    ("nn.hardsigmoid()", lambda: Hardsigmoid(), [(2, 3)]),
    ("nn.hardswish()", lambda: nn.Hardswish(), [(2, 3)]),
    ("nn.logsigmoid()", lambda: nn.LogSigmoid(), [(2, 3)]),
    ("nn.softsign()", lambda: nn.Softsign(), [(2, 3)]),
    ("nn.tanhshrink()", lambda: nn.Tanhshrink(), [(2, 3)]),
    ("nn.gelu()", lambda: nn.GELU(), [(2, 3)]),
    ("nn.gelu('tanh')", lambda: nn.GELU("tanh"), [(2, 3)]),
    ("nn.leaky_relu(0.2)", lambda: nn.LeakyReLU(0.2), [(2, 3)]),
    ("nn.elu(0.7)", lambda: nn.ELU(0.7), [(2, 3)]),
    ("nn.celu(0.5)", lambda: nn.CELU(0.5), [(2, 3)]),
    ("nn.softplus(2, 1)", lambda: nn.Softplus(2, 1), [(2, 3)]),
    ("nn.hardtanh(-0.5, 0.7)", lambda: nn.Hardtanh(-0.5, 0.7), [(2, 3)]),
    ("nn.hardshrink(0.4)", lambda: nn.Hardshrink(0.4), [(2, 3)]),
    ("nn.softshrink(0.4)", lambda: nn.Softshrink(0.4), [(2, 3)]),
    ("nn.threshold(0.1, 3)", lambda: nn.Threshold(0.1, 3), [(2, 3)]),
    ("nn.glu(2)", lambda: nn.GLU(1), [(2, 4)]),
    ("nn.softmax(1)", lambda: nn.Softmax(0), [(2, 3)]),
    ("nn.log_softmax()", lambda: nn.LogSoftmax(-1), [(2, 3)]),
    ("nn.softmin()", lambda: nn.Softmin(-1), [(2, 3)]),
    ("nn.softmax2d()", lambda: nn.Softmax2d(), [(3, 2, 2)]),
    ("nn.prelu()", lambda: nn.PReLU(), [(2, 3)]),
    ("nn.prelu(3, 0.1)", lambda: nn.PReLU(3, 0.1), [(2, 3, 2)]),
    ("nn.rrelu(0.1, 0.3)", lambda: nn.RReLU(0.1, 0.3), [(2, 3)], "eval"),
    ("nn.sequential { nn.linear(3, 4), nn.tanh(), nn.sequential { nn.batch_norm1d(4), nn.linear(4, 2) } }",
     lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2))), [(5, 3)]),
]


def values(t):
    return [v if isinstance(v, int) else float(v) for v in t.detach().flatten().tolist()]


def kept(t):
    return {"shape": list(t.shape), "v": values(t), "dtype": "f64" if t.is_floating_point() else "i64"}


def case(text, make, inputs, calls=1):
    torch.manual_seed(len(text) * 1000 + sum(map(ord, text)))
    m = make()
    with torch.no_grad():
        for name, p in m.named_parameters():  # what begins as ones and zeros
            if "original" not in name and "embedding" not in text:
                p.copy_(torch.rand_like(p) + 0.5 if "weight" in name and p.dim() == 1 else torch.randn_like(p))
        for name, b in m.named_buffers():
            if "running" in name:
                b.copy_(torch.rand_like(b) + 0.5)
    m.train(calls != "eval")
    x = [torch.randn(s, requires_grad=True) if isinstance(s, tuple) else torch.tensor(s) for s in inputs]
    entry = {"layer": text, "train": calls != "eval", "inputs": [kept(t if t.is_floating_point() else t + 1) for t in x],
             "state": {k: kept(v) for k, v in m.state_dict().items()}, "out": []}
    for _ in range(1 if calls == "eval" else calls):
        y = m(*x)
        entry["out"].append(kept(y))
    entry["after"] = {k: kept(v) for k, v in m.state_dict().items()}
    if y.requires_grad:
        (y.flatten() * torch.arange(1, y.numel() + 1) / y.numel()).sum().backward()
    entry["grad"] = {k: kept(p.grad) for k, p in m.named_parameters() if p.grad is not None}
    entry["dx"] = [kept(t.grad) for t in x if t.requires_grad and t.grad is not None]
    return entry


def main(path="tests/data/layers.json"):
    with open(path, "w") as f:
        body = ",\n".join(json.dumps(case(*c), separators=(",", ":")) for c in CASES)
        f.write('{"torch":"%s",\n"layers":[\n%s]}\n' % (torch.__version__, body))


if __name__ == "__main__":
    main(*sys.argv[1:])
