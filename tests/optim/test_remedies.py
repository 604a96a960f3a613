"""Master weights, Kahan's compensation and stochastic rounding: each saves an update that half precision loses."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.optim.kinds import KINDS, decayed, shaped, small

REMEDIES: list[dict[str, Any]] = [{"master_weights": True}, {"kahan": True}, {"rounding": "stochastic"}]
NAMES = ["master", "kahan", "stochastic"]


def small_steps(steps: int = 1000, size: int = 1, kind: str = "SGD", fmt: str = "fp16", **options: Any) -> hs.Tensor:
    ones = shaped(kind, np.ones(size))
    p = hs.tensor(ones, fmt, requires_grad=True)
    optimizer = getattr(hs.optim, kind)([p], **{"lr": 1e-4, **options})
    for _ in range(steps):
        p.grad = hs.tensor(ones, fmt)
        optimizer.step()
    return p


def test_without_a_remedy_the_weight_stays() -> None:
    assert small_steps().item() == 1


@pytest.mark.parametrize("remedy", REMEDIES, ids=NAMES)
def test_a_remedy_saves_the_update(remedy: dict[str, Any]) -> None:
    """A thousand steps of 1e-4 from 1: 0.9, within an ulp, or the spread of a thousand coin tosses."""
    got = small_steps(size=16, **remedy).numpy().astype(float)
    spread = 0.02 if "rounding" in remedy else 2.0**-11
    assert np.abs(got - 0.9).max() <= spread
    assert abs(got.mean() - 0.9) <= (0.005 if "rounding" in remedy else spread)


@cache
def after_fifty(kind: str, fmt: str, lr: float) -> float:
    """The mean of the weights after steps without a remedy, which all remedies are held to."""
    return float(small_steps(50, 64, kind, fmt, **small(kind, lr)).numpy().astype(float).mean())


@pytest.mark.parametrize("remedy", REMEDIES, ids=NAMES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fmt", ["fp16", "bf16"])
def test_every_optimizer_takes_every_remedy(kind: str, fmt: str, remedy: dict[str, Any]) -> None:
    """50 steps below half an ulp each: close to the run in float32, which the plain run is not."""
    lr = 1e-4 if fmt == "fp16" else 1e-3
    wide, plain = after_fifty(kind, "fp32", lr), after_fifty(kind, fmt, lr)
    cured = small_steps(50, 64, kind, fmt, **small(kind, lr), **remedy).numpy().astype(float).mean()
    assert np.abs(plain - wide) > 4 * np.abs(cured - wide)


def test_master_weights_are_a_float32_run_rounded() -> None:
    """Reference: the same optimizer on float32 weights with the same half gradients."""
    rng = np.random.default_rng(0)
    start = rng.standard_normal(40).astype(np.float16)
    for kind in KINDS:
        shape, decay = shaped(kind, start), decayed(kind, 0.1)
        p, q = hs.tensor(shape, "fp16", requires_grad=True), hs.tensor(shape.astype(np.float32), requires_grad=True)
        a = getattr(hs.optim, kind)([p], **decay, master_weights=True)
        b = getattr(hs.optim, kind)([q], **decay)
        for _ in range(5):
            g = shaped(kind, rng.standard_normal(40).astype(np.float16))
            p.grad, q.grad = hs.tensor(g, "fp16"), hs.tensor(g.astype(np.float32))
            a.step()
            b.step()
        np.testing.assert_array_equal(a.state[p]["master"].numpy(), q.numpy())
        np.testing.assert_array_equal(p.numpy(), q.numpy().astype(np.float16))
        assert all(value.format is hs.float32 for value in a.state[p].values() if isinstance(value, hs.Tensor))


def test_a_weight_that_others_wrote_replaces_its_master() -> None:
    p = hs.tensor([1.0], "fp16", requires_grad=True)
    optimizer = hs.optim.SGD([p], lr=1e-4, master_weights=True)
    p.grad = hs.tensor([1.0], "fp16")
    optimizer.step()
    p.array = hs.tensor([3.0], "fp16").array
    optimizer.step()
    assert optimizer.state[p]["master"].item() == np.float32(3) + np.float32(-1e-4)


def test_kahan_is_its_formula() -> None:
    """u = c - lr * g; new = p + u; c = u + (p - new): each step in float32 and stored in half, as in the docstring."""
    f, h = np.float32, np.float16
    rng = np.random.default_rng(1)
    w, c = rng.standard_normal(64).astype(h), np.zeros(64, h)
    p = hs.tensor(w, "fp16", requires_grad=True)
    optimizer = hs.optim.SGD([p], lr=3e-4, kahan=True)
    for _ in range(30):
        g = rng.standard_normal(64).astype(h)
        p.grad = hs.tensor(g, "fp16")
        optimizer.step()
        u = (f(c) + f(g) * f(-3e-4)).astype(h)
        new = (f(w) + f(u)).astype(h)
        c = (f(u) + f((f(w) - f(new)).astype(h))).astype(h)
        w = new
        np.testing.assert_array_equal(p.numpy(), w)
        np.testing.assert_array_equal(optimizer.state[p]["compensation"].numpy(), c)


def test_kahan_keeps_the_decay_that_adamw_loses() -> None:
    """1 - 1e-3 * 0.01 is 1 in half; the compensated weight follows the decay."""
    last = {}
    for kahan in (False, True):
        p = hs.tensor(np.ones(4), "fp16", requires_grad=True)
        optimizer = hs.optim.AdamW([p], lr=1e-3, eps=1e-3, kahan=kahan)
        for _ in range(200):
            p.grad = hs.tensor(np.zeros(4), "fp16")
            optimizer.step()
        last[kahan] = p.numpy()[0]
    assert last[False] == 1
    assert abs(float(last[True]) - (1 - 1e-5) ** 200) < 2**-11


def test_stochastic_rounding_is_one_rounding_of_the_float32_update() -> None:
    rng = np.random.default_rng(1)
    w = rng.standard_normal(64).astype(np.float16)
    p = hs.tensor(w, "fp16", requires_grad=True)
    optimizer = hs.optim.SGD([p], lr=3e-4, rounding=hs.Stochastic(seed=7, bits=16))
    source = hs.Stochastic(seed=7, bits=16)
    for _ in range(20):
        g = rng.standard_normal(64).astype(np.float16)
        p.grad = hs.tensor(g, "fp16")
        optimizer.step()
        w = hs.round_to(np.float32(w) + np.float32(g) * np.float32(-3e-4), "fp16", source).astype(np.float16)
        np.testing.assert_array_equal(p.numpy(), w)


@pytest.mark.parametrize("fmt", ["fp32", "fp64"])
@pytest.mark.parametrize("remedy", [REMEDIES[0], REMEDIES[2]], ids=["master", "stochastic"])
def test_wide_parameters_need_neither_copy_nor_dither(fmt: str, remedy: dict[str, Any]) -> None:
    np.testing.assert_array_equal(small_steps(9, fmt=fmt, **remedy).numpy(), small_steps(9, fmt=fmt).numpy())


@pytest.mark.parametrize("fmt", ["fp16", "bf16", "float8_e5m2", "fp32", "fp64"])
@pytest.mark.parametrize("remedy", [{}, *REMEDIES], ids=["none", *NAMES])
def test_parameters_stay_in_their_container(fmt: str, remedy: dict[str, Any]) -> None:
    assert small_steps(1, fmt=fmt, **remedy).array.dtype == hs.tensor([1.0], fmt).array.dtype


@pytest.mark.parametrize("remedy", REMEDIES, ids=NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_interrupted_gives_the_same_bits(kind: str, remedy: dict[str, Any]) -> None:
    rng = np.random.default_rng(6)
    start, grads = shaped(kind, rng.standard_normal(24)), [shaped(kind, x) for x in rng.standard_normal((8, 24))]
    options: dict[str, Any] = {**decayed(kind, 0.1), **remedy}

    def steps(p: hs.Tensor, optimizer: hs.optim.Optimizer, which: range) -> None:
        for i in which:
            p.grad = hs.tensor(grads[i], "fp16")
            optimizer.step()

    whole = hs.tensor(start, "fp16", requires_grad=True)
    steps(whole, getattr(hs.optim, kind)([whole], **options), range(8))
    first = hs.tensor(start, "fp16", requires_grad=True)
    before = getattr(hs.optim, kind)([first], **options)
    steps(first, before, range(5))
    saved, weights = before.state_dict(), first.numpy()
    steps(first, before, range(5, 8))  # what is saved is a snapshot
    second = hs.tensor(weights, "fp16", requires_grad=True)
    after = getattr(hs.optim, kind)([second], **options)
    after.load_state_dict(saved)
    steps(second, after, range(5, 8))
    np.testing.assert_array_equal(second.bits(), whole.bits())


@pytest.mark.parametrize(("remedy", "lost"), list(zip([{}, *REMEDIES], [4, 0, 0, 0], strict=True)))
def test_the_trace_counts_as_lost_what_is_lost(remedy: dict[str, Any], lost: int) -> None:
    with hs.trace() as t:
        small_steps(1, 4, **remedy)
    counts = next(c for place, c in t.totals.items() if place[2] == "update")
    assert (counts.updates, counts.lost) == (4, lost)
    if not lost:
        assert t.first("swamping") is None


def test_an_update_below_the_masters_ulp_is_lost_even_there() -> None:
    p = hs.tensor([1.0], "fp16", requires_grad=True)
    with hs.trace() as t:
        p.grad = hs.tensor([1.0], "fp16")
        hs.optim.SGD([p], lr=1e-9, master_weights=True).step()
    assert next(c for place, c in t.totals.items() if place[2] == "update").lost == 1


def test_the_trace_sees_a_master_that_the_half_cannot_hold() -> None:
    for remedy in (REMEDIES[0], REMEDIES[2]):
        p = hs.tensor([60000.0], "fp16", requires_grad=True)
        p.grad = hs.tensor([-60000.0], "fp16")
        with hs.trace() as t:
            hs.optim.SGD([p], lr=1.0, **remedy).step()
        first = t.first("overflow")
        assert first is not None
        assert (first.phase, first.tensor) == ("optimizer", "param")
        assert p.item() == np.inf


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"master_weights": True, "kahan": True}, ValueError, "master_weights, kahan, rounding: allowed is one"),
    ({"kahan": True, "rounding": "stochastic"}, ValueError, "allowed is one of them"),
    ({"rounding": "stochastik"}, ValueError, "did you mean 'stochastic'"),
    ({"rounding": "upward"}, ValueError, "rounding: upward is not allowed"),
    ({"rounding": 3}, TypeError, "rounding: expected"),
    ({"capturable": True}, TypeError, "SGD: option 'capturable' is not known; allowed: foreach, differentiable, fused"),
    ({"foreach": "yes"}, TypeError, "foreach: str is not allowed; allowed: bool"),
    ({"differentiable": True}, ValueError, "differentiable: True is not allowed, for a step is not on the tape"),
    ({"foreach": True, "fused": True}, ValueError, "foreach, fused: both True is not allowed"),
]


@pytest.mark.parametrize(("options", "error", "text"), BAD)
def test_bad_remedies_get_one_line(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        hs.optim.SGD([hs.tensor([1.0], requires_grad=True)], **options)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
