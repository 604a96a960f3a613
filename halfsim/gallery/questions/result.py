"""`hs.gallery.why`: the answers as text, as a page and as plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextvars import Context
from dataclasses import asdict, dataclass
from functools import cache
from html import escape
from typing import Any

from halfsim.autograd.scope import reproducible
from halfsim.card import Record
from halfsim.gallery.languages import Told
from halfsim.gallery.questions import compared, view
from halfsim.gallery.questions.answers import QUESTIONS, VERDICTS
from halfsim.gallery.questions.on_devices import Numbers
from halfsim.gallery.questions.texts import found, texts, told
from halfsim.options import guarded_names
from halfsim.text import filled

_FUNCTIONS = {claim.name: claim.numbers for claims in QUESTIONS.values() for claim in claims}


@dataclass(frozen=True)
class Answered(Record):
    """A claim of the text, judged and answered: ``text`` is the answer, and ``numbers`` are those that are in it.

    ``verdict`` is "right", "condition" (right with a condition), "wrong", or "omitted" for what the text leaves out.
    ``command`` shows more; it may be "".
    """

    question: int
    name: str
    claim: str
    verdict: str
    text: str
    numbers: Numbers
    command: str


@cache
def _computed(name: str) -> Numbers:
    def numbers() -> Numbers:
        with reproducible():
            return _FUNCTIONS[name]()

    return Context().run(numbers)  # out of the reader's scopes and traces


class _Computed(Mapping[str, Numbers]):
    """The numbers of each claim, computed when they are asked for."""

    def __getitem__(self, name: str) -> Numbers:
        return _computed(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_FUNCTIONS)

    def __len__(self) -> int:
        return len(_FUNCTIONS)


class Why(Told):
    """float16 against float32 and bfloat16, and the answers to one question or to all; see `why`.

    ``question`` is its number, None for the tables with a short answer to each, "all" for everything. Numbers are
    computed when they are first read.
    """

    _style = view.STYLE

    def __init__(self, question: int | str | None = None, lang: str = "en") -> None:
        self.question, self.lang = question, lang
        self._words = texts(lang)

    @property
    def title(self) -> str:
        """What the page is called."""
        return str(self._words["words"]["title"])

    @property
    def _asked(self) -> tuple[int, ...]:
        return (self.question,) if isinstance(self.question, int) else tuple(QUESTIONS)

    @property
    def answers(self) -> list[Answered]:
        """The claims under the question, or under all of them, each judged and answered."""
        return [answer for n in self._asked for answer in self._of(n)]

    def _of(self, n: int) -> list[Answered]:
        words = self._words[str(n)]
        return [
            Answered(n, claim.name, words[claim.name]["claim"], claim.verdict,
                     told(words[claim.name]["answer"], _computed(claim.name), self.lang), _computed(claim.name),
                     claim.command)
            for claim in QUESTIONS[n]
        ]  # fmt: skip

    def short(self, question: int) -> str:
        """The answer to a question in a few sentences."""
        return told(self._words[str(question)]["short"], _Computed(), self.lang)

    def _asking(self, question: int) -> str:
        return str(self._words[str(question)]["question"])

    def table(self) -> list[tuple[str, ...]]:
        """A head, and a line for each claim: question, name, claim, verdict, answer."""
        words = self._words["words"]
        lines = [(str(a.question), a.name, a.claim, words[a.verdict], a.text) for a in self.answers]
        return [("question", "name", "claim", "verdict", "answer"), *lines]

    def _intro(self) -> str:
        count = sum(claim.verdict != "omitted" for claims in QUESTIONS.values() for claim in claims)
        return told(self._words["words"]["intro"], {"questions": len(QUESTIONS), "claims": count}, self.lang)

    def _tally(self) -> str:
        counts = Counter(claim.verdict for claims in QUESTIONS.values() for claim in claims)
        return told(self._words["words"]["tally"], {name: counts[name] for name in VERDICTS}, self.lang)

    def __str__(self) -> str:
        words = self._words["words"]
        if isinstance(self.question, int):
            return f"{self._detail(self.question)}\n\n{filled(words['one'])}"
        shorts = [(n, self._asking(n), self.short(n)) for n in QUESTIONS]
        overview = view.overview(self.lang, self.title, self._intro(), shorts, self._tally())
        if self.question is None:
            return overview
        return "\n\n".join([overview, words["judged"], *map(self._detail, QUESTIONS)])

    def _detail(self, n: int) -> str:
        return view.detail(self.lang, n, self._asking(n), self.short(n), self._of(n))

    def _body(self) -> Iterator[str]:
        if not isinstance(self.question, int):
            yield f"<p>{escape(self._intro())} {escape(self._tally())}</p>"
            yield from view.compared_body(self.lang)
        for n in self._asked:
            yield from view.question_body(self.lang, n, self._asking(n), self.short(n), self._of(n))
        if not isinstance(self.question, int):
            heading = self._words["words"]["sources"]
            sources = "".join(f"<li>{escape(source)}</li>" for source in compared.documents())
            yield f"<details><summary>{escape(heading)}</summary><ul>{sources}</ul></details>"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        questions = [
            {"number": n, "question": self._asking(n), "answer": self.short(n), "claims": [
                {key: value for key, value in asdict(a).items() if key != "question"} for a in self._of(n)]}
            for n in self._asked
        ]  # fmt: skip
        facts = {"schema": 1, "kind": "why", "lang": self.lang, "questions": questions}
        return facts if isinstance(self.question, int) else facts | {"compared": compared.to_dict()}


def why(question: int | str | None = None, lang: str = "en") -> Why:
    """float16 against float32 and bfloat16, and what people ask of it, answered with numbers that are computed here.

    ``question`` is its number, 1 to 9, or words of it in English or Chinese; None gives the tables (formats, memory,
    speed and energy by device) with a short answer to each question, "all" also every claim of the text that the
    questions come from, judged. ``lang`` is "en" or "zh". ``ValueError`` for another language, or where no question has
    any of the words.

    >>> found = why("who is faster")
    >>> found.question, found.answers[1].name, found.answers[1].numbers["half"]
    (6, 'bandwidth', 1019.5)
    """
    texts(lang)
    everything = question is None or question == "all"
    return Why(question if everything else found(question, QUESTIONS), lang)


guarded_names(globals(), ["why"])
