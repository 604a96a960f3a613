"""Whether an answer is right, and what to say if not. Nothing here raises, whatever the answer is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from halfsim.teach.exercise import Exercise

_TEXTS = {
    "blank": ("not filled in yet: put your answer in the place of ...", "还没有填：把 ... 换成你的答案"),
    "empty": ("your function returns nothing yet: write its body, with a return", "你的函数还没有返回值：写出函数体，用 return 返回"),
    "uncalled": ("yours is a function: call it, and give what it returns", "你给的是函数本身：请调用它，交它的返回值"),
    "no function": ("yours is no function: give its name, without brackets", "你给的不是函数：只写函数名，不要加括号"),
    "raised": ("{call} raised {error}", "{call} 抛出了 {error}"),
    "quotes": ("yours is a text: leave the quotes out", "你给的是字符串：去掉引号"),
    "no quotes": ("yours is of type {kind}: a text in quotes is asked for", "你给的类型是 {kind}：这里要的是带引号的字符串"),
    "no bool": ("yours is of type {kind}: True or False is asked for", "你给的类型是 {kind}：这里要的是 True 或 False"),
    "unread": ("yours is of type {kind}: {wanted} is asked for", "你给的类型是 {kind}：这里要的是{wanted}"),
    "one": ("a number", "一个数"),
    "list": ("a list of {size} numbers", "有 {size} 个数的列表"),
    "many": ("an array of shape {shape}", "形状为 {shape} 的数组"),
    "shape": ("yours has shape {given}; {shape} is asked for", "你的形状是 {given}，应当是 {shape}"),
    "large": ("{got} is too large", "{got} 太大了"),
    "small": ("{got} is too small", "{got} 太小了"),
    "nan": ("yours is NaN: 0/0 or inf - inf is in it somewhere", "你的结果是 NaN：某处出现了 0/0 或 inf - inf"),
    "not nan": ("{got} is a number; look again at what an invalid operation gives", "{got} 是一个数；再想想无效运算的结果是什么"),
    "some": ("{good} of {size} are right; the first that is not is number {at}, counted from 0: {how}",
             "{size} 个中对了 {good} 个；第一个不对的下标是 {at}：{how}"),
    "word": ("it is not {got}", "不是 {got}"),
    "bit": ("{got} differs first in character {at}, counted from 1", "{got} 从左数第 {at} 个字符开始不对"),
    "long": ("yours has {given} characters, {size} are asked for", "你的有 {given} 个字符，应当有 {size} 个"),
    "case": ("{call}: {how}", "{call}：{how}"),
    "property": ("{got} does not do it", "{got} 不符合要求"),
    "odd": ("an answer of type {kind} cannot be read", "无法读取类型为 {kind} 的答案"),
}  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """What came of an answer: whether it is right, whether anything was answered, and what to say if it is not."""

    right: bool
    answered: bool = True
    text: str = ""


class _Wrong(Exception):  # noqa: N818  # no error of ours: how an answer is wrong
    """How an answer is wrong: a row of the texts, and its fields."""

    def __init__(self, name: str, /, **fields: Any) -> None:
        super().__init__(name)
        self.name, self.fields = name, fields

    def told(self, lang: str) -> str:
        return _said(self.name, lang, **self.fields)


class _Number(float):
    """A number that prints as people write it: 2048, not 2048.0."""

    def __format__(self, spec: str) -> str:
        whole = self.is_integer() and abs(self) < 1e16
        return super().__format__(spec) if spec else f"{self:.0f}" if whole else repr(float(self))


def _shown(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        return value
    return _Number(value)


def _said(text: str, lang: str, /, **fields: Any) -> str:
    fields = {key: value.told(lang) if isinstance(value, _Wrong) else _shown(value) for key, value in fields.items()}
    return _TEXTS[text][lang == "zh"].format(**fields)


def judge(exercise: Exercise, answer: Any, lang: str = "en") -> Judged:
    """Whether ``answer`` is right, or else the hint for its error in ``lang``; never raises but KeyboardInterrupt.

    >>> judge(Exercise("two", lambda: 2), 3)
    Judged(right=False, answered=True, text='3 is too large')
    """
    try:
        wrong, got = _cases(exercise, answer) if exercise.cases else _one(exercise, answer)
        if wrong is None:
            return Judged(True)
        if wrong.name in ("blank", "empty"):
            return Judged(False, False, wrong.told(lang))
        unread = got is None or (bool(exercise.cases) and any(one is None for one in got))
        for hint in () if unread else exercise.hints:
            numbers = exercise.fields(hint, got)
            if numbers is not None:
                fields = {"got": wrong.fields.get("got", got), "right": wrong.fields.get("right"), **numbers}
                text = hint.zh if lang == "zh" else hint.en
                return Judged(False, True, text.format(**{name: _shown(value) for name, value in fields.items()}))
        return Judged(False, True, wrong.told(lang))
    except Exception:  # an answer whose own methods raise
        return Judged(False, True, _said("odd", lang, kind=type(answer).__name__))


def _cases(exercise: Exercise, answer: Any) -> tuple[_Wrong | None, Any]:
    """How a function is wrong, at the first case where it is; and its result for every case."""
    if answer is Ellipsis or answer is None:
        return _Wrong("blank"), None
    if not callable(answer):
        return _Wrong("no function"), None
    results: list[Any] = []
    first: _Wrong | None = None
    for case in exercise.cases:
        name = getattr(answer, "__name__", "f")
        call = f"{name}({', '.join(_argument(x) for x in case)})"
        wrong, got = None, None
        try:
            given = answer(*case)
        except (Exception, SystemExit) as error:
            message = " ".join(str(error).split())[:120]
            wrong = _Wrong("raised", call=call, error=f"{type(error).__name__}: {message}".rstrip(": "))
        else:
            wrong, got = _compared(exercise, given, exercise.right(*case))
            if wrong is not None:
                empty = wrong.name == "blank"
                told = _Wrong("empty") if empty else _Wrong("case", call=call, how=wrong, **_values(wrong))
                wrong = told
        results.append(got)
        first = first or wrong
    return first, results


def _values(wrong: _Wrong) -> dict[str, Any]:
    return {name: wrong.fields[name] for name in ("got", "right") if name in wrong.fields}


def _argument(x: Any) -> str:
    if isinstance(x, np.ndarray):
        return f"array of {x.size} numbers" if x.size > 8 else repr(x.tolist())
    text = repr(x)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _one(exercise: Exercise, answer: Any) -> tuple[_Wrong | None, Any]:
    if callable(answer) and not hasattr(answer, "__array__"):
        return _Wrong("uncalled"), None
    return _compared(exercise, answer, _computed(exercise.right))


@cache
def _computed(right: Callable[[], Any]) -> Any:
    """A right answer, which takes its time once."""
    return right()


def _compared(exercise: Exercise, answer: Any, right: Any) -> tuple[_Wrong | None, Any]:
    """How an answer is wrong, None if it is not; and the answer as it was read, None if it was not."""
    if answer is Ellipsis or answer is None:
        return _Wrong("blank"), None
    read = _word if isinstance(right, str) else _truth if isinstance(right, (bool, np.bool_)) else _numbers
    try:
        got = read(answer, right)
    except _Wrong as wrong:
        return wrong, None
    if exercise.accepts is not None:
        return (None, got) if exercise.accepts(got) else (_Wrong("property", got=got, right=right), got)
    how = {_word: _other_word, _truth: _other_word, _numbers: _other_numbers}[read]
    return how(got, read(right, right), exercise.close), got


def _word(answer: Any, right: Any) -> Any:
    if not isinstance(answer, str):
        raise _Wrong("no quotes", kind=type(answer).__name__)
    return "".join(answer.split()).replace("_", "").casefold()


def _truth(answer: Any, right: Any) -> Any:
    if not isinstance(answer, (bool, np.bool_)):
        raise _Wrong("no bool", kind=type(answer).__name__)
    return bool(answer)


def _numbers(answer: Any, right: Any) -> Any:
    shape = np.shape(right)
    wanted = _Wrong("many", shape=shape) if shape[1:] else _Wrong("list", size=shape[0]) if shape else _Wrong("one")
    if isinstance(answer, str):
        with contextlib.suppress(ValueError):
            float(answer)
            if not shape:
                raise _Wrong("quotes")
        raise _Wrong("unread", kind="str", wanted=wanted)
    if isinstance(answer, (bool, np.bool_)) and (shape or right not in (0, 1)):  # where it says a bit
        raise _Wrong("unread", kind="bool", wanted=wanted)
    try:
        read = np.asarray(answer)
        if read.dtype.kind not in "fiubO" and read.dtype.itemsize != 2:  # bfloat16 has a kind of its own
            raise TypeError
        got = read.astype(np.float64)
    except Exception:
        raise _Wrong("unread", kind=type(answer).__name__, wanted=wanted) from None
    if not shape and got.size == 1:
        return float(got.reshape(()))
    if got.shape != shape:
        raise _Wrong("shape", given=got.shape, shape=shape)
    return got


def _other_word(got: Any, right: Any, close: float) -> _Wrong | None:
    if got == right:
        return None
    bits = isinstance(got, str) and {*right} <= {"0", "1"} and {*got} <= {"0", "1"}
    if bits and len(got) != len(right):
        return _Wrong("long", given=len(got), size=len(right), got=got, right=right)
    if bits:
        at = next(i for i, (a, b) in enumerate(zip(got, right, strict=True), 1) if a != b)
        return _Wrong("bit", got=got, at=at, right=right)
    return _Wrong("word", got=got, right=right)


def _other_numbers(got: Any, right: Any, close: float) -> _Wrong | None:
    got, right = np.asarray(got), np.asarray(right)
    with np.errstate(all="ignore"):
        good = np.isclose(got, right, rtol=close, atol=0.0, equal_nan=True)
    if good.all():
        return None
    at = int(np.argmin(good.reshape(-1)))
    a, b = float(got.reshape(-1)[at]), float(right.reshape(-1)[at])
    name = "nan" if np.isnan(a) else "not nan" if np.isnan(b) else "large" if a > b else "small"
    how = _Wrong(name, got=a, right=b)
    if not got.ndim:
        return how
    return _Wrong("some", good=int(good.sum()), size=got.size, at=at, how=how, got=a, right=b)
