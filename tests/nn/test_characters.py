"""Character models on the text of `pydoc_data.topics`: float32 and amp learn, in half the failure is located."""

from __future__ import annotations

from math import log
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pytest

import halfsim as hs

nn = hs.nn
TEXT = "".join(topics[name] for name in sorted(topics))[:100_000]
VOCABULARY = sorted(set(TEXT))
CODES = np.array([VOCABULARY.index(character) for character in TEXT])
LENGTH, BATCH = 20, 16
UNIFORM = log(len(VOCABULARY))
_SHARES = np.bincount(CODES) / len(CODES)
FREQUENCIES = -float(_SHARES @ np.log(_SHARES))  # the loss of knowing how frequent characters are, and no context


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(VOCABULARY), 24)
        self.lstm = nn.LSTM(24, 48, batch_first=True)
        self.head = nn.Linear(48, len(VOCABULARY))

    def forward(self, codes: np.ndarray) -> hs.Tensor:
        return self.head(self.lstm(self.embedding(codes))[0])


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(VOCABULARY), 32)
        self.position = nn.Embedding(LENGTH, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, nn.LayerNorm(32))
        self.head = nn.Linear(32, len(VOCABULARY))
        self.mask = np.triu(np.ones((LENGTH, LENGTH), np.bool_), 1)

    def forward(self, codes: np.ndarray) -> hs.Tensor:
        x = self.embedding(codes) + self.position(np.arange(codes.shape[1]))
        return self.head(self.encoder(x, mask=self.mask))


def train(kind: Any, rule: str, weights: str, steps: int, eps: float = 1e-8) -> list[float]:
    """The losses of a run with Adam, and a GradScaler under amp."""
    hs.manual_seed(0)
    rng = np.random.default_rng(0)
    model = kind().to(weights)
    optimizer = hs.optim.Adam(model.parameters(), lr=1e-2, eps=eps)
    scaler = hs.amp.GradScaler(enabled=rule == "amp")
    losses = []
    for _ in range(steps):
        rows = rng.integers(0, len(CODES) - LENGTH - 1, BATCH)[:, None] + np.arange(LENGTH + 1)
        codes = CODES[rows]
        optimizer.zero_grad()
        with hs.precision(rule):
            logits = model(codes[:, :-1]).reshape(BATCH * LENGTH, len(VOCABULARY))
            loss = nn.cross_entropy(logits, codes[:, 1:].reshape(-1))
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("rule", ["fp32", "amp"])
@pytest.mark.parametrize("kind", [Recurrent, Transformer])
def test_it_learns(kind: Any, rule: str) -> None:
    losses = train(kind, rule, "fp32", 80)
    assert losses[0] == pytest.approx(UNIFORM, rel=0.15)
    assert np.mean(losses[-20:]) < min(0.62 * UNIFORM, FREQUENCIES)


@pytest.mark.parametrize("kind", [Recurrent, Transformer])
def test_in_half_the_failure_is_located(kind: Any) -> None:
    """Adam's eps 1e-8 is zero in half, so weights whose gradients vanish are divided by zero in the first step."""
    with hs.trace() as trace:
        losses = train(kind, "fp16", "fp16", 3)
    assert np.isfinite(losses[0])
    assert np.isnan(losses[1:]).all()
    event = trace.first()
    assert event is not None
    assert (event.step, event.phase, event.op, event.tensor) == (1, "optimizer", "Adam", "eps")
    assert str(event.event.lost) == "eps = 1e-08 is zero in float16 (smallest subnormal 5.96e-08)"
    for klass in ("overflow", "NaN"):
        found = trace.first(klass)
        assert found is not None
        assert (found.step, found.phase, found.op) == (1, "optimizer", "addcdiv")


@pytest.mark.parametrize("kind", [Recurrent, Transformer])
def test_with_an_eps_that_half_holds_it_starts_to_learn(kind: Any) -> None:
    """So it was eps."""
    losses = train(kind, "fp16", "fp16", 40, eps=1e-4)
    assert np.mean(losses[-5:]) < 0.85 * UNIFORM
