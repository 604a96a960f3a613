"""The pages say what is so: examples print what stands below them, tables have the names of today."""

from __future__ import annotations

import os
import re
import runpy
import tomllib
from pathlib import Path

import pytest

import halfsim as hs
from halfsim.autograd.trace import kinds, noise, scaling
from tests import pages, picture

ROOT = Path(__file__).parents[1]
SEEING = (ROOT / "docs" / "seeing.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n((?:(?!```).)*?)```\n\n```text\n((?:(?!```).)*?)```", SEEING, re.S)


def test_every_example_has_its_output() -> None:
    assert len(EXAMPLES) == SEEING.count("```python") >= 10


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_prints_what_stands_below_it(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = EXAMPLES[number]
    (tmp_path / "train.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    runpy.run_path("train.py", run_name="__main__")
    assert capsys.readouterr().out.rstrip() == told.rstrip()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(hs.__file__).parents[1]), "PYTHONIOENCODING": "utf-8"}


def test_the_table_of_classes_is_that_of_the_kinds() -> None:
    rows = {line.split("|")[1].strip(): line for line in SEEING.split("\n") if line.startswith("| ")}
    del rows["class"], rows["---"]
    assert rows.keys() == kinds.KINDS.keys()
    assert f"{kinds.FLUSHED_SHARE:.0%}".replace("%", " %") in rows["underflow"]
    assert f"{kinds.VANISHED_SHARE:.0%}".replace("%", " %") in rows["underflow"]
    assert kinds.FLUSHED_STATE == kinds.SWAMPED_SHARE == kinds.CANCELLED_SHARE == 0.5  # "half"
    assert f"{noise.DISSOLVED:.0%}".replace("%", " %") in rows["cancellation"]
    assert f"{scaling.AT_END} steps at its limit, {scaling.SEARCH} in a row" in rows["scaler"]


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_prints_what_it_says(page: Path, tmp_path: Path) -> None:
    pytest.importorskip(pages.NEEDS.get(page.name, "halfsim"))
    for block, found in pages.printed(page, tmp_path):
        assert pages.agrees(str(block.told), found), f"{block.file}:\n{block.code}\nprints\n{found}"


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_in_chinese_has_the_same_code_and_links_back(page: Path) -> None:
    if page.name == "peers.md":
        return
    english, chinese = (p.read_text(encoding="utf-8") for p in (page, pages.chinese(page)))
    assert [block.plain for block in pages.blocks(english)] == [block.plain for block in pages.blocks(chinese)]
    assert f"]({pages.chinese(page).name})" in english
    assert f"]({page.name})" in chinese
    assert [line[:2] for line in english.splitlines() if line.startswith("#")].count("##") == chinese.count("\n## ")


def test_dots_stand_for_lines_between() -> None:
    assert pages.agrees("...\nb\n...\nd\n", "a\nb\nc\nd\n")
    assert not pages.agrees("...\nd\n...\nb\n", "a\nb\nc\nd\n")
    assert not pages.agrees("a\n", "a\nb\n")


def test_the_picture_is_drawn_from_today() -> None:
    assert picture.FILE.read_text(encoding="utf-8") == picture.drawn()


def test_every_page_is_in_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert re.search(rf"(: |- ){page.relative_to(ROOT / 'docs').as_posix()}$", menu, re.M), page.name


def _with_words(text: str, path: str, url: str) -> str:
    markdown, context = pytest.importorskip("markdown"), pytest.importorskip("zensical.extensions.context")
    from docs.glossary import Glossary

    known = context.ContextExtension(page=context.Page(url=url, path=path), config={})
    return markdown.markdown(text, extensions=[known, "tables", Glossary()])


def test_first_uses_of_words_link_to_the_glossary() -> None:
    words = "# An ulp\n\nAn `ulp` of a *Verdict*, verdicts, an ulp, a second ulp: swamped."
    html = _with_words(words, "howto/nan.md", "howto/nan/")
    assert re.findall(r'<a class="word" href="(.*?)">(.*?)</a>', html) == [
        ("../../glossary/#word-verdict", "Verdict"),
        ("../../glossary/#word-ulp", "ulp"),
        ("../../glossary/#word-swamping", "swamped"),
    ]
    assert re.sub("<.*?>", "", html) == re.sub("# |[`*]|\n(?=\n)", "", words)
    assert (
        _with_words("它被吞没了。", "tutorial.zh-CN.md", "tutorial.zh-CN/").count("../glossary.zh-CN/#word-吞没") == 1
    )
    for page in ("reference/amp.md", "glossary.md"):
        assert "href" not in _with_words("an ulp", page, page.removesuffix(".md") + "/")


@pytest.mark.parametrize("name", ["glossary.md", "glossary.zh-CN.md"])
def test_every_bold_word_has_its_row(name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    html = _with_words(text, name, name.removesuffix(".md") + "/")
    from docs.glossary import words

    assert len(words(name)) >= 20
    for row in words(name).values():
        assert f'id="{row}"' in html


def test_how_to_pages_are_in_their_index() -> None:
    index = (ROOT / "docs" / "howto" / "index.md").read_text(encoding="utf-8")
    for page in pages.PAGES:
        assert page.parent.name != "howto" or page.name == "index.md" or f"]({page.name})" in index, page.name


REFERENCE = {page.name: page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference").glob("*.md")}
ENTRIES = [entry for text in REFERENCE.values() for entry in re.findall(r"^::: ([\w.]+)$", text, re.M)]


def test_every_page_of_the_reference_is_in_its_index_and_in_the_menu() -> None:
    index, menu = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8"), (ROOT / "mkdocs.yml").read_text()
    for name in REFERENCE:
        assert f": reference/{name}\n" in menu, name
        assert f"](reference/{name})" in index, name


def test_the_reference_has_everything_once() -> None:
    assert len(ENTRIES) == len({*ENTRIES})
    for room in ("autograd/ops", "nn", "optim"):
        for file in (ROOT / "halfsim" / room).glob("*.py"):
            public = re.search(r"^__all__ = \[[^]]", file.read_text(encoding="utf-8"), re.M)
            if public and not file.name.startswith("_") and file.name not in ("functional.py", "optimizer.py"):
                assert f"halfsim.{room.replace('/', '.')}.{file.stem}" in ENTRIES, file


def test_the_names_at_the_top_are_in_the_reference() -> None:
    documented = {entry.removeprefix("halfsim.") for entry in ENTRIES}
    told = {"FP64", "FP32", "TF32", "BF16", "FP16", "PURE_FP16", "AMP", "FP8"}  # values, in the table of docs/ideas.md
    rooms = {"amp", "autograd", "checkpoint", "data", "formats", "hardware", "nn", "ops", "optim", "utils"}
    inner = {"device", "seed", "initial_seed", "get_rng_state", "set_rng_state"}  # by the files they are in
    formats = {name for name in hs.__all__ if isinstance(getattr(hs, name), hs.Format)}
    assert {*hs.__all__} - documented - told - rooms - inner - formats == set()


@pytest.mark.parametrize(
    "page",
    ["CONTRIBUTING.md", "docs/design.md", "docs/seeing.md", "docs/numerics.md", "docs/engine.md", "docs/porting.md"],
)
def test_files_that_a_page_names_are_there(page: str) -> None:
    for name in re.findall(r"`((?:halfsim|tests|benchmarks)/[\w/.]+)`", (ROOT / page).read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), name


def test_the_map_has_the_floors_that_are_held() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    held = next(c for c in contracts if c["name"] == "Floors of the house")["layers"]
    page = (ROOT / "docs" / "design.md").read_text("utf-8")
    told = [re.findall(r"`(\w+)`", rooms) for rooms in re.findall(r"^\| \d+ \| (.*?) \|", page, re.M)]
    assert told == [layer.split(" | ") for layer in reversed(held)]


@pytest.mark.parametrize(
    "room",
    [
        "numerics", "autograd", "autograd/trace", "diagnose", "costs", "sweeps", "testing", "onnx", "onnx/conversion",
        "gallery", "gallery/uses", "gallery/questions", "gallery/matrix", "teach",
    ],
)  # fmt: skip
def test_the_map_names_every_file_of_a_room(room: str) -> None:
    page = (ROOT / "docs" / "design.md").read_text("utf-8")
    named = {word.strip("/").rpartition("/")[2] for word in re.findall(r"`([\w./]+)`", page)}
    folder = ROOT / "halfsim" / room
    files = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    assert files - named - {"__init__"} == set()
