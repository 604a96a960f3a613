"""A long short-term memory whose state is projected to fewer numbers, as PyTorch composes it outside cuDNN."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.making import tensor
from halfsim.autograd.ops._common import named, shared_backward, spilled
from halfsim.autograd.ops.join import stack
from halfsim.autograd.ops.linalg import linear
from halfsim.autograd.ops.recurrent import LSTM
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.quantize import Array

__all__ = [
    "lstm_projected",
]


@op("fp16")
@named("lstm_step")
def _step(fp: Arithmetic, x: Array, h: Array, c: Array, b_ih: Array | None = None, b_hh: Array | None = None, /) -> Any:
    """The state before the projection, and c, (2, batch, hidden), from the stored products of input and state."""
    biases = tuple(b for b in (b_ih, b_hh) if b is not None)
    (y, new), saved = LSTM.forward(fp, x, h, biases, (h, c))
    saved, after = spilled(fp, saved), (y, spilled(fp, new))
    backward = shared_backward(lambda fp, g: LSTM.backward(fp, (g[0], g[1]), (h, c), after, saved))
    return np.stack([y, new]), (
        lambda fp, g: backward(fp, g)[0],
        lambda fp, g: backward(fp, g)[1],
        lambda fp, g: backward(fp, g)[2][0],
        lambda fp, g: fp.sum(backward(fp, g)[0], 0),
        lambda fp, g: fp.sum(backward(fp, g)[1], 0),
    )


def lstm_projected(
    x: Any,
    w_ih: Any,
    w_hh: Any,
    w_hr: Any,
    b_ih: Any = None,
    b_hh: Any = None,
    h0: Any = None,
    c0: Any = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """`lstm` whose state is ``h = (o * tanh(c)) @ w_hr.T``: h of every step, (steps, batch, proj), and the last c.

    ``x`` is (steps, batch, in); weights are (4 * hidden, in), (4 * hidden, proj) and (proj, hidden), ``h0`` is
    (batch, proj) and ``c0`` (batch, hidden), or zeros. Each step is two `linear`, of the state before and after, with
    one kernel of the gates between them; the input's is taken of all steps at once.
    """
    products = linear(x, w_ih)
    steps, batch = products.shape[:2]
    width, hidden = np.shape(w_hr)
    h = tensor(np.zeros((batch, width)), products.format) if h0 is None else h0
    c = tensor(np.zeros((batch, hidden)), products.format) if c0 is None else c0
    out: list[Any] = [None] * steps
    for t in range(steps)[::-1] if reverse else range(steps):
        both = _step(products[t], linear(h, w_hh), c, b_ih, b_hh)
        out[t], c = linear(both[0], w_hr), both[1]
        h = out[t]
    return stack(out), c
