"""What is known of a PyTorch tensor's memory: the format of its numbers, its name, and its tensors of halfsim's.

It is kept on the storage, which PyTorch keeps alive as long as any tensor shows it: views, aliases, what backward has
saved and ``.data`` find it there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided

from halfsim.autograd.tensor import Tensor
from halfsim.autograd.trace.shadow import Shadow
from halfsim.numerics.formats import Format, bfloat16, float16, float32, float64
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array, round_, rounded

FORMATS = {torch.float16: float16, torch.bfloat16: bfloat16, torch.float32: float32, torch.float64: float64}
HALVES = {float16: torch.float16, bfloat16: torch.bfloat16}
_REAL_HALVES = (torch.float16, torch.bfloat16)


@dataclass(slots=True)
class Kept:
    """What is known of a part of memory between two kernels: a tensor of halfsim's without its array.

    An array that shows the memory keeps it alive, and the memory keeps this: a circle that no collector sees through.
    """

    format: Format
    name: str
    shadow: Shadow | None
    beside: Any  # what it would have been, if a forecast remembers that


class Held:
    """``format`` is the grid of the numbers, if they are not ``raw``; ``wide`` says that the program asked for it.

    ``inner`` numbers are a kernel's own, as the statistics that a normalisation keeps for its gradient; no reading
    rounds them. ``copies`` are the numbers as narrower formats have them, ``tensors`` halfsim's tensors, by the part
    of the memory that they show.
    """

    __slots__ = ("copies", "format", "inner", "name", "raw", "session", "tensors", "wide")

    def __init__(self, session: Any, fmt: Format, raw: bool, wide: bool = False, inner: bool = False) -> None:
        self.session, self.format, self.raw, self.wide, self.inner = session, fmt, raw, wide, inner
        self.name = ""
        self.copies: dict[Any, torch.Tensor] = {}
        self.tensors: dict[Any, Tensor | Kept] = {}

    def keep(self, key: Any, tensor: Tensor) -> None:
        """Note the tensor of halfsim's that shows a part of the memory, until the kernel in hand has ended."""
        self.tensors[key] = tensor
        self.session.live.append(self)

    def let_go(self, observer: Any) -> None:
        """Give up the arrays that show this memory, and keep what the observer knows of them."""
        beside = getattr(observer, "kept", None)
        for key, x in self.tensors.items():
            if isinstance(x, Tensor) and _shows(x.array):
                known = x.shadow if isinstance(x.shadow, Shadow) and x.shadow.of is x.array else None
                if known is not None:
                    known.of = _NOTHING
                self.tensors[key] = Kept(x.format, x.name, known, beside and beside(x))


_NOTHING = np.empty(0)


def _shows(array: Any) -> bool:
    """Whether an array is a view of a PyTorch tensor's memory."""
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, torch.Tensor)


def held(x: torch.Tensor, session: Any) -> Held:
    """What is known of a tensor's memory; of memory from outside that its numbers are as yet no format's."""
    storage = x.untyped_storage()
    known: Held | None = storage.__dict__.get("_halfsim")
    if known is None or known.session is not session:
        name = "" if known is None else known.name
        narrow = x.dtype == torch.float32
        fmt = session.base if narrow else FORMATS[x.dtype]
        known = Held(session, fmt, narrow and fmt is not float32, wide=x.dtype == torch.float64)
        known.name = name
        storage.__dict__["_halfsim"] = known
    return known


def mark(x: torch.Tensor, session: Any, fmt: Format, wide: bool = False, inner: bool = False) -> Held:
    """Say of a new result's memory that its numbers are ``fmt``'s; what was known of older numbers there goes."""
    storage = x.untyped_storage()
    known: Held | None = storage.__dict__.get("_halfsim")
    if known is None or known.session is not session:
        known = storage.__dict__["_halfsim"] = Held(session, fmt, False, wide, inner)
    else:
        known.format, known.raw, known.wide, known.inner = fmt, False, wide, inner
        if known.copies:
            known.copies.clear()
    return known


def part(x: torch.Tensor) -> Any:
    """Which part of its memory a tensor shows."""
    return x.storage_offset(), x.shape, x.stride(), x.dtype


def array_of(x: torch.Tensor) -> Array:
    """The numbers of a float tensor: a view of its memory, or of a real half a copy in float32."""
    x = x.detach()
    if x.is_conj() or x.is_neg():
        x = x.resolve_conj().resolve_neg()
    return x.float().numpy() if x.dtype in _REAL_HALVES else x.numpy()


def round_in_place(x: torch.Tensor, fmt: Format, mode: Any = None) -> None:
    """Round a tensor's numbers where they stand."""
    dense = x.is_contiguous() or (
        x.storage_offset() == 0 and x.numel() * x.element_size() == x.untyped_storage().nbytes()
    )
    with np.errstate(all="ignore"):
        if dense and mode is None:  # in the order of memory, which rounding does not ask for
            round_(x.detach().as_strided((x.numel(),), (1,)).numpy(), fmt)
            return
        array = x.detach().numpy()
        done = round_(array, fmt, None, mode)
        if done is not array:
            array[...] = done


def reading(x: torch.Tensor, known: Held, precision: Precision) -> torch.Tensor:
    """The numbers of a tensor as an operation in ``precision`` reads them; the tensor itself where they are right."""
    fmt, storage = known.format, precision.storage
    if known.inner or (not known.raw and (fmt is storage or storage.contains(fmt))):
        return x
    key = (part(x), storage)
    copy = known.copies.get(key)
    if copy is None:
        with np.errstate(all="ignore"):
            array = array_of(x)
            if known.raw and not storage.contains(fmt) and fmt is not storage:
                array = rounded(array, fmt)
            grid = fmt if storage.contains(fmt) else storage
            copy = torch.from_numpy(rounded(array, grid, None, precision.mode))
        known.copies[key] = copy
    return copy


def tensor_of(x: torch.Tensor, known: Held, observer: Any) -> Tensor:
    """The tensor of halfsim's that shows the same numbers, with what an observer has left on it."""
    key = part(x)
    found = _live(x, known, key, observer)
    if found is not None:
        return found
    array = array_of(x)
    if known.raw:
        values = array
        array = rounded(values, known.format)
        found = Tensor(array, known.format, name=known.name)
        parent = _parent(x, known, observer)
        if parent is not None:
            found.shadow = _seen_through(parent, array)
        elif observer is not None and not known.inner:
            observer.given(values, found, False)
    else:
        found = Tensor(array, known.format, name=known.name)
        parent = _parent(x, known, observer)
        if parent is not None:
            found.shadow = _seen_through(parent, array)
            viewed = getattr(observer, "viewed", None)
            if viewed is not None:
                viewed(parent, found, lambda values: moved_with(values, parent.array, array))
    known.keep(key, found)
    return found


def _live(x: torch.Tensor, known: Held, key: Any, observer: Any) -> Tensor | None:
    """The tensor that shows a part of memory, with its array; ``x`` shows that part."""
    found = known.tensors.get(key)
    if not isinstance(found, Kept):
        return found
    made = Tensor(array_of(x), found.format, name=found.name)
    if found.shadow is not None:
        found.shadow.of = made.array
        made.shadow = found.shadow
    if found.beside is not None:
        observer.keep(made, found.beside)
    known.keep(key, made)
    return made


def _parent(x: torch.Tensor, known: Held, observer: Any) -> Tensor | None:
    """The first tensor that was known to show the memory of ``x``."""
    for key in known.tensors:
        offset, shape, strides, dtype = key
        seen = x.detach().as_strided(shape, strides, offset) if dtype == x.dtype else None
        return None if seen is None else _live(seen, known, key, observer)
    return None


def _seen_through(parent: Tensor, array: Array) -> Shadow | None:
    """What a trace knows of a view, from the tensor that it is a view of."""
    shadow = parent.shadow
    if not isinstance(shadow, Shadow) or shadow.of is not parent.array:
        return None
    moved: dict[str, Any] = {
        name: moved_with(getattr(shadow, name), parent.array, array) for name in ("twin", "noise", "missing")
    }
    return replace(shadow.seen_as(array), **moved)


def moved_with(values: Array | None, base: Array, view: Array) -> Array | None:
    """What belongs to the elements of ``base``, for those that ``view`` shows of the same memory."""
    if values is None or not base.flags.c_contiguous or values.shape != base.shape:
        return None
    if not np.may_share_memory(base, view):
        return None
    offset = (view.__array_interface__["data"][0] - base.__array_interface__["data"][0]) // base.itemsize
    flat = np.ascontiguousarray(values).reshape(-1)
    strides = [n // base.itemsize for n in view.strides]
    last = offset + sum((n - 1) * s for n, s in zip(view.shape, strides, strict=True) if n)
    if offset < 0 or last >= flat.size or min(strides, default=0) < 0:
        return None
    return as_strided(flat[offset:], view.shape, [s * flat.itemsize for s in strides], writeable=False)
