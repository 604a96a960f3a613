"""The matrix of remedies, recorded, and docs/remedies.md with docs/remedies.zh-CN.md printed from the record.

python -m tests.gallery.remedies            print the English page
python -m tests.gallery.remedies --write    write both pages from the record
python -m tests.gallery.remedies --measure  run the whole matrix (minutes; goes on where it stopped), record it, write
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import halfsim as hs
from halfsim.gallery.matrix.result import Cell, Remedies
from halfsim.gallery.matrix.verdict import HARMS, HELPS
from tests.gallery.why import plain
from tests.hardware.page import table

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"en": DOCS / "remedies.md", "zh": DOCS / "remedies.zh-CN.md"}
RECORD = Path(__file__).with_name("remedies.json")
SEEDS = 5

HEADS = {
    "en": "`halfsim remedies` measures all of it ({seconds:.0f} s on two processors, on {date}) and shows it as a "
    "table, with `--html` as a heat map; `--problem updates --remedy smaller-lr` a part of it; `--seeds` "
    "says how many runs, `--executor local:2` on how many processors; `--json` gives the facts, `--lang zh` Chinese. "
    "Runs are kept in `remedies.jsonl`, and the same "
    "command goes on from there. In Python it is `hs.gallery.remedies()`, whose result has `.table()`, "
    '`.cell(problem, remedy)`, `.summary()`, `.to_html(path)` and `.translated("zh")`; `hs.plot.remedies(found)` '
    "draws it. This page is printed by `python -m tests.gallery.remedies --write` from the last run. "
    "[中文](remedies.zh-CN.md)",
    "zh": "`halfsim remedies --lang zh` 测量全部内容（{date}，两个处理器 {seconds:.0f} 秒）并给出表格，"
    "加 `--html` 得到热图；`--problem updates --remedy smaller-lr` 只测一部分；另有 `--seeds`、`--json` 和 "
    "`--executor local:2`。各次运行保存在 `remedies.jsonl` 中，同样的命令会从那里继续。在 Python 中是 "
    "`hs.gallery.remedies()`，结果有 `.table()`、`.cell(problem, remedy)`、`.summary()`、`.to_html(path)` 和 "
    '`.translated("en")`；`hs.plot.remedies(found)` 画成图。本页由 `python -m tests.gallery.remedies --write` '
    "按最近一次的运行打印。[English](remedies.md)",
}
MARKS = {HELPS: "\u2713", HARMS: "\u2717"}


def record() -> dict[str, Any]:
    return json.loads(RECORD.read_text(encoding="utf-8"))


def recorded(lang: str = "en") -> Remedies:
    """What the record has, as if it had just been measured."""
    values = {(p, r): [tuple(run) for run in runs] for p, row in record()["runs"].items() for r, runs in row.items()}
    return Remedies(values, lang)


def _marked(cell: Cell, mark: str) -> str:
    return f"{MARKS.get(cell.verdict, '')} {mark}".strip()


def page(lang: str) -> str:
    """The page in a language, as Markdown."""
    found, facts = recorded(lang), record()
    words = found._words
    head, *rows = found.matrix()
    parts = [f"# {found.title}", plain(words["intro"]), HEADS[lang].format(**facts), words["rules"]]
    marked = [[name, *(_marked(found.cell(p, r), mark) for p, mark in zip(found.problems, marks, strict=True))]
              for r, (name, *marks) in zip(found.remedies, rows, strict=True)]  # fmt: skip
    signs = ", ".join(f"{sign} {words[verdict]}" for verdict, sign in MARKS.items())
    parts += [table(head, marked), plain(f"{signs}. {words['marks']}")]
    parts.append(found.summary().split("\n\n")[0].replace("\n", " "))
    parts.append(f"## {words['claims']}")
    judged = found.judged()
    parts.append(words["judged"].format(claims=len(judged), right=sum(c.verdict == HELPS for _, c in judged)))
    for claim, cell in judged:
        kind = words["holds" if cell.verdict == HELPS else "fails"]
        parts.append(f"**{plain(claim)}** *{kind}*\n\n{plain(cell.why)}")
    for problem in found.problems:
        parts += [f"## {found._named('problems', problem)}", plain(found.about(problem))]
        cells = [found.cell(problem, remedy) for remedy in found.remedies]
        lines = [[*map(plain, found._line(cell)[1:3]), plain(cell.why)] for cell in cells]
        parts.append(table([*words["head"][1:3], words["why"]], lines))
    return "\n\n".join(parts) + "\n"


def measure() -> None:
    """Run everything, and write the record."""
    out = Path(tempfile.gettempdir()) / "halfsim-remedies.jsonl"
    start = time.perf_counter()
    found = hs.gallery.remedies(seeds=SEEDS, executor=f"local:{min(2, os.cpu_count() or 1)}", out=out)
    runs: dict[str, dict[str, Any]] = {}
    for (problem, remedy), values in found.values.items():
        runs.setdefault(problem, {})[remedy] = values
    facts = {"date": time.strftime("%Y-%m-%d"), "seconds": time.perf_counter() - start, "runs": runs}
    text = json.dumps(facts, indent=1)
    RECORD.write_text(_joined(text) + "\n", encoding="utf-8")


def _joined(text: str) -> str:
    """JSON with each run on one line."""
    return re.sub(r"\[\s+(\d+),\s+([-\d.e]+),\s+([-\d.e]+)\s+\]", r"[\1, \2, \3]", text)


if __name__ == "__main__":
    if "--measure" in sys.argv:
        measure()
    for lang, path in PAGES.items():
        if {"--write", "--measure"} & {*sys.argv}:
            path.write_text(page(lang), encoding="utf-8")
    if not {"--write", "--measure"} & {*sys.argv}:
        print(page("en"))
