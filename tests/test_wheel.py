"""What an installed halfsim consists of, and that its plugins are found: of a wheel that is built here."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import halfsim as hs

ROOT = Path(__file__).parents[1]
PLUGINS = {"_halfsim_pytest.py", "_halfsim_hypothesis.py"}
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    pytest.importorskip("hatchling", reason="the build backend")
    made = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(made)], cwd=ROOT, check=True,
        capture_output=True,
    )  # fmt: skip
    (path,) = made.iterdir()
    return zipfile.Path(path)


@pytest.fixture(scope="module")
def run(wheel: zipfile.Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Python far from the source, where the wheel's files are installed before all others."""
    site, away = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("away")
    wheel.root.extractall(site)
    (away / "test_it.py").write_text("""
import pytest

@pytest.mark.halfsim(no="overflow")
def test_it(halfsim_trace):
    import halfsim
    assert "site" in halfsim.__file__
    halfsim.tensor([300.0], "fp16") * 300

def test_no_more():
    pass
""")

    def python(*words: str) -> subprocess.CompletedProcess[str]:
        names = {"PYTHONPATH", "PYTEST_ADDOPTS", "HYPOTHESIS_NO_PLUGINS"}
        rest = {name: value for name, value in os.environ.items() if name not in names}
        return subprocess.run(
            [sys.executable, *words], cwd=away, env=rest | {"PYTHONPATH": str(site)}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    return python


def test_it_has_the_package_the_plugins_and_nothing_else(wheel: zipfile.Path) -> None:
    names = {name for name in wheel.root.namelist() if not name.endswith("/")}
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"halfsim"} | PLUGINS
    inside = {path for path in (ROOT / "halfsim").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {name for name in names if name.startswith("halfsim/")} == {
        path.relative_to(ROOT).as_posix() for path in inside
    }
    assert {"halfsim/py.typed", "halfsim/autograd/methods.pyi"} < names


def test_it_declares_its_plugins_and_its_command(wheel: zipfile.Path) -> None:
    (home,) = (path for path in wheel.iterdir() if path.name.endswith(".dist-info"))
    entries = (home / "entry_points.txt").read_text("utf-8")
    for line in (
        "[pytest11]\nhalfsim = _halfsim_pytest\n",
        "[hypothesis]\nhalfsim = _halfsim_hypothesis:register\n",
        "[console_scripts]\nhalfsim = halfsim.cli:main\n",
    ):
        assert line in f"{entries}\n"
    told = (home / "METADATA").read_text("utf-8")
    assert "\nRequires-Dist: numpy>=2.0\n" in told
    assert sum(line.startswith("Requires-Dist") and "extra ==" not in line for line in told.split("\n")) == 1


def test_pytest_finds_its_plugin_and_runs_without_it(run: Run) -> None:
    found = run("-m", "pytest", "-p", "no:cacheprovider", "-q")
    assert "1 failed, 1 passed" in found.stdout, found.stdout + found.stderr
    assert "overflow" in found.stdout
    done = run("-m", "pytest", "-p", "no:cacheprovider", "-q", "-p", "no:halfsim", "-k", "no_more")
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert "halfsim_trace' not found" in run("-m", "pytest", "-p", "no:halfsim", "-p", "no:cacheprovider").stdout


def test_hypothesis_draws_its_types(run: Run) -> None:
    pytest.importorskip("hypothesis")
    code = (
        "import sys, hypothesis; print('halfsim' in sys.modules); import halfsim as hs; "
        "from hypothesis import find, settings, strategies as st; "
        "print(type(find(st.from_type(hs.Tensor), lambda x: True, settings=settings(database=None))).__name__)"
    )
    done = run("-c", code)
    assert done.stdout.split() == ["False", "Tensor"], done.stderr


def test_every_name_is_there_and_the_command_runs(run: Run) -> None:
    code = "import halfsim as hs; print(*sorted(name for name in dir(hs) if hasattr(hs, name))); hs.data.digits()"
    done = run("-W", "error", "-c", code)
    assert done.stdout.split() == sorted(dir(hs)), done.stderr
    assert run("-m", "halfsim", "bits", "0.1").stdout
