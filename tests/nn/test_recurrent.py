"""Recurrent layers: names, shapes, layouts, dropout, errors. Results are in `test_sequences_recorded`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halfsim as hs

nn = hs.nn
LAYERS = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}


def test_names_and_shapes_are_pytorchs() -> None:
    layer = nn.LSTM(3, 4, 2, bidirectional=True)
    names = [f"{name}_l{k}{way}" for k in (0, 1) for way in ("", "_reverse") for name in _NAMES]
    assert list(layer.state_dict()) == names
    assert [layer.state_dict()[f"weight_ih_l{k}"].shape for k in (0, 1)] == [(16, 3), (16, 8)]
    assert list(nn.GRU(3, 4, bias=False).state_dict()) == ["weight_ih_l0", "weight_hh_l0"]
    assert list(nn.LSTMCell(3, 4).state_dict()) == list(_NAMES)
    assert repr(layer) == "LSTM(3, 4, num_layers=2, bidirectional=True)"
    assert repr(nn.RNNCell(3, 4, nonlinearity="relu")) == "RNNCell(3, 4, nonlinearity=relu)"
    bound = 4**-0.5
    for values in layer.state_dict().values():
        assert np.abs(values.numpy()).max() <= bound
    assert np.abs(layer.weight_hh_l0.numpy()).max() > 0.8 * bound


_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


@settings(max_examples=25)
@given(
    st.sampled_from(sorted(LAYERS)),
    st.integers(1, 4),
    st.integers(0, 3),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
)
def test_shapes(name: str, steps: int, batch: int, layers: int, both: bool, first: bool) -> None:
    layer = LAYERS[name](3, 2, num_layers=layers, bidirectional=both, batch_first=first)
    shape = (batch, steps, 3) if first else (steps, batch, 3)
    out, state = layer(hs.tensor(np.ones(shape)))
    assert out.shape == (*shape[:2], 2 * (1 + both))
    for s in state if name == "LSTM" else [state]:
        assert s.shape == (layers * (1 + both), batch, 2)
    out, state = layer(hs.tensor(np.ones((steps, 3))))
    assert out.shape == (steps, 2 * (1 + both))
    assert (state[0] if name == "LSTM" else state).shape == (layers * (1 + both), 2)


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_of_a_deep_layer_are_finite_differences(name: str) -> None:
    with hs.precision("fp64"):
        layer = LAYERS[name](2, 2, num_layers=2, bidirectional=True, batch_first=True)
        x = hs.tensor(np.random.default_rng(0).standard_normal((2, 3, 2)))
    parameters = [p.numpy() for p in layer.parameters()]

    def run(x: hs.Tensor, weight: hs.Tensor) -> hs.Tensor:
        layer.weight_hh_l0 = nn.Parameter(weight)
        layer._parameters["weight_hh_l0"] = weight
        return layer(x)[0]

    assert hs.gradcheck(run, [x, parameters[1]])


def test_layouts_agree() -> None:
    rng = np.random.default_rng(0)
    layer, x = nn.GRU(3, 4, bidirectional=True), rng.standard_normal((5, 2, 3)).astype(np.float32)
    other = nn.GRU(3, 4, bidirectional=True, batch_first=True)
    other.load_state_dict(layer.state_dict())
    out, h = layer(hs.tensor(x))
    turned, same = other(x.transpose(1, 0, 2))
    np.testing.assert_array_equal(turned.numpy(), out.numpy().transpose(1, 0, 2))
    np.testing.assert_array_equal(h.numpy(), same.numpy())
    single, h0 = layer(x[:, 0])
    np.testing.assert_allclose(single.numpy(), out.numpy()[:, 0], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(h0.numpy(), h.numpy()[:, 0], rtol=1e-5, atol=1e-7)
    again, _ = layer(x, np.zeros((2, 2, 4)))
    np.testing.assert_array_equal(again.numpy(), out.numpy())


def test_dropout_acts_between_layers_in_training_only() -> None:
    layer = nn.RNN(3, 4, num_layers=2, dropout=1.0)
    x = np.random.default_rng(0).standard_normal((4, 2, 3))
    plain = nn.RNN(3, 4, num_layers=2)
    plain.load_state_dict(layer.state_dict())
    assert not np.array_equal(layer(x)[0].numpy(), plain(x)[0].numpy())
    dropped = layer(x)[0].numpy()
    np.testing.assert_array_equal(dropped, layer(x + 1)[0].numpy())  # nothing of the input is left
    np.testing.assert_array_equal(layer.eval()(x)[0].numpy(), plain(x)[0].numpy())
    with pytest.warns(UserWarning, match="^dropout: 0.5 has no effect on one layer"):
        nn.LSTM(3, 4, dropout=0.5)


def test_precision_and_amp() -> None:
    layer, x = nn.LSTM(3, 4), np.ones((2, 1, 3), np.float32)
    assert layer(x)[0].format is hs.float32
    with hs.precision("amp"):
        out, (h, c) = layer(x)
        assert {t.format for t in (out, h, c)} == {hs.float16}
        out.sum().backward()
    assert layer.weight_ih_l0.grad is not None
    assert layer.weight_ih_l0.grad.format is hs.float32
    with hs.precision("fp64"):
        assert nn.GRUCell(3, 4)(np.ones((1, 3))).numpy().dtype == np.float64
    assert nn.GRU(3, 4).half()(hs.tensor(x, "fp16"))[0].format is hs.float16


BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: nn.RNN(3, 4, nonlinearity="tan"), ValueError, "nonlinearity: 'tan' is not allowed (did you mean 'tanh'?)"),
    (lambda: nn.RNNCell(3, 4, nonlinearity="elu"), ValueError, "nonlinearity: 'elu' is not allowed"),
    (lambda: nn.LSTM(3, 4, dropout=2, num_layers=2), ValueError, "dropout: 2 is not allowed; allowed: 0 to 1"),
    (lambda: nn.LSTM(3, 4, proj_size=4), ValueError, "proj_size: 4 is not allowed"),
    (lambda: nn.GRU(3, 4, proj_size=2), ValueError, "proj_size: 2 is not allowed; allowed: 0, for LSTM 1 to"),
    (lambda: nn.GRU(3, 4, batch_first="False"), TypeError, "batch_first: 'False' is not allowed; allowed: True, False"),
    (lambda: nn.LSTM(3, 0), ValueError, "hidden_size: 0 is not allowed"),
    (lambda: nn.LSTM(0, 4), ValueError, "input_size: 0 is not allowed"),
    (lambda: nn.LSTM(3, 4, 0), ValueError, "num_layers: 0 is not allowed"),
    (lambda: nn.LSTM(3.0, 4), TypeError, "input_size: 3.0 is not allowed; allowed: integers"),
    (lambda: nn.GRUCell(3, -1), ValueError, "hidden_size: -1 is not allowed"),
    (lambda: nn.LSTM(3, 4)(np.ones(3)), ValueError, "input: shape (3,) is not allowed"),
    (lambda: nn.LSTM(3, 4)(np.ones((2, 2, 2))), ValueError, "input: shape (2, 2, 2) is not allowed"),
    (lambda: nn.LSTM(3, 4)(np.ones((2, 2, 3)), np.ones((1, 2, 4))), TypeError, "hx: ndarray is not allowed"),
    (
        lambda: nn.LSTM(3, 4)(np.ones((2, 2, 3)), (np.ones((1, 2, 4)), np.ones((2, 2, 4)))),
        ValueError,
        "c0: shape (2, 2, 4) is not allowed; allowed: (1, 2, 4)",
    ),
    (lambda: nn.GRU(3, 4)(np.ones((2, 2, 3)), np.ones((1, 4))), ValueError, "h0: shape (1, 4) is not allowed"),
    (lambda: nn.GRU(3, 4)(np.ones((0, 2, 3))), ValueError, "one step at least"),
    (lambda: nn.LSTMCell(3, 4)(np.ones((2, 2, 3))), ValueError, "input: shape (2, 2, 3) is not allowed"),
    (lambda: nn.GRUCell(3, 4)(np.ones((2, 3)), np.ones((3, 4))), ValueError, "h: shape (3, 4) is not allowed"),
    (lambda: nn.LSTMCell(3, 4)(np.ones((2, 3)), np.ones((2, 4))), TypeError, "hx: ndarray is not allowed"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
