"""Units as accumulators: names, and models that run on them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import halfsim as hs
from halfsim.hardware.units import UNITS, rows
from halfsim.numerics.accumulate import accumulator, cumsum, matmul, sum_
from halfsim.numerics.flags import FlagCounts
from tests.hardware.references import nearest, tensor_core


@pytest.mark.parametrize("architecture", [name for name in UNITS if name != "f16c"])
def test_names_go_back_and_forth(architecture):
    for row in rows(architecture).values():
        for spec in (
            f"{architecture}:{row.inputs}/{row.accumulate}",
            f" {architecture.upper()}:{row.inputs} / {row.accumulate}",
        ):
            how = accumulator(spec)
            assert how.format == row.output_format
            assert accumulator(str(how)) == how


def test_names():
    assert str(hs.Precision("fp16", accumulate="v100").accumulate) == "V100"
    assert (
        hs.Precision(str(hs.Precision("fp16", accumulate="RTX 4090:fp8_e4m3"))).accumulate.order == "rtx 4090:fp8_e4m3"
    )
    assert accumulator("A100:fp16/fp32") == accumulator("A100") != accumulator("ampere")
    with pytest.raises(ValueError, match="did you mean 'V100'"):
        accumulator("V10")
    with pytest.raises(ValueError, match="did you mean 'hopper'"):
        accumulator("hoper")
    with pytest.raises(ValueError, match="did you mean 'fp16'"):
        accumulator("fp17")


@pytest.mark.parametrize("spec", ["V100", "A100:fp16/fp16", "MI300X", "P100", "amx_bf16"])
def test_products_are_the_units(spec, rng):
    x, y = rng.standard_normal((2, 5, 40)).astype(np.float16).astype(np.float32)
    how = accumulator(spec)
    word, _, key = spec.partition(":")
    architecture = {"V100": "volta", "A100": "ampere", "MI300X": "cdna3", "P100": "pascal"}.get(word, word)
    row = rows(architecture)[tuple(key.split("/"))] if key else next(iter(rows(architecture).values()))
    out = matmul(x, y.T, how)
    assert out.dtype == how.dtype
    np.testing.assert_array_equal(out, hs.hardware.unit_matmul(x, y.T, None, row).astype(how.dtype))


@pytest.mark.parametrize("spec", ["H100:fp8_e4m3", "H100:mma:fp8_e4m3", "V100", "A100:fp16/fp16", "MI300X:bf16"])
@pytest.mark.parametrize(("size", "k"), [(128, 300), (1, 9), (40, 40), (64, 33), (5, 0)])
def test_blocks_of_a_unit_are_added_in_float32(spec, size, k, rng):
    """NumPy's own float32 adds what the unit gives for each block of k."""
    a = np.asarray(hs.round_to(rng.standard_normal((2, 3, k)), "fp8_e4m3"), np.float32)
    b = np.asarray(hs.round_to(rng.standard_normal((k, 4)), "fp8_e4m3"), np.float32)
    total = np.zeros((2, 3, 4), np.float32)
    for start in range(0, k, size):
        total += matmul(a[..., start : start + size], b[start : start + size], accumulator(spec)).astype(np.float32)
    for how in (f"{spec}:blocked({size})", f" {spec.lower()} : Blocked( {size} )"):
        got = matmul(a, b, accumulator(how))
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, total)
    with hs.precision(hs.Precision("fp32", accumulate=f"{spec}:blocked({size})")):
        np.testing.assert_array_equal((hs.tensor(a) @ hs.tensor(b)).numpy(), total)


def test_blocks_of_a_unit_by_fractions(rng):
    """The heart in exact fractions: Hopper's walk of each block from zero, then one rounding to float32 a block."""
    row = rows("hopper")["fp8_e4m3", "fp32"]
    a = np.asarray(hs.round_to(rng.random((6, 200)), "fp8_e4m3"), np.float32)
    b = np.asarray(hs.round_to(rng.random((200, 1)), "fp8_e4m3"), np.float32)
    got = matmul(a, b, accumulator("hopper:fp8_e4m3:blocked(96)"))[:, 0]
    assert (got != matmul(a, b, accumulator("hopper:fp8_e4m3"))[:, 0]).any()
    for x, y in zip(a.tolist(), got.tolist(), strict=True):
        total = Fraction(0)
        for k in range(0, 200, 96):
            part = tensor_core(x[k : k + 96], b[k : k + 96, 0].tolist(), 0.0, row)
            total = nearest(total + Fraction(part), 24, -126)
        assert Fraction(y) == total


def test_blocks_of_a_unit_keep_what_is_not_finite_and_count_what_the_total_swamps():
    how = accumulator("V100:blocked(2)")
    x = np.float32([[1, np.inf, 1, 1], [np.inf, 0, -np.inf, 0], [1, 1, np.nan, 1], [-0.0, 0, 0, -0.0]])
    got = matmul(x, np.ones((4, 1), np.float32), how)[:, 0]
    np.testing.assert_array_equal(got, [np.inf, np.nan, np.nan, 0])
    assert not np.signbit(got[3])
    counts = FlagCounts()
    x = np.float32([[2.0**13, 1, 2.0**-12, 0, 1, 1, 0, 0]])
    assert matmul(x, np.float32([[2.0**11], *[[1]] * 7]), how, counts).item() == 2.0**24 + 2
    assert (counts.addends, counts.swamped, counts.flushed) == (3, 1, 0)  # 2**-12 leaves 2**24 as it is


def test_sums_are_sequential(rng):
    x = rng.standard_normal((300, 4)).astype(np.float32)
    for shape in (x, x[:, 0], np.tile(x, (1, 40))):
        for unit, plain in (
            ("A100", "fp32:sequential"),
            ("A100:fp16/fp16", "fp16:sequential"),
            ("A100:fp16/fp16:blocked(8)", "fp32:sequential"),
        ):
            np.testing.assert_array_equal(
                sum_(shape, 0, False, accumulator(unit)), sum_(shape, 0, False, accumulator(plain))
            )
            np.testing.assert_array_equal(cumsum(shape, 0, accumulator(unit)), cumsum(shape, 0, accumulator(plain)))
    total = np.float32(0)
    for value in x[:, 0]:
        total += value
    assert sum_(x[:, 0], None, False, accumulator("A100")) == total


def test_a_model_trains_on_a_unit(rng):
    x, y = hs.tensor(rng.standard_normal((8, 20))), rng.integers(0, 3, 8)
    losses = {}
    for unit in ("fp32", "V100", "H100:fp16/fp16"):
        hs.manual_seed(0)
        model = hs.nn.Sequential(hs.nn.Linear(20, 16), hs.nn.ReLU(), hs.nn.Linear(16, 3))
        optimizer = hs.optim.SGD(model.parameters(), lr=0.5)
        with hs.precision(hs.Precision("fp16", accumulate=unit)):
            for _ in range(20):
                optimizer.zero_grad()
                loss = hs.nn.functional.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
            losses[unit] = loss.item()
    assert max(losses.values()) < 0.2
    assert losses["V100"] != losses["H100:fp16/fp16"]


def test_a_trace_of_a_unit():
    with hs.precision(hs.Precision("fp16", accumulate="V100")), hs.trace() as trace:
        hs.tensor(np.full((2, 8), 300.0)) @ hs.tensor(np.full((8, 2), 300.0))
    assert "overflow" in str(trace)
