"""Units as accumulators: names, and models that run on them."""

from __future__ import annotations

import numpy as np
import pytest

import halfsim as hs
from halfsim.hardware.units import UNITS, rows
from halfsim.numerics.accumulate import accumulator, cumsum, matmul, sum_


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


def test_sums_are_sequential(rng):
    x = rng.standard_normal((300, 4)).astype(np.float32)
    for shape in (x, x[:, 0], np.tile(x, (1, 40))):
        for unit, plain in (("A100", "fp32:sequential"), ("A100:fp16/fp16", "fp16:sequential")):
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
