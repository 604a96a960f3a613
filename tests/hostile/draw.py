"""Calls that nearly fit: found ones, with an argument or two in whose place something hostile stands."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable
from typing import NamedTuple

from tests.hostile.names import Target
from tests.hostile.values import HOSTILE, TENSORS, Hostile, candidates

Arguments = dict[str, str]  # expressions by parameter; those of a spread one (*sizes) are joined by ", "


class Call(NamedTuple):
    """One call: what it is on, its arguments by parameter (a hostile one as such), and its text."""

    target: str
    text: str
    on: str
    positional: tuple[tuple[str, str], ...]
    keywords: tuple[tuple[str, str], ...]
    hostile: tuple[tuple[str, Hostile], ...]


_SPREAD = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def required(target: Target) -> list[inspect.Parameter]:
    return [p for p in target.parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]


def guess(target: Target, rng: random.Random, first: bool = False) -> Arguments:
    """Arguments that may fit: of each required parameter a candidate, the first of them at first."""
    found = {}
    for p in required(target):
        values = candidates(p, target.hints.get(p.name))
        if p.kind is p.VAR_POSITIONAL:
            found[p.name] = ", ".join(rng.choice(values) for _ in range(1 if first else rng.randrange(4)))
        else:
            found[p.name] = values[0] if first else rng.choice(values)
    return found


def draw(target: Target, known: list[Arguments], seed: int, number: int) -> Call:
    """Call ``number`` of a target, of which ``known`` calls work; the same for the same seed."""
    rng = random.Random(f"{seed}:{target.name}:{number}")
    given = dict(rng.choice(known)) if known else guess(target, rng)
    for p in target.parameters:
        if p.default is not p.empty and rng.random() < 0.15:
            given[p.name] = rng.choice(candidates(p, target.hints.get(p.name)))
    names = [p.name for p in target.parameters if p.kind is not p.VAR_KEYWORD]
    hostile: dict[str, Hostile] = {}
    kind = rng.random()
    extra: Callable[[Arguments], None] | None = None
    if names and kind < 0.93:
        weights = [3 if p.default is p.empty else 2 for p in target.parameters if p.name in names]
        for name in rng.choices(names, weights, k=0 if kind < 0.06 else 1 if kind < 0.72 else 2):
            bad = rng.choice(HOSTILE) if rng.random() < 0.9 else Hostile(rng.choice(TENSORS))
            given[name], hostile[name] = bad.text, bad
    elif names and kind < 0.96 and given:
        given.pop(rng.choice(sorted(given)))
    else:
        extra = lambda arguments: arguments.update({"nonsense": "1"})  # noqa: E731
    if extra:
        extra(given)
    on = rng.choice(target.on) if target.on else ""
    on = given.pop("self", on) if rng.random() < 0.7 else on
    given.pop("self", None)
    return _written(target, on, given, hostile)


def written(target: Target, on: str, given: Arguments) -> Call:
    """The call with these arguments."""
    return _written(target, given.get("self", on), {name: text for name, text in given.items() if name != "self"}, {})


def _written(target: Target, on: str, given: Arguments, hostile: dict[str, Hostile]) -> Call:
    positional: list[tuple[str, str]] = []
    keywords: list[tuple[str, str]] = []
    left = dict(given)
    gap = False
    for p in target.parameters:
        if p.name not in left:
            gap = gap or p.kind is not p.VAR_POSITIONAL
            continue
        value = left.pop(p.name)
        plain = p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty and not gap
        if p.kind is p.POSITIONAL_ONLY or plain or (p.kind is p.VAR_POSITIONAL and not keywords):
            if value:
                positional.append((p.name, value))
        elif p.kind not in _SPREAD:
            keywords.append((p.name, value))
    keywords += left.items()
    parts = [*(value for _, value in positional), *(f"{name}={value}" for name, value in keywords)]
    if "{1}" in target.call:
        text = target.call.format(on, ", ".join(parts))
    elif target.on:
        text = target.call.format(on, ", ".join(parts)) if target.call.count("{}") > 1 else target.call.format(on)
    else:
        text = target.call.format(", ".join(parts))
    given = dict([*positional, *keywords])  # a spread parameter after a keyword is not
    bad = tuple((name, value) for name, value in hostile.items() if name in given)
    return Call(target.name, text, on, tuple(positional), tuple(keywords), bad)
