"""`halfsim bits`."""

from __future__ import annotations

import argparse

from halfsim.cli.command import Command
from halfsim.cli.output import Outputs
from halfsim.cli.parser import Parser


def _options(parser: Parser) -> None:
    from halfsim.numerics.explain import MODES

    parser.add_argument("value", metavar="VALUE", nargs="+", help="a number, or one operation, in quotes or not")
    parser.add_argument(
        "--bits", action="store_true", help="integers are bit patterns: 15360, 0x3c00 and 0b11110000000000 are all 1.0"
    )
    parser.add_argument("--format", default="float16", metavar="F", help="default: float16")
    parser.add_choice("--rounding", "MODE", [mode.value for mode in MODES])
    parser.add_outputs("html", "svg")


def _run(arguments: argparse.Namespace) -> int:
    from halfsim.document import json_text
    from halfsim.numerics.explain import explain

    outputs = Outputs(arguments)
    value = " ".join(arguments.value).strip()
    told = explain(value, arguments.format, rounding=arguments.rounding, bits=arguments.bits)
    outputs.give(lambda: str(told), json=lambda: json_text(told.to_dict(), 2), html=told.page, svg=told.svg)
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
    ),
    _options,
    _run,
    {"x": "VALUE", "format": "--format", "rounding": "--rounding", "bits=True": "--bits"},
)
