"""Every combination of a grid with every seed, one at a time: a million of them take no memory."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from halfsim.names import near
from halfsim.options import shown
from halfsim.sweeps.spelling import spelled

KEY = 16  # bytes of the digest that names a row


class Row(NamedTuple):
    """A configuration, as JSON, and a seed; ``key`` is the digest of both."""

    key: bytes
    config: str
    seed: int


@dataclass(frozen=True)
class Grid:
    """Names with the JSON of their values, in the order in which they were given, and seeds."""

    axes: Mapping[str, Sequence[str]]
    seeds: Sequence[int]

    def __len__(self) -> int:
        return math.prod(map(len, self.axes.values())) * len(self.seeds)

    def rows(self) -> Iterator[Row]:
        """All rows, the seeds going round fastest. A row's key does not depend on the order of the names."""
        named = [[f"{json.dumps(name)}:{value}" for value in values] for name, values in self.axes.items()]
        names = list(self.axes)
        order = sorted(range(len(names)), key=names.__getitem__)
        for parts in itertools.product(*named):
            whole = hashlib.sha256(("{" + ",".join([parts[i] for i in order]) + "}").encode())
            config = "{" + ",".join(parts) + "}"
            for seed in self.seeds:
                one = whole.copy()
                one.update(b",%d" % seed)
                yield Row(one.digest()[:KEY], config, seed)


def grid_of(run: Callable[..., Any], grid: Any, seeds: Any) -> Grid:
    """The grid of ``{name: values}`` and of so many seeds, or those listed; refused where ``run`` does not take it."""
    if not isinstance(grid, Mapping):
        raise TypeError(f"grid: {shown(grid)} is not allowed; allowed: a dict of names and lists of values")
    axes = {}
    for name, values in grid.items():
        if not isinstance(name, str) or not name.isidentifier() or name == "seed":
            raise ValueError(f"grid: the name {shown(name)} is not allowed; allowed: names of parameters but seed")
        axes[name] = _values(name, values)
    found = Grid(axes, _seeds(seeds))
    _fits(run, list(axes))
    return found


def _values(name: str, values: Any) -> list[str]:
    if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__iter__"):
        raise TypeError(f"grid[{name!r}]: {shown(values)} is not allowed; allowed: a list of values")
    texts = [spelled(value, f"grid[{name!r}][{i}]", ordered=True) for i, value in enumerate(values)]
    twice = next((text for i, text in enumerate(texts) if text in texts[:i]), None) if len(texts) < 1000 else None
    if twice is not None or len({*texts}) < len(texts):
        raise ValueError(f"grid[{name!r}]: {twice or 'a value'} stands there twice; allowed: each value once")
    if not texts:
        raise ValueError(f"grid[{name!r}]: an empty list is not allowed; allowed: a list of values")
    return texts


def _seeds(seeds: Any) -> Sequence[int]:
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        found: Sequence[int] = range(seeds)
    elif isinstance(seeds, (list, tuple, range)) and all(isinstance(s, int) and not isinstance(s, bool) for s in seeds):
        found = seeds
    else:
        raise TypeError(f"seeds: {shown(seeds)} is not allowed; allowed: how many, a list of integers")
    wrong = not found or min(found) < 0 or max(found) >= 2**63
    if wrong or (not isinstance(found, range) and len({*found}) < len(found)):
        raise ValueError(f"seeds: {shown(seeds)} is not allowed; allowed: at least one, from 0 to 2**63 - 1, each once")
    return found


def _fits(run: Callable[..., Any], names: list[str]) -> None:
    """Refuse names that the function does not take, and such that it needs and the grid lacks."""
    try:
        parameters = inspect.signature(run).parameters
    except (TypeError, ValueError):
        return
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    taken = [n for n, p in parameters.items() if p.kind in kinds]
    listed = ", ".join(taken) or "none"
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        for name in [*names, "seed"]:
            if name not in taken:
                hint = "".join(f" (did you mean {one!r}?)" for one in near(name, taken))
                raise ValueError(f"run: {name!r} is not a parameter of it{hint}; allowed: {listed}")
    for name, p in parameters.items():
        needed = p.default is p.empty and p.kind in (*kinds, inspect.Parameter.POSITIONAL_ONLY)
        if needed and name not in (*names, "seed"):
            raise ValueError(f"grid: {name!r} is missing, which run needs; allowed: {listed}")
