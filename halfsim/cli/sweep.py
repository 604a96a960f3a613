"""`halfsim sweep`."""

from __future__ import annotations

import argparse
import contextlib
import os

from halfsim.cli.command import Command
from halfsim.cli.output import Outputs, aside
from halfsim.cli.parser import Parser
from halfsim.text import clipped


def _options(parser: Parser) -> None:
    parser.add_argument("config", metavar="CONFIG.toml", help="run, grid, and what else hs.sweep takes")
    parser.add_argument("--executor", metavar="E", help="serial, local:4, dask:ADDRESS or mpi, instead of the file's")
    parser.add_argument("--out", metavar="PATH", help="the results file, instead of the file's")
    parser.add_argument("--fresh", action="store_true", help="begin the results file anew")
    parser.add_argument("--retry-failed", action="store_true", help="run those rows again that failed")
    parser.add_argument("--status", action="store_true", help="run nothing: say how far it is")
    parser.add_argument("--report", metavar="PATH", help="write a page with a table that sorts, and plots")
    parser.add_outputs()


def _run(arguments: argparse.Namespace) -> int:
    outputs = Outputs(arguments)
    try:
        return _did(arguments, outputs)
    except (RuntimeError, TypeError, ImportError) as error:
        raise ValueError(str(error)) from None


def _did(arguments: argparse.Namespace, outputs: Outputs) -> int:
    from halfsim.document import json_text
    from halfsim.sweeps.config import study

    asked = study(arguments.config).with_(arguments.out, arguments.executor)
    for option, path in outputs.paths.items():
        for kept in (asked.out, arguments.config):
            if os.path.realpath(path) == os.path.realpath(kept):
                raise ValueError(
                    f"--{option}: {clipped(repr(path), 120)} is the study's own file; allowed: the path of another file"
                )
    if arguments.status:
        words, facts = asked.status()
        outputs.give(lambda: words, json=lambda: json_text(facts, 2), report=lambda: asked.results().page())
        return 0
    with aside() if outputs.prints_json else contextlib.nullcontext():
        found = asked.start(arguments.fresh, arguments.retry_failed)
    outputs.give(lambda: str(found), json=found.to_json, report=found.page)
    return 1 if found.failed else 0


SWEEP = Command(
    "sweep",
    "run every combination of a grid, on many processes or a cluster, and go on where it stopped",
    "Run a function for every combination of a grid with every seed. Each result is a line of a file as soon as it is "
    "there; the same command goes on where it stopped. The exit code is 1 where rows failed.",
    (
        "halfsim sweep study.toml",
        "halfsim sweep study.toml --executor dask:tcp://10.0.0.1:8786",
        "halfsim sweep study.toml --status",
        "halfsim sweep study.toml --report study.html",
    ),
    _options,
    _run,
    {"fresh=True": "--fresh"},
)
