"""Strategies reach every code and class, shrink to small numbers, and keep hypothesis's health checks quiet."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as hst
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

import halfsim as hs
from halfsim.numerics.formats import NAMES, as_format
from halfsim.numerics.ieee import CLASSES
from halfsim.testing import registered
from halfsim.testing import strategies as st

ROOT = Path(__file__).parents[2]
FORMATS = {fmt.name: fmt for fmt in NAMES.values()}
NARROW = [name for name, fmt in FORMATS.items() if fmt.bits <= 8]


def drawn(strategy: SearchStrategy[Any], count: int = 150) -> list[Any]:
    """What a strategy draws, under all health checks."""
    found: list[Any] = []

    @settings(max_examples=count, database=None, derandomize=True, deadline=None, suppress_health_check=[],
              phases=[Phase.generate])  # fmt: skip
    @given(strategy)
    def run(x: Any) -> None:
        found.append(x)

    run()
    return found


class _AllSeenError(Exception):
    """All that was wanted has been drawn."""


def reached(strategy: SearchStrategy[Any], wanted: set[Any], what: Any, count: int) -> bool:
    """Whether every one of ``wanted``, and nothing else, is ``what`` of something among the first ``count`` draws."""
    found = set[Any]()

    @settings(max_examples=count, database=None, derandomize=True, deadline=None, suppress_health_check=[],
              phases=[Phase.generate])  # fmt: skip
    @given(strategy)
    def run(x: Any) -> None:
        found.add(what(x))
        if found == wanted:
            raise _AllSeenError

    try:
        run()
    except _AllSeenError:
        return True
    return False


def smallest(strategy: SearchStrategy[Any], wanted: Any, seed: int = 0) -> Any:
    return find(strategy, wanted, random=random.Random(seed), settings=settings(database=None, max_examples=2000))


# Of eight bits one with infinities, one with a single NaN and one without a sign, as the next test has one without
# infinities; the others, which are laid out as these are: under `slow`; last on 2026-11-30, every code was reached.
ALIKE = {name for name in NARROW if FORMATS[name].bits == 8} - {"float8_e5m2", "float8_e4m3fnuz", "float8_e8m0fnu"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in ALIKE)) for n in NARROW])
def test_every_code_of_a_narrow_format_is_reached(name: str) -> None:
    assert reached(st.bit_patterns(name), {*range(1 << FORMATS[name].bits)}, int, 4000)


def test_every_value_of_float8_is_that_of_ml_dtypes() -> None:
    values = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).astype(float)
    assert reached(st.floats("float8_e4m3fn"), {repr(x) for x in values.tolist()}, repr, 4000)


@pytest.mark.parametrize("name", FORMATS)
def test_every_class_of_number_is_reached(name: str) -> None:
    fmt = FORMATS[name]
    every = np.arange(1 << fmt.bits) if fmt.bits <= 20 else None
    there = {*hs.ieee.classify(every, format=fmt)[0].tolist()} if every is not None else {*CLASSES}
    assert reached(st.bit_patterns(name), there, lambda code: str(hs.ieee.classify(code, format=fmt)[0]), 6000)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "tfloat32"])
def test_the_ends_of_each_kind_are_reached(name: str) -> None:
    fmt = FORMATS[name]
    ends = {0, fmt.smallest_subnormal, fmt.smallest_normal, fmt.max, math.inf}
    ends.add(fmt.smallest_normal - fmt.smallest_subnormal)
    assert reached(st.floats(name), {*ends, None}, lambda x: abs(x) if abs(x) in ends else None, 1500)


def test_half_of_all_codes_are_reached_in_as_many_draws() -> None:
    found = {int(code) for code in drawn(st.bit_patterns("float16"), 1000)}
    assert len(found) > 500
    assert len({code >> 10 for code in found}) == 64  # every exponent with both signs


SHRINKS: list[tuple[Any, Any]] = [
    (lambda x: np.float16(x) + np.float16(1) == np.float16(x), 2048.0),
    (lambda x: math.isfinite(x) and x * x > 65504, 256.0),
    (lambda x: x < 0, -1.0),
    (lambda x: x > 2000, 2048.0),
    (lambda x: x % 2 == 1 and x > 1, 3.0),
    (lambda x: 0 < abs(x) < 2.0**-14, 2.0**-24),
    (lambda x: x == math.inf, math.inf),
]


@pytest.mark.parametrize(("fails", "to"), SHRINKS)
@pytest.mark.parametrize("seed", range(4))
def test_numbers_shrink_to_readable_ones(fails: Any, to: float, seed: int) -> None:
    with np.errstate(all="ignore"):
        assert smallest(st.floats("float16"), lambda x: not math.isnan(x) and fails(x), seed) == to


@pytest.mark.parametrize("name", FORMATS)
def test_bounds_are_kept(name: str) -> None:
    fmt = FORMATS[name]
    low, high = (1.0, 2.0) if fmt.max > 2 else (fmt.smallest_normal, fmt.max)
    assert {low, high} <= {*(found := drawn(st.floats(name, min_value=low, max_value=high), 300))}
    assert all(low <= x <= high and float(hs.round_to(x, fmt)) == x for x in found)
    if fmt.precision > 2:
        inside = drawn(st.floats(name, min_value=low, max_value=high, exclude_min=True, exclude_max=True), 100)
        assert all(low < x < high for x in inside)


def test_zeros_subnormals_and_specials_by_choice() -> None:
    assert {math.copysign(1, x) for x in drawn(st.floats(min_value=0.0, max_value=0.0))} == {1}
    assert {math.copysign(1, x) for x in drawn(st.floats(min_value=-0.0, max_value=-0.0))} == {-1}
    assert {math.copysign(1, x) for x in drawn(st.floats(min_value=-0.0, max_value=0.0))} == {1, -1}
    assert all(x == 0 or abs(x) >= 2**-14 for x in drawn(st.floats(allow_subnormal=False)) if x == x)
    finite = drawn(st.floats(allow_nan=False, allow_infinity=False))
    assert all(map(math.isfinite, finite))
    assert any(map(math.isinf, drawn(st.floats(min_value=1))))
    assert not any(map(math.isnan, drawn(st.floats(min_value=1))))


REFUSED: list[tuple[Any, str]] = [
    (lambda: st.floats("float17"), "format: 'float17' is not allowed (did you mean 'float16'?)"),
    (lambda: st.floats(min_value=2.0, max_value=1.0), "min_value: 2.0 is not allowed; allowed: what leaves numbers"),
    (lambda: st.floats(min_value=0.1), "min_value: 0.1 is not allowed; allowed: numbers of float16, such as 0.09997"),
    (lambda: st.floats(max_value="x"), "max_value: 'x' is not allowed; allowed: numbers of float16"),
    (lambda: st.floats(max_value=70000), "max_value: 70000 is not allowed; allowed: numbers of float16"),
    (lambda: st.floats("float4_e2m1fn", allow_nan=True), "allow_nan: True is not allowed; allowed: False, for float4"),
    (lambda: st.floats("e4m3", allow_infinity=True), "allow_infinity: True is not allowed; allowed: False, for float8"),
    (lambda: st.floats(min_value=0, allow_nan=True), "allow_nan: True is not allowed; allowed: False with a bound"),
    (lambda: st.floats(min_value=0, max_value=1, allow_infinity=True), "allow_infinity: True is not allowed; allowed"),
    (
        lambda: st.floats(min_value=1, max_value=1, exclude_min=True),
        "min_value: 1 is not allowed; allowed: what leaves",
    ),
    (lambda: st.arrays("float16", 2, elements=3), "elements: 3 is not allowed; allowed: a strategy, a mapping"),
    (lambda: st.arrays("float16", 2, elements={"min": 3}), "elements: ['min'] is not allowed; allowed: arguments"),
    (lambda: st.ties("float64"), "container: 'float64' is not allowed; allowed: none for float64"),
    (lambda: st.ties("float16", container="bfloat16"), "container: 'bfloat16' is not allowed; allowed: float32, floa"),
    (lambda: st.near_overflow(of="cubes"), "of: 'cubes' is not allowed; allowed: 'elements', 'sums', 'squares', 'pro"),
    (lambda: st.swamping("e8m0"), "format: 'float8_e8m0fnu' is not allowed; allowed: formats with more than one"),
    (lambda: st.cancelling_pairs(max_ulp=0), "max_ulp: 0 is not allowed; allowed: integers from 1 to "),
    (lambda: st.ill_conditioned_sums(condition=0.5), "condition: 0.5 is not allowed; allowed: numbers from 1"),
    (lambda: st.ill_conditioned_sums(condition=1e30), "condition: 1e+30 is not allowed; allowed: numbers from 1 to"),
    (lambda: st.ill_conditioned_sums(condition=math.nan), "condition: nan is not allowed; allowed: numbers from 1"),
    (lambda: st.ill_conditioned_dots("fp4"), "condition: 10000.0 is not allowed; allowed: none for float4_e2m1fn"),
    (lambda: st.ill_conditioned_sums(max_size=1), "max_size: 1 is not allowed; allowed: integers from"),
    (lambda: st.ill_conditioned_sums("e8m0"), "format: 'float8_e8m0fnu' is not allowed; allowed: formats with a sign"),
    (lambda: st.attention_logits("e8m0"), "format: 'float8_e8m0fnu' is not allowed; allowed: formats with a sign"),
    (
        lambda: st.attention_logits("e4m3", allow_infinity=True),
        "allow_infinity: True is not allowed; allowed: False, f",
    ),
    (lambda: st.attention_logits(shape=()), "shape: () is not allowed; allowed: at least one axis"),
    (lambda: st.block_outliers(block=0), "block: 0 is not allowed; allowed: integers from 1"),
    (lambda: st.block_outliers(ratio=1e30), "ratio: 1e+30 is not allowed; allowed: numbers from 1 to"),
    (lambda: st.formats(min_bits=9, max_bits=8), "min_bits: 9 is not allowed; allowed: what leaves a format"),
    (lambda: st.policies(3), "model: 3 is not allowed; allowed: a module, None"),
    (lambda: st.policies(max_rules=-1), "max_rules: -1 is not allowed; allowed: integers from 0"),
]


@pytest.mark.parametrize(("wrong", "told"), REFUSED)
def test_impossible_strategies_are_refused_in_one_line(wrong: Any, told: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        wrong()
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


def test_an_element_off_the_grid_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="elements: 0.1000.* is not allowed; allowed: numbers of bfloat16"):
        drawn(st.arrays("bfloat16", 1, elements=hst.just(0.1)), 1)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e4m3fn", "float32", "float64"])
def test_arrays_and_tensors_are_on_the_grid(name: str) -> None:
    shapes = hst.tuples(hst.integers(0, 4), hst.integers(0, 4))
    for x in drawn(st.arrays(name, shapes), 60):
        assert np.array_equal(np.asarray(hs.round_to(x.astype(float), name)), x, equal_nan=True)
    for t in drawn(st.tensors(name, shapes, elements={"allow_nan": False}, requires_grad=True), 60):
        assert t.format == as_format(name)
        assert t.requires_grad
        assert np.asarray(t).shape == t.shape


def test_arrays_take_hypothesis_own_arguments() -> None:
    assert all(len({*x.tolist()}) == 3 for x in drawn(st.arrays("float16", 3, elements={"min_value": 1}, unique=True)))
    assert all((x == 2).all() for x in drawn(st.arrays("float16", 3, elements=hst.just(2.0), fill=hst.just(2.0)), 5))
    assert {x.dtype for x in drawn(st.arrays(st.formats(), 2), 200)} == {*map(np.dtype, ("f2", "f4", "f8"))}


@pytest.mark.parametrize("name", FORMATS)
def test_ties_are_ties(name: str) -> None:
    fmt = FORMATS[name]
    if name == "float64":
        return
    sides = set()
    for x in drawn(st.ties(name), 80):
        found, both = Fraction(float(x)), []
        size = abs(found)
        low = Fraction(float(hs.round_to(float(size), fmt, "downward", overflow="saturate")))
        high = (
            Fraction(float(hs.next_up(float(low), fmt)))
            if low < fmt.max
            else low + Fraction(float(hs.ulp(fmt.max, fmt)))
        )
        nearest = [Fraction(float(np.nextafter(x, x.dtype.type(end)))) for end in (-np.inf, np.inf)]
        both = [one for one in (found, *nearest) if 2 * abs(one) == low + high]
        assert len(both) == 1, (name, x)
        sides.add("tie" if both[0] == found else "below" if found < both[0] else "above")
    assert sides == {"tie", "below", "above"}


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float32"])
@pytest.mark.parametrize("of", ["elements", "sums", "squares", "products"])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3)])
def test_near_the_edges_is_near(name: str, of: str, shape: tuple[int, ...]) -> None:
    fmt = FORMATS[name]
    for strategy, edge, low in (
        (st.near_overflow(name, shape, of=of), fmt.max, fmt.max / 4.5),
        (st.near_underflow(name, shape, of=of), fmt.smallest_normal, fmt.smallest_subnormal / 4.5),
    ):
        for x in drawn(strategy, 12):
            values = [Fraction(v) for v in np.asarray(x, float).ravel().tolist()]
            assert np.shape(x) == shape
            assert all(v and float(hs.round_to(float(v), fmt)) == v for v in values)
            whole = {
                "elements": [abs(v) for v in values],
                "sums": [abs(sum(values, Fraction(0)))],
                "squares": [sum((v * v for v in values), Fraction(0))] if edge == fmt.max else [v * v for v in values],
                "products": [abs(math.prod(values))],
            }[of]
            # small integers, and whole powers of two, for narrow formats that have no numbers between
            slack = 1 if fmt.bits > 8 else 2 * len(values)
            assert all(low / slack <= size <= edge * 2.1 * slack for size in whole), (x, whole)


def test_both_sides_of_the_edge_are_reached() -> None:
    sums = [float(np.abs(x.astype(float)).sum()) for x in drawn(st.near_overflow("float16", 4, of="sums"))]
    assert min(sums) < 65504 < 65520 < max(sums)
    squares = [x * x for x in drawn(st.near_underflow("float16", of="squares"))]
    assert min(squares) < 2.0**-25 < 2.0**-14 < max(squares)
    assert {type(x) for x in drawn(st.near_overflow(), 50)} == {float}


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float32"])
def test_what_is_swamped_is_lost(name: str) -> None:
    fmt = FORMATS[name]
    for x in drawn(st.swamping(name), 40):
        total = 0.0
        for value in x.tolist():
            total = float(hs.round_to(Fraction(total) + Fraction(value), fmt))
        assert total == x[0]
        assert sum(map(Fraction, x.tolist())) != Fraction(float(x[0]))
    assert {len(x) for x in drawn(st.swamping(name, 3), 5)} == {3}


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e4m3fn", "float8_e8m0fnu", "float4_e2m1fn", "float64"])
def test_pairs_cancel_exactly(name: str) -> None:
    fmt = FORMATS[name]
    for a, b in drawn(st.cancelling_pairs(name), 100):
        assert a != b
        assert max(a / b, b / a) <= 2
        gap = abs(Fraction(a) - Fraction(b))
        assert gap <= 16 * Fraction(float(hs.ulp(min(abs(a), abs(b)), fmt)))
        assert Fraction(float(hs.round_to(gap, fmt))) == gap


CONDITIONED = [
    ("float16", 1), ("float16", 3), ("float16", 1e4), ("float16", 1e8), ("bfloat16", 1e4), ("bfloat16", 1e20),
    ("float8_e4m3fn", 10), ("float8_e5m2", 1000), ("float32", 1e12), ("float64", 1e30),
]  # fmt: skip


@pytest.mark.parametrize(("name", "condition"), CONDITIONED)
def test_condition_numbers_are_what_was_asked_for(name: str, condition: float) -> None:
    fmt = FORMATS[name]
    for case in drawn(st.ill_conditioned_sums(name, condition=condition), 30):
        x = [Fraction(v) for v in np.asarray(case).tolist()]
        assert len(x) <= 32
        assert all(float(hs.round_to(v, fmt)) == v for v in x)
        assert case.exact == sum(x)
        assert case.condition == sum(map(abs, x)) / abs(sum(x))
        assert 0.9 * condition <= case.condition <= 1.1 * condition
        assert sum(map(abs, x)) <= fmt.max
    for case in drawn(st.ill_conditioned_dots(name, condition=min(condition, 1e5)), 30) if fmt.bits > 8 else ():
        x, y = ([Fraction(v) for v in row.tolist()] for row in (case.x, case.y))
        assert all(float(hs.round_to(v, fmt)) == v for v in (*x, *y))
        products = [a * b for a, b in zip(x, y, strict=True)]
        assert case.exact == sum(products)
        assert 0.9 * min(condition, 1e5) <= case.condition == sum(map(abs, products)) / abs(sum(products))
        assert case.condition <= 1.1 * min(condition, 1e5)


def test_logits_have_every_kind_of_row() -> None:
    found = np.concatenate(drawn(st.attention_logits("float16", (2, 6)), 150)).astype(float)
    masked = found == -65504
    assert masked.any()
    assert not masked.all(axis=-1).any()
    with np.errstate(all="ignore"):
        shown = np.where(masked, np.nan, found)
        assert (np.nanmax(shown, -1) == np.nanmin(shown, -1)).any()
        assert np.isinf(np.exp(shown.astype(np.float16))).any()
        assert (np.exp(shown.astype(np.float16)) == 0).any()
    assert any(np.isinf(x).any() for x in drawn(st.attention_logits(allow_infinity=True), 50))
    assert not any(np.isinf(x).any() for x in drawn(st.attention_logits(allow_masked=False), 50))


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e4m3fn"])
def test_each_block_has_one_outlier(name: str) -> None:
    for x in drawn(st.block_outliers(name, (2, 10), block=4, ratio=16), 50):
        for row in np.abs(x.astype(float)):
            for block in (row[:4], row[4:8], row[8:]):
                *rest, largest = sorted(block.tolist())
                assert largest >= 16 * max(rest)


def test_what_a_computation_runs_in_is_drawn() -> None:
    assert {*FORMATS.values()} <= {*drawn(st.formats(), 400)} <= {*NAMES.values()}  # others may register theirs
    modes = {getattr(mode, "value", type(mode).__name__) for mode in drawn(st.roundings())}
    assert modes == {mode.value for mode in hs.Rounding} - {"stochastic"} | {"Stochastic"}
    chosen = drawn(st.precisions(), 300)
    assert all(hs.Precision(str(p)) == p for p in chosen)
    assert len({p.storage for p in chosen}) > 12
    model = hs.nn.Sequential(hs.nn.Linear(2, 2), hs.nn.ReLU())
    found = drawn(st.policies(model), 100)
    assert any(policy.by_path for policy in found)
    for policy in found:
        with hs.precision(policy):
            model(hs.tensor([[1.0, 2.0]]))


def test_the_room_may_be_imported_before_hypothesis() -> None:
    """Which hypothesis then asks for its types, in the midst of that."""
    code = "from halfsim.testing import strategies as st; import hypothesis; print(st.floats('float16').example())"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which hypothesis finds the entry points of pyproject.toml, whatever is installed."""
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
    told = "".join(f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in rows.items()) for group, rows in entries.items())
    home = tmp_path / "halfsim-0.dist-info"
    home.mkdir()
    (home / "METADATA").write_text("Metadata-Version: 2.1\nName: halfsim\nVersion: 0\n")
    (home / "entry_points.txt").write_text(told)
    rest = {name: value for name, value in os.environ.items() if name != "HYPOTHESIS_NO_PLUGINS"}
    return rest | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}


def test_hypothesis_starts_without_halfsim(installed: dict[str, str]) -> None:
    """Nobody who has halfsim installed waits for it in a run that does not use it."""
    code = "import sys, hypothesis; print('_halfsim_hypothesis' in sys.modules, {'halfsim', 'numpy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=installed, check=False)
    assert done.stdout == "True set()\n", done.stderr


@pytest.mark.parametrize("first", ["hypothesis, halfsim as hs", "halfsim as hs, hypothesis"])
def test_whichever_comes_first_annotations_draw_halfsims_types(installed: dict[str, str], first: str) -> None:
    code = (
        f"import {first}; from hypothesis import strategies as st, find, settings, Phase\n"
        "for kind in (hs.Tensor, hs.Format, hs.Precision):\n"
        "    quick = settings(database=None, phases=[Phase.generate])\n"
        "    print(type(find(st.from_type(kind), lambda x: True, settings=quick)).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=installed, check=False)
    assert done.stdout.split() == ["Tensor", "Format", "Precision"], done.stderr


def test_annotations_draw_halfsims_types() -> None:
    registered.register()
    assert {type(x) for x in drawn(hst.from_type(hs.Tensor), 30)} == {hs.Tensor}
    assert {type(x) for x in drawn(hst.from_type(hs.Format), 30)} == {hs.Format}
    assert {type(x) for x in drawn(hst.from_type(hs.Precision), 30)} == {hs.Precision}


def test_health_checks_are_not_suppressed_anywhere() -> None:
    """The profile of the tests suppresses nothing but what hypothesis itself does by default on a server."""
    assert set(settings.get_profile("halfsim").suppress_health_check) <= {HealthCheck.too_slow}
