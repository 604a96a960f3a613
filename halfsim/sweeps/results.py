"""What a study found, read from its file when it is asked for: records, columns, a summary, a page."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsim.document import Document
from halfsim.markup import Figure, sections
from halfsim.names import near
from halfsim.options import shown
from halfsim.sweeps.chart import chart
from halfsim.sweeps.grid import Grid
from halfsim.sweeps.lines import code_in, lines
from halfsim.sweeps.spelling import read as plain
from halfsim.sweeps.spelling import spelled
from halfsim.sweeps.summary import Summary, group, word
from halfsim.text import clipped, counted, filled

_MOST, _SHOWN = 1000, 20  # rows in the table of a page; lines of a summary that is printed
_ERRORS, _CELL = 5, 80  # kinds of errors that are shown; characters of a result or an error in the table of a page
_ABSENT = -1


@dataclass
class _Index:
    """Where each row stands, and which of the values of each name it has: a few numbers a row."""

    place: NDArray[np.int64]  # file and byte: the files of one study after the other
    file: NDArray[np.int16]
    codes: dict[str, NDArray[np.int32]]  # by name, and of the seed under ""
    values: dict[str, list[Any]]  # by name, in order
    failed: NDArray[np.bool_]
    damaged: tuple[str, ...]


class Results(Document):
    """The rows of one or more results files, in the order of the grid, else of the values.

    A row is a dict with the keys ``config``, ``seed``, ``result`` or ``error``, ``tries``, ``duration``, ``host``,
    ``versions``, ``schema``, ``key``, ``study`` and ``checksum``. Of a row that ran again the last line counts. Rows
    stay in the files; what is kept of each is where it stands. ``damaged`` names lines that are not as they were.
    """

    title = "halfsim sweep"

    def __init__(self, paths: Sequence[Path], grid: Grid | None = None) -> None:
        self.paths = tuple(paths)
        self._index = _indexed(self.paths, grid)

    @property
    def damaged(self) -> tuple[str, ...]:
        """The lines that are not as they were written, as "results.jsonl:17"."""
        return self._index.damaged

    @property
    def axes(self) -> dict[str, list[Any]]:
        """The names of the configurations, each with its values."""
        return {name: list(values) for name, values in self._index.values.items() if name}

    @property
    def seeds(self) -> list[int]:
        """The seeds that there are."""
        return list(self._index.values[""])

    @property
    def failed(self) -> int:
        """How many rows have an error in the place of a result."""
        return int(np.count_nonzero(self._index.failed))

    def __len__(self) -> int:
        return len(self._index.place)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._read(np.arange(len(self)))

    def _read(self, which: NDArray[np.intp]) -> Iterator[dict[str, Any]]:
        """Some of the rows."""
        files = [open(path, "rb") for path in self.paths]  # noqa: SIM115
        try:
            for file, place in zip(self._index.file[which].tolist(), self._index.place[which].tolist(), strict=True):
                files[file].seek(place)
                yield plain(files[file].readline())
        finally:
            for one in files:
                one.close()

    def records(self) -> list[dict[str, Any]]:
        """All rows."""
        return list(self)

    def table(self) -> str:
        """Configuration, seed and result or error of each row, a line of JSON each, sorted.

        It is the same however the rows came about: in which order, on how many processes, interrupted or not.
        """
        told = []
        for row in self:
            config = spelled(row["config"], "config", ordered=True)
            kind = "error" if "error" in row else "result"
            told.append((config, row["seed"], f'"{kind}":{spelled(row[kind], kind)}'))
        return "".join(f'{{"config":{config},"seed":{seed},{end}}}\n' for config, seed, end in sorted(told))

    def columns(self) -> dict[str, NDArray[Any]]:
        """Arrays of equal length by name, as ``pandas.DataFrame`` takes them.

        The names of the configuration, ``seed``, ``result`` (of results that are dicts one column a key, called
        ``result.key`` where a configuration has that name too), ``error`` (None, or its words), ``duration``.
        Numbers that a row lacks are NaN, anything else that it lacks None.
        """
        rows = self.records()
        found: dict[str, list[Any]] = {name: [row["config"].get(name) for row in rows] for name in self.axes}
        found["seed"] = [row["seed"] for row in rows]
        taken = {*found, "error", "duration"}
        keys = dict.fromkeys(key for row in rows if isinstance(row.get("result"), dict) for key in row["result"])
        for key in keys:
            name = f"result.{key}" if key in taken else key
            found[name] = [_item(row.get("result"), key) for row in rows]
        if not keys or any("result" in row and not isinstance(row["result"], dict) for row in rows):
            found["result"] = [None if isinstance(row.get("result"), dict) else row.get("result") for row in rows]
        found["error"] = [_told(row) for row in rows]
        found["duration"] = [row["duration"] for row in rows]
        return {name: _array(values) for name, values in found.items()}

    def summary(self, by: str | Sequence[str] | None = None, of: str | None = None, baseline: Any = None) -> Summary:
        """Mean and spread of every number in the results, over the rows that agree in ``by``.

        ``by`` names parts of the configuration (all that vary, by default), ``of`` one number of results that are
        dicts. ``baseline`` is one of the groups, as ``{"format": "fp32"}``, or its value where ``by`` is one name: each
        line then has the mean difference from the row of the baseline with the same seed and the same rest of the
        configuration, and its standard error. Bools count as 0 and 1; rows that failed are counted and left out; a NaN
        or an infinity makes the mean one. ``ValueError`` for a name or a group that is not there.

        >>> import os, tempfile, halfsim as hs
        >>> def step(format, seed): return float(hs.round_to(0.1, format)) - 0.1
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     out = os.path.join(folder, "results.jsonl")
        ...     found = hs.sweep(step, {"format": ["fp16", "bf16"]}, seeds=2, executor="serial", out=out)
        ...     print(found.summary("format", baseline="fp16"))
        format  of      n  failed       mean  std  difference  +-  pairs
        fp16    result  2       0  -2.44e-05    0           0   0      2
        bf16    result  2       0   9.77e-05    0    0.000122   0      2
        """
        axes = self.axes
        names = _names(by, axes)
        base = _baseline(baseline, names, axes)
        owns: dict[str, dict[str, Any]] = {}
        groups: dict[str, list[tuple[str, dict[str, float]]]] = {}  # the rest of the row, and its numbers
        for row in self:
            own = {name: row["config"].get(name) for name in names}
            rest = {name: value for name, value in row["config"].items() if name not in names}
            owns.setdefault(_text(own), own)
            groups.setdefault(_text(own), []).append((_text([rest, row["seed"]]), _numbers(row.get("result"))))
        every = dict.fromkeys(name for rows in groups.values() for _, found in rows for name in found)
        if of is not None and of not in every:
            listed = clipped(", ".join(every) or "none, since no result is a number", 120, "start")
            raise ValueError(f"of: {shown(of)} is not a number of the results; allowed: {listed}")
        partners = dict(groups.get(_text(base), ())) if base is not None else {}
        told = []
        for key, rows in groups.items():
            for name in [of] if of is not None else list(every) or ["result"]:
                pairs = [
                    (found[name], partners[rest][name])
                    for rest, found in rows
                    if name in found and name in partners.get(rest, ())
                ]
                values = [found.get(name) for _, found in rows]
                told.append(group(owns[key], name, values, pairs if base is not None else None))
        return Summary(names, tuple(told), base)

    def __str__(self) -> str:
        summary = self.summary()
        shown_groups = Summary(summary.by, summary.groups[:_SHOWN])
        more = f"\n... and {len(summary) - _SHOWN} more, see summary()" if len(summary) > _SHOWN else ""
        failed = ["\n".join(filled(words, "", "  ") for words in self._errors())] if self.failed else []
        return "\n\n".join([filled(self._story()), *([f"{shown_groups}{more}"] if len(self) else []), *failed])

    def _story(self) -> str:
        files = ", ".join(path.name for path in self.paths)
        bad = f", {self.failed} failed" if self.failed else ""
        damaged = f"; damaged and left out: {', '.join(self.damaged[:5])}" if self.damaged else ""
        return f"{files}: {counted(len(self), 'row')}{bad}, of {counted(len(self.seeds), 'seed')}{damaged}."

    def _errors(self) -> list[str]:
        """The errors that most rows have, each with how many and where."""
        failed = self._read(np.flatnonzero(self._index.failed))
        kinds = Counter((_told(row) or "", row["error"].get("where", "")) for row in failed)
        most = kinds.most_common(_ERRORS)
        told = [f"{n:,} x {words}{f' ({where})' if where else ''}" for (words, where), n in most]
        rest = self.failed - sum(n for _, n in most)
        return [*told, f"{rest:,} x another, see the rows"] if rest else told

    def _body(self) -> Iterator[str]:
        summary = self.summary()
        yield from sections([("", self._story()), *([("Summary", summary.table())] if len(self) else [])])
        errors = self._errors()
        yield from sections([("" if i else "Errors", words) for i, words in enumerate(errors)])
        drawn = [x for x, values in self.axes.items() if len(values) > 1]
        charts = [chart(self, x, of) for x in drawn for of in dict.fromkeys(g.of for g in summary if g.n)]
        if charts:
            yield f'<h2>Means and spreads</h2><div class="charts">{"".join(charts)}</div>'
        yield from sections([("Rows", self._rows())] if len(self) else [])
        if len(self) > _MOST:
            yield f"<p>The first {_MOST:,} of {len(self):,} rows; the file has them all.</p>"

    def _rows(self) -> list[tuple[str, ...]]:
        names = list(self.axes)
        table: list[tuple[str, ...]] = [(*names, "error", "result", "seed", "seconds")]
        for _, row in zip(range(_MOST), self, strict=False):
            result = row.get("result")
            told = clipped(json.dumps(result), _CELL, "start") if not isinstance(result, (int, float)) else word(result)
            cell = Figure(told, float(result)) if isinstance(result, (int, float)) else told
            table.append((
                *(word(row["config"].get(name)) for name in names), clipped(_told(row) or "-", _CELL, "start"),
                "-" if result is None else cell, Figure(str(row["seed"]), row["seed"]),
                Figure(f"{row['duration']:.3g}", row["duration"]),
            ))  # fmt: skip
        return table

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data; numbers that are not finite are strings."""
        return {
            "schema": 1, "kind": "results of a sweep", "files": [str(path) for path in self.paths],
            "rows": self.records(), "failed": self.failed, "damaged": list(self.damaged),
        }  # fmt: skip


def results(*paths: str | os.PathLike[str]) -> Results:
    """Read results files of sweeps, of one study in parts too: `Results`.

    A file that is being written is read as far as it is. ``OSError`` where a file cannot be read, ``ValueError`` where
    it is no results file.

    >>> import os, tempfile, halfsim as hs
    >>> def step(format, seed): return float(hs.round_to(0.1, format))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     out = os.path.join(folder, "results.jsonl")
    ...     _ = hs.sweep(step, {"format": ["fp16"]}, executor="serial", out=out)
    ...     print(hs.sweeps.results(out).records()[0]["result"])
    0.0999755859375
    """
    if not paths:
        raise ValueError("paths: none is not allowed; allowed: the paths of results files")
    return Results([Path(path) for path in paths])


def _indexed(paths: Sequence[Path], grid: Grid | None) -> _Index:
    """Read all lines once: the last of each key, sorted by the values of its configuration and its seed."""
    known: dict[str, dict[str, int]] = {"": {}}  # the JSON of each value of each name, numbered as they come
    if grid is not None:
        known |= {name: {text: i for i, text in enumerate(values)} for name, values in grid.axes.items()}
        known[""] = {str(seed): i for i, seed in enumerate(grid.seeds)}
    raw: dict[str, list[int]] = {name: [] for name in known}
    places, files, bad, damaged, keys = list[int](), list[int](), list[bool](), list[str](), dict[bytes, int]()
    for n, path in enumerate(paths):
        with open(path, "rb") as file:
            code_in(path, file)
            for line in lines(file):
                if line.state == "damaged":
                    damaged.append(f"{path.name}:{line.number}")
                if line.state != "row":
                    continue
                row = plain(line.data)
                texts = {name: spelled(value, name, ordered=True) for name, value in row["config"].items()}
                texts[""] = str(row["seed"])
                if grid is not None and not all(text in known.get(name, ()) for name, text in texts.items()):
                    continue
                if grid is not None and len(texts) < len(known):
                    continue
                at = keys.setdefault(line.key, len(places))
                if at < len(places):  # it ran again
                    places[at], files[at], bad[at] = line.offset, n, "error" in row
                    continue
                places.append(line.offset)
                files.append(n)
                bad.append("error" in row)
                for name in texts:
                    if name not in raw:
                        raw[name] = [_ABSENT] * at
                for name, column in raw.items():
                    numbered = known.setdefault(name, {})
                    text = texts.get(name)
                    column.append(_ABSENT if text is None else numbered.setdefault(text, len(numbered)))
    ranks, values = {}, {}
    for name, numbered in known.items():
        texts_of = list(numbered)
        found = [plain(text) for text in texts_of]
        order = range(len(found)) if grid is not None else sorted(range(len(found)), key=lambda i: _rank(found[i]))
        rank = np.empty(len(found) + 1, np.int32)
        rank[list(order)] = np.arange(len(found))
        rank[-1] = _ABSENT
        ranks[name] = rank[np.array(raw[name], np.int64)]
        present = set(raw[name])
        values[name] = [found[i] for i in order if i in present]
    names = [name for name in known if name]
    sort = np.lexsort([ranks[""], *(ranks[name] for name in reversed(names))]) if places else np.zeros(0, np.int64)
    return _Index(
        np.array(places, np.int64)[sort], np.array(files, np.int16)[sort], {n: r[sort] for n, r in ranks.items()},
        values, np.array(bad, bool)[sort], tuple(damaged),
    )  # fmt: skip


def _rank(value: Any) -> tuple[int, float, str]:
    """A place among values of any kind: None, numbers by size, text by its letters, the rest by its JSON."""
    if value is None:
        return 0, 0.0, ""
    if isinstance(value, (bool, int, float)):
        return 1, value if value == value else float("inf"), str(value)
    return (2, 0.0, value) if isinstance(value, str) else (3, 0.0, json.dumps(value, sort_keys=True))


def _names(by: str | Sequence[str] | None, axes: Mapping[str, Any]) -> tuple[str, ...]:
    if by is None:
        return tuple(name for name, values in axes.items() if len(values) > 1) or tuple(axes)[:1]
    names = (by,) if isinstance(by, str) else tuple(by)
    for name in names:
        if name not in axes:
            hint = "".join(f" (did you mean {one!r}?)" for one in near(str(name), axes))
            raise ValueError(f"by: {shown(name)} is not in the configurations{hint}; allowed: {', '.join(axes)}")
    return names


def _baseline(baseline: Any, names: Sequence[str], axes: Mapping[str, list[Any]]) -> dict[str, Any] | None:
    if baseline is None:
        return None
    given = dict(baseline) if isinstance(baseline, Mapping) else {names[0]: baseline} if len(names) == 1 else {}
    if given.keys() != {*names} or not all(any(_text(v) == _text(given[n]) for v in axes[n]) for n in names):
        allowed = " or ".join(f"{n}: {', '.join(map(word, axes[n]))}" for n in names) or "a dict of names and values"
        raise ValueError(
            f"baseline: {shown(baseline)} is not one of the groups; allowed: {clipped(allowed, 150, 'start')}"
        )
    return {name: given[name] for name in names}


def _text(value: Any) -> str:
    return spelled(value, "by", ordered=True)


def _numbers(result: Any) -> dict[str, float]:
    """The numbers of a result by name: of one that is a number, as "result"."""
    if isinstance(result, (bool, int, float)):
        return {"result": float(result)}
    if not isinstance(result, dict):
        return {}
    return {key: float(value) for key, value in result.items() if isinstance(value, (bool, int, float))}


def _item(result: Any, key: str) -> Any:
    return result.get(key) if isinstance(result, dict) else None


def _told(row: Mapping[str, Any]) -> str | None:
    error = row.get("error")
    return None if error is None else f"{error['type']}: {error['message']}"


def _array(values: list[Any]) -> NDArray[Any]:
    """A column: of bools, of integers, of floats with NaN for what is missing, or of objects."""
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return np.array(values, bool)
    if kinds == {int} and all(-(2**63) <= value < 2**63 for value in values):
        return np.array(values, np.int64)
    if float in kinds and kinds <= {int, float, type(None)}:
        return np.array([np.nan if value is None else value for value in values], np.float64)
    column = np.empty(len(values), object)
    column[:] = values
    return column
