"""`halfsim gallery`."""

from __future__ import annotations

import argparse

from halfsim.cli.command import Command
from halfsim.cli.output import Outputs
from halfsim.cli.parser import Parser

_HINT = "halfsim gallery NAME runs one, --search WORDS finds it by its symptom, --html PATH writes a page of all."


def _options(parser: Parser) -> None:
    from halfsim.gallery.languages import LANGUAGES

    parser.add_argument("name", nargs="?", metavar="NAME", help="run this case, as adam-eps")
    parser.add_argument("--class", dest="klass", metavar="CLASS", help="only cases of this class, as overflow")
    parser.add_argument("--phase", metavar="PHASE", help="only those of forward, backward or optimizer")
    parser.add_argument("--seen", metavar="WHAT", help="only those that show NaN, infinity, zeros, no change, ...")
    parser.add_argument(
        "--search", metavar="WORDS", help="those whose symptom, layer or message has most of these words, best first"
    )
    parser.add_choice("--lang", "LANG", tuple(LANGUAGES))
    parser.add_outputs("html")


def _run(arguments: argparse.Namespace) -> int:
    from halfsim import gallery
    from halfsim.document import json_text
    from halfsim.gallery.words import said
    from halfsim.text import filled

    outputs = Outputs(arguments)
    if arguments.name is not None:
        shown = gallery.run(arguments.name, arguments.lang)
        outputs.give(lambda: str(shown), json=shown.to_json, html=shown.page)
        return 0
    found = gallery.list(arguments.klass, arguments.phase, arguments.search, arguments.lang, arguments.seen)
    hint = said(_HINT, arguments.lang)
    outputs.give(
        lambda: f"{found}\n\n{filled(hint)}",
        json=lambda: json_text(found.to_dict(), 2),
        html=lambda: found.run().page(),
    )
    return 0


GALLERY = Command(
    "gallery",
    "precision bugs that were reported, rebuilt: broken beside fixed",
    "List the cases by what one sees of them, or run one: what happened, what should have, the code, the fix, and why.",
    (
        "halfsim gallery",
        "halfsim gallery adam-eps",
        "halfsim gallery --search 'loss is nan'",
        "halfsim gallery --html all.html",
    ),
    _options,
    _run,
    {"klass": "--class", "phase": "--phase", "seen": "--seen", "gallery.list(search=...)": "--search WORDS"},
)
