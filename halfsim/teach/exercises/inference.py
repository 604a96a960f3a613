"""Lesson 9: inference in half."""

from __future__ import annotations

import base64
import json
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import halfsim as hs
from halfsim.teach.exercise import Exercise, Hint

FILE = Path(__file__).with_name("inference.json")


@cache
def _stored() -> dict[str, Any]:
    held: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return held


def _unpacked(name: str, kind: Any) -> Any:
    return np.frombuffer(zlib.decompress(base64.b64decode(_stored()[name])), kind)


def detector() -> tuple[dict[str, Any], Any]:
    """The weights of a text detector's last layers by name, and what goes into them: an array (1, 24, 13, 20).

    From PP-OCRv4 as in rapidocr_onnxruntime 1.4.4 (Apache-2.0): an extract, at one point in sixteen.
    """
    held = _stored()
    weights = {name: np.array(held[name], np.float32) for name in held if "." in name and name != "mix.weight"}
    weights["mix.weight"] = _unpacked("mix.weight", np.float32).reshape(24, 24, 1, 1)
    weights["out.weight"] = weights["out.weight"].reshape(1, 24, 1, 1)
    weights |= {f"{name}.num_batches_tracked": np.array(0) for name in ("norm1", "norm2")}
    return weights, (_unpacked("steps", np.int8).reshape(1, *held["shape"]) * np.float32(held["unit"]))


def page() -> Any:
    """The page that the inputs are made of: two lines of digits, black (0) on white (1), as an array (104, 400)."""
    images = hs.data.digits().x_train[:32].reshape(32, 8, 8)
    paper = np.ones((104, 400))
    for i, image in enumerate(images / images.max()):
        top, left = 8 + 48 * (i // 16), 16 + 24 * (i % 16)
        paper[top : top + 24, left : left + 24] = 1 - np.kron(image, np.ones((3, 3)))
    return paper


def _part(name: str) -> Any:
    return np.float64(detector()[0][f"norm1.{name}"])


def _output(channel: int, x: float = 5000.0) -> float:
    """What the layer gives in float32 for an input."""
    mean, var, weight, bias = (_part(name)[channel] for name in ("running_mean", "running_var", "weight", "bias"))
    return float((x - mean) / np.sqrt(var + 1e-5) * weight + bias)


def _near(got: float, value: float) -> bool:
    return bool(np.isclose(got, value, rtol=2e-3, atol=0.0))


def _largest() -> float:
    return float(_part("running_var").max())


def _fold(
    weight: Any,
    bias: Any,
    mean: Any,
    var: Any,
    root: bool = True,
    eps: float = 1e-5,
    sign: int = -1,
    scaled: bool = True,
) -> Any:
    factor = weight / (np.sqrt(var + eps) if root else var + eps)
    return factor, bias + sign * mean * (factor if scaled else 1.0)


_CASES: list[tuple[Any, ...]] = [
    tuple(np.array(vector) for vector in case)
    for case in (
        ([1.0, 2.0], [0.5, -1.0], [3.0, -300.0], [4.0, 1e7]),
        ([0.5], [0.0], [1.0], [3e-5]),
        ([0.9], [0.4], [-200.0], [43844632.0]),
    )
]


def _like(got: Any, **wrong: Any) -> bool:
    """Whether a function gives for every case what one with a known error gives."""
    return all(np.allclose(a, _fold(*case, **wrong), rtol=1e-5, atol=0) for a, case in zip(got, _CASES, strict=True))


_WEIGHTS, _KEPT = 1_171_841, 24

EXERCISES = [
    Exercise(
        "largest spread",
        lambda: max(n for n in range(1000) if n**2 <= hs.float16.max),
        [
            Hint(
                lambda got: got == 256,
                "256 squared is 65536: more than 65504, and float16 makes it infinite",
                "256 的平方是 65536，超过 65504，在 float16 里变成无穷大",
            ),
            Hint(
                lambda got: got == 65504,
                "65504 is the largest variance; its root is asked for",
                "65504 是最大的方差；这里问的是它的平方根",
            ),
            Hint(
                lambda got: 255 < got < 256,
                "{got} is the root of about 65504; the largest whole number below it is asked for",
                "{got} 大约是 65504 的平方根；这里要的是不超过它的最大整数",
            ),
            Hint(
                lambda got: 0 < got < 255 and {"square": got**2, "next": got + 1, "more": (got + 1) ** 2},
                "the square of {got} is {square}, and there is room for more: {next} has {more}",
                "{got} 的平方是 {square}，还有余地：{next} 的平方是 {more}",
            ),
        ],
    ),
    Exercise(
        "blind output",
        lambda: float(np.float16(_part("bias")[3])),
        [
            Hint(
                lambda got: got == 0,
                "0 is what the division leaves; then come * weight and + bias",
                "0 只是除法的结果；后面还要 * weight 和 + bias",
            ),
            Hint(
                np.isnan,
                "no NaN: a finite number over infinity is 0; only inf / inf and 0 x inf are NaN",
                "不是 NaN：有限的数除以无穷大得 0；inf / inf 和 0 x inf 才是 NaN",
            ),
            Hint(
                lambda got: _near(got, _output(3)),
                "{got:.4f} is what the float32 layer gives; put infinity in the place of the variance",
                "{got:.4f} 是 float32 的层给出的；把方差换成无穷大再算",
            ),
            Hint(
                lambda got: _near(got, float(_part("bias")[2])),
                "{got:.4f} is the answer of channel 2: channels are counted from 0",
                "{got:.4f} 是通道 2 的答案：通道从 0 数起",
            ),
        ],
        close=1e-3,
    ),
    Exercise(
        "clipped factor",
        lambda: float(np.sqrt(_largest() / hs.float16.max)),
        [
            Hint(
                lambda got: _near(got, _largest() / hs.float16.max),
                "{got:.0f} is the factor of the variances; the layer divides by their root",
                "{got:.0f} 是方差之间的倍数；这一层除以的是方差的平方根",
            ),
            Hint(
                lambda got: _near(got, float(np.sqrt(hs.float16.max / _largest()))),
                "{got:.4f} is the inverse: to divide by too small a number gives too large a result",
                "{got:.4f} 弄反了：除数太小，结果会太大",
            ),
            Hint(
                lambda got: _near(got, float(np.sqrt(_part("running_var").min() / hs.float16.max))),
                "{got:.1f} belongs to the smallest of the variances, 10,484,697",
                "{got:.1f} 属于最小的方差 10,484,697",
            ),
            Hint(
                lambda got: _near(got, float(np.sqrt(_largest()))),
                "{got:.0f} is the root of the variance; how often does the root of 65504 go into it?",
                "{got:.0f} 是方差的平方根；它是 65504 的平方根的多少倍？",
            ),
        ],
        close=1e-3,
    ),
    Exercise(
        "fold the norm",
        _fold,
        [
            Hint(
                lambda got: _like(got, root=False),
                "you divide by the variance; the layer divides by its root",
                "你除以的是方差；这一层除以的是方差的平方根",
            ),
            Hint(
                lambda got: _like(got, eps=0.0) and {"factor": float(got[1][0][0])},
                "for a variance of 0.00003 your factor is {factor:.1f}: the layer adds eps = 0.00001 before the root",
                "方差为 0.00003 时你的 factor 是 {factor:.1f}：这一层在开方之前加了 eps = 0.00001",
            ),
            Hint(
                lambda got: _like(got, scaled=False),
                "your factors are right; but x - mean is multiplied as a whole, so the mean must be multiplied too",
                "你的 factor 是对的；但乘的是整个 x - mean，所以 mean 也要乘上 factor",
            ),
            Hint(
                lambda got: _like(got, sign=1),
                "your factors are right; the mean is taken off, so its share of the shift is negative",
                "你的 factor 是对的；mean 是减去的，它在 shift 里应当是负的",
            ),
            Hint(
                lambda got: all(np.allclose(a[::-1], _fold(*case)) for a, case in zip(got, _CASES, strict=True)),
                "right, but in the other order: return factor first, then shift",
                "数都对，但顺序反了：先返回 factor，再返回 shift",
            ),
        ],
        close=1e-6,
        cases=_CASES,
    ),
    Exercise(
        "bytes of the detector",
        lambda: 2 * (_WEIGHTS - _KEPT) + 4 * _KEPT,
        [
            Hint(
                lambda got: got == 2 * _WEIGHTS,
                "{got} is with all in half: 24 of them take 4 bytes each",
                "{got} 是全部用半精度的字节数：其中 24 个各占 4 字节",
            ),
            Hint(
                lambda got: got == 4 * _WEIGHTS,
                "{got} is with all in float32: a float16 has 2 bytes",
                "{got} 是全部用 float32 的字节数：一个 float16 只有 2 字节",
            ),
            Hint(
                lambda got: got == 2 * _WEIGHTS + 4 * _KEPT,
                "you count the 24 twice: they are not in half any more, so take them off first",
                "那 24 个你数了两遍：它们已经不是半精度，要先减去",
            ),
            Hint(
                lambda got: got == 8 * (2 * (_WEIGHTS - _KEPT) + 4 * _KEPT),
                "{got} are bits; a byte has eight of them",
                "{got} 是位数；一个字节有八位",
            ),
        ],
    ),
]
