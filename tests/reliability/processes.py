"""Saves that are killed, runs that go on, memory over hours, and the same bits under other libraries."""

from __future__ import annotations

import gc
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

import halfsim as hs
from tests.reliability import files

ROOT = Path(__file__).parents[2]


def killed(folder: Path, times: int, seed: int = 0) -> Counter[str]:
    """A process that trains and saves in a loop, killed by SIGKILL after a random while; what its file then is."""
    draw, path, found, objects = random.Random(seed), folder / "run.npz", Counter[str](), files.run()
    files.step(*objects)
    _save(path, objects, 0)
    for _ in range(times):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            _saves(path, objects, writing)
        os.close(writing)
        told = os.read(reading, 8)
        time.sleep(draw.uniform(0.0, 0.1))
        os.kill(child, signal.SIGKILL)
        while more := os.read(reading, 1 << 16):
            told = (told + more)[-8:]
        os.close(reading)
        os.waitpid(child, 0)
        found[_whole(path, int.from_bytes(told[-8:], "little"))] += 1
    return found


def _save(path: Path, objects: tuple[Any, ...], n: int) -> None:
    weights = [float(x) for x in objects[0].weight.numpy().flat]
    hs.checkpoint.save(path, *objects, step=n, extra={"weights": weights})


def _saves(path: Path, objects: tuple[Any, ...], told: int) -> NoReturn:
    """Train and save for ever, and say in 8 bytes after each save which it was."""
    first = hs.checkpoint.load(path).step or 0
    for n in itertools.count(first + 1):
        files.step(*objects)
        _save(path, objects, n)
        os.write(told, n.to_bytes(8, "little"))
    os._exit(0)


def _whole(path: Path, told: int) -> str:
    """What a file is after a kill, of whose saves ``told`` was the last that came back."""
    if not path.exists():
        return "no file yet" if not told else "lost"
    try:
        saved = hs.checkpoint.load(path)
    except ValueError as error:
        return f"damaged: {error}"[:100]
    weights = [float(x) for x in saved.state["model"]["weight"].numpy().flat]
    return "whole" if weights == saved.extra["weights"] and (saved.step or 0) >= told else "older than the last save"


def environment(**more: str) -> dict[str, str]:
    """The environment of a child: this tree, one thread unless said otherwise."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def resumed(folder: Path) -> Counter[str]:
    """Runs saved after each of their steps and gone on with from there: whether the end is the same, bit for bit."""
    found: Counter[str] = Counter()
    for name, make in optimizers().items():
        for rule in ("fp32", "amp", "storage=fp16, compute=fp16, rounding=stochastic(seed=3)"):
            for at in range(1, 4):
                found["the same bits" if _resumed(folder / "run.npz", make, rule, at) else f"{name} {rule}"] += 1
    return found


def optimizers() -> dict[str, object]:
    optim = hs.optim
    return {
        "SGD": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
        "Adam": lambda p: optim.Adam(p, lr=0.1),
        "AdamW, master weights": lambda p: optim.AdamW(p, lr=0.1, master_weights=True),
        "Adam, Kahan": lambda p: optim.Adam(p, lr=0.1, kahan=True),
        "SGD, stochastic": lambda p: optim.SGD(p, lr=0.1, rounding=hs.Stochastic(5)),
        "RMSprop": lambda p: optim.RMSprop(p, lr=0.1),
        "Adagrad": lambda p: optim.Adagrad(p, lr=0.1),
    }


def _resumed(path: Path, make: object, rule: str, at: int) -> bool:
    def begun() -> tuple[object, ...]:
        hs.manual_seed(1)
        model = hs.nn.Sequential(hs.nn.Linear(3, 4), hs.nn.Dropout(0.5), hs.nn.Linear(4, 1))
        optimizer = make(model.parameters())  # type: ignore[operator]
        return model, optimizer, hs.amp.GradScaler(init_scale=8.0), hs.optim.lr_scheduler.StepLR(optimizer, 2)

    def went(objects: tuple[object, ...], first: int) -> None:
        model, optimizer, scaler, schedule = objects
        for i in range(first, 5):
            optimizer.zero_grad()  # type: ignore[attr-defined]
            x = hs.tensor(np.arange(6.0).reshape(2, 3) / (i + 1))
            scaler.scale(model(x).sum()).backward()  # type: ignore[attr-defined, operator]
            scaler.step(optimizer)  # type: ignore[attr-defined]
            scaler.update()  # type: ignore[attr-defined]
            schedule.step()  # type: ignore[attr-defined]
            if i + 1 == at:
                hs.checkpoint.save(path, *objects, step=i + 1)

    whole, again = begun(), begun()
    hs.manual_seed(2)
    with hs.precision(rule):
        went(whole, 0)
    with hs.precision(rule):
        hs.checkpoint.load(path, *again)
        went(again, at)
    return files.state_of(whole) == files.state_of(again)


def soaked(seconds: float) -> list[tuple[int, float]]:
    """Training steps, traced, with checkpoints, for so many seconds: pairs of steps done and memory in MiB."""
    model = hs.nn.Sequential(hs.nn.Linear(16, 32), hs.nn.ReLU(), hs.nn.LayerNorm(32), hs.nn.Linear(32, 4))
    optimizer, scaler = hs.optim.AdamW(model.parameters(), lr=1e-3), hs.amp.GradScaler()
    x, y = hs.tensor(np.random.default_rng(0).normal(size=(8, 16))), np.arange(8) % 4
    loss = hs.nn.CrossEntropyLoss()
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"soak-{os.getpid()}.npz"
    seen, steps, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end or len(seen) < 3:
        with hs.precision("amp"), hs.trace("fp64" if len(seen) % 2 else None) as t:
            for _ in range(20):
                optimizer.zero_grad()
                scaler.scale(loss(model(x), y)).backward()
                scaler.step(optimizer)
                scaler.update()
                steps += 1
            t.verdict()
            str(t.report())
        hs.checkpoint.save(path, model, optimizer, scaler)
        hs.checkpoint.load(path, model, optimizer, scaler)
        scaler.history.clear()  # a record a step, which is what it is for
        gc.collect()
        seen.append((steps, memory()))
    path.unlink()
    return seen


def memory() -> float:
    """The memory of this process that is resident, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def fingerprint() -> str:
    """A digest of many results: roundings, sums, products, a training run, under precisions without ``blas``."""
    import hashlib

    draw, digest = np.random.default_rng(np.random.PCG64(7)), hashlib.sha256()
    x = draw.integers(-(2**30), 2**30, (64, 96)).astype(np.float64) / 2.0**27
    for fmt in ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float32"):
        for mode in ("nearest_even", "upward", "to_odd", hs.Stochastic(1)):
            digest.update(hs.encode(x, fmt, mode).tobytes())
        for name in ("exp", "log", "tanh", "erf", "rsqrt"):
            if hs.formats.as_format(fmt).bits <= 16 if hasattr(hs, "formats") else fmt in ("float16", "bfloat16"):
                digest.update(np.nan_to_num(getattr(hs.elementary, name)(x, fmt), nan=7.0).tobytes())
    for rule in RULES:
        with hs.precision(rule), hs.reproducible():
            a, b = hs.tensor(x), hs.tensor(x.T)
            for y in (a @ b, a.sum(1), a.softmax(-1), hs.ops.layer_norm(a, (96,)), a.cumsum(0), hs.ops.gelu(a)):
                digest.update(y.numpy().tobytes())
            digest.update(files.state_of(_trained()).encode())
    for name in ("V100", "A100", "H100", "MI300X"):
        digest.update(hs.hardware.device(name).matmul(x, x.T, inputs="fp16").tobytes())
    return digest.hexdigest()


RULES = (
    "fp32", "fp16", "bf16", "amp", "pure_fp16", "storage=fp16, compute=fp16, accumulate=fp16:pairwise",
    "storage=bf16, compute=fp32, accumulate=fp32:blocked(16)", "storage=fp16, compute=fp32, accumulate=exact",
    "storage=fp16, compute=fp16, accumulate=fp16:kahan, rounding=stochastic(seed=2)",
)  # fmt: skip


def _trained() -> tuple[object, ...]:
    with hs.precision("fp32"):
        objects = files.run()
    for _ in range(5):
        files.step(*objects)
    return objects


def fingerprint_in(python: str = sys.executable, **settings: str) -> str:
    """The digest that another process finds, with another NumPy or other settings; or why it finds none."""
    code = "from tests.reliability.processes import fingerprint; print(fingerprint())"
    command, env = [python, "-c", code], environment(**settings)
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    last = (ended.stdout or ended.stderr).strip().splitlines()
    return last[-1] if last else f"ended with {ended.returncode}"
