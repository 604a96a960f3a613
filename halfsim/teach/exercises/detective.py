"""Lesson 11: detective. Five runs without names, one of them healthy."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

import halfsim as hs
from halfsim.teach.exercise import Exercise, Hint

_TINY = 2.0**-18


def _images() -> tuple[Any, Any]:
    digits = hs.data.digits()
    return digits.x_train[:128], digits.y_train[:128]


def _network(fmt: str) -> Any:
    hs.manual_seed(0)
    return hs.nn.Sequential(hs.nn.Linear(64, 32), hs.nn.ReLU(), hs.nn.Linear(32, 10)).to(fmt)


def _fit(model: Any, optimizer: Any, loss_of: Callable[[Any], Any], steps: int, times: float = 1.0) -> list[float]:
    """The losses of some steps, in which ``times`` multiplies what is differentiated."""
    losses = []
    for _ in range(steps):
        loss = loss_of(model)
        losses.append(loss.item())
        optimizer.zero_grad()
        (loss * times if times != 1 else loss).backward()
        optimizer.step()
    return losses


def _cross_entropy(model: Any, scale: float = 1.0) -> Any:
    x, y = _images()
    return hs.nn.cross_entropy(model(hs.tensor(x * scale)), y)


def _by_hand(model: Any) -> Any:
    """Cross entropy as its formula stands in books, of pixels from 0 to 1024."""
    x, y = _images()
    e = model(hs.tensor(x * 64)).exp()
    return -(e / e.sum(1, keepdim=True))[np.arange(len(y)), y].log().mean()


def _a(fmt: str, steps: int) -> list[float]:
    model = _network(fmt)
    return _fit(model, hs.optim.Adam(model.parameters(), lr=1e-3), _cross_entropy, steps)


def _b(fmt: str, steps: int) -> list[float]:
    model = _network(fmt)
    return _fit(model, hs.optim.SGD(model.parameters(), lr=0.001), _by_hand, steps)


def _c(fmt: str, steps: int) -> list[float]:
    hs.manual_seed(0)
    model = hs.nn.Linear(64, 10).to(fmt)
    hs.nn.init.normal_(model.weight, std=4.0)
    return _fit(model, hs.optim.SGD(model.parameters(), lr=0.003), _cross_entropy, steps)


def _d(fmt: str, steps: int, scale: float = 1.0) -> list[float]:
    """A loss that a weight of 2**-18 makes small; ``scale`` is a loss scale, divided out again by the learning rate."""
    model = _network(fmt)
    return _fit(model, hs.optim.SGD(model.parameters(), lr=0.5 / _TINY / scale), _cross_entropy, steps, _TINY * scale)


def _e(fmt: str, steps: int) -> list[float]:
    model = _network(fmt)
    return _fit(model, hs.optim.SGD(model.parameters(), lr=1.2, momentum=0.8), _cross_entropy, steps)


_RUNS = {"A": _a, "B": _b, "C": _c, "D": _d, "E": _e}
_KINDS = {"A": "eps lost", "B": "overflow", "C": "swamping", "D": "underflow", "E": "healthy"}


def run(letter: str, format: str = "fp16", steps: int = 30) -> list[float]:
    """The losses of a short training of the lesson, by its letter, with weights in ``format``."""
    with hs.precision(format):
        return _RUNS[letter](format, steps)


def scaled(scale: float, steps: int = 30) -> list[float]:
    """The losses of run D with a loss scale."""
    with hs.precision("fp16"):
        return _d("fp16", steps, float(scale))


@lru_cache(maxsize=16)
def _end(letter: str, format: str) -> float:
    return run(letter, format)[-1]


@lru_cache(maxsize=8)
def _phase(letter: str) -> str:
    with hs.trace() as t:
        run(letter, steps=3)
    return str(t.verdict().phase)


def _ends(letter: str) -> dict[str, Any]:
    return {"letter": letter, "wide": f"{_end(letter, 'fp32'):.3g}", "half": f"{_end(letter, 'fp16'):.3g}"}


def _case(letter: str) -> Exercise:
    """The exercise to name what is wrong with a run."""
    words = tuple(_KINDS.values())
    stripped = {"".join(word.split()) for word in words}
    hints = [
        Hint(
            lambda got: got not in stripped,
            f"{{got}} is not one of the words: {', '.join(words)}",
            f"{{got}} 不在这些词里：{', '.join(words)}",
        ),
    ]
    if _KINDS[letter] == "healthy":
        hints = [
            Hint(
                lambda got: got == "benignrounding",
                "benign rounding is rounding that does no harm: which of the words says that of a run?",
                "benign rounding 是没有害处的舍入：哪个词说的是这样的训练？",
            ),
            *hints,
            Hint(
                lambda got: got != "healthy" and _ends(letter),
                "{letter} ends at {half} in half and at {wide} in float32: whatever shakes it, half precision does not",
                "{letter} 在半精度下最后是 {half}，在 float32 下是 {wide}：不管它为什么抖动，都不是半精度造成的",
            ),
        ]
    else:
        hints += [
            Hint(
                lambda got: got == "healthy" and _ends(letter),
                "in float32 the loss of {letter} ends at {wide}, in half at {half}: half precision changed something",
                "{letter} 的损失在 float32 下最后是 {wide}，在半精度下是 {half}：半精度改变了什么",
            ),
            Hint(
                lambda got: {"letter": letter, "phase": _phase(letter)},
                "it is not {got}: the first thing to go wrong in {letter} goes wrong in the phase {phase}",
                "不是 {got}：{letter} 里最先出错的地方在 {phase} 阶段",
            ),
        ]
    return Exercise(f"run {letter}", lambda: _KINDS[letter], hints)


_GOOD = 0.5  # the loss that a run of 30 steps reaches where nothing is lost


EXERCISES = [
    *(_case(letter) for letter in _RUNS),
    Exercise(
        "repair D",
        lambda: 2.0**16,
        [
            Hint(
                lambda got: not got > 0,
                "a loss scale of {got} turns the gradients round or off; take a positive number",
                "损失缩放 {got} 会让梯度反向或消失；它应当是正数",
            ),
            Hint(
                lambda got: not np.isfinite(scaled(got)[-1]),
                "with a scale of {got} the loss becomes NaN: now gradients overflow; take a smaller one",
                "缩放 {got} 时损失变成 NaN：这回是梯度上溢；取小一点",
            ),
            Hint(
                lambda got: {"end": f"{scaled(got)[-1]:.3g}", "good": _GOOD},
                "with a scale of {got} the loss ends at {end}, not below {good}: gradients still become zero; take a larger "
                "one",
                "缩放 {got} 时损失最后是 {end}，没有低于 {good}：仍有梯度变成零；取大一点",
            ),
        ],
        accepts=lambda got: got > 0 and scaled(got)[-1] < _GOOD,
    ),
]
