"""Recurrent layers, one direction of one layer an operation, and their cells.

The steps are those of PyTorch's fused CUDA cells: the products of the input with its weights, of all time steps at
once, are stored; then for each step the product of the state with its weights is stored, and one kernel adds both and
the biases, ``((x @ w_ih.T + h @ w_hh.T) + b_ih) + b_hh``, applies the gates and stores the new state and, for
backward, the gates. "Stored" is rounded to ``storage``; everything else is an elementary step rounded to ``compute``.
Backward goes through the steps in reverse and stores the gradients of all gates; those of weights and biases are then
one product or sum over all steps, as in cuDNN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import shared_backward, spilled
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.quantize import Array

__all__ = [
    "gru",
    "gru_cell",
    "lstm",
    "lstm_cell",
    "rnn_relu",
    "rnn_relu_cell",
    "rnn_tanh",
    "rnn_tanh_cell",
]

# One time step of each layer, forward and backward.


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
    d = spilled(fp, _tanh_slope(fp, g[0], after[0]))
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
    d = spilled(fp, np.concatenate([di, df, dn, do], 1))
    return d, d, (spilled(fp, fp.mul(dc, f)),)


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
    outer = spilled(fp, np.concatenate([dr, dz, dn], 1))
    hidden = spilled(fp, np.concatenate([dr, dz, fp.mul(dn, r)], 1))
    return outer, hidden, (spilled(fp, fp.mul(g[0], z)),)


TANH = Cell(1, 1, 0, False, _tanh_forward, _tanh_backward)
RELU = Cell(1, 1, 0, False, _relu_forward, _relu_backward)
LSTM = Cell(4, 2, 4, False, _lstm_forward, _lstm_backward)
GRU = Cell(3, 1, 4, True, _gru_forward, _gru_backward)


# Layers: one direction of one layer an operation.


def _rows(x: Array) -> Array:
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


def _layer(
    fp: Arithmetic,
    cell: Cell,
    x: Array,
    weights: tuple[Array, Array],
    biases: tuple[Array | None, Array | None],
    initial: tuple[Array | None, ...],
    reverse: bool,
) -> Any:
    """All steps of ``cell``: h of every step and, for LSTM, the last c as one more row."""
    w_ih, w_hh = weights
    _check(cell, x, w_ih, w_hh, biases, initial)
    steps, batch, hidden = len(x), x.shape[1], w_hh.shape[1]
    order = range(steps)[::-1] if reverse else range(steps)
    start = tuple(np.zeros((batch, hidden), fp.dtype) if s is None else s for s in initial)
    out, states, saved = _forward(fp, cell, x, weights, tuple(b for b in biases if b is not None), start, order)
    backward = shared_backward(lambda fp, g: _backward(fp, g, cell, w_hh, start, states, saved, order))

    def previous() -> Array:
        h, first = states[0], start[0][None]
        return np.concatenate([h[1:], first] if reverse else [first, h[:-1]])

    pullbacks = (
        lambda fp, g: fp.matmul(_rows(backward(fp, g)[0]), w_ih).reshape(x.shape),
        lambda fp, g: fp.matmul(_rows(backward(fp, g)[0]).T, _rows(x)),
        lambda fp, g: fp.matmul(_rows(backward(fp, g)[1]).T, _rows(previous())),
        lambda fp, g: fp.sum(_rows(backward(fp, g)[0]), 0),
        lambda fp, g: fp.sum(_rows(backward(fp, g)[1]), 0),
        lambda fp, g: backward(fp, g)[2][0],
        lambda fp, g: backward(fp, g)[2][1],
    )
    return out, pullbacks[: 5 + cell.states]


def _forward(
    fp: Arithmetic,
    cell: Cell,
    x: Array,
    weights: tuple[Array, Array],
    biases: tuple[Array, ...],
    state: State,
    order: range,
) -> tuple[Array, State, Array]:
    """The result, the states after every step, and what every step saved."""
    steps, shape = len(x), state[0].shape
    products = spilled(fp, fp.matmul(_rows(x), weights[0].T)).reshape(steps, shape[0], len(weights[0]))
    out = np.empty((steps + cell.states - 1, *shape), fp.dtype)
    states = (out[:steps], np.empty((steps, *shape), fp.dtype))[: cell.states]
    width = cell.saved * shape[1]  # where the gates fit they take the place of the products that made them
    saved = products if width == products.shape[2] else np.empty((steps, shape[0], width), fp.dtype)
    for t in order:
        product = spilled(fp, fp.matmul(state[0], weights[1].T))
        state, gates = cell.forward(fp, products[t], product, biases, state)
        saved[t] = spilled(fp, gates)
        state = tuple(fp.read(s, fp.precision.compute) for s in state)
        for all_steps, s in zip(states, state, strict=True):
            all_steps[t] = s
    if cell.states == 2:
        out[steps] = state[1]
    return out, states, saved


def _backward(
    fp: Arithmetic,
    g: Array,
    cell: Cell,
    w_hh: Array,
    start: State,
    states: State,
    saved: Array,
    order: range,
) -> tuple[Array, Array, State]:
    """The gradients of the gates of all steps, as the input's and the state's products meet them, and of the start."""
    steps = len(saved)
    outer = np.empty((steps, len(start[0]), len(w_hh)), fp.dtype)
    hidden = np.empty_like(outer) if cell.apart else outer
    later: Array | None = None
    dc = tuple(g[steps:])
    for i in range(steps)[::-1]:
        t = order[i]
        dh = g[t] if later is None else spilled(fp, fp.add(g[t], later))
        before = start if i == 0 else tuple(s[order[i - 1]] for s in states)
        outer[t], hidden[t], direct = cell.backward(fp, (dh, *dc), before, tuple(s[t] for s in states), saved[t])
        later = spilled(fp, fp.matmul(hidden[t], w_hh))
        if dc:
            dc = direct
        elif direct:
            later = spilled(fp, fp.add(direct[0], later))
    assert later is not None  # no layer takes no steps
    return outer, hidden, (later, *dc)


def _check(
    cell: Cell,
    x: Array,
    w_ih: Array,
    w_hh: Array,
    biases: tuple[Array | None, ...],
    initial: tuple[Array | None, ...],
) -> None:
    """``ValueError`` for the first operand that does not fit."""
    hidden = w_hh.shape[-1] if w_hh.ndim else 0
    if w_hh.shape != (cell.gates * hidden, hidden) or not hidden:
        raise ValueError(f"w_hh: shape {w_hh.shape} is not allowed; allowed: ({cell.gates} * hidden, hidden)")
    if w_ih.ndim != 2 or len(w_ih) != len(w_hh):
        raise ValueError(f"w_ih: shape {w_ih.shape} is not allowed; allowed: ({len(w_hh)}, in)")
    if x.ndim != 3 or x.shape[2] != w_ih.shape[1] or not len(x):
        raise ValueError(
            f"x: shape {x.shape} is not allowed; allowed: (steps, batch, {w_ih.shape[1]}), one step at least"
        )
    if (biases[0] is None) != (biases[1] is None):
        raise ValueError("b_hh: one bias alone is not allowed; allowed: both or none")
    for name, b in zip(("b_ih", "b_hh"), biases, strict=True):
        if b is not None and b.shape != (len(w_hh),):
            raise ValueError(f"{name}: shape {b.shape} is not allowed; allowed: ({len(w_hh)},)")
    for name, s in zip(("h0", "c0"), initial, strict=False):
        if s is not None and s.shape != (x.shape[1], hidden):
            raise ValueError(f"{name}: shape {s.shape} is not allowed; allowed: ({x.shape[1]}, {hidden})")


@op("fp16")
def rnn_tanh(
    fp: Arithmetic,
    x: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
    h0: Array | None = None,
    /,
    reverse: bool = False,
) -> Any:
    """``h = tanh(((x @ w_ih.T + h @ w_hh.T) + b_ih) + b_hh)`` for every step of x (steps, batch, in).

    Weights are (hidden, in) and (hidden, hidden), biases (hidden,), ``h0`` (batch, hidden) or zeros; the result holds
    h of every step, (steps, batch, hidden). Both products are stored before they are added. ``reverse`` begins
    at the last step. ``ValueError`` for shapes that do not fit.
    """
    return _layer(fp, TANH, x, (w_ih, w_hh), (b_ih, b_hh), (h0,), reverse)


@op("fp16")
def rnn_relu(
    fp: Arithmetic,
    x: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
    h0: Array | None = None,
    /,
    reverse: bool = False,
) -> Any:
    """`rnn_tanh` with ``max(., 0)`` in place of tanh; NaN passes."""
    return _layer(fp, RELU, x, (w_ih, w_hh), (b_ih, b_hh), (h0,), reverse)


@op("fp16")
def lstm(
    fp: Arithmetic,
    x: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
    h0: Array | None = None,
    c0: Array | None = None,
    /,
    reverse: bool = False,
) -> Any:
    """A long short-term memory over x (steps, batch, in): h of every step, then the last c, (steps + 1, batch, hidden).

    Weights are (4 * hidden, in) and (4 * hidden, hidden), biases (4 * hidden,), the gates in the order i, f, g, o;
    ``h0`` and ``c0`` are (batch, hidden) or zeros. Each step stores both products, adds them and the biases to
    ``((x @ w_ih.T + h @ w_hh.T) + b_ih) + b_hh``, takes the sigmoid of i, f and o and tanh of g, forms
    ``c = f * c + i * g`` (two products, their sum) and ``h = o * tanh(c)``, and stores c and h, which the next step
    reads. ``reverse`` begins at the last step. ``ValueError`` for shapes that do not fit.
    """
    return _layer(fp, LSTM, x, (w_ih, w_hh), (b_ih, b_hh), (h0, c0), reverse)


@op("fp16")
def gru(
    fp: Arithmetic,
    x: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
    h0: Array | None = None,
    /,
    reverse: bool = False,
) -> Any:
    """A gated recurrent unit over x (steps, batch, in): h of every step, (steps, batch, hidden).

    Weights are (3 * hidden, in) and (3 * hidden, hidden), biases (3 * hidden,), the gates in the order r, z, n;
    ``h0`` is (batch, hidden) or zeros. Each step stores both products X and H, takes r and z as sigmoids of
    ``((X + H) + b_ih) + b_hh``, ``n = tanh((X + b_ih) + r * (H + b_hh))`` and ``n + z * (h - n)``, and stores that,
    which the next step reads. ``reverse`` begins at the last step. ``ValueError`` for shapes that do not fit.
    """
    return _layer(fp, GRU, x, (w_ih, w_hh), (b_ih, b_hh), (h0,), reverse)


def rnn_tanh_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Tensor:
    """One step of `rnn_tanh` for input (batch, in) and hx (batch, hidden), or both without batch."""
    return _step("rnn_tanh", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


def rnn_relu_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Tensor:
    """One step of `rnn_relu` for input (batch, in) and hx (batch, hidden), or both without batch."""
    return _step("rnn_relu", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


def gru_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Tensor:
    """One step of `gru` for input (batch, in) and hx (batch, hidden), or both without batch."""
    return _step("gru", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


def lstm_cell(
    input: Any, hx: tuple[Any, Any], w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None
) -> tuple[Tensor, Tensor]:
    """One step of `lstm`: the new h and c for input (batch, in) and hx = (h, c), (batch, hidden) each.

    >>> import numpy as np
    >>> from halfsim import tensor
    >>> h, c = lstm_cell(tensor([0.0]), (tensor([0.0]), tensor([1.0])), np.ones((4, 1)), np.ones((4, 1)))
    >>> h, c
    (tensor([0.23105858], float32), tensor([0.5], float32))
    """
    if not isinstance(hx, (tuple, list)) or len(hx) != 2:
        raise ValueError("hx: it is no pair; allowed: (h, c), (batch, hidden) each")
    y = _step("lstm", input, tuple(hx), w_ih, w_hh, b_ih, b_hh)
    return y[0], y[1]


def _step(name: str, x: Any, state: tuple[Any, ...], w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Tensor:
    """One step of the layer operation ``name`` on a batch or a single input."""
    x, state = _array(x), tuple(s if s is None else _array(s) for s in state)
    single = x.ndim == 1
    if single:
        state = tuple(s if s is None else s.reshape(1, *s.shape) for s in state)
    y = OPS[name](x.reshape(*((1, 1) if single else (1,)), *x.shape), w_ih, w_hh, b_ih, b_hh, *state)
    return y.reshape(y.shape[0], y.shape[2]) if single else y


def _array(x: Any) -> Any:
    return x if isinstance(x, Tensor) else np.asarray(x)
