"""docs/why.md and docs/why.zh-CN.md: ``python -m tests.gallery.why [--write]``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import halfsim as hs
from halfsim.gallery.questions import compared, view
from halfsim.gallery.questions.answers import QUESTIONS
from halfsim.gallery.questions.result import Why
from halfsim.gallery.questions.texts import texts
from tests.hardware.page import table

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"en": DOCS / "why.md", "zh": DOCS / "why.zh-CN.md"}

# What stands above the answers; everything else is the command's.
HEADS = {
    "en": "`halfsim why` prints what stands here, `halfsim why 6` a question with its claims, "
    '`halfsim why "who is faster"` finds it by its words; `--html` makes a page, `--json` gives the facts, '
    "`--lang zh` Chinese. In Python it is `hs.gallery.why(6)`. [中文](why.zh-CN.md)",
    "zh": "本页就是 `halfsim why --lang zh` 的输出；`halfsim why --lang zh 6` 逐条讲解一个问题，"
    "`halfsim why --lang zh 谁更快` 按词查找；另有 `--html` 和 `--json`。在 Python 中是 "
    '`hs.gallery.why(6, lang="zh")`。[English](why.md)',
}


def plain(text: str) -> str:
    """Text in which Markdown finds no marks."""
    return re.sub(r"([*_<>])", r"\\\1", text)


def page(lang: str) -> str:
    """The page in a language, as Markdown."""
    found, words = hs.gallery.why("all", lang), texts(lang)["words"]
    parts = [f"# {found.title}", plain(found._intro()), plain(found._tally()), HEADS[lang]]
    for heading, rows, note in view.comparison(lang):
        head, *lines = ([plain(cell) for cell in row] for row in rows)
        parts += [f"## {heading}", table(head, lines), plain(note)]
    parts += [asked(found, n, words) for n in QUESTIONS]
    parts += [f"## {words['sources']}", "\n".join(f"- {plain(source)}" for source in compared.documents())]
    return "\n\n".join(parts) + "\n"


def asked(found: Why, n: int, words: dict[str, str]) -> str:
    """A question with its claims."""
    parts = [f"## {n}. {plain(found._asking(n))}", plain(found.short(n))]
    for a in found.answers:
        if a.question == n:
            more = f" {words['more'].format(command=f'`{a.command}`')}" if a.command else ""
            parts += [f"**{plain(a.claim)}** *{words[a.verdict]}*", f"{plain(a.text)}{more}"]
    return "\n\n".join(parts)


if __name__ == "__main__":
    for lang, path in PAGES.items():
        if "--write" in sys.argv:
            path.write_text(page(lang), encoding="utf-8")
        else:
            print(page(lang))
