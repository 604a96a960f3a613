"""Lesson 1: sixteen bits."""

from __future__ import annotations

import numpy as np

import halfsim as hs
from halfsim.teach.exercise import Exercise, Hint


def _bits(value: float) -> str:
    code = f"{int(hs.encode(value, 'float16')):016b}"
    return f"{code[0]} {code[1:6]} {code[6:]}"


def _decode(pattern: int, bias: int = 15, leading: int = 1, subnormal: bool = True) -> float:
    field, rest = pattern >> 10, pattern & 1023
    if field == 0 and subnormal:
        return rest / 1024 * 2.0 ** (1 - bias)
    return (leading + rest / 1024) * 2.0 ** (field - bias)


_CASES = [(pattern,) for pattern in (0x3C00, 0x3E00, 0x2E66, 0x7BFF, 0x0400, 0x03FF, 0x0001, 0x0000)]


def _like(got: list[float], **wrong: object) -> bool:
    """Whether a decoder gives for every case what one with a known error gives."""
    return got == [_decode(*case, **wrong) for case in _CASES]  # type: ignore[arg-type]


EXERCISES = [
    Exercise(
        "fields",
        lambda: _bits(-6.5),
        [
            Hint(
                lambda got: not {*got} <= {"0", "1"},
                "write the sixteen digits 0 and 1 alone, with no other mark than spaces",
                "只写十六个 0 和 1，除空格外不要别的符号",
            ),
            Hint(
                lambda got: got == _bits(6.5).replace(" ", ""),
                "these are the bits of +6.5: the sign bit of a negative number is 1",
                "这是 +6.5 的各位：负数的符号位是 1",
            ),
            Hint(
                lambda got: len(got) == 16 and got[1:6] == "00010",
                "your exponent field is 00010, the 2 without the bias: 2 + 15 = 17 is 10001 in binary",
                "你的指数字段是 00010，即没有加偏置的 2：2 + 15 = 17，二进制是 10001",
            ),
            Hint(
                lambda got: len(got) == 16 and got[6:] == "1101000000",
                "your significand field begins with the leading 1 of 1.101; that one is not stored, only what is behind "
                "the point",
                "你把 1.101 开头的 1 也写进了有效数字段；它不存储，只存小数点后面的部分",
            ),
        ],
    ),
    Exercise(
        "value",
        lambda: float(hs.decode(0b0_01110_1000000000, "float16")),
        [
            Hint(
                lambda got: got == 0.25,
                "0.25 is 0.1 (binary) x 2^-1: the leading 1 is missing, the significand is 1.1",
                "0.25 等于二进制 0.1 x 2^-1：少了开头的 1，有效数是 1.1",
            ),
            Hint(
                lambda got: got == 1.5 * 2**14,
                "{got} is 1.5 x 2^14: take the bias of 15 off the exponent field first",
                "{got} 是 1.5 x 2^14：指数字段要先减去偏置 15",
            ),
            Hint(
                lambda got: got in (1.5, 1.5 * 2**-2),
                "the exponent is off by one: the field 01110 is 14, and 14 - 15 = -1",
                "指数差了 1：字段 01110 是 14，14 - 15 = -1",
            ),
            Hint(
                lambda got: got == 0.5,
                "0.5 is 1.0 x 2^-1: the first bit of the significand field is 1, so the significand is 1.1 in binary",
                "0.5 等于 1.0 x 2^-1：有效数字段的第一位是 1，所以有效数是二进制的 1.1",
            ),
        ],
    ),
    Exercise(
        "largest",
        lambda: hs.float16.max,
        [
            Hint(
                lambda got: got == np.inf,
                "infinity is on the list, with the exponent field 11111; the largest number with 11110 is asked for",
                "无穷大在表上，但它的指数字段是 11111；这里要的是 11110 的最大的数",
            ),
            Hint(
                lambda got: got == 65536,
                "{got} is 2^16, one step past the end, and would be infinity: the significand is 1.1111111111, which is "
                "a little less than 2",
                "{got} 是 2^16，已经越过终点一步，会变成无穷大：有效数是 1.1111111111，比 2 略小",
            ),
            Hint(
                lambda got: got == 65535,
                "{got} is the largest whole number of 16 bits without a sign; here 5 of the bits are an exponent",
                "{got} 是 16 位无符号整数的最大值；这里有 5 位是指数",
            ),
            Hint(
                lambda got: got == 32768,
                "{got} is 2^15, with a significand of 1: make all ten digits behind the point 1",
                "{got} 是 2^15，有效数是 1：把小数点后的十位都变成 1",
            ),
            Hint(
                lambda got: got > 65504 and {"next": float(hs.round_to(got, "float16"))},
                "{got} is not on the list: in float16 it becomes {next}",
                "{got} 不在表上：在 float16 中它变成 {next}",
            ),
        ],
    ),
    Exercise(
        "nans",
        lambda: int(np.isnan(np.arange(65536, dtype=np.uint16).view(np.float16)).sum()),
        [
            Hint(
                lambda got: got == 1023,
                "{got} is right for one sign; the sign bit of a NaN may be 0 or 1",
                "{got} 只算了一种符号；NaN 的符号位可以是 0 也可以是 1",
            ),
            Hint(
                lambda got: got in (2048, 1024) and {"inf": got / 1024},
                "{got} counts the significand field 0 too, which is infinity: {inf} of your patterns are",
                "{got} 把有效数字段为 0 的也算了进去，那是无穷大：你的里面有 {inf} 个",
            ),
            Hint(
                lambda got: got == 1,
                "NaN prints alike everywhere, but many patterns mean it",
                "NaN 打印出来都一样，但有许多种位模式都表示它",
            ),
        ],
    ),
    Exercise(
        "decode",
        _decode,
        [
            Hint(
                lambda got: _like(got, subnormal=False) and {"zero": got[-1]},
                "right for normal numbers; where the exponent field is 0 the leading digit is 0 and the exponent -14: your "
                "pattern 0 is {zero:g}, and should be 0",
                "正规数都对；指数字段为 0 时，开头的数字是 0，指数是 -14：你把模式 0 解成了 {zero:g}，应当是 0",
            ),
            Hint(
                lambda got: _like(got, leading=0) or _like(got, leading=0, subnormal=False),
                "the leading 1 is missing: your 0x3c00 is {got}, and should be 1",
                "少了开头的 1：你把 0x3c00 解成了 {got}，应当是 1",
            ),
            Hint(
                lambda got: got[:3] == [_decode(*case, bias=16) for case in _CASES[:3]] and {"half": got[0]},
                "your 0x3c00 is {half}, and should be 1: the bias is 15",
                "你把 0x3c00 解成了 {half}，应当是 1：偏置是 15",
            ),
            Hint(
                lambda got: got[:5] == [_decode(*c) for c in _CASES[:5]] and got[6] != 2**-24 and {"tiny": got[6]},
                "normal numbers are right; the pattern 1 is 2^-24, yours is {tiny:.6g}: subnormal numbers have the "
                "exponent -14, not -15",
                "正规数都对；模式 1 是 2^-24，你的是 {tiny:.6g}：次正规数的指数是 -14，不是 -15",
            ),
        ],
        cases=_CASES,
    ),
]
