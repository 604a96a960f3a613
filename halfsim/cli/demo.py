"""`halfsim demo`."""

from __future__ import annotations

import argparse

from halfsim.cli.command import Command
from halfsim.cli.output import Outputs
from halfsim.cli.parser import Parser, integer, positive


def _options(parser: Parser) -> None:
    from halfsim.demo.training import OPTIMIZERS, RECIPES, Settings

    rates = ", ".join(f"{rate:g} for {name}" for name, rate in OPTIMIZERS.items())
    parser.add_choice("--optimizer", "NAME", tuple(OPTIMIZERS), "sgd")
    parser.add_argument("--lr", type=positive, metavar="RATE", help=f"learning rate; default: {rates}")
    for name, low, high in (("epochs", 1, 10**6), ("hidden", 1, 10**6), ("seed", 0, 2**63)):
        default = getattr(Settings, name)
        kind = integer(low, high)
        parser.add_argument(f"--{name}", type=kind, default=default, metavar="N", help=f"default: {default}")
    parser.add_recipes(tuple(RECIPES), "all four")
    parser.add_outputs("html")


def _run(arguments: argparse.Namespace) -> int:
    from halfsim.data import digits
    from halfsim.demo import report
    from halfsim.demo.page import page
    from halfsim.demo.training import RECIPES, Settings, train
    from halfsim.document import json_text
    from halfsim.terminal import bar

    settings = Settings(arguments.optimizer, arguments.lr, arguments.epochs, arguments.hidden, arguments.seed)
    data = digits()
    names = list(dict.fromkeys(arguments.recipe or RECIPES))
    steps = settings.epochs * -(-len(data.x_train) // settings.batch)
    outputs = Outputs(arguments)
    runs = []
    for i, name in enumerate(names):
        with bar(f"{name} ({i + 1} of {len(names)})", steps) as progress:
            runs.append(train(RECIPES[name], settings, data, progress))
    outputs.give(
        lambda: report.text(runs, settings),
        json=lambda: json_text(report.to_dict(runs, settings), 2),
        html=lambda: page(runs, settings),
    )
    return 0


DEMO = Command(
    "demo",
    "train a real classifier in fp32, fp16, pure fp16 and mixed precision, side by side",
    "Train one small classifier on handwritten digits in four kinds of arithmetic, from the same weights, on the same "
    "batches, and say what went wrong where.",
    ("halfsim demo", "halfsim demo --optimizer adam --html story.html", "halfsim demo --recipe fp16 --lr 0.001 --json"),
    _options,
    _run,
)
