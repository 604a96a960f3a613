"""docs/pytorch_suites.md, of the records and the table of deviations; it needs no PyTorch."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from halfsim.names import LEFT_OUT
from tests.torch_suites import modules, ops, optimizers, record
from tests.torch_suites.cuda_steps import EXCUSES
from tests.torch_suites.deviations import DEVIATIONS, Deviation
from tests.torch_suites.judging import OUTCOMES
from tests.torch_suites.names import INTERNAL

PAGE = Path(__file__).parents[2] / "docs" / "pytorch_suites.md"
COLUMNS = ("right", "excused", "refused", *reversed(OUTCOMES[:6]), "skipped")
SUITES = {
    "float64": "values, and gradients of one fixed cotangent, to 1e-9",
    "int64": "values and dtypes of integers",
    "bool": "values and dtypes of booleans",
    "float16": "elementwise operations: values and gradients, bit for bit",
    "bfloat16": "the same in bfloat16",
    "error": "what PyTorch refuses: refused in one line",
    "method": "the first sample through the tensor's method",
    "train": "layers: results, buffers, gradients of inputs and parameters, to 1e-9",
    "eval": "the same after `eval()`",
}


def write() -> None:
    PAGE.write_text(text(), encoding="utf-8")


def text() -> str:
    """The page."""
    found, layers = record.read(record.OPS), record.read(record.MODULES)
    return (
        "\n\n".join(
            (
                _head(found),
                _covered(found["names"], layers["names"]),
                _samples(found["names"], layers["names"]),
                _kernels(),
                _differing("What differs", [row for row in DEVIATIONS if row.kind != "refused"]),
                _differing("What is refused", [row for row in DEVIATIONS if row.kind == "refused"]),
                _left_out(found["names"], layers["names"]),
                _foot(found),
            )
        )
        + "\n"
    )


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    lines = [[*head]]
    lines += [["---"] * len(lines[0]), *([*map(str, row)] for row in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def paragraph(words: str) -> str:
    return "\n".join(textwrap.wrap(" ".join(words.split()), 120, break_long_words=False, break_on_hyphens=False))


def code(names: Iterable[str]) -> str:
    return " ".join(f"`{name}`" for name in names)


def _head(found: dict[str, Any]) -> str:
    return "# PyTorch's own tests\n\n" + paragraph(
        f"""PyTorch ships in its wheel the samples that its own tests are made of: OpInfo for operations, ModuleInfo
        for layers, OptimizerInfo for optimizers. Each is run here by PyTorch {found["torch"]} on the CPU and by
        halfsim, and results, dtypes and gradients are compared. The tables below are printed by a command; the tests
        in `tests/torch_suites/` hold every name to them."""
    )


def _covered(found: dict[str, Any], layers: dict[str, Any]) -> str:
    here = [line for line in found.values() if line["place"]]
    asked = [name for name in found if name not in INTERNAL]
    rows = [
        ("names of operations", len(asked), len(here), sum(map(_faultless, here))),
        ("layers", len(layers), sum(bool(x["place"]) for x in layers.values()), sum(map(_faultless, layers.values()))),
    ]
    tallies = optimizers.counts().values()
    runs = {outcome: sum(tally[outcome] for tally in tallies) for outcome in optimizers.OUTCOMES}
    steps = [("optimizers", len(tallies), sum(runs.values()), *runs.values())]
    note = paragraph(
        f"""{len(found) - len(asked)} names that are ATen's own, or a backend's, are not counted. A name is without
        difference if all its samples in all suites are right. A run of an optimizer is five steps by one set of options
        in float64, float16 or bfloat16, or a set of options that PyTorch refuses."""
    )
    first = table(("", "in PyTorch", "here", "without difference"), rows)
    second = table(("", "all here", "runs", *optimizers.OUTCOMES), steps)
    return f"## What is covered\n\n{first}\n\n{second}\n\n{note}"


def _faultless(line: dict[str, Any]) -> bool:
    counts: Counter[str] = sum((Counter(suite) for suite in line["suites"].values()), Counter())
    return bool(counts["right"]) and not line["excused"] and not counts.keys() - {"right", "skipped"}


def _samples(found: dict[str, Any], layers: dict[str, Any]) -> str:
    lines = [*found.values(), *layers.values()]
    met = {"excused", *(kind for line in lines for counts in line["suites"].values() for kind in counts)}
    kinds = [kind for kind in COLUMNS if kind in met]
    rows = [_row(found, suite, suite, SUITES[suite], kinds) for suite in ops.SUITES]
    rows += [_row(layers, suite, suite, SUITES[suite], kinds) for suite in modules.SUITES[:2]]
    rows += [_row(layers, "error", "error (layers)", "what PyTorch's layers refuse", kinds)]
    equal = [
        f"{suite} {sum(x['equal'].get(suite, [0, 0])[0] for x in found.values()):,} of "
        f"{sum(x['equal'].get(suite, [0, 0])[1] for x in found.values()):,}"
        for suite in ("float16", "bfloat16")
    ]
    note = paragraph(
        f"""In float64 all samples of a name run, and up to {ops.REFERENCES} of its reference inputs; of integers up to
        {ops.INTEGERS} samples, in half up to {ops.HALVES}. Elements of results and gradients in half
        that are the same bits: {"; ".join(equal)}. Excused is what the next table
        names. Skipped is what PyTorch itself refuses on this machine, or has no
        counterpart in NumPy. What is drawn, dropout too, is
        drawn from one seed on both sides, and compared in full."""
    )
    return f"## Samples\n\n{table(('suite', 'what is compared', *kinds), rows)}\n\n{note}"


def _row(found: dict[str, Any], suite: str, title: str, what: str, kinds: list[str]) -> Iterator[Any]:
    counts: Counter[str] = sum((Counter(line["suites"].get(suite, {})) for line in found.values()), Counter())
    counts["excused"] = sum(line["excused"].get(suite, 0) for line in found.values())
    counts["right"] -= counts["excused"]
    yield from (title, what, *(f"{counts[kind]:,}" for kind in kinds))


def _kernels() -> str:
    by_reason: dict[tuple[str, str], list[str]] = {}
    for row in dict.fromkeys(EXCUSES.values()):
        by_reason.setdefault((" ".join(row.suites), row.why), []).append(row.name)
    lines = [(code(sorted(names)), suites, why) for (suites, why), names in by_reason.items()]
    words = paragraph(
        """Elementwise, PyTorch's CPU kernels take other steps than its CUDA kernels here and there. Each result and
        gradient of these samples is the CPU's, or what the CUDA kernel computes (everything in float32, stored once),
        or few elements are off by no more than `tests/torch_suites/cuda_steps.py` says."""
    )
    return f"## What is excused\n\n{words}\n\n{table(('names', 'suites', 'why'), lines)}"


def _differing(title: str, rows: list[Deviation]) -> str:
    by_reason: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        by_reason.setdefault((row.kind, row.suites, row.reason), []).extend(row.names.split())
    lines = [(code(sorted(names)), suites, kind, why) for (kind, suites, why), names in by_reason.items()]
    head = ("names", "suites", "what", "why")
    return f"## {title}\n\n{table(head, lines) if lines else 'Nothing.'}"


def _left_out(found: dict[str, Any], layers: dict[str, Any]) -> str:
    groups: dict[tuple[str, str], list[str]] = {}
    for name, line in {**found, **layers}.items():
        if not line["place"]:
            groups.setdefault((*reason(name),), []).append(name)
    lines = [(code(sorted(names)), why) for (_, why), names in sorted(groups.items(), key=lambda pair: pair[0][::-1])]
    return f"## Names left out\n\n{table(('names', 'why'), lines) if lines else 'None.'}"


def reason(name: str) -> tuple[str, str]:
    """The group of a name that is left out, and why it is."""
    if name in INTERNAL:
        return "", "ATen's own, or a backend's"
    first, *_, last = name.split(".") * 2
    for part in (name, last, first):
        if part in LEFT_OUT:
            return "", LEFT_OUT[part]
    return (first if "." in name else ""), "not yet here"


def _foot(found: dict[str, Any]) -> str:
    commands = (
        "pip install 'halfsim[torch]'",
        "python -m tests.torch_suites --write",
        "python -m pytest -m torch_suites tests/torch_suites",
    )
    shown = "\n".join(commands)
    words = paragraph(
        f"""Printed on {found["date"]} by the second line, with PyTorch {found["torch"]} on a CPU with
        {found["cpu"]}; the third holds every name to the tables above (with `-k '[softmax]'` one of them), and
        `python -m tests.torch_suites --only softmax` says all that is known of a name. Where there is no PyTorch, the
        tests run recorded samples."""
    )
    return f"## Run it\n\n```sh\n{shown}\n```\n\n{words}"
