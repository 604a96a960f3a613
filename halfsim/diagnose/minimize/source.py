"""Values and functions as Python source that makes them again, bit for bit."""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
import sys
import types
from functools import lru_cache
from math import copysign, isinf, isnan
from typing import Any

import numpy as np

from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import Format, Integer, float16, float32, float64
from halfsim.numerics.quantize import Array, round_to

_NAMESPACES = {
    "hs": "halfsim",
    "hs.ops": "halfsim.autograd.ops",
    "hs.nn": "halfsim.nn",
    "hs.nn.functional": "halfsim.nn.functional",
    "hs.nn.utils": "halfsim.nn.utils",
    "hs.elementary": "halfsim.numerics.elementary",
    "hs.ieee": "halfsim.numerics.ieee",
    "np": "numpy",
    "np.linalg": "numpy.linalg",
    "np.fft": "numpy.fft",
    "math": "math",
}
_IMPORTS = {"hs": "import halfsim as hs", "np": "import numpy as np"}
_KINDS = {float16: np.float16, float32: np.float32, float64: np.float64}
_SMALL = 64  # elements of an array that a script spells out because a function refers to it


def decimal(x: float, fmt: Format) -> str:
    """The shortest decimal that rounds to ``x`` in ``fmt``."""
    if isnan(x):
        return "np.nan"
    sign = "-" if copysign(1.0, x) < 0 else ""
    return sign + ("np.inf" if isinf(x) else _digits(abs(x), fmt))


@lru_cache(maxsize=4096)
def _digits(x: float, fmt: Format) -> str:
    if fmt in _KINDS:
        return f"{float(str(_KINDS[fmt](x)))!r}"
    return next(
        f"{float(f'{x:.{digits}g}')!r}" for digits in range(1, 18) if round_to(float(f"{x:.{digits}g}"), fmt) == x
    )


def of_array(x: Array, fmt: Format | None) -> str:
    """The source of the nested lists that have the values of ``x``."""
    if x.ndim:
        return f"[{', '.join(of_array(row, fmt) for row in x)}]"
    if fmt is None:
        return repr(x.item())
    return decimal(float(x), fmt)


def literal(value: Any) -> str | None:
    """The source of ``value``; None where there is none."""
    if isinstance(value, Tensor):
        more = ", requires_grad=True" if value.requires_grad else ""
        fmt = None if isinstance(value.format, Integer) else value.format
        name = value.format.name if fmt is None else fmt.spelled
        return f"hs.tensor({_content(value.array, fmt)}, {name!r}{more})"
    if isinstance(value, np.ndarray):
        fmt = next((fmt for fmt, kind in _KINDS.items() if value.dtype == kind), None)
        return None if value.dtype.kind not in "biuf" else f"np.array({_content(value, fmt)}, np.{value.dtype.name})"
    if isinstance(value, np.generic):
        return f"np.{value.dtype.name}({value.item()!r})" if np.isfinite(value) else None
    if isinstance(value, float):
        return decimal(value, float64)
    if value is None or isinstance(value, (bool, int, str, bytes)) or value is Ellipsis:
        return repr(value)
    if isinstance(value, slice):
        return repr(value)
    if isinstance(value, (list, tuple)):
        items = [literal(item) for item in value]
        if any(item is None for item in items):
            return None
        inner = ", ".join(filter(None, items))
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(items) == 1)})"
    if isinstance(value, dict):
        pairs = [(literal(key), literal(item)) for key, item in value.items()]
        return None if any(None in pair for pair in pairs) else f"{{{', '.join(f'{k}: {v}' for k, v in pairs)}}}"
    if isinstance(value, Format):
        return f"hs.{value.name}" if getattr(sys.modules["halfsim"], value.name, None) == value else f"hs.{value!r}"
    return public(value)


def _content(x: Array, fmt: Format | None) -> str:
    """The values of an array, in short where they are all the same."""
    if x.size > 8 and len({value.tobytes() for value in x.ravel()}) == 1:
        return f"np.full({x.shape}, {of_array(x.ravel()[0].reshape(()), fmt)})"
    if not x.size:
        return f"np.zeros({x.shape})"
    return of_array(x, fmt)


def public(value: Any) -> str | None:
    """The name under which halfsim, NumPy or math has ``value``, as "hs.ops.exp"."""
    name, home = getattr(value, "__name__", None), str(getattr(value, "__module__", ""))
    if not isinstance(value, np.ufunc) and home.partition(".")[0] not in ("halfsim", "numpy", "math"):
        return None
    for prefix, module in _NAMESPACES.items():
        if isinstance(name, str) and getattr(sys.modules.get(module), name, None) is value:
            return f"{prefix}.{name}"
    return None


class Source:
    """The lines that a script needs before it can use what was added."""

    def __init__(self) -> None:
        self.imports: dict[str, None] = {}
        self.lines: list[str] = []
        self.missing: list[str] = []  # what could not be written down
        self._known: dict[str, Any] = {}

    def uses(self, text: str) -> str:
        """``text``, whose modules are imported."""
        for name, line in _IMPORTS.items():
            if f"{name}." in text:
                self.imports[line] = None
        if text.startswith("math."):
            self.imports["import math"] = None
        return text

    def function(self, fn: Any, name: str) -> str | None:
        """The expression by which the script calls ``fn``, defined there as ``name`` if need be; None for no source."""
        known = public(fn)
        if known is not None:
            return self.uses(known)
        node = _node(fn)
        if node is None:
            return None
        if isinstance(node, ast.Lambda):
            text = f"{name} = {ast.unparse(node)}"
        else:
            name, text = node.name, ast.unparse(node)
        if name not in self._known:
            self._known[name] = fn
            self._around(fn, node)
            self.lines.append(text)
        return name

    def _around(self, fn: Any, node: ast.AST) -> None:
        """Define what a function refers to outside itself."""
        cells = zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True)
        outer = {**fn.__globals__, **{name: cell.cell_contents for name, cell in cells}}
        used = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
        bound = {*fn.__code__.co_varnames, fn.__name__}
        for name in dict.fromkeys(used):
            if name in bound or name in self._known or name not in outer:
                if name not in bound and name not in self._known and not hasattr(builtins, name):
                    self.missing.append(name)
                continue
            self._known[name] = outer[name]
            self._define(name, outer[name])

    def _define(self, name: str, value: Any) -> None:
        if isinstance(value, types.ModuleType):
            plain = value.__name__ == name
            self.imports[f"import {name}" if plain else f"import {value.__name__} as {name}"] = None
            return
        text = None if getattr(value, "size", 0) > _SMALL else literal(value)
        if text is not None:
            self.lines.append(f"{name} = {self.uses(text)}")
            return
        del self._known[name]
        known = self.function(value, name) if isinstance(value, types.FunctionType) else None
        if known is None:
            self.missing.append(name)
        elif known != name:
            self.lines.append(f"{name} = {known}")
        self._known[name] = value


def _node(fn: Any) -> Any:
    """The syntax tree of a function or lambda that has a source; of several lambdas in a line, the one that fits."""
    if not isinstance(fn, types.FunctionType):
        return None
    code = fn.__code__
    try:
        filename = inspect.getsourcefile(fn) or code.co_filename
        tree = ast.parse("".join(linecache.getlines(filename, fn.__globals__)))
    except (SyntaxError, TypeError, OSError):
        return None
    kind = ast.Lambda if fn.__name__ == "<lambda>" else ast.FunctionDef
    found = [n for n in ast.walk(tree) if isinstance(n, kind) and n.lineno == code.co_firstlineno]
    if len(found) > 1:
        found = [n for n in found if _same(n, code)]
    if not found:
        return None
    for part in ast.walk(found[0]):  # annotations refer to names that the script does not need
        if isinstance(part, ast.arg):
            part.annotation = None
        elif isinstance(part, ast.FunctionDef):
            part.returns = None
    return found[0]


def _same(node: Any, code: types.CodeType) -> bool:
    """Whether a lambda has the names and the constants of ``code``."""
    made = compile(ast.Expression(node), "", "eval").co_consts[0]
    names = {*code.co_names, *code.co_freevars}, code.co_varnames
    return ({*made.co_names, *made.co_freevars}, made.co_varnames) == names and made.co_consts == code.co_consts
