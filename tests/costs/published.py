"""The bill against published measurements: ``python -m tests.costs.published`` prints, ``--write`` writes the page.

Every figure was read in the document that its row names, at the commit of ``READ``; none is from memory.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from halfsim.costs.cost import cost
from halfsim.costs.flops import Work
from halfsim.costs.measure import Pass, between, measured
from halfsim.costs.recipes import RECIPES
from halfsim.costs.roofline import least, total
from halfsim.hardware import device
from tests.costs.models import LAYERS, Bert, resnet50

DOCS = Path(__file__).parents[2] / "docs" / "hardware.md"

SIZES = (2, 3)  # with one example some copies are views

READ = "github.com/NVIDIA/DeepLearningExamples, commit 729963d of 4 April 2024"
RESNET = "PyTorch/Classification/ConvNets/resnet50v1.5/README.md, container 21.03"
BERT = "PyTorch/LanguageModeling/BERT/README.md, container 21.11"
SMALLER = "A100 40 GB"
OLDER = "PyTorch/LanguageModeling/BERT/README.md of July 2020, container 20.06"


@dataclass(frozen=True)
class Row:
    """Examples a second that one GPU was measured at, by a recipe and a batch that is computed at once."""

    model: str
    device: str
    recipe: str
    batch: int
    measured: float
    source: str


# The batch of BERT is that of one pass. The optimizer is left out: there it runs once in hundreds or thousands of them.
ROWS = (
    Row("ResNet-50", "V100", "fp32", 128, 367, RESNET + ", DGX-1 16GB"),
    Row("ResNet-50", "V100", "fp32", 128, 356, RESNET + ", DGX-1 32GB"),
    Row("ResNet-50", "V100", "amp", 256, 1200, RESNET + ", DGX-1 16GB"),
    Row("ResNet-50", "V100", "amp", 256, 1156, RESNET + ", DGX-1 32GB"),
    Row("ResNet-50", "A100", "tf32", 256, 938, RESNET + ", DGX A100 80GB"),
    Row("ResNet-50", "A100", "amp", 256, 2470, RESNET + ", DGX A100 80GB"),
    Row("BERT-large, 128", "V100", "fp32", 8, 40, OLDER + ", DGX-1 32G"),
    Row("BERT-large, 128", "V100", "amp", 16, 158, OLDER + ", DGX-1 32G"),
    Row("BERT-large, 128", "V100", "fp32", 32, 50, BERT + ", DGX-1 32G"),
    Row("BERT-large, 128", "V100", "amp", 64, 224, BERT + ", DGX-1 32G"),
    Row("BERT-large, 128", SMALLER, "tf32", 54, 234, OLDER + ", DGX A100 40GB"),
    Row("BERT-large, 128", SMALLER, "amp", 64, 415, OLDER + ", DGX A100 40GB"),
    Row("BERT-large, 128", "A100", "tf32", 128, 317, BERT + ", DGX A100 80GB"),
    Row("BERT-large, 128", "A100", "amp", 256, 580, BERT + ", DGX A100 80GB"),
    Row("BERT-large, 512", "V100", "fp32", 2, 9, OLDER + ", DGX-1 32G"),
    Row("BERT-large, 512", "V100", "amp", 4, 33, OLDER + ", DGX-1 32G"),
    Row("BERT-large, 512", SMALLER, "tf32", 8, 41, OLDER + ", DGX A100 40GB"),
    Row("BERT-large, 512", SMALLER, "amp", 16, 78, OLDER + ", DGX A100 40GB"),
)


@lru_cache(maxsize=16)
def counted(model: str, recipe: str) -> tuple[Pass, Pass]:
    """What batches of `SIZES` take, by their shapes alone; of BERT with one of its layers."""
    if model == "ResNet-50":
        net, shape = resnet50(), (3, 224, 224)
        batches = [(np.zeros((n, *shape), np.float32), np.zeros(n, np.int64)) for n in SIZES]
        low, high = (measured(net, batch, recipe, True, None, False) for batch in batches)
        return low, high
    length = int(model.split()[-1])
    bert = Bert(length)
    low, high = (measured(bert, (np.zeros((n, length), np.int64), None), recipe, True, None, False) for n in SIZES)
    return low, high


def works(row: Row) -> list[Work]:
    """The kernels of a row's pass, without the optimizer."""
    recipe = "fp32" if row.recipe == "tf32" else row.recipe  # the same kernels, at another rate
    found = between(*counted(row.model, recipe), (row.batch - SIZES[0]) / (SIZES[1] - SIZES[0])).works
    return [each for each in found for _ in range(LAYERS if each.path.startswith("layer") else 1)]


def estimate(row: Row) -> tuple[float, float]:
    """Examples a second by the estimate of time, and by its bound."""
    every, rule, here = works(row), RECIPES[row.recipe], device(row.device)
    return row.batch / total(every, rule, here).seconds, row.batch / least(every, rule, here)


def line(row: Row) -> str:
    """A row of the table."""
    time, bound = estimate(row)
    cells = (row.model, row.device, row.recipe, f"{row.batch}", f"{row.measured:g}", f"{time:,.0f}",
             f"{row.measured / time:.0%}", f"{bound:,.0f}", row.source)  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def table() -> str:
    """The table of measurements."""
    head = ("training of", "on one", "recipe", "batch", "measured", "estimate", "measured is", "at most", "measured by")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *map(line, ROWS)]
    told = "Examples a second: images of 224 x 224, sequences of 128 or 512 tokens"
    return "\n".join(lines) + f"\n\n{told}. Read in {READ};\nrows of July 2020 in that file as it was then.\n"


# The small models of `halfsim cost`: what a training step of 128 examples gains.
DEVICES = ("P100", "V100", "A100", "H100", "MI250X", "Xeon Sapphire Rapids", "Xeon Ice Lake", "Cortex-A76")
COLUMNS = (("transformer", "fp16"), ("transformer", "amp"), ("cnn", "amp"), ("lstm", "amp"), ("mlp", "fp16"),
           ("mlp", "amp"))  # fmt: skip


def gains(name: str) -> str:
    """A row of the table of ratios."""
    bills = {model: cost(model, 128, name).training for model, _ in COLUMNS}
    found = [bills[model]["fp32"].total.seconds / bills[model][recipe].total.seconds for model, recipe in COLUMNS]
    return "| " + " | ".join((name, *(f"{ratio:.2g} x" for ratio in found))) + " |"


def ratios() -> str:
    """The table of ratios."""
    head = ("device", *(f"{model}, {recipe}" for model, recipe in COLUMNS))
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *map(gains, DEVICES)]) + "\n"


BLOCKS = {"<!-- published -->\n": table, "<!-- gains -->\n": ratios}
END = "<!-- end -->\n"


def block(page: str, begin: str) -> str:
    """What the page has between a mark and the next end."""
    return page.split(begin)[1].split(END)[0]


def main() -> None:
    """Print the tables, or write them into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write them into docs/hardware.md")
    write, page = parser.parse_args().write, DOCS.read_text(encoding="utf-8")
    for begin, made in BLOCKS.items():
        if write:
            page = page.replace(begin + block(page, begin) + END, begin + made() + END)
        else:
            print(made())
    if write:
        DOCS.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
