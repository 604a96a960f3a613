"""Record the defaults of PyTorch's arguments: python -m tests.recorded.record_defaults (torch 2.13)."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import torch

import halfsim as hs

RECORDED = Path(__file__).with_name("defaults.json")
ROOMS = [
    "amp", "autograd", "autograd.functional", "cuda.amp", "linalg", "nn", "nn.functional", "nn.init", "nn.utils",
    "nn.utils.parametrizations", "nn.utils.parametrize", "nn.utils.rnn", "optim", "optim.lr_scheduler",
    "optim.swa_utils", "signal.windows", "special", "utils.checkpoint", "utils.data",
]  # fmt: skip


def of(path: str, root: Any) -> Any:
    return reduce(getattr, path.split("."), root) if path else root


def names() -> Iterator[str]:
    """Every function and class that both have, and every method of these."""
    for room in ["", *ROOMS]:
        ours, theirs = of(room, hs), of(room, torch)
        for name in sorted(ours.__all__ if room else dir(ours)):  # at the top level, the operations too
            if name.startswith("_") or not callable(getattr(theirs, name, None)) or not callable(getattr(ours, name)):
                continue
            path = f"{room}.{name}".lstrip(".")
            if name != "Tensor":
                yield path
            kind = getattr(ours, name)
            for method in sorted(vars(kind) if name != "Tensor" else dir(kind)) if inspect.isclass(kind) else ():
                own = not method.startswith("_") and callable(getattr(kind, method))
                if own and callable(getattr(getattr(theirs, name), method, None)):
                    yield f"{path}.{method}"


def plain(value: Any) -> Any:
    """A default as JSON has it: the one number of a list of equal ones, the name of a function."""
    if isinstance(value, (list, tuple)):
        return plain(value[0]) if len({*map(repr, value)}) == 1 else list(value) or None
    return value.__name__ if inspect.isfunction(value) else value


def shown(function: Any) -> dict[str, Any]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return {}
    return {p.name: plain(p.default) for p in parameters if p.default is not p.empty}


def theirs(path: str) -> dict[str, Any]:
    """What PyTorch's function takes where nothing is given; of one in C++ by its schemas, where they agree."""
    found = shown(of(path, torch))
    if found:
        return found
    room, _, name = path.rpartition(".")
    prefix = {"linalg": "linalg_", "special": "special_"}.get(room, "")
    several: dict[str, list[Any]] = {}
    for schema in torch._C._jit_get_schemas_for_operator(f"aten::{prefix}{name}"):
        for argument in schema.arguments:
            if argument.has_default_value():
                several.setdefault(argument.name, []).append(plain(argument.default_value))
    return {key: values[0] for key, values in several.items() if len({*map(repr, values)}) == 1}


def kind(value: Any) -> type:
    return float if type(value) is int else type(value)


def recorded() -> dict[str, dict[str, Any]]:
    """By path, then by name; None that stands for what is a number there, as ``dx`` of `trapezoid`, is left out."""
    found = {}
    for path in names():
        ours, there = shown(of(path, hs)), theirs(path)
        shared = {name: there[name] for name in ours if name in there and kind(there[name]) is kind(ours[name])}
        if shared:
            found[path] = shared
    return found


if __name__ == "__main__":
    rows = [f"{json.dumps(path)}: {json.dumps(found)}" for path, found in sorted(recorded().items())]
    RECORDED.write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")
