"""Training steps in plain NumPy float32, as one would write them for speed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

RATE = 0.01


def _cross_entropy(p: Any, rows: Any, y: Any) -> Any:
    """The mean loss of scores ``p`` (N, C), which become its gradient."""
    p -= p.max(1, keepdims=True)
    np.exp(p, out=p)
    p /= p.sum(1, keepdims=True)
    loss = -np.log(p[rows, y]).mean()
    p[rows, y] -= 1
    p /= len(p)
    return loss


def mlp(x: Any, y: Any) -> Callable[[], object]:
    """A step of 784-256-10 with ReLU, softmax, cross entropy and SGD."""
    batch, inputs, hidden, classes = len(x), 784, 256, 10
    rng = np.random.default_rng(1)
    w1 = rng.uniform(-1, 1, (hidden, inputs)).astype(np.float32) * np.float32(inputs**-0.5)
    w2 = rng.uniform(-1, 1, (classes, hidden)).astype(np.float32) * np.float32(hidden**-0.5)
    b1, b2, rows = np.zeros(hidden, np.float32), np.zeros(classes, np.float32), np.arange(batch)

    def step() -> object:
        h = x @ w1.T
        h += b1
        np.maximum(h, 0, out=h)
        p = h @ w2.T
        p += b2
        loss = _cross_entropy(p, rows, y)
        dh = p @ w2
        dh *= h > 0
        for w, g in ((w1, dh.T @ x), (b1, dh.sum(0)), (w2, p.T @ h), (b2, p.sum(0))):
            g *= np.float32(RATE)
            w -= g
        return loss

    return step


def _unfolded(x: Any) -> Any:
    """(N, C, H, W) to (N, C * 9, H * W), for 3 x 3 kernels and padding 1."""
    n, c, h, w = x.shape
    padded = np.zeros((n, c, h + 2, w + 2), np.float32)
    padded[:, :, 1:-1, 1:-1] = x
    out = np.empty((n, c, 3, 3, h, w), np.float32)
    for i in range(3):
        for j in range(3):
            out[:, :, i, j] = padded[:, :, i : i + h, j : j + w]
    return out.reshape(n, c * 9, h * w)


def _folded(d: Any, shape: tuple[int, ...]) -> Any:
    """The way back: every window's gradients added where they came from."""
    n, c, h, w = shape
    d, padded = d.reshape(n, c, 3, 3, h, w), np.zeros((n, c, h + 2, w + 2), np.float32)
    for i in range(3):
        for j in range(3):
            padded[:, :, i : i + h, j : j + w] += d[:, :, i, j]
    return padded[:, :, 1:-1, 1:-1]


def _pooled(x: Any) -> tuple[Any, Any]:
    """The largest of each 2 x 2, and where it is not smaller than it."""
    corners = [x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    y = np.maximum(np.maximum(corners[0], corners[1]), np.maximum(corners[2], corners[3]))
    return y, [corner == y for corner in corners]


def _unpooled(d: Any, masks: Any, shape: tuple[int, ...]) -> Any:
    """The way back, to all of equal largest ones."""
    out = np.empty(shape, np.float32)
    for k, mask in enumerate(masks):
        np.multiply(d, mask, out=out[:, :, k // 2 :: 2, k % 2 :: 2])
    return out


def cnn(x: Any, y: Any) -> Callable[[], object]:
    """A step of 8@3x3 - ReLU - pool - 16@3x3 - ReLU - pool - linear 10 on 28 x 28 images, with SGD."""
    batch = len(x)
    rng = np.random.default_rng(1)
    shapes = [(8, 1, 3, 3), (8,), (16, 8, 3, 3), (16,), (10, 784), (10,)]
    parameters = [rng.uniform(-0.1, 0.1, shape).astype(np.float32) for shape in shapes]
    k1, c1, k2, c2, w, b = parameters
    rows = np.arange(batch)

    def layer(x: Any, k: Any, c: Any) -> Any:
        cols = _unfolded(x)
        h = k.reshape(len(k), -1) @ cols
        h += c[:, None]
        np.maximum(h, 0, out=h)
        h = h.reshape(len(x), len(k), *x.shape[2:])
        return (cols, h, *_pooled(h))

    def layer_back(d: Any, cols: Any, h: Any, masks: Any, k: Any) -> Any:
        d = _unpooled(d, masks, h.shape)
        d *= h > 0
        d = d.reshape(len(d), len(k), -1)
        return d, np.matmul(d, cols.transpose(0, 2, 1)).sum(0).reshape(k.shape), d.sum((0, 2))

    def step() -> object:
        cols1, h1, p1, masks1 = layer(x, k1, c1)
        cols2, h2, p2, masks2 = layer(p1, k2, c2)
        flat = p2.reshape(batch, -1)
        p = flat @ w.T
        p += b
        loss = _cross_entropy(p, rows, y)
        gw, gb = p.T @ flat, p.sum(0)
        d, gk2, gc2 = layer_back((p @ w).reshape(p2.shape), cols2, h2, masks2, k2)
        d = _folded(np.matmul(k2.reshape(len(k2), -1).T, d), p1.shape)
        _, gk1, gc1 = layer_back(d, cols1, h1, masks1, k1)
        for parameter, g in zip(parameters, (gk1, gc1, gk2, gc2, gw, gb), strict=True):
            g *= np.float32(RATE)
            parameter -= g
        return loss

    return step
