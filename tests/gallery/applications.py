"""The applications, recorded, and docs/applications.md with docs/applications.zh-CN.md printed from the record.

python -m tests.gallery.applications            print the English page
python -m tests.gallery.applications --write    write both pages from the record
python -m tests.gallery.applications --measure  run all (a minute or two), record them, write pages and pictures

It takes ``pip install 'halfsim[gallery,speech,models]'``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import halfsim as hs
from halfsim.gallery.said import Said
from halfsim.gallery.uses import sources
from halfsim.gallery.uses.cases import Row
from halfsim.gallery.uses.catalogue import APPLICATIONS
from halfsim.gallery.uses.measures import Measure
from halfsim.gallery.uses.pictures import Picture
from halfsim.gallery.uses.result import Application, Applications, Fact, credit, fact, legend, result, said
from tests.gallery.why import plain
from tests.hardware.page import table

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"en": DOCS / "applications.md", "zh": DOCS / "applications.zh-CN.md"}
PICTURES = DOCS / "applications"
RECORD = Path(__file__).with_name("applications.json")
SOURCES = {one.key: one for one in vars(sources).values() if isinstance(one, sources.Source)}

HEADS = {
    "en": "`halfsim applications` computes all of it ({seconds:.0f} s of processor time on {date}) and prints it; "
    "`halfsim applications {names}` one part; `--html` makes a page, `--json` gives the facts, `--lang zh` Chinese. In "
    'Python it is `hs.gallery.applications("image")`. The data comes out of packages: `pip install '
    "'halfsim[gallery,speech,models]'`. Nothing is downloaded when it runs, and what is not installed is named in one "
    "line. This page is printed by `python -m tests.gallery.applications --write` from the last run. "
    "[中文](applications.zh-CN.md)",
    "zh": "`halfsim applications --lang zh` 计算并打印全部内容（{date}，处理器时间 {seconds:.0f} 秒）；"
    "`halfsim applications {names}` 只算一部分；`--html` 生成网页，`--json` 给出数据。在 Python 中是 "
    '`hs.gallery.applications("image", lang="zh")`。数据来自软件包：`pip install '
    "'halfsim[gallery,speech,models]'`。运行时不下载任何东西，未安装的用一行说明。本页由 "
    "`python -m tests.gallery.applications --write` 按最近一次的运行打印。[English](applications.md)",
}
INTRO = {
    "en": "What is half precision good for, and where does it break? Here it works on real data: a photograph, a "
    "spoken sentence, terrain, ten million rows, four trained models, small Arm cores. Every operation runs in "
    "simulated arithmetic and is compared with what is right; what is not good enough gets the smallest fix that mends "
    "it, and the fix is measured too.",
    "zh": "半精度适合做什么，又在哪里出错？这里让它处理真实数据：一张照片、一句话、地形、一千万行数据、"
    "四个训练好的模型、小型 Arm 内核。"
    "每项运算都在模拟的算术中执行，并与正确结果比较；不够好的，给出能修好它的最小补救，补救也经过测量。",
}
HEAD = {
    "en": ["operation", "arithmetic", "value", "enough", "where it breaks", "smallest fix", "with the fix"],
    "zh": ["运算", "算术", "数值", "足够", "在何处出错", "最小补救", "补救后"],
}
TOOK = {
    "en": "`halfsim applications {name}`: {seconds:.1f} s.",
    "zh": "`halfsim applications {name} --lang zh`：{seconds:.1f} 秒。",
}


NO_PIXELS: Any = None  # they stand in files


def record() -> dict[str, Any]:
    return json.loads(RECORD.read_text(encoding="utf-8"))


def kept(one: Application) -> dict[str, Any]:
    """An application as plain data from which `recorded` makes it again, without the pixels of its pictures."""

    def row(found: Row) -> dict[str, Any]:
        measure = {"name": found.measure.name, "unit": found.measure.unit, "rises": found.measure.rises,
                   "digits": found.measure.digits}  # fmt: skip
        return {**{key: value for key, value in vars(found).items() if key != "measure"}, "measure": measure}

    return {
        "words": one._words, "summary": one._summary, "rows": [*map(row, one.rows)],
        "facts": [asdict(found) for found in one.facts],
        "pictures": [[p.name, p.caption, [words for words, _ in p.panels]] for p in one.pictures],
        "sources": [source.key for source in one.sources],
    }  # fmt: skip


def _row(facts: dict[str, Any]) -> Row:
    words = {key: Said(*facts[key]) for key in ("operation", "where", "fix")}
    measure = facts["measure"]
    named = Measure(
        Said(*measure["name"]), Said(*measure["unit"]), measure["rises"], lambda out, right: 0.0, measure["digits"]
    )
    return Row(**{**facts, **words, "measure": named})


def recorded(lang: str = "en") -> Applications:
    """What the record has, as if it had just been measured."""
    found = []
    for name, facts in record()["applications"].items():
        shown = [Picture(n, Said(*caption), tuple((Said(*words), NO_PIXELS) for words in panels))
                 for n, caption, panels in facts["pictures"]]  # fmt: skip
        found.append(Application(
            name, Said(*facts["words"]), Said(*facts["summary"]), [*map(_row, facts["rows"])],
            [Fact(Said(*f["words"]), f["value"], f["unit"]) for f in facts["facts"]], shown,
            [SOURCES[key] for key in facts["sources"]], (), lang,
        ))  # fmt: skip
    return Applications(found, lang)


def files(one: Application, picture: Picture) -> list[str]:
    """The names of a picture's files in docs/applications."""
    return [f"{one.name}-{picture.name}-{i}.png" for i in range(len(picture.panels))]


def _lines(one: Application) -> Iterator[list[str]]:
    last: Any = None
    for row in one.rows:
        key = (row.operation, row.measure.name)
        head = "{}<br>*{}*".format(*(plain(words.to(one.lang)) for words in key)) if key != last else ""
        last = key
        where, fix, fixed = result(row, one.lang)
        yield [head, row.precision, row.measure.shown(row.value, one.lang), row.measure.shown(row.enough, one.lang),
               plain(where), plain(fix), fixed]  # fmt: skip


def page(lang: str) -> str:
    """The page in a language, as Markdown."""
    facts, found = record(), recorded(lang)
    names, seconds = "|".join(APPLICATIONS), sum(facts["seconds"].values())
    parts = [f"# {found.title}", INTRO[lang],
             HEADS[lang].format(names=names, seconds=seconds, date=facts["date"])]  # fmt: skip
    for one in found:
        parts += [f"## {one.title}", plain(one.summary)]
        for picture in one.pictures:
            shown = [f"![{words.to(lang)}](applications/{file})\n*{words.to(lang)}*"
                     for file, (words, _) in zip(files(one, picture), picture.panels, strict=True)]  # fmt: skip
            parts.append('<div class="pictures small" markdown>\n\n' + "\n\n".join(shown) + "\n\n</div>")
            parts.append(plain(picture.caption.to(lang)))
        parts += [table(HEAD[lang], _lines(one)), plain(legend(one.rows, lang))]
        if one.facts:
            parts.append("\n".join(f"- {plain(said(f.words.to(lang), fact(f), lang))}" for f in one.facts))
        parts.append("\n".join(f"- {plain(credit(source, lang))}" for source in one.sources))
        parts.append(TOOK[lang].format(name=one.name, seconds=facts["seconds"][one.name]))
    return "\n\n".join(parts) + "\n"


def measure() -> None:
    """Run everything, and write the record and the pictures."""
    found, seconds = [], {}
    for name in APPLICATIONS:
        start = time.process_time()
        one = hs.gallery.applications(name)
        seconds[name] = time.process_time() - start
        print(name, f"{seconds[name]:.1f} s")
        if one.missing:
            raise SystemExit("\n".join(one.missing))
        found.append(one)
    facts = {
        "date": time.strftime("%Y-%m-%d"),
        "seconds": seconds,
        "applications": {one.name: kept(one) for one in found},
    }
    RECORD.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PICTURES.mkdir(exist_ok=True)
    for one in found:
        for picture in one.pictures:
            for i, file in enumerate(files(one, picture)):
                (PICTURES / file).write_bytes(picture.png(i))


if __name__ == "__main__":
    if "--measure" in sys.argv:
        measure()
    for lang, path in PAGES.items():
        if {"--write", "--measure"} & {*sys.argv}:
            path.write_text(page(lang), encoding="utf-8")
    if not {"--write", "--measure"} & {*sys.argv}:
        print(page("en"))
