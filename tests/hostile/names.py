"""Every public name: functions, classes, methods and attributes of what classes make, operators, NumPy's functions."""

from __future__ import annotations

import functools
import inspect
import operator
import types
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import halfsim as hs
from halfsim.autograd.numpy_protocol import numpy_functions
from halfsim.autograd.observer import Observer
from halfsim.autograd.operators import OPS
from tests.hostile import made

ROOMS = """hs hs.ops hs.nn hs.nn.functional hs.nn.init hs.nn.utils hs.nn.utils.rnn hs.optim hs.optim.lr_scheduler
    hs.optim.swa_utils hs.amp hs.autograd hs.autograd.functional hs.checkpoint hs.data hs.distributions hs.elementary
    hs.ieee hs.hardware hs.linalg hs.special hs.signal.windows hs.utils.data hs.array_api hs.array_api.linalg hs.cuda
    hs.backends hs.plot hs.formats""".split()  # noqa: SIM905

# An object of each class whose constructor cannot be guessed; others are made by a call that was found to work.
MADE: dict[str, tuple[str, ...]] = {
    "Tensor": (
        "hs.tensor(np.arange(12.0).reshape(3, 4) / 4 - 1)", "hs.tensor([0.5, 0.25, 0.75])", "hs.tensor(0.5)",
        "hs.tensor([0, 1, 2])", "hs.tensor([True, False])", "hs.tensor(np.eye(3) + 0.5, 'fp16', requires_grad=True)",
        "hs.tensor(np.zeros((2, 0)))", "hs.tensor(np.arange(24.0).reshape(2, 3, 4))",
    ),
    "Format": ("hs.float16", "hs.Format('e3m4', 3, 5)", "hs.float64"),
    "Precision": ("hs.FP16", "hs.PURE_FP16", "hs.Precision('storage=bf16')"),
    "Policy": ("hs.Policy({'default': 'fp16', 'a.*': 'fp32'})", "hs.AMP"),
    "Trace": ("made.trace()",),
    "Report": ("made.trace().report()",),
    "Finding": ("made.finding()",),
    "Comparison": ("made.comparison()",),
    "Module": ("made.model()",),
    "Optimizer": ("made.optimizer()",),
    "Device": ("hs.hardware.device('A100')",),
    "Stochastic": ("hs.Stochastic(1)",),
    "Generator": ("hs.Generator()",),
    "nn.Transformer": ("hs.nn.Transformer(4, 2, 1, 1, 8)",),
    "nn.TransformerDecoder": ("hs.nn.TransformerDecoder(hs.nn.TransformerDecoderLayer(4, 2, 8), 1)",),
    "nn.TransformerDecoderLayer": ("hs.nn.TransformerDecoderLayer(4, 2, 8)",),
    "nn.TransformerEncoder": ("hs.nn.TransformerEncoder(hs.nn.TransformerEncoderLayer(4, 2, 8), 1)",),
    "nn.TransformerEncoderLayer": ("hs.nn.TransformerEncoderLayer(4, 2, 8)",),
    "Event": ("made.trace().first('nonzero')",),
}  # fmt: skip
OPERATORS = """add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift lt le gt ge eq ne neg pos abs
    invert getitem setitem delitem contains concat iadd isub imul itruediv ipow index""".split()  # noqa: SIM905
_REFLECTED = "add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift lt le gt ge eq ne".split()  # noqa: SIM905
SPECIAL = """__call__ __len__ __iter__ __getitem__ __setitem__ __delitem__ __contains__ __float__ __int__ __index__
    __bool__ __format__ __repr__ __array__ __enter__ __copy__ __or__""".split()  # noqa: SIM905


# Methods by which the engine speaks to its own: of a trace those that an operation tells it by, of a tensor kernels'.
_ENGINE = (
    "halfsim.autograd.observer",
    *(f"halfsim.autograd.trace.{room}" for room in ("watch", "notes", "follow", "counted")),
)
_OWN = {
    "Trace": {*vars(Observer), "record", "promote", "constant_behind", "around", "ran", "raised", "constant"},
    "Policy": {"rule_of"},
    "Tensor": {"receive", "take_shape", "hold", "turn"},
}


class Target(NamedTuple):
    """A public name: how it is called, on what, and its parameters."""

    name: str
    call: str
    on: tuple[str, ...]
    parameters: tuple[inspect.Parameter, ...]
    hints: dict[str, Any]
    attribute: bool = False


@functools.cache
def namespace() -> dict[str, Any]:
    """What expressions may name."""
    from tests.hostile.values import PRELUDE

    found: dict[str, Any] = {}
    exec(PRELUDE, found)
    return found


def _signature(function: Any) -> tuple[tuple[inspect.Parameter, ...], dict[str, Any]]:
    try:
        parameters = tuple(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        one = inspect.Parameter
        return (one("x", one.POSITIONAL_ONLY), one("more", one.VAR_POSITIONAL)), {}
    try:
        hints = typing.get_type_hints(inspect.unwrap(function.__init__ if inspect.isclass(function) else function))
    except (NameError, TypeError, AttributeError):
        hints = {}
    return parameters, hints


def _function(name: str, function: Any, call: str = "") -> Target:
    return Target(name, f"{call or name}({{}})", (), *_signature(function))


def _public(module: Any) -> list[str]:
    listed = getattr(module, "__all__", None)
    return sorted({*listed} if listed is not None else {n for n in dir(module) if n[:1] != "_"})


def functions() -> Iterator[Target]:
    """Functions and constructors, each by the first of the names it has in the rooms."""
    seen = set()
    for room in ROOMS:
        try:
            module = operator.attrgetter(room.partition(".")[2])(hs) if "." in room else hs
        except AttributeError:
            continue
        names = _public(module)
        if room == "hs":
            names = sorted({*names, *hs.ported.__all__})
        for name in names:
            found = getattr(module, name, None)
            own = str(getattr(found, "__module__", "halfsim")).startswith("halfsim")
            elsewhere = not hasattr(module, "__all__") and getattr(found, "__module__", "") != module.__name__
            if not callable(found) or inspect.ismodule(found) or not own or elsewhere or id(found) in seen:
                continue
            seen.add(id(found))
            if room == "hs.formats" and name not in ("register", "as_format"):
                continue  # what other rooms ask of formats
            if found is hs.Event:
                continue  # which the engine alone makes
            if not isinstance(found, (hs.Format, np.ufunc)) and not typing.get_origin(found):
                yield _function(f"{room}.{name}", found)


def methods(makers: dict[str, tuple[str, ...]]) -> Iterator[Target]:
    """Methods and attributes of the objects that ``makers`` make, by the name of their class; each of its own class."""
    seen: set[Any] = set()
    for owner, expressions in makers.items():
        try:
            thing = eval(expressions[0], namespace())
        except Exception:
            continue
        kind = type(thing)
        if not kind.__module__.startswith("halfsim"):
            continue
        for name in sorted(dir(kind)):
            if name[:1] == "_" and name not in SPECIAL:
                continue
            base = next((c for c in kind.__mro__ if name in vars(c)), None)
            if base is None or not base.__module__.startswith("halfsim") or base.__module__ in _ENGINE:
                continue
            if any(name in _OWN.get(c.__name__, ()) for c in kind.__mro__):
                continue
            if (base, name) in seen and name not in ("__call__", "step"):
                continue
            seen.add((base, name))
            found = vars(base)[name]
            if isinstance(found, (types.MethodDescriptorType, types.WrapperDescriptorType)):
                continue  # Python's own, of an enumeration
            shown = f"{owner}.{name}"
            if name == "__call__" and hasattr(kind, "forward"):
                yield Target(shown, "{}({})", expressions, *_signature(thing.forward))
            elif callable(found) or isinstance(found, (classmethod, staticmethod)):
                method = OPS.get(name.removesuffix("_")) if kind is hs.Tensor and name in _operations() else None
                parameters, hints = _signature(method or getattr(thing, name))
                yield Target(shown, f"{{}}.{name}({{}})", expressions, parameters[method is not None :], hints)
            else:
                yield Target(shown, f"{{}}.{name}", expressions, (), {}, attribute=True)


def _operations() -> set[str]:
    from halfsim.autograd.methods import IN_PLACE, METHODS

    return {*METHODS, *(f"{name}_" for name in IN_PLACE)}


def operators() -> Iterator[Target]:
    one = inspect.Parameter
    for name in OPERATORS:
        count = len(inspect.signature(getattr(operator, name)).parameters)
        rest = tuple(one(n, one.POSITIONAL_ONLY) for n in ("other", "value")[: count - 1])
        yield Target(f"operator.{name}", f"operator.{name}({{}}, {{}})", MADE["Tensor"], rest, {})
        if name in _REFLECTED:
            yield Target(f"operator.{name} reflected", f"operator.{name}({{1}}, {{0}})", MADE["Tensor"], rest, {})


def numpy_names() -> Iterator[Target]:
    """NumPy's functions that run on the unit, and all ufuncs."""
    ufuncs = {n for n in dir(np) if isinstance(getattr(np, n), np.ufunc)}
    for name in sorted({*numpy_functions, *ufuncs}):
        try:
            function = operator.attrgetter(name)(np)
        except AttributeError:
            continue
        one = inspect.Parameter
        if isinstance(function, np.ufunc):
            parameters = tuple(one(f"x{i + 1}", one.POSITIONAL_ONLY) for i in range(function.nin))
            parameters += (one("where", one.KEYWORD_ONLY, default=True), one("dtype", one.KEYWORD_ONLY, default=None))
            yield Target(f"np.{name}", f"np.{name}({{}})", (), parameters, {})
        else:
            yield _function(f"np.{name}", function)


def targets(makers: dict[str, tuple[str, ...]]) -> list[Target]:
    """All of them, sorted; ``makers`` say how the objects are made whose methods are called."""
    found = [*functions(), *methods({**makers, **MADE}), *operators(), *numpy_names()]
    return sorted({t.name: t for t in found}.values(), key=lambda t: t.name)


assert made  # which expressions name
