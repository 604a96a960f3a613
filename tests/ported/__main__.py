"""Record what PyTorch gives: ``python -m tests.ported --write``; without it, the table of docs/porting.md."""

from __future__ import annotations

import json
import sys

from tests.ported.runs import RECORDED, RUNS, Run, first_broken, quietly


def _largest(ours: object, theirs: object) -> float:
    """The largest difference of two results, absolute below 1 and relative above."""
    if isinstance(theirs, float) and isinstance(ours, float):
        return 0.0 if ours == theirs or ours != ours else abs(ours - theirs) / max(1.0, abs(theirs))
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return max((_largest(ours[key], theirs[key]) for key in theirs), default=0.0)
    if isinstance(theirs, list) and isinstance(ours, list):
        return max((_largest(a, b) for a, b in zip(ours, theirs, strict=True)), default=0.0)
    return 0.0


def _row(name: str, run: Run, theirs: dict[str, object]) -> str:
    ours = quietly(run, "halfsim")
    losses, there = ours.get("losses"), theirs.get("losses")
    broken = ["none" if (i := first_broken(x or [])) is None else str(i + 1) for x in (there, losses)]
    some = {key: value[: run.steps] if run.steps and value is losses else value for key, value in ours.items()}
    other = {key: value[: run.steps] if run.steps and value is there else value for key, value in theirs.items()}
    if run.steps:
        some, other = {"losses": some["losses"]}, {"losses": other["losses"]}
    scales = (
        ""
        if not ours.get("scales") or len(set(theirs["scales"])) == 1
        else "yes"
        if ours["scales"] == theirs["scales"]
        else "no"
    )
    return f"| {name} | {run.script}.py | {_largest(some, other):.1e} | {' / '.join(broken)} | {scales} |"


if __name__ == "__main__":
    if "--write" in sys.argv:
        found = {name: quietly(run, "torch") for name, run in RUNS.items()}
        RECORDED.write_text(json.dumps(found, indent=None, separators=(",", ":")) + "\n", encoding="utf-8")
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    print("| run | script | largest difference | first NaN or infinity, PyTorch / halfsim | same scales |")
    print("| --- | --- | --- | --- | --- |")
    for name, run in RUNS.items():
        print(_row(name, run, recorded[name]))
