"""What a notebook calls: a lesson begun, predictions, checked exercises. Everything prints, and nothing raises."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from halfsim.gallery.languages import language
from halfsim.names import near
from halfsim.teach.exercises import by_key, of
from halfsim.teach.judge import Judged, judge

_TEXTS = {
    "noted": ("noted: {key} = {value}", "已记下：{key} = {value}"),
    "guess": (
        "{key}: no prediction yet; put a guess in the place of ..., being wrong costs nothing",
        "{key}：还没有预测；把 ... 换成你的猜测，猜错没有关系",
    ),
    "seen": ("{key}: revealed already; your prediction stays {value}", "{key}：已经揭晓，你的预测仍是 {value}"),
    "seen empty": ("{key}: revealed already", "{key}：已经揭晓"),
    "reveal": ("{key}: it is {actual}; you predicted {value}", "{key}：实际是 {actual}；你的预测是 {value}"),
    "as predicted": ("{key}: it is {actual}, as you predicted", "{key}：实际是 {actual}，与你的预测一致"),
    "unpredicted": ("{key}: it is {actual}; you made no prediction", "{key}：实际是 {actual}；你没有预测"),
    "right": ("\u2713 {key}: right", "\u2713 {key}：正确"),
    "wrong": ("\u2717 {key}: {text}", "\u2717 {key}：{text}"),
    "blank": ("\u25cb {key}: {text}", "\u25cb {key}：{text}"),
    "unknown": ("there is no exercise {key}{near}", "没有名为 {key} 的练习{near}"),
    "near": ("; did you mean {name}?", "；是不是 {name}？"),
    "score": ("{right} of {all} exercises are right", "{all} 道练习中 {right} 道正确"),
    "open": ("; still open: {keys}", "；还剩：{keys}"),
}


@dataclass
class _State:
    """What is known of the notebook that runs."""

    lang: str = "en"
    keys: tuple[str, ...] = ()
    predicted: dict[str, Any] = field(default_factory=dict)
    revealed: set[str] = field(default_factory=set)
    judged: dict[str, Judged] = field(default_factory=dict)

    def say(self, text: str, /, **fields: Any) -> str:
        return _TEXTS[text][self.lang == "zh"].format(**fields)


_now = _State()


def start(subject: str, lang: str = "en") -> None:
    """Begin a lesson, by its name without the number, in a language: no predictions and no answers so far.

    ``ValueError`` for a language that there is not, `ModuleNotFoundError` for such a lesson: both are written by us.

    >>> start("sixteen_bits")
    """
    global _now
    _now = _State(language(lang), tuple(one.key for one in of(subject)))


def predict(key: str, value: Any) -> None:
    """Note what you expect before the cell that shows it; ``...`` is no prediction yet. The last one before counts.

    >>> predict("sum", 4096)
    noted: sum = 4096
    """
    if key in _now.revealed:
        known = key in _now.predicted
        print(_now.say("seen" if known else "seen empty", key=key, value=_short(_now.predicted.get(key))))
    elif value is Ellipsis or value is None:
        _now.predicted.pop(key, None)
        print(_now.say("guess", key=key))
    else:
        _now.predicted[key] = value
        print(_now.say("noted", key=key, value=_short(value)))


def reveal(key: str, actual: Any) -> None:
    """Show what happened beside what was predicted; from now on the prediction stays as it is.

    >>> predict("sum", 4096); reveal("sum", 2048)
    noted: sum = 4096
    sum: it is 2048; you predicted 4096
    """
    _now.revealed.add(key)
    if key not in _now.predicted:
        print(_now.say("unpredicted", key=key, actual=_short(actual)))
        return
    value = _now.predicted[key]
    name = "as predicted" if _same(value, actual) else "reveal"
    print(_now.say(name, key=key, actual=_short(actual), value=_short(value)))


def check(key: str, answer: Any) -> None:
    """Say whether an answer is right, or else a hint; an answer may be anything, and nothing is raised.

    >>> start("sixteen_bits")
    >>> check("largest", 70000)
    \u2717 largest: 70000 is not on the list: in float16 it becomes inf
    """
    exercise = by_key().get(key) if isinstance(key, str) else None
    if exercise is None:
        nearest = near(str(key), by_key())
        print(_now.say("unknown", key=key, near=_now.say("near", name=nearest[0]) if nearest else ""))
        return
    found = judge(exercise, answer, _now.lang)
    _now.judged[key] = found
    name = "right" if found.right else "wrong" if found.answered else "blank"
    print(_now.say(name, key=key, text=found.text))


def score() -> None:
    """Say how many of the lesson's exercises are right, and which are not yet.

    >>> start("sixteen_bits"); score()  # doctest: +ELLIPSIS
    0 of ... exercises are right; still open: ...
    """
    right = [key for key in _now.keys if key in _now.judged and _now.judged[key].right]
    still = [key for key in _now.keys if key not in right]
    told = _now.say("open", keys=", ".join(still)) if still else ""
    print(_now.say("score", right=len(right), all=len(_now.keys)) + told)


def _short(value: Any) -> str:
    try:
        if isinstance(value, (float, np.floating)):
            x = float(value)
            return f"{x:.0f}" if x.is_integer() and abs(x) < 1e16 else f"{x:.6g}"
        text = " ".join(str(value).split())
        return text if len(text) <= 80 else f"{text[:77]}..."
    except Exception:  # of an object that cannot be printed
        return type(value).__name__


def _same(a: Any, b: Any) -> bool:
    try:
        if isinstance(a, str) and isinstance(b, str):
            return a.strip().casefold() == b.strip().casefold()
        return bool(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=not isinstance(a, str)))
    except Exception:  # of things that cannot be compared
        return False
