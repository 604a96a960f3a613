"""`halfsim cost`."""

from __future__ import annotations

import argparse

from halfsim.cli.command import Command
from halfsim.cli.output import Outputs
from halfsim.cli.parser import Parser, integer


def _options(parser: Parser) -> None:
    from halfsim.costs.cost import OPTIMIZERS
    from halfsim.costs.presets import PRESETS
    from halfsim.costs.recipes import RECIPES

    parser.add_choice("--model", "NAME", tuple(PRESETS), "mlp")
    parser.add_argument("--device", default="A100", metavar="NAME", help="default: A100; see halfsim devices")
    parser.add_argument("--batch", type=integer(1, 10**9), default=128, metavar="N", help="default: 128")
    parser.add_argument("--width", type=integer(1, 16384), metavar="N", help="of the hidden layers")
    parser.add_choice("--optimizer", "NAME", tuple(OPTIMIZERS), "adam")
    parser.add_recipes(tuple(RECIPES), "fp32, fp16, amp")
    parser.add_outputs("html")


def _run(arguments: argparse.Namespace) -> int:
    from halfsim.costs.cost import cost
    from halfsim.document import json_text

    outputs = Outputs(arguments)
    bill = cost(
        arguments.model, arguments.batch, arguments.device, optimizer=arguments.optimizer, width=arguments.width,
        recipes=arguments.recipe or ("fp32", "fp16", "amp"),
    )  # fmt: skip
    outputs.give(lambda: str(bill), json=lambda: json_text(bill.to_dict(), 2), html=bill.page)
    return 0


COST = Command(
    "cost",
    "what half precision buys: memory, time and energy of a model on a device",
    "Bytes of parameters, gradients, optimizer state and activations, roofline time by layer, energy, and the largest "
    "batch that fits, in training and inference, by recipe.",
    ("halfsim cost --model transformer --device A100", "halfsim cost --recipe amp --batch 512 --html bill.html"),
    _options,
    _run,
    {"width": "--width", "device": "--device", "batch": "--batch", "model": "--model", "optimizer": "--optimizer"},
)
