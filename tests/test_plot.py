"""Pictures by matplotlib, without a display and without pyplot."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.diagnose.runs import trained

pytest.importorskip("matplotlib", reason="matplotlib is not installed (pip install 'halfsim[plot]')")


@pytest.fixture(scope="module")
def sick() -> Any:
    return trained("sgd")


@pytest.fixture(scope="module")
def scaled() -> Any:
    return trained("amp", reference="fp64")


def test_every_picture_is_drawn_on_the_axes_it_returns(
    sick: Any, scaled: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)  # of other tests
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    axes = [
        hs.plot.number_line("fp8_e4m3", -2, 2),
        hs.plot.exponents(sick),
        hs.plot.exponents(scaled.report(), "fp32"),
        hs.plot.exponents(hs.tensor([1.0, 0.0, np.inf], "fp16")),
        hs.plot.exponents([1e-30, 1e30, 3], "bf16"),
        *(
            hs.plot.heatmap(t, what)
            for t in (sick, scaled)
            for what in ("overflow", "flushed", "lost", "gradient_norm")
        ),
        hs.plot.errors(scaled),
        hs.plot.errors(trained("sgd", 2, "fp64").report()),
    ]
    for ax in axes:
        assert isinstance(ax, Axes)
        ax.figure.draw_without_rendering()
    axes[-1].figure.savefig(tmp_path / "a.png", dpi=30)
    own = Figure().add_subplot()
    assert hs.plot.heatmap(sick, ax=own) is own
    rows, values = sick.report().heat("overflow")
    assert all(tick == round(tick) for tick in own.get_xticks()), "there is no half a step"
    assert own.images[0].get_extent() == [0.5, values.shape[1] + 0.5, len(rows) - 0.5, -0.5], "step 1 is around 1"
    assert hs.plot.number_line("fp16", 1, 1.5, ax=own) is own
    assert "matplotlib.pyplot" not in sys.modules


def test_remedies_are_cells_of_their_strength() -> None:
    from halfsim.gallery.matrix.result import Remedies

    good, bad = [(0, 1.0, 0.5), (1, 1.0, 0.5)], [(0, 4.0, 0.5), (1, 4.0, 0.5)]
    found = Remedies({("updates", "none"): good, ("updates", "smaller-lr"): bad, ("updates", "kahan"): good})
    ax = hs.plot.remedies(found)
    ax.figure.draw_without_rendering()
    assert [text.get_text() for text in ax.texts] == ["-75"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["smaller learning rate (/10)", "Kahan summation"]
    assert hs.plot.remedies(found, ax=ax) is ax
    with pytest.raises(TypeError, match="remedies: 'abc' is not allowed; allowed: the Remedies"):
        hs.plot.remedies("abc")


def test_bars_of_exponents_are_shares_of_all_numbers() -> None:
    ax = hs.plot.exponents([1.0, 1.5, 4.0, 0.0, np.inf, np.nan, -1.0, 1e-30], "fp16")
    bars = sorted((bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in ax.patches if bar.get_height() != 1)
    assert [height for _, height in bars] == [12.5, 12.5, 37.5, 12.5, 25.0], "zero, 1e-30, from 1, from 4, not finite"
    assert [at for at, _ in bars][2:4] == pytest.approx([0.5, 2.5])
    low, high = hs.plot.exponents([1.0] * 1999 + [4.0], "fp16").get_ylim()
    assert low < 0.05 < 100 < high, "one in two thousand is seen"


def drawn(ax: Any) -> list[float]:
    """The numbers on a number line."""
    return sorted(float(line[0][0]) for lines in ax.collections for line in lines.get_segments())


@pytest.mark.parametrize(
    ("low", "high"), [(-1.0, 1.0), (0.0, 1e-6), (-3e-7, 2e-7), (2.0, 2.01), (-500.0, -400.0), (65000, 1e6)]
)
def test_a_number_line_has_every_number_once(low: float, high: float) -> None:
    values = np.unique(np.arange(0, 0x7C00, dtype=np.uint16).view(np.float16).astype(float))
    values = np.unique(np.concatenate([values, -values]))
    values = values[(values >= low) & (values <= high)]
    if values.size > 4096:
        with pytest.raises(ValueError, match="allowed: at most 4,096"):
            hs.plot.number_line("fp16", low, high)
        return
    assert drawn(hs.plot.number_line("fp16", low, high)) == values.tolist()


def test_the_tallest_numbers_are_powers_of_two() -> None:
    ax = hs.plot.number_line("fp8_e5m2", 1, 4)
    heights = {float(line[1][0]): float(line[1][1]) for lines in ax.collections for line in lines.get_segments()}
    assert [x for x, y in heights.items() if y == 1.0] == [1.0, 2.0, 4.0]


def test_bars_hold_the_shares_of_the_exponents() -> None:
    ax = hs.plot.exponents([1.0, 1.5, 4.0, 0.0])
    bars = {(round(p.get_x() + p.get_width() / 2, 3), p.get_height()) for p in ax.patches if p.get_height() in (25, 50)}
    zero = dict(zip((word.get_text() for word in ax.get_xticklabels()), ax.get_xticks(), strict=True))
    assert bars == {(0.5, 50), (2.5, 25), (round(min(zero.values()), 3), 25)}
    assert "25 % zero" in ax.get_xlabel()


def test_careless_arguments_get_one_line(sick: Any) -> None:
    with pytest.raises(ValueError, match="what: 'overflw' is not allowed .did you mean 'overflow'"):
        hs.plot.heatmap(sick, "overflw")
    with pytest.raises(ValueError, match="errors: the trace has no reference"):
        hs.plot.errors(sick)
    with pytest.raises(TypeError, match="heatmap: list is not allowed; allowed: a Trace, a Report"):
        hs.plot.heatmap([1.0])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="exponents: str is not allowed"):
        hs.plot.exponents("abc")
    with pytest.raises(TypeError, match="source: masked arrays are not allowed"):
        hs.plot.exponents(np.ma.array([1.0, 2.0], mask=[0, 1]))
    with pytest.raises(ValueError, match="format"):
        hs.plot.exponents([1.0], "fp17")
    for low, high in ((1, 1), (2, 1), (float("nan"), 1), (0, float("inf"))):
        with pytest.raises(ValueError, match="number_line: .* is not allowed; allowed: finite numbers, low < high"):
            hs.plot.number_line("fp16", low, high)
    with pytest.raises(ValueError, match="no number of float16"):
        hs.plot.number_line("fp16", 1.0001, 1.0002)


def test_nothing_can_be_drawn_too() -> None:
    with hs.trace() as t:
        pass
    hs.plot.exponents(t)
    hs.plot.exponents([])
    for what in ("overflow", "lost"):
        assert hs.plot.heatmap(t, what).get_title() == "nothing happened"


def test_without_matplotlib_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None; import halfsim as hs\n"
        "try: hs.plot.number_line('fp16', 0, 1e-6)\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "plot: matplotlib is missing; it comes with: pip install 'halfsim[plot]'\n"


def test_a_notebook_shows_what_is_written_on_the_axes_in_full() -> None:
    """Coordinates are shortened in the page, the numbers that people read are not."""
    ax = hs.plot.number_line("fp16", 0.98, 1.02)
    labels = {text.get_text() for text in ax.get_xticklabels()} if ax.figure.draw_without_rendering() is None else set()
    assert len(labels) > 4
    html = ax._repr_html_()
    assert all(f">{label}<" in html for label in labels)
    assert not re.search(r'="[^"]*\.\d{3}', html)
