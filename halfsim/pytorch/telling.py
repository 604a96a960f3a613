"""One kernel told to whoever watches: as an operation of halfsim's, with the same counts and the same events."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from halfsim.autograd.observer import Observer
from halfsim.autograd.tape import unit
from halfsim.autograd.tensor import Tensor
from halfsim.frames import caller
from halfsim.numerics.formats import float32
from halfsim.pytorch.aten import FLOATS, KEEP
from halfsim.pytorch.events import computed_by, exchanged, replaced, tell
from halfsim.pytorch.faithful import computed
from halfsim.pytorch.held import array_of, held, mark, part, tensor_of
from halfsim.pytorch.writing import in_place, label_of, made, placed


def told(mode: Any, call: Any, observer: Observer | None) -> Any:
    """Run a kernel through a unit that may count, keep its results, and tell the observer."""
    precision, kernel = call.precision, call.kernel
    with mode.scoped_in(call), np.errstate(all="ignore"):
        targets = call.targets
        operands = [tensor_of(x, held(x, mode), observer) for x in call.floats]
        label = label_of(mode, call, targets)
        if call.phase == "optimizer":
            for x in (*targets, *call.floats):
                if placed(mode, call, x):
                    break
        fp = unit(observer, precision, label)
        arrays = [
            x.array if held(t, mode).inner else fp.read(x.array, x.format, call.exact)
            for t, x in zip(call.floats, operands, strict=True)
        ]
        line = caller() if call.line is None else call.line
        call.line = line
        if kernel.made or (kernel.raw == "_to_copy" and not call.floats):
            return made(mode, call, observer, targets)
        if targets:
            return in_place(mode, call, observer, fp, operands, arrays, targets, label)
        swap = exchanged(call.floats, operands, arrays)
        wide = [] if fp.dtype == np.float32 else call.stats
        swap |= {id(x): x.double() for x in wide}
        out = call.func(*replaced(call.args, swap), **{k: replaced(v, swap) for k, v in call.kwargs.items()})
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
            array = own[i].reshape(r.shape) if own else computed_by(fp, call, r.detach().numpy(), arrays)
            stored.append((r, fp.store(np.asarray(array), arrays, call.exact), fp))
        wanted = _wanted(call)
        final = []
        for i, (r, done, one) in enumerate(stored):
            call.output = i
            result = _kept(mode, call, r, done, wanted)
            final.append(result)
            twin = Tensor(_held_array(result, done), precision.storage)
            known = mark(result, mode, precision.storage, call.wide)
            known.tensors.clear()
            if observer is not None:
                tell(mode, call, observer, one, twin, operands, arrays, label)
            known.keep(part(result), twin)
        swap_out = {id(r): result for (r, _, _), result in zip(stored, final, strict=True)}
        return replaced(out, swap_out)


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
