"""The pages of docs/testing: programs print what stands below them, and runs of pytest say it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import halfsim as hs

ROOT = Path(hs.__file__).parents[1]
PAGES = {page.name: page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "testing").glob("*.md")}
BLOCK = r"((?:(?!```).)*?)```\n"
PROGRAM = re.compile(rf"```python\n{BLOCK}\n```text\n{BLOCK}", re.S)
SUITE = re.compile(rf"```python title=\"(\w+\.py)\"\n{BLOCK}", re.S)
COMMAND = re.compile(rf"```sh\npytest(.*?)\n```\n\n```text\n{BLOCK}", re.S)

PROGRAMS = [(name, *found) for name, text in PAGES.items() for found in PROGRAM.findall(text)]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "COLUMNS": "100"}


def test_all_programs_have_their_output() -> None:
    assert len(PROGRAMS) == sum(text.count("```python\n") for text in PAGES.values())
    assert {name for name, *_ in PROGRAMS} >= {"conformance.md"}


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program_prints_what_stands_below_it(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that searches in a process of its own: hypothesis draws constants of the modules that are loaded."""
    _, code, told = PROGRAMS[number]
    if "strategies" in code:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, encoding="utf-8", env=ENVIRONMENT
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.rstrip() == told.rstrip()
        return
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.rstrip() == told.rstrip()


@pytest.mark.parametrize(("name", "least"), [("index.md", 1), ("plugin.md", 4)])
def test_runs_of_pytest_say_what_the_page_says(name: str, least: int, tmp_path: Path) -> None:
    """The files of the page, and its commands one after the other; ``...`` stands for lines in between."""
    page = PAGES[name]
    for name, code in SUITE.findall(page):
        (tmp_path / name).write_text(code, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    commands = COMMAND.findall(page)
    assert len(commands) == page.count("```sh\npytest") >= least
    for words, told in commands:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "_halfsim_pytest",
            "-p",
            "no:cacheprovider",
            *shlex.split(words),
        ]
        if INSTALLED:
            del command[3:5]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", env=ENVIRONMENT)
        rest = done.stdout
        for part in told.removesuffix("\n").split("\n...\n"):
            assert part in rest, f"pytest{words} says\n{done.stdout}\n{done.stderr}"
            rest = rest.partition(part)[2]
    for kept in tmp_path.glob("test_bits/*.bits"):
        assert f"```text\n{kept.read_text(encoding='utf-8')}```\n" in page


def _installed() -> bool:
    from importlib.metadata import entry_points

    return any(point.name == "halfsim" for point in entry_points(group="pytest11"))


INSTALLED = _installed()
