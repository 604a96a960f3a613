"""Many terms of few sums at once, and many matrices at once: the bits and counts of one after another."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.numerics import orders
from halfsim.numerics.accumulate import accumulator, cumsum, matmul, sum_
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.half_kernel import bounded
from halfsim.numerics.orders import LOOPS, matmul_ordered
from halfsim.numerics.rounding import Mode, Rounding, Stochastic
from halfsim.numerics.steps import Fast, running
from tests.oracles import HALVES, same, softfloat

WORDS = [
    None,
    *(Mode(overflow=o, subnormals=s) for o, s in product(
        ("infinity", "saturate", "saturate_nan"), ("keep", "flush_inputs", "flush_outputs", "flush")
    )),
]  # fmt: skip
KINDS = {"tiny": (-14, -6), "ordinary": (-6, 2), "large": (4, 8), "wide": (-24, 15)}


def draw(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    x = rng.choice([-1.0, 1.0], shape) * np.exp2(rng.uniform(*KINDS[kind], shape)) * rng.choice([0, 1, 1, 1], shape)
    return x.astype(np.float16).astype(np.float32)


def with_specials(x: Any, rng: np.random.Generator) -> Any:
    """Infinities, and NaN of either sign with payloads that float16 has no room for."""
    x = x.copy()
    flat = x.reshape(-1).view(np.uint32)
    place = rng.choice(flat.size, max(3, flat.size // 60), replace=False)
    flat[place] = rng.choice(
        np.array([0x7F800000, 0xFF800000, 0x7FC00001, 0xFFC01234, 0x7FFFE000], np.uint32), place.size
    )
    return x


def one_after_another(monkeypatch: pytest.MonkeyPatch, call: Any) -> Any:
    """What ``call`` gives where no sum is formed at once."""
    with monkeypatch.context() as patch:
        patch.setattr(orders, "_FEW", 0)
        return call()


@pytest.mark.parametrize("kind", KINDS)
def test_long_sums_of_halves_are_softfloats_loop(kind: str, rng: np.random.Generator) -> None:
    """Subnormals, overflow in the middle, infinity minus infinity, NaN, and zeros of both signs; watched or not."""
    a, b = draw(kind, (200,), rng), draw(kind, (200, 6), rng)
    b[100, 1], b[150, 1], a[100], a[150] = np.inf, -np.inf, 1, 1
    b[125, 2], b[50, 3] = np.nan, -np.inf
    b[:, 4], b[:, 5] = -np.abs(b[:, 4]), np.copysign(0.0, b[:, 5])
    expected = np.zeros(6, np.uint16)
    codes = [x.astype(np.float16).view(np.uint16) for x in (a, b)]
    for j, k in product(range(6), range(200)):
        term = softfloat("mul", int(codes[0][k]), int(codes[1][k, j]))[0]
        expected[j] = softfloat("add", int(expected[j]), term)[0]
    for counts in (None, FlagCounts()):
        got = matmul(a[None], b, accumulator("fp16:sequential"), counts)
        assert same(got[0], expected.view(np.float16)).all()
    assert not np.signbit(got[0, 5])
    if kind == "large":
        assert np.isinf(got).any()


@pytest.mark.parametrize(("fmt", "mode"), [*product((hs.float16, hs.float32), WORDS), (hs.float64, None)])
def test_at_once_is_one_after_another(
    fmt: hs.Format, mode: Mode | None, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every bit, of NaN as well, and every count: of products, sums and running sums."""
    how = accumulator(f"{fmt}:sequential")
    monkeypatch.setattr(orders, "BLOCK", 60)  # so that a sum goes on from one stack of terms to the next
    for kind, special, watched in product(("tiny", "large", "wide"), (False, True), (False, True)):
        a, b = draw(kind, (2, 40), rng), draw(kind, (40, 3), rng)
        if special:
            a, b = with_specials(a, rng), with_specials(b, rng)

        def results(a: Any = a, b: Any = b, watched: bool = watched) -> list[Any]:
            counts = [FlagCounts() if watched else None for _ in range(4)]
            return [
                matmul(a, b, how, counts[0], mode=mode),
                matmul(b.T, a.T, how, counts[1], mode=mode),
                sum_(a, 1, False, how, counts[2], mode=mode),
                cumsum(b, 0, how, counts[3], mode=mode),
                counts,
            ]

        for x, y in zip(results(), one_after_another(monkeypatch, results), strict=True):
            if isinstance(x, list):
                assert x == y, (kind, special)
            else:
                assert x.tobytes() == y.tobytes(), (kind, special, watched)


def test_what_a_word_would_have_changed_is_left_to_the_steps() -> None:
    total, terms = np.zeros(1, np.float32), np.array([[60000], [60000], [-60000]], np.float32)

    def run(mode: Mode | None) -> Any:
        with np.errstate(all="ignore"):
            return running(Fast(hs.float16, mode, total.dtype), total, terms, hs.float16, mode)

    assert run(None)[:, 0].tolist() == [0, 60000, np.inf, np.inf]
    assert run(Mode(subnormals="flush"))[:, 0].tolist() == [0, 60000, np.inf, np.inf]
    assert run(Mode(overflow="saturate")) is None
    terms = np.array([[2.0**-14], [-(2.0**-15)], [1]], np.float32)
    assert run(Mode(overflow="saturate"))[:, 0].tolist() == [0, 2.0**-14, 2.0**-15, 1]
    for word in ("flush_inputs", "flush_outputs", "flush"):
        assert run(Mode(subnormals=word)) is None, word


@pytest.mark.parametrize("size", [511, 512, 513])
def test_both_sides_of_the_limit(size: int, rng: np.random.Generator) -> None:
    a, b = draw("ordinary", (1, 150), rng), draw("ordinary", (150, size), rng)
    expected = np.add.accumulate((a.T * b).astype(np.float16), axis=0)[-1]
    counts = FlagCounts()
    np.testing.assert_array_equal(matmul(a, b, accumulator("fp16:sequential"), counts)[0], expected)
    assert counts.addends == np.count_nonzero((a.T * b).astype(np.float16))


def test_terms_come_to_a_stop_before_they_overflow(rng: np.random.Generator) -> None:
    """Every half up to 2048, and one: no sum is beyond 2048. So sums of any length are known not to overflow."""
    low = HALVES[np.abs(HALVES) <= 2048]
    assert (low + np.float16(1)).max() == 2048
    assert (low - np.float16(1)).min() == -2048
    a = np.full((30000, 1), 2.8, np.float16).astype(np.float32)
    assert bounded(a, a, hs.float16)
    assert bounded(a, a, hs.float16, "sequential+fma")
    for order in ("pairwise", "kahan", "neumaier"):
        assert not bounded(a, a, hs.float16, order), order
    assert bounded(a / 4, a / 4, hs.float16, "pairwise")
    assert not bounded(a, a * 2, hs.float16)
    b = np.repeat(a, 600, 1)
    b[::7] *= -1
    expected = np.add.accumulate((a * b[:, :1]).astype(np.float16), axis=0)[-1]
    assert (sum_(a * b, 0, False, accumulator("fp16:sequential")) == expected).all()


@pytest.mark.parametrize("order", ["sequential", "pairwise"])
def test_long_sums_of_many_outputs_take_the_quick_unit(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "unit_of", lambda *_: pytest.fail("the general unit"))
    ones = np.full((5000, 1), 0.25, np.float32)
    total = matmul(ones.T, np.ones((5000, 600), np.float32), accumulator(f"fp16:{order}"))
    assert (total == {"sequential": 512, "pairwise": 1250}[order]).all()


@pytest.mark.parametrize("order", [*LOOPS, "blocked(4)"])
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((7, 3, 9), (7, 9, 5)), ((40, 3, 9), (40, 9, 4)), ((40, 5, 9), (9, 2)), ((3, 9), (40, 9, 5)),
        ((2, 1, 3, 9), (5, 9, 4)), ((1, 3, 9), (2, 2, 9, 30)), ((20, 60, 9), (20, 9, 70)),
    ],
)  # fmt: skip
def test_stacks_are_their_matrices(order: str, left: Any, right: Any, rng: np.random.Generator) -> None:
    a, b, how = draw("wide", left, rng), draw("wide", right, rng), accumulator(f"fp16:{order}")
    for mode in (None, Mode(overflow="saturate"), Mode(Rounding.DOWNWARD)):
        whole, each = FlagCounts(), FlagCounts()
        got = matmul(a, b, how, whole, mode=mode)
        lead = got.shape[:-2]
        x, y = (np.broadcast_to(z, lead + z.shape[-2:]) for z in (a, b))
        for index in np.ndindex(lead):
            assert got[index].tobytes() == matmul(x[index], y[index], how, each, mode=mode).tobytes()
        seen = [(c.addends, c.swamped, c.flushed, c.overflow) for c in (whole, each)]
        if x.shape == a.shape and y.shape == b.shape:  # or a shared operand is rounded, and counted, once
            assert seen[0] == seen[1]
        assert seen[0][:2] == seen[1][:2]
        assert matmul(a, b, how, mode=mode).tobytes() == got.tobytes()


@pytest.mark.parametrize("order", ["sequential", "pairwise", "kahan", "blocked"])
def test_random_numbers_go_to_a_stack_matrix_by_matrix(order: str, rng: np.random.Generator) -> None:
    a, b = draw("ordinary", (3, 4, 9), rng).astype(float), draw("ordinary", (1, 9, 2), rng).astype(float)

    def run(x: Any, mode: Mode) -> Any:
        return matmul_ordered(x, b, order, hs.float16, 4, None, mode)

    got, mode = run(a, Mode(Stochastic(3))), Mode(Stochastic(3))
    np.testing.assert_array_equal(got, np.concatenate([run(x[None], mode) for x in a]))


def test_a_trace_counts_the_same_of_terms_at_once(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = draw("ordinary", (3, 5000), rng), draw("ordinary", (5000, 2), rng)

    def traced() -> Any:
        with hs.precision("pure_fp16"), hs.trace() as trace:
            x, w = hs.tensor(a, "fp16", requires_grad=True), hs.tensor(b, "fp16", requires_grad=True)
            (x @ w).sum().backward()
        assert x.grad is not None
        assert w.grad is not None
        return trace.count(), x.grad.numpy().tobytes(), w.grad.numpy().tobytes()

    counts = traced()
    assert counts == one_after_another(monkeypatch, traced)
    assert counts[0].swamped


def test_rounded_operands_hold_nothing_that_a_sum_at_once_lacks() -> None:
    """Each of the 65,536 halves as a term after 1, by conversion to float16 and back."""
    values = HALVES.astype(np.float32)
    terms = np.stack([np.ones_like(values), values])
    unit = Fast(hs.float16, None, values.dtype)
    with np.errstate(all="ignore"):
        sums = running(unit, np.zeros_like(values), terms, hs.float16, None)
        stepped = unit.add(np.ones_like(values), values)
        expected = HALVES + np.float16(1)
    assert sums is not None
    assert sums[2].tobytes() == stepped.tobytes()
    assert same(stepped, expected).all()
