"""Recurrent layers and cells, with PyTorch's class names, arguments, parameter names and shapes."""

from __future__ import annotations

import warnings
from functools import partial
from math import sqrt
from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.tensor import Tensor, plain
from halfsim.frames import level
from halfsim.nn.init import uniform_parameter
from halfsim.nn.module import Module
from halfsim.nn.packed import directed, sorted_states, unsorted_states
from halfsim.nn.utils.rnn import PackedSequence
from halfsim.numerics.formats import unknown, whole
from halfsim.options import shown

_GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}


def _nonlinearity(word: str) -> str:
    if word not in ("tanh", "relu"):
        raise unknown("nonlinearity", word, ("tanh", "relu"))
    return f"rnn_{word}"


def _positive(name: str, value: Any) -> int:
    value = whole(name, value)
    if value < 1:
        raise ValueError(f"{name}: {value} is not allowed; allowed: integers from 1")
    return value


def layer_count(num_layers: Any) -> int:
    """How many layers a stack has, of which each takes time to make."""
    if not 1 <= whole("num_layers", num_layers) <= 1000:
        raise ValueError(f"num_layers: {shown(num_layers)} is not allowed; allowed: integers from 1 to 1000")
    return int(num_layers)


def _draw(module: Module, rows: int, inputs: int, hidden: int, bias: bool, suffix: str, projected: int = 0) -> None:
    """Give ``module`` the weights and biases of one cell, uniform between -1/sqrt(hidden) and 1/sqrt(hidden)."""
    shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, inputs), "weight_hh": (rows, projected or hidden)}
    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    if projected:
        shapes |= {"weight_hr": (projected, hidden)}
    bound = 1 / sqrt(hidden)
    for name, shape in shapes.items():
        if bias or name.startswith("weight"):
            module._parameters[name + suffix] = uniform_parameter(shape, bound)  # all are named at the end
        else:
            setattr(module, name + suffix, None)


def _check_flags(**flags: Any) -> None:
    for name, flag in flags.items():
        if not isinstance(flag, (bool, np.bool_)):
            raise TypeError(f"{name}: {flag!r} is not allowed; allowed: True, False")


class RNNBase(Module):
    """What RNN, LSTM and GRU share: stacked layers, one or two directions, each an operation of its own.

    ``mode`` is the operation: "rnn_tanh", "rnn_relu", "lstm" or "gru". With ``dropout`` the outputs of every layer but
    the last are dropped out in training. ``proj_size``, of LSTM, is the size of its state h where that is projected,
    see `halfsim.ops.lstm_projected`. ``ValueError`` for sizes below 1, a projection that is no smaller, and a
    probability outside 0 to 1; ``TypeError`` for flags that are no bools.
    """

    mode: str

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
    ) -> None:
        super().__init__()
        if mode not in _GATES:
            raise unknown("mode", mode, _GATES)
        _check_flags(bias=bias, batch_first=batch_first, bidirectional=bidirectional)
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(f"dropout: {dropout} is not allowed; allowed: 0 to 1")
        self.mode, self.bias, self.batch_first = mode, bias, batch_first
        self.input_size, self.hidden_size = _positive("input_size", input_size), _positive("hidden_size", hidden_size)
        self.num_layers, self.dropout = layer_count(num_layers), float(dropout)
        self.bidirectional, self.proj_size = bool(bidirectional), whole("proj_size", proj_size)
        if proj_size and not (mode == "lstm" and 0 < proj_size < hidden_size):
            raise ValueError(f"proj_size: {proj_size} is not allowed; allowed: 0, for LSTM 1 to hidden_size - 1")
        if dropout and num_layers == 1:
            warnings.warn(f"dropout: {dropout} has no effect on one layer; it acts between layers", stacklevel=level())
        self._suffixes = [f"_l{k}{way}" for k in range(num_layers) for way in ("", "_reverse")[: 1 + bidirectional]]
        for i, suffix in enumerate(self._suffixes):
            inputs = input_size if i <= bidirectional else (proj_size or hidden_size) * (1 + bidirectional)
            _draw(self, _GATES[mode] * hidden_size, inputs, hidden_size, bias, suffix, proj_size)
        self._name_parts(self._path)

    def flatten_parameters(self) -> None:
        """Nothing: there is no device memory to lay out."""

    def _run(self, x: Any, state: tuple[Any, ...] | None) -> tuple[Any, list[Tensor]]:
        """The outputs of the last layer and the last states, h and for LSTM c, in the layout of ``x``."""
        if isinstance(x, PackedSequence):
            return self._run_packed(x, state)
        x = x if isinstance(x, Tensor) else np.asarray(x)
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            allowed = f"(steps, batch, {self.input_size}) or (steps, {self.input_size})"
            raise ValueError(f"input: shape {x.shape} is not allowed; allowed: {allowed}")
        batched = x.ndim == 3
        if not batched:
            x = x.reshape(x.shape[0], 1, x.shape[1])
        elif self.batch_first:
            x = x.transpose(1, 0, 2)
        count = 2 if self.mode == "lstm" else 1
        states = [self._initial(name, s, x.shape[1], batched) for name, s in zip("hc", state or (), strict=False)]
        last: list[list[Tensor]] = [[] for _ in range(count)]
        for k in range(self.num_layers):
            if k and self.dropout and self.training:
                x = ops.dropout(x, self.dropout, True)
            x = self._layer(x, k, states, last)
        out = x.transpose(1, 0, 2) if batched and self.batch_first else x if batched else x[:, 0]
        ends = [ops.stack(parts) for parts in last]
        return out, ends if batched else [end[:, 0] for end in ends]

    def _layer(self, x: Any, k: int, states: list[Any], last: list[list[Tensor]]) -> Tensor:
        """One layer, in one direction or two."""
        ways = 1 + self.bidirectional
        outs = []
        for way in range(ways):
            h, ends = self._direction(k * ways + way, x, [s[k * ways + way] for s in states])
            for parts, end in zip(last, ends, strict=True):
                parts.append(end)
            outs.append(h)
        return outs[0] if ways == 1 else ops.cat(outs, 2)

    def _direction(self, which: int, x: Any, initial: list[Any]) -> tuple[Tensor, list[Tensor]]:
        """One layer in one direction: the states of all steps, and the last ones."""
        suffix = self._suffixes[which]
        reverse = suffix.endswith("_reverse")
        weights = [getattr(self, name + suffix) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        if self.proj_size:
            (w_ih, w_hh, b_ih, b_hh), w_hr = weights, getattr(self, f"weight_hr{suffix}")
            h0, c0 = initial or (None, None)
            h, *c = ops.lstm_projected(x, w_ih, w_hh, w_hr, b_ih, b_hh, h0, c0, reverse)
        else:
            y = getattr(ops, self.mode)(x, *weights, *initial, reverse=reverse)
            h, *c = (y[:-1], y[-1]) if self.mode == "lstm" else (y,)
        return h, [h[0 if reverse else -1], *c]

    def _run_packed(self, packed: PackedSequence, state: tuple[Any, ...] | None) -> tuple[PackedSequence, list[Tensor]]:
        """`_run` for sequences of unequal lengths; see `halfsim.nn.packed`."""
        data, ways, sizes = packed.data, 1 + self.bidirectional, packed.batch_sizes.array
        batch = int(sizes[0])
        if data.ndim != 2 or data.shape[1] != self.input_size:
            raise ValueError(f"input: shape {data.shape} is not allowed; allowed: (steps, {self.input_size}), packed")
        count = 2 if self.mode == "lstm" else 1
        widths = (self.proj_size or self.hidden_size, self.hidden_size)[:count]
        given = state or [tensor(np.zeros((len(self._suffixes), batch, n)), data.format) for n in widths]
        states = sorted_states(
            packed, [self._initial(name, s, batch, True) for name, s in zip("hc", given, strict=False)]
        )
        last: list[list[Tensor]] = [[] for _ in range(count)]
        for k in range(self.num_layers):
            if k and self.dropout and self.training:
                data = ops.dropout(data, self.dropout, True)
            outs = []
            for which in range(k * ways, (k + 1) * ways):
                run = partial(self._direction, which)
                out, ends = directed(run, data, sizes, [s[which] for s in states], which % ways == 1)
                for parts, end in zip(last, ends, strict=True):
                    parts.append(end)
                outs.append(out)
            data = outs[0] if ways == 1 else ops.cat(outs, 1)
        return packed.with_data(data), unsorted_states(packed, [ops.stack(parts) for parts in last])

    def _initial(self, name: str, state: Any, batch: int, batched: bool) -> Any:
        state = state if isinstance(state, Tensor) else np.asarray(state)
        count = len(self._suffixes)
        width = self.proj_size if self.proj_size and name == "h" else self.hidden_size
        shape = (count, batch, width) if batched else (count, width)
        if state.shape != shape:
            raise ValueError(f"{name}0: shape {state.shape} is not allowed; allowed: {shape} for this input")
        return state if batched else state.reshape(count, 1, width)

    def extra_repr(self) -> str:
        plain_values: dict[str, Any] = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False}
        plain_values |= {"dropout": 0.0, "bidirectional": False}
        changed = [f"{n}={getattr(self, n)}" for n, value in plain_values.items() if getattr(self, n) != value]
        return ", ".join([str(self.input_size), str(self.hidden_size), *changed])


class RNN(RNNBase):
    """An Elman network; see `halfsim.ops.rnn_tanh` and `halfsim.ops.rnn_relu`.

    Input (steps, batch, in), with ``batch_first`` (batch, steps, in), or (steps, in) without batch; the initial state
    (num_layers * directions, batch, hidden), or zeros. Returns ``(out, h)``: the last layer's states of every step,
    (steps, batch, directions * hidden), and the last states of every layer. Parameters are ``weight_ih_l0``,
    ``weight_hh_l0``, ``bias_ih_l0``, ``bias_hh_l0``, ``..._l0_reverse``, ``..._l1`` and so on, drawn uniformly
    between -1/sqrt(hidden) and 1/sqrt(hidden). A `halfsim.nn.utils.rnn.PackedSequence` gives one, and the last states
    of each sequence. ``ValueError`` for shapes and options that do not fit.

    >>> import halfsim as hs
    >>> out, h = RNN(3, 4)(hs.tensor(np.zeros((5, 2, 3))))
    >>> out.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        mode = _nonlinearity(nonlinearity)
        super().__init__(mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None) -> tuple[Tensor, Tensor]:
        out, (h,) = self._run(input, None if hx is None else (hx,))
        return out, h


class LSTM(RNNBase):
    """A long short-term memory; see `halfsim.ops.lstm`, and `RNN` for shapes and parameters.

    Returns ``(out, (h, c))``; the initial state is a pair ``(h0, c0)``.

    >>> import halfsim as hs
    >>> out, (h, c) = LSTM(3, 4, num_layers=2, bidirectional=True)(hs.tensor(np.zeros((5, 2, 3))))
    >>> out.shape, h.shape, c.shape
    ((5, 2, 8), (4, 2, 4), (4, 2, 4))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("lstm", *args, **kwargs)

    def forward(self, input: Any, hx: tuple[Any, Any] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        if hx is not None and not (isinstance(hx, (tuple, list)) and len(hx) == 2):
            raise TypeError(f"hx: {type(hx).__name__} is not allowed; allowed: a pair (h0, c0)")
        out, (h, c) = self._run(input, hx)
        return out, (h, c)


class GRU(RNNBase):
    """A gated recurrent unit; see `halfsim.ops.gru`, and `RNN` for shapes, parameters and results."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("gru", *args, **kwargs)

    def forward(self, input: Any, hx: Any = None) -> tuple[Tensor, Tensor]:
        out, (h,) = self._run(input, None if hx is None else (hx,))
        return out, h


class RNNCellBase(Module):
    """What the cells share: one step for input (batch, in) or (in,), and a state (batch, hidden), (hidden,) or zeros.

    Parameters are ``weight_ih``, ``weight_hh``, ``bias_ih``, ``bias_hh``, drawn as those of the layers.
    """

    def __init__(self, mode: str, input_size: int, hidden_size: int, bias: bool) -> None:
        super().__init__()
        self.mode, self.bias = mode, bias
        self.input_size, self.hidden_size = _positive("input_size", input_size), _positive("hidden_size", hidden_size)
        _draw(self, _GATES[mode] * hidden_size, input_size, hidden_size, bias, "")
        self._name_parts(self._path)

    def _step(self, x: Any, state: Any) -> Any:
        shape = np.shape(plain(x))
        if len(shape) not in (1, 2) or shape[-1] != self.input_size:
            allowed = f"(batch, {self.input_size}) or ({self.input_size},)"
            raise ValueError(f"input: shape {shape} is not allowed; allowed: {allowed}")
        expected = (*shape[:-1], self.hidden_size)
        for name, s in zip("hc", state, strict=False):
            if s is not None and np.shape(plain(s)) != expected:
                raise ValueError(f"{name}: shape {np.shape(plain(s))} is not allowed; allowed: {expected}")
        step = getattr(ops, f"{self.mode}_cell")
        hx = state if self.mode == "lstm" else state[0]
        return step(x, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(RNNCellBase):
    """One step of `RNN`; returns the new h.

    >>> import halfsim as hs
    >>> RNNCell(3, 4)(hs.tensor([[1.0, 2.0, 3.0]])).shape
    (1, 4)
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh") -> None:
        super().__init__(_nonlinearity(nonlinearity), input_size, hidden_size, bias)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None) -> Tensor:
        return self._step(input, (hx,))

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of `LSTM`; returns the new ``(h, c)``."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__("lstm", input_size, hidden_size, bias)

    def forward(self, input: Any, hx: tuple[Any, Any] | None = None) -> tuple[Tensor, Tensor]:
        if hx is not None and not (isinstance(hx, (tuple, list)) and len(hx) == 2):
            raise TypeError(f"hx: {type(hx).__name__} is not allowed; allowed: a pair (h, c)")
        return self._step(input, (None, None) if hx is None else tuple(hx))


class GRUCell(RNNCellBase):
    """One step of `GRU`; returns the new h."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__("gru", input_size, hidden_size, bias)

    def forward(self, input: Any, hx: Any = None) -> Tensor:
        return self._step(input, (hx,))
