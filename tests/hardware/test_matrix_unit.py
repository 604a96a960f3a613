"""Matrix units: recorded outputs of GPUs, exact references from the specification, and what must not matter."""

from __future__ import annotations

import warnings
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halfsim as hs
from halfsim.hardware.matrix_unit import DEVICES, UNITS, rows, unit_matmul
from tests.hardware.cases import KINDS, operands
from tests.hardware.references import cdna3, rowwise, tensor_core

RECORDED = sorted((Path(__file__).parents[1] / "data" / "gpu").glob("*.npz"))
ALL = [row for units in UNITS.values() for row in units.values()]
ALIGNED = [row for row in ALL if row.kind == "aligned" and not row.detached]
V100 = rows("volta")["fp16", "fp32"]
A100 = rows("ampere")["fp16", "fp32"]
H100 = rows("hopper")["fp16", "fp32"]


def recorded(path: Path):
    gpu, inputs, accumulate = path.stem.split("_")
    file = np.load(path)
    names = {"fp16": "float16", "bf16": "bfloat16", "tf32": "float32"}
    a, b = (np.asarray(hs.decode(file[k], names[inputs]), np.float32) for k in "AB")
    c = hs.decode(file["C"], "float16" if accumulate == "fp16" else "float32")
    return a, b, np.asarray(c, np.float32), file["D"], rows("ada" if gpu == "Ada" else DEVICES[gpu])[inputs, accumulate]


def wrong(a, b, c, d, row) -> int:
    out = rowwise(a, b, c, row)
    return int(np.count_nonzero(out.view(d.dtype) != d))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_no_bit_of_a_gpu_is_wrong(path):
    assert wrong(*recorded(path)) == 0


def test_all_recordings_are_there():
    assert len(RECORDED) == 14


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_other_numbers_fail(path):
    *data, row = recorded(path)
    if row.accumulate == "fp32":  # rounding to 11 bits hides one bit of alignment at random inputs
        assert wrong(*data, replace(row, fraction=row.fraction - 1)) > 0
        assert wrong(*data, replace(row, fraction=row.fraction + 1)) > 0
        assert wrong(*data, replace(row, digits=23)) > 0
    assert wrong(*data, replace(row, block=2)) > 0


@pytest.mark.parametrize(("gpu", "other"), [("V100", "ampere"), ("A100", "volta"), ("A100", "hopper"), ("H100", "ada")])
def test_a_neighbour_fails(gpu, other):
    *data, _ = recorded(next(p for p in RECORDED if p.stem == f"{gpu}_fp16_fp32"))
    assert wrong(*data, rows(other)["fp16", "fp32"]) > 20


@pytest.mark.parametrize("row", ALIGNED, ids=lambda row: row.name)
@pytest.mark.parametrize("kind", KINDS[:-1])
def test_tensor_cores_by_fractions(row, kind, rng):
    a, b, c = operands(row, kind, 12, 2 * row.block + 3, rng)
    got = rowwise(a, b, c, row)
    expected = np.array([tensor_core(*x, row) for x in zip(a.tolist(), b.tolist(), c.tolist(), strict=True)])
    finite = np.isfinite(got)
    assert finite.any()
    np.testing.assert_array_equal(got[finite], expected[finite])
    assert not np.signbit(got[got == 0]).any()


@pytest.mark.parametrize("inputs", ["fp16", "bf16", "tf32"])
@pytest.mark.parametrize("kind", KINDS[:-1])
def test_cdna3_by_fractions(inputs, kind, rng):
    row = rows("cdna3")[inputs, "fp32"]
    a, b, c = operands(row, kind, 40, 2 * row.block + 3, rng)
    got = rowwise(a, b, c, row)
    expected = [cdna3(*x, row) for x in zip(a.tolist(), b.tolist(), c.tolist(), strict=True)]
    finite = np.isfinite(got)
    np.testing.assert_array_equal(got[finite], np.array(expected)[finite])


def test_cdna3_rounds_down():
    row = rows("cdna3")["fp16", "fp32"]
    a, b = np.float32([[1.0, 2.0**-12]]), np.float32([[1.0], [2.0**-12]])
    c = np.float32([[2.0**-40]])
    assert unit_matmul(-a, b, -c, row)[0, 0] != -unit_matmul(a, b, c, row)[0, 0]


def test_cdna1_is_correctly_rounded(rng):
    for inputs, block in (("fp16", 4), ("bf16", 2)):
        row = rows("cdna1")[inputs, "fp32"]
        for kind in ("wide", "cancel", "subnormal"):
            a, b, c = operands(row, kind, 100, block, rng)
            got = rowwise(a, b, c, row)
            for i in np.flatnonzero(np.isfinite(got)):
                total = sum(
                    (Fraction(float(x)) * Fraction(float(y)) for x, y in zip(a[i], b[i], strict=True)),
                    Fraction(float(c[i])),
                )
                near = [
                    Fraction(float(np.nextafter(got[i], np.float32(way))))
                    for way in (-np.inf, np.inf)
                    if abs(got[i]) < 3e38
                ]
                assert all(abs(total - Fraction(float(got[i]))) <= abs(total - other) for other in near)


def test_cdna2_flushes_inputs_and_adds_in_pairs():
    row = rows("cdna2")["fp16", "fp32"]
    tiny = np.float32(2.0**-15)
    assert unit_matmul([[tiny]], [[1024.0]], None, row) == 0
    assert unit_matmul([[tiny]], [[1024.0]], None, rows("cdna1")["fp16", "fp32"]) == 2.0**-5
    assert unit_matmul([[0.0]], [[1.0]], [[1e-40]], row) == 0
    a = np.float32([2048.0, 1.0, 2.0**-10, 2.0**-12, 3.0])
    b = np.float32([8192.0, 1.0, 1.0, 1.0, 1.0])
    p = a * b
    expected = (np.float32(0.5) + ((p[0] + p[1]) + (p[2] + p[3]))) + p[4]
    assert unit_matmul(a, b, 0.5, row) == expected


def literal(a, b, c, row):
    """Chains, as loops over NumPy scalars."""
    kind = np.float16 if row.accumulate == "fp16" else np.float32
    tiny = np.finfo(kind).tiny

    def fma(x, y, z):
        exact = np.float64(x) * np.float64(y) + np.float64(z)
        if row.flush_outputs and kind is np.float16 and abs(exact) < tiny:
            return kind(np.copysign(0, exact))
        out = kind(exact)
        return kind(np.copysign(0, out)) if row.flush_outputs and abs(out) < tiny else out

    total = kind(c)
    for k in range(0, len(a), row.tile or len(a)):
        span = range(k, min(len(a), k + (row.tile or len(a))))
        chains = [kind(0) if row.tile or i else total for i in range(row.chains)]
        order = sorted(span, key=lambda i: (i // 2, -i)) if row.swapped else span
        for i in order:
            chains[i % row.chains] = fma(a[i], b[i], chains[i % row.chains])
        joined = chains[0] if row.chains == 1 else fma(chains[0], 1, chains[1])
        total = fma(total, 1, joined) if row.tile else joined
    return total


@pytest.mark.parametrize("row", [row for row in ALL if row.kind == "chain"], ids=lambda row: row.name)
@pytest.mark.parametrize("kind", ["normal", "narrow", "subnormal", "zeros"])
def test_chains_literally(row, kind, rng):
    a, b, c = operands(row, kind, 30, 37, rng)
    got = rowwise(a, b, c, row)
    if row.flush_inputs:
        a, b = (np.where(np.abs(x) < row.input_format.smallest_normal, np.copysign(0, x), x) for x in (a, b))
    if row.flush_addend:
        c = np.where(np.abs(c) < row.output_format.smallest_normal, np.copysign(0, c), c)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        expected = np.array([literal(*x, row) for x in zip(a, b, c, strict=True)])
    np.testing.assert_array_equal(got, expected)
    assert (np.signbit(got) == np.signbit(expected)).all()


def test_the_odd_element_comes_first_in_avx512_bf16():
    row = rows("avx512_bf16")["bf16", "fp32"]
    assert unit_matmul([1.0, 2.0**24, 1.0, 0], [1.0, 1.0, 1.0, 0], None, row) == 2.0**24
    assert unit_matmul([2.0**24, 1.0], [1.0, 1.0], 1.0, row) == 2.0**24 + 2


@pytest.mark.parametrize("architecture", ["hopper_legacy", "blackwell_legacy"])
@pytest.mark.parametrize("inputs", ["fp8_e4m3", "fp8_e5m2"])
def test_legacy_fp8_gathers_before_it_adds(architecture, inputs, rng):
    row = rows(architecture)[inputs, "fp32"]
    a, b, c = operands(row, "narrow", 20, 32, rng)
    step = replace(rows("hopper")["fp16", "fp32"], block=16)
    order = [k for k in range(32) if k % 4 < 2] + [k for k in range(32) if k % 4 >= 2]
    gathered = rowwise(a[:, order], b[:, order], np.zeros_like(c), step)
    np.testing.assert_array_equal(rowwise(a, b, c, row), gathered + c)
    a[:], b[:] = 0, 0
    a[:, 0], b[:, 0] = 1.0, 1.0
    a[:, 1], b[:, 1] = 2.0**-6, 2.0**-6  # 13 bits lose what 25 keep
    table = rows("hopper")["fp8_e4m3", "fp32"]
    c[:] = 2.0**-13 + 2.0**-20
    assert (rowwise(a, b, c, row) != rowwise(a, b, c, table)).all()


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.name)
def test_rows_of_a_batch_are_rows_of_a_product(row, rng):
    a, b, _ = operands(row, "narrow", 24, 37, rng)
    whole = unit_matmul(a, b[:5].T, None, row)
    assert whole.dtype == (np.float16 if row.accumulate == "fp16" else np.float32)
    np.testing.assert_array_equal(unit_matmul(a.reshape(4, 6, 37), b[:5].T, None, row).reshape(24, 5), whole)
    np.testing.assert_array_equal(unit_matmul(a[:, None], b[:5].T[None], None, row)[:, 0], whole)
    np.testing.assert_array_equal(unit_matmul(a[3], b[:5].T, None, row), whole[3])
    np.testing.assert_array_equal(unit_matmul(b[:5], a.T, None, row).T, whole)
    np.testing.assert_array_equal(unit_matmul(np.asfortranarray(a), b[:5].T, np.zeros(5), row), whole)


@pytest.mark.parametrize(
    "row", [V100, A100, rows("hopper")["fp16", "fp16"], rows("cdna3")["bf16", "fp32"]], ids=lambda r: r.name
)
def test_tiles_do_not_show(row, rng, monkeypatch):
    a, b, _ = operands(row, "narrow", 40, 19, rng)
    whole = unit_matmul(a, b.T, None, row)
    monkeypatch.setattr("halfsim.hardware.matrix_unit._TILE", 60)
    np.testing.assert_array_equal(unit_matmul(a, b.T, None, row), whole)


@settings(max_examples=40)
@given(st.sampled_from(ALL), st.integers(0, 40), st.integers(0, 3), st.integers(0, 3), st.integers(0, 2**31))
def test_a_partial_block_is_one_with_zeros(row, depth, m, n, seed):
    rng = np.random.default_rng(seed)
    a, b, c = operands(row, "normal", max(m, n, 1), max(depth, 1), rng)
    a, b, c = a[:m, :depth], b[:n, :depth].T, c[:1]
    out = unit_matmul(a, b, c, row)
    assert out.shape == (m, n)
    pad = -depth % (row.tile or 2 * row.block)
    padded = unit_matmul(np.pad(a, ((0, 0), (0, pad))), np.pad(b, ((0, pad), (0, 0))), c, row)
    np.testing.assert_array_equal(out, padded)


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.name)
def test_specials(row):
    def bits(a, b, c=0.0):
        out = unit_matmul(a, b, c, row)
        return int(out.view(np.uint16 if row.accumulate == "fp16" else np.uint32))

    inf = np.inf if row.input_format.specials == "ieee" else None
    assert bits([np.nan, 1.0], [1.0, 1.0]) == row.nan
    assert bits([1.0, 1.0], [1.0, 1.0], np.nan) == row.nan
    assert unit_matmul([1.0, 1.0], [1.0, 1.0], -np.inf, row) == -np.inf
    if inf:
        assert bits([inf, 1.0], [0.0, 1.0]) == row.nan
        assert bits([inf, inf], [1.0, -1.0]) == row.nan
        assert bits([inf, 1.0], [1.0, 1.0], -inf) == row.nan
        assert unit_matmul([inf, 1.0], [-1.0, 1.0], 5.0, row) == -inf
        assert bits([1.0] * 40 + [inf] + [-inf], [1.0] * 42) == row.nan
    if row.kind != "chain" and not row.detached:
        assert bits([-0.0, -0.0], [1.0, 1.0], -0.0) == 0


def test_overflow():
    half = rows("ampere")["fp16", "fp16"]
    assert unit_matmul([256.0, 256.0], [255.0, 0.9375], None, half) == np.inf  # 65520
    assert unit_matmul([256.0, 256.0], [255.0, 0.9336], None, half) == 65504
    assert np.isnan(unit_matmul([256.0] * 8 + [np.inf], [256.0] * 8 + [-1.0], None, half))
    bf16 = rows("ampere")["bf16", "fp32"]
    assert unit_matmul([2.0**100], [2.0**28], None, bf16) == np.inf
    assert unit_matmul([2.0**100, -(2.0**100)], [2.0**28, 2.0**27], None, bf16) == 2.0**127
    cdna = rows("cdna3")["bf16", "fp32"]
    assert unit_matmul([2.0**100, -(2.0**100)], [2.0**28, 2.0**27], None, cdna) == np.inf


def test_grid_of_a_zero_accumulator():
    """2**-25 + 2**-48 ties to zero, for beside a zero the grid is never finer than 2**-44."""
    row = rows("ampere")["fp16", "fp16"]
    assert unit_matmul([2.0**-12, 2.0**-24], [2.0**-13, 2.0**-24], None, row) == 0
    assert unit_matmul([2.0**-12, 2.0**-22], [2.0**-13, 2.0**-22], None, row) == 2.0**-24


def test_tf32_drops_the_low_bits():
    row = rows("ampere")["tf32", "fp32"]
    x = np.float32(1 + 2.0**-11 + 2.0**-12)
    assert unit_matmul([x], [1.0], None, row) == 1


def test_operands_are_cast():
    assert unit_matmul([[1 + 2.0**-11]], [[1.0]], None, V100) == 1
    assert unit_matmul([[1]], [[True]], None, V100) == 1
    assert unit_matmul(np.ones((2, 2), np.float16), np.ones((2, 2)), 1, V100).tolist() == [[3, 3], [3, 3]]
    assert unit_matmul([[1.0]], [[1.0]], 2.0**-24, rows("ampere")["fp16", "fp16"]) == 1
    mi300 = rows("cdna3")["fp8_e4m3", "fp32"]
    assert unit_matmul([[240.0]], [[2.0**-7]], None, mi300) == 240 / 128
    assert np.isnan(unit_matmul([[248.0]], [[1.0]], None, mi300))


@pytest.mark.parametrize(
    ("a", "b", "c", "message"),
    [
        (np.ones((2, 3)), np.ones((4, 2)), None, r"matmul: shapes \(2, 3\) and \(4, 2\) do not fit"),
        (np.ones((2, 2, 3)), np.ones((3, 3, 2)), None, r"matmul: leading axes"),
        (np.ones((2, 3)), np.ones((3, 2)), np.ones(3), r"c: shape \(3,\) is not allowed"),
        (1.0, np.ones((3, 2)), None, r"matmul: shapes"),
    ],
)
def test_shapes_that_do_not_fit(a, b, c, message):
    with pytest.raises(ValueError, match=message) as error:
        unit_matmul(a, b, c, V100)
    assert "\n" not in str(error.value)


def test_no_numbers():
    with pytest.raises(TypeError, match="a: an array of complex128 is not allowed"):
        unit_matmul(np.ones((1, 1), complex), [[1.0]], None, V100)
    with pytest.raises(ValueError, match="did you mean 'hopper'"):
        rows("hoper")


@pytest.mark.parametrize("row", [row for row in ALIGNED if row.digits == 24], ids=lambda row: row.name)
def test_zero_products_leave_the_addend(row):
    c = np.ldexp(np.float32(1 + 2.0**-23), np.arange(-126, 100)).astype(np.float32)
    for addend in (c, np.float32([2.0**-149, 3e-45]), c[80:110]):
        np.testing.assert_array_equal(unit_matmul(np.zeros((1, 1)), np.ones((1, len(addend))), addend, row)[0], addend)


def test_the_largest_sums_of_a_block():
    most = 2047 / 1024
    for row in (V100, A100, H100, rows("blackwell")["fp8_e4m3", "fp32"]):
        x = 1.875 if row.inputs != "fp16" else most
        a = [x] * row.block
        for c in (most * 2, -most, most):
            assert unit_matmul(a, a, c, row) == tensor_core(a, a, c, row)


def test_results_below_the_normal_numbers_are_cut():
    row = rows("ampere")["bf16", "fp32"]
    assert unit_matmul([2.0**-100], [1.5 * 2.0**-49], None, row) == 2.0**-149
    out = unit_matmul([-(2.0**-100)], [2.0**-50], None, row)
    assert out == 0
    assert not np.signbit(out)
    assert unit_matmul([2.0**-100], [2.0**-49], None, row) == 2.0**-149


def test_the_finest_grid_of_bfloat16():
    a = [17 * 2.0**-56] * 7 + [9 * 2.0**-56]
    b = [2.0**-100] * 8  # 2**-149 in all, if multiples of 2**-156 are kept
    assert unit_matmul(a, b, None, rows("ampere")["bf16", "fp32"]) == 2.0**-149
    a[0], a[7] = a[0] + 2.0**-57, a[7] - 2.0**-57  # 2**-157 is not
    assert unit_matmul(a, b, None, rows("ampere")["bf16", "fp32"]) == 0


def test_eight_bits_keep_thirteen():
    row = rows("ada")["fp8_e4m3", "fp32"]
    assert unit_matmul([1.0, 2.0**-6], [1.0, 2.0**-7], None, row) == 1 + 2.0**-13
    assert unit_matmul([1.0, 1.0, 2.0**-6], [1.0, 1.0, 2.0**-7], None, row) == 2


def test_cdna3_keeps_thirty_one_bits():
    row = rows("cdna3")["fp16", "fp32"]
    tiny = 2.0**-12
    assert unit_matmul([tiny, tiny], [tiny, 2.0**-19], 1.0, row) == 1 + 2.0**-23
    assert unit_matmul([tiny, tiny], [tiny, 2.0**-20], 1.0, row) == 1


@pytest.mark.parametrize("inputs", ["fp8_e4m3", "fp8_e5m2"])
def test_cdna3_drops_an_addend_of_eight_bit_products(inputs):
    row = rows("cdna3")[inputs, "fp32"]
    for e, kept in ((-24, True), (-25, True), (-26, False)):
        expected = np.float32(1 - 2.0**-24) if kept else 1
        assert unit_matmul([1.0], [1.0], -(2.0**e), row) == expected


@pytest.mark.parametrize("c", [2.0**20, 2.0**20 + 2.0**-3, -(2.0**20), -(2.0**20) - 2.0**-3, 2.0**19, -(2.0**21)])
@pytest.mark.parametrize("sign", [1, -1])
def test_mi100_keeps_what_lies_far_below_a_tie(c: float, sign: int) -> None:
    """A product of 2**-4 makes a tie or comes near one; another of 2**-48, past float64's digits, decides."""
    a, b = np.array([[2.0**-2, sign * 2.0**-24, 0, 0]]), np.array([[2.0**-2], [2.0**-24], [0], [0]])
    exact = Fraction(c) + Fraction(1, 16) + sign * Fraction(1, 2**48)
    got = hs.hardware.device("MI100").matmul(a, b, np.array([[c]]))
    assert got.item() == hs.round_to(exact, "float32")


@pytest.mark.parametrize(("inputs", "grid"), [("fp8_e4m3", "float8_e4m3fnuz"), ("fp8_e5m2", "float8_e5m2fnuz")])
def test_mi300_takes_factors_of_its_own_formats(inputs: str, grid: str) -> None:
    """Their largest numbers, NaN past them and one zero: against ml_dtypes' casts."""
    mi300, dtype = hs.hardware.device("MI300X"), getattr(ml_dtypes, grid)
    assert mi300.unit(inputs).input_format == dtype
    assert mi300.precision(inputs).operands == dtype
    x = np.float32([1.0, 1.1, 239.0, 248.0, 57344.0, 61440.0, 2.0**-10, 2.0**-17, -0.0, np.inf])
    with np.errstate(all="ignore"):
        cast = x.astype(dtype).astype(np.float32)
    got = mi300.matmul(x[:, None], np.float32([[1.0]]), inputs=inputs)[:, 0]
    assert np.array_equal(got, cast, equal_nan=True)
