"""Errors that pupils make in lesson 4, each with a piece of the hint that it must get, in both languages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import halfsim as hs

_NAMES = ("float8_e4m3fn", "float8_e5m2", "float16", "bfloat16", "float32")


def _chooser(step: float = 0.5, lowest: str = "smallest_normal", top: bool = True) -> Callable[..., str]:
    def choose(largest: float, smallest: float, error: float) -> str:
        for name in _NAMES:
            fmt = hs.formats.as_format(name)
            if (fmt.max >= largest or not top) and getattr(fmt, lowest) <= smallest and step * fmt.eps <= error:
                return name
        return "none"

    return choose


# The exercise, the answer, what the hint says in English, and in Chinese.
ERRORS: list[tuple[str, Any, str, str]] = [
    ("bfloat16 whole", 2049, "2049 is the first that float16 lacks", "2049 是 float16 缺的第一个整数"),
    ("bfloat16 whole", 129, "7 digits that are stored", "存下来的 7 位"),
    ("bfloat16 whole", 256, "the number after it is 258", "下一个数是 258"),
    ("bfloat16 whole", 255, "the number after it is 256", "下一个数是 256"),
    ("bfloat16 whole", 513, "513 is missing and becomes 512", "没有 513，它会变成 512"),
    ("choose a format", _chooser(top=False), "ends at 448, and 30000 becomes nan", "到 448 为止，30000 在其中变成 nan"),
    ("choose a format", _chooser(lowest="smallest_subnormal"), "becomes 1.19e-07 in float16", "变成 1.19e-07"),
    ("choose a format", _chooser(step=1.0), "half a step at most: 0.0625", "最多差半步：0.0625"),
    ("choose a format", "float16", "give its name, without brackets", "不要加括号"),
    ("weights on an A100", 21.47, "for numbers of 4 bytes", "每个数 4 字节"),
    ("weights on an A100", 85.9, "as in fp8", "那是 fp8"),
    ("weights on an A100", 171.8, "bytes times 2", "字节数乘以 2"),
    ("weights on an A100", 42.95e9, "divide by 1e9", "除以 1e9"),
    ("adding on an A100", 1.962, "the sum must be written, too", "和也要写回去"),
    ("adding on an A100", 5.885, "5.88 ms is for float32", "5.88 毫秒是 float32 的"),
    ("adding on an A100", 0.002943, "milliseconds are asked for", "这里要毫秒"),
    ("adding on an A100", 1e9 / 78e12 * 1e3, "0.0128 ms may do for 1e+09 additions", "0.0128 毫秒也许够"),
    ("a number's way", 591, "right for fetching 4 bytes", "取 4 字节"),
    ("a number's way", 87.8, "the multiplications of float32", "float32 的乘法"),
    ("a number's way", 147.7, "for a single byte", "只算了一个字节"),
    ("a number's way", 1.1 / 325, "turn the quotient round", "把商倒过来"),
]
