"""`hs.gallery.remedies`: the matrix measured, by a sweep that goes on where it stopped."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from halfsim.gallery.matrix.cures import CURES, NONE
from halfsim.gallery.matrix.problems import PROBLEMS
from halfsim.gallery.matrix.result import Remedies
from halfsim.gallery.matrix.runs import run, version
from halfsim.gallery.matrix.texts import texts
from halfsim.numerics.formats import unknown
from halfsim.options import guarded_names, shown
from halfsim.sweeps.study import sweep


def remedies(
    problem: str | Sequence[str] | None = None,
    remedy: str | Sequence[str] | None = None,
    *,
    seeds: int = 5,
    executor: Any = None,
    out: str | os.PathLike[str] = "remedies.jsonl",
    lang: str = "en",
    steps: int | None = None,
    fresh: bool = False,
    retry_failed: bool = False,
) -> Remedies:
    """Measure what is said to help against the problems of half precision: small seeded runs on the digits.

    Each cell is one remedy against one problem, over ``seeds`` runs beside as many without it. ``problem`` and
    ``remedy`` are names, one or several, None for all. The runs are those of a `sweep`, whose ``executor``, ``out``,
    ``fresh`` and ``retry_failed`` these are: each is kept in the file ``out``, and the same call goes on from there.
    ``lang`` is the language of what is told, "en" or "zh". ``steps`` is how many each run takes, by default as many
    as its problem says; with fewer the verdicts are others. All of it takes about five minutes on two processors.

    Divergence, NaN and infinities count as the worst that a measure knows. ``ValueError`` for names and languages that
    are not there and for fewer than two seeds, ``RuntimeError`` where a run fails.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = remedies("updates", ["smaller-lr", "kahan"], seeds=4, steps=20, executor="serial",
    ...                      out=os.path.join(folder, "remedies.jsonl"))
    >>> found.cell("updates", "smaller-lr").verdict, found.cell("updates", "kahan").verdict
    ('harms', 'helps')
    """
    texts(lang)
    chosen = _chosen("problem", problem, PROBLEMS), _chosen("remedy", remedy, CURES)
    if seeds < 2:
        raise ValueError(f"seeds: {shown(seeds)} is not allowed; allowed: integers from 2 on")
    if steps is not None and steps < 2:
        raise ValueError(f"steps: {shown(steps)} is not allowed; allowed: integers from 2 on, None")
    grid = {"problem": chosen[0], "remedy": [NONE, *chosen[1]], "steps": [steps]}
    found = sweep(run, grid, seeds, executor, out, fresh=fresh, retry_failed=retry_failed, version=version())
    return Remedies(values(found), lang)


def values(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], list[tuple[int, float, float]]]:
    """Seed, measure and accuracy of each run, by problem and remedy; ``RuntimeError`` for a row that failed."""
    told: dict[tuple[str, str], list[tuple[int, float, float]]] = {}
    for row in rows:
        config = row["config"]
        if "error" in row:
            error = row["error"]
            place = f"{config['problem']}, {config['remedy']}, seed {row['seed']}"
            what = f"{error['type']}: {error['message']}"
            raise RuntimeError(f"remedies: a run failed ({place}): {what}; to run it again: retry_failed=True")
        runs = told.setdefault((config["problem"], config["remedy"]), [])
        if row["result"]:
            runs.append((row["seed"], row["result"]["value"], row["result"]["accuracy"]))
    return told


def _chosen(name: str, given: str | Sequence[str] | None, known: Mapping[str, object]) -> list[str]:
    names = list(known) if given is None else [given] if isinstance(given, str) else list(dict.fromkeys(given))
    for one in names:
        if one not in known:
            raise unknown(name, one, known)
    if not names:
        raise ValueError(f"{name}: an empty list is not allowed; allowed: {', '.join(known)}")
    return names


guarded_names(globals(), ["remedies"])
