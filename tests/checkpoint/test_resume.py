"""A run that is interrupted at any step and resumed in fresh objects gives the same bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import halfsim as hs
from halfsim import checkpoint
from tests.checkpoint.test_tree import exactly

STEPS, BATCH = 6, 16

# The scaler skips the first steps, after which a schedule warns, as PyTorch's does.
pytestmark = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning")


class Run:
    """Training on the digits with everything that has a state."""

    def __init__(self, seed: int, fmt: str, optimizer: Callable[[Any], Any]) -> None:
        hs.manual_seed(seed)
        layers = hs.nn.Linear(64, 8), hs.nn.BatchNorm1d(8), hs.nn.ReLU(), hs.nn.Dropout(0.25), hs.nn.Linear(8, 10)
        self.model = hs.nn.Sequential(*layers).to(fmt)
        self.optimizer = optimizer(self.model.parameters())
        # It overflows at first, grows, and overflows again.
        self.scaler = hs.amp.GradScaler(init_scale=2.0**18, growth_interval=2, enabled=fmt == "fp32")
        self.scheduler = hs.optim.lr_scheduler.OneCycleLR(self.optimizer, max_lr=0.05, total_steps=STEPS)
        self.ema = hs.optim.EMA(self.model, decay=0.75)
        self.parts = self.model, self.optimizer, self.scaler, self.scheduler, self.ema
        self.losses: list[float] = []

    def step(self, number: int) -> None:
        x, y = hs.data.digits()[:2]
        batch = slice(number * BATCH, (number + 1) * BATCH)
        self.optimizer.zero_grad()
        loss = hs.nn.cross_entropy(self.model(hs.tensor(x[batch])), y[batch])
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.scheduler.step()
        self.ema.update()
        self.losses.append(loss.item())

    def bits(self) -> Any:
        return [exactly(part.state_dict()) for part in self.parts] + [exactly(self.losses)]


RUNS = {
    "SGD, amp": ("amp", "fp32", lambda p: hs.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True)),
    "Adam, amp": ("amp", "fp32", lambda p: hs.optim.Adam(p, lr=0.01, amsgrad=True)),
    "Adam, stochastic": (
        "storage=fp16, rounding=stochastic(seed=4)",
        "fp16",
        lambda p: hs.optim.Adam(p, lr=0.01, eps=1e-4, rounding="stochastic"),
    ),
    "SGD, master": ("pure_fp16", "fp16", lambda p: hs.optim.SGD(p, lr=0.1, momentum=0.9, master_weights=True)),
    "RMSprop, Kahan": ("bf16", "bf16", lambda p: hs.optim.RMSprop(p, lr=0.01, centered=True, momentum=0.5, kahan=True)),
}


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("name", RUNS)
def test_resumed_at_every_step(tmp_path: Path, name: str, suffix: str) -> None:
    if suffix == ".safetensors":
        pytest.importorskip("safetensors", reason="the extra safetensors is not installed")
    spec, fmt, optimizer = RUNS[name]

    def path(step: int) -> Path:
        return tmp_path / f"{step}{suffix}"

    whole = Run(0, fmt, optimizer)
    with hs.precision(spec):
        for step in range(STEPS):
            checkpoint.save(path(step), *whole.parts, step=step, extra=whole.losses)
            whole.step(step)
    for start in range(STEPS):
        resumed = Run(100 + start, fmt, optimizer)
        with hs.precision(spec):
            found = checkpoint.load(path(start), *resumed.parts)
            resumed.losses = found.extra
            for step in range(found.step or 0, STEPS):
                resumed.step(step)
        assert resumed.bits() == whole.bits(), f"resumed at step {start}"
    assert len(set(whole.losses)) == STEPS


def test_without_its_parts_a_resumed_run_goes_elsewhere(tmp_path: Path) -> None:
    """What the test above would see if a part were not restored."""
    spec, fmt, optimizer = RUNS["SGD, amp"]
    whole = Run(0, fmt, optimizer)
    with hs.precision(spec):
        for step in range(STEPS):
            if step == 2:
                checkpoint.save(tmp_path / "x.npz", *whole.parts, extra=whole.losses)
            whole.step(step)
        for missing in range(-1, 5):
            resumed = Run(1, fmt, optimizer)
            parts = [part if i != missing else None for i, part in enumerate(resumed.parts)]
            resumed.losses = checkpoint.load(tmp_path / "x.npz", *parts, random=missing != -1).extra
            for step in range(2, STEPS):
                resumed.step(step)
            assert resumed.bits() != whole.bits(), missing
