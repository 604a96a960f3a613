"""The command called in this process, as a shell sees it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from halfsim.cli import main


def called(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, output and errors of `halfsim` with ``arguments``."""
    try:
        code = main(list(arguments))
    except SystemExit as stop:
        code = int(str(stop.code or 0))
    return code, *capsys.readouterr()


def refusal(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which `halfsim` refuses ``arguments``; nothing else is printed, and the exit code is 2."""
    code, out, err = called(arguments, capsys)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    return err
