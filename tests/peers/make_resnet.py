#!/usr/bin/env python3
"""Write tests/data/resnet18.safetensors: a narrow ResNet-18's state_dict, an input, and what PyTorch gives for them.

    python3 tests/peers/make_resnet.py        # needs torch, safetensors

Names: state.NAME the state before; pixels u8, the input being pixels / 255 - 1/2; labels (from 0); eval, the results without training;
train, loss, those of a training forward; grad.NAME the gradients, of long ones every n-th element (step n in the metadata); after.NAME the
running means and variances afterwards. Computed in f64 from the f32 values that are kept.
"""
import json
import os

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from torch_resnet import ResNet18

CLASSES, WIDTH, LONGEST = 10, 4, 200


def main():
    torch.manual_seed(18)
    net = ResNet18(CLASSES, WIDTH)
    with torch.no_grad():
        for m in net.modules():
            if isinstance(m, torch.nn.BatchNorm2d):
                m.weight.uniform_(0.5, 1.5), m.bias.uniform_(-0.5, 0.5)
                m.running_mean.uniform_(-0.2, 0.2), m.running_var.uniform_(0.5, 1.5)
    kept = {f"state.{k}": v.clone() for k, v in net.state_dict().items()}
    pixels = torch.randint(0, 256, (4, 3, 40, 36), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (4,))
    net, x = net.double(), pixels.double() / 255 - 0.5
    kept.update(pixels=pixels, labels=labels, eval=net.eval()(x).float())
    y = net.train()(x)
    loss = F.cross_entropy(y, labels)
    loss.backward()
    kept.update(train=y.float(), loss=loss.reshape(1).float())
    steps = {}
    for name, p in net.named_parameters():
        steps[name] = max(1, p.numel() // LONGEST)
        kept[f"grad.{name}"] = p.grad.reshape(-1)[:: steps[name]].float()
    for name, b in net.named_buffers():
        if "running" in name:
            kept[f"after.{name}"] = b.float()
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "resnet18.safetensors")
    save_file({k: v.detach().contiguous() for k, v in kept.items()}, path,
              {"torch": torch.__version__, "steps": json.dumps(steps), "classes": str(CLASSES), "width": str(WIDTH)})
    print(os.path.getsize(path), "bytes")


if __name__ == "__main__":
    main()
