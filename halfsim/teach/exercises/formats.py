"""Lesson 4: half, single, bfloat16, fp8."""

from __future__ import annotations

import halfsim as hs
from halfsim.costs.cost import DRAM, PICOJOULES
from halfsim.teach.exercise import Exercise, Hint

_NAMES = ("float8_e4m3fn", "float8_e5m2", "float16", "bfloat16", "float32")
_CASES = [
    (400.0, 0.02, 0.1),
    (400.0, 0.02, 0.07),
    (30000.0, 1e-4, 0.2),
    (60000.0, 1e-4, 0.001),
    (1e6, 1e-4, 0.01),
    (1e6, 1e-4, 0.001),
    (1.0, 1e-7, 0.01),
]


def _kept(x: float, name: str = "bfloat16") -> float:
    return float(hs.round_to(x, name))


def _first(
    largest: float, smallest: float, error: float, half: float = 0.5, bottom: str = "smallest_normal", top: bool = True
) -> str:
    for name in _NAMES:
        fmt = hs.formats.as_format(name)
        wide = (not top or fmt.max >= largest) and getattr(fmt, bottom) <= smallest
        if wide and half * fmt.eps <= error:
            return name
    return ""


def _choose(largest: float, smallest: float, error: float) -> str:
    return _first(largest, smallest, error)


def _like(got: list[str], half: float = 0.5, bottom: str = "smallest_normal", top: bool = True) -> bool:
    """Whether a function chooses in every case as one with a known error does."""
    return got == [_first(*case, half, bottom, top).replace("_", "") for case in _CASES]


def _about(got: float, value: float) -> bool:
    return abs(got - value) <= 0.01 * value


def _weights(width: float) -> float:
    """How many thousand million numbers of ``width`` bytes an A100 holds."""
    return hs.hardware.device("A100").memory.value / width


def _milliseconds(arrays: int, width: int) -> float:
    """How long an A100 takes to move arrays of a thousand million numbers of ``width`` bytes."""
    return 1e3 * arrays * width / hs.hardware.device("A100").bandwidth.value


def _products(width: int, bits: int) -> float:
    """How many multiplications take the energy of one number of ``width`` bytes from DRAM."""
    return DRAM * width / PICOJOULES[bits][0]


EXERCISES = [
    Exercise(
        "bfloat16 whole",
        lambda: next(n for n in range(1, 2**12) if _kept(n) != n),
        [
            Hint(
                lambda got: got == 2049,
                "{got} is the first that float16 lacks, whose significand has 11 digits; that of bfloat16 has 8",
                "{got} 是 float16 缺的第一个整数，它的有效数有 11 位；bfloat16 只有 8 位",
            ),
            Hint(
                lambda got: got == 129,
                "bfloat16 has {got}: to the 7 digits that are stored comes the leading 1",
                "bfloat16 里有 {got}：除了存下来的 7 位，还有开头的 1",
            ),
            Hint(
                lambda got: 0 < got == _kept(got) and {"next": float(hs.next_up(got, "bfloat16"))},
                "bfloat16 has {got}; the number after it is {next}",
                "bfloat16 里有 {got}；它的下一个数是 {next}",
            ),
            Hint(
                lambda got: got > 257 and got == int(got) and {"kept": _kept(got)},
                "{got} is missing and becomes {kept}; but a smaller one is missing, too",
                "的确没有 {got}，它会变成 {kept}；但还有更小的整数也缺",
            ),
        ],
    ),
    Exercise(
        "choose a format",
        _choose,
        [
            Hint(
                lambda got: (
                    _like(got, top=False) and {"top": hs.float8_e4m3fn.max, "kept": _kept(3e4, "float8_e4m3fn")}
                ),
                "look at the top: float8_e4m3fn ends at {top}, and 30000 becomes {kept} in it",
                "看看上限：float8_e4m3fn 到 {top} 为止，30000 在其中变成 {kept}",
            ),
            Hint(
                lambda got: (
                    _like(got, bottom="smallest_subnormal")
                    and {"low": hs.float16.smallest_normal, "kept": _kept(1e-7, "float16")}
                ),
                "look at the bottom: 1e-07 becomes {kept:.3g} in float16, for below {low:.2g} it has fewer and fewer "
                "digits",
                "看看下限：1e-07 在 float16 里变成 {kept:.3g}，因为低于 {low:.2g} 时它的位数越来越少",
            ),
            Hint(
                lambda got: _like(got, half=1.0) and {"eps": hs.float8_e4m3fn.eps, "error": hs.float8_e4m3fn.eps / 2},
                "fmt.eps, {eps} for float8_e4m3fn, is the step from 1 to the next number; rounding is off by half a "
                "step at most: {error}",
                "fmt.eps 是从 1 到下一个数的步长，float8_e4m3fn 的是 {eps}；舍入最多差半步：{error}",
            ),
        ],
        cases=_CASES,
    ),
    Exercise(
        "weights on an A100",
        lambda: _weights(2),
        [
            Hint(
                lambda got: _about(got, _weights(4)),
                "{got:.4g} thousand million is for numbers of 4 bytes; half takes 2",
                "{got:.4g} 十亿是每个数 4 字节的结果；半精度只要 2 字节",
            ),
            Hint(
                lambda got: _about(got, _weights(1)),
                "{got:.4g} thousand million is for numbers of 1 byte, as in fp8; half takes 2",
                "{got:.4g} 十亿是每个数 1 字节的结果，那是 fp8；半精度要 2 字节",
            ),
            Hint(
                lambda got: _about(got, 2 * _weights(1)),
                "{got:.4g} is bytes times 2: the more bytes a number takes, the fewer fit",
                "{got:.4g} 是字节数乘以 2：每个数占的字节越多，装得下的越少",
            ),
            Hint(
                lambda got: _about(got, 1e9 * _weights(2)),
                "right, but count in thousand millions: divide by 1e9",
                "数对了，但单位是十亿：除以 1e9",
            ),
        ],
        close=0.005,
    ),
    Exercise(
        "adding on an A100",
        lambda: _milliseconds(3, 2),
        [
            Hint(
                lambda got: _about(got, _milliseconds(2, 2)),
                "{got:.3g} ms is for the two arrays that are read; the sum must be written, too",
                "{got:.3g} 毫秒只够读两个数组；和也要写回去",
            ),
            Hint(
                lambda got: _about(got, _milliseconds(3, 4)),
                "{got:.3g} ms is for float32; a half has 2 bytes",
                "{got:.3g} 毫秒是 float32 的；半精度数是 2 字节",
            ),
            Hint(
                lambda got: _about(got, _milliseconds(3, 2) / 1e3),
                "{got:.3g} is in seconds; milliseconds are asked for",
                "{got:.3g} 的单位是秒；这里要毫秒",
            ),
            Hint(
                lambda got: got < 0.1 and {"ops": 1e9},
                "{got:.3g} ms may do for {ops:.0e} additions, but not for bringing the numbers there: count bytes and "
                "divide by the bandwidth",
                "{got:.3g} 毫秒也许够做 {ops:.0e} 次加法，但不够把数搬过来：数一数字节，再除以带宽",
            ),
        ],
        close=0.005,
    ),
    Exercise(
        "a number's way",
        lambda: _products(2, 16),
        [
            Hint(
                lambda got: _about(got, _products(4, 16)),
                "{got:.4g} is right for fetching 4 bytes; a half has 2",
                "{got:.4g} 是取 4 字节的结果；半精度数是 2 字节",
            ),
            Hint(
                lambda got: _about(got, _products(2, 32)),
                "{got:.3g} is the multiplications of float32; take those of half, which are cheaper",
                "{got:.3g} 用的是 float32 的乘法；半精度的乘法更省",
            ),
            Hint(
                lambda got: _about(got, _products(1, 16)),
                "{got:.4g} is for a single byte; a half has 2",
                "{got:.4g} 只算了一个字节；半精度数是 2 字节",
            ),
            Hint(
                lambda got: 0 < got < 1,
                "{got:.2g} is the multiplication as a part of the fetch; turn the quotient round",
                "{got:.2g} 是乘法占取数的几分之几；把商倒过来",
            ),
        ],
        close=0.005,
    ),
]
