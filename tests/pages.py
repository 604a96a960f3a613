"""Pages whose code is run, from top to bottom in one empty folder, and says what stands below it.

A ``python`` block is saved under its title, ``train.py`` without one; where a ``text`` block follows, it is run. The
lines of an ``sh`` block are typed one after the other, but those that install. In what is printed ``...`` stands for
lines between. ``PYTHONPATH=$PWD python -m tests.pages --write [PAGE ...]`` runs pages and writes what they print.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(python|sh)(?: title=\"([\w./]+)\")?\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", re.S | re.M)
CHINESE = ".zh-CN.md"
NEEDS = {"onnx.md": "onnx", "pytorch.md": "torch", "property_test.md": "hypothesis", "peers.md": "pychop"}
# Pages that want more than the tests do
PAGES = (
    ROOT / "README.md",
    ROOT / "docs" / "index.md",
    ROOT / "docs" / "tutorial.md",
    ROOT / "docs" / "diff.md",
    ROOT / "docs" / "peers.md",
    *sorted(page for page in (ROOT / "docs" / "howto").glob("*.md") if not page.name.endswith(CHINESE)),
)


@dataclass(frozen=True)
class Block:
    """A block of code of a page: in which language, to which file, and what it is said to print (None: not run)."""

    language: str
    file: str
    code: str
    told: str | None
    span: tuple[int, int]

    @property
    def plain(self) -> tuple[str, str, str, str | None]:
        """What two pages in different languages have in common: all but the comments."""
        code = re.sub(r"(?m)  #.*$|^ *#.*\n", "", self.code) if self.language == "python" else self.code
        return self.language, self.file, code, self.told


def blocks(text: str) -> list[Block]:
    """The blocks of code of a page."""
    return [
        Block(found[1], found[2] or "train.py", found[3], found[4], found.span(4)) for found in BLOCK.finditer(text)
    ]


def printed(page: Path, folder: Path) -> Iterator[tuple[Block, str]]:
    """Each block of a page that says what it prints, and what it prints today; the others are run or saved."""
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language == "python":
            (folder / block.file).write_text(block.code, encoding="utf-8")
            if block.told is not None:
                yield block, _run([sys.executable, block.file], folder, 0)
            continue
        told = [
            _run(command, folder, None if block.told is not None else 0)
            for line in block.code.splitlines()
            if (command := _command(line)) is not None
        ]
        if told and block.told is not None:
            yield block, "".join(told)


def agrees(told: str, found: str) -> bool:
    """Whether a page's text is what was printed, ``...`` being any lines between."""
    if "..." not in told.splitlines():
        return told.rstrip() == found.rstrip()
    for part in re.split(r"(?m)^\.\.\.$\n?", told):
        if part:
            _, here, found = found.partition(part.rstrip("\n"))
            if not here:
                return False
    return True


_SEED = ("--hypothesis-seed=0",)  # what it finds and shrinks is then the same every time


def _command(line: str) -> list[str] | None:
    name, *words = shlex.split(line)
    name = name.removeprefix(".venv/bin/")
    if name == "halfsim":
        return [sys.executable, "-m", "halfsim", *words]
    if name == "python":
        return [sys.executable, *words]
    if name == "pytest":
        installed = any(point.name == "halfsim" for point in entry_points(group="pytest11"))
        plugin = [] if installed else ["-p", "_halfsim_pytest"]
        return [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", "-c", os.devnull, *_SEED, *words]
    if name in ("pip", "python3"):
        return None  # what installs
    raise ValueError(f"{line}: no command that a page may type")


def _run(command: list[str], folder: Path, expected: int | None) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "COLUMNS": "100"}
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", env=environment
    )
    if expected is not None and done.returncode != expected:
        raise AssertionError(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def written(page: Path) -> str:
    """A page with what its code prints today; where ``...`` stands and all around it is as printed, it stays."""
    text = page.read_text(encoding="utf-8")
    with TemporaryDirectory() as folder:
        for block, found in reversed(list(printed(page, Path(folder)))):
            if not agrees(str(block.told), found):
                text = text[: block.span[0]] + found.rstrip() + "\n" + text[block.span[1] :]
    return text


def chinese(page: Path) -> Path:
    """Where the page is in Chinese."""
    return page.with_name(page.name.removesuffix(".md") + CHINESE)


def translated(page: Path) -> str | None:
    """The Chinese page with what the English one says that is printed, if it has the same blocks."""
    if not chinese(page).exists():
        return None
    text = chinese(page).read_text(encoding="utf-8")
    theirs, ours = blocks(page.read_text(encoding="utf-8")), blocks(text)
    for their, our in reversed(list(zip(theirs, ours, strict=True))):
        if their.told is not None and our.told is not None:
            text = text[: our.span[0]] + their.told + text[our.span[1] :]
    return text


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.pages", description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="write what is printed")
    parser.add_argument("pages", nargs="*", type=Path, metavar="PAGE", help="by default all")
    arguments = parser.parse_args()
    for page in [path.resolve() for path in arguments.pages] or PAGES:
        text = written(page)
        print(page.relative_to(ROOT), "as printed" if text == page.read_text(encoding="utf-8") else "has changed")
        if arguments.write:
            page.write_text(text, encoding="utf-8")
            if (other := translated(page)) is not None:
                chinese(page).write_text(other, encoding="utf-8")
