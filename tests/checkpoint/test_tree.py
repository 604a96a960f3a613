"""State trees come back as they were, bit for bit, from both kinds of file."""

from __future__ import annotations

import json
import math
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halfsim as hs
from halfsim import checkpoint
from halfsim.checkpoint.tree import pack

SUFFIXES = (".npz", ".safetensors")
FORMATS = ("fp16", "bf16", "fp32", "fp64", "tf32", "float8_e4m3fn", "float8_e5m2", "float16_ahp")
DTYPES = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


def exactly(tree: Any) -> Any:
    """Something that two trees have in common only if they are of the same types, formats, shapes and bits."""
    if isinstance(tree, hs.Tensor):
        plain = np.where(np.isnan(tree.array), 0, tree.array)  # a NaN of the format has several in the container
        raw = tree.array if tree.array.dtype.itemsize * 8 == tree.format.bits else tree.bits()
        return "tensor", tree.format, tree.shape, tree.array.dtype, raw.tobytes(), plain.tobytes()
    if isinstance(tree, (np.ndarray, np.generic)):
        return type(tree), tree.dtype, tree.shape, tree.tobytes()
    if isinstance(tree, float):
        return "float", struct.pack("d", tree)
    if isinstance(tree, dict):
        return "dict", [(type(key), key, exactly(item)) for key, item in tree.items()]
    if isinstance(tree, (list, tuple)):
        return type(tree), [exactly(item) for item in tree]
    return type(tree), tree


def through(folder: Path, suffix: str, extra: Any) -> Any:
    path = folder / f"x{suffix}"
    checkpoint.save(path, extra=extra, random=False)
    return checkpoint.load(path).extra


@pytest.fixture(scope="module", params=SUFFIXES)
def suffix(request: pytest.FixtureRequest) -> str:
    if request.param == ".safetensors":
        pytest.importorskip("safetensors", reason="the extra safetensors is not installed")
    return request.param


@pytest.mark.parametrize("fmt", FORMATS)
def test_every_kind_of_value_of_every_format_keeps_its_bits(tmp_path: Path, suffix: str, fmt: str) -> None:
    form = hs.tensor(1, fmt).format
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 1 << min(form.bits, 63), 5000, dtype=np.uint64)  # NaN, infinities and subnormals among them
    values = hs.tensor(hs.decode(codes, form), fmt)
    tree = [values, hs.tensor([0.0, -0.0, math.inf, -math.inf, math.nan, form.max, form.smallest_subnormal], fmt)]
    tree += [hs.tensor(2.0, fmt), hs.tensor(np.zeros((0, 3)), fmt), hs.tensor(np.ones((2, 1, 3)), fmt)]
    assert exactly(through(tmp_path, suffix, tree)) == exactly(tree)


def test_all_codes_of_the_narrow_formats(tmp_path: Path, suffix: str) -> None:
    for fmt, bits in (("fp16", 16), ("bf16", 16), ("float8_e4m3fn", 8), ("float8_e5m2", 8), ("float16_ahp", 16)):
        tree = hs.tensor(hs.decode(np.arange(1 << bits), fmt), fmt)
        assert exactly(through(tmp_path, suffix, tree)) == exactly(tree)


def test_nan_payloads_of_floats_and_arrays_are_kept(tmp_path: Path, suffix: str) -> None:
    signaling = np.array([0x7FA00001, 0xFFC12345], np.uint32).view(np.float32)
    wide = np.array([0x7FF0000000000001, 0xFFF8000000ABCDEF], np.uint64).view(np.float64)
    half = np.array([0x7C01, 0xFE77], np.uint16).view(np.float16)
    payload = struct.unpack("d", struct.pack("Q", 0x7FF8000000ABCDEF))[0]
    tree = [signaling, wide, half, wide[0], payload, -math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1]
    tree += [hs.Tensor(signaling, hs.float32), hs.Tensor(wide, hs.float64)]
    assert exactly(through(tmp_path, suffix, tree)) == exactly(tree)


def test_custom_formats_and_odd_layouts(tmp_path: Path, suffix: str) -> None:
    own, homonym = hs.Format("a:b", 4, 3), hs.Format("float16", 4, 3, "nan")
    grid = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    tree = [hs.tensor([1.5, -0.0], own), hs.tensor([1.75, 2.0], homonym), grid.T, grid[:, ::2, ::-1]]
    tree += [hs.Tensor(grid.T, hs.float32), np.arange(3, dtype=">i4").astype("i4"), np.asfortranarray(grid)]
    assert exactly(through(tmp_path, suffix, tree)) == exactly(tree)
    swapped = np.arange(3, dtype=">f8")
    assert exactly(through(tmp_path, suffix, swapped)) == exactly(swapped.astype("=f8"))


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(1000, 20000).map(lambda n: 1 - 3**n),
    st.floats(allow_nan=True),
    st.text(max_size=5),
    st.builds(lambda dtype, shape: np.ones(shape, dtype), st.sampled_from(DTYPES), st.sampled_from([(), (0,), (2, 2)])),
    st.sampled_from([np.float32(0.1), np.int64(-3), np.bool_(True), np.float16(-0.0), np.float64(math.inf)]),
    st.builds(hs.tensor, st.lists(st.floats(width=16), max_size=3), st.sampled_from(FORMATS)),
)
keys = st.one_of(st.text(max_size=5), st.integers())
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple), st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=40)
@given(tree=trees)
def test_any_tree_comes_back(tmp_path_factory: pytest.TempPathFactory, suffix: str, tree: Any) -> None:
    assert exactly(through(tmp_path_factory.getbasetemp(), suffix, tree)) == exactly(tree)


@given(tree=trees)
def test_the_document_is_json_of_the_standard(tree: Any) -> None:
    json.loads(json.dumps(pack(tree, "x", {}), allow_nan=False))


def test_names_of_arrays_are_their_places_where_these_are_plain(tmp_path: Path) -> None:
    one = np.ones(1)
    tree = {"a": one, 1: one, "1": one + 1, "../x": one, "a.b": one, "": {"": one}, "__metadata__": one, "é": one}
    checkpoint.save(tmp_path / "x.npz", extra=tree)
    assert exactly(checkpoint.load(tmp_path / "x.npz").extra) == exactly(tree)
    with np.load(tmp_path / "x.npz") as archive:
        assert {"extra.a", "extra.1", "extra.a.b", "array-2", "array-3"} <= set(archive)


def test_what_is_read_is_ours_to_write(tmp_path: Path, suffix: str) -> None:
    array, scalar = through(tmp_path, suffix, [np.arange(3), np.int64(3)])
    array += 1
    assert array.tolist() == [1, 2, 3]
    assert type(scalar) is np.int64


def test_an_ordered_dict_comes_back_as_a_dict(tmp_path: Path) -> None:
    assert exactly(through(tmp_path, ".npz", OrderedDict(b=1, a=2))) == exactly({"b": 1, "a": 2})


class Sub(int):
    pass


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (frozenset({1}), "extra.a.1: frozenset"),
        (object(), "extra.a.1: object"),
        (len, "extra.a.1: builtin"),
        (1j, "extra.a.1: complex"),
        (bytearray(b"x"), "extra.a.1: bytearray"),
        (Sub(1), "extra.a.1: Sub"),
        (np.array(["x"]), "extra.a.1: dtype <U1"),
        (np.array([object()]), "extra.a.1: dtype object"),
        (np.ones(1, "c8"), "extra.a.1: dtype complex64"),
        (np.ma.masked_array([1]), "extra.a.1: MaskedArray"),
        ({1.5: 0}, "extra.a.1: a key of type float"),
        ({True: 0}, "extra.a.1: a key of type bool"),
        ({(1, 2): 0}, "extra.a.1: a key of type tuple"),
    ],
)
def test_what_cannot_be_kept_is_named_with_its_place(tmp_path: Path, value: Any, named: str) -> None:
    with pytest.raises(TypeError, match=f"^{named}.* is not allowed; allowed: [^\n]*$"):
        checkpoint.save(tmp_path / "x.npz", extra={"a": [0, value]})
    assert list(tmp_path.iterdir()) == []


def test_a_tree_in_itself_is_refused(tmp_path: Path) -> None:
    tree: list[Any] = []
    tree.append(tree)
    with pytest.raises(ValueError, match=r"^extra: nested too deeply"):
        checkpoint.save(tmp_path / "x.npz", extra=tree)
