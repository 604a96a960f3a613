"""A Finding: what went wrong first, where it began, and what is usually done about it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

from halfsim.autograd.trace import REPEATED, Event, Trace
from halfsim.diagnose.fix import Fix

CLASSES = (
    "overflow",
    "underflow",
    "swamping",
    "cancellation",
    "eps lost",
    "integer rounding",
    "NaN propagation",
    "accumulation order",
    "benign rounding",
)

_FIXES = {
    "overflow": "scale the operands down before this operation, or keep it in float32 (or bfloat16, of wider range)",
    "overflow backward": "lower the loss scale (a dynamic GradScaler finds it), or clip after unscaling",
    "overflow optimizer": "keep weights and optimizer state in float32 (master_weights=True, or amp)",
    "overflow constant": "take a constant that the format holds: its largest number, or -inf where nothing is computed "
    "with it",
    "underflow": "scale the operands up, or keep this operation in float32",
    "underflow backward": "scale the loss (amp.GradScaler), see loss_scale_range",
    "underflow optimizer": "keep optimizer state in float32 (master_weights=True, or amp)",
    "underflow constant": "take a larger constant, or keep the computation it belongs to in float32",
    "swamping": "accumulate in float32 (accumulate=fp32), pairwise, or with compensation",
    "swamping optimizer": "float32 master weights (master_weights=True, or amp), kahan=True or rounding='stochastic'; "
    "or a larger learning rate",
    "swamping average": "keep the average in float32, or average less often with a larger step",
    "cancellation": "subtract before rounding: center the data first, or keep both operands in float32",
    "eps lost": "take an eps of 1e-4 or more in float16, or keep the operation in float32",
    "integer rounding": "keep positions, counts and indices in integers or float32, whose integers reach 2**24",
    "NaN propagation": "look at the operands of this operation: 0/0, inf - inf, a negative number under a root, or NaN "
    "in the data",
    "accumulation order": "accumulate in float32, or exactly (hs.reproducible())",
    "benign rounding": "nothing: this is the rounding that the format's precision and the length of the sums predict",
}


@dataclass(frozen=True)
class Finding:
    """Trouble of one class, where it began.

    ``klass`` is one of `CLASSES`; ``phase`` is forward, backward or optimizer; ``path`` the module (the parameter, in
    the optimizer); ``tensor`` what was written, where the operation alone does not say; ``values`` the numbers that
    ``message`` is made of; ``fix`` what usually helps, ``fixes`` what `halfsim.mend` may try. It prints as a short
    paragraph.
    """

    klass: str
    phase: str
    step: int
    path: str
    op: str
    tensor: str
    values: dict[str, Any]
    message: str
    fix: str
    event: Event | None = None
    fixes: tuple[Fix, ...] = ()

    @property
    def place(self) -> str:
        """Where, in words: "addcmul in 0.weight (exp_avg_sq)"."""
        where = f" in {self.path}" if self.path else ""
        return f"{self.op}{where}{f' ({self.tensor})' if self.tensor else ''}"

    def __str__(self) -> str:
        where = f"step {self.step}, {self.phase}, {self.place}"
        return textwrap.fill(f"{self.klass} ({where}): {self.message}. Usual fix: {self.fix}.", 100)

    def to_dict(self) -> dict[str, Any]:
        """The attributes, without the event, as plain data."""
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("event", "fixes")}
        return {**facts, "fixes": [fix.to_dict() for fix in self.fixes]} if self.fixes else facts


def klass_of(event: Event) -> str:
    """The class of a Finding at this event, its gravest trouble."""
    if event.lost is not None:
        small = event.lost.klass == "underflow"
        named = event.lost.name.startswith(("lr", "factor"))
        return "eps lost" if small and not named else event.lost.klass
    if event.klass is None and event.suspicion is not None:
        return event.suspicion
    return {"NaN": "NaN propagation"}.get(event.klass or "", event.klass or "benign rounding")


def finding(event: Event, trace: Trace | None = None, klass: str | None = None, after: Event | None = None) -> Finding:
    """The Finding at ``event``; ``after`` is the symptom that led here, if it is another event."""
    klass = klass or klass_of(event)
    message = sentence(event, klass)
    if after is not None and after is not event:
        symptom = {"NaN": "a NaN", "overflow": "an infinity"}.get(after.klass or "", after.klass or "trouble")
        message += f"; {symptom} followed at step {after.step} in {after.phase}, {after.place}"
    key = f"{klass} {event.phase}"
    if event.lost is not None and klass != "eps lost":
        key = f"{klass} constant"
    if event.op == "average":
        key = "swamping average"
    fix = _FIXES.get(key, _FIXES[klass])
    values = numbers(event, klass)
    frame = None if trace is None else next((f for f in trace.captured.values() if f.event is event), None)
    if frame is not None:
        values["operands"] = {name: extremes(x) for name, x in frame.arrays.items()}
    return Finding(klass, event.phase, event.step, event.path, event.op, event.tensor, values, message, fix, event)


def extremes(x: Any) -> dict[str, Any]:
    """Shape, and the smallest and largest magnitude of the finite nonzero numbers."""
    import numpy as np

    finite = np.abs(x[np.isfinite(x) & (x != 0)])
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return {"shape": list(x.shape), "smallest": low, "largest": high, "not finite": int(x.size - np.isfinite(x).sum())}


def numbers(event: Event, klass: str) -> dict[str, Any]:
    """The counts that matter to a class."""
    c = event.counts
    names = {
        "overflow": ("overflow", "divide_by_zero", "size"),
        "underflow": ("flushed", "nonzero"),
        "swamping": ("swamped", "addends", "stalled"),
        "cancellation": ("cancelled", "annulled", "sums", "bits"),
        "integer rounding": ("integers", "size"),
        "NaN propagation": ("invalid", "size"),
    }.get(klass, ("inexact", "size"))
    found: dict[str, Any] = {name: getattr(c, name) for name in names}
    if event.lost is not None:
        found["constant"] = event.lost.value
    found["format"] = event.format.name
    return found


def sentence(event: Event, klass: str) -> str:
    """What an event did to its numbers, in one clause."""
    c = event.counts
    if event.lost is not None and klass in ("eps lost", event.lost.klass):
        return str(event.lost)
    if klass == "underflow":
        values = "gradients" if event.phase == "backward" else "values"
        return f"{c.flushed:,} of {c.nonzero:,} nonzero {values} became zero in {event.format}"
    if klass == "cancellation" and not c.cancelled:
        return f"{c.annulled:,} of {c.sums:,} differences are zero, of numbers that were rounded before"
    if klass == "swamping":
        if event.op in REPEATED:
            kind = {"update": "weights with a gradient", "decay": "weights"}.get(event.op, "averages off by over 1 %")
            return f"{c.swamped:,} of {c.addends:,} {kind} did not move: the change is below half an ulp"
        return f"{c.swamped:,} of {c.addends:,} nonzero addends changed nothing"
    if klass == "cancellation":
        zero = f", and {c.annulled:,} are zero" if c.annulled else ""
        return (
            f"{c.cancelled:,} of {c.sums:,} differences have at most four of their operands' leading bits left"
            f"{zero}; up to {c.bits} bits were lost"
        )
    if klass == "integer rounding":
        limit = 2**event.format.precision
        return f"{c.integers:,} of {c.size:,} integers became other integers in {event.format}, exact to {limit:,}"
    if event.given and not c.invalid:
        return "there was a NaN among the values given, which no operation under the trace made"
    parts = [f"{c.invalid:,} of {c.size:,} values became NaN"] if c.invalid else []
    if c.overflow:
        parts.append(f"{c.overflow:,} of {c.size:,} values became infinite, past {event.format.max:.6g}")
    if c.divide_by_zero:
        parts.append(f"{c.divide_by_zero:,} of {c.size:,} divisions were by zero")
    return " and ".join(parts) or f"{c.inexact:,} of {c.size:,} results were rounded"
