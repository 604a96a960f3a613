"""Every case judged, as a study of `halfsim.sweep`: a row a case, gone on with where it stopped."""

from __future__ import annotations

import hashlib
from math import isfinite
from pathlib import Path
from typing import Any

import halfsim as hs
from tests.cases.catalogue import cases, judged

COLUMNS = ("value", "class", "operation", "phase", "fix", "same verdict with a reference", "same bits traced")


def judge(case: str, seed: int) -> dict[str, Any]:
    """What is said of a case, and how much of it is right; a case draws its own random numbers."""
    j = judged(cases()[case])
    said = (
        None if j.finding is None else {"class": j.finding.klass, "operation": j.finding.op, "phase": j.finding.phase}
    )
    return {"right": dict(zip(COLUMNS, map(bool, j.columns), strict=True)), "said": said, "how": j.how,
            "error": j.error if isfinite(j.error) else None}  # fmt: skip


def version() -> str:
    """What verdicts depend on: the source of halfsim and the cases."""
    digest = hashlib.sha256()
    for folder in (Path(hs.__file__).parent, Path(__file__).parent):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def verdicts(out: Path, executor: str = "serial") -> dict[str, dict[str, Any]]:
    """What is said of each case by its name, judged where the file does not have it yet; an error where one raises."""
    found = hs.sweep(judge, {"case": list(cases())}, 1, executor, out, version=version())
    for row in found:
        if "error" in row:
            raise RuntimeError(f"{row['config']['case']}: {row['error']['type']}: {row['error']['message']}")
    return {row["config"]["case"]: row["result"] for row in found}
