"""The conformance kit: right codecs pass, each planted fault is found, and other languages read its golden files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import halfsim as hs
from halfsim.testing import conformance, write_golden
from tests import marks
from tests.testing.conformance import DOCS, sections

FORMATS = sorted({f.name for f in hs.formats.NAMES.values() if f.name in hs.formats.__all__})


def kinds(found: hs.testing.Conformance) -> set[str]:
    return {kind.name for kind in found.kinds if kind.wrong}


@pytest.mark.parametrize("name", FORMATS)
def test_our_own_conform(name: str) -> None:
    found = conformance(lambda x: hs.encode(x, name), lambda c: hs.decode(c, name), name)
    assert found.ok, found
    assert found.every_code == (hs.formats.as_format(name).bits <= 20)


@pytest.mark.parametrize("container", ["float32", "float64"])
def test_numpys_float16_conforms_and_every_code_and_tie_is_asked(container: str) -> None:
    found = conformance(
        lambda x: x.astype(np.float16).view(np.uint16), lambda c: c.view(np.float16), "fp16", container=container
    )
    assert found.ok, found
    assert {kind.name: kind.cases for kind in found.kinds[:3]} == {
        "decode": 2**16,
        "every number": 2**16 - 2 * 1023,  # without NaN
        "ties": 2 * 0x7BFF,  # between the finite numbers
    }


def _mended(change: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """A right encoder of float16, and what ``change`` makes of the numbers and codes."""
    return lambda x: change(x, x.astype(np.float16).view(np.uint16).copy())


def _where(mask: Callable[[Any], Any], code: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda x, codes: np.where(mask(x), code(x), codes)


def _sign(x: Any) -> Any:
    return np.signbit(x).astype(np.uint16) << 15


ENCODERS: dict[str, tuple[Callable[[Any], Any], set[str]]] = {
    "ties away": (
        lambda x: hs.encode(x, "fp16", "nearest_away"),
        {"ties", "overflow", "underflow"} - {"overflow"},  # 65520 overflows to even as well
    ),
    "toward zero": (
        lambda x: hs.encode(x, "fp16", "toward_zero"),
        {"ties", "beside ties", "beside numbers", "overflow", "underflow"},
    ),
    "in two roundings": (
        lambda x: x.astype(np.float32).astype(np.float16).view(np.uint16),
        {"beside ties", "overflow", "underflow"},
    ),
    "subnormals flushed": (
        lambda x: hs.encode(x, "fp16", subnormals="flush_outputs"),
        {"every number", "ties", "beside ties", "beside numbers", "underflow"},
    ),
    "saturates": (lambda x: hs.encode(x, "fp16", overflow="saturate"), {"overflow"}),
    "infinity at 65519": (_mended(_where(lambda x: np.abs(x) >= 65519.99, lambda x: _sign(x) | 0x7C00)), {"overflow"}),
    "zero without its sign": (_mended(_where(lambda x: x == 0, lambda x: 0)), {"every number", "underflow"}),
    "NaN is infinity": (_mended(_where(np.isnan, lambda x: 0x7C00)), {"NaN"}),
    "one code": (_mended(_where(lambda x: x == 3.0, lambda x: 0x4201)), {"every number"}),
    "one tie": (_mended(_where(lambda x: x == 2049.0, lambda x: 0x6801)), {"ties"}),
    "one number beside a tie": (
        _mended(_where(lambda x: x == np.nextafter(2049.0, np.inf), lambda x: 0x6800)),
        {"beside ties"},
    ),
    "bits above the code": (_mended(lambda x, codes: codes.astype(np.uint32) | np.uint32(1 << 16)), None),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("fault", ENCODERS)
def test_a_fault_of_an_encoder_is_found_where_it_is(fault: str) -> None:
    encode, where = ENCODERS[fault]
    found = conformance(encode, lambda c: c.view(np.float16), "float16")
    assert kinds(found) == ({kind.name for kind in found.kinds} - {"decode"} if where is None else where), found


@pytest.mark.parametrize("code", [0x0000, 0x8000, 0x0001, 0x03FF, 0x0400, 0x7BFF, 0x7C00, 0xFC01, 0x3C00])
def test_one_wrong_code_of_a_decoder_is_found(code: int) -> None:
    def decode(codes: Any) -> Any:
        values = codes.view(np.float16).astype(np.float64)
        return np.where(codes == code, 0.1 if code != 0x8000 else 0.0, values)

    found = conformance(lambda x: x.astype(np.float16).view(np.uint16), decode, "float16")
    assert kinds(found) == {"decode"}
    assert found.wrong == 1
    assert f"decode {code:04x}: got {0.1 if code != 0x8000 else 0.0}, expected" in str(found)


@pytest.mark.parametrize("rounding", ["nearest_away", "toward_zero", "upward", "downward", "to_odd"])
def test_other_roundings_have_other_answers(rounding: str) -> None:
    def found(mode: str) -> hs.testing.Conformance:
        return conformance(
            lambda x: hs.encode(x, "e4m3fn", mode),
            lambda c: c.view(ml_dtypes.float8_e4m3fn),
            "e4m3fn",
            rounding=rounding,
        )

    assert found(rounding).ok
    assert not found("nearest_even").ok


def test_signed_codes_and_any_nan_will_do() -> None:
    found = conformance(
        lambda x: np.where(np.isnan(x), -1, x.astype(np.float16).view(np.int16)).astype(np.int16),
        lambda c: np.where(np.isnan(c.view(np.float16)), np.nan, c.view(np.float16)),
        "float16",
    )
    assert found.ok, found


def test_it_is_plain_data_and_prints() -> None:
    found = conformance(lambda x: hs.encode(x, "e2m1", "toward_zero"), lambda c: hs.decode(c, "e2m1"), "e2m1")
    told = str(found).splitlines()
    assert told[0] == f"float4_e2m1fn from float64, every code: {found.wrong} of {found.cases} cases wrong"
    assert "encode -5.0 (-0x1.4000000000000p+2): got e, expected e" not in told
    assert any(line.startswith("encode ") and ": got " in line for line in told)
    assert found.to_dict()["wrong"] == found.wrong > 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("fp17",), "format: 'fp17' is not allowed"),
        (("float64", "float32"), "container: float32 is not allowed for float64; allowed: formats that hold all its n"),
        (("fp16", "bfloat16"), "container: 'bfloat16' is not allowed"),
        (("fp16", "float64", "stochastic"), "rounding: 'stochastic' is not allowed; allowed: modes that give one res"),
        (("fp16", "float64", "nearest_even", "wrap"), "overflow: 'wrap' is not allowed"),
    ],
)
def test_bad_words_are_refused_in_one_line(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    options = dict(zip(("format", "container", "rounding", "overflow"), arguments, strict=False))
    calls: list[Callable[..., Any]] = [
        lambda format, **more: conformance(abs, abs, format, **more),
        lambda format, **more: write_golden(tmp_path / "x", format, **more),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=re.escape(told)) as caught:
            call(**options)
        assert "\n" not in str(caught.value)


def test_results_of_another_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="decode: a result of shape .* is not allowed"):
        conformance(lambda x: x, lambda c: c[1:].astype(float), "e2m1")
    with pytest.raises(TypeError, match="encode: codes of dtype float64 are not allowed; allowed: integers"):
        conformance(lambda x: x, lambda c: hs.decode(c, "e2m1"), "e2m1")


def test_a_golden_file_is_what_the_kit_asks(tmp_path: Path) -> None:
    write_golden(tmp_path / "e4m3.txt", "e4m3fn", container="float16")
    lines = [line.split() for line in (tmp_path / "e4m3.txt").read_text().splitlines() if line[0] != "#"]
    asked = conformance(
        lambda x: hs.encode(x, "e4m3fn"), lambda c: hs.decode(c, "e4m3fn"), "e4m3fn", container="float16"
    )
    assert len(lines) == asked.cases
    for kind, given, right in lines:
        if kind == "d":
            value = np.array([int(given, 16)], np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float64)
            assert right == ("nan" if np.isnan(value[0]) else f"{value.view(np.uint64)[0]:016x}")
        else:
            code = np.array([int(given, 16)], np.uint16).view(np.float16).astype(ml_dtypes.float8_e4m3fn)
            assert right == ("nan" if np.isnan(code[0]) else f"{code.view(np.uint8)[0]:02x}")


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
def test_cpp_reads_a_golden_file(tmp_path: Path) -> None:
    """The program of the page, right as it stands; with its threshold moved it is wrong."""
    write_golden(tmp_path / "float16.txt", "float16")
    source = re.findall(r"```cpp\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.S)[0]
    assert "65520" in source
    for text, wrong in ((source, 0), (source.replace("65520", "65519"), 2)):
        (tmp_path / "golden.cpp").write_text(text, encoding="utf-8")
        subprocess.run(["c++", "-O1", "golden.cpp"], cwd=tmp_path, check=True)
        done = subprocess.run(["./a.out", "float16.txt"], cwd=tmp_path, capture_output=True, text=True)
        assert done.stdout.splitlines()[-1] == f"{wrong} of 446510 wrong", done.stdout
        assert done.returncode == (wrong > 0)


def test_the_page_says_what_is_found_today() -> None:
    """Of the versions that are installed here and named there."""
    text = marks.between(DOCS, "found")
    same = {name: table for name, table in sections().items() if f"{name}\n" in text}
    for name, table in same.items():
        assert f"{name}\n\n{table}" in text
    assert same or os.environ.get("CI"), "the page has none of the versions that are installed"
