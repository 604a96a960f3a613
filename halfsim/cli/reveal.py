"""`halfsim reveal`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from halfsim.cli.command import Command
from halfsim.cli.output import Outputs
from halfsim.cli.parser import Parser
from halfsim.text import clipped


def _options(parser: Parser) -> None:
    told = "numpy or torch, their product and sum; a device as V100; or module:function, of one array or two"
    parser.add_argument("name", nargs="+", metavar="NAME", help=told)
    parser.add_argument("--length", type=int, default=512, metavar="N", help="terms of a sum; default: 512")
    parser.add_argument("--shape", type=_shape, default=(64, 64), metavar="MxN", help="of a product; default: 64x64")
    parser.add_outputs("html")


def _shape(text: str) -> tuple[int, int]:
    try:
        rows, columns = map(int, text.split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{clipped(repr(text), 60)} is not allowed; allowed: two whole numbers as 64x64"
        ) from None
    return rows, columns


def _run(arguments: argparse.Namespace) -> int:
    from halfsim.diagnose.reveal.result import side_by_side
    from halfsim.diagnose.reveal.reveal import reveal
    from halfsim.document import json_text
    from halfsim.markup import document

    outputs = Outputs(arguments)
    named = _named(" ".join(arguments.name))
    results = {name: reveal(f, arguments.length, shape=arguments.shape) for name, f in named.items()}
    outputs.give(
        lambda: "\n\n".join(f"{name}: {result}" for name, result in results.items()),
        json=lambda: json_text({name: result.to_dict() for name, result in results.items()}, 1),
        html=lambda: document("halfsim: how it adds", side_by_side(results)),
    )
    return 0


def _named(name: str) -> dict[str, Callable[..., Any]]:
    """The functions behind a word."""
    import numpy as np

    if name == "numpy":
        return {"numpy.matmul": np.matmul, "numpy.sum": np.sum}
    if name == "torch":
        try:
            import torch
        except ImportError:
            raise ValueError("name: 'torch' is not installed; allowed: numpy, or torch after "
                             "`pip install halfsim[torch]`") from None  # fmt: skip
        return {"torch.matmul": torch.matmul, "torch.sum": torch.sum}
    if ":" in name:
        from halfsim.sweeps.config import function

        return {name: function(name, Path.cwd())}
    from halfsim.hardware.devices import device
    from halfsim.numerics.formats import unknown

    try:
        return {name: device(name).matmul}
    except ValueError as error:
        if "did you mean" in str(error):
            raise
        raise unknown("name", name, ["numpy", "torch", "a device as V100", "module:function"]) from None


REVEAL = Command(
    "reveal",
    "how does it add? order, accumulator and rounding of a product or a sum, from its outputs alone",
    "The order in which a product of matrices or a sum adds its terms, drawn as a tree; the accumulator's bits and "
    "rounding; what becomes of subnormal numbers; and every described device that gives the same bits.",
    (
        "halfsim reveal numpy",
        "halfsim reveal torch --length 1024 --shape 1x64",
        "halfsim reveal mine:product",
        "halfsim reveal V100",
    ),
    _options,
    _run,
    {"run": "NAME", "name": "NAME", "device": "NAME", "length": "--length", "shape": "--shape"},
)
