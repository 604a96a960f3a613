"""The short accumulator of Hopper's fp8 products, and what taking the sum out every 128 products mends.

The DeepSeek-V3 report says that H100's unit keeps about 14 bits of a running sum of fp8 products. The unit's row of
numbers (`halfsim.hardware.units`) says the same, and how: every product is cut at the sum's last place. All errors here
are those of the unit: products of fp8 numbers are multiples of 2**-18, so that NumPy's float64 forms the same sums
without error. What rounding the data to fp8 costs is measured beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import log, sqrt

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.autograd.scope import precision
from halfsim.gallery.literature.result import Claim, Paper
from halfsim.gallery.said import Said
from halfsim.hardware.devices import device
from halfsim.hardware.matrix_unit import matmul, rows
from halfsim.hardware.units import Unit
from halfsim.numerics.formats import Format, as_format
from halfsim.numerics.neighbours import ulp
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array, round_to

PAPER = Paper(
    "hopper",
    Said(
        "Hopper's short fp8 accumulator: sums of 4096 positive products come out 6.6 % too small",
        "Hopper 的 fp8 累加器太短：4096 个正的乘积相加，结果小了 6.6 %",
    ),
    "DeepSeek-V3 Technical Report",
    "DeepSeek-AI",
    2024,
    "https://arxiv.org/abs/2412.19437",
    question=Said(
        "How much of a long sum of fp8 products does H100's tensor core lose, and does adding up in float32 every 128 "
        "products mend it?",
        "H100 的张量核心在一长串 fp8 乘积的和里丢掉多少？每 128 个乘积就转到 float32 里累加，能修好吗？",
    ),
)
SEEDS = 5

FP8 = as_format("fp8_e4m3")
UNIT = "H100:fp8_e4m3"
ROW = rows("hopper")["fp8_e4m3", "fp32"]
EVERY = 128  # products between two promotions: four instructions of 32
SHORT = Format("e8m13", exponent_bits=8, precision=14)  # what the unit keeps of a sum
SIDE, DEPTH = 128, 4096  # C is 128 x 128, of sums of 4096 products
ROUNDED = 100 * sqrt(2) * 2.0**-3 / sqrt(12) * sqrt(3 / (8 * log(2)))  # percent: an ulp in [1, 2), and rms of 1 / x
LENGTHS = (512, 1024, 2048, 4096, 8192)


def accumulated(a: Array, b: Array, accumulate: str, rounding: str = "nearest_even") -> Array:
    """``a @ b`` (M, N) of numbers rounded to fp8, added up as the words say, in float64; ``rounding`` is of its steps."""
    with precision(Precision(storage="fp32", operands=FP8, accumulate=accumulate, rounding=rounding)):
        return np.asarray((tensor(a) @ tensor(b)).numpy(), np.float64)


def bits_kept(name: str) -> int:
    """How many bits a device's unit keeps of what it adds, the first of the largest product included.

    The least x = 2**(16 - k) that comes out of 2**16 + x - 2**16 in one step is a product of two powers of two of fp8.

    >>> bits_kept("H100"), bits_kept("B200")
    (14, 26)
    """
    unit, top = device(name), 2.0**8
    halves = [(k, 2.0 ** ((16 - k) // 2), 2.0 ** (16 - k - (16 - k) // 2)) for k in range(1, 34)]
    return 1 + max(k for k, x, y in halves if unit.matmul([top, x, -top], [top, y, top], 0.0, FP8))


@dataclass(frozen=True)
class Operands:
    """Two matrices (M, K) and (K, N), their product as it would be without any rounding, and that of fp8 numbers."""

    a: Array
    b: Array

    @cached_property
    def narrow(self) -> tuple[Array, Array]:
        """Both rounded to fp8, in float64."""
        return np.asarray(round_to(self.a, FP8), np.float64), np.asarray(round_to(self.b, FP8), np.float64)

    @cached_property
    def exact(self) -> Array:
        """The exact product of the fp8 numbers."""
        return self.narrow[0] @ self.narrow[1]

    @cached_property
    def quantised(self) -> Array:
        """The error that rounding to fp8 makes, whatever the accumulator."""
        return self.exact - self.a @ self.b

    def off(self, accumulate: str, rounding: str = "nearest_even") -> Array:
        """The error that an accumulator makes beside it."""
        return accumulated(*self.narrow, accumulate, rounding) - self.exact

    def off_on(self, row: Unit) -> Array:
        """The error of a unit that no device has."""
        return np.asarray(matmul(row, *self.narrow), np.float64) - self.exact

    def mean(self, error: Array) -> float:
        """The mean error, in percent of the mean magnitude."""
        return float(100 * error.mean() / np.abs(self.exact).mean())

    def largest(self, error: Array, of: Callable[[Array], float] = np.max) -> float:
        """The largest error, in percent of the largest magnitude, or of another measure of them."""
        return float(100 * np.abs(error).max() / of(np.abs(self.exact)))

    def rms(self, error: Array) -> float:
        """The root mean square of the error, in percent of that of the product."""
        return float(100 * np.linalg.norm(error) / np.linalg.norm(self.exact))

    def half_ulps(self) -> float:
        """The mean of half an ulp of a 14-bit running sum, added up over the steps of 32, in percent of the mean sum."""
        a, b = self.narrow
        steps = [a[:, k : k + 32] @ b[k : k + 32] for k in range(0, a.shape[1] - 32, 32)]
        running = np.cumsum(steps, axis=0)
        return float(100 * ulp(running, SHORT).sum(0).mean() / 2 / np.abs(self.exact).mean())


def drawn(kind: str, seed: int, side: int, depth: int) -> Operands:
    """Operands (side, depth) and (depth, side), "positive" ones even in [0, 1), or "normal" ones."""
    rng = np.random.default_rng(seed)
    draw: Callable[[tuple[int, int]], Array] = rng.random if kind == "positive" else rng.standard_normal
    return Operands(draw((side, depth)), draw((depth, side)))


def _positive(seed: int, side: int) -> dict[str, float]:
    """Errors of products of positive numbers, by name."""
    data = drawn("positive", seed, side, DEPTH)
    unit, promoted = data.off(UNIT), data.off(f"{UNIT}:blocked({EVERY})")
    steps = f"{SHORT.spelled}:blocked(32)"
    down, half = data.mean(data.off(steps, "toward_zero")), data.half_ulps()
    exact = np.abs(data.exact)
    return {
        "unit": data.mean(unit),
        "promoted": data.mean(promoted),
        "promoted largest": float(100 * (np.abs(promoted) / exact).max()),
        "ada": data.mean(data.off("RTX 4090:fp8_e4m3")),
        "blackwell": data.mean(data.off("B200:fp8_e4m3")),
        "register": data.mean(data.off_on(replace(ROW, digits=24))),
        "products": data.mean(data.off_on(replace(ROW, fraction=25))),
        "a step": -down / half,
        "a product": -data.mean(unit) / (32 * half),
        "nearest": data.mean(data.off(steps)),
        "against quantisation": data.rms(unit) / data.rms(data.quantised),
    }


def _normal(seed: int, side: int) -> dict[str, float]:
    """The same of normal numbers."""
    data = drawn("normal", seed, side, DEPTH)
    unit, promoted = data.off(UNIT), data.off(f"{UNIT}:blocked({EVERY})")
    return {
        "of the largest": data.largest(unit),
        "of the mean": data.largest(unit, np.mean),
        "promoted": data.largest(promoted, np.mean),
        "quantisation": data.rms(data.quantised),
        "against the unit": data.rms(data.quantised) / data.rms(unit),
    }


def growth(kind: str, seed: int, side: int) -> list[float]:
    """The error of the unit in percent for each of `LENGTHS`: the mean of positive numbers, the rms of normal ones."""
    found = []
    for depth in LENGTHS:
        data = drawn(kind, seed, side, depth)
        found.append((data.mean if kind == "positive" else data.rms)(data.off(UNIT)))
    return found


def measure(seeds: int, small: bool = False) -> tuple[list[Claim], list[Said]]:
    """The claims with our values, one per seed, and sentences on what does not reproduce or is not shown."""
    side = SIDE // 8 if small else SIDE
    positive = [_positive(seed, side) for seed in range(seeds)]
    normal = [_normal(seed, side) for seed in range(seeds)]
    grown = {kind: [growth(kind, seed, side // 2) for seed in range(seeds)] for kind in ("positive", "normal")}

    def each(of: list[dict[str, float]], name: str) -> tuple[float, ...]:
        return tuple(one[name] for one in of)

    def ratio(kind: str) -> tuple[float, ...]:
        return tuple(one[-1] / one[-2] for one in grown[kind])

    claims = [
        Claim(
            Said("bits that H100's unit keeps of a sum of fp8 products", "H100 的单元给 fp8 乘积之和保留的位数"),
            (bits_kept("H100"),), 14, 14, 14.0, Said("section 3.3.2", "3.3.2 节"), digits=2,
        ),
        Claim(
            Said("K = 4096, uniform in [0, 1): mean error of the sums", "K = 4096，[0, 1) 上均匀：和的平均误差"),
            each(positive, "unit"), -6.9, -6.3, None, Said("gives no number for such data", "没有给这种数据的数值"), "%",
        ),
        Claim(
            Said("K = 4096, normal: largest error, of the largest |C|", "K = 4096，正态：最大误差，相对最大的 |C|"),
            each(normal, "of the largest"), 0.30, 0.38, None,
            Said("gives no number in this measure", "没有用这种度量的数值"), "%",
        ),
        Claim(
            Said("K = 4096, normal: largest error, of the mean |C|", "K = 4096，正态：最大误差，相对平均的 |C|"),
            each(normal, "of the mean"), 1.5, 2.0, 2.0,
            Said('section 3.3.2: "nearly 2 %", of random matrices, by a measure it does not name',
                 "3.3.2 节：随机矩阵，“将近 2 %”，没有说明用哪种度量"), "%",
        ),
        Claim(
            Said("uniform, promoted to float32 every 128: largest relative error",
                 "均匀，每 128 个转入 float32：最大相对误差"),
            each(positive, "promoted largest"), 0.055, 0.085, None,
            Said("section 3.3.2 chooses 128 and gives no error", "3.3.2 节选了 128，没有给误差"), "%",
        ),
        Claim(
            Said("normal, promoted to float32 every 128: largest error, of the mean |C|",
                 "正态，每 128 个转入 float32：最大误差，相对平均的 |C|"),
            each(normal, "promoted"), 0.055, 0.085, None,
            Said("section 3.3.2 chooses 128 and gives no error", "3.3.2 节选了 128，没有给误差"), "%",
        ),
        Claim(
            Said("uniform: mean error with K = 8192, over that with 4096", "均匀：K = 8192 的平均误差与 4096 的之比"),
            ratio("positive"), 1.9, 2.2, 2.0,
            Said("in proportion to K: half an ulp is lost a product, and an ulp grows with the sum",
                 "与 K 成正比：每个乘积丢半个 ulp，而 ulp 随和增大"),
        ),
        Claim(
            Said("normal: rms error with K = 8192, over that with 4096", "正态：K = 8192 的均方根误差与 4096 的之比"),
            ratio("normal"), 1.3, 1.6, 2**0.5,
            Said("sqrt(2) for cuts of either sign at a sum that grows as sqrt(K); more while some products have no bits below the cut",
                 "sqrt(2)：截断有正有负，和按 sqrt(K) 增大；若有些乘积在截断处以下没有位，则更大"),
        ),
        Claim(
            Said("uniform, 14 bits toward zero after every 32 exact products: loss in half ulps a step",
                 "均匀，每 32 个精确乘积之后按 14 位向零舍入：每步的损失，以半个 ulp 计"),
            each(positive, "a step"), 0.95, 1.05, 1.0,
            Said("a cut loses half an ulp on average", "截断平均丢半个 ulp"),
        ),
        Claim(
            Said("uniform, H100: loss in half ulps a product", "均匀，H100：每个乘积的损失，以半个 ulp 计"),
            each(positive, "a product"), 0.7, 1.0, 1.0,
            Said("half an ulp on average; less where a product has no bits below the cut", "平均半个 ulp；乘积在截断处以下没有位时则更少"),
        ),
        Claim(
            Said("uniform, 14 bits to nearest after every 32 exact products: mean error",
                 "均匀，每 32 个精确乘积之后按 14 位就近舍入：平均误差"),
            each(positive, "nearest"), -0.005, 0.005, 0.0, Said("errors of both signs", "误差有正有负"), "%", 1,
        ),
        Claim(
            Said("uniform, products cut at 14 bits, the sum kept in 24: mean error",
                 "均匀，乘积截到 14 位，和保留 24 位：平均误差"),
            each(positive, "register"), -6.9, -6.3, None,
            Said("section 3.5.2: each product is cut, and the register has 14 bits",
                 "3.5.2 节：每个乘积都被截断，寄存器也只有 14 位"), "%",
        ),
        Claim(
            Said("uniform, products cut at 26 bits, the sum kept in 14: mean error",
                 "均匀，乘积截到 26 位，和保留 14 位：平均误差"),
            each(positive, "products"), -0.3, -0.22, None,
            Said("half an ulp a step: a 32nd of half an ulp a product", "每步半个 ulp：是每个乘积半个 ulp 的 1/32"), "%",
        ),
        Claim(
            Said("uniform, RTX 4090's unit: mean error", "均匀，RTX 4090 的单元：平均误差"),
            each(positive, "ada"), -6.9, -6.3, None, Said("not in the paper", "论文中没有"), "%",
        ),
        Claim(
            Said("uniform, B200's unit, which keeps 26 bits: mean error", "均匀，B200 的单元（保留 26 位）：平均误差"),
            each(positive, "blackwell"), -0.0003, 0.0, None,
            Said("at most half an ulp of float32 a step, 0.00025 %", "每步至多半个 float32 的 ulp，即 0.00025 %"), "%", 2,
        ),
        Claim(
            Said("normal: what rounding the data to fp8 costs, rms", "正态：把数据舍入到 fp8 的代价，均方根"),
            each(normal, "quantisation"), 3.5, 4.0, ROUNDED,
            Said("sqrt(2) times the rms of rounding a number of evenly spread logarithm to four bits",
                 "对数均匀分布的一个数舍入到四位，其均方根误差乘以 sqrt(2)"), "%",
        ),
        Claim(
            Said("normal: that error over the accumulator's, rms", "正态：这一误差与累加器误差之比，均方根"),
            each(normal, "against the unit"), 20, 40, None, Said("not in the paper", "论文中没有"),
        ),
        Claim(
            Said("uniform: the accumulator's error over that of rounding the data, rms",
                 "均匀：累加器误差与数据舍入误差之比，均方根"),
            each(positive, "against quantisation"), 60, 150, None, Said("not in the paper", "论文中没有"),
        ),
    ]  # fmt: skip
    return claims, NOT_SHOWN


NOT_SHOWN = [
    Said(
        'The paper names neither the data nor the measure of its "nearly 2 %". Of the readings that we tried, the largest '
        "error over the mean |C| of normal matrices comes nearest, and was chosen for that; it is the largest of 128 x 128 "
        "sums, and of more sums it would be larger. Element by element the relative error of normal data has no bound, for "
        "some sums are close to 0.",
        "论文没有说明“将近 2 %”用的是什么数据、什么度量。在试过的几种理解中，正态矩阵的最大误差除以平均的 |C| 最接近，因此选了它；"
        "这是 128 x 128 个和中的最大值，和越多，最大值也越大。对正态数据逐个元素算相对误差则没有上界，因为有些和接近 0。",
    ),
    Said(
        'Where the paper has no number, and for its "nearly 2 %", a range was set after a first look at our own figures: '
        '"reproduced" says there that a figure holds from seed to seed, not that somebody else found it.',
        "论文没有给数值的各行，以及“将近 2 %”那一行，范围是先看过一遍我们自己的数值之后定下的：那里的“重现”只表示换种子数值仍成立，并不表示别人也得到过。",
    ),
    Said(
        "The unit is a model: of 5,000 outputs that were published of an H100's fp8 unit it has none wrong, and none were "
        "recorded here. A library may split K, and add in another order than the unit alone.",
        "单元是一个模型：已发表的 H100 fp8 单元的 5000 个输出，它没有一个算错；本项目没有自己录过。程序库可能会切分 K，相加的次序会与单个单元不同。",
    ),
    Said(
        "Scales for every 128 numbers, which the paper multiplies in when it promotes, are left out, to keep the "
        "accumulator's error apart. Nor is it shown what promotion costs in time, or what the error does to training.",
        "论文在转入 float32 时还乘上每 128 个数一个的缩放因子；这里略去，以便单看累加器的误差。转入要花多少时间、误差对训练有什么影响，这里也没有展示。",
    ),
]
