"""docs/gallery.md and docs/gallery.zh-CN.md: ``python -m tests.gallery.cases [--write]``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest.mock import patch

import halfsim as hs
from halfsim.gallery import Case, Exhibit
from halfsim.gallery import exhibit as running
from halfsim.gallery.case import SEEN
from halfsim.gallery.exhibit import INFERRED
from halfsim.gallery.page import INTRO
from halfsim.gallery.words import labelled, said
from tests.gallery.why import plain
from tests.hardware.page import table

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"en": DOCS / "gallery.md", "zh": DOCS / "gallery.zh-CN.md"}

# What stands above the cases; everything else is the command's.
HEADS = {
    "en": "`halfsim gallery` lists them, `halfsim gallery adam-eps` runs one and shows its code beside the fixed code, "
    '`halfsim gallery --search "loss is nan"` finds it by what you see, and `halfsim gallery --html gallery.html` '
    "writes one page of all of them, with their pictures, to search in. `--seen`, `--class` and `--phase` take a "
    "part, as in the tables below; `--json` gives the facts, `--lang zh` Chinese.\n\nIn Python it is "
    '`hs.gallery.run("adam-eps")`, `hs.gallery.list(search="loss is nan")` and '
    '`hs.gallery.list().run().to_html("gallery.html")`. This page is '
    "printed by `python -m tests.gallery.cases --write`.\n\nHow often the tool is right about them, and where it is "
    "not: [What the answers are worth](verdicts.md). A long story: [an OCR model that went blind](onnx_ocr.md). "
    "[中文](gallery.zh-CN.md)",
    "zh": "`halfsim gallery --lang zh` 列出全部案例；`halfsim gallery adam-eps --lang zh` 运行一个，"
    "并列出原来的代码和修复后的代码；`halfsim gallery --lang zh --search 损失是NaN` 按现象查找；"
    "`halfsim gallery --lang zh --html gallery.html` 写成一个带图、可以搜索的网页。`--seen`、`--class` 和 "
    '`--phase` 按下面的表选出一部分，`--json` 给出数据。\n\n在 Python 中是 `hs.gallery.run("adam-eps", "zh")`、'
    '`hs.gallery.list(search="损失是NaN", lang="zh")` 和 '
    '`hs.gallery.list(lang="zh").run().to_html("gallery.html")`。'
    "本页由 `python -m tests.gallery.cases --write` 打印。\n\n工具的诊断和修复、报错信息、层名都是英文原文。"
    "诊断的正确率见[另一页](verdicts.md)，[失明的 OCR 模型](onnx_ocr.md)也有专页。[English](gallery.md)",
}


@cache
def traced(name: str) -> tuple[Exhibit, hs.Trace]:
    """The case of that name, run once for all that ask, and the trace from which its finding is."""
    traces: list[hs.Trace] = []

    @contextmanager
    def kept() -> Iterator[hs.Trace]:
        with hs.trace() as t:
            traces.append(t)
            yield t

    with patch.object(running, "trace", kept):
        return hs.gallery.run(name), traces[0]


def exhibit(name: str) -> Exhibit:
    """The case of that name, run once for all that ask."""
    return traced(name)[0]


def page(lang: str) -> str:
    """The page in a language, as Markdown."""
    shown = [exhibit(case.name).translated(lang) for case in hs.gallery.list()]
    return "\n\n".join([beginning(lang), *(story(one) for one in shown)]) + "\n"


def beginning(lang: str) -> str:
    """What stands before the cases: what this is, and the tables to find one in."""
    every = hs.gallery.list()
    title, intro = said("Real precision bugs", lang), said(INTRO, lang, n=len(every))
    parts = [f"# {title}", intro, HEADS[lang], f"## {_title('by symptom', lang)}"]
    for kind in SEEN:
        found = [case for case in every if case.seen == kind]
        parts += [f"### {_title(kind, lang)} ({len(found)})", _listed(found, lang)]
    for what, kinds in (("class", [case.klass for case in every]), ("phase", [case.phase for case in every])):
        rows = [(said(kind, lang), _names(case for case in every if kind in (case.klass, case.phase)))
                for kind in dict.fromkeys(kinds)]  # fmt: skip
        parts += [f"## {_title(f'by {what}', lang)}", table((said(what, lang), said("cases", lang)), rows)]
    return "\n\n".join([*parts, f"## {_title('The cases', lang)}"])


def _title(text: str, lang: str) -> str:
    found = said(text, lang)
    return f"{found[0].upper()}{found[1:]}"


def _listed(found: list[Case], lang: str) -> str:
    head = tuple(said(word, lang) for word in ("case", "symptom", "layer", "class", "phase"))
    rows = ((f"[{c.name}](#{c.name})", plain(c.told("symptom", lang)), plain(c.layer), said(c.klass, lang),
             said(c.phase, lang)) for c in found)  # fmt: skip
    return table(head, rows)


def _names(found: Iterable[Case]) -> str:
    return ", ".join(f"[{case.name}](#{case.name})" for case in found)


def story(one: Exhibit) -> str:
    """A case: what was seen, the numbers, why, and what helped."""
    case, lang = one.case, one.lang
    parts = [f"### {case.name}", f"**{plain(case.told('title', lang))}** ([{case.year}]({case.link}))"]
    parts.append("\n".join(f"- {labelled(label, plain(text), lang)}" for label, text in one.parts.items()))
    head, *rows = one.table()
    parts.append(table(head, rows))
    parts.append(one.why)
    if case.inferred:
        parts.append(said(INFERRED, lang))
    parts.append(f"*{labelled('what the tool found', '', lang).strip()}* {plain(one.finding.sentence)}.")
    parts.append(f"*{labelled('the usual fix', '', lang).strip()}* {plain(str(one.finding.fixes[0]))}.")
    parts.append(labelled("fixed", one.mending, lang))
    return "\n\n".join(parts)


if __name__ == "__main__":
    for lang, path in PAGES.items():
        if "--write" in sys.argv:
            path.write_text(page(lang), encoding="utf-8")
    if "--write" not in sys.argv:
        print(page("en"), end="")
