"""Every order under every rounding and word: against loops of `hs.ieee`, unit against unit, and what is counted."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.numerics.accumulate import accumulator, cumsum, matmul, sum_
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.half_kernel import Half, bounded
from halfsim.numerics.orders import LOOPS, Watch, pairwise
from halfsim.numerics.quantize import round_, round_to, rounded
from halfsim.numerics.rounding import Mode, Rounding, Stochastic
from halfsim.numerics.steps import Fast, Plain, Unit, carrier
from tests.oracles import same

ROUNDINGS = [mode for mode in Rounding if mode is not Rounding.STOCHASTIC]
WORDS = list(product(("infinity", "saturate"), ("keep", "flush_inputs", "flush_outputs", "flush")))
KINDS = ("tiny", "ordinary", "large")
ORDERS = [*LOOPS, "blocked(2)", "blocked(16)"]


def operands(kind: str, shape: tuple[int, int, int], rng: np.random.Generator) -> tuple[Any, Any]:
    """Numbers of both formats, so small that products are subnormal, or so large that sums overflow; some cancel."""
    m, k, n = shape

    def draw(*size: int) -> Any:
        sign = rng.choice([-1.0, 1.0], size)
        exponents = {"tiny": (-14, -7), "ordinary": (-6, 2), "large": (6, 8)}[kind]
        return (
            sign * round_to(np.exp2(rng.uniform(*exponents, size)), hs.Format("both", 5, 8)) * rng.choice([0, 1, 1, 1])
        )

    a, b = draw(m, k), draw(k, n)
    a[0, 0] = -0.0
    a[:, k // 2 : k // 2 * 2], b[k // 2 : k // 2 * 2] = a[:, : k // 2], -b[: k // 2]
    return a.astype(np.float32), b.astype(np.float32)


class Loop:
    """The orders, an operation of `hs.ieee` at a time, on arrays of values in float64: a row under each of `WORDS`."""

    def __init__(self, fmt: str, rounding: Rounding) -> None:
        self.fmt, self.rounding = getattr(hs, fmt), rounding
        wanted = [(o == "saturate", s in ("flush_inputs", "flush"), s in ("flush_outputs", "flush")) for o, s in WORDS]
        self.saturated, self.inputs, self.outputs = np.array(wanted).T[:, :, None, None, None]

    def _flushed(self, x: Any, wanted: Any) -> Any:
        return np.where(wanted & (np.abs(x) < self.fmt.smallest_normal), np.copysign(0.0, x), x)

    def _operation(self, name: str, *values: Any) -> Any:
        codes = [hs.encode(x, self.fmt) for x in np.broadcast_arrays(*values)]
        result, flags = getattr(hs.ieee, name)(*codes, format=self.fmt, rounding=self.rounding)
        y = hs.decode(result, self.fmt).astype(np.float64)
        y = np.where(self.saturated & ((flags & 4) != 0), np.copysign(self.fmt.max, y), y)
        return self._flushed(y, self.outputs)

    def mul(self, a: Any, b: Any) -> Any:
        return self._operation("mul", a, b)

    def add(self, a: Any, b: Any) -> Any:
        return self._operation("add", *(self._flushed(x, self.inputs) for x in (a, b)))

    def dots(self, a: Any, b: Any, order: str) -> Any:
        a, b = a.astype(np.float64), b.astype(np.float64)
        total = np.zeros((*a.shape[:-1], b.shape[-1]))
        if order.startswith("blocked"):
            return self._blocked(a, b, int(order[8:-1]))
        terms = [(a[..., k, None], b[..., None, k, :]) for k in range(a.shape[-1])]
        if order == "sequential+fma":
            for x, y in terms:
                total = self._operation("fma", x, y, self._flushed(total, self.inputs))
            return total
        level = [self.mul(x, y) for x, y in terms]
        if order == "pairwise":
            while len(level) > 1:
                odd = level[-1:] if len(level) % 2 else []
                level = [self.add(x, y) for x, y in zip(level[::2], level[1::2], strict=False)] + odd
            return self.add(level[0], 0.0)
        aside = np.zeros_like(total)
        for x in level:
            if order == "kahan":
                y = self.add(x, -aside)
                new = self.add(total, y)
                aside = self.add(self.add(new, -total), -y)
                total = new
            elif order == "neumaier":
                new, first = self.add(total, x), np.abs(total) >= np.abs(x)
                large, small = np.where(first, total, x), np.where(first, x, total)
                aside, total = self.add(aside, self.add(self.add(large, -new), small)), new
            else:
                total = self.add(total, x)
        return self.add(total, aside) if order == "neumaier" else total

    def _blocked(self, a: Any, b: Any, size: int) -> Any:
        """Sums of these blocks are exact in float64, whose sums of numbers so near each other are, too."""
        inner, total = Loop("float32", self.rounding), np.zeros((*a.shape[:-1], b.shape[-1]))
        for k in range(0, a.shape[-1], size):
            exact = a[..., k : k + size] @ b[..., k : k + size, :] + 0.0
            total = self._rounded(inner.add(total, self._rounded(exact, "float32")), self.fmt)
        return total

    def _rounded(self, x: Any, fmt: Any) -> Any:
        """Results: what is read as zero is none of their business."""
        words = [(o, "flush_outputs" if s in ("flush_outputs", "flush") else "keep") for o, s in WORDS]
        return np.stack([
            round_to(row, fmt, self.rounding, overflow=o, subnormals=s) for row, (o, s) in zip(x, words, strict=True)
        ])  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("fmt", ["float16", "bfloat16"])
def test_every_order_is_its_loop(fmt: str, rounding: Rounding, order: str, rng: np.random.Generator) -> None:
    how = accumulator(f"{fmt}:{order}")
    drawn = [operands(kind, (4, 9, 5), rng) for _ in WORDS for kind in KINDS]
    left, right = (np.stack(side).reshape(len(WORDS), len(KINDS), *side[0].shape) for side in zip(*drawn, strict=True))
    with np.errstate(all="ignore"):
        every = Loop(fmt, rounding).dots(left, right, order)
    for row, (overflow, subnormals) in enumerate(WORDS):
        mode = Mode(rounding, overflow, subnormals)
        for kind, a, b, expected in zip(KINDS, left[row], right[row], every[row], strict=True):
            for counts in (None, FlagCounts()):
                got = matmul(a, b, how, counts, mode=mode)
                assert same(got, expected).all(), (kind, overflow, subnormals)
            assert same(matmul(b.T, a.T, how, mode=mode).T, expected).all(), "products commute"


def factors(a: Any, b: Any) -> tuple[Any, Any]:
    """Matrices (M, K) and (K, N) as the loops take them: terms first."""
    return a.T[:, :, None], b[:, None]


def unit_and_sum(name: str, unit: Unit, a: Any, b: Any, **options: int) -> tuple[Any, FlagCounts]:
    counts = FlagCounts()
    watch = Watch(unit, counts, (a.shape[0], b.shape[1]))
    watch.feed((a != 0).astype(float) @ (b != 0))
    loop: Any = LOOPS[name]
    with np.errstate(all="ignore"):
        total = loop(*factors(a, b), unit, watch, **options)
    watch.close(total)
    return total, counts


@pytest.mark.parametrize("order", LOOPS)
@pytest.mark.parametrize(("overflow", "subnormals"), WORDS)
def test_fast_units_give_the_bits_and_counts_of_the_plain_one(
    order: str, overflow: str, subnormals: str, rng: np.random.Generator
) -> None:
    quick = 0
    for fmt, kind in product((hs.float16, hs.bfloat16, hs.float32, hs.float8_e4m3fn), KINDS):
        a, b = (rounded(x, fmt) for x in operands(kind, (6, 17, 5), rng))
        mode = Mode(Rounding.NEAREST_EVEN, overflow, subnormals)
        words = None if mode == Mode() else mode
        plain = unit_and_sum(order, Plain(fmt, mode), a.astype(np.float64), b.astype(np.float64))
        dtype = np.dtype(np.float64) if order == "sequential+fma" else carrier(fmt, words)
        units: list[Unit] = [Fast(fmt, words, dtype)]
        if bounded(*factors(a, b), fmt, "kahan"):
            units.append(Half(words, dtype, (17, 6, 5)))
            quick += 1
        for unit in units:
            total, counts = unit_and_sum(order, unit, a.astype(dtype), b.astype(dtype))
            assert same(total, plain[0]).all(), (fmt, kind, type(unit))
            assert counts == plain[1], (fmt, kind, type(unit))
    assert quick == 2


@pytest.mark.parametrize("depth", [1, 2, 7, 8, 33])
def test_any_number_of_terms_at_once_is_the_same_tree(depth: int, rng: np.random.Generator) -> None:
    a, b = operands("ordinary", (3, depth, 4), rng)
    trees = [pairwise(*factors(a, b), Fast(hs.float16, None, a.dtype), None, at_once=1 << j) for j in range(6)]
    for tree in trees:
        np.testing.assert_array_equal(tree, trees[0])


# What is counted.


def counted(how: str, a: Any, b: Any, mode: Mode | None = None) -> FlagCounts:
    counts = FlagCounts()
    matmul(np.float32(a), np.float32(b), accumulator(how), counts, mode=mode)
    return counts


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("overflow", "subnormals"), WORDS)
@pytest.mark.parametrize("rounding", [Rounding.NEAREST_EVEN, Rounding.NEAREST_AWAY, Rounding.TOWARD_ZERO])
def test_flushed_sums_are_counted_whatever_the_words(
    order: str, overflow: str, subnormals: str, rounding: Rounding
) -> None:
    """Products of 2**-28 are zero in halves, and so are exact sums of four of them."""
    tiny = np.full((4, 4), 2.0**-14, np.float32)
    counts = counted(f"fp16:{order}", tiny, tiny.T, Mode(rounding, overflow, subnormals))
    assert (counts.flushed, counts.swamped, counts.overflow) == (16, counts.addends, 0)
    assert counts.addends == {"sequential+fma": 64, "blocked(2)": 32, "blocked(16)": 16}.get(order, 0)


def test_what_inputs_lose_is_flushed_too() -> None:
    small = np.full((1, 4), 2.0**-10, np.float32)  # products are subnormal halves
    for order in ("sequential", "pairwise", "kahan", "neumaier"):
        for subnormals in ("flush_inputs", "flush_outputs", "flush"):
            counts = counted(f"fp16:{order}", small, small.T, Mode(subnormals=subnormals))
            assert (counts.flushed, counts.addends) == (1, 0), (order, subnormals)
        assert counted(f"fp16:{order}", small, small.T).flushed == 0
    rows = np.full((4, 1), 2.0**-20, np.float32)
    counts = FlagCounts()
    assert sum_(rows, 0, False, accumulator("fp16:sequential"), counts, mode=Mode(subnormals="flush_inputs")) == 0
    assert (counts.flushed, counts.addends) == (1, 0)


def test_sums_of_both_signs_that_cancel_are_not_flushed() -> None:
    for order in ORDERS:
        assert counted(f"fp16:{order}", [[1, -1]], [[1], [1]]).flushed == 0, order


@pytest.mark.parametrize(
    "mode", [None, Mode(overflow="saturate"), Mode(subnormals="flush"), Mode(Rounding.TOWARD_ZERO)]
)
@pytest.mark.parametrize(
    ("order", "swamped", "addends"),
    [
        ("sequential", 51, 100),
        ("sequential+fma", 51, 100),
        ("pairwise", 0, 99),
        ("kahan", 0, 100),
        ("neumaier", 0, 100),
        ("blocked(1)", 51, 100),
        ("blocked(10)", 0, 10),
    ],
)
def test_addends_that_a_compensation_keeps_are_not_swamped(
    order: str, swamped: int, addends: int, mode: Mode | None
) -> None:
    """2000 and ones: 48 of them reach 2048, where the rest are half of a step."""
    terms = np.float32([[2000, *[1] * 99]])
    counts = counted(f"fp16:{order}", terms, np.ones((100, 1)), mode)
    assert (counts.swamped, counts.addends) == (swamped, addends)


def test_addends_that_nothing_keeps_are_swamped_in_every_order() -> None:
    """2**-14 beside 1024, whose halves are one apart: too small even for what is kept aside once that holds 0.5."""
    a = np.float32([[1024, 0.5, 2.0**-14]])
    for order, swamped in (("sequential", 2), ("kahan", 1), ("neumaier", 1), ("pairwise", 2), ("blocked(1)", 2)):
        assert counted(f"fp16:{order}", a, np.ones((3, 1))).swamped == swamped, order


@pytest.mark.parametrize("order", ["sequential", "sequential+fma", "pairwise", "blocked(1)", "blocked(16)", "neumaier"])
@pytest.mark.parametrize("mode", [Mode(overflow="saturate"), Mode(Rounding.TOWARD_ZERO), Mode(Rounding.DOWNWARD)])
def test_a_sum_that_stops_at_the_largest_number_has_overflowed(order: str, mode: Mode) -> None:
    counts, how = FlagCounts(), accumulator(f"fp16:{order}")
    a = np.float32([[60000, 60000], [1, 1], [60000, -60000]])
    total = matmul(a, np.ones((2, 1), np.float32), how, counts, mode=mode)
    assert total[:, 0].tolist() == [65504, 2, 0]
    assert (counts.overflow, counts.swamped) == (1, 0)
    counts = FlagCounts()
    assert sum_(a[0], None, False, how, counts, mode=mode) == 65504
    assert counts.overflow == 1


def test_what_the_largest_number_swallows_is_not_swamped() -> None:
    ones = np.ones((5, 1), np.float32)
    for mode in (None, Mode(overflow="saturate"), Mode(Rounding.TOWARD_ZERO)):
        counts = counted("fp16:sequential", [[60000, 60000, 1, 1, 1]], ones, mode)
        assert (counts.swamped, counts.addends) == (0, 5), mode


def test_infinite_sums_are_left_to_those_who_look_at_them() -> None:
    assert counted("fp16:sequential", [[60000, 60000]], [[1], [1]]).overflow == 0
    assert counted("fp16:sequential", [[np.inf, 1]], [[1], [1]], Mode(overflow="saturate")).overflow == 0


def test_a_saturated_sum_is_an_event_of_its_operation() -> None:
    with hs.precision("storage=fp16, compute=fp16, accumulate=fp16:sequential, overflow=saturate"), hs.trace() as trace:
        assert hs.ops.sum(hs.tensor([60000.0, 60000.0], "fp16")).item() == 65504
    assert trace.count().overflow == 1


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("mode", [None, Mode(overflow="saturate"), Mode(Rounding.TO_ODD)])
def test_running_sums_count_as_the_whole_sum_does(order: str, mode: Mode | None, rng: np.random.Generator) -> None:
    x, how = rounded(rng.standard_normal((3, 40)).astype(np.float32), hs.float16), accumulator(f"fp16:{order}")
    whole, running = FlagCounts(), FlagCounts()
    total = sum_(x, 1, False, how, whole, mode=mode)
    sums = cumsum(x, 1, how, running, mode=mode)
    assert same(sums[:, -1], total).all()
    assert same(sums, cumsum(x, 1, how, mode=mode)).all()
    assert running == whole
    assert whole.addends > 0


def test_each_running_sum_that_stops_is_counted() -> None:
    x = np.float32([60000, 60000, -60000, 1])
    for order in ("sequential", "pairwise"):
        counts = FlagCounts()
        sums = cumsum(x, 0, accumulator(f"fp16:{order}"), counts, mode=Mode(overflow="saturate"))
        assert counts.overflow == 3, sums


# Random numbers go to elements in C order, and shapes without axes are shapes.


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "strided": lambda x: np.repeat(np.repeat(x, 2, 0), 3, 1)[::2, ::3],
    "backwards": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "columns backwards": lambda x: np.ascontiguousarray(x[:, ::-1])[:, ::-1],
    "of a larger array": lambda x: np.pad(x, 2)[2:-2, 2:-2],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_stochastic_rounding_knows_no_layout(layout: str, dtype: type, rng: np.random.Generator) -> None:
    x = rng.standard_normal((37, 1200)).astype(dtype)  # more than a block
    y, made = LAYOUTS[layout](x), "bfloat16" if dtype == np.float16 else "float16"
    np.testing.assert_array_equal(y, x)
    expected, flags = hs.round_to(x, made, Stochastic(1), return_flags=True)
    for given in (y, np.broadcast_to(y, (1, *y.shape))[0]):
        got, seen = hs.round_to(given, made, Stochastic(1), return_flags=True)
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(seen, flags)
    out = LAYOUTS[layout](np.empty_like(x))
    assert hs.round_to(y, made, Stochastic(1), out=out) is out
    np.testing.assert_array_equal(out, expected)
    if dtype != np.float16:
        mode = [Mode(Stochastic(1)) for _ in range(2)]
        np.testing.assert_array_equal(rounded(y, hs.float16, None, mode[0]), expected)
        np.testing.assert_array_equal(round_(LAYOUTS[layout](x.copy()), hs.float16, None, mode[1]), expected)
        own = LAYOUTS[layout](x.copy())
        if own.flags.writeable:
            hs.round_to(own, made, Stochastic(1), out=own)
            np.testing.assert_array_equal(own, expected)


def test_a_broadcast_array_is_rounded_element_by_element() -> None:
    row = np.random.default_rng(0).standard_normal(5000)
    wide = np.broadcast_to(row, (4, 5000))
    expected = hs.round_to(wide.copy(), "float16", Stochastic(2))
    np.testing.assert_array_equal(hs.round_to(wide, "float16", Stochastic(2)), expected)
    assert (expected != expected[0]).any()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_stochastic_sums_know_no_layout(order: str, layout: str, rng: np.random.Generator) -> None:
    how = accumulator(f"fp16:{order}")
    x = rng.standard_normal((5, 12)).astype(np.float32)
    y = rng.standard_normal((12, 7)).astype(np.float32)
    change = LAYOUTS[layout]
    for call in (
        lambda f, mode: matmul(f(x), f(y), how, mode=mode),
        lambda f, mode: sum_(f(x), 0, False, how, mode=mode),
        lambda f, mode: sum_(f(x), None, False, how, mode=mode),
        lambda f, mode: cumsum(f(x), 1, how, mode=mode),
    ):
        got, expected = call(change, Mode(Stochastic(3))), call(np.ascontiguousarray, Mode(Stochastic(3)))
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("compute", ["fp16", "bf16", "fp32"])
def test_traced_bits_are_untraced_bits_whatever_the_layout(compute: str, rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((2, 30, 40))
    spec = f"storage=fp16, compute={compute}, accumulate=fp16:sequential, rounding=stochastic(seed=1)"

    def work() -> list[Any]:
        with hs.precision(spec):
            a, b = (hs.tensor(v, "fp16").swapaxes(0, 1) for v in (x, y))
            made = [
                a * 0.3,
                a + b,
                a - 0.3,
                a / 3,
                hs.ops.exp(a),
                a.sum(0),
                a.swapaxes(0, 1) @ b,
                a.swapaxes(0, 1) * 0.3,
            ]
            return [t.numpy() for t in made]

    plain = work()
    with hs.trace():
        traced = work()
    for got, expected in zip(traced, plain, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_wide_numbers_stay_where_they_are_in_any_layout() -> None:
    """Integers that float64 cannot hold take their own way to a format of 52 digits and more."""
    x = np.asfortranarray(np.arange(6, dtype=np.int64).reshape(2, 3) + 2**60 + 1)
    assert (hs.round_to(x, "float64", "upward") == hs.round_to(np.ascontiguousarray(x), "float64", "upward")).all()
    assert (hs.round_to(x, "float64", "upward") > 2.0**60).all()


@pytest.mark.parametrize("rounding", [*ROUNDINGS, "stochastic"])
@pytest.mark.parametrize("subnormals", ["keep", "flush"])
def test_sums_of_numbers_without_axes(rounding: Any, subnormals: str) -> None:
    word = rounding if isinstance(rounding, str) else rounding.value
    pairs = [(1.0, 0.25), (1.0, 2.0**-11), (-1.0, 1.0), (2.0**-24, -(2.0**-24)), (65504.0, 65504.0), (np.inf, -np.inf)]
    with hs.precision(f"storage=fp16, compute=fp16, rounding={word}, subnormals={subnormals}"):
        for a, b in pairs:
            x, y = (hs.tensor(v, "fp16") for v in (a, b))
            for name, got in (("add", x + y), ("sub", x - y), ("mul", x * y)):
                assert got.shape == ()
                if word == "stochastic":
                    continue
                codes = (hs.encode(v, "float16") for v in (a, b))
                expected = hs.decode(getattr(hs.ieee, name)(*codes, rounding=word)[0], "float16")
                if subnormals == "keep":
                    assert same(got.numpy(), expected).all(), (name, a, b)
        for shape in ((0,), (0, 3)):
            empty = hs.tensor(np.zeros(shape), "fp16")
            assert (empty + empty).shape == (empty - 1.0).shape == (empty * empty).shape == shape


@pytest.mark.parametrize("rounding", [*(mode.value for mode in ROUNDINGS), "stochastic"])
def test_powers_clipping_and_a_step_under_every_rounding(rounding: str) -> None:
    with hs.precision(f"storage=fp16, compute=fp16, accumulate=fp16:sequential, rounding={rounding}"):
        x = hs.tensor(1.5, "fp16", requires_grad=True)
        (x**3 + hs.ops.square(x) - x).backward()
        assert x.grad is not None
        assert abs(float(x.grad.numpy()) - (3 * 1.5**2 + 2 * 1.5 - 1)) < 0.05
        layer = hs.nn.Linear(3, 2)
        (layer(hs.tensor(np.ones((4, 3)), "fp16")) ** 2).sum().backward()
        hs.nn.utils.clip_grad_norm_(layer.parameters(), 0.1)
        for made in (hs.optim.SGD, hs.optim.Adam):
            before = [p.numpy().copy() for p in layer.parameters()]
            made(layer.parameters(), lr=0.25).step()
            assert any((p.numpy() != old).any() for p, old in zip(layer.parameters(), before, strict=True))
