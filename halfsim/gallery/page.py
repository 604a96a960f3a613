"""Cases that ran, on one page: searched by what is typed, narrowed by what is chosen, each unfolded for its story."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Any, ClassVar

from halfsim.gallery.case import SEEN
from halfsim.gallery.exhibit import Exhibit
from halfsim.gallery.languages import Told, language
from halfsim.gallery.picture import SVG_STYLE
from halfsim.gallery.search import IDLE, tokens
from halfsim.gallery.words import said

# A story with a page of its own, as it needs files that a package ships.
ELSEWHERE = {"ocr-variance": "docs/onnx_ocr.md"}
PARTLY = "No case has all of these words; these have most of them."
INTRO = (
    "{n} bugs that were reported in public threads, each rebuilt and run: as it happened, as it should have been, and "
    "mended. All numbers were computed for this page."
)

STYLE = (
    f"{SVG_STYLE}"
    + """
.halfsim form.find { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)) auto; gap: .6rem .75rem;
  align-items: end; background: var(--band); border: 1px solid var(--line); border-radius: 8px; padding: .75rem .9rem;
  margin: 1rem 0 .75rem; }
.halfsim form.find[hidden] { display: none; }
.halfsim form.find label { display: block; font-size: .85rem; color: var(--soft); min-width: 0; }
.halfsim form.find label.typed { grid-column: 1 / -1; }
.halfsim form.find :is(input, select, button) { font: inherit; font-size: 1rem; color: var(--ink);
  background: var(--paper); border: 1px solid var(--soft); border-radius: 4px; padding: .35rem .5rem; width: 100%;
  min-height: 2.4rem; margin: .15rem 0 0; }
.halfsim form.find button { width: auto; cursor: pointer; }
.halfsim details.case[hidden] { display: none; }
.halfsim details.case { padding: 0; } .halfsim details.case:last-child { border-bottom: 1px solid var(--line); }
.halfsim details.case > summary { padding: .6rem .25rem; margin-left: 1.1rem; list-style-position: outside;
  overflow-wrap: anywhere; }
.halfsim details.case > summary:hover { background: var(--band); }
.halfsim details.case h2 { display: inline; font-size: 1rem; margin: 0; }
.halfsim details.case .also { display: block; font-size: .9rem; color: var(--soft); }
.halfsim details.case .also b { color: var(--ink); }
.halfsim details.case[open] > summary { background: var(--band); }
.halfsim details.case > div { padding: .5rem .25rem 1.5rem 1.35rem; max-width: 64rem; }
.halfsim details.case > div > p { max-width: 48rem; }
@container (max-width: 48rem) { .halfsim form.find { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
"""
)

# What `halfsim.gallery.search` does, for the one who reads. A link to a case unfolds it.
SCRIPT = """
for (const form of document.querySelectorAll('.halfsim form.find:not([data-ready])')) {
  form.dataset.ready = ''; form.hidden = false;
  const { words } = form.elements, choices = [...form.querySelectorAll('select')];
  const box = form.parentElement.querySelector('.cases'), told = form.parentElement.querySelector('[role=status]');
  const idle = new Set(form.dataset.idle.split(' ')), split = (text) => text.split(' ');
  const all = [...box.children].map((one) => ({ one, levels: one.dataset.words.split('|').reverse().map(split) }));
  const tokens = (text) => [...new Set((text.toLowerCase().match(/[a-z0-9]+|[\\u4e00-\\u9fff]+/g) ?? []).flatMap(
    (word) => word < 'z' ? [word] : [...word].slice(1).map((_, i) => word.slice(i, i + 2))))];
  const has = (words, token) => words.some((one) => one === token || (token.length > 3
    && (one.startsWith(token) || (one.length > 3 && token.startsWith(one)))));
  const show = () => {
    const asked = tokens(words.value).filter((token) => !idle.has(token));
    const fits = ({ dataset }) =>
      choices.every(({ name, value }) => !value || dataset[name].split('|').includes(value));
    const kept = all.filter(({ one }) => fits(one)).map(({ one, levels }) => {
      const weights = asked.map((token) => levels.findLastIndex((words) => has(words, token)) + 1);
      return { one, hits: weights.filter(Boolean).length, weight: weights.reduce((a, b) => a + b, 0) };
    });
    const most = Math.max(0, ...kept.map(({ hits }) => hits));
    const chinese = asked.some((token) => token > 'z');
    const least = asked.length && Math.max(1, most - (chinese ? Math.floor(most / 3) : 0));
    const best = kept.filter(({ hits }) => hits >= least);
    best.sort((a, b) => b.hits - a.hits || b.weight - a.weight);
    const shown = new Set(best.map(({ one }) => one));
    for (const { one } of all) one.hidden = !shown.has(one);
    box.append(...shown, ...all.map(({ one }) => one).filter((one) => !shown.has(one)));
    const { count, partly, none } = told.dataset;
    const some = best.length && !chinese && most < asked.length;
    told.textContent = best.length ? (some ? partly + ' ' : '') + count.replace('{n}', best.length) : none;
  };
  form.addEventListener('input', show);
  form.addEventListener('reset', () => setTimeout(show));
  form.addEventListener('submit', (event) => event.preventDefault());
  const unfold = () => {
    const one = location.hash && box.querySelector('#' + CSS.escape(decodeURIComponent(location.hash.slice(1))));
    if (one) { form.reset(); one.open = true; setTimeout(() => one.scrollIntoView()); }
  };
  addEventListener('hashchange', unfold);
  show(); unfold();
}
"""


@dataclass(frozen=True, eq=False)
class Exhibits(Told):
    """Cases of the gallery that ran: a page to search in, or one of them by its name.

    >>> from halfsim import gallery
    >>> shown = gallery.list(search="mean overflow cpu").run()
    >>> [one.name for one in shown.exhibits], shown["mean-overflow"].observed
    (['mean-overflow'], inf)
    """

    exhibits: tuple[Exhibit, ...]
    lang: str = "en"

    _style: ClassVar[str] = STYLE
    _script: ClassVar[str] = SCRIPT

    @property
    def title(self) -> str:
        """What the page is called."""
        return said("Real precision bugs", self.lang)

    def __getitem__(self, name: str) -> Exhibit:
        """The case of that name; ``KeyError`` where it is not among them."""
        for one in self.exhibits:
            if one.name == name:
                return one
        raise KeyError(name)

    def __len__(self) -> int:
        return len(self.exhibits)

    def translated(self, lang: str) -> Exhibits:
        """The same runs in another language, "en" or "zh"; ``ValueError`` for one that there is not."""
        return Exhibits(tuple(one.translated(lang) for one in self.exhibits), language(lang))

    @property
    def intro(self) -> str:
        """What this is, in two sentences."""
        return said(INTRO, self.lang, n=len(self))

    def __str__(self) -> str:
        return "\n\n".join(str(one) for one in self.exhibits)

    def to_dict(self) -> dict[str, Any]:
        """Each case and what came of it, as plain data."""
        return {"schema": 1, "kind": "gallery", "lang": self.lang, "cases": [one.to_dict() for one in self.exhibits]}

    def _body(self) -> Iterator[str]:
        lang = self.lang
        count = said("{n} of {all} cases", lang, n="{n}", all=len(self))
        none = said("No case. Fewer words, or another filter?", lang)
        yield f"<p>{escape(self.intro)}</p>"
        yield from self._form()
        yield (f'<p role="status" class="soft" data-count="{escape(count)}" data-none="{escape(none)}" '
               f'data-partly="{escape(said(PARTLY, lang))}"></p>')  # fmt: skip
        yield '<div class="cases">'
        for one in self.exhibits:
            yield from _folded(one)
        yield f'</div><p class="soft">{escape(elsewhere(lang))}</p>'

    def _form(self) -> Iterator[str]:
        lang = self.lang
        hint = escape(said("loss is NaN, Adam, overflow encountered", lang))
        idle = escape(" ".join(sorted(IDLE)))
        yield f'<form class="find" role="search" hidden data-idle="{idle}">'
        yield (f'<label class="typed">{said("What do you see?", lang)}<input type="search" name="words" '
               f'placeholder="{hint}" autocomplete="off"></label>')  # fmt: skip
        seen = Counter(one.case.seen for one in self.exhibits)
        yield self._choice("seen", "symptom", {"": [(kind, seen[kind]) for kind in SEEN if kind in seen]})
        yield self._choice("klass", "class", {"": Counter(one.klass for one in self.exhibits).most_common()})
        yield self._choice("phase", "phase", {"": Counter(one.phase for one in self.exhibits).most_common()})
        layers = Counter(layer for one in self.exhibits for layer in _layers(one))
        ops = Counter(one.finding.op for one in self.exhibits if one.finding.op)
        yield self._choice("where", "layer or operation", {"layer": _sorted(layers), "operation": _sorted(ops)})
        yield f'<button type="reset">{said("clear", lang)}</button></form>'

    def _choice(self, name: str, label: str, groups: dict[str, list[tuple[str, int]]]) -> str:
        """A list to choose from: its groups by label, "" for none, each word with how many cases have it."""
        lang = self.lang
        told = []
        for group, words in groups.items():
            each = "".join(f'<option value="{escape(w)}">{escape(said(w, lang))} ({n})</option>' for w, n in words)
            told.append(f'<optgroup label="{said(group, lang)}">{each}</optgroup>' if group else each)
        first = f'<option value="">{said("all", lang)}</option>'
        return f'<label>{said(label, lang)}<select name="{name}">{first}{"".join(told)}</select></label>'


def elsewhere(lang: str) -> str:
    """Which stories have pages of their own."""
    names = ", ".join(f"{name}, {where}" for name, where in ELSEWHERE.items())
    return said("An OCR model that went blind has a page of its own: {names}.", lang, names=names)


def _layers(one: Exhibit) -> list[str]:
    return one.case.layer.split(", ")


def _sorted(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: item[0].casefold())


def _folded(one: Exhibit) -> Iterable[str]:
    """A case whose symptom is seen, and all else once it is unfolded."""
    case, lang = one.case, one.lang
    words = escape("|".join(" ".join(tokens(level)) for level in case.words))
    where = escape("|".join(dict.fromkeys([*_layers(one), one.finding.op])))
    kinds = " · ".join(escape(said(word, lang)) for word in (case.seen, case.klass, case.phase))
    yield (f'<details class="case" id="{case.name}" data-seen="{case.seen}" data-klass="{case.klass}" '
           f'data-phase="{case.phase}" data-where="{where}" data-words="{words}">')  # fmt: skip
    yield (f'<summary><h2>{escape(case.told("symptom", lang))}</h2><span class="also"><b>{case.name}</b> · {kinds} · '
           f'<span lang="en">{escape(case.layer)}</span></span></summary>')  # fmt: skip
    yield f"<div><p>{escape(case.told('title', lang))} ({case.year})</p>"
    yield from one.told()
    yield "</div></details>"
