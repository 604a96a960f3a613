"""The parts of a module by path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from halfsim.numerics.formats import unknown

if TYPE_CHECKING:
    from halfsim.nn.module import Module

_Part = TypeVar("_Part")


def join(path: str, name: str) -> str:
    """The path of a part called ``name``."""
    return f"{path}.{name}" if path else name


def first_met(pairs: Iterable[tuple[str, _Part]]) -> Iterator[tuple[str, _Part]]:
    """The pairs whose second part is met for the first time."""
    seen: set[int] = set()
    for name, part in pairs:
        if id(part) not in seen:
            seen.add(id(part))
            yield name, part


def walk(module: Module, path: str = "") -> Iterator[tuple[str, Module]]:
    """Every module from ``module`` down, as often as it is held."""
    yield path, module
    for name, inner in module._modules.items():
        if inner is not None:
            yield from walk(inner, join(path, name))


def unseen(module: Module, path: str, seen: set[Module]) -> Iterator[tuple[str, Module]]:
    """Every module from ``module`` down that is not in ``seen``, which then has it."""
    if module not in seen:
        seen.add(module)
        yield path, module
        for name, inner in module._modules.items():
            if inner is not None:
                yield from unseen(inner, join(path, name), seen)


def parts(module: Module, table: str, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Any]]:
    """Every parameter or buffer, as often as it is held; ``table`` is "_parameters" or "_buffers"."""
    for path, owner in walk(module, prefix) if recurse else [(prefix, module)]:
        for name, part in getattr(owner, table).items():
            if part is not None:
                yield join(path, name), part


def at(kind: str, path: str, found: Mapping[str, Any]) -> Any:
    """The part at ``path``; ``AttributeError`` that names the nearest path."""
    if path not in found:
        raise AttributeError(str(unknown(kind, path, [name for name in found if name] or ["none"])))
    return found[path]


def described(module: Module) -> str:
    """A module as PyTorch prints it: what it says of itself, then its parts; equal ones in a row of a list as one."""
    rows = [*module.extra_repr().split("\n")] if module.extra_repr() else []
    inner: list[tuple[str, str, str]] = []  # first name, last name, text
    for name, part in module._modules.items():
        text = repr(part)
        if _is_list(module) and inner and inner[-1][2] == text:
            inner[-1] = (inner[-1][0], name, text)
        else:
            inner.append((name, name, text))
    if not inner and len(rows) < 2:
        return f"{type(module).__name__}({''.join(rows)})"
    for first, last, text in inner:
        times = int(last) - int(first) + 1 if first != last else 1
        label = f"({first}): " if first == last else f"({first}-{last}): {times} x "
        rows.append(label + text.replace("\n", "\n  "))
    return f"{type(module).__name__}(\n" + "".join(f"  {row}\n" for row in rows) + ")"


def _is_list(module: Module) -> bool:
    return type(module).__name__ == "ModuleList"
