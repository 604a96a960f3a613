from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import halfsim as hs
from halfsim.numerics.formats import as_format, unknown

ATTRIBUTES = [
    *("bits", "eps", "epsneg", "max", "min", "tiny", "smallest_normal", "smallest_subnormal"),
    *("nmant", "nexp", "maxexp", "minexp"),
]


@pytest.mark.parametrize("attribute", ATTRIBUTES)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (hs.float16, np.finfo(np.float16)),
        (hs.float32, np.finfo(np.float32)),
        (hs.float64, np.finfo(np.float64)),
        (hs.bfloat16, ml_dtypes.finfo(ml_dtypes.bfloat16)),
    ],
)
def test_attributes_are_those_of_finfo(ours: hs.Format, theirs: object, attribute: str) -> None:
    assert getattr(ours, attribute) == getattr(theirs, attribute)


def test_precision_counts_the_implicit_bit() -> None:
    assert (hs.float16.precision, hs.float32.precision, hs.float64.precision) == (11, 24, 53)


@pytest.mark.parametrize("spec", ["float16", "fp16", "half", "FP16 ", np.float16, np.dtype("float16"), hs.float16])
def test_formats_go_by_many_names(spec: object) -> None:
    assert as_format(spec) is hs.float16


def test_an_unknown_name_gets_one_line_with_the_nearest() -> None:
    with pytest.raises(
        ValueError, match=r"^format: 'flot16' is not allowed \(did you mean 'float16'\?\); allowed: .*$"
    ):
        as_format("flot16")
    with pytest.raises(TypeError, match="^format: expected a Format or its name, got float$"):
        as_format(1.5)


@pytest.mark.parametrize(
    ("bits", "precision", "word"), [(1, 4, "exponent_bits"), (12, 4, "exponent_bits"), (5, 54, "precision")]
)
def test_sizes_have_limits(bits: int, precision: int, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        hs.Format("bad", bits, precision)


def test_contains_is_an_order_on_grids() -> None:
    assert hs.float64.contains(hs.float32)
    assert hs.float32.contains(hs.bfloat16)
    assert not hs.bfloat16.contains(hs.float16)
    assert not hs.float16.contains(hs.bfloat16)


@pytest.mark.parametrize("arguments", [("a", "5", 11), ("a", 5.0, 11), ("a", 5, 11.5), (5, 5, 11), ("", 5, 11)])
def test_formats_are_made_of_a_name_and_integers(arguments: tuple[object, ...]) -> None:
    with pytest.raises(TypeError, match="is not allowed; allowed: "):
        hs.Format(*arguments)  # type: ignore[arg-type]
    assert hs.Format("a", np.int64(5), np.int8(11)).bits == 16  # type: ignore[arg-type]


def test_of_a_long_list_an_error_names_the_nearest_words() -> None:
    words = [f"@name{i}" for i in range(100)] + ["@softmax", "@log_softmax"]
    text = str(unknown("policy", "@sofmax", words))
    assert "did you mean '@softmax'?" in text
    assert "@log_softmax" in text
    assert text.endswith("... (102 in all)")
    assert len(text) < 200


@pytest.mark.parametrize("name", ["float16", "float32", "float64", "int8", "int64", "uint32"])
def test_numpys_dtypes_are_equal_in_both_directions_and_find_one_entry(name: str) -> None:
    ours, theirs = getattr(hs, name), np.dtype(name)
    assert ours == theirs
    assert theirs == ours
    assert ours == theirs.type
    assert theirs.type == ours
    assert (ours != theirs, theirs != ours) == (False, False)
    assert {ours: 1}[theirs] == {theirs: 1}[ours] == 1
    assert np.dtype(ours) == theirs == ours.dtype
    assert np.zeros(2, ours).dtype == theirs
    assert ours != name
    other = np.dtype("complex64")
    assert ours != other
    assert other != ours


def test_a_tensors_dtype_is_a_format() -> None:
    x = hs.tensor([1.0], "fp16")
    assert x.dtype == hs.float16 == np.float16
    assert x.dtype in (hs.bfloat16, hs.float16)
    assert x.dtype in (np.float32, np.float16)
    assert x.dtype not in (hs.bfloat16, hs.float32)
    assert {hs.float16: 1}[x.dtype] == 1
    assert np.ones(1, x.dtype).dtype == np.float16
    assert hs.bfloat16 == ml_dtypes.bfloat16
    with pytest.raises(AttributeError, match="bfloat16 is none of NumPy's"):
        hs.bfloat16.dtype  # noqa: B018
