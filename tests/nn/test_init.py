"""First weights: PyTorch's bounds and deviations, one rounding, nothing written in place."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd import random

init = hs.nn.init


def empty(*shape: int, fmt: str = "fp32") -> hs.Tensor:
    return hs.tensor(np.zeros(shape), fmt)


BOUNDS: list[tuple[Callable[[hs.Tensor], hs.Tensor], tuple[int, ...], float]] = [
    (lambda t: init.uniform_(t, -2, 2), (50, 40), 2.0),
    (init.xavier_uniform_, (50, 40), sqrt(6 / 90)),
    (lambda t: init.xavier_uniform_(t, gain=2.0), (8, 6, 5, 5), 2 * sqrt(6 / (14 * 25))),
    (init.kaiming_uniform_, (50, 40), sqrt(6 / 40)),
    (lambda t: init.kaiming_uniform_(t, a=sqrt(5)), (50, 40), sqrt(1 / 40)),
    (lambda t: init.kaiming_uniform_(t, mode="fan_out", nonlinearity="tanh"), (8, 6, 5, 5), 5 / 3 * sqrt(3 / 200)),
    (init.lecun_uniform_, (50, 40), sqrt(3 / 40)),
]


@pytest.mark.parametrize(("fill", "shape", "bound"), BOUNDS)
def test_uniform_ones_have_pytorchs_bounds(
    fill: Callable[[hs.Tensor], hs.Tensor], shape: tuple[int, ...], bound: float
) -> None:
    x = fill(empty(*shape)).numpy()
    assert 0.98 * bound < np.abs(x).max() <= bound
    assert x.std() == pytest.approx(bound / sqrt(3), rel=0.05)


DEVIATIONS: list[tuple[Callable[[hs.Tensor], hs.Tensor], float]] = [
    (lambda t: init.normal_(t, 0.0, 3.0), 3.0),
    (init.xavier_normal_, sqrt(2 / 140)),
    (init.kaiming_normal_, sqrt(2 / 60)),
    (lambda t: init.kaiming_normal_(t, nonlinearity="relu", mode="fan_out"), sqrt(2 / 80)),
    (init.lecun_normal_, sqrt(1 / 60)),
]


@pytest.mark.parametrize(("fill", "deviation"), DEVIATIONS)
def test_normal_ones_have_pytorchs_deviations(fill: Callable[[hs.Tensor], hs.Tensor], deviation: float) -> None:
    x = fill(empty(80, 60)).numpy()
    assert x.std() == pytest.approx(deviation, rel=0.05)
    assert abs(x.mean()) < 0.1 * deviation


def test_truncated_normals_stay_within_bounds() -> None:
    x = init.trunc_normal_(empty(100, 100)).numpy()
    assert np.abs(x).max() <= 2
    assert x.std() == pytest.approx(0.8796, rel=0.03)
    tail = init.trunc_normal_(empty(100, 100), mean=0.0, std=1.0, a=2.0, b=6.0).numpy()
    assert tail.min() >= 2
    assert tail.mean() == pytest.approx(2.3732, rel=0.02), "of a standard normal above 2"
    assert init.trunc_normal_(empty(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (4, 2, 3), (6, 6)])
def test_orthogonal_ones_are(shape: tuple[int, ...]) -> None:
    x = init.orthogonal_(empty(*shape, fmt="fp64"), gain=2.0).numpy().reshape(shape[0], -1)
    small = x @ x.T if x.shape[0] <= x.shape[1] else x.T @ x
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-12)


def test_plain_ones() -> None:
    assert init.eye_(empty(2, 3)).numpy().tolist() == [[1, 0, 0], [0, 1, 0]]
    assert init.ones_(empty(2)).numpy().tolist() == [1, 1]
    assert init.zeros_(hs.tensor([1.0])).item() == 0
    assert init.constant_(empty(1, fmt="fp16"), 0.1).item() == np.float16(0.1)
    kernel = init.dirac_(empty(4, 2, 3), groups=2).numpy()
    assert kernel.tolist() == [[[0, 1, 0], [0, 0, 0]], [[0, 0, 0], [0, 1, 0]]] * 2


def test_gains_are_pytorchs() -> None:
    names = ("linear", "conv2d", "sigmoid", "tanh", "relu", "selu", "leaky_relu")
    gains = [init.calculate_gain(name) for name in names]
    assert gains == [1, 1, 1, 5 / 3, sqrt(2), 0.75, sqrt(2 / (1 + 0.01**2))]
    assert init.calculate_gain("leaky_relu", 0.2) == sqrt(2 / 1.04)


def test_weights_round_once_and_the_old_array_stays() -> None:
    x = hs.nn.Parameter(empty(30, 32, fmt="fp16"))
    before = x.array
    assert init.normal_(x, generator=hs.Generator().manual_seed(5)) is x
    assert not before.any()
    expected = random.normal((30, 32), generator=hs.Generator().manual_seed(5)).astype(np.float16)
    np.testing.assert_array_equal(x.numpy(), expected)
    assert x.requires_grad
    hs.manual_seed(4)
    a = init.normal_(empty(3)).numpy()
    hs.manual_seed(4)
    assert (init.normal_(empty(3)).numpy() == a).all()


BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: init.normal_(np.zeros(3)), TypeError, "tensor: ndarray is not allowed; allowed: Tensor"),  # type: ignore[arg-type]
    (lambda: init.xavier_uniform_(empty(3)), ValueError, "tensor: shape (3,) has no fan-in"),
    (lambda: init.kaiming_normal_(empty(3, 3), mode="fan_on"), ValueError, "mode: 'fan_on' is not allowed (did you"),
    (lambda: init.kaiming_normal_(empty(3, 3), nonlinearity="rleu"), ValueError, "did you mean 'relu'"),
    (lambda: init.calculate_gain("gelu"), ValueError, "nonlinearity: 'gelu' is not allowed"),
    (lambda: init.eye_(empty(3)), ValueError, "tensor: shape (3,) is not allowed; allowed: two dimensions"),
    (lambda: init.orthogonal_(empty(3)), ValueError, "tensor: shape (3,) is not allowed"),
    (lambda: init.dirac_(empty(3, 3)), ValueError, "tensor: shape (3, 3) with groups=1"),
    (lambda: init.trunc_normal_(empty(3), a=1, b=-1), ValueError, "trunc_normal_: a=1, b=-1"),
    (lambda: init.normal_(empty(3), std=-1), ValueError, "std: -1 is not allowed"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
