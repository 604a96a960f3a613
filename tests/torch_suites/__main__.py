"""PyTorch's own test samples through halfsim: the counts, and what is wrong.

PYTHONPATH=$PWD python -m tests.torch_suites                       every suite, the counts
PYTHONPATH=$PWD python -m tests.torch_suites --only softmax,where  all that is known of some names
PYTHONPATH=$PWD python -m tests.torch_suites --report work.txt     the whole work list
PYTHONPATH=$PWD python -m tests.torch_suites --write               every suite; the record and docs/pytorch_suites.md
PYTHONPATH=$PWD python -m tests.torch_suites --page                the page alone, of the record (without PyTorch)
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path

from tests.torch_suites import modules, ops, page, record
from tests.torch_suites.holding import troubles as troubles_of
from tests.torch_suites.judging import OUTCOMES
from tests.torch_suites.report import counts_table, troubles, work_list


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.torch_suites", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="names of PyTorch's lists: softmax,nn.functional.gelu,nn.GRU")
    parser.add_argument("--suites", default="", help=f"of operations, with commas: {','.join(ops.SUITES)}; and modules")
    parser.add_argument("--report", type=Path, help="write the work list there")
    parser.add_argument("--progress", action="store_true")
    parser.add_argument("--write", action="store_true", help="write the record and docs/pytorch_suites.md")
    parser.add_argument("--page", action="store_true", help="write docs/pytorch_suites.md of the record")
    asked = parser.parse_args()
    if asked.page:
        page.write()
        return
    if asked.write and (asked.only or asked.suites):
        parser.error("--write: it takes every name and suite; leave --only and --suites out")
    warnings.simplefilter("ignore")  # PyTorch's, of its own samples
    only = tuple(filter(None, asked.only.split(",")))
    chosen = tuple(filter(None, asked.suites.split(","))) or (*ops.SUITES, "modules")
    started = time.perf_counter()

    def progress(name: str) -> None:
        if asked.progress:
            print(f"{time.perf_counter() - started:7.1f} s  {name}", file=sys.stderr, flush=True)

    found = ops.run(only, tuple(s for s in chosen if s in ops.SUITES), progress)
    layers = modules.run(only, progress) if "modules" in chosen else {}
    if asked.write:
        record.write(found, layers)
        page.write()
        for entry in (*found.values(), *layers.values()):  # what the table of deviations should say, and does not
            print("".join(f"{entry.name}: {line}\n" for line in troubles_of(entry)), end="")
    if only:
        for entry in (*found.values(), *layers.values()):
            print(f"{entry.name}: {entry.place or 'missing'}")
            print("\n".join(troubles(entry, OUTCOMES[:-1])))
    lines = [*counts_table(found), "", *counts_table(layers, modules.SUITES)]
    print("\n".join(lines))
    if asked.report is not None:
        asked.report.write_text(
            "\n".join((*HEAD, *work_list(found), "", "LAYERS", "", *modules.work_list(layers))) + "\n"
        )
    print(f"{time.perf_counter() - started:.0f} s")


HEAD = (
    "What PyTorch's own samples (OpInfo, ModuleInfo) say of this tree.",
    "One name alone: PYTHONPATH=$PWD OMP_NUM_THREADS=1 python -m tests.torch_suites --only softmax",
    "(copy tests/torch_suites/ into another tree to run it there; names as printed here, several with commas)",
    "",
)

if __name__ == "__main__":
    main()
