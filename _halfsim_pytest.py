"""halfsim's pytest plugin as every run of pytest loads it: it imports neither NumPy nor halfsim before a test asks.

It stands outside the package because importing a module imports its package first. What a test asks for, by an option,
the marker or a fixture, is in `halfsim.testing.plugin`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

_RUN = pytest.StashKey[Any]()
MARKER = (
    "halfsim(precision=, reference=, no=, allow=): run the test under a precision and a trace; "
    "it fails where the trace has trouble of a class in no"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the command line."""
    group = parser.getgroup("halfsim", "half precision")
    group.addoption(
        "--halfsim-precision", metavar="P", help="run every test under precision P, where it sets none: fp16, bf16, ..."
    )
    group.addoption(
        "--halfsim-trace", action="store_true", help="trace every test; where one fails, show the trace's verdict"
    )
    group.addoption(
        "--halfsim-bits-update", action="store_true", help="write what halfsim_bits is given instead of comparing it"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Lists the marker, and refuses a word that is no precision."""
    config.addinivalue_line("markers", MARKER)
    if config.getoption("--halfsim-precision") is not None:
        from halfsim.testing.plugin import checked

        checked(config)


def _asked(item: pytest.Item) -> bool:
    option = item.config.getoption
    return bool(
        option("--halfsim-precision")
        or option("--halfsim-trace")
        or item.get_closest_marker("halfsim")
        or "halfsim_trace" in getattr(item, "fixturenames", ())
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """The precision is in force from here to the end of the teardown, so that fixtures compute in it too."""
    if _asked(item):
        from halfsim.testing.plugin import Run

        item.stash[_RUN] = Run.of(item)
        item.stash[_RUN].begin()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """The test itself runs under a trace."""
    run = item.stash.get(_RUN, None)
    if run is None:
        return (yield)
    with run.called():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where a test failed its report has the trace's verdict."""
    report = yield
    run = item.stash.get(_RUN, None)
    if run is not None and report.failed:
        report.sections += run.sections()
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """The end of the precision and of the trace."""
    try:
        return (yield)
    finally:
        run = item.stash.get(_RUN, None)
        if run is not None:
            del item.stash[_RUN]
            run.end()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """After ``--halfsim-bits-update``: which files were written."""
    if config.getoption("--halfsim-bits-update"):
        reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
        told = [str(value) for report in reports for name, value in report.user_properties if name == "halfsim_bits"]
        if told:
            terminalreporter.section("halfsim: golden bits written")
            terminalreporter.write("".join(f"{line}\n" for line in sorted({*told})))


@pytest.fixture
def halfsim_trace(request: pytest.FixtureRequest) -> Any:
    """The `halfsim.Trace` of this test, in force from here on: ``halfsim_trace.verdict()``, ``.first("overflow")``."""
    return request.node.stash[_RUN].traced()


@pytest.fixture
def halfsim_bits(request: pytest.FixtureRequest) -> Any:
    """Compares results with the bits that a file keeps: ``halfsim_bits.check({"loss": loss})``."""
    from halfsim.testing.golden import GoldenBits

    return GoldenBits.of(request)
