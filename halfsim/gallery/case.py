"""A precision bug that was reported, rebuilt as its reporter would write it, and what a good answer says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from halfsim.autograd.tensor import Tensor
from halfsim.card import Card
from halfsim.document import attributes
from halfsim.text import filled

# What one sees of a bug, before one knows anything else: English and Chinese.
SEEN = {
    "NaN": "NaN", "infinity": "无穷大", "zeros": "全零", "no change": "不动", "wrong numbers": "数值不对",
    "an error": "报错",
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
    def words(self) -> str:
        """All that a search looks through, in small letters."""
        texts = (self.id, self.name, self.layer, self.seen, SEEN[self.seen], self.klass, *self.ops, self.phase,
                 self.title, self.title_zh, self.symptom, self.symptom_zh, self.message, self.link)  # fmt: skip
        return "\n".join(texts).casefold()

    def __str__(self) -> str:
        lines = (f"{self.name}: {self.title}", self.link, f"{self.klass}, {self.phase}; {self.layer}: {self.symptom}")
        return "\n".join(filled(line, whole=True) for line in lines)

    def to_dict(self) -> dict[str, Any]:
        """What is said of the case before it is run, as plain data."""
        without = ("run", "broken", "right", "facts", "fixed", "advice", "tolerance", "why", "why_zh", "op")
        return {**attributes(self, *without), "op": list(self.ops)}


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
