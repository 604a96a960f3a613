"""What is decided once: the way of an operation is short, and no shortcut changes a bit."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd import scope
from halfsim.autograd.plan import Plan, by_identity
from halfsim.numerics.quantize import round_, rounded

ROOT = str(Path(hs.__file__).parent)


def calls(work: Any) -> int:
    """How many calls ``work`` makes into files of halfsim, once it has run before."""
    work()
    found = 0

    def count(frame: FrameType, event: str, _: Any) -> None:
        nonlocal found
        found += event == "call" and frame.f_code.co_filename.startswith(ROOT)

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return found


def test_a_sum_of_four_halves_makes_at_most_25_calls() -> None:
    a, b = hs.tensor([1.0, 2.0, 3.0, 4.0], "fp16"), hs.tensor([0.1, 0.2, 0.3, 0.4], "fp16")
    assert calls(lambda: a + b) <= 25
    with hs.precision("fp16"):
        assert calls(lambda: a + b) <= 25
    with hs.precision({"default": "fp16", "encoder.*": "fp32"}), scope.scoped(path="encoder.0.fc"):
        assert (a + b).format is hs.float32
        assert calls(lambda: hs.ops.add(a, b)) <= 30, "which reads the module's path, too"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_small_arrays_of_every_half_and_every_midpoint_round_as_large_ones(dtype: Any) -> None:
    halves = np.arange(1 << 15, dtype=np.uint16).view(np.float16).astype(dtype)
    halves = halves[np.isfinite(halves)]
    middles = (halves[:-1] + halves[1:]) / 2
    x = np.concatenate([halves, *(np.nextafter(middles, to, dtype=dtype) for to in (-np.inf, np.inf)), middles])
    x = np.concatenate([x, -x, [65519.99, 65520.0, 1e30, np.inf, -np.inf, -0.0]]).astype(dtype)
    expected = rounded(x, hs.float16)
    with np.errstate(over="ignore"):
        assert np.array_equal(expected, x.astype(np.float16).astype(dtype)), "NumPy's own cast"
    for i in range(0, x.size, 256):
        part = x[i : i + 256]
        assert rounded(part, hs.float16).tobytes() == expected[i : i + 256].tobytes()
        own = part.copy()
        assert round_(own, hs.float16) is own, "in place: a gradient may use it"
        assert own.tobytes() == expected[i : i + 256].tobytes()


def test_small_arrays_keep_nan_with_its_payload_and_raise_no_flag_of_the_host() -> None:
    x = np.array([0x7FC12345, 0xFFC00001, 0x7F800000, 0x477FF000, 0x00000001, 0x80000000], np.uint32).view(np.float32)
    with np.errstate(all="raise"):
        y = rounded(x, hs.float16)
        assert rounded(np.float32([65520.0, 1.0]), hs.float16).tolist() == [np.inf, 1.0]
        assert np.isnan(rounded(np.float32([np.nan, 1.0]), hs.float16)).tolist() == [True, False]
    assert [hex(bits) for bits in y.view(np.uint32)] == [
        "0x7fc12345", "0xffc00001", "0x7f800000", "0x7f800000", "0x0", "0x80000000",
    ]  # fmt: skip


def test_layouts_of_small_arrays_are_those_of_large_ones() -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4) / 3
    for given in (x, x.T, x[:, ::2], np.asarray(x[0, 0]), x[:0]):
        assert rounded(given, hs.float16).flags.c_contiguous
        assert np.array_equal(rounded(given, hs.float16), given.astype(np.float16))
    fixed = x.copy()
    fixed.flags.writeable = False
    assert round_(fixed, hs.float16) is not fixed
    strided = x.copy()
    assert np.array_equal(round_(strided[:, ::2], hs.float16), x[:, ::2].astype(np.float16))
    assert np.array_equal(fixed, x)
    assert np.array_equal(strided, x), "only what is one run is rounded in place"


def test_rules_by_path_are_decided_for_each_path() -> None:
    x = hs.tensor([1.0], "fp32")
    policy = hs.Policy({"default": "fp32", "encoder": "fp16", "@mul": "bf16"})
    with hs.precision(policy):
        for _ in range(2):
            assert (x + x).format is hs.float32
            with scope.scoped(path="encoder"):
                assert (x + x).format is hs.float16
                assert (x * x).format is hs.bfloat16
                assert (x.double() + x).format is hs.float16
            with hs.reproducible():
                assert scope.resolve("add", None, hs.float32).accumulate.order == "exact"
    with hs.precision("amp"):
        assert (x @ x).format is hs.float16
        assert (x.double() @ x.double()).format is hs.float64


def test_equal_precisions_that_draw_have_plans_of_their_own() -> None:
    spec = "storage=fp16, rounding=stochastic(seed=3)"
    first, second = hs.Precision(spec), hs.Precision(spec)
    made = by_identity(Plan)
    assert first == second
    assert made(first) is made(first) is not made(second)
    assert made(first).mode.rounding is first.rounding


def test_no_more_is_kept_than_a_bound() -> None:
    count = 0

    def make(x: object) -> int:
        nonlocal count
        count += 1
        return count

    find, objects = by_identity(make), [object() for _ in range(300)]
    assert [find(x) for x in objects] == list(range(1, 301))
    assert find(objects[-1]) == 300
    assert find(objects[0]) == 301, "what came before the bound was forgotten"
    with hs.precision({"default": "fp16", "encoder": "fp32"}):
        for i in range(scope._KNOWN + 2):
            with scope.scoped(path=f"m{i}"):
                assert scope.resolve("add", None, hs.float16) == hs.FP16
    assert 0 < len(scope._RESOLVED) <= scope._KNOWN
