"""The table of truth: ``python -m tests.cases`` prints it, ``--write`` puts it into docs/verdicts.md.

Names of cases print what is said of these alone: ``python -m tests.cases B36 N10``.
"""

from __future__ import annotations

import argparse
from math import isfinite
from pathlib import Path

from tests.cases.catalogue import EXCEPTIONS, Judged, cases, judged
from tests.healthy.catalogue import RUNS
from tests.healthy.check import alarms

DOCS = Path(__file__).parents[2] / "docs" / "verdicts.md"

INTRODUCTION = """# What the answers are worth

Half-precision bugs from public issue threads, each rebuilt as its reporter would write it and run under a trace. What a
good answer names was written down by people who knew the thread, before the tool was asked. Five things are judged:

- **value**: the reported symptom shows, with the thread's number where it gives one;
- **class**, **operation**, **phase**: the verdict names them rightly;
- **fix**: the recommended fix, applied, brings the result within tolerance of the right one (1e-2 of its norm, where
  the case does not ask for more). "policy" and "option" were applied by the machine as printed, "by hand" was typed
  in as the fix says.

For every case the verdict is also the same with and without a float64 reference, and traced bits equal untraced bits.
This page is printed by `python -m tests.cases --write`; a case is one small file in `tests/cases/`.
"""


def cell(right: bool, words: str) -> str:
    """What the tool says, in bold where it is not what a good answer says."""
    return words if right else f"**{words}**"


def row(j: Judged) -> str:
    """One line of the table."""
    case, found = j.case, j.finding
    name = f"[{case.id}]({case.link}) {case.name}, {case.year}"
    if found is None or not case.klass:
        return f"| {name} | {case.title} | {'yes' if j.value else '**no**'} | - | - | - | - |"
    fix = j.how or "none needed"
    if isfinite(j.error) and j.how:
        fix += f", {j.error:.1g} left"
    return "| " + " | ".join(
        (
            name, case.title, "yes" if j.value else "**no**", cell(j.klass, found.klass), cell(j.op, found.op),
            cell(j.phase, found.phase), cell(j.fixed, fix),
        )
    ) + " |"  # fmt: skip


def page() -> str:
    """The whole page."""
    every = [judged(case) for case in cases().values()]
    right = sum(j.right for j in every)
    columns = {"value": "value", "class": "klass", "operation": "op", "phase": "phase", "fix": "fixed"}
    counts = ", ".join(f"{name} {sum(getattr(j, attribute) for j in every)}" for name, attribute in columns.items())
    wrong = [
        f"- **{j.case.id} {j.case.name}**: {EXCEPTIONS.get(j.case.id, 'not known why')}" for j in every if not j.right
    ]
    alarmed = alarms()
    precisions = ", ".join(
        f"{rule} {sum(run.precision == rule for run in RUNS.values())}"
        for rule in dict.fromkeys(run.precision for run in RUNS.values())
    )
    parts = [
        INTRODUCTION,
        f"Right in all five columns: **{right} of {len(every)}** ({counts}). Bold is what is not.\n",
        "| case | what happens | value | class | operation | phase | fix |\n"
        "| --- | --- | --- | --- | --- | --- | --- |",
        *map(row, every),
        "\n## What is not right, and why\n",
        *wrong,
        "\n## Healthy runs\n",
        f"{len(RUNS)} runs of networks, losses, loops and formulas whose results are as right as their format allows, "
        f"each proven so by its own check ({precisions}). `python -m tests.healthy` lists them. With and without a "
        f"reference, {len(RUNS) - len(alarmed)} raise no alarm"
        + ("." if not alarmed else f"; these do:\n\n{_listed(alarmed)}"),
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def _listed(alarmed: dict[str, str]) -> str:
    return "\n".join(f"- {name}: {told}" for name, told in alarmed.items())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.cases", description="Judge the rebuilt cases.")
    parser.add_argument("names", nargs="*", help="cases to tell of, as B36")
    parser.add_argument("--write", action="store_true", help="put the table into docs/verdicts.md")
    arguments = parser.parse_args()
    if arguments.names:
        for name in arguments.names:
            j = judged(cases()[name])
            print(f"{name} {j.case.name}: {'right' if j.right else 'not right'}; fix {j.how}, {j.error:.2g} left")
            print(f"  wanted {j.case.klass} {j.case.ops} {j.case.phase}; advice {j.case.advice!r}; columns {j.columns}")
            print("  " + str(j.finding).replace("\n", "\n  "))
        return
    text = page()
    if arguments.write:
        DOCS.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
