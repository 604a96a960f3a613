"""What becomes of a mutant: the tests nearest to its file are run until one fails.

First what mirrors the file (its own doctests, ``test_<file>*.py``; where there is none, what mirrors the files that
import it), then the tests that name the function it is in, those of the same room first, then the rest of the room's.
Each handful runs in a process forked from one that has imported NumPy, pytest and the oracles already, in a copied
tree.
"""

from __future__ import annotations

import ast
import os
import re
import resource
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

from tests.mutation.plant import Mutant

# What a test may use of the processor, in seconds, a handful of tests by the clock, and both of memory.
SECONDS, CLOCK, BYTES = 60, 14400, 6 << 30
HANDFUL, NAMED = 6, 12
_TRAINS = re.compile("tests/(ported|healthy|cases|demo|cli)/")
# Rooms whose tests are elsewhere than in the folder of the same name.
_ROOMS = {"halfsim/autograd/trace": "tests/diagnose", "halfsim/costs": "tests/costs"}
# What no handful has: pages in a browser, hours of hostile calls, other programs; and these tests themselves.
_APART = re.compile(
    r"browser|tests/(hostile|torch_suites|mutation|reliability|recorded|conformance)/|test_tour|contributing"
)
_DEFAULTS = "tests/test_defaults.py"  # which holds the defaults of every room
_COMMON = {"__init__", "__call__", "__str__", "__repr__", "forward", "update", "step", "check", "rule"}


@cache
def _tests(root: Path) -> dict[str, str]:
    """Every file of tests and its text, with that of the tables beside it from which it makes tests; smaller first."""
    paths = sorted((root / "tests").rglob("test_*.py"), key=lambda path: path.stat().st_size)
    files = {path.relative_to(root).as_posix(): path.read_text("utf-8") for path in paths}
    return {name: text + _tables(root, text) for name, text in files.items() if not _APART.search(name)}


def _tables(root: Path, text: str) -> str:
    named = [f"{a}.{b}" for a, b in re.findall(r"^from (tests[\w.]*) import (\w+)", text, re.M)]
    paths = {root / f"{name.replace('.', '/')}.py" for module in named for name in (module, module.rpartition(".")[0])}
    paths |= {root / "tests" / "recorded" / name for name in re.findall(r'"(\w+\.json)"', text)}
    return "".join(path.read_text("utf-8") for path in sorted(paths) if path.exists())


def selection(root: Path, mutant: Mutant) -> dict[str, list[str]]:
    """The files of tests that mirror the mutated file, those that name its function, and the rest of the room's."""
    file, tests = Path(mutant.file), _tests(root)
    text = (root / file).read_text("utf-8")
    folder = next((home for room, home in _ROOMS.items() if mutant.file.startswith(room)), None)
    home = folder or "tests" + "".join(f"/{part}" for part in file.parts[1:-1][:1])
    mirrors = _mirrors(root, file, home)
    words = _callers(text, mutant.function.split(".")) or {_stem(file)}
    said = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(words)))})\b")
    times = {name: len(said.findall(text)) for name, text in tests.items() if name not in mirrors}
    named = [name for name in times if times[name] and (name.startswith(home + "/") or not _TRAINS.search(name))]
    named.sort(key=lambda name: (name != _DEFAULTS, not name.startswith(home + "/"), -times[name]))
    inside = str(Path(home) / ("" if (root / home).is_dir() and home != "tests" else "test_"))
    rest = [name for name in tests if name.startswith(inside) and name not in mirrors]
    return {
        "mirror": [mutant.file] * (">>>" in text) + mirrors, "named": named[:NAMED],
        "room": named[NAMED:] + [name for name in rest if name not in named],
    }  # fmt: skip


def _stem(file: Path) -> str:
    return file.stem.strip("_") if file.stem != "__init__" else file.parent.name


def _mirrors(root: Path, file: Path, home: str) -> list[str]:
    """The files of tests that are named after a file; where its room has none, after those of it that import it."""
    room, level, seen = "/".join(file.parts[:2]), [file], set[Path]()
    folders = home, room.replace("halfsim", "tests")
    while level:
        seen.update(level)
        stems = "|".join(map(_stem, level))
        found = [name for name in _tests(root) if re.fullmatch(rf"test_({stems})(_\w+)?", Path(name).stem)]
        near = [name for name in found if name.startswith(folders)]
        if near or (found and level == [file] and not (root / home).is_dir()):
            return near or found
        uses = _imports(root)
        level = [p for p in uses if p not in seen and uses[p] & set(level) and p.as_posix().startswith(room)]
    return []


@cache
def _imports(root: Path) -> dict[Path, set[Path]]:
    """Every file of the package, and those that it imports from; a folder's door opens all of it."""
    paths = [path.relative_to(root) for path in sorted((root / "halfsim").rglob("*.py"))]
    modules = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in paths}
    uses: dict[Path, set[Path]] = {}
    for path in paths:
        nodes = [
            node for node in ast.walk(ast.parse((root / path).read_text("utf-8"))) if isinstance(node, ast.ImportFrom)
        ]
        names = {name for node in nodes for name in (node.module, *(f"{node.module}.{x.name}" for x in node.names))}
        lazy = {other for other in paths if path.stem == "__init__" and other.parent == path.parent}
        uses[path] = lazy | {modules[name] for name in names if name in modules}
    return uses


def _callers(text: str, within: list[str]) -> set[str]:
    """The names by which tests reach a function: its own and its class's, or those of what calls it in its file."""
    uses: dict[str, set[str]] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            parts = list(ast.walk(node))
            uses[node.name] = {part.id for part in parts if isinstance(part, ast.Name)}
            uses[node.name] |= {part.attr for part in parts if isinstance(part, ast.Attribute)}
    found, new = set[str](), {word for word in within if word and word not in _COMMON}
    while new:
        found |= new
        new = {name for name, used in uses.items() if used & {word for word in new if word.startswith("_")}} - found
    return {word for word in found if not word.startswith("_")}


class _First:
    """Writes down the first test that fails; one that takes too long ends the process by a signal."""

    def __init__(self, told: Path):
        self._told = told

    @pytest.hookimpl
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._told.write_text(nodeid, "utf-8")
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._told.write_text(f"{report.nodeid} (not collected)", "utf-8")


def prepare(root: Path, tree: Path) -> None:
    """Copy what is tested to ``tree``, import what every test imports, and go there."""
    for name in ("halfsim", "tests", "docs", "benchmarks"):
        shutil.copytree(root / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in root.iterdir():
        if path.is_file():
            shutil.copy2(path, tree)
    with (tree / "tests" / "browser.py").open("a") as file:
        file.write('needs_chromium = pytest.mark.skip(reason="slow")\n')
    import gmpy2  # noqa: F401
    import hypothesis  # noqa: F401
    import matplotlib  # noqa: F401
    import ml_dtypes  # noqa: F401
    import numpy as np  # noqa: F401

    for name in [name for name in sys.modules if name.partition(".")[0] in ("halfsim", "tests")]:
        del sys.modules[name]
    sys.modules["torch"] = None  # type: ignore[assignment]  # the record is the same without PyTorch
    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree)
    sys.path[:] = [str(tree), *(path for path in sys.path if Path(path or ".").resolve() != root.resolve())]


def run(tests: list[str], tree: Path) -> tuple[str, str]:
    """``("passed" | "failed" | "timeout", the first test that did not pass)``."""
    told = tree / ".first"
    told.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)  # for what never ends while it is imported
        options = ["-q", "-x", "-n", "0", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
        code = 1
        try:
            code = int(pytest.main([*options, *tests], plugins=[_First(told)]))
        finally:
            os._exit(code)
    since = time.monotonic()
    done, status = os.waitpid(child, os.WNOHANG)
    while done == 0 and time.monotonic() - since < CLOCK:
        time.sleep(0.02)
        done, status = os.waitpid(child, os.WNOHANG)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if done == 0:
        _, status = os.waitpid(child, 0)
    first = told.read_text("utf-8") if told.exists() else ""
    if os.WIFSIGNALED(status):
        slow = done == 0 or os.WTERMSIG(status) == signal.SIGVTALRM
        return ("timeout" if slow else "failed"), first
    # 5: nothing of these is run by default, as the slow ones are not
    return ("passed" if os.WEXITSTATUS(status) in (0, 5) else "failed"), first


def judged(mutant: Mutant, choices: Sequence[str], number: int, tree: Path) -> tuple[str, str, str]:
    """``("killed" | "timeout" | "survived", by which choice, by which test)``; the tree is as before afterwards."""
    path = tree / mutant.file
    source, kept, selected = path.read_bytes(), path.stat(), selection(tree, mutant)
    path.write_bytes(mutant.planted(source))
    os.utime(path, (1e9 + number, 1e9 + number))  # a time of its own, by which Python's cache tells it from the others
    try:
        for choice in choices:
            tests = selected[choice]
            for i in range(0, len(tests), HANDFUL):
                result, first = run(tests[i : i + HANDFUL], tree)
                if result != "passed":
                    return ("killed" if result == "failed" else "timeout"), choice, first
    finally:
        path.write_bytes(source)
        os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    return "survived", "", ""
