"""The lessons written into a folder, by the function and by the command; and the teacher's page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from halfsim import teach
from halfsim.teach.catalogue import lessons
from halfsim.teach.teacher import page
from tests.cli.calling import called, refusal
from tests.teach.page import PAGES

NAMES = [lesson.name for lesson in lessons()]
EVERY = {f"{folder}{name}.ipynb" for name in NAMES for folder in ("", "solutions/")} | {"solutions/teacher.md"}


def listed(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_file_that_is_there_stays_unless_it_is_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a class"
    code, out, err = called(["lessons", str(folder)], capsys)
    assert (code, err) == (0, "")
    assert f"jupyter lab '{folder}/01_sixteen_bits.ipynb'" in out
    assert "--force" not in out
    assert listed(folder) == EVERY
    first = folder / "01_sixteen_bits.ipynb"
    fresh = first.read_text("utf-8")
    first.write_text("mine", "utf-8")
    (folder / "solutions" / "teacher.md").unlink()
    code, out, err = called(["lessons", str(folder), "--lang", "zh"], capsys)
    assert (
        f"\n{len(EVERY) - 1} of the files were there already and stay as they were; --force writes them anew\n" in out
    )
    assert first.read_text("utf-8") == "mine"
    assert (folder / "solutions" / "teacher.md").read_text("utf-8") == page("zh")
    code, out, err = called(["lessons", str(folder), "--force"], capsys)
    assert "--force" not in out
    assert first.read_text("utf-8") == fresh


def test_it_says_as_json_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for written, kept in ((EVERY, set()), (set(), EVERY)):
        told = json.loads(called(["lessons", str(tmp_path), "--json"], capsys)[1])
        assert told["folder"] == str(tmp_path)
        assert ({*told["written"]}, {*told["kept"]}) == (written, kept)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_list(
    lang: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = called(["lessons", "--list", "--lang", lang], capsys)[1]
    told = json.loads(called(["lessons", "--list", "--lang", lang, "--json"], capsys)[1])
    assert listed(tmp_path) == set()
    assert [row["name"] for row in told] == NAMES
    for row in told:
        assert row["title"] in out
        assert row["minutes"] == 45


def test_a_language_or_a_folder_that_cannot_be_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "allowed: en, zh" in refusal(["lessons", "--lang", "fr"], capsys)
    (tmp_path / "file").write_text("")
    assert "file" in refusal(["lessons", str(tmp_path / "file")], capsys)
    with pytest.raises(ValueError, match="lang: 'fr' is not allowed"):
        teach.write(tmp_path, "fr")


def test_writing_needs_numpy_alone(tmp_path: Path) -> None:
    code = (
        "import sys; from halfsim.cli import main; assert main(['lessons']) == 0; "
        "heavy = {'matplotlib', 'nbformat', 'jupytext', 'yaml', 'IPython', 'hypothesis', 'pytest', 'torch'}; "
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    root = Path(teach.__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(root)}, check=True)
    assert listed(tmp_path / "lessons") == EVERY


def test_the_teachers_page_is_that_of_the_documentation() -> None:
    """Written by ``python -m tests.teach.page --write``."""
    for lang, path in PAGES.items():
        assert path.read_text(encoding="utf-8") == page(lang, linked=True)
