"""A precision bug that was reported, rebuilt as its reporter would write it, and what a good answer says of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from halfsim.autograd.tensor import Tensor
from halfsim.card import Card
from halfsim.document import attributes
from halfsim.gallery.words import said
from halfsim.text import filled

# What one sees of a bug, before one knows anything else.
SEEN = ("NaN", "infinity", "zeros", "no change", "wrong numbers", "an error")

# What readers call it who do not know the word here: by what is seen, by class and by phase.
CALLED = {
    "NaN": "not a number, invalid value encountered; training diverges, blows up; 发散",
    "infinity": "inf, overflow encountered; divide by zero encountered; 溢出",
    "zeros": "0, black, blank, vanishes, collapses; 消失",
    "no change": "stuck, frozen, plateau, stagnates, stalls, stops; does not learn, train, converge, update, "
    "decrease; loss, accuracy, weights stay constant; hangs; 卡住, 停滞, 不收敛, 不下降, 不变; 准确率, 损失",
    "wrong numbers": "accuracy, quality and metrics drops, degrades, worse; inaccurate, imprecise, different "
    "results, mismatch; 精度下降, 准确率, 不一致",
    "an error": "exception, raises, crashes, traceback; 异常",
    "overflow": "too large, max 65504, inf, overflow encountered; 太大",
    "underflow": "too small, flushed to zero, vanishing; 太小, 消失",
    "swamping": "absorbed, stagnation, lost updates, small addends; 丢失, 停滞",
    "cancellation": "catastrophic, significance and precision lost, negative variance; 精度损失",
    "eps lost": "epsilon, divide by zero, invalid value encountered in divide; 除以零",
    "constant changed": "rounded constant, literal, hyperparameter; 常数",
    "integer rounding": "index, position, label, token id, 2048; 整数, 下标",
    "NaN propagation": "inf minus inf, zero times inf; 传播",
    "scaler": "loss scale, loss scaling, decreasing, growing, GradScaler, amp, skipped step; 损失缩放",
    "accumulation order": "reduction order, nondeterministic, reproducible; 顺序",
    "backward": "gradient, grad, backpropagation; 梯度, 反向",
    "optimizer": "step, weights, update; 权重, 更新",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Case(Card):
    """One report, rebuilt.

    ``run`` takes nothing, makes all that it needs and returns the value (or several, as a list of arrays, tensors or
    numbers); it is called in the scope of ``precision``. ``broken`` says of that value whether the reported symptom is
    there; ``right``, a value or a function that makes it, is what it should have been. ``klass``, ``op`` (any of them)
    and ``phase`` are what a verdict must name. ``fixed`` is the run with the advice typed in, where only a person can
    do that, and ``advice`` a word that the recommended fix must then contain.

    ``seen`` is one of `SEEN`, ``symptom`` a line of what one sees, ``message`` what one would type into a search.
    ``why`` explains; its fields in braces are filled from the run, see `halfsim.gallery.exhibit`, and what it needs
    beside is made by ``facts``. Texts that end in ``_zh`` are the same in Chinese. ``inferred`` says that the thread
    itself does not state the mechanism.

    >>> from halfsim import gallery
    >>> gallery.list(search="adam eps")[0].klass
    'eps lost'
    """

    id: str
    name: str
    link: str
    year: int
    layer: str
    seen: str
    klass: str
    op: str | tuple[str, ...]
    phase: str
    precision: str
    run: Callable[[], Any]
    broken: Callable[[Any], bool]
    right: Any
    title: str
    title_zh: str
    symptom: str
    symptom_zh: str
    message: str
    why: str
    why_zh: str
    facts: Callable[[], Mapping[str, Any]] = dict
    fixed: Callable[[], Any] | None = None
    advice: str = ""
    tolerance: float = 1e-2
    inferred: bool = False

    @property
    def ops(self) -> tuple[str, ...]:
        """The operations any of which may be named."""
        return (self.op,) if isinstance(self.op, str) else self.op

    @cached_property
    def reference(self) -> Any:
        """What the value should have been."""
        return self.right() if callable(self.right) else self.right

    def told(self, what: str, lang: str = "en") -> str:
        """The ``title``, the ``symptom`` or the ``why`` in a language, "en" or "zh"."""
        return str(getattr(self, what if lang == "en" else f"{what}_{lang}"))

    @cached_property
    def words(self) -> tuple[str, str, str]:
        """What a search looks through: what the case is about, what is said of it, what its symptom may be called."""
        said_of_it = (self.title, self.title_zh, self.symptom, self.symptom_zh, self.message)
        kinds = (self.seen, self.klass, self.phase)
        called = (f"{kind}, {said(kind, 'zh')}, {CALLED.get(kind, '')}" for kind in kinds)
        levels = ((self.name, self.layer, *self.ops), said_of_it, (self.id, *called, self.link))
        first, second, third = (_parted("\n".join(level)) for level in levels)
        return first, second, third

    def __str__(self) -> str:
        lines = (f"{self.name}: {self.title}", self.link, f"{self.klass}, {self.phase}; {self.layer}: {self.symptom}")
        return "\n".join(filled(line, whole=True) for line in lines)

    def to_dict(self) -> dict[str, Any]:
        """What is said of the case before it is run, as plain data."""
        without = ("run", "broken", "right", "facts", "fixed", "advice", "tolerance", "why", "why_zh", "op")
        return {**attributes(self, *without), "op": list(self.ops)}


def _parted(text: str) -> str:
    """A text, and its names in capitals once more in parts: GradScaler is grad scaler, too."""
    return f"{text}\n{' '.join(re.findall('[A-Z]+[a-z]+', text))}"


def flat(value: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """All numbers of a value in one float64 array."""
    if isinstance(value, Tensor):
        return value.array.astype(np.float64).reshape(-1)
    if isinstance(value, (list, tuple)):
        return np.concatenate([flat(item) for item in value]) if value else np.empty(0)
    return np.asarray(value, np.float64).reshape(-1)


def numbers(value: Any) -> Any:
    """A value as a float, or as a float64 array of its shape; several are one row."""
    if isinstance(value, (list, tuple)):
        return flat(value)
    array = flat(value).reshape(value.shape if isinstance(value, Tensor) else np.shape(value))
    return array if array.ndim else float(array)


def off(value: Any, right: Any) -> float:
    """How far a value is from the right one, relative to its norm; infinite where one of them is not finite.

    >>> off([3.0, 4.5], [3.0, 4.0])
    0.1
    """
    a, b = flat(value), flat(right)
    if a.shape != b.shape or not np.isfinite(a).all():
        return 0.0 if a.shape == b.shape and np.array_equal(a, b, equal_nan=True) else np.inf
    norm = float(np.sqrt(np.vdot(b, b)))
    return float(np.sqrt(np.vdot(a - b, a - b))) / (norm or 1.0)
