"""The kinds of trouble, one row each: when an event is one, what it is called, which numbers and words tell it.

Rounding always flushes, swamps and cancels a little; the shares below make it a trouble. What is done about each stands
in `halfsim.autograd.trace.remedies`. Some events are no trouble yet and explain one that follows, a constant that
became zero beside a division, say: such a kind is only *suspected* until a NaN, a pole or an infinity comes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from halfsim.autograd.trace import remedies
from halfsim.numerics.blocks import BlockFormat
from halfsim.text import counted

if TYPE_CHECKING:
    from halfsim.autograd.trace.event import Event, Stage

FLUSHED_SHARE = 0.05  # of the nonzero results, if with them goes ...
VANISHED_SHARE = 0.01  # ... this share of their magnitude,
FLUSHED_STATE = 0.5  # of an optimizer's state this is enough, for a root and a division follow
SWAMPED_SHARE = 0.5
FAR_OFF = 0.05  # the error of a sum, relative to the magnitude of its terms
CANCELLED_SHARE = 0.5
CLIPPED_SHARE = 0.1  # of the elements of a block format, whose rule may clip a few on purpose

REPEATED = ("update", "decay", "average")  # a step that moves few weights is no trouble where others move them


@dataclass(frozen=True)
class Kind:
    """A kind of trouble: ``holds`` says whether an event is one, ``suspected`` whether it may explain another.

    ``numbers`` are those that a finding shows, ``words`` makes the sentence of them, ``fixes`` are the remedies, by
    phase and operation. ``breaks`` says that it leaves NaN or infinities behind, ``gravity`` sorts findings: the
    higher, the graver.
    """

    name: str
    gravity: int
    holds: Callable[[Event], bool]
    words: Callable[[Event], str]
    numbers: Callable[[Event], dict[str, Any]]
    fixes: remedies.Remedies
    suspected: Callable[[Event], bool] = lambda e: False
    counted: tuple[str, ...] = ()  # the counts that make it
    breaks: bool = False


def _counts(*names: str) -> Callable[[Event], dict[str, Any]]:
    return lambda e: {name: getattr(e.counts, name) for name in names}


# NaN and infinities.


def _nan(e: Event) -> bool:
    return e.counts.invalid > 0 or e.given == "NaN"


def _overflows(e: Event) -> bool:
    c = e.counts
    return c.overflow > c.clipped or c.divide_by_zero > 0 or e.given == "infinity"


def _first_past(e: Event, what: str) -> Stage | None:
    return next((s for s in e.stages if getattr(s, what)), None)


_THINGS = {
    "read": "values read as operands", "operand": "operands of the product", "step": "steps on the way",
    "sum": "running sums", "store": "values",
}  # fmt: skip


def _became(e: Event) -> list[str]:
    """What became of numbers past the largest one, in the first rounding that met any."""
    c, stage = e.counts, _first_past(e, "infinite") or _first_past(e, "nan")
    if stage is None:
        return [f"{c.overflow:,} of {c.size:,} values became infinite, past {e.format.max:.6g}"] if c.overflow else []
    n = stage.infinite or stage.nan
    became = "infinite" if stage.infinite else f"NaN, for {stage.format} has no infinity"
    other = "" if stage.format == e.format or stage.name == "store" else f" in {stage.format}"
    things = _THINGS[stage.name]
    return [f"{n:,} of {max(n, stage.size):,} {things} became {became}{other}, past {stage.format.max:.6g}"]


def _broken_words(e: Event) -> str:
    c = e.counts
    if e.given and not (c.invalid or c.overflow > c.clipped or c.divide_by_zero):
        what = "a NaN" if e.given == "NaN" else "an infinity"
        return f"there was {what} among the values given, which no operation under the trace made"
    instead = "" if e.format.has_nan else f", for which {e.format} has a number instead"
    lacking = f"; {e.format} has no {e.format.lacking}" if e.format.lacking else ""
    parts = [f"{c.invalid:,} of {c.size:,} values became NaN{instead}{lacking}"] if c.invalid else []
    parts += _became(e) if c.overflow > c.clipped else []
    if c.divide_by_zero:
        became = "infinite" if e.format.has_infinity else "NaN" if e.format.has_nan else f"{e.format.max:.6g}"
        parts.append(f"{c.divide_by_zero:,} of {c.size:,} results are {became} by a division by zero")
    return " and ".join(parts)


def _overflow_numbers(e: Event) -> dict[str, Any]:
    stage = _first_past(e, "infinite") or _first_past(e, "nan")
    c = e.counts
    if stage is None:
        return {"overflow": c.overflow - c.clipped, "divide_by_zero": c.divide_by_zero, "size": c.size}
    made = {"rounding": stage.name, "rounded to": stage.format.name}
    n = stage.infinite or stage.nan
    return {"overflow": n, "divide_by_zero": c.divide_by_zero, "size": max(n, stage.size), **made}


def _clipped_words(e: Event) -> str:
    stage = _first_past(e, "clipped")
    if stage is None:
        return (
            f"{e.counts.clipped:,} of {e.counts.size:,} values were clipped to {e.format.max:.6g}, the largest number"
        )
    things = _THINGS[stage.name]
    if isinstance(stage.format, BlockFormat):
        return (
            f"{stage.clipped:,} of {stage.size:,} {things} were clipped to {stage.format.largest:.6g} times the scale "
            f"of their block in {stage.format}, most in block {', '.join(map(str, stage.block or ()))}"
        )
    return (
        f"{stage.clipped:,} of {max(stage.clipped, stage.size):,} {things} were clipped to {stage.format.max:.6g}, the "
        f"largest number of {stage.format}"
    )


def _clipped_numbers(e: Event) -> dict[str, Any]:
    stage = _first_past(e, "clipped")
    if stage is None:
        return {"clipped": e.counts.clipped, "size": e.counts.size}
    return {"clipped": stage.clipped, "size": max(stage.clipped, stage.size), "rounding": stage.name,
            "rounded to": str(stage.format)}  # fmt: skip


# Constants.


def _constant_words(e: Event) -> str:
    return str(e.lost)


def _constant_numbers(e: Event) -> dict[str, Any]:
    assert e.lost is not None
    return {"constant": e.lost.value, "became": e.lost.became, "rounded to": e.lost.format.name}


def is_eps(e: Event) -> bool:
    """Whether a constant of the event is one that was to keep a divisor from zero, and is zero itself."""
    lost = e.lost
    return lost is not None and lost.became == 0 and not lost.name.startswith(("lr", "factor", "number"))


def _changed(e: Event) -> bool:
    """A constant that is zero as a factor or infinite does harm at once; one that is 1, where it is carried on."""
    lost = e.lost
    if lost is None or is_eps(e):
        return False
    if lost.became == 0:
        return lost.name.startswith(("lr", "factor"))
    return abs(lost.became) != 1 or (e.detail is not None and "carried" in e.detail)


# Zeros, sums and differences.


def _underflows(e: Event) -> bool:
    c = e.counts
    if e.detail is not None and "faint" in e.detail:
        return True
    if is_eps(e) or not c.flushed:
        return False
    lost = 0.5 * c.flushed * e.format.smallest_subnormal  # at most
    if e.phase == "optimizer" and c.flushed > FLUSHED_STATE * c.nonzero:
        return True
    return c.flushed > FLUSHED_SHARE * c.nonzero and lost > VANISHED_SHARE * e.magnitude


def _underflow_words(e: Event) -> str:
    c, detail = e.counts, e.detail or {}
    if "faint" in detail:
        n, fmt = detail["faint"], e.format
        few = f"{n:,} of {c.size:,} values became subnormal in {fmt} (below {fmt.smallest_normal:.2g})"
        return f"{few}, off by up to {detail['off']:.0%}, and something was divided by {'it' if n == 1 else 'them'}"
    values = "gradients" if e.phase == "backward" else "values"
    return f"{c.flushed:,} of {c.nonzero:,} nonzero {values} became zero in {e.format}"


def _underflow_numbers(e: Event) -> dict[str, Any]:
    detail = e.detail or {}
    if "faint" in detail:
        return {"subnormal": detail["faint"], "size": e.counts.size, "off": detail["off"]}
    return {"flushed": e.counts.flushed, "nonzero": e.counts.nonzero}


def _read_on(e: Event) -> bool:
    """Whether something was computed from what a single difference or sum has lost."""
    return e.detail is not None and "read as" in e.detail


def _swamps(e: Event) -> bool:
    """Most addends changed nothing; of a running sum that is far off, as many as explain by how much."""
    c = e.counts
    if not (c.stalled or _read_on(e)):
        return False
    return c.swamped > SWAMPED_SHARE * c.addends or (e.disorder > FAR_OFF and c.swamped >= e.disorder * c.addends)


def _swamping_words(e: Event) -> str:
    c = e.counts
    if e.op in REPEATED:
        kind = {"update": "weights with a gradient", "decay": "weights"}.get(e.op, "averages off by over 1 %")
        return f"{c.swamped:,} of {c.addends:,} {kind} did not move: the change is below half an ulp"
    return f"{c.swamped:,} of {c.addends:,} nonzero addends changed nothing"


# Losses whose difference of prediction and target is meant to become small.
_RESIDUALS = ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss")


def _cancels(e: Event) -> bool:
    c = e.counts
    if e.op in _RESIDUALS:
        return False
    if c.single and _read_on(e):
        return True
    return (c.cancelled > 0 or (c.annulled > 0 and _read_on(e))) and c.cancelled + c.annulled > CANCELLED_SHARE * c.sums


def _cancellation_words(e: Event) -> str:
    c = e.counts
    if c.single and not c.sums:
        return f"a difference of numbers that were rounded before has lost {_bits(c.bits)}"
    if not c.cancelled:
        return f"{c.annulled:,} of {c.sums:,} differences are zero, of numbers that were rounded before"
    zero = f", and {c.annulled:,} are zero" if c.annulled else ""
    return (
        f"{c.cancelled:,} of {c.sums:,} differences have at most four of their operands' leading bits left"
        f"{zero}; up to {counted(c.bits, 'bit was', 'bits were')} lost"
    )


def _bits(n: int) -> str:
    return f"{n} of its leading bits" if n else "all of its bits"


def _integer_numbers(e: Event) -> dict[str, Any]:
    return {"integers": e.counts.integers, "size": max(e.counts.size, e.counts.integers)}


def _integer_words(e: Event) -> str:
    n, size = _integer_numbers(e).values()
    return f"{n:,} of {size:,} integers became other integers in {e.format}, exact to {2**e.format.precision:,}"


def _rounding_words(e: Event) -> str:
    return f"{counted(e.counts.inexact, 'rounding', 'roundings')} changed a number, none of them to harm"


def _never(e: Event) -> bool:
    return False


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("NaN propagation", 9, _nan, _broken_words, _counts("invalid", "size"), remedies.nan, counted=("invalid",),
             breaks=True),
        Kind("overflow", 8, _overflows, _broken_words, _overflow_numbers, remedies.overflow,
             counted=("overflow", "divide_by_zero"), breaks=True),
        Kind("scaler", 7, lambda e: e.op == "GradScaler" or (e.detail is not None and "scale" in e.detail),
             lambda e: str((e.detail or {})["text"]),
             lambda e: {k: v for k, v in (e.detail or {}).items() if k not in ("text", "root")}, remedies.scaler),
        Kind("eps lost", 6, _never, _constant_words, _constant_numbers, remedies.lost_eps, suspected=is_eps),
        Kind("constant changed", 6, _changed, _constant_words, _constant_numbers, remedies.constant,
             suspected=lambda e: e.lost is not None and not is_eps(e)),
        Kind("clipped", 5, lambda e: e.counts.clipped > 0, _clipped_words, _clipped_numbers, remedies.clipped,
             counted=("clipped",)),
        Kind("underflow", 5, _underflows, _underflow_words, _underflow_numbers, remedies.underflow,
             suspected=lambda e: e.counts.flushed > 0, counted=("flushed",)),
        Kind("swamping", 4, _swamps, _swamping_words, _counts("swamped", "addends", "stalled"),
             remedies.swamping, counted=("swamped",)),
        Kind("integer rounding", 3, lambda e: e.counts.integers > 0, _integer_words, _integer_numbers,
             remedies.integers, counted=("integers",)),
        Kind("cancellation", 4, _cancels, _cancellation_words, _counts("cancelled", "annulled", "sums", "bits"),
             remedies.cancellation, suspected=lambda e: e.counts.annulled + e.counts.single > 0,
             counted=("cancelled",)),
        Kind("accumulation order", 2, _never, _rounding_words, _counts("inexact"), remedies.order),
        Kind("benign rounding", 0, _never, _rounding_words, _counts("inexact"), remedies.nothing),
    )
}  # fmt: skip

NAMES = tuple(KINDS)
HARMLESS = ("accumulation order", "benign rounding")  # verdicts on rounding alone


def kinds_of(event: Event) -> tuple[str, ...]:
    """The kinds of trouble that an event is, in the order of `KINDS`: the first is what it is called."""
    if not event.eventful:
        return ()
    found = tuple(name for name, kind in KINDS.items() if kind.holds(event))
    first = ""
    if "scaler" in found:
        first = "scaler"
    elif "constant changed" in found:  # which is the cause of what it did here
        first = "constant changed"
    elif "overflow" in found and any(s.past for s in event.stages if s.name != "store"):
        first = "overflow"  # on the way to the result, of which a NaN may come
    return (first, *(name for name in found if name != first)) if first else found


def kind_of(event: Event) -> str:
    """What a trouble at this event is called, also one that is only suspected."""
    found = kinds_of(event)
    if found:
        return found[0]
    return next((name for name, kind in KINDS.items() if kind.suspected(event)), "benign rounding")


def finite(x: Any) -> bool:
    """Whether every element is finite; by their squares first, which is quicker."""
    return (x.flags.c_contiguous and bool(np.isfinite(np.vdot(x, x)))) or bool(np.isfinite(x).all())
