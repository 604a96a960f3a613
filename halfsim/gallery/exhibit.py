"""A case as it ran: what happened, what should have, what the tool found, and what is left once it is mended."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from contextlib import redirect_stdout
from contextvars import Context
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from typing import Any, ClassVar

import numpy as np

from halfsim.autograd.random import manual_seed
from halfsim.autograd.scope import precision
from halfsim.autograd.trace.fix import keys
from halfsim.diagnose.finding import Finding
from halfsim.diagnose.trace import trace
from halfsim.gallery.case import Case, flat, numbers, off
from halfsim.gallery.languages import Told, language
from halfsim.gallery.mended import mended
from halfsim.gallery.picture import FEW, SVG_STYLE, picture
from halfsim.gallery.source import code, parts_of
from halfsim.gallery.words import labelled, said
from halfsim.markup import table
from halfsim.numerics.formats import bfloat16, float8_e4m3fn, float16, float32
from halfsim.text import columns, filled

_HOW = {
    "policy": "the policy, applied as printed", "option": "the option, applied as printed",
    "by hand": "typed in by hand",
}  # fmt: skip
_MOST = 6  # numbers side by side
INFERRED = "The thread does not state the mechanism; it is inferred."


@dataclass(frozen=True, eq=False)
class Exhibit(Told):
    """A case of the gallery, run: broken, as it should have been, and mended. It prints as a page of text.

    ``observed``, ``reference`` and ``fixed`` are floats or float64 arrays of one shape; ``finding`` is what the trace
    of the broken run says, ``how`` who mended it: "policy" or "option" (of the finding's first fix, applied as it
    prints) or "by hand", and ``left`` how far the mended value is from the right one, relative to its norm.
    ``printed`` is what the code itself wrote.

    >>> from halfsim import gallery
    >>> shown = gallery.run("mean-overflow")
    >>> shown.observed, shown.reference, shown.fixed, shown.finding.klass
    (inf, 40000.0, 40000.0, 'overflow')
    """

    case: Case
    observed: Any
    reference: Any
    fixed: Any
    finding: Finding
    how: str
    left: float
    printed: str
    lang: str = "en"

    _style: ClassVar[str] = SVG_STYLE
    _script: ClassVar[str] = ""
    _headed: ClassVar[bool] = False

    @classmethod
    def of(cls, case: Case, lang: str = "en") -> Exhibit:
        """The case, run in a context of its own: no precision, trace or random number of the caller's is touched."""
        return Context().run(cls._of, case, lang)

    @classmethod
    def _of(cls, case: Case, lang: str) -> Exhibit:
        manual_seed(0)
        printed, silent = io.StringIO(), io.StringIO()
        with redirect_stdout(printed), precision(case.precision), trace() as t:
            value = case.run()
        finding = t.verdict()
        assert finding is not None  # as a test asks of every case
        finding = replace(finding, where="")  # a line of who called this, not of the code that is shown
        with redirect_stdout(silent):
            fixed, how = mended(case, finding)
        observed = numbers(value)
        shape = np.shape(observed)
        right, after = (flat(x).reshape(shape) if shape else float(flat(x)[0]) for x in (case.reference, fixed))
        return cls(case, observed, right, after, finding, how, off(fixed, case.reference), printed.getvalue(), lang)

    name = property(lambda self: self.case.name, doc="What the case is called.")
    link = property(lambda self: self.case.link, doc="The thread in which it was reported.")
    klass = property(lambda self: self.case.klass, doc="The class of the catalogue, as a `halfsim.Finding` spells it.")
    phase = property(lambda self: self.case.phase, doc="The phase of the catalogue.")

    @property
    def title(self) -> str:
        """The case in one line."""
        return f"{self.case.name}: {self.case.told('title', self.lang)}"

    @cached_property
    def code(self) -> str:
        """The broken code, to be run after ``import numpy as np, halfsim as hs``; it leaves its value in `observed`."""
        return code(self.case.run, self.case.precision)

    @cached_property
    def fixed_code(self) -> str:
        """What of the code is different where a person mended it, or the precision or the option that did."""
        if self.how == "by hand":
            assert self.case.fixed is not None
            return code(self.case.fixed, self.case.precision, "fixed", "\n".join(parts_of(self.case.run)))
        fix = self.finding.fixes[0]
        if self.how == "policy":
            assert fix.policy is not None
            return f"with hs.precision({keys(fix.policy)!r}):\n    fixed = run()"
        return ", ".join(fix.typed)

    @cached_property
    def why(self) -> str:
        """The explanation, its numbers those of this run."""
        return self._filled(self.case.told("why", self.lang))

    def _filled(self, text: str) -> str:
        v = self.finding.values
        known = {"observed": flat(self.observed), "reference": flat(self.reference), "fixed": flat(self.fixed),
                 "left": self.left, "off": off(self.observed, self.reference), "v": v, "fp16": float16,
                 "bf16": bfloat16, "fp32": float32, "fp8": float8_e4m3fn, **self.case.facts()}  # fmt: skip
        return text.format_map(known)

    @property
    def places(self) -> list[int]:
        """The numbers to show of many: spread over all of them, and the one that is the farthest off."""
        size = np.size(self.observed)
        if size <= _MOST:
            return [*range(size)]
        a, b = flat(self.observed), flat(self.reference)
        with np.errstate(invalid="ignore"):
            gap = np.where(np.isfinite(a), np.abs(a - b), np.inf)
        spread = np.linspace(0, size - 1, _MOST - 1).astype(int).tolist()
        return sorted({*spread, int(np.argmax(gap))})

    def table(self) -> list[tuple[str, ...]]:
        """What happened, what should have and what comes out mended, side by side; the first row is the head."""
        three = [flat(x) for x in (self.observed, self.reference, self.fixed)]
        head = ("", *(said(word, self.lang) for word in ("what happened", "reference", "fixed")))
        shape = np.shape(self.observed)
        rows = []
        for i in self.places:
            index = ", ".join(map(str, (int(n) for n in np.unravel_index(i, shape)))) if shape else ""
            rows.append((f"[{index}]" if shape else "", *(f"{x[i]:.6g}" for x in three)))
        return [head, *rows]

    @property
    def mending(self) -> str:
        """Who mended it, and what is left."""
        how = said(_HOW[self.how], self.lang)
        if not self.left:
            return said("{how}; no error is left.", self.lang, how=how)
        return said("{how}; {left} of the result's norm is left.", self.lang, how=how, left=f"{self.left:.1g}")

    @property
    def parts(self) -> dict[str, str]:
        """What is said of the case by label, in the order of the page; all but the code, the numbers and `why`."""
        case = self.case
        facts = {"symptom": case.told("symptom", self.lang), "message": case.message, "layer": case.layer,
                 "class": said(case.klass, self.lang), "phase": said(case.phase, self.lang),
                 "operation": self.finding.op}  # fmt: skip
        return {label: text for label, text in facts.items() if text}

    def translated(self, lang: str) -> Exhibit:
        """The same run in another language, "en" or "zh"; ``ValueError`` for one that there is not."""
        return replace(self, lang=language(lang))

    def __str__(self) -> str:
        lang = self.lang
        head = [filled(f"{self.title} ({self.case.year})"), self.case.link]
        facts = "\n".join(filled(labelled(label, text, lang), further="  ") for label, text in self.parts.items())
        blocks = ["\n".join(head), facts, _indented(self.code)]
        if self.printed:
            blocks.append(f"{labelled('printed', '', lang).rstrip()}\n\n{_indented(self.printed)}")
        blocks += [columns(self.table(), room=100), filled(self.why)]
        if self.case.inferred:
            blocks.append(filled(said(INFERRED, lang)))
        blocks.append(filled(labelled("what the tool found", f"{self.finding.sentence}.", lang), whole=True))
        blocks.append(filled(labelled("the usual fix", f"{self.finding.fixes[0]}.", lang), whole=True))
        if self.how == "by hand":
            blocks.append(f"{labelled('the fixed code', '', lang).rstrip()}\n\n{_indented(self.fixed_code)}")
        return "\n\n".join([*blocks, filled(labelled("fixed", self.mending, lang))])

    def to_dict(self) -> dict[str, Any]:
        """What is known of the case and what came of it, as plain data."""
        return {**self.case.to_dict(), "observed": self.observed, "reference": self.reference, "fixed": self.fixed,
                "how": self.how, "left": self.left, "printed": self.printed,
                "finding": self.finding.to_dict(), "code": self.code,
                "fixed_code": self.fixed_code, "explained": self.why}  # fmt: skip

    def _body(self) -> Iterable[str]:
        yield f"<h1>{escape(self.title)} ({self.case.year})</h1>"
        yield f"<p>{_marked(self.case.told('symptom', self.lang))}</p>"
        yield from self.told()

    def told(self) -> Iterable[str]:
        """What a page says of the case below its title and its symptom."""
        lang, of = self.lang, {label: text for label, text in self.parts.items() if label != "symptom"}
        thread = re.sub(r"https://github.com/|/(issues|pull)(?=/)", "", self.case.link)
        yield f'<p><a href="{escape(self.case.link)}">{escape(thread)}</a></p>'
        pairs = "".join(f"<dt>{said(k, lang)}</dt><dd{_english(k)}>{_marked(v)}</dd>" for k, v in of.items())
        yield f'<dl class="facts">{pairs}</dl>'
        yield f"<h3>{said('code', lang)}</h3>{_block(self.code, said('code', lang))}"
        if self.printed:
            yield f"<h3>{said('printed', lang)}</h3>{_block(self.printed, said('printed', lang))}"
        yield f"<h3>{said('the numbers', lang)}</h3>{picture(self.observed, self.reference, self.fixed, lang)}"
        if np.size(self.observed) > FEW:  # of a few, the picture's captions have all
            first, *rows = self.table()
            yield table(first, rows, words=1, label=said("the numbers", lang))
        yield f"<h3>{said('why', lang)}</h3><p>{_marked(self.why)}</p>"
        if self.case.inferred:
            yield f"<p>{said(INFERRED, lang)}</p>"
        yield f'<h3>{said("what the tool found", lang)}</h3><p lang="en">{escape(self.finding.sentence)}.</p>'
        yield f'<h3>{said("the usual fix", lang)}</h3><p lang="en">{_marked(str(self.finding.fixes[0]))}.</p>'
        yield f"<h3>{said('the fixed code', lang)}</h3>{_block(self.fixed_code, said('the fixed code', lang))}"
        yield f"<p>{escape(labelled('fixed', self.mending, lang))}</p>"


def _english(label: str) -> str:
    """The mark of what is English in every language."""
    return ' lang="en"' if label in ("message", "layer", "operation") else ""


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())


def _marked(text: str) -> str:
    """A text whose code stands between backquotes, as HTML."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def _block(text: str, label: str) -> str:
    code = f'<pre lang="en">{escape(text.rstrip())}</pre>'
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">{code}</div>'
