"""What is kept of an array tells every changed bit, and how far two arrays are apart as far as it says."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halfsim as hs
from halfsim.diagnose.fingerprint.bits import Distance, changed, codes, distance, ordinals, places, taken
from halfsim.numerics.codec import grid_codes
from halfsim.numerics.formats import as_dtype, as_format
from halfsim.numerics.neighbours import next_up
from halfsim.numerics.quantize import holder

FORMATS = ["float16", "bfloat16", "float32", "float64", "tfloat32", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz"]


def numbers(fmt, size, seed=0):
    """Numbers of a format, from all its codes where these are few, in the dtype that tensors hold them in."""
    rng, fmt = np.random.default_rng(seed), as_format(fmt)
    if fmt.bits <= 16:
        with np.errstate(invalid="ignore"):
            return hs.decode(rng.integers(0, 1 << fmt.bits, size), fmt).astype(holder(fmt))
    return hs.round_to(rng.standard_normal(size) * 2.0 ** rng.integers(-40, 40, size), fmt).astype(holder(fmt))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("shape", [(), (0,), (7,), (40000,), (3, 5, 2)])
def test_codes_are_those_of_encode_and_of_hashlib(name, shape):
    fmt = as_format(name)
    x = np.asarray(numbers(fmt, shape))
    assert (grid_codes(x, fmt) == hs.encode(x, fmt)).all()
    kept, whole = taken(x, fmt, 8)
    little = hs.encode(x, fmt).reshape(-1)
    expected = hashlib.sha256(little.astype(little.dtype.newbyteorder("<")).tobytes()).digest()[:8]
    assert whole == expected
    assert kept.hash == expected.hex()


def test_order_in_memory_does_not_matter():
    fmt = as_format("float16")
    x = numbers(fmt, (64, 48))
    assert repr(taken(x.T, fmt, 8)) == repr(taken(np.ascontiguousarray(x.T), fmt, 8))
    big = x.astype(x.dtype.newbyteorder(">"))
    assert taken(big, fmt, 8)[0].hash == taken(x, fmt, 8)[0].hash
    assert taken(np.array([True, False]), as_dtype("bool"), 8)[0].hash == hashlib.sha256(b"\1\0").hexdigest()[:16]


@pytest.mark.parametrize("name", FORMATS)
def test_neighbours_are_one_apart(name):
    fmt = as_format(name)
    x = np.sort(numbers(fmt, 500).astype(np.float64))
    x = x[np.isfinite(x) & (np.abs(x) < fmt.max)]
    up = next_up(x, fmt)
    distance = ordinals(hs.encode(up, fmt).reshape(-1), fmt) - ordinals(hs.encode(x, fmt).reshape(-1), fmt)
    assert (distance == 1).all()
    assert ordinals(hs.encode(np.zeros(1), fmt), fmt) == 0


# Every single bit of every element, of arrays whose bits are kept and of those of which only some are.
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("size", [1, 9, 20000])
def test_a_flip_of_any_one_bit_is_seen_and_told(name, size):
    fmt = as_format(name)
    x = numbers(fmt, size)
    x = np.where(np.isfinite(x), x, x.dtype.type(1))
    before, _ = taken(x, fmt, 8)
    rng = np.random.default_rng(size)
    spots = range(size) if size < 100 else [0, size - 1, 16383, 16384, *rng.integers(0, size, 3)]
    for i in spots:
        for bit in range(fmt.bits):
            code = int(hs.encode(x[i], fmt)) ^ (1 << bit)
            y = x.copy()
            y[i] = hs.decode(code, fmt)
            if int(hs.encode(y[i], fmt)) != code:  # another NaN
                continue
            after, _ = taken(y, fmt, 8)
            assert after.hash != before.hash, (i, bit)
            found = distance(before, after, fmt.name, (size,))
            if np.isnan(y[i]):
                assert found.nan == (0, 1)
                continue
            if x[i] == 0 and y[i] == 0:
                assert found.signs
                continue
            pair = np.array([hs.encode(x[i], fmt), code], np.uint64).reshape(-1)
            a, b = (int(o) for o in ordinals(pair, fmt))
            assert found.exact or abs(a - b) >= found.ulp, (i, bit)
            if found.exact:
                assert (found.ulp, found.differing) == (abs(a - b), 1), (i, bit)
                assert found.where == (i,) or (found.where is None and fmt.bits == 64)
            assert found.exact or fmt.bits == 64


@settings(max_examples=150)
@given(
    st.sampled_from(["float16", "bfloat16", "float32", "float8_e5m2"]),
    st.integers(1, 300),
    st.lists(st.tuples(st.integers(0, 299), st.integers(-3000, 3000)), max_size=6),
    st.sampled_from([0, 1, 8, 1000]),
)
def test_what_is_said_of_a_distance_is_true(name, size, moves, values):
    fmt = as_format(name)
    x = np.abs(numbers(fmt, size, size))
    x = np.where(np.isfinite(x), x, x.dtype.type(1))
    code = hs.encode(x, fmt).astype(np.int64)
    top = int(hs.encode(fmt.max, fmt))
    for i, by in moves:
        code[i % size] = np.clip(code[i % size] + by, 0, top)
    y = hs.decode(code, fmt).astype(x.dtype)
    (before, _), (after, _) = taken(x, fmt, values), taken(y, fmt, values)
    far = np.abs(code - hs.encode(x, fmt).astype(np.int64))
    assert (before.hash == after.hash) == (not far.any())
    if not far.any():
        return
    found = distance(before, after, name, (size,), values)
    assert not found.signs
    if found.exact:
        assert found.ulp == far.max()
        assert found.differing == np.count_nonzero(far)
    else:
        assert 1 <= found.ulp <= far.max()
    if found.where is not None:
        assert far[found.where] == found.ulp
    if size <= values:
        assert found.exact


def test_zeros_signs_and_nan_payloads_are_other_bits_and_told():
    x = numbers("float32", 100)
    x[3], x[50] = 0, np.nan
    y = x.copy()
    y[3] = -0.0
    for values in (8, 1000):
        a, b = taken(x, hs.float32, values)[0], taken(y, hs.float32, values)[0]
        found = distance(a, b, "float32", (100,), values)
        assert a.hash != b.hash
        assert found.signs
        z = x.copy()
        z.view(np.uint32)[50] ^= 1
        found = distance(a, taken(z, hs.float32, values)[0], "float32", (100,), values)
        assert found.signs
        assert "NaN" in str(found)
    assert str(Distance(0, True, 0, 0, 9, None, True)) == "in zeros' signs alone"
    moved = x.copy()
    moved[[50, 51]] = 1, np.nan
    found = distance(a, taken(moved, hs.float32, 8)[0], "float32", (100,))
    assert not found.signs
    assert found.ulp is None


def test_numbers_and_nan_are_told_apart():
    x = numbers("float16", 64)
    x = np.where(np.isfinite(x), x, np.float32(1))
    y = x.copy()
    y[:3] = np.nan
    found = distance(taken(x, hs.float16, 8)[0], taken(y, hs.float16, 8)[0], "float16", (64,))
    assert found.nan == (0, 3)
    assert str(found).startswith("0 of 64 elements are NaN, against 3")


def test_two_changes_that_hide_each_other_in_the_sum_are_no_single_one():
    x = np.ones(1000, np.float32)
    y = x.copy()
    y[100], y[200] = np.nextafter(np.float32(1), np.float32(2)), np.nextafter(np.float32(1), np.float32(0))
    found = distance(taken(x, hs.float32, 8)[0], taken(y, hs.float32, 8)[0], "float32", (1000,))
    assert not found.exact
    assert found.ulp == 1
    assert changed(1000, 1, 12345) == []


def test_kept_elements_are_spread_and_few():
    for size in (9, 100, 1 << 20, 10**9):
        at = places(size, 8)
        assert 1 <= at.size <= 8
        assert at.min() >= 0
        assert at.max() < size
    assert (places(5, 8) == np.arange(5)).all()


@pytest.mark.slow  # 10 s to import it; last passed 2026-11-30
def test_hashes_of_pytorch_are_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("torch.distributed.tensor", reason="which PyTorch's own hash looks for")
    from torch.utils._debug_mode._utils import hash_tensor_fn, norm_hash_fn

    for name, dtype in (("float32", torch.float32), ("float16", torch.float16), ("float64", torch.float64)):
        x = numbers(name, 5000)
        x = np.where(np.isfinite(x), x, x.dtype.type(1))
        kept, _ = taken(x, as_format(name), 8)
        theirs = torch.tensor(x).to(dtype)
        assert kept.xor == hash_tensor_fn(theirs, use_scalar=True)
        assert kept.norm == pytest.approx(norm_hash_fn(theirs, use_scalar=True), rel=1e-13)
    assert (taken(np.zeros(0, np.float32), hs.float32, 8)[0].xor, hash_tensor_fn(torch.zeros(0)).item()) == (0, 0)


def test_codes_of_integers_are_their_own():
    assert codes(np.array([1, -1], np.int32), as_dtype("int32")).tolist() == [1, 2**32 - 1]


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_a_nan_at_another_place_is_no_distance(name):
    """NaN instead of a zero, and a number instead of the NaN: once taken for one number that moved from zero."""
    fmt = as_format(name)
    few, many = np.array([1.0, np.nan, 0.0, 3.0]), np.ones(100)
    many[[10, 20]] = np.nan, 0
    for x, i, j in ((few, 1, 2), (many, 10, 20)):
        x = x.astype(np.float64 if fmt.bits == 64 else np.float32)
        y = x.copy()
        y[[i, j]] = 1.5, np.nan
        found = distance(taken(x, fmt, 8)[0], taken(y, fmt, 8)[0], name, x.shape)
        assert (found.ulp, found.exact, found.signs) == (None, False, False)
        assert "ulp" not in str(found) or "cannot be told" in str(found)
    y = few.copy()
    y[1] = 2.0
    found = distance(taken(few, fmt, 8)[0], taken(y, fmt, 8)[0], name, few.shape)
    assert (found.ulp, found.exact) == (None, False)  # not 0 ulp: one is no number
    y = many.copy()
    y[30] = np.nextafter(np.float16(1), np.float16(2))  # beside NaN that stay where they are
    found = distance(taken(many, fmt, 8)[0], taken(y, fmt, 8)[0], name, many.shape)
    assert found.exact
    assert found.where == (30,)


def test_a_distance_past_the_sums_of_float64_does_not_say_that_all_elements_were_kept():
    x = np.ones(51)
    x[0] = 1e300
    y = x.copy()
    y[0] = -1e300
    found = distance(taken(x, hs.float64, 8)[0], taken(y, hs.float64, 8)[0], "float64", (51,))
    assert not found.exact
    assert str(found) == f"1 of 51 elements, by at least {1 << 53:,} ulp, at [0]"
