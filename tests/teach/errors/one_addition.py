"""Errors that pupils make in lesson 2, each with a piece of the hint that it must get, in both languages."""

from __future__ import annotations

from typing import Any

# The exercise, the answer, what the hint says in English, and in Chinese.
ERRORS: list[tuple[str, Any, str, str]] = [
    ("a tie", 1 + 3 * 2**-11, "the numbers are 0.0009765625 apart", "1 以上的数相距 0.0009765625"),
    ("a tie", 1 + 2**-10, "its last bit is 1", "它的末位是 1"),
    ("a tie", 1, "1.5 steps above 1", "上方 1.5 步"),
    ("a tie", 1.0015, "1.0015 is not on the list of float16", "1.0015 不在 float16 的表上"),
    ("a tie", 1 + 3 * 2**-10, "is too large", "太大了"),
    ("three bits", [1, 1, 0], "the sticky bit is 1", "粘滞位是 1"),
    ("three bits", (0, 1, 1), "and that is a 1", "那是 1"),
    ("three bits", [1, 1, 5], "a bit is 0 or 1", "0 或 1"),
    ("three bits", [1, 0, 1], "the round bit stands for 1", "舍入位值 1"),
    ("three bits", "111", "a list of 3 numbers is asked for", "有 3 个数的列表"),
    ("three bits", [1, 1], "yours has shape (2,)", "形状是 (2,)"),
    ("enough", 1.0, "goes to 2048, whose last bit is 0", "取末位为 0 的 2048"),
    ("enough", 1.0001, "1.0001 is not on the list", "1.0001 不在 float16 的表上"),
    ("enough", 2, "2048 + 2 = 2050, so it is enough, but less is too", "2048 + 2 = 2050，够了"),
    ("enough", 0.5, "0.5 is below half an ulp of 2048, which is 1", "0.5 小于 2048 的半个 ulp"),
    ("up", lambda guard, round, sticky: round, "rounds every tie up", "每个一半都进位"),
    ("up", lambda guard, round, sticky: round and sticky, "rounds every tie down", "每个一半都舍去"),
    ("up", lambda guard, round, sticky: guard & round, "forgets the sticky bit", "忘了粘滞位"),
    ("up", lambda guard, round, sticky: 1 - (round & (sticky | guard)), "the other way round", "全都反了"),
    ("up", lambda guard, round: round, "raised TypeError", "抛出了 TypeError"),
    ("what is left", 0, "with 0.001", "与 0.001 相比"),
    ("what is left", 2.34375, "2.344 is in percent", "2.344 是百分数"),
    ("what is left", 2.34375e-05, "2.344e-05 is the absolute error", "2.344e-05 是绝对误差"),
    ("what is left", -0.0234375, "-0.02344 has a sign", "-0.02344 带着符号"),
]
