"""Findings and advice in plain sentences, made from counts."""

from __future__ import annotations

from halfsim.autograd.trace import Event


def share(part: int, whole: int) -> float:
    """``part / whole``, 0 where there is nothing; never above 1."""
    return min(1.0, part / whole) if whole else 0.0


def describe(event: Event) -> str:
    """What an event did to its numbers, in one clause, by its gravest class.

    >>> from halfsim.numerics.flags import FlagCounts
    >>> counts = FlagCounts(size=4, nonzero=4, overflow=2)
    >>> describe(Event(1, "forward", "0", "linear", "", (4,), counts))
    '2 of 4 values became infinite'
    """
    c = event.counts
    klass = event.klass
    if event.lost is not None and klass == event.lost.klass:
        return str(event.lost)
    if klass == "underflow":
        values = "gradients" if event.phase == "backward" else "values"
        return f"{c.flushed:,} of {c.nonzero:,} nonzero {values} became zero"
    if klass == "swamping":
        return f"{c.swamped:,} of {c.addends:,} nonzero addends changed nothing"
    parts = [f"{c.invalid:,} of {c.size:,} values became NaN"] if c.invalid else []
    if c.overflow:
        parts.append(f"{c.overflow:,} of {c.size:,} values became infinite")
    if c.divide_by_zero:
        parts.append(f"{c.divide_by_zero:,} of {c.size:,} divisions were by zero")
    return " and ".join(parts)


def advise(
    *,
    overflows: int,
    flushed: float,
    lost: float,
    first: Event | None,
    constant: Event | None,
    broken: bool,
    learned: bool,
    skipped: int,
    master_weights: bool,
    accuracy: float,
    reference: float | None,
) -> str:
    """One sentence on what to do about a training run.

    ``overflows`` counts values that became infinite, ``flushed`` and ``lost`` are the shares of gradients and of
    weight updates that vanished, ``first`` is the first trouble, ``constant`` the event of a hyper-parameter that
    became zero, ``broken`` says that weights ended infinite or NaN, ``learned`` that the loss is below that of
    guessing, ``skipped`` counts the steps a GradScaler skipped, ``master_weights`` says that weights are in float32,
    ``accuracy`` and ``reference`` are those of this run and, if there was one, of the same in float32.
    """
    if broken and constant is not None and constant.tensor == "eps":
        return (
            f"{constant.lost}, and squared gradients underflow beside it, so {constant.op} divides by zero in "
            f"{constant.path} at step {constant.step} and the weights are gone; keep weights and optimizer state in "
            "float32 (recipe amp), or take eps of 1e-4 or more."
        )
    if broken and constant is not None:
        return f"The weights ended infinite or NaN, after {constant.lost} in {constant.place}; change that constant."
    if broken:
        where = f", after trouble first seen in {first.place} at step {first.step}" if first is not None else ""
        return f"The weights ended infinite or NaN{where}; lower the learning rate, or keep that operation in float32."
    if not master_weights and lost > 0.05:
        return (
            f"{lost:.0%} of the weight updates were below half an ulp of their weight and vanished; "
            f"{_effect(accuracy, reference)}; float32 master weights (recipe amp) keep them."
        )
    if not learned:
        return "The loss is no better than guessing: change the learning rate before you blame the precision."
    if skipped:
        steps = "1 step" if skipped == 1 else f"{skipped} steps"
        return f"The scaler skipped {steps} while it looked for its scale, as it should; nothing else to do."
    if flushed > 0.01:
        return f"{flushed:.1%} of the gradients became zero on the way back; scale the loss (recipe amp)."
    if overflows and not master_weights:
        return "Some values passed the largest half, 65504; scale inputs or keep that operation in float32."
    if first is not None and reference is not None and accuracy > reference - 0.01:
        return f"Nothing to mend: what was lost did no harm here ({accuracy:.1%} against {reference:.1%} in fp32)."
    return "Nothing to mend."


def _effect(accuracy: float, reference: float | None) -> str:
    if reference is None:
        return "compare with recipe fp32 to see what that costs"
    if accuracy > reference - 0.01:
        return f"accuracy has not suffered here ({accuracy:.1%} against {reference:.1%} in fp32)"
    return f"accuracy fell to {accuracy:.1%} against {reference:.1%} in fp32"
