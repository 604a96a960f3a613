"""The set of operations that must stay in float32 together, found by trying: grown from the one that broke."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from halfsim.autograd.policy import OPERATIONS
from halfsim.autograd.trace import Trace
from halfsim.diagnose.finding import Finding
from halfsim.diagnose.subsets import sufficient

Mends = Callable[[list[str]], bool]  # whether keeping these patterns in float32 mends


def smallest(finding: Finding, trace: Trace, mends: Mends) -> list[str] | None:
    """The patterns, as "@softmax", of operations that are enough together; None where all of them are not.

    The set grows from the operation that broke along those that ran after it, for these read its result back into
    half precision: by one, two, four, and so on, then by those before it. What mends is then made smaller by halves,
    one by one, and, where the finding is in a module, to the operations of that module alone.
    """
    ran = [
        (path, op) for phase, path, op, _ in trace.places if phase == "forward" and op in OPERATIONS and op != "cast"
    ]
    ops = list(dict.fromkeys(op for _, op in ran))
    if not ops:
        return None
    at = ops.index(finding.op) if finding.op in ops else 0
    ordered = [*ops[at:], *reversed(ops[:at])]
    found = _grown(ordered, mends)
    if found is None:
        return None
    if len(found) > 1:
        found = sufficient(found, lambda some: mends(_everywhere(some)))
    for op in list(found):  # halves alone may leave one too many
        rest = [other for other in found if other != op]
        if rest and mends(_everywhere(rest)):
            found = rest
    inside = [f"{finding.path}@{op}" for op in found if (finding.path, op) in ran]
    if finding.path and len(inside) == len(found) and mends(inside):
        return inside
    return _everywhere(found)


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
