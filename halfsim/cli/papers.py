"""`halfsim papers`."""

from __future__ import annotations

import argparse

from halfsim.cli.command import Command
from halfsim.cli.output import Outputs, say
from halfsim.cli.parser import Parser, integer


def _options(parser: Parser) -> None:
    from halfsim.gallery.languages import LANGUAGES
    from halfsim.gallery.literature.catalogue import PAPERS as NAMES

    parser.add_argument("name", nargs="?", metavar="NAME", choices=tuple(NAMES), help=f"only one of {', '.join(NAMES)}")
    parser.add_argument("--seeds", type=integer(2, 1000), metavar="N", help="runs of each; default: by paper")
    parser.add_choice("--lang", "LANG", tuple(LANGUAGES))
    parser.add_outputs("html")


def _run(arguments: argparse.Namespace) -> int:
    from halfsim.gallery.literature.catalogue import PAPERS as NAMES
    from halfsim.gallery.literature.catalogue import measured
    from halfsim.gallery.literature.result import Reproduction, Reproductions

    outputs = Outputs(arguments)
    found: list[Reproduction] = []
    for name in [arguments.name] if arguments.name else NAMES:
        if found and not outputs.prints_json:
            say(f"{found[-1]}\n\n\n")  # all take minutes
        found.append(measured(name, arguments.seeds, arguments.lang))
    told = found[0] if arguments.name else Reproductions(found, arguments.lang)
    outputs.give(lambda: str(found[-1]), json=told.to_json, html=told.page)
    return 0


PAPERS = Command(
    "papers",
    "headline results of papers on rounding, measured again here: our number, its spread, the paper's",
    "Five recent results on low precision, each reproduced in up to three minutes: two engines that disagree, biased "
    "flash attention, a short accumulator, rules of block scales, bfloat16 alone.",
    ("halfsim papers hopper", "halfsim papers scales --lang zh --html scales.html"),
    _options,
    _run,
)
