"""A study as a TOML file: the function by its name, the grid, who runs it, where results go."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from halfsim.names import near
from halfsim.options import shown
from halfsim.sweeps.code import code_of
from halfsim.sweeps.grid import Grid, grid_of
from halfsim.sweeps.lines import code_in
from halfsim.sweeps.lock import holder
from halfsim.sweeps.results import Results
from halfsim.sweeps.study import sweep
from halfsim.text import clipped, counted

# What may stand in the file beside ``run`` and ``grid``: the options of `sweep`, each with what it must be.
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "run": ((str,), "text, as 'study:run'"),
    "grid": ((dict,), "a table of names and lists"),
    "seeds": ((int, list), "how many, a list of integers"),
    "executor": ((str,), "text, as 'local:4'"),
    "out": ((str,), "the path of a results file"),
    "retries": ((int,), "an integer"),
    "timeout": ((int, float), "seconds"),
    "version": ((str,), "text"),
}


@dataclass(frozen=True)
class Study:
    """What a configuration file asks for; ``out`` is beside the file unless it is an absolute path."""

    run: Callable[..., Any]
    grid: Mapping[str, Any]
    out: Path
    options: Mapping[str, Any]

    def with_(self, out: str | None, executor: str | None) -> Study:
        """The same with another results file, or another executor, where they are given."""
        options = {**self.options, **({} if executor is None else {"executor": executor})}
        return replace(self, options=options, out=self.out if out is None else Path(out))

    def start(self, fresh: bool = False, retry_failed: bool = False) -> Results:
        """Run what is missing."""
        return sweep(self.run, self.grid, out=self.out, fresh=fresh, retry_failed=retry_failed, **self.options)

    @property
    def every(self) -> Grid:
        return grid_of(self.run, self.grid, self.options.get("seeds", 1))

    def results(self) -> Results:
        """What is there so far."""
        return Results([self.out], self.every)

    def status(self) -> tuple[str, dict[str, Any]]:
        """How far it is, in words and as facts."""
        total, found = len(self.every), self.results() if self.out.exists() else None
        done, failed = (len(found), found.failed) if found is not None else (0, 0)
        held = holder(self.out)
        change = ""
        if found is not None:
            with open(self.out, "rb") as file:
                change = code_in(self.out, file).change(code_of(self.run, self.options.get("version", "")))
        words = f"{self.out}: {done:,} of {counted(total, 'row')} finished" + (
            f", {failed:,} of them failed" if failed else ""
        )
        words += f"; {total - done:,} left"
        words += f"; written by {held}" if held else "; nobody writes it" if found is not None else "; not begun"
        words += f"; they are of other code: {change}" if change else ""
        facts = {"out": str(self.out), "rows": total, "finished": done, "failed": failed, "left": total - done}
        return words, {**facts, "written_by": held or None, "changed": change or None}


def study(path: str) -> Study:
    """Read a configuration file; ``ValueError`` says in one line what is wrong in it, ``OSError`` if there is none."""
    file = Path(path)
    with open(file, "rb") as stream:
        try:
            found = tomllib.load(stream)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{clipped(repr(path), 120)} is not TOML: {clipped(str(error), 120)}") from None
    for name, value in found.items():
        if name not in _KINDS:
            hint = "".join(f" (did you mean {one!r}?)" for one in near(name, _KINDS))
            raise ValueError(f"{name}: is not a name of a study{hint}; allowed: {', '.join(_KINDS)}")
        kinds, allowed = _KINDS[name]
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise ValueError(f"{name}: {shown(value)} is not allowed; allowed: {allowed}")
    for name in ("run", "grid"):
        if name not in found:
            raise ValueError(f"{name} is missing in {clipped(repr(path), 120)}; allowed: {_KINDS[name][1]}")
    options = {name: value for name, value in found.items() if name not in ("run", "grid", "out")}
    out = file.absolute().parent / found.get("out", "results.jsonl")
    return Study(function(found["run"], file.absolute().parent), found["grid"], out, options)


def function(name: str, folder: Path) -> Callable[..., Any]:
    """The function of "module:function", whose module may stand in ``folder``; ``ValueError`` where there is none."""
    module, colon, inner = name.partition(":")
    if not colon or not all(part.isidentifier() for part in (*module.split("."), *inner.split("."))):
        raise ValueError(f"run: {shown(name)} is not allowed; allowed: text, as 'study:run'")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))  # which the processes that run rows take over
    importlib.invalidate_caches()
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        words, place = clipped(" ".join(str(error).split()), 120), clipped(repr(os.fspath(folder)), 60)
        raise ValueError(
            f"run: {shown(name)} cannot be imported: {words}; allowed: a module that Python finds from {place}"
        ) from None
    except Exception as error:
        words = clipped(" ".join(str(error).split()), 120)
        raise ValueError(f"run: {shown(name)} cannot be imported: {type(error).__name__}: {words}") from None
    for part in inner.split("."):
        if not hasattr(found, part):
            hint = "".join(f" (did you mean {one!r}?)" for one in near(part, dir(found)))
            raise ValueError(f"run: {shown(name)}: there is no {part!r}{hint}; allowed: a function of {module}")
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"run: {shown(name)} is {shown(found)}; allowed: a function")
    return found
