"""`halfsim why`."""

from __future__ import annotations

import argparse

from halfsim.cli.command import Command
from halfsim.cli.output import Outputs
from halfsim.cli.parser import Parser


def _options(parser: Parser) -> None:
    from halfsim.gallery.languages import LANGUAGES

    parser.add_argument(
        "question", nargs="*", metavar="QUESTION", help="its number, 1 to 9, or words of it; all: every claim, judged"
    )
    parser.add_choice("--lang", "LANG", tuple(LANGUAGES))
    parser.add_outputs("html")


def _run(arguments: argparse.Namespace) -> int:
    from halfsim.document import json_text
    from halfsim.gallery import why

    outputs = Outputs(arguments)
    found = why(" ".join(arguments.question).strip() or None, arguments.lang)
    outputs.give(lambda: str(found), json=lambda: json_text(found.to_dict(), 2), html=found.page)
    return 0


WHY = Command(
    "why",
    "float16 against float32 and bfloat16, and what people ask of it, answered with computed numbers",
    "What float16 is, saves and costs, by format and device; and the questions that people ask of it: what the usual "
    "answers say, whether it is right, and the numbers that show it.",
    ("halfsim why", "halfsim why 6", "halfsim why who is faster", "halfsim why --lang zh --html why.html"),
    _options,
    _run,
    {"question": "QUESTION", "lang": "--lang"},
)
