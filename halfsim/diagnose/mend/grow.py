"""The set of operations that must stay in float32 together, found by trying: grown from the one that broke."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from halfsim.autograd.trace.trace import Trace
from halfsim.diagnose.ddmin import sufficient
from halfsim.diagnose.finding import Finding

Mends = Callable[[list[str]], bool]  # whether keeping these patterns in float32 mends


def smallest(finding: Finding, trace: Trace, mends: Mends) -> list[str] | None:
    """The patterns, as "@softmax", of operations that are enough together; None where all of them are not.

    The set grows from the operation that broke along those that ran after it, for these read its result back into
    half precision: by one, two, four, and so on, then by those before it. What mends is then made smaller by halves,
    one by one, and at last to the modules in which that is enough.
    """
    ran = trace.ran
    ops = list(dict.fromkeys(op for _, op in ran))
    if not ops:
        return None
    at = ops.index(finding.op) if finding.op in ops else 0
    ordered = [*ops[at:], *reversed(ops[:at])]
    found = _grown(ordered, mends)
    if found is None:
        return None
    found = shrunk(found, lambda some: mends(_everywhere(some)))
    return _in_places(found, ran, finding.path, mends)


def shrunk(many: Sequence[str], mends: Mends) -> list[str]:
    """A part of ``many``, which mend together, that mends too, and of which nothing can be left out."""
    found = sufficient(many, mends) if len(many) > 1 else list(many)
    for one in list(found):  # halves alone may leave one too many
        rest = [other for other in found if other != one]
        if rest and mends(rest):
            found = rest
    return found


def _in_places(ops: list[str], ran: Sequence[tuple[str, str]], path: str, mends: Mends) -> list[str]:
    """The patterns of ``ops``, narrowed to the modules in which that is enough: to ``path`` alone, else by halves."""
    everywhere = _everywhere(ops)
    units = list(dict.fromkeys((where, op) for where, op in ran if op in ops))
    outside = [f"@{op}" for op in ops if ("", op) in units]
    inside = [f"{where}@{op}" for where, op in units if f"@{op}" not in outside]
    if len(inside) < 2 and not (inside and path):
        return everywhere
    here = [*outside, *(f"{path}@{op}" for op in ops if (path, op) in units and f"@{op}" not in outside)]
    if len(here) == len(ops) and mends(here):
        return here
    if not mends([*outside, *inside]):
        return everywhere
    found = [*outside, *sufficient(inside, lambda some: mends([*outside, *some]))]
    whole = {op for op in ops if all(f"{where}@{op}" in found for where, other in units if other == op)}
    named = dict.fromkeys(f"@{p.partition('@')[2]}" if p.partition("@")[2] in whole else p for p in found)
    return list(named) if len(found) < len(outside) + len(inside) else everywhere


def _grown(ordered: Sequence[str], mends: Mends) -> list[str] | None:
    size = 1
    while True:
        if mends(_everywhere(ordered[:size])):
            return list(ordered[:size])
        if size >= len(ordered):
            return None
        size = min(size * 2 if size > 2 else size + 1, len(ordered))


def _everywhere(ops: Sequence[str]) -> list[str]:
    return [f"@{op}" for op in ops]
