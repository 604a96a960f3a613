"""L-BFGS against recorded steps of PyTorch, and in half with its remedies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.optim.line_search import Point, cubic_minimum, strong_wolfe

CASES: list[dict[str, Any]] = [
    {},
    {"lr": 0.1, "history_size": 3, "max_iter": 4},
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "max_iter": 4, "history_size": 2},
    {"line_search_fn": "strong_wolfe", "max_iter": 3, "max_eval": 3},
    {"line_search_fn": "strong_wolfe", "lr": 5.0},
]
START = np.array([[-1.25, 0.5], [2.0, 0.75]]), np.array([0.25, -0.5, 1.5])
SCALE = np.array([[0.5, 1.0], [2.0, 3.0]]), np.array([1.5, 0.75, 2.5])


def minimized(kind: Any, tensors: Any, options: dict[str, Any], steps: int = 3) -> tuple[list[float], list[int], Any]:
    """Losses, and how often the closure was called, of steps on a quartic valley of two tensors."""
    (a, b), (ka, kb) = tensors(START), tensors(SCALE)
    optimizer, calls, losses, counted = kind([a, b], **options), [0], [], []

    def closure() -> Any:
        calls[0] += 1
        optimizer.zero_grad()
        d, e = a - 0.3, b * b - 1.0
        loss = (d * d * ka).sum() + (e * e).sum() + ((b + 0.2) * (b + 0.2) * kb).sum() + a.sum() * b.sum() * 0.1
        loss.backward()
        return loss

    for _ in range(steps):
        losses.append(float(optimizer.step(closure).detach()))
        counted.append(calls[0])
    return losses, counted, optimizer


def ours(fmt: str, options: dict[str, Any], steps: int = 3) -> tuple[list[float], list[int], Any]:
    return minimized(
        hs.optim.LBFGS, lambda values: [hs.tensor(x, fmt, requires_grad=True) for x in values], options, steps
    )


@pytest.mark.parametrize("options", CASES, ids=str)
def test_live_against_torch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = minimized(torch.optim.LBFGS, lambda v: [torch.nn.Parameter(torch.tensor(x)) for x in v], options)
    got = ours("fp64", options)
    np.testing.assert_allclose(got[0], theirs[0], rtol=1e-11)
    assert got[1] == theirs[1]
    ends = [
        np.concatenate([np.asarray(p.detach()).ravel() for p in x[2].param_groups[0]["params"]]) for x in (got, theirs)
    ]
    np.testing.assert_allclose(*ends, rtol=1e-9, atol=1e-11)
    states = [next(iter(x[2].state.values())) for x in (got, theirs)]
    assert states[0].keys() == states[1].keys()
    assert (states[0]["n_iter"], states[0]["func_evals"]) == (states[1]["n_iter"], states[1]["func_evals"])


def test_a_quadratic_is_solved_in_as_many_moves_as_it_has_directions() -> None:
    """Its minimum by linear algebra; with an exact line search L-BFGS would need three moves."""
    rng = np.random.default_rng(0)
    root = rng.standard_normal((3, 3))
    matrix, goal = root @ root.T + np.eye(3), rng.standard_normal(3)
    w = hs.tensor(np.zeros(3), "fp64", requires_grad=True)
    optimizer = hs.optim.LBFGS([w], line_search_fn="strong_wolfe", tolerance_change=1e-15)

    def closure() -> hs.Tensor:
        optimizer.zero_grad()
        loss = 0.5 * (w @ hs.tensor(matrix, "fp64") @ w) - w @ hs.tensor(goal, "fp64")
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(w.numpy(), np.linalg.solve(matrix, goal), atol=1e-8)
    assert optimizer.state[w]["n_iter"] < 20


def test_the_line_search_finds_the_minimum_of_a_cubic_and_of_a_parabola() -> None:
    def cubic(t: float) -> Point:  # with its minimum at 2
        return Point(t, t**3 / 3 - t**2 / 2 - 2 * t, None, t**2 - t - 2)

    assert cubic_minimum(cubic(0.0), cubic(3.0)) == pytest.approx(2.0)
    assert cubic_minimum(cubic(3.0), cubic(0.0)) == pytest.approx(2.0)
    assert cubic_minimum(cubic(0.0), cubic(3.0), (0.0, 1.5)) == 1.5
    assert cubic_minimum(Point(0.0, 0.0, None, 1.0), Point(1.0, 2.0, None, 4.0)) == 0.5, "it has no minimum"
    for first in (0.01, 1.0, 70.0):
        loss, slope, t, calls = strong_wolfe(
            lambda t: ((t - 3) ** 2, 2 * (t - 3)), first, 1.0, 9.0, -6.0, -6.0, lambda grad: grad
        )
        assert (loss, slope) == ((t - 3) ** 2, 2 * (t - 3))
        assert abs(slope) <= 0.9 * 6
        assert loss <= 9 - 1e-4 * t * 6
        assert calls < 10


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
@pytest.mark.parametrize("remedy", [{}, {"master_weights": True}, {"kahan": True}, {"rounding": "stochastic"}])
def test_half_goes_down_with_every_remedy(remedy: dict[str, Any], search: str | None) -> None:
    losses, _, optimizer = ours("fp16", {"lr": 0.1, "line_search_fn": search, **remedy})
    assert losses[-1] < 0.7 * losses[0]
    assert all(p.format is hs.float16 for p in optimizer.param_groups[0]["params"])
    wide = hs.float32 if "master_weights" in remedy else hs.float16
    assert optimizer.state[optimizer.param_groups[0]["params"][0]]["d"].format is wide


@pytest.mark.parametrize("remedy", [{}, {"master_weights": True}, {"kahan": True}])
def test_a_run_that_is_interrupted_goes_on(remedy: dict[str, Any]) -> None:
    start = np.array([1.0, -2.0, 0.5])

    def steps(w: hs.Tensor, optimizer: Any, number: int) -> None:
        def closure() -> hs.Tensor:
            optimizer.zero_grad()
            loss = ((w * w - 2.0) * (w * w - 2.0)).sum() + w.sum()
            loss.backward()
            return loss

        for _ in range(number):
            optimizer.step(closure)

    def made(values: Any) -> tuple[hs.Tensor, Any]:
        w = hs.tensor(values, "fp16", requires_grad=True)
        return w, hs.optim.LBFGS([w], lr=0.1, max_iter=2, history_size=3, **remedy)

    w, optimizer = made(start)
    steps(w, optimizer, 5)
    first, before = made(start)
    steps(first, before, 3)
    second, after = made(first.numpy())
    after.load_state_dict(before.state_dict())
    steps(second, after, 2)
    np.testing.assert_array_equal(second.bits(), w.bits())


def test_a_trial_leaves_no_trace_in_the_parameters() -> None:
    w = hs.tensor([1.0], "fp16", requires_grad=True)
    optimizer = hs.optim.LBFGS([w], kahan=True)
    w.grad = hs.tensor([1.0], "fp16")
    before = w.array
    optimizer._tried(lambda: 0.0, 0.25, hs.tensor([1.0], "fp16"))
    assert w.array is before
    assert "compensation" not in optimizer.state[w]


def test_a_trace_counts_one_step_and_each_move() -> None:
    with hs.trace() as t:
        _, _, optimizer = ours("fp16", {"max_iter": 4, "lr": 2.0**-12}, steps=2)
    assert t.step == 3
    moves = [counts for place, counts in t.totals.items() if place[2] == "update"]
    assert sum(c.updates for c in moves) == 7 * next(iter(optimizer.state.values()))["n_iter"]
    assert sum(c.lost for c in moves) > 0


def test_an_optimum_ends_at_once() -> None:
    w = hs.tensor([0.0], requires_grad=True)
    optimizer = hs.optim.LBFGS([w])

    def closure() -> hs.Tensor:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 0
    assert optimizer.state[w] == {"func_evals": 1, "n_iter": 0}


def test_parameters_of_several_formats_and_without_gradients() -> None:
    a, b = hs.tensor([1.0], "fp16", requires_grad=True), hs.tensor([1.0, 2.0], "fp32", requires_grad=True)
    c = hs.tensor([4.0], "fp16", requires_grad=True)
    optimizer = hs.optim.LBFGS([a, b, c], lr=0.5)

    def closure() -> hs.Tensor:
        optimizer.zero_grad()
        loss = (a * a).sum() + (b * b).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert optimizer.state[a]["d"].format is hs.float32
    assert (a.format, c.item()) == (hs.float16, 4.0)
    assert abs(a.item()) < 0.1


def test_a_rise_counts_from_the_third_trial_on() -> None:
    """As in PyTorch: the second trial may lie above the first, if below the line that the slope promises."""
    values = iter([(9.9, -1.0), (9.95, -1.0), (5.0, 0.0)])
    loss, slope, _, calls = strong_wolfe(lambda t: next(values), 1.0, 1.0, 10.0, -1.0, -1.0, lambda grad: grad)
    assert (loss, slope, calls) == (5.0, 0.0, 3)
    values = iter([(9.9, -1.0), (9.8, -1.0), (9.85, -1.0), (5.0, 0.0)])
    assert strong_wolfe(lambda t: next(values), 1.0, 1.0, 10.0, -1.0, -1.0, lambda grad: grad)[3] == 4
