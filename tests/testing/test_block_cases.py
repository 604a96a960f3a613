"""The conformance kit on block formats: ours pass by every rule, planted faults are found, golden files read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.numerics.blocks import NAMES, RULES, as_block_format
from halfsim.testing import conformance, write_golden

SPECS = [f"{name}(rule={rule})" for name in NAMES for rule in RULES if name != "nvfp4" or rule in ("ceil", "nearest")]


@pytest.mark.parametrize("container", ["float32", "float64"])
@pytest.mark.parametrize("spec", SPECS)
def test_our_own_conform(spec: str, container: str) -> None:
    found = conformance(lambda x: hs.encode(x, spec), lambda b: hs.decode(b, spec), spec, container=container)
    assert found.ok, found
    assert min(kind.cases for kind in found.kinds) >= 4
    assert found.every_code


def test_every_rounding_mode_is_asked() -> None:
    def down(x: Any) -> Any:
        return hs.encode(x, "mxfp6_e2m3", "toward_zero")

    right = conformance(down, lambda b: hs.decode(b, "mxfp6_e2m3"), "mxfp6_e2m3", rounding="toward_zero")
    wrong = conformance(down, lambda b: hs.decode(b, "mxfp6_e2m3"), "mxfp6_e2m3")
    assert right.ok
    assert {"ties", "beside ties", "beside elements"} <= {kind.name for kind in wrong.kinds if kind.wrong}


def _changed(change: Callable[[Any, Any, Any], Any]) -> Callable[[Any], Any]:
    """An encoder of mxfp8_e5m2, and what ``change`` makes of numbers, codes and scales."""

    def encode(x: Any) -> Any:
        codes, scales, _ = hs.encode(x, "mxfp8_e5m2")
        return change(x, codes, scales)

    return encode


FAULTS: dict[str, tuple[Callable[[Any], Any], set[str]]] = {
    "another rule": (lambda x: hs.encode(x, "mxfp8_e5m2(rule=ceil)"), {"scales"}),
    "1 for blocks of zeros": (
        _changed(lambda x, c, s: (c, np.where((x == 0).all(1, keepdims=True), 127, s))),
        {"zero and subnormal blocks"},
    ),
    "infinity clipped": (
        _changed(lambda x, c, s: (c, np.where(np.isinf(x).any(1, keepdims=True), 254, s))),
        {"infinity and NaN"},
    ),
    "no minus zero": (_changed(lambda x, c, s: (np.where(c == 0x80, 0, c), s)), {"zero and subnormal blocks"}),
    "ties away": (lambda x: hs.encode(x, "mxfp8_e5m2", "nearest_away"), {"ties"}),
    "the last element": (_changed(lambda x, c, s: (np.where(np.arange(32) == 31, 0, c), s)), {"elements", "ties"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(fault: str) -> None:
    encode, kinds = FAULTS[fault]
    found = conformance(encode, lambda b: hs.decode(b, "mxfp8_e5m2"), "mxfp8_e5m2")
    assert kinds <= {kind.name for kind in found.kinds if kind.wrong}, found
    assert "decode" not in {kind.name for kind in found.kinds if kind.wrong}


def test_a_wrong_decoder_is_found() -> None:
    def decode(blocks: Any) -> Any:
        return hs.decode((blocks.codes, np.minimum(blocks.scales, 254)), "mxfp4")

    found = conformance(lambda x: hs.encode(x, "mxfp4"), decode, "mxfp4")
    assert [(kind.name, kind.wrong) for kind in found.kinds if kind.wrong] == [("decode", 32)]
    assert str(found.kinds[0].first[0]) == "decode 0, scale ff: got 0.0, expected nan"


@pytest.mark.parametrize("spec", ["mxfp4", "mxint8(rule=ceil)", "nvfp4"])
def test_golden_files_read_back(spec: str, tmp_path: Path) -> None:
    path = tmp_path / "golden.txt"
    write_golden(path, spec, container="float64")
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    fmt = as_block_format(spec)
    digits, told = -(-fmt.element_bits // 4), [line[1:] for line in lines if line[0] == "d"]
    assert sum(line[0] == "s" for line in lines) == (7 if spec == "nvfp4" else 0)
    assert len(told) >= 16 * 128
    for scale, code, bits in told[::61]:
        element = np.int8(np.uint8(int(code, 16))) / 64 if "int8" in spec else hs.decode(int(code, 16), fmt.element)
        number = np.float64(element * hs.decode(int(scale, 16), fmt.scale))
        assert bits == ("nan" if np.isnan(number) else f"{number.view(np.uint64):016x}")
    for _, *words in [line for line in lines if line[0] == "e"][::97]:
        x = np.array([int(word, 16) for word in words[0].split(",")], np.uint64).view(np.float64)
        if spec != "nvfp4":  # whose blocks share a scale with others
            blocks = hs.encode(x, spec)
            assert int(words[1], 16) == int(blocks.scales[0])
            assert words[2] == "".join(f"{code:0{digits}x}" for code in blocks.codes)


@pytest.mark.parametrize(
    ("encode", "spec", "options", "error", "message"),
    [
        (lambda x: x, "mxfp4", {}, TypeError, "encode: ndarray is not allowed; allowed: (codes, scales)"),
        (lambda x: (x, x), "mxfp4", {}, TypeError, "encode: codes of dtype float64 are not allowed"),
        (lambda x: (np.zeros(3, int),) * 2, "mxfp4", {}, ValueError, "encode: codes of shape (3,) are not allowed"),
        (lambda x: x, "mxfp4(hadamard=8)", {}, ValueError, "format: mxfp4(hadamard=8) is not allowed"),
        (lambda x: x, "mxfp4", {"container": "float16"}, ValueError, "container: 'float16' is not allowed"),
        (lambda x: x, "mxfp4", {"rounding": "stochastic"}, ValueError, "rounding: 'stochastic' is not allowed"),
    ],
)
def test_errors_are_one_line(encode: Any, spec: str, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        conformance(encode, lambda b: hs.decode(b, spec), spec, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
