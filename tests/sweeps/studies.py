"""Functions that studies of these tests run, and the disturbed ones' grid of 200 rows."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from typing import Any

import numpy as np

import halfsim as hs

GRID = {"format": ["fp16", "bf16", "fp8_e4m3", "fp32"], "scale": [1e-3, 1.0, 300.0, 1e5, 1e39]}
SEEDS = 10


def study(format: str, scale: float, seed: int) -> dict[str, Any]:
    """Sums in a format: numbers, infinities, NaN, random numbers of NumPy and halfsim, and an error."""
    if format == "fp8_e4m3" and scale == 300.0:
        raise ValueError(f"no {format} at {scale}")
    x = hs.tensor(np.random.default_rng(seed).normal(size=16) * scale, format)
    total = float(x.sum().numpy())
    spread = total - total if scale == 1e39 else abs(total)
    drawn = [float(np.random.random()), float(hs.ops.rand((1,)).numpy()[0])]
    return {"sum": total, "spread": spread, "first": x.numpy()[:2], "drawn": drawn, "zero": -0.0}


def slowly(format: str, scale: float, seed: int) -> dict[str, Any]:
    """The same in some milliseconds more."""
    end = time.perf_counter() + 0.004
    while time.perf_counter() < end:
        pass
    return study(format, scale, seed)


def hangs(scale: float, seed: int) -> float:
    while scale == 2.0 and seed == 1:
        pass
    return scale


def marks(path: str, seed: int) -> None:
    """Says in a file which process it runs in, and hangs."""
    with open(f"{path}.new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(f"{path}.new", path)
    while True:
        pass


def waits(scale: float, seed: int) -> float:
    """Is late, and comes back."""
    if scale == 2.0 and seed == 1:
        time.sleep(2.5)
    return scale


HOLD = threading.Event()


def holds(scale: float, seed: int) -> float:
    """Hangs until the test lets it go."""
    if scale == 2.0:
        HOLD.wait(60)
    return scale


def python(seed: int) -> float:
    """A random number of Python's own generator, which other threads of a process share."""
    return random.random()


def ends(how: str, seed: int) -> int:
    """Ends its process, in one of several ways."""
    if how == "exit" and seed == 1:
        os._exit(3)
    if how == "killed" and seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "sys.exit" and seed == 1:
        raise SystemExit(4)
    return seed


def gives(what: str, seed: int) -> Any:
    """Results of every kind, plain or not."""
    many = list(range(3))
    many.append(many)  # type: ignore[arg-type]
    return {
        "half": np.float16(0.1), "array": np.arange(3, dtype=np.float32) / 3, "tensor": hs.tensor([0.1], "fp16"),
        "nan": float("nan"), "inf": -np.inf, "zero": -0.0, "least": 5e-324, "text": "nan", "big": 2**80, "none": None,
        "tuple": (1, (2.5, True)), "complex": {"a": [1j]}, "object": object(), "key": {1: 2}, "loop": many,
        "long": np.zeros(20_000), "surrogate": "\ud800", "wide": np.longdouble(1), "reserved": {"$float": "nan"},
        "integer": 10**400, "set": {1},
    }[what]  # fmt: skip


def threads(seed: int) -> str:
    return os.environ.get("OMP_NUM_THREADS", "")


def quick(i: int, seed: int) -> int:
    return i + seed


def crashes_once(path: str, seed: int) -> int:
    """Ends its process the first time."""
    if seed == 3 and not os.path.exists(path):
        with open(path, "w"):
            pass
        os._exit(1)
    return seed
