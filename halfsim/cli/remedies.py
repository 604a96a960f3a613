"""`halfsim remedies`."""

from __future__ import annotations

import argparse
import contextlib

from halfsim.cli.command import Command
from halfsim.cli.output import Outputs, aside
from halfsim.cli.parser import Parser, integer


def _options(parser: Parser) -> None:
    from halfsim.gallery.languages import LANGUAGES
    from halfsim.gallery.matrix.cures import CURES
    from halfsim.gallery.matrix.problems import PROBLEMS

    for name, choices in (("problem", PROBLEMS), ("remedy", CURES)):
        told = f"only this one of {', '.join(choices)}; may be repeated; default: all"
        parser.add_argument(f"--{name}", action="append", metavar="NAME", choices=tuple(choices), help=told)
    parser.add_argument("--seeds", type=integer(2, 10**6), default=5, metavar="N", help="runs of each cell; default: 5")
    parser.add_argument("--steps", type=integer(2, 10**6), metavar="N", help="of each run; default: by problem")
    parser.add_argument("--executor", metavar="E", help="serial, local:2, dask:ADDRESS or mpi; default: all processors")
    parser.add_argument(
        "--out", metavar="PATH", default="remedies.jsonl", help="where runs are kept; default: %(default)s"
    )
    parser.add_argument("--fresh", action="store_true", help="begin that file anew")
    parser.add_argument("--retry-failed", action="store_true", help="run those runs again that failed")
    parser.add_choice("--lang", "LANG", tuple(LANGUAGES))
    parser.add_outputs("html")


def _run(arguments: argparse.Namespace) -> int:
    from halfsim.gallery import remedies

    outputs = Outputs(arguments)
    try:
        with aside() if outputs.prints_json else contextlib.nullcontext():
            found = remedies(
                arguments.problem, arguments.remedy, seeds=arguments.seeds, executor=arguments.executor,
                out=arguments.out, lang=arguments.lang, steps=arguments.steps, fresh=arguments.fresh,
                retry_failed=arguments.retry_failed,
            )  # fmt: skip
    except (RuntimeError, TypeError, ImportError) as error:
        raise ValueError(str(error)) from None
    outputs.give(lambda: str(found), json=found.to_json, html=found.page)
    return 0


REMEDIES = Command(
    "remedies",
    "what is said to help against the problems of half precision, measured: helps, does nothing, harms",
    "Problems of training in half precision against remedies: each cell is a few small seeded runs on handwritten "
    "digits beside the same without the remedy. Runs are kept in a file; the same command goes on where it stopped.",
    (
        "halfsim remedies",
        "halfsim remedies --problem updates --remedy smaller-lr --remedy larger-lr",
        "halfsim remedies --executor local:2 --html remedies.html",
        "halfsim remedies --lang zh",
    ),
    _options,
    _run,
    {"fresh=True": "--fresh", "retry_failed=True": "--retry-failed"},
)
