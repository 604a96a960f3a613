"""Where windows lie on axes of space: padding by rule, lengths, and the places that each window sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.onnx.values import fitting

Ints = Sequence[int] | None


def filled(given: Ints, default: int, count: int) -> list[int]:
    """A number for each axis of space."""
    return [default] * count if not given else [int(n) for n in given]


def padded(
    auto_pad: str, pads: Ints, lengths: Sequence[int], kernel: Sequence[int], strides: Sequence[int],
    dilations: Sequence[int],
) -> list[tuple[int, int]]:  # fmt: skip
    """How many zeros before and after each axis of space: as given, or so that lengths are divided by strides alone."""
    count = len(lengths)
    if auto_pad in ("NOTSET", ""):
        both = filled(pads, 0, 2 * count)
        fitting([max(0, n + a + b) for n, a, b in zip(lengths, both[:count], both[count:], strict=True)], "pads")
        return list(zip(both[:count], both[count:], strict=True))
    if auto_pad == "VALID":
        return [(0, 0)] * count
    found = []
    for n, k, s, d in zip(lengths, kernel, strides, dilations, strict=True):
        total = max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
        less = total // 2
        found.append((less, total - less) if auto_pad == "SAME_UPPER" else (total - less, less))
    return found


def symmetric(pads: Sequence[tuple[int, int]]) -> bool:
    """Whether as much is added before each axis as after it."""
    return all(before == after for before, after in pads)


def widened(x: Any, pads: Sequence[tuple[int, int]], value: float = 0.0) -> Any:
    """``x`` with its last axes longer."""
    if not any(map(any, pads)):
        return x
    return ops.pad(x, [n for pair in list(pads)[::-1] for n in pair], value=value)


def output_length(n: int, pads: tuple[int, int], k: int, s: int, d: int, ceil_mode: int) -> int:
    """How many windows an axis has; one that would begin in the padding after it is none."""
    before, after = pads
    room = n + before + after - ((k - 1) * d + 1)
    if room < 0:
        raise ValueError(f"kernel_shape: {k} is not allowed; allowed: windows that fit into {n + before + after}")
    count = (-(-room // s) if ceil_mode else room // s) + 1
    return count - 1 if ceil_mode and (count - 1) * s >= n + before else count


def seen(
    lengths: Sequence[int], pads: Sequence[tuple[int, int]], kernel: Sequence[int], strides: Sequence[int],
    dilations: Sequence[int], ceil_mode: int,
) -> list[Any]:  # fmt: skip
    """For each axis the places (windows, kernel) that its windows see, counted before padding."""
    found = []
    for n, p, k, s, d in zip(lengths, pads, kernel, strides, dilations, strict=True):
        starts = np.arange(output_length(n, p, k, s, d, ceil_mode)) * s - p[0]
        found.append(starts[:, None] + np.arange(k) * d)
    return found


def inside(places: Sequence[Any], lengths: Sequence[int]) -> Any:
    """Which places of windows (windows..., kernel...) are elements."""
    count, found = len(places), np.True_
    for i, (at, n) in enumerate(zip(places, lengths, strict=True)):
        shape = [1] * (2 * count)
        shape[i], shape[count + i] = at.shape
        found = found & ((at >= 0) & (at < n)).reshape(shape)
    return found


def cut_out(x: Any, places: Sequence[Any], value: float) -> Any:
    """Every window of the last axes of ``x``: (..., windows..., kernel...), ``value`` where there is no element."""
    count = len(places)
    head = x.ndim - count
    ends = [(max(0, -int(at.min())), max(0, int(at.max()) - n + 1)) if at.size else (0, 0)
            for at, n in zip(places, x.shape[head:], strict=True)]  # fmt: skip
    x = widened(x, ends, value)
    index: list[Any] = [slice(None)] * head
    for i, (at, (before, _)) in enumerate(zip(places, ends, strict=True)):
        shape = [1] * (2 * count)
        shape[i], shape[count + i] = at.shape
        index.append((at + before).reshape(shape))
    return ops.getitem(x, tuple(index))
