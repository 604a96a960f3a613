"""One kernel told to whoever watches: as an operation of halfsim's, with the same counts and the same events."""

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
from halfsim.numerics.formats import float32
from halfsim.numerics.precision import native
from halfsim.pytorch.aten import FLOATS, KEEP
from halfsim.pytorch.faithful import computed
from halfsim.pytorch.held import array_of, held, mark, part, reading, round_in_place, tensor_of

_SHRINKS = ("mul_", "_foreach_mul_")
_RANDOM = ("native_dropout", "rrelu_with_noise", "bernoulli", "normal", "_fused_dropout")
_STEPS = {"addcdiv": "div", "addcmul": "mul"}  # kernels of two steps, the second of which adds
_MOVES = ("add", "sub", "addcdiv", "lerp", "addcmul", "copy")


class Told(Op):
    """A kernel of PyTorch's as an operation: its formula runs the kernel on the arrays that it is given."""

    __slots__ = ()

    def __init__(self, name: str, formula: Callable[..., Any], category: str | None, exact: bool, count: int) -> None:
        self.formula, self.category, self.exact, self.view = formula, category, exact, False  # type: ignore[misc]
        self.name, self.operands, self.required, self.options = name, ["x", "y", "z"][:count], [], []  # type: ignore[misc]


class _Leaf:
    """A tensor that takes a gradient, as a trace asks for it: with a name, a shape, and nothing behind it."""

    node = None

    def __init__(self, name: str, shape: Any) -> None:
        self.name, self.shape = name, shape


def told(mode: Any, call: Any, observer: Observer | None) -> Any:
    """Run a kernel through a unit that may count, keep its results, and tell the observer."""
    precision, kernel = call.precision, call.kernel
    with mode.scoped_in(call), np.errstate(all="ignore"):
        targets = call.targets
        operands: list[Tensor] = []
        for x in call.floats:
            operands.append(tensor_of(x, held(x, mode), observer))
        label = _label(mode, call, targets)
        if call.phase == "optimizer":
            for x in (*targets, *call.floats):
                if _place(mode, call, x):
                    break
        fp = unit(observer, precision, label)
        arrays = [
            x.array if held(t, mode).inner else fp.read(x.array, x.format, call.exact)
            for t, x in zip(call.floats, operands, strict=True)
        ]
        line = caller() if call.line is None else call.line
        call.line = line
        if kernel.made or (kernel.raw == "_to_copy" and not call.floats):
            return _made(mode, call, observer, targets)
        if targets:
            return _in_place(mode, call, observer, fp, operands, arrays, targets, label)
        swap = _swap(call.floats, operands, arrays)
        wide = [] if fp.dtype == np.float32 else call.stats
        swap |= {id(x): x.double() for x in wide}
        out = call.func(*_with(call.args, swap), **{k: _with(v, swap) for k, v in call.kwargs.items()})
        for x in wide:
            x.copy_(swap[id(x)])
        results = [r for r in (out if isinstance(out, (tuple, list)) else [out]) if isinstance(r, torch.Tensor)]
        results = [r for r in results if r.dtype in FLOATS and r.layout is torch.strided]
        if not results:
            return out
        formula = mode.own(call)
        own = [] if formula is None else computed(fp, call, formula, arrays)
        keep = call.name in KEEP and not kernel.backward
        stored = []
        for i, r in enumerate(results):
            if keep and i:
                mark(r, mode, float32, inner=True)
                continue
            if i:
                fp = unit(observer, precision, label)
            array = own[i].reshape(r.shape) if own else _computed(fp, call, r.detach().numpy(), arrays)
            stored.append((r, fp.store(np.asarray(array), arrays, call.exact), fp))
        wanted = _wanted(call)
        final = []
        for i, (r, done, one) in enumerate(stored):
            call.output = i
            made = _kept(mode, call, r, done, wanted)
            final.append(made)
            twin = Tensor(_held_array(made, done), precision.storage)
            known = mark(made, mode, precision.storage, call.wide)
            known.tensors.clear()
            if observer is not None:
                _tell(mode, call, observer, one, twin, operands, arrays, label)
            known.tensors[part(made)] = twin
        swap_out = {id(r): made for (r, _, _), made in zip(stored, final, strict=True)}
        return _with(out, swap_out)


def kernel_reads(call: Any) -> Any:
    """The integers that a conversion reads, whose rounding is one of numbers given; None of other calls."""
    if call.kernel.raw != "_to_copy" or call.floats:
        return None
    return call.args[0].detach().numpy().astype(np.float64)


def _made(mode: Any, call: Any, observer: Observer | None, targets: Sequence[torch.Tensor]) -> Any:
    """Numbers that no operand gives, as `halfsim.tensor` takes such."""
    out = call.func(*call.args, **call.kwargs)
    for y in targets or [x for x in [out] if isinstance(x, torch.Tensor) and x.dtype in FLOATS]:
        fmt = held(y, mode).format if targets else call.precision.storage
        whole = kernel_reads(call)
        values = array_of(y).copy() if whole is None else whole
        if values.dtype.kind == "f" and fmt is not float32 and not call.exact:
            round_in_place(y, fmt)
        known = mark(y, mode, fmt, call.wide if not targets else held(y, mode).wide)
        known.tensors.clear()
        known.copies.clear()
        found = known.tensors[part(y)] = Tensor(array_of(y).copy(), fmt, name=known.name)
        if observer is not None and fmt is not float32:
            observer.given(values, found, False)
    return out


def averaged(mode: Any, call: Any, observer: Observer | None, x: torch.Tensor, before: Any) -> None:
    """A kernel has moved a running average by itself: it is rounded to its own format, and told."""
    known = held(x, mode)
    goal = None if before is None else before + (x.detach().numpy() - before) / max(call.args[6], 1e-12)
    if known.format is not float32:
        round_in_place(x, known.format)
    known.copies.clear()
    known.tensors.clear()
    if observer is not None:
        with mode.scoped_in(call):
            label = "running_mean" if x is call.args[3] else "running_var"
            observer.averaged(before, array_of(x).copy(), goal, known.format, label)


def _held_array(made: torch.Tensor, done: Any) -> Any:
    """The result's array: the memory of the tensor itself, where that is the container."""
    array = array_of(made)
    return array if array.dtype == done.dtype else done


def _kept(mode: Any, call: Any, r: torch.Tensor, done: Any, wanted: torch.dtype | None) -> torch.Tensor:
    """The tensor that the program gets: the kernel's own where the numbers fit into it."""
    if wanted is not None and r.dtype != wanted:
        return torch.from_numpy(np.ascontiguousarray(done)).to(wanted).reshape(r.shape)
    own = r.detach().numpy()
    if own is not done and not np.shares_memory(own, done):
        own[...] = done
    return r


def _wanted(call: Any) -> torch.dtype | None:
    """The dtype of results where the operands are real halves; None where they are as they come."""
    real = [x.dtype for x in call.floats]
    halves = (torch.float16, torch.bfloat16)
    if not any(d in halves for d in real):
        return torch.float32 if call.precision.storage.bits <= 32 and torch.float64 not in real else None
    deep = [x.dtype for x in call.floats if x.ndim] or real
    found = deep[0]
    for d in deep[1:]:
        found = torch.promote_types(found, d)
    return found


def _swap(floats: Sequence[torch.Tensor], operands: Sequence[Tensor], arrays: Sequence[Any]) -> dict[int, torch.Tensor]:
    """The tensors to compute with, where they are not those of the program."""
    found = {}
    for t, x, array in zip(floats, operands, arrays, strict=True):
        if array is not x.array or t.dtype in (torch.float16, torch.bfloat16) or not _shares(t, array):
            found[id(t)] = torch.from_numpy(array if array.flags.writeable else array.copy())
    return found


def _shares(t: torch.Tensor, array: Any) -> bool:
    return t.data_ptr() == array.__array_interface__["data"][0] and t.element_size() == array.itemsize


def _with(x: Any, swap: dict[int, Any]) -> Any:
    if isinstance(x, torch.Tensor):
        return swap.get(id(x), x)
    if isinstance(x, (list, tuple)):
        made = [_with(item, swap) for item in x]
        return type(x)(made) if not hasattr(x, "_fields") else type(x)(*made)
    return x


def _computed(fp: Arithmetic, call: Any, y: Any, arrays: Sequence[Any]) -> Any:
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
    """The operands of a call as an observer is to see them, with the arrays: numbers of the program stand among them."""
    decay = call.phase == "optimizer" and call.kernel.name == "mul"
    if not call.kernel.elementary or call.kernel.foreach or decay:
        return list(operands), list(arrays)
    at, found, read = 0, [], []
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


def _tell(
    mode: Any, call: Any, observer: Observer, fp: Arithmetic, out: Tensor, operands: Sequence[Tensor],
    arrays: Sequence[Any], label: str,
) -> None:  # fmt: skip
    if call.phase == "backward":
        spec = _spec(call, operands, operands)
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
    seen = observer.result(_spec(call, given, operands), fp, out, given, read, ((), {}), label)
    if seen is not None and call.phase == "forward":
        call.broken = seen[2]


class _Inner(_Leaf):
    """An operand inside the graph, whose gradient goes on."""

    node = True  # type: ignore[assignment]

    def __init__(self, shape: Any) -> None:
        super().__init__("", shape)


def _as_leaf(mode: Any, call: Any) -> _Leaf:
    path, name = mode.places.parameter(call.leaf)
    return _Leaf(f"{path}.{name}" if path else name, tuple(call.leaf.shape))


def _spec(call: Any, given: Sequence[Any], operands: Sequence[Tensor]) -> Told:
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
                swap[id(x)] = x.detach().clone()  # what the kernel writes is not the program's
        random = torch.get_rng_state() if call.kernel.raw in _RANDOM else None
        out = func(*_with(args, swap), **{k: _with(v, swap) for k, v in kwargs.items()})
        if random is not None:
            torch.set_rng_state(random)
        first = swap[id(call.targets[0])] if call.targets else floats_of([out])[output]
        y = first.detach().numpy()
        y = y if y.dtype == wide else y.astype(wide)
        own = len(read) == len(call.floats) and fp is not None
        return (_computed(fp, call, y, read) if own else y), ()

    return Told(call.name, run, call.kernel.category, call.exact, len(given))


def floats_of(args: Any) -> list[torch.Tensor]:
    """The tensors of floats among arguments, in lists too."""
    found = []
    for x in args:
        if isinstance(x, torch.Tensor) and x.dtype in FLOATS:
            found.append(x)
        elif isinstance(x, (list, tuple)):
            found += floats_of(x)
    return found


def _label(mode: Any, call: Any, targets: Sequence[torch.Tensor]) -> str:
    """What an optimizer's kernel writes: the name of the state, or "param"."""
    if call.phase != "optimizer":
        return ""
    known = mode.places.state(targets[0], mode) if targets else None
    return "" if known is None else known[1]


def _place(mode: Any, call: Any, x: torch.Tensor) -> bool:
    """Say which parameter an optimizer's kernel is about, if the tensor tells."""
    known = mode.places.state(x, mode)
    if known is not None:
        call.path = mode.places.latest = known[0]
    elif mode.places.stepping is not None:
        call.path = mode.places.latest  # of a step on the way
    return known is not None


def _in_place(
    mode: Any, call: Any, observer: Observer | None, fp: Arithmetic, operands: list[Tensor], arrays: list[Any],
    targets: Sequence[torch.Tensor], label: str,
) -> Any:  # fmt: skip
    """A kernel that writes into a tensor: the same, and every part of that memory is known anew."""
    target = targets[0]
    known = held(target, mode)
    index = next((i for i, x in enumerate(call.floats) if x is target), None)
    real = target.dtype in (torch.float16, torch.bfloat16)
    before = None if index is None else np.array(operands[index].array)
    swap = _swap(call.floats, operands, arrays)
    work = target
    if real or id(target) in swap:
        work = torch.from_numpy(np.array(arrays[index] if index is not None else array_of(target)))
        swap[id(target)] = work
    old = None if index is None else arrays[index].copy()
    if index is not None:
        kept_arrays = list(arrays)
        kept_arrays[index] = old
    else:
        kept_arrays = list(arrays)
    out = call.func(*_with(call.args, swap), **{k: _with(v, swap) for k, v in call.kwargs.items()})
    fmt = known.format if not (known.raw and known.format is float32) else call.precision.storage
    y = np.array(array_of(work))
    if getattr(fp, "inputs", None):
        fp.inputs = kept_arrays  # type: ignore[attr-defined]  # what was read, for its memory is written into
    if observer is not None and call.kernel.raw != "copy":
        y = _computed(fp, call, y, kept_arrays)
    done = fp.store(y, kept_arrays, call.exact)
    if work is not target:
        with torch.no_grad():
            torch.Tensor.copy_(target.detach(), torch.from_numpy(np.ascontiguousarray(done)).reshape(target.shape))
    else:
        array = target.detach().numpy()
        array[...] = done
    if fmt is not call.precision.storage and fmt is not float32 and not real:
        round_in_place(target, fmt)
    known.raw = False
    known.copies.clear()
    known.tensors.clear()
    twin = Tensor(np.array(done), fmt, name=known.name)
    known.tensors[part(target)] = twin
    for other in targets[1:]:
        also = held(other, mode)
        if also.format is not float32:
            round_in_place(other, also.format)
        also.tensors.clear()
    if observer is not None:
        with scoped(path=call.path):
            if index is None:  # nothing of it was read
                operands, kept_arrays = operands[:], kept_arrays
            _tell(mode, call, observer, fp, twin, operands, kept_arrays, label)
            _moved(mode, call, observer, target, before, twin, operands, index)
    return out if work is target else _with(out, {id(work): target})


def _moved(
    mode: Any, call: Any, observer: Observer, target: torch.Tensor, before: Any, after: Tensor,
    operands: Sequence[Tensor], index: int | None,
) -> None:  # fmt: skip
    """Whether a parameter took its update, where that is what happened."""
    if call.kernel.raw == "lerp" and call.phase == "forward" and before is not None and len(operands) > 1:
        with scoped(phase="optimizer", path=mode.places.full(target), gradients=False):
            observer.averaged(before, after.array, operands[1].array, after.format, "")
        return
    found = mode.places.updated(target, call.phase, mode)
    if found is None or before is None or index is None:
        return
    path, grad = found
    own = call.phase != "optimizer"
    if own and call.kernel.raw not in ("sub", "add", "copy", "addcdiv"):
        return
    with scoped(phase="optimizer", path=path, gradients=False):
        old = Tensor(before, after.format, name=path)
        others = [x for i, x in enumerate(operands) if i != index and x.shape == after.shape]
        if call.kernel.raw == "mul" and not others:
            observer.shrunk("decay", old, after)
        elif call.kernel.raw in _MOVES and grad is not None:
            direction = others[0] if others else None
            if call.kernel.raw == "copy" and direction is not None:
                direction = Tensor(direction.array - before, after.format)
            moved = Tensor(after.array, after.format, name=path)
            moved._grad = tensor_of(grad, held(grad, mode), observer)
            direction = moved._grad if direction is None else direction
            observer.updated(moved, after.array == before, direction, own=own)


def each(mode: Any, call: Any, observer: Observer | None) -> Any:
    """A kernel over lists of tensors, each of which it computes for itself: one event for each that is written."""
    targets = call.targets
    before = []
    for x in targets:
        known = held(x, mode)
        if known.raw:
            round_in_place(x, known.format)
            known.raw = False
        before.append(array_of(x).copy() if observer is not None else None)
    swap = {}
    for x in call.floats:
        if not any(x is t for t in targets):
            read = reading(x, held(x, mode), native(held(x, mode).format))
            if read is not x:
                swap[id(x)] = read
    operands = [tensor_of(x, held(x, mode), observer) for x in call.floats] if observer is not None else []
    out = call.func(*_with(call.args, swap), **{k: _with(v, swap) for k, v in call.kwargs.items()})
    if not targets:
        made = [y for y in out if isinstance(y, torch.Tensor)] if isinstance(out, (tuple, list)) else [out]
        for y, x in zip(made, call.floats, strict=False):
            fmt = held(x, mode).format
            _finish(mode, call, observer, y, None, fmt, operands[:1])
        return out
    for x, old in zip(targets, before, strict=True):
        mine = [o for o in operands if o.shape == tuple(x.shape)]
        _finish(mode, call, observer, x, old, held(x, mode).format, mine)
    return out


def _finish(
    mode: Any, call: Any, observer: Observer | None, y: torch.Tensor, old: Any, fmt: Any, operands: Sequence[Tensor]
) -> None:
    """Round one tensor of a list and tell of it."""
    if y.dtype not in FLOATS:
        return
    if observer is None:
        if fmt is not float32:
            round_in_place(y, fmt)
        mark(y, mode, fmt).tensors.clear()
        return
    precision = native(fmt)
    state = mode.places.state(y, mode)
    path, label = state if state is not None else (call.path, "")
    with scoped(phase=call.phase, path=path), np.errstate(all="ignore"):
        fp = unit(observer, precision, label)
        for x in operands:
            fp.read(x.array, x.format)
        array = array_of(y)
        done = fp.store(fp.computed(array.copy(), call.kernel.name, [x.array for x in operands], False))
        y.detach().numpy()[...] = done
        known = mark(y, mode, fmt, held(y, mode).wide)
        known.tensors.clear()
        twin = Tensor(np.array(done), fmt, name=known.name)
        known.tensors[part(y)] = twin
        spec = Told(call.name, lambda fp, *arrays: (done, ()), None, False, len(operands))
        observer.result(spec, fp, twin, operands, [x.array for x in operands], ((), {}), label)
        if old is not None:
            _moved_list(mode, call, observer, y, old, twin, operands)


def _moved_list(
    mode: Any, call: Any, observer: Observer, y: torch.Tensor, old: Any, after: Tensor, operands: Sequence[Tensor]
) -> None:
    found = mode.places.updated(y, call.phase, mode)
    if found is None:
        return
    path, grad = found
    with scoped(phase="optimizer", path=path, gradients=False):
        before = Tensor(old, after.format, name=path)
        if call.kernel.raw == "_foreach_mul":
            observer.shrunk("decay", before, after)
        elif grad is not None:
            moved = Tensor(after.array, after.format, name=path)
            moved._grad = tensor_of(grad, held(grad, mode), observer)
            observer.updated(moved, after.array == old, moved._grad)


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
