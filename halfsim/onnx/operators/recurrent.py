"""Recurrent layers: RNN, GRU, LSTM, both directions, sequences of their own lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.onnx.operators import formulas
from halfsim.onnx.operators.table import row

# Activations by ONNX's names, with their alpha and beta where they have them.
_ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "relu": lambda x, a, b: ops.relu(x),
    "tanh": lambda x, a, b: ops.tanh(x),
    "sigmoid": lambda x, a, b: ops.sigmoid(x),
    "softsign": lambda x, a, b: ops.softsign(x),
    "softplus": lambda x, a, b: ops.softplus(x),
    "affine": lambda x, a, b: ops.add(ops.mul(x, 1.0 if a is None else a), 0.0 if b is None else b),
    "leakyrelu": lambda x, a, b: ops.leaky_relu(x, 0.01 if a is None else a),
    "thresholdedrelu": lambda x, a, b: ops.threshold(x, 1.0 if a is None else a, 0.0),
    "scaledtanh": lambda x, a, b: ops.mul(ops.tanh(ops.mul(x, 1.0 if b is None else b)), 1.0 if a is None else a),
    "hardsigmoid": lambda x, a, b: formulas.hard_sigmoid(x, 0.2 if a is None else a, 0.5 if b is None else b),
    "elu": lambda x, a, b: ops.elu(x, 1.0 if a is None else a),
}
_OF_TWO = ("affine", "scaledtanh", "hardsigmoid")
_OF_ONE = ("leakyrelu", "thresholdedrelu", "elu")


def _activations(
    names: Sequence[str], alphas: Sequence[float] | None, betas: Sequence[float] | None
) -> list[Callable[[Any], Any]]:
    """Functions of the names; numbers are given in order to those that take some."""
    first, second, found = list(alphas or ()), list(betas or ()), list[Callable[[Any], Any]]()
    for name in names:
        word = name.lower()
        if word not in _ACTIVATIONS:
            raise ValueError(f"activations: {name!r} is not allowed; allowed: {', '.join(_ACTIVATIONS)}")
        a = first.pop(0) if first and word in (*_OF_ONE, *_OF_TWO) else None
        b = second.pop(0) if second and word in _OF_TWO else None
        found.append(partial(_numbered, _ACTIVATIONS[word], a, b))
    return found


def _numbered(function: Callable[..., Any], a: float | None, b: float | None, x: Any) -> Any:
    return function(x, a, b)


class _Layer:
    """One direction of a layer: what a step of its kind makes of an input and a state."""

    def __init__(self, w: Any, r: Any, b: Any, p: Any, size: int, functions: Sequence[Any], options: dict[str, Any]):
        self.w, self.r, self.p, self.size, self.functions, self.options = w, r, p, size, functions, options
        gates = w.shape[0]
        self.wb: Any = None if b is None else b[:gates]
        self.rb: Any = None if b is None else b[gates:]

    def _part(self, x: Any, i: int) -> Any:
        return ops.narrow(x, x.ndim - 1, i * self.size, self.size)

    def _clipped(self, x: Any) -> Any:
        limit = self.options.get("clip")
        return x if not limit else ops.clamp(x, -limit, limit)

    def rnn(self, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
        """One step of RNN."""
        (f,) = self.functions
        return f(self._clipped(ops.add(ops.linear(x, self.w, self.wb), ops.linear(h, self.r, self.rb)))), c

    def gru(self, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
        """One step of GRU, whose gates stand in the order z, r, h."""
        f, g = self.functions
        gates, n = ops.linear(x, self.w, self.wb), self.size
        own = ops.linear(h, self.r, self.rb) if self.options.get("linear_before_reset") else None
        if own is None:
            pair = ops.linear(h, self.r[: 2 * n], None if self.rb is None else self.rb[: 2 * n])
        else:
            pair = ops.narrow(own, 1, 0, 2 * n)
        z = f(self._clipped(ops.add(self._part(gates, 0), self._part(pair, 0))))
        r = f(self._clipped(ops.add(self._part(gates, 1), self._part(pair, 1))))
        if own is None:
            last = ops.linear(ops.mul(r, h), self.r[2 * n :], None if self.rb is None else self.rb[2 * n :])
        else:
            last = ops.mul(r, self._part(own, 2))
        new = g(self._clipped(ops.add(self._part(gates, 2), last)))
        return ops.add(ops.mul(ops.sub(1.0, z), new), ops.mul(z, h)), c

    def lstm(self, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
        """One step of LSTM, whose gates stand in the order i, o, f, c, with peepholes in the order i, o, f."""
        f, g, last = self.functions
        gates = ops.add(ops.linear(x, self.w, self.wb), ops.linear(h, self.r, self.rb))
        i, o, forget, new = (self._part(gates, k) for k in range(4))
        if self.p is not None:
            i = ops.add(i, ops.mul(self._part(self.p, 0), c))
            forget = ops.add(forget, ops.mul(self._part(self.p, 2), c))
        i = f(self._clipped(i))
        forget = ops.sub(1.0, i) if self.options.get("input_forget") else f(self._clipped(forget))
        c = ops.add(ops.mul(forget, c), ops.mul(i, g(self._clipped(new))))
        if self.p is not None:
            o = ops.add(o, ops.mul(self._part(self.p, 1), c))
        return ops.mul(f(self._clipped(o)), last(c)), c

    def run(self, kind: str, x: Any, lengths: Any, h: Any, c: Any, reverse: bool) -> tuple[Any, Any, Any]:
        """All steps: every h, the last h, the last c."""
        step, steps, hs = getattr(self, kind), x.shape[0], {}
        for t in reversed(range(steps)) if reverse else range(steps):
            new, cell = step(x[t], h, c)
            if lengths is not None:
                there = (lengths > t)[:, None]
                h = ops.where(there, new, h)
                c = c if c is None else ops.where(there, cell, c)
                hs[t] = ops.where(there, new, ops.zeros_like(new))
            else:
                h, c = hs[t], _ = new, cell
        return ops.stack([hs[t] for t in range(steps)]), h, c


_GATES = {"rnn": 1, "gru": 3, "lstm": 4}
_DEFAULTS = {"rnn": ["Tanh"], "gru": ["Sigmoid", "Tanh"], "lstm": ["Sigmoid", "Tanh", "Tanh"]}
# Gates in the order that our layers have: of GRU r, z, n; of LSTM i, f, g, o.
_ORDER = {"rnn": [0], "gru": [1, 0, 2], "lstm": [0, 2, 3, 1]}


def _ours(kind: str, layer: _Layer, x: Any, h: Any, c: Any, reverse: bool) -> tuple[Any, Any, Any]:
    """The whole layer by our own operation, which is what `halfsim.nn` runs."""
    order = np.concatenate([np.arange(i * layer.size, (i + 1) * layer.size) for i in _ORDER[kind]])
    w, r, wb, rb = (None if v is None else ops.index_select(v, 0, order)
                    for v in (layer.w, layer.r, layer.wb, layer.rb))  # fmt: skip
    if kind == "rnn":
        y = ops.rnn_tanh(x, w, r, wb, rb, h, reverse)
        return y, y[0 if reverse else -1], None
    if kind == "gru":
        y = ops.gru(x, w, r, wb, rb, h, reverse)
        return y, y[0 if reverse else -1], None
    whole = ops.lstm(x, w, r, wb, rb, h, c, reverse)
    y = whole[:-1]
    return y, y[0 if reverse else -1], whole[-1]


def _recurrent(kind: str) -> Callable[..., Any]:
    def run(
        x: Any, w: Any, r: Any, b: Any = None, lengths: Any = None, h: Any = None, c: Any = None, p: Any = None, /, *,
        activations: Any = None, activation_alpha: Any = None, activation_beta: Any = None, clip: Any = None,
        direction: str = "forward", hidden_size: int | None = None, layout: int = 0, input_forget: int = 0,
        linear_before_reset: int = 0,
    ) -> Any:  # fmt: skip
        if not x.ndim == w.ndim == r.ndim == 3:
            raise ValueError(f"X: shape {tuple(x.shape)} is not allowed; allowed: (steps, batch, in), W and R alike")
        x = ops.transpose(x, 0, 1) if layout else x
        h, c = (v if v is None or not layout else ops.transpose(v, 0, 1) for v in (h, c))
        size, batch, given = r.shape[2], x.shape[1], _DEFAULTS[kind]
        names, count = list(activations or given * w.shape[0]), len(given)
        lengths = None if lengths is None else np.asarray(lengths)
        if lengths is not None and (lengths == x.shape[0]).all():
            lengths = None
        found = []
        for i in range(w.shape[0]):
            own = _activations(names[i * count : (i + 1) * count], activation_alpha, activation_beta)
            options = {"clip": clip, "input_forget": input_forget, "linear_before_reset": linear_before_reset}
            layer = _Layer(w[i], r[i], None if b is None else b[i], None if p is None else p[i], size, own, options)
            first = [ops.zeros((batch, size), dtype=x.format) if v is None else v[i] for v in (h, c)]
            reverse = direction == "reverse" or i == 1
            usual = [n.lower() for n in names[i * count : (i + 1) * count]] == [n.lower() for n in given]
            plain = usual and not clip and not input_forget and p is None and lengths is None
            if plain and (kind != "gru" or linear_before_reset):
                found.append(_ours(kind, layer, x, first[0], first[1], reverse))
            else:
                found.append(layer.run(kind, x, lengths, first[0], first[1] if kind == "lstm" else None, reverse))
        y = ops.stack([one[0] for one in found], 1)  # (steps, directions, batch, hidden)
        ends = [ops.stack([one[k] for one in found]) for k in ((1, 2) if kind == "lstm" else (1,))]
        if layout:
            y, ends = ops.permute(y, (2, 0, 1, 3)), [ops.transpose(end, 0, 1) for end in ends]
        return (y, *ends)

    return run


row("RNN")(_recurrent("rnn"))
row("GRU")(_recurrent("gru"))
row("LSTM")(_recurrent("lstm"))
