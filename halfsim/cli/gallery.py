"""`halfsim gallery`."""

from __future__ import annotations

import argparse

from halfsim.cli.command import Command
from halfsim.cli.output import Outputs
from halfsim.cli.parser import Parser


def _options(parser: Parser) -> None:
    from halfsim.gallery.languages import LANGUAGES

    parser.add_argument("name", nargs="?", metavar="NAME", help="run this case, as adam-eps")
    parser.add_argument("--class", dest="klass", metavar="CLASS", help="only cases of this class, as overflow")
    parser.add_argument("--phase", metavar="PHASE", help="only those of forward, backward or optimizer")
    parser.add_argument(
        "--search", metavar="WORDS", help="only those in whose symptom, layer or message the words occur"
    )
    parser.add_choice("--lang", "LANG", tuple(LANGUAGES))
    parser.add_outputs("html")


def _run(arguments: argparse.Namespace) -> int:
    from halfsim import gallery
    from halfsim.document import json_text

    if arguments.html is not None and arguments.name is None:
        raise ValueError("--html: one case makes a page; allowed: with NAME, as halfsim gallery adam-eps")
    outputs = Outputs(arguments)
    if arguments.name is not None:
        shown = gallery.run(arguments.name, arguments.lang)
        outputs.give(lambda: str(shown), json=shown.to_json, html=shown.page)
        return 0
    found = gallery.list(arguments.klass, arguments.phase, arguments.search, arguments.lang)
    outputs.give(lambda: str(found), json=lambda: json_text(found.to_dict(), 2))
    return 0


GALLERY = Command(
    "gallery",
    "precision bugs that were reported, rebuilt: broken beside fixed",
    "List the cases by what one sees of them, or run one: what happened, what should have, the code, the fix, and why.",
    ("halfsim gallery", "halfsim gallery adam-eps", "halfsim gallery --search 'nan mask'"),
    _options,
    _run,
    {"klass": "--class", "phase": "--phase"},
)
