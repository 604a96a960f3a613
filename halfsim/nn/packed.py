"""Recurrent layers on packed sequences: the steps that as many sequences have are run at once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.tensor import Tensor
from halfsim.nn.utils.rnn import PackedSequence
from halfsim.numerics.quantize import Array

# One direction of one layer: the outputs (steps, batch, out) and the last states of (steps, batch, in) and of states.
Direction = Callable[[Tensor, list[Any]], tuple[Tensor, list[Tensor]]]


def directed(run: Direction, data: Any, sizes: Array, initial: list[Any], reverse: bool) -> tuple[Tensor, list[Tensor]]:
    """The outputs in the order of ``data`` and the last states (batch, hidden), of one direction.

    Forward, sequences leave when they end; in reverse they join, each with its ``initial`` state, at their last step.
    """
    bounds = [0, *(np.flatnonzero(np.diff(sizes)) + 1).tolist(), len(sizes)]
    starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    pieces = list(pairwise(bounds))
    outs: list[Tensor] = []
    ended: list[list[Tensor]] = []
    states, running = initial, int(sizes[0])
    if reverse:
        pieces, running = pieces[::-1], 0
        states = [s[:0] for s in initial]
    for first, last in pieces:
        count = int(sizes[first])
        if reverse and running:
            states = [ops.cat([s, i[running:count]]) for s, i in zip(states, initial, strict=True)]
        elif reverse:
            states = [i[:count] for i in initial]
        elif count < running:
            ended.append([s[count:] for s in states])
            states = [s[:count] for s in states]
        running = count
        piece = data[starts[first] : starts[last]].reshape(last - first, count, *data.shape[1:])
        out, states = run(piece, states)
        outs.append(out.reshape(-1, out.shape[-1]))
    outs = outs[::-1] if reverse else outs
    ends = [states, *ended[::-1]]  # the longest sequences come first
    return ops.cat(outs), [ops.cat(list(parts)) for parts in zip(*ends, strict=True)]


def sorted_states(packed: PackedSequence, states: list[Any]) -> list[Any]:
    """States (layers, batch, hidden) in the order of the packed sequences."""
    order = packed.sorted_indices
    return states if order is None else [s[:, order.array] for s in states]


def unsorted_states(packed: PackedSequence, states: list[Any]) -> list[Any]:
    """States in the order that the sequences came in."""
    back = packed.unsorted_indices
    return states if back is None else [s[:, back.array] for s in states]
