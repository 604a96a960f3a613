"""Speed and memory of a small convolutional network's training step, against the same step written in NumPy.

    python benchmarks/cnn.py [--json PATH]

8@3x3 - ReLU - pool - 16@3x3 - ReLU - pool - linear 10 on 28 x 28 images, padding 1, batch 64, SGD. One process, one
thread, medians of runs taken in turns; PyTorch is timed beside us where it is installed.
"""

from __future__ import annotations

from harness import Row, Work, medians, parser, show, torch, write  # first: it sets the number of threads  # isort: skip

import gc
import itertools
import tracemalloc
from typing import Any

import numpy as np
from steps import training_step

import halfsim as hs

try:
    import torch
except ImportError:
    torch = None

BATCH, SIDE, CLASSES, RATE = 64, 28, 10, 0.01
CHANNELS = (1, 8, 16)
FEATURES = CHANNELS[2] * (SIDE // 4) ** 2


def _weights() -> list[Any]:
    rng = np.random.default_rng(1)
    shapes = [(8, 1, 3, 3), (8,), (16, 8, 3, 3), (16,), (CLASSES, FEATURES), (CLASSES,)]
    return [rng.uniform(-0.1, 0.1, shape).astype(np.float32) for shape in shapes]


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


def by_hand(x: Any, y: Any) -> Work:
    """The step in plain NumPy float32, as one would write it for speed."""
    k1, c1, k2, c2, w, b = parameters = _weights()
    rows = np.arange(BATCH)

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
        flat = p2.reshape(BATCH, -1)
        p = flat @ w.T
        p += b
        p -= p.max(1, keepdims=True)
        np.exp(p, out=p)
        p /= p.sum(1, keepdims=True)
        loss = -np.log(p[rows, y]).mean()
        p[rows, y] -= 1
        p /= BATCH
        gw, gb = p.T @ flat, p.sum(0)
        d, gk2, gc2 = layer_back((p @ w).reshape(p2.shape), cols2, h2, masks2, k2)
        d = _folded(np.matmul(k2.reshape(len(k2), -1).T, d), p1.shape)
        _, gk1, gc1 = layer_back(d, cols1, h1, masks1, k1)
        for parameter, g in zip(parameters, (gk1, gc1, gk2, gc2, gw, gb), strict=True):
            g *= np.float32(RATE)
            parameter -= g
        return loss

    return step


def _network(nn: Any) -> Any:
    class Flat(nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x.reshape((BATCH, FEATURES))

    parts = []
    for a, b in itertools.pairwise(CHANNELS):
        parts += [nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*parts, Flat(), nn.Linear(FEATURES, CLASSES))


def ours(x: Any, y: Any, rule: str, weights: str, traced: bool = False) -> Work:
    """The step on the simulated unit."""
    model = _network(hs.nn)
    model.load_state_dict(dict(zip(model.state_dict(), _weights(), strict=True)))
    model.to(weights)
    return training_step(model, x, y, rule, RATE, weights=weights, traced=traced)


def pytorch(x: Any, y: Any, half: bool) -> Work:
    """The step in PyTorch on the CPU."""
    dtype = torch.float16 if half else torch.float32
    model = _network(torch.nn).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    inputs, labels = torch.tensor(x).to(dtype), torch.tensor(y)

    def step() -> object:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def memory(x: Any, y: Any) -> list[Row]:
    """The peak of a step, in MB and as a multiple of the live float32 activations: images and all layers' results."""
    model = _network(hs.nn)
    activations = 0
    with hs.no_grad():
        h = hs.tensor(x)
        activations += h.array.nbytes
        for part in model.children():
            h = part(h)
            activations += h.array.nbytes * (type(part).__name__ != "Flat")  # a view
    rows: list[Row] = []
    works = {"NumPy float32 by hand": by_hand(x, y)}
    works |= {
        f"halfsim {rule}": ours(x, y, rule, w) for rule, w in (("fp32", "fp32"), ("fp16", "fp16"), ("amp", "fp32"))
    }
    for name, work in works.items():
        work()
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        work()
        peak = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
        rows.append({"group": "peak memory of a step", "name": name, "mb": peak / 1e6, "ratio": peak / activations})
    rows.insert(
        0, {"group": "peak memory of a step", "name": "live activations", "mb": activations / 1e6, "ratio": 1.0}
    )
    return rows


def training(x: Any, y: Any, repeats: int = 41) -> list[Row]:
    """ms per training step."""
    works = {"NumPy float32 by hand": by_hand(x, y)}
    for rule, weights in (("fp32", "fp32"), ("fp16", "fp16"), ("amp", "fp32")):
        works[f"halfsim {rule}"] = ours(x, y, rule, weights)
    works["halfsim fp16, traced"] = ours(x, y, "fp16", "fp16", traced=True)
    if torch is not None:
        works["PyTorch CPU float32"] = pytorch(x, y, half=False)
        works["PyTorch CPU float16"] = pytorch(x, y, half=True)
    measured = medians(works, repeats)
    base = measured["NumPy float32 by hand"]
    group = f"training step, CNN 8-16-{CLASSES} on {SIDE}x{SIDE}, batch {BATCH}, SGD"
    return [{"group": group, "name": name, "ms": 1e3 * s, "ratio": base / s} for name, s in measured.items()]


def main() -> None:
    options = parser(__doc__)
    arguments = options.parse_args()
    rng = np.random.default_rng(0)
    x, y = rng.random((BATCH, 1, SIDE, SIDE), dtype=np.float32), rng.integers(0, CLASSES, BATCH)
    rows = training(x, y) + memory(x, y)
    lines = [("work", "what", "cost", "ratio")]
    for row in rows:
        cost = f"{row['ms']:.2f} ms" if "ms" in row else f"{row['mb']:.2f} MB"
        lines.append((row["group"], row["name"], cost, f"{row['ratio']:.2f}"))
    show(lines)
    print("ratio: of a time, times the first's speed; of memory, multiple of the live float32 activations")
    write(arguments.json, rows)


if __name__ == "__main__":
    main()
