from __future__ import annotations

import copy
import pickle
import re
from concurrent.futures import ThreadPoolExecutor

import ml_dtypes
import numpy as np
import pytest

import halfsim as hs
from halfsim.numerics.formats import NARROW, as_format, is_format, unknown

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
        *((getattr(hs, name), ml_dtypes.finfo(getattr(ml_dtypes, name))) for name in NARROW),
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


def test_every_float_of_ml_dtypes_is_a_format_by_its_name() -> None:
    floats = [name for name in dir(ml_dtypes) if name.startswith(("float", "bfloat"))]
    assert sorted(NARROW) == sorted(floats)
    for name in floats:
        ours, theirs = getattr(hs, name), getattr(ml_dtypes, name)
        assert ours == theirs
        assert as_format(theirs) is as_format(np.dtype(theirs)) is as_format(name) is ours
        assert name in hs.__all__
        values = np.array([1.0, 2.0, 4.0]).astype(theirs)
        assert hs.tensor(values).dtype == theirs
        assert hs.tensor(values).tolist() == hs.round_to(values, "float64").tolist() == [1.0, 2.0, 4.0]
        assert hs.encode(values, name).tolist() == values.view(NARROW[name]).tolist()


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("float8_e4m3fnuz", "e4m3fnuz"), ("float8_e5m2fnuz", "e5m2fnuz"), ("float8_e4m3b11fnuz", "e4m3b11fnuz"),
        ("float8_e8m0fnu", "e8m0"), ("float8_e3m4", "e3m4"), ("float8_e4m3fn", "e4m3"), ("float8_e4m3fn", "fp8_e4m3"),
        ("float6_e2m3fn", "e2m3"), ("float6_e3m2fn", "fp6_e3m2"), ("float4_e2m1fn", "fp4"), ("float4_e2m1fn", "e2m1fn"),
    ],
)  # fmt: skip
def test_short_names(name: str, short: str) -> None:
    assert as_format(short) is getattr(hs, name)
    assert hs.Precision(f"storage={short}").storage is getattr(hs, name)


CANNOT = [
    ({"exponent_bits": 11, "precision": 20, "specials": "nan"}, "bias: 1023 is not allowed with exponent_bits=11"),
    ({"exponent_bits": 11, "precision": 53, "specials": "none"}, "bias: 1023 is not allowed with exponent_bits=11"),
    (
        {"exponent_bits": 11, "precision": 40, "zero_field": "zero"},
        "numbers would leave float64's range; allowed: none",
    ),
    ({"exponent_bits": 5, "precision": 11, "bias": 1100}, "numbers would leave float64's range; allowed: -993 to 1013"),
    ({"exponent_bits": 5, "precision": 11, "bias": -(10**100)}, "bias: -1000000"),
    ({"exponent_bits": 4, "precision": 4, "specials": "fnuz", "signed": False}, "specials: 'fnuz' is not allowed"),
    ({"exponent_bits": 4, "precision": 4, "specials": "p3109", "zero_field": "normal"}, "specials: 'p3109' is not"),
    ({"exponent_bits": 4, "precision": 4, "specials": "ocp"}, "specials: 'ocp' is not allowed; allowed: ieee, nan"),
    ({"exponent_bits": 4, "precision": 4, "zero_field": "none"}, "zero_field: 'none' is not allowed; allowed: subn"),
]


@pytest.mark.parametrize(("arguments", "message"), CANNOT)
def test_a_format_that_cannot_work_is_refused_in_one_line(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        hs.Format("f", **arguments)  # type: ignore[arg-type]
    assert len(str(error.value)) <= 300
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrong", [{"specials": 3}, {"bias": 1.5}, {"signed": "yes"}, {"zero_field": None}])
def test_the_types_of_a_format_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="is not allowed; allowed: "):
        hs.Format("f", 4, 4, **wrong)  # type: ignore[arg-type]


def test_one_digit_and_nan_alone() -> None:
    fmt = hs.Format("x", 6, 1, "nan")
    assert fmt.max == 2.0**31
    assert hs.decode([62, 63], fmt)[0] == 2.0**31
    assert np.isnan(hs.decode([63], fmt)).all()
    assert hs.round_to(np.float32([3e9, -1.5]), fmt, "toward_zero").tolist() == [2.0**31, -1.0]


@pytest.mark.parametrize("container", [np.float16, np.float32, np.float64])
def test_a_container_of_fewer_digits_meets_the_threshold(container: type) -> None:
    fmt = hs.Format("x", 4, 25)  # whose largest number, 256 - 2**-17, float32 does not hold
    got, flags = hs.round_to(container(256), fmt, return_flags=True)
    assert (got, flags) == (np.inf, 5)
    held, flags = hs.round_to(container(256), fmt, overflow="saturate", return_flags=True)
    assert flags == 5
    assert held == {np.float16: 255.875, np.float32: 256 - 2.0**-16, np.float64: fmt.max}[container]
    wide = hs.Format("w", 8, 2, "nan")  # whose largest number, 2**128, is past float32
    assert hs.round_to(np.float32(3.4e38), wide, overflow="saturate") == np.float32(1.5 * 2.0**127)
    assert hs.round_to(np.float64(3.4e38), wide, overflow="saturate") == 2.0**128


FORMATS = [
    hs.Format("e6m9", 6, 10),
    hs.Format("f", 4, 4, "fnuz", bias=8),
    hs.Format("p", 4, 4, "p3109", bias=-3),
    hs.Format("u", 8, 1, "nan", signed=False, zero_field="normal"),
    hs.Format("z", 3, 5, "none", zero_field="zero"),
    *(getattr(hs, name) for name in NARROW),
]


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_a_format_is_spelled_so_that_it_can_be_read(fmt: hs.Format) -> None:
    assert as_format(fmt.spelled) == fmt
    assert eval(repr(fmt), {"Format": hs.Format}) == fmt
    assert pickle.loads(pickle.dumps(fmt)) == copy.deepcopy(fmt) == fmt
    for text in (f"storage={fmt.spelled}", f"storage=fp16, operands={fmt.spelled}", f"accumulate={fmt.spelled}:kahan"):
        precision = hs.Precision(text)
        assert hs.Precision(str(precision)) == precision
        policy = hs.Policy({"default": "fp32", "a.*": precision})
        assert hs.Policy(str(policy)) == policy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q(6, 10)", "format: '6' is not allowed; allowed: as 'e6m9(exponent_bits=6, precision=10)'"),
        ("q(exponent_bits=6)", "format: precision is missing; allowed: as"),
        ("q(exponent_bits=6, precision=10, precision=11)", "format: 'precision=11' is not allowed"),
        ("q(exponent_bits=6, precision=1e9)", "format: 'precision=1e9' is not allowed"),
        ("q(exponent_bits=6, precision=10, bias=5000)", "bias: 5000 is not allowed"),
    ],
)
def test_a_format_that_is_spelled_wrong_gets_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        as_format(text)


def test_registered_formats_are_words_of_every_grammar() -> None:
    assert not is_format("e7m8")
    fmt = hs.formats.register(hs.Format("e7m8", 7, 9), "seven")
    assert hs.formats.register(hs.Format("e7m8", 7, 9), "e7") is fmt
    assert hs.formats.as_format("E7M8 ") is hs.formats.as_format("seven") is hs.formats.as_format("e7") is fmt
    precision = hs.Precision("storage=seven, accumulate=e7m8:pairwise")
    assert str(precision) == "storage=e7m8, compute=float32, accumulate=e7m8:pairwise, operands=e7m8"
    assert hs.Precision(str(precision)) == precision
    assert hs.tensor([1.1], "seven").tolist() == hs.round_to([1.1], fmt).tolist()
    with hs.precision("e7m8"):
        assert hs.tensor([1.1]).dtype == fmt


@pytest.mark.parametrize("name", ["float16", "half", "fp8", "amp", "exact", "sequential", "a100", "int8", "long"])
def test_a_name_that_means_something_else_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not allowed; allowed: names of nothing else$"):
        hs.formats.register(hs.Format(name, 7, 7))
    with pytest.raises(ValueError, match="is not allowed; allowed: names of nothing else$"):
        hs.formats.register(hs.Format("nobodys", 7, 7), name)
    assert not is_format("nobodys")  # nothing is registered by half


@pytest.mark.parametrize("name", ["a b", "x:y", "x=1", "1st", "a,b", "(a)", "é"])
def test_a_name_that_no_grammar_could_read_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="allowed: a letter, then letters, digits, points, underscores$"):
        hs.formats.register(hs.Format(name, 7, 7))


def test_register_takes_formats_and_names() -> None:
    with pytest.raises(TypeError, match="^format: 3 is not allowed; allowed: a Format$"):
        hs.formats.register(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="^aliases: 3 is not allowed; allowed: names$"):
        hs.formats.register(hs.Format("e7m8", 7, 9), 3)  # type: ignore[arg-type]


def test_threads_that_register_one_name_get_one_format() -> None:
    def attempt(i: int) -> hs.Format | None:
        try:
            return hs.formats.register(hs.Format("contested", 5, 5 + i % 4))
        except ValueError:
            return None

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(attempt, range(64)))
    winners = {id(fmt) for fmt in found if fmt is not None}
    assert len(winners) == 1
    assert hs.formats.as_format("contested").precision == next(f.precision for f in found if f is not None)


def test_a_name_alone_makes_no_format_equal_to_a_dtype() -> None:
    assert hs.Format("float16", 6, 10) != np.float16
    assert hs.Format("float8_e4m3fnuz", 4, 4) != ml_dtypes.float8_e4m3fnuz
    assert hs.Format("float8_e4m3fnuz", 4, 4, "fnuz", bias=8) == ml_dtypes.float8_e4m3fnuz


def test_contains_minds_zeros_signs_and_specials() -> None:
    fnuz, plain = hs.Format("f", 4, 4, "fnuz", bias=8), hs.Format("e5m3", 5, 4)
    assert plain.contains(fnuz)
    assert not fnuz.contains(hs.Format("e2m1", 2, 2, bias=5))
    assert hs.float64.contains(hs.float8_e8m0fnu)
    assert not hs.float8_e8m0fnu.contains(hs.float8_e8m0fnu.__class__("powers", 4, 1))
    alone = hs.Format("z", 5, 4, zero_field="zero")
    assert plain.contains(alone)
    assert not alone.contains(plain)
    assert not hs.float8_e4m3fn.contains(hs.float8_e5m2)
    for a in FORMATS[1:]:  # against the numbers themselves
        for b in FORMATS[1:]:
            if a.bits > 8 or b.bits > 8:
                continue
            codes = hs.decode(np.arange(1 << b.bits), b)
            same = np.asarray(hs.round_to(codes, a))
            kept = (same == codes) & (np.signbit(same) == np.signbit(codes)) | (np.isnan(same) & np.isnan(codes))
            assert a.contains(b) == kept.all(), (a, b)


@pytest.mark.parametrize("fmt", [hs.float16, *(getattr(hs, name) for name in NARROW)], ids=str)
def test_the_overflow_threshold_is_where_numbers_overflow(fmt: hs.Format) -> None:
    below = np.nextafter(fmt.overflow_threshold, 0)
    flags = hs.round_to([below, fmt.overflow_threshold], fmt, return_flags=True)[1]
    assert (flags & (hs.Flag.OVERFLOW | hs.Flag.INVALID) != 0).tolist() == [False, True]
