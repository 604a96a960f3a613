"""The notebooks that `halfsim lessons` writes, run by Jupyter's own kernel from their folder: minutes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import halfsim as hs
from halfsim import teach
from halfsim.teach import exercises
from halfsim.teach.catalogue import lessons

NAMES = [f"{folder}{lesson.name}" for lesson in lessons() for folder in ("", "solutions/")]


@pytest.fixture(scope="module", params=["en", "zh"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return teach.write(tmp_path_factory.mktemp(request.param), request.param).folder


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("default")  # of Jupyter's own; the lessons' own go to the cells' standard error
def test_a_notebook_runs_and_warns_of_nothing(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    root = str(Path(hs.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
    path = folder / f"{name}.ipynb"
    book = nbformat.read(path, 4)
    nbclient.NotebookClient(book, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    outputs = [out for cell in book.cells if cell.cell_type == "code" for out in cell.outputs]
    errors = [out.text for out in outputs if out.output_type == "stream" and out.name == "stderr"]
    assert not errors
    assert not [out for out in outputs if out.output_type == "error"]
    text = "".join(out.text for out in outputs if out.output_type == "stream")
    said = [line[0] for line in text.splitlines() if line[:1] in "\u2713\u2717\u25cb" and line]
    mark = "\u2713" if name.startswith("solutions/") else "\u25cb"
    assert said == [mark] * len(exercises.of(name.rpartition("/")[2][3:]))
    assert any("image/svg+xml" in out.data or "image/png" in out.data or "<svg" in out.data.get("text/html", "")
               for out in outputs if "data" in out)  # fmt: skip
