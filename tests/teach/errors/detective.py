"""Errors that pupils make in lesson 11, each with a piece of the hint that it must get, in both languages."""

from __future__ import annotations

from typing import Any

# The exercise, the answer, what the hint says in English, and in Chinese.
ERRORS: list[tuple[str, Any, str, str]] = [
    ("run A", "NaN", "nan is not one of the words: eps lost, overflow", "nan 不在这些词里"),
    ("run A", "healthy", "in half at nan", "在半精度下是 nan"),
    ("run A", "overflow", "goes wrong in the phase optimizer", "在 optimizer 阶段"),
    ("run B", "healthy", "ends at 1.32", "最后是 1.32"),
    ("run B", "underflow", "goes wrong in the phase forward", "在 forward 阶段"),
    ("run B", "eps", "is not one of the words", "不在这些词里"),
    ("run C", "underflow", "goes wrong in the phase optimizer", "在 optimizer 阶段"),
    ("run C", "healthy", "half precision changed something", "半精度改变了什么"),
    ("run C", "lost updates", "is not one of the words", "不在这些词里"),
    ("run D", "swamping", "goes wrong in the phase backward", "在 backward 阶段"),
    ("run D", "healthy", "in half at 2.33", "在半精度下是 2.33"),
    ("run D", "small", "is not one of the words", "不在这些词里"),
    ("run E", "overflow", "half precision does not", "都不是半精度造成的"),
    ("run E", "swamping", "half precision does not", "都不是半精度造成的"),
    ("run E", "benign rounding", "rounding that does no harm", "没有害处的舍入"),
    ("run E", "fine", "is not one of the words", "不在这些词里"),
    ("repair D", -4, "take a positive number", "应当是正数"),
    ("repair D", 2.0**40, "take a smaller one", "取小一点"),
    ("repair D", 1, "take a larger one", "取大一点"),
]
