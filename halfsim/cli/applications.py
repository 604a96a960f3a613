"""`halfsim applications`."""

from __future__ import annotations

import argparse

from halfsim.cli.command import Command
from halfsim.cli.output import Outputs
from halfsim.cli.parser import Parser


def _options(parser: Parser) -> None:
    from halfsim.gallery.languages import LANGUAGES
    from halfsim.gallery.uses.catalogue import APPLICATIONS as NAMES

    parser.add_argument("name", nargs="?", metavar="NAME", choices=tuple(NAMES), help=f"only one of {', '.join(NAMES)}")
    parser.add_choice("--lang", "LANG", tuple(LANGUAGES))
    parser.add_outputs("html")


def _run(arguments: argparse.Namespace) -> int:
    from halfsim.gallery.uses.catalogue import applications

    outputs = Outputs(arguments)
    found = applications(arguments.name, lang=arguments.lang)
    outputs.give(lambda: str(found), json=found.to_json, html=found.page)
    return 0


APPLICATIONS = Command(
    "applications",
    "half precision at work on real data: images, audio, games, tables, trained models, small cores",
    "Filters, spectra, clocks, depth buffers, statistics, trained models and small Arm cores in half precision beside "
    "what is right: how far off, where each breaks, and the smallest fix, measured.",
    ("halfsim applications games", "halfsim applications image --lang zh --html image.html"),
    _options,
    _run,
)
