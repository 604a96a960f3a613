"""What a simulated step costs beside PyTorch's own: ``python -m tests.pytorch.speed [--write]``.

Processor time of one thread, in turns, of each the lower quartile; ``--write`` puts the table, and what
``python -m tests.pytorch.forecasts`` measures, into docs/pytorch_programs.md.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import halfsim as hs
from halfsim.pytorch import observe, simulate
from tests.pytorch.forecasts import told

DOCS = Path(__file__).parents[2] / "docs" / "pytorch_programs.md"
STORE_LIMIT = 6.0  # times the plain step

Step = Callable[[], Any]


class Words(nn.Module):
    def __init__(self, width: int, layers: int, vocabulary: int) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
            for _ in range(layers)
        )
        self.head = nn.Linear(width, vocabulary)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.table(x)
        for block in self.blocks:
            h = block(h)
        return self.head(h)


def transformer(batch: int, length: int, width: int, layers: int = 2, vocabulary: int = 512) -> Step:
    torch.manual_seed(0)
    model = Words(width, layers, vocabulary)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, eps=1e-4)
    x, y = torch.randint(vocabulary, (2, batch, length))

    def step() -> None:
        loss = nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def cnn(batch: int, size: int) -> Step:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(64, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, y = torch.randn(batch, 3, size, size), torch.randint(10, (batch,))

    def step() -> None:
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


PROGRAMS: dict[str, Callable[[], Step]] = {
    "transformer, 2 layers of 64, 8 x 32 words": lambda: transformer(8, 32, 64),
    "transformer, 2 layers of 128, 16 x 64 words": lambda: transformer(16, 64, 128),
    "CNN, 16 images of 16 x 16": lambda: cnn(16, 16),
    "CNN, 32 images of 32 x 32": lambda: cnn(32, 32),
}
WAYS: dict[str, Callable[[], list[Any]]] = {
    "plain": list,
    "store": lambda: [simulate("fp16")],
    "amp": lambda: [simulate("amp")],
    "traced": lambda: [simulate("fp16"), hs.trace()],
    "forecast": lambda: [observe(), hs.trace(forecast="fp16")],
    "faithful": lambda: [simulate("fp16", depth="faithful")],
}


def measured(make: Callable[[], Step], ways: Any = tuple(WAYS), turns: int = 5) -> dict[str, float]:
    """Seconds of processor time of a step, by way."""
    torch.set_num_threads(1)
    step, times = make(), {way: [] for way in ways}  # type: ignore[var-annotated]
    step()
    for _ in range(turns):
        for way in ways:
            with ExitStack() as stack:
                for context in WAYS[way]():
                    stack.enter_context(context)
                step()
                for _ in range(1 if way in ("traced", "forecast", "faithful") else 3):
                    began = time.process_time()
                    step()
                    times[way].append(time.process_time() - began)
    return {way: float(np.quantile(seconds, 0.25)) for way, seconds in times.items()}


def table() -> str:
    """A row for each program: its own milliseconds, and how many times as long the others take."""
    lines = [f"| program | {' | '.join(WAYS)} |", f"| --- | {' | '.join('---' for _ in WAYS)} |"]
    for name, make in PROGRAMS.items():
        found = measured(make)
        plain = found.pop("plain")
        lines.append(f"| {name} | {1e3 * plain:.1f} ms | {' | '.join(f'{t / plain:.1f}' for t in found.values())} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.pytorch.speed", description="Time simulated steps.")
    parser.add_argument("--write", action="store_true", help="put the numbers into docs/pytorch_programs.md")
    arguments = parser.parse_args()
    parts = {"speed": table(), "forecasts": told() if arguments.write else ""}
    if not arguments.write:
        print(parts["speed"])
        return
    text = DOCS.read_text(encoding="utf-8")
    for name, printed in parts.items():
        text = re.sub(rf"(<!-- {name} -->\n\n).*?(\n\n<!-- end -->)", rf"\g<1>{printed}\2", text, flags=re.S)
    DOCS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
