"""`halfsim audit`."""

from __future__ import annotations

import argparse
import warnings
from typing import Any

from halfsim.cli.command import Command
from halfsim.cli.output import Outputs, fail
from halfsim.cli.parser import Parser, integer, positive


def _options(parser: Parser) -> None:
    parser.add_argument("model", metavar="MODEL.onnx", help="the model")
    parser.add_argument(
        "--inputs", metavar="X.npz", help="arrays by the inputs' names; with one axis more they are samples along it"
    )
    parser.add_argument("--target", default="fp16", metavar="P", help="fp16 (the default), bf16, ...")
    parser.add_argument("--device", metavar="NAME", help="estimate time there; see halfsim devices")
    parser.add_argument("--samples", type=integer(1, 10**9), metavar="N", help="so many samples at most")
    parser.add_argument(
        "--tolerance", type=positive, metavar="X",
        help="how far an output may be off, as a share of its norm; default: 0.05, or 8 eps of the target if more",
    )  # fmt: skip
    parser.add_outputs("html")
    parser.add_argument("--save", metavar="MIXED.onnx", help="write the model in mixed precision")


def _run(arguments: argparse.Namespace) -> int:
    from halfsim.terminal import writer

    outputs = Outputs(arguments)
    if arguments.save is not None:
        writer(arguments.save, "--save")  # which says at once where it cannot be written
    try:
        found = _audit(arguments)
    except (TypeError, ImportError, NotImplementedError) as error:  # of the file and its inputs, not of the call
        raise ValueError(str(error)) from error
    refused = None
    if arguments.save is not None and found.found:
        try:
            found.save(arguments.save)
        except ValueError as error:  # of onnxruntime: what was found is told all the same
            refused = error
    saved = f"\n\nModel written to {arguments.save}" if arguments.save is not None and found.found else ""
    outputs.give(lambda: f"{found}{'' if refused else saved}", json=found.to_json, html=found.page)
    if refused is not None:
        raise refused
    return 0 if found.found else 1


def _audit(arguments: argparse.Namespace) -> Any:
    from halfsim.onnx.conversion.audited import audit

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        found = audit(
            arguments.model, arguments.inputs, arguments.target, arguments.device, arguments.samples,
            tolerance=arguments.tolerance,
        )  # fmt: skip
    for warning in told:
        fail("halfsim audit", str(warning.message), 0)
    return found


AUDIT = Command(
    "audit",
    "what half precision does to an ONNX model, and what of it must stay in float32",
    "Says what conversion does to every weight, what every node does on your data, and which tensors and nodes must "
    "stay in float32 for the outputs to hold; writes the model in mixed precision. Exit code 1 where no such set was "
    "found.",
    (
        "halfsim audit model.onnx --inputs x.npz",
        "halfsim audit model.onnx --inputs x.npz --device A100 --save mixed.onnx --html audit.html",
    ),
    _options,
    _run,
    {
        "model": "MODEL.onnx", "inputs": "--inputs", "feeds": "--inputs", "target": "--target", "device": "--device",
        "samples": "--samples", "tolerance": "--tolerance",
    },
)  # fmt: skip
