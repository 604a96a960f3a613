"""A case as it ran: what happened, what should have, what the tool found, and what is left once it is mended."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextvars import Context
from dataclasses import dataclass
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
from halfsim.gallery.languages import Told
from halfsim.gallery.mended import mended
from halfsim.gallery.picture import SVG_STYLE, picture
from halfsim.gallery.source import code, parts_of
from halfsim.gallery.words import said
from halfsim.numerics.formats import bfloat16, float8_e4m3fn, float16, float32
from halfsim.text import columns, filled

_HOW = {
    "policy": "the policy, applied as printed", "option": "the option, applied as printed",
    "by hand": "typed in by hand",
}  # fmt: skip
_MOST = 6  # numbers side by side


@dataclass(frozen=True, eq=False)
class Exhibit(Told):
    """A case of the gallery, run: broken, as it should have been, and mended. It prints as a page of text.

    ``observed``, ``reference`` and ``fixed`` are floats or float64 arrays of one shape; ``finding`` is what the trace
    of the broken run says, ``how`` who mended it: "policy" or "option" (of the finding's first fix, applied as it
    prints) or "by hand", and ``left`` how far the mended value is from the right one, relative to its norm.

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
    lang: str = "en"

    _style: ClassVar[str] = SVG_STYLE
    _script: ClassVar[str] = ""

    @classmethod
    def of(cls, case: Case, lang: str = "en") -> Exhibit:
        """The case, run in a context of its own: no precision, trace or random number of the caller's is touched."""
        return Context().run(cls._of, case, lang)

    @classmethod
    def _of(cls, case: Case, lang: str) -> Exhibit:
        manual_seed(0)
        with precision(case.precision), trace() as t:
            value = case.run()
        finding = t.verdict()
        assert finding is not None  # as a test asks of every case
        fixed, how = mended(case, finding)
        observed = numbers(value)
        shape = np.shape(observed)
        right, after = (flat(x).reshape(shape) if shape else float(flat(x)[0]) for x in (case.reference, fixed))
        return cls(case, observed, right, after, finding, how, off(fixed, case.reference), lang)

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
    def _mending(self) -> str:
        """Who mended it, and what is left."""
        of = said("of the result's norm is left", self.lang)
        return f"{said(_HOW[self.how], self.lang)}; {self.left:.1g} {of}"

    def __str__(self) -> str:
        case, lang = self.case, self.lang
        head = [filled(f"{self.title} ({case.year})"), case.link, ""]
        head.append(filled(f"{said('symptom', lang)}: {case.told('symptom', lang)}"))
        parts = [_indented(self.code), columns(self.table(), room=100), str(self.finding), filled(self.why)]
        if self.how == "by hand":
            parts[2] += f"\n\n{said('the fixed code', lang)}:\n\n{_indented(self.fixed_code)}"
        parts.insert(3, filled(f"{said('fixed', lang)}: {self._mending}."))
        if case.inferred:
            parts.append(filled(said("The thread does not state the mechanism; it is inferred.", lang)))
        return "\n\n".join(["\n".join(head), *parts])

    def to_dict(self) -> dict[str, Any]:
        """What is known of the case and what came of it, as plain data."""
        return {**self.case.to_dict(), "observed": self.observed, "reference": self.reference, "fixed": self.fixed,
                "how": self.how, "left": self.left, "finding": self.finding.to_dict(), "code": self.code,
                "fixed_code": self.fixed_code, "explained": self.why}  # fmt: skip

    def _body(self) -> Iterable[str]:
        yield from ([] if self._headed is False else [f"<h2>{escape(self.title)} ({self.case.year})</h2>"])
        yield from self.parts()

    def parts(self) -> Iterable[str]:
        """What a page says of the case below its title."""
        case, lang = self.case, self.lang
        thread = re.sub(r"https://github.com/|/(issues|pull)(?=/)", "", case.link)
        yield f'<p><a href="{escape(case.link)}">{escape(thread)}</a></p>'
        yield f"<p>{_marked(case.told('symptom', lang))}</p>"
        facts = {"layer": case.layer, "message": case.message, "class": said(case.klass, lang),
                 "phase": said(case.phase, lang), "operation": self.finding.op}  # fmt: skip
        pairs = "".join(f"<dt>{said(k, lang)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items() if v)
        yield f'<dl class="facts">{pairs}</dl>'
        yield _block(self.code, said("code", lang))
        yield picture(self.observed, self.reference, self.fixed, lang)
        yield f"<p>{_marked(self.why)}</p>"
        if case.inferred:
            yield f"<p>{said('The thread does not state the mechanism; it is inferred.', lang)}</p>"
        yield f"<h3>{said('what the tool found', lang)}</h3><p>{escape(self.finding.sentence)}</p>"
        yield f"<h3>{said('fix', lang)}</h3><p>{escape(self.finding.fixes[0].text)}</p>"
        yield _block(self.fixed_code, said("the fixed code", lang))
        yield f'<p class="soft">{escape(self._mending)}</p>'


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())


def _marked(text: str) -> str:
    """A text whose code stands between backquotes, as HTML."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def _block(text: str, label: str) -> str:
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><pre>{escape(text)}</pre></div>'
