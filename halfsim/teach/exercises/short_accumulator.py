"""Lesson 15: the short accumulator."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import halfsim as hs
from halfsim.teach.exercise import Exercise, Hint

_UNIT = "H100:fp8_e4m3"
_STOOD = 3000.0
_LEAST = 0.01  # of what may be lost


def _apart(precision: int) -> float:
    return float(hs.ulp(_STOOD, hs.Format(f"e8m{precision - 1}", 8, precision)))


def _product(a: Any, b: Any, accumulate: str) -> Any:
    with hs.precision(f"storage=fp32, operands=fp8_e4m3, accumulate={accumulate}"):
        return (hs.tensor(a) @ hs.tensor(b)).numpy()


@cache
def _stop(accumulate: str) -> float:
    ones = np.ones((1, 20_000))
    return float(_product(ones, ones.T, accumulate).item())


def _drawn(seed: int, depth: int, every: int) -> tuple[Any, Any, int]:
    rng = np.random.default_rng(seed)
    return (*(hs.round_to(rng.random(shape), "fp8_e4m3") for shape in ((3, depth), (depth, 2))), every)


_CASES = [_drawn(1, 512, 128), _drawn(2, 300, 128), _drawn(3, 200, 32)]


def _whole_blocks(a: Any, b: Any, every: int) -> Any:
    """Promotion written out, without the last block where it is shorter."""
    total = np.zeros((len(a), b.shape[1]), np.float32)
    for k in range(0, len(b) // every * every, every):
        total += hs.hardware.device("H100").matmul(a[:, k : k + every], b[k : k + every], 0.0, "fp8_e4m3")
    return total


def _like(got: list[Any], wrong: Any) -> bool:
    """Whether a function gives for every case what a wrong one gives."""
    return all(np.array_equal(x, wrong(*case)) for x, case in zip(got, _CASES, strict=True))


@cache
def _lost(every: int) -> float:
    """The share that is lost of sums of 4096 positive products, on average."""
    rng = np.random.default_rng(15)
    a, b = rng.random((16, 4096)), rng.random((4096, 16))
    return float(1 - (_product(a, b, f"{_UNIT}:blocked({every})") / _product(a, b, "exact")).mean())


def _loses(got: Any) -> dict[str, float]:
    return {"lost": 100 * _lost(int(got)), "most": 100 * _LEAST}


def _seldom() -> int:
    return max(2**n for n in range(5, 13) if _lost(2**n) < _LEAST)


EXERCISES = [
    Exercise(
        "ulp of a short sum",
        lambda: _apart(14),
        [
            Hint(
                lambda got: got == _apart(11),
                "{got} is one step of float16, which has 11 bits: hs.ulp(3000, 'float16')",
                "{got} 是 float16 的一步，它有 11 位：hs.ulp(3000, 'float16')",
            ),
            Hint(
                lambda got: got == _apart(24),
                "{got} is one step of float32; of this sum 14 bits are kept, not 24",
                "{got} 是 float32 的一步；这个和只保留 14 位，不是 24 位",
            ),
            Hint(
                lambda got: got in (_apart(13), _apart(15)),
                "{got} is a factor of two off: the leading 1 is one of the 14 bits, so 13 are behind the point",
                "{got} 差了一倍：最前面的 1 也算在 14 位里，小数点后是 13 位",
            ),
            Hint(
                lambda got: got == 2.0**-13,
                "{got} is the step at 1; 3000 = 1.46... x 2^11, where steps are 2^11 times as long",
                "{got} 是 1 处的一步；3000 = 1.46... x 2^11，那里的一步是它的 2^11 倍",
            ),
        ],
    ),
    Exercise(
        "short sum of ones",
        lambda: _stop(_UNIT),
        [
            Hint(
                lambda got: got == _stop("fp16:sequential"),
                "{got} is where float16 stops, with 11 bits; here 14 are kept",
                "{got} 是 float16 停下的地方，它有 11 位；这里保留 14 位",
            ),
            Hint(
                lambda got: got == 2.0**24,
                "{got} is where float32 stops; the sum is handed out as float32, but 14 bits of it are kept",
                "{got} 是 float32 停下的地方；和虽以 float32 交出，却只保留 14 位",
            ),
            Hint(
                lambda got: got == _stop(_UNIT) / 2 and {"apart": float(hs.ulp(got, hs.Format("e8m13", 8, 14)))},
                "at {got} the numbers are {apart} apart: a product of 1 can still be added",
                "在 {got} 处相邻两数相距 {apart}：乘积 1 还加得进去",
            ),
        ],
    ),
    Exercise(
        "own promotion",
        lambda a, b, every: _product(a, b, f"{_UNIT}:blocked({every})"),
        [
            Hint(
                lambda got: _like(got, lambda a, b, every: _product(a, b, _UNIT)),
                "yours is what the unit gives without promotion: each block starts from 0.0, not from the total, and is "
                "as long as `every`",
                "你的结果就是单元不做提升的结果：每一块都要从 0.0 开始，而不是从总和开始；块长是 `every`",
            ),
            Hint(
                lambda got: _like(got, _whole_blocks),
                "right where all blocks are whole; 300 products make two blocks of 128 and one of 44, which you leave out",
                "各块都完整时是对的；300 个乘积分成两块 128 个和一块 44 个，最后这块你漏掉了",
            ),
            Hint(
                lambda got: all(np.allclose(x, a @ b, rtol=1e-6, atol=0)
                                for x, (a, b, _) in zip(got, _CASES, strict=True)),
                "yours is the exact product: each block has to come from H100.matmul",
                "你的是精确的乘积：每一块都要由 H100.matmul 来算",
            ),
        ],
        cases=_CASES,
    ),
    Exercise(
        "promotion interval",
        _seldom,
        [
            Hint(
                lambda got: got in [2**n for n in range(5, 13)] and got < _seldom() and _loses(got),
                "every {got} it loses {lost:.2f} %, which would do; but half as often still loses less than {most:.0f} %",
                "每 {got} 个提升一次，损失 {lost:.2f} %，够用；但次数再少一半，损失也还不到 {most:.0f} %",
            ),
            Hint(
                lambda got: got in [2**n for n in range(5, 13)] and got > _seldom() and _loses(got),
                "every {got} it loses {lost:.2f} %, more than {most:.0f} %",
                "每 {got} 个提升一次，损失 {lost:.2f} %，超过了 {most:.0f} %",
            ),
            Hint(
                lambda got: got == 4096 / _seldom(),
                "{got} is how many blocks there are; how many products does each have?",
                "{got} 是块数；每块有多少个乘积？",
            ),
        ],
    ),
]  # fmt: skip
