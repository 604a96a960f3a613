"""The expected error holds against exact fractions and known bounds, and the assertion on it against planted faults."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import expm1, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.numerics.accumulate import accumulator, matmul, sum_
from halfsim.testing import expected as room
from halfsim.testing.bounds import of_sum
from halfsim.testing.expected import assert_within_precision, expected_error
from tests.testing import tolerances

X = np.random.default_rng(3).standard_normal((4, 48)).astype(np.float16)


def _steps(t: Any) -> Any:
    e = (t - t.amax(1, keepdim=True)).exp()
    return e / e.sum(1, keepdim=True)


def _exact(row: Any) -> float:
    return float(sum((Fraction(float(v)) for v in row), Fraction(0)))


@pytest.mark.parametrize("order", ["sequential", "pairwise", "blocked(16)", "kahan", "neumaier"])
@pytest.mark.parametrize("fmt", ["fp16", "bf16"])
def test_no_order_passes_the_bound_of_a_sum(order: str, fmt: str) -> None:
    rng = np.random.default_rng(5)
    how = accumulator(f"{fmt}:{order}")
    for n in (1, 2, 3, 17, 64, 200, 1000):
        for x in (rng.standard_normal(n), np.ones(n), rng.random(n) * 1e-3 + 1):
            x = hs.round_to(x, how.format).astype(np.float32)
            total = float(sum_(x, None, False, how))
            magnitude = _exact(np.abs(x))
            assert abs(total - _exact(x)) <= of_sum(how, n).certain * magnitude, n


def test_a_sum_in_half_comes_close_to_its_bound() -> None:
    found = of_sum(accumulator("fp16:sequential"), 4096).certain * 4096  # 4,096 ones stop at 2,048
    assert 2048 <= found <= 4096 * expm1(4095 * 2.0**-11)


@pytest.mark.parametrize("device", ["V100", "A100", "H100", "MI100", "MI250X", "MI300X"])
def test_no_matrix_unit_passes_its_bound(device: str) -> None:
    rng = np.random.default_rng(5)
    unit = hs.hardware.device(device)
    how = unit.precision("fp16").accumulate
    for k in (4, 33, 256):
        a, b = rng.standard_normal((8, k)).astype(np.float16), rng.standard_normal((k, 8)).astype(np.float16)
        wide = a.astype(np.float64), b.astype(np.float64)
        error = np.abs(unit.matmul(a, b).astype(np.float64) - wide[0] @ wide[1])
        assert (error <= of_sum(how, k, before=2).certain * (np.abs(wide[0]) @ np.abs(wide[1]))).all()


@pytest.mark.parametrize("unit", ["H100:fp8_e4m3", "V100", "MI250X"])
def test_no_blocks_of_a_matrix_unit_pass_their_bound(unit: str) -> None:
    rng = np.random.default_rng(6)
    for size, k in ((32, 8), (32, 300), (128, 2048)):
        a, b = (np.asarray(hs.round_to(rng.random(shape), "fp8_e4m3"), np.float32) for shape in ((8, k), (k, 8)))
        how = accumulator(f"{unit}:blocked({size})")
        error = np.abs(matmul(a, b, how).astype(np.float64) - a.astype(np.float64) @ b)
        assert (error <= of_sum(how, k).certain * (a.astype(np.float64) @ b)).all()
        assert k <= size or of_sum(how, k).certain < of_sum(accumulator(unit), k).certain


def test_the_bounds_of_a_sum_are_those_of_the_books() -> None:
    n, u = X.shape[1], 2.0**-11
    found = expected_error(lambda t: t.sum(1), X, "pure_fp16")
    magnitude = np.abs(X.astype(np.float64)).sum(1)
    last = 0.5 * hs.ulp(found.reference)
    assert found.reference.tolist() == [_exact(row) for row in X]
    certain, likely = found.deterministic - last, found.probabilistic - last
    by_hand = expm1((n - 1) * u) * magnitude, sqrt(2 * np.log(2 * 4 / room.FAILURE)) * sqrt(n - 1) * u * magnitude
    for measured, wanted in zip((certain, likely), by_hand, strict=True):
        assert (0.85 * wanted <= measured + last).all()
        assert (measured <= 1.9 * wanted + last).all()


def test_one_rounding_may_be_half_an_ulp() -> None:
    found = expected_error(lambda t: t * t, X)
    assert np.allclose(found.ulps, 0.5, atol=1e-3)
    assert (np.abs(found.simulated - found.reference) <= found.limit).all()


PRECISIONS = ["fp16", "bf16", "pure_fp16", "tf32", "fp8", "amp", hs.Precision("fp16", rounding="toward_zero"),
              hs.Precision("fp16", subnormals="flush"), hs.Precision("fp16", rounding="stochastic")]  # fmt: skip


@pytest.mark.parametrize("precision", PRECISIONS, ids=str)
def test_the_simulator_is_within_the_limit(precision: Any) -> None:
    for f, inputs in ((_steps, [X]), (lambda a, b: a @ b, [X, X.T])):
        found = expected_error(f, inputs, precision)
        assert (found.spread <= 1.5 * np.maximum(found.deterministic, found.limit)).all()
        assert (room.exceeded(found.simulated, found) <= 1).all()


def test_models_and_gradients_are_functions_too() -> None:
    hs.manual_seed(0)
    model = hs.nn.Sequential(hs.nn.Linear(48, 8), hs.nn.BatchNorm1d(8), hs.nn.GELU())
    before = [np.asarray(buffer.array).copy() for buffer in model.buffers()]
    found = expected_error(model, X)
    assert 0.5 < np.median(found.ulps) < 50
    assert all(np.array_equal(a, b.array) for a, b in zip(before, model.buffers(), strict=True))

    def gradient(t: Any) -> Any:
        t.requires_grad_()
        hs.ops.softmax(t, 1).square().sum().backward()
        return t.grad

    found = expected_error(gradient, X)
    assert (np.abs(found.simulated - found.reference) <= found.limit).all()


def test_it_says_the_same_twice_and_leaves_the_stream_of_random_numbers() -> None:
    hs.manual_seed(4)
    first = expected_error(lambda t: hs.ops.dropout(t.exp(), 0.5), X)
    after = hs.ops.rand(3).tolist()
    hs.manual_seed(4)
    second = expected_error(lambda t: hs.ops.dropout(t.exp(), 0.5), X)
    assert np.array_equal(first.limit, second.limit)
    assert after == hs.ops.rand(3).tolist()
    assert str(first) == str(second)
    assert str(first).startswith("expected error in ulp of float16 under fp16\n")


def test_an_exact_step_at_the_end_keeps_the_last_rounding_apart() -> None:
    plain = expected_error(lambda t: hs.ops.softmax(t, 1), X)
    moved = expected_error(lambda t: hs.ops.softmax(t, 1).reshape(-1), X)
    assert np.allclose(plain.ulps.reshape(-1), moved.ulps, rtol=0.05)


def _message(actual: Any, f: Callable[..., Any], inputs: Any, *args: Any, **options: Any) -> list[str]:
    with pytest.raises(AssertionError) as raised:
        assert_within_precision(actual, f, inputs, *args, **options)
    return str(raised.value).splitlines()


def test_a_narrow_accumulator_is_named() -> None:
    rng = np.random.default_rng(5)
    x = rng.random((4, 512)).astype(np.float16)
    total = np.zeros(4, np.float16)
    for k in range(512):
        total = total + x[:, k]
    lines = _message(total, lambda t: t.sum(1), x)
    assert lines[0] == "4 of 4 elements (100 %) are further from the reference than fp16 makes inevitable"
    assert lines[1].startswith("worst at [")
    assert "ulp of float16 away" in lines[1]
    assert lines[-1].startswith("sum (test_expected.py:")
    assert lines[-1].endswith("with accumulate=float16:sequential gives these very numbers")
    assert_within_precision(total, lambda t: t.sum(1), x, accumulate="fp16:sequential")


def test_a_fault_that_no_narrowing_explains_has_the_likeliest_operation() -> None:
    wide = X.astype(np.float32)
    e = np.exp(wide - wide.max(1, keepdims=True))
    assert_within_precision((e / e.sum(1, keepdims=True)).astype(np.float16), _steps, X)
    lines = _message((e / e[:, 5:].sum(1, keepdims=True)).astype(np.float16), _steps, X)
    assert lines[-1].startswith("of the error to be expected there ")
    assert "test_expected.py:" in lines[-1]


def test_infinities_and_nan_are_where_they_have_to_be() -> None:
    big = np.float16([300.0])
    assert_within_precision(np.float16([np.inf]), lambda t: t * t, big)
    _message(np.float16([65504]), lambda t: t * t, big)
    _message(np.float16([-np.inf]), lambda t: t * t, big)
    _message(np.float16([np.nan]), lambda t: t * 2, big)
    _message(np.float16([np.inf]), lambda t: t * 2, big)
    # Between, the square overflows where it is stored; a fused kernel does not store it.
    for fine in (300.0, np.inf):
        assert_within_precision(np.float16([fine]), lambda t: (t * t).sqrt(), big)
    _message(np.float16([310.0]), lambda t: (t * t).sqrt(), big)
    zeros = np.float16([0.0, -1.0])
    with np.errstate(all="ignore"):
        assert_within_precision(np.log(zeros), lambda t: t.log(), zeros)
    assert_within_precision(np.float16([]), lambda t: t * 2, np.float16([]))


def test_a_sum_near_the_edge_may_be_infinite_within_the_limit() -> None:
    x = np.float16([32768, 32751, 0.49])  # 65519.49, half an ulp of which is 65520
    assert_within_precision(np.float16(np.inf), lambda t: t.sum(), x, "pure_fp16")
    _message(np.float16(np.inf), lambda t: t.sum(), np.float16([32768, 32736]), "fp16")


REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: expected_error(3, X), TypeError, "f: 3 is not allowed; allowed: a function of tensors"),  # type: ignore[arg-type]
    (lambda: expected_error(lambda t: 3, X), TypeError, "f: it gave 3; allowed: one tensor of floats"),
    (lambda: expected_error(_steps, 3), TypeError, "inputs: 3 is not allowed"),
    (lambda: expected_error(_steps, "ab"), TypeError, "inputs: 'ab' is not allowed"),
    (lambda: expected_error(_steps, X, "fp17"), ValueError, "precision: 'fp17' is not allowed"),
    (lambda: expected_error(_steps, X, "fp64"), ValueError, "precision: a storage of float64 is not allowed"),
    (lambda: expected_error(_steps, X, accumulate="fp17"), ValueError, "accumulate: 'fp17' is not allowed"),
    (lambda: expected_error(_steps, X, device="A101"), ValueError, "device: 'A101' is not allowed"),
    (lambda: expected_error(_steps, X, hs.FP16, device="A100"), TypeError, "precision: "),
    (
        lambda: expected_error(_steps, X, "amp", accumulate="fp32"),
        ValueError,
        "accumulate: 'fp32' is not allowed with a",
    ),
    (
        lambda: assert_within_precision(X[:2], _steps, X),
        ValueError,
        "actual: shape (2, 48) is not allowed; allowed: (4, 48)",
    ),
    (lambda: assert_within_precision("x", _steps, X), TypeError, "actual: 'x' is not allowed"),
]


@pytest.mark.parametrize(("call", "kind", "words"), REFUSED)
def test_bad_arguments_are_refused_in_one_line(call: Callable[[], Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as raised:
        call()
    assert str(raised.value).startswith(words)
    assert "\n" not in str(raised.value)


def test_correct_kernels_pass_and_faulty_ones_do_not() -> None:
    found = list(tolerances.outcomes(0.02))
    rejected, caught = tolerances.judged(found, "derived")
    assert rejected == 0
    assert caught >= 0.95 * len(found) >= 9


def test_the_guessed_tolerances_are_those_of_the_libraries() -> None:
    rng = np.random.default_rng(5)
    torch = pytest.importorskip("torch")
    for scale in (1e-3, 1.0, 1e3):
        wanted = (rng.standard_normal(200) * scale).astype(np.float16)
        for actual in (wanted, np.nextafter(wanted, np.float16(9)), wanted * np.float16(1.002)):
            found = expected_error(lambda t: t * 1, wanted)
            theirs = [
                _passes(torch.testing.assert_close, torch.from_numpy(actual), torch.from_numpy(wanted)),
                _passes(np.testing.assert_allclose, actual.astype(np.float64), wanted.astype(np.float64)),
                np.allclose(actual.astype(np.float64), wanted.astype(np.float64)),
            ]
            assert [ratio(actual, found) <= 1 for ratio in [*tolerances.TOLERANCES.values()][1:]] == theirs


def _passes(check: Callable[..., Any], *args: Any) -> bool:
    try:
        check(*args)
    except AssertionError:
        return False
    return True


@pytest.mark.slow  # 500 pairs, some 5 minutes; 0 rejected, 487 caught on 2026-11-29, see docs/testing/tolerance.md
def test_all_the_kernels() -> None:
    found = list(tolerances.outcomes())
    assert len(found) == 500
    rejected, caught = tolerances.judged(found, "derived")
    assert rejected == 0
    assert caught >= 475


def test_the_page_has_the_tables_of_the_command() -> None:
    page = Path(tolerances.PAGE).read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| all | 500 | 0 / ")]
    assert len(rows) == 1
    assert int(rows[0].split("|")[3].split("/")[1]) >= 475


def test_nothing_but_the_noise_is_rounded(rng: np.random.Generator) -> None:
    """Results of float64 all the way: a step in float32 would be seen as noise that is 2**14 times as large."""
    x = rng.standard_normal((3, 8)).astype(np.float16)
    wide = x.astype(np.float64)
    steps: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
        "add": (lambda t: t.exp() + 0.3, lambda t: np.exp(t) + 0.3),
        "sub": (lambda t: t.exp() - t.mean(-1, keepdim=True), lambda t: np.exp(t) - t.mean(-1, keepdims=True)),
        "mul": (lambda t: t.exp() * t, lambda t: np.exp(t) * t),
        "div": (lambda t: t / t.exp(), lambda t: t / np.exp(t)),
        "sqrt": (lambda t: t.exp().sqrt(), lambda t: np.sqrt(np.exp(t))),
        "matmul": (lambda t: t.exp() @ t.T, lambda t: np.exp(t) @ t.T),
        "cumsum": (lambda t: t.exp().cumsum(1), lambda t: np.exp(t).cumsum(1)),
    }
    for name, (f, exact) in steps.items():
        for precision in ("fp16", "pure_fp16", "bf16"):
            found = expected_error(f, [x], precision).reference
            near = exact(wide) if precision != "bf16" else exact(hs.round_to(x, "bf16").astype(np.float64))
            assert np.allclose(found, near, rtol=1e-13, atol=0), (name, precision)
