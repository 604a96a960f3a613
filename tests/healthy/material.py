"""What healthy runs are made of: data as people have it, in float64, and a loop that trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import halfsim as hs
from tests.healthy.registry import Array, Use

SENTENCE = "the quick brown fox jumps over the lazy dog while rounding errors grow slowly "
Made = Callable[[Any], hs.optim.Optimizer]


def normal(seed: int, *shape: int) -> Array:
    """Standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape)


def softmax(x: Array) -> Array:
    """Softmax over the last axis, shifted by the largest."""
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def images(size: int = 24) -> tuple[Array, Array]:
    """Digits, (size, 1, 8, 8), standardised as a loader does, and their classes."""
    split = hs.data.digits()
    everything = split.x_train.astype(np.float64)
    x = (everything - everything.mean()) / everything.std()
    return x[:size].reshape(size, 1, 8, 8), split.y_train[:size]


def pixels(size: int = 8) -> Array:
    """Digits as a camera gives them, whole numbers from 0 to 255, (size, 1, 8, 8)."""
    return np.floor(hs.data.digits().x_train[:size].reshape(size, 1, 8, 8) * 255.0)


def text(rows: int = 4, length: int = 16) -> tuple[Array, Array]:
    """Characters of a sentence as numbers below 27, (rows, length), and the one that follows each."""
    letters = sorted(set(SENTENCE))
    codes = np.array([letters.index(c) for c in SENTENCE * 4])
    places = np.arange(rows)[:, None] * 7 + np.arange(length)
    return codes[places], codes[places + 1]


def sound(samples: int = 256) -> Array:
    """Three tones as a 16-bit file holds them, between -1 and 1."""
    time = np.arange(samples) / 8000
    tones = 0.5 * np.sin(2 * np.pi * 440 * time) + 0.25 * np.sin(2 * np.pi * 1000 * time + 1)
    return np.rint(32767 * (tones + 0.1 * np.cos(2 * np.pi * 150 * time))) / 32768


def sgd(p: Any) -> hs.optim.Optimizer:
    return hs.optim.SGD(p, lr=0.05, momentum=0.9)


def adam(p: Any) -> hs.optim.Optimizer:
    return hs.optim.Adam(p, lr=1e-3)


def adamw(p: Any) -> hs.optim.Optimizer:
    return hs.optim.AdamW(p, lr=1e-3)


def master(p: Any) -> hs.optim.Optimizer:
    return hs.optim.AdamW(p, lr=1e-3, master_weights=True)


def train(use: Use, model: Any, loss: Callable[[], hs.Tensor], make: Made, steps: int = 6) -> dict[str, Array]:
    """The losses of ``steps`` steps that are taken, and how the weights have moved.

    A loss scale is due where gradients are half and the update is done in float32; float64 does without harm with it.
    """
    optimizer, before, losses = make(model.parameters()), weights(model), []
    scaler = hs.amp.GradScaler(enabled=use.rule == "amp" or (use.rule in ("fp16", "fp64") and optimizer.master_weights))
    for _ in range(steps + 24):
        optimizer.zero_grad()
        value = loss()
        scaler.scale(value).backward()
        scaler.step(optimizer)
        scaler.update()
        if not (scaler.history and scaler.history[-1].found_inf):
            losses.append(value.item())
        if len(losses) == steps:
            return {"losses": np.array(losses), "moved": weights(model, optimizer) - before}
    raise AssertionError("the loss scale did not settle")


def weights(model: Any, optimizer: hs.optim.Optimizer | None = None) -> Array:
    """All parameters, one after another, with what ``optimizer`` keeps of them beyond their format."""
    return np.concatenate(
        [_kept(p, {} if optimizer is None else optimizer.state.get(p, {})) for p in model.parameters()]
    )


def _kept(p: hs.Tensor, state: Mapping[str, Any]) -> Array:
    x, rest = state.get("master", p), state.get("compensation")
    kept = np.ravel(x.detach().numpy()).astype(np.float64)
    return kept if rest is None else kept + np.ravel(rest.numpy())
