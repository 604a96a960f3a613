"""The pages of papers, made of the record of the last run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from halfsim.gallery.literature.catalogue import PAPERS, measured
from halfsim.gallery.literature.result import HEAD, WORDS, Claim, Paper, Reproduction, Reproductions
from halfsim.gallery.said import Said
from tests.gallery.why import plain
from tests.hardware.page import table

DOCS = Path(__file__).parents[3] / "docs"
PAGES = {"en": DOCS / "papers.md", "zh": DOCS / "papers.zh-CN.md"}
RECORD = Path(__file__).with_name("papers.json")
LESSONS = {name: number for number, name in enumerate(PAPERS, 13)}

HEADS = {
    "en": "Five recent results on low precision, measured again with simulated arithmetic. `halfsim papers` runs all "
    "of them and prints this table ({seconds:.0f} s of processor time in all); `halfsim papers {names}` runs one; "
    "`--seeds` says how many runs, `--html` makes a page, `--json` gives the facts, `--lang zh` Chinese. In Python it "
    'is `hs.gallery.papers("hopper")`. Each has a lesson (`halfsim lessons`). A result is reproduced if the mean '
    "of our runs lies in a range about the paper's number or about what arithmetic says; where there is neither, it "
    "holds if it lies in the range in which the claim is still true. This page is printed by "
    "`python -m tests.gallery.literature --write` from the last run. [中文](papers.zh-CN.md)",
    "zh": "五项关于低精度的近期结果，用模拟的算术重新测量。`halfsim papers --lang zh` 运行全部内容并打印此表"
    "（处理器时间共 {seconds:.0f} 秒）；`halfsim papers {names}` 只运行一篇；`--seeds` 指定运行次数，`--html` "
    '生成网页，`--json` 给出数据。在 Python 中是 `hs.gallery.papers("hopper", lang="zh")`。每篇都有一课'
    "（`halfsim lessons`）。若各次运行的均值落在论文数值或算术预期附近的"
    "范围内，就视为重现；两者都没有时，均值在论断仍为真的范围内就算成立。本页由 "
    "`python -m tests.gallery.literature --write` 按最近一次的运行打印。[English](papers.md)",
}
TITLES = {"en": "Papers on rounding, reproduced", "zh": "关于舍入的论文，逐一重现"}
TOOK = {
    "en": "`halfsim papers {name}`: {seconds:.0f} s of processor time on {date}. Lesson {lesson}.",
    "zh": "`halfsim papers {name} --lang zh`：{date}，处理器时间 {seconds:.0f} 秒。第 {lesson} 课。",
}


def record() -> dict[str, Any]:
    return json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}


def _claim(facts: dict[str, Any]) -> Claim:
    words = {name: Said(*facts[name]) for name in ("words", "where")}
    return Claim(**{**facts, **words, "values": tuple(facts["values"])})


def recorded(lang: str = "en") -> Reproductions:
    """What the record has, as if it had just been measured."""
    found = []
    for name, facts in record().items():
        paper: Paper = import_module(f"halfsim.gallery.literature.{PAPERS[name]}").PAPER
        not_shown = [Said(*words) for words in facts["not_shown"]]
        found.append(Reproduction(paper, [*map(_claim, facts["claims"])], not_shown, lang))
    return Reproductions(found, lang)


def measure(name: str) -> None:
    """Run one paper, and write what came out into the record."""
    start = time.process_time()
    found = measured(name)
    seconds = time.process_time() - start
    claims = [asdict(claim) for claim in found.claims]
    facts = {"date": time.strftime("%Y-%m-%d"), "seconds": seconds, "claims": claims, "not_shown": found.not_shown}
    kept = {**record(), name: facts}
    text = json.dumps({one: kept[one] for one in PAPERS if one in kept}, indent=1, ensure_ascii=False)
    RECORD.write_text(text + "\n", encoding="utf-8")


def _parts(one: Reproduction, facts: dict[str, Any]) -> Iterator[str]:
    lang = one.lang
    yield f"## {one.title}"
    yield plain(one.paper.question.to(lang))
    yield plain(one.source)
    yield table(HEAD.to(lang).split("|"), [[plain(cell).replace("|", "&#124;") for cell in row] for row in one.rows()])
    if one.not_shown:
        yield plain(WORDS["not_shown"].to(lang)) + ("：" if lang == "zh" else ":")
        yield "\n".join(f"- {plain(words.to(lang))}" for words in one.not_shown)
    yield TOOK[lang].format(name=one.name, lesson=LESSONS[one.name], **facts)


def page(lang: str) -> str:
    """The page in a language, as Markdown."""
    kept = record()
    head = HEADS[lang].format(seconds=sum(facts["seconds"] for facts in kept.values()), names="|".join(kept))
    parts = [f"# {TITLES[lang]}", head]
    for one in recorded(lang):
        parts += _parts(one, kept[one.name])
    return "\n\n".join(parts) + "\n"
