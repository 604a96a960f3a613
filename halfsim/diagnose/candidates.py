"""Which fixes are tried for a finding: those that it names, or those that usually help its kind."""

from __future__ import annotations

from collections.abc import Iterator

from halfsim.autograd.policy import OPERATIONS, Policy
from halfsim.diagnose.finding import Finding
from halfsim.diagnose.fix import Fix

_REMEDIES = (
    Fix("update float32 copies of the weights", option={"master_weights": True}),
    Fix("keep what a weight could not hold for its next update", option={"kahan": True}),
    Fix("round updates up or down at random", option={"rounding": "stochastic"}),
)
_EPS = Fix("take a larger eps", option={"eps": 1e-4})
_SAFE = Fix("form norm and coefficient so that nothing overflows", option={"safe": True})
_AVERAGE = Fix("keep the average in float32", option={"format": "fp32"})
_SUMS = Fix("accumulate in float32", option={"accumulate": "fp32"})
_LOSS = tuple(Fix("scale the loss, and gradients back", option={"loss_scale": s}) for s in (1024.0, 16384.0))
_SCALER = (
    Fix("begin with a smaller loss scale", option={"init_scale": 1.0, "min_scale": 0.0}),
    Fix("let the scale grow sooner", option={"growth_interval": 10}),
)

# What is tried by class and phase, "" for any; beside keeping the operation itself in float32.
_USUAL: dict[tuple[str, str], tuple[Fix, ...]] = {
    ("overflow", "optimizer"): (_REMEDIES[0], _SAFE, _EPS),
    ("overflow", "backward"): _SCALER[:1],
    ("underflow", "optimizer"): (_REMEDIES[0], _EPS),
    ("underflow", "backward"): _LOSS,
    ("swamping", "optimizer"): (*_REMEDIES, _AVERAGE),
    ("swamping", ""): (_SUMS,),
    ("eps lost", "optimizer"): (_EPS, _REMEDIES[0]),
    ("eps lost", ""): (_EPS,),
    ("constant changed", "optimizer"): _REMEDIES[:1],
    ("cancellation", "optimizer"): _REMEDIES[:1],
    ("NaN propagation", "optimizer"): (_REMEDIES[0], _SAFE),
    ("scaler", ""): _SCALER,
    ("accumulation order", ""): (_SUMS,),
}


def fixes_for(finding: Finding) -> list[Fix]:
    """The fixes to try, in order: the finding's own, or those of its kind with its text as advice."""
    if finding.fixes:
        return list(finding.fixes)
    return [*_usual(finding), Fix(finding.fix)]


def _usual(f: Finding) -> Iterator[Fix]:
    if f.op in OPERATIONS and f.phase != "optimizer":
        pattern = f"{f.path}@{f.op}" if f.path else f"@{f.op}"
        yield Fix(f"keep {f.op} in float32", Policy({pattern: "fp32"}))
    lost = f.values.get("constant")
    if f.klass == "overflow" and lost is not None and f.event is not None:
        limit = f.event.format.max if lost > 0 else -f.event.format.max
        yield Fix("take a constant that the format holds", option={"constant": limit})
    yield from _USUAL.get((f.klass, f.phase)) or _USUAL.get((f.klass, ""), ())
