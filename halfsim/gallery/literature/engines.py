"""Two engines run the same weights: how far apart they are in bfloat16 and in float16, and what training makes of it.

One engine has fused kernels: an operation keeps float32 inside and rounds its result once. The other is unfused: every
elementary step rounds. Sums are exact in both, so that they differ by nothing but where results are rounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsim import nn, optim
from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.random import manual_seed
from halfsim.autograd.scope import no_grad, precision
from halfsim.autograd.tensor import Tensor
from halfsim.data import digits
from halfsim.gallery.literature.result import Claim, Paper
from halfsim.gallery.said import Said
from halfsim.nn.module import Module
from halfsim.numerics.formats import as_format, float32
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array

PAPER = Paper(
    "engines",
    Said("Two engines disagree about one model eight times less in float16 than in bfloat16",
         "对同一个模型，两个引擎在 float16 中的分歧只有 bfloat16 中的八分之一"),
    "Defeating the Training-Inference Mismatch via FP16", "Penghui Qi et al.", 2025, "https://arxiv.org/abs/2510.26788",
    Said("Reinforcement learning lets one engine write and another one train, with the same weights. Why should it "
         "go back from bfloat16 to float16?",
         "强化学习用一个引擎写文本，用另一个引擎训练，权重相同。它为什么该从 bfloat16 回到 float16？"),
)  # fmt: skip
SEEDS = 5

KINDS = {"mlp": Said("a perceptron", "多层感知机"), "lstm": Said("an LSTM", "LSTM"),
         "transformer": Said("a transformer", "Transformer")}  # fmt: skip
VOCABULARY, WIDTH, CONTEXT = 32, 64, 8

# Of the paper: the KL divergence of whole answers of two engines in its figure of mismatch over length.
EPISODE_KL = {"bf16": 7.64, "fp16": 0.32}


@dataclass(frozen=True)
class Size:
    """How much is run: contexts; sequences and their length; pictures, networks, episodes in a step, and steps."""

    contexts: int = 64
    sequences: int = 16
    length: int = 96
    pictures: int = 64
    networks: int = 16
    episodes: int = 64
    steps: int = 100


SMALL = Size(contexts=8, sequences=3, length=4, pictures=24, networks=1, episodes=12, steps=2)


def engines(fmt: str) -> tuple[Precision, Precision]:
    """The two engines of a format: fused, with steps in a wider one that are not stored, and unfused.

    >>> fused, unfused = engines("fp16")
    >>> fused.compute.name, unfused.compute.name
    ('float32', 'float16')
    """
    storage = as_format(fmt)
    wide = "fp64" if storage == float32 else "fp32"
    return (Precision(storage=storage, compute=wide, accumulate="exact"),
            Precision(storage=storage, compute=storage, accumulate="exact"))  # fmt: skip


class Network(Module):
    """Reads tokens and gives logits of the next one: after the last token, or, of an LSTM, after each."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        body: Module
        if kind == "mlp":
            body = nn.Sequential(nn.Flatten(), nn.Linear(CONTEXT * WIDTH, 2 * WIDTH), nn.GELU(),
                                 nn.Linear(2 * WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))  # fmt: skip
        elif kind == "lstm":
            body = nn.LSTM(WIDTH, WIDTH, 2, batch_first=True)
        else:
            layer = nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True)
            body = nn.TransformerEncoder(layer, 2)
        self.body, self.norm, self.head = body, nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY)

    def forward(self, tokens: Array, state: Any = None) -> Any:
        x = self.embedding(tokens)
        if self.kind == "lstm":
            x, state = self.body(x, state)
            return self.head(self.norm(x)), state
        if self.kind == "transformer":
            mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
            return self.head(self.norm(self.body(x, mask)[:, -1]))
        return self.head(self.norm(self.body(x)))


def network(kind: str, seed: int) -> Network:
    """A network with its first weights, in float32; each engine reads them into its own format."""
    manual_seed(seed)
    return Network(kind)


def log_probabilities(logits: Tensor) -> Array:
    """Of logits as an engine has stored them, in float64."""
    with precision("fp64"), no_grad():
        return ops.log_softmax(tensor(logits.numpy().astype(np.float64), "fp64"), -1).numpy()


def told(run: Any, engine: Precision) -> Array:
    """The log-probabilities that one engine gives for what ``run`` computes."""
    with precision(engine), no_grad():
        out = run()
    return log_probabilities(out[0] if isinstance(out, tuple) else out)


def gap(a: Array, b: Array) -> float:
    """The root mean square of the difference of two engines' log-probabilities."""
    return float(np.sqrt(np.mean((a - b) ** 2)))


def divergence(a: Array, b: Array) -> Array:
    """``KL(a | b)`` of each distribution along the last axis: what one token brings in, in nats."""
    return (np.exp(a) * (a - b)).sum(-1)


def apart(kind: str, seed: int, fmt: str, size: Size) -> tuple[float, float]:
    """How far the engines of a format are apart on random contexts: the gap, and the mean divergence of a token."""
    model, tokens = network(kind, seed), np.random.default_rng(seed).integers(0, VOCABULARY, (size.contexts, CONTEXT))
    a, b = (told(lambda: model(tokens), engine) for engine in engines(fmt))
    return gap(a, b), float(divergence(a, b).mean())


def written(fmt: str, seed: int, size: Size) -> float:
    """The divergence of whole sequences: the LSTM writes them by the fused engine, token by token, from its own."""
    model, draw = network("lstm", seed), np.random.default_rng(seed)
    fused, unfused = engines(fmt)
    tokens = np.zeros((size.sequences, 1), np.int64)
    state: Any = None
    for _ in range(size.length - 1):
        with precision(fused), no_grad():
            logits, state = model(tokens[:, -1:], state)
        shares = np.exp(log_probabilities(logits)[:, 0]).cumsum(1)
        drawn = (shares < draw.random((size.sequences, 1)) * shares[:, -1:]).sum(1, keepdims=True)
        tokens = np.concatenate([tokens, drawn], 1)
    return float(divergence(told(lambda: model(tokens), fused), told(lambda: model(tokens), unfused)).sum(1).mean())


# Training: an episode names pictures of digits, one after the other, and is rewarded once, by the share named rightly.


class Policy:
    """A small network that names digits, as two engines see it."""

    def __init__(self, fmt: str, seed: int, size: Size, one: bool = False) -> None:
        manual_seed(seed)
        data, width = digits(), 32
        self.model = nn.Sequential(nn.Linear(64, width), nn.GELU(), nn.LayerNorm(width), nn.Linear(width, width),
                                   nn.GELU(), nn.LayerNorm(width), nn.Linear(width, 10))  # fmt: skip
        self.x, self.right = tensor(data.x_train[: size.pictures]), data.y_train[: size.pictures]
        self.rows = np.arange(size.pictures)
        self.writer, self.trainer = engines(fmt)
        if one:
            self.writer = self.trainer

    def written(self) -> Array:
        """Log-probabilities of the names of each picture, by the engine that writes."""
        return told(lambda: self.model(self.x), self.writer)

    def trained(self) -> tuple[Array, Tensor]:
        """The same by the engine that trains, and its logits, of which gradients are taken."""
        with precision(self.trainer):
            logits = self.model(self.x)
        return log_probabilities(logits), logits

    def reward(self, log_p: Array) -> float:
        """What an episode expects."""
        return float(np.exp(log_p)[self.rows, self.right].mean())

    def episodes(self, log_p: Array, length: int, count: int, draw: np.random.Generator) -> Array:
        """How often each name came, in each of so many episodes that name every picture ``length`` times."""
        shares = np.exp(log_p)
        return draw.multinomial(length, shares / shares.sum(1, keepdims=True), (count, len(self.rows)))


def importance(counts: Array, ours: Array, theirs: Array) -> Array:
    """How much likelier each episode is for the engine that trains than for the one that wrote it."""
    return np.exp((counts * (ours - theirs)).sum((1, 2)))


def gradients(model: Module, logits: Tensor, weights: Array) -> list[Array]:
    """The gradients of the sum of ``weights`` times the log-probabilities, which are taken in float32."""
    for p in model.parameters():
        p.grad = None
    with precision("fp32"):
        (ops.log_softmax(logits, -1) * tensor(weights)).sum().backward()
    return [p.grad.numpy().astype(np.float64) for p in model.parameters() if p.grad is not None]


def bias(fmt: str, seed: int, size: Size) -> float:
    """How far the expected policy gradient is off when the other engine writes, as a share of its length.

    Both expectations go over all names of all pictures; the gradient of the difference is taken in float32. It is the
    root mean square over several networks, for the errors of one are few.
    """
    return float(np.sqrt(np.mean([_bias(fmt, seed * size.networks + i, size) ** 2 for i in range(size.networks)])))


def _bias(fmt: str, seed: int, size: Size) -> float:
    policy = Policy(fmt, seed, size)
    ours, theirs = policy.trained()[0], policy.written()
    rewards = np.eye(10)[policy.right] - policy.reward(ours)

    def length(shares: Array) -> float:
        with precision("fp32"):
            logits = policy.model(policy.x)
        return float(np.sqrt(sum((g * g).sum() for g in gradients(policy.model, logits, shares * rewards))))

    return length(np.exp(theirs) - np.exp(ours)) / length(np.exp(ours))


def passes(seed: int, size: Size) -> int:
    """How often an episode goes through the pictures so that its divergence in bfloat16 begins as the paper's."""
    policy = Policy("bf16", seed, size)
    return max(1, round(EPISODE_KL["bf16"] / float(divergence(policy.written(), policy.trained()[0]).sum())))


def counting(fmt: str, seed: int, size: Size) -> float:
    """The share of episodes that count in the first step, in percent: 100 if all have the same importance.

    It is the effective sample size, (sum of weights)^2 / sum of squares, over their number.
    """
    policy = Policy(fmt, seed, size)
    theirs, ours = policy.written(), policy.trained()[0]
    counts = policy.episodes(theirs, passes(seed, size), size.episodes, np.random.default_rng(seed))
    weights = importance(counts, ours, theirs)
    return float(100 * weights.sum() ** 2 / (weights**2).sum() / size.episodes)


def training(fmt: str, seed: int, size: Size, length: int, weighted: bool, one: bool = False) -> Iterator[float]:
    """The expected reward before each step of the policy gradient, and after the last.

    Names of one picture are drawn ``length`` times in an episode; how often each came is all that matters. With
    ``weighted`` an episode counts by its importance.
    """
    policy, draw = Policy(fmt, seed, size, one), np.random.default_rng(seed)
    optimizer = optim.Adam(policy.model.parameters(), lr=6e-3)
    for _ in range(size.steps):
        theirs = policy.written()
        yield policy.reward(theirs)
        counts = policy.episodes(theirs, length, size.episodes, draw)
        rewards = counts[:, policy.rows, policy.right].mean(1) / length
        gained = (rewards - rewards.mean()) / rewards.std()
        ours, logits = policy.trained()
        if weighted:
            gained = gained * importance(counts, ours, theirs)
        scale = size.episodes * np.sqrt(size.pictures * length)
        gradients(policy.model, logits, np.tensordot(-gained / scale, counts, 1))
        optimizer.step()
    yield policy.reward(policy.written())


WAYS: dict[str, tuple[str, bool, bool]] = {  # format, weighted, one engine for both
    "fp32 weighted": ("fp32", True, False),
    "fp16 weighted": ("fp16", True, False),
    "bf16 weighted": ("bf16", True, False),
    "bf16 one engine": ("bf16", True, True),
    "fp16": ("fp16", False, False),
    "bf16": ("bf16", False, False),
}


def rewards(seed: int, size: Size) -> dict[str, float]:
    """The reward after training in each way, in percent."""
    length = passes(seed, size)
    return {name: 100 * [*training(fmt, seed, size, length, *how)][-1] for name, (fmt, *how) in WAYS.items()}


_GAPS = Said("{kind}: how many times farther apart log-probabilities are in bfloat16 than in float16",
             "{kind}：对数概率的差距，bfloat16 是 float16 的几倍")  # fmt: skip
_TOKENS = Said("{kind}: how many times larger the KL divergence of a token is in bfloat16 than in float16",
               "{kind}：单个词元的 KL 散度，bfloat16 是 float16 的几倍")  # fmt: skip
_THREE_BITS = Said("2^3, three bits of precision", "2^3：三位精度")
_SIX_BITS = Said("2^6, squared; its training curves begin near 1e-3 and 1.6e-5",
                 "2^6：平方；论文的训练曲线约从 1e-3 和 1.6e-5 开始")  # fmt: skip
_WIDE = Said("all three: how many times farther apart they are in float16 than in float32",
             "三种网络：差距在 float16 中是 float32 中的几倍")  # fmt: skip
_THIRTEEN_BITS = Said("2^13, thirteen bits", "2^13：十三位")
_WHOLE = Said("whole sequences that the LSTM writes: how many times larger their KL divergence is in bfloat16",
              "LSTM 写出的整个序列：KL 散度在 bfloat16 中是 float16 中的几倍")  # fmt: skip
_ANSWERS = Said("{bf16} / {fp16}, its figure of whole answers", "{bf16} / {fp16}，整段回答的图")
_BIAS = Said("how many times more the policy gradient is biased in bfloat16 than in float16",
             "策略梯度的偏差，bfloat16 是 float16 的几倍")  # fmt: skip
_LINEAR = Said("2^3, as the gap", "2^3：与差距相同")
_COUNTING = {
    "bf16": (Said("share of episodes that count in the first step, with weights, in bfloat16",
                  "加权时，第一步中仍算数的回合所占比例，bfloat16"),
             (0, 10), None, Said("hardly more than one is expected, exp(-2 KL) being 2e-7",
                                 "预期几乎只有一个：exp(-2 KL) 是 2e-7")),
    "fp16": (Said("the same in float16", "同上，float16"),
             (70, 88), 78.8, Said("exp(-2 KL), the KL 64 times smaller", "exp(-2 KL)，KL 是六十四分之一")),
}  # fmt: skip
_ENDS = {
    ("fp16 weighted", "bf16 weighted"): (
        Said("reward after training with weights for whole episodes: float16 ahead of bfloat16",
             "按整个回合加权训练后的奖励：float16 领先 bfloat16"),
        (10, 100), None,
        Said("well ahead: 0.97 and 0.77 in its chart of PG-Seq-IS at step 1800",
             "明显领先：PG-Seq-IS 第 1800 步的曲线图中为 0.97 与 0.77")),
    ("fp16", "bf16"): (
        Said("the same without weights: float16 ahead of bfloat16", "不加权重时：float16 领先 bfloat16"),
        (10, 100), None,
        Said("well ahead: 0.88 and 0.60 in its chart of GRPO at step 600", "明显领先：GRPO 第 600 步的曲线图中为 0.88 与 0.60")),
    ("fp32 weighted", "fp16 weighted"): (
        Said("with weights: float32 ahead of float16", "加权重时：float32 领先 float16"), (-5, 5), None,
        Said("next to nothing is expected", "预期几乎没有差别")),
    ("fp32 weighted", "bf16 one engine"): (
        Said("float32 ahead of bfloat16 where one engine writes and trains",
             "由同一个引擎写和训练时：float32 领先 bfloat16"), (-5, 5), None,
        Said("next to nothing is expected: nothing differs", "预期几乎没有差别：两边完全一致")),
}  # fmt: skip


def measure(seeds: int, small: bool = False) -> tuple[list[Claim], list[Said]]:
    """The claims with our values, one per seed, and sentences on what does not reproduce or is not shown."""
    size, runs = SMALL if small else Size(), range(seeds)
    found = {kind: np.array([[apart(kind, seed, fmt, size) for fmt in ("bf16", "fp16", "fp32")] for seed in runs])
             for kind in KINDS}  # fmt: skip
    claims = []
    for words, column, (low, high), published, where in (
        (_GAPS, 0, (7, 9), 8.0, _THREE_BITS), (_TOKENS, 1, (50, 80), 64.0, _SIX_BITS)
    ):  # fmt: skip
        for kind, all_ in found.items():
            named = Said(*(text.format(kind=name) for text, name in zip(words, KINDS[kind], strict=True)))
            claims.append(Claim(named, _ratios(all_[:, :2, column]), low, high, published, where))
    wide = np.stack([all_[:, 1:, 0] for all_ in found.values()]).mean(0)
    claims.append(Claim(_WIDE, _ratios(wide), 7 * 2**10, 9 * 2**10, 2.0**13, _THIRTEEN_BITS, digits=4))
    whole = np.array([[written(fmt, seed, size) for fmt in EPISODE_KL] for seed in runs])
    where = Said(*(text.format(**EPISODE_KL) for text in _ANSWERS))
    published = EPISODE_KL["bf16"] / EPISODE_KL["fp16"]
    claims.append(Claim(_WHOLE, _ratios(whole), published / 2, published * 2, published, where))
    biased = np.array([[bias(fmt, seed, size) for fmt in ("bf16", "fp16")] for seed in runs])
    claims.append(Claim(_BIAS, _ratios(biased), 7, 9, 8.0, _LINEAR))
    for fmt, (words, (low, high), expected, source) in _COUNTING.items():
        values = tuple(counting(fmt, seed, size) for seed in runs)
        claims.append(Claim(words, values, low, high, expected, source, "%"))
    ends = [rewards(seed, size) for seed in runs]
    for (a, b), (words, (low, high), read, source) in _ENDS.items():
        values = tuple(end[a] - end[b] for end in ends)
        claims.append(Claim(words, values, low, high, read, source, "%"))
    return claims, _not_shown(size, passes(0, size), 100 * biased.mean(0), ends)


def _not_shown(size: Size, length: int, biased: Array, ends: list[dict[str, float]]) -> list[Said]:
    """What does not reproduce, and what this does not show."""
    ways = ("bf16", "bf16 weighted", "fp16 weighted")
    plain, weighted, best = (float(np.mean([end[way] for end in ends])) for way in ways)
    facts = {"brief": biased[0], "fine": biased[1], "plain": plain, "weighted": weighted, "ahead": best - weighted,
             "names": size.pictures * length, "passes": length, "pictures": size.pictures}  # fmt: skip
    told_ = (
        Said("Without weights training does not break down here: {plain:.0f} % in bfloat16. The gradient is biased by "
             "{brief:.2f} % of its length in bfloat16 and {fine:.2f} % in float16, too little for a task that is "
             "learnt in {steps} steps. In the paper the engines drift apart for hundreds of steps before rewards fall; "
             "nothing of that is shown.",
             "不加权重时，这里的训练没有崩溃：bfloat16 仍得 {plain:.0f} %。梯度的偏差在 bfloat16 中是其长度的 {brief:.2f} %，"
             "在 float16 中是 {fine:.2f} %，对一个 {steps} 步就学会的任务来说太小。论文中，两个引擎要先渐行渐远数百步，"
             "奖励才下跌；这一点没有展示。"),
        Said("With weights it is the weights that fail, not the arithmetic: {weighted:.0f} % in bfloat16, where guessing "
             "gives 10 %, and as much as float32 as soon as one engine does both. That is {ahead:.0f} points behind "
             "float16, where the paper has 20: which is ahead is reproduced, not by how much.",
             "加权重时，出问题的是权重而不是算术：bfloat16 只得 {weighted:.0f} %（瞎猜是 10 %），"
             "而一旦由同一个引擎写和训练，就与 float32 相当。它落后 float16 {ahead:.0f} 个百分点，论文中是 20：重现的只是谁领先，"
             "不是领先多少。"),
        Said("For whole answers the paper finds 24, where arithmetic and our LSTM say 2^6. Some of its float16 tokens are "
             "far off by more than rounding in a small network can do; a few of them may decide such a mean.",
             "对整段回答，论文得到 24，而算术和我们的 LSTM 给出 2^6。论文中有些 float16 词元相差甚远，小网络里的舍入做不到，"
             "而少数这样的词元可能就决定了均值。"),
        Said("Episodes are no text: one names {pictures} pictures of digits {passes} times each, {names} decisions that "
             "do not depend on each other. That many make its divergence in bfloat16 begin at the paper's 7.64, for a "
             "small network is off by less in each.",
             "这里的回合不是文本：每个回合把 {pictures} 张数字图片各命名 {passes} 次，共 {names} 个互不依赖的决定。要这么多，"
             "bfloat16 中的散度才会从论文的 7.64 起步，因为小网络每一步的误差更小。"),
        Said("Real engines also add in other orders and have other kernels for attention and for batches. Here sums are "
             "exact in both, and only the places of rounding differ.",
             "真实的引擎还有不同的求和次序、不同的注意力算子和批处理算子。这里两边的求和都是精确的，只有舍入的位置不同。"),
    )  # fmt: skip
    return [Said(*(text.format(steps=size.steps, **facts) for text in one)) for one in told_]


def _ratios(pairs: Array) -> tuple[float, ...]:
    return tuple(float(a / b) for a, b in pairs)
