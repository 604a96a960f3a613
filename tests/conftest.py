"""Every test starts from the same random state, and hypothesis draws the same examples everywhere.

Where PyTorch is not installed, a run notes which tests were skipped for want of it; ``--torch-only`` runs these, and
PyTorch's own suites, once it is.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import tempfile
from collections.abc import Generator

# Workers share the cores: more threads in each would wait for one another. Read when NumPy is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

import halfsim as hs

os.environ.pop("COLUMNS", None)  # which xdist sets in its workers: texts are as wide as in a pipe

settings.register_profile("halfsim", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("halfsim")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    hs.manual_seed(0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260101)


_compiled = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Where Python may not write bytecode beside the source, workers and programs that tests start share a folder."""
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        config.stash[_compiled] = tempfile.TemporaryDirectory()
        os.environ.setdefault("PYTHONPYCACHEPREFIX", config.stash[_compiled].name)


def pytest_unconfigure(config: pytest.Config) -> None:
    if _compiled in config.stash:
        config.stash[_compiled].cleanup()


_SKIPPED = "halfsim/skipped_for_torch"  # in pytest's cache
_skipped: set[str] = set()


def pytest_addoption(parser: pytest.Parser) -> None:
    told = "run what the last run skipped for want of PyTorch, and what -m torch_suites runs"
    parser.addoption("--torch-only", action="store_true", help=told)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None]:
    """The tests stay until the end: to look through them for garbage again and again takes a fifth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _stand_together(items)
    if not config.getoption("--torch-only"):
        return
    cache = getattr(config, "cache", None)  # which -p no:cacheprovider takes away
    wanted = set(cache.get(_SKIPPED, []) if cache is not None else [])
    kept = [
        item
        for item in items
        if {item.nodeid, item.nodeid.split("::")[0]} & wanted or item.get_closest_marker("torch_suites")
    ]
    config.hook.pytest_deselected(items=[item for item in items if item not in {*kept}])
    items[:] = kept


def _stand_together(items: list[pytest.Item]) -> None:
    """Tests of one run, in whichever file, come one after another: xdist cuts the list, and each worker makes a run."""
    first: dict[str, int] = {}
    places = [
        first.setdefault(mark.args[0], at) if (mark := item.get_closest_marker("run")) else at
        for at, item in enumerate(items)
    ]
    items[:] = [items[at] for at in sorted(range(len(items)), key=places.__getitem__)]


def _note(report: pytest.CollectReport | pytest.TestReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
    if report.skipped and "torch" in reason.lower():
        _skipped.add(report.nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    _note(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    config, absent = session.config, importlib.util.find_spec("torch") is None
    cache = getattr(config, "cache", None)
    if absent and _skipped and not hasattr(config, "workerinput") and cache is not None:
        cache.set(_SKIPPED, sorted(_skipped))
