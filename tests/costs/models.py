"""ResNet-50 and one layer of BERT-large, written as PyTorch's and NVIDIA's are, to be counted."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from halfsim import nn
from halfsim.autograd.tensor import Tensor


class Bottleneck(nn.Module):
    """Version 1.5: the stride is in the 3 x 3 convolution."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        out = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out)
        self.relu = nn.ReLU()
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + self.shortcut(x))


@cache
def resnet50() -> nn.Module:
    """Images of (3, 224, 224), 1000 classes: 25,557,032 parameters; drawn once."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
    ]  # fmt: skip
    channels = 64
    for blocks, width, stride in ((3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2)):
        for i in range(blocks):
            layers.append(Bottleneck(channels, width, 1 if i else stride))
            channels = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


HIDDEN, HEADS, INNER, VOCABULARY, LAYERS = 1024, 16, 4096, 30528, 24  # the vocabulary is padded to a multiple of 8


class Layer(nn.Module):
    """An encoder layer, attention in separate steps."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(HIDDEN, HIDDEN) for _ in range(3))
        self.out, self.norm1 = nn.Linear(HIDDEN, HIDDEN), nn.LayerNorm(HIDDEN)
        self.up, self.gelu = nn.Linear(HIDDEN, INNER), nn.GELU()
        self.down, self.norm2 = nn.Linear(INNER, HIDDEN), nn.LayerNorm(HIDDEN)
        self.drop, self.softmax = nn.Dropout(0.1), nn.Softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        n, length, _ = x.shape

        def heads(y: Tensor) -> Tensor:
            return y.reshape(n, length, HEADS, HIDDEN // HEADS).transpose(1, 2)

        q, k, v = heads(self.query(x)), heads(self.key(x)), heads(self.value(x))
        scores = q @ k.transpose(2, 3) / 8.0 + np.zeros((n, 1, 1, length), np.float32)
        mixed = self.drop(self.softmax(scores)) @ v
        x = self.norm1(self.drop(self.out(mixed.transpose(1, 2).reshape(n, length, HIDDEN))) + x)
        return self.norm2(self.drop(self.down(self.gelu(self.up(x)))) + x)


class Bert(nn.Module):
    """The loss of BERT-large in pretraining, with one of its 24 layers: one word in 6.4, and what follows."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.words, self.places, self.kinds = (nn.Embedding(n, HIDDEN) for n in (VOCABULARY, 512, 2))
        self.norm, self.drop, self.layer = nn.LayerNorm(HIDDEN), nn.Dropout(0.1), Layer()
        self.pooler, self.next = nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 2)
        self.transform, self.gelu, self.norm_out = nn.Linear(HIDDEN, HIDDEN), nn.GELU(), nn.LayerNorm(HIDDEN)
        self.hidden = 20 * length // 128  # words to be guessed

    def forward(self, ids: Any) -> Tensor:
        n, length = ids.shape
        x = self.words(ids) + self.places(np.arange(length)) + self.kinds(np.zeros_like(ids))
        x = self.layer(self.drop(self.norm(x)))
        follows = self.next(self.pooler(x[:, 0]).tanh())
        guessed = self.norm_out(self.gelu(self.transform(x[:, : self.hidden].reshape(n * self.hidden, HIDDEN))))
        words = nn.functional.linear(guessed, self.words.weight)
        loss = nn.functional.cross_entropy
        return loss(words, np.zeros(n * self.hidden, np.int64)) + loss(follows, np.zeros(n, np.int64))
