"""`halfsim run`."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import Any

from halfsim.cli.command import Command
from halfsim.cli.output import Outputs, aside
from halfsim.cli.parser import Parser
from halfsim.cli.torch_import import simulated
from halfsim.terminal import writer


def _options(parser: Parser) -> None:
    parser.allow_abbrev = False  # what follows the script is its own
    parser.rest = "script"
    parser.add_argument(
        "--precision", metavar="P", help="that of operations for which the script sets none: fp16, amp, ..."
    )
    parser.add_argument("--override", action="store_true", help="let --precision beat the script's own")
    parser.add_argument("--reference", metavar="P", help="measure errors against this precision, as fp64")
    parser.add_argument("--first", metavar="CLASS", help="print only the first trouble of this class, as overflow")
    parser.add_argument(
        "--mend",
        action="store_true",
        help="run the script anew for each fix of its trouble that can be applied to it, and say which mend it",
    )
    told = "write a hash of every result to this file, which `halfsim diff` holds against that of another run"
    parser.add_argument("--fingerprint", metavar="PATH", help=told)
    parser.add_argument("-m", dest="module", action="store_true", help="SCRIPT is the name of a module")
    parser.add_outputs("html")
    parser.add_argument("script", metavar="SCRIPT", nargs="*", help="and its arguments")


def _run(arguments: argparse.Namespace) -> int:
    from halfsim.autograd.policy import as_rule
    from halfsim.diagnose.finding import CLASSES
    from halfsim.diagnose.script_run import check, traced
    from halfsim.diagnose.trace import trace
    from halfsim.numerics.formats import unknown

    script, *rest = arguments.script or [""]
    if not script:
        raise ValueError("SCRIPT is missing; allowed: the path of a script, or -m and the name of a module")
    check(script, arguments.module)
    if arguments.first not in (None, "NaN", *CLASSES):
        raise unknown("--first", arguments.first, CLASSES)
    if arguments.override and arguments.precision is None:
        raise ValueError("--override: needs --precision")
    rule = None if arguments.precision is None else as_rule(arguments.precision)
    if arguments.mend:
        return _mend(arguments, script, rest, rule)
    trace(arguments.reference)  # refuses other words than precisions
    outputs = Outputs(arguments)
    if arguments.fingerprint is not None:
        writer(arguments.fingerprint, "--fingerprint")  # refuses what cannot be written before the work
    with aside() if outputs.prints_json else contextlib.nullcontext():
        recorded, code = traced(
            script, rest, module=arguments.module, rule=rule, override=arguments.override,
            reference=arguments.reference, fingerprint=arguments.fingerprint is not None, around=simulated,
        )  # fmt: skip
    if arguments.fingerprint is not None:
        recorded.fingerprint(arguments.fingerprint)
    report = recorded.report()
    outputs.write(json=report.to_json, html=report.page)
    found = recorded.first(arguments.first) if arguments.first else None
    _tell(str(report) if not arguments.first else str(found or f"{arguments.first}: none"))
    return code


def _mend(arguments: argparse.Namespace, script: str, rest: list[str], rule: Any) -> int:
    from halfsim.diagnose.mend.script import mend_script

    for name in ("override", "reference", "first", "fingerprint"):
        if getattr(arguments, name):
            raise ValueError(f"--mend: not together with --{name}; allowed: --precision, --html, --json")
    outputs = Outputs(arguments)
    with aside() if outputs.prints_json else contextlib.nullcontext():
        found = mend_script(script, rest, module=arguments.module, precision=rule, around=simulated)
    outputs.write(json=found.to_json, html=found.page)
    _tell(str(found))
    return 1 if found.failure else 0


def _tell(story: str) -> None:
    """Our own words, on standard error after those of the script; it may have closed either."""
    for write in (lambda: sys.stdout.flush(), lambda: sys.stderr.write(f"\n{story}\n")):
        with contextlib.suppress(OSError, AttributeError, ValueError):
            write()


RUN = Command(
    "run",
    "run any script that uses halfsim or PyTorch and say what rounding did to it",
    "Like cProfile, for rounding: runs a script under a trace, with its own arguments and exit code. The report "
    "goes to standard error, also where the script fails. With --json alone, standard output holds the JSON and "
    "nothing else, and what the script prints goes to standard error; with a PATH.json it is the script's as ever.",
    (
        "halfsim run --precision fp16 train.py --epochs 3",
        "halfsim run --mend train.py",
        "halfsim run --json train.py > report.json",
        "halfsim run --fingerprint mine.txt train.py",
    ),
    _options,
    _run,
    {"precision": "--precision", "reference": "--reference"},
    "halfsim run [OPTION ...] SCRIPT [ARGUMENT ...]",
)
