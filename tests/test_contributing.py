"""The additions of CONTRIBUTING.md: each diff fits today's source, touches two files at most, and does what it says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RECIPE = re.compile(r"### ([^\n]+)\n(?:(?!\n### ).)*?```diff\n(.*?)```\n\n```python\n(.*?)```", re.S)
RECIPES = RECIPE.findall((ROOT / "CONTRIBUTING.md").read_text("utf-8"))


def patched(root: Path, diff: str) -> list[str]:
    """Apply a diff whose hunks say by their lines alone where they belong, and return the files that it changes."""
    files = re.findall(r"^--- a/(\S+)\n\+\+\+ b/\1\n(.*?)(?=^--- a/|\Z)", diff, re.S | re.M)
    for name, hunks in files:
        text = (root / name).read_text("utf-8")
        for hunk in hunks.removeprefix("@@\n").split("\n@@\n"):
            lines = hunk.rstrip("\n").split("\n")
            old, new = ("\n".join(line[1:] for line in lines if line[:1] != sign) + "\n" for sign in "+-")
            assert text.count(old) == 1, f"{name}: the source has changed where CONTRIBUTING.md adds\n{hunk}"
            text = text.replace(old, new)
        (root / name).write_text(text, "utf-8")
    return [name for name, _ in files]


def test_there_is_one_of_each() -> None:
    assert [name for name, _, _ in RECIPES] == [
        "An operation", "A format", "A device", "A layer", "A kind of trouble",
    ]  # fmt: skip


@pytest.mark.parametrize(("diff", "check"), [recipe[1:] for recipe in RECIPES], ids=[name for name, *_ in RECIPES])
def test_an_addition_takes_two_files_and_works(diff: str, check: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "halfsim", tmp_path / "halfsim", ignore=shutil.ignore_patterns("__pycache__"))
    files = patched(tmp_path, diff)
    assert 1 <= len(files) <= 2
    assert all(name.startswith("halfsim/") for name in files)
    edited = max(files, key=lambda name: not name.endswith("__init__.py"))
    examples = f"import doctest\nimport {edited[:-3].replace('/', '.')} as m\nassert not doctest.testmod(m).failed"
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{check}\nassert {str(tmp_path)!r} in hs.__file__"
    done = subprocess.run([sys.executable, "-I", "-c", f"{code}\n{examples}"], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr + done.stdout
