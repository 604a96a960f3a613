"""The loss of sequences: against all alignments spelled out, PyTorch, and differences behind a log_softmax."""

from __future__ import annotations

from itertools import groupby, product
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.live import agree, given

F = hs.nn.functional
SCORES = np.random.default_rng(3).standard_normal((6, 3, 4))
TARGETS, STEPS, LENGTHS = [[1, 2, 2], [3, 1, 0], [2, 0, 0]], [6, 5, 3], [3, 2, 0]


def spelled_out(p: np.ndarray, target: list[int], blank: int) -> float:
    """The probability of all paths that read as ``target``, for p (T, C)."""
    total = 0.0
    for path in product(range(p.shape[1]), repeat=len(p)):
        if [label for label, _ in groupby(path) if label != blank] == target:
            total += np.prod([p[t, label] for t, label in enumerate(path)])
    return total


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("target", [[1], [1, 1], [1, 3], [3, 1, 3], []])
def test_it_is_the_sum_over_all_alignments(blank: int, target: list[int]) -> None:
    p = np.exp(SCORES[:5, 0])
    p /= p.sum(1, keepdims=True)
    with hs.precision("fp64"):
        loss = F.ctc_loss(hs.tensor(np.log(p)), target, 5, len(target), blank=blank, reduction="sum")
    assert loss.item() == pytest.approx(-np.log(spelled_out(p, target, blank)), rel=1e-12)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("together", [False, True])
def test_values_and_gradients_are_pytorchs(reduction: str, together: bool) -> None:
    def call(library: Any, x: Any) -> Any:
        functions = library.nn.functional
        targets = [n for row, length in zip(TARGETS, LENGTHS, strict=True) for n in row[:length]]
        arguments = [given(library, v) for v in (targets if together else TARGETS, STEPS, LENGTHS)]
        return functions.ctc_loss(functions.log_softmax(x, -1), *arguments, reduction=reduction)

    agree(call, SCORES)


def test_without_batch() -> None:
    def call(library: Any, x: Any) -> Any:
        functions = library.nn.functional
        return functions.ctc_loss(
            functions.log_softmax(x, -1), *(given(library, v) for v in ([1, 1], 6, 2)), blank=3, reduction="none"
        )

    agree(call, SCORES[:, 0])


def test_gradients_are_finite_differences_behind_a_softmax() -> None:
    def loss(x: hs.Tensor) -> hs.Tensor:
        return F.ctc_loss(F.log_softmax(x, -1), TARGETS, STEPS, LENGTHS, reduction="none")

    assert hs.gradcheck(loss, hs.tensor(SCORES))


def test_targets_that_do_not_fit_are_infinite_or_nothing() -> None:
    x = hs.tensor(SCORES[:2], requires_grad=True)
    arguments: Any = (F.log_softmax(x, -1), [[1, 1], [1, 2], [1, 0]], [2, 2, 0], [2, 2, 1])
    assert F.ctc_loss(*arguments, reduction="none").numpy().tolist()[::2] == [np.inf, np.inf]
    loss = F.ctc_loss(*arguments, reduction="none", zero_infinity=True)
    assert loss.numpy()[[0, 2]].tolist() == [0, 0]
    loss.sum().backward()
    assert x.grad is not None
    assert np.isfinite(x.grad.numpy()).all()
    assert not x.grad.numpy()[:, [0, 2]].any()
    assert x.grad.numpy()[:, 1].any()


def test_in_half_each_time_is_stored() -> None:
    p = np.log(np.full((300, 1, 2), 0.5))
    with hs.precision("fp64"):
        exact = F.ctc_loss(hs.tensor(p), [[1]], [300], [1], reduction="sum").item()
    half = F.ctc_loss(hs.tensor(p, "fp16"), [[1]], [300], [1], reduction="sum").item()
    assert half == np.float16(half)
    assert 0 < abs(half - exact) < 0.05 * exact


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"log_probs": np.zeros(3)}, r"log_probs: shape \(3,\)"),
    ({"blank": 4}, "blank: 4"),
    ({"input_lengths": [7, 1, 1]}, "input_lengths: 7"),
    ({"input_lengths": [6, 6]}, r"input_lengths: shape \(2,\)"),
    ({"target_lengths": [-1, 1, 1]}, "target_lengths: -1"),
    ({"target_lengths": [4, 1, 1]}, r"targets: shape \(3, 3\)"),
    ({"targets": [1, 2]}, r"targets: shape \(2,\)"),
    ({"targets": [[9, 1, 1]] * 3}, "targets: classes 0 to 9|targets: classes 1 to 9"),
    ({"reduction": "median"}, "reduction: 'median'"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_refusals(options: dict[str, Any], message: str) -> None:
    arguments = {"log_probs": SCORES, "targets": TARGETS, "input_lengths": STEPS, "target_lengths": LENGTHS, **options}
    with pytest.raises(ValueError, match=message):
        F.ctc_loss(**arguments)
