"""Adafactor and Muon, which know rows and columns, and what Rprop and ASGD do in half."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.optim.muon import orthogonal
from tests.optim.kinds import KINDS, shaped, small

CASES: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    ("Adafactor", (4, 6), {"lr": 0.1, "weight_decay": 0.1}),
    ("Adafactor", (2, 3, 5), {"lr": 0.5, "d": 1.5, "maximize": True}),
    ("Adafactor", (5,), {"eps": (1e-2, 0.5), "beta2_decay": -1.0}),
    ("Adafactor", (), {"lr": 0.1}),
    ("Muon", (4, 6), {"lr": 0.1}),
    ("Muon", (7, 3), {"lr": 0.1, "nesterov": False, "adjust_lr_fn": "original"}),
    ("Muon", (3, 3), {"lr": 0.1, "momentum": 0.5, "ns_steps": 3, "adjust_lr_fn": "match_rms_adamw"}),
]


def stepped(kind: str, shape: tuple[int, ...], options: dict[str, Any]) -> tuple[hs.Tensor, hs.optim.Optimizer]:
    rng = np.random.default_rng(3)
    p = hs.tensor(rng.standard_normal(shape), "fp64", requires_grad=True)
    optimizer = getattr(hs.optim, kind)([p], **options)
    for _ in range(5):
        p.grad = hs.tensor(rng.standard_normal(shape), "fp64")
        optimizer.step()
    return p, optimizer


@pytest.mark.parametrize(("kind", "shape", "options"), CASES)
def test_live_against_torch(kind: str, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(3)
    p = torch.nn.Parameter(torch.tensor(rng.standard_normal(shape), dtype=torch.float64))
    theirs = getattr(torch.optim, kind)([p], **options)
    for _ in range(5):
        p.grad = torch.tensor(rng.standard_normal(shape), dtype=torch.float64)
        theirs.step()
    q, ours = stepped(kind, shape, options)
    np.testing.assert_allclose(q.numpy(), p.detach().numpy(), rtol=1e-12)
    state = theirs.state_dict()["state"][0]
    assert state.keys() == ours.state[q].keys()
    for key, value in state.items():
        np.testing.assert_allclose(np.asarray(ours.state[q][key]), value.numpy(), rtol=1e-12)
    other = getattr(hs.optim, kind)([q], **options)
    other.load_state_dict({"state": {0: state}, "param_groups": ours.state_dict()["param_groups"]})
    assert {k: np.shape(v) for k, v in other.state[q].items()} == {k: np.shape(v) for k, v in state.items()}


def test_adafactors_first_step_by_its_formula() -> None:
    """Share 1 at first: rows and columns are mean squares, the update their root's inverse, its rms at most 1."""
    rng = np.random.default_rng(4)
    w, g = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    p = hs.tensor(w, "fp64", requires_grad=True)
    p.grad = hs.tensor(g, "fp64")
    hs.optim.Adafactor([p], lr=0.02).step()
    rows, columns = (g**2).mean(1, keepdims=True), (g**2).mean(0, keepdims=True)
    update = g / np.sqrt(rows * columns / rows.mean())
    rate = 0.02 * max(1e-3, np.sqrt((w**2).mean())) / max(1, np.sqrt((update**2).mean()))
    np.testing.assert_allclose(p.numpy(), w - rate * update, rtol=1e-12)


def test_adafactor_moves_weights_of_zero() -> None:
    """By eps[1], for their own size is none."""
    p = hs.tensor(np.zeros(3), "fp64", requires_grad=True)
    p.grad = hs.tensor(np.ones(3), "fp64")
    hs.optim.Adafactor([p], lr=0.5, eps=(None, 0.25)).step()
    np.testing.assert_allclose(p.numpy(), -0.125)


def test_adafactor_in_half_overflows_at_a_row_of_256() -> None:
    for size, finite in ((255.75, True), (256.0, False)):
        w = hs.tensor(np.ones((2, 2)), "fp16", requires_grad=True)
        w.grad = hs.tensor([[size, 0.0], [1.0, 1.0]], "fp16")
        hs.optim.Adafactor([w]).step()
        assert np.isfinite(w.array).all() == finite
    w.grad = hs.tensor([[1.6e-4, 0.0], [0.0, 1.6e-4]], "fp16")
    optimizer = hs.optim.Adafactor([w])
    optimizer.step()
    assert not optimizer.state[w]["row_var"].array.any()


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5)])
def test_muons_direction_is_nearly_orthogonal(shape: tuple[int, int]) -> None:
    """Its singular values lie about 1, where those of the gradient differ by a factor of hundreds."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal(shape) * np.exp(2 * rng.standard_normal(shape[1]))
    y = orthogonal(hs.tensor(x, "fp32"), (3.4445, -4.7750, 2.0315), 5, 1e-7)
    assert (y.format, y.shape) == (hs.bfloat16, shape)
    assert np.linalg.cond(x) > 10
    singular = np.linalg.svd(y.array, compute_uv=False)
    assert singular.max() < 1.4
    assert singular[:3].min() > 0.5


def test_rprop_in_half_forgets_how_small_gradients_agree() -> None:
    """1.7e-4 squared is below half the smallest subnormal: the step size stays, where 2e-4 makes it grow."""
    for size, grows in ((1.7e-4, False), (2e-4, True)):
        w = hs.tensor([1.0], "fp16", requires_grad=True)
        optimizer = hs.optim.Rprop([w], lr=0.125)
        for _ in range(2):
            w.grad = hs.tensor([size], "fp16")
            optimizer.step()
        assert (optimizer.state[w]["step_size"].item() > 0.125) == grows


def test_rprop_turns_round_where_the_gradient_does() -> None:
    w = hs.tensor([1.0], "fp64", requires_grad=True)
    optimizer = hs.optim.Rprop([w], lr=0.5)
    seen = []
    for gradient in (1.0, -1.0, -1.0, -1.0):
        w.grad = hs.tensor([gradient], "fp64")
        optimizer.step()
        seen.append(w.item())
    np.testing.assert_allclose(seen, [0.5, 0.5, 0.75, 1.05])


@pytest.mark.parametrize("remedy", [{}, {"master_weights": True}, {"kahan": True}, {"rounding": "stochastic"}])
def test_asgds_average_follows_the_weights(remedy: dict[str, Any]) -> None:
    w = hs.tensor(np.ones(8), "fp16", requires_grad=True)
    optimizer = hs.optim.ASGD([w], lr=0.125, lambd=0.0, t0=1, **remedy)
    for _ in range(4):
        w.grad = hs.tensor(np.ones(8), "fp16")
        optimizer.step()
    kept = optimizer.state[w]["ax"]
    assert kept.format is (hs.float32 if "master_weights" in remedy else hs.float16)
    np.testing.assert_allclose(kept.numpy(), np.mean([1 - 0.125 * t for t in (3, 4)]), rtol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_trace_is_told_of_every_step_and_every_update(kind: str) -> None:
    start = shaped(kind, np.ones(8))
    w = hs.tensor(start, "fp16", requires_grad=True)
    w.name = "w"
    optimizer = getattr(hs.optim, kind)([w], **small(kind, 0.25))
    with hs.trace() as t:
        for _ in range(2):
            w.grad = hs.tensor(start, "fp16")
            optimizer.step()
    assert t.step == 3
    (place,) = [place for place in t.totals if place[2] == "update"]
    assert t.totals[place].updates == 16
    assert place[:2] == ("optimizer", "w")


@pytest.mark.parametrize("kind", ["RAdam", "Adamax", "Adafactor"])
def test_an_eps_that_half_loses_is_told(kind: str) -> None:
    w = hs.tensor(np.ones(2), "fp16", requires_grad=True)
    w.grad = hs.tensor(np.zeros(2), "fp16")
    options = {"eps": (1e-30, 1e-3)} if kind == "Adafactor" else {}
    with hs.trace() as t:
        getattr(hs.optim, kind)([w], **options).step()
    first = t.first("eps lost")
    assert first is not None
    assert (first.op, first.tensor) == (kind, "eps")
