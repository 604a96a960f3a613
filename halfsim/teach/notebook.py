"""Notebooks kept as text, in the Markdown of Jupytext, and written as .ipynb: with nothing but Python itself.

A code cell is a fence of ``python``, its metadata behind it (``tags=["solution"]``); all else is text, of which two
blank lines begin a new cell. An exercise is a cell with that tag, followed by its solution in another: a pupil's
notebook has the first, the one with solutions the second. The header's ``jupyter:`` is the notebook's metadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["markdown", "code"]
_OPTION = re.compile(r"\s*([\w-]+)=")
_OPEN = re.compile(r"```(\w*)\s*(.*)$")
_WIDE = "[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"
_BETWEEN = re.compile(f"(?<={_WIDE})\n(?={_WIDE})")
_KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook: its kind, its text without the last line feed, its metadata."""

    kind: Kind
    source: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tags(self) -> Sequence[str]:
        """The tags of its metadata."""
        tags: Sequence[str] = self.metadata.get("tags", ())
        return tags


def parse(text: str) -> tuple[dict[str, Any], tuple[Cell, ...]]:
    r"""The metadata and the cells of a notebook in Jupytext's Markdown; ``ValueError`` for what is none of it.

    >>> parse("# One\n\ntext\n\n```python tags=[\"exercise\"]\nx = ...\n```\n")[1][1]
    Cell(kind='code', source='x = ...', metadata={'tags': ['exercise']})
    """
    lines = text.split("\n")
    metadata: dict[str, Any] = {}
    if lines and lines[0] == "---":
        end = lines.index("---", 1)
        metadata = _mapping(lines[1:end]).get("jupyter", {})
        lines = lines[end + 1 :]
    return metadata, tuple(_cells(lines))


def _cells(lines: list[str]) -> Iterator[Cell]:
    prose: list[str] = []
    rest = iter(lines)
    for line in rest:
        opened = _OPEN.match(line)
        if opened and opened[1] != "text":
            if opened[1] != "python":
                raise ValueError(f"notebook: a fence of {opened[1]!r} is not allowed; allowed: python, text")
            yield from _texts(prose)
            prose = []
            yield Cell("code", "\n".join(_until_closed(rest, line)), _options(opened[2]))
        elif opened:
            prose += [line, *_until_closed(rest, line), "```"]
        elif line == "" and prose[-1:] == [""]:
            yield from _texts(prose)
            prose = []
        else:
            prose.append(line)
    yield from _texts(prose)


def _until_closed(rest: Iterator[str], opened: str) -> list[str]:
    found: list[str] = []
    for line in rest:
        if line == "```":
            return found
        found.append(line)
    raise ValueError(f"notebook: {opened!r} is not closed; allowed: a line of ``` behind it")


def _texts(lines: list[str]) -> Iterator[Cell]:
    text = "\n".join(lines).strip("\n")
    if text:
        yield Cell("markdown", text)


def _options(text: str) -> dict[str, Any]:
    """What stands behind the name of a fence: names, each with a value in JSON."""
    found: dict[str, Any] = {}
    while match := _OPTION.match(text):
        value, end = json.JSONDecoder().raw_decode(text, match.end())
        found[match[1]], text = value, text[end:]
    if text.strip():
        raise ValueError(f"notebook: {text.strip()!r} is not allowed; allowed: name=value, the value in JSON")
    return found


def _mapping(lines: Sequence[str]) -> dict[str, Any]:
    """The YAML of a header, as much of it as headers here have: names, lists of texts, texts, whole numbers."""
    found: dict[str, Any] = {}
    inner: list[str] = []
    for line in reversed([line for line in lines if line.strip()]):
        if line.startswith(" "):
            inner.insert(0, line)
            continue
        name, _, value = line.partition(":")
        deep = min((len(below) - len(below.lstrip()) for below in inner), default=0)
        below = [line[deep:] for line in inner]
        is_list = bool(below) and below[0].startswith("- ")
        nested = [_scalar(item[2:]) for item in below] if is_list else _mapping(below)
        found[name], inner = (_scalar(value) if value.strip() else nested), []
    return dict(reversed(found.items()))


def _scalar(text: str) -> str | int:
    text = text.strip()
    if text.startswith('"'):
        return str(json.loads(text))
    return int(text) if text.isdecimal() else text


def pupils(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The cells without the solutions."""
    return tuple(cell for cell in cells if "solution" not in cell.tags)


def solved(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The cells with each exercise's solution in its place; ``ValueError`` where one lacks the other."""
    found: list[Cell] = []
    for cell in cells:
        if "solution" not in cell.tags:
            found.append(cell)
        elif found and "exercise" in found[-1].tags:
            found[-1] = cell
        else:
            raise ValueError(f"notebook: no exercise before the solution {cell.source!r}; allowed: one right before it")
    for cell in found:
        if "exercise" in cell.tags:
            raise ValueError(f"notebook: no solution behind {cell.source!r}; allowed: one right behind it")
    return tuple(found)


def _joined(text: str) -> str:
    """Text without the ends of lines between Chinese characters, where a browser would show a space."""
    figures = re.split(r"(^```.*?^```$)", text, flags=re.S | re.M)
    figures[::2] = [_BETWEEN.sub("", part) for part in figures[::2]]
    return "".join(figures)


def ipynb(cells: Sequence[Cell], title: str, prefix: str = "cell") -> str:
    """A notebook of ``cells`` as the JSON of nbformat 4.5, nothing run yet; ``prefix`` begins the cells' ids.

    A heading, or bold words as an exercise begins with, begin a slide, and code waits for a click: ``jupyter nbconvert --to slides``.
    """
    written = []
    for n, cell in enumerate(cells):
        slide = "fragment" if cell.kind == "code" else "slide" if cell.source.startswith(("#", "**")) else "-"
        metadata = {"slideshow": {"slide_type": slide}, **cell.metadata}
        one: dict[str, Any] = {"cell_type": cell.kind, "id": f"{prefix}-{n:02}", "metadata": metadata}
        if cell.kind == "code":
            one |= {"execution_count": None, "outputs": []}
        source = _joined(cell.source) if cell.kind == "markdown" else cell.source
        written.append(one | {"source": source.splitlines(keepends=True)})
    whole = {"cells": written, "metadata": {**_KERNEL, "title": title}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
