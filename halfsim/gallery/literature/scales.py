"""How the scale of a block is rounded: what each rule costs on normal numbers, and a character model trained in each."""

from __future__ import annotations

from functools import cache
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from halfsim import nn, optim
from halfsim.autograd import ops
from halfsim.autograd.function import Function
from halfsim.autograd.making import tensor
from halfsim.autograd.random import manual_seed
from halfsim.autograd.scope import no_grad, precision
from halfsim.autograd.tensor import Tensor
from halfsim.gallery.literature.result import Claim, Paper
from halfsim.gallery.said import NOTHING, Said
from halfsim.numerics.block_rounding import decode, encode, round_to
from halfsim.numerics.blocks import as_block_format
from halfsim.numerics.erf import erf
from halfsim.numerics.flags import Flag
from halfsim.numerics.rounding import Stochastic

Array = NDArray[Any]

PAPER = Paper(
    "scales",
    Said("The rule of the scale decides", "缩放因子怎样舍入，决定成败"),
    "Recipes for Pre-training LLMs with MXFP8",
    "Asit Mishra et al.",
    2025,
    "https://arxiv.org/abs/2506.08027",
    Said(
        "Numbers of eight or four bits share a scale; does it matter whether that is rounded down, as the standard "
        "suggests, or up?",
        "八位或四位的数共用一个缩放因子；这个缩放因子像标准建议的那样向下取，还是向上取，要紧吗？",
    ),
)
SEEDS = 5

# Signal over error on normal numbers, dB, as measured once before; to be met within 0.05.
NORMAL = {
    "mxfp8_e4m3": 30.65,
    "mxfp8_e4m3(rule=ceil)": 31.54,
    "mxfp4": 18.79,
    "mxfp4(rule=ceil)": 18.74,
    "mxfp4(rule=even)": 19.02,
    "nvfp4": 20.43,
}
_COUNT, _LARGEST = 1 << 20, 5.0  # so many normal numbers, the largest of which is about that


class Lost(NamedTuple):
    """What a format loses: the signal over the error in dB, and the share of elements that are clipped."""

    decibels: float
    clipped: float


def lost(x: Array, spec: str) -> Lost:
    """What ``spec`` loses of ``x``, an array of floats in blocks along its last axis.

    >>> decibels, clipped = lost(np.array([1.0, 2.5, 7.0, 0.1]), "mxfp4")
    >>> round(decibels, 1), clipped
    (16.5, 0.25)
    """
    wide = np.asarray(x, np.float64)
    y, flags = round_to(wide, spec, return_flags=True)
    decibels = 10 * np.log10(np.sum(wide**2) / np.sum((y - wide) ** 2))
    return Lost(float(decibels), float(np.count_nonzero(flags & Flag.OVERFLOW) / wide.size))


@cache
def expected(spec: str) -> Lost:
    """What ``spec`` loses of independent normal numbers, by integration.

    While the largest magnitude of a block stays between two bounds its scale is the same. What its elements then add to
    the error is the integral over a block whose magnitudes are all below the upper bound, less that below the lower.
    """
    fmt = as_block_format(spec)
    largest = np.geomspace(1e-2, _LARGEST, 1 << 16)
    blocks = encode(largest[:, None], fmt)
    scales = decode(blocks.scales, fmt.scale)[:, 0] * blocks.second_scale
    at = np.flatnonzero(np.diff(scales))
    bounds = np.concatenate([[0.0], largest[at], [np.inf]])
    codes = decode(np.arange(1 << (fmt.element_bits - 1)), fmt.element)
    elements = codes[np.isfinite(codes)]  # from zero on; those below it mirror them
    middles = np.concatenate([[0.0], (elements[1:] + elements[:-1]) / 2, [np.inf]])
    error = clipped = 0.0
    for scale, low, high in zip(scales[np.append(at, -1)], bounds, bounds[1:], strict=False):
        for bound, sign in ((high, 1), (low, -1)):
            others = sign * _below(np.array(bound)) ** (fmt.block - 1)
            edges = np.minimum(middles * scale, bound)
            parts = _squared(edges[1:], elements * scale) - _squared(edges[:-1], elements * scale)
            error += float(2 * others * parts.sum())
            clipped += float(others * np.maximum(0, _below(np.array(bound)) - _below(np.array(fmt.largest * scale))))
    return Lost(float(-10 * np.log10(error)), clipped)


def _below(x: Array) -> Array:
    """The share of normal numbers whose magnitude is below ``x``."""
    return erf(x / np.sqrt(2))


def _squared(x: Array, c: Array) -> Array:
    """The integral of ``(v - c)**2`` over normal numbers ``v`` from 0 to ``x``, and a constant."""
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    finite = np.where(np.isinf(x), 0, x)
    return (1 + c**2) * _below(x) / 2 + (2 * c - finite) * density


# The text: sums of two numbers below a hundred, in words. It never ends, so that a model cannot learn it by heart.
_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
LETTERS = " -.abcdefghijklmnopqrstuvwxyz"
CONTEXT = 12
_RATE = 8e-3  # of learning, at first; it falls to zero in a line


def spelled(n: int) -> str:
    """A number from 0 to 199 in words.

    >>> spelled(142)
    'one hundred and forty-two'
    """
    if n < 20:
        return _ONES[n]
    if n < 100:
        return _TENS[n // 10 - 2] + (f"-{_ONES[n % 10]}" if n % 10 else "")
    return "one hundred" + (f" and {spelled(n % 100)}" if n % 100 else "")


def text(rng: np.random.Generator, sentences: int) -> Array:
    """Sums in words, such as "two and forty make forty-two. ", as places in `LETTERS`."""
    pairs = rng.integers(0, 100, (sentences, 2)).tolist()
    words = "".join(f"{spelled(a)} and {spelled(b)} make {spelled(a + b)}. " for a, b in pairs)
    return np.searchsorted(np.frombuffer(LETTERS.encode(), np.uint8), np.frombuffer(words.encode(), np.uint8))


class Recipe(NamedTuple):
    """How a model is trained: operands of its products, the precision of its last layer, how gradients are rounded.

    ``stochastic`` rounds gradients that go into products stochastically, and ``hadamard`` turns the operands of the
    products that give gradients of weights, as arXiv 2509.25149 does.
    """

    operands: str
    last: str = "operands=bfloat16"
    stochastic: bool = False
    hadamard: int = 0


RECIPES = {
    "float32": Recipe("float32", "operands=float32"),
    "bfloat16": Recipe("bfloat16"),
    "mxfp8 floor": Recipe("mxfp8_e4m3"),
    "mxfp8 ceil": Recipe("mxfp8_e4m3(rule=ceil)"),
    "mxfp4 floor": Recipe("mxfp4"),
    "mxfp4 ceil": Recipe("mxfp4(rule=ceil)"),
    "mxfp4 even": Recipe("mxfp4(rule=even)"),
    "mxfp4 even, last too": Recipe("mxfp4(rule=even)", "operands=mxfp4(rule=even)"),
    "mxfp4 even, last stochastic": Recipe("mxfp4(rule=even)", "operands=mxfp4(rule=even), rounding=stochastic"),
    "nvfp4": Recipe("nvfp4"),
    "nvfp4 recipe": Recipe("nvfp4", stochastic=True, hadamard=16),
}


class Rounded(NamedTuple):
    """How the three products of a layer round their operands: a block format, that of gradients of weights, a rounding."""

    operands: str
    turned: str
    gradients: object = "nearest_even"


def _on_grid(x: Tensor, spec: str, axis: int, rounding: object = "nearest_even") -> Tensor:
    return tensor(round_to(x.numpy(), spec, rounding, axis=axis))


class Product(Function):
    """``x @ w.T``, whose products round their operands each in its way: what one precision for all cannot say."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, how: Rounded) -> Tensor:
        """The product of both, rounded to nearest in blocks along the axis that is summed over."""
        ctx.save_for_backward(x, w)
        ctx.how = how
        return _on_grid(x, how.operands, 1) @ _on_grid(w, how.operands, 1).T

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None]:
        """Two products with the gradient, which each rounds in blocks of its own."""
        (x, w), how = ctx.saved_tensors, ctx.how
        into_x = _on_grid(g, how.operands, 1, how.gradients) @ _on_grid(w, how.operands, 0)
        into_w = _on_grid(g, how.turned, 0, how.gradients).T @ _on_grid(x, how.turned, 0)
        return into_x, into_w, None


class _Linear(nn.Linear):
    """A linear layer whose products are `Product`'s."""

    how: Rounded

    def forward(self, input: Any) -> Tensor:
        return Product.apply(input, self.weight, self.how) + self.bias


class Model(nn.Module):
    """Guesses the letter that follows `CONTEXT` letters: an embedding, two hidden layers, and the last (Bengio 2003)."""

    def __init__(self, recipe: Recipe, width: int, seed: int) -> None:
        super().__init__()
        own = recipe.stochastic or recipe.hadamard
        layer = _Linear if own else nn.Linear
        self.embedding = nn.Embedding(len(LETTERS), 8)
        self.first, self.second = layer(8 * CONTEXT, width), layer(width, width)
        self.last = nn.Linear(width, len(LETTERS))
        self.last.precision = recipe.last
        if own:
            turned = str(as_block_format(f"{recipe.operands}(hadamard={recipe.hadamard})"))
            draw = Stochastic(seed) if recipe.stochastic else "nearest_even"
            self.first.how = self.second.how = Rounded(recipe.operands, turned, draw)
        self.operands = "float32" if own else recipe.operands

    def forward(self, letters: Any) -> Tensor:
        with precision(f"operands={self.operands}"):
            x = ops.silu(self.first(self.embedding(letters).reshape(len(letters), -1)))
            return self.last(ops.silu(self.second(x)))


def _cut(letters: Array, at: Array) -> tuple[Tensor, Tensor]:
    """Pieces of a text that begin at ``at``, and the letter after each."""
    return tensor(letters[at[:, None] + np.arange(CONTEXT)]), tensor(letters[at + CONTEXT])


def trained(recipe: Recipe, seed: int, steps: int = 100, width: int = 64, batch: int = 96, unseen: int = 40) -> float:
    """The loss of a model on ``unseen`` sentences that are not trained on, in nats a letter.

    A seed draws the first weights, the text and batches, alike for all recipes. Weights, sums and the optimizer are in float32.
    """
    rng = np.random.default_rng(seed)
    letters, others = text(rng, 2000), text(np.random.default_rng(1000 + seed), unseen)
    manual_seed(seed)
    model = Model(recipe, width, seed)
    optimizer = optim.Adam(model.parameters(), lr=_RATE)
    for step in range(steps):
        x, y = _cut(letters, rng.integers(0, len(letters) - CONTEXT, batch))
        optimizer.zero_grad()
        nn.cross_entropy(model(x), y).backward()
        optimizer.param_groups[0]["lr"] = _RATE * (1 - step / steps)
        optimizer.step()
    with no_grad():
        x, y = _cut(others, np.arange(len(others) - CONTEXT))
        return float(nn.cross_entropy(model(x), y).item())


_BY_INTEGRATION = Said("by integration", "由积分得出")


def _normal(seeds: int, count: int) -> list[Claim]:
    """What formats and rules lose of normal numbers."""
    draws = [np.random.default_rng(seed).standard_normal(count) for seed in range(seeds)]
    found = {spec: [lost(x, spec) for x in draws] for spec in NORMAL}
    claims = [
        Claim(Said(f"{spec} on normal numbers: signal over error", f"{spec} 舍入正态数：信噪比"),
              tuple(one.decibels for one in found[spec]), middle - 0.05, middle + 0.05, expected(spec).decibels,
              _BY_INTEGRATION, "dB", 4)
        for spec, middle in NORMAL.items()
    ]  # fmt: skip
    for name, low, high in (("mxfp8_e4m3", 0.79, 0.99), ("mxfp4", -0.1, 0.0)):
        pairs = zip(found[f"{name}(rule=ceil)"], found[name], strict=True)
        theirs = expected(f"{name}(rule=ceil)").decibels - expected(name).decibels
        claims.append(
            Claim(Said(f"{name}: what rounding the scale up gains", f"{name}：缩放因子向上取的收益"),
                  tuple(a.decibels - b.decibels for a, b in pairs), low, high, theirs, _BY_INTEGRATION, "dB", 2)
        )  # fmt: skip
    for spec, low, high in (("mxfp8_e4m3", 0.8, 0.88), ("mxfp8_e4m3(rule=ceil)", 0.0, 0.0)):
        claims.append(
            Claim(Said(f"{spec}: elements clipped", f"{spec}：饱和的元素"),
                  tuple(100 * one.clipped for one in found[spec]), low, high, round(100 * expected(spec).clipped, 6),
                  _BY_INTEGRATION, "%", 2)
        )  # fmt: skip
    return claims


def _gap(found: dict[str, list[float]], name: str, than: str) -> tuple[float, ...]:
    """By how much the loss of one recipe is above that of another, in %, from the same weights and batches."""
    return tuple(100 * (a / b - 1) for a, b in zip(found[name], found[than], strict=True))


_CHINESE = {
    "mxfp4 even, last too": "mxfp4 even（含最后一层）",
    "mxfp4 even, last stochastic": "mxfp4 even（最后一层随机舍入）",
    "nvfp4 recipe": "nvfp4 方案",
}
# What is compared with what, the range in %, and what the papers say of it, or follows from the errors above.
_TRAINED = [
    ("bfloat16", "float32", -0.2, 0.2, None, NOTHING),
    ("mxfp8 ceil", "bfloat16", -0.5, 0.5, None, Said("matches it (abstract)", "与之相当（摘要）")),
    ("mxfp8 floor", "mxfp8 ceil", 0.0, 99.0, None, Said("worse; can diverge (abstract, version 1)", "更差，可能发散（摘要，第 1 版）")),
    ("mxfp4 even", "mxfp4 floor", -99.0, 0.0, None, Said("lower, if as on normal numbers", "若与正态数一致，则更低")),
    ("mxfp4 ceil", "mxfp4 floor", 0.0, 99.0, None, Said("higher, if as on normal numbers", "若与正态数一致，则更高")),
    ("nvfp4", "mxfp4 floor", -99.0, 0.0, None, Said("lower (arXiv 2509.25149)", "更低（arXiv 2509.25149）")),
    ("nvfp4 recipe", "nvfp4", -99.0, 0.0, None, Said("lower (arXiv 2509.25149)", "更低（arXiv 2509.25149）")),
    ("nvfp4 recipe", "float32", -1.5, 1.5, 1.5, Said("above FP8, late in training; arXiv 2509.25149", "训练后期，与 FP8 相比；arXiv 2509.25149")),
    ("mxfp4 even, last too", "mxfp4 even", 10.0, 999.0, None, Said("both papers keep the last layer wide", "两篇论文的最后一层都不用窄格式")),
    ("mxfp4 even, last stochastic", "mxfp4 even, last too", -99.0, 0.0, None, Said("lower: gradients are right on average", "更低：梯度平均起来是对的")),
]  # fmt: skip


def _told(found: dict[str, list[float]], undecided: list[str]) -> list[Said]:
    """What does not reproduce at this size, or is not shown."""
    gap = {name: sum(_gap(found, name, "float32")) / len(found[name]) for name in found}
    ends = sum(found["float32"]) / len(found["float32"])
    told = [
        Said(f"Nothing diverges here: the floor rule costs mxfp8 {gap['mxfp8 floor']:.1f}% of the loss where ceil costs "
             f"{gap['mxfp8 ceil']:.1f}%. The paper speaks of large models on trillions of tokens.",
             f"这里没有发散：mxfp8 用 floor 损失高 {gap['mxfp8 floor']:.1f}%，用 ceil 高 {gap['mxfp8 ceil']:.1f}%。"
             "论文说的是读了数万亿词元的大模型。"),
        Said("The model has 12,500 weights and takes 100 steps on sums in words; the papers' have up to 12 billion and read up to "
             f"15 trillion tokens. In float32 it ends at {ends:.2f} nats a letter; four bits cost it more than 1.5% of that.",
             "模型只有 12,500 个权重，在英文单词写成的加法上走 100 步；论文的模型多达 120 亿权重，读多达 15 万亿词元。"
             f"float32 下每个字母的损失最终为 {ends:.2f} nat；四位的代价在这里大于 1.5%。"),
        Said("On normal numbers floor and ceil differ by 0.03 dB in mxfp4: so few runs cannot tell which of them trains better.",
             "在正态数上，mxfp4 的 floor 与 ceil 只差 0.03 dB：这么几次运行看不出哪个训练得更好。"),
        Said("NVFP4's recipe also shares scales of weights among 16 x 16 numbers, so that they are the same forward and backward, and keeps "
             "several layers wide. Blocks are rows here, and only the last layer is wide.",
             "NVFP4 的方案还让权重按 16 x 16 个数共用缩放因子，使正向与反向用同样的数，并保留若干层宽格式。这里的块只沿一行，宽的也只有最后一层。"),
        Said("The recipe's products are a function of their own (`Product`): a precision has one way of rounding for a layer's three "
             "products, while stochastic rounding is for gradients alone, and the Hadamard transform for the product that gives those of weights.",
             "方案里的乘法自成一个函数（`Product`）：一个精度对一层的三个乘法只有一种舍入方式，而随机舍入只用于梯度，Hadamard 变换只用于得出权重梯度的那个乘法。"),
        Said("The ranges of the losses in training were set after a first look at two seeds of a similar model.",
             "训练损失的允许范围，是在看过类似模型的两个种子之后定下的。"),
    ]  # fmt: skip
    if undecided:
        told.append(
            Said("Judged by the sign of a mean that is less than twice its standard error, so not settled by these runs: "
                 f"{'; '.join(undecided)}.", f"仅凭均值的正负判断，而均值不到标准误的两倍，这些运行不能定论：{'；'.join(undecided)}。")
        )  # fmt: skip
    return told


def measure(seeds: int, small: bool = False) -> tuple[list[Claim], list[Said]]:
    """The claims of both papers with our values, one a seed, and what does not reproduce or is not shown."""
    options = {"steps": 2, "width": 32, "batch": 32, "unseen": 2} if small else {}
    claims = _normal(seeds, 1 << 14 if small else _COUNT)
    found = {name: [trained(one, seed, **options) for seed in range(seeds)] for name, one in RECIPES.items()}
    undecided = []
    for name, than, low, high, theirs, where in _TRAINED:
        zh, against = (_CHINESE.get(one, one) for one in (name, than))
        words = Said(f"training: loss of {name} above that of {than}", f"训练：{zh} 的损失比 {against} 高")
        claim = Claim(words, _gap(found, name, than), low, high, theirs, where, "%", 2)
        claims.append(claim)
        if 0.0 in (low, high) and abs(claim.value) < 2 * claim.spread / sqrt(seeds):
            undecided.append(f"{name} / {than}")
    return claims, _told(found, undecided)
