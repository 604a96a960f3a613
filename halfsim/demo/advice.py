"""Findings and advice in plain sentences, made from counts."""

from __future__ import annotations

from dataclasses import dataclass

from halfsim.autograd.trace.event import Event


@dataclass(frozen=True)
class Facts:
    """What advice on a training run is made from.

    ``accuracy`` and ``reference`` are those of this run and, if there was one, of the same in float32. ``learned`` says
    that the loss is below that of guessing, ``finite`` that it is a number, ``broken`` that weights ended infinite or
    NaN. ``flushed`` is the share of gradients that became zero, ``lost`` that of weights with a gradient that did
    not move, ``overflows`` counts values that became infinite, ``skipped`` the steps a GradScaler skipped.
    ``scaled`` says that the loss was scaled, ``master_weights`` that weights are in float32. ``first`` is the first
    trouble, ``constant`` the event of a constant that its format could not hold.
    """

    accuracy: float
    reference: float | None
    learned: bool
    finite: bool
    broken: bool
    flushed: float
    lost: float
    overflows: int
    skipped: int
    scaled: bool
    master_weights: bool
    first: Event | None
    constant: Event | None

    @property
    def harmless(self) -> bool:
        """Whether accuracy is within three points of float32's: less is noise, on a few hundred images and one seed."""
        return self.reference is not None and self.accuracy > self.reference - 0.03


def advise(facts: Facts) -> str:
    """One sentence on what to do about a training run."""
    first, constant = facts.first, facts.constant
    if facts.broken and constant is not None and constant.tensor == "eps":
        return (
            f"{constant.lost}, and squared gradients underflow beside it, so {constant.op} divides by zero in "
            f"{constant.path} at step {constant.step} and the weights are gone; keep weights and optimizer state in "
            "float32 (recipe amp), or take eps of 1e-4 or more."
        )
    if facts.broken or not facts.finite:
        what = "The weights" if facts.broken else "The loss"
        cause = "" if first is None else f", after trouble first seen in {first.place} at step {first.step}"
        cause = cause if constant is None else f", after {constant.lost} in {constant.path or constant.op}"
        return f"{what} ended infinite or NaN{cause}; lower the learning rate, or keep that operation in float32."
    if not facts.learned and (facts.reference is None or facts.harmless):
        return "The loss is no better than guessing: change the learning rate before you blame the precision."
    if not facts.master_weights and facts.lost > 0.05:
        return (
            f"{facts.lost:.0%} of the weights with a gradient did not move, their update being below half an ulp; "
            f"{_effect(facts)}; float32 master weights (recipe amp) hold far smaller updates."
        )
    if facts.skipped:
        steps = "1 step" if facts.skipped == 1 else f"{facts.skipped} steps"
        return f"The scaler skipped {steps} while it looked for its scale, as it should; nothing else to do."
    if facts.flushed > 0.01:
        share_ = f"{facts.flushed:.1%} of the gradients became zero on the way back"
        if facts.scaled:
            return f"{share_} although the loss is scaled; {_effect(facts)}; no step overflowed, so the scale has room."
        return f"{share_}; {_effect(facts)}; scale the loss (recipe amp)."
    if facts.overflows and not facts.master_weights:
        return "Some values passed the largest half, 65504; scale inputs or keep that operation in float32."
    if first is not None and facts.harmless:
        return f"Nothing to mend: {_effect(facts)}."
    return "Nothing to mend."


def _effect(facts: Facts) -> str:
    if facts.reference is None:
        return "compare with recipe fp32 to see what that costs"
    against = f"{facts.accuracy:.1%} against {facts.reference:.1%} in fp32"
    return f"accuracy has not suffered here ({against})" if facts.harmless else f"accuracy fell to {against}"
