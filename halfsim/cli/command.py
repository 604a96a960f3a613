"""What a command is: a row of the table in `commands`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from halfsim.cli.parser import Parser


@dataclass(frozen=True)
class Command:
    """A command: its name, what it says of itself, the options it takes, and what it does with them.

    ``summary`` is its line in the list of commands; ``examples`` are typed as they stand. ``run`` gives the exit code.
    ``words`` has what this command calls an argument of the library, as "--format" for "format": errors speak of that.
    """

    name: str
    summary: str
    description: str
    examples: tuple[str, ...]
    options: Callable[[Parser], None]
    run: Callable[[argparse.Namespace], int]
    words: Mapping[str, str] = field(default_factory=dict)
    usage: str | None = None
