"""PyTorch's side of tests/bench/resnet.lua: a training step of ResNet-18 (batch 16, 3 x 64 x 64, SGD with momentum).

    bench_resnet.py plain|compile [channels_last] [--batch 16] [--size 64] [--seconds 10]

Prints milliseconds per step (median), and the process's peak memory in MB: all of it, and what was there before the net was made.
"""
import argparse
import os
import resource
import sys
import time

p = argparse.ArgumentParser()
p.add_argument("how", choices=["plain", "compile"])
p.add_argument("layout", nargs="?", default="")
p.add_argument("--batch", type=int, default=16)
p.add_argument("--size", type=int, default=64)
p.add_argument("--seconds", type=float, default=10)
o = p.parse_args()
THREADS = os.environ.get("MASCON_THREADS", "2")
os.environ.setdefault("OMP_NUM_THREADS", THREADS)
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from torch_resnet import ResNet18  # noqa: E402

torch.set_num_threads(int(THREADS))
torch.set_flush_denormal(True)
torch.manual_seed(1)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


before = peak()
net = ResNet18(1000, 64)
x, y = torch.randn(o.batch, 3, o.size, o.size), torch.randint(0, 1000, (o.batch,))
if o.layout:
    net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)


def forward(x, y):
    return F.cross_entropy(net(x), y)


if o.how == "compile":
    forward = torch.compile(forward)


def step():
    loss = forward(x, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


for _ in range(5):
    step()
times, begun = [], time.perf_counter()
while time.perf_counter() - begun < o.seconds:
    t = time.perf_counter()
    step().item()
    times.append(time.perf_counter() - t)
times.sort()
print(f"torch {torch.__version__} {o.how} {o.layout}: {1000 * times[len(times) // 2]:.1f} ms per step (least {1000 * times[0]:.1f}), "
      f"peak {peak():.0f} MB, {peak() - before:.0f} MB more than before the net")
