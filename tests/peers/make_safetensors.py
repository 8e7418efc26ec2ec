#!/usr/bin/env python3
"""Write tests/data/safetensors: what PyTorch and its safetensors write, for tests/lua/test_safetensors.lua to read, with the values in
expected.json; and look whether PyTorch reads ours.safetensors, which mascon wrote (build/mascon tests/lua/write_safetensors.lua FILE).

    python3 tests/peers/make_safetensors.py            # needs torch and safetensors
"""
import json
import math
import os

import torch
from safetensors.torch import load_file, save_file, save_model
from torch import nn

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "safetensors")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(),
                                  nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(2, 3, 2, bias=False)))
        self.head = nn.Linear(3, 4)

    def forward(self, x):
        return self.head(self.body(x).flatten(1))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.decoder = nn.Linear(3, 3)
        self.encoder = nn.Linear(3, 3)
        self.encoder.weight = self.decoder.weight


def plain(v):
    return [plain(x) for x in v] if isinstance(v, list) else v if not isinstance(v, float) or math.isfinite(v) else str(v)


def dtypes():
    """One tensor of each dtype, with its ends."""
    whole = {t: torch.iinfo(t) for t in (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32)}
    out = {str(t)[6:]: torch.tensor([i.min, 0, 1, i.max], dtype=t) for t, i in whole.items()}
    out["uint64"] = torch.tensor([0, 1, 2 ** 63 - 1], dtype=torch.uint64)
    out["bool"] = torch.tensor([[True, False]])
    for t in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        out[str(t)[6:]] = torch.tensor([0.5, -1.5, math.inf, math.nan, torch.finfo(t).tiny], dtype=t)
    for t in (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.float8_e8m0fnu):
        out[str(t)[6:]] = torch.arange(256, dtype=torch.uint8).view(t)  # every number there is
    out["complex64"] = torch.tensor([[1 + 2j, -3j]], dtype=torch.complex64)
    return out


def values(t):
    if t.is_complex():
        return torch.view_as_real(t).tolist()
    return plain((t if t.dtype in (torch.int64, torch.uint64, torch.bool) else t.double() if t.is_floating_point() else t.long()).tolist())


def main():
    torch.manual_seed(1)
    net = Net()
    for _ in range(3):
        net(torch.randn(4, 1, 4, 4))  # running statistics
    net.eval()
    x = torch.randn(2, 1, 4, 4)
    save_file(net.state_dict(), os.path.join(DATA, "net.safetensors"))
    tied = Tied()
    save_model(tied, os.path.join(DATA, "tied.safetensors"))
    every = dtypes()
    save_file(every, os.path.join(DATA, "dtypes.safetensors"))
    save_file({"fine": torch.tensor([1], dtype=torch.uint64), "large": torch.tensor([1, 2 ** 63 + 5], dtype=torch.uint64)},
              os.path.join(DATA, "large.safetensors"))
    with open(os.path.join(DATA, "expected.json"), "w") as f:
        json.dump({"torch": torch.__version__, "x": x.tolist(), "y": net(x).tolist(), "tied": tied.decoder.weight.tolist(),
                   "dtypes": {k: {"shape": list(t.shape), "v": values(t)} for k, t in every.items()}}, f)
        f.write("\n")
    for name in os.listdir(DATA):
        os.chmod(os.path.join(DATA, name), 0o644)
    ours = load_file(os.path.join(DATA, "ours.safetensors"))
    fresh = Net()
    print("PyTorch loads ours:", fresh.load_state_dict(ours, strict=True))
    fresh.eval()
    print("largest difference of its outputs:", (fresh(x) - net(x)).abs().max().item())


if __name__ == "__main__":
    main()
