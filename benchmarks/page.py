"""docs/benchmarks.md, and the speed figures of other pages, from the recorded JSON."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

from benchmarks.harness import Record
from benchmarks.targets import TARGETS
from halfsim.text import columns

ROOT = Path(__file__).parents[1]
RECORDED = Path(__file__).parent / "recorded"
PAGE = "docs/benchmarks.md"
_WORDS = {
    "rounding": "Rounding and codes", "blocks": "Block formats", "functions": "Functions and single operations",
    "products": "Products and sums", "steps": "Training steps", "tracing": "Tracing", "memory": "Memory",
    "programs": "Whole programs",
}  # fmt: skip
PARTS = tuple(_WORDS)


def recorded(part: str) -> Record | None:
    """What the last run of a part wrote."""
    path = RECORDED / f"{part}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def lines(table: Record) -> list[tuple[str, str, str, str]]:
    """A table as it is printed, its head first."""
    found = [(table["title"], table["unit"], "median, upper quartile", "x times ours")]
    for row in table["rows"]:
        if "note" in row:
            found.append((row["name"], row["note"], "", ""))
        else:
            spread = f"{_short(row['median'])}, {_short(row['high'])}"
            found.append((row["name"], _short(row["low"]), spread, _short(row["ratio"])))
    return found


def shown(table: Record) -> str:
    """A table for a terminal."""
    return columns(lines(table), left=1)


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _markdown(table: Record) -> str:
    head, *rest = lines(table)
    rows = [f"| {head[0]} | {head[1]} | {head[2]} | {head[3]} |", "| --- | ---: | ---: | ---: |"]
    return "\n".join([*rows, *(f"| {' | '.join(line)} |" for line in rest)])


def _facts(records: dict[str, Record]) -> str:
    """What the parts were measured on, each set of facts once."""
    found: dict[str, list[str]] = {}
    for part, record in records.items():
        f = record["facts"]
        peers = ", ".join(f"{name} {version}" for name, version in f["peers"].items())
        turns = "; a quick run of three turns" if record["quick"] else ""
        text = f"{f['processor']}; Python {f['python']}, NumPy {f['numpy']} ({f['blas']}), {peers}; {f['date']}{turns}"
        found.setdefault(text, []).append(part)
    if len(found) == 1:
        return f"Measured on {next(iter(found))}."
    return "\n".join(f"- {', '.join(parts)}: {text}" for text, parts in found.items())


def _targets(tables: dict[str, Record]) -> str:
    rows = ["| aim | at most | measured |", "| --- | ---: | ---: |"]
    for target in TARGETS:
        value = target.measured(tables)
        text = "not measured" if value is None else _short(value)
        rows.append(f"| {target.words} | {_short(target.limit)} | {_marked(text, value, target.limit)} |")
    return "\n".join(rows)


def _missed(tables: dict[str, Record]) -> str:
    """What stands in the way of each aim that is missed; those of one reason together."""
    why: dict[str, list[str]] = {}
    for target in TARGETS:
        value = target.measured(tables)
        if value is None or value <= target.limit or not target.why:
            continue
        least = target.measured(tables, target.floor) if target.floor else None
        words = target.words + ("" if least is None else f" (products and roundings alone: {_short(least)})")
        why.setdefault(target.why, []).append(words)
    return "\n".join(f"- **{'; '.join(words)}.** {reason}" for reason, words in why.items())


def _marked(text: str, value: float | None, limit: float) -> str:
    return text if value is None or value <= limit else f"**{text}**"


_HEAD = """# Speed

One command measures everything, writes what it found to `benchmarks/recorded/` part by part, and makes this page of it:

```sh
pip install -e '.[peers]'
python -m benchmarks --write
```

`--only rounding steps` measures parts of it, `--quick` takes three turns, `--resume` goes on after a run that was
broken off.

Times are those of the processor in one thread, which leave out what other processes take, though not what they evict
from its caches. The works of a table run in turns, so that a drift of the machine meets all alike; the number is the
lower quartile, the median and the upper quartile stand beside it. The last column says how many times ours, the table's
first row, each row takes: 0.5 is twice as fast as ours, 2 half as fast. A peer that is not installed, or crashes, says
so.
"""

_NOTES = """## Notes

NumPy's cast slows down many times on subnormal results; ours does not. PyTorch's conversion uses the processor's own
instruction (F16C), which NumPy does not offer: it is the limit, not a peer with other formats or flags. Where a
processor computes in halves itself (AVX512FP16), so do NumPy's functions and PyTorch's steps in float16. Elementary
functions inside operations are correctly rounded; those of NumPy and PyTorch are not. gfloat and pychop take the data
in slices, in which they are fastest. mmasim computes one tile at a time: its time is that of all tiles of the product.
"""


def page(records: dict[str, Record]) -> str:
    """The page that the records print."""
    tables = _tables(records)
    parts = [_HEAD, _facts(records), ""]
    parts += ["## What is aimed at, and what came of it", "", "Bold is above the aim.", "", _targets(tables), ""]
    parts += ["### What is missed, and why", "", _missed(tables), ""]
    for part, record in records.items():
        parts += [f"## {_WORDS[part]}", ""]
        for table in record["tables"]:
            parts += [_markdown(table), ""]
    return "\n".join([*parts, _NOTES])


def _tables(records: dict[str, Record]) -> dict[str, Record]:
    return {table["title"]: table for record in records.values() for table in record["tables"]}


def _low(tables: dict[str, Record], title: str, name: str) -> float:
    found = [row for row in tables.get(title, {}).get("rows", []) if row["name"] == name and "low" in row]
    return float(found[0]["low"]) if found else math.nan


_MODES, _OTHERS = "1,000,000 float32 to halves, every mode", "1,000,000 float32 to other formats"
_PEERS = {  # the figures of docs/peers.md: a table, and its row
    "ours": (_MODES, "round_to nearest_even"),
    "ours to odd": (_MODES, "round_to to_odd"),
    "ours stochastic": (_MODES, "round_to stochastic"),
    "gfloat": (_MODES, "gfloat, nearest"),
    "apytypes": (_MODES, "apytypes, nearest"),
    "apytypes to odd": (_MODES, "apytypes, to odd"),
    "pychop": (_MODES, "pychop, nearest, 10,000 at a time"),
    "our bfloat16": (_OTHERS, "round_to bfloat16"),
    "ml_dtypes bfloat16": (_OTHERS, "ml_dtypes bfloat16"),
    "our float8_e4m3fn": (_OTHERS, "round_to float8_e4m3fn"),
    "ml_dtypes float8_e4m3fn": (_OTHERS, "ml_dtypes float8_e4m3fn"),
    "torch": ("1,000,000 float32 to halves, normal", "torch .half().float()"),
    "import halfsim": ("import, in a process of its own", "import halfsim"),
    "import gfloat": ("import, in a process of its own", "import gfloat"),
    "import apytypes": ("import, in a process of its own", "import apytypes"),
    "our MLP step": ("step, MLP 784-256-10, batch 128", "halfsim fp16"),
    "torch MLP step": ("step, MLP 784-256-10, batch 128", "torch float16"),
}


def sentences(records: dict[str, Record]) -> dict[str, str]:
    """What other pages say of speed, by the word of their marker ``<!-- speed: word -->``."""
    tables = _tables(records)
    unit = "256x256 product on a matrix unit"
    a100, v100, their_a100, their_v100 = (
        _low(tables, unit, name)
        for name in ("A100, fp16 into fp32", "V100, fp16 into fp32", "mmasim, A100", "mmasim, V100")
    )
    mlp = "step, MLP 784-256-10, batch 128"
    rounding = _low(tables, "1,000,000 float32 to halves, normal", "round_to")
    step = _low(tables, mlp, "halfsim fp16") / _low(tables, mlp, "NumPy float32 by hand")
    found = {
        "mmasim": f"At 256³ mmasim, a tile at a time, takes {_short(their_a100 / 1e3)} s for Ampere and "
        f"{_short(their_v100 / 1e3)} s for Volta; this package {_short(a100)} and {_short(v100)} ms.",
        "rounding": f"{_short(rounding)} ns",
        "step": f"{_short(step)} times",
        "factor": _short(step),
        **{word: _short(_low(tables, *row)) for word, row in _PEERS.items()},
    }
    return {word: text for word, text in found.items() if "nan" not in text}


def filled(text: str, found: dict[str, str]) -> str:
    """A page with its marked sentences made anew."""
    for word, sentence in found.items():
        begin, end = f"<!-- speed: {word} -->", "<!-- /speed -->"
        text = re.sub(f"(?s){begin}.*?{end}", f"{begin}{sentence}{end}", text)
    return text


def pages(records: dict[str, Record]) -> dict[Path, str]:
    """Every page that tells of speed, as it should be."""
    found = {ROOT / PAGE: page(records)}
    told = sentences(records)
    for path in sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("README*.md")]):
        if path != ROOT / PAGE and "<!-- speed: " in (text := path.read_text(encoding="utf-8")):
            found[path] = filled(text, told)
    return found
