"""Elementary functions, and what one operation costs on few numbers."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

import halfsim as hs
from benchmarks.harness import Make, Table, Work, peer
from benchmarks.rounding import HALVES, NORMAL, SIZE, does

NAMES = ("exp", "tanh", "sigmoid", "silu", "gelu")


def _op(name: str) -> Make:
    def make() -> Work:
        x, function = hs.tensor(HALVES), getattr(hs.ops, name)

        def work() -> object:
            with hs.precision("fp16"), hs.no_grad():
                return function(x)

        return work

    return make


def _torch(name: str) -> Make:
    def make() -> Work:
        torch = peer("torch")
        x = torch.from_numpy(HALVES)
        function = getattr(torch, name, None) or getattr(torch.nn.functional, name)
        return lambda: function(x)

    return make


def _functions() -> dict[str, Make]:
    rows: dict[str, Make] = {"elementary.exp of float32": does(lambda: hs.elementary.exp(NORMAL))}
    rows["elementary.tanh, toward_zero"] = does(lambda: hs.elementary.tanh(NORMAL, rounding="toward_zero"))
    for name in NAMES:
        rows[f"ops.{name} of halves"] = _op(name)
        rows[f"torch {name} of halves"] = _torch(name)
    for function in (np.exp, np.tanh):
        rows[f"NumPy {function.__name__} of halves"] = does(lambda function=function: function(HALVES))  # type: ignore[misc]
        rows[f"NumPy {function.__name__} of float32"] = does(lambda function=function: function(NORMAL))  # type: ignore[misc]
    return rows


def _sum(size: int, scope: Any, **options: Any) -> Make:
    """A hundred additions of ``size`` halves under one trace, if any."""

    def make() -> Work:
        a, b = (hs.tensor(HALVES[i : i + size]) for i in (0, size))

        def work() -> None:
            with hs.precision("fp16"), scope(**options):
                for _ in range(100):
                    a + b

        return work

    return make


def _numpy_sum(size: int) -> Work:
    a, b = HALVES[:size], HALVES[size : 2 * size]

    def work() -> None:
        for _ in range(100):
            a + b

    return work


def _torch_sum(size: int) -> Work:
    torch = peer("torch")
    a, b = (torch.from_numpy(HALVES[i : i + size].copy()) for i in (0, size))

    def work() -> None:
        for _ in range(100):
            a + b

    return work


def _small(size: int) -> Table:
    return Table(f"a + b of {size} halves", "us", 1e4, {
        "halfsim": _sum(size, contextlib.nullcontext),
        "halfsim, traced": _sum(size, hs.trace),
        "halfsim, traced with a reference": _sum(size, hs.trace, reference="fp64"),
        "NumPy float16": lambda: _numpy_sum(size),
        "torch float16": lambda: _torch_sum(size),
    })  # fmt: skip


TABLES = [Table("1,000,000 values of functions", "ns", 1e9 / SIZE, _functions()), _small(4), _small(64)]
