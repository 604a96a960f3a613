"""Runs that work: the trace raises no alarm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim import nn, ops
from halfsim.diagnose.verdict import certain
from tests.diagnose.bodies import BODIES, batch, train
from tests.healthy.material import adam, adamw, master

Made = Callable[[Any], hs.optim.Optimizer]


def sgd(p: Any) -> hs.optim.Optimizer:
    return hs.optim.SGD(p, lr=0.1, momentum=0.9)


def scaled(model: nn.Module, x: Any, y: Any, make: Made, rule: str, steps: int, **options: Any) -> hs.Trace:
    """Training under a dynamic loss scale that begins too large, so that its first steps are skipped."""
    optimizer, scaler = make(model.parameters()), hs.amp.GradScaler(init_scale=2.0**24)
    with hs.precision(rule), hs.trace(**options) as t:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = nn.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    assert scaler.history[0].found_inf, "the run is to begin with skipped steps"
    assert not scaler.history[-1].found_inf
    return t


def text(length: int = 24, rows: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Characters of a sentence as numbers, and the one that follows each."""
    words = "the quick brown fox jumps over the lazy dog while rounding errors grow slowly " * 8
    codes = np.array([sorted(set(words)).index(c) for c in words])
    starts = np.arange(rows) * 7
    return codes[starts[:, None] + np.arange(length)], codes[starts[:, None] + np.arange(1, length + 1)]


class Language(nn.Module):
    """A small causal transformer on characters; one place in eight is padding."""

    def __init__(self, dropout: float = 0.1, norm_first: bool = False) -> None:
        super().__init__()
        self.embedding, self.positions = nn.Embedding(28, 32), nn.Embedding(64, 32)
        layer = nn.TransformerEncoderLayer(
            32, 4, 64, dropout=dropout, activation="gelu", batch_first=True, norm_first=norm_first
        )
        self.encoder, self.head = nn.TransformerEncoder(layer, 2), nn.Linear(32, 28)

    def forward(self, codes: np.ndarray) -> hs.Tensor:
        n, length = codes.shape
        x = self.embedding(codes) + self.positions(np.arange(length))
        causal = np.where(np.tri(length, dtype=bool), 0.0, -math.inf)
        padding = np.zeros((n, length), bool)
        padding[:, -length // 8 :] = True
        x = self.encoder(x, mask=hs.tensor(causal, x.format), src_key_padding_mask=padding)
        return self.head(x).reshape(-1, 28)


class Characters(nn.Module):
    """An LSTM on characters."""

    def __init__(self, cell: str = "LSTM") -> None:
        super().__init__()
        self.embedding, self.cell = nn.Embedding(28, 16), getattr(nn, cell)(16, 32, 2, batch_first=True)
        self.head = nn.Linear(32, 28)

    def forward(self, codes: np.ndarray) -> hs.Tensor:
        return self.head(self.cell(self.embedding(codes))[0]).reshape(-1, 28)


def language(rule: str, weights: str, make: Made, model: nn.Module | None = None, steps: int = 14) -> hs.Trace:
    x, y = text()
    return scaled((model or Language()).to(weights), x, y.reshape(-1), make, rule, steps)


def digits(rule: str, weights: str, make: Made, body: str, steps: int = 12, **options: Any) -> hs.Trace:
    x, y = batch()
    model = BODIES[body](lambda x: nn.functional.dropout(x, 0.1)).to(weights)
    return scaled(model, hs.tensor(x, weights), y, make, rule, steps, **options)


def inference(body: str, rule: str) -> hs.Trace:
    x, _ = batch(64)
    weights = "fp32" if rule == "amp" else rule
    model = BODIES[body](lambda x: x).to(weights).eval()
    with hs.precision(rule), hs.no_grad(), hs.trace() as t:
        ops.softmax(model(hs.tensor(x, weights)))
    return t


def untouched(body: str, rule: str, make: Made, weights: str = "fp32", **options: Any) -> hs.Trace:
    return train(body, lambda x: x, rule, weights, make, 6, **options)


RUNS: dict[str, Callable[[], hs.Trace]] = {
    **{f"{body}, fp32, adam": lambda body=body: untouched(body, "fp32", adam) for body in BODIES},
    **{f"{body}, fp32, sgd": lambda body=body: untouched(body, "fp32", sgd) for body in BODIES},
    **{f"{body}, tf32, adamw": lambda body=body: untouched(body, "tf32", adamw) for body in BODIES},
    **{f"{body}, amp, adamw": lambda body=body: digits("amp", "fp32", adamw, body) for body in BODIES},
    **{f"{body}, amp, sgd": lambda body=body: digits("amp", "fp32", sgd, body) for body in BODIES},
    **{f"{body}, amp_bf16": lambda body=body: untouched(body, "amp_bf16", adam) for body in BODIES},
    **{f"{body}, bf16, master weights": lambda body=body: untouched(body, "bf16", master, "bf16") for body in BODIES},
    **{f"{body}, fp16, master weights": lambda body=body: digits("fp16", "fp16", master, body, 14) for body in BODIES},
    **{f"{body}, fp16, sgd": lambda body=body: untouched(body, "fp16", sgd, "fp16") for body in ("mlp", "cnn", "lstm")},
    **{f"{body}, inference in {r}": lambda body=body, r=r: inference(body, r)
       for body in BODIES for r in ("fp16", "bf16", "amp")},
    "text, transformer, amp": lambda: language("amp", "fp32", adamw),
    "text, transformer, amp, norm first": lambda: language("amp", "fp32", adam, Language(0.0, True)),
    "text, transformer, fp16, master weights": lambda: language("fp16", "fp16", master),
    "text, LSTM, amp": lambda: language("amp", "fp32", adamw, Characters()),
    "text, GRU, amp": lambda: language("amp", "fp32", sgd, Characters("GRU")),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_works_raises_no_alarm(name: str) -> None:
    found = RUNS[name]().verdict()
    assert found is None or found.klass == "benign rounding", f"{found}"


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("rule", ["fp32", "amp", "bf16", "fp16"])
def test_with_a_reference_the_rounding_is_called_benign_and_its_size_stated(body: str, rule: str) -> None:
    t = digits("amp", "fp32", adamw, body, reference="fp64") if rule == "amp" else untouched(
        body, rule, master, "fp32" if rule == "fp32" else rule, reference="fp64")  # fmt: skip
    found = t.verdict()
    assert found is not None
    assert found.klass == "benign rounding", f"{found}"
    assert 0 < found.values["local"] < found.values["bound"]
    assert "within" in found.message
    assert f"{found.values['local']:.2g}" in found.message


def test_bounds_are_those_of_the_literature() -> None:
    assert certain(1000, hs.float16) == 1000 * 2**-11
