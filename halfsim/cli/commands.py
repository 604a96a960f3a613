"""The table of commands."""

from __future__ import annotations

from halfsim.cli import (
    applications,
    audit,
    bits,
    cost,
    demo,
    devices,
    diff,
    gallery,
    lessons,
    papers,
    remedies,
    reveal,
    run,
    sweep,
    why,
)
from halfsim.cli.parser import Parser

_ALL = (
    demo.DEMO,
    bits.BITS,
    run.RUN,
    diff.DIFF,
    audit.AUDIT,
    devices.DEVICES,
    reveal.REVEAL,
    cost.COST,
    why.WHY,
    gallery.GALLERY,
    applications.APPLICATIONS,
    remedies.REMEDIES,
    papers.PAPERS,
    sweep.SWEEP,
    lessons.LESSONS,
)
COMMANDS = {command.name: command for command in _ALL}


def overview() -> Parser:
    """The parser of ``halfsim`` alone, whose help lists the commands; all it takes is --help and --version."""
    from halfsim import __version__

    examples = [command.examples[0] for command in COMMANDS.values()]
    parser = Parser(
        "halfsim", "What would this computation have done in half precision?", [*examples, "halfsim COMMAND --help"]
    )
    parser.add_argument("--version", action="version", version=f"halfsim {__version__}")
    listed = parser.add_subparsers(title="commands", metavar="COMMAND", prog="halfsim")
    for command in COMMANDS.values():
        listed.add_parser(command.name, help=command.summary)
    return parser
