"""The demo's story as text and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from halfsim.demo.training import MOMENTUM, Run, Settings, trouble
from halfsim.text import columns, filled, size

HEAD = (
    *("recipe", "test acc", "loss", "upd lost", "live lost", "grad flushed", "overflows", "NaN"),
    *("memory", "sec"),
)

NO_TROUBLE = "none: rounding always loses a little; nothing here lost enough to be called trouble"


def reference(runs: Sequence[Run]) -> Run | None:
    """The float32 run among ``runs``."""
    return next((run for run in runs if run.recipe.name == "fp32"), None)


def title(settings: Settings, runs: Sequence[Run]) -> str:
    """What was trained, in one line."""
    optimizer = f"sgd (momentum {MOMENTUM})" if settings.optimizer == "sgd" else "adam"
    shape, (train, test) = runs[0].layers, runs[0].examples
    return (
        f"{'-'.join(map(str, shape))} MLP, {train:,} digits to learn, {test:,} to test; {optimizer}, "
        f"lr {settings.rate:g}, {settings.epochs} epoch{'s' * (settings.epochs > 1)}, seed {settings.seed}"
    )


def cells(run: Run) -> tuple[str, ...]:
    """One line of the table."""
    return (
        run.recipe.name,
        f"{run.test_accuracy:.1%}",
        f"{run.final_loss:.4f}" if math.isfinite(run.final_loss) else str(run.final_loss),
        f"{run.updates_lost:.1%}",
        f"{run.live_updates_lost:.1%}",
        f"{run.gradients_flushed:.2%}",
        f"{run.overflows:,}",
        f"{run.nans:,}",
        size(run.bytes),
        f"{run.seconds:.1f}",
    )


def first_trouble(run: Run) -> str:
    """Where a run first went wrong, in one line."""
    event = run.trace.first_event()
    if event is None:
        return NO_TROUBLE
    facts = trouble(event)
    return f"step {event.step}, {event.phase}, {event.place}: {facts['class']}, {facts['message']}"


def text(runs: Sequence[Run], settings: Settings) -> str:
    """The table, the first trouble of each recipe, and one sentence of advice for each."""
    table = columns([HEAD, *(cells(run) for run in runs)])
    base = reference(runs)
    blocks = [
        filled(title(settings, runs)),
        table,
        "First trouble\n" + _listing([(run, first_trouble(run)) for run in runs]),
        "Advice\n" + _listing([(run, run.advice(base)) for run in runs]),
    ]
    return "\n\n".join(blocks)


def _listing(lines: Sequence[tuple[Run, str]]) -> str:
    return "\n".join(filled(line, f"  {run.recipe.name:<11}") for run, line in lines)


def to_dict(runs: Sequence[Run], settings: Settings) -> dict[str, Any]:
    """The facts of the report as plain data, for JSON."""
    base = reference(runs)
    return {
        "schema": 1,
        "settings": {
            "optimizer": settings.optimizer,
            "lr": settings.rate,
            "epochs": settings.epochs,
            "hidden": settings.hidden,
            "seed": settings.seed,
            "batch": settings.batch,
        },
        "runs": [run.to_dict(base) for run in runs],
    }
