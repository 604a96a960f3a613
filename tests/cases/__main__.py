"""The table of truth: ``python -m tests.cases`` prints it, ``--write`` puts it into docs/verdicts.md.

Names of cases print what is said of these alone: ``python -m tests.cases B36 N10``. The table is a study of
`halfsim.sweep`: ``--executor local:4`` judges on four processes, and with ``--out PATH`` a later run goes on where one
stopped.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from halfsim.gallery.case import Case
from tests.cases.catalogue import EXCEPTIONS, cases, judged
from tests.cases.verdicts import COLUMNS, verdicts
from tests.gallery.bugs import notes, parted
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
This page is printed by `python -m tests.cases --write`; a case is one
small file in `halfsim/gallery/cases/`.
"""


def cell(right: bool, words: str) -> str:
    """What the tool says, in bold where it is not what a good answer says."""
    return words if right else f"**{words}**"


def row(case: Case, told: dict[str, Any]) -> str:
    """One line of the table."""
    name, right, said = f"[{case.id}]({case.link}) {case.name}, {case.year}", told["right"], told["said"]
    if said is None or not case.klass:
        return f"| {name} | {case.title} | {'yes' if right['value'] else '**no**'} | - | - | - | - |"
    fix = told["how"] or "none needed"
    if told["error"] is not None and told["how"]:
        fix += f", {told['error']:.1g} left"
    return "| " + " | ".join(
        (
            name, case.title, "yes" if right["value"] else "**no**",
            *(cell(right[what], said[what]) for what in ("class", "operation", "phase")), cell(right["fix"], fix),
        )
    ) + " |"  # fmt: skip


def page(told: dict[str, dict[str, Any]]) -> str:
    """The whole page, of what `verdicts` found."""
    every = [(case, told[name]) for name, case in cases().items()]
    good = [all(one["right"].values()) for _, one in every]
    right = sum(good)
    counts = ", ".join(f"{name} {sum(one['right'][name] for _, one in every)}" for name in COLUMNS[:5])
    wrong = [
        f"- **{case.id} {case.name}**: {EXCEPTIONS.get(case.id, 'not known why')}"
        for (case, _), fine in zip(every, good, strict=True)
        if not fine
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
        *(row(case, one) for case, one in every),
        "\n## What is not right, and why\n",
        *wrong,
        "\n## Beside the catalogue\n",
        "Link, year, class, phase and operation of every report are on record too, written down from a catalogue of "
        "the threads apart from the cases (`tests/gallery/catalogue.toml`), and a test holds the cases to it. The two "
        "part here:\n",
        *(f"- **{number}**: {what}: {because}" for number, what, because in parted()),
        "\nWhat is to be known of some entries of the catalogue:\n",
        *(f"- **{number}**: {note}" for number, note in notes()),
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
    parser.add_argument("--executor", default="local:1", help="who judges, as hs.sweep takes it; default: local:1")
    parser.add_argument("--out", type=Path, help="a results file, from which a later run goes on")
    arguments = parser.parse_args()
    if arguments.names:
        for name in arguments.names:
            j = judged(cases()[name])
            print(f"{name} {j.case.name}: {'right' if j.right else 'not right'}; fix {j.how}, {j.error:.2g} left")
            print(f"  wanted {j.case.klass} {j.case.ops} {j.case.phase}; advice {j.case.advice!r}; columns {j.columns}")
            print("  " + str(j.finding).replace("\n", "\n  "))
        return
    with tempfile.TemporaryDirectory() as folder:
        text = page(verdicts(arguments.out or Path(folder) / "verdicts.jsonl", arguments.executor))
    if arguments.write:
        DOCS.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
