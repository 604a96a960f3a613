"""One row, where it runs: the function is called, and what comes of it is spelled as the file will have it."""

from __future__ import annotations

import json
import os
import pickle
import platform
import random
import re
import socket
import sys
import time
import traceback
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from halfsim.autograd.random import manual_seed
from halfsim.options import shown
from halfsim.sweeps.code import file_digest, halfsim_version
from halfsim.sweeps.spelling import read, spelled
from halfsim.text import clipped

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+(?=>)")  # in the name that Python gives an object: another in each process
_LONGEST = 300


class Task(NamedTuple):
    """What a row needs where it runs."""

    run: bytes  # the function, pickled
    file: str  # the digest of the function's file; "" where it travels by its value
    config: str
    seed: int


class Answer(NamedTuple):
    """What came of a row: "result" or "error" with its JSON, or "stopped" with why no row can run here."""

    kind: str
    text: str
    duration: float = 0.0
    host: str = ""
    versions: str = ""


def attempt(task: Task) -> Answer:
    """Run one row, whatever it raises."""
    host, versions = here()
    try:
        run = loaded(task.run, task.file)
    except StaleError as stale:
        return Answer("stopped", str(stale))
    start = time.perf_counter()
    try:
        config = read(task.config)
        seeded(task.seed)
        kind, text = "result", spelled(run(**config, seed=task.seed), "result")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit() too is a row that failed
        kind, text = "error", failure(type(error).__name__, _words(error), _line(error))
    return Answer(kind, text, round(time.perf_counter() - start, 6), host, versions)


class StaleError(Exception):
    """The function cannot be had here, or is another than the driver's."""


@lru_cache(maxsize=8)
def loaded(run: bytes, file: str) -> Callable[..., Any]:
    """The function of these bytes; its module is imported once in a process."""
    try:
        function: Callable[..., Any] = pickle.loads(run)
    except Exception as error:
        raise StaleError(f"run: cannot be imported where the rows run: {clipped(_words(error), 160)}") from None
    if file and file_digest(function) != file:
        raise StaleError(
            "run: its file where the rows run is not the driver's; allowed: the same everywhere, while the study runs"
        )
    return function


def seeded(seed: int) -> None:
    """Let the generators of the process, halfsim's, Python's, NumPy's and PyTorch's, begin at the seed of the row."""
    random.seed(seed)
    np.random.seed([seed & 0xFFFFFFFF, seed >> 32])
    manual_seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def failure(kind: str, message: str, where: str = "") -> str:
    """An error as the file has it: the same wherever the row runs."""
    found = {"type": kind, "message": clipped(_ADDRESS.sub("", message), _LONGEST, "start")}
    return json.dumps({**found, "where": where} if where else found, separators=(",", ":"))


def _words(error: BaseException) -> str:
    try:
        return " ".join(str(error).split()) or type(error).__name__
    except Exception:  # an error whose text fails
        return shown(error)


_OURS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")


def _line(error: BaseException) -> str:
    """The last line of the caller's own code that the error went through, as "step, line 41".

    Of a function that travelled by its value nobody knows the file any more.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not f.filename.startswith((_OURS, "<frozen"))]
    return f"{own[-1].name}, line {own[-1].lineno}" if own else ""


@cache
def here() -> tuple[str, str]:
    """The name of this machine, and the versions that run on it, as JSON."""
    versions = {"halfsim": halfsim_version(), "numpy": np.__version__, "python": platform.python_version()}
    return socket.gethostname(), json.dumps(versions, separators=(",", ":"))
