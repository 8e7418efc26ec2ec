"""ResNet-18 as torchvision builds it (BasicBlock, [2, 2, 2, 2]), of any width: for make_resnet.py and bench_resnet.py."""
import torch.nn as nn


def conv3(i, o, stride):
    return nn.Conv2d(i, o, 3, stride=stride, padding=1, bias=False)


class Block(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv1, self.bn1 = conv3(i, o, stride), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = conv3(o, o, 1), nn.BatchNorm2d(o)
        self.relu, self.downsample = nn.ReLU(inplace=True), None
        if stride != 1 or i != o:
            self.downsample = nn.Sequential(nn.Conv2d(i, o, 1, stride=stride, bias=False), nn.BatchNorm2d(o))

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    def __init__(self, classes, width):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(width)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1)
        i = width
        for stage in range(4):
            o = width << stage
            setattr(self, f"layer{stage + 1}", nn.Sequential(Block(i, o, 2 if stage else 1), Block(o, o, 1)))
            i = o
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(i, classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))
