"""Kernels that write: into numbers that are made, into a tensor in place, into lists of tensors, into statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.observer import Observer
from halfsim.autograd.scope import scoped
from halfsim.autograd.tape import unit
from halfsim.autograd.tensor import Tensor
from halfsim.autograd.trace.shadow import Shadow
from halfsim.numerics.formats import float32
from halfsim.numerics.precision import native
from halfsim.pytorch.aten import FLOATS
from halfsim.pytorch.events import Told, computed_by, exchanged, replaced, tell
from halfsim.pytorch.held import array_of, held, mark, part, reading, round_in_place, tensor_of

_MOVES = ("add", "sub", "addcdiv", "lerp", "addcmul", "copy")  # kernels by which an optimizer moves a weight


def label_of(mode: Any, call: Any, targets: Sequence[torch.Tensor]) -> str:
    """What an optimizer's kernel writes: the name of the state, or "param"."""
    if call.phase != "optimizer":
        return ""
    known = mode.places.state(targets[0], mode) if targets else None
    return "" if known is None else known[1]


def placed(mode: Any, call: Any, x: torch.Tensor) -> bool:
    """Say which parameter an optimizer's kernel is about, if the tensor tells."""
    known = mode.places.state(x, mode)
    if known is not None:
        call.path = mode.places.latest = known[0]
    elif mode.places.stepping is not None:
        call.path = mode.places.latest  # of a step on the way
    return known is not None


def _integers(call: Any) -> Any:
    """The integers that a conversion reads, whose rounding is one of numbers given; None of other calls."""
    if call.kernel.raw != "_to_copy" or call.floats:
        return None
    return call.args[0].detach().numpy().astype(np.float64)


def made(mode: Any, call: Any, observer: Observer | None, targets: Sequence[torch.Tensor]) -> Any:
    """Numbers that no operand gives, as `halfsim.tensor` takes such."""
    out = call.func(*call.args, **call.kwargs)
    for y in targets or [x for x in [out] if isinstance(x, torch.Tensor) and x.dtype in FLOATS]:
        fmt = held(y, mode).format if targets else call.precision.storage
        whole = _integers(call)
        values = array_of(y).copy() if whole is None else whole
        if values.dtype.kind == "f" and fmt is not float32 and not call.exact:
            round_in_place(y, fmt)
        known = mark(y, mode, fmt, call.wide if not targets else held(y, mode).wide)
        known.tensors.clear()
        known.copies.clear()
        found = Tensor(array_of(y), fmt, name=known.name)
        known.keep(part(y), found)
        if observer is not None and fmt is not float32:
            observer.given(values, found, False)
    return out


def averaged(mode: Any, call: Any, observer: Observer | None, x: torch.Tensor, before: Any) -> None:
    """A kernel has moved a running average by itself: it is rounded to its own format, and told."""
    known = held(x, mode)
    goal: Any = None if before is None else before + (x.detach().numpy() - before) / max(call.args[6], 1e-12)
    if known.format is not float32:
        round_in_place(x, known.format)
    known.copies.clear()
    known.tensors.clear()
    if observer is not None:
        with mode.scoped_in(call):
            label = "running_mean" if x is call.args[3] else "running_var"
            observer.averaged(before, array_of(x).copy(), goal, known.format, label)


def in_place(
    mode: Any, call: Any, observer: Observer | None, fp: Arithmetic, operands: list[Tensor], arrays: list[Any],
    targets: Sequence[torch.Tensor], label: str,
) -> Any:  # fmt: skip
    """A kernel that writes into a tensor: the same, and every part of that memory is known anew."""
    target = targets[0]
    known = held(target, mode)
    index = next((i for i, x in enumerate(call.floats) if x is target), None)
    real = target.dtype in (torch.float16, torch.bfloat16)
    before = None if index is None else np.array(operands[index].array)
    if index is not None:
        operands[index] = _as_it_was(operands[index], before, observer)
    swap = exchanged(call.floats, operands, arrays)
    work = target
    if real or id(target) in swap:
        work = torch.from_numpy(np.array(arrays[index] if index is not None else array_of(target)))
        swap[id(target)] = work
    kept_arrays = list(arrays)
    if index is not None:
        kept_arrays[index] = arrays[index].copy()
    out = call.func(*replaced(call.args, swap), **{k: replaced(v, swap) for k, v in call.kwargs.items()})
    fmt = known.format if not (known.raw and known.format is float32) else call.precision.storage
    y = np.array(array_of(work))
    if getattr(fp, "inputs", None):
        fp.inputs = kept_arrays  # type: ignore[attr-defined]  # what was read, for its memory is written into
    if observer is not None and call.kernel.raw != "copy":
        y = computed_by(fp, call, y, kept_arrays)
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
    twin = Tensor(np.array(done) if real else array_of(target), fmt, name=known.name)
    known.keep(part(target), twin)
    for other in targets[1:]:
        also = held(other, mode)
        if also.format is not float32:
            round_in_place(other, also.format)
        also.tensors.clear()
    if observer is not None:
        with scoped(path=call.path):
            tell(mode, call, observer, fp, twin, operands, kept_arrays, label)
            _moved(mode, call, observer, target, before, twin, operands, index)
    return out if work is target else replaced(out, {id(work): target})


def _as_it_was(x: Tensor, before: Any, observer: Observer | None) -> Tensor:
    """A tensor with the numbers that it had, before a kernel writes into its memory."""
    kept = Tensor(before, x.format, name=x.name)
    if isinstance(x.shadow, Shadow) and x.shadow.of is x.array:
        kept.shadow = replace(x.shadow, of=before)
    viewed = getattr(observer, "viewed", None)
    if viewed is not None:
        viewed(x, kept, lambda values: values)
    return kept


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
    out = call.func(*replaced(call.args, swap), **{k: replaced(v, swap) for k, v in call.kwargs.items()})
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
    if y.dtype not in FLOATS or y.layout is not torch.strided:
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
        twin = Tensor(array_of(y), fmt, name=known.name)
        known.keep(part(y), twin)
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
