"""Seven small tasks, different in kind, and how the weights are kept that learn them: a run, and its score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from halfsim import nn, optim
from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.random import manual_seed
from halfsim.autograd.scope import no_grad, precision
from halfsim.autograd.tensor import Tensor
from halfsim.data import digits
from halfsim.gallery.said import Said
from halfsim.nn.module import Module
from halfsim.numerics.quantize import Array
from halfsim.numerics.rounding import Stochastic
from halfsim.optim.optimizer import Optimizer

Rows = tuple[Array, ...]  # what a network is given: arrays of the same length
Draw = np.random.Generator


@dataclass(frozen=True)
class Setting:
    """How weights are kept: their format, which is that of all operations, and what keeps their updates."""

    format: str
    remedy: Callable[[int], dict[str, Any]]

    def unit(self) -> Any:
        """The context of a run: all operations in the format, products and sums in float32, one after the other."""
        return precision(f"storage={self.format}, accumulate=fp32:sequential")

    def optimizer(self, make: Callable[..., Optimizer], weights: Iterable[Tensor], seed: int) -> Optimizer:
        """The optimizer of a run, with the remedy."""
        return make(weights, **self.remedy(seed))


FLOAT32 = Setting("fp32", lambda seed: {})
NEAREST = Setting("bf16", lambda seed: {})
STOCHASTIC = Setting("bf16", lambda seed: {"rounding": Stochastic(seed)})
KAHAN = Setting("bf16", lambda seed: {"kahan": True})
MASTER = Setting("bf16", lambda seed: {"master_weights": True})  # of float32; all else as in `NEAREST`


# ---- data -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Data:
    """What a task is learned from, and what it is tested on: what the network is given, and what it should say."""

    x: Rows
    y: Array
    x_test: Rows
    y_test: Array


def _pictures(shape: tuple[int, ...], draw: Draw) -> Data:
    """The digits, 600 to learn from; the rest, two thirds, to be tested on, so that a point is many pictures."""
    found = digits()
    order = draw.permutation(len(found.x_train) + len(found.x_test))
    x = np.concatenate([found.x_train, found.x_test])[order].reshape(-1, *shape)
    y = np.concatenate([found.y_train, found.y_test])[order]
    return Data((x[:600],), y[:600], (x[600:],), y[600:])


def _copied(draw: Draw) -> Data:
    found = _pictures((64,), draw)
    return Data(found.x, found.x[0], found.x_test, found.x_test[0])


def _chance(z: Array, draw: Draw) -> Array:
    """1 with a probability of the logistic function of ``z``, else 0."""
    drawn: Array = draw.random(len(z)) < 1 / (1 + np.exp(-z))
    return drawn


def _logistic(draw: Draw) -> Data:
    true = draw.normal(0, 1, 32)

    def part(n: int) -> tuple[Rows, Array]:
        x = draw.normal(0, 1, (n, 32))
        return (x.astype(np.float32),), _chance(x @ true, draw).astype(np.int64)

    return Data(*part(2048), *part(4096))


_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_LETTERS = " .abcdefghijklmnopqrstuvwxyz"


def _spelt(n: int) -> str:
    """A number below 1000 in words."""
    if n < 20:
        return _UNITS[n]
    rest, word = (n % 100, f"{_UNITS[n // 100]} hundred") if n >= 100 else (n % 10, _TENS[n // 10 - 2])
    return f"{word} {_spelt(rest)}" if rest else word


def _text(draw: Draw, length: int = 6) -> Data:
    """Numbers in words, one after the other; after each letter the next one is to be named."""

    def part(n: int) -> tuple[Rows, Array]:
        said = "".join(_spelt(int(k)) + ". " for k in draw.integers(0, 1000, n))
        read = np.array([_LETTERS.index(letter) for letter in said])
        rows = (len(read) - 1) // length
        given, after = (read[i : rows * length + i].reshape(rows, length) for i in (0, 1))
        return (given,), after

    return Data(*part(400), *part(160))


def _majority(draw: Draw, length: int = 6) -> Data:
    """Twelve tokens in three classes: which class is the most frequent in a sequence (no draws among them)?"""

    def part(n: int) -> tuple[Rows, Array]:
        x = draw.integers(0, 12, (n, length))
        votes = np.stack([(x % 3 == k).sum(1) for k in range(3)], 1)
        clear = np.diff(np.sort(votes, 1)[:, 1:], axis=1)[:, 0] > 0
        return (x[clear],), votes.argmax(1)[clear]

    return Data(*part(2400), *part(1600))


def _clicks(draw: Draw, kinds: int = 32) -> Data:
    """Who is shown what, and four numbers of the moment: is it clicked on?"""
    tastes, themes = draw.normal(0, 1, (kinds, 4)), draw.normal(0, 1, (kinds, 4))
    keen, popular, moment = draw.normal(0, 1, kinds), draw.normal(0, 1, kinds), draw.normal(0, 0.5, 4)

    def part(n: int) -> tuple[Rows, Array]:
        user, item, now = draw.integers(0, kinds, n), draw.integers(0, kinds, n), draw.normal(0, 1, (n, 4))
        z = (tastes[user] * themes[item]).sum(1) / 2 + keen[user] + popular[item] + now @ moment - 1
        return (user, item, now.astype(np.float32)), _chance(z, draw).astype(np.float32)

    return Data(*part(4096), *part(4096))


class _Reader(Module):
    """Names the next letter after each."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Embedding(len(_LETTERS), 12)
        self.cell = nn.RNN(12, 24, batch_first=True, bias=False)
        self.out = nn.Linear(24, len(_LETTERS), bias=False)

    def forward(self, x: Any) -> Tensor:
        return self.out(self.cell(self.look(x))[0])


class _Voter(Module):
    """Attention and a small perceptron over a sequence, the mean of which is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Embedding(12, 16)
        self.block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True, bias=False)
        self.out = nn.Linear(16, 3)

    def forward(self, x: Any) -> Tensor:
        return self.out(self.block(self.look(x)).mean(1))


class _Clicker(Module):
    """Embeddings of who and what, their product, and the numbers, summed up by one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(32, 8), nn.Embedding(32, 8)
        self.out = nn.Linear(8 + 8 + 4 + 1, 1)

    def forward(self, user: Any, item: Any, now: Tensor) -> Tensor:
        a, b = self.users(user), self.items(item)
        return self.out(ops.cat([a, b, now, (a * b).sum(-1, keepdims=True)], -1)).reshape(-1)


def _perceptron(*sizes: int, bend: type[Module] = nn.ReLU) -> Module:
    inside, hidden, outside = sizes
    return nn.Sequential(nn.Linear(inside, hidden), bend(), nn.Linear(hidden, outside))


def _convolutional() -> Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10)
    )  # fmt: skip


def _classes(out: Tensor, y: Array) -> Tensor:
    return nn.functional.cross_entropy(out.reshape(-1, out.shape[-1]), y.reshape(-1))


def _squares(out: Tensor, y: Array) -> Tensor:
    return nn.functional.mse_loss(out, tensor(y, out.format))


def _odds(out: Tensor, y: Array) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(out, tensor(y, out.format))


def _accuracy(out: Array, y: Array) -> float:
    """The share that is named rightly, in percent."""
    return 100 * float((out.argmax(-1) == y).mean())


def _explained(out: Array, y: Array) -> float:
    """The share of the variance that is explained, in percent."""
    return 100 * float(1 - ((out - y) ** 2).sum() / ((y - y.mean(0, dtype=np.float64)) ** 2).sum())


def _auc(out: Array, y: Array) -> float:
    """How often a click has a higher score than none, in percent; a tie counts half."""
    _, place, many = np.unique(out, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(many) - (many - 1) / 2)[place]
    clicks = int(y.sum())
    return 100 * float((ranks[y > 0].sum() - clicks * (clicks + 1) / 2) / (clicks * (len(y) - clicks)))


@dataclass(frozen=True)
class Task:
    """Something to learn: data, a network, the loss, the optimizer, how many steps of how many rows, and the score.

    Rates are small, and runs are cut short, long before a score stands still.
    """

    words: Said
    data: Callable[[Draw], Data]
    network: Callable[[], Module]
    loss: Callable[[Tensor, Array], Tensor]
    optimizer: Callable[..., Optimizer]
    steps: int
    batch: int
    score: Callable[[Array, Array], float] = _accuracy


def _adam(lr: float) -> Callable[..., Optimizer]:
    """With a second beta that bfloat16 can hold apart from 1, which it cannot 0.999."""
    return partial(optim.Adam, lr=lr, betas=(0.9, 0.98))


TASKS = (
    Task(
        Said("digits, a perceptron", "手写数字，感知机"), partial(_pictures, (64,)), partial(_perceptron, 64, 24, 10),
        _classes, partial(optim.SGD, lr=0.012), 250, 32,
    ),
    Task(
        Said("digits, a convolutional network", "手写数字，卷积网络"), partial(_pictures, (1, 8, 8)), _convolutional,
        _classes, partial(optim.SGD, lr=0.0025, momentum=0.9), 160, 16,
    ),
    Task(
        Said("digits, an autoencoder (explained variance)", "手写数字，自编码器（解释方差）"), _copied,
        partial(_perceptron, 64, 12, 64, bend=nn.Tanh), _squares, partial(optim.SGD, lr=0.1, momentum=0.9), 200, 32,
        _explained,
    ),
    Task(
        Said("made data, logistic regression", "生成的数据，逻辑回归"), _logistic, partial(nn.Linear, 32, 2),
        _classes, partial(optim.SGD, lr=0.0025), 300, 32,
    ),
    Task(
        Said("the next letter, a recurrent network", "下一个字母，循环网络"), _text, _Reader, _classes, _adam(6e-4), 160, 8,
    ),
    Task(
        Said("the majority in a sequence, a transformer", "序列中的多数，Transformer"), _majority, _Voter,
        _classes, _adam(4e-4), 90, 12,
    ),
    Task(
        Said("clicks, embeddings (area under the curve)", "点击，嵌入（AUC）"), _clicks, _Clicker, _odds,
        partial(optim.SGD, lr=0.3), 200, 32, _auc,
    ),
)  # fmt: skip


def _given(rows: Rows, form: str) -> list[Any]:
    """Numbers in the format of the run; indices as they are."""
    return [tensor(x, form) if x.dtype.kind == "f" else x for x in rows]


def scores(task: Task, settings: Sequence[Setting], seed: int, small: bool = False) -> list[float]:
    """The test score of a run in each setting, from the same first weights, bfloat16 ones, over the same rows."""
    draw = np.random.default_rng([seed, 2010])
    data = task.data(draw)
    order = [draw.permutation(len(data.y))[: task.batch] for _ in range(task.steps // 40 if small else task.steps)]
    tested = slice(200 if small else None)
    found = []
    for setting in settings:
        manual_seed(seed)
        form, model = setting.format, task.network().to("bf16").to(setting.format)
        optimizer = setting.optimizer(task.optimizer, model.parameters(), seed)
        with setting.unit():
            for rows in order:
                optimizer.zero_grad()
                task.loss(model(*_given(tuple(x[rows] for x in data.x), form)), data.y[rows]).backward()
                optimizer.step()
            with no_grad():
                out = model(*_given(tuple(x[tested] for x in data.x_test), form)).array.astype(np.float64)
        found.append(task.score(out, data.y_test[tested]))
    return found
