"""`hs.compare_fingerprints`: the first operation at which two runs part, and how far apart they are there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from halfsim.diagnose.fingerprint import file, torch_log
from halfsim.diagnose.fingerprint.align import Pair, aligned
from halfsim.diagnose.fingerprint.aten import alike
from halfsim.diagnose.fingerprint.bits import VALUES, distance
from halfsim.diagnose.fingerprint.file import INPUT, Fingerprint, Row
from halfsim.diagnose.fingerprint.recording import Fingerprinting
from halfsim.diagnose.fingerprint.result import Difference, FingerprintComparison
from halfsim.options import shown
from halfsim.text import clipped, counted

_KEPT = 10_000  # differences of which a row is kept


def compare_fingerprints(a: Any, b: Any) -> FingerprintComparison:
    """Two runs, on two machines or on one, held against each other by the files that `Trace.fingerprint` wrote.

    Either is the path of such a file, or of a log of PyTorch's ``torch.utils._debug_mode.DebugMode``, the text of its
    ``debug_string()``; or a trace that was begun with ``fingerprint=True``, or the ``DebugMode`` itself. The
    operations are aligned as ``diff`` aligns lines; the result names the first that differs, and says whether it is
    another operation, shape or format, or other bits, by how many ulp as far as the files tell, and in which steps.
    NaN of other signs and payloads and zeros of other signs are other bits. ``OSError`` where a file cannot be read,
    ``ValueError`` where it is empty, cut off, of another kind or of a newer halfsim, ``TypeError`` for what is no path.

    >>> import halfsim as hs, os, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> paths = [os.path.join(folder, name) for name in ("a", "b")]
    >>> for path, order in zip(paths, ("sequential", "pairwise")):
    ...     with hs.precision(f"storage=fp16, accumulate=fp16:{order}"), hs.trace(fingerprint=True) as t:
    ...         total = hs.tensor([1.0, 0.0004, 0.0004, 0.0004]).sum().exp()
    ...     t.fingerprint(path)
    >>> found = compare_fingerprints(*paths)
    >>> found.first.op, found.first.reads, found.first.ulp
    ('sum', 'same', 1)
    """
    return compared(read(a, "a"), read(b, "b"))


def read(given: Any, argument: str) -> Fingerprint:
    """The fingerprint or the log at a path, or of a trace or a ``DebugMode``; see `compare_fingerprints`."""
    if isinstance(given, Fingerprinting):
        return file.parse(given.text(), argument)
    if callable(getattr(given, "debug_string", None)):
        return torch_log.parse(given.debug_string(), argument)
    if not isinstance(given, (str, os.PathLike)):
        told = "a path, a trace begun with fingerprint=True, a DebugMode of PyTorch's"
        raise TypeError(f"{argument}: {shown(given)} is not allowed; allowed: {told}")
    text, name = file.text_of(given), os.fspath(given)
    if file.is_fingerprint(text):
        return file.parse(text, name)
    if not torch_log.is_log(text):
        told = "is neither a fingerprint nor a log of PyTorch's DebugMode"
        raise ValueError(f"{clipped(repr(name), 120)} {told}; allowed: what t.fingerprint(path) wrote")
    return torch_log.parse(text, name)


def compared(a: Fingerprint, b: Fingerprint) -> FingerprintComparison:
    """What two fingerprints tell of two runs."""
    mixed, both_logs = a.torch != b.torch, a.torch and b.torch
    rows = _comparable(a, mixed), _comparable(b, mixed)
    first, second = ([_key(row, mixed) for row in own] for own in rows)
    pairs = [pair for stretch in _stretches(aligned(first, second)) for pair in _loosely(stretch, rows, mixed)]
    kept = min(one.header.get("values", VALUES) for one in (a, b))
    found: list[Difference] = []
    counts, steps, matched, untold = Counter[str](), set[int](), 0, 0
    for i, j in pairs:
        x, y = None if i is None else rows[0][i], None if j is None else rows[1][j]
        if x is not None and y is not None:
            matched += 1
            same = mixed or _key(x, mixed) == _key(y, mixed)
            agreed = torch_log.agree(x.print, y.print, both_logs) if same else False
            if agreed is not False:
                untold += agreed is None
                continue
        one = _difference(x, y, kept, mixed)
        if mixed and one.tensor.startswith(torch_log.OUTPUT):  # what a kernel keeps for its gradient
            continue
        counts[one.kind] += 1
        steps.add(one.step)
        if len(found) < _KEPT:
            found.append(one)
    if found and (order := _elsewhere(found[0], pairs, rows, mixed)):
        found[0] = replace(found[0], detail=order)
    return FingerprintComparison(
        (a.name, b.name), (len(rows[0]), len(rows[1])), matched, tuple(found), dict(counts), tuple(sorted(steps)),
        _unlike(a, b), tuple(dict.fromkeys([*a.notes, *b.notes, *_notes(a, b, untold)])),
    )  # fmt: skip


def _notes(a: Fingerprint, b: Fingerprint, untold: int) -> Iterator[str]:
    """What a reader must know of a comparison of files of two kinds."""
    if untold:
        one, other = ("bits" if not f.torch else f.header["hashes"] or "none" for f in (a, b))
        what = counted(untold, "result was", "results were")
        yield f"{what} compared by operation, shape and format alone, for there are hashes of {one} and {other}"
    if a.torch != b.torch:
        yield (
            "a log of PyTorch's was held against a trace: kernels that compute floats, by operation, format and shape; "
            "norms to 13 digits"
        )


def _comparable(one: Fingerprint, mixed: bool) -> Sequence[Row]:
    """The rows that may have a counterpart in the other: of a log and a trace, those of computed numbers."""
    if not mixed:
        return one.rows
    if one.torch:
        return [row for row in one.rows if torch_log.computes(row)]
    found, seen = [], set()
    for row in one.rows:
        if row.phase != INPUT and (row.op != "accumulate" or row.print.hash not in seen):  # a gradient handed on
            found.append(row)
        seen.add(row.print.hash)
    return found


def _key(row: Row, mixed: bool) -> tuple[Any, ...]:
    if mixed:
        return row.tensor.startswith(torch_log.OUTPUT), alike(row.op), row.format, row.shape
    return row.phase, row.path, row.inner or row.op, row.tensor, row.format, row.shape


def _loosely(stretch: list[Pair], rows: Sequence[Sequence[Row]], mixed: bool) -> list[Pair]:
    """A stretch where rows have no other, with those that stand at one place in both as pairs.

    These differ in shape or format alone; of a log and a trace, which have their own names for some operations, in the
    name alone: they have one shape, and are one if all in the stretch have, or if they have one hash.
    """
    left, right = [i for i, _ in stretch if i is not None], [j for _, j in stretch if j is not None]
    if None not in stretch[0] or not (left and right):
        return stretch
    part = slice(2, None) if mixed else slice(4)
    found: list[Pair] = []
    names = [_key(rows[0][i], mixed)[part] for i in left], [_key(rows[1][j], mixed)[part] for j in right]
    hashed = mixed and names[0] != names[1]
    for i, j in aligned(names[0], names[1]):
        if i is None or j is None:
            found.append((None if i is None else left[i], None if j is None else right[j]))
        elif hashed and not torch_log.agree(rows[0][left[i]].print, rows[1][right[j]].print, False):
            found += [(left[i], None), (None, right[j])]
        else:
            found.append((left[i], right[j]))
    return found


def _stretches(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    """The pairs in stretches of whole ones, and of those that lack one."""
    stretch: list[Pair] = []
    for pair in pairs:
        if stretch and (None in pair) is not (None in stretch[-1]):
            yield stretch
            stretch = []
        stretch.append(pair)
    if stretch:
        yield stretch


def _difference(x: Row | None, y: Row | None, kept: int, mixed: bool) -> Difference:
    """In what two rows that are not the same differ; either may be None."""
    row = x if x is not None else y
    assert row is not None
    one = Difference(
        "missing" if y is None else "extra", None if x is None else x.number, None if y is None else y.number, row.step,
        row.phase, row.path, row.op, row.tensor, row.format, row.shape, row.where, row.place,
    )  # fmt: skip
    if x is None or y is None:
        return one
    if (x.format, x.shape) != (y.format, y.shape):
        told = f"{x.format} {list(x.shape)} against {y.format} {list(y.shape)}"
        return replace(one, kind="shape" if x.shape != y.shape else "format", detail=told)
    reads = "unknown" if not (x.reads and y.reads) else "same" if x.reads == y.reads else "other"
    if not (x.print.hash and y.print.hash):
        return replace(one, kind="bits", reads=reads, detail=_hashes(x, y))
    far = distance(x.print, y.print, x.format, x.shape, kept)
    kind = "signs" if far.signs else "bits"
    return replace(one, kind=kind, reads=reads, ulp=far.ulp, exact=far.exact, element=far.where, detail=str(far))


def _hashes(x: Row, y: Row) -> str:
    """How two hashes of PyTorch's differ."""
    a, b = x.print.norm, y.print.norm
    if a is None or b is None:
        return "other hashes"
    if a == b:
        return f"norms of {a!r} both, other bits"
    return f"norms of {a!r} against {b!r}: {abs(a - b) / max(abs(a), abs(b), 1e-10):.2g} apart"


def _elsewhere(first: Difference, pairs: list[Pair], rows: Sequence[Sequence[Row]], mixed: bool) -> str:
    """Where the first difference's operation stands in the other run, where that has it at another place."""
    if first.kind not in ("missing", "extra"):
        return ""
    own = 0 if first.kind == "missing" else 1
    number = first.number_a if own == 0 else first.number_b
    key = next(_key(row, mixed) for row in rows[own] if row.number == number)
    for pair in pairs:
        k = pair[1 - own]
        if pair[own] is None and k is not None and _key(rows[1 - own][k], mixed) == key:
            return f"there it is operation {rows[1 - own][k].number:,}: another order"
    return ""


def _unlike(a: Fingerprint, b: Fingerprint) -> tuple[tuple[str, str, str], ...]:
    """What the two headers have in common and say otherwise."""
    if a.torch != b.torch:
        return ()
    aside = {"hash", "steps", "halfsim fingerprint"}
    names = [name for name in a.header if name in b.header and name not in aside]
    return tuple((name, str(a.header[name]), str(b.header[name])) for name in names if a.header[name] != b.header[name])
