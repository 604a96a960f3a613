"""Where what a command says goes: standard output, files, one line of error."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from halfsim.terminal import writer
from halfsim.text import clipped

_LINE = 300  # characters of an error
_WRITTEN = {"json": "JSON", "svg": "Picture", "html": "Page", "report": "Page"}


class Outputs:
    """Where the results of a run go. Files are tried when it is made, before the work; ``ValueError`` if they fail."""

    def __init__(self, arguments: Any) -> None:
        given = {name: path for name in _WRITTEN if (path := getattr(arguments, name, None)) is not None}
        self.prints_json = given.get("json") == "-"
        if self.prints_json:
            del given["json"]
        self.paths = given
        self._write = {name: writer(path, f"--{name}") for name, path in given.items()}

    def write(self, **makers: Callable[[], str]) -> None:
        """Write the files, and the JSON to standard output if it goes there."""
        for name, write in self._write.items():
            write(makers[name]())
        if self.prints_json:
            say(f"{makers['json']().rstrip()}\n")

    def give(self, story: Callable[[], str], **makers: Callable[[], str]) -> None:
        """Write the files; and to standard output the JSON, or else the story and where the files are."""
        self.write(**makers)
        if not self.prints_json:
            say(
                f"{story()}\n" + "".join(f"\n{_WRITTEN[name]} written to {path}\n" for name, path in self.paths.items())
            )


def say(text: str) -> None:
    """Write to standard output; characters that its encoding lacks as escapes, nothing where there is none."""
    stream = sys.stdout
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if stream.closed:  # by a script; what is below it is open still
        with open(1, "wb", closefd=False) as below:
            below.write(text.encode(encoding, "backslashreplace"))
        return
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def flushed(code: int) -> int:
    """``code``, once all is written; ``OSError`` where it cannot be, as on a full disk."""
    with contextlib.suppress(AttributeError, ValueError):  # standard output may be closed
        sys.stdout.flush()
    return code


def drop(stream: Any) -> None:
    """Forget what could not be written to a stream, which Python would try again at its end."""
    with contextlib.suppress(OSError, AttributeError, ValueError):
        stream.flush()
        return
    with contextlib.suppress(OSError, AttributeError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def fail(name: str, line: str, code: int = 2) -> int:
    """Write one line of error, if somebody listens; ``code``."""
    with contextlib.suppress(OSError, AttributeError, ValueError):  # standard error may be closed
        sys.stderr.write(f"{name}: {line}\n")
    return code


def one_line(error: object, words: Mapping[str, str] = MappingProxyType({})) -> str:
    """An error as one line of at most 300 characters, in the command's own ``words`` for the library's arguments."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        place = "" if error.filename is None else f"{clipped(repr(os.fsdecode(error.filename)), 120)}: "
        text = f"{place}{error.strerror.lower()}"
    text = " ".join(text.split())
    name, colon, rest = text.partition(":")
    text = f"{words.get(name, name)}{colon}{rest}"
    got, allowed, what = text.partition("; allowed: ")
    for said in words:
        if "=" in said:
            what = what.replace(said, words[said])
    return clipped(f"{got}{allowed}{what}", _LINE, "start")


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """A context in which standard output goes to standard error, whoever writes it: a script, or what it starts."""
    kept, own = None, False
    with contextlib.suppress(OSError, AttributeError, ValueError):
        sys.stdout.flush()
        own = sys.stdout.fileno() == 1
    with contextlib.suppress(OSError):  # either may be closed
        kept = os.dup(1)
        os.dup2(2, 1)
    try:
        with contextlib.nullcontext() if own else contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        with contextlib.suppress(OSError, AttributeError, ValueError):
            sys.stdout.flush()
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)
