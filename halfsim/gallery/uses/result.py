"""What `hs.gallery.applications` gives: one application, or all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from halfsim.card import Text
from halfsim.gallery.languages import Told, language
from halfsim.gallery.said import Said
from halfsim.gallery.several import Several
from halfsim.gallery.uses.arithmetic import ARITHMETIC
from halfsim.gallery.uses.cases import Row
from halfsim.gallery.uses.pictures import Picture
from halfsim.gallery.uses.sources import Source
from halfsim.markup import Figure, definitions, sections, table
from halfsim.numerics.formats import unknown
from halfsim.text import filled

_HEAD = Said(
    "operation|arithmetic|measure|value|enough|where it breaks|smallest fix measured|with the fix",
    "运算|算术|指标|数值|足够|在何处出错|实测的最小补救|补救后",
)
_WORDS = {
    "colon": Said(": ", "："), "coarse": Said("too coarse", "不够精确"), "fix": Said("fix", "补救"), "enough": Said("enough", "足够"), "fine": Said("fine", "可用"),
    "data": Said("From", "来源"), "missing": Said("Not measured", "未测量"),
    "arithmetic": Said("Arithmetic", "算术"), "numbers": Said("Other numbers", "其他数字"),
}  # fmt: skip
_TITLE = Said("Half precision at work", "半精度的实际应用")
_STYLE = """
.halfsim .panels { display: flex; flex-wrap: wrap; gap: 1rem; margin: .75rem 0; }
.halfsim .panels figure { flex: 0 1 auto; max-width: 100%; }
.halfsim tr > :is(:nth-child(6), :nth-child(7)) { text-align: left; }
.halfsim table { font-size: .9rem; }
.halfsim tr > :is(:nth-child(1), :nth-child(6), :nth-child(7)) { white-space: normal; min-width: 11rem; }
.halfsim .panels img { max-width: 100%; height: auto; display: block; image-rendering: pixelated; }
"""


@dataclass(frozen=True)
class Fact:
    """A number that is no error: bytes, energy, rows."""

    words: Said
    value: float
    unit: str


class Application(Told):
    """One use of half precision: ``rows`` of operations, ``facts``, ``pictures``, ``sources``, ``missing`` lines.

    Printed, a block for each operation; `table` gives the same lines, ``_repr_html_`` and `to_html` the pictures too.
    """

    _style = _STYLE
    _script = ""

    def __init__(
        self,
        name: str,
        words: Said,
        summary: Said,
        rows: Sequence[Row] = (),
        facts: Sequence[Fact] = (),
        pictures: Sequence[Picture] = (),
        sources: Sequence[Source] = (),
        missing: Sequence[str] = (),
        lang: str = "en",
    ) -> None:
        self.name, self.lang, self._words, self._summary = name, lang, words, summary
        self.rows, self.facts, self.pictures = tuple(rows), tuple(facts), tuple(pictures)
        self.sources, self.missing = tuple(sources), tuple(missing)

    @property
    def title(self) -> str:
        """What is measured, in the language asked for."""
        return self._words.to(self.lang)

    @property
    def summary(self) -> str:
        """A sentence on what came out."""
        return self._summary.to(self.lang)

    def translated(self, lang: str) -> Application:
        """The same in another language; nothing is measured again.

        >>> Application("audio", Said("Audio", "音频"), Said("", "")).translated("zh").title
        '音频'
        """
        return Application(
            self.name, self._words, self._summary, self.rows, self.facts, self.pictures, self.sources, self.missing,
            language(lang),
        )  # fmt: skip

    def row(self, operation: str, precision: str) -> Row:
        """The row whose operation begins with these words, in either language; ``ValueError`` where there is none."""
        for row in self.rows:
            if row.precision == precision and any(words.startswith(operation) for words in row.operation):
                return row
        raise unknown("operation", operation, [row.operation.en for row in self.rows])

    def table(self) -> str:
        """A block for each operation, a line for each arithmetic."""
        lines: list[str] = []
        last: tuple[Said, Said] | None = None
        widest = max((len(row.precision) for row in self.rows), default=0)
        for row in self.rows:
            key = (row.operation, row.measure.name)
            if key != last:
                measure = row.measure.name.to(self.lang)
                enough = row.measure.shown(row.enough, self.lang)
                head = f"{row.operation.to(self.lang)} ({measure}; {said(_WORDS['enough'].to(self.lang), enough, self.lang)})"
                lines += ["", filled(head)] if lines else [filled(head)]
                last = key
            start = f"  {row.precision:<{widest}}  {row.measure.shown(row.value, self.lang):>10}"
            told, fix, fixed = result(row, self.lang)
            lines.append(filled(told, f"{start}  ", " " * (widest + 16), whole=True) if told else start)
            if fix:
                fix = said(_WORDS["fix"].to(self.lang), said(fix, fixed, self.lang), self.lang)
                lines.append(filled(fix, " " * (widest + 16), whole=True))
        return Text("\n".join(lines))

    def __str__(self) -> str:
        blocks = [self.title, filled(self.summary)] if self.rows else [self.title]
        blocks += [str(self.table()), filled(legend(self.rows, self.lang))] if self.rows else []
        if self.facts:
            blocks.append("\n".join(f"  {said(one.words.to(self.lang), fact(one), self.lang)}" for one in self.facts))
        if self.missing:
            blocks.append("\n".join(said(_WORDS["missing"].to(self.lang), line, self.lang) for line in self.missing))
        if self.rows:
            blocks.append("\n".join(filled(credit(one, self.lang), "  ", "    ") for one in self.sources))
        return "\n\n".join(blocks)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pictures as plain data."""
        return {
            "schema": 1, "kind": "application", "name": self.name, "title": self.title, "summary": self.summary,
            "rows": [row.to_dict(self.lang) for row in self.rows],
            "facts": [{"name": one.words.to(self.lang), "value": one.value, "unit": one.unit} for one in self.facts],
            "sources": [{"name": one.words.to(self.lang), "licence": one.licence, "package": one.package}
                        for one in self.sources],
            "missing": list(self.missing),
        }  # fmt: skip

    def _body(self) -> Iterator[str]:
        if self.rows:
            yield f"<p>{escape(self.summary)}</p>"
        for picture in self.pictures:
            yield picture.html(self.lang)
        if self.rows:
            yield table(_HEAD.to(self.lang).split("|"), [*cells(self.rows, self.lang)], words=3, label=self.title)
            yield f'<p class="soft">{escape(legend(self.rows, self.lang))}</p>'
        if self.facts:
            yield definitions([(one.words.to(self.lang), fact(one)) for one in self.facts], "facts")
        if self.missing:
            yield from sections([(_WORDS["missing"].to(self.lang), "\n".join(self.missing))], sort=False)
        if self.rows:
            yield from (f'<p class="soft">{escape(credit(one, self.lang))}</p>' for one in self.sources)


def result(row: Row, lang: str) -> tuple[str, str, str]:
    """In words: where it breaks, or that it is fine; the fix, and what comes out with it."""
    where = _WORDS["fine"].to(lang) if row.fine else row.where.to(lang) or _WORDS["coarse"].to(lang)
    return where, row.fix.to(lang), "" if row.fixed is None else row.measure.shown(row.fixed, lang)


def said(word: str, words: str, lang: str) -> str:
    """A word and what is said of it, with the language's colon."""
    return f"{word}{_WORDS['colon'].to(lang)}{words}"


def fact(one: Fact) -> str:
    """A number with its unit."""
    told = f"{one.value:,.0f}" if one.value >= 1000 else f"{one.value:.3g}"
    return f"{told} {one.unit}".rstrip()


def credit(source: Source, lang: str) -> str:
    """Where data comes from, and under which licence."""
    return said(_WORDS["data"].to(lang), f"{source.words.to(lang)} ({source.package}; {source.licence})", lang)


def cells(rows: Sequence[Row], lang: str) -> Iterator[tuple[str, ...]]:
    """The cells of the table of a page; an operation is named in each of its rows."""
    for row in rows:
        yield (
            row.operation.to(lang), row.precision, row.measure.name.to(lang),
            Figure(row.measure.shown(row.value, lang), row.value), row.measure.shown(row.enough, lang),
            *result(row, lang),
        )  # fmt: skip


def legend(rows: Sequence[Row], lang: str) -> str:
    """What the words of the arithmetics in use mean."""
    used = [word for word in ARITHMETIC if any(row.precision == word for row in rows)]
    return ("；" if lang == "zh" else "; ").join(said(word, ARITHMETIC[word].to(lang), lang) for word in used)


class Applications(Several[Application]):
    """All applications, in order; one of them by its name or place."""

    _style = _STYLE
    _kind = ("application", "applications")

    @property
    def title(self) -> str:
        """What all of it is, in the language asked for."""
        return _TITLE.to(self.lang)


__all__ = ["Application", "Applications", "Fact"]
