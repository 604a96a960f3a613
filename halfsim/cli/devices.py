"""`halfsim devices`."""

from __future__ import annotations

import argparse

from halfsim.cli.command import Command
from halfsim.cli.output import Outputs
from halfsim.cli.parser import Parser


def _options(parser: Parser) -> None:
    parser.add_argument("name", nargs="*", metavar="NAME", help="only this one, as A100 or RTX 4090")
    parser.add_argument("--sources", action="store_true", help="every figure with the document that states it")
    parser.add_outputs()


def _run(arguments: argparse.Namespace) -> int:
    from halfsim.document import json_text
    from halfsim.hardware.devices import Catalogue, device, devices

    outputs = Outputs(arguments)
    found = device(" ".join(arguments.name).strip()) if arguments.name else devices()
    listed = found if isinstance(found, Catalogue) else Catalogue([found])
    outputs.give(
        lambda: listed.sources() if arguments.sources else str(found), json=lambda: json_text(found.to_dict(), 2)
    )
    return 0


DEVICES = Command(
    "devices",
    "processors: what each does in half precision, how it rounds, its peak rates, and how far that is known",
    "What each device does in half precision, with peak rates, bandwidth and memory; of one by its name also how it "
    "rounds, flushes and accumulates, and the sources.",
    ("halfsim devices", "halfsim devices A100", "halfsim devices 'RTX 4090' --json", "halfsim devices --sources"),
    _options,
    _run,
)
