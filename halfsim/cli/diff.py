"""`halfsim diff`."""

from __future__ import annotations

import argparse

from halfsim.cli.command import Command
from halfsim.cli.output import Outputs
from halfsim.cli.parser import Parser


def _options(parser: Parser) -> None:
    told = "a fingerprint of a run, or the text of a log of PyTorch's DebugMode"
    parser.add_argument("a", metavar="A", help=told)
    parser.add_argument("b", metavar="B", help="that of another")
    parser.add_outputs("html")


def _run(arguments: argparse.Namespace) -> int:
    from halfsim.diagnose.fingerprint.compare import compare_fingerprints

    outputs = Outputs(arguments)
    found = compare_fingerprints(arguments.a, arguments.b)
    outputs.give(lambda: str(found), json=found.to_json, html=found.page)
    return 0 if found.equal else 1


DIFF = Command(
    "diff",
    "two runs, on two machines or one: the first operation that differs, and by how many ulp",
    "Compares the fingerprints of two runs, which `halfsim run --fingerprint PATH` or t.fingerprint(PATH) wrote, "
    "operation by operation. Exit code 0 where they are equal, 1 where they differ, 2 for a file that cannot be read.",
    (
        "halfsim diff mine.txt theirs.txt",
        "halfsim diff --json mine.txt theirs.txt > diff.json",
        "halfsim diff torch_log.txt mine.txt",
    ),
    _options,
    _run,
)
