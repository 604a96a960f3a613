from __future__ import annotations

from itertools import islice

import numpy as np

import halfsim as hs
from halfsim.costs.memory import _closed_over, held_bytes


def model() -> hs.nn.Sequential:
    return hs.nn.Sequential(hs.nn.Linear(8, 16), hs.nn.ReLU(), hs.nn.Linear(16, 4))


def test_what_backward_needs_is_counted_by_hand() -> None:
    """Input 2x8, hidden 2x16 after ReLU, its mask of bytes, log-probabilities 2x4, labels of 8 bytes."""
    x, y = np.ones((2, 8)), [0, 1]
    floats, rest = 2 * 8 + 2 * 16 + 2 * 4, 2 * 16 + 2 * 8
    for rule, fmt, width in (("fp32", "fp32", 4), ("fp16", "fp16", 2)):
        net = model().to(fmt)
        with hs.precision(rule):
            loss = hs.nn.cross_entropy(net(hs.tensor(x, fmt)), y)
        assert held_bytes(loss, net.parameters()) == floats * width + rest


def test_a_formula_that_calls_itself_holds_its_arrays_once() -> None:
    held = np.ones(3)

    def again(n: int) -> object:
        return again(n - 1) if n else [held, {"x": held}]

    assert [id(x) for x in islice(_closed_over(again), 2)] == [id(held)]


def test_half_copies_of_weights_count_under_amp() -> None:
    net = model()
    with hs.precision("amp"):
        out = net(hs.tensor(np.ones((2, 8)), "fp32"))
    weights = 8 * 16 + 16 * 4
    assert held_bytes(out, net.parameters()) == (weights + 2 * 8 + 2 * 16) * 2 + 2 * 16


def test_nothing_is_held_after_backward() -> None:
    net = model()
    loss = net(hs.tensor(np.ones((2, 8)))).sum()
    assert held_bytes(loss) > 0
    loss.backward()
    assert held_bytes(loss) == 0
