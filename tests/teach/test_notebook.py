"""Notebooks read from text and written as JSON, beside jupytext and nbformat."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from halfsim.teach import catalogue, notebook, writing

FILES = sorted((Path(catalogue.__file__).parent / "lessons").glob("*/*.md"))
MADE = """---
jupyter:
  kernelspec:
    display_name: Python 3
    name: python3
  lesson:
    question: "What: is it?"
    minutes: 45
    goals:
      - one thing, then
      - "two: things"
---

# A title

text
that goes on

```text
a figure


with blank lines
```

- behind it


a new cell

```python tags=["exercise"] slideshow={"slide_type": "skip"}
x = ...


check("x", x)
```

```python
y = 1
```
last words
"""


def theirs(text: str) -> tuple[dict[str, object], list[tuple[str, str, dict[str, object]]]]:
    jupytext = pytest.importorskip("jupytext")
    book = jupytext.reads(text, "md")
    metadata = {name: value for name, value in book.metadata.items() if name != "jupytext"}
    for cell in book.cells:
        cell.metadata.pop("lines_to_next_cell", None)  # blank lines, for writing the text again
    return metadata, [(cell.cell_type, cell.source, dict(cell.metadata)) for cell in book.cells]


@pytest.mark.parametrize("text", [MADE, *FILES], ids=["made", *(f"{path.parent.name}-{path.stem}" for path in FILES)])
def test_it_reads_what_jupytext_reads(text: str | Path) -> None:
    text = text if isinstance(text, str) else text.read_text(encoding="utf-8")
    metadata, cells = notebook.parse(text)
    assert theirs(text) == (metadata, [(cell.kind, cell.source, dict(cell.metadata)) for cell in cells])


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_it_writes_is_a_notebook(lang: str) -> None:
    nbformat = pytest.importorskip("nbformat")
    for name, text in writing.files(lang):
        if name.endswith(".ipynb"):
            book = nbformat.reads(text, 4)
            nbformat.validate(book)
            assert (book.nbformat, book.nbformat_minor) == (4, 5)
            assert book.metadata.kernelspec.name == "python3"
            assert len({cell.id for cell in book.cells}) == len(book.cells)
            assert nbformat.writes(book).rstrip() == json.dumps(
                json.loads(text), indent=1, sort_keys=True, ensure_ascii=False
            )


def test_pupils_have_the_exercise_and_the_others_its_solution() -> None:
    one, blank, solution = (notebook.Cell("code", name, {"tags": tags}) for name, tags in (
        ("a", []), ("b", ["exercise"]), ("c", ["solution"])))  # fmt: skip
    cells = (one, blank, solution, one)
    assert notebook.pupils(cells) == (one, blank, one)
    assert notebook.solved(cells) == (one, solution, one)
    with pytest.raises(ValueError, match=r"^notebook: no exercise before the solution 'c'; allowed: "):
        notebook.solved((one, solution))
    with pytest.raises(ValueError, match=r"^notebook: no solution behind 'b'; allowed: "):
        notebook.solved((blank, one))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```sh\nls\n```", "notebook: a fence of 'sh' is not allowed; allowed: python, text"),
        ("```python\nx", "notebook: '```python' is not closed; allowed: a line of ``` behind it"),
        ('```python a="b" c\nx\n```', "notebook: 'c' is not allowed; allowed: name=value, the value in JSON"),
    ],
)
def test_what_is_no_notebook_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match="^notebook: ") as caught:
        notebook.parse(text)
    assert str(caught.value) == told


def test_chinese_goes_on_in_the_next_line_without_a_space() -> None:
    text = "一行，\n二行 a\nb 三\n- 四\n\n```text\n五\n六\n```\n七\n八"
    book = json.loads(notebook.ipynb([notebook.Cell("markdown", text)], "t"))
    assert "".join(book["cells"][0]["source"]) == "一行，二行 a\nb 三\n- 四\n\n```text\n五\n六\n```\n七八"


def test_headings_begin_slides_and_code_waits() -> None:
    cells = (
        notebook.Cell("markdown", "## A"),
        notebook.Cell("code", "1"),
        notebook.Cell("markdown", "b"),
        notebook.Cell("markdown", "**1. c.** d"),
    )
    book = json.loads(notebook.ipynb(cells, "t"))
    assert [cell["metadata"]["slideshow"]["slide_type"] for cell in book["cells"]] == [
        "slide",
        "fragment",
        "-",
        "slide",
    ]
