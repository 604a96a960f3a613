"""What a fingerprint costs, for docs/diff.md: ``OMP_NUM_THREADS=1 python -m tests.diagnose.fingerprint.cost``.

Processor time of a training step, lower quartile of 15 rounds in turns.
"""

from __future__ import annotations

import time
from contextlib import nullcontext

import numpy as np

import halfsim as hs


def main() -> None:
    """A row of the table for each width."""
    digits = hs.data.digits()
    for width, steps in ((32, 10), (512, 3)):
        hs.manual_seed(0)
        layers = hs.nn.Linear(64, width), hs.nn.ReLU(), hs.nn.Linear(width, 10)
        model = hs.nn.Sequential(*layers).to("fp16")
        optimizer = hs.optim.Adam(model.parameters(), lr=1e-3, eps=1e-4)
        ways = {"untraced": nullcontext, "traced": hs.trace, "fingerprint": lambda: hs.trace(fingerprint=True)}
        times: dict[str, list[float]] = {way: [] for way in ways}
        size = 0.0
        for _ in range(15):
            for way, context in ways.items():
                began = time.process_time()
                with hs.precision("fp16"), context() as t:
                    for _ in range(steps):
                        loss = hs.nn.cross_entropy(model(hs.tensor(digits.x_train[:256])), digits.y_train[:256])
                        optimizer.zero_grad()
                        loss.backward()
                        optimizer.step()
                times[way].append((time.process_time() - began) / steps)
                size = len(t.text()) / len(t.lines) if way == "fingerprint" else size
        told = " | ".join(f"{np.quantile(found, 0.25) * 1e3:.1f} ms" for found in times.values())
        print(f"| 64-{width}-10 | {told} | {size:.0f} |")


if __name__ == "__main__":
    main()
