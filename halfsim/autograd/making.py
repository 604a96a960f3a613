"""How tensors are made: of which dtype, rounded once, and what is told of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.observer import active
from halfsim.autograd.policy import PROMOTE
from halfsim.autograd.scope import carried, scope
from halfsim.autograd.tensor import Flushed, Tensor, differentiable, format_of, plain
from halfsim.frames import caller
from halfsim.numerics.formats import INTEGERS, NARROW, Format, Integer, as_dtype, bool_, float16, float32
from halfsim.numerics.inputs import array_of, as_floats, numbers_of, unmasked
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array, holder, round_to


def tensor(
    data: object,
    format: object = None,
    requires_grad: bool = False,
    *,
    dtype: object = None,
    device: object = None,
    pin_memory: bool = False,
) -> Tensor:
    """A new Tensor of the values of ``data``, rounded once to ``format``.

    ``data`` is an array-like of numbers (also str, Decimal, Fraction) of any shape, or a Tensor; ``dtype`` is PyTorch's
    name for ``format``. Without either, numbers take the storage of the precision in force, float32 under "amp" and
    other policies of several formats. Where none is in force, and under these policies, integers stay integers (unless
    they shall take a gradient), and floats take the dtype of a float array, or `get_default_dtype`. Bools stay bools.
    NaN, infinities, both zeros and subnormals are kept; overflow gives infinity; a float is cut to an integer where
    ``dtype`` is one. ``device`` and ``pin_memory`` change nothing. ``ValueError`` for an unknown format, ``TypeError``
    for what is not a number.

    >>> tensor([1, 0.1, 65520], "fp16"), tensor([1, 2])
    (tensor([1. , 0.1, inf], float16), tensor([1, 2], int64))
    """
    if format is not None and dtype is not None:
        raise TypeError("dtype: not allowed beside format; allowed: one of them")
    format = dtype if format is None else format
    wanted = None if format is None else as_dtype(format)
    data = foreign(data)
    if wanted is None and isinstance(data, Tensor):
        wanted = data.format
    found = None if wanted is not None or requires_grad else integers_in(data)
    if found is not None and (found is bool_ or not isinstance(scope().rule, Precision)):
        wanted = found
    if isinstance(wanted, Integer):
        differentiable(wanted, requires_grad)
        return Tensor(_whole(plain(data), wanted), wanted)
    fmt = carried(made_in(data) if wanted is None else wanted)
    given = as_floats(plain(data), fmt)
    wide = given.astype(np.promote_types(given.dtype, holder(fmt)), copy=False)
    with np.errstate(all="ignore"):
        made = Tensor(np.array(round_to(wide, fmt), holder(fmt), order="C"), fmt, requires_grad)
    if found is not None:
        made.counted = made.array, np.asarray(plain(data))
    observer = active()
    if observer is not None and wide.size:
        observer.given(wide, made, isinstance(data, Tensor))
        if given.dtype == np.float16 and fmt != float16:
            observer.narrowed(made)
    elif fmt.precision < float32.precision:
        flushed = int(np.count_nonzero(wide)) - int(np.count_nonzero(made.array))
        if flushed > 0:  # a later trace may ask where zeros come from
            made.shadow = Flushed(made.array, flushed, flushed + int(np.count_nonzero(made.array)), caller())
    return made


def made_in(data: object) -> Format:
    """The format of a new tensor of floats for which the program names none."""
    rule = scope().rule
    if isinstance(rule, Precision):
        return rule.storage
    if rule != PROMOTE:
        return rule.default.storage if isinstance(rule.default, Precision) else float32
    return format_of(data) if isinstance(data, (np.ndarray, np.floating)) else get_default_dtype()


_default: Format = float32


def set_default_dtype(d: object) -> None:
    """The format that floats take where nothing else says it: float32 until this is called."""
    global _default
    fmt = as_dtype(d, "d")
    if isinstance(fmt, Integer):
        raise TypeError(f"d: {fmt} is not allowed; allowed: floating-point formats")
    _default = fmt


def get_default_dtype() -> Format:
    """The format that floats take where nothing else says it.

    >>> get_default_dtype().name
    'float32'
    """
    return _default


def foreign(data: Any) -> Any:
    """A tensor of PyTorch as an array of the same values and dtype; anything else as it is."""
    if type(data).__module__.partition(".")[0] != "torch" or not hasattr(data, "detach"):
        return unmasked(data)
    given = data.detach().cpu()
    name = str(given.dtype).removeprefix("torch.")
    if name in NARROW:
        return tensor(given.float().numpy(), name)
    return given.numpy()


def integers_in(data: object) -> Integer | None:
    """The dtype of integers and bools that ``data`` holds, None for other values."""
    if isinstance(data, float):
        return None
    array = array_of(data)
    return INTEGERS.get(array.dtype.name) if array.size or isinstance(data, np.ndarray) else None


def _whole(values: Any, dtype: Integer) -> Array:
    """``values`` as an array of integers or bools, floats cut towards zero, as PyTorch casts them."""
    array = numbers_of(values)
    with np.errstate(invalid="ignore"):
        return np.array(array, dtype.name, order="C")
