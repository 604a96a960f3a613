"""Failures by name, kind and message, each with its shortest call."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from tests.hostile.judge import shape_of
from tests.hostile.names import ROOMS
from tests.hostile.values import PRELUDE

FAILURES = ("internal error", "bad words", "hang", "crash", "warning", "mutated", "taken", "wrong")
Result = dict[str, Any]


def groups(found: dict[str, list[Result]]) -> dict[tuple[str, str, str, str], list[Result]]:
    """The failures by name, kind, error and message."""
    grouped: dict[tuple[str, str, str, str], list[Result]] = defaultdict(list)
    for name, results in found.items():
        for result in results:
            if result["kind"] in FAILURES:
                grouped[name, result["kind"], result["error"], shape_of(result["message"])].append(result)
    return grouped


def counts(found: dict[str, list[Result]]) -> Counter[str]:
    return Counter(result["kind"] for results in found.values() for result in results)


_ROOMS = {"Tensor": "tensors", "operator": "operators", "np": "NumPy's functions", "hs": "top level"}


def by_room(found: dict[str, list[Result]]) -> dict[str, Counter[str]]:
    """The counts of each room: hs.ops, hs.nn with the methods of its layers, ..."""
    rooms: dict[str, Counter[str]] = defaultdict(Counter)
    for name, results in found.items():
        owner = name.rpartition(".")[0]
        room = owner.removeprefix("hs.").split(".")[0]
        inside = room in _LISTED
        shown = f"hs.{room}" if inside else _ROOMS.get(room, "methods of other classes")
        rooms[shown].update(result["kind"] for result in results)
    return dict(sorted(rooms.items()))


_LISTED = {room.split(".")[1] for room in ROOMS if "." in room}


def lines(found: dict[str, list[Result]]) -> str:
    """All failures, by kind."""
    out = []
    for (name, kind, error, _), results in sorted(groups(found).items(), key=lambda item: (item[0][1], item[0])):
        least = min(results, key=lambda r: len(r["text"]))
        out.append(f"{kind}\t{name}\t{len(results)}\t{error}: {least['message'][:160]!r}\t{least['text'][:300]}")
    return "".join(f"{line}\n" for line in out)


def text(found: dict[str, list[Result]], known: dict[str, Any]) -> str:
    """The counts, and the failures that are met most."""
    grouped = groups(found)
    out = []
    if grouped:
        out.append(f"# {PRELUDE}")
    for (name, kind, error, _), results in sorted(grouped.items(), key=lambda item: -len(item[1]))[:60]:
        least = min(results, key=lambda r: len(r["text"]))
        out.append(f"{len(results):5} {kind}: {name}: {error}: {least['message'][:150]!r}\n      {least['text'][:400]}")
    total = counts(found)
    worked = sum(bool(known.get(name)) for name in found)
    out.append(f"{sum(total.values()):,} calls of {len(found):,} names, {worked:,} of them with calls that work")
    out += [f"{kind}: {total[kind]:,}" for kind in ("result", "refusal", "unmade", *FAILURES)]
    return "\n".join(out)
