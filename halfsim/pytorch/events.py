"""A kernel as an operation of halfsim's: what an observer is told of it, and how it runs again on other numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.observer import Observer
from halfsim.autograd.scope import scoped
from halfsim.autograd.tape import Node, Op, unit
from halfsim.autograd.tensor import Tensor
from halfsim.autograd.trace.shadow import Shadow
from halfsim.frames import caller
from halfsim.numerics.precision import native
from halfsim.pytorch.aten import FLOATS
from halfsim.pytorch.held import array_of, tensor_of

_RANDOM = ("native_dropout", "rrelu_with_noise", "bernoulli", "normal", "_fused_dropout")
_STEPS = {"addcdiv": "div", "addcmul": "mul"}  # kernels of two steps, the second of which adds


class Told(Op):
    """A kernel of PyTorch's as an operation: its formula runs the kernel on the arrays that it is given."""

    __slots__ = ()

    def __init__(self, name: str, formula: Callable[..., Any], category: str | None, exact: bool, count: int) -> None:
        self.formula, self.category, self.exact, self.view = formula, category, exact, False
        self.name, self.operands, self.required, self.options = name, ["x", "y", "z"][:count], [], []


class _Leaf:
    """A tensor that takes a gradient, as a trace asks for it: with a name, a shape, and nothing behind it."""

    node = None

    def __init__(self, name: str, shape: Any) -> None:
        self.name, self.shape = name, shape


class _Inner(_Leaf):
    """An operand inside the graph, whose gradient goes on."""

    node = True  # type: ignore[assignment]

    def __init__(self, shape: Any) -> None:
        super().__init__("", shape)


def _as_leaf(mode: Any, call: Any) -> _Leaf:
    path, name = mode.places.parameter(call.leaf)
    return _Leaf(f"{path}.{name}" if path else name, tuple(call.leaf.shape))


def exchanged(
    floats: Sequence[torch.Tensor], operands: Sequence[Tensor], arrays: Sequence[Any]
) -> dict[int, torch.Tensor]:
    """The tensors to compute with, where they are not those of the program."""
    found = {}
    for t, x, array in zip(floats, operands, arrays, strict=True):
        if array is not x.array or t.dtype in (torch.float16, torch.bfloat16) or not _shares(t, array):
            found[id(t)] = torch.from_numpy(array if array.flags.writeable else array.copy())
    return found


def _shares(t: torch.Tensor, array: Any) -> bool:
    return t.data_ptr() == array.__array_interface__["data"][0] and t.element_size() == array.itemsize


def replaced(x: Any, swap: dict[int, Any]) -> Any:
    """Arguments or results with other tensors in the place of some, in lists and tuples too."""
    if isinstance(x, torch.Tensor):
        return swap.get(id(x), x)
    if isinstance(x, (list, tuple)):
        made = [replaced(item, swap) for item in x]
        return type(x)(made) if not hasattr(x, "_fields") else type(x)(*made)
    return x


def computed_by(fp: Arithmetic, call: Any, y: Any, arrays: Sequence[Any]) -> Any:
    """Let the unit see what a kernel computed, as the kind of operation that it is."""
    kernel = call.kernel
    if call.exact:
        return y
    name = kernel.name
    operands: list[Any] = list(arrays)
    if kernel.elementary and not kernel.backward and call.phase != "backward":
        operands = _as_operands(fp, call, arrays)
        name = {"reciprocal": "div"}.get(name, name)
    elif kernel.elementary:
        operands = _as_operands(fp, call, arrays)
    elif kernel.raw in _STEPS and len(arrays) == 3:
        step, (a, b, c) = _STEPS[kernel.raw], arrays
        value = fp.dtype.type(call.kwargs.get("value", 1))
        inner = fp.computed(b / c if step == "div" else b * c, step, (b, c), True)
        return fp.computed(y, "add", (a, value * inner), True)
    else:
        for x in (*call.args[1:], *call.kwargs.values()):
            if isinstance(x, float):
                fp.constant(x)
    return fp.computed(y, name, operands, kernel.elementary)


def _as_operands(fp: Arithmetic, call: Any, arrays: Sequence[Any]) -> list[Any]:
    """The operands of an elementary kernel in order, numbers of the program among them."""
    kernel, at, found = call.kernel, 0, []
    arguments = [x for x in call.args if not isinstance(x, (str, bool)) and x is not None]
    if kernel.name == "reciprocal":
        found.append(np.ones((), fp.dtype))
    for x in arguments[:2]:
        if isinstance(x, torch.Tensor) and x.dtype in FLOATS:
            found.append(arrays[at])
            at += 1
        elif isinstance(x, torch.Tensor):
            found.append(x.detach().numpy().astype(fp.dtype))
        elif isinstance(x, (int, float)):
            decay = call.phase == "optimizer" and kernel.name == "mul"  # which is told by what it does, see `_moved`
            found.append(np.asarray(fp.dtype.type(x) if decay else fp.constant(float(x))))
    alpha = call.kwargs.get("alpha", 1)
    if alpha != 1 and len(found) > 1:
        found[1] = np.asarray(found[1] * fp.dtype.type(alpha))
    if kernel.raw == "rsub" and len(found) > 1:
        found = found[::-1]
    return found


def _given(call: Any, operands: Sequence[Tensor], arrays: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The operands of a call as an observer is to see them, numbers of the program among them, with the arrays."""
    decay = call.phase == "optimizer" and call.kernel.name == "mul"
    if not call.kernel.elementary or call.kernel.foreach or decay:
        return list(operands), list(arrays)
    at = 0
    found: list[Any] = []
    read: list[Any] = []
    for x in [x for x in call.args if not isinstance(x, (str, bool)) and x is not None][:2]:
        if isinstance(x, torch.Tensor) and x.dtype in FLOATS:
            found.append(operands[at])
            read.append(arrays[at])
            at += 1
        elif isinstance(x, torch.Tensor):
            found.append(x.detach().numpy())
            read.append(found[-1])
        elif isinstance(x, (int, float)):
            found.append(float(x))
            read.append(np.asarray(float(x)))
    return (found[::-1], read[::-1]) if call.kernel.raw == "rsub" else (found, read)


def tell(
    mode: Any, call: Any, observer: Observer, fp: Arithmetic, out: Tensor, operands: Sequence[Tensor],
    arrays: Sequence[Any], label: str,
) -> None:  # fmt: skip
    """Tell of one result: as an operation, as a gradient, or as the sum of two gradients."""
    if call.phase == "backward":
        spec = operation(call, operands, operands)
        node = Node(spec, call.path, call.precision, list(operands[1:]), [spec.formula], (None, call.line, call.broken))
        g = operands[0] if operands else out
        if call.leaf is not None:
            out.name = mode.places.parameter(call.leaf)[1]
            if len(operands) > 1:
                observer.total(call.path, _as_leaf(mode, call), fp, out, operands[0], operands[1])  # type: ignore[arg-type]
                return
        observer.gradients(node, g, [(0, _Inner(out.shape), out, fp)])  # type: ignore[list-item]
        return
    given, read = _given(call, operands, arrays)
    seen = observer.result(operation(call, given, operands), fp, out, given, read, ((), {}), label)
    if seen is not None and call.phase == "forward":
        call.broken = seen[2]


def floats_of(args: Any) -> list[torch.Tensor]:
    """The tensors of floats among arguments, in lists too."""
    found = []
    for x in args:
        if isinstance(x, torch.Tensor) and x.dtype in FLOATS and x.layout is torch.strided:
            found.append(x)
        elif isinstance(x, (list, tuple)):
            found += floats_of(x)
    return found


def operation(call: Any, given: Sequence[Any], operands: Sequence[Tensor]) -> Told:
    """The call as an operation that may be run again on other numbers, those of its ``given`` operands."""
    floats, func, args, kwargs, output = call.floats, call.func, call.args, call.kwargs, call.output
    at = {id(x): i for i, x in enumerate(given)}
    spots = [(id(t), at[id(x)]) for t, x in zip(floats, operands, strict=True) if id(x) in at]

    def run(fp: Any, *arrays: Any) -> Any:
        wide = np.float64 if fp is not None and fp.precision.storage.bits > 32 else np.float32
        read = [arrays[i] for _, i in spots]
        with np.errstate(all="ignore"):
            swap = {key: torch.from_numpy(np.array(arrays[i], wide)) for key, i in spots}
        for x in floats_of((*args, *kwargs.values())):
            if id(x) not in swap:
                swap[id(x)] = torch.from_numpy(
                    np.array(array_of(x), wide)
                )  # what the kernel writes is not the program's
        random = torch.get_rng_state() if call.kernel.raw in _RANDOM else None
        out = func(*replaced(args, swap), **{k: replaced(v, swap) for k, v in kwargs.items()})
        if random is not None:
            torch.set_rng_state(random)
        first = swap[id(call.targets[0])] if call.targets else floats_of([out])[output]
        y = first.detach().numpy()
        y = y if y.dtype == wide else y.astype(wide)
        own = len(read) == len(call.floats) and fp is not None
        return (computed_by(fp, call, y, read) if own else y), ()

    return Told(call.name, run, call.kernel.category, call.exact, len(given))


def leaf(mode: Any, observer: Observer, p: Any, grad: torch.Tensor, path: str, known: Any) -> None:
    """Tell of a gradient that has reached its parameter as it is, with its size."""
    g = tensor_of(grad, known, observer)
    _, name = mode.places.parameter(p)
    line = caller()
    spec = Told("accumulate", lambda fp, *arrays: (arrays[0] if arrays else g.array, ()), None, True, 1)
    with scoped(phase="backward", path=path), np.errstate(all="ignore"):
        fp = unit(observer, native(g.format), "gradient")
        node = Node(spec, path, native(g.format), [], [spec.formula], (None, line, None))
        out = Tensor(g.array, g.format, name=name)
        fp.store(out.array, [out.array], True)
        target = _Leaf(f"{path}.{name}" if path else name, tuple(p.shape))
        observer.gradients(node, g, [(0, target, out, fp)])  # type: ignore[list-item]
        if isinstance(out.shadow, Shadow):
            g.shadow = out.shadow
