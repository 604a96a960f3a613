"""Sequences of unequal lengths: padded to one length, or packed step by step for recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.ops._common import integer_tensor
from halfsim.autograd.tensor import Tensor, plain, whole
from halfsim.names import public
from halfsim.numerics.inputs import array_of
from halfsim.numerics.quantize import Array
from halfsim.options import guarded_names, shown

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """A batch of sequences without padding: ``data`` (all steps, ...) has the first steps of all, then the second ...

    ``batch_sizes`` says of how many sequences each step is; the longest come first, and ``sorted_indices`` and
    ``unsorted_indices``, if not None, lead from the given order there and back. Made by `pack_padded_sequence` or
    `pack_sequence`; recurrent layers take it and give one.
    """

    __slots__ = ()

    def __new__(
        cls, data: Any, batch_sizes: Any = None, sorted_indices: Any = None, unsorted_indices: Any = None
    ) -> PackedSequence:
        if batch_sizes is None:
            raise ValueError("batch_sizes: None is not allowed; allowed: how many sequences each step has")
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        order = None if sorted_indices is None else integer_tensor(_whole("sorted_indices", sorted_indices))
        sizes = integer_tensor(_whole("batch_sizes", batch_sizes))
        return super().__new__(cls, data, sizes, order, unsorted_indices)

    def with_data(self, data: Tensor) -> PackedSequence:
        """Other numbers for the same sequences."""
        return PackedSequence(data, *self[1:])

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The packed sequences in another format; see `halfsim.Tensor.to`."""
        return self.with_data(self.data.to(*args, **kwargs))

    def half(self) -> PackedSequence:
        return self.to("float16")

    def bfloat16(self) -> PackedSequence:
        return self.to("bfloat16")

    def float(self) -> PackedSequence:
        return self.to("float32")

    def double(self) -> PackedSequence:
        return self.to("float64")

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        return self

    cuda = pin_memory = cpu

    @property
    def is_cuda(self) -> bool:
        return False


def _whole(name: str, values: Any) -> Array:
    found = array_of(whole(values), name)
    if found.dtype.kind not in "iu" or found.ndim != 1:
        raise TypeError(f"{name}: {shown(values)} is not allowed; allowed: a list of integers")
    return found.astype(np.int64)


def invert_permutation(permutation: Any) -> Any:
    """The permutation that leads back; None for None."""
    if permutation is None:
        return None
    order = _whole("permutation", permutation)
    back = np.argsort(order, kind="stable")
    if not np.array_equal(order[back], np.arange(order.size)):
        raise ValueError(f"permutation: {shown(permutation)} is not allowed; allowed: 0 to n - 1 in some order")
    return integer_tensor(back)


def pad_sequence(
    sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """Sequences (steps, ...) of unequal lengths as one (longest, batch, ...), filled up with ``padding_value``.

    ``batch_first`` puts the batch first; ``padding_side`` "left" fills up before.
    ``ValueError`` for no sequences, and shapes that differ beyond the first axis.

    >>> from halfsim import tensor
    >>> pad_sequence([tensor([1.0, 2.0]), tensor([3.0])], batch_first=True).tolist()
    [[1.0, 2.0], [3.0, 0.0]]
    """
    if isinstance(sequences, (str, bytes, bytearray)):
        raise TypeError(f"sequences: {shown(sequences)} is not allowed; allowed: a list of tensors")
    given = [x if isinstance(x, Tensor) else _tensor(x) for x in sequences]
    if padding_side not in ("left", "right"):
        raise ValueError(f"padding_side: {padding_side!r} is not allowed; allowed: 'left', 'right'")
    if not given or any(x.ndim == 0 or x.shape[1:] != given[0].shape[1:] for x in given):
        shapes = [x.shape for x in given[:5]]
        raise ValueError(f"sequences: shapes {shapes} are not allowed; allowed: at least one, alike beyond the steps")
    longest = max(x.shape[0] for x in given)
    rest, left, axis = given[0].shape[1:], padding_side == "left", 0 if batch_first else 1

    def padded(x: Tensor) -> Tensor:
        count = longest - x.shape[0]
        missing = _filled((count, *rest), padding_value, x)
        return ops.cat([missing, x] if left else [x, missing]) if count else x

    return ops.stack([padded(x) for x in given], axis)


def _tensor(x: Any) -> Tensor:
    values = np.asarray(x)
    return integer_tensor(values) if values.dtype.kind in "iub" else tensor(values)


def _filled(shape: tuple[int, ...], value: float, like: Tensor) -> Tensor:
    """Padding for ``like``, of its own dtype."""
    return tensor(np.full(shape, value), like.format)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences of ``lengths`` in a padded batch, each without its padding at the end."""
    columns = padded_sequences.shape[0 if batch_first else 1]
    count = _lengths(lengths, columns, padded_sequences.shape[1 if batch_first else 0])
    return [padded_sequences[i, :n] if batch_first else padded_sequences[:n, i] for i, n in enumerate(count.tolist())]


def _lengths(lengths: Any, batch: int, steps: int) -> Array:
    found = _whole("lengths", lengths)
    if found.shape != (batch,) or (found.size and not 1 <= found.min() <= found.max() <= steps):
        shown = found[:5].tolist()
        raise ValueError(f"lengths: {shown} is not allowed; allowed: {batch} integers from 1 to {steps}")
    return found


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The `PackedSequence` of a padded batch (steps, batch, ...) whose sequences have these ``lengths``.

    With ``enforce_sorted`` the longest must come first; without it they are sorted, and layers and
    `pad_packed_sequence` give the order back. ``ValueError`` for lengths that do not fit.

    >>> from halfsim import tensor
    >>> packed = pack_padded_sequence(tensor([[1.0, 3.0], [2.0, 0.0]]), [2, 1])
    >>> packed.data.tolist(), packed.batch_sizes.tolist()
    ([1.0, 3.0, 2.0], [2, 1])
    """
    x = input if isinstance(input, Tensor) else _tensor(input)
    if x.ndim < 2 or not x.size:
        raise ValueError(f"input: shape {x.shape} is not allowed; allowed: (steps, batch, ...), not empty")
    batch, steps = (x.shape[0], x.shape[1]) if batch_first else (x.shape[1], x.shape[0])
    count = _lengths(lengths, batch, steps)
    order = None if enforce_sorted else np.argsort(-count, kind="stable")
    if order is not None:
        count = count[order]
    elif (count[1:] > count[:-1]).any():
        raise ValueError("lengths: not sorted is not allowed; allowed: the longest first, or enforce_sorted=False")
    sizes = (count[:, None] > np.arange(count[0])).sum(0)
    step, column = _places(sizes)
    column = column if order is None else order[column]
    rows = column * steps + step if batch_first else step * batch + column
    data = x.reshape(batch * steps, *x.shape[2:])[rows]
    return PackedSequence(data, sizes, order)


def _places(sizes: Array) -> tuple[Array, Array]:
    """The step and the sequence of every row of packed data."""
    step = np.repeat(np.arange(len(sizes)), sizes)
    return step, np.arange(len(step)) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """A packed batch as a padded one (steps, batch, ...) in the order it came in, and the lengths.

    There are as many steps as the longest sequence has, or ``total_length``, ``ValueError`` if that is less.
    """
    _check(sequence)
    data, sizes = sequence.data, sequence.batch_sizes.array
    steps, batch = len(sizes) if total_length is None else total_length, int(sizes[0])
    if steps < len(sizes):
        raise ValueError(f"total_length: {steps} is not allowed; allowed: integers from {len(sizes)}")
    rows = np.full((steps, batch), len(data))  # the row of padding, which is put behind
    step, column = _places(sizes)
    rows[step, column] = np.arange(len(step))
    lengths = (rows < len(data)).sum(0)
    if sequence.unsorted_indices is not None:
        back = sequence.unsorted_indices.array
        rows, lengths = rows[:, back], lengths[back]
    padding = _filled((1, *data.shape[1:]), padding_value, data)
    return ops.cat([data, padding])[rows.T if batch_first else rows], integer_tensor(lengths)


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """The `PackedSequence` of a list of sequences (steps, ...); see `pack_padded_sequence`.

    >>> from halfsim import tensor
    >>> pack_sequence([tensor([1.0, 2.0]), tensor([3.0])]).data.tolist()
    [1.0, 3.0, 2.0]
    """
    return pack_padded_sequence(pad_sequence(sequences), [len(plain(x)) for x in sequences], False, enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The list of sequences that `pack_sequence` packed, in its order."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


def _check(sequence: Any) -> None:
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"sequence: {type(sequence).__name__} is not allowed; allowed: PackedSequence")


guarded_names(globals(), __all__)
public(__name__)
