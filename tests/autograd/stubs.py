"""The types of a tensor's methods: ``python -m tests.autograd.stubs --write`` makes methods.pyi of the operations."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import halfsim as hs
from halfsim.autograd.methods import IN_PLACE, METHODS
from halfsim.autograd.operators import OPS

PATH = Path(hs.__file__).parent / "autograd" / "methods.pyi"

HEAD = '''"""Made by ``python -m tests.autograd.stubs --write`` of the operations of `halfsim.ops`; not to be edited."""

from collections.abc import Sequence
from typing import Any

from halfsim.autograd.arithmetic import Axis
from halfsim.autograd.ops._common import Picked
from halfsim.autograd.tensor import Tensor

METHODS: list[str]
IN_PLACE: list[str]

class Methods:
'''
KNOWN = {"Any", "Sequence", "Axis", "Picked", "Tensor", "Array", "Literal", "int", "float", "bool", "str", "None"}
KNOWN |= {"tuple", "list", "object"}


def shown(annotation: Any) -> str:
    """An annotation as a stub has it: as written where the stub knows every word of it, else ``Any``."""
    if annotation is inspect.Parameter.empty:
        return "Any"
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "Any")
    words = set(re.findall(r"[A-Za-z_]\w*", re.sub(r"'[^']*'|\"[^\"]*\"", "", text)))
    return text if words <= KNOWN else "Any"


def signature(name: str, function: Any, in_place: bool) -> str:
    """One method's line."""
    given = list(inspect.signature(function).parameters.values())[1:]
    parts, seen_star = ["self"], False
    for p in given:
        kind = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        if p.kind is p.KEYWORD_ONLY and not seen_star:
            parts.append("*")
        seen_star = seen_star or p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
        operand = p.default is p.empty and shown(p.annotation) == "Array"
        words = "Any" if operand else shown(p.annotation).replace("Array", "Any")
        parts.append(f"{kind}{p.name}: {words}{'' if p.default is p.empty else ' = ...'}")
    result = "Tensor" if in_place else shown(inspect.signature(function).return_annotation)
    return f"    def {name}{'_' if in_place else ''}({', '.join(parts)}) -> {result}: ..."


def lines() -> Iterator[str]:
    for name in METHODS:
        yield signature(name, OPS[name], in_place=False)
    for name in IN_PLACE:
        yield signature(name, OPS[name], in_place=True)


def made() -> str:
    return HEAD + "\n".join(lines()) + "\n"


if __name__ == "__main__":
    if "--write" in sys.argv:
        PATH.write_text(made(), encoding="utf-8")
    else:
        print(made())
