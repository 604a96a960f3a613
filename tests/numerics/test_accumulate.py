from __future__ import annotations

import numpy as np
import pytest

import halfsim as hs
from halfsim.numerics.accumulate import Accumulator, _bounded, accumulator, matmul, sum_
from halfsim.numerics.flags import FlagCounts
from tests.oracles import same

SEQUENTIAL = accumulator("fp16:sequential")


def halves(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    with np.errstate(all="ignore"):
        return (rng.standard_normal(shape) * scale * 2.0 ** rng.integers(-4, 4, shape)).astype(np.float16)


def loop(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The definition: NumPy's own float16 arithmetic, product rounded, sum rounded, k ascending."""
    c = np.zeros((a.shape[0], b.shape[1]), np.float16)
    with np.errstate(all="ignore"):
        for k in range(a.shape[1]):
            c += a[:, k, None] * b[k]
    return c


def run(a: np.ndarray, b: np.ndarray, counts: FlagCounts | None = None) -> np.ndarray:
    with np.errstate(all="ignore"):
        return matmul(a.astype(np.float32), b.astype(np.float32), SEQUENTIAL, counts)


SHAPES = [(1, 1, 1), (5, 7, 3), (3, 2, 200), (200, 2, 3), (37, 64, 29), (2, 5000, 3), (300, 4, 300)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1e-6, 1e-4, 1e-2, 1.0, 30.0, 300.0])
def test_sequential_half_is_the_loop_bit_for_bit(
    shape: tuple[int, int, int], scale: float, rng: np.random.Generator
) -> None:
    m, k, n = shape
    a, b = halves(rng, (m, k), scale), halves(rng, (k, n), scale)
    a[rng.random(a.shape) < 0.2] = 0
    b[rng.random(b.shape) < 0.2] = -0.0
    expected = loop(a, b)
    assert same(run(a, b), expected).all()
    assert same(run(a, b, FlagCounts()), expected).all(), "counting changes nothing"


def test_the_quick_step_and_the_general_one_both_ran(rng: np.random.Generator) -> None:
    small, large = np.ones((4, 4), np.float32), np.full((4, 4), 200, np.float32)
    assert _bounded(small, small, 4)
    assert not _bounded(large, large, 4)


def test_infinities_and_nan_take_their_course(rng: np.random.Generator) -> None:
    a, b = halves(rng, (20, 30), 1), halves(rng, (30, 20), 1)
    a[3, 4], a[5, 6], a[7, 8], b[9, 9] = np.inf, np.nan, -np.inf, 0
    assert same(run(a, b), loop(a, b)).all()


def test_every_half_mantissa_sum_is_rounded_right_by_splitting() -> None:
    """Veltkamp's splitting on all 2**23 float32 significands, ties among them, against NumPy's conversion."""
    x = np.arange(2**23, 2**24, dtype=np.float32) * np.float32(2.0**-20)
    t = x * np.float32(2**13 + 1)
    np.testing.assert_array_equal(t - (t - x), x.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("shapes", [((0, 3), (3, 4)), ((2, 0), (0, 4)), ((2, 3), (3, 0))])
def test_empty_products(shapes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    a, b = (np.ones(shape, np.float16) for shape in shapes)
    got = run(a, b)
    assert got.shape == (shapes[0][0], shapes[1][1])
    assert not got.any()


def test_batches_broadcast_as_in_numpy(rng: np.random.Generator) -> None:
    a, b = halves(rng, (2, 1, 3, 4), 1), halves(rng, (5, 4, 2), 1)
    got = run(a, b)
    assert got.shape == (2, 5, 3, 2)
    for i in range(2):
        for j in range(5):
            assert same(got[i, j], loop(a[i, 0], b[j])).all()


def test_memory_layout_changes_no_bit(rng: np.random.Generator) -> None:
    a, b = halves(rng, (40, 50), 1), halves(rng, (50, 60), 1)
    expected = run(a, b)
    np.testing.assert_array_equal(run(np.asfortranarray(a), np.asfortranarray(b)), expected)
    np.testing.assert_array_equal(run(a[::-1], b)[::-1], expected)


def test_swamping_and_flushing_are_counted() -> None:
    counts = FlagCounts()
    row = np.full((1, 3000), 1, np.float16)
    assert run(row, row.T, counts)[0, 0] == 2048
    assert (counts.addends, counts.swamped) == (3000, 3000 - 2048)
    counts = FlagCounts()
    tiny = np.full((1, 5), 2.0**-13, np.float16)
    assert run(tiny, tiny.T, counts)[0, 0] == 0  # each product is 2**-26
    assert (counts.flushed, counts.addends) == (1, 0)


@pytest.mark.parametrize("axis", [None, 0, 1, 2, (0, 2), (1, 2)])
@pytest.mark.parametrize("shape", [(7, 5, 6), (70, 3, 80)])
def test_sequential_sums_add_in_order(axis: object, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x = halves(rng, shape, 5)
    axes = tuple(range(3)) if axis is None else (axis,) if isinstance(axis, int) else axis
    assert isinstance(axes, tuple)
    kept = tuple(i for i in range(3) if i not in axes)
    rows = x.transpose(axes + kept).reshape(-1, *(x.shape[i] for i in kept))
    expected = np.zeros(rows.shape[1:], np.float16)
    for row in rows:
        expected = expected + row
    for layout in (x, np.asfortranarray(x)):
        for counts in (None, FlagCounts()):
            got = sum_(layout.astype(np.float32), axis, False, SEQUENTIAL, counts)  # type: ignore[arg-type]
            assert same(got, expected).all()
    kept_dims = sum_(x.astype(np.float32), axis, True, SEQUENTIAL)  # type: ignore[arg-type]
    assert kept_dims.shape == x.sum(axis=axis, keepdims=True).shape  # type: ignore[arg-type]


def test_a_sum_of_ones_stops_at_2048() -> None:
    assert sum_(np.ones(5000, np.float32), None, False, SEQUENTIAL) == 2048
    assert sum_(np.ones(0, np.float32), None, False, SEQUENTIAL) == 0


def test_float32_sequential_is_the_loop_in_float32(rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((9, 40)).astype(np.float32), rng.standard_normal((40, 8)).astype(np.float32)
    expected = np.zeros((9, 8), np.float32)
    for k in range(40):
        expected += a[:, k, None] * b[k]
    np.testing.assert_array_equal(matmul(a, b, accumulator("fp32:sequential")), expected)


def test_names() -> None:
    assert accumulator("fp16:sequential") == Accumulator(hs.float16, "sequential")
    assert accumulator(accumulator("fp64")) == Accumulator(hs.float64, "blas")
    for spec, text in (
        ("fp16", "needs an order"),
        ("fp16:seqential", "did you mean 'sequential'"),
        ("fp99", "accumulate"),
    ):
        with pytest.raises(ValueError, match=text) as caught:
            accumulator(spec)
        assert "\n" not in str(caught.value)
    with pytest.raises(TypeError, match="^accumulate: expected a string"):
        accumulator(16)


@pytest.mark.parametrize("shapes", [((2, 0, 3), (2, 3, 4)), ((2, 3, 0), (2, 0, 4)), ((0, 2, 3), (3, 4))])
def test_empty_batches(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    a, b = (np.ones(shape, np.float16) for shape in shapes)
    np.testing.assert_array_equal(run(a, b), a @ b)


@pytest.mark.parametrize("axis", [0, 1, None])
def test_empty_sums_are_zero(axis: int | None) -> None:
    for shape in ((3, 0), (0, 3), (0, 0)):
        x = np.ones(shape, np.float32)
        np.testing.assert_array_equal(sum_(x, axis, False, SEQUENTIAL), x.sum(axis))


def test_operands_wider_than_the_accumulator_round_once_on_every_path() -> None:
    """1 + 2**-11 + 2**-22 becomes 1 + 2**-10 first, traced or not, for few sums or many."""
    x = np.float32([1.0, 2.0**-11 * (1 + 2.0**-11)])
    for counts in (None, FlagCounts()):
        assert sum_(x, None, False, SEQUENTIAL, counts) == 1
        assert (sum_(np.tile(x[:, None], 65), 0, False, SEQUENTIAL, counts) == 1).all()


def test_formats_too_wide_to_compute_in_are_refused() -> None:
    for fmt in (hs.Format("p30", 8, 30), hs.Format("e11", 11, 20)):
        for make in (lambda fmt=fmt: Accumulator(fmt, "sequential"), lambda fmt=fmt: hs.Precision(compute=fmt)):
            with pytest.raises(ValueError, match="too wide to compute in"):
                make()


def test_infinity_swallows_but_does_not_swamp() -> None:
    counts = FlagCounts()
    sum_(np.float32([np.inf, 1, 1]), None, False, SEQUENTIAL, counts)
    assert counts.swamped == 0
