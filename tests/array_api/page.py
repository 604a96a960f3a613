"""The page on the array API, from the tables of what is there."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.array_api.judging import DIFFERENT, NAMES, SKIPPED
from tests.array_api.standard import FUNCTIONS, LINALG
from tests.array_api.suite import COUNTS

SHOWN = ("commit", "date", "examples", "passed", "skipped")

PAGE = """# The array API

`x.__array_namespace__()` of a tensor is `halfsim.array_api`, the functions of the Python
[array API standard](https://data-apis.org/array-api/2024.12/) 2024.12 on tensors. A library that takes its functions
from the arrays it is given runs on the simulated unit unchanged, in the precision in force:

```python
def softmax(x):  # of a library that knows nothing of halfsim
    xp = x.__array_namespace__()
    e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


with hs.precision("pure_fp16"):
    softmax(hs.tensor([1.0, 2.0, 3.0]))
```

Names, signatures and promotion are the standard's, also where PyTorch's of that name are others: `xp.max` and `xp.sort`
give values alone, `xp.std` divides by n. `hs.*` keep PyTorch's. Results are on the tape.

All {main} functions of the standard are there, and {there} of the {extension} of its extension `linalg`, with its
signatures. {drawn} of them are compared with NumPy, whose main namespace follows the standard: values, shapes and
dtypes of drawn calls, all real dtypes, NaN, infinities and broadcasting included; {right} agree.
`python -m tests.array_api --write` runs the calls and writes this page.

The consortium's own suite, [array-api-tests](https://github.com/data-apis/array-api-tests) at {commit}, passed
{passed} tests on {date} ({examples} examples each, {skipped} skipped by itself); {failed} failed, each for one of these
reasons.
`python -m tests.array_api.suite CHECKOUT` runs it; `tests/array_api/skips.txt` has every name.

| tests | why they fail |
| --- | --- |
{suite}

| left out, or other than the standard | why |
| --- | --- |
{rows}
"""


def names(rows: str) -> list[str]:
    """The names of the functions in the standard's rows."""
    return [row.partition("(")[0] for row in rows.strip().splitlines()]


def page(wrong: Mapping[str, str]) -> str:
    """The page; ``wrong`` are the functions that a run found to differ."""
    reasons: dict[str, list[str]] = {}
    for name, why in SKIPPED.items():
        reasons.setdefault(why, []).append(f"`{name}`")
    rows = [f"| {', '.join(found)} | {why} |" for why, found in reasons.items()]
    rows += [f"| {name} | {why} |" for name, why in DIFFERENT.items()]
    rows += [f"| `{name}` | wrong: {' '.join(why.split())} |" for name, why in wrong.items()]
    extension = names(LINALG)
    counts = json.loads(COUNTS.read_text(encoding="utf-8"))
    return PAGE.format(
        **{key: f"{counts[key]:,}" if isinstance(counts[key], int) else counts[key] for key in SHOWN},
        failed=sum(counts["failed"].values()),
        suite="\n".join(f"| {count} | {why} |" for why, count in counts["failed"].items()),
        main=len(names(FUNCTIONS)),
        there=sum(f"linalg.{name}" not in SKIPPED for name in extension),
        extension=len(extension),
        drawn=len(NAMES),
        right="all" if not wrong else len(NAMES) - len(wrong),
        rows="\n".join(rows),
    )
