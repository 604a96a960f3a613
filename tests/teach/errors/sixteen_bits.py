"""Errors that pupils make in lesson 1, each with a piece of the hint that it must get, in both languages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _decoder(bias: int = 15, leading: int = 1, smallest: int = 1) -> Callable[[int], float]:
    def decode(pattern: int) -> float:
        field, rest = pattern >> 10, pattern & 1023
        if field < smallest:
            return rest / 1024 * 2.0**-14
        return (leading + rest / 1024) * 2.0 ** (field - bias)

    return decode


def _steps_too_small(pattern: int) -> float:
    field, rest = pattern >> 10, pattern & 1023
    return rest / 1024 * 2.0**-15 if field == 0 else (1 + rest / 1024) * 2.0 ** (field - 15)


# The exercise, the answer, what the hint says in English, and in Chinese.
ERRORS: list[tuple[str, Any, str, str]] = [
    ("fields", "0 10001 1010000000", "the sign bit of a negative number is 1", "负数的符号位是 1"),
    ("fields", "1 00010 1010000000", "2 + 15 = 17", "2 + 15 = 17"),
    ("fields", "1 10001 1101000000", "that one is not stored", "它不存储"),
    ("fields", "0b1100011010000000", "0 and 1 alone", "只写十六个 0 和 1"),
    ("fields", "1 10001 101", "yours has 9 characters, 16 are asked for", "你的有 9 个字符，应当有 16 个"),
    ("fields", 0b1100011010000000, "a text in quotes", "带引号的字符串"),
    ("value", 0.25, "the leading 1 is missing", "少了开头的 1"),
    ("value", 24576, "24576 is 1.5 x 2^14", "24576 是 1.5 x 2^14"),
    ("value", 1.5, "14 - 15 = -1", "14 - 15 = -1"),
    ("value", 0.5, "the significand is 1.1", "有效数是二进制的 1.1"),
    ("value", "0.75", "leave the quotes out", "去掉引号"),
    ("largest", float("inf"), "infinity is on the list", "无穷大在表上"),
    ("largest", 65536, "65536 is 2^16, one step past the end", "65536 是 2^16"),
    ("largest", 65535, "without a sign", "无符号整数"),
    ("largest", 2**15, "make all ten digits", "都变成 1"),
    (
        "largest",
        65520,
        "65520 is not on the list: in float16 it becomes inf",
        "65520 不在表上：在 float16 中它变成 inf",
    ),
    ("nans", 1023, "right for one sign", "只算了一种符号"),
    ("nans", 2048, "2 of your patterns", "有 2 个"),
    ("nans", 1, "many patterns mean it", "许多种位模式"),
    ("decode", _decoder(smallest=0), "your pattern 0 is 3.05176e-05", "模式 0 解成了 3.05176e-05"),
    ("decode", _decoder(leading=0), "your 0x3c00 is 0, and should be 1", "0x3c00 解成了 0"),
    ("decode", _decoder(bias=16), "your 0x3c00 is 0.5", "0x3c00 解成了 0.5"),
    ("decode", _steps_too_small, "yours is 2.98023e-08", "你的是 2.98023e-08"),
    ("decode", lambda pattern: pattern / 0, "raised ZeroDivisionError", "抛出了 ZeroDivisionError"),
]
