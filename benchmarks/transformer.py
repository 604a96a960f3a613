"""Speed of a small Transformer encoder, forward and backward: one command, one process, one thread, medians.

    python benchmarks/transformer.py [--json PATH] [--repeats N]

Two layers, d_model 128, four heads, feed-forward 512, sequence 64, batch 16, without dropout. Precisions are timed in
turns, so that a drift of the machine meets all alike, and each is given as a multiple of our own float32.
"""

from __future__ import annotations

from harness import Work, medians, parser, show, torch, write  # first: it sets the number of threads  # isort: skip

from typing import Any

import numpy as np

import halfsim as hs

LAYERS, MODEL, HEADS, FEED, LENGTH, BATCH = 2, 128, 4, 512, 64, 16


def ours(rule: str, weights: str, traced: bool = False) -> Work:
    """Forward and backward on the simulated unit; ``weights`` is the format of the parameters."""
    hs.manual_seed(0)
    layer = hs.nn.TransformerEncoderLayer(MODEL, HEADS, FEED, dropout=0.0, batch_first=True)
    model = hs.nn.TransformerEncoder(layer, LAYERS).to(weights)
    rng = np.random.default_rng(0)
    x = hs.tensor(rng.standard_normal((BATCH, LENGTH, MODEL)), weights)
    g = rng.standard_normal((BATCH, LENGTH, MODEL)).astype(np.float32)

    def step() -> object:
        model.zero_grad()
        with hs.precision(rule):
            model(x).backward(g)
        return model

    def traced_step() -> object:
        with hs.trace():
            return step()

    return traced_step if traced else step


def pytorch(half: bool) -> Work:
    """The same in PyTorch on the CPU."""
    dtype = torch.float16 if half else torch.float32
    layer = torch.nn.TransformerEncoderLayer(MODEL, HEADS, FEED, dropout=0.0, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False).to(dtype)
    x, g = torch.randn(BATCH, LENGTH, MODEL, dtype=dtype), torch.randn(BATCH, LENGTH, MODEL, dtype=dtype)

    def step() -> object:
        model.zero_grad()
        model(x).backward(g)
        return model

    return step


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=15)
    arguments = options.parse_args()
    works: dict[str, Work] = {
        "halfsim fp32": ours("fp32", "fp32"),
        "halfsim fp16": ours("fp16", "fp16"),
        "halfsim amp": ours("amp", "fp32"),
        "halfsim fp16, traced": ours("fp16", "fp16", traced=True),
    }
    if torch is not None:
        works["PyTorch CPU float32"] = pytorch(half=False)
        works["PyTorch CPU float16"] = pytorch(half=True)
    measured = medians(works, arguments.repeats)
    base = measured["halfsim fp32"]
    rows: list[dict[str, Any]] = [{"name": n, "ms": 1e3 * s, "times_fp32": s / base} for n, s in measured.items()]
    print(
        f"Transformer encoder, {LAYERS} layers, d {MODEL}, {HEADS} heads, ff {FEED}, sequence {LENGTH}, batch {BATCH}"
    )
    lines = [("what", "ms", "times our fp32")]
    show(lines + [(r["name"], f"{r['ms']:.1f}", f"{r['times_fp32']:.2f}") for r in rows], left=1)
    write(arguments.json, rows)


if __name__ == "__main__":
    main()
