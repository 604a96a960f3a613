"""Pictures of formats, traces, reports, sweeps and remedies by matplotlib (``pip install 'halfsim[plot]'``).

Every function draws on ``ax``, or on the only axes of a new figure, and returns it; pyplot is not used, so no window
opens and no state is left. A notebook shows the new figure, in the colours of its theme; ``ax.figure.savefig(path)``
writes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from halfsim.autograd.trace import sample
from halfsim.diagnose.report.facts import WHATS, Place
from halfsim.diagnose.report.report import Report
from halfsim.diagnose.report.text import decades
from halfsim.diagnose.trace import Trace
from halfsim.markup import COLOURS
from halfsim.names import public
from halfsim.numerics.codec import decode, encode
from halfsim.numerics.formats import Format, as_format, unknown
from halfsim.numerics.inputs import array_of
from halfsim.numerics.layout import layout
from halfsim.numerics.quantize import Array
from halfsim.options import guarded_names, shown
from halfsim.sweeps.chart import curves
from halfsim.sweeps.results import Results

__all__ = ["errors", "exponents", "heatmap", "number_line", "remedies", "sweep"]

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 4096  # numbers on a line
_BLUE, _ORANGE, _RED, _GREY = (COLOURS[name][0] for name in ("c0", "c1", "bad", "soft"))
_SHADE = "#4a7fe0"  # of cells, more or less of it: seen on light and on dark paper


def _axes(ax: Any, size: tuple[float, float]) -> Axes:
    try:
        from halfsim.axes import axes
    except ImportError:
        raise ModuleNotFoundError("plot: matplotlib is missing; it comes with: pip install 'halfsim[plot]'") from None
    return axes(size) if ax is None else ax


def _report(source: object, name: str) -> Report:
    if isinstance(source, Trace):
        return source.report()
    if not isinstance(source, Report):
        raise TypeError(f"{name}: {type(source).__name__} is not allowed; allowed: a Trace, a Report")
    return source


def number_line(format: object, low: float, high: float, ax: Axes | None = None) -> Axes:
    """All numbers of a format from ``low`` to ``high``: the closer to a power of two, the taller; subnormals orange.

    ``ValueError`` where there are more than 4,096 of them, or none.
    """
    fmt = as_format(format)
    low, high = float(low), float(high)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"number_line: {low:g} to {high:g} is not allowed; allowed: finite numbers, low < high")
    numbers = _numbers(fmt, low, high)
    if not numbers.size:
        raise ValueError(f"number_line: no number of {fmt} is from {low:g} to {high:g}; allowed: a wider range")
    ax = _axes(ax, (8, 1.8))
    bits = _trailing(numbers, fmt)
    heights = 0.25 + 0.75 * (bits / max(fmt.nmant, 1)) ** 0.7
    small = np.abs(numbers) < fmt.smallest_normal
    for mask, colour, label in ((~small, _BLUE, "normal"), (small, _ORANGE, "zero and subnormal")):
        if mask.any():
            ax.vlines(numbers[mask], 0, heights[mask], color=colour, linewidth=1, label=label)
    ax.axhline(0, color=_GREY, linewidth=1)
    ax.set(xlim=(low, high), ylim=(-0.02, 1.1), yticks=[], xlabel=f"{numbers.size:,} numbers of {fmt}")
    ax.set_title(f"{fmt} from {low:g} to {high:g}", fontsize="medium", loc="left")
    ax.spines[["left", "right", "top"]].set_visible(False)
    if small.any() and not small.all():
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, ncols=2)
    return ax


def _numbers(fmt: Format, low: float, high: float) -> Array:
    """The numbers of a format in a range; one zero."""
    parts = []
    for sign, a, b in ((-1.0, max(-high, 0.0), -low), (1.0, max(low, 0.0), high)):
        if b < a or (sign < 0 and (b == 0 or not fmt.signed)):
            continue
        a = max(a, fmt.smallest_subnormal) if fmt.zero_field == "normal" else a
        first = int(layout(fmt).parts(int(encode([a], fmt, "upward", overflow="saturate")[0]))[0])
        last = int(encode([min(b, fmt.max)], fmt, "toward_zero")[0])
        if last - first >= _MOST:
            count = f"{last - first + 1:,} numbers of {fmt}"
            raise ValueError(f"number_line: {count} are from {low:g} to {high:g}; allowed: at most {_MOST:,}")
        values = sign * np.unique(decode(np.arange(first, last + 1, dtype=np.uint64), fmt))
        parts.append(values[(values >= low) & (values <= high) & ((values != 0) | (sign > 0) | (high < 0))])
    return np.sort(np.concatenate(parts)) if parts else np.zeros(0)


def _trailing(numbers: Array, fmt: Format) -> Array:
    """How many of the last bits of the significands are zero."""
    codes = encode(np.abs(numbers), fmt).astype(np.int64)
    lowest = np.where(codes, codes & -codes, 1 << fmt.nmant)
    return np.minimum(np.log2(lowest), fmt.nmant)


def exponents(source: object, format: object = None, ax: Axes | None = None) -> Axes:
    """How many numbers have which exponent, against a format's range (shaded: subnormal, and what lies outside).

    The shares stand on a logarithmic axis, so that a few numbers are seen beside many.

    ``source`` is a Trace or a Report (the place that its verdict names, else all that was computed in the format), or
    an array-like, a Tensor too. ``format`` is the range to compare with; by default the source's own, float16 for an
    array.
    """
    counts, fmt, title = _counted(source, None if format is None else as_format(format))
    ax = _axes(ax, (7, 3))
    numbers = {e: n for e, n in counts.items() if -127 < e < 128}
    whole = max(sum(counts.values()), 1)
    low, high = min([fmt.lowest, *numbers]) - 3, max([fmt.emax, *numbers]) + 4
    if high - low > 80 and numbers:
        low, high = min(numbers) - 4, max(numbers) + 5
    bottom, top = fmt.lowest, fmt.emax + 1
    spans = [(low, bottom, _RED, "outside the range"), (bottom, fmt.emin, _ORANGE, "subnormal"), (top, high, _RED, "")]
    for a, b, colour, label in spans:
        if max(a, low) < min(b, high):
            ax.axvspan(max(a, low), min(b, high), color=colour, alpha=0.12, linewidth=0, label=label or None)
    at = np.array(sorted(numbers), np.int64)
    ax.bar(at + 0.5, [100 * numbers[e] / whole for e in at.tolist()], width=0.9, color=_BLUE)
    wide = (high - low) / 16  # of the bars beside the range
    ends = {-127: (low - wide, "0", _GREY), 128: (high + wide, "inf, NaN", _RED)}
    for e, (x, _, colour) in ends.items():
        if counts.get(e):
            ax.bar(x, 100 * counts[e] / whole, width=0.9 * wide, color=colour)
    steps = [e for e in range(low, high) if e % (8 if high - low > 24 else 4) == 0]
    named = [(e + 0.5, str(e)) for e in steps] + [(x, word) for x, word, _ in ends.values()]
    ax.set_xticks([x for x, _ in named], [word for _, word in named])
    beside = [
        f"{100 * counts[e] / whole:.3g} % {name}"
        for e, name in ((-127, "zero"), (128, "infinite or NaN"))
        if counts.get(e)
    ]
    ax.set(
        xlim=(low - 1.6 * wide, high + 1.6 * wide),
        ylabel="% of the values (logarithmic)",
        xlabel=f"exponent, range of {fmt}" + "".join(f"; {b}" for b in beside),
    )
    if counts:
        ax.set(yscale="log", ylim=(10.0 ** (decades([n / whole for n in counts.values()])[0] + 2), 200))
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_title(title, fontsize="medium")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize="small")
    return ax


def _counted(source: object, fmt: Format | None) -> tuple[dict[int, int], Format, str]:
    if isinstance(source, (Trace, Report)):
        report = _report(source, "exponents")
        places = [p for p in report.places if p.exponents and report.accused(p) and fmt in (None, p.format)]
        places = places or [p for p in report.places if p.exponents and fmt in (None, p.format)]
        fmt = fmt or (places[0].format if places else as_format("float16"))
        places = [p for p in places if p.format == fmt]
        label = f"{places[0].phase}, {places[0].name}" if len(places) == 1 else f"all results in {fmt}"
        return _sum(places), fmt, label
    values = array_of(getattr(source, "array", source) if not isinstance(source, np.ndarray) else source, "source")
    if values.dtype.kind not in "fiu":
        raise TypeError(f"exponents: {type(source).__name__} is not allowed; allowed: a Trace, a Report, an array")
    with np.errstate(over="ignore"):  # which are counted as infinite
        found = sample.exponents(np.atleast_1d(values.astype(np.float32))).tolist()
    return {b - 127: n for b, n in enumerate(found) if n}, fmt or as_format("float16"), f"{values.size:,} values"


def _sum(places: Iterable[Place]) -> dict[int, int]:
    total: dict[int, int] = {}
    for place in places:
        for e, n in place.exponents.items():
            total[e] = total.get(e, 0) + n
    return total


_LABELS = {
    "overflow": "values that became infinite or NaN",
    "flushed": "share of results that became zero",
    "lost": "share of updates that moved no weight",
    "gradient_norm": "norm of the parameter gradients",
}


def heatmap(source: Trace | Report, what: str = "overflow", ax: Axes | None = None) -> Axes:
    """Modules by steps: "overflow", "flushed", "lost" or "gradient_norm", see `Report.heat`."""
    if what not in WHATS:
        raise unknown("what", what, WHATS)
    report = _report(source, "heatmap")
    rows, values = report.heat(what)
    ax = _axes(ax, (7, 0.8 + 0.25 * max(len(rows), 2)))
    from matplotlib.colors import LinearSegmentedColormap, LogNorm
    from matplotlib.ticker import MaxNLocator

    finite = values[np.isfinite(values) & (values > 0)]
    log = what in ("overflow", "gradient_norm") and np.unique(finite).size > 1
    scale: dict[str, Any] = {"norm": LogNorm(finite.min(), finite.max())} if log else {}
    if what in ("flushed", "lost"):
        scale = {"vmin": 0.0, "vmax": 1.0}
    edge = (report.start - 0.5, report.start + report.columns * report.stride - 0.5, len(rows) - 0.5, -0.5)
    ax.set_xlabel("step")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if not rows or not report.columns:
        ax.set_title("nothing happened", fontsize="medium")
        return ax
    masked = np.ma.masked_where(~np.isfinite(values) | (log & ~(values > 0)), values)
    shades = LinearSegmentedColormap.from_list("halfsim", [(0, f"{_SHADE}20"), (1, f"{_SHADE}ff")], N=32)
    image = ax.imshow(masked, aspect="auto", interpolation="nearest", extent=edge, cmap=shades, **scale)
    ax.set_title(_LABELS[what], fontsize="medium")
    for i, j in np.argwhere(np.isinf(values)):
        x = report.start - 0.5 + j * report.stride
        ax.fill_between([x, x + report.stride], i - 0.5, i + 0.5, color=_RED, linewidth=0)
    ax.set_yticks(range(len(rows)), [row.name for row in rows])
    ax.figure.colorbar(image, ax=ax, label=_LABELS[what])
    return ax


def errors(source: Trace | Report, ax: Axes | None = None) -> Axes:
    """How the relative error grows along the graph: made by each operation, and come together so far.

    ``ValueError`` for a trace without a reference.
    """
    report = _report(source, "errors")
    places = [p for p in report.places if p.total is not None]
    if not places:
        raise ValueError("errors: the trace has no reference; allowed: that of hs.trace(reference='fp64')")
    ax = _axes(ax, (8, 3.5))
    made = np.array([p.local.relative if p.local else np.nan for p in places])
    total = np.array([p.total.relative if p.total else np.nan for p in places])
    at = np.arange(len(places))
    for values, colour, label in ((made, _ORANGE, "made by the operation"), (total, _BLUE, "come together so far")):
        shown = np.isfinite(values) & (values > 0)
        ax.plot(at[shown], values[shown], "o", color=colour, markersize=4, label=label)
    broken = at[np.isinf(total)]
    if ((total > 0) & np.isfinite(total)).any() or (made > 0).any():
        ax.set_yscale("log")
    if broken.size:
        ax.plot(broken, np.ones(broken.size), "x", color=_RED, label="one of the two is not finite")
    for i in [i for i in at.tolist() if i == 0 or places[i].phase != places[i - 1].phase]:
        ax.axvline(i - 0.5, color=_GREY, linewidth=0.8)
        ax.text(i - 0.4, 1.01, places[i].phase, transform=ax.get_xaxis_transform(), fontsize="small")
    if len(places) <= 30:
        ax.set_xticks(at, [p.name for p in places], rotation=60, ha="right", fontsize="small")
    ax.set_title("relative error along the graph", fontsize="medium", pad=18)
    ax.set(ylabel=f"relative error against {report.reference}", xlim=(-0.5, len(places) - 0.5))
    ax.legend(frameon=False)
    return ax


def sweep(
    source: Results, x: str | None = None, of: str | None = None, by: str | None = None, ax: Axes | None = None
) -> Axes:
    """A number of the results along one name of the configuration: means over the other rows, bars of their spread.

    ``x`` is that name, by default the first with several values; ``of`` the number, by default the first of the
    results; each value of ``by`` gets a line of its own. Numbers of ``x`` stand where they are, words side by side.
    Bars are one standard deviation to either side; means that are not finite are left out. ``ValueError`` for a name
    that is not there.
    """
    if not isinstance(source, Results):
        raise TypeError(f"sweep: {shown(source)} is not allowed; allowed: the Results of hs.sweep or hs.sweeps.results")
    axes = source.axes
    x = next((name for name, values in axes.items() if len(values) > 1), next(iter(axes), "")) if x is None else x
    for name in (x, *([] if by is None else [by])):
        if name not in axes:
            raise unknown("x" if name == x else "by", name, axes)
    of, told = curves(source, x, of, None if by == x else by)
    ax = _axes(ax, (7, 3.5))
    values = axes[x]
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) and np.isfinite(v) for v in values)
    places = values if numbers else range(len(values))
    for curve in told:
        at, label = [places[i] for i in curve.at], curve.label and f"{by} = {curve.label}"
        ax.errorbar(at, curve.means, curve.spreads, marker="o", markersize=4, capsize=3, label=label or None)
    if not numbers:
        ax.set_xticks(range(len(values)), [str(value) for value in values])
    ax.set_title(f"{of} along {x}", fontsize="medium")
    ax.set(xlabel=x, ylabel=of)
    if any(curve.label for curve in told):
        ax.legend(frameon=False, fontsize="small")
    return ax


def remedies(source: Any, ax: Axes | None = None) -> Axes:
    """Remedies by problems as a heat map: blue where one helps, red where it harms, blank where it does nothing.

    ``source`` is what `halfsim.gallery.remedies` gives. A cell has the share of the trouble that is gone, or negative
    what part of the larger trouble is new. Titles are in the language of the result; Chinese needs a font that has it.
    """
    if not hasattr(source, "strengths"):
        raise TypeError(f"remedies: {shown(source)} is not allowed; allowed: the Remedies of hs.gallery.remedies")
    rows, heads, values = source.strengths()
    ax = _axes(ax, (1.5 + 0.75 * len(heads), 1.2 + 0.3 * len(rows)))
    for i, row in enumerate(values):
        for j, strength in enumerate(row):
            if strength:
                colour, shade = (_SHADE if strength > 0 else _RED), 0.15 + 0.7 * abs(strength)
                ax.fill_between([j - 0.5, j + 0.5], i - 0.5, i + 0.5, color=colour, alpha=shade, linewidth=0)
                ax.text(j, i, f"{100 * strength:+.0f}", ha="center", va="center", fontsize="small")
    ax.set(xlim=(-0.5, len(heads) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    ax.set_xticks(range(len(heads)), heads, rotation=45, ha="right")
    ax.set_yticks(range(len(rows)), rows)
    ax.set_title("% of the trouble gone (blue) or added (red)", fontsize="medium")
    return ax


guarded_names(globals(), __all__)
public(__name__)
