"""Speed against peers: one command, one process, one thread, medians.

    python benchmarks/run.py [--json PATH]

Prints a table and, with --json, writes the same numbers. PyTorch is timed beside us where it is installed; every other
peer is NumPy. Times on a shared machine drift, so each row is also given as a ratio to a peer timed in turns with it.
"""

from __future__ import annotations

from harness import Row, Work, medians, parser, show, torch, write  # first: it sets the number of threads  # isort: skip

from typing import Any

import numpy as np
from steps import training_step

import halfsim as hs
from halfsim.numerics._pack import pack, packing
from halfsim.numerics.accumulate import accumulator, matmul
from halfsim.numerics.quantize import BLOCK, round_


def rounding(size: int) -> list[Row]:
    """ns per element of rounding float32 to binary16, for ordinary data and for data of which half are subnormal."""
    rng = np.random.default_rng(0)
    rows = []
    for label, scale in (("normal", 1.0), ("half subnormal", 2.0**-14)):
        x = rng.standard_normal(size).astype(np.float32) * np.float32(scale)
        y, out = x.copy(), np.empty_like(x)

        def cast(x: Any = x) -> object:
            return x.astype(np.float16).astype(np.float32)

        def in_place(x: Any = x, y: Any = y) -> object:
            np.copyto(y, x)
            return round_(y, hs.float16)

        works: dict[str, Work] = {
            "NumPy astype(float16).astype(float32)": cast,
            "round_to": lambda x=x: hs.round_to(x, "float16"),  # type: ignore[misc]
            "round_to(out=)": lambda x=x, out=out: hs.round_to(x, "float16", out=out),  # type: ignore[misc]
            "copy, then round in place": in_place,
            "round_to(return_flags=True)": lambda x=x: hs.round_to(x, return_flags=True),  # type: ignore[misc]
            "limit: np.copyto": lambda x=x, out=out: np.copyto(out, x),  # type: ignore[misc]
        }
        if torch is not None:
            t = torch.from_numpy(x)
            works["limit: torch .half().float()"] = lambda t=t: t.half().float()  # type: ignore[misc]
        measured = medians(works, 41)
        base = measured["NumPy astype(float16).astype(float32)"]
        rows += [
            {"group": f"{size:,} float32, {label}", "name": name, "ns": 1e9 * s / size, "ratio": base / s}
            for name, s in measured.items()
        ]
    return rows


def modes(size: int) -> list[Row]:
    """ns per element of every rounding mode, of the codec and of elementary functions, float32 to float32."""
    x = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    out, halves = np.empty_like(x), hs.round_to(x, "float16")
    codes = np.empty(size, np.uint16)
    how = packing(hs.float16)
    assert how is not None

    def codes_of_rounded() -> None:
        for i in range(0, size, BLOCK):
            pack(halves[i : i + BLOCK], codes[i : i + BLOCK], how)

    works: dict[str, Work] = {"NumPy astype(float16).astype(float32)": lambda: x.astype(np.float16).astype(np.float32)}
    for mode in hs.Rounding:
        works[f"round_to {mode.value}"] = lambda mode=mode: hs.round_to(x, "float16", mode, out=out)  # type: ignore[misc]
    works["codes of rounded values"] = codes_of_rounded
    works["encode"] = lambda: hs.encode(x)
    works["decode"] = lambda: hs.decode(codes)
    works["elementary.exp"] = lambda: hs.elementary.exp(x)
    works["elementary.tanh, toward_zero"] = lambda: hs.elementary.tanh(x, rounding="toward_zero")
    measured = medians(works, 21)
    base = measured["NumPy astype(float16).astype(float32)"]
    group = f"{size:,} float32, every mode"
    return [{"group": group, "name": n, "ns": 1e9 * s / size, "ratio": base / s} for n, s in measured.items()]


def products(n: int) -> list[Row]:
    """ns per multiply-add of n x n products of halves."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((n, n)).astype(np.float16) for _ in range(2))
    x, y = a.astype(np.float32), b.astype(np.float32)
    measured = medians(
        {
            "NumPy float16 @ float16": lambda: a @ b,
            "accumulate=fp32, stored in float16": lambda: round_(matmul(x, y, accumulator("fp32")), hs.float16),
            "accumulate=fp16:sequential": lambda: matmul(x, y, accumulator("fp16:sequential")),
            "limit: sgemm": lambda: x @ y,
        },
        7,
    )
    base = measured["NumPy float16 @ float16"]
    return [
        {"group": f"{n}x{n} product", "name": name, "ns": 1e9 * s / n**3, "ratio": base / s}
        for name, s in measured.items()
    ]


INPUTS, HIDDEN, CLASSES, BATCH, RATE = 784, 256, 10, 128, 0.01


def by_hand(x: Any, y: Any) -> Work:
    """The step in plain NumPy float32, as one would write it for speed."""
    rng = np.random.default_rng(1)
    w1 = rng.uniform(-1, 1, (HIDDEN, INPUTS)).astype(np.float32) * np.float32(INPUTS**-0.5)
    w2 = rng.uniform(-1, 1, (CLASSES, HIDDEN)).astype(np.float32) * np.float32(HIDDEN**-0.5)
    b1, b2, rows = np.zeros(HIDDEN, np.float32), np.zeros(CLASSES, np.float32), np.arange(BATCH)

    def step() -> object:
        h = x @ w1.T
        h += b1
        np.maximum(h, 0, out=h)
        p = h @ w2.T
        p += b2
        p -= p.max(1, keepdims=True)
        np.exp(p, out=p)
        p /= p.sum(1, keepdims=True)
        loss = -np.log(p[rows, y]).mean()
        p[rows, y] -= 1
        p /= BATCH
        dh = p @ w2
        dh *= h > 0
        for w, g in ((w1, dh.T @ x), (b1, dh.sum(0)), (w2, p.T @ h), (b2, p.sum(0))):
            g *= np.float32(RATE)
            w -= g
        return loss

    return step


def ours(x: Any, y: Any, rule: str, weights: str, traced: bool) -> Work:
    """The step on the simulated unit."""
    model = hs.nn.Sequential(hs.nn.Linear(INPUTS, HIDDEN), hs.nn.ReLU(), hs.nn.Linear(HIDDEN, CLASSES)).to(weights)
    return training_step(model, x, y, rule, RATE, weights=weights, traced=traced)


def pytorch(x: Any, y: Any, half: bool) -> Work:
    """The step in PyTorch on the CPU."""
    dtype = torch.float16 if half else torch.float32
    model = torch.nn.Sequential(torch.nn.Linear(INPUTS, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, CLASSES)).to(
        dtype
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    inputs, labels = torch.tensor(x).to(dtype), torch.tensor(y)

    def step() -> object:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def training() -> list[Row]:
    """ms per training step of the MLP."""
    rng = np.random.default_rng(0)
    x, y = rng.random((BATCH, INPUTS), dtype=np.float32), rng.integers(0, CLASSES, BATCH)
    works: dict[str, Work] = {"NumPy float32 by hand": by_hand(x, y)}
    for rule, weights in (("fp32", "fp32"), ("fp16", "fp16"), ("amp", "fp32")):
        for traced in (False, True):
            works[f"halfsim {rule}{', traced' if traced else ''}"] = ours(x, y, rule, weights, traced)
    if torch is not None:
        works["PyTorch CPU float32"] = pytorch(x, y, half=False)
        works["PyTorch CPU float16"] = pytorch(x, y, half=True)
    measured = medians(works, 61)
    base = measured["NumPy float32 by hand"]
    group = f"training step, {INPUTS}-{HIDDEN}-{CLASSES}, batch {BATCH}, SGD"
    return [{"group": group, "name": name, "ms": 1e3 * s, "ratio": base / s} for name, s in measured.items()]


def main() -> None:
    options = parser(__doc__)
    arguments = options.parse_args()
    rows = rounding(1_000_000) + modes(1_000_000) + products(256) + training()
    lines = [("work", "what", "time", "times the first's speed")]
    for row in rows:
        cost = f"{row['ns']:.3f} ns" if "ns" in row else f"{row['ms']:.2f} ms"
        lines.append((row["group"], row["name"], cost, f"{row['ratio']:.2f}"))
    show(lines)
    write(arguments.json, rows)


if __name__ == "__main__":
    main()
