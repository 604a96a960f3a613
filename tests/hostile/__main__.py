"""Hostile calls of every public name: how many, and which ended badly.

PYTHONPATH=$PWD python -m tests.hostile                        120,000 calls, the failures by name and kind
PYTHONPATH=$PWD python -m tests.hostile --only 'hs.ops.s*'     of some names (patterns, with commas)
PYTHONPATH=$PWD python -m tests.hostile --each 200 --only hs.encode
PYTHONPATH=$PWD python -m tests.hostile --find                 look for calls that work, which the others are drawn from
PYTHONPATH=$PWD python -m tests.hostile --write                all of it; the record and docs/reliability.md
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
import time
from pathlib import Path

from tests.hostile import page, report, work
from tests.hostile.recipes import recipes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=120_000, help="of all names together")
    parser.add_argument("--each", type=int, help="calls of each name, in place of --calls")
    parser.add_argument("--only", default="*", help="names: 'hs.ops.s*,operator.*'")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--find", action="store_true", help="look for calls that work again, and keep them")
    parser.add_argument("--report", type=Path, help="write all failures there, a line each")
    parser.add_argument("--write", action="store_true", help="write the record and docs/reliability.md")
    parser.add_argument("--list", action="store_true", help="the names alone")
    asked = parser.parse_args()
    known = work.known_calls()
    targets = work.all_targets(known)
    every = [t.name for t in targets]
    patterns = asked.only.split(",")
    names = [n for n in every if any(fnmatch.fnmatchcase(n, pattern) for pattern in patterns)]
    if asked.list:
        print("\n".join(names))
        return
    each = dict.fromkeys(every, asked.each) if asked.each else work.shares(targets, asked.calls)
    if asked.report:
        asked.report.write_text("", "utf-8")
    started = time.perf_counter()
    done = 0

    def told(name: str, results: list[work.Result]) -> None:
        nonlocal done
        done += 1
        if asked.report:
            with asked.report.open("a", encoding="utf-8") as file:
                file.write(report.lines({name: results}))
        bad = sum(r["kind"] in report.FAILURES for r in results)
        if sys.stderr.isatty() or bad or done % 100 == 0:
            print(
                f"{time.perf_counter() - started:6.0f} s  {done}/{len(names)}  {name}: {bad}",
                file=sys.stderr,
                flush=True,
            )

    found = work.run(
        names,
        known,
        asked.seed,
        lambda name: 0 if asked.find else each[name],
        asked.jobs,
        told,
        asked.find,
        recipes(targets),
    )
    if asked.find or asked.write:
        work.save_known(known, every)
    if asked.write:
        if asked.seed:
            page.record_seed(found, asked.calls, asked.seed)
        else:
            page.record_calls(found, known, asked.calls, asked.seed)
        page.write()
    print(report.text(found, known))
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
