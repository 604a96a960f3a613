"""The public gradient check finds wrong gradients and passes right ones."""

import numpy as np
import pytest

import halfsim as hs


def test_right_gradients_pass(rng: np.random.Generator) -> None:
    arguments = (rng.standard_normal((3, 4)), rng.standard_normal((5, 4)), rng.standard_normal(5))
    assert hs.gradcheck(hs.ops.linear, arguments)
    assert hs.gradcheck(lambda x: (x.exp(), x * x), hs.tensor([0.5, 2.0], "fp16"))


def test_only_tensors_that_require_a_gradient_are_checked() -> None:
    x, y = hs.tensor([1.0], requires_grad=True), hs.tensor([2.0])
    assert hs.gradcheck(lambda a, b: a * b.detach(), [x, y])


def test_a_wrong_gradient_is_named() -> None:
    with pytest.raises(
        AssertionError, match=r"output 0, input 0: d out\[1\] / d in\[1\] .* is 2 by the gradient, 4 by"
    ):
        hs.gradcheck(lambda x: x.detach() * x, hs.tensor([1.0, 2.0]))
    assert not hs.gradcheck(lambda x: x.detach() * x, hs.tensor([1.0, 2.0]), raise_exception=False)


def test_nan_agrees_with_nothing() -> None:
    assert not hs.gradcheck(lambda x: x.log(), hs.tensor([-1.0]), raise_exception=False)


def test_careless_arguments() -> None:
    with pytest.raises(ValueError, match=r"inputs: nothing to check; allowed: a tensor"):
        hs.gradcheck(lambda n: n, [3])
    with pytest.raises(TypeError, match=r"fn: returned float; allowed: a Tensor"):
        hs.gradcheck(lambda x: 1.0, hs.tensor([1.0]))


def test_pytorchs_argument_names() -> None:
    x = hs.tensor([[1.0, 2.0]])
    assert (hs.ops.softmax(input=x, dim=1).numpy() == hs.ops.softmax(x, 1).numpy()).all()
    assert hs.ops.sum(x, dim=1, keepdim=True).shape == (1, 1)
