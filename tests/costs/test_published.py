"""The table of docs/hardware.md that holds the bill against published measurements."""

from __future__ import annotations

import pytest

from halfsim.costs.products import CONVOLUTIONS
from tests.costs.models import Layer, resnet50
from tests.costs.published import BLOCKS, DOCS, ROWS, SIZES, block, counted, estimate, line, ratios, table

PAGE = DOCS.read_text(encoding="utf-8")
QUICK = [row for row in ROWS if (row.model, row.recipe) == ("ResNet-50", "amp")]


def test_models_are_the_published_ones() -> None:
    """Parameters as torchvision and NVIDIA count them; 4.09 G multiplications and additions an image."""
    assert sum(p.size for p in resnet50().parameters()) == 25_557_032
    assert sum(p.size for p in Layer().parameters()) == 12_596_224
    low, _ = counted("ResNet-50", "amp")
    forward = [w for w in low.works if w.product and w.phase == "forward"]
    assert sum(w.flops for w in forward) / SIZES[0] == 2 * 4_089_184_256
    images = sum(w.flops for w in forward if w.op in CONVOLUTIONS and w.path == "0")
    backward = sum(w.flops for w in low.works if w.product and w.phase == "backward")
    assert backward == 2 * sum(w.flops for w in forward) - images, "images take no gradient"


@pytest.mark.parametrize("row", QUICK, ids=lambda row: f"{row.device} {row.measured:g}")
def test_the_table_is_what_is_counted(row: object) -> None:
    assert line(row) + "\n" in PAGE  # type: ignore[arg-type]


def test_no_gpu_beats_the_bound_or_the_estimate() -> None:
    """The bound may not be beaten; the estimate, which is none, is not."""
    for row in QUICK:
        time, bound = estimate(row)
        assert row.measured < bound
        assert 0.5 < row.measured / time < 1
    told = [line.split("|") for line in block(PAGE, next(iter(BLOCKS))).split("\n") if line.startswith("| ")][1:]
    assert len(told) == len(ROWS)
    for row, cells in zip(ROWS, told, strict=True):
        measured, time, share, bound = (cells[i].strip().replace(",", "") for i in (5, 6, 7, 8))
        assert float(measured) == row.measured < float(bound)
        assert 0.45 < row.measured / float(time) < 1
        assert share == f"{row.measured / float(time):.0%}" or abs(float(time)) < 100


def test_the_ratios_are_those_of_the_models() -> None:
    assert block(PAGE, "<!-- gains -->\n") == ratios()


@pytest.mark.slow
def test_the_whole_table() -> None:
    """Last run: all rows as they stand in the page."""
    assert table() in PAGE
