#!/usr/bin/env python3
"""Write the dtypes that PyTorch gives to mixed operands: tests/data/parity_dtypes.json, read by tests/lua/test_dtypes.lua. Needs torch.

A line: left and right operand, "f32[2]" a tensor with dimensions, "f32[]" of rank 0, "int", "float" and "bool" plain numbers; torch.result_type;
the dtype of left * right (None: PyTorch has no such product) and of left ** right.
"""
import json
import os

import torch

DTYPES = {"f32": torch.float32, "f64": torch.float64, "bf16": torch.bfloat16, "f16": torch.float16, "i64": torch.int64, "i32": torch.int32,
          "u8": torch.uint8, "bool": torch.bool}
NAMES = {v: k for k, v in DTYPES.items()}
operands = {f"{n}[2]": torch.ones(2, dtype=d) for n, d in DTYPES.items()}
operands |= {f"{n}[]": torch.ones((), dtype=d) for n, d in DTYPES.items()}
operands |= {"int": 1, "float": 1.0, "bool": True}


def dtype(f, a, b):
    try:
        return NAMES[f(a, b).dtype]
    except RuntimeError:
        return None


lines = []
for n, a in operands.items():
    for m, b in operands.items():
        if torch.is_tensor(a) or torch.is_tensor(b):
            lines.append([n, m, NAMES[torch.result_type(a, b)], dtype(torch.mul, a, b), dtype(torch.pow, a, b)])
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "parity_dtypes.json")
with open(path, "w") as f:
    f.write('{"torch":%s,"dtypes":[\n' % json.dumps(torch.__version__) + ",\n".join(json.dumps(x, separators=(",", ":")) for x in lines) + "]}\n")
