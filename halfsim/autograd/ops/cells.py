"""The formulas of one time step of each recurrent layer, forward and backward: those of PyTorch's fused CUDA cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops.fused import kept
from halfsim.numerics.quantize import Array

State = tuple[Array, ...]  # (h,) or, for LSTM, (h, c)


class Cell(NamedTuple):
    """One time step of a recurrent layer.

    ``forward`` takes the two products, the biases and the state, and gives the new state and what backward needs.
    ``backward`` takes the gradient of the new state, the state before and after, and what forward saved; it gives
    the gradients of the gates as the input's product meets them and as the state's does, and of the state before.
    """

    gates: int
    states: int
    saved: int  # how many arrays of the state's shape backward needs
    apart: bool  # whether the two products get different gradients
    forward: Callable[..., tuple[State, Array]]
    backward: Callable[..., tuple[Array, Array, State]]


def _preactivation(fp: Arithmetic, x: Array, h: Array, biases: tuple[Array, ...]) -> Array:
    y = fp.add(x, h)
    for bias in biases:
        y = fp.add(y, bias)
    return y


def _split(x: Array, gates: int) -> list[Array]:
    n = x.shape[-1] // gates
    return [x[..., i * n : (i + 1) * n] for i in range(gates)]


def _slope(fp: Arithmetic, g: Array, y: Array) -> Array:
    """The gradient behind a sigmoid: ``g * (1 - y) * y``."""
    return fp.mul(fp.mul(g, fp.sub(fp.constant(1.0), y)), y)


def _tanh_slope(fp: Arithmetic, g: Array, y: Array) -> Array:
    """The gradient behind a hyperbolic tangent: ``g * (1 - y * y)``."""
    return fp.mul(g, fp.sub(fp.constant(1.0), fp.mul(y, y)))


def _tanh_forward(fp: Arithmetic, x: Array, hh: Array, biases: tuple[Array, ...], state: State) -> tuple[State, Array]:
    h = fp.tanh(_preactivation(fp, x, hh, biases))
    return (h,), h[:, :0]


def _tanh_backward(fp: Arithmetic, g: State, before: State, after: State, saved: Array) -> tuple[Array, Array, State]:
    d = kept(fp, _tanh_slope(fp, g[0], after[0]))
    return d, d, ()


def _relu_forward(fp: Arithmetic, x: Array, hh: Array, biases: tuple[Array, ...], state: State) -> tuple[State, Array]:
    y = _preactivation(fp, x, hh, biases)
    return (fp.keep(y, ~(y < 0)),), y[:, :0]


def _relu_backward(fp: Arithmetic, g: State, before: State, after: State, saved: Array) -> tuple[Array, Array, State]:
    d = fp.keep(g[0], ~(after[0] <= 0))
    return d, d, ()


def _lstm_forward(fp: Arithmetic, x: Array, hh: Array, biases: tuple[Array, ...], state: State) -> tuple[State, Array]:
    y = _preactivation(fp, x, hh, biases)
    n = y.shape[-1] // 4
    saved = np.concatenate([fp.sigmoid(y[:, : 2 * n]), fp.tanh(y[:, 2 * n : 3 * n]), fp.sigmoid(y[:, 3 * n :])], 1)
    i, f, new, o = _split(saved, 4)
    c = fp.add(fp.mul(f, state[1]), fp.mul(i, new))
    return (fp.mul(o, fp.tanh(c)), c), saved


def _lstm_backward(fp: Arithmetic, g: State, before: State, after: State, saved: Array) -> tuple[Array, Array, State]:
    i, f, new, o = _split(saved, 4)
    t = fp.tanh(after[1])
    dc = fp.add(_tanh_slope(fp, fp.mul(g[0], o), t), g[1])
    di, df = _slope(fp, fp.mul(dc, new), i), _slope(fp, fp.mul(dc, before[1]), f)
    dn, do = _tanh_slope(fp, fp.mul(dc, i), new), _slope(fp, fp.mul(g[0], t), o)
    d = kept(fp, np.concatenate([di, df, dn, do], 1))
    return d, d, (kept(fp, fp.mul(dc, f)),)


def _gru_forward(fp: Arithmetic, x: Array, hh: Array, biases: tuple[Array, ...], state: State) -> tuple[State, Array]:
    n = x.shape[-1] // 3
    rz = fp.sigmoid(_preactivation(fp, x[:, : 2 * n], hh[:, : 2 * n], tuple(b[: 2 * n] for b in biases)))
    inner, outer = hh[:, 2 * n :], x[:, 2 * n :]
    if biases:
        outer, inner = fp.add(outer, biases[0][2 * n :]), fp.add(inner, biases[1][2 * n :])
    new = fp.tanh(fp.add(outer, fp.mul(rz[:, :n], inner)))
    h = fp.add(new, fp.mul(rz[:, n:], fp.sub(state[0], new)))
    return (h,), np.concatenate([rz, new, inner], 1)


def _gru_backward(fp: Arithmetic, g: State, before: State, after: State, saved: Array) -> tuple[Array, Array, State]:
    (r, z, new, inner), one = _split(saved, 4), fp.constant(1.0)
    dz = _slope(fp, fp.mul(g[0], fp.sub(before[0], new)), z)
    dn = _tanh_slope(fp, fp.mul(g[0], fp.sub(one, z)), new)
    dr = _slope(fp, fp.mul(dn, inner), r)
    outer = kept(fp, np.concatenate([dr, dz, dn], 1))
    hidden = kept(fp, np.concatenate([dr, dz, fp.mul(dn, r)], 1))
    return outer, hidden, (kept(fp, fp.mul(g[0], z)),)


TANH = Cell(1, 1, 0, False, _tanh_forward, _tanh_backward)
RELU = Cell(1, 1, 0, False, _relu_forward, _relu_backward)
LSTM = Cell(4, 2, 4, False, _lstm_forward, _lstm_backward)
GRU = Cell(3, 1, 4, True, _gru_forward, _gru_backward)
