"""Link the first use of a word on a page to the glossary: of the words of rows that have a bold one."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from xml.etree.ElementTree import Element

from markdown import Extension, Markdown
from markdown.treeprocessors import Treeprocessor
from zensical.extensions.context import ContextPreprocessor

FOLDER = Path(__file__).parent
_ROW = re.compile(r"^\| ([^|]*\*\*[^|]*) \|", re.M)
_LEFT_ALONE = {"a", "code", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "th", "svg", "script", "style"}


@cache
def words(glossary: str) -> dict[str, str]:
    """Each word to be linked, in small letters, and the anchor of its row; of a Chinese row only the bold ones."""
    found: dict[str, str] = {}
    for row in _ROW.findall((FOLDER / glossary).read_text(encoding="utf-8")):
        bold = re.findall(r"\*\*(.*?)\*\*", row)
        listed = row.replace("*", "").split(", ") if row.isascii() else bold
        found.update({word.lower(): anchor(bold[0]) for word in listed})
    return found


def anchor(word: str) -> str:
    """The name of the row of a word in the page."""
    return "word-" + re.sub(r"\W+", "-", word.lower())


class Words(Treeprocessor):
    """Names for the rows of a glossary, links on every other page; nothing within a docstring, which has no page."""

    def run(self, root: Element) -> None:
        context = ContextPreprocessor.from_markdown(self.md)
        if context is None or context.page.path.startswith("reference/"):
            return
        glossary = "glossary.zh-CN" if ".zh-CN." in context.page.path else "glossary"
        if context.page.path == f"{glossary}.md":
            for row in root.iter("tr"):
                if (bold := row[0].find("strong")) is not None:
                    row.set("id", anchor(bold.text or ""))
            return
        self.left = {**words(f"{glossary}.md")}
        self.page = "../" * len([part for part in context.page.url.split("/") if part]) + f"{glossary}/"
        self._inside(root)

    def _inside(self, element: Element) -> None:
        if element.tag in _LEFT_ALONE:
            return
        element.text, i = self._linked(element, element.text, 0)
        while i < len(element):
            child = element[i]
            self._inside(child)
            child.tail, i = self._linked(element, child.tail, i + 1)

    def _linked(self, parent: Element, text: str | None, at: int) -> tuple[str | None, int]:
        """What of a text stands before its first link; the links become children from ``at`` on."""
        ends = "" if self.page.endswith(".zh-CN/") else r"(?![\w-])"
        starts = r"(?<![\w-])" if ends else ""
        head, link = text, None
        while self.left and text:
            either = "|".join(re.escape(word) for word in sorted(self.left, key=len, reverse=True))
            match = re.search(f"{starts}({either}){ends}", text, re.I)
            if match is None:
                break
            if link is None:
                head = text[: match.start()]
            else:
                link.tail = text[: match.start()]
            row = self.left[match[1].lower()]
            self.left = {word: other for word, other in self.left.items() if other != row}
            link = Element("a", {"class": "word", "href": f"{self.page}#{row}"})
            link.text, text = match[1], text[match.end() :]
            parent.insert(at, link)
            at += 1
        if link is not None:
            link.tail = text
        return head, at


class Glossary(Extension):
    def extendMarkdown(self, md: Markdown) -> None:
        md.treeprocessors.register(Words(md), "glossary", 5)  # after inline markup, which is at 20


def makeExtension(**options: object) -> Glossary:
    """What Markdown calls."""
    return Glossary(**options)
