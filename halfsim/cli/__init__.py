"""The command line: `halfsim` and `python -m halfsim`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from halfsim.cli.command import Command
from halfsim.cli.commands import COMMANDS, overview
from halfsim.cli.output import drop, fail, flushed, one_line, say
from halfsim.cli.parser import Parser

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code: 0, 2 for a wrong argument or an unwritable file, 130 when interrupted.

    `halfsim run` gives that of its script. An error is one line on standard error.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    command = COMMANDS.get(words[0].rstrip("\r\n")) if words else None
    name = f"halfsim {command.name}" if command else "halfsim"
    try:
        return flushed(_run(command, words, name))
    except BrokenPipeError:  # whoever read us has had enough
        drop(sys.stdout)
        return 0
    except (ValueError, OSError, OverflowError) as error:
        drop(sys.stdout)
        return fail(name, one_line(error, command.words if command else {}))
    except MemoryError as error:
        return fail(name, f"not enough memory: {one_line(error)}")
    except KeyboardInterrupt:
        return fail(name, "interrupted", 130)


def _run(command: Command | None, words: list[str], name: str) -> int:
    if command is None:
        top = overview()
        if words:
            top.parse_args(words[:1])
        say(top.format_help())
        return 0
    parser = Parser(name, command.description, command.examples, command.usage)
    command.options(parser)
    return command.run(parser.parse_args(words[1:]))
