"""One row of the matrix's sweep: a problem, a remedy, a seed."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from halfsim.gallery.matrix.cures import CURES, NONE
from halfsim.gallery.matrix.problems import PROBLEMS
from halfsim.gallery.matrix.training import Training
from halfsim.sweeps.code import digest


def run(problem: str, remedy: str, steps: int | None, seed: int) -> dict[str, float]:
    """What is measured of the run: ``value`` and the test ``accuracy``; nothing where it is the run without a remedy.

    ``steps`` is how many it takes, None as many as the problem's row says.
    """
    row = PROBLEMS[problem]
    setup = row.setup if remedy == NONE else CURES[remedy].setup(row)
    if setup == row.setup and remedy != NONE:
        return {}
    if steps is not None:
        setup = replace(setup, steps=steps)
    with tempfile.TemporaryDirectory() as folder:
        training = Training(setup, seed, Path(folder))
        return {"value": row.measure(training), "accuracy": training.accuracy()}


def version() -> str:
    """Of the files beside this one on which results depend."""
    parts = ("setup", "networks", "training", "measures", "problems", "cures")
    return digest(b"".join(Path(__file__).with_name(f"{part}.py").read_bytes() for part in parts))[:16]
