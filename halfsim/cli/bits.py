"""`halfsim bits`."""

from __future__ import annotations

import argparse
from pathlib import Path

from halfsim.cli.command import Command
from halfsim.cli.output import Outputs, say
from halfsim.cli.parser import Parser
from halfsim.terminal import writer

_PAGE = "bits.html"  # what the page is called that has no other name


def _options(parser: Parser) -> None:
    from halfsim.gallery.languages import LANGUAGES
    from halfsim.numerics.explain import MODES

    parser.add_argument(
        "value",
        metavar="VALUE",
        nargs="*",
        help="a number, or one operation, in quotes or not; in a block format a block",
    )
    parser.add_argument(
        "--bits", action="store_true", help="integers are bit patterns: 15360, 0x3c00 and 0b11110000000000 are all 1.0"
    )
    parser.add_argument("--format", default="float16", metavar="F", help="default: float16")
    parser.add_choice("--rounding", "MODE", [mode.value for mode in MODES])
    parser.add_outputs("html", "svg")
    parser.add_argument(
        "--page", nargs="?", const=_PAGE, metavar="FILE.html",
        help=f"write the bit page, which opens in any browser: click bits, work operations, watch sums; shows VALUE "
        f"first if there is one; default: {_PAGE}; -: to standard output",
    )  # fmt: skip
    parser.add_argument(
        "--lang", metavar="LANG", choices=LANGUAGES, default="",
        help=f"language of that page, one of {', '.join(LANGUAGES)}; default: its reader's",
    )  # fmt: skip


def _run(arguments: argparse.Namespace) -> int:
    value = " ".join(arguments.value).strip()
    if arguments.page is not None:
        return _write_page(arguments, value)
    if arguments.lang:
        raise ValueError("--lang: it is the language of the bit page; allowed: with --page")
    if not value:
        raise ValueError(f"VALUE is missing; as in: {BITS.examples[0]}")
    from halfsim.document import json_text
    from halfsim.numerics.explain import BlockExplanation, Explanation, explain

    outputs = Outputs(arguments)
    told: Explanation | BlockExplanation = explain(
        value, arguments.format, rounding=arguments.rounding, bits=arguments.bits
    )
    if isinstance(told, Explanation):
        pictures = {"svg": told.svg}
    elif arguments.svg is None:
        pictures = {}
    else:
        raise ValueError("--svg: a block has no picture; allowed: --html, --json")
    outputs.give(lambda: str(told), json=lambda: json_text(told.to_dict(), 2), html=told.page, **pictures)
    return 0


def _write_page(arguments: argparse.Namespace, value: str) -> int:
    from halfsim.teach import bits

    for name in ("json", "html", "svg"):
        if getattr(arguments, name) is not None:
            raise ValueError(f"--{name}: the bit page computes in the browser; allowed: without --page")
    begin = bits.start(value, arguments.format, arguments.rounding, arguments.bits)
    if arguments.page == "-":
        say(bits.page(arguments.lang, begin))
        return 0
    write = writer(arguments.page, "--page")
    write(bits.page(arguments.lang, begin))
    say(f"Bit page written to {arguments.page}\nOpen it in a browser: {Path(arguments.page).resolve().as_uri()}\n")
    return 0


BITS = Command(
    "bits",
    "a number or an operation worked by hand: its bits, neighbours, rounding and error",
    "Work a number or one operation by hand: fields, alignment, guard, round and sticky bits, the neighbours, the "
    "decision, the error, the flags.",
    (
        "halfsim bits 0.1",
        "halfsim bits '1 + 0.0004'",
        "halfsim bits 'fma(0.1, 3, -0.3)' --format bfloat16",
        "halfsim bits --bits 0x2e66",
        "halfsim bits '[1, 2.5, 7, 0.1]' --format mxfp4",
        "halfsim bits --page",
    ),
    _options,
    _run,
    {"x": "VALUE", "format": "--format", "rounding": "--rounding", "bits=True": "--bits", "lang": "--lang"},
)
