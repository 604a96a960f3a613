"""`halfsim papers`."""

from __future__ import annotations

import argparse

from halfsim.cli.command import Command
from halfsim.cli.output import Outputs
from halfsim.cli.parser import Parser, integer


def _options(parser: Parser) -> None:
    from halfsim.gallery.languages import LANGUAGES
    from halfsim.gallery.literature.catalogue import PAPERS as NAMES

    parser.add_argument("name", nargs="?", metavar="NAME", choices=tuple(NAMES), help=f"only one of {', '.join(NAMES)}")
    parser.add_argument("--seeds", type=integer(2, 1000), metavar="N", help="runs of each; default: by paper")
    parser.add_choice("--lang", "LANG", tuple(LANGUAGES))
    parser.add_outputs("html")


def _run(arguments: argparse.Namespace) -> int:
    from halfsim.gallery.literature.catalogue import papers

    outputs = Outputs(arguments)
    found = papers(arguments.name, seeds=arguments.seeds, lang=arguments.lang)
    outputs.give(lambda: str(found), json=found.to_json, html=found.page)
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
