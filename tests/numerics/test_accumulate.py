from __future__ import annotations

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

import halfsim as hs
from halfsim.numerics.accumulate import Accumulator, accumulator, cumsum, dot, matmul, sum_
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.half_kernel import bounded
from tests.oracles import exactly, nearest_half, same

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
    assert bounded(small, small, hs.float16)
    assert not bounded(large, large, hs.float16)


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


# The other orders, against loops written out in NumPy float16, ml_dtypes and fractions.

ORDERS = ("fp16:sequential+fma", "fp16:pairwise", "fp16:blocked(4)", "fp16:kahan", "fp16:neumaier", "exact")
KINDS = ("ordinary", "wide", "tiny", "large", "ties", "cancelling")


def operands(rng: np.random.Generator, kind: str, m: int, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Halves of which dot products are hard, finite, and in ``large`` overflow."""

    def draw(shape: tuple[int, int]) -> np.ndarray:
        sign = rng.choice([-1.0, 1.0], shape)
        if kind == "wide":
            return sign * np.exp2(rng.uniform(-24, 8, shape))
        if kind == "ties":
            return sign * rng.choice([2.0**-11, 2.0**-10, 1.0, 3.0, 1024.0, 1 + 2.0**-10], shape)
        return sign * rng.random(shape) * {"tiny": 2.0**-11, "large": 300.0}.get(kind, 1.0)

    a, b = draw((m, k)).astype(np.float16), draw((k, n)).astype(np.float16)
    if kind == "cancelling":
        a[:, k // 2 : k // 2 * 2], b[k // 2 : k // 2 * 2] = a[:, : k // 2], -b[: k // 2]
    return a, b


def product(a: np.ndarray, b: np.ndarray, spec: str) -> np.ndarray:
    return matmul(a.astype(np.float32), b.astype(np.float32), accumulator(spec))


def nearest_single(x: Fraction) -> np.float32:
    """The float32 nearest to an exact number, ties to even, by exact comparison with three candidates."""
    guess = np.float32(float(x))
    near = [np.nextafter(guess, np.float32(-np.inf)), guess, np.nextafter(guess, np.float32(np.inf))]
    return min(near, key=lambda v: (abs(Fraction(float(v)) - x), int(v.view(np.uint32)) & 1))


def half_fma_loop(terms: list[Fraction]) -> float:
    total = 0.0
    for term in terms:
        if math.isfinite(total):
            exact = term + Fraction(total)
            total = nearest_half(exact) if exact else total + float(term)
            total = math.copysign(total, exact) if exact else total
    return total


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 17, 4), (5, 40, 2)])
def test_fma_rounds_once_for_each_k(kind: str, shape: tuple[int, int, int], rng: np.random.Generator) -> None:
    a, b = operands(rng, kind, *shape)
    expected = [[half_fma_loop(terms) for terms in row] for row in exactly(a, b)]
    assert same(product(a, b, "fp16:sequential+fma"), expected).all()


def test_fma_keeps_the_sign_of_a_flushed_product_and_rounds_once_where_float32_does_not() -> None:
    tiny = product(np.float16([[-(2.0**-15)]]), np.float16([[2.0**-15]]), "fp16:sequential+fma")
    assert tiny == 0
    assert np.signbit(tiny).all()
    # 1 + (1 + 2**-10) 2**-11 (1 - 2**-11 + ...): float32 rounds the sum to a midpoint of two halves first
    a, b = np.float16([[1.0, 2.0**-11 * (1 + 2.0**-10)]]), np.float16([[1.0], [1 - 2.0**-10]])
    exact = sum((Fraction(float(x)) * Fraction(float(y)) for x, y in zip(a[0], b[:, 0], strict=True)), Fraction(0))
    assert exact == 1 + Fraction(1, 2**11) - Fraction(1, 2**31)
    assert product(a, b, "fp16:sequential+fma")[0, 0] == 1
    assert np.float16(np.float32(exact)) == 1  # even here; the next one up is where it shows
    a[0, 0] = 1 + 2.0**-10
    assert product(a, b, "fp16:sequential+fma")[0, 0] == 1 + 2.0**-10
    assert np.float16(np.float32(exact + Fraction(1, 2**10))) == 1 + 2.0**-9


@pytest.mark.parametrize("spread", [2, 40])
def test_float32_fma_goes_through_odd_sums(spread: int, rng: np.random.Generator) -> None:
    a, b = (
        (rng.standard_normal(s) * 2.0 ** rng.integers(-spread, spread, s)).astype(np.float32)
        for s in ((4, 30), (30, 5))
    )
    a[0, :3], b[:3, 0] = [1 + 2.0**-23, 2.0**-24, 2.0**-70], [1, 1, 1]  # a tie that 2**-70 breaks upwards
    for i, row in enumerate(exactly(a, b)):
        for j, terms in enumerate(row):
            total = np.float32(0)
            for term in terms:
                total = nearest_single(Fraction(float(total)) + term)
            assert matmul(a, b, accumulator("fp32:sequential+fma"))[i, j] == total


def test_a_product_on_a_midpoint_is_moved_by_any_smaller_total() -> None:
    """bfloat16: (1 + 2**-7)(1 + 2**-1) style midpoints beside a total 2**-100, which float64 alone would lose."""
    a = np.float32([[2.0**-50, 1 + 2.0**-4]])
    b = np.float32([[2.0**-50], [1 + 2.0**-4]])  # 1 + 2**-3 + 2**-8: halfway between two bfloat16 numbers
    assert matmul(a, b, accumulator("bf16:sequential+fma"))[0, 0] == 1 + 2.0**-3 + 2.0**-7
    assert matmul(-a, b, accumulator("bf16:sequential+fma"))[0, 0] == -(1 + 2.0**-3 + 2.0**-7)
    a[0, 0] *= -1
    assert matmul(a, b, accumulator("bf16:sequential+fma"))[0, 0] == 1 + 2.0**-3


def tree(terms: np.ndarray) -> np.ndarray:
    """Adjacent pairs, level by level, in NumPy float16."""
    while len(terms) > 1:
        pairs = len(terms) // 2 * 2
        terms = np.concatenate([terms[0:pairs:2] + terms[1:pairs:2], terms[pairs:]])
    return terms[0] + np.float16(0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 4), (5, 37, 2), (2, 1000, 3), (200, 13, 180), (1, 5000, 1)])
def test_pairwise_is_the_tree(kind: str, shape: tuple[int, int, int], rng: np.random.Generator) -> None:
    a, b = operands(rng, kind, *shape)
    with np.errstate(all="ignore"):
        expected = tree(a.T[:, :, None] * b[:, None, :])
    assert same(product(a, b, "fp16:pairwise"), expected).all()


def kahan(products: np.ndarray) -> np.ndarray:
    total, lost = np.zeros_like(products[0]), np.zeros_like(products[0])
    for x in products:
        y = x - lost
        new = total + y
        lost = (new - total) - y
        total = new
    return total


def neumaier(products: np.ndarray) -> np.ndarray:
    total, aside = np.zeros_like(products[0]), np.zeros_like(products[0])
    for x in products:
        new = total + x
        aside = aside + np.where(abs(total) >= abs(x), (total - new) + x, (x - new) + total)
        total = new
    return total + aside


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 37, 4), (190, 9, 180)])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_compensated_loops(kind: str, shape: tuple[int, int, int], dtype: type, rng: np.random.Generator) -> None:
    a, b = (x.astype(dtype) for x in operands(rng, kind, *shape))
    for loop_ in (kahan, neumaier):
        with np.errstate(all="ignore"):
            expected = loop_(a.T[:, :, None] * b[:, None, :])
        got = product(a, b, f"{np.dtype(dtype).name}:{loop_.__name__}")
        assert same(got, expected.astype(np.float32)).all()


def blocked_loop(terms: list[Fraction], size: int, dtype: type) -> float:
    total = np.float32(0)
    for k in range(0, len(terms), size):
        part = nearest_single(sum(terms[k : k + size], Fraction(0)))
        with np.errstate(all="ignore"):
            total = (total + part).astype(dtype).astype(np.float32)
    return float(total)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 3, 4, 16, 100])
def test_blocked_adds_exact_sums(kind: str, size: int, rng: np.random.Generator) -> None:
    a, b = operands(rng, kind, 3, 50, 4)
    terms = exactly(a, b)
    for name, dtype in (("fp16", np.float16), ("fp32", np.float32)):
        expected = [[blocked_loop(t, size, dtype) for t in row] for row in terms]
        np.testing.assert_array_equal(product(a, b, f"{name}:blocked({size})"), expected)


def test_blocked_wide_operands(rng: np.random.Generator) -> None:
    a, b = (np.exp2(rng.uniform(-30, 30, s)).astype(np.float32) * rng.choice([-1, 1], s) for s in ((3, 20), (20, 4)))
    a, b = a.astype(np.float32), b.astype(np.float32)
    expected = [[blocked_loop(t, 7, np.float32) for t in row] for row in exactly(a, b)]
    np.testing.assert_array_equal(matmul(a, b, accumulator("fp32:blocked(7)")), expected)
    x, y = rng.standard_normal((3, 20)), rng.standard_normal((20, 4))
    for i, row in enumerate(exactly(x, y)):
        for j, t in enumerate(row):
            total = 0.0
            for k in range(0, 20, 7):
                total += float(sum(t[k : k + 7], Fraction(0)))
            assert matmul(x, y, accumulator("fp64:blocked(7)"))[i, j] == total


@pytest.mark.parametrize("spec", ORDERS)
def test_every_order_meets_infinities_nan_and_empty_shapes(spec: str, rng: np.random.Generator) -> None:
    a, b = operands(rng, "ordinary", 12, 20, 9)
    a[0, 3], a[1, 4], a[2, 5], a[3, 1], a[3, 2], b[7, 7] = np.inf, -np.inf, np.nan, np.inf, -np.inf, np.inf
    a[4, 7] = b[3, 2] = 0
    if "kahan" not in spec and "neumaier" not in spec:  # whose compensation is NaN after an infinity, by the loop
        with np.errstate(all="ignore"):
            plain = a.astype(np.float64) @ b.astype(np.float64)
        got = product(a, b, spec)
        special = ~np.isfinite(plain)
        assert same(got[special], plain[special]).all()
        assert np.isfinite(got[~special]).all()
    for shapes in (((0, 3), (3, 4)), ((2, 0), (0, 4)), ((2, 3), (3, 0)), ((2, 0, 3), (2, 3, 4)), ((2, 3, 0), (0, 4))):
        x, y = (np.ones(shape, np.float16) for shape in shapes)
        got = product(x, y, spec)
        assert got.shape == (x @ y).shape
        assert not got.any()
        assert not np.signbit(got).any()
    assert same(product(np.float16([[-0.0]]), np.float16([[1.0]]), spec), [[0.0]]).all()


@pytest.mark.parametrize("spec", ["fp16:sequential", *ORDERS])
def test_every_order_ignores_layout_batches_and_tiles(spec: str, rng: np.random.Generator) -> None:
    a, b = operands(rng, "wide", 210, 21, 190)
    expected = product(a, b, spec)
    for x, y in (
        (np.asfortranarray(a), np.asfortranarray(b)),
        (np.repeat(a, 2, 1)[:, ::2], b[::-1][::-1]),
    ):
        assert same(product(x, y, spec), expected).all()
    assert same(product(a[:3], b[:, :2], spec), expected[:3, :2]).all()
    assert same(product(b.T, a.T, spec), expected.T).all()
    batch = product(np.stack([a[:5], a[5:10]])[:, None], b[:, :7], spec)
    assert same(batch[:, 0], expected[:10, :7].reshape(2, 5, 7)).all()


@pytest.mark.parametrize("spec", ["fp16:sequential", *ORDERS])
def test_sums_on_any_axis_are_dot_products_with_ones(spec: str, rng: np.random.Generator) -> None:
    x = operands(rng, "wide", 30, 40, 1)[0].reshape(5, 6, 40).astype(np.float32)
    how = accumulator(spec)
    for axis in (None, 0, -1, (0, 2), (2, 0), (1, 2)):
        axes = (0, 1, 2) if axis is None else tuple(sorted(i % 3 for i in np.atleast_1d(axis)))
        kept = tuple(i for i in range(3) if i not in axes)
        rows = x.transpose(axes + kept).reshape(-1, math.prod(x.shape[i] for i in kept))
        expected = matmul(np.ones((1, len(rows)), np.float32), rows, how).reshape([x.shape[i] for i in kept])
        kept_dims = sum_(np.asfortranarray(x), axis, True, how)  # type: ignore[arg-type]
        assert same(sum_(x, axis, False, how), expected).all()  # type: ignore[arg-type]
        assert same(kept_dims.reshape(expected.shape), expected).all()
    vector, other = x[0, 0], x[1, 1]
    assert same(dot(vector, other, how), matmul(vector[None], other[:, None], how)[0, 0]).all()
    for axis in (0, 1, -1):
        running = cumsum(x[:, :5, :7], axis, how)
        for i in range(x[:, :5, :7].shape[axis]):
            expected = sum_(np.take(x[:, :5, :7], range(i + 1), axis), axis, False, how)
            assert same(np.take(running, i, axis), expected).all()


def test_pairwise_of_a_long_sum() -> None:
    assert sum_(np.full(100_000, 0.5, np.float32), None, False, accumulator("fp16:pairwise")) == 50_000 // 32 * 32
    assert sum_(np.ones(5000, np.float32), None, False, accumulator("fp16:kahan")) == 5000


NAMES = ("float32", "float64", "float16:sequential", "float16:sequential+fma", "bfloat16:pairwise",
         "float32:blocked(16)", "float16:blocked(1)", "float16:kahan", "tfloat32:neumaier", "exact",
         "H100:fp8_e4m3:blocked(128)", "H100:mma:blocked(4)", "ampere:bf16:blocked(1)",
         "RTX 4090:fp16/fp16:blocked(64)")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_round_trip(name: str) -> None:
    assert str(accumulator(name)) == name
    assert accumulator(str(accumulator(name))) == accumulator(name)
    assert hs.Precision(accumulate=name).accumulate == accumulator(name)
    assert accumulator(name).dtype in (np.float32, np.float64)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("fp16:kahn", "did you mean 'kahan'"), ("fp16:neumayer", "did you mean 'neumaier'"),
        ("exat", "did you mean 'exact'"), ("fp16:blocked", "as 'blocked"), ("fp16:blocked(0)", "positive block length"),
        ("fp16:blocked(-1)", "block length"), ("fp16:exact", "allowed: 'exact'"), ("fp64:sequential+fma", "too wide"),
        ("", "not allowed"), ("fp16:", "needs an order"), ("exact:sequential", "not allowed"),
        ("fp16:blocked(2)(3)", "block length"), ("V100:blocked(0)", "positive block length"),
        ("V100:blocked(9999999999)", "up to 9 digits"), ("blocked(128)", "a format or a unit goes before it"),
        (":blocked(128)", "a format or a unit goes before it"),
        ("V100:blocked", "as 'blocked(16)'"), ("V10:blocked(4)", "did you mean 'V100'"), ("blocked(4)", "not allowed"),
        ("fp16:kahan:blocked(4)", "not allowed"), ("V100:kahan:blocked(4)", "not allowed"),
    ],
)  # fmt: skip
def test_bad_names_say_what_is_allowed_in_one_line(spec: str, text: str) -> None:
    with pytest.raises(ValueError, match="^accumulate: ") as caught:
        accumulator(spec)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_values_and_shapes() -> None:
    for make in (
        lambda: Accumulator(hs.float16, "blocked"),
        lambda: Accumulator(hs.float16, "kahan", 4),
        lambda: Accumulator(hs.float32, "v100", -1),
        lambda: Accumulator(hs.float16, "v100:fp16/fp16", 4),
    ):
        with pytest.raises(ValueError, match="^accumulate: .*allowed"):
            make()
    x = np.ones((2, 3), np.float32)
    for call in (lambda: matmul(x, x, SEQUENTIAL), lambda: dot(x[0], x[:, 0], SEQUENTIAL)):
        with pytest.raises(ValueError, match="do not fit; allowed: ") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_fma_counts_what_the_loop_swamps_and_flushes() -> None:
    row, how = np.ones((1, 3000), np.float32), accumulator("fp16:sequential+fma")
    counts = FlagCounts()
    assert matmul(row, row.T, how, counts)[0, 0] == 2048
    assert (counts.addends, counts.swamped) == (3000, 3000 - 2048)
    counts, tiny = FlagCounts(), np.full((1, 5), 2.0**-13, np.float32)
    assert matmul(tiny, tiny.T, how, counts)[0, 0] == 0
    assert counts.flushed == 1
