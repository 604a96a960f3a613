"""What `hs.gallery.papers` gives: one paper's results beside ours, or those of all papers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite
from statistics import fmean, stdev
from typing import Any

from halfsim.card import Record, Text
from halfsim.document import attributes
from halfsim.gallery.languages import Told, language
from halfsim.gallery.said import NOTHING, Said
from halfsim.gallery.several import Several
from halfsim.markup import Figure, table
from halfsim.text import filled

_TITLE = Said("Papers on rounding, reproduced", "关于舍入的论文，逐一重现")
HEAD = Said("what is measured|here|paper or theory|reproduced?", "测量的量|本机|论文或理论|是否重现")
_STYLE = ".halfsim tr > :is(:nth-child(3), :nth-child(4)) { text-align: left; white-space: normal; min-width: 9rem; }"
WORDS = {
    "reproduced": Said("reproduced", "重现"), "holds": Said("holds", "成立"), "differs": Said("differs", "不同"),
    "runs": Said("{n} runs", "{n} 次运行"), "here": Said("here", "本机"), "paper": Said("paper or theory", "论文或理论"),
    "none": Said("no number", "没有数值"),
    "range": Said("allowed: {low} to {high}", "允许的范围：{low} 至 {high}"),
    "not_shown": Said("What does not reproduce, or is not shown", "未能重现或未展示的内容"),
    "by": Said("{title} ({authors}, {year}): {link}", "{title}（{authors}，{year}）：{link}"),
}  # fmt: skip


@dataclass(frozen=True)
class Paper(Record):
    """A paper, and the question that it answers: ``words`` is its result in a sentence, ``title`` its own title."""

    name: str
    words: Said
    title: str
    authors: str
    year: int
    link: str
    question: Said


@dataclass(frozen=True)
class Claim(Record):
    """A result of a paper and ours: ``values`` are one per seed, or one alone where nothing is random.

    It is ``reproduced`` if the mean of ours lies from ``low`` to ``high``: about the paper's number or what arithmetic
    says, and where there is neither, the range in which what is claimed still holds.
    ``published`` is the paper's number, None where it gives none, and ``where`` says where it stands in the paper, or
    what it follows from; ``digits`` is how many figures are printed.

    >>> claim = Claim(Said("gap", "差距"), (7.5, 8.5), 7, 9, 8.0, Said("table 1", "表 1"))
    >>> claim.value, round(claim.spread, 2), claim.reproduced
    (8.0, 0.71, True)
    """

    words: Said
    values: tuple[float, ...]
    low: float
    high: float
    published: float | None = None
    where: Said = NOTHING
    unit: str = ""
    digits: int = 3

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("values: () is not allowed; allowed: one number or more")
        if not self.low <= self.high:
            raise ValueError(f"low: {self.low} is not allowed; allowed: at most high, {self.high}")

    @property
    def value(self) -> float:
        """The mean of ours."""
        return fmean(self.values)

    @property
    def spread(self) -> float:
        """The sample standard deviation of ours, 0 for one value alone; NaN where a value is not finite."""
        if not all(map(isfinite, self.values)):
            return float("nan")
        return stdev(self.values) if len(self.values) > 1 else 0.0

    @property
    def reproduced(self) -> bool:
        """Whether the mean of ours is in the range."""
        return self.low <= self.value <= self.high

    def shown(self, x: float, digits: int | None = None) -> str:
        """A number as it is printed, with its unit."""
        space, digits = "" if self.unit == "%" else " ", self.digits if digits is None else digits
        number = f"{x:,.0f}" if 10**digits <= abs(x) < 1e9 else f"{x:.{digits}g}"
        return f"{number}{space}{self.unit}".rstrip()

    def here(self, lang: str) -> str:
        """Ours: the mean, and its spread where there are several runs."""
        if len(self.values) == 1:
            return self.shown(self.value)
        runs = WORDS["runs"].to(lang).format(n=len(self.values))
        start, end = ("（", "）") if lang == "zh" else (" (", ")")
        return f"{self.shown(self.value)} ± {self.shown(self.spread, 2)}{start}{runs}{end}"

    def paper(self, lang: str) -> str:
        """The paper's number and where it stands, or what it follows from."""
        if self.published is None:
            return self.where.to(lang) or WORDS["none"].to(lang)
        start, end = ("（", "）") if lang == "zh" else (" (", ")")
        where = f"{start}{self.where.to(lang)}{end}" if self.where.en else ""
        return self.shown(self.published) + where

    def verdict(self, lang: str) -> str:
        """Whether it is reproduced, or holds where the paper has no number; else the range that it is not in."""
        known = "holds" if self.published is None else "reproduced"
        word = WORDS[known if self.reproduced else "differs"].to(lang)
        if self.reproduced:
            return word
        told = WORDS["range"].to(lang).format(low=self.shown(self.low), high=self.shown(self.high))
        return f"{word}{'；' if lang == 'zh' else '; '}{told}"

    def to_dict(self, lang: str) -> dict[str, Any]:
        """Everything as plain data."""
        own = attributes(self, "digits") | {"words": self.words.to(lang), "where": self.where.to(lang)}
        return own | {"value": self.value, "spread": self.spread, "reproduced": self.reproduced}


class Reproduction(Told):
    """A paper's results beside ours: ``claims``, and ``not_shown``, what does not reproduce or is not shown.

    Printed, two lines for each claim; `table` gives these alone, ``_repr_html_`` and `to_html` a table.
    """

    _script = ""
    _style = _STYLE

    def __init__(self, paper: Paper, claims: Sequence[Claim], not_shown: Sequence[Said] = (), lang: str = "en") -> None:
        self.paper, self.claims, self.lang = paper, tuple(claims), lang
        self.not_shown = tuple(not_shown)

    @property
    def name(self) -> str:
        """What the command calls it."""
        return self.paper.name

    @property
    def title(self) -> str:
        """Its result in a sentence, in the language asked for."""
        return self.paper.words.to(self.lang)

    @property
    def source(self) -> str:
        """The paper's own title, who wrote it, and where it is."""
        return WORDS["by"].to(self.lang).format(**vars(self.paper))

    def translated(self, lang: str) -> Reproduction:
        """The same in another language; nothing is measured again."""
        return Reproduction(self.paper, self.claims, self.not_shown, language(lang))

    def rows(self) -> list[tuple[str, str, str, str]]:
        """A row for each claim: what is measured, ours, the paper's, and whether it is reproduced."""
        lang = self.lang
        return [(c.words.to(lang), c.here(lang), c.paper(lang), c.verdict(lang)) for c in self.claims]

    def table(self) -> str:
        """Each claim in two lines: what is measured; ours, the paper's number, and whether it is reproduced."""
        colon, comma = ("：", "；") if self.lang == "zh" else (": ", "; ")
        ours, theirs = (WORDS[word].to(self.lang) for word in ("here", "paper"))
        lines: list[str] = []
        for words, here, paper, verdict in self.rows():
            told = comma.join((f"{ours}{colon}{here}", f"{theirs}{colon}{paper}", verdict))
            lines += [filled(words), filled(told, "  ", "    ")]
        return Text("\n".join(lines))

    def __str__(self) -> str:
        blocks = [self.title, filled(self.paper.question.to(self.lang)), filled(self.source), str(self.table())]
        if self.not_shown:
            lines = [
                WORDS["not_shown"].to(self.lang),
                *(filled(one.to(self.lang), "- ", "  ") for one in self.not_shown),
            ]
            blocks.append("\n".join(lines))
        return "\n\n".join(blocks)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        paper = attributes(self.paper) | {"words": self.title, "question": self.paper.question.to(self.lang)}
        return {
            "schema": 1, "kind": "paper", "paper": paper, "claims": [claim.to_dict(self.lang) for claim in self.claims],
            "not_shown": [one.to(self.lang) for one in self.not_shown],
        }  # fmt: skip

    def _body(self) -> Iterator[str]:
        yield f"<p>{escape(self.paper.question.to(self.lang))}</p>"
        cells = [(words, Figure(here, claim.value), paper, verdict)
                 for claim, (words, here, paper, verdict) in zip(self.claims, self.rows(), strict=True)]  # fmt: skip
        yield table(HEAD.to(self.lang).split("|"), cells, words=1, label=self.title)
        if self.not_shown:
            items = "".join(f"<li>{escape(one.to(self.lang))}</li>" for one in self.not_shown)
            yield f"<h3>{escape(WORDS['not_shown'].to(self.lang))}</h3><ul>{items}</ul>"
        yield f'<p class="soft">{escape(self.source)}</p>'


class Reproductions(Several[Reproduction]):
    """All papers, in order; one of them by its name or place."""

    _style = _STYLE
    _kind = ("paper", "papers")

    @property
    def title(self) -> str:
        """What all of it is, in the language asked for."""
        return _TITLE.to(self.lang)


__all__ = ["Claim", "Paper", "Reproduction", "Reproductions"]
