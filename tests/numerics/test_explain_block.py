"""One block by hand, in fractions, against the arrays, which share no rounding with it; and what it tells."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.numerics.blocks import NAMES, RULES, as_block_format
from halfsim.numerics.explain import MODES, BlockExplanation


def explained(x: object, spec: str, rounding: str = "nearest_even") -> BlockExplanation:
    return hs.explain(x, as_block_format(spec), rounding=rounding)


@pytest.mark.parametrize("mode", [mode.value for mode in MODES])
@pytest.mark.parametrize("spec", [*(f"{n}(rule={r})" for n in NAMES if n != "nvfp4" for r in RULES), "nvfp4"])
def test_blocks_by_hand_are_those_of_arrays(spec: str, mode: str, rng: np.random.Generator) -> None:
    fmt = as_block_format(spec)
    for size in (-140, -3, 0, 90):
        x = np.float32(rng.standard_normal(fmt.block) * 2.0**size)
        x[1:4] = -0.0, x[0] / 2, 1e-45
        e, blocks = explained(x, spec, mode), hs.encode(x.astype(np.float64), spec, mode)
        assert [part.code for part in e.elements] == blocks.codes.tolist()
        assert e.scale.code == int(blocks.scales[0])
        assert (e.second_scale or 1) == Fraction(blocks.second_scale)
        values, flags = hs.round_to(x.astype(np.float64), spec, mode, return_flags=True)
        assert e.clipped == np.count_nonzero(flags & hs.Flag.OVERFLOW)
        if fmt.second_scale is None:
            assert [part.result for part in e.elements] == [Fraction(float(v)) for v in values]
        for part in e.elements:
            assert part.below is None or part.scaled is None or part.below < part.scaled
            assert part.above is None or part.scaled is None or part.scaled < part.above


def test_it_tells_the_scale_and_each_number() -> None:
    text = str(hs.explain("[1, 2.5, 7, 0.1]", "mxfp4"))
    assert (
        text
        == """\
[1, 2.5, 7, 0.1] in mxfp4, elements rounded to nearest, ties to even

  largest  7 in 4 numbers, of up to 32 that share a scale
  rule     floor: the powers of two of 7 and of the largest element, 2^2 / 2^2
  scale    1 = 2^0 (0x7f in float8_e8m0fnu)

number  over scale          between  element  code  stands for  error
1                1            exact        1   0x2           1      0
2.5            2.5      2, 3: a tie        2   0x4           2   -0.5
7                7  past 6: clipped        6   0x7           6     -1
0.1            0.1           0, 0.5        0   0x0           0   -0.1"""
    )
    assert "7 / 6 = 1.1666666666666666666..., rounded up" in explained("7", "mxfp4(rule=ceil)").decision
    assert "even: 7 in 2 digits is 8; " in explained([7], "mxfp4(rule=even)").decision
    assert "the largest scale is " in explained("1e60", "mxfp4").decision
    assert "the smallest scale is " in explained("1e-60", "mxfp4").decision
    assert "past -6: clipped" in str(explained("-7", "mxfp4"))
    assert explained("[0, -0]", "mxfp4").scale.code == 0
    assert explained("[6, -6, 1]", "mxfp4").clipped == 0


def test_a_block_with_no_number_is_nan() -> None:
    e = hs.explain("[1, inf]", "mxfp8_e5m2")
    assert e.amax is None
    assert (e.scale.code, e.scale.value) == (255, None)
    assert [part.result for part in e.elements] == [None, None]
    assert "  nan " in str(e)


def test_notebooks_and_json_have_it_all() -> None:
    e = hs.explain([1, 2.5, 7, 0.1], "nvfp4", rounding="toward_zero")
    for shown in (e._repr_html_(), e.page()):
        assert "0x7e in float8_e4m3fn" in shown
        assert "stands for" in shown
    told: Any = e.to_dict()
    assert told["scale_code"] == "0x7e"
    assert told["elements"][2]["code"] == 0x6  # 7 over the scales is a little below 6
    assert len(told["elements"]) == 4


@pytest.mark.parametrize(
    ("x", "spec", "error"),
    [
        ([1] * 33, "mxfp4", "x: 33 numbers are not allowed; allowed: 1 to 32, a block of mxfp4"),
        ([], "mxfp4", "x: 0 numbers are not allowed"),
        ("[1, 2 + 3]", "mxfp4", "x: ' 2 + 3' is not allowed; allowed: numbers, as"),
        ("[1,, 2]", "mxfp4", "x: '' is not allowed"),
        ("1", "mxfp4(hadamard=16)", "format: mxfp4(hadamard=16) is not allowed"),
    ],
)
def test_errors_are_one_line(x: object, spec: str, error: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        explained(x, spec)
    assert error in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="bits: True is not allowed with mxfp4"):
        hs.explain("1", "mxfp4", bits=True)
