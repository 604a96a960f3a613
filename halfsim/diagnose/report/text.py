"""A report as plain text that fits its terminal: verdict, table, evidence, advice."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from halfsim.diagnose.finding import Finding
from halfsim.diagnose.report.facts import Facts, Place, infinite
from halfsim.markup import Figure
from halfsim.numerics.formats import Format
from halfsim.text import clipped, columns, counted, filled, percent, short, width

_BRIEF = 8  # places that a card shows
_PLACES = 12  # in the table
_OTHERS = 8  # findings beside the verdict
_BAR = 40  # characters of a bar, at most
LEFT_OUT = "Left out on purpose, by a mask, a maximum or a choice of elements: no trouble"
_ROWS = 14  # of a histogram, at most


def story(report: Facts) -> str:
    """The whole text."""
    later = "\n" + filled("What follows was computed until then.")
    raised = "" if report.raised is None else filled(f"{report.raised}.") + later
    if not report.places:
        empty = filled("halfsim report: nothing was computed while the trace was open.")
        return empty if report.raised is None else f"{empty}\n\n{filled(f'{report.raised}.')}"
    parts = [
        _title(report), raised, _verdict(report), _left_out(report), _table(report), _evidence(report), _advice(report),
    ]  # fmt: skip
    return "\n\n".join(filter(None, parts))


def brief(report: Facts) -> list[tuple[str, Any]]:
    """What a notebook shows of a trace: its verdict, and the places that matter most."""
    if not report.places:
        return [("", "Nothing was computed while the trace was open.")]
    v, worst = report.verdict, report.worst
    told = "No simulated rounding changed a number." if v is None else f"{v.klass}: {sentence(v)}."
    fix = [] if v is None else [("", f"What helps: {v.fixes[0] if v.fixes else v.fix}.")]
    error = any(place.total is not None for place in worst)
    shown = [cells(place, error) for place in worst[:_BRIEF]]
    rows = [heading(error), *((*row[:2], *(Figure(cell, None) for cell in row[2:])) for row in shown)]
    more = f"and {counted(len(worst) - _BRIEF, 'place')} more; " if len(worst) > _BRIEF else ""
    return [("", title(report)), ("Verdict", told), *fix, ("", rows), ("", f"{more}report() has all of it.")]


def summary(report: Facts) -> list[tuple[str, str]]:
    """The numbers that matter most, and what they count."""
    c, back = report.count(), report.count("backward")
    facts = [
        ("steps", f"{report.steps:,}"),
        ("values", short(c.size)),
        ("became NaN", short(c.invalid)),
        ("became infinite", short(infinite(c))),
    ]
    if c.clipped:
        facts.append(("were clipped", short(c.clipped)))
    if back.nonzero:
        facts.append(("of gradients became zero", percent(back.flushed, back.nonzero)))
    if c.updates:
        facts.append(("of updates moved no weight", percent(c.lost, c.updates)))
    if report.scales:
        facts.append(("steps skipped by the scaler", short(sum(skipped for _, _, skipped in report.scales))))
    return facts


def title(report: Facts) -> str:
    """What was traced, in one line."""
    counts = {"step": report.steps, "place": len(report.places), "value": report.count().size}
    words = ", ".join(f"{n:,} {word}{'s' * (n != 1)}" for word, n in counts.items())
    return words + (f", against {report.reference}" if report.reference else "")


def _title(report: Facts) -> str:
    return filled(f"halfsim report: {title(report)}")


def _verdict(report: Facts) -> str:
    v = report.verdict
    if v is None:
        return "Verdict\n" + filled("No simulated rounding changed a number.", "  ")
    told = sentence(v)
    lines = [f"Verdict: {v.klass}", filled(f"{told[:1].upper()}{told[1:]}.", "  ")]
    others = report.others
    if others:
        lines.append("  Other trouble, gravest first:")
        lines += [filled(f"{f.klass}: {sentence(f)}", "  - ") for f in others[:_OTHERS]]
    if len(others) > _OTHERS:
        lines.append(f"  and {len(others) - _OTHERS:,} more, see to_html")
    return "\n".join(lines)


def sentence(f: Finding) -> str:
    """Where, and what."""
    return f"{f.located}: {f.message}"


def _left_out(report: Facts) -> str:
    if not report.left_out:
        return ""
    lines = [filled(sentence(f), "  - ") for f in report.left_out[:_OTHERS]]
    if len(report.left_out) > _OTHERS:
        lines.append(f"  and {len(report.left_out) - _OTHERS:,} more")
    return "\n".join([filled(LEFT_OUT), *lines])


def _table(report: Facts) -> str:
    worst = report.worst
    error = any(place.total is not None for place in worst)
    rows = _spare([heading(error), *(cells(place, error) for place in worst[:_PLACES])], width() - 2)
    text = filled("Places, gravest first" + (" (error: relative in norm, come together so far)" if error else ""))
    text += "\n" + textwrap.indent(columns(rows, left=2, room=width() - 2), "  ")
    rest = len(worst) - _PLACES
    return text + (f"\n  and {rest:,} more, see to_html" if rest > 0 else "")


def _spare(rows: list[tuple[str, ...]], room: int) -> list[tuple[str, ...]]:
    """The rows; where they are too wide, without the columns in which nothing happened."""
    if sum(max(map(len, column)) + 2 for column in zip(*rows, strict=True)) <= room + 2:
        return rows
    kept = [
        i for i, cells in enumerate(zip(*rows[1:], strict=True)) if i < 2 or not {"0", "-", "0 %"}.issuperset(cells)
    ]
    return [tuple(row[i] for i in kept) for row in rows]


def heading(error: bool) -> tuple[str, ...]:
    """The head of the table."""
    return ("phase", "place", *("error",) * error, "NaN", "inf", "flushed", "lost", "swamped", "values")


def cells(place: Place, error: bool) -> tuple[str, ...]:
    """One line of the table."""
    c = place.counts
    return (
        place.phase,
        place.name,
        *(error_of(place),) * error,
        short(c.invalid),
        short(infinite(c)),
        percent(c.flushed, c.nonzero),
        percent(c.lost, c.updates),
        percent(c.swamped, c.addends),
        short(c.size),
    )


def error_of(place: Place) -> str:
    """The relative error that has come together; in words where not all numbers were finite."""
    if place.total is None:
        return "-"
    return f"{place.total.relative:.1e}" if place.comparable else "inf/NaN"


def _evidence(report: Facts) -> str:
    v = report.verdict
    place = next((p for p in report.places if report.accused(p)), None)
    if v is None:
        return ""
    lines = ["Evidence", *facts(v.values)]
    if report.before:
        lines += ["  what went before it:", *(filled(line, "    ") for line in report.before)]
    if place is not None and place.exponents:
        told = f"exponents of {place.name} ({place.phase}) against the range of {place.format}, bars logarithmic:"
        lines.append(filled(told, "  "))
        lines += bars(place)
    return "\n".join(lines) if len(lines) > 1 else ""


def facts(values: Mapping[str, Any]) -> Iterator[str]:
    """The numbers of a finding, a line for each; operands as a table."""
    for name, value in values.items():
        if not isinstance(value, dict):
            yield filled(f"{name.replace('_', ' ')}: {in_words(value)}", "  ")
    head, *rows = operands(values) or [()]
    if rows:
        yield filled("in its first frame, magnitudes of the finite numbers but zero:", "  ")
        yield textwrap.indent(columns([head, *rows], left=2, room=width() - 4), "    ")


def operands(values: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What a finding knows of the arrays of its operation: a head, and a line for each of them."""
    given = values.get("operands")
    arrays = {name: x for name, x in given.items() if isinstance(x, dict)} if isinstance(given, dict) else {}
    if not arrays:
        return []
    head = ("array", *next(iter(arrays.values())))
    rows = ((name, *(in_words(x.get(what)) for what in head[1:])) for name, x in arrays.items())
    return [head, *rows]


def in_words(value: Any) -> str:
    """A number, a shape or a word as people write it."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return " x ".join(map(in_words, value)) or "scalar"
    return str(value)


def region(exponent: int, fmt: Format) -> str:
    """The part of a format's range that numbers of this exponent are in."""
    if exponent > fmt.emax:
        return "overflow"
    if exponent >= fmt.emin:
        return "normal"
    return "subnormal" if exponent >= fmt.lowest else "underflow"


def span(numbers: Mapping[int, int], fmt: Format, rows: int, spare: int = 2) -> tuple[int, int, int]:
    """The first and the last exponent of a histogram, and the exponents in one of at most ``rows`` bars.

    The whole range of a format of up to 64 binades, else what is occupied and ``spare`` bars beside it.
    """
    low, high = fmt.lowest, fmt.emax
    if numbers:
        low, high = min(low, *numbers), max(high, *numbers)
    step = 1
    while True:
        if high - low > 64 and numbers:
            left, right = min(numbers) - spare * step, max(numbers) + spare * step
        else:
            left, right = low, high
        count = -(-(right - left + 1) // step)
        if count <= rows:
            return left, right, step
        step *= 2


def bars(place: Place) -> Iterator[str]:
    """The exponent histogram as text: shares of the values, by binade or several."""
    zeros, numbers, special = place.histogram
    fmt, whole = place.format, sum(place.exponents.values())
    left, right, step = span(numbers, fmt, _ROWS)
    lines = [("zero", f"{place.counts.flushed:,} flushed" if place.counts.flushed else "", zeros)]
    at = left
    while at <= right:
        end = min(at + step - 1, right)  # a bar does not reach over the limits of the format
        limits = (fmt.lowest - 1, fmt.emin - 1, fmt.emax)
        end = min([end, *(limit for limit in limits if at <= limit < end)])
        label = f"2^{at}" + (f" to 2^{end}" if end > at else "")
        lines.append((label, region(at, fmt), sum(numbers.get(e, 0) for e in range(at, end + 1))))
        at = end + 1
    lines.append(("inf, NaN", "", special))
    foot, _ = decades([n / whole for _, _, n in lines])
    rows = [(label, where, percent(n, whole), n / whole) for label, where, n in lines]
    wide = [max(len(str(row[i])) for row in rows) for i in range(3)]
    room = min(_BAR, width() - sum(wide) - 10)
    for label, where, part, share in rows:
        bar = "#" * round(room * (1 - math.log10(share) / foot)) if share else ""
        line = f"    {label:<{wide[0]}}  {where:<{wide[1]}}  {part:>{wide[2]}}"
        yield f"{line}  {bar}".rstrip() if room > 3 else clipped(line, width(), "start").rstrip()


def decades(shares: Sequence[float]) -> tuple[int, int]:
    """The powers of ten between which a logarithmic axis shows each of these shares, the smallest well above its foot.

    >>> decades([1.0, 0.001]), decades([0.2]), decades([])
    ((-4, 0), (-2, 0), (-2, 0))
    """
    least = min((share for share in shares if share > 0), default=1.0)
    return min(math.floor(math.log10(least) - 0.15), -2), 0


def advice(report: Facts) -> list[str]:
    """What usually helps, policies as they are typed: the fix of the verdict first, then those of others, each once."""
    found = ([report.verdict] if report.verdict else []) + report.others[:_OTHERS]
    return list(dict.fromkeys(f"{f.klass}: {f.fixes[0] if f.fixes else f.fix}" for f in found))


def _advice(report: Facts) -> str:
    lines = advice(report)
    return "\n".join(["Advice", *(filled(line + ".", "  - ") for line in lines)]) if lines else ""
